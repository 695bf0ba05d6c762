//! casbin: groups are roles, a rule is a line of policy, denies come first and the first match decides.
//!
//! Casbin reads the lines one by one through one matcher; what fails soonest is asked first, action and kind are one word,
//! and an account's groups are its role manager's.

use crate::world::{ACTIONS, Condition, KINDS, RuleSpec, Who, World};
use casbin::function_map::OperatorFunction;
use casbin::rhai::ImmutableString;
use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};
use policyc::Effect;

const MODEL: &str = r#"
[request_definition]
r = what, sub, thing, environment, project, attributes

[policy_definition]
p = what, sub, thing, at, if, than, eft

[role_definition]
g = _, _

[policy_effect]
e = priority(p.eft) || deny

[matchers]
m = r.what == p.what && (p.at == r.environment || p.at == r.project || p.at == "") && (p.thing == "" || p.thing == r.thing) && (p.sub == r.sub || p.sub == "*" || g(r.sub, p.sub)) && (p.if == "" || holds(p.if, p.than, r.attributes))
"#;

pub struct Casbin {
    enforcer: Enforcer,
    requests: Vec<Vec<ImmutableString>>,
}

impl Casbin {
    pub fn new(world: &World) -> Casbin {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
        let enforcer = runtime.block_on(async {
            let model = DefaultModel::from_str(MODEL).await.expect("the model is a model");
            let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await.expect("it starts");
            enforcer.add_function(
                "holds",
                OperatorFunction::Arg3(|kind, than, attributes| {
                    let text = |d: &_| casbin::function_map::dynamic_to_str(d).into_owned();
                    holds(&text(&kind), &text(&than), &text(&attributes)).into()
                }),
            );
            enforcer.add_grouping_policies(groups(world)).await.expect("groups are roles");
            enforcer.add_policies(lines(world)).await.expect("lines are lines");
            enforcer
        });
        Casbin { enforcer, requests: (0..world.requests.len()).map(|n| request(world, n)).collect() }
    }

    pub fn decide(&self, n: usize) -> bool {
        self.enforcer.enforce(self.requests[n].clone()).expect("the matcher ends")
    }
}

/// The attributes of a request are one text: `size;account;owner;secret;ip;,l1,l2,`.
fn holds(kind: &str, than: &str, attributes: &str) -> bool {
    let mut parts = attributes.split(';');
    let mut part = || parts.next().unwrap_or_default();
    let (size, account, owner, secret, ip, labels) = (part(), part(), part(), part(), part(), part());
    match kind {
        "size" => size.parse::<i64>().ok() < than.parse().ok(),
        "label" => labels.contains(than),
        "owner" => account == owner,
        "network" => ip.starts_with(than),
        _ => secret == "true",
    }
}

fn request(world: &World, n: usize) -> Vec<ImmutableString> {
    let request = &world.requests[n];
    let resource = &world.resources[request.resource as usize];
    let labels: String = resource.labels.iter().map(|l| format!(",l{l},")).collect();
    let ip = request.ip.map(|[a, b, c, d]| format!("{a}.{b}.{c}.{d}")).unwrap_or_default();
    let owner = resource.owner.map(|o| format!("a{o}")).unwrap_or_default();
    let project = world.parent(resource.scope).expect("a resource stands in an environment");
    let texts = [
        what(request.action, resource.kind),
        format!("a{}", request.account),
        format!("x{}", request.resource),
        world.path(resource.scope),
        world.path(project),
        format!("{};a{};{owner};{};{ip};{labels}", resource.size, request.account, resource.secret),
    ];
    texts.into_iter().map(ImmutableString::from).collect()
}

fn what(action: u8, kind: u8) -> String {
    format!("{} kind{kind}", ACTIONS[action as usize])
}

fn groups(world: &World) -> Vec<Vec<String>> {
    let of = |(n, groups): (usize, &Vec<u32>)| {
        groups.iter().map(|g| vec![format!("a{n}"), format!("g{g}")]).collect::<Vec<_>>()
    };
    world.accounts.iter().map(|a| &a.groups).enumerate().flat_map(of).collect()
}

fn lines(world: &World) -> Vec<Vec<String>> {
    let of = |effect| world.rules.iter().filter(move |r| r.effect == effect).flat_map(|r| line(world, r));
    let mut lines: Vec<_> = of(Effect::Deny).chain(of(Effect::Allow)).collect();
    let mut seen = std::collections::HashSet::new();
    lines.retain(|line| seen.insert(line.clone()));
    lines
}

/// A rule is a line, or one for each kind if it is about anything.
fn line(world: &World, rule: &RuleSpec) -> Vec<Vec<String>> {
    let who = match rule.who {
        Who::Anyone => "*".to_owned(),
        Who::Group(group) => format!("g{group}"),
        Who::Account(account) => format!("a{account}"),
    };
    let (kind, than) = match rule.when {
        Condition::Always => ("", String::new()),
        Condition::SizeBelow(size) => ("size", size.to_string()),
        Condition::Label(label) => ("label", format!(",l{label},")),
        Condition::Owner => ("owner", String::new()),
        Condition::Network(n) => ("network", format!("10.{n}.")),
        Condition::Secret => ("secret", String::new()),
    };
    let effect = if rule.effect == Effect::Allow { "allow" } else { "deny" };
    let kinds = (0..KINDS as u8).filter(|k| rule.kind.is_none_or(|kind| kind == *k));
    kinds
        .map(|k| {
            vec![
                what(rule.action, k),
                who.clone(),
                rule.resource.map(|x| format!("x{x}")).unwrap_or_default(),
                rule.at.map(|at| world.path(at)).unwrap_or_default(),
                kind.to_owned(),
                than.clone(),
                effect.to_owned(),
            ]
        })
        .collect()
}
