//! The service on the network: HTTP requests in, answers out.
//!
//! In:    a listener, a [`Service`].
//! Out:   `/v1/…`, `/healthz`, `/readyz`, `/metrics`.
//! Law:   who doesn't present a live key hears 401 on every route below `/v1`, whatever it is; a key is read from the
//!        header alone; every answer names its request, and no secret is logged.

mod apart;
mod connections;
mod limits;
mod metrics;
mod query;
mod requests;
mod routes;

use super::api::{Op, operations};
use super::object::Kind;
use super::problem::Problem;
use super::running::Service;
use super::secret::new_uid;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Response, StatusCode, header};
pub use limits::Limits;
use limits::Rates;
use metrics::Counters;
pub use query::fields as query_fields;
use requests::Seen;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::net::TcpListener;

/// What the paths of routes that decide begin with.
const DECIDE: &str = "/v1/authorize";

/// The state of all handlers.
pub struct Server {
    service: Arc<Service>,
    counters: Counters,
    refusals: requests::Refusals,
    apart: apart::Apart,
    rates: Rates,
    open: Arc<connections::Open>,
    began: Instant,
    room: tokio::sync::Semaphore,
}

/// What goes back.
pub struct Answer {
    status: u16,
    kind: &'static str,
    body: String,
    etag: Option<i64>,
    retry_after: Option<u64>,
}

impl Answer {
    fn json(status: u16, body: &serde_json::Value) -> Answer {
        Answer { status, kind: "application/json", body: body.to_string(), etag: None, retry_after: None }
    }

    fn problem(problem: &Problem, request: &str) -> Answer {
        let body = problem.document(request).to_string();
        Answer {
            status: problem.status,
            kind: "application/problem+json",
            body,
            etag: None,
            retry_after: problem.retry_after(),
        }
    }

    fn text(status: u16, body: &str) -> Answer {
        Answer {
            status,
            kind: "text/plain; charset=utf-8",
            body: body.to_owned(),
            etag: None,
            retry_after: None,
        }
    }
}

/// Serves until `stop` is done; answers to what was accepted are still given.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    limits: &Limits,
    stop: impl Future<Output = ()>,
) {
    let open = Arc::new(connections::Open::default());
    let server = Arc::new(Server {
        service,
        counters: Counters::default(),
        refusals: Default::default(),
        apart: Default::default(),
        rates: Rates::new(limits),
        open: Arc::clone(&open),
        began: Instant::now(),
        room: tokio::sync::Semaphore::new(requests::ROOM_KIB),
    });
    let answer = move |peer, request| handle(Arc::clone(&server), peer, request);
    connections::serve(listener, limits, open, answer, stop).await;
}

/// Serves a store that isn't initialised: it lives, and says what to do.
pub async fn serve_uninitialised(
    listener: TcpListener,
    say: String,
    limits: &Limits,
    stop: impl Future<Output = ()>,
) {
    let handle = move |_, request: Request| {
        let answer = match request.uri().path() {
            "/healthz" => Answer::text(200, "ok\n"),
            _ => Answer::problem(&Problem::unavailable(say.clone()), "-"),
        };
        async move { respond(answer, "-") }
    };
    connections::serve(listener, limits, Arc::default(), handle, stop).await;
}

async fn handle(server: Arc<Server>, peer: SocketAddr, request: Request) -> Response<Body> {
    let began = Instant::now();
    let id = new_uid("req");
    server.counters.requests.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path().to_owned();
    let method = request.method().to_string();
    let answer = match path.as_str() {
        "/healthz" => Answer::text(200, "ok\n"),
        "/readyz" => match server.service.ready() {
            Ok(()) => Answer::text(200, &server.readiness()),
            Err(problem) => Answer::problem(&problem, &id),
        },
        "/metrics" => Answer::text(200, &metrics::document(&server).await),
        _ => match Seen::of(&server, peer, id.clone(), request).await {
            Ok(seen) => {
                let answer = routes::answer(&server, &Arc::new(seen)).await;
                answer.unwrap_or_else(|problem| Answer::problem(&problem, &id))
            }
            Err(problem) => Answer::problem(&problem, &id),
        },
    };
    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    server.counters.answered(&method, &path, answer.status, took);
    // What was decided stands in the audit log, under the same request: thousands of lines in a second would hide the others.
    if answer.status == 200 && path.starts_with(DECIDE) {
        tracing::debug!(request = id, method, path, status = answer.status, micros = took, "answered");
    } else {
        let shown = shape(&path);
        tracing::info!(request = id, method, path = shown, status = answer.status, micros = took, "answered");
    }
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
    if let Some(seconds) = answer.retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if answer.status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

impl Server {
    /// What an operator wants to see of a service that may answer.
    fn readiness(&self) -> String {
        let clock = &self.service.clock;
        let apart = clock.apart().abs() as f64 / 1e6;
        format!("ready\ntime: {}\nclocks apart: {apart:.3} s, at most 60\n", crate::show_time(clock.now()))
    }

    fn address(&self, peer: IpAddr, forwarded: &[&str]) -> Option<IpAddr> {
        self.service.address(peer.to_canonical(), forwarded)
    }
}
