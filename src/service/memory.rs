//! What decisions read: the engine's directories and the keys, in memory, swapped when a change is durable.
//!
//! In:    a store at start; after each commit, which organizations and which credentials it touched.
//! Out:   [`OrgState`], an immutable snapshot of one organization; [`Key`], one credential.
//! Law:   nothing gets in here that isn't durable, and an answer to a change is given after it got in. An organization
//!        that can't be made isn't here: everything in it is denied, and nothing in the others.

use super::build::{Built, Living, Meaningless, build};
use super::object::{Kind, Object};
use super::pepper::TokenMac;
use super::prelude;
use super::quotas::Tally;
use super::store::{Read, StoreError, Stored};
use crate::{Cidr, Directory, KeyPolicy, PolicySet, TextFile, parse_cidr};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

/// A set and the directory made for its vocabulary.
#[derive(Debug)]
pub struct Side {
    /// The rules.
    pub set: Arc<PolicySet>,
    /// The facts.
    pub directory: Directory,
}

/// An account as decisions and records need it.
#[derive(Clone, Debug)]
pub struct AccountFacts {
    /// Its kind's wire name.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// Its uid.
    pub uid: String,
    /// The uid of who answers for it.
    pub owner: Option<String>,
    /// Its home.
    pub home: String,
    /// Its end.
    pub expires: i64,
}

/// One organization as it is now.
#[derive(Debug)]
pub struct OrgState {
    /// Its uid.
    pub uid: String,
    /// Its id, the root of its tree.
    pub id: String,
    /// The number of its last change.
    pub revision: i64,
    /// The shipped set over its directory.
    pub guard: Side,
    /// Its active set over its directory.
    pub own: Side,
    /// The uid of the active set; none before the first activation.
    pub active: Option<String>,
    /// Accounts that can act, by uid.
    pub accounts: HashMap<String, AccountFacts>,
    /// Their uids, by kind and id.
    pub names: HashMap<(Kind, String), String>,
    /// What the active set has no meaning for.
    pub meaningless: Vec<Meaningless>,
    /// Accounts and resources that are stored and have no meaning under it, by kind and id: all is denied them.
    pub gone: HashSet<(String, String)>,
    /// Kinds and ids that the active set names in quotes.
    pub named: HashSet<(String, String)>,
    /// From this moment on an account in it has expired.
    pub until: i64,
    key_policies: Mutex<HashMap<String, Result<Arc<KeyPolicy>, String>>>,
}

impl OrgState {
    /// A key's own policy text, compiled; identical texts share a tree.
    pub fn key_policy(&self, text: &str) -> Result<Arc<KeyPolicy>, String> {
        let known = |m: &HashMap<String, Result<Arc<KeyPolicy>, String>>| m.get(text).cloned();
        let held = || self.key_policies.lock().expect("memory: nobody panics while holding key policies");
        if let Some(found) = known(&held()) {
            return found;
        }
        let made = self.own.set.key_policy(text);
        let mut all = held();
        if all.len() < KEY_POLICIES_MAX {
            all.insert(text.to_owned(), made.clone());
        }
        made
    }
}

/// Compiled key policies kept for one organization.
const KEY_POLICIES_MAX: usize = 100_000;

/// One credential as it is checked.
#[derive(Debug)]
pub struct Key {
    /// The uid of the credential.
    pub uid: String,
    /// The uid of its organization; empty for a key of the installation.
    pub org: String,
    /// The uid of its account; empty for a key of the installation.
    pub account: String,
    /// Codes that are right, each with its pepper and until when: two while a rotation overlaps.
    pub codes: Vec<(String, TokenMac, i64)>,
    /// The path it reaches down from.
    pub scope: Option<String>,
    /// Names of its boundaries.
    pub boundaries: Vec<String>,
    /// Its own policy text.
    pub policy: Option<String>,
    /// Where it may be used from; anywhere if there are none.
    pub networks: Vec<Cidr>,
    /// Its end.
    pub expires: i64,
    /// Switched off.
    pub disabled: bool,
    /// Whether its user confirmed himself with a second factor.
    pub mfa: bool,
    /// When it was last used, microseconds; 0 for never.
    pub used: AtomicI64,
    /// From where.
    pub used_from: Mutex<String>,
}

impl Key {
    /// A key that nobody has and that bounds nothing, to ask what an account could do.
    pub fn unbounded(org: &str, account: &str, home: &str, mfa: bool) -> Key {
        Key {
            uid: String::new(),
            org: org.to_owned(),
            account: account.to_owned(),
            codes: Vec::new(),
            scope: Some(home.to_owned()),
            boundaries: Vec::new(),
            policy: None,
            networks: Vec::new(),
            expires: i64::MAX,
            disabled: false,
            mfa,
            used: AtomicI64::new(0),
            used_from: Mutex::new(String::new()),
        }
    }

    /// Of a stored credential; a network that can't be read lets nobody in.
    pub fn of(object: &Object) -> Vec<(String, Key)> {
        let code = |mac: &str, pepper: &str, until: i64| {
            let mut code = [0; 32];
            for (n, byte) in code.iter_mut().enumerate() {
                *byte = u8::from_str_radix(mac.get(2 * n..2 * n + 2)?, 16).ok()?;
            }
            Some((pepper.to_owned(), code, until))
        };
        let networks: Vec<_> = object.texts("networks").iter().map(|c| parse_cidr(c)).collect();
        let unreadable = networks.iter().any(Result::is_err);
        let own = |id: &str, mac: &str, pepper: &str, until: i64| {
            let key = Key {
                uid: object.uid.clone(),
                org: object.org.clone(),
                account: object.refers("account").unwrap_or_default().to_owned(),
                codes: code(mac, pepper, until).into_iter().collect(),
                scope: object.text("scope").map(str::to_owned),
                boundaries: object.texts("boundaries"),
                policy: object.text("policy").map(str::to_owned),
                networks: networks.iter().flatten().copied().collect(),
                expires: object.time("expires_at").unwrap_or(i64::MAX),
                disabled: object.is_disabled() || unreadable || object.deleted.is_some(),
                mfa: object.body.get("mfa").and_then(|m| m.as_bool()).unwrap_or(false),
                used: AtomicI64::new(0),
                used_from: Mutex::new(String::new()),
            };
            (id.to_owned(), key)
        };
        let text = |field: &str| object.text(field).unwrap_or_default();
        let mut keys = vec![own(text("key_id"), text("mac"), text("pepper"), i64::MAX)];
        if let Some(until) = object.time("overlap_until") {
            keys.push(own(text("old_key_id"), text("old_mac"), text("old_pepper"), until));
        }
        keys
    }
}

/// Why an organization can't be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmade {
    /// The store can't be read.
    Unread(StoreError),
    /// What is stored contradicts itself.
    Contradiction(String),
}

impl From<StoreError> for Unmade {
    fn from(error: StoreError) -> Unmade {
        Unmade::Unread(error)
    }
}

/// All organizations and keys.
#[derive(Debug, Default)]
pub struct Memory {
    held: RwLock<Held>,
    /// How far it is, and what organizations may have.
    pub tally: Tally,
}

#[derive(Debug, Default)]
struct Held {
    orgs: HashMap<String, Arc<OrgState>>,
    keys: HashMap<String, Arc<Key>>,
    /// The key ids of each credential.
    of: HashMap<String, Vec<String>>,
}

impl Memory {
    /// Reads everything.
    pub fn load(read: &mut dyn Read, now: i64) -> Result<Memory, String> {
        let memory = Memory::default();
        let failed = |e: super::store::StoreError| e.to_string();
        let orgs = read.organizations().map_err(failed)?;
        for org in orgs.iter().map(String::as_str).chain([""]) {
            if !org.is_empty() {
                memory.refresh(read, org, now)?;
            }
            memory.tally.begin(read, org).map_err(failed)?;
            let mut keys = Vec::new();
            read.each(org, &[Kind::Credential], &mut |key| keys.push(key)).map_err(failed)?;
            keys.iter().for_each(|key| memory.set_key(key));
        }
        for (credential, at, ip) in read.uses().map_err(failed)? {
            for key in memory.keys_of(&credential) {
                key.used.store(at, Ordering::Relaxed);
                ip.clone_into(&mut key.used_from.lock().expect("memory: an address is just a text"));
            }
        }
        Ok(memory)
    }

    /// Makes an organization anew from what is stored. One that can't be made is denied everything, alone.
    pub fn refresh(&self, read: &mut dyn Read, org: &str, now: i64) -> Result<(), String> {
        match self.next(read, org, now) {
            Ok(Some(state)) => self.swap(state),
            Ok(None) => self.drop_org(org),
            Err(Unmade::Unread(error)) => return Err(error.to_string()),
            Err(Unmade::Contradiction(why)) => {
                tracing::error!(org, why, "an organization can't be made: everything in it is denied");
                self.drop_org(org);
            }
        }
        Ok(())
    }

    /// An organization as the store has it, not yet in force; none if the store has none.
    pub fn next(&self, read: &mut dyn Read, org: &str, now: i64) -> Result<Option<OrgState>, Unmade> {
        org_state(read, org, now, self.org(org).as_deref())
    }

    /// Puts a state in force, unless a newer one is.
    pub fn swap(&self, state: OrgState) {
        let mut held = self.held.write().expect("memory: nobody panics while writing");
        let newer = held.orgs.get(&state.uid).is_some_and(|there| there.revision > state.revision);
        if !newer {
            held.orgs.insert(state.uid.clone(), Arc::new(state));
        }
    }

    fn drop_org(&self, org: &str) {
        self.held.write().expect("memory: nobody panics while writing").orgs.remove(org);
    }

    /// Notes a credential as it now is.
    pub fn set_key(&self, object: &Object) {
        let keys = Key::of(object);
        let mut held = self.held.write().expect("memory: nobody panics while writing");
        let before = held.of.remove(&object.uid).unwrap_or_default();
        let used = before.first().and_then(|id| held.keys.get(id)).map(|k| k.used.load(Ordering::Relaxed));
        for id in before {
            held.keys.remove(&id);
        }
        if object.deleted.is_some() {
            return;
        }
        for (id, key) in keys {
            key.used.store(used.unwrap_or(0), Ordering::Relaxed);
            held.of.entry(object.uid.clone()).or_default().push(id.clone());
            held.keys.insert(id, Arc::new(key));
        }
    }

    /// A key by its public id.
    pub fn key(&self, id: &str) -> Option<Arc<Key>> {
        self.held.read().expect("memory: nobody panics while writing").keys.get(id).cloned()
    }

    /// The keys of a credential.
    pub fn keys_of(&self, credential: &str) -> Vec<Arc<Key>> {
        let held = self.held.read().expect("memory: nobody panics while writing");
        let ids = held.of.get(credential).into_iter().flatten();
        ids.filter_map(|id| held.keys.get(id).cloned()).collect()
    }

    /// All keys, for noting their last use.
    pub fn keys(&self) -> Vec<Arc<Key>> {
        let held = self.held.read().expect("memory: nobody panics while writing");
        held.keys.values().cloned().collect()
    }

    /// How many key ids there are.
    pub fn key_count(&self) -> usize {
        self.held.read().expect("memory: nobody panics while writing").keys.len()
    }

    /// An organization as it is now.
    pub fn org(&self, uid: &str) -> Option<Arc<OrgState>> {
        self.held.read().expect("memory: nobody panics while writing").orgs.get(uid).cloned()
    }
}

/// The living objects that the engine's directory is made of.
pub fn living(read: &mut dyn Read, org: &str) -> Stored<Living> {
    let mut all = Vec::new();
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|k| k.is_directory()).collect();
    read.each(org, &kinds, &mut |object| all.push(object))?;
    Ok(Living::new(all))
}

/// The files of a stored policy set.
pub fn files_of(set: &Object) -> Vec<TextFile> {
    let list = set.body.get("files").and_then(|f| f.as_array());
    let text = |f: &serde_json::Value, field: &str| f.get(field).and_then(|v| v.as_str()).map(str::to_owned);
    list.into_iter()
        .flatten()
        .filter_map(|f| Some(TextFile { name: text(f, "name")?, bytes: text(f, "text")?.into_bytes() }))
        .collect()
}

fn org_state(
    read: &mut dyn Read,
    org: &str,
    now: i64,
    before: Option<&OrgState>,
) -> Result<Option<OrgState>, Unmade> {
    let living = living(read, org)?;
    let Some(root) = living.of(Kind::Organization).next() else { return Ok(None) };
    let active = root.refers("active").map(str::to_owned);
    let set = match &active {
        None => prelude::guard(),
        Some(uid) => {
            let stored = read.object(org, uid)?;
            let files = stored.as_ref().map(files_of).unwrap_or_default();
            let set = prelude::compiled(&files, now);
            let why = || format!("the active policy set `{uid}` doesn't compile with this version");
            set.ok_or_else(|| Unmade::Contradiction(why()))?
        }
    };
    let revision = read.head(org)?.0;
    let made = OrgState::make(&living, set, active, revision, now);
    let mut made = made.map_err(Unmade::Contradiction)?;
    if let Some(before) = before.filter(|b| b.active == made.active) {
        let kept = before.key_policies.lock().expect("memory: nobody panics holding these").clone();
        made.key_policies = Mutex::new(kept);
    }
    Ok(Some(made))
}

impl OrgState {
    /// An organization as it is, or would be, under a set.
    pub fn make(
        living: &Living,
        set: Arc<PolicySet>,
        active: Option<String>,
        revision: i64,
        now: i64,
    ) -> Result<OrgState, String> {
        let root = living.of(Kind::Organization).next().ok_or("the organization has no root")?;
        let guard_set = prelude::guard();
        let Built { directory: guarded, until, .. } = build(guard_set.vocabulary(), living, now, true)?;
        let built = build(set.vocabulary(), living, now, false)?;
        let ended = |o: &Object| o.time("expires_at").is_some_and(|ends| ends <= now);
        let away = |o: &&Object| built.gone.contains(&o.uid);
        let can_act = |o: &&Object| o.kind.is_account() && !o.is_disabled() && !ended(o) && !away(o);
        let named = |o: &Object| match o.kind {
            Kind::Resource => Some((o.text("kind")?.to_owned(), o.text("id")?.to_owned())),
            kind => Some((kind.wire().to_owned(), o.name.clone())),
        };
        let gone = living.iter().filter(away).filter_map(named).collect();
        let accounts: HashMap<_, _> =
            living.iter().filter(can_act).map(|o| (o.uid.clone(), AccountFacts::of(o, living))).collect();
        let names = accounts.values().map(|a| ((a.kind, a.id.clone()), a.uid.clone())).collect();
        let quoted = set.quoted_names().into_iter();
        Ok(OrgState {
            uid: root.uid.clone(),
            id: root.name.clone(),
            revision,
            named: quoted.map(|(kind, id)| (kind.to_string(), id.to_string())).collect(),
            guard: Side { set: guard_set, directory: guarded },
            own: Side { set, directory: built.directory },
            active,
            accounts,
            names,
            meaningless: built.meaningless,
            gone,
            until: until.min(built.until),
            key_policies: Mutex::default(),
        })
    }
}

impl AccountFacts {
    fn of(object: &Object, living: &Living) -> AccountFacts {
        AccountFacts {
            kind: object.kind,
            id: object.name.clone(),
            uid: object.uid.clone(),
            owner: object.refers("owner").filter(|_| living.owner(object).is_some()).map(str::to_owned),
            home: object.scope.clone(),
            expires: object.time("expires_at").unwrap_or(i64::MAX),
        }
    }
}
