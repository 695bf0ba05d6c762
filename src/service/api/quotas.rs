//! Quotas of an organization, set by whoever runs the installation.
//!
//! In:    a key of the installation, the id of an organization, numbers.
//! Out:   the numbers that hold now.
//! Law:   nobody in an organization raises what it may have; the change stands in the organization's own log.

use super::{Input, Op, op, set};
use crate::service::change::{Change, Reply};
use crate::service::guard;
use crate::service::problem::Problem;
use crate::service::quotas::{FIELDS, Quotas};
use serde_json::{Value, json};

pub const OPS: &[Op] = &[op(
    "POST",
    "organizations",
    "{id}/quotas",
    "Sets what an organization may have; takes a key of the installation",
    FIELDS,
    change_quotas,
)];

fn change_quotas(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let permit = guard::installation(&change.caller()?).map_err(|_| Problem::absent())?;
    let mut found = None;
    for org in change.tx.organizations()? {
        let root = change.tx.object(&org, &org)?;
        found = found.or(root.filter(|o| o.name == input.id || o.uid == input.id));
    }
    let mut root = found.ok_or_else(Problem::absent)?;
    change.org.clone_from(&root.uid);
    change.seq = change.tx.head(&root.uid)?.0 + 1;
    let mut quotas = root.body.get("quotas").and_then(Value::as_object).cloned().unwrap_or_default();
    let names: Vec<&str> = FIELDS.iter().map(|f| f.name).collect();
    set(&mut quotas, input, &names);
    root.body.insert("quotas".into(), Value::Object(quotas));
    let root = change.put(&permit, root)?;
    Ok(Reply::ok(json!({ "organization": root.name, "quotas": Quotas::of(&root).all() })))
}
