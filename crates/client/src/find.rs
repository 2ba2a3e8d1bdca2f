//! Where the servers are: `--server`, else `TASKYARD_SERVER`, else the config file, else those of the last `login
//! --server`, else the `taskyard dev` of this machine, else a server on its default port.

use crate::{Error, Result, ServerList, ServerSource};
use std::path::{Path, PathBuf};
use taskyard_api::{Invalid, Secret, body, validate};

/// Where `taskyard server` listens unless it is told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:7420";

/// The parts of the process's environment that matter; a value so that tests need not change their own.
#[derive(Clone, Default)]
pub struct Env {
    /// `TASKYARD_SERVER`.
    pub server: Option<String>,
    /// `TASKYARD_NAMESPACE`.
    pub namespace: Option<String>,
    /// `TASKYARD_TOKEN`.
    pub token: Option<Secret>,
    /// `TASKYARD_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// `TASKYARD_CA`: a file with the certificate of the authority that servers' certificates come from.
    pub authority: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`, or `~/.config`.
    pub config_home: PathBuf,
    /// `$XDG_DATA_HOME`, or `~/.local/share`.
    pub data_home: PathBuf,
}

impl Env {
    /// Those of this process.
    pub fn of_process() -> Result<Env> {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let home = var("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let dir = |name: &str, default: &str| var(name).map_or_else(|| home.join(default), PathBuf::from);
        let text = |name: &str| var(name).map(|v| v.to_string_lossy().into_owned());
        let token = text("TASKYARD_TOKEN").map(|text| Secret::read("TASKYARD_TOKEN", &text));
        Ok(Env {
            server: text("TASKYARD_SERVER"),
            namespace: text("TASKYARD_NAMESPACE"),
            token: token.transpose().map_err(Error::Config)?,
            token_file: var("TASKYARD_TOKEN_FILE").map(PathBuf::from),
            authority: var("TASKYARD_CA").map(PathBuf::from),
            config_home: dir("XDG_CONFIG_HOME", ".config"),
            data_home: dir("XDG_DATA_HOME", ".local/share"),
        })
    }

    /// The namespace to work in where a command names none: `TASKYARD_NAMESPACE`, else that of the config file.
    pub fn default_namespace(&self) -> Result<Option<String>> {
        let (field, name) = match &self.namespace {
            Some(name) => ("TASKYARD_NAMESPACE".to_owned(), Some(name.clone())),
            None => {
                let path = self.config_file();
                let field = format!("namespace in {}", path.display());
                let table = read(&path)?.map(|text| config(&path, &text)).transpose()?;
                match table.as_ref().and_then(|table| table.get("namespace")) {
                    Some(toml::Value::String(name)) => (field, Some(name.clone())),
                    Some(other) => {
                        let remedy = "write namespace = \"NAME\"";
                        return Err(Error::Config(Invalid::new(field, other, remedy)));
                    }
                    None => (field, None),
                }
            }
        };
        name.as_deref().map_or(Ok(()), |name| validate::name(&field, name)).map_err(Error::Config)?;
        Ok(name)
    }

    /// The user's config file.
    pub fn config_file(&self) -> PathBuf {
        self.config_home.join("taskyard/config.toml")
    }

    /// The file with the servers of the last `login --server`.
    fn login_file(&self) -> PathBuf {
        self.config_home.join("taskyard/server")
    }

    /// Makes these servers the ones to ask where none are named. `Err` is the file that names others and goes before.
    pub fn keep_servers(&self, urls: &[String]) -> Result<std::result::Result<(), PathBuf>> {
        let file = self.login_file();
        let failed =
            |error: std::io::Error| Error::Config(Invalid::new("login", file.display(), error.to_string()));
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir).map_err(failed)?;
        }
        std::fs::write(&file, format!("{}\n", urls.join(","))).map_err(failed)?;
        let config = self.config_file();
        let named = read(&config)?.map(|text| from_config(&config, &text)).transpose()?.flatten();
        Ok(if named.is_some_and(|found| found.urls != urls) { Err(config) } else { Ok(()) })
    }

    /// Forgets the servers of the last `login --server`, if they are these.
    pub fn forget_servers(&self, urls: &[String]) -> Result<bool> {
        let file = self.login_file();
        let kept = read(&file)?.filter(|text| text.trim() == urls.join(","));
        if kept.is_none() {
            return Ok(false);
        }
        let failed =
            |error: std::io::Error| Error::Config(Invalid::new("logout", file.display(), error.to_string()));
        std::fs::remove_file(&file).map(|()| true).map_err(failed)
    }

    /// Data of `taskyard dev`.
    pub fn dev_dir(&self) -> PathBuf {
        self.data_home.join("taskyard/dev")
    }

    /// The file in which `taskyard dev` writes its URL.
    pub fn dev_endpoint(&self) -> PathBuf {
        self.dev_dir().join("endpoint")
    }

    /// Data of `taskyard run --local`.
    pub fn local_dir(&self) -> PathBuf {
        self.data_home.join("taskyard/local")
    }

    /// Finds the servers. `flag` is the value of `--server`.
    pub fn find(&self, flag: Option<&str>) -> Result<ServerList> {
        // A mistake in it is told also where another source wins: it would be met later, and further from where it
        // was made.
        let path = self.config_file();
        let configured = read(&path)?.map(|text| from_config(&path, &text)).transpose()?.flatten();
        if let Some(list) = flag {
            return Ok(ServerList { urls: urls("--server", list)?, source: ServerSource::Flag });
        }
        if let Some(list) = &self.server {
            return Ok(ServerList { urls: urls("TASKYARD_SERVER", list)?, source: ServerSource::Variable });
        }
        if let Some(found) = configured {
            return Ok(found);
        }
        for (path, source) in [
            (self.login_file(), ServerSource::Login as fn(PathBuf) -> ServerSource),
            (self.dev_endpoint(), ServerSource::Dev),
        ] {
            if let Some(text) = read(&path)? {
                return Ok(ServerList {
                    urls: urls(&path.display().to_string(), text.trim())?,
                    source: source(path),
                });
            }
        }
        Ok(ServerList { urls: vec![DEFAULT_URL.to_owned()], source: ServerSource::DefaultPort })
    }
}

fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Config(Invalid::new("config", path.display(), error.to_string()))),
    }
}

/// What the config file may hold.
const KEYS: [&str; 2] = ["namespace", "server"];

fn config(path: &Path, text: &str) -> Result<toml::Table> {
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        Error::Config(Invalid::new(path.display().to_string(), "", e.message().to_owned()))
    })?;
    match table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        None => Ok(table),
        Some(key) => {
            let mut invalid = body::unknown(key, "the config file", &KEYS);
            invalid.field = format!("{key} in {}", path.display());
            Err(Error::Config(invalid))
        }
    }
}

fn from_config(path: &Path, text: &str) -> Result<Option<ServerList>> {
    let bad = |value: String, remedy: String| {
        Error::Config(Invalid::new(path.display().to_string(), value, remedy))
    };
    let table = config(path, text)?;
    let remedy = || "write server = \"http://host:port\", or a list of addresses".to_owned();
    let list = match table.get("server") {
        None => return Ok(None),
        Some(toml::Value::String(one)) => one.clone(),
        Some(toml::Value::Array(many)) => {
            let words: Option<Vec<&str>> = many.iter().map(toml::Value::as_str).collect();
            words.ok_or_else(|| bad("server".into(), remedy()))?.join(",")
        }
        Some(other) => return Err(bad(other.to_string(), remedy())),
    };
    let field = format!("server in {}", path.display());
    Ok(Some(ServerList { urls: urls(&field, &list)?, source: ServerSource::Config(path.to_owned()) }))
}

fn urls(field: &str, list: &str) -> Result<Vec<String>> {
    list.split(',').map(|text| url(field, text.trim())).collect()
}

const REMEDY: &str = "write an address as https://host:port, or as http://host:port without TLS";

/// `host:port` or a URL, as `http://host:port` or `https://host:port`.
fn url(field: &str, text: &str) -> Result<String> {
    let bad = |remedy: &str| Error::Config(Invalid::new(field, text, remedy));
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri: hyper::Uri = full.parse().map_err(|_| bad(REMEDY))?;
    let plain = uri.query().is_none() && matches!(uri.path(), "" | "/");
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() && plain && uri.port_u16().is_some() => {
            Ok(full.trim_end_matches('/').to_owned())
        }
        _ => Err(bad(REMEDY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_source_wins() {
        let dir = tempfile::tempdir().unwrap();
        let mut around =
            Env { config_home: dir.path().join("c"), data_home: dir.path().join("d"), ..Env::default() };
        let found = around.find(None).unwrap();
        assert_eq!((found.urls, found.source), (vec![DEFAULT_URL.to_owned()], ServerSource::DefaultPort));
        std::fs::create_dir_all(around.dev_dir()).unwrap();
        std::fs::write(around.dev_endpoint(), "http://127.0.0.1:7001\n").unwrap();
        let found = around.find(None).unwrap();
        assert_eq!(found.urls, ["http://127.0.0.1:7001"]);
        assert!(matches!(found.source, ServerSource::Dev(_)));
        let logged_in = ["https://l:1".to_owned(), "https://m:1".to_owned()];
        assert_eq!(around.keep_servers(&logged_in).unwrap(), Ok(()));
        let found = around.find(None).unwrap();
        assert!(found.urls == logged_in && matches!(found.source, ServerSource::Login(_)));
        std::fs::write(around.config_file(), "server = [\"http://a:1\", \"b:2/\"]\n").unwrap();
        assert_eq!(around.find(None).unwrap().urls, ["http://a:1", "http://b:2"]);
        assert_eq!(around.keep_servers(&logged_in).unwrap(), Err(around.config_file()));
        assert!(
            !around.forget_servers(&logged_in[..1]).unwrap() && around.forget_servers(&logged_in).unwrap()
        );
        assert!(!around.forget_servers(&logged_in).unwrap(), "it is gone");
        assert_eq!(around.default_namespace().unwrap(), None);
        std::fs::write(around.config_file(), "server = [\"http://a:1\", \"b:2/\"]\nnamespace = \"team-a\"\n")
            .unwrap();
        assert_eq!(around.default_namespace().unwrap().as_deref(), Some("team-a"));
        around.namespace = Some("Team".into());
        assert!(around.default_namespace().is_err());
        around.server = Some("c:3, d:4".into());
        assert_eq!(around.find(None).unwrap().urls, ["http://c:3", "http://d:4"]);
        assert_eq!(around.find(Some("e:5")).unwrap().source, ServerSource::Flag);
    }

    #[test]
    fn bad_addresses_are_named() {
        let around = Env::default();
        for text in ["", "host", "http://host", "https://h", "h:1/path", "ftp://h:1", "h:99999"] {
            let Err(Error::Config(invalid)) = around.find(Some(text)) else { panic!("{text}") };
            assert_eq!(invalid.field, "--server");
            assert!(invalid.remedy.contains("https://"), "{invalid}");
        }
        let dir = tempfile::tempdir().unwrap();
        for text in
            ["server = 5", "server = [1]", "server =", "sever = [\"http://a:1\"]", "[server]\nurl = \"a:1\""]
        {
            let around = Env { config_home: dir.path().into(), ..Env::default() };
            std::fs::create_dir_all(around.config_file().parent().unwrap()).unwrap();
            std::fs::write(around.config_file(), text).unwrap();
            let Err(Error::Config(invalid)) = around.find(None) else { panic!("{text}") };
            assert!(invalid.field.contains("config.toml"), "{invalid}");
            let misspelt =
                !text.starts_with("sever") || invalid.to_string().contains("did you mean \"server\"");
            assert!(misspelt, "{invalid}");
            assert!(around.find(Some("a:1")).is_err(), "also where the file is not needed");
        }
    }
}
