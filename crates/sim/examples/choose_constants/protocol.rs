//! The protocol of RLScheduler's evaluation over one window, small and fast: many thousands of windows are run to
//! choose a constant. The product's own engine runs the same protocol on `state`; `main` holds the two against each
//! other before it believes either.

use taskyard_sim::Workload;

/// Bounded slowdown counts a job as at least this long.
const TAU_S: u64 = 10;

/// One job, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) submit: u64,
    pub(crate) run: u64,
    pub(crate) estimate: u64,
    pub(crate) procs: u64,
}

/// The rank of a job: less is served first.
pub(crate) type Rank<'a> = &'a (dyn Fn(&Job) -> f64 + Sync);

/// Consecutive jobs on an empty machine.
pub(crate) struct Window {
    pub(crate) jobs: Vec<Job>,
    pub(crate) procs: u64,
}

impl Window {
    /// From a workload that the filter `rlwin` made.
    pub(crate) fn of(workload: &Workload) -> Window {
        let seconds = |ms: u64| ms / 1_000;
        let jobs = workload.jobs.iter().map(|j| Job {
            submit: seconds(j.submit_ms),
            run: seconds(j.run_ms),
            estimate: seconds(j.estimate_ms.unwrap_or(j.run_ms)),
            procs: u64::from(j.procs),
        });
        Window { jobs: jobs.collect(), procs: workload.cpu_milli() / 1_000 }
    }

    /// Mean bounded slowdown under an order.
    pub(crate) fn slowdown(&self, rank: Rank<'_>, backfill: bool) -> f64 {
        let ranks = self.jobs.iter().map(rank).collect();
        let mut run = Run::new(self, ranks);
        run.arrive();
        while let Some(head) = run.pick() {
            let shadow = if backfill && !run.fits(head) { run.shadow(head) } else { 0 };
            while !run.fits(head) {
                if backfill {
                    run.backfill(shadow);
                }
                run.step();
            }
            run.start(head);
            run.queue.retain(|job| *job != head);
        }
        let slowdowns =
            self.jobs.iter().zip(&run.starts).map(|(job, start)| {
                ((start - job.submit + job.run) as f64 / job.run.max(TAU_S) as f64).max(1.0)
            });
        slowdowns.sum::<f64>() / self.jobs.len() as f64
    }
}

struct Run<'a> {
    window: &'a Window,
    ranks: Vec<f64>,
    now: u64,
    next: usize,
    free: u64,
    /// Waiting jobs as earlier sorts have left them: ties go by that.
    queue: Vec<usize>,
    /// (end, expected end, job), in order of start.
    running: Vec<(u64, u64, usize)>,
    starts: Vec<u64>,
}

impl<'a> Run<'a> {
    fn new(window: &'a Window, ranks: Vec<f64>) -> Run<'a> {
        let starts = vec![0; window.jobs.len()];
        Run {
            window,
            ranks,
            now: 0,
            next: 0,
            free: window.procs,
            queue: Vec::new(),
            running: Vec::new(),
            starts,
        }
    }

    /// The job to start next; waits for one to come. `None` at the end.
    fn pick(&mut self) -> Option<usize> {
        while self.queue.is_empty() {
            if self.next == self.window.jobs.len() {
                return None;
            }
            self.step();
        }
        let ranks = &self.ranks;
        self.queue.sort_by(|a, b| ranks[*a].total_cmp(&ranks[*b]));
        Some(self.queue[0])
    }

    fn fits(&self, job: usize) -> bool {
        self.window.jobs[job].procs <= self.free
    }

    fn start(&mut self, job: usize) {
        let Job { run, estimate, procs, .. } = self.window.jobs[job];
        self.free -= procs;
        self.starts[job] = self.now;
        self.running.push((self.now + run, self.now + estimate, job));
    }

    /// When enough is expected to have ended.
    fn shadow(&self, head: usize) -> u64 {
        let mut ends: Vec<(u64, u64)> =
            self.running.iter().map(|(_, expected, job)| (*expected, self.window.jobs[*job].procs)).collect();
        ends.sort_by_key(|(expected, _)| *expected);
        let mut free = self.free;
        let enough = ends.iter().find(|(_, procs)| {
            free += procs;
            free >= self.window.jobs[head].procs
        });
        enough.map_or(self.now, |(expected, _)| *expected)
    }

    /// Starts what fits and is expected to end before the head's expected start, in order of submit.
    fn backfill(&mut self, shadow: u64) {
        let jobs = &self.window.jobs;
        self.queue.sort_by_key(|job| jobs[*job].submit);
        let queue = std::mem::take(&mut self.queue);
        let goes = |run: &mut Self, job: usize| {
            let goes = run.now + run.window.jobs[job].estimate < shadow && run.fits(job);
            if goes {
                run.start(job);
            }
            goes
        };
        self.queue = queue.into_iter().filter(|job| !goes(self, *job)).collect();
    }

    /// The next event: on one second a submit goes before an end.
    fn step(&mut self) {
        let ends = self.running.iter().enumerate().min_by_key(|(_, (end, ..))| *end);
        let submit = self.window.jobs.get(self.next).map(|job| job.submit);
        match (ends, submit) {
            (Some((_, (end, ..))), Some(submit)) if submit > *end => self.end(),
            (_, Some(_)) => self.arrive(),
            (Some(_), None) => self.end(),
            (None, None) => {}
        }
    }

    fn arrive(&mut self) {
        self.now = self.now.max(self.window.jobs[self.next].submit);
        self.queue.push(self.next);
        self.next += 1;
    }

    fn end(&mut self) {
        let Some((place, _)) = self.running.iter().enumerate().min_by_key(|(_, (end, ..))| *end) else {
            return;
        };
        let (end, _, job) = self.running.remove(place);
        self.now = self.now.max(end);
        self.free += self.window.jobs[job].procs;
    }
}
