//! Random conditions, well typed and guarded by construction: the checker's flow of facts is followed step by step.

use crate::dice::Dice;
use crate::model::{GROUP, Sort, Ty, Vocab};
use crate::paths::{Env, Fact, Path, prefixes};
use crate::values;

/// A condition's text, in pieces that can be taken away.
#[derive(Clone, Debug)]
pub enum E {
    /// A test, with what it proves when it holds and when it doesn't.
    Test(String, Vec<Fact>, Vec<Fact>),
    Not(Box<E>),
    And(Vec<E>),
    Or(Vec<E>),
    If(Box<[E; 3]>),
    /// `any x in SET satisfies`, and the body.
    Each(String, Box<E>),
}

impl E {
    fn plain(text: impl Into<String>) -> E {
        E::Test(text.into(), Vec::new(), Vec::new())
    }

    fn exists(path: &str, missing: bool) -> E {
        let facts = prefixes(path).into_iter().map(Fact::Exists).collect();
        if missing {
            E::Test(format!("{path} is missing"), Vec::new(), facts)
        } else {
            E::Test(format!("{path} exists"), facts, Vec::new())
        }
    }

    /// What it proves when it holds, and when it doesn't.
    pub fn proves(&self) -> (Vec<Fact>, Vec<Fact>) {
        let all = |parts: &[E], yes: bool| {
            parts.iter().flat_map(|p| if yes { p.proves().0 } else { p.proves().1 }).collect()
        };
        match self {
            E::Test(_, yes, no) => (yes.clone(), no.clone()),
            E::Not(inner) => {
                let (yes, no) = inner.proves();
                (no, yes)
            }
            E::And(parts) => (all(parts, true), Vec::new()),
            E::Or(parts) => (Vec::new(), all(parts, false)),
            E::If(_) | E::Each(..) => (Vec::new(), Vec::new()),
        }
    }

    /// Whether it asks of each element of a set.
    pub fn asks_each(&self) -> bool {
        match self {
            E::Test(..) => false,
            E::Not(inner) => inner.asks_each(),
            E::And(parts) | E::Or(parts) => parts.iter().any(E::asks_each),
            E::If(parts) => parts.iter().any(E::asks_each),
            E::Each(..) => true,
        }
    }

    pub fn text(&self) -> String {
        let join = |parts: &[E], word: &str| {
            parts.iter().map(E::operand).collect::<Vec<_>>().join(&format!(" {word} "))
        };
        match self {
            E::Test(text, ..) => text.clone(),
            E::Not(inner) => format!("not {}", inner.operand()),
            E::And(parts) => join(parts, "and"),
            E::Or(parts) => join(parts, "or"),
            E::If(parts) => {
                let [c, yes, no] = &**parts;
                format!("if {} then {} else {}", c.operand(), yes.operand(), no.operand())
            }
            E::Each(head, body) => format!("{head} {}", body.operand()),
        }
    }

    fn operand(&self) -> String {
        match self {
            E::Test(..) | E::Not(_) => self.text(),
            _ => format!("({})", self.text()),
        }
    }
}

/// Writes conditions for one place.
pub struct Writer<'a> {
    pub v: &'a Vocab,
    pub dice: &'a mut Dice,
    pub env: Env,
    /// It has called a condition that asks of each element of a set.
    pub called: bool,
}

impl Writer<'_> {
    /// A condition of at most this depth.
    pub fn test(&mut self, depth: usize) -> E {
        if depth == 0 {
            return self.guarded();
        }
        match self.dice.below(12) {
            0..=3 => self.guarded(),
            4 | 5 => self.chain(depth, true),
            6 | 7 => self.chain(depth, false),
            8 => E::Not(Box::new(self.test(depth - 1))),
            9 => {
                let c = self.test(depth - 1);
                let (yes, no) = c.proves();
                let yes = self.under(yes, |w| w.test(depth - 1));
                let no = self.under(no, |w| w.test(depth - 1));
                E::If(Box::new([c, yes, no]))
            }
            10 => self.narrowing(depth),
            _ => self.each(depth),
        }
    }

    fn under(&mut self, facts: Vec<Fact>, f: impl FnOnce(&mut Self) -> E) -> E {
        let mark = self.env.facts.len();
        self.env.facts.extend(facts);
        let made = f(self);
        self.env.facts.truncate(mark);
        made
    }

    fn chain(&mut self, depth: usize, all: bool) -> E {
        let mark = self.env.facts.len();
        let mut parts = Vec::new();
        for _ in 0..self.dice.between(2, 3) {
            let part = self.test(depth - 1);
            let (yes, no) = part.proves();
            self.env.facts.extend(if all { yes } else { no });
            parts.push(part);
        }
        self.env.facts.truncate(mark);
        if all { E::And(parts) } else { E::Or(parts) }
    }

    /// `x is KIND and …`, `x is not KIND or …`, and what can be read then.
    fn narrowing(&mut self, depth: usize) -> E {
        let Some(path) = self.path(|ty| matches!(ty, Ty::Ref(kinds) if kinds.len() > 1)) else {
            return self.guarded();
        };
        let Ty::Ref(kinds) = &path.ty else { return self.guarded() };
        let kind = *self.dice.pick(kinds);
        let negated = self.dice.chance(40);
        let (is, is_not) = (Fact::Is(path.text.clone(), kind), Fact::IsNot(path.text.clone(), kind));
        let name = &self.v.kinds[kind].name;
        let test = if negated {
            E::Test(format!("{} is not {name}", path.text), vec![is_not], vec![is])
        } else {
            E::Test(format!("{} is {name}", path.text), vec![is], vec![is_not])
        };
        let mut parts: Vec<E> = path.guard().map(|g| E::exists(&g, false)).into_iter().collect();
        let mark = self.env.facts.len();
        parts.iter().for_each(|p| self.env.facts.extend(p.proves().0));
        if parts.is_empty() && self.dice.chance(40) {
            let no = test.proves().1;
            let rest = self.under(no, |w| w.test(depth - 1));
            return E::Or(vec![test, rest]);
        }
        self.env.facts.extend(test.proves().0);
        parts.push(test);
        parts.push(self.test(depth - 1));
        self.env.facts.truncate(mark);
        E::And(parts)
    }

    /// A quantifier.
    fn each(&mut self, depth: usize) -> E {
        if self.env.variable.is_some() {
            return self.guarded();
        }
        let Some(path) = self.path(|ty| matches!(ty, Ty::Set(_))) else { return self.guarded() };
        let Ty::Set(of) = path.ty.clone() else { return self.guarded() };
        let guard = path.guard();
        let mark = self.env.facts.len();
        if let Some(g) = &guard {
            self.env.facts.extend(E::exists(g, false).proves().0);
        }
        self.env.variable = Some(("it".to_owned(), (*of).clone()));
        let body = self.test((depth - 1).min(1));
        self.env.variable = None;
        self.env.facts.truncate(mark);
        let word = if self.dice.chance(50) { "any" } else { "all" };
        self.guard(
            guard.into_iter().collect(),
            E::Each(format!("{word} it in {} satisfies", path.text), Box::new(body)),
        )
    }

    /// Puts guards before a test.
    fn guard(&mut self, mut guards: Vec<String>, test: E) -> E {
        guards.dedup();
        if guards.is_empty() {
            return test;
        }
        match self.dice.below(6) {
            0 | 1 => {
                let missing = guards.iter().map(|g| E::exists(g, true));
                E::Or(missing.chain([test]).collect())
            }
            2 if guards.len() == 1 => {
                let other = E::plain(self.dice.word(&["true", "false"]));
                E::If(Box::new([E::exists(&guards[0], false), test, other]))
            }
            3 => {
                let there = guards.iter().map(|g| E::Not(Box::new(E::exists(g, true))));
                E::And(there.chain([test]).collect())
            }
            _ => {
                let there = guards.iter().map(|g| E::exists(g, false));
                E::And(there.chain([test]).collect())
            }
        }
    }

    fn path(&mut self, wanted: impl Fn(&Ty) -> bool) -> Option<Path> {
        self.env.path(self.v, self.dice, Some(&wanted))
    }

    /// One test with its guards.
    fn guarded(&mut self) -> E {
        match self.dice.below(20) {
            0 if self.env.parameters.is_none() && !self.v.roles.is_empty() => {
                let role = &self.dice.pick(&self.v.roles).0;
                return E::plain(format!("account has role {role}"));
            }
            1 => {
                if let Some(path) = self.env.path(self.v, self.dice, None).filter(|p| p.is_key) {
                    let missing = self.dice.chance(50);
                    return E::exists(&path.text, missing);
                }
            }
            2..=4 => {
                if let Some(called) = self.call() {
                    return called;
                }
            }
            _ => {}
        }
        let Some(path) = self.env.path(self.v, self.dice, None) else { return E::plain("true") };
        let mut guards: Vec<String> = path.guard().into_iter().collect();
        match self.about(&path, &mut guards) {
            Some(test) => self.guard(guards, test),
            None => E::plain("context.now > \"2026-03-02T12:00:00Z\""),
        }
    }

    /// Calls a condition, with what it proves of its arguments.
    fn call(&mut self) -> Option<E> {
        let callee = self.dice.some(&self.env.callees)?.clone();
        if callee.each && self.env.variable.is_some() {
            return None;
        }
        self.called |= callee.each;
        let mut guards = Vec::new();
        let mut arguments = Vec::new();
        for p in &callee.parameters {
            let fits = |ty: &Ty| match (ty, &p.ty) {
                (Ty::Ref(found), Ty::Ref(wanted)) => found.iter().all(|k| wanted.contains(k)),
                (found, wanted) => found == wanted,
            };
            let path = if self.dice.chance(75) { self.path(fits) } else { None };
            // A reference in a set's element is not followed, so no condition takes it for known.
            match path.filter(|path| p.optional || !path.variable || !matches!(path.ty, Ty::Ref(_))) {
                Some(path) => {
                    let guard = match (p.optional, &p.ty) {
                        (true, _) => path.needs.clone(),
                        (false, Ty::Ref(_)) => path.guard_known(),
                        _ => path.guard(),
                    };
                    guards.extend(guard);
                    arguments.push((path.text.clone(), path.is_key));
                }
                // What a quoted name refers to may be unknown.
                None if !p.optional && matches!(p.ty, Ty::Ref(_)) => return None,
                None => arguments.push((values::literal(self.v, &p.ty, self.dice)?, false)),
            }
        }
        let substitute = |facts: &[Fact]| -> Vec<Fact> {
            let path = |text: &str| {
                let (root, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
                match callee.parameters.iter().position(|p| p.name == root) {
                    None => Some(text.to_owned()),
                    Some(i) => arguments[i].1.then(|| format!("{}{rest}", arguments[i].0)),
                }
            };
            let fact = |f: &Fact| {
                Some(match f {
                    Fact::Exists(p) => Fact::Exists(path(p)?),
                    Fact::Is(p, k) => Fact::Is(path(p)?, *k),
                    Fact::IsNot(p, k) => Fact::IsNot(path(p)?, *k),
                })
            };
            facts.iter().filter_map(fact).collect()
        };
        let (yes, no) = (substitute(&callee.yes), substitute(&callee.no));
        let list: Vec<&str> = arguments.iter().map(|a| a.0.as_str()).collect();
        let text = match list.len() {
            0 => callee.name.clone(),
            _ => format!("{}({})", callee.name, list.join(", ")),
        };
        Some(self.guard(guards, E::Test(text, yes, no)))
    }
}

/// Whether the kinds of two references overlap.
pub fn overlap(a: &[usize], b: &[usize]) -> bool {
    a.iter().any(|k| b.contains(k))
}

/// Whether `in` between these kinds asks for a group; `None` when it can be neither group nor place.
pub fn in_group(v: &Vocab, a: &[usize], b: &[usize]) -> Option<bool> {
    if b.contains(&GROUP) && a.iter().any(|k| values::is_member_kind(v, *k)) {
        return Some(true);
    }
    let placed = |k: &usize| matches!(v.kinds[*k].sort, Sort::Scope | Sort::Resource);
    let some = a.iter().any(|x| b.iter().any(|y| placed(x) && values::reaches(v, *x, *y)));
    some.then_some(false)
}
