//! One pass over a text: what each value of it is cut into.
//!
//! In:    a text, through the reader of serde_json.
//! Out:   keys and values as slices of it.
//! Law:   the grammar of what is passed over is checked; of values nothing is opened.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// Reads an object without keeping it.
pub(super) struct Members<'a, F> {
    see: F,
    of: PhantomData<&'a ()>,
}

impl<F> Members<'_, F> {
    /// Calls `see` with each key and value.
    pub(super) fn new(see: F) -> Self {
        Members { see, of: PhantomData }
    }
}

impl<'de: 'a, 'a, F: FnMut(&'a RawValue, &'a RawValue)> DeserializeSeed<'de> for Members<'a, F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de: 'a, 'a, F: FnMut(&'a RawValue, &'a RawValue)> Visitor<'de> for Members<'a, F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<&'de RawValue, &'de RawValue>()? {
            (self.see)(key, value);
        }
        Ok(())
    }
}

/// Reads an array without keeping it.
pub(super) struct Elements<'a, F> {
    see: F,
    of: PhantomData<&'a ()>,
}

impl<F> Elements<'_, F> {
    /// Calls `see` with each element.
    pub(super) fn new(see: F) -> Self {
        Elements { see, of: PhantomData }
    }
}

impl<'de: 'a, 'a, F: FnMut(&'a RawValue)> DeserializeSeed<'de> for Elements<'a, F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de: 'a, 'a, F: FnMut(&'a RawValue)> Visitor<'de> for Elements<'a, F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element::<&'de RawValue>()? {
            (self.see)(raw);
        }
        Ok(())
    }
}

#[cfg(feature = "server")]
pub(super) use objects::objects_in;

#[cfg(feature = "server")]
mod objects {
    use super::super::{Json, Member};
    use super::*;
    use serde::de::Error;

    /// An object and its members.
    type Object<'a> = (Json<'a>, Vec<Member<'a>>);

    /// See [`Json::objects_in`].
    pub(in super::super) fn objects_in<'a>(
        text: &'a str,
        field: &str,
        most: usize,
    ) -> Option<Vec<Object<'a>>> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let all = Field { field, objects: Objects { text, most } }.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(all)
    }

    /// Said of what isn't read here; nobody is told.
    fn other<E: Error>() -> E {
        E::custom("another text")
    }

    /// Reads an object with one field.
    struct Field<'a, 'f> {
        field: &'f str,
        objects: Objects<'a>,
    }

    impl<'de> DeserializeSeed<'de> for Field<'de, '_> {
        type Value = Vec<Object<'de>>;
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_map(self)
        }
    }

    impl<'de> Visitor<'de> for Field<'de, '_> {
        type Value = Vec<Object<'de>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an object with the field `{}`", self.field)
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let key = map.next_key::<&'de RawValue>()?.map(|key| Json::within(self.objects.text, 0, key));
            if key.and_then(Json::string).as_deref() != Some(self.field) {
                return Err(other());
            }
            let all = map.next_value_seed(self.objects)?;
            if map.next_key::<&'de RawValue>()?.is_none() { Ok(all) } else { Err(other()) }
        }
    }

    /// Reads an array of objects.
    struct Objects<'a> {
        text: &'a str,
        most: usize,
    }

    impl<'de> DeserializeSeed<'de> for Objects<'de> {
        type Value = Vec<Object<'de>>;
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_seq(self)
        }
    }

    impl<'de> Visitor<'de> for Objects<'de> {
        type Value = Vec<Object<'de>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of objects")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let of = Json { text: self.text, at: 0 };
            let mut all = Vec::new();
            loop {
                let (mut members, mut whole) = (Vec::with_capacity(8), true);
                let seen = |key, value| match Member::within(of, key, value) {
                    Some(member) => members.push(member),
                    None => whole = false,
                };
                if seq.next_element_seed(Members::new(seen))?.is_none() {
                    return if all.is_empty() { Err(other()) } else { Ok(all) };
                }
                let json = braced(self.text, &members).filter(|_| whole && all.len() < self.most);
                all.push((json.ok_or_else(other)?, members));
            }
        }
    }

    /// The object of a text that has these members: what stands between them and its braces is space.
    fn braced<'a>(text: &'a str, members: &[Member<'_>]) -> Option<Json<'a>> {
        let start = text[..members.first()?.written.at].rfind('{')?;
        let end = members.last()?.value.end();
        let end = end + text[end..].find('}')? + 1;
        Some(Json { text: &text[start..end], at: start })
    }
}
