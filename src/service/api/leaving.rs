//! What a leaving user owns: handed over, or disabled, in one change.
//!
//! In:    a user; perhaps who answers from now on.
//! Out:   the user disabled and his keys revoked; what he owned handed over or disabled.
//! Law:   all or nothing, and handing over takes what setting an owner takes.

use super::{Input, Op, on, op};
use crate::service::change::{Change, Reply};
use crate::service::fields::{Ty, may};
use crate::service::object::Kind;
use crate::service::problem::Problem;
use serde_json::json;

pub const OPS: &[Op] = &[op(
    "POST",
    "users",
    "{id}/leave",
    "Disables a user, revokes his keys, and hands over or disables what he owns",
    &[may(
        "hand_over_to",
        Ty::Ref(&[Kind::User, Kind::Group]),
        "who answers for it from now on; disabled if left out",
    )],
    leave,
)];

fn leave(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let mut user = change.find(Kind::User, &input.id)?;
    let permit = change.permit("disable", on(&user))?;
    let heir = input.reference("hand_over_to").map(|(kind, id)| change.seen(kind, id)).transpose()?;
    let org = change.org.clone();
    let (mut handed, mut disabled, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
    for mut other in change.tx.referring(&org, &user.uid)? {
        if other.kind == Kind::Credential {
            let permit = change.permit("revoke", on(&user))?;
            revoked.push(other.uid.clone());
            change.delete(&permit, other)?;
        } else if other.refers("owner") == Some(user.uid.as_str()) {
            match &heir {
                Some(heir) => {
                    let permit = change.permit("set_owner", on(&other))?;
                    change.permit("grant", on(&other))?;
                    other.refs.retain(|(label, _)| label != "owner");
                    other.refs.push(("owner".into(), heir.uid.clone()));
                    let owner = json!({ "kind": heir.kind.wire(), "id": heir.name });
                    other.body.insert("owner".into(), owner);
                    handed.push(other.name.clone());
                    change.put(&permit, other)?;
                }
                None => {
                    let permit = change.permit("disable", on(&other))?;
                    other.body.insert("status".into(), "disabled".into());
                    disabled.push(other.name.clone());
                    change.put(&permit, other)?;
                }
            }
        }
    }
    user.body.insert("status".into(), "disabled".into());
    change.put(&permit, user)?;
    Ok(Reply::ok(json!({ "handed_over": handed, "disabled": disabled, "revoked": revoked })))
}
