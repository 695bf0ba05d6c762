//! A persistent table of records: [`Table`].
//!
//! In:    records, put in and taken out by number.
//! Out:   the record with a number, in three loads up to 1,048,576 of them.
//! Law:   a clone costs nothing and never changes again; a change copies one leaf and the branches above it, however
//!        many records there are. A number that was taken out is given again, the last one first.

use std::ops::Index;
use std::sync::Arc;

/// Records in a leaf: what a change copies.
const LEAF: usize = 64;
/// Children of a branch.
const BRANCH: usize = 128;
const LEAF_BITS: u32 = LEAF.trailing_zeros();
const BRANCH_BITS: u32 = BRANCH.trailing_zeros();
/// The end of the list of free numbers.
const NONE: u32 = u32::MAX;

/// A persistent vector of records with holes.
#[derive(Clone, Debug)]
pub struct Table<T> {
    root: Node<T>,
    /// Branches above a leaf.
    height: u32,
    /// One past the highest number ever given.
    slots: u32,
    /// Records held.
    live: u32,
    /// The first of the free numbers; each names the next.
    free: u32,
}

#[derive(Debug)]
enum Node<T> {
    Empty,
    Branch(Arc<[Node<T>; BRANCH]>),
    Leaf(Arc<[Slot<T>; LEAF]>),
}

#[derive(Clone, Debug)]
enum Slot<T> {
    Full(T),
    /// Nothing here, and the next free number.
    Free(u32),
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        match self {
            Node::Empty => Node::Empty,
            Node::Branch(children) => Node::Branch(Arc::clone(children)),
            Node::Leaf(slots) => Node::Leaf(Arc::clone(slots)),
        }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { root: Node::Empty, height: 0, slots: 0, live: 0, free: NONE }
    }
}

impl<T> Table<T> {
    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.live as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// One past the highest number that a record has or had.
    pub fn slots(&self) -> usize {
        self.slots as usize
    }

    /// The record with a number.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&T> {
        let mut shift = LEAF_BITS + BRANCH_BITS * self.height;
        if at >> shift != 0 {
            return None;
        }
        let mut node = &self.root;
        loop {
            match node {
                Node::Branch(children) => {
                    shift -= BRANCH_BITS;
                    node = &children[(at >> shift) % BRANCH];
                }
                Node::Leaf(slots) => {
                    return match &slots[at % LEAF] {
                        Slot::Full(record) => Some(record),
                        Slot::Free(_) => None,
                    };
                }
                Node::Empty => return None,
            }
        }
    }

    /// All records, by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.numbered().map(|(_, record)| record)
    }

    /// All records with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..self.slots).filter_map(|at| Some((at, self.get(at as usize)?)))
    }
}

impl<T: Clone> Table<T> {
    /// Puts a record in and returns its number.
    pub fn insert(&mut self, record: T) -> u32 {
        let at = if self.free == NONE { self.slots } else { self.free };
        while (at as usize) >> (LEAF_BITS + BRANCH_BITS * self.height) != 0 {
            let mut children = [const { Node::Empty }; BRANCH];
            children[0] = std::mem::replace(&mut self.root, Node::Empty);
            self.root = Node::Branch(Arc::new(children));
            self.height += 1;
        }
        let slot = slot_mut(&mut self.root, self.height, at as usize);
        let before = std::mem::replace(slot, Slot::Full(record));
        match before {
            Slot::Free(next) if self.free == at => self.free = next,
            _ => self.slots += 1,
        }
        self.live += 1;
        at
    }

    /// Takes a record out; its number is free.
    pub fn remove(&mut self, at: usize) -> Option<T> {
        self.get(at)?;
        let slot = slot_mut(&mut self.root, self.height, at);
        let before = std::mem::replace(slot, Slot::Free(self.free));
        self.free = at as u32;
        self.live -= 1;
        match before {
            Slot::Full(record) => Some(record),
            Slot::Free(_) => None,
        }
    }

    /// The record with a number, to be changed; no clone of the table sees it.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.get(at)?;
        match slot_mut(&mut self.root, self.height, at) {
            Slot::Full(record) => Some(record),
            Slot::Free(_) => None,
        }
    }
}

/// A slot below a node, with everything on the way made this table's own.
fn slot_mut<T: Clone>(mut node: &mut Node<T>, mut height: u32, at: usize) -> &mut Slot<T> {
    loop {
        if matches!(node, Node::Empty) {
            *node = match height {
                0 => Node::Leaf(Arc::new([const { Slot::Free(NONE) }; LEAF])),
                _ => Node::Branch(Arc::new([const { Node::Empty }; BRANCH])),
            };
        }
        match node {
            Node::Branch(children) => {
                height -= 1;
                let child = (at >> (LEAF_BITS + BRANCH_BITS * height)) % BRANCH;
                node = &mut Arc::make_mut(children)[child];
            }
            Node::Leaf(slots) => return &mut Arc::make_mut(slots)[at % LEAF],
            Node::Empty => unreachable!("an empty node was filled above"),
        }
    }
}

impl<T> Index<usize> for Table<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        self.get(at).expect("a number of this directory names a record")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_million_records_stand_three_loads_deep() {
        let mut table = Table::default();
        for n in 0..1_048_576u32 {
            assert_eq!(table.insert(n), n);
        }
        assert_eq!((table.height, table.len(), table.slots()), (2, 1_048_576, 1_048_576));
        assert!(table.numbered().all(|(at, record)| at == *record));
        assert_eq!((table.get(1_048_576), table.get(usize::MAX)), (None, None));
        assert_eq!(table.insert(7), 1_048_576);
        assert_eq!((table[1_048_576], table[0], table[999_999]), (7, 0, 999_999));
    }

    proptest! {
        #[test]
        fn it_is_a_vector_with_holes(steps in prop::collection::vec((0..4u8, 0..300usize, any::<u16>()), 0..600)) {
            let mut table = Table::default();
            let mut plain: Vec<Option<u16>> = Vec::new();
            let mut kept = Vec::new();
            for (what, at, value) in steps {
                match what {
                    0 | 1 => {
                        let at = table.insert(value) as usize;
                        if at == plain.len() { plain.push(None); }
                        prop_assert_eq!(plain[at].replace(value), None, "a free number");
                    }
                    2 => {
                        let old = plain.get_mut(at).and_then(Option::take);
                        prop_assert_eq!(table.remove(at), old);
                    }
                    _ => if let Some(record) = table.get_mut(at) {
                        *record = value;
                        plain[at] = Some(value);
                    }
                }
                if value % 8 == 0 {
                    kept.push((table.clone(), plain.clone()));
                }
            }
            kept.push((table, plain));
            for (table, plain) in kept {
                prop_assert_eq!(table.len(), plain.iter().flatten().count());
                prop_assert!((0..plain.len() + 9).all(|at| table.get(at).copied() == plain.get(at).copied().flatten()));
                prop_assert!(table.iter().eq(plain.iter().flatten()));
            }
        }
    }
}
