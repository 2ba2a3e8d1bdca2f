//! A disk for tests that loses what was not synced, and fails on request.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Disk, DiskFile, RealDisk};

const SECTOR: u64 = 512;

/// What goes wrong from now on.
#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) fail_write: bool,
    pub(crate) fail_sync: bool,
    pub(crate) no_space: bool,
    pub(crate) slow_sync: Option<std::time::Duration>,
    /// After a crash, nothing works.
    crashed: bool,
    syncs: u64,
}

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct LossyDisk {
    files: Arc<Mutex<HashMap<PathBuf, Arc<LossyFile>>>>,
    pub(crate) faults: Arc<Mutex<Faults>>,
}

struct LossyFile {
    real: File,
    unsynced: Mutex<Vec<(u64, Vec<u8>)>>,
    faults: Arc<Mutex<Faults>>,
}

impl LossyDisk {
    /// Whether something written is not durable.
    pub(crate) fn has_unsynced(&self) -> bool {
        self.files.lock().values().any(|file| !file.unsynced.lock().is_empty())
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.faults.lock().syncs
    }

    /// The power fails: of what was not synced, each sector is on the disk or is not, as `random` says.
    pub(crate) fn crash(&self, random: &mut Random) {
        self.faults.lock().crashed = true;
        for file in self.files.lock().values() {
            for (offset, bytes) in file.unsynced.lock().drain(..) {
                file.keep_some(offset, &bytes, random);
            }
        }
    }
}

impl LossyFile {
    fn keep_some(&self, offset: u64, bytes: &[u8], random: &mut Random) {
        // Often all or nothing of a write survives, and sometimes a mixture.
        let odds = [0, 50, 95, 100][random.below(4) as usize];
        let mut at = offset;
        while at < offset + bytes.len() as u64 {
            let end = ((at / SECTOR + 1) * SECTOR).min(offset + bytes.len() as u64);
            if random.below(100) < odds {
                let part = &bytes[(at - offset) as usize..(end - offset) as usize];
                self.real.write_at(part, at).expect("test file");
            }
            at = end;
        }
    }

    fn check(&self, fail: impl Fn(&Faults) -> bool) -> io::Result<()> {
        let faults = self.faults.lock();
        if faults.crashed || fail(&faults) { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

impl Disk for LossyDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock();
        if let Some(file) = files.get(path) {
            return Ok(Arc::clone(file) as Arc<dyn DiskFile>);
        }
        let real = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
        let file = Arc::new(LossyFile { real, unsynced: Mutex::default(), faults: Arc::clone(&self.faults) });
        files.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn create_zeroed(&self, path: &Path, len: u64) -> io::Result<()> {
        let faults = self.faults.lock();
        if faults.no_space || faults.crashed {
            return Err(io::Error::from_raw_os_error(28));
        }
        drop(faults);
        RealDisk.create_zeroed(path, len)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
}

impl DiskFile for LossyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check(|faults| faults.fail_write)?;
        self.unsynced.lock().push((offset, bytes.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let slow = self.faults.lock().slow_sync;
        slow.inspect(|slow| std::thread::sleep(*slow));
        let mut unsynced = self.unsynced.lock();
        self.check(|faults| faults.fail_sync)?;
        self.faults.lock().syncs += 1;
        unsynced.drain(..).try_for_each(|(offset, bytes)| self.real.write_at(&bytes, offset))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.real.read_at(bytes, offset)?;
        for (at, written) in self.unsynced.lock().iter() {
            for (n, byte) in written.iter().enumerate() {
                let place = at + n as u64;
                if place >= offset && place < offset + bytes.len() as u64 {
                    bytes[(place - offset) as usize] = *byte;
                }
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.real.len()
    }
}

/// A small generator: tests need variety that a seed reproduces, not quality.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}
