//! What can go wrong with a call, sorted by what the caller can do about it.

use crate::find::Source;
use taskyard_api::{ApiError, ErrorCode, Invalid};

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No address of a server is known.
    #[error("no Taskyard server is known here")]
    NoServer,
    /// An address, or the file that holds it, is wrong.
    #[error("{0}")]
    Config(Invalid),
    /// No server answered; nothing was sent.
    #[error("no Taskyard server answers at {} ({cause})", .tried.join(", "))]
    Unreachable {
        /// The addresses.
        tried: Vec<String>,
        /// Where they came from.
        source_of: Source,
        /// What the last one said.
        cause: String,
    },
    /// The connection broke, or the time was up, after the request was sent: it may have taken effect.
    #[error("the server's answer was lost ({cause}); whether it happened is not known")]
    Indefinite {
        /// How.
        cause: String,
    },
    /// The server answered with an error.
    #[error("{0}")]
    Api(ApiError),
    /// The answer is none of this API.
    #[error("{url} does not answer like a Taskyard server: {cause}")]
    Protocol {
        /// Who answered.
        url: String,
        /// What is strange.
        cause: String,
    },
}

impl Error {
    /// The code of an error that a server answered.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Error::Api(error) => Some(error.code),
            _ => None,
        }
    }

    /// Whether it is certain that nothing happened.
    pub fn is_definite(&self) -> bool {
        match self {
            Error::NoServer | Error::Config(_) | Error::Unreachable { .. } => true,
            Error::Api(error) => error.definite,
            Error::Indefinite { .. } | Error::Protocol { .. } => false,
        }
    }

    /// Whether another try can help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Indefinite { .. } => true,
            Error::Api(e) => {
                matches!(e.code, ErrorCode::Overloaded | ErrorCode::Unavailable | ErrorCode::Indefinite)
            }
            _ => false,
        }
    }

    /// What to do about it, for people.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Error::NoServer => {
                Some("start one on this machine with `taskyard dev`, or name one with --server or TASKYARD_SERVER".into())
            }
            Error::Unreachable { cause, .. } if cause.contains("UnknownIssuer") => {
                Some("name the cluster's ca.crt: `taskyard login --ca FILE`, or TASKYARD_CA=FILE".into())
            }
            Error::Unreachable { source_of, .. } => Some(match source_of {
                Source::Dev(_) => "the local server is not running; start it with `taskyard dev`".into(),
                Source::Flag => "check --server, or start a server on this machine with `taskyard dev`".into(),
                Source::Variable => {
                    "check TASKYARD_SERVER, or unset it and start a server on this machine with `taskyard dev`".into()
                }
                Source::Config(path) => format!(
                    "check `server` in {}, or start a server on this machine with `taskyard dev`",
                    path.display()
                ),
            }),
            Error::Api(error) => error.remedy.clone().filter(|_| error.code != ErrorCode::Invalid),
            _ => None,
        }
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Error::Api(error)
    }
}
