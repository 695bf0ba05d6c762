//! Reading the audit log: search, export, proofs, one's own events.
//!
//! In:    a caller who may read the log of the organization, and what it looks for.
//! Out:   records, an export that verifies elsewhere, a proof.
//! Law:   reading is recorded, once for each session and not for each page; personal values take a right of their own. What is
//!        read is a snapshot, on threads that nobody waits for who decides.

use super::authn::Caller;
use super::change::{Reply, RequestFacts};
use super::decisions::sign;
use super::finder;
use super::guard::{On, permit};
use super::http_query;
use super::journal::{self, About};
use super::log_key;
use super::memory::OrgState;
use super::problem::Problem;
use super::running::{Service, checkpoint_file, origin_of};
use crate::audit::export::Exporter;
use crate::audit::index::Word;
use crate::audit::merkle::{Leaves, Tree};
use crate::audit::note::{Checkpoint, Rotation, SignerKey};
use crate::audit::prove::InclusionProof;
use crate::audit::record::{Body, Draft, Entry, Log};
use crate::audit::{DayError, DayLog};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// A request to read.
pub struct Asked<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// The method.
    pub method: &'a str,
    /// The query.
    pub query: &'a str,
    /// When.
    pub now: i64,
    /// The request.
    pub request: &'a RequestFacts,
}

/// Records looked through for one page.
const LOOKED_AT_MAX: usize = 100_000;
/// Records in one export.
const EXPORT_MAX: u64 = 200_000;

/// Answers.
pub async fn answer(service: &Service, asked: Asked<'_>, rest: &[&str]) -> Result<Reply, Problem> {
    if asked.method != "GET" {
        return Err(Problem::absent());
    }
    let org = asked.caller.org.clone().ok_or_else(Problem::absent)?;
    let org = service.current(org, asked.now)?;
    match rest {
        ["key"] => Ok(Reply::ok(json!({ "key": service.signer.verifier().to_string() }))),
        ["events", id] => event(service, &asked, &org, id).await,
        [log, what @ ..] => {
            let log = match *log {
                "changes" => Log::Changes,
                "decisions" => Log::Decisions,
                _ => return Err(Problem::absent()),
            };
            let action = if *what == ["export"] { "audit.export" } else { "audit.read" };
            may(&org, &asked, action)?;
            let query = http_query(asked.query)?;
            match what {
                [] => search(service, &asked, &org, log, query).await,
                ["export"] => export(service, &asked, &org, log, query).await,
                ["proof"] => proof(service, &asked, &org, log, query).await,
                _ => Err(Problem::absent()),
            }
        }
        [] => Err(Problem::absent()),
    }
}

fn may(org: &OrgState, asked: &Asked<'_>, action: &'static str) -> Result<(), Problem> {
    let on = On::Scope("organization", &org.id);
    match permit(org, asked.caller, action, on, asked.now) {
        Ok(_) => Ok(()),
        Err(_) if permit(org, asked.caller, "read", on, asked.now).is_ok() => {
            Err(Problem::forbidden(format!("needs the right `{action}`")))
        }
        Err(_) => Err(Problem::absent()),
    }
}

/// Who goes on reading where a page ended.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<String, (i64, u64)>>);

/// How long a session waits for its next page.
const SESSION_MICROS: i64 = 10 * 60_000_000;
/// Sessions that are known at once; whoever is forgotten is recorded again.
const SESSIONS_MAX: usize = 10_000;

impl Sessions {
    fn continues(&self, session: &str, from: u64, now: i64) -> bool {
        let held = self.0.lock().expect("log_reading: nobody panics holding sessions");
        held.get(session).is_some_and(|(at, next)| *next == from && now - at < SESSION_MICROS)
    }

    fn next(&self, session: String, next: u64, now: i64) {
        let mut held = self.0.lock().expect("log_reading: nobody panics holding sessions");
        if held.len() >= SESSIONS_MAX {
            held.retain(|_, (at, _)| now - *at < SESSION_MICROS);
        }
        if held.len() >= SESSIONS_MAX {
            held.clear();
        }
        held.insert(session, (now, next));
    }
}

/// Records that somebody read.
async fn note(
    service: &Service,
    asked: &Asked<'_>,
    org: &OrgState,
    what: &str,
    filter: Value,
) -> Result<(), Problem> {
    let about = About {
        log: Log::Decisions,
        org: &org.uid,
        scope: &org.id,
        at: asked.now,
        revision: org.revision,
        request: asked.request,
    };
    let body = Body::Read { what: what.to_owned(), filter };
    let entry = journal::write(&about, Some((asked.caller, Some(org))), None, body, Draft::new()?)?;
    match service.decisions.append(&org.uid, entry).await {
        true => Ok(()),
        false => Err(Problem::unavailable("that you read the log can't be recorded, so it isn't shown")),
    }
}

/// A record as it is shown.
fn shown(number: u64, entry: &Entry, personal: bool) -> Value {
    let record: Value = serde_json::from_str(&entry.record).unwrap_or_default();
    let mut shown = json!({ "number": number, "leaf": entry.leaf(), "record": record });
    if personal {
        let values =
            entry.personal.iter().map(|p| json!({ "field": p.field, "value": p.value, "person": p.person }));
        shown["personal"] = values.collect::<Vec<_>>().into();
    }
    shown
}

fn fits(shown: &Value, entry: &Entry, filters: &[(String, String)]) -> bool {
    let record = &shown["record"];
    let items = record["body"]["decided"]["decisions"].as_array();
    let of_items = |field: &'static str| items.into_iter().flatten().map(move |d| &d[field]);
    let accounts = || of_items("account").chain([&record["account"]]);
    let chains = || of_items("chain").chain([&record["chain"]]);
    let behind = || chains().flat_map(|chain| chain.as_array().into_iter().flatten());
    let scopes = || of_items("scope").chain([&record["scope"]]);
    filters.iter().all(|(name, wanted)| match name.as_str() {
        "account" => {
            let is = |a: &Value| a["uid"] == wanted.as_str() || a["id"]["plain"] == wanted.as_str();
            accounts().chain(behind()).any(is)
                || entry.personal.iter().any(|p| p.field == "account.id" && p.value == *wanted)
        }
        "kind" => accounts().any(|a| a["kind"] == wanted.as_str()),
        "credential" => accounts().any(|a| a["credential"] == wanted.as_str()),
        "below" => scopes().any(|at| super::holding::covers(wanted, at.as_str().unwrap_or_default())),
        "text" => entry.record.contains(wanted.as_str()),
        _ => true,
    })
}

const FILTERS: &[&str] = &["account", "kind", "credential", "below", "text"];

async fn search(
    service: &Service,
    asked: &Asked<'_>,
    org: &Arc<OrgState>,
    log: Log,
    query: Vec<(String, String)>,
) -> Result<Reply, Problem> {
    let limit = usize::try_from(number(&query, "limit")?.unwrap_or(50)).unwrap_or(50).clamp(1, 500);
    let from = number(&query, "from")?;
    let filters: Vec<_> = query.iter().filter(|(n, _)| n != "limit" && n != "from").cloned().collect();
    if let Some((name, _)) = filters.iter().find(|(n, _)| !FILTERS.contains(&n.as_str())) {
        return Err(Problem::field(name, format!("no such filter; known: {}", FILTERS.join(", "))));
    }
    let session = format!("{} {} {filters:?}", asked.caller.key.uid, log.name());
    if !from.is_some_and(|from| service.sessions.continues(&session, from, asked.now)) {
        let what = if filters.is_empty() { "tail" } else { "search" };
        note(service, asked, org, what, json!({ "log": log.name(), "where": filters, "from": from })).await?;
    }
    let personal = may(org, asked, "audit.read_personal").is_ok();
    let looked = Looked { filters, limit, personal };
    let page = look(service, org, log, from.unwrap_or(0), looked).await?;
    if let Some(next) = page.next {
        service.sessions.next(session, next, asked.now);
    }
    let through = service.finder.through(&org.uid, log).min(page.size);
    Ok(Reply::ok(json!({ "items": page.items, "next": page.next, "indexed_through": through })))
}

/// What is looked for.
struct Looked {
    filters: Vec<(String, String)>,
    limit: usize,
    personal: bool,
}

/// What was found.
struct Page {
    items: Vec<Value>,
    next: Option<u64>,
    size: u64,
}

impl Looked {
    /// Reads ranges of records, one after another, until the page is full or enough was looked at. `read` calls back with each
    /// record until that says that it is enough.
    fn page(
        &self,
        ranges: Vec<Range<u64>>,
        size: u64,
        mut read: impl FnMut(Range<u64>, &mut dyn FnMut(u64, &Entry) -> bool) -> Result<(), Problem>,
    ) -> Result<Page, Problem> {
        let (mut items, mut next, mut looked_at) = (Vec::new(), None, 0);
        for range in ranges {
            read(range, &mut |number, entry| {
                looked_at += 1;
                let shown = shown(number, entry, self.personal);
                if fits(&shown, entry, &self.filters) {
                    items.push(shown);
                }
                let enough = items.len() == self.limit || looked_at == LOOKED_AT_MAX;
                if enough {
                    next = Some(number + 1).filter(|next| *next < size);
                }
                enough
            })?;
            if items.len() == self.limit || looked_at == LOOKED_AT_MAX {
                break;
            }
        }
        Ok(Page { items, next, size })
    }
}

/// Changes read at once.
const ROWS: u64 = 1_024;

async fn look(
    service: &Service,
    org: &Arc<OrgState>,
    log: Log,
    from: u64,
    looked: Looked,
) -> Result<Page, Problem> {
    let words = finder::wanted(&looked.filters);
    match log {
        Log::Changes => tokio::task::block_in_place(|| {
            service.read(|read| {
                let size = u64::try_from(read.head(&org.uid)?.0).unwrap_or(0);
                let ranges = service.finder.ranges(&org.uid, log, &words, from..size);
                looked.page(ranges, size, |range, see| {
                    let mut at = range.start;
                    while at < range.end {
                        let count = usize::try_from((range.end - at).min(ROWS)).unwrap_or(0);
                        let rows = read.changes(&org.uid, i64::try_from(at).unwrap_or(i64::MAX), count)?;
                        if rows.is_empty() {
                            break;
                        }
                        for row in rows {
                            at = u64::try_from(row.seq).unwrap_or(u64::MAX);
                            if see(at - 1, &row.entry) {
                                return Ok(());
                            }
                        }
                    }
                    Ok(())
                })
            })
        }),
        Log::Decisions => {
            let log = service.decisions.snapshot(&org.uid).await.ok_or_else(unreadable)?;
            let records = from.max(log.kept_from())..log.size();
            let ranges = service.finder.ranges(&org.uid, Log::Decisions, &words, records);
            aside(move || looked.page(ranges, log.size(), |range, see| read_day(&log, range, see))).await
        }
    }
}

fn read_day(
    log: &DayLog,
    range: Range<u64>,
    see: &mut dyn FnMut(u64, &Entry) -> bool,
) -> Result<(), Problem> {
    for found in log.records(range) {
        let (number, entry) = found.map_err(damaged)?;
        if see(number, &entry) {
            break;
        }
    }
    Ok(())
}

/// A number in a query.
fn number(query: &[(String, String)], name: &str) -> Result<Option<u64>, Problem> {
    let found = query.iter().find(|(n, _)| n == name);
    found.map(|(_, v)| v.parse().map_err(|_| Problem::field(name, "expected a number"))).transpose()
}

/// Works on a snapshot, where nobody is held up who decides.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(unreadable()))
}

fn unreadable() -> Problem {
    Problem::unavailable("the log can't be read")
}

/// What is wrong with the log is told to who may read it, but not where its files are.
fn damaged(error: DayError) -> Problem {
    tracing::error!(%error, "a log can't be read");
    Problem::unavailable(match error {
        DayError::Damaged { file, offset, .. } => {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            format!("{name} is damaged at byte {offset}: restore it from a backup")
        }
        DayError::Io(_, error) => format!("the log can't be read: {error}"),
        other => other.to_string(),
    })
}

/// Signs a checkpoint over the decisions so far; the log as it is then.
pub async fn signed(service: &Service, org: &str) -> Result<(DayLog, String), Problem> {
    let (installation, uid) = (service.installation.clone(), org.to_owned());
    let signer = Arc::clone(&service.signer);
    let look = move |log: &mut DayLog| {
        let note = sign(log, &installation, &uid, &signer)?;
        Ok((log.snapshot(), note))
    };
    service.decisions.look(org, look).await.ok_or_else(unreadable)?.map_err(damaged)
}

async fn export(
    service: &Service,
    asked: &Asked<'_>,
    org: &Arc<OrgState>,
    log: Log,
    query: Vec<(String, String)>,
) -> Result<Reply, Problem> {
    let (from, to) = (number(&query, "from")?, number(&query, "to")?);
    note(service, asked, org, "export", json!({ "log": log.name(), "from": from, "to": to })).await?;
    let personal = may(org, asked, "audit.read_personal").is_ok();
    let uid = org.uid.clone();
    let origin = origin_of(&service.installation, &uid, log);
    let notes = service.read(|read| log_key::rotations(read).map_err(Problem::unavailable))?;
    let notes = notes.get(&origin).cloned().unwrap_or_default();
    let signer = Arc::clone(&service.signer);
    let text = match log {
        Log::Decisions => {
            let (log, note) = signed(service, &uid).await?;
            aside(move || {
                let (kept, tree) = (log.kept_from(), log.tree());
                let part = part(from.unwrap_or(kept), to, log.size())?;
                let note = ending(&signer, &origin, (tree, &log), part.end, note)?;
                let there = kept.clamp(part.start, part.end)..part.end;
                let all: Result<Vec<_>, _> = log.records(there).collect();
                let all: Vec<Entry> = all.map_err(damaged)?.into_iter().map(|(_, e)| e).collect();
                write(&origin, (tree, &log), (part, kept), &all, (&notes, &note), personal)
            })
            .await?
        }
        Log::Changes => service.read(|read| {
            let (tree, leaves, note) = changes_checkpoint(service, read, &uid)?;
            let part = part(from.unwrap_or(0), to, tree.size())?;
            let note = ending(&signer, &origin, (&tree, &leaves), part.end, note)?;
            let after = i64::try_from(part.start).unwrap_or(i64::MAX);
            let rows = read.changes(&uid, after, usize::try_from(part.end - part.start).unwrap_or(0))?;
            let all: Vec<Entry> = rows.into_iter().map(|r| r.entry).collect();
            write(&origin, (&tree, &leaves), (part, 0), &all, (&notes, &note), personal)
        })?,
    };
    Ok(Reply::ok(json!({ "export": text, "key": service.signer.verifier().to_string() })))
}

/// The records that one export has, of a log with so many.
fn part(first: u64, to: Option<u64>, size: u64) -> Result<Range<u64>, Problem> {
    let end = to.unwrap_or(size);
    if end > size {
        return Err(Problem::field("to", format!("the log has {size} records")));
    }
    let Some(count) = end.checked_sub(first) else {
        return Err(Problem::field("from", format!("that is past the end: {end}")));
    };
    if count > EXPORT_MAX {
        let most = first + EXPORT_MAX;
        let say = format!(
            "{count} records; one export has at most {EXPORT_MAX}: end it with `to` at {most} and go on from there"
        );
        return Err(Problem::field("to", say));
    }
    Ok(first..end)
}

/// The checkpoint at the end of a part: `last`, or one over as many records.
fn ending(
    signer: &SignerKey,
    origin: &str,
    (tree, leaves): (&Tree, &(impl Leaves + ?Sized)),
    end: u64,
    last: String,
) -> Result<String, Problem> {
    if end == tree.size() {
        return Ok(last);
    }
    let root = tree.root_at(leaves, end).map_err(|e| Problem::unavailable(e.to_string()))?;
    Ok(Checkpoint { origin: origin.to_owned(), size: end, root }.sign(signer))
}

/// The export of a part of a log; the records before `kept` by their hash.
fn write(
    origin: &str,
    (tree, leaves): (&Tree, &(impl Leaves + ?Sized)),
    (part, kept): (Range<u64>, u64),
    entries: &[Entry],
    (rotations, note): (&[String], &str),
    personal: bool,
) -> Result<String, Problem> {
    // A rotation stands after the last record that the old key vouches for.
    let at = |note: &String| Rotation::unverified_size(note).map(|size| (size, note.clone()));
    let rotations: Vec<(u64, String)> = rotations.iter().filter_map(at).collect();
    let made = (|| {
        let first = part.start;
        let gone = usize::try_from(kept.clamp(first, part.end) - first).unwrap_or(usize::MAX);
        let mut export = Exporter::begin(Vec::new(), origin, tree, leaves, part, kept)?;
        let passed = |export: &mut Exporter<Vec<u8>>, number: u64| {
            let mut here = rotations.iter().filter(|(size, _)| *size == number);
            here.try_for_each(|(_, note)| export.rotation(note))
        };
        let mut number = first;
        for leaf in if gone > 0 { leaves.leaves(first, gone)? } else { Vec::new() } {
            passed(&mut export, number)?;
            export.hash(leaf)?;
            number += 1;
        }
        for entry in entries {
            passed(&mut export, number)?;
            number += 1;
            match personal {
                true => export.record(entry)?,
                false => export.record(&Entry { personal: Vec::new(), ..entry.clone() })?,
            }
        }
        passed(&mut export, number)?;
        export.finish(note)
    })();
    let bytes = made.map_err(|e: std::io::Error| Problem::unavailable(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| Problem::unavailable(e.to_string()))
}

/// Signs a checkpoint over the changes so far and keeps it outside the database.
fn changes_checkpoint(
    service: &Service,
    read: &mut dyn super::store::Read,
    org: &str,
) -> Result<(Tree, Vec<crate::audit::Hash32>, String), Problem> {
    let leaves = read.leaves(org)?;
    let tree = Tree::over(&leaves);
    let note = store_checkpoint(service, org, &tree)?;
    Ok((tree, leaves, note))
}

/// Signs a checkpoint over the tree of an organization's changes; it is kept outside the database, unless a later one is.
pub fn store_checkpoint(service: &Service, org: &str, tree: &Tree) -> Result<String, Problem> {
    let origin = origin_of(&service.installation, org, Log::Changes);
    let note = Checkpoint { origin, size: tree.size(), root: tree.root() }.sign(&service.signer);
    let file = checkpoint_file(&service.places, org);
    let _alone = service.signing.lock().expect("log_reading: nobody panics while signing");
    let kept = std::fs::read_to_string(&file).ok().and_then(|kept| Checkpoint::unverified(&kept).ok());
    if kept.is_some_and(|kept| kept.size > tree.size()) {
        return Ok(note);
    }
    let stored = (|| {
        std::fs::create_dir_all(service.places.checkpoints())?;
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, &note)?;
        std::fs::File::open(&fresh)?.sync_all()?;
        std::fs::rename(&fresh, &file)?;
        std::fs::File::open(service.places.checkpoints())?.sync_all()
    })();
    stored.map_err(|e: std::io::Error| Problem::unavailable(format!("a checkpoint can't be stored: {e}")))?;
    Ok(note)
}

async fn proof(
    service: &Service,
    asked: &Asked<'_>,
    org: &Arc<OrgState>,
    log: Log,
    query: Vec<(String, String)>,
) -> Result<Reply, Problem> {
    let wanted = number(&query, "number")?;
    let number = wanted.ok_or_else(|| Problem::field("number", "the number of the record, from 0"))?;
    note(service, asked, org, "prove", json!({ "log": log.name(), "number": number })).await?;
    let uid = org.uid.clone();
    let unproven = |e: std::io::Error| Problem::field("number", e.to_string());
    let proof = match log {
        Log::Decisions => {
            let (log, note) = signed(service, &uid).await?;
            aside(move || {
                let entry = log.entry(number).map_err(|error| match error {
                    DayError::NoRecord(_) => Problem::field("number", error.to_string()),
                    other => damaged(other),
                })?;
                InclusionProof::of(log.tree(), &log, number, &entry, &note).map_err(unproven)
            })
            .await?
        }
        Log::Changes => service.read(|read| {
            let (tree, leaves, note) = changes_checkpoint(service, read, &uid)?;
            let row = read.changes(&uid, i64::try_from(number).unwrap_or(i64::MAX), 1)?.pop();
            let entry = row.ok_or_else(|| Problem::field("number", "there is no such record"))?.entry;
            InclusionProof::of(&tree, &leaves, number, &entry, &note).map_err(unproven)
        })?,
    };
    Ok(Reply::ok(json!({ "proof": proof, "key": service.signer.verifier().to_string() })))
}

/// One decision, by the id of its event: whole for who may read the log, reduced for who was decided about.
async fn event(
    service: &Service,
    asked: &Asked<'_>,
    org: &Arc<OrgState>,
    id: &str,
) -> Result<Reply, Problem> {
    let harmless = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let wanted = format!("\"event\":\"{id}\"");
    let log = service.decisions.snapshot(&org.uid).await.ok_or_else(unreadable)?;
    let words = [Word::of("event", id)];
    let ranges = service.finder.ranges(&org.uid, Log::Decisions, &words, log.kept_from()..log.size());
    let look = move || {
        let mut found = None;
        for range in ranges.into_iter().rev().filter(|_| harmless) {
            read_day(&log, range, &mut |number, entry| {
                if entry.record.contains(&wanted) && entry.record.contains("\"decided\"") {
                    found = Some((number, entry.clone()));
                }
                found.is_some()
            })?;
            if found.is_some() {
                break;
            }
        }
        Ok(found)
    };
    let (number, entry) = aside(look).await?.ok_or_else(Problem::absent)?;
    let whole = may(org, asked, "audit.read").is_ok();
    let mut shown = shown(number, &entry, false);
    if whole {
        note(service, asked, org, "search", json!({ "log": "decisions", "id": id })).await?;
        return Ok(Reply::ok(shown));
    }
    let record = shown["record"].take();
    let decisions = record["body"]["decided"]["decisions"].as_array().cloned().unwrap_or_default();
    let decision = decisions.iter().find(|d| d["event"] == id).cloned().unwrap_or_default();
    // In a batch about several each item says whom it is about.
    let about = if decision["account"].is_object() { &decision["account"] } else { &record["account"] };
    let own = asked.caller.account.as_ref().is_some_and(|a| about["uid"] == a.uid.as_str());
    if !own {
        return Err(Problem::absent());
    }
    Ok(Reply::ok(json!({
        "event": id, "time": record["time"], "action": decision["action"], "resource": decision["resource"],
        "allowed": decision["allowed"], "step": decision["step"],
    })))
}
