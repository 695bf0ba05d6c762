//! The long form of each code is true: its first example gives that code once and nothing else, its mended one nothing.

mod support;

use policyc::Code;
use support::judge;

/// An example: a policy set, perhaps with data.
struct Example {
    policy: Vec<u8>,
    data: Option<String>,
}

/// The fenced blocks of a page: each `pol` begins an example, a `json` goes with the one before it.
fn examples(page: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut block: Option<(&str, String)> = None;
    for line in page.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(language)) => block = Some((language, String::new())),
            (None, None) => {}
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (Some(_), Some(_)) => match block.take() {
                Some(("pol", text)) => found.push(Example { policy: bytes(&text), data: None }),
                Some(("json", text)) => found.last_mut().expect("data follows a set").data = Some(text),
                _ => {}
            },
        }
    }
    assert!(block.is_none(), "a block that is not closed");
    found
}

/// The bytes that a page stands for: `\xE9` is a byte and `\u{202E}` a character that a page cannot show.
fn bytes(text: &str) -> Vec<u8> {
    let text = text.replace("\\u{202E}", "\u{202E}");
    match text.split_once("\\xE9") {
        Some((before, after)) => [before.as_bytes(), b"\xE9", after.as_bytes()].concat(),
        None => text.into_bytes(),
    }
}

fn said(example: &Example) -> support::Said {
    judge("example.pol", example.policy.clone(), example.data.clone().map(|d| ("example.json", d)))
}

#[test]
fn every_page_has_its_title_and_true_examples() {
    let mut wrong = String::new();
    for code in Code::ALL {
        let page = code.explanation();
        let title = format!("# {}: {}\n", code.as_str(), code.title());
        if !page.starts_with(&title) {
            wrong += &format!("{}: the first line is not {title:?}\n", code.as_str());
        }
        let found = examples(page);
        if found.len() != 2 {
            wrong += &format!("{}: {} examples instead of two\n", code.as_str(), found.len());
            continue;
        }
        let first = said(&found[0]);
        if first.codes != [*code] {
            wrong +=
                &format!("{}: the first example gives {:?}\n{}\n", code.as_str(), first.codes, first.text);
        }
        let mended = said(&found[1]);
        if !mended.codes.is_empty() {
            wrong +=
                &format!("{}: the mended one gives {:?}\n{}\n", code.as_str(), mended.codes, mended.text);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn there_is_no_page_without_a_code() {
    for path in support::files_under(&support::root().join("docs/diagnostics")) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        assert!(Code::parse(&name).is_some(), "{} is the page of no code", path.display());
    }
}
