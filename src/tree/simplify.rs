//! Tests as shared expressions, made simpler while they are built: [`Tests`].
//!
//! In:    atoms and operators, bottom up.
//! Out:   numbers of tests; equal tests get one number, and constants are gone but where a whole test is one.
//! Law:   a built test holds exactly when what was asked for holds, for every request.

use super::atom::{Atom, Comparison, Operand};
use crate::value::Value;
use rustc_hash::FxHashMap;

/// A test by number: index into [`Tests`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TestId(pub(super) u32);

/// A test over atoms; its parts are earlier tests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Test {
    Const(bool),
    Atom(u32),
    Not(TestId),
    /// Sorted; at least two.
    And(Vec<TestId>),
    /// Sorted; at least two.
    Or(Vec<TestId>),
    If(TestId, TestId, TestId),
}

/// All tests, atoms and operands of a tree being built.
pub(super) struct Tests {
    pub(super) operands: Vec<Operand>,
    operand_numbers: FxHashMap<Operand, u32>,
    pub(super) atoms: Vec<Atom>,
    atom_numbers: FxHashMap<Atom, u32>,
    pub(super) tests: Vec<Test>,
    test_numbers: FxHashMap<Test, TestId>,
    /// How many nodes a test would have if nothing were shared; saturates.
    pub(super) weights: Vec<u32>,
}

/// The test that never holds.
pub(super) const NEVER: TestId = TestId(0);
/// The test that always holds.
pub(super) const ALWAYS: TestId = TestId(1);

impl Default for Tests {
    fn default() -> Tests {
        let mut tests = Tests {
            operands: Vec::new(),
            operand_numbers: FxHashMap::default(),
            atoms: Vec::new(),
            atom_numbers: FxHashMap::default(),
            tests: Vec::new(),
            test_numbers: FxHashMap::default(),
            weights: Vec::new(),
        };
        tests.intern(Test::Const(false));
        tests.intern(Test::Const(true));
        tests
    }
}

impl Tests {
    /// The number of a term.
    pub(super) fn operand(&mut self, operand: Operand) -> u32 {
        let operand = match operand {
            Operand::Set(items) => match self.literal_set(&items) {
                Some(set) => Operand::Literal(set),
                None => Operand::Set(items),
            },
            other => other,
        };
        if let Some(number) = self.operand_numbers.get(&operand) {
            return *number;
        }
        let number = self.operands.len() as u32;
        self.operands.push(operand.clone());
        self.operand_numbers.insert(operand, number);
        number
    }

    fn literal_set(&self, items: &[u32]) -> Option<Value> {
        let scalar = |item: &u32| match self.literal(*item) {
            Some(Value::Set(_) | Value::Record(_)) | None => None,
            Some(value) => Some(value.clone()),
        };
        items.iter().map(scalar).collect::<Option<Vec<_>>>().map(Value::set)
    }

    /// The value of a literal.
    pub(super) fn literal(&self, operand: u32) -> Option<&Value> {
        match &self.operands[operand as usize] {
            Operand::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// Whether a term has a value in every request. (What is acted on has none when it has no id.)
    fn always_there(&self, operand: u32) -> bool {
        match &self.operands[operand as usize] {
            Operand::Literal(_) | Operand::Account | Operand::Context(0) => true,
            Operand::TimeOfDay(part) | Operand::Weekday(part) | Operand::Shift(part, _) => {
                self.always_there(*part)
            }
            _ => false,
        }
    }

    fn intern(&mut self, test: Test) -> TestId {
        if let Some(id) = self.test_numbers.get(&test) {
            return *id;
        }
        let id = TestId(self.tests.len() as u32);
        let parts: u32 = match &test {
            Test::Const(_) | Test::Atom(_) => 0,
            Test::Not(a) => self.weight(*a),
            Test::And(parts) | Test::Or(parts) => {
                parts.iter().fold(0, |sum: u32, part| sum.saturating_add(self.weight(*part)))
            }
            Test::If(a, b, c) => {
                self.weight(*a).saturating_add(self.weight(*b)).saturating_add(self.weight(*c))
            }
        };
        self.weights.push(parts.saturating_add(1));
        self.tests.push(test.clone());
        self.test_numbers.insert(test, id);
        id
    }

    /// How many nodes a test would have if nothing in it were shared.
    pub(super) fn weight(&self, id: TestId) -> u32 {
        self.weights[id.0 as usize]
    }

    /// A test that is known.
    pub(super) fn constant(&self, holds: bool) -> TestId {
        if holds { ALWAYS } else { NEVER }
    }

    /// Denied.
    pub(super) fn not(&mut self, id: TestId) -> TestId {
        match self.tests[id.0 as usize] {
            Test::Const(holds) => self.constant(!holds),
            Test::Not(inner) => inner,
            _ => self.intern(Test::Not(id)),
        }
    }

    /// All hold.
    pub(super) fn and(&mut self, parts: &[TestId]) -> TestId {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match &self.tests[part.0 as usize] {
                Test::And(inner) => flat.extend_from_slice(inner),
                _ => flat.push(*part),
            }
        }
        match self.joined(flat, NEVER, ALWAYS) {
            Ok(parts) => self.intern(Test::And(parts)),
            Err(one) => one,
        }
    }

    /// One holds.
    pub(super) fn or(&mut self, parts: &[TestId]) -> TestId {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match &self.tests[part.0 as usize] {
                Test::Or(inner) => flat.extend_from_slice(inner),
                _ => flat.push(*part),
            }
        }
        match self.joined(flat, ALWAYS, NEVER) {
            Ok(parts) => self.intern(Test::Or(parts)),
            Err(one) => one,
        }
    }

    /// Parts of an `and` or `or`, or the one test that it is; `zero` wins over all, `unit` says nothing.
    fn joined(&self, mut parts: Vec<TestId>, zero: TestId, unit: TestId) -> Result<Vec<TestId>, TestId> {
        parts.sort_unstable();
        parts.dedup();
        parts.retain(|part| *part != unit);
        if parts.contains(&zero) {
            return Err(zero);
        }
        let denied = |part: &TestId| match self.tests[part.0 as usize] {
            Test::Not(inner) => parts.binary_search(&inner).is_ok(),
            _ => false,
        };
        if parts.iter().any(denied) {
            return Err(zero);
        }
        match parts.as_slice() {
            [] => Err(unit),
            [one] => Err(*one),
            _ => Ok(parts),
        }
    }

    /// If the first holds the second, else the third.
    pub(super) fn choose(&mut self, test: TestId, yes: TestId, no: TestId) -> TestId {
        match (test, yes, no) {
            (ALWAYS, ..) => yes,
            (NEVER, ..) => no,
            _ if yes == no => yes,
            (_, ALWAYS, NEVER) => test,
            (_, NEVER, ALWAYS) => self.not(test),
            (_, ALWAYS, _) => self.or(&[test, no]),
            (_, _, NEVER) => self.and(&[test, yes]),
            _ => self.intern(Test::If(test, yes, no)),
        }
    }

    /// A smallest test.
    pub(super) fn atom(&mut self, atom: Atom) -> TestId {
        match self.known(&atom) {
            Some(holds) => self.constant(holds),
            None => {
                let number = match self.atom_numbers.get(&atom) {
                    Some(number) => *number,
                    None => {
                        let number = self.atoms.len() as u32;
                        self.atoms.push(atom.clone());
                        self.atom_numbers.insert(atom, number);
                        number
                    }
                };
                self.intern(Test::Atom(number))
            }
        }
    }

    /// A comparison, in one of few forms: equal ones get one number, and `a >= b` is not (a < b) where both are there.
    pub(super) fn compare(&mut self, comparison: Comparison, a: u32, b: u32) -> TestId {
        let there = self.always_there(a) && self.always_there(b);
        match comparison {
            Comparison::Equal => self.atom(Atom::Compare(Comparison::Equal, a.min(b), a.max(b))),
            Comparison::Different if there => {
                let equal = self.compare(Comparison::Equal, a, b);
                self.not(equal)
            }
            Comparison::Different => self.atom(Atom::Compare(Comparison::Different, a.min(b), a.max(b))),
            Comparison::LessOrEqual if there && self.ordered(a) && self.ordered(b) => {
                let less = self.compare(Comparison::Less, b, a);
                self.not(less)
            }
            order => self.atom(Atom::Compare(order, a, b)),
        }
    }

    /// Whether a term that is always there has a type with an order: a Time, or what is made of one, or a literal.
    fn ordered(&self, operand: u32) -> bool {
        !matches!(
            &self.operands[operand as usize],
            Operand::Account | Operand::Literal(Value::Set(_) | Value::Record(_))
        )
    }

    /// Membership; in a set of one it is equality.
    pub(super) fn in_set(&mut self, element: u32, set: u32) -> TestId {
        match self.literal(set) {
            Some(Value::Set(items)) if items.len() == 1 => {
                let one = items[0].clone();
                let one = self.operand(Operand::Literal(one));
                self.compare(Comparison::Equal, element, one)
            }
            _ => self.atom(Atom::InSet(element, set)),
        }
    }

    /// What an atom over literals says.
    fn known(&self, atom: &Atom) -> Option<bool> {
        match atom {
            Atom::True(a) => match self.literal(*a)? {
                Value::Bool(holds) => Some(*holds),
                _ => Some(false),
            },
            Atom::Compare(comparison, a, b) => {
                let (a, b) = (self.literal(*a)?, self.literal(*b)?);
                let one_type = std::mem::discriminant(a) == std::mem::discriminant(b);
                one_type.then(|| match comparison {
                    Comparison::Equal => a == b,
                    Comparison::Different => a != b,
                    Comparison::Less => a < b,
                    Comparison::LessOrEqual => a <= b,
                })
            }
            Atom::InSet(a, set) => match self.literal(*set)? {
                Value::Set(items) if items.is_empty() => Some(false),
                Value::Set(items) => self.literal(*a).map(|a| items.contains(a)),
                _ => None,
            },
            Atom::InNetwork(a, network) => match (self.literal(*a)?, self.literal(*network)?) {
                (Value::Ip(ip), Value::Cidr(network)) => Some(network.contains(*ip)),
                _ => None,
            },
            Atom::Matches(a, pattern) => match self.literal(*a)? {
                Value::String(text) => Some(pattern.matches(text)),
                _ => None,
            },
            Atom::IsEmpty(a) => match self.literal(*a)? {
                Value::Set(items) => Some(items.is_empty()),
                Value::String(text) => Some(text.is_empty()),
                _ => None,
            },
            Atom::Exists(a) => match self.literal(*a)? {
                Value::Entity(_) => None,
                _ => Some(true),
            },
            Atom::IsKind(a, kind) => match self.literal(*a)? {
                Value::Entity(entity) => Some(entity.kind == *kind),
                _ => None,
            },
            _ => None,
        }
    }

    /// How many different nodes a test has, counted up to `most`.
    pub(super) fn size(&self, root: TestId, most: usize) -> usize {
        if (self.weight(root) as usize) <= most {
            return self.weight(root) as usize;
        }
        let mut seen = rustc_hash::FxHashSet::default();
        let mut stack = vec![root];
        while let Some(id) = stack.pop() {
            if !seen.insert(id) || seen.len() > most {
                continue;
            }
            match &self.tests[id.0 as usize] {
                Test::Const(_) | Test::Atom(_) => {}
                Test::Not(a) => stack.push(*a),
                Test::And(parts) | Test::Or(parts) => stack.extend(parts),
                Test::If(a, b, c) => stack.extend([*a, *b, *c]),
            }
        }
        seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::KindId;

    fn atom(tests: &mut Tests, n: u16) -> TestId {
        tests.atom(Atom::AtKind(KindId(n)))
    }

    #[test]
    fn constants_disappear() {
        let mut t = Tests::default();
        let (a, b) = (atom(&mut t, 0), atom(&mut t, 1));
        let not_a = t.not(a);
        assert_eq!(t.not(not_a), a);
        assert_eq!(t.and(&[a, ALWAYS]), a);
        assert_eq!(t.and(&[a, NEVER]), NEVER);
        assert_eq!(t.and(&[not_a, b, a]), NEVER);
        assert_eq!(t.or(&[not_a, b, a]), ALWAYS);
        assert_eq!(t.and(&[]), ALWAYS);
        assert_eq!(t.or(&[]), NEVER);
        assert_eq!(t.choose(a, ALWAYS, NEVER), a);
        assert_eq!(t.choose(a, b, b), b);
        assert_eq!(t.and(&[a, b]), t.and(&[b, a, b]));
    }

    #[test]
    fn literals_are_decided() {
        let mut t = Tests::default();
        let one = t.operand(Operand::Literal(Value::Int(1)));
        let two = t.operand(Operand::Literal(Value::Int(2)));
        let set = t.operand(Operand::Set(vec![two, one, one]));
        assert_eq!(
            t.operands[set as usize],
            Operand::Literal(Value::set(vec![Value::Int(1), Value::Int(2)]))
        );
        assert_eq!(t.compare(Comparison::Less, one, two), ALWAYS);
        assert_eq!(t.compare(Comparison::Different, one, one), NEVER);
        assert_eq!(t.in_set(two, set), ALWAYS);
        let none = t.operand(Operand::Set(vec![]));
        let x = t.operand(Operand::Context(1));
        assert_eq!(t.in_set(x, none), NEVER);
    }

    #[test]
    fn different_is_the_denial_of_equal_only_where_both_are_there() {
        let mut t = Tests::default();
        let now = t.operand(Operand::Context(0));
        let other = t.operand(Operand::Context(1));
        let time = t.operand(Operand::Literal(Value::Time(5)));
        let equal = t.compare(Comparison::Equal, time, now);
        let denied = t.not(equal);
        assert_eq!(t.compare(Comparison::Different, now, time), denied);
        let equal = t.compare(Comparison::Equal, other, time);
        let denied = t.not(equal);
        assert_ne!(t.compare(Comparison::Different, other, time), denied);
        let less = t.compare(Comparison::Less, now, time);
        let denied = t.not(less);
        assert_eq!(t.compare(Comparison::LessOrEqual, time, now), denied);
    }
}
