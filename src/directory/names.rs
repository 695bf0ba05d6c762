//! A persistent index from names to numbers: [`Names`].
//!
//! In:    the hash of a name ([`crate::value::hash_name`]) and the number of the record that has it.
//! Out:   the number. The name itself stands in the record alone, which is asked whether it is the one.
//! Law:   a clone costs nothing and never changes again; a change copies a bucket and at most eight branches.
//!
//! The hash has no key, so that a tree and a directory may share it and runs can be repeated. Who may add names can
//! therefore make ones with equal hashes. They stand in one bucket, which only these names look at: looking one of them up
//! or changing one then costs a pass over all of them, and nobody else's names become slower.

use std::sync::Arc;

/// Children of a branch: a level takes four bits.
const FANOUT: usize = 16;
const BITS: u32 = 4;
/// Levels: after these the 32 bits that are kept of a hash are used up, and a bucket grows without bound.
const DEPTH_MAX: u32 = 8;
/// Entries that a bucket holds before it is split.
const BUCKET_MAX: usize = 32;

/// A hash trie with the numbers of records.
#[derive(Clone, Debug, Default)]
pub struct Names {
    root: Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// The upper half of the hash.
    print: u32,
    at: u32,
}

#[derive(Clone, Debug, Default)]
enum Node {
    #[default]
    Empty,
    Bucket(Arc<[Entry]>),
    Branch(Arc<[Node; FANOUT]>),
}

fn print(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn child(print: u32, depth: u32) -> usize {
    (print >> (BITS * depth)) as usize % FANOUT
}

impl Names {
    /// The number of the record whose name has this hash and that `is` the one asked for.
    #[inline]
    pub fn get(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let print = print(hash);
        let mut rest = print;
        let mut node = &self.root;
        loop {
            match node {
                Node::Branch(children) => {
                    node = &children[rest as usize % FANOUT];
                    rest >>= BITS;
                }
                Node::Bucket(entries) => {
                    return entries.iter().find(|e| e.print == print && is(e.at)).map(|e| e.at);
                }
                Node::Empty => return None,
            }
        }
    }

    /// The numbers of records whose names may have these hashes, as far as half of a hash can tell; walked to in step, so that the
    /// memory of all of them is waited for at once.
    #[cfg(feature = "server")]
    pub fn likely(&self, hashes: impl Iterator<Item = u64>) -> Vec<u32> {
        let mut all: Vec<(u32, &Node)> = hashes.map(|hash| (print(hash), &self.root)).collect();
        for depth in 0..DEPTH_MAX {
            let mut deeper = false;
            for (print, node) in &mut all {
                if let Node::Branch(children) = node {
                    (*node, deeper) = (&children[child(*print, depth)], true);
                }
            }
            if !deeper {
                break;
            }
        }
        let entry = |(print, node): &(u32, &Node)| match node {
            Node::Bucket(entries) => entries.iter().find(|e| e.print == *print).map(|e| e.at),
            _ => None,
        };
        all.iter().filter_map(entry).collect()
    }

    /// Adds a number that is not there yet.
    pub fn insert(&mut self, hash: u64, at: u32) {
        let entry = Entry { print: print(hash), at };
        let mut node = &mut self.root;
        let mut depth = 0;
        loop {
            match node {
                Node::Empty => {
                    *node = Node::Bucket(Arc::from([entry]));
                    return;
                }
                Node::Bucket(entries) if entries.len() < BUCKET_MAX || depth >= DEPTH_MAX => {
                    *entries = entries.iter().copied().chain([entry]).collect();
                    return;
                }
                Node::Bucket(entries) => *node = split(entries, depth),
                Node::Branch(_) => {}
            }
            if let Node::Branch(children) = node {
                node = &mut Arc::make_mut(children)[child(entry.print, depth)];
                depth += 1;
            } else {
                unreachable!("an empty or small node was filled, a full bucket split");
            }
        }
    }

    /// Takes a number out that is there under this hash.
    pub fn remove(&mut self, hash: u64, at: u32) {
        remove(&mut self.root, Entry { print: print(hash), at }, 0);
    }
}

/// A branch in place of a full bucket.
fn split(entries: &[Entry], depth: u32) -> Node {
    let mut parts: [Vec<Entry>; FANOUT] = Default::default();
    for entry in entries {
        parts[child(entry.print, depth)].push(*entry);
    }
    let node = |part: Vec<Entry>| if part.is_empty() { Node::Empty } else { Node::Bucket(part.into()) };
    Node::Branch(Arc::new(parts.map(node)))
}

/// Takes an entry out below a node; what becomes empty vanishes. No deeper than [`DEPTH_MAX`].
fn remove(node: &mut Node, entry: Entry, depth: u32) {
    match node {
        Node::Empty => {}
        Node::Bucket(entries) => {
            let rest: Arc<[Entry]> = entries.iter().copied().filter(|e| *e != entry).collect();
            *node = if rest.is_empty() { Node::Empty } else { Node::Bucket(rest) };
        }
        Node::Branch(children) => {
            let children = Arc::make_mut(children);
            remove(&mut children[child(entry.print, depth)], entry, depth + 1);
            if children.iter().all(|c| matches!(c, Node::Empty)) {
                *node = Node::Empty;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{KindId, hash_name};

    #[test]
    fn many_names_are_found_and_lost() {
        let id = |n: u32| format!("a{n}");
        let hash = |n: u32| hash_name(KindId(5), &id(n));
        let mut names = Names::default();
        for n in 0..20_000 {
            names.insert(hash(n), n);
        }
        let all = names.clone();
        for n in (0..20_000).filter(|n| n % 3 == 0) {
            names.remove(hash(n), n);
        }
        for n in 0..20_000 {
            assert_eq!(all.get(hash(n), |at| at == n), Some(n));
            #[cfg(feature = "server")]
            assert!(all.likely([hash(n), hash(20_000)].into_iter()).contains(&n));
            assert_eq!(names.get(hash(n), |at| at == n), (n % 3 != 0).then_some(n));
        }
        assert_eq!(all.get(hash(20_000), |_| false), None);
        (0..20_000).for_each(|n| names.remove(hash(n), n));
        assert!(matches!(names.root, Node::Empty));
    }

    #[test]
    fn names_that_collide_stand_in_one_bucket() {
        let mut names = Names::default();
        for n in 0..5_000 {
            names.insert(0xdead_beef_0000_0000 | u64::from(n), n);
        }
        names.insert(0xdead_bee0_0000_0000, 9_999);
        assert!((0..5_000).all(|n| names.get(0xdead_beef_0000_0000, |at| at == n) == Some(n)));
        assert_eq!(names.get(0xdead_bee0_0000_0000, |_| true), Some(9_999));
        (0..5_000).for_each(|n| names.remove(0xdead_beef_0000_0000, n));
        assert_eq!(names.get(0xdead_beef_0000_0000, |_| true), None);
        assert_eq!(names.get(0xdead_bee0_0000_0000, |_| true), Some(9_999));
    }

    /// Ids of the usual make: every level of the trie is used evenly.
    #[test]
    fn hashes_are_spread() {
        for ids in [|n: u32| format!("a{n}"), |n: u32| format!("organization/project-{n}/production")] {
            let mut counts = [0usize; 4096];
            (0..100_000).for_each(|n| counts[print(hash_name(KindId(5), &ids(n))) as usize % 4096] += 1);
            let most = counts.iter().max();
            assert!(counts.iter().all(|c| *c > 0) && most < Some(&60), "{most:?}, 24 would be even");
        }
    }
}
