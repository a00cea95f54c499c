//! A bound on HTTP/2 frames that ask for nothing. A client may send pings, priorities, settings, windows and resets as
//! often as it likes, each costs it nine bytes and us a wake-up or more, and the HTTP library counts only some of them
//! (CVE-2019-9511, -9512, -9513, -9515 and what came after). Here each takes one from an allowance of the connection,
//! which grows with time and with what the client was sent: who takes an answer in small pieces must say so often.

use std::time::Duration;

use tokio::time::Instant;

/// What a connection begins with, and the most that it can save up.
const MOST: u32 = 1000;
/// There is one more after each such time.
const EACH: Duration = Duration::from_millis(10);
/// There is one more for so many bytes sent. An answer to a ping has 17 bytes and a piece of one byte has ten, so that
/// neither pays for the frame that asked for it; a client that opens its windows for each event pays with the event.
const BYTES_SENT: u32 = 32;

/// A frame's head: a length of three bytes, the kind, flags, and a stream of four bytes (RFC 9113 section 4.1).
const HEAD: usize = 9;

/// The place in what a client sends after the preface, and what it may still send.
#[derive(Debug)]
pub(crate) struct Frames {
    head: [u8; HEAD],
    /// Bytes of the head that are there.
    filled: usize,
    /// Bytes of the payload that are to come.
    payload: usize,
    allowance: u32,
    grown: Instant,
    /// Bytes sent that were not paid for yet.
    sent: u32,
}

/// More frames came than the connection had an allowance for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many HTTP/2 frames that ask for nothing")]
pub(crate) struct TooMany;

impl Frames {
    pub(crate) fn new() -> Self {
        Self { head: [0; HEAD], filled: 0, payload: 0, allowance: MOST, grown: Instant::now(), sent: 0 }
    }

    /// Takes note of bytes that came, all of them, whether or not they are too many.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) -> Result<(), TooMany> {
        let mut allowed = true;
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let missing = self.head.get_mut(self.filled..).unwrap_or_default();
            let taken = missing.len().min(bytes.len());
            let (head, rest) = bytes.split_at(taken);
            missing.iter_mut().zip(head).for_each(|(place, byte)| *place = *byte);
            self.filled += taken;
            bytes = rest;
            if self.filled == HEAD {
                self.filled = 0;
                allowed &= self.begin();
            }
        }
        if allowed { Ok(()) } else { Err(TooMany) }
    }

    /// Takes note of bytes that were sent.
    pub(crate) fn wrote(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        self.add(self.sent / BYTES_SENT);
        self.sent %= BYTES_SENT;
    }

    /// A frame begins. Whether there is an allowance for it.
    fn begin(&mut self) -> bool {
        let [a, b, c, kind, ..] = self.head;
        self.payload = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        if asks(kind) {
            return true;
        }
        self.grow();
        let left = self.allowance.checked_sub(1);
        self.allowance = left.unwrap_or(0);
        left.is_some()
    }

    fn grow(&mut self) {
        let passed = self.grown.elapsed();
        let more = passed.as_nanos() / EACH.as_nanos();
        if more > 0 {
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            self.grown += EACH.saturating_mul(more);
            self.add(more);
        }
    }

    fn add(&mut self, more: u32) {
        self.allowance = self.allowance.saturating_add(more).min(MOST);
    }
}

/// Whether a frame is part of a request. The library has bounds of its own on these: streams open at once, the size of a
/// head and its pieces, data without data.
fn asks(kind: u8) -> bool {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const CONTINUATION: u8 = 9;
    matches!(kind, DATA | HEADERS | CONTINUATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = vec![a, b, c, kind, 0, 0, 0, 0, 0];
        frame.resize(HEAD + payload, PING);
        frame
    }

    /// How many frames of a kind come through, of so many.
    fn let_through(frames: &mut Frames, kind: u8, count: u32) -> u32 {
        (0..count).take_while(|_| frames.read(&frame(kind, 8)).is_ok()).count().try_into().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_ask_for_nothing_are_bounded_and_others_are_not() {
        for kind in [2, 3, 4, 5, PING, 7, WINDOW_UPDATE, 10, 255] {
            let mut frames = Frames::new();
            assert_eq!(let_through(&mut frames, kind, 2 * MOST), MOST, "kind {kind}");
            assert_eq!(frames.read(&frame(kind, 0)), Err(TooMany));
        }
        for kind in [0, 1, 9] {
            assert_eq!(let_through(&mut Frames::new(), kind, 100 * MOST), 100 * MOST, "kind {kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_allowance_grows_with_time_up_to_a_bound() {
        let mut frames = Frames::new();
        assert_eq!(let_through(&mut frames, PING, MOST), MOST);
        // Bit by bit, so that nothing is lost to rounding.
        for (step, expected) in [(1, 100), (7, 100), (19, 100), (250, 100)] {
            for _ in 0..1000_u64.div_ceil(step) {
                tokio::time::advance(Duration::from_millis(step)).await;
                frames.grow();
            }
            let seen = let_through(&mut frames, PING, MOST);
            assert!((expected..expected + 3).contains(&seen), "{seen} in a second of {step} ms each");
        }
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(let_through(&mut frames, PING, 2 * MOST), MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_client_is_sent_lets_it_open_its_windows() {
        let mut frames = Frames::new();
        // Answers of which each 16 KiB are acknowledged four times, for the stream and for the connection.
        for _ in 0..MOST {
            frames.wrote(16 * 1024 + HEAD);
            assert_eq!(let_through(&mut frames, WINDOW_UPDATE, 8), 8);
        }
        // Pieces of one byte for windows of one byte, and answers to pings.
        for sent in [HEAD + 1, HEAD + 8] {
            let mut frames = Frames::new();
            let let_through = (0..10 * MOST).take_while(|_| {
                frames.wrote(sent);
                let_through(&mut frames, PING, 1) == 1
            });
            assert!(let_through.count() < 3 * MOST as usize);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn frames_are_found_however_the_bytes_are_cut() {
        let mut all = Vec::new();
        for number in 0..100 {
            all.extend(frame(if number % 2 == 0 { 0 } else { PING }, number * 7));
        }
        for size in [1, 2, 8, 9, 10, 64, all.len()] {
            let mut frames = Frames::new();
            for piece in all.chunks(size) {
                assert_eq!(frames.read(piece), Ok(()));
            }
            assert_eq!(frames.allowance, MOST - 50, "in pieces of {size}");
            assert_eq!((frames.filled, frames.payload), (0, 0));
        }
    }
}
