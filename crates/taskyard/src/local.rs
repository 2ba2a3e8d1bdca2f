//! The commands for people, and the server that `--local` brings up for one of them.

use crate::args::{Cli, OfferArgs};
use crate::config;
use crate::serve::{Pair, log};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use taskyard_cli::host::{BackupAnswer, BackupAsk, ClusterMade, Pending, Progress};
use taskyard_cli::{Command, Globals, Host, LocalHandle};
use taskyard_client::api::{ApiError, Invalid};
use taskyard_server::ServerConfig;
use tokio::sync::watch;
use tracing::level_filters::LevelFilter;

/// Runs a command for people.
pub(crate) fn user(command: Command, globals: Globals) -> ExitCode {
    log(LevelFilter::ERROR);
    // One thread is enough for a client; `--local` brings its own.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(taskyard_cli::execute(command, globals, &Process)),
        Err(error) => crate::serve::finish(Err(error.into())),
    }
}

struct Process;

impl Host for Process {
    fn app(&self) -> clap::Command {
        Cli::grouped()
    }

    fn start_local<'a>(&'a self, dir: &'a Path) -> Pending<'a, Result<LocalHandle, String>> {
        Box::pin(async move { start(dir.to_owned()).await.map_err(|error| format!("{error:#}")) })
    }

    fn init_cluster(&self, data_dir: Option<&Path>) -> Result<ClusterMade, Invalid> {
        let data_dir = data_dir.map_or_else(|| config::data_home().join("server"), Path::to_owned);
        let home = taskyard_tls::TlsDir::of(&data_dir);
        let made = taskyard_consensus::claim_dir(&data_dir).map_err(|error| error.to_string());
        let fingerprint = made.and_then(|()| home.create_authority().map_err(|error| error.to_string()));
        // The message names the path itself.
        let fingerprint = fingerprint.map_err(|why| Invalid::new("--data-dir", "", why))?;
        Ok(ClusterMade { authority: home.authority_file(), data_dir, fingerprint: fingerprint.to_string() })
    }

    fn backups<'a>(
        &'a self,
        ask: BackupAsk,
        progress: Progress<'a>,
    ) -> Pending<'a, Result<BackupAnswer, ApiError>> {
        Box::pin(crate::backups::answer(ask, progress))
    }
}

/// Starts server and agent in a thread of their own and waits until a node is there to run something.
async fn start(dir: PathBuf) -> anyhow::Result<LocalHandle> {
    let stop = watch::Sender::new(false);
    let mut stopped = stop.subscribe();
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let data_dir = dir.clone();
    let thread = std::thread::Builder::new().name("local".into()).spawn(move || {
        let run = async move {
            let listen = SocketAddr::from(([127, 0, 0, 1], 0));
            match Pair::start(ServerConfig::new(dir.join("server"), listen), &dir, OfferArgs::default()).await
            {
                Ok(pair) => {
                    let (url, is_ready) = (pair.url.clone(), pair.ready());
                    let stopped = async move {
                        is_ready.await;
                        // The command may have been interrupted meanwhile.
                        let _ = ready.send(Ok(url));
                        let _ = stopped.wait_for(|s| *s).await;
                    };
                    pair.run(stopped, std::future::pending()).await
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                    Ok(())
                }
            }
        };
        if let Err(error) = crate::serve::block_on(run) {
            tracing::error!("{error:#}");
        }
    })?;
    let url = is_ready.await??;
    let stop = Box::pin(async move {
        stop.send_replace(true);
        // A panic there was printed already.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    });
    Ok(LocalHandle { url, data_dir, stop })
}
