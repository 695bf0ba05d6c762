//! `POST /v1/authorize` and `/v1/authorize/batch`: may this account do that?
//!
//! In:    a caller, perhaps its client's credential, one question or several.
//! Out:   answers, each with the id of its event; and the record, which must be durable before they are sent.
//! Law:   a record says of each answer whom and which place it is about. Asking for others, supplying attributes and asserting who stands behind somebody are rights at the place asked
//!        about; without them the question isn't looked into, and whether anybody or anything exists isn't told.

use super::authn::{Caller, KeyRefusal};
use super::change::RequestFacts;
use super::guard::{Rights, asking, credential};
use super::journal::{self, About, Decided};
use super::memory::{AccountFacts, OrgState};
use super::problem::Problem;
use super::secret::new_uid;
use crate::audit::record::{Body, DecisionFacts, Draft, Entry, Fact, Log};
use crate::{Answer, Asked, AskedCredential, Json, Member, Mistakes, Path, Question, RequestError, Value};
use serde::Serialize;
use serde_json::{Value as JsonValue, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Questions in one batch.
pub const BATCH_MAX: usize = 200;

/// Whose rights are asked about, when it isn't who the body names.
pub enum Client {
    /// The caller itself, or whom the body names.
    None,
    /// Whoever presented this key to the caller.
    Key(Box<Caller>),
    /// Whoever it was, its key, with this public id, isn't live.
    Refused(KeyRefusal, String),
}

/// What a request to decide brings.
pub struct Asking<'a> {
    /// The organization.
    pub org: &'a OrgState,
    /// Who asks.
    pub caller: &'a Caller,
    /// For whom.
    pub client: &'a Client,
    /// When: the server's time.
    pub now: i64,
    /// The request.
    pub request: &'a RequestFacts,
    /// What the caller may do, and where, as far as it was looked up.
    pub rights: RefCell<Rights>,
}

/// Answers and their record.
pub struct Decisions {
    /// What is answered: JSON.
    pub body: String,
    /// What must be durable first: one record, or several where one would be too large.
    pub entries: Vec<Entry>,
}

/// Answers one question.
pub fn one(asking: &Asking<'_>, body: &str) -> Result<Decisions, Problem> {
    let json = parse(body)?;
    let found = answer(asking, json)?;
    let entry = record(asking, &[(found.facts, found.subject, found.scope)])?;
    Ok(Decisions { body: found.shown, entries: vec![entry] })
}

/// Answers several; a question that doesn't fit is answered in its place.
pub fn batch(asking: &Asking<'_>, body: &str) -> Result<Decisions, Problem> {
    let json = parse(body)?;
    let mut out = Mistakes::new();
    let fields = json.fields(&Path::Root, ["requests"], &mut out);
    let Some([Some(requests)]) = fields.filter(|_| out.is_empty()) else {
        return Err(Problem::invalid("expected `{\"requests\": […]}`"));
    };
    let mut all = Vec::new();
    if !requests.each(|_, request| all.push(request)) {
        return Err(Problem::field("requests", "expected an array of requests"));
    }
    if all.is_empty() || all.len() > BATCH_MAX {
        return Err(Problem::field("requests", format!("1 to {BATCH_MAX} requests")));
    }
    let (mut answers, mut items) = (Vec::new(), Vec::new());
    for request in all {
        match answer(asking, request) {
            Ok(found) => {
                answers.push(found.shown);
                items.push((found.facts, found.subject, found.scope));
            }
            Err(problem) => {
                answers.push(json!({ "error": problem.document(&asking.request.id) }).to_string());
            }
        }
    }
    let entries = records(asking, &items)?;
    let answers = answers.join(",");
    let body = format!("{{\"answers\":[{answers}],\"revision\":{}}}", asking.org.revision);
    Ok(Decisions { body, entries })
}

fn parse(body: &str) -> Result<Json<'_>, Problem> {
    if super::fields::too_deep(body) {
        return Err(Problem::invalid("the body nests too deep"));
    }
    Json::parse(body).map_err(|e| Problem::invalid(format!("the body is not JSON: {}", e.in_text(body))))
}

/// One answer.
struct Answered {
    /// As JSON.
    shown: String,
    facts: DecisionFacts,
    subject: Option<AccountFacts>,
    scope: String,
}

/// An answer as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    told: &'a Answer,
    event: &'a str,
    revision: i64,
    policy_set: Option<&'a str>,
}

/// Who the question is about.
enum Subject<'a> {
    /// The caller, with its own key.
    Own,
    /// The caller's client, with its key.
    Client(&'a Caller),
    /// Whom the body names.
    Named,
}

/// The question as the engine reads it: what the body says, with the account that a key stands for; none where the body names
/// one itself.
fn compose(
    asking: &Asking<'_>,
    json: Json<'_>,
) -> Result<(Option<String>, Subject<'static>, Parts), Problem> {
    let members = json.members().ok_or_else(|| Problem::invalid("expected a JSON object"))?;
    let mut parts = Parts::default();
    let mut named = false;
    for member in &members {
        match &*member.key {
            "credential" => {
                let say = "send your client's key in the header `Policyd-Client-Key`, not in the body";
                return Err(Problem::field("credential", say));
            }
            "account" => named = true,
            "context" => parts.context = serde_json::from_str(member.value.text).ok(),
            "resource" => parts.resource = serde_json::from_str(member.value.text).ok(),
            "action" => parts.action = serde_json::from_str(member.value.text).ok(),
            "acting_for" => parts.acting_for = serde_json::from_str(member.value.text).ok(),
            "scope" => parts.scope = member.value.string().map(|s| s.into_owned()),
            _ => {}
        }
    }
    let subject = match (asking.client, named) {
        (Client::None, true) => Subject::Named,
        (_, true) => {
            return Err(Problem::field("account", "leave it out: the client's key says who it is"));
        }
        (Client::Key(_) | Client::Refused(..), false) => Subject::Named,
        (Client::None, false) => Subject::Own,
    };
    if parts.context.as_ref().is_some_and(|c| c.get("now").is_some()) {
        return Err(Problem::field("context.now", "leave it out: the server's time counts"));
    }
    let with_account = (!named).then(|| with_account(asking, &members));
    Ok((with_account, subject, parts))
}

/// The question with the account that a key stands for.
fn with_account(asking: &Asking<'_>, members: &[Member<'_>]) -> String {
    let mut text = String::from("{");
    for member in members {
        let _ = write!(text, "{}:{},", member.written.text, member.value.text);
    }
    let account = match asking.client {
        Client::Key(client) => client.account.as_ref(),
        Client::None => asking.caller.account.as_ref(),
        Client::Refused(..) => None,
    };
    if let Some(account) = account {
        let account = json!({ "kind": account.kind.wire(), "id": account.id });
        let _ = write!(text, "\"account\":{account},");
    }
    if text.ends_with(',') {
        text.pop();
    }
    text.push('}');
    text
}

/// What a body says, for rights and records.
#[derive(Default)]
struct Parts {
    context: Option<JsonValue>,
    resource: Option<JsonValue>,
    action: Option<JsonValue>,
    acting_for: Option<JsonValue>,
    scope: Option<String>,
}

fn forbidden() -> Problem {
    Problem::forbidden(
        "needs the right `ask` at the place asked about; about yourself, only what you say of nothing else",
    )
}

fn answer(asking: &Asking<'_>, json: Json<'_>) -> Result<Answered, Problem> {
    let (with_account, subject, parts) = compose(asking, json)?;
    let json = with_account.as_deref().map_or(Ok(json), parse)?;
    let subject = match (asking.client, subject) {
        (Client::Key(client), _) => Subject::Client(client),
        (_, other) => other,
    };
    let org = asking.org;
    if let Client::Refused(why, key_id) = asking.client {
        if !may(asking, "ask", &org.id) {
            return Err(forbidden());
        }
        return Ok(refused_key(parts, *why, key_id));
    }
    let own = matches!(subject, Subject::Own);
    let resolved = resolve(asking, json, &subject);
    let question = match resolved {
        Ok(question) => question,
        Err(error) => {
            // Only who may ask about everything hears what is and isn't there.
            return if may(asking, "ask", &org.id) {
                Err(Problem::field(error.field, error.message))
            } else if own {
                Err(Problem::field(error.field, "it doesn't fit: needs the right `ask` to hear more"))
            } else {
                Err(forbidden())
            };
        }
    };
    let place =
        question.scope.map_or(org.id.as_str(), |ix| org.own.directory.scopes[ix.index()].entity.id.as_str());
    let asks = may(asking, "ask", place);
    if !own && !asks {
        return Err(forbidden());
    }
    rights(asking, &question, &parts, own, place)?;
    if let Some(gone) = without_meaning(org, &question) {
        let because = format!("the active policy set has no meaning for the stored {gone}");
        let mut found = denied(parts, "directory", &because);
        found.subject = about(asking, &subject, &question);
        found.scope = place.to_owned();
        return Ok(found);
    }
    let decision = org.own.decide(&question);
    let mut told = org.own.set.render(&question, &decision);
    let event = new_uid("ev");
    let step = told.refused_by.and_then(|s| serde_json::to_value(s).ok()?.as_str().map(str::to_owned));
    let step = step.unwrap_or_else(|| "allow".to_owned());
    let rule = told.rule.as_ref().map(ToString::to_string);
    if own && !asks {
        told.rule = None;
    }
    let shown =
        Shown { told: &told, event: &event, revision: org.revision, policy_set: org.active.as_deref() };
    let shown = serde_json::to_string(&shown).expect("decide: an answer is JSON");
    let facts = Decided {
        event,
        action: part(&parts.action, "name"),
        resource: format!("{}/{}", part(&parts.resource, "kind"), part(&parts.resource, "id")),
        inputs: inputs(parts),
        allowed: decision.is_allow(),
        step,
        rule,
    };
    Ok(Answered {
        shown,
        facts: facts.into(),
        subject: about(asking, &subject, &question),
        scope: place.to_owned(),
    })
}

/// Whom a question is about, as far as he can act.
fn about(asking: &Asking<'_>, subject: &Subject<'_>, question: &Question) -> Option<AccountFacts> {
    let org = asking.org;
    match subject {
        Subject::Own => asking.caller.account.clone(),
        Subject::Client(client) => client.account.clone(),
        Subject::Named => org.acting(question.account_ix?),
    }
}

/// What a question names that is stored and has no meaning: what rules should know of it, they can't.
fn without_meaning(org: &OrgState, question: &Question) -> Option<String> {
    let vocabulary = org.own.set.vocabulary();
    if org.gone.is_empty() {
        return None;
    }
    let overlay = question.overlay.iter().flat_map(|o| o.entity.iter().chain(&o.parent));
    let own = std::iter::once(&question.account).chain(&question.acting_for);
    own.chain(&question.resource.entity).chain(overlay).find_map(|entity| {
        let name = (vocabulary.kind(entity.kind).wire.to_string(), entity.id.to_string());
        org.gone.contains(&name).then(|| format!("{} \"{}\"", name.0, name.1))
    })
}

/// The answer about a client whose key isn't live: a denial, recorded like any other.
fn refused_key(parts: Parts, why: KeyRefusal, key_id: &str) -> Answered {
    let mut found = denied(parts, "credential", "the client's key is not live");
    found.facts.inputs.insert("credential".to_owned(), Fact::from(why.word()));
    found.facts.inputs.insert("key_id".to_owned(), Fact::from(key_id));
    found
}

/// A denial before any rule is asked.
fn denied(parts: Parts, step: &str, because: &str) -> Answered {
    let event = new_uid("ev");
    let shown = json!({
        "decision": "deny", "rule": null, "refused_by": step, "because": [because], "ask": null, "event": event,
    })
    .to_string();
    let scope = parts.scope.clone().unwrap_or_default();
    let facts = Decided {
        event,
        action: part(&parts.action, "name"),
        resource: format!("{}/{}", part(&parts.resource, "kind"), part(&parts.resource, "id")),
        inputs: inputs(parts),
        allowed: false,
        step: step.to_owned(),
        rule: None,
    };
    Answered { shown, facts: facts.into(), subject: None, scope }
}

fn part(of: &Option<JsonValue>, field: &str) -> String {
    of.as_ref().and_then(|v| v.get(field)?.as_str()).unwrap_or_default().to_owned()
}

fn inputs(parts: Parts) -> BTreeMap<String, Fact> {
    let take = |of: &mut Option<JsonValue>, field: &str| of.as_mut()?.as_object_mut()?.remove(field);
    let Parts { context, mut resource, mut action, acting_for, scope } = parts;
    let given = [
        ("context", context),
        ("resource.attributes", take(&mut resource, "attributes")),
        ("resource.in", take(&mut resource, "in")),
        ("action.attributes", take(&mut action, "attributes")),
        ("acting_for", acting_for),
        ("scope", scope.map(JsonValue::String)),
    ];
    given.into_iter().filter_map(|(name, v)| Some((name.to_owned(), Fact::Plain(v?)))).collect()
}

fn may(asking: &Asking<'_>, action: &'static str, place: &str) -> bool {
    asking.rights.borrow_mut().may(asking.org, asking.caller, action, place, asking.now)
}

/// The rights beside asking that a question takes.
fn rights(
    asking: &Asking<'_>,
    question: &Question,
    parts: &Parts,
    own: bool,
    place: &str,
) -> Result<(), Problem> {
    let account = &question.account;
    let vocabulary = asking.org.own.set.vocabulary();
    // What the credential says of its account is in the question; what the body says of it is the body's own.
    let by_body = says_of(parts, &vocabulary.kind(account.kind).wire, &account.id);
    let said = |o: &&crate::Overlay| {
        let of_self = own && !by_body && o.entity.as_ref() == Some(account);
        !of_self && (o.parent.is_some() || o.attributes.iter().any(Option::is_some))
    };
    let context = parts.context.as_ref().and_then(JsonValue::as_object).is_some_and(|c| !c.is_empty());
    if (context || question.overlay.iter().any(|o| said(&o))) && !may(asking, "supply", place) {
        return Err(Problem::forbidden(
            "needs the right `supply` here: the request brings values of its own",
        ));
    }
    if !own && parts.acting_for.is_some() && !may(asking, "assert_chain", place) {
        return Err(Problem::forbidden(
            "needs the right `assert_chain` here: the request says who stands behind",
        ));
    }
    Ok(())
}

/// Whether a body gives values of its own to this account, as what is acted on or as who stands behind.
fn says_of(parts: &Parts, kind: &str, id: &str) -> bool {
    let gives = |entity: &JsonValue| {
        let given = |field: &str| match entity.get(field) {
            None | Some(JsonValue::Null) => false,
            Some(value) => value.as_object().is_none_or(|fields| !fields.is_empty()),
        };
        entity["kind"] == kind && entity["id"] == id && (given("attributes") || given("in"))
    };
    let behind = parts.acting_for.iter().filter_map(JsonValue::as_array).flatten();
    parts.resource.iter().chain(behind).any(gives)
}

fn resolve(asking: &Asking<'_>, json: Json<'_>, subject: &Subject<'_>) -> Result<Question, RequestError> {
    let org = asking.org;
    let side = &org.own;
    let mut asked: Asked = side.set.asked(json)?;
    if let Some(now) = asked.context.first_mut() {
        *now = Some(Value::Time(asking.now));
    }
    let presented = match subject {
        Subject::Own => Some(asking.caller),
        Subject::Client(client) => Some(*client),
        Subject::Named => None,
    };
    if let Some(presented) = presented {
        let whole = || RequestError::whole("the key's ceilings have no meaning in the active policy set");
        let account = presented.account.as_ref().ok_or_else(whole)?;
        asked.account = self::asking(side, presented, account).ok_or_else(whole)?;
        asked.credential = Some(credential(side, presented, true).ok_or_else(whole)?);
        let entries = side.set.vocabulary().context.iter().enumerate();
        for (slot, entry) in entries.filter(|(_, e)| side.set.vocabulary().name(e.name) == "ip") {
            if entry.ty == crate::Type::Ip && matches!(subject, Subject::Own) {
                asked.context[slot] = Some(Value::Ip(presented.ip));
            }
        }
    } else {
        asked.credential = None::<AskedCredential>;
    }
    side.set.question(&side.directory, asked, &|policy| org.key_policy(policy))
}

/// An answer, whom it is about, and where.
type Item = (DecisionFacts, Option<AccountFacts>, String);

/// One record; of more than one can hold, two.
fn records(asking: &Asking<'_>, items: &[Item]) -> Result<Vec<Entry>, Problem> {
    match record(asking, items) {
        Ok(entry) => Ok(vec![entry]),
        Err(problem) if problem.status == 413 && items.len() > 1 => {
            let (first, second) = items.split_at(items.len() / 2);
            Ok([records(asking, first)?, records(asking, second)?].concat())
        }
        Err(problem) => Err(problem),
    }
}

/// The innermost place that two paths have in common.
fn shared(a: &str, b: &str) -> String {
    let same = a.split('/').zip(b.split('/')).take_while(|(x, y)| x == y);
    same.map(|(part, _)| part).collect::<Vec<_>>().join("/")
}

fn record(asking: &Asking<'_>, items: &[Item]) -> Result<Entry, Problem> {
    let mut draft = Draft::new()?;
    let by = &asking.caller;
    let org = Some(asking.org);
    let uid = |s: &Option<AccountFacts>| s.as_ref().map(|s| s.uid.clone());
    let own = |s: &Option<AccountFacts>| uid(s) == uid(&by.account);
    let credential = |s: &Option<AccountFacts>| match asking.client {
        Client::Key(client) => Some(client.key.uid.as_str()),
        _ if own(s) => Some(by.key.uid.as_str()),
        _ => None,
    };
    let scope = items.iter().map(|(.., at)| at.clone()).reduce(|a, b| shared(&a, &b)).unwrap_or_default();
    let first = items.first().and_then(|(_, subject, _)| subject.clone());
    let alike = items.iter().all(|(_, subject, _)| uid(subject) == uid(&first));
    let mut decisions = Vec::new();
    for (facts, subject, at) in items {
        let mut facts = facts.clone();
        journal::seal_asked(&mut draft, &mut facts, asking.org)?;
        if let Some(subject_facts) = subject.as_ref().filter(|_| !alike) {
            facts.account = Some(journal::actor(&mut draft, subject_facts, credential(subject), org)?);
        }
        facts.scope = Some(at.clone()).filter(|at| *at != scope);
        decisions.push(facts);
    }
    let account = first.clone().filter(|_| alike);
    let account = account.map(|s| journal::actor(&mut draft, &s, credential(&first), org)).transpose()?;
    let asked_by = match &by.account {
        Some(caller) if !alike || !own(&first) => {
            Some(journal::actor(&mut draft, caller, Some(&by.key.uid), org)?)
        }
        _ => None,
    };
    let about = About {
        log: Log::Decisions,
        org: &asking.org.uid,
        scope: &scope,
        at: asking.now,
        revision: asking.org.revision,
        request: asking.request,
    };
    let policy_set = asking.org.active.clone().unwrap_or_default();
    let body = Body::Decided { policy_set, decisions };
    Ok(journal::finish(&about, account, asked_by, body, draft)?)
}
