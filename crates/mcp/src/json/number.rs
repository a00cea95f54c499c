//! Numbers: the grammar of RFC 8259, section 6, and which of them every reader keeps as written.

use super::{
    Numbers,
    error::{Cap, Fault},
};

/// The longest number of a client, in characters.
const EXACT_LENGTH: usize = 40;
/// The longest number of a server, in characters.
const WIDE_LENGTH: usize = 400;
/// Decimal digits that an `f64` always keeps.
const SAFE_DIGITS: usize = 15;
/// Decimal digits that tell any two `f64` apart; more can't be kept.
const MOST_DIGITS: usize = 17;

/// The length of the number at the start of `bytes`, or `None` if there is none.
/// What follows is the caller's to judge.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        bytes.get(from..).map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count())
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at += match bytes.get(at)? {
        b'0' => 1,
        b'1'..=b'9' => digits(at),
        _ => return None,
    };
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        if exponent == 0 {
            return None;
        }
        at += 1 + sign + exponent;
    }
    Some(at)
}

/// Whether this number, of right grammar, is accepted.
pub(super) fn check(number: &str, numbers: Numbers) -> Result<(), Fault> {
    let longest = match numbers {
        Numbers::Exact => EXACT_LENGTH,
        Numbers::Wide => WIDE_LENGTH,
    };
    if number.len() > longest {
        return Err(Fault::TooLarge(Cap::Number));
    }
    match numbers {
        Numbers::Wide => Ok(()),
        Numbers::Exact if is_integer(number) || is_kept(number) => Ok(()),
        Numbers::Exact => Err(Fault::Number),
    }
}

/// Whether the number is an `i64` or a `u64`, written without fraction or exponent.
fn is_integer(number: &str) -> bool {
    // Eighteen digits fit in both, with a sign to spare.
    number.len() <= 18 && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        || number.parse::<i64>().is_ok()
        || number.parse::<u64>().is_ok()
}

/// Whether an `f64` keeps every significant digit of the number: parsed, and printed with as many digits or with as
/// few as tell it from its neighbours, it is the same number again. (The two differ where the value lies half-way
/// between two such texts: 723401755362178.25 is written …8.3 by the second and …8.2 by the first.)
fn is_kept(number: &str) -> bool {
    let Some(written) = Decimal::of(number) else { return false };
    if written.digits.is_empty() {
        return true;
    }
    if written.digits.len() <= SAFE_DIGITS && (-290..=290).contains(&written.exponent) {
        return true;
    }
    if written.digits.len() > MOST_DIGITS {
        return false;
    }
    let Ok(value) = number.parse::<f64>() else { return false };
    if !value.is_finite() || value == 0.0 {
        return false;
    }
    let is_written = |printed: &str| Decimal::of(printed).as_ref() == Some(&written);
    is_written(&format!("{value:.*e}", written.digits.len() - 1)) || is_written(&format!("{value:e}"))
}

/// A number's significant digits, without zeros at either end, and the power of ten of the first of them.
#[derive(PartialEq, Eq)]
struct Decimal {
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    fn of(number: &str) -> Option<Self> {
        let (mantissa, exponent) = match number.split_once(['e', 'E']) {
            // Beyond thirty-two bits it is out of any range, whatever the mantissa.
            Some((mantissa, exponent)) => (mantissa, i64::from(exponent.parse::<i32>().ok()?)),
            None => (number, 0),
        };
        let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let point = mantissa.find('.').unwrap_or(mantissa.len());
        let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
        let leading = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..leading);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Self { digits, exponent: 0 });
        }
        let first = i64::try_from(point).ok()? - i64::try_from(leading).ok()? - 1;
        Some(Self { digits, exponent: first + exponent })
    }
}
