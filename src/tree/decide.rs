//! Decides a question with a tree.
//!
//! In:    [`Resolved`]: a tree, a directory and a question, names looked up.
//! Out:   [`Decision`]. Total: no `Result`, no clock, no I/O, no allocation.
//! Law:   `decide(&lower(p)?, d, q) == meaning::decide(p, d, q)` for every question (tests/laws.rs).

use super::index::{ANY_BIT, Filing, Group, Leads, NONE, Slot, token_bit};
use super::node::{Entry, Ref, Step as Part, Token, Tree};
use super::request::Asking;
use super::resolved::{NODES_TOGETHER, Resolved};
use crate::decision::{Decision, RuleRef, Step};
use crate::directory::{Binding, Place, ScopeIx};
use crate::request::{Credential, KeyPolicy};
use crate::value::{BoundaryId, Effect, RoleId};

/// Decides a question.
pub(super) fn decide(resolved: &Resolved<'_>) -> Decision {
    match chain(resolved, None) {
        Ok(place) => {
            let rule = RuleRef { in_key: false, rule: resolved.tree.rule_at(place) };
            Decision { refused_by: None, rule: Some(rule), ask: false }
        }
        Err((step, None)) => Decision { refused_by: Some(step), rule: None, ask: false },
        Err((step, Some(deny))) => {
            let tree = tree_of(resolved, deny);
            let rule = tree.rule_at(deny.place);
            let ask = tree.rule(rule).ask.is_some() && lifts(resolved, deny);
            let rule = RuleRef { in_key: deny.in_key, rule };
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
    match &resolved.key {
        Some(key) if deny.in_key => &key.policy.tree,
        _ => resolved.tree,
    }
}

/// The asking account, then those it acts for, each in full; the place of the determining allow rule.
#[inline(always)]
fn chain(resolved: &Resolved<'_>, lifted: Option<Deny>) -> Result<u32, Refusal> {
    let allowed = Asked { asking: Asking::new(resolved, &resolved.asker), first: true, lifted }.decide()?;
    if resolved.acts_for {
        behind(resolved, lifted)?;
    }
    Ok(allowed)
}

/// Those it acts for.
#[inline(never)]
fn behind(resolved: &Resolved<'_>, lifted: Option<Deny>) -> Result<(), Refusal> {
    if resolved.broken {
        return Err((Step::ActingFor, None));
    }
    resolved.behind.iter().try_for_each(|asker| {
        let one = Asked { asking: Asking::new(resolved, asker), first: false, lifted };
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
        found.nodes(resolved.nodes(asker));
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
        self.asking.resolved.credential.filter(|_| self.first)
    }

    /// The home of the account and the scope of the key presented are the request's scope or above it.
    #[inline]
    fn scopes_cover(&self) -> bool {
        let asker = self.asking.asker;
        (!asker.held || self.scope_covers(asker.home))
            && self.credential().is_none_or(|credential| self.scope_covers(credential.scope))
    }

    #[inline]
    fn scope_covers(&self, ceiling: Option<ScopeIx>) -> bool {
        let Some(ceiling) = ceiling else { return false };
        self.asking.resolved.path().contains(&ceiling.0) || self.covers_from_below(ceiling)
    }

    /// The action may be asked of a scope by who lives below it.
    #[cold]
    fn covers_from_below(&self, ceiling: ScopeIx) -> bool {
        let world = self.asking.world();
        let Some(scope) = world.question.scope else { return false };
        let action = world.vocabulary.actions.get(world.question.action.index());
        let targets = action.map_or(&[][..], |action| &action.targets);
        let subject = &world.question.resource;
        let works_from_below = targets
            .iter()
            .any(|t| t.from_below && t.kind == subject.kind && t.any == subject.entity.is_none());
        let node = world.directory.scopes.get(ceiling.index());
        works_from_below && node.is_some_and(|node| node.ancestors.contains(&scope))
    }

    /// All boundaries that bind the account: of the key presented and its own text, of the account, of the scopes
    /// from the root down, of the link by which it acts for the next.
    #[inline(never)]
    fn boundaries(&self) -> Result<(), Refusal> {
        let (resolved, asker) = (self.asking.resolved, self.asking.asker);
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
        for binding in self.asking.bindings().filter(|binding| !binding.boundaries().is_empty()) {
            if let Some(place) = self.asking.role(binding.role)
                && best.is_none_or(|best| place < best)
                && self.all_allow(binding.boundaries()).is_ok()
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

/// The lowest rule that is allowed only under the boundaries of a binding, and the first such binding.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    place: u32,
    binding: &'a Binding,
}

impl<'a> Asking<'_, 'a> {
    /// The bindings that hold for this request, now: the account's own, those of its groups, those of its kind.
    pub(super) fn bindings(&self) -> impl Iterator<Item = &'a Binding> + '_ {
        let now = self.world().now();
        let all = self.resolved.bindings(self.asker).iter().flat_map(|list| list.iter());
        all.filter(move |binding| now < binding.until && self.place_covers(&binding.place))
    }

    /// A binding holds at the request's scope or above it, or on the resource or what it sits in.
    fn place_covers(&self, place: &Place) -> bool {
        match place {
            Place::Everywhere => true,
            Place::Scope(scope) => self.resolved.path().contains(&scope.0),
            Place::Resource(entity) => self.world().is_within(self.resource(), entity),
        }
    }

    /// The lowest allow rule of policies (`free`) and of roles bound without boundaries; and that of the others.
    fn allowed_by_roles(&self, mut free: Option<u32>) -> (Option<u32>, Option<Bounded<'a>>) {
        let mut bounded: Option<Bounded<'a>> = None;
        for binding in self.bindings() {
            let Some(place) = self.role(binding.role) else { continue };
            if binding.boundaries().is_empty() {
                free = Some(free.map_or(place, |free| free.min(place)));
            } else if bounded.is_none_or(|b| place < b.place) {
                bounded = Some(Bounded { place, binding });
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

    /// The lowest place of an entry's rules that matches.
    #[inline]
    fn entry(&self, entry: &Entry, lifted: Option<u32>) -> Option<u32> {
        match entry.test {
            Some(_) if lifted == Some(entry.least) => None,
            Some(test) => (self.answer_once(test.atom) == test.holds).then_some(entry.least),
            None => self.parts(entry, lifted),
        }
    }

    fn parts(&self, entry: &Entry, lifted: Option<u32>) -> Option<u32> {
        let range = match lifted {
            None => entry.start..entry.end,
            Some(_) => entry.single_start..entry.single_end,
        };
        let parts = &self.tree.steps[range.start as usize..range.end as usize];
        parts.iter().filter(|part| lifted != Some(part.place)).find_map(|part| {
            let leaf = self.walk(part.root);
            match part.place {
                Part::MERGED => leaf.place(),
                place => (leaf != Ref::NO).then_some(place),
            }
        })
    }
}

/// What of the index matches so far: the lowest deny and the lowest allow.
struct Search<'s, 'r, 'a> {
    asking: &'s Asking<'r, 'a>,
    places: &'r [u32],
    /// The pair; masks are empty when there is none, so that it is never compared.
    pair: u32,
    lifted: Option<u32>,
    deny: u32,
    allow: u32,
}

/// What tells the filings of a group apart.
#[derive(Clone, Copy)]
enum Level {
    Where,
    What,
    Pair,
}

/// Nodes that are looked at together, so that the memory they stand in is fetched together.
const TOGETHER: usize = 64;
/// The same of children.
const CHILDREN: usize = 8;

impl<'s, 'r, 'a> Search<'s, 'r, 'a> {
    /// No place.
    const NOTHING: u32 = u32::MAX;

    #[inline(always)]
    fn new(asking: &'s Asking<'r, 'a>, lifted: Option<u32>) -> Self {
        let pair = asking.seen.pair;
        let places = asking.places();
        Search { asking, places, pair, lifted, deny: Self::NOTHING, allow: Self::NOTHING }
    }

    #[inline]
    fn deny(&self) -> Option<u32> {
        Some(self.deny).filter(|place| *place != Self::NOTHING)
    }

    #[inline]
    fn allow(&self) -> Option<u32> {
        Some(self.allow).filter(|place| *place != Self::NOTHING)
    }

    /// What is filed in a block.
    fn gate(&mut self, gate: u32) {
        let asking = self.asking;
        let index = &asking.tree.index;
        let Some(block) = index.gates.get(gate as usize).copied() else { return };
        if block.any != NONE {
            self.nodes(&[block.any]);
        }
        if block.whos & asking.who_bits() == 0 {
            return;
        }
        let kind = Token::kind(asking.asker.entity.kind);
        for who in std::iter::once(kind).chain(asking.whos().iter().map(|who| Token(*who))) {
            if block.whos & token_bit(who) != 0 {
                match index.who(gate, who) {
                    NONE => {}
                    node => self.nodes(&[node]),
                }
            }
        }
    }

    /// What is filed under these WHOs: first all are looked at, then those followed under which something may fit.
    #[inline]
    fn nodes(&mut self, nodes: &[u32]) {
        let (index, seen) = (&self.asking.tree.index, self.asking.seen);
        for some in nodes.chunks(TOGETHER) {
            let mut may = 0u64;
            let look = |at: u32| {
                let node = &index.nodes[at as usize];
                u64::from(node.may(seen.pair_bit, seen.places_folded))
            };
            let (fours, rest) = some.as_chunks::<NODES_TOGETHER>();
            for (n, four) in fours.iter().enumerate() {
                let bits = look(four[0]) | look(four[1]) << 1 | look(four[2]) << 2 | look(four[3]) << 3;
                may |= bits << (n * NODES_TOGETHER);
            }
            for (n, at) in rest.iter().enumerate() {
                may |= look(*at) << (fours.len() * NODES_TOGETHER + n);
            }
            while may != 0 {
                let node = &index.nodes[some[may.trailing_zeros() as usize] as usize];
                may &= may - 1;
                if node.pairs & seen.pair_bit != 0 {
                    self.slot(index.slot(node, seen.pair_bit));
                }
                if node.is_wide() {
                    self.slot(index.wide(node));
                }
            }
        }
    }

    #[inline(always)]
    fn slot(&mut self, slot: &Slot) {
        match slot.filing() {
            Ok(filing) => self.filing(filing),
            Err(group) => self.group(group, Level::Where),
        }
    }

    /// A group, if something in it may fit.
    #[inline]
    fn group(&mut self, at: u32, level: Level) {
        let Some(group) = self.asking.tree.index.groups.get(at as usize) else { return };
        let bits = match level {
            Level::Where => self.asking.seen.place_bits,
            Level::What => self.asking.seen.thing_bits,
            Level::Pair => u64::MAX,
        };
        if group.tokens & bits == 0 {
            return;
        }
        if group.is_split() { self.children(at, group.tokens, level) } else { self.run(group) }
    }

    /// The children of a split group: those for anything, and those by token.
    fn children(&mut self, at: u32, bits: u64, level: Level) {
        let index = &self.asking.tree.index;
        let (tokens, below) = match level {
            Level::Where => (self.places, Level::What),
            Level::What => (self.asking.things(), Level::Pair),
            Level::Pair => {
                for child in [index.child(at, self.pair), index.child(at, NONE)] {
                    if let Some(group) = index.groups.get(child as usize) {
                        self.run(group);
                    }
                }
                return;
            }
        };
        for some in tokens.chunks(CHILDREN) {
            let mut found = [NONE; CHILDREN];
            for (token, found) in some.iter().zip(&mut found) {
                if bits & token_bit(Token(*token)) != 0 {
                    *found = index.child(at, *token);
                }
            }
            for child in found.iter().take(some.len()).filter(|child| **child != NONE) {
                self.group(*child, below);
            }
        }
        if bits & ANY_BIT != 0 {
            self.group(index.child(at, Token::ANY.0), below);
        }
    }

    /// The filings of a group.
    #[inline(always)]
    fn run(&mut self, group: &Group) {
        self.asking.tree.index.filings[group.range()].iter().for_each(|filing| self.filing(filing));
    }

    /// A filing, if its head fits.
    #[inline(always)]
    fn filing(&mut self, filing: &Filing) {
        // All places are compared, wherever the one is: which it is cannot be foretold.
        let here =
            self.places.iter().fold(filing.at == Token::ANY, |here, place| here | (*place == filing.at.0));
        let fits = filing.filed.covers(self.pair, &self.asking.tree.shapes)
            && here
            && (filing.what == Token::ANY || self.asking.things().contains(&filing.what.0));
        if fits {
            self.matched(filing);
        }
    }

    /// A filing whose head fits.
    fn matched(&mut self, filing: &Filing) {
        let best = match filing.filed.effect() {
            Effect::Deny => self.deny,
            // What is denied needs no rule that allows.
            Effect::Allow if self.deny != Self::NOTHING => return,
            Effect::Allow => self.allow,
        };
        let place = match filing.then.leads() {
            Leads::Rule(place) if self.lifted != Some(place) => place,
            Leads::Rule(_) => return,
            Leads::Entry(entry) => {
                let entry = &self.asking.tree.entries[entry as usize];
                if entry.least >= best {
                    return;
                }
                self.asking.entry(entry, self.lifted).unwrap_or(Self::NOTHING)
            }
        };
        match filing.filed.effect() {
            Effect::Deny => self.deny = best.min(place),
            Effect::Allow => self.allow = best.min(place),
        }
    }
}
