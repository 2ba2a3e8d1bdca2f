//! Nodes and the cluster as a whole.

use crate::Server;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use taskyard_model::{Amounts, Capacity, NodeState};
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

/// [`NodeState`] in JSON: its name.
pub(crate) mod node_state {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use taskyard_model::NodeState;
    use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};

    pub(crate) fn serialize<S: Serializer>(state: &NodeState, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(state.name())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<NodeState, D::Error> {
        let name = String::deserialize(from)?;
        NodeState::parse(&name)
            .ok_or_else(|| de::Error::custom(format!("no state of a node is called \"{name}\"")))
    }

    pub(crate) fn schema() -> ObjectBuilder {
        let names = NodeState::ALL.map(NodeState::name);
        ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).enum_values(Some(names))
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
    #[serde(with = "node_state")]
    #[schema(schema_with = node_state::schema)]
    pub state: NodeState,
    /// Why it takes no work, if it is neither drained nor down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The pool that it belongs to.
    #[serde(default)]
    pub pool: String,
    /// Incarnation of its agent; none while it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// What it offers.
    pub capacity: Resources,
    /// What running attempts do not use.
    pub free: Resources,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Running attempts.
    pub running: u32,
    /// Prefetched attempts.
    pub prefetched: u32,
    /// Load of the machine in the last minute, in thousandths, as it last reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_milli: Option<u64>,
    /// Other load: the part of the unreserved resources that is used besides Taskyard, by the latest report that
    /// still counts. `least-loaded` prefers nodes with less of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_load: Option<Resources>,
    /// Time since its last sign of life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_age_ms: Option<u64>,
    /// Who drained it, when and why; only while it is drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained: Option<Drained>,
    /// A task without CPUs starts only while fewer tasks than this run there.
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
    /// Digest of the state at that index, in hexadecimal, the same on all servers. Only with `?digest=true`,
    /// because it walks the state.
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
    /// Capacity of the nodes that are up.
    pub capacity: Resources,
    /// Free part of it.
    pub free: Resources,
    /// Unfinished jobs.
    pub jobs_active: u64,
    /// Waiting tasks.
    pub tasks_pending: u64,
    /// Prefetched tasks.
    pub tasks_prefetched: u64,
    /// Running tasks.
    pub tasks_running: u64,
}
