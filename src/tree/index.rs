//! The index of rule heads: [`Index`], a trie over who, where and what, with a rule's pairs at its ends.
//!
//! - Shape: level by level WHO, WHERE, WHAT, PAIR. At each level a node has one child for anything and others by token.
//!   Masks say at once that nothing below can concern a request: a set bit is a maybe, a clear bit is a no.

use super::node::Token;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// All heads.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Index {
    /// Nodes of the trie.
    pub(super) nodes: Vec<TrieNode>,
    /// Children by token, and entries by pair.
    pub(super) edges: Edges,
    /// Entries for whole shapes, node by node.
    pub(super) wide: Vec<Wide>,
}

/// A node of the trie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrieNode {
    /// The child for anything.
    pub(super) any: Option<u32>,
    /// Bits of the tokens that have a child.
    pub(super) tokens: u64,
    /// Bits of the pairs that have a rule below.
    pub(super) pairs: u64,
    /// The lowest place of a rule below.
    pub(super) least: u32,
    /// At the last level: first of its wide entries.
    pub(super) wide_start: u32,
    /// Past the last one.
    pub(super) wide_end: u32,
}

/// An entry that concerns many pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wide {
    /// Which pairs.
    pub(super) shape: u32,
    /// Its entry.
    pub(super) entry: u32,
}

/// A set of pairs: disjoint half-open ranges, sorted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Shape(pub(super) Vec<(u32, u32)>);

impl Shape {
    /// The set of these pairs, which are sorted.
    pub(super) fn of(pairs: &[u32]) -> Shape {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for pair in pairs {
            match ranges.last_mut() {
                Some((_, end)) if *end == *pair => *end += 1,
                Some((_, end)) if *end > *pair => {}
                _ => ranges.push((*pair, *pair + 1)),
            }
        }
        Shape(ranges)
    }

    /// Whether a pair is in it.
    pub(super) fn contains(&self, pair: u32) -> bool {
        let after = self.0.partition_point(|(start, _)| *start <= pair);
        after > 0 && pair < self.0[after - 1].1
    }

    /// How many pairs it has.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|(start, end)| (end - start) as usize).sum()
    }

    /// Its pairs.
    pub(super) fn pairs(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|(start, end)| *start..*end)
    }

    /// The bits of its pairs.
    pub(super) fn mask(&self) -> u64 {
        if self.len() >= 64 {
            return u64::MAX;
        }
        self.pairs().fold(0, |mask, pair| mask | pair_bit(pair))
    }
}

/// The bit of a token.
pub(super) fn token_bit(token: Token) -> u64 {
    1 << (token.0.wrapping_mul(0x9E37_79B1) >> 26)
}

/// The bit of a pair.
pub(super) fn pair_bit(pair: u32) -> u64 {
    1 << (pair & 63)
}

/// Children by parent and token; stored as a sorted list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u32)>", into = "Vec<(u64, u32)>")]
pub(super) struct Edges(FxHashMap<u64, u32>);

impl Edges {
    fn key(parent: u32, label: u32) -> u64 {
        u64::from(parent) << 32 | u64::from(label)
    }

    /// The child of a node by token, or the entry of a last-level node by pair.
    pub(super) fn get(&self, parent: u32, label: u32) -> Option<u32> {
        self.0.get(&Self::key(parent, label)).copied()
    }

    fn insert(&mut self, parent: u32, label: u32, child: u32) {
        self.0.insert(Self::key(parent, label), child);
    }

    /// All edges as (parent, label, child), sorted.
    pub(super) fn sorted(&self) -> Vec<(u32, u32, u32)> {
        let mut all: Vec<_> = self.0.iter().map(|(k, child)| ((k >> 32) as u32, *k as u32, *child)).collect();
        all.sort_unstable();
        all
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<Vec<(u64, u32)>> for Edges {
    fn from(list: Vec<(u64, u32)>) -> Edges {
        Edges(list.into_iter().collect())
    }
}

impl From<Edges> for Vec<(u64, u32)> {
    fn from(edges: Edges) -> Vec<(u64, u32)> {
        let mut list: Vec<_> = edges.0.into_iter().collect();
        list.sort_unstable();
        list
    }
}

/// What is filed at the end of a path: under one pair, or under a whole shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum End {
    Pair(u32),
    Shape(u32),
}

/// An index being filled: at each end a list of things filed there (kept by the caller, by number).
#[derive(Default)]
pub(super) struct IndexBuilder {
    nodes: Vec<TrieNode>,
    edges: Edges,
    ends: FxHashMap<(u32, End), u32>,
    filed: Vec<(u32, End)>,
}

impl IndexBuilder {
    /// A new root.
    pub(super) fn root(&mut self) -> u32 {
        self.node()
    }

    fn node(&mut self) -> u32 {
        let empty = TrieNode { any: None, tokens: 0, pairs: 0, least: u32::MAX, wide_start: 0, wide_end: 0 };
        self.nodes.push(empty);
        (self.nodes.len() - 1) as u32
    }

    fn child(&mut self, parent: u32, token: Token) -> u32 {
        let found = match token {
            Token::ANY => self.nodes[parent as usize].any,
            _ => self.edges.get(parent, token.0),
        };
        if let Some(child) = found {
            return child;
        }
        let child = self.node();
        if token == Token::ANY {
            self.nodes[parent as usize].any = Some(child);
        } else {
            self.nodes[parent as usize].tokens |= token_bit(token);
            self.edges.insert(parent, token.0, child);
        }
        child
    }

    /// The last node of a path from a root, for a rule at `place` that concerns the pairs of `mask`.
    pub(super) fn path(&mut self, root: u32, path: [Token; 3], place: u32, mask: u64) -> u32 {
        let mut at = root;
        self.touch(at, place, mask);
        for token in path {
            at = self.child(at, token);
            self.touch(at, place, mask);
        }
        at
    }

    fn touch(&mut self, at: u32, place: u32, mask: u64) {
        let node = &mut self.nodes[at as usize];
        node.pairs |= mask;
        node.least = node.least.min(place);
    }

    /// The number of an end; numbers are given in order from 0.
    pub(super) fn end(&mut self, last: u32, end: End) -> u32 {
        let next = self.filed.len() as u32;
        let number = *self.ends.entry((last, end)).or_insert(next);
        if number == next {
            self.filed.push((last, end));
        }
        number
    }

    /// The index, given the entry of each end.
    pub(super) fn finish(mut self, entries: &[u32]) -> Index {
        let mut wide: Vec<(u32, Wide)> = Vec::new();
        for ((last, end), entry) in self.filed.iter().zip(entries) {
            match end {
                End::Pair(pair) => self.edges.insert(*last, *pair, *entry),
                End::Shape(shape) => wide.push((*last, Wide { shape: *shape, entry: *entry })),
            }
        }
        wide.sort_by_key(|(last, _)| *last);
        for (i, (last, _)) in wide.iter().enumerate() {
            let node = &mut self.nodes[*last as usize];
            if node.wide_end == 0 {
                node.wide_start = i as u32;
            }
            node.wide_end = i as u32 + 1;
        }
        Index { nodes: self.nodes, edges: self.edges, wide: wide.into_iter().map(|(_, w)| w).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_ranges() {
        let shape = Shape::of(&[1, 2, 3, 7, 9, 10]);
        assert_eq!(shape.0, [(1, 4), (7, 8), (9, 11)]);
        let members: Vec<u32> = (0..12).filter(|p| shape.contains(*p)).collect();
        assert_eq!(members, [1, 2, 3, 7, 9, 10]);
        assert_eq!(shape.len(), 6);
        assert!(!Shape::of(&[]).contains(0));
    }

    #[test]
    fn paths_are_shared_and_masks_tell() {
        let mut builder = IndexBuilder::default();
        let root = builder.root();
        let who = Token::exact(4);
        let a = builder.path(root, [who, Token::ANY, Token::ANY], 7, pair_bit(3));
        let b = builder.path(root, [who, Token::ANY, Token::ANY], 5, pair_bit(4));
        assert_eq!(a, b);
        let ends =
            [builder.end(a, End::Pair(3)), builder.end(a, End::Shape(0)), builder.end(b, End::Pair(3))];
        assert_eq!(ends, [0, 1, 0]);
        let index = builder.finish(&[10, 11]);
        let first = index.nodes[root as usize];
        assert_eq!((first.least, first.pairs, first.tokens), (5, pair_bit(3) | pair_bit(4), token_bit(who)));
        assert_eq!(index.edges.get(a, 3), Some(10));
        let last = index.nodes[a as usize];
        assert_eq!(
            index.wide[last.wide_start as usize..last.wide_end as usize],
            [Wide { shape: 0, entry: 11 }]
        );
    }
}
