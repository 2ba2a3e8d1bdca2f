//! Other servers: how they are called, how they call, how a new one joins, and how requests are passed on to the one that leads.

mod accept;
mod dial;
mod forward;
mod join;
#[cfg(test)]
mod tests;

pub(crate) use accept::accept;
pub(crate) use dial::{Dialer, Outward};
pub(crate) use forward::gate;
pub(crate) use join::join;

/// Path of the request by which a connection between servers begins.
pub(crate) const PEER_PATH: &str = "/v1/server/session";
/// Name of the protocol and its version, the value of the `Upgrade` header.
const PROTOCOL: &str = "taskyard-server/1";
