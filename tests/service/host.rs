//! What whoever has the host can do, and what is seen of it afterwards.

use crate::world::World;
use serde_json::{Value, json};

fn store(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.folder.join("store/policyd.db")).expect("a database")
}

fn state(world: &World) -> (i32, String) {
    world.command(&["audit", "state", "--data", "store"])
}

#[test]
fn the_log_of_changes_makes_what_is_stored() {
    let mut world = World::furnished();
    let key = world.key("service_account", "ci");
    world.done("POST", "/v1/users/ben/leave", &json!({}));
    let (code, said) = state(&world);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("changes make the"), "{said}");
    world.kill();
    // Somebody gives himself a longer key, in the database.
    let changed = store(&world)
        .execute("UPDATE objects SET body = replace(body, '\"2', '\"3') WHERE kind = 'credential' AND body LIKE '%service_account%'", [])
        .expect("it can be written");
    assert!(changed > 0 && !key.is_empty());
    let (code, said) = state(&world);
    assert_eq!(code, 1);
    assert!(
        said.contains("credential key_") && said.contains("isn't what the log of changes says"),
        "{said}"
    );
}

#[test]
fn a_change_that_was_edited_or_taken_away_is_named() {
    let mut world = World::furnished();
    let (code, said) = world.command(&["audit", "export", "changes", "c.jsonl"]);
    assert_eq!(code, 0, "{said}");
    world.kill();
    let db = store(&world);
    db.execute(
        "UPDATE changes SET record = replace(record, 'production', 'productiom') WHERE seq = 4 AND org != ''",
        [],
    )
    .expect("written");
    let (code, said) = state(&world);
    assert_eq!(code, 1);
    assert!(said.contains("change 4 is not the one"), "{said}");
    // The export signed a checkpoint outside the database: a log that is smaller now doesn't start.
    db.execute(
        "DELETE FROM changes WHERE org != '' AND seq = (SELECT max(seq) FROM changes WHERE org != '')",
        [],
    )
    .expect("written");
    drop(db);
    let (code, said) = world.command(&["serve", "--data", "store", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, 2);
    assert!(said.contains("changes are missing"), "{said}");
}

#[test]
fn a_damaged_or_newer_database_is_refused_in_words() {
    let mut world = World::furnished();
    world.kill();
    store(&world).pragma_update(None, "user_version", 99).expect("written");
    let (code, said) = world.command(&["serve", "--data", "store", "--listen", "127.0.0.1:0"]);
    assert!(code == 2 && said.contains("run the newer program"), "{said}");
    store(&world).pragma_update(None, "user_version", 1).expect("written");
    std::fs::remove_file(world.folder.join("store/pepper")).expect("a pepper");
    let (code, said) = world.command(&["serve", "--data", "store", "--listen", "127.0.0.1:0"]);
    assert!(code == 2 && said.contains("pepper"), "{said}");
}

#[test]
fn one_process_has_a_folder() {
    let world = World::furnished();
    let (code, said) = world.command(&["serve", "--data", "store", "--listen", "127.0.0.1:0"]);
    assert!(code == 2 && said.contains("another policyd runs"), "{said}");
    let (code, said) = world.command(&["recover", "--data", "store", "new.key"]);
    assert!(code == 2 && said.contains("stop it first"), "{said}");
    let (code, said) =
        world.command(&["init", "--data", "store", "--organization", "acme", "--owner", "eve"]);
    assert!(code == 2 && said.contains("initialised already"), "{said}");
}

#[test]
fn whoever_has_the_host_gets_back_in_and_it_is_written_down() {
    let mut world = World::furnished();
    world.kill();
    let (code, said) = world.command(&["recover", "--data", "store", "new.key"]);
    assert_eq!(code, 0, "{said}");
    world.start();
    let key = std::fs::read_to_string(world.folder.join("new.key")).expect("a key").trim().to_owned();
    let told = world.ask(&key, "POST", "/v1/organizations", &json!({ "id": "second", "owner": "zoe" }));
    assert_eq!(told.status, 201, "{}", told.body);
    assert_eq!(
        world.ask(&key, "GET", "/v1/users", &Value::Null).status,
        404,
        "it reads no organization's content"
    );
    let written: String = store(&world)
        .query_row("SELECT record FROM changes WHERE org = '' ORDER BY seq DESC LIMIT 1", [], |r| r.get(0))
        .expect("a record");
    assert!(written.contains("recover"), "{written}");

    // Nor is an organization lost of which nobody has a key any more.
    let revoked = world.ask(
        &world.admin,
        "POST",
        "/v1/credentials:revoke",
        &json!({ "account": { "kind": "user", "id": "ada" } }),
    );
    assert!(revoked.status < 300, "{}", revoked.body);
    world.kill();
    let recover = |user: &str, file: &str| {
        world.command(&["recover", "--data", "store", file, "--organization", "acme", "--user", user])
    };
    for (user, expected) in
        [("nobody", "there is no user \"nobody\" in acme"), ("../ada", "there is no user")]
    {
        let (code, said) = recover(user, "none.key");
        assert!(code == 2 && said.contains(expected), "{said}");
    }
    let (code, said) = recover("ada", "ada.key");
    assert!(code == 0 && said.contains("a key of ada until"), "{said}");
    world.start();
    let key = std::fs::read_to_string(world.folder.join("ada.key")).expect("a key").trim().to_owned();
    let made = world.ask(&key, "POST", "/v1/projects", &json!({ "id": "again" }));
    assert_eq!(made.status, 201, "{}", made.body);
    let changes = world.ask(&key, "GET", "/v1/audit/changes", &Value::Null).body;
    assert!(changes.to_string().contains("access to the host"), "{changes}");
}

#[test]
fn decisions_that_can_not_be_opened_keep_it_from_starting() {
    let mut world = World::furnished();
    let gate = world.key("service_account", "gate");
    let key = world.key("service_account", "ci");
    assert_eq!(world.decide(&gate, &key, "read", "acme/web/play")["decision"], "allow");
    world.kill();
    let (decisions, aside) = (world.folder.join("store/decisions"), world.folder.join("aside"));
    std::fs::rename(&decisions, &aside).expect("a folder");
    std::fs::write(&decisions, "not a folder").expect("a file in its place");
    let (code, said) = world.command(&["serve", "--data", "store", "--listen", "127.0.0.1:0"]);
    assert!(code == 2 && said.contains("store/decisions"), "{said}");
    std::fs::remove_file(&decisions).expect("a file");
    std::fs::rename(&aside, &decisions).expect("a folder");
    world.start();
    assert_eq!(world.decide(&gate, &key, "read", "acme/web/play")["decision"], "allow");
}
