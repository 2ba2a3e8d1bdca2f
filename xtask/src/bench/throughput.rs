//! How many tasks a second: as processes against the bare spawn rate, without processes, and with much or little
//! waiting.

use super::cluster::{Cluster, Offer, check_tasks, done, nulls, processes as true_array, submit, wait_job};
use super::http::Http;
use super::machine::{Steal, cpu, middle};
use super::table::{Table, Want};
use super::{Options, spawn};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A round with more time stolen than this does not count, unless all are so.
const STEAL_MAX_PERCENT: f64 = 10.0;

/// Numbers of rounds with the time that was stolen in each.
#[derive(Default)]
struct Rounds(Vec<(f64, Vec<f64>)>);

impl Rounds {
    fn push(&mut self, steal: f64, numbers: Vec<f64>) {
        self.0.push((steal, numbers));
    }

    /// The middle of one number over the rounds that count.
    fn middle(&self, index: usize) -> f64 {
        let quiet = |(steal, _): &&(f64, Vec<f64>)| *steal <= STEAL_MAX_PERCENT;
        let any_quiet = self.0.iter().any(|round| quiet(&round));
        let counting = self.0.iter().filter(|round| !any_quiet || quiet(round));
        middle(&counting.map(|(_, numbers)| numbers[index]).collect::<Vec<_>>())
    }
}

/// P1 and P2: an array of /bin/true against threads that do nothing but spawn and wait; and P1 with three servers on
/// the same cores.
pub fn processes(options: &Options, table: &mut Table) -> Result<()> {
    let (cluster, [rate, beyond]) = against_bare(options, 1)?;
    let want = Want::AtLeast { bar: 0.70, goal: 0.90 };
    table.row("P1", "array of /bin/true against bare spawn", rate, "", want);
    let want = Want::AtMost { bar: 0.30, goal: 0.12 };
    table.row("P2", "CPU beyond bare spawn's, as its fraction", beyond, "", want);
    cluster.check_replay()?;
    let (_cluster, [rate, _]) = against_bare(options, 3)?;
    table.row("P1", "the same with three servers", rate, "", Want::AtLeast { bar: 0.60, goal: 0.80 });
    Ok(())
}

/// The rate and the CPU beyond, each as a fraction of that of bare spawns.
fn against_bare(options: &Options, servers: u32) -> Result<(Cluster, [f64; 2])> {
    const TASKS: u64 = 6_000;
    const BARE: u32 = 2_000;
    let cluster = Cluster::start(&options.binary, Offer { servers, agents: 1, cpus: options.slots })?;
    let mut http = cluster.http()?;
    // Warms caches and tells the scheduler how long such tasks take.
    let job = submit(&mut http, true_array(500))?;
    wait_job(&mut http, job)?;
    let mut rounds = Rounds::default();
    for round in 1..=options.rounds {
        let steal = Steal::now()?;
        let (threads, bare) = spawn::best(cluster.path(), BARE)?;
        let xargs = spawn::xargs(cluster.path(), BARE / 2)?;
        let pids = cluster.pids()?;
        let before = cpu(&pids);
        let start = Instant::now();
        let job = submit(&mut http, true_array(TASKS))?;
        let tasks = wait_job(&mut http, job)?;
        let rate = TASKS as f64 / start.elapsed().as_secs_f64();
        let each = (cpu(&pids) - before) / TASKS as u32;
        ensure!(tasks["succeeded"] == TASKS, "not all succeeded: {tasks}");
        check_tasks(&mut http, job, TASKS)?;
        let steal = steal.percent()?;
        let beyond = each.as_secs_f64() / bare.cpu.as_secs_f64() - 1.0;
        println!(
            "round {round}: {rate:.0} tasks/s on {} slots, {each:.0?} CPU each; bare {:.0}/s with {threads} threads, {:.0?} CPU each; \
             xargs -P2 {:.0}/s; {:.2} of bare, CPU {beyond:+.2} of bare; steal {steal:.1} %",
            options.slots,
            bare.per_second,
            bare.cpu,
            xargs.per_second,
            rate / bare.per_second,
        );
        rounds.push(steal, vec![rate / bare.per_second, beyond]);
    }
    Ok((cluster, [rounds.middle(0), rounds.middle(1)]))
}

/// P3: tasks that complete at once, for a while, with a backlog all the time.
pub fn orchestration(options: &Options, table: &mut Table) -> Result<()> {
    let want = Want::AtLeast { bar: 30_000.0, goal: 200_000.0 };
    let (cluster, rate) = sustained(options, 1)?;
    table.row("P3", "orchestration alone, sustained", rate, "tasks/s", want);
    cluster.check_replay()
}

/// P4: the same through three servers. The leader has the others behind it, so no restart is looked at here.
pub fn replicated(options: &Options, table: &mut Table) -> Result<()> {
    let want = Want::AtLeast { bar: 10_000.0, goal: 60_000.0 };
    let (_cluster, rate) = sustained(options, 3)?;
    table.row("P4", "the same through three servers", rate, "tasks/s", want);
    Ok(())
}

fn sustained(options: &Options, servers: u32) -> Result<(Cluster, f64)> {
    const TASKS: u64 = 2_000_000;
    const SLOTS: u32 = 8;
    let cluster = Cluster::start(&options.binary, Offer { servers, agents: 1, cpus: SLOTS })?;
    let mut http = cluster.http()?;
    let (steal, before) = (Steal::now()?, cpu(&cluster.pids()?));
    let start = Instant::now();
    let window = Duration::from_secs(options.seconds);
    let mut jobs = vec![submit(&mut http, nulls(TASKS))?, submit(&mut http, nulls(TASKS))?];
    let (mut finished, mut ended, mut seconds) = (0u64, 0u64, 0);
    while start.elapsed() < window {
        std::thread::sleep(
            Duration::from_millis(1_000)
                .saturating_sub(Duration::from_millis((start.elapsed().as_millis() % 1_000) as u64)),
        );
        seconds += 1;
        let mut now = finished;
        for job in jobs.clone() {
            let tasks = counts(&mut http, job)?;
            if done(&tasks) == TASKS {
                jobs.retain(|j| *j != job);
                finished += TASKS;
                jobs.push(submit(&mut http, nulls(TASKS))?);
            }
            now += done(&tasks);
        }
        println!("second {seconds}: {} tasks/s", now - ended);
        ended = now;
    }
    let rate = ended as f64 / start.elapsed().as_secs_f64();
    let each = (cpu(&cluster.pids()?) - before).as_secs_f64() / ended as f64;
    println!(
        "{ended} tasks, {rate:.0}/s on {SLOTS} slots, {:.2} µs CPU each; steal {:.1} %",
        each * 1e6,
        steal.percent()?
    );
    ensure!(ended >= 1_000_000 || servers > 1 || options.seconds < 60, "only {ended} tasks ended");
    Ok((cluster, rate))
}

fn counts(http: &mut Http, job: u64) -> Result<Value> {
    Ok(http.get(&format!("/v1/jobs/{job}?spec=false"))?["tasks"].clone())
}

/// P10: the same work with a thousand tasks waiting behind it, and with a million in a thousand jobs.
pub fn backlog(options: &Options, table: &mut Table) -> Result<()> {
    const SLOTS: u32 = 8;
    let cluster = Cluster::start(&options.binary, Offer { servers: 1, agents: 1, cpus: SLOTS })?;
    let mut http = cluster.http()?;
    let job = submit(&mut http, nulls(100_000))?;
    wait_job(&mut http, job)?;
    let mut rounds = Rounds::default();
    for round in 1..=options.rounds {
        let steal = Steal::now()?;
        let few = with_waiting(&mut http, 1)?;
        let many = with_waiting(&mut http, 1_000)?;
        let few_again = with_waiting(&mut http, 1)?;
        let steal = steal.percent()?;
        let ratio = many / ((few + few_again) / 2.0);
        println!(
            "round {round}: {few:.0} tasks/s with 1,000 waiting, {many:.0} with 1,000,000, {few_again:.0} with 1,000; \
             {ratio:.3}; steal {steal:.1} %"
        );
        rounds.push(steal, vec![ratio]);
    }
    let want = Want::AtLeast { bar: 0.9, goal: 0.98 };
    table.row("P10", "throughput with 1,000,000 waiting against 1,000", rounds.middle(0), "", want);
    Ok(())
}

/// Tasks a second of a job that runs while jobs of a thousand tasks wait behind it.
fn with_waiting(http: &mut Http, jobs: u64) -> Result<f64> {
    const TASKS: u64 = 1_000_000;
    // While the node is drained everything waits, so that the measurement begins with all of it there.
    http.post("/v1/nodes/bench-1/drain", &json!({}))?;
    let measured = submit(http, nulls(TASKS))?;
    let behind: Vec<u64> = (0..jobs).map(|_| submit(http, nulls(1_000))).collect::<Result<_>>()?;
    let start = Instant::now();
    http.post("/v1/nodes/bench-1/resume", &json!({}))?;
    wait_job(http, measured)?;
    let rate = TASKS as f64 / start.elapsed().as_secs_f64();
    for job in behind {
        // Some have begun, and ended, since.
        let _ = http.post(&format!("/v1/jobs/{job}/cancel"), &json!({}));
        wait_job(http, job)?;
    }
    Ok(rate)
}
