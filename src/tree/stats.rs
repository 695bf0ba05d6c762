//! How large a tree is: [`stats`].

use super::diagram::Sequenced;
use super::node::{Step, Tree};
use serde::Serialize;
use std::collections::BTreeMap;

/// How large a tree is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Rules.
    pub rules: usize,
    /// Names that heads mention.
    pub names: usize,
    /// Different smallest tests.
    pub atoms: usize,
    /// Decision nodes.
    pub nodes: usize,
    /// Runs of filings that are looked at together.
    pub index_nodes: usize,
    /// Filings of the index: a head with a pair of action and kind, or with many pairs together.
    pub buckets: usize,
    /// Different contents of buckets.
    pub entries: usize,
    /// Contents whose several rules are one diagram.
    pub merged: usize,
    /// Contents whose rules stay in sequence, wholly or in parts, by why.
    pub sequenced: BTreeMap<Sequenced, usize>,
    /// Bytes in memory, the rules' texts not counted.
    pub bytes: usize,
}

/// Counts a tree.
pub fn stats(tree: &Tree) -> Stats {
    let merged = |entry: &&super::node::Entry| {
        let steps = &tree.steps[entry.start as usize..entry.end as usize];
        matches!(steps, [step] if step.place == Step::MERGED)
    };
    let mut sequenced = BTreeMap::new();
    for (_, why) in &tree.sequenced {
        *sequenced.entry(*why).or_default() += 1;
    }
    Stats {
        rules: tree.rules.len(),
        names: tree.symbols.len(),
        atoms: tree.atoms.len(),
        nodes: tree.nodes.len(),
        index_nodes: tree.index.lookup.nodes.len(),
        buckets: tree.index.filings.len(),
        entries: tree.entries.len(),
        merged: tree.entries.iter().filter(merged).count(),
        sequenced,
        bytes: bytes(tree),
    }
}

fn bytes(tree: &Tree) -> usize {
    fn of<T>(list: &[T]) -> usize {
        std::mem::size_of_val(list)
    }
    of(&tree.order)
        + of(&tree.operands)
        + of(&tree.atoms)
        + of(&tree.bodies)
        + of(&tree.nodes)
        + of(&tree.entries)
        + of(&tree.steps)
        + tree.shapes.iter().map(|shape| of(&shape.0)).sum::<usize>()
        + of(&tree.quick)
        + of(&tree.ends)
        + tree.index.bytes()
        + tree.symbols.bytes()
}
