//! How the binary is linked, and from which commit it is.

use std::env;
use std::process::Command;

/// The first glibc that reads packed relocations. A program that has them refuses to start with an older one.
const KNOWS_PACKED: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=VERSION_AND_COMMIT={}", version());
    // It has a line more with each commit.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    // The addresses in the program's tables are set at each start, in the agent and again in its keeper. Packed, the
    // list of them is 10 kB to read instead of 860 kB. As with glibc's symbols, who builds on an old system gets what
    // runs there.
    println!("cargo::rerun-if-env-changed=TASKYARD_PORTABLE");
    let native = env::var("HOST") == env::var("TARGET") && env::var_os("TASKYARD_PORTABLE").is_none();
    if native && glibc().is_some_and(|version| version >= KNOWS_PACKED) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// What `--version` shows: the version, and the commit where the source is a git checkout.
fn version() -> String {
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    match git(&["rev-parse", "--short=12", "HEAD"]) {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    }
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The version of this machine's glibc; `None` where there is another libc.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
