//! How long finished jobs are remembered.

use crate::{Invalid, limits, quantity};
use minicbor::{Decode, Encode};

/// The rule, replicated. A finished job that goes against one part of it is forgotten, the one that ended first before all others. The last to end
/// stays, however many tasks it has, until its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Retention {
    /// So long after its end.
    #[n(0)]
    pub keep_ms: u64,
    /// At most so many finished jobs.
    #[n(1)]
    pub max_jobs: u64,
    /// At most so many tasks of finished jobs.
    #[n(2)]
    pub max_tasks: u64,
    /// At most so many bytes of what finished jobs were run with; they are on the servers' disks.
    #[n(3)]
    pub max_bytes: u64,
    /// At most so many bytes of all that the servers hold in memory; at more a submit is refused. Nothing is forgotten for it.
    #[n(4)]
    pub state_bytes: u64,
}

impl Default for Retention {
    /// A week; what that may take of memory is some hundred bytes a job and some bytes a task.
    fn default() -> Self {
        Retention {
            keep_ms: 7 * 86_400_000,
            max_jobs: 100_000,
            max_tasks: 20_000_000,
            max_bytes: 1 << 30,
            state_bytes: limits::STATE_BYTES,
        }
    }
}

impl Retention {
    /// Checks ranges.
    pub fn check(&self) -> Result<(), Invalid> {
        let (shortest, longest) = (limits::RETENTION_KEEP_MS_MIN, limits::RETENTION_KEEP_MS_MAX);
        if !(shortest..=longest).contains(&self.keep_ms) {
            let show = quantity::show_duration;
            let remedy = format!("between {} and {}", show(shortest), show(longest));
            return Err(Invalid::new("keep", show(self.keep_ms), remedy));
        }
        let most = [
            ("max_jobs", self.max_jobs, limits::RETENTION_JOBS_MAX),
            ("max_tasks", self.max_tasks, limits::RETENTION_TASKS_MAX),
        ];
        if let Some((field, value, most)) =
            most.into_iter().find(|(_, value, most)| !(1..=*most).contains(value))
        {
            return Err(Invalid::new(field, value, format!("between 1 and {most}")));
        }
        let range = limits::RETENTION_BYTES_MIN..=limits::RETENTION_BYTES_MAX;
        let sizes = [("max_bytes", self.max_bytes), ("state_bytes", self.state_bytes)];
        match sizes.into_iter().find(|(_, bytes)| !range.contains(bytes)) {
            Some((field, bytes)) => {
                let show = quantity::show_size;
                let remedy = format!("between {} and {}", show(*range.start()), show(*range.end()));
                Err(Invalid::new(field, show(bytes), remedy))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let good = Retention::default();
        assert_eq!(good.check(), Ok(()));
        let field = |retention: Retention| retention.check().unwrap_err().field;
        assert_eq!(field(Retention { keep_ms: 59_999, ..good }), "keep");
        assert_eq!(field(Retention { keep_ms: u64::MAX, ..good }), "keep");
        assert_eq!(field(Retention { max_jobs: 0, ..good }), "max_jobs");
        assert_eq!(field(Retention { max_tasks: u64::MAX, ..good }), "max_tasks");
        assert_eq!(field(Retention { max_bytes: 1, ..good }), "max_bytes");
        assert_eq!(field(Retention { state_bytes: u64::MAX, ..good }), "state_bytes");
    }
}
