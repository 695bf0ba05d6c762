//! What a change of a world may and may not change in its decisions.

use crate::dice::Dice;
use crate::run::{law, worlds};
use crate::world::{Engine, Wish, World};
use policyc::request::Question;
use policyc::{Decision, meaning, tree};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const WISH: Wish = Wish { requests: 30, wires: false };

type Kept = Result<(), TestCaseError>;

fn decide(engine: &Engine, question: &Question) -> Decision {
    tree::decide(&engine.tree, &engine.directory, question)
}

/// Step, determining rule by key, and whether it asks.
fn by_key(engine: &Engine, question: &Question) -> (Option<policyc::Step>, Option<String>, bool) {
    let d = decide(engine, question);
    (d.refused_by, engine.key(question, &d), d.ask)
}

/// Each request that both engines accept, asked of both.
fn both(
    world: &World,
    before: &Engine,
    after: &Engine,
    mut see: impl FnMut(&Json, &Question, &Question) -> Kept,
) -> Kept {
    for request in &world.requests {
        let text = request.to_string();
        match (before.ask(&text), after.ask(&text)) {
            (Ok(a), Ok(b)) => see(request, &a, &b)?,
            (Err(_), Err(_)) => {}
            (a, b) => prop_assert!(false, "one refuses: {:?} {:?} for {text}", a.err(), b.err()),
        }
    }
    Ok(())
}

/// `after` allows nothing that `before` doesn't.
fn narrows(world: &World, before: &Engine, after: &Engine, what: &str) -> Kept {
    both(world, before, after, |request, a, b| {
        let (a, b) = (decide(before, a), decide(after, b));
        prop_assert!(a.is_allow() || !b.is_allow(), "{what} allows {request}: {a:?} before, {b:?} after");
        Ok(())
    })
}

#[test]
fn the_order_of_rules_and_files_means_nothing() {
    law(file!(), worlds(60), WISH, |world| {
        let before = world.engine()?;
        let mut dice = Dice::new(world.seed ^ 1);
        let mut other = world.clone();
        other.blocks.iter_mut().for_each(|b| dice.shuffle(&mut b.rules));
        let mut pieces = other.pieces();
        dice.shuffle(&mut pieces);
        let mut files = vec![String::new(); 3];
        for piece in pieces {
            let file = &mut files[dice.below(3)];
            file.push_str(&piece);
            file.push('\n');
        }
        let after = world.engine_of(&files, &world.data)?;
        both(&world, &before, &after, |request, a, b| {
            prop_assert_eq!(by_key(&before, a), by_key(&after, b), "files {:?} on {}", files, request);
            Ok(())
        })
    });
}

#[test]
fn a_deny_more_never_allows_more() {
    law(file!(), worlds(50), WISH, |world| {
        let before = world.engine()?;
        for (spare, word) in [(0, "policy"), (2, "boundary")] {
            let Some(more) = with_rule(&world, spare, word) else { continue };
            narrows(&world, &before, &more.engine()?, &format!("`{}`", world.spare[spare].text()))?;
        }
        Ok(())
    });
}

#[test]
fn an_allow_more_never_allows_less() {
    law(file!(), worlds(50), WISH, |world| {
        let before = world.engine()?;
        // A rule without WHO fits in a boundary and in a role.
        for (spare, word) in [(1, "policy"), (3, "boundary"), (3, "role")] {
            let Some(more) = with_rule(&world, spare, word) else { continue };
            narrows(&world, &more.engine()?, &before, &format!("without `{}`", world.spare[spare].text()))?;
        }
        Ok(())
    });
}

/// The world with a spare rule in one of its blocks of this word.
fn with_rule(world: &World, spare: usize, word: &str) -> Option<World> {
    let mut more = world.clone();
    let fits: Vec<usize> = (0..more.blocks.len()).filter(|b| more.blocks[*b].word == word).collect();
    let block = *Dice::new(world.seed ^ 2).some(&fits)?;
    more.blocks[block].rules.push(world.spare[spare].clone());
    Some(more)
}

#[test]
fn a_boundary_only_narrows() {
    law(file!(), worlds(60), WISH, |world| {
        let before = world.engine()?;
        let mut dice = Dice::new(world.seed ^ 3);
        let names: Vec<String> =
            world.blocks.iter().filter(|b| b.word == "boundary").map(|b| b.name.clone()).collect();
        let Some(name) = dice.some(&names).cloned() else { return Ok(()) };
        let sections = [
            ("accounts", "boundaries"),
            ("scopes", "boundaries"),
            ("bindings", "boundaries"),
            ("links", "boundary"),
        ];
        for (section, field) in sections {
            let mut data = world.data.clone();
            let Some(list) = data.get_mut(section).and_then(Json::as_array_mut) else { continue };
            for element in list {
                if dice.chance(50) {
                    attach(element, field, &name);
                }
            }
            let after = world.engine_of(&[world.source()], &data)?;
            narrows(&world, &before, &after, &format!("`{name}` on {section}"))?;
        }
        // A key that covers all, and the same with a boundary.
        for request in &world.requests {
            let mut bound = request.clone();
            if !bound["credential"].is_object() {
                bound["credential"] = json!({});
            }
            attach(&mut bound["credential"], "boundaries", &name);
            if let (Ok(a), Ok(b)) = (before.ask(&request.to_string()), before.ask(&bound.to_string())) {
                let (a, b) = (decide(&before, &a), decide(&before, &b));
                prop_assert!(a.is_allow() || !b.is_allow(), "a key with `{name}` allows {request}");
            }
        }
        Ok(())
    });
}

fn attach(element: &mut Json, field: &str, name: &str) {
    match element.get_mut(field).and_then(Json::as_array_mut) {
        Some(list) => list.push(json!(name)),
        None => element[field] = json!([name]),
    }
}

#[test]
fn who_acts_for_another_is_allowed_nothing_that_the_other_is_not() {
    law(file!(), worlds(80), Wish { requests: 60, wires: false }, |world| {
        let engine = world.engine()?;
        for question in world.questions(&engine) {
            if question.acting_for.is_empty() || !decide(&engine, &question).is_allow() {
                continue;
            }
            let mut other = question.clone();
            other.account = other.acting_for.remove(0);
            other.account_ix = engine.directory.account(&other.account);
            other.credential = None;
            let answer = decide(&engine, &other);
            prop_assert!(answer.is_allow(), "{:?} may, {:?} may not: {answer:?}", question, other.account);
        }
        Ok(())
    });
}

#[test]
fn names_mean_nothing() {
    law(file!(), worlds(50), Wish { requests: 30, wires: true }, |mut world| {
        // A key's own text holds names.
        world.requests.retain(|r| !r["credential"]["policy"].is_string());
        let before = world.engine()?;
        let renamed: String = tokens(&world.source())
            .into_iter()
            .map(|t| if world.names.contains(&t) { format!("x{t}_") } else { t })
            .collect();
        let after = world.engine_of(&[renamed], &world.data)?;
        both(&world, &before, &after, |request, a, b| {
            let (x, y) = (decide(&before, a), decide(&after, b));
            prop_assert_eq!((x.refused_by, x.ask), (y.refused_by, y.ask), "{}", request);
            // A nameless rule is keyed by its own text, which has changed.
            let name =
                |engine: &Engine, d: &Decision| d.rule.and_then(|r| engine.program.rule(r.rule).name.clone());
            if let (Some(x), Some(y)) = (name(&before, &x), name(&after, &y)) {
                prop_assert_eq!(x, y, "{}", request);
            }
            Ok(())
        })
    });
}

/// A text in words, quoted texts, and everything between them.
pub fn tokens(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let mut token = c.to_string();
        if c == '"' {
            while let Some(c) = chars.next() {
                token.push(c);
                match c {
                    '\\' => token.extend(chars.next()),
                    '"' => break,
                    _ => {}
                }
            }
        } else if c.is_ascii_alphanumeric() || c == '_' {
            while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                token.push(c);
            }
        }
        out.push(token);
    }
    out
}

#[test]
fn an_explanation_says_what_is_decided() {
    law(file!(), worlds(40), Wish { requests: 6, wires: false }, |world| {
        let engine = world.engine()?;
        for question in world.questions(&engine) {
            let plain = meaning::decide(&engine.program, &engine.directory, &question);
            let told =
                policyc::explain::explain(&engine.program, &engine.sources, &engine.directory, &question);
            prop_assert_eq!(told.answer, plain);
            prop_assert_eq!(told.refused_by, plain.refused_by);
            prop_assert_eq!(told.decision == policyc::Effect::Allow, plain.is_allow());
            prop_assert_eq!(told.ask.is_some(), plain.ask);
            prop_assert_eq!(told.rule.is_some(), plain.rule.is_some());
            if let Some(change) = &told.smallest_change {
                prop_assert!(!plain.is_allow() && !change.changes.is_empty());
            }
            prop_assert!(!told.to_text().is_empty());
        }
        Ok(())
    });
}

#[test]
fn a_built_file_decides_the_same() {
    law(file!(), worlds(40), WISH, |world| {
        let engine = world.engine()?;
        let bytes = tree::file::write(&engine.sources, &engine.tree);
        let Ok((sources, read)) = tree::file::read(&bytes) else {
            return Err(TestCaseError::fail("what was written is not read"));
        };
        prop_assert_eq!(&sources, &engine.sources);
        for question in world.questions(&engine) {
            let again = tree::decide(&read, &engine.directory, &question);
            prop_assert_eq!(again, decide(&engine, &question));
        }
        let mut dice = Dice::new(world.seed ^ 4);
        for _ in 0..20 {
            let mut damaged = bytes.clone();
            let at = dice.below(bytes.len());
            damaged[at] ^= 1 << dice.below(8);
            prop_assert!(tree::file::read(&damaged).is_err(), "byte {at} is wrong, and nobody sees it");
            damaged.truncate(at);
            prop_assert!(tree::file::read(&damaged).is_err());
        }
        Ok(())
    });
}
