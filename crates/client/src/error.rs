//! What can go wrong with a call, sorted by what the caller can do about it.

use crate::health::Survey;
use crate::server_list::ServerSource;
use taskyard_api::{ApiError, ErrorCode, Invalid};

/// What every call answers.
pub type Result<T> = std::result::Result<T, Error>;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No address of a server is known.
    #[error("no Taskyard server is configured or running here")]
    NoServer,
    /// An address, or the file that holds it, is wrong.
    #[error("{0}")]
    Config(Invalid),
    /// No server serves; nothing happened.
    #[error("{survey}")]
    Unreachable {
        /// How each of them is.
        survey: Survey,
        /// Where the addresses came from.
        source_of: ServerSource,
    },
    /// Nothing was changed, and the answer was lost.
    #[error("the server's answer was lost ({cause})")]
    Unread {
        /// How.
        cause: String,
    },
    /// The connection broke, or the time was up, after the request was sent: it may have taken effect.
    #[error("the server's answer was lost ({cause}); it is unknown whether it happened")]
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
            Error::NoServer | Error::Config(_) | Error::Unreachable { .. } | Error::Unread { .. } => true,
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

    /// Whether the server that says so will say the same a moment later: it names no time, and what to do instead.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(
            self,
            Error::Api(ApiError { code: ErrorCode::Unavailable, retry_after_ms: None, remedy: Some(_), .. })
        )
    }

    /// Whether how the servers are may say more.
    pub(crate) fn is_of_servers(&self) -> bool {
        self.is_passing() && self.code() != Some(ErrorCode::Overloaded)
    }

    /// What to do about it, for people.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Error::NoServer => Some(
                "start one on this machine with `taskyard dev`, or name one with --server or TASKYARD_SERVER"
                    .into(),
            ),
            Error::Unreachable { survey, source_of } => Some(of_servers(survey, source_of)),
            Error::Api(error) => error.remedy.clone().filter(|_| error.code != ErrorCode::Invalid),
            _ => None,
        }
    }
}

/// What to do where no server serves.
fn of_servers(survey: &Survey, source: &ServerSource) -> String {
    if survey.untrusted().is_some_and(|why| why.contains("UnknownIssuer")) {
        return "name the cluster's ca.crt: `taskyard login --ca FILE`, or TASKYARD_CA=FILE".into();
    }
    if survey.answering() > 0 {
        return "start the other servers or restore the network between them; `--stale` reads what this one knows".into();
    }
    let check = match source {
        ServerSource::Dev(_) => {
            return "the local server is not running; start it with `taskyard dev`".into();
        }
        ServerSource::DefaultPort => {
            return "start a server on this machine with `taskyard dev`, or name one with --server or TASKYARD_SERVER".into();
        }
        ServerSource::Login(_) => {
            "these servers come from the last `taskyard login --server`: check them".to_owned()
        }
        ServerSource::Flag => "check --server".to_owned(),
        ServerSource::Variable => "check TASKYARD_SERVER".to_owned(),
        ServerSource::Config(path) => format!("check `server` in {}", path.display()),
    };
    if survey.is_local() {
        return format!("{check}, or start a server on this machine with `taskyard dev`");
    }
    format!("{check}, and that the server runs and its port is reachable")
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Error::Api(error)
    }
}
