//! Messages between agents and servers, and their framing.
//!
//! The agent dials the server's HTTP port and upgrades (`Upgrade: taskyard-agent/1`); after that both sides speak
//! frames: a length (u32, big endian, of what follows), then one message in CBOR. The first message is
//! [`ToServer::Hello`].

mod codec;
mod message;

pub use codec::{Codec, FrameError};
pub use message::{
    Granted, Health, Hello, Load, LogChunk, LogRead, Refused, Servers, StartRun, Stream, ToAgent, ToServer,
    Unread, Welcome,
};

/// Path of the upgrade request.
pub const SESSION_PATH: &str = "/v1/agent/session";
/// Name of the protocol and its version, the value of the `Upgrade` header.
pub const PROTOCOL: &str = "taskyard-agent/1";
