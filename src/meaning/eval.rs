//! Conditions in their plainest reading: terms have a value or are absent, tests are true or false.
//!
//! In:    an `Expr` of a rule, the [`Case`] it is asked for, the arguments of the condition around it.
//! Out:   `Option<Term>` of a term, `bool` of a test.
//! Law:   an absent term makes the test that it stands in false; `not` is the only way to turn that round.

use super::Case;
use crate::check::program::{Attribute, CompareOp, Expr, ExprKind, Type};
use crate::directory::Thing;
use crate::value::{DAY, DURATION_MAX, Entity, KindId, NameId, RecordId, RoleId, TIME_MAX, TIME_MIN, Value};

/// What a term is, when it is not absent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Term {
    /// The `any KIND` acted on: it has attributes, but no id, and equals nothing.
    Any,
    /// A value; with the record type that it, or each of its elements, is of.
    Value(Value, Option<RecordId>),
}

/// What the names of a condition stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    /// The arguments of the condition being asked.
    pub parameters: Vec<Option<Term>>,
    /// The element that the quantifier is at.
    pub variable: Option<Term>,
}

impl Case<'_> {
    /// Whether a test holds.
    pub fn test(self, expr: &Expr, frame: &Frame) -> bool {
        match &expr.kind {
            ExprKind::And(parts) => parts.iter().all(|part| self.test(part, frame)),
            ExprKind::Or(parts) => parts.iter().any(|part| self.test(part, frame)),
            ExprKind::Not(inner) => !self.test(inner, frame),
            ExprKind::If(condition, then, otherwise) => {
                self.test(if self.test(condition, frame) { then } else { otherwise }, frame)
            }
            ExprKind::Call(condition, arguments) => {
                let parameters = arguments.iter().map(|argument| self.term(argument, frame)).collect();
                let body = &self.program.conditions[condition.index()].body;
                self.test(body, &Frame { parameters, variable: None })
            }
            ExprKind::Quantifier { all, set, body } => self.quantifier(*all, set, body, frame),
            ExprKind::HasRole(role) => self.has_role(*role),
            ExprKind::Exists(inner) => match self.term(inner, frame) {
                Some(Term::Any) => true,
                Some(Term::Value(Value::Entity(entity), _)) => self.world.known(Thing::Entity(&entity)),
                Some(Term::Value(..)) => true,
                None => false,
            },
            ExprKind::IsKind(inner, kind) => match self.term(inner, frame) {
                Some(Term::Any) => self.world.question.resource.kind == *kind,
                Some(Term::Value(Value::Entity(entity), _)) => entity.kind == *kind,
                _ => false,
            },
            ExprKind::Within(inner, outer) => match (self.term(inner, frame), self.entity(outer, frame)) {
                (Some(Term::Any), Some(outer)) => self.world.is_within(Thing::Any, &outer),
                (Some(Term::Value(Value::Entity(inner), _)), Some(outer)) => {
                    self.world.is_within(Thing::Entity(&inner), &outer)
                }
                _ => false,
            },
            _ => self.test_of_values(expr, frame).unwrap_or(false),
        }
    }

    /// The tests that read values and nothing else; `None` when one is absent.
    fn test_of_values(self, expr: &Expr, frame: &Frame) -> Option<bool> {
        let value = |term: &Expr| self.value(term, frame);
        Some(match &expr.kind {
            ExprKind::Compare(op, left, right) => {
                let (left, right) = (value(left)?, value(right)?);
                match op {
                    CompareOp::Eq => left == right,
                    CompareOp::Ne => left != right,
                    CompareOp::Lt => left < right,
                    CompareOp::Le => left <= right,
                    CompareOp::Gt => left > right,
                    CompareOp::Ge => left >= right,
                }
            }
            ExprKind::InSet(element, set) => elements(value(set)?).contains(&value(element)?),
            ExprKind::ContainsAll(set, wanted) => {
                let (set, wanted) = (elements(value(set)?), elements(value(wanted)?));
                wanted.iter().all(|element| set.contains(element))
            }
            ExprKind::ContainsAny(set, wanted) => {
                let (set, wanted) = (elements(value(set)?), elements(value(wanted)?));
                wanted.iter().any(|element| set.contains(element))
            }
            ExprKind::InNetwork(address, network) => match (value(address)?, value(network)?) {
                (Value::Ip(address), Value::Cidr(network)) => network.contains(address),
                _ => false,
            },
            ExprKind::InGroup(member, group) => match (value(member)?, value(group)?) {
                (Value::Entity(member), Value::Entity(group)) => {
                    group.kind == KindId::GROUP && self.is_member(&member, &group.id)
                }
                _ => false,
            },
            ExprKind::IsEmpty(term) => match value(term)? {
                Value::String(text) => text.is_empty(),
                set => elements(set).is_empty(),
            },
            ExprKind::Matches(term, pattern) => match value(term)? {
                Value::String(text) => pattern.matches(&text),
                _ => false,
            },
            _ => value(expr)? == Value::Bool(true),
        })
    }

    /// `any` needs one element that satisfies the body, `all` that every one does; an absent set fails both.
    fn quantifier(self, all: bool, set: &Expr, body: &Expr, frame: &Frame) -> bool {
        let Some(Term::Value(set, record)) = self.term(set, frame) else { return false };
        let satisfies = |element: Value| {
            let variable = Some(Term::Value(element, record));
            self.test(body, &Frame { parameters: frame.parameters.clone(), variable })
        };
        let mut elements = elements(set).into_iter();
        if all { elements.all(satisfies) } else { elements.any(satisfies) }
    }

    /// The account holds a role that is this one or includes it; boundaries of the binding don't matter.
    fn has_role(self, role: RoleId) -> bool {
        let includes = |held: RoleId| self.world.vocabulary.roles[held.index()].includes.contains(&role);
        self.roles_held().iter().any(|held| includes(held.role))
    }

    /// A term's value; `None` when it is absent, or the `any KIND` acted on, which is no value.
    pub fn value(self, expr: &Expr, frame: &Frame) -> Option<Value> {
        match self.term(expr, frame)? {
            Term::Value(value, _) => Some(value),
            Term::Any => None,
        }
    }

    fn entity(self, expr: &Expr, frame: &Frame) -> Option<Entity> {
        match self.value(expr, frame)? {
            Value::Entity(entity) => Some(entity),
            _ => None,
        }
    }

    /// What a term is; `None` when it is absent.
    pub fn term(self, expr: &Expr, frame: &Frame) -> Option<Term> {
        let question = self.world.question;
        let vocabulary = self.world.vocabulary;
        match &expr.kind {
            ExprKind::Literal(value) => Some(plain(value.clone())),
            ExprKind::Account => Some(plain(Value::Entity(self.account.clone()))),
            ExprKind::Resource => Some(match &question.resource.entity {
                Some(entity) => plain(Value::Entity(entity.clone())),
                None => Term::Any,
            }),
            ExprKind::Scope => {
                let scope = &self.world.directory.scopes[question.scope?.index()];
                Some(plain(Value::Entity(scope.entity.clone())))
            }
            ExprKind::Context(slot) => {
                let slot = usize::from(*slot);
                Some(declared(question.context[slot].clone()?, &vocabulary.context[slot].ty))
            }
            ExprKind::Property(name) => {
                let properties = &vocabulary.action(question.action).properties;
                let slot = slot_of(properties, *name)?;
                Some(declared(question.properties[slot].clone()?, &properties[slot].ty))
            }
            ExprKind::Parameter(index) => frame.parameters[usize::from(*index)].clone(),
            ExprKind::Variable => frame.variable.clone(),
            ExprKind::Attribute(of, name) => self.attribute(&self.term(of, frame)?, *name),
            ExprKind::Parent(of, kind) => {
                let parent = match &self.term(of, frame)? {
                    Term::Any => self.world.parent(Thing::Any)?.clone(),
                    Term::Value(Value::Entity(entity), _) => {
                        self.world.parent(Thing::Entity(entity))?.clone()
                    }
                    Term::Value(..) => return None,
                };
                (parent.kind == *kind).then_some(plain(Value::Entity(parent)))
            }
            ExprKind::Id(of) => Some(plain(Value::String(self.entity(of, frame)?.id))),
            ExprKind::TimeOfDay(of) => match self.value(of, frame)? {
                Value::Time(t) => Some(plain(Value::TimeOfDay(t.rem_euclid(DAY)))),
                _ => None,
            },
            ExprKind::Weekday(of) => match self.value(of, frame)? {
                Value::Time(t) => Some(plain(Value::Weekday(weekday(t)))),
                _ => None,
            },
            ExprKind::Set(parts) => {
                Some(plain(Value::set(parts.iter().filter_map(|part| self.value(part, frame)).collect())))
            }
            ExprKind::Shift(of, by) => match self.value(of, frame)? {
                Value::Time(t) => Some(plain(Value::Time(t.saturating_add(*by).clamp(TIME_MIN, TIME_MAX)))),
                Value::Duration(d) => {
                    Some(plain(Value::Duration(d.saturating_add(*by).clamp(-DURATION_MAX, DURATION_MAX))))
                }
                _ => None,
            },
            ExprKind::Difference(left, right) => {
                match (self.value(left, frame)?, self.value(right, frame)?) {
                    (Value::Time(left), Value::Time(right)) => {
                        Some(plain(Value::Duration(left.saturating_sub(right))))
                    }
                    _ => None,
                }
            }
            _ => Some(plain(Value::Bool(self.test(expr, frame)))),
        }
    }

    /// An attribute of an entity or of the `any KIND` acted on, or a field of a record.
    fn attribute(self, of: &Term, name: NameId) -> Option<Term> {
        let vocabulary = self.world.vocabulary;
        let (entity, kind) = match of {
            Term::Any => (None, self.world.question.resource.kind),
            Term::Value(Value::Entity(entity), _) => (Some(entity), entity.kind),
            Term::Value(Value::Record(fields), Some(record)) => {
                let declarations = &vocabulary.records[record.index()].fields;
                let slot = slot_of(declarations, name)?;
                return Some(declared(fields[slot].clone()?, &declarations[slot].ty));
            }
            Term::Value(..) => return None,
        };
        let slot = vocabulary.slot(kind, name)?;
        let supposed = self.suppose.attributes.iter().find(|(e, n, _)| e.as_ref() == entity && *n == name);
        let value = match supposed {
            Some((_, _, value)) => value.clone()?,
            None => self.world.attribute(entity.map_or(Thing::Any, Thing::Entity), name)?.clone(),
        };
        Some(declared(value, &vocabulary.kind(kind).attributes[slot].ty))
    }
}

fn plain(value: Value) -> Term {
    Term::Value(value, None)
}

/// A value read where its type is declared.
fn declared(value: Value, ty: &Type) -> Term {
    let record = match ty {
        Type::Record(record) => Some(*record),
        Type::Set(element) => match **element {
            Type::Record(record) => Some(record),
            _ => None,
        },
        _ => None,
    };
    Term::Value(value, record)
}

fn slot_of(declarations: &[Attribute], name: NameId) -> Option<usize> {
    declarations.iter().position(|declaration| declaration.name == name)
}

/// The elements of a set.
fn elements(set: Value) -> Vec<Value> {
    match set {
        Value::Set(elements) => elements.to_vec(),
        _ => Vec::new(),
    }
}

/// The weekday of a time, UTC; 1970-01-01 was a Thursday.
fn weekday(time: i64) -> u8 {
    (time.div_euclid(DAY) + 3).rem_euclid(7) as u8
}
