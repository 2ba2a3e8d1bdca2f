//! What every command works with: the client, the output, the user.

use crate::exit::Failure;
use crate::host::{Host, LocalHandle};
use crate::show::{Out, Presentation, output::say, style};
use crate::{Globals, host};
use std::os::unix::fs::MetadataExt;
use taskyard_client::api::EVERYWHERE;
use taskyard_client::{Client, Credentials, Env, Patience, ServerList, ServerSource};
use tokio::sync::OnceCell;

/// A command at work.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) out: Out,
    /// The namespace where a command names none.
    pub(crate) namespace: Option<String>,
    /// Who the credential says it is, once that was asked for.
    owner: OnceCell<String>,
    /// How to name this server in what to type next: ` --local` or nothing.
    pub(crate) local_flag: &'static str,
    stop: Option<host::Pending<'static, ()>>,
}

impl Context {
    /// Finds the servers, or starts one with `--local`.
    pub(crate) async fn new(
        globals: &Globals,
        look: Presentation,
        around: &Env,
        host: &dyn Host,
    ) -> Result<Context, Failure> {
        let (found, stop) = if globals.local {
            let LocalHandle { url, stop, .. } =
                host.start_local(&around.local_dir()).await.map_err(Failure::Local)?;
            (ServerList { urls: vec![url], source: ServerSource::Flag }, Some(stop))
        } else {
            (around.find(globals.server.as_deref())?, None)
        };
        // The server of `--local` asks for none, and is private.
        let credentials = if globals.local { Credentials::default() } else { Credentials::find(around)? };
        let client = Client::with(found, &user(globals), Patience::default(), credentials)?;
        client.on_wait(Box::new(|text| say(&style::paint(style::DIM, text))));
        if globals.stale {
            client.allow_stale();
        }
        let local_flag = if globals.local { " --local" } else { "" };
        let (out, namespace) = (Out::of_process(look), around.default_namespace()?);
        Ok(Context { client, out, namespace, owner: OnceCell::new(), local_flag, stop })
    }

    /// Stops the server of `--local`.
    pub(crate) async fn close(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.await;
        }
    }

    /// Whose jobs `last` and `all` mean: with a credential, the server knows.
    pub(crate) async fn owner(&self) -> Result<&str, Failure> {
        if !self.client.has_credential() {
            return Ok(self.client.user());
        }
        let ask = || async { self.client.whoami().await.map(|who| who.user) };
        Ok(self.owner.get_or_try_init(ask).await?)
    }

    /// A namespace as an option says it, or the one where none is named; `*` is no restriction.
    pub(crate) fn within(&self, option: Option<String>) -> Option<String> {
        option.or_else(|| self.namespace.clone()).filter(|namespace| namespace != EVERYWHERE)
    }
}

/// In whose name to ask.
pub(crate) fn user(globals: &Globals) -> String {
    let of_system = || {
        ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
    };
    globals.user.clone().or_else(of_system).or_else(user_of_process).unwrap_or_else(|| "unknown".to_owned())
}

/// The name of the process's user, where the environment does not say it (in containers and under cron).
fn user_of_process() -> Option<String> {
    let uid = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut fields = users.lines().map(|line| line.split(':'));
    fields.find_map(|mut line| {
        let name = line.next()?;
        (line.nth(1)? == uid).then(|| name.to_owned())
    })
}
