//! Why a task does not run yet. Produced by the code that decides, never by a second implementation.

use crate::resources::Short;
use crate::{JobId, NodeState, Unavailable};
use std::collections::BTreeSet;
use std::fmt;

/// Why waiting work is not placed now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A user holds the job.
    Held,
    /// Other jobs must end first.
    After {
        /// The first of them.
        job: JobId,
        /// How many there are besides.
        more: u32,
    },
    /// The time of its begin has not come.
    NotBefore {
        /// State time at which it has.
        at_ms: u64,
    },
    /// As many of its tasks run as it allows at once.
    JobLimit {
        /// The limit.
        max_running: u32,
    },
    /// All that is left waits for its next try.
    Backoff {
        /// State time of the earliest retry.
        until_ms: u64,
    },
    /// No node is there to run anything.
    NoNodes,
    /// No node could ever run it; see the rules.
    NoNodeCould,
    /// Nodes could run it, and none takes it now; see the rules.
    NoNodeFree(Causes),
    /// Another job goes first and takes what there is.
    Behind {
        /// The job ahead.
        job: JobId,
    },
    /// Nothing speaks against it: the next pass will place it.
    Next,
}

/// Why a node that could run a task does not take it now, as kinds of [`Rule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// What the task needs is in use.
    Busy,
    /// Something runs there, and the task is to run alone.
    NotEmpty,
    /// What runs there is to run alone.
    TakenAlone,
    /// A task of the job is there, and they run apart.
    Apart,
    /// It has maintenance that begins before the task is sure to have ended.
    Maintenance,
    /// It has maintenance that has begun.
    InMaintenance,
    /// It is in a state that takes no new work.
    Unavailable(NodeState),
}

/// Different causes, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Causes(pub Vec<Cause>);

/// Why one node does not take a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// It is in a state that takes no new work.
    Unavailable(Unavailable),
    /// A term of the constraint does not hold.
    Constraint(String),
    /// It never has that much.
    Capacity(Short),
    /// It does not have that much free now.
    Free(Short),
    /// It runs the maximum number of attempts of a node.
    TooMany,
    /// The task asks for no CPU, and this many run there: no more of its kind start.
    TooManyForNoCpu(u32),
    /// The task is to run alone, and something runs there.
    NotEmpty,
    /// What runs there is to run alone.
    Exclusive,
    /// A task of the job runs there or is held there, and they are to run apart.
    Apart,
    /// The same of another node with this label and value, by which they are to run apart.
    ApartBy(String),
    /// The job has one task for each of some nodes, and none that waits for this one.
    NotATarget,
    /// The task might still run when the node is to be maintained.
    Maintenance {
        /// Name of the window.
        window: String,
        /// Wall clock of its begin.
        from_wall_ms: u64,
        /// It has begun.
        begun: bool,
    },
    /// It is kept for a job that has waited past its queue's `max_wait`, or that is the first and whose start is unknown.
    ReservedFor(JobId),
    /// The task would be in the way of one that is planned to start there.
    Delays {
        /// Whose task.
        job: JobId,
        /// State time of its planned start.
        at_ms: u64,
    },
    /// It belongs to another pool than the job's queue.
    OtherPool {
        /// Its pool.
        pool: String,
        /// The pool of the job's queue.
        asked: String,
    },
}

impl From<Unavailable> for Rule {
    fn from(why: Unavailable) -> Self {
        Rule::Unavailable(why)
    }
}

impl Rule {
    /// Whether waiting can mend it.
    pub fn is_passing(&self) -> bool {
        !matches!(self, Rule::Constraint(_) | Rule::Capacity(_) | Rule::OtherPool { .. })
    }

    /// What keeps a node that could run the task; `None` for one that could not, and for one that is kept for another job.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Rule::Unavailable(why) => Some(Cause::Unavailable(why.state)),
            Rule::Free(_) | Rule::TooMany | Rule::TooManyForNoCpu(_) => Some(Cause::Busy),
            Rule::NotEmpty => Some(Cause::NotEmpty),
            Rule::Exclusive => Some(Cause::TakenAlone),
            Rule::Apart | Rule::ApartBy(_) => Some(Cause::Apart),
            Rule::Maintenance { begun: true, .. } => Some(Cause::InMaintenance),
            Rule::Maintenance { .. } => Some(Cause::Maintenance),
            Rule::Constraint(_)
            | Rule::Capacity(_)
            | Rule::OtherPool { .. }
            | Rule::NotATarget
            | Rule::ReservedFor(_)
            | Rule::Delays { .. } => None,
        }
    }
}

impl Causes {
    /// Those of some rules.
    pub fn of<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Causes {
        let all: BTreeSet<Cause> = rules.into_iter().filter_map(Rule::cause).collect();
        Causes(all.into_iter().collect())
    }
}

impl Cause {
    /// What it says of one node, or of several.
    pub fn predicate(self, several: bool) -> &'static str {
        let (one, many) = match self {
            Cause::Busy => ("is busy", "are busy"),
            Cause::NotEmpty => (
                "runs other work, and the task needs a node to itself",
                "run other work, and the task needs a node to itself",
            ),
            Cause::TakenAlone => {
                ("runs a task that has the node to itself", "run tasks that have the node to themselves")
            }
            Cause::Apart => (
                "already runs a task of the job, and its tasks must run apart",
                "already run a task of the job, and its tasks must run apart",
            ),
            Cause::Maintenance => (
                "has maintenance that begins before the task is sure to have ended",
                "have maintenance that begins before the task is sure to have ended",
            ),
            Cause::InMaintenance => ("is in maintenance", "are in maintenance"),
            Cause::Unavailable(state) => return state.predicate(several),
        };
        if several { many } else { one }
    }
}

impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [] => write!(f, "no node that could run it accepts it now"),
            [one] => write!(f, "every node that could run it {}", one.predicate(false)),
            [rest @ .., last] => {
                write!(f, "of the nodes that could run it, ")?;
                for (at, cause) in rest.iter().enumerate() {
                    write!(f, "{}some {}", if at > 0 { ", " } else { "" }, cause.predicate(true))?;
                }
                write!(f, " and some {}", last.predicate(true))
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Unavailable(why) => why.fmt(f),
            Rule::Constraint(term) => write!(f, "constraint \"{term}\" does not hold"),
            Rule::Capacity(s) => {
                write!(f, "has {}, {} requested", s.phrase(s.there), s.show(s.asked))
            }
            Rule::Free(s) => {
                write!(f, "{} free, {} requested", s.phrase(s.there), s.show(s.asked))
            }
            Rule::TooMany => write!(f, "runs the maximum number of attempts of a node"),
            Rule::TooManyForNoCpu(most) => {
                write!(f, "starts no task without CPUs while {most} tasks run there")
            }
            Rule::NotEmpty => write!(f, "runs other work, and the task needs a node to itself"),
            Rule::Exclusive => write!(f, "runs a task that has the node to itself"),
            Rule::Apart => write!(f, "already runs a task of the job, and its tasks must run apart"),
            Rule::ApartBy(domain) => {
                write!(
                    f,
                    "a node with \"{domain}\" already runs a task of the job, and its tasks must run apart"
                )
            }
            Rule::NotATarget => write!(f, "no task of the job waits for this node"),
            Rule::Maintenance { window, begun: true, .. } => write!(f, "in maintenance \"{window}\""),
            Rule::Maintenance { window, .. } => {
                write!(f, "maintenance \"{window}\" begins before the task is sure to have ended")
            }
            Rule::ReservedFor(job) => write!(f, "reserved for job {job}"),
            Rule::Delays { job, .. } => write!(f, "would delay job {job}, which is planned to start there"),
            Rule::OtherPool { pool, asked } => {
                write!(f, "is in pool {pool}; the queue uses pool {asked}")
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Held => write!(f, "held: release it to let it run"),
            Reason::After { job, more: 0 } => write!(f, "waits for job {job}"),
            Reason::After { job, more } => write!(f, "waits for job {job} and {more} more"),
            Reason::NotBefore { .. } => write!(f, "waits for its begin time"),
            Reason::JobLimit { max_running } => {
                write!(f, "its limit of {max_running} running tasks is reached")
            }
            Reason::Backoff { .. } => write!(f, "waits before retrying a failed task"),
            Reason::NoNodes => write!(f, "no agent is connected"),
            Reason::NoNodeCould => write!(f, "no node could ever run it"),
            Reason::NoNodeFree(causes) => causes.fmt(f),
            Reason::Behind { job } => write!(f, "job {job} goes first"),
            Reason::Next => write!(f, "about to be placed"),
        }
    }
}
