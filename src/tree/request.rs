//! The conditions of one question: [`Asking`], a tree asked about one account.
//!
//! Law: no allocation; an answer that is kept is the answer that asking again would give.

use super::atom::Atom;
use super::kept::{Kept, SEATS};
use super::lookup::NONE;
use super::node::{HeadList, Named, Node, Ref, Token, Tree};
use super::resolved::{Asker, AskerMore, Resolved, Seen};
use super::term::{Read, Term, order};
use crate::directory::{ScopeIx, Thing, World};
use crate::value::{Entity, KindId, RoleId, Value};
use std::cell::{Cell, OnceCell};

/// Quantifiers inside one another.
pub(super) const QUANTIFIER_DEPTH_MAX: usize = 2;
/// Answers of atoms that are kept.
const ANSWERS_KEPT: usize = 64;

/// What is written while conditions are asked. Not made until the first one is.
struct Scratch<'a> {
    /// What quantifiers look at.
    variables: [Cell<Option<Term<'a>>>; QUANTIFIER_DEPTH_MAX],
    /// Answers: the atom's number plus one, then a bit for yes. Zero is empty.
    answers: [Cell<u32>; ANSWERS_KEPT],
}

/// One tree asked about one account.
pub(super) struct Asking<'r, 'a> {
    /// The tree: the set's, or that of the key's own text.
    pub(super) tree: &'a Tree,
    /// The question.
    pub(super) resolved: &'r Resolved<'a>,
    /// The account decided for.
    pub(super) asker: &'r Asker<'a>,
    /// The rest of it, if it is not the one that asks. That one's is fetched when it is needed.
    behind: Option<&'r AskerMore<'a>>,
    /// What stands in the tree's seats.
    pub(super) kept: &'r [Kept<'a>; SEATS],
    /// Where and what.
    pub(super) seen: &'r Seen,
    scratch: OnceCell<Scratch<'a>>,
}

impl<'r, 'a> Asking<'r, 'a> {
    /// The set's tree asked about an account.
    #[inline(always)]
    pub(super) fn new(resolved: &'r Resolved<'a>) -> Self {
        let (asker, behind) = (&resolved.asker, None);
        let (tree, seen, kept) = (resolved.tree, &resolved.seen, &asker.kept);
        Asking { tree, resolved, asker, behind, kept, seen, scratch: OnceCell::new() }
    }

    /// The set's tree asked about an account behind the one that asks.
    pub(super) fn behind(resolved: &'r Resolved<'a>, (asker, more): &'r (Asker<'a>, AskerMore<'a>)) -> Self {
        Asking { asker, behind: Some(more), kept: &asker.kept, ..Asking::new(resolved) }
    }

    /// What few decisions look at of the account.
    #[inline]
    pub(super) fn more(&self) -> &'r AskerMore<'a> {
        self.behind.unwrap_or(&self.resolved.rest.asker)
    }

    /// The tree of the key's own text asked about the account that presents it.
    pub(super) fn of_key(resolved: &'r Resolved<'a>) -> Option<Self> {
        let key = resolved.rest.key.as_ref()?;
        // The seats are those of another tree.
        let kept = &[Kept::Elsewhere; SEATS];
        Some(Asking { tree: &key.policy.tree, seen: &key.seen, kept, ..Asking::new(resolved) })
    }

    /// Directory and request, with the set's vocabulary.
    pub(super) fn world(&self) -> World<'a> {
        self.resolved.world
    }

    /// The account and its groups, in the tree's numbers.
    pub(super) fn whos(&self) -> &'r [u32] {
        self.resolved.whos(self.tree, self.more()).0
    }

    /// Bits of these and of its kind.
    pub(super) fn who_bits(&self) -> u64 {
        self.resolved.whos(self.tree, self.more()).1
    }

    /// The places.
    pub(super) fn places(&self) -> &'r [u32] {
        self.resolved.places(self.tree)
    }

    /// The things.
    pub(super) fn things(&self) -> &'r [u32] {
        self.resolved.things(self.tree)
    }

    fn scratch(&self) -> &Scratch<'a> {
        self.scratch.get_or_init(|| Scratch {
            variables: [const { Cell::new(None) }; QUANTIFIER_DEPTH_MAX],
            answers: [const { Cell::new(0) }; ANSWERS_KEPT],
        })
    }

    /// What the quantifier at a depth looks at.
    pub(super) fn variable(&self, depth: u8) -> Option<Term<'a>> {
        self.scratch().variables.get(usize::from(depth))?.get()
    }

    /// What is acted on.
    pub(super) fn resource(&self) -> Thing<'a> {
        self.world().question.resource.entity.as_ref().map_or(Thing::Any, Thing::Entity)
    }

    /// The leaf that a diagram leads to.
    pub(super) fn walk(&self, mut at: Ref) -> Ref {
        while let Some(ix) = at.node() {
            let Node { atom, yes, no } = self.tree.nodes[ix];
            // The last test on the way is the only one of most conditions: it is not worth a place among the answers.
            let last = yes.node().is_none() && no.node().is_none();
            let holds = if last { self.answer_once(atom) } else { self.ask(atom) };
            at = if holds { yes } else { no };
        }
        at
    }

    /// An atom's answer; asked once, as long as its place among those kept isn't taken by another.
    fn ask(&self, number: u32) -> bool {
        let scratch = self.scratch();
        let kept = &scratch.answers[number as usize % ANSWERS_KEPT];
        let key = (number + 1) << 1;
        if kept.get() & !1 == key {
            return kept.get() & 1 == 1;
        }
        let answer = self.answer(&self.tree.atoms[number as usize]);
        // What is asked about an element of a set is asked again about the next.
        if scratch.variables[0].get().is_none() {
            kept.set(key | u32::from(answer));
        }
        answer
    }

    /// An atom's answer, not kept.
    #[inline]
    pub(super) fn answer_once(&self, number: u32) -> bool {
        self.answer(&self.tree.atoms[number as usize])
    }

    #[inline]
    fn answer(&self, atom: &Atom) -> bool {
        // Most tests compare an attribute with a literal: these need no terms.
        match atom {
            Atom::True(a) => match self.read(*a) {
                Read::Value(value) => return *value == Value::Bool(true),
                Read::Absent => return false,
                Read::Elsewhere => {}
            },
            Atom::Compare(comparison, a, b) => match (self.read(*a), self.read(*b)) {
                (Read::Value(a), Read::Value(b)) => {
                    return order(a, b).is_some_and(|order| comparison.holds(order));
                }
                (Read::Absent, _) | (_, Read::Absent) => return false,
                _ => {}
            },
            Atom::InSet(a, set) => {
                if let (Read::Value(a), Read::Value(Value::Set(set))) = (self.read(*a), self.read(*set)) {
                    return set.binary_search(a).is_ok();
                }
            }
            _ => {}
        }
        self.answer_in_terms(atom)
    }

    #[inline(never)]
    fn answer_in_terms(&self, atom: &Atom) -> bool {
        match atom {
            Atom::HasRole(role) => self.has_role(*role),
            Atom::AtKind(kind) => self.at_kind(*kind, None),
            Atom::AtKindBelow(kind, top) => {
                self.tree.symbols.name(*top).is_some_and(|top| self.at_kind(*kind, Some(top)))
            }
            Atom::Listed(list) => self.listed(&self.tree.lists[*list as usize]),
            Atom::Quantifier { all, set, depth, body } => {
                self.quantifier(*all, *set, usize::from(*depth), self.tree.bodies[*body as usize])
            }
            _ => self.of_terms(atom).unwrap_or(false),
        }
    }

    /// An atom that looks at terms and nothing else; `None` when one is absent.
    fn of_terms(&self, atom: &Atom) -> Option<bool> {
        Some(match atom {
            Atom::True(a) => matches!(self.term(*a)?, Term::Bool(true)),
            Atom::Compare(comparison, a, b) => comparison.holds(self.term(*a)?.order(self.term(*b)?)?),
            Atom::InSet(a, set) => {
                let (element, set) = (self.term(*a)?, self.term(*set)?);
                element.is_value() && self.has_element(set, element)
            }
            Atom::InNetwork(a, network) => match (self.term(*a)?, self.term(*network)?) {
                (Term::Ip(ip), Term::Cidr(network)) => network.contains(ip),
                _ => false,
            },
            Atom::InGroup(a, group) => {
                let (member, group) = (self.term(*a)?.entity()?, self.term(*group)?.entity()?);
                group.kind == KindId::GROUP && self.world().is_member(member, &group.id)
            }
            Atom::Within(a, top) => match (self.term(*a)?, self.term(*top)?.entity()?) {
                (Term::Thing(thing), top) => self.world().is_within(thing, top),
                _ => false,
            },
            Atom::ContainsAll(set, wanted) => {
                let (set, wanted) = (self.term(*set)?, self.term(*wanted)?);
                !self.any_element(wanted, |element| !self.has_element(set, element))
            }
            Atom::ContainsAny(set, wanted) => {
                let (set, wanted) = (self.term(*set)?, self.term(*wanted)?);
                self.any_element(wanted, |element| self.has_element(set, element))
            }
            Atom::IsEmpty(a) => match self.term(*a)? {
                Term::Text(text) => text.is_empty(),
                set => set.is_value() && !self.any_element(set, |_| true),
            },
            Atom::Matches(a, pattern) => match self.term(*a)? {
                Term::Text(text) => pattern.matches(text),
                _ => false,
            },
            Atom::Exists(a) => match self.term(*a)? {
                Term::Thing(thing) => self.world().known(thing),
                _ => true,
            },
            Atom::IsKind(a, kind) => match self.term(*a)? {
                Term::Thing(Thing::Entity(entity)) => entity.kind == *kind,
                Term::Thing(Thing::Any) => self.world().question.resource.kind == *kind,
                _ => false,
            },
            _ => false,
        })
    }

    /// `any` needs one element that satisfies the body, `all` that every one does; an absent set fails both.
    fn quantifier(&self, all: bool, set: u32, depth: usize, body: Ref) -> bool {
        let Some(set) = self.term(set) else { return false };
        let Some(variable) = self.scratch().variables.get(depth) else { return false };
        let satisfies = |element: Term<'a>| {
            variable.set(Some(element));
            self.walk(body) != Ref::NO
        };
        let holds = match set {
            Term::Set(..) | Term::List(_) if all => !self.any_element(set, |element| !satisfies(element)),
            Term::Set(..) | Term::List(_) => self.any_element(set, satisfies),
            _ => false,
        };
        variable.set(None);
        holds
    }

    /// Whether the request's scope is at or below a node of a kind; that one strictly below `top`, if there is one.
    fn at_kind(&self, kind: KindId, top: Option<&Entity>) -> bool {
        let mut met = false;
        for scope in self.resolved.path() {
            let Some(scope) = self.world().directory.scopes.get(ScopeIx(*scope).index()) else { continue };
            if top == Some(&scope.entity) {
                return met;
            }
            met |= scope.entity.kind == kind;
        }
        met && top.is_none()
    }

    fn listed(&self, list: &HeadList) -> bool {
        match list {
            HeadList::Who(items) => {
                let own = self.asker.entity.kind;
                let has = |token: Token| {
                    run(items, token).iter().any(|(_, kind)| kind.is_none_or(|kind| kind == own))
                };
                has(Token::ANY) || has(Token::kind(own)) || self.whos().iter().any(|who| has(Token(*who)))
            }
            HeadList::Where(items) => {
                let here = run(items, Token::ANY);
                here.iter().any(|(_, kind)| kind.is_none_or(|kind| self.at_kind(kind, None)))
                    || self.places().iter().any(|place| {
                        let place = Token(*place);
                        run(items, place).iter().any(|(_, kind)| match kind {
                            Some(kind) => self.at_kind(*kind, self.named(place)),
                            None => true,
                        })
                    })
            }
            HeadList::What(items) => {
                let pair = self.seen.pair;
                if pair == NONE {
                    return false;
                }
                let has = |token: Token| {
                    let shapes = run(items, token);
                    shapes.iter().any(|(_, shape)| self.tree.shapes[*shape as usize].contains(pair))
                };
                has(Token::ANY) || self.things().iter().any(|thing| has(Token(*thing)))
            }
        }
    }

    fn named(&self, token: Token) -> Option<&'a Entity> {
        match token.named() {
            Named::Exact(symbol) => self.tree.symbols.name(symbol),
            _ => None,
        }
    }

    fn has_role(&self, role: RoleId) -> bool {
        let roles = &self.world().vocabulary.roles;
        let includes = |held: RoleId| roles.get(held.index()).is_some_and(|r| r.includes.contains(&role));
        self.held().iter().any(|held| includes(held.role))
    }
}

/// The items of a sorted list that have one token.
fn run<T>(items: &[(Token, T)], token: Token) -> &[(Token, T)] {
    let start = items.partition_point(|(t, _)| *t < token);
    let len = items[start..].partition_point(|(t, _)| *t == token);
    &items[start..start + len]
}
