//! The operator's listener: is it alive, is it ready, what does it count. Loopback by default; it tells nothing of
//! servers or people.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{gateway::Gateway, listener::is_passing, reply::Reply};

/// Connections that are served at once; more are closed.
const CONNECTIONS: usize = 64;

/// Serves `/healthz`, `/readyz` and `/metrics` until told to stop.
///
/// # Errors
/// If the listening socket fails.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) if connections.len() < CONNECTIONS => stream,
            Ok(_) => continue,
            Err(error) if is_passing(&error) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let (gateway, stop) = (Arc::clone(&gateway), stop.clone());
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let response = answer(&gateway, request.method(), request.uri().path());
                async move { Ok::<_, Infallible>(response) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
            let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
            let served = tokio::select! {
                served = connection.as_mut() => served,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "operator's connection ended");
            }
        });
    }
    connections.close();
    connections.wait().await;
    Ok(())
}

fn answer(gateway: &Gateway, method: &Method, path: &str) -> Response<Reply> {
    let (status, kind, text) = match (method, path) {
        (&Method::GET, "/healthz") => (StatusCode::OK, PLAIN, "alive\n".to_owned()),
        (&Method::GET, "/readyz") => match gateway.enforcer().health() {
            Ok(()) if gateway.draining().is_cancelled() => {
                (StatusCode::SERVICE_UNAVAILABLE, PLAIN, "shutting down\n".to_owned())
            }
            Ok(()) => (StatusCode::OK, PLAIN, "ready\n".to_owned()),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("not ready: {error}\n")),
        },
        (&Method::GET, "/metrics") => (StatusCode::OK, METRICS, gateway.metrics().exposition()),
        (_, "/healthz" | "/readyz" | "/metrics") => {
            (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "use GET\n".to_owned())
        }
        _ => (StatusCode::NOT_FOUND, PLAIN, "there are /healthz, /readyz and /metrics here\n".to_owned()),
    };
    let mut response = Response::new(Reply::whole(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

const PLAIN: &str = "text/plain; charset=utf-8";
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
