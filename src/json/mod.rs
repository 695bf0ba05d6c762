//! A JSON reader that keeps what matters here: where each value stands, repeated keys, numbers as text.
//!
//! In:    a text. [`Json::parse`] checks its grammar once; after that a value is a slice, opened when asked for.
//! Out:   [`Json`], and [`Mistakes`]: what doesn't fit, with its place and its path (`resource.attributes.owner`).
//! Law:   no tree is built and nothing recurses with the text: depth follows what the reader asks for.

mod passes;
mod values;

pub use values::Wire;
pub(crate) use values::{id_text, required, text};

use crate::diagnostic::nearest;
use passes::{Elements, Members};
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// One JSON value: its text and the byte where it starts.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a> {
    /// Its text, without space around it.
    pub text: &'a str,
    /// The offset of its first byte in the whole text.
    pub at: usize,
}

/// A member of an object.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// The key, escapes resolved.
    pub key: Cow<'a, str>,
    /// The key as written.
    pub written: Json<'a>,
    /// The value.
    pub value: Json<'a>,
}

/// The sort of a JSON value, known from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `null`
    Null,
    /// `true`, `false`
    Bool,
    /// A number
    Number,
    /// A string
    String,
    /// An array
    Array,
    /// An object
    Object,
}

impl Shape {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Null => "null",
            Shape::Bool => "a boolean",
            Shape::Number => "a number",
            Shape::String => "a string",
            Shape::Array => "an array",
            Shape::Object => "an object",
        }
    }
}

/// Why a text is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotJson {
    /// What is wrong.
    pub message: String,
    /// The byte where reading stopped.
    pub at: usize,
}

impl NotJson {
    /// What is wrong, and where in `text`: the line is told if there are several.
    pub fn in_text(&self, text: &str) -> String {
        let before = &text[..self.at];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let column = before[line_start..].chars().count() + 1;
        let line = before.matches('\n').count() + 1;
        let place = match text.contains('\n') {
            true => format!("line {line}, column {column}"),
            false => format!("column {column}"),
        };
        format!("{} at {place}", self.message)
    }
}

/// What a reader says, in the words of people who don't write readers.
fn in_words(said: &str) -> String {
    match said {
        "expected value" | "expected ident" => "expected a value".to_owned(),
        "trailing characters" => "expected nothing more".to_owned(),
        "trailing comma" => "a comma with nothing after it".to_owned(),
        "key must be a string" => "expected a key in double quotes".to_owned(),
        _ if said.starts_with("EOF while parsing") => "it ends too early".to_owned(),
        _ => said.to_owned(),
    }
}

/// What sort of mistake a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MistakeKind {
    /// A field that is unknown or repeated.
    Field,
    /// A field that is missing.
    Missing,
    /// A value of the wrong type.
    Type,
    /// A name of something that does not exist.
    Unknown,
    /// Something sits in itself.
    Cycle,
    /// It contradicts the vocabulary.
    Contradiction,
}

/// One thing that doesn't fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What sort.
    pub kind: MistakeKind,
    /// The path of the value, such as `resource.attributes.owner`; empty for the whole.
    pub field: String,
    /// First byte of the place to mend.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Mistakes found so far.
pub type Mistakes = Vec<Mistake>;

/// Where a value stands, as a chain that is only written out when something is wrong.
#[derive(Clone, Copy, Debug)]
pub enum Path<'p> {
    /// The whole text.
    Root,
    /// A field.
    Field(&'p Path<'p>, &'p str),
    /// An element, from 0.
    Element(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => write!(f, "{name}"),
            Path::Field(above, name) => write!(f, "{above}.{name}"),
            Path::Element(above, n) => write!(f, "{above}[{n}]"),
        }
    }
}

impl<'a> Json<'a> {
    /// Checks that a text is one JSON value.
    pub fn parse(text: &'a str) -> Result<Json<'a>, NotJson> {
        match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) => Ok(Json::within(text, 0, raw)),
            Err(error) => {
                let line_start = match error.line() {
                    0 | 1 => 0,
                    n => text.match_indices('\n').nth(n - 2).map_or(0, |(i, _)| i + 1),
                };
                let mut at = (line_start + error.column().saturating_sub(1)).min(text.len());
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                let said = error.to_string();
                let message = in_words(said.split(" at line ").next().unwrap_or(&said));
                Err(NotJson { message, at })
            }
        }
    }

    /// A raw value as a part of a text that starts at `base`.
    fn within(text: &str, base: usize, raw: &'a RawValue) -> Json<'a> {
        let offset = (raw.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        Json { text: raw.get(), at: base + offset }
    }

    /// One past its last byte.
    pub fn end(self) -> usize {
        self.at + self.text.len()
    }

    /// What sort of value it is.
    pub fn shape(self) -> Shape {
        match self.text.as_bytes().first() {
            Some(b'{') => Shape::Object,
            Some(b'[') => Shape::Array,
            Some(b'"') => Shape::String,
            Some(b't' | b'f') => Shape::Bool,
            Some(b'n') | None => Shape::Null,
            Some(_) => Shape::Number,
        }
    }

    /// The value, unless it is `null`.
    pub fn present(self) -> Option<Json<'a>> {
        (self.shape() != Shape::Null).then_some(self)
    }

    /// A string's text, escapes resolved.
    pub fn string(self) -> Option<Cow<'a, str>> {
        let inside = self.text.strip_prefix('"')?.strip_suffix('"')?;
        if inside.contains('\\') {
            serde_json::from_str::<String>(self.text).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(inside))
        }
    }

    /// An object's members in order, repeated ones too; `None` for another value or a key that is no Unicode.
    pub fn members(self) -> Option<Vec<Member<'a>>> {
        let mut reader = serde_json::Deserializer::from_str(self.text);
        let (mut members, mut whole) = (Vec::with_capacity(8), true);
        let seen = |key, value| match Member::within(self, key, value) {
            Some(member) => members.push(member),
            None => whole = false,
        };
        Members::new(seen).deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        whole.then_some(members)
    }

    /// Reads a text that is an object, in one pass; its members are `None` if it is JSON and no object.
    pub fn object(text: &'a str) -> Result<(Json<'a>, Option<Vec<Member<'a>>>), NotJson> {
        let inside = text.trim_start_matches([' ', '\t', '\n', '\r']);
        let json =
            Json { text: inside.trim_end_matches([' ', '\t', '\n', '\r']), at: text.len() - inside.len() };
        match json.members() {
            Some(members) => Ok((json, Some(members))),
            None => Ok((Json::parse(text)?, None)),
        }
    }

    /// The elements of the array in `{"field": […]}`, each with its members, if the text is that, and they are 1 to `most` objects that
    /// aren't empty; read in one pass. `None` is said of any other text, also of one that is no JSON: [`Json::object`] says what it is.
    #[cfg(feature = "server")]
    pub fn objects_in(text: &'a str, field: &str, most: usize) -> Option<Vec<(Json<'a>, Vec<Member<'a>>)>> {
        passes::objects_in(text, field, most)
    }

    /// Calls `see` with each element of an array; false for another value.
    pub fn each(self, mut see: impl FnMut(usize, Json<'a>)) -> bool {
        let mut reader = serde_json::Deserializer::from_str(self.text);
        let mut n = 0;
        let seen = |raw: &'a RawValue| {
            see(n, Json::within(self.text, self.at, raw));
            n += 1;
        };
        Elements::new(seen).deserialize(&mut reader).is_ok()
    }

    /// A mistake at this value.
    pub fn mistake(self, kind: MistakeKind, path: &Path<'_>, message: impl Into<String>) -> Mistake {
        Mistake {
            kind,
            field: path.to_string(),
            start: self.at,
            end: self.end(),
            message: message.into(),
            help: None,
        }
    }

    /// The mistake of being another sort of value than expected.
    pub fn expected(self, path: &Path<'_>, expected: &str) -> Mistake {
        let found = match self.shape() {
            Shape::String if self.string().is_none() => {
                "a string with an escape that is no character".to_owned()
            }
            Shape::String | Shape::Number if self.text.len() <= 60 => {
                format!("{} {}", self.shape().name(), self.text)
            }
            shape => shape.name().to_owned(),
        };
        self.mistake(MistakeKind::Type, path, format!("expected {expected}, found {found}"))
    }

    /// The values of the known fields of an object, `null` as absent. Unknown and repeated fields are mistakes.
    pub fn fields<const N: usize>(
        self,
        path: &Path<'_>,
        known: [&str; N],
        out: &mut Mistakes,
    ) -> Option<[Option<Json<'a>>; N]> {
        let Some(members) = self.members() else {
            out.push(self.expected(path, "an object"));
            return None;
        };
        Some(Json::known(members, path, known, out))
    }

    /// The same of an object's members.
    pub fn known<const N: usize>(
        members: Vec<Member<'a>>,
        path: &Path<'_>,
        known: [&str; N],
        out: &mut Mistakes,
    ) -> [Option<Json<'a>>; N] {
        let mut found = [None; N];
        let mut seen = [false; N];
        for member in members {
            match known.iter().position(|k| *k == member.key) {
                Some(n) if seen[n] => out.push(member.repeated(path)),
                Some(n) => {
                    seen[n] = true;
                    found[n] = member.value.present();
                }
                None => out.push(member.unknown(path, format!("no field `{}` here", member.key), known)),
            }
        }
        found
    }
}

impl Mistake {
    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the nearest known name, if one is near.
    #[must_use]
    pub fn near<'n>(self, name: &str, known: impl IntoIterator<Item = &'n str>) -> Self {
        match nearest(name, known) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }
}

impl<'a> Member<'a> {
    /// A member by its parts in a text; none if its key is no Unicode.
    fn within(of: Json<'_>, key: &'a RawValue, value: &'a RawValue) -> Option<Member<'a>> {
        let written = Json::within(of.text, of.at, key);
        Some(Member { key: written.string()?, written, value: Json::within(of.text, of.at, value) })
    }

    /// The mistake of a key that stands there twice.
    pub fn repeated(&self, path: &Path<'_>) -> Mistake {
        let path = Path::Field(path, &self.key);
        self.written.mistake(MistakeKind::Field, &path, format!("`{}` is given twice", self.key))
    }

    /// The mistake of a key that nobody knows; `of` says where: `here`, or `of …`.
    pub fn unknown<'n>(
        &self,
        path: &Path<'_>,
        message: String,
        known: impl IntoIterator<Item = &'n str> + Clone,
    ) -> Mistake {
        let name = &*self.key;
        let path = Path::Field(path, name);
        let mistake = self.written.mistake(MistakeKind::Field, &path, message);
        let near = nearest(name, known.clone());
        match near {
            Some(near) => mistake.help(format!("did you mean `{near}`?")),
            None => {
                let listed: Vec<String> = known.into_iter().take(12).map(|k| format!("`{k}`")).collect();
                if listed.is_empty() {
                    mistake
                } else {
                    mistake.help(format!("known: {}", listed.join(", ")))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_numbers_and_repeated_keys_are_kept() {
        let text = " {\"a\": 1e400, \"\\u0061\" : [ 0.10 ,\"é\\n\" ] } ";
        let root = Json::parse(text).unwrap();
        let members = root.members().unwrap();
        assert_eq!(members.iter().map(|m| &*m.key).collect::<Vec<_>>(), ["a", "a"]);
        assert_eq!(members[0].value.text, "1e400");
        assert_eq!(&text[members[1].written.at..members[1].written.end()], "\"\\u0061\"");
        let mut elements = Vec::new();
        assert!(members[1].value.each(|_, e| elements.push((e.text, &text[e.at..e.end()]))));
        assert_eq!(elements, [("0.10", "0.10"), ("\"é\\n\"", "\"é\\n\"")]);
        assert!(!root.each(|_, _| ()) && members[0].value.members().is_none());
    }

    #[test]
    fn an_object_is_read_in_one_pass() {
        let (json, members) = Json::object("\n {\"a\":[1]} ").unwrap();
        assert_eq!((json.at, json.text), (2, "{\"a\":[1]}"));
        assert_eq!(members.unwrap()[0].value.at, 7);
        assert!(Json::object("[1]").is_ok_and(|(_, members)| members.is_none()));
        for text in ["", "{\"a\":1} x", "{\"a\":1}}", "{\"a\":}", "{a:1}", "\u{a0}{}"] {
            assert_eq!(Json::object(text).map(|_| ()), Json::parse(text).map(|_| ()), "{text}");
            assert!(Json::parse(text).is_err(), "{text}");
        }
    }

    #[cfg(feature = "server")]
    #[test]
    fn objects_in_a_field_are_read_in_one_pass_or_not_at_all() {
        /// The same, read by and by.
        fn slowly<'a>(text: &'a str) -> Option<Vec<(Json<'a>, Vec<Member<'a>>)>> {
            let (_, members) = Json::object(text).ok()?;
            let [only] = members?.try_into().ok()?;
            let mut all = Vec::new();
            let is_array = only.key == "all" && only.value.each(|_, json| all.push((json, json.members())));
            let all: Option<Vec<_>> = all.into_iter().map(|(json, members)| Some((json, members?))).collect();
            all.filter(|all| {
                is_array && (1..=2).contains(&all.len()) && all.iter().all(|(_, members)| !members.is_empty())
            })
        }
        let show = |text| [Json::objects_in(text, "all", 2), slowly(text)].map(|read| format!("{read:?}"));
        for text in [
            r#"{"all":[{"a":1,"b":[{}],"a":"\n"},{"c":null}]}"#,
            " {\n\"\\u0061ll\" : [ { \"a\" : {\"b\":[ ] } , \"é\": \"}\" } , {\"c\":\"{\" }\t] } \n",
        ] {
            let [quickly, slowly] = show(text);
            assert!(quickly == slowly && quickly != "None", "{quickly}\n{slowly}");
        }
        for text in [
            "",
            "[]",
            "{}",
            r#"{"all":[]}"#,
            r#"{"all":[{}]}"#,
            r#"{"all":[{"a":1},{"a":1},{"a":1}]}"#,
            r#"{"all":[1]}"#,
            r#"{"all":{"a":1}}"#,
            r#"{"all":null}"#,
            r#"{"all":[{"a":1}],"all":[]}"#,
            r#"{"all":[{"a":1}],"more":1}"#,
            r#"{"more":1}"#,
            r#"{"all":[{"a":1},[]]}"#,
            r#"{"all":[{"a":1}]} x"#,
            r#"{"all":[{"a":1}]"#,
            r#"{"all":[{"a":01}]}"#,
            r#"{"all":[{"\ud800":1}]}"#,
        ] {
            assert_eq!(show(text), ["None", "None"], "{text}");
        }
    }

    #[test]
    fn what_is_not_json_says_where() {
        assert_eq!(
            Json::parse("{\n \"a\": }").unwrap_err(),
            NotJson { message: "expected a value".into(), at: 8 }
        );
        assert_eq!(Json::parse("").unwrap_err().at, 0);
        assert!(Json::parse("{} x").is_err());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let _ = Json::parse(&deep).map(|j| j.each(|_, _| ()));
        let lone = Json::parse("\"\\ud800\"").map(|j| j.string().is_none());
        assert!(lone.unwrap_or(true));
    }

    #[test]
    fn fields_are_known_and_given_once() {
        let mut out = Vec::new();
        let json = Json::parse(r#"{"kind":"a","knd":1,"kind":null,"id":null}"#).unwrap();
        let [kind, id] = json.fields(&Path::Field(&Path::Root, "x"), ["kind", "id"], &mut out).unwrap();
        assert_eq!((kind.unwrap().text, id.is_none()), ("\"a\"", true));
        let said: Vec<_> = out.iter().map(|m| format!("{}: {}", m.field, m.message)).collect();
        assert_eq!(said, ["x.knd: no field `knd` here", "x.kind: `kind` is given twice"]);
        assert_eq!(out[0].help.as_deref(), Some("did you mean `kind`?"));
    }
}
