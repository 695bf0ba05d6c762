//! The examples of the documents check.
//!
//! A block marked `pol` is a whole set. One marked `pol,fragment` continues the first whole set of its document.

use policyc::{PolicySet, Severity, Sources};
use std::fs;

/// Noon of a day on which no example's `until` has passed.
const NOW: i64 = 1_767_268_800_000_000;

/// The fenced blocks of a document: their mark, the line they begin at, their text.
fn blocks(document: &str) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    for (number, line) in document.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(mark)) => open = Some((mark.to_owned(), number + 2, String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((_, _, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    found
}

/// Compiles texts that make one set; whatever is wrong with it, and which of its tests fail.
fn problems(texts: &[(String, &str)]) -> Vec<String> {
    let mut sources = Sources::default();
    for (name, text) in texts {
        sources.add(name.clone(), *text);
    }
    let compiled = PolicySet::compile(sources, NOW);
    // Examples are short: not everything that they declare is used.
    let mut found: Vec<String> = compiled
        .diagnostics
        .iter()
        .filter(|d| d.severity() == Severity::Error || d.code.as_str() != "W0309")
        .map(|d| {
            let at = compiled.sources.position(d.span().source, d.span().start);
            let file = &compiled.sources.get(d.span().source).name;
            format!("{file}, line {} of the block: [{}] {}", at.line, d.code.as_str(), d.message)
        })
        .collect();
    if let Some(set) = &compiled.set {
        let outcomes = set.test(None).expect("a set from texts has its program");
        found.extend(outcomes.iter().flat_map(|o| &o.failures).map(|f| f.message.clone()));
    }
    found
}

fn check_document(path: &str) -> usize {
    let document = fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let blocks = blocks(&document);
    let first = blocks.iter().find(|b| b.0 == "pol");
    let mut problems_found = Vec::new();
    let mut count = 0;
    for (mark, line, text) in &blocks {
        let this = (format!("{path}:{line}"), text.as_str());
        let texts = match (mark.as_str(), first) {
            ("pol", _) => vec![this],
            ("pol,fragment", Some(first)) => vec![(format!("{path}:{}", first.1), first.2.as_str()), this],
            ("pol,fragment", None) => panic!("{path}:{line}: there is no whole set before this"),
            _ => continue,
        };
        count += 1;
        problems_found.extend(problems(&texts));
    }
    assert!(problems_found.is_empty(), "{}", problems_found.join("\n"));
    count
}

#[test]
fn the_examples_of_the_reference_check() {
    assert_eq!(check_document("docs/language.md"), 6);
}

#[test]
fn the_examples_of_the_readme_check() {
    check_document("README.md");
}

#[test]
fn the_numbers_of_the_reference_are_unique_and_in_order() {
    let document = fs::read_to_string("docs/language.md").expect("docs/language.md");
    let rules = document.lines().filter_map(|l| l.strip_prefix("- **L")?.split_once("**"));
    let numbers: Vec<u32> = rules.map(|(n, _)| n.parse().expect("a number")).collect();
    assert!(numbers.len() > 90, "{}", numbers.len());
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}
