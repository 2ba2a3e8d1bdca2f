//! Identities. All are assigned by the replicated state, none by a clock or a random source.

use minicbor::{Decode, Encode};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A job. Counts from 1.
    JobId(u64)
}
id! {
    /// A node: one machine that offers capacity, known by its name for ever. Counts from 1.
    NodeId(u32)
}
id! {
    /// A queue. Counts from 1; queue 1 is `default`.
    QueueId(u32)
}
id! {
    /// An account. Counts from 1.
    AccountId(u32)
}
id! {
    /// A user on an account. Counts from 1; 0 is nobody.
    PartyId(u32)
}
id! {
    /// A pool of nodes. Counts from 1; pool 1 is `default`.
    PoolId(u32)
}
id! {
    /// Waiting work of one queue, owner, request, constraint and span. An ordinal into `View::classes`.
    ClassId(u32)
}
id! {
    /// One registered life of an agent: the log index of its registration.
    Incarnation(u64)
}
id! {
    /// The log index of the plan entry that assigned an attempt: strictly increasing per task, so that users can fence their own stores.
    Fence(u64)
}

/// Position of a task in its job, dense from 0. Users see the task's *number* instead (see [`crate::ArraySpec::number`]).
pub type TaskIndex = u32;

/// One task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct TaskRef {
    /// Its job.
    #[n(0)]
    pub job: JobId,
    /// Its position in the job.
    #[n(1)]
    pub index: TaskIndex,
}
