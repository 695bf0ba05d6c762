//! `policyd import`: very many objects at once, from a file, while the service is stopped.
//!
//! In:    JSON Lines, each `{"user": {…}}` with the fields that the interface takes to make one.
//! Out:   the objects, and the records of the log that say that the host made them.
//! Law:   all of it or nothing: a copy of the database is filled and takes the old one's place in one step once it is on
//!        the disk. Each line goes through the command of the interface and into the engine's directory: what the
//!        interface would refuse, or has no meaning under the active set, is refused, with its line. An import makes
//!        new things only; it gives no consent and mints no keys.

mod catalog;
mod lines;

use super::api::{Input, Op, operations};
use super::authn::Caller;
use super::build::{Rows, Unmade, Work};
use super::change::{Change, RequestFacts};
use super::clock::wall;
use super::facts::Row;
use super::fields;
use super::memory::{Key, Memory, OrgState};
use super::object::{Kind, Object};
use super::pepper::Peppers;
use super::prelude;
use super::problem::Problem;
use super::quotas::{self, Of, Quotas};
use super::running::{Places, last_record, lock};
use super::secret::new_uid;
use super::store::{Read, Sqlite, Store, Stored};
use crate::audit::record::Entry;
use crate::{Json, nearest};
use catalog::Catalog;
use lines::Lines;
use std::collections::{HashMap, HashSet};
use std::io::BufRead;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// What a line may bring.
const KINDS: &[Kind] = &[
    Kind::Project,
    Kind::Environment,
    Kind::Group,
    Kind::User,
    Kind::ServiceAccount,
    Kind::Agent,
    Kind::Membership,
    Kind::Attachment,
    Kind::Resource,
    Kind::Binding,
    Kind::Link,
];

/// Mistakes that are told before reading stops.
const MISTAKES_MAX: usize = 20;
/// Objects, people and bytes of text in a record, so that it stays within its bounds.
const BATCH_OBJECTS_MAX: usize = 128;
const BATCH_BYTES_MAX: usize = 54 * 1024;
/// Bytes of a record that each object takes beside its own text.
const OBJECT_BYTES: usize = 380;
/// Records in a transaction of the copy.
const COMMIT_RECORDS: usize = 2_000;

/// What is to be done.
pub struct Order<'a> {
    /// Where the store is.
    pub places: &'a Places,
    /// The id of the organization; the only one if it isn't given.
    pub organization: Option<&'a str>,
    /// The file, for messages.
    pub name: &'a str,
    /// Only look whether it could be done.
    pub check: bool,
    /// Lines and bytes read so far, for whoever waits.
    pub seen: &'a Seen,
}

/// How far it is.
#[derive(Debug, Default)]
pub struct Seen {
    /// Lines.
    pub lines: AtomicU64,
    /// Bytes.
    pub bytes: AtomicU64,
}

/// What was done.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// The id of the organization.
    pub organization: String,
    /// Objects of each kind, in the order of kinds.
    pub made: Vec<(Kind, u64)>,
    /// Records in the log.
    pub records: u64,
}

/// Imports; else says all that is wrong with the first lines that are wrong, and nothing was changed.
pub fn import(order: &Order<'_>, from: impl BufRead) -> Result<Report, Vec<String>> {
    let one = |message: String| vec![message];
    if !order.places.database().exists() {
        let data = order.places.data.display();
        return Err(one(format!("{data} is not initialised: run `policyd init --data {data}` first")));
    }
    let _lock = lock(order.places).map_err(one)?;
    let peppers = Arc::new(Peppers::read(&order.places.pepper).map_err(one)?);
    let store = Sqlite::at(&order.places.database());
    let mut read = ready(&store).map_err(|e| one(e.to_string()))?;
    let at = wall().max(last_record(read.as_mut()).map_err(one)?);
    let state = organization(order, read.as_mut(), at).map_err(one)?;
    let copy = order.places.data.join("policyd.db.import");
    let target = if order.check { None } else { Some(Target::copy(&store, &copy).map_err(one)?) };
    let done = fill(order, from, read.as_mut(), &state, peppers, at, target.as_ref());
    drop(read);
    match (done, target) {
        (Ok(report), None) => Ok(report),
        (Ok(report), Some(target)) => {
            let kept = store.replace_with(&target.path).map_err(|e| one(e.to_string()));
            kept.map(|()| report)
        }
        (Err(mistakes), target) => {
            if let Some(Err(error)) = target.map(|t| std::fs::remove_file(&t.path)) {
                eprintln!("policyd: {} can't be removed: {error}; it is of no use", copy.display());
            }
            Err(mistakes)
        }
    }
}

/// The store with the newest schema, to be read.
fn ready(store: &Sqlite) -> Stored<Box<dyn Read + Send>> {
    drop(store.writer()?);
    store.reader()
}

/// The organization to import into, as it is.
fn organization(order: &Order<'_>, read: &mut dyn Read, at: i64) -> Result<Arc<OrgState>, String> {
    let mut known = Vec::new();
    for uid in read.organizations().map_err(|e| e.to_string())? {
        let root = read.object(&uid, &uid).map_err(|e| e.to_string())?;
        known.extend(root.map(|root| (root.name, uid)));
    }
    let ids: Vec<&str> = known.iter().map(|(id, _)| id.as_str()).collect();
    let found = match (order.organization, &known[..]) {
        (Some(id), _) => known.iter().find(|(known, _)| known == id),
        (None, [only]) => Some(only),
        (None, _) => {
            return Err(format!("say --organization: there are {}", ids.join(", ")));
        }
    };
    let Some((id, uid)) = found else {
        let asked = order.organization.unwrap_or_default();
        let near = nearest(asked, ids.iter().copied()).map(|n| format!("; did you mean `{n}`?"));
        return Err(format!("no organization `{asked}`{}", near.unwrap_or_default()));
    };
    let memory = Memory::load(read, at, &AtomicU64::new(0))?;
    let state = memory.org(uid).filter(|state| state.whole);
    state.ok_or_else(|| {
        format!("something stored in `{id}` has no meaning under its active policy set: activate one under which it has")
    })
}

/// The copy that is filled.
struct Target {
    path: std::path::PathBuf,
    store: Sqlite,
}

impl Target {
    fn copy(from: &Sqlite, path: &std::path::Path) -> Result<Target, String> {
        if path.exists() {
            let failed = |e: std::io::Error| {
                format!("can't remove {}, left by an import that was stopped: {e}", path.display())
            };
            std::fs::remove_file(path).map_err(failed)?;
        }
        from.copy_to(path).map_err(|e| e.to_string())?;
        Ok(Target { path: path.to_owned(), store: Sqlite::at(path).filling() })
    }
}

/// What the records of a change say: objects, with their fields and references as text, and the records.
struct Batch {
    objects: Vec<Object>,
    texts: Vec<(String, String)>,
    entries: Vec<Entry>,
}

fn fill(
    order: &Order<'_>,
    from: impl BufRead,
    read: &mut dyn Read,
    state: &Arc<OrgState>,
    peppers: Arc<Peppers>,
    at: i64,
    target: Option<&Target>,
) -> Result<Report, Vec<String>> {
    let guard = prelude::guard();
    let without = [HashSet::new(), HashSet::new()];
    let mut work = Work::new(guard.vocabulary(), state.own.set.vocabulary(), &without, at);
    let unmade = |unmade: Unmade| match unmade {
        Unmade::Unread(error) => vec![error.to_string()],
        Unmade::Contradiction(why) => vec![why],
    };
    work.all(&mut Rows::of(read, &state.uid, &AtomicU64::new(0))).map_err(unmade)?;
    let catalog = Catalog::of(read, &state.uid).map_err(|e| vec![e.to_string()])?;
    let seq = read.head(&state.uid).map_err(|e| vec![e.to_string()])?.0;
    let (to, batches) = sync_channel::<Batch>(64);
    std::thread::scope(|threads| {
        let writing = target.map(|t| threads.spawn(|| write(&t.store, &state.uid, at, batches)));
        let mut run = Run {
            order,
            ops: ops(),
            maker: Maker { state: Arc::clone(state), caller: host(), at, seq: seq + 1 },
            catalog,
            work,
            input: Input {
                id: String::new(),
                fields: fields::read("{}", &[]).unwrap_or_default(),
                if_match: None,
                peppers,
            },
            batch: Vec::new(),
            texts: Vec::new(),
            batch_bytes: 0,
            made: KINDS.iter().map(|k| (*k, 0)).collect(),
            records: 0,
            mistakes: Vec::new(),
            to: writing.is_some().then_some(to),
        };
        run.lines(from);
        let (mut mistakes, made, records) = run.finish(unmade);
        if mistakes.is_empty() {
            mistakes.extend(past_quota(read, &state.uid, &made).map_err(|e| vec![e.to_string()])?);
        }
        let written = writing.map(|w| w.join().expect("import: the writing thread doesn't panic"));
        match written {
            Some(Err(error)) => Err(vec![error.to_string()]),
            _ if !mistakes.is_empty() => Err(mistakes),
            _ => Ok(Report { organization: state.id.clone(), made, records }),
        }
    })
}

/// The quotas that would be passed.
fn past_quota(read: &mut dyn Read, org: &str, made: &[(Kind, u64)]) -> Stored<Vec<String>> {
    let quotas = read.object(org, org)?.map(|root| Quotas::of(&root)).unwrap_or_default();
    let mut past = Vec::new();
    for (kind, made) in made {
        let Some(quota) = quotas::ALL.iter().find(|q| q.of == Of::Objects(*kind)) else { continue };
        let (there, limit) = (read.count(org, *kind)?, quotas.limit(quota));
        if there + made > limit {
            past.push(format!(
                "{}: {there} are there and {made} would come; the organization may have {limit}: raise it with `policyd organizations quotas`",
                quota.doc
            ));
        }
    }
    Ok(past)
}

/// Fills the copy until nobody sends any more.
fn write(store: &Sqlite, org: &str, at: i64, batches: Receiver<Batch>) -> Stored<()> {
    let mut tx = store.writer()?;
    let mut written = 0;
    tx.begin()?;
    for Batch { objects, texts, entries } in batches {
        for (object, (body, refs)) in objects.iter().zip(&texts) {
            tx.add(object, body, refs)?;
        }
        for entry in &entries {
            tx.append(org, entry)?;
        }
        written += entries.len();
        if written >= COMMIT_RECORDS {
            tx.commit()?;
            tx.begin()?;
            written = 0;
        }
    }
    tx.set_fact(&quotas::imported(org), &at.to_string())?;
    tx.commit()
}

/// Who has the host: no account and no key of anybody's.
fn host() -> Caller {
    Caller {
        key: Arc::new(Key::unbounded("", "", "", false)),
        key_id: String::new(),
        org: None,
        account: None,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

fn ops() -> HashMap<&'static str, &'static Op> {
    let creates = |kind: &Kind| {
        let mut all = operations();
        let op =
            all.find(|op| op.method == "POST" && op.collection == kind.collection() && op.rest.is_empty());
        (kind.wire(), op.expect("import: each of these can be created"))
    };
    KINDS.iter().map(creates).collect()
}

/// What all changes of an import have in common.
struct Maker {
    state: Arc<OrgState>,
    caller: Caller,
    at: i64,
    seq: i64,
}

impl Maker {
    fn change<'c>(&self, tx: &'c mut Catalog) -> Change<'c> {
        Change {
            tx,
            org: self.state.uid.clone(),
            state: Some(Arc::clone(&self.state)),
            caller: Some(self.caller.clone()),
            host: true,
            at: self.at,
            seq: self.seq,
            heard: false,
            after: Vec::new(),
            before: HashMap::new(),
            rules: Vec::new(),
            denied: None,
        }
    }
}

struct Run<'a, 'v> {
    order: &'a Order<'a>,
    ops: HashMap<&'static str, &'static Op>,
    maker: Maker,
    catalog: Catalog,
    work: Work<'v>,
    input: Input,
    batch: Vec<Object>,
    texts: Vec<(String, String)>,
    batch_bytes: usize,
    made: Vec<(Kind, u64)>,
    records: u64,
    mistakes: Vec<String>,
    to: Option<SyncSender<Batch>>,
}

impl Run<'_, '_> {
    fn lines(&mut self, from: impl BufRead) {
        let mut lines = Lines::new(from);
        loop {
            let done = match lines.next() {
                Ok(None) => return,
                Ok(Some(line)) => {
                    self.order.seen.lines.store(line.number, Ordering::Relaxed);
                    self.order.seen.bytes.store(line.bytes, Ordering::Relaxed);
                    self.line(line.text).map_err(|said| (line.number, said, false))
                }
                Err((number, said)) => Err((number, said, true)),
            };
            if let Err((number, said, last)) = done {
                self.mistakes.push(format!("{}:{number}: {said}", self.order.name));
                if last || self.mistakes.len() >= MISTAKES_MAX {
                    return;
                }
            }
        }
    }

    fn line(&mut self, text: &str) -> Result<(), String> {
        let json = Json::parse(text).map_err(|e| format!("not JSON: {}", e.in_text(text)))?;
        let members = json.members().filter(|m| m.len() == 1);
        let known = || KINDS.iter().map(|k| k.wire());
        let Some([member]) = members.as_deref() else {
            return Err(format!(
                "expected an object with one field, one of {}",
                known().collect::<Vec<_>>().join(", ")
            ));
        };
        let Some(op) = self.ops.get(&*member.key).copied() else {
            let near = nearest(&member.key, known()).map(|n| format!("; did you mean `{n}`?"));
            return Err(format!("nothing called `{}` is imported{}", member.key, near.unwrap_or_default()));
        };
        let told = |problem: Problem, missed: Option<(Kind, String)>| {
            let field = problem.more.iter().find(|(name, _)| *name == "field").and_then(|(_, v)| v.as_str());
            let at = field.map_or_else(|| member.key.to_string(), |field| format!("{}.{field}", member.key));
            match (problem == Problem::absent(), missed) {
                (true, Some((kind, name))) => {
                    format!(
                        "{at}: no {} `{name}`: it isn't stored and no line before this one makes it",
                        kind.wire()
                    )
                }
                _ => format!("{at}: {}", problem.detail),
            }
        };
        self.input.fields = fields::read(member.value.text, op.fields).map_err(|p| told(p, None))?;
        self.catalog.missed = None;
        let mut change = self.maker.change(&mut self.catalog);
        let done = (op.run)(&mut change, &self.input);
        let after = std::mem::take(&mut change.after);
        drop(change);
        done.map_err(|problem| told(problem, self.catalog.missed.take()))?;
        for object in after {
            self.take(object).map_err(|said| format!("{}: {said}", member.key))?;
        }
        Ok(())
    }

    /// Puts an object into the directories, and into the record that is being made.
    fn take(&mut self, object: Object) -> Result<(), String> {
        let (body, refs) = object.written();
        let row = Row::read((object.kind, &object.uid, &object.name, &object.scope), &body, &refs)?;
        self.work.add(&row).map_err(|m| match m.field.is_empty() {
            true => m.why,
            false => format!("{}: {}", m.field, m.why),
        })?;
        if let Some((_, made)) = self.made.iter_mut().find(|(kind, _)| *kind == object.kind) {
            *made += 1;
        }
        let texts = [&object.uid, &object.name, &object.scope, &body, &refs];
        self.batch_bytes += texts.into_iter().map(String::len).sum::<usize>() + OBJECT_BYTES;
        self.batch.push(object);
        self.texts.push((body, refs));
        if self.batch.len() >= BATCH_OBJECTS_MAX || self.batch_bytes >= BATCH_BYTES_MAX {
            self.send()?;
        }
        Ok(())
    }

    /// Hands the objects of a record over, with it.
    fn send(&mut self) -> Result<(), String> {
        let (objects, texts) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.texts));
        self.batch_bytes = 0;
        if objects.is_empty() || !self.mistakes.is_empty() {
            return Ok(());
        }
        let mut change = self.maker.change(&mut self.catalog);
        change.caller = None;
        change.rules.push(("host", "access to the host".to_owned()));
        change.after = objects;
        let request =
            RequestFacts { id: new_uid("req"), action: "import".to_owned(), ..RequestFacts::default() };
        let entries = change.records(&request).map_err(|p| p.detail)?;
        let objects = std::mem::take(&mut change.after);
        drop(change);
        self.maker.seq += entries.len() as i64;
        self.records += entries.len() as u64;
        if let Some(to) = &self.to {
            // Whoever doesn't take it any more says why when it is asked.
            let _ = to.send(Batch { objects, texts, entries });
        }
        Ok(())
    }

    fn finish(mut self, unmade: impl Fn(Unmade) -> Vec<String>) -> (Vec<String>, Vec<(Kind, u64)>, u64) {
        if let Err(said) = self.send() {
            self.mistakes.push(said);
        }
        if self.mistakes.is_empty()
            && let Err(why) = self.work.done(Vec::new())
        {
            self.mistakes.extend(unmade(why));
        }
        (self.mistakes, self.made.into_iter().filter(|(_, n)| *n > 0).collect(), self.records)
    }
}
