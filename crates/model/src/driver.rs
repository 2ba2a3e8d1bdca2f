//! What runs the tasks of a job: which driver, and what a user may set of it.

mod exec;

use crate::Invalid;
use minicbor::{Decode, Encode};

/// What runs the tasks of a job, with its settings. An agent has an implementation of each (`agent::driver`).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Driver {
    /// A command, without a shell in between.
    #[n(0)]
    Process(#[n(0)] ProcessCommand),
    /// Completes without a process: for benches and rehearsals.
    #[n(1)]
    Null(#[n(0)] Null),
}

impl Driver {
    /// What users call it, and a job of it that has no name.
    pub fn name(&self) -> &'static str {
        match self {
            Driver::Process(_) => "process",
            Driver::Null(_) => "null",
        }
    }

    pub(crate) fn check(&self, entries: &[String]) -> Result<(), Invalid> {
        match self {
            Driver::Process(command) => exec::check(command, entries),
            Driver::Null(null) if null.fail_per_mille > 1_000 => {
                Err(Invalid::new("fail_per_mille", null.fail_per_mille, "at most 1000"))
            }
            Driver::Null(_) => Ok(()),
        }
    }
}

/// A command of the process driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ProcessCommand {
    /// Program and arguments. With a `script`, the arguments only.
    #[n(0)]
    pub argv: Vec<String>,
    /// A script as it was at submit; it is run as a program, so its first line says by what.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub script: Option<Vec<u8>>,
    /// Environment beyond the minimal one.
    #[n(2)]
    pub env: Vec<(String, String)>,
    /// Working directory on the node (patterns allowed). The task's own directory when missing.
    #[n(3)]
    pub cwd: Option<String>,
    /// Standard input.
    #[n(4)]
    pub stdin: Stdin,
    /// File for standard output on the node (patterns allowed); the agent's own captured file when missing.
    #[n(5)]
    pub stdout: Option<String>,
    /// File for standard error, likewise.
    #[n(6)]
    pub stderr: Option<String>,
}

/// Variable for the directory from which a job was submitted: clients set it, as they alone know.
pub const SUBMIT_DIR: &str = "TASKYARD_SUBMIT_DIR";

/// Standard input of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    #[n(0)]
    Empty,
    /// A file on the node (patterns allowed).
    #[n(1)]
    File(#[n(0)] String),
    /// These bytes, as read at submit.
    #[n(2)]
    Bytes(
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        Vec<u8>,
    ),
}

/// Settings of the null driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Null {
    /// Of a thousand tasks, about so many fail; which ones follows from their index.
    #[n(0)]
    pub fail_per_mille: u16,
    /// How long each pretends to run.
    #[n(1)]
    pub run_ms: u32,
}
