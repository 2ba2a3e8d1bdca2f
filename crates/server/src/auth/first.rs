//! The first token: it cannot be requested, since no one has a token yet. It is written into a file that only the
//! server's user can read, and becomes good when the leader has put its hash into the log (`loops::first_token`). Later
//! ones are made with it.

use super::token::{ParsedToken, draw, parse_secret};
use crate::config::{AuthMode, ServerConfig};
use crate::error::ServerError;
use std::io;
use std::path::{Path, PathBuf};
use taskyard_api::Secret;
use taskyard_consensus::StartError;

const NAME: &str = "admin.token";
const REMEDY: &str =
    "put an administrator's token into it, or remove it: --new-admin-token creates another one";
pub(crate) fn path(config: &ServerConfig) -> PathBuf {
    config.admin_token_file.clone().unwrap_or_else(|| config.data_dir.join(NAME))
}

/// A file that holds no token is told before the server starts.
pub(crate) fn check_file(config: &ServerConfig) -> Result<(), ServerError> {
    if config.auth == AuthMode::Token {
        read(&path(config))?;
    }
    Ok(())
}

/// The token of the file. A new file is on disk before its token is good, so that a crash in between loses nothing.
pub(crate) fn token_of(path: &Path, keep: bool) -> Result<ParsedToken, ServerError> {
    if keep && let Some(parsed) = read(path)? {
        return Ok(parsed);
    }
    let failed = |cause| ServerError::File { what: "write", path: path.to_owned(), cause };
    let drawn = draw().map_err(failed)?;
    write(path, &drawn.text).map_err(failed)?;
    Ok(ParsedToken { id: drawn.id, hash: drawn.hash })
}

fn read(path: &Path) -> Result<Option<ParsedToken>, ServerError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(ServerError::File { what: "read", path: path.to_owned(), cause }),
    };
    let source = path.display().to_string();
    let parsed = Secret::read(&source, &text).and_then(|secret| parse_secret(&source, &secret));
    let damaged = |_| StartError::Damaged {
        file: path.to_owned(),
        offset: 0,
        what: "it contains no token, or not the one that was written".to_owned(),
        remedy: REMEDY,
    };
    parsed.map(Some).map_err(|invalid| damaged(invalid).into())
}

fn write(path: &Path, secret: &Secret) -> io::Result<()> {
    taskyard_datadir::replace(path, format!("{}\n", secret.expose()).as_bytes())
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
