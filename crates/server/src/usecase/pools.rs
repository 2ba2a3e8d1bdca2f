//! Pools: list, make, change, delete.

use super::{Attribution, change};
use crate::auth::Caller;
use crate::failure::Answer;
use taskyard_api::{ApiError, Pool, PoolSettings};
use taskyard_consensus::Consensus;
use taskyard_model::{Invalid, PoolView, View, validate};
use taskyard_state::Command;
use tokio::sync::Mutex;

/// See [`super::queues`].
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub(crate) fn list_pools(consensus: &Consensus) -> Vec<Pool> {
    consensus.read(|state| {
        let pools = state.view().pools.iter().filter(|pool| !pool.deleted);
        pools.map(|pool| show(state.view(), pool)).collect()
    })
}

/// Makes a pool or changes one.
pub(crate) async fn set_pool(
    consensus: &Consensus,
    by: &Caller,
    name: String,
    settings: PoolSettings,
) -> Answer<Pool> {
    validate::name("pool", &name)?;
    if name == "none" {
        let remedy = "give it another name: `none` is how a queue says that it has no pool of its own";
        return Err(Invalid::new("pool", name, remedy).into());
    }
    let one = ONE_AT_A_TIME.lock().await;
    let base = consensus.read(|state| find(state.view(), &name).map(|pool| pool.config.clone()));
    let config = settings.over(&name, &base.unwrap_or_default())?;
    change(consensus, on(by, &name), Command::SetPool { name: name.clone(), config }).await?;
    drop(one);
    shown(consensus, &name)
}

/// Deletes a pool; answers what it was.
pub(crate) async fn delete_pool(consensus: &Consensus, by: &Caller, name: String) -> Answer<Pool> {
    let _one = ONE_AT_A_TIME.lock().await;
    let pool = shown(consensus, &name)?;
    change(consensus, on(by, &name), Command::DeletePool { name }).await?;
    Ok(pool)
}

fn on<'a>(by: &'a Caller, name: &str) -> Attribution<'a> {
    Attribution::everywhere(by, format!("pool {name}"))
}

fn shown(consensus: &Consensus, name: &str) -> Answer<Pool> {
    let pool = consensus.read(|state| {
        let view = state.view();
        find(view, name).map(|pool| show(view, pool))
    });
    pool.ok_or_else(|| ApiError::not_found(format!("pool {name}")))
}

fn find<'v>(view: &'v View, name: &str) -> Option<&'v PoolView> {
    view.pools.iter().find(|pool| pool.name == name && !pool.deleted)
}

fn show(view: &View, pool: &PoolView) -> Pool {
    let nodes = || view.nodes.iter().filter(|node| node.pool == pool.id);
    let queues = view.queues.iter().filter(|queue| queue.pool == pool.id && !queue.deleted);
    Pool {
        nodes_up: nodes().filter(|node| node.takes_work().is_ok()).count() as u64,
        nodes_all: nodes().count() as u64,
        queues: queues.map(|queue| queue.name.clone()).collect(),
        ..Pool::new(&pool.name, &pool.config)
    }
}
