//! Frames of HTTP/2 (RFC 9113), written by hand: a library would not write what is needed here.

/// The client's first words, before its settings.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame of at most 2^24 - 1 bytes.
pub(crate) fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend(length.iter().skip(1));
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}

/// A header field without compression: literal, not indexed, new name (RFC 7541 section 6.2.2).
pub(crate) fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(0);
    string(out, name);
    string(out, value);
}

/// The same, kept in the dynamic table (RFC 7541 section 6.2.1).
pub(crate) fn indexed_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(0x40);
    string(out, name);
    string(out, value);
}

/// The newest entry of the dynamic table, once more: one byte.
pub(crate) const NEWEST: u8 = 0x80 | 62;

fn string(out: &mut Vec<u8>, text: &str) {
    // An integer with a prefix of seven bits (RFC 7541 section 5.1).
    let mut left = text.len();
    if left < 127 {
        out.extend(u8::try_from(left));
    } else {
        out.push(127);
        left -= 127;
        while left >= 128 {
            out.extend(u8::try_from(left % 128 + 128));
            left /= 128;
        }
        out.extend(u8::try_from(left));
    }
    out.extend(text.as_bytes());
}
