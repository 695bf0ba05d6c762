//! What leaves a record, and what a record never says in plain: refused calls, sessions of reading, people.

use crate::world::World;
use serde_json::{Value, json};

fn bodies(world: &World, log: &str, of: &str) -> Vec<Value> {
    let (mut all, mut from) = (Vec::new(), String::new());
    loop {
        let told = world.ask(&world.admin, "GET", &format!("/v1/audit/{log}?limit=500{from}"), &Value::Null);
        assert_eq!(told.status, 200, "{}", told.body);
        all.extend(told.body["items"].as_array().expect("items").clone());
        match told.body["next"].as_u64() {
            Some(next) => from = format!("&from={next}"),
            None => break,
        }
    }
    all.iter().map(|r| r["record"]["body"][of].clone()).filter(|b| !b.is_null()).collect()
}

#[test]
fn refused_calls_leave_a_record_and_a_flood_of_them_a_few() {
    let mut world = World::furnished();
    let key = world.key("service_account", "ci");
    let told = world.ask(&key, "POST", "/v1/groups", &json!({ "id": "mine" }));
    assert!(matches!(told.status, 403 | 404), "{}", told.body);
    let refused = bodies(&world, "decisions", "refused");
    let own: Vec<&Value> = refused.iter().filter(|r| r["action"] == "groups.created").collect();
    assert_eq!(own.len(), 1, "{refused:?}");
    assert_eq!(own[0]["status"], told.status);
    let before = refused.len();
    for n in 0..300 {
        world.ask(&key, "POST", "/v1/groups", &json!({ "id": format!("mine-{n}") }));
    }
    let refused = bodies(&world, "decisions", "refused");
    // The minute may have turned over once.
    assert!(refused.len() - before <= 2 * 60 + 2, "{}", refused.len());
    // The rest is written, counted, when the process ends or the minute is over.
    world.stop();
    world.start();
    let all = bodies(&world, "decisions", "refused");
    let mine = all.iter().filter(|r| r["action"] == "groups.created");
    assert_eq!(mine.map(|r| r["times"].as_u64().unwrap_or(1)).sum::<u64>(), 301, "none is lost");
}

#[test]
fn a_session_of_reading_is_one_record_and_each_proof_is_one() {
    let world = World::furnished();
    let read = |path: &str| {
        let told = world.ask(&world.admin, "GET", &format!("/v1/audit/{path}"), &Value::Null);
        assert_eq!(told.status, 200, "{path}: {}", told.body);
        told.body
    };
    let reads = |what: &str| bodies(&world, "decisions", "read").iter().filter(|r| r["what"] == what).count();
    let mut from = 0;
    for _ in 0..3 {
        let page = read(&format!(
            "changes?limit=2&kind=user{}",
            if from > 0 { format!("&from={from}") } else { String::new() }
        ));
        from = page["next"].as_u64().expect("another page");
    }
    assert_eq!(reads("search"), 1, "three pages, one session");
    // Beginning in the middle is a session of its own, and so is going on where nobody ended.
    read("changes?limit=2&kind=user&from=1");
    assert_eq!(reads("search"), 2);
    let (one, two) = (read("changes/proof?number=0"), read("changes/proof?number=1"));
    assert!(one["proof"].is_object() && two["proof"].is_object());
    assert_eq!(reads("prove"), 2);
}

#[test]
fn no_record_has_the_id_of_a_person_in_plain() {
    let world = World::bare();
    world.furnish();
    let id = "quentin.x@example.org";
    world.done("POST", "/v1/users", &json!({ "id": id }));
    let machine =
        json!({ "id": "qs", "home": "acme", "purpose": "a test", "owner": { "kind": "user", "id": id } });
    world.done("POST", "/v1/service-accounts", &machine);
    world.bind("user", id, "operator", "acme/web");
    world.done("POST", "/v1/groups", &json!({ "id": "people" }));
    world.done(
        "POST",
        "/v1/memberships",
        &json!({ "group": "people", "member": { "kind": "user", "id": id } }),
    );
    world.done("POST", "/v1/links", &json!({ "agent": "helper", "for": { "kind": "user", "id": id } }));
    let attributes = json!({ "owner": { "kind": "user", "id": id } });
    world.done(
        "POST",
        "/v1/resources",
        &json!({ "kind": "server", "id": "s1", "scope": "acme/web/play", "attributes": attributes }),
    );
    let key = world.key("user", id);
    let gate = world.key("service_account", "gate");
    let question = |account: Value| {
        json!({ "account": account, "action": { "name": "read" }, "scope": "acme/web/play",
        "resource": { "kind": "server", "id": "s", "attributes": { "owner": { "kind": "user", "id": id } } } })
    };
    let mut chained = question(json!({ "kind": "agent", "id": "helper" }));
    chained["acting_for"] = json!({ "kind": "user", "id": id });
    for (who, body) in [
        (&gate, question(json!({ "kind": "user", "id": id }))),
        (&gate, chained),
        (
            &key,
            json!({ "action": { "name": "read" }, "resource": { "kind": "server", "id": "s1" }, "scope": "acme/web/play" }),
        ),
    ] {
        let told = world.ask(who, "POST", "/v1/authorize", &body);
        assert_eq!(told.status, 200, "{}", told.body);
    }
    let uid = world
        .ask(&world.admin, "GET", &format!("/v1/users/{}", id.replace('@', "%40")), &Value::Null)
        .body["uid"]
        .clone();
    let path = format!("/v1/audit/decisions?limit=500&account={}", uid.as_str().expect("a uid"));
    let told = world.ask(&world.admin, "GET", &path, &Value::Null);
    let chains: Vec<&Value> =
        told.body["items"].as_array().expect("items").iter().map(|item| &item["record"]["chain"]).collect();
    assert_eq!(chains.len(), 3, "what he asked, what was asked about him, and what he stood behind");
    let behind: Vec<_> = chains.iter().filter_map(|chain| chain.get(0)).collect();
    assert!(matches!(behind[..], [only] if only["uid"] == uid && only["kind"] == "user"), "{behind:?}");
    world.ask(&key, "POST", "/v1/users", &json!({ "id": id }));
    world.done("POST", &format!("/v1/users/{}/leave", id.replace('@', "%40")), &json!({}));
    for log in ["changes", "decisions"] {
        let told = world.ask(&world.admin, "GET", &format!("/v1/audit/{log}?limit=500"), &Value::Null);
        let mut beside = false;
        for item in told.body["items"].as_array().expect("items") {
            assert!(!item["record"].to_string().contains("quentin"), "{log}: {}", item["record"]);
            beside |= item["personal"].to_string().contains("quentin");
        }
        assert!(beside, "{log}: the values stand beside the records");
    }
    // From the log of changes the whole directory can still be made again.
    let (code, said) = world.command(&["audit", "state", "--data", "store"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn bringing_a_key_along_is_not_using_it() {
    let world = World::furnished();
    let made = world.done("POST", "/v1/credentials", &json!({ "account": { "kind": "user", "id": "ana" } }));
    let (token, uid) = (made["token"].as_str().expect("a token"), made["uid"].as_str().expect("a uid"));
    let used = || world.done("GET", &format!("/v1/credentials/{uid}"), &Value::Null)["last_used"].clone();
    let plain = world.key("service_account", "ci");
    let body = json!({ "action": { "name": "read" }, "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play" });
    // Whoever may not ask about others gets no answer, and moves nothing.
    let told = world.ask_with(&plain, "POST", "/v1/authorize", &[("policyd-client-key", token)], &body);
    assert_eq!(told.status, 403, "{}", told.body);
    assert!(used().is_null(), "{}", used());
    let gate = world.key("service_account", "gate");
    world.decide(&gate, token, "read", "acme/web/play");
    assert!(!used().is_null());
}

#[test]
fn what_is_looked_for_is_found_with_an_index_and_without() {
    let mut world = World::furnished();
    let gate = world.key("service_account", "gate");
    let item = |id: &str| {
        json!({ "account": { "kind": "user", "id": id }, "action": { "name": "read" },
        "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play" })
    };
    let ask = |world: &World, id: &str| {
        let told = world.ask(&gate, "POST", "/v1/authorize", &item(id));
        assert_eq!(told.status, 200, "{}", told.body);
        told.body["event"].as_str().expect("an event").to_owned()
    };
    let first = ask(&world, "ben");
    (0..2_100).for_each(|_| drop(ask(&world, "ana")));
    let last = ask(&world, "ben");
    let search = |world: &World, filter: &str| {
        let (mut found, mut from, mut through) = (Vec::new(), String::new(), 0);
        loop {
            let told = world.ask(
                &world.admin,
                "GET",
                &format!("/v1/audit/decisions?limit=500&{filter}{from}"),
                &Value::Null,
            );
            assert_eq!(told.status, 200, "{}", told.body);
            found.extend(told.body["items"].as_array().expect("items").clone());
            through = through.max(told.body["indexed_through"].as_u64().expect("a number"));
            match told.body["next"].as_u64() {
                Some(next) => from = format!("&from={next}"),
                None => return (found, through),
            }
        }
    };
    let indexed = |world: &World| {
        (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            search(world, "account=ben").1 == 2_048
        })
    };
    assert!(indexed(&world), "two blocks of records are in the index");
    let check = |world: &World| {
        let (found, _) = search(world, "account=ben");
        let events: Vec<&Value> =
            found.iter().map(|r| &r["record"]["body"]["decided"]["decisions"][0]["event"]).collect();
        assert_eq!(events, [&json!(first), &json!(last)]);
        assert_eq!(search(world, "account=ana&below=acme/web").0.len(), 2_100);
        assert!(search(world, "account=nobody").0.is_empty());
        for event in [&first, &last] {
            let told = world.ask(&world.admin, "GET", &format!("/v1/audit/events/{event}"), &Value::Null);
            assert_eq!(told.status, 200, "{}", told.body);
        }
        assert_eq!(world.ask(&world.admin, "GET", "/v1/audit/events/ev_nobody", &Value::Null).status, 404);
    };
    check(&world);
    // Deleted, it is made again, and meanwhile nothing is missing.
    world.stop();
    std::fs::remove_dir_all(world.folder.join("store/index")).expect("an index");
    world.start();
    check(&world);
    assert!(indexed(&world), "it is made again");
    check(&world);
}
