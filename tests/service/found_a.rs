//! What a review found in the state, in authentication and in what is stored: a test for each.

use crate::world::World;
use serde_json::{Value, json};

/// A request with the revision that its object has now.
fn cond(world: &World, method: &str, path: &str, body: &Value) -> crate::world::Told {
    let read = world.ask(&world.admin, "GET", path, &Value::Null);
    assert_eq!(read.status, 200, "GET {path}: {}", read.body);
    let tag = format!("\"{}\"", read.body["revision"]);
    world.ask_with(&world.admin, method, path, &[("if-match", &tag)], body)
}

/// Rules with a thing that sits in another.
const BOXES: &str = r#"
resource box { tier: String? stored }
resource server in box? { tier: String? stored }
action read on server, box
role operator { allow read on server, box }
policy house { own: allow user to read on server
    when account has role operator
}
"#;

fn boxes() -> World {
    let world = World::bare();
    world.done("POST", "/v1/projects", &json!({ "id": "web" }));
    for (id, stage) in [("box", "sandbox"), ("prod", "production")] {
        let body = json!({ "id": id, "project": "acme/web", "stage": stage });
        world.done("POST", "/v1/environments", &body);
    }
    world.activate(BOXES);
    world
}

#[test]
fn a_change_that_contradicts_what_is_stored_is_refused_and_the_service_lives() {
    let mut world = boxes();
    let resource = |kind: &str, id: &str, scope: &str, above: Option<&str>| {
        let mut body = json!({ "kind": kind, "id": id, "scope": scope });
        if let Some(above) = above {
            body["in"] = json!({ "kind": "box", "id": above });
        }
        body
    };
    world.done("POST", "/v1/resources", &resource("box", "b", "acme/web/prod", None));
    world.done("POST", "/v1/resources", &resource("server", "s", "acme/web/prod", Some("b")));
    let told = cond(&world, "DELETE", "/v1/resources/box%2Fb", &Value::Null);
    assert_eq!(told.status, 409, "{}", told.body);
    assert!(told.body["detail"].as_str().unwrap().contains("server/s"), "{}", told.body);
    let apart = resource("server", "t", "acme/web/box", Some("b"));
    let told = world.ask(&world.admin, "POST", "/v1/resources", &apart);
    assert_eq!(told.status, 422, "{}", told.body);
    assert!(told.body["detail"].as_str().unwrap().contains("is placed in"), "{}", told.body);
    for n in 0..=65 {
        world.done("POST", "/v1/groups", &json!({ "id": format!("g{n}") }));
    }
    let mut refused = None;
    for n in 0..65 {
        let member = json!({ "kind": "group", "id": format!("g{n}") });
        let body = json!({ "group": format!("g{}", n + 1), "member": member });
        let told = world.ask(&world.admin, "POST", "/v1/memberships", &body);
        if told.status != 201 {
            refused = Some(told);
            break;
        }
    }
    let told = refused.expect("the chain is too long at some point");
    assert_eq!(told.status, 422, "{}", told.body);
    assert!(told.body["detail"].as_str().unwrap().contains("64"), "{}", told.body);
    // Nothing of it was kept, and it starts again.
    world.done("POST", "/v1/users", &json!({ "id": "eve" }));
    world.kill();
    world.start();
    assert_eq!(world.ask(&world.admin, "GET", "/v1/users/eve", &Value::Null).status, 200);
    assert_eq!(world.ask(&world.admin, "GET", "/v1/resources/server%2Ft", &Value::Null).status, 404);
}

#[test]
fn an_organization_that_can_not_be_made_is_denied_alone() {
    let mut world = World::furnished();
    let body = json!({ "id": "other", "owner": "oda" });
    let made = world.ask(&world.installation, "POST", "/v1/organizations", &body);
    assert_eq!(made.status, 201, "{}", made.body);
    let theirs = made.body["token"].as_str().unwrap().to_owned();
    world.kill();
    let db = rusqlite::Connection::open(world.folder.join("store/policyd.db")).expect("a database");
    // A version that doesn't compile any more.
    let changed = db
        .execute("UPDATE objects SET body = replace(body, 'resource server', 'resoorce server') WHERE kind = 'policy_set'", [])
        .expect("it can be written");
    assert_eq!(changed, 1);
    drop(db);
    world.start();
    assert_eq!(world.ask(&world.admin, "GET", "/v1/me", &Value::Null).status, 401);
    assert_eq!(world.ask(&theirs, "GET", "/v1/users/oda", &Value::Null).status, 200);
    assert_eq!(world.ask("", "GET", "/readyz", &Value::Null).status, 200);
    assert!(world.log().contains("everything in it is denied"), "it is logged");
}

/// Sends these bytes, waits, does something, sends the rest: the answer.
fn in_two_parts(world: &World, first: &str, rest: &str, between: impl FnOnce()) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(&world.address).expect("it listens");
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a timeout");
    stream.write_all(first.as_bytes()).expect("it is sent");
    std::thread::sleep(std::time::Duration::from_millis(300));
    between();
    stream.write_all(rest.as_bytes()).expect("it is sent");
    let mut told = String::new();
    stream.read_to_string(&mut told).expect("an answer");
    told
}

#[test]
fn a_key_that_is_revoked_while_the_body_arrives_is_refused() {
    let world = World::furnished();
    let account = json!({ "kind": "service_account", "id": "ci" });
    let made = world.done("POST", "/v1/credentials", &json!({ "account": account }));
    let (token, uid) = (made["token"].as_str().unwrap(), made["uid"].as_str().unwrap());
    let body = json!({
        "action": { "name": "read" }, "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play",
    });
    let body = body.to_string();
    for revoked in [false, true] {
        let head = format!(
            "POST /v1/authorize HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{}",
            body.len(),
            &body[..5]
        );
        let told = in_two_parts(&world, &head, &body[5..], || {
            if revoked {
                world.done("POST", &format!("/v1/credentials/{uid}/revoke"), &json!({}));
            }
        });
        let expected = if revoked { "HTTP/1.1 401" } else { "HTTP/1.1 200" };
        assert!(told.starts_with(expected), "revoked: {revoked}: {told}");
    }
}

/// The time in so many seconds, as text.
fn in_seconds(seconds: u64) -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
    let at = since + std::time::Duration::from_secs(seconds);
    policyc::show_time(i64::try_from(at.as_micros()).expect("a time of ours"))
}

#[test]
fn an_account_that_has_ended_changes_nothing_more() {
    let world = World::furnished();
    world.bind("service_account", "gate", "policyd/admin", "acme");
    let key = world.key("service_account", "gate");
    let project = |id: &str| world.ask(&key, "POST", "/v1/projects", &json!({ "id": id }));
    assert_eq!(project("before").status, 201);
    let ends = json!({ "expires_at": in_seconds(2) });
    let told = cond(&world, "PATCH", "/v1/service-accounts/gate", &ends);
    assert_eq!(told.status, 200, "{}", told.body);
    std::thread::sleep(std::time::Duration::from_millis(3_200));
    assert_eq!(project("after").status, 401);
    assert_eq!(world.ask(&key, "GET", "/v1/me", &Value::Null).status, 401);
    assert_eq!(world.ask(&world.admin, "GET", "/v1/projects/acme%2Fafter", &Value::Null).status, 404);
}

#[test]
fn attributes_without_meaning_are_refused_and_what_has_none_denies() {
    let mut world = boxes();
    let body = json!({
        "kind": "server", "id": "s", "scope": "acme/web/prod", "attributes": { "tier": "gold" },
    });
    world.done("POST", "/v1/resources", &body);
    let typo = json!({ "attributes": { "teir": "gold" } });
    let told = cond(&world, "PATCH", "/v1/resources/server%2Fs", &typo);
    assert_eq!(told.status, 400, "{}", told.body);
    assert!(told.body["detail"].as_str().unwrap().contains("did you mean `tier`"), "{}", told.body);
    assert_eq!(told.body["field"], "attributes.teir");
    let told =
        world.ask(&world.admin, "POST", "/v1/users", &json!({ "id": "ana", "attributes": { "x": 1 } }));
    assert_eq!((told.status, told.body["field"].as_str()), (400, Some("attributes.x")), "{}", told.body);
    world.done("POST", "/v1/users", &json!({ "id": "ana" }));
    world.bind("user", "ana", "operator", "acme");
    let key = world.key("user", "ana");
    let ask = |world: &World, scope: &str| {
        let thing = json!({ "kind": "server", "id": "s" });
        let body = json!({ "action": { "name": "read" }, "resource": thing, "scope": scope });
        world.ask(&key, "POST", "/v1/authorize", &body)
    };
    assert_eq!(ask(&world, "acme/web/prod").body["decision"], "allow");
    assert_ne!(ask(&world, "acme/web/box").body["decision"], "allow");
    // Stored by an older version, say, that had another name for it.
    world.kill();
    let db = rusqlite::Connection::open(world.folder.join("store/policyd.db")).expect("a database");
    let damage = "UPDATE objects SET body = replace(body, 'tier', 'teir') WHERE kind = 'resource'";
    assert_eq!(db.execute(damage, []).expect("it can be written"), 1);
    drop(db);
    world.start();
    for scope in ["acme/web/prod", "acme/web/box"] {
        let told = ask(&world, scope);
        assert_eq!(told.body["decision"], "deny", "{scope}: {} {}", told.status, told.body);
    }
}

#[test]
fn a_batch_is_recorded_under_each_account_it_is_about() {
    let world = World::furnished();
    world.bind("service_account", "gate", "operator", "acme");
    let (gate, ci, ben) =
        (world.key("service_account", "gate"), world.key("service_account", "ci"), world.key("user", "ben"));
    let question = |kind: &str, id: &str| {
        json!({
            "account": { "kind": kind, "id": id }, "action": { "name": "read" },
            "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play",
        })
    };
    let body = json!({ "requests": [question("service_account", "ci"), question("user", "ben")] });
    let told = world.ask(&gate, "POST", "/v1/authorize/batch", &body);
    assert_eq!(told.status, 200, "{}", told.body);
    let event = |n: usize| told.body["answers"][n]["event"].as_str().expect("an event").to_owned();
    let read = |key: &str, event: &str| {
        world.ask(key, "GET", &format!("/v1/audit/events/{event}"), &Value::Null).status
    };
    assert_eq!((read(&ci, &event(0)), read(&ben, &event(0))), (200, 404));
    assert_eq!((read(&ci, &event(1)), read(&ben, &event(1))), (404, 200));
    let log = world.ask(&world.admin, "GET", "/v1/audit/decisions", &Value::Null);
    let items = log.body["items"].as_array().expect("records").clone();
    let decided = items.iter().map(|r| &r["record"]).find(|r| r["body"]["decided"].is_object());
    let record = decided.expect("a record of the batch");
    assert!(record["account"].is_null() && record["asked_by"]["id"]["plain"] == "gate", "{record}");
    let decisions = &record["body"]["decided"]["decisions"];
    assert_eq!(decisions[0]["account"]["id"]["plain"], "ci", "{record}");
    assert_eq!(decisions[1]["account"]["kind"], "user", "{record}");
}

#[test]
fn who_owns_something_is_who_was_meant() {
    let world = World::furnished();
    let ana = world.ask(&world.admin, "GET", "/v1/users/ana", &Value::Null).body["uid"].clone();
    let uid = ana.as_str().expect("a uid");
    let told = world.ask(&world.admin, "POST", "/v1/users", &json!({ "id": uid }));
    assert_eq!((told.status, told.body["field"].as_str()), (400, Some("id")), "{}", told.body);
    // Given by uid, it is written down, and read by rules, by name.
    let by_uid = json!({ "owner": { "kind": "user", "id": uid } });
    let told = cond(&world, "PATCH", "/v1/service-accounts/ci", &by_uid);
    assert_eq!(told.status, 200, "{}", told.body);
    assert_eq!(told.body["owner"]["id"], "ana");
    let (ana, ben) = (world.key("user", "ana"), world.key("user", "ben"));
    let disable = |key: &str| world.ask(key, "POST", "/v1/service-accounts/ci/disable", &json!({})).status;
    assert_eq!((disable(&ben), disable(&ana)), (404, 200));
    world.done("POST", "/v1/service-accounts/ci/enable", &json!({}));
    // A group of the same name is another group.
    let team = |who: &str| {
        world.done("POST", "/v1/groups", &json!({ "id": "ops" }));
        let member = json!({ "kind": "user", "id": who });
        world.done("POST", "/v1/memberships", &json!({ "group": "ops", "member": member }));
    };
    team("ana");
    let to_ops = json!({ "owner": { "kind": "group", "id": "ops" } });
    assert_eq!(cond(&world, "PATCH", "/v1/service-accounts/ci", &to_ops).status, 200);
    assert_eq!(disable(&ana), 200);
    world.done("POST", "/v1/service-accounts/ci/enable", &json!({}));
    let told = cond(&world, "DELETE", "/v1/groups/ops", &Value::Null);
    assert_eq!(told.status, 200, "{}", told.body);
    team("ben");
    assert_eq!(disable(&ben), 404);
    let ci = world.key("service_account", "ci");
    assert_eq!(world.ask(&ci, "GET", "/v1/me", &Value::Null).status, 200, "it goes on without an owner");
}
