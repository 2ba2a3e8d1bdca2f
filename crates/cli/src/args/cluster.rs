//! Arguments of the commands for nodes, servers, retention and events.

use super::value;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What can be done to a node.
#[derive(Subcommand, Clone, Debug)]
pub enum NodeCommand {
    /// Show everything about nodes
    Show {
        /// Names of nodes
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<String>,
    },
    /// Drain nodes: start no new work there; running tasks continue
    Drain {
        /// Names of nodes
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<String>,
        /// Reason, shown with the node
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Resume drained or quarantined nodes
    Resume {
        /// Names of nodes
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<String>,
    },
    /// Remove a node permanently: its certificate is no longer valid
    ///
    /// Its session ends within seconds, and its running tasks end with its lease. A machine may join under the name
    /// with a new token and an empty data directory.
    #[command(after_help = super::examples::NODE_REMOVE)]
    Remove {
        /// Names of nodes
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<String>,
        /// Also remove a node that is up and not drained, or a name that never registered
        #[arg(long)]
        force: bool,
    },
}

/// What can be done to retention.
#[derive(Subcommand, Clone, Debug)]
pub enum RetentionCommand {
    /// Change how long finished jobs are kept, including those that have already finished
    #[command(after_help = super::examples::RETENTION)]
    Set {
        /// How long to keep a job after its end
        #[arg(long, value_name = "TIME")]
        keep: Option<String>,
        /// Maximum number of finished jobs
        #[arg(long, value_name = "N")]
        max_jobs: Option<u64>,
        /// Maximum number of tasks of finished jobs
        #[arg(long, value_name = "N")]
        max_tasks: Option<u64>,
        /// Maximum size of the inputs of finished jobs (on the servers' disks)
        #[arg(long, value_name = "SIZE")]
        max_bytes: Option<String>,
        /// Maximum size of the state in memory; submits beyond it are refused
        #[arg(long, value_name = "SIZE")]
        state_bytes: Option<String>,
    },
}

/// Arguments of `status`.
#[derive(Args, Clone, Debug, Default)]
pub struct StatusArgs {
    /// Also compute the digest of the state
    #[arg(long)]
    pub digest: bool,
}

/// What can be done with the cluster's servers.
#[derive(Subcommand, Clone, Debug)]
pub enum ClusterCommand {
    /// Set up TLS: create the certificate authority of a cluster
    Init {
        /// Data directory of the server [default: that of `taskyard server`]
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Show the cluster and its servers
    Status(StatusArgs),
    /// Print the command that adds a server
    Add {
        /// Add it as a learner, which replicates the log and does not vote
        #[arg(long)]
        learner: bool,
    },
    /// Make a learner a voter once it has caught up
    Promote {
        /// Number of the server
        #[arg(value_name = "SERVER")]
        id: String,
    },
    /// Make a voter a learner, which replicates the log and does not vote
    Demote {
        /// Number of the server
        #[arg(value_name = "SERVER")]
        id: String,
    },
    /// Remove a server permanently
    Remove {
        /// Number of the server
        #[arg(value_name = "SERVER")]
        id: String,
    },
    /// Transfer the leadership to another server
    Transfer {
        /// Number of the new leader
        #[arg(value_name = "SERVER")]
        id: String,
    },
}

/// Arguments of `events`.
#[derive(Args, Clone, Debug, Default)]
pub struct EventsArgs {
    /// Start at this position: an index, or index.seq as in an event [default: new events only]
    #[arg(long, value_name = "POSITION", value_parser = value::amount, allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Only events of jobs of this namespace; '*' for all you may see [default: as for jobs]
    #[arg(long)]
    pub namespace: Option<String>,
    /// Only events of this job: 12 or last
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
}
