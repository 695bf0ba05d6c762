//! Formatting: idempotent, keeps comments, keeps meaning.

use super::*;
use crate::syntax::lex::Token;

fn tokens(text: &str) -> (Vec<String>, Vec<String>) {
    let slice = |t: &Token| text[t.start..t.end].trim_end().to_owned();
    let from = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let (comments, code): (Vec<_>, Vec<_>) =
        Lexer::new(text, from).partition(|t| t.kind == TokenKind::Comment);
    let code: Vec<String> = code.iter().map(slice).collect();
    let kept = (0..code.len())
        .filter(|i| {
            !(code[*i] == "," && code.get(i + 1).is_some_and(|n| matches!(n.as_str(), ")" | "]" | "}")))
        })
        .map(|i| code[i].clone())
        .collect();
    (kept, comments.iter().map(slice).collect())
}

fn formatted(text: &str) -> String {
    let mut sources = Sources::default();
    let id = sources.add("a.pol", text);
    let told = |d: Diagnostic| {
        format!("{}: {:?} {:?}", sources.slice(d.span()), d.message, sources.position(id, d.span().start))
    };
    format(&sources, id)
        .unwrap_or_else(|d| panic!("{:?} in:\n{text}", d.into_iter().map(told).collect::<Vec<_>>()))
}

/// Lays out a text; panics if a token or a comment is lost, added or moved, or if a second time changes anything.
fn check(text: &str) -> String {
    let once = formatted(text);
    assert_eq!(tokens(text), tokens(&once), "tokens of:\n{text}\n---\n{once}");
    assert_eq!(once, formatted(&once), "twice:\n{text}");
    for line in once.lines() {
        assert_eq!(line, line.trim_end(), "white space at a line's end");
    }
    once
}

#[test]
fn the_page_keeps_its_meaning() {
    check(include_str!("../page.pol"));
}

#[test]
fn comments_anywhere() {
    let page = include_str!("../page.pol");
    let ends = Lexer::new(page, 0).filter(|t| t.kind != TokenKind::Comment).map(|t| t.end);
    // A path is one word: nothing stands around its dots.
    for end in ends.filter(|e| !page[*e..].starts_with('.') && !page[..*e].ends_with('.')) {
        for comment in [" // here\n", "\n// here\n", "\n\n  // one\n\n\n  // two\n\n", " // one\n // two\r\n"]
        {
            check(&format!("{}{comment}{}", &page[..end], &page[end..]));
        }
    }
}

#[test]
fn line_breaks_anywhere() {
    let page = include_str!("../page.pol");
    let flat = page.lines().map(|l| l.split("//").next().unwrap_or(l)).collect::<Vec<_>>().join(" ");
    let tokens: Vec<String> = Lexer::new(page, 0)
        .filter(|t| t.kind != TokenKind::Comment)
        .map(|t| page[t.start..t.end].to_owned())
        .collect();
    check(&flat);
    // Dots stick to their names; everything else may stand on a line of its own.
    let down = tokens.join("\n  ").replace("\n  .\n  ", ".");
    check(&down);
}

#[test]
fn layout() {
    let text = include_str!("tests.pol");
    let (input, expected) = text.split_once("// ==== becomes\n").expect("two halves");
    assert_eq!(check(input), expected);
    assert_eq!(check(&input.replace('\n', "\r\n")), expected);
    assert_eq!(check(&format!("\u{feff}{}", input.trim_end())), expected);
    assert_eq!(check("// only a comment"), "// only a comment\n");
    assert_eq!(check(" \n\n"), "");
}

/// A list breaks at the same comma, whether the record behind it has been broken before or not.
#[test]
fn what_follows_a_comma_is_measured_to_its_first_break() {
    let attributes = (0..12).map(|i| format!("attribute_{i}: Int")).collect::<Vec<_>>().join(", ");
    let text = format!("resource document in folder?, document {{ {attributes} }}");
    let tidy = check(&text);
    assert!(tidy.starts_with("resource document in folder?, document {\n  attribute_0: Int,\n"), "{tidy}");
    assert_eq!(check(&tidy), tidy);
}

#[test]
fn a_rules_text_is_the_same_before_and_after() {
    let text = "policy p { allow user to read,list on doc // c\n when a<b and x in [a, b,] unless from( 1 ) until \"2026-01-01T00:00:00Z\" }";
    let expected = "allow user to read, list on doc when a < b and x in [a, b] unless from(1) until \"2026-01-01T00:00:00Z\"";
    for text in [text.to_owned(), check(text)] {
        let mut sources = Sources::default();
        let id = sources.add("a.pol", text);
        let (file, _) = parse(&sources, id);
        let crate::syntax::ast::Declaration::Block(block) = &file.declarations[0] else { panic!("a policy") };
        assert_eq!(rule_text(&sources, block.rules[0].span), expected);
    }
}

#[test]
fn what_does_not_parse_is_not_laid_out() {
    let mut sources = Sources::default();
    let id = sources.add("a.pol", "policy p { allow user read on doc }");
    assert_eq!(format(&sources, id).expect_err("an error").len(), 1);
}
