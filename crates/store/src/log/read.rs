//! Reads records in order, across segments, while they are being written. An unfinished line is the end for now, not
//! an error; whether it is one for good is for the caller to say.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::segment::{Place, file_name};

/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

/// One record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    /// Its index.
    pub(crate) index: u64,
    /// Where it lies.
    pub(crate) place: Place,
    /// The record, without line feed.
    pub(crate) bytes: &'a [u8],
}

/// What [`Cursor::advance`] came to.
enum Step {
    Line,
    End,
}

/// A place between two records, from which one reads on.
pub(crate) struct Cursor {
    directory: PathBuf,
    file: Option<BufReader<File>>,
    index: u64,
    place: Place,
    line: Vec<u8>,
}

impl Cursor {
    /// Before the record `index`, which lies, or will lie, at `place`.
    pub(crate) fn new(directory: &Path, index: u64, place: Place) -> Self {
        Self { directory: directory.to_owned(), file: None, index, place, line: Vec::new() }
    }

    /// Before the first record of a segment.
    pub(crate) fn at_segment(directory: &Path, first: u64) -> Self {
        Self::new(directory, first, Place { segment: first, offset: 0 })
    }

    /// The index of the next record.
    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    /// Where the next record lies, or will lie.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The next record; none if there is no whole one yet.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        match self.advance()? {
            Step::End => Ok(None),
            Step::Line => {
                let place = self.place;
                let index = self.index;
                self.index += 1;
                self.place.offset += self.line.len() as u64 + 1;
                Ok(Some(Line { index, place, bytes: &self.line }))
            }
        }
    }

    fn advance(&mut self) -> io::Result<Step> {
        loop {
            if self.file.is_none() && !self.open()? {
                return Ok(Step::End);
            }
            // Twice, since what was read ahead may be older than what is there now.
            for _ in 0..2 {
                if let Step::Line = self.read_line()? {
                    return Ok(Step::Line);
                }
                self.rewind()?;
            }
            // If a segment begins with the next record, this one ended before it.
            let next = self.index;
            let moves = next != self.place.segment && self.directory.join(file_name(next)).exists();
            if !(moves && self.ends_here()?) {
                return Ok(Step::End);
            }
            self.place = Place { segment: next, offset: 0 };
            self.file = None;
        }
    }

    fn read_line(&mut self) -> io::Result<Step> {
        self.line.clear();
        if let Some(file) = &mut self.file
            // Reserved blocks read as NUL: not worth reading to their end.
            && file.fill_buf()?.first().is_some_and(|byte| *byte != 0)
        {
            file.read_until(b'\n', &mut self.line)?;
        }
        let whole = self.line.pop_if(|byte| *byte == b'\n').is_some() && !self.line.contains(&0);
        Ok(if whole { Step::Line } else { Step::End })
    }

    fn open(&mut self) -> io::Result<bool> {
        match File::open(self.directory.join(file_name(self.place.segment))) {
            Ok(mut file) => {
                file.seek(SeekFrom::Start(self.place.offset))?;
                self.file = Some(BufReader::with_capacity(BUFFER, file));
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn ends_here(&self) -> io::Result<bool> {
        let file = self.file.as_ref().map(|file| file.get_ref().metadata()).transpose()?;
        Ok(file.is_none_or(|metadata| metadata.len() == self.place.offset))
    }

    /// Drops what was read ahead. A writer's failed batch may have been in it, and another record lie there now.
    pub(crate) fn refresh(&mut self) -> io::Result<()> {
        self.rewind()
    }

    /// Back to the beginning of the next record.
    fn rewind(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(self.place.offset))?;
        }
        Ok(())
    }
}
