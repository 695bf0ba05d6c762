//! A request as handlers see it: its caller known, its body read, its headers in words.
//!
//! In:    an HTTP request, the address of the connection.
//! Out:   [`Seen`]; or the problem that it has no live key, or is too large.
//! Law:   rates are held before anything is read; the key is checked before the body is read, and again after it: what counts is what holds when all of the
//!        request is there; refusals are counted per key, network and minute, not one by one.

use super::Server;
use super::limits::cost;
use crate::service::authn::{Caller, KeyRefusal, again, authenticate, bearer};
use crate::service::change::RequestFacts;
use crate::service::problem::Problem;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::SemaphorePermit;

/// Bytes of a body.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of a body that carries policy files.
const FILES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A request whose key is live.
pub struct Seen {
    /// Who asks.
    pub caller: Caller,
    /// When, by the server's clock.
    pub now: i64,
    /// `GET`, …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query.
    pub query: String,
    /// The body.
    pub body: String,
    /// `If-Match`.
    pub if_match: Option<i64>,
    /// `Idempotency-Key`.
    pub repeat: Option<String>,
    /// The key of the caller's client, and its address.
    pub client: Option<(String, Option<IpAddr>)>,
    /// For records.
    pub facts: RequestFacts,
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// A header that rights hang on: at most once, in visible ASCII. What can't be read is never taken for absent.
fn certain<'h>(headers: &'h HeaderMap, name: &str, shown: &str) -> Result<Option<&'h str>, Problem> {
    let mut given = headers.get_all(name).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let bad = |_| Problem::field(shown, "expected visible ASCII characters");
            value.to_str().map(Some).map_err(bad)
        }
        _ => Err(Problem::field(shown, "given more than once: send it once")),
    }
}

impl Seen {
    /// Reads a request.
    pub async fn of(
        server: &Server,
        peer: SocketAddr,
        id: String,
        request: Request,
    ) -> Result<Seen, Problem> {
        let service = &server.service;
        let now = service.now()?;
        let (parts, body) = request.into_parts();
        let headers = &parts.headers;
        // A line that can't be read is an address that can't be read.
        let forwarded = headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or("?"));
        let forwarded: Vec<&str> = forwarded.collect();
        let unread =
            || Problem::field("X-Forwarded-For", "expected addresses, such as 203.0.113.7, between commas");
        let ip = server.address(peer.ip(), &forwarded).ok_or_else(unread)?;
        let path = parts.uri.path().to_owned();
        if !path.starts_with("/v1/") {
            return Err(Problem::absent());
        }
        let cost = cost(parts.method.as_str(), &path);
        server.rates.address(ip, cost)?;
        // Two headers could be read as one by one program and as the other by another.
        let one = headers.get_all(header::AUTHORIZATION).iter().count() <= 1;
        let header = if one { text(headers, "authorization") } else { None };
        let token = bearer(header);
        let checked = token
            .as_ref()
            .map_err(|e| *e)
            .and_then(|token| authenticate(&service.memory, &service.peppers, token, ip, now));
        let caller = checked.map_err(|why| {
            server.counters.refused_keys.fetch_add(1, Ordering::Relaxed);
            let key = token.as_ref().map(|t| t.key_id.as_str()).unwrap_or_default();
            server.refusals.note(key, ip, why, now);
            Problem::unauthenticated()
        })?;
        server.rates.key(&caller.key.uid, &caller.key.org, cost)?;
        let clip = |text: &str, most: usize| -> String {
            text.chars().filter(|c| !c.is_control()).take(most).collect()
        };
        let if_match = match certain(headers, "if-match", "If-Match")? {
            None => None,
            Some(tag) => match tag.trim().trim_matches('"').parse() {
                Ok(revision) => Some(revision),
                Err(_) => {
                    return Err(Problem::field(
                        "If-Match",
                        "expected an ETag as it was given, such as \"12\"",
                    ));
                }
            },
        };
        let client_ip = match certain(headers, "policyd-client-ip", "Policyd-Client-Ip")? {
            None => None,
            Some(given) => Some(
                given
                    .trim()
                    .parse::<IpAddr>()
                    .map_err(|_| Problem::field("Policyd-Client-Ip", "expected an IP address"))?,
            ),
        };
        let at_least = match certain(headers, "policyd-at-least", "Policyd-At-Least")? {
            None => 0,
            Some(given) => given.trim().parse::<i64>().map_err(|_| {
                Problem::field("Policyd-At-Least", "expected a revision as a write answered it, such as 12")
            })?,
        };
        let client = certain(headers, "policyd-client-key", "Policyd-Client-Key")?;
        let repeat = certain(headers, "idempotency-key", "Idempotency-Key")?;
        let limit = if path.starts_with("/v1/policy-sets") { FILES_BYTES_MAX } else { BODY_BYTES_MAX };
        let too_large =
            |_| Problem::too_large(format!("the body has more than {limit} bytes, or ended early"));
        let _room = room(server, headers, limit)?;
        let arrived = tokio::time::timeout(BODY_WITHIN, to_bytes(body, limit)).await;
        let bytes = arrived.map_err(|_| Problem::too_slow(BODY_WITHIN.as_secs()))?.map_err(too_large)?;
        reached(server, &caller.key.org, at_least).await?;
        // However long that took: the key may have been revoked since, the account may have ended.
        let now = service.now()?;
        let changed = again(&service.memory, &caller, now).map_err(|why| {
            server.counters.refused_keys.fetch_add(1, Ordering::Relaxed);
            server.refusals.note(&caller.key_id, ip, why, now);
            Problem::unauthenticated()
        })?;
        let caller = changed.unwrap_or(caller);
        caller.note_use(now);
        let body =
            String::from_utf8(bytes.to_vec()).map_err(|_| Problem::invalid("the body is not UTF-8"))?;
        Ok(Seen {
            now,
            method: parts.method.to_string(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body,
            if_match,
            repeat: repeat.map(|k| clip(k, 256)),
            client: client.map(|k| (k.to_owned(), client_ip)),
            facts: RequestFacts {
                id,
                action: String::new(),
                ip: ip.to_string(),
                peer: peer.ip().to_string(),
                user_agent: clip(text(headers, "user-agent").unwrap_or_default(), 200),
            },
            caller,
            path,
        })
    }
}

/// KiB of bodies that are being read at once, as far as they are large.
pub const ROOM_KIB: usize = 512 * 1024;
/// What isn't larger, isn't counted.
const SMALL_KIB: usize = 64;

/// Room for a body: many large ones at once don't take the memory of all.
fn room<'s>(
    server: &'s Server,
    headers: &HeaderMap,
    limit: usize,
) -> Result<Option<SemaphorePermit<'s>>, Problem> {
    let named = text(headers, "content-length").and_then(|length| length.parse::<usize>().ok());
    let none = named.is_none() && !headers.contains_key(header::TRANSFER_ENCODING);
    let kib = if none { 0 } else { named.unwrap_or(limit).min(limit).div_ceil(1024) };
    if kib <= SMALL_KIB {
        return Ok(None);
    }
    let room = u32::try_from(kib).ok().and_then(|kib| server.room.try_acquire_many(kib).ok());
    room.map(Some).ok_or_else(Problem::busy)
}

/// How long a request waits for a change that isn't in memory yet, and how often it looks.
const WAIT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(10));

/// Waits until memory has a change of an organization.
async fn reached(server: &Server, org: &str, at_least: i64) -> Result<(), Problem> {
    let tally = &server.service.memory.tally;
    let began = std::time::Instant::now();
    loop {
        match tally.head(org) {
            head if head >= at_least => return Ok(()),
            head if began.elapsed() >= WAIT.0 => return Err(Problem::behind(at_least, head)),
            _ => tokio::time::sleep(WAIT.1).await,
        }
    }
}

/// Refused keys, gathered so that guessing can't fill a disk.
#[derive(Default)]
pub struct Refusals(Mutex<HashMap<Refused, (i64, u64)>>);

/// Key id, network, why.
type Refused = (String, String, &'static str);

/// One minute in microseconds.
const MINUTE: i64 = 60_000_000;
/// Different refusals gathered in one minute; the rest are counted together.
const GATHERED_MAX: usize = 1_000;

impl Refusals {
    fn note(&self, key: &str, ip: IpAddr, why: KeyRefusal, now: i64) {
        let network = match ip {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                format!("{a:x}:{b:x}:{c:x}::/48")
            }
        };
        let mut held = self.0.lock().expect("requests: nobody panics while counting refusals");
        let old = held.values().next().is_some_and(|(since, _)| now - since >= MINUTE);
        if old {
            let mut all: Vec<_> = held.drain().collect();
            all.sort();
            for ((key, network, why), (_, count)) in all {
                tracing::warn!(key_id = key, network, why, count, "keys were refused");
            }
        }
        let name = match held.len() {
            n if n >= GATHERED_MAX => (String::new(), String::new(), why.word()),
            _ => (key.to_owned(), network, why.word()),
        };
        held.entry(name).or_insert((now, 0)).1 += 1;
    }
}
