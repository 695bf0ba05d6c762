//! Cedar, in three set-ups: as it is; with a policy set for each action and kind; and with a set for each action, kind and
//! name in the head, of which a request asks those that can match.
//!
//! Entities (accounts in groups, scopes in scopes, resources in environments) are loaded, requests are built, slices are
//! made beforehand. In the third set-up the caller does by hand what an index of heads does: a request asks a few small
//! sets and puts their answers together, a deny of any over an allow of any.

use crate::world::{ACCOUNT_KINDS, ACTIONS, Condition, KINDS, RuleSpec, Scope, Who, World};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId,
    PolicySet, Request, Response, RestrictedExpression,
};
use policyc::Effect;
use rustc_hash::FxHashMap;
use std::collections::{HashMap, HashSet};
use std::hint::black_box;

/// What a small set of the third set-up holds: policies with this head.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Head {
    Names(usize, Who),
    AnyoneAt(usize, Scope),
}

pub struct Cedar {
    authorizer: Authorizer,
    entities: Entities,
    all: PolicySet,
    slices: Vec<PolicySet>,
    index: FxHashMap<Head, PolicySet>,
    asked: Vec<Asked>,
}

struct Asked {
    request: Request,
    what: usize,
    heads: Vec<Head>,
}

impl Cedar {
    pub fn new(world: &World) -> Cedar {
        let mut index: FxHashMap<Head, Vec<Policy>> = FxHashMap::default();
        let mut slices = vec![Vec::new(); ACTIONS.len() * KINDS];
        let mut all = Vec::new();
        for (n, rule) in world.rules.iter().enumerate() {
            let id = PolicyId::new(format!("r{n}"));
            let policy = Policy::parse(Some(id), text(world, rule)).expect("the world's policies parse");
            for kind in 0..KINDS as u8 {
                if rule.kind.is_none_or(|k| k == kind) {
                    let what = what(rule.action, kind);
                    slices[what].push(policy.clone());
                    let head = match (rule.who, rule.at) {
                        (Who::Anyone, Some(at)) => Head::AnyoneAt(what, at),
                        (who, _) => Head::Names(what, who),
                    };
                    index.entry(head).or_default().push(policy.clone());
                }
            }
            all.push(policy);
        }
        let set = |policies| PolicySet::from_policies(policies).expect("names are unique");
        Cedar {
            authorizer: Authorizer::new(),
            entities: entities(world),
            all: set(all),
            slices: slices.into_iter().map(set).collect(),
            index: index.into_iter().map(|(head, policies)| (head, set(policies))).collect(),
            asked: (0..world.requests.len()).map(|n| asked(world, n)).collect(),
        }
    }

    pub fn plain(&self, n: usize) -> bool {
        self.ask(n, &self.all).decision() == Decision::Allow
    }

    pub fn sliced(&self, n: usize) -> bool {
        self.ask(n, &self.slices[self.asked[n].what]).decision() == Decision::Allow
    }

    pub fn indexed(&self, n: usize) -> bool {
        let mut allowed = false;
        for head in &self.asked[n].heads {
            let Some(set) = self.index.get(head) else { continue };
            let response = self.ask(n, set);
            match response.decision() {
                Decision::Allow => allowed = true,
                Decision::Deny if response.diagnostics().reason().next().is_some() => return false,
                Decision::Deny => {}
            }
        }
        allowed
    }

    fn ask(&self, n: usize, set: &PolicySet) -> Response {
        black_box(self.authorizer.is_authorized(&self.asked[n].request, set, &self.entities))
    }
}

fn what(action: u8, kind: u8) -> usize {
    action as usize * KINDS + kind as usize
}

fn asked(world: &World, n: usize) -> Asked {
    let request = &world.requests[n];
    let resource = &world.resources[request.resource as usize];
    let ip = request
        .ip
        .map(|[a, b, c, d]| ("ip".to_owned(), RestrictedExpression::new_ip(format!("{a}.{b}.{c}.{d}"))));
    let what = what(request.action, resource.kind);
    let mut heads = Vec::new();
    let mut at = Some(resource.scope);
    while let Some(scope) = at {
        heads.push(Head::AnyoneAt(what, scope));
        at = world.parent(scope);
    }
    heads.push(Head::Names(what, Who::Account(request.account)));
    let groups = world.accounts[request.account as usize].groups.iter();
    heads.extend(groups.map(|g| Head::Names(what, Who::Group(*g))));
    Asked {
        request: Request::new(
            account(world, request.account),
            uid("Action", ACTIONS[request.action as usize]),
            thing(world, request.resource),
            Context::from_pairs(ip).expect("an address is an address"),
            None,
        )
        .expect("nothing is checked without a schema"),
        what,
        heads,
    }
}

fn uid(kind: &str, id: impl AsRef<str>) -> EntityUid {
    let kind: EntityTypeName = kind.parse().expect("kinds are names");
    EntityUid::from_type_name_and_id(kind, EntityId::new(id))
}

fn account(world: &World, n: u32) -> EntityUid {
    uid(ACCOUNT_KINDS[world.accounts[n as usize].kind as usize], format!("a{n}"))
}

fn thing(world: &World, n: u32) -> EntityUid {
    uid(&format!("kind{}", world.resources[n as usize].kind), format!("x{n}"))
}

fn place(world: &World, scope: Scope) -> EntityUid {
    uid(world.scope_kind(scope), world.path(scope))
}

fn entities(world: &World) -> Entities {
    let mut all = Vec::new();
    for scope in world.scopes() {
        let parents = world.parent(scope).map(|p| place(world, p)).into_iter().collect();
        all.push(Entity::new_no_attrs(place(world, scope), parents));
    }
    for group in 0..world.groups.len() {
        all.push(Entity::new_no_attrs(uid("group", format!("g{group}")), HashSet::new()));
    }
    for (n, of) in world.accounts.iter().enumerate() {
        let groups = of.groups.iter().map(|g| uid("group", format!("g{g}"))).collect();
        all.push(Entity::new_no_attrs(account(world, n as u32), groups));
    }
    for (n, resource) in world.resources.iter().enumerate() {
        let string = |l: &u32| RestrictedExpression::new_string(format!("l{l}"));
        let mut attributes = HashMap::from([
            ("size".to_owned(), RestrictedExpression::new_long(resource.size)),
            ("labels".to_owned(), RestrictedExpression::new_set(resource.labels.iter().map(string))),
            ("secret".to_owned(), RestrictedExpression::new_bool(resource.secret)),
        ]);
        if let Some(owner) = resource.owner {
            let owner = RestrictedExpression::new_entity_uid(account(world, owner));
            attributes.insert("owner".to_owned(), owner);
        }
        let parents = HashSet::from([place(world, resource.scope)]);
        let entity = Entity::new(thing(world, n as u32), attributes, parents);
        all.push(entity.expect("plain values are values"));
    }
    Entities::from_entities(all, None).expect("the world is a tree")
}

fn text(world: &World, rule: &RuleSpec) -> String {
    let effect = if rule.effect == Effect::Allow { "permit" } else { "forbid" };
    let principal = match rule.who {
        Who::Anyone => "principal".to_owned(),
        Who::Group(group) => format!("principal in group::\"g{group}\""),
        Who::Account(n) => format!("principal == {}", account(world, n)),
    };
    let resource = match (rule.resource, rule.kind, rule.at) {
        (Some(n), _, _) => format!("resource == {}", thing(world, n)),
        (None, Some(kind), Some(at)) => format!("resource is kind{kind} in {}", place(world, at)),
        (None, Some(kind), None) => format!("resource is kind{kind}"),
        (None, None, Some(at)) => format!("resource in {}", place(world, at)),
        (None, None, None) => "resource".to_owned(),
    };
    let when = match rule.when {
        Condition::Always => String::new(),
        Condition::SizeBelow(size) => format!("when {{ resource.size < {size} }}"),
        Condition::Label(label) => format!("when {{ resource.labels.contains(\"l{label}\") }}"),
        Condition::Owner => "when { resource has owner && resource.owner == principal }".to_owned(),
        Condition::Network(n) => {
            format!("when {{ context has ip && context.ip.isInRange(ip(\"10.{n}.0.0/16\")) }}")
        }
        Condition::Secret => "when { resource.secret }".to_owned(),
    };
    let action = ACTIONS[rule.action as usize];
    format!("{effect} ({principal}, action == Action::\"{action}\", {resource}) {when};")
}
