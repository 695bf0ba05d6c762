//! What a review found, held for good: headers, ceilings, roles of ours, enabling, keys in bulk, secrets.

use crate::world::World;
use serde_json::{Value, json};
use std::io::{Read, Write};

fn mint(world: &World, kind: &str, id: &str, more: &Value) -> Value {
    let mut body = json!({ "account": { "kind": kind, "id": id } });
    for (name, value) in more.as_object().expect("fields") {
        body[name.as_str()] = value.clone();
    }
    world.done("POST", "/v1/credentials", &body)
}

/// The status of a request with these lines of header, byte for byte.
fn sent(world: &World, key: &str, path: &str, lines: &[&[u8]], body: &str) -> String {
    let mut stream = std::net::TcpStream::connect(&world.address).expect("a connection");
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\nContent-Length: {}\r\n",
        body.len()
    )
    .into_bytes();
    for line in lines {
        head.extend_from_slice(line);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(body.as_bytes());
    stream.write_all(&head).expect("sent");
    let mut told = String::new();
    stream.read_to_string(&mut told).expect("an answer");
    told
}

#[test]
fn a_header_that_can_not_be_read_is_never_an_absent_one() {
    let world = World::furnished();
    world.bind("service_account", "gate", "operator", "acme");
    let gate = world.key("service_account", "gate");
    let body = json!({ "action": { "name": "read" }, "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play" });
    let body = body.to_string();
    let ask = |lines: &[&[u8]]| sent(&world, &gate, "/v1/authorize", lines, &body);
    assert!(ask(&[]).contains("\"allow\""), "the gate itself may");
    for lines in [
        &[b"Policyd-Client-Key: \xe9garbage".as_slice()][..],
        &[b"Policyd-Client-Key: a".as_slice(), b"Policyd-Client-Key: b"],
        &[b"Policyd-Client-Ip: \xe9".as_slice()],
        &[b"Policyd-Client-Ip: 1.1.1.1".as_slice(), b"Policyd-Client-Ip: 2.2.2.2"],
        &[b"If-Match: \xe9".as_slice()],
        &[b"Idempotency-Key: \xe9".as_slice()],
        &[b"Idempotency-Key: a".as_slice(), b"Idempotency-Key: b"],
    ] {
        let told = ask(lines);
        assert!(told.starts_with("HTTP/1.1 400"), "{lines:?}: {told}");
    }
}

#[test]
fn what_bounds_a_key_binds_before_a_set_is_active() {
    let world = World::bare();
    for more in [json!({ "policy": "allow read on project" }), json!({ "boundaries": ["policyd_off"] })] {
        let minted = mint(&world, "user", "ada", &more);
        let key = minted["token"].as_str().expect("a token");
        let told = world.ask(key, "POST", "/v1/projects", &json!({ "id": "evil" }));
        assert!([403, 404].contains(&told.status), "{more}: {} {}", told.status, told.body);
    }
    world.done("POST", "/v1/projects", &json!({ "id": "good" }));
}

#[test]
fn enabling_takes_the_right_to_grant() {
    let world = World::furnished();
    world.bind("user", "ben", "policyd/admin", "acme");
    let ben = world.key("user", "ben");
    world.done("POST", "/v1/users/ana/disable", &json!({}));
    let told = world.ask(&ben, "POST", "/v1/users/ana/enable", &json!({}));
    assert_eq!(told.status, 403, "{}", told.body);
    world.done("POST", "/v1/users/ana/enable", &json!({}));
}

#[test]
fn a_role_of_an_organization_can_not_include_ours() {
    let world = World::furnished();
    let text = "role superv \"superv\" includes policyd_owner { allow read on user }";
    let files = json!({ "files": [{ "name": "own.pol", "text": text }] });
    let made = world.ask(&world.admin, "POST", "/v1/policy-sets", &files);
    let told = match made.body["uid"].as_str() {
        None => made,
        Some(uid) => world.ask(&world.admin, "POST", &format!("/v1/policy-sets/{uid}/activate"), &json!({})),
    };
    assert!([400, 409, 422].contains(&told.status), "{} {}", told.status, told.body);
    assert!(told.body.to_string().contains("can't include"), "{}", told.body);
}

#[test]
fn revoking_in_bulk_tells_nothing_to_who_may_not_revoke() {
    let world = World::furnished();
    let ben = world.key("user", "ben");
    let id = mint(&world, "user", "ana", &json!({}))["key_id"].clone();
    let ask = |body: Value| {
        let told = world.ask(&ben, "POST", "/v1/credentials:revoke", &body);
        (told.status, told.body["revoked"].clone())
    };
    for field in ["account", "owner"] {
        let of = |id: &str| ask(json!({ field: { "kind": "user", "id": id } }));
        assert_eq!(of("ghost"), of("ana"), "{field}");
        assert_eq!(of("ghost").0, 404);
    }
    assert!(id.is_string());
    assert_eq!(ask(json!({ "leaked": [id] })), ask(json!({ "leaked": ["0000000000000000"] })));
}

#[test]
fn secrets_are_neither_logged_with_a_path_nor_shown() {
    let world = World::furnished();
    let minted = mint(&world, "service_account", "ci", &json!({}));
    let token = minted["token"].as_str().expect("a token");
    for path in [format!("credentials/{token}/revoke"), format!("credentials/x/{token}"), token.to_owned()] {
        world.ask(&world.admin, "POST", &format!("/v1/{path}"), &json!({}));
    }
    world.ask(&world.admin, "POST", "/v1/users/ana/disable", &json!({}));
    assert!(!world.log().contains(token), "a token is in the log");
    // Lines about requests are written together, a little later.
    let logged = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        world.log().contains("/v1/users/{}/disable")
    });
    assert!(logged, "the shape is logged");
    assert!(!world.log().contains(token), "a token is in the log");
    let uid = minted["uid"].as_str().expect("a uid");
    let body = json!({ "overlap": 60 });
    let rotated = world.ask(&world.admin, "POST", &format!("/v1/credentials/{uid}/rotate"), &body);
    assert!(rotated.status < 300, "{}", rotated.body);
    let shown = world.ask(&world.admin, "GET", &format!("/v1/credentials/{uid}"), &Value::Null);
    for text in [rotated.body.to_string(), shown.body.to_string()] {
        assert!(!text.contains("old_mac") && !text.contains("old_pepper"), "{text}");
    }
    assert!(shown.body.to_string().contains("old_key_id"), "it has an old key: {}", shown.body);
}

#[test]
fn taking_away_a_role_that_a_rule_reads_takes_the_right_to_grant() {
    let world = World::furnished();
    let rules = crate::world::RULES.replace(
        "policy house {",
        "role suspended { allow read on server }\npolicy house {\n  out: deny user to write on server when account has role suspended",
    );
    world.activate(&rules);
    world.bind("user", "ben", "policyd/admin", "acme");
    let ben = world.key("user", "ben");
    for (role, status) in [("suspended", 403), ("reader", 200)] {
        let body = json!({ "holder": { "kind": "user", "id": "ana" }, "role": role, "scope": "acme" });
        let bound = world.done("POST", "/v1/bindings", &body);
        let tag = bound["revision"].to_string();
        let path = format!("/v1/bindings/{}", bound["uid"].as_str().expect("a uid"));
        let told = world.ask_with(&ben, "DELETE", &path, &[("if-match", &tag)], &Value::Null);
        assert_eq!(told.status, status, "{role}: {}", told.body);
    }
}

#[test]
fn an_account_kind_called_like_a_file_of_ours_takes_nothing_of_ours_away() {
    let world = World::bare();
    world.done("POST", "/v1/users", &json!({ "id": "zoe" }));
    for name in ["boundaries", "roles", "policies", "actions", "places"] {
        let text = format!(
            "account {name} {{ x: String? }}\nboundary policyd_off \"mine\" {{ allow do anything on anything }}\n"
        );
        let files = json!({ "files": [{ "name": "own.pol", "text": text }] });
        let told = world.ask(&world.admin, "POST", "/v1/policy-sets", &files);
        assert_eq!(told.status, 422, "{name}: ours is there, so that theirs is one too many: {}", told.body);
    }
    world.activate("account boundaries { x: String? }\n");
    world.done("POST", "/v1/users/zoe/disable", &Value::Null);
    world.done("POST", "/v1/users", &json!({ "id": "max" }));
}
