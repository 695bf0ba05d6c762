//! Nobody grants what he doesn't hold: does the caller himself hold what he is about to give?
//!
//! In:    a caller, what would be given, until when.
//! Out:   yes only where it is certain; whoever gets no needs the right `grant` on exactly that.
//! Law:   a caller whose own right is bounded in any way (by its key, a boundary, somebody it acts for, an earlier end)
//!        does not hold what it would give without that bound.

use super::authn::Caller;
use super::memory::{OrgState, Side};
use super::prelude::OURS;
use crate::{Account, Binding, Entity, Place, RoleId, ScopeIx, Vocabulary};

/// Where something would be held.
#[derive(Clone, Copy, Debug)]
pub enum Where<'a> {
    /// At the place with this path and below.
    Place(&'a str),
    /// On one resource, by kind and id.
    Resource(&'a str, &'a str),
}

/// A caller's account in the directory of the own set, if nothing bounds it and it lives until then.
fn unbounded<'a>(side: &'a Side, caller: &Caller, until: i64) -> Option<&'a Account> {
    let account = caller.account.as_ref()?;
    let key = &caller.key;
    if !key.boundaries.is_empty() || key.policy.is_some() {
        return None;
    }
    let vocabulary = side.set.vocabulary();
    let kind = vocabulary.kind_by_wire(account.kind.wire())?;
    if !vocabulary.kind(kind).acting_for.is_empty() || account.expires < until {
        return None;
    }
    let ix = side.directory.account(&Entity { kind, id: account.id.as_str().into() })?;
    let found = &side.directory.accounts[ix.index()];
    found.boundaries().is_empty().then_some(found)
}

/// Whether a place covers another: the same path, or above it.
pub fn covers(above: &str, below: &str) -> bool {
    below == above || below.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether the caller holds a role there, until then or longer. A role of ours is weighed by our own set, too: a role
/// of the organization's that includes it gives nothing here.
pub fn role(org: &OrgState, caller: &Caller, role: &str, at: Where<'_>, until: i64) -> bool {
    let guarded = !role.starts_with(OURS) || held(&org.guard, caller, role, at, until);
    guarded && held(&org.own, caller, role, at, until)
}

fn held(side: &Side, caller: &Caller, role: &str, at: Where<'_>, until: i64) -> bool {
    let vocabulary = side.set.vocabulary();
    let Some(wanted) = vocabulary.roles.iter().position(|r| r.wire == role) else { return false };
    let wanted = RoleId(wanted as u32);
    let Some(account) = unbounded(side, caller, until) else { return false };
    let directory = &side.directory;
    let path_of = |ix: ScopeIx| directory.scopes[ix.index()].entity.id.as_str();
    let place = match at {
        Where::Place(path) => Some(path),
        Where::Resource(kind, id) => vocabulary.kind_by_wire(kind).and_then(|kind| {
            let ix = directory.resource(&Entity { kind, id: id.into() })?;
            directory.resources[ix.index()].scope.map(path_of)
        }),
    };
    let Some(place) = place else { return false };
    let reaches = caller.key.scope.as_deref().is_some_and(|scope| covers(scope, place))
        && account.home.is_some_and(|home| covers(path_of(home), place));
    let fits = |b: &Binding| gives(vocabulary, b, wanted, until) && there(b, place, at, vocabulary, path_of);
    let groups = account.groups().filter(|(_, ends)| *ends >= until);
    let through = groups.flat_map(|(g, _)| directory.groups[g.index()].bindings.iter());
    let kind = account.entity.kind;
    let everyone = directory.kind_bindings.iter().filter(|(k, _)| *k == kind).map(|(_, b)| b);
    reaches && account.bindings.iter().chain(through).chain(everyone).any(fits)
}

fn gives(vocabulary: &Vocabulary, binding: &Binding, wanted: RoleId, until: i64) -> bool {
    let includes = &vocabulary.roles[binding.role.0 as usize].includes;
    includes.contains(&wanted) && binding.boundaries().is_empty() && binding.until >= until
}

fn there<'d>(
    binding: &Binding,
    place: &str,
    at: Where<'_>,
    vocabulary: &Vocabulary,
    path_of: impl Fn(ScopeIx) -> &'d str,
) -> bool {
    match (&binding.place, at) {
        (Place::Scope(ix), _) => covers(path_of(*ix), place),
        (Place::Resource(own), Where::Resource(kind, id)) => {
            own.id == id && vocabulary.kind_by_wire(kind) == Some(own.kind)
        }
        _ => false,
    }
}

/// Whether the caller is a member of a group, until then or longer: then he holds all that it gives.
pub fn group(org: &OrgState, caller: &Caller, group: &str, until: i64) -> bool {
    let directory = &org.own.directory;
    let Some(ix) = directory.group(group) else { return false };
    let Some(account) = unbounded(&org.own, caller, until) else { return false };
    let everywhere = caller.key.scope.as_deref() == Some(org.id.as_str())
        && account.home.is_some_and(|home| directory.scopes[home.index()].entity.id == org.id);
    everywhere && account.groups().any(|(g, ends)| g == ix && ends >= until)
}

/// Whether the caller is this account, or in this group.
pub fn is(org: &OrgState, caller: &Caller, kind: &str, id: &str) -> bool {
    match kind {
        "group" => group(org, caller, id, i64::MAX),
        _ => caller.account.as_ref().is_some_and(|a| a.kind.wire() == kind && a.id == id),
    }
}
