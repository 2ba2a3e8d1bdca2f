//! Task numbers as users write them: one range, or several with commas (`1-5,7,20-30:2`), which is how a retry shows
//! its tasks.

use taskyard_model::{ArraySpec, Invalid};

/// Runs of steps that one array may be made of; more is a list of entries rather than a range.
const RUNS_MAX: usize = 10_000;

/// Reads `1-1000:2%50` or `1-5,7%2`.
pub fn parse(field: &str, text: &str) -> Result<ArraySpec, Invalid> {
    let (ranges, at_once) = text.split_once('%').map_or((text, None), |(r, m)| (r, Some(m)));
    if !ranges.contains(',') {
        return ArraySpec::parse(field, text);
    }
    let mut parts =
        ranges.split(',').map(|part| ArraySpec::parse(field, part.trim())).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|p| p.first);
    let first = parts[0].first;
    let step = parts
        .iter()
        .flat_map(|p| [p.first - first, if p.count > 1 { p.step } else { 0 }])
        .fold(0, greatest_common_divisor)
        .max(1);
    let mut only: Vec<(u32, u32)> = Vec::new();
    for part in &parts {
        add_runs(part, first, step, &mut only).map_err(|remedy| Invalid::new(field, text, remedy))?;
    }
    let count: u64 = only.iter().map(|run| u64::from(run.1)).sum();
    // The part after % and the total are checked by the one parser there is, on a range of the same size.
    let like = ArraySpec::parse(field, &format!("1-{count}%{}", at_once.unwrap_or("1")))
        .map_err(|e| Invalid::new(field, text, e.remedy))?;
    let max_running = at_once.and(like.max_running);
    if let [(0, count)] = only[..] {
        return Ok(ArraySpec { first, step, count, max_running, only: Vec::new() });
    }
    Ok(ArraySpec { first, step, count: like.count, max_running, only })
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn add_runs(part: &ArraySpec, first: u64, step: u64, only: &mut Vec<(u32, u32)>) -> Result<(), &'static str> {
    const FAR: &str = "the numbers are too far apart for one array; write ranges, or use entries";
    // A single number has no step of its own, and a range of the common step is one run.
    let stride = if part.count > 1 { part.step / step } else { 1 };
    let (runs, length) = if stride == 1 { (1, part.count) } else { (part.count, 1) };
    for i in 0..u64::from(runs) {
        let at = u32::try_from((part.first - first) / step + i * stride).map_err(|_| FAR)?;
        match only.last_mut() {
            Some((start, n)) if at < *start + *n => {
                return Err("no number may be named twice, and ranges are in ascending order");
            }
            Some((start, n)) if at == *start + *n => *n += length,
            _ => only.push((at, length)),
        }
        if only.len() > RUNS_MAX {
            return Err(FAR);
        }
    }
    Ok(())
}

/// Writes the numbers, without `%N`: what [`parse`] reads back to the same tasks.
pub fn show(array: &ArraySpec) -> String {
    let whole = [(0, array.count)];
    let runs = if array.only.is_empty() { &whole[..] } else { &array.only };
    let run = |&(at, count): &(u32, u32)| {
        let number = |step: u32| array.first + u64::from(step) * array.step;
        let (from, to) = (number(at), number(at + count.max(1) - 1));
        match (count, array.step) {
            (1, _) => from.to_string(),
            (_, 1) => format!("{from}-{to}"),
            (_, step) => format!("{from}-{to}:{step}"),
        }
    };
    runs.iter().map(run).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Vec<u64> {
        let a = parse("array", text).unwrap();
        (0..a.count).map(|i| a.number(i)).collect()
    }

    #[test]
    fn lists_of_ranges() {
        assert_eq!(numbers("1-5,7"), [1, 2, 3, 4, 5, 7]);
        assert_eq!(numbers("60,20,30"), [20, 30, 60]);
        assert_eq!(numbers("1-7:3,10,12"), [1, 4, 7, 10, 12]);
        assert_eq!(numbers("5"), [5]);
        assert_eq!(parse("array", "1-5,7%2").unwrap().max_running, Some(2));
        assert_eq!(parse("array", "1-5,6-9").unwrap(), ArraySpec::parse("a", "1-9").unwrap());
    }

    #[test]
    fn shown_arrays_read_back() {
        for text in ["1-1000", "1-999:2", "7", "1-5,7", "20,30,60", "0-9,100-200"] {
            let again = show(&parse("array", text).unwrap());
            assert_eq!(numbers(&again), numbers(text), "{again}");
        }
        let failed = ArraySpec::parse("a", "10-100:10").unwrap().restricted(&[(1, 2), (5, 1)]);
        assert_eq!(show(&failed), "20-30:10,60");
        assert_eq!(numbers(&show(&failed)), [20, 30, 60]);
    }

    #[test]
    fn refuses() {
        for (text, remedy) in [
            ("1-5,5", "named twice"),
            ("1-7:2,2", "ascending order"),
            ("1,2,18446744073709", "too far apart"),
            ("1-10000000,20000000-20000001", "at most"),
            ("1-3,7%0", "at least 1"),
            ("1,x", "not a number"),
            ("1-9999999:3,2", "too far apart"),
        ] {
            let error = parse("--array", text).unwrap_err();
            assert!(error.remedy.contains(remedy), "{text}: {error}");
        }
    }
}
