//! A usual request as text, in the numbers of a tree: [`Heard`]; and how conditions read it.
//!
//! In:    what `door.rs` has looked up and checked.
//! Out:   answers to the tests that look at the values of account, resource and context; any other test is not answered:
//!        then the whole request goes the long way round.
//! Law:   what is answered is answered as [`Asking`](super::request::Asking) answers it.

use super::asks::Asks;
use super::atom::{Atom, Comparison, Operand};
use super::given::{Far, Given};
use super::lookup::{NONE, Near};
use super::node::{Ref, Tree};
use super::quick::{Quick, Test};
use super::resolved::{PLACES_NEAR, Seen};
use super::term::Plain;
use crate::check::program::{Provenance, Sort};
use crate::directory::{Account, Directory};
use crate::request::same;
use crate::value::{KindId, NameId, hash_name};
use std::cell::Cell;

/// Values at most: more are not usual.
pub(super) const VALUES: usize = 16;

/// A kind and an id, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'q> {
    pub(super) kind: KindId,
    pub(super) id: &'q str,
}

impl Name<'_> {
    #[inline]
    fn is(self, other: Name<'_>) -> bool {
        self.kind == other.kind && same(self.id, other.id)
    }
}

/// A request as text, looked up.
pub(super) struct Heard<'h, 'q> {
    pub(super) tree: &'q Tree,
    pub(super) directory: &'q Directory,
    pub(super) seen: Seen,
    /// The scopes from the request's up to its root, as many as fit.
    pub(super) path: [u32; PLACES_NEAR],
    pub(super) nodes: &'h Near,
    /// Nodes that don't fit there.
    pub(super) more: &'h [u32],
    pub(super) account: Name<'q>,
    /// The same in the directory.
    pub(super) held: &'q Account,
    /// Those who live below the scope may ask as well.
    pub(super) from_below: bool,
    pub(super) resource: KindId,
    /// Its id; `None` for any of that kind.
    pub(super) id: Option<&'q str>,
    /// The symbol of what is acted on, as a token.
    pub(super) thing: [u32; 1],
    /// Those of the context by slot, of the resource, of the account.
    pub(super) values: &'h [Given<'q>; VALUES],
    /// Where the resource's start, where the account's start, where they end.
    pub(super) starts: [usize; 3],
    /// Some test was not answered.
    pub(super) far: Cell<bool>,
}

impl<'q> Heard<'_, 'q> {
    #[inline(always)]
    fn value(&self, at: usize, end: usize) -> Option<Given<'q>> {
        if at < end { self.values.get(at).copied() } else { None }
    }

    /// An attribute of the resource, which the directory doesn't hold.
    #[inline(always)]
    fn of_resource(&self, name: NameId) -> Given<'q> {
        let [start, end, _] = self.starts;
        let Some((slot, provenance)) = self.tree.slots.find(self.resource, name) else {
            return Given::Absent;
        };
        if provenance == Provenance::Stored && self.id.is_some() {
            return Given::Absent;
        }
        self.value(start + slot, end).unwrap_or(Given::Absent)
    }

    #[inline(always)]
    fn of_account(&self, name: NameId) -> Result<Given<'q>, Far> {
        let [_, start, end] = self.starts;
        let Some((slot, provenance)) = self.tree.slots.find(self.account.kind, name) else {
            return Ok(Given::Absent);
        };
        let given = self.value(start + slot, end).filter(|given| !matches!(given, Given::Absent));
        match (given, self.held.attributes.get(slot).and_then(Option::as_ref)) {
            (Some(given), _) if provenance == Provenance::Supplied => Ok(given),
            (_, Some(stored)) => Given::of(stored),
            (_, None) => Ok(Given::Absent),
        }
    }

    /// The value of an attribute or an entry of the context.
    #[inline(always)]
    fn plain(&self, plain: Plain) -> Result<Given<'q>, Far> {
        match plain {
            Plain::Resource(name) => Ok(self.of_resource(name)),
            Plain::Context(slot) => {
                Ok(self.value(usize::from(slot), self.starts[0]).unwrap_or(Given::Absent))
            }
            Plain::Account(name) => self.of_account(name),
            Plain::Literal | Plain::No => Err(Far),
        }
    }

    /// What an operand is.
    fn read(&self, operand: u32) -> Result<Given<'q>, Far> {
        match &self.tree.operands[operand as usize] {
            Operand::Literal(value) => Given::of(value),
            Operand::Account => Ok(Given::Entity(self.account.kind, self.account.id)),
            Operand::Resource => match self.id {
                Some(id) => Ok(Given::Entity(self.resource, id)),
                None => Err(Far),
            },
            Operand::Id(of) => match self.read(*of)? {
                Given::Entity(_, id) => Ok(Given::Text(id)),
                Given::Absent => Ok(Given::Absent),
                _ => Err(Far),
            },
            _ => self.plain(self.tree.slots.plain(operand)),
        }
    }

    fn atom(&self, number: u32) -> Result<bool, Far> {
        let atom = &self.tree.atoms[number as usize];
        Ok(match atom {
            Atom::True(a) => matches!(self.read(*a)?, Given::Bool(true)),
            Atom::Compare(comparison, a, b) => self.read(*a)?.compares(*comparison, self.read(*b)?)?,
            Atom::InSet(a, set) => self.has(*set, self.read(*a)?)?,
            Atom::InNetwork(a, network) => match (self.read(*a)?, self.read(*network)?) {
                (Given::Ip(ip), Given::Cidr(network)) => network.contains(ip),
                _ => false,
            },
            Atom::Matches(a, pattern) => match self.read(*a)? {
                Given::Text(text) => pattern.matches(text),
                _ => false,
            },
            Atom::IsEmpty(a) => match self.read(*a)? {
                Given::Text(text) => text.is_empty(),
                Given::Texts(texts) => texts.is_empty(),
                Given::Set(values) => values.is_empty(),
                Given::Absent => false,
                _ => return Err(Far),
            },
            Atom::Exists(a) => self.exists(self.read(*a)?)?,
            Atom::IsKind(a, kind) => match self.read(*a)? {
                Given::Entity(own, _) => own == *kind,
                _ => false,
            },
            _ => return Err(Far),
        })
    }

    /// Whether a set has an element that is there.
    fn has(&self, set: u32, element: Given<'q>) -> Result<bool, Far> {
        if let Operand::Set(items) = &self.tree.operands[set as usize] {
            for item in items {
                if self.read(*item)?.compares(Comparison::Equal, element)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        match self.read(set)? {
            Given::Absent => Ok(false),
            set => set.has(element),
        }
    }

    /// Whether a value is there, and what it names known, if it names something.
    #[inline]
    fn exists(&self, value: Given<'q>) -> Result<bool, Far> {
        match value {
            Given::Absent => Ok(false),
            Given::Entity(kind, id) => self.known(Name { kind, id }),
            _ => Ok(true),
        }
    }

    /// Whether the directory or the request knows a thing.
    fn known(&self, thing: Name<'_>) -> Result<bool, Far> {
        if thing.is(self.account) || self.id.is_some_and(|id| thing.is(Name { kind: self.resource, id })) {
            return Ok(true);
        }
        let Name { kind, id } = thing;
        match self.tree.vocabulary.kinds.get(kind.index()).map(|kind| kind.sort) {
            Some(Sort::Account) => Ok(self.directory.account_hashed(hash_name(kind, id), kind, id).is_some()),
            Some(Sort::Group) => Ok(self.directory.group(id).is_some()),
            _ => Err(Far),
        }
    }

    /// An answer; that of a test that is not answered here is of no account.
    #[inline]
    fn settle(&self, answer: Result<bool, Far>) -> bool {
        answer.unwrap_or_else(|Far| {
            self.far.set(true);
            false
        })
    }
}

impl Asks for Heard<'_, '_> {
    #[inline(always)]
    fn tree(&self) -> &Tree {
        self.tree
    }

    #[inline(always)]
    fn seen(&self) -> &Seen {
        &self.seen
    }

    #[inline(always)]
    fn nodes(&self) -> &Near {
        self.nodes
    }

    #[inline(always)]
    fn more_nodes(&self) -> &[u32] {
        self.more
    }

    fn places(&self) -> &[u32] {
        &self.seen.places
    }

    #[inline(always)]
    fn things(&self) -> &[u32] {
        &self.thing
    }

    #[inline(always)]
    fn home_covers(&self) -> bool {
        let home = self.held.home.map_or(NONE, |home| home.0);
        let near = self.path.iter().fold(false, |near, scope| near | (*scope == home));
        if self.from_below & !near {
            self.far.set(true);
        }
        near & (home != NONE)
    }

    #[inline(always)]
    fn quick(&self, quick: &Quick) -> Option<bool> {
        if let Test::Entry = quick.test {
            return None;
        }
        let value = self.plain(quick.of);
        let says = value.and_then(|value| {
            Ok(match (&quick.test, value) {
                (_, Given::Absent) => false,
                (Test::True, value) => matches!(value, Given::Bool(true)),
                (Test::Order(comparison, literal), value) => {
                    value.compares(*comparison, Given::of(literal)?)?
                }
                (Test::Turned(comparison, literal), value) => {
                    Given::of(literal)?.compares(*comparison, value)?
                }
                (Test::Has(element), set) => set.has(Given::of(element)?)?,
                (Test::In(network), Given::Ip(ip)) => network.contains(ip),
                (Test::Account, Given::Entity(kind, id)) => self.account.is(Name { kind, id }),
                _ => false,
            })
        });
        let fits = self.settle(says) == quick.holds;
        Some(fits && (!quick.exists || self.settle(value.and_then(|value| self.exists(value)))))
    }

    fn answer(&self, atom: u32) -> bool {
        self.settle(self.atom(atom))
    }

    fn walk(&self, mut at: Ref) -> Ref {
        while let Some(ix) = at.node() {
            let node = self.tree.nodes[ix];
            at = if self.answer(node.atom) { node.yes } else { node.no };
        }
        at
    }
}
