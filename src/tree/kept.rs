//! Values that stand with a question: [`Kept`], what tests ask of most, copied so that few fetch it from elsewhere.
//!
//! In:    the values of an account, of what is acted on and of the context; [`Seats`], which of them a tree's tests ask for.
//! Out:   [`Kept`] by seat.
//! Law:   what is kept is what [`Asking::plain`](super::request::Asking::plain) says; of no rule anything is known here.

use super::quick::Quick;
use super::term::Plain;
use crate::value::{Entity, Value};
use rustc_hash::{FxHashMap, FxHasher};
use std::cmp::Reverse;
use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr};

/// Values that stand with a question.
pub(super) const SEATS: usize = 7;

/// What stands in each seat, in the order in which tests ask for it most.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Vec<Plain>);

/// A value in sixteen bytes, or where it stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Kept<'a> {
    /// Nothing is known of it here.
    #[default]
    Elsewhere,
    Absent,
    Bool(bool),
    Int(i64),
    Ip(Ipv4Addr),
    /// A text, an entity or a set, with its print.
    Printed(Print, &'a Value),
    /// Any other.
    Value(&'a Value),
}

const _: () = assert!(size_of::<Kept>() == 16);

/// Bits of a text or an entity, and of all elements of a set: where two have none in common, the two differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Print(u32);

impl Print {
    /// Of one that anything may be.
    pub(super) const NONE: Print = Print(0);

    fn of_text(kind: u16, text: &str) -> Print {
        let mut hasher = FxHasher::default();
        hasher.write(text.as_bytes());
        hasher.write_u16(kind);
        let hash = hasher.finish().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        Print(1 << (hash & 31) | 1 << (hash >> 5 & 31))
    }

    /// Of an entity.
    pub(super) fn of_entity(entity: &Entity) -> Print {
        Print::of_text(entity.kind.0, &entity.id)
    }

    /// Of a value; [`Print::NONE`] of one that is neither text nor entity, or of a set in which such a one is.
    pub(super) fn of(value: &Value) -> Print {
        match value {
            Value::String(text) => Print::of_text(u16::MAX, text),
            Value::Entity(entity) => Print::of_entity(entity),
            _ => Print::NONE,
        }
    }

    /// Of a set, unless something in it has no print.
    fn of_set(values: &[Value]) -> Option<Print> {
        values.iter().try_fold(Print::NONE, |all, value| match Print::of(value) {
            Print::NONE => None,
            print => Some(Print(all.0 | print.0)),
        })
    }

    /// Whether something with this print may be, or have, something with that one.
    #[inline(always)]
    pub(super) fn may(self, other: Print) -> bool {
        self.0 & other.0 == other.0
    }
}

impl<'a> Kept<'a> {
    /// A value, if there is one.
    pub(super) fn of(value: Option<&'a Value>) -> Kept<'a> {
        match value {
            None => Kept::Absent,
            Some(Value::Bool(v)) => Kept::Bool(*v),
            Some(Value::Int(v)) => Kept::Int(*v),
            Some(Value::Ip(IpAddr::V4(v))) => Kept::Ip(*v),
            Some(value @ (Value::String(_) | Value::Entity(_))) => Kept::Printed(Print::of(value), value),
            Some(value @ Value::Set(set)) => match Print::of_set(set) {
                Some(print) => Kept::Printed(print, value),
                None => Kept::Value(value),
            },
            Some(value) => Kept::Value(value),
        }
    }
}

impl Seats {
    /// Gives seats to what tests ask for most, and tells the tests.
    pub(super) fn give(quick: &mut [Quick]) -> Seats {
        // How often, and where first.
        let mut asked: FxHashMap<Plain, (usize, usize)> = FxHashMap::default();
        for (n, quick) in quick.iter().enumerate().filter(|(_, quick)| quick.of != Plain::No) {
            asked.entry(quick.of).or_insert((0, n)).0 += 1;
        }
        let mut asked: Vec<_> = asked.into_iter().collect();
        asked.sort_unstable_by_key(|(_, (times, first))| (Reverse(*times), *first));
        let seats = Seats(asked.into_iter().take(SEATS).map(|(of, _)| of).collect());
        for quick in quick {
            quick.seat = seats.0.iter().position(|of| *of == quick.of).unwrap_or(SEATS) as u8;
        }
        seats
    }

    /// What stands in the seats, read by `value`.
    pub(super) fn filled<'a>(&self, value: impl Fn(Plain) -> Option<&'a Value>) -> [Kept<'a>; SEATS] {
        let mut kept = [Kept::Elsewhere; SEATS];
        kept.iter_mut().zip(&self.0).for_each(|(kept, of)| *kept = Kept::of(value(*of)));
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::KindId;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let id = "[a-c]{1,2}";
        prop_oneof![
            id.prop_map(|text| Value::String(text.into())),
            (0..2u16, id).prop_map(|(kind, id)| Value::Entity(Entity { kind: KindId(kind), id: id.into() })),
            (0..3i64).prop_map(Value::Int),
        ]
    }

    proptest! {
        #[test]
        fn prints_deny_only_what_differs(elements in prop::collection::vec(value(), 0..5), other in value()) {
            let set = Value::set(elements.clone());
            match Kept::of(Some(&set)) {
                Kept::Printed(print, _) => {
                    prop_assert!(print.may(Print::of(&other)) || !elements.contains(&other));
                }
                kept => {
                    prop_assert!(matches!(kept, Kept::Value(_)));
                    prop_assert!(elements.iter().any(|element| Print::of(element) == Print::NONE));
                }
            }
            for element in &elements {
                prop_assert!(*element != other || Print::of(element).may(Print::of(&other)));
            }
        }
    }

    #[test]
    fn prints_tell_texts_apart() {
        let print = |n: u32| Print::of(&Value::String(format!("l{n}").into()));
        let alike =
            (0..40).flat_map(|a| (0..a).map(move |b| print(a).may(print(b)))).filter(|may| *may).count();
        assert!(alike < 40 * 39 / 2 / 20, "{alike}");
    }
}
