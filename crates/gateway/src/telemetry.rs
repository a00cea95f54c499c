//! Spans of forwarded requests, for whoever collects them. Off unless the binary hands in an implementation; what a
//! span holds is fixed here, and neither arguments nor results nor names of people are among it.

/// Starts spans. Implemented where a telemetry library is known, and by tests.
pub trait Spans: Send + Sync + 'static {
    /// A request was judged and is about to be recorded and sent. The span ends when the call is dropped or ended.
    fn start(&self, call: &CallFacts<'_>) -> Box<dyn CallSpan>;
}

/// A span that has begun.
pub trait CallSpan: Send + Sync {
    /// The W3C `traceparent` (version 00) that goes to the server, where the span is sampled or propagated.
    fn traceparent(&self) -> Option<String>;

    /// The request ended. `error` is of a closed set: none for a result without error.
    fn end(self: Box<Self>, error: Option<&'static str>);
}

/// What is known when a span begins, in the terms of the OpenTelemetry semantic conventions for MCP.
#[derive(Debug, Clone, Copy)]
pub struct CallFacts<'a> {
    /// `mcp.method.name`
    pub method: &'a str,
    /// `mcp.protocol.version`
    pub revision: &'a str,
    /// `mcp.session.id`: a digest, equal for all requests of a session.
    pub session: Option<&'a str>,
    /// `gen_ai.tool.name`
    pub tool: Option<&'a str>,
    /// `gen_ai.prompt.name`
    pub prompt: Option<&'a str>,
    /// `mcp.resource.uri`
    pub resource: Option<&'a str>,
    /// The server, `namespace/name`.
    pub server: &'a str,
    /// The request's id in the audit record.
    pub request_id: &'a str,
    /// The `traceparent` that the client sent, if it was well-formed.
    pub parent: Option<&'a str>,
}
