//! What a decision may read, held against what a test leaves out.
//!
//! In:    the rules whose heads could match a question, in what is in force in the test.
//! Out:   E0402 for a left-out value that one of them reads.
//! Law:   errs on the side of telling: by attribute name, and whether it is read of the account, the resource, the
//!        scope, or of anything else.

use super::hold::LeftOut;
use super::stage::Held;
use crate::check::program::{Expr, ExprKind, Home, Program, Provenance, Rule, Sort, What, Who};
use crate::diagnostic::{Code, Diagnostic};
use crate::directory::Directory;
use crate::request::Question;
use crate::source::Span;
use crate::value::{BoundaryId, ConditionId, Entity, KindId, NameId, RoleId};
use std::collections::{BTreeMap, BTreeSet};

/// Of what an attribute is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Account,
    Resource,
    Scope,
    Other,
}

#[derive(Default)]
struct Reads {
    attributes: BTreeMap<(Of, NameId), Span>,
    properties: BTreeMap<NameId, Span>,
    context: BTreeMap<u16, Span>,
    met: BTreeSet<(ConditionId, Vec<Of>)>,
}

/// A diagnostic for each left-out value that the decision may read.
pub(super) fn left_out(
    program: &Program,
    held: &Held,
    question: &Question,
    directory: &Directory,
    left_out: &[LeftOut],
    assertion: Span,
) -> Vec<Diagnostic> {
    if left_out.is_empty() {
        return Vec::new();
    }
    let mut reads = Reads::default();
    let in_force = InForce::of(program, held, question);
    for rule in program.rules.iter().filter(|r| in_force.may_ask(r, question)) {
        for condition in rule.when.iter().chain(&rule.unless) {
            reads.walk(program, condition, &[]);
        }
    }
    let vocabulary = &program.vocabulary;
    let mut found = Vec::new();
    for lack in left_out {
        let (read_at, name, of) = match lack {
            LeftOut::Property(name) => {
                let of = format!("the action `{}`", vocabulary.action(question.action).name);
                (reads.properties.get(name), *name, of)
            }
            LeftOut::Context(slot) => {
                let name = vocabulary.context[usize::from(*slot)].name;
                (reads.context.get(slot), name, "the context".to_owned())
            }
            LeftOut::Attribute(entity, name) => {
                if supplied(program, question, directory, entity, *name) {
                    continue;
                }
                let mut ways = vec![Of::Other];
                ways.extend((question.account == *entity || !in_force.alone).then_some(Of::Account));
                ways.extend((question.resource.entity.as_ref() == Some(entity)).then_some(Of::Resource));
                let scope = question.scope.and_then(|ix| directory.scopes.get(ix.index()));
                ways.extend(scope.is_some_and(|s| s.entity == *entity).then_some(Of::Scope));
                let read_at = ways.into_iter().find_map(|of| reads.attributes.get(&(of, *name)));
                (read_at, *name, format!("{} `{}`", vocabulary.kind(entity.kind).name, entity.id))
            }
        };
        let Some(read_at) = read_at else { continue };
        let name = vocabulary.name(name);
        let message = format!("the decision may read `{name}` of {of}, which the test leaves out");
        let d = Diagnostic::new(Code::E0402, assertion, message, "decided here").label(*read_at, "read here");
        found.push(d.help(format!("give it: `{{ {name}: … }}`")));
    }
    found
}

/// Whether the request gives what the directory leaves open.
fn supplied(
    program: &Program,
    question: &Question,
    directory: &Directory,
    entity: &Entity,
    name: NameId,
) -> bool {
    let kind = program.vocabulary.kind(entity.kind);
    let Some(slot) = program.vocabulary.slot(entity.kind, name) else { return false };
    let said = question.overlay.iter().find(|o| o.entity.as_ref() == Some(entity));
    // Of a resource that came with the request the overlay holds what was filled in.
    let filled = kind.sort == Sort::Resource && directory.resource(entity).is_none();
    !filled
        && kind.attributes[slot].provenance == Provenance::Supplied
        && said.is_some_and(|o| o.attributes.get(slot).is_some_and(Option::is_some))
}

/// Which roles and boundaries can have a say in a test, and who.
struct InForce {
    roles: BTreeSet<RoleId>,
    boundaries: BTreeSet<BoundaryId>,
    /// Nobody stands behind the account.
    alone: bool,
}

impl InForce {
    fn of(program: &Program, held: &Held, question: &Question) -> InForce {
        let included = |role: &RoleId| program.vocabulary.roles[role.index()].includes.iter().copied();
        let roles = held.bindings.iter().flat_map(|b| included(&b.role)).collect();
        let things = held.scopes.values().chain(held.accounts.values());
        let boundaries = (things.flat_map(|t| &t.boundaries))
            .chain(held.bindings.iter().flat_map(|b| &b.boundaries))
            .chain(held.links.iter().flat_map(|l| &l.boundaries))
            .chain(question.credential.iter().flat_map(|c| &c.boundaries));
        let alone = program.vocabulary.kind(question.account.kind).acting_for.is_empty();
        InForce { roles, boundaries: boundaries.copied().collect(), alone }
    }

    /// Whether a rule's head could match.
    fn may_ask(&self, rule: &Rule, question: &Question) -> bool {
        let in_force = match rule.home {
            Home::Policy(_) => true,
            Home::Role(id) => self.roles.contains(&id),
            Home::Boundary(id) => self.boundaries.contains(&id),
        };
        let kind: KindId = question.resource.kind;
        let what = |what: &What| match what {
            What::Anything | What::AnythingIn(_) => true,
            What::Kind(k) | What::KindIn(k, _) => *k == kind,
            What::Entity(e) => question.resource.entity.as_ref() == Some(e),
        };
        let who = |who: &Who| match who {
            Who::Anyone | Who::Group(_) => true,
            Who::Kind(k) | Who::KindInGroup(k, _) => !self.alone || *k == question.account.kind,
            Who::Account(e) => !self.alone || *e == question.account,
        };
        in_force
            && rule.actions.contains(&question.action)
            && rule.what.iter().any(what)
            && rule.who.iter().any(who)
    }
}

impl Reads {
    fn walk(&mut self, program: &Program, expr: &Expr, parameters: &[Of]) {
        let mut inner: Vec<&Expr> = Vec::new();
        match &expr.kind {
            ExprKind::Attribute(base, name) => {
                self.attributes.entry((of(base, parameters), *name)).or_insert(expr.span);
                inner.push(base);
            }
            ExprKind::Context(slot) => {
                self.context.entry(*slot).or_insert(expr.span);
            }
            ExprKind::Property(name) => {
                self.properties.entry(*name).or_insert(expr.span);
            }
            ExprKind::Call(id, arguments) => {
                let kinds: Vec<Of> = arguments.iter().map(|a| of(a, parameters)).collect();
                if self.met.insert((*id, kinds.clone())) {
                    self.walk(program, &program.conditions[id.index()].body, &kinds);
                }
                inner.extend(arguments);
            }
            ExprKind::Literal(_)
            | ExprKind::Account
            | ExprKind::Resource
            | ExprKind::Scope
            | ExprKind::Parameter(_)
            | ExprKind::Variable
            | ExprKind::HasRole(_) => {}
            ExprKind::Set(items) | ExprKind::And(items) | ExprKind::Or(items) => inner.extend(items),
            ExprKind::Parent(e, _)
            | ExprKind::Id(e)
            | ExprKind::TimeOfDay(e)
            | ExprKind::Weekday(e)
            | ExprKind::Shift(e, _)
            | ExprKind::Not(e)
            | ExprKind::IsEmpty(e)
            | ExprKind::Matches(e, _)
            | ExprKind::Exists(e)
            | ExprKind::IsKind(e, _) => inner.push(e),
            ExprKind::Difference(a, b)
            | ExprKind::Compare(_, a, b)
            | ExprKind::InSet(a, b)
            | ExprKind::InNetwork(a, b)
            | ExprKind::InGroup(a, b)
            | ExprKind::Within(a, b)
            | ExprKind::ContainsAll(a, b)
            | ExprKind::ContainsAny(a, b) => inner.extend([&**a, &**b]),
            ExprKind::If(a, b, c) => inner.extend([&**a, &**b, &**c]),
            ExprKind::Quantifier { set, body, .. } => inner.extend([&**set, &**body]),
        }
        for expr in inner {
            self.walk(program, expr, parameters);
        }
    }
}

fn of(base: &Expr, parameters: &[Of]) -> Of {
    match &base.kind {
        ExprKind::Account => Of::Account,
        ExprKind::Resource => Of::Resource,
        ExprKind::Scope => Of::Scope,
        ExprKind::Parameter(n) => parameters.get(usize::from(*n)).copied().unwrap_or(Of::Other),
        _ => Of::Other,
    }
}
