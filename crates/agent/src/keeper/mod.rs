//! The keeper: a small process of its own that is the parent of all tasks.
//!
//! It uses plain threads. A few workers each wait for any child, record its end and start the next prepared attempt in
//! the same step, so that a free slot never waits for the agent. One more thread reads the agent's orders and watches
//! the time: it must not block, as time limits and the lease depend on it.
//! It knows no server and no journal. As PID 1 of a pid namespace its own death kills every task.

mod book;
mod cut;
mod disk;
mod files;
mod health;
mod job;
mod launch;
mod probe;
pub(crate) mod proto;
mod serve;
mod shared;
mod space;

pub(crate) use cut::Cut;
pub(crate) use job::PATH;
use std::process::ExitCode;

/// Entry of the hidden `taskyard keeper` subcommand. Standard input is the socket to the agent; standard output is the
/// file whose lock says that this keeper lives.
pub fn keeper_main() -> ExitCode {
    match serve::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "taskyard keeper: {error}");
            ExitCode::FAILURE
        }
    }
}
