//! Kubernetes quantities, as far as they make sense for processors and memory.

/// Why a text is not a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidQuantity {
    #[error("is not a number with a unit")]
    Shape,
    #[error("is finer than can be counted")]
    Fine,
    #[error("is too small")]
    Small,
    #[error("is too large")]
    Large,
}

/// Least memory that a process could start with.
const LEAST_MEMORY: u64 = 4 * 1024 * 1024;
/// 64 TiB.
const MOST_MEMORY: u64 = 64 * 1024 * 1024 * 1024 * 1024;
/// 1,024 processors.
const MOST_CPU: u64 = 1_024_000;

/// Thousandths of a processor: `500m`, `0.5`, `2`.
pub(super) fn cpu_millis(text: &str) -> Result<u32, InvalidQuantity> {
    let millis = match text.strip_suffix('m') {
        Some(number) => scaled(number, 1)?,
        None => scaled(text, 1_000)?,
    };
    match millis {
        0 => Err(InvalidQuantity::Small),
        1..=MOST_CPU => u32::try_from(millis).map_err(|_| InvalidQuantity::Large),
        _ => Err(InvalidQuantity::Large),
    }
}

/// Bytes: `256Mi`, `1.5Gi`, `128974848`, `129M`.
pub(super) fn memory_bytes(text: &str) -> Result<u64, InvalidQuantity> {
    const UNITS: &[(&str, u64)] = &[
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
    ];
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = unit.unwrap_or((text, 1));
    match scaled(number, factor)? {
        0..LEAST_MEMORY => Err(InvalidQuantity::Small),
        bytes @ LEAST_MEMORY..=MOST_MEMORY => Ok(bytes),
        _ => Err(InvalidQuantity::Large),
    }
}

/// A decimal number times a factor, exactly.
fn scaled(number: &str, factor: u64) -> Result<u64, InvalidQuantity> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || number.ends_with('.') {
        return Err(InvalidQuantity::Shape);
    }
    let whole: u64 = whole.parse().map_err(|_| InvalidQuantity::Large)?;
    let total = whole.checked_mul(factor).ok_or(InvalidQuantity::Large)?;
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        return Ok(total);
    }
    if fraction.len() > 12 {
        return Err(InvalidQuantity::Fine);
    }
    let part: u128 = fraction.parse().map_err(|_| InvalidQuantity::Shape)?;
    let parts = (0..fraction.len()).fold(1_u128, |parts, _| parts * 10);
    let exact = part * u128::from(factor);
    if !exact.is_multiple_of(parts) {
        return Err(InvalidQuantity::Fine);
    }
    let rest = u64::try_from(exact / parts).map_err(|_| InvalidQuantity::Large)?;
    total.checked_add(rest).ok_or(InvalidQuantity::Large)
}

#[cfg(test)]
mod tests {
    use super::{InvalidQuantity, cpu_millis, memory_bytes};

    #[test]
    fn processors() {
        let check = |text, expected| assert_eq!(cpu_millis(text), expected, "{text}");
        check("500m", Ok(500));
        check("0.5", Ok(500));
        check("2", Ok(2_000));
        check("1.250", Ok(1_250));
        check("1024", Ok(1_024_000));
        check("0", Err(InvalidQuantity::Small));
        check("0.0001", Err(InvalidQuantity::Fine));
        check("0.5m", Err(InvalidQuantity::Fine));
        check("1025", Err(InvalidQuantity::Large));
        check("99999999999999999999", Err(InvalidQuantity::Large));
        for text in ["", "m", "-1", "+1", "1e3", "1.", ".5", "1 ", "half", "1.2.3", "１"] {
            check(text, Err(InvalidQuantity::Shape));
        }
    }

    #[test]
    fn memory() {
        let check = |text, expected| assert_eq!(memory_bytes(text), expected, "{text}");
        check("256Mi", Ok(256 << 20));
        check("1.5Gi", Ok(3 << 29));
        check("128974848", Ok(128_974_848));
        check("129M", Ok(129_000_000));
        check("4Mi", Ok(4 << 20));
        check("256", Err(InvalidQuantity::Small));
        check("0", Err(InvalidQuantity::Small));
        check("65Ti", Err(InvalidQuantity::Large));
        check("0.00000000001Gi", Err(InvalidQuantity::Fine));
        for text in ["", "Mi", "256mi", "256MB", "256m", "1Ei", "1e9", "-4Mi"] {
            check(text, Err(InvalidQuantity::Shape));
        }
    }
}
