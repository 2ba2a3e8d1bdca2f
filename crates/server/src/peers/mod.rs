//! What other servers ask of this one, and the gate that passes requests on to the one that leads.

mod accept;
mod forward;
#[cfg(test)]
mod tests;

pub(crate) use accept::accept;
pub(crate) use forward::{gate, is_local};
