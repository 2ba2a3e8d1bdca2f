//! The variables that tasks find in their environment. `docs/guide/environment.md` lists the same ones, which a test
//! checks.

use taskyard_model::JobSpec;
use taskyard_model::quantity::show_thousandths;
use taskyard_model::spec::ProcessCommand;

/// The job's id.
pub(crate) const JOB: &str = "TASKYARD_JOB";
/// The task's number.
pub(crate) const TASK: &str = "TASKYARD_TASK";
/// Which attempt of the task this is, from 1.
pub(crate) const ATTEMPT: &str = "TASKYARD_ATTEMPT";
/// A number that rises with each assignment in the cluster.
pub(crate) const FENCE: &str = "TASKYARD_FENCE";
/// Name of the node.
pub(crate) const NODE: &str = "TASKYARD_NODE";
/// The attempt's own directory.
pub(crate) const TASK_DIR: &str = "TASKYARD_TASK_DIR";
/// The task's line, with `--each-line`.
pub(crate) const ENTRY: &str = "TASKYARD_ENTRY";
/// Its GPU devices, separated by commas.
pub(crate) const GPUS: &str = "TASKYARD_GPUS";
const JOB_NAME: &str = "TASKYARD_JOB_NAME";
const TASK_COUNT: &str = "TASKYARD_TASK_COUNT";
const CPUS: &str = "TASKYARD_CPUS";
const MEMORY_BYTES: &str = "TASKYARD_MEMORY_BYTES";

/// What programs look at to find their GPUs, of NVIDIA and of AMD. `ROCR_VISIBLE_DEVICES` is not among them: it
/// renumbers what the one of HIP names, so that a program would find none with both.
pub(crate) const GPU_SELECTORS: [&str; 2] = ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"];
/// Those that hide all GPUs from a task that has none.
const GPU_HIDERS: [&str; 3] = ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"];
/// No device has this number; an empty value shows all to some libraries.
const NO_GPU: &str = "-1";

/// Variables of the agent's own environment that tasks get.
const INHERITED: [&str; 4] = ["HOME", "USER", "LANG", "TZ"];

/// What is equal for all tasks of a job: the minimal environment, the user's, and ours. A variable given twice counts
/// as given last.
pub(crate) fn of_job(spec: &JobSpec, command: &ProcessCommand, path: &str) -> Vec<(String, String)> {
    let mut env = vec![("PATH".to_owned(), path.to_owned())];
    env.extend(INHERITED.iter().filter_map(|key| Some(((*key).to_owned(), std::env::var(key).ok()?))));
    let request = &spec.request;
    let hidden = GPU_HIDERS.iter().filter(|_| request.gpu_milli == 0);
    env.extend(hidden.map(|key| ((*key).to_owned(), NO_GPU.to_owned())));
    for (key, value) in &command.env {
        env.retain(|(known, _)| known != key);
        env.push((key.clone(), value.clone()));
    }
    let ours = [
        (JOB_NAME, spec.name.clone()),
        (TASK_COUNT, spec.array.count.to_string()),
        (CPUS, show_thousandths(request.amounts.cpu_milli)),
        (MEMORY_BYTES, request.amounts.memory.to_string()),
    ];
    env.extend(ours.map(|(key, value)| (key.to_owned(), value)));
    env
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use taskyard_model::Driver;
    use taskyard_model::spec::SUBMIT_DIR;

    fn names(spec: &JobSpec) -> BTreeSet<String> {
        let Driver::Process(command) = &spec.driver else { panic!("a process") };
        of_job(spec, command, "/bin").into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn the_guide_lists_the_variables_that_there_are() {
        let page = include_str!("../../../docs/guide/environment.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let listed: BTreeSet<String> = rows.map(str::to_owned).collect();
        let each = [JOB, TASK, ATTEMPT, FENCE, NODE, TASK_DIR, ENTRY, GPUS, SUBMIT_DIR, "PATH"];
        let mut set: BTreeSet<String> = each.iter().chain(&INHERITED).map(|key| (*key).to_owned()).collect();
        set.extend(names(&JobSpec::command(vec!["x".into()])));
        assert_eq!(listed, set);
    }

    #[test]
    fn gpus_are_hidden_from_tasks_that_asked_for_none_and_from_no_others() {
        let mut spec = JobSpec::command(vec!["x".into()]);
        let hides = |spec: &JobSpec| GPU_HIDERS.iter().filter(|key| names(spec).contains(**key)).count();
        assert_eq!(hides(&spec), 3);
        spec.request.gpu_milli = 500;
        assert_eq!(hides(&spec), 0);
    }

    #[test]
    fn what_the_user_says_counts() {
        let mut spec = JobSpec::command(vec!["x".into()]);
        let Driver::Process(command) = &mut spec.driver else { panic!("a process") };
        command.env = vec![("CUDA_VISIBLE_DEVICES".into(), "7".into()), ("PATH".into(), "/opt".into())];
        let command = command.clone();
        let env = of_job(&spec, &command, "/bin");
        let of =
            |key: &str| env.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
        assert_eq!((of("CUDA_VISIBLE_DEVICES"), of("PATH")), (vec!["7"], vec!["/opt"]));
    }
}
