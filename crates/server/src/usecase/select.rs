//! From numbers of tasks, as users write them, to positions in the job.

use taskyard_api::{ApiError, Ranges};
use taskyard_model::{ArraySpec, Invalid, JobId, TaskIndex};

/// The tasks of these numbers as ascending runs of (first index, how many). A single number that is no task is an
/// error, as is a selection without any task; a range may have gaps.
pub(crate) fn runs_of(
    job: JobId,
    array: &ArraySpec,
    numbers: &Ranges,
) -> Result<Vec<(TaskIndex, u32)>, ApiError> {
    let mut runs: Vec<(TaskIndex, u32)> = Vec::new();
    for &(first, last) in &numbers.0 {
        if first == last && array.index(first).is_none() {
            return Err(no_task(job, array, first));
        }
        each_step(array, first, last, |from, upto| runs.push((from, upto - from)));
    }
    if runs.is_empty() {
        let remedy = format!("job {job} has no such tasks; its numbers are {}", numbers_of(array));
        return Err(Invalid::new("tasks", numbers, remedy).into());
    }
    runs.sort_unstable();
    runs.dedup_by(|next, last| {
        let touches = next.0 <= last.0 + last.1;
        if touches {
            last.1 = (next.0 + next.1).max(last.0 + last.1) - last.0;
        }
        touches
    });
    Ok(runs)
}

/// The task of one number.
pub(crate) fn index_of(job: JobId, array: &ArraySpec, number: u64) -> Result<TaskIndex, ApiError> {
    array.index(number).ok_or_else(|| no_task(job, array, number))
}

fn no_task(job: JobId, array: &ArraySpec, number: u64) -> ApiError {
    let remedy = match array.count {
        1 => format!("job {job} has one task: {job}.{}", array.number(0)),
        _ => format!("the numbers of job {job} are {}", numbers_of(array)),
    };
    ApiError::not_found(format!("task {job}.{number}")).remedy(remedy)
}

fn numbers_of(array: &ArraySpec) -> String {
    let last = array.number(array.count - 1);
    match (array.count, array.only.is_empty()) {
        (1, _) => array.number(0).to_string(),
        (_, true) if array.step == 1 => format!("{}-{last}", array.first),
        (_, true) => format!("{}-{last}:{}", array.first, array.step),
        (n, false) => format!("{n} of {} to {last}", array.number(0)),
    }
}

/// Visits the tasks with numbers `first` to `last` as (from, up to) of indices.
fn each_step(array: &ArraySpec, first: u64, last: u64, mut found: impl FnMut(u32, u32)) {
    if last < array.first {
        return;
    }
    let step = |distance: u64| u32::try_from(distance).unwrap_or(u32::MAX);
    let low = step(first.saturating_sub(array.first).div_ceil(array.step));
    let high = step((last - array.first) / array.step).saturating_add(1);
    let whole = [(0, array.count)];
    let present: &[(u32, u32)] = if array.only.is_empty() { &whole } else { &array.only };
    let mut before = 0;
    for &(start, count) in present {
        let (from, upto) = (low.max(start), high.min(start + count));
        if from < upto {
            found(before + from - start, before + upto - start);
        }
        before += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(array: &ArraySpec, numbers: &str) -> Result<Vec<(u32, u32)>, String> {
        let numbers = Ranges::parse("tasks", numbers).map_err(|e| e.to_string())?;
        runs_of(JobId(3), array, &numbers)
            .map_err(|e| format!("{e} {}", e.remedy.clone().unwrap_or_default()))
    }

    #[test]
    fn numbers_become_indices() {
        let array = ArraySpec::parse("array", "10-100:10").unwrap();
        assert_eq!(runs(&array, "10-100").unwrap(), [(0, 10)]);
        assert_eq!(runs(&array, "20,30,60").unwrap(), [(1, 2), (5, 1)]);
        assert_eq!(runs(&array, "15-45").unwrap(), [(1, 3)]);
        assert_eq!(runs(&array, "60,20-40,30-50").unwrap(), [(1, 5)]);
        assert_eq!(runs(&array, "0-99999999999999").unwrap(), [(0, 10)]);
        for (numbers, part) in
            [("15", "there is no task 3.15 the numbers of job 3 are 10-100:10"), ("1-9", "10-100:10")]
        {
            let error = runs(&array, numbers).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn numbers_of_a_restricted_array() {
        let array = ArraySpec::parse("array", "1-100").unwrap().restricted(&[(4, 3), (50, 2)]);
        assert_eq!(runs(&array, "1-100").unwrap(), [(0, 5)]);
        assert_eq!(runs(&array, "6-51").unwrap(), [(1, 3)]);
        assert_eq!(runs(&array, "52").unwrap(), [(4, 1)]);
        assert!(runs(&array, "8").is_err());
        for number in 1..=100 {
            let alone = runs(&array, &number.to_string()).ok();
            assert_eq!(alone, array.index(number).map(|i| vec![(i, 1)]), "{number}");
        }
    }
}
