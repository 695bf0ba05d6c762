//! One tenant can't fill what all share: quotas, held before anything is kept.

use crate::world::{RULES, Told, World};
use serde_json::{Value, json};

fn set(world: &World, quotas: &Value) {
    let told = world.ask(&world.installation, "POST", "/v1/organizations/acme/quotas", quotas);
    assert_eq!(told.status, 200, "{}", told.body);
}

fn used(world: &World, name: &str) -> u64 {
    let all = world.ask(&world.admin, "GET", "/v1/quotas", &Value::Null).body;
    let found = all["items"].as_array().expect("quotas").iter().find(|q| q["name"] == name).cloned();
    found.expect("it is there")["used"].as_u64().expect("a number")
}

fn user(world: &World, id: &str) -> Told {
    world.ask(&world.admin, "POST", "/v1/users", &json!({ "id": id }))
}

fn is_full(told: &Told, quota: &str, status: u16) {
    assert_eq!((told.status, told.body["quota"].as_str()), (status, Some(quota)), "{}", told.body);
    let waits = told.headers.iter().any(|(n, _)| n == "retry-after");
    assert_eq!(waits, status == 429, "{:?}", told.headers);
}

/// Another organization, and a key of its owner.
fn rival(world: &World) -> String {
    let body = json!({ "id": "rival", "owner": "eve" });
    let told = world.ask(&world.installation, "POST", "/v1/organizations", &body);
    told.body["token"].as_str().expect("a token").to_owned()
}

#[test]
fn a_quota_of_things_holds_and_what_goes_makes_room() {
    let mut world = World::furnished();
    set(&world, &json!({ "users": 4 }));
    assert_eq!(used(&world, "users"), 3);
    assert_eq!(user(&world, "one").status, 201);
    is_full(&user(&world, "two"), "users", 409);
    let tag = world.ask(&world.admin, "GET", "/v1/users/one", &Value::Null).body["revision"].to_string();
    let gone = world.ask_with(&world.admin, "DELETE", "/v1/users/one", &[("if-match", &tag)], &Value::Null);
    assert_eq!(gone.status, 200, "{}", gone.body);
    assert_eq!(user(&world, "two").status, 201);
    is_full(&user(&world, "three"), "users", 409);
    // What is deleted doesn't come back past it either.
    let uid = gone.body["uid"].as_str().expect("a uid");
    let back = world.ask(&world.admin, "POST", &format!("/v1/users/{uid}/undelete"), &Value::Null);
    is_full(&back, "users", 409);
    // It survives, others have their own, and nobody inside sets it.
    world.kill();
    world.start();
    is_full(&user(&world, "four"), "users", 409);
    let eve = rival(&world);
    for n in 0..5 {
        let told = world.ask(&eve, "POST", "/v1/users", &json!({ "id": format!("u{n}") }));
        assert_eq!(told.status, 201, "{}", told.body);
    }
    for key in [&world.admin, &eve] {
        let told = world.ask(key, "POST", "/v1/organizations/acme/quotas", &json!({ "users": 1_000 }));
        assert_eq!(told.status, 404, "{}", told.body);
    }
    set(&world, &json!({ "users": null }));
    assert_eq!(user(&world, "five").status, 201);
    let told = world.ask(&world.installation, "POST", "/v1/organizations/acme/quotas", &json!({ "user": 9 }));
    assert!(told.body["detail"].as_str().unwrap().contains("did you mean `users`"), "{}", told.body);
}

#[test]
fn keys_of_one_account_and_bytes_of_policies_are_bounded() {
    let world = World::furnished();
    set(&world, &json!({ "credentials_per_account": 2, "policy_bytes": used(&world, "policy_bytes") + 100 }));
    let mint = || {
        let body = json!({ "account": { "kind": "service_account", "id": "ci" } });
        world.ask(&world.admin, "POST", "/v1/credentials", &body)
    };
    assert_eq!((mint().status, mint().status), (201, 201));
    is_full(&mint(), "credentials_per_account", 409);
    world.key("service_account", "gate");
    let set = json!({ "files": [{ "name": "own.pol", "text": RULES }] });
    is_full(&world.ask(&world.admin, "POST", "/v1/policy-sets", &set), "policy_bytes", 409);
}

#[test]
fn a_day_of_changes_that_is_used_up_still_lets_rights_be_taken_away() {
    let mut world = World::furnished();
    let key = world.key("service_account", "ci");
    let before = used(&world, "change_bytes_per_day");
    assert!(before > 5_000, "{before}");
    set(&world, &json!({ "change_bytes_per_day": before }));
    is_full(&user(&world, "one"), "change_bytes_per_day", 429);
    let eve = rival(&world);
    assert_eq!(world.ask(&eve, "POST", "/v1/users", &json!({ "id": "u" })).status, 201, "others go on");
    // A restart doesn't give a new day.
    world.kill();
    world.start();
    is_full(&user(&world, "one"), "change_bytes_per_day", 429);
    world.done("POST", "/v1/users/ana/disable", &Value::Null);
    let account = json!({ "account": { "kind": "service_account", "id": "ci" } });
    let told = world.ask(&world.admin, "POST", "/v1/credentials:revoke", &account);
    assert_eq!(told.body["revoked"].as_array().map(Vec::len), Some(1), "{}", told.body);
    assert_eq!(world.ask(&key, "GET", "/v1/me", &Value::Null).status, 401);
    // Switching off and off again fills the disk no more than anything else does.
    let off = || world.ask(&world.admin, "POST", "/v1/users/ana/disable", &Value::Null);
    let full = (0..200).map(|_| off()).find(|told| told.status != 200);
    is_full(&full.expect("an end"), "change_bytes_per_day", 429);
    set(&world, &json!({ "change_bytes_per_day": null }));
    assert_eq!(user(&world, "one").status, 201);
}

#[test]
fn a_day_of_decisions_that_is_used_up_allows_nothing() {
    let mut world = World::furnished();
    let (gate, key) = (world.key("service_account", "gate"), world.key("service_account", "ci"));
    set(&world, &json!({ "decision_bytes_per_day": 20_000 }));
    let body = json!({ "action": { "name": "read" }, "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play" });
    let ask = |world: &World| {
        world.ask_with(&gate, "POST", "/v1/authorize", &[("policyd-client-key", &key)], &body)
    };
    let full = (0..200).map(|_| ask(&world)).find(|told| told.status != 200).expect("an end");
    is_full(&full, "decision_bytes_per_day", 429);
    assert!(full.body["decision"].is_null(), "{}", full.body);
    let eve = rival(&world);
    let own = json!({ "action": { "name": "read" }, "resource": { "kind": "user", "id": "eve" } });
    assert_eq!(world.ask(&eve, "POST", "/v1/authorize", &own).status, 200, "others are decided");
    world.kill();
    world.start();
    is_full(&ask(&world), "decision_bytes_per_day", 429);
    set(&world, &json!({ "decision_bytes_per_day": null }));
    assert_eq!(ask(&world).body["decision"], "allow");
}
