//! The Debian package, by `dpkg-deb`.

use super::glibc::Version;
use super::{command, path, put, version};
use crate::run::must;
use anyhow::Result;
use std::fs;
use std::path::Path;

/// Files that an administrator changes and an upgrade keeps.
pub const CONFIGS: [&str; 2] = ["etc/taskyard/server.toml", "etc/taskyard/agent.toml"];

/// Packs what lies under `root`.
pub fn package(root: &Path, glibc: Version, out: &Path) -> Result<()> {
    let staged = out.join("deb");
    must(command("cp", &["--archive", path(root)?, path(&staged)?]))?;
    put(&staged, "DEBIAN/control", control(glibc).as_bytes(), 0o644)?;
    let configs: String = CONFIGS.iter().map(|config| format!("/{config}\n")).collect();
    put(&staged, "DEBIAN/conffiles", configs.as_bytes(), 0o644)?;
    for script in ["postinst", "prerm"] {
        let text = fs::read(Path::new("deploy/debian").join(script))?;
        put(&staged, &format!("DEBIAN/{script}"), &text, 0o755)?;
    }
    let file = out.join(format!("taskyard_{}_amd64.deb", version()));
    must(command("dpkg-deb", &["--root-owner-group", "--build", path(&staged)?, path(&file)?]))?;
    Ok(fs::remove_dir_all(staged)?)
}

fn control(glibc: Version) -> String {
    format!(
        "Package: taskyard\nVersion: {}\nArchitecture: amd64\nMaintainer: Taskyard <taskyard@localhost>\nSection: admin\nPriority: optional\n\
         Depends: libc6 (>= {glibc}), libgcc-s1, passwd\n\
         Description: durable, fair, explainable queue for a fleet of machines\n \
         A server, an agent and the command line in one binary. Every change of state is in a\n \
         replicated log and on disk before it is acknowledged.\n",
        version()
    )
}
