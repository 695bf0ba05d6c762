//! Decides a question with a tree.
//!
//! In:    `&Tree`, `&Directory`, `&Question`.
//! Out:   [`Decision`]. Total: no `Result`, no clock, no I/O, no allocation.
//! Law:   `decide(&lower(p)?, d, q) == meaning::decide(p, d, q)` for every question (tests/laws.rs).

use super::index::{TrieNode, pair_bit, token_bit};
use super::node::{Ref, Step as Part, Token, Tree};
use super::request::{Asking, Seen, live_groups, path};
use crate::decision::{Decision, RuleRef, Step};
use crate::directory::{Binding, Directory, Link, LinkTarget, Place, ScopeIx, World};
use crate::limits::CHAIN_ACCOUNTS_MAX;
use crate::request::{KeyPolicy, Question};
use crate::value::{BoundaryId, Entity, RoleId};

/// Decides a question.
pub fn decide(tree: &Tree, directory: &Directory, question: &Question) -> Decision {
    let world = World { vocabulary: &tree.vocabulary, directory, question };
    let seen = Seen::new(tree, &world);
    let key = question.credential.as_ref().and_then(|c| c.policy.as_deref());
    let key_seen = key.map(|key| Seen::new(&key.tree, &world));
    let asked = Asked { tree, world, seen: &seen, key: key.zip(key_seen.as_ref()), lifted: None };
    match asked.chain() {
        Ok(place) => {
            let rule = RuleRef { in_key: false, rule: tree.rule_at(place) };
            Decision { refused_by: None, rule: Some(rule), ask: false }
        }
        Err((step, deny)) => {
            let ask = deny.is_some_and(|deny| {
                asked.asks(deny) && Asked { lifted: Some(deny), ..asked }.chain().is_ok()
            });
            Decision { refused_by: Some(step), rule: deny.map(|deny| asked.rule(deny)), ask }
        }
    }
}

/// A deny rule, by its place in the set's tree or in that of the key's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Deny {
    in_key: bool,
    place: u32,
}

/// The place of the determining allow rule, or the step that refused and its deny rule, if it has one.
type Answer = Result<u32, (Step, Option<Deny>)>;

/// A question put to a set.
#[derive(Clone, Copy)]
struct Asked<'a> {
    tree: &'a Tree,
    world: World<'a>,
    seen: &'a Seen,
    key: Option<(&'a KeyPolicy, &'a Seen)>,
    /// A deny rule to be passed over.
    lifted: Option<Deny>,
}

/// Who asks, whom it acts for, and so on; each but the last with the link it uses.
struct Chain<'a> {
    accounts: [Option<(&'a Entity, Option<&'a Link>)>; CHAIN_ACCOUNTS_MAX],
    broken: bool,
}

impl<'a> Asked<'a> {
    fn tree_of(&self, deny: Deny) -> &'a Tree {
        match self.key {
            Some((key, _)) if deny.in_key => &key.tree,
            _ => self.tree,
        }
    }

    fn rule(&self, deny: Deny) -> RuleRef {
        RuleRef { in_key: deny.in_key, rule: self.tree_of(deny).rule_at(deny.place) }
    }

    fn asks(&self, deny: Deny) -> bool {
        let tree = self.tree_of(deny);
        tree.rule(tree.rule_at(deny.place)).ask.is_some()
    }

    /// The asking account, then those it acts for, each in full.
    fn chain(&self) -> Answer {
        let chain = self.follow_links();
        let mut accounts = chain.accounts.iter().flatten();
        let Some((asking, link)) = accounts.next() else { return Err((Step::Default, None)) };
        let allowed = self.one(asking, *link, true)?;
        if chain.broken {
            return Err((Step::ActingFor, None));
        }
        for (account, link) in accounts {
            self.one(account, *link, false).map_err(|(_, deny)| (Step::ActingFor, deny))?;
        }
        Ok(allowed)
    }

    /// Follows the acting-for links from the asking account.
    fn follow_links(&self) -> Chain<'a> {
        let mut chain = Chain { accounts: [None; CHAIN_ACCOUNTS_MAX], broken: false };
        let mut current = &self.world.question.account;
        for at in 0..CHAIN_ACCOUNTS_MAX {
            chain.accounts[at] = Some((current, None));
            let kind = self.world.vocabulary.kinds.get(current.kind.index());
            if kind.is_none_or(|kind| kind.acting_for.is_empty()) {
                return chain;
            }
            let Some((link, next)) = self.next(current, at) else { break };
            if at + 1 == CHAIN_ACCOUNTS_MAX || chain.accounts.iter().flatten().any(|(met, _)| *met == next) {
                break;
            }
            chain.accounts[at] = Some((current, Some(link)));
            current = next;
        }
        chain.broken = true;
        chain
    }

    /// Whom an account acts for: the one that the request names, else the only one it could be.
    fn next(&self, current: &Entity, at: usize) -> Option<(&'a Link, &'a Entity)> {
        let World { vocabulary, directory, question } = self.world;
        let kinds = &vocabulary.kinds.get(current.kind.index())?.acting_for;
        let account = directory.accounts.get(directory.account(current)?.index())?;
        let now = self.world.now();
        let mut live = account.links().iter().filter(|link| now < link.until);
        if let Some(named) = question.acting_for.get(at) {
            let fits = |link: &&Link| match link.target {
                LinkTarget::Account(ix) => {
                    directory.accounts.get(ix.index()).is_some_and(|a| a.entity == *named)
                }
                LinkTarget::Group(ix) => directory
                    .groups
                    .get(ix.index())
                    .is_some_and(|group| self.world.is_member(named, &group.id)),
            };
            return live.find(fits).filter(|_| kinds.contains(&named.kind)).map(|link| (link, named));
        }
        let link = live.next()?;
        let LinkTarget::Account(target) = link.target else { return None };
        let target = &directory.accounts.get(target.index())?.entity;
        (live.next().is_none() && kinds.contains(&target.kind)).then_some((link, target))
    }

    /// One account: is it known, denies, allows, scope, boundaries, and the boundaries of bindings.
    fn one(&self, account: &'a Entity, link: Option<&'a Link>, first: bool) -> Answer {
        let asking = Asking::new(self.tree, self.world, self.seen, account);
        let kind = self.world.vocabulary.kinds.get(account.kind.index());
        if asking.held.is_none() && kind.is_none_or(|kind| !kind.supplied) {
            return Err((Step::Default, None));
        }
        if let Some(place) = asking.find(self.tree.policies().deny, self.lifted_in(false)) {
            return Err((Step::Rule, Some(Deny { in_key: false, place })));
        }
        let free = asking.find(self.tree.policies().allow, None);
        let (free, bounded) = asking.allowed_by_roles(free);
        if free.is_none() && bounded.is_none() {
            return Err((Step::Default, None));
        }
        if !self.scopes_cover(&asking, first) {
            return Err((Step::Scope, None));
        }
        self.boundaries(&asking, link, first)?;
        match bounded {
            None => free.ok_or((Step::Default, None)),
            Some(bounded) => self.under_bindings(&asking, free, bounded),
        }
    }

    fn lifted_in(&self, in_key: bool) -> Option<u32> {
        self.lifted.filter(|lifted| lifted.in_key == in_key).map(|lifted| lifted.place)
    }

    /// The home of the account and the scope of the key presented are the request's scope or above it.
    fn scopes_cover(&self, asking: &Asking<'a>, first: bool) -> bool {
        if !self.tree.has_scopes {
            return true;
        }
        let credential = self.world.question.credential.as_ref().filter(|_| first);
        asking.held.is_none_or(|held| self.scope_covers(held.home))
            && credential.is_none_or(|credential| self.scope_covers(credential.scope))
    }

    fn scope_covers(&self, ceiling: Option<ScopeIx>) -> bool {
        let World { vocabulary, directory, question } = self.world;
        let (Some(ceiling), Some(scope)) = (ceiling, question.scope) else { return false };
        if path(&self.world).contains(&ceiling) {
            return true;
        }
        let targets =
            vocabulary.actions.get(question.action.index()).map_or(&[][..], |action| &action.targets);
        let subject = &question.resource;
        let works_from_below = targets
            .iter()
            .any(|t| t.from_below && t.kind == subject.kind && t.any == subject.entity.is_none());
        works_from_below
            && directory.scopes.get(ceiling.index()).is_some_and(|node| node.ancestors.contains(&scope))
    }

    /// All boundaries that bind the account: of the key presented and its own text, of the account, of the scopes
    /// from the root down, of the link by which it acts for the next.
    fn boundaries(
        &self,
        asking: &Asking<'a>,
        link: Option<&Link>,
        first: bool,
    ) -> Result<(), (Step, Option<Deny>)> {
        let world = &self.world;
        if let Some(credential) = world.question.credential.as_ref().filter(|_| first) {
            self.all_allow(asking, &credential.boundaries)?;
            if let Some((key, seen)) = self.key {
                let inside = Asking::new(&key.tree, *world, seen, asking.account);
                self.allows(&inside, KeyPolicy::BOUNDARY, true)?;
            }
        }
        if let Some(held) = asking.held {
            self.all_allow(asking, held.boundaries())?;
        }
        for scope in path(world).iter().rev() {
            if let Some(scope) = world.directory.scopes.get(scope.index()) {
                self.all_allow(asking, &scope.boundaries)?;
            }
        }
        link.map_or(Ok(()), |link| self.all_allow(asking, &link.boundaries))
    }

    fn all_allow(&self, asking: &Asking<'a>, boundaries: &[BoundaryId]) -> Result<(), (Step, Option<Deny>)> {
        boundaries.iter().try_for_each(|boundary| self.allows(asking, *boundary, false))
    }

    /// A boundary allows if none of its denies matches and one of its allows does.
    fn allows(
        &self,
        asking: &Asking<'a>,
        boundary: BoundaryId,
        in_key: bool,
    ) -> Result<(), (Step, Option<Deny>)> {
        let gate = asking.tree.boundary(boundary);
        if let Some(place) = asking.find(gate.deny, self.lifted_in(in_key)) {
            return Err((Step::Boundary, Some(Deny { in_key, place })));
        }
        asking.find(gate.allow, None).map(|_| ()).ok_or((Step::Boundary, None))
    }

    /// The lowest rule that allows although its binding may be bounded; `free` is the lowest of those that aren't.
    fn under_bindings(&self, asking: &Asking<'a>, free: Option<u32>, bounded: Bounded<'a>) -> Answer {
        let mut best = free;
        for binding in asking.bindings().filter(|binding| !binding.boundaries().is_empty()) {
            if let Some(place) = asking.role(binding.role)
                && best.is_none_or(|best| place < best)
                && self.all_allow(asking, binding.boundaries()).is_ok()
            {
                best = Some(place);
            }
        }
        match best {
            Some(place) => Ok(place),
            None => {
                self.all_allow(asking, bounded.binding.boundaries())?;
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

impl<'a> Asking<'a> {
    /// The bindings that hold for this request, now: the account's own, those of its groups, those of its kind.
    pub(super) fn bindings(&self) -> impl Iterator<Item = &'a Binding> + '_ {
        let directory = self.world.directory;
        let now = self.world.now();
        let world = self.world;
        let own = self.held.into_iter().flat_map(|held| held.bindings.iter());
        let groups = self.held.into_iter().flat_map(move |held| live_groups(world, held));
        let of_groups =
            groups.filter_map(move |ix| directory.groups.get(ix.index())).flat_map(|g| g.bindings.iter());
        let of_kind = directory.kind_bindings.iter().filter(|(kind, _)| *kind == self.account.kind);
        let of_kind = of_kind.filter(|_| self.held.is_some()).map(|(_, binding)| binding);
        own.chain(of_groups).chain(of_kind).filter(move |b| now < b.until && self.place_covers(&b.place))
    }

    /// A binding holds at the request's scope or above it, or on the resource or what it sits in.
    fn place_covers(&self, place: &Place) -> bool {
        match place {
            Place::Everywhere => true,
            Place::Scope(scope) => path(&self.world).contains(scope),
            Place::Resource(entity) => self.world.is_within(self.resource(), entity),
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
        let includes = &self.world.vocabulary.roles.get(role.index())?.includes;
        includes.iter().filter_map(|role| self.find(self.tree.role(*role).allow, None)).min()
    }

    /// The lowest place of a rule under an index root that matches, `lifted` passed over.
    pub(super) fn find(&self, root: Option<u32>, lifted: Option<u32>) -> Option<u32> {
        let pair = self.seen.pair?;
        let mut search = Search { asking: self, pair, pair_bit: pair_bit(pair), lifted, best: u32::MAX };
        search.who(root?);
        (search.best != u32::MAX).then_some(search.best)
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

/// A walk through the index, level by level.
struct Search<'s, 'a> {
    asking: &'s Asking<'a>,
    pair: u32,
    pair_bit: u64,
    lifted: Option<u32>,
    best: u32,
}

impl Search<'_, '_> {
    /// A node under which a better rule may be found.
    fn node(&self, at: u32) -> Option<&TrieNode> {
        let node = self.asking.tree.index.nodes.get(at as usize)?;
        (node.pairs & self.pair_bit != 0 && node.least < self.best).then_some(node)
    }

    fn child(&self, at: u32, node: &TrieNode, token: Token) -> Option<u32> {
        let may = node.tokens & token_bit(token) != 0;
        may.then(|| self.asking.tree.index.edges.get(at, token.0)).flatten()
    }

    fn who(&mut self, at: u32) {
        let Some(node) = self.node(at).copied() else { return };
        if let Some(any) = node.any {
            self.place(any);
        }
        if node.tokens == 0 {
            return;
        }
        let asking = self.asking;
        for token in [Some(Token::kind(asking.account.kind)), asking.own].into_iter().flatten() {
            if let Some(child) = self.child(at, &node, token) {
                self.place(child);
            }
        }
        if node.tokens & asking.groups.mask != 0 {
            asking.any_group(|group| {
                if let Some(child) = self.child(at, &node, group) {
                    self.place(child);
                }
                false
            });
        }
    }

    fn place(&mut self, at: u32) {
        let Some(node) = self.node(at).copied() else { return };
        if let Some(any) = node.any {
            self.thing(any);
        }
        let seen = self.asking.seen;
        if node.tokens & seen.places.mask != 0 {
            for place in seen.places.list() {
                if let Some(child) = self.child(at, &node, *place) {
                    self.thing(child);
                }
            }
        }
    }

    fn thing(&mut self, at: u32) {
        let Some(node) = self.node(at).copied() else { return };
        if let Some(any) = node.any {
            self.last(any);
        }
        let seen = self.asking.seen;
        if node.tokens & seen.things.mask != 0 {
            for thing in seen.things.list() {
                if let Some(child) = self.child(at, &node, *thing) {
                    self.last(child);
                }
            }
        }
    }

    fn last(&mut self, at: u32) {
        let Some(node) = self.node(at).copied() else { return };
        let tree = self.asking.tree;
        if let Some(entry) = tree.index.edges.get(at, self.pair) {
            self.entry(entry);
        }
        for wide in &tree.index.wide[node.wide_start as usize..node.wide_end as usize] {
            if tree.shapes[wide.shape as usize].contains(self.pair) {
                self.entry(wide.entry);
            }
        }
    }

    fn entry(&mut self, entry: u32) {
        if let Some(place) = self.asking.entry(entry, self.lifted) {
            self.best = self.best.min(place);
        }
    }
}
