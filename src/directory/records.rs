//! What a directory holds, as compact as it can be read fast: [`Account`], [`Group`], [`Scope`], [`Resource`], [`Binding`].
//!
//! In:    what [`super::Builder`] and [`super::Directory::apply`] have checked.
//! Out:   plain records; lists that most records don't have take eight bytes when they are empty.
//! Law:   a clone shares every list that a change doesn't touch. At most 200 bytes an account with its name and its
//!        memberships, at most 40 a binding.

use super::crowd::Crowd;
use super::{AccountIx, FOREVER, GroupIx, ScopeIx, Until};
use crate::value::{BoundaryId, Entity, RoleId, Value};
use smol_str::SmolStr;
use std::ops::Deref;
use std::sync::Arc;

/// A list that is often empty: eight bytes where it stands, shared by clones until one changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(Option<Arc<Vec<T>>>);

impl<T> Default for List<T> {
    fn default() -> Self {
        List(None)
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.0.as_ref().map_or(&[], |all| all)
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(all: Vec<T>) -> Self {
        List((!all.is_empty()).then(|| Arc::new(all)))
    }
}

impl<T: Clone + PartialEq> List<T> {
    /// Puts one at the end.
    pub(super) fn push(&mut self, one: T) {
        let all = Arc::make_mut(self.0.get_or_insert_default());
        if all.len() == all.capacity() {
            // Most lists are short and there are very many: little room is taken ahead.
            all.reserve_exact(1 + all.len() / 8);
        }
        all.push(one);
    }

    /// Takes out the first that equals `one`; false if there is none.
    pub(super) fn take(&mut self, one: &T) -> bool {
        let Some(at) = self.iter().position(|other| other == one) else { return false };
        self.retain(|n, _| n != at);
        true
    }

    /// Keeps those that pass, which are given with their places.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(usize, &T) -> bool) {
        let kept = self.iter().enumerate().filter(|(n, one)| keep(*n, one)).map(|(_, one)| one.clone());
        *self = List::from(kept.collect::<Vec<_>>());
    }

    /// Gives back room that is not used, where nothing else shares the list.
    pub(super) fn shrink(&mut self) {
        if let Some(all) = self.0.as_mut().and_then(Arc::get_mut) {
            all.shrink_to_fit();
        }
    }
}

/// A direct membership in twelve bytes: the group, and the time of its end in two halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    group: GroupIx,
    until: [u32; 2],
}

impl Membership {
    pub(super) fn new(group: GroupIx, until: Until) -> Self {
        Membership { group, until: [until as u32, (until >> 32) as u32] }
    }

    pub(super) fn get(self) -> (GroupIx, Until) {
        let [low, high] = self.until.map(u64::from);
        (self.group, (high << 32 | low) as Until)
    }
}

/// A node of the scope tree.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Kind and path.
    pub entity: Entity,
    /// Itself, its parent, and so on up to its root.
    pub ancestors: Arc<[ScopeIx]>,
    /// Attributes by slot.
    pub attributes: Arc<[Option<Value>]>,
    /// Boundaries attached: ceilings on everyone here and below.
    pub boundaries: List<BoundaryId>,
    /// What stands here, counted.
    pub(super) tally: Tally,
}

/// How much refers to a scope node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) children: u32,
    pub(super) homes: u32,
    pub(super) groups: u32,
    pub(super) resources: u32,
    pub(super) bindings: u32,
}

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its id.
    pub id: SmolStr,
    /// Where it stands as a thing acted on.
    pub scope: Option<ScopeIx>,
    /// Attributes by slot.
    pub attributes: Arc<[Option<Value>]>,
    /// Itself and every group it is in, directly or through groups, with the time each membership ends; sorted.
    pub within: Arc<[(GroupIx, Until)]>,
    /// Bindings of its members.
    pub bindings: List<Binding>,
    /// The groups it is in directly; sorted.
    pub(super) above: Arc<[(GroupIx, Until)]>,
    /// The groups that are in it directly.
    pub(super) below: Crowd,
    /// The accounts that are in it directly.
    pub(super) members: Crowd,
    /// The accounts that may act for its members.
    pub(super) linked_by: Crowd,
    /// How many bindings are held on it.
    pub(super) held_on: u32,
    /// Groups on the longest way up, itself included.
    pub(super) depth: u32,
}

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Kind and id.
    pub entity: Entity,
    /// Its home scope.
    pub home: Option<ScopeIx>,
    /// Attributes by slot.
    pub attributes: Box<[Option<Value>]>,
    /// Its own bindings.
    pub bindings: List<Binding>,
    /// The groups it is in directly; sorted.
    pub(super) direct: Box<[Membership]>,
    pub(super) rare: Option<Box<Rare>>,
}

/// What few accounts have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rare {
    pub(super) boundaries: List<BoundaryId>,
    pub(super) links: List<Link>,
    /// The accounts that may act for it.
    pub(super) linked_by: Crowd,
    /// How many bindings are held on it.
    pub(super) held_on: u32,
}

impl Account {
    /// The groups it is in directly, each once, with the time each membership ends. Those they are in:
    /// [`super::Directory::groups_of`].
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (GroupIx, Until)> + '_ {
        self.direct.iter().map(|m| m.get())
    }

    /// Boundaries attached.
    pub fn boundaries(&self) -> &[BoundaryId] {
        self.rare.as_ref().map_or(&[], |rare| &rare.boundaries)
    }

    /// For whom it may act.
    pub fn links(&self) -> &[Link] {
        self.rare.as_ref().map_or(&[], |rare| &rare.links)
    }

    /// Changes what few accounts have; nothing stays where nothing is left.
    pub(super) fn rarely<T>(&mut self, change: impl FnOnce(&mut Rare) -> T) -> T {
        let mut rare = self.rare.take().unwrap_or_default();
        let done = change(&mut rare);
        self.rare = (*rare != Rare::default()).then_some(rare);
        done
    }
}

/// A role held somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The role.
    pub role: RoleId,
    /// Where it holds, unless that is a resource or everywhere.
    scope: ScopeIx,
    terms: Option<Box<Terms>>,
}

/// No scope.
const NOWHERE: ScopeIx = ScopeIx(u32::MAX);

/// What few bindings have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Terms {
    resource: Option<Entity>,
    boundaries: Box<[BoundaryId]>,
    until: Until,
}

impl Binding {
    pub(super) fn new(role: RoleId, place: Place<'_>, boundaries: Vec<BoundaryId>, until: Until) -> Self {
        let (scope, resource) = match place {
            Place::Everywhere => (NOWHERE, None),
            Place::Scope(scope) => (scope, None),
            Place::Resource(entity) => (NOWHERE, Some(entity.clone())),
        };
        let plain = resource.is_none() && boundaries.is_empty() && until == FOREVER;
        let terms = || Box::new(Terms { resource, boundaries: boundaries.into(), until });
        Binding { role, scope, terms: (!plain).then(terms) }
    }

    /// Where.
    #[inline]
    pub fn place(&self) -> Place<'_> {
        match &self.terms {
            _ if self.scope != NOWHERE => Place::Scope(self.scope),
            Some(terms) => terms.resource.as_ref().map_or(Place::Everywhere, Place::Resource),
            None => Place::Everywhere,
        }
    }

    /// Its end.
    #[inline]
    pub fn until(&self) -> Until {
        self.terms.as_ref().map_or(FOREVER, |terms| terms.until)
    }

    /// Ceilings on what this binding allows.
    #[inline]
    pub fn boundaries(&self) -> &[BoundaryId] {
        self.terms.as_ref().map_or(&[], |terms| &terms.boundaries)
    }
}

/// Where a binding holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The one place of a vocabulary without scopes.
    Everywhere,
    /// A scope node and everything below it.
    Scope(ScopeIx),
    /// One resource and what sits in it.
    Resource(&'a Entity),
}

/// A right to act for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// For whom.
    pub target: LinkTarget,
    /// Ceilings on the agent when it acts through this link.
    pub boundaries: List<BoundaryId>,
    /// Its end.
    pub until: Until,
}

/// For whom an agent may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkTarget {
    /// One account.
    Account(AccountIx),
    /// Any member of a group; the request names which.
    Group(GroupIx),
}

/// A stored resource.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Kind and id.
    pub entity: Entity,
    /// The scope it is placed in, its own or its parent's.
    pub scope: Option<ScopeIx>,
    /// What it sits in.
    pub parent: Option<Entity>,
    /// Attributes by slot.
    pub attributes: Box<[Option<Value>]>,
    /// Whether the scope is its own.
    pub(super) own_scope: bool,
    /// The resources that sit in it directly.
    pub(super) children: Crowd,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::KindId;

    #[test]
    fn records_stay_small() {
        let sizes = [
            ("Account", size_of::<Account>(), 88),
            ("Option<Account>", size_of::<Option<Account>>(), 88),
            ("Membership", size_of::<Membership>(), 12),
            ("Binding", size_of::<Binding>(), 16),
            ("Option<Value>", size_of::<Option<Value>>(), 32),
            ("Group", size_of::<Group>(), 152),
            ("Scope", size_of::<Scope>(), 104),
            ("Resource", size_of::<Resource>(), 112),
        ];
        let grown: Vec<_> = sizes.iter().filter(|(_, size, most)| size > most).collect();
        assert!(grown.is_empty(), "{grown:?}");
    }

    #[test]
    fn a_binding_is_what_it_was_made_of() {
        let on = Entity { kind: KindId(7), id: "plan".into() };
        for place in [Place::Everywhere, Place::Scope(ScopeIx(0)), Place::Resource(&on)] {
            for boundaries in [vec![], vec![BoundaryId(1), BoundaryId(0)]] {
                for until in [FOREVER, 0, i64::MIN] {
                    let binding = Binding::new(RoleId(3), place, boundaries.clone(), until);
                    assert_eq!(
                        (binding.role, binding.place(), binding.boundaries(), binding.until()),
                        (RoleId(3), place, &boundaries[..], until)
                    );
                }
            }
        }
    }

    #[test]
    fn a_membership_keeps_its_end() {
        for until in [FOREVER, 0, -1, i64::MIN, 1 << 40] {
            assert_eq!(Membership::new(GroupIx(7), until).get(), (GroupIx(7), until));
        }
    }
}
