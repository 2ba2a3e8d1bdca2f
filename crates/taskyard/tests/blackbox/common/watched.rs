//! Servers whose disks are recorded, so that power can fail for one of several, also right after a chosen change of
//! its disk.

use super::daemon::ServerOptions;
use super::disk::{Cut, Damage, Disk, Step};
use std::fs;
use std::path::{Path, PathBuf};

/// Where a server is to die: after the `nth` step (from 1) of a kind about a path with `part` in it, and `more`
/// further steps of any kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) part: &'static str,
    /// 0 for any.
    pub(crate) kind: u32,
    pub(crate) nth: u64,
    pub(crate) more: u64,
}

/// The disk of a server.
pub(crate) struct Watched {
    data: PathBuf,
    records: PathBuf,
    point: PathBuf,
    disk: Disk,
}

impl Watched {
    /// Of a server in `dir`, which has not been started.
    pub(crate) fn new(dir: &Path) -> Watched {
        let [data, records, point] = ["data", "records", "point"].map(|name| dir.join(name));
        fs::create_dir_all(&data).unwrap();
        Watched { disk: Disk::of(&data), data, records, point }
    }

    pub(crate) fn options(&self, options: ServerOptions, shim: &Path) -> ServerOptions {
        options
            .env("LD_PRELOAD", shim)
            .env("POWERCUT_DIR", &self.data)
            .env("POWERCUT_LOG", &self.records)
            .env("POWERCUT_CRASH_POINT", &self.point)
            .env("POWERCUT_SYNC_US", "1000")
    }

    /// Its server dies at this point, counted from now.
    pub(crate) fn arm(&self, point: &Point) {
        let Point { part, kind, nth, more } = point;
        let draft = self.point.with_extension("new");
        fs::write(&draft, format!("{part} {kind} {nth} {more}")).unwrap();
        fs::rename(draft, &self.point).unwrap();
    }

    /// While its server is dead.
    pub(crate) fn cut(&mut self, cut: Cut<'_>) -> Damage {
        self.cut_after(cut).0
    }

    /// The same, with all steps since the server was started.
    pub(crate) fn cut_after(&mut self, cut: Cut<'_>) -> (Damage, Vec<Step>) {
        let mut disk = std::mem::replace(&mut self.disk, Disk::of(&self.data));
        disk.follow(&self.records);
        let steps = disk.steps().to_vec();
        let damage = disk.cut(cut);
        fs::remove_file(&self.records).unwrap();
        // A server that died before the point was looked at is not to die there when it starts.
        let _ = fs::remove_file(&self.point);
        self.disk = Disk::of(&self.data);
        (damage, steps)
    }
}
