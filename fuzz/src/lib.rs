//! What is fuzzed. Each function takes hostile bytes, has them read, and panics if what came of it breaks a promise;
//! the promises are written in [`checks`] and [`gate`], which are also compiled into tests of the crates that they
//! are of, where the committed corpora are read once more without a fuzzer.

mod checks;
mod gate;
mod mutate;

/// Strict JSON.
pub fn scan(data: &[u8]) {
    checks::scan::check(data);
}

/// Messages of clients, and what is sent on of them.
pub fn envelope(data: &[u8]) {
    checks::envelope::check(data);
}

/// Headers that say again what a body says.
pub fn headers(data: &[u8]) {
    checks::headers::check(data);
}

/// Event streams and streamed responses of servers.
pub fn stream(data: &[u8]) {
    checks::stream::check(data);
}

/// Sealed handles.
pub fn handles(data: &[u8]) {
    checks::handles::check(data);
}

/// Connections of clients to a gateway.
pub fn http(data: &[u8]) {
    gate::check(data);
}

/// Changes an input: with JSON in it, half of the time as JSON.
pub fn mutate(data: &mut [u8], size: usize, max: usize, seed: u32) -> usize {
    mutate::mutate(data, size, max, seed)
}
