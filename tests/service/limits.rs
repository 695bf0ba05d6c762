//! What one client or tenant may use up, and changes that are large.

use crate::world::World;
use serde_json::{Value, json};

/// Keys enough that the records of all of them don't fit into one.
const MANY: usize = 150;

/// `MANY` keys of an account.
fn many(world: &World) -> Vec<Value> {
    let body = json!({ "account": { "kind": "service_account", "id": "ci" } });
    (0..MANY).map(|_| world.done("POST", "/v1/credentials", &body)).collect()
}

fn token(minted: &Value) -> &str {
    minted["token"].as_str().expect("a token")
}

/// All changes that one request made are there, verify, and make what is stored.
fn is_one_change(world: &World, action: &str) {
    let (code, said) = world.command(&["audit", "export", "changes", "many.jsonl"]);
    assert_eq!(code, 0, "{said}");
    let log_key = world.command(&["audit", "key"]).1;
    let (code, said) = world.command(&["audit", "verify", "many.jsonl", "--log-key", log_key.trim()]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = world.command(&["audit", "state", "--data", "store"]);
    assert_eq!(code, 0, "{said}");
    let text = std::fs::read_to_string(world.folder.join("many.jsonl")).expect("an export");
    let records: Vec<String> = text.lines().filter(|l| l.contains(action)).map(str::to_owned).collect();
    assert!(records.len() > 1, "its record would have been too large: {}", records.len());
}

#[test]
fn many_keys_are_revoked_in_one_change() {
    let world = World::furnished();
    let keys = many(&world);
    let other = world.key("service_account", "gate");
    let body = json!({ "account": { "kind": "service_account", "id": "ci" } });
    let told = world.ask(&world.admin, "POST", "/v1/credentials:revoke", &body);
    assert_eq!(told.status, 200, "{}", told.body);
    assert_eq!(told.body["revoked"].as_array().map(Vec::len), Some(MANY));
    for key in [&keys[0], &keys[MANY / 2], &keys[MANY - 1]] {
        assert_eq!(world.ask(token(key), "GET", "/v1/me", &Value::Null).status, 401);
    }
    assert_eq!(world.ask(&other, "GET", "/v1/me", &Value::Null).status, 200);
    is_one_change(&world, "credentials.revoke");
    // What came after counts on from its last record.
    let next = world.done("POST", "/v1/users", &json!({ "id": "zoe" }));
    assert!(next["revision"].as_i64() > told.body["revision"].as_i64());
}

#[test]
fn an_account_with_many_keys_is_deleted_in_one_change() {
    let world = World::furnished();
    let keys = many(&world);
    let tag =
        world.ask(&world.admin, "GET", "/v1/service-accounts/ci", &Value::Null).body["revision"].clone();
    let headers = [("if-match", tag.to_string())];
    let headers = [(headers[0].0, headers[0].1.as_str())];
    let told = world.ask_with(&world.admin, "DELETE", "/v1/service-accounts/ci", &headers, &Value::Null);
    assert_eq!(told.status, 200, "{}", told.body);
    assert!(
        keys.iter().step_by(40).all(|k| world.ask(token(k), "GET", "/v1/me", &Value::Null).status == 401)
    );
    is_one_change(&world, "service-accounts.deleted");
}

#[test]
fn a_file_of_leaked_keys_is_revoked_and_no_token_is_sent() {
    let world = World::furnished();
    let keys: Vec<Value> = many(&world).split_off(MANY - 3);
    let live = world.key("service_account", "ci");
    let strangers: String = (0..2_000).map(|n| format!("{n:016}\n")).collect();
    let text = format!("{}\n\n{}\n{strangers}", token(&keys[0]), keys[1]["key_id"].as_str().expect("an id"));
    std::fs::write(world.folder.join("leaked"), text).expect("written");
    let (code, said) = world.command(&["credentials", "revoke-all", "--leaked", "leaked"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("2 keys"), "{said}");
    assert_eq!(world.ask(token(&keys[0]), "GET", "/v1/me", &Value::Null).status, 401);
    assert_eq!(world.ask(token(&keys[1]), "GET", "/v1/me", &Value::Null).status, 401);
    assert_eq!(world.ask(token(&keys[2]), "GET", "/v1/me", &Value::Null).status, 200);
    // A line that was cut short is told, not skipped, and nothing is revoked.
    std::fs::write(world.folder.join("cut"), format!("{live}\n{}\n", &token(&keys[2])[..40]))
        .expect("written");
    let (code, said) = world.command(&["credentials", "revoke-all", "--leaked", "cut"]);
    assert!(code == 2 && said.contains("cut:2"), "{said}");
    assert_eq!(world.ask(&live, "GET", "/v1/me", &Value::Null).status, 200);
}
