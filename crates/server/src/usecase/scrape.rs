//! How Prometheus sees a server: what it counted, and what is read off the state and the log for one answer.

use super::{Totals, totals};
use crate::app::App;
use crate::failure::Answer;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::fmt;
use taskyard_consensus::LogMetrics;
use taskyard_model::{QueueId, View};
use taskyard_state::State;

/// Everything, as text for Prometheus.
pub(crate) async fn scrape(app: &App) -> Answer<String> {
    let totals = totals(&app.consensus).await?;
    let queues = app.consensus.read(|state| queues_of(state.view(), &totals));
    let pools = app.consensus.read(|state| pools_of(state.view()));
    let (nodes, nodes_up) = app.consensus.read(|state| {
        let nodes = &state.view().nodes;
        (nodes.len() as u64, nodes.iter().filter(|n| n.takes_work().is_ok()).count() as u64)
    });
    let scrape = Scrape {
        log: app.consensus.metrics(),
        totals,
        queues,
        pools,
        nodes,
        nodes_up,
        agents: app.agents.connected() as u64,
        leads: app.consensus.leadership().borrow().is_some(),
        audit_lost: app.gatekeeper.audit().lost(),
        memory: app.consensus.read(StateMemory::of),
    };
    let mut registry = Registry::with_prefix("taskyard");
    app.metrics.register(&mut registry);
    registry.register_collector(Box::new(scrape));
    let mut text = String::with_capacity(8 << 10);
    // Writing into a string cannot fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    Ok(text)
}

/// The same in the text format 0.0.4: there counters are named as their samples are, and there are neither units nor an
/// end.
pub(crate) fn as_plain(open: &str) -> String {
    let mut plain = String::with_capacity(open.len());
    let counters: Vec<&str> =
        open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    for line in open.lines() {
        let about = line.strip_prefix("# ").and_then(|rest| rest.split_once(' '));
        match about {
            Some(("UNIT", _)) => {}
            Some((word @ ("HELP" | "TYPE"), rest)) => {
                let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let total = if counters.contains(&name) { "_total" } else { "" };
                plain.push_str(&format!("# {word} {name}{total} {text}\n"));
            }
            _ if line == "# EOF" => {}
            _ => {
                plain.push_str(line);
                plain.push('\n');
            }
        }
    }
    plain
}

/// What was read off the state and the log for one answer.
#[derive(Debug)]
struct Scrape {
    log: LogMetrics,
    totals: Totals,
    queues: Vec<QueueNumbers>,
    pools: Vec<PoolNumbers>,
    nodes: u64,
    nodes_up: u64,
    agents: u64,
    leads: bool,
    audit_lost: u64,
    memory: StateMemory,
}

/// What the state takes of memory and, for inputs of finished jobs, of the disk.
#[derive(Debug)]
struct StateMemory {
    bytes: u64,
    limit: u64,
    inputs: u64,
    unstored: u64,
}

impl StateMemory {
    fn of(state: &State) -> StateMemory {
        StateMemory {
            bytes: state.bytes(),
            limit: state.bytes_max(),
            inputs: state.kept().bytes,
            unstored: state.unstored_bytes(),
        }
    }

    fn encode(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        gauge(to, "state_bytes", "Approximate size of the state in memory", self.bytes)?;
        gauge(to, "state_limit_bytes", "Limit of that size; submits beyond it are refused", self.limit)?;
        gauge(to, "finished_input_bytes", "Size of the inputs of finished jobs on disk", self.inputs)?;
        let help = "Part of those inputs that is in memory until the next snapshot";
        gauge(to, "finished_input_unstored_bytes", help, self.unstored)
    }
}

impl Collector for Scrape {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.totals.all();
        let states = [("pending", all.pending), ("prefetched", all.queued), ("running", all.running)];
        family(&mut to, "tasks", "Tasks of unfinished jobs by state", "state", states)?;
        let jobs = [("waiting", all.waiting_jobs), ("active", all.active_jobs)];
        family(&mut to, "jobs", "Waiting jobs, and unfinished jobs", "state", jobs)?;
        self.encode_queues(&mut to)?;
        gauge(&mut to, "nodes", "Nodes ever registered", self.nodes)?;
        gauge(&mut to, "nodes_up", "Nodes that take work", self.nodes_up)?;
        gauge(&mut to, "agents_connected", "Agents connected to this server", self.agents)?;
        counter(&mut to, "audit_lost", "Lines of the audit log that could not be written", self.audit_lost)?;
        gauge(&mut to, "leader", "1 while this server leads", self.leads.into())?;
        self.memory.encode(&mut to)?;
        self.encode_log(&mut to)
    }
}

/// What is told of one queue.
#[derive(Debug)]
struct QueueNumbers {
    name: String,
    waiting: u64,
    running: u64,
    longest_wait_ms: u64,
}

/// What is told of one pool.
#[derive(Debug)]
struct PoolNumbers {
    name: String,
    nodes_up: u64,
    /// Thousandths of cores of the nodes that are up, and what of these is free.
    cpu_milli: [u64; 2],
}

fn queues_of(view: &View, totals: &Totals) -> Vec<QueueNumbers> {
    let mut oldest: BTreeMap<QueueId, u64> = BTreeMap::new();
    for class in &view.classes {
        if let Some((since_ms, _)) = class.by_age.get_min() {
            let of_queue = oldest.entry(class.queue).or_insert(*since_ms);
            *of_queue = (*of_queue).min(*since_ms);
        }
    }
    let queues = view.queues.iter().filter(|queue| !queue.deleted);
    let numbers = queues.map(|queue| QueueNumbers {
        name: queue.name.clone(),
        waiting: totals.of(queue.id).pending,
        running: totals.of(queue.id).running,
        longest_wait_ms: oldest.get(&queue.id).map_or(0, |since_ms| view.now_ms.saturating_sub(*since_ms)),
    });
    numbers.collect()
}

fn pools_of(view: &View) -> Vec<PoolNumbers> {
    let pools = view.pools.iter().filter(|pool| !pool.deleted);
    let numbers = pools.map(|pool| {
        let up = || view.nodes.iter().filter(|node| node.pool == pool.id && node.takes_work().is_ok());
        PoolNumbers {
            name: pool.name.clone(),
            nodes_up: up().count() as u64,
            cpu_milli: [
                up().map(|node| node.capacity.amounts.cpu_milli).sum(),
                up().map(|node| node.free.cpu_milli).sum(),
            ],
        }
    });
    numbers.collect()
}

impl Scrape {
    fn encode_queues(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let queues = |of: fn(&QueueNumbers) -> u64| self.queues.iter().map(move |q| (q.name.as_str(), of(q)));
        let pools = |of: fn(&PoolNumbers) -> u64| self.pools.iter().map(move |p| (p.name.as_str(), of(p)));
        family(to, "queue_tasks_waiting", "Waiting tasks by queue", "queue", queues(|q| q.waiting))?;
        family(to, "queue_tasks_running", "Running tasks by queue", "queue", queues(|q| q.running))?;
        let longest = queues(|q| q.longest_wait_ms / 1_000);
        let help = "Longest time that a job of the queue has waited for a place, in seconds";
        family(to, "queue_longest_wait_seconds", help, "queue", longest)?;
        family(to, "pool_nodes_up", "Nodes that take work by pool", "pool", pools(|p| p.nodes_up))?;
        let help = "Thousandths of cores of these nodes";
        family(to, "pool_cpu_milli", help, "pool", pools(|p| p.cpu_milli[0]))?;
        let help = "Thousandths of cores of these nodes that are free";
        family(to, "pool_cpu_free_milli", help, "pool", pools(|p| p.cpu_milli[1]))
    }

    fn encode_log(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let log = &self.log;
        fsyncs(to, log)?;
        counter(to, "log_bytes", "Bytes written to the log", log.log_bytes)?;
        counter(to, "log_entries", "Entries written to the log", log.log_entries)?;
        gauge(to, "log_segments", "Segment files", log.segments)?;
        gauge(to, "log_last_index", "Index of the last entry", log.last_index)?;
        gauge(to, "log_applied_index", "Index of the last applied entry", log.applied_index)?;
        gauge(to, "snapshot_index", "Index that the newest snapshot includes", log.snapshot_index)?;
        gauge(to, "proposals_in_flight", "Proposals without an answer", log.in_flight)?;
        gauge(to, "proposals_in_flight_bytes", "Their bytes", log.in_flight_bytes)?;
        gauge(to, "storage_ok", "0 when the disk is full or has failed", log.storage_ok.into())
    }
}

fn gauge(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let gauge = ConstGauge::new(as_gauge(value));
    gauge.encode(to.encode_descriptor(name, help, None, gauge.metric_type())?)
}

fn counter(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(to.encode_descriptor(name, help, None, counter.metric_type())?)
}

fn family<'a>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl IntoIterator<Item = (&'a str, u64)>,
) -> fmt::Result {
    let mut all = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (of, value) in values {
        ConstGauge::new(as_gauge(value)).encode(all.encode_family(&[(label, of)])?)?;
    }
    Ok(())
}

fn as_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The log keeps its own buckets: element n counts calls below 2^n µs.
fn fsyncs(to: &mut DescriptorEncoder<'_>, log: &LogMetrics) -> fmt::Result {
    let seconds = |n: usize| (1_u64 << n) as f64 / 1e6;
    let mut buckets: Vec<(f64, u64)> =
        log.fsync_buckets.iter().enumerate().map(|(n, count)| (seconds(n), *count)).collect();
    if let Some(last) = buckets.last_mut() {
        last.0 = f64::INFINITY;
    }
    let total = log.fsync_total.as_secs_f64();
    let unit = Unit::Seconds;
    let mut all =
        to.encode_descriptor("log_fsync", "Duration of fdatasync", Some(&unit), MetricType::Histogram)?;
    // The counters are read one after the other; the sum of the buckets is what agrees with them.
    let count = log.fsync_buckets.iter().sum();
    all.encode_histogram::<NoLabelSet>(total, count, &buckets, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::histogram::Histogram;

    #[test]
    fn the_plain_format_names_counters_as_their_samples() {
        let mut registry = Registry::with_prefix("x");
        let (counter, histogram) = (Counter::<u64>::default(), Histogram::new([0.1, 1.0]));
        counter.inc();
        histogram.observe(0.5);
        registry.register("calls", "Calls", counter);
        registry.register_with_unit("took", "Time", Unit::Seconds, histogram);
        registry.register("now", "Now", Gauge::<i64>::default());
        let mut open = String::new();
        prometheus_client::encoding::text::encode(&mut open, &registry).unwrap();
        assert!(open.contains("# TYPE x_calls counter") && open.ends_with("# EOF\n"), "{open}");
        let plain = as_plain(&open);
        let expected = "# HELP x_calls_total Calls.\n# TYPE x_calls_total counter\nx_calls_total 1\n\
            # HELP x_took_seconds Time.\n# TYPE x_took_seconds histogram\nx_took_seconds_sum 0.5\n\
            x_took_seconds_count 1\nx_took_seconds_bucket{le=\"0.1\"} 0\nx_took_seconds_bucket{le=\"1.0\"} 1\n\
            x_took_seconds_bucket{le=\"+Inf\"} 1\n# HELP x_now Now.\n# TYPE x_now gauge\nx_now 0\n";
        assert_eq!(plain, expected);
    }
}
