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
mod health;
mod request_id;
mod server_list;
mod sse;
mod stream;
mod survey;
mod watch;

pub use connection::{Client, Notice, Patience};
pub use credentials::Credentials;
pub use error::{Error, Result};
pub use find::Env;
pub use health::{ServerHealth, Survey};
pub use request_id::request_id;
pub use server_list::{ServerList, ServerSource};
pub use stream::{EventStream, LogStream};
pub use taskyard_api as api;
