//! Values, things and questions as policies would write them.

use crate::check::program::{Expr, ExprKind, Vocabulary};
use crate::directory::World;
use crate::value::{Entity, Value, WEEKDAYS, show_time};

/// A thing, as `user "ana"`.
pub(super) fn entity(vocabulary: &Vocabulary, entity: &Entity) -> String {
    format!("{} {:?}", vocabulary.kind(entity.kind).name, entity.id.as_str())
}

/// What is asked, as `user "ana" to update on deployment "x" at environment "acme/web/prod"`.
pub(super) fn question(world: &World<'_>) -> String {
    let (vocabulary, question) = (world.vocabulary, world.question);
    let account = entity(vocabulary, &question.account);
    let resource = match &question.resource.entity {
        Some(resource) => entity(vocabulary, resource),
        None => format!("any {}", vocabulary.kind(question.resource.kind).name),
    };
    let at = match question.scope {
        Some(scope) => {
            format!(" at {}", entity(vocabulary, &world.directory.scopes[scope.index()].entity))
        }
        None => String::new(),
    };
    format!("{account} to {} on {resource}{at}", vocabulary.action(question.action).name)
}

/// A value, as a literal where there is one.
pub(super) fn value(vocabulary: &Vocabulary, of: &Value) -> String {
    match of {
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Decimal(d) => decimal(*d),
        Value::String(s) => format!("{:?}", s.as_str()),
        Value::Time(t) => format!("\"{}\"", show_time(*t)),
        Value::Duration(d) => duration(*d),
        Value::TimeOfDay(t) => time_of_day(*t),
        Value::Weekday(day) => WEEKDAYS[usize::from(*day)].to_owned(),
        Value::Ip(ip) => format!("\"{ip}\""),
        Value::Cidr(net) => format!("\"{}/{}\"", net.network, net.prefix),
        Value::Variant(id, variant) => {
            vocabulary.enums[id.index()].variants[usize::from(*variant)].0.to_string()
        }
        Value::Entity(e) => entity(vocabulary, e),
        Value::Set(elements) => {
            let shown = elements.iter().take(SHOWN_ELEMENTS).map(|v| value(vocabulary, v));
            let mut shown: Vec<String> = shown.collect();
            if elements.len() > SHOWN_ELEMENTS {
                shown.push(format!("… {} more", elements.len() - SHOWN_ELEMENTS));
            }
            format!("[{}]", shown.join(", "))
        }
        Value::Record(fields) => {
            let shown =
                fields.iter().map(|f| f.as_ref().map_or("absent".to_owned(), |v| value(vocabulary, v)));
            format!("{{{}}}", shown.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A term as a path, as `resource.owner.department`.
pub(super) fn path(world: &World<'_>, term: &Expr) -> String {
    let vocabulary = world.vocabulary;
    let under = |of: &Expr, name: &str| format!("{}.{name}", path(world, of));
    match &term.kind {
        ExprKind::Account => "account".to_owned(),
        ExprKind::Resource => "resource".to_owned(),
        ExprKind::Scope => "scope".to_owned(),
        ExprKind::Context(slot) => {
            format!("context.{}", vocabulary.name(vocabulary.context[usize::from(*slot)].name))
        }
        ExprKind::Property(name) => format!("action.{}", vocabulary.name(*name)),
        ExprKind::Attribute(of, name) => under(of, vocabulary.name(*name)),
        ExprKind::Parent(of, kind) => under(of, &vocabulary.kind(*kind).name),
        ExprKind::Id(of) => under(of, "id"),
        ExprKind::TimeOfDay(of) => under(of, "time"),
        ExprKind::Weekday(of) => under(of, "weekday"),
        ExprKind::Literal(literal) => value(vocabulary, literal),
        _ => "…".to_owned(),
    }
}

/// Elements of a set that are shown.
const SHOWN_ELEMENTS: usize = 8;

fn decimal(d: i64) -> String {
    let (whole, fraction) = (d.unsigned_abs() / 10_000, d.unsigned_abs() % 10_000);
    let sign = if d < 0 { "-" } else { "" };
    let fraction = format!("{fraction:04}");
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

fn duration(d: i64) -> String {
    let mut rest = d.unsigned_abs();
    let mut words = Vec::new();
    for (unit, name) in [
        (86_400_000_000, "d"),
        (3_600_000_000, "h"),
        (60_000_000, "m"),
        (1_000_000, "s"),
        (1_000, "ms"),
        (1, "us"),
    ] {
        if rest >= unit {
            words.push(format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    match words.is_empty() {
        true => "0s".to_owned(),
        false => format!("{}{}", if d < 0 { "-" } else { "" }, words.join(" ")),
    }
}

fn time_of_day(t: i64) -> String {
    let seconds = t / 1_000_000;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let micros = match t % 1_000_000 {
        0 => String::new(),
        micros => format!(".{micros:06}"),
    };
    match (rest, micros.is_empty()) {
        (0, true) => format!("\"{hours:02}:{minutes:02}\""),
        _ => format!("\"{hours:02}:{minutes:02}:{rest:02}{micros}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_policies_write_them() {
        assert_eq!(decimal(199_900), "19.99");
        assert_eq!(decimal(-1), "-0.0001");
        assert_eq!(decimal(70_000), "7");
        assert_eq!(duration(90 * 86_400_000_000 + 12 * 3_600_000_000), "90d 12h");
        assert_eq!(duration(0), "0s");
        assert_eq!(time_of_day(30_600_000_000), "\"08:30\"");
        assert_eq!(time_of_day(30_615_000_000), "\"08:30:15\"");
    }
}
