//! Warnings: rules that can never matter, what absence opens, what nothing uses.
//!
//! In:    a checked program, the time, and the files for their `expect` lines.
//! Out:   warnings, in source order, without those that an `expect` silences.
//! Law:   sound: a rule is called dead only when that is proven (`solve.rs`).

use super::cover::covered;
use super::names::Checker;
use super::program::{Expr, ExprKind, Program, Rule, What, Who};
use super::solve::{contradict, same, substitute};
use crate::diagnostic::{Code, Diagnostic, Severity, nearest};
use crate::source::{Sources, Span};
use crate::syntax::ast::{self, Declaration};
use crate::value::{Effect, show_time};

/// Every warning about the rules of a set.
///
/// - Units: `now` is microseconds since the Unix epoch; an `until` before it has passed.
pub fn lint(program: &Program, sources: &Sources, now: i64) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    let dead: Vec<bool> = program.rules.iter().map(|rule| conditions(program, rule, &mut out)).collect();
    for (rule, dead) in program.rules.iter().zip(&dead) {
        if !dead {
            absence(program, sources, rule, &mut out);
            whole_world(program, rule, &mut out);
        }
        ended(rule, now, &mut out);
    }
    for condition in &program.conditions {
        if contradict(program, &[(&condition.body, false)]) {
            let what = format!("`{}` is always true", condition.name);
            let d = Diagnostic::new(Code::W0304, condition.span, what, "this condition asks nothing");
            out.push(d.help("drop it where it is used"));
        }
    }
    for boundary in &program.boundaries {
        let allows = |r: &crate::value::RuleId| program.rule(*r).effect == Effect::Allow;
        if !boundary.rules.iter().any(allows) && boundary.span != Span::default() {
            let what = format!("boundary `{}` refuses everything", boundary.name);
            let d = Diagnostic::new(Code::W0311, boundary.span, what, "no rule in it allows anything");
            out.push(d.help("a ceiling allows what it doesn't deny only where it says so: `allow do anything on anything`"));
        }
    }
    covered(program, &dead, &mut out);
    out.sort_by_key(|d| (d.span(), d.code));
    out
}

/// Warns of conditions that never or always hold; whether the rule can never match.
fn conditions(program: &Program, rule: &Rule, out: &mut Vec<Diagnostic>) -> bool {
    let both: Vec<(&Expr, bool)> =
        rule.when.iter().map(|e| (e, true)).chain(rule.unless.iter().map(|e| (e, false))).collect();
    if both.is_empty() {
        return false;
    }
    if contradict(program, &both) {
        let alone = rule.when.as_ref().filter(|when| contradict(program, &[(when, true)]));
        let (span, label) = match (alone, &rule.when, &rule.unless) {
            (Some(when), _, _) => (when.span, "this contradicts itself"),
            (None, Some(_), Some(unless)) => (unless.span, "this holds whenever the `when` does"),
            (None, None, Some(unless)) => (unless.span, "this always holds"),
            _ => (rule.span, "this never matches"),
        };
        out.push(
            Diagnostic::new(Code::W0301, span, format!("`{}` can never match", rule.label), label)
                .help("mend the condition, or drop the rule"),
        );
        return true;
    }
    // A condition that is always true is told where it is declared.
    let told = |e: &Expr| {
        matches!(&e.kind, ExprKind::Call(id, _)
            if contradict(program, &[(&program.conditions[id.index()].body, false)]))
    };
    if let Some(when) = &rule.when
        && !told(when)
        && contradict(program, &[(when, false)])
    {
        out.push(
            Diagnostic::new(Code::W0304, when.span, "this `when` always holds", "it asks nothing")
                .help("drop it: the rule means the same without"),
        );
    }
    if let Some(unless) = &rule.unless {
        let given: Vec<(&Expr, bool)> = rule.when.iter().map(|e| (e, true)).chain([(unless, true)]).collect();
        if contradict(program, &given) {
            out.push(
                Diagnostic::new(Code::W0304, unless.span, "this `unless` never holds", "it excludes nothing")
                    .help("drop it: the rule means the same without"),
            );
        }
    }
    false
}

fn ended(rule: &Rule, now: i64, out: &mut Vec<Diagnostic>) {
    if let Some(until) = rule.until
        && until <= now
    {
        out.push(
            Diagnostic::new(
                Code::W0307,
                rule.span,
                format!("`{}` has ended", rule.label),
                format!("it was in force until {}", show_time(until)),
            )
            .help("drop the rule, or give it a later end"),
        );
    }
}

fn whole_world(program: &Program, rule: &Rule, out: &mut Vec<Diagnostic>) {
    let everything = rule.actions.len() == program.vocabulary.actions.len()
        && rule.what.contains(&What::Anything)
        && rule.who.contains(&Who::Anyone);
    let in_policy = matches!(rule.home, super::program::Home::Policy(_));
    let bare = rule.when.is_none() && rule.unless.is_none() && rule.until.is_none() && rule.at.is_empty();
    if in_policy && rule.effect == Effect::Allow && everything && bare {
        out.push(
            Diagnostic::new(
                Code::W0310,
                rule.span,
                "anyone may do anything",
                "this rule has no condition and no place",
            )
            .help("name whom it is for, or put it into a role"),
        );
    }
}

/// Warns where absence opens the gate: it makes an allow match, or a deny not match.
fn absence(program: &Program, sources: &Sources, rule: &Rule, out: &mut Vec<Diagnostic>) {
    let deny = rule.effect == Effect::Deny;
    // `opens`: a false answer opens the gate.
    for (clause, opens) in [(&rule.when, deny), (&rule.unless, !deny)] {
        let Some(clause) = clause else { continue };
        let mut walk =
            Walk { program, sources, rule, opened: Vec::new(), empties: Vec::new(), closed: Vec::new() };
        walk.test(clause, opens, clause.span, 0);
        let Walk { opened, empties, .. } = walk;
        let mut seen: Vec<String> = Vec::new();
        for (term, at) in opened {
            let text = term;
            if seen.contains(&text) {
                continue;
            }
            let message = format!("`{}` opens where `{text}` is missing", rule.label);
            let label = if deny { "then this deny does not match" } else { "then this allow matches" };
            let help = if deny && opens {
                format!(
                    "if absence should deny, write `{text} is missing or …`; if not, say so with `expect W0306 \"…\"`"
                )
            } else {
                format!(
                    "if absence should not help, ask for `{text} exists`; if it should, say so with `expect W0306 \"…\"`"
                )
            };
            out.push(Diagnostic::new(Code::W0306, at, message, label).help(help));
            seen.push(text);
        }
        if !deny {
            for (at, set) in empties {
                out.push(
                    Diagnostic::new(
                        Code::W0305,
                        at,
                        "`all` holds for a set that is empty",
                        "then this opens the rule",
                    )
                    .help(format!("ask first: `not ({set} is empty) and all …`")),
                );
            }
        }
    }
}

/// A walk through a condition that knows which answers open the gate.
struct Walk<'p> {
    program: &'p Program,
    sources: &'p Sources,
    rule: &'p Rule,
    opened: Vec<(String, Span)>,
    empties: Vec<(Span, String)>,
    /// Terms whose absence has been answered in a way that keeps the gate shut.
    closed: Vec<Expr>,
}

impl Walk<'_> {
    /// `opens`: a false answer of this test opens the gate; otherwise a true one does.
    fn test(&mut self, e: &Expr, opens: bool, at: Span, depth: usize) {
        match &e.kind {
            ExprKind::Not(inner) => self.test(inner, !opens, at, depth),
            ExprKind::And(parts) | ExprKind::Or(parts) => {
                let mark = self.closed.len();
                let or = matches!(e.kind, ExprKind::Or(_));
                for part in parts {
                    self.answered(part, or, opens);
                }
                for part in parts {
                    self.test(part, opens, at, depth);
                }
                self.closed.truncate(mark);
            }
            ExprKind::If(condition, yes, no) => {
                self.question(condition, yes, no, opens, at, depth);
                self.test(yes, opens, at, depth);
                self.test(no, opens, at, depth);
            }
            ExprKind::Call(id, arguments) if depth < crate::limits::CONDITION_DEPTH_MAX => {
                let body = &self.program.conditions[id.index()].body;
                let mut budget = 2_000;
                if let Some(body) = substitute(self.program, body, arguments, &mut budget) {
                    self.test(&body, opens, e.span, depth + 1);
                }
            }
            ExprKind::Exists(term) if opens && !self.closed.iter().any(|c| same(c, term)) => {
                let inside = self.rule.span.start <= e.span.start && e.span.end <= self.rule.span.end;
                let at = if inside && e.span.source == self.rule.span.source { e.span } else { at };
                self.opened.push((self.sources.slice(term.span).to_owned(), at));
            }
            ExprKind::Quantifier { all, set, body } => {
                let literal = matches!(set.kind, ExprKind::Literal(_) | ExprKind::Set(_));
                if *all && !opens && !literal && !self.is_closed_for_empty(set) {
                    let set = self.sources.slice(set.span).to_owned();
                    self.empties.push((e.span, set));
                }
                self.test(body, opens, at, depth);
            }
            _ => {}
        }
    }

    /// Whether a neighbour has asked that this set isn't empty.
    fn is_closed_for_empty(&self, set: &Expr) -> bool {
        self.closed.iter().any(|c| matches!(&c.kind, ExprKind::IsEmpty(s) if same(s, set)))
    }

    /// What absence does in the question of an `if`: it opens where the branch then taken can open.
    fn question(&mut self, condition: &Expr, yes: &Expr, no: &Expr, opens: bool, at: Span, depth: usize) {
        let can_open = |program: &Program, branch: &Expr| !contradict(program, &[(branch, !opens)]);
        match &condition.kind {
            // Absence takes the second branch.
            ExprKind::Exists(_) => {
                if can_open(self.program, no) {
                    self.test(condition, true, at, depth);
                }
            }
            ExprKind::Not(inner) if matches!(inner.kind, ExprKind::Exists(_)) => {
                if can_open(self.program, yes) {
                    self.test(inner, true, at, depth);
                }
            }
            _ => {
                self.test(condition, opens, at, depth);
                self.test(condition, !opens, at, depth);
            }
        }
    }

    /// Notes what a neighbour in `and` or `or` says about absence or emptiness.
    fn answered(&mut self, part: &Expr, or: bool, opens: bool) {
        match &part.kind {
            // `x is missing or …` where false opens: absence makes it true.
            ExprKind::Not(inner) if or && opens => {
                if let ExprKind::Exists(term) = &inner.kind {
                    self.closed.push((**term).clone());
                }
            }
            // `not (s is empty) and all …` where true opens.
            ExprKind::Not(inner) if !or && !opens => {
                if let ExprKind::IsEmpty(_) = &inner.kind {
                    self.closed.push((**inner).clone());
                }
            }
            // `x exists and …` where true opens: absence makes it false, whatever stands beside it.
            ExprKind::Exists(term) if !or && !opens => self.closed.push((**term).clone()),
            _ => {}
        }
    }
}

/// Drops the warnings that `expect` lines silence, and warns of `expect`s that silence nothing.
pub fn settle(files: &[ast::File], mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let rules = files.iter().flat_map(|f| &f.declarations).flat_map(|d| match d {
        Declaration::Block(b) => b.rules.as_slice(),
        _ => &[],
    });
    for rule in rules.filter(|r| !r.expects.is_empty()) {
        for expect in &rule.expects {
            let within = |d: &Diagnostic| {
                let s = d.span();
                s.source == rule.span.source && rule.span.start <= s.start && s.end <= rule.span.end
            };
            let Some(code) = Code::parse(&expect.code.text).filter(|c| c.severity() == Severity::Warning)
            else {
                diagnostics.push(unknown_code(&expect.code));
                continue;
            };
            let before = diagnostics.len();
            diagnostics.retain(|d| d.code != code || !within(d));
            if diagnostics.len() == before {
                diagnostics.push(
                    Diagnostic::new(
                        Code::W0312,
                        expect.span,
                        format!("nothing here gives {}", code.as_str()),
                        "this line silences nothing",
                    )
                    .help("drop the line"),
                );
            }
        }
    }
    diagnostics.sort_by_key(|d| (d.span(), d.code));
    diagnostics
}

fn unknown_code(code: &ast::Name) -> Diagnostic {
    let d = Diagnostic::new(
        Code::E0102,
        code.span,
        format!("no warning `{}`", code.text),
        "`expect` silences a warning by its code",
    );
    let warnings = Code::ALL.iter().filter(|c| c.severity() == Severity::Warning).map(|c| c.as_str());
    match nearest(&code.text, warnings) {
        Some(near) => d.help(format!("did you mean `{near}`?")).fix(code.span, near),
        None => d.help("`policyc explain` lists all codes"),
    }
}

impl Checker<'_> {
    /// Warns of conditions, enums, records and groups of actions that nothing uses.
    pub(super) fn warn_unused(&mut self, files: &[ast::File]) {
        for declaration in files.iter().flat_map(|f| &f.declarations) {
            let (what, name, used) = match declaration {
                Declaration::Condition(c) => {
                    let id = self.condition_names.get(&c.name.text);
                    ("condition", &c.name, id.is_some_and(|id| self.used.conditions.contains(id)))
                }
                Declaration::Enum(d) => {
                    let id = self.enums.get(&d.name.text);
                    ("enum", &d.name, id.is_some_and(|id| self.used.enums.contains(id)))
                }
                Declaration::Record(d) => {
                    let id = self.records.get(&d.name.text);
                    ("record", &d.name, id.is_some_and(|id| self.used.records.contains(id)))
                }
                Declaration::ActionGroup(g) => {
                    ("action group", &g.name, self.used.action_groups.contains(&g.name.text))
                }
                _ => continue,
            };
            if !used {
                let d = Diagnostic::new(
                    Code::W0309,
                    name.span,
                    format!("{what} `{}` is never used", name.text),
                    "declared here, and nowhere used",
                );
                self.report(d.help("use it or drop it"));
            }
        }
    }
}
