//! The cluster as this server sees it.

use super::{servers, totals};
use crate::failure::Answer;
use crate::heavy::heavy;
use taskyard_api::{ClusterStatus, Resources};
use taskyard_consensus::Consensus;

/// With the digest of the state, if that is asked for: it reads all of it.
pub(crate) async fn cluster_status(consensus: &Consensus, with_digest: bool) -> Answer<ClusterStatus> {
    let term = consensus.term();
    let sums = totals(consensus).await?.all();
    // Index and digest are of one moment: that is what makes digests comparable.
    let frozen = consensus.snapshot_of_state();
    let applied_index = frozen.index();
    let digest = match with_digest {
        true => Some(heavy(move || format!("{:016x}", frozen.digest())).await?),
        false => None,
    };
    let (now_ms, nodes) = consensus.read(|state| (state.now_ms(), Nodes::of(state)));
    Ok(ClusterStatus {
        cluster_id: consensus.cluster_id().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server: consensus.me(),
        leader: consensus.leader().map(|leader| leader.id),
        term,
        applied_index,
        digest,
        servers: servers(consensus),
        now_ms,
        nodes_up: nodes.up,
        nodes: nodes.all,
        capacity: nodes.capacity,
        free: nodes.free,
        jobs_active: sums.active_jobs,
        tasks_pending: sums.pending,
        tasks_prefetched: sums.queued,
        tasks_running: sums.running,
    })
}

/// Sums over nodes.
#[derive(Default)]
struct Nodes {
    up: u64,
    all: u64,
    capacity: Resources,
    free: Resources,
}

impl Nodes {
    fn of(state: &taskyard_state::State) -> Nodes {
        let view = state.view();
        let all = view.nodes.iter().filter(|node| !state.is_gone(node.id)).count() as u64;
        let mut sums = Nodes { all, ..Nodes::default() };
        for node in view.nodes.iter().filter(|n| n.takes_work().is_ok()) {
            sums.up += 1;
            add(&mut sums.capacity, &Resources::from(&node.capacity));
            let gpus = node.gpu_free.iter().map(|g| u64::from(*g)).sum();
            add(&mut sums.free, &Resources::new(&node.free, gpus));
        }
        sums
    }
}

fn add(sum: &mut Resources, more: &Resources) {
    sum.cpu_milli += more.cpu_milli;
    sum.memory_bytes += more.memory_bytes;
    sum.gpu_milli += more.gpu_milli;
    for (name, amount) in &more.named {
        *sum.named.entry(name.clone()).or_default() += amount;
    }
}
