//! The smallest request that waits: a node without room for it need not be looked at.

use taskyard_model::{Amounts, View, limits};

/// The least that any task could ask for, in each dimension by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SmallestRequest {
    cpu: u64,
    memory: u64,
}

impl SmallestRequest {
    const NOTHING_ASKED: SmallestRequest = SmallestRequest { cpu: u64::MAX, memory: u64::MAX };

    fn and(self, asked: &Amounts) -> SmallestRequest {
        SmallestRequest { cpu: self.cpu.min(asked.cpu_milli), memory: self.memory.min(asked.memory) }
    }

    /// Of all that waits. Where work is held, of all there is: what is held may find room elsewhere though nothing else
    /// waits, and holding or taking back must not change what it was decided by.
    pub(super) fn of(view: &View, holds: bool) -> SmallestRequest {
        if holds {
            let in_use = view.classes.iter().filter(|class| class.jobs > 0);
            return in_use
                .fold(SmallestRequest::NOTHING_ASKED, |least, class| least.and(&class.request.amounts));
        }
        let heads = view.queues.iter().flat_map(|queue| queue.heads.values());
        heads.fold(SmallestRequest::NOTHING_ASKED, |least, head| SmallestRequest {
            cpu: least.cpu.min(head.cpu_milli),
            memory: least.memory.min(head.memory),
        })
    }

    pub(super) fn has_room(self, cpu: u64, memory: u64, running: u32) -> bool {
        cpu >= self.cpu && memory >= self.memory && running < limits::RUNNING_PER_NODE_MAX
    }
}
