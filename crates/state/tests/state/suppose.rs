//! Supposing a command changes nothing.

use crate::world::World;
use taskyard_model::JobSpec;
use taskyard_state::{Command, Rejection, Reply, Submit};

fn submit(queue: &str) -> Command {
    let spec = JobSpec { queue: queue.into(), ..JobSpec::command(vec!["true".into()]) };
    Command::Submit(Box::new(Submit { spec, owner: "eve".into(), request_id: "r".into(), retry_of: None }))
}

#[test]
fn supposing_answers_as_apply_would_and_changes_nothing() {
    let mut w = World::default();
    w.submit(|s| s.request.amounts.cpu_milli = 500);
    let before = (w.state.digest(), w.state.index(), w.state.view().clone());
    let (other, reply) = w.state.supposing(submit("default"));
    let Reply::Submitted { job, .. } = reply else { panic!("{reply:?}") };
    assert!(other.job(job).is_some() && other.view().jobs.contains_key(&job));
    assert_eq!((w.state.digest(), w.state.index(), w.state.view().clone()), before);
    assert!(w.state.job(job).is_none());
    let (_, refused) = w.state.supposing(submit("nowhere"));
    assert!(matches!(refused, Reply::Rejected(Rejection::NoQueue(_))), "{refused:?}");
    assert_eq!(w.apply(submit("default")), Reply::Submitted { job, tasks: 1, duplicate: false });
}
