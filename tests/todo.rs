//! The OpenID AuthZEN interoperability scenario "Todo" on `policies/todo`: every published decision comes out.

use policyc::{Decision, Directory, PolicySet, Sources};
use serde_json::{Map, Value, json};
use std::fs;

/// Noon of the day these requests are decided; nothing in the scenario depends on it.
const NOW: i64 = 1_767_268_800_000_000;

struct Todo {
    set: PolicySet,
    directory: Directory,
}

impl Todo {
    fn load() -> Todo {
        let mut sources = Sources::default();
        for name in ["policies.pol", "roles.pol", "tests.pol", "vocabulary.pol"] {
            sources.add(name, read(&format!("policies/todo/{name}")));
        }
        let compiled = PolicySet::compile(sources, NOW);
        assert_eq!(compiled.diagnostics, [], "policies/todo is clean");
        let set = compiled.set.expect("policies/todo checks");
        let mut data = Sources::default();
        let id = data.add("directory.json", read("policies/todo/directory.json"));
        let (directory, found) = set.load_directory(&data, id);
        assert_eq!(found, [], "directory.json fits");
        Todo { set, directory: directory.expect("directory.json loads") }
    }

    fn decide(&self, request: &Value) -> Decision {
        let question = self
            .set
            .request(&self.directory, &request.to_string(), NOW)
            .unwrap_or_else(|e| panic!("{request}: {}: {}", e.field, e.message));
        self.set.decide(&self.directory, &question)
    }

    /// Whether a kind, by its wire name, declares an attribute.
    fn declares(&self, kind: &Value, attribute: &str) -> bool {
        let vocabulary = self.set.vocabulary();
        let kind = vocabulary.kinds.iter().find(|k| *kind == *k.wire);
        kind.is_some_and(|k| k.attributes.iter().any(|a| vocabulary.name(a.name) == attribute))
    }

    /// An AuthZEN request in our words. Properties that the vocabulary doesn't declare are dropped at this door.
    fn translate(&self, subject: &Value, action: &Value, resource: &Value) -> Value {
        let entity = |e: &Value| {
            let given = e["properties"].as_object().cloned().unwrap_or_default();
            let kept: Map<_, _> =
                given.into_iter().filter(|(name, _)| self.declares(&e["type"], name)).collect();
            json!({ "kind": e["type"], "id": e["id"], "attributes": kept })
        };
        json!({
            "account": entity(subject),
            "action": { "name": action["name"] },
            "resource": entity(resource),
        })
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn scenario() -> Value {
    serde_json::from_str(&read("tests/data/authzen-todo.json")).expect("the scenario is JSON")
}

#[test]
fn the_forty_single_decisions_are_as_published() {
    let todo = Todo::load();
    let scenario = scenario();
    let singles = scenario["evaluation"].as_array().expect("single requests");
    assert_eq!(singles.len(), 40);
    for single in singles {
        let asked = &single["request"];
        let request = todo.translate(&asked["subject"], &asked["action"], &asked["resource"]);
        assert_eq!(todo.decide(&request).is_allow(), single["expected"], "{request}");
    }
}

#[test]
fn the_three_batches_are_as_published() {
    let todo = Todo::load();
    let scenario = scenario();
    let batches = scenario["evaluations"].as_array().expect("batches");
    assert_eq!(batches.len(), 3);
    for batch in batches {
        let shared = &batch["request"];
        let items = shared["evaluations"].as_array().expect("the requests of a batch");
        let decisions = items.iter().map(|item| {
            // What a batch says once holds for each item that doesn't say it itself.
            let part = |name: &str| item.get(name).unwrap_or(&shared[name]).clone();
            let request = todo.translate(&part("subject"), &part("action"), &part("resource"));
            json!({ "decision": todo.decide(&request).is_allow() })
        });
        assert_eq!(decisions.collect::<Value>(), batch["expected"]);
    }
}

#[test]
fn what_the_vocabulary_does_not_declare_is_dropped_at_authzens_door_and_refused_at_ours() {
    let todo = Todo::load();
    let asked = json!({ "type": "todo", "id": "1", "properties": { "ownerID": "a@b", "colour": "red" } });
    let subject = json!({ "type": "user", "id": "x" });
    let mut request = todo.translate(&subject, &json!({ "name": "can_update_todo" }), &asked);
    assert_eq!(request["resource"]["attributes"], json!({ "ownerID": "a@b" }));
    request["resource"]["attributes"]["colour"] = json!("red");
    let refused = todo.set.request(&todo.directory, &request.to_string(), NOW).expect_err("undeclared");
    assert_eq!(refused.field, "resource.attributes.colour");
}
