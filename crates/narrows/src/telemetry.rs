//! Spans to an OpenTelemetry collector, as OTLP over HTTP. Off unless an endpoint is given. What a span holds is the
//! gateway's matter; this module gives it the names of the semantic conventions for MCP and sends it, through the
//! same guarded way out as everything else.

use std::{sync::Arc, time::Duration};

use narrows_egress::{AddressPolicy, Client, ClientLimits, Target};
use narrows_gateway::telemetry::{CallFacts, CallSpan, Spans};
use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
        Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider, Span},
};
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::task::TaskTracker;
use url::Url;

/// Longest wait for a collector's answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer of a collector that is read, in bytes.
const ANSWER: usize = 64 * 1024;

/// Collects spans and sends them in batches.
pub(crate) struct Telemetry {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    client: Arc<Collector>,
}

impl Telemetry {
    /// Sends to `endpoint`, the full URL of the collector's traces, for example
    /// `http://127.0.0.1:4318/v1/traces`. Must be called within a runtime.
    ///
    /// # Errors
    /// If the endpoint can't be used.
    pub(crate) fn start(
        endpoint: &Url,
        tls: Arc<rustls::ClientConfig>,
        installation: &str,
    ) -> anyhow::Result<Self> {
        // The operator named this address, so it may be anywhere but where no collector is: link-local and metadata
        // addresses stay refused.
        let policy = AddressPolicy { allowed: vec!["0.0.0.0/0".parse()?, "::/0".parse()?], own: vec![] };
        let target = Target::Url(narrows_egress::parse_url(endpoint.as_str())?);
        let client = Arc::new(Collector {
            client: Arc::new(Client::new(target, Arc::new(policy), ClientLimits::default(), tls)?),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
        });
        let exporter = SpanExporter::builder()
            .with_http()
            .with_shared_http_client(Arc::clone(&client) as Arc<dyn HttpClient>)
            .with_endpoint(endpoint.as_str())
            .with_timeout(TIMEOUT)
            .build()?;
        let resource = Resource::builder_empty()
            .with_service_name("narrows")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", installation.to_owned()))
            .build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let tracer = provider.tracer("narrows");
        Ok(Self { provider, tracer, client })
    }

    /// Sends what is left. Blocks for a few seconds at most; for the end of the process.
    pub(crate) async fn close(&self) {
        let provider = self.provider.clone();
        let closed =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(Duration::from_secs(3))).await;
        match closed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not sent"),
            Err(error) => tracing::warn!(%error, "the last spans were not sent"),
        }
        self.client.tasks.close();
        self.client.tasks.wait().await;
    }
}

impl Spans for Telemetry {
    fn start(&self, call: &CallFacts<'_>) -> Box<dyn CallSpan> {
        let subject = call.tool.or(call.prompt);
        let name =
            subject.map_or_else(|| call.method.to_owned(), |subject| format!("{} {subject}", call.method));
        let mut attributes = vec![
            KeyValue::new("mcp.method.name", call.method.to_owned()),
            KeyValue::new("mcp.protocol.version", call.revision.to_owned()),
            KeyValue::new("network.transport", "tcp"),
            KeyValue::new("network.protocol.name", "http"),
            KeyValue::new("narrows.server", call.server.to_owned()),
            KeyValue::new("narrows.request.id", call.request_id.to_owned()),
        ];
        let optional = [
            ("mcp.session.id", call.session),
            ("gen_ai.tool.name", call.tool),
            ("gen_ai.prompt.name", call.prompt),
            ("mcp.resource.uri", call.resource),
            ("gen_ai.operation.name", call.tool.map(|_| "execute_tool")),
        ];
        attributes.extend(
            optional.into_iter().filter_map(|(key, value)| Some(KeyValue::new(key, value?.to_owned()))),
        );
        let builder = self.tracer.span_builder(name).with_kind(SpanKind::Server).with_attributes(attributes);
        let parent = call
            .parent
            .and_then(remote)
            .map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        Box::new(OpenSpan(self.tracer.build_with_context(builder, &parent)))
    }
}

struct OpenSpan(Span);

impl CallSpan for OpenSpan {
    fn traceparent(&self) -> Option<String> {
        let context = self.0.span_context();
        context.is_valid().then(|| {
            format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
        })
    }

    fn end(mut self: Box<Self>, error: Option<&'static str>) {
        if let Some(error) = error {
            self.0.set_attribute(KeyValue::new("error.type", error));
            self.0.set_status(Status::error(error));
        }
        self.0.end();
    }
}

/// Reads a `traceparent` of version 00.
fn remote(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(parts.next()?, 16).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
}

/// The collector, reached through the guarded client. Spans are sent from a thread of the library's own, which has
/// no runtime, so each request is driven by ours.
struct Collector {
    client: Arc<Client>,
    runtime: Handle,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (tell, told) = oneshot::channel();
        let client = Arc::clone(&self.client);
        let exchange = async move {
            let sent = tokio::time::timeout(TIMEOUT, exchange(&client, request)).await;
            // Nobody waits any more if the process is ending.
            let _waiting = tell.send(sent.unwrap_or_else(|late| Err(late.into())));
        };
        self.tasks.spawn_on(exchange, &self.runtime);
        told.await?
    }
}

async fn exchange(client: &Client, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    *request.uri_mut() = http::Uri::from_static("/");
    let (head, body) = client.send(request).await?.into_parts();
    let body = http_body_util::BodyExt::collect(http_body_util::Limited::new(body, ANSWER)).await?.to_bytes();
    Ok(Response::from_parts(head, body))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Takes one request and answers it with an empty success, as a collector does. Gives head and body.
    async fn collect(listener: TcpListener) -> (String, Vec<u8>) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).await.unwrap();
            got.extend_from_slice(&piece[..count]);
            let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8(got[..end].to_vec()).unwrap().to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
            if got.len() >= end + 4 + length.trim().parse::<usize>().unwrap() {
                let answer =
                    "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
                return (head, got[end + 4..].to_vec());
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_span_reaches_the_collector_and_goes_on_to_the_server() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let tls = narrows_egress::tls_config(&[]).unwrap();
        let telemetry = Telemetry::start(&endpoint.parse().unwrap(), tls, "test").unwrap();
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        let span = telemetry.start(&CallFacts {
            method: "tools/call",
            revision: "2025-11-25",
            session: None,
            tool: Some("read_file"),
            prompt: None,
            resource: None,
            server: "dev/files",
            request_id: "request-1",
            parent: Some(&parent),
        });
        let onward = span.traceparent().unwrap();
        assert!(onward.starts_with(&format!("00-{trace}-")) && onward != parent, "{onward}");
        span.end(Some("error result"));
        let ((head, body), ()) = tokio::join!(collect(listener), telemetry.close());
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        let holds = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
        for text in [
            "tools/call read_file",
            "mcp.method.name",
            "gen_ai.tool.name",
            "dev/files",
            "error.type",
            "narrows",
        ] {
            assert!(holds(text), "{text} is not in what was sent");
        }
    }
}
