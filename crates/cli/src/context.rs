//! What every command works with: the client, the output, the user.

use crate::exit::Failure;
use crate::host::{Host, LocalHandle};
use crate::show::{Format, Out};
use crate::{Globals, host};
use std::os::unix::fs::MetadataExt;
use taskyard_client::{Client, Found, Patience, Source, Surroundings};

/// A command at work.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) out: Out,
    /// How to name this server in what to type next: ` --local` or nothing.
    pub(crate) local_flag: &'static str,
    stop: Option<host::Pending<'static, ()>>,
}

impl Context {
    /// Finds the servers, or starts one with `--local`.
    pub(crate) async fn new(globals: &Globals, format: Format, host: &dyn Host) -> Result<Context, Failure> {
        let around = Surroundings::of_process();
        let (found, stop) = if globals.local {
            let LocalHandle { url, stop, .. } =
                host.start_local(&around.local_dir()).await.map_err(Failure::Local)?;
            (Found { urls: vec![url], source: Source::Flag }, Some(stop))
        } else {
            (around.find(globals.server.as_deref())?, None)
        };
        let client = Client::new(found, &user(globals), Patience::default());
        let local_flag = if globals.local { " --local" } else { "" };
        Ok(Context { client, out: Out::of_process(format), local_flag, stop })
    }

    /// Stops the server of `--local`.
    pub(crate) async fn close(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.await;
        }
    }

    /// Whose jobs `last` and `all` mean.
    pub(crate) fn user(&self) -> &str {
        self.client.user()
    }
}

fn user(globals: &Globals) -> String {
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
