//! For `benches/load`: the service as it is, over a log of decisions that keeps nothing; a large directory at once; indexes.
//!
//! In:    a data folder; an address on this machine, or accounts and resources.
//! Out:   the interface, whose decisions are made, and their records, and thrown away; a directory with the records of its
//!        changes; logs that are indexed to their ends.
//! Law:   only the feature `bench` has it, and no command of ours calls it.

use super::change::{Change, RequestFacts};
use super::clock::wall;
use super::decisions::Decisions;
use super::finder::Pace;
use super::guard::host_access;
use super::http::{self, Limits};
use super::lines;
use super::object::{Fields, Kind};
use super::problem::Problem;
use super::retention::Keep;
use super::running::{Places, Service, Settings, lock};
use super::secret::new_uid;
use super::store::{Read, Sqlite, Store, Write};
use crate::audit::record::Log;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Serves until the process ends.
pub fn serve_keeping_nothing(data: &Path, address: SocketAddr) -> Result<(), String> {
    if !address.ip().is_loopback() {
        return Err(format!("{address} is not on this machine"));
    }
    lines::start(tracing::Level::INFO);
    let mut service = open(data)?;
    service.decisions = Decisions::keeping_nothing();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|e| e.to_string())?.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.map_err(|e| e.to_string())?;
        let limits = Limits { per_address: 0, per_key: 0, per_organization: 0, ..Limits::default() };
        http::serve(listener, Arc::new(service), &limits, std::future::pending()).await;
        Ok(())
    })
}

fn open(data: &Path) -> Result<Service, String> {
    let keep = Keep { days: i64::MAX, bytes: u64::MAX };
    let settings = Settings { proxies: Vec::new(), keep, reserve: 0, owner_gone_days: 14 };
    Service::open(&Places::below(data, None), settings, &std::sync::atomic::AtomicU64::new(0))
}

/// Brings the indexes of the logs up to the logs, which a service does beside answering, a little each second.
pub fn index(data: &Path) -> Result<(), String> {
    let service = open(data)?;
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let orgs = service.read(|read| Ok(read.organizations()?)).map_err(|problem| problem.detail)?;
    for org in orgs {
        let through = || [Log::Decisions, Log::Changes].map(|log| service.finder.through(&org, log));
        loop {
            let before = through();
            let some_time = (Pace::Full, Instant::now() + Duration::from_secs(2));
            service.finder.go_on(&service, runtime.handle(), &org, some_time)?;
            if through() == before {
                break;
            }
        }
    }
    Ok(())
}

/// What a directory is filled with.
pub enum Item {
    /// An account of this kind, a member of these groups, which are there.
    Account(&'static str, String, Vec<String>),
    /// A resource: its kind, its id, the path where it stands, its attributes.
    Resource(&'static str, String, String, Value),
}

/// Objects of one change.
const CHANGE_OBJECTS: usize = 60;
/// Changes of one transaction.
const TRANSACTION_CHANGES: usize = 100;

/// Fills the one organization of a store that nobody serves, with the records that the interface would have written.
pub fn fill(data: &Path, owner: &str, items: &mut dyn Iterator<Item = Item>) -> Result<(), String> {
    let places = Places::below(data, None);
    let _lock = lock(&places)?;
    let failed = |e: super::store::StoreError| e.to_string();
    let store = Sqlite::at(&places.database());
    let mut tx = store.writer().map_err(failed)?;
    let org = tx.organizations().map_err(failed)?.pop().ok_or("there is no organization")?;
    let mut known = Known::default();
    let mut items = items.peekable();
    while items.peek().is_some() {
        tx.begin().map_err(failed)?;
        for _ in 0..TRANSACTION_CHANGES {
            change(tx.as_mut(), &org, owner, &mut known, &mut items).map_err(|p| p.detail)?;
        }
        tx.commit().map_err(failed)?;
    }
    Ok(())
}

/// Uids that were looked up.
#[derive(Default)]
struct Known(HashMap<(Kind, String), String>);

impl Known {
    fn uid(
        &mut self,
        read: &mut (impl Read + ?Sized),
        org: &str,
        kind: Kind,
        name: &str,
    ) -> Result<String, Problem> {
        let key = (kind, name.to_owned());
        if let Some(uid) = self.0.get(&key) {
            return Ok(uid.clone());
        }
        let uid = read.named(org, kind, name)?.ok_or_else(Problem::absent)?.uid;
        self.0.insert(key, uid.clone());
        Ok(uid)
    }
}

fn change(
    tx: &mut dyn Write,
    org: &str,
    owner: &str,
    known: &mut Known,
    items: &mut dyn Iterator<Item = Item>,
) -> Result<(), Problem> {
    let root = tx.object(org, org)?.ok_or_else(Problem::absent)?.name;
    let permit = host_access();
    let (seq, last) = tx.head(org)?;
    let mut change = Change {
        tx,
        org: org.to_owned(),
        state: None,
        caller: None,
        at: wall().max(last),
        seq: seq + 1,
        after: Vec::new(),
        heard: true,
        before: std::collections::HashMap::new(),
        host: true,
        rules: vec![("host", "access to the host".to_owned())],
        denied: None,
    };
    while change.after.len() < CHANGE_OBJECTS {
        let Some(item) = items.next() else { break };
        match item {
            Item::Account(kind, id, groups) => {
                let kind = Kind::of_wire(kind).ok_or_else(Problem::absent)?;
                let mut body = fields(json!({ "id": id, "home": root, "status": "active" }));
                let mut refs = vec![("scope".to_owned(), org.to_owned())];
                if kind == Kind::User {
                    refs.push(("spelling".to_owned(), format!("~user {id}")));
                } else {
                    let person = known.uid(change.tx, org, Kind::User, owner)?;
                    body.insert("purpose".into(), "a load".into());
                    body.insert("owner".into(), json!({ "kind": "user", "id": owner }));
                    refs.push(("owner".to_owned(), person));
                }
                let mut account = change.object(kind, &id, &root, body);
                account.refs = refs;
                let account = change.put(&permit, account)?;
                for group in groups {
                    let uid = known.uid(change.tx, org, Kind::Group, &group)?;
                    let member = json!({ "kind": kind.wire(), "id": id });
                    let body = fields(json!({ "group": group, "member": member }));
                    let name = format!("{uid}|{}", account.uid);
                    let mut membership = change.object(Kind::Membership, &name, &root, body);
                    membership.refs =
                        vec![("group".to_owned(), uid), ("member".to_owned(), account.uid.clone())];
                    change.put(&permit, membership)?;
                }
            }
            Item::Resource(kind, id, scope, attributes) => {
                let place = match scope.matches('/').count() {
                    0 => org.to_owned(),
                    1 => known.uid(change.tx, org, Kind::Project, &scope)?,
                    _ => known.uid(change.tx, org, Kind::Environment, &scope)?,
                };
                let body = json!({ "kind": kind, "id": id, "scope": scope, "attributes": attributes });
                let name = format!("{kind}/{id}");
                let mut resource = change.object(Kind::Resource, &name, &scope, fields(body));
                resource.refs = vec![("scope".to_owned(), place)];
                change.put(&permit, resource)?;
            }
        }
    }
    if !change.after.is_empty() {
        let request =
            RequestFacts { id: new_uid("req"), action: "fill".to_owned(), ..RequestFacts::default() };
        for entry in change.records(&request)? {
            change.tx.append(org, &entry)?;
        }
    }
    Ok(())
}

fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => unreachable!("bench: fields are an object"),
    }
}
