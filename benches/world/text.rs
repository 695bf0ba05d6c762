//! A [`World`] as text: our policies, our data, our requests.
//!
//! In:   `&World`.
//! Out:  policy text, a data file and requests as JSON.

use super::{ACCOUNT_KINDS, ACTIONS, Condition, KINDS, Request, RuleSpec, Scope, Who, World};
use policyc::source::Sources;
use policyc::{
    Directory, Effect, PolicySet, Question, Text, TextAccount, TextEntity, TextRequest, TextResource,
};
use std::fmt::Write;

/// The instant at which everything happens, in microseconds.
const NOW: i64 = 1_770_000_000_000_000;

impl World {
    /// The vocabulary of every size.
    pub fn vocabulary() -> String {
        let mut out = String::from(
            "scope organization\nscope project in organization\nscope environment in project\n\
             account user\naccount service_account\naccount agent\n\
             context { ip: Ip? }\n",
        );
        for kind in 0..KINDS {
            let _ = writeln!(
                out,
                "resource kind{kind} {{ owner: user?, size: Int, labels: Set<String>, secret: Bool }}"
            );
        }
        let kinds: Vec<String> = (0..KINDS).map(|k| format!("kind{k}")).collect();
        let _ = writeln!(out, "action {} on {}", ACTIONS.join(", "), kinds.join(", "));
        out
    }

    /// The rules, in one policy; rule number `n` is called `rn`.
    pub fn policy(&self) -> String {
        let mut out = String::with_capacity(self.rules.len() * 110);
        out.push_str("policy world {\n");
        for (n, rule) in self.rules.iter().enumerate() {
            let _ = writeln!(out, "  r{n}: {}", self.rule_text(rule));
        }
        out.push_str("}\n");
        out
    }

    fn rule_text(&self, rule: &RuleSpec) -> String {
        let mut out = String::from(if rule.effect == Effect::Allow { "allow " } else { "deny " });
        let _ = match rule.who {
            Who::Anyone => write!(out, "anyone"),
            Who::Group(group) => write!(out, "group \"g{group}\""),
            Who::Account(account) => write!(out, "{} \"a{account}\"", self.account_kind(account)),
        };
        let _ = write!(out, " to {} on ", ACTIONS[rule.action as usize]);
        let _ = match rule.kind {
            None => write!(out, "anything"),
            Some(kind) => write!(out, "kind{kind}"),
        };
        let _ = rule.resource.map(|resource| write!(out, " \"x{resource}\""));
        let _ = rule.at.map(|at| write!(out, " at {} \"{}\"", self.scope_kind(at), self.path(at)));
        let _ = match rule.when {
            Condition::Always => Ok(()),
            Condition::SizeBelow(size) => write!(out, " when resource.size < {size}"),
            Condition::Label(label) => write!(out, " when resource.labels contains \"l{label}\""),
            Condition::Owner => write!(out, " when resource.owner exists and resource.owner == account"),
            Condition::Network(n) => {
                write!(out, " when context.ip exists and context.ip in \"10.{n}.0.0/16\"")
            }
            Condition::Secret => write!(out, " when resource.secret"),
        };
        out
    }

    /// Vocabulary and rules.
    pub fn sources(&self) -> Sources {
        let mut sources = Sources::default();
        sources.add("vocabulary.pol", World::vocabulary());
        sources.add("rules.pol", self.policy());
        sources
    }

    /// The data file.
    pub fn data(&self) -> String {
        let mut out = String::from("{\"scopes\":[");
        let list = |out: &mut String, items: &mut dyn Iterator<Item = String>| {
            for (n, item) in items.enumerate() {
                out.push_str(if n == 0 { "\n" } else { ",\n" });
                out.push_str(&item);
            }
        };
        let scope = |s: Scope| format!("{{\"kind\":\"{}\",\"id\":\"{}\"}}", self.scope_kind(s), self.path(s));
        list(&mut out, &mut self.scopes().map(scope));
        out.push_str("],\n\"groups\":[");
        list(&mut out, &mut (0..self.groups.len()).map(|g| format!("{{\"id\":\"g{g}\"}}")));
        out.push_str("],\n\"accounts\":[");
        let account = |n: usize| {
            let groups: Vec<_> = self.accounts[n].groups.iter().map(|g| format!("\"g{g}\"")).collect();
            let (kind, groups) = (self.account_kind(n as u32), groups.join(","));
            format!("{{\"kind\":\"{kind}\",\"id\":\"a{n}\",\"scope\":\"acme\",\"groups\":[{groups}]}}")
        };
        list(&mut out, &mut (0..self.accounts.len()).map(account));
        out.push_str("]}\n");
        out
    }

    /// A request as JSON.
    pub fn json(&self, request: &Request) -> String {
        let resource = &self.resources[request.resource as usize];
        let labels: Vec<_> = resource.labels.iter().map(|l| format!("\"l{l}\"")).collect();
        let owner = resource
            .owner
            .map(|o| format!("\"owner\":{{\"kind\":\"user\",\"id\":\"a{o}\"}},"))
            .unwrap_or_default();
        let ip = request.ip.map(|[a, b, c, d]| format!("\"ip\":\"{a}.{b}.{c}.{d}\"")).unwrap_or_default();
        format!(
            "{{\"account\":{{\"kind\":\"{}\",\"id\":\"a{}\"}},\"scope\":\"{}\",\"action\":{{\"name\":\"{}\"}},\
             \"resource\":{{\"kind\":\"kind{}\",\"id\":\"x{}\",\"attributes\":{{{owner}\"size\":{},\"labels\":[{}],\
             \"secret\":{}}}}},\"context\":{{{ip}}}}}",
            self.account_kind(request.account),
            request.account,
            self.path(resource.scope),
            ACTIONS[request.action as usize],
            resource.kind,
            request.resource,
            resource.size,
            labels.join(","),
            resource.secret,
        )
    }

    /// A request as text in a struct. What it borrows is never given back: a bench soon ends.
    pub fn text(&self, request: &Request) -> TextRequest<'static> {
        let keep = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        let resource = &self.resources[request.resource as usize];
        let owner = resource.owner.map(|o| TextEntity { kind: "user", id: keep(format!("a{o}")) });
        let labels: Vec<&str> = resource.labels.iter().map(|l| keep(format!("l{l}"))).collect();
        let mut attributes: Vec<(&str, Text<'static>)> =
            owner.map(|o| ("owner", Text::Entity(o))).into_iter().collect();
        attributes.push(("size", Text::One(keep(resource.size.to_string()))));
        attributes.push(("labels", Text::Many(labels.leak())));
        attributes.push(("secret", Text::One(if resource.secret { "true" } else { "false" })));
        let ip = request.ip.map(|[a, b, c, d]| ("ip", Text::One(keep(format!("{a}.{b}.{c}.{d}")))));
        TextRequest {
            account: TextAccount {
                entity: TextEntity {
                    kind: self.account_kind(request.account),
                    id: keep(format!("a{}", request.account)),
                },
                attributes: &[],
            },
            acting_for: &[],
            scope: Some(keep(self.path(resource.scope))),
            action: ACTIONS[request.action as usize],
            properties: &[],
            resource: TextResource {
                kind: keep(format!("kind{}", resource.kind)),
                id: Some(keep(format!("x{}", request.resource))),
                within: None,
                attributes: attributes.leak(),
            },
            context: ip.into_iter().collect::<Vec<_>>().leak(),
            credential: None,
            now: NOW,
        }
    }

    /// The name of an account's kind.
    pub fn account_kind(&self, account: u32) -> &'static str {
        ACCOUNT_KINDS[self.accounts[account as usize].kind as usize]
    }

    /// The name of a scope's kind.
    pub fn scope_kind(&self, scope: Scope) -> &'static str {
        match scope.0 {
            0 => "organization",
            n if n <= self.projects => "project",
            _ => "environment",
        }
    }

    /// The path of a scope.
    pub fn path(&self, scope: Scope) -> String {
        match self.parent(scope) {
            None => "acme".to_owned(),
            Some(Scope(0)) => format!("acme/p{}", scope.0 - 1),
            Some(Scope(n)) => {
                let environment = scope.0 - 1 - self.projects - (n - 1) * super::ENVIRONMENTS;
                format!("acme/p{}/e{environment}", n - 1)
            }
        }
    }

    /// The compiled set.
    pub fn set(&self) -> PolicySet {
        let compiled = PolicySet::compile(self.sources(), NOW);
        compiled.set.unwrap_or_else(|| panic!("the world compiles: {:?}", compiled.diagnostics.first()))
    }

    /// The loaded data.
    pub fn directory(&self, set: &PolicySet) -> Directory {
        let mut sources = Sources::default();
        let id = sources.add("world.json", self.data());
        let (directory, found) = set.load_directory(&sources, id);
        directory.unwrap_or_else(|| panic!("the world's data loads: {:?}", found.first()))
    }

    /// One request, resolved.
    pub fn question(&self, set: &PolicySet, directory: &Directory, json: &str) -> Question {
        set.request(directory, json, NOW).unwrap_or_else(|e| panic!("the world's requests fit: {e}"))
    }

    /// All requests, resolved.
    pub fn questions(&self, set: &PolicySet, directory: &Directory) -> Vec<Question> {
        self.requests.iter().map(|r| self.question(set, directory, &self.json(r))).collect()
    }
}
