//! The plain data of a decision tree: [`Tree`].
//!
//! - Shape: every reference points to an earlier element of its table, so that following references always ends.
//! - Law:   a tree read from a file has passed `validate`; deciding with it neither panics nor loops.

use super::atom::{Atom, Operand};
use super::diagram::Sequenced;
use super::index::{Index, Shape};
use super::kept::Seats;
use super::quick::Quick;
use super::term::Slots;
use crate::check::program::{Home, Vocabulary};
use crate::request::same;
use crate::source::Span;
use crate::value::{ActionId, BoundaryId, Effect, Entity, KindId, RoleId, RuleId, hash_name};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// The decision tree of one policy set: immutable, self-contained, independent of any directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tree {
    /// What requests can talk about.
    #[serde(with = "super::file::as_json")]
    pub vocabulary: Vocabulary,
    /// What people see of each rule, by [`RuleId`].
    pub(super) rules: Vec<RuleText>,
    /// The rules by rank: a rule's *place* is its index here.
    pub(super) order: Vec<RuleId>,
    /// Names met in heads.
    pub(super) symbols: Symbols,
    /// Terms; each refers to earlier ones.
    pub(super) operands: Vec<Operand>,
    /// Tests, cheap ones first; a quantifier's body asks earlier ones.
    pub(super) atoms: Vec<Atom>,
    /// The tests inside quantifiers.
    pub(super) bodies: Vec<Ref>,
    /// Lists of head items that were too long to be filed one by one.
    pub(super) lists: Vec<HeadList>,
    /// Decision nodes, children before parents.
    pub(super) nodes: Vec<Node>,
    /// What remains to be asked where a head fits.
    pub(super) entries: Vec<Entry>,
    /// The parts of entries.
    pub(super) steps: Vec<Step>,
    /// Sets of (action, kind) pairs.
    pub(super) shapes: Vec<Shape>,
    /// Heads of all gates.
    pub(super) index: Index,
    /// How many roles there are.
    pub(super) roles: u32,
    /// The (action, kind) pairs of each action.
    pub(super) pairs: Pairs,
    /// Whether requests stand at a scope.
    pub(super) has_scopes: bool,
    /// Entries with several steps, and why.
    pub(super) sequenced: Vec<(u32, Sequenced)>,
    /// Where attributes are found; follows from the vocabulary.
    #[serde(skip)]
    pub(super) slots: Slots,
    /// The entries as deciding meets them; follows from the others.
    #[serde(skip)]
    pub(super) quick: Vec<Quick>,
    /// What of a question these ask for most; follows from them.
    #[serde(skip)]
    pub(super) seats: Seats,
    /// What each place is answered with, and one end more; follows from the others.
    #[serde(skip)]
    pub(super) ends: Vec<End>,
}

/// What a decision says of the rule at a place: which it is, and whether it asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End(u32);

impl End {
    const ASKS: u32 = 1 << 31;
    /// That of no place; it follows the others.
    pub(super) const NONE: End = End(End::ASKS - 1);

    /// The rule.
    #[inline]
    pub(super) fn rule(self) -> RuleId {
        RuleId(self.0 & !Self::ASKS)
    }

    /// Whether it asks for something.
    #[inline]
    pub(super) fn asks(self) -> bool {
        self.0 & Self::ASKS != 0
    }
}

/// What people see of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleText {
    /// Its own name, if it has one.
    pub name: Option<SmolStr>,
    /// Its name, or `delivery.3`.
    pub label: SmolStr,
    /// What it is keyed by.
    pub key: SmolStr,
    /// Its place in the order of all rules.
    pub rank: u32,
    /// The block it stands in.
    pub home: Home,
    /// Allow or deny.
    pub effect: Effect,
    /// Why, for people.
    pub because: Option<SmolStr>,
    /// What would lift it.
    pub ask: Option<SmolStr>,
    /// The whole rule in the source.
    pub span: Span,
}

/// A node of a diagram, or a leaf: a rule's place, or nothing.
///
/// In the diagram of one test the leaves are [`Ref::YES`] and [`Ref::NO`]; in a merged one each leaf names a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Ref(pub(super) u32);

impl Ref {
    const LEAF: u32 = 1 << 31;
    /// No rule; false.
    pub(super) const NO: Ref = Ref(u32::MAX);
    /// True.
    pub(super) const YES: Ref = Ref(Self::LEAF);

    /// The leaf that names the rule at a place.
    pub(super) fn leaf(place: u32) -> Ref {
        Ref(Self::LEAF | place)
    }

    /// The node it is, unless it is a leaf.
    pub(super) fn node(self) -> Option<usize> {
        (self.0 & Self::LEAF == 0).then_some(self.0 as usize)
    }

    /// The place a leaf names.
    pub(super) fn place(self) -> Option<u32> {
        (self.0 & Self::LEAF != 0 && self != Self::NO).then_some(self.0 & !Self::LEAF)
    }
}

/// Asks an atom and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Node {
    /// Index into `atoms`.
    pub(super) atom: u32,
    /// If it holds.
    pub(super) yes: Ref,
    /// If it doesn't.
    pub(super) no: Ref,
}

/// The rules that may match where a head fits, in the order of their places: the first step that ends in a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// First step.
    pub(super) start: u32,
    /// Past the last one.
    pub(super) end: u32,
    /// The same rules one by one, for leaving one out; the same steps when no rule here asks for anything.
    pub(super) single_start: u32,
    /// Past the last one.
    pub(super) single_end: u32,
    /// The lowest place of its rules.
    pub(super) least: u32,
    /// When there is one rule with one test: that test.
    pub(super) test: Option<OneTest>,
}

/// A test that is all there is to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OneTest {
    /// Index into `atoms`.
    pub(super) atom: u32,
    /// What it must say.
    pub(super) holds: bool,
}

impl OneTest {
    /// The test of a node that asks nothing else.
    pub(super) fn of(node: Node) -> Option<OneTest> {
        match (node.yes, node.no) {
            (Ref::YES, Ref::NO) => Some(OneTest { atom: node.atom, holds: true }),
            (Ref::NO, Ref::YES) => Some(OneTest { atom: node.atom, holds: false }),
            _ => None,
        }
    }
}

/// A part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Step {
    /// Its diagram.
    pub(super) root: Ref,
    /// The place of its one rule; [`Step::MERGED`] when the leaves name the rules.
    pub(super) place: u32,
}

impl Step {
    /// Several rules in one diagram.
    pub(super) const MERGED: u32 = u32::MAX;
}

/// A long list in a head, asked as one test.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum HeadList {
    /// Who: tokens, sorted, each perhaps of one kind only.
    Who(Vec<(Token, Option<KindId>)>),
    /// Where: tokens, sorted, each perhaps narrowed to nodes of a kind below it.
    Where(Vec<(Token, Option<KindId>)>),
    /// What: tokens, sorted, with the pairs each covers.
    What(Vec<(Token, u32)>),
}

/// Something a head names: anything, a kind, one thing, or what lies below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Token(pub(super) u32);

/// What a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Any,
    Kind(KindId),
    Exact(u32),
    Below(u32),
}

impl Token {
    const KINDS: u32 = 1;
    const SYMBOLS: u32 = 1 + (1 << 16);
    /// Anything.
    pub(super) const ANY: Token = Token(0);

    /// A kind.
    pub(super) fn kind(kind: KindId) -> Token {
        Token(Self::KINDS + u32::from(kind.0))
    }

    /// One thing, by its symbol.
    pub(super) fn exact(symbol: u32) -> Token {
        Token(Self::SYMBOLS + 2 * symbol)
    }

    /// What lies strictly below a thing.
    pub(super) fn below(symbol: u32) -> Token {
        Token(Self::SYMBOLS + 2 * symbol + 1)
    }

    /// What it stands for.
    pub(super) fn named(self) -> Named {
        match self.0 {
            0 => Named::Any,
            n if n < Self::SYMBOLS => Named::Kind(KindId((n - Self::KINDS) as u16)),
            n if (n - Self::SYMBOLS) % 2 == 0 => Named::Exact((n - Self::SYMBOLS) / 2),
            n => Named::Below((n - Self::SYMBOLS) / 2),
        }
    }
}

/// The things that heads name, numbered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Entity>", into = "Vec<Entity>")]
pub(super) struct Symbols {
    names: Vec<Entity>,
    /// A table of [`hash_name`] with twice as many places as names or more, a power of two; the upper half of the hash
    /// and the number. Heads are written by those who write the set: nobody else can choose names that collide.
    places: Box<[(u32, u32)]>,
    /// How many names stand in it.
    distinct: usize,
}

impl Symbols {
    /// No number.
    const EMPTY: u32 = u32::MAX;

    /// The number of a thing, given one if it is new.
    pub(super) fn intern(&mut self, entity: &Entity) -> u32 {
        if let Some(number) = self.number(entity) {
            return number;
        }
        let number = self.names.len() as u32;
        self.names.push(entity.clone());
        if self.places.len() < 2 * self.names.len() {
            *self = Symbols::from(std::mem::take(&mut self.names));
        } else {
            self.place(number);
        }
        number
    }

    /// The number of a thing, if a head names it.
    pub(super) fn number(&self, entity: &Entity) -> Option<u32> {
        self.number_of(entity.kind, &entity.id)
    }

    /// The number of the thing with this kind and id, if a head names it.
    pub(super) fn number_of(&self, kind: KindId, id: &str) -> Option<u32> {
        self.number_hashed(hash_name(kind, id), kind, id)
    }

    /// The same, its [`hash_name`] being known. (The one place where a directory's things meet a tree's.)
    #[inline]
    pub(super) fn number_hashed(&self, hash: u64, kind: KindId, id: &str) -> Option<u32> {
        let mask = self.places.len().checked_sub(1)?;
        let print = (hash >> 32) as u32;
        let mut at = hash as usize & mask;
        loop {
            let (own, number) = self.places[at];
            if number == Self::EMPTY {
                return None;
            }
            if own == print {
                let name = &self.names[number as usize];
                if name.kind == kind && same(&name.id, id) {
                    return Some(number);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// Puts a name into the table, which has room, unless it stands there.
    fn place(&mut self, number: u32) {
        let name = &self.names[number as usize];
        let hash = hash_name(name.kind, &name.id);
        if self.number_hashed(hash, name.kind, &name.id).is_some() {
            return;
        }
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        while self.places[at].1 != Self::EMPTY {
            at = (at + 1) & mask;
        }
        self.places[at] = ((hash >> 32) as u32, number);
        self.distinct += 1;
    }

    /// The thing with a number.
    pub(super) fn name(&self, number: u32) -> Option<&Entity> {
        self.names.get(number as usize)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.names.capacity() * size_of::<Entity>() + size_of_val(&*self.places)
    }

    /// Whether no two numbers stand for one thing.
    pub(super) fn are_distinct(&self) -> bool {
        self.distinct == self.names.len()
    }
}

impl From<Vec<Entity>> for Symbols {
    fn from(names: Vec<Entity>) -> Symbols {
        let places = match names.len() {
            0 => 0,
            // Twice what is needed, so that interning makes it anew at every doubling only.
            len => (4 * len).next_power_of_two(),
        };
        let places = vec![(0, Symbols::EMPTY); places].into_boxed_slice();
        let mut symbols = Symbols { names, places, distinct: 0 };
        (0..symbols.names.len() as u32).for_each(|number| symbols.place(number));
        symbols
    }
}

impl From<Symbols> for Vec<Entity> {
    fn from(symbols: Symbols) -> Vec<Entity> {
        symbols.names
    }
}

/// The (action, kind) pairs of a vocabulary, numbered action by action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pairs {
    /// Where each action's pairs start; one more than there are actions.
    pub(super) starts: Vec<u32>,
    /// The kind of each pair; sorted within an action.
    pub(super) kinds: Vec<KindId>,
}

impl Pairs {
    /// The pairs of a vocabulary.
    pub(super) fn of(vocabulary: &Vocabulary) -> Pairs {
        let mut pairs = Pairs { starts: vec![0], kinds: Vec::new() };
        for action in &vocabulary.actions {
            let mut kinds: Vec<KindId> = action.targets.iter().map(|t| t.kind).collect();
            kinds.sort();
            kinds.dedup();
            pairs.kinds.extend(kinds);
            pairs.starts.push(pairs.kinds.len() as u32);
        }
        pairs
    }

    /// The numbers of an action's pairs.
    pub(super) fn range(&self, action: ActionId) -> std::ops::Range<u32> {
        match (self.starts.get(action.index()), self.starts.get(action.index() + 1)) {
            (Some(start), Some(end)) => *start..*end,
            _ => 0..0,
        }
    }

    /// The number of a pair.
    pub(super) fn number(&self, action: ActionId, kind: KindId) -> Option<u32> {
        let range = self.range(action);
        let kinds = self.kinds.get(range.start as usize..range.end as usize)?;
        kinds.binary_search(&kind).ok().map(|i| range.start + i as u32)
    }
}

impl Tree {
    /// What people see of a rule.
    ///
    /// Panics when the rule is not one of this tree's.
    pub fn rule(&self, id: RuleId) -> &RuleText {
        &self.rules[id.index()]
    }

    /// All rules, by [`RuleId`].
    pub fn rules(&self) -> &[RuleText] {
        &self.rules
    }

    /// The rule at a place.
    pub(super) fn rule_at(&self, place: u32) -> RuleId {
        self.order[place as usize]
    }

    /// The block of the policies, as the index numbers blocks.
    pub(super) const POLICIES: u32 = 0;

    /// The block of a role's own rules.
    pub(super) fn role(&self, role: RoleId) -> u32 {
        1 + role.0
    }

    /// A boundary's block.
    pub(super) fn boundary(&self, boundary: BoundaryId) -> u32 {
        1 + self.roles + boundary.0
    }

    /// How many blocks there are.
    pub(super) fn blocks(&self) -> usize {
        1 + self.vocabulary.roles.len() + self.vocabulary.boundaries.len()
    }

    /// Makes what is not stored, in a tree whose stored parts hold together.
    pub(super) fn make(&mut self) {
        self.index.make(self.blocks(), self.pairs.kinds.len(), &self.shapes);
        self.slots = Slots::of(&self.vocabulary, &self.operands);
        self.quick = Quick::of(self, &self.slots);
        self.seats = Seats::give(&mut self.quick);
        let end =
            |rule: &RuleId| End(rule.0 | if self.rules[rule.index()].ask.is_some() { End::ASKS } else { 0 });
        self.ends = self.order.iter().map(end).chain([End::NONE]).collect();
    }
}
