//! Which jobs a job waits for, as users write it.
//!
//! The API takes one predecessor a string, by id. The command line takes lists, ranges and `last` besides, and turns
//! them into these.

use crate::Selector;
use taskyard_model::{After, Invalid, JobId, Need, limits};

/// Reads `ok:12`.
pub fn parse(field: &str, text: &str) -> Result<After, Invalid> {
    let (need, job) = split(field, text)?;
    match Selector::parse(field, job) {
        Ok(Selector::Job { id, tasks: None }) => Ok(After { job: JobId(id), need }),
        _ => Err(Invalid::new(field, text, "write one job by its id, as in ok:12")),
    }
}

/// One predecessor of a command line, which may be the newest job of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredecessorWish {
    /// A job by id.
    Job(After),
    /// The newest job, which the server knows.
    Last(Need),
}

/// Reads a list such as `ok:12,13,any:15-17,fail:last`. A word without a need has that of the word before it.
pub fn parse_list(field: &str, text: &str) -> Result<Vec<PredecessorWish>, Invalid> {
    let mut wishes = Vec::new();
    let mut need = None;
    for word in text.split(',').map(str::trim) {
        let job = match (word.contains(':'), need) {
            (false, Some(_)) => word,
            _ => {
                let (of_word, job) = split(field, word)?;
                need = Some(of_word);
                job
            }
        };
        let Some(need) = need else { continue };
        match Selector::parse(field, job)? {
            Selector::Job { id, tasks: None } => {
                wishes.push(PredecessorWish::Job(After { job: JobId(id), need }))
            }
            Selector::Last { tasks: None } => wishes.push(PredecessorWish::Last(need)),
            Selector::Range(range) if range.last - range.first < limits::PREDECESSORS_MAX as u64 => {
                let ids = range.first..=range.last;
                wishes.extend(ids.map(|id| PredecessorWish::Job(After { job: JobId(id), need })));
            }
            Selector::Range(_) => {
                let remedy = format!("a job waits for at most {} jobs", limits::PREDECESSORS_MAX);
                return Err(Invalid::new(field, word, remedy));
            }
            Selector::All => {
                return Err(Invalid::new(field, word, "name the jobs to wait for, as in ok:12,13"));
            }
            Selector::Job { .. } | Selector::Last { .. } => {
                return Err(Invalid::new(
                    field,
                    word,
                    "a job can only wait for whole jobs; leave out the task",
                ));
            }
        }
    }
    Ok(wishes)
}

fn split<'a>(field: &str, text: &'a str) -> Result<(Need, &'a str), Invalid> {
    let parts = text.split_once(':').and_then(|(need, job)| Some((Need::parse(need)?, job)));
    parts.ok_or_else(|| {
        let job = text.rsplit(':').next().filter(|job| !job.is_empty()).unwrap_or("12");
        let remedy = format!(
            "write how the job must end: ok:{job} (it succeeded), any:{job} (it ended) or fail:{job} (it failed or was cancelled)"
        );
        Invalid::new(field, text, remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_refuses() {
        assert_eq!(parse("after", "ok:12").unwrap().to_string(), "ok:12");
        for (text, remedy) in [
            ("12", "ok:12 (it succeeded)"),
            ("done:12", "fail:12 (it failed"),
            ("ok:last", "by its id"),
            ("ok:12.1", "by its id"),
            ("ok:1-3", "by its id"),
            ("ok:", "by its id"),
            ("", "ok:12 (it succeeded)"),
        ] {
            let error = parse("after", text).unwrap_err();
            assert!(error.remedy.contains(remedy), "{text}: {error}");
        }
    }

    #[test]
    fn lists_carry_their_need_on() {
        let shown = |text: &str| -> Vec<String> {
            let wishes = parse_list("--after", text).unwrap();
            let show = |wish: &PredecessorWish| match wish {
                PredecessorWish::Job(after) => after.to_string(),
                PredecessorWish::Last(need) => format!("{}:last", need.name()),
            };
            wishes.iter().map(show).collect()
        };
        assert_eq!(
            shown("ok:12,13,any:15-17,fail:last"),
            ["ok:12", "ok:13", "any:15", "any:16", "any:17", "fail:last"]
        );
        for (text, remedy) in [
            ("12,ok:13", "ok:12 (it succeeded)"),
            ("ok:1-65", "at most 64"),
            ("ok:all", "name the jobs"),
            ("ok:12.3", "whole jobs"),
            ("ok:12,", "12 or last"),
        ] {
            let error = parse_list("--after", text).unwrap_err();
            assert!(error.remedy.contains(remedy), "{text}: {error}");
        }
    }
}
