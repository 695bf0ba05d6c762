//! Holds what is stored against the log of changes: the log alone says what there must be.
//!
//! In:    a store, the last checkpoints.
//! Out:   a line for each organization; or the first object that isn't what the log says.
//! Law:   records are taken in order, each with the hash that the tree has; the last after-image of an object counts.

use super::object::Object;
use super::running::{Places, whole};
use super::store::{Read, Sqlite, Store};
use crate::audit::record::{Body, Entry, Fact, Record};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Verifies a store.
pub fn verify(places: &Places) -> Result<Vec<String>, String> {
    let store = Sqlite::at(&places.database());
    let mut read = store.reader().map_err(|e| e.to_string())?;
    let installation = read.fact("installation").map_err(|e| e.to_string())?.unwrap_or_default();
    whole(read.as_mut(), places, &installation)?;
    let orgs = read.organizations().map_err(|e| e.to_string())?;
    let all = orgs.iter().map(String::as_str).chain([""]);
    all.map(|org| one(read.as_mut(), org)).collect()
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
            take(&row.entry, &mut images).map_err(|e| format!("{name}: change {number}: {e}"))?;
        }
    }
    let mut wrong = None;
    let mut objects = 0;
    let compare = &mut |object: Object| {
        objects += 1;
        let what = format!("{} {}", object.kind.wire(), object.uid);
        let said = images.remove(&object.uid);
        if wrong.is_none() && said.as_ref() != Some(&object.image()) {
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
        None => Ok(format!("{name}: {number} changes make the {objects} objects that are stored")),
    }
}

/// Takes the after-images of a record.
fn take(entry: &Entry, images: &mut BTreeMap<String, Value>) -> Result<(), String> {
    let record: Record = serde_json::from_str(&entry.record).map_err(|e| e.to_string())?;
    let Body::Changed { changes, .. } = record.body else { return Ok(()) };
    for change in changes {
        let mut image = Map::new();
        for (field, fact) in change.after.unwrap_or_default() {
            let value = match fact {
                Fact::Plain(value) => value,
                Fact::Sealed(_) => {
                    let own = entry
                        .personal
                        .iter()
                        .find(|p| p.person == change.uid && p.field == format!("user.{field}"));
                    let text = own.map(|p| p.value.clone()).ok_or("a personal value was erased")?;
                    if field == "name" {
                        Value::String(text)
                    } else {
                        serde_json::from_str(&text).map_err(|e| e.to_string())?
                    }
                }
            };
            image.insert(field, value);
        }
        images.insert(change.uid, Value::Object(image));
    }
    Ok(())
}
