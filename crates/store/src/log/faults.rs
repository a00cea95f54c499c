//! A disk that fails as it is told: the second implementation of [`Disk`], for tests. Data goes to real files, so that
//! what a reader or a restart finds is what a failing disk leaves.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::disk::{Disk, Identity, RealDisk, SegmentFile};

/// Error numbers of Linux.
pub(crate) const ENOSPC: i32 = 28;
pub(crate) const EIO: i32 = 5;
pub(crate) const EROFS: i32 = 30;
pub(crate) const EMFILE: i32 = 24;

/// What fails now.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Writes fail after this many of their bytes.
    pub(crate) write: Option<(usize, i32)>,
    pub(crate) sync: Option<i32>,
    pub(crate) set_len: Option<i32>,
    pub(crate) create: Option<i32>,
    pub(crate) reserve: Option<i32>,
    /// How long a sync takes.
    pub(crate) hang: Duration,
    /// Only the next so many failures happen.
    pub(crate) times: Option<u32>,
    /// Syncs that succeeded.
    pub(crate) syncs: u64,
}

#[derive(Clone, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<Faults>>);

impl FaultyDisk {
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.0.lock().unwrap()
    }

    fn fail(&self, which: impl Fn(&Faults) -> Option<i32>) -> io::Result<()> {
        let mut faults = self.faults();
        let Some(errno) = which(&faults) else { return Ok(()) };
        match &mut faults.times {
            Some(0) => return Ok(()),
            Some(times) => *times -= 1,
            None => {}
        }
        Err(io::Error::from_raw_os_error(errno))
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        self.fail(|faults| faults.create)?;
        Ok(Box::new(FaultyFile { disk: self.clone(), file: RealDisk.create(path)? }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(FaultyFile { disk: self.clone(), file: RealDisk.open(path)? }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    file: Box<dyn SegmentFile>,
}

impl SegmentFile for FaultyFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.disk.fail(|faults| faults.write.map(|(_, errno)| errno)) {
            let written = self.disk.faults().write.map_or(0, |(written, _)| written.min(bytes.len()));
            self.file.write_at(&bytes[..written], offset)?;
            return Err(error);
        }
        self.file.write_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        let hang = self.disk.faults().hang;
        std::thread::sleep(hang);
        self.disk.fail(|faults| faults.sync)?;
        self.file.sync()?;
        self.disk.faults().syncs += 1;
        Ok(())
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        self.disk.fail(|faults| faults.set_len)?;
        self.file.set_len(length)
    }

    fn identity(&self) -> io::Result<Identity> {
        self.file.identity()
    }

    fn reserve(&mut self, offset: u64, length: u64) -> io::Result<()> {
        self.disk.fail(|faults| faults.reserve)?;
        self.file.reserve(offset, length)
    }
}
