//! The first token: nobody can ask for it, since nobody has a token yet. It is written into a file that only the server's user can read, and
//! becomes good when the leader has put its hash into the log. Later ones are made with it.

use super::token::{Parsed, draw, parse_secret};
use super::{AuthMode, Entry, Outcome};
use crate::app::{App, ServerConfig, ServerError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use taskyard_api::Secret;
use taskyard_consensus::StartError;
use taskyard_model::{EVERYWHERE, Grant, Party, Role};
use taskyard_state::{Command, NewToken, Rejection, Reply};

const NAME: &str = "admin.token";
const REMEDY: &str =
    "put a token of an administrator into it, or remove it: --new-admin-token makes another one";
/// Between two tries to get it into the log.
const REST: Duration = Duration::from_millis(200);

fn path(config: &ServerConfig) -> PathBuf {
    config.admin_token_file.clone().unwrap_or_else(|| config.data_dir.join(NAME))
}

/// A file that holds no token is told before the server starts.
pub(crate) fn check_file(config: &ServerConfig) -> Result<(), ServerError> {
    if config.auth == AuthMode::Token {
        read(&path(config))?;
    }
    Ok(())
}

/// Makes the first token, or another one if the server was told to. Ends when there is one.
pub(crate) async fn first_token(app: App) {
    if app.config.auth != AuthMode::Token {
        return;
    }
    let path = path(&app.config);
    let only_first = !app.config.new_admin_token;
    let mut leadership = app.consensus.leadership();
    loop {
        let _ = leadership.wait_for(Option::is_some).await;
        if only_first && app.consensus.read(|state| state.tokens_made()) > 0 {
            return;
        }
        let parsed = match token_of(&path, only_first) {
            Ok(parsed) => parsed,
            Err(error) => return tracing::error!(%error, "no token for the administrator was made"),
        };
        match propose(&app, parsed, only_first).await {
            Some(true) => {
                return tracing::info!(file = %path.display(), "a token for the administrator is in this file");
            }
            Some(false) => return,
            None => tokio::time::sleep(REST).await,
        }
    }
}

/// The token of the file. A new file is on disk before its token is good, so that a crash in between loses nothing.
fn token_of(path: &Path, keep: bool) -> Result<Parsed, ServerError> {
    if keep && let Some(parsed) = read(path)? {
        return Ok(parsed);
    }
    let failed = |cause| ServerError::File { path: path.to_owned(), cause };
    let drawn = draw().map_err(failed)?;
    write(path, &drawn.text).map_err(failed)?;
    Ok(Parsed { id: drawn.id, hash: drawn.hash })
}

fn read(path: &Path) -> Result<Option<Parsed>, ServerError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(ServerError::Unreadable { path: path.to_owned(), cause }),
    };
    let source = path.display().to_string();
    let parsed = Secret::read(&source, &text).and_then(|secret| parse_secret(&source, &secret));
    let damaged = |_| StartError::Damaged {
        file: path.to_owned(),
        offset: 0,
        what: "it holds no token, or not the one that was written".to_owned(),
        remedy: REMEDY,
    };
    parsed.map(Some).map_err(|invalid| damaged(invalid).into())
}

fn write(path: &Path, secret: &Secret) -> io::Result<()> {
    taskyard_datadir::replace(path, format!("{}\n", secret.expose()).as_bytes())
}

/// Whether it stands now; `None` where that is to be tried again.
async fn propose(app: &App, parsed: Parsed, only_first: bool) -> Option<bool> {
    let new = NewToken {
        id: parsed.id.clone(),
        hash: parsed.hash,
        user: "admin".into(),
        label: "made at the start of a server".into(),
        party: Party::User,
        grants: vec![Grant { namespace: EVERYWHERE.into(), role: Role::Admin }],
        life_ms: None,
        created_by: String::new(),
        only_first,
        join: false,
        uses: 0,
    };
    let committed = match app.consensus.propose(Command::CreateToken(Box::new(new))).await {
        Ok(committed) => committed,
        Err(error) => {
            tracing::debug!(%error, "the administrator's token is not in the log yet");
            return None;
        }
    };
    let stands = match committed.reply {
        // Said twice is said once: an answer that was lost.
        Reply::Done | Reply::Rejected(Rejection::TokenExists(_)) => true,
        _ => false,
    };
    app.audit.write(&Entry {
        user: "",
        credential: "none",
        verb: "create",
        object: &format!("token {}", parsed.id),
        namespace: EVERYWHERE,
        outcome: if stands { Outcome::Done } else { Outcome::Rejected },
        index: Some(committed.index),
        why: Some("the first token of the administrator".into()),
    });
    Some(stands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        let first = token_of(&path, true).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let again = token_of(&path, true).unwrap();
        assert_eq!((first.id.as_str(), first.hash), (again.id.as_str(), again.hash));
        assert_ne!(token_of(&path, false).unwrap().id, first.id, "another one when that is asked");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_without_a_token_is_refused_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        for text in ["", "\n", "secret", "tyt_0123456789ab_"] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(NAME) && !error.contains("secret"), "{error}");
        }
    }
}
