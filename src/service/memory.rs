//! What decisions read: the engine's directories and the keys, in memory, swapped when a change is durable.
//!
//! In:    a store at start; after each commit, which organizations and which credentials it touched.
//! Out:   [`OrgState`], an immutable snapshot of one organization; [`Key`], one credential.
//! Law:   nothing gets in here that isn't durable, and an answer to a change is given after it got in. An organization
//!        that can't be made isn't here: everything in it is denied, and nothing in the others. Whether a state was
//!        made anew or from the one before, the same store gives the same state.

use super::build::{Built, Meaningless, Rows, Unmade, build};
use super::delta::{self, Touch};
use super::known::{Accounts, Ends, Uid};
use super::object::{Kind, Object};
use super::pepper::TokenMac;
use super::prelude;
use super::quotas::Tally;
use super::store::Read;
use crate::{
    AccountIx, Cidr, Decision, Directory, Entity, KeyPolicy, Link, PolicySet, Question, Resolved, TextFile,
    parse_cidr,
};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

/// A set and the directory made for its vocabulary.
#[derive(Clone, Debug)]
pub struct Side {
    /// The rules.
    pub set: Arc<PolicySet>,
    /// The facts.
    pub directory: Directory,
    /// The numbers of the one in the other.
    pub link: Link,
}

impl Side {
    /// Links a question about its directory to its set.
    pub fn resolve<'a>(&'a self, question: &'a Question) -> Resolved<'a> {
        self.set.resolve(&self.directory, Some(&self.link), question)
    }

    /// Decides a question about its directory.
    pub fn decide(&self, question: &Question) -> Decision {
        self.resolve(question).decide()
    }
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

/// Texts of key policies, compiled, or why they can't be.
type KeyPolicies = HashMap<String, Result<Arc<KeyPolicy>, String>>;

/// One organization as it is now. A clone costs nothing.
#[derive(Clone, Debug)]
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
    /// The accounts of its directory, by uid.
    pub accounts: Accounts,
    /// When they end.
    pub ends: Ends,
    /// Up to which moment those that have ended are switched off in it.
    pub swept: i64,
    /// What the active set has no meaning for.
    pub meaningless: Arc<Vec<Meaningless>>,
    /// Accounts and resources that are stored and have no meaning under it, by kind and id: all is denied them.
    pub gone: Arc<HashSet<(String, String)>>,
    /// Kinds and ids that the active set names in quotes.
    pub named: Arc<HashSet<(String, String)>>,
    /// From this moment on an account in it has expired.
    pub until: i64,
    /// Whether everything that is stored is in it as it says: then it follows small changes.
    pub whole: bool,
    key_policies: Arc<Mutex<KeyPolicies>>,
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
    pub used_from: Mutex<Option<IpAddr>>,
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
            used_from: Mutex::default(),
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
                used_from: Mutex::default(),
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
    /// Reads everything; `seen` counts what was read.
    pub fn load(read: &mut dyn Read, now: i64, seen: &AtomicU64) -> Result<Memory, String> {
        let memory = Memory::default();
        let failed = |e: super::store::StoreError| e.to_string();
        let orgs = read.organizations().map_err(failed)?;
        for org in orgs.iter().map(String::as_str).chain([""]) {
            let mut counts = HashMap::new();
            if !org.is_empty() {
                let mut rows = Rows::of(&mut *read, org, seen);
                let made = org_state(&mut rows, now, None);
                counts = rows.counts;
                memory.take(org, made)?;
            }
            let mut keys = 0;
            let see = &mut |key: Object| {
                keys += 1;
                memory.set_key(&key);
            };
            read.each(org, &[Kind::Credential], see).map_err(failed)?;
            counts.insert(Kind::Credential, keys);
            memory.tally.begin(read, org, counts).map_err(failed)?;
        }
        for (credential, at, ip) in read.uses().map_err(failed)? {
            for key in memory.keys_of(&credential) {
                key.used.store(at, Ordering::Relaxed);
                *key.used_from.lock().expect("memory: nobody panics holding an address") = ip.parse().ok();
            }
        }
        Ok(memory)
    }

    /// Puts an organization in force as it was made. One that can't be made is denied everything, alone.
    fn take(&self, org: &str, made: Result<Option<OrgState>, Unmade>) -> Result<(), String> {
        match made {
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

    /// Switches off what has ended in an organization by `now`.
    pub fn refresh(&self, read: &mut dyn Read, org: &str, now: i64) -> Result<(), String> {
        let before = self.org(org);
        if let Some(state) = before.as_deref().and_then(|before| delta::expire(before, now)) {
            self.swap(state);
            return Ok(());
        }
        let made = org_state(&mut Rows::of(read, org, &AtomicU64::new(0)), now, before.as_deref());
        self.take(org, made)
    }

    /// An organization as it is after a change that the store has, not yet in force; none if the store has none.
    pub fn next(
        &self,
        read: &mut dyn Read,
        org: &str,
        touched: &[Touch],
        now: i64,
    ) -> Result<Option<OrgState>, Unmade> {
        let before = self.org(org);
        if let Some(before) = &before {
            let revision = read.head(org)?.0;
            if let Some(next) = delta::next(before, read, touched, revision, now)? {
                if compares() {
                    let anew = org_state(&mut Rows::of(read, org, &AtomicU64::new(0)), now, None)?;
                    hold_against(&next, &anew.expect("memory: what changed is there"), now);
                }
                return Ok(Some(next));
            }
        }
        org_state(&mut Rows::of(read, org, &AtomicU64::new(0)), now, before.as_deref())
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

/// Tests have each change held against the organization made anew; a release doesn't know it.
fn compares() -> bool {
    cfg!(debug_assertions) && (cfg!(test) || std::env::var_os("POLICYD_TEST_CHANGES").is_some())
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

/// What a change made equals what is made anew, once what has ended is switched off in both.
fn hold_against(next: &OrgState, anew: &OrgState, now: i64) {
    let next = delta::expire(next, now).expect("memory: what has ended can be switched off");
    assert!(next.until <= anew.until, "an account ends earlier than the state knows");
    let (made, anew) = (next.content(), anew.content());
    let only = |all: &[String], other: &[String]| -> Vec<String> {
        all.iter().filter(|line| !other.contains(line)).cloned().collect()
    };
    let (made_only, anew_only) = (only(&made, &anew), only(&anew, &made));
    assert!(made == anew, "a change made {made_only:#?}\nanew it is {anew_only:#?}");
}

fn org_state(rows: &mut Rows<'_>, now: i64, before: Option<&OrgState>) -> Result<Option<OrgState>, Unmade> {
    let org = rows.org;
    let root = rows.read.object(org, org)?.filter(|o| o.kind == Kind::Organization && o.deleted.is_none());
    let Some(root) = root else { return Ok(None) };
    let active = root.refers("active").map(str::to_owned);
    let set = match &active {
        None => prelude::guard(),
        Some(uid) => {
            let stored = rows.read.object(org, uid)?;
            let files = stored.as_ref().map(files_of).unwrap_or_default();
            let set = prelude::compiled(&files, now);
            let why = || format!("the active policy set `{uid}` doesn't compile with this version");
            set.ok_or_else(|| Unmade::Contradiction(why()))?
        }
    };
    let mut made = OrgState::make(rows, &root.name, set, active, now)?;
    if let Some(before) = before.filter(|b| b.active == made.active) {
        made.key_policies = Arc::clone(&before.key_policies);
    }
    Ok(Some(made))
}

impl OrgState {
    /// An organization as it is, or would be, under a set.
    pub fn make(
        rows: &mut Rows<'_>,
        id: &str,
        set: Arc<PolicySet>,
        active: Option<String>,
        now: i64,
    ) -> Result<OrgState, Unmade> {
        let guard = prelude::guard();
        let built = build(guard.vocabulary(), set.vocabulary(), rows, now)?;
        let Built { guard: guarded, own, accounts, ends, until, meaningless, gone, whole } = built;
        let side = |set: Arc<PolicySet>, directory: Directory| {
            let link = set.link(&directory);
            Side { set, directory, link }
        };
        let quoted = set.quoted_names().into_iter();
        let named = quoted.map(|(kind, id)| (kind.to_string(), id.to_string())).collect();
        Ok(OrgState {
            uid: rows.org.to_owned(),
            id: id.to_owned(),
            revision: rows.read.head(rows.org)?.0,
            named: Arc::new(named),
            guard: side(guard, guarded),
            own: side(set, own),
            active,
            accounts,
            ends,
            swept: now,
            meaningless: Arc::new(meaningless),
            gone: Arc::new(gone),
            until,
            whole,
            key_policies: Arc::default(),
        })
    }

    /// An account that can act, by uid.
    pub fn account(&self, uid: &str) -> Option<AccountFacts> {
        self.acting(self.accounts.number(Uid::of(uid)?)?)
    }

    /// An account that can act, by kind and id.
    pub fn account_named(&self, kind: Kind, id: &str) -> Option<AccountFacts> {
        let kind = self.own.set.vocabulary().kind_by_wire(kind.wire())?;
        self.acting(self.own.directory.account(&Entity { kind, id: id.into() })?)
    }

    /// All accounts that can act.
    pub fn acting_accounts(&self) -> impl Iterator<Item = AccountFacts> {
        self.accounts.iter().filter_map(|(at, _)| self.acting(at))
    }

    /// The account with this number in [`OrgState::own`], if it can act.
    pub fn acting(&self, at: AccountIx) -> Option<AccountFacts> {
        if self.accounts.get(at)?.off { None } else { self.facts(at) }
    }

    /// The account with this number, whether it can act or not.
    pub fn facts(&self, at: AccountIx) -> Option<AccountFacts> {
        let standing = self.accounts.get(at)?;
        let account = &self.own.directory.accounts[at.index()];
        Some(AccountFacts {
            kind: standing.uid().kind(),
            id: account.entity.id.to_string(),
            uid: standing.uid().show(),
            owner: standing.owner.map(Uid::show),
            home: account
                .home
                .map_or_else(String::new, |ix| self.own.directory.scopes[ix.index()].entity.id.to_string()),
            expires: standing.ends,
        })
    }
}
