//! What the agent orders, and what a job needs before its first attempt.

use super::{Guarded, SharedKeeper, publish, send_stop};
use crate::clock::boot_ms;
use crate::keeper::files::Files;
use crate::keeper::health;
use crate::keeper::job::Job;
use crate::keeper::launch::Launcher;
use crate::keeper::probe::probe;
use crate::keeper::proto::ToKeeper;
use rustix::io::Errno;
use std::sync::Arc;

impl SharedKeeper {
    /// Carries out an order of the agent. True: the io thread should look for something to start.
    pub(crate) fn order(&self, order: ToKeeper) {
        let mut inner = self.lock();
        let now = boot_ms();
        match order {
            ToKeeper::Setup(_) => {}
            ToKeeper::Job(body) => {
                inner.book.unusable.remove(&body.job);
                inner.unopened.insert(body.job, *body);
            }
            ToKeeper::DropJob(job) => {
                inner.unopened.remove(&job);
                let dropped = inner.book.drop_job(job);
                // Its files are removed without the others waiting for that.
                drop(inner);
                return drop(dropped);
            }
            ToKeeper::Forgotten(job) => self.space.forget(job),
            ToKeeper::Prepare(orders) => {
                for order in &orders {
                    self.open_job(&mut inner, order.job);
                }
                inner.book.prepare(orders);
            }
            ToKeeper::CannotPrepare { job, errno } => {
                inner.book.cannot_prepare(job, Errno::from_raw_os_error(errno), now);
            }
            ToKeeper::Limits { job, limits } => inner.set_limits(job, limits),
            ToKeeper::Start(key) => inner.book.start(key),
            ToKeeper::Recall(key) => drop(inner.book.recall(key)),
            ToKeeper::Stop { key, why } => {
                inner.book.stop(key, why, now).into_iter().for_each(send_stop);
            }
            ToKeeper::Kill(key) => inner.book.kill(key, now).into_iter().for_each(send_stop),
            ToKeeper::Lease(lease) => inner.book.renew(lease),
            ToKeeper::Ping { sent_ms } => inner.book.pinged(sent_ms),
            ToKeeper::Publish(key) => {
                if inner.book.publish(key) {
                    publish(&mut inner, key);
                }
            }
        }
        self.arm(&mut inner);
    }

    /// Opens the directory of a job of which the first attempt comes now, or takes over the files of one that was
    /// changed.
    fn open_job(&self, inner: &mut Guarded, job: u64) {
        let Some(body) = inner.unopened.get(&job) else { return };
        let known = inner.book.job(job).map(|job| job.files.clone());
        let open = || match &known {
            Some(files) => Ok(files.clone()),
            None => Files::open(&self.jobs_dir, job, &self.descriptors, &self.space).map(Arc::new),
        };
        let mut files = open();
        if files.as_ref().is_err_and(|errno| health::lacks_descriptors(*errno)) {
            inner.book.each_job().for_each(|job| job.files.give_way());
            files = open();
        }
        match files.and_then(|files| Job::new(body, files)) {
            Ok(opened) => {
                inner.unopened.remove(&job);
                inner.book.add_job(opened);
            }
            Err(errno) => inner.book.cannot_prepare(job, errno, boot_ms()),
        }
    }

    /// Closes files that are kept to be faster.
    pub(super) fn give_way(&self) {
        let jobs: Vec<Arc<Job>> = self.lock().book.each_job().cloned().collect();
        jobs.iter().for_each(|job| job.files.give_way());
    }

    /// Takes the node out as soon as its disk is full, also while nothing runs: the next task would only fail.
    pub(crate) fn check_disk(&self) {
        if let Some(fault) = self.space.disk.fault() {
            let mut inner = self.lock();
            inner.book.fault(fault, boot_ms());
            self.flush(&mut inner, false);
            self.arm(&mut inner);
        }
    }

    /// If the node could not start tasks and it is time: tries whether it can now.
    pub(crate) fn probe(&self, launcher: &mut Launcher) {
        if !self.lock().book.is_probe_due(boot_ms()) {
            return;
        }
        self.give_way();
        let result = probe(&self.jobs_dir, launcher).map_err(|errno| self.space.disk.describe(errno));
        let result = result.and_then(|()| self.space.disk.still_short().map_or(Ok(()), Err));
        let mut inner = self.lock();
        inner.book.probed(result, boot_ms());
        self.flush(&mut inner, false);
        self.arm(&mut inner);
    }
}
