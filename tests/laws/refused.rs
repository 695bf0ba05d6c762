//! A request that the vocabulary doesn't accept is never an allow, and none that it accepts makes evaluation fail.

use crate::dice::Dice;
use crate::run::{law, worlds};
use crate::world::{Wish, World};
use policyc::{meaning, tree};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

#[test]
fn what_does_not_fit_is_refused() {
    law(file!(), worlds(60), Wish { requests: 12, wires: false }, |world| {
        let engine = world.engine()?;
        let mut dice = Dice::new(world.seed ^ 5);
        for request in &world.requests {
            if engine.ask(&request.to_string()).is_err() {
                continue;
            }
            for (what, broken) in broken(&engine.program.vocabulary, request, &mut dice) {
                let answer = engine.ask(&broken);
                prop_assert!(answer.is_err(), "{what} is accepted: {broken}");
            }
        }
        Ok(())
    });
}

/// A request that fits, made not to fit in every way that is known.
pub fn broken(
    v: &policyc::check::program::Vocabulary,
    request: &Json,
    dice: &mut Dice,
) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    let mut with = |what, change: &dyn Fn(&mut Json)| {
        let mut r = request.clone();
        change(&mut r);
        out.push((what, r.to_string()));
    };
    for field in ["account", "action", "resource"] {
        with("a part left out", &|r| {
            r.as_object_mut().map(|r| r.remove(field));
        });
        with("a part that is no object", &|r| r[field] = json!("x"));
        with("an unknown field in a part", &|r| r[field]["zzz"] = json!(1));
    }
    with("an unknown field", &|r| r["subject"] = json!({}));
    with("an unknown action", &|r| r["action"]["name"] = json!("no-such-action"));
    with("an account of an unknown kind", &|r| r["account"]["kind"] = json!("nobody"));
    with("an account that is a group", &|r| r["account"]["kind"] = json!("group"));
    with("an empty id", &|r| r["account"]["id"] = json!(""));
    with("an id that is not NFC", &|r| r["account"]["id"] = json!("e\u{301}"));
    with("an id that is a number", &|r| r["account"]["id"] = json!(7));
    with("a resource of an unknown kind", &|r| r["resource"]["kind"] = json!("thing"));
    with("an unknown scope", &|r| r["scope"] = json!("no/such/scope"));
    with("a time that is none", &|r| r["context"]["now"] = json!("2026-02-30T00:00:00Z"));
    with("a time as a number", &|r| r["context"]["now"] = json!(0));
    with("an unknown boundary", &|r| r["credential"] = json!({"boundaries": ["zzz"]}));
    with("a key's text that does not check", &|r| r["credential"] = json!({"policy": "allow"}));
    with("a key's text with WHO", &|r| {
        r["credential"] = json!({"policy": "allow anyone to do anything on anything"});
    });
    for at in ["account", "action", "resource"] {
        with("an unknown attribute", &|r| r[at]["attributes"]["zzz"] = json!(1));
    }
    with("an unknown context entry", &|r| r["context"]["zzz"] = json!(1));
    for pointer in leaves(request) {
        with("a value of a wrong type", &|r| {
            if let Some(leaf) = r.pointer_mut(&pointer) {
                *leaf = if leaf.is_array() || leaf.is_object() { json!(3.5) } else { json!({"zzz": [1]}) };
            }
        });
    }
    let action = v.actions.iter().find(|a| request["action"]["name"] == a.wire.as_str());
    for property in action.iter().flat_map(|a| &a.properties).filter(|p| !p.optional) {
        let name = v.name(property.name);
        with("a required property left out", &|r| r["action"]["attributes"][name] = Json::Null);
    }
    for entry in v.context.iter().skip(1).filter(|e| !e.optional) {
        let name = v.name(entry.name);
        with("a required context entry left out", &|r| r["context"][name] = Json::Null);
    }
    let targets = action.map(|a| a.targets.clone()).unwrap_or_default();
    let kind = v.kind_by_wire(request["resource"]["kind"].as_str().unwrap_or_default());
    let forms = targets.iter().filter(|t| Some(t.kind) == kind).count();
    if forms == 1 {
        with("the other form of the target", &|r| {
            if let Some(resource) = r["resource"].as_object_mut()
                && resource.remove("id").is_none()
            {
                resource.insert("id".to_owned(), json!("x"));
            }
        });
    }
    let text = request.to_string();
    out.push(("a field given twice", text.replacen('{', "{\"account\":{\"kind\":\"x\",\"id\":\"y\"},", 1)));
    let mut cut = 1 + dice.below(text.len() - 1);
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    out.push(("a request cut off", text[..cut].to_owned()));
    out.push(("two requests", format!("{text} {text}")));
    out
}

/// Pointers to the attribute values of a request.
fn leaves(request: &Json) -> Vec<String> {
    let mut out = Vec::new();
    for at in ["/account/attributes", "/action/attributes", "/resource/attributes", "/context"] {
        for (name, value) in request.pointer(at).and_then(Json::as_object).into_iter().flatten() {
            if !value.is_null() {
                out.push(format!("{at}/{name}"));
            }
        }
    }
    out
}

#[test]
fn no_accepted_request_makes_evaluation_fail() {
    law(file!(), worlds(60), Wish { requests: 30, wires: false }, |world: World| {
        let engine = world.engine()?;
        let mut dice = Dice::new(world.seed ^ 6);
        for request in &world.requests {
            let mut other = request.clone();
            for _ in 0..dice.between(1, 3) {
                let from = dice.pick(&world.requests).clone();
                mix(&mut other, &from, &mut dice);
            }
            let Ok(question) = engine.ask(&other.to_string()) else { continue };
            let plain = meaning::decide(&engine.program, &engine.directory, &question);
            let fast = tree::decide(&engine.tree, &engine.directory, &question);
            prop_assert_eq!(plain, fast, "{}", other);
        }
        Ok(())
    });
}

/// Takes a part of another request, or drops one.
fn mix(request: &mut Json, from: &Json, dice: &mut Dice) {
    let Some(fields) = request.as_object_mut() else { return };
    let names: Vec<String> =
        fields.keys().cloned().chain(from.as_object().into_iter().flat_map(|f| f.keys().cloned())).collect();
    let Some(name) = dice.some(&names).cloned() else { return };
    match (dice.below(4), from.get(&name)) {
        (0, _) => {
            fields.remove(&name);
        }
        (1 | 2, Some(other)) => match fields.get_mut(&name) {
            Some(own) if own.is_object() && other.is_object() => mix(own, other, dice),
            _ => {
                fields.insert(name, other.clone());
            }
        },
        (_, Some(other)) => {
            fields.insert(name, other.clone());
        }
        _ => {}
    }
}
