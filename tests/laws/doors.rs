//! The two doors, JSON and text in a struct: one question, one refusal, one decision, whichever a request comes through.

use crate::dice::Dice;
use crate::refused::broken;
use crate::run::{law, worlds};
use crate::world::{Wish, now};
use policyc::request::text::{
    Fields, KeyText, Text, TextAccount, TextCredential, TextEntity, TextRequest, TextResource, read,
};
use policyc::request::{Room, Words};
use policyc::{Link, Resolved, tree};
use proptest::prelude::*;
use serde_json::{Map, Value as Json};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[test]
fn doors_agree() {
    let (asked, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    law(file!(), worlds(80), Wish { requests: 30, wires: false }, |world| {
        let engine = world.engine()?;
        let words = Words::new(&engine.program.vocabulary);
        let link = Link::new(&engine.tree, &engine.directory);
        let mut dice = Dice::new(world.seed ^ 11);
        // One room for all, so that nothing of one question is left in the next.
        let mut room = Room::new();
        for (n, request) in world.requests.iter().enumerate() {
            let mut wrong = Vec::new();
            if n % 5 == 0 && engine.ask(&request.to_string()).is_ok() {
                wrong = broken(&engine.program.vocabulary, request, &mut dice);
            }
            let wrong = wrong.iter().filter_map(|(_, text)| serde_json::from_str(text).ok());
            for mut request in std::iter::once(request.clone()).chain(wrong) {
                without_nulls(&mut request);
                let Some(text) = text_of(&request) else { continue };
                let by_json = engine.ask(&request.to_string());
                let by_text = engine.policy(|policy| read(policy, &words, &text, &mut room).cloned());
                match (&by_json, &by_text) {
                    (Ok(plain), Ok(question)) => {
                        prop_assert_eq!(format!("{question:?}"), format!("{plain:?}"), "{}", request);
                        let linked = Resolved::new(&engine.tree, &engine.directory, Some(&link), question);
                        let unlinked = tree::decide(&engine.tree, &engine.directory, plain);
                        prop_assert_eq!(linked.decide(), unlinked, "{}", request);
                        asked.fetch_add(1, Relaxed);
                    }
                    // As text these cannot be said: there `7` and `true` are strings if a string is wanted.
                    (Err(e), _)
                        if ["found a number", "found a boolean", "\"true\"", "\"false\""]
                            .iter()
                            .any(|not_said| e.message.contains(not_said)) => {}
                    (Err(plain), Err(refusal)) => {
                        prop_assert_eq!(refusal, plain, "{}", request);
                        refused.fetch_add(1, Relaxed);
                    }
                    _ => prop_assert!(false, "{by_json:?} by JSON, {by_text:?} by text: {request}"),
                }
            }
        }
        Ok(())
    });
    let (asked, refused) = (asked.load(Relaxed), refused.load(Relaxed));
    println!("{asked} questions and {refused} refusals are the same through both doors");
    assert!(asked > 500 && refused > 500, "{asked} questions, {refused} refusals: too few say anything");
}

fn without_nulls(json: &mut Json) {
    match json {
        Json::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Json::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Lent for good: a test soon ends.
fn lent<T>(items: Vec<T>) -> &'static [T] {
    items.leak()
}

fn word(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

/// The members, if there are no others than these.
fn only<'j>(json: &'j Json, known: &[&str]) -> Option<&'j Map<String, Json>> {
    json.as_object().filter(|members| members.keys().all(|key| known.contains(&key.as_str())))
}

/// A member that is a string, if it is there.
fn maybe(of: &Map<String, Json>, member: &str) -> Option<Option<&'static str>> {
    match of.get(member) {
        None => Some(None),
        Some(text) => Some(Some(word(text.as_str()?))),
    }
}

/// A request as text; `None` for one that cannot be said so.
fn text_of(request: &Json) -> Option<TextRequest<'static>> {
    let known = ["account", "scope", "action", "resource", "context", "acting_for", "credential"];
    let request = only(request, &known)?;
    let (action, resource) = (request.get("action")?, request.get("resource")?);
    let action = only(action, &["name", "attributes"])?;
    let resource = only(resource, &["kind", "id", "attributes", "in"])?;
    let mut acting_for = Vec::new();
    let mut next = request.get("acting_for");
    while let Some(account) = next {
        acting_for.push(account_of(account)?);
        next = account.get("acting_for");
    }
    Some(TextRequest {
        account: account_of(request.get("account").filter(|account| account.get("acting_for").is_none())?)?,
        acting_for: lent(acting_for),
        scope: maybe(request, "scope")?,
        action: maybe(action, "name")??,
        properties: fields(action.get("attributes"))?,
        resource: TextResource {
            kind: maybe(resource, "kind")??,
            id: maybe(resource, "id")?,
            within: match resource.get("in") {
                None => None,
                Some(within) => Some(entity(within)?),
            },
            attributes: fields(resource.get("attributes"))?,
        },
        context: fields(request.get("context"))?,
        credential: match request.get("credential") {
            None => None,
            Some(credential) => Some(credential_of(credential)?),
        },
        now: now(),
    })
}

fn account_of(json: &Json) -> Option<TextAccount<'static>> {
    let account = only(json, &["kind", "id", "attributes", "acting_for"])?;
    let entity = TextEntity { kind: maybe(account, "kind")??, id: maybe(account, "id")?? };
    Some(TextAccount { entity, attributes: fields(account.get("attributes"))? })
}

fn credential_of(json: &Json) -> Option<TextCredential<'static>> {
    let credential = only(json, &["scope", "boundaries", "policy"])?;
    let boundaries = match credential.get("boundaries") {
        None => Vec::new(),
        Some(names) => names.as_array()?.iter().map(|name| name.as_str().map(word)).collect::<Option<_>>()?,
    };
    let policy = match credential.get("policy") {
        None => KeyText::None,
        Some(text) => KeyText::Text(word(text.as_str()?)),
    };
    Some(TextCredential { scope: maybe(credential, "scope")?, boundaries: lent(boundaries), policy })
}

fn entity(json: &Json) -> Option<TextEntity<'static>> {
    let entity = only(json, &["kind", "id"])?;
    Some(TextEntity { kind: maybe(entity, "kind")??, id: maybe(entity, "id")?? })
}

fn fields(json: Option<&Json>) -> Option<Fields<'static>> {
    let Some(json) = json else { return Some(&[]) };
    let fields = json.as_object()?.iter().map(|(name, value)| Some((word(name), value_of(value)?)));
    Some(lent(fields.collect::<Option<Vec<_>>>()?))
}

fn plain(json: &Json) -> Option<&'static str> {
    match json {
        Json::String(text) => Some(word(text)),
        Json::Number(_) | Json::Bool(_) => Some(word(&json.to_string())),
        _ => None,
    }
}

fn value_of(json: &Json) -> Option<Text<'static>> {
    if let Json::Array(items) = json {
        let texts: Option<Vec<_>> = items.iter().map(plain).collect();
        let entities = || items.iter().map(entity).collect::<Option<Vec<_>>>();
        let records = || items.iter().map(|item| fields(Some(item))).collect::<Option<Vec<_>>>();
        return match texts {
            Some(texts) => Some(Text::Many(lent(texts))),
            None => entities()
                .map(|all| Text::Entities(lent(all)))
                .or_else(|| records().map(|all| Text::Records(lent(all)))),
        };
    }
    let one = plain(json).map(Text::One).or_else(|| entity(json).map(Text::Entity));
    one.or_else(|| Some(Text::Record(fields(Some(json))?)))
}
