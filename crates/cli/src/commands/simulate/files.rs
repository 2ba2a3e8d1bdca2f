//! Files that `simulate` writes.

use crate::exit::Failure;
use crate::show::output::say;
use std::fs::File;
use std::path::{Path, PathBuf};
use taskyard_client::api::Invalid;
use taskyard_sim::compare::Tried;
use taskyard_sim::{SimulationReport, Workload, jobs_csv, report};

/// Refuses a place where no file can be, before anything runs.
pub(super) fn check(path: &Path) -> Result<(), Invalid> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Invalid::new(
            "file",
            path.display(),
            format!("make the directory {} first", folder.display()),
        ));
    }
    if path.is_dir() {
        return Err(Invalid::new("file", path.display(), "it is a directory: name a file in it"));
    }
    Ok(())
}

/// The report with plots.
pub(super) fn html(path: &Path, report: &SimulationReport) -> Result<(), Failure> {
    std::fs::write(path, report::html(report)).map_err(Failure::io(path.display().to_string()))?;
    say(&format!("wrote {}", path.display()));
    Ok(())
}

/// All jobs of each run, those of several windows one after the other.
pub(super) fn jobs_csv(path: &Path, workloads: &[Workload], tried: &[Tried]) -> Result<(), Failure> {
    for Tried { run, outcomes } in tried {
        let path = if tried.len() == 1 { path.to_owned() } else { named(path, &run.name()) };
        let write = || {
            let mut file = File::create(&path)?;
            jobs_csv::header(&mut file)?;
            let mut windows = workloads.iter().zip(outcomes);
            windows.try_for_each(|(workload, outcomes)| jobs_csv::rows(&mut file, workload, outcomes))
        };
        write().map_err(Failure::io(path.display().to_string()))?;
        say(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// `jobs.csv` of the run `sjf/easy` is `jobs.sjf-easy.csv`.
fn named(path: &Path, run: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{}", run.replace('/', "-")));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_has_its_file() {
        let name = |path: &str| named(Path::new(path), "sjf/easy").display().to_string();
        assert_eq!(name("a/jobs.csv"), "a/jobs.sjf-easy.csv");
        assert_eq!(name("jobs"), "jobs.sjf-easy");
    }

    #[test]
    fn places_where_no_file_can_be() {
        assert!(check(Path::new("nowhere/at/all.html")).unwrap_err().remedy.contains("nowhere/at"));
        assert!(check(Path::new("src")).unwrap_err().remedy.contains("directory"));
        assert_eq!(check(Path::new("new.html")), Ok(()));
    }
}
