//! Nobody grants what he doesn't hold: each edge that carries rights, tried by somebody who runs the directory
//! (`policyd/admin`) and may grant nothing.

use crate::world::{Told, World};
use serde_json::{Value, json};

struct Edges {
    world: World,
    /// Runs the directory, holds `reader` at `acme/web/play`, may grant nothing.
    ben: String,
}

impl Edges {
    fn new() -> Edges {
        let world = World::furnished();
        world.bind("user", "ben", "policyd/admin", "acme");
        world.bind("user", "ben", "reader", "acme/web/play");
        let ben = world.key("user", "ben");
        Edges { world, ben }
    }

    fn post(&self, path: &str, body: Value) -> Told {
        self.world.ask(&self.ben, "POST", path, &body)
    }

    fn etag(&self, path: &str) -> String {
        self.world.ask(&self.world.admin, "GET", path, &Value::Null).body["revision"].to_string()
    }

    fn patch(&self, path: &str, body: Value) -> Told {
        self.world.ask_with(&self.ben, "PATCH", path, &[("if-match", &self.etag(path))], &body)
    }

    fn delete(&self, path: &str) -> Told {
        self.world.ask_with(&self.ben, "DELETE", path, &[("if-match", &self.etag(path))], &json!({}))
    }
}

fn refused(told: &Told, right: &str) {
    assert_eq!(told.status, 403, "{}", told.body);
    let detail = told.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&format!("`{right}`")), "{detail}");
}

#[test]
fn a_role_is_given_by_who_holds_it_there() {
    let e = Edges::new();
    let bind = |role: &str, scope: &str, more: Value| {
        let mut body = json!({ "holder": { "kind": "user", "id": "ana" }, "role": role, "scope": scope });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        e.post("/v1/bindings", body)
    };
    assert_eq!(bind("reader", "acme/web/play", json!({})).status, 201, "he holds it there");
    refused(&bind("reader", "acme/web", json!({})), "grant");
    refused(&bind("reader", "acme/web/prod", json!({})), "grant");
    refused(&bind("operator", "acme/web/play", json!({})), "grant");
    refused(&bind("policyd/owner", "acme", json!({})), "grant");
    refused(&bind("policyd/key_admin", "acme", json!({})), "grant");
    assert_eq!(bind("policyd/viewer", "acme", json!({})).status, 201, "what his role includes he holds");
    let everyone = json!({ "everyone": "user", "role": "operator", "scope": "acme/web/play" });
    refused(&e.post("/v1/bindings", everyone), "grant");
    // Right to grant exactly that role there is enough; the owner has it.
    assert_eq!(e.world.bind("user", "ana", "operator", "acme/web")["role"], "operator");
}

#[test]
fn what_is_held_for_a_while_is_given_for_no_longer() {
    let e = Edges::new();
    e.world.done(
        "POST",
        "/v1/bindings",
        &json!({ "holder": { "kind": "user", "id": "ben" }, "role": "operator",
        "scope": "acme/web/play", "until": "2100-01-01T00:00:00Z" }),
    );
    let give = |until: Value| {
        e.post(
            "/v1/bindings",
            json!({ "holder": { "kind": "user", "id": "ana" }, "role": "operator",
        "scope": "acme/web/play", "until": until }),
        )
    };
    assert_eq!(give(json!("2099-12-31T00:00:00Z")).status, 201);
    refused(&give(json!("2100-01-02T00:00:00Z")), "grant");
    refused(&give(Value::Null), "grant");
}

#[test]
fn who_is_bounded_gives_nothing_unbounded() {
    let e = Edges::new();
    let give = |key: &str| {
        e.world.ask(
            key,
            "POST",
            "/v1/bindings",
            &json!({ "holder": { "kind": "user", "id": "ana" },
        "role": "reader", "scope": "acme/web/play" }),
        )
    };
    let wide = "allow do anything on anything";
    let bounded = e.world.key_with("user", "ben", json!({ "policy": wide }));
    refused(&give(&bounded), "grant");
    let elsewhere = e.world.key_with("user", "ben", json!({ "scope": "acme/web/prod" }));
    assert_eq!(give(&elsewhere).status, 404);
    e.world.done(
        "POST",
        "/v1/bindings",
        &json!({ "holder": { "kind": "user", "id": "ana" }, "role": "operator",
        "scope": "acme/web/play", "boundaries": ["read_only"] }),
    );
    e.world.bind("user", "ana", "policyd/admin", "acme");
    let ana = e.world.key("user", "ana");
    let give =
        json!({ "holder": { "kind": "user", "id": "ben" }, "role": "operator", "scope": "acme/web/play" });
    refused(&e.world.ask(&ana, "POST", "/v1/bindings", &give), "grant");
    // A read-only key reads.
    let narrow = e.world.key_with("user", "ben", json!({ "boundaries": ["read_only"] }));
    assert_eq!(give_status(&e, &narrow), 403);
    assert_eq!(e.world.ask(&narrow, "GET", "/v1/users/ana", &Value::Null).status, 200);
}

fn give_status(e: &Edges, key: &str) -> u16 {
    e.world.ask(key, "POST", "/v1/users", &json!({ "id": "new" })).status
}

#[test]
fn a_group_is_joined_through_its_members() {
    let e = Edges::new();
    for id in ["team", "outer"] {
        e.world.done("POST", "/v1/groups", &json!({ "id": id }));
    }
    e.world.bind("group", "team", "operator", "acme/web");
    let join = |group: &str, kind: &str, id: &str| {
        e.post("/v1/memberships", json!({ "group": group, "member": { "kind": kind, "id": id } }))
    };
    refused(&join("team", "user", "ben"), "grant");
    refused(&join("team", "user", "ana"), "grant");
    refused(&join("team", "group", "outer"), "grant");
    e.world.done(
        "POST",
        "/v1/memberships",
        &json!({ "group": "team", "member": { "kind": "user", "id": "ben" } }),
    );
    assert_eq!(join("team", "user", "ana").status, 201, "a member lets others in");
    e.world.done(
        "POST",
        "/v1/memberships",
        &json!({ "group": "team", "member": { "kind": "group", "id": "outer" } }),
    );
    let circle = e.world.ask(
        &e.world.admin,
        "POST",
        "/v1/memberships",
        &json!({ "group": "outer", "member": { "kind": "group", "id": "team" } }),
    );
    assert_eq!(circle.status, 409, "{}", circle.body);
}

#[test]
fn keys_are_made_by_who_may_act_as_the_account() {
    let e = Edges::new();
    let mint =
        |kind: &str, id: &str| e.post("/v1/credentials", json!({ "account": { "kind": kind, "id": id } }));
    refused(&mint("service_account", "ci"), "act_as");
    refused(&mint("user", "ada"), "act_as");
    refused(&mint("user", "ben"), "act_as");
    let made = e.world.done(
        "POST",
        "/v1/credentials",
        &json!({ "account": { "kind": "service_account", "id": "ci" }, "id": "k" }),
    );
    assert!(made["token"].is_string());
    refused(&e.post("/v1/credentials/k/rotate", json!({})), "act_as");
    assert_eq!(e.post("/v1/credentials/k/disable", json!({})).status, 200, "taking away needs less");
    refused(&e.post("/v1/credentials/k/enable", json!({})), "act_as");
    // Outside the account a key doesn't reach, and it ends with it.
    let admin = |body: Value| e.world.ask(&e.world.admin, "POST", "/v1/credentials", &body);
    let ci = json!({ "kind": "service_account", "id": "ci" });
    assert_eq!(admin(json!({ "account": ci, "scope": "acme" })).body["field"], "scope");
    assert_eq!(admin(json!({ "account": ci, "scope": "acme/web/prod" })).body["field"], "scope");
    assert_eq!(
        admin(json!({ "account": ci, "expires_at": "2100-01-01T00:00:00Z" })).body["field"],
        "expires_at"
    );
    assert_eq!(
        admin(json!({ "account": { "kind": "user", "id": "ana" }, "never_expires": true })).status,
        400
    );
    assert_eq!(admin(json!({ "account": ci, "policy": "allow raed on server" })).body["field"], "policy");
    assert_eq!(admin(json!({ "account": ci, "boundaries": ["read_olny"] })).body["field"], "boundaries");
    assert_eq!(admin(json!({ "account": ci, "policy": "allow read on server\n".repeat(33) })).status, 400);
    e.world.bind("user", "ben", "policyd/key_admin", "acme");
    refused(&e.post("/v1/credentials", json!({ "account": ci, "never_expires": true })), "mint_endless");
    assert_eq!(mint("service_account", "ci").status, 201);
}

#[test]
fn what_widens_an_account_takes_the_right_to_grant() {
    let e = Edges::new();
    let ci = "/v1/service-accounts/ci";
    refused(&e.patch(ci, json!({ "home": "acme" })), "grant");
    refused(&e.patch(ci, json!({ "home": "acme/web/prod" })), "grant");
    refused(&e.patch(ci, json!({ "owner": { "kind": "user", "id": "ana" } })), "grant");
    refused(&e.patch(ci, json!({ "owner": { "kind": "user", "id": "ben" } })), "grant");
    refused(&e.patch(ci, json!({ "attributes": {} })), "grant");
    assert_eq!(e.patch(ci, json!({ "expires_at": "2030-01-01T00:00:00Z" })).status, 200, "an end narrows");
    refused(&e.patch(ci, json!({ "expires_at": "2031-01-01T00:00:00Z" })), "grant");
    refused(&e.patch(ci, json!({ "expires_at": null })), "grant");
    assert_eq!(e.patch(ci, json!({ "purpose": "something else" })).status, 200);
    refused(&e.patch("/v1/service-accounts/gate", json!({ "home": "acme/web" })), "grant");
    let foreign =
        json!({ "id": "new", "home": "acme", "purpose": "x", "owner": { "kind": "user", "id": "ana" } });
    refused(&e.post("/v1/service-accounts", foreign), "grant");
    let own =
        json!({ "id": "new", "home": "acme", "purpose": "x", "owner": { "kind": "user", "id": "ben" } });
    assert_eq!(e.post("/v1/service-accounts", own).status, 201);
    let resource = json!({ "kind": "server", "id": "s", "scope": "acme/web/play", "attributes": { "owner": { "kind": "user", "id": "ben" } } });
    refused(&e.post("/v1/resources", resource), "grant");
}

#[test]
fn boundaries_come_off_by_who_may_grant() {
    let e = Edges::new();
    let to = json!({ "kind": "service_account", "id": "ci" });
    let made = e.post("/v1/attachments", json!({ "boundary": "read_only", "to": to }));
    assert_eq!(made.status, 201, "narrowing is free: {}", made.body);
    let path = format!("/v1/attachments/{}", made.body["uid"].as_str().unwrap());
    assert!(matches!(e.delete(&path).status, 403 | 404));
    let everywhere = e.post(
        "/v1/attachments",
        json!({ "boundary": "read_only", "to": { "kind": "organization", "id": "acme" } }),
    );
    refused(&everywhere, "activate");
    let gate = e.world.key("service_account", "gate");
    let key = e.world.key("service_account", "ci");
    assert_eq!(e.world.decide(&gate, &key, "write", "acme/web/play")["refused_by"], "boundary");
    let told = e.world.ask_with(&e.world.admin, "DELETE", &path, &[("if-match", &e.etag(&path))], &json!({}));
    assert_eq!(told.status, 200, "{}", told.body);
    assert_eq!(e.world.decide(&gate, &key, "write", "acme/web/play")["decision"], "allow");
}

#[test]
fn names_in_rules_are_not_for_the_taking() {
    let e = Edges::new();
    e.world.done("POST", "/v1/groups", &json!({ "id": "trusted" }));
    let rules = format!(
        "{}\npolicy more {{ in_group: allow user in group \"trusted\" to write on server }}\n",
        crate::world::RULES
    );
    e.world.activate(&rules);
    refused(
        &e.post("/v1/memberships", json!({ "group": "trusted", "member": { "kind": "user", "id": "ben" } })),
        "grant",
    );
    let gone = e.world.ask_with(
        &e.world.admin,
        "DELETE",
        "/v1/groups/trusted",
        &[("if-match", &e.etag("/v1/groups/trusted"))],
        &json!({}),
    );
    assert_eq!(gone.status, 409, "what an active set names can't be deleted: {}", gone.body);
    // A set that names somebody who isn't there is not activated.
    let ghost = format!(
        "{}\npolicy more {{ ghost: deny user in group \"nobody\" to write on server }}\n",
        crate::world::RULES
    );
    let made =
        e.world.done("POST", "/v1/policy-sets", &json!({ "files": [{ "name": "own.pol", "text": ghost }] }));
    let told = e.world.ask(
        &e.world.admin,
        "POST",
        &format!("/v1/policy-sets/{}/activate", made["id"].as_str().unwrap()),
        &json!({}),
    );
    assert_eq!((told.status, told.body["title"].as_str()), (422, Some("it names what isn't there")));
    // Nor one under which a stored grant means nothing.
    let less = crate::world::RULES.replace("role operator { allow read, write on server }", "");
    let made =
        e.world.done("POST", "/v1/policy-sets", &json!({ "files": [{ "name": "own.pol", "text": less }] }));
    let told = e.world.ask(
        &e.world.admin,
        "POST",
        &format!("/v1/policy-sets/{}/activate", made["id"].as_str().unwrap()),
        &json!({}),
    );
    assert_eq!(
        (told.status, told.body["title"].as_str()),
        (422, Some("stored grants would lose their meaning")),
        "{}",
        told.body
    );
    let diff = e.world.ask(
        &e.world.admin,
        "POST",
        &format!("/v1/policy-sets/{}/diff", made["id"].as_str().unwrap()),
        &Value::Null,
    );
    assert_eq!(diff.body["would_activate"], false);
    assert!(
        diff.body["lost"].as_array().is_some_and(|l| l.iter().any(|g| g["kind"] == "binding")),
        "{}",
        diff.body
    );
    // Rolling back is activating an older version, and takes the same right.
    refused(&e.post("/v1/policy-sets/v1/activate", json!({})), "activate");
}

#[test]
fn what_was_deleted_comes_back_with_nothing() {
    let e = Edges::new();
    let gate = e.world.key("service_account", "gate");
    let uid = e.world.ask(&e.world.admin, "GET", "/v1/service-accounts/ci", &Value::Null).body["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(e.delete("/v1/service-accounts/ci").status, 200);
    let back = e.post(&format!("/v1/service-accounts/{uid}/undelete"), json!({}));
    assert_eq!((back.status, back.body["status"].as_str()), (200, Some("disabled")), "{}", back.body);
    refused(&e.post("/v1/service-accounts/ci/enable", json!({})), "grant");
    e.world.done("POST", "/v1/service-accounts/ci/enable", &json!({}));
    let key = e.world.key("service_account", "ci");
    assert_eq!(
        e.world.decide(&gate, &key, "read", "acme/web/play")["decision"],
        "deny",
        "its bindings stayed away"
    );
}

#[test]
fn a_leaving_person_leaves_nothing_unowned() {
    let e = Edges::new();
    e.world.done(
        "POST",
        "/v1/service-accounts",
        &json!({ "id": "bens", "home": "acme", "purpose": "x", "owner": { "kind": "user", "id": "ben" } }),
    );
    let told = e.world.done(
        "POST",
        "/v1/users/ben/leave",
        &json!({ "hand_over_to": { "kind": "user", "id": "ana" } }),
    );
    assert_eq!(told["handed_over"], json!(["bens"]));
    assert_eq!(told["revoked"].as_array().map(Vec::len), Some(1));
    assert_eq!(e.world.ask(&e.ben, "GET", "/v1/me", &Value::Null).status, 401);
    let owner =
        e.world.ask(&e.world.admin, "GET", "/v1/service-accounts/bens", &Value::Null).body["owner"].clone();
    assert_eq!(owner, json!({ "kind": "user", "id": "ana" }));
    let told = e.world.done("POST", "/v1/users/ana/leave", &json!({}));
    assert_eq!(told["disabled"], json!(["bens"]));
}

/// Every edge that carries rights, in one table: who runs the directory and may grant nothing is refused, the owner of the
/// organization does it.
#[test]
fn each_edge_is_closed_to_who_may_not_grant_and_open_to_who_may() {
    let e = Edges::new();
    let ok = |path: &str, body: Value| e.world.done("POST", path, &body);
    for id in ["team", "outer"] {
        ok("/v1/groups", json!({ "id": id }));
    }
    let ana = json!({ "kind": "user", "id": "ana" });
    let ci = json!({ "kind": "service_account", "id": "ci" });
    let attached = ok("/v1/attachments", json!({ "boundary": "read_only", "to": ci }));
    let link = ok("/v1/links", json!({ "agent": "helper", "for": { "kind": "user", "id": "ben" } }));
    assert!(link["consented_by"].is_object(), "an owner consents for others");
    let waiting = e.post("/v1/links", json!({ "agent": "helper", "for": ana }));
    assert!(waiting.status == 201 && waiting.body["consented_by"].is_null(), "{}", waiting.body);
    ok(
        "/v1/service-accounts",
        json!({ "id": "late", "home": "acme", "purpose": "x", "owner": ana,
        "expires_at": "2040-01-01T00:00:00Z" }),
    );
    let gone =
        ok("/v1/service-accounts", json!({ "id": "gone", "home": "acme", "purpose": "x", "owner": ana }));
    ok("/v1/credentials", json!({ "account": ci, "id": "off" }));
    ok("/v1/credentials/off/disable", json!({}));
    ok("/v1/service-accounts/gate/disable", json!({}));
    let uid = |of: &Value| of["uid"].as_str().expect("a uid").to_owned();
    let (attached, waiting) = (uid(&attached), uid(&waiting.body));
    let admin = e.world.admin.clone();
    let call = |key: &str, method: &str, path: &str, body: &Value| {
        let tag = e.etag(path);
        let conditional: &[(&str, &str)] = if method == "POST" { &[] } else { &[("if-match", &tag)] };
        e.world.ask_with(key, method, path, conditional, body)
    };
    let table: Vec<(&str, &str, String, Value)> = vec![
        (
            "bind",
            "POST",
            "/v1/bindings".into(),
            json!({ "holder": ana, "role": "operator", "scope": "acme" }),
        ),
        (
            "bind for everyone",
            "POST",
            "/v1/bindings".into(),
            json!({ "everyone": "user", "role": "operator", "scope": "acme" }),
        ),
        ("join", "POST", "/v1/memberships".into(), json!({ "group": "team", "member": ana })),
        (
            "nest",
            "POST",
            "/v1/memberships".into(),
            json!({ "group": "team", "member": { "kind": "group", "id": "outer" } }),
        ),
        ("detach", "DELETE", format!("/v1/attachments/{attached}"), json!({})),
        ("widen a home", "PATCH", "/v1/service-accounts/ci".into(), json!({ "home": "acme/web" })),
        ("set an owner", "PATCH", "/v1/service-accounts/ci".into(), json!({ "owner": ana })),
        (
            "set an owner at once",
            "POST",
            "/v1/service-accounts".into(),
            json!({ "id": "fresh", "home": "acme", "purpose": "x", "owner": ana }),
        ),
        ("set attributes", "PATCH", "/v1/service-accounts/ci".into(), json!({ "attributes": {} })),
        ("set attributes at once", "POST", "/v1/users".into(), json!({ "id": "fresh", "attributes": {} })),
        (
            "register with attributes",
            "POST",
            "/v1/resources".into(),
            json!({ "kind": "server", "id": "s", "scope": "acme/web", "attributes": { "owner": ana } }),
        ),
        ("consent for another", "POST", format!("/v1/links/{waiting}/consent"), json!({})),
        ("extend", "PATCH", "/v1/service-accounts/late".into(), json!({ "expires_at": null })),
        ("enable", "POST", "/v1/service-accounts/gate/enable".into(), json!({})),
        ("mint", "POST", "/v1/credentials".into(), json!({ "account": ci })),
        ("rotate or enable a key", "POST", "/v1/credentials/off/enable".into(), json!({})),
        ("roll back", "POST", "/v1/policy-sets/v1/activate".into(), json!({})),
    ];
    for (edge, method, path, body) in &table {
        let told = call(&e.ben, method, path, body);
        assert!([403, 404].contains(&told.status), "{edge}: {} {}", told.status, told.body);
        let told = call(&admin, method, path, body);
        assert!(told.status < 300, "{edge}: {} {}", told.status, told.body);
    }
    // What was undeleted comes back with nothing, and is enabled by who may grant.
    assert_eq!(e.delete("/v1/service-accounts/gone").status, 200);
    let path = format!("/v1/service-accounts/{}/undelete", uid(&gone));
    assert_eq!(e.post(&path, json!({})).status, 200);
    refused(&e.post("/v1/service-accounts/gone/enable", json!({})), "grant");
    ok("/v1/service-accounts/gone/enable", json!({}));
    // Bounding everyone is activating.
    let everyone = json!({ "boundary": "wide", "to": { "kind": "organization", "id": "acme" } });
    refused(&e.post("/v1/attachments", everyone.clone()), "activate");
    e.world
        .activate(&format!("{}\nboundary wide {{ allow do anything on anything }}\n", crate::world::RULES));
    ok("/v1/attachments", everyone);
}
