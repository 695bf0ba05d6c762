//! Conditions, and the rules of policies, roles and boundaries.

use super::calls::calls;
use super::expr::{ConditionFacts, Env, Typer};
use super::names::Checker;
use super::program::{Block, BlockWord, Condition, Home, Parameter, Rule};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits;
use crate::source::Span;
use crate::syntax::ast::{self, Declaration};
use crate::syntax::format::rule_text;
use crate::value::{BoundaryId, ConditionId, Effect, PolicyId, RoleId, RuleId, parse_time};
use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::{SmolStr, format_smolstr};

impl Checker<'_> {
    /// Checks all conditions, called ones before their callers.
    pub fn conditions(&mut self, files: &[ast::File]) {
        let mut declared: Vec<&ast::ConditionDeclaration> = Vec::new();
        let mut first: FxHashMap<SmolStr, Span> = FxHashMap::default();
        for declaration in files.iter().flat_map(|f| &f.declarations) {
            let Declaration::Condition(c) = declaration else { continue };
            if let Some(span) = first.get(&c.name.text) {
                let span = *span;
                self.duplicate("condition", &c.name.text, c.name.span, span);
            } else {
                first.insert(c.name.text.clone(), c.name.span);
            }
            declared.push(c);
        }
        let callees: Vec<Vec<(ConditionId, Span)>> = declared.iter().map(|c| self.callees(c)).collect();
        for (id, depth) in self.condition_order(&declared, &callees) {
            let c = declared[id.index()];
            if depth > limits::CONDITION_DEPTH_MAX {
                self.report(
                    Diagnostic::new(
                        Code::E0005,
                        c.name.span,
                        format!("conditions call one another more than {} deep", limits::CONDITION_DEPTH_MAX),
                        "this one is too deep",
                    )
                    .help("write some of them out where they are used"),
                );
                continue;
            }
            self.condition(id, c);
        }
    }

    fn callees(&self, c: &ast::ConditionDeclaration) -> Vec<(ConditionId, Span)> {
        let mut names = Vec::new();
        calls(&c.body, &mut names);
        let own = |n: &ast::Name| c.parameters.iter().any(|(p, _)| p.text == n.text);
        names
            .iter()
            .filter(|n| !own(n))
            .filter_map(|n| self.condition_names.get(&n.text).map(|id| (*id, n.span)))
            .collect()
    }

    /// Conditions in an order in which each stands after those it calls, with how deep it calls. Cycles are reported.
    fn condition_order(
        &mut self,
        declared: &[&ast::ConditionDeclaration],
        callees: &[Vec<(ConditionId, Span)>],
    ) -> Vec<(ConditionId, usize)> {
        let mut depth: Vec<Option<usize>> = vec![None; declared.len()];
        let mut order = Vec::new();
        let mut open = vec![false; declared.len()];
        for start in 0..declared.len() {
            let mut stack = vec![(start, 0usize)];
            while let Some((at, next)) = stack.pop() {
                if depth[at].is_some() {
                    continue;
                }
                open[at] = true;
                match callees[at].get(next) {
                    Some((callee, span)) => {
                        stack.push((at, next + 1));
                        let callee = callee.index();
                        if open[callee] {
                            self.report(
                                Diagnostic::new(
                                    Code::E0103,
                                    declared[callee].name.span,
                                    format!("condition `{}` asks itself", declared[callee].name.text),
                                    "declared here",
                                )
                                .label(*span, "which leads back to it here")
                                .help("a condition cannot recurse; drop one of the calls"),
                            );
                        } else if depth[callee].is_none() {
                            stack.push((callee, 0));
                        }
                    }
                    None => {
                        let deepest = callees[at].iter().filter_map(|(c, _)| depth[c.index()]).max();
                        depth[at] = Some(deepest.map_or(1, |d| d + 1));
                        open[at] = false;
                        order.push((ConditionId(at as u32), depth[at].unwrap_or(1)));
                    }
                }
            }
        }
        order
    }

    fn condition(&mut self, id: ConditionId, c: &ast::ConditionDeclaration) {
        let before = self.diagnostics.len();
        let mut parameters: Vec<Parameter> = Vec::new();
        for (name, ty) in &c.parameters {
            if ["account", "resource", "scope", "action", "context"].contains(&name.text.as_str()) {
                self.report(
                    Diagnostic::new(
                        Code::E0108,
                        name.span,
                        format!("a parameter cannot be called `{}`", name.text),
                        "this word has a fixed meaning in rules",
                    )
                    .help("choose another name, such as `who` or `what`"),
                );
            }
            if parameters.iter().any(|p| p.name == name.text) {
                let first = c.parameters.iter().find(|(n, _)| n.text == name.text).map(|(n, _)| n.span);
                self.duplicate("parameter", &name.text, name.span, first.unwrap_or_default());
            }
            if let Some((ty, optional)) = self.attribute_type(ty, false) {
                parameters.push(Parameter { name: name.text.clone(), ty, optional });
            }
        }
        if self.diagnostics.len() > before || parameters.len() < c.parameters.len() {
            return;
        }
        let env = Env { parameters: Some(parameters.clone()), ..Env::default() };
        let mut typer = Typer::new(self, env);
        let body = typer.test(&c.body);
        let quantifies = typer.quantifies;
        if self.diagnostics[before..].iter().any(|d| d.severity() == crate::diagnostic::Severity::Error) {
            return;
        }
        self.condition_facts[id.index()] = ConditionFacts { yes: body.yes, no: body.no, quantifies };
        self.conditions[id.index()] =
            Some(Condition { name: c.name.text.clone(), parameters, body: body.expr, span: c.name.span });
    }

    /// Checks the rules of all policies, roles and boundaries.
    pub fn blocks(&mut self, files: &[ast::File]) {
        let mut done: FxHashSet<Span> = FxHashSet::default();
        for declaration in files.iter().flat_map(|f| &f.declarations) {
            let Declaration::Block(block) = declaration else { continue };
            let (home, table) = match block.word {
                BlockWord::Policy => {
                    let id = self.policy_names[&block.name.text];
                    (Home::Policy(id), self.policies[id.index()].span)
                }
                BlockWord::Role => {
                    let id = self.role_names[&block.name.text];
                    (Home::Role(id), self.roles[id.index()].span)
                }
                BlockWord::Boundary => {
                    let id = self.boundary_names[&block.name.text];
                    (Home::Boundary(id), self.boundaries[id.index()].span)
                }
            };
            if table == block.name.span && done.insert(table) {
                for (index, rule) in block.rules.iter().enumerate() {
                    self.rule(home, &block.name.text, block.word, index, rule);
                }
            }
        }
        self.rank();
    }

    /// Checks a key's own text as the rules of the one boundary `key`.
    pub fn key_policy(&mut self, rules: Vec<ast::Rule>) {
        let name = SmolStr::new_static("key");
        self.vocabulary.boundaries.push(name.clone());
        self.boundaries.push(Block {
            name: name.clone(),
            title: None,
            rules: Vec::new(),
            span: Span::default(),
        });
        for (index, rule) in rules.iter().enumerate() {
            if let Some(name) = &rule.name {
                self.report(
                    Diagnostic::new(
                        Code::E0305,
                        name.span,
                        "the rules of a key's own text have no names",
                        "answers call it `key.N`",
                    )
                    .help("drop the name"),
                );
            }
            self.rule(Home::Boundary(BoundaryId(0)), "key", BlockWord::Boundary, index, rule);
        }
        if rules.len() > limits::KEY_POLICY_RULES_MAX {
            self.report(Diagnostic::new(
                Code::E0005,
                rules[limits::KEY_POLICY_RULES_MAX].span,
                format!("a key's own text has at most {} rules", limits::KEY_POLICY_RULES_MAX),
                "this one is too many",
            ));
        }
        self.rank();
    }

    fn rule(&mut self, home: Home, block: &str, word: BlockWord, index: usize, rule: &ast::Rule) {
        self.rule_form(word, rule);
        let until = rule.until.as_ref().and_then(|t| match parse_time(&t.text) {
            Ok(time) => Some(time),
            Err(why) => {
                self.report(
                    Diagnostic::new(Code::E0209, t.span, why, "`until` takes a Time")
                        .help("write it in UTC, such as \"2026-12-31T00:00:00Z\""),
                );
                None
            }
        });
        let Some(head) = self.head(word, rule) else { return self.conditions_without_head(word, rule) };
        let (mut when, mut unless) = (None, None);
        if rule.when.is_some() || rule.unless.is_some() {
            let env = self.environment(&head, rule.effect == Effect::Deny);
            let mut typer = Typer::new(self, env);
            let mut gained = Vec::new();
            if let Some(e) = &rule.when {
                let tested = typer.test(e);
                gained = tested.yes;
                when = Some(tested.expr);
            }
            if let Some(e) = &rule.unless {
                typer.env.false_opens = rule.effect == Effect::Allow;
                unless = Some(typer.under(&gained, |t| t.test(e)).expr);
            }
        }
        if self.rules.len() >= limits::RULES_MAX {
            if self.rules.len() == limits::RULES_MAX {
                let message = format!("more than {} rules", limits::RULES_MAX);
                self.report(Diagnostic::new(Code::E0005, rule.span, message, "this one is too many"));
            }
            return;
        }
        let id = RuleId(self.rules.len() as u32);
        let name = rule.name.as_ref().map(|n| n.text.clone());
        let word_text = match word {
            BlockWord::Policy => "policy",
            BlockWord::Role => "role",
            BlockWord::Boundary => "boundary",
        };
        let key = name.clone().unwrap_or_else(|| {
            let text = rule_text(self.sources, rule.span);
            format_smolstr!("{block}.{word_text} {text}")
        });
        self.rules.push(Rule {
            label: name.clone().unwrap_or_else(|| format_smolstr!("{block}.{}", index + 1)),
            name,
            key,
            rank: 0,
            home,
            effect: rule.effect,
            who: head.who,
            actions: head.actions,
            what: head.what,
            at: head.at,
            when,
            unless,
            until,
            because: rule.because.as_ref().map(|b| b.text.clone()),
            ask: rule.ask.as_ref().map(|a| a.text.clone()),
            span: rule.span,
        });
        let rules = match home {
            Home::Policy(PolicyId(i)) => &mut self.policies[i as usize].rules,
            Home::Role(RoleId(i)) => &mut self.roles[i as usize].rules,
            Home::Boundary(BoundaryId(i)) => &mut self.boundaries[i as usize].rules,
        };
        rules.push(id);
    }

    /// What the form of a rule must be, whatever it says.
    fn rule_form(&mut self, word: BlockWord, rule: &ast::Rule) {
        if let Some(name) = &rule.name {
            match self.rule_names.get(&name.text) {
                Some(first) => {
                    let first = *first;
                    self.duplicate("rule", &name.text, name.span, first);
                }
                None => {
                    self.rule_names.insert(name.text.clone(), name.span);
                }
            }
            if ["default", "scope", "boundary", "acting_for", "rule"].contains(&name.text.as_str()) {
                self.report(
                    Diagnostic::new(
                        Code::E0108,
                        name.span,
                        format!("a rule cannot be called `{}`", name.text),
                        "answers name the steps of a decision so",
                    )
                    .help("choose another name"),
                );
            }
        }
        if word == BlockWord::Role && rule.effect == Effect::Deny {
            self.report(
                Diagnostic::new(
                    Code::E0301,
                    rule.effect_span,
                    "a role only allows",
                    "losing a role must never open anything",
                )
                .help("write it in a policy: `deny anyone to … when account has role …`"),
            );
        }
        if let (Some(ask), Effect::Allow) = (&rule.ask, rule.effect) {
            self.report(
                Diagnostic::new(
                    Code::E0302,
                    ask.span,
                    "`ask` belongs to a deny",
                    "an allow asks for nothing",
                )
                .label(rule.effect_span, "this rule allows")
                .help("drop it, or put it on the deny that asking would lift"),
            );
        }
        if let (Some(until), Effect::Deny) = (&rule.until, rule.effect) {
            self.report(
                Diagnostic::new(
                    Code::W0308,
                    until.span,
                    "this deny ends by itself",
                    "from this time on what it forbids is open again",
                )
                .label(rule.effect_span, "this rule denies")
                .help("if that is meant, say so with `expect W0308 \"…\"` above the rule"),
            );
        }
    }

    /// The head was wrong: conditions are still checked, against what of the head could be read.
    fn conditions_without_head(&mut self, block: BlockWord, rule: &ast::Rule) {
        if rule.when.is_none() && rule.unless.is_none() {
            return;
        }
        let before = self.diagnostics.len();
        let (head, sure) = self.readable_head(block, rule);
        self.diagnostics.truncate(before);
        let mut typer = Typer::new(self, head);
        let mut gained = Vec::new();
        if let Some(e) = &rule.when {
            gained = typer.test(e).yes;
        }
        if let Some(e) = &rule.unless {
            typer.env.false_opens = rule.effect == Effect::Allow;
            typer.under(&gained, |t| t.test(e));
        }
        // Where it is open what the rule covers, only what is wrong under any head is a mistake of its own.
        let own = |d: &Diagnostic| {
            use Code::{E0102, E0205, E0206, E0208, E0209, E0211, E0212};
            sure || matches!(d.code, E0102 | E0205 | E0206 | E0208 | E0209 | E0211 | E0212)
        };
        let found = self.diagnostics.split_off(before);
        self.diagnostics.extend(found.into_iter().filter(own));
    }

    /// Numbers the rules in the order of their keys.
    fn rank(&mut self) {
        let mut order: Vec<usize> = (0..self.rules.len()).collect();
        order.sort_by(|a, b| self.rules[*a].key.cmp(&self.rules[*b].key).then(a.cmp(b)));
        for (rank, rule) in order.into_iter().enumerate() {
            self.rules[rule].rank = rank as u32;
        }
    }
}
