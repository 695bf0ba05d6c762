//! `fmt` is idempotent, keeps every comment and never changes meaning.

use crate::dice::Dice;
use crate::metamorphic::tokens;
use crate::run::{law, worlds};
use crate::world::{Wish, World};
use policyc::syntax::format;
use policyc::{Sources, tree};
use proptest::prelude::*;

#[test]
fn formatting_keeps_comments_and_meaning() {
    law(file!(), worlds(70), Wish { requests: 15, wires: false }, |world| {
        let before = world.engine()?;
        let untidy = untidy(&world);
        let tidy = formatted(&untidy)?;
        let again = formatted(&tidy)?;
        prop_assert_eq!(&tidy, &again, "formatting again changes something of\n{}", untidy);
        prop_assert_eq!(comments(&untidy), comments(&tidy), "comments of\n{}\n---- as\n{}", untidy, tidy);
        let after = world.engine_of(std::slice::from_ref(&tidy), &world.data)?;
        let keys = |e: &crate::world::Engine| {
            let mut keys: Vec<(String, String)> = Vec::new();
            for r in &e.program.rules {
                keys.push((r.key.to_string(), r.label.to_string()));
            }
            keys
        };
        prop_assert_eq!(keys(&before), keys(&after), "the rules of\n{}", tidy);
        for request in &world.requests {
            let text = request.to_string();
            let (Ok(a), Ok(b)) = (before.ask(&text), after.ask(&text)) else { continue };
            let a = tree::decide(&before.tree, &before.directory, &a);
            prop_assert_eq!(a, tree::decide(&after.tree, &after.directory, &b), "{} after\n{}", text, tidy);
        }
        Ok(())
    });
}

fn formatted(text: &str) -> Result<String, TestCaseError> {
    let mut sources = Sources::default();
    let id = sources.add("a.pol", text);
    format::format(&sources, id).map_err(|found| {
        TestCaseError::fail(format!("not formatted: {}\n{text}", crate::world::show(&sources, &found)))
    })
}

/// The comments of a text, in order, without the white space at their ends.
fn comments(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for line in text.lines() {
        let mut at = 0;
        for token in tokens(line) {
            if token == "/" && line[at..].starts_with("//") {
                out.push(line[at..].trim_end().to_owned());
                break;
            }
            at += token.len();
        }
    }
    out
}

/// The world's text with white space and comments where they may stand.
fn untidy(world: &World) -> String {
    let mut dice = Dice::new(world.seed ^ 7);
    let mut out = String::new();
    let mut number = 0;
    let mut depth = 0;
    for token in tokens(&world.source()) {
        let opens = matches!(token.as_str(), "," | "(" | "[" | "and" | "or" | "then" | "else" | "when" | "{");
        depth += i32::from(token == "{") - i32::from(token == "}");
        let line_end = token == "\n";
        if line_end && dice.chance(12) {
            number += 1;
            out.push_str(&format!("{}// note {number}: \"é", " ".repeat(dice.below(3))));
        }
        out.push_str(&token);
        if line_end && dice.chance(10) {
            number += 1;
            let slashes = if depth == 0 && dice.chance(30) { "///" } else { "//" };
            out.push_str(&format!("{}{slashes} line {number}\n", " ".repeat(dice.below(4))));
        }
        if line_end && dice.chance(8) {
            out.push_str("\n\n");
        }
        match dice.below(30) {
            0 if token == " " || opens => out.push_str("  "),
            1 if opens => out.push_str("\n   "),
            2 if opens => {
                number += 1;
                out.push_str(&format!(" // inside {number}\n"));
            }
            3 if token == " " => out.push('\t'),
            _ => {}
        }
    }
    out
}
