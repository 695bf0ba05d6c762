//! Decision diagrams: of one test ([`Diagrams::body`]), and of several rules merged ([`Diagrams::merge`]).
//!
//! In:    tests over atoms that are numbered in asking order; rules as (diagram, place), in the order of their places.
//! Out:   nodes in one store, shared by everything; children before parents.
//! Law:   the first step that ends in a rule names the lowest place whose test holds.
//! After: R. Bryant, "Graph-Based Algorithms for Boolean Function Manipulation", 1986. An ordered diagram can grow
//!        exponentially; past its budget a test is asked part by part instead, and rules stay in sequence.

use super::node::{Node, Ref, Step};
use super::simplify::{Test, TestId, Tests};
use crate::limits::{BUCKET_NODES_MAX, CONDITION_NODES_MAX};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// Nodes of the ordered diagram of one test; past this it is asked part by part.
const ORDERED_NODES_MAX: usize = 512;
/// Depth of one operation on diagrams.
const OPERATION_DEPTH_MAX: usize = 1_024;
/// Nodes of scratch space kept from one diagram to the next.
const SCRATCH_NODES_MAX: usize = 1 << 17;

/// Nodes that are shared: equal ones get one number, and a node both of whose ways are one is that way.
#[derive(Default)]
pub(super) struct Store {
    pub(super) nodes: Vec<Node>,
    unique: FxHashMap<Node, Ref>,
}

impl Store {
    fn add(&mut self, atom: u32, yes: Ref, no: Ref) -> Ref {
        if yes == no {
            return yes;
        }
        let node = Node { atom, yes, no };
        let next = Ref(self.nodes.len() as u32);
        let found = *self.unique.entry(node).or_insert(next);
        if found == next {
            self.nodes.push(node);
        }
        found
    }

    fn clear(&mut self) {
        self.nodes.clear();
        self.unique.clear();
    }

    /// The nodes under a root, children first.
    pub(super) fn under(&self, root: Ref) -> Vec<u32> {
        let mut seen = rustc_hash::FxHashSet::default();
        let mut stack = vec![root];
        while let Some(at) = stack.pop() {
            if let Some(ix) = at.node()
                && seen.insert(ix as u32)
            {
                stack.extend([self.nodes[ix].yes, self.nodes[ix].no]);
            }
        }
        let mut all: Vec<u32> = seen.into_iter().collect();
        all.sort_unstable();
        all
    }

    /// Copies what is under a root from another store, each leaf through `leaf`.
    fn copy(&mut self, from: &Store, root: Ref, leaf: impl Fn(Ref) -> Ref) -> Ref {
        let mut moved: FxHashMap<u32, Ref> = FxHashMap::default();
        let to = |at: Ref, moved: &FxHashMap<u32, Ref>| match at.node() {
            Some(ix) => moved[&(ix as u32)],
            None => leaf(at),
        };
        for ix in from.under(root) {
            let Node { atom, yes, no } = from.nodes[ix as usize];
            let copied = self.add(atom, to(yes, &moved), to(no, &moved));
            moved.insert(ix, copied);
        }
        to(root, &moved)
    }
}

/// The diagram of one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Body {
    /// In the store.
    pub(super) root: Ref,
    /// Its nodes ask atoms in ascending order, so that it can be merged.
    pub(super) ordered: bool,
    /// How many nodes it has.
    pub(super) size: u32,
}

/// Why rules stay in sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sequenced {
    /// Merging them would make too many nodes.
    Nodes,
    /// One of their conditions is too large to be put in order.
    Condition,
    /// The nodes that merging may make in the whole tree are used up.
    Total,
}

/// Past a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Over;

/// Diagrams being built.
#[derive(Default)]
pub(super) struct Diagrams {
    /// What is kept.
    pub(super) store: Store,
    scratch: Store,
    limit: usize,
    of_test: FxHashMap<TestId, Ref>,
    chosen: FxHashMap<(Ref, Ref, Ref), Ref>,
    overlaid: FxHashMap<(Ref, Ref), Ref>,
    bodies: FxHashMap<TestId, Body>,
    /// Nodes that merging may still add: grows with what is filed, so that the tree stays linear in its rules.
    spare: usize,
}

/// Rules next to each other: one, or several merged in the scratch store.
#[derive(Clone, Copy)]
struct Chunk {
    root: Ref,
    place: u32,
    ordered: bool,
    weight: usize,
    scratch: Option<Ref>,
}

impl Diagrams {
    fn forget(&mut self) {
        if self.scratch.nodes.len() > SCRATCH_NODES_MAX {
            self.scratch.clear();
            self.of_test.clear();
            self.chosen.clear();
            self.overlaid.clear();
        }
    }

    /// The diagram of a test.
    pub(super) fn body(&mut self, tests: &Tests, test: TestId) -> Result<Body, Over> {
        if let Some(body) = self.bodies.get(&test) {
            return Ok(*body);
        }
        self.forget();
        self.limit = self.scratch.nodes.len() + 4 * ORDERED_NODES_MAX;
        let ordered = self.ordered(tests, test);
        let body = match ordered.map(|root| (root, self.scratch.under(root).len())) {
            Ok((root, size)) if size <= ORDERED_NODES_MAX => {
                let root = self.store.copy(&self.scratch, root, |leaf| leaf);
                Body { root, ordered: true, size: size as u32 }
            }
            _ => {
                let root = Parts::new(tests, &mut self.store).ask(test, Ref::YES, Ref::NO)?;
                Body { root, ordered: false, size: self.store.under(root).len() as u32 }
            }
        };
        self.spare = self.spare.saturating_add(4 * body.size as usize);
        self.bodies.insert(test, body);
        Ok(body)
    }

    /// The ordered diagram of a test, in the scratch store.
    fn ordered(&mut self, tests: &Tests, id: TestId) -> Result<Ref, Over> {
        if let Some(root) = self.of_test.get(&id) {
            return Ok(*root);
        }
        let root = match &tests.tests[id.0 as usize] {
            Test::Const(holds) => {
                if *holds {
                    Ref::YES
                } else {
                    Ref::NO
                }
            }
            Test::Atom(atom) => self.scratch.add(*atom, Ref::YES, Ref::NO),
            Test::Not(inner) => {
                let inner = self.ordered(tests, *inner)?;
                self.choose(inner, Ref::NO, Ref::YES, 0)?
            }
            Test::And(parts) => {
                let parts = self.ordered_parts(tests, parts)?;
                parts.into_iter().try_fold(Ref::YES, |all, part| self.choose(part, all, Ref::NO, 0))?
            }
            Test::Or(parts) => {
                let parts = self.ordered_parts(tests, parts)?;
                parts.into_iter().try_fold(Ref::NO, |all, part| self.choose(part, Ref::YES, all, 0))?
            }
            Test::If(test, yes, no) => {
                let (test, yes, no) =
                    (self.ordered(tests, *test)?, self.ordered(tests, *yes)?, self.ordered(tests, *no)?);
                self.choose(test, yes, no, 0)?
            }
        };
        self.of_test.insert(id, root);
        Ok(root)
    }

    /// The diagrams of several tests, the one that asks last first: then joining them mostly adds on top.
    fn ordered_parts(&mut self, tests: &Tests, parts: &[TestId]) -> Result<Vec<Ref>, Over> {
        let mut roots = parts.iter().map(|part| self.ordered(tests, *part)).collect::<Result<Vec<_>, _>>()?;
        roots.sort_by_key(|root| std::cmp::Reverse(self.top(*root)));
        Ok(roots)
    }

    fn top(&self, at: Ref) -> u32 {
        at.node().map_or(u32::MAX, |ix| self.scratch.nodes[ix].atom)
    }

    fn ways(&self, at: Ref, atom: u32) -> (Ref, Ref) {
        match at.node().map(|ix| self.scratch.nodes[ix]) {
            Some(node) if node.atom == atom => (node.yes, node.no),
            _ => (at, at),
        }
    }

    /// If a test's diagram says yes the second, else the third.
    fn choose(&mut self, test: Ref, yes: Ref, no: Ref, depth: usize) -> Result<Ref, Over> {
        match (test, yes, no) {
            (Ref::YES, ..) => return Ok(yes),
            (Ref::NO, ..) => return Ok(no),
            _ if yes == no => return Ok(yes),
            (_, Ref::YES, Ref::NO) => return Ok(test),
            _ => {}
        }
        if let Some(root) = self.chosen.get(&(test, yes, no)) {
            return Ok(*root);
        }
        if depth > OPERATION_DEPTH_MAX || self.scratch.nodes.len() > self.limit {
            return Err(Over);
        }
        let atom = self.top(test).min(self.top(yes)).min(self.top(no));
        let (test_yes, test_no) = self.ways(test, atom);
        let (yes_yes, yes_no) = self.ways(yes, atom);
        let (no_yes, no_no) = self.ways(no, atom);
        let if_yes = self.choose(test_yes, yes_yes, no_yes, depth + 1)?;
        let if_no = self.choose(test_no, yes_no, no_no, depth + 1)?;
        let root = self.scratch.add(atom, if_yes, if_no);
        self.chosen.insert((test, yes, no), root);
        Ok(root)
    }

    /// The first diagram's rule where it names one, else the second's.
    fn overlay(&mut self, first: Ref, second: Ref, depth: usize) -> Result<Ref, Over> {
        if first == Ref::NO {
            return Ok(second);
        }
        if first.node().is_none() || second == Ref::NO || first == second {
            return Ok(first);
        }
        if let Some(root) = self.overlaid.get(&(first, second)) {
            return Ok(*root);
        }
        if depth > OPERATION_DEPTH_MAX || self.scratch.nodes.len() > self.limit {
            return Err(Over);
        }
        let atom = self.top(first).min(self.top(second));
        let (first_yes, first_no) = self.ways(first, atom);
        let (second_yes, second_no) = self.ways(second, atom);
        let yes = self.overlay(first_yes, second_yes, depth + 1)?;
        let no = self.overlay(first_no, second_no, depth + 1)?;
        let root = self.scratch.add(atom, yes, no);
        self.overlaid.insert((first, second), root);
        Ok(root)
    }

    /// The steps that ask rules, in the order of their places; merged as far as the budget goes.
    pub(super) fn merge(&mut self, rules: &[(Body, u32)]) -> (Vec<Step>, Option<Sequenced>) {
        self.spare = self.spare.saturating_add(16 * rules.len());
        self.forget();
        let mut why = None;
        let chunks = self.chunks(rules, &mut why);
        let mut steps = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let root = match chunk.scratch {
                Some(root) if chunk.place == Step::MERGED => {
                    let before = self.store.nodes.len();
                    let root = self.store.copy(&self.scratch, root, |leaf| leaf);
                    self.spare = self.spare.saturating_sub(self.store.nodes.len() - before);
                    root
                }
                _ => chunk.root,
            };
            steps.push(Step { root, place: chunk.place });
        }
        let why = why.filter(|_| steps.len() > 1);
        (steps, why)
    }

    fn chunks(&mut self, rules: &[(Body, u32)], why: &mut Option<Sequenced>) -> Vec<Chunk> {
        if let [(body, place)] = rules {
            let Body { root, ordered, size } = *body;
            return vec![Chunk { root, place: *place, ordered, weight: size as usize, scratch: None }];
        }
        if rules.is_empty() {
            return Vec::new();
        }
        let (left, right) = rules.split_at(rules.len() / 2);
        let mut left = self.chunks(left, why);
        let right = self.chunks(right, why);
        if let ([a], [b]) = (left.as_slice(), right.as_slice()) {
            match self.join(*a, *b) {
                Ok(both) => return vec![both],
                Err(reason) => *why = Some(reason),
            }
        }
        left.extend(right);
        left
    }

    fn join(&mut self, mut a: Chunk, mut b: Chunk) -> Result<Chunk, Sequenced> {
        if !(a.ordered && b.ordered) {
            return Err(Sequenced::Condition);
        }
        let weight = a.weight + b.weight;
        let most = BUCKET_NODES_MAX.min(4 * weight + 16);
        if most > self.spare {
            return Err(Sequenced::Total);
        }
        let (first, second) = (self.in_scratch(&mut a), self.in_scratch(&mut b));
        self.limit = self.scratch.nodes.len() + 2 * most;
        let root = self.overlay(first, second, 0).map_err(|Over| Sequenced::Nodes)?;
        if self.scratch.under(root).len() > most {
            return Err(Sequenced::Nodes);
        }
        Ok(Chunk { root: Ref::NO, place: Step::MERGED, ordered: true, weight, scratch: Some(root) })
    }

    fn in_scratch(&mut self, chunk: &mut Chunk) -> Ref {
        match chunk.scratch {
            Some(root) => root,
            None => {
                let place = chunk.place;
                let named = |leaf| if leaf == Ref::YES { Ref::leaf(place) } else { leaf };
                self.scratch.copy(&self.store, chunk.root, named)
            }
        }
    }
}

/// A test asked part by part: not ordered, but no larger than the test written out.
struct Parts<'a> {
    tests: &'a Tests,
    store: &'a mut Store,
    done: FxHashMap<(TestId, Ref, Ref), Ref>,
}

impl<'a> Parts<'a> {
    fn new(tests: &'a Tests, store: &'a mut Store) -> Parts<'a> {
        Parts { tests, store, done: FxHashMap::default() }
    }

    fn ask(&mut self, id: TestId, yes: Ref, no: Ref) -> Result<Ref, Over> {
        if yes == no {
            return Ok(yes);
        }
        if let Some(root) = self.done.get(&(id, yes, no)) {
            return Ok(*root);
        }
        if self.done.len() > 4 * CONDITION_NODES_MAX {
            return Err(Over);
        }
        let tests = self.tests;
        let root = match &tests.tests[id.0 as usize] {
            Test::Const(holds) => {
                if *holds {
                    yes
                } else {
                    no
                }
            }
            Test::Atom(atom) => self.store.add(*atom, yes, no),
            Test::Not(inner) => self.ask(*inner, no, yes)?,
            Test::And(parts) => parts.iter().rev().try_fold(yes, |then, part| self.ask(*part, then, no))?,
            Test::Or(parts) => parts.iter().rev().try_fold(no, |then, part| self.ask(*part, yes, then))?,
            Test::If(test, a, b) => {
                let a = self.ask(*a, yes, no)?;
                let b = self.ask(*b, yes, no)?;
                self.ask(*test, a, b)?
            }
        };
        self.done.insert((id, yes, no), root);
        Ok(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::atom::Atom;
    use crate::value::KindId;
    use proptest::prelude::*;

    /// A test over atoms 0 to 5, as a shape that both the diagrams and a plain reading understand.
    #[derive(Clone, Debug)]
    enum Plain {
        Const(bool),
        Atom(u16),
        Not(Box<Plain>),
        And(Vec<Plain>),
        Or(Vec<Plain>),
        If(Box<(Plain, Plain, Plain)>),
    }

    fn plain() -> impl Strategy<Value = Plain> {
        let leaf =
            prop_oneof![1 => any::<bool>().prop_map(Plain::Const), 8 => (0u16..6).prop_map(Plain::Atom)];
        leaf.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                inner.clone().prop_map(|a| Plain::Not(Box::new(a))),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Plain::And),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Plain::Or),
                (inner.clone(), inner.clone(), inner).prop_map(|parts| Plain::If(Box::new(parts))),
            ]
        })
    }

    fn build(tests: &mut Tests, plain: &Plain) -> TestId {
        match plain {
            Plain::Const(holds) => tests.constant(*holds),
            Plain::Atom(n) => tests.atom(Atom::AtKind(KindId(*n))),
            Plain::Not(a) => {
                let a = build(tests, a);
                tests.not(a)
            }
            Plain::And(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| build(tests, part)).collect();
                tests.and(&parts)
            }
            Plain::Or(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| build(tests, part)).collect();
                tests.or(&parts)
            }
            Plain::If(parts) => {
                let (a, b, c) = (build(tests, &parts.0), build(tests, &parts.1), build(tests, &parts.2));
                tests.choose(a, b, c)
            }
        }
    }

    fn holds(plain: &Plain, world: u32) -> bool {
        match plain {
            Plain::Const(holds) => *holds,
            Plain::Atom(n) => world >> n & 1 == 1,
            Plain::Not(a) => !holds(a, world),
            Plain::And(parts) => parts.iter().all(|part| holds(part, world)),
            Plain::Or(parts) => parts.iter().any(|part| holds(part, world)),
            Plain::If(parts) => {
                if holds(&parts.0, world) {
                    holds(&parts.1, world)
                } else {
                    holds(&parts.2, world)
                }
            }
        }
    }

    fn walk(tests: &Tests, store: &Store, mut at: Ref, world: u32) -> Ref {
        while let Some(ix) = at.node() {
            let node = store.nodes[ix];
            let Atom::AtKind(kind) = tests.atoms[node.atom as usize] else { unreachable!("only kinds here") };
            at = if world >> kind.0 & 1 == 1 { node.yes } else { node.no };
        }
        at
    }

    fn first(tests: &Tests, store: &Store, steps: &[Step], world: u32) -> Option<u32> {
        steps.iter().find_map(|step| match (walk(tests, store, step.root, world), step.place) {
            (leaf, Step::MERGED) => leaf.place(),
            (leaf, place) => (leaf != Ref::NO).then_some(place),
        })
    }

    proptest! {
        #[test]
        fn both_diagrams_of_a_test_mean_the_test(plain in plain()) {
            let mut tests = Tests::default();
            let mut diagrams = Diagrams::default();
            let test = build(&mut tests, &plain);
            let ordered = diagrams.body(&tests, test).expect("small");
            let parts = Parts::new(&tests, &mut diagrams.store).ask(test, Ref::YES, Ref::NO).expect("small");
            for world in 0..64 {
                let expected = if holds(&plain, world) { Ref::YES } else { Ref::NO };
                prop_assert_eq!(walk(&tests, &diagrams.store, ordered.root, world), expected);
                prop_assert_eq!(walk(&tests, &diagrams.store, parts, world), expected);
            }
        }

        #[test]
        fn merged_rules_name_the_first_that_matches(plains in prop::collection::vec(plain(), 1..24), spare in any::<bool>()) {
            let mut tests = Tests::default();
            let mut diagrams = Diagrams::default();
            let rules: Vec<(Body, u32)> = plains
                .iter()
                .zip(0..)
                .map(|(plain, place)| {
                    let test = build(&mut tests, plain);
                    (diagrams.body(&tests, test).expect("small"), 3 * place)
                })
                .collect();
            if !spare {
                diagrams.spare = 0;
            }
            let (steps, _) = diagrams.merge(&rules);
            for world in 0..64 {
                let expected = plains.iter().position(|plain| holds(plain, world)).map(|i| 3 * i as u32);
                prop_assert_eq!(first(&tests, &diagrams.store, &steps, world), expected);
            }
        }
    }

    /// Ten thousand rules of two atoms each over twenty atoms: merging all would explode.
    #[test]
    fn a_bucket_past_its_budget_stays_in_sequence_and_linear() {
        let mut tests = Tests::default();
        let mut diagrams = Diagrams::default();
        let mut seed = 1u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as u16
        };
        let mut rules = Vec::new();
        for place in 0..10_000 {
            let parts: Vec<TestId> = (0..4)
                .map(|_| {
                    let atom = tests.atom(Atom::AtKind(KindId(random() % 20)));
                    if random() % 2 == 0 { tests.not(atom) } else { atom }
                })
                .collect();
            let test = tests.and(&parts);
            rules.push((diagrams.body(&tests, test).expect("small"), place));
        }
        let (steps, why) = diagrams.merge(&rules);
        assert_eq!(why, Some(Sequenced::Nodes));
        assert!(diagrams.store.nodes.len() < 40 * rules.len(), "{} nodes", diagrams.store.nodes.len());
        assert!(steps.len() < rules.len());
        for world in [0, 5, 77_777, 999_999] {
            let expected =
                rules.iter().find(|(b, _)| walk(&tests, &diagrams.store, b.root, world) == Ref::YES);
            assert_eq!(first(&tests, &diagrams.store, &steps, world), expected.map(|(_, place)| *place));
        }
    }
}
