//! A request as text in a struct: [`TextRequest`], for callers who have no JSON at hand.
//!
//! In:    names and values as borrowed text, each in the form it has in JSON; a [`Room`] that is used again.
//! Out:   the [`Question`] in that room, or the [`RequestError`] that the same request in JSON gets.
//! Law:   `quick.rs` takes what is usual and refuses nothing, and so does `tree/door.rs`, where the decision alone is
//!        wanted; what they don't take is written as JSON and goes through that door, so that a refusal has one field path and one message, and nothing is accepted that JSON wouldn't.

use super::json::{self, PolicyContext};
use super::quick::{Quick, Room};
use super::{KeyPolicy, Question, RequestError, Words};
use crate::check::program::{Attribute, Type, Vocabulary};
use std::sync::Arc;

/// Values by wire name.
pub type Fields<'t> = &'t [(&'t str, Text<'t>)];

/// A request as text.
#[derive(Clone, Copy, Debug)]
pub struct TextRequest<'t> {
    /// Who asks.
    pub account: TextAccount<'t>,
    /// Whom it acts for, nearest first.
    pub acting_for: &'t [TextAccount<'t>],
    /// Where: a path.
    pub scope: Option<&'t str>,
    /// What is done.
    pub action: &'t str,
    /// The action's properties.
    pub properties: Fields<'t>,
    /// What it is done to.
    pub resource: TextResource<'t>,
    /// The context.
    pub context: Fields<'t>,
    /// The key presented.
    pub credential: Option<TextCredential<'t>>,
    /// The time in microseconds, which counts unless the context has a `now`.
    pub now: i64,
}

/// A kind and an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextEntity<'t> {
    /// Its kind.
    pub kind: &'t str,
    /// Its id.
    pub id: &'t str,
}

/// An account.
#[derive(Clone, Copy, Debug)]
pub struct TextAccount<'t> {
    /// Kind and id.
    pub entity: TextEntity<'t>,
    /// Its attributes.
    pub attributes: Fields<'t>,
}

/// What is acted on.
#[derive(Clone, Copy, Debug)]
pub struct TextResource<'t> {
    /// Its kind.
    pub kind: &'t str,
    /// Its id; `None` for any of that kind.
    pub id: Option<&'t str>,
    /// What it sits in.
    pub within: Option<TextEntity<'t>>,
    /// Its attributes.
    pub attributes: Fields<'t>,
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub struct TextCredential<'t> {
    /// Its scope: a path.
    pub scope: Option<&'t str>,
    /// Names of its boundaries.
    pub boundaries: &'t [&'t str],
    /// Its own policy text.
    pub policy: KeyText<'t>,
}

/// A key's own policy text.
#[derive(Clone, Copy, Debug)]
pub enum KeyText<'t> {
    /// It has none.
    None,
    /// To be compiled.
    Text(&'t str),
    /// Compiled before, by the same set.
    Compiled(&'t Arc<KeyPolicy>),
}

/// A value as text.
#[derive(Clone, Copy, Debug)]
pub enum Text<'t> {
    /// A plain value: `true`, `7`, `19.99`, `10.0.0.1`, a string as it is.
    One(&'t str),
    /// A set of plain values.
    Many(&'t [&'t str]),
    /// A reference.
    Entity(TextEntity<'t>),
    /// A set of references.
    Entities(&'t [TextEntity<'t>]),
    /// A record.
    Record(Fields<'t>),
    /// A set of records.
    Records(&'t [Fields<'t>]),
}

/// Reads and resolves one request; the question stands in `room` until the next one is read.
///
/// - `words`: those of the same vocabulary.
/// - Errors: [`RequestError`] for a request that doesn't fit; it is never an allow.
pub fn read<'r>(
    policy: &PolicyContext<'_>,
    words: &Words,
    request: &TextRequest<'_>,
    room: &'r mut Room,
) -> Result<&'r Question, RequestError> {
    let quick = Quick { vocabulary: policy.vocabulary, directory: policy.directory, words };
    if quick.read(request, room).is_none() {
        room.put(slowly(policy, request)?);
    }
    Ok(room.question())
}

/// By way of JSON.
fn slowly(policy: &PolicyContext<'_>, request: &TextRequest<'_>) -> Result<Question, RequestError> {
    let text = Writer { vocabulary: policy.vocabulary, out: String::with_capacity(512) }.request(request);
    let compiled = request.credential.and_then(|credential| match credential.policy {
        KeyText::Compiled(policy) => Some(policy),
        KeyText::Text(_) | KeyText::None => None,
    });
    match compiled {
        None => json::read(policy, &text, request.now),
        Some(compiled) => {
            let key_policy = |_: &str| Ok(Arc::clone(compiled));
            json::read(&PolicyContext { key_policy: &key_policy, ..*policy }, &text, request.now)
        }
    }
}

/// Records are flat and hold sets at most: what is nested deeper has been a mistake further up.
const DEPTH_MAX: usize = 6;

/// Writes JSON. The type that is declared decides one thing: whether `true` is a truth value or a string.
struct Writer<'v> {
    vocabulary: &'v Vocabulary,
    out: String,
}

fn declared<'v>(vocabulary: &'v Vocabulary, kind: &str) -> &'v [Attribute] {
    vocabulary.kinds.iter().find(|k| k.wire == kind).map_or(&[], |k| &k.attributes)
}

impl Writer<'_> {
    fn request(mut self, request: &TextRequest<'_>) -> String {
        let v = self.vocabulary;
        self.out.push_str("{\"account\":");
        self.account(&request.account);
        self.out.push('}');
        if !request.acting_for.is_empty() {
            for account in request.acting_for {
                self.out.push_str(",\"acting_for\":");
                self.account(account);
            }
            self.out.extend(request.acting_for.iter().map(|_| '}'));
        }
        if let Some(scope) = request.scope {
            self.out.push_str(",\"scope\":");
            self.string(scope);
        }
        self.out.push_str(",\"action\":{\"name\":");
        self.string(request.action);
        let action = v.actions.iter().find(|a| a.wire == request.action);
        self.fields("attributes", request.properties, action.map_or(&[], |a| &a.properties));
        self.out.push_str("},\"resource\":{\"kind\":");
        self.string(request.resource.kind);
        if let Some(id) = request.resource.id {
            self.out.push_str(",\"id\":");
            self.string(id);
        }
        self.fields("attributes", request.resource.attributes, declared(v, request.resource.kind));
        if let Some(within) = request.resource.within {
            self.out.push_str(",\"in\":");
            self.entity(within);
        }
        self.out.push('}');
        self.fields("context", request.context, &v.context);
        if let Some(credential) = &request.credential {
            self.credential(credential);
        }
        self.out.push('}');
        self.out
    }

    /// Without the brace at its end.
    fn account(&mut self, account: &TextAccount<'_>) {
        let v = self.vocabulary;
        self.entity(account.entity);
        self.out.pop();
        self.fields("attributes", account.attributes, declared(v, account.entity.kind));
    }

    fn credential(&mut self, credential: &TextCredential<'_>) {
        self.out.push_str(",\"credential\":{\"boundaries\":");
        self.list(credential.boundaries, |writer, name| writer.string(name));
        if let Some(scope) = credential.scope {
            self.out.push_str(",\"scope\":");
            self.string(scope);
        }
        match credential.policy {
            KeyText::None => {}
            KeyText::Text(text) => {
                self.out.push_str(",\"policy\":");
                self.string(text);
            }
            // What is read instead is what was compiled.
            KeyText::Compiled(_) => self.out.push_str(",\"policy\":\"\""),
        }
        self.out.push('}');
    }

    fn string(&mut self, text: &str) {
        let json = serde_json::to_string(text).expect("text: every string can be written as JSON");
        self.out.push_str(&json);
    }

    fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.out.push('[');
        for (n, item) in items.iter().enumerate() {
            if n > 0 {
                self.out.push(',');
            }
            each(self, item);
        }
        self.out.push(']');
    }

    fn entity(&mut self, entity: TextEntity<'_>) {
        self.out.push_str("{\"kind\":");
        self.string(entity.kind);
        self.out.push_str(",\"id\":");
        self.string(entity.id);
        self.out.push('}');
    }

    /// A member that is an object of values, unless there are none.
    fn fields(&mut self, member: &str, fields: Fields<'_>, declared: &[Attribute]) {
        if !fields.is_empty() {
            self.out.push_str(",\"");
            self.out.push_str(member);
            self.out.push_str("\":");
            self.record(fields, declared, 0);
        }
    }

    fn record(&mut self, fields: Fields<'_>, declared: &[Attribute], depth: usize) {
        self.out.push('{');
        for (n, (name, text)) in fields.iter().enumerate() {
            if n > 0 {
                self.out.push(',');
            }
            self.string(name);
            self.out.push(':');
            let ty = declared.iter().find(|a| self.vocabulary.name(a.name) == *name).map(|a| &a.ty);
            self.value(text, ty, depth + 1);
        }
        self.out.push('}');
    }

    fn value(&mut self, text: &Text<'_>, ty: Option<&Type>, depth: usize) {
        let v = self.vocabulary;
        let fields = |ty: Option<&Type>| match ty {
            Some(Type::Record(id)) => v.records.get(id.index()).map_or(&[][..], |record| &record.fields),
            _ => &[],
        };
        let element = match ty {
            Some(Type::Set(element)) => Some(&**element),
            _ => None,
        };
        match text {
            _ if depth > DEPTH_MAX => self.out.push_str("{}"),
            Text::One(text) => self.one(text, ty),
            Text::Many(texts) => self.list(texts, |writer, text| writer.one(text, element)),
            Text::Entity(entity) => self.entity(*entity),
            Text::Entities(entities) => self.list(entities, |writer, entity| writer.entity(*entity)),
            Text::Record(of) => self.record(of, fields(ty), depth + 1),
            Text::Records(all) => {
                self.list(all, |writer, of| writer.record(of, fields(element), depth + 1));
            }
        }
    }

    fn one(&mut self, text: &str, ty: Option<&Type>) {
        match (ty, text) {
            (Some(Type::Bool), "true" | "false") => self.out.push_str(text),
            _ => self.string(text),
        }
    }
}
