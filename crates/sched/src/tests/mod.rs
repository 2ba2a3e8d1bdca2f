//! What `schedule` and `explain` promise, as tables and as properties.

mod disciplines;
mod explain;
mod fair_share;
mod kept_nodes;
mod moves;
mod order;
mod place;
mod prefetch;
mod properties;
mod shares;
mod start;
mod whatif;

use crate::testing::{Cluster, show};
use crate::{Budget, schedule};

/// Schedules a cluster and compares the plan's text.
#[track_caller]
fn check(cluster: Cluster, plan: &str) {
    let view = cluster.view();
    assert_eq!(show(&view, &schedule(&view, Budget::default())), plan);
}
