//! Nodes: the table, one in detail, drain, resume and remove.

use super::Each;
use crate::args::NodeCommand;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::show::table::Facts;
use crate::show::{Align, Format, Out, Table, style, text};
use taskyard_client::api::units::{show_size, show_thousandths};
use taskyard_client::api::{DrainRequest, Node, NodeState, Resources};

pub(crate) async fn nodes(ctx: &mut Context) -> Result<u8, Failure> {
    let nodes = ctx.client.nodes().await?.items;
    let none = "no nodes yet; start one with `taskyard agent`, or everything at once with `taskyard dev`";
    ctx.out.table_or_list(&nodes, none, |node| node.name.clone(), node_table)?;
    Ok(exit::OK)
}

/// `2.5/8`: free of all.
fn of(free: &str, all: &str) -> String {
    format!("{free}/{all}")
}

pub(crate) fn node_table(nodes: &[Node]) -> Table {
    let mut table = Table::new(&[
        ("NODE", Align::Flex),
        ("STATE", Align::Left),
        ("POOL", Align::Flex),
        ("CPU FREE", Align::Right),
        ("MEMORY FREE", Align::Right),
        ("GPU FREE", Align::Right),
        ("RUNNING", Align::Right),
        ("PREFETCHED", Align::Right),
        ("LOAD", Align::Right),
        ("OTHER LOAD", Align::Flex),
        ("LAST SEEN", Align::Right),
        ("RESOURCES", Align::Flex),
        ("LABELS", Align::Flex),
        ("REASON", Align::Flex),
        ("ISOLATION", Align::Flex),
        ("INCARNATION", Align::Right),
    ])
    .less_important(&[
        "REASON",
        "LABELS",
        "LOAD",
        "PREFETCHED",
        "OTHER LOAD",
        "RESOURCES",
        "LAST SEEN",
        "POOL",
        "RUNNING",
        "GPU FREE",
    ])
    .extra(&["ISOLATION", "INCARNATION"]);
    let pools = nodes.iter().any(|node| node.pool != nodes[0].pool);
    for node in nodes {
        let (free, all) = (&node.free, &node.capacity);
        let named = all.named.iter().map(|(name, n)| {
            let free = free.named.get(name).copied().unwrap_or(0);
            format!("{name} {free}/{n}")
        });
        let labels =
            node.labels.iter().map(|(k, v)| if v.is_empty() { k.clone() } else { format!("{k}={v}") });
        let gpus = match all.gpu_milli {
            0 => String::new(),
            all => of(&show_thousandths(free.gpu_milli), &show_thousandths(all)),
        };
        let load = node.load_milli.map(|load| show_thousandths(load / 10 * 10)).unwrap_or_default();
        let drained = node.drained.as_ref().and_then(|drained| drained.reason.as_ref());
        let reason = node.reason.as_ref().or(drained);
        table.row(vec![
            node.name.clone(),
            node.state.name().to_owned(),
            if pools { node.pool.clone() } else { String::new() },
            of(&show_thousandths(free.cpu_milli), &show_thousandths(all.cpu_milli)),
            of(&show_size(free.memory_bytes), &show_size(all.memory_bytes)),
            gpus,
            node.running.to_string(),
            node.prefetched.to_string(),
            load,
            node.other_load.as_ref().map(other_load).unwrap_or_default(),
            node.last_seen_age_ms.map(|age| format!("{} ago", text::age(0, age))).unwrap_or_default(),
            named.collect::<Vec<_>>().join(" "),
            labels.collect::<Vec<_>>().join(" "),
            reason.cloned().unwrap_or_default(),
            node.isolation.clone().unwrap_or_default(),
            node.incarnation.map(|life| life.to_string()).unwrap_or_default(),
        ]);
        table.paint(1, style::state(node.state.name()));
    }
    table
}

/// What is used besides Taskyard; nothing where that is nothing.
fn other_load(used: &Resources) -> String {
    let cpu = (used.cpu_milli >= 10).then(|| show_thousandths(used.cpu_milli / 10 * 10) + " cpu");
    let memory = (used.memory_bytes > 0).then(|| show_size(used.memory_bytes));
    cpu.into_iter().chain(memory).collect::<Vec<_>>().join(", ")
}

pub(crate) async fn node(ctx: &mut Context, command: NodeCommand) -> Result<u8, Failure> {
    match command {
        NodeCommand::Show { nodes } => show_nodes(ctx, &nodes).await,
        NodeCommand::Drain { nodes, reason } => drain(ctx, &nodes, Some(DrainRequest { reason })).await,
        NodeCommand::Resume { nodes } => drain(ctx, &nodes, None).await,
        NodeCommand::Remove { nodes, force } => remove_nodes(ctx, &nodes, force).await,
    }
}

pub(crate) async fn show_nodes(ctx: &mut Context, names: &[String]) -> Result<u8, Failure> {
    let all = ctx.client.nodes().await?.items;
    let mut shown = Vec::new();
    for name in names {
        let node = all.iter().find(|node| node.name == *name);
        shown.push(node.ok_or_else(|| Failure::NotFound(format!("there is no node {name}")))?);
    }
    if !matches!(ctx.out.format, Format::Table) {
        ctx.out.list(&shown, |node| node.name.clone())?;
        return Ok(exit::OK);
    }
    for (at, node) in shown.into_iter().enumerate() {
        if at > 0 {
            ctx.out.line("")?;
        }
        write_node(node, text::now_ms(), &mut ctx.out)?;
    }
    Ok(exit::OK)
}

pub(crate) fn write_node(node: &Node, now_ms: u64, out: &mut Out) -> Result<(), Failure> {
    let mut facts = Facts::default();
    let (free, all) = (&node.free, &node.capacity);
    facts.painted("node", node.name.clone(), style::HEAD);
    facts.painted("state", node.state.name().to_owned(), style::state(node.state.name()));
    if let Some(drained) = &node.drained {
        let since = format!("{}, {} ago", text::time(drained.since_ms), text::age(drained.since_ms, now_ms));
        facts.add("drained", format!("by {}, {since}", drained.by));
        facts.add("reason", drained.reason.clone().unwrap_or_default());
    }
    facts.add("pool", node.pool.clone());
    facts.add(
        "cpus",
        format!("{} free of {}", show_thousandths(free.cpu_milli), show_thousandths(all.cpu_milli)),
    );
    facts.add("memory", format!("{} free of {}", show_size(free.memory_bytes), show_size(all.memory_bytes)));
    if all.gpu_milli > 0 {
        let gpus = [free.gpu_milli, all.gpu_milli].map(show_thousandths);
        facts.add("gpus", format!("{} free of {}", gpus[0], gpus[1]));
    }
    let named = all.named.iter();
    let named = named.map(|(name, n)| format!("{} {name} free of {n}", free.named.get(name).unwrap_or(&0)));
    facts.add("resources", named.collect::<Vec<_>>().join(", "));
    let labels = node.labels.iter().map(|(k, v)| if v.is_empty() { k.clone() } else { format!("{k}={v}") });
    facts.add("labels", labels.collect::<Vec<_>>().join(" "));
    facts.add("running", format!("{}, {} prefetched", text::tasks(node.running.into()), node.prefetched));
    let most = node.without_cpu_max;
    facts.add("without cpu", format!("tasks without CPUs start while fewer than {most} tasks run"));
    facts.add("load", node.load_milli.map(|load| show_thousandths(load / 10 * 10)).unwrap_or_default());
    facts.add("other load", node.other_load.as_ref().map(other_load).unwrap_or_default());
    let seen = node.last_seen_age_ms.map(|age| format!("{} ago", text::age(0, age)));
    facts.add("last seen", seen.unwrap_or_default());
    facts.add("isolation", node.isolation.clone().unwrap_or_default());
    facts.add("incarnation", node.incarnation.map(|n| n.to_string()).unwrap_or_default());
    facts.write(out)
}

/// Drains nodes, or lets them take work again.
async fn drain(ctx: &mut Context, names: &[String], request: Option<DrainRequest>) -> Result<u8, Failure> {
    if let Some(request) = &request {
        request.reason().map_err(|e| e.in_field("--reason"))?;
    }
    let drain = request.is_some();
    let mut each = Each::new();
    for name in names {
        let answer = match &request {
            Some(request) => ctx.client.drain(name, request).await,
            None => ctx.client.resume(name).await,
        };
        let Some(answer) = each.take(answer)? else { continue };
        let node = &answer.node;
        match ctx.out.format {
            Format::Json | Format::Jsonl => ctx.out.json(node)?,
            Format::Ids => ctx.out.line(&node.name)?,
            Format::Table => {
                let what = match (node.state, node.running) {
                    (NodeState::Draining, 0) => "takes no new work; nothing runs on it".to_owned(),
                    (NodeState::Draining, n) => {
                        format!("takes no new work; {} on it continue", text::tasks(n.into()))
                    }
                    (NodeState::Up, _) => "takes work".to_owned(),
                    (NodeState::Down, _) if drain => {
                        "is down; it takes no new work when it comes back".to_owned()
                    }
                    (NodeState::Down, _) => "is down; it takes work when it comes back".to_owned(),
                    (NodeState::Removed, _) => "is removed; it takes no more work".to_owned(),
                    (state, _) => {
                        format!("does not take work yet: {}", node.reason.as_deref().unwrap_or(state.name()))
                    }
                };
                ctx.out.line(&format!("{} {what}", node.name))?;
            }
        }
    }
    Ok(each.code())
}

async fn remove_nodes(ctx: &mut Context, names: &[String], force: bool) -> Result<u8, Failure> {
    let mut each = Each::new();
    for name in names {
        let Some(removed) = each.take(ctx.client.remove_node(name, force).await)? else { continue };
        match ctx.out.format {
            Format::Json | Format::Jsonl => ctx.out.json(&removed)?,
            Format::Ids => ctx.out.line(&removed.name)?,
            Format::Table => {
                let left = match removed.node.map_or(0, |node| node.running) {
                    0 => String::new(),
                    n => format!("; {} there will end with its lease, within seconds", text::tasks(n.into())),
                };
                ctx.out.line(&format!("{} is removed{left}", removed.name))?;
            }
        }
    }
    Ok(each.code())
}
