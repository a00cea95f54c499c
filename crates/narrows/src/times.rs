//! Times and durations as people write them.

use jiff::{SignedDuration, Timestamp};

use crate::failure::Failure;

/// A number and `s`, `m`, `h` or `d`.
pub(crate) fn duration(text: &str) -> Result<SignedDuration, Failure> {
    let unit = |unit| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(60 * 60),
        'd' => Some(24 * 60 * 60),
        _ => None,
    };
    let parsed = text.chars().last().and_then(unit).and_then(|seconds: i64| {
        let digits = text.get(..text.len() - 1)?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<i64>().ok()?.checked_mul(seconds))?
    });
    parsed.map(SignedDuration::from_secs).ok_or_else(|| {
        Failure::usage(format!("`{text}` is not a length of time")).hint("write it like `90s`, `30m` or `8h`")
    })
}

/// A moment, or how long before `now`.
pub(crate) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    duration(text).ok().and_then(|ago| now.checked_sub(ago).ok()).ok_or_else(|| {
        Failure::usage(format!("`{text}` is not a time"))
            .hint("write it like `2026-11-01T08:00:00Z`, or `2h` for two hours ago")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(duration(text).ok().map(|found| found.as_secs()), expected, "{text}");
        };
        check("8h", Some(28_800));
        check("1d", Some(86_400));
        check("0s", Some(0));
        for wrong in
            ["", "h", "-1h", "+1h", "1", "1.5h", "1é", "99999999999999999999s", "9223372036854775807d"]
        {
            check(wrong, None);
        }
        let now = Timestamp::from_second(100_000).unwrap();
        assert_eq!(moment("1h", now).unwrap().as_second(), 96_400);
        assert_eq!(moment("1970-01-01T00:00:01Z", now).unwrap().as_second(), 1);
        assert!(moment("yesterday", now).is_err());
    }
}
