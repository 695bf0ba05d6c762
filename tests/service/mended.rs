//! What is done with access to the host when something was lost, must change or must go: going on from a backup, another log key,
//! a person erased. And what becomes of accounts that nobody answers for.

use crate::faults::{Faults, soon};
use crate::world::World;
use serde_json::{Value, json};
use std::path::Path;

fn decided(world: &World, key: &str) -> String {
    let body = json!({ "action": { "name": "read" }, "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play" });
    let told = world.ask(key, "POST", "/v1/authorize", &body);
    assert_eq!(told.status, 200, "{}", told.body);
    told.body["event"].as_str().expect("an event").to_owned()
}

fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(done.success());
}

fn verified(world: &World, log: &str, file: &str, key: &str) -> (i32, String) {
    let (code, said) = world.command(&["audit", "export", log, file]);
    assert_eq!(code, 0, "{said}");
    world.command(&["audit", "verify", file, "--log-key", key])
}

fn bodies(world: &World, key: &str, log: &str, of: &str) -> Vec<Value> {
    let told = world.ask(key, "GET", &format!("/v1/audit/{log}?limit=500"), &Value::Null);
    assert_eq!(told.status, 200, "{}", told.body);
    let items = told.body["items"].as_array().expect("items").iter();
    items.map(|r| r["record"]["body"][of].clone()).filter(|b| !b.is_null()).collect()
}

#[test]
fn from_a_backup_it_goes_on_under_a_new_name_with_every_key_off() {
    let mut world = World::furnished();
    let key = world.key("service_account", "ci");
    let before = decided(&world, &key);
    let old_key = world.command(&["audit", "key"]).1.trim().to_owned();
    world.stop();
    let (store, backup) = (world.folder.join("store"), world.folder.join("backup"));
    copy(&store, &backup);
    world.start();
    world.done("POST", "/v1/groups", &json!({ "id": "lost" }));
    let after = decided(&world, &key);
    world.stop();

    // Database and day files are brought back; the checkpoints outside know more than they hold.
    for lost in ["policyd.db", "policyd.db-wal", "policyd.db-shm"] {
        std::fs::remove_file(store.join(lost)).ok();
    }
    // A database that was closed in time has nothing beside it.
    for kept in ["policyd.db", "policyd.db-wal"].into_iter().filter(|kept| backup.join(kept).exists()) {
        copy(&backup.join(kept), &store.join(kept));
    }
    let serve = |world: &World| world.command(&["serve", "--data", "store", "--listen", "127.0.0.1:0"]);
    let (code, said) = serve(&world);
    assert!(code == 2 && said.contains("changes are missing") && said.contains("policyd restore"), "{said}");
    // Of the day files the newest records are gone, the checkpoints are not.
    let org =
        std::fs::read_dir(store.join("decisions")).expect("a folder").flatten().next().expect("one").path();
    let was = backup.join("decisions").join(org.file_name().expect("a name"));
    for file in std::fs::read_dir(&was).expect("a folder").flatten() {
        if file.file_name() != "checkpoints" {
            std::fs::copy(file.path(), org.join(file.file_name())).expect("copied");
        }
    }
    let (code, said) = world.command(&["restore", "--data", "store"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("1 are lost") && said.contains("keys are switched off"), "{said}");

    world.start();
    for key in [&world.admin, &key, &world.installation] {
        let told = world.ask(key, "GET", "/v1/me", &Value::Null);
        assert_eq!(told.status, 401, "every key is off");
    }
    let (code, said) = world.command(&["restore", "--data", "store", "--confirm"]);
    assert!(code == 2 && said.contains("stop it first"), "{said}");
    world.stop();
    let (code, said) = world.command(&["restore", "--data", "store", "--confirm"]);
    assert!(code == 0 && said.contains("switched on again"), "{said}");
    world.start();
    let told = world.ask(&world.admin, "GET", "/v1/groups/lost", &Value::Null);
    assert_eq!(told.status, 404, "{}", told.body);
    for log in ["changes", "decisions"] {
        let restored = bodies(&world, &world.admin, log, "restored");
        assert_eq!(restored.len(), 1, "{restored:?}");
        let (named, lost) =
            (restored[0]["before"].as_str().expect("an origin"), restored[0]["missing"].as_u64());
        assert!(named.ends_with(log) && lost > Some(0), "{restored:?}");
        assert!(restored[0]["checkpoint"].as_str().expect("the last one").starts_with(named));
    }
    let events: Vec<Value> = bodies(&world, &world.admin, "decisions", "decided");
    let has = |event: &str| events.iter().any(|d| d["decisions"][0]["event"] == event);
    assert!(has(&before) && !has(&after), "what the backup has is there");
    decided(&world, &key);
    // The new logs verify with the key under its new name, and not with the old one.
    let new_key = world.command(&["audit", "key"]).1.trim().to_owned();
    assert_ne!(old_key, new_key);
    for log in ["changes", "decisions"] {
        let (code, said) = verified(&world, log, "new.jsonl", &new_key);
        assert!(code == 0 && said.contains(".2/"), "{said}");
        let (code, said) = verified(&world, log, "new.jsonl", &old_key);
        assert!(code == 1 && said.contains("no trusted key"), "{said}");
    }
    world.stop();
    let (code, said) = world.command(&["audit", "state", "--data", "store"]);
    assert_eq!(code, 0, "{said}");
    world.start();
    decided(&world, &key);
}

#[test]
fn another_log_key_is_vouched_for_by_the_one_before() {
    let mut world = World::furnished();
    let key = world.key("service_account", "ci");
    decided(&world, &key);
    let first = world.command(&["audit", "key"]).1.trim().to_owned();
    let (code, said) = world.command(&["audit", "rotate-key", "--data", "store"]);
    assert!(code == 2 && said.contains("stop it first"), "{said}");
    let log_key = world.folder.join("store/log-key");
    let old = std::fs::read(&log_key).expect("a key");
    for _ in 0..2 {
        world.stop();
        let (code, said) = world.command(&["audit", "rotate-key", "--data", "store"]);
        assert_eq!(code, 0, "{said}");
        world.start();
        decided(&world, &key);
    }
    let last = world.command(&["audit", "key"]).1.trim().to_owned();
    assert_ne!(first, last);
    for log in ["changes", "decisions"] {
        for trusted in [&first, &last] {
            let (code, said) = verified(&world, log, "all.jsonl", trusted);
            assert_eq!(code, 0, "{log}: {said}");
        }
        assert_eq!(bodies(&world, &world.admin, log, "key_rotated").len(), 2);
    }
    let (code, said) = world.command(&["audit", "state", "--data", "store"]);
    assert_eq!(code, 0, "{said}");

    // Interrupted before the new key took its place: the next start finishes it, once.
    world.stop();
    std::fs::rename(&log_key, log_key.with_extension("new")).expect("renamed");
    std::fs::write(&log_key, &old).expect("written");
    world.start();
    assert_eq!(world.command(&["audit", "key"]).1.trim(), last);
    assert_eq!(bodies(&world, &world.admin, "decisions", "key_rotated").len(), 2);
    // A key that the logs were not passed to signs nothing.
    world.stop();
    let right = std::fs::read(&log_key).expect("a key");
    std::fs::write(&log_key, &old).expect("written");
    let (code, said) = world.command(&["serve", "--data", "store", "--listen", "127.0.0.1:0"]);
    assert!(code == 2 && said.contains("is not the key that the logs were passed to"), "{said}");
    std::fs::write(&log_key, right).expect("written");
    world.start();
}

/// Files below a folder in which a text stands.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let found =
        std::process::Command::new("grep").args(["-rlai", text]).arg(folder).output().expect("grep runs");
    String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn an_erased_person_is_nowhere_and_the_logs_still_verify() {
    let mut world = World::furnished();
    let id = "quentin.x@example.org";
    let made = world.done("POST", "/v1/users", &json!({ "id": id, "title": "Quentin X" }));
    let uid = made["uid"].as_str().expect("a uid").to_owned();
    let machine =
        json!({ "id": "qs", "home": "acme", "purpose": "a test", "owner": { "kind": "user", "id": id } });
    world.done("POST", "/v1/service-accounts", &machine);
    world.bind("user", id, "operator", "acme/web");
    let (gate, key) = (world.key("service_account", "gate"), world.key("user", id));
    decided(&world, &key);
    let about = json!({ "account": { "kind": "user", "id": id }, "action": { "name": "read" },
        "resource": { "kind": "server", "id": "s", "attributes": { "owner": { "kind": "user", "id": id } } }, "scope": "acme/web/play" });
    assert_eq!(world.ask(&gate, "POST", "/v1/authorize", &about).status, 200);
    let store = world.folder.join("store");
    assert!(!holding(&store, "quentin").is_empty());
    let erase = |world: &World| world.command(&["audit", "erase", &uid, "--data", "store"]);
    world.stop();
    let (code, said) = erase(&world);
    assert!(code == 2 && said.contains("living user"), "{said}");
    world.start();
    let path = format!("/v1/users/{}", id.replace('@', "%40"));
    world.done("POST", &format!("{path}/leave"), &json!({ "hand_over_to": { "kind": "user", "id": "ada" } }));
    let tag = format!("\"{}\"", world.done("GET", &path, &Value::Null)["revision"]);
    let told = world.ask_with(&world.admin, "DELETE", &path, &[("if-match", &tag)], &Value::Null);
    assert_eq!(told.status, 200, "{}", told.body);
    world.stop();
    let (code, said) = erase(&world);
    assert!(code == 0 && said.contains("values beside records"), "{said}");
    assert_eq!(holding(&store, "quentin"), Vec::<String>::new(), "no file has the name");

    world.start();
    let log_key = world.command(&["audit", "key"]).1.trim().to_owned();
    for log in ["changes", "decisions"] {
        let (code, said) = verified(&world, log, "all.jsonl", &log_key);
        assert!(code == 0 && !said.contains(" 0 sealed values"), "{log}: {said}");
        let erased = bodies(&world, &world.admin, log, "erased");
        assert_eq!((erased.len(), &erased[0]["person"]), (1, &json!(uid)));
        assert!(erased[0]["values"].as_u64() > Some(0), "{erased:?}");
    }
    // The id stays taken, in any spelling, and nobody brings the user back.
    for again in [id, "QUENTIN.X@example.org"] {
        let told = world.ask(&world.admin, "POST", "/v1/users", &json!({ "id": again }));
        assert_eq!(told.status, 409, "{}", told.body);
    }
    let told = world.ask(&world.admin, "POST", &format!("/v1/users/{uid}/undelete"), &json!({}));
    assert_eq!(told.status, 409, "{}", told.body);
    world.stop();
    let (code, said) = world.command(&["audit", "state", "--data", "store"]);
    assert_eq!(code, 0, "{said}");
    world.start();
}

#[test]
fn what_nobody_answers_for_is_listed_and_then_disabled() {
    let mut world = World::furnished();
    let owner = |id: &str| json!({ "kind": "user", "id": id });
    for (id, by) in [("bens", "ben"), ("watch", "ada")] {
        let body = json!({ "id": id, "home": "acme", "purpose": "a test", "owner": owner(by) });
        world.done("POST", "/v1/service-accounts", &body);
    }
    world.bind("service_account", "watch", "policyd/auditor", "acme");
    world.bind("service_account", "watch", "policyd/viewer", "acme");
    let (watch, bens) = (world.key("service_account", "watch"), world.key("service_account", "bens"));
    world.done("POST", "/v1/users/ben/disable", &json!({}));
    let unowned = |world: &World| {
        let told = world.ask(&watch, "GET", "/v1/service-accounts?owner_gone=true", &Value::Null);
        let items = told.body["items"].as_array().expect("items").iter();
        items.map(|a| a["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(unowned(&world), ["bens"]);
    let faults = Faults::under(&mut world);
    let listed = |world: &World| bodies(world, &watch, "decisions", "owner_gone");
    assert!(soon(|| !listed(&world).is_empty()), "{}", world.log());
    let accounts = listed(&world)[0]["accounts"].as_array().expect("accounts").clone();
    assert_eq!(accounts.len(), 1, "{accounts:?}");
    let live = |world: &World, key: &str| world.ask(key, "GET", "/v1/me", &Value::Null).status == 200;
    for (days, lives) in [(13, true), (15, false)] {
        world.kill();
        faults.set(&format!("clock {}", days * 86_400));
        world.start();
        match lives {
            true => assert!(soon(|| listed(&world).len() == 2) && live(&world, &bens), "{}", world.log()),
            false => assert!(soon(|| !live(&world, &bens)), "{}", world.log()),
        }
        assert!(live(&world, &watch), "whose owner is there stays");
    }
    let changed = bodies(&world, &watch, "changes", "changed");
    let last = changed.last().expect("a change");
    assert_eq!(last["changes"][0]["action"], "service-accounts.disabled");
    assert_eq!(last["allowed_by"][0], "owner_gone: whoever answers for it has been gone for 14 days");
}
