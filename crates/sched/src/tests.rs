//! What `schedule` and `explain` promise, as tables and as properties.

mod disciplines;
mod explaining;
mod holding;
mod keeping;
mod moved;
mod placing;
mod properties;
mod sharing;
mod siting;
mod starting;
mod whatif;

use crate::testing::{Cluster, show};
use crate::{Budget, schedule};

/// Schedules a cluster and compares the plan's text.
#[track_caller]
fn check(cluster: Cluster, plan: &str) {
    let view = cluster.view();
    assert_eq!(show(&view, &schedule(&view, Budget::default())), plan);
}
