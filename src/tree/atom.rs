//! The smallest tests of a tree, [`Atom`], and the terms they look at, [`Operand`].
//!
//! Both are plain data in hash-consed tables: a number stands for a term or test wherever it occurs.

use crate::value::{Entity, KindId, NameId, Pattern, RoleId, Value};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A term: has a value, or is absent. The numbers are earlier operands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Operand {
    /// A literal.
    Literal(#[serde(with = "literal")] Value),
    /// The account decided for.
    Account,
    /// What is acted on.
    Resource,
    /// The scope of the request.
    Scope,
    /// An entry of the context.
    Context(u16),
    /// A property of the action.
    Property(NameId),
    /// The element that the quantifier at this depth looks at.
    Variable(u8),
    /// An attribute of an entity, or a field of a record.
    Attribute(u32, NameId),
    /// The direct parent, if it is of this kind.
    Parent(u32, KindId),
    /// The id as a String.
    Id(u32),
    /// The time of day of a Time.
    TimeOfDay(u32),
    /// The weekday of a Time.
    Weekday(u32),
    /// A set of these.
    Set(Vec<u32>),
    /// Moved by microseconds.
    Shift(u32, i64),
    /// From the second to the first.
    Difference(u32, u32),
}

impl Operand {
    /// The operands it looks at.
    pub(super) fn parts(&self) -> impl Iterator<Item = u32> + '_ {
        let (one, two, many): (Option<u32>, Option<u32>, &[u32]) = match self {
            Operand::Literal(_)
            | Operand::Account
            | Operand::Resource
            | Operand::Scope
            | Operand::Context(_)
            | Operand::Property(_)
            | Operand::Variable(_) => (None, None, &[]),
            Operand::Attribute(a, _)
            | Operand::Parent(a, _)
            | Operand::Id(a)
            | Operand::TimeOfDay(a)
            | Operand::Weekday(a)
            | Operand::Shift(a, _) => (Some(*a), None, &[]),
            Operand::Difference(a, b) => (Some(*a), Some(*b), &[]),
            Operand::Set(items) => (None, None, items),
        };
        one.into_iter().chain(two).chain(many.iter().copied())
    }
}

/// How two terms are compared; the others are these, turned round or denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Comparison {
    /// Both there and equal.
    Equal,
    /// Both there and different.
    Different,
    /// Both there, the first below the second.
    Less,
    /// Both there, the first not above the second.
    LessOrEqual,
}

impl Comparison {
    /// Whether it holds between two terms of this order.
    #[inline]
    pub(super) fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order == Ordering::Equal,
            Comparison::Different => order != Ordering::Equal,
            Comparison::Less => order == Ordering::Less,
            Comparison::LessOrEqual => order != Ordering::Greater,
        }
    }
}

/// A smallest test: yes or no. An absent term makes it no.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Atom {
    /// A Bool term is true.
    True(u32),
    /// Two terms compared.
    Compare(Comparison, u32, u32),
    /// The first is an element of the second.
    InSet(u32, u32),
    /// An address lies in a network.
    InNetwork(u32, u32),
    /// A member of a group.
    InGroup(u32, u32),
    /// At or below.
    Within(u32, u32),
    /// Has every element of the second.
    ContainsAll(u32, u32),
    /// Has some element of the second.
    ContainsAny(u32, u32),
    /// Has no element.
    IsEmpty(u32),
    /// Matches a pattern.
    Matches(u32, Box<Pattern>),
    /// Is there, and what it names is known.
    Exists(u32),
    /// Is of a kind.
    IsKind(u32, KindId),
    /// The account holds a role.
    HasRole(RoleId),
    /// The scope of the request lies at or below a node of this kind.
    AtKind(KindId),
    /// The same, that node being strictly below the thing with this symbol.
    AtKindBelow(KindId, u32),
    /// One of a list of head items fits.
    Listed(u32),
    /// An element, or (`all`) every one, satisfies a body.
    Quantifier {
        /// Every one.
        all: bool,
        /// The set.
        set: u32,
        /// Which variable stands for the element: how many quantifiers are around it.
        depth: u8,
        /// Index into `bodies`.
        body: u32,
    },
}

impl Atom {
    /// The operands it looks at.
    pub(super) fn operands(&self) -> [Option<u32>; 2] {
        match self {
            Atom::True(a) | Atom::IsEmpty(a) | Atom::Matches(a, _) | Atom::Exists(a) | Atom::IsKind(a, _) => {
                [Some(*a), None]
            }
            Atom::Quantifier { set, .. } => [Some(*set), None],
            Atom::Compare(_, a, b)
            | Atom::InSet(a, b)
            | Atom::InNetwork(a, b)
            | Atom::InGroup(a, b)
            | Atom::Within(a, b)
            | Atom::ContainsAll(a, b)
            | Atom::ContainsAny(a, b) => [Some(*a), Some(*b)],
            Atom::HasRole(_) | Atom::AtKind(_) | Atom::AtKindBelow(..) | Atom::Listed(_) => [None, None],
        }
    }

    /// What asking it costs, roughly; a quantifier more than all it may ask.
    pub(super) fn cost(&self) -> u32 {
        match self {
            Atom::IsKind(..) | Atom::True(_) | Atom::Compare(..) | Atom::IsEmpty(_) => 0,
            Atom::Exists(_) | Atom::AtKind(_) => 0,
            Atom::InNetwork(..) | Atom::Matches(..) => 1,
            Atom::InSet(..) | Atom::AtKindBelow(..) | Atom::InGroup(..) | Atom::Within(..) => 2,
            Atom::ContainsAny(..) | Atom::ContainsAll(..) | Atom::Listed(_) => 3,
            Atom::HasRole(_) => 4,
            Atom::Quantifier { depth, .. } => 1_000 - u32::from(*depth),
        }
    }
}

/// Literals are stored without nesting, so that reading a file never recurses into them.
mod literal {
    use super::*;
    use crate::value::{Cidr, EnumId};
    use serde::{Deserializer, Serializer, de, ser};
    use smol_str::SmolStr;
    use std::net::IpAddr;

    #[derive(Serialize, Deserialize)]
    enum Scalar {
        Bool(bool),
        Int(i64),
        Decimal(i64),
        String(SmolStr),
        Time(i64),
        Duration(i64),
        TimeOfDay(i64),
        Weekday(u8),
        Ip(IpAddr),
        Cidr(Cidr),
        Variant(EnumId, u16),
        Entity(Entity),
    }

    #[derive(Serialize, Deserialize)]
    enum Stored {
        One(Scalar),
        Set(Vec<Scalar>),
    }

    fn flat(value: &Value) -> Option<Scalar> {
        Some(match value {
            Value::Bool(v) => Scalar::Bool(*v),
            Value::Int(v) => Scalar::Int(*v),
            Value::Decimal(v) => Scalar::Decimal(*v),
            Value::String(v) => Scalar::String(v.clone()),
            Value::Time(v) => Scalar::Time(*v),
            Value::Duration(v) => Scalar::Duration(*v),
            Value::TimeOfDay(v) => Scalar::TimeOfDay(*v),
            Value::Weekday(v) => Scalar::Weekday(*v),
            Value::Ip(v) => Scalar::Ip(*v),
            Value::Cidr(v) => Scalar::Cidr(*v),
            Value::Variant(e, v) => Scalar::Variant(*e, *v),
            Value::Entity(v) => Scalar::Entity(v.clone()),
            Value::Set(_) | Value::Record(_) => return None,
        })
    }

    fn full(scalar: Scalar) -> Option<Value> {
        Some(match scalar {
            Scalar::Bool(v) => Value::Bool(v),
            Scalar::Int(v) => Value::Int(v),
            Scalar::Decimal(v) => Value::Decimal(v),
            Scalar::String(v) => Value::String(v),
            Scalar::Time(v) => Value::Time(v),
            Scalar::Duration(v) => Value::Duration(v),
            Scalar::TimeOfDay(v) => Value::TimeOfDay(v),
            Scalar::Weekday(v) => Value::Weekday(v),
            Scalar::Ip(v) => Value::Ip(v),
            Scalar::Cidr(v) => {
                let most = if v.network.is_ipv4() { 32 } else { 128 };
                return (v.prefix <= most).then_some(Value::Cidr(v));
            }
            Scalar::Variant(e, v) => Value::Variant(e, v),
            Scalar::Entity(v) => Value::Entity(v),
        })
    }

    pub(super) fn serialize<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
        let nested = || ser::Error::custom("a literal is a scalar or a set of scalars");
        let stored = match value {
            Value::Set(items) => {
                Stored::Set(items.iter().map(flat).collect::<Option<_>>().ok_or_else(nested)?)
            }
            one => Stored::One(flat(one).ok_or_else(nested)?),
        };
        stored.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        let value = match Stored::deserialize(deserializer)? {
            Stored::One(scalar) => full(scalar),
            Stored::Set(items) => items.into_iter().map(full).collect::<Option<Vec<_>>>().map(Value::set),
        };
        value.ok_or_else(|| de::Error::custom("a network's prefix is too long"))
    }
}
