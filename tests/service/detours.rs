//! Ways around the edges that carry rights, each tried by somebody who runs the directory (`policyd/admin`) or makes keys
//! (`policyd/key_admin`) and may grant nothing: what is deleted, made again, minted, named, or said of oneself.

use crate::world::{Told, World};
use serde_json::{Value, json};

/// A furnished world, under these rules, where ben runs the directory.
fn run_by_ben(more: &str) -> (World, String) {
    let world = World::furnished();
    if !more.is_empty() {
        world.activate(&format!("{}\n{more}\n", crate::world::RULES));
    }
    world.bind("user", "ben", "policyd/admin", "acme");
    let ben = world.key("user", "ben");
    (world, ben)
}

/// A call with the revision that the object has now.
fn call(world: &World, key: &str, method: &str, path: &str, body: &Value) -> Told {
    let tag = world.ask(&world.admin, "GET", path, &Value::Null).body["revision"].to_string();
    world.ask_with(key, method, path, &[("if-match", &tag)], body)
}

/// Refused for want of this right.
fn refused(told: &Told, right: &str) {
    assert_eq!(told.status, 403, "{}", told.body);
    let detail = told.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&format!("`{right}`")), "{detail}");
}

fn user(id: &str) -> Value {
    json!({ "kind": "user", "id": id })
}

#[test]
fn nobody_supplies_his_own_attributes_by_asking_about_himself() {
    let rules = "action wave on user\npolicy waving { sure: allow user to wave on user when account.mfa exists and account.mfa }";
    let (world, ben) = run_by_ben(rules);
    let ask = |key: &str, resource: Value| {
        let body = json!({ "action": { "name": "wave" }, "resource": resource, "scope": "acme" });
        world.ask(key, "POST", "/v1/authorize", &body)
    };
    assert_eq!(ask(&ben, user("ben")).body["decision"], "deny", "his key has no second factor");
    let with_mfa = json!({ "kind": "user", "id": "ben", "attributes": { "mfa": true } });
    let told = ask(&ben, with_mfa.clone());
    assert_eq!(told.status, 403, "{}", told.body);
    assert!(told.body.to_string().contains("`supply`"), "{}", told.body);
    let confirmed = world.key_with("user", "ben", json!({ "mfa": true }));
    assert_eq!(ask(&confirmed, user("ben")).body["decision"], "allow", "that key has one");
    let nothing = json!({ "kind": "user", "id": "ben", "attributes": {} });
    assert_eq!(ask(&confirmed, nothing).body["decision"], "allow", "nothing is supplied by that");
    world.bind("user", "ben", "policyd/enforcer", "acme");
    assert_eq!(ask(&ben, with_mfa).body["decision"], "allow", "an enforcer supplies");
}

#[test]
fn a_bounded_key_makes_no_key_that_is_bounded_less() {
    let world = World::furnished();
    world.activate(&format!("{}\nboundary wide {{ allow do anything on anything }}\n", crate::world::RULES));
    world.bind("user", "ben", "policyd/key_admin", "acme");
    let wide = "allow do anything on anything";
    let mint = |key: &str, more: Value| {
        let mut body = more;
        body["account"] = user("ben");
        world.ask(key, "POST", "/v1/credentials", &body)
    };
    let whole = world.key("user", "ben");
    assert_eq!(mint(&whole, json!({ "id": "plain" })).status, 201, "his own key bounds nothing");
    let by_text = world.key_with("user", "ben", json!({ "policy": wide }));
    let by_name = world.key_with("user", "ben", json!({ "boundaries": ["wide"] }));
    let by_net = world.key_with("user", "ben", json!({ "networks": ["127.0.0.0/8"] }));
    for key in [&by_text, &by_name, &by_net] {
        refused(&mint(key, json!({})), "grant");
        // Nor does it get at a key that is there.
        refused(&world.ask(key, "POST", "/v1/credentials/plain/rotate", &json!({})), "grant");
        assert_eq!(world.ask(key, "POST", "/v1/credentials/plain/disable", &json!({})).status, 200);
        refused(&world.ask(key, "POST", "/v1/credentials/plain/enable", &json!({})), "grant");
    }
    assert_eq!(mint(&by_text, json!({ "policy": wide })).status, 201, "bounded as much");
    refused(&mint(&by_text, json!({ "policy": "allow read on anything" })), "grant");
    assert_eq!(mint(&by_name, json!({ "boundaries": ["wide", "read_only"] })).status, 201);
    assert_eq!(mint(&by_net, json!({ "networks": ["127.0.0.1/32"] })).status, 201);
    refused(&mint(&by_net, json!({ "networks": ["127.0.0.1/32", "0.0.0.0/0"] })), "grant");
    // A second factor is confirmed by a key that has one.
    refused(&mint(&whole, json!({ "mfa": true })), "grant");
    let confirmed = world.key_with("user", "ben", json!({ "mfa": true }));
    assert_eq!(mint(&confirmed, json!({ "mfa": true })).status, 201);
    // With the right to grant it goes.
    world.bind("user", "ben", "policyd/owner", "acme");
    assert_eq!(mint(&by_text, json!({})).status, 201);
}

#[test]
fn a_bounded_key_consents_to_no_agent_that_is_bounded_less() {
    let (world, ben) = run_by_ben("");
    let bounded = world.key_with("user", "ben", json!({ "policy": "allow do anything on anything" }));
    let body = json!({ "agent": "helper", "for": user("ben") });
    let made = world.ask(&bounded, "POST", "/v1/links", &body);
    assert_eq!(made.status, 201, "{}", made.body);
    assert!(made.body["consented_by"].is_null(), "{}", made.body);
    let path = format!("/v1/links/{}/consent", made.body["uid"].as_str().expect("a uid"));
    refused(&world.ask(&bounded, "POST", &path, &json!({})), "grant");
    assert_eq!(world.ask(&ben, "POST", &path, &json!({})).status, 200);
}

/// Denies that go by what is there, in each way a rule can.
const DENIES: &str = r#"
resource vault { banned: group?, keeper: service_account? }
action read, write on vault
role suspended { allow read on vault }
policy denying {
  suspended_out: deny user to write on server when account has role suspended
  banned_out: deny user in group "banned" to write on server
  vault_out: deny user to read on vault when resource.banned exists and account in resource.banned
  keeps: allow service_account to write on vault when resource.keeper exists and account == resource.keeper
}
"#;

fn denying() -> (World, String) {
    let world = World::furnished();
    world.done("POST", "/v1/projects", &json!({ "id": "old" }));
    world.done("POST", "/v1/groups", &json!({ "id": "banned", "scope": "acme/old" }));
    world.activate(&format!("{}\n{DENIES}\n", crate::world::RULES));
    world.bind("user", "ben", "policyd/admin", "acme");
    let ben = world.key("user", "ben");
    (world, ben)
}

#[test]
fn what_a_deny_rests_on_goes_by_no_detour() {
    let (world, ben) = denying();
    let delete = |path: &str| call(&world, &ben, "DELETE", path, &json!({}));
    // A role that a rule reads: with its place, its group, its account.
    world.bind("user", "ana", "suspended", "acme/web/play");
    refused(&delete("/v1/environments/acme%2Fweb%2Fplay"), "grant");
    refused(&delete("/v1/projects/acme%2Fweb"), "grant");
    refused(&delete("/v1/users/ana"), "grant");
    world.done("POST", "/v1/groups", &json!({ "id": "out" }));
    world.bind("group", "out", "suspended", "acme/web/prod");
    refused(&delete("/v1/groups/out"), "grant");
    // A group that a rule names, with its place; and one that is in it.
    let told = delete("/v1/projects/acme%2Fold");
    assert_eq!(told.status, 409, "{}", told.body);
    assert!(told.body["detail"].as_str().is_some_and(|d| d.contains("banned")), "{}", told.body);
    world.done("POST", "/v1/groups", &json!({ "id": "inner" }));
    let member = json!({ "kind": "group", "id": "inner" });
    world.done("POST", "/v1/memberships", &json!({ "group": "banned", "member": member }));
    refused(&delete("/v1/groups/inner"), "grant");
    // A group that a stored attribute names.
    world.done("POST", "/v1/groups", &json!({ "id": "noted" }));
    let joined = world.done("POST", "/v1/memberships", &json!({ "group": "noted", "member": user("ben") }));
    let vault = json!({ "kind": "vault", "id": "v", "scope": "acme/web/prod",
        "attributes": { "banned": { "kind": "group", "id": "noted" } } });
    world.done("POST", "/v1/resources", &vault);
    refused(&delete(&format!("/v1/memberships/{}", joined["uid"].as_str().expect("a uid"))), "grant");
    refused(&delete("/v1/groups/noted"), "grant");
    // What is registered, with its place.
    refused(&delete("/v1/environments/acme%2Fweb%2Fprod"), "grant");
    // What nothing rests on goes.
    world.done("POST", "/v1/projects", &json!({ "id": "idle" }));
    world.bind("user", "ana", "reader", "acme/idle");
    assert_eq!(delete("/v1/projects/acme%2Fidle").status, 200);
    // Whoever may grant may do all of it.
    for path in ["/v1/environments/acme%2Fweb%2Fplay", "/v1/users/ana", "/v1/groups/noted"] {
        let told = call(&world, &world.admin, "DELETE", path, &json!({}));
        assert_eq!(told.status, 200, "{path}: {}", told.body);
    }
}

#[test]
fn a_place_is_made_again_by_who_may_grant() {
    let (world, ben) = run_by_ben("");
    let make = |key: &str, id: &str, stage: &str| {
        let body = json!({ "id": id, "project": "acme/web", "stage": stage });
        world.ask(key, "POST", "/v1/environments", &body)
    };
    let gone = call(&world, &ben, "DELETE", "/v1/environments/acme%2Fweb%2Fprod", &json!({}));
    assert_eq!(gone.status, 200, "deleting by itself gives nothing: {}", gone.body);
    refused(&make(&ben, "prod", "sandbox"), "grant");
    assert_eq!(make(&ben, "fresh", "sandbox").status, 201, "a path that never was");
    assert_eq!(make(&world.admin, "prod", "production").status, 201);
    // Below a project that was made again, too.
    let gone = call(&world, &ben, "DELETE", "/v1/projects/acme%2Fweb", &json!({}));
    assert_eq!(gone.status, 200, "{}", gone.body);
    refused(&world.ask(&ben, "POST", "/v1/projects", &json!({ "id": "web" })), "grant");
    world.done("POST", "/v1/projects", &json!({ "id": "web" }));
    for id in ["prod", "play", "fresh"] {
        refused(&make(&ben, id, "sandbox"), "grant");
    }
}

#[test]
fn owning_an_account_is_given_by_who_may_grant() {
    let (world, ben) = run_by_ben("");
    let make = |key: &str, id: &str| {
        let body = json!({ "id": id, "home": "acme/web", "purpose": "x", "owner": user("ben") });
        world.ask(key, "POST", "/v1/service-accounts", &body)
    };
    assert_eq!(make(&ben, "own").status, 201, "all that an owner may, he may for ever");
    let bounded = world.key_with("user", "ben", json!({ "policy": "allow do anything on anything" }));
    refused(&make(&bounded, "bounded"), "grant");
    // A group has other members, who may less.
    world.done("POST", "/v1/groups", &json!({ "id": "team" }));
    world.done("POST", "/v1/memberships", &json!({ "group": "team", "member": user("ben") }));
    let body = json!({ "id": "teams", "home": "acme/web", "purpose": "x", "owner": { "kind": "group", "id": "team" } });
    refused(&world.ask(&ben, "POST", "/v1/service-accounts", &body), "grant");
    // For a while is not for ever.
    world.done("POST", "/v1/users", &json!({ "id": "cat" }));
    let given = json!({ "holder": user("cat"), "role": "policyd/admin", "scope": "acme", "until": "2200-01-01T00:00:00Z" });
    world.done("POST", "/v1/bindings", &given);
    let cat = world.key("user", "cat");
    let body = json!({ "id": "cats", "home": "acme/web", "purpose": "x", "owner": user("cat") });
    refused(&world.ask(&cat, "POST", "/v1/service-accounts", &body), "grant");
    // Rules of the organization's that go by who owns an account give more.
    world.activate(&format!(
        "{}\naction poke on service_account\npolicy more {{ mine: allow user to poke on service_account when account == resource.owner }}\n",
        crate::world::RULES
    ));
    refused(&make(&ben, "more"), "grant");
    let to_ana = json!({ "owner": user("ana") });
    refused(&call(&world, &ben, "PATCH", "/v1/service-accounts/own", &to_ana), "grant");
    assert_eq!(call(&world, &world.admin, "PATCH", "/v1/service-accounts/own", &to_ana).status, 200);
}

#[test]
fn registering_says_something_even_without_attributes() {
    let (world, ben) = run_by_ben("resource shelf { secret: Bool? stored }\naction dust on shelf");
    let register = |key: &str, kind: &str| {
        let body = json!({ "kind": kind, "id": "one", "scope": "acme/web/play" });
        world.ask(key, "POST", "/v1/resources", &body)
    };
    refused(&register(&ben, "server"), "grant");
    assert_eq!(register(&ben, "shelf").status, 201, "of a shelf nobody can say anything");
    assert_eq!(register(&world.admin, "server").status, 201);
}

#[test]
fn who_is_kept_from_using_a_role_does_not_hand_it_on() {
    let world = World::furnished();
    for id in ["trainees", "crew"] {
        world.done("POST", "/v1/groups", &json!({ "id": id }));
    }
    world.activate(&format!(
        "{}\n{}\n",
        crate::world::RULES,
        r#"
resource page {}
action edit on page
action ring on page
role editor { allow edit on page }
role ringer { allow ring on page when account is user and account.mfa exists and account.mfa }
boundary people { allow do anything on anything when account is user }
policy more {
  learn_first: deny user in group "trainees" to edit on page
  not_before: deny anyone to edit on page when context.now < "2000-01-01T00:00:00Z"
}
"#
    ));
    for kind in ["user", "service_account"] {
        let id = if kind == "user" { "ben" } else { "gate" };
        world.bind(kind, id, "policyd/admin", "acme");
        world.bind(kind, id, "editor", "acme");
        world.bind(kind, id, "ringer", "acme");
    }
    let (ben, gate) = (world.key("user", "ben"), world.key("service_account", "gate"));
    let give = |key: &str, role: &str, holder: Value, scope: &str| {
        let body = json!({ "holder": holder, "role": role, "scope": scope });
        world.ask(key, "POST", "/v1/bindings", &body)
    };
    assert_eq!(give(&ben, "editor", user("ana"), "acme/web").status, 201, "nothing keeps him from it");
    refused(&give(&ben, "ringer", user("ana"), "acme/web"), "grant");
    let joined =
        world.done("POST", "/v1/memberships", &json!({ "group": "trainees", "member": user("ben") }));
    refused(&give(&ben, "editor", user("ana"), "acme/web/play"), "grant");
    // Nor the membership by which somebody gets it.
    world.bind("group", "crew", "editor", "acme/web");
    world.done("POST", "/v1/memberships", &json!({ "group": "crew", "member": user("ben") }));
    let join =
        || world.ask(&ben, "POST", "/v1/memberships", &json!({ "group": "crew", "member": user("ana") }));
    refused(&join(), "grant");
    let path = format!("/v1/memberships/{}", joined["uid"].as_str().expect("a uid"));
    assert_eq!(call(&world, &world.admin, "DELETE", &path, &json!({})).status, 200);
    assert_eq!(join().status, 201);
    // A place where only people may: a service account gives people there nothing.
    assert_eq!(give(&gate, "editor", user("ana"), "acme/web/prod").status, 201);
    let to = json!({ "kind": "environment", "id": "acme/web/play" });
    world.done("POST", "/v1/attachments", &json!({ "boundary": "people", "to": to }));
    refused(&give(&gate, "editor", user("ana"), "acme/web"), "grant");
    let machine = json!({ "kind": "service_account", "id": "gate" });
    assert_eq!(give(&gate, "editor", machine, "acme/web").status, 201, "a machine gets what a machine has");
}

#[test]
fn a_key_ends_with_the_place_it_reached() {
    let (world, _) = run_by_ben("");
    let key = world.key_with("service_account", "gate", json!({ "scope": "acme/web/play" }));
    let whole = world.key("service_account", "gate");
    let me = |key: &str| world.ask(key, "GET", "/v1/me", &Value::Null).status;
    assert_eq!((me(&key), me(&whole)), (200, 200));
    let gone = call(&world, &world.admin, "DELETE", "/v1/projects/acme%2Fweb", &json!({}));
    assert_eq!(gone.status, 200, "{}", gone.body);
    world.done("POST", "/v1/projects", &json!({ "id": "web" }));
    let again = json!({ "id": "play", "project": "acme/web", "stage": "production" });
    world.done("POST", "/v1/environments", &again);
    assert_eq!((me(&key), me(&whole)), (401, 200), "it isn't a key of the new place");
}

#[test]
fn what_an_attribute_names_is_no_successor_of_that_name() {
    let (world, _) = denying();
    let gate = world.key("service_account", "gate");
    let register = |id: &str, keeper: &str| {
        let attributes = json!({ "keeper": { "kind": "service_account", "id": keeper } });
        let body = json!({ "kind": "vault", "id": id, "scope": "acme/web/play", "attributes": attributes });
        world.ask(&world.admin, "POST", "/v1/resources", &body)
    };
    let told = register("w", "ghost");
    assert_eq!((told.status, told.body["field"].as_str()), (400, Some("attributes.keeper")), "{}", told.body);
    assert_eq!(register("v", "ci").status, 201);
    let may_write = || {
        let key = world.key("service_account", "ci");
        let body = json!({ "action": { "name": "write" }, "resource": { "kind": "vault", "id": "v" },
            "scope": "acme/web/play" });
        world.ask_with(&gate, "POST", "/v1/authorize", &[("policyd-client-key", &key)], &body).body["decision"]
            .clone()
    };
    assert_eq!(may_write(), "allow");
    assert_eq!(call(&world, &world.admin, "DELETE", "/v1/service-accounts/ci", &json!({})).status, 200);
    let again = json!({ "id": "ci", "home": "acme/web/play", "purpose": "another", "owner": user("ada") });
    world.done("POST", "/v1/service-accounts", &again);
    assert_eq!(may_write(), "deny", "another account of that name keeps nothing");
}

#[test]
fn a_deleted_user_comes_back_in_no_spelling() {
    let world = World::furnished();
    for id in ["eve", "zoe\u{e9}"] {
        world.done("POST", "/v1/users", &json!({ "id": id }));
        let path = format!("/v1/users/{}", id.replace('\u{e9}', "%C3%A9"));
        assert_eq!(call(&world, &world.admin, "DELETE", &path, &json!({})).status, 200);
    }
    let make = |id: &str| world.ask(&world.admin, "POST", "/v1/users", &json!({ "id": id })).status;
    for id in [
        "e\u{200b}ve",
        "e\u{ad}ve",
        "eve\u{fe0f}",
        "e\u{a0}ve",
        "e\u{3164}ve",
        "e\u{2800}ve",
        "\u{e0041}eve",
        " eve",
        "eve ",
        "e  ve",
    ] {
        assert_eq!(make(id), 400, "{id:?} can't be told from another");
    }
    assert_eq!(make("zoee\u{301}"), 400, "the composed form only");
    for id in ["EVE", "e ve", "\u{ff45}\u{ff56}\u{ff45}", "zoe\u{c9}"] {
        assert_eq!(make(id), 409, "{id:?} was given before");
    }
    assert_eq!(make("eva"), 201);
}

#[test]
fn an_account_comes_back_to_a_home_that_was_made_again() {
    let (world, ben) = run_by_ben("");
    let uid = world.ask(&world.admin, "GET", "/v1/service-accounts/ci", &Value::Null).body["uid"].clone();
    let gone = call(&world, &world.admin, "DELETE", "/v1/environments/acme%2Fweb%2Fplay", &json!({}));
    assert_eq!(gone.status, 200, "{}", gone.body);
    let again = json!({ "id": "play", "project": "acme/web", "stage": "sandbox" });
    world.done("POST", "/v1/environments", &again);
    let path = format!("/v1/service-accounts/{}/undelete", uid.as_str().expect("a uid"));
    refused(&world.ask(&ben, "POST", &path, &json!({})), "grant");
    world.done("POST", &path, &json!({}));
    world.done("POST", "/v1/service-accounts/ci/enable", &json!({}));
    let key = world.key("service_account", "ci");
    assert_eq!(world.ask(&key, "GET", "/v1/me", &Value::Null).status, 200, "it is there again");
}

#[test]
fn who_binds_in_one_place_finds_out_nothing_of_others() {
    let world = World::furnished();
    world.done("POST", "/v1/users", &json!({ "id": "dan" }));
    world.done("POST", "/v1/groups", &json!({ "id": "local", "scope": "acme/web" }));
    world.done("POST", "/v1/memberships", &json!({ "group": "local", "member": user("dan") }));
    world.done(
        "POST",
        "/v1/agents",
        &json!({ "id": "aide", "home": "acme/web", "purpose": "x", "owner": user("ada") }),
    );
    world.bind("user", "dan", "policyd/admin", "acme/web");
    let dan = world.key("user", "dan");
    let ask = |path: &str, body: Value| {
        let mut told = world.ask(&dan, "POST", path, &body);
        told.body["request"] = Value::Null;
        (told.status, told.body)
    };
    let about = |who: Value| {
        let machine = json!({ "id": "x", "home": "acme/web", "purpose": "x", "owner": who });
        [
            ask("/v1/bindings", json!({ "holder": who, "role": "policyd/viewer", "scope": "acme/web" })),
            ask("/v1/memberships", json!({ "group": "local", "member": who })),
            ask("/v1/service-accounts", machine),
            ask("/v1/links", json!({ "agent": "aide", "for": who })),
            ask("/v1/credentials", json!({ "account": who })),
        ]
    };
    let (there, ghost) = (about(user("ana")), about(user("ghost")));
    assert_eq!(there, ghost, "what he can't see is as absent as what isn't there");
    assert!(there.iter().all(|(status, _)| *status == 404), "{there:?}");
    let own = json!({ "kind": "agent", "id": "aide" });
    let (status, body) =
        ask("/v1/bindings", json!({ "holder": own, "role": "policyd/viewer", "scope": "acme/web" }));
    assert_eq!(status, 201, "whom he sees he may bind: {body}");
}

#[test]
fn nobody_shuts_everyone_out() {
    let (world, ben) = run_by_ben("boundary nothing { allow read on anything }");
    let org = json!({ "kind": "organization", "id": "acme" });
    let ada = user("ada");
    let all = world.ask(&world.admin, "GET", "/v1/bindings?limit=500", &Value::Null).body["items"].clone();
    let owning =
        all.as_array().into_iter().flatten().find(|b| b["role"] == "policyd/owner").expect("a binding");
    let binding = format!("/v1/bindings/{}", owning["uid"].as_str().expect("a uid"));
    let no = |told: Told, what: &str| {
        assert_eq!(told.status, 409, "{what}: {}", told.body);
        assert!(told.body["detail"].as_str().is_some_and(|d| d.contains("nobody could")), "{}", told.body);
    };
    let everything = |key: &str| {
        no(call(&world, key, "DELETE", &binding, &json!({})), "the last owner's role");
        no(call(&world, key, "DELETE", "/v1/users/ada", &json!({})), "deleted");
        no(world.ask(key, "POST", "/v1/users/ada/disable", &json!({})), "disabled");
        no(world.ask(key, "POST", "/v1/users/ada/leave", &json!({})), "leaves");
        let ends = json!({ "expires_at": "2200-01-01T00:00:00Z" });
        no(call(&world, key, "PATCH", "/v1/users/ada", &ends), "with an end");
        for boundary in ["policyd_off", "nothing"] {
            let body = json!({ "boundary": boundary, "to": ada });
            no(world.ask(key, "POST", "/v1/attachments", &body), boundary);
        }
    };
    everything(&ben);
    everything(&world.admin);
    let home = json!({ "home": "acme/web" });
    no(call(&world, &world.admin, "PATCH", "/v1/users/ada", &home), "with a narrow home");
    for boundary in ["policyd_off", "nothing"] {
        let body = json!({ "boundary": boundary, "to": org });
        no(world.ask(&world.admin, "POST", "/v1/attachments", &body), boundary);
    }
    // Somebody for a while is nobody for good.
    world.done("POST", "/v1/users", &json!({ "id": "eve" }));
    let given = json!({ "holder": user("eve"), "role": "policyd/owner", "scope": "acme", "until": "2200-01-01T00:00:00Z" });
    world.done("POST", "/v1/bindings", &given);
    no(call(&world, &ben, "DELETE", &binding, &json!({})), "nobody is left in 2200");
    world.bind("user", "eve", "policyd/owner", "acme");
    let told = call(&world, &ben, "DELETE", &binding, &json!({}));
    assert_eq!(told.status, 200, "there is another: {}", told.body);
}

#[test]
fn a_boundary_that_nobody_could_take_off_is_not_attached() {
    let (world, ben) = run_by_ben("");
    let attach = |key: &str, boundary: &str| {
        let to = json!({ "kind": "project", "id": "acme/web" });
        world.ask(key, "POST", "/v1/attachments", &json!({ "boundary": boundary, "to": to }))
    };
    for key in [&ben, &world.admin] {
        let told = attach(key, "policyd_off");
        assert_eq!(told.status, 409, "{}", told.body);
        assert_eq!(attach(key, "read_only").status, 409, "it allows nobody to detach");
    }
    world.activate(&format!("{}\nboundary wide {{ allow do anything on anything }}\n", crate::world::RULES));
    assert_eq!(attach(&ben, "wide").status, 201);
}

#[test]
fn moving_an_account_hands_it_to_others() {
    let (world, ben) = run_by_ben("");
    world.done("POST", "/v1/users", &json!({ "id": "kim" }));
    world.bind("user", "kim", "policyd/key_admin", "acme/web");
    world.bind("user", "ana", "operator", "acme");
    let kim = world.key("user", "kim");
    let mint = || world.ask(&kim, "POST", "/v1/credentials", &json!({ "account": user("ana") })).status;
    assert_eq!(mint(), 404, "ana is not at kim's place");
    let home = json!({ "home": "acme/web" });
    refused(&call(&world, &ben, "PATCH", "/v1/users/ana", &home), "grant");
    assert_eq!(mint(), 404);
    assert_eq!(call(&world, &world.admin, "PATCH", "/v1/users/ana", &home).status, 200);
    assert_eq!(mint(), 201);
}

#[test]
fn a_purpose_that_rules_go_by_is_set_by_who_may_grant() {
    let (world, ben) = run_by_ben("");
    let purpose = json!({ "purpose": "deploys" });
    let set = || call(&world, &ben, "PATCH", "/v1/service-accounts/ci", &purpose);
    assert_eq!(set().status, 200, "no rule goes by it");
    world.activate(&format!(
        "{}\npolicy more {{ ships: allow service_account to write on server when account.purpose == \"deploys\" }}\n",
        crate::world::RULES
    ));
    refused(&set(), "grant");
    let body = json!({ "id": "new", "home": "acme/web", "purpose": "deploys", "owner": user("ben") });
    refused(&world.ask(&ben, "POST", "/v1/service-accounts", &body), "grant");
    assert_eq!(call(&world, &world.admin, "PATCH", "/v1/service-accounts/ci", &purpose).status, 200);
}

#[test]
fn nobody_is_acted_for_because_he_was_put_into_a_group() {
    let (world, ben) = run_by_ben("");
    let group = json!({ "kind": "group", "id": "team" });
    world.done("POST", "/v1/groups", &json!({ "id": "team" }));
    world.done("POST", "/v1/memberships", &json!({ "group": "team", "member": user("ben") }));
    world.done("POST", "/v1/links", &json!({ "agent": "helper", "for": group }));
    let join = |key: &str, who: &str| {
        world.ask(key, "POST", "/v1/memberships", &json!({ "group": "team", "member": user(who) }))
    };
    refused(&join(&ben, "ada"), "consent");
    refused(&join(&ben, "ana"), "consent");
    assert_eq!(join(&world.admin, "ana").status, 201, "an owner consents for others");
}

#[test]
fn what_carries_a_role_that_a_rule_reads_keeps_its_members() {
    let (world, ben) = denying();
    world.done("POST", "/v1/groups", &json!({ "id": "muted" }));
    world.bind("group", "muted", "suspended", "acme");
    let joined = world.done("POST", "/v1/memberships", &json!({ "group": "muted", "member": user("ana") }));
    let path = format!("/v1/memberships/{}", joined["uid"].as_str().expect("a uid"));
    refused(&call(&world, &ben, "DELETE", &path, &json!({})), "grant");
    assert_eq!(call(&world, &world.admin, "DELETE", &path, &json!({})).status, 200);
}

#[test]
fn whom_a_value_names_is_there_as_long_as_it_does() {
    let (world, ben) = denying();
    let attributes = json!({ "keeper": { "kind": "service_account", "id": "ci" } });
    let vault = json!({ "kind": "vault", "id": "v", "scope": "acme/web/prod", "attributes": attributes });
    world.done("POST", "/v1/resources", &vault);
    refused(&call(&world, &ben, "DELETE", "/v1/service-accounts/ci", &json!({})), "grant");
    assert_eq!(call(&world, &ben, "DELETE", "/v1/service-accounts/gate", &json!({})).status, 200);
    assert_eq!(call(&world, &world.admin, "DELETE", "/v1/service-accounts/ci", &json!({})).status, 200);
}

#[test]
fn a_group_of_one_place_gives_nothing_at_another() {
    let world = World::furnished();
    world.done("POST", "/v1/groups", &json!({ "id": "crew", "scope": "acme/web" }));
    world.done("POST", "/v1/groups", &json!({ "id": "local", "scope": "acme/web" }));
    world.bind("group", "crew", "operator", "acme");
    world.bind("group", "local", "operator", "acme/web/play");
    world.bind("user", "ben", "policyd/viewer", "acme");
    world.bind("user", "ben", "policyd/owner", "acme/web");
    let ben = world.key("user", "ben");
    let join = |key: &str, group: &str, who: &str| {
        let body = json!({ "group": group, "member": user(who) });
        world.ask(key, "POST", "/v1/memberships", &body)
    };
    refused(&join(&ben, "crew", "ben"), "grant");
    assert_eq!(join(&ben, "local", "ben").status, 201, "what it holds at his place he may grant");
    let nested = json!({ "group": "crew", "member": { "kind": "group", "id": "local" } });
    refused(&world.ask(&ben, "POST", "/v1/memberships", &nested), "grant");
    assert_eq!(join(&world.admin, "crew", "ben").status, 201);
}

#[test]
fn a_name_that_another_had_is_given_by_who_may_grant() {
    let (world, ben) = run_by_ben("");
    let machine =
        |id: &str| json!({ "id": id, "home": "acme/web/play", "purpose": "x", "owner": user("ben") });
    let gone = |path: &str| {
        let told = call(&world, &ben, "DELETE", path, &json!({}));
        assert_eq!(told.status, 200, "{path}: {}", told.body);
    };
    assert_eq!(world.ask(&ben, "POST", "/v1/groups", &json!({ "id": "crew" })).status, 201);
    gone("/v1/groups/crew");
    gone("/v1/service-accounts/ci");
    refused(&world.ask(&ben, "POST", "/v1/groups", &json!({ "id": "crew" })), "grant");
    refused(&world.ask(&ben, "POST", "/v1/service-accounts", &machine("ci")), "grant");
    assert_eq!(world.ask(&ben, "POST", "/v1/service-accounts", &machine("cj")).status, 201);
    world.done("POST", "/v1/groups", &json!({ "id": "crew" }));
    world.done("POST", "/v1/service-accounts", &machine("ci"));
}

#[test]
fn a_role_that_spares_from_a_deny_is_no_more_in_other_hands() {
    let world = World::furnished();
    world.activate(&format!(
        "{}\n{}\n",
        crate::world::RULES,
        r#"
resource page {}
action ring, knock, buzz on page
role senior { allow knock on page }
role strict { allow knock on page }
policy sparing {
  seniors: deny user to ring on page unless account has role senior
  confirmed: deny user to buzz on page
    unless account has role strict and account is user and account.mfa exists and account.mfa
}
"#
    ));
    world.bind("user", "ben", "policyd/admin", "acme");
    world.bind("user", "ben", "senior", "acme");
    world.bind("user", "ben", "strict", "acme");
    let ben = world.key("user", "ben");
    let give = |role: &str, kind: &str, id: &str| {
        let body = json!({ "holder": { "kind": kind, "id": id }, "role": role, "scope": "acme" });
        world.ask(&ben, "POST", "/v1/bindings", &body)
    };
    assert_eq!(give("senior", "user", "ana").status, 201, "it spares her from what it spares him");
    refused(&give("strict", "user", "ana"), "grant");
    world.done(
        "POST",
        "/v1/bindings",
        &json!({ "holder": { "kind": "user", "id": "ana" }, "role": "strict", "scope": "acme" }),
    );
}
