//! What the audit log says: changes and decisions as records.
//!
//! In:    a finished change; questions and answers.
//! Out:   [`Entry`]s, ready to be stored.
//! Law:   who a person is stands sealed in the record, its value beside it, so that it can be erased without breaking the
//!        tree. After-images are complete: the whole directory can be made again from them.

use super::authn::Caller;
use super::change::RequestFacts;
use super::memory::{AccountFacts, OrgState};
use super::object::{Kind, Object};
use super::problem::Problem;
use super::secret::new_uid;
use crate::AccountIx;
use crate::audit::record::{
    Actor, Body, ChangeFacts, DecisionFacts, Draft, Entry, Fact, Log, Moment, RECORD_SCHEMA, Record,
    RecordError, RequestFacts as Asked,
};
use serde_json::Value;
use std::collections::BTreeMap;

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Problem {
        match error {
            RecordError::Io(_) => Problem::unavailable(error.to_string()),
            _ => Problem::too_large(error.to_string()),
        }
    }
}

/// What every record says, whatever it is about.
pub struct About<'a> {
    /// Which log.
    pub log: Log,
    /// The uid of the organization; empty for the installation.
    pub org: &'a str,
    /// The path of the place.
    pub scope: &'a str,
    /// When.
    pub at: i64,
    /// The revision that was read.
    pub revision: i64,
    /// The request.
    pub request: &'a RequestFacts,
}

/// Writes a record.
pub fn write(
    about: &About<'_>,
    account: Option<(&Caller, Option<&OrgState>)>,
    asked_by: Option<(&Caller, &OrgState)>,
    body: Body,
    mut draft: Draft,
) -> Result<Entry, RecordError> {
    let actor_of = |draft: &mut Draft, caller: &Caller, org: Option<&OrgState>| match &caller.account {
        Some(account) => {
            let standing = org.map(|org| standing_of(org, account)).unwrap_or_default();
            actor(draft, account, Some(&caller.key.uid), standing)
        }
        None => Ok(Actor {
            kind: "installation".to_owned(),
            id: Fact::Plain("installation".into()),
            uid: String::new(),
            credential: Some(caller.key.uid.clone()),
            owner: None,
            groups: Vec::new(),
            roles: Vec::new(),
        }),
    };
    let account = account.map(|(caller, org)| actor_of(&mut draft, caller, org)).transpose()?;
    let asked_by = asked_by.map(|(caller, org)| actor_of(&mut draft, caller, Some(org))).transpose()?;
    finish(about, Whom { account, asked_by, ..Whom::default() }, body, draft)
}

/// Whom a record is about.
#[derive(Default)]
pub struct Whom {
    /// Who did it, or was decided about.
    pub account: Option<Actor>,
    /// Who stands behind, nearest first.
    pub chain: Vec<Actor>,
    /// The enforcing service that asked.
    pub asked_by: Option<Actor>,
}

/// Writes a record about an account that was named, not presented.
pub fn finish(about: &About<'_>, whom: Whom, body: Body, draft: Draft) -> Result<Entry, RecordError> {
    let Whom { account, chain, asked_by } = whom;
    let given = |text: &str| (!text.is_empty()).then(|| Fact::from(text));
    let request = about.request;
    draft.finish(&Record {
        schema: RECORD_SCHEMA,
        log: about.log,
        id: new_uid("rec"),
        time: Moment(about.at),
        organization: about.org.to_owned(),
        scope: about.scope.to_owned(),
        account,
        chain,
        asked_by,
        directory_revision: u64::try_from(about.revision).unwrap_or(0),
        request: (!request.id.is_empty()).then(|| Asked {
            id: request.id.clone(),
            ip: given(&request.ip),
            peer: given(&request.peer),
            user_agent: given(&request.user_agent),
        }),
        body,
    })
}

/// An account as it is now.
pub fn actor(
    draft: &mut Draft,
    account: &AccountFacts,
    credential: Option<&str>,
    (groups, roles): Standing,
) -> Result<Actor, RecordError> {
    let id = match account.kind {
        Kind::User => draft.seal(&account.uid, "account.id", &account.id)?,
        _ => Fact::from(account.id.as_str()),
    };
    Ok(Actor {
        kind: account.kind.wire().to_owned(),
        id,
        uid: account.uid.clone(),
        credential: credential.map(str::to_owned),
        owner: account.owner.clone(),
        groups,
        roles,
    })
}

/// Groups, by uid, and roles.
pub type Standing = (Vec<String>, Vec<String>);

/// The groups and roles of an account.
pub fn standing_of(org: &OrgState, account: &AccountFacts) -> Standing {
    let side = &org.own;
    let kind = side.set.vocabulary().kind_by_wire(account.kind.wire());
    let entity = kind.map(|kind| crate::Entity { kind, id: account.id.as_str().into() });
    standing(org, entity.and_then(|entity| side.directory.account(&entity)))
}

/// The same of one by its number in [`OrgState::own`].
pub fn standing(org: &OrgState, account: Option<AccountIx>) -> Standing {
    let side = &org.own;
    let vocabulary = side.set.vocabulary();
    let Some(account) = account else { return Default::default() };
    let account = &side.directory.accounts[account.index()];
    let groups: Vec<_> = account.groups().map(|(g, _)| &side.directory.groups[g.index()]).collect();
    let bindings = account.bindings.iter().chain(groups.iter().flat_map(|g| g.bindings.iter()));
    let mut roles: Vec<_> = bindings.map(|b| vocabulary.roles[b.role.0 as usize].wire.as_str()).collect();
    roles.sort_unstable();
    roles.dedup();
    let groups = groups.iter().map(|g| g.id.to_string());
    (groups.collect(), roles.into_iter().map(str::to_owned).collect())
}

/// What a change made of an object, complete; what says who a person is, sealed.
pub fn change_facts(draft: &mut Draft, action: &str, object: &Object) -> Result<ChangeFacts, RecordError> {
    let mut after = BTreeMap::new();
    if let Value::Object(image) = object.image() {
        for (field, value) in image {
            // The references of a user have the spelling of his id.
            let personal = object.kind == Kind::User && matches!(field.as_str(), "name" | "body" | "refs");
            let fact = match personal {
                true => {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    draft.seal(&object.uid, &format!("user.{field}"), &text)?
                }
                false => {
                    let mut value = value;
                    let uid = |label: &str, _: &str| object.refers(label).map(str::to_owned);
                    seal_people(draft, &mut value, "", &uid)?;
                    Fact::Plain(value)
                }
            };
            after.insert(field, fact);
        }
    }
    Ok(ChangeFacts {
        action: action.to_owned(),
        kind: object.kind.wire().to_owned(),
        uid: object.uid.clone(),
        after: Some(after),
    })
}

/// Seals the ids of people wherever a value names them as `{"kind": "user", "id"}`. `uid` knows the person behind a field and an
/// id; whom it doesn't know is erased by kind and id.
pub fn seal_people(
    draft: &mut Draft,
    value: &mut Value,
    field: &str,
    uid: &dyn Fn(&str, &str) -> Option<String>,
) -> Result<(), RecordError> {
    match value {
        Value::Array(all) => all.iter_mut().try_for_each(|one| seal_people(draft, one, field, uid)),
        Value::Object(members) => {
            let id = members.get("id").and_then(Value::as_str).map(str::to_owned);
            if let Some(id) = id.filter(|_| members.get("kind").is_some_and(|kind| kind == "user")) {
                let person = uid(field, &id).unwrap_or_else(|| format!("user/{id}"));
                let name = if field.is_empty() { "id" } else { field };
                let Fact::Sealed(seal) = draft.seal(&person, name, &id)? else { return Ok(()) };
                members.insert("id".to_owned(), serde_json::json!({ "sealed": seal }));
            }
            let mut each = members.iter_mut();
            each.try_for_each(|(name, one)| seal_people(draft, one, name, uid))
        }
        _ => Ok(()),
    }
}

/// Seals the ids of people in what a decision says of its question.
pub fn seal_asked(draft: &mut Draft, facts: &mut DecisionFacts, org: &OrgState) -> Result<(), RecordError> {
    let uid = |_: &str, id: &str| org.account_named(Kind::User, id).map(|a| a.uid);
    if let Fact::Plain(Value::String(resource)) = &facts.resource
        && let Some(id) = resource.strip_prefix("user/")
    {
        let person = uid("", id).unwrap_or_else(|| resource.clone());
        facts.resource = draft.seal(&person, "resource", &resource.clone())?;
    }
    for (name, fact) in &mut facts.inputs {
        if let Fact::Plain(value) = fact {
            seal_people(draft, value, name, &uid)?;
        }
    }
    Ok(())
}

/// A question that was asked of an organization's set, and its answer.
pub struct Decided {
    /// The id of the event.
    pub event: String,
    /// The action.
    pub action: String,
    /// `kind/id`.
    pub resource: String,
    /// What was read of the request.
    pub inputs: BTreeMap<String, Fact>,
    /// Whether it was allowed.
    pub allowed: bool,
    /// The step that decided.
    pub step: String,
    /// The rule that decided.
    pub rule: Option<String>,
}

impl From<Decided> for DecisionFacts {
    fn from(d: Decided) -> DecisionFacts {
        DecisionFacts {
            event: d.event,
            action: d.action,
            resource: Fact::Plain(d.resource.into()),
            inputs: d.inputs,
            allowed: d.allowed,
            step: d.step,
            rule: d.rule,
            account: None,
            chain: Vec::new(),
            scope: None,
        }
    }
}
