//! Small worlds, whole: every request that a tiny vocabulary allows, against every set of a few rules.

use crate::run::cases;
use crate::world::Engine;
use policyc::request::Question;
use policyc::{meaning, tree};
use serde_json::{Value as Json, json};

const DATA: &str = r#"{
  "scopes": [{"kind":"org","id":"o","boundaries":["wide"]},{"kind":"team","id":"o/t","boundaries":["narrow"]},{"kind":"team","id":"o/u"}],
  "groups": [{"id":"all"},{"id":"few","in":["all"]}],
  "accounts": [
    {"kind":"user","id":"ana","scope":"o","groups":[{"group":"few","until":"2026-01-02T00:00:00Z"}],"attributes":{"level":1}},
    {"kind":"user","id":"bo","scope":"o/t","boundaries":["narrow"]},
    {"kind":"agent","id":"bot","scope":"o"}],
  "links": [{"agent":{"kind":"agent","id":"bot"},"account":{"kind":"user","id":"ana"}},
            {"agent":{"kind":"agent","id":"bot"},"group":"all","boundary":"narrow"}],
  "bindings": [{"group":"all","role":"helper","scope":"o"},
               {"account":{"kind":"user","id":"bo"},"role":"helper","resource":{"kind":"folder","id":"f"},"boundaries":["narrow"]}],
  "resources": [{"kind":"folder","id":"f","scope":"o/t"},
                {"kind":"document","id":"d","in":{"kind":"folder","id":"f"},"attributes":{"open":true}}]
}"#;

const VOCABULARY: &str = "
scope org
scope team in org
account user supplied { level: Int? supplied }
account agent acting for user
resource folder
resource document in folder? { open: Bool? }
action read on document, folder
action make on any document
action move on team from below
";

/// Rules of a policy; every choice of at most two of them (three, where many cases are asked for) is a world.
const POLICY: [&str; 9] = [
    "a1: allow anyone to do anything on anything",
    "a2: allow user to read on document when account.level exists and account.level > 0",
    "a3: allow group \"all\" to read, make on document unless resource.open is missing or not resource.open",
    "a4: allow anyone to move on team \"o/t\" until \"2026-01-02T00:00:00Z\"",
    "a5: allow user in group \"few\" to do anything on anything in folder \"f\" at team",
    "d1: deny user \"bo\" to read on document ask approval",
    "d2: deny anyone to make on document when resource.folder is missing",
    "d3: deny anyone to read on document when account is user and account has role helper ask approval",
    "d4: deny agent to do anything on anything at team in org \"o\" unless context.now < \"2026-01-02T00:00:00Z\"",
];

/// What the role and the boundary hold, in two ways each.
const ROLE: [&str; 2] = ["", "allow read on document when resource.open exists"];
const BOUNDARY: [&str; 2] = [
    "allow do anything on anything",
    "n1: allow read on document, folder\n n2: deny read on document when resource.open is missing ask approval",
];

/// On the root, so that it refuses before `narrow` does.
const WIDE: &str = "
boundary wide { allow do anything on anything  w1: deny read on document when resource.open is missing }
";

#[test]
fn small_worlds_agree_on_every_request() {
    let requests = requests();
    let mut asked: Option<Vec<Question>> = None;
    let (mut decided, mut allowed, mut sets) = (0usize, 0usize, 0usize);
    let most = if cases() > 1_000_000 { 3 } else { 2 };
    for chosen in 0u32..1 << POLICY.len() {
        if chosen.count_ones() > most {
            continue;
        }
        let rules: Vec<&str> =
            (0..POLICY.len()).filter(|i| chosen >> i & 1 == 1).map(|i| POLICY[i]).collect();
        for (role, boundary) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let text = format!(
                "{VOCABULARY}policy p {{ {} }}\nrole helper {{ {} }}\nboundary narrow {{ {} }}\n{WIDE}",
                rules.join("\n"),
                ROLE[role],
                BOUNDARY[boundary]
            );
            let engine = Engine::new(std::slice::from_ref(&text), DATA).unwrap_or_else(|e| panic!("{e}"));
            // The vocabulary is the same in all of them, so a question is too.
            let questions = asked.get_or_insert_with(|| {
                requests.iter().filter_map(|r| engine.ask(&r.to_string()).ok()).collect()
            });
            sets += 1;
            for question in questions {
                let plain = meaning::decide(&engine.program, &engine.directory, question);
                let fast = tree::decide(&engine.tree, &engine.directory, question);
                assert_eq!(plain, fast, "{text}\n{question:#?}");
                decided += 1;
                allowed += usize::from(plain.is_allow());
            }
        }
    }
    let questions = asked.map_or(0, |q| q.len());
    println!(
        "{decided} cases: {questions} questions of {} requests, {sets} sets, {allowed} allowed",
        requests.len()
    );
    assert!(questions > 500 && allowed > decided / 20 && allowed < decided / 2);
}

/// Every request that the small vocabulary and its data have words for.
fn requests() -> Vec<Json> {
    let user = |id: &str, level: Option<i64>| json!({"kind":"user","id":id,"attributes":{"level":level}});
    let mut accounts = Vec::new();
    for id in ["ana", "bo", "ghost"] {
        for level in [None, Some(0), Some(1)] {
            accounts.push((user(id, level), None));
        }
    }
    for behind in ["ana", "bo"] {
        accounts.push((json!({"kind":"agent","id":"bot"}), Some(json!({"kind":"user","id":behind}))));
    }
    accounts.push((json!({"kind":"agent","id":"ghost"}), None));
    let mut targets = Vec::new();
    for open in [None, Some(false), Some(true)] {
        for folder in [None, Some("f"), Some("elsewhere")] {
            let within = folder.map(|f| json!({"kind":"folder","id":f}));
            let attributes = json!({"open": open});
            targets.push(("read", json!({"kind":"document","id":"x","attributes":attributes,"in":within})));
            targets.push(("make", json!({"kind":"document","attributes":attributes,"in":within})));
        }
    }
    for (kind, id) in [("document", "d"), ("folder", "f"), ("folder", "g")] {
        targets.push(("read", json!({"kind":kind,"id":id})));
    }
    targets.extend(["o/t", "o/u"].map(|team| ("move", json!({"kind":"team","id":team}))));
    let scopes = [None, Some("o"), Some("o/t"), Some("o/u")];
    let keys = [
        Json::Null,
        json!({"scope":"o"}),
        json!({"scope":"o/t"}),
        json!({"scope":"o","boundaries":["narrow"]}),
        json!({"scope":"o","policy":"allow read on document\ndeny read on document when resource.open is missing ask approval"}),
        json!({}),
    ];
    let mut out = Vec::new();
    for (account, behind) in &accounts {
        for (action, resource) in &targets {
            for scope in scopes {
                for key in &keys {
                    for now in ["2026-01-01T23:59:59.999999Z", "2026-01-02T00:00:00Z"] {
                        out.push(json!({
                            "account": account, "acting_for": behind, "action": {"name": action},
                            "resource": resource, "scope": scope, "credential": key, "context": {"now": now},
                        }));
                    }
                }
            }
        }
    }
    out
}
