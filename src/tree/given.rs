//! A value as it stands in a request's text: [`Given`], checked against its type, not copied.
//!
//! In:    a [`Text`] and the type that is declared for it; or a [`Value`] that the set or the directory holds.
//! Out:   [`Given`]; or `None` for what is not usual, wrong or not.
//! Law:   what is taken here, the other doors take; two of them are equal, and ordered, as the [`Value`]s they stand for.

use super::atom::Comparison;
use crate::check::program::Vocabulary;
use crate::request::text::{Text, TextEntity};
use crate::request::{Print, SlotType, Words, same};
use crate::value::{self, Cidr, EnumId, KindId, Value};
use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr};

/// Longer texts than this are not usual.
const TEXT_BYTES: usize = 128;
/// Larger sets than this are not usual. (Both keep what is taken below the limit on a request's size.)
const SET_ELEMENTS: usize = 16;

/// Something that is not compared here.
#[derive(Clone, Copy)]
pub(super) struct Far;

/// A value, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given<'q> {
    /// None.
    Absent,
    Bool(bool),
    Int(i64),
    Time(i64),
    Text(&'q str),
    Ip(IpAddr),
    Cidr(Cidr),
    Variant(EnumId, u16),
    Entity(KindId, &'q str),
    /// A set of texts, in any order, some perhaps more than once.
    Texts(&'q [&'q str]),
    /// A set of values, sorted.
    Set(&'q [Value]),
}

/// An id that every door takes.
#[inline(always)]
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && is_text(text)
}

/// A string that every door takes.
#[inline(always)]
fn is_text(text: &str) -> bool {
    (Print::of(text).is_ascii() && text.len() <= Print::BYTES) || is_long_text(text)
}

#[inline(never)]
fn is_long_text(text: &str) -> bool {
    text.len() <= TEXT_BYTES && value::check_string(text).is_ok()
}

impl<'q> Given<'q> {
    /// A value that is held somewhere.
    #[inline]
    pub(super) fn of(value: &'q Value) -> Result<Given<'q>, Far> {
        Ok(match value {
            Value::Bool(v) => Given::Bool(*v),
            Value::Int(v) => Given::Int(*v),
            Value::Time(v) => Given::Time(*v),
            Value::String(v) => Given::Text(v),
            Value::Ip(v) => Given::Ip(*v),
            Value::Cidr(v) => Given::Cidr(*v),
            Value::Variant(of, v) => Given::Variant(*of, *v),
            Value::Entity(v) => Given::Entity(v.kind, &v.id),
            Value::Set(v) => Given::Set(v),
            _ => return Err(Far),
        })
    }

    /// A value given as text.
    #[inline(always)]
    pub(super) fn read(
        text: &Text<'q>,
        ty: SlotType,
        words: &Words,
        vocabulary: &Vocabulary,
    ) -> Option<Given<'q>> {
        match (text, ty) {
            (Text::One(text), SlotType::Int) => Some(Given::Int(int(text)?)),
            (Text::One(text), SlotType::Bool) => match *text {
                "true" => Some(Given::Bool(true)),
                "false" => Some(Given::Bool(false)),
                _ => None,
            },
            (Text::One(text), SlotType::String) => is_text(text).then_some(Given::Text(text)),
            (Text::One(text), SlotType::Ip) => Some(Given::Ip(ip(text)?)),
            (Text::Entity(entity), SlotType::Ref(kind)) => entity_of(*entity, kind, words),
            (Text::Many(texts), SlotType::Strings) => {
                let fits = texts.len() <= SET_ELEMENTS && texts.iter().all(|text| is_text(text));
                fits.then_some(Given::Texts(texts))
            }
            (Text::One(text), _) if text.len() <= TEXT_BYTES => Given::rare(text, ty, vocabulary),
            _ => None,
        }
    }

    #[cold]
    fn rare(text: &'q str, ty: SlotType, vocabulary: &Vocabulary) -> Option<Given<'q>> {
        Some(match ty {
            SlotType::Time => Given::Time(value::parse_time(text).ok()?),
            SlotType::Cidr => Given::Cidr(value::parse_cidr(text).ok()?),
            SlotType::Enum(id) => {
                let variants = &vocabulary.enums.get(id.index())?.variants;
                Given::Variant(id, variants.iter().position(|(_, wire)| wire == text)? as u16)
            }
            _ => return None,
        })
    }

    /// The order of two values of one type; `None` for sets, and for what is of two types or absent.
    #[inline]
    pub(super) fn order(self, other: Given<'_>) -> Option<Ordering> {
        Some(match (self, other) {
            (Given::Int(a), Given::Int(b)) | (Given::Time(a), Given::Time(b)) => a.cmp(&b),
            (Given::Text(a), Given::Text(b)) => a.cmp(b),
            (Given::Bool(a), Given::Bool(b)) => a.cmp(&b),
            (Given::Ip(a), Given::Ip(b)) => a.cmp(&b),
            (Given::Cidr(a), Given::Cidr(b)) => a.cmp(&b),
            (Given::Variant(e, a), Given::Variant(f, b)) => (e, a).cmp(&(f, b)),
            (Given::Entity(kind, a), Given::Entity(other, b)) => kind.cmp(&other).then_with(|| a.cmp(b)),
            _ => return None,
        })
    }

    /// Whether two values compare so; an absent one doesn't.
    #[inline]
    pub(super) fn compares(self, comparison: Comparison, other: Given<'_>) -> Result<bool, Far> {
        match (comparison, self, other) {
            (Comparison::Equal, Given::Text(a), Given::Text(b)) => Ok(same(a, b)),
            (Comparison::Equal, Given::Entity(a, one), Given::Entity(b, other)) => {
                Ok(a == b && same(one, other))
            }
            (_, Given::Texts(_) | Given::Set(_), _) | (_, _, Given::Texts(_) | Given::Set(_)) => Err(Far),
            _ => Ok(self.order(other).is_some_and(|order| comparison.holds(order))),
        }
    }

    /// Whether a set has an element.
    #[inline]
    pub(super) fn has(self, element: Given<'_>) -> Result<bool, Far> {
        match (self, element) {
            (Given::Texts(texts), Given::Text(text)) => Ok(texts.iter().any(|own| same(own, text))),
            (Given::Texts(_), Given::Absent) | (Given::Absent, _) => Ok(false),
            (Given::Set(values), element) => {
                for value in values {
                    if Given::of(value)?.compares(Comparison::Equal, element)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => Err(Far),
        }
    }
}

/// A reference to a thing of a kind.
#[inline(always)]
fn entity_of<'q>(entity: TextEntity<'q>, kind: KindId, words: &Words) -> Option<Given<'q>> {
    let fits = words.kind(entity.kind) == Some(kind) && is_id(entity.id);
    fits.then_some(Given::Entity(kind, entity.id))
}

/// Reads an `Int`.
#[inline(always)]
fn int(text: &str) -> Option<i64> {
    /// Numbers of so many digits fit.
    const DIGITS: usize = 18;
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        all => (false, all),
    };
    if digits.is_empty() || digits.len() > DIGITS {
        return if text.len() <= TEXT_BYTES { value::parse_int(text).ok() } else { None };
    }
    let (mut number, mut wrong) = (0i64, false);
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        wrong |= digit > 9;
        // What is wrong may run over; what isn't has few enough digits.
        number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
    }
    (!wrong).then_some(if negative { -number } else { number })
}

/// Reads an `Ip`.
#[inline(always)]
fn ip(text: &str) -> Option<IpAddr> {
    match ipv4(text.as_bytes()) {
        Some(address) => Some(IpAddr::V4(address)),
        None if text.len() <= TEXT_BYTES => value::parse_ip(text).ok(),
        None => None,
    }
}

/// Reads four numbers up to 255 with dots between them, if that takes eight bytes or more. Where the dots are can't be
/// foretold, so nothing branches on it: the whole text is taken apart as one number.
#[inline(always)]
fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    /// `255.255.255.255`
    const BYTES: usize = 15;
    const ONES: u128 = u128::MAX / 255;
    /// By how many digits a number has: the least that is written so.
    const LEAST: [u32; 4] = [0, 0, 10, 100];
    let len = bytes.len();
    if len > BYTES {
        return None;
    }
    let (first, last) = (u64::from_le_bytes(*bytes.first_chunk()?), u64::from_le_bytes(*bytes.last_chunk()?));
    let text = u128::from(first) | u128::from(last) << (8 * (len - 8)) | u128::from(b'.') << (8 * len);
    // In ASCII no byte carries over into the next one.
    let mut dots = !((text ^ (ONES * u128::from(b'.'))) + ONES * 0x7f) & (ONES * 0x80);
    let digits = text ^ (ONES * u128::from(b'0'));
    let (mut address, mut start, mut wrong) = (0, 0, text & (ONES * 0x80) != 0);
    for _ in 0..4 {
        let end = dots.trailing_zeros() / 8;
        let count = end.wrapping_sub(start);
        wrong |= !(1..=3).contains(&count);
        // The digits in the upper bytes, the last one uppermost.
        let number =
            ((digits >> ((8 * start) & 127)) as u32) << (4u32.wrapping_sub(count).wrapping_mul(8) & 31);
        wrong |= (number & 0x7f7f_7f7f).wrapping_add(0x7676_7676) & 0x8080_8080 != 0;
        let number = (number >> 8 & 0xff) * 100 + (number >> 16 & 0xff) * 10 + (number >> 24);
        wrong |= number > 255 || number < LEAST[count as usize & 3];
        address = address << 8 | number & 0xff;
        start = end + 1;
        dots &= dots.wrapping_sub(1);
    }
    (!wrong & (dots == 0)).then(|| Ipv4Addr::from_bits(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_addresses_are_read_as_elsewhere(text in "[-+0-9]{0,20}", dotted in "[0-9.]{0,17}", address: u32, v6: u128) {
            prop_assert_eq!(int(&text), value::parse_int(&text).ok());
            let address = Ipv4Addr::from_bits(address).to_string();
            for text in [dotted, address.clone(), format!("0{address}"), address.replace('.', ":"), format!("::{address}")] {
                prop_assert_eq!(ip(&text), value::parse_ip(&text).ok(), "{}", text);
            }
            let v6 = std::net::Ipv6Addr::from_bits(v6).to_string();
            prop_assert_eq!(ip(&v6), value::parse_ip(&v6).ok());
        }
    }

    #[test]
    fn numbers_and_addresses_at_their_edges() {
        for text in [
            "",
            "-",
            "--1",
            "-0",
            "007",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
        ] {
            assert_eq!(int(text), value::parse_int(text).ok(), "{text}");
        }
        for text in [
            "",
            ".",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.",
            ".1.2.3",
            "1..2.3",
            "256.1.1.1",
            "01.1.1.1",
            "0.0.0.0",
            "255.255.255.255",
            "1.2.3.4/8",
            "1.2.3.0004",
            "00.0.0.0",
        ] {
            assert_eq!(ip(text), value::parse_ip(text).ok(), "{text}");
        }
    }

    #[test]
    fn texts_are_held_against_the_normal_form() {
        let long = "a".repeat(TEXT_BYTES);
        for (text, taken) in
            [("", true), ("é", true), ("e\u{301}", false), (&long, true), (&format!("{long}a"), false)]
        {
            assert_eq!(is_text(text), taken, "{text}");
        }
        assert!(!is_id("") && is_id("a"));
        assert!(!is_text("aaaaaaaae\u{301}aaaaaaaa"), "in the middle");
    }
}
