//! Closes a directory that [`super::Builder`] has gathered: parents found, ancestry written out, cycles refused.
//!
//! In:    sections as they were added.
//! Out:   every ancestor of a scope, every group of a group, every resource's place, and the lists the other way
//!        round; or errors.
//! Law:   each step is linear in its section and in what it writes, but for sorting.

use super::checks::{Checks, DataError, DataErrorKind, Item, too_deep, unknown};
use super::crowd::Crowd;
use super::edit::{Count, longest};
use super::records::Membership;
use super::{AccountIx, Directory, GroupIx, ResourceIx, ScopeIx, Until};
use crate::check::program::Vocabulary;
use crate::limits::{ANCESTRY_DEPTH_MAX, DIAGNOSTICS_MAX};
use smol_str::SmolStr;

/// Finds the parents of scopes and closes ancestry.
pub(super) fn close_scopes(vocabulary: &Vocabulary, made: &mut Directory, errors: &mut Vec<DataError>) {
    let mut parents = Vec::with_capacity(made.scopes.len());
    for (n, scope) in made.scopes.iter().enumerate() {
        if errors.len() >= DIAGNOSTICS_MAX {
            return;
        }
        let kind = vocabulary.kind(scope.entity.kind);
        match (Checks { vocabulary, made }).scope_parent(kind, &scope.entity.id) {
            Ok(parent) => parents.push(parent),
            Err(error) => errors.push(error.about(Item::Scope(n))),
        }
    }
    if !errors.is_empty() {
        return;
    }
    let mut order: Vec<usize> = (0..parents.len()).collect();
    order.sort_by_key(|n| made.scopes[*n].entity.id.bytes().filter(|b| *b == b'/').count());
    for n in order {
        made.close_scope(ScopeIx(n as u32), parents[n]);
    }
}

/// Closes which groups are in which.
pub(super) fn close_groups(
    made: &mut Directory,
    pending: Vec<(GroupIx, SmolStr, Until)>,
    errors: &mut Vec<DataError>,
) {
    let mut above: Vec<Vec<(GroupIx, Until)>> = vec![Vec::new(); made.groups.len()];
    for (group, within, until) in pending {
        if errors.len() >= DIAGNOSTICS_MAX {
            return;
        }
        match made.group(&within) {
            Some(parent) => above[group.index()].push((parent, until)),
            None => {
                let known = made.groups.iter().map(|g| g.id.as_str());
                let error = unknown("in", format!("no group `{within}`"), &within, known);
                errors.push(error.about(Item::Group(group.index())));
            }
        }
    }
    let mut below = Vec::new();
    for (n, above) in above.into_iter().enumerate() {
        let mut above = above;
        longest(&mut above);
        below.extend(above.iter().map(|(parent, _)| (parent.0, n as u32)));
        if let Some(group) = made.groups.get_mut(n) {
            group.above = above.into();
            group.bindings.shrink();
        }
    }
    for (parent, all) in grouped(&mut below) {
        if let Some(group) = made.groups.get_mut(parent as usize) {
            group.below = all;
        }
    }
    // Depth first without recursion: 0 not met, 1 on the path, 2 closed.
    let mut state = vec![0u8; made.groups.len()];
    for root in 0..state.len() {
        let mut path: Vec<(usize, usize)> = vec![(root, 0)];
        while let Some((group, next)) = path.pop() {
            if next == 0 && state[group] == 2 {
                continue;
            }
            state[group] = 1;
            let Some((parent, _)) = made.groups[group].above.get(next).copied() else {
                state[group] = 2;
                errors.extend(made.close_group(GroupIx(group as u32)).err());
                continue;
            };
            if state[parent.index()] == 1 {
                let message = format!("group `{}` is in itself", made.groups[parent.index()].id);
                let error = DataError::new(DataErrorKind::Cycle, "in", message);
                errors.push(error.about(Item::Group(parent.index())));
                made.unnest(GroupIx(group as u32), parent);
                path.push((group, next));
            } else {
                path.push((group, next + 1));
                if state[parent.index()] == 0 {
                    path.push((parent.index(), 0));
                }
            }
        }
    }
}

/// Writes memberships down at the accounts and at the groups; of several in one group the longest counts.
pub(super) fn close_members(made: &mut Directory, mut members: Vec<(AccountIx, GroupIx, Until)>) {
    members.sort_unstable_by_key(|(account, group, until)| (*account, *group, std::cmp::Reverse(*until)));
    members.dedup_by_key(|(account, group, _)| (*account, *group));
    for of_one in members.chunk_by(|(a, ..), (b, ..)| a == b) {
        if let Some(account) = made.accounts.get_mut(of_one[0].0.index()) {
            account.direct = of_one.iter().map(|(_, group, until)| Membership::new(*group, *until)).collect();
        }
    }
    let mut members: Vec<(u32, u32)> = members.into_iter().map(|(a, g, _)| (g.0, a.0)).collect();
    for (group, all) in grouped(&mut members) {
        if let Some(group) = made.groups.get_mut(group as usize) {
            group.members = all;
        }
    }
    for account in 0..made.accounts.slots() {
        if let Some(account) = made.accounts.get_mut(account) {
            account.bindings.shrink();
        }
    }
}

/// Of pairs of a number and one of its crowd: the crowds.
fn grouped(pairs: &mut [(u32, u32)]) -> impl Iterator<Item = (u32, Crowd)> {
    pairs.sort_unstable();
    pairs.chunk_by(|(a, _), (b, _)| a == b).map(|all| (all[0].0, Crowd::sorted(all.iter().map(|(_, n)| *n))))
}

/// Checks the parents of stored resources and gives each the scope it is placed in.
pub(super) fn close_resources(vocabulary: &Vocabulary, made: &mut Directory, errors: &mut Vec<DataError>) {
    let mut depth = vec![0usize; made.resources.len()]; // 0: not placed yet
    let mut on_path = vec![false; made.resources.len()];
    let mut path = Vec::new();
    for n in 0..made.resources.len() {
        if errors.len() >= DIAGNOSTICS_MAX {
            return;
        }
        let mut at = n;
        loop {
            if depth[at] > 0 {
                break;
            }
            if on_path[at] {
                let r = &made.resources[at];
                let message =
                    format!("{} `{}` sits in itself", vocabulary.kind(r.entity.kind).wire, r.entity.id);
                errors.push(DataError::new(DataErrorKind::Cycle, "in", message).about(Item::Resource(at)));
                break;
            }
            on_path[at] = true;
            path.push(at);
            match made.resources[at].parent.as_ref().and_then(|p| made.resource(p)) {
                Some(parent) => at = parent.index(),
                None => break,
            }
        }
        while let Some(at) = path.pop() {
            on_path[at] = false;
            place_resource(vocabulary, made, &mut depth, at, errors);
        }
    }
    let mut children = Vec::new();
    for n in 0..made.resources.slots() {
        let Some(resource) = made.resources.get(n) else { continue };
        let scope = resource.scope;
        let parent = resource.parent.as_ref().and_then(|p| made.resource(p));
        children.extend(parent.map(|parent| (parent.0, n as u32)));
        made.tally(scope, |tally| Count::Up.on(&mut tally.resources));
    }
    for (parent, all) in grouped(&mut children) {
        if let Some(resource) = made.resources.get_mut(parent as usize) {
            resource.children = all;
        }
    }
}

/// Gives one resource its depth and place; its parent has been placed.
fn place_resource(
    vocabulary: &Vocabulary,
    made: &mut Directory,
    depth: &mut [usize],
    at: usize,
    errors: &mut Vec<DataError>,
) {
    depth[at] = 1;
    let checks = Checks { vocabulary, made };
    let resource = &made.resources[at];
    let Some(parent) = resource.parent.as_ref() else { return };
    let parent_scope = match made.resource(parent) {
        Some(ResourceIx(ix)) => {
            depth[at] = 1 + depth[ix as usize];
            if depth[at] == ANCESTRY_DEPTH_MAX + 1 {
                errors.push(too_deep("in", &checks.show(&resource.entity)).about(Item::Resource(at)));
            }
            made.resources[ix as usize].scope
        }
        None => {
            errors.push(checks.no_parent(parent, &resource.entity).about(Item::Resource(at)));
            None
        }
    };
    match checks.resource_place(&resource.entity, resource.scope, parent_scope) {
        Ok(scope) => {
            if let Some(resource) = made.resources.get_mut(at) {
                resource.scope = scope;
            }
        }
        Err(error) => errors.push(error.about(Item::Resource(at))),
    }
}
