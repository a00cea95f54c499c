//! The messages that clients send.

/// Opens a session.
pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"load","version":"1"}}}"#;

/// A small call whose id is `number`.
pub(crate) fn call(number: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"a few words that are neither many nor none"}}}}}}"#
    )
}

/// A call that is answered with so many bytes.
pub(crate) fn large(bytes: usize) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"large","arguments":{{"bytes":{bytes}}}}}}}"#
    )
}
