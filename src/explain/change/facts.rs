//! Facts that can be different, and values that would make a test answer as wished.
//!
//! In:    [`Wish`]es.
//! Out:   [`Edits`] with which each of them is granted: tried, not reckoned, so a poor guess costs time only.

use super::wishes::Wish;
use super::{Altered, Edits};
use crate::check::program::{Attribute, Expr, ExprKind, Type};
use crate::directory::GroupIx;
use crate::explain::trace::{children, group_id};
use crate::meaning::{Case, Frame};
use crate::value::{Cidr, DAY, Entity, NameId, RoleId, Value};
use smol_str::SmolStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Tries to find values for one set of wishes.
const TRIES_MAX: usize = 600;
/// Elements of a set that are tried.
const ELEMENTS_MAX: usize = 8;

/// Something that can be different.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::explain) enum Fact {
    /// An entry of the context.
    Context(usize),
    /// A property of the action.
    Property(usize),
    /// An attribute of a thing; `None` is the `any KIND` acted on.
    Attribute(Option<Entity>, NameId),
    /// An account's membership in a group.
    Group(Entity, GroupIx),
    /// An account's role where the request is.
    Role(Entity, RoleId),
}

/// A fact with a value that it could have; `None` is absent.
type Guess = (Fact, Option<Value>);

impl Fact {
    /// Its declaration, if it has a value.
    fn declaration<'a>(&self, case: Case<'a>) -> Option<&'a Attribute> {
        let (vocabulary, question) = (case.world.vocabulary, case.world.question);
        match self {
            Fact::Context(slot) => vocabulary.context.get(*slot),
            Fact::Property(slot) => vocabulary.action(question.action).properties.get(*slot),
            Fact::Attribute(of, name) => {
                let kind = of.as_ref().map_or(question.resource.kind, |entity| entity.kind);
                vocabulary.slot(kind, *name).map(|slot| &vocabulary.kind(kind).attributes[slot])
            }
            Fact::Group(..) | Fact::Role(..) => None,
        }
    }

    /// What it is now.
    pub fn value(&self, case: Case<'_>) -> Option<Value> {
        use crate::directory::Thing;
        let question = case.world.question;
        match self {
            Fact::Context(slot) => question.context[*slot].clone(),
            Fact::Property(slot) => question.properties[*slot].clone(),
            Fact::Attribute(of, name) => {
                let supposed = case.suppose.attributes.iter().find(|(e, n, _)| e == of && n == name);
                match supposed {
                    Some((_, _, value)) => value.clone(),
                    None => {
                        case.world.attribute(of.as_ref().map_or(Thing::Any, Thing::Entity), *name).cloned()
                    }
                }
            }
            Fact::Group(..) | Fact::Role(..) => None,
        }
    }

    /// What it is called: as conditions read it, where they have a name for the thing.
    pub fn name(&self, case: Case<'_>) -> String {
        let (vocabulary, question) = (case.world.vocabulary, case.world.question);
        let declared = self.declaration(case).map_or("", |d| vocabulary.name(d.name));
        let of = match self {
            Fact::Context(_) => "context".to_owned(),
            Fact::Property(_) => "action".to_owned(),
            Fact::Attribute(of, _) if *of == question.resource.entity => "resource".to_owned(),
            Fact::Attribute(Some(entity), _) if *entity == question.account => "account".to_owned(),
            Fact::Attribute(Some(entity), _) => crate::explain::show::entity(vocabulary, entity),
            _ => String::new(),
        };
        format!("{of}.{declared}")
    }
}

/// Finds changed facts that grant all these wishes.
pub(super) fn granting(base: Case<'_>, wishes: &[Wish], budget: &mut usize) -> Option<Edits> {
    // Reading the wishes costs something too, so that every set of them counts.
    *budget = budget.checked_sub(1)?;
    let most = TRIES_MAX.min(*budget);
    let mut tries = most;
    let given: Edits = wishes.iter().filter_map(|wish| Some((wish.fact.clone()?, None))).collect();
    let found = grant(base, wishes, given, &mut tries);
    *budget -= most - tries;
    found
}

/// Grants the first wish that is not, in every way that can be tried, and then the rest.
fn grant(base: Case<'_>, wishes: &[Wish], edits: Edits, tries: &mut usize) -> Option<Edits> {
    let altered = Altered::new(base.world.question, &edits);
    let open = |wish: &&Wish| wish.fact.is_none() && !wish.granted(base, &altered);
    let Some(wish) = wishes.iter().find(open) else { return Some(edits) };
    let own = guesses(wish.case(base, &altered), &wish.expr, wish.wanted);
    let mut all = own.clone();
    for other in wishes.iter().filter(|other| *other != wish && other.fact.is_none()) {
        let theirs = guesses(other.case(base, &altered), &other.expr, other.wanted);
        all.extend(theirs.into_iter().filter(|(fact, _)| own.iter().any(|(f, _)| f == fact)));
    }
    let mut tried: Vec<Guess> = Vec::new();
    for (fact, value) in all {
        if tried.contains(&(fact.clone(), value.clone())) {
            continue;
        }
        tried.push((fact.clone(), value.clone()));
        *tries = tries.checked_sub(1)?;
        let mut next = edits.clone();
        next.retain(|(f, _)| *f != fact);
        next.push((fact.clone(), value));
        let then = Altered::new(base.world.question, &next);
        // A fact that is already changed may only move to where what it was changed for still holds.
        let moved = edits.iter().any(|(f, _)| *f == fact);
        let kept =
            |w: &Wish| !moved || w.fact.is_some() || !w.granted(base, &altered) || w.granted(base, &then);
        if wish.granted(base, &then)
            && wishes.iter().all(kept)
            && let Some(found) = grant(base, wishes, next, tries)
        {
            return Some(found);
        }
    }
    None
}

/// The facts that a test reads.
pub(super) fn read_by(case: Case<'_>, expr: &Expr) -> Vec<Fact> {
    let mut facts: Vec<Fact> = leaf(case, expr).into_iter().collect();
    facts.extend(children(expr).into_iter().flat_map(|child| read_by(case, child)));
    facts
}

/// The fact that a term reads directly.
fn leaf(case: Case<'_>, expr: &Expr) -> Option<Fact> {
    match &expr.kind {
        ExprKind::Context(slot) => Some(Fact::Context(usize::from(*slot))),
        ExprKind::Property(name) => {
            let properties = &case.world.vocabulary.action(case.world.question.action).properties;
            properties.iter().position(|p| p.name == *name).map(Fact::Property)
        }
        ExprKind::Attribute(of, name) => {
            let fact = match (&of.kind, case.value(of, &Frame::default())) {
                (_, Some(Value::Entity(entity))) => Fact::Attribute(Some(entity), *name),
                (ExprKind::Resource, None) => Fact::Attribute(None, *name),
                _ => return None,
            };
            fact.declaration(case).is_some().then_some(fact)
        }
        _ => None,
    }
}

/// Guesses with which a test might answer as wanted.
fn guesses(case: Case<'_>, expr: &Expr, wanted: bool) -> Vec<Guess> {
    let value = |term: &Expr| case.value(term, &Frame::default());
    let to = |term: &Expr, value: Value| becoming(case, term, Some(value));
    match &expr.kind {
        ExprKind::Compare(_, left, right) => {
            let mut found = Vec::new();
            for (term, other) in [(left, right), (right, left)] {
                let near = value(other).map_or(Vec::new(), |v| near(case, &v));
                found.extend(near.into_iter().flat_map(|v| to(term, v)));
            }
            found
        }
        ExprKind::Exists(term) if wanted => usual_values(case, term),
        ExprKind::Exists(term) => becoming(case, term, None),
        ExprKind::InSet(element, set) => {
            let mut found = Vec::new();
            let elements = elements(value(set));
            for v in elements.iter().take(ELEMENTS_MAX) {
                found.extend(near(case, v).into_iter().flat_map(|v| to(element, v)));
            }
            if let Some(v) = value(element) {
                found.extend(to(set, with(&elements, std::slice::from_ref(&v))));
                found.extend(to(set, without(&elements, &[v])));
            }
            found
        }
        ExprKind::ContainsAll(set, other) | ExprKind::ContainsAny(set, other) => of_sets(case, set, other),
        ExprKind::InNetwork(address, network) => {
            let mut found = Vec::new();
            if let Some(Value::Cidr(network)) = value(network) {
                found.extend(to(address, Value::Ip(network.network)));
                found.extend(to(address, Value::Ip(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)))));
                found.extend(to(address, Value::Ip(IpAddr::V6(Ipv6Addr::LOCALHOST))));
            }
            if let Some(Value::Ip(ip)) = value(address) {
                let prefix = if ip.is_ipv4() { 32 } else { 128 };
                found.extend(to(network, Value::Cidr(Cidr { network: ip, prefix })));
            }
            found
        }
        ExprKind::InGroup(member, group) => match (value(member), value(group)) {
            (Some(Value::Entity(member)), Some(Value::Entity(group))) if wanted => {
                joining(case, &member, &group)
            }
            _ => Vec::new(),
        },
        ExprKind::HasRole(role) if wanted && case.held().is_some() => {
            vec![(Fact::Role(case.account.clone(), *role), None)]
        }
        ExprKind::Within(inner, outer) => value(outer).map_or(Vec::new(), |outer| to(inner, outer)),
        ExprKind::IsEmpty(term) => {
            let mut found = to(term, Value::set(Vec::new()));
            found.extend(to(term, Value::String(SmolStr::default())));
            found.extend(usual_values(case, term));
            found
        }
        ExprKind::Matches(term, pattern) => {
            let joined: String = pattern.pieces.iter().map(SmolStr::as_str).collect();
            [joined, "x".to_owned(), String::new()]
                .into_iter()
                .flat_map(|text| to(term, Value::String(text.into())))
                .collect()
        }
        ExprKind::Quantifier { all, set, body } => of_quantifier(case, *all, set, body),
        ExprKind::HasRole(_) | ExprKind::IsKind(..) => Vec::new(),
        _ => to(expr, Value::Bool(wanted)),
    }
}

/// Guesses for a set to hold the elements of another, or none of them.
fn of_sets(case: Case<'_>, set: &Expr, other: &Expr) -> Vec<Guess> {
    let now = |term: &Expr| elements(case.value(term, &Frame::default()));
    let to = |term: &Expr, value: Value| becoming(case, term, Some(value));
    let (a, b) = (now(set), now(other));
    let mut found = to(set, with(&a, &b));
    found.extend(b.iter().take(1).flat_map(|v| to(set, with(&a, std::slice::from_ref(v)))));
    found.extend(to(set, without(&a, &b)));
    found.extend(to(other, Value::set(a.clone())));
    found.extend(to(other, with(&b, &a)));
    found.extend(to(other, Value::set(Vec::new())));
    found
}

/// The membership that would put an account into a group.
fn joining(case: Case<'_>, member: &Entity, group: &Entity) -> Vec<Guess> {
    let directory = case.world.directory;
    let group = group_id(group).and_then(|id| directory.group(id));
    let held = directory.account(member);
    group
        .filter(|_| held.is_some())
        .map(|group| (Fact::Group(member.clone(), group), None))
        .into_iter()
        .collect()
}

/// Sets for a quantifier: empty, the elements that satisfy, those that don't, and one more that might.
fn of_quantifier(case: Case<'_>, all: bool, set: &Expr, body: &Expr) -> Vec<Guess> {
    let now = elements(case.value(set, &Frame::default()));
    let satisfies = |element: &&Value| {
        let literal = Expr { kind: ExprKind::Literal((*element).clone()), span: set.span };
        let one = Expr { kind: ExprKind::Set(vec![literal]), span: set.span };
        let kind = ExprKind::Quantifier { all, set: Box::new(one), body: Box::new(body.clone()) };
        case.holds(&Expr { kind, span: set.span })
    };
    let (yes, no): (Vec<&Value>, Vec<&Value>) = now.iter().partition(satisfies);
    let owned = |values: Vec<&Value>| Value::set(values.into_iter().cloned().collect());
    let mut sets = vec![owned(yes), owned(no), Value::set(Vec::new())];
    for element in met_by_variable(case, body) {
        sets.push(Value::set(vec![element.clone()]));
        sets.push(with(&now, &[element]));
    }
    sets.into_iter().flat_map(|value| becoming(case, set, Some(value))).collect()
}

/// The values that a quantifier's body holds its variable against.
fn met_by_variable(case: Case<'_>, body: &Expr) -> Vec<Value> {
    let value = |term: &Expr| case.value(term, &Frame::default());
    match &body.kind {
        ExprKind::Compare(_, a, b) if matches!(a.kind, ExprKind::Variable) => {
            value(b).map_or(Vec::new(), |v| near(case, &v))
        }
        ExprKind::Compare(_, a, b) if matches!(b.kind, ExprKind::Variable) => {
            value(a).map_or(Vec::new(), |v| near(case, &v))
        }
        ExprKind::InSet(a, b) if matches!(a.kind, ExprKind::Variable) => elements(value(b)),
        ExprKind::Matches(a, pattern) if matches!(a.kind, ExprKind::Variable) => {
            vec![Value::String(pattern.pieces.iter().map(SmolStr::as_str).collect::<String>().into())]
        }
        _ => children(body).into_iter().flat_map(|child| met_by_variable(case, child)).collect(),
    }
}

/// Guesses for a term to become a value (`None`: absent), found by going backwards to the facts it reads.
fn becoming(case: Case<'_>, term: &Expr, value: Option<Value>) -> Vec<Guess> {
    let now = |term: &Expr| case.value(term, &Frame::default());
    if let Some(fact) = leaf(case, term) {
        let fits = fact.declaration(case).is_some_and(|declared| match &value {
            Some(value) => fits(value, &declared.ty),
            None => declared.optional,
        });
        return if fits { vec![(fact, value)] } else { Vec::new() };
    }
    match (&term.kind, value) {
        (ExprKind::Attribute(of, name), value) => match now(of) {
            Some(Value::Record(fields)) => with_field(case, of, &fields, *name, value),
            _ => Vec::new(),
        },
        (ExprKind::Shift(of, by), Some(Value::Time(t))) => {
            becoming(case, of, Some(Value::Time(t.saturating_sub(*by))))
        }
        (ExprKind::Shift(of, by), Some(Value::Duration(d))) => {
            becoming(case, of, Some(Value::Duration(d.saturating_sub(*by))))
        }
        (ExprKind::TimeOfDay(of), Some(Value::TimeOfDay(t))) => match now(of) {
            Some(Value::Time(time)) => {
                becoming(case, of, Some(Value::Time(time.div_euclid(DAY) * DAY + t.clamp(0, DAY - 1))))
            }
            _ => Vec::new(),
        },
        (ExprKind::Weekday(of), Some(Value::Weekday(day))) => match (now(of), now(term)) {
            (Some(Value::Time(time)), Some(Value::Weekday(today))) => {
                let days = (i64::from(day) - i64::from(today)).rem_euclid(7);
                becoming(case, of, Some(Value::Time(time.saturating_add(days * DAY))))
            }
            _ => Vec::new(),
        },
        (ExprKind::Difference(left, right), Some(Value::Duration(d))) => {
            let mut found = Vec::new();
            if let Some(Value::Time(right)) = now(right) {
                found.extend(becoming(case, left, Some(Value::Time(right.saturating_add(d)))));
            }
            if let Some(Value::Time(left)) = now(left) {
                found.extend(becoming(case, right, Some(Value::Time(left.saturating_sub(d)))));
            }
            found
        }
        _ => Vec::new(),
    }
}

/// Guesses for the record `of` to have this value in one of its fields.
fn with_field(
    case: Case<'_>,
    of: &Expr,
    fields: &Arc<[Option<Value>]>,
    name: NameId,
    value: Option<Value>,
) -> Vec<Guess> {
    let Some(Type::Record(record)) =
        leaf(case, of).and_then(|fact| fact.declaration(case)).map(|declared| &declared.ty)
    else {
        return Vec::new();
    };
    let declarations = &case.world.vocabulary.records[record.index()].fields;
    let Some(slot) = declarations.iter().position(|d| d.name == name) else { return Vec::new() };
    let fits = match &value {
        Some(value) => fits(value, &declarations[slot].ty),
        None => declarations[slot].optional,
    };
    if !fits {
        return Vec::new();
    }
    let mut fields = fields.to_vec();
    fields[slot] = value;
    becoming(case, of, Some(Value::Record(fields.into())))
}

/// Whether a value is of a type.
fn fits(value: &Value, ty: &Type) -> bool {
    match (value, ty) {
        (Value::Bool(_), Type::Bool)
        | (Value::Int(_), Type::Int)
        | (Value::Decimal(_), Type::Decimal)
        | (Value::String(_), Type::String)
        | (Value::Time(_), Type::Time)
        | (Value::Duration(_), Type::Duration)
        | (Value::TimeOfDay(_), Type::TimeOfDay)
        | (Value::Weekday(_), Type::Weekday)
        | (Value::Ip(_), Type::Ip)
        | (Value::Cidr(_), Type::Cidr)
        | (Value::Record(_), Type::Record(_)) => true,
        (Value::Variant(of, _), Type::Enum(id)) => of == id,
        (Value::Entity(entity), Type::Ref(kinds)) => kinds.contains(&entity.kind),
        (Value::Set(elements), Type::Set(ty)) => elements.iter().all(|element| fits(element, ty)),
        _ => false,
    }
}

/// Values for a term to have when any will do.
fn usual_values(case: Case<'_>, term: &Expr) -> Vec<Guess> {
    let fact = match (leaf(case, term), &term.kind) {
        (Some(fact), _) => fact,
        (None, ExprKind::Attribute(of, name)) => {
            let Some(Type::Record(record)) =
                leaf(case, of).and_then(|f| f.declaration(case)).map(|declared| &declared.ty)
            else {
                return Vec::new();
            };
            let fields = &case.world.vocabulary.records[record.index()].fields;
            let of_type = |d: &Attribute| usual(case, &d.ty).into_iter().next();
            let value = fields.iter().find(|d| d.name == *name).and_then(of_type);
            return value.map_or(Vec::new(), |value| becoming(case, term, Some(value)));
        }
        _ => return Vec::new(),
    };
    let declared = fact.declaration(case).map_or(Vec::new(), |declared| usual(case, &declared.ty));
    declared.into_iter().map(|value| (fact.clone(), Some(value))).collect()
}

/// Some values of a type.
fn usual(case: Case<'_>, ty: &Type) -> Vec<Value> {
    match ty {
        Type::Bool => vec![Value::Bool(true), Value::Bool(false)],
        Type::Int => vec![Value::Int(0)],
        Type::Decimal => vec![Value::Decimal(0)],
        Type::String => vec![Value::String("x".into())],
        Type::Time => vec![Value::Time(case.world.now())],
        Type::Duration => vec![Value::Duration(0)],
        Type::TimeOfDay => vec![Value::TimeOfDay(DAY / 2)],
        Type::Weekday => (0..7).map(Value::Weekday).collect(),
        Type::Ip => vec![Value::Ip(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)))],
        Type::Cidr => vec![Value::Cidr(Cidr { network: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 })],
        Type::Enum(id) => {
            let count = case.world.vocabulary.enums[id.index()].variants.len();
            (0..count.min(usize::from(u16::MAX))).map(|variant| Value::Variant(*id, variant as u16)).collect()
        }
        Type::Record(id) => {
            let fields = &case.world.vocabulary.records[id.index()].fields;
            let value = |d: &Attribute| if d.optional { None } else { usual(case, &d.ty).into_iter().next() };
            vec![Value::Record(fields.iter().map(value).collect())]
        }
        Type::Set(element) => {
            let one = usual(case, element).into_iter().take(1).collect();
            vec![Value::set(one), Value::set(Vec::new())]
        }
        Type::Ref(kinds) => {
            let question = case.world.question;
            let known = [Some(case.account), Some(&question.account), question.resource.entity.as_ref()];
            let fitting = known.into_iter().flatten().filter(|entity| kinds.contains(&entity.kind));
            fitting.cloned().map(Value::Entity).collect()
        }
    }
}

/// A value and its neighbours; every value of a type that has few.
fn near(case: Case<'_>, value: &Value) -> Vec<Value> {
    let around = |n: i64, step: i64| [n, n.saturating_sub(step), n.saturating_add(step)];
    match value {
        Value::Bool(b) => vec![Value::Bool(*b), Value::Bool(!b)],
        Value::Int(n) => around(*n, 1).map(Value::Int).into(),
        Value::Decimal(n) => {
            around(*n, 10_000).into_iter().chain(around(*n, 1)).map(Value::Decimal).collect()
        }
        Value::Time(n) => around(*n, 1_000_000).into_iter().chain(around(*n, 1)).map(Value::Time).collect(),
        Value::Duration(n) => {
            around(*n, 1_000_000).into_iter().chain(around(*n, 1)).map(Value::Duration).collect()
        }
        Value::TimeOfDay(n) => around(*n, 60_000_000)
            .into_iter()
            .chain(around(*n, 1))
            .filter(|t| (0..DAY).contains(t))
            .map(Value::TimeOfDay)
            .collect(),
        Value::String(text) => {
            vec![value.clone(), Value::String(format!("{text}x").into()), Value::String("x".into())]
        }
        Value::Variant(id, _) => {
            let mut values = vec![value.clone()];
            values.extend(usual(case, &Type::Enum(*id)));
            values
        }
        Value::Weekday(_) => {
            let mut values = vec![value.clone()];
            values.extend(usual(case, &Type::Weekday));
            values
        }
        Value::Entity(_) => {
            let question = case.world.question;
            let others = [Some(case.account), Some(&question.account), question.resource.entity.as_ref()];
            let mut values = vec![value.clone()];
            values.extend(others.into_iter().flatten().cloned().map(Value::Entity));
            values
        }
        _ => vec![value.clone()],
    }
}

fn elements(set: Option<Value>) -> Vec<Value> {
    match set {
        Some(Value::Set(elements)) => elements.to_vec(),
        _ => Vec::new(),
    }
}

fn with(set: &[Value], more: &[Value]) -> Value {
    Value::set(set.iter().chain(more).cloned().collect())
}

fn without(set: &[Value], fewer: &[Value]) -> Value {
    Value::set(set.iter().filter(|v| !fewer.contains(v)).cloned().collect())
}
