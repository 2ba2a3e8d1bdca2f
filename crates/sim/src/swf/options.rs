//! How a log becomes a workload, as users write it.

use crate::limits;
use taskyard_model::Invalid;

/// Which records count, and what of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// What cannot be run is left out; a missing estimate is the run time; a job that ran longer than it asked for is
    /// cut there.
    #[default]
    None,
    /// The strong filter of Gaussier et al. (SC'15): a job without an estimate is left out too. Then as `None`.
    Sc15,
    /// The reading of RLScheduler (SC'20): order of job numbers, the larger of both numbers of processors, nothing cut.
    Rlwin,
}

/// What a scheduler is told of run times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Estimates {
    /// What users said (field 9).
    #[default]
    User,
    /// The truth: what perfect estimates would be worth.
    Clairvoyant,
}

/// Stretches of consecutive jobs, each a workload of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Positions, from 0, of first jobs in the filtered log.
    pub starts: Vec<usize>,
    /// Jobs in each.
    pub length: usize,
}

/// How a log becomes a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwfOptions {
    /// Which records count.
    pub filter: Filter,
    /// What is told of run times.
    pub estimates: Estimates,
    /// Cpus of the one node; else the log's `MaxProcs`, else its `MaxNodes`.
    pub procs: Option<u32>,
    /// Stretches to cut; else the whole log.
    pub windows: Option<Windows>,
}

impl Filter {
    /// All filters with their names.
    pub const NAMES: [(&'static str, Filter); 3] =
        [("none", Filter::None), ("sc15", Filter::Sc15), ("rlwin", Filter::Rlwin)];

    /// The filter of a name.
    pub fn parse(field: &str, text: &str) -> Result<Filter, Invalid> {
        by_name(&Filter::NAMES, field, text)
    }
}

impl Estimates {
    /// Both with their names.
    pub const NAMES: [(&'static str, Estimates); 2] =
        [("user", Estimates::User), ("clairvoyant", Estimates::Clairvoyant)];

    /// What a name means.
    pub fn parse(field: &str, text: &str) -> Result<Estimates, Invalid> {
        by_name(&Estimates::NAMES, field, text)
    }
}

impl Windows {
    /// Parses `S1,S2,…:LENGTH`, as in `1981,2756:1024`.
    pub fn parse(field: &str, text: &str) -> Result<Windows, Invalid> {
        let bad = || {
            Invalid::new(field, text, "write first jobs, counted from 0, and how many, as in 1981,2756:1024")
        };
        let (starts, length) = text.split_once(':').ok_or_else(bad)?;
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| bad());
        let starts = starts.split(',').map(number).collect::<Result<Vec<_>, _>>()?;
        let length = number(length)?;
        if length == 0 {
            return Err(Invalid::new(field, text, "a window holds at least one job"));
        }
        if starts.len() > limits::WINDOWS_MAX {
            return Err(Invalid::new(field, text, format!("at most {} windows", limits::WINDOWS_MAX)));
        }
        Ok(Windows { starts, length })
    }

    /// Checks that all of them lie within `jobs` jobs.
    pub fn check(&self, field: &str, jobs: usize) -> Result<(), Invalid> {
        let beyond = self.starts.iter().find(|s| s.checked_add(self.length).is_none_or(|end| end > jobs));
        let Some(start) = beyond else { return Ok(()) };
        let remedy = match jobs.checked_sub(self.length) {
            Some(last) => format!("the filtered log has {jobs} jobs: begin at {last} at the latest"),
            None => format!("the filtered log has {jobs} jobs: ask for windows of at most {jobs}"),
        };
        Err(Invalid::new(field, format!("{start}:{}", self.length), remedy))
    }
}

fn by_name<T: Copy>(names: &[(&str, T)], field: &str, text: &str) -> Result<T, Invalid> {
    let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
    let found = names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    found.ok_or_else(|| Invalid::new(field, text, format!("one of {}", known.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_windows() {
        let windows = Windows::parse("--windows", "1981, 2756:1024").unwrap();
        assert_eq!(windows, Windows { starts: vec![1_981, 2_756], length: 1_024 });
        for bad in ["", "5", "a:5", "5:", ":5", "1,,2:5", "-1:5", "1:0", "1:2:3"] {
            let error = Windows::parse("--windows", bad).unwrap_err();
            assert_eq!(error.field, "--windows", "{bad}");
        }
    }

    #[test]
    fn windows_lie_within_the_log() {
        let windows = Windows { starts: vec![0, 6], length: 4 };
        assert_eq!(windows.check("w", 10), Ok(()));
        let error = windows.check("w", 9).unwrap_err();
        assert!(error.value == "6:4" && error.remedy.contains("begin at 5"), "{error}");
        assert!(windows.check("w", 3).unwrap_err().remedy.contains("at most 3"));
        assert!(Windows { starts: vec![usize::MAX], length: 2 }.check("w", 9).is_err());
    }

    #[test]
    fn names() {
        assert_eq!(Filter::parse("--filter", "sc15"), Ok(Filter::Sc15));
        assert_eq!(Estimates::parse("--estimates", "clairvoyant"), Ok(Estimates::Clairvoyant));
        let error = Filter::parse("--filter", "SC15").unwrap_err();
        assert!(error.remedy.contains("none, sc15, rlwin"), "{error}");
    }
}
