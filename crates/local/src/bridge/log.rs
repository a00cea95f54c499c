//! The log of a server: what its processes wrote to standard error, and what befell them, a line each with its time.
//! It is bounded: a full file becomes the older one, and the older one is gone. Bytes that could steer a terminal are
//! written as escapes.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use tokio::sync::mpsc;

/// Bytes of one file.
const MOST: u64 = 10 * 1024 * 1024;
/// Bytes of one line; the rest becomes further lines.
pub(crate) const LONGEST_LINE: usize = 16 * 1024;

/// Name of the newer file in a server's directory.
pub(crate) const FILE: &str = "stderr.log";

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The server's standard error.
    Server,
    /// Its standard output: a line that was no message.
    Noise,
    /// The bridge.
    Bridge,
}

#[derive(Debug)]
struct Entry {
    time: jiff::Timestamp,
    process: u32,
    source: Source,
    text: Vec<u8>,
}

/// Where lines are put.
#[derive(Debug, Clone)]
pub(crate) struct Log(mpsc::Sender<Entry>);

impl Log {
    /// Waits while the disk does not keep up, so that a server that writes more than that waits too.
    pub(crate) async fn write(&self, process: u32, source: Source, text: impl Into<Vec<u8>> + Send) {
        let entry = Entry { time: jiff::Timestamp::now(), process, source, text: text.into() };
        // A log that is closed is closed because everything ends.
        let _ = self.0.send(entry).await;
    }
}

/// The file behind a [`Log`].
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    most: u64,
    file: File,
    size: u64,
    entries: mpsc::Receiver<Entry>,
}

/// Opens the log in `directory`.
pub(crate) fn open(directory: &Path) -> io::Result<(Log, Writer)> {
    open_bounded(directory, MOST)
}

fn open_bounded(directory: &Path, most: u64) -> io::Result<(Log, Writer)> {
    let path = directory.join(FILE);
    let (file, size) = append_to(&path)?;
    let (sender, entries) = mpsc::channel(1024);
    Ok((Log(sender), Writer { path, most, file, size, entries }))
}

fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

impl Writer {
    /// Writes until every [`Log`] is gone. Blocks: it belongs on a thread for that.
    pub(crate) fn run(mut self) {
        let mut failing = false;
        while let Some(entry) = self.entries.blocking_recv() {
            match (self.append(&entry), failing) {
                (Ok(()), _) => failing = false,
                (Err(_), true) => {}
                (Err(error), false) => {
                    failing = true;
                    tracing::warn!(path = %self.path.display(), %error, "the server's log can't be written");
                }
            }
        }
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let line = line(entry);
        let size = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.size > 0 && self.size.saturating_add(size) > self.most {
            let mut older = self.path.clone().into_os_string();
            older.push(".1");
            fs::rename(&self.path, older)?;
            (self.file, self.size) = append_to(&self.path)?;
        }
        self.file.write_all(&line)?;
        self.size += size;
        Ok(())
    }
}

fn line(entry: &Entry) -> Vec<u8> {
    let source = match entry.source {
        Source::Server => "",
        Source::Noise => "stdout: ",
        Source::Bridge => "bridge: ",
    };
    let mut line = format!("{:.3} [{}] {source}", entry.time, entry.process);
    for piece in entry.text.utf8_chunks() {
        for character in piece.valid().chars() {
            if character.is_control() && character != '\t' {
                line.extend(character.escape_default());
            } else {
                line.push(character);
            }
        }
        for byte in piece.invalid() {
            line.push_str(&format!("\\x{byte:02x}"));
        }
    }
    line.push('\n');
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: Source, text: &[u8], expected: &str) {
        let time = "2026-11-22T10:11:12.345678Z".parse().unwrap();
        let written = line(&Entry { time, process: 42, source, text: text.to_vec() });
        assert_eq!(
            String::from_utf8(written).unwrap(),
            format!("2026-11-22T10:11:12.345Z [42] {expected}\n")
        );
    }

    #[test]
    fn a_line_can_only_be_one_line_and_steers_no_terminal() {
        check(Source::Server, b"hello\tworld", "hello\tworld");
        check(Source::Noise, "h\u{e9}llo".as_bytes(), "stdout: h\u{e9}llo");
        check(Source::Bridge, b"", "bridge: ");
        check(Source::Server, b"a\r\nb", "a\\r\\nb");
        check(Source::Server, b"\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}");
        check(Source::Server, b"\xff\xfe!", "\\xff\\xfe!");
        check(Source::Server, "\u{9b}31m".as_bytes(), "\\u{9b}31m");
    }

    #[tokio::test]
    async fn a_full_file_becomes_the_older_one() {
        let directory = tempfile::tempdir().unwrap();
        let (log, writer) = open_bounded(directory.path(), 200).unwrap();
        let thread = std::thread::spawn(|| writer.run());
        for number in 0..20 {
            log.write(number, Source::Server, format!("line {number}")).await;
        }
        drop(log);
        thread.join().unwrap();
        let newer = fs::read_to_string(directory.path().join(FILE)).unwrap();
        let older = fs::read_to_string(directory.path().join("stderr.log.1")).unwrap();
        assert!(newer.len() <= 200 && older.len() <= 200, "{} and {}", newer.len(), older.len());
        assert!(newer.ends_with("line 19\n"), "{newer}");
        let last =
            |text: &str| text.lines().last().unwrap().rsplit(' ').next().unwrap().parse::<u32>().unwrap();
        let first = newer.lines().next().unwrap().rsplit(' ').next().unwrap().parse::<u32>().unwrap();
        assert_eq!(last(&older) + 1, first, "nothing is lost between the two");
    }
}
