//! A release: the stripped binary in a tarball and a Debian package, with manual pages, completions, units, a bill of
//! materials and checksums.

mod deb;
mod glibc;
mod sbom;

use crate::run::{cargo, must, output, step};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Built for by `cargo xtask dist`.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/taskyard"),
    ("zsh", "usr/share/zsh/vendor-completions/_taskyard"),
    ("fish", "usr/share/fish/vendor_completions.d/taskyard.fish"),
];
const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];
const UNITS: [&str; 2] = ["taskyard-server.service", "taskyard-agent.service"];

/// Makes a release in `target/dist`.
pub fn dist(args: &[&str]) -> Result<()> {
    let given = match args {
        [] => None,
        ["--binary", file] => Some(PathBuf::from(file)),
        other => bail!("cargo xtask dist [--binary FILE], not {other:?}"),
    };
    let out = Path::new("target/dist");
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    fs::create_dir_all(out)?;
    let binary = out.join("taskyard");
    let built = given.map_or_else(build, Ok)?;
    must(command("strip", &["-o", path(&binary)?, path(&built)?]))?;
    let oldest = glibc::needs(&binary)?;
    println!("runs on glibc {oldest} and later");
    if oldest > glibc::OLDEST {
        println!(
            "warning: that is newer than {}; `pip install cargo-zigbuild` brings a linker for it",
            glibc::OLDEST
        );
    }
    let root = out.join("root");
    step("files", || lay_out(&binary, &root))?;
    step("package", || deb::package(&root, oldest, out))?;
    step("tarball", || tarball(&root, out))?;
    step("bill of materials", || Ok(fs::write(out.join("taskyard.cdx.json"), sbom::cyclonedx()?)?))?;
    step("checksums", || checksums(out))
}

/// The binary of the profile `dist`, linked for [`glibc::OLDEST`] where `cargo-zigbuild` is installed: a linker takes
/// the symbols of the glibc that it finds, and zig brings those of every version.
fn build() -> Result<PathBuf> {
    let older = Command::new("cargo-zigbuild").arg("--version").stdout(Stdio::null()).status().is_ok();
    let (how, target) = if older {
        ("zigbuild", format!("{TARGET}.{}", glibc::OLDEST))
    } else {
        ("build", TARGET.to_owned())
    };
    let mut build = cargo(&[how, "--profile", "dist", "--target", &target, "--package", "taskyard"]);
    build.env("TASKYARD_PORTABLE", "1");
    must(build)?;
    let directory = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Ok(Path::new(&directory).join(TARGET).join("dist/taskyard"))
}

/// All files of a release as they lie under `/`.
fn lay_out(binary: &Path, root: &Path) -> Result<()> {
    put(root, "usr/bin/taskyard", &fs::read(binary)?, 0o755)?;
    let man = root.join("usr/share/man/man1");
    fs::create_dir_all(&man)?;
    must(command(path(binary)?, &["man", "--dir", path(&man)?]))?;
    for (shell, at) in COMPLETIONS {
        put(root, at, output(command(path(binary)?, &["completions", shell]))?.as_bytes(), 0o644)?;
    }
    for unit in UNITS {
        let text = fs::read_to_string(Path::new("deploy/systemd").join(unit))?;
        let at = format!("usr/lib/systemd/system/{unit}");
        put(root, &at, text.as_bytes(), 0o644)?;
    }
    for config in deb::CONFIGS {
        let name = Path::new(config).file_name().context("a file")?;
        put(root, config, &fs::read(Path::new("deploy/config").join(name))?, 0o640)?;
    }
    for document in DOCUMENTS {
        put(root, &format!("usr/share/doc/taskyard/{document}"), &fs::read(document)?, 0o644)?;
    }
    Ok(())
}

fn put(root: &Path, at: &str, content: &[u8], mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let file = root.join(at);
    fs::create_dir_all(file.parent().context("a file lies in a directory")?)?;
    fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(fs::set_permissions(&file, fs::Permissions::from_mode(mode))?)
}

fn tarball(root: &Path, out: &Path) -> Result<()> {
    let name = format!("taskyard-{}-{TARGET}.tar.gz", version());
    let file = out.join(name);
    let same = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"];
    must(command(
        "tar",
        &[&["--create", "--gzip"][..], &same, &["--file", path(&file)?, "--directory", path(root)?, "."]]
            .concat(),
    ))
}

/// Of every file that is for others, in the form that `sha256sum --check` reads.
fn checksums(out: &Path) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().into_string().ok().context("a name in UTF-8")?);
        }
    }
    names.sort();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut sums = command("sha256sum", &names);
    sums.current_dir(out);
    Ok(fs::write(out.join("SHA256SUMS"), output(sums)?)?)
}

/// Of the workspace, which all its packages share.
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
