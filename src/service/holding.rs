//! Nobody grants what he doesn't hold: does the caller himself hold what he is about to give?
//!
//! In:    a caller, what would be given, until when.
//! Out:   yes only where it is certain; whoever gets no needs the right `grant` on exactly that.
//! Law:   a caller whose own right is bounded in any way (by its key, a boundary, somebody it acts for, an earlier end, a
//!        rule that treats him otherwise than those who would get it) does not hold what it would give without that.

use super::authn::Caller;
use super::memory::{Key, OrgState, Side};
use super::object::Kind;
use super::prelude::OURS;
use crate::{Account, Binding, Entity, KindId, Place, RoleId, ScopeIx, Vocabulary};

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

/// Whether nothing of a caller's credential bounds what its account may do.
pub fn whole(caller: &Caller) -> bool {
    let reaches = |home: &str| caller.key.scope.as_deref().is_some_and(|scope| covers(scope, home));
    let key = &caller.key;
    let free = key.boundaries.is_empty() && key.policy.is_none() && key.networks.is_empty();
    free && caller.account.as_ref().is_some_and(|account| reaches(&account.home))
}

/// Whether a key can do nothing that the caller's own can't: each of the ceilings of his is one of its, too.
pub fn no_wider(key: &Key, caller: &Caller) -> bool {
    let own = &caller.key;
    let scope = match (&own.scope, &key.scope) {
        (Some(own), Some(scope)) => covers(own, scope),
        _ => false,
    };
    let inside = |net: &crate::Cidr| {
        own.networks.iter().any(|own| own.prefix <= net.prefix && own.contains(net.network))
    };
    scope
        && own.boundaries.iter().all(|b| key.boundaries.contains(b))
        && (own.policy.is_none() || own.policy == key.policy)
        && (own.networks.is_empty() || (!key.networks.is_empty() && key.networks.iter().all(inside)))
        && (own.mfa || !key.mfa)
}

/// The kinds of accounts that get what is given to something of this kind.
pub fn receivers(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::User => &[Kind::User],
        Kind::ServiceAccount => &[Kind::ServiceAccount],
        Kind::Agent => &[Kind::Agent],
        // Whoever is in it, or will be.
        _ => &[Kind::User, Kind::ServiceAccount, Kind::Agent],
    }
}

fn kinds(vocabulary: &Vocabulary, to: &[Kind]) -> Option<Vec<KindId>> {
    to.iter().map(|kind| vocabulary.kind_by_wire(kind.wire())).collect()
}

/// Whether a place covers another: the same path, or above it.
pub fn covers(above: &str, below: &str) -> bool {
    below == above || below.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether the caller holds a role there, until then or longer, and it is worth no more to those who get it. A role of
/// ours is weighed by our own set, too: a role of the organization's that includes it gives nothing here.
pub fn role(org: &OrgState, caller: &Caller, role: &str, at: Where<'_>, until: i64, to: &[Kind]) -> bool {
    let guarded = !role.starts_with(OURS) || held(&org.guard, caller, role, at, until, to);
    guarded && held(&org.own, caller, role, at, until, to)
}

fn held(side: &Side, caller: &Caller, role: &str, at: Where<'_>, until: i64, to: &[Kind]) -> bool {
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
    let alike = || {
        let others = kinds(vocabulary, to);
        others.is_some_and(|others| {
            side.set.role_in_other_hands(directory, &account.entity, wanted, place, &others)
        })
    };
    reaches && account.bindings.iter().chain(through).chain(everyone).any(fits) && alike()
}

fn gives(vocabulary: &Vocabulary, binding: &Binding, wanted: RoleId, until: i64) -> bool {
    let includes = &vocabulary.roles[binding.role.0 as usize].includes;
    includes.contains(&wanted) && binding.boundaries().is_empty() && binding.until() >= until
}

fn there<'d>(
    binding: &Binding,
    place: &str,
    at: Where<'_>,
    vocabulary: &Vocabulary,
    path_of: impl Fn(ScopeIx) -> &'d str,
) -> bool {
    match (binding.place(), at) {
        (Place::Scope(ix), _) => covers(path_of(ix), place),
        (Place::Resource(own), Where::Resource(kind, id)) => {
            own.id == id && vocabulary.kind_by_wire(kind) == Some(own.kind)
        }
        _ => false,
    }
}

/// Whether the caller is a member of a group, until then or longer, and that is worth no more to those who join: then
/// he holds all that it gives.
pub fn group(org: &OrgState, caller: &Caller, group: &str, until: i64, to: &[Kind]) -> bool {
    let directory = &org.own.directory;
    let Some(ix) = directory.group(group) else { return false };
    let Some(account) = unbounded(&org.own, caller, until) else { return false };
    let everywhere = caller.key.scope.as_deref() == Some(org.id.as_str())
        && account.home.is_some_and(|home| directory.scopes[home.index()].entity.id == org.id);
    let alike = || {
        let others = kinds(org.own.set.vocabulary(), to);
        others.is_some_and(|others| {
            org.own.set.group_in_other_hands(directory, &account.entity, group, &others)
        })
    };
    everywhere && account.groups().any(|(g, ends)| g == ix && ends >= until) && alike()
}

/// Whether the caller could make himself the owner of an account without gaining by it: for ever and unbounded he runs
/// the directory where it lives, and no rule of the organization's goes by who owns an account.
pub fn may_own(org: &OrgState, caller: &Caller, owner: (Kind, &str), home: &str) -> bool {
    let own = caller.account.as_ref().is_some_and(|a| (a.kind, a.id.as_str()) == owner);
    own && whole(caller)
        && !org.own.set.reads_of_accounts("owner", "policyd_owners")
        && role(org, caller, "policyd/admin", Where::Place(home), i64::MAX, receivers(owner.0))
}

/// Whether the caller, with nothing that bounds him, is this account, or in this group.
pub fn is(org: &OrgState, caller: &Caller, kind: Kind, id: &str) -> bool {
    match kind {
        Kind::Group => group(org, caller, id, i64::MAX, &[]),
        _ => whole(caller) && caller.account.as_ref().is_some_and(|a| a.kind == kind && a.id == id),
    }
}
