//! Why a question is answered as it is, and the smallest change that would have allowed it: [`Explanation`].
//!
//! In:    `&Program`, `&Directory`, `&Question`, and the `&Sources` to quote from.
//! Out:   plain data, made to be serialized or (`text.rs`) read by an operator.
//! Law:   [`Explanation::answer`] is `meaning::decide` of the same question, and a change is only told if deciding
//!        again with it allows.

mod change;
mod handing;
mod show;
mod text;
mod trace;

pub use change::{Change, SmallestChange};
pub use text::Style;

pub(crate) use handing::{Handing, reads_of_accounts};

use crate::check::program::Program;
use crate::decision::{Decision, Step};
use crate::directory::{Directory, World};
use crate::meaning::{Case, Suppose, decide};
use crate::request::Question;
use crate::source::Sources;
use crate::value::Effect;
use serde::Serialize;

/// Rules listed that do not fit but would with one more group or role; the rest are counted.
const NEAR_MISSES_MAX: usize = 8;

/// Why a question is answered as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The decision explained.
    #[serde(skip)]
    pub answer: Decision,
    /// Yes or no.
    pub decision: Effect,
    /// The step that refused.
    pub refused_by: Option<Step>,
    /// The determining rule.
    pub rule: Option<String>,
    /// What that rule says for people.
    pub because: Option<String>,
    /// What would lift the denial.
    pub ask: Option<String>,
    /// What was asked, as policies would write it.
    pub question: String,
    /// Fields of the request that were given and do not count, because the directory owns them.
    pub ignored: Vec<String>,
    /// The asking account, then those it acts for.
    pub accounts: Vec<AccountTrace>,
    /// Why nobody stands at the end of the chain.
    pub broken_chain: Option<String>,
    /// What would have to be different for an allow; `None` for an allow, or when there is no such change.
    pub smallest_change: Option<SmallestChange>,
}

/// What was found for one account.
#[derive(Clone, Debug, Serialize)]
pub struct AccountTrace {
    /// The account.
    pub account: String,
    /// Whether it may do this, by itself.
    pub allowed: bool,
    /// The steps in the order in which they are decided; those behind a refusal are told too.
    pub steps: Vec<StepTrace>,
    /// Rules that do not fit, but would with one more group or role.
    pub near_misses: Vec<NearMiss>,
    /// How many more of these there are.
    pub near_misses_left_out: usize,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct StepTrace {
    /// What was looked at, and what was found.
    pub text: String,
    /// Whether it lets the request pass.
    pub passed: bool,
    /// It is the one that refused.
    pub refused: bool,
    /// The rules whose head fits.
    pub rules: Vec<RuleTrace>,
}

/// A rule whose head fits.
#[derive(Clone, Debug, Serialize)]
pub struct RuleTrace {
    /// Its label.
    pub rule: String,
    /// Allow or deny.
    pub effect: Effect,
    /// Where it stands, as `policy delivery`.
    pub block: String,
    /// Its place in the source, as `delivery.pol:12:3`.
    pub place: Option<String>,
    /// How its role is held, and under which boundaries.
    pub via: Option<String>,
    /// Whether it matches.
    pub matches: bool,
    /// It is the one that determines.
    pub determining: bool,
    /// Its `when`.
    pub when: Option<ConditionTrace>,
    /// Its `unless`.
    pub unless: Option<ConditionTrace>,
}

/// A condition, asked.
#[derive(Clone, Debug, Serialize)]
pub struct ConditionTrace {
    /// What it answered.
    pub holds: bool,
    /// Its smallest tests, as far as its branches reach them.
    pub tests: Vec<TestTrace>,
}

/// A smallest test, asked.
#[derive(Clone, Debug, Serialize)]
pub struct TestTrace {
    /// Its text in the source.
    pub text: String,
    /// The use of a named condition that it is part of.
    pub inside: Option<String>,
    /// What it answered.
    pub holds: bool,
    /// What it read.
    pub read: Vec<ReadTrace>,
}

/// A value that a test read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadTrace {
    /// The term in the source.
    pub term: String,
    /// Its value; `None` when it is absent.
    pub value: Option<String>,
}

/// A rule that doesn't fit, but would with one more group or role.
#[derive(Clone, Debug, Serialize)]
pub struct NearMiss {
    /// Its label.
    pub rule: String,
    /// What is missing, as `group "ci"`.
    pub needs: String,
}

/// Explains the decision of a question.
pub fn explain(
    program: &Program,
    sources: &Sources,
    directory: &Directory,
    question: &Question,
) -> Explanation {
    let answer = decide(program, directory, question);
    let world = World { vocabulary: &program.vocabulary, directory, question };
    let nothing = Suppose::default();
    let case = Case::new(program, world, &question.account, &nothing);
    let reader = trace::Reader { sources, case };
    let (accounts, broken_chain) = reader.accounts(answer);
    let rule = answer.rule.map(|rule| case.find(rule));
    let text = |part: Option<&smol_str::SmolStr>| part.map(ToString::to_string);
    Explanation {
        answer,
        decision: if answer.is_allow() { Effect::Allow } else { Effect::Deny },
        refused_by: answer.refused_by,
        rule: text(rule.map(|r| &r.label)),
        because: text(rule.and_then(|r| r.because.as_ref())),
        ask: text(rule.and_then(|r| r.ask.as_ref()).filter(|_| answer.ask)),
        question: show::question(&world),
        ignored: question.ignored.clone(),
        accounts,
        broken_chain,
        smallest_change: change::smallest(&reader, answer),
    }
}

#[cfg(test)]
mod tests;
