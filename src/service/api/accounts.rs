//! Users, service accounts and agents.
//!
//! In:    who they are, where their home is, who answers for them, until when.
//! Out:   accounts that outlive their keys.
//! Law:   what widens an account (its end, its attributes, its owner) or moves it under others (its home) is an edge of
//!        its own: only who may grant there does it. A deleted account comes back disabled, without keys, bindings or
//!        groups.

use super::{
    Input, Op, at, conditional, had_by_another, name_found, named_by_rules, on, op, place, set,
    set_attributes, unchanged,
};
use crate::service::change::{Change, Reply};
use crate::service::fields::{Field, Ty, is_invisible, may, must};
use crate::service::holding::{covers, is, may_own};
use crate::service::object::{Fields, Kind, Object};
use crate::service::problem::Problem;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

const OWNERS: &[Kind] = &[Kind::User, Kind::Group];
const HOME: Field = may("home", Ty::Place, "the path it reaches down from; the organization if left out");
const TITLE: Field = may("title", Ty::Text(256), "what people call it");
const ENDS: Field = may("expires_at", Ty::Time, "when it stops");
const ATTRIBUTES: Field = may("attributes", Ty::Attributes, "values that the active policy set declares");

const USER: &[Field] = &[must("id", Ty::OpaqueId, "its id"), HOME, TITLE, ENDS, ATTRIBUTES];
const MACHINE: &[Field] = &[
    must("id", Ty::Id, "its id"),
    must("home", Ty::Place, "the path it reaches down from"),
    must("purpose", Ty::Text(1024), "what it is for"),
    must("owner", Ty::Ref(OWNERS), "who answers for it"),
    TITLE,
    ENDS,
    ATTRIBUTES,
];
const PATCH_USER: &[Field] = &[HOME, TITLE, ENDS, ATTRIBUTES];
const PATCH_MACHINE: &[Field] = &[
    HOME,
    TITLE,
    ENDS,
    ATTRIBUTES,
    may("purpose", Ty::Text(1024), "what it is for"),
    may("owner", Ty::Ref(OWNERS), "who answers for it"),
];

macro_rules! account_ops {
    ($($kind:ident $collection:literal $one:literal $create:ident $patch:ident;)*) => {
        pub const OPS: &[Op] = &[$(
            op("POST", $collection, "", concat!("Creates ", $one), $create, |c, i| create(c, i, Kind::$kind)),
            conditional(op("PATCH", $collection, "{id}", concat!("Changes ", $one), $patch,
                |c, i| patch(c, i, Kind::$kind))),
            conditional(op("DELETE", $collection, "{id}", concat!("Deletes ", $one), &[],
                |c, i| super::remove(c, i, Kind::$kind, "delete"))),
            op("POST", $collection, "{id}/disable", concat!("Switches ", $one, " off"), &[],
                |c, i| switch(c, i, Kind::$kind, false)),
            op("POST", $collection, "{id}/enable", concat!("Switches ", $one, " on"), &[],
                |c, i| switch(c, i, Kind::$kind, true)),
            op("POST", $collection, "{id}/undelete", concat!("Brings back ", $one, ", disabled"), &[],
                |c, i| undelete(c, i, Kind::$kind)),
        )*];
    };
}

account_ops! {
    User "users" "a user" USER PATCH_USER;
    ServiceAccount "service-accounts" "a service account" MACHINE PATCH_MACHINE;
    Agent "agents" "an AI agent" MACHINE PATCH_MACHINE;
}

fn create(change: &mut Change<'_>, input: &Input, kind: Kind) -> Result<Reply, Problem> {
    let home = place(change, input.text("home"))?;
    let permit = change.permit("create_account", at(&home))?;
    let id = input.must("id")?.to_owned();
    own_name(&id)?;
    never_respelt(change, kind, &id, "")?;
    had_by_another(change, kind, &id, &home)?;
    named_by_rules(change, kind.wire(), &id, &home)?;
    let mut body = Fields::new();
    set(&mut body, input, &["id", "title", "purpose", "owner", "expires_at"]);
    body.insert("home".into(), home.name.as_str().into());
    body.insert("status".into(), "active".into());
    let mut account = change.object(kind, &id, &home.name, body);
    account.refs = vec![("scope".into(), home.uid.clone())];
    if kind == Kind::User {
        account.refs.push(("spelling".into(), spelling(&id)));
    }
    if input.has("attributes") {
        grant_at(change, &home)?;
        set_attributes(change, &mut account, input)?;
    }
    if input.has("purpose") && change.org()?.own.set.reads_of_accounts("purpose", "") {
        grant_at(change, &home)?;
    }
    if let Some((owner_kind, owner)) = input.reference("owner") {
        let owner = change.seen(owner_kind, owner)?;
        let (org, caller) = (change.org()?, change.caller()?);
        if !may_own(&org, &caller, (owner.kind, &owner.name), &home.name) {
            grant_at(change, &home)?;
        }
        name_found(&mut account.body, "owner", &owner);
        account.refs.push(("owner".into(), owner.uid));
    }
    change.create(&permit, account)
}

/// What could be taken for a uid would be another's name.
pub(super) fn own_name(id: &str) -> Result<(), Problem> {
    if Kind::is_like_uid(id) {
        return Err(Problem::field(
            "id",
            "it looks like a uid of ours: take an id that doesn't begin like one",
        ));
    }
    Ok(())
}

fn grant_at(change: &mut Change<'_>, place: &Object) -> Result<(), Problem> {
    change.permit("grant", at(place)).map(|_| ())
}

/// What a user's id is known by, however it is spelt: never given to another, not even after he is deleted.
pub(super) fn spelling(id: &str) -> String {
    let seen = |c: &char| !c.is_whitespace() && !is_invisible(*c);
    let plain: String = id.nfkc().flat_map(char::to_lowercase).nfkc().filter(seen).collect();
    format!("~user {plain}")
}

/// The same of a user whose values were erased: a hash, by which whoever comes back is known, however he is spelt.
pub fn erased_spelling(org: &str, id: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(format!("{org}\0{}", spelling(id))).into();
    format!("~erased {}", digest.iter().map(|b| format!("{b:02x}")).collect::<String>())
}

/// A user who was ever known here doesn't come back, in this or in another spelling.
fn never_respelt(change: &mut Change<'_>, kind: Kind, id: &str, own: &str) -> Result<(), Problem> {
    if kind != Kind::User {
        return Ok(());
    }
    let org = change.org.clone();
    if let Some(twin) = change.tx.ever_referring(&org, &erased_spelling(&org, id))?.first()
        && twin.uid != own
    {
        return Err(Problem::conflict(
            "this id, or one that differs in spelling only, was given before: take another",
        ));
    }
    let twins = change.tx.ever_referring(&org, &spelling(id))?;
    let Some(twin) = twins.iter().find(|t| t.uid != own) else { return Ok(()) };
    let told = match twin.deleted {
        Some(_) if change.may("undelete", on(twin)) => {
            "a deleted user had this id, or one that differs in spelling only: undelete him, or take another id"
        }
        _ => "this id, or one that differs in spelling only, was given before: take another",
    };
    Err(Problem::conflict(told))
}

fn patch(change: &mut Change<'_>, input: &Input, kind: Kind) -> Result<Reply, Problem> {
    let mut account = change.find(kind, &input.id)?;
    let before = account.clone();
    let permit = change.permit("update", on(&before))?;
    unchanged(&account, input)?;
    if let Some(home) = input.text("home").filter(|h| *h != before.scope) {
        change.permit("rehome", on(&before))?;
        let home = place(change, Some(home))?;
        if !covers(&before.scope, &home.name) {
            grant_at(change, &home)?;
        }
        // Whoever may act as the accounts of a place may act as this one from now on.
        change.permit("grant", on(&before))?;
        account.scope.clone_from(&home.name);
        account.body.insert("home".into(), home.name.as_str().into());
        account.refs.retain(|(label, _)| label != "scope");
        account.refs.push(("scope".into(), home.uid));
    }
    if input.has("expires_at") {
        let (old, new) =
            (before.time("expires_at").unwrap_or(i64::MAX), input.time("expires_at").unwrap_or(i64::MAX));
        if new > old {
            change.permit("extend", on(&before))?;
            change.permit("grant", on(&before))?;
        }
    }
    // To rules a purpose is an attribute like others.
    let purpose = input.has("purpose") && change.org()?.own.set.reads_of_accounts("purpose", "");
    if input.has("attributes") || purpose {
        change.permit("set_attributes", on(&before))?;
        change.permit("grant", on(&before))?;
    }
    if let Some((owner_kind, owner)) = input.reference("owner") {
        change.permit("set_owner", on(&before))?;
        let owner = change.seen(owner_kind, owner)?;
        let (org, caller) = (change.org()?, change.caller()?);
        // Only who answers for it now hands it on, and only where nothing else goes by who that is; taking it would be
        // gaining what one didn't have.
        let now = before.refers("owner").unwrap_or_default().to_owned();
        let now = change.tx.object(&org.uid, &now)?.filter(|o| o.deleted.is_none());
        let answers = now.is_some_and(|o| is(&org, &caller, o.kind, &o.name))
            && !org.own.set.reads_of_accounts("owner", "policyd_owners");
        if !answers {
            change.permit("grant", on(&before))?;
        }
        account.refs.retain(|(label, _)| label != "owner");
        name_found(&mut account.body, "owner", &owner);
        account.refs.push(("owner".into(), owner.uid));
    }
    for field in ["owner", "purpose"] {
        if input.has(field) && input.fields[field].is_null() {
            return Err(Problem::field(field, "it can be changed, not taken away"));
        }
    }
    set_attributes(change, &mut account, input)?;
    set(&mut account.body, input, &["title", "purpose", "expires_at"]);
    Ok(Reply::ok(change.put(&permit, account)?.show()))
}

fn switch(change: &mut Change<'_>, input: &Input, kind: Kind, on_again: bool) -> Result<Reply, Problem> {
    let mut account = change.find(kind, &input.id)?;
    let permit = change.permit(if on_again { "enable" } else { "disable" }, on(&account))?;
    if on_again {
        // It could do nothing: all that it will be able to do, with the keys it has, is given anew.
        change.permit("grant", on(&account))?;
        account.body.remove("returned");
    }
    account.body.insert("status".into(), if on_again { "active" } else { "disabled" }.into());
    Ok(Reply::ok(change.put(&permit, account)?.show()))
}

/// Thirty days in microseconds.
const UNDELETE_MICROS: i64 = 30 * 86_400 * 1_000_000;

fn undelete(change: &mut Change<'_>, input: &Input, kind: Kind) -> Result<Reply, Problem> {
    let org = change.org.clone();
    let gone = change.tx.object(&org, &input.id)?.filter(|o| o.kind == kind && o.deleted.is_some());
    let Some(mut account) = gone else { return Err(Problem::absent()) };
    let home = place(change, Some(&account.scope.clone()))
        .map_err(|_| Problem::conflict("its home is gone: make a new account"))?;
    let permit = change.permit("create_account", at(&home))?;
    if account.body.contains_key("erased") {
        return Err(Problem::conflict("what was known of this user was erased: he doesn't come back"));
    }
    if account.deleted.is_some_and(|at| at + UNDELETE_MICROS < change.at) {
        return Err(Problem::conflict("it was deleted more than 30 days ago"));
    }
    never_respelt(change, kind, &account.name, &account.uid)?;
    named_by_rules(change, kind.wire(), &account.name.clone(), &home)?;
    if account.refers("scope") != Some(home.uid.as_str()) {
        // Its home was made again since: reaching down from there is given anew.
        grant_at(change, &home)?;
        account.refs.retain(|(label, _)| label != "scope");
        account.refs.push(("scope".into(), home.uid.clone()));
    }
    account.deleted = None;
    account.body.insert("status".into(), "disabled".into());
    account.body.insert("returned".into(), "undeleted".into());
    Ok(Reply::ok(change.put(&permit, account)?.show()))
}
