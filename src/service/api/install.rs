//! The installation: it makes organizations, each with a first person who owns it, and reads nothing of theirs.
//!
//! In:    an installation key, or access to the host.
//! Out:   organizations; the first key of each, shown once.
//! Law:   an installation key has no account in any organization: no right of theirs can come to it.

use super::accounts::{own_name, spelling};
use super::{Input, Op, op};
use crate::service::authn::mint;
use crate::service::change::{Change, Reply};
use crate::service::fields::{Ty, must};
use crate::service::guard::{self, Permit};
use crate::service::object::{Fields, Kind, Object};
use crate::service::pepper::Peppers;
use crate::service::problem::Problem;
use crate::service::secret::{Secret, new_uid};
use crate::service::token::Holder;
use crate::show_time;
use serde_json::json;

pub const OPS: &[Op] = &[op(
    "POST",
    "organizations",
    "",
    "Creates an organization and the first person who owns it; takes a key of the installation",
    &[must("id", Ty::Id, "its id"), must("owner", Ty::OpaqueId, "the id of its first user")],
    create,
)];

/// The life of a key that an organization begins with, or is got back with.
const FIRST_KEY_MICROS: i64 = 12 * 3_600 * 1_000_000;

/// A key of somebody to begin with, and its end.
#[derive(Debug)]
pub struct AdminKey {
    /// Shown once.
    pub token: Secret,
    /// When it ends, as text.
    pub expires_at: String,
}

fn create(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let permit = guard::installation(&change.caller()?).map_err(|_| Problem::absent())?;
    let (id, owner) = (input.must("id")?.to_owned(), input.must("owner")?.to_owned());
    let key = new_organization(change, &permit, &input.peppers, &id, &owner)?;
    let body = json!({ "uid": change.org, "id": id, "owner": owner, "expires_at": key.expires_at });
    Ok(Reply { status: 201, body, secret: Some(("token", key.token)) })
}

/// Makes an organization, its first user, and his key.
pub fn new_organization(
    change: &mut Change<'_>,
    permit: &Permit,
    peppers: &Peppers,
    id: &str,
    owner: &str,
) -> Result<AdminKey, Problem> {
    own_name(owner)?;
    for other in change.tx.organizations()? {
        let root = change.tx.object(&other, &other)?;
        if root.is_some_and(|o| o.name == id) {
            return Err(Problem::conflict("there is an organization with that id"));
        }
    }
    let fields = |json: serde_json::Value| json.as_object().cloned().unwrap_or_default();
    change.org = new_uid(Kind::Organization.prefix());
    change.seq = 1;
    let mut root = change.object(Kind::Organization, id, id, fields(json!({ "id": id, "path": id })));
    root.uid.clone_from(&change.org);
    let root = change.put(permit, root)?;
    let body = fields(json!({ "id": owner, "home": id, "status": "active" }));
    let mut user = change.object(Kind::User, owner, id, body);
    user.refs = vec![("scope".into(), root.uid.clone()), ("spelling".into(), spelling(owner))];
    let user = change.put(permit, user)?;
    let body = fields(json!({
        "holder": { "kind": "user", "id": owner }, "role": "policyd/owner", "scope": id,
        "reason": "the first owner of the organization",
    }));
    let mut binding = change.object(Kind::Binding, "", id, body);
    binding.name.clone_from(&binding.uid);
    binding.refs = vec![("scope".into(), root.uid.clone()), ("holder".into(), user.uid.clone())];
    change.put(permit, binding)?;
    key_of(change, permit, peppers, &user, id, "first key")
}

/// Makes a key of a person that reaches all of an organization, and isn't bounded.
pub fn key_of(
    change: &mut Change<'_>,
    permit: &Permit,
    peppers: &Peppers,
    user: &Object,
    organization: &str,
    title: &str,
) -> Result<AdminKey, Problem> {
    let minted = mint(peppers, Holder::User);
    let ends = show_time(change.at + FIRST_KEY_MICROS);
    let body = json!({
        "account": { "kind": "user", "id": user.name }, "scope": organization, "status": "active", "expires_at": ends,
        "key_id": minted.key_id, "mac": minted.mac, "pepper": minted.pepper, "title": title,
    });
    let body = body.as_object().cloned().unwrap_or_default();
    let mut key: Object = change.object(Kind::Credential, "", organization, body);
    key.name.clone_from(&key.uid);
    key.refs = vec![("account".into(), user.uid.clone())];
    change.put(permit, key)?;
    Ok(AdminKey { token: minted.token, expires_at: ends })
}

/// Makes a key of the installation.
pub fn first_installation_key(
    change: &mut Change<'_>,
    permit: &Permit,
    peppers: &Peppers,
) -> Result<Secret, Problem> {
    let minted = mint(peppers, Holder::Installation);
    let mut body = Fields::new();
    for (field, value) in [("key_id", &minted.key_id), ("mac", &minted.mac), ("pepper", &minted.pepper)] {
        body.insert(field.to_owned(), value.as_str().into());
    }
    body.insert("status".into(), "active".into());
    body.insert("title".into(), "installation".into());
    let mut key = change.object(Kind::Credential, "", "", body);
    key.name.clone_from(&key.uid);
    change.put(permit, key)?;
    Ok(minted.token)
}
