//! What a run cannot show with these jobs: a row that equals another to the digit for an untold reason looks like a
//! result.

use super::{Combination, Passing};
use crate::{JobTimes, TraceJob, Workload};
use taskyard_model::{Discipline, Policy, limits};

/// A sentence each. `outcomes` are those of the workloads.
pub(super) fn notes(
    combination: &Combination,
    workloads: &[Workload],
    outcomes: &[Vec<JobTimes>],
) -> Vec<String> {
    let mut notes = Vec::new();
    let all = |is: fn(&Workload) -> bool| workloads.iter().all(is);
    let (policy, unknown) = (combination.policy, all(knows_no_length));
    if policy == Policy::Priority && all(one_priority) {
        notes.push("all jobs have the same priority, so its order is that of fcfs".to_owned());
    }
    if policy.follows_use() && all(one_user) {
        notes.push("all jobs are of one user on one account, so there are no turns to take".to_owned());
    }
    if matches!(policy, Policy::Sjf | Policy::Saf | Policy::SoftArea | Policy::F1) && unknown {
        notes.push("no job has an estimate or a time limit, so its order is that of fcfs".to_owned());
    }
    let Passing::Pool(discipline) = combination.discipline else { return notes };
    if matches!(discipline, Discipline::Easy | Discipline::EasySjf | Discipline::Conservative) && unknown {
        notes.push(format!(
            "no job has an estimate or a time limit, so {} protects no planned start",
            discipline.name()
        ));
    }
    let planned = limits::PLANNED_TASKS_MAX as usize;
    let waiting = workloads.iter().zip(outcomes).map(|(w, o)| most_waiting(&w.jobs, o)).max().unwrap_or(0);
    if discipline == Discipline::Conservative && waiting > planned {
        notes.push(format!(
            "up to {waiting} jobs waited at once, all of them planned here; a live pool plans the first {planned}, and what is behind them may be passed"
        ));
    }
    notes
}

fn one_priority(workload: &Workload) -> bool {
    let mut priorities = workload.terms.values().map(|terms| terms.priority);
    let first = priorities.next().unwrap_or(0);
    priorities.all(|priority| priority == first)
}

fn one_user(workload: &Workload) -> bool {
    workload.jobs.windows(2).all(|pair| pair[0].user == pair[1].user)
}

fn knows_no_length(workload: &Workload) -> bool {
    workload.jobs.iter().all(|job| job.expected_ms().is_none())
}

/// The most jobs that waited at once, without those that started as they came.
fn most_waiting(jobs: &[TraceJob], outcomes: &[JobTimes]) -> usize {
    let mut starts: Vec<u64> = outcomes.iter().map(|outcome| outcome.start_ms).collect();
    starts.sort_unstable();
    let (mut started, mut most) = (0, 0);
    for (submitted, job) in jobs.iter().enumerate() {
        started += starts[started..].iter().take_while(|start| **start <= job.submit_ms).count();
        most = most.max((submitted + 1).saturating_sub(started));
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{MaxWait, Passing};
    use crate::metrics::tests::{job, outcomes, workload};
    use taskyard_model::Placement;

    fn of(policy: Policy, discipline: Discipline, workload: &Workload, starts: &[u64]) -> Vec<String> {
        let combination = Combination {
            policy,
            discipline: Passing::Pool(discipline),
            placement: Placement::default(),
            max_wait: MaxWait::Off,
            today: false,
        };
        notes(&combination, std::slice::from_ref(workload), &[outcomes(workload, starts)])
    }

    #[test]
    fn a_row_that_can_show_nothing_says_so() {
        let mut alike = workload(vec![job(0, 100, 4, 0), job(5, 100, 4, 0)]);
        alike.jobs.iter_mut().for_each(|job| (job.estimate_ms, job.limit_ms) = (None, None));
        let starts = [0, 100];
        for (policy, says) in [
            (Policy::Priority, "the same priority"),
            (Policy::FairShare, "one user"),
            (Policy::Sjf, "no job has an estimate"),
        ] {
            let notes = of(policy, Discipline::Greedy, &alike, &starts);
            assert!(notes.len() == 1 && notes[0].contains(says), "{policy:?}: {notes:?}");
        }
        assert!(
            of(Policy::Fcfs, Discipline::Easy, &alike, &starts)[0].contains("easy protects no planned start")
        );
        alike.jobs[1].estimate_ms = Some(5);
        alike.jobs[1].user = 1;
        assert_eq!(of(Policy::Sjf, Discipline::Easy, &alike, &starts), Vec::<String>::new());
        assert_eq!(of(Policy::FairShare, Discipline::Easy, &alike, &starts), Vec::<String>::new());
    }

    #[test]
    fn plans_beyond_the_limit_are_said() {
        let jobs = limits::PLANNED_TASKS_MAX as u64 + 2;
        let starts: Vec<u64> = (0..jobs).collect();
        let all = workload(starts.iter().map(|_| job(0, 1, 1, 0)).collect());
        let notes = of(Policy::Fcfs, Discipline::Conservative, &all, &starts);
        assert!(notes.iter().any(|note| note.contains("a live pool plans the first 2000")), "{notes:?}");
        assert_eq!(most_waiting(&all.jobs[..3], &outcomes(&all, &starts)[..3]), 2);
    }
}
