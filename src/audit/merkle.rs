//! The Merkle tree of a log: roots, inclusion proofs, consistency proofs, and their verification.
//!
//! In:    leaf hashes in the order of the log.
//! Out:   roots and proofs for any size up to the tree's, and the pure functions that verify them.
//! Law:   the root equals the recursive definition of RFC 9162 section 2.1.1 at every size; every proof made here
//!        verifies, and the vectors of tests/audit/rfc6962-vectors.json say what must not.
//! After: RFC 6962 section 2.1, RFC 9162 section 2.1 (SHA-256; 0x00 before a leaf, 0x01 before two nodes).

use super::bytes::{Bytes, Hash32};
use sha2::{Digest, Sha256};
use std::io;

/// Leaves below one block; the roots of full blocks are kept so that a proof reads few leaves.
const BLOCK: u64 = 256;

/// The hash of a leaf: SHA-256(0x00 ‖ `parts` one after the other).
pub fn leaf_hash(parts: &[&[u8]]) -> Hash32 {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    for part in parts {
        hasher.update(part);
    }
    Bytes(hasher.finalize().into())
}

/// The hash of a node over two others: SHA-256(0x01 ‖ `left` ‖ `right`).
pub fn node_hash(left: &Hash32, right: &Hash32) -> Hash32 {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left.0);
    hasher.update(right.0);
    Bytes(hasher.finalize().into())
}

/// The root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Hash32 {
    Bytes(Sha256::digest([]).into())
}

/// Where leaf hashes are kept. A proof reads at most a few hundred of them.
pub trait Leaves {
    /// The hashes of the leaves from `first`, `count` of them.
    ///
    /// - Errors: the store can't be read, or doesn't hold them all.
    fn leaves(&self, first: u64, count: usize) -> io::Result<Vec<Hash32>>;
}

impl Leaves for [Hash32] {
    fn leaves(&self, first: u64, count: usize) -> io::Result<Vec<Hash32>> {
        let first = usize::try_from(first).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = first.checked_add(count).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.get(first..end).map(<[Hash32]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Leaves for Vec<Hash32> {
    fn leaves(&self, first: u64, count: usize) -> io::Result<Vec<Hash32>> {
        self.as_slice().leaves(first, count)
    }
}

/// The right edge of a tree: as much of it as is needed to append and to know the root. O(log n) of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// The roots of the full subtrees, largest first: one for each bit of `size`.
    roots: Vec<Hash32>,
}

impl Edge {
    /// The edge of a tree of `size` leaves with these full subtrees; none if their number doesn't fit the size.
    pub fn of(size: u64, roots: Vec<Hash32>) -> Option<Edge> {
        (roots.len() == size.count_ones() as usize).then_some(Edge { size, roots })
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the full subtrees, largest first.
    pub fn roots(&self) -> &[Hash32] {
        &self.roots
    }

    /// Appends a leaf; O(1) amortized, at most 64 hashes.
    pub fn push(&mut self, leaf: Hash32) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.roots.pop().expect("edge: one root for each bit of its size");
            node = node_hash(&left, &node);
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// The root over all leaves.
    pub fn root(&self) -> Hash32 {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else { return empty_root() };
        roots.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// A tree that can also prove: its edge, and the root of every full block of 256 leaves (an eighth of a byte a leaf).
#[derive(Clone, Debug, Default)]
pub struct Tree {
    blocks: Vec<Hash32>,
    /// The edge over the full blocks, in blocks.
    full: Edge,
    /// The edge of the block that isn't full yet.
    open: Edge,
}

impl Tree {
    /// The tree over leaves that are in memory.
    pub fn over(leaves: &[Hash32]) -> Tree {
        let mut tree = Tree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.full.size * BLOCK + self.open.size
    }

    /// The root over all leaves.
    pub fn root(&self) -> Hash32 {
        self.edge().root()
    }

    /// Its right edge: all that is needed to go on without the leaves.
    pub fn edge(&self) -> Edge {
        Edge { size: self.size(), roots: [self.full.roots(), self.open.roots()].concat() }
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash32) {
        self.open.push(leaf);
        if self.open.size == BLOCK {
            let block = self.open.root();
            self.blocks.push(block);
            self.full.push(block);
            self.open = Edge::default();
        }
    }

    /// The root that the tree had when it held `size` leaves.
    ///
    /// - Errors: `size` is larger than the tree, or the leaves can't be read.
    pub fn root_at(&self, leaves: &(impl Leaves + ?Sized), size: u64) -> io::Result<Hash32> {
        self.within(size)?;
        if size == self.size() { Ok(self.root()) } else { self.subtree(leaves, 0, size) }
    }

    /// The edge that the tree had when it held `size` leaves.
    ///
    /// - Errors: as [`Tree::root_at`].
    pub fn edge_at(&self, leaves: &(impl Leaves + ?Sized), size: u64) -> io::Result<Edge> {
        self.within(size)?;
        let mut roots = Vec::new();
        let mut at = 0;
        for bit in (0..64).rev().map(|n| 1u64 << n).filter(|bit| size & bit != 0) {
            roots.push(self.subtree(leaves, at, at + bit)?);
            at += bit;
        }
        Ok(Edge { size, roots })
    }

    /// The proof that leaf `index` is in the tree of the first `size` leaves (RFC 9162 section 2.1.3.1).
    ///
    /// - Errors: there is no such leaf or size, or the leaves can't be read.
    pub fn inclusion(
        &self,
        leaves: &(impl Leaves + ?Sized),
        index: u64,
        size: u64,
    ) -> io::Result<Vec<Hash32>> {
        self.within(size)?;
        if index >= size {
            return Err(invalid(format!("no record {index} in a log of {size}")));
        }
        let (mut begin, mut end) = (0, size);
        let mut proof = Vec::new();
        while end - begin > 1 {
            let middle = begin + split(end - begin);
            if index < middle {
                proof.push(self.subtree(leaves, middle, end)?);
                end = middle;
            } else {
                proof.push(self.subtree(leaves, begin, middle)?);
                begin = middle;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// The proof that the tree of `from` leaves is the beginning of the tree of `to` leaves (RFC 9162 section 2.1.4.1).
    ///
    /// - Errors: not `0 < from <= to <=` the size, or the leaves can't be read.
    pub fn consistency(
        &self,
        leaves: &(impl Leaves + ?Sized),
        from: u64,
        to: u64,
    ) -> io::Result<Vec<Hash32>> {
        self.within(to)?;
        if from == 0 || from > to {
            return Err(invalid(format!("no proof leads from a log of {from} records to one of {to}")));
        }
        let (mut begin, mut end) = (0, to);
        let mut proof = Vec::new();
        while from != end {
            let middle = begin + split(end - begin);
            if from <= middle {
                proof.push(self.subtree(leaves, middle, end)?);
                end = middle;
            } else {
                proof.push(self.subtree(leaves, begin, middle)?);
                begin = middle;
            }
        }
        if begin > 0 {
            proof.push(self.subtree(leaves, begin, end)?);
        }
        proof.reverse();
        Ok(proof)
    }

    fn within(&self, size: u64) -> io::Result<()> {
        if size <= self.size() {
            return Ok(());
        }
        Err(invalid(format!("the log holds {} records, not {size}", self.size())))
    }

    /// The root over the leaves from `begin` to `end`, which are one subtree of some tree.
    fn subtree(&self, leaves: &(impl Leaves + ?Sized), begin: u64, end: u64) -> io::Result<Hash32> {
        let count = end - begin;
        if begin.is_multiple_of(BLOCK)
            && count == BLOCK
            && let Some(root) = self.blocks.get((begin / BLOCK) as usize)
        {
            return Ok(*root);
        }
        if count <= BLOCK {
            let mut edge = Edge::default();
            leaves.leaves(begin, count as usize)?.into_iter().for_each(|leaf| edge.push(leaf));
            return Ok(edge.root());
        }
        let middle = begin + split(count);
        Ok(node_hash(&self.subtree(leaves, begin, middle)?, &self.subtree(leaves, middle, end)?))
    }
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Whether `proof` shows that `leaf` is record `index` of the log of `size` records with this root (RFC 9162 section 2.1.3.2).
pub fn verify_inclusion(index: u64, size: u64, leaf: &Hash32, proof: &[Hash32], root: &Hash32) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for step in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(step, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the log of `from` records with root `old` is the beginning of the log of `to` records with root
/// `new` (RFC 9162 section 2.1.4.2). From an empty log nothing can be shown.
pub fn verify_consistency(from: u64, to: u64, old: &Hash32, new: &Hash32, proof: &[Hash32]) -> bool {
    if from == 0 || from > to {
        return false;
    }
    if from == to {
        return proof.is_empty() && old == new;
    }
    let mut steps = proof.iter();
    let first = if from.is_power_of_two() { Some(old) } else { steps.next() };
    let Some(first) = first else { return false };
    let shift = (from - 1).trailing_ones();
    let (mut node, mut last) = ((from - 1) >> shift, (to - 1) >> shift);
    let (mut of_old, mut of_new) = (*first, *first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            of_old = node_hash(step, &of_old);
            of_new = node_hash(step, &of_new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            of_new = node_hash(&of_new, step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && of_old == *old && of_new == *new
}

#[cfg(test)]
#[path = "merkle_tests.rs"]
mod tests;
