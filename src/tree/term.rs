//! The value of a term while deciding: [`Term`], borrowed from set, directory and request.
//!
//! In:    an operand's number, the [`Asking`] it is looked at for.
//! Out:   `Option<Term>`; `None` is absent. Nothing is copied, nothing allocated.
//! Law:   two terms are equal, and ordered, as the [`Value`]s they stand for.

use super::atom::Operand;
use super::request::Asking;
use crate::check::program::{Attribute, Kind, Provenance, Type, Vocabulary};
use crate::directory::Thing;
use crate::request::Overlay;
use crate::value::{
    Cidr, DAY, DURATION_MAX, Entity, EnumId, KindId, NameId, RecordId, TIME_MAX, TIME_MIN, Value,
};
use std::cmp::Ordering;
use std::net::IpAddr;

/// What a term is, when it is not absent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Term<'a> {
    Bool(bool),
    Int(i64),
    Decimal(i64),
    Text(&'a str),
    Time(i64),
    Duration(i64),
    TimeOfDay(i64),
    Weekday(u8),
    Ip(IpAddr),
    Cidr(Cidr),
    Variant(EnumId, u16),
    /// An entity, or the `any KIND` acted on; that one equals nothing.
    Thing(Thing<'a>),
    /// A set, sorted; with the record type of its elements if they are records.
    Set(&'a [Value], Option<RecordId>),
    /// A set written out in a condition.
    List(&'a [u32]),
    /// A record with its type.
    Record(&'a [Option<Value>], Option<RecordId>),
}

/// Where the attributes of each kind are found, and which operands are read straight from there.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    /// By kind, sorted by name: the slot, and who supplies it.
    of_kind: Vec<Box<[(NameId, u16, Provenance)]>>,
    /// By operand.
    plain: Vec<Plain>,
}

/// An operand whose value stands somewhere as a [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Plain {
    /// An attribute of what is acted on.
    Resource(NameId),
    /// An attribute of the account.
    Account(NameId),
    /// An entry of the context.
    Context(u16),
    /// A literal.
    Literal,
    /// None of these.
    No,
}

impl Slots {
    /// The slots of a vocabulary and some operands.
    pub(super) fn of(vocabulary: &Vocabulary, operands: &[Operand]) -> Slots {
        let of_kind = |kind: &Kind| {
            let slots = kind.attributes.iter().zip(0..).map(|(a, slot)| (a.name, slot, a.provenance));
            let mut slots: Box<[_]> = slots.collect();
            // Of a name that is there twice the first counts; the sort keeps their order.
            slots.sort_by_key(|(name, ..)| *name);
            slots
        };
        let plain = |operand: &Operand| match operand {
            Operand::Literal(_) => Plain::Literal,
            Operand::Context(slot) => Plain::Context(*slot),
            Operand::Attribute(of, name) => match operands[*of as usize] {
                Operand::Resource => Plain::Resource(*name),
                Operand::Account => Plain::Account(*name),
                _ => Plain::No,
            },
            _ => Plain::No,
        };
        Slots {
            of_kind: vocabulary.kinds.iter().map(of_kind).collect(),
            plain: operands.iter().map(plain).collect(),
        }
    }

    /// How an operand is read.
    pub(super) fn plain(&self, operand: u32) -> Plain {
        self.plain[operand as usize]
    }

    /// The value of an attribute or an entry of the context.
    #[inline]
    pub(super) fn value<'a>(
        &self,
        plain: Plain,
        account: &Values<'a>,
        resource: &Values<'a>,
        context: &'a [Option<Value>],
    ) -> Option<&'a Value> {
        let of = |values: &Values<'a>, name| {
            let (slot, provenance) = self.find(values.kind, name)?;
            values.value(slot, provenance)
        };
        match plain {
            Plain::Resource(name) => of(resource, name),
            Plain::Account(name) => of(account, name),
            Plain::Context(slot) => context.get(usize::from(slot)).and_then(Option::as_ref),
            Plain::Literal | Plain::No => None,
        }
    }

    #[inline]
    pub(super) fn find(&self, kind: KindId, name: NameId) -> Option<(usize, Provenance)> {
        let slots = self.of_kind.get(kind.index())?;
        let (_, slot, who) = match slots.len() {
            0..=8 => slots.iter().find(|(own, ..)| *own == name)?,
            _ => {
                slots.get(slots.partition_point(|(own, ..)| *own < name)).filter(|(own, ..)| *own == name)?
            }
        };
        Some((usize::from(*slot), *who))
    }
}

/// An operand read where it stands.
pub(super) enum Read<'a> {
    /// It has this value.
    Value(&'a Value),
    /// It is absent.
    Absent,
    /// It does not stand anywhere as a value.
    Elsewhere,
}

/// The order of two values of one type. Sets are never compared.
#[inline]
pub(super) fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) | (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some(a.as_str().cmp(b.as_str())),
        _ => Term::of(a, None).order(Term::of(b, None)),
    }
}

/// The attributes of a thing that a question is about, found once.
///
/// - Law: [`Values::value`] is [`World::attribute`] of that thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    pub(super) kind: KindId,
    /// What the directory holds; empty if it holds nothing of it.
    stored: &'a [Option<Value>],
    /// What the request says.
    given: &'a [Option<Value>],
    /// Whether the directory holds it.
    held: bool,
    /// Whether it is `any KIND`.
    any: bool,
}

impl<'a> Values<'a> {
    /// The attributes of an entity, or of `any KIND`, of which the directory holds `stored` and the request says `given`.
    #[inline]
    pub(super) fn new(
        kind: KindId,
        any: bool,
        stored: Option<&'a [Option<Value>]>,
        given: Option<&'a Overlay>,
    ) -> Self {
        Values {
            kind,
            stored: stored.unwrap_or(&[]),
            given: given.map_or(&[], |overlay| &overlay.attributes),
            held: stored.is_some(),
            any,
        }
    }

    #[inline]
    fn value(&self, slot: usize, provenance: Provenance) -> Option<&'a Value> {
        let given = || self.given.get(slot).and_then(Option::as_ref);
        let own = || self.stored.get(slot).and_then(Option::as_ref);
        match (self.held, provenance) {
            (true, Provenance::Supplied) => given().or_else(own),
            (true, _) => own(),
            (false, Provenance::Stored) if !self.any => None,
            (false, _) => given(),
        }
    }
}

impl<'a> Term<'a> {
    /// A value, with the type of the record that it or its elements are.
    pub(super) fn of(value: &'a Value, record: Option<RecordId>) -> Term<'a> {
        match value {
            Value::Bool(v) => Term::Bool(*v),
            Value::Int(v) => Term::Int(*v),
            Value::Decimal(v) => Term::Decimal(*v),
            Value::String(v) => Term::Text(v),
            Value::Time(v) => Term::Time(*v),
            Value::Duration(v) => Term::Duration(*v),
            Value::TimeOfDay(v) => Term::TimeOfDay(*v),
            Value::Weekday(v) => Term::Weekday(*v),
            Value::Ip(v) => Term::Ip(*v),
            Value::Cidr(v) => Term::Cidr(*v),
            Value::Variant(e, v) => Term::Variant(*e, *v),
            Value::Entity(v) => Term::Thing(Thing::Entity(v)),
            Value::Set(v) => Term::Set(v, record),
            Value::Record(v) => Term::Record(v, record),
        }
    }

    /// A value read where its type is declared.
    fn declared(value: &'a Value, declared: Option<&Attribute>) -> Term<'a> {
        let record = match value {
            Value::Set(_) | Value::Record(_) => declared.and_then(|attribute| match &attribute.ty {
                Type::Record(record) => Some(*record),
                Type::Set(element) => match **element {
                    Type::Record(record) => Some(record),
                    _ => None,
                },
                _ => None,
            }),
            _ => None,
        };
        Term::of(value, record)
    }

    /// The entity it is.
    pub(super) fn entity(self) -> Option<&'a Entity> {
        match self {
            Term::Thing(Thing::Entity(entity)) => Some(entity),
            _ => None,
        }
    }

    /// Whether it has a value: all but the `any KIND` acted on.
    pub(super) fn is_value(self) -> bool {
        !matches!(self, Term::Thing(Thing::Any))
    }

    /// The order of two terms of one type; `None` when either has no value or they are of two types. Sets are never
    /// compared.
    pub(super) fn order(self, other: Term<'_>) -> Option<Ordering> {
        Some(match (self, other) {
            (Term::Bool(a), Term::Bool(b)) => a.cmp(&b),
            (Term::Int(a), Term::Int(b)) => a.cmp(&b),
            (Term::Decimal(a), Term::Decimal(b)) => a.cmp(&b),
            (Term::Text(a), Term::Text(b)) => a.cmp(b),
            (Term::Time(a), Term::Time(b)) => a.cmp(&b),
            (Term::Duration(a), Term::Duration(b)) => a.cmp(&b),
            (Term::TimeOfDay(a), Term::TimeOfDay(b)) => a.cmp(&b),
            (Term::Weekday(a), Term::Weekday(b)) => a.cmp(&b),
            (Term::Ip(a), Term::Ip(b)) => a.cmp(&b),
            (Term::Cidr(a), Term::Cidr(b)) => a.cmp(&b),
            (Term::Variant(e, a), Term::Variant(f, b)) => (e, a).cmp(&(f, b)),
            (Term::Thing(Thing::Entity(a)), Term::Thing(Thing::Entity(b))) => {
                a.kind.cmp(&b.kind).then_with(|| a.id.as_str().cmp(b.id.as_str()))
            }
            (Term::Set(a, _), Term::Set(b, _)) => a.cmp(b),
            (Term::Record(a, _), Term::Record(b, _)) => a.cmp(b),
            _ => return None,
        })
    }

    /// Whether both have a value and it is one.
    pub(super) fn equals(self, other: Term<'_>) -> bool {
        self.order(other) == Some(Ordering::Equal)
    }
}

impl<'a> Asking<'_, 'a> {
    /// What a term is; `None` when it is absent.
    pub(super) fn term(&self, operand: u32) -> Option<Term<'a>> {
        let vocabulary = self.world().vocabulary;
        let question = self.world().question;
        match &self.tree.operands[operand as usize] {
            Operand::Literal(value) => Some(Term::of(value, None)),
            Operand::Account => Some(Term::Thing(Thing::Entity(self.asker.entity))),
            Operand::Resource => Some(Term::Thing(self.resource())),
            Operand::Scope => {
                let scope = self.world().directory.scopes.get(question.scope?.index())?;
                Some(Term::Thing(Thing::Entity(&scope.entity)))
            }
            Operand::Context(slot) => {
                let slot = usize::from(*slot);
                let value = question.context.get(slot)?.as_ref()?;
                Some(Term::declared(value, vocabulary.context.get(slot)))
            }
            Operand::Property(name) => {
                let properties = &vocabulary.actions.get(question.action.index())?.properties;
                let slot = slot_of(properties, *name)?;
                Some(Term::declared(question.properties.get(slot)?.as_ref()?, properties.get(slot)))
            }
            Operand::Variable(depth) => self.variable(*depth),
            Operand::Attribute(of, name) => match self.tree.slots.plain[operand as usize] {
                Plain::Resource(name) => self.own(&self.resolved.rest.resource, name),
                Plain::Account(name) => self.own(&self.more().values, name),
                _ => self.attribute(self.term(*of)?, *name),
            },
            Operand::Parent(of, kind) => match self.term(*of)? {
                Term::Thing(thing) => {
                    let parent = self.world().parent(thing).filter(|parent| parent.kind == *kind)?;
                    Some(Term::Thing(Thing::Entity(parent)))
                }
                _ => None,
            },
            Operand::Id(of) => Some(Term::Text(&self.term(*of)?.entity()?.id)),
            Operand::Set(items) => Some(Term::List(items)),
            _ => self.computed(operand),
        }
    }

    /// What a term made of times is.
    fn computed(&self, operand: u32) -> Option<Term<'a>> {
        Some(match &self.tree.operands[operand as usize] {
            Operand::TimeOfDay(of) => match self.term(*of)? {
                Term::Time(at) => Term::TimeOfDay(at.rem_euclid(DAY)),
                _ => return None,
            },
            Operand::Weekday(of) => match self.term(*of)? {
                // 1970-01-01 was a Thursday.
                Term::Time(at) => Term::Weekday((at.div_euclid(DAY) + 3).rem_euclid(7) as u8),
                _ => return None,
            },
            Operand::Shift(of, by) => match self.term(*of)? {
                Term::Time(at) => Term::Time(at.saturating_add(*by).clamp(TIME_MIN, TIME_MAX)),
                Term::Duration(d) => Term::Duration(d.saturating_add(*by).clamp(-DURATION_MAX, DURATION_MAX)),
                _ => return None,
            },
            Operand::Difference(a, b) => match (self.term(*a)?, self.term(*b)?) {
                (Term::Time(a), Term::Time(b)) => Term::Duration(a.saturating_sub(b)),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// What an operand is, if that stands somewhere as a value.
    #[inline]
    pub(super) fn read(&self, operand: u32) -> Read<'a> {
        let value = match self.tree.slots.plain[operand as usize] {
            Plain::Literal => match &self.tree.operands[operand as usize] {
                Operand::Literal(value) => Some(value),
                _ => None,
            },
            Plain::No => return Read::Elsewhere,
            plain => self.plain(plain),
        };
        value.map_or(Read::Absent, Read::Value)
    }

    /// The value of an attribute or an entry of the context.
    #[inline]
    pub(super) fn plain(&self, plain: Plain) -> Option<&'a Value> {
        let (resource, context) = (&self.resolved.rest.resource, &self.world().question.context);
        self.tree.slots.value(plain, &self.more().values, resource, context)
    }

    /// An attribute of what is acted on, or of the account.
    fn own(&self, of: &Values<'a>, name: NameId) -> Option<Term<'a>> {
        let (slot, provenance) = self.tree.slots.find(of.kind, name)?;
        let value = of.value(slot, provenance)?;
        if !matches!(value, Value::Set(_) | Value::Record(_)) {
            return Some(Term::of(value, None));
        }
        let declarations = &self.world().vocabulary.kinds.get(of.kind.index())?.attributes;
        Some(Term::declared(value, declarations.get(slot)))
    }

    fn attribute(&self, of: Term<'a>, name: NameId) -> Option<Term<'a>> {
        let vocabulary = self.world().vocabulary;
        match of {
            Term::Thing(thing) => {
                let value = self.world().attribute(thing, name)?;
                if !matches!(value, Value::Set(_) | Value::Record(_)) {
                    return Some(Term::of(value, None));
                }
                let kind = match thing {
                    Thing::Entity(entity) => entity.kind,
                    Thing::Any => self.world().question.resource.kind,
                };
                let declarations = &vocabulary.kinds.get(kind.index())?.attributes;
                Some(Term::declared(
                    value,
                    slot_of(declarations, name).and_then(|slot| declarations.get(slot)),
                ))
            }
            Term::Record(values, record) => {
                let declarations = &vocabulary.records.get(record?.index())?.fields;
                let slot = slot_of(declarations, name)?;
                Some(Term::declared(values.get(slot)?.as_ref()?, declarations.get(slot)))
            }
            _ => None,
        }
    }

    /// Whether some element of a set passes. Not a set: none does.
    pub(super) fn any_element(&self, set: Term<'a>, mut passes: impl FnMut(Term<'a>) -> bool) -> bool {
        match set {
            Term::Set(values, record) => values.iter().any(|value| passes(Term::of(value, record))),
            Term::List(items) => {
                items.iter().any(|item| self.term(*item).is_some_and(|term| term.is_value() && passes(term)))
            }
            _ => false,
        }
    }

    /// Whether a set has an element.
    pub(super) fn has_element(&self, set: Term<'a>, element: Term<'a>) -> bool {
        match set {
            Term::Set(values, _) => {
                // Of one type, so that every element has an order with a term of that type.
                let found = values
                    .binary_search_by(|value| Term::of(value, None).order(element).unwrap_or(Ordering::Less));
                found.is_ok()
            }
            _ => self.any_element(set, |item| item.equals(element)),
        }
    }
}

fn slot_of(declarations: &[Attribute], name: NameId) -> Option<usize> {
    declarations.iter().position(|declaration| declaration.name == name)
}
