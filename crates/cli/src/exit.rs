//! Exit codes: a contract with scripts, so each is a name here and nowhere else.

use std::io;
use taskyard_client::Error;
use taskyard_client::api::{ErrorCode, Invalid, limits};

/// Success.
pub const OK: u8 = 0;
/// A task failed.
pub const TASK_FAILED: u8 = 1;
/// `plan`: the job would wait.
pub const WOULD_WAIT: u8 = 1;
/// `plan`: the job would never start, as things are.
pub const WOULD_NEVER_START: u8 = 255;
/// The command line, a file or the request is wrong.
pub const USAGE: u8 = 2;
/// No server answered, or the result is unknown.
pub const UNREACHABLE: u8 = 3;
/// There is no such thing.
pub const NOT_FOUND: u8 = 4;
/// Not allowed.
pub const DENIED: u8 = 5;
/// A wait timed out.
pub const TIMED_OUT: u8 = 6;
/// The server has too much to do.
pub const OVERLOADED: u8 = 7;
/// `run`: Taskyard itself failed, so that no task's code can be mistaken for it.
pub const RUN_FAILED: u8 = 125;
/// Ctrl-C ended a command that had nothing to undo: 128 and the number of the signal, as shells have it.
pub const INTERRUPTED: u8 = 130;
/// A signal ended the task of `run`, or the command itself; its number is added.
pub const SIGNAL: u8 = 128;
/// `run`: as a shell has it.
pub const PROGRAM_NOT_EXECUTABLE: u8 = 126;
/// `run`: as a shell has it.
pub const PROGRAM_NOT_FOUND: u8 = 127;

/// How messages name the outputs of a command.
pub(crate) const STANDARD_OUTPUT: &str = "standard output";
pub(crate) const STANDARD_ERROR: &str = "standard error";

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Bad input.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// The call failed.
    #[error("{0}")]
    Client(#[from] Error),
    /// Something is not there.
    #[error("{0}")]
    NotFound(String),
    /// A wait timed out.
    #[error("{0}")]
    TimedOut(String),
    /// Reading or writing here failed.
    #[error("{what}: {source}")]
    Io {
        /// What was read or written.
        what: String,
        /// What happened.
        source: io::Error,
    },
    /// Bad input in several places of one file.
    #[error("{0}")]
    Mistakes(Mistakes),
    /// The embedded server did not start.
    #[error("{0}")]
    Local(String),
    /// The command has said what it had to say; only the code is left.
    #[error("exit code {0}")]
    Code(u8),
}

/// What is wrong with the jobs of one file, all of which was looked at before anything happened.
#[derive(Debug, Default)]
pub struct Mistakes {
    /// How many jobs the file has.
    pub jobs: usize,
    /// Each wrong one: its place in the file, and why.
    wrong: Vec<(usize, String)>,
}

impl Mistakes {
    /// None yet, in a file of `jobs` jobs.
    pub fn of(jobs: usize) -> Mistakes {
        Mistakes { jobs, ..Mistakes::default() }
    }

    /// Adds what is wrong with the job at this place, from 0.
    pub fn add(&mut self, at: usize, mistake: impl std::fmt::Display) {
        self.wrong.push((at, mistake.to_string()));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.wrong.is_empty()
    }

    /// Fails if there are any.
    pub fn found(mut self) -> Result<(), Failure> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        self.wrong.sort_by_key(|(at, _)| *at);
        Err(Failure::Mistakes(self))
    }
}

impl std::fmt::Display for Mistakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (count, most) = (self.wrong.len(), limits::MISTAKES_TOLD_MAX);
        write!(f, "{count} of {} jobs were refused, and none was submitted:", self.jobs)?;
        self.wrong.iter().take(most).try_for_each(|(_, mistake)| write!(f, "\n  {mistake}"))?;
        match count.saturating_sub(most) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl Failure {
    /// A failure to read or write `what`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
        let what = what.into();
        move |source| Failure::Io { what, source }
    }

    /// The process's exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Code(code) => *code,
            Failure::Invalid(_) | Failure::Mistakes(_) | Failure::Io { .. } => USAGE,
            Failure::NotFound(_) => NOT_FOUND,
            Failure::TimedOut(_) => TIMED_OUT,
            Failure::Local(_) => UNREACHABLE,
            Failure::Client(Error::Config(_)) => USAGE,
            Failure::Client(error) => error.code().map_or(UNREACHABLE, of_answer),
        }
    }

    /// Whether output of this command could not be written: its reader has gone, or its disk is full.
    pub fn is_lost_output(&self) -> bool {
        matches!(self, Failure::Io { what, .. } if [STANDARD_OUTPUT, STANDARD_ERROR].contains(&what.as_str()))
    }

    /// Whether the reader of our output has gone, as in `… | head`: that is no error.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Failure::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn of_answer(code: ErrorCode) -> u8 {
    match code {
        ErrorCode::Invalid
        | ErrorCode::Conflict
        | ErrorCode::TooLarge
        | ErrorCode::Method
        | ErrorCode::MediaType
        | ErrorCode::NotAcceptable => USAGE,
        ErrorCode::NotFound | ErrorCode::Gone => NOT_FOUND,
        ErrorCode::Denied | ErrorCode::Unauthenticated => DENIED,
        ErrorCode::Overloaded => OVERLOADED,
        ErrorCode::Unavailable | ErrorCode::Indefinite | ErrorCode::Internal => UNREACHABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskyard_client::api::ApiError;
    use taskyard_client::{ServerSource, Survey};

    #[test]
    fn every_code_is_in_the_guide() {
        let guide = include_str!("../../../docs/guide/command-line.md");
        let (_, table) = guide.split_once("## Exit codes").unwrap();
        let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
        let listed: Vec<u8> = cells
            .flat_map(|(codes, _)| codes.split([',', '+', ' ']).filter_map(|code| code.parse().ok()))
            .collect();
        let codes = [
            OK,
            TASK_FAILED,
            USAGE,
            UNREACHABLE,
            NOT_FOUND,
            DENIED,
            TIMED_OUT,
            OVERLOADED,
            RUN_FAILED,
            PROGRAM_NOT_EXECUTABLE,
            PROGRAM_NOT_FOUND,
            SIGNAL,
            WOULD_NEVER_START,
        ];
        assert_eq!(listed, codes);
        assert_eq!(INTERRUPTED, SIGNAL + 2);
    }

    #[test]
    fn every_failure_has_its_code() {
        let api = |code| Failure::from(Error::Api(ApiError::new(code, "no"))).code();
        assert_eq!(api(ErrorCode::Invalid), 2);
        assert_eq!(api(ErrorCode::Conflict), 2);
        assert_eq!(api(ErrorCode::Indefinite), 3);
        assert_eq!(api(ErrorCode::Unavailable), 3);
        assert_eq!(api(ErrorCode::NotFound), 4);
        assert_eq!(api(ErrorCode::Gone), 4);
        assert_eq!(api(ErrorCode::Denied), 5);
        assert_eq!(api(ErrorCode::Unauthenticated), 5);
        assert_eq!(api(ErrorCode::Overloaded), 7);
        let unreachable = Error::Unreachable { survey: Survey::default(), source_of: ServerSource::Flag };
        assert_eq!(Failure::from(unreachable).code(), 3);
        assert_eq!(Failure::from(Error::NoServer).code(), 3);
        assert_eq!(Failure::from(Error::Config(Invalid::new("--server", "x", "y"))).code(), 2);
        assert_eq!(Failure::TimedOut(String::new()).code(), 6);
        assert!(Failure::io(STANDARD_OUTPUT)(io::ErrorKind::BrokenPipe.into()).is_broken_pipe());
        assert!(Failure::io(STANDARD_ERROR)(io::ErrorKind::StorageFull.into()).is_lost_output());
        assert!(!Failure::io("report.html")(io::ErrorKind::StorageFull.into()).is_lost_output());
    }
}
