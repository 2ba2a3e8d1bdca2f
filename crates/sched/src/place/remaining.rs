//! What is left on a node at some time, now or later.

use taskyard_model::resources::place_gpus;
use taskyard_model::{Amounts, Ending, Request, Room};

/// What is left on a node at some time.
#[derive(Clone, Debug)]
pub(crate) struct Remaining {
    pub(crate) free: Amounts,
    pub(crate) gpu_free: Vec<u32>,
    pub(crate) running: u32,
    pub(crate) without_cpu_max: u32,
    pub(crate) alone: bool,
}

/// Tasks of one kind that end at some time, with their devices.
pub(crate) struct Completion<'a> {
    pub(crate) at_ms: u64,
    pub(crate) request: &'a Request,
    pub(crate) count: u32,
    pub(crate) gpus: Devices<'a>,
}

#[derive(Clone, Copy)]
pub(crate) enum Devices<'a> {
    Of(&'a Ending),
    Placed(&'a [(u16, u32)]),
}

impl Remaining {
    pub(crate) fn of(room: Room<'_>) -> Remaining {
        let Room { free, gpu_free, running, without_cpu_max, alone } = room;
        Remaining { free: free.clone(), gpu_free: gpu_free.to_vec(), running, without_cpu_max, alone }
    }

    pub(crate) fn room(&self) -> Room<'_> {
        Room {
            free: &self.free,
            gpu_free: &self.gpu_free,
            running: self.running,
            without_cpu_max: self.without_cpu_max,
            alone: self.alone,
        }
    }

    /// Takes one task away, with the devices it has.
    pub(crate) fn take(&mut self, request: &Request, gpus: &[(u16, u32)]) {
        self.free.take(&request.amounts);
        for &(device, part) in gpus {
            self.gpu_free[usize::from(device)] -= part;
        }
        self.running += 1;
        self.alone |= request.exclusive;
    }

    /// Gives back what ends.
    pub(crate) fn give(&mut self, completion: &Completion<'_>) {
        self.free.give_times(&completion.request.amounts, completion.count);
        self.running = self.running.saturating_sub(completion.count);
        self.alone &= !completion.request.exclusive;
        match completion.gpus {
            Devices::Of(ending) => {
                for (&device, milli) in &ending.gpus {
                    self.gpu_free[usize::from(device)] += milli;
                }
            }
            Devices::Placed(gpus) => {
                for &(device, milli) in gpus {
                    self.gpu_free[usize::from(device)] += milli;
                }
            }
        }
    }

    /// Whether a task fits that could run on the node at all.
    pub(crate) fn fits(&self, request: &Request) -> bool {
        self.running < request.running_max(self.without_cpu_max)
            && !self.alone
            && !(request.exclusive && self.running > 0)
            && self.free.has(&request.amounts)
            && (request.gpu_milli == 0 || place_gpus(&self.gpu_free, request.gpu_milli).is_some())
    }
}
