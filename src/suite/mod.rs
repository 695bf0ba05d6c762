//! Runs the `test` blocks of a set.
//!
//! In:    `&Program`, its `Tree`, the syntax trees. A test brings its own directory (`let`, `bind`, `link`, `attach`).
//! Out:   [`check`]: what in the tests doesn't fit the vocabulary; [`run`]: a [`TestOutcome`] each; [`coverage`].
//! Law:   nothing here decides: answers come from the tree, and the plain evaluator must agree with each.

mod assertion;
mod declare;
mod hold;
mod reads;
mod stage;
#[cfg(test)]
mod tests;
mod values;

use crate::check::program::{Home, Program};
use crate::decision::{Decision, Step};
use crate::diagnostic::Diagnostic;
use crate::meaning;
use crate::source::Span;
use crate::syntax::ast::{Declaration, File, Test};
use crate::tree::{self, Tree};
use crate::value::{BoundaryId, Effect, RuleId};
use stage::{Case, Stage};
use std::collections::{BTreeMap, BTreeSet};

/// What a test gave.
#[derive(Clone, Debug)]
pub struct TestOutcome {
    /// Its title.
    pub title: String,
    /// The whole block.
    pub span: Span,
    /// Decisions it checked.
    pub checks: usize,
    /// Those that were not as expected, in order; empty if it passed.
    pub failures: Vec<TestFailure>,
}

/// A decision that was not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFailure {
    /// The assertion.
    pub span: Span,
    /// What was expected and what came; one line or two.
    pub message: String,
}

/// How much of the set its tests have determined.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Rules of the set.
    pub rules: usize,
    /// Rules that determined some decision, or by which a boundary let an allowed request pass.
    pub rules_determined: usize,
    /// Answers that conditions can give: two for each `when` and each `unless`.
    pub outcomes: usize,
    /// Those that some decision met.
    pub outcomes_seen: usize,
    /// What is missing, in source order.
    pub gaps: Vec<Gap>,
}

/// Something that no test has determined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The rule or condition.
    pub span: Span,
    /// What is missing.
    pub text: String,
}

fn tests(files: &[File]) -> impl Iterator<Item = &Test> {
    files.iter().flat_map(|f| &f.declarations).filter_map(|d| match d {
        Declaration::Test(test) => Some(test),
        _ => None,
    })
}

fn stage<'p>(program: &'p Program, test: &Test) -> Stage<'p> {
    let mut stage = Stage::new(program);
    stage.steps(&test.steps);
    stage
}

/// What in the tests doesn't fit the vocabulary, in source order. A test that did not parse is left out.
pub fn check(program: &Program, files: &[File]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for test in tests(files) {
        let said = stage(program, test).out;
        // A step that could not be read may have been the `let` that the others need.
        let own = |d: &Diagnostic| !test.damaged || !d.message.starts_with("unknown variable");
        found.extend(said.into_iter().filter(own));
    }
    found.sort_by_key(|d| (d.span(), d.code));
    // What stands in a `for` is told once.
    found.dedup();
    found
}

/// Runs the tests whose title holds `filter`; they have been checked.
pub fn run(program: &Program, tree: &Tree, files: &[File], filter: Option<&str>) -> Vec<TestOutcome> {
    let wanted = tests(files).filter(|t| filter.is_none_or(|f| t.title.text.contains(f)));
    wanted
        .map(|test| {
            let stage = stage(program, test);
            let mut failures: Vec<TestFailure> = stage
                .out
                .iter()
                .map(|d| TestFailure { span: d.span(), message: format!("does not check: {}", d.message) })
                .collect();
            failures.extend(stage.cases.iter().filter_map(|case| failure(program, tree, case)));
            TestOutcome {
                title: test.title.text.to_string(),
                span: test.span,
                checks: stage.cases.len(),
                failures,
            }
        })
        .collect()
}

/// What the tests whose title holds `filter` have not determined.
pub fn coverage(program: &Program, tree: &Tree, files: &[File], filter: Option<&str>) -> Coverage {
    let mut determined = BTreeSet::new();
    let mut seen: BTreeMap<RuleId, BTreeSet<(bool, bool)>> = BTreeMap::new();
    for test in tests(files).filter(|t| filter.is_none_or(|f| t.title.text.contains(f))) {
        for case in stage(program, test).cases {
            let decision = tree::decide(tree, &case.directory, &case.question);
            determined.extend(decision.rule.filter(|r| !r.in_key).map(|r| r.rule));
            let outcomes = meaning::outcomes(program, &case.directory, &case.question);
            if decision.is_allow() {
                determined.extend(let_through(program, &outcomes));
            }
            for (rule, when, unless) in outcomes {
                let answers = seen.entry(rule).or_default();
                answers.extend(when.map(|answer| (false, answer)));
                answers.extend(unless.map(|answer| (true, answer)));
            }
        }
    }
    let mut coverage = Coverage::default();
    for (n, rule) in program.rules.iter().enumerate() {
        let id = RuleId(n as u32);
        coverage.rules += 1;
        if determined.contains(&id) {
            coverage.rules_determined += 1;
        } else {
            let text = format!("rule `{}` determined no decision", rule.label);
            coverage.gaps.push(Gap { span: rule.span, text });
        }
        for (is_unless, condition) in [(false, &rule.when), (true, &rule.unless)] {
            let Some(condition) = condition else { continue };
            for answer in [true, false] {
                coverage.outcomes += 1;
                if seen.get(&id).is_some_and(|s| s.contains(&(is_unless, answer))) {
                    coverage.outcomes_seen += 1;
                } else {
                    let clause = if is_unless { "unless" } else { "when" };
                    let text = format!("the `{clause}` of rule `{}` was never {answer}", rule.label);
                    coverage.gaps.push(Gap { span: condition.span, text });
                }
            }
        }
    }
    coverage.gaps.sort_by_key(|g| g.span);
    coverage
}

/// What a question asked, as [`meaning::outcomes`] tells it.
type Outcome = (RuleId, Option<bool>, Option<bool>);

/// The allow of each boundary that let an allowed request pass: the lowest by rank. A decision never names it, since
/// a boundary grants nothing, but it is what the boundary's own answer came from.
fn let_through(program: &Program, outcomes: &[Outcome]) -> impl Iterator<Item = RuleId> {
    let mut lowest: BTreeMap<BoundaryId, (u32, RuleId)> = BTreeMap::new();
    for &(id, when, unless) in outcomes {
        let rule = program.rule(id);
        let Home::Boundary(boundary) = rule.home else { continue };
        if rule.effect == Effect::Allow && when != Some(false) && unless != Some(true) {
            let found = (rule.rank, id);
            lowest.entry(boundary).and_modify(|l| *l = found.min(*l)).or_insert(found);
        }
    }
    lowest.into_values().map(|(_, rule)| rule)
}

fn failure(program: &Program, tree: &Tree, case: &Case) -> Option<TestFailure> {
    let got = tree::decide(tree, &case.directory, &case.question);
    let meant = meaning::decide(program, &case.directory, &case.question);
    if got != meant {
        let message = format!(
            "internal error: the tree says {}, the rules say {}; please report this",
            show(program, &got),
            show(program, &meant)
        );
        return Some(TestFailure { span: case.span, message });
    }
    let expected = &case.expected;
    let right = got.is_allow() == (expected.effect == Effect::Allow)
        && expected.by.as_ref().is_none_or(|by| is_by(program, &got, by))
        && expected.ask.as_ref().is_none_or(|ask| asks(program, &got) == Some(ask.as_str()));
    if right {
        return None;
    }
    let mut wanted = effect_name(expected.effect).to_owned();
    for (word, name) in [("by", &expected.by), ("ask", &expected.ask)] {
        if let Some(name) = name {
            wanted.push_str(&format!(" {word} `{name}`"));
        }
    }
    let for_action = case.for_action.as_ref().map(|a| format!("to {a}: ")).unwrap_or_default();
    let message = format!("{for_action}expected {wanted}, got {}", show(program, &got));
    Some(TestFailure { span: case.span, message })
}

fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}

fn step_name(step: Step) -> &'static str {
    match step {
        Step::Rule => "rule",
        Step::Default => "default",
        Step::Scope => "scope",
        Step::Boundary => "boundary",
        Step::ActingFor => "acting_for",
    }
}

/// The steps that `by` may name.
const STEPS: [&str; 5] = ["default", "scope", "boundary", "acting_for", "rule"];

fn asks<'p>(program: &'p Program, decision: &Decision) -> Option<&'p str> {
    let rule = decision.rule.filter(|r| decision.ask && !r.in_key)?;
    program.rule(rule.rule).ask.as_deref()
}

fn is_by(program: &Program, decision: &Decision, name: &str) -> bool {
    let by_step = decision.refused_by.is_some_and(|step| step_name(step) == name);
    let by_rule = decision.rule.filter(|r| !r.in_key).is_some_and(|r| {
        let rule = program.rule(r.rule);
        rule.name.as_deref() == Some(name) || block_name(program, rule.home) == name
    });
    by_step || by_rule
}

fn block_name(program: &Program, home: Home) -> &str {
    match home {
        Home::Policy(id) => &program.policies[id.index()].name,
        Home::Role(id) => &program.roles[id.index()].name,
        Home::Boundary(id) => &program.boundaries[id.index()].name,
    }
}

/// A decision in words: `deny by rule \`delivery.2\` (boundary), which asks for \`approval\``.
fn show(program: &Program, decision: &Decision) -> String {
    let mut text = if decision.is_allow() { "allow" } else { "deny" }.to_owned();
    match decision.rule {
        Some(rule) if rule.in_key => {
            text.push_str(&format!(" by rule {} of the key's own text", rule.rule.0))
        }
        Some(rule) => text.push_str(&format!(" by rule `{}`", program.rule(rule.rule).label)),
        None => {}
    }
    match decision.refused_by {
        Some(Step::Default) => text.push_str(": no rule allows it (default)"),
        Some(Step::Scope) => text.push_str(": the account or its key does not reach this scope (scope)"),
        Some(Step::Boundary) => text.push_str(": a boundary does not allow it (boundary)"),
        Some(Step::ActingFor) => text.push_str(": nobody behind the account may do it (acting_for)"),
        Some(Step::Rule) | None => {}
    }
    if let Some(ask) = asks(program, decision) {
        text.push_str(&format!(", asking for `{ask}`"));
    }
    text
}
