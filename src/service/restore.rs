//! `policyd restore`: going on from a backup, where what came after it is lost.
//!
//! In:    a data folder whose database or day files were brought back from a backup.
//! Out:   new logs that name the old ones and go on from what is there; every key switched off until somebody confirms.
//! Law:   a log that lost records never goes on under its old name: whoever holds an older checkpoint of it sees that. Keys revoked
//!        after the backup must not live again by themselves.

use super::change::{Change, RequestFacts};
use super::guard::host_access;
use super::init::by_host;
use super::journal::{self, About, Whom};
use super::object::{Kind, Object};
use super::problem::count;
use super::running::{Places, checkpoint_file, day_log, former, origin_of, read_signer};
use super::secret::new_uid;
use super::store::{Store, Write};
use crate::audit::note::Checkpoint;
use crate::audit::record::{Body, Draft, Entry, Log};
use std::path::Path;

/// Keys in one record.
const KEYS_AT_ONCE: usize = 30;
/// What a key says that was switched off here.
const SUSPENDED: &str = "restored";

/// Begins new logs. Says what is missing of the old ones, and how many keys were switched off.
pub fn restore(places: &Places, store: &dyn Store, at: i64) -> Result<Vec<String>, String> {
    let failed = |e: super::store::StoreError| e.to_string();
    let mut tx = store.writer().map_err(failed)?;
    let old = tx.fact("installation").map_err(failed)?.ok_or("the store is empty")?;
    let new = next_name(&old);
    let mut names = former(tx.as_mut())?;
    let orgs: Vec<String> = tx.organizations().map_err(failed)?.into_iter().chain([String::new()]).collect();
    let mut told = Vec::new();
    tx.begin().map_err(failed)?;
    let mut keys = 0;
    for org in &orgs {
        let (size, last) = tx.head(org).map_err(failed)?;
        let note = std::fs::read_to_string(checkpoint_file(places, org)).ok();
        let body =
            restored(&origin_of(&old, org, Log::Changes), u64::try_from(size).unwrap_or(0), note.as_deref());
        told.extend(missing(org, Log::Changes, &body));
        let entry = record(org, Log::Changes, at.max(last), body)?;
        tx.append(org, &entry).map_err(failed)?;
        keys += switch(tx.as_mut(), org, at, false)?;
    }
    names.push(old.clone());
    let text = serde_json::to_string(&names).map_err(|e| e.to_string())?;
    tx.set_fact("former installations", &text).map_err(failed)?;
    tx.set_fact("installation", &new).map_err(failed)?;
    // The log key keeps its secret and gets the name of the new logs: no key was passed to another.
    let key = read_signer(&places.log_key(), &new)?;
    tx.set_fact("log key", &key.verifier().to_string()).map_err(failed)?;
    tx.commit().map_err(failed)?;
    // From here on an interruption leaves checkpoints of the old logs in place: policyd doesn't start, and this can be run again.
    for org in &orgs {
        aside(&checkpoint_file(places, org), &old)?;
        if !org.is_empty() {
            told.extend(decisions(places, &names, (&old, &new), org, at)?);
        }
    }
    told.push(format!("new logs `{new}/…` go on from what is there; the public key is {}", key.verifier()));
    let (keys, are) = (count(keys as u64, "key"), if keys == 1 { "is" } else { "are" });
    told.push(format!("{keys} {are} switched off until `policyd restore --confirm`"));
    Ok(told)
}

/// Switches on again the keys that [`restore`] switched off. How many.
pub fn confirm(store: &dyn Store, at: i64) -> Result<usize, String> {
    let failed = |e: super::store::StoreError| e.to_string();
    let mut tx = store.writer().map_err(failed)?;
    let orgs: Vec<String> = tx.organizations().map_err(failed)?.into_iter().chain([String::new()]).collect();
    tx.begin().map_err(failed)?;
    let mut keys = 0;
    for org in &orgs {
        keys += switch(tx.as_mut(), org, at, true)?;
    }
    tx.commit().map_err(failed)?;
    Ok(keys)
}

/// `name`, `name.2`, `name.3`, …
fn next_name(name: &str) -> String {
    let numbered = name.rsplit_once('.').and_then(|(base, n)| Some((base, n.parse::<u64>().ok()?)));
    match numbered {
        Some((base, n)) => format!("{base}.{}", n + 1),
        None => format!("{name}.2"),
    }
}

fn restored(origin: &str, size: u64, note: Option<&str>) -> Body {
    let known = note.and_then(|n| Checkpoint::unverified(n).ok()).filter(|c| c.origin == origin);
    Body::Restored {
        before: origin.to_owned(),
        size,
        missing: known.as_ref().map_or(0, |c| c.size.saturating_sub(size)),
        checkpoint: note.filter(|_| known.is_some()).map(str::to_owned),
    }
}

fn missing(org: &str, log: Log, body: &Body) -> Option<String> {
    let Body::Restored { missing, size, .. } = body else { return None };
    let name = if org.is_empty() { "the installation" } else { org };
    let log = log.name();
    Some(match missing {
        0 => format!("{name}: {size} {log}, none of which a checkpoint says that they are missing"),
        n => format!("{name}: {size} {log}; the last checkpoint was over {}: {n} are lost", size + n),
    })
}

fn record(org: &str, log: Log, at: i64, body: Body) -> Result<Entry, String> {
    let request = RequestFacts { id: new_uid("req"), action: "restore".to_owned(), ..Default::default() };
    let about = About { log, org, scope: "", at, revision: 0, request: &request };
    let entry = Draft::new().and_then(|draft| journal::finish(&about, Whom::default(), body, draft));
    entry.map_err(|e| e.to_string())
}

/// Switches keys off, or on again those that were switched off here; each with its record.
fn switch(tx: &mut dyn Write, org: &str, at: i64, on: bool) -> Result<usize, String> {
    let mut found: Vec<Object> = Vec::new();
    tx.each(org, &[Kind::Credential], &mut |key| found.push(key)).map_err(|e| e.to_string())?;
    found.retain(|key| match on {
        true => key.text("suspended") == Some(SUSPENDED),
        false => !key.is_disabled(),
    });
    let action = if on { "restore.confirmed" } else { "restore.suspended" };
    for some in found.chunks(KEYS_AT_ONCE) {
        let mut all = |change: &mut Change<'_>| {
            for key in some {
                let mut key = key.clone();
                match on {
                    true => drop(key.body.remove("suspended")),
                    false => drop(key.body.insert("suspended".into(), SUSPENDED.into())),
                }
                key.body.insert("status".into(), if on { "active" } else { "disabled" }.into());
                change.put(&host_access(), key)?;
            }
            Ok(())
        };
        by_host(tx, org, at, action, &mut all).map_err(|p| p.detail)?;
    }
    Ok(found.len())
}

/// Puts the checkpoint of an old log aside, where it can still be read.
fn aside(file: &Path, old: &str) -> Result<(), String> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{old}"));
    match std::fs::rename(file, file.with_file_name(name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("can't rename {}: {error}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Begins the new log of decisions of an organization on the day files that are there.
fn decisions(
    places: &Places,
    names: &[String],
    (old, new): (&str, &str),
    org: &str,
    at: i64,
) -> Result<Option<String>, String> {
    let origin = origin_of(old, org, Log::Decisions);
    let file = places.decisions().join(org).join("checkpoints");
    let note = last_checkpoint(&file);
    aside(&file, old)?;
    let mut log = day_log(places, new, names, org).map_err(|e| e.to_string())?;
    let body = restored(&origin, log.size(), note.as_deref());
    let told = missing(org, Log::Decisions, &body);
    let last = log.last_time().map_err(|e| e.to_string())?.map_or(0, |time| time.0);
    let entry = record(org, Log::Decisions, at.max(last), body)?;
    log.append_batch(&[entry]).map_err(|e| e.to_string())?;
    log.close().map_err(|e| e.to_string())?;
    Ok(told)
}

/// The last note in a file of checkpoints; whatever surrounds it.
fn last_checkpoint(file: &Path) -> Option<String> {
    crate::audit::checkpoints(&crate::audit::files::Disk, file).ok()?.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_restore_has_a_name_of_its_own() {
        assert_eq!(next_name("policyd_a"), "policyd_a.2");
        assert_eq!(next_name("policyd_a.2"), "policyd_a.3");
        assert_eq!(next_name("policyd_a.9"), "policyd_a.10");
    }
}
