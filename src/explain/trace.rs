//! The steps of a decision, told: which rules fit, what their tests answered and read.
//!
//! In:    a [`Case`] of `meaning`; every answer here is asked of it, nothing is decided twice in two ways.
//! Out:   one [`AccountTrace`] for each account of the chain.

use super::{
    AccountTrace, ConditionTrace, NEAR_MISSES_MAX, NearMiss, ReadTrace, RuleTrace, StepTrace, TestTrace, show,
};
use crate::check::program::{Expr, ExprKind, Home, Program, Rule, Who};
use crate::decision::{Decision, RuleRef, Step};
use crate::directory::{Link, Thing};
use crate::limits::CONDITION_NODES_MAX;
use crate::meaning::{Answer, Candidate, Case, Ceiling, Held, On, Via, chain};
use crate::source::{Sources, Span};
use crate::value::{BoundaryId, Effect, Entity, KindId, RuleId, Value};

/// Reads a decision for people.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    /// What to quote from.
    pub sources: &'a Sources,
    /// The case of the asking account.
    pub case: Case<'a>,
}

impl<'a> Reader<'a> {
    /// The text of a test, on one line: of a named condition of the set, or of a rule (of a key's own text).
    pub fn quote(self, span: Span, in_key: bool) -> String {
        let sources = self.texts(in_key);
        let known = sources.iter().any(|(id, _)| id == span.source);
        let text = if known { sources.slice(span) } else { "" };
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The sources that rules stand in.
    fn texts(self, in_key: bool) -> &'a Sources {
        let credential = self.case.world.question.credential.as_ref();
        match credential.and_then(|c| c.policy.as_deref()).filter(|_| in_key) {
            Some(key) => &key.sources,
            None => self.sources,
        }
    }

    /// A thing, as policies write it.
    pub fn entity(self, entity: &Entity) -> String {
        show::entity(self.case.world.vocabulary, entity)
    }

    /// Every account of the chain, and why the chain does not end where it must.
    pub fn accounts(self, answer: Decision) -> (Vec<AccountTrace>, Option<String>) {
        let chain = chain(&self.case.world);
        let last = chain.accounts.len() - 1;
        let mut traces = Vec::new();
        let mut undetermined = true;
        for (i, (account, link)) in chain.accounts.iter().copied().enumerate() {
            let reader = Reader { case: Case { account, first: i == 0, ..self.case }, ..self };
            let own = reader.case.decide_one(link);
            let marked = match answer.refused_by {
                None => i == 0,
                Some(Step::ActingFor) => i > 0 && own.is_err(),
                Some(_) => i == 0,
            };
            let mut trace = reader.account(own, link, marked && undetermined);
            undetermined &= !marked;
            if i < last {
                let next = self.entity(chain.accounts[i + 1].0);
                trace.steps.push(StepTrace::new(format!("acts for {next}"), true));
            }
            if let (true, Some(why)) = (i == last, chain.broken) {
                let mut step = StepTrace::new(why.to_owned(), false);
                step.refused = answer.refused_by == Some(Step::ActingFor) && answer.rule.is_none();
                trace.steps.push(step);
            }
            traces.push(trace);
        }
        let broken = chain.broken.map(|why| format!("{}: {why}", self.entity(chain.accounts[last].0)));
        (traces, broken)
    }

    /// All steps of one account; `determines` marks what the whole answer comes from.
    fn account(self, own: Answer, link: Option<&'a Link>, determines: bool) -> AccountTrace {
        let case = self.case;
        let refusing = own.err().map(|(step, _)| step);
        let rule = match own {
            Ok(rule) => Some(rule),
            Err((_, rule)) => rule,
        };
        let told = rule.filter(|_| determines);
        let mut steps = vec![self.known_step()];
        if case.account_counts() {
            steps.push(self.denies(told));
            steps.push(self.allows(told));
            steps.extend(self.scopes());
            steps.extend(case.ceilings(link).into_iter().map(|ceiling| self.ceiling(ceiling, told)));
            steps.extend(self.binding_boundaries(told));
        }
        let refused_at = refusing.and_then(|_| steps.iter().position(|step| !step.passed));
        if let Some(step) = refused_at {
            steps[step].refused = true;
        }
        let mut near_misses = if refusing == Some(Step::Default) && case.account_counts() {
            self.near_misses()
        } else {
            Vec::new()
        };
        let near_misses_left_out = near_misses.len().saturating_sub(NEAR_MISSES_MAX);
        near_misses.truncate(NEAR_MISSES_MAX);
        AccountTrace {
            account: self.entity(case.account),
            allowed: own.is_ok(),
            steps,
            near_misses,
            near_misses_left_out,
        }
    }

    fn known_step(self) -> StepTrace {
        let kind = &self.case.world.vocabulary.kind(self.case.account.kind).name;
        let held = self.case.held().is_some();
        let text = match (held, self.case.account_counts()) {
            (true, _) => "the directory holds the account".to_owned(),
            (_, true) => {
                format!("the directory does not hold the account; a {kind} may come with the request")
            }
            (_, false) => format!("the directory does not hold the account, and a {kind} must be held"),
        };
        StepTrace::new(text, self.case.account_counts())
    }

    /// The policies' denies whose head fits.
    fn denies(self, told: Option<RuleRef>) -> StepTrace {
        let rules = self.fitting(self.case, self.case.policy_rules(), Some(Effect::Deny), told);
        let matching = rules.iter().filter(|rule| rule.matches).count();
        let text = match (rules.len(), matching) {
            (0, _) => "no deny rule fits".to_owned(),
            (fit, 0) => format!("{fit} deny {} {}, none matches", rules_word(fit), fit_word(fit)),
            (_, n) => format!("{n} deny {} {}", rules_word(n), if n == 1 { "matches" } else { "match" }),
        };
        StepTrace { rules, ..StepTrace::new(text, matching == 0) }
    }

    /// The allows whose head fits: of policies, and of the roles held here.
    fn allows(self, told: Option<RuleRef>) -> StepTrace {
        let mut rules = self.fitting(self.case, self.case.policy_rules(), Some(Effect::Allow), told);
        for held in self.case.roles_held() {
            let of_role = self.case.program.role_rules(held.role);
            let via = self.via(held);
            rules.extend(
                self.fitting(self.case, of_role, Some(Effect::Allow), told)
                    .into_iter()
                    .map(|rule| RuleTrace { via: Some(via.clone()), ..rule }),
            );
        }
        let matching = rules.iter().filter(|rule| rule.matches).count();
        let text = match (rules.len(), matching) {
            (0, _) => "no allow rule fits".to_owned(),
            (fit, 0) => format!("{fit} allow {} {}, none matches", rules_word(fit), fit_word(fit)),
            (_, n) => format!("{n} allow {} {}", rules_word(n), if n == 1 { "matches" } else { "match" }),
        };
        StepTrace { rules, ..StepTrace::new(text, matching > 0) }
    }

    /// How a role is held.
    pub fn via(self, held: Held<'_>) -> String {
        let vocabulary = self.case.world.vocabulary;
        let role = &vocabulary.roles[held.role.index()].name;
        let whose = match held.via {
            Via::Own | Via::Supposed => self.entity(self.case.account),
            Via::Group(group) => {
                format!("group {:?}", self.case.world.directory.groups[group.index()].id.as_str())
            }
            Via::Kind(kind) => format!("every {}", vocabulary.kind(kind).name),
        };
        let under: Vec<&str> = held.boundaries.iter().map(|b| self.boundary_name(*b)).collect();
        let under = if under.is_empty() { String::new() } else { format!(", under {}", under.join(", ")) };
        format!("role {role}, bound to {whose}{under}")
    }

    fn boundary_name(self, boundary: BoundaryId) -> &'a str {
        &self.case.program.boundaries[boundary.index()].name
    }

    /// The home scope, and the credential's.
    fn scopes(self) -> Vec<StepTrace> {
        let world = self.case.world;
        if !world.vocabulary.has_scopes() {
            return Vec::new();
        }
        let name = |scope: Option<crate::directory::ScopeIx>| match scope {
            Some(scope) => self.entity(&world.directory.scopes[scope.index()].entity),
            None => "no scope".to_owned(),
        };
        let mut steps = Vec::new();
        let mut tell = |whose: &str, scope, covers: bool| {
            let verb = if covers { "covers" } else { "does not cover" };
            let text = format!("{whose}, {}, {verb} {}", name(scope), name(world.question.scope));
            steps.push(StepTrace::new(text, covers));
        };
        if let Some(account) = self.case.held() {
            tell("the account's home", account.home, self.case.home_covers());
        }
        if let (true, Some(credential)) = (self.case.first, &world.question.credential) {
            tell("the key's scope", credential.scope, self.case.credential_covers());
        }
        steps
    }

    /// What a boundary is called and what it is attached to.
    pub fn ceiling_name(self, ceiling: Ceiling<'_>) -> String {
        let name = match ceiling.key {
            Some(_) => return "the key's own text".to_owned(),
            None => self.boundary_name(ceiling.boundary),
        };
        let on = match ceiling.on {
            On::Credential => "the key".to_owned(),
            On::Account => "the account".to_owned(),
            On::Scope(scope) => self.entity(&self.case.world.directory.scopes[scope.index()].entity),
            On::Link => "the link by which it acts for the next".to_owned(),
            On::Binding => "the binding of the role".to_owned(),
        };
        format!("boundary {name} on {on}")
    }

    /// A boundary, with its rules whose head fits.
    fn ceiling(self, ceiling: Ceiling<'a>, told: Option<RuleRef>) -> StepTrace {
        let inside = self.case.inside(ceiling);
        let of_boundary = inside.program.boundaries[ceiling.boundary.index()].rules.iter().copied();
        let rules = self.fitting(inside, of_boundary, None, told);
        let passed = self.case.under(ceiling).is_ok();
        let text = format!("{} {}", self.ceiling_name(ceiling), if passed { "allows" } else { "refuses" });
        StepTrace { rules, ..StepTrace::new(text, passed) }
    }

    /// The boundaries of the bindings through which a matching rule comes.
    fn binding_boundaries(self, told: Option<RuleRef>) -> Vec<StepTrace> {
        let candidates = self.case.candidates();
        let passes = candidates.iter().any(|c| self.case.binding_allows(*c).is_ok());
        let under = |c: &Candidate<'a>| c.held.map_or(&[][..], |held| held.boundaries);
        let mut seen: Vec<BoundaryId> = Vec::new();
        let mut steps = Vec::new();
        for boundary in candidates.iter().flat_map(|c| under(c).iter().copied()) {
            if seen.contains(&boundary) {
                continue;
            }
            seen.push(boundary);
            let ceiling = Ceiling { boundary, key: None, on: On::Binding };
            let mut step = self.ceiling(ceiling, told);
            if passes && !step.passed {
                step.text.push_str("; another binding or a policy allows");
                step.passed = true;
            }
            steps.push(step);
        }
        steps
    }

    /// The rules of these whose head fits, told.
    fn fitting(
        self,
        case: Case<'a>,
        rules: impl Iterator<Item = RuleId>,
        effect: Option<Effect>,
        told: Option<RuleRef>,
    ) -> Vec<RuleTrace> {
        rules
            .filter(|id| {
                let rule = case.program.rule(*id);
                effect.is_none_or(|effect| rule.effect == effect) && case.head_matches(rule)
            })
            .map(|id| {
                Reader { case, ..self }.rule(id, told == Some(RuleRef { in_key: case.in_key, rule: id }))
            })
            .collect()
    }

    fn rule(self, id: RuleId, determining: bool) -> RuleTrace {
        let rule = self.case.program.rule(id);
        let sources = self.texts(self.case.in_key);
        let place = sources.iter().any(|(id, _)| id == rule.span.source).then(|| {
            let at = sources.position(rule.span.source, rule.span.start);
            format!("{}:{}:{}", sources.get(rule.span.source).name, at.line, at.column)
        });
        RuleTrace {
            rule: rule.label.to_string(),
            effect: rule.effect,
            block: if self.case.in_key {
                "the key's own text".to_owned()
            } else {
                block(self.case.program, rule)
            },
            place,
            via: None,
            matches: self.case.matches(id),
            determining,
            when: rule.when.as_ref().map(|when| self.condition(when)),
            unless: rule.unless.as_ref().map(|unless| self.condition(unless)),
        }
    }

    fn condition(self, expr: &Expr) -> ConditionTrace {
        let mut tests = Vec::new();
        self.tests(expr, None, &mut tests, CONDITION_NODES_MAX);
        ConditionTrace { holds: self.case.holds(expr), tests }
    }

    /// The smallest tests of a condition: all parts of `and` and `or`, the branch that is taken, the bodies of
    /// named conditions.
    fn tests(self, expr: &Expr, inside: Option<&str>, out: &mut Vec<TestTrace>, most: usize) {
        match &expr.kind {
            _ if out.len() >= most => {}
            ExprKind::And(parts) | ExprKind::Or(parts) => {
                parts.iter().for_each(|part| self.tests(part, inside, out, most));
            }
            ExprKind::Not(inner) if splits(inner) => self.tests(inner, inside, out, most),
            ExprKind::If(condition, then, otherwise) => {
                self.tests(condition, inside, out, most);
                let taken = if self.case.holds(condition) { then } else { otherwise };
                self.tests(taken, inside, out, most);
            }
            ExprKind::Call(..) => {
                let call = self.quote(expr.span, self.case.in_key && inside.is_none());
                let body = expanded(self.case.program, expr);
                self.tests(&body, Some(inside.unwrap_or(&call)), out, most);
            }
            _ => {
                let mut read = Vec::new();
                self.reads(expr, &mut read);
                out.push(TestTrace {
                    text: self.quote(expr.span, self.case.in_key && inside.is_none()),
                    inside: inside.map(str::to_owned),
                    holds: self.case.holds(expr),
                    read,
                });
            }
        }
    }

    /// The values that a test reads.
    pub fn reads(self, expr: &Expr, out: &mut Vec<ReadTrace>) {
        match &expr.kind {
            ExprKind::Literal(_) | ExprKind::Variable | ExprKind::Parameter(_) => {}
            ExprKind::HasRole(_) => out.push(self.roles_read()),
            ExprKind::Quantifier { set, .. } => self.reads(set, out),
            ExprKind::Attribute(of, _) | ExprKind::Parent(of, _) | ExprKind::Id(of)
                if !matches!(of.kind, ExprKind::Resource) && self.read(of).value.is_none() =>
            {
                self.reads(of, out);
            }
            ExprKind::Account
            | ExprKind::Resource
            | ExprKind::Scope
            | ExprKind::Context(_)
            | ExprKind::Property(_)
            | ExprKind::Attribute(..)
            | ExprKind::Parent(..)
            | ExprKind::Id(_)
            | ExprKind::TimeOfDay(_)
            | ExprKind::Weekday(_) => {
                let read = self.read(expr);
                if !out.contains(&read) {
                    out.push(read);
                }
            }
            _ => children(expr).into_iter().for_each(|child| self.reads(child, out)),
        }
    }

    fn roles_read(self) -> ReadTrace {
        let vocabulary = self.case.world.vocabulary;
        let mut roles: Vec<&str> =
            self.case.roles_held().iter().map(|h| vocabulary.roles[h.role.index()].name.as_str()).collect();
        roles.sort_unstable();
        roles.dedup();
        let value = if roles.is_empty() { "none".to_owned() } else { roles.join(", ") };
        ReadTrace { term: "roles held here".to_owned(), value: Some(value) }
    }

    /// A term and its value.
    fn read(self, term: &Expr) -> ReadTrace {
        let vocabulary = self.case.world.vocabulary;
        let value = self.case.value(term, &crate::meaning::Frame::default());
        let shown = match &value {
            None if matches!(term.kind, ExprKind::Resource) => {
                Some(format!("any {}", vocabulary.kind(self.case.world.question.resource.kind).name))
            }
            None => None,
            Some(Value::Entity(entity)) if !self.case.world.known(Thing::Entity(entity)) => {
                Some(format!("{}, which is not known", self.entity(entity)))
            }
            Some(value) => Some(show::value(vocabulary, value)),
        };
        ReadTrace { term: show::path(&self.case.world, term), value: shown }
    }

    /// Allow rules that would fit with one more group or role.
    fn near_misses(self) -> Vec<NearMiss> {
        let mut found: Vec<(u32, NearMiss)> = Vec::new();
        let held = self.case.roles_held();
        for rule in self.case.program.rules.iter().filter(|rule| rule.effect == Effect::Allow) {
            let needs = match rule.home {
                Home::Policy(_) => match missing_group(self.case, rule) {
                    Some(group) => format!("group {group:?}"),
                    None => continue,
                },
                Home::Role(role) if self.case.held().is_some() => {
                    let includes = &self.case.world.vocabulary.roles;
                    if held.iter().any(|h| includes[h.role.index()].includes.contains(&role))
                        || !self.case.head_matches(rule)
                    {
                        continue;
                    }
                    format!("role {}", includes[role.index()].name)
                }
                _ => continue,
            };
            found.push((rule.rank, NearMiss { rule: rule.label.to_string(), needs }));
        }
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().map(|(_, miss)| miss).collect()
    }
}

impl StepTrace {
    fn new(text: String, passed: bool) -> StepTrace {
        StepTrace { text, passed, refused: false, rules: Vec::new() }
    }
}

/// The group of the directory that the account would have to join for the rule's head to fit.
pub(super) fn missing_group<'p>(case: Case<'_>, rule: &'p Rule) -> Option<&'p str> {
    if case.held().is_none() || case.head_matches(rule) || !case.rest_of_head_matches(rule) {
        return None;
    }
    rule.who.iter().find_map(|who| match who {
        Who::Group(group) => Some(group.as_str()),
        Who::KindInGroup(kind, group) if *kind == case.account.kind => Some(group.as_str()),
        _ => None,
    })
}

/// Where a rule stands, as `policy delivery`.
fn block(program: &Program, rule: &Rule) -> String {
    match rule.home {
        Home::Policy(policy) => format!("policy {}", program.policies[policy.index()].name),
        Home::Role(role) => format!("role {}", program.roles[role.index()].name),
        Home::Boundary(boundary) => format!("boundary {}", program.boundaries[boundary.index()].name),
    }
}

fn rules_word(n: usize) -> &'static str {
    if n == 1 { "rule" } else { "rules" }
}

fn fit_word(n: usize) -> &'static str {
    if n == 1 { "fits" } else { "fit" }
}

/// Whether a test has smaller tests in it.
fn splits(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::And(_) | ExprKind::Or(_) | ExprKind::If(..) | ExprKind::Call(..) => true,
        ExprKind::Not(inner) => splits(inner),
        _ => false,
    }
}

/// The parts of an expression.
pub(super) fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Literal(_)
        | ExprKind::Account
        | ExprKind::Resource
        | ExprKind::Scope
        | ExprKind::Context(_)
        | ExprKind::Property(_)
        | ExprKind::Parameter(_)
        | ExprKind::Variable
        | ExprKind::HasRole(_) => Vec::new(),
        ExprKind::Attribute(of, _)
        | ExprKind::Parent(of, _)
        | ExprKind::Id(of)
        | ExprKind::TimeOfDay(of)
        | ExprKind::Weekday(of)
        | ExprKind::Shift(of, _)
        | ExprKind::Not(of)
        | ExprKind::IsEmpty(of)
        | ExprKind::Matches(of, _)
        | ExprKind::Exists(of)
        | ExprKind::IsKind(of, _) => vec![of],
        ExprKind::Set(parts) | ExprKind::And(parts) | ExprKind::Or(parts) | ExprKind::Call(_, parts) => {
            parts.iter().collect()
        }
        ExprKind::Difference(left, right)
        | ExprKind::Compare(_, left, right)
        | ExprKind::InSet(left, right)
        | ExprKind::InNetwork(left, right)
        | ExprKind::InGroup(left, right)
        | ExprKind::Within(left, right)
        | ExprKind::ContainsAll(left, right)
        | ExprKind::ContainsAny(left, right) => vec![left, right],
        ExprKind::If(condition, then, otherwise) => vec![condition, then, otherwise],
        ExprKind::Quantifier { set, body, .. } => vec![set, body],
    }
}

/// The body of a condition that is called, with the arguments in the place of its parameters.
pub(super) fn expanded(program: &Program, call: &Expr) -> Expr {
    match &call.kind {
        ExprKind::Call(condition, arguments) => {
            let mut body = program.conditions[condition.index()].body.clone();
            fill(&mut body, arguments);
            body
        }
        _ => call.clone(),
    }
}

fn fill(expr: &mut Expr, arguments: &[Expr]) {
    if let ExprKind::Parameter(index) = expr.kind {
        *expr = arguments[usize::from(index)].clone();
        return;
    }
    match &mut expr.kind {
        ExprKind::Attribute(of, _)
        | ExprKind::Parent(of, _)
        | ExprKind::Id(of)
        | ExprKind::TimeOfDay(of)
        | ExprKind::Weekday(of)
        | ExprKind::Shift(of, _)
        | ExprKind::Not(of)
        | ExprKind::IsEmpty(of)
        | ExprKind::Matches(of, _)
        | ExprKind::Exists(of)
        | ExprKind::IsKind(of, _) => fill(of, arguments),
        ExprKind::Set(parts) | ExprKind::And(parts) | ExprKind::Or(parts) | ExprKind::Call(_, parts) => {
            parts.iter_mut().for_each(|part| fill(part, arguments));
        }
        ExprKind::Difference(left, right)
        | ExprKind::Compare(_, left, right)
        | ExprKind::InSet(left, right)
        | ExprKind::InNetwork(left, right)
        | ExprKind::InGroup(left, right)
        | ExprKind::Within(left, right)
        | ExprKind::ContainsAll(left, right)
        | ExprKind::ContainsAny(left, right) => {
            fill(left, arguments);
            fill(right, arguments);
        }
        ExprKind::If(condition, then, otherwise) => {
            [condition, then, otherwise].into_iter().for_each(|part| fill(part, arguments));
        }
        ExprKind::Quantifier { set, body, .. } => {
            fill(set, arguments);
            fill(body, arguments);
        }
        _ => {}
    }
}

/// The group that an entity is, by its id.
pub(super) fn group_id(entity: &Entity) -> Option<&str> {
    (entity.kind == KindId::GROUP).then_some(entity.id.as_str())
}
