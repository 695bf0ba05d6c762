//! A question as a tree sees it: [`Resolved`], every name in it turned into the tree's numbers once.
//!
//! In:    a tree, a directory, a question; and [`Link`], the numbers of the directory's groups and scopes, if it is kept.
//! Out:   [`Resolved`], which borrows all three: it can't outlive them or be decided with others.
//! Law:   resolving finds what is named, and the groups and roles held here and now; it weighs nothing: rules, ceilings and
//!        chains are weighed by `decide`.

use super::chain;
use super::decide::decide;
use super::index::token_bit;
use super::kept::{Kept, Print, SEATS};
use super::link::{Link, group_symbol, scope_symbol};
use super::lookup::{ANY_PLACE, NODES_NEAR, NONE, Near, Node, place_bit};
use super::node::{Named, Token, Tree};
use super::subject::Subject;
use super::term::Values;
use crate::check::program::Sort;
use crate::decision::Decision;
use crate::directory::{
    Account, Binding, Directory, GroupIx, Link as ActingFor, Place, ScopeIx, Thing, World,
};
use crate::limits::ANCESTRY_DEPTH_MAX;
use crate::request::{Credential, KeyPolicy, Question};
use crate::value::{BoundaryId, Entity, KindId, RoleId};
use smallvec::SmallVec;
use std::mem::offset_of;
use std::ops::Range;

/// Places, and scopes of the path, that stand with the question.
pub(super) const PLACES_NEAR: usize = 4;

/// A part of [`Rest::numbers`].
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

/// Lists of numbers, kept where the question stands as long as they are short: nearly always.
type Numbers = SmallVec<[u32; 16]>;

/// What of a question does not depend on the account: where and what, in a tree's numbers.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Seen {
    /// Bits of the pair and of the shapes that have it; none if there is no such pair.
    pub(super) labels: u64,
    /// Bits of the places and of anything.
    pub(super) place_bits: u32,
    /// The number of (action, kind), or [`NONE`] if the vocabulary has no such pair.
    pub(super) pair: u32,
    /// The places that heads name, filled up with [`NONE`], which no token is.
    pub(super) places: [u32; PLACES_NEAR],
}

impl Seen {
    /// Sees another action, or another kind of thing that is acted on.
    fn asked(&mut self, tree: &Tree, question: &Question) {
        let pair = tree.pairs.number(question.action, question.resource.kind);
        self.labels = pair.map_or(0, |pair| tree.index.lookup.labels(pair));
        self.pair = pair.unwrap_or(NONE);
    }
}

/// The rest of it.
#[derive(Clone, Copy, Debug)]
struct Far {
    /// The scopes of the path that heads name.
    places: Part,
    /// What is acted on and what it sits in, as far as heads name it.
    things: Part,
}

/// An account of the chain. What every decision looks at stands first.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Asker<'a> {
    /// Its home's index; [`NONE`] if it has none.
    pub(super) home: u32,
    /// Whether it is in the directory.
    pub(super) held: bool,
    /// Whether more is to be looked at than the rules: any of the three below, the key, or those it acts for.
    pub(super) rare: bool,
    /// Whether it has more nodes than stand here.
    pub(super) many: bool,
    /// Whether the directory must hold it and doesn't.
    pub(super) unknown: bool,
    /// The policies' nodes of the index that concern it.
    pub(super) nodes: Near,
    /// Values that tests ask for most: of it, of what is acted on, of the context.
    pub(super) kept: [Kept<'a>; SEATS],
    /// Its print.
    pub(super) print: Print,
    /// The other nodes.
    nodes_more: Part,
    /// Whether some boundary may bind it.
    pub(super) capped: bool,
    /// Whether it holds a role here and now.
    pub(super) bound: bool,
    /// Kind and id.
    pub(super) entity: &'a Entity,
}

/// What of an account of the chain few decisions look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskerMore<'a> {
    /// Its attributes.
    pub(super) values: Values<'a>,
    /// Its boundaries.
    pub(super) boundaries: &'a [BoundaryId],
    /// The link by which it acts for the next one.
    pub(super) link: Option<&'a ActingFor>,
    /// Itself and its groups now, as far as heads name them.
    whos: Part,
    /// Bits of these and of its kind.
    who_bits: u64,
    /// What it holds here and now, itself, by its groups and its kind.
    bindings: Part,
}

/// The tree of a key's own text, and the question in its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    /// The text, compiled.
    pub(super) policy: &'a KeyPolicy,
    pub(super) seen: Seen,
    far: Far,
    whos: Part,
    who_bits: u64,
}

/// A role that an account holds here and now: by a binding of its own, of a group of it or of its kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub(super) role: RoleId,
    /// Whether the binding has boundaries.
    pub(super) bounded: bool,
    pub(super) binding: &'a Binding,
}

/// A question linked to a tree and a directory, ready to be decided any number of times.
///
/// What every decision looks at stands first, in five lines of memory: of many questions that are decided one after the
/// other, fetching them is a good part of the cost.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Resolved<'a> {
    pub(super) tree: &'a Tree,
    pub(super) seen: Seen,
    /// The scopes from the request's up to its root, as many as fit, filled up with [`NONE`].
    pub(super) path_near: [u32; PLACES_NEAR],
    /// Who asks.
    pub(super) asker: Asker<'a>,
    pub(super) world: World<'a>,
    /// What few decisions look at.
    pub(super) rest: Box<Rest<'a>>,
}

/// What of a question few decisions look at.
#[derive(Clone, Debug)]
pub(super) struct Rest<'a> {
    /// What is acted on.
    pub(super) resource: Values<'a>,
    /// Who asks.
    pub(super) asker: AskerMore<'a>,
    far: Far,
    /// The scopes from the request's up to its root.
    path: Part,
    /// The boundaries of these scopes, from the root down.
    ceilings: Part,
    /// The links from the asking account don't end where they must, or there is somebody behind it.
    pub(super) acts_for: bool,
    /// The links from the asking account don't end where they must.
    pub(super) broken: bool,
    /// The key presented.
    pub(super) credential: Option<&'a Credential>,
    bindings: Vec<Held<'a>>,
    /// Whom the asking account acts for, nearest first.
    pub(super) behind: Vec<(Asker<'a>, AskerMore<'a>)>,
    pub(super) key: Option<Key<'a>>,
    /// All lists of numbers.
    numbers: Numbers,
}

/// The nodes of the account that asks fill the second and the third line, its values the fourth and the fifth.
const _: () = {
    let asker = offset_of!(Resolved, asker);
    assert!(asker + offset_of!(Asker, nodes) == 64 && size_of::<Near>() == 128);
    assert!(asker + offset_of!(Asker, kept) == 192 && asker + offset_of!(Asker, print) < 320);
    assert!(size_of::<Resolved>() == 384);
};

impl<'a> Resolved<'a> {
    /// Looks up what a question names. `link` must have been made for this tree and directory.
    pub fn new(
        tree: &'a Tree,
        directory: &'a Directory,
        link: Option<&Link>,
        question: &'a Question,
    ) -> Resolved<'a> {
        let world = World { vocabulary: &tree.vocabulary, directory, question };
        let (numbers, groups) = (Numbers::new(), Numbers::new());
        let subject = Subject::of(&world);
        let resource =
            Values::new(question.resource.kind, subject.own.is_none(), subject.stored, subject.given);
        let bindings = Vec::new();
        let mut door = Door { tree, world, link, resource, capped: false, numbers, groups, bindings };
        let (seen, far) = door.seen(tree, &subject);
        let (path, ceilings) = door.path();
        // The key presented binds the asking account alone, but those behind it may as well be asked.
        door.capped = !ceilings.range().is_empty() || question.credential.is_some();
        let account = &question.account;
        let (mut next, mut broken) = chain::next(&world, account, &[], account);
        let (mut asker, more) = door.asker(account, next.map(|(link, _)| link));
        let mut behind = Vec::new();
        while let Some((_, current)) = next {
            (next, broken) = chain::next(&world, account, &behind, current);
            behind.push(door.asker(current, next.map(|(link, _)| link)));
        }
        let credential = question.credential.as_ref();
        let key = credential.and_then(|c| c.policy.as_deref());
        let key = key.map(|policy| door.key(policy, &subject, account));
        let Door { numbers, bindings, .. } = door;
        let acts_for = broken || !behind.is_empty();
        asker.rare |= acts_for || credential.is_some();
        Resolved {
            tree,
            seen,
            path_near: near(&numbers[path.range()]),
            asker,
            world,
            rest: Box::new(Rest {
                resource,
                asker: more,
                far,
                path,
                ceilings,
                acts_for,
                broken,
                credential,
                bindings,
                behind,
                key,
                numbers,
            }),
        }
    }

    /// The same for a question that asks for another action, and differs in nothing else.
    #[cfg(feature = "server")]
    pub(crate) fn instead(&mut self, question: &'a Question) {
        debug_assert!(self.world.question.same_but_action(question), "another question");
        self.world.question = question;
        self.seen.asked(self.tree, question);
        if let Some(key) = &mut self.rest.key {
            key.seen.asked(&key.policy.tree, question);
        }
    }

    /// Whom the account that asks acts for, nearest first, as far as links lead.
    #[cfg(feature = "server")]
    pub(crate) fn behind(&self) -> impl Iterator<Item = &'a Entity> {
        self.rest.behind.iter().map(|(asker, _)| asker.entity)
    }

    /// Decides.
    pub fn decide(&self) -> Decision {
        decide(self)
    }

    #[inline]
    pub(super) fn path(&self) -> &[u32] {
        &self.rest.numbers[self.rest.path.range()]
    }

    #[inline]
    pub(super) fn ceilings(&self) -> &[u32] {
        &self.rest.numbers[self.rest.ceilings.range()]
    }

    /// The numbers of an account's nodes beyond those that stand with it.
    pub(super) fn more_nodes(&self, asker: &Asker<'a>) -> &[u32] {
        &self.rest.numbers[asker.nodes_more.range()]
    }

    #[inline]
    pub(super) fn bindings(&self, asker: &AskerMore<'a>) -> &[Held<'a>] {
        &self.rest.bindings[asker.bindings.range()]
    }

    /// An account and its groups as a tree knows them, with the bits of these and of its kind.
    pub(super) fn whos(&self, tree: &Tree, asker: &AskerMore<'a>) -> (&[u32], u64) {
        let (whos, bits) = match &self.rest.key {
            Some(key) if std::ptr::eq(tree, &key.policy.tree) => (key.whos, key.who_bits),
            _ => (asker.whos, asker.who_bits),
        };
        (&self.rest.numbers[whos.range()], bits)
    }

    fn far(&self, tree: &Tree) -> &Far {
        match &self.rest.key {
            Some(key) if std::ptr::eq(tree, &key.policy.tree) => &key.far,
            _ => &self.rest.far,
        }
    }

    /// The scopes of the path that the heads of a tree name.
    pub(super) fn places(&self, tree: &Tree) -> &[u32] {
        &self.rest.numbers[self.far(tree).places.range()]
    }

    /// What is acted on and what it sits in, as far as the heads of a tree name it.
    pub(super) fn things(&self, tree: &Tree) -> &[u32] {
        &self.rest.numbers[self.far(tree).things.range()]
    }
}

/// The first numbers of a list.
fn near(list: &[u32]) -> [u32; PLACES_NEAR] {
    let mut near = [NONE; PLACES_NEAR];
    near.iter_mut().zip(list).for_each(|(near, number)| *near = *number);
    near
}

/// A question being resolved.
struct Door<'a, 'l> {
    tree: &'a Tree,
    world: World<'a>,
    link: Option<&'l Link>,
    /// What is acted on.
    resource: Values<'a>,
    /// Whether the place or the key presented has boundaries.
    capped: bool,
    numbers: Numbers,
    /// The groups that the account looked at is in now, by index.
    groups: Numbers,
    bindings: Vec<Held<'a>>,
}

impl<'a, 'l> Door<'a, 'l> {
    fn at(&self) -> u32 {
        self.numbers.len() as u32
    }

    /// The link, if it is of this tree: its tables serve the set's own tree only.
    fn link(&self, tree: &Tree) -> Option<&'l Link> {
        self.link.filter(|_| std::ptr::eq(tree, self.tree))
    }

    fn scopes(&self) -> &'a [ScopeIx] {
        let World { directory, question, .. } = self.world;
        let scope = question.scope.and_then(|scope| directory.scopes.get(scope.index()));
        scope.map_or(&[], |scope| &scope.ancestors)
    }

    fn seen(&mut self, tree: &Tree, subject: &Subject<'a>) -> (Seen, Far) {
        let World { question, .. } = self.world;
        let (start, mut place_bits) = (self.at(), ANY_PLACE);
        let (link, directory) = (self.link(tree), self.world.directory);
        let named = |scope: &ScopeIx| match link {
            Some(link) => link.scope(*scope),
            None => scope_symbol(tree, directory, *scope),
        };
        for symbol in self.scopes().iter().map(named).filter(|symbol| *symbol != NONE) {
            let token = Token::exact(symbol);
            self.numbers.push(token.0);
            place_bits |= place_bit(token);
        }
        let places = Part { start, end: self.at() };
        let start = self.at();
        let symbol = subject.own.and_then(|e| tree.symbols.number_hashed(subject.hash, e.kind, &e.id));
        if let Some(symbol) = symbol {
            self.numbers.push(Token::exact(symbol).0);
        }
        if let Some(node) = subject.node {
            let above = node.ancestors.iter().skip(1).map(named).filter(|symbol| *symbol != NONE);
            self.numbers.extend(above.map(|symbol| Token::below(symbol).0));
        } else {
            self.above(tree, subject);
        }
        let things = Part { start, end: self.at() };
        let mut seen =
            Seen { labels: 0, place_bits, pair: NONE, places: near(&self.numbers[places.range()]) };
        seen.asked(tree, question);
        (seen, Far { places, things })
    }

    /// What something sits in that is no scope node of the question's path.
    fn above(&mut self, tree: &Tree, subject: &Subject<'a>) {
        let mut above = subject.parent;
        for _ in 0..=ANCESTRY_DEPTH_MAX {
            let Some(parent) = above else { break };
            if Some(parent) != subject.own
                && let Some(symbol) = tree.symbols.number(parent)
            {
                self.numbers.push(Token::below(symbol).0);
            }
            above = self.world.parent(Thing::Entity(parent));
        }
    }

    fn path(&mut self) -> (Part, Part) {
        let scopes = self.scopes();
        let start = self.at();
        self.numbers.extend(scopes.iter().map(|scope| scope.0));
        let path = Part { start, end: self.at() };
        for scope in scopes.iter().rev() {
            let held = self.world.directory.scopes.get(scope.index());
            for boundary in held.map_or(&[][..], |scope| &scope.boundaries) {
                self.numbers.push(boundary.0);
            }
        }
        (path, Part { start: path.end, end: self.at() })
    }

    fn asker(&mut self, entity: &'a Entity, link: Option<&'a ActingFor>) -> (Asker<'a>, AskerMore<'a>) {
        let vocabulary = self.world.vocabulary;
        let held = self.held(entity);
        self.find_groups(held);
        let (whos, who_bits) = self.whos(self.tree, entity);
        let (nodes, nodes_more) = self.who_nodes(whos, entity.kind);
        let bindings = self.bindings_of(held, entity.kind);
        let supplied = || {
            let kind = vocabulary.kinds.get(entity.kind.index());
            kind.is_some_and(|kind| kind.sort == Sort::Account && kind.supplied)
        };
        let stored = held.map(|held| &held.attributes[..]);
        let boundaries: &[BoundaryId] = held.map_or(&[], |held| held.boundaries());
        let capped =
            self.capped || !boundaries.is_empty() || link.is_some_and(|link| !link.boundaries.is_empty());
        let unknown = held.is_none() && !supplied();
        let bound = !bindings.range().is_empty();
        let values = Values::new(entity.kind, false, stored, self.world.overlay(Thing::Entity(entity)));
        let context = &self.world.question.context;
        let value = |of| self.tree.slots.value(of, &values, &self.resource, context);
        let asker = Asker {
            home: held.and_then(|held| held.home).map_or(NONE, |home| home.0),
            held: held.is_some(),
            rare: unknown || capped || bound,
            many: !nodes_more.range().is_empty(),
            unknown,
            nodes,
            kept: self.tree.seats.filled(value),
            print: Print::of_entity(entity),
            nodes_more,
            capped,
            bound,
            entity,
        };
        (asker, AskerMore { values, boundaries, link, whos, who_bits, bindings })
    }

    /// What the directory holds of an account.
    fn held(&self, entity: &Entity) -> Option<&'a Account> {
        let World { directory, question, .. } = self.world;
        // Where the question says it stands, if it does stand there.
        let known = question.account_ix.and_then(|ix| directory.accounts.get(ix.index()));
        let known = known.filter(|account| account.entity == *entity);
        known.or_else(|| directory.accounts.get(directory.account(entity)?.index()))
    }

    /// Finds the groups an account is in now, each once, in order.
    fn find_groups(&mut self, held: Option<&'a Account>) {
        self.groups.clear();
        let Some(held) = held else { return };
        let now = self.world.now();
        let mut sorted = true;
        for (direct, until) in held.groups().filter(|(_, until)| now < *until) {
            let Some(group) = self.world.directory.groups.get(direct.index()) else { continue };
            for (within, end) in &*group.within {
                if now < until.min(*end) {
                    sorted &= self.groups.last().is_none_or(|before| *before < within.0);
                    self.groups.push(within.0);
                }
            }
        }
        if !sorted {
            self.groups.sort_unstable();
            self.groups.dedup();
        }
    }

    /// Adds a WHO; its bit.
    fn who(&mut self, symbol: u32) -> u64 {
        let token = Token::exact(symbol);
        self.numbers.push(token.0);
        token_bit(token)
    }

    /// The account and its groups now.
    fn whos(&mut self, tree: &Tree, entity: &Entity) -> (Part, u64) {
        let (start, mut bits) = (self.at(), token_bit(Token::kind(entity.kind)));
        if tree.symbols.len() > 0 {
            if let Some(symbol) = tree.symbols.number(entity) {
                bits |= self.who(symbol);
            }
            let link = self.link(tree);
            for at in 0..self.groups.len() {
                let group = GroupIx(self.groups[at]);
                let symbol = match link {
                    Some(link) => link.group(group),
                    None => group_symbol(tree, self.world.directory, group),
                };
                match symbol {
                    NONE => {}
                    symbol => bits |= self.who(symbol),
                }
            }
        }
        (Part { start, end: self.at() }, bits)
    }

    /// The policies' nodes for anyone, for a kind and for some WHOs.
    fn who_nodes(&mut self, whos: Part, kind: KindId) -> (Near, Part) {
        let lookup = &self.tree.index.lookup;
        let (start, mut near, mut found) = (self.at(), [Node::EMPTY; NODES_NEAR], 0);
        let mut add = |number: u32, numbers: &mut Numbers| {
            let Some(node) = lookup.nodes.get(number as usize) else { return };
            match near.get_mut(found) {
                Some(near) => *near = *node,
                None => numbers.push(number),
            }
            found += 1;
        };
        add(lookup.gates.first().map_or(NONE, |gate| gate.any), &mut self.numbers);
        add(lookup.of_kind(kind), &mut self.numbers);
        for at in whos.range() {
            if let Named::Exact(symbol) = Token(self.numbers[at]).named() {
                add(lookup.of_symbol(symbol), &mut self.numbers);
            }
        }
        (Near::of(near.into_iter()), Part { start, end: self.at() })
    }

    fn bindings_of(&mut self, held: Option<&'a Account>, kind: KindId) -> Part {
        let start = self.bindings.len() as u32;
        if let Some(held) = held {
            let directory = self.world.directory;
            self.add_bindings(&held.bindings);
            for at in 0..self.groups.len() {
                if let Some(group) = directory.groups.get(self.groups[at] as usize) {
                    self.add_bindings(&group.bindings);
                }
            }
            for (_, binding) in directory.kind_bindings.iter().filter(|(of, _)| *of == kind) {
                self.add_bindings(std::slice::from_ref(binding));
            }
        }
        Part { start, end: self.bindings.len() as u32 }
    }

    fn add_bindings(&mut self, bindings: &'a [Binding]) {
        let now = self.world.now();
        for binding in bindings {
            if now < binding.until() && self.place_covers(binding.place()) {
                let bounded = !binding.boundaries().is_empty();
                self.bindings.push(Held { role: binding.role, bounded, binding });
            }
        }
    }

    /// A binding holds at the request's scope or above it, or on the resource or what it sits in.
    fn place_covers(&self, place: Place<'_>) -> bool {
        match place {
            Place::Everywhere => true,
            Place::Scope(scope) => self.scopes().contains(&scope),
            Place::Resource(entity) => {
                let resource = self.world.question.resource.entity.as_ref();
                self.world.is_within(resource.map_or(Thing::Any, Thing::Entity), entity)
            }
        }
    }

    fn key(&mut self, policy: &'a KeyPolicy, subject: &Subject<'a>, account: &Entity) -> Key<'a> {
        let (seen, far) = self.seen(&policy.tree, subject);
        // Those behind the account have been looked at since.
        self.find_groups(self.held(account));
        let (whos, who_bits) = self.whos(&policy.tree, account);
        Key { policy, seen, far, whos, who_bits }
    }
}
