//! The table of pods: what they asked for, when they came, were scheduled and went.

use super::columns::{CsvTable, Row};
use super::nodes::{AMOUNT_MAX, MODEL};
use crate::swf::Estimates;
use crate::workload::{TraceJob, Workload};
use crate::{TraceError, limits};
use std::collections::BTreeMap;
use std::io::Read;
use taskyard_model::constraint::Term;
use taskyard_model::{Amounts, Constraint, Invalid, Request, limits as model_limits};

const NEEDED: [&str; 7] =
    ["cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "creation_time", "deletion_time", "scheduled_time"];
const OPTIONAL: [&str; 3] = ["name", "gpu_spec", "qos"];

/// One pod, as far as its row says it.
struct Pod {
    request: Request,
    constraint: Constraint,
    created_s: u64,
    scheduled_s: Option<u64>,
    deleted_s: Option<u64>,
    user: String,
}

/// Adds the jobs, numbered by row from 1, with constraints by job number. Returns how many rows could be read.
pub(super) fn read(from: impl Read, estimates: Estimates, into: &mut Workload) -> Result<usize, TraceError> {
    let mut table = CsvTable::new(&into.name, from, &NEEDED, &OPTIONAL)?;
    let (mut read, mut id) = (0, 0);
    let mut users = BTreeMap::new();
    while let Some(row) = table.next(&mut into.malformed)? {
        id += 1;
        let pod = match pod(&row) {
            Ok(pod) => pod,
            Err(e) => {
                into.malformed.add(row.line, || format!("column {e}"));
                continue;
            }
        };
        read += 1;
        match pod.run_ms().and_then(|run_ms| pod.could_run(into).map(|()| run_ms)) {
            Ok(run_ms) => {
                let user = number_of(&mut users, &mut into.users, &pod.user);
                into.jobs.push(pod.job(id, run_ms, user, estimates));
                if !pod.constraint.0.is_empty() {
                    into.constraints.insert(id as usize, pod.constraint);
                }
            }
            Err(rule) => *into.dropped.entry(rule).or_default() += 1,
        }
        if into.jobs.len() > limits::JOBS_MAX {
            return Err(TraceError::TooMany { trace: into.name.clone() });
        }
    }
    Ok(read)
}

fn pod(row: &Row<'_>) -> Result<Pod, Invalid> {
    let second = |column| row.number(column, limits::TIME_S_MAX.unsigned_abs());
    let amounts = Amounts {
        cpu_milli: row.needed("cpu_milli", AMOUNT_MAX)?,
        memory: row.needed("memory_mib", AMOUNT_MAX)? << 20,
        ..Amounts::default()
    };
    let user = row.text("qos")?;
    Ok(Pod {
        request: Request { amounts, gpu_milli: gpu_milli(row)?, exclusive: false },
        constraint: constraint(row.text("gpu_spec")?)?,
        created_s: second("creation_time")?
            .ok_or_else(|| Invalid::new("creation_time", "", "a second is expected"))?,
        scheduled_s: second("scheduled_time")?,
        deleted_s: second("deletion_time")?,
        user: if user.is_empty() { "unknown".to_owned() } else { user.to_owned() },
    })
}

/// A share of one device, or whole devices: the table's `gpu_milli` is per device.
fn gpu_milli(row: &Row<'_>) -> Result<u32, Invalid> {
    let devices = row.number("num_gpu", model_limits::GPU_DEVICES_MAX as u64)?.unwrap_or(0) as u32;
    let each = row.number("gpu_milli", 1_000)?.unwrap_or(0) as u32;
    match (devices, each) {
        (0, _) => Ok(0),
        (1, each) => Ok(each),
        (many, 1_000) => Ok(many * 1_000),
        (_, each) => Err(Invalid::new("gpu_milli", each, "1000 is expected of a pod with several GPUs")),
    }
}

/// `V100M16|V100M32`: any of these models.
fn constraint(spec: &str) -> Result<Constraint, Invalid> {
    let models: Vec<String> = spec.split('|').filter(|m| !m.is_empty()).map(str::to_owned).collect();
    if models.is_empty() {
        return Ok(Constraint::default());
    }
    let odd = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.');
    if models.iter().any(|m| m.contains(odd)) {
        return Err(Invalid::new("gpu_spec", spec, "models are joined by |, as in V100M16|V100M32"));
    }
    Ok(Constraint(vec![Term::In(MODEL.to_owned(), models)]))
}

impl Pod {
    /// From scheduled to deleted: what it held a node for.
    fn run_ms(&self) -> Result<u64, &'static str> {
        let scheduled = self.scheduled_s.ok_or("never_scheduled")?;
        let deleted = self.deleted_s.ok_or("never_deleted")?;
        match deleted.checked_sub(scheduled) {
            None | Some(0) => Err("run_not_positive"),
            Some(run) => Ok(run * 1_000),
        }
    }

    /// Whether any node could ever run it.
    fn could_run(&self, workload: &Workload) -> Result<(), &'static str> {
        let fits = workload.fits_some_node(&self.request, &self.constraint);
        if fits { Ok(()) } else { Err("fits_no_node") }
    }

    fn job(&self, id: u64, run_ms: u64, user: u32, estimates: Estimates) -> TraceJob {
        TraceJob {
            id,
            submit_ms: self.created_s * 1_000,
            run_ms,
            request: self.request.clone(),
            estimate_ms: (estimates == Estimates::Clairvoyant).then_some(run_ms),
            limit_ms: None,
            user,
            procs: self.request.amounts.cpu_milli.div_ceil(1_000).min(u64::from(limits::PROCS_MAX)) as u32,
        }
    }
}

fn number_of(numbers: &mut BTreeMap<String, u32>, names: &mut Vec<String>, user: &str) -> u32 {
    if let Some(number) = numbers.get(user) {
        return *number;
    }
    let number = names.len() as u32;
    names.push(user.to_owned());
    numbers.insert(user.to_owned(), number);
    number
}
