//! The law of escalation for those who may grant: among accounts of which one holds `grant` and `act_as` at one place, what
//! they may do grows only by her calls, and then by no more than what the call names, there.

use crate::law::{
    Power, Random, accounts, all, attempt, calls, coalition, included, name, texts, tried, union, until,
};
use crate::world::World;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where eve may grant.
const HERS: &str = "acme/web/play";
/// Roles that make others able to grant or to act as somebody: she gives them to nobody here, so that it stays plain by whose calls
/// something may grow.
const KEPT_BACK: &[&str] = &["policyd/owner", "policyd/key_admin"];
const HOLDERS: &[(&str, &str)] =
    &[("user", "ana"), ("user", "ben"), ("user", "cat"), ("service_account", "ci"), ("group", "team")];

/// Whether a place is hers.
fn hers(place: &str) -> bool {
    place == HERS || place.starts_with(&format!("{HERS}/"))
}

fn within(place: &str, outer: &Value) -> bool {
    let outer = outer.as_str().expect("a place");
    place == outer || place.starts_with(&format!("{outer}/"))
}

/// The coalition of the first law with eve, the root of one place, and two groups that stand there: `crew` has a role there,
/// `squad` one elsewhere, too.
fn with_a_holder() -> (World, Vec<String>, String) {
    let (world, keys) = coalition();
    world.done("POST", "/v1/users", &json!({ "id": "eve" }));
    world.bind("user", "eve", "policyd/owner", HERS);
    // She sees people, or she could give them nothing.
    world.bind("user", "eve", "policyd/viewer", "acme");
    for id in ["crew", "squad"] {
        world.done("POST", "/v1/groups", &json!({ "id": id, "scope": HERS }));
        world.bind("group", id, "operator", HERS);
    }
    world.bind("group", "squad", "opener", "acme");
    let eve = world.key("user", "eve");
    (world, keys, eve)
}

/// What eve tries: what the others do, or something that takes the right to grant; most often where she has it.
fn attempt_of_eve(random: &mut Random, world: &World, round: usize) -> (&'static str, String, Value) {
    let (kind, id) = HOLDERS[random.below(HOLDERS.len())];
    let thing = json!({ "kind": kind, "id": id });
    let ends = [Value::Null, json!("2150-01-01T00:00:00Z")][random.below(2)].clone();
    let place = if random.below(4) > 0 { HERS } else { random.one(&["acme", "acme/web", "acme/web/prod"]) };
    match random.below(6) {
        0 | 1 => {
            let role =
                random.one(&["operator", "reader", "opener", "warden", "policyd/viewer", "policyd/asker"]);
            let boundaries: &[&str] = if random.below(3) == 0 { &["read_only"] } else { &[] };
            let mut body = json!({ "role": role, "scope": place, "until": ends, "boundaries": boundaries, "holder": thing });
            if random.below(5) == 0 {
                body.as_object_mut().expect("an object").remove("holder");
                body["everyone"] = json!("user");
            }
            ("POST", "/v1/bindings".into(), body)
        }
        2 => {
            let group = random.one(&["crew", "crew", "squad", "team"]);
            ("POST", "/v1/memberships".into(), json!({ "group": group, "member": thing, "until": ends }))
        }
        3 => {
            let id = random.one(&["ci", "gate"]);
            let account = json!({ "kind": "service_account", "id": id });
            ("POST", "/v1/credentials".into(), json!({ "account": account }))
        }
        _ => loop {
            let (method, path, body) = attempt(random, world, round);
            if !KEPT_BACK.iter().any(|role| body["role"] == *role) {
                return (method, path, body);
            }
        },
    }
}

/// Takes away what eve gave.
fn take_back(world: &World) {
    for collection in ["bindings", "memberships"] {
        for given in all(world, collection).iter().filter(|g| g["granted_by"]["id"] == "eve") {
            let path = format!("/v1/{collection}/{}", given["uid"].as_str().expect("a uid"));
            let revision = given["revision"].to_string();
            world.ask_with(&world.admin, "DELETE", &path, &[("if-match", &revision)], &json!({}));
        }
    }
}

/// What stands at her place, by kind and id: accounts and resources.
fn there(world: &World) -> BTreeSet<String> {
    let accounts = accounts(world).into_iter().filter(|(_, home)| hers(home)).map(|(who, _)| who);
    let resources = all(world, "resources").into_iter().filter(|r| r["scope"].as_str().is_some_and(hers));
    let resources = resources.map(|r| name(&r));
    accounts.chain(resources).collect()
}

/// Whether a call at her place names this power.
fn names(path: &str, body: &Value, bindings: &[Value], there: &BTreeSet<String>, power: &Power) -> bool {
    let Power { what, place, bounds, until: ends } = power;
    let until_then = *ends <= until(&body["until"]);
    // Of one thing: a key of an account, whose it is, what is stored of it; each by calls about such things.
    let about = |collections: &[&str]| collections.iter().any(|c| path.starts_with(&format!("/v1/{c}")));
    let of_hers = || there.iter().any(|thing| what.ends_with(&format!(" of {thing}")));
    if what.starts_with("key ") {
        return about(&["credentials"]) && of_hers();
    }
    if what.starts_with("owner ") || what.starts_with("attributes ") {
        return about(&["users", "service-accounts", "agents"]) && of_hers();
    }
    if let Some((thing, is)) = what.split_once(" is ") {
        return about(&["resources"]) && there.contains(thing) && is != "not suspended";
    }
    match (path, what.strip_prefix("role "), what.strip_prefix("in ")) {
        ("/v1/bindings", Some(role), _) => {
            let role_given = included(body["role"].as_str().expect("a role")).contains(&role);
            role_given
                && within(place, &body["scope"])
                && texts(&body["boundaries"]).is_subset(bounds)
                && until_then
        }
        ("/v1/memberships", Some(role), _) => {
            let of_group = |b: &&Value| b["holder"]["kind"] == "group" && b["holder"]["id"] == body["group"];
            let gives = |b: &Value| {
                included(b["role"].as_str().expect("a role")).contains(&role) && within(place, &b["scope"])
            };
            bindings.iter().filter(of_group).any(gives) && hers(place) && until_then
        }
        // Whoever is in it is in it wherever his home is.
        ("/v1/memberships", _, Some(group)) => body["group"] == group && until_then,
        // An account of hers lives elsewhere at her place, or for longer.
        _ => hers(place),
    }
}

#[test]
fn with_one_who_grants_it_grows_by_what_she_grants() {
    let calls = calls(500);
    let (world, keys, eve) = with_a_holder();
    let start: BTreeSet<String> = accounts(&world).into_keys().collect();
    let mut had = union(&world, Some(&start));
    let mut random = Random::seeded(0x2545_F491_4F6C_DD1D);
    let (mut grew, mut refused): (BTreeMap<String, usize>, usize) = (BTreeMap::new(), 0);
    for round in 0..calls {
        if round % 20 == 19 {
            // So that there is something to give again.
            take_back(&world);
            had = union(&world, Some(&start));
        }
        let hers = random.below(2) == 0;
        let key = if hers { &eve } else { &keys[random.below(keys.len())] };
        let (method, path, body) = if hers {
            attempt_of_eve(&mut random, &world, round)
        } else {
            attempt(&mut random, &world, round)
        };
        let (bindings, stood_there) = (all(&world, "bindings"), there(&world));
        if !tried(&world, key, method, &path, &body) {
            refused += 1;
            continue;
        }
        let now = union(&world, Some(&start));
        let grown: Vec<&Power> = now.iter().filter(|p| !had.iter().any(|had| had.covers(p))).collect();
        if grown.is_empty() {
            continue;
        }
        let call = format!("call {round}: {method} {path} {body}");
        assert!(hers, "{call}, not by who may grant, gave {grown:#?}");
        let at = |thing: &Value| thing.as_str().is_none_or(self::hers);
        assert!(at(&body["scope"]) && at(&body["home"]), "{call}, not at her place, gave {grown:#?}");
        let known: BTreeSet<String> = stood_there.union(&there(&world)).cloned().collect();
        let more: Vec<&&Power> =
            grown.iter().filter(|power| !names(&path, &body, &bindings, &known, power)).collect();
        assert!(more.is_empty(), "{call} gave more than it names: {more:#?}");
        *grew.entry(path.rsplit('/').next().unwrap_or_default().to_owned()).or_default() += 1;
        had.extend(now);
    }
    println!("{calls} calls: {refused} refused; it grew by {grew:?}, and by nothing else");
    assert!(refused > calls / 4, "{refused} refused");
    for what in ["bindings", "memberships", "credentials"] {
        assert!(grew.get(what).is_some_and(|times| *times > 2), "little of {what} was granted: {grew:?}");
    }
}
