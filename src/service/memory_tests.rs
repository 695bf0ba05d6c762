//! The law of changes: the state that changes have led to is the one that is made anew from the store.

use super::authn::Caller;
use super::change::Change;
use super::delta::{self, Touch};
use super::guard::{self, On, Rights, host_access};
use super::memory::{Key, Memory, OrgState};
use super::object::{Fields, Kind, Object};
use super::secret::new_uid;
use super::store::{Sqlite, Store, Write};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

const RULES: &str = r#"
resource server {}
resource disk in server {}
action read on server, disk
account user { mfa: Bool? supplied, team: String?, boss: user | group? }
role reader { allow read on server, disk }
boundary narrow { allow read on anything }
policy house { everyone_reads: allow user to read on server }
"#;

/// One organization in a store of its own.
struct World {
    folder: PathBuf,
    tx: Box<dyn Write + Send>,
    memory: Memory,
    org: String,
    now: i64,
    made: u32,
    /// Changes that were made of the state before, and those that were made anew.
    ways: [u32; 2],
}

impl Drop for World {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn fields(value: Value) -> Fields {
    value.as_object().cloned().unwrap_or_default()
}

type Touched = (Vec<Object>, HashMap<String, Object>);

impl World {
    fn new() -> World {
        let folder = std::env::temp_dir().join(new_uid("policyd-memory"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let store = Sqlite::at(&folder.join("policyd.db")).careless();
        let mut tx = store.writer().expect("opens");
        let org = new_uid("org");
        let now = 1_000_000_000;
        let memory = Memory::load(tx.as_mut(), now, &AtomicU64::new(0)).expect("an empty store");
        let mut world = World { folder, tx, memory, org, now, made: 0, ways: [0, 0] };
        world.change(|c| {
            let mut set = c.object(
                Kind::PolicySet,
                "v1",
                "acme",
                fields(json!({ "files": [{ "name": "a.pol", "text": RULES }] })),
            );
            set.refs = Vec::new();
            let set = c.put(&host_access(), set).ok()?;
            let mut root = c.object(Kind::Organization, "acme", "acme", fields(json!({ "id": "acme" })));
            root.uid.clone_from(&c.org);
            root.refs = vec![("active".into(), set.uid)];
            c.put(&host_access(), root).ok()
        });
        assert!(world.state().whole);
        world
    }

    fn living(&mut self, kinds: &[Kind]) -> Vec<Object> {
        let mut all = Vec::new();
        self.tx.each(&self.org, kinds, &mut |o| all.push(o)).expect("reads");
        all.sort_by(|a, b| a.created.cmp(&b.created).then(a.name.cmp(&b.name)));
        all
    }

    fn pick(&mut self, kinds: &[Kind], n: usize) -> Option<Object> {
        let all = self.living(kinds);
        (!all.is_empty()).then(|| all[n % all.len()].clone())
    }

    /// Makes one change as the writer does; what it contradicts is forgotten.
    fn change(&mut self, make: impl FnOnce(&mut Change<'_>) -> Option<Object>) {
        self.now += 10;
        self.tx.begin().expect("begins");
        let mut change = Change {
            tx: self.tx.as_mut(),
            org: self.org.clone(),
            state: None,
            caller: None,
            host: true,
            at: self.now,
            seq: 0,
            after: Vec::new(),
            heard: true,
            before: HashMap::new(),
            rules: Vec::new(),
            denied: None,
        };
        let made = make(&mut change);
        let (after, mut before): Touched =
            (std::mem::take(&mut change.after), std::mem::take(&mut change.before));
        let touched: Vec<Touch> =
            after.into_iter().map(|after| Touch { before: before.remove(&after.uid), after }).collect();
        if made.is_none() || touched.is_empty() {
            return self.tx.abandon().expect("forgets");
        }
        let state = self.memory.org(&self.org);
        let state = state.filter(|s| self.now < s.until).or_else(|| {
            self.memory.refresh(self.tx.as_mut(), &self.org, self.now).expect("refreshes");
            self.memory.org(&self.org)
        });
        let small =
            state.and_then(|s| delta::next(&s, self.tx.as_mut(), &touched, 0, self.now).expect("reads"));
        self.ways[usize::from(small.is_none())] += 1;
        match self.memory.next(self.tx.as_mut(), &self.org.clone(), &touched, self.now) {
            Ok(Some(next)) => {
                self.tx.commit().expect("commits");
                self.memory.swap(next);
            }
            Ok(None) | Err(_) => self.tx.abandon().expect("forgets"),
        }
    }

    fn put(&mut self, kind: Kind, name: String, scope: &str, body: Value, refs: Vec<(&str, String)>) {
        let refs = refs.into_iter().map(|(label, uid)| (label.to_owned(), uid)).collect();
        self.change(|c| {
            let mut object = c.object(kind, &name, scope, fields(body));
            if name.is_empty() {
                object.name.clone_from(&object.uid);
            }
            object.refs = refs;
            c.put(&host_access(), object).ok()
        });
    }

    fn state(&self) -> Arc<OrgState> {
        self.memory.org(&self.org).expect("it is made")
    }
}

const ACCOUNTS: &[Kind] = &[Kind::User, Kind::ServiceAccount, Kind::Agent];
const HOLDERS: &[Kind] = &[Kind::User, Kind::ServiceAccount, Kind::Agent, Kind::Group];
const PLACES: &[Kind] = &[Kind::Organization, Kind::Project, Kind::Environment];

/// A change, in numbers that are taken as whatever is there.
#[derive(Clone, Copy, Debug)]
struct Op(u8, usize, usize, usize);

fn reference(object: &Object) -> Value {
    json!({ "kind": object.kind.wire(), "id": object.name })
}

impl World {
    fn run(&mut self, op: Op) -> Option<()> {
        let Op(what, a, b, c) = op;
        self.made += 1;
        let place = self.pick(PLACES, b)?;
        let at = |place: &Object| ("scope", place.uid.clone());
        let now = self.now;
        let until = |n: usize| {
            if n.is_multiple_of(3) { json!(crate::show_time(now + 25 * n as i64)) } else { Value::Null }
        };
        let id = a % 4;
        match what {
            0 if place.kind == Kind::Organization => {
                let path = format!("acme/p{id}");
                self.put(
                    Kind::Project,
                    path.clone(),
                    &path,
                    json!({ "id": format!("p{id}") }),
                    vec![("in", place.uid)],
                );
            }
            0 => {
                let above = self.pick(&[Kind::Project], b)?;
                let path = format!("{}/e{id}", above.name);
                let stage = ["sandbox", "production"][c % 2];
                self.put(
                    Kind::Environment,
                    path.clone(),
                    &path,
                    json!({ "stage": stage }),
                    vec![("in", above.uid)],
                );
            }
            1 => self.put(Kind::Group, format!("g{id}"), &place.name, json!({}), vec![at(&place)]),
            2 => {
                let mut body =
                    json!({ "status": "active", "expires_at": until(c), "attributes": { "team": "a" } });
                let mut refs = vec![at(&place)];
                if let Some(boss) = self.pick(&[Kind::User, Kind::Group], a).filter(|_| c.is_multiple_of(2)) {
                    body["attributes"]["boss"] = reference(&boss);
                    refs.push(("attributes/boss", boss.uid));
                }
                self.put(Kind::User, format!("u{id}"), &place.name, body, refs);
            }
            3 => {
                let owner = self.pick(&[Kind::User, Kind::Group], c)?;
                let body = json!({ "purpose": "x", "owner": reference(&owner), "expires_at": until(c + 1) });
                let kind = [Kind::ServiceAccount, Kind::Agent][c % 2];
                self.put(kind, format!("m{id}"), &place.name, body, vec![at(&place), ("owner", owner.uid)]);
            }
            4 => {
                let (group, member) = (self.pick(&[Kind::Group], a)?, self.pick(HOLDERS, b)?);
                let refs = vec![("group", group.uid.clone()), ("member", member.uid.clone())];
                let name = format!("{}|{}", group.uid, member.uid);
                self.put(Kind::Membership, name, &group.scope, json!({ "until": until(c) }), refs);
            }
            5 | 6 => {
                let holder = self.pick(HOLDERS, a)?;
                let role = ["reader", "policyd/admin", "policyd/viewer"][c % 3];
                let bounded = if c.is_multiple_of(5) { json!(["narrow"]) } else { Value::Null };
                let mut body =
                    json!({ "role": role, "until": until(a), "boundaries": bounded, "scope": place.name });
                let mut refs = vec![at(&place)];
                match c % 7 {
                    0 => body["everyone"] = "user".into(),
                    _ => refs.push(("holder", holder.uid)),
                }
                let mut scope = place.name;
                if let Some(resource) = self.pick(&[Kind::Resource], c).filter(|_| c.is_multiple_of(4)) {
                    body["resource"] = json!({ "kind": resource.text("kind"), "id": resource.text("id") });
                    scope.clone_from(&resource.scope);
                    refs[0] = ("scope", resource.refers("scope")?.to_owned());
                    refs.push(("resource", resource.uid));
                }
                self.put(Kind::Binding, String::new(), &scope, body, refs);
            }
            7 => {
                let to = self.pick(&[ACCOUNTS, PLACES].concat(), a)?;
                let boundary = ["narrow", "policyd_off", "unknown"][(c % 16).min(2).min(c % 9)];
                let name = format!("{}|{boundary}", to.uid);
                self.put(
                    Kind::Attachment,
                    name,
                    &to.scope,
                    json!({ "boundary": boundary }),
                    vec![("to", to.uid)],
                );
            }
            8 => {
                let (agent, behind) = (self.pick(&[Kind::Agent], a)?, self.pick(HOLDERS, b)?);
                let consent = if c.is_multiple_of(2) { reference(&behind) } else { Value::Null };
                let body = json!({ "consented_by": consent, "until": until(c) });
                let refs = vec![("agent", agent.uid.clone()), ("for", behind.uid.clone())];
                self.put(Kind::Link, format!("{}|{}", agent.uid, behind.uid), &agent.scope, body, refs);
            }
            9 => {
                let server = self
                    .pick(&[Kind::Resource], b)
                    .filter(|r| c.is_multiple_of(2) && r.text("kind") == Some("server"));
                let (kind, home) = match &server {
                    None => ("server", place.clone()),
                    Some(server) => (
                        "disk",
                        self.living(PLACES)
                            .into_iter()
                            .find(|p| Some(p.uid.as_str()) == server.refers("scope"))?,
                    ),
                };
                let mut body = json!({ "kind": kind, "id": format!("r{id}") });
                let mut refs = vec![at(&home)];
                if let Some(server) = server {
                    body["in"] = json!({ "kind": "server", "id": server.text("id") });
                    refs.push(("in", server.uid));
                }
                self.put(Kind::Resource, format!("{kind}/r{id}"), &home.name, body, refs);
            }
            10 => {
                let kinds = [HOLDERS, &[Kind::Project, Kind::Environment, Kind::Resource]].concat();
                let kinds = if c.is_multiple_of(4) {
                    kinds
                } else {
                    vec![Kind::Binding, Kind::Membership, Kind::Link, Kind::Attachment]
                };
                let object = self.pick(&kinds, a)?;
                self.change(|c| c.delete(&host_access(), object.clone()).ok().map(|()| object));
            }
            11 => {
                let mut gone = Vec::new();
                self.tx
                    .every(&self.org, &mut |o| {
                        if o.deleted.is_some() && o.kind.is_account() {
                            gone.push(o)
                        }
                    })
                    .ok()?;
                gone.sort_by_key(|o| o.created);
                let mut account = gone.get(a % gone.len().max(1))?.clone();
                account.deleted = None;
                account.body.insert("status".into(), "disabled".into());
                self.change(|c| c.put(&host_access(), account).ok());
            }
            12 => {
                let mut account = self.pick(ACCOUNTS, a)?;
                match c % 4 {
                    0 => drop(account.body.insert("status".into(), ["active", "disabled"][b % 2].into())),
                    1 => drop(account.body.insert("expires_at".into(), until(b))),
                    2 => {
                        account.scope.clone_from(&place.name);
                        account.refs.retain(|(label, _)| label != "scope");
                        account.refs.push(("scope".into(), place.uid));
                    }
                    _ if account.kind == Kind::User => {
                        drop(account.body.insert("attributes".into(), json!({ "team": "b" })))
                    }
                    _ => {
                        let owner = self.pick(&[Kind::User, Kind::Group], b)?;
                        account.body.insert("owner".into(), reference(&owner));
                        account.refs.retain(|(label, _)| label != "owner");
                        account.refs.push(("owner".into(), owner.uid));
                    }
                }
                self.change(|c| c.put(&host_access(), account).ok());
            }
            13 => {
                let mut link = self.pick(&[Kind::Link], a)?;
                link.body.insert("consented_by".into(), json!({ "kind": "user", "id": "x" }));
                self.change(|c| c.put(&host_access(), link).ok());
            }
            _ => self.now += 40 * a as i64,
        }
        Some(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, ..ProptestConfig::default() })]

    /// After every change the state is compared with the one made anew (in `Memory::next`), whichever way it was made.
    #[test]
    fn changes_lead_where_the_store_does(
        ops in prop::collection::vec((0..15u8, 0..64usize, 0..64usize, 0..64usize), 20..90)
    ) {
        let mut world = World::new();
        for (what, a, b, c) in ops {
            world.run(Op(what, a, b, c));
        }
    }
}

/// What is plain is never made anew: that would cost as much as a start.
#[test]
fn plain_changes_follow_what_they_touch() {
    let mut world = World::new();
    let anew = world.ways[1];
    let ops = [
        Op(0, 0, 0, 0),
        Op(0, 1, 0, 0),
        Op(0, 0, 1, 0),
        Op(1, 0, 0, 0),
        Op(1, 1, 0, 0),
        Op(2, 0, 0, 1),
        Op(2, 1, 0, 3),
        Op(3, 0, 0, 0),
        Op(3, 1, 0, 1),
        Op(3, 2, 0, 3),
        Op(4, 0, 1, 0),
        Op(4, 0, 3, 1),
        Op(5, 0, 0, 1),
        Op(5, 1, 0, 4),
        Op(5, 2, 0, 7),
        Op(7, 0, 0, 0),
        Op(8, 0, 1, 0),
        Op(8, 0, 0, 1),
        Op(9, 0, 0, 1),
        Op(9, 1, 0, 0),
        Op(13, 0, 0, 0),
        Op(12, 0, 1, 0),
        Op(12, 0, 0, 0),
        Op(12, 1, 4, 1),
        Op(12, 2, 2, 2),
        Op(12, 3, 1, 3),
        Op(10, 0, 0, 1),
        Op(10, 0, 0, 0),
        Op(14, 9, 0, 0),
        Op(10, 5, 0, 0),
        Op(10, 3, 0, 0),
        Op(10, 1, 0, 0),
        Op(10, 0, 0, 0),
    ];
    for op in ops {
        let said = format!("{op:?}");
        world.run(op);
        assert_eq!(world.ways[1], anew, "made anew by {said}");
    }
    assert!(world.state().whole);
    assert!(world.ways[0] >= 20, "small and anew: {:?}", world.ways);
}

/// What one request asks of rights, one after the other, is answered as if each were asked alone.
#[test]
fn rights_in_a_row_are_those_asked_alone() {
    let mut world = World::new();
    let ops = [
        Op(0, 0, 0, 0),
        Op(0, 1, 0, 0),
        Op(0, 0, 1, 0),
        Op(0, 1, 1, 1),
        Op(0, 0, 2, 0),
        Op(2, 0, 0, 1),
        Op(2, 1, 0, 1),
    ];
    assert!(ops.into_iter().all(|op| world.run(op).is_some()));
    let (places, people) = (world.living(PLACES), world.living(&[Kind::User]));
    assert_eq!((places.len(), people.len()), (6, 2));
    for (person, place, role) in
        [(0, 1, "policyd/enforcer"), (0, 2, "policyd/asker"), (1, 0, "policyd/asker")]
    {
        let (place, holder) = (&places[place], people[person].uid.clone());
        let refs = vec![("scope", place.uid.clone()), ("holder", holder)];
        let body = json!({ "role": role, "scope": place.name });
        world.put(Kind::Binding, String::new(), &place.name.clone(), body, refs);
    }
    let state = world.state();
    let asked: Vec<(&str, &Object)> = ["ask", "supply", "assert_chain", "search"]
        .into_iter()
        .flat_map(|action| places.iter().map(move |place| (action, place)))
        .collect();
    let mut allowed = Vec::new();
    for account in state.acting_accounts() {
        let caller = Caller {
            key: Arc::new(Key::unbounded(&state.uid, &account.uid, &account.home, false)),
            key_id: String::new(),
            org: None,
            account: Some(account),
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        for stride in [1, 5, 7, 11, 13] {
            let mut rights = Rights::of(&state, &caller, world.now);
            for n in 0..asked.len() {
                let (action, place) = asked[n * stride % asked.len()];
                let on = On::Scope(place.kind.wire(), &place.name);
                let alone = guard::permit(&state, &caller, action, on, world.now).is_ok();
                let may = rights.may(action, &place.name);
                assert_eq!(may, alone, "{action} at {}", place.name);
                allowed.push(may);
            }
            // Several at once, as few or as many as a question takes.
            let mut rights = Rights::of(&state, &caller, world.now);
            for (n, place) in places.iter().cycle().take(3 * places.len()).enumerate() {
                let actions =
                    &["supply", "ask", "assert_chain"][n * stride % 3..][..1 + n % (3 - n * stride % 3)];
                let on = On::Scope(place.kind.wire(), &place.name);
                let permit =
                    |action: &&'static str| guard::permit(&state, &caller, action, on, world.now).is_ok();
                let each = rights.each(actions, &place.name);
                let alone: Vec<bool> = actions.iter().map(permit).collect();
                assert_eq!(each.as_slice(), alone, "{actions:?} at {}", place.name);
            }
        }
    }
    let yes = allowed.iter().filter(|may| **may).count();
    assert!(yes > 20 && allowed.len() - yes > 20, "{yes} of {} allowed", allowed.len());
}
