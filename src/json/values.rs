//! JSON to values of the language: the wire names of a vocabulary, and each type's form in JSON.
//!
//! In:    [`Json`] and the type expected.
//! Out:   [`Value`]; or `None` and a mistake, pushed.

use super::{Json, Mistake, MistakeKind, Mistakes, Path, Shape};
use crate::check::program::{Attribute, Sort, Type, Vocabulary};
use crate::limits::SET_ELEMENTS_MAX;
use crate::value::{self, Entity, KindId, Value, WEEKDAYS};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;
use std::fmt;

/// The wire names of a vocabulary.
#[derive(Clone, Debug)]
pub struct Wire<'v> {
    /// The vocabulary.
    pub vocabulary: &'v Vocabulary,
    kinds: Option<FxHashMap<&'v str, KindId>>,
}

impl<'v> Wire<'v> {
    /// For a request: names are searched for.
    pub fn new(vocabulary: &'v Vocabulary) -> Self {
        Wire { vocabulary, kinds: None }
    }

    /// For a whole data file: names are indexed.
    pub fn indexed(vocabulary: &'v Vocabulary) -> Self {
        let kinds = vocabulary.kinds.iter().enumerate().map(|(n, k)| (k.wire.as_str(), KindId(n as u16)));
        Wire { vocabulary, kinds: Some(kinds.collect()) }
    }

    /// The kind with a wire name, of one of these sorts.
    pub fn kind(
        &self,
        json: Json<'_>,
        path: &Path<'_>,
        sorts: &[Sort],
        out: &mut Mistakes,
    ) -> Option<KindId> {
        let name = text(json, path, "the name of a kind", out)?;
        let found = match &self.kinds {
            Some(index) => index.get(name.as_str()).copied(),
            None => self.vocabulary.kind_by_wire(&name),
        };
        let fits = |sort: Sort| sorts.contains(&sort);
        let mistake = match found {
            Some(kind) if fits(self.vocabulary.kind(kind).sort) => return Some(kind),
            Some(kind) => {
                let sort = sort_name(self.vocabulary.kind(kind).sort);
                let message = format!("`{name}` is {sort}; expected {}", one_of(sorts));
                json.mistake(MistakeKind::Type, path, message)
            }
            None => json.mistake(
                MistakeKind::Unknown,
                path,
                format!("no kind `{name}`; expected {}", one_of(sorts)),
            ),
        };
        let known = self.vocabulary.kinds.iter().filter(|k| fits(k.sort)).map(|k| k.wire.as_str());
        out.push(mistake.near(&name, known));
        None
    }

    /// `{"kind":…, "id":…}`.
    pub fn entity(
        &self,
        json: Json<'_>,
        path: &Path<'_>,
        sorts: &[Sort],
        out: &mut Mistakes,
    ) -> Option<Entity> {
        let [kind, id] = json.fields(path, ["kind", "id"], out)?;
        let kind = required(kind, json, path, "kind", out)
            .and_then(|k| self.kind(k, &Path::Field(path, "kind"), sorts, out));
        let id = required(id, json, path, "id", out).and_then(|i| id_text(i, &Path::Field(path, "id"), out));
        Some(Entity { kind: kind?, id: id? })
    }

    /// Values by slot from an object of them; absent ones are `None`, whatever is required.
    pub fn attributes(
        &self,
        json: Option<Json<'_>>,
        declared: &[Attribute],
        of: fmt::Arguments<'_>,
        path: &Path<'_>,
        out: &mut Mistakes,
    ) -> Vec<Option<Value>> {
        let mut values = vec![None; declared.len()];
        let Some(json) = json else { return values };
        let Some(members) = json.members() else {
            out.push(json.expected(path, "an object"));
            return values;
        };
        let name = |a: &Attribute| self.vocabulary.name(a.name);
        let mut seen = vec![false; declared.len()];
        for member in members {
            match declared.iter().position(|a| name(a) == member.key) {
                None => {
                    let message = format!("{of} has no attribute `{}`", member.key);
                    out.push(member.unknown(path, message, declared.iter().map(name)));
                }
                Some(slot) if seen[slot] => out.push(member.repeated(path)),
                Some(slot) => {
                    seen[slot] = true;
                    let path = Path::Field(path, &member.key);
                    let given = member.value.present();
                    values[slot] = given.and_then(|v| self.value(v, &declared[slot].ty, &path, out));
                }
            }
        }
        values
    }

    /// A value of a type.
    pub fn value(&self, json: Json<'_>, ty: &Type, path: &Path<'_>, out: &mut Mistakes) -> Option<Value> {
        let read = match ty {
            Type::Bool => match json.text {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err(json.expected(path, "true or false")),
            },
            Type::Int => number(json, path, "a whole number", value::parse_int).map(Value::Int),
            Type::Decimal => {
                number(json, path, "a decimal number such as 19.99", value::parse_decimal).map(Value::Decimal)
            }
            Type::String => quoted(json, path, "a string", |s| value::check_string(s).map(|()| s.into()))
                .map(Value::String),
            Type::Time => quoted(json, path, "a Time such as \"2026-12-31T00:00:00Z\"", value::parse_time)
                .map(Value::Time),
            Type::Duration => quoted(json, path, "a Duration such as \"90d 12h\"", value::parse_duration)
                .map(Value::Duration),
            Type::TimeOfDay => quoted(json, path, "a TimeOfDay such as \"08:30\"", value::parse_time_of_day)
                .map(Value::TimeOfDay),
            Type::Weekday => {
                self.variant(json, path, "weekday", WEEKDAYS.iter().copied()).map(|n| Value::Weekday(n as u8))
            }
            Type::Ip => quoted(json, path, "an Ip such as \"10.0.0.1\"", value::parse_ip).map(Value::Ip),
            Type::Cidr => {
                quoted(json, path, "a Cidr such as \"10.0.0.0/8\"", value::parse_cidr).map(Value::Cidr)
            }
            Type::Enum(id) => {
                let declared = &self.vocabulary.enums[id.index()];
                let variants = declared.variants.iter().map(|(_, wire)| wire.as_str());
                self.variant(json, path, &declared.name, variants).map(|n| Value::Variant(*id, n as u16))
            }
            Type::Ref(kinds) => return self.reference(json, kinds, path, out),
            Type::Set(element) => return self.set(json, element, path, out),
            Type::Record(id) => {
                let declared = &self.vocabulary.records[id.index()].fields;
                let before = out.len();
                let of = self.vocabulary.show_type(ty);
                let values = self.attributes(Some(json), declared, format_args!("{of}"), path, out);
                if out.len() > before {
                    return None;
                }
                match declared.iter().zip(&values).find(|(f, v)| !f.optional && v.is_none()) {
                    Some((field, _)) => {
                        let message = format!("the field `{}` is required", self.vocabulary.name(field.name));
                        Err(json.mistake(MistakeKind::Missing, path, message))
                    }
                    None => Ok(Value::Record(values.into())),
                }
            }
        };
        read.map_err(|mistake| out.push(mistake)).ok()
    }

    fn variant<'n>(
        &self,
        json: Json<'_>,
        path: &Path<'_>,
        of: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) -> Result<usize, Mistake> {
        let listed = || known.clone().take(12).map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
        let Some(name) = json.string() else {
            return Err(json.expected(path, &format!("one of {}", listed())));
        };
        known.clone().position(|k| k == name).ok_or_else(|| {
            let message = format!("no {of} `{name}`; expected one of {}", listed());
            json.mistake(MistakeKind::Type, path, message).near(&name, known.clone())
        })
    }

    fn reference(
        &self,
        json: Json<'_>,
        kinds: &[KindId],
        path: &Path<'_>,
        out: &mut Mistakes,
    ) -> Option<Value> {
        if json.shape() != Shape::Object {
            let expected = format!(
                "a reference such as {{\"kind\":\"{}\",\"id\":\"…\"}}",
                self.kind_name(*kinds.first()?)
            );
            out.push(json.expected(path, &expected));
            return None;
        }
        let any = [Sort::Scope, Sort::Account, Sort::Resource, Sort::Group, Sort::Role, Sort::Policy];
        let entity = self.entity(json, path, &any, out)?;
        if kinds.contains(&entity.kind) {
            return Some(Value::Entity(entity));
        }
        let listed =
            kinds.iter().map(|k| format!("`{}`", self.kind_name(*k))).collect::<Vec<_>>().join(" or ");
        let message = format!("a reference to a `{}`; expected {listed}", self.kind_name(entity.kind));
        out.push(json.mistake(MistakeKind::Type, path, message));
        None
    }

    fn set(&self, json: Json<'_>, element: &Type, path: &Path<'_>, out: &mut Mistakes) -> Option<Value> {
        let before = out.len();
        let mut values = Vec::new();
        let mut count = 0;
        let is_array = json.each(|n, e| {
            count = n + 1;
            if count <= SET_ELEMENTS_MAX && out.len() < before + 8 {
                values.extend(self.value(e, element, &Path::Element(path, n), out));
            }
        });
        if !is_array {
            out.push(json.expected(path, "an array"));
        } else if count > SET_ELEMENTS_MAX {
            let message = format!("the set has {count} elements; at most {SET_ELEMENTS_MAX} are allowed");
            out.push(json.mistake(MistakeKind::Type, path, message));
        }
        (out.len() == before).then(|| Value::set(values))
    }

    fn kind_name(&self, kind: KindId) -> &'v str {
        &self.vocabulary.kind(kind).wire
    }
}

/// A field that must be there.
pub(crate) fn required<'a>(
    value: Option<Json<'a>>,
    owner: Json<'_>,
    path: &Path<'_>,
    name: &str,
    out: &mut Mistakes,
) -> Option<Json<'a>> {
    if value.is_none() {
        let at = Path::Field(path, name);
        out.push(owner.mistake(MistakeKind::Missing, &at, format!("`{name}` is missing")));
    }
    value
}

/// A string.
pub(crate) fn text(json: Json<'_>, path: &Path<'_>, expected: &str, out: &mut Mistakes) -> Option<SmolStr> {
    let found = json.string();
    if found.is_none() {
        out.push(json.expected(path, expected));
    }
    found.map(SmolStr::from)
}

/// An id: a string that is not empty, in NFC, not too long.
pub(crate) fn id_text(json: Json<'_>, path: &Path<'_>, out: &mut Mistakes) -> Option<SmolStr> {
    let check = |s: &str| match s {
        "" => Err("an id is never empty".to_owned()),
        s => value::check_string(s).map(|()| SmolStr::from(s)),
    };
    quoted(json, path, "an id, a string", check).map_err(|mistake| out.push(mistake)).ok()
}

fn quoted<T>(
    json: Json<'_>,
    path: &Path<'_>,
    expected: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, Mistake> {
    let Some(text) = json.string() else { return Err(json.expected(path, expected)) };
    read(&text).map_err(|message| json.mistake(MistakeKind::Type, path, message))
}

fn number<T>(
    json: Json<'_>,
    path: &Path<'_>,
    expected: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, Mistake> {
    if json.shape() == Shape::Number {
        return read(json.text).map_err(|message| json.mistake(MistakeKind::Type, path, message));
    }
    quoted(json, path, expected, read)
}

fn sort_name(sort: Sort) -> &'static str {
    match sort {
        Sort::Scope => "a scope kind",
        Sort::Account => "an account kind",
        Sort::Resource => "a resource kind",
        Sort::Group => "the kind of groups",
        Sort::Role => "the kind of roles",
        Sort::Policy => "the kind of policies",
    }
}

fn one_of(sorts: &[Sort]) -> String {
    if sorts.len() > 3 {
        return "a kind".to_owned();
    }
    sorts.iter().map(|s| sort_name(*s)).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::fixture::{DOCUMENT, vocabulary};

    fn read(text: &str) -> Result<Vec<Option<Value>>, Vec<String>> {
        let v = vocabulary();
        let mut out = Vec::new();
        let declared = &v.kind(DOCUMENT).attributes;
        let values = Wire::indexed(&v).attributes(
            Some(Json::parse(text).unwrap()),
            declared,
            format_args!("`document`"),
            &Path::Root,
            &mut out,
        );
        let said = out.iter().map(|m| {
            assert!(m.start < m.end && m.end <= text.len());
            format!(
                "{}: {}{}",
                m.field,
                m.message,
                m.help.as_ref().map(|h| format!(" / {h}")).unwrap_or_default()
            )
        });
        if out.is_empty() { Ok(values) } else { Err(said.collect()) }
    }

    #[test]
    fn each_type_has_one_form() {
        let values = read(
            r#"{"owner":{"kind":"user","id":"ana"},"replicas":3,"labels":["b","a","b"],"address":{"city":"Ulm"},
                "stage":"prod","price":19.990,"trusted":null}"#,
        )
        .unwrap();
        let shown: Vec<String> = values.iter().flatten().map(|v| format!("{v:?}")).collect();
        assert_eq!(
            shown,
            [
                r#"Entity(Entity { kind: KindId(5), id: "ana" })"#,
                "Int(3)",
                r#"Set([String("a"), String("b")])"#,
                r#"Record([Some(String("Ulm")), None])"#,
                "Variant(EnumId(0), 0)",
                "Decimal(199900)",
            ]
        );
        assert_eq!(read(r#"{"price":"0.5","replicas":"7"}"#).unwrap()[1], Some(Value::Int(7)));
    }

    #[test]
    fn each_mistake_names_its_field_and_teaches() {
        let said = read(
            r#"{"ownr":1,"owner":"ana","replicas":3.5,"labels":["x",2],"address":{"zip":1},"stage":"production",
                "price":1e3,"replicas":1,"trusted":"yes"}"#,
        )
        .unwrap_err();
        let expected = [
            "ownr: `document` has no attribute `ownr` / did you mean `owner`?",
            "owner: expected a reference such as {\"kind\":\"user\",\"id\":\"…\"}, found a string \"ana\"",
            "replicas: `3.5` is not a whole number",
            "labels[1]: expected a string, found a number 2",
            "address: the field `city` is required",
            "stage: no Stage `production`; expected one of `prod`, `staging`",
            "price: `1e3` is not a decimal number such as 19.99",
            "replicas: `replicas` is given twice",
            "trusted: expected true or false, found a string \"yes\"",
        ];
        assert_eq!(said, expected);
        let said = read(r#"{"owner":{"kind":"folder","id":"f"}}"#).unwrap_err();
        assert_eq!(said, ["owner: a reference to a `folder`; expected `user`"]);
        let said = read(r#"{"owner":{"kind":"usr","id":""}}"#).unwrap_err();
        assert_eq!(
            said,
            [
                "owner.kind: no kind `usr`; expected a kind / did you mean `user`?",
                "owner.id: an id is never empty"
            ]
        );
    }

    #[test]
    fn sets_have_a_limit() {
        let many = format!("{{\"labels\":[{}\"x\"]}}", "\"x\",".repeat(SET_ELEMENTS_MAX));
        assert_eq!(
            read(&many).unwrap_err(),
            ["labels: the set has 10001 elements; at most 10000 are allowed"]
        );
    }
}
