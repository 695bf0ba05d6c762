//! Holds what is stored against the log of changes: the log alone says what there must be.
//!
//! In:    a store, the last checkpoints; the day files of decisions, if no policyd writes them.
//! Out:   a line for each log; or the first object, record or byte that isn't what the logs say.
//! Law:   records are taken in order, each with the hash that the tree has; the last after-image of an object counts.

use super::object::Object;
use super::problem::count;
use super::running::{Places, day_log, former, lock, whole};
use super::store::{Read, Sqlite, Store};
use crate::audit::record::{Body, Entry, Fact, Record};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Verifies a store.
pub fn verify(places: &Places) -> Result<Vec<String>, String> {
    let store = Sqlite::at(&places.database());
    let mut read = store.reader().map_err(|e| e.to_string())?;
    let installation = read.fact("installation").map_err(|e| e.to_string())?.unwrap_or_default();
    if let Some(damage) = read.damage().map_err(|e| e.to_string())? {
        return Err(format!("{}: damaged: {damage}", places.database().display()));
    }
    whole(read.as_mut(), places, &installation)?;
    let orgs = read.organizations().map_err(|e| e.to_string())?;
    let all = orgs.iter().map(String::as_str).chain([""]);
    let mut told: Vec<String> = all.map(|org| one(read.as_mut(), org)).collect::<Result<_, _>>()?;
    // Whoever writes day files has them open: what is unfinished there would look like damage.
    match lock(places) {
        Ok(_held) => {
            let former = former(read.as_mut())?;
            for org in &orgs {
                told.push(decisions(places, &installation, &former, org)?);
            }
        }
        Err(_) => told.push(
            "decisions were not looked at: a policyd runs here; stop it, or verify an export".to_owned(),
        ),
    }
    Ok(told)
}

/// Reads every decision that is kept; each has the hash that the tree has.
fn decisions(places: &Places, installation: &str, former: &[String], org: &str) -> Result<String, String> {
    let log = day_log(places, installation, former, org).map_err(|e| e.to_string())?;
    for found in log.records(log.kept_from()..log.size()) {
        let (number, entry) = found.map_err(|e| e.to_string())?;
        if let Some(value) = entry.foreign() {
            return Err(format!(
                "{org}: decision {number}: the value of `{}` is not the one that was sealed",
                value.field
            ));
        }
    }
    let cuts = log.cuts().iter().map(|cut| {
        format!("; {} bytes of an unfinished write were cut off {}", cut.bytes, cut.file.display())
    });
    Ok(format!(
        "{org}: decisions {} to {} are those that were recorded{}",
        log.kept_from(),
        log.size(),
        cuts.collect::<String>()
    ))
}

fn one(read: &mut dyn Read, org: &str) -> Result<String, String> {
    let name = if org.is_empty() { "the installation" } else { org };
    let leaves = read.leaves(org).map_err(|e| e.to_string())?;
    let mut images: BTreeMap<String, Value> = BTreeMap::new();
    let mut number = 0;
    loop {
        let rows = read.changes(org, number, 1_000).map_err(|e| e.to_string())?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            number += 1;
            let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
            if row.seq != number || leaves.get(at) != Some(&row.entry.leaf()) {
                return Err(format!("{name}: change {number} is not the one whose hash the tree has"));
            }
            if let Some(value) = row.entry.foreign() {
                let field = &value.field;
                return Err(format!(
                    "{name}: change {number}: the value of `{field}` is not the one that was sealed"
                ));
            }
            take(&row.entry, &mut images).map_err(|e| format!("{name}: change {number}: {e}"))?;
        }
    }
    let mut wrong = None;
    let mut objects = 0;
    let compare = &mut |object: Object| {
        objects += 1;
        let what = format!("{} {}", object.kind.wire(), object.uid);
        let said = images.remove(&object.uid);
        if wrong.is_none() && !said.as_ref().is_some_and(|said| same(said, &object.image())) {
            wrong = Some(match said {
                Some(_) => format!("{name}: {what} isn't what the log of changes says"),
                None => format!("{name}: {what} is in the store, and no change made it"),
            });
        }
    };
    read.every(org, compare).map_err(|e| e.to_string())?;
    if let Some(uid) = images.keys().next().filter(|_| wrong.is_none()) {
        wrong = Some(format!("{name}: {uid} was made by a change and is not in the store"));
    }
    match wrong {
        Some(wrong) => Err(wrong),
        None => {
            let make = if number == 1 { "makes" } else { "make" };
            let are = if objects == 1 { "is" } else { "are" };
            let (changes, objects) = (count(number.unsigned_abs(), "change"), count(objects, "object"));
            Ok(format!("{name}: {changes} {make} the {objects} that {are} stored"))
        }
    }
}

/// What stands for a value that was erased: nobody knows any more what it was.
fn erased() -> Value {
    serde_json::json!({ "sealed": null })
}

/// Whether what is stored is what a record says, as far as it still says something.
fn same(said: &Value, stored: &Value) -> bool {
    match (said, stored) {
        (Value::Object(s), _) if s.len() == 1 && s.contains_key("sealed") => true,
        (Value::Object(s), Value::Object(t)) => {
            s.len() == t.len() && s.iter().all(|(name, one)| t.get(name).is_some_and(|two| same(one, two)))
        }
        (Value::Array(s), Value::Array(t)) => {
            s.len() == t.len() && s.iter().zip(t).all(|(one, two)| same(one, two))
        }
        (one, two) => one == two,
    }
}

/// Puts the ids of people back where they are sealed, as far as they were not erased.
fn unseal(entry: &Entry, value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|one| unseal(entry, one)),
        Value::Object(members) => {
            let seal = members.get("sealed").filter(|_| members.len() == 1).and_then(Value::as_str);
            let own = seal.and_then(|seal| {
                entry
                    .personal
                    .iter()
                    .find(|p| p.seal(&entry.salt).to_string() == seal)
                    .map(|p| p.value.clone())
            });
            match own {
                Some(text) => *value = Value::String(text),
                None => members.values_mut().for_each(|one| unseal(entry, one)),
            }
        }
        _ => {}
    }
}

/// Takes the after-images of a record.
fn take(entry: &Entry, images: &mut BTreeMap<String, Value>) -> Result<(), String> {
    let record: Record = serde_json::from_str(&entry.record).map_err(|e| e.to_string())?;
    if record.time != entry.time {
        return Err(format!("the time beside it is {}, its own is {}", entry.time, record.time));
    }
    let Body::Changed { changes, .. } = record.body else { return Ok(()) };
    for change in changes {
        let mut image = Map::new();
        for (field, fact) in change.after.unwrap_or_default() {
            let value = match fact {
                Fact::Plain(mut value) => {
                    unseal(entry, &mut value);
                    value
                }
                Fact::Sealed(_) => {
                    let own = entry
                        .personal
                        .iter()
                        .find(|p| p.person == change.uid && p.field == format!("user.{field}"));
                    match own.map(|p| p.value.clone()) {
                        None => erased(),
                        Some(text) if field == "name" => Value::String(text),
                        Some(text) => serde_json::from_str(&text).map_err(|e| e.to_string())?,
                    }
                }
            };
            image.insert(field, value);
        }
        images.insert(change.uid, Value::Object(image));
    }
    Ok(())
}
