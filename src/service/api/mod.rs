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

pub use accounts::erased_spelling;
pub use install::{AdminKey, first_installation_key, key_of, new_organization};
pub use policy_sets::{check, diff, test};
pub use reading::{View, get, list};

use super::change::{Change, Reply, gone};
use super::fields::Field;
use super::guard::On;
use super::object::{Fields, Kind, Object, place_kind};
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

/// A name that another had is still said: by who enforces, in the texts of keys, by people. Only who may grant here gives
/// it again.
fn had_by_another(change: &mut Change<'_>, kind: Kind, name: &str, place: &Object) -> Result<(), Problem> {
    let org = change.org.clone();
    let before = change.tx.ever_referring(&org, &gone(kind, name))?;
    if before.is_empty() { Ok(()) } else { change.permit("grant", at(place)).map(|_| ()) }
}

/// An id that an active rule names gives a new thing what the rule says: only who may grant here makes it.
fn named_by_rules(change: &mut Change<'_>, kind: &str, id: &str, place: &Object) -> Result<(), Problem> {
    let named = change.org()?.named.contains(&(kind.to_owned(), id.to_owned()));
    if named { change.permit("grant", at(place)).map(|_| ()) } else { Ok(()) }
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

/// Takes attributes as they are given. What they name of the directory is remembered by uid: another that gets the name
/// later isn't meant.
fn set_attributes(change: &mut Change<'_>, object: &mut Object, input: &Input) -> Result<(), Problem> {
    if !input.has("attributes") {
        return Ok(());
    }
    set(&mut object.body, input, &["attributes"]);
    object.refs.retain(|(label, _)| !label.starts_with("attributes"));
    if let Some(mut attributes) = object.body.remove("attributes") {
        name_values(change, &mut attributes, "attributes", &mut object.refs)?;
        object.body.insert("attributes".to_owned(), attributes);
    }
    Ok(())
}

fn name_values(
    change: &mut Change<'_>,
    value: &mut Value,
    at: &str,
    refs: &mut Vec<(String, String)>,
) -> Result<(), Problem> {
    if let Some((kind, id)) = reference_of(value) {
        let found = change.seen(kind, &id).map_err(|p| match p.status {
            404 => Problem::field(
                at.replace('/', "."),
                format!("no {} `{id}` here: create it first", kind.wire()),
            ),
            _ => p,
        })?;
        *value = serde_json::json!({ "kind": kind.wire(), "id": found.name });
        refs.push((at.to_owned(), found.uid));
        return Ok(());
    }
    match value {
        Value::Array(items) => {
            let mut numbered = items.iter_mut().enumerate();
            numbered.try_for_each(|(n, v)| name_values(change, v, &format!("{at}/{n}"), refs))
        }
        Value::Object(fields) => {
            // A name may hold what a pointer must not: such a field is none that a set could declare.
            let mut plain = fields.iter_mut().filter(|(name, _)| !name.contains(['/', '~']));
            plain.try_for_each(|(name, v)| name_values(change, v, &format!("{at}/{name}"), refs))
        }
        _ => Ok(()),
    }
}

/// A value that names something of the directory.
fn reference_of(value: &Value) -> Option<(Kind, String)> {
    let fields = value.as_object().filter(|fields| fields.len() == 2)?;
    let kind = Kind::of_wire(fields.get("kind")?.as_str()?)?;
    let named = kind.is_scope() || kind.is_account() || kind == Kind::Group;
    named.then_some((kind, fields.get("id")?.as_str()?.to_owned()))
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
    change.delete(&permit, object.clone())?;
    Ok(Reply::ok(serde_json::json!({ "uid": object.uid, "deleted": true })))
}
