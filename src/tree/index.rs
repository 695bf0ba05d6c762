//! The index of rule heads: [`Index`], what is filed under each WHO of a block, split further only where much is filed.
//!
//! - Shape: a [`Filing`] is one path (where, what, pairs) with what remains to be asked. Those of one block and one WHO
//!   stand together, sorted; a node is a run of them. A run of at most [`RUN_MAX`] is scanned; a longer one is split by
//!   where, then what, then pair, so that what is scanned stays short however many rules there are.
//! - Law:   masks tell at once that nothing in a run can concern a request: a set bit is a maybe, a clear bit is a no. A
//!   filing is compared in full when it is met, so that no answer depends on where runs are split.

use super::node::Token;
use crate::value::{Effect, KindId};
use rustc_hash::FxHashMap;
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

    /// Whether a pair is among its pairs.
    pub(super) fn covers(self, pair: u32, shapes: &[Shape]) -> bool {
        match self.end() {
            End::Pair(own) => own == pair,
            End::Shape(shape) => shapes[shape as usize].contains(pair),
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

/// A run of filings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Bits of the pairs that are met here.
    pub(super) pairs: u64,
    /// Bits of the tokens of this node's level.
    pub(super) tokens: u64,
    /// First filing.
    pub(super) start: u32,
    /// Past the last one.
    pub(super) end: u32,
    /// If it is split: the child for anything, or [`NONE`].
    pub(super) any: u32,
    /// Whether it is split, its children being found by token (at the last level by pair).
    pub(super) split: bool,
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
    /// Those of each head sorted by where, what, pairs.
    pub(super) filings: Vec<Filing>,
    /// How filings are found.
    #[serde(skip)]
    pub(super) nodes: Vec<Node>,
    /// Children by parent and token; under `GATES | gate` the nodes of its WHOs.
    #[serde(skip)]
    edges: FxHashMap<u64, u32>,
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
    fn key(parent: u32, label: u32) -> u64 {
        u64::from(parent) << 32 | u64::from(label)
    }

    /// The child of a node by token or pair.
    #[inline]
    pub(super) fn child(&self, parent: u32, label: u32) -> Option<u32> {
        self.edges.get(&Self::key(parent, label)).copied()
    }

    /// The node of a gate's WHO.
    pub(super) fn who(&self, gate: u32, who: Token) -> Option<u32> {
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

    /// Makes what is not stored. The filings are known to refer to shapes that are there.
    pub(super) fn make(&mut self, gates: usize, shapes: &[Shape]) {
        let filings = std::mem::take(&mut self.filings);
        self.nodes.clear();
        self.edges.clear();
        self.gates = vec![Gate { any: NONE, whos: 0 }; gates];
        let mut maker = Maker { filings: &filings, shapes, nodes: Vec::new(), edges: FxHashMap::default() };
        for (n, head) in self.heads.iter().enumerate() {
            let start = if n == 0 { 0 } else { self.heads[n - 1].end };
            let node = maker.node(start, head.end, Level::Where);
            let gate = &mut self.gates[head.gate as usize];
            if head.who == Token::ANY {
                gate.any = node;
            } else {
                gate.whos |= token_bit(head.who);
            }
            if head.gate == 0 {
                let (list, ix) = match head.who.named() {
                    super::node::Named::Exact(symbol) => (&mut self.of_symbol, symbol as usize),
                    super::node::Named::Kind(kind) => (&mut self.of_kind, kind.index()),
                    _ => continue,
                };
                if list.len() <= ix {
                    list.resize(ix + 1, NONE);
                }
                list[ix] = node;
            } else {
                maker.edges.insert(Self::key(GATES | head.gate, head.who.0), node);
            }
        }
        (self.nodes, self.edges) = (maker.nodes, maker.edges);
        self.filings = filings;
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        std::mem::size_of_val(&self.heads[..])
            + std::mem::size_of_val(&self.filings[..])
            + std::mem::size_of_val(&self.nodes[..])
            + self.edges.capacity() * 17 * 8 / 7
            + (self.of_symbol.len() + self.of_kind.len()) * 4
    }
}

#[derive(Clone, Copy)]
enum Level {
    Where,
    What,
    Pair,
    Rest,
}

/// Splits runs.
struct Maker<'f> {
    filings: &'f [Filing],
    shapes: &'f [Shape],
    nodes: Vec<Node>,
    edges: FxHashMap<u64, u32>,
}

impl Maker<'_> {
    fn node(&mut self, start: u32, end: u32, level: Level) -> u32 {
        let own = &self.filings[start as usize..end as usize];
        let pairs = own.iter().fold(0, |mask, filing| {
            mask | match filing.filed.end() {
                End::Pair(pair) => pair_bit(pair),
                End::Shape(shape) => self.shapes[shape as usize].mask(),
            }
        });
        let tokens = own.iter().fold(0, |mask, filing| {
            mask | match level {
                Level::Where => token_bit(filing.at),
                Level::What => token_bit(filing.what),
                Level::Pair | Level::Rest => u64::MAX,
            }
        });
        let number = self.nodes.len() as u32;
        let split = own.len() > RUN_MAX && !matches!(level, Level::Rest);
        self.nodes.push(Node { pairs, tokens, start, end, any: NONE, split });
        if split {
            self.split(number, start, end, level);
        }
        number
    }

    fn split(&mut self, number: u32, start: u32, end: u32, level: Level) {
        let label = |filing: &Filing| match level {
            Level::Where => Some(filing.at.0).filter(|at| *at != Token::ANY.0),
            Level::What => Some(filing.what.0).filter(|what| *what != Token::ANY.0),
            Level::Pair | Level::Rest => match filing.filed.end() {
                End::Pair(pair) => Some(pair),
                End::Shape(_) => None,
            },
        };
        let below = match level {
            Level::Where => Level::What,
            Level::What => Level::Pair,
            Level::Pair | Level::Rest => Level::Rest,
        };
        let filings = self.filings;
        let mut from = start;
        for run in filings[start as usize..end as usize].chunk_by(|a, b| label(a) == label(b)) {
            let to = from + run.len() as u32;
            let child = self.node(from, to, below);
            match label(&run[0]) {
                Some(label) => {
                    self.edges.insert(Index::key(number, label), child);
                }
                None => self.nodes[number as usize].any = child,
            }
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

    /// The bits of its pairs.
    pub(super) fn mask(&self) -> u64 {
        if self.len() >= 64 {
            return u64::MAX;
        }
        self.pairs().fold(0, |mask, pair| mask | pair_bit(pair))
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
    /// The index of these filings; `gates` and `shapes` as for [`Index::make`].
    pub(super) fn of(mut filed: Vec<(Path, Leads)>, gates: usize, shapes: &[Shape]) -> Index {
        // Denies come before allows.
        filed.sort_unstable_by_key(|(path, _)| {
            (path.gate, path.tokens, path.end, std::cmp::Reverse(path.effect))
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
        index.make(gates, shapes);
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
    fn long_runs_are_split_and_masks_tell() {
        let path = |at: u32, what: u32, pair: u32| Path {
            gate: 0,
            tokens: [Token::exact(7), Token::exact(at), Token::exact(what)],
            end: End::Pair(pair),
            effect: Effect::Allow,
        };
        let shape = Shape::of(&(100..300).collect::<Vec<_>>());
        let mut filed: Vec<_> =
            (0..40).map(|n| (path(n % 2, n % 4 / 2, n), Leads::Rule(n))).collect();
        filed.push((Path { end: End::Shape(0), ..path(1, 1, 0) }, Leads::Entry(3)));
        filed.push((Path { gate: 1, ..path(0, 0, 0) }, Leads::Rule(50)));
        let index = Index::of(filed, 2, &[shape]);
        assert_eq!(index.heads.len(), 2);
        let root = index.nodes[index.of_symbol(7) as usize];
        assert!(root.split && root.tokens == token_bit(Token::exact(0)) | token_bit(Token::exact(1)));
        let at = index.child(index.of_symbol(7), Token::exact(1).0).expect("filed there");
        let what = index.child(at, Token::exact(1).0).expect("filed there");
        let node = index.nodes[what as usize];
        assert!(node.split && node.end - node.start == 11 && node.any != NONE);
        let last = index.nodes[index.child(what, 7).expect("filed there") as usize];
        let found = index.filings[last.start as usize];
        assert_eq!((last.end - last.start, found.then.leads()), (1, Leads::Rule(7)));
        assert!(index.who(1, Token::exact(7)).is_some() && index.gates[1].any == NONE);
        assert_eq!(index.of_gate(1).count(), 1);
    }
}
