//! Embeds the engine: compile a set, load a directory, resolve a request, decide, explain.
//!
//! Run it with `cargo run --example embed`. It needs no feature: `--no-default-features` does.

use policyc::{Effect, PolicySet, Sources, parse_time};

fn main() {
    // Whoever embeds the engine reads files and clocks; the library does neither.
    let now = parse_time("2026-03-02T09:00:00Z").expect("a time");
    let mut sources = Sources::default();
    sources.add("vocabulary.pol", include_str!("../policies/todo/vocabulary.pol"));
    sources.add("roles.pol", include_str!("../policies/todo/roles.pol"));
    sources.add("policies.pol", include_str!("../policies/todo/policies.pol"));
    let compiled = PolicySet::compile(sources, now);
    let set = compiled.set.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));

    let mut data = Sources::default();
    let id = data.add("directory.json", include_str!("../policies/todo/directory.json"));
    let (directory, diagnostics) = set.load_directory(&data, id);
    let directory = directory.unwrap_or_else(|| panic!("{diagnostics:?}"));

    for line in include_str!("../policies/todo/requests.jsonl").lines() {
        // A request that doesn't fit the vocabulary is refused here; it never reaches a decision.
        let question = match set.request(&directory, line, now) {
            Ok(question) => question,
            Err(refused) => {
                println!("refused: {}: {}", refused.field, refused.message);
                continue;
            }
        };
        let answer = set.render(&question, &set.decide(&directory, &question));
        let asked = set.describe(&directory, &question);
        match answer.decision {
            Effect::Allow => println!("allow: {asked}"),
            Effect::Deny => {
                let why = set.explain(&directory, &question).expect("a set made from texts can explain");
                print!("{}", why.to_text());
            }
        }
    }
}
