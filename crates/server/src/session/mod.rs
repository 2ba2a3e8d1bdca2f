//! Sessions with agents. Neither side remembers one: each starts from what the state says is assigned, and from what
//! the agent has not had acknowledged.

mod accept;
mod health;
mod lease;
mod push;
mod report;
mod standby;
mod talk;

pub(crate) use accept::accept;
