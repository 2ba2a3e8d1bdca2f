//! Runs golden scripts, each from its own beginning.

use goldenscript::Runner;
use std::path::Path;

/// Runs every script in `tests/scripts/FOLDER`.
pub(crate) fn run_scripts<R: Runner>(folder: &str, new: impl Fn() -> R) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "there are no scripts");
    files.iter().for_each(|file| goldenscript::run(&mut new(), file).unwrap());
}
