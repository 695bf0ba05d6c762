//! Values near one another, as literals of the language and as JSON: comparisons in rules meet their edges in data.

use crate::dice::Dice;
use crate::model::{GROUP, Sort, Ty, Vocab};
use serde_json::{Value as Json, json};

/// The time around which everything happens, a Monday.
pub const NOW: &str = "2026-03-02T12:00:00Z";

pub const TIMES: [&str; 9] = [
    NOW,
    NOW,
    "2026-03-02T11:59:59.999999Z",
    "2026-03-02T12:00:00.000001Z",
    "2026-03-02T13:00:00+01:00",
    "2026-03-03T12:00:00Z",
    "2026-03-01T12:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
];
const INTS: [i64; 8] = [-1, 0, 1, 5, 5, 6, i64::MAX, i64::MIN];
const DECIMALS: [&str; 7] = ["0", "0.5", "5", "19.99", "19.9901", "-0.0001", "922337203685477.5807"];
const STRINGS: [&str; 9] = ["", "a", "ab", "aXb", "é", "a*b", "a\"\\b", "ana", "//"];
const PATTERNS: [&str; 9] = ["a*", "*b", "a*b", "*", "", "é*", r"a\*b", "*X*", r#"a\"\\*"#];
const DURATIONS: [&str; 6] = ["0s", "1d", "24h 1s", "23h 59m 59s", "90d 12h", "1ms"];
const CLOCKS: [&str; 5] = ["00:00", "08:29:59", "08:30", "12:00", "23:59:59"];
const DAYS: [&str; 3] = ["monday", "tuesday", "sunday"];
const IPS: [&str; 7] = [
    "10.0.0.0",
    "10.255.255.255",
    "11.0.0.0",
    "9.255.255.255",
    "::ffff:10.0.0.1",
    "2001:db8::1",
    "2001:db9::",
];
const NETS: [&str; 6] =
    ["10.0.0.0/8", "10.0.0.0/32", "0.0.0.0/0", "2001:db8::/32", "::ffff:10.0.0.0/104", "::/0"];

/// A quoted text of the language.
pub fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

pub fn duration(dice: &mut Dice) -> &'static str {
    dice.word(&DURATIONS)
}

pub fn clock(dice: &mut Dice) -> String {
    quote(dice.word(&CLOCKS))
}

pub fn net(dice: &mut Dice) -> String {
    quote(dice.word(&NETS))
}

pub fn time(dice: &mut Dice) -> &'static str {
    dice.word(&TIMES)
}

/// A pattern literal; its escapes are its own.
pub fn pattern(dice: &mut Dice) -> String {
    format!("\"{}\"", dice.word(&PATTERNS))
}

/// The ids of a kind that things and rules name; the last is held by no directory.
pub fn ids(v: &Vocab, kind: usize) -> Vec<String> {
    let list = |ids: &[&str]| ids.iter().map(|i| (*i).to_owned()).collect();
    match v.kinds[kind].sort {
        Sort::Group => list(&["g0", "g1", "g2", "g9"]),
        Sort::Account => list(&["ana", "bo", "zoe"]),
        Sort::Resource => list(&["x", "y", "é/1", "z"]),
        Sort::Policy => list(&["p0", "any \"text\""]),
        Sort::Role => v.roles.iter().map(|(_, wire)| wire.clone()).chain(["no".to_owned()]).collect(),
        Sort::Scope => {
            let mut found: Vec<String> =
                v.nodes.iter().filter(|(k, _)| *k == kind).map(|(_, path)| path.clone()).collect();
            found.push(possible_path(v, kind));
            found
        }
    }
}

/// A path that a node of a kind could have.
fn possible_path(v: &Vocab, kind: usize) -> String {
    let (mut path, mut at) = ("q".to_owned(), kind);
    while !v.kinds[at].parent_optional {
        let other = v.kinds[at].parents.iter().find(|p| **p != at);
        at = *other.expect("laws: a kind that must sit in something has another to sit in");
        path.push_str("/q");
    }
    path
}

/// An id, mostly of something that is held.
pub fn id(v: &Vocab, kind: usize, dice: &mut Dice) -> String {
    let all = ids(v, kind);
    let most = if dice.chance(88) && all.len() > 1 { all.len() - 1 } else { all.len() };
    all[dice.below(most)].clone()
}

/// `user "ana"`.
pub fn entity(v: &Vocab, kind: usize, dice: &mut Dice) -> String {
    format!("{} {}", v.kinds[kind].name, quote(&id(v, kind, dice)))
}

/// A literal; of a record there is none, of a set of them neither.
pub fn literal(v: &Vocab, ty: &Ty, dice: &mut Dice) -> Option<String> {
    Some(match ty {
        Ty::Bool => dice.word(&["true", "false"]).to_owned(),
        Ty::Int => dice.pick(&INTS).to_string(),
        Ty::Decimal => dice.word(&DECIMALS).to_owned(),
        Ty::String => quote(dice.word(&STRINGS)),
        Ty::Time => quote(dice.word(&TIMES)),
        Ty::Duration => dice.word(&DURATIONS).to_owned(),
        Ty::TimeOfDay => clock(dice),
        Ty::Weekday => dice.word(&DAYS).to_owned(),
        Ty::Ip => quote(dice.word(&IPS)),
        Ty::Cidr => net(dice),
        Ty::Enum(e) => dice.pick(&v.enums[*e].variants).0.clone(),
        Ty::Ref(kinds) => entity(v, *dice.pick(kinds), dice),
        Ty::Record(_) => return None,
        Ty::Set(of) => {
            let mut items = Vec::new();
            for _ in 0..dice.between(1, 3) {
                items.push(literal(v, of, dice)?);
            }
            format!("[{}]", items.join(", "))
        }
    })
}

/// A reference, or what something sits in.
pub fn reference(v: &Vocab, kind: usize, id: &str) -> Json {
    json!({"kind": v.kinds[kind].wire, "id": id})
}

/// A value as data and requests write it.
pub fn value(v: &Vocab, ty: &Ty, dice: &mut Dice) -> Json {
    match ty {
        Ty::Bool => json!(dice.chance(50)),
        Ty::Int => {
            let n = *dice.pick(&INTS);
            if dice.chance(85) { json!(n) } else { json!(n.to_string()) }
        }
        Ty::Decimal => {
            let text = dice.word(&DECIMALS);
            match serde_json::from_str::<Json>(text) {
                Ok(number) if text.len() < 10 && dice.chance(50) => number,
                _ => json!(text),
            }
        }
        Ty::String => json!(dice.word(&STRINGS)),
        Ty::Time => json!(dice.word(&TIMES)),
        Ty::Duration => json!(dice.word(&DURATIONS)),
        Ty::TimeOfDay => json!(dice.word(&CLOCKS)),
        Ty::Weekday => json!(dice.word(&DAYS)),
        Ty::Ip => json!(dice.word(&IPS)),
        Ty::Cidr => json!(dice.word(&NETS)),
        Ty::Enum(e) => json!(dice.pick(&v.enums[*e].variants).1),
        Ty::Ref(kinds) => {
            let kind = *dice.pick(kinds);
            reference(v, kind, &id(v, kind, dice))
        }
        Ty::Record(r) => attributes(v, &v.records[*r].fields, dice, 60),
        Ty::Set(of) => {
            let n = dice.below(4);
            (0..n).map(|_| value(v, of, dice)).collect()
        }
    }
}

/// Values for attributes: the required ones, and `percent` of the others.
pub fn attributes(v: &Vocab, declared: &[crate::model::Attr], dice: &mut Dice, percent: usize) -> Json {
    let mut out = serde_json::Map::new();
    for a in declared {
        if !a.optional || dice.chance(percent) {
            out.insert(a.name.clone(), value(v, &a.ty, dice));
        } else if dice.chance(5) {
            out.insert(a.name.clone(), Json::Null);
        }
    }
    Json::Object(out)
}

/// Whether `a` can be, or sit below, `b` by their kinds.
pub fn reaches(v: &Vocab, a: usize, b: usize) -> bool {
    a == b || v.below(b).contains(&a)
}

/// Whether things of this kind are members of groups.
pub fn is_member_kind(v: &Vocab, kind: usize) -> bool {
    kind == GROUP || v.kinds[kind].sort == Sort::Account
}
