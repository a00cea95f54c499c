//! What somebody who mistyped a name may have meant.

/// The candidate that is nearest to `written`, if one is near: at most a third of its letters, and at most three,
/// are wrong, missing, superfluous or swapped with their neighbour.
pub(crate) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > 64 {
        return None;
    }
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= 128)
        .map(|candidate| (distance(&written.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).clamp(1, 3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// The optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, from) in a.chars().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, to) in b.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (at(&last, j + 1) + 1).min(at(&row, j) + 1).min(at(&last, j) + usize::from(from != *to));
            if j > 0 && previous == Some(*to) && b.get(j - 1) == Some(&from) {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
        previous = Some(from);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let check = |written, expected| {
            let candidates = ["namespaces", "servers", "tools", "when", "role"];
            assert_eq!(nearest(written, candidates), expected, "{written}");
        };
        check("namespace", Some("namespaces"));
        check("sevrers", Some("servers"));
        check("Tools", Some("tools"));
        check("whne", Some("when"));
        check("rolle", Some("role"));
        check("prompts", None);
        check("", None);
        check(&"x".repeat(100), None);
    }
}
