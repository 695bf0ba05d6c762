//! Large sets: what grows stays linear, and what is too large is refused by name.

use super::{Random, VOCABULARY};
use crate::source::Sources;
use crate::tree::{self, Tree, file};

/// Prints what 100,000 rules take: `cargo test --lib many_rules -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn many_rules() {
    let mut r = Random(3);
    let mut text = String::from(VOCABULARY);
    text += "policy p {\n";
    for n in 0..100_000 {
        let (group, scope, user) = (r.below(2_000), r.below(300), r.below(50_000));
        let at = format!("at environment \"o/p{scope}/prod\"");
        let actions = r.of(&["read", "read, update", "write", "move", "list"]);
        text += &match r.below(20) {
            0..8 => format!("allow group \"g{group}\" to {actions} on document {at}\n"),
            8..13 => format!("allow service_account \"s{user}\" to {actions} on document {at}\n"),
            13..17 => format!(
                "allow group \"g{group}\" to {actions} on document {at} when (resource is document and resource.size exists and resource.size > {}) or (context.flag exists and context.flag)\n",
                r.below(50)
            ),
            17..19 => format!(
                "deny group \"g{group}\" to {actions} on document {at} unless resource.owner exists and resource.owner == account\n"
            ),
            _ => format!("allow user \"u{user}\" to update on document \"d{n}\"\n"),
        };
    }
    text += "}\n";
    let mut sources = Sources::default();
    let id = sources.add("set.pol", text);
    let start = std::time::Instant::now();
    let (file, found) = crate::syntax::parse::parse(&sources, id);
    assert!(found.is_empty(), "{:?}", found.first());
    println!("parse {:?}", start.elapsed());
    let start = std::time::Instant::now();
    let (program, found) = crate::check::check(&sources, &[file]);
    let program = program.unwrap_or_else(|| panic!("{:?}", found.first()));
    println!("check {:?}", start.elapsed());
    let start = std::time::Instant::now();
    let tree = tree::lower(&program).expect("within limits");
    println!("lower {:?}", start.elapsed());
    println!("{:?}", tree::stats(&tree));
    let bytes = file::write(&sources, &tree);
    let start = std::time::Instant::now();
    file::read(&bytes).expect("just written");
    println!("read {:?} of {} bytes", start.elapsed(), bytes.len());
}

fn lowered(text: String) -> Result<Tree, tree::TreeLimit> {
    let mut sources = Sources::default();
    let id = sources.add("set.pol", text);
    let (file, found) = crate::syntax::parse::parse(&sources, id);
    assert!(found.is_empty(), "{:?}", found[0].message);
    let (program, found) = crate::check::check(&sources, &[file]);
    tree::lower(&program.unwrap_or_else(|| panic!("{:?}", found[0].message)))
}

/// Conditions that would explode when copied out, or put in order, and some that are nested too deeply.
#[test]
fn large_conditions_are_lowered_or_refused_by_name() {
    let mut text = String::from(VOCABULARY);
    text += "condition c0(n: Int?, f: Bool?) = (n exists and n > 0) or (f exists and f)\n";
    for i in 1..30 {
        let last = i - 1;
        text += &format!(
            "condition c{i}(n: Int?, f: Bool?) = (c{last}(n, f) and not (n exists and n == {i})) or (c{last}(n, f) and f exists and f)\n"
        );
    }
    text += "policy p { twice: deny user to read on document when c29(resource.size, context.flag) }\n";
    let tree = lowered(text).expect("what is shared counts once");
    assert!(tree::stats(&tree).nodes < 200, "{:?}", tree::stats(&tree));

    let chain = |conditions: usize| {
        let (open, close) =
            ("(context.flag is missing or (context.ip is missing and ".repeat(20), "))".repeat(20));
        let mut text = String::from(VOCABULARY) + "condition c0 = context.local is missing\n";
        for i in 1..=conditions {
            text += &format!("condition c{i} = {open}c{}{close}\n", i - 1);
        }
        text + &format!("policy p {{ deep: deny user to read on document when c{conditions} }}\n")
    };
    assert!(lowered(chain(10)).is_ok());
    let error = lowered(chain(28)).expect_err("too deep");
    assert_eq!(error.to_string(), "the condition of `deep`, expanded, is nested deeper than 512 levels");

    // Sixty pairs joined by `or`: an ordered diagram has 2^60 nodes if the order is unlucky.
    let mut text = String::from(VOCABULARY);
    let pair = |i: usize| format!("(account.id == \"a{i}\" and resource.id matches \"b{i}*\")");
    let pairs = (0..60).map(pair).collect::<Vec<_>>().join(" or ");
    text += &format!("policy p {{ wide: deny user to update on document when {pairs} }}\n");
    let tree = lowered(text).expect("asked part by part");
    assert!(tree::stats(&tree).nodes < 400, "{:?}", tree::stats(&tree));
}

/// Fifty thousand accounts named beside fifty places and things: filed once each, not multiplied.
#[test]
fn long_lists_stay_linear() {
    let many =
        |kind: &str, n: usize| (0..n).map(|i| format!("{kind} \"x/{i}\"")).collect::<Vec<_>>().join(", ");
    let rule = format!(
        "policy p {{ allow {} to read on {} at {} }}\n",
        many("user", 5_000),
        many("document", 50),
        many("project", 50)
    );
    let tree = lowered(format!("{VOCABULARY}{rule}")).expect("small");
    let stats = tree::stats(&tree);
    assert!(stats.index_nodes < 4 * 5_000, "{stats:?}");
    assert_eq!((stats.nodes, stats.entries), (2, 1), "{stats:?}");
}
