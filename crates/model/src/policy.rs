//! In which order a queue's jobs run. A key never changes as time passes, so that nothing is sorted again.

use crate::pool::{by_name, name_of};
use crate::quantity::{show_duration, show_size, show_thousandths};
use crate::{Constraint, Invalid, JobId, Request, fixed, limits};
use minicbor::{Decode, Encode};

/// Ordering policy of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Policy {
    /// First come, first served.
    #[default]
    #[n(0)]
    Fcfs,
    /// Shortest job first, by the estimate (else the time limit; jobs with neither come last).
    #[n(1)]
    Sjf,
    /// Highest priority first; waiting raises it by one point per [`QueueConfig::aging_ms`].
    #[n(2)]
    Priority,
    /// Smallest area first: estimate × size (jobs without an estimate come last).
    #[n(3)]
    Saf,
    /// Smallest softened area first: see [`soft_area`].
    #[n(4)]
    SoftArea,
    /// Users and accounts take turns by what they have used lately against their weights; within one's own work as `priority`.
    #[n(6)]
    FairShare,
    /// Dominant resource fairness (Ghodsi et al., NSDI 2011): whoever has the least of the resource of which it has most takes the next turn.
    #[n(7)]
    Drf,
    /// A weighted sum: see [`Factors`].
    #[n(8)]
    MultiFactor,
    /// log10(estimate) × size + 870 × log10(time of submit): F1 of Carastan-Santos and de Camargo, SC'17.
    #[n(5)]
    F1,
}

impl Policy {
    /// All policies with their names, as users write them.
    pub const NAMES: [(&'static str, Policy); 9] = [
        ("fcfs", Policy::Fcfs),
        ("sjf", Policy::Sjf),
        ("saf", Policy::Saf),
        ("soft-area", Policy::SoftArea),
        ("f1", Policy::F1),
        ("priority", Policy::Priority),
        ("multi-factor", Policy::MultiFactor),
        ("fair-share", Policy::FairShare),
        ("drf", Policy::Drf),
    ];

    /// The policy of a name.
    pub fn parse(field: &str, text: &str) -> Result<Policy, Invalid> {
        by_name(&Policy::NAMES, field, text)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        name_of(&Policy::NAMES, self)
    }
}

/// Weights of [`Policy::MultiFactor`], in points. The job with the most points goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Factors {
    /// Points for each hour of waiting.
    #[n(0)]
    pub age: i32,
    /// Points for each point of the job's priority.
    #[n(1)]
    pub priority: i32,
    /// Points for each core a task takes (see [`size`]); less than 0 puts the small ones first.
    #[n(2)]
    pub size: i32,
    /// Points for one whose user and account have used nothing lately; half of it at their fair share, and less beyond.
    #[n(3)]
    pub fair_share: i32,
}

impl Default for Factors {
    fn default() -> Self {
        Factors { age: 10, priority: 100, size: 0, fair_share: 1_000 }
    }
}

/// Points, in the unit of ranks: a point for an hour of waiting is one for each millisecond.
pub const POINT: i128 = 3_600_000;

/// Settings of a queue, replicated.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QueueConfig {
    /// Order of its jobs.
    #[n(0)]
    pub policy: Policy,
    /// Queues of a higher tier are served first.
    #[n(1)]
    pub tier: i32,
    /// Share among queues of one tier: running cpu divided by weight is kept even.
    #[n(2)]
    pub weight: u32,
    /// Under `priority`, waiting this long is worth one point.
    #[n(3)]
    pub aging_ms: u64,
    /// A job that has waited longer goes before all younger ones, by time of submit, and nothing younger takes a node it could use.
    #[n(4)]
    pub max_wait_ms: u64,
    /// Name of the pool whose nodes its jobs run on; the default one when missing.
    #[n(5)]
    pub pool: Option<String>,
    /// Weights under `multi-factor`; the default ones when missing.
    #[n(6)]
    pub factors: Option<Factors>,
    /// Time limit of jobs that bring none, in milliseconds.
    #[n(7)]
    pub default_limit_ms: Option<u64>,
    /// Longest time limit of its jobs, in milliseconds. A job without one gets this.
    #[n(8)]
    pub max_limit_ms: Option<u64>,
    /// Most cores of one task, in thousandths.
    #[n(9)]
    pub max_cpu_milli: Option<u64>,
    /// Most memory of one task, in bytes.
    #[n(10)]
    pub max_memory: Option<u64>,
    /// Most GPUs of one task, in thousandths.
    #[n(11)]
    pub max_gpu_milli: Option<u32>,
    /// Most tasks of one job.
    #[n(12)]
    pub max_tasks: Option<u32>,
    /// Of its pool's nodes, only these run its jobs.
    #[n(13)]
    pub nodes: Option<Constraint>,
    /// Longest grace of its jobs, in milliseconds; [`limits::GRACE_MS_DEFAULT_MAX`] when missing.
    #[n(14)]
    pub max_grace_ms: Option<u64>,
    /// Highest priority that who may submit here may give, unless they may control the work of others too;
    /// [`limits::PRIORITY_DEFAULT_MAX`] when missing.
    #[n(15)]
    pub max_priority: Option<i32>,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            policy: Policy::Fcfs,
            tier: 0,
            weight: 1,
            aging_ms: 60_000,
            max_wait_ms: 24 * 3_600_000,
            pool: None,
            factors: None,
            default_limit_ms: None,
            max_limit_ms: None,
            max_cpu_milli: None,
            max_memory: None,
            max_gpu_milli: None,
            max_tasks: None,
            nodes: None,
            max_grace_ms: None,
            max_priority: None,
        }
    }
}

impl QueueConfig {
    /// Checks ranges.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.weight == 0 || self.weight > 1_000_000 {
            return Err(Invalid::new("weight", self.weight, "between 1 and 1000000"));
        }
        if self.aging_ms == 0 || self.aging_ms > 365 * 86_400_000 {
            return Err(Invalid::new("aging", self.aging_ms, "between 1ms and 365d"));
        }
        for (field, limit) in [("default_limit", self.default_limit_ms), ("max_limit", self.max_limit_ms)] {
            if limit == Some(0) {
                return Err(Invalid::new(field, 0, "more than zero, or none"));
            }
        }
        if let (Some(default), Some(most)) = (self.default_limit_ms, self.max_limit_ms)
            && default > most
        {
            let remedy = format!("write at most the queue's max_limit, {}", show_duration(most));
            return Err(Invalid::new("default_limit", show_duration(default), remedy));
        }
        if let Some(grace) = self.max_grace_ms.filter(|grace| *grace > limits::GRACE_MS_MAX) {
            let remedy = format!("at most {}, or none", show_duration(limits::GRACE_MS_MAX));
            return Err(Invalid::new("max_grace", show_duration(grace), remedy));
        }
        if let Some(priority) =
            self.max_priority.filter(|most| most.unsigned_abs() > limits::PRIORITY_MAX.unsigned_abs())
        {
            let remedy = format!("between -{0} and {0}, or none", limits::PRIORITY_MAX);
            return Err(Invalid::new("max_priority", priority, remedy));
        }
        if self.max_tasks == Some(0) {
            return Err(Invalid::new("max_tasks", 0, "at least 1, or none"));
        }
        if self.max_wait_ms == 0 {
            return Err(Invalid::new("max_wait", 0, "more than zero"));
        }
        if self.tier.unsigned_abs() > limits::PRIORITY_MAX.unsigned_abs() {
            return Err(Invalid::new(
                "tier",
                self.tier,
                format!("between -{0} and {0}", limits::PRIORITY_MAX),
            ));
        }
        Ok(())
    }
}

impl QueueConfig {
    /// Whether a job can ever have waited too long here.
    pub fn ages(&self) -> bool {
        self.max_wait_ms != u64::MAX
    }
}

/// Position in a queue: smaller runs earlier. Ends in the job id, so that the order is total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey {
    /// The policy's measure.
    pub rank: i128,
    /// Ties go to the older job.
    pub job: JobId,
}

/// What an order may look at.
#[derive(Clone, Copy, Debug)]
pub struct Orderable {
    /// The job.
    pub job: JobId,
    /// State time since which it waits (see [`crate::JobView::submitted_ms`]).
    pub submitted_ms: u64,
    /// Its priority.
    pub priority: i32,
    /// How long a task of it is expected to run (see [`crate::Span::expected_ms`]).
    pub estimate_ms: Option<u64>,
    /// How much one task takes (see [`size`]).
    pub size: u64,
}

/// How much a task takes, in thousandths of a core: the most of its cores, its memory at 4 GiB a core, and its GPUs at 8 cores each, as
/// machines commonly have them.
pub fn size(request: &Request) -> u64 {
    const MEMORY_OF_A_CORE: u64 = 4 << 30;
    const CORES_OF_A_GPU: u64 = 8;
    let memory = u128::from(request.amounts.memory) * 1_000 / u128::from(MEMORY_OF_A_CORE);
    let memory = u64::try_from(memory).unwrap_or(u64::MAX);
    request.amounts.cpu_milli.max(memory).max(u64::from(request.gpu_milli) * CORES_OF_A_GPU)
}

impl QueueConfig {
    /// The job's place in this queue.
    pub fn key(&self, job: &Orderable) -> OrderKey {
        let submitted = i128::from(job.submitted_ms);
        let known = |rank: fn(u64, u64) -> i128| job.estimate_ms.map_or(i128::MAX, |ms| rank(ms, job.size));
        let rank = match self.policy {
            Policy::Fcfs => submitted,
            Policy::Sjf => known(|estimate, _| i128::from(estimate)),
            // priority + waited/aging falls in step for all, so comparing submit − priority·aging compares it at any time.
            Policy::Priority | Policy::FairShare | Policy::Drf => {
                submitted - i128::from(job.priority) * i128::from(self.aging_ms)
            }
            Policy::Saf => known(|estimate, size| i128::from(estimate) * i128::from(size)),
            Policy::SoftArea => known(soft_area),
            Policy::MultiFactor => self.factors.unwrap_or_default().rank(job),
            Policy::F1 => job.estimate_ms.map_or(i128::MAX, |ms| f1(ms, job.size, job.submitted_ms)),
        };
        OrderKey { rank, job: job.job }
    }
}

impl QueueConfig {
    /// Whether the order looks at priorities; between jobs of one user alone, where turns go by use.
    pub fn heeds_priority(&self) -> bool {
        match self.policy {
            Policy::Priority | Policy::FairShare | Policy::Drf => true,
            Policy::MultiFactor => self.factors.unwrap_or_default().priority != 0,
            Policy::Fcfs | Policy::Sjf | Policy::Saf | Policy::SoftArea | Policy::F1 => false,
        }
    }

    /// The time limit that a job gets here which asks for this one.
    pub fn limit_ms(&self, asked: Option<u64>) -> Option<u64> {
        asked.or(self.default_limit_ms).or(self.max_limit_ms)
    }

    /// Longest grace of its jobs.
    pub fn grace_max_ms(&self) -> u64 {
        self.max_grace_ms.unwrap_or(limits::GRACE_MS_DEFAULT_MAX)
    }

    /// Highest priority that a submitter may give.
    pub fn priority_max(&self) -> i32 {
        self.max_priority.unwrap_or(limits::PRIORITY_DEFAULT_MAX)
    }

    /// Refuses a priority that only who controls the queue's work may give. `name` is the queue's.
    pub fn admit_priority(&self, name: &str, priority: i32) -> Result<(), Invalid> {
        let most = self.priority_max();
        if priority <= most {
            return Ok(());
        }
        let remedy = format!("queue {name} allows at most {most} from submitters; an operator can set more");
        Err(Invalid::new("priority", priority, remedy))
    }

    /// Refuses what a queue does not take: which field, what was asked, and the most that is allowed. `name` is the queue's.
    pub fn admit(
        &self,
        name: &str,
        request: &Request,
        limit_ms: Option<u64>,
        tasks: u32,
    ) -> Result<(), Invalid> {
        let cpus = (request.amounts.cpu_milli, self.max_cpu_milli);
        let gpus = (request.gpu_milli.into(), self.max_gpu_milli.map(u64::from));
        let tasks = (tasks.into(), self.max_tasks.map(u64::from));
        at_most(name, "cpus", cpus, show_thousandths)?;
        at_most(name, "memory", (request.amounts.memory, self.max_memory), show_size)?;
        at_most(name, "gpus", gpus, show_thousandths)?;
        at_most(name, "array", tasks, |tasks| format!("{tasks} tasks"))?;
        at_most(name, "time_limit", (limit_ms.unwrap_or(0), self.max_limit_ms), show_duration)
    }

    /// Refuses a grace that is too long for a queue.
    pub fn admit_grace(&self, name: &str, grace_ms: u64) -> Result<(), Invalid> {
        at_most(name, "grace", (grace_ms, Some(self.grace_max_ms())), show_duration)
    }
}

/// Refuses what is asked of a queue beyond the most that it takes.
fn at_most(
    name: &str,
    field: &str,
    (asked, most): (u64, Option<u64>),
    show: fn(u64) -> String,
) -> Result<(), Invalid> {
    match most {
        Some(most) if asked > most => {
            let remedy = format!("queue {name} allows at most {}", show(most));
            Err(Invalid::new(field, show(asked), remedy))
        }
        _ => Ok(()),
    }
}

impl Factors {
    /// Less is more points. What waiting adds falls in step for all, and the fair share is added by the planner.
    fn rank(self, job: &Orderable) -> i128 {
        let age = i128::from(job.submitted_ms) * i128::from(self.age);
        let priority = i128::from(job.priority) * i128::from(self.priority) * POINT;
        let size = i128::from(job.size) * i128::from(self.size) * (POINT / 1_000);
        age - priority - size
    }
}

impl Policy {
    /// Whether the order between users changes with what they use, so that keys order only the work of one.
    pub fn follows_use(self) -> bool {
        matches!(self, Policy::FairShare | Policy::Drf | Policy::MultiFactor)
    }
}

/// `0.4·log(estimate + 30 s) + log(size + 30 cores)`: a job's area as far as it matters. Among short jobs the length hardly counts, among small
/// ones the size; and a job ten times as wide weighs more than one ten times as long, because it also waits for more to become free at once.
///
/// The constants are the best of 120 on windows of two traces that overlap none of those on which they are judged (ADR 18, which says where it wins and
/// where it does not; `choose_constants` in `sim` does it again).
fn soft_area(estimate_ms: u64, size: u64) -> i128 {
    const LENGTH: (i128, u64) = (2, 30_000);
    const SIZE: (i128, u64) = (5, 30_000);
    let log = |(factor, softening): (i128, u64), x: u64| {
        factor * i128::from(fixed::log2(x.saturating_add(softening)))
    };
    log(LENGTH, estimate_ms) + log(SIZE, size)
}

fn f1(estimate_ms: u64, size: u64, submitted_ms: u64) -> i128 {
    // log2 instead of log10 throughout: a common factor. Times in seconds, and the time 0 counts as a tenth of one.
    let seconds = |ms: u64| i128::from(fixed::log2(ms.max(100)) - fixed::log2(1_000));
    seconds(estimate_ms) * i128::from(size) + 870_000 * seconds(submitted_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: u64, submitted_ms: u64, priority: i32, estimate_ms: Option<u64>) -> Orderable {
        Orderable { job: JobId(id), submitted_ms, priority, estimate_ms, size: 1_000 }
    }

    fn order(policy: Policy, mut jobs: Vec<Orderable>) -> Vec<u64> {
        let config = QueueConfig { policy, ..QueueConfig::default() };
        jobs.sort_by_key(|j| config.key(j));
        jobs.iter().map(|j| j.job.0).collect()
    }

    #[test]
    fn orders() {
        let jobs =
            vec![job(1, 0, 0, None), job(2, 1, 5, Some(100)), job(3, 2, 5, Some(10)), job(4, 2, 0, Some(10))];
        assert_eq!(order(Policy::Fcfs, jobs.clone()), [1, 2, 3, 4]);
        assert_eq!(order(Policy::Sjf, jobs.clone()), [3, 4, 2, 1]);
        assert_eq!(order(Policy::Priority, jobs), [2, 3, 1, 4]);
    }

    #[test]
    fn a_queue_says_what_it_does_not_take() {
        let config = QueueConfig {
            max_cpu_milli: Some(2_500),
            max_limit_ms: Some(3_600_000),
            max_tasks: Some(3),
            ..QueueConfig::default()
        };
        let amounts = crate::Amounts { cpu_milli: 3_000, ..Default::default() };
        let large = Request { amounts, ..Request::default() };
        let refused = |request: &Request, limit, tasks| {
            config.admit("q", request, limit, tasks).unwrap_err().to_string()
        };
        assert_eq!(refused(&large, None, 1), "cpus: \"3\": queue q allows at most 2.5");
        let small = Request::default();
        assert_eq!(refused(&small, Some(7_200_000), 1), "time_limit: \"2h\": queue q allows at most 1h");
        assert_eq!(refused(&small, None, 4), "array: \"4 tasks\": queue q allows at most 3 tasks");
        assert_eq!(config.admit("q", &small, Some(3_600_000), 3), Ok(()));
        let grace = config.admit_grace("q", 600_001).unwrap_err().to_string();
        assert!(grace.starts_with("grace: ") && grace.ends_with("queue q allows at most 10m"), "{grace}");
        assert_eq!(config.admit_grace("q", 600_000), Ok(()));
        let priority = config.admit_priority("q", 1_001).unwrap_err().to_string();
        assert!(priority.contains("at most 1000 from submitters"), "{priority}");
        assert_eq!((config.limit_ms(None), config.limit_ms(Some(5))), (Some(3_600_000), Some(5)));
        let bad = QueueConfig { default_limit_ms: Some(7_200_000), ..config };
        assert_eq!(bad.check().unwrap_err().field, "default_limit");
    }

    #[test]
    fn waiting_outweighs_priority_in_the_end() {
        let aging = QueueConfig::default().aging_ms;
        let young_but_important = |after| job(2, after, 10, None);
        assert_eq!(order(Policy::Priority, vec![job(1, 0, 0, None), young_but_important(9 * aging)]), [2, 1]);
        assert_eq!(
            order(Policy::Priority, vec![job(1, 0, 0, None), young_but_important(11 * aging)]),
            [1, 2]
        );
    }
}
