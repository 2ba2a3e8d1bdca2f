//! One line for each job, in the reference simulator's form, so that two simulations can be compared start by start.

use crate::{JobTimes, Workload};
use std::io::{self, BufWriter, Write};

/// The first line.
pub const HEADER: &str = "job_id,submit,start,end,procs,est";

/// Writes the first line.
pub fn header(mut to: impl Write) -> io::Result<()> {
    writeln!(to, "{HEADER}")
}

/// Writes all jobs in the order of the workload. Times are seconds, with a fraction only where there is one; a
/// missing estimate is empty.
pub fn rows(to: impl Write, workload: &Workload, outcomes: &[JobTimes]) -> io::Result<()> {
    let mut to = BufWriter::new(to);
    for (job, outcome) in workload.jobs.iter().zip(outcomes) {
        write!(to, "{},", job.id)?;
        for ms in [job.submit_ms, outcome.start_ms, outcome.end_ms] {
            seconds(&mut to, ms)?;
            to.write_all(b",")?;
        }
        write!(to, "{},", job.procs)?;
        job.estimate_ms.map_or(Ok(()), |ms| seconds(&mut to, ms))?;
        to.write_all(b"\n")?;
    }
    to.flush()
}

fn seconds(to: &mut impl Write, ms: u64) -> io::Result<()> {
    match ms % 1_000 {
        0 => write!(to, "{}", ms / 1_000),
        rest => write!(to, "{}.{rest:03}", ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::{job, outcomes, workload};

    #[test]
    fn looks_like_the_reference() {
        let mut w = workload(vec![job(10, 100, 2, 0), job(20, 5, 4, 1)]);
        w.jobs[0].estimate_ms = Some(200_000);
        w.jobs[1].submit_ms += 50;
        let mut text = Vec::new();
        header(&mut text).unwrap();
        rows(&mut text, &w, &outcomes(&w, &[10, 110])).unwrap();
        let expected = "job_id,submit,start,end,procs,est\n11,10,10,110,2,200\n21,20.050,110,115,4,\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let w = workload(vec![job(10, 100, 2, 0)]);
        let mut little = [0u8; 8];
        assert!(rows(&mut little[..], &w, &outcomes(&w, &[10])).is_err());
    }
}
