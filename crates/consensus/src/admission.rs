//! Bounds what is in flight: proposals are counted from the call until their answer, by number and by bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::ProposeError;
use crate::wal::{Spare, Wal};

/// A command of the system that is always let through has at most this many bytes.
const SMALL: usize = 1024;

/// Who proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProposalClass {
    /// A user. Refused first.
    User,
    /// The system itself: reports, ticks, the start of a leadership. Small, and needed to keep running work alive.
    System,
}

#[derive(Default)]
pub(crate) struct Admission {
    count: AtomicUsize,
    bytes: AtomicUsize,
    count_max: usize,
    bytes_max: usize,
}

/// Room taken by one proposal; given back when dropped.
pub(crate) struct Occupied {
    admission: Arc<Admission>,
    bytes: usize,
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.admission.count.fetch_sub(1, Ordering::Relaxed);
        self.admission.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Admission {
    pub(crate) fn new(count_max: usize, bytes_max: usize) -> Arc<Admission> {
        Arc::new(Admission { count_max, bytes_max, ..Admission::default() })
    }

    /// Number and bytes in flight.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        (self.count.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Takes room for a proposal, or says why there is none.
    pub(crate) fn admit(
        self: &Arc<Admission>,
        class: ProposalClass,
        bytes: usize,
        wal: &Wal,
    ) -> Result<Occupied, ProposeError> {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let occupied = Occupied { admission: Arc::clone(self), bytes };
        // The system's own may go a little further, so that users cannot crowd it out.
        let (count_max, bytes_max) = match class {
            ProposalClass::User => (self.count_max, self.bytes_max),
            ProposalClass::System => (self.count_max * 2, self.bytes_max * 2),
        };
        // A single proposal larger than all that is allowed must still be possible, alone.
        if count > count_max || total > bytes_max && count > 1 {
            return Err(ProposeError::Overloaded { retry_after_ms: 20 });
        }
        match wal.spare() {
            Spare::Ready => Ok(occupied),
            // What is left is for ticks and the like, until there is space again; larger ones must leave them half.
            _ if class == ProposalClass::System && (bytes <= SMALL || total as u64 <= wal.room() / 2) => {
                Ok(occupied)
            }
            Spare::Failed(_) => Err(ProposeError::StorageFull),
            // Until it is known whether there is space, users may take half of what is left.
            Spare::Making if total as u64 <= wal.room() / 2 => Ok(occupied),
            Spare::Making => Err(ProposeError::Overloaded { retry_after_ms: 50 }),
        }
    }
}
