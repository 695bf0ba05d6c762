//! The small steps of which every change consists, on a [`Directory`] that is still being made.
//!
//! In:    numbers and records that [`super::checks`] has approved.
//! Out:   the directory, with all that is counted or listed the other way round kept in step.
//! Law:   what a scope node counts, and who is in a group's lists, agree with the records at every step.

use super::checks::{DataError, DataErrorKind, Item, contradiction};
use super::records::{Membership, Rare, Tally};
use super::{
    Account, AccountIx, Binding, Directory, FOREVER, Group, GroupIx, Link, LinkTarget, Place, Resource,
    ResourceIx, SCOPE_PATHS, Scope, ScopeIx, Until,
};
use crate::limits::ANCESTRY_DEPTH_MAX;
use crate::value::{BoundaryId, Entity, KindId, hash_name};
use std::sync::Arc;

/// The nodes whose names appeared or vanished; a number may since name another node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Scope nodes, each once, in order.
    pub scopes: Vec<ScopeIx>,
    /// Groups, each once, in order.
    pub groups: Vec<GroupIx>,
}

impl Touched {
    pub(super) fn in_order(mut self) -> Touched {
        self.scopes.sort_unstable();
        self.scopes.dedup();
        self.groups.sort_unstable();
        self.groups.dedup();
        self
    }
}

/// Who holds a role, by number.
#[derive(Clone, Copy, Debug)]
pub(super) enum HolderIx {
    Account(AccountIx),
    Group(GroupIx),
    Kind(KindId),
}

/// What a boundary is attached to, by number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bounded {
    Account(AccountIx),
    Scope(ScopeIx),
}

/// Which way something is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Up,
    Down,
}

impl Count {
    pub(super) fn on(self, number: &mut u32) {
        *number = match self {
            Count::Up => number.saturating_add(1),
            Count::Down => number.saturating_sub(1),
        };
    }
}

fn hash_of(entity: &Entity) -> u64 {
    hash_name(entity.kind, &entity.id)
}

impl Directory {
    pub(super) fn insert_scope(&mut self, scope: Scope) -> ScopeIx {
        let hash = hash_name(SCOPE_PATHS, &scope.entity.id);
        let ix = ScopeIx(self.scopes.insert(scope));
        self.scope_names.insert(hash, ix.0);
        ix
    }

    pub(super) fn insert_group(&mut self, group: Group) -> GroupIx {
        let hash = hash_name(KindId::GROUP, &group.id);
        self.tally(group.scope, |tally| Count::Up.on(&mut tally.groups));
        let ix = GroupIx(self.groups.insert(group));
        self.group_names.insert(hash, ix.0);
        ix
    }

    pub(super) fn insert_account(&mut self, account: Account) -> AccountIx {
        let hash = hash_of(&account.entity);
        self.tally(account.home, |tally| Count::Up.on(&mut tally.homes));
        let ix = AccountIx(self.accounts.insert(account));
        self.account_names.insert(hash, ix.0);
        ix
    }

    pub(super) fn insert_resource(&mut self, resource: Resource) -> ResourceIx {
        let hash = hash_of(&resource.entity);
        let ix = ResourceIx(self.resources.insert(resource));
        self.resource_names.insert(hash, ix.0);
        ix
    }

    pub(super) fn drop_scope(&mut self, ix: ScopeIx) {
        if let Some(scope) = self.scopes.remove(ix.index()) {
            self.scope_names.remove(hash_name(SCOPE_PATHS, &scope.entity.id), ix.0);
            self.tally(scope.ancestors.get(1).copied(), |tally| Count::Down.on(&mut tally.children));
        }
    }

    pub(super) fn drop_group(&mut self, ix: GroupIx) {
        if let Some(group) = self.groups.remove(ix.index()) {
            self.group_names.remove(hash_name(KindId::GROUP, &group.id), ix.0);
            self.tally(group.scope, |tally| Count::Down.on(&mut tally.groups));
        }
    }

    pub(super) fn drop_account(&mut self, ix: AccountIx) {
        if let Some(account) = self.accounts.remove(ix.index()) {
            self.account_names.remove(hash_of(&account.entity), ix.0);
            self.tally(account.home, |tally| Count::Down.on(&mut tally.homes));
        }
    }

    pub(super) fn drop_resource(&mut self, ix: ResourceIx) {
        if let Some(resource) = self.resources.remove(ix.index()) {
            self.resource_names.remove(hash_of(&resource.entity), ix.0);
            self.tally(resource.scope, |tally| Count::Down.on(&mut tally.resources));
        }
    }

    /// Changes what a scope node counts.
    pub(super) fn tally(&mut self, at: Option<ScopeIx>, change: impl FnOnce(&mut Tally)) {
        if let Some(scope) = at.and_then(|ix| self.scopes.get_mut(ix.index())) {
            change(&mut scope.tally);
        }
    }

    pub(super) fn count_binding(&mut self, place: Place<'_>, count: Count) {
        match place {
            Place::Everywhere => {}
            Place::Scope(ix) => self.tally(Some(ix), |tally| count.on(&mut tally.bindings)),
            Place::Resource(entity) if entity.kind == KindId::GROUP => {
                let group = self.group(&entity.id).and_then(|ix| self.groups.get_mut(ix.index()));
                if let Some(group) = group {
                    count.on(&mut group.held_on);
                }
            }
            Place::Resource(entity) => {
                if let Some(ix) = self.account(entity) {
                    self.rarely(ix, |rare| count.on(&mut rare.held_on));
                }
            }
        }
    }

    /// Changes what few accounts have.
    pub(super) fn rarely<T: Default>(&mut self, ix: AccountIx, change: impl FnOnce(&mut Rare) -> T) -> T {
        self.accounts.get_mut(ix.index()).map(|account| account.rarely(change)).unwrap_or_default()
    }

    pub(super) fn add_binding(&mut self, holder: HolderIx, binding: Binding) {
        self.count_binding(binding.place(), Count::Up);
        match holder {
            HolderIx::Account(ix) => {
                if let Some(account) = self.accounts.get_mut(ix.index()) {
                    account.bindings.push(binding);
                }
            }
            HolderIx::Group(ix) => {
                if let Some(group) = self.groups.get_mut(ix.index()) {
                    group.bindings.push(binding);
                }
            }
            HolderIx::Kind(kind) => Arc::make_mut(&mut self.kind_bindings).push((kind, binding)),
        }
    }

    /// Takes out the first binding that equals this one; false if there is none.
    pub(super) fn take_binding(&mut self, holder: HolderIx, binding: &Binding) -> bool {
        let taken = match holder {
            HolderIx::Account(ix) => {
                self.accounts.get_mut(ix.index()).is_some_and(|a| a.bindings.take(binding))
            }
            HolderIx::Group(ix) => self.groups.get_mut(ix.index()).is_some_and(|g| g.bindings.take(binding)),
            HolderIx::Kind(kind) => {
                let at = self.kind_bindings.iter().position(|(k, b)| *k == kind && b == binding);
                at.map(|at| Arc::make_mut(&mut self.kind_bindings).remove(at)).is_some()
            }
        };
        if taken {
            self.count_binding(binding.place(), Count::Down);
        }
        taken
    }

    pub(super) fn add_link(&mut self, agent: AccountIx, link: Link) {
        match link.target {
            LinkTarget::Account(ix) => self.rarely(ix, |rare| rare.linked_by.insert(agent.0)),
            LinkTarget::Group(ix) => {
                if let Some(group) = self.groups.get_mut(ix.index()) {
                    group.linked_by.insert(agent.0);
                }
            }
        }
        self.rarely(agent, |rare| rare.links.push(link));
    }

    /// Takes out the first link that equals this one; false if there is none.
    pub(super) fn take_link(&mut self, agent: AccountIx, link: &Link) -> bool {
        let taken = self.rarely(agent, |rare| rare.links.take(link));
        let links = self.accounts.get(agent.index()).map_or(&[][..], Account::links);
        if taken && links.iter().all(|other| other.target != link.target) {
            self.forget_agent(agent, link.target);
        }
        taken
    }

    /// An account has no link to this target any more.
    pub(super) fn forget_agent(&mut self, agent: AccountIx, target: LinkTarget) {
        match target {
            LinkTarget::Account(ix) => self.rarely(ix, |rare| rare.linked_by.remove(agent.0)),
            LinkTarget::Group(ix) => {
                if let Some(group) = self.groups.get_mut(ix.index()) {
                    group.linked_by.remove(agent.0);
                }
            }
        }
    }

    pub(super) fn add_boundary(&mut self, to: Bounded, boundary: BoundaryId) {
        match to {
            Bounded::Account(ix) => self.rarely(ix, |rare| rare.boundaries.push(boundary)),
            Bounded::Scope(ix) => {
                if let Some(scope) = self.scopes.get_mut(ix.index()) {
                    scope.boundaries.push(boundary);
                }
            }
        }
    }

    /// Takes out a boundary once; false if it is not attached.
    pub(super) fn take_boundary(&mut self, from: Bounded, boundary: BoundaryId) -> bool {
        match from {
            Bounded::Account(ix) => self.rarely(ix, |rare| rare.boundaries.take(&boundary)),
            Bounded::Scope(ix) => {
                self.scopes.get_mut(ix.index()).is_some_and(|scope| scope.boundaries.take(&boundary))
            }
        }
    }

    /// Gives a scope its ancestors: itself and those of its parent, which counts it.
    pub(super) fn close_scope(&mut self, ix: ScopeIx, parent: Option<ScopeIx>) {
        let above = parent.map_or(&[][..], |parent| &self.scopes[parent.index()].ancestors);
        let ancestors = [&[ix], above].concat().into();
        if let Some(scope) = self.scopes.get_mut(ix.index()) {
            scope.ancestors = ancestors;
        }
        self.tally(parent, |tally| Count::Up.on(&mut tally.children));
    }

    /// Gives a group all it is in, once those directly above it have that.
    pub(super) fn close_group(&mut self, ix: GroupIx) -> Result<(), DataError> {
        let group = &self.groups[ix.index()];
        let mut within = vec![(ix, FOREVER)];
        let mut depth = 1;
        for (parent, until) in group.above.iter() {
            let parent = &self.groups[parent.index()];
            within.extend(parent.within.iter().map(|(g, u)| (*g, *u.min(until))));
            depth = depth.max(1 + parent.depth);
        }
        longest(&mut within);
        // A group that stands too deep is told once; what is below it follows.
        let too_deep = depth as usize == ANCESTRY_DEPTH_MAX + 1;
        let error = too_deep.then(|| super::checks::too_deep("in", &format!("group `{}`", group.id)));
        if let Some(group) = self.groups.get_mut(ix.index()) {
            group.within = within.into();
            group.depth = depth;
        }
        error.map_or(Ok(()), |error| Err(error.about(Item::Group(ix.index()))))
    }

    /// Closes groups and all that are below them, those above first. The cost follows these groups and what they are in.
    pub(super) fn close_below(&mut self, tops: &[GroupIx]) -> Result<(), DataError> {
        // Depth first without recursion; a group is written down once all below it are, so that the reverse is in order.
        let mut met = rustc_hash::FxHashSet::default();
        let mut order = Vec::new();
        let below = |ix: GroupIx| self.groups[ix.index()].below.iter().collect::<Vec<_>>().into_iter();
        for top in tops {
            let mut path = Vec::new();
            if met.insert(top.0) {
                path.push((*top, below(*top)));
            }
            while let Some((group, children)) = path.last_mut() {
                match children.next() {
                    Some(child) if met.insert(child) => path.push((GroupIx(child), below(GroupIx(child)))),
                    Some(_) => {}
                    None => {
                        order.push(*group);
                        path.pop();
                    }
                }
            }
        }
        order.iter().rev().try_for_each(|group| self.close_group(*group))
    }

    /// Puts a group directly in another, or changes until when it is. Its closure is not remade here.
    pub(super) fn nest(&mut self, group: GroupIx, within: GroupIx, until: Until) {
        let rest = self.groups[group.index()].above.iter().copied().filter(|(g, _)| *g != within);
        let mut above: Vec<(GroupIx, Until)> = rest.chain([(within, until)]).collect();
        above.sort_unstable();
        if let Some(group) = self.groups.get_mut(group.index()) {
            group.above = above.into();
        }
        if let Some(within) = self.groups.get_mut(within.index()) {
            within.below.insert(group.0);
        }
    }

    /// Takes a group out of another that it is directly in. Its closure is not remade here.
    pub(super) fn unnest(&mut self, group: GroupIx, within: GroupIx) {
        if let Some(group) = self.groups.get_mut(group.index()) {
            group.above = group.above.iter().copied().filter(|(g, _)| *g != within).collect();
        }
        if let Some(within) = self.groups.get_mut(within.index()) {
            within.below.remove(group.0);
        }
    }

    /// Makes an account a member, or changes until when it is one.
    pub(super) fn enter(&mut self, account: AccountIx, group: GroupIx, until: Until) {
        if let Some(account) = self.accounts.get_mut(account.index()) {
            let rest = account.direct.iter().copied().filter(|m| m.get().0 != group);
            let mut direct: Vec<Membership> = rest.chain([Membership::new(group, until)]).collect();
            direct.sort_unstable_by_key(|m| m.get());
            account.direct = direct.into();
        }
        if let Some(group) = self.groups.get_mut(group.index()) {
            group.members.insert(account.0);
        }
    }

    /// Ends a direct membership; false if there is none.
    pub(super) fn exit(&mut self, account: AccountIx, group: GroupIx) -> bool {
        let Some(member) = self.accounts.get_mut(account.index()) else { return false };
        let before = member.direct.len();
        member.direct = member.direct.iter().copied().filter(|m| m.get().0 != group).collect();
        let gone = member.direct.len() < before;
        if let Some(group) = self.groups.get_mut(group.index()).filter(|_| gone) {
            group.members.remove(account.0);
        }
        gone
    }
}

/// Sorts memberships; of one group the longest counts.
pub(super) fn longest(memberships: &mut Vec<(GroupIx, Until)>) {
    memberships.sort_unstable_by_key(|(group, until)| (*group, std::cmp::Reverse(*until)));
    memberships.dedup_by_key(|(group, _)| *group);
}

/// Something cannot go while this stands in the way.
pub(super) fn in_the_way(what: &str, counts: &[(u32, &str)], help: &str) -> DataError {
    let parts: Vec<String> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, name)| format!("{name}: {n}")).collect();
    contradiction("", format!("{what} cannot be removed, it is still used ({})", parts.join(", "))).help(help)
}

/// Something sits in itself.
pub(super) fn cycle(field: &str, what: &str) -> DataError {
    DataError::new(DataErrorKind::Cycle, field, format!("{what} in itself"))
}
