//! One question as a tree sees it: [`Seen`], what of it the tree knows by name, and [`Asking`], for one account.
//!
//! Law: no allocation; a table that doesn't hold all there is says so, and then the slow way is taken.

use super::atom::{Atom, Comparison};
use super::index::token_bit;
use super::node::{HeadList, Node, Ref, Token, Tree};
use super::term::Term;
use crate::directory::{Account, GroupIx, ScopeIx, Thing, World};
use crate::limits::ANCESTRY_DEPTH_MAX;
use crate::value::{Entity, KindId, RoleId};
use std::cell::Cell;
use std::cmp::Ordering;

/// Quantifiers inside one another.
pub(super) const QUANTIFIER_DEPTH_MAX: usize = 2;
/// Levels above a request's own resource, and nodes of a path of scopes.
const LEVELS_MAX: usize = ANCESTRY_DEPTH_MAX + 2;
/// Groups of one account that are kept by number; the rest are looked up each time.
const GROUPS_KEPT: usize = 32;
/// Answers of atoms that are kept.
const ANSWERS_KEPT: usize = 64;

/// A few tokens, and the bits of all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens<const N: usize> {
    list: [Token; N],
    len: usize,
    /// Bits of the tokens.
    pub(super) mask: u64,
    /// There were more than fit.
    pub(super) more: bool,
}

impl<const N: usize> Tokens<N> {
    fn new() -> Self {
        Tokens { list: [Token::ANY; N], len: 0, mask: 0, more: false }
    }

    fn push(&mut self, token: Token) {
        self.mask |= token_bit(token);
        match self.list.get_mut(self.len) {
            Some(place) => {
                *place = token;
                self.len += 1;
            }
            None => self.more = true,
        }
    }

    /// Those that fit.
    pub(super) fn list(&self) -> &[Token] {
        &self.list[..self.len]
    }
}

/// What of a question does not depend on the account: where and what, in a tree's numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// The number of (action, kind), if the vocabulary has that pair.
    pub(super) pair: Option<u32>,
    /// The scopes of the path that heads name.
    pub(super) places: Tokens<LEVELS_MAX>,
    /// What is acted on and what it sits in, as far as heads name it.
    pub(super) things: Tokens<LEVELS_MAX>,
}

impl Seen {
    /// A question in a tree's numbers.
    pub(super) fn new(tree: &Tree, world: &World<'_>) -> Seen {
        let question = world.question;
        let mut places = Tokens::new();
        for scope in path(world) {
            let node = world.directory.scopes.get(scope.index());
            if let Some(symbol) = node.and_then(|node| tree.symbols.number(&node.entity)) {
                places.push(Token::exact(symbol));
            }
        }
        let mut things = Tokens::new();
        let own = question.resource.entity.as_ref();
        if let Some(symbol) = own.and_then(|entity| tree.symbols.number(entity)) {
            things.push(Token::exact(symbol));
        }
        let mut at = own.map_or(Thing::Any, Thing::Entity);
        for _ in 0..=ANCESTRY_DEPTH_MAX {
            let Some(parent) = world.parent(at) else { break };
            if Some(parent) != own
                && let Some(symbol) = tree.symbols.number(parent)
            {
                things.push(Token::below(symbol));
            }
            at = Thing::Entity(parent);
        }
        Seen { pair: tree.pairs.number(question.action, question.resource.kind), places, things }
    }
}

/// The scopes from the request's up to its root.
pub(super) fn path<'a>(world: &World<'a>) -> &'a [ScopeIx] {
    let scope = world.question.scope.and_then(|scope| world.directory.scopes.get(scope.index()));
    scope.map_or(&[], |scope| &scope.ancestors)
}

/// One tree asked about one account.
pub(super) struct Asking<'a> {
    /// The tree: the set's, or that of the key's own text.
    pub(super) tree: &'a Tree,
    /// Directory and request, with the set's vocabulary.
    pub(super) world: World<'a>,
    /// The account decided for.
    pub(super) account: &'a Entity,
    /// What the directory holds of it.
    pub(super) held: Option<&'a Account>,
    /// Where and what.
    pub(super) seen: &'a Seen,
    /// The account itself, if heads name it.
    pub(super) own: Option<Token>,
    /// Its groups that heads name.
    pub(super) groups: Tokens<GROUPS_KEPT>,
    /// What quantifiers look at.
    pub(super) variables: [Cell<Option<Term<'a>>>; QUANTIFIER_DEPTH_MAX],
    /// Answers: the atom's number plus one, then a bit for yes. Zero is empty.
    answers: [Cell<u32>; ANSWERS_KEPT],
}

impl<'a> Asking<'a> {
    /// A tree asked about an account.
    pub(super) fn new(tree: &'a Tree, world: World<'a>, seen: &'a Seen, account: &'a Entity) -> Asking<'a> {
        let held = world.directory.account(account).and_then(|ix| world.directory.accounts.get(ix.index()));
        let mut groups = Tokens::new();
        if tree.symbols.len() > 0 {
            for group in held.into_iter().flat_map(|held| live_groups(world, held)) {
                if let Some(token) = group_token(tree, &world, group) {
                    groups.push(token);
                }
            }
        }
        Asking {
            tree,
            world,
            account,
            held,
            seen,
            own: tree.symbols.number(account).map(Token::exact),
            groups,
            variables: [const { Cell::new(None) }; QUANTIFIER_DEPTH_MAX],
            answers: [const { Cell::new(0) }; ANSWERS_KEPT],
        }
    }

    /// What is acted on.
    pub(super) fn resource(&self) -> Thing<'a> {
        self.world.question.resource.entity.as_ref().map_or(Thing::Any, Thing::Entity)
    }

    /// Whether some group of the account that heads name passes.
    pub(super) fn any_group(&self, mut passes: impl FnMut(Token) -> bool) -> bool {
        if !self.groups.more {
            return self.groups.list().iter().any(|group| passes(*group));
        }
        let all = self.held.into_iter().flat_map(|held| live_groups(self.world, held));
        all.filter_map(|group| group_token(self.tree, &self.world, group)).any(passes)
    }

    /// The leaf that a diagram leads to.
    pub(super) fn walk(&self, mut at: Ref) -> Ref {
        while let Some(ix) = at.node() {
            let Node { atom, yes, no } = self.tree.nodes[ix];
            at = if self.ask(atom) { yes } else { no };
        }
        at
    }

    /// An atom's answer; asked once, as long as its place among those kept isn't taken by another.
    fn ask(&self, number: u32) -> bool {
        let kept = &self.answers[number as usize % ANSWERS_KEPT];
        let key = (number + 1) << 1;
        if kept.get() & !1 == key {
            return kept.get() & 1 == 1;
        }
        let answer = self.answer(&self.tree.atoms[number as usize]);
        // What is asked about an element of a set is asked again about the next.
        if self.variables[0].get().is_none() {
            kept.set(key | u32::from(answer));
        }
        answer
    }

    fn answer(&self, atom: &Atom) -> bool {
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
            Atom::Compare(comparison, a, b) => {
                let order = self.term(*a)?.order(self.term(*b)?)?;
                match comparison {
                    Comparison::Equal => order == Ordering::Equal,
                    Comparison::Different => order != Ordering::Equal,
                    Comparison::Less => order == Ordering::Less,
                    Comparison::LessOrEqual => order != Ordering::Greater,
                }
            }
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
                group.kind == KindId::GROUP && self.world.is_member(member, &group.id)
            }
            Atom::Within(a, top) => match (self.term(*a)?, self.term(*top)?.entity()?) {
                (Term::Thing(thing), top) => self.world.is_within(thing, top),
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
                Term::Thing(thing) => self.world.known(thing),
                _ => true,
            },
            Atom::IsKind(a, kind) => match self.term(*a)? {
                Term::Thing(Thing::Entity(entity)) => entity.kind == *kind,
                Term::Thing(Thing::Any) => self.world.question.resource.kind == *kind,
                _ => false,
            },
            _ => false,
        })
    }

    /// `any` needs one element that satisfies the body, `all` that every one does; an absent set fails both.
    fn quantifier(&self, all: bool, set: u32, depth: usize, body: Ref) -> bool {
        let Some(set) = self.term(set) else { return false };
        let Some(variable) = self.variables.get(depth) else { return false };
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
        for scope in path(&self.world) {
            let Some(scope) = self.world.directory.scopes.get(scope.index()) else { continue };
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
                let has = |token: Token| {
                    let kinds = run(items, token);
                    kinds.iter().any(|(_, kind)| kind.is_none_or(|kind| kind == self.account.kind))
                };
                has(Token::ANY)
                    || has(Token::kind(self.account.kind))
                    || self.own.is_some_and(has)
                    || self.any_group(has)
            }
            HeadList::Where(items) => {
                let here = run(items, Token::ANY);
                here.iter().any(|(_, kind)| kind.is_none_or(|kind| self.at_kind(kind, None)))
                    || self.seen.places.list().iter().any(|place| {
                        run(items, *place).iter().any(|(_, kind)| match kind {
                            Some(kind) => self.at_kind(*kind, self.named(*place)),
                            None => true,
                        })
                    })
            }
            HeadList::What(items) => {
                let Some(pair) = self.seen.pair else { return false };
                let has = |token: Token| {
                    run(items, token)
                        .iter()
                        .any(|(_, shape)| self.tree.shapes[*shape as usize].contains(pair))
                };
                has(Token::ANY) || self.seen.things.list().iter().any(|thing| has(*thing))
            }
        }
    }

    fn named(&self, token: Token) -> Option<&'a Entity> {
        match token.named() {
            super::node::Named::Exact(symbol) => self.tree.symbols.name(symbol),
            _ => None,
        }
    }

    fn has_role(&self, role: RoleId) -> bool {
        let roles = &self.world.vocabulary.roles;
        let includes = |held: RoleId| roles.get(held.index()).is_some_and(|r| r.includes.contains(&role));
        self.bindings().any(|binding| includes(binding.role))
    }
}

/// The items of a sorted list that have one token.
fn run<T>(items: &[(Token, T)], token: Token) -> &[(Token, T)] {
    let start = items.partition_point(|(t, _)| *t < token);
    let len = items[start..].partition_point(|(t, _)| *t == token);
    &items[start..start + len]
}

/// The groups an account is in now.
pub(super) fn live_groups<'a>(world: World<'a>, held: &'a Account) -> impl Iterator<Item = GroupIx> + 'a {
    let now = world.now();
    world.directory.groups_of(held).filter(move |(_, until)| now < *until).map(|(group, _)| group)
}

fn group_token(tree: &Tree, world: &World<'_>, group: GroupIx) -> Option<Token> {
    let group = world.directory.groups.get(group.index())?;
    let entity = Entity { kind: KindId::GROUP, id: group.id.clone() };
    tree.symbols.number(&entity).map(Token::exact)
}
