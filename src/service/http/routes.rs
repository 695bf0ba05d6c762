//! From a request to what does it.
//!
//! In:    a request whose key is live.
//! Out:   an answer, once what it tells is durable.
//! Law:   a route that isn't there and a thing that may not be seen are one answer.

use super::requests::Seen;
use super::{Answer, Server, query};
use crate::service::api::{self, Input, Op, View};
use crate::service::authn::{KeyRefusal, authenticate, bearer};
use crate::service::change::{Reply, RequestFacts};
use crate::service::decide::{self, Asking, Client};
use crate::service::fields::{self, Ty, must};
use crate::service::guard::Rights;
use crate::service::memory::OrgState;
use crate::service::object::Kind;
use crate::service::problem::Problem;
use crate::service::writer::{Job, Repeat};
use crate::service::{log_reading, openapi};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::Ordering;

type Told = Result<Answer, Problem>;

/// Answers a request.
pub async fn answer(server: &Arc<Server>, seen: &Arc<Seen>) -> Told {
    let parts: Vec<&str> = seen.path.strip_prefix("/v1/").unwrap_or_default().split('/').collect();
    let decoded: Option<Vec<String>> = parts.iter().map(|p| query::decode(p, false)).collect();
    let decoded = decoded.ok_or_else(Problem::absent)?;
    let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let post = seen.method == "POST";
    let space = &server.service.space;
    if space.is_low() && !without_room(&seen.method, &parts) {
        let (free, reserve) = space.free_and_reserve();
        return Err(Problem::no_room(free, reserve));
    }
    match parts.as_slice() {
        ["authorize"] if post => authorize(server, seen, false).await,
        ["authorize", "batch"] if post => authorize(server, seen, true).await,
        ["openapi.json"] if seen.method == "GET" => Ok(Answer::json(200, &openapi::document())),
        ["me"] if seen.method == "GET" => Ok(me(seen)),
        ["quotas"] if seen.method == "GET" => quotas(server, seen),
        ["policy-sets:check"] if post => apart(server, seen, check).await,
        ["policy-sets", id, "test"] if post => {
            let id = (*id).to_owned();
            apart(server, seen, move |server, seen| look(server, seen, |view| api::test(view, &id))).await
        }
        ["policy-sets", id, "diff"] if post => {
            let id = (*id).to_owned();
            apart(server, seen, move |server, seen| look(server, seen, |view| api::diff(view, &id))).await
        }
        ["audit", rest @ ..] => {
            // That somebody read is recorded, too.
            if let Some(org) = &seen.caller.org {
                may_record(server, &org.uid, seen.now)?;
                server.service.memory.tally.decided(&org.uid, seen.now, READ_BYTES);
            }
            log_reading::answer(&server.service, seen_of(seen), rest).await.map(reply)
        }
        [collection] if seen.method == "GET" => list(server, seen, collection),
        [collection, id] if seen.method == "GET" => get(server, seen, collection, id),
        [collection, rest @ ..] => change(server, seen, collection, rest).await,
        [] => Err(Problem::absent()),
    }
}

/// Bytes that the record of reading the log is taken for.
const READ_BYTES: u64 = 1_024;
/// What is done although the disk is nearly full: what takes rights away, and what is only looked at.
fn without_room(method: &str, parts: &[&str]) -> bool {
    match (method, parts) {
        ("GET", ["audit", "key"]) => true,
        ("GET", ["audit", ..]) => false,
        ("GET", _) | ("POST", ["credentials:revoke"]) => true,
        ("POST", ["credentials", _, verb]) => matches!(*verb, "revoke" | "disable"),
        ("POST", ["users" | "service-accounts" | "agents", _, verb]) => matches!(*verb, "disable" | "leave"),
        ("DELETE", [collection, _]) => matches!(*collection, "bindings" | "links"),
        _ => false,
    }
}

fn reply(reply: Reply) -> Answer {
    let etag = reply.body.get("revision").and_then(Value::as_i64);
    Answer { etag, ..Answer::json(reply.status, &reply.body) }
}

fn seen_of(seen: &Seen) -> log_reading::Asked<'_> {
    log_reading::Asked {
        caller: &seen.caller,
        method: &seen.method,
        query: &seen.query,
        now: seen.now,
        request: &seen.facts,
    }
}

/// The organization as it is now.
fn org(server: &Server, seen: &Seen) -> Result<Arc<OrgState>, Problem> {
    let org = seen.caller.org.clone().ok_or_else(Problem::absent)?;
    server.service.current(org, seen.now)
}

fn me(seen: &Seen) -> Answer {
    let key = &seen.caller.key;
    let account = seen.caller.account.as_ref();
    let shown = json!({
        "credential": key.uid, "scope": key.scope, "boundaries": key.boundaries,
        "expires_at": (key.expires != i64::MAX).then(|| crate::show_time(key.expires)),
        "account": account.map(|a| json!({ "kind": a.kind.wire(), "id": a.id, "uid": a.uid, "home": a.home })),
        "organization": seen.caller.org.as_ref().map(|o| o.id.clone()),
    });
    Answer::json(200, &shown)
}

fn quotas(server: &Server, seen: &Seen) -> Told {
    look(server, seen, |view| {
        let on = crate::service::guard::On::Scope("organization", &view.org.id);
        crate::service::guard::permit(view.org, view.caller, "read", on, view.now)
            .map_err(|_| Problem::absent())?;
        let (tally, folder) = (&server.service.memory.tally, server.service.places.decisions());
        Ok(Reply::ok(crate::service::quotas::used(view.read, tally, &view.org.uid, view.now, &folder)?))
    })
}

/// Whether the organization's day has room for another record of a decision.
fn may_record(server: &Server, org: &str, now: i64) -> Result<(), Problem> {
    let folder = server.service.places.decisions().join(org);
    server.service.memory.tally.may_decide(org, now, || crate::service::quotas::written_today(&folder, now))
}

async fn authorize(server: &Server, seen: &Seen, batch: bool) -> Told {
    let service = &server.service;
    let org = org(server, seen)?;
    may_record(server, &org.uid, seen.now)?;
    let client = match &seen.client {
        None => Client::None,
        Some((header, ip)) => {
            let token = bearer(Some(&format!("Bearer {header}")));
            let known = token.as_ref().map(|t| t.key_id.clone()).unwrap_or_default();
            let ip = ip.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into());
            let found =
                token.and_then(|token| authenticate(&service.memory, &service.peppers, &token, ip, seen.now));
            match found {
                // A key of another organization is nobody's here.
                Ok(client) if client.key.org == org.uid => Client::Key(Box::new(client)),
                Ok(_) => Client::Refused(KeyRefusal::Unknown, String::new()),
                Err(why) => Client::Refused(why, known),
            }
        }
    };
    let asking = Asking {
        org: &org,
        caller: &seen.caller,
        client: &client,
        now: seen.now,
        request: &seen.facts,
        rights: Rights::of(&org, &seen.caller, seen.now).into(),
    };
    let decided = if batch { decide::batch(&asking, &seen.body) } else { decide::one(&asking, &seen.body) };
    drop(asking);
    let decided = decided?;
    let bytes = decided.entries.iter().map(crate::service::quotas::bytes).sum();
    let waiting = server.counters.deciding.on();
    if !service.decisions.append_all(&org.uid, decided.entries).await {
        return Err(Problem::unavailable("the decision could not be recorded: nothing is allowed"));
    }
    drop(waiting);
    service.memory.tally.decided(&org.uid, seen.now, bytes);
    if let Client::Key(client) = &client {
        client.note_use(seen.now);
    }
    server.counters.decisions.fetch_add(1, Ordering::Relaxed);
    Ok(Answer { status: 200, kind: "application/json", body: decided.body, etag: None, retry_after: None })
}

/// Does what may take seconds away from the threads that decide.
async fn apart(
    server: &Arc<Server>,
    seen: &Arc<Seen>,
    work: impl FnOnce(&Server, &Seen) -> Told + Send + 'static,
) -> Told {
    let (server, seen) = (Arc::clone(server), Arc::clone(seen));
    let org = seen.caller.key.org.clone();
    Arc::clone(&server).apart.run(&org, move || work(&server, &seen)).await
}

fn check(server: &Server, seen: &Seen) -> Told {
    let org = org(server, seen)?;
    let read = fields::read(&seen.body, &[must("files", Ty::Files, "the files")])?;
    let on = crate::service::guard::On::Scope("organization", &org.id);
    if crate::service::guard::permit(&org, &seen.caller, "upload", on, seen.now).is_err() {
        return Err(Problem::absent());
    }
    let files = read["files"].as_array().cloned().unwrap_or_default();
    let text = |f: &Value, field: &str| f[field].as_str().unwrap_or_default().to_owned();
    let files: Vec<crate::TextFile> = files
        .iter()
        .map(|f| crate::TextFile { name: text(f, "name"), bytes: text(f, "text").into_bytes() })
        .collect();
    let checked = api::check(&files, seen.now);
    let warnings = checked.diagnostics.len() - checked.errors;
    let body = json!({ "diagnostics": checked.diagnostics, "errors": checked.errors, "warnings": warnings });
    Ok(Answer::json(200, &body))
}

fn look(server: &Server, seen: &Seen, what: impl FnOnce(&mut View<'_>) -> Result<Reply, Problem>) -> Told {
    let org = org(server, seen)?;
    server.service.read(|read| {
        let mut view = View { read, org: &org, caller: &seen.caller, now: seen.now };
        what(&mut view).map(reply)
    })
}

fn get(server: &Server, seen: &Seen, collection: &str, id: &str) -> Told {
    let kind = Kind::of_collection(collection).ok_or_else(Problem::absent)?;
    look(server, seen, |view| {
        let object = api::get(view, kind, id)?;
        let mut shown = object.show();
        if kind == Kind::Credential
            && let Some(key) = server.service.memory.keys_of(&object.uid).first()
        {
            let used = key.used.load(Ordering::Relaxed);
            if used > 0 {
                let from = *key.used_from.lock().expect("routes: nobody panics holding an address");
                shown["last_used"] = json!({ "at": crate::show_time(used), "from": from });
            }
        }
        Ok(Reply::ok(shown))
    })
}

/// Fields that lists can be filtered by, beside `below`.
const FILTERS: &[&str] = &[
    "below",
    "account",
    "agent",
    "boundary",
    "everyone",
    "for",
    "group",
    "holder",
    "home",
    "id",
    "kind",
    "member",
    "owner",
    "owner_gone",
    "project",
    "role",
    "scope",
    "stage",
    "status",
    "to",
];

fn list(server: &Server, seen: &Seen, collection: &str) -> Told {
    let kind = Kind::of_collection(collection).ok_or_else(Problem::absent)?;
    let mut filters = query::fields(&seen.query)?;
    let mut take = |name: &str| {
        let at = filters.iter().position(|(n, _)| n == name)?;
        Some(filters.remove(at).1)
    };
    let limit = match take("limit") {
        None => 50,
        Some(text) => match text.parse() {
            Ok(n) if (1..=500).contains(&n) => n,
            _ => return Err(Problem::field("limit", "1 to 500")),
        },
    };
    let given = take("cursor");
    filters.sort();
    if let Some((name, _)) = filters.iter().find(|(n, _)| !FILTERS.contains(&n.as_str())) {
        let near = crate::nearest(name, FILTERS.iter().copied());
        let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        return Err(Problem::field(name, format!("no such filter{near}")));
    }
    let bound = format!("{} {collection} {filters:?}", seen.caller.key.uid);
    let peppers = &server.service.peppers;
    let after = given.map(|c| query::after(peppers, &bound, &c)).transpose()?.unwrap_or_default();
    look(server, seen, |view| {
        let page = api::list(view, kind, &filters, &after, limit)?;
        let next = page.next.map(|uid| query::cursor(peppers, &bound, &uid));
        Ok(Reply::ok(json!({ "items": page.items, "next": next })))
    })
}

/// Finds the operation of a request; the id in its path.
fn operation(method: &str, collection: &str, rest: &[&str]) -> Option<(&'static Op, String)> {
    let (shape, id) = match rest {
        [] => (String::new(), String::new()),
        [id] => ("{id}".to_owned(), (*id).to_owned()),
        [id, verb] => (format!("{{id}}/{verb}"), (*id).to_owned()),
        _ => return None,
    };
    let whole = collection.split_once(':').map(|(c, verb)| (c, format!(":{verb}")));
    let (collection, shape) = match whole {
        Some((collection, verb)) if rest.is_empty() => (collection, verb),
        _ => (collection, shape),
    };
    let op = api::operations()
        .find(|op| op.method == method && op.collection == collection && op.rest == shape)?;
    Some((op, id))
}

/// Does an operation; if it is refused, that is recorded.
async fn change(server: &Server, seen: &Seen, collection: &str, rest: &[&str]) -> Told {
    let (op, id) = operation(&seen.method, collection, rest).ok_or_else(Problem::absent)?;
    let verb = match op.rest {
        "" => "created",
        "{id}" if op.method == "PATCH" => "updated",
        "{id}" => "deleted",
        other => other.trim_start_matches("{id}/").trim_start_matches(':'),
    };
    let request = RequestFacts { action: format!("{}.{verb}", op.collection), ..seen.facts.clone() };
    let told = run(server, seen, op, id, request.clone()).await;
    if let (Err(problem), Some(org)) = (&told, &seen.caller.org)
        && problem.status < 500
    {
        let service = &server.service;
        service.refusals.note(&service.decisions, (&seen.caller, org), &request, problem, seen.now).await?;
    }
    told
}

async fn run(server: &Server, seen: &Seen, op: &'static Op, id: String, request: RequestFacts) -> Told {
    let read = fields::read(&seen.body, op.fields)?;
    let input =
        Input { id, fields: read, if_match: seen.if_match, peppers: Arc::clone(&server.service.peppers) };
    let run = op.run;
    let repeat = seen.repeat.clone().map(|key| {
        let mut digest = Sha256::new();
        for part in [&seen.method, &seen.path, &seen.body] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Repeat { key, request: digest.finalize().to_vec() }
    });
    let job = Job {
        org: seen.caller.key.org.clone(),
        caller: Some(seen.caller.clone()),
        request,
        repeat,
        command: Box::new(move |change| run(change, &input)),
    };
    let _waiting = server.counters.changing.on();
    server.service.writer.submit(job).await.map(reply)
}
