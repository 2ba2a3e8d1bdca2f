//! Why a planned start is another one than it was.

use crate::testing::{Cluster, alive, cluster};
use crate::{MoveCause, StartMove, reserved_starts};
use taskyard_model::{Discipline, Incarnation, JobId, NodeId, View};

/// A node of ten cores, seven of them busy for 100 s; then job 2, which needs eight.
fn blocked() -> Cluster {
    let c = cluster().node("a", 10).job(0).cpu_milli(7_000).takes(100_000).runs("a", 1);
    c.job(1).cpu_milli(8_000).takes(50_000)
}

/// How the planned start of job 2 has moved.
fn moved(before: Cluster, change: impl FnOnce(&mut View)) -> Option<StartMove> {
    let before = before.view();
    let planned = reserved_starts(&before, 9);
    let of = planned.iter().find(|planned| planned.job == JobId(2)).expect("it is planned");
    let mut view = before;
    change(&mut view);
    of.moved(&view, &reserved_starts(&view, 9), 1_000)
}

fn why(before: Cluster, change: impl FnOnce(&mut View)) -> Option<MoveCause> {
    moved(before, change).map(|moved| moved.why)
}

#[test]
fn nothing_is_said_while_it_holds() {
    assert_eq!(moved(blocked(), |_| ()), None);
    assert_eq!(moved(blocked(), |view| view.now_ms += 90_000), None);
    assert_eq!(moved(blocked(), |view| _ = view.jobs.remove(&JobId(2))), None, "it does not wait any more");
}

#[test]
fn ends_come_early_or_late() {
    // Two run; the later one decides.
    let c = || cluster().node("a", 10).job(0).cpu_milli(3_000).takes(50_000).runs("a", 1);
    let both =
        || c().job(1).cpu_milli(8_000).takes(9_000).job(0).cpu_milli(4_000).takes(100_000).runs("a", 1);
    let end_of_the_second = |view: &mut View| {
        let last = *view.nodes[0].ends.keys().next_back().unwrap();
        view.nodes[0].ends.remove(&last);
        view.nodes[0].free.cpu_milli += 4_000;
    };
    let early = moved(both(), end_of_the_second).expect("it is earlier now");
    assert_eq!(
        (early.why, early.from.0, early.to.map(|to| to.0)),
        (MoveCause::EarlyEnd, 101_000, Some(51_000))
    );
    let no_limit = || {
        let c = cluster().node("a", 10).job(0).cpu_milli(7_000).with(|job| job.estimate_ms = Some(100_000));
        c.runs("a", 1).job(1).cpu_milli(8_000).takes(50_000)
    };
    let late = moved(no_limit(), |view| view.now_ms += 100_001).expect("it is later now");
    assert_eq!((late.why, late.to.map(|to| to.0)), (MoveCause::LateEnd, Some(102_666)));
}

#[test]
fn others_go_first() {
    // Job 3 comes before it by priority and needs the whole node.
    let both = |stopped| {
        let c = blocked().default_queue(|queue| queue.policy = taskyard_model::Policy::Priority);
        c.job(1).cpu_milli(10_000).takes(60_000).with(|job| {
            job.priority = 1_000;
            job.stopped = stopped;
        })
    };
    for discipline in [Discipline::Easy, Discipline::Conservative] {
        let before = both(true).default_pool(|pool| pool.discipline = discipline);
        let after = both(false).default_pool(|pool| pool.discipline = discipline).view();
        let moved = moved(before, |view| *view = after).expect("it is later, or not planned");
        assert_eq!(moved.why, MoveCause::Outranked(JobId(3)), "{discipline:?}");
        assert_eq!(moved.to.is_some(), discipline == Discipline::Conservative);
    }
}

#[test]
fn nodes_come_and_go() {
    let two = || blocked().node("b", 10).job(0).cpu_milli(9_000).takes(300_000).runs("b", 1);
    assert_eq!(moved(two(), |_| ()), None);
    let gone = moved(two(), |view| view.nodes[0].status.lose()).expect("it is on the other now");
    assert_eq!((gone.why, gone.to), (MoveCause::NodeLost, Some((301_000, NodeId(2)))));
    let comes = |view: &mut View| {
        view.nodes[1].status = alive(Incarnation(9));
        view.nodes[1].ends.clear();
        view.nodes[1].free.cpu_milli = 7_000;
        view.nodes[1].ends.insert(
            (21_000, taskyard_model::ClassId(0)),
            taskyard_model::Ending { count: 1, ..Default::default() },
        );
        view.nodes[1].free.cpu_milli = 3_000;
    };
    assert_eq!(why(two(), comes), Some(MoveCause::OtherRoom));
}
