//! `policyd init`: an empty folder becomes a store with its first credentials.
//!
//! In:    a folder, the ids of the first organization and its first person.
//! Out:   database, pepper, log key; the first credentials in a file that only its owner can read.
//! Law:   it never touches a store that is there.

use super::api::{AdminKey, first_installation_key, new_organization};
use super::change::{Change, RequestFacts};
use super::clock::{Clock, wall};
use super::guard::host_access;
use super::memory::Memory;
use super::pepper::Peppers;
use super::problem::Problem;
use super::running::{Places, create_signer};
use super::secret::{Secret, new_uid};
use super::store::{Sqlite, Store};
use std::sync::Arc;

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
    let clock = Arc::new(Clock::new(wall()));
    let told = |p: Problem| p.detail;
    let mut tx = store.writer().map_err(|e| e.to_string())?;
    tx.begin().map_err(|e| e.to_string())?;
    let change = |tx: &mut dyn super::store::Write,
                  what: &mut dyn FnMut(&mut Change<'_>) -> Result<(), Problem>| {
        let mut change = Change {
            tx,
            org: String::new(),
            state: None,
            caller: None,
            at: clock.now(),
            seq: 1,
            after: Vec::new(),
            rules: Vec::new(),
            denied: None,
        };
        what(&mut change)?;
        let request =
            RequestFacts { id: new_uid("req"), action: "init".to_owned(), ..RequestFacts::default() };
        let entry = change.record(&request)?;
        let org = change.org.clone();
        change.tx.append(&org, &entry)?;
        Ok::<(), Problem>(())
    };
    let (mut installation, mut admin) = (None, None);
    change(tx.as_mut(), &mut |c| {
        installation = Some(first_installation_key(c, &host_access(), peppers)?);
        Ok(())
    })
    .map_err(told)?;
    change(tx.as_mut(), &mut |c| {
        admin = Some(new_organization(c, &host_access(), peppers, organization, owner)?);
        Ok(())
    })
    .map_err(told)?;
    let name = new_uid("policyd");
    tx.set_fact("installation", &name).map_err(|e| e.to_string())?;
    tx.commit().map_err(|e| e.to_string())?;
    // What was written can be read: a store that couldn't start would be of no use.
    let mut read = store.reader().map_err(|e| e.to_string())?;
    Memory::load(read.as_mut(), clock.now())?;
    let made = installation.zip(admin).map(|(installation, admin)| First { installation, admin });
    made.ok_or_else(|| "init: the first credentials were not made".to_owned())
}
