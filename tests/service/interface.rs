//! What the interface promises to its callers.

use crate::world::World;
use serde_json::{Value, json};

#[test]
fn changes_are_conditional() {
    let world = World::furnished();
    let path = "/v1/users/ana";
    let read = world.ask(&world.admin, "GET", path, &Value::Null);
    let etag = read.headers.iter().find(|(n, _)| n == "etag").map(|(_, v)| v.clone()).expect("an ETag");
    let patch = |headers: &[(&str, &str)], title: &str| {
        world.ask_with(&world.admin, "PATCH", path, headers, &json!({ "title": title }))
    };
    assert_eq!(patch(&[], "a").status, 428);
    assert_eq!(patch(&[("if-match", "\"9999\"")], "a").status, 412);
    assert_eq!(patch(&[("if-match", "soon")], "a").status, 400);
    let done = patch(&[("if-match", &etag)], "a");
    assert_eq!((done.status, done.body["title"].as_str()), (200, Some("a")));
    assert_eq!(patch(&[("if-match", &etag)], "b").status, 412, "it was changed since");
    assert_eq!(world.ask_with(&world.admin, "DELETE", path, &[], &json!({})).status, 428);
}

#[test]
fn a_repeated_request_is_done_once_and_shows_no_secret_again() {
    let world = World::furnished();
    let body = json!({ "account": { "kind": "service_account", "id": "ci" } });
    let mint = |body: &Value| {
        world.ask_with(&world.admin, "POST", "/v1/credentials", &[("idempotency-key", "one")], body)
    };
    let (first, second) = (mint(&body), mint(&body));
    assert!(first.body["token"].is_string());
    assert_eq!((second.status, &second.body["uid"]), (201, &first.body["uid"]));
    assert!(second.body["token"].is_null() && second.body["replayed"].is_string(), "{}", second.body);
    let other = json!({ "account": { "kind": "service_account", "id": "gate" } });
    assert_eq!(mint(&other).status, 409, "the same key for another request");
    let ben = world.key("user", "ben");
    let told = world.ask_with(&ben, "POST", "/v1/credentials", &[("idempotency-key", "one")], &body);
    assert_eq!(told.status, 404, "another caller's key is his own");
}

#[test]
fn lists_come_in_pages_of_the_caller() {
    let world = World::furnished();
    for n in 0..7 {
        world.done("POST", "/v1/users", &json!({ "id": format!("u{n}") }));
    }
    let page = |query: &str| world.ask(&world.admin, "GET", &format!("/v1/users?{query}"), &Value::Null);
    let (mut seen, mut query) = (Vec::new(), "limit=3".to_owned());
    loop {
        let told = page(&query);
        let items = told.body["items"].as_array().unwrap().clone();
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(|i| i["id"].as_str().unwrap().to_owned()));
        match told.body["next"].as_str() {
            Some(next) => query = format!("limit=3&cursor={next}"),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, ["ada", "ana", "ben", "u0", "u1", "u2", "u3", "u4", "u5", "u6"]);
    let cursor = page("limit=3").body["next"].as_str().unwrap().to_owned();
    assert_eq!(page(&format!("cursor={cursor}x")).status, 400);
    assert_eq!(page(&format!("cursor={cursor}&status=active")).status, 400, "bound to its filters");
    let ben = world.key("user", "ben");
    assert_eq!(
        world.ask(&ben, "GET", &format!("/v1/users?cursor={cursor}"), &Value::Null).status,
        400,
        "and to its caller"
    );
    assert_eq!(page("limit=501").status, 400);
    let told = page("statu=active");
    assert!(told.body["detail"].as_str().unwrap().contains("did you mean `status`"), "{}", told.body);
    assert_eq!(page("id=u3").body["items"].as_array().unwrap().len(), 1);
    let own: Vec<Value> =
        world.ask(&ben, "GET", "/v1/users", &Value::Null).body["items"].as_array().unwrap().clone();
    assert_eq!(own.len(), 1, "who may read nobody else sees himself");
}

#[test]
fn batches_answer_each_and_record_one() {
    let world = World::furnished();
    let gate = world.key("service_account", "gate");
    let one = |id: &str, scope: &str| {
        json!({ "account": { "kind": "service_account", "id": id }, "action": { "name": "read" },
        "resource": { "kind": "server", "id": "s" }, "scope": scope })
    };
    let mut requests: Vec<Value> = (0..48).map(|_| one("ci", "acme/web/play")).collect();
    requests.push(one("ci", "acme/web/prod"));
    requests.push(json!({ "action": { "name": "raed" } }));
    let told = world.ask(&gate, "POST", "/v1/authorize/batch", &json!({ "requests": requests }));
    let answers = told.body["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 50);
    assert_eq!(
        (answers[0]["decision"].as_str(), answers[48]["decision"].as_str()),
        (Some("allow"), Some("deny"))
    );
    assert!(answers[49]["error"].is_object());
    let log = world.ask(&world.admin, "GET", "/v1/audit/decisions", &Value::Null);
    let decided = log.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["record"]["body"]["decided"].is_object())
        .count();
    assert_eq!(decided, 1, "one record for the batch");
    // Its events can be read by who may read the log, and reduced by who was decided about.
    let event = answers[48]["event"].as_str().unwrap();
    let whole = world.ask(&world.admin, "GET", &format!("/v1/audit/events/{event}"), &Value::Null);
    assert_eq!(whole.body["record"]["account"]["id"]["plain"], "ci", "{}", whole.body);
    let ci = world.key("service_account", "ci");
    let reduced = world.ask(&ci, "GET", &format!("/v1/audit/events/{event}"), &Value::Null);
    assert_eq!((reduced.body["allowed"].as_bool(), reduced.body["rule"].is_null()), (Some(false), true));
    let ben = world.key("user", "ben");
    assert_eq!(world.ask(&ben, "GET", &format!("/v1/audit/events/{event}"), &Value::Null).status, 404);
}

#[test]
fn the_openapi_document_is_true() {
    let world = World::furnished();
    let document = world.ask(&world.admin, "GET", "/v1/openapi.json", &Value::Null).body;
    assert_eq!(document["openapi"], "3.1.0");
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let real = path.replace("{id}", "nothing");
            // Whatever it is, it is there: a body with a field that isn't in the schema says so, an id that isn't there
            // is absent; a route that isn't served would be absent without an id in it, too.
            let body = if schema["properties"].is_object() { json!({ "zzzz": 1 }) } else { Value::Null };
            let told =
                world.ask_with(&world.admin, &method.to_uppercase(), &real, &[("if-match", "\"1\"")], &body);
            if schema["properties"].is_object() {
                assert_eq!(
                    (told.status, told.body["field"].as_str()),
                    (400, Some("zzzz")),
                    "{method} {path}: {}",
                    told.body
                );
                let properties: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
                let required = schema["required"].as_array().unwrap();
                assert!(required.iter().all(|r| properties.iter().any(|p| *p == r)), "{path}");
                if let Some(first) = required.first() {
                    let told = world.ask_with(
                        &world.admin,
                        &method.to_uppercase(),
                        &real,
                        &[("if-match", "\"1\"")],
                        &json!({}),
                    );
                    assert_eq!(
                        (told.status, &told.body["field"]),
                        (400, first),
                        "{method} {path}: {}",
                        told.body
                    );
                }
            } else if path.contains("{id}") {
                assert_eq!(told.status, 404, "{method} {path}: {}", told.body);
            } else {
                assert_ne!(told.status, 404, "{method} {path}: {}", told.body);
            }
            // What it may answer is written down, and what is pointed at is there.
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.contains_key(&told.status.to_string()), "{method} {path}: {}", told.status);
            for wanted in ["401", "404", "412", "429", "503"] {
                assert!(answers.contains_key(wanted), "{method} {path}: {wanted}");
            }
            let conditional = operation["parameters"].to_string().contains("If-Match");
            assert_eq!(conditional, answers.contains_key("428"), "{method} {path}");
            tried += 1;
        }
    }
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    assert!(tried > 70, "{tried} operations");
    // And what isn't in it isn't served.
    for (method, path) in [
        ("PUT", "/v1/users/ana"),
        ("POST", "/v1/users/ana/promote"),
        ("GET", "/v2/users"),
        ("DELETE", "/v1/users"),
    ] {
        assert_eq!(world.ask(&world.admin, method, path, &json!({})).status, 404, "{method} {path}");
    }
}

#[test]
fn a_request_can_ask_for_a_service_that_has_a_change() {
    let world = World::furnished();
    let told = world.done("POST", "/v1/users", &json!({ "id": "zoe" }));
    let revision = told["revision"].as_i64().expect("every write answers its revision");
    let ask = |at_least: &str| {
        let headers = [("policyd-at-least", at_least)];
        world.ask_with(&world.admin, "GET", "/v1/users/zoe", &headers, &Value::Null)
    };
    assert_eq!(ask(&revision.to_string()).status, 200);
    assert_eq!(ask("soon").status, 400);
    let told = ask(&(revision + 1).to_string());
    assert_eq!((told.status, told.body["type"].as_str()), (412, Some("urn:policyd:problem:behind")));
    assert!(told.headers.iter().any(|(n, _)| n == "retry-after"), "{:?}", told.headers);
    // Who asks a little early waits, and then sees it. Keys count as well as the directory.
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| ask(&(revision + 1).to_string()).status);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let minted =
            world.done("POST", "/v1/credentials", &json!({ "account": { "kind": "user", "id": "zoe" } }));
        assert_eq!(minted["revision"].as_i64(), Some(revision + 1));
        assert_eq!(waiting.join().expect("an answer"), 200);
    });
    let (code, said) = world.command(&["users", "get", "zoe", "--at-least", "999999"]);
    assert!(code == 1 && said.contains("revision"), "{said}");
}

#[test]
fn lists_have_fifty_unless_told_and_never_more_than_five_hundred() {
    let world = World::furnished();
    for n in 0..60 {
        world.done("POST", "/v1/groups", &json!({ "id": format!("g{n}") }));
    }
    let page = |query: &str| world.ask(&world.admin, "GET", &format!("/v1/groups{query}"), &Value::Null);
    let first = page("");
    assert_eq!(first.body["items"].as_array().map(Vec::len), Some(50));
    let cursor = first.body["next"].as_str().expect("more").to_owned();
    assert_eq!(page(&format!("?cursor={cursor}")).body["items"].as_array().map(Vec::len), Some(10));
    assert_eq!(page("?limit=500").body["items"].as_array().map(Vec::len), Some(60));
    for limit in ["0", "501", "-1", "many"] {
        assert_eq!(page(&format!("?limit={limit}")).status, 400, "{limit}");
    }
    // A cursor of one list is none of another, and none for another key of the same person.
    let other = world.ask(&world.admin, "GET", &format!("/v1/users?cursor={cursor}"), &Value::Null);
    assert_eq!(other.status, 400);
    let second = world.key("user", "ada");
    let told = world.ask(&second, "GET", &format!("/v1/groups?cursor={cursor}"), &Value::Null);
    assert_eq!(told.status, 400);
}

#[test]
fn a_service_that_is_not_initialised_lives_and_says_so() {
    let mut world = World::bare();
    world.kill();
    std::fs::remove_file(world.folder.join("store/policyd.db")).expect("there was a database");
    for name in ["store/policyd.db-wal", "store/policyd.db-shm"] {
        std::fs::remove_file(world.folder.join(name)).ok();
    }
    world.start();
    assert_eq!(world.ask("", "GET", "/healthz", &Value::Null).status, 200);
    let told = world.ask("", "GET", "/readyz", &Value::Null);
    assert_eq!(told.status, 503);
    assert!(told.body["detail"].as_str().unwrap().contains("policyd init"));
}

#[test]
fn the_command_is_the_interface() {
    let world = World::furnished();
    let (code, said) = world.command(&["users", "get", "ana"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("id: ana"), "{said}");
    assert_eq!(world.command(&["users", "get", "nobody"]).0, 1);
    let (code, said) = world.command(&[
        "authorize",
        "--account",
        "user/ana",
        "--action",
        "read",
        "--resource",
        "server/s",
        "--scope",
        "acme",
    ]);
    assert_eq!((code, said.trim()), (3, "deny, by default"));
    let (code, said) =
        world.command(&["bindings", "create", "--holder", "user/ana", "--role", "raeder", "--scope", "acme"]);
    assert_eq!(code, 1);
    assert!(said.contains("did you mean `reader`"), "{said}");
    let (code, said) = world.command(&["users", "list", "--address", "http://192.0.2.1:1"]);
    assert_eq!(code, 2);
    assert!(said.contains("unencrypted"), "{said}");
    let (code, said) = world.command(&["service-accounts", "list", "--where", "home=acme/web/play"]);
    assert!(code == 0 && said.contains("ci") && !said.contains("gate"), "{said}");
}
