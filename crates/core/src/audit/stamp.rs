//! A record's time and id, as text. Time and randomness are arguments.

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};

/// RFC 3339 in UTC with six decimals: `2026-11-22T09:30:00.000001Z`. Texts of this form sort by time.
pub fn record_time(now: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    PRINTER.timestamp_to_string(&now)
}

/// A UUID version 7 (RFC 9562 section 5.7) of this millisecond.
pub fn record_id(now: Timestamp, random: [u8; 10]) -> String {
    let millis = u128::from(u64::try_from(now.as_millisecond()).unwrap_or(0)) & 0xffff_ffff_ffff;
    let mut bits = [0; 16];
    if let Some(tail) = bits.last_chunk_mut::<10>() {
        *tail = random;
    }
    let random = u128::from_be_bytes(bits);
    let id =
        millis << 80 | 0x7 << 76 | (random >> 64 & 0xfff) << 64 | 0b10 << 62 | random & (u128::MAX >> 66);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        id >> 96,
        id >> 80 & 0xffff,
        id >> 64 & 0xffff,
        id >> 48 & 0xffff,
        id & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_six_decimals() {
        let check = |micros: i64, expected: &str| {
            assert_eq!(record_time(Timestamp::from_microsecond(micros).unwrap()), expected);
        };
        check(0, "1970-01-01T00:00:00.000000Z");
        check(1_795_339_800_000_001, "2026-11-22T09:30:00.000001Z");
    }

    /// The example of RFC 9562, appendix A.6.
    #[test]
    fn id_is_that_of_the_rfc() {
        let now = Timestamp::from_millisecond(0x017F_22E2_79B0).unwrap();
        let random = [0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f];
        assert_eq!(record_id(now, random), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    }
}
