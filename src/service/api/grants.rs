//! Bindings, boundary attachments and acting-for links: the edges that carry rights, or bound them.
//!
//! In:    who holds which role where; which boundary is on what; which agent acts for whom.
//! Out:   those objects, with who granted them and why.
//! Law:   whoever binds a role holds it there himself, unbounded and as long, or may grant exactly that role there. A
//!        link needs the consent of whoever it acts for; without it nothing is linked.

use super::groups::granted_by;
use super::{Input, Op, at, conditional, name_found, on, op, place, set, unchanged};
use crate::service::change::{Change, Reply};
use crate::service::fields::{Field, Ty, may, must};
use crate::service::guard::{On, Permit};
use crate::service::holding::{self, Where};
use crate::service::object::{Fields, Kind, Object};
use crate::service::problem::Problem;
use serde_json::json;

const HOLDERS: &[Kind] = &[Kind::User, Kind::ServiceAccount, Kind::Agent, Kind::Group];
const BEHIND: &[Kind] = &[Kind::User, Kind::ServiceAccount, Kind::Agent, Kind::Group];
const THINGS: &[Kind] =
    &[Kind::User, Kind::ServiceAccount, Kind::Agent, Kind::Organization, Kind::Project, Kind::Environment];
const UNTIL: Field = may("until", Ty::Time, "when it ends");
const REASON: Field = may("reason", Ty::Text(1024), "why");
const BOUNDARIES: Field = may("boundaries", Ty::Names, "boundaries on what comes of it");

pub const OPS: &[Op] = &[
    op(
        "POST",
        "bindings",
        "",
        "Lets an account, a group or everyone of a kind hold a role at a place or on a resource",
        &[
            may("holder", Ty::Ref(HOLDERS), "who holds it"),
            may("everyone", Ty::Word(&["user", "service_account", "agent"]), "or everyone of this kind"),
            must("role", Ty::Text(256), "the role, by its wire name"),
            may("scope", Ty::Place, "at this place and below"),
            may("resource", Ty::ResourceRef, "or on this registered resource"),
            BOUNDARIES,
            UNTIL,
            REASON,
        ],
        bind,
    ),
    conditional(op("DELETE", "bindings", "{id}", "Takes a role back", &[], unbind)),
    op(
        "POST",
        "attachments",
        "",
        "Attaches a boundary to an account or a place",
        &[
            must("boundary", Ty::Text(256), "the boundary"),
            must("to", Ty::Ref(THINGS), "what it bounds"),
            REASON,
        ],
        attach,
    ),
    conditional(op("DELETE", "attachments", "{id}", "Detaches a boundary", &[], detach)),
    op(
        "POST",
        "links",
        "",
        "Lets an agent act for somebody; in force with the consent of whoever that is",
        &[
            must("agent", Ty::Id, "the agent"),
            must("for", Ty::Ref(BEHIND), "whom it acts for; of a group, any member"),
            BOUNDARIES,
            UNTIL,
            REASON,
        ],
        link,
    ),
    op("POST", "links", "{id}/consent", "Consents to be acted for", &[], consent),
    conditional(op("DELETE", "links", "{id}", "Ends an agent's acting for somebody", &[], unlink)),
];

fn known_boundaries(change: &Change<'_>, names: &[String]) -> Result<(), Problem> {
    let org = change.org()?;
    let known = &org.own.set.vocabulary().boundaries;
    match names.iter().find(|n| !known.iter().any(|b| b == n.as_str())) {
        None => Ok(()),
        Some(name) => {
            let near = crate::nearest(name, known.iter().map(|b| b.as_str()));
            let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            Err(Problem::field("boundaries", format!("the active policy set has no boundary `{name}`{near}")))
        }
    }
}

fn bind(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let resource = input.fields.get("resource").filter(|r| !r.is_null());
    let (place, at_resource) = match (input.text("scope"), resource) {
        (Some(path), None) => (place(change, Some(path))?, None),
        (None, Some(resource)) => {
            let part = |f: &str| resource[f].as_str().unwrap_or_default().to_owned();
            let name = format!("{}/{}", part("kind"), part("id"));
            let found = change.find(Kind::Resource, &name)?;
            (place(change, Some(&found.scope.clone()))?, Some((part("kind"), part("id"), found.uid)))
        }
        _ => return Err(Problem::field("scope", "give one of `scope` and `resource`")),
    };
    let permit = change.permit("bind", at(&place))?;
    let role = input.must("role")?;
    let (org, caller) = (change.org()?, change.caller()?);
    let roles = &org.own.set.vocabulary().roles;
    if !roles.iter().any(|r| r.wire == role) {
        let near = crate::nearest(role, roles.iter().map(|r| r.wire.as_str()));
        let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        return Err(Problem::field("role", format!("the active policy set has no such role{near}")));
    }
    known_boundaries(change, &input.names("boundaries"))?;
    let until = input.time("until").unwrap_or(i64::MAX);
    let held_at = match &at_resource {
        Some((kind, id, _)) => Where::Resource(kind, id),
        None => Where::Place(&place.name),
    };
    let everyone = input.text("everyone").and_then(Kind::of_wire);
    let to =
        holding::receivers(everyone.or(input.reference("holder").map(|(k, _)| k)).unwrap_or(Kind::Group));
    if !holding::role(&org, &caller, role, held_at, until, to) {
        change.permit("grant", On::Role(role, &place.name))?;
    }
    let mut refs = vec![("scope".to_owned(), place.uid.clone())];
    refs.extend(at_resource.map(|(_, _, uid)| ("resource".to_owned(), uid)));
    let holder = match (input.reference("holder"), input.text("everyone")) {
        (Some((kind, id)), None) => Some(change.seen(kind, id)?),
        (None, Some(_)) => None,
        _ => return Err(Problem::field("holder", "give one of `holder` and `everyone`")),
    };
    refs.extend(holder.iter().map(|h| ("holder".to_owned(), h.uid.clone())));
    let mut body = Fields::new();
    set(&mut body, input, &["holder", "everyone", "role", "resource", "boundaries", "until", "reason"]);
    body.insert("scope".into(), place.name.as_str().into());
    body.insert("granted_by".into(), granted_by(change));
    if let Some(holder) = &holder {
        name_found(&mut body, "holder", holder);
    }
    let mut binding = change.object(Kind::Binding, "", &place.name, body);
    binding.name.clone_from(&binding.uid);
    binding.refs = refs;
    change.create(&permit, binding)
}

fn unbind(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let binding = change.find(Kind::Binding, &input.id)?;
    let place = place(change, Some(&binding.scope.clone()))?;
    let permit = change.permit("unbind", at(&place))?;
    gone(change, input, &permit, binding)
}

fn gone(change: &mut Change<'_>, input: &Input, permit: &Permit, object: Object) -> Result<Reply, Problem> {
    unchanged(&object, input)?;
    let uid = object.uid.clone();
    change.delete(permit, object)?;
    Ok(Reply::ok(json!({ "uid": uid, "deleted": true })))
}

fn thing(change: &mut Change<'_>, input: &Input, field: &str) -> Result<Object, Problem> {
    let (kind, id) = input.reference(field).ok_or_else(|| Problem::field(field, "missing"))?;
    change.find(kind, id)
}

fn attach(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let to = thing(change, input, "to")?;
    let permit = change.permit("attach", on(&to))?;
    if to.kind == Kind::Organization {
        // Whoever bounds everyone decides about everyone.
        change.permit("activate", on(&to))?;
    }
    let boundary = input.must("boundary")?.to_owned();
    known_boundaries(change, std::slice::from_ref(&boundary))?;
    let mut body = Fields::new();
    set(&mut body, input, &["boundary", "reason"]);
    name_found(&mut body, "to", &to);
    body.insert("granted_by".into(), granted_by(change));
    let name = format!("{}|{boundary}", to.uid);
    let mut attachment = change.object(Kind::Attachment, &name, &to.scope, body);
    attachment.refs = vec![("to".into(), to.uid)];
    change.create(&permit, attachment)
}

fn detach(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let attachment = change.find(Kind::Attachment, &input.id)?;
    let org = change.org.clone();
    let uid = attachment.refers("to").unwrap_or_default().to_owned();
    let to = change.tx.object(&org, &uid)?.ok_or_else(Problem::absent)?;
    let permit = change.permit("detach", on(&to))?;
    change.permit("grant", on(&to))?;
    gone(change, input, &permit, attachment)
}

fn link(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let agent = change.find(Kind::Agent, input.must("agent")?)?;
    let permit = change.permit("link", on(&agent))?;
    let (kind, id) = input.reference("for").ok_or_else(|| Problem::field("for", "missing"))?;
    let behind = change.seen(kind, id)?;
    if behind.uid == agent.uid {
        return Err(Problem::field("for", "an agent does not act for itself"));
    }
    known_boundaries(change, &input.names("boundaries"))?;
    let mut body = Fields::new();
    set(&mut body, input, &["boundaries", "until", "reason"]);
    body.insert("agent".into(), agent.name.as_str().into());
    name_found(&mut body, "for", &behind);
    body.insert("granted_by".into(), granted_by(change));
    if consents(change, &behind) {
        body.insert("consented_by".into(), granted_by(change));
    }
    let name = format!("{}|{}", agent.uid, behind.uid);
    let mut link = change.object(Kind::Link, &name, &agent.scope, body);
    link.refs = vec![("agent".into(), agent.uid), ("for".into(), behind.uid)];
    change.create(&permit, link)
}

/// Whether the caller can say yes for whoever would be acted for: what bounds its own credential, an agent is not
/// bounded by.
fn consents(change: &Change<'_>, behind: &Object) -> bool {
    let whole = change.caller.as_ref().is_some_and(holding::whole);
    change.may("consent", on(behind)) && (whole || change.may("grant", on(behind)))
}

fn consent(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let mut link = change.find(Kind::Link, &input.id)?;
    let org = change.org.clone();
    let uid = link.refers("for").unwrap_or_default().to_owned();
    let behind = change.tx.object(&org, &uid)?.ok_or_else(Problem::absent)?;
    let permit = change.permit("consent", on(&behind))?;
    if !holding::whole(&change.caller()?) {
        change.permit("grant", on(&behind))?;
    }
    link.body.insert("consented_by".into(), granted_by(change));
    Ok(Reply::ok(change.put(&permit, link)?.show()))
}

fn unlink(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let link = change.find(Kind::Link, &input.id)?;
    let org = change.org.clone();
    let uid_of = |label: &str| link.refers(label).unwrap_or_default().to_owned();
    let behind = change.tx.object(&org, &uid_of("for"))?.ok_or_else(Problem::absent)?;
    let agent = change.tx.object(&org, &uid_of("agent"))?.ok_or_else(Problem::absent)?;
    // Either side can end it.
    let permit = match change.permit("consent", on(&behind)) {
        Ok(permit) => permit,
        Err(_) => change.permit("unlink", on(&agent))?,
    };
    gone(change, input, &permit, link)
}
