//! The few things that the writer asks of a file system, behind a trait so that tests can make each of them fail.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

/// What is written ahead.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A segment that is open for writing.
pub(crate) trait SegmentFile: Send {
    /// Writes all of it at this place.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&mut self, length: u64) -> io::Result<()>;
    /// Which file it is.
    fn identity(&self) -> io::Result<Identity>;
    /// Extends the file by written zeros, so that syncing what then overwrites them changes no block of the file system
    /// and waits for no journal.
    fn reserve(&mut self, offset: u64, length: u64) -> io::Result<()>;
}

/// A file system that holds segments.
pub(crate) trait Disk: Send {
    /// A new segment, durable in its directory. An empty file that is there already is taken.
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;
    /// An existing segment.
    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;
    /// Removes a segment that holds no record.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// What tells a file from another of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    number: u64,
}

/// What a reader finds at this path: which file, and how long it is.
pub(crate) fn found(path: &Path) -> io::Result<(Identity, u64)> {
    let metadata = std::fs::metadata(path)?;
    Ok((Identity { device: metadata.dev(), number: metadata.ino() }, metadata.len()))
}

/// The operating system's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
        if file.metadata()?.len() != 0 {
            return Err(ErrorKind::AlreadyExists.into());
        }
        sync_directory(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

impl SegmentFile for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }

    fn identity(&self) -> io::Result<Identity> {
        let metadata = self.metadata()?;
        Ok(Identity { device: metadata.dev(), number: metadata.ino() })
    }

    fn reserve(&mut self, offset: u64, length: u64) -> io::Result<()> {
        let (mut at, end) = (offset, offset.saturating_add(length));
        while at < end {
            let piece = ZEROS.get(..usize::try_from(end - at).unwrap_or(usize::MAX)).unwrap_or(&ZEROS);
            self.write_all_at(piece, at)?;
            at += piece.len() as u64;
        }
        Ok(())
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Replaces a file, so that a reader, or a restart after a crash, finds the old or the new one whole. Which of them a
/// restart finds is only certain after [`sync_directory`].
pub(crate) fn replace(directory: &Path, name: &str, contents: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!("{name}.new"));
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(contents)?;
    file.sync_data()?;
    std::fs::rename(&temporary, directory.join(name))
}

/// Makes a directory and those above it, for the owner only. One that is there is left as it is.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
