//! What the interface can do: one table of operations, from which routes and the OpenAPI document are made.
//!
//! In:    a method and a path.
//! Out:   [`Op`]: the fields its body may hold, and the command that does it.
//! Law:   a command changes things only with a permit that it asked for on the very thing it changes.

mod accounts;
mod credentials;
mod grants;
mod groups;
mod install;
mod leaving;
mod places;
mod policy_sets;
mod quotas;
mod reading;
mod resources;
mod revoking;

pub use install::{AdminKey, first_installation_key, new_organization};
pub use policy_sets::{check, diff, test};
pub use reading::{View, get, list};

use super::change::{Change, Reply};
use super::fields::Field;
use super::guard::On;
use super::object::{Fields, Kind, Object};
use super::pepper::Peppers;
use super::problem::Problem;
use serde_json::Value;
use std::sync::Arc;

/// What a request brings to a command.
#[derive(Clone, Debug)]
pub struct Input {
    /// The id or uid in the path.
    pub id: String,
    /// The body.
    pub fields: Fields,
    /// The revision that the caller read.
    pub if_match: Option<i64>,
    /// For minting.
    pub peppers: Arc<Peppers>,
}

impl Input {
    /// A text field.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// A text field that the table says must be there.
    pub fn must(&self, field: &str) -> Result<&str, Problem> {
        self.text(field).ok_or_else(|| Problem::field(field, "missing"))
    }

    /// A time field in microseconds.
    pub fn time(&self, field: &str) -> Option<i64> {
        crate::parse_time(self.text(field)?).ok()
    }

    /// Kind and id of a reference.
    pub fn reference(&self, field: &str) -> Option<(Kind, &str)> {
        let value = self.fields.get(field)?;
        Some((Kind::of_wire(value.get("kind")?.as_str()?)?, value.get("id")?.as_str()?))
    }

    /// The names of a list; none if the field isn't there.
    pub fn names(&self, field: &str) -> Vec<String> {
        let list = self.fields.get(field).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    }

    /// Whether a field is there, `null` included.
    pub fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }
}

/// Does an operation.
pub type Run = fn(&mut Change<'_>, &Input) -> Result<Reply, Problem>;

/// An operation that changes something.
#[derive(Clone, Copy)]
pub struct Op {
    /// `POST`, `PATCH`, `DELETE`.
    pub method: &'static str,
    /// Its collection.
    pub collection: &'static str,
    /// What comes after: nothing, `{id}`, `{id}/verb`, or `:verb` of the whole collection.
    pub rest: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// What its body may hold.
    pub fields: &'static [Field],
    /// Whether `If-Match` is called for.
    pub conditional: bool,
    /// Does it.
    pub run: Run,
}

const fn op(
    method: &'static str,
    collection: &'static str,
    rest: &'static str,
    summary: &'static str,
    fields: &'static [Field],
    run: Run,
) -> Op {
    Op { method, collection, rest, summary, fields, conditional: false, run }
}

const fn conditional(op: Op) -> Op {
    Op { conditional: true, ..op }
}

/// All operations that change something.
pub fn operations() -> impl Iterator<Item = &'static Op> {
    [
        places::OPS,
        accounts::OPS,
        leaving::OPS,
        groups::OPS,
        grants::OPS,
        resources::OPS,
        credentials::OPS,
        revoking::OPS,
        policy_sets::OPS,
        install::OPS,
        quotas::OPS,
    ]
    .into_iter()
    .flatten()
}

// ---- what commands share ----

/// What an object is as something acted on.
fn on(object: &Object) -> On<'_> {
    match object.kind {
        Kind::Group => On::Group(&object.name),
        kind if kind.is_scope() => On::Scope(kind.wire(), &object.name),
        kind => On::Account(kind.wire(), &object.name),
    }
}

/// The kind of the place at a path: by its depth.
fn place_kind(path: &str) -> Kind {
    match path.matches('/').count() {
        0 => Kind::Organization,
        1 => Kind::Project,
        _ => Kind::Environment,
    }
}

/// The place of a field, or the organization's root if the field isn't there.
fn place(change: &mut Change<'_>, path: Option<&str>) -> Result<Object, Problem> {
    let root = change.root()?;
    let path = path.unwrap_or(&root);
    change.find(place_kind(path), path)
}

fn at(place: &Object) -> On<'_> {
    On::Scope(place.kind.wire(), &place.name)
}

/// Holds the revision that the caller read against what is there.
fn unchanged(object: &Object, input: &Input) -> Result<(), Problem> {
    match input.if_match {
        None => Err(Problem::unconditional()),
        Some(revision) if revision != object.revision => Err(Problem::changed(object.revision)),
        Some(_) => Ok(()),
    }
}

/// An id that an active rule names gives a new thing what the rule says: only who may grant here makes it.
fn named_by_rules(change: &mut Change<'_>, kind: &str, id: &str, place: &Object) -> Result<(), Problem> {
    let named = change.org()?.named.contains(&(kind.to_owned(), id.to_owned()));
    if named { change.permit("grant", at(place)).map(|_| ()) } else { Ok(()) }
}

/// What an active rule names can't be deleted.
fn not_named(change: &Change<'_>, object: &Object) -> Result<(), Problem> {
    if change.org()?.named.contains(&(object.kind.wire().to_owned(), object.name.clone())) {
        let what = format!("{} \"{}\"", object.kind.wire(), object.name);
        return Err(Problem::conflict(format!(
            "the active policy set names {what}: activate a set that doesn't, then delete it"
        )));
    }
    Ok(())
}

fn set(body: &mut Fields, input: &Input, names: &[&str]) {
    for name in names {
        match input.fields.get(*name) {
            Some(Value::Null) => drop(body.remove(*name)),
            Some(value) => drop(body.insert((*name).to_owned(), value.clone())),
            None => {}
        }
    }
}

/// Writes a reference down as what was found: by its name, however it was given.
fn name_found(body: &mut Fields, field: &str, found: &Object) {
    body.insert(field.to_owned(), serde_json::json!({ "kind": found.kind.wire(), "id": found.name }));
}

/// Deletes what the path names, with the permission `action` on what `thing` gives.
fn remove(
    change: &mut Change<'_>,
    input: &Input,
    kind: Kind,
    action: &'static str,
) -> Result<Reply, Problem> {
    let object = change.find(kind, &input.id)?;
    let permit = change.permit(action, on(&object))?;
    unchanged(&object, input)?;
    not_named(change, &object)?;
    change.delete(&permit, object.clone())?;
    Ok(Reply::ok(serde_json::json!({ "uid": object.uid, "deleted": true })))
}
