//! `policyd init`: an empty folder becomes a store with its first credentials; `policyd recover`: the way back in.
//!
//! In:    a folder, the ids of the first organization and its first person.
//! Out:   database, pepper, log key; the first credentials in a file that only its owner can read.
//! Law:   it never touches a store that is there.

use super::api::{AdminKey, first_installation_key, key_of, new_organization};
use super::change::{Change, RequestFacts};
use super::clock::wall;
use super::guard::host_access;
use super::memory::Memory;
use super::object::{Kind, Object};
use super::pepper::Peppers;
use super::problem::Problem;
use super::running::{Places, create_signer, lock};
use super::secret::{Secret, new_uid};
use super::store::{Sqlite, Store, Write};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

/// What was made.
pub struct First {
    /// The key of the installation.
    pub installation: Secret,
    /// The key of the first person.
    pub admin: AdminKey,
}

/// Makes a store.
pub fn init(places: &Places, organization: &str, owner: &str) -> Result<First, String> {
    if !super::fields::is_id(organization) {
        return Err(format!("`{organization}` is not an id: 1 to 63 of a-z, 0-9 and `-`"));
    }
    if owner.is_empty() || owner.len() > 256 || owner.chars().any(char::is_control) {
        return Err("the id of the owner has 1 to 256 printable bytes".to_owned());
    }
    let at = |path: &std::path::Path, e: std::io::Error| format!("can't write {}: {e}", path.display());
    if places.database().exists() {
        return Err(format!("{} is initialised already; nothing was changed", places.data.display()));
    }
    std::fs::create_dir_all(&places.data).map_err(|e| at(&places.data, e))?;
    let peppers = match places.pepper.exists() {
        true => Peppers::read(&places.pepper)?,
        false => Peppers::create(&places.pepper).map_err(|e| at(&places.pepper, e))?,
    };
    if !places.log_key().exists() {
        create_signer(&places.log_key()).map_err(|e| at(&places.log_key(), e))?;
    }
    let store = Sqlite::at(&places.database());
    first(&store, &peppers, organization, owner)
}

/// Writes the first organization and credentials into an empty store, in one transaction.
pub fn first(store: &dyn Store, peppers: &Peppers, organization: &str, owner: &str) -> Result<First, String> {
    let at = wall();
    let told = |p: Problem| p.detail;
    let mut tx = store.writer().map_err(|e| e.to_string())?;
    tx.begin().map_err(|e| e.to_string())?;
    let (mut installation, mut admin) = (None, None);
    by_host(tx.as_mut(), "", at, "init", &mut |c| {
        installation = Some(first_installation_key(c, &host_access(), peppers)?);
        Ok(())
    })
    .map_err(told)?;
    by_host(tx.as_mut(), "", at, "init", &mut |c| {
        admin = Some(new_organization(c, &host_access(), peppers, organization, owner)?);
        Ok(())
    })
    .map_err(told)?;
    let name = new_uid("policyd");
    tx.set_fact("installation", &name).map_err(|e| e.to_string())?;
    tx.commit().map_err(|e| e.to_string())?;
    // What was written can be read: a store that couldn't start would be of no use.
    let mut read = store.reader().map_err(|e| e.to_string())?;
    Memory::load(read.as_mut(), at, &AtomicU64::new(0))?;
    let made = installation.zip(admin).map(|(installation, admin)| First { installation, admin });
    made.ok_or_else(|| "init: the first credentials were not made".to_owned())
}

/// Makes a key of a person in an organization for whoever has the host: the way back in when nobody there has one any more.
pub fn recover_person(places: &Places, organization: &str, person: &str) -> Result<AdminKey, String> {
    let _lock = lock(places)?;
    let peppers = Peppers::read(&places.pepper)?;
    let store = Sqlite::at(&places.database());
    let mut tx = store.writer().map_err(|e| e.to_string())?;
    tx.begin().map_err(|e| e.to_string())?;
    let (org, user) = person_of(tx.as_mut(), organization, person)?;
    let mut made = None;
    by_host(tx.as_mut(), &org, wall(), "recover", &mut |c| {
        made = Some(key_of(c, &host_access(), &peppers, &user, organization, "recovered")?);
        Ok(())
    })
    .map_err(|p| p.detail)?;
    tx.commit().map_err(|e| e.to_string())?;
    made.ok_or_else(|| "recover: no key was made".to_owned())
}

fn person_of(tx: &mut dyn Write, organization: &str, person: &str) -> Result<(String, Object), String> {
    for org in tx.organizations().map_err(|e| e.to_string())? {
        let root = tx.object(&org, &org).map_err(|e| e.to_string())?;
        if root.is_none_or(|root| root.name != organization || root.deleted.is_some()) {
            continue;
        }
        let user = tx.named(&org, Kind::User, person).map_err(|e| e.to_string())?;
        let user = user.ok_or_else(|| format!("there is no user \"{person}\" in {organization}"))?;
        return match user.body.get("status").and_then(|status| status.as_str()) {
            Some("active") => Ok((org, user)),
            _ => Err(format!("\"{person}\" is disabled: choose somebody who owns {organization} and isn't")),
        };
    }
    Err(format!("there is no organization `{organization}`"))
}

/// Makes a key of the installation for whoever has the host: the way back in when all of these are lost.
pub fn recover(places: &Places) -> Result<Secret, String> {
    let _lock = lock(places)?;
    let peppers = Peppers::read(&places.pepper)?;
    let store = Sqlite::at(&places.database());
    let mut tx = store.writer().map_err(|e| e.to_string())?;
    tx.begin().map_err(|e| e.to_string())?;
    let mut made = None;
    by_host(tx.as_mut(), "", wall(), "recover", &mut |c| {
        made = Some(first_installation_key(c, &host_access(), &peppers)?);
        Ok(())
    })
    .map_err(|p| p.detail)?;
    tx.commit().map_err(|e| e.to_string())?;
    made.ok_or_else(|| "recover: no key was made".to_owned())
}

/// A change by whoever has the host, with its record.
pub fn by_host(
    tx: &mut dyn Write,
    org: &str,
    at: i64,
    action: &str,
    what: &mut dyn FnMut(&mut Change<'_>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let (seq, last) = tx.head(org)?;
    let mut change = Change {
        tx,
        org: org.to_owned(),
        state: None,
        caller: None,
        host: true,
        at: at.max(last),
        seq: seq + 1,
        after: Vec::new(),
        heard: true,
        before: HashMap::new(),
        rules: vec![("host", "access to the host".to_owned())],
        denied: None,
    };
    what(&mut change)?;
    let request = RequestFacts { id: new_uid("req"), action: action.to_owned(), ..RequestFacts::default() };
    let org = change.org.clone();
    for entry in change.records(&request)? {
        change.tx.append(&org, &entry)?;
    }
    Ok(())
}
