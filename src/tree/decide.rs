//! Decides a question with a tree.
//!
//! In:    [`Resolved`]: a tree, a directory and a question, names looked up.
//! Out:   [`Decision`]. Total: no `Result`, no clock, no I/O, no allocation.
//! Law:   `decide(&lower(p)?, d, q) == meaning::decide(p, d, q)` for every question (tests/laws.rs).

use super::asks::Asks;
use super::index::{Filing, Leads, token_bit};
use super::lookup::{Bunch, Level, NONE, Node, Slot};
use super::node::{Token, Tree};
use super::request::Asking;
use super::resolved::{Held, PLACES_NEAR, Resolved};
use crate::decision::{Decision, RuleRef, Step};
use crate::directory::{Binding, ScopeIx};
use crate::request::{Credential, KeyPolicy};
use crate::value::{BoundaryId, Effect, RoleId};

/// Decides a question.
#[inline]
pub(super) fn decide(resolved: &Resolved<'_>) -> Decision {
    if resolved.asker.rare { in_full(resolved) } else { by_rules(&Asking::new(resolved)) }
}

/// Decides a question on which nothing bears but the policies' rules and the account's home.
///
/// - Law: says what [`in_full`] says; in steps whose outcome need not be foretold, since it can't be.
#[inline(always)]
pub(super) fn by_rules(asking: &impl Asks) -> Decision {
    let tree = asking.tree();
    let mut found = Search::new(asking, None);
    found.policies();
    let (denied, allowed) = (found.deny != NONE, found.allow != NONE);
    let covered = !tree.has_scopes || asking.home_covers();
    let refused_by = match (denied, allowed, covered) {
        (true, ..) => Some(Step::Rule),
        (false, false, _) => Some(Step::Default),
        (false, true, false) => Some(Step::Scope),
        (false, true, true) => None,
    };
    // Every place has an end, and there is one more for no place, so that looking it up need not be foretold either.
    let place = if denied { found.deny } else { found.allow };
    let ends = &tree.ends;
    let end = ends[(place as usize).min(ends.len() - 1)];
    let rule = RuleRef { in_key: false, rule: end.rule() };
    let rule = (denied | (allowed & covered)).then_some(rule);
    let ask = (denied & end.asks() & covered) && allowed_without(asking, place);
    Decision { refused_by, rule, ask }
}

/// Whether the rules allow without one deny rule.
#[inline(never)]
fn allowed_without(asking: &impl Asks, lifted: u32) -> bool {
    let mut found = Search::new(asking, Some(lifted));
    found.policies();
    found.deny == NONE && found.allow != NONE
}

/// Decides any question.
#[inline(never)]
fn in_full(resolved: &Resolved<'_>) -> Decision {
    match chain(resolved, None) {
        Ok(place) => {
            let rule = RuleRef { in_key: false, rule: resolved.tree.rule_at(place) };
            Decision { refused_by: None, rule: Some(rule), ask: false }
        }
        Err((step, None)) => Decision { refused_by: Some(step), rule: None, ask: false },
        Err((step, Some(deny))) => {
            let end = tree_of(resolved, deny).ends[deny.place as usize];
            let rule = RuleRef { in_key: deny.in_key, rule: end.rule() };
            let ask = end.asks() && lifts(resolved, deny);
            Decision { refused_by: Some(step), rule: Some(rule), ask }
        }
    }
}

/// Whether all would be allowed without one deny rule.
#[inline(never)]
fn lifts(resolved: &Resolved<'_>, deny: Deny) -> bool {
    chain(resolved, Some(deny)).is_ok()
}

/// A deny rule, by its place in the set's tree or in that of the key's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Deny {
    in_key: bool,
    place: u32,
}

/// The step that refused, and its deny rule if it has one.
type Refusal = (Step, Option<Deny>);

fn tree_of<'a>(resolved: &Resolved<'a>, deny: Deny) -> &'a Tree {
    match &resolved.rest.key {
        Some(key) if deny.in_key => &key.policy.tree,
        _ => resolved.tree,
    }
}

/// The asking account, then those it acts for, each in full; the place of the determining allow rule.
#[inline(always)]
fn chain(resolved: &Resolved<'_>, lifted: Option<Deny>) -> Result<u32, Refusal> {
    let allowed = Asked { asking: Asking::new(resolved), first: true, lifted }.decide()?;
    if resolved.rest.acts_for {
        behind(resolved, lifted)?;
    }
    Ok(allowed)
}

/// Those it acts for.
#[inline(never)]
fn behind(resolved: &Resolved<'_>, lifted: Option<Deny>) -> Result<(), Refusal> {
    if resolved.rest.broken {
        return Err((Step::ActingFor, None));
    }
    resolved.rest.behind.iter().try_for_each(|asker| {
        let one = Asked { asking: Asking::behind(resolved, asker), first: false, lifted };
        one.decide().map(|_| ()).map_err(|(_, deny)| (Step::ActingFor, deny))
    })
}

/// One account of the chain asked for.
struct Asked<'r, 'a> {
    asking: Asking<'r, 'a>,
    /// Whether it is the one that asks.
    first: bool,
    /// A deny rule to be passed over.
    lifted: Option<Deny>,
}

impl<'r, 'a> Asked<'r, 'a> {
    /// Is it known, denies, allows, scope, boundaries, and the boundaries of bindings.
    #[inline(always)]
    fn decide(&self) -> Result<u32, Refusal> {
        let (resolved, asker) = (self.asking.resolved, self.asking.asker);
        if asker.unknown {
            return Err((Step::Default, None));
        }
        let mut found = Search::new(&self.asking, self.lifted_in(false));
        found.policies();
        if let Some(place) = found.deny() {
            return Err((Step::Rule, Some(Deny { in_key: false, place })));
        }
        let (free, bounded) = match asker.bound {
            false => (found.allow(), None),
            true => self.asking.allowed_by_roles(found.allow()),
        };
        if free.is_none() && bounded.is_none() {
            return Err((Step::Default, None));
        }
        if resolved.tree.has_scopes && !self.scopes_cover() {
            return Err((Step::Scope, None));
        }
        if asker.capped {
            self.boundaries()?;
        }
        match bounded {
            None => free.ok_or((Step::Default, None)),
            Some(bounded) => self.under_bindings(free, bounded),
        }
    }

    fn lifted_in(&self, in_key: bool) -> Option<u32> {
        self.lifted.filter(|lifted| lifted.in_key == in_key).map(|lifted| lifted.place)
    }

    /// The key presented, when this account presents it.
    #[inline]
    fn credential(&self) -> Option<&'a Credential> {
        self.asking.resolved.rest.credential.filter(|_| self.first)
    }

    /// The home of the account and the scope of the key presented are the request's scope or above it.
    #[inline]
    fn scopes_cover(&self) -> bool {
        home_covers(&self.asking)
            && self.credential().is_none_or(|credential| {
                credential.scope.is_some_and(|scope| scope_covers(&self.asking, scope))
            })
    }

    /// All boundaries that bind the account: of the key presented and its own text, of the account, of the scopes
    /// from the root down, of the link by which it acts for the next.
    #[inline(never)]
    fn boundaries(&self) -> Result<(), Refusal> {
        let (resolved, asker) = (self.asking.resolved, self.asking.more());
        if let Some(credential) = self.credential() {
            self.all_allow(&credential.boundaries)?;
            if let Some(inside) = Asking::of_key(resolved) {
                self.allows(&inside, KeyPolicy::BOUNDARY, true)?;
            }
        }
        self.all_allow(asker.boundaries)?;
        for boundary in resolved.ceilings() {
            self.allows(&self.asking, BoundaryId(*boundary), false)?;
        }
        asker.link.map_or(Ok(()), |link| self.all_allow(&link.boundaries))
    }

    fn all_allow(&self, boundaries: &[BoundaryId]) -> Result<(), Refusal> {
        boundaries.iter().try_for_each(|boundary| self.allows(&self.asking, *boundary, false))
    }

    /// A boundary allows if none of its denies matches and one of its allows does.
    fn allows(&self, asking: &Asking<'r, 'a>, boundary: BoundaryId, in_key: bool) -> Result<(), Refusal> {
        let mut found = Search::new(asking, self.lifted_in(in_key));
        found.gate(asking.tree.boundary(boundary));
        match (found.deny(), found.allow()) {
            (Some(place), _) => Err((Step::Boundary, Some(Deny { in_key, place }))),
            (None, Some(_)) => Ok(()),
            (None, None) => Err((Step::Boundary, None)),
        }
    }

    /// The lowest rule that allows although its binding may be bounded; `free` is the lowest of those that aren't.
    fn under_bindings(&self, free: Option<u32>, bounded: Bounded<'a>) -> Result<u32, Refusal> {
        let mut best = free;
        for held in self.asking.held().iter().filter(|held| held.bounded) {
            if let Some(place) = self.asking.role(held.role)
                && best.is_none_or(|best| place < best)
                && self.all_allow(held.binding.boundaries()).is_ok()
            {
                best = Some(place);
            }
        }
        match best {
            Some(place) => Ok(place),
            None => {
                self.all_allow(bounded.binding.boundaries())?;
                Err((Step::Boundary, None))
            }
        }
    }
}

/// An account that the directory holds has a home, which is the request's scope or above it.
#[inline(always)]
pub(super) fn home_covers(asking: &Asking<'_, '_>) -> bool {
    let asker = asking.asker;
    // All are compared, wherever the one is: which it is cannot be foretold.
    let near = asking.resolved.path_near.iter().fold(false, |near, scope| near | (*scope == asker.home));
    let known = asker.home != NONE;
    !asker.held | (near & known) || (known && scope_covers(asking, ScopeIx(asker.home)))
}

#[inline(never)]
fn scope_covers(asking: &Asking<'_, '_>, ceiling: ScopeIx) -> bool {
    asking.resolved.path().contains(&ceiling.0) || covers_from_below(asking, ceiling)
}

/// The action may be asked of a scope by who lives below it.
#[cold]
fn covers_from_below(asking: &Asking<'_, '_>, ceiling: ScopeIx) -> bool {
    let world = asking.world();
    let Some(scope) = world.question.scope else { return false };
    let action = world.vocabulary.actions.get(world.question.action.index());
    let targets = action.map_or(&[][..], |action| &action.targets);
    let subject = &world.question.resource;
    let works_from_below =
        targets.iter().any(|t| t.from_below && t.kind == subject.kind && t.any == subject.entity.is_none());
    let node = world.directory.scopes.get(ceiling.index());
    works_from_below && node.is_some_and(|node| node.ancestors.contains(&scope))
}

/// The lowest rule that is allowed only under the boundaries of a binding, and the first such binding.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    place: u32,
    binding: &'a Binding,
}

impl<'r, 'a> Asking<'r, 'a> {
    /// The roles that the account holds for this request, now.
    pub(super) fn held(&self) -> &'r [Held<'a>] {
        self.resolved.bindings(self.more())
    }

    /// The lowest allow rule of policies (`free`) and of roles bound without boundaries; and that of the others.
    fn allowed_by_roles(&self, mut free: Option<u32>) -> (Option<u32>, Option<Bounded<'a>>) {
        let mut bounded: Option<Bounded<'a>> = None;
        for held in self.held() {
            let Some(place) = self.role(held.role) else { continue };
            if !held.bounded {
                free = Some(free.map_or(place, |free| free.min(place)));
            } else if bounded.is_none_or(|b| place < b.place) {
                bounded = Some(Bounded { place, binding: held.binding });
            }
        }
        (free, bounded)
    }

    /// The lowest rule of a role, or of a role that it includes, that matches.
    fn role(&self, role: RoleId) -> Option<u32> {
        let includes = &self.world().vocabulary.roles.get(role.index())?.includes;
        let mut found = Search::new(self, None);
        for role in includes {
            found.gate(self.tree.role(*role));
        }
        found.allow()
    }
}

impl Search<'_, Asking<'_, '_>> {
    /// What is filed in a block.
    fn gate(&mut self, gate: u32) {
        let asking = self.asking;
        let lookup = &asking.tree.index.lookup;
        let Some(block) = lookup.gates.get(gate as usize).copied() else { return };
        let may = |node: &&Node| node.may(asking.seen.labels, asking.seen.place_bits);
        if let Some(node) = lookup.nodes.get(block.any as usize).filter(may) {
            self.node(node);
        }
        if block.whos & asking.who_bits() == 0 {
            return;
        }
        let kind = Token::kind(asking.asker.entity.kind);
        for who in std::iter::once(kind).chain(asking.whos().iter().map(|who| Token(*who))) {
            if block.whos & token_bit(who) != 0
                && let Some(node) = lookup.who(gate, who).filter(may)
            {
                self.node(node);
            }
        }
    }
}

/// What of the index matches so far: the lowest deny and the lowest allow, or [`NONE`].
struct Search<'s, A> {
    asking: &'s A,
    /// A rule to be passed over, or [`NONE`].
    lifted: u32,
    deny: u32,
    allow: u32,
}

/// Nodes that are looked at together, so that the memory they stand in is fetched together.
const TOGETHER: usize = 64;

impl<'s, A: Asks> Search<'s, A> {
    #[inline(always)]
    fn new(asking: &'s A, lifted: Option<u32>) -> Self {
        Search { asking, lifted: lifted.unwrap_or(NONE), deny: NONE, allow: NONE }
    }

    fn deny(&self) -> Option<u32> {
        Some(self.deny).filter(|place| *place != NONE)
    }

    fn allow(&self) -> Option<u32> {
        Some(self.allow).filter(|place| *place != NONE)
    }

    /// What the policies file under the account, its groups, its kind and anyone.
    #[inline(always)]
    fn policies(&mut self) {
        let (nodes, seen) = (self.asking.nodes(), self.asking.seen());
        let mut may = nodes.may(seen.labels, seen.place_bits);
        while may != 0 {
            self.node(&nodes.get(may.trailing_zeros() as usize));
            may &= may - 1;
        }
        if !self.asking.more_nodes().is_empty() {
            self.more();
        }
    }

    /// The nodes that don't stand with the account: first some are looked at, then those followed under which something
    /// may fit.
    #[inline(never)]
    fn more(&mut self) {
        let (nodes, seen) = (&self.asking.tree().index.lookup.nodes, self.asking.seen());
        for some in self.asking.more_nodes().chunks(TOGETHER) {
            let mut may = 0u64;
            for (n, at) in some.iter().enumerate() {
                may |= u64::from(nodes[*at as usize].may(seen.labels, seen.place_bits)) << n;
            }
            while may != 0 {
                self.node(&nodes[some[may.trailing_zeros() as usize] as usize]);
                may &= may - 1;
            }
        }
    }

    /// What a node leads to.
    #[inline(always)]
    fn node(&mut self, node: &Node) {
        let mut common = node.common(self.asking.seen().labels);
        while common != 0 {
            let bit = common & common.wrapping_neg();
            self.slot(self.asking.tree().index.lookup.slot(node, bit));
            common ^= bit;
        }
    }

    #[inline(always)]
    fn slot(&mut self, slot: &Slot) {
        match slot.filing() {
            Ok(filing) => self.filing(filing),
            Err((places, bunch)) if places & self.asking.seen().place_bits != 0 => {
                self.bunch(bunch, Level::Where);
            }
            Err(_) => {}
        }
    }

    /// Several filings.
    fn bunch(&mut self, bunch: Bunch, level: Level) {
        match bunch.get() {
            Ok(run) => self.asking.tree().index.filings[run].iter().for_each(|filing| self.filing(filing)),
            Err(split) => self.split(split, level),
        }
    }

    /// The children of a split that a request may concern: those for anything, and those by token.
    fn split(&mut self, split: u32, level: Level) {
        let seen = self.asking.seen();
        match level {
            Level::Where if seen.places[PLACES_NEAR - 1] == NONE => {
                let [a, b, c, _] = seen.places;
                self.children(split, &[Token::ANY.0, a, b, c], Level::What);
            }
            Level::Where => {
                self.children(split, &[Token::ANY.0], Level::What);
                self.children(split, self.asking.places(), Level::What);
            }
            Level::What => {
                self.children(split, &[Token::ANY.0], Level::Pair);
                self.children(split, self.asking.things(), Level::Pair);
            }
            Level::Pair | Level::Rest => self.children(split, &[seen.pair, NONE], Level::Rest),
        }
    }

    /// The children of a split with these labels.
    #[inline]
    fn children(&mut self, split: u32, labels: &[u32], below: Level) {
        let lookup = &self.asking.tree().index.lookup;
        for some in labels.chunks(TOGETHER) {
            let mut may = 0u64;
            for (n, label) in some.iter().enumerate() {
                may |= u64::from(lookup.may_have(split, *label)) << n;
            }
            while may != 0 {
                if let Some(child) = lookup.child(split, some[may.trailing_zeros() as usize]) {
                    self.bunch(child, below);
                }
                may &= may - 1;
            }
        }
    }

    /// A filing, if its head fits.
    #[inline(always)]
    fn filing(&mut self, filing: &Filing) {
        let seen = self.asking.seen();
        // All places are compared, wherever the one is: which it is cannot be foretold.
        let near = seen.places.iter().fold(false, |near, place| near | (*place == filing.at.0));
        let here = near | (filing.at == Token::ANY);
        let may = here | (seen.places[PLACES_NEAR - 1] != NONE);
        let fits = may & filing.filed.covers(seen.pair, &self.asking.tree().shapes);
        if fits && ((here & (filing.what == Token::ANY)) || self.fits_far(filing)) {
            self.matched(filing);
        }
    }

    /// Whether a filing's place and thing are among all of the request's.
    #[inline(never)]
    fn fits_far(&self, filing: &Filing) -> bool {
        (filing.at == Token::ANY || self.asking.places().contains(&filing.at.0))
            && (filing.what == Token::ANY || self.asking.things().contains(&filing.what.0))
    }

    /// A filing whose head fits.
    #[inline]
    fn matched(&mut self, filing: &Filing) {
        let denies = filing.filed.effect() == Effect::Deny;
        let place = match filing.then.leads() {
            Leads::Rule(place) => place,
            Leads::Entry(number) => {
                let quick = &self.asking.tree().quick[number as usize];
                // What is denied needs no rule that allows.
                let best = if denies | (self.deny != NONE) { self.deny } else { self.allow };
                if quick.least >= best || (!denies && self.deny != NONE) {
                    return;
                }
                match self.asking.quick(quick) {
                    Some(true) => quick.least,
                    Some(false) => return,
                    None => {
                        let entry = &self.asking.tree().entries[number as usize];
                        self.asking.entry(entry, self.lifted).unwrap_or(NONE)
                    }
                }
            }
        };
        let place = if place == self.lifted { NONE } else { place };
        self.deny = self.deny.min(if denies { place } else { NONE });
        self.allow = self.allow.min(if denies { NONE } else { place });
    }
}
