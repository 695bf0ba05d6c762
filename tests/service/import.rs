//! `policyd import`: what it brings in, what it refuses, and that a stopped one changes nothing.

use crate::world::World;
use serde_json::{Value, json};
use std::path::PathBuf;

const LINES: &str = r#"{"project":{"id":"shop"}}
{"environment":{"id":"prod","project":"acme/shop","stage":"production"}}

{"group":{"id":"ops"}}
{"group":{"id":"night-ops"}}
{"user":{"id":"mia@example.org","title":"Mia"}}
{"service_account":{"id":"deployer","home":"acme/shop","purpose":"deploys","owner":{"kind":"user","id":"mia@example.org"}}}
{"agent":{"id":"pilot","home":"acme","purpose":"helps","owner":{"kind":"group","id":"ops"},"expires_at":"2100-01-01T00:00:00Z"}}
{"membership":{"group":"ops","member":{"kind":"user","id":"mia@example.org"}}}
{"membership":{"group":"ops","member":{"kind":"group","id":"night-ops"}}}
{"binding":{"holder":{"kind":"service_account","id":"deployer"},"role":"operator","scope":"acme/shop"}}
{"binding":{"holder":{"kind":"group","id":"ops"},"role":"reader","scope":"acme/shop/prod","boundaries":["read_only"]}}
{"attachment":{"boundary":"read_only","to":{"kind":"agent","id":"pilot"}}}
{"resource":{"kind":"server","id":"web-1","scope":"acme/shop/prod","attributes":{"secret":false}}}
{"link":{"agent":"pilot","for":{"kind":"user","id":"mia@example.org"}}}
"#;

impl World {
    fn lines(&self, text: &str) -> PathBuf {
        let path = self.folder.join("lines.jsonl");
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn import(&self, text: &str, more: &[&str]) -> (i32, String) {
        let file = self.lines(text);
        let args = [&["import", "--data", "store", file.to_str().expect("a path")], more].concat();
        self.command(&args)
    }

    fn database(&self) -> Vec<u8> {
        std::fs::read(self.folder.join("store/policyd.db")).expect("a database")
    }
}

#[test]
fn what_is_imported_is_there_decides_and_is_in_the_log() {
    let mut world = World::furnished();
    world.kill();
    let (exit, said) = world.import(LINES, &["--check"]);
    assert_eq!(exit, 0, "{said}");
    let (exit, said) = world.import(LINES, &[]);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("imported into acme"), "{said}");
    world.start();
    let quotas = world.done("GET", "/v1/quotas", &Value::Null);
    let mut changed = quotas["items"].as_array().expect("quotas").iter();
    let changed = changed.find(|q| q["name"] == "change_bytes_per_day").expect("it is there");
    assert_eq!(changed["used"], 0, "what the host brought in isn't what the organization changed today");
    let (gate, client) = (world.key("service_account", "gate"), world.key("service_account", "deployer"));
    assert_eq!(world.decide(&gate, &client, "write", "acme/shop")["decision"], "allow");
    assert_eq!(world.decide(&gate, &client, "write", "acme/shop/prod")["decision"], "deny");
    let agent = world.done("GET", "/v1/agents/pilot", &Value::Null);
    assert_eq!(agent["owner"], json!({ "kind": "group", "id": "ops" }));
    let links = world.done("GET", "/v1/links", &Value::Null);
    assert_eq!(links["items"][0]["consented_by"], Value::Null, "an import consents for nobody: {links}");
    // What was imported goes on like anything else, and the log alone makes all of it again.
    let machine = world.done("GET", "/v1/service-accounts/deployer", &Value::Null);
    let etag = format!("\"{}\"", machine["revision"]);
    let gone = world.ask_with(
        &world.admin,
        "DELETE",
        "/v1/service-accounts/deployer",
        &[("if-match", &etag)],
        &Value::Null,
    );
    assert_eq!(gone.status, 200, "{}", gone.body);
    world.kill();
    let (exit, said) = world.command(&["audit", "state", "--data", "store"]);
    assert_eq!(exit, 0, "{said}");
    // A second time the names are taken, and what stood before it stays.
    let before = world.database();
    let (exit, said) = world.import(LINES, &[]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("lines.jsonl:1: project: "), "{said}");
    assert!(said.contains("nothing was imported"), "{said}");
    assert!(world.database() == before, "the database is as it was");
}

#[test]
fn what_the_interface_would_refuse_is_refused_with_its_line() {
    let mut world = World::furnished();
    let (exit, said) = world.import("", &[]);
    assert!(exit != 0 && said.contains("stop it first"), "while it serves: {said}");
    world.kill();
    // What the killed service left in the log beside the database goes into it now.
    assert_eq!(world.import("", &["--check"]).0, 0);
    let before = world.database();
    let user = r#"{"user":{"id":"zoe"}}"#;
    let cases = [
        ("{", "lines.jsonl:2: not JSON: "),
        ("[]", "lines.jsonl:2: expected an object with one field, one of project, environment"),
        (
            r#"{"users":{"id":"x"}}"#,
            "lines.jsonl:2: nothing called `users` is imported; did you mean `user`?",
        ),
        (r#"{"credential":{}}"#, "lines.jsonl:2: nothing called `credential` is imported"),
        (r#"{"group":{"id":"Ops"}}"#, "lines.jsonl:2: group.id: `Ops` is not an id"),
        (r#"{"group":{"idd":"ops"}}"#, "lines.jsonl:2: group.idd: no field `idd` here; did you mean `id`?"),
        (r#"{"user":{"id":"ana"}}"#, "lines.jsonl:2: user: "),
        (r#"{"user":{"id":"ZOE"}}"#, "lines.jsonl:2: user: "),
        (
            r#"{"binding":{"holder":{"kind":"user","id":"nobody"},"role":"operator","scope":"acme"}}"#,
            "lines.jsonl:2: binding: no user `nobody`: it isn't stored and no line before this one makes it",
        ),
        (
            r#"{"binding":{"holder":{"kind":"user","id":"zoe"},"role":"operater","scope":"acme"}}"#,
            "lines.jsonl:2: binding.role: the active policy set has no such role; did you mean `operator`?",
        ),
        (
            r#"{"binding":{"holder":{"kind":"user","id":"zoe"},"role":"operator","scope":"acme","until":"soon"}}"#,
            "lines.jsonl:2: binding.until: ",
        ),
        (
            r#"{"attachment":{"boundary":"none_such","to":{"kind":"user","id":"zoe"}}}"#,
            "lines.jsonl:2: attachment.boundaries: the active policy set has no boundary `none_such`",
        ),
        (
            r#"{"resource":{"kind":"server","id":"s","scope":"acme/web","attributes":{"secret":"yes"}}}"#,
            "lines.jsonl:2: resource: attributes.secret: ",
        ),
        (
            r#"{"environment":{"id":"e","project":"acme/none","stage":"sandbox"}}"#,
            "lines.jsonl:2: environment: no project `acme/none`",
        ),
        ("\u{feff}", "lines.jsonl:2: not JSON: "),
    ];
    for (line, expected) in cases {
        let (exit, said) = world.import(&format!("{user}\n{line}\n"), &[]);
        assert_eq!(exit, 1, "{line}: {said}");
        assert!(said.contains(expected), "{line}\nsaid:     {said}\nexpected: {expected}");
        assert!(said.contains("nothing was imported"), "{said}");
        assert!(world.database() == before, "{line}: the database is as it was");
        assert!(!world.folder.join("store/policyd.db.import").exists());
    }
    let (exit, said) = world.import(user, &["--organization", "acne"]);
    assert!(exit == 1 && said.contains("no organization `acne`; did you mean `acme`?"), "{said}");
    // Twenty mistakes are told at once, and no more.
    let (_, said) = world.import(&"{\"user\":{}}\n".repeat(40), &[]);
    assert_eq!(said.matches("lines.jsonl:").count(), 20, "{said}");
}

#[test]
fn a_copy_left_by_a_stopped_import_is_of_no_account() {
    let mut world = World::furnished();
    world.kill();
    let copy = world.folder.join("store/policyd.db.import");
    std::fs::write(&copy, "half of a database").expect("a file");
    world.start();
    assert_eq!(world.done("GET", "/v1/users/ana", &Value::Null)["id"], "ana");
    world.kill();
    let (exit, said) = world.import(LINES, &[]);
    assert_eq!(exit, 0, "{said}");
    assert!(!copy.exists());
    world.start();
    assert_eq!(world.done("GET", "/v1/groups/ops", &Value::Null)["id"], "ops");
}
