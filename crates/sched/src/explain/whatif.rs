//! What would have to be different for a waiting job to start now: one thing at a time, by the smallest change that is
//! enough.
//!
//! Each question is put to the planner itself, on the same view with the one job changed: nothing here knows what a
//! change leads to. An answer is found by bisection and then checked: with the change the task is placed, with one step
//! less it is not. Less of a resource never makes a task fit worse, but it can move its job back in a queue whose order
//! prefers the large, and under some placements it moves those before it elsewhere; there bisection proves nothing and
//! the steps are tried one by one, as far as [`limits::WHATIF_SCAN_STEPS_MAX`].

mod dimension;
mod trial;

pub use dimension::Dimension;

use taskyard_model::{JobId, NodeId, View, limits};
use trial::{Spent, Trial};

/// The answer for one dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterfactual {
    /// What is changed; everything else stays as it is.
    pub dimension: Dimension,
    /// What the job asks for, in the dimension's unit; `None` for an unknown length, and for terms.
    pub asked: Option<i64>,
    /// What comes of it.
    pub finding: Finding,
}

/// What comes of changing one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It would start now.
    Starts {
        /// If it asked for so much, in the dimension's unit; 0 for what is no amount.
        with: i64,
        /// Where.
        node: NodeId,
        /// No smaller change is enough. False only where bisection proves nothing and there are too many steps to try
        /// each.
        smallest: bool,
    },
    /// It would not, however little it asked for.
    NothingHelps,
    /// The budget was spent before this was known.
    Unknown,
}

/// All counterfactuals of a job's next task, in order of dimension. Empty if no task of it waits for the planner, or if
/// one starts now anyway.
pub fn counterfactuals(view: &View, job: JobId) -> Vec<Counterfactual> {
    let Some(mut trial) = Trial::of(view, job) else { return Vec::new() };
    if !matches!(trial.unchanged(), Ok(None)) {
        return Vec::new();
    }
    let dimensions = trial.dimensions();
    let answer = |dimension: Dimension| {
        let asked = dimension.asked(trial.class());
        let finding = find(&mut trial, &dimension).unwrap_or(Finding::Unknown);
        Counterfactual { dimension, asked, finding }
    };
    dimensions.into_iter().map(answer).collect()
}

/// The smallest change of one dimension with which the planner places a task now.
fn find(trial: &mut Trial, dimension: &Dimension) -> Result<Finding, Spent> {
    let steps = dimension.steps(trial.class());
    let ordered = trial.is_ordered(dimension, steps);
    if !ordered
        && let Some((step, node)) = scan(trial, dimension, 1, steps.min(limits::WHATIF_SCAN_STEPS_MAX))?
    {
        return Ok(starts(trial, dimension, step, node, true));
    }
    if trial.with(dimension, steps)?.is_none() {
        // Where the order is no help, what lies between the steps tried and this one is not known.
        return Ok(if ordered || steps <= limits::WHATIF_SCAN_STEPS_MAX {
            Finding::NothingHelps
        } else {
            Finding::Unknown
        });
    }
    let step = bisect(trial, dimension, steps)?;
    Ok(match trial.verified(dimension, step)? {
        Some(node) => {
            starts(trial, dimension, step, node, ordered || step <= limits::WHATIF_SCAN_STEPS_MAX + 1)
        }
        None => Finding::Unknown,
    })
}

fn starts(trial: &Trial, dimension: &Dimension, step: u64, node: NodeId, smallest: bool) -> Finding {
    Finding::Starts { with: dimension.value(trial.class(), step), node, smallest }
}

/// The first of these steps with which a task is placed, each of them tried.
fn scan(
    trial: &mut Trial,
    dimension: &Dimension,
    from: u64,
    to: u64,
) -> Result<Option<(u64, NodeId)>, Spent> {
    for step in from..=to {
        if let Some(node) = trial.with(dimension, step)? {
            return Ok(Some((step, node)));
        }
    }
    Ok(None)
}

/// A step with which a task is placed and before which it is not. With `enough` it is.
fn bisect(trial: &mut Trial, dimension: &Dimension, mut enough: u64) -> Result<u64, Spent> {
    let mut too_little = 0;
    while enough - too_little > 1 {
        let middle = too_little + (enough - too_little) / 2;
        if trial.with(dimension, middle)?.is_some() {
            enough = middle;
        } else {
            too_little = middle;
        }
    }
    Ok(enough)
}
