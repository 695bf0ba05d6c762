//! A question as a tree sees it: [`Resolved`], every name in it turned into the tree's numbers once.
//!
//! In:    a tree, a directory, a question; and [`Link`], the numbers of the directory's groups and scopes, if it is kept.
//! Out:   [`Resolved`], which borrows all three: it can't outlive them or be decided with others.
//! Law:   resolving looks up names and settles nothing: `decide` is where rules, ceilings and chains are weighed.

use super::decide::decide;
use super::index::{ANY_BIT, NONE, folded, pair_bit, token_bit};
use super::node::{Named, Token, Tree};
use super::term::Values;
use crate::check::program::Sort;
use crate::decision::Decision;
use crate::directory::{
    Account, Binding, Directory, GroupIx, Link as ActingFor, LinkTarget, ScopeIx, Thing, World,
};
use crate::limits::{ANCESTRY_DEPTH_MAX, CHAIN_ACCOUNTS_MAX};
use crate::request::{Credential, KeyPolicy, Question};
use crate::value::{BoundaryId, Entity, KindId};
use std::ops::Range;

/// The symbols of a directory's groups and scopes in one tree, by index: [`NONE`] for what no head names.
#[derive(Clone, Debug, Default)]
pub struct Link {
    groups: Vec<u32>,
    scopes: Vec<u32>,
}

impl Link {
    /// Looks up all groups and scopes.
    pub fn new(tree: &Tree, directory: &Directory) -> Link {
        Link {
            groups: (0..directory.groups.len())
                .map(|ix| group_symbol(tree, directory, GroupIx(ix as u32)))
                .collect(),
            scopes: (0..directory.scopes.len())
                .map(|ix| scope_symbol(tree, directory, ScopeIx(ix as u32)))
                .collect(),
        }
    }
}

fn group_symbol(tree: &Tree, directory: &Directory, group: GroupIx) -> u32 {
    let group = directory.groups.get(group.index());
    let symbol = group.and_then(|g| tree.symbols.number(&Entity { kind: KindId::GROUP, id: g.id.clone() }));
    symbol.unwrap_or(NONE)
}

fn scope_symbol(tree: &Tree, directory: &Directory, scope: ScopeIx) -> u32 {
    directory.scopes.get(scope.index()).and_then(|s| tree.symbols.number(&s.entity)).unwrap_or(NONE)
}

/// Nodes of the index that are looked at in one step.
pub(super) const NODES_TOGETHER: usize = 4;

/// A part of [`Resolved::numbers`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    start: u32,
    end: u32,
}

impl Part {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// What of a question does not depend on the account: where and what, in a tree's numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// The number of (action, kind), if the vocabulary has that pair.
    pub(super) pair: Option<u32>,
    /// Its bit; none if there is no such pair.
    pub(super) pair_bit: u64,
    /// Bits of the places and of anything.
    pub(super) place_bits: u64,
    /// The same, folded as nodes of the index have them.
    pub(super) places_folded: u32,
    /// Bits of the things and of anything.
    pub(super) thing_bits: u64,
    /// The scopes of the path that heads name.
    places: Part,
    /// What is acted on and what it sits in, as far as heads name it.
    things: Part,
}

/// An account of the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    /// Kind and id.
    pub(super) entity: &'a Entity,
    /// What the directory holds of it.
    pub(super) held: Option<&'a Account>,
    /// Its home.
    pub(super) home: Option<ScopeIx>,
    /// Its boundaries.
    pub(super) boundaries: &'a [BoundaryId],
    /// The link by which it acts for the next one.
    pub(super) link: Option<&'a ActingFor>,
    /// Its attributes.
    pub(super) values: Values<'a>,
    /// Whether the directory must hold it and doesn't.
    pub(super) unknown: bool,
    /// Whether some boundary may bind it.
    pub(super) capped: bool,
    /// Its groups now, by index.
    groups: Part,
    /// Itself and its groups now, as far as heads name them.
    whos: Part,
    /// Bits of these and of its kind.
    pub(super) who_bits: u64,
    /// The policies' nodes of the index that concern it.
    nodes: Part,
    /// Its bindings and those of its groups and kind.
    bindings: Part,
}

/// The tree of a key's own text, and the question in its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    /// The text, compiled.
    pub(super) policy: &'a KeyPolicy,
    pub(super) seen: Seen,
    whos: Part,
    who_bits: u64,
}

/// A question linked to a tree and a directory, ready to be decided any number of times.
#[derive(Clone, Debug)]
pub struct Resolved<'a> {
    pub(super) tree: &'a Tree,
    pub(super) world: World<'a>,
    pub(super) seen: Seen,
    /// Who asks.
    pub(super) asker: Asker<'a>,
    /// What is acted on.
    pub(super) resource: Values<'a>,
    /// The scopes from the request's up to its root.
    path: Part,
    /// The boundaries of these scopes, from the root down.
    ceilings: Part,
    /// All lists of numbers.
    numbers: Vec<u32>,
    bindings: Vec<&'a [Binding]>,
    /// Whom the asking account acts for, nearest first.
    pub(super) behind: Vec<Asker<'a>>,
    /// The links from the asking account don't end where they must.
    pub(super) broken: bool,
    /// The key presented.
    pub(super) credential: Option<&'a Credential>,
    pub(super) key: Option<Box<Key<'a>>>,
}

impl<'a> Resolved<'a> {
    /// Looks up what a question names. `link` must have been made for this tree and directory.
    pub fn new(
        tree: &'a Tree,
        directory: &'a Directory,
        link: Option<&Link>,
        question: &'a Question,
    ) -> Resolved<'a> {
        let world = World { vocabulary: &tree.vocabulary, directory, question };
        let mut door =
            Door { tree, world, link, capped: false, numbers: Vec::with_capacity(24), bindings: Vec::new() };
        let seen = door.seen(tree);
        let (path, ceilings) = door.path();
        // The key presented binds the asking account alone, but those behind it may as well be asked.
        door.capped = !ceilings.range().is_empty() || question.credential.is_some();
        let account = &question.account;
        let (mut next, mut broken) = door.next(account, &[], account);
        let asker = door.asker(account, next.map(|(link, _)| link));
        let mut behind: Vec<Asker<'a>> = Vec::new();
        while let Some((_, current)) = next {
            (next, broken) = door.next(account, &behind, current);
            behind.push(door.asker(current, next.map(|(link, _)| link)));
        }
        let credential = question.credential.as_ref();
        let key = credential.and_then(|c| c.policy.as_deref());
        let key = key.map(|policy| Box::new(door.key(policy, asker.groups, account)));
        let resource =
            Values::of(&world, question.resource.entity.as_ref().map_or(Thing::Any, Thing::Entity));
        let Door { numbers, bindings, .. } = door;
        Resolved {
            tree,
            world,
            seen,
            asker,
            resource,
            path,
            ceilings,
            numbers,
            bindings,
            behind,
            broken,
            credential,
            key,
        }
    }

    /// Decides.
    pub fn decide(&self) -> Decision {
        decide(self)
    }

    #[inline]
    pub(super) fn path(&self) -> &[u32] {
        &self.numbers[self.path.range()]
    }

    #[inline]
    pub(super) fn ceilings(&self) -> &[u32] {
        &self.numbers[self.ceilings.range()]
    }

    #[inline]
    pub(super) fn nodes(&self, asker: &Asker<'a>) -> &[u32] {
        &self.numbers[asker.nodes.range()]
    }

    #[inline]
    pub(super) fn bindings(&self, asker: &Asker<'a>) -> &[&'a [Binding]] {
        &self.bindings[asker.bindings.range()]
    }

    /// An account and its groups as a tree knows them, with the bits of these and of its kind.
    pub(super) fn whos(&self, tree: &Tree, asker: &Asker<'a>) -> (&[u32], u64) {
        let (whos, bits) = match self.key.as_deref() {
            Some(key) if std::ptr::eq(tree, &key.policy.tree) => (key.whos, key.who_bits),
            _ => (asker.whos, asker.who_bits),
        };
        (&self.numbers[whos.range()], bits)
    }

    #[inline(always)]
    pub(super) fn places(&self, seen: &Seen) -> &[u32] {
        &self.numbers[seen.places.range()]
    }

    #[inline]
    pub(super) fn things(&self, seen: &Seen) -> &[u32] {
        &self.numbers[seen.things.range()]
    }
}

/// A question being resolved.
struct Door<'a, 'l> {
    tree: &'a Tree,
    world: World<'a>,
    link: Option<&'l Link>,
    /// Whether the place or the key presented has boundaries.
    capped: bool,
    numbers: Vec<u32>,
    bindings: Vec<&'a [Binding]>,
}

impl<'a> Door<'a, '_> {
    fn at(&self) -> u32 {
        self.numbers.len() as u32
    }

    /// The link's tables serve the set's own tree only.
    fn group(&self, tree: &Tree, group: GroupIx) -> u32 {
        match self.link.filter(|_| std::ptr::eq(tree, self.tree)) {
            Some(link) => link.groups.get(group.index()).copied().unwrap_or(NONE),
            None => group_symbol(tree, self.world.directory, group),
        }
    }

    fn scope(&self, tree: &Tree, scope: ScopeIx) -> u32 {
        match self.link.filter(|_| std::ptr::eq(tree, self.tree)) {
            Some(link) => link.scopes.get(scope.index()).copied().unwrap_or(NONE),
            None => scope_symbol(tree, self.world.directory, scope),
        }
    }

    /// Adds a token; its bit.
    fn token(&mut self, token: Token) -> u64 {
        self.numbers.push(token.0);
        token_bit(token)
    }

    fn scopes(&self) -> &'a [ScopeIx] {
        let World { directory, question, .. } = self.world;
        let scope = question.scope.and_then(|scope| directory.scopes.get(scope.index()));
        scope.map_or(&[], |scope| &scope.ancestors)
    }

    fn seen(&mut self, tree: &Tree) -> Seen {
        let World { question, .. } = self.world;
        let (start, mut place_bits) = (self.at(), ANY_BIT);
        for scope in self.scopes() {
            match self.scope(tree, *scope) {
                NONE => {}
                symbol => place_bits |= self.token(Token::exact(symbol)),
            }
        }
        let places = Part { start, end: self.at() };
        let (start, mut thing_bits) = (self.at(), ANY_BIT);
        let own = question.resource.entity.as_ref();
        if let Some(symbol) = own.and_then(|entity| tree.symbols.number(entity)) {
            thing_bits |= self.token(Token::exact(symbol));
        }
        let mut at = own.map_or(Thing::Any, Thing::Entity);
        for _ in 0..=ANCESTRY_DEPTH_MAX {
            let Some(parent) = self.world.parent(at) else { break };
            if Some(parent) != own
                && let Some(symbol) = tree.symbols.number(parent)
            {
                thing_bits |= self.token(Token::below(symbol));
            }
            at = Thing::Entity(parent);
        }
        let things = Part { start, end: self.at() };
        let pair = tree.pairs.number(question.action, question.resource.kind);
        let places_folded = folded(place_bits);
        Seen {
            pair,
            pair_bit: pair.map_or(0, pair_bit),
            place_bits,
            places_folded,
            thing_bits,
            places,
            things,
        }
    }

    fn path(&mut self) -> (Part, Part) {
        let scopes = self.scopes();
        let start = self.at();
        self.numbers.extend(scopes.iter().map(|scope| scope.0));
        let path = Part { start, end: self.at() };
        for scope in scopes.iter().rev() {
            let held = self.world.directory.scopes.get(scope.index());
            self.numbers.extend(held.into_iter().flat_map(|scope| scope.boundaries.iter()).map(|b| b.0));
        }
        (path, Part { start: path.end, end: self.at() })
    }

    /// Whom an account acts for, by which link; and whether there should be somebody and isn't.
    fn next(
        &self,
        first: &Entity,
        behind: &[Asker<'a>],
        current: &Entity,
    ) -> (Option<(&'a ActingFor, &'a Entity)>, bool) {
        let kind = self.world.vocabulary.kinds.get(current.kind.index());
        if kind.is_none_or(|kind| kind.acting_for.is_empty()) {
            return (None, false);
        }
        // How many stand before the current one.
        let at = if std::ptr::eq(first, current) { 0 } else { behind.len() + 1 };
        let new = |next: &Entity| {
            next != first && next != current && behind.iter().all(|asker| asker.entity != next)
        };
        let next = self.linked(current, at);
        let next = next.filter(|(_, next)| at + 1 < CHAIN_ACCOUNTS_MAX && new(next));
        (next, next.is_none())
    }

    /// The one that the request names, else the only one it could be.
    fn linked(&self, current: &Entity, at: usize) -> Option<(&'a ActingFor, &'a Entity)> {
        let World { vocabulary, directory, question } = self.world;
        let kinds = &vocabulary.kinds.get(current.kind.index())?.acting_for;
        let account = directory.accounts.get(directory.account(current)?.index())?;
        let now = self.world.now();
        let mut live = account.links().iter().filter(|link| now < link.until);
        if let Some(named) = question.acting_for.get(at) {
            let fits = |link: &&ActingFor| match link.target {
                LinkTarget::Account(ix) => {
                    directory.accounts.get(ix.index()).is_some_and(|a| a.entity == *named)
                }
                LinkTarget::Group(ix) => {
                    let group = directory.groups.get(ix.index());
                    group.is_some_and(|group| self.world.is_member(named, &group.id))
                }
            };
            return live.find(fits).filter(|_| kinds.contains(&named.kind)).map(|link| (link, named));
        }
        let link = live.next()?;
        let LinkTarget::Account(target) = link.target else { return None };
        let target = &directory.accounts.get(target.index())?.entity;
        (live.next().is_none() && kinds.contains(&target.kind)).then_some((link, target))
    }

    fn asker(&mut self, entity: &'a Entity, link: Option<&'a ActingFor>) -> Asker<'a> {
        let World { vocabulary, directory, .. } = self.world;
        let held = directory.account(entity).and_then(|ix| directory.accounts.get(ix.index()));
        let groups = self.groups_of(held);
        let (whos, who_bits) = self.whos(self.tree, groups, entity);
        let nodes = self.who_nodes(whos, entity.kind);
        let bindings = self.bindings_of(held, groups, entity.kind);
        let kind = vocabulary.kinds.get(entity.kind.index());
        let supplied = kind.is_some_and(|kind| kind.sort == Sort::Account && kind.supplied);
        let boundaries: &[BoundaryId] = held.map_or(&[], |held| held.boundaries());
        let capped =
            self.capped || !boundaries.is_empty() || link.is_some_and(|link| !link.boundaries.is_empty());
        Asker {
            entity,
            held,
            home: held.and_then(|held| held.home),
            boundaries,
            capped,
            link,
            values: Values::of(&self.world, Thing::Entity(entity)),
            unknown: held.is_none() && !supplied,
            groups,
            whos,
            who_bits,
            nodes,
            bindings,
        }
    }

    /// The groups an account is in now, each once.
    fn groups_of(&mut self, held: Option<&'a Account>) -> Part {
        let start = self.at();
        if let Some(held) = held {
            let now = self.world.now();
            let live = self.world.directory.groups_of(held).filter(|(_, until)| now < *until);
            self.numbers.extend(live.map(|(group, _)| group.0));
            let own = &mut self.numbers[start as usize..];
            own.sort_unstable();
            let mut kept = 0;
            for n in 0..own.len() {
                if n == 0 || own[n] != own[kept - 1] {
                    own[kept] = own[n];
                    kept += 1;
                }
            }
            self.numbers.truncate(start as usize + kept);
        }
        Part { start, end: self.at() }
    }

    /// The account and its groups now.
    fn whos(&mut self, tree: &Tree, groups: Part, entity: &Entity) -> (Part, u64) {
        let (start, mut bits) = (self.at(), token_bit(Token::kind(entity.kind)));
        if tree.symbols.len() > 0 {
            if let Some(symbol) = tree.symbols.number(entity) {
                bits |= self.token(Token::exact(symbol));
            }
            for at in groups.range() {
                match self.group(tree, GroupIx(self.numbers[at])) {
                    NONE => {}
                    symbol => bits |= self.token(Token::exact(symbol)),
                }
            }
        }
        (Part { start, end: self.at() }, bits)
    }

    fn who_nodes(&mut self, whos: Part, kind: KindId) -> Part {
        let index = &self.tree.index;
        let start = self.at();
        let any = index.gates.first().map_or(NONE, |gate| gate.any);
        let add = |node: u32, numbers: &mut Vec<u32>| {
            if node != NONE {
                numbers.push(node);
            }
        };
        add(any, &mut self.numbers);
        add(index.of_kind(kind), &mut self.numbers);
        for at in whos.range() {
            if let Named::Exact(symbol) = Token(self.numbers[at]).named() {
                add(index.of_symbol(symbol), &mut self.numbers);
            }
        }
        // Filled up with a node under which there is nothing, since many are looked at in fours.
        while !(self.numbers.len() - start as usize).is_multiple_of(NODES_TOGETHER) {
            self.numbers.push(index.nodes.len() as u32 - 1);
        }
        Part { start, end: self.at() }
    }

    fn bindings_of(&mut self, held: Option<&'a Account>, groups: Part, kind: KindId) -> Part {
        let start = self.bindings.len() as u32;
        if let Some(held) = held {
            let directory = self.world.directory;
            let groups = self.numbers[groups.range()].iter();
            let groups = groups.filter_map(|ix| directory.groups.get(GroupIx(*ix).index()));
            let of_kind = directory.kind_bindings.iter().filter(|(of, _)| *of == kind);
            let all = std::iter::once(&held.bindings[..])
                .chain(groups.map(|group| &group.bindings[..]))
                .chain(of_kind.map(|(_, binding)| std::slice::from_ref(binding)));
            self.bindings.extend(all.filter(|list| !list.is_empty()));
        }
        Part { start, end: self.bindings.len() as u32 }
    }

    fn key(&mut self, policy: &'a KeyPolicy, groups: Part, account: &Entity) -> Key<'a> {
        let seen = self.seen(&policy.tree);
        let (whos, who_bits) = self.whos(&policy.tree, groups, account);
        Key { policy, seen, whos, who_bits }
    }
}
