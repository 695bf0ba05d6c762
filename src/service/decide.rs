//! `POST /v1/authorize` and `/v1/authorize/batch`: may this account do that?
//!
//! In:    a caller, perhaps its client's credential, one question or several.
//! Out:   answers, each with the id of its event; and the record, which must be durable before they are sent.
//! Law:   a record says of each answer whom and which place it is about. Asking for others, supplying attributes and asserting who stands behind somebody are rights at the place asked
//!        about; without them the question isn't looked into, and whether anybody or anything exists isn't told.

use super::authn::{Caller, KeyRefusal};
use super::change::RequestFacts;
use super::decided::{Item, record};
use super::fields::{DEPTH_MAX, too_deep};
use super::guard::{Rights, asking, credential};
use super::journal::Decided;
use super::memory::{AccountFacts, OrgState};
use super::problem::Problem;
use super::secret::new_uid;
use crate::audit::record::{Entry, Fact};
use crate::{
    Asked, AskedCredential, Effect, Json, Member, Mistakes, Named, Path, Question, RequestError, Step, Value,
};
use serde::Serialize;
use serde_json::{Value as JsonValue, json};
use smallvec::SmallVec;
use smol_str::SmolStr;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

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
    pub rights: RefCell<Rights<'a>>,
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
    let account = OnceCell::new();
    shallow(body, DEPTH_MAX)?;
    let (json, members) = parse(body)?;
    let found = answer(asking, read(asking, json, members, &account)?)?;
    let entry = record(asking, vec![found.item])?;
    Ok(Decisions { body: found.shown, entries: vec![entry] })
}

/// Answers several; a question that doesn't fit is answered in its place.
pub fn batch(asking: &Asking<'_>, body: &str) -> Result<Decisions, Problem> {
    let requests = match Json::objects_in(body, "requests", BATCH_MAX) {
        Some(requests) => {
            // Two brackets are around each.
            requests.iter().try_for_each(|(json, _)| shallow(json.text, DEPTH_MAX - 2))?;
            requests.into_iter().map(|(json, members)| (json, Some(members))).collect()
        }
        None => requests(body)?,
    };
    let (answers, entries) = several(asking, requests)?;
    let answers = answers.join(",");
    let body = format!("{{\"answers\":[{answers}],\"revision\":{}}}", asking.org.revision);
    Ok(Decisions { body, entries })
}

/// The requests of a batch, read by and by.
fn requests(body: &str) -> Result<Vec<Request<'_>>, Problem> {
    shallow(body, DEPTH_MAX)?;
    let (_, members) = parse(body)?;
    let mut out = Mistakes::new();
    let fields = members.map(|members| Json::known(members, &Path::Root, ["requests"], &mut out));
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
    Ok(all.into_iter().map(|json| (json, json.members())).collect())
}

/// The answers, and one record of them; of more than one can hold, several.
fn several(asking: &Asking<'_>, requests: Vec<Request<'_>>) -> Result<(Vec<String>, Vec<Entry>), Problem> {
    let account = OnceCell::new();
    let texts: Vec<_> = requests.iter().map(|(json, _)| *json).collect();
    let read = requests.into_iter().map(|(json, members)| read(asking, json, members, &account));
    let read: Vec<_> = read.collect();
    fetch(asking.org, read.iter().flatten());
    let (mut answers, mut items) = (Vec::with_capacity(read.len()), Vec::with_capacity(read.len()));
    for read in read {
        match read.and_then(|read| answer(asking, read)) {
            Ok(found) => {
                answers.push(found.shown);
                items.push(found.item);
            }
            Err(problem) => {
                answers.push(json!({ "error": problem.document(&asking.request.id) }).to_string());
            }
        }
    }
    match record(asking, items) {
        Ok(entry) => Ok((answers, vec![entry])),
        // The moment and the organization are the same: so are the answers.
        Err(problem) if problem.status == 413 && texts.len() > 1 => {
            let half = |texts: &[Json<'_>]| {
                several(asking, texts.iter().map(|json| (*json, json.members())).collect())
            };
            let (first, second) = texts.split_at(texts.len() / 2);
            let (first, second) = (half(first)?, half(second)?);
            Ok(([first.0, second.0].concat(), [first.1, second.1].concat()))
        }
        Err(problem) => Err(problem),
    }
}

/// Reads together what several questions name, so that it is near when each is answered.
fn fetch<'r>(org: &OrgState, all: impl Iterator<Item = &'r Read<'r>>) {
    let mut named = Named::default();
    for asked in all.filter_map(|read| read.asked.as_ref().ok()) {
        named.accounts.push(&asked.account.entity);
        named.resources.extend(asked.id.as_deref().map(|id| (asked.kind, id)));
        named.scopes.extend(asked.scope.as_deref());
    }
    for account in org.own.directory.fetch(&named) {
        std::hint::black_box(org.accounts.get(account).is_some());
    }
    org.guard.directory.fetch(&Named { scopes: named.scopes, ..Named::default() });
}

/// A request, and its members if it is an object.
type Request<'a> = (Json<'a>, Option<Vec<Member<'a>>>);

/// Refuses what nests too deep.
fn shallow(text: &str, most: usize) -> Result<(), Problem> {
    match too_deep(text, most) {
        true => Err(Problem::invalid("the body nests too deep")),
        false => Ok(()),
    }
}

/// Checks that a body is JSON; its members, if it is an object.
fn parse(body: &str) -> Result<Request<'_>, Problem> {
    Json::object(body).map_err(|e| Problem::invalid(format!("the body is not JSON: {}", e.in_text(body))))
}

/// One answer.
struct Answered {
    /// As JSON.
    shown: String,
    item: Item,
}

/// An answer as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    decision: Effect,
    rule: Option<&'a str>,
    refused_by: Option<Step>,
    because: &'a [SmolStr],
    ask: Option<&'a str>,
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

/// A question as a body gives it.
struct Read<'a> {
    subject: Subject<'a>,
    parts: Parts<'a>,
    /// As the engine reads it.
    asked: Result<Asked, RequestError>,
}

impl Asking<'_> {
    /// The account that a key stands for, as a body would name it.
    fn account(&self) -> Option<String> {
        let account = match self.client {
            Client::Key(client) => client.account.as_ref(),
            Client::None => self.caller.account.as_ref(),
            Client::Refused(..) => None,
        };
        account.map(|account| json!({ "kind": account.kind.wire(), "id": account.id }).to_string())
    }
}

/// Reads a question, which should be an object; `account` keeps whom it is about where it names nobody.
fn read<'a>(
    asking: &'a Asking<'_>,
    json: Json<'a>,
    members: Option<Vec<Member<'a>>>,
    account: &'a OnceCell<Option<String>>,
) -> Result<Read<'a>, Problem> {
    let mut members = members.ok_or_else(|| Problem::invalid("expected a JSON object"))?;
    let mut parts = Parts::default();
    let mut named = false;
    for member in &members {
        let value = Some(member.value);
        match &*member.key {
            "credential" => {
                let say = "send your client's key in the header `Policyd-Client-Key`, not in the body";
                return Err(Problem::field("credential", say));
            }
            "account" => named = true,
            "context" => parts.context = Some(kept(member)?),
            "resource" => parts.resource = value,
            "action" => parts.action = value,
            "acting_for" => parts.acting_for = Some(kept(member)?),
            "scope" => parts.scope = member.value.string().map(|s| s.into_owned()),
            _ => {}
        }
    }
    let subject = match (asking.client, named) {
        (Client::None, true) => Subject::Named,
        (_, true) => {
            return Err(Problem::field("account", "leave it out: the client's key says who it is"));
        }
        (Client::Key(client), false) => Subject::Client(client),
        (Client::Refused(..), false) => Subject::Named,
        (Client::None, false) => Subject::Own,
    };
    if parts.context.as_ref().is_some_and(|c| c.get("now").is_some()) {
        return Err(Problem::field("context.now", "leave it out: the server's time counts"));
    }
    if !named && let Some(account) = account.get_or_init(|| asking.account()) {
        let written = Json { text: "\"account\"", at: json.at };
        let value = Json { text: account, at: json.at };
        members.push(Member { key: "account".into(), written, value });
    }
    let asked = asking.org.own.set.asked(json, members);
    parts.named = asked.as_ref().ok().map(|asked| Said::of(asking.org, asked));
    Ok(Read { subject, parts, asked })
}

/// A value as records keep it; none of a number beyond all bounds or an escape that is no character.
fn whole(json: Json<'_>) -> Option<JsonValue> {
    serde_json::from_str(json.text).ok()
}

/// The value of a member that rights hang on: what can't be read is never taken for absent.
fn kept(member: &Member<'_>) -> Result<JsonValue, Problem> {
    let bad = || Problem::field(&*member.key, "a number in it is out of range, or an escape is no character");
    whole(member.value).ok_or_else(bad)
}

/// What a body says, for rights and records.
#[derive(Default)]
struct Parts<'a> {
    context: Option<JsonValue>,
    resource: Option<Json<'a>>,
    action: Option<Json<'a>>,
    acting_for: Option<JsonValue>,
    scope: Option<String>,
    named: Option<Said>,
}

/// What a question names, once the engine has read it.
struct Said {
    action: String,
    /// Kind and id of what is acted on.
    resource: String,
    /// Whether it says nothing more of either: nulls and empty objects are nothing.
    bare: bool,
}

impl Said {
    fn of(org: &OrgState, asked: &Asked) -> Said {
        let vocabulary = org.own.set.vocabulary();
        let kind = vocabulary.kind(asked.kind).wire.as_str();
        let said = asked.attributes.iter().chain(&asked.properties).any(Option::is_some);
        Said {
            action: vocabulary.action(asked.action).wire.to_string(),
            resource: [kind, "/", asked.id.as_deref().unwrap_or_default()].concat(),
            bare: !said && asked.parent.is_none(),
        }
    }
}

fn forbidden() -> Problem {
    Problem::forbidden(
        "needs the right `ask` at the place asked about; about yourself, only what you say of nothing else",
    )
}

fn answer(asking: &Asking<'_>, read: Read<'_>) -> Result<Answered, Problem> {
    let Read { subject, parts, asked } = read;
    let org = asking.org;
    if let Client::Refused(why, key_id) = asking.client {
        if !may(asking, "ask", &org.id) {
            return Err(forbidden());
        }
        return Ok(refused_key(parts, *why, key_id));
    }
    let own = matches!(subject, Subject::Own);
    let resolved = asked.and_then(|asked| resolve(asking, asked, &subject));
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
    let takes = takes(asking, &question, &parts, own);
    let rights = std::iter::once("ask").chain(takes.iter().map(|(right, _)| *right));
    let rights: SmallVec<[&'static str; 3]> = rights.collect();
    let may = asking.rights.borrow_mut().each(&rights, place);
    let asks = may[0];
    if !own && !asks {
        return Err(forbidden());
    }
    if let Some(((_, why), _)) = takes.into_iter().zip(&may[1..]).find(|(_, may)| !**may) {
        return Err(Problem::forbidden(why));
    }
    let whom = |mut found: Answered| {
        found.item.subject = about(asking, &subject, &question);
        found.item.account = question.account_ix;
        found.item.scope = place.to_owned();
        found
    };
    if let Some(gone) = without_meaning(org, &question) {
        let because = format!("the active policy set has no meaning for the stored {gone}");
        return Ok(whom(denied(parts, "directory", &because)));
    }
    let resolved = org.own.resolve(&question);
    let decision = resolved.decide();
    let behind = resolved.behind().filter_map(|entity| org.own.directory.account(entity)).collect();
    let mut told = org.own.set.render(&question, &decision);
    let event = new_uid("ev");
    let step = told.refused_by.and_then(|s| serde_json::to_value(s).ok()?.as_str().map(str::to_owned));
    let step = step.unwrap_or_else(|| "allow".to_owned());
    let rule = told.rule.as_ref().map(ToString::to_string);
    if own && !asks {
        told.rule = None;
    }
    let shown = Shown {
        decision: told.decision,
        rule: told.rule.as_deref(),
        refused_by: told.refused_by,
        because: &told.because,
        ask: told.ask.as_deref(),
        event: &event,
        revision: org.revision,
        policy_set: org.active.as_deref(),
    };
    let shown = serde_json::to_string(&shown).expect("decide: an answer is JSON");
    let mut found = whom(answered(shown, event, parts, (decision.is_allow(), step, rule)));
    found.item.chain = behind;
    Ok(found)
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
fn refused_key(parts: Parts<'_>, why: KeyRefusal, key_id: &str) -> Answered {
    let mut found = denied(parts, "credential", "the client's key is not live");
    found.item.facts.inputs.insert("credential".to_owned(), Fact::from(why.word()));
    found.item.facts.inputs.insert("key_id".to_owned(), Fact::from(key_id));
    found
}

/// A denial before any rule is asked.
fn denied(parts: Parts<'_>, step: &str, because: &str) -> Answered {
    let event = new_uid("ev");
    let shown = json!({
        "decision": "deny", "rule": null, "refused_by": step, "because": [because], "ask": null, "event": event,
    })
    .to_string();
    answered(shown, event, parts, (false, step.to_owned(), None))
}

/// An answer with what a record says of its question; whether it is allowed, by which step, by which rule.
fn answered(
    shown: String,
    event: String,
    parts: Parts<'_>,
    (allowed, step, rule): (bool, String, Option<String>),
) -> Answered {
    let Parts { context, mut resource, mut action, acting_for, scope, named } = parts;
    if named.as_ref().is_some_and(|named| named.bare) {
        (resource, action) = (None, None);
    }
    let [kind, id, attributes, within] = members(resource, ["kind", "id", "attributes", "in"]);
    let [name, properties] = members(action, ["name", "attributes"]);
    let text = |json: Option<Json<'_>>| json.and_then(|json| json.string()).unwrap_or_default().into_owned();
    let given = [
        ("context", context),
        ("resource.attributes", attributes.and_then(whole)),
        ("resource.in", within.and_then(whole)),
        ("action.attributes", properties.and_then(whole)),
        ("acting_for", acting_for),
        ("scope", scope.clone().map(JsonValue::String)),
    ];
    let mut inputs = BTreeMap::new();
    for (name, value) in given {
        if let Some(value) = value {
            inputs.insert(name.to_owned(), Fact::Plain(value));
        }
    }
    let (action, resource) = match named {
        Some(named) => (named.action, named.resource),
        None => (text(name), format!("{}/{}", text(kind), text(id))),
    };
    let facts = Decided { event, action, resource, inputs, allowed, step, rule };
    let scope = scope.unwrap_or_default();
    let item = Item { facts: facts.into(), subject: None, account: None, chain: Vec::new(), scope };
    Answered { shown, item }
}

/// Members of an object by their names, the last ones of their name.
fn members<'a, const N: usize>(of: Option<Json<'a>>, names: [&str; N]) -> [Option<Json<'a>>; N] {
    let mut found = [None; N];
    for member in of.and_then(Json::members).unwrap_or_default() {
        if let Some(at) = names.iter().position(|name| *name == member.key) {
            found[at] = Some(member.value);
        }
    }
    found
}

fn may(asking: &Asking<'_>, action: &'static str, place: &str) -> bool {
    asking.rights.borrow_mut().may(action, place)
}

/// The rights beside asking that a question takes, each with what is said where it is missing.
fn takes(
    asking: &Asking<'_>,
    question: &Question,
    parts: &Parts<'_>,
    own: bool,
) -> Vec<(&'static str, &'static str)> {
    let account = &question.account;
    let vocabulary = asking.org.own.set.vocabulary();
    // What the credential says of its account is in the question; what the body says of it is the body's own.
    let by_body = || says_of(parts, &vocabulary.kind(account.kind).wire, &account.id);
    let said = |o: &crate::Overlay| {
        let of_self = own && o.entity.as_ref() == Some(account) && !by_body();
        !of_self && (o.parent.is_some() || o.attributes.iter().any(Option::is_some))
    };
    let context = parts.context.as_ref().and_then(JsonValue::as_object).is_some_and(|c| !c.is_empty());
    let mut takes = Vec::new();
    if context || question.overlay.iter().any(said) {
        takes.push(("supply", "needs the right `supply` here: the request brings values of its own"));
    }
    if !own && parts.acting_for.is_some() {
        let why = "needs the right `assert_chain` here: the request says who stands behind";
        takes.push(("assert_chain", why));
    }
    takes
}

/// Whether a body gives values of its own to this account, as what is acted on or as who stands behind.
fn says_of(parts: &Parts<'_>, kind: &str, id: &str) -> bool {
    let gives = |entity: &JsonValue| {
        let given = |field: &str| match entity.get(field) {
            None | Some(JsonValue::Null) => false,
            Some(value) => value.as_object().is_none_or(|fields| !fields.is_empty()),
        };
        entity["kind"] == kind && entity["id"] == id && (given("attributes") || given("in"))
    };
    let mut behind = std::iter::successors(parts.acting_for.as_ref(), |entity| entity.get("acting_for"));
    let acted_on = parts.resource.is_some_and(|resource| whole(resource).is_none_or(|value| gives(&value)));
    acted_on || behind.any(gives)
}

fn resolve(asking: &Asking<'_>, mut asked: Asked, subject: &Subject<'_>) -> Result<Question, RequestError> {
    let org = asking.org;
    let side = &org.own;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_body_says_of_an_account_is_found_wherever_it_says_it() {
        let says = |resource: &str, acting_for: &str| {
            let parts = Parts {
                resource: Some(Json { text: resource, at: 0 }).filter(|json| !json.text.is_empty()),
                acting_for: serde_json::from_str(acting_for).ok(),
                ..Parts::default()
            };
            says_of(&parts, "agent", "helper")
        };
        let given = r#"{"kind":"agent","id":"helper","attributes":{"trusted":true}}"#;
        let placed = r#"{"kind":"agent","id":"helper","in":{"kind":"folder","id":"f"}}"#;
        let named = r#"{"kind":"agent","id":"helper","attributes":{},"in":null}"#;
        let other = r#"{"kind":"user","id":"helper","attributes":{"trusted":true}}"#;
        let behind = format!(r#"{{"kind":"user","id":"ana","acting_for":{given}}}"#);
        assert!(says(given, "") && says(placed, "") && says("", given) && says(named, &behind));
        assert!(!says("", "") && !says(named, named) && !says(other, other));
        assert!(
            says(r#"{"kind":"agent","id":"helper","attributes":{"n":1e999}}"#, ""),
            "what can't be read is no silence"
        );
    }
}
