//! Lists of policies, disciplines and placements as users write them: `fcfs,sjf`, or `all`.

use super::MaxWait;
use taskyard_model::policy::Factors;
use taskyard_model::{Discipline, Invalid, Placement, Policy, quantity};

/// All of a kind.
const ALL: &str = "all";

/// Who may pass whom: a discipline of a live pool, or the protocol of a published table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// As a pool has it.
    Pool(Discipline),
    /// As RLScheduler (SC'20) evaluates: the head, once picked, stays picked until it fits.
    Commit {
        /// Whether others may start before its expected start.
        backfill: bool,
    },
}

impl Passing {
    /// The protocols of published tables with their names.
    pub const PROTOCOLS: [(&'static str, Passing); 2] = [
        ("commit", Passing::Commit { backfill: false }),
        ("commit-backfill", Passing::Commit { backfill: true }),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Passing::Pool(discipline) => discipline.name(),
            Passing::Commit { backfill: false } => "commit",
            Passing::Commit { backfill: true } => "commit-backfill",
        }
    }
}

/// Policies by name, in the order written, each once.
pub fn policies(field: &str, text: &str) -> Result<Vec<Policy>, Invalid> {
    list(field, text, &Policy::NAMES, Policy::NAMES.len())
}

/// Disciplines by name; `all` means those that a pool can have, not the protocols of published tables.
pub fn disciplines(field: &str, text: &str) -> Result<Vec<Passing>, Invalid> {
    let live = Discipline::NAMES.map(|(name, discipline)| (name, Passing::Pool(discipline)));
    let names: Vec<_> = live.into_iter().chain(Passing::PROTOCOLS).collect();
    list(field, text, &names, live.len())
}

/// Placements by name.
pub fn placements(field: &str, text: &str) -> Result<Vec<Placement>, Invalid> {
    list(field, text, &Placement::NAMES, Placement::NAMES.len())
}

/// Longest waits: `off` or times, in the order written, each once.
pub fn max_waits(field: &str, text: &str) -> Result<Vec<MaxWait>, Invalid> {
    let mut found = Vec::new();
    for word in text.split(',').map(str::trim) {
        let max_wait = match word {
            "off" => MaxWait::Off,
            _ => MaxWait::After(quantity::duration_ms(field, word)?),
        };
        if max_wait == MaxWait::After(0) {
            return Err(Invalid::new(field, word, "more than zero, or off for no bound"));
        }
        if !found.contains(&max_wait) {
            found.push(max_wait);
        }
    }
    Ok(found)
}

/// The named ones; `all` are the first `of_all`.
fn list<T: Copy + PartialEq>(
    field: &str,
    text: &str,
    names: &[(&str, T)],
    of_all: usize,
) -> Result<Vec<T>, Invalid> {
    let mut found: Vec<T> = Vec::new();
    for word in text.split(',').map(str::trim) {
        let before = found.len();
        let chosen =
            names.iter().enumerate().filter(|(i, (name, _))| *name == word || (word == ALL && *i < of_all));
        let chosen: Vec<T> = chosen.map(|(_, (_, value))| *value).collect();
        if chosen.is_empty() {
            let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            let remedy = format!("one or more of {}, separated by commas, or {ALL}", known.join(", "));
            return Err(Invalid::new(field, word, remedy));
        }
        for value in chosen {
            if !found[..before].contains(&value) {
                found.push(value);
            }
        }
    }
    Ok(found)
}

/// Weights of the policy `multi-factor`: `age=10,size=-5`; what is not named keeps its default.
pub fn factors(field: &str, text: &str) -> Result<Factors, Invalid> {
    const REMEDY: &str = "write NAME=POINTS of age, priority, size and fair-share, as in age=10,size=-5";
    let mut factors = Factors::default();
    for pair in text.split(',').map(str::trim) {
        let bad = || Invalid::new(field, pair, REMEDY);
        let (name, points) = pair.split_once('=').ok_or_else(bad)?;
        let points = points.trim().parse().map_err(|_| bad())?;
        match name.trim() {
            "age" => factors.age = points,
            "priority" => factors.priority = points,
            "size" => factors.size = points,
            "fair-share" => factors.fair_share = points,
            _ => return Err(bad()),
        }
    }
    Ok(factors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(policies("--policy", "sjf, fcfs,sjf").unwrap(), [Policy::Sjf, Policy::Fcfs]);
        assert_eq!(policies("--policy", "all").unwrap().len(), Policy::NAMES.len());
        let all = disciplines("--discipline", "commit,all").unwrap();
        assert_eq!(all.len(), 1 + Discipline::NAMES.len());
        assert!(all.iter().zip(["commit", "strict"]).all(|(passing, name)| passing.name() == name));
        let error = disciplines("--discipline", "easy,esay").unwrap_err();
        assert!(error.value == "esay" && error.remedy.contains("commit-backfill"), "{error}");
        assert_eq!(placements("--placement", "").unwrap_err().value, "");
    }

    #[test]
    fn longest_waits() {
        let two = max_waits("--max-wait", "1d, off,24h").unwrap();
        assert_eq!(two, [MaxWait::After(86_400_000), MaxWait::Off]);
        for bad in ["", "0s", "soon", "1d,,2d"] {
            assert_eq!(max_waits("--max-wait", bad).unwrap_err().field, "--max-wait", "{bad}");
        }
    }

    #[test]
    fn weights() {
        let factors = factors("--factors", "age=1, size=-5").unwrap();
        assert_eq!((factors.age, factors.size, factors.priority), (1, -5, Factors::default().priority));
        for bad in ["", "age", "age=x", "wealth=1"] {
            assert!(super::factors("--factors", bad).is_err(), "{bad}");
        }
    }
}
