//! How the binary is linked.

use std::env;
use std::process::Command;

/// The first glibc that reads packed relocations. A program that has them refuses to start with an older one.
const KNOWS_PACKED: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The addresses in the program's tables are set at each start, in the agent and again in its keeper. Packed, the list of them
    // is 10 kB to read instead of 860 kB. As with glibc's symbols, who builds on an old system gets what runs there.
    let native = env::var("HOST") == env::var("TARGET");
    if native && glibc().is_some_and(|version| version >= KNOWS_PACKED) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc; `None` where there is another libc.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
