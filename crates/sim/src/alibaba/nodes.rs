//! The table of nodes: `sn, cpu_milli, memory_mib, gpu, model`.

use super::columns::{CsvTable, Row};
use crate::workload::{MalformedLines, NodeShape, Workload};
use crate::{TraceError, limits};
use std::collections::BTreeSet;
use std::io::Read;
use taskyard_model::constraint::Labels;
use taskyard_model::{Amounts, Capacity, Invalid, limits as model_limits, validate};

/// Label that holds the model of a node's GPUs.
pub(super) const MODEL: &str = "gpu.model";
/// Largest cpu and memory of one node or pod, in the table's units: what is larger is a mistake, and sums must not
/// overflow.
pub(super) const AMOUNT_MAX: u64 = 1 << 32;

/// Adds the nodes. A node that cannot be read is an error: a cluster that is not the one meant answers nothing.
pub(super) fn read(name: &str, from: impl Read, into: &mut Workload) -> Result<(), TraceError> {
    let mut table = CsvTable::new(name, from, &["sn", "cpu_milli", "memory_mib", "gpu"], &["model"])?;
    let mut names = BTreeSet::new();
    let mut malformed = MalformedLines::default();
    while let Some(row) = table.next(&mut malformed)? {
        let at = |e: Invalid| {
            let field = format!("{name}, line {}, column {}", row.line, e.field);
            e.in_field(field)
        };
        let node = node(&row).map_err(at)?;
        if !names.insert(node.name.clone()) {
            return Err(at(Invalid::new("sn", node.name, "a node of this name came before")).into());
        }
        into.nodes.push(node);
        if into.nodes.len() > limits::NODES_MAX {
            return Err(Invalid::new(name, "nodes", format!("at most {} nodes", limits::NODES_MAX)).into());
        }
    }
    if let Some(bad) = malformed.first.first() {
        return Err(Invalid::new(
            format!("{name}, line {}", bad.line),
            &bad.why,
            "correct or remove the line",
        )
        .into());
    }
    if into.nodes.is_empty() {
        return Err(Invalid::new(name, "", "the table of nodes has no rows").into());
    }
    Ok(())
}

fn node(row: &Row<'_>) -> Result<NodeShape, Invalid> {
    let name = row.text("sn")?.to_ascii_lowercase();
    validate::name("sn", &name)?;
    let amounts = Amounts {
        cpu_milli: row.needed("cpu_milli", AMOUNT_MAX)?,
        memory: row.needed("memory_mib", AMOUNT_MAX)? << 20,
        ..Amounts::default()
    };
    let gpus = row.number("gpu", model_limits::GPU_DEVICES_MAX as u64)?.unwrap_or(0) as u32;
    let model = row.text("model")?;
    let labels: Labels =
        if model.is_empty() { Labels::new() } else { [(MODEL.to_owned(), model.to_owned())].into() };
    Ok(NodeShape { name, capacity: Capacity { amounts, gpus }, labels })
}
