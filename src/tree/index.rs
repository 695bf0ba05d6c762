//! The index of rule heads: [`Index`], what is filed under each WHO of a block.
//!
//! - Shape: a [`Filing`] is one path (where, what, pairs) with what remains to be asked. They stand in one sorted list,
//!   those of one block and one WHO, a [`Head`], next to each other. This list is what is stored.
//! - After: [`Lookup`] says where deciding finds them.

use super::lookup::{Lookup, label_bit};
use super::node::Token;
use crate::value::Effect;
use serde::{Deserialize, Serialize};

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

    #[inline(always)]
    pub(super) fn effect(self) -> Effect {
        if self.0 & Self::DENY == 0 { Effect::Allow } else { Effect::Deny }
    }

    /// What a slot with several filings has in its place.
    pub(super) const MANY: Filed = Filed(u32::MAX);

    /// Whether a pair is among its pairs.
    #[inline(always)]
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

    /// A number in its place.
    pub(super) fn raw(number: u32) -> Then {
        Then(number)
    }

    /// That number.
    pub(super) fn to_raw(self) -> u32 {
        self.0
    }

    #[inline(always)]
    pub(super) fn leads(self) -> Leads {
        if self.0 & Self::RULE == 0 { Leads::Entry(self.0) } else { Leads::Rule(self.0 & !Self::RULE) }
    }
}

impl Filing {
    /// The bit by which it is found under its WHO, by number.
    pub(super) fn label(&self) -> u32 {
        label_bit(self.filed.end()).trailing_zeros()
    }

    /// What the filings of a head are sorted by.
    pub(super) fn order(&self) -> (u32, Token, Token, End) {
        (self.label(), self.at, self.what, self.filed.end())
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

/// The filings by head, and where deciding finds them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Index {
    /// By gate, then who.
    pub(super) heads: Vec<Head>,
    /// Those of each head by label, then sorted by where, what, pairs.
    pub(super) filings: Vec<Filing>,
    /// Follows from the others.
    #[serde(skip)]
    pub(super) lookup: Lookup,
}

impl Index {
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

    /// Makes what is not stored. The filings are known to be in order; there are so many gates and pairs.
    pub(super) fn make(&mut self, gates: usize, pairs: usize, shapes: &[Shape]) {
        self.lookup = Lookup::of(&self.heads, &self.filings, gates, pairs, shapes);
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.heads[..]) + size_of_val(&self.filings[..]) + self.lookup.bytes()
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

/// The bit of a WHO.
#[inline]
pub(super) fn token_bit(token: Token) -> u64 {
    1 << ((u64::from(token.0.wrapping_mul(0x9E37_79B1)) * 64) >> 32)
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
    /// The index of these filings, without what [`Index::make`] makes.
    pub(super) fn of(mut filed: Vec<(Path, Leads)>) -> Index {
        // Denies come before allows.
        filed.sort_unstable_by_key(|(path, _)| {
            let [who, at, what] = path.tokens;
            let label = label_bit(path.end).trailing_zeros();
            (path.gate, who, (label, at, what, path.end), std::cmp::Reverse(path.effect))
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
}
