//! May this caller do that? Our own interface, asked of the same engine as everything else.
//!
//! In:    a caller, one of the actions of `policies/policyd/`, what it is done to.
//! Out:   [`Permit`], which only this file can make and without which nothing is changed; or [`Denied`].
//! Law:   the shipped set must allow it, and the organization's own set, with the ceilings of the credential, too.

use super::authn::Caller;
use super::memory::{AccountFacts, Key, OrgState, Side};
use crate::{
    ActionId, Answer, Asked, AskedCredential, AskedEntity, BoundaryId, Entity, KindId, Question, Resolved,
    Type, Value,
};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// That a caller may do one thing. It can't be made or copied elsewhere.
#[derive(Debug)]
pub struct Permit {
    /// The rule that allowed it.
    pub rule: String,
}

/// Why not.
#[derive(Clone, Debug)]
pub struct Denied {
    /// The action.
    pub action: &'static str,
    /// The answer; none where the question itself doesn't fit.
    pub answer: Option<Answer>,
}

impl Denied {
    /// What the caller is told: which right it lacks, and the reason that a rule gives.
    pub fn reason(&self) -> String {
        let reason = self.answer.as_ref().and_then(|a| a.because.first());
        match reason {
            Some(reason) => format!("needs the right `{}` here: {reason}", self.action),
            None => format!("needs the right `{}` here", self.action),
        }
    }
}

/// What is acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On<'a> {
    /// A place, by kind and path.
    Scope(&'a str, &'a str),
    /// An account, by kind and id.
    Account(&'a str, &'a str),
    /// A group.
    Group(&'a str),
    /// A role at a place.
    Role(&'a str, &'a str),
}

/// Asks both sets.
pub fn permit(
    org: &OrgState,
    caller: &Caller,
    action: &'static str,
    on: On<'_>,
    now: i64,
) -> Result<Permit, Denied> {
    let account = caller.account.as_ref().ok_or(Denied { action, answer: None })?;
    let guarded = ask(org, &org.guard, caller, account, action, on, now, false);
    // Before a set is active, `own` is the shipped set: the ceilings of the key and attached boundaries bind there too.
    let own =
        guarded.and_then(|first| ask(org, &org.own, caller, account, action, on, now, true).map(|_| first));
    own.map(|rule| Permit { rule }).map_err(|answer| Denied { action, answer })
}

/// Whether [`permit`] would give one, asked for several actions and places within one request, during which that doesn't change.
pub struct Rights<'a> {
    org: &'a OrgState,
    caller: &'a Caller,
    now: i64,
    /// What was found, by place.
    known: FxHashMap<String, Vec<(&'static str, bool)>>,
    /// What both sets were asked last, for each action.
    last: [Vec<Option<Last>>; 2],
}

/// Yes or no to each action.
type May = SmallVec<[bool; 4]>;

/// A question about a place, which another one is made of.
#[derive(Clone)]
struct Last {
    action: &'static str,
    kind: &'static str,
    question: Question,
}

impl<'a> Rights<'a> {
    /// Those of a caller, now.
    pub fn of(org: &'a OrgState, caller: &'a Caller, now: i64) -> Self {
        Rights { org, caller, now, known: FxHashMap::default(), last: Default::default() }
    }

    /// Whether the caller may do this at a place.
    pub fn may(&mut self, action: &'static str, place: &str) -> bool {
        self.each(&[action], place)[0]
    }

    /// Whether he may do each of these there. What is asked together is found out together, which is quicker.
    pub fn each(&mut self, actions: &[&'static str], place: &str) -> May {
        let here = self.known.get(place).map_or(&[][..], Vec::as_slice);
        let known = |action: &&str| here.iter().find(|(known, _)| known == action).map(|(_, may)| *may);
        if let Some(known) = actions.iter().map(known).collect() {
            return known;
        }
        let may = self.asked(actions, place);
        let found = actions.iter().copied().zip(may.iter().copied());
        match self.known.get_mut(place) {
            Some(here) => here.extend(found),
            None => drop(self.known.insert(place.to_owned(), found.collect())),
        }
        may
    }

    fn asked(&mut self, actions: &[&'static str], place: &str) -> May {
        let Rights { org, caller, now, .. } = *self;
        let Some(account) = &caller.account else { return smallvec![false; actions.len()] };
        let kind = match place.matches('/').count() {
            0 => "organization",
            1 => "project",
            _ => "environment",
        };
        let mut may: May = smallvec![true; actions.len()];
        for ((side, own), last) in [(&org.guard, false), (&org.own, true)].into_iter().zip(&mut self.last) {
            last.resize(actions.len(), None);
            for (n, action) in actions.iter().enumerate() {
                let on = On::Scope(kind, place);
                let anew = || question(org, side, caller, account, action, on, now, own);
                let (before, rest) = last.split_at_mut(n);
                let before = before.last().and_then(Option::as_ref);
                let this = &mut rest[0];
                if this.is_none() {
                    *this = before.cloned();
                }
                if !this.as_mut().is_some_and(|last| last.again(side, action, kind, place, before)) {
                    *this = anew().map(|question| Last { action, kind, question });
                }
            }
            let mut resolved = None::<Resolved<'_>>;
            for (last, may) in last.iter().zip(&mut may) {
                let Some(Last { question, .. }) = last else {
                    *may = false;
                    continue;
                };
                match &mut resolved {
                    None => resolved = Some(side.resolve(question)),
                    Some(before) => before.instead(question),
                }
                *may &= resolved.as_ref().is_some_and(|resolved| resolved.decide().is_allow());
            }
        }
        may
    }
}

impl Last {
    /// Becomes the question for another action or place, which is quicker than one made anew, and is the same; false if it can't.
    /// `before` is about that place.
    fn again(
        &mut self,
        side: &Side,
        action: &'static str,
        kind: &'static str,
        place: &str,
        before: Option<&Last>,
    ) -> bool {
        let vocabulary = side.set.vocabulary();
        let there = match before {
            Some(before) => self.question.beside(&before.question),
            None => {
                let of_kind = match self.kind == kind {
                    true => Some(self.question.resource.kind),
                    false => vocabulary.kind_by_wire(kind),
                };
                let entity = of_kind.map(|kind| Entity { kind, id: place.into() });
                entity.is_some_and(|entity| self.question.elsewhere(&side.directory, entity))
            }
        };
        let asked = self.action == action
            || action_of(side, action).is_some_and(|action| self.question.instead(vocabulary, action));
        (self.action, self.kind) = (action, kind);
        there && asked
    }
}

fn action_of(side: &Side, action: &str) -> Option<ActionId> {
    let at = side.set.vocabulary().actions.iter().position(|a| a.wire == action)?;
    u16::try_from(at).ok().map(ActionId)
}

#[expect(clippy::too_many_arguments, reason = "one question has that many parts")]
fn ask(
    org: &OrgState,
    side: &Side,
    caller: &Caller,
    account: &AccountFacts,
    action: &str,
    on: On<'_>,
    now: i64,
    own: bool,
) -> Result<String, Option<Answer>> {
    let question = question(org, side, caller, account, action, on, now, own).ok_or(None)?;
    let decision = side.decide(&question);
    let answer = side.set.render(&question, &decision);
    if decision.is_allow() { Ok(answer.rule.unwrap_or_default().to_string()) } else { Err(Some(answer)) }
}

#[expect(clippy::too_many_arguments, reason = "one question has that many parts")]
fn question(
    org: &OrgState,
    side: &Side,
    caller: &Caller,
    account: &AccountFacts,
    action: &str,
    on: On<'_>,
    now: i64,
    own: bool,
) -> Option<Question> {
    let vocabulary = side.set.vocabulary();
    let kind = |wire: &str| vocabulary.kind_by_wire(wire);
    let action = action_of(side, action)?;
    let (kind_acted_on, id, scope) = match on {
        On::Scope(scope, path) => (kind(scope)?, path, None),
        On::Account(kind_name, id) => (kind(kind_name)?, id, None),
        On::Group(id) => (KindId::GROUP, id, None),
        On::Role(name, at) => (kind("role")?, name, Some(SmolStr::from(at))),
    };
    let context = vocabulary.context.iter().enumerate().map(|(n, entry)| match entry.ty {
        _ if n == 0 => Some(Value::Time(now)),
        Type::Ip => Some(Value::Ip(caller.ip)),
        _ => None,
    });
    let credential = credential(side, caller, own)?;
    let asked = Asked {
        account: asking(side, caller, account)?,
        acting_for: Vec::new(),
        scope,
        action,
        properties: Vec::new(),
        kind: kind_acted_on,
        id: Some(id.into()),
        attributes: Vec::new(),
        parent: None,
        context: context.collect(),
        credential: Some(credential),
    };
    side.set.question(&side.directory, asked, &|text| org.key_policy(text)).ok()
}

/// A caller as an account that asks, with what its credential says of it.
pub fn asking(side: &Side, caller: &Caller, account: &AccountFacts) -> Option<AskedEntity> {
    let vocabulary = side.set.vocabulary();
    let kind = vocabulary.kind_by_wire(account.kind.wire())?;
    let declared = &vocabulary.kind(kind).attributes;
    let attributes = declared.iter().map(|a| match vocabulary.name(a.name) {
        "mfa" if caller.key.mfa => Some(Value::Bool(true)),
        _ => None,
    });
    Some(AskedEntity {
        entity: Entity { kind, id: account.id.as_str().into() },
        attributes: attributes.collect(),
    })
}

/// The ceilings of the credential a caller presents; `None` if one of them is unknown, which denies.
pub fn credential(side: &Side, caller: &Caller, own: bool) -> Option<AskedCredential> {
    let names = &side.set.vocabulary().boundaries;
    let boundary = |name: &String| names.iter().position(|b| b == name).map(|n| BoundaryId(n as u32));
    let boundaries =
        if own { caller.key.boundaries.iter().map(boundary).collect::<Option<_>>()? } else { Vec::new() };
    Some(AskedCredential {
        scope: caller.key.scope.as_deref().map(SmolStr::from),
        boundaries,
        policy: caller.key.policy.clone().filter(|_| own),
    })
}

/// Whether an account could do something with a key that bounds nothing, confirmed by a second factor or not.
pub fn could(org: &OrgState, account: &AccountFacts, action: &'static str, on: On<'_>, now: i64) -> bool {
    let key = |mfa: bool| Key::unbounded(&org.uid, &account.uid, &account.home, mfa);
    let caller = |mfa: bool| Caller {
        key: Arc::new(key(mfa)),
        key_id: String::new(),
        org: None,
        account: Some(account.clone()),
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    [false, true].into_iter().any(|mfa| permit(org, &caller(mfa), action, on, now).is_ok())
}

/// What a key of the installation may do: make organizations.
pub fn installation(caller: &Caller) -> Result<Permit, Denied> {
    let action = "create_organization";
    match caller.account {
        None if caller.key.org.is_empty() => Ok(Permit { rule: "installation key".to_owned() }),
        _ => Err(Denied { action, answer: None }),
    }
}

/// What whoever can run `policyd init` on the host may do: he has the files anyway.
pub fn host_access() -> Permit {
    Permit { rule: "access to the host".to_owned() }
}
