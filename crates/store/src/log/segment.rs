//! The segments of one writer: files named after the first record in them, of which the last is written. What must
//! hold: nothing after the durable length is ever counted as written, a file whose sync failed is never written again,
//! since the kernel may have dropped what it could not write, and what was written to a file that is not in its place any
//! more does not count.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::disk::{self, Disk, Identity, SegmentFile};

/// Bytes by which a segment is extended ahead of what is written.
const RESERVE: u64 = 512 << 10;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) struct Place {
    /// The segment, by its first record.
    pub(crate) segment: u64,
    /// Bytes before the record.
    pub(crate) offset: u64,
}

/// The file name of the segment that begins with this record.
pub(crate) fn file_name(first: u64) -> String {
    format!("segment-{first:020}.jsonl")
}

/// The first records of the segments in a directory, ascending. Other files are passed over.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let first = name
            .to_str()
            .and_then(|name| name.strip_prefix("segment-")?.strip_suffix(".jsonl"))
            .and_then(|digits| digits.parse().ok())
            .filter(|first| Some(file_name(*first).as_str()) == name.to_str());
        found.extend(first);
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether a record may begin at this place: at the beginning of a segment or after a line feed.
pub(crate) fn begins_record(directory: &Path, place: Place) -> io::Result<bool> {
    let file = match File::open(directory.join(file_name(place.segment))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let mut before = [0];
    match place.offset.checked_sub(1) {
        None => Ok(true),
        Some(offset) => Ok(file.read_at(&mut before, offset)? == 1 && before == *b"\n"),
    }
}

/// What must be done before the current segment can be written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mend {
    /// Nothing.
    Sound,
    /// A write failed: cut off what it left.
    Cut,
    /// A sync failed: cut, sync, and begin another file.
    Replace,
    /// Somebody cut the file: durable records are gone, and what is written behind the gap is no log.
    Lost,
}

/// The writer's hold on its segments.
pub(crate) struct Segments {
    directory: PathBuf,
    disk: Box<dyn Disk>,
    limit: u64,
    file: Box<dyn SegmentFile>,
    path: PathBuf,
    identity: Identity,
    first: u64,
    durable: u64,
    /// What may be there and is cut off in the end.
    reserved: u64,
    /// What is there, as far as is known.
    extent: u64,
    mend: Mend,
}

impl Segments {
    /// Goes on after `durable` bytes of the segment that begins with record `first`; the file is cut there.
    pub(crate) fn open(
        directory: &Path,
        disk: Box<dyn Disk>,
        limit: u64,
        first: u64,
        durable: u64,
    ) -> io::Result<Self> {
        let path = directory.join(file_name(first));
        let mut file = if path.exists() { disk.open(&path)? } else { disk.create(&path)? };
        file.set_len(durable)?;
        file.sync()?;
        Ok(Self {
            directory: directory.to_owned(),
            disk,
            limit,
            identity: file.identity()?,
            path,
            file,
            first,
            durable,
            reserved: durable,
            extent: durable,
            mend: Mend::Sound,
        })
    }

    /// Writes whole lines, the first of which is record `next`, and makes them durable: all of them or, by what this
    /// returns, none. Returns where they begin.
    pub(crate) fn commit(&mut self, lines: &[u8], next: u64) -> io::Result<Place> {
        self.mend(next)?;
        if self.durable >= self.limit || self.durable + lines.len() as u64 > self.extent {
            // What makes the file longer, or begins another, hides that some of it was cut off.
            self.in_place(self.extent.max(self.durable))?;
        }
        if self.durable >= self.limit {
            self.rotate(next)?;
        }
        self.reserve(lines.len() as u64);
        if let Err(error) = self.file.write_at(lines, self.durable) {
            return Err(self.failed(Mend::Cut, next, error));
        }
        if let Err(error) = self.file.sync() {
            return Err(self.failed(Mend::Replace, next, error));
        }
        let end = self.durable + lines.len() as u64;
        if let Err(error) = self.in_place(end.max(self.extent)) {
            return Err(self.failed(Mend::Cut, next, error));
        }
        let place = Place { segment: self.first, offset: self.durable };
        self.durable = end;
        Ok(place)
    }

    /// An error unless the file is where readers look for it, and as long as it was made. One that was moved away,
    /// removed or replaced still takes what is written, and nobody will ever find it.
    fn in_place(&mut self, length: u64) -> io::Result<()> {
        let (identity, found) = disk::found(&self.path)?;
        if identity != self.identity {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another file is in the place of the log's"));
        }
        if found < length {
            self.mend = Mend::Lost;
        }
        self.lost()
    }

    fn lost(&self) -> io::Result<()> {
        match self.mend {
            Mend::Sound | Mend::Cut | Mend::Replace => Ok(()),
            Mend::Lost => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "records were cut off the log's file"))
            }
        }
    }

    /// Mends at once, so that readers and a crash find as little of the failed write as possible.
    fn failed(&mut self, mend: Mend, next: u64, error: io::Error) -> io::Error {
        if self.mend != Mend::Lost {
            self.mend = mend;
        }
        if let Err(again) = self.mend(next) {
            tracing::warn!(error = %again, "cannot mend the audit log yet");
        }
        error
    }

    fn mend(&mut self, next: u64) -> io::Result<()> {
        match self.mend {
            Mend::Sound => {}
            Mend::Lost => return self.lost(),
            Mend::Cut => self.cut()?,
            Mend::Replace => {
                self.cut()?;
                self.file.sync()?;
                if self.first == next {
                    self.disk.remove(&self.directory.join(file_name(self.first)))?;
                }
                self.begin(next)?;
            }
        }
        self.mend = Mend::Sound;
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.durable)?;
        (self.reserved, self.extent) = (self.durable, self.durable);
        Ok(())
    }

    /// Begins the next segment. Where there can be none, the old one goes on: it still takes records.
    fn rotate(&mut self, next: u64) -> io::Result<()> {
        let begun = self.seal().and_then(|()| self.begin(next));
        if let Err(error) = begun {
            tracing::warn!(%error, "cannot begin a new segment of the audit log");
            if self.directory.join(file_name(next)).exists() {
                // Its name promises that it begins with this record, so the old one must not take it any more.
                self.mend = Mend::Replace;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Gives back what was reserved, so that the file ends with its last record.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        // To give the file back its length would hide what is gone.
        self.lost()?;
        if self.reserved > self.durable {
            self.cut()?;
            self.file.sync()?;
        }
        Ok(())
    }

    fn begin(&mut self, next: u64) -> io::Result<()> {
        let path = self.directory.join(file_name(next));
        let file = self.disk.create(&path)?;
        (self.identity, self.path, self.file) = (file.identity()?, path, file);
        (self.first, self.durable, self.reserved, self.extent) = (next, 0, 0, 0);
        Ok(())
    }

    /// A help, not a need: where it fails, writing extends the file.
    fn reserve(&mut self, length: u64) {
        let end = self.durable + length;
        if end <= self.reserved {
            return;
        }
        let step = RESERVE.min(self.limit).max(1);
        let target = end.next_multiple_of(step);
        let from = self.reserved.max(self.durable);
        match self.file.reserve(from, target - from) {
            Ok(()) => (self.reserved, self.extent) = (target, target),
            // What a failure left is cut off with the rest.
            Err(_) => self.reserved = target,
        }
    }
}
