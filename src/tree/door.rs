//! The usual request as text, straight to its decision: [`Door`].
//!
//! In:    a [`TextRequest`], tree, directory and [`Link`].
//! Out:   the [`Decision`]; or `None` for whatever is not usual: then the request goes the long way round, by way of a
//!        question.
//! Law:   it refuses nothing. What it takes, the other doors take, and decide the same (tests/laws/doors.rs). Nothing of
//!        the request is copied, nothing allocated.

use super::decide::by_rules;
use super::given::{Given, is_id};
use super::heard::{Heard, Name, VALUES};
use super::link::Link;
use super::lookup::{ANY_PLACE, Lookup, NODES_NEAR, NONE, Near, place_bit};
use super::node::{Token, Tree};
use super::resolved::{PLACES_NEAR, Seen};
use crate::check::program::{Sort, Vocabulary};
use crate::decision::{Decision, Step};
use crate::directory::{Account, Directory, SCOPE_PATHS, ScopeIx};
use crate::request::text::{Fields, TextRequest};
use crate::request::{Declared, KindWords, Words};
use crate::value::{ActionId, KindId, hash_name};
use std::cell::Cell;

/// The (action, kind) pairs of a vocabulary, found by one look.
#[derive(Clone, Debug, Default)]
pub struct Door {
    /// By action: the lowest kind that it applies to, and by kind from that one on what it may be asked of.
    aims: Box<[(u16, Box<[Aim]>)]>,
}

/// What an action may be asked of.
#[derive(Clone, Copy, Debug)]
struct Aim {
    /// The number of the pair, or [`NONE`].
    pair: u32,
    /// One thing of the kind.
    one: bool,
    /// Any, at a place.
    any: bool,
    /// Also by those who live below that place.
    from_below: bool,
}

impl Aim {
    const NONE: Aim = Aim { pair: NONE, one: false, any: false, from_below: false };
}

/// What a request is heard with; all of it belongs together.
#[derive(Clone, Copy, Debug)]
pub struct Hearing<'q> {
    /// That of the tree.
    pub door: &'q Door,
    /// Those of the tree's vocabulary.
    pub words: &'q Words,
    /// The tree.
    pub tree: &'q Tree,
    /// The directory.
    pub directory: &'q Directory,
    /// The link of tree and directory.
    pub link: &'q Link,
}

/// An account, its kind and what the directory holds of it.
struct Asker<'q> {
    name: Name<'q>,
    hash: u64,
    declared: &'q KindWords,
    held: Option<&'q Account>,
}

/// What is acted on.
struct Target<'q> {
    kind: KindId,
    declared: &'q Declared,
    aim: Aim,
    /// The token of its symbol, or [`NONE`].
    thing: u32,
}

/// Where it is asked.
struct Where {
    path: [u32; PLACES_NEAR],
    places: [u32; PLACES_NEAR],
    place_bits: u32,
}

impl Door {
    /// Of a tree's vocabulary.
    pub fn new(tree: &Tree) -> Door {
        let actions = tree.vocabulary.actions.iter().zip(0..);
        let aims = actions.map(|(action, number)| {
            let kinds = || action.targets.iter().map(|target| target.kind.0);
            let (low, high) = (kinds().min().unwrap_or(0), kinds().max().unwrap_or(0));
            let mut aims = vec![Aim::NONE; usize::from(high - low) + 1].into_boxed_slice();
            for target in &action.targets {
                let aim = &mut aims[usize::from(target.kind.0 - low)];
                aim.pair = tree.pairs.number(ActionId(number), target.kind).unwrap_or(NONE);
                aim.one |= !target.any;
                aim.any |= target.any;
                aim.from_below |= target.from_below;
            }
            (low, aims)
        });
        Door { aims: aims.collect() }
    }

    #[inline(always)]
    fn aim(&self, action: ActionId, kind: KindId) -> Option<Aim> {
        let (low, aims) = self.aims.get(action.index())?;
        aims.get(usize::from(kind.0.wrapping_sub(*low))).copied()
    }
}

impl<'q> Hearing<'q> {
    /// Decides a usual request; `more` is memory that is used again.
    pub fn decide(self, request: &TextRequest<'q>, more: &mut Vec<u32>) -> Option<Decision> {
        let elsewhere = !request.acting_for.is_empty()
            | request.credential.is_some()
            | request.resource.within.is_some()
            | !request.properties.is_empty();
        if elsewhere {
            return None;
        }
        let Hearing { words, tree, directory, .. } = self;
        let asker = self.asker(request)?;
        let action = words.action(request.action)?;
        if words.properties(action).required != 0 {
            return None;
        }
        let target = self.target(request, action)?;
        let at = self.at(request.scope)?;
        let mut values = [Given::Absent; VALUES];
        let starts = self.values(request, &asker, &target, &mut values)?;
        let Given::Time(now) = values[0] else { return None };
        let Some(held) = asker.held else { return self.unknown(&asker) };
        more.clear();
        let mut nodes = Near::EMPTY;
        self.nodes(&asker, held, now, &mut nodes, more)?;
        let seen = Seen {
            labels: tree.index.lookup.labels(target.aim.pair),
            place_bits: at.place_bits,
            pair: target.aim.pair,
            places: at.places,
        };
        let heard = Heard {
            tree,
            directory,
            seen,
            path: at.path,
            nodes: &nodes,
            more,
            account: asker.name,
            held,
            from_below: target.aim.from_below,
            resource: target.kind,
            id: request.resource.id,
            thing: [target.thing],
            values: &values,
            starts,
            far: Cell::new(false),
        };
        let decision = by_rules(&heard);
        (!heard.far.get()).then_some(decision)
    }

    /// An account that the directory doesn't hold, though it must; any other goes elsewhere.
    #[cold]
    fn unknown(self, asker: &Asker<'q>) -> Option<Decision> {
        let refused = Decision { refused_by: Some(Step::Default), rule: None, ask: false };
        (!asker.declared.supplied).then_some(refused)
    }

    #[inline(always)]
    fn asker(self, request: &TextRequest<'q>) -> Option<Asker<'q>> {
        let entity = request.account.entity;
        let (kind, declared) = self.words.declared(entity.kind)?;
        if (declared.sort != Sort::Account) | declared.acts_for || !is_id(entity.id) {
            return None;
        }
        let hash = hash_name(kind, entity.id);
        let held = self.directory.account_record(hash, kind, entity.id);
        Some(Asker { name: Name { kind, id: entity.id }, hash, declared, held })
    }

    #[inline(always)]
    fn target(self, request: &TextRequest<'q>, action: ActionId) -> Option<Target<'q>> {
        let Hearing { words, tree, directory, .. } = self;
        let (kind, declared) = words.declared(request.resource.kind)?;
        let aim = self.door.aim(action, kind)?;
        let Some(id) = request.resource.id else {
            return aim.any.then_some(Target { kind, declared: &declared.declared, aim, thing: NONE });
        };
        if !aim.one | (declared.sort != Sort::Resource) | !declared.stands_alone || !is_id(id) {
            return None;
        }
        let hash = hash_name(kind, id);
        if !directory.resources.is_empty() && directory.resource_hashed(hash, kind, id).is_some() {
            return None;
        }
        let thing = tree.symbols.number_hashed(hash, kind, id).map_or(NONE, |symbol| Token::exact(symbol).0);
        Some(Target { kind, declared: &declared.declared, aim, thing })
    }

    /// The scope and those above it, none of which has boundaries.
    #[inline(always)]
    fn at(self, scope: Option<&str>) -> Option<Where> {
        let mut at = Where { path: [NONE; PLACES_NEAR], places: [NONE; PLACES_NEAR], place_bits: ANY_PLACE };
        if !self.words.has_scopes() {
            return scope.is_none().then_some(at);
        }
        let path = scope?;
        let ancestors = &self.directory.scope_record(hash_name(SCOPE_PATHS, path), path)?.ancestors;
        if ancestors.len() > PLACES_NEAR || self.capped(ancestors) {
            return None;
        }
        let mut found = 0;
        for (scope, path) in ancestors.iter().zip(&mut at.path) {
            *path = scope.0;
            let symbol = self.link.scope(*scope);
            if symbol != NONE {
                let token = Token::exact(symbol);
                at.places[found % PLACES_NEAR] = token.0;
                at.place_bits |= place_bit(token);
                found += 1;
            }
        }
        Some(at)
    }

    /// Whether one of these scopes has boundaries.
    #[inline(always)]
    fn capped(self, scopes: &[ScopeIx]) -> bool {
        let capped = |scope: &ScopeIx| {
            self.directory.scopes.get(scope.index()).is_some_and(|scope| !scope.boundaries.is_empty())
        };
        !self.tree.vocabulary.boundaries.is_empty() && scopes.iter().any(capped)
    }

    /// The values of context, resource and account; where the second and the third start, and where they end.
    #[inline(always)]
    fn values(
        self,
        request: &TextRequest<'q>,
        asker: &Asker<'q>,
        target: &Target<'q>,
        values: &mut [Given<'q>; VALUES],
    ) -> Option<[usize; 3]> {
        let (context, of_account) = (self.words.context(), &asker.declared.declared);
        let resource = context.slots.len();
        let account = resource + target.declared.slots.len();
        let end = match request.account.attributes {
            [] => account,
            _ => account + of_account.slots.len(),
        };
        if end > VALUES {
            return None;
        }
        let filled = self.fill(request.context, context, values.get_mut(..resource)?)?;
        let first = values.first_mut()?;
        if filled & 1 == 0 {
            *first = Given::Time(request.now);
        }
        let missing = context.required & !(filled | 1);
        let filled =
            self.fill(request.resource.attributes, target.declared, values.get_mut(resource..account)?)?;
        if request.resource.id.is_some()
            && (filled & !target.declared.given) | (target.declared.required & !filled) != 0
        {
            return None;
        }
        // Also where the kind declares none: then each is one too many.
        if !request.account.attributes.is_empty() {
            let filled = self.fill(request.account.attributes, of_account, values.get_mut(account..end)?)?;
            if filled & !of_account.supplied != 0 {
                return None;
            }
        }
        (missing == 0).then_some([resource, account, end])
    }

    /// Values by slot; the bits of those that are given.
    #[inline(always)]
    fn fill(self, given: Fields<'q>, declared: &Declared, into: &mut [Given<'q>]) -> Option<u64> {
        let (mut filled, mut next) = (0u64, 0);
        for (name, text) in given {
            let (slot, ty) = declared.slot(name, next)?;
            let bit = 1 << (slot % 64);
            if filled & bit != 0 {
                return None;
            }
            filled |= bit;
            *into.get_mut(slot)? = Given::read(text, ty, self.words, self.vocabulary())?;
            next = slot + 1;
        }
        Some(filled)
    }

    fn vocabulary(self) -> &'q Vocabulary {
        &self.tree.vocabulary
    }

    /// The policies' nodes for anyone, for the account, its kind and the groups that it is in now; `None` if boundaries or
    /// bindings bear on it.
    #[inline(always)]
    fn nodes(
        self,
        asker: &Asker<'q>,
        held: &Account,
        now: i64,
        near: &mut Near,
        more: &mut Vec<u32>,
    ) -> Option<()> {
        let Hearing { tree, directory, link, .. } = self;
        let bound = !held.bindings.is_empty()
            || !held.boundaries().is_empty()
            || directory.kind_bindings.iter().any(|(kind, _)| *kind == asker.name.kind);
        if bound {
            return None;
        }
        let lookup = &tree.index.lookup;
        let mut nodes = Nodes { lookup, near, found: 0, more };
        nodes.add(lookup.gates.first().map_or(NONE, |gate| gate.any));
        nodes.add(lookup.of_kind(asker.name.kind));
        if let Some(symbol) = tree.symbols.number_hashed(asker.hash, asker.name.kind, asker.name.id) {
            nodes.add(lookup.of_symbol(symbol));
        }
        for (direct, _) in held.groups().filter(|(_, until)| now < *until) {
            let Some(group) = directory.groups.get(direct.index()) else { continue };
            if !group.bindings.is_empty() {
                return None;
            }
            // In no other group, as most are.
            if group.within.len() == 1 {
                nodes.add(lookup.of_symbol(link.group(direct)));
                continue;
            }
            for (within, _) in group.within.iter().filter(|(_, end)| now < *end) {
                if directory.groups.get(within.index()).is_some_and(|group| !group.bindings.is_empty()) {
                    return None;
                }
                nodes.add(lookup.of_symbol(link.group(*within)));
            }
        }
        Some(())
    }
}

/// Nodes being found. One that is found twice says nothing new.
struct Nodes<'n> {
    lookup: &'n Lookup,
    near: &'n mut Near,
    found: usize,
    more: &'n mut Vec<u32>,
}

impl Nodes<'_> {
    #[inline(always)]
    fn add(&mut self, number: u32) {
        let Some(node) = self.lookup.nodes.get(number as usize) else { return };
        if self.found < NODES_NEAR {
            self.near.put(self.found, node);
        } else {
            self.more.push(number);
        }
        self.found += 1;
    }
}
