//! Erasing a person: the values beside records, and what is stored of a deleted user.
//!
//! In:    the uid of a deleted user, in a data folder that no policyd serves.
//! Out:   how many values went; a record of it in both logs, which names the uid alone.
//! Law:   no record and no hash changes, so both logs verify as before. Nobody who still means something is erased: what is alive
//!        and names the person is listed instead. His id stays taken: only its hash is kept for that.

use super::api::erased_spelling;
use super::change::{Change, RequestFacts};
use super::guard::host_access;
use super::init::by_host;
use super::journal::{self, About, Whom};
use super::object::{Kind, Object};
use super::running::{Places, day_log, former};
use super::secret::new_uid;
use super::store::{Store, Write};
use crate::audit::record::{Body, Draft, Entry, Log};
use serde_json::{Value, json};

/// Objects in one record.
const OBJECTS_AT_ONCE: usize = 30;

/// Erases a person. How many values beside records went.
pub fn erase(places: &Places, store: &dyn Store, uid: &str, at: i64) -> Result<u64, String> {
    let failed = |e: super::store::StoreError| e.to_string();
    let mut tx = store.writer().map_err(failed)?;
    let installation = tx.fact("installation").map_err(failed)?.ok_or("the store is empty")?;
    let (org, user) = deleted(tx.as_mut(), uid)?;
    let named = Named { id: user.name.clone(), uid: uid.to_owned() };
    let naming = naming(tx.as_mut(), &org, &named)?;
    let names = former(tx.as_mut())?;
    let mut log = day_log(places, &installation, &names, &org).map_err(|e| e.to_string())?;
    // By uid, and by id where somebody unknown was named in a question.
    let people = [uid.to_owned(), format!("user/{}", user.name)];

    // Whatever is interrupted here can be run again. The index has words made of what is erased.
    if let Err(error) = std::fs::remove_dir_all(places.index())
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(format!("can't remove {}: {error}", places.index().display()));
    }
    let mut of_decisions = 0;
    for person in &people {
        of_decisions += log.erase(person).map_err(|e| e.to_string())?;
    }
    let last = log.last_time().map_err(|e| e.to_string())?.map_or(0, |time| time.0);
    let entry = record(&org, Log::Decisions, at.max(last), uid, of_decisions)?;
    log.append_batch(&[entry]).map_err(|e| e.to_string())?;
    log.close().map_err(|e| e.to_string())?;

    tx.begin().map_err(failed)?;
    let values = tx.erase(&org, &people).map_err(failed)?;
    let mut all = naming;
    all.push(bare(&org, user, &named));
    for some in all.chunks(OBJECTS_AT_ONCE) {
        let mut write = |change: &mut Change<'_>| {
            some.iter().try_for_each(|object| change.put(&host_access(), object.clone()).map(drop))
        };
        by_host(tx.as_mut(), &org, at, "users.erased", &mut write).map_err(|p| p.detail)?;
    }
    let (_, last) = tx.head(&org).map_err(failed)?;
    let entry = record(&org, Log::Changes, at.max(last), uid, values)?;
    tx.append(&org, &entry).map_err(failed)?;
    tx.commit().map_err(failed)?;
    tx.compact().map_err(failed)?;

    Ok(values + of_decisions)
}

/// Whom: the names that are searched for.
struct Named {
    id: String,
    uid: String,
}

fn deleted(read: &mut dyn Write, uid: &str) -> Result<(String, Object), String> {
    for org in read.organizations().map_err(|e| e.to_string())? {
        let Some(user) = read.object(&org, uid).map_err(|e| e.to_string())? else { continue };
        if user.kind != Kind::User {
            return Err(format!("{uid} is a {}: only people are erased", user.kind.wire()));
        }
        if user.deleted.is_none() {
            return Err(format!(
                "{uid} is a living user: `policyd users leave` and `policyd users delete` come first"
            ));
        }
        return Ok((org, user));
    }
    Err(format!("no user has the uid {uid}; `policyd users get ID` shows a uid before the user is deleted"))
}

/// Deleted objects that name the person, without his id; living ones are refused.
fn naming(read: &mut dyn Write, org: &str, named: &Named) -> Result<Vec<Object>, String> {
    let (mut dead, mut alive) = (Vec::new(), Vec::new());
    let mut see = |mut object: Object| {
        let before = object.body.clone();
        object.body.values_mut().for_each(|value| anonymous(value, named));
        if object.body == before || object.uid == named.uid {
            return;
        }
        match object.deleted {
            Some(_) => dead.push(object),
            None => alive.push(format!("{} {}", object.kind.wire(), object.name)),
        }
    };
    read.every(org, &mut see).map_err(|e| e.to_string())?;
    if alive.is_empty() {
        return Ok(dead);
    }
    alive.sort();
    let more = alive.len().saturating_sub(10);
    alive.truncate(10);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(format!(
        "these still name the person: {}{rest}; hand them over or change them first",
        alive.join(", ")
    ))
}

/// Puts the uid in place of the id, wherever the person is named.
fn anonymous(value: &mut Value, named: &Named) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|one| anonymous(one, named)),
        Value::Object(members) => {
            let is_user = members.get("kind").is_some_and(|kind| kind == "user");
            if is_user && members.get("id").is_some_and(|id| *id == named.id.as_str()) {
                members.insert("id".to_owned(), named.uid.as_str().into());
            }
            members.values_mut().for_each(|one| anonymous(one, named));
        }
        _ => {}
    }
}

/// What stays of the user: that there was one, and the hash by which his id stays taken.
fn bare(org: &str, mut user: Object, named: &Named) -> Object {
    let taken = erased_spelling(org, &named.id);
    user.refs.retain(|(label, _)| label == "scope");
    user.refs.push(("spelling".into(), taken));
    user.name.clone_from(&named.uid);
    user.body = json!({ "id": named.uid, "status": "disabled", "erased": true })
        .as_object()
        .cloned()
        .unwrap_or_default();
    user
}

fn record(org: &str, log: Log, at: i64, person: &str, values: u64) -> Result<Entry, String> {
    let request =
        RequestFacts { id: new_uid("req"), action: "users.erased".to_owned(), ..Default::default() };
    let about = About { log, org, scope: "", at, revision: 0, request: &request };
    let body = Body::Erased { person: person.to_owned(), values };
    let entry = Draft::new().and_then(|draft| journal::finish(&about, Whom::default(), body, draft));
    entry.map_err(|e| e.to_string())
}
