//! The two doors, JSON and text in a struct: one question, one refusal, one decision, whichever a request comes through.

use crate::dice::Dice;
use crate::refused::broken;
use crate::run::{law, worlds};
use crate::world::{Wish, now};
use policyc::request::text::{
    Fields, KeyText, Text, TextAccount, TextCredential, TextEntity, TextRequest, TextResource, read,
};
use policyc::request::{Room, Words};
use policyc::tree::{Door, Hearing};
use policyc::{Link, Resolved, tree};
use proptest::prelude::*;
use serde_json::{Map, Value as Json};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[test]
fn doors_agree() {
    let [asked, refused, keys] = [const { AtomicUsize::new(0) }; 3];
    law(file!(), worlds(80), Wish { requests: 30, wires: false }, |world| {
        let engine = world.engine()?;
        let words = Words::new(&engine.program.vocabulary);
        let link = Link::new(&engine.tree, &engine.directory);
        let door = Door::new(&engine.tree);
        let (directory, tree) = (&engine.directory, &engine.tree);
        let hearing = Hearing { door: &door, words: &words, tree, directory, link: &link };
        let mut numbers = Vec::new();
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
                let by_hearing = hearing.decide(&text, &mut numbers);
                let by_text = engine.policy(|policy| read(policy, &words, &text, &mut room).cloned());
                match (&by_json, &by_text) {
                    (Ok(plain), Ok(question)) => {
                        prop_assert_eq!(format!("{question:?}"), format!("{plain:?}"), "{}", request);
                        let linked = Resolved::new(&engine.tree, &engine.directory, Some(&link), question);
                        let unlinked = tree::decide(&engine.tree, &engine.directory, plain);
                        prop_assert_eq!(linked.decide(), unlinked, "{}", request);
                        if let Some(decision) = by_hearing {
                            prop_assert_eq!(decision, unlinked, "heard: {}", request);
                        }
                        asked.fetch_add(1, Relaxed);
                        let Some(credential) = text.credential else { continue };
                        let KeyText::Text(own) = credential.policy else { continue };
                        // The key's text compiled before says what it says compiled now.
                        let by_key = engine.policy(|policy| {
                            let compiled = (policy.key_policy)(own)?;
                            let credential =
                                TextCredential { policy: KeyText::Compiled(&compiled), ..credential };
                            let text = TextRequest { credential: Some(credential), ..text };
                            read(policy, &words, &text, &mut room).cloned().map_err(|e| e.message)
                        });
                        prop_assert_eq!(by_key.map(|q| format!("{q:?}")), Ok(format!("{plain:?}")));
                        keys.fetch_add(1, Relaxed);
                    }
                    // As text these cannot be said: there `7` and `true` are strings if a string is wanted.
                    (Err(e), _)
                        if ["found a number", "found a boolean", "\"true\"", "\"false\""]
                            .iter()
                            .any(|not_said| e.message.contains(not_said)) => {}
                    (Err(plain), Err(refusal)) => {
                        prop_assert_eq!(refusal, plain, "{}", request);
                        prop_assert_eq!(by_hearing, None, "{}", request);
                        refused.fetch_add(1, Relaxed);
                    }
                    _ => prop_assert!(false, "{by_json:?} by JSON, {by_text:?} by text: {request}"),
                }
            }
        }
        Ok(())
    });
    let [asked, refused, keys] = [asked, refused, keys].map(|n| n.load(Relaxed));
    println!(
        "{asked} questions ({keys} with a key's own text) and {refused} refusals are the same through both doors"
    );
    assert!(
        asked > 500 && refused > 500 && keys > 20,
        "{asked} questions, {refused} refusals, {keys} keys: too few say anything"
    );
}

/// What is usual is decided as it is heard, without a question, and as the question is. Worlds are made usual first: nobody
/// holds or sits in anything, nobody is behind anybody, no key is presented.
#[test]
fn what_is_heard_is_decided_as_the_question() {
    let [heard, allowed, asked, refused] = [const { AtomicUsize::new(0) }; 4];
    law(file!(), worlds(160), Wish { requests: 40, wires: false }, |world| {
        let engine = world.engine_of(&[world.source()], &usual_data(&world.data))?;
        let words = Words::new(&engine.program.vocabulary);
        let (directory, tree) = (&engine.directory, &engine.tree);
        let (door, link) = (Door::new(tree), Link::new(tree, directory));
        let hearing = Hearing { door: &door, words: &words, tree, directory, link: &link };
        let (mut room, mut numbers) = (Room::new(), Vec::new());
        for request in &world.requests {
            let mut request = request.clone();
            without_nulls(&mut request);
            make_usual(&mut request);
            let Some(text) = text_of(&request) else { continue };
            let by_hearing = hearing.decide(&text, &mut numbers);
            match engine.policy(|policy| read(policy, &words, &text, &mut room).cloned()) {
                Ok(question) => {
                    asked.fetch_add(1, Relaxed);
                    let Some(decision) = by_hearing else { continue };
                    prop_assert_eq!(decision, tree::decide(tree, directory, &question), "{}", request);
                    heard.fetch_add(1, Relaxed);
                    allowed.fetch_add(usize::from(decision.is_allow()), Relaxed);
                }
                Err(refusal) => {
                    prop_assert_eq!(by_hearing, None, "{}: {}", refusal, request);
                    refused.fetch_add(1, Relaxed);
                }
            }
        }
        Ok(())
    });
    let [heard, allowed, asked, refused] = [heard, allowed, asked, refused].map(|n| n.load(Relaxed));
    println!(
        "{heard} of {asked} questions are decided as they are heard, {allowed} allowed; {refused} are refused"
    );
    assert!(heard > 50 && allowed > 5, "{heard} of {asked}, {allowed} allowed: too few say anything");
}

/// The data without what sends a request the long way round.
fn usual_data(data: &Json) -> Json {
    let mut data = data.clone();
    let Some(sections) = data.as_object_mut() else { return data };
    ["resources", "links", "bindings"].iter().for_each(|section| drop(sections.remove(*section)));
    let items = sections.values_mut().filter_map(Json::as_array_mut).flatten();
    for item in items.filter_map(Json::as_object_mut) {
        item.remove("boundaries");
    }
    data
}

/// The same for a request.
fn make_usual(request: &mut Json) {
    let Some(members) = request.as_object_mut() else { return };
    members.remove("credential");
    members.remove("acting_for");
    for (of, member) in [("action", "attributes"), ("resource", "in")] {
        if let Some(members) = members.get_mut(of).and_then(Json::as_object_mut) {
            members.remove(member);
        }
    }
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
pub fn text_of(request: &Json) -> Option<TextRequest<'static>> {
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
