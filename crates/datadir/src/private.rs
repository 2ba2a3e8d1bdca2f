//! Directories and files that only their owner can open.

use crate::DirError;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// All that the owner's group and others could do.
const OTHERS: u32 = 0o077;
/// A directory in which everybody may make files, such as /tmp.
const STICKY: u32 = 0o1000;
/// What a new file system has in its root.
const LOST_AND_FOUND: &str = "lost+found";

/// What was open to others and no longer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tightened {
    /// The first of them.
    pub first: PathBuf,
    /// Its mode before.
    pub mode: u32,
    /// How many directories and files.
    pub count: usize,
}

/// Makes the directory if need be, and closes it and what it holds to others. `ours` are names that show that it is a
/// data directory: without one a directory that is open to others and not empty is refused, because its mode may
/// matter to somebody else. What is below directories named `but` is left alone: no one gets there any more, and
/// there may be very much of it.
pub fn claim(dir: &Path, ours: &[&str], but: &[&str]) -> Result<Option<Tightened>, DirError> {
    make_dir(dir).map_err(DirError::io("make the directory", dir))?;
    let about = dir.metadata().map_err(DirError::io("look at", dir))?;
    let is_ours = ours.iter().any(|name| dir.join(name).symlink_metadata().is_ok());
    if is_open(&about)
        && let Some(why) = reason_to_leave(dir, &about, is_ours)?
    {
        return Err(DirError::Shared {
            path: dir.to_owned(),
            mode: about.permissions().mode() & 0o7777,
            why,
        });
    }
    let mut tightened = None;
    close(dir, &about, &mut tightened)?;
    if is_ours {
        close_below(dir, but, &mut tightened)?;
    }
    Ok(tightened)
}

fn reason_to_leave(dir: &Path, about: &Metadata, is_ours: bool) -> Result<Option<String>, DirError> {
    let is_shared = about.permissions().mode() & STICKY != 0;
    if is_ours && !is_shared {
        return Ok(None);
    }
    for entry in std::fs::read_dir(dir).map_err(DirError::io("read the directory", dir))? {
        let name = entry.map_err(DirError::io("read the directory", dir))?.file_name();
        if name == LOST_AND_FOUND {
            continue;
        }
        return Ok(Some(match is_shared {
            true => "is shared on purpose".to_owned(),
            false => format!("holds {}, which does not belong in a data directory", name.display()),
        }));
    }
    // Also one that is shared: so is the root of a new tmpfs.
    Ok(None)
}

fn close_below(dir: &Path, but: &[&str], tightened: &mut Option<Tightened>) -> Result<(), DirError> {
    for entry in std::fs::read_dir(dir).map_err(DirError::io("read the directory", dir))? {
        let path = entry.map_err(DirError::io("read the directory", dir))?.path();
        let about = match path.symlink_metadata() {
            // Drafts go while we look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(DirError::io("look at", &path))?,
        };
        // A link has no mode of its own, and what it leads to is not in the directory.
        if about.is_dir() || about.is_file() {
            close(&path, &about, tightened)?;
        }
        if about.is_dir() && !but.iter().any(|name| path.ends_with(name)) {
            close_below(&path, but, tightened)?;
        }
    }
    Ok(())
}

fn is_open(about: &Metadata) -> bool {
    about.permissions().mode() & OTHERS != 0
}

fn close(path: &Path, about: &Metadata, tightened: &mut Option<Tightened>) -> Result<(), DirError> {
    if !is_open(about) {
        return Ok(());
    }
    let mode = about.permissions().mode() & 0o7777;
    std::fs::set_permissions(path, Permissions::from_mode(mode & DIR_MODE))
        .map_err(DirError::io("remove the permissions of others from", path))?;
    tightened.get_or_insert_with(|| Tightened { first: path.to_owned(), mode, count: 0 }).count += 1;
    Ok(())
}

/// Makes a directory, with those above it that are missing, for the owner alone.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)?;
    // The umask may have taken more away than others' permissions.
    std::fs::set_permissions(dir, Permissions::from_mode(DIR_MODE))
}

/// Opens a file as `options` say; one that is made is for the owner alone.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.mode(FILE_MODE).open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o777 != FILE_MODE {
        file.set_permissions(Permissions::from_mode(mode & DIR_MODE | FILE_MODE))?;
    }
    Ok(file)
}

/// A new or emptied file to write to, for the owner alone.
pub fn create(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().write(true).create(true).truncate(true))
}

/// Puts a file in the place of what had its name, whole or not at all. Durable on return.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let draft = path.with_file_name(name);
    let mut file = create(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("it is there").permissions().mode() & 0o777
    }

    fn loosen(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
    }

    #[test]
    fn what_is_made_is_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("a/b");
        assert_eq!(claim(&data, &["LOCK"], &[]).expect("made"), None);
        create(&data.join("new")).expect("made");
        replace(&data.join("replaced"), b"x").expect("written");
        open(&data.join("added"), OpenOptions::new().append(true).create(true)).expect("made");
        assert_eq!([mode(&dir.path().join("a")), mode(&data)], [0o700; 2]);
        assert_eq!(["new", "replaced", "added"].map(|name| mode(&data.join(name))), [0o600; 3]);
        loosen(&data.join("new"), 0o666);
        create(&data.join("new")).expect("made");
        assert_eq!(mode(&data.join("new")), 0o600, "one that was there too");
    }

    #[test]
    fn what_is_open_to_others_is_closed_once_but_for_what_nobody_reaches() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("data");
        std::fs::create_dir_all(data.join("wal")).expect("made");
        std::fs::create_dir_all(data.join("jobs/1")).expect("made");
        for (name, open) in [("LOCK", 0o644), ("wal/1", 0o640), ("run.sh", 0o755), ("jobs/1/out", 0o644)] {
            std::fs::write(data.join(name), "x").expect("written");
            loosen(&data.join(name), open);
        }
        for name in ["", "wal", "jobs", "jobs/1"] {
            loosen(&data.join(name), 0o755);
        }
        std::os::unix::fs::symlink(dir.path(), data.join("link")).expect("made");
        loosen(dir.path(), 0o755);
        let told = claim(&data, &["LOCK"], &["jobs"]).expect("ours").expect("it was open");
        assert_eq!((told.first, told.mode, told.count), (data.clone(), 0o755, 6));
        let modes = ["", "wal", "jobs", "jobs/1", "LOCK", "wal/1", "run.sh", "jobs/1/out", "link"];
        assert_eq!(
            modes.map(|name| mode(&data.join(name))),
            [0o700, 0o700, 0o700, 0o755, 0o600, 0o600, 0o700, 0o644, 0o755]
        );
        assert_eq!(claim(&data, &["LOCK"], &["jobs"]).expect("ours"), None, "told once");
    }

    #[test]
    fn a_directory_of_others_is_left_as_it_is() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("thesis.tex"), "x").expect("written");
        loosen(dir.path(), 0o755);
        let refused = claim(dir.path(), &["LOCK"], &[]).expect_err("not ours").to_string();
        assert!(refused.contains("mode 0755") && refused.contains("holds thesis.tex"), "{refused}");
        assert_eq!(mode(dir.path()), 0o755);
        loosen(dir.path(), 0o700);
        assert_eq!(claim(dir.path(), &["LOCK"], &[]).expect("no other user gets there"), None);
        let shared = dir.path().join("tmp");
        std::fs::create_dir(&shared).expect("made");
        std::fs::write(shared.join("LOCK"), "").expect("written");
        loosen(&shared, 0o1777);
        let refused = claim(&shared, &["LOCK"], &[]).expect_err("shared").to_string();
        assert!(refused.contains("is shared on purpose"), "{refused}");
        for (name, open) in [("mount", 0o755), ("tmpfs", 0o1777)] {
            let empty = dir.path().join(name);
            std::fs::create_dir_all(empty.join(LOST_AND_FOUND)).expect("made");
            loosen(&empty, open);
            assert_eq!(claim(&empty, &["LOCK"], &[]).expect("as good as empty").expect("open").count, 1);
            assert_eq!(mode(&empty), 0o700);
        }
    }
}
