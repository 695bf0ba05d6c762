//! Built files: what is wrong with a bad one is said, and none can make a decision panic or loop.

use super::{Random, compiled, data, directory, request, set_lines};
use crate::tree::{self, Tree, file};

/// Whatever is written into a built file, under a right checksum too, deciding with what is read ends well.
#[test]
fn damaged_files_are_refused_or_harmless() {
    let mut r = Random(7);
    let (set, program) = compiled(set_lines(&mut r, 30));
    let directory = directory(&set, data(&mut r));
    let questions: Vec<_> =
        (0..200).filter_map(|_| set.request(&directory, &request(&mut r), 0).ok()).collect();
    let good = file::write(set.sources(), &tree::lower(&program).expect("small"));
    for cut in [0, 1, 8, 12, 23, 24, good.len() - 1] {
        assert!(file::read(&good[..cut]).is_err(), "cut at {cut}");
    }
    let mut accepted = 0;
    let rounds = std::env::var("DAMAGE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000);
    for _ in 0..rounds {
        let mut bytes = good.clone();
        for _ in 0..=r.below(3) {
            // The tree's tables come last: damage them more often than the texts.
            let from = if r.chance(80) { bytes.len() * 2 / 3 } else { 24 };
            let at = from + r.below(bytes.len() - from);
            bytes[at] = match r.below(3) {
                0 => bytes[at] ^ (1 << r.below(8)),
                1 => r.below(256) as u8,
                _ => bytes[at].wrapping_add(1),
            };
        }
        let checksum = crc32fast::hash(&bytes[24..]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        let Ok((_, tree)) = file::read(&bytes) else { continue };
        accepted += 1;
        for question in &questions {
            let decision = tree::decide(&tree, &directory, question);
            if let Some(rule) = decision.rule.filter(|rule| !rule.in_key) {
                let _ = tree.rule(rule.rule);
            }
        }
        read_all(&tree);
    }
    assert!(accepted > rounds / 100, "only {accepted} of {rounds} were read");
}

/// Reads a tree as a picture would, and says how many nodes that has.
fn read_all(tree: &Tree) -> usize {
    use crate::value::{ActionId, BoundaryId, RoleId};
    use tree::view::{Block, Branch, View};
    let _ = tree::stats(tree);
    let view = View::new(tree);
    let blocks =
        [Block::Policies, Block::Role(RoleId(0)), Block::Role(RoleId(1)), Block::Boundary(BoundaryId(0))];
    let mut seen = std::collections::BTreeSet::new();
    for (ix, action) in tree.vocabulary.actions.iter().enumerate() {
        for target in &action.targets {
            for block in blocks {
                let heads = view.heads(block, ActionId(ix as u16), target.kind);
                let mut todo: Vec<_> = heads.iter().map(|head| head.root).collect();
                while let Some(node) = todo.pop() {
                    if seen.insert(node)
                        && let Branch::Ask { yes, no, .. } = view.branch(node)
                    {
                        todo.extend([yes, no]);
                    }
                }
            }
        }
    }
    seen.len()
}

#[test]
fn files_say_what_is_wrong_with_them() {
    let mut r = Random(1);
    let (set, program) = compiled(set_lines(&mut r, 3));
    let good = file::write(set.sources(), &tree::lower(&program).expect("small"));
    let say = |bytes: &[u8]| file::read(bytes).expect_err("not good").to_string();
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(say(b"PK\x03\x04"), "this is not a built policy set");
    assert_eq!(say(b"policy"), "the built set is cut off");
    assert_eq!(say(&good[..good.len() - 1]), "the built set is cut off");
    assert_eq!(say(&changed(100, good[100] ^ 1)), "the built set is damaged: its checksum doesn't match");
    let newer = "this set was built by a newer policyc: its format is 9, this one reads 3";
    assert_eq!(say(&changed(8, 9)), newer);
    assert_eq!(file::read(&good).expect("good").0, **set.sources());
}
