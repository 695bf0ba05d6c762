//! The index of rule heads: [`Index`], what is filed under each WHO of a block.
//!
//! - Shape: a [`Filing`] is one path (where, what, pairs) with what remains to be asked. Those of one block and one WHO
//!   are a [`Node`]: a bitmap of the pairs that are met there leads to the one filing of a bit, or to the [`Group`] of its
//!   filings. A group of at most [`RUN_MAX`] is scanned; a longer one is split by where, then what, then pair, so that
//!   what is scanned stays short however many rules there are.
//! - Law:   bits tell at once that nothing can concern a request: a set bit is a maybe, a clear bit is a no. A filing is
//!   compared in full when it is met, so that no answer depends on how filings are grouped.

use super::node::{Named, Token};
use crate::value::{Effect, KindId};
use serde::{Deserialize, Serialize};

/// Filings that are scanned rather than split.
const RUN_MAX: usize = 8;
/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// The (action, kind) pairs of a filing and what it says: one pair or a shape, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Filed(u32);

/// What is filed under: one pair, or a whole shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum End {
    Pair(u32),
    Shape(u32),
}

impl Filed {
    const SHAPE: u32 = 1 << 31;
    const DENY: u32 = 1 << 30;
    const NUMBER: u32 = Self::DENY - 1;

    pub(super) fn new(end: End, effect: Effect) -> Filed {
        let deny = if effect == Effect::Deny { Self::DENY } else { 0 };
        match end {
            End::Pair(pair) => Filed(pair | deny),
            End::Shape(shape) => Filed(shape | Self::SHAPE | deny),
        }
    }

    pub(super) fn end(self) -> End {
        let number = self.0 & Self::NUMBER;
        if self.0 & Self::SHAPE == 0 { End::Pair(number) } else { End::Shape(number) }
    }

    pub(super) fn effect(self) -> Effect {
        if self.0 & Self::DENY == 0 { Effect::Allow } else { Effect::Deny }
    }

    /// Which group of its node it is in: that of a bit, or the one for shapes.
    fn group(self) -> u32 {
        match self.end() {
            End::Pair(pair) => pair & 63,
            End::Shape(_) => 64,
        }
    }

    /// Whether a pair is among its pairs.
    #[inline]
    pub(super) fn covers(self, pair: u32, shapes: &[Shape]) -> bool {
        match self.0 & !Self::DENY {
            shape if shape & Self::SHAPE != 0 => shapes[(shape & Self::NUMBER) as usize].contains(pair),
            own => own == pair,
        }
    }
}

/// What a filing leads to: a rule that matches as soon as its head fits, or an entry with what is left to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Then(u32);

/// What a filing leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    /// The rule at this place matches.
    Rule(u32),
    /// The rules of this entry may match.
    Entry(u32),
}

impl Then {
    const RULE: u32 = 1 << 31;

    pub(super) fn new(leads: Leads) -> Then {
        match leads {
            Leads::Rule(place) => Then(place | Self::RULE),
            Leads::Entry(entry) => Then(entry),
        }
    }

    pub(super) fn leads(self) -> Leads {
        if self.0 & Self::RULE == 0 { Leads::Entry(self.0) } else { Leads::Rule(self.0 & !Self::RULE) }
    }
}

impl Filing {
    /// What the filings of a head are sorted by.
    pub(super) fn order(&self) -> (u32, Token, Token, End) {
        (self.filed.group(), self.at, self.what, self.filed.end())
    }
}

/// One path below a WHO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Filing {
    /// Where.
    pub(super) at: Token,
    /// What.
    pub(super) what: Token,
    /// Actions and kinds, and whether it denies.
    pub(super) filed: Filed,
    /// What it leads to.
    pub(super) then: Then,
}

/// The filings of one block under one WHO: a run that begins where the one before ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The policies (0), then each role, then each boundary.
    pub(super) gate: u32,
    /// Who.
    pub(super) who: Token,
    /// Past its last filing.
    pub(super) end: u32,
}

/// What is filed under one WHO. Sixteen bytes, since a decision looks at one for each group of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Bits of the single pairs that are met here.
    pub(super) pairs: u64,
    /// Bits of the places, folded; and whether there are filings for many pairs.
    places: u32,
    /// The slot of the lowest bit; those of the higher ones follow, then that of the filings for many pairs.
    first: u32,
}

impl Node {
    const WIDE: u32 = 1 << 31;

    /// Whether it has filings for many pairs.
    #[inline]
    pub(super) fn is_wide(&self) -> bool {
        self.places & Self::WIDE != 0
    }

    /// Whether something here may concern a request with the bit of this pair, at places with these [`folded`] bits.
    #[inline]
    pub(super) fn may(&self, pair: u64, places: u32) -> bool {
        ((self.pairs & pair != 0) | self.is_wide()) & (self.places & places != 0)
    }

    /// The slot of a bit that is set in `pairs`.
    #[inline]
    fn slot(&self, bit: u64) -> usize {
        (self.first + (self.pairs & (bit - 1)).count_ones()) as usize
    }
}

/// The bits of places, folded to the 31 that a node has room for: each bit is among them somewhere.
pub(super) fn folded(places: u64) -> u32 {
    ((places | places >> 31 | places >> 62) & 0x7FFF_FFFF) as u32
}

/// What a bit of a node leads to: a filing, or the number of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(Filing);

impl Slot {
    const MANY: Filed = Filed(u32::MAX);

    fn many(group: u32) -> Slot {
        Slot(Filing { at: Token::ANY, what: Token::ANY, filed: Self::MANY, then: Then(group) })
    }

    /// Its filing, or else its group.
    #[inline]
    pub(super) fn filing(&self) -> Result<&Filing, u32> {
        if self.0.filed == Self::MANY { Err(self.0.then.0) } else { Ok(&self.0) }
    }
}

/// A run of filings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Bits of the tokens that tell its filings apart: places; in the child of a split group things, then all.
    pub(super) tokens: u64,
    /// First filing.
    pub(super) start: u32,
    /// Past the last one; and whether it is split, its children being found by token.
    end: u32,
}

impl Group {
    const SPLIT: u32 = 1 << 31;

    /// Whether its filings are found through children.
    #[inline]
    pub(super) fn is_split(&self) -> bool {
        self.end & Self::SPLIT != 0
    }

    /// Its filings.
    #[inline]
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..(self.end & !Self::SPLIT) as usize
    }
}

/// Where the filings of a block are found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// Those under anyone, or [`NONE`].
    pub(super) any: u32,
    /// Bits of the other WHOs.
    pub(super) whos: u64,
}

/// What is stored: the filings. The rest follows from them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Index {
    /// By gate, then who.
    pub(super) heads: Vec<Head>,
    /// Those of each head by group, then sorted by where, what, pairs.
    pub(super) filings: Vec<Filing>,
    /// A node of each head, and at the end one under which there is nothing.
    #[serde(skip)]
    pub(super) nodes: Vec<Node>,
    /// What the bits of nodes lead to.
    #[serde(skip)]
    slots: Vec<Slot>,
    /// Groups, and the children of those that are split.
    #[serde(skip)]
    pub(super) groups: Vec<Group>,
    /// Children of groups by token or pair; under `GATES | gate` the nodes of its WHOs.
    #[serde(skip)]
    edges: Edges,
    /// By number.
    #[serde(skip)]
    pub(super) gates: Vec<Gate>,
    /// The policies' nodes of things by symbol, or [`NONE`].
    #[serde(skip)]
    of_symbol: Vec<u32>,
    /// The same of kinds.
    #[serde(skip)]
    of_kind: Vec<u32>,
}

/// Marks the edges of gates.
const GATES: u32 = 1 << 31;

impl Index {
    /// The child of a group by token or pair, or [`NONE`].
    #[inline]
    pub(super) fn child(&self, parent: u32, label: u32) -> u32 {
        self.edges.get(parent, label)
    }

    /// What a node's filings for many pairs are.
    pub(super) fn wide(&self, node: &Node) -> &Slot {
        &self.slots[(node.first + node.pairs.count_ones()) as usize]
    }

    /// What a bit of a node leads to.
    #[inline]
    pub(super) fn slot(&self, node: &Node, bit: u64) -> &Slot {
        &self.slots[node.slot(bit)]
    }

    /// The node of a gate's WHO, or [`NONE`].
    pub(super) fn who(&self, gate: u32, who: Token) -> u32 {
        self.child(GATES | gate, who.0)
    }

    /// The policies' node of a thing, or [`NONE`].
    pub(super) fn of_symbol(&self, symbol: u32) -> u32 {
        self.of_symbol.get(symbol as usize).copied().unwrap_or(NONE)
    }

    /// The policies' node of a kind of accounts, or [`NONE`].
    pub(super) fn of_kind(&self, kind: KindId) -> u32 {
        self.of_kind.get(kind.index()).copied().unwrap_or(NONE)
    }

    /// The heads of a gate with their filings.
    pub(super) fn of_gate(&self, gate: u32) -> impl Iterator<Item = (Token, &[Filing])> {
        let first = self.heads.partition_point(|head| head.gate < gate);
        let heads = self.heads[first..].iter().take_while(move |head| head.gate == gate);
        heads.enumerate().map(move |(n, head)| (head.who, &self.filings[self.run(first + n)]))
    }

    fn run(&self, head: usize) -> std::ops::Range<usize> {
        let start = if head == 0 { 0 } else { self.heads[head - 1].end as usize };
        start..self.heads[head].end as usize
    }

    /// Makes what is not stored. The filings are known to be in order.
    pub(super) fn make(&mut self, gates: usize) {
        self.gates = vec![Gate { any: NONE, whos: 0 }; gates];
        self.nodes.clear();
        let mut maker =
            Maker { filings: &self.filings, slots: Vec::new(), groups: Vec::new(), edges: Vec::new() };
        for n in 0..self.heads.len() {
            let (head, run) = (self.heads[n], self.run(n));
            let node = n as u32;
            self.nodes.push(maker.node(run.start as u32, run.end as u32));
            let gate = &mut self.gates[head.gate as usize];
            if head.who == Token::ANY {
                gate.any = node;
            } else {
                gate.whos |= token_bit(head.who);
            }
            if head.gate != 0 {
                maker.edges.push(Edge { parent: GATES | head.gate, label: head.who.0, child: node });
                continue;
            }
            let (list, ix) = match head.who.named() {
                Named::Exact(symbol) => (&mut self.of_symbol, symbol as usize),
                Named::Kind(kind) => (&mut self.of_kind, kind.index()),
                _ => continue,
            };
            if list.len() <= ix {
                list.resize(ix + 1, NONE);
            }
            list[ix] = node;
        }
        self.nodes.push(Node { pairs: 0, places: 0, first: 0 });
        (self.slots, self.groups, self.edges) = (maker.slots, maker.groups, Edges::of(&maker.edges));
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        std::mem::size_of_val(&self.heads[..])
            + std::mem::size_of_val(&self.filings[..])
            + std::mem::size_of_val(&self.nodes[..])
            + std::mem::size_of_val(&self.slots[..])
            + std::mem::size_of_val(&self.groups[..])
            + std::mem::size_of_val(&self.edges.0[..])
            + (self.of_symbol.len() + self.of_kind.len()) * 4
    }
}

/// From a node to its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edge {
    parent: u32,
    label: u32,
    child: u32,
}

/// Edges by parent and label: a table with open addressing, at most half full, so that a look-up mostly costs one line of
/// memory.
#[derive(Clone, Debug, Default)]
struct Edges(Vec<Edge>);

impl Edges {
    const EMPTY: Edge = Edge { parent: NONE, label: NONE, child: NONE };

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
    fn get(&self, parent: u32, label: u32) -> u32 {
        if self.0.is_empty() {
            return NONE;
        }
        let mut at = self.first(parent, label);
        loop {
            let edge = self.0[at];
            if (edge.parent, edge.label) == (parent, label) || edge.child == NONE {
                return edge.child;
            }
            at = (at + 1) & (self.0.len() - 1);
        }
    }
}

/// By what a group is split.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Where,
    What,
    Pair,
    Rest,
}

impl Level {
    fn below(self) -> Level {
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
struct Maker<'f> {
    filings: &'f [Filing],
    slots: Vec<Slot>,
    groups: Vec<Group>,
    edges: Vec<Edge>,
}

impl Maker<'_> {
    fn node(&mut self, start: u32, end: u32) -> Node {
        let filings = self.filings;
        let own = &filings[start as usize..end as usize];
        let mut node = Node { pairs: 0, places: 0, first: self.slots.len() as u32 };
        let mut from = start;
        for run in own.chunk_by(|a, b| a.filed.group() == b.filed.group()) {
            let to = from + run.len() as u32;
            let group = self.group(from, to, Level::Where);
            node.places |= folded(group.tokens);
            match run[0].filed.end() {
                End::Pair(pair) => node.pairs |= pair_bit(pair),
                End::Shape(_) => node.places |= Node::WIDE,
            }
            let number = (run.len() > 1).then_some(self.groups.len() as u32);
            self.slots.push(number.map_or(Slot(run[0]), Slot::many));
            if number.is_some() {
                self.groups.push(group);
            }
            if let Some(number) = number {
                self.split(number, Level::Where);
            }
            from = to;
        }
        node
    }

    fn group(&self, start: u32, end: u32, level: Level) -> Group {
        let own = &self.filings[start as usize..end as usize];
        let tokens = own.iter().fold(0, |bits, filing| match level {
            Level::Where | Level::What => bits | token_bit(Token(level.label(filing))),
            Level::Pair | Level::Rest => u64::MAX,
        });
        let split = if own.len() > RUN_MAX && level != Level::Rest { Group::SPLIT } else { 0 };
        Group { tokens, start, end: end | split }
    }

    fn split(&mut self, number: u32, level: Level) {
        let group = self.groups[number as usize];
        if !group.is_split() {
            return;
        }
        let filings = self.filings;
        let mut from = group.start;
        for run in filings[group.range()].chunk_by(|a, b| level.label(a) == level.label(b)) {
            let to = from + run.len() as u32;
            let child = self.groups.len() as u32;
            self.groups.push(self.group(from, to, level.below()));
            self.edges.push(Edge { parent: number, label: level.label(&run[0]), child });
            self.split(child, level.below());
            from = to;
        }
    }
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
}

/// The bit of a token. That of anything is always among the bits of a request.
#[inline]
pub(super) fn token_bit(token: Token) -> u64 {
    if token == Token::ANY {
        return ANY_BIT;
    }
    1 << ((u64::from(token.0.wrapping_mul(0x9E37_79B1)) * 63) >> 32)
}

/// The bit of [`Token::ANY`].
pub(super) const ANY_BIT: u64 = 1 << 63;

/// The bit of a pair.
#[inline]
pub(super) fn pair_bit(pair: u32) -> u64 {
    1 << (pair & 63)
}

/// Where a rule is filed, while an index is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Path {
    /// The policies (0), then each role, then each boundary.
    pub(super) gate: u32,
    /// Who, where, what.
    pub(super) tokens: [Token; 3],
    /// Which pairs.
    pub(super) end: End,
    /// Allow or deny.
    pub(super) effect: Effect,
}

impl Index {
    /// The index of these filings; there are so many gates.
    pub(super) fn of(mut filed: Vec<(Path, Leads)>, gates: usize) -> Index {
        // Denies come before allows.
        filed.sort_unstable_by_key(|(path, _)| {
            let [who, at, what] = path.tokens;
            let filed = Filed::new(path.end, path.effect);
            (path.gate, who, (filed.group(), at, what, path.end), std::cmp::Reverse(path.effect))
        });
        let mut index = Index::default();
        for (n, (path, leads)) in filed.iter().enumerate() {
            let [who, at, what] = path.tokens;
            let filed = Filed::new(path.end, path.effect);
            index.filings.push(Filing { at, what, filed, then: Then::new(*leads) });
            let end = n as u32 + 1;
            match index.heads.last_mut().filter(|head| (head.gate, head.who) == (path.gate, who)) {
                Some(head) => head.end = end,
                None => index.heads.push(Head { gate: path.gate, who, end }),
            }
        }
        index.make(gates);
        index
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
    fn no_bit_is_lost_when_bits_are_folded() {
        assert!((0..64).all(|bit| folded(1 << bit) != 0 && folded(1 << bit) < Node::WIDE));
    }

    #[test]
    fn long_groups_are_split_and_bits_tell() {
        let path = |at: u32, what: u32, pair: u32| Path {
            gate: 0,
            tokens: [Token::exact(7), Token::exact(at), Token::exact(what)],
            end: End::Pair(pair),
            effect: Effect::Allow,
        };
        // All of one bit, and one by itself.
        let mut filed: Vec<_> = (0..120).map(|n| (path(n % 2, n % 4 / 2, 64 * n), Leads::Rule(n))).collect();
        filed.push((path(5, 5, 9), Leads::Rule(200)));
        filed.push((Path { end: End::Shape(0), ..path(1, 1, 0) }, Leads::Entry(3)));
        filed.push((Path { gate: 1, ..path(0, 0, 0) }, Leads::Rule(500)));
        let index = Index::of(filed, 2);
        assert_eq!(index.heads.len(), 2);
        let node = index.nodes[index.of_symbol(7) as usize];
        assert_eq!(node.pairs, 1 << 9 | 1);
        let one = index.slot(&node, 1 << 9).filing().expect("one rule alone");
        assert_eq!(one.then.leads(), Leads::Rule(200));
        let many = index.slot(&node, 1).filing().expect_err("many rules");
        let wide = index.wide(&node).filing().expect("one rule alone");
        assert!(node.is_wide() && wide.then.leads() == Leads::Entry(3));
        let group = index.groups[many as usize];
        assert!(group.is_split() && group.tokens == token_bit(Token::exact(0)) | token_bit(Token::exact(1)));
        let at = index.child(many, Token::exact(1).0);
        let what = index.child(at, Token::exact(1).0);
        assert!(index.groups[what as usize].is_split() && index.groups[what as usize].range().len() == 30);
        let last = &index.filings[index.groups[index.child(what, 64 * 7) as usize].range()];
        assert_eq!((last.len(), last[0].then.leads()), (1, Leads::Rule(7)));
        assert!(index.who(1, Token::exact(7)) != NONE && index.gates[1].any == NONE);
        assert_eq!(index.of_gate(1).count(), 1);
    }
}
