//! The smallest change that would have allowed: best first over sets of changed facts.
//!
//! In:    a denied question.
//! Out:   [`SmallestChange`]: facts that would have to be different, the fewest; ties by the name of the rule.
//! Law:   deciding again with these facts allows (`meaning::decide_supposing`); ids, kinds, the action, the scope
//!        and what sits in what stay as they are.
//!
//! A *wish* is a smallest test that shall hold, or shall not. Whatever refuses says which wishes would end that
//! (`wishes`); `facts` finds values that grant them; then all is decided anew, and what refuses now adds its own.

mod facts;
mod wishes;

use super::show;
use super::trace::Reader;
use crate::decision::Decision;
use crate::directory::{Directory, World};
use crate::meaning::{Case, Suppose, decide_supposing};
use crate::request::Question;
use crate::value::{Entity, Value};
use facts::Fact;
use serde::Serialize;
use wishes::Wish;

/// States that are decided anew before the search gives up.
const STATES_MAX: usize = 400;
/// Values that are tried, in all states together.
const TRIES_MAX: usize = 50_000;
/// Facts that a change may touch.
const FACTS_MAX: usize = 8;

/// What would have to be different for an allow.
#[derive(Clone, Debug, Serialize)]
pub struct SmallestChange {
    /// The rule that would then allow.
    pub rule: String,
    /// Every change, in plain words; all are needed.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// What to do or what must hold, as "`resource.replicas < 5` must hold".
    pub text: String,
    /// What is the case now.
    pub now: Option<String>,
    /// A value with which the answer is an allow.
    pub example: Option<String>,
}

/// Facts that are changed, with their new values; a group or role has none.
pub(super) type Edits = Vec<(Fact, Option<Value>)>;

/// One state of the search.
#[derive(Clone)]
struct State {
    /// The tests that shall hold or not.
    wishes: Vec<Wish>,
    /// The facts that grant them.
    edits: Edits,
}

/// A question with changed facts.
pub(super) struct Altered {
    question: Question,
    suppose: Suppose,
}

impl Altered {
    /// The question with these facts changed.
    pub fn new(question: &Question, edits: &Edits) -> Altered {
        let mut altered = Altered { question: question.clone(), suppose: Suppose::default() };
        for (fact, value) in edits {
            match fact.clone() {
                Fact::Context(slot) => altered.question.context[slot] = value.clone(),
                Fact::Property(slot) => altered.question.properties[slot] = value.clone(),
                Fact::Attribute(of, name) => altered.suppose.attributes.push((of, name, value.clone())),
                Fact::Group(account, group) => altered.suppose.groups.push((account, group)),
                Fact::Role(account, role) => altered.suppose.roles.push((account, role)),
            }
        }
        altered
    }

    /// A case in the altered world.
    pub fn case<'a>(&'a self, base: Case<'a>, account: &'a Entity) -> Case<'a> {
        let world = World { question: &self.question, ..base.world };
        Case { world, suppose: &self.suppose, account, first: *account == self.question.account, ..base }
    }

    fn decide(&self, base: Case<'_>, directory: &Directory) -> Decision {
        decide_supposing(base.program, directory, &self.question, &self.suppose)
    }
}

/// Finds the smallest change; `None` for an allow, and when there is none within the bounds.
pub(super) fn smallest(reader: &Reader<'_>, answer: Decision) -> Option<SmallestChange> {
    if answer.is_allow() {
        return None;
    }
    let base = reader.case;
    let decide = |edits: &Edits| Altered::new(base.world.question, edits).decide(base, base.world.directory);
    let mut open = vec![State { wishes: Vec::new(), edits: Edits::new() }];
    let mut seen: Vec<State> = Vec::new();
    let mut best: Option<(usize, u32, State)> = None;
    let mut tries = TRIES_MAX;
    for _ in 0..STATES_MAX {
        let Some(next) = (0..open.len()).min_by_key(|i| (open[*i].edits.len(), *i)) else { break };
        let state = open.remove(next);
        if best.as_ref().is_some_and(|(size, ..)| state.edits.len() > *size) {
            break;
        }
        let decision = decide(&state.edits);
        if decision.is_allow() {
            let edits = without_needless(state.edits.clone(), &decide);
            let Some(rule) = decide(&edits).rule else { continue };
            let found = (edits.len(), base.find(rule).rank, State { edits, ..state });
            if best.as_ref().is_none_or(|(size, rank, _)| (found.0, found.1) < (*size, *rank)) {
                best = Some(found);
            }
            continue;
        }
        let altered = Altered::new(base.world.question, &state.edits);
        for wanted in wishes::against_refusal(base, &altered) {
            let mut wishes = state.wishes.clone();
            wishes.extend(wanted.into_iter().filter(|wish| !state.wishes.contains(wish)));
            let Some(edits) = facts::granting(base, &wishes, &mut tries) else { continue };
            let known = |s: &State| s.edits == edits && s.wishes == wishes;
            let most = best.as_ref().map_or(FACTS_MAX, |(size, ..)| *size);
            if edits.len() <= most && !seen.iter().any(known) {
                let state = State { wishes, edits };
                seen.push(state.clone());
                open.push(state);
            }
        }
    }
    let (_, _, state) = best?;
    let rule = decide(&state.edits).rule?;
    let changes = state.edits.iter().map(|edit| tell(reader, edit, &state)).collect();
    Some(SmallestChange { rule: base.find(rule).label.to_string(), changes })
}

/// The same without the edits that the allow does not need.
fn without_needless(mut edits: Edits, decide: &dyn Fn(&Edits) -> Decision) -> Edits {
    let mut at = 0;
    while at < edits.len() {
        let mut fewer = edits.clone();
        fewer.remove(at);
        if decide(&fewer).is_allow() { edits = fewer } else { at += 1 }
    }
    edits
}

/// A change in plain words: the tests that it turns, what the fact is now, what it could be.
fn tell(reader: &Reader<'_>, (fact, value): &(Fact, Option<Value>), state: &State) -> Change {
    let base = reader.case;
    let vocabulary = base.world.vocabulary;
    let doing = |text: String| Change { text, now: None, example: None };
    match fact {
        Fact::Group(account, group) => {
            let group = &base.world.directory.groups[group.index()].id;
            return doing(format!("{} must be in group {:?}", reader.entity(account), group.as_str()));
        }
        Fact::Role(account, role) => {
            let role = &vocabulary.roles[role.index()].name;
            let at = match base.world.question.scope {
                Some(scope) => {
                    format!(" at {}", reader.entity(&base.world.directory.scopes[scope.index()].entity))
                }
                None => String::new(),
            };
            return doing(format!("role {role} must be bound to {}{at}", reader.entity(account)));
        }
        _ => {}
    }
    let before = Altered::new(base.world.question, &Edits::new());
    let after = Altered::new(base.world.question, &state.edits);
    let (mut holding, mut failing) = (Vec::new(), Vec::new());
    for wish in &state.wishes {
        let turned = !wish.granted(base, &before) && wish.granted(base, &after);
        if turned && wish.touches(base, &after, fact) {
            let text = match (reader.quote(wish.expr.span, wish.in_key && wish.inside.is_none()), wish.inside)
            {
                (text, _) if text.is_empty() => continue,
                (text, Some(call)) => format!("`{text}` in `{}`", reader.quote(call, wish.in_key)),
                (text, None) => format!("`{text}`"),
            };
            let list = if wish.wanted { &mut holding } else { &mut failing };
            if !list.contains(&text) {
                list.push(text);
            }
        }
    }
    let mut parts = Vec::new();
    if !holding.is_empty() {
        parts.push(format!("{} must hold", holding.join(" and ")));
    }
    if !failing.is_empty() {
        parts.push(format!("{} must not hold", failing.join(" and ")));
    }
    let name = fact.name(base);
    if parts.is_empty() {
        parts.push(format!("`{name}` must be different"));
    }
    let shown = |value: Option<&Value>| value.map_or("absent".to_owned(), |v| show::value(vocabulary, v));
    Change {
        text: parts.join("; "),
        now: Some(format!("{name} is {}", shown(fact.value(base).as_ref()))),
        example: Some(shown(value.as_ref())),
    }
}
