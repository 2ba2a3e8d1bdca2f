//! What can be changed, and in which steps.

use std::fmt;
use taskyard_model::{
    ClassView, Constraint, JobView, NodeId, NodeState, QueueId, QueueView, Span, View, limits,
};

/// One thing that a job says of its tasks, or that an operator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Cores, in thousandths; a step is a tenth of a core.
    Cpu,
    /// Bytes of memory; a step is 1 MiB.
    Memory,
    /// Thousandths of GPUs; a step is the next amount below that one may ask for: 0.001 of one, or a whole one.
    Gpu,
    /// A named resource; a step is a unit.
    Named(String),
    /// Milliseconds it is expected to run; a step is a minute less of estimate and limit together. If it is unknown
    /// how long it runs, both are set, and the longest that is enough is sought.
    Time,
    /// Milliseconds after which it is stopped, down to its estimate; a step is a minute less. Without a limit, the
    /// longest that is enough is sought. What begins at a fixed time, as maintenance does, lets start only what is sure
    /// to have ended.
    Limit,
    /// A term of the constraint, by its place. It is dropped.
    Term(usize),
    /// Its tasks may share nodes.
    Apart,
    /// Its priority; a step is a point more.
    Priority {
        /// The priority it has.
        now: i32,
    },
    /// Tasks at once; a step is one more.
    MaxRunning {
        /// As many as it allows.
        now: u32,
    },
    /// It stands in another queue.
    Queue(QueueId),
    /// A node that is drained takes work again.
    Resume(NodeId),
    /// A node that is down or not ready comes back.
    Return(NodeId),
    /// A maintenance is deleted.
    Window(String),
}

const CPU_STEP_MILLI: u64 = 100;
const MEMORY_STEP: u64 = 1 << 20;
const TIME_STEP_MS: u64 = 60_000;
const GPU_MILLI: u64 = 1_000;

impl Dimension {
    /// Those in which a job can be changed by a step at least.
    pub(super) fn of(view: &View, job: &JobView, class: &ClassView) -> Vec<Dimension> {
        if let (0, Some(now)) = (job.placeable(), job.max_running) {
            return vec![Dimension::MaxRunning { now }];
        }
        let named = class.request.amounts.named.keys().cloned().map(Dimension::Named);
        let mut all = vec![Dimension::Memory, Dimension::Cpu, Dimension::Gpu];
        all.extend(named);
        all.push(Dimension::Time);
        all.extend((0..class.constraint.0.len()).map(Dimension::Term));
        all.push(Dimension::Apart);
        let heeded = view.queue(class.queue).is_some_and(|queue| queue.config.heeds_priority());
        all.extend(heeded.then_some(Dimension::Priority { now: job.priority }));
        all.push(Dimension::Limit);
        all.retain(|dimension| dimension.steps(class) > 0);
        if view.nodes.iter().all(|node| node.maintenance.is_empty()) {
            all.retain(|dimension| *dimension != Dimension::Limit);
        }
        all.extend(others(view, job, class));
        all
    }

    /// What a class asks for.
    pub(super) fn asked(&self, class: &ClassView) -> Option<i64> {
        match self {
            Dimension::Priority { now } => Some(i64::from(*now)),
            Dimension::MaxRunning { now } => Some(i64::from(*now)),
            _ => self.amount(class).map(signed),
        }
    }

    /// Likewise, where it is an amount that a class has and less of it may help.
    fn amount(&self, class: &ClassView) -> Option<u64> {
        let amounts = &class.request.amounts;
        match self {
            Dimension::Cpu => Some(amounts.cpu_milli),
            Dimension::Memory => Some(amounts.memory),
            Dimension::Gpu => Some(class.request.gpu_milli.into()),
            Dimension::Named(name) => Some(amounts.named.get(name).copied().unwrap_or(0)),
            Dimension::Time => class.span.expected_ms(),
            Dimension::Limit => class.span.limit_ms,
            _ => None,
        }
    }

    /// Whether it is a number, and not something that is there or not.
    pub fn has_amount(&self) -> bool {
        !matches!(
            self,
            Dimension::Term(_)
                | Dimension::Apart
                | Dimension::Queue(_)
                | Dimension::Resume(_)
                | Dimension::Return(_)
                | Dimension::Window(_)
        )
    }

    /// How many steps there are.
    pub(super) fn steps(&self, class: &ClassView) -> u64 {
        let amount = self.amount(class);
        // Something of it is left: work that asks for CPUs does not run without any.
        match (self, amount.map(|amount| amount.saturating_sub(1))) {
            (Dimension::Cpu, Some(milli)) => milli / CPU_STEP_MILLI,
            (Dimension::Memory, Some(bytes)) => bytes / MEMORY_STEP,
            (Dimension::Gpu, Some(milli)) if milli >= GPU_MILLI => {
                (milli + 1) / GPU_MILLI - 1 + GPU_MILLI - 1
            }
            // Both of estimate and limit stay above nothing: the expected length is the smaller one.
            (Dimension::Time, Some(ms)) => ms / TIME_STEP_MS,
            (Dimension::Time, None) => limits::WHATIF_TIME_MS_MAX / TIME_STEP_MS,
            (Dimension::Limit, _) => {
                let estimate = class.span.estimate_ms.unwrap_or(u64::MAX);
                match class.span.limit_ms {
                    Some(limit) => limit.saturating_sub(estimate) / TIME_STEP_MS,
                    None if estimate > limits::WHATIF_TIME_MS_MAX => 0,
                    None => (limits::WHATIF_TIME_MS_MAX - estimate) / TIME_STEP_MS + 1,
                }
            }
            (Dimension::Priority { now }, _) => u64::try_from(limits::PRIORITY_MAX - now).unwrap_or(0),
            (Dimension::Apart, _) => u64::from(class.affinity.is_apart()),
            (_, Some(units)) => units,
            (_, None) => 1,
        }
    }

    /// What is asked for after a number of steps; 0 for what is no amount.
    pub(super) fn value(&self, class: &ClassView, step: u64) -> i64 {
        match self {
            Dimension::Priority { now } => i64::from(*now).saturating_add(signed(step)),
            Dimension::MaxRunning { now } => i64::from(*now).saturating_add(signed(step)),
            _ if self.has_amount() => signed(self.less(class, step)),
            _ => 0,
        }
    }

    /// What is left of an amount after a number of steps.
    fn less(&self, class: &ClassView, step: u64) -> u64 {
        let amount = self.amount(class);
        match (self, amount) {
            (Dimension::Cpu, Some(milli)) => milli - step * CPU_STEP_MILLI,
            (Dimension::Memory, Some(bytes)) => bytes - step * MEMORY_STEP,
            (Dimension::Gpu, Some(milli)) if milli > GPU_MILLI => {
                let whole = milli / GPU_MILLI;
                if step < whole { (whole - step) * GPU_MILLI } else { GPU_MILLI - (step + 1 - whole) }
            }
            (Dimension::Time | Dimension::Limit, Some(ms)) => ms - step * TIME_STEP_MS,
            (Dimension::Time | Dimension::Limit, None) => {
                limits::WHATIF_TIME_MS_MAX - (step - 1) * TIME_STEP_MS
            }
            (_, units) => units.unwrap_or(0) - step,
        }
    }

    /// Changes a class by a number of steps, 1 and up, if that is where it is said.
    pub(super) fn change(&self, class: &mut ClassView, step: u64) {
        let may_be_unknown = matches!(self, Dimension::Time | Dimension::Limit);
        if self.has_amount() && self.amount(class).is_none() && !may_be_unknown {
            return;
        }
        match self {
            Dimension::Cpu => class.request.amounts.cpu_milli = self.less(class, step),
            Dimension::Memory => class.request.amounts.memory = self.less(class, step),
            Dimension::Gpu => {
                class.request.gpu_milli = u32::try_from(self.less(class, step)).expect("less than was asked");
            }
            Dimension::Named(name) => {
                let value = self.less(class, step);
                class.request.amounts.named.insert(name.clone(), value);
            }
            Dimension::Time => {
                let (asked, value) = (self.amount(class), self.less(class, step));
                let of = |length: Option<u64>| match asked {
                    Some(asked) => length.map(|ms| ms - (asked - value)),
                    None => Some(value),
                };
                class.span =
                    Span { estimate_ms: of(class.span.estimate_ms), limit_ms: of(class.span.limit_ms) };
            }
            Dimension::Limit => class.span.limit_ms = Some(self.less(class, step)),
            Dimension::Term(at) => {
                let Constraint(terms) = &mut class.constraint;
                terms.remove(*at);
            }
            Dimension::Apart => (class.affinity.apart, class.affinity.apart_by) = (false, None),
            _ => {}
        }
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// Other queues that would take the job, and what operators could do for nodes that could run it.
fn others(view: &View, job: &JobView, class: &ClassView) -> Vec<Dimension> {
    let tasks = job.eligible.saturating_add(job.assigned);
    let takes = |queue: &&QueueView| {
        let admits = queue.config.admit(&queue.name, &class.request, class.span.limit_ms, tasks);
        queue.id != class.queue && !queue.deleted && admits.is_ok()
    };
    let queues = view.queues.iter().filter(takes).map(|queue| Dimension::Queue(queue.id));
    let could = || view.nodes.iter().filter(|node| view.could_hold(node, class).is_ok());
    let drained = could().filter(|node| node.status.is_alive() && node.status.drained().is_some());
    let away = could().filter(|node| matches!(node.status.state(), NodeState::Down | NodeState::NotReady));
    let mut windows: Vec<&str> = Vec::new();
    for node in could() {
        windows.extend(node.maintenance.iter().map(|window| window.name.as_str()));
    }
    windows.sort_unstable();
    windows.dedup();
    let mut all: Vec<Dimension> = queues.take(limits::WHATIF_OTHERS_MAX).collect();
    all.extend(drained.map(|node| Dimension::Resume(node.id)).take(limits::WHATIF_OTHERS_MAX));
    all.extend(away.map(|node| Dimension::Return(node.id)).take(limits::WHATIF_OTHERS_MAX));
    all.extend(
        windows.into_iter().map(|name| Dimension::Window(name.to_owned())).take(limits::WHATIF_OTHERS_MAX),
    );
    all
}

impl fmt::Display for Dimension {
    /// Its name in the API: `cpu`, `memory`, `gpu`, the resource's own, `time`, `term`, …
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dimension::Cpu => "cpu",
            Dimension::Memory => "memory",
            Dimension::Gpu => "gpu",
            Dimension::Named(name) => name,
            Dimension::Time => "time",
            Dimension::Limit => "time_limit",
            Dimension::Term(_) => "term",
            Dimension::Apart => "apart",
            Dimension::Priority { .. } => "priority",
            Dimension::MaxRunning { .. } => "max_running",
            Dimension::Queue(_) => "queue",
            Dimension::Resume(_) => "resume",
            Dimension::Return(_) => "return",
            Dimension::Window(_) => "maintenance",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskyard_model::{ClassId, QueueId, Request};

    #[test]
    fn gpus_go_down_through_what_may_be_asked_for() {
        let request = Request { gpu_milli: 3_000, ..Request::default() };
        let class = ClassView {
            id: ClassId(0),
            queue: QueueId(1),
            party: taskyard_model::PartyId(1),
            request,
            constraint: Constraint::default(),
            affinity: taskyard_model::Affinity::default(),
            targets: None,
            span: Span::default(),
            waiting: taskyard_model::SmallSet::default(),
            by_age: taskyard_model::SmallSet::default(),
            jobs: 1,
            running: 0,
            typical_us: None,
        };
        let steps = Dimension::Gpu.steps(&class);
        let values: Vec<i64> = (1..=steps).map(|step| Dimension::Gpu.value(&class, step)).collect();
        assert_eq!(values[..4], [2_000, 1_000, 999, 998]);
        assert_eq!(values.last(), Some(&1), "never none");
        for value in values {
            let gpu_milli = u32::try_from(value).unwrap();
            assert_eq!(Request { gpu_milli, ..Request::default() }.check(), Ok(()));
        }
    }
}
