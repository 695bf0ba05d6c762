//! Credentials: minting, rotating, switching off and on, revoking.
//!
//! In:    an account; ceilings of the key's own; its end.
//! Out:   a token, shown once, and what is stored of it: an HMAC under a pepper that isn't in the store.
//! Law:   only who may act as the account makes, rotates, widens or re-enables its keys; a scope or an end outside the
//!        account's is refused; a rotation never gives more than there was. Whoever's own key is bounded gets no key
//!        that isn't bounded as much, unless he may grant.

use super::{Input, Op, on, op, set};
use crate::service::authn::{Minted, mint as new_token};
use crate::service::change::{Change, Reply};
use crate::service::fields::{Field, Ty, may, must};
use crate::service::guard::On;
use crate::service::holding::{self, covers};
use crate::service::memory::Key;
use crate::service::object::{Fields, Kind, Object};
use crate::service::problem::Problem;
use crate::service::token::Holder;
use crate::show_time;
use serde_json::Value;

const ACCOUNTS: &[Kind] = &[Kind::User, Kind::ServiceAccount, Kind::Agent];
const DAY: i64 = 86_400 * 1_000_000;
/// The life of a key if nothing is said, and the longest.
const LIFE: i64 = 90 * DAY;
/// The longest life of a user's key.
const USER_LIFE: i64 = DAY / 2;

pub const OPS: &[Op] = &[
    op(
        "POST",
        "credentials",
        "",
        "Mints a key; its token is in the answer and nowhere else",
        &[
            must("account", Ty::Ref(ACCOUNTS), "whose it is"),
            may("id", Ty::Id, "an id of its own, to find it by"),
            may("scope", Ty::Place, "the path it reaches down from; the account's home if left out"),
            may("boundaries", Ty::Names, "boundaries of the active policy set"),
            may("policy", Ty::Text(4096), "rules of its own: the body of a boundary"),
            may("networks", Ty::Networks, "where it may be used from; anywhere if left out"),
            may("expires_at", Ty::Time, "its end; 90 days if left out, 12 hours for a user's"),
            may("never_expires", Ty::Bool, "no end: takes the right `mint_endless`"),
            may("mfa", Ty::Bool, "a user's: was confirmed by a second factor"),
            may("title", Ty::Text(256), "what people call it"),
        ],
        mint,
    ),
    op(
        "POST",
        "credentials",
        "{id}/rotate",
        "Gives a key a new token; the old one works until the overlap ends",
        &[OVERLAP],
        rotate,
    ),
    op("POST", "credentials", "{id}/disable", "Switches a key off", &[], disable),
    op("POST", "credentials", "{id}/enable", "Switches a key on", &[], enable),
    op("POST", "credentials", "{id}/revoke", "Revokes a key for good", &[], revoke),
];

const OVERLAP: Field =
    may("overlap", Ty::Seconds, "seconds for which the old token still works; none if left out");

fn mint(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let (kind, id) = input.reference("account").ok_or_else(|| Problem::field("account", "missing"))?;
    let account = change.find(kind, id)?;
    let permit = change.permit("act_as", on(&account))?;
    let holder =
        Holder::of_kind(kind.wire()).ok_or_else(|| Problem::field("account", "it can't have keys"))?;
    let scope = input.text("scope").unwrap_or(&account.scope).to_owned();
    if !covers(&account.scope, &scope) {
        return Err(Problem::field(
            "scope",
            format!("`{scope}` is outside the account's home `{}`", account.scope),
        ));
    }
    let reach = super::place(change, Some(&scope))?;
    let mut body = Fields::new();
    super::name_found(&mut body, "account", &account);
    set(&mut body, input, &["id", "boundaries", "policy", "networks", "title", "mfa"]);
    let ends = end(change, input, &account)?;
    if let Some(ends) = ends {
        body.insert("expires_at".into(), show_time(ends).into());
    }
    body.insert("scope".into(), scope.as_str().into());
    body.insert("status".into(), "active".into());
    let warnings = ceilings(change, input)?;
    let minted = new_token(&input.peppers, holder);
    stamp(&mut body, &minted);
    let mut key = change.object(Kind::Credential, "", &account.scope, body);
    key.name = input.text("id").unwrap_or(&key.uid).to_owned();
    key.refs = vec![("account".into(), account.uid.clone()), ("scope".into(), reach.uid)];
    no_wider(change, &key, &account)?;
    let mut shown = change.put(&permit, key)?.show();
    shown["can_do_now"] = warnings;
    Ok(Reply { status: 201, body: shown, secret: Some(("token", minted.token)) })
}

/// A key that could do what the caller's own can't takes the right to grant.
fn no_wider(change: &mut Change<'_>, key: &Object, account: &Object) -> Result<(), Problem> {
    let caller = change.caller()?;
    if !Key::of(key).iter().all(|(_, key)| holding::no_wider(key, &caller)) {
        change.permit("grant", on(account))?;
    }
    Ok(())
}

fn stamp(body: &mut Fields, minted: &Minted) {
    body.insert("key_id".into(), minted.key_id.as_str().into());
    body.insert("mac".into(), minted.mac.as_str().into());
    body.insert("pepper".into(), minted.pepper.as_str().into());
}

/// When a new key ends; `None` for never.
fn end(change: &mut Change<'_>, input: &Input, account: &Object) -> Result<Option<i64>, Problem> {
    let longest = if account.kind == Kind::User { USER_LIFE } else { LIFE };
    let limit = account.time("expires_at");
    let never = input.fields.get("never_expires") == Some(&Value::Bool(true));
    if never {
        if input.has("expires_at") || account.kind == Kind::User || limit.is_some() {
            return Err(Problem::field(
                "never_expires",
                "not beside `expires_at`, for a user, or for an account that ends",
            ));
        }
        let home = super::place(change, Some(&account.scope.clone()))?;
        change.permit("mint_endless", On::Scope(home.kind.wire(), &home.name))?;
        return Ok(None);
    }
    let wanted = input.time("expires_at");
    if wanted.is_some_and(|at| at <= change.at) {
        return Err(Problem::field("expires_at", "that is over already"));
    }
    if wanted.is_some_and(|at| at > change.at + longest) {
        let most = if account.kind == Kind::User { "12 hours for a user's key" } else { "90 days" };
        return Err(Problem::field("expires_at", format!("too far away: at most {most}")));
    }
    let ends = wanted.unwrap_or(change.at + longest);
    match limit {
        Some(limit) if wanted.is_some_and(|w| w > limit) => {
            Err(Problem::field("expires_at", "that is after the end of the account"))
        }
        Some(limit) => Ok(Some(ends.min(limit))),
        None => Ok(Some(ends)),
    }
}

/// Holds boundaries and policy text against the active set; what they can't mean is refused.
fn ceilings(change: &Change<'_>, input: &Input) -> Result<Value, Problem> {
    let org = change.org()?;
    let known = &org.own.set.vocabulary().boundaries;
    for name in input.names("boundaries") {
        if !known.iter().any(|b| *b == name) {
            let near = crate::nearest(&name, known.iter().map(|b| b.as_str()));
            let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            return Err(Problem::field("boundaries", format!("no boundary `{name}`{near}")));
        }
    }
    if let Some(text) = input.text("policy") {
        let made = org.key_policy(text).map_err(|message| Problem::field("policy", message))?;
        return Ok(serde_json::json!({ "rules": made.program.rules.len() }));
    }
    Ok(Value::Null)
}

/// A key and its account.
fn key_of(change: &mut Change<'_>, id: &str) -> Result<(Object, Object), Problem> {
    let key = change.find(Kind::Credential, id)?;
    let org = change.org.clone();
    let uid = key.refers("account").unwrap_or_default().to_owned();
    let account =
        change.tx.object(&org, &uid)?.filter(|a| a.deleted.is_none()).ok_or_else(Problem::absent)?;
    Ok((key, account))
}

fn rotate(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let (mut key, account) = key_of(change, &input.id)?;
    let permit = change.permit("act_as", on(&account))?;
    no_wider(change, &key, &account)?;
    if key.is_disabled() || key.time("expires_at").is_some_and(|at| at <= change.at) {
        return Err(Problem::conflict("only a live key is rotated: mint a new one"));
    }
    let holder = Holder::of_kind(account.kind.wire()).ok_or_else(Problem::absent)?;
    let overlap = input.fields.get("overlap").and_then(Value::as_u64).unwrap_or(0);
    let overlap = i64::try_from(overlap).unwrap_or(0).saturating_mul(1_000_000);
    let minted = new_token(&input.peppers, holder);
    for (new, old) in [("key_id", "old_key_id"), ("mac", "old_mac"), ("pepper", "old_pepper")] {
        // An older token than the last one is over now, whatever it was promised.
        let value = key.body.get(new).cloned().unwrap_or_default();
        key.body.insert(old.into(), value);
    }
    key.body.insert("overlap_until".into(), show_time(change.at.saturating_add(overlap)).into());
    stamp(&mut key.body, &minted);
    let shown = change.put(&permit, key)?.show();
    Ok(Reply { status: 200, body: shown, secret: Some(("token", minted.token)) })
}

fn disable(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let (mut key, account) = key_of(change, &input.id)?;
    let permit = change.permit("revoke", on(&account))?;
    key.body.insert("status".into(), "disabled".into());
    Ok(Reply::ok(change.put(&permit, key)?.show()))
}

fn enable(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let (mut key, account) = key_of(change, &input.id)?;
    let permit = change.permit("act_as", on(&account))?;
    no_wider(change, &key, &account)?;
    key.body.insert("status".into(), "active".into());
    Ok(Reply::ok(change.put(&permit, key)?.show()))
}

fn revoke(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let (key, account) = key_of(change, &input.id)?;
    let permit = change.permit("revoke", on(&account))?;
    let uid = key.uid.clone();
    change.delete(&permit, key)?;
    Ok(Reply::ok(serde_json::json!({ "uid": uid, "revoked": true })))
}
