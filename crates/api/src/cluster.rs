//! Nodes and the cluster as a whole.

use crate::Server;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use taskyard_model::{Amounts, Capacity};
use utoipa::ToSchema;

/// Amounts of resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resources {
    /// Thousandths of cores.
    pub cpu_milli: u64,
    /// Memory.
    pub memory_bytes: u64,
    /// Thousandths of GPUs, over all devices.
    pub gpu_milli: u64,
    /// Named resources, in whole units.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<String, u64>,
}

impl Resources {
    /// Amounts of the model, with thousandths of GPUs.
    pub fn new(amounts: &Amounts, gpu_milli: u64) -> Resources {
        Resources {
            cpu_milli: amounts.cpu_milli,
            memory_bytes: amounts.memory,
            gpu_milli,
            named: amounts.named.clone(),
        }
    }
}

impl From<&Capacity> for Resources {
    fn from(capacity: &Capacity) -> Self {
        Resources::new(&capacity.amounts, u64::from(capacity.gpus) * 1_000)
    }
}

/// State of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Its agent is connected and takes work.
    Up,
    /// Its agent was lost or left.
    Down,
    /// It takes no new work.
    Draining,
    /// Its agent is connected and cannot run tasks now, or is stopping: see its `reason`.
    NotReady,
    /// Two machines run agents with its identity: it takes no new work until one of them is gone.
    Quarantined,
    /// It was shut out; what it still runs ends with its lease, and it is listed until then.
    Removed,
}

impl NodeState {
    /// Its name in JSON and on the terminal.
    pub fn name(self) -> &'static str {
        match self {
            NodeState::Up => "up",
            NodeState::Down => "down",
            NodeState::Draining => "draining",
            NodeState::NotReady => "not_ready",
            NodeState::Quarantined => "quarantined",
            NodeState::Removed => "removed",
        }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: NodeState,
    /// Why it takes no work, if that is neither a drain nor that it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The pool that it belongs to.
    #[serde(default)]
    pub pool: String,
    /// The life of its agent; none while it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// What it offers.
    pub capacity: Resources,
    /// What is not taken by running attempts.
    pub free: Resources,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Running attempts.
    pub running: u32,
    /// Attempts sent there ahead of need.
    pub prefetched: u32,
    /// Load of the machine in the last minute, in thousandths, as it last reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_milli: Option<u64>,
    /// What is used there besides Taskyard, of what is free by reservations: by a report that still counts, so none without one. Nodes with less of it
    /// are preferred under `least-loaded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_load: Option<Resources>,
    /// Time since its last sign of life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_age_ms: Option<u64>,
    /// Who drained it, since when and why; set while it takes no new work for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained: Option<Drained>,
    /// While so many tasks run there, none starts that asks for no CPU.
    #[serde(default)]
    pub without_cpu_max: u32,
    /// How it isolates tasks from each other, in its own words, such as `pid namespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
}

/// That a node was drained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drained {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who did it.
    pub by: String,
    /// Wall clock of that.
    pub since_ms: u64,
}

/// The cluster, as the answering server sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterStatus {
    /// The cluster's name.
    pub cluster_id: String,
    /// Version of the answering server.
    pub version: String,
    /// Id of the answering server.
    pub server: u64,
    /// Id of the leader, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<u64>,
    /// The term.
    pub term: u64,
    /// Index of the last applied entry.
    pub applied_index: u64,
    /// Digest of the state at that index, in hexadecimal: equal on all servers at one index. Only with `?digest=true`, because it walks the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Its servers, by number.
    #[serde(default)]
    pub servers: Vec<Server>,
    /// State time.
    pub now_ms: u64,
    /// Nodes that are up.
    pub nodes_up: u64,
    /// All nodes ever seen.
    pub nodes: u64,
    /// What the nodes that are up offer.
    pub capacity: Resources,
    /// What of it is free.
    pub free: Resources,
    /// Jobs that are not finished.
    pub jobs_active: u64,
    /// Tasks that wait.
    pub tasks_pending: u64,
    /// Tasks sent to nodes ahead of need.
    pub tasks_prefetched: u64,
    /// Tasks that run.
    pub tasks_running: u64,
}
