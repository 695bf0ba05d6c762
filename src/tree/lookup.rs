//! Where deciding finds filings: [`Lookup`], made from the sorted list of them and never stored.
//!
//! - Shape: a [`Node`] of sixteen bytes for each WHO says by bits which pairs and which places are met there. A bit of a
//!   pair that is set leads, by its rank, to a [`Slot`]: the one filing of that bit, a short run of them, or a [`Split`],
//!   whose children are found by where, then what, then pair, so that what is scanned stays short however many rules there
//!   are.
//! - Law:   bits tell at once that nothing can concern a request: a set bit is a maybe, a clear bit is a no. A filing is
//!   compared in full when it is met, so that no answer depends on how filings are grouped.

use super::index::{End, Filed, Filing, Head, Shape, Then, token_bit};
use super::node::{Named, Token};
use crate::value::KindId;

/// Filings that are scanned rather than split: one line of memory.
const RUN_MAX: usize = 4;
/// Bits of a sieve for each label that it lets through.
const SIEVE_BITS: usize = 16;
/// No node; no pair; no place.
pub(super) const NONE: u32 = u32::MAX;

/// What is filed under one WHO, in sixteen bytes: a question keeps those of its account and groups side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Bits of the pairs and shapes that are met here.
    labels: u64,
    /// Bits of the places.
    places: u32,
    /// The slot of the lowest label; those of the higher ones follow.
    first: u32,
}

impl Node {
    /// One under which there is nothing.
    pub(super) const EMPTY: Node = Node { labels: 0, places: 0, first: 0 };

    /// Whether something here may concern a request with these bits.
    #[inline(always)]
    pub(super) fn may(&self, labels: u64, places: u32) -> bool {
        (self.labels & labels != 0) & (self.places & places != 0)
    }

    /// The labels that it has in common with a request.
    #[inline(always)]
    pub(super) fn common(&self, labels: u64) -> u64 {
        self.labels & labels
    }
}

/// The nodes of an account, side by side: what is the same of each stands together, so that all are looked at in a few steps.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Near {
    /// The lower and the upper half of the labels.
    labels: [[u32; NODES_NEAR]; 2],
    places: [u32; NODES_NEAR],
    first: [u32; NODES_NEAR],
}

/// Nodes that stand side by side.
pub(super) const NODES_NEAR: usize = 8;

impl Near {
    const NOTHING: [u32; NODES_NEAR] = [0; NODES_NEAR];
    /// No nodes.
    pub(super) const EMPTY: Near =
        Near { labels: [Self::NOTHING; 2], places: Self::NOTHING, first: Self::NOTHING };

    /// These nodes; those that there is no room for are left out.
    pub(super) fn of(nodes: impl Iterator<Item = Node>) -> Near {
        let mut near = Near::EMPTY;
        nodes.zip(0..NODES_NEAR).for_each(|(node, n)| near.put(n, &node));
        near
    }

    /// Puts a node at a place that is free.
    #[inline(always)]
    pub(super) fn put(&mut self, n: usize, node: &Node) {
        let n = n % NODES_NEAR;
        self.labels[0][n] = node.labels as u32;
        self.labels[1][n] = (node.labels >> 32) as u32;
        (self.places[n], self.first[n]) = (node.places, node.first);
    }

    /// For which of them [`Node::may`] holds, by bits.
    #[inline(always)]
    pub(super) fn may(&self, labels: u64, places: u32) -> u32 {
        let (low, high) = (labels as u32, (labels >> 32) as u32);
        let mut may = [0u32; NODES_NEAR];
        for (n, may) in may.iter_mut().enumerate() {
            let label = (self.labels[0][n] & low) | (self.labels[1][n] & high);
            let both = (label != 0) & (self.places[n] & places != 0);
            *may = if both { 1 << n } else { 0 };
        }
        may.iter().fold(0, |all, may| all | may)
    }

    /// One of them.
    #[inline(always)]
    pub(super) fn get(&self, n: usize) -> Node {
        let n = n % NODES_NEAR;
        let labels = u64::from(self.labels[1][n]) << 32 | u64::from(self.labels[0][n]);
        Node { labels, places: self.places[n], first: self.first[n] }
    }
}

/// What a label of a node leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(Filing);

impl Slot {
    fn many(places: u32, bunch: Bunch) -> Slot {
        let Bunch { start, end } = bunch;
        Slot(Filing { at: Token(places), what: Token(start), filed: Filed::MANY, then: Then::raw(end) })
    }

    /// Its filing; or else the bits of the places of several, and these.
    #[inline(always)]
    pub(super) fn filing(&self) -> Result<&Filing, (u32, Bunch)> {
        match self.0.filed == Filed::MANY {
            false => Ok(&self.0),
            true => Err((self.0.at.0, Bunch { start: self.0.what.0, end: self.0.then.to_raw() })),
        }
    }
}

/// Several filings: a run of them, or the number of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bunch {
    start: u32,
    end: u32,
}

impl Bunch {
    /// The run of filings, or the number of the split.
    #[inline]
    pub(super) fn get(self) -> Result<std::ops::Range<usize>, u32> {
        if self.end == NONE { Err(self.start) } else { Ok(self.start as usize..self.end as usize) }
    }
}

/// Filings that are found by a token or pair: a sieve says which labels are met, [`Edges`] where their filings are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Split {
    /// The first word of its sieve.
    first: u32,
    /// How many bits there are, less one; a power of two.
    mask: u32,
}

/// Where the filings of a block are found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// Those under anyone, or [`NONE`].
    pub(super) any: u32,
    /// Bits of the other WHOs.
    pub(super) whos: u64,
}

/// All that deciding looks at to find filings.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookup {
    /// One for each head.
    pub(super) nodes: Vec<Node>,
    slots: Vec<Slot>,
    splits: Vec<Split>,
    sieves: Vec<u64>,
    /// Children of splits by token or pair; under `GATES | gate` the nodes of its WHOs.
    edges: Edges,
    /// By number.
    pub(super) gates: Vec<Gate>,
    /// The policies' nodes of things by symbol, or [`NONE`].
    of_symbol: Vec<u32>,
    /// The same of kinds.
    of_kind: Vec<u32>,
    /// By pair: the bits of the pair and of the shapes that have it.
    labels: Vec<u64>,
}

/// Marks the edges of gates.
const GATES: u32 = 1 << 31;

impl Lookup {
    /// Of the filings of these heads, which are in order; there are so many gates and pairs.
    pub(super) fn of(
        heads: &[Head],
        filings: &[Filing],
        gates: usize,
        pairs: usize,
        shapes: &[Shape],
    ) -> Lookup {
        let mut made = Lookup { gates: vec![Gate { any: NONE, whos: 0 }; gates], ..Lookup::default() };
        let mut maker = Maker { filings, made: &mut made, edges: Vec::new() };
        let mut start = 0;
        for (head, number) in heads.iter().zip(0..) {
            maker.head(head, number, start);
            start = head.end;
        }
        let edges = maker.edges;
        made.edges = Edges::of(&edges);
        made.labels = (0..pairs as u32).map(|pair| label_bit(End::Pair(pair))).collect();
        // Of many shapes all rules are filed pair by pair: these have no bit.
        let mut filed = vec![false; shapes.len()];
        for filing in filings {
            let End::Shape(shape) = filing.filed.end() else { continue };
            if !std::mem::replace(&mut filed[shape as usize], true) {
                for pair in shapes[shape as usize].pairs() {
                    made.labels[pair as usize] |= label_bit(End::Shape(shape));
                }
            }
        }
        made
    }

    /// The bits of a pair and of the shapes that have it.
    pub(super) fn labels(&self, pair: u32) -> u64 {
        self.labels.get(pair as usize).copied().unwrap_or(0)
    }

    /// What a bit of a node's labels leads to.
    #[inline(always)]
    pub(super) fn slot(&self, node: &Node, bit: u64) -> &Slot {
        &self.slots[(node.first + (node.labels & (bit - 1)).count_ones()) as usize]
    }

    /// Whether a split may have a child of this label.
    #[inline]
    pub(super) fn may_have(&self, split: u32, label: u32) -> bool {
        let Split { first, mask } = self.splits[split as usize];
        let bit = sieve_hash(label) & mask;
        self.sieves[(first + bit / 64) as usize] >> (bit % 64) & 1 != 0
    }

    /// The child of a split by token or pair.
    #[inline]
    pub(super) fn child(&self, split: u32, label: u32) -> Option<Bunch> {
        self.edges.get(split, label)
    }

    /// The node of a gate's WHO.
    pub(super) fn who(&self, gate: u32, who: Token) -> Option<&Node> {
        let bunch = self.edges.get(GATES | gate, who.0)?;
        self.nodes.get(bunch.start as usize)
    }

    /// The policies' node of a thing, or [`NONE`].
    pub(super) fn of_symbol(&self, symbol: u32) -> u32 {
        self.of_symbol.get(symbol as usize).copied().unwrap_or(NONE)
    }

    /// The policies' node of a kind of accounts, or [`NONE`].
    pub(super) fn of_kind(&self, kind: KindId) -> u32 {
        self.of_kind.get(kind.index()).copied().unwrap_or(NONE)
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.nodes[..])
            + size_of_val(&self.slots[..])
            + size_of_val(&self.splits[..])
            + size_of_val(&self.sieves[..])
            + size_of_val(&self.edges.0[..])
            + size_of_val(&self.labels[..])
            + (self.of_symbol.len() + self.of_kind.len()) * 4
    }
}

/// The bit of a pair or shape among the labels of a node.
#[inline]
pub(super) fn label_bit(end: End) -> u64 {
    match end {
        End::Pair(pair) => 1 << (pair & 63),
        // From above, so that a vocabulary with few pairs and few shapes has a bit for each.
        End::Shape(shape) => 1 << (63 - (shape & 63)),
    }
}

/// The bit of a place. That of anything is always among the bits of a request.
#[inline]
pub(super) fn place_bit(token: Token) -> u32 {
    match token {
        Token::ANY => ANY_PLACE,
        _ => 1 << ((u64::from(token.0.wrapping_mul(0x9E37_79B1)) * 31) >> 32),
    }
}

/// The bit of [`Token::ANY`].
pub(super) const ANY_PLACE: u32 = 1 << 31;

#[inline]
fn sieve_hash(label: u32) -> u32 {
    (u64::from(label).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

/// From a split to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edge {
    parent: u32,
    label: u32,
    child: Bunch,
}

/// Edges by parent and label: a table with open addressing, at most half full, so that a look-up mostly costs one line of
/// memory.
#[derive(Clone, Debug, Default)]
struct Edges(Vec<Edge>);

impl Edges {
    const EMPTY: Edge = Edge { parent: NONE, label: NONE, child: Bunch { start: NONE, end: NONE } };

    fn of(edges: &[Edge]) -> Edges {
        if edges.is_empty() {
            return Edges::default();
        }
        let mut table = Edges(vec![Self::EMPTY; (2 * edges.len()).next_power_of_two()]);
        for edge in edges {
            let mut at = table.first(edge.parent, edge.label);
            while table.0[at] != Self::EMPTY {
                at = (at + 1) & (table.0.len() - 1);
            }
            table.0[at] = *edge;
        }
        table
    }

    /// Where the search for an edge begins; the table is not empty.
    #[inline]
    fn first(&self, parent: u32, label: u32) -> usize {
        let mixed = (u64::from(parent) << 32 | u64::from(label)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) as usize & (self.0.len() - 1)
    }

    #[inline]
    fn get(&self, parent: u32, label: u32) -> Option<Bunch> {
        if self.0.is_empty() {
            return None;
        }
        let mut at = self.first(parent, label);
        loop {
            let edge = self.0[at];
            if (edge.parent, edge.label) == (parent, label) {
                return Some(edge.child);
            }
            if edge.parent == NONE {
                return None;
            }
            at = (at + 1) & (self.0.len() - 1);
        }
    }
}

/// By what filings are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Where,
    What,
    Pair,
    /// They are not.
    Rest,
}

impl Level {
    /// By what those of one label are split.
    pub(super) fn below(self) -> Level {
        match self {
            Level::Where => Level::What,
            Level::What => Level::Pair,
            Level::Pair | Level::Rest => Level::Rest,
        }
    }

    /// The token or pair of a filing that tells it from others here; those of shapes share one.
    fn label(self, filing: &Filing) -> u32 {
        match (self, filing.filed.end()) {
            (Level::Where, _) => filing.at.0,
            (Level::What, _) => filing.what.0,
            (Level::Pair, End::Pair(pair)) => pair,
            (Level::Pair | Level::Rest, _) => NONE,
        }
    }
}

/// Groups filings.
struct Maker<'m> {
    filings: &'m [Filing],
    made: &'m mut Lookup,
    edges: Vec<Edge>,
}

impl Maker<'_> {
    fn head(&mut self, head: &Head, number: u32, start: u32) {
        let node = self.node(start, head.end);
        self.made.nodes.push(node);
        let gate = &mut self.made.gates[head.gate as usize];
        if head.who == Token::ANY {
            gate.any = number;
        } else {
            gate.whos |= token_bit(head.who);
        }
        if head.gate != 0 {
            let child = Bunch { start: number, end: number };
            self.edges.push(Edge { parent: GATES | head.gate, label: head.who.0, child });
            return;
        }
        let (list, ix) = match head.who.named() {
            Named::Exact(symbol) => (&mut self.made.of_symbol, symbol as usize),
            Named::Kind(kind) => (&mut self.made.of_kind, kind.index()),
            _ => return,
        };
        if list.len() <= ix {
            list.resize(ix + 1, NONE);
        }
        list[ix] = number;
    }

    fn node(&mut self, start: u32, end: u32) -> Node {
        let filings = self.filings;
        let mut node = Node { first: self.made.slots.len() as u32, ..Node::EMPTY };
        let mut from = start;
        for run in filings[start as usize..end as usize].chunk_by(|a, b| a.label() == b.label()) {
            let places = run.iter().fold(0, |bits, filing| bits | place_bit(filing.at));
            node.places |= places;
            node.labels |= 1 << run[0].label();
            // Its place among the slots, before those of what is below it.
            let at = self.made.slots.len();
            self.made.slots.push(Slot(run[0]));
            let to = from + run.len() as u32;
            if run.len() > 1 {
                self.made.slots[at] = Slot::many(places, self.bunch(from, to, Level::Where));
            }
            from = to;
        }
        node
    }

    /// Filings that have all in common by which they might have been told apart before.
    fn bunch(&mut self, start: u32, end: u32, level: Level) -> Bunch {
        let filings = self.filings;
        let own = &filings[start as usize..end as usize];
        if own.len() <= RUN_MAX || level == Level::Rest {
            return Bunch { start, end };
        }
        let same = |a: &Filing, b: &Filing| level.label(a) == level.label(b);
        let labels = own.chunk_by(same).count();
        let bits = (SIEVE_BITS * labels).next_power_of_two().max(64) as u32;
        let (number, first) = (self.made.splits.len() as u32, self.made.sieves.len());
        self.made.splits.push(Split { first: first as u32, mask: bits - 1 });
        self.made.sieves.resize(first + bits as usize / 64, 0);
        let mut from = start;
        for run in own.chunk_by(same) {
            let (to, label) = (from + run.len() as u32, level.label(&run[0]));
            let bit = sieve_hash(label) & (bits - 1);
            self.made.sieves[first + bit as usize / 64] |= 1 << (bit % 64);
            let child = self.bunch(from, to, level.below());
            self.edges.push(Edge { parent: number, label, child });
            from = to;
        }
        Bunch { start: number, end: NONE }
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::{Index, Leads, Path};
    use super::*;
    use crate::value::Effect;

    #[test]
    fn long_runs_are_split_and_bits_tell() {
        let path = |at: u32, what: u32, pair: u32| Path {
            gate: 0,
            tokens: [Token::exact(7), Token::exact(at), Token::exact(what)],
            end: End::Pair(pair),
            effect: Effect::Allow,
        };
        // All of one bit, one by itself, one of a shape, and one of another block.
        let mut filed: Vec<_> = (0..120).map(|n| (path(n % 2, n % 4 / 2, 64 * n), Leads::Rule(n))).collect();
        filed.push((path(5, 5, 9), Leads::Rule(200)));
        filed.push((Path { end: End::Shape(1), ..path(1, 1, 0) }, Leads::Entry(3)));
        filed.push((Path { gate: 1, ..path(0, 0, 0) }, Leads::Rule(500)));
        let mut index = Index::of(filed);
        index.make(2, 64 * 120, &[Shape::of(&[3]), Shape::of(&[9, 10])]);
        let lookup = &index.lookup;
        assert_eq!((index.heads.len(), lookup.labels(9)), (2, 1 << 9 | 1 << 62));
        let node = lookup.nodes[lookup.of_symbol(7) as usize];
        assert_eq!(node.labels, 1 << 62 | 1 << 9 | 1);
        let one = |bit| lookup.slot(&node, bit).filing().expect("one rule alone").then.leads();
        assert_eq!((one(1 << 9), one(1 << 62)), (Leads::Rule(200), Leads::Entry(3)));
        let (places, many) = lookup.slot(&node, 1).filing().expect_err("many rules");
        assert_eq!(places, place_bit(Token::exact(0)) | place_bit(Token::exact(1)));
        let split = many.get().expect_err("too many for a run");
        let absent = (100..1_100).filter(|at| lookup.may_have(split, Token::exact(*at).0)).count();
        assert!(absent < 200 && lookup.child(split, Token::exact(100).0).is_none());
        assert!(lookup.may_have(split, Token::exact(1).0));
        let below = |split, label| lookup.child(split, label).expect("it is there").get();
        let what = below(split, Token::exact(1).0).expect_err("60 rules");
        let pair = below(what, Token::exact(1).0).expect_err("30 rules");
        let last = below(pair, 64 * 7).expect("one rule");
        assert_eq!((last.len(), index.filings[last.start].then.leads()), (1, Leads::Rule(7)));
        assert!(lookup.who(1, Token::exact(7)).is_some() && lookup.gates[1].any == NONE);
        assert_eq!(index.of_gate(1).count(), 1);
    }

    #[test]
    fn nodes_side_by_side_say_what_they_say_alone() {
        let mut random = 7u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random >> 16
        };
        for count in 0..=NODES_NEAR {
            let sparse = |a: u64, b: u64, c: u64| a & b & c;
            let mut node = || Node {
                labels: (sparse(next(), next(), next()) << 20) | (next() % 8),
                places: sparse(next(), next(), next()) as u32,
                first: next() as u32,
            };
            let nodes: Vec<Node> = (0..count).map(|_| node()).collect();
            let near = Near::of(nodes.iter().copied());
            for _ in 0..500 {
                let labels = (1 << (next() % 64)) | (1 << (next() % 64));
                let places = 1 << (next() % 32);
                let may = nodes.iter().enumerate().map(|(n, node)| u32::from(node.may(labels, places)) << n);
                assert_eq!(near.may(labels, places), may.sum::<u32>());
            }
            assert!(nodes.iter().enumerate().all(|(n, node)| near.get(n) == *node));
        }
    }

    #[test]
    fn every_place_has_one_bit_and_shares_none_with_anything() {
        assert!(
            (1..10_000).all(|n| place_bit(Token(n)).count_ones() == 1 && place_bit(Token(n)) != ANY_PLACE)
        );
    }
}
