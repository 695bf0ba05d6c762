//! Rules that can never matter because of another: an allow that another covers, an allow that a deny buries.
//!
//! Only rules whose heads are at least as wide are compared, found through an index over heads, so that the work
//! follows the number of rules and not its square.

use super::program::{At, Expr, ExprKind, Home, Program, Rule, What, Who};
use super::solve::contradict;
use crate::diagnostic::{Code, Diagnostic};
use crate::value::{Effect, Entity, KindId, RuleId, Value};
use rustc_hash::{FxHashMap, FxHasher};
use smol_str::SmolStr;
use std::hash::{Hash, Hasher};

/// Rules compared with one rule at most.
const CANDIDATES_MAX: usize = 24;
/// A rule is found by every combination of its head's items, up to this many.
const COMBINATIONS_MAX: usize = 16;

/// Warns of covered and buried rules; `dead` are rules already known never to match.
pub(super) fn covered(program: &Program, dead: &[bool], out: &mut Vec<Diagnostic>) {
    let index = Index::new(program, dead);
    for (i, rule) in program.rules.iter().enumerate() {
        if dead[i] {
            continue;
        }
        if let Some(other) = index.find(program, i) {
            out.push(warning(rule, program.rule(other)));
        }
    }
}

fn warning(rule: &Rule, other: &Rule) -> Diagnostic {
    let (code, message, label, help) = match (rule.effect, other.effect) {
        (Effect::Allow, Effect::Allow) => (
            Code::W0302,
            format!("`{}` never matters: `{}` allows all of it", rule.label, other.label),
            "allowed here",
            "drop it, or narrow the wider one",
        ),
        (Effect::Allow, Effect::Deny) => (
            Code::W0303,
            format!("`{}` never matters: `{}` denies all of it", rule.label, other.label),
            "denied here",
            "a deny always wins; drop the allow, or make the deny narrower",
        ),
        _ => (
            Code::W0313,
            format!("`{}` never matters: `{}` denies all of it", rule.label, other.label),
            "denied here",
            "drop it, or give it a `because` of its own",
        ),
    };
    let anyway =
        if code == Code::W0302 { "all of this is allowed anyway" } else { "all of this is denied anyway" };
    Diagnostic::new(code, rule.span, message, anyway).label(other.span, label).help(help)
}

struct Index {
    by_head: FxHashMap<u64, Vec<RuleId>>,
}

impl Index {
    fn new(program: &Program, dead: &[bool]) -> Index {
        let mut by_head: FxHashMap<u64, Vec<RuleId>> = FxHashMap::default();
        for (i, rule) in program.rules.iter().enumerate() {
            let ats = rule.at.len().max(1);
            if dead[i] || rule.ask.is_some() || rule.who.len() * rule.what.len() * ats > COMBINATIONS_MAX {
                continue;
            }
            for who in &rule.who {
                for what in &rule.what {
                    let mut file = |at: Option<&At>| {
                        let rules = by_head.entry(token(who, what, at)).or_default();
                        if rules.len() < CANDIDATES_MAX {
                            rules.push(RuleId(i as u32));
                        }
                    };
                    if rule.at.is_empty() {
                        file(None);
                    }
                    rule.at.iter().for_each(|at| file(Some(at)));
                }
            }
        }
        Index { by_head }
    }

    /// A rule that makes this one pointless.
    fn find(&self, program: &Program, i: usize) -> Option<RuleId> {
        let rule = &program.rules[i];
        let mut compared = 0;
        for who in wider_who(&rule.who[0]) {
            for what in wider_what(&rule.what[0]) {
                for at in wider_at(rule.at.first()) {
                    let Some(others) = self.by_head.get(&token(&who, &what, at.as_ref())) else { continue };
                    for other in others {
                        if other.index() != i
                            && compared < CANDIDATES_MAX
                            && pointless(program, rule, program.rule(*other))
                        {
                            return Some(*other);
                        }
                        compared += 1;
                    }
                }
            }
        }
        None
    }
}

fn token(who: &Who, what: &What, at: Option<&At>) -> u64 {
    let mut hasher = FxHasher::default();
    who.hash(&mut hasher);
    what.hash(&mut hasher);
    match at {
        // A path names its node whatever its kind.
        Some(At::Node(e)) => e.id.hash(&mut hasher),
        other => other.hash(&mut hasher),
    }
    hasher.finish()
}

fn wider_who(who: &Who) -> Vec<Who> {
    let mut out = vec![who.clone()];
    match who {
        Who::Anyone => return out,
        Who::Account(e) => out.push(Who::Kind(e.kind)),
        Who::KindInGroup(kind, group) => out.extend([Who::Kind(*kind), Who::Group(group.clone())]),
        Who::Kind(_) | Who::Group(_) => {}
    }
    out.push(Who::Anyone);
    out
}

fn wider_what(what: &What) -> Vec<What> {
    let mut out = vec![what.clone()];
    match what {
        What::Anything => return out,
        What::Entity(e) => out.extend([What::Kind(e.kind), What::AnythingIn(e.clone())]),
        What::KindIn(kind, e) => out.extend([What::Kind(*kind), What::AnythingIn(e.clone())]),
        What::Kind(_) | What::AnythingIn(_) => {}
    }
    out.push(What::Anything);
    out
}

fn wider_at(at: Option<&At>) -> Vec<Option<At>> {
    let mut out = vec![None];
    match at {
        None => {}
        Some(At::Node(e)) => {
            let mut path = e.id.as_str();
            out.push(Some(At::Kind(e.kind)));
            loop {
                out.push(Some(At::Node(Entity { kind: e.kind, id: SmolStr::from(path) })));
                match path.rfind('/') {
                    Some(cut) => path = &path[..cut],
                    None => break,
                }
            }
        }
        Some(other) => {
            out.push(Some(other.clone()));
            if let At::KindIn(kind, _) = other {
                out.push(Some(At::Kind(*kind)));
            }
        }
    }
    out
}

/// Whether `other` makes `rule` pointless.
fn pointless(program: &Program, rule: &Rule, other: &Rule) -> bool {
    if !stands_beside(program, rule, other) || !head_covers(program, other, rule) {
        return false;
    }
    match (rule.effect, other.effect) {
        (Effect::Deny, Effect::Allow) => return false,
        (Effect::Deny, Effect::Deny) if rule.because.is_some() || rule.ask.is_some() => return false,
        _ => {}
    }
    if !condition_covers(program, other, rule) {
        return false;
    }
    // Of two that cover each other the later one is pointless.
    let mutual = rule.effect == other.effect
        && stands_beside(program, other, rule)
        && head_covers(program, rule, other)
        && condition_covers(program, rule, other);
    !mutual || other.span < rule.span
}

/// Whether `other` is in force wherever `rule` is.
fn stands_beside(program: &Program, rule: &Rule, other: &Rule) -> bool {
    match (rule.home, other.home) {
        (Home::Boundary(a), Home::Boundary(b)) => a == b,
        (Home::Boundary(_), _) => false,
        (_, Home::Policy(_)) => true,
        (Home::Role(a), Home::Role(b)) => program.vocabulary.roles[a.index()].includes.contains(&b),
        _ => false,
    }
}

fn head_covers(program: &Program, wide: &Rule, narrow: &Rule) -> bool {
    let below =
        |w: &Entity, n: &Entity| n.id.strip_prefix(w.id.as_str()).is_some_and(|rest| rest.starts_with('/'));
    let who = |n: &Who| wide.who.iter().any(|w| wider_who(n).contains(w));
    let what = |n: &What| wide.what.iter().any(|w| wider_what(n).contains(w));
    let at = |n: &At| {
        wide.at.iter().any(|w| match (w, n) {
            // One path may be named with two kinds, and only one of them can be right.
            (At::Node(w), At::Node(n) | At::KindIn(_, n)) => {
                w == n || (below(w, n) && program.vocabulary.sits_below(n.kind, w.kind))
            }
            (At::Kind(w), At::Node(n)) => *w == n.kind,
            (At::Kind(w), At::KindIn(n, _)) => w == n,
            _ => w == n,
        })
    };
    let in_time = match (wide.until, narrow.until) {
        (None, _) => true,
        (Some(w), Some(n)) => n <= w,
        (Some(_), None) => false,
    };
    in_time
        && narrow.who.iter().all(who)
        && narrow.what.iter().all(what)
        && (wide.at.is_empty() || (!narrow.at.is_empty() && narrow.at.iter().all(at)))
        && narrow.actions.iter().all(|a| wide.actions.binary_search(a).is_ok())
}

/// Whether `wide`'s conditions hold whenever `narrow`'s do, under `narrow`'s head.
fn condition_covers(program: &Program, wide: &Rule, narrow: &Rule) -> bool {
    if wide.when.is_none() && wide.unless.is_none() {
        return true;
    }
    let head = kinds_of_head(narrow);
    let given: Vec<(&Expr, bool)> = (head.iter().map(|e| (e, true)))
        .chain(narrow.when.iter().map(|e| (e, true)))
        .chain(narrow.unless.iter().map(|e| (e, false)))
        .collect();
    let with = |extra: &[(&Expr, bool)]| contradict(program, &[given.as_slice(), extra].concat());
    let when = wide.when.as_ref().is_none_or(|when| with(&[(when, false)]));
    let unless = wide.unless.as_ref().is_none_or(|unless| match &wide.when {
        Some(when) => with(&[(when, true), (unless, true)]),
        None => with(&[(unless, true)]),
    });
    when && unless
}

/// What the head itself says of kinds, as tests.
fn kinds_of_head(rule: &Rule) -> Vec<Expr> {
    let test = |root: ExprKind, kind: KindId| {
        let root = Box::new(Expr { kind: root, span: rule.span });
        Expr { kind: ExprKind::IsKind(root, kind), span: rule.span }
    };
    let mut out = Vec::new();
    match rule.who.as_slice() {
        [Who::Kind(kind) | Who::KindInGroup(kind, _)] => out.push(test(ExprKind::Account, *kind)),
        [Who::Account(e)] => {
            out.push(test(ExprKind::Account, e.kind));
            let account = Box::new(Expr { kind: ExprKind::Account, span: rule.span });
            let literal = ExprKind::Literal(Value::Entity(e.clone()));
            let literal = Box::new(Expr { kind: literal, span: rule.span });
            let same = ExprKind::Compare(super::program::CompareOp::Eq, account, literal);
            out.push(Expr { kind: same, span: rule.span });
        }
        _ => {}
    }
    if let [What::Kind(kind) | What::KindIn(kind, _) | What::Entity(Entity { kind, .. })] =
        rule.what.as_slice()
    {
        out.push(test(ExprKind::Resource, *kind));
    }
    out
}
