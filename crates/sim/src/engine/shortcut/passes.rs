//! One pass: first those that have waited too long, the oldest first, then the queue in its order. What a job without
//! room means for those behind it is the discipline.

use super::SingleMachine;
use super::queue::WaitingJob;
use taskyard_model::Discipline;

/// What is kept for the first job that does not fit: it starts then at the latest, and so much is free beside it.
#[derive(Clone, Copy)]
struct Shadow {
    start_ms: u64,
    beside: u64,
    /// For one that has waited too long only what its limit ends is sure to have ended.
    by_limit: bool,
}

impl SingleMachine<'_> {
    /// Starts what the discipline lets start now.
    pub(super) fn pass(&mut self) {
        let kept = self.start_aged();
        match (self.discipline, kept) {
            (Discipline::Strict, Some(_)) => {}
            (Discipline::EasySjf, Some(kept)) => self.start_shortest(0, kept),
            (_, Some(kept)) => self.start_behind(0, Some(kept)),
            (Discipline::Greedy, None) => self.start_all(),
            (discipline, None) => {
                while self.waiting.fitting(0, self.free) == Some(0) {
                    self.start_at(0);
                }
                match discipline {
                    Discipline::Strict => {}
                    Discipline::EasySjf => self.start_shortest_behind_first(),
                    _ => self.start_behind(1, None),
                }
            }
        }
    }

    /// Starts those that have waited too long and fit. What is kept for the first of them that does not.
    fn start_aged(&mut self) -> Option<Shadow> {
        let before_ms = self.now_ms.checked_sub(self.queue.max_wait_ms)?;
        let mut kept: Option<Shadow> = None;
        let (mut next, jobs) = (0, &self.workload.jobs);
        while let Some(&job) = self.by_age.range(next..).next()
            && jobs[job as usize].submit_ms < before_ms
        {
            next = job + 1;
            let waiting = self.waits(job as usize);
            let fits = waiting.cpu_milli <= self.free;
            let allowed = fits && kept.as_mut().is_none_or(|kept| kept.allows(self.now_ms, &waiting));
            if allowed {
                self.waiting.take(&waiting);
                self.start(waiting);
            } else if kept.is_none() {
                kept = Some(self.sure_reservation(waiting.cpu_milli));
                if self.discipline == Discipline::Strict {
                    break;
                }
            }
        }
        kept
    }

    fn start_at(&mut self, at: usize) {
        if let Some(job) = self.waiting.remove(at) {
            self.start(job);
        }
    }

    /// Starts all that fit, in their order.
    fn start_all(&mut self) {
        let mut from = 0;
        while let Some(at) = self.waiting.fitting(from, self.free) {
            self.start_at(at);
            from = at;
        }
    }

    /// Starts all from a place on that fit and do not delay the one that something is kept for, in their order: the
    /// first in the queue where nothing is kept yet.
    fn start_behind(&mut self, from: usize, mut kept: Option<Shadow>) {
        let mut from = from;
        while let Some(at) = self.waiting.fitting(from, self.free)
            && let Some(&job) = self.waiting.get(at)
        {
            from = at + 1;
            if kept.get_or_insert_with(|| self.reservation_of_first()).allows(self.now_ms, &job) {
                self.start_at(at);
                from = at;
            }
        }
    }

    fn start_shortest_behind_first(&mut self) {
        if self.waiting.fitting(1, self.free).is_some() {
            self.start_shortest(1, self.reservation_of_first());
        }
    }

    /// The same, the shortest first; of equals the one that is ahead.
    fn start_shortest(&mut self, from: usize, mut kept: Shadow) {
        let (mut from, mut fitting) = (from, Vec::new());
        while let Some(at) = self.waiting.fitting(from, self.free) {
            fitting.extend(self.waiting.get(at).map(|job| (job.expected_ms, at)));
            from = at + 1;
        }
        fitting.sort_unstable();
        let mut started = Vec::new();
        for (_, at) in fitting {
            if let Some(&job) = self.waiting.get(at)
                && job.cpu_milli <= self.free
                && kept.allows(self.now_ms, &job)
            {
                self.start(job);
                started.push(at);
            }
        }
        started.sort_unstable();
        for at in started.into_iter().rev() {
            self.waiting.remove(at);
        }
    }

    fn reservation_of_first(&self) -> Shadow {
        self.reservation(self.waiting.first().map_or(0, |first| first.cpu_milli))
    }

    /// When a job for which there is no room starts at the latest.
    fn reservation(&self, asked: u64) -> Shadow {
        let (mut free, mut start_ms) = (self.free, self.now_ms);
        for &(end_ms, frees) in &self.expected {
            // All that ends in one instant counts.
            if free >= asked && end_ms > start_ms {
                break;
            }
            (free, start_ms) = (free + frees, end_ms);
        }
        Shadow { start_ms, beside: free - asked, by_limit: false }
    }

    /// The same for one that has waited too long: beside it is only what is sure to be free by then.
    fn sure_reservation(&self, asked: u64) -> Shadow {
        let start_ms = self.reservation(asked).start_ms;
        let sure = self.limited.iter().take_while(|(ends_ms, _)| *ends_ms <= start_ms);
        let free = self.free + sure.map(|(_, frees)| frees).sum::<u64>();
        Shadow { start_ms, beside: free.saturating_sub(asked), by_limit: true }
    }
}

impl Shadow {
    /// Whether a job that fits now may start. One that runs beyond the reservation takes of what is beside it.
    fn allows(&mut self, now_ms: u64, job: &WaitingJob) -> bool {
        let length_ms = if self.by_limit { job.limit_ms } else { job.expected_ms };
        if now_ms.saturating_add(length_ms) <= self.start_ms {
            return true;
        }
        let fits = job.cpu_milli <= self.beside;
        if fits {
            self.beside -= job.cpu_milli;
        }
        fits
    }
}
