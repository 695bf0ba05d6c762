//! Replacing the key that signs checkpoints.
//!
//! In:    a data folder that no policyd serves.
//! Out:   a new key; in each log a record with a note that both keys signed.
//! Law:   the transaction that writes the records of the changes is the moment of the replacement: before it the old key counts, after
//!        it the new one, and what is unfinished then is finished at the next start. The old private key is overwritten.

use super::change::RequestFacts;
use super::decisions::sign;
use super::journal::{self, About, Whom};
use super::running::{Places, create_signer, day_log, former, origin_of, read_signer};
use super::secret::new_uid;
use super::store::{Read, Store};
use crate::audit::note::{Rotation, SignerKey, VerifierKey};
use crate::audit::record::{Body, Draft, Entry, Log};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The notes of each log, by its origin, oldest first.
pub type Rotations = BTreeMap<String, Vec<String>>;

/// The fact with the notes.
const NOTES: &str = "log key rotations";
/// The fact with the public key that signs.
const CURRENT: &str = "log key";

fn fresh(places: &Places) -> PathBuf {
    places.log_key().with_extension("new")
}

/// The notes of all logs.
pub fn rotations(read: &mut dyn Read) -> Result<Rotations, String> {
    let known = read.fact(NOTES).map_err(|e| e.to_string())?;
    known
        .map_or(Ok(Rotations::new()), |text| serde_json::from_str(&text).map_err(|e| format!("{NOTES}: {e}")))
}

/// Replaces the key. The store must be locked by the caller.
pub fn rotate(places: &Places, store: &dyn Store, at: i64) -> Result<VerifierKey, String> {
    let failed = |e: super::store::StoreError| e.to_string();
    let mut tx = store.writer().map_err(failed)?;
    let installation = tx.fact("installation").map_err(failed)?.ok_or("the store is empty")?;
    finish(places, tx.as_mut(), &installation, at)?;
    let old = read_signer(&places.log_key(), &installation)?;
    let path = fresh(places);
    create_signer(&path).map_err(|e| format!("can't write {}: {e}", path.display()))?;
    let new = read_signer(&path, &installation)?;
    let mut notes = rotations(tx.as_mut())?;
    let orgs = tx.organizations().map_err(failed)?;
    tx.begin().map_err(failed)?;
    for org in orgs.iter().map(String::as_str).chain([""]) {
        let (size, last) = tx.head(org).map_err(failed)?;
        let size = u64::try_from(size).unwrap_or(0);
        let note = pass(&mut notes, &origin_of(&installation, org, Log::Changes), size, (&old, &new));
        let entry = record(org, Log::Changes, at.max(last), note)?;
        tx.append(org, &entry).map_err(failed)?;
        if !org.is_empty() {
            let former = former(tx.as_mut())?;
            let mut log = day_log(places, &installation, &former, org).map_err(|e| e.to_string())?;
            sign(&mut log, &installation, org, &old).map_err(|e| e.to_string())?;
            pass(&mut notes, &origin_of(&installation, org, Log::Decisions), log.size(), (&old, &new));
        }
    }
    let text = serde_json::to_string(&notes).map_err(|e| e.to_string())?;
    tx.set_fact(NOTES, &text).map_err(failed)?;
    tx.set_fact(CURRENT, &new.verifier().to_string()).map_err(failed)?;
    tx.commit().map_err(failed)?;
    finish(places, tx.as_mut(), &installation, at)?;
    Ok(new.verifier().clone())
}

fn pass(notes: &mut Rotations, origin: &str, size: u64, (old, new): (&SignerKey, &SignerKey)) -> String {
    let note = Rotation::sign(origin, size, old, new);
    notes.entry(origin.to_owned()).or_default().push(note.clone());
    note
}

fn record(org: &str, log: Log, at: i64, note: String) -> Result<Entry, String> {
    let request =
        RequestFacts { id: new_uid("req"), action: "log key replaced".to_owned(), ..Default::default() };
    let about = About { log, org, scope: "", at, revision: 0, request: &request };
    let entry =
        Draft::new().and_then(|d| journal::finish(&about, Whom::default(), Body::KeyRotated { note }, d));
    entry.map_err(|e| e.to_string())
}

/// Finishes a replacement that was interrupted, or forgets one that hadn't begun. Says whether the key that signs is the one that
/// the logs were passed to.
pub fn finish(
    places: &Places,
    read: &mut (impl Read + ?Sized),
    installation: &str,
    at: i64,
) -> Result<(), String> {
    let current = read.fact(CURRENT).map_err(|e| e.to_string())?;
    let is_current = |key: &SignerKey| current.as_ref().is_none_or(|c| *c == key.verifier().to_string());
    let path = fresh(places);
    if path.exists() {
        let new = read_signer(&path, installation);
        match new {
            Ok(new) if current.is_some() && is_current(&new) => {
                passed_on(places, read, installation, &new, at)?;
                replace(&path, &places.log_key()).map_err(|e| format!("can't replace the log key: {e}"))?;
            }
            // Nothing was passed to it.
            _ => std::fs::remove_file(&path).map_err(|e| format!("can't remove {}: {e}", path.display()))?,
        }
    }
    let key = read_signer(&places.log_key(), installation)?;
    if !is_current(&key) {
        return Err(format!(
            "{} is not the key that the logs were passed to ({}): put that one back",
            places.log_key().display(),
            current.unwrap_or_default()
        ));
    }
    Ok(())
}

/// Writes the records of the decisions, where they are still missing.
fn passed_on(
    places: &Places,
    read: &mut (impl Read + ?Sized),
    installation: &str,
    new: &SignerKey,
    at: i64,
) -> Result<(), String> {
    let known = read.fact(NOTES).map_err(|e| e.to_string())?.unwrap_or_default();
    let notes: Rotations = serde_json::from_str(&known).map_err(|e| format!("{NOTES}: {e}"))?;
    let former = former(read)?;
    for org in read.organizations().map_err(|e| e.to_string())? {
        let origin = origin_of(installation, &org, Log::Decisions);
        let Some(note) = notes.get(&origin).and_then(|all| all.last()) else { continue };
        let rotation = Rotation::open(note, &[new.verifier().clone()]).map_err(|e| e.to_string())?;
        let mut log = day_log(places, installation, &former, &org).map_err(|e| e.to_string())?;
        if log.size() == rotation.size {
            let last = log.last_time().map_err(|e| e.to_string())?.map_or(0, |time| time.0);
            let entry = record(&org, Log::Decisions, at.max(last), note.clone())?;
            log.append_batch(&[entry]).map_err(|e| e.to_string())?;
        }
        sign(&mut log, installation, &org, new).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Overwrites the old key, then lets the new one take its place.
fn replace(new: &Path, old: &Path) -> std::io::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).open(old)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    std::fs::rename(new, old)?;
    std::io::Write::write_all(&mut &file, &vec![b'0'; length])?;
    file.sync_all()?;
    match old.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
