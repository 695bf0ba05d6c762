//! What is kept and what goes: retention of decisions by age and by bytes; the reserve on the disk and its ballast.

use crate::faults::{Faults, soon};
use crate::world::World;
use serde_json::{Value, json};

fn days(world: &World, kind: &str) -> usize {
    let orgs = std::fs::read_dir(world.folder.join("store/decisions")).expect("a folder");
    let files = orgs.flatten().flat_map(|org| std::fs::read_dir(org.path()).expect("a folder").flatten());
    files.filter(|f| f.path().extension().is_some_and(|e| e == kind)).count()
}

/// A key of an account that may read the log.
fn auditor(world: &World) -> String {
    world.bind("service_account", "ci", "policyd/auditor", "acme");
    world.key("service_account", "ci")
}

fn records(world: &World, key: &str, from: u64) -> Vec<Value> {
    let told = world.ask(key, "GET", &format!("/v1/audit/decisions?limit=500&from={from}"), &Value::Null);
    assert_eq!(told.status, 200, "{}", told.body);
    told.body["items"].as_array().expect("items").clone()
}

#[test]
fn old_decisions_go_and_the_log_still_verifies() {
    let mut world = World::bare();
    world.furnish();
    // `ci` sits in the sandbox: it reads logs of the whole organization only from there.
    world.done(
        "POST",
        "/v1/service-accounts",
        &json!({ "id": "watch", "home": "acme", "purpose": "audits",
        "owner": { "kind": "user", "id": "ada" } }),
    );
    world.bind("service_account", "watch", "policyd/auditor", "acme");
    let watch = world.key("service_account", "watch");
    let key = auditor(&world);
    let faults = Faults::under(&mut world);
    let ask = |world: &World| {
        let body = json!({ "action": { "name": "read" }, "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play" });
        assert_eq!(world.ask(&key, "POST", "/v1/authorize", &body).status, 200);
    };
    (0..10).for_each(|_| ask(&world));
    let log_key = world.command(&["audit", "key"]).1.trim().to_owned();
    let (code, said) = world.command(&["audit", "export", "decisions", "before.jsonl"]);
    assert_eq!(code, 0, "{said}");
    let export = std::fs::read_to_string(world.folder.join("before.jsonl")).expect("an export");
    let last: Value = serde_json::from_str(export.lines().last().expect("a line")).expect("JSON");
    std::fs::write(world.folder.join("before"), last["checkpoint"].as_str().expect("a note"))
        .expect("written");
    let size = |world: &World| {
        records(world, &watch, 0).last().expect("a record")["number"].as_u64().expect("a number")
    };

    // Within its days everything stays.
    world.kill();
    faults.set(&format!("clock {}", 29 * 86_400));
    world.start();
    ask(&world);
    assert_eq!(records(&world, &watch, 0)[0]["number"], 0);
    assert_eq!(days(&world, "day"), 2);
    let middle = size(&world);

    // Past them the first file goes at the start, after the record that says so.
    world.kill();
    faults.set(&format!("clock {}", 32 * 86_400));
    world.start();
    let all = records(&world, &watch, 0);
    let first = all[0]["number"].as_u64().expect("a number");
    assert!(first > 9 && first <= middle, "the first day is gone: {first}");
    assert_eq!((days(&world, "day"), days(&world, "leaves")), (2, 3), "hashes stay");
    let retained: Vec<&Value> = all.iter().filter(|r| r["record"]["body"]["retained"].is_object()).collect();
    assert_eq!(retained.len(), 1, "{all:?}");
    let body = &retained[0]["record"]["body"]["retained"];
    assert_eq!((body["before"].as_u64(), body["why"].as_str()), (Some(first), Some("older than 30 days")));

    // What is left verifies, and continues what was exported before; a proof of what is left holds.
    world.admin = watch.clone();
    for (args, file) in [(vec![], "rest.jsonl"), (vec!["--from", "0"], "all.jsonl")] {
        let (code, said) =
            world.command(&[&["audit", "export", "decisions", file], args.as_slice()].concat());
        assert_eq!(code, 0, "{said}");
        let (code, said) = world.command(&["audit", "verify", file, "--log-key", &log_key]);
        assert_eq!(code, 0, "{said}");
    }
    let (code, said) =
        world.command(&["audit", "verify", "all.jsonl", "--log-key", &log_key, "--since", "before"]);
    assert_eq!(code, 0, "{said}");
    // Part by part it is the same log: each part goes on from the one before, which stands for its checkpoint.
    let end = (first + 2).to_string();
    for (args, file) in [
        (["--from", "0", "--to", &end], "one.jsonl"),
        (["--from", &end, "--to", &size(&world).to_string()], "two.jsonl"),
    ] {
        let (code, said) =
            world.command(&[&["audit", "export", "decisions", file], args.as_slice()].concat());
        assert_eq!(code, 0, "{said}");
    }
    for (file, since) in [("one.jsonl", "before"), ("two.jsonl", "one.jsonl")] {
        let (code, said) = world.command(&["audit", "verify", file, "--log-key", &log_key, "--since", since]);
        assert_eq!(code, 0, "{said}");
    }
    let (code, said) =
        world.command(&["audit", "verify", "two.jsonl", "--log-key", &log_key, "--since", "before"]);
    assert!(code == 1 && said.contains("export from record"), "{said}");
    for (args, expected) in [
        (["--from", "5", "--to", "4"], "past the end: 4"),
        (["--from", "0", "--to", "999999"], "the log has"),
    ] {
        let (code, said) =
            world.command(&[&["audit", "export", "decisions", "none.jsonl"], args.as_slice()].concat());
        assert!(code == 1 && said.contains(expected), "{said}");
    }
    let (code, said) = world.command(&["audit", "prove", "decisions", &first.to_string()]);
    assert_eq!(code, 0, "{said}");
    std::fs::write(world.folder.join("proof"), said).expect("written");
    let (code, said) = world.command(&["audit", "verify", "proof", "--log-key", &log_key]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = world.command(&["audit", "prove", "decisions", "3"]);
    assert!(code == 1 && said.contains("retention has deleted it"), "{said}");
    // And it starts again.
    world.kill();
    world.start();
    assert_eq!(records(&world, &watch, 0)[0]["number"].as_u64(), Some(first), "one run, one record");
}

#[test]
fn too_many_bytes_of_decisions_go_and_the_day_being_written_stays() {
    let mut world = World::with(&["--decisions-bytes-max", "1K"]);
    world.furnish();
    let key = world.key("service_account", "ci");
    let faults = Faults::under(&mut world);
    let body = json!({ "action": { "name": "read" }, "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play" });
    for day in 0..3 {
        world.kill();
        faults.set(&format!("clock {}", day * 86_400));
        world.start();
        assert_eq!(world.ask(&key, "POST", "/v1/authorize", &body).status, 200);
        assert!(days(&world, "day") <= 2, "the day before goes once another has begun");
    }
    assert_eq!(days(&world, "leaves"), 3);
    assert!(world.log().contains("day files of decisions were deleted"), "{}", world.log());
}

#[test]
fn below_the_reserve_only_rights_are_taken_away() {
    let mut world = World::furnished();
    let key = world.key("service_account", "ci");
    let made = world.done(
        "POST",
        "/v1/credentials",
        &json!({ "account": { "kind": "service_account", "id": "ci" } }),
    );
    let bound = world.bind("user", "ben", "operator", "acme/web");
    let faults = Faults::under(&mut world);
    let ballast = world.folder.join("store/ballast");
    assert_eq!(std::fs::metadata(&ballast).expect("a ballast").len(), 64 << 20);
    let body = json!({ "action": { "name": "read" }, "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play" });
    let authorize = || world.ask(&key, "POST", "/v1/authorize", &body);
    assert_eq!(authorize().status, 200);

    faults.set(&format!("room {}", 100 << 20));
    assert!(soon(|| authorize().status == 507), "{}", authorize().body);
    let told = authorize();
    assert!(
        told.body["decision"].is_null() && told.body["detail"].as_str().expect("why").contains("reserve"),
        "{}",
        told.body
    );
    for (method, path, body) in [
        ("POST", "/v1/groups", json!({ "id": "g" })),
        ("POST", "/v1/credentials", json!({ "account": { "kind": "service_account", "id": "ci" } })),
        ("GET", "/v1/audit/changes", Value::Null),
    ] {
        let told = world.ask(&world.admin, method, path, &body);
        assert_eq!(told.status, 507, "{method} {path}: {}", told.body);
    }
    assert!(ballast.exists(), "there is still some room");
    // Even the reserve is gone: the ballast makes room for what takes rights away.
    faults.set("room 4096");
    assert!(soon(|| !ballast.exists()), "{}", world.log());
    let uid = made["uid"].as_str().expect("a uid");
    let told = world.ask(&world.admin, "POST", &format!("/v1/credentials/{uid}/revoke"), &json!({}));
    assert_eq!(told.status, 200, "{}", told.body);
    let (uid, tag) = (bound["uid"].as_str().expect("a uid"), format!("\"{}\"", bound["revision"]));
    let path = format!("/v1/bindings/{uid}");
    let told = world.ask_with(&world.admin, "DELETE", &path, &[("if-match", &tag)], &Value::Null);
    assert_eq!(told.status, 200, "{}", told.body);
    assert_eq!(world.ask(&world.admin, "POST", "/v1/users/ben/disable", &json!({})).status, 200);

    faults.set("");
    assert!(soon(|| authorize().status == 200), "{}", authorize().body);
    assert!(soon(|| ballast.exists()), "it is made again");
    world.done("POST", "/v1/groups", &json!({ "id": "g" }));
}
