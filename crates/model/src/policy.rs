//! In which order a queue's jobs run. A key never changes as time passes, so that nothing is sorted again.

use crate::{Invalid, JobId, limits};
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
}

impl Policy {
    /// All policies with their names, as users write them.
    pub const NAMES: [(&'static str, Policy); 3] =
        [("fcfs", Policy::Fcfs), ("sjf", Policy::Sjf), ("priority", Policy::Priority)];

    /// The policy of a name.
    pub fn parse(field: &str, text: &str) -> Result<Policy, Invalid> {
        let known = Policy::NAMES.iter().find(|(name, _)| *name == text);
        known
            .map(|(_, p)| *p)
            .ok_or_else(|| Invalid::new(field, text, "known policies are fcfs, sjf and priority"))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Policy::NAMES.iter().find(|(_, p)| *p == self).map_or("fcfs", |(name, _)| name)
    }
}

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
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            policy: Policy::Fcfs,
            tier: 0,
            weight: 1,
            aging_ms: 60_000,
            max_wait_ms: 24 * 3_600_000,
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
        if self.max_wait_ms == 0 {
            return Err(Invalid::new("max_wait", 0, "more than zero"));
        }
        if self.tier.abs() > limits::PRIORITY_MAX {
            return Err(Invalid::new(
                "tier",
                self.tier,
                format!("between -{0} and {0}", limits::PRIORITY_MAX),
            ));
        }
        Ok(())
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
    /// Its estimate, else its time limit.
    pub estimate_ms: Option<u64>,
}

impl QueueConfig {
    /// The job's place in this queue.
    pub fn key(&self, job: &Orderable) -> OrderKey {
        let submitted = i128::from(job.submitted_ms);
        let rank = match self.policy {
            Policy::Fcfs => submitted,
            Policy::Sjf => job.estimate_ms.map_or(i128::MAX, i128::from),
            // priority + waited/aging falls in step for all, so comparing submit − priority·aging compares it at any time.
            Policy::Priority => submitted - i128::from(job.priority) * i128::from(self.aging_ms),
        };
        OrderKey { rank, job: job.job }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: u64, submitted_ms: u64, priority: i32, estimate_ms: Option<u64>) -> Orderable {
        Orderable { job: JobId(id), submitted_ms, priority, estimate_ms }
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
