//! What a user proves with who they are: a token from the environment, from a file that it names, or from an earlier
//! `login`.
//!
//! A login's token is kept for the address it was given for, so that no other server gets to see it. None is sent in
//! clear over a network.

use crate::find::Env;
use crate::{Error, Result};
use hyper::header::HeaderValue;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use taskyard_api::{Invalid, Secret, body};

/// Readable and writable by the user alone.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// The tokens to send, by address.
#[derive(Clone, Default)]
pub struct Credentials {
    /// One for every server: the user named it for this call.
    everywhere: Option<Secret>,
    by_url: BTreeMap<String, Secret>,
    /// The certificate of the authority that servers' certificates are to come from, as PEM: for every server, or
    /// from the login there.
    authority: Option<String>,
    authorities: BTreeMap<String, String>,
}

impl Credentials {
    /// This one, for every server.
    pub fn of(secret: Secret) -> Credentials {
        Credentials { everywhere: Some(secret), ..Credentials::default() }
    }

    /// The same with an authority, as PEM, for every server.
    #[must_use]
    pub fn with_authority(self, authority: Option<String>) -> Credentials {
        Credentials { authority, ..self }
    }

    /// `TASKYARD_TOKEN`, else the file that `TASKYARD_TOKEN_FILE` names, else what `login` keeps.
    pub fn find(around: &Env) -> Result<Credentials> {
        let authority =
            around.authority.as_deref().map(|path| read_authority("TASKYARD_CA", path)).transpose()?;
        let everywhere = match (&around.token, &around.token_file) {
            (Some(text), _) => Some(text.clone()),
            (None, Some(path)) => Some(read_token_file("TASKYARD_TOKEN_FILE", path)?),
            (None, None) => None,
        };
        let kept = match (&everywhere, &authority) {
            // Then a file that cannot be read does no harm.
            (Some(_), Some(_)) => BTreeMap::new(),
            _ => TokenStore::of(around).read()?,
        };
        let authorities =
            kept.iter().filter_map(|(url, login)| Some((url.clone(), login.authority.clone()?)));
        let authorities = authorities.collect();
        let by_url = kept.into_iter().map(|(url, login)| (url, login.secret)).collect();
        Ok(Credentials { everywhere, by_url, authority, authorities })
    }

    /// The authorities, as PEM, that servers at these addresses are to have their certificates from; the system's if
    /// there is none.
    pub(crate) fn authorities(&self, urls: &[String]) -> Option<String> {
        let of = |url: &String| self.authorities.get(url).cloned();
        let all = || urls.iter().filter_map(of).reduce(|all, one| format!("{all}\n{one}"));
        self.authority.clone().or_else(all)
    }

    /// Whether a request to this address carries one.
    pub fn has(&self, url: &str) -> bool {
        self.everywhere.is_some() || self.by_url.contains_key(url)
    }

    /// The header for requests to this address.
    pub(crate) fn header(&self, url: &str) -> Result<Option<HeaderValue>> {
        let Some(secret) = self.everywhere.as_ref().or_else(|| self.by_url.get(url)) else { return Ok(None) };
        if !is_private(url) {
            let remedy = "your token would cross the network unencrypted; use https://, or reach the server at a loopback address, as through an SSH tunnel";
            return Err(Error::Config(Invalid::new("server", url, remedy)));
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.expose()))
            .map_err(|_| Error::Config(Invalid::new("token", "(not shown)", "this is not a token")))?;
        // Kept out of what prints headers.
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// A token in a file of its own. An empty file is an error, not the lack of a token.
pub fn read_token_file(source: &str, path: &Path) -> Result<Secret> {
    let failed = |error: io::Error| Error::Config(Invalid::new(source, path.display(), error.to_string()));
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Secret::read(&format!("{source} ({})", path.display()), &text).map_err(Error::Config)
}

/// The certificate of an authority, as PEM.
pub fn read_authority(source: &str, path: &Path) -> Result<String> {
    let failed = |why: String| Error::Config(Invalid::new(source, path.display(), why));
    let pem = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    taskyard_tls::web_roots(Some(&pem)).map_err(|error| failed(error.to_string()))?;
    Ok(pem)
}

/// Whether what is sent to this address stays on this machine, or is for the server's eyes alone.
fn is_private(url: &str) -> bool {
    let Some(uri) = url.parse::<hyper::Uri>().ok().filter(|uri| uri.host().is_some()) else { return false };
    if uri.scheme_str() == Some("https") {
        return true;
    }
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What `login` keeps for one address.
#[derive(Clone)]
pub struct Login {
    /// Whose token it is.
    pub user: String,
    /// The token.
    pub secret: Secret,
    /// The certificate of the authority that the server's comes from, as PEM; the system knows it if that is missing.
    pub authority: Option<String>,
}

/// What is kept of a login.
const FIELDS: [&str; 3] = ["ca", "token", "user"];

/// The file in which `login` keeps tokens.
#[derive(Clone, Debug)]
pub struct TokenStore(PathBuf);

impl TokenStore {
    /// The user's own.
    pub fn of(around: &Env) -> TokenStore {
        TokenStore(around.config_home.join("taskyard/tokens.toml"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Everything in it, by address.
    pub fn read(&self) -> Result<BTreeMap<String, Login>> {
        let text = match File::open(&self.0) {
            Ok(file) => {
                let mode = file.metadata().map_err(|e| self.bad("", e))?.mode() & 0o777;
                if mode & 0o077 != 0 {
                    let remedy = format!("other users can read it; run: chmod 600 {}", self.0.display());
                    return Err(self.bad(&format!("mode {mode:o}"), remedy));
                }
                io::read_to_string(file).map_err(|e| self.bad("", e))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(self.bad("", error)),
        };
        // What the parser says quotes the text, and the text is secret.
        let table: toml::Table =
            text.parse().map_err(|_| self.bad("", "it is damaged; remove it and log in again"))?;
        table.into_iter().map(|(url, value)| Ok((url.clone(), self.login(&url, &value)?))).collect()
    }

    fn login(&self, url: &str, value: &toml::Value) -> Result<Login> {
        let mut keys = value.as_table().into_iter().flat_map(toml::Table::keys);
        if let Some(key) = keys.find(|key| !FIELDS.contains(&key.as_str())) {
            let mut invalid = body::unknown(key, "a login", &FIELDS);
            invalid.field = format!("{key} of {url} in {}", self.0.display());
            return Err(Error::Config(invalid));
        }
        let field = |name: &str| value.get(name).and_then(toml::Value::as_str).unwrap_or_default();
        let secret = Secret::read(&self.0.display().to_string(), field("token")).map_err(Error::Config)?;
        let authority = value.get("ca").and_then(toml::Value::as_str).map(str::to_owned);
        Ok(Login { user: field("user").to_owned(), secret, authority })
    }

    /// Keeps a token for these addresses.
    pub fn keep(&self, urls: &[String], login: &Login) -> Result<()> {
        let mut all = self.read()?;
        all.extend(urls.iter().map(|url| (url.clone(), login.clone())));
        self.write(&all)
    }

    /// Forgets the tokens of these addresses; those that had one.
    pub fn forget(&self, urls: &[String]) -> Result<Vec<String>> {
        let mut all = self.read()?;
        let gone: Vec<String> = urls.iter().filter(|url| all.remove(*url).is_some()).cloned().collect();
        if !gone.is_empty() {
            self.write(&all)?;
        }
        Ok(gone)
    }

    fn write(&self, all: &BTreeMap<String, Login>) -> Result<()> {
        let entry = |(url, login): (&String, &Login)| {
            let token = toml::Value::String(login.secret.expose().to_owned());
            let fields = [("token".to_owned(), token), ("user".to_owned(), login.user.clone().into())];
            let authority = login.authority.clone().map(|pem| ("ca".to_owned(), pem.into()));
            (url.clone(), toml::Value::Table(fields.into_iter().chain(authority).collect()))
        };
        let text = all.iter().map(entry).collect::<toml::Table>().to_string();
        self.replace(&text).map_err(|error| self.bad("", error))
    }

    /// In one step, so that no moment sees half of it, and never readable by others.
    fn replace(&self, text: &str) -> io::Result<()> {
        if let Some(dir) = self.0.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)?;
        }
        let fresh = self.0.with_extension("new");
        let _ = std::fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.0)
    }

    fn bad(&self, value: &str, remedy: impl ToString) -> Error {
        Error::Config(Invalid::new(self.0.display().to_string(), value, remedy.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn secret(text: &str) -> Secret {
        Secret::read("test", text).unwrap_or_else(|e| panic!("{e}"))
    }

    fn sent(credentials: &Credentials, url: &str) -> Option<String> {
        let header = credentials.header(url).unwrap()?;
        Some(header.to_str().unwrap().to_owned())
    }

    fn around(dir: &Path) -> Env {
        Env { config_home: dir.to_owned(), ..Env::default() }
    }

    #[test]
    fn a_login_is_kept_for_its_address_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = TokenStore::of(&around(dir.path()));
        let (a, b) = ("http://127.0.0.1:1".to_owned(), "http://127.0.0.1:2".to_owned());
        store
            .keep(
                std::slice::from_ref(&a),
                &Login { user: "ada".into(), secret: secret("tyt_a"), authority: None },
            )
            .unwrap();
        store
            .keep(
                std::slice::from_ref(&b),
                &Login { user: "bob".into(), secret: secret("tyt_b"), authority: None },
            )
            .unwrap();
        assert_eq!(store.path().metadata().unwrap().permissions().mode() & 0o777, FILE_MODE);
        let found = Credentials::find(&around(dir.path())).unwrap();
        assert_eq!(sent(&found, &a).as_deref(), Some("Bearer tyt_a"));
        assert_eq!(sent(&found, "http://127.0.0.1:3"), None);
        let gone = store.forget(&[a.clone(), "http://x:1".into()]).unwrap();
        assert_eq!(gone, std::slice::from_ref(&a));
        let found = Credentials::find(&around(dir.path())).unwrap();
        assert_eq!((found.has(&a), found.has(&b)), (false, true));
    }

    #[test]
    fn the_nearest_token_wins_and_an_empty_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (file, url) = (dir.path().join("token"), "http://localhost:1");
        std::fs::write(&file, "tyt_file\n").unwrap();
        let mut around = Env { token_file: Some(file.clone()), ..around(dir.path()) };
        assert_eq!(sent(&Credentials::find(&around).unwrap(), url).as_deref(), Some("Bearer tyt_file"));
        around.token = Some(secret("tyt_variable"));
        assert_eq!(sent(&Credentials::find(&around).unwrap(), url).as_deref(), Some("Bearer tyt_variable"));
        around.token = None;
        std::fs::write(&file, "\n").unwrap();
        assert!(matches!(Credentials::find(&around), Err(Error::Config(_))));
    }

    #[test]
    fn no_token_crosses_a_network_in_clear() {
        let credentials = Credentials::of(secret("tyt_a"));
        for near in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "http://127.9.9.9:1"] {
            assert!(credentials.header(near).is_ok(), "{near}");
        }
        for far in [
            "http://10.0.0.1:1",
            "http://a.example:1",
            "http://127.0.0.1.example:1",
            "http://localhost.example:1",
        ] {
            assert!(credentials.header(far).is_err(), "{far}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = TokenStore::of(&around(dir.path()));
        store
            .keep(
                &["http://a:1".into()],
                &Login { user: "ada".into(), secret: secret("tyt_a"), authority: None },
            )
            .unwrap();
        std::fs::set_permissions(store.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        let Err(Error::Config(invalid)) = Credentials::find(&around(dir.path())) else { panic!("accepted") };
        assert!(invalid.remedy.contains("chmod 600"), "{invalid}");
    }
}
