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
    /// Nodes of the index of heads.
    pub index_nodes: usize,
    /// Places of the index where rules are filed: by pair of action and kind, or by many pairs together.
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
    let last_edges = tree.index.edges.len() + tree.index.nodes.iter().filter(|n| n.any.is_some()).count();
    let roots = tree.gates.iter().flat_map(|gate| [gate.deny, gate.allow]).flatten().count();
    Stats {
        rules: tree.rules.len(),
        names: tree.symbols.len(),
        atoms: tree.atoms.len(),
        nodes: tree.nodes.len(),
        index_nodes: tree.index.nodes.len(),
        // Each node but the roots has one edge that leads to it; the other edges lead to entries.
        buckets: (last_edges + roots).saturating_sub(tree.index.nodes.len()) + tree.index.wide.len(),
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
    let hash_entry = |bytes: usize| bytes + bytes / 4 + 1;
    of(&tree.order)
        + of(&tree.operands)
        + of(&tree.atoms)
        + of(&tree.bodies)
        + of(&tree.nodes)
        + of(&tree.entries)
        + of(&tree.steps)
        + of(&tree.index.nodes)
        + of(&tree.index.wide)
        + tree.shapes.iter().map(|shape| of(&shape.0)).sum::<usize>()
        + tree.index.edges.len() * hash_entry(16)
        + tree.symbols.len() * (32 + hash_entry(40))
}
