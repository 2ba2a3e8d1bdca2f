//! Typed client of the HTTP API: finds the servers, goes on to the next one when one does not answer, and tries again
//! where that is safe.
//!
//! Every call of this API may be repeated: reads change nothing, acts set a state, and what creates a job carries a
//! request id. Hence a call is given up only when its patience is spent, and the error says whether it may have taken
//! effect.

mod calls;
mod connection;
pub mod credentials;
mod error;
pub mod find;
mod request_id;
mod sse;
mod stream;
mod survey;
mod watch;

pub use connection::{Client, Notice, Patience};
pub use credentials::Credentials;
pub use error::Error;
pub use find::{Env, ServerList, ServerSource};
pub use request_id::request_id;
pub use stream::{EventStream, LogStream};
pub use survey::{ServerHealth, Survey};
pub use taskyard_api as api;

/// What every call answers.
pub type Result<T> = std::result::Result<T, Error>;
