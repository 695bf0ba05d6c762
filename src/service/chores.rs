//! What is done beside answering: counted refusals are written, logs of changes get their checkpoints, what nobody answers for is
//! listed each day and disabled in the end.
//!
//! In:    a running service.
//! Out:   records and changes like any other.
//! Law:   nothing is done while it isn't certain what time it is. A checkpoint of the changes stands outside the database a minute
//!        after them at the latest.

use super::change::{Change, Reply, RequestFacts};
use super::finder::Pace;
use super::guard::host_access;
use super::journal::{self, About, Whom};
use super::log_reading::{self, store_checkpoint};
use super::object::{Kind, Object};
use super::problem::Problem;
use super::running::Service;
use super::secret::new_uid;
use super::store::{Read, Stored};
use super::writer::Job;
use crate::audit::DayLog;
use crate::audit::merkle::Tree;
use crate::audit::record::{Body, Draft, Log, Moment, Unowned};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// How often it is looked what is to be done.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How much the thread steps back behind those that answer, in steps of `nice`.
#[cfg(target_os = "linux")]
const LESS_URGENT: i32 = 19;
/// How long indexes are gone on with before it is looked again, all of them together.
const INDEXES: Duration = Duration::from_secs(2);
/// How often the logs of changes get a checkpoint.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
/// Leaf hashes, half a MiB of them, that are worth a sync of their own before the checkpoint syncs them.
const SYNC_LEAVES: u64 = 16_384;
/// How often it is looked who answers for what.
const OWNERS_EVERY: Duration = Duration::from_secs(3_600);
/// One day in microseconds.
const DAY_MICROS: i64 = 86_400_000_000;
/// Accounts in one record.
const LISTED_AT_ONCE: usize = 200;

/// What the thread remembers.
#[derive(Default)]
struct Done {
    /// The trees of changes, as far as they have checkpoints.
    trees: HashMap<String, Tree>,
    /// The day on which an organization's accounts without an owner were listed.
    listed: HashMap<String, i64>,
    /// How many decisions an organization had when its leaf hashes were last synced.
    synced: HashMap<String, u64>,
    /// Whose index was gone on with first, as it is counted.
    first: usize,
    checkpoints: Option<Instant>,
    owners: Option<Instant>,
}

/// Starts the thread; it ends with the service.
pub fn start(service: &Arc<Service>) {
    let watched = Arc::downgrade(service);
    let runtime = Handle::current();
    let work = move || {
        // Answering comes first: what is done here takes the processor only as far as nobody else wants it.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::nice(LESS_URGENT) {
            tracing::warn!(%error, "what is done beside answering is as urgent as answering");
        }
        let mut done = Done::default();
        while let Some(service) = watched.upgrade() {
            if let Ok(now) = service.now() {
                look(&service, &runtime, &mut done, now);
            }
            drop(service);
            std::thread::sleep(LOOK_EVERY);
        }
    };
    let started = std::thread::Builder::new().name("policyd-chores".to_owned()).spawn(work);
    started.expect("chores: a thread can be started");
}

fn look(service: &Service, runtime: &Handle, done: &mut Done, now: i64) {
    service.refusals.write(&service.decisions, now, false);
    let due = |last: &mut Option<Instant>, every: Duration| {
        let due = last.is_none_or(|at| at.elapsed() >= every);
        if due {
            *last = Some(Instant::now());
        }
        due
    };
    if due(&mut done.checkpoints, CHECKPOINT_EVERY) {
        let signed = checkpoints(service, &mut done.trees);
        signed.unwrap_or_else(|problem| tracing::error!(problem.detail, "changes have no checkpoint"));
    }
    let mut orgs = service.read(|read| Ok(read.organizations()?)).unwrap_or_default();
    // Each time another one is first: what there is time for is shared by all of them.
    done.first = done.first.wrapping_add(1);
    let first = done.first % orgs.len().max(1);
    orgs.rotate_left(first);
    let until = Instant::now() + INDEXES;
    for org in &orgs {
        sync_leaves(service, runtime, &mut done.synced, org);
        let gone_on = service.finder.go_on(service, runtime, org, (Pace::Gentle, until));
        gone_on.unwrap_or_else(|error| tracing::warn!(error, org, "the index can't be gone on with"));
    }
    if due(&mut done.owners, OWNERS_EVERY) {
        let looked = owners(service, runtime, &mut done.listed, now);
        looked.unwrap_or_else(|problem| tracing::error!(problem.detail, "owners can't be looked up"));
    }
}

/// Syncs many new leaf hashes, so that whoever waits for a decision doesn't wait for those of a whole minute.
fn sync_leaves(service: &Service, runtime: &Handle, synced: &mut HashMap<String, u64>, org: &str) {
    let known = synced.entry(org.to_owned()).or_default();
    let before = *known;
    let look = move |log: &mut DayLog| {
        let many = log.size() >= before + SYNC_LEAVES;
        many.then(|| Some((log.size(), log.leaf_file()?))).flatten()
    };
    let Some((size, file)) = runtime.block_on(service.decisions.look(org, look)).flatten() else { return };
    match file.sync() {
        Ok(()) => *known = size,
        Err(error) => service.decisions.fail(org, &error),
    }
}

/// What is still to be written when the service ends.
pub async fn end(service: &Service) {
    service.refusals.write(&service.decisions, service.clock.now(), true);
    let signed = checkpoints(service, &mut HashMap::new());
    signed.unwrap_or_else(|problem| tracing::error!(problem.detail, "changes have no checkpoint"));
    for org in service.read(|read| Ok(read.organizations()?)).unwrap_or_default() {
        if let Err(problem) = log_reading::signed(service, &org).await {
            tracing::error!(problem.detail, org, "decisions have no checkpoint");
        }
    }
}

fn checkpoints(service: &Service, trees: &mut HashMap<String, Tree>) -> Result<(), Problem> {
    service.read(|read| {
        let orgs = read.organizations()?;
        for org in orgs.into_iter().chain([String::new()]) {
            let tree = trees.entry(org.clone()).or_default();
            let size = u64::try_from(read.head(&org)?.0).unwrap_or(0);
            if tree.size() == size && size > 0 {
                continue;
            }
            let leaves = read.leaves_after(&org, i64::try_from(tree.size()).unwrap_or(i64::MAX))?;
            leaves.into_iter().for_each(|leaf| tree.push(leaf));
            store_checkpoint(service, &org, tree)?;
        }
        Ok(())
    })
}

/// An account whose owner is gone.
struct Orphan {
    account: Object,
    since: i64,
}

/// Since when an owner can't answer any more: deleted, disabled or past his end. None if he can.
pub fn gone_since(read: &mut dyn Read, org: &str, owner: &str, now: i64) -> Stored<Option<i64>> {
    let Some(owner) = read.object(org, owner)? else { return Ok(None) };
    if let Some(at) = owner.deleted {
        return Ok(Some(at));
    }
    let ended = owner.time("expires_at").filter(|at| *at <= now);
    if !owner.is_disabled() {
        return Ok(ended);
    }
    // He was disabled by his last change, or by one before it: the later moment is the milder one.
    let change = read.changes(org, owner.revision - 1, 1)?.pop();
    let disabled = change.map_or(owner.created, |row| row.entry.time.0);
    Ok(Some(ended.map_or(disabled, |ended| ended.min(disabled))))
}

fn owners(
    service: &Service,
    runtime: &Handle,
    listed: &mut HashMap<String, i64>,
    now: i64,
) -> Result<(), Problem> {
    let limit = service.settings.owner_gone_days * DAY_MICROS;
    for org in service.read(|read| Ok(read.organizations()?))? {
        let orphans = service.read(|read| orphans(read, &org, now))?;
        let (over, waiting): (Vec<_>, Vec<_>) = orphans.into_iter().partition(|o| now - o.since >= limit);
        for orphan in over {
            disable(service, runtime, &org, &orphan)?;
        }
        if !waiting.is_empty() && listed.insert(org.clone(), now / DAY_MICROS) != Some(now / DAY_MICROS) {
            list(service, &org, &waiting, limit, now)?;
        }
    }
    Ok(())
}

/// Accounts that are on and whose owner is gone.
fn orphans(read: &mut dyn Read, org: &str, now: i64) -> Result<Vec<Orphan>, Problem> {
    let kinds = [Kind::ServiceAccount, Kind::Agent];
    // Of all accounts only their owners are held, of which there are fewer.
    let mut owners = BTreeSet::new();
    read.each(org, &kinds, &mut |account| {
        let owner =
            account.refers("owner").filter(|owner| !account.is_disabled() && !owners.contains(*owner));
        owners.extend(owner.map(str::to_owned));
    })?;
    let mut found = Vec::new();
    for owner in owners {
        let Some(since) = gone_since(read, org, &owner, now)? else { continue };
        let owned = read.referring(org, &owner)?.into_iter();
        let on = owned.filter(|a| {
            kinds.contains(&a.kind) && a.refers("owner") == Some(owner.as_str()) && !a.is_disabled()
        });
        found.extend(on.map(|account| Orphan { account, since }));
    }
    Ok(found)
}

fn disable(service: &Service, runtime: &Handle, org: &str, orphan: &Orphan) -> Result<(), Problem> {
    let (uid, days) = (orphan.account.uid.clone(), service.settings.owner_gone_days);
    let rule = format!("whoever answers for it has been gone for {days} days");
    let command = move |change: &mut Change<'_>| {
        let (org, at) = (change.org.clone(), change.at);
        let account = change.tx.object(&org, &uid)?.filter(|a| a.deleted.is_none() && !a.is_disabled());
        let Some(mut account) = account else { return Ok(Reply::ok(Value::Null)) };
        // Somebody may have been found since.
        let owner = account.refers("owner").unwrap_or_default().to_owned();
        if gone_since(change.tx, &org, &owner, at)?.is_none() {
            return Ok(Reply::ok(Value::Null));
        }
        change.rules.push(("owner_gone", rule));
        account.body.insert("status".into(), "disabled".into());
        change.put(&host_access(), account)?;
        Ok(Reply::ok(Value::Null))
    };
    let action = format!("{}.disabled", orphan.account.kind.collection());
    let job = Job {
        org: org.to_owned(),
        caller: None,
        request: RequestFacts { id: new_uid("req"), action, ..RequestFacts::default() },
        repeat: None,
        command: Box::new(command),
    };
    runtime.block_on(service.writer.submit(job))?;
    tracing::warn!(org, account = orphan.account.uid, "disabled: whoever answers for it is gone");
    Ok(())
}

/// The record of the day: which accounts nobody answers for, and when they will be disabled.
fn list(service: &Service, org: &str, waiting: &[Orphan], limit: i64, now: i64) -> Result<(), Problem> {
    let request = RequestFacts::default();
    for some in waiting.chunks(LISTED_AT_ONCE) {
        let about = About { log: Log::Decisions, org, scope: "", at: now, revision: 0, request: &request };
        let one = |o: &Orphan| Unowned {
            uid: o.account.uid.clone(),
            since: Moment(o.since),
            disabled_at: Moment(o.since + limit),
        };
        let body = Body::OwnerGone { accounts: some.iter().map(one).collect() };
        let entry = journal::finish(&about, Whom::default(), body, Draft::new()?)?;
        service.decisions.append_later(org, entry);
    }
    tracing::warn!(org, accounts = waiting.len(), "nobody answers for these accounts: they will be disabled");
    Ok(())
}
