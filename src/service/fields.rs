//! The fields of the interface: what each request body may hold, read strictly.
//!
//! In:    a body; the table of its fields.
//! Out:   [`Fields`] of which each fits its type; or the first mistake, with the nearest name.
//! Law:   unknown and repeated fields are refused: a misspelt `expires_at` must not mint an eternal key. The OpenAPI
//!        document is made from the same tables.

use super::object::{Fields, Kind};
use super::problem::Problem;
use crate::{Json, Mistakes, Path, Shape, parse_cidr, parse_time, show_time};
use serde_json::{Value, json};

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ty {
    /// `[a-z0-9-]`, at most 63 letters.
    Id,
    /// 1 to 256 bytes of printable text.
    OpaqueId,
    /// At most this many bytes of text.
    Text(usize),
    /// RFC 3339.
    Time,
    /// Seconds.
    Seconds,
    /// A number of things, or of bytes.
    Count,
    /// Yes or no.
    Bool,
    /// The path of a place.
    Place,
    /// `{"kind", "id"}` of one of these.
    Ref(&'static [Kind]),
    /// `{"kind", "id"}` of a resource, of whatever kind.
    ResourceRef,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Names.
    Names,
    /// Tokens or their public ids, thousands of them.
    Keys,
    /// Networks such as `10.0.0.0/8`.
    Networks,
    /// Attributes by name.
    Attributes,
    /// `[{"name", "text"}]`.
    Files,
}

/// A field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: Ty,
    /// Whether it must be there.
    pub required: bool,
    /// What it says.
    pub doc: &'static str,
}

/// A field that must be there.
pub const fn must(name: &'static str, ty: Ty, doc: &'static str) -> Field {
    Field { name, ty, required: true, doc }
}

/// A field that may be left out.
pub const fn may(name: &'static str, ty: Ty, doc: &'static str) -> Field {
    Field { name, ty, required: false, doc }
}

/// Depth of brackets in a body.
pub const DEPTH_MAX: usize = 32;

/// Whether a text nests deeper than it may at most; strings are skipped.
pub fn too_deep(text: &str, most: usize) -> bool {
    // Most texts have too few brackets for that, and counting is quicker than reading.
    let opening = |byte: &u8| matches!(byte, b'{' | b'[');
    if text.as_bytes().iter().filter(|byte| opening(byte)).count() <= most {
        return false;
    }
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Reads a body. An empty one is an object without fields.
pub fn read(text: &str, fields: &[Field]) -> Result<Fields, Problem> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    if too_deep(text, DEPTH_MAX) {
        return Err(Problem::invalid(format!("the body nests deeper than {DEPTH_MAX}")));
    }
    let json = Json::parse(text)
        .map_err(|e| Problem::invalid(format!("the body is not JSON: {}", e.in_text(text))))?;
    let mut out = Mistakes::new();
    let Some(members) = json.members() else {
        return Err(Problem::invalid("the body must be a JSON object"));
    };
    let mut read = Fields::new();
    let mut seen: Vec<&str> = Vec::new();
    for member in members {
        let Some(field) = fields.iter().find(|f| f.name == member.key) else {
            let known: Vec<&str> = fields.iter().map(|f| f.name).collect();
            out.push(member.unknown(&Path::Root, format!("no field `{}` here", member.key), known));
            continue;
        };
        if seen.contains(&field.name) {
            out.push(member.repeated(&Path::Root));
            continue;
        }
        seen.push(field.name);
        let Some(given) = member.value.present() else {
            read.insert(field.name.to_owned(), Value::Null);
            continue;
        };
        match value(given, field.ty) {
            Ok(value) => drop(read.insert(field.name.to_owned(), value)),
            Err(detail) => return Err(Problem::field(field.name, detail)),
        }
    }
    if let Some(first) = out.into_iter().next() {
        let help = first.help.map(|h| format!("; {h}")).unwrap_or_default();
        return Err(Problem::field(first.field, format!("{}{help}", first.message)));
    }
    let lacks = |f: &&Field| f.required && read.get(f.name).is_none_or(Value::is_null);
    match fields.iter().find(lacks) {
        Some(field) => Err(Problem::field(field.name, format!("missing: {}", field.doc))),
        None => Ok(read),
    }
}

/// Whether a text is an id of ours: `[a-z0-9-]`, 1 to 63 letters.
pub fn is_id(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn value(json: Json<'_>, ty: Ty) -> Result<Value, String> {
    let text = || {
        json.string()
            .map(|s| s.into_owned())
            .ok_or_else(|| format!("expected a string, found {}", json.shape().name()))
    };
    match ty {
        Ty::Id => match text()? {
            id if is_id(&id) => Ok(id.into()),
            id => Err(format!("`{}` is not an id: 1 to 63 of a-z, 0-9 and `-`", shown(&id))),
        },
        Ty::OpaqueId => opaque(text()?).map(Value::from),
        Ty::Text(max) => match text()? {
            text if text.len() > max => Err(format!("{} bytes; at most {max} are allowed", text.len())),
            text if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') => {
                Err("control characters are not allowed".to_owned())
            }
            text => crate::check_string(&text).map(|()| text.into()),
        },
        Ty::Time => parse_time(&text()?).map(|t| show_time(t).into()),
        Ty::Seconds => match serde_json::from_str::<u64>(json.text) {
            Ok(seconds) if seconds <= 366 * 24 * 3600 => Ok(seconds.into()),
            _ => Err("expected a number of seconds, at most a year".to_owned()),
        },
        Ty::Count => match serde_json::from_str::<u64>(json.text) {
            Ok(number) if number <= COUNT_MAX => Ok(number.into()),
            _ => Err(format!("expected a whole number, 0 to {COUNT_MAX}")),
        },
        Ty::Bool => match json.text {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => Err(format!("expected true or false, found {}", json.shape().name())),
        },
        Ty::Place => match text()? {
            path if path.split('/').count() <= 3 && path.split('/').all(is_id) => Ok(path.into()),
            path => Err(format!("`{}` is not the path of a place, such as `acme/web/prod`", shown(&path))),
        },
        Ty::Ref(kinds) => {
            let (kind, id) = reference(json)?;
            let fits = kinds.iter().any(|k| k.wire() == kind);
            let listed: Vec<_> = kinds.iter().map(|k| format!("`{}`", k.wire())).collect();
            if fits {
                Ok(json!({ "kind": kind, "id": id }))
            } else {
                Err(format!("kind `{}`; expected {}", shown(&kind), listed.join(" or ")))
            }
        }
        Ty::ResourceRef => reference(json).map(|(kind, id)| json!({ "kind": kind, "id": id })),
        Ty::Word(words) => match text()? {
            word if words.contains(&word.as_str()) => Ok(word.into()),
            word => Err(format!("`{}`; expected one of {}", shown(&word), words.join(", "))),
        },
        Ty::Names => names(json, NAMES_MAX, named),
        Ty::Keys => names(json, KEYS_MAX, named),
        Ty::Networks => names(json, NAMES_MAX, |net| parse_cidr(&net).map(|_| net)),
        Ty::Attributes => match json.shape() {
            Shape::Object => {
                let members = json.members().ok_or("expected an object of attributes")?;
                let mut keys: Vec<_> = members.iter().map(|m| &m.key).collect();
                keys.sort();
                if let Some(twice) = keys.windows(2).find(|w| w[0] == w[1]) {
                    return Err(format!("`{}` is given twice", twice[0]));
                }
                if json.text.len() > ATTRIBUTES_BYTES_MAX {
                    return Err(format!(
                        "{} bytes; at most {ATTRIBUTES_BYTES_MAX} are allowed",
                        json.text.len()
                    ));
                }
                serde_json::from_str(json.text).map_err(|e| e.to_string())
            }
            other => Err(format!("expected an object of attributes, found {}", other.name())),
        },
        Ty::Files => files(json),
    }
}

/// The largest number that every reader of JSON keeps exact.
pub const COUNT_MAX: u64 = (1 << 53) - 1;
/// Names in one list.
pub const NAMES_MAX: usize = 64;
/// Keys that one request names.
pub const KEYS_MAX: usize = 10_000;

fn named(name: String) -> Result<String, String> {
    if (1..=256).contains(&name.len()) { Ok(name) } else { Err("a name has 1 to 256 bytes".to_owned()) }
}

/// Bytes of the attributes of one thing.
const ATTRIBUTES_BYTES_MAX: usize = 16 * 1024;

/// A text that came from outside, short enough to be shown.
fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// What is seen as nothing, or as a space: default-ignorable code points (Unicode 16, `DerivedCoreProperties.txt`) and the
/// blanks that are letters. Two ids that differ by these only would look the same.
pub fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F
        | 0x202A..=0x202E | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0
        | 0xFFF0..=0xFFFB | 0x1_BCA0..=0x1_BCA3 | 0x1_D173..=0x1_D17A | 0xE_0000..=0xE_0FFF)
}

fn opaque(id: String) -> Result<String, String> {
    if id.is_empty() || id.len() > 256 {
        return Err("an id has 1 to 256 bytes".to_owned());
    }
    let unseen = |c: char| c.is_control() || is_invisible(c) || (c.is_whitespace() && c != ' ');
    if let Some(c) = id.chars().find(|c| unseen(*c)) {
        return Err(format!(
            "U+{:04X} in an id can't be told from nothing or a space: leave it out",
            u32::from(c)
        ));
    }
    if id.starts_with(' ') || id.ends_with(' ') || id.contains("  ") {
        return Err("an id neither begins nor ends with a space and has no two in a row".to_owned());
    }
    if !unicode_normalization::is_nfc(&id) {
        return Err("an id is written in Unicode's composed form (NFC)".to_owned());
    }
    crate::check_string(&id).map(|()| id)
}

fn reference(json: Json<'_>) -> Result<(String, String), String> {
    let mut out = Mistakes::new();
    let found = json.fields(&Path::Root, ["kind", "id"], &mut out);
    if let Some(first) = out.into_iter().next() {
        let help = first.help.map(|h| format!("; {h}")).unwrap_or_default();
        return Err(format!("{}{help}", first.message));
    }
    let text = |j: Option<Json<'_>>| j.and_then(|j| j.string()).map(|s| s.into_owned());
    match found {
        Some([kind, id]) => match (text(kind), text(id)) {
            (Some(kind), Some(id)) => Ok((kind, opaque(id)?)),
            _ => Err("expected `kind` and `id`, both strings".to_owned()),
        },
        None => Err("expected an object with `kind` and `id`".to_owned()),
    }
}

fn names(
    json: Json<'_>,
    most: usize,
    check: impl Fn(String) -> Result<String, String>,
) -> Result<Value, String> {
    let mut found = Vec::new();
    let mut wrong = None;
    let is_array = json.each(|_, element| {
        let name = element.string().map(|s| s.into_owned()).ok_or("expected strings".to_owned());
        match name.and_then(&check) {
            Ok(name) => found.push(Value::String(name)),
            Err(message) => wrong = Some(message),
        }
    });
    match (is_array, wrong) {
        (_, Some(message)) => Err(message),
        (false, None) => Err("expected an array of strings".to_owned()),
        (true, None) if found.len() > most => {
            Err(format!("{} are given; at most {most} at once", found.len()))
        }
        (true, None) => Ok(found.into()),
    }
}

fn files(json: Json<'_>) -> Result<Value, String> {
    let mut found = Vec::new();
    let mut wrong = None;
    let is_array = json.each(|n, element| {
        let mut out = Mistakes::new();
        let fields = element.fields(&Path::Root, ["name", "text"], &mut out);
        let text = |j: Option<Json<'_>>| j.and_then(|j| j.string()).map(|s| s.into_owned());
        match fields {
            Some([name, body]) if out.is_empty() => match (text(name), text(body)) {
                (Some(name), Some(body)) => found.push(json!({ "name": name, "text": body })),
                _ => wrong = Some(format!("file {n} needs `name` and `text`, both strings")),
            },
            _ => {
                wrong =
                    Some(format!("file {n}: {}", out.first().map_or("expected an object", |m| &m.message)))
            }
        }
    });
    match (is_array, wrong) {
        (_, Some(message)) => Err(message),
        (false, None) => Err("expected an array of files, `[{\"name\", \"text\"}]`".to_owned()),
        (true, None) => Ok(found.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field] = &[
        must("id", Ty::Id, "the id"),
        may("expires_at", Ty::Time, "the end"),
        may("owner", Ty::Ref(&[Kind::User, Kind::Group]), "the owner"),
        may("networks", Ty::Networks, "from where"),
    ];

    #[test]
    fn what_fits_is_read() {
        let read = read(r#"{"id":"ci","expires_at":"2026-01-01T00:00:00Z","owner":{"kind":"user","id":"ana"},"networks":["10.0.0.0/8"]}"#, FIELDS).unwrap();
        assert_eq!(read["owner"]["id"], "ana");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (body, field, said) in [
            (r#"{"id":"ci","expire_at":1}"#, "expire_at", "did you mean `expires_at`"),
            (r#"{"id":"ci","id":"cj"}"#, "id", "given twice"),
            (r#"{"id":"CI"}"#, "id", "not an id"),
            ("{}", "id", "missing"),
            ("", "id", "missing"),
            (r#"{"id":"ci","expires_at":"soon"}"#, "expires_at", "time"),
            (r#"{"id":"ci","owner":{"kind":"agent","id":"x"}}"#, "owner", "expected `user` or `group`"),
            (r#"{"id":"ci","owner":{"kind":"user","id":"x","id":"y"}}"#, "owner", "given twice"),
            (r#"{"id":"ci","networks":["10.0.0.0/99"]}"#, "networks", ""),
        ] {
            let problem = read(body, FIELDS).unwrap_err();
            assert_eq!(problem.status, 400);
            let told = problem.more.iter().find(|(n, _)| *n == "field").map(|(_, v)| v.clone());
            assert_eq!(told, Some(Value::from(field)), "{body}: {problem:?}");
            assert!(problem.detail.to_lowercase().contains(said), "{body}: {}", problem.detail);
        }
        assert!(read(&"[".repeat(1000), FIELDS).unwrap_err().detail.contains("nests"));
        assert!(read("[]", FIELDS).unwrap_err().detail.contains("object"));
    }
}
