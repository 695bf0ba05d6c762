//! What refuses, and which tests would have to turn for it not to: sets of [`Wish`]es.
//!
//! In:    the world as altered so far, in which the question is still denied.
//! Out:   alternatives; each is one set of wishes that ends this refusal.

use super::Altered;
use super::facts::Fact;
use crate::check::program::{Expr, ExprKind, Home, Rule};
use crate::decision::{RuleRef, Step};
use crate::explain::trace::{expanded, missing_group};
use crate::meaning::{Case, Ceiling, On, chain};
use crate::source::Span;
use crate::value::{Effect, Entity, RuleId};

/// Alternatives that are kept for one expression.
const WAYS_MAX: usize = 12;
/// Tests in one alternative.
const WISHES_MAX: usize = 32;
/// Rules of which alternatives are made for one refusal.
const RULES_MAX: usize = 64;

/// A smallest test that shall hold, or shall not; or (`fact`) a group or role to be given.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::explain) struct Wish {
    /// The test, of a condition's body with its arguments filled in.
    pub expr: Expr,
    /// The use of a named condition that it is part of.
    pub inside: Option<Span>,
    /// Asked for this account.
    pub account: Entity,
    /// It stands in a key's own text.
    pub in_key: bool,
    /// Whether it shall hold.
    pub wanted: bool,
    /// A group or role to be given, instead of a test.
    pub fact: Option<Fact>,
}

/// A set of wishes.
type Way = Vec<Wish>;

impl Wish {
    /// The case in which the test is asked.
    pub fn case<'a>(&'a self, base: Case<'a>, altered: &'a Altered) -> Case<'a> {
        let case = altered.case(base, &self.account);
        let key = case.world.question.credential.as_ref().and_then(|c| c.policy.as_deref());
        match key.filter(|_| self.in_key) {
            Some(key) => Case { program: &key.program, in_key: true, ..case },
            None => case,
        }
    }

    /// Whether the test answers as it shall.
    pub fn granted(&self, base: Case<'_>, altered: &Altered) -> bool {
        self.fact.is_none() && self.case(base, altered).holds(&self.expr) == self.wanted
    }

    /// Whether the test reads this fact.
    pub fn touches(&self, base: Case<'_>, altered: &Altered, fact: &Fact) -> bool {
        self.fact.as_ref() == Some(fact)
            || super::facts::read_by(self.case(base, altered), &self.expr).contains(fact)
    }
}

/// Finds what refuses, and the sets of wishes that would each end that.
pub(super) fn against_refusal(base: Case<'_>, altered: &Altered) -> Vec<Way> {
    let question_case = altered.case(base, &base.world.question.account);
    let chain = chain(&question_case.world);
    for (i, (account, link)) in chain.accounts.iter().copied().enumerate() {
        let case = Case { account, first: i == 0, ..question_case };
        match case.decide_one(link) {
            Ok(_) if i == 0 && chain.broken.is_some() => return Vec::new(),
            Ok(_) => {}
            Err((Step::Rule, Some(deny))) => return ways_out(case, deny),
            Err((Step::Default, _)) if case.account_counts() => return ways_in(case),
            Err((Step::Boundary, _)) => {
                return match case.ceilings(link).into_iter().find(|c| case.under(*c).is_err()) {
                    Some(ceiling) => ways_under(case, ceiling),
                    None => ways_past_bindings(case),
                };
            }
            Err(_) => return Vec::new(),
        }
    }
    Vec::new()
}

/// The ways for a deny rule not to match: `when` fails, or `unless` holds.
fn ways_out(case: Case<'_>, deny: RuleRef) -> Vec<Way> {
    let rule = case.find(deny);
    let key = case.world.question.credential.as_ref().and_then(|c| c.policy.as_deref());
    let case = match key.filter(|_| deny.in_key) {
        Some(key) => Case { program: &key.program, in_key: true, ..case },
        None => case,
    };
    let mut ways = Vec::new();
    ways.extend(rule.when.iter().flat_map(|when| ways_for(case, when, None, false)));
    ways.extend(rule.unless.iter().flat_map(|unless| ways_for(case, unless, None, true)));
    ways
}

/// The ways for a rule whose head fits to match.
fn ways_to_match(case: Case<'_>, rule: &Rule) -> Vec<Way> {
    let when = rule.when.as_ref().map_or(vec![Way::new()], |when| ways_for(case, when, None, true));
    let unless = rule.unless.as_ref().map_or(vec![Way::new()], |unless| ways_for(case, unless, None, false));
    both(case, when, &unless)
}

/// The ways to an allow rule: of policies, of roles held, or with one more group or role.
fn ways_in(case: Case<'_>) -> Vec<Way> {
    let roles = case.roles_held();
    let includes = |role| {
        roles.iter().any(|held| case.world.vocabulary.roles[held.role.index()].includes.contains(&role))
    };
    let mut ways = Vec::new();
    let mut rules: Vec<&Rule> =
        case.program.rules.iter().filter(|rule| rule.effect == Effect::Allow).collect();
    rules.sort_by_key(|rule| rule.rank);
    let mut left = RULES_MAX;
    for rule in rules {
        let mut given = Way::new();
        match rule.home {
            Home::Boundary(_) => continue,
            Home::Policy(_) => match missing_group(case, rule) {
                _ if case.head_matches(rule) => {}
                Some(group) => match case.world.directory.group(group) {
                    Some(ix) => given.push(gift(case, Fact::Group(case.account.clone(), ix))),
                    None => continue,
                },
                None => continue,
            },
            Home::Role(_) if !case.head_matches(rule) => continue,
            Home::Role(role) if includes(role) => {}
            Home::Role(_) if case.held().is_none() => continue,
            Home::Role(role) => given.push(gift(case, Fact::Role(case.account.clone(), role))),
        }
        ways.extend(both(case, vec![given], &ways_to_match(case, rule)));
        left -= 1;
        if left == 0 {
            break;
        }
    }
    ways
}

/// The ways for a boundary to allow: its deny doesn't match, or one of its allows does.
fn ways_under<'a>(case: Case<'a>, ceiling: Ceiling<'a>) -> Vec<Way> {
    let Err(deny) = case.under(ceiling) else { return Vec::new() };
    if let Some(deny) = deny {
        return ways_out(case, deny);
    }
    let inside = case.inside(ceiling);
    let rules = inside.program.boundaries[ceiling.boundary.index()]
        .rules
        .iter()
        .map(|id: &RuleId| inside.program.rule(*id));
    rules
        .filter(|rule| rule.effect == Effect::Allow && inside.head_matches(rule))
        .take(RULES_MAX)
        .flat_map(|rule| ways_to_match(inside, rule))
        .collect()
}

/// The ways past the boundaries of the bindings: a binding's boundaries allow, or another rule does.
fn ways_past_bindings(case: Case<'_>) -> Vec<Way> {
    let mut ways = Vec::new();
    for candidate in case.candidates().into_iter().take(RULES_MAX) {
        let boundaries = candidate.held.map_or(&[][..], |held| held.boundaries);
        let ceilings = boundaries.iter().map(|b| Ceiling { boundary: *b, key: None, on: On::Binding });
        if let Some(refusing) = ceilings.into_iter().find(|c| case.under(*c).is_err()) {
            ways.extend(ways_under(case, refusing));
        }
    }
    ways.extend(ways_in(case).into_iter().filter(|way| !way.is_empty()));
    ways
}

/// The wish for a group or role.
fn gift(case: Case<'_>, fact: Fact) -> Wish {
    let expr = Expr { kind: ExprKind::Account, span: Span::default() };
    Wish { expr, inside: None, account: case.account.clone(), in_key: false, wanted: true, fact: Some(fact) }
}

/// The sets of smallest tests with which an expression answers as wanted, those that already do included.
fn ways_for(case: Case<'_>, expr: &Expr, inside: Option<Span>, wanted: bool) -> Vec<Way> {
    let mut ways = match (&expr.kind, wanted) {
        (ExprKind::Not(inner), _) => ways_for(case, inner, inside, !wanted),
        (ExprKind::And(parts), true) | (ExprKind::Or(parts), false) => parts
            .iter()
            .fold(vec![Way::new()], |ways, part| both(case, ways, &ways_for(case, part, inside, wanted))),
        (ExprKind::And(parts), false) | (ExprKind::Or(parts), true) => {
            parts.iter().flat_map(|part| ways_for(case, part, inside, wanted)).collect()
        }
        (ExprKind::If(condition, then, otherwise), _) => {
            let mut ways =
                both(case, ways_for(case, condition, inside, true), &ways_for(case, then, inside, wanted));
            ways.extend(both(
                case,
                ways_for(case, condition, inside, false),
                &ways_for(case, otherwise, inside, wanted),
            ));
            ways
        }
        (ExprKind::Call(..), _) => {
            ways_for(case, &expanded(case.program, expr), inside.or(Some(expr.span)), wanted)
        }
        _ => vec![vec![Wish {
            expr: expr.clone(),
            inside,
            account: case.account.clone(),
            in_key: case.in_key,
            wanted,
            fact: None,
        }]],
    };
    keep_small(case, &mut ways);
    ways
}

/// Every way of the one with every way of the other, within the bounds.
fn both(case: Case<'_>, left: Vec<Way>, right: &[Way]) -> Vec<Way> {
    let joined = |l: &Way, r: &Way| l.iter().chain(r).cloned().collect();
    let mut ways = left.iter().flat_map(|l| right.iter().map(move |r| joined(l, r))).collect();
    keep_small(case, &mut ways);
    ways
}

/// Keeps the ways that turn the fewest tests, those first.
fn keep_small(case: Case<'_>, ways: &mut Vec<Way>) {
    let turned = |wish: &Wish| wish.fact.is_some() || case.holds(&wish.expr) != wish.wanted;
    ways.retain(|way| way.len() <= WISHES_MAX);
    ways.sort_by_cached_key(|way: &Way| way.iter().filter(|wish| turned(wish)).count());
    ways.truncate(WAYS_MAX);
}
