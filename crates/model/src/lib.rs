//! What Taskyard is about: jobs, tasks, attempts, nodes, queues, policies, plans and reasons.
//!
//! Pure: no clock, no I/O, no randomness, no hash-map order, no float. Every other crate speaks in these types.

pub mod access;
pub mod affinity;
pub mod after;
pub mod begin;
pub mod constraint;
pub mod driver;
pub mod fixed;
mod footprint;
pub mod ids;
pub mod limits;
pub mod lookalike;
mod mutant;
pub mod node;
pub mod other_load;
pub mod party;
pub mod pattern;
pub mod plan;
pub mod policy;
pub mod pool;
pub mod quantity;
pub mod reason;
pub mod report;
pub mod resources;
pub mod retention;
pub mod small_set;
pub mod span;
pub mod spec;
pub mod table;
pub mod validate;
pub mod view;

pub use access::{CredentialKind, EVERYWHERE, Grant, Namespace, Role};
pub use affinity::Affinity;
pub use after::{After, Need};
pub use begin::Begin;
pub use constraint::Constraint;
pub use ids::{
    AccountId, ClassId, Fence, Incarnation, JobId, NodeId, PartyId, PoolId, QueueId, TaskIndex, TaskRef,
};
pub use mutant::is_mutant;
pub use node::{Drain, NodeChange, NodeState, NodeStatus, Unavailable};
pub use other_load::{Idle, OtherLoad};
pub use party::{AccountView, PartyView, Usage};
pub use plan::{Assignment, Plan, Recall};
pub use policy::{OrderKey, Policy, QueueConfig};
pub use pool::{Discipline, Placement, PoolConfig};
pub use reason::{Cause, Causes, Reason, Rule};
pub use report::{AttemptEnd, CutOutput, Finish, Outcome, Report, Start};
pub use resources::{Amounts, Capacity, Request};
pub use retention::Retention;
pub use small_set::SmallSet;
pub use span::Span;
pub use spec::{ArraySpec, Driver, JobSpec, Retry};
pub use table::{DenseId, IdTable};
pub use validate::Invalid;
pub use view::{
    ClassHead, ClassView, Ending, Gate, JobView, NodeView, PoolView, PrefetchedJob, QueueView, Room, Stand,
    View,
};
