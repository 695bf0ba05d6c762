//! The usual request as text, straight into a [`Question`]: [`Quick`].
//!
//! In:    a [`TextRequest`], vocabulary, directory, and the [`Words`] of the vocabulary.
//! Out:   the question in its [`Room`], whose memory is used again; or `None` for whatever is not usual.
//! Law:   it refuses nothing: `None` sends a request the long way round (`text.rs`), wrong or not. What it takes, `resolve`
//!        takes as well, and makes the same question of it.

use super::resolve::place;
use super::text::{Fields, KeyText, Text, TextEntity, TextRequest};
use super::{Credential, Overlay, Question, Subject, Words};
use crate::check::program::{Attribute, Kind, Provenance, Sort, Type, Vocabulary};
use crate::directory::{Directory, ResourceIx, SCOPE_PATHS, ScopeIx};
use crate::value::{self, ActionId, BoundaryId, Entity, KindId, Value, hash_name};
use smol_str::SmolStr;
use std::sync::Arc;

/// Longer texts than this are not usual.
const TEXT_BYTES: usize = 128;
/// Larger sets than this are not usual.
const SET_ELEMENTS: usize = 16;
/// More values than this are not usual. (All three keep what is taken below the limit on a request's size.)
const VALUES: usize = 32;
/// Sets that are kept for later.
const SETS_KEPT: usize = 16;

/// Where questions are made, one after the other, in the same memory.
#[derive(Clone, Debug)]
pub struct Room {
    question: Question,
    /// Sets of earlier questions.
    sets: Vec<Arc<[Value]>>,
    elements: Vec<Value>,
    /// Memory of earlier overlays.
    spare: Vec<Vec<Option<Value>>>,
    numbers: Vec<u32>,
}

impl Default for Room {
    fn default() -> Self {
        let nothing = Entity { kind: KindId::GROUP, id: SmolStr::default() };
        let question = Question {
            account: nothing,
            account_ix: None,
            acting_for: Vec::new(),
            scope: None,
            action: ActionId(0),
            properties: Vec::new(),
            resource: Subject { kind: KindId::GROUP, entity: None },
            overlay: Vec::new(),
            context: Vec::new(),
            credential: None,
            ignored: Vec::new(),
        };
        Room { question, sets: Vec::new(), elements: Vec::new(), spare: Vec::new(), numbers: Vec::new() }
    }
}

impl Room {
    /// An empty one.
    pub fn new() -> Room {
        Room::default()
    }

    /// Memory for a list of numbers.
    pub(crate) fn numbers(&mut self) -> &mut Vec<u32> {
        &mut self.numbers
    }

    pub(super) fn question(&self) -> &Question {
        &self.question
    }

    pub(super) fn put(&mut self, question: Question) {
        self.question = question;
    }
}

/// Takes the usual request.
#[derive(Clone, Copy)]
pub(super) struct Quick<'a> {
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) directory: &'a Directory,
    pub(super) words: &'a Words,
}

/// An id that every door takes.
fn is_id(text: &str) -> bool {
    !text.is_empty() && is_text(text)
}

/// A string that every door takes.
fn is_text(text: &str) -> bool {
    text.len() <= TEXT_BYTES && (text.is_ascii() || value::check_string(text).is_ok())
}

impl<'a> Quick<'a> {
    /// Makes the question, or leaves what stands in the room to be overwritten.
    pub(super) fn read(self, request: &TextRequest<'_>, room: &mut Room) -> Option<()> {
        let values = request.resource.attributes.len() + request.context.len();
        let values = values + request.properties.len() + request.account.attributes.len();
        if !request.acting_for.is_empty() || values > VALUES {
            return None;
        }
        let Room { question, sets, elements, spare, .. } = room;
        while let Some(overlay) = question.overlay.pop() {
            if spare.len() < 2 {
                spare.push(overlay.attributes);
            }
        }
        let mut values = Values { quick: self, sets, elements, spare };

        let account_kind = self.words.kind(request.account.entity.kind)?;
        let declared = self.vocabulary.kind(account_kind);
        if declared.sort != Sort::Account || !declared.acting_for.is_empty() {
            return None;
        }
        let id = request.account.entity.id;
        if !is_id(id) {
            return None;
        }
        let account_ix = self.directory.account_hashed(hash_name(account_kind, id), account_kind, id);
        if account_ix.is_none() && declared.supplied && declared.attributes.iter().any(|a| !a.optional) {
            return None;
        }
        question.account_ix = account_ix;
        question.account = Entity { kind: account_kind, id: id.into() };

        question.action = self.words.action(request.action)?;
        let properties = &self.vocabulary.action(question.action).properties;
        values.fill(request.properties, properties, &mut question.properties)?;
        complete(properties, &question.properties)?;
        values.fill(request.context, &self.vocabulary.context, &mut question.context)?;
        question.context.first_mut()?.get_or_insert(Value::Time(request.now));
        complete(&self.vocabulary.context, &question.context)?;

        let held = self.resource(request, question, &mut values)?;
        if !request.account.attributes.is_empty() {
            self.account_values(request, declared, question, &mut values)?;
        }
        question.scope = self.scope(request, held, question)?;
        self.credential(request, question)?;
        question.acting_for.clear();
        question.ignored.clear();
        Some(())
    }

    /// What is acted on and what the request says of it, as the first of the overlays; the record of it if there is one.
    fn resource(
        self,
        request: &TextRequest<'_>,
        question: &mut Question,
        values: &mut Values<'_, '_>,
    ) -> Option<Option<ResourceIx>> {
        let asked = &request.resource;
        let kind = self.words.kind(asked.kind)?;
        let declared = self.vocabulary.kind(kind);
        let any = asked.id.is_none();
        let targets = &self.vocabulary.action(question.action).targets;
        targets.iter().find(|target| target.kind == kind && target.any == any)?;
        let parent = match asked.within {
            Some(within) => Some(self.entity(within).filter(|e| declared.parents.contains(&e.kind))?),
            None => None,
        };
        let mut held = None;
        let entity = match asked.id {
            None => None,
            Some(id) => {
                if declared.sort != Sort::Resource || !is_id(id) {
                    return None;
                }
                held = match self.directory.resources.is_empty() {
                    true => None,
                    false => self.directory.resource_hashed(hash_name(kind, id), kind, id),
                };
                Some(Entity { kind, id: id.into() })
            }
        };
        let missing = parent.is_none() && !declared.parents.is_empty() && !declared.parent_optional;
        let unusual = match (&entity, held) {
            (None, _) => false,
            (Some(_), Some(_)) => parent.is_some(),
            (Some(_), None) => missing || parent == entity,
        };
        if unusual {
            return None;
        }
        let mut attributes = values.spare.pop().unwrap_or_default();
        values.fill(asked.attributes, &declared.attributes, &mut attributes)?;
        if entity.is_some() {
            let counts = |provenance| match held {
                Some(_) => provenance == Provenance::Supplied,
                None => provenance != Provenance::Stored,
            };
            let given = declared.attributes.iter().zip(&attributes);
            for (attribute, value) in given {
                let fits = match value {
                    Some(_) => counts(attribute.provenance),
                    None => held.is_some() || attribute.optional,
                };
                fits.then_some(())?;
            }
        }
        if parent.is_some() || !asked.attributes.is_empty() {
            question.overlay.push(Overlay { entity: entity.clone(), kind, attributes, parent });
        } else {
            values.spare.push(attributes);
        }
        question.resource = Subject { kind, entity };
        Some(held)
    }

    /// What the request says of the account, as the next overlay.
    fn account_values(
        self,
        request: &TextRequest<'_>,
        declared: &Kind,
        question: &mut Question,
        values: &mut Values<'_, '_>,
    ) -> Option<()> {
        let mut attributes = values.spare.pop().unwrap_or_default();
        values.fill(request.account.attributes, &declared.attributes, &mut attributes)?;
        let mut given = declared.attributes.iter().zip(&attributes).filter(|(_, value)| value.is_some());
        if given.any(|(attribute, _)| attribute.provenance != Provenance::Supplied) {
            return None;
        }
        let (entity, kind) = (Some(question.account.clone()), question.account.kind);
        question.overlay.push(Overlay { entity, kind, attributes, parent: None });
        Some(())
    }

    fn scope(
        self,
        request: &TextRequest<'_>,
        held: Option<ResourceIx>,
        question: &Question,
    ) -> Option<Option<ScopeIx>> {
        let given = match request.scope {
            Some(path) if self.words.has_scopes() => Some(self.path(path)?),
            Some(_) => return None,
            None => None,
        };
        if !self.words.has_scopes() {
            return Some(None);
        }
        let own = held.and_then(|ix| self.directory.resources.get(ix.index())?.scope);
        let parent = question.overlay.first().and_then(|overlay| overlay.parent.as_ref());
        let above = || parent.and_then(|parent| place(self.vocabulary, self.directory, parent));
        match (given, own) {
            (Some(given), Some(own)) if given != own => None,
            (_, Some(own)) => Some(Some(own)),
            (None, None) => above().map(Some),
            (Some(given), None) => match above() {
                Some(above) if !self.directory.scope_covers(above, given) => None,
                _ => Some(Some(given)),
            },
        }
    }

    fn path(self, path: &str) -> Option<ScopeIx> {
        self.directory.scope_hashed(hash_name(SCOPE_PATHS, path), path)
    }

    fn credential(self, request: &TextRequest<'_>, question: &mut Question) -> Option<()> {
        let before = question.credential.take();
        let Some(asked) = &request.credential else { return Some(()) };
        let scope = match asked.scope {
            None => None,
            Some(_) if !self.words.has_scopes() => return None,
            Some(path) => Some(self.path(path)?),
        };
        let mut boundaries = before.map(|credential| credential.boundaries).unwrap_or_default();
        boundaries.clear();
        if asked.boundaries.len() > SET_ELEMENTS {
            return None;
        }
        for name in asked.boundaries {
            let known = self.vocabulary.boundaries.iter().position(|boundary| boundary == name)?;
            boundaries.push(BoundaryId(known as u32));
        }
        let policy = match asked.policy {
            KeyText::None => None,
            KeyText::Text(_) => return None,
            KeyText::Compiled(policy) => Some(Arc::clone(policy)),
        };
        question.credential = Some(Credential { scope, boundaries, policy });
        Some(())
    }

    fn entity(self, entity: TextEntity<'_>) -> Option<Entity> {
        let kind = self.words.kind(entity.kind)?;
        is_id(entity.id).then(|| Entity { kind, id: entity.id.into() })
    }
}

/// Whether nothing required is missing.
fn complete(declared: &[Attribute], values: &[Option<Value>]) -> Option<()> {
    declared.iter().zip(values).all(|(a, v)| a.optional || v.is_some()).then_some(())
}

/// Makes values.
struct Values<'a, 'r> {
    quick: Quick<'a>,
    sets: &'r mut Vec<Arc<[Value]>>,
    elements: &'r mut Vec<Value>,
    spare: &'r mut Vec<Vec<Option<Value>>>,
}

impl Values<'_, '_> {
    /// Values by slot; the sets that stood there are kept for later.
    fn fill(
        &mut self,
        given: Fields<'_>,
        declared: &[Attribute],
        into: &mut Vec<Option<Value>>,
    ) -> Option<()> {
        for value in into.iter_mut() {
            match value {
                None => {}
                Some(Value::Set(_)) => self.keep(value.take()),
                Some(_) => *value = None,
            }
        }
        if into.len() != declared.len() {
            into.resize_with(declared.len(), || None);
        }
        // Most requests give values in the order of their declarations.
        let mut next = 0;
        for (name, text) in given {
            let is = |slot: usize| self.quick.vocabulary.name(declared[slot].name) == *name;
            let slot = match next < declared.len() && is(next) {
                true => next,
                false => (0..declared.len()).find(|slot| is(*slot))?,
            };
            if into[slot].is_some() {
                return None;
            }
            into[slot] = Some(self.value(text, &declared[slot].ty)?);
            next = slot + 1;
        }
        Some(())
    }

    /// Keeps a set for later.
    fn keep(&mut self, value: Option<Value>) {
        if let Some(Value::Set(set)) = value
            && self.sets.len() < SETS_KEPT
        {
            self.sets.push(set);
        }
    }

    fn value(&mut self, text: &Text<'_>, ty: &Type) -> Option<Value> {
        match (text, ty) {
            (Text::One(text), _) => self.one(text, ty),
            (Text::Entity(entity), Type::Ref(kinds)) => {
                let entity = self.quick.entity(*entity)?;
                kinds.contains(&entity.kind).then_some(Value::Entity(entity))
            }
            (Text::Many(texts), Type::Set(element)) if texts.len() <= SET_ELEMENTS => {
                self.elements.clear();
                for text in *texts {
                    let element = self.one(text, element)?;
                    self.elements.push(element);
                }
                if self.elements.len() > 1 {
                    self.elements.sort_unstable();
                    self.elements.dedup();
                }
                Some(self.set())
            }
            _ => None,
        }
    }

    /// The set of the elements, in the memory of an earlier one of as many if it is nobody else's.
    fn set(&mut self) -> Value {
        if let Some(at) = self.sets.iter().position(|set| set.len() == self.elements.len()) {
            let mut set = self.sets.swap_remove(at);
            if let Some(places) = Arc::get_mut(&mut set) {
                places.swap_with_slice(self.elements);
                return Value::Set(set);
            }
        }
        Value::Set(self.elements.drain(..).collect())
    }

    fn one(&self, text: &str, ty: &Type) -> Option<Value> {
        if text.len() > TEXT_BYTES {
            return None;
        }
        Some(match ty {
            Type::Bool if text == "true" => Value::Bool(true),
            Type::Bool if text == "false" => Value::Bool(false),
            Type::Int => Value::Int(value::parse_int(text).ok()?),
            Type::String if is_text(text) => Value::String(text.into()),
            Type::Time => Value::Time(value::parse_time(text).ok()?),
            Type::Ip => Value::Ip(value::parse_ip(text).ok()?),
            Type::Cidr => Value::Cidr(value::parse_cidr(text).ok()?),
            Type::Enum(id) => {
                let variants = &self.quick.vocabulary.enums.get(id.index())?.variants;
                let at = variants.iter().position(|(_, wire)| wire == text)?;
                Value::Variant(*id, at as u16)
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::{TextAccount, TextResource};
    use super::*;
    use crate::directory::fixture::{directory, vocabulary};

    const ANA: TextEntity<'static> = TextEntity { kind: "user", id: "ana" };
    const G: TextEntity<'static> = TextEntity { kind: "folder", id: "g" };

    /// What a new document takes.
    fn usual() -> TextRequest<'static> {
        TextRequest {
            account: TextAccount { entity: ANA, attributes: &[("mfa", Text::One("true"))] },
            acting_for: &[],
            scope: Some("acme/web"),
            action: "read",
            properties: &[],
            resource: TextResource {
                kind: "document",
                id: Some("new"),
                within: Some(G),
                attributes: &[
                    ("owner", Text::Entity(ANA)),
                    ("replicas", Text::One("2")),
                    ("labels", Text::Many(&["b", "a", "b"])),
                    ("stage", Text::One("prod")),
                ],
            },
            context: &[("ip", Text::One("10.0.0.1"))],
            credential: None,
            now: 7,
        }
    }

    fn takes(change: impl FnOnce(&mut TextRequest<'static>)) -> bool {
        let v = vocabulary();
        let d = directory(&v);
        let words = Words::new(&v);
        let mut request = usual();
        change(&mut request);
        Quick { vocabulary: &v, directory: &d, words: &words }.read(&request, &mut Room::new()).is_some()
    }

    #[test]
    fn it_takes_what_is_usual() {
        assert!(takes(|_| {}));
        assert!(takes(|r| r.context = &[]));
        assert!(takes(
            |r| r.resource = TextResource { id: Some("d"), within: None, attributes: &[], ..r.resource }
        ));
        assert!(takes(|r| (r.action, r.resource.id) = ("create", None)));
        assert!(takes(|r| r.scope = None), "where the folder stands");
    }

    #[test]
    fn it_leaves_the_rest() {
        let wrong: [fn(&mut TextRequest<'static>); 16] = [
            |r| r.account.entity.kind = "document",
            |r| r.account.entity.kind = "agent",
            |r| r.account.entity.id = "",
            |r| r.account.attributes = &[("department", Text::One("it"))],
            |r| r.acting_for = &[TextAccount { entity: ANA, attributes: &[] }],
            |r| r.scope = Some("acme/no"),
            |r| r.scope = Some("acme/db"),
            |r| r.action = "disable",
            |r| r.action = "raed",
            |r| r.properties = &[("force", Text::One("true"))],
            |r| r.resource.within = None,
            |r| r.resource.attributes = &[],
            |r| r.resource.attributes = &[("replicas", Text::One("2")), ("replicas", Text::One("2"))],
            |r| r.resource.attributes = &[("replicas", Text::One("2")), ("trusted", Text::One("true"))],
            |r| r.resource.id = Some("d"),
            |r| r.context = &[("ip", Text::One("10.0.0"))],
        ];
        for (n, change) in wrong.into_iter().enumerate() {
            assert!(!takes(change), "{n}");
        }
    }

    #[test]
    fn a_room_is_used_again() {
        let v = vocabulary();
        let d = directory(&v);
        let words = Words::new(&v);
        let quick = Quick { vocabulary: &v, directory: &d, words: &words };
        let mut room = Room::new();
        let set_at = |room: &Room| match &room.question.overlay[0].attributes[3] {
            Some(Value::Set(set)) => (Arc::as_ptr(set).cast::<()>(), set.to_vec()),
            other => panic!("{other:?}"),
        };
        quick.read(&usual(), &mut room).unwrap();
        let (first, values) = set_at(&room);
        assert_eq!(values, ["a", "b"].map(|label| Value::String(label.into())));
        let mut other = usual();
        other.resource.attributes = &[("labels", Text::Many(&["z", "y"])), ("replicas", Text::One("3"))];
        quick.read(&other, &mut room).unwrap();
        let (second, values) = set_at(&room);
        assert_eq!((first, values), (second, ["y", "z"].map(|label| Value::String(label.into())).to_vec()));
        // A set that somebody else has is not written over.
        let kept = room.question.clone();
        quick.read(&usual(), &mut room).unwrap();
        assert_ne!(set_at(&room).0, second);
        assert_eq!(kept.overlay[0].attributes[3], Some(Value::set(values_of(&["y", "z"]))));
    }

    fn values_of(texts: &[&str]) -> Vec<Value> {
        texts.iter().map(|text| Value::String((*text).into())).collect()
    }
}
