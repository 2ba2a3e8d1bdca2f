//! What a driver has to do.

use crate::AgentError;
use crate::orders::{DriverEvent, Lease, Limits, Order};
use std::io;
use std::pin::Pin;
use taskyard_model::{JobId, JobSpec, Outcome};

/// See [`Driver::wait`].
pub(crate) type Wait<'a> = Pin<Box<dyn Future<Output = Result<Vec<DriverEvent>, AgentError>> + Send + 'a>>;

/// Runs attempts of one kind of job. It takes orders and answers with [`DriverEvent`]s; it decides nothing about tasks
/// and knows no server.
///
/// A prepared attempt ends in exactly one event: [`DriverEvent::Ended`], [`DriverEvent::Returned`] if it never started,
/// or [`DriverEvent::Lost`] with everything else. A key names it until then. An unknown key is ignored, since orders
/// and events cross on their way.
///
/// Prepared attempts with `run` start at once. The others are *held*: when an attempt of the group ends, one of them
/// takes its place in the same step (`next` of that end), so that no place is empty while the agent is asked.
pub(crate) trait Driver: Send {
    /// What all attempts of a job share. Comes before the first of them, and again when it has changed. Attempts may
    /// come even after an error; they end with [`Outcome::StartFailed`] or are returned.
    fn add_job(&mut self, job: JobId, spec: &JobSpec) -> io::Result<()>;

    /// Other limits hold from now on, also for what runs.
    fn set_limits(&mut self, job: JobId, limits: Limits);

    /// No attempt of the job is here, and none may come before [`Driver::add_job`].
    fn drop_job(&mut self, job: JobId);

    /// The cluster has forgotten the job: nothing of it stays on this node.
    fn forget(&mut self, job: JobId);

    /// Takes an attempt. The journal says that it may have started.
    fn prepare(&mut self, order: Order);

    /// Starts a held attempt without waiting for a place, unless it started already.
    fn start(&mut self, key: u64);

    /// Gives an attempt back, unless it started already.
    fn recall(&mut self, key: u64);

    /// Asks an attempt to end, and kills it after its grace. `why` is its outcome then. One that did not start is given
    /// back.
    fn stop(&mut self, key: u64, why: Outcome);

    /// Ends the grace of an attempt that was told to stop.
    fn kill(&mut self, key: u64);

    /// Attempts may live until this lease ends, whether or not anybody is there to stop them.
    fn renew(&mut self, lease: Lease);

    /// Somebody reads the output of a running attempt: makes it readable where the agent looks, and answers with
    /// [`DriverEvent::Published`].
    fn publish(&mut self, key: u64);

    /// These were all orders for the moment: a driver that gathers them sends them now.
    fn flush(&mut self);

    /// What happened, in order. Waits until something does. Cancel-safe: the loop drops the future whenever something
    /// else happens first. An error ends the agent.
    fn wait(&mut self) -> Wait<'_>;

    /// How attempts are contained, for people, if that is the driver's concern.
    fn isolation(&self) -> Option<&'static str> {
        None
    }

    /// The agent leaves, and nothing runs any more.
    fn close(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}
