//! Taking away is giving, too, where rules go by what is there: what a deny, an `unless` or a stored value rests on.
//!
//! In:    an object that is about to be deleted, alone or with what it belongs to.
//! Out:   nothing, if no rule could say more without it; else the right `grant` is asked for, or it is refused.
//! Law:   it makes no difference whether something goes by itself or because its place, group or account goes.

use super::change::Change;
use super::guard::On;
use super::memory::OrgState;
use super::object::{Kind, Object};
use super::problem::Problem;

/// Asks for what deleting this object takes beside the right to delete.
pub fn may_go(change: &mut Change<'_>, object: &Object) -> Result<(), Problem> {
    match object.kind {
        Kind::Binding => binding(change, object),
        Kind::Membership => {
            let uid = object.refers("group").unwrap_or_default().to_owned();
            let org = change.org.clone();
            match change.tx.object(&org, &uid)? {
                Some(group) => members(change, &group.name),
                None => Ok(()),
            }
        }
        Kind::Group => not_named(change, object)
            .and_then(|()| members(change, &object.name))
            .and_then(|()| named_by_values(change, object)),
        Kind::Resource => grant_at(change, &object.scope),
        kind if kind.is_scope() || kind.is_account() => {
            not_named(change, object).and_then(|()| named_by_values(change, object))
        }
        _ => Ok(()),
    }
}

fn grant_at(change: &mut Change<'_>, path: &str) -> Result<(), Problem> {
    change.permit("grant", On::Scope(super::object::place_kind(path).wire(), path)).map(|_| ())
}

/// Whether a rule asks for this role, or for one that it includes: without it the rule says something else.
fn is_read(org: &OrgState, vocabulary: &crate::Vocabulary, role: usize) -> bool {
    let name = |id: &crate::RoleId| vocabulary.roles[id.0 as usize].name.to_string();
    vocabulary.roles[role].includes.iter().any(|id| org.named.contains(&("has role".to_owned(), name(id))))
}

fn binding(change: &mut Change<'_>, binding: &Object) -> Result<(), Problem> {
    let org = change.org()?;
    let role = binding.text("role").unwrap_or_default();
    let vocabulary = org.own.set.vocabulary();
    match vocabulary.roles.iter().position(|r| r.wire == role) {
        Some(at) if is_read(&org, vocabulary, at) => {
            change.permit("grant", On::Role(role, &binding.scope)).map(|_| ())
        }
        _ => Ok(()),
    }
}

/// What goes by a group, or by one that it is in, may be a denial: because a rule names it, because it holds a role that
/// a rule asks for, or because a stored attribute names it.
fn members(change: &mut Change<'_>, group: &str) -> Result<(), Problem> {
    let state = change.org()?;
    let org = change.org.clone();
    let directory = &state.own.directory;
    let vocabulary = state.own.set.vocabulary();
    let within = directory.group(group).map(|ix| &directory.groups[ix.index()].within);
    for (ix, _) in within.into_iter().flat_map(|w| w.iter()) {
        let found = &directory.groups[ix.index()];
        let by_role = found.bindings.iter().any(|b| is_read(&state, vocabulary, b.role.0 as usize));
        let by_rule = by_role || state.named.contains(&("group".to_owned(), found.id.to_string()));
        if by_rule || in_attributes(change, &org, &found.id)? {
            change.permit("grant", On::Group(&found.id))?;
        }
    }
    Ok(())
}

fn in_attributes(change: &mut Change<'_>, org: &str, group: &str) -> Result<bool, Problem> {
    let Some(found) = change.tx.named(org, Kind::Group, group)? else { return Ok(false) };
    Ok(change.tx.referring(org, &found.uid)?.iter().any(|o| names(o, &found.uid, false)))
}

/// Whether a value of an object names this uid; an owner is one where rules go by it.
fn names(object: &Object, uid: &str, owner: bool) -> bool {
    object
        .refs
        .iter()
        .any(|(label, to)| to == uid && (label.starts_with("attributes") || (owner && label == "owner")))
}

/// What a value names is known while it is there: a rule may ask whether it is.
fn named_by_values(change: &mut Change<'_>, object: &Object) -> Result<(), Problem> {
    let org = change.org.clone();
    let Some(state) = change.state.clone() else { return Ok(()) };
    let owner = state.own.set.reads_of_accounts("owner", "policyd_owners");
    if change.tx.referring(&org, &object.uid)?.iter().any(|o| names(o, &object.uid, owner)) {
        let on = match object.kind {
            Kind::Group => On::Group(&object.name),
            kind if kind.is_scope() => On::Scope(kind.wire(), &object.name),
            kind => On::Account(kind.wire(), &object.name),
        };
        change.permit("grant", on)?;
    }
    Ok(())
}

/// What an active rule names can't be deleted.
fn not_named(change: &Change<'_>, object: &Object) -> Result<(), Problem> {
    let Some(org) = &change.state else { return Ok(()) };
    if org.named.contains(&(object.kind.wire().to_owned(), object.name.clone())) {
        let what = format!("{} \"{}\"", object.kind.wire(), object.name);
        return Err(Problem::conflict(format!(
            "the active policy set names {what}: activate a set that doesn't, then delete it"
        )));
    }
    Ok(())
}
