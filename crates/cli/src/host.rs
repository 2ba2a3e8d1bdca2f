//! What the binary lends to the commands: the servers are in crates that this one must not know.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

/// A future behind a pointer, so that [`Host`] can be a trait object.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The process around the commands.
pub trait Host: Send + Sync {
    /// The whole command line, for completions.
    fn app(&self) -> clap::Command;

    /// Starts the server and agent of `--local` with their data in `dir`, and comes back when they accept jobs. `Err` is one sentence for
    /// people.
    fn start_local<'a>(&'a self, dir: &'a Path) -> Pending<'a, Result<LocalHandle, String>>;
}

/// A running embedded server.
pub struct LocalHandle {
    /// Where it answers.
    pub url: String,
    /// Where its data is.
    pub data_dir: PathBuf,
    /// Stops it in order; awaited at the end of the command.
    pub stop: Pending<'static, ()>,
}
