//! Decides a question with a tree.
//!
//! In:    [`Resolved`]: a tree, a directory and a question, names looked up.
//! Out:   [`Decision`]. Total: no `Result`, no clock, no I/O, no allocation.
//! Law:   `decide(&lower(p)?, d, q) == meaning::decide(p, d, q)` for every question (tests/laws.rs).

use super::index::{Filing, Leads, NONE, Node, token_bit};
use super::node::{Ref, Step as Part, Token, Tree};
use super::request::Asking;
use super::resolved::{Asker, Resolved};
use crate::decision::{Decision, RuleRef, Step};
use crate::directory::{Binding, Place, ScopeIx};
use crate::request::KeyPolicy;
use crate::value::{BoundaryId, Effect, RoleId};

/// Decides a question.
pub(super) fn decide(resolved: &Resolved<'_>) -> Decision {
    match chain(resolved, None) {
        Ok(place) => {
            let rule = RuleRef { in_key: false, rule: resolved.tree.rule_at(place) };
            Decision { refused_by: None, rule: Some(rule), ask: false }
        }
        Err((step, deny)) => {
            let ask = deny.is_some_and(|deny| asks(resolved, deny) && chain(resolved, Some(deny)).is_ok());
            let rule = |deny: Deny| {
                RuleRef { in_key: deny.in_key, rule: tree_of(resolved, deny).rule_at(deny.place) }
            };
            Decision { refused_by: Some(step), rule: deny.map(rule), ask }
        }
    }
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

fn asks(resolved: &Resolved<'_>, deny: Deny) -> bool {
    let tree = tree_of(resolved, deny);
    tree.rule(tree.rule_at(deny.place)).ask.is_some()
}

/// The asking account, then those it acts for, each in full; the place of the determining allow rule.
fn chain(resolved: &Resolved<'_>, lifted: Option<Deny>) -> Result<u32, Refusal> {
    let allowed = Asked::new(resolved, &resolved.asker, true, lifted).decide()?;
    if resolved.broken {
        return Err((Step::ActingFor, None));
    }
    for asker in &resolved.behind {
        let one = Asked::new(resolved, asker, false, lifted).decide();
        one.map_err(|(_, deny)| (Step::ActingFor, deny))?;
    }
    Ok(allowed)
}

/// One account of the chain asked for.
struct Asked<'r, 'a> {
    resolved: &'r Resolved<'a>,
    asker: &'r Asker<'a>,
    asking: Asking<'r, 'a>,
    /// Whether it is the one that asks.
    first: bool,
    /// A deny rule to be passed over.
    lifted: Option<Deny>,
}

impl<'r, 'a> Asked<'r, 'a> {
    #[inline]
    fn new(resolved: &'r Resolved<'a>, asker: &'r Asker<'a>, first: bool, lifted: Option<Deny>) -> Self {
        Asked { resolved, asker, asking: Asking::new(resolved, asker), first, lifted }
    }

    /// Is it known, denies, allows, scope, boundaries, and the boundaries of bindings.
    #[inline]
    fn decide(&self) -> Result<u32, Refusal> {
        if self.asker.unknown {
            return Err((Step::Default, None));
        }
        let mut found = Search::new(&self.asking, self.lifted_in(false));
        found.nodes(self.resolved.nodes(self.asker));
        if let Some(place) = found.deny() {
            return Err((Step::Rule, Some(Deny { in_key: false, place })));
        }
        let (free, bounded) = match self.resolved.bindings(self.asker) {
            [] => (found.allow(), None),
            _ => self.asking.allowed_by_roles(found.allow()),
        };
        if free.is_none() && bounded.is_none() {
            return Err((Step::Default, None));
        }
        if !self.scopes_cover() {
            return Err((Step::Scope, None));
        }
        self.boundaries()?;
        match bounded {
            None => free.ok_or((Step::Default, None)),
            Some(bounded) => self.under_bindings(free, bounded),
        }
    }

    fn lifted_in(&self, in_key: bool) -> Option<u32> {
        self.lifted.filter(|lifted| lifted.in_key == in_key).map(|lifted| lifted.place)
    }

    /// The home of the account and the scope of the key presented are the request's scope or above it.
    fn scopes_cover(&self) -> bool {
        if !self.resolved.tree.has_scopes {
            return true;
        }
        let credential = self.resolved.world.question.credential.as_ref().filter(|_| self.first);
        (self.asker.held.is_none() || self.scope_covers(self.asker.home))
            && credential.is_none_or(|credential| self.scope_covers(credential.scope))
    }

    fn scope_covers(&self, ceiling: Option<ScopeIx>) -> bool {
        let world = self.resolved.world;
        let (Some(ceiling), Some(scope)) = (ceiling, world.question.scope) else { return false };
        if self.resolved.path().contains(&ceiling.0) {
            return true;
        }
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
    fn boundaries(&self) -> Result<(), Refusal> {
        if let Some(credential) = self.resolved.world.question.credential.as_ref().filter(|_| self.first) {
            self.all_allow(&credential.boundaries)?;
            if let Some(inside) = Asking::of_key(self.resolved) {
                self.allows(&inside, KeyPolicy::BOUNDARY, true)?;
            }
        }
        self.all_allow(self.asker.boundaries)?;
        for boundary in self.resolved.ceilings() {
            self.allows(&self.asking, BoundaryId(*boundary), false)?;
        }
        self.asker.link.map_or(Ok(()), |link| self.all_allow(&link.boundaries))
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
        for binding in self.asking.bindings().filter(|binding| !binding.boundaries.is_empty()) {
            if let Some(place) = self.asking.role(binding.role)
                && best.is_none_or(|best| place < best)
                && self.all_allow(&binding.boundaries).is_ok()
            {
                best = Some(place);
            }
        }
        match best {
            Some(place) => Ok(place),
            None => {
                self.all_allow(&bounded.binding.boundaries)?;
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
        let now = self.world.now();
        let all = self.resolved.bindings(self.asker).iter().flat_map(|list| list.iter());
        all.filter(move |binding| now < binding.until && self.place_covers(&binding.place))
    }

    /// A binding holds at the request's scope or above it, or on the resource or what it sits in.
    fn place_covers(&self, place: &Place) -> bool {
        match place {
            Place::Everywhere => true,
            Place::Scope(scope) => self.resolved.path().contains(&scope.0),
            Place::Resource(entity) => self.world.is_within(self.resource(), entity),
        }
    }

    /// The lowest allow rule of policies (`free`) and of roles bound without boundaries; and that of the others.
    fn allowed_by_roles(&self, mut free: Option<u32>) -> (Option<u32>, Option<Bounded<'a>>) {
        let mut bounded: Option<Bounded<'a>> = None;
        for binding in self.bindings() {
            let Some(place) = self.role(binding.role) else { continue };
            if binding.boundaries.is_empty() {
                free = Some(free.map_or(place, |free| free.min(place)));
            } else if bounded.is_none_or(|b| place < b.place) {
                bounded = Some(Bounded { place, binding });
            }
        }
        (free, bounded)
    }

    /// The lowest rule of a role, or of a role that it includes, that matches.
    fn role(&self, role: RoleId) -> Option<u32> {
        let includes = &self.world.vocabulary.roles.get(role.index())?.includes;
        let mut found = Search::new(self, None);
        for role in includes {
            found.gate(self.tree.role(*role));
        }
        found.allow()
    }

    /// The lowest place of an entry's rules that matches.
    fn entry(&self, entry: u32, lifted: Option<u32>) -> Option<u32> {
        let entry = self.tree.entries[entry as usize];
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
    /// The pair; masks are empty when there is none, so that it is never compared.
    pair: u32,
    lifted: Option<u32>,
    deny: u32,
    allow: u32,
}

impl<'s, 'r, 'a> Search<'s, 'r, 'a> {
    /// No place.
    const NOTHING: u32 = u32::MAX;

    #[inline]
    fn new(asking: &'s Asking<'r, 'a>, lifted: Option<u32>) -> Self {
        let pair = asking.seen.pair.unwrap_or(u32::MAX);
        Search { asking, pair, lifted, deny: Self::NOTHING, allow: Self::NOTHING }
    }

    fn deny(&self) -> Option<u32> {
        Some(self.deny).filter(|place| *place != Self::NOTHING)
    }

    fn allow(&self) -> Option<u32> {
        Some(self.allow).filter(|place| *place != Self::NOTHING)
    }

    /// What is filed in a block.
    fn gate(&mut self, gate: u32) {
        let asking = self.asking;
        let Some(block) = asking.tree.index.gates.get(gate as usize).copied() else { return };
        if block.any != NONE {
            self.nodes(&[block.any]);
        }
        if block.whos & asking.known.who_bits == 0 {
            return;
        }
        let kind = Token::kind(asking.asker.entity.kind);
        for who in std::iter::once(kind).chain(asking.known.whos.iter().map(|who| Token(*who))) {
            if block.whos & token_bit(who) != 0
                && let Some(node) = asking.tree.index.who(gate, who)
            {
                self.nodes(&[node]);
            }
        }
    }

    /// What is filed under these WHOs.
    #[inline]
    fn nodes(&mut self, nodes: &[u32]) {
        let (index, seen) = (&self.asking.tree.index, self.asking.seen);
        for at in nodes {
            let node = &index.nodes[*at as usize];
            if node.pairs & seen.pair_bit == 0 || node.tokens & seen.place_bits == 0 {
                continue;
            }
            if node.split {
                self.places(*at, node);
            } else {
                self.run(node);
            }
        }
    }

    /// A node split by where.
    fn places(&mut self, at: u32, node: &Node) {
        let asking = self.asking;
        self.thing(node.any);
        for place in asking.known.places {
            self.child(at, node, Token(*place), Self::thing);
        }
    }

    fn child(&mut self, at: u32, node: &Node, token: Token, then: fn(&mut Self, u32)) {
        if node.tokens & token_bit(token) != 0
            && let Some(child) = self.asking.tree.index.child(at, token.0)
        {
            then(self, child);
        }
    }

    /// A node below a where.
    fn thing(&mut self, at: u32) {
        let asking = self.asking;
        let Some(node) = asking.tree.index.nodes.get(at as usize) else { return };
        if node.pairs & asking.seen.pair_bit == 0 || node.tokens & asking.seen.thing_bits == 0 {
            return;
        }
        if !node.split {
            return self.run(node);
        }
        self.pair(node.any);
        for thing in asking.known.things {
            self.child(at, node, Token(*thing), Self::pair);
        }
    }

    /// A node below a what.
    fn pair(&mut self, at: u32) {
        let index = &self.asking.tree.index;
        let Some(node) = index.nodes.get(at as usize) else { return };
        if node.pairs & self.asking.seen.pair_bit == 0 {
            return;
        }
        if !node.split {
            return self.run(node);
        }
        for child in [Some(node.any), index.child(at, self.pair)].into_iter().flatten() {
            if let Some(node) = index.nodes.get(child as usize) {
                self.run(node);
            }
        }
    }

    /// The filings of a node.
    #[inline]
    fn run(&mut self, node: &Node) {
        let asking = self.asking;
        let tree = asking.tree;
        let known = &asking.known;
        for filing in &tree.index.filings[node.start as usize..node.end as usize] {
            let fits = filing.filed.covers(self.pair, &tree.shapes)
                && (filing.at == Token::ANY || known.places.contains(&filing.at.0))
                && (filing.what == Token::ANY || known.things.contains(&filing.what.0));
            if fits {
                self.filing(filing);
            }
        }
    }

    /// A filing whose head fits.
    fn filing(&mut self, filing: &Filing) {
        let best = match filing.filed.effect() {
            Effect::Deny => self.deny,
            // What is denied needs no rule that allows.
            Effect::Allow if self.deny != Self::NOTHING => return,
            Effect::Allow => self.allow,
        };
        let place = match filing.then.leads() {
            Leads::Rule(place) if self.lifted != Some(place) => place,
            Leads::Entry(entry) if self.asking.tree.entries[entry as usize].least < best => {
                self.asking.entry(entry, self.lifted).unwrap_or(Self::NOTHING)
            }
            _ => return,
        };
        match filing.filed.effect() {
            Effect::Deny => self.deny = best.min(place),
            Effect::Allow => self.allow = best.min(place),
        }
    }
}
