//! Groups, and who is in them.
//!
//! In:    a group's id and place; an account or group that joins it, perhaps until a time.
//! Out:   groups, memberships.
//! Law:   joining gives all that the group has, whether by binding or by a rule that names it: only a member, or who may
//!        grant on that group, lets others in. Into a group that an agent acts for nobody is put without his consent.

use super::{
    Input, Op, at, conditional, had_by_another, name_found, named_by_rules, on, op, place, set, unchanged,
};
use crate::Place;
use crate::service::change::{Change, Reply};
use crate::service::fields::{Ty, may, must};
use crate::service::guard::On;
use crate::service::holding::{self, Where};
use crate::service::object::{Fields, Kind};
use crate::service::problem::Problem;

const MEMBERS: &[Kind] = &[Kind::User, Kind::ServiceAccount, Kind::Agent, Kind::Group];

pub const OPS: &[Op] = &[
    op(
        "POST",
        "groups",
        "",
        "Creates a group",
        &[
            must("id", Ty::Id, "its id"),
            may("scope", Ty::Place, "where it stands; the organization if left out"),
            may("title", Ty::Text(256), "what people call it"),
        ],
        create,
    ),
    conditional(op(
        "PATCH",
        "groups",
        "{id}",
        "Changes a group",
        &[may("title", Ty::Text(256), "what people call it")],
        patch,
    )),
    conditional(op("DELETE", "groups", "{id}", "Deletes a group", &[], delete)),
    op(
        "POST",
        "memberships",
        "",
        "Puts an account or a group into a group",
        &[
            must("group", Ty::Id, "the group"),
            must("member", Ty::Ref(MEMBERS), "who joins"),
            may("until", Ty::Time, "when it ends"),
            may("reason", Ty::Text(1024), "why"),
        ],
        join,
    ),
    conditional(op("DELETE", "memberships", "{id}", "Takes a member out of a group", &[], leave)),
];

fn create(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let place = place(change, input.text("scope"))?;
    let permit = change.permit("create_group", at(&place))?;
    let id = input.must("id")?;
    named_by_rules(change, "group", id, &place)?;
    had_by_another(change, Kind::Group, id, &place)?;
    let mut body = Fields::new();
    set(&mut body, input, &["id", "title"]);
    body.insert("scope".into(), place.name.as_str().into());
    let mut group = change.object(Kind::Group, id, &place.name, body);
    group.refs = vec![("scope".into(), place.uid)];
    change.create(&permit, group)
}

fn patch(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let mut group = change.find(Kind::Group, &input.id)?;
    let permit = change.permit("update", On::Group(&group.name))?;
    unchanged(&group, input)?;
    set(&mut group.body, input, &["title"]);
    Ok(Reply::ok(change.put(&permit, group)?.show()))
}

fn delete(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    super::remove(change, input, Kind::Group, "delete")
}

fn join(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let group = change.find(Kind::Group, input.must("group")?)?;
    let (kind, id) = input.reference("member").ok_or_else(|| Problem::field("member", "missing"))?;
    let permit = change.permit(if kind == Kind::Group { "nest" } else { "join" }, On::Group(&group.name))?;
    let member = change.seen(kind, id)?;
    if member.uid == group.uid {
        return Err(Problem::field("member", "a group is not in itself"));
    }
    let until = input.time("until").unwrap_or(i64::MAX);
    let (org, caller) = (change.org()?, change.caller()?);
    if !holding::group(&org, &caller, &group.name, until, holding::receivers(kind)) {
        change.permit("grant", On::Group(&group.name))?;
        roles_of(change, &group.name, until, holding::receivers(kind))?;
    }
    if acted_for(change, &group.name)? {
        // Whoever is in it can be acted for: that takes his consent.
        change.permit("consent", on(&member))?;
    }
    if kind == Kind::Group {
        no_cycle(change, &group.uid, &member.uid)?;
    }
    let mut body = Fields::new();
    set(&mut body, input, &["until", "reason"]);
    body.insert("group".into(), group.name.as_str().into());
    name_found(&mut body, "member", &member);
    body.insert("granted_by".into(), granted_by(change));
    let name = format!("{}|{}", group.uid, member.uid);
    let mut membership = change.object(Kind::Membership, &name, &group.scope, body);
    membership.refs = vec![("group".into(), group.uid.clone()), ("member".into(), member.uid)];
    change.create(&permit, membership)
}

/// To grant on a group is no right at the places where the group, or one that it is in, holds its roles: those are
/// held, or granted, one by one.
fn roles_of(change: &mut Change<'_>, group: &str, until: i64, to: &[Kind]) -> Result<(), Problem> {
    let (state, caller) = (change.org()?, change.caller()?);
    let directory = &state.own.directory;
    let roles = &state.own.set.vocabulary().roles;
    let Some(ix) = directory.group(group) else { return Ok(()) };
    let within = directory.groups[ix.index()].within.iter();
    for binding in within.flat_map(|(g, _)| directory.groups[g.index()].bindings.iter()) {
        let role = roles[binding.role.0 as usize].wire.as_str();
        let scope = match binding.place() {
            Place::Scope(ix) => Some(ix),
            Place::Resource(entity) => {
                directory.resource(entity).and_then(|ix| directory.resources[ix.index()].scope)
            }
            Place::Everywhere => None,
        };
        let path = scope.map_or(state.id.as_str(), |ix| directory.scopes[ix.index()].entity.id.as_str());
        if !holding::role(&state, &caller, role, Where::Place(path), until, to) {
            change.permit("grant", On::Role(role, path))?;
        }
    }
    Ok(())
}

/// Whether an agent may act for the members of a group, or of one that it is in.
fn acted_for(change: &mut Change<'_>, group: &str) -> Result<bool, Problem> {
    let state = change.org()?;
    let org = change.org.clone();
    let directory = &state.own.directory;
    let within = directory.group(group).map(|ix| &directory.groups[ix.index()].within);
    for (ix, _) in within.into_iter().flat_map(|w| w.iter()) {
        let found = change.find(Kind::Group, &directory.groups[ix.index()].id)?;
        if change.tx.referring(&org, &found.uid)?.iter().any(|o| o.kind == Kind::Link) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Who makes a grant, for those who read it later.
pub fn granted_by(change: &Change<'_>) -> serde_json::Value {
    let account = change.caller.as_ref().and_then(|c| c.account.as_ref());
    account.map_or(serde_json::Value::Null, |a| serde_json::json!({ "kind": a.kind.wire(), "id": a.id }))
}

/// Whether `inner` would come to contain itself.
fn no_cycle(change: &mut Change<'_>, outer: &str, inner: &str) -> Result<(), Problem> {
    let org = change.org.clone();
    let mut above = vec![outer.to_owned()];
    let mut seen = Vec::new();
    while let Some(uid) = above.pop() {
        if uid == inner {
            return Err(Problem::conflict("the group would be in itself, through others"));
        }
        if seen.contains(&uid) {
            continue;
        }
        for membership in change.tx.referring(&org, &uid)?.iter().filter(|m| m.kind == Kind::Membership) {
            if membership.refers("member") == Some(uid.as_str()) {
                above.extend(membership.refers("group").map(str::to_owned));
            }
        }
        seen.push(uid);
    }
    Ok(())
}

fn leave(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let membership = change.find(Kind::Membership, &input.id)?;
    let org = change.org.clone();
    let uid = membership.refers("group").unwrap_or_default().to_owned();
    let group = change.tx.object(&org, &uid)?.ok_or_else(Problem::absent)?;
    let permit = change.permit("leave", On::Group(&group.name))?;
    unchanged(&membership, input)?;
    change.delete(&permit, membership.clone())?;
    Ok(Reply::ok(serde_json::json!({ "uid": membership.uid, "deleted": true })))
}
