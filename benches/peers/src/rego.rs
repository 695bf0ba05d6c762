//! regorus, in two set-ups: each rule a rule in Rego, and a small program for its VM over rules as indexed data.
//!
//! Accounts and their groups are data; a request is a value, its path of scopes already an object, its action and kind one
//! word. In the second set-up the rules are data by effect, action with kind, and the name in the head; rules for anyone by
//! their scope: what an index of heads is, made by hand.

use crate::world::{ACTIONS, Condition, KINDS, RuleSpec, Who, World};
use policyc::Effect;
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, PolicyLengthConfig, Rc, Value};
use serde_json::{Map, json};
use std::fmt::Write;
use std::num::{NonZeroU32, NonZeroUsize};

/// The rule that answers.
const ANSWER: &str = "data.world.permit";

/// The program of the second set-up.
const PROGRAM: &str = r#"package world

default permit := false
permit if {
  not deny
  allow
}
deny if {
  some at in input.path
  some rule in data.anyone[input.what][at]
  holds(rule)
}
deny if {
  some who in data.names[input.account]
  some rule in data.denies[input.what][who]
  fits(rule)
}
allow if {
  some who in data.names[input.account]
  some rule in data.allows[input.what][who]
  fits(rule)
}
fits(rule) if {
  input.scopes[rule.at]
  holds(rule)
}
holds(rule) if rule["if"] == "always"
holds(rule) if {
  rule["if"] == "size"
  input.size < rule.than
}
holds(rule) if {
  rule["if"] == "label"
  input.labels[rule.than]
}
holds(rule) if {
  rule["if"] == "owner"
  input.owner == input.account
}
holds(rule) if {
  rule["if"] == "network"
  startswith(input.ip, rule.than)
}
holds(rule) if {
  rule["if"] == "secret"
  input.secret
}
holds(rule) if {
  rule["if"] == "resource"
  input.resource == rule.than
}
"#;

pub struct Rules {
    engine: Engine,
    inputs: Vec<Value>,
}

impl Rules {
    pub fn new(world: &World) -> Rules {
        let mut engine = Engine::new();
        engine.set_policy_length_config(PolicyLengthConfig {
            max_col: NonZeroU32::MAX,
            max_file_bytes: NonZeroUsize::MAX,
            max_lines: NonZeroUsize::MAX,
        });
        engine.add_policy("world.rego".to_owned(), rules(world)).expect("the world's rules parse");
        engine.add_data(value(&groups(world))).expect("data is data");
        Rules { engine, inputs: inputs(world) }
    }

    pub fn decide(&mut self, n: usize) -> bool {
        self.engine.set_input(self.inputs[n].clone());
        self.engine.eval_rule(ANSWER.to_owned()).expect("the rule is there") == Value::from(true)
    }
}

pub struct Machine {
    machine: RegoVM,
    inputs: Vec<Value>,
}

impl Machine {
    pub fn new(world: &World) -> Machine {
        let mut engine = Engine::new();
        engine.add_policy("world.rego".to_owned(), PROGRAM.to_owned()).expect("the program parses");
        let compiled = engine.compile_with_entrypoint(&Rc::from(ANSWER)).expect("it compiles");
        let program = Compiler::compile_from_policy(&compiled, &[ANSWER]).expect("it compiles for the VM");
        let mut machine = RegoVM::new();
        machine.set_max_instructions(usize::MAX);
        machine.load_program(program);
        machine.set_data(value(&index(world))).expect("rules and data have different names");
        Machine { machine, inputs: inputs(world) }
    }

    pub fn decide(&mut self, n: usize) -> bool {
        self.machine.set_input(self.inputs[n].clone());
        self.machine.execute().expect("the program ends") == Value::from(true)
    }
}

fn value(json: &serde_json::Value) -> Value {
    Value::from_json_str(&json.to_string()).expect("JSON is JSON")
}

fn inputs(world: &World) -> Vec<Value> {
    let input = |request: &crate::world::Request| {
        let resource = &world.resources[request.resource as usize];
        let mut path = Vec::new();
        let mut at = Some(resource.scope);
        while let Some(scope) = at {
            path.push(world.path(scope));
            at = world.parent(scope);
        }
        let set = |words: Vec<String>| -> Map<String, serde_json::Value> {
            words.into_iter().map(|w| (w, true.into())).collect()
        };
        let mut input = json!({
            "account": format!("a{}", request.account),
            "action": ACTIONS[request.action as usize],
            "what": what(request.action, resource.kind),
            "resource": format!("x{}", request.resource),
            "path": path,
            "scopes": set(path.iter().cloned().chain([String::new()]).collect()),
            "size": resource.size,
            "labels": set(resource.labels.iter().map(|l| format!("l{l}")).collect()),
            "secret": resource.secret,
        });
        if let Some(owner) = resource.owner {
            input["owner"] = format!("a{owner}").into();
        }
        if let Some([a, b, c, d]) = request.ip {
            input["ip"] = format!("{a}.{b}.{c}.{d}").into();
        }
        value(&input)
    };
    world.requests.iter().map(input).collect()
}

fn what(action: u8, kind: u8) -> String {
    format!("{} kind{kind}", ACTIONS[action as usize])
}

fn name(who: Who) -> String {
    match who {
        Who::Anyone => "*".to_owned(),
        Who::Group(group) => format!("g{group}"),
        Who::Account(account) => format!("a{account}"),
    }
}

/// The groups of each account, as an object.
fn groups(world: &World) -> serde_json::Value {
    let of = |groups: &[u32]| groups.iter().map(|g| (format!("g{g}"), true.into())).collect();
    let all: Map<_, _> = world
        .accounts
        .iter()
        .enumerate()
        .map(|(n, a)| (format!("a{n}"), serde_json::Value::Object(of(&a.groups))))
        .collect();
    json!({ "groups": all })
}

/// Each rule as a rule.
fn rules(world: &World) -> String {
    let mut out = String::from(
        "package world\n\ndefault permit := false\ndefault deny := false\npermit if {\n  not deny\n  allow\n}\n",
    );
    for rule in &world.rules {
        let effect = if rule.effect == Effect::Allow { "allow" } else { "deny" };
        let _ = match rule.kind {
            Some(kind) => write!(out, "{effect} if {{ input.what == \"{}\"", what(rule.action, kind)),
            None => write!(out, "{effect} if {{ input.action == \"{}\"", ACTIONS[rule.action as usize]),
        };
        let _ = rule.at.map(|at| write!(out, "; input.scopes[\"{}\"]", world.path(at)));
        let _ = rule.resource.map(|x| write!(out, "; input.resource == \"x{x}\""));
        let _ = match rule.who {
            Who::Anyone => Ok(()),
            Who::Group(group) => write!(out, "; data.groups[input.account].g{group}"),
            Who::Account(account) => write!(out, "; input.account == \"a{account}\""),
        };
        let _ = match rule.when {
            Condition::Always => Ok(()),
            Condition::SizeBelow(size) => write!(out, "; input.size < {size}"),
            Condition::Label(label) => write!(out, "; input.labels.l{label}"),
            Condition::Owner => write!(out, "; input.owner == input.account"),
            Condition::Network(n) => write!(out, "; startswith(input.ip, \"10.{n}.\")"),
            Condition::Secret => write!(out, "; input.secret"),
        };
        out.push_str(" }\n");
    }
    out
}

/// Rules as data.
fn index(world: &World) -> serde_json::Value {
    let mut index = json!({ "allows": {}, "denies": {}, "anyone": {}, "names": {} });
    for rule in &world.rules {
        let at = rule.at.map(|at| world.path(at)).unwrap_or_default();
        for kind in (0..KINDS as u8).filter(|kind| rule.kind.is_none_or(|k| k == *kind)) {
            let what = what(rule.action, kind);
            let list = match (rule.effect, rule.who) {
                (Effect::Deny, Who::Anyone) => &mut index["anyone"][&what][&at],
                (Effect::Deny, who) => &mut index["denies"][&what][&name(who)],
                (Effect::Allow, who) => &mut index["allows"][&what][&name(who)],
            };
            if list.is_null() {
                *list = json!([]);
            }
            list.as_array_mut().expect("a list is a list").push(data(rule, &at));
        }
    }
    for (n, account) in world.accounts.iter().enumerate() {
        let groups = account.groups.iter().map(|g| name(Who::Group(*g)));
        let names: Vec<String> = groups.chain([format!("a{n}")]).collect();
        index["names"][format!("a{n}")] = names.into();
    }
    index
}

fn data(rule: &RuleSpec, at: &str) -> serde_json::Value {
    if let Some(resource) = rule.resource {
        return json!({ "at": at, "if": "resource", "than": format!("x{resource}") });
    }
    match rule.when {
        Condition::Always => json!({ "at": at, "if": "always" }),
        Condition::SizeBelow(size) => json!({ "at": at, "if": "size", "than": size }),
        Condition::Label(label) => json!({ "at": at, "if": "label", "than": format!("l{label}") }),
        Condition::Owner => json!({ "at": at, "if": "owner" }),
        Condition::Network(n) => json!({ "at": at, "if": "network", "than": format!("10.{n}.") }),
        Condition::Secret => json!({ "at": at, "if": "secret" }),
    }
}
