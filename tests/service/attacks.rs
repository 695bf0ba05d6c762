//! Ways in that must not be ones, a test each.

use crate::world::{RULES, World};
use serde_json::{Value, json};

/// Status, headers and length of an answer, without what differs for every request.
fn shape(told: &crate::world::Told) -> (u16, Vec<String>, usize) {
    let mut names: Vec<String> = told
        .headers
        .iter()
        .filter(|(n, _)| n != "date" && n != "policyd-request")
        .map(|(n, v)| format!("{n}: {v}"))
        .collect();
    names.sort();
    (told.status, names, told.length)
}

#[test]
fn absent_and_forbidden_are_one_answer_on_every_route() {
    let world = World::furnished();
    let nobody = world.key("user", "ben");
    let uid = |kind: &str| {
        let list = world.ask(&world.admin, "GET", &format!("/v1/{kind}"), &Value::Null);
        let bens = |item: &&Value| item["id"] == "ben" || item["account"]["id"] == "ben";
        let found = list.body["items"].as_array()?.iter().find(|item| !bens(item))?;
        found["uid"].as_str().map(str::to_owned)
    };
    let collections = [
        "projects",
        "environments",
        "users",
        "service-accounts",
        "agents",
        "groups",
        "bindings",
        "credentials",
        "policy-sets",
        "organization",
    ];
    world.done("POST", "/v1/groups", &json!({ "id": "team" }));
    let mut compared = 0;
    for collection in collections {
        let Some(real) = uid(collection) else { panic!("{collection} has something") };
        let missing = format!("{}_0000000000000000", real.split('_').next().unwrap());
        for (method, verb) in [
            ("GET", ""),
            ("DELETE", ""),
            ("PATCH", ""),
            ("POST", "/disable"),
            ("POST", "/enable"),
            ("POST", "/revoke"),
            ("POST", "/rotate"),
            ("POST", "/activate"),
            ("POST", "/test"),
            ("POST", "/diff"),
            ("POST", "/leave"),
        ] {
            let ask =
                |id: &str| world.ask(&nobody, method, &format!("/v1/{collection}/{id}{verb}"), &Value::Null);
            let (there, absent) = (ask(&real), ask(&missing));
            assert_eq!(
                shape(&there),
                shape(&absent),
                "{method} {collection}{verb}: {} {}",
                there.body,
                absent.body
            );
            compared += 1;
        }
    }
    assert!(compared > 80);
}

#[test]
fn without_a_live_key_every_route_is_401_and_alike() {
    let world = World::furnished();
    let good = world.key("user", "ben");
    let mut last_changed = good.clone();
    let swap = if last_changed.pop() == Some('0') { '1' } else { '0' };
    last_changed.push(swap);
    let stranger = "pdusr_0000000000000000_0000000000000000000000000000000000000000000000000000";
    let unknown = format!("{stranger}{}", checksum(stranger));
    let mut shapes = Vec::new();
    for key in ["", "x", &last_changed, &unknown, &good.to_uppercase(), &format!("{good}{good}")] {
        for path in ["/v1/users", "/v1/nothing", "/v1/users/ada", "/v1/authorize", "/v1/audit/changes"] {
            let told = world.ask(key, "GET", path, &Value::Null);
            assert_eq!(told.status, 401, "{key} {path}");
            shapes.push(shape(&told));
        }
    }
    shapes.dedup();
    assert_eq!(shapes.len(), 1, "{shapes:?}");
    // A key in the query or twice in the header is none.
    assert_eq!(
        world.ask("", "GET", &format!("/v1/me?key={good}&access_token={good}"), &Value::Null).status,
        401
    );
    let twice = [("authorization", "Bearer x")];
    assert_eq!(world.ask_with(&good, "GET", "/v1/me", &twice, &Value::Null).status, 401);
    assert_eq!(world.ask(&good, "GET", "/v1/me", &Value::Null).status, 200);
}

/// The checksum of a token, as the service makes it.
fn checksum(text: &str) -> String {
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    let alphabet = b"0123456789abcdefghjkmnpqrstvwxyz";
    let held = u64::from(!crc) << 3;
    (0..7).map(|n| alphabet[(held >> (30 - 5 * n) & 31) as usize] as char).collect()
}

#[test]
fn a_revoked_key_is_never_allowed_again() {
    let world = World::furnished();
    let gate = world.key("service_account", "gate");
    for round in 0..20 {
        let made = world.done(
            "POST",
            "/v1/credentials",
            &json!({ "account": { "kind": "service_account", "id": "ci" } }),
        );
        let (key, uid) =
            (made["token"].as_str().unwrap().to_owned(), made["uid"].as_str().unwrap().to_owned());
        assert_eq!(world.decide(&gate, &key, "read", "acme/web/play")["decision"], "allow");
        std::thread::scope(|threads| {
            let load: Vec<_> = (0..3)
                .map(|_| {
                    threads.spawn(|| {
                        for _ in 0..5 {
                            world.decide(&gate, &key, "read", "acme/web/play");
                        }
                    })
                })
                .collect();
            world.done("POST", &format!("/v1/credentials/{uid}/revoke"), &json!({}));
            // This decision starts after the revocation returned.
            assert_eq!(
                world.decide(&gate, &key, "read", "acme/web/play")["decision"],
                "deny",
                "round {round}"
            );
            load.into_iter().for_each(|t| t.join().expect("load"));
        });
        assert_eq!(world.ask(&key, "GET", "/v1/me", &Value::Null).status, 401);
    }
}

#[test]
fn rotation_and_switching_off_end_a_key() {
    let world = World::furnished();
    let gate = world.key("service_account", "gate");
    let made = world.done(
        "POST",
        "/v1/credentials",
        &json!({ "account": { "kind": "service_account", "id": "ci" }, "id": "k" }),
    );
    let first = made["token"].as_str().unwrap().to_owned();
    let decide = |key: &str| world.decide(&gate, key, "read", "acme/web/play")["decision"].clone();
    let second = world.done("POST", "/v1/credentials/k/rotate", &json!({ "overlap": 600 }))["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!((decide(&first), decide(&second)), (json!("allow"), json!("allow")));
    let third =
        world.done("POST", "/v1/credentials/k/rotate", &json!({}))["token"].as_str().unwrap().to_owned();
    assert_eq!(
        (decide(&first), decide(&second), decide(&third)),
        (json!("deny"), json!("deny"), json!("allow"))
    );
    world.done("POST", "/v1/credentials/k/disable", &json!({}));
    assert_eq!(decide(&third), "deny");
    world.done("POST", "/v1/credentials/k/enable", &json!({}));
    assert_eq!(decide(&third), "allow");
    world.done("POST", "/v1/service-accounts/ci/disable", &json!({}));
    assert_eq!(decide(&third), "deny", "the account is off");
    assert_eq!(world.ask(&third, "GET", "/v1/me", &Value::Null).status, 401);
    let named = json!({ "account": { "kind": "service_account", "id": "ci" }, "action": { "name": "read" },
        "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play" });
    assert_eq!(world.ask(&gate, "POST", "/v1/authorize", &named).body["decision"], "deny");
}

#[test]
fn a_forged_forwarded_for_does_not_pass_an_allow_list() {
    let world = World::with(&["--trusted-proxy", "10.9.9.9/32"]);
    world.furnish();
    let key = world.key_with("service_account", "gate", json!({ "networks": ["192.0.2.0/24"] }));
    let from = |header: &str| {
        world.ask_with(&key, "GET", "/v1/me", &[("x-forwarded-for", header)], &Value::Null).status
    };
    assert_eq!(from("192.0.2.7"), 401, "the peer is no proxy of ours");
    assert_eq!(from("192.0.2.7, 127.0.0.1"), 401);
    let behind = World::with(&["--trusted-proxy", "127.0.0.0/8"]);
    behind.furnish();
    let key = behind.key_with("service_account", "gate", json!({ "networks": ["192.0.2.0/24"] }));
    let from = |header: &str| {
        behind.ask_with(&key, "GET", "/v1/me", &[("x-forwarded-for", header)], &Value::Null).status
    };
    assert_eq!(from("192.0.2.7"), 200, "what the proxy saw");
    assert_eq!(from("192.0.2.7, 203.0.113.5"), 401, "the leftmost address is the client's own claim");
    assert_eq!(from("203.0.113.5, 192.0.2.7"), 200);
    assert_eq!((from("192.0.2.7:4711"), from("[2001:db8::1]")), (200, 401), "as proxies write them");
    // What can't be read is nobody's address, least of all the proxy's.
    for unread in ["192.0.2.7, nonsense", "192.0.2.7,", "unknown", "é, 192.0.2.7, é"] {
        assert_eq!(from(unread), 400, "{unread}");
    }
    assert_eq!(behind.ask(&key, "GET", "/v1/me", &Value::Null).status, 401);
}

#[test]
fn asking_supplying_and_asserting_are_rights() {
    let world = World::furnished();
    let (gate, ci) = (world.key("service_account", "gate"), world.key("service_account", "ci"));
    let ask = |key: &str, body: Value| world.ask(key, "POST", "/v1/authorize", &body);
    let about = |account: Value, more: Value| {
        let mut body = json!({ "action": { "name": "read" }, "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play" });
        if !account.is_null() {
            body["account"] = account;
        }
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let ana = json!({ "kind": "user", "id": "ana" });
    // About himself anybody asks; about others it is a right, and whether they exist isn't told.
    assert_eq!(ask(&ci, about(Value::Null, json!({}))).body["decision"], "allow");
    let refused = ask(&ci, about(ana.clone(), json!({})));
    let ghost = ask(&ci, about(json!({ "kind": "user", "id": "nobody" }), json!({})));
    assert_eq!((refused.status, shape(&refused)), (403, shape(&ghost)));
    let nowhere = ask(&ci, about(ana.clone(), json!({ "scope": "acme/web/secret" })));
    assert_eq!(
        shape(&nowhere),
        shape(&refused),
        "an unknown place is not told from one he may not ask about"
    );
    assert_eq!(ask(&gate, about(ana.clone(), json!({}))).status, 200);
    // Supplying.
    let mine = json!({ "resource": { "kind": "server", "id": "s", "attributes": { "owner": { "kind": "user", "id": "ana" } } } });
    assert_eq!(ask(&gate, about(ana.clone(), mine.clone())).status, 200);
    world.bind("service_account", "gate", "policyd/asker", "acme");
    let other = world.done(
        "POST",
        "/v1/service-accounts",
        &json!({ "id": "asker", "home": "acme", "purpose": "x", "owner": { "kind": "user", "id": "ada" } }),
    );
    assert_eq!(other["status"], "active");
    world.bind("service_account", "asker", "policyd/asker", "acme");
    let asker = world.key("service_account", "asker");
    assert_eq!(ask(&asker, about(ana.clone(), json!({}))).status, 200);
    assert_eq!(ask(&asker, about(ana.clone(), mine.clone())).status, 403, "supplied attributes are a right");
    assert_eq!(ask(&ci, about(Value::Null, mine)).status, 403);
    let acting = json!({ "acting_for": ana });
    let helper = json!({ "kind": "agent", "id": "helper" });
    assert_eq!(
        ask(&asker, about(helper.clone(), acting.clone())).status,
        403,
        "so is saying who stands behind"
    );
    assert_eq!(ask(&gate, about(helper, acting)).status, 200);
    // The server's clock and address count.
    let told = ask(
        &gate,
        about(
            json!({ "kind": "user", "id": "ana" }),
            json!({ "context": { "now": "2020-01-01T00:00:00Z" } }),
        ),
    );
    assert_eq!((told.status, told.body["field"].as_str()), (400, Some("context.now")));
    let told = ask(&gate, about(json!({ "kind": "user", "id": "ana" }), json!({ "credential": {} })));
    assert_eq!((told.status, told.body["field"].as_str()), (400, Some("credential")));
}

#[test]
fn a_stored_resource_stands_where_it_stands() {
    let world = World::furnished();
    let gate = world.key("service_account", "gate");
    world.done("POST", "/v1/resources", &json!({ "kind": "server", "id": "vault", "scope": "acme/web/prod", "attributes": { "secret": true } }));
    let body = |scope: Value| {
        json!({ "account": { "kind": "service_account", "id": "ci" }, "action": { "name": "write" },
        "resource": { "kind": "server", "id": "vault" }, "scope": scope })
    };
    let told = world.ask(&gate, "POST", "/v1/authorize", &body(json!("acme/web/play")));
    assert_eq!(told.status, 400, "{}", told.body);
    let told = world.ask(&gate, "POST", "/v1/authorize", &body(Value::Null));
    assert_eq!(told.body["decision"], "deny");
}

#[test]
fn links_need_consent_and_chains_end() {
    let world = World::furnished();
    let gate = world.key("service_account", "gate");
    world.bind("agent", "helper", "operator", "acme");
    world.bind("user", "ana", "operator", "acme/web/play");
    let ask = |agent: &str, behind: Value| {
        world.ask(&gate, "POST", "/v1/authorize", &json!({ "account": { "kind": "agent", "id": agent }, "acting_for": behind,
            "action": { "name": "read" }, "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play" }))
    };
    let ana = json!({ "kind": "user", "id": "ana" });
    assert_eq!(ask("helper", ana.clone()).body["decision"], "deny", "no link");
    // Somebody who may link, and isn't ana, links: without her consent it is nothing.
    world.bind("user", "ben", "policyd/admin", "acme");
    let (ben, ana_key) = (world.key("user", "ben"), world.key("user", "ana"));
    let made = world.ask(&ben, "POST", "/v1/links", &json!({ "agent": "helper", "for": ana }));
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(ask("helper", ana.clone()).body["decision"], "deny", "ana has not consented");
    let link = format!("/v1/links/{}", made.body["uid"].as_str().unwrap());
    assert_eq!(
        world.ask(&ben, "POST", &format!("{link}/consent"), &Value::Null).status,
        403,
        "ben can't consent for her"
    );
    assert_eq!(world.ask(&ana_key, "POST", &format!("{link}/consent"), &Value::Null).status, 200);
    assert_eq!(ask("helper", ana.clone()).body["decision"], "allow");
    // Cycles and endless chains are never allowed.
    world.done(
        "POST",
        "/v1/agents",
        &json!({ "id": "second", "home": "acme", "purpose": "x", "owner": { "kind": "user", "id": "ada" } }),
    );
    world.bind("agent", "second", "operator", "acme");
    for (agent, behind) in [("helper", "second"), ("second", "helper")] {
        world.done("POST", "/v1/links", &json!({ "agent": agent, "for": { "kind": "agent", "id": behind } }));
    }
    let circle =
        json!({ "kind": "agent", "id": "second", "acting_for": { "kind": "agent", "id": "helper" } });
    let told = ask("helper", circle);
    assert!(told.status == 400 || told.body["decision"] == "deny", "{}", told.body);
    let mut deep = ana.clone();
    for n in 0..12 {
        deep = json!({ "kind": "agent", "id": if n % 2 == 0 { "helper" } else { "second" }, "acting_for": deep });
    }
    assert_eq!(ask("helper", deep).status, 400);
    // A disabled person caps her agent to nothing.
    world.done("POST", "/v1/users/ana/disable", &json!({}));
    assert_eq!(ask("helper", ana).body["decision"], "deny");
}

#[test]
fn bodies_are_read_strictly() {
    let world = World::furnished();
    let post = |path: &str, text: &str| {
        world.raw(&world.admin, "POST", path, &[], text.as_bytes().to_vec()).unwrap()
    };
    let account = r#""account":{"kind":"service_account","id":"ci"}"#;
    let told = post("/v1/credentials", &format!("{{{account},\"expires_att\":\"2026-12-01T00:00:00Z\"}}"));
    assert_eq!((told.status, told.body["field"].as_str()), (400, Some("expires_att")));
    assert!(told.body["detail"].as_str().unwrap().contains("did you mean `expires_at`"), "{}", told.body);
    let twice = format!(
        "{{{account},\"policy\":\"deny do anything on anything\",\"policy\":\"allow do anything on anything\"}}"
    );
    assert_eq!(post("/v1/credentials", &twice).status, 400);
    let ask = r#"{"account":{"kind":"user","id":"ana"},"account":{"kind":"user","id":"ada"},"action":{"name":"read"},"resource":{"kind":"server","id":"s"},"scope":"acme"}"#;
    assert_eq!(post("/v1/authorize", ask).status, 400);
    assert_eq!(post("/v1/authorize", &"[".repeat(100_000)).status, 400);
    assert_eq!(
        post("/v1/users", &format!("{{\"id\":{}1{}}}", "[".repeat(50_000), "]".repeat(50_000))).status,
        400
    );
    let large = format!("{{\"id\":\"{}\"}}", "x".repeat(2_000_000)).into_bytes();
    // The answer may come before all is sent, and the connection ends with it.
    let told = world.raw(&world.admin, "POST", "/v1/users", &[], large);
    assert!(told.is_none_or(|t| t.status == 413));
    assert_eq!(
        world.raw(&world.admin, "POST", "/v1/users", &[], vec![b'{', 0xff, b'}']).unwrap().status,
        400
    );
    for id in ["", "a\nb", "a\u{0}b", "e\u{301}", &"x".repeat(257)] {
        assert_eq!(post("/v1/users", &json!({ "id": id }).to_string()).status, 400, "{id:?}");
    }
    // A record that would be too large is refused, and nothing is answered instead.
    let wide = json!({ "account": { "kind": "user", "id": "ana" }, "action": { "name": "read" }, "scope": "acme",
        "resource": { "kind": "server", "id": "s" }, "context": { "ip": "x".repeat(200_000) } });
    assert!(world.ask(&world.admin, "POST", "/v1/authorize", &wide).status >= 400);
}

#[test]
fn nobody_writes_lines_into_the_log() {
    let world = World::furnished();
    let evil = "/v1/users/%0A%7B%22level%22%3A%22ERROR%22%2C%22forged%22%3Atrue%7D";
    world.ask(&world.admin, "GET", evil, &Value::Null);
    world.ask_with(&world.admin, "GET", "/v1/me", &[("user-agent", "x\t{\"forged\":true}")], &Value::Null);
    let log = world.log();
    assert!(
        log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "every line is one JSON object:\n{log}"
    );
    assert!(!log.lines().any(|l| serde_json::from_str::<Value>(l).is_ok_and(|v| v["forged"] == true)));
}

#[test]
fn a_created_again_name_revives_nothing() {
    let world = World::furnished();
    let gate = world.key("service_account", "gate");
    let key = world.key("service_account", "ci");
    assert_eq!(world.decide(&gate, &key, "read", "acme/web/play")["decision"], "allow");
    let etag =
        world.ask(&world.admin, "GET", "/v1/service-accounts/ci", &Value::Null).body["revision"].to_string();
    let gone =
        world.ask_with(&world.admin, "DELETE", "/v1/service-accounts/ci", &[("if-match", &etag)], &json!({}));
    assert_eq!(gone.status, 200, "{}", gone.body);
    world.done("POST", "/v1/service-accounts", &json!({ "id": "ci", "home": "acme/web/play", "purpose": "x", "owner": { "kind": "user", "id": "ada" } }));
    assert_eq!(world.ask(&key, "GET", "/v1/me", &Value::Null).status, 401, "its key is gone");
    let fresh = world.key("service_account", "ci");
    assert_eq!(
        world.decide(&gate, &fresh, "read", "acme/web/play")["decision"],
        "deny",
        "so are its bindings"
    );
}

#[test]
fn a_deleted_user_does_not_come_back_respelt() {
    let world = World::furnished();
    for id in ["Ana", "ANA", " ana", "ana "] {
        let told = world.ask(&world.admin, "POST", "/v1/users", &json!({ "id": id }));
        assert!([400, 409].contains(&told.status), "{id:?}: {}", told.body);
    }
    let etag = world.ask(&world.admin, "GET", "/v1/users/ana", &Value::Null).body["revision"].to_string();
    world.ask_with(&world.admin, "DELETE", "/v1/users/ana", &[("if-match", &etag)], &json!({}));
    for id in ["Ana", "ana", "ANA"] {
        let told = world.ask(&world.admin, "POST", "/v1/users", &json!({ "id": id }));
        assert_eq!(told.status, 409, "a user ever known here stays who he was: {id:?}: {}", told.body);
    }
}

#[test]
fn an_activation_that_locks_everyone_out_is_refused() {
    let world = World::furnished();
    let locked = format!(
        "{RULES}\npolicy trap {{ shut: deny anyone to activate on organization because \"never again\" }}\n"
    );
    let made =
        world.done("POST", "/v1/policy-sets", &json!({ "files": [{ "name": "own.pol", "text": locked }] }));
    let told = world.ask(
        &world.admin,
        "POST",
        &format!("/v1/policy-sets/{}/activate", made["id"].as_str().unwrap()),
        &json!({}),
    );
    assert_eq!(
        (told.status, told.body["title"].as_str()),
        (422, Some("it would lock everyone out")),
        "{}",
        told.body
    );
    // A set can narrow what the interface allows, and can't widen it.
    let wide = format!(
        "{RULES}\npolicy wide {{ all: allow anyone to act_as, grant, activate, create_project on organization, user, service_account }}\n"
    );
    let checked = world.ask(
        &world.admin,
        "POST",
        "/v1/policy-sets:check",
        &json!({ "files": [{ "name": "own.pol", "text": wide }] }),
    );
    assert_eq!(checked.status, 200);
    world.activate(&wide);
    let ben = world.key("user", "ben");
    assert_eq!(world.ask(&ben, "POST", "/v1/projects", &json!({ "id": "mine" })).status, 404);
}

#[test]
fn one_organization_is_nothing_to_another() {
    let world = World::furnished();
    let made = world.ask(
        &world.installation,
        "POST",
        "/v1/organizations",
        &json!({ "id": "rival", "owner": "eve" }),
    );
    assert_eq!(made.status, 201, "{}", made.body);
    let eve = made.body["token"].as_str().unwrap().to_owned();
    assert_eq!(world.ask(&eve, "GET", "/v1/me", &Value::Null).body["organization"], "rival");
    for collection in ["users", "service-accounts", "credentials", "bindings", "environments"] {
        let theirs = world.ask(&world.admin, "GET", &format!("/v1/{collection}"), &Value::Null);
        for item in theirs.body["items"].as_array().unwrap() {
            let path = format!("/v1/{collection}/{}", item["uid"].as_str().unwrap());
            assert_eq!(world.ask(&eve, "GET", &path, &Value::Null).status, 404, "{path}");
        }
        let seen = world.ask(&eve, "GET", &format!("/v1/{collection}"), &Value::Null).body;
        for item in seen["items"].as_array().unwrap() {
            assert!(!theirs.body["items"].as_array().unwrap().contains(item));
        }
    }
    // A key of the installation reads no organization's content; a person of another is nobody's client here.
    for path in ["/v1/users", "/v1/audit/changes", "/v1/organization/acme"] {
        assert_eq!(world.ask(&world.installation, "GET", path, &Value::Null).status, 404, "{path}");
    }
    let gate = world.key("service_account", "gate");
    assert_eq!(world.decide(&gate, &eve, "read", "acme/web/play")["refused_by"], "credential");
    assert_eq!(
        world.ask(&eve, "POST", "/v1/organizations", &json!({ "id": "third", "owner": "eve" })).status,
        404
    );
}

#[test]
fn keys_are_in_no_log_and_no_store() {
    let world = World::furnished();
    let gate = world.key("service_account", "gate");
    let key = world.key_with("service_account", "ci", json!({ "policy": "allow read on server" }));
    world.decide(&gate, &key, "read", "acme/web/play");
    world.ask(&format!("{key}x"), "GET", "/v1/me", &Value::Null);
    let leaked = json!({ "leaked": [key] });
    let told = world.ask(&world.admin, "POST", "/v1/credentials:revoke", &leaked);
    assert_eq!(told.body["revoked"].as_array().map(Vec::len), Some(1), "{}", told.body);
    let hidden = |key: &str| key.rsplit('_').next().unwrap()[..40].to_owned();
    let mut files = vec![world.folder.clone()];
    let mut searched = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            continue;
        }
        if path.extension().is_some_and(|e| e == "key") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for secret in [&gate, &key] {
            let secret = hidden(secret);
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{} holds a secret", path.display());
        }
        searched += 1;
    }
    assert!(searched > 4);
}
