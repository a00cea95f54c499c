//! Lines of a byte stream, with a bound on their length. A line ends with LF; a CR before it is white space to whoever
//! reads the line.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A whole line, without its LF. The last one may have had none.
    Whole(Bytes),
    /// More bytes than allowed without LF. The rest of the line follows as if it were a line.
    TooLong(Bytes),
}

/// Reads lines of at most `most` bytes.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    source: R,
    most: usize,
    buffer: BytesMut,
    /// Bytes of the buffer that hold no LF.
    searched: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(source: R, most: usize) -> Self {
        Self { source, most, buffer: BytesMut::new(), searched: 0 }
    }

    /// The next line; none at the end. Safe to drop while it waits: nothing that was read is lost.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        const READ: usize = 64 * 1024;
        loop {
            let fresh = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', fresh) {
                let mut line = self.buffer.split_to(self.searched + at + 1);
                line.truncate(line.len() - 1);
                self.searched = 0;
                return Ok(Some(Line::Whole(line.freeze())));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > self.most {
                self.searched = 0;
                return Ok(Some(Line::TooLong(self.buffer.split().freeze())));
            }
            self.buffer.reserve(READ);
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                self.searched = 0;
                let rest = self.buffer.split().freeze();
                return Ok((!rest.is_empty()).then_some(Line::Whole(rest)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(input: &[u8], expected: &[&str]) {
        let mut lines = Lines::new(input, 8);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(match line {
                Line::Whole(line) => String::from_utf8(line.to_vec()).unwrap(),
                Line::TooLong(line) => format!("{}!", line.len() > 8),
            });
        }
        assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(input));
    }

    #[tokio::test]
    async fn lines_end_with_a_line_feed_only() {
        check(b"", &[]).await;
        check(b"\n", &[""]).await;
        check(b"a\nb\n", &["a", "b"]).await;
        check(b"a\r\nb\rc\n", &["a\r", "b\rc"]).await;
        check(b"a\nno end", &["a", "no end"]).await;
        check(b"12345678\n", &["12345678"]).await;
        check(b"123456789abc", &["true!"]).await;
    }

    #[tokio::test]
    async fn many_lines_in_one_read_are_all_found() {
        let text: Vec<u8> = (0..5000).flat_map(|n| format!("{}\n", n % 97).into_bytes()).collect();
        let mut lines = Lines::new(text.as_slice(), 8);
        let mut count = 0;
        while let Some(line) = lines.next().await.unwrap() {
            assert_eq!(line, Line::Whole((count % 97).to_string().into()));
            count += 1;
        }
        assert_eq!(count, 5000);
    }
}
