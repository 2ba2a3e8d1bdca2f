//! From the model's job back to one as users write it, with every default filled in. Reading it again gives the same
//! job.

use crate::array;
use crate::{Blob, JobSpec, OnAgentLost, Quantity};
use taskyard_model::quantity::{show_duration, show_thousandths};
use taskyard_model::spec::{self, ArraySpec, Driver, ProcessCommand, Stdin};

impl From<&spec::JobSpec> for JobSpec {
    fn from(spec: &spec::JobSpec) -> Self {
        let amounts = &spec.request.amounts;
        let api = JobSpec {
            name: Some(spec.name.clone()),
            queue: Some(spec.queue.clone()),
            namespace: Some(spec.namespace.to_string()),
            account: spec.account.clone(),
            priority: Some(spec.priority),
            // The tasks of a broadcast follow from its nodes.
            array: (!spec.affinity.broadcast).then(|| numbers(&spec.array, spec.entries.len())).flatten(),
            entries: spec.entries.clone(),
            max_running: spec.array.max_running,
            cpus: Some(Quantity(show_thousandths(amounts.cpu_milli))),
            memory: (amounts.memory > 0).then(|| Quantity(exact_size(amounts.memory))),
            gpus: (spec.request.gpu_milli > 0)
                .then(|| Quantity(show_thousandths(spec.request.gpu_milli.into()))),
            resources: amounts.named.clone(),
            constraint: (!spec.constraint.0.is_empty()).then(|| spec.constraint.to_string()),
            prefer: spec.affinity.prefer.iter().map(ToString::to_string).collect(),
            exclusive: spec.request.exclusive,
            apart: spec.affinity.apart,
            apart_by: spec.affinity.apart_by.clone(),
            broadcast: spec.affinity.broadcast,
            locality: spec.affinity.locality.clone(),
            time_limit: spec.time_limit_ms.map(|ms| Quantity(show_duration(ms))),
            estimate: spec.estimate_ms.map(|ms| Quantity(show_duration(ms))),
            grace: Some(Quantity(show_duration(spec.grace_ms))),
            retries: Some(spec.retry.max),
            backoff: Some(Quantity(show_duration(spec.retry.backoff_ms))),
            max_fails: spec.max_fails,
            hold: spec.hold,
            begin: spec.begin.map(crate::begin::show),
            after: spec.after.iter().map(ToString::to_string).collect(),
            on_agent_lost: Some(match spec.on_agent_lost {
                spec::OnAgentLost::Retry => OnAgentLost::Retry,
                spec::OnAgentLost::Fail => OnAgentLost::Fail,
            }),
            ..JobSpec::default()
        };
        match &spec.driver {
            Driver::Process(command) => with_command(api, command),
            other => api.with_driver(other),
        }
    }
}

fn with_command(mut api: JobSpec, command: &ProcessCommand) -> JobSpec {
    match &command.script {
        Some(script) => {
            api.script = Some(Blob::from_bytes(script));
            api.args = command.argv.clone();
        }
        None => api.command = Some(command.argv.clone()),
    }
    match &command.stdin {
        Stdin::Empty => {}
        Stdin::File(path) => api.stdin = Some(path.clone()),
        Stdin::Bytes(bytes) => api.stdin_data = Some(Blob::from_bytes(bytes)),
    }
    api.env = command.env.iter().cloned().collect();
    api.cwd = command.cwd.clone();
    api.stdout = command.stdout.clone();
    api.stderr = command.stderr.clone();
    api
}

/// The numbers as users write them; `None` where they say nothing.
fn numbers(array: &ArraySpec, entries: usize) -> Option<String> {
    let plain = array.first == 1 && array.step == 1 && array.only.is_empty();
    (!plain || (array.count > 1 && entries == 0)).then(|| array::show(array))
}

/// The largest unit in which the size is a whole number; of equal ones the binary.
fn exact_size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 8] = [
        ("TiB", 1 << 40),
        ("TB", 1_000_000_000_000),
        ("GiB", 1 << 30),
        ("GB", 1_000_000_000),
        ("MiB", 1 << 20),
        ("MB", 1_000_000),
        ("KiB", 1 << 10),
        ("kB", 1_000),
    ];
    match UNITS.iter().find(|(_, factor)| bytes.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => format!("{bytes}B"),
    }
}
