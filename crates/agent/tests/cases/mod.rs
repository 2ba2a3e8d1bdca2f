//! The cases of `tasks`.

mod ends;
mod faults;
mod output;

use crate::support::Server;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};
use taskyard_agent::{AgentConfig, AgentError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

type Case = fn() -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        pub const ALL: &[(&str, Case)] =
            &[$((concat!(stringify!($module), "::", stringify!($name)), || Box::pin($module::$name()))),*];
    };
}

cases![
    ends::quick_tasks_are_chained,
    ends::outcomes_are_told_apart,
    ends::a_time_limit_ends_a_task_and_its_children,
    ends::a_cancel_kills_what_ignores_it,
    ends::new_limits_hold_for_what_runs,
    ends::a_cancel_without_grace_kills_at_once,
    ends::held_attempts_are_recalled,
    ends::null_tasks_run_in_memory,
    output::is_captured_and_read,
    output::goes_to_named_files,
    output::past_its_limit_is_dropped_in_the_middle,
    output::is_packed_when_it_is_small,
    output::links_in_its_place_are_not_read,
    output::scripts_and_environment,
    faults::a_killed_keeper_leaves_nothing,
    faults::a_dead_agent_keeps_nothing_alive,
    faults::a_lost_life_ends_everything,
    faults::a_broken_session_goes_on,
    faults::an_agent_that_restarts_reports_what_it_left,
    faults::a_stop_is_orderly,
    faults::a_node_without_descriptors_takes_no_work_until_it_has_some,
    faults::few_descriptors_are_enough_for_many_tasks,
];

/// An agent in this process.
pub struct Agent {
    pub dir: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), AgentError>>,
}

impl Agent {
    pub fn start(server: &Server) -> Agent {
        Agent::start_with(server, tempfile::tempdir().unwrap(), |_| {})
    }

    pub fn start_with(
        server: &Server,
        dir: tempfile::TempDir,
        change: impl FnOnce(&mut AgentConfig),
    ) -> Agent {
        let mut config = AgentConfig::new(vec![server.address.clone()], "n1", dir.path());
        change(&mut config);
        let (stop, stopped) = oneshot::channel();
        let run = async move {
            taskyard_agent::run(config, async { drop(stopped.await) }, std::future::pending()).await
        };
        Agent { dir, stop: Some(stop), task: tokio::spawn(run) }
    }

    pub async fn stop(mut self) -> tempfile::TempDir {
        self.stop.take().unwrap().send(()).unwrap();
        (&mut self.task).await.unwrap().unwrap();
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }

    /// As `kill -9` would: no orderly end. Its sockets close.
    pub async fn kill(mut self) -> tempfile::TempDir {
        self.task.abort();
        let _ = (&mut self.task).await;
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }

    /// How it ended by itself.
    pub async fn result(mut self) -> Result<(), AgentError> {
        (&mut self.task).await.unwrap()
    }

    pub fn keeper_pid(&self) -> i32 {
        std::fs::read_to_string(self.dir.path().join("keeper.lock")).unwrap().parse().unwrap()
    }
}

/// Waits for a condition.
pub async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < limit, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await; // sleep: processes come and go without telling us
    }
}

/// Processes (of any pid namespace) that are `sleep SECONDS`.
pub fn sleepers(seconds: &str) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let wanted = format!("sleep\0{seconds}\0");
    pids.filter(|pid| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == wanted.as_bytes())
    })
    .collect()
}

pub fn sh(script: &str) -> [&str; 3] {
    ["/bin/sh", "-c", script]
}
