//! Counterfactuals: true when applied, and none smaller is.

use crate::testing::{Cluster, apply, cluster};
use crate::tests::properties::any_cluster;
use crate::{Budget, Counterfactual, Dimension, Finding, counterfactuals, schedule};
use proptest::prelude::*;
use taskyard_model::policy::{Orderable, size};
use taskyard_model::view::Window;
use taskyard_model::{
    ClassId, ClassView, Discipline, Incarnation, JobId, JobView, NodeId, Placement, Policy, QueueConfig,
    Span, View,
};

const MIB: u64 = 1 << 20;
const MINUTE: u64 = 60_000;

/// A node of ten cores of which seven are busy for ten minutes.
fn busy() -> Cluster {
    cluster().node("a", 10).job(0).cpu_milli(7_000).takes(10 * MINUTE).runs("a", 1)
}

/// What helps the last job, as `cpu 3000 on 1`, and what does not, as `time -`.
fn ask(cluster: Cluster) -> Vec<String> {
    let job = JobId(cluster.jobs.len() as u64);
    let show = |c: Counterfactual| match c.finding {
        Finding::Starts { with, node, smallest: true } => format!("{} {with} on {node}", c.dimension),
        Finding::Starts { with, node, smallest: false } => format!("{} {with}? on {node}", c.dimension),
        Finding::NothingHelps => format!("{} -", c.dimension),
        Finding::Unknown => format!("{} ?", c.dimension),
    };
    counterfactuals(&cluster.view(), job).into_iter().map(show).collect()
}

#[test]
fn the_least_less_of_one_thing() {
    assert_eq!(ask(busy().job(1).cpu_milli(4_000)), ["cpu 3000 on 1", "time -"]);
    assert_eq!(ask(busy().job(1).cpu_milli(3_050)), ["cpu 2950 on 1", "time -"], "in whole steps");
    assert_eq!(
        ask(busy().job(1).cpu_milli(4_000).memory(20 * 1_024 * MIB + 1)),
        ["memory -", "cpu -", "time -"],
        "two things are short"
    );
    let c = busy().node("b", 4).label("zone", "x").gpus(2);
    assert_eq!(
        ask(c.job(1).cpu_milli(4_000).constraint("zone == y && !ssd")),
        ["cpu -", "time -", "term 0 on 2", "term -"]
    );
    let c = cluster().node("a", 4).gpus(2).resource("licence", 3).job(0).gpu_milli(300).runs("a", 1);
    assert_eq!(ask(c.clone().job(1).gpu_milli(2_000)), ["cpu -", "gpu 1000 on 1", "time -"]);
    assert_eq!(ask(c.job(1).asks("licence", 5)), ["cpu -", "licence 3 on 1", "time -"]);
}

#[test]
fn a_job_that_starts_or_does_not_wait_needs_nothing() {
    let none: [&str; 0] = [];
    assert_eq!(ask(busy().job(1).cpu_milli(3_000)), none);
    assert_eq!(ask(busy().job(1).cpu_milli(4_000).with(|j| j.stopped = true)), none);
    assert_eq!(ask(busy().job(0)), none);
    assert_eq!(counterfactuals(&busy().view(), JobId(77)), []);
}

#[test]
fn what_users_and_operators_can_set() {
    // Somebody of a higher priority is ahead; a queue of a higher tier goes before both.
    let c = |change: fn(&mut QueueConfig)| {
        let c = cluster().node("a", 10).default_queue(|q| q.policy = Policy::Priority).queue(change);
        let c = c.default_pool(|p| p.discipline = Discipline::Strict).job(0).cpu_milli(7_000).runs("a", 1);
        c.job(1).cpu_milli(8_000).with(|j| j.priority = 3).job(1).cpu_milli(2_000)
    };
    assert_eq!(ask(c(|_| ())), ["cpu -", "time -", "priority 4 on 1", "queue 0 on 1"]);
    assert_eq!(ask(c(|q| q.tier = 1))[2..], ["priority 4 on 1", "queue 0 on 1"]);
    assert_eq!(ask(c(|q| q.tier = -1))[2..], ["priority 4 on 1", "queue -"]);
    assert_eq!(ask(c(|q| q.max_cpu_milli = Some(1_000)))[2..], ["priority 4 on 1"], "the queue refuses it");
    // At its own limit nothing else helps.
    let limited = |cpus| cluster().node("a", cpus).job(3).with(|j| j.max_running = Some(2)).runs("a", 2);
    assert_eq!(ask(limited(4)), ["max_running 3 on 1"]);
    assert_eq!(ask(limited(2)), ["max_running -"]);
    let apart = cluster().node("a", 4).job(1).with(|j| j.affinity.apart = true).runs("a", 1);
    assert_eq!(ask(apart), ["cpu -", "time -", "apart 0 on 1"]);
    // What operators can do, for nodes that could run it.
    let drained = cluster().node("a", 4).draining().node("b", 1).draining().node("c", 4).draining();
    assert_eq!(ask(drained.job(1).cpu_milli(2_000)), ["cpu -", "time -", "resume 0 on 1", "resume 0 on 3"]);
    let shut = cluster().node("a", 4).on_node(|node| {
        let window = |name: &str| Window { name: name.into(), from_wall_ms: 0, until_wall_ms: 90 };
        node.maintenance = vec![window("disks")];
    });
    assert_eq!(ask(shut.job(1)), ["cpu -", "time -", "maintenance 0 on 1"]);
    // Nodes that are away, where one that came back would take it.
    let away = cluster().node("a", 4).down().node("b", 1).down().node("c", 4).on_node(|n| n.status.stop());
    assert_eq!(ask(away.job(1).cpu_milli(2_000)), ["cpu -", "time -", "return 0 on 1", "return 0 on 3"]);
    let drained = cluster().node("a", 4).draining().on_node(|n| n.status.lose());
    assert_eq!(ask(drained.job(1)), ["cpu -", "time -", "return -"]);
}

#[test]
fn what_is_not_sure_to_end_before_maintenance_needs_a_limit() {
    let from = |ms| {
        let window = Window { name: "disks".into(), from_wall_ms: ms, until_wall_ms: ms + 90 };
        cluster().node("a", 4).on_node(|node| node.maintenance = vec![window])
    };
    let job = |ms, estimate: u64, limit: Option<u64>| {
        from(ms).job(1).with(|job| (job.estimate_ms, job.limit_ms) = (Some(estimate * MINUTE), limit))
    };
    let needs = format!("time_limit {} on 1", 60 * MINUTE);
    for limit in [None, Some(240 * MINUTE)] {
        assert_eq!(
            ask(job(60 * MINUTE, 10, limit)),
            ["cpu -", "time -", needs.as_str(), "maintenance 0 on 1"]
        );
    }
    // By its estimate it would still run when the window begins: no limit above that helps.
    assert_eq!(ask(job(30 * MINUTE, 60, None)), ["cpu -", "time -", "time_limit -", "maintenance 0 on 1"]);
}

#[test]
fn a_job_that_ends_in_time_passes_a_reserved_start() {
    let c = || busy().job(1).cpu_milli(8_000).takes(MINUTE);
    assert_eq!(
        ask(c().job(1).cpu_milli(3_000).takes(15 * MINUTE)),
        ["cpu 2000 on 1".to_owned(), format!("time {} on 1", 10 * MINUTE)]
    );
    // Its length is unknown: ten minutes are enough, and more are not.
    assert_eq!(
        ask(c().job(1).cpu_milli(3_000)),
        ["cpu 2000 on 1".to_owned(), format!("time {} on 1", 10 * MINUTE)]
    );
}

#[test]
fn a_shorter_one_goes_first_where_the_order_says_so() {
    let c = |policy| {
        let c =
            busy().default_queue(|q| q.policy = policy).default_pool(|p| p.discipline = Discipline::Strict);
        c.job(1).cpu_milli(8_000).takes(9 * MINUTE).job(1).cpu_milli(3_000).takes(15 * MINUTE)
    };
    assert_eq!(ask(c(Policy::Sjf)), ["cpu -".to_owned(), format!("time {} on 1", 8 * MINUTE)]);
    assert_eq!(ask(c(Policy::Fcfs)), ["cpu -", "time -"]);
}

/// Under F1 a job that is expected to take less than a second moves back when it asks for less: the steps are tried one
/// by one.
#[test]
fn where_less_moves_back_every_step_is_tried() {
    let c = |other: u64| {
        let c = cluster().node("a", 10).default_queue(|q| q.policy = Policy::F1);
        let c = c.default_pool(|p| p.discipline = Discipline::Strict).job(0).cpu_milli(7_000).runs("a", 1);
        let c = c.job(1).cpu_milli(other).takes(500).submitted(100);
        c.job(1).cpu_milli(4_000).takes(500).submitted(100)
    };
    assert_eq!(ask(c(3_500))[0], "cpu -", "before it could fit it is behind one that does not");
    assert_eq!(ask(c(2_900))[0], "cpu 3000 on 1");
    // 8 GiB are too many steps to try each: what is found may not be the least, and says so.
    let c = |other: u64| {
        c(3_000).default_pool(|p| p.discipline = Discipline::Greedy).job(1).takes(500).memory(other)
    };
    let big =
        |c: Cluster| c.node("b", 4).job(0).memory(6 << 30).runs("b", 1).job(1).memory(22 << 30).takes(500);
    assert_eq!(ask(big(c(1 << 30)))[0], format!("memory {}? on 1", 20u64 << 30));
}

/// The view with one job changed, made without the code under test.
fn changed(view: &View, job: JobId, dimension: &Dimension, step: u64) -> View {
    let mut view = view.clone();
    let mut waiting = view.jobs[&job].clone();
    let at = view.classes.len();
    view.set_waiting(waiting.stand(), false);
    let old = &view.classes[waiting.class];
    let mut class = ClassView { id: ClassId(u32::try_from(at).unwrap()), ..old.clone() };
    match dimension {
        Dimension::Cpu => class.request.amounts.cpu_milli -= 100 * step,
        Dimension::Memory => class.request.amounts.memory -= MIB * step,
        Dimension::Gpu => class.request.gpu_milli -= u32::try_from(step).unwrap(),
        Dimension::Named(name) => *class.request.amounts.named.get_mut(name).unwrap() -= step,
        Dimension::Term(at) => drop(class.constraint.0.remove(*at)),
        Dimension::Apart => (class.affinity.apart, class.affinity.apart_by) = (false, None),
        Dimension::Priority { .. } => waiting.priority += i32::try_from(step).unwrap(),
        Dimension::MaxRunning { now } => waiting.max_running = Some(now + u32::try_from(step).unwrap()),
        Dimension::Queue(queue) => class.queue = *queue,
        Dimension::Resume(node) => view.nodes[*node].status.resume(),
        Dimension::Return(node) => view.nodes[*node].status.register(Incarnation(1), None, true),
        Dimension::Limit => {
            let (most, least) = (365 * 24 * 60 * MINUTE, class.span.limit_ms);
            class.span.limit_ms = Some(least.map_or(most - (step - 1) * MINUTE, |ms| ms - step * MINUTE));
        }
        Dimension::Window(name) => {
            view.nodes.iter_mut().for_each(|node| node.maintenance.retain(|window| window.name != *name));
        }
        Dimension::Time if class.span == Span::default() => {
            let all = Some((365 * 24 * 60 + 1 - step) * MINUTE);
            class.span = Span { estimate_ms: all, limit_ms: all };
        }
        Dimension::Time => {
            let less = |ms: Option<u64>| ms.map(|ms| ms - step * MINUTE);
            class.span =
                Span { estimate_ms: less(class.span.estimate_ms), limit_ms: less(class.span.limit_ms) };
        }
    }
    let orderable = Orderable {
        job,
        submitted_ms: waiting.submitted_ms,
        priority: waiting.priority,
        estimate_ms: class.span.expected_ms(),
        size: size(&class.request),
    };
    let key = view.queues[class.queue].config.key(&orderable);
    (class.waiting, class.by_age, class.running) = Default::default();
    if class.affinity.is_apart() {
        for node in &mut view.nodes {
            if let Some(here) = node.by_class.get(&waiting.class).copied() {
                node.by_class.insert(class.id, here);
            }
        }
    }
    view.set_class(class);
    (waiting.key, waiting.class) = (key, ClassId(u32::try_from(at).unwrap()));
    view.set_waiting(waiting.stand(), waiting.placeable() > 0);
    view.jobs.insert(job, waiting);
    view
}

/// Where `schedule` places a task of the changed job.
fn placed(view: &View, job: JobId, dimension: &Dimension, step: u64) -> Option<NodeId> {
    let plan = schedule(&changed(view, job, dimension, step), Budget::default());
    plan.assignments.iter().find(|a| a.job == job && !a.prefetch).map(|a| a.node)
}

/// Steps of one answer: to what was found, and all there are.
fn steps(class: &ClassView, dimension: &Dimension, with: i64) -> u64 {
    let amounts = &class.request.amounts;
    let more = |now: i64| u64::try_from(with - now).unwrap_or(1);
    let with = u64::try_from(with).unwrap_or(0);
    match dimension {
        Dimension::Cpu => (amounts.cpu_milli - with.max(1)) / 100,
        Dimension::Memory => (amounts.memory - with.max(1)) / MIB,
        Dimension::Gpu => u64::from(class.request.gpu_milli) - with.max(1),
        Dimension::Named(name) => amounts.named[name] - with.max(1),
        Dimension::Priority { now } => more(i64::from(*now)),
        Dimension::MaxRunning { now } => more(i64::from(*now)),
        Dimension::Term(_)
        | Dimension::Apart
        | Dimension::Queue(_)
        | Dimension::Resume(_)
        | Dimension::Return(_)
        | Dimension::Window(_) => 1,
        Dimension::Limit => {
            let with = with.max(class.span.estimate_ms.unwrap());
            let most = 365 * 24 * 60 * MINUTE;
            class.span.limit_ms.map_or((most - with) / MINUTE + 1, |limit| (limit - with) / MINUTE)
        }
        Dimension::Time => match class.span.expected_ms() {
            Some(ms) => (ms - with.max(1)) / MINUTE,
            None => 365 * 24 * 60 + 1 - with.max(MINUTE) / MINUTE,
        },
    }
}

/// Tries every step before the one that was found, or all of them; of very many, some.
fn check(view: &View, job: JobId, answer: &Counterfactual, some: u64) -> Result<(), TestCaseError> {
    const ALL: u64 = 128;
    let dimension = &answer.dimension;
    let class = view.class(view.jobs[&job].class).unwrap();
    let (before, found) = match answer.finding {
        Finding::Starts { with, node, smallest } => {
            prop_assert!(smallest, "few steps are all tried: {answer:?}");
            let found = steps(class, dimension, with);
            (found - 1, Some((found, node)))
        }
        // Not even the most that can be asked for.
        Finding::NothingHelps if matches!(dimension, Dimension::Priority { .. }) => (1_000_000, None),
        Finding::NothingHelps => (steps(class, dimension, 0), None),
        Finding::Unknown => return Err(TestCaseError::fail(format!("{answer:?}"))),
    };
    if let Some((found, node)) = found {
        prop_assert_eq!(placed(view, job, dimension, found), Some(node), "job {} {:?}", job, answer);
    }
    let spread = (0..ALL).map(|n| 1 + (n * n * n + some) % before.max(1));
    let tried: Vec<u64> =
        if before <= ALL { (1..=before).collect() } else { spread.chain([before]).collect() };
    for step in tried {
        prop_assert_eq!(
            placed(view, job, dimension, step),
            None,
            "step {} of job {} {:?}",
            step,
            job,
            answer
        );
    }
    Ok(())
}

/// A cluster in which memory is short too and jobs take minutes, with its queues under any policy, after its first
/// pass.
fn lived_in(mut cluster: Cluster, policies: &[usize], pass: u32) -> View {
    let pool = &mut cluster.pools[0].config;
    pool.placement = Placement::NAMES[policies[0] / 4 % Placement::NAMES.len()].1;
    for node in &mut cluster.nodes {
        node.capacity.amounts.memory = node.capacity.amounts.cpu_milli / 1_000 * 2 * MIB;
        node.free.memory = node.capacity.amounts.memory;
    }
    for (queue, policy) in cluster.queues.iter_mut().zip(policies) {
        queue.config.policy = Policy::NAMES[policy % Policy::NAMES.len()].1;
    }
    for (n, job) in (0u64..).zip(&mut cluster.jobs) {
        let rank = n.wrapping_mul(7) + job.request.amounts.cpu_milli / 500 + u64::from(job.tasks);
        job.request.exclusive = rank % 11 == 0;
        job.affinity.apart = rank % 5 == 0;
        job.request.amounts.memory = rank % 7 * MIB / (1 + rank % 2);
        if let Some(ms) = job.estimate_ms {
            job.limit_ms = (rank % 3 > 0).then(|| (ms + rank % 5) * MINUTE / 2 + 1);
            job.estimate_ms =
                (rank % 4 > 0).then_some(if rank % 5 == 0 { ms * 25 + 1 } else { ms * MINUTE + 1 });
        }
    }
    let mut view = cluster.view();
    let first = schedule(&view, Budget { tasks_max: pass, ..Budget::default() });
    apply(&mut view, &first);
    view.now_ms += u64::from(pass) % 3 * MINUTE;
    view
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 200 } else { 4_000 }))]

    #[test]
    fn each_is_true_and_none_smaller_is(
        cluster in any_cluster(),
        policies in prop::collection::vec(0usize..32, 3),
        pass in 0u32..12,
        some in 0u64..1_000,
    ) {
        let view = lived_in(cluster, &policies, pass);
        let waiting: Vec<JobId> = {
            let waits = |job: &JobView| JobView { max_running: None, ..job.clone() }.placeable() > 0;
            view.jobs.iter().filter(|(_, job)| waits(job)).map(|(id, _)| *id).collect()
        };
        for job in waiting {
            for answer in counterfactuals(&view, job) {
                check(&view, job, &answer, some)?;
            }
        }
    }
}
