//! The registry of resources: what an organization says of the things it acts on.
//!
//! In:    kind and id as the active policy set knows them, where they stand, what they sit in, their attributes.
//! Out:   stored resources: what is stored, requests can't talk down.
//! Law:   a resource has one place. Rules go by its attributes and by what it sits in, so setting those is an edge: only
//!        who may grant at its place does it. Saying nothing of a thing of which requests could say something is setting
//!        it, too: what is stored takes the place of what is supplied.

use super::{Input, Op, at, conditional, named_by_rules, op, place, set, set_attributes, unchanged};
use crate::service::change::{Change, Reply};
use crate::service::fields::{Ty, may, must};
use crate::service::object::{Fields, Kind};
use crate::service::problem::Problem;
use serde_json::json;

pub const OPS: &[Op] = &[
    op(
        "POST",
        "resources",
        "",
        "Registers a resource",
        &[
            must("kind", Ty::Text(256), "its kind, by its wire name"),
            must("id", Ty::OpaqueId, "its id"),
            must("scope", Ty::Place, "where it stands"),
            may("in", Ty::ResourceRef, "what it sits in"),
            may("attributes", Ty::Attributes, "its attributes"),
        ],
        register,
    ),
    conditional(op(
        "PATCH",
        "resources",
        "{id}",
        "Changes the attributes of a resource",
        &[must("attributes", Ty::Attributes, "its attributes, all of them")],
        patch,
    )),
    conditional(op("DELETE", "resources", "{id}", "Forgets a resource", &[], forget)),
];

fn register(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let place = place(change, input.text("scope"))?;
    let permit = change.permit("register", at(&place))?;
    let (kind, id) = (input.must("kind")?, input.must("id")?);
    let org = change.org()?;
    let vocabulary = org.own.set.vocabulary();
    let known =
        || vocabulary.kinds.iter().filter(|k| k.sort == crate::Sort::Resource).map(|k| k.wire.as_str());
    if !known().any(|k| k == kind) {
        let near =
            crate::nearest(kind, known()).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        return Err(Problem::field(
            "kind",
            format!("the active policy set has no such kind of resource{near}"),
        ));
    }
    named_by_rules(change, kind, id, &place)?;
    let supplied = vocabulary.kinds.iter().filter(|k| k.wire == kind).any(|k| {
        !k.parents.is_empty() || k.attributes.iter().any(|a| a.provenance != crate::Provenance::Stored)
    });
    if supplied || input.has("attributes") || input.has("in") {
        // What is stored of a thing is what rules go by.
        change.permit("grant", at(&place))?;
    }
    let mut body = Fields::new();
    set(&mut body, input, &["kind", "id", "in"]);
    body.insert("scope".into(), place.name.as_str().into());
    let mut resource = change.object(Kind::Resource, &format!("{kind}/{id}"), &place.name, body);
    resource.refs = vec![("scope".into(), place.uid)];
    set_attributes(change, &mut resource, input)?;
    if let Some((above, id)) = resource.reference("in") {
        let above = change.find(Kind::Resource, &format!("{above}/{id}"))?;
        resource.refs.push(("in".into(), above.uid));
    }
    change.create(&permit, resource)
}

fn patch(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let mut resource = change.find(Kind::Resource, &input.id)?;
    let place = place(change, Some(&resource.scope.clone()))?;
    let permit = change.permit("register", at(&place))?;
    change.permit("grant", at(&place))?;
    unchanged(&resource, input)?;
    set_attributes(change, &mut resource, input)?;
    Ok(Reply::ok(change.put(&permit, resource)?.show()))
}

fn forget(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let resource = change.find(Kind::Resource, &input.id)?;
    let place = place(change, Some(&resource.scope.clone()))?;
    let permit = change.permit("register", at(&place))?;
    unchanged(&resource, input)?;
    let org = change.org.clone();
    let mut inner = change.tx.referring(&org, &resource.uid)?.into_iter();
    let sits_in_it = |o: &crate::service::object::Object| {
        o.kind == Kind::Resource && o.refers("in") == Some(resource.uid.as_str())
    };
    if let Some(inner) = inner.find(sits_in_it) {
        return Err(Problem::conflict(format!("`{}` sits in it: forget that first", inner.name)));
    }
    let uid = resource.uid.clone();
    change.delete(&permit, resource)?;
    Ok(Reply::ok(json!({ "uid": uid, "deleted": true })))
}
