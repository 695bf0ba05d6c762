//! A sound answer to 'can these conditions hold together?'.
//!
//! In:    typed tests, each with the answer it must give.
//! Out:   `true` when it is proven that they cannot hold together; `false` when they can, or nobody knows.
//! How:   tests are split at `and`, `or`, `if`; the smallest ones go into a store of what each term can still be.
//!        A guard is always asserted before what it guards, so a failed comparison means its opposite.
//! Limit: `STEPS_MAX` splits a question; past that the answer is 'nobody knows'.

use super::program::{CompareOp, Expr, ExprKind, Program};
use crate::value::{Cidr, DAY, RoleId, TIME_MAX, TIME_MIN, Value};
use std::borrow::Cow;

const STEPS_MAX: usize = 2_000;
const EXPANDED_NODES_MAX: usize = 2_000;

/// Whether the tests cannot all give their answers together.
pub(super) fn contradict(program: &Program, tests: &[(&Expr, bool)]) -> bool {
    let mut budget = EXPANDED_NODES_MAX;
    let mut expanded = Vec::with_capacity(tests.len());
    for (test, answer) in tests {
        match expand(program, test, &mut budget) {
            Some(e) => expanded.push((e, *answer)),
            None => return false,
        }
    }
    let goals: Vec<(&Expr, bool)> = expanded.iter().rev().map(|(e, answer)| (e.as_ref(), *answer)).collect();
    let mut solver = Solver { program, steps: 0 };
    !solver.possible(goals, Store::default())
}

/// Whether two expressions are the same but for their places.
pub(super) fn same(a: &Expr, b: &Expr) -> bool {
    use ExprKind as K;
    let all = |a: &[Expr], b: &[Expr]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
    match (&a.kind, &b.kind) {
        (K::Attribute(a, n), K::Attribute(b, m)) => n == m && same(a, b),
        (K::Parent(a, n), K::Parent(b, m)) | (K::IsKind(a, n), K::IsKind(b, m)) => n == m && same(a, b),
        (K::Id(a), K::Id(b)) | (K::TimeOfDay(a), K::TimeOfDay(b)) | (K::Weekday(a), K::Weekday(b)) => {
            same(a, b)
        }
        (K::Not(a), K::Not(b)) | (K::IsEmpty(a), K::IsEmpty(b)) | (K::Exists(a), K::Exists(b)) => same(a, b),
        (K::Set(a), K::Set(b)) | (K::And(a), K::And(b)) | (K::Or(a), K::Or(b)) => all(a, b),
        (K::Shift(a, n), K::Shift(b, m)) => n == m && same(a, b),
        (K::Matches(a, n), K::Matches(b, m)) => n == m && same(a, b),
        (K::Call(n, a), K::Call(m, b)) => n == m && all(a, b),
        (K::Compare(n, a, c), K::Compare(m, b, d)) => n == m && same(a, b) && same(c, d),
        (K::Difference(a, c), K::Difference(b, d))
        | (K::InSet(a, c), K::InSet(b, d))
        | (K::InNetwork(a, c), K::InNetwork(b, d))
        | (K::InGroup(a, c), K::InGroup(b, d))
        | (K::Within(a, c), K::Within(b, d))
        | (K::ContainsAll(a, c), K::ContainsAll(b, d))
        | (K::ContainsAny(a, c), K::ContainsAny(b, d)) => same(a, b) && same(c, d),
        (K::If(a, c, e), K::If(b, d, f)) => same(a, b) && same(c, d) && same(e, f),
        (
            K::Quantifier { all, set, body },
            K::Quantifier { all: other_all, set: other_set, body: other_body },
        ) => all == other_all && same(set, other_set) && same(body, other_body),
        (a, b) => a == b,
    }
}

/// The test with every condition written out; `None` past the budget.
fn expand<'e>(program: &Program, e: &'e Expr, budget: &mut usize) -> Option<Cow<'e, Expr>> {
    if !has_call(e) {
        return Some(Cow::Borrowed(e));
    }
    substitute(program, e, &[], budget).map(Cow::Owned)
}

fn has_call(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Call(..) => true,
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().any(has_call),
        ExprKind::Not(inner) => has_call(inner),
        ExprKind::If(a, b, c) => has_call(a) || has_call(b) || has_call(c),
        ExprKind::Quantifier { body, .. } => has_call(body),
        _ => false,
    }
}

/// An expression with conditions written out and parameters replaced by arguments.
pub(super) fn substitute(
    program: &Program,
    e: &Expr,
    arguments: &[Expr],
    budget: &mut usize,
) -> Option<Expr> {
    use ExprKind as K;
    *budget = budget.checked_sub(1)?;
    let mut one = |e: &Expr| substitute(program, e, arguments, budget).map(Box::new);
    let kind = match &e.kind {
        K::Parameter(i) => return arguments.get(usize::from(*i)).cloned(),
        K::Call(id, given) => {
            let given: Option<Vec<Expr>> = given.iter().map(|g| one(g).map(|b| *b)).collect();
            let condition = &program.conditions[id.index()];
            return substitute(program, &condition.body, &given?, budget);
        }
        K::Attribute(a, n) => K::Attribute(one(a)?, *n),
        K::Parent(a, n) => K::Parent(one(a)?, *n),
        K::IsKind(a, n) => K::IsKind(one(a)?, *n),
        K::Id(a) => K::Id(one(a)?),
        K::TimeOfDay(a) => K::TimeOfDay(one(a)?),
        K::Weekday(a) => K::Weekday(one(a)?),
        K::Not(a) => K::Not(one(a)?),
        K::IsEmpty(a) => K::IsEmpty(one(a)?),
        K::Exists(a) => K::Exists(one(a)?),
        K::Shift(a, n) => K::Shift(one(a)?, *n),
        K::Matches(a, p) => K::Matches(one(a)?, p.clone()),
        K::Compare(op, a, b) => K::Compare(*op, one(a)?, one(b)?),
        K::Difference(a, b) => K::Difference(one(a)?, one(b)?),
        K::InSet(a, b) => K::InSet(one(a)?, one(b)?),
        K::InNetwork(a, b) => K::InNetwork(one(a)?, one(b)?),
        K::InGroup(a, b) => K::InGroup(one(a)?, one(b)?),
        K::Within(a, b) => K::Within(one(a)?, one(b)?),
        K::ContainsAll(a, b) => K::ContainsAll(one(a)?, one(b)?),
        K::ContainsAny(a, b) => K::ContainsAny(one(a)?, one(b)?),
        K::If(a, b, c) => K::If(one(a)?, one(b)?, one(c)?),
        K::Quantifier { all, set, body } => K::Quantifier { all: *all, set: one(set)?, body: one(body)? },
        K::Set(parts) => K::Set(parts.iter().map(|p| one(p).map(|b| *b)).collect::<Option<_>>()?),
        K::And(parts) => K::And(parts.iter().map(|p| one(p).map(|b| *b)).collect::<Option<_>>()?),
        K::Or(parts) => K::Or(parts.iter().map(|p| one(p).map(|b| *b)).collect::<Option<_>>()?),
        leaf => leaf.clone(),
    };
    Some(Expr { kind, span: e.span })
}

struct Solver<'p> {
    program: &'p Program,
    steps: usize,
}

impl Solver<'_> {
    /// Whether the goals (the last first) may hold together with what the store holds.
    fn possible<'e>(&mut self, mut goals: Vec<(&'e Expr, bool)>, mut store: Store<'e>) -> bool {
        while let Some((goal, answer)) = goals.pop() {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return true;
            }
            match &goal.kind {
                ExprKind::Not(inner) => goals.push((inner, !answer)),
                ExprKind::And(parts) if answer => goals.extend(parts.iter().rev().map(|p| (p, true))),
                ExprKind::Or(parts) if !answer => goals.extend(parts.iter().rev().map(|p| (p, false))),
                ExprKind::And(parts) | ExprKind::Or(parts) => {
                    return (0..parts.len()).any(|i| {
                        let mut goals = goals.clone();
                        goals.push((&parts[i], answer));
                        goals.extend(parts[..i].iter().rev().map(|p| (p, !answer)));
                        self.possible(goals, store.clone())
                    });
                }
                ExprKind::If(condition, yes, no) => {
                    return [(true, yes), (false, no)].into_iter().any(|(holds, branch)| {
                        let mut goals = goals.clone();
                        goals.push((branch, answer));
                        goals.push((condition, holds));
                        self.possible(goals, store.clone())
                    });
                }
                _ => {
                    if !store.assert(self.program, goal, answer) {
                        return false;
                    }
                }
            }
        }
        true
    }
}

/// What is known of each term.
#[derive(Clone, Default)]
struct Store<'e> {
    domains: Vec<(&'e Expr, Domain)>,
    pairs: Vec<(&'e Expr, &'e Expr, u8)>,
    networks: Vec<(&'e Expr, Cidr, bool)>,
    answers: Vec<(&'e Expr, bool)>,
}

/// What one term can still be.
#[derive(Clone)]
struct Domain {
    low: i64,
    high: i64,
    one_of: Option<Vec<Value>>,
    none_of: Vec<Value>,
}

const LESS: u8 = 1;
const EQUAL: u8 = 2;
const MORE: u8 = 4;

fn mask(op: CompareOp) -> u8 {
    match op {
        CompareOp::Eq => EQUAL,
        CompareOp::Ne => LESS | MORE,
        CompareOp::Lt => LESS,
        CompareOp::Le => LESS | EQUAL,
        CompareOp::Gt => MORE,
        CompareOp::Ge => MORE | EQUAL,
    }
}

/// `a OP b` as `b OP a`.
fn mirrored(mask: u8) -> u8 {
    (mask & EQUAL) | if mask & LESS != 0 { MORE } else { 0 } | if mask & MORE != 0 { LESS } else { 0 }
}

impl<'e> Store<'e> {
    /// Adds a smallest test with its answer; `false` when that cannot be.
    fn assert(&mut self, program: &Program, test: &'e Expr, answer: bool) -> bool {
        match &test.kind {
            ExprKind::Literal(Value::Bool(b)) => *b == answer,
            ExprKind::Compare(op, a, b) => {
                let mask = if answer { mask(*op) } else { (LESS | EQUAL | MORE) & !mask(*op) };
                match (&a.kind, &b.kind) {
                    (ExprKind::Literal(x), ExprKind::Literal(y)) => {
                        let found = match x.cmp(y) {
                            std::cmp::Ordering::Less => LESS,
                            std::cmp::Ordering::Equal => EQUAL,
                            std::cmp::Ordering::Greater => MORE,
                        };
                        found & mask != 0
                    }
                    (_, ExprKind::Literal(value)) => self.constrain(program, a, mask, value),
                    (ExprKind::Literal(value), _) => self.constrain(program, b, mirrored(mask), value),
                    _ => self.relate(a, b, mask),
                }
            }
            ExprKind::InSet(term, set) => match &set.kind {
                ExprKind::Literal(Value::Set(values)) => self.one_of(program, term, values, answer),
                _ => self.opaque(program, test, answer),
            },
            ExprKind::InNetwork(term, network) => match &network.kind {
                ExprKind::Literal(Value::Cidr(network)) => self.network(term, *network, answer),
                _ => self.opaque(program, test, answer),
            },
            ExprKind::Attribute(..) | ExprKind::Context(_) | ExprKind::Property(_) | ExprKind::Variable => {
                self.constrain(program, test, EQUAL, &Value::Bool(answer))
            }
            _ => self.opaque(program, test, answer),
        }
    }

    fn domain(&mut self, term: &'e Expr, sample: &Value) -> &mut Domain {
        let at = match self.domains.iter().position(|(t, _)| same(t, term)) {
            Some(at) => at,
            None => {
                let (low, high) = match sample {
                    Value::TimeOfDay(_) => (0, DAY - 1),
                    Value::Time(_) => (TIME_MIN, TIME_MAX),
                    _ => (i64::MIN, i64::MAX),
                };
                self.domains.push((term, Domain { low, high, one_of: None, none_of: Vec::new() }));
                self.domains.len() - 1
            }
        };
        &mut self.domains[at].1
    }

    fn constrain(&mut self, program: &Program, term: &'e Expr, mask: u8, value: &Value) -> bool {
        let domain = self.domain(term, value);
        match (mask, number(value)) {
            (EQUAL, _) => {
                if domain.one_of.as_ref().is_some_and(|all| !all.contains(value)) {
                    return false;
                }
                domain.one_of = Some(vec![value.clone()]);
            }
            (m, _) if m == LESS | MORE => domain.none_of.push(value.clone()),
            (m, Some(n)) => {
                if m & MORE == 0 {
                    match if m & EQUAL != 0 { Some(n) } else { n.checked_sub(1) } {
                        Some(high) => domain.high = domain.high.min(high),
                        None => return false,
                    }
                }
                if m & LESS == 0 {
                    match if m & EQUAL != 0 { Some(n) } else { n.checked_add(1) } {
                        Some(low) => domain.low = domain.low.max(low),
                        None => return false,
                    }
                }
            }
            _ => {}
        }
        domain.possible(program)
    }

    fn one_of(&mut self, program: &Program, term: &'e Expr, values: &[Value], answer: bool) -> bool {
        let Some(sample) = values.first() else { return !answer };
        if let ExprKind::Literal(value) = &term.kind {
            return values.contains(value) == answer;
        }
        let domain = self.domain(term, sample);
        if answer {
            let mut left: Vec<Value> = values.to_vec();
            if let Some(before) = &domain.one_of {
                left.retain(|v| before.contains(v));
            }
            domain.one_of = Some(left);
        } else {
            domain.none_of.extend(values.iter().cloned());
        }
        domain.possible(program)
    }

    fn relate(&mut self, a: &'e Expr, b: &'e Expr, mask: u8) -> bool {
        if same(a, b) {
            return mask & EQUAL != 0;
        }
        for (x, y, known) in &mut self.pairs {
            if same(x, a) && same(y, b) {
                *known &= mask;
                return *known != 0;
            }
            if same(x, b) && same(y, a) {
                *known &= mirrored(mask);
                return *known != 0;
            }
        }
        self.pairs.push((a, b, mask));
        true
    }

    fn network(&mut self, term: &'e Expr, network: Cidr, answer: bool) -> bool {
        let inside = |a: Cidr, b: Cidr| b.prefix <= a.prefix && b.contains(a.network);
        for (other, known, held) in &self.networks {
            if !same(other, term) {
                continue;
            }
            let clash = match (*held, answer) {
                (true, true) => !inside(*known, network) && !inside(network, *known),
                (true, false) => inside(*known, network),
                (false, true) => inside(network, *known),
                (false, false) => false,
            };
            if clash {
                return false;
            }
        }
        self.networks.push((term, network, answer));
        true
    }

    fn opaque(&mut self, program: &Program, test: &'e Expr, answer: bool) -> bool {
        let includes = |a: RoleId, b: RoleId| program.vocabulary.roles[a.index()].includes.contains(&b);
        for (known, held) in &self.answers {
            let clash = match (&known.kind, &test.kind) {
                (ExprKind::HasRole(a), ExprKind::HasRole(b)) => {
                    (*held && !answer && includes(*a, *b)) || (!*held && answer && includes(*b, *a))
                }
                (ExprKind::IsKind(x, a), ExprKind::IsKind(y, b)) if same(x, y) => {
                    if a == b {
                        *held != answer
                    } else {
                        *held && answer
                    }
                }
                _ => *held != answer && same(known, test),
            };
            if clash {
                return false;
            }
        }
        self.answers.push((test, answer));
        true
    }
}

impl Domain {
    fn possible(&self, program: &Program) -> bool {
        if self.low > self.high {
            return false;
        }
        let in_range = |v: &Value| number(v).is_none_or(|n| (self.low..=self.high).contains(&n));
        if let Some(all) = &self.one_of {
            return all.iter().any(|v| in_range(v) && !self.none_of.contains(v));
        }
        if self.low == self.high {
            return !self.none_of.iter().any(|v| number(v) == Some(self.low));
        }
        // A finite type whose values are all excluded.
        match self.none_of.first() {
            Some(Value::Variant(id, _)) => {
                let variants = program.vocabulary.enums[id.index()].variants.len();
                (0..variants).any(|i| !self.none_of.contains(&Value::Variant(*id, i as u16)))
            }
            Some(Value::Weekday(_)) => (0..7).any(|d| !self.none_of.contains(&Value::Weekday(d))),
            Some(Value::Bool(_)) => [true, false].iter().any(|b| !self.none_of.contains(&Value::Bool(*b))),
            _ => true,
        }
    }
}

/// A value with an order as a number of its own unit.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(n) | Value::Decimal(n) | Value::Time(n) | Value::Duration(n) | Value::TimeOfDay(n) => {
            Some(*n)
        }
        _ => None,
    }
}
