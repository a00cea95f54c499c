//! Checks of the wire: what `narrows-mcp` made of hostile bytes, held against readers that share nothing with it.
//!
//! A check is a function of bytes that panics if a promise is broken. It says nothing of what has to be accepted,
//! only of what acceptance means.

pub(crate) mod envelope;
pub(crate) mod handles;
pub(crate) mod headers;
pub(crate) mod scan;
pub(crate) mod stream;
mod tree;

/// The committed inputs of a target, with their file names.
#[cfg(test)]
pub(crate) fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
    let files = std::fs::read_dir(format!("{place}/{target}")).unwrap();
    files
        .map(|file| {
            let path = file.unwrap().path();
            (path.display().to_string(), std::fs::read(&path).unwrap())
        })
        .collect()
}
