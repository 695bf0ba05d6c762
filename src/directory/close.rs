//! Closes a directory that [`super::Builder`] has gathered: parents found, ancestry written out, cycles refused.
//!
//! In:    sections as they were added.
//! Out:   parents before children; every ancestor of a scope, every group of a group and account, every resource's
//!        place; or errors.
//! Law:   each step is linear in its section and in what it writes.

use super::builder::{DataError, DataErrorKind, Item, contradiction, too_deep, unknown};
use super::{Directory, FOREVER, GroupIx, Place, Scope, ScopeIx, Until};
use crate::check::program::Vocabulary;
use crate::limits::{ANCESTRY_DEPTH_MAX, DIAGNOSTICS_MAX};
use smol_str::SmolStr;

/// Finds the parents of scopes, puts parents before children, closes ancestry.
pub(super) fn close_scopes(vocabulary: &Vocabulary, made: &mut Directory, errors: &mut Vec<DataError>) {
    for (n, scope) in made.scopes.iter().enumerate() {
        if errors.len() >= DIAGNOSTICS_MAX {
            return;
        }
        let (kind, path) = (vocabulary.kind(scope.entity.kind), scope.entity.id.as_str());
        let Some((above, _)) = path.rsplit_once('/') else {
            if !kind.parents.is_empty() && !kind.parent_optional {
                let listed = kind.parents.iter().map(|k| format!("`{}`", vocabulary.kind(*k).wire));
                let listed = listed.collect::<Vec<_>>().join(" or ");
                let message =
                    format!("{} `{path}` stands at the root, but its kind sits in {listed}", kind.wire);
                let help = format!("a scope's id is its path, such as `root/{path}`");
                errors.push(contradiction("id", message).help(help).about(Item::Scope(n)));
            }
            continue;
        };
        let error = match made.scope(above).map(|ix| made.scopes[ix.index()].entity.kind) {
            None => unknown(
                "id",
                format!("no scope `{above}` for `{path}` to sit in"),
                above,
                made.scopes.iter().map(|s| s.entity.id.as_str()),
            ),
            Some(parent) if kind.parents.contains(&parent) => continue,
            Some(parent) => {
                let message = format!(
                    "{} `{path}` cannot sit in {} `{above}`",
                    kind.wire,
                    vocabulary.kind(parent).wire
                );
                contradiction("id", message)
            }
        };
        errors.push(error.about(Item::Scope(n)));
    }
    if !errors.is_empty() {
        return;
    }
    sort_scopes(made);
    for n in 0..made.scopes.len() {
        let mut ancestors = vec![ScopeIx(n as u32)];
        let above = made.scopes[n].entity.id.rsplit_once('/').and_then(|(above, _)| made.scope(above));
        if let Some(above) = above {
            ancestors.extend_from_slice(&made.scopes[above.index()].ancestors);
        }
        made.scopes[n].ancestors = ancestors;
    }
}

/// Puts parents before children, if they don't stand so, and renumbers what names scopes.
fn sort_scopes(made: &mut Directory) {
    let depth = |s: &Scope| s.entity.id.bytes().filter(|b| *b == b'/').count();
    if made.scopes.is_sorted_by_key(depth) {
        return;
    }
    let mut order: Vec<usize> = (0..made.scopes.len()).collect();
    order.sort_by_key(|n| depth(&made.scopes[*n]));
    let mut now_at = vec![ScopeIx(0); order.len()];
    for (new, old) in order.iter().enumerate() {
        now_at[*old] = ScopeIx(new as u32);
    }
    let mut old: Vec<Option<Scope>> = std::mem::take(&mut made.scopes).into_iter().map(Some).collect();
    made.scopes = order.iter().filter_map(|n| old[*n].take()).collect();
    let moved = |ix: &mut ScopeIx| *ix = now_at[ix.index()];
    made.scope_index.values_mut().for_each(moved);
    made.accounts.iter_mut().filter_map(|a| a.home.as_mut()).for_each(moved);
    made.groups.iter_mut().filter_map(|g| g.scope.as_mut()).for_each(moved);
    made.resources.iter_mut().filter_map(|r| r.scope.as_mut()).for_each(moved);
    let bindings = (made.accounts.iter_mut().flat_map(|a| &mut a.bindings))
        .chain(made.groups.iter_mut().flat_map(|g| &mut g.bindings))
        .chain(made.kind_bindings.iter_mut().map(|(_, b)| b));
    for binding in bindings {
        if let Place::Scope(ix) = &mut binding.place {
            moved(ix);
        }
    }
}

/// Sorts memberships; of one group the longest counts.
fn longest(memberships: &mut Vec<(GroupIx, Until)>) {
    memberships.sort_unstable_by_key(|(group, until)| (*group, std::cmp::Reverse(*until)));
    memberships.dedup_by_key(|(group, _)| *group);
    memberships.shrink_to_fit();
}

/// Closes which groups are in which, and which accounts are in which.
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
    // Depth first without recursion: 0 not met, 1 on the path, 2 closed.
    let mut state = vec![0u8; above.len()];
    let mut depth = vec![0usize; above.len()];
    for root in 0..above.len() {
        let mut path: Vec<(usize, usize)> = vec![(root, 0)];
        while let Some((group, next)) = path.pop() {
            if next == 0 && state[group] == 2 {
                continue;
            }
            state[group] = 1;
            if let Some((parent, _)) = above[group].get(next).copied() {
                if state[parent.index()] == 1 {
                    let message = format!("group `{}` is in itself", made.groups[parent.index()].id);
                    errors.push(
                        DataError::new(DataErrorKind::Cycle, "in", message)
                            .about(Item::Group(parent.index())),
                    );
                    above[group].remove(next);
                    path.push((group, next));
                } else {
                    path.push((group, next + 1));
                    if state[parent.index()] == 0 {
                        path.push((parent.index(), 0));
                    }
                }
                continue;
            }
            state[group] = 2;
            depth[group] = 1 + above[group].iter().map(|(p, _)| depth[p.index()]).max().unwrap_or(0);
            if depth[group] == ANCESTRY_DEPTH_MAX + 1 {
                let what = format!("group `{}`", made.groups[group].id);
                errors.push(too_deep("in", &what).about(Item::Group(group)));
            }
            let mut within = vec![(GroupIx(group as u32), FOREVER)];
            for (parent, until) in &above[group] {
                within.extend(made.groups[parent.index()].within.iter().map(|(g, u)| (*g, *u.min(until))));
            }
            longest(&mut within);
            made.groups[group].within = within;
        }
    }
    let Directory { accounts, groups, .. } = made;
    for account in accounts {
        if !account.groups.is_empty() {
            let direct = std::mem::take(&mut account.groups);
            let all = direct
                .iter()
                .flat_map(|(g, until)| groups[g.index()].within.iter().map(|(a, u)| (*a, *u.min(until))));
            account.groups = all.collect();
            longest(&mut account.groups);
        }
        account.bindings.shrink_to_fit();
        account.links.shrink_to_fit();
    }
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
    let Some(parent) = made.resources[at].parent.clone() else { return };
    let what = || {
        let e = &made.resources[at].entity;
        format!("{} `{}`", vocabulary.kind(e.kind).wire, e.id)
    };
    let parent_scope = if let Some(ix) = made.resource(&parent) {
        depth[at] = 1 + depth[ix.index()];
        if depth[at] == ANCESTRY_DEPTH_MAX + 1 {
            errors.push(too_deep("in", &what()).about(Item::Resource(at)));
        }
        made.resources[ix.index()].scope
    } else if made.holds(vocabulary, &parent) {
        made.scope_of(&parent)
    } else {
        let wire = &vocabulary.kind(parent.kind).wire;
        let same =
            made.resources.iter().filter(|r| r.entity.kind == parent.kind).map(|r| r.entity.id.as_str());
        let message = format!("no {wire} `{}` for {} to sit in", parent.id, what());
        errors.push(unknown("in", message, &parent.id, same).about(Item::Resource(at)));
        None
    };
    match (made.resources[at].scope, parent_scope) {
        (None, inherited) => made.resources[at].scope = inherited,
        (Some(own), Some(above))
            if !made.scopes[own.index()].ancestors.is_empty() && !made.scope_covers(above, own) =>
        {
            let (own, above) = (&made.scopes[own.index()].entity.id, &made.scopes[above.index()].entity.id);
            let message =
                format!("{} is placed in `{own}`, but what it sits in is placed in `{above}`", what());
            let error = contradiction("scope", message)
                .help(format!("leave `scope` out, or name `{above}` or a scope below it"));
            errors.push(error.about(Item::Resource(at)));
        }
        _ => {}
    }
}
