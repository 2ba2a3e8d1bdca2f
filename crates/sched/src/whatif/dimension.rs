//! What can be changed, and in which steps.

use std::fmt;
use taskyard_model::{ClassView, Constraint, Span};

/// One thing that a job says of its tasks.
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
    /// Milliseconds it is expected to run; a step is a minute less of estimate and limit together. If nobody has said how long it runs, both
    /// are set, and the longest that is enough is sought.
    Time,
    /// A term of the constraint, by its place. It is dropped.
    Term(usize),
}

const CPU_STEP_MILLI: u64 = 100;
const MEMORY_STEP: u64 = 1 << 20;
const TIME_STEP_MS: u64 = 60_000;
/// The longest that is tried for a job that does not say how long it runs.
const TIME_TRIED_MS_MAX: u64 = 365 * 86_400_000;
const GPU_MILLI: u64 = 1_000;

impl Dimension {
    /// Those in which a class can be changed by a step at least.
    pub(super) fn of(class: &ClassView) -> Vec<Dimension> {
        let named = class.request.amounts.named.keys().cloned().map(Dimension::Named);
        let mut all = vec![Dimension::Memory, Dimension::Cpu, Dimension::Gpu];
        all.extend(named);
        all.push(Dimension::Time);
        all.extend((0..class.constraint.0.len()).map(Dimension::Term));
        all.retain(|dimension| dimension.steps(class) > 0);
        all
    }

    /// What a class asks for.
    pub(super) fn asked(&self, class: &ClassView) -> Option<u64> {
        let amounts = &class.request.amounts;
        match self {
            Dimension::Cpu => Some(amounts.cpu_milli),
            Dimension::Memory => Some(amounts.memory),
            Dimension::Gpu => Some(class.request.gpu_milli.into()),
            Dimension::Named(name) => Some(amounts.named.get(name).copied().unwrap_or(0)),
            Dimension::Time => class.span.expected_ms(),
            Dimension::Term(_) => None,
        }
    }

    /// How many steps there are.
    pub(super) fn steps(&self, class: &ClassView) -> u64 {
        let asked = self.asked(class);
        match (self, asked) {
            (Dimension::Cpu, Some(milli)) => milli / CPU_STEP_MILLI,
            (Dimension::Memory, Some(bytes)) => bytes / MEMORY_STEP,
            (Dimension::Gpu, Some(milli)) if milli > GPU_MILLI => milli / GPU_MILLI - 1 + GPU_MILLI,
            // Both of estimate and limit stay above nothing: the expected length is the smaller one.
            (Dimension::Time, Some(ms)) => ms.saturating_sub(1) / TIME_STEP_MS,
            (Dimension::Time, None) => TIME_TRIED_MS_MAX / TIME_STEP_MS,
            (Dimension::Term(_), _) => 1,
            (_, units) => units.unwrap_or(0),
        }
    }

    /// What is asked for after so many steps.
    pub(super) fn value(&self, class: &ClassView, step: u64) -> u64 {
        let asked = self.asked(class);
        match (self, asked) {
            (Dimension::Cpu, Some(milli)) => milli - step * CPU_STEP_MILLI,
            (Dimension::Memory, Some(bytes)) => bytes - step * MEMORY_STEP,
            (Dimension::Gpu, Some(milli)) if milli > GPU_MILLI => {
                let whole = milli / GPU_MILLI;
                if step < whole { (whole - step) * GPU_MILLI } else { GPU_MILLI - (step + 1 - whole) }
            }
            (Dimension::Time, Some(ms)) => ms - step * TIME_STEP_MS,
            (Dimension::Time, None) => TIME_TRIED_MS_MAX - (step - 1) * TIME_STEP_MS,
            (Dimension::Term(_), _) => 0,
            (_, units) => units.unwrap_or(0) - step,
        }
    }

    /// Changes a class by so many steps, 1 and up.
    pub(super) fn change(&self, class: &mut ClassView, step: u64) {
        let value = self.value(class, step);
        let asked = self.asked(class);
        match self {
            Dimension::Cpu => class.request.amounts.cpu_milli = value,
            Dimension::Memory => class.request.amounts.memory = value,
            Dimension::Gpu => class.request.gpu_milli = u32::try_from(value).expect("less than was asked"),
            Dimension::Named(name) => drop(class.request.amounts.named.insert(name.clone(), value)),
            Dimension::Time => {
                let of = |length: Option<u64>| match asked {
                    Some(asked) => length.map(|ms| ms - (asked - value)),
                    None => Some(value),
                };
                class.span =
                    Span { estimate_ms: of(class.span.estimate_ms), limit_ms: of(class.span.limit_ms) };
            }
            Dimension::Term(at) => {
                let Constraint(terms) = &mut class.constraint;
                terms.remove(*at);
            }
        }
    }
}

impl fmt::Display for Dimension {
    /// Its name in the API: `cpu`, `memory`, `gpu`, the resource's own, `time`, `term`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dimension::Cpu => "cpu",
            Dimension::Memory => "memory",
            Dimension::Gpu => "gpu",
            Dimension::Named(name) => name,
            Dimension::Time => "time",
            Dimension::Term(_) => "term",
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
            siting: taskyard_model::Siting::default(),
            targets: None,
            span: Span::default(),
            waiting: taskyard_model::Few::default(),
            by_age: taskyard_model::Few::default(),
            jobs: 1,
            typical_us: None,
        };
        let steps = Dimension::Gpu.steps(&class);
        let values: Vec<u64> = (1..=steps).map(|step| Dimension::Gpu.value(&class, step)).collect();
        assert_eq!(values[..4], [2_000, 1_000, 999, 998]);
        assert_eq!(values.last(), Some(&0));
        for value in values {
            let gpu_milli = u32::try_from(value).unwrap();
            assert_eq!(Request { gpu_milli, ..Request::default() }.check(), Ok(()));
        }
    }
}
