//! The law of escalation: whatever accounts do that hold neither `grant`, `act_as` nor `activate`, the union of what they
//! and their keys may do never grows. A plain second model says what that is, from what is stored.
//!
//! A second law for who may act as somebody, with a key that is bounded: no key that comes of it is bounded less. The third,
//! of those who hold `grant`, is in `granted.rs`.
//!
//! `.ci/planted` plants bugs, one at a time, and says which of them these tests catch.

use crate::world::World;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One thing that somebody of them may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Power {
    /// A role, a membership, the ownership of something, a key.
    pub what: String,
    /// From which place down.
    pub place: String,
    /// Under which ceilings.
    pub bounds: BTreeSet<String>,
    /// Until when; `9` for ever.
    pub until: String,
}

impl Power {
    /// Whether whoever has this has the other as well.
    pub fn covers(&self, other: &Power) -> bool {
        let below = other.place == self.place || other.place.starts_with(&format!("{}/", self.place));
        self.what == other.what && below && self.bounds.is_subset(&other.bounds) && self.until >= other.until
    }
}

/// What the shipped roles include, and ours.
pub fn included(role: &str) -> &'static [&'static str] {
    match role {
        "policyd/admin" => &["policyd/admin", "policyd/viewer"],
        "policyd/owner" => &[
            "policyd/owner",
            "policyd/admin",
            "policyd/key_admin",
            "policyd/enforcer",
            "policyd/auditor",
            "policyd/viewer",
        ],
        "policyd/viewer" => &["policyd/viewer"],
        "policyd/asker" => &["policyd/asker"],
        "operator" => &["operator"],
        "opener" => &["opener"],
        "warden" => &["warden"],
        "suspended" => &["suspended"],
        "reader" => &["reader"],
        other => panic!("nobody of them should hold {other}"),
    }
}

const ROLES: &[&str] = &[
    "policyd/admin",
    "policyd/viewer",
    "policyd/asker",
    "policyd/owner",
    "policyd/key_admin",
    "operator",
    "reader",
    "opener",
    "warden",
];

/// What the rules of these tests say beside those of most: a deny that goes by a role.
const RULES: &str = r#"
resource gateway {}
action open, ward on gateway
role warden { allow ward on gateway }
role opener { allow open on gateway }
role suspended { allow read on server }
boundary wide { allow do anything on anything }
policy suspending { out: deny user to open on gateway when account has role suspended }
"#;
/// Roles that they hold, where they do: bounded, for a while, or kept from using them.
const HELD: &[(&str, &str)] = &[
    ("operator", "acme/web/prod"),
    ("operator", "acme/web/play"),
    ("policyd/asker", "acme/web"),
    ("opener", "acme"),
    ("warden", "acme/web/play"),
];
const PLACES: &[&str] = &["acme", "acme/web", "acme/web/play", "acme/web/prod"];
const UNTIL: &[Option<&str>] = &[None, Some("2050-01-01T00:00:00Z"), Some("2150-01-01T00:00:00Z")];

pub fn all(world: &World, collection: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let told =
            world.ask(&world.admin, "GET", &format!("/v1/{collection}?limit=500{cursor}"), &Value::Null).body;
        items.extend(told["items"].as_array().expect("items").clone());
        match told["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

pub fn name(value: &Value) -> String {
    format!("{}/{}", value["kind"].as_str().unwrap_or_default(), value["id"].as_str().unwrap_or_default())
}

pub fn until(value: &Value) -> String {
    value.as_str().unwrap_or("9").to_owned()
}

pub fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// All accounts, each with its home.
pub fn accounts(world: &World) -> BTreeMap<String, String> {
    let kinds = [("user", "users"), ("service_account", "service-accounts"), ("agent", "agents")];
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let of = |(kind, collection): (&'static str, &str)| {
        all(world, collection)
            .into_iter()
            .map(move |a| (format!("{kind}/{}", text(&a["id"])), text(&a["home"])))
    };
    kinds.into_iter().flat_map(of).collect()
}

/// The deeper of two places on one path.
fn meet(a: &str, b: &str) -> Option<String> {
    if a == b || b.starts_with(&format!("{a}/")) {
        Some(b.to_owned())
    } else if a.starts_with(&format!("{b}/")) {
        Some(a.to_owned())
    } else {
        None
    }
}

/// The groups an account is in, through groups too, each with the latest end.
fn groups(of: &str, memberships: &[Value]) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut open = vec![(of.to_owned(), "9".to_owned())];
    while let Some((member, ends)) = open.pop() {
        for m in memberships.iter().filter(|m| name(&m["member"]) == member) {
            let group = m["group"].as_str().expect("a group").to_owned();
            let ends = ends.clone().min(until(&m["until"]));
            if found.get(&group).is_none_or(|known| *known < ends) {
                found.insert(group.clone(), ends.clone());
                open.push((format!("group/{group}"), ends));
            }
        }
    }
    found
}

/// All that accounts other than the owner of the organization may do, and whose keys there are.
pub fn union(world: &World, start: Option<&BTreeSet<String>>) -> BTreeSet<Power> {
    let (bindings, memberships) = (all(world, "bindings"), all(world, "memberships"));
    let attachments = all(world, "attachments");
    let mut powers = BTreeSet::new();
    for (kind, collection) in
        [("user", "users"), ("service_account", "service-accounts"), ("agent", "agents")]
    {
        for account in all(world, collection) {
            let who = format!("{kind}/{}", account["id"].as_str().expect("an id"));
            if who == "user/ada" {
                continue;
            }
            let home = account["home"].as_str().expect("a home");
            let ends = until(&account["expires_at"]);
            let on = attachments.iter().filter(|a| name(&a["to"]) == who);
            let bounds: BTreeSet<String> =
                on.filter_map(|a| a["boundary"].as_str().map(str::to_owned)).collect();
            let groups = groups(&who, &memberships);
            let mut add = |what: String, place: &str, more: &BTreeSet<String>, until: &str| {
                if let Some(place) = meet(place, home) {
                    let bounds = bounds.union(more).cloned().collect();
                    powers.insert(Power { what, place, bounds, until: ends.clone().min(until.to_owned()) });
                }
            };
            add("reach".to_owned(), home, &BTreeSet::new(), "9");
            for (group, ends) in &groups {
                add(format!("in {group}"), home, &BTreeSet::new(), ends);
            }
            let held = |binding: &Value| {
                let holder = name(&binding["holder"]);
                holder == who || holder.strip_prefix("group/").is_some_and(|g| groups.contains_key(g))
            };
            // Whom the deny keeps from opening has less of the role than others have.
            let suspended = bindings.iter().any(|b| b["role"] == "suspended" && held(b));
            for binding in &bindings {
                let holder = name(&binding["holder"]);
                let through = match &binding["everyone"] {
                    Value::String(everyone) => (everyone == kind).then(|| "9".to_owned()),
                    _ if holder == who => Some("9".to_owned()),
                    _ => holder.strip_prefix("group/").and_then(|g| groups.get(g).cloned()),
                };
                let Some(through) = through else { continue };
                let ends = through.min(until(&binding["until"]));
                for role in included(binding["role"].as_str().expect("a role")) {
                    let scope = binding["scope"].as_str().expect("a place");
                    let mut more = texts(&binding["boundaries"]);
                    if suspended && *role == "opener" {
                        more.insert("suspended".to_owned());
                    }
                    if *role != "suspended" {
                        add(format!("role {role}"), scope, &more, &ends);
                    }
                }
            }
            // Who answers for what was there, and what was said of it.
            let known = start.is_none_or(|start| start.contains(&who));
            if account["owner"].is_object() && name(&account["owner"]) != "user/ada" {
                powers.insert(plain(format!("owner {} of {who}", name(&account["owner"]))));
            }
            if known && !suspended {
                powers.insert(plain(format!("{who} is not suspended")));
            }
            if known {
                powers.insert(plain(format!("attributes {} of {who}", account["attributes"])));
            }
        }
    }
    // What places and things are to rules: a stage, boundaries, what is stored of them.
    for (kind, collection) in [("project", "projects"), ("environment", "environments")] {
        for place in all(world, collection) {
            let path = place["path"].as_str().expect("a path");
            let on = attachments.iter().filter(|a| name(&a["to"]) == format!("{kind}/{path}"));
            let bounds: BTreeSet<&str> = on.filter_map(|a| a["boundary"].as_str()).collect();
            if path.starts_with("acme/old") {
                powers.insert(plain(format!("{path} as {} under {bounds:?}", place["stage"])));
            }
        }
    }
    for resource in all(world, "resources") {
        powers.insert(plain(format!("{} is {}", name(&resource), resource["attributes"])));
    }
    for key in all(world, "credentials").iter().filter(|k| k["status"] == "active") {
        powers.insert(plain(format!("key {} of {}", key["key_id"], name(&key["account"]))));
    }
    for link in
        all(world, "links").iter().filter(|l| name(&l["for"]) == "user/ada" && l["consented_by"].is_object())
    {
        powers.insert(plain(format!("agent {} for ada", link["agent"])));
    }
    powers
}

fn plain(what: String) -> Power {
    Power { what, place: "acme".to_owned(), bounds: BTreeSet::new(), until: "9".to_owned() }
}

pub struct Random(u64);

impl Random {
    /// The same calls in every run, or others for another `POLICYD_SEED`.
    pub fn seeded(seed: u64) -> Random {
        let other: u64 = std::env::var("POLICYD_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
        Random(seed ^ other.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % n
    }

    pub fn one<'t, T: ?Sized>(&mut self, of: &[&'t T]) -> &'t T {
        of[self.below(of.len())]
    }
}

/// A world with people who run it, in every way bounded, and their keys.
pub fn coalition() -> (World, Vec<String>) {
    let world = World::furnished();
    world.activate(&format!("{}\n{RULES}\n", crate::world::RULES));
    for id in ["cat", "dan"] {
        world.done("POST", "/v1/users", &json!({ "id": id }));
    }
    for id in ["team", "outer"] {
        world.done("POST", "/v1/groups", &json!({ "id": id }));
    }
    let give = |body: Value| world.done("POST", "/v1/bindings", &body);
    for id in ["ana", "ben", "cat", "dan"] {
        give(
            json!({ "holder": { "kind": "user", "id": id }, "role": "policyd/admin", "scope": "acme", "until": "2200-01-01T00:00:00Z" }),
        );
    }
    // ana under a boundary and for a while, ben plainly, cat through a group for a while, dan with a boundary on himself.
    give(
        json!({ "holder": { "kind": "user", "id": "ana" }, "role": "operator", "scope": "acme/web/prod", "boundaries": ["read_only"] }),
    );
    give(
        json!({ "holder": { "kind": "user", "id": "ana" }, "role": "policyd/asker", "scope": "acme/web", "until": "2100-01-01T00:00:00Z" }),
    );
    world.bind("user", "ben", "reader", "acme/web/play");
    world.done("POST", "/v1/memberships", &json!({ "group": "team", "member": { "kind": "user", "id": "cat" }, "until": "2100-01-01T00:00:00Z" }));
    give(
        json!({ "holder": { "kind": "group", "id": "outer" }, "role": "operator", "scope": "acme/web/prod", "boundaries": ["wide"] }),
    );
    // What dan holds nobody else does.
    world.bind("user", "dan", "warden", "acme/web/play");
    // ben holds a role that a deny keeps him from using; cat is kept from it through a group.
    world.bind("user", "ben", "opener", "acme");
    world.bind("user", "ben", "suspended", "acme");
    world.done("POST", "/v1/groups", &json!({ "id": "muted", "scope": "acme/web" }));
    world.bind("group", "muted", "suspended", "acme");
    world.done(
        "POST",
        "/v1/memberships",
        &json!({ "group": "muted", "member": { "kind": "user", "id": "cat" } }),
    );
    // A place that could be made again otherwise.
    world.done("POST", "/v1/projects", &json!({ "id": "old" }));
    world.done(
        "POST",
        "/v1/environments",
        &json!({ "id": "prod", "project": "acme/old", "stage": "production" }),
    );
    let old = json!({ "kind": "project", "id": "acme/old" });
    world.done("POST", "/v1/attachments", &json!({ "boundary": "wide", "to": old }));
    world.done(
        "POST",
        "/v1/attachments",
        &json!({ "boundary": "wide", "to": { "kind": "user", "id": "dan" } }),
    );
    world.done("POST", "/v1/service-accounts/ci/disable", &json!({}));
    let off = world.done(
        "POST",
        "/v1/credentials",
        &json!({ "account": { "kind": "service_account", "id": "gate" }, "id": "off" }),
    );
    assert!(off["token"].is_string());
    world.done("POST", "/v1/credentials/off/disable", &json!({}));
    // The gate's rights as an enforcer are not theirs to have: take them away.
    for binding in all(&world, "bindings").iter().filter(|b| b["role"] == "policyd/enforcer") {
        let path = format!("/v1/bindings/{}", binding["uid"].as_str().expect("a uid"));
        let revision = binding["revision"].to_string();
        world.ask_with(&world.admin, "DELETE", &path, &[("if-match", &revision)], &json!({}));
    }
    // ben and cat more often: they are bounded least, so most of what is done is done by them.
    let mut keys: Vec<String> = ["ana", "ana", "ben", "ben", "ben", "cat", "cat", "dan", "dan"]
        .iter()
        .map(|id| world.key("user", id))
        .collect();
    keys.push(world.key_with("user", "ben", json!({ "policy": "allow do anything on anything" })));
    keys.push(world.key_with("user", "cat", json!({ "boundaries": ["wide"] })));
    (world, keys)
}

/// A call that somebody might try.
pub fn attempt(random: &mut Random, world: &World, round: usize) -> (&'static str, String, Value) {
    let users = ["ana", "ben", "cat", "dan", "ada"];
    let kinds: [(&str, &str); 8] = [
        ("user", "ana"),
        ("user", "ben"),
        ("user", "cat"),
        ("user", "dan"),
        ("service_account", "ci"),
        ("service_account", "gate"),
        ("agent", "helper"),
        ("group", "team"),
    ];
    let (kind, id) = kinds[random.below(8)];
    let thing = json!({ "kind": kind, "id": id });
    // Narrowing their own accounts would soon leave nobody who can try anything.
    let account = kinds[4 + random.below(3)];
    let anyone = kinds[random.below(7)];
    let path = format!(
        "/v1/{}/{}",
        match account.0 {
            "user" => "users",
            "agent" => "agents",
            _ => "service-accounts",
        },
        account.1
    );
    let group = random.one(&["team", "outer"]);
    let ends = UNTIL[random.below(3)];
    let place = random.one(PLACES);
    let uid = |collection: &str, random: &mut Random| {
        let items = all(world, collection);
        let at = random.below(items.len().max(1));
        items.get(at).and_then(|i| i["uid"].as_str()).unwrap_or("none").to_owned()
    };
    match random.below(24) {
        0..=4 => {
            let bounds: &[&str] = if random.below(3) == 0 { &["read_only"] } else { &[] };
            // Most often what one of them holds in some bounded way.
            let held = HELD[random.below(HELD.len())];
            let (role, place) = if random.below(3) > 0 { held } else { (random.one(ROLES), place) };
            let mut body = json!({ "role": role, "scope": place, "until": ends, "boundaries": bounds });
            if random.below(6) == 0 {
                body["everyone"] = json!("user")
            } else {
                body["holder"] = thing
            }
            ("POST", "/v1/bindings".into(), body)
        }
        5 | 6 => {
            ("POST", "/v1/memberships".into(), json!({ "group": group, "member": thing, "until": ends }))
        }
        7 => ("PATCH", path, json!({ "home": place })),
        8 => ("PATCH", path, json!({ "expires_at": ends })),
        9 => ("PATCH", path, json!({ "owner": { "kind": "user", "id": random.one(&users) } })),
        10 => ("PATCH", path, json!({ "attributes": {} })),
        11 => ("DELETE", format!("/v1/attachments/{}", uid("attachments", random)), json!({})),
        12 => (
            "POST",
            "/v1/links".into(),
            json!({ "agent": "helper", "for": { "kind": "user", "id": random.one(&users) } }),
        ),
        13 => ("POST", "/v1/credentials".into(), json!({ "account": { "kind": anyone.0, "id": anyone.1 } })),
        14 => ("POST", format!("/v1/credentials/off/{}", random.one(&["rotate", "enable"])), json!({})),
        15 => (
            "POST",
            "/v1/service-accounts".into(),
            json!({ "id": format!("new{round}"), "home": place, "purpose": "x",
            "owner": { "kind": "user", "id": random.one(&users) } }),
        ),
        16 => {
            let of_suspended = all(world, "bindings").into_iter().filter(|b| b["role"] == "suspended");
            let uids: Vec<String> =
                of_suspended.filter_map(|b| Some(b["uid"].as_str()?.to_owned())).collect();
            ("DELETE", format!("/v1/bindings/{}", uids[random.below(uids.len())]), json!({}))
        }
        17 => ("DELETE", "/v1/groups/muted".into(), json!({})),
        18 => {
            let path = random.one(&["projects/acme%2Fold", "environments/acme%2Fold%2Fprod"]);
            ("DELETE", format!("/v1/{path}"), json!({}))
        }
        19 => ("POST", "/v1/projects".into(), json!({ "id": "old" })),
        20 => {
            let stage = random.one(&["production", "sandbox"]);
            (
                "POST",
                "/v1/environments".into(),
                json!({ "id": "prod", "project": "acme/old", "stage": stage }),
            )
        }
        21 => {
            let id = format!("s{}", random.below(3));
            ("POST", "/v1/resources".into(), json!({ "kind": "server", "id": id, "scope": place }))
        }
        22 => ("POST", "/v1/groups".into(), json!({ "id": "muted", "scope": "acme/web" })),
        _ => ("DELETE", format!("/v1/memberships/{}", uid("memberships", random)), json!({})),
    }
}

/// Makes a call; whether it was granted.
pub fn tried(world: &World, key: &str, method: &str, path: &str, body: &Value) -> bool {
    let etag = world.ask(&world.admin, "GET", path, &Value::Null).body["revision"].to_string();
    let conditional: &[(&str, &str)] = if etag == "null" { &[] } else { &[("if-match", &etag)] };
    let told = world.ask_with(key, method, path, conditional, body);
    let own = told.body["detail"] == "a group is not in itself";
    assert!(told.status != 400 || own, "a well-formed attempt: {method} {path} {body}: {}", told.body);
    told.status < 300
}

/// How many calls to make, if `POLICYD_CALLS` doesn't say.
pub fn calls(usually: usize) -> usize {
    std::env::var("POLICYD_CALLS").ok().and_then(|n| n.parse().ok()).unwrap_or(usually)
}

#[test]
fn what_they_may_do_never_grows() {
    let calls = calls(1_000);
    let (world, keys) = coalition();
    let start = accounts(&world).into_keys().collect();
    let first = union(&world, Some(&start));
    let mut random = Random::seeded(0x5DEE_CE66_D1CE_4E5B);
    let (mut done, mut refused) = (0, 0);
    for round in 0..calls {
        let key = &keys[random.below(keys.len())];
        let (method, path, body) = attempt(&mut random, &world, round);
        if !tried(&world, key, method, &path, &body) {
            refused += 1;
            continue;
        }
        done += 1;
        let now = union(&world, Some(&start));
        let grown: Vec<&Power> = now.iter().filter(|p| !first.iter().any(|had| had.covers(p))).collect();
        assert!(grown.is_empty(), "call {round}: {method} {path} {body} gave {grown:#?}");
    }
    println!("{calls} calls: {done} done, {refused} refused, nothing grew");
    assert!(done > calls / 40 && refused > calls / 4, "{done} done, {refused} refused");
}

/// The ceilings of a key, as it is stored.
fn ceilings(key: &Value) -> (BTreeSet<String>, BTreeSet<String>, Value, bool) {
    (texts(&key["boundaries"]), texts(&key["networks"]), key["policy"].clone(), key["mfa"] == true)
}

#[test]
fn what_comes_of_a_bounded_key_is_bounded_as_much() {
    let calls = calls(200);
    let world = World::furnished();
    world.activate(&format!("{}\n{RULES}\n", crate::world::RULES));
    world.bind("user", "ben", "policyd/key_admin", "acme/web");
    world.bind("user", "ben", "policyd/key_admin", "acme");
    let text = "allow do anything on anything";
    let own = json!({ "boundaries": ["wide"], "policy": text, "networks": ["127.0.0.0/8"] });
    let before: BTreeSet<String> =
        all(&world, "credentials").iter().map(|k| k["key_id"].as_str().expect("an id").to_owned()).collect();
    let bounded = world.key_with("user", "ben", own);
    // Keys that are bounded less, switched off: nobody of theirs has them.
    for (id, account) in [("plain-ben", ("user", "ben")), ("plain-ci", ("service_account", "ci"))] {
        let body = json!({ "account": { "kind": account.0, "id": account.1 }, "id": id });
        world.done("POST", "/v1/credentials", &body);
        world.done("POST", &format!("/v1/credentials/{id}/disable"), &json!({}));
    }
    let mut random = Random::seeded(0x9E37_79B9_7F4A_7C15);
    let (mut done, mut refused) = (0, 0);
    for round in 0..calls {
        let account = [("user", "ben"), ("user", "ana"), ("service_account", "ci")][random.below(3)];
        let (path, body) = match random.below(5) {
            0 => (format!("/v1/credentials/plain-{}/rotate", random.one(&["ben", "ci"])), json!({})),
            1 => (format!("/v1/credentials/plain-{}/enable", random.one(&["ben", "ci"])), json!({})),
            _ => {
                let mut body = json!({ "account": { "kind": account.0, "id": account.1 } });
                let boundaries: [&[&str]; 4] = [&[], &["wide"], &["wide", "read_only"], &["read_only"]];
                let networks: [&[&str]; 4] = [&[], &["127.0.0.1/32"], &["127.0.0.0/8"], &["0.0.0.0/0"]];
                // Often enough all of it fits, or only one thing doesn't.
                let fits = random.below(4) > 0;
                body["boundaries"] = json!(if fits { boundaries[1] } else { boundaries[random.below(4)] });
                let fits = random.below(4) > 0;
                body["networks"] = json!(if fits { networks[1] } else { networks[random.below(4)] });
                match random.below(6) {
                    0 => {}
                    1 => body["policy"] = json!("allow read on anything"),
                    _ => body["policy"] = json!(text),
                }
                if random.below(6) == 0 {
                    body["mfa"] = json!(true);
                }
                ("/v1/credentials".to_owned(), body)
            }
        };
        let told = world.ask(&bounded, "POST", &path, &body);
        assert!(![400, 401].contains(&told.status), "a well-formed attempt: {path} {body}: {}", told.body);
        if told.status >= 300 {
            refused += 1;
            continue;
        }
        done += 1;
        for key in all(&world, "credentials").iter().filter(|k| k["status"] == "active") {
            if before.contains(key["key_id"].as_str().expect("an id")) {
                continue;
            }
            let (boundaries, networks, policy, mfa) = ceilings(key);
            let local = !networks.is_empty() && networks.iter().all(|n| n.starts_with("127."));
            assert!(
                boundaries.contains("wide") && local && policy == text && !mfa,
                "call {round}: POST {path} {body} gave {key}"
            );
        }
    }
    println!("{calls} calls: {done} done, {refused} refused, none was bounded less");
    assert!(done > calls / 20 && refused > calls / 4, "{done} done, {refused} refused");
}
