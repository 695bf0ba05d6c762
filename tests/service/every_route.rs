//! Enumeration: on every route of the OpenAPI document, what is there and what isn't look alike to who may see neither.

use crate::world::{Told, World};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Status, headers and length, without what differs for every request.
fn shape(told: &Told) -> (u16, Vec<String>, usize) {
    let own = |name: &str| name == "date" || name == "policyd-request";
    let mut headers: Vec<String> =
        told.headers.iter().filter(|(n, _)| !own(n)).map(|(n, v)| format!("{n}: {v}")).collect();
    headers.sort();
    (told.status, headers, told.length)
}

/// A value that fits a schema.
fn fitting(schema: &Value) -> Value {
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    match schema["type"].as_str() {
        Some("string") if schema["enum"].is_array() => schema["enum"][0].clone(),
        Some("string") if schema["format"] == "date-time" => json!("2030-01-01T00:00:00Z"),
        Some("string") if pattern.contains("/") => json!("acme"),
        Some("string") => json!("x"),
        Some("integer") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten();
            let named = required.filter_map(Value::as_str);
            named.map(|name| (name.to_owned(), fitting(&schema["properties"][name]))).collect()
        }
        _ => Value::Null,
    }
}

/// One of everything that has an id; by collection.
fn one_of_each(world: &World) -> HashMap<String, String> {
    let made = |path: &str, body: Value| world.done("POST", path, &body);
    let user = |id: &str| json!({ "kind": "user", "id": id });
    made("/v1/groups", json!({ "id": "team" }));
    made("/v1/memberships", json!({ "group": "team", "member": user("ana") }));
    made("/v1/links", json!({ "agent": "helper", "for": user("ana") }));
    made("/v1/resources", json!({ "kind": "server", "id": "vault", "scope": "acme/web/prod" }));
    let attached = json!({ "boundary": "read_only", "to": user("ana") });
    made("/v1/attachments", attached);
    world.key("service_account", "ci");
    let list = |collection: &str| {
        let told = world.ask(&world.admin, "GET", &format!("/v1/{collection}"), &Value::Null);
        let items = told.body["items"].as_array().cloned().unwrap_or_default();
        // Not of the one who asks: that he may see.
        items.into_iter().find(|i| !i.to_string().contains("\"ben\""))
    };
    let all = [
        "organization",
        "projects",
        "environments",
        "users",
        "service-accounts",
        "agents",
        "groups",
        "memberships",
        "bindings",
        "attachments",
        "links",
        "resources",
        "credentials",
        "policy-sets",
    ];
    let found = all.iter().filter_map(|c| Some(((*c).to_owned(), list(c)?["uid"].as_str()?.to_owned())));
    let found: HashMap<String, String> = found.collect();
    assert_eq!(found.len(), all.len(), "one of each: {found:?}");
    found
}

#[test]
fn nothing_is_told_apart_on_any_route() {
    let world = World::furnished();
    let real = one_of_each(&world);
    let event = {
        let ci = json!({ "kind": "service_account", "id": "ci" });
        let body = json!({ "account": ci, "action": { "name": "read" }, "resource": { "kind": "server", "id": "s" }, "scope": "acme" });
        world.done("POST", "/v1/authorize", &body)["event"].as_str().expect("an event").to_owned()
    };
    let nobody = world.key("user", "ben");
    let document = world.ask(&world.admin, "GET", "/v1/openapi.json", &Value::Null).body;
    let (mut compared, mut kinds) = (0, Vec::new());
    for (path, methods) in
        document["paths"].as_object().expect("paths").iter().filter(|(p, _)| p.contains("{id}"))
    {
        let collection = path.split('/').nth(2).expect("a collection");
        let there = match collection {
            "audit" => event.clone(),
            // An organization of its own, and another: only the installation knows either.
            "organizations" => "acme".to_owned(),
            _ => real[collection].clone(),
        };
        let absent = match there.split_once('_') {
            Some((prefix, rest)) => format!("{prefix}_{}", "0".repeat(rest.len())),
            None => "none".to_owned(),
        };
        for (method, operation) in methods.as_object().expect("methods") {
            let body = fitting(&operation["requestBody"]["content"]["application/json"]["schema"]);
            for headers in [&[][..], &[("if-match", "\"1\"")]] {
                let ask = |id: &str| {
                    let path = path.replace("{id}", id);
                    world.ask_with(&nobody, &method.to_uppercase(), &path, headers, &body)
                };
                let (there, absent) = (ask(&there), ask(&absent));
                assert_eq!(there.status, 404, "{method} {path}: {}", there.body);
                assert_eq!(shape(&there), shape(&absent), "{method} {path}: {} {}", there.body, absent.body);
                compared += 1;
            }
        }
        kinds.push(collection.to_owned());
    }
    kinds.sort();
    kinds.dedup();
    assert!(compared > 80 && kinds.len() == 16, "{compared} {kinds:?}");
}

#[test]
fn every_object_has_a_tag_and_is_changed_only_by_who_has_read_it() {
    let world = World::furnished();
    let real = one_of_each(&world);
    let document = world.ask(&world.admin, "GET", "/v1/openapi.json", &Value::Null).body;
    let mut conditional = 0;
    for (collection, uid) in &real {
        let path = format!("/v1/{collection}/{uid}");
        let told = world.ask(&world.admin, "GET", &path, &Value::Null);
        let tag = told.headers.iter().find(|(n, _)| n == "etag").map(|(_, v)| v.as_str());
        assert_eq!(
            tag,
            Some(format!("\"{}\"", told.body["revision"]).as_str()),
            "{path}: {:?}",
            told.headers
        );
        let methods = &document["paths"][format!("/v1/{collection}/{{id}}")];
        for method in ["patch", "delete"].into_iter().filter(|m| methods[*m].is_object()) {
            let body = fitting(&methods[method]["requestBody"]["content"]["application/json"]["schema"]);
            let ask = |headers: &[(&str, &str)]| {
                world.ask_with(&world.admin, &method.to_uppercase(), &path, headers, &body)
            };
            let told = ask(&[]);
            assert_eq!(told.status, 428, "{method} {path}: {}", told.body);
            assert_eq!(ask(&[("if-match", "\"999999\"")]).status, 412, "{method} {path}");
            conditional += 1;
        }
    }
    assert!(conditional > 12, "{conditional}");
}

#[test]
fn names_in_a_body_are_not_told_apart_either() {
    let world = World::furnished();
    one_of_each(&world);
    let nobody = world.key("user", "ben");
    let ask = |path: &str, body: Value| world.ask(&nobody, "POST", path, &body);
    let user = |id: &str| json!({ "kind": "user", "id": id });
    let machine = |id: &str| json!({ "kind": "service_account", "id": id });
    for (path, there, absent) in [
        ("/v1/users", json!({ "id": "ana" }), json!({ "id": "zzz" })),
        ("/v1/groups", json!({ "id": "team" }), json!({ "id": "tzzz" })),
        ("/v1/projects", json!({ "id": "web" }), json!({ "id": "zzz" })),
        ("/v1/credentials", json!({ "account": machine("ci") }), json!({ "account": machine("zz") })),
        ("/v1/credentials:revoke", json!({ "account": machine("ci") }), json!({ "account": machine("zz") })),
        (
            "/v1/links",
            json!({ "agent": "helper", "for": user("ana") }),
            json!({ "agent": "helped", "for": user("zzz") }),
        ),
        (
            "/v1/memberships",
            json!({ "group": "team", "member": user("ana") }),
            json!({ "group": "zzzz", "member": user("zzz") }),
        ),
        (
            "/v1/bindings",
            json!({ "holder": user("ana"), "role": "operator", "scope": "acme/web" }),
            json!({ "holder": user("zzz"), "role": "operator", "scope": "acme/zzz" }),
        ),
        (
            "/v1/resources",
            json!({ "kind": "server", "id": "vault", "scope": "acme/web/prod" }),
            json!({ "kind": "server", "id": "zzzzz", "scope": "acme/web/zzzz" }),
        ),
    ] {
        let (there, absent) = (ask(path, there), ask(path, absent));
        assert_eq!(shape(&there), shape(&absent), "{path}: {} {}", there.body, absent.body);
        assert!(there.status == 404 || there.body["revoked"] == json!([]), "{path}: {}", there.body);
    }
}

#[test]
fn without_a_live_key_every_route_is_the_same_answer() {
    let world = World::furnished();
    let document = world.ask(&world.admin, "GET", "/v1/openapi.json", &Value::Null).body;
    let mut shapes = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            let told = world.ask("", &method.to_uppercase(), &path.replace("{id}", "x"), &json!({ "a": 1 }));
            shapes.push((told.status, shape(&told)));
        }
    }
    let nothing = world.ask("", "POST", "/v1/there-is-no-such-route", &Value::Null);
    shapes.push((401, shape(&nothing)));
    assert!(shapes.len() > 70 && shapes.iter().all(|(status, _)| *status == 401), "{}", shapes.len());
    shapes.dedup();
    assert_eq!(shapes.len(), 1, "{shapes:?}");
}
