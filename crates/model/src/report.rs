//! What an agent reports, and how attempts end.

use crate::{Fence, Incarnation, NodeId, TaskRef};
use minicbor::{Decode, Encode};

/// One batch of an agent. Items are in the order in which they happened on the agent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Report {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// The agent's registered life; a report of an older one changes nothing.
    #[n(1)]
    pub incarnation: Incarnation,
    /// What happened.
    #[n(2)]
    pub items: Vec<Item>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Item {
    /// An attempt runs now. For one that was prefetched, it took over the allocation of an attempt of its class that finished earlier in this report.
    #[n(0)]
    Started(#[n(0)] Start),
    /// An attempt ended. A prefetched one may go straight to here when it started and ended since the last report.
    #[n(1)]
    Finished(#[n(0)] Finish),
    /// An attempt that was assigned never started and never will: the answer to a recall.
    #[n(2)]
    Returned(#[n(0)] Returned),
}

/// See [`Item::Started`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Start {
    /// The task.
    #[n(0)]
    pub task: TaskRef,
    /// Fence of the attempt.
    #[n(1)]
    pub fence: Fence,
    /// The node's wall clock, milliseconds since 1970; for display.
    #[n(2)]
    pub started_wall_ms: u64,
}

/// See [`Item::Returned`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Returned {
    /// The task.
    #[n(0)]
    pub task: TaskRef,
    /// Fence of the attempt.
    #[n(1)]
    pub fence: Fence,
}

/// See [`Item::Finished`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Finish {
    /// The task.
    #[n(0)]
    pub task: TaskRef,
    /// Fence of the attempt.
    #[n(1)]
    pub fence: Fence,
    /// How it ended.
    #[n(2)]
    pub end: AttemptEnd,
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AttemptEnd {
    /// The kind of end.
    #[n(0)]
    pub outcome: Outcome,
    /// Exit code of the program, the number of the signal that ended it, or the errno of a start that failed, by `outcome`. Of an attempt that
    /// was stopped: the exit code, or the number of the signal with a minus, or [`AttemptEnd::NOT_SEEN`].
    #[n(1)]
    pub code: i32,
    /// The node's wall clock at the start; 0 if it never started.
    #[n(2)]
    pub started_wall_ms: u64,
    /// How long it ran, in milliseconds.
    #[n(3)]
    pub ran_ms: u64,
    /// User and system CPU time, in milliseconds.
    #[n(4)]
    pub cpu_ms: u64,
    /// Largest resident set, in KiB.
    #[n(5)]
    pub max_rss_kib: u64,
    /// The time limit that stopped it, in milliseconds; 0 if none did. The job's may have been changed since.
    #[n(6)]
    #[cbor(default)]
    pub limit_ms: u64,
    /// Its output, if the node did not keep all of it.
    #[n(7)]
    #[cbor(default)]
    pub cut: CutOutput,
}

/// What is known to be missing, or may be, of captured output. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct CutOutput {
    /// Bytes that the attempt wrote to its captured streams, if they passed the node's limit.
    #[n(0)]
    pub written_bytes: u64,
    /// How many of them were dropped.
    #[n(1)]
    pub dropped_bytes: u64,
    /// The node's disk was full while it ran, so some of what it wrote may be lost.
    #[n(2)]
    #[cbor(default)]
    pub disk_full: bool,
}

impl AttemptEnd {
    /// The end of an attempt of which no run is known.
    pub fn without_run(outcome: Outcome) -> AttemptEnd {
        AttemptEnd {
            outcome,
            code: 0,
            started_wall_ms: 0,
            ran_ms: 0,
            cpu_ms: 0,
            max_rss_kib: 0,
            limit_ms: 0,
            cut: CutOutput::default(),
        }
    }

    /// Nobody saw how the program ended.
    pub const NOT_SEEN: i32 = i32::MIN;
}

/// The kind of an attempt's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Outcome {
    /// Exit code 0.
    #[n(0)]
    Succeeded,
    /// Another exit code (`code`).
    #[n(1)]
    Exited,
    /// Ended by a signal (`code`) that Taskyard did not send.
    #[n(2)]
    Signalled,
    /// Stopped because it ran past its time limit.
    #[n(3)]
    TimeLimit,
    /// Stopped because a user cancelled it, or never started for that reason.
    #[n(4)]
    Cancelled,
    /// Stopped because the agent's lease ran out.
    #[n(5)]
    LeaseLost,
    /// The agent was lost: nobody saw how it ended.
    #[n(6)]
    AgentLost,
    /// The program does not exist or is not executable (`code` = errno).
    #[n(7)]
    NoProgram,
    /// The working directory does not exist or cannot be entered (`code` = errno).
    #[n(8)]
    NoCwd,
    /// A file for standard input or output cannot be opened (`code` = errno).
    #[n(9)]
    NoFile,
    /// It could not be started for another reason of its own (`code` = errno).
    #[n(10)]
    StartFailed,
    /// Stopped, or not started any more, because the agent was told to stop.
    #[n(11)]
    AgentStopped,
    /// The keeper died or hung, and its tasks were ended with it.
    #[n(12)]
    KeeperLost,
    /// The node could not start it: it lacked descriptors, processes, memory or disk (`code` = errno).
    #[n(13)]
    NodeFault,
}

impl Outcome {
    /// Every outcome with its name in the API.
    pub const NAMES: [(Outcome, &'static str); 14] = [
        (Outcome::Succeeded, "succeeded"),
        (Outcome::Exited, "exited"),
        (Outcome::Signalled, "signalled"),
        (Outcome::TimeLimit, "time_limit"),
        (Outcome::Cancelled, "cancelled"),
        (Outcome::LeaseLost, "lease_lost"),
        (Outcome::AgentLost, "agent_lost"),
        (Outcome::NoProgram, "no_program"),
        (Outcome::NoCwd, "no_cwd"),
        (Outcome::NoFile, "no_file"),
        (Outcome::StartFailed, "start_failed"),
        (Outcome::AgentStopped, "agent_stopped"),
        (Outcome::KeeperLost, "keeper_lost"),
        (Outcome::NodeFault, "node_fault"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Outcome::NAMES[self as usize].1
    }

    /// The outcome of a stored number.
    pub fn from_u8(n: u8) -> Option<Outcome> {
        Outcome::NAMES.get(usize::from(n)).map(|(o, _)| *o)
    }

    /// Whether the end's `code` says more: an exit code, the signal that ended it, or the errno of a start that failed.
    pub fn has_code(self) -> bool {
        use Outcome::{Exited, NoCwd, NoFile, NoProgram, NodeFault, Signalled, StartFailed};
        matches!(self, Exited | Signalled | NoProgram | NoCwd | NoFile | StartFailed | NodeFault)
    }

    /// Whether the infrastructure, not the task, is to blame: tried again without touching the task's retries.
    pub fn is_infrastructure(self) -> bool {
        use Outcome::{AgentLost, AgentStopped, KeeperLost, LeaseLost, NodeFault};
        matches!(self, LeaseLost | AgentLost | AgentStopped | KeeperLost | NodeFault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_of_number() {
        for (i, (outcome, name)) in Outcome::NAMES.iter().enumerate() {
            assert_eq!((*outcome as usize, outcome.name()), (i, *name));
            assert_eq!(Outcome::from_u8(i as u8), Some(*outcome));
        }
    }
}
