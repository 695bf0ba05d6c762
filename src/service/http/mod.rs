//! The service on the network: HTTP requests in, answers out.
//!
//! In:    a listener, a [`Service`].
//! Out:   `/v1/…`, `/healthz`, `/readyz`, `/metrics`.
//! Law:   who doesn't present a live key hears 401 on every route below `/v1`, whatever it is; a key is read from the
//!        header alone; every answer names its request, and no secret is logged.

mod query;
mod requests;
mod routes;

use super::api::{Op, operations};
use super::object::Kind;
use super::problem::Problem;
use super::running::Service;
use super::secret::new_uid;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
pub use query::fields as query_fields;
use requests::Seen;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::net::TcpListener;

/// What is counted.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    refused_keys: AtomicU64,
    errors: AtomicU64,
    decisions: AtomicU64,
}

/// The state of all handlers.
pub struct Server {
    service: Arc<Service>,
    counters: Counters,
    refusals: requests::Refusals,
}

/// What goes back.
pub struct Answer {
    status: u16,
    kind: &'static str,
    body: String,
    etag: Option<i64>,
}

impl Answer {
    fn json(status: u16, body: &serde_json::Value) -> Answer {
        Answer { status, kind: "application/json", body: body.to_string(), etag: None }
    }

    fn problem(problem: &Problem, request: &str) -> Answer {
        let body = problem.document(request).to_string();
        Answer { status: problem.status, kind: "application/problem+json", body, etag: None }
    }

    fn text(status: u16, body: &str) -> Answer {
        Answer { status, kind: "text/plain; charset=utf-8", body: body.to_owned(), etag: None }
    }
}

/// Serves until `stop` is done; answers to what was accepted are still given.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let server = Arc::new(Server { service, counters: Counters::default(), refusals: Default::default() });
    let router = Router::new().fallback(handle).with_state(server);
    let make = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, make).with_graceful_shutdown(stop).await
}

/// Serves a store that isn't initialised: it lives, and says what to do.
pub async fn serve_uninitialised(
    listener: TcpListener,
    say: String,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let handle = move |request: Request| {
        let answer = match request.uri().path() {
            "/healthz" => Answer::text(200, "ok\n"),
            _ => Answer::problem(&Problem::unavailable(say.clone()), "-"),
        };
        async move { respond(answer, "-") }
    };
    axum::serve(listener, Router::new().fallback(handle)).with_graceful_shutdown(stop).await
}

async fn handle(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    let began = Instant::now();
    let id = new_uid("req");
    server.counters.requests.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path().to_owned();
    let method = request.method().to_string();
    let answer = match path.as_str() {
        "/healthz" => Answer::text(200, "ok\n"),
        "/readyz" => match server.service.ready() {
            Ok(()) => Answer::text(200, "ready\n"),
            Err(problem) => Answer::problem(&problem, &id),
        },
        "/metrics" => Answer::text(200, &server.metrics()),
        _ => match Seen::of(&server, peer, id.clone(), request).await {
            Ok(seen) => {
                routes::answer(&server, &seen).await.unwrap_or_else(|problem| Answer::problem(&problem, &id))
            }
            Err(problem) => Answer::problem(&problem, &id),
        },
    };
    if answer.status >= 500 {
        server.counters.errors.fetch_add(1, Ordering::Relaxed);
    }
    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let shown = shape(&path);
    tracing::info!(request = id, method, path = shown, status = answer.status, micros = took, "answered");
    respond(answer, &id)
}

/// Of a path only our own words: whatever else stands there, an id or somebody's token, is never logged.
fn shape(path: &str) -> String {
    let fixed = |part: &str| {
        let known = ["v1", "authorize", "batch", "me", "openapi.json", "policy-sets:check", "test", "diff"];
        let known = known.iter().chain(&["audit", "changes", "decisions", "events", "export", "proof"]);
        known.chain(&["healthz", "readyz", "metrics"]).any(|k| *k == part)
    };
    let ours = |part: &str| {
        let collection = part.split_once(':').map_or(part, |(collection, _)| collection);
        let verb = |op: &Op| {
            let rest = op.rest.trim_start_matches("{id}/");
            rest == part || format!("{}{rest}", op.collection) == part
        };
        fixed(part) || (collection == part && Kind::of_collection(part).is_some()) || operations().any(verb)
    };
    path.split('/')
        .take(8)
        .map(|part| if part.is_empty() || ours(part) { part } else { "{}" })
        .collect::<Vec<_>>()
        .join("/")
}

fn respond(answer: Answer, id: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("policyd-request", id);
    }
    if let Some(etag) = answer.etag.and_then(|r| HeaderValue::from_str(&format!("\"{r}\"")).ok()) {
        headers.insert(header::ETAG, etag);
    }
    if answer.status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

impl Server {
    fn metrics(&self) -> String {
        let c = &self.counters;
        let lines = [
            ("policyd_requests_total", "requests", &c.requests),
            ("policyd_refused_keys_total", "requests without a live key", &c.refused_keys),
            ("policyd_errors_total", "answers of 500 and above", &c.errors),
            ("policyd_decisions_total", "durable decisions", &c.decisions),
        ];
        let line = |(name, help, value): (&str, &str, &AtomicU64)| {
            let value = value.load(Ordering::Relaxed);
            format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n")
        };
        lines.into_iter().map(line).collect()
    }

    fn address(&self, peer: IpAddr, forwarded: &[&str]) -> Option<IpAddr> {
        self.service.address(peer.to_canonical(), forwarded)
    }
}
