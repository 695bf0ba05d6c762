//! The corpus: `corpus/<stage>/NAME.pol`, and beside it in `NAME.out` the whole text that people see.
//!
//! - parse, check, lint, data: what is said about the set; about `NAME.json` as its data if there is one. A name
//!   that begins with a code says which is given: once, or as often as `two_`, `three_`, `four_` after it tells.
//! - format: the canonical form. Formatting that again changes nothing.
//! - explain: for each line of `NAME.requests` the answer and the explanation.
//!
//! `UPDATE=1 cargo test --test corpus` rewrites the `.out` files; read what it wrote.

mod support;

use policyc::{Code, Sources, TextFile, format_text};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use support::{files_under, judge, now, root};

/// The cases of one stage, or of all.
fn cases(stage: &str) -> Vec<PathBuf> {
    let mut found = files_under(&root().join("tests/corpus").join(stage));
    found.retain(|path| path.extension().is_some_and(|e| e == "pol"));
    found
}

fn name_of(path: &Path) -> String {
    path.file_stem().expect("a case has a name").to_string_lossy().into_owned()
}

fn beside(path: &Path, extension: &str) -> Option<(String, String)> {
    let other = path.with_extension(extension);
    let text = std::fs::read_to_string(&other).ok()?;
    Some((other.file_name()?.to_string_lossy().into_owned(), text))
}

fn said(path: &Path) -> support::Said {
    let name = path.file_name().expect("a case has a name").to_string_lossy().into_owned();
    let policy = std::fs::read(path).expect("a case can be read");
    let data = beside(path, "json");
    judge(&name, policy, data.as_ref().map(|(name, text)| (name.as_str(), text.clone())))
}

/// Compares each case of a stage with its `.out`, or rewrites that.
fn run(stage: &str, show: impl Fn(&Path) -> String) {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = String::new();
    let all = cases(stage);
    assert!(!all.is_empty(), "no case of stage {stage}");
    for path in &all {
        let shown = show(path);
        let out = path.with_extension("out");
        if update {
            std::fs::write(&out, &shown).expect("an outcome can be written");
        } else if std::fs::read_to_string(&out).unwrap_or_default() != shown {
            let _ = write!(wrong, "-- {} is now:\n{shown}\n", out.display());
        }
    }
    assert!(
        wrong.is_empty(),
        "{wrong}if this is right: UPDATE=1 cargo test --test corpus, and read what it wrote"
    );
    // An outcome whose case is gone says nothing true any more.
    for path in files_under(&root().join("tests/corpus").join(stage)) {
        let is_out = path.extension().is_some_and(|e| e == "out");
        assert!(!is_out || path.with_extension("pol").exists(), "{} has no case", path.display());
    }
}

/// How many diagnostics a case's name promises, and under which code.
fn promised(name: &str) -> (Option<Code>, usize) {
    let mut words = name.split('_');
    let Some(code) = words.next().and_then(Code::parse) else { return (None, 0) };
    let count = match words.next() {
        Some("two") => 2,
        Some("three") => 3,
        Some("four") => 4,
        _ => 1,
    };
    (Some(code), count)
}

fn judged(path: &Path) -> String {
    let said = said(path);
    let (code, count) = promised(&name_of(path));
    let text = if said.text.is_empty() { "nothing to say\n".to_owned() } else { said.text };
    assert_eq!(said.codes.len(), count, "{} promises {count} diagnostics:\n{text}", path.display());
    assert!(code.is_none_or(|c| said.codes.contains(&c)), "{} promises its code:\n{text}", path.display());
    text
}

#[test]
fn parse() {
    run("parse", judged);
}

#[test]
fn check() {
    run("check", judged);
}

#[test]
fn lint() {
    run("lint", judged);
}

#[test]
fn data() {
    run("data", judged);
}

#[test]
fn every_code_has_a_case() {
    let shown: BTreeSet<Code> = cases("").iter().filter_map(|path| promised(&name_of(path)).0).collect();
    let missing: Vec<&str> = Code::ALL.iter().filter(|c| !shown.contains(c)).map(|c| c.as_str()).collect();
    assert!(missing.is_empty(), "no corpus case begins with {missing:?}");
}

#[test]
fn format() {
    run("format", |path| {
        let name = path.display().to_string();
        let canonical = |bytes: Vec<u8>| {
            format_text(TextFile { name: name.clone(), bytes })
                .unwrap_or_else(|(_, d)| panic!("{name}: {d:?}"))
        };
        let once = canonical(std::fs::read(path).expect("a case can be read"));
        assert_eq!(once, canonical(once.clone().into_bytes()), "{name}: formatting twice");
        once
    });
}

#[test]
fn explain() {
    run("explain", |path| {
        let name = path.display().to_string();
        let said = said(path);
        let set = said.set.unwrap_or_else(|| panic!("{name}:\n{}", said.text));
        let mut sources = Sources::default();
        let (data, text) = beside(path, "json").unwrap_or_default();
        let id = sources.add(data, if text.is_empty() { "{}".to_owned() } else { text });
        let directory = set.load_directory(&sources, id).0.unwrap_or_else(|| panic!("{name}: its data"));
        let mut shown = String::new();
        for line in beside(path, "requests").expect("requests stand beside the set").1.lines() {
            let _ = writeln!(shown, "> {line}");
            match set.request(&directory, line, now()) {
                Ok(question) => {
                    let answer = set.render(&question, &set.decide(&directory, &question));
                    let explanation = set.explain(&directory, &question).expect("a set compiled from texts");
                    let _ = writeln!(shown, "{}", serde_json::to_string(&answer).expect("an answer is JSON"));
                    let _ = writeln!(shown, "{}", explanation.to_text());
                }
                Err(error) => {
                    let _ = writeln!(shown, "{error}");
                }
            }
        }
        shown
    });
}
