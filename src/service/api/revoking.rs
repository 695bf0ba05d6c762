//! Revoking many keys at once, in one transaction.
//!
//! In:    whose keys (an account's, all that an owner answers for), minted before when, or a list of leaked tokens.
//! Out:   which were revoked.
//! Law:   all or nothing; tokens that leaked are read here and written nowhere.

use super::{Input, Op, on, op};
use crate::service::change::{Change, Reply};
use crate::service::fields::{Ty, may};
use crate::service::object::{Kind, Object};
use crate::service::problem::Problem;
use crate::service::token::key_id;
use serde_json::json;
use std::collections::HashSet;

pub const OPS: &[Op] = &[op(
    "POST",
    "credentials",
    ":revoke",
    "Revokes all keys that fit every filter given",
    &[
        may("account", Ty::Ref(&[Kind::User, Kind::ServiceAccount, Kind::Agent]), "of this account"),
        may("owner", Ty::Ref(&[Kind::User, Kind::Group]), "of accounts that this one answers for"),
        may("minted_before", Ty::Time, "minted before this time"),
        may("leaked", Ty::Keys, "these tokens, or their public key ids, at most 10,000"),
    ],
    revoke,
)];

fn revoke(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let filters = ["account", "owner", "minted_before", "leaked"];
    if !filters.iter().any(|f| input.has(f)) {
        return Err(Problem::invalid("give at least one of `account`, `owner`, `minted_before`, `leaked`"));
    }
    let account = input.reference("account").map(|(k, id)| change.find(k, id)).transpose()?;
    let owner = input.reference("owner").map(|(k, id)| change.find(k, id)).transpose()?;
    // Whom the caller may not see isn't there for it, with keys or without.
    if let Some(account) = &account {
        change.permit("revoke", on(account))?;
    }
    if let Some(owner) = &owner {
        change.permit("read", on(owner))?;
    }
    let before = input.time("minted_before");
    let leaked = input.has("leaked").then(|| leaked(input)).transpose()?;
    let (mut revoked, mut after) = (Vec::new(), String::new());
    let org = change.org.clone();
    loop {
        let page = change.tx.list(&org, Kind::Credential, &after, 500)?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.uid);
        for key in page {
            let Some(uid) = key.refers("account").map(str::to_owned) else { continue };
            let Some(of) = change.tx.object(&org, &uid)? else { continue };
            let ids = [key.text("key_id"), key.text("old_key_id")];
            let fits = account.as_ref().is_none_or(|a| a.uid == of.uid)
                && owner.as_ref().is_none_or(|o| of.refers("owner") == Some(o.uid.as_str()))
                && before.is_none_or(|at| key.created < at)
                && leaked.as_ref().is_none_or(|l| ids.iter().flatten().any(|id| l.contains(*id)));
            // A key that it may not revoke is like one that isn't there.
            if fits && change.may("revoke", on(&of)) {
                take(change, key, &of, &mut revoked)?;
            }
        }
    }
    Ok(Reply::ok(json!({ "revoked": revoked })))
}

/// The ids of keys that leaked.
fn leaked(input: &Input) -> Result<HashSet<String>, Problem> {
    let wrong = |n: usize| {
        Problem::field("leaked", format!("number {} is neither a whole token nor the id of a key", n + 1))
    };
    let names = input.names("leaked");
    names.iter().enumerate().map(|(n, text)| key_id(text).ok_or_else(|| wrong(n))).collect()
}

fn take(change: &mut Change<'_>, key: Object, of: &Object, revoked: &mut Vec<String>) -> Result<(), Problem> {
    let permit = change.permit("revoke", on(of))?;
    revoked.push(key.uid.clone());
    change.delete(&permit, key)
}
