//! Literals of tests, typed by the attribute they are for.

use super::stage::Stage;
use crate::check::program::{Attribute, Type};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, Field, FieldValue, Name};
use crate::value::{self, Cidr, Entity, Value, WEEKDAYS};
use std::net::{IpAddr, Ipv4Addr};

impl Stage<'_> {
    /// Values by slot from fields; absent ones are `None`, whatever is required.
    pub(super) fn fields(
        &mut self,
        fields: &[Field],
        declared: &[Attribute],
        of: &str,
    ) -> Vec<Option<Value>> {
        let mut values = vec![None; declared.len()];
        let mut seen: Vec<Option<Span>> = vec![None; declared.len()];
        let vocabulary = &self.program.vocabulary;
        for field in fields {
            let name = |a: &Attribute| vocabulary.name(a.name);
            let Some(slot) = declared.iter().position(|a| name(a) == field.name.text) else {
                let message = format!("no attribute `{}` on {of}", field.name.text);
                let listed = declared.iter().take(8).map(|a| format!("`{}`", name(a))).collect::<Vec<_>>();
                let label = match listed.is_empty() {
                    true => format!("{of} has none"),
                    false => format!("{of} has {}", listed.join(", ")),
                };
                let d = Diagnostic::new(Code::E0203, field.name.span, message, label);
                self.near(d, &field.name, declared.iter().map(name));
                continue;
            };
            if let Some(first) = seen[slot] {
                let message = format!("`{}` is given twice", field.name.text);
                let d = Diagnostic::new(Code::E0101, field.name.span, message, "again here");
                self.out.push(d.label(first, "first here"));
                continue;
            }
            seen[slot] = Some(field.name.span);
            values[slot] = self.field_value(&field.value, &declared[slot].ty, &field.name);
        }
        values
    }

    /// Adds a diagnostic with the nearest known name as its help.
    pub(super) fn near<'n>(&mut self, d: Diagnostic, name: &Name, known: impl IntoIterator<Item = &'n str>) {
        self.out.push(match nearest(&name.text, known) {
            Some(near) => d.help(format!("did you mean `{near}`?")).fix(name.span, near),
            None => d,
        });
    }

    fn field_value(&mut self, value: &FieldValue, ty: &Type, name: &Name) -> Option<Value> {
        match (value, ty) {
            (FieldValue::Expr(expr), ty) => self.value(expr, ty, name),
            (FieldValue::Record(fields, span), Type::Record(id)) => {
                let before = self.out.len();
                let declared = &self.program.vocabulary.records[id.index()].fields;
                let values = self.fields(fields, declared, &format!("the record `{}`", name.text));
                let missing = declared.iter().zip(&values).find(|(f, v)| !f.optional && v.is_none());
                if let (Some((field, _)), true) = (missing, self.out.len() == before) {
                    let field = self.program.vocabulary.name(field.name);
                    let message = format!("the record `{}` has no `{field}`, which is required", name.text);
                    self.out.push(Diagnostic::new(Code::E0401, *span, message, "in this record"));
                }
                (self.out.len() == before).then(|| Value::Record(values.into()))
            }
            (FieldValue::Record(_, span), ty) => self.wrong_type(*span, ty, "a record", name),
        }
    }

    fn wrong_type(&mut self, span: Span, ty: &Type, found: &str, name: &Name) -> Option<Value> {
        let expected = expected(&self.program.vocabulary.show_type(ty), ty);
        let message = format!("`{}` is of type {expected}, found {found}", name.text);
        self.out.push(Diagnostic::new(Code::E0201, span, message, format!("this is {found}")));
        None
    }

    fn value(&mut self, expr: &Expr, ty: &Type, name: &Name) -> Option<Value> {
        let vocabulary = &self.program.vocabulary;
        match (&expr.kind, ty) {
            (ExprKind::Bool(b), Type::Bool) => Some(Value::Bool(*b)),
            (ExprKind::Int(n), Type::Int) => Some(Value::Int(*n)),
            (ExprKind::Int(n), Type::Decimal) => {
                let scaled = n.checked_mul(10_000).map(Value::Decimal);
                if scaled.is_none() {
                    let message = format!("`{n}` is too large for a Decimal");
                    self.out.push(Diagnostic::new(Code::E0010, expr.span, message, "here"));
                }
                scaled
            }
            (ExprKind::Decimal(n), Type::Decimal) => Some(Value::Decimal(*n)),
            (ExprKind::Duration(d), Type::Duration) => Some(Value::Duration(*d)),
            (ExprKind::Text(text), ty) => {
                let read = match ty {
                    Type::String => value::check_string(text).map(|()| Value::String(text.clone())),
                    Type::Time => value::parse_time(text).map(Value::Time),
                    Type::TimeOfDay => value::parse_time_of_day(text).map(Value::TimeOfDay),
                    Type::Ip => value::parse_ip(text).map(Value::Ip),
                    Type::Cidr => value::parse_cidr(text).map(Value::Cidr),
                    _ => return self.wrong_type(expr.span, ty, "a text", name),
                };
                let told = |message| self.out.push(Diagnostic::new(Code::E0209, expr.span, message, "here"));
                read.map_err(told).ok()
            }
            (ExprKind::Set(items), Type::Set(element)) => {
                let before = self.out.len();
                let values: Vec<Value> = items.iter().filter_map(|i| self.value(i, element, name)).collect();
                (self.out.len() == before).then(|| Value::set(values))
            }
            (ExprKind::Entity(kind, id), Type::Ref(kinds)) => {
                let entity = self.entity(kind, id)?;
                self.reference(entity, kinds, expr.span, name)
            }
            (ExprKind::Path(head, rest), Type::Ref(kinds)) if rest.is_empty() => {
                let entity = self.variable(head)?;
                self.reference(entity, kinds, expr.span, name)
            }
            (ExprKind::Path(head, rest), Type::Enum(id)) if rest.len() <= 1 => {
                let declared = &vocabulary.enums[id.index()];
                let known: Vec<&str> = declared.variants.iter().map(|(n, _)| n.as_str()).collect();
                let n = self.variant(head, rest, &declared.name, &known)?;
                Some(Value::Variant(*id, n as u16))
            }
            (ExprKind::Path(head, rest), Type::Weekday) if rest.len() <= 1 => {
                self.variant(head, rest, "Weekday", &WEEKDAYS).map(|n| Value::Weekday(n as u8))
            }
            (kind, ty) => self.wrong_type(expr.span, ty, found(kind), name),
        }
    }

    fn reference(
        &mut self,
        entity: Entity,
        kinds: &[value::KindId],
        span: Span,
        name: &Name,
    ) -> Option<Value> {
        if kinds.contains(&entity.kind) {
            return Some(Value::Entity(entity));
        }
        let found = format!("a `{}`", self.program.vocabulary.kind(entity.kind).name);
        self.wrong_type(span, &Type::Ref(kinds.to_vec()), &found, name)
    }

    fn variant(&mut self, head: &Name, rest: &[Name], of: &str, known: &[&str]) -> Option<usize> {
        let name = match rest {
            [] => head,
            [variant, ..] if head.text == of => variant,
            _ => {
                let message = format!("expected a variant of `{of}`, found one of `{}`", head.text);
                self.out.push(Diagnostic::new(Code::E0201, head.span, message, "another enum"));
                return None;
            }
        };
        let found = known.iter().position(|k| *k == name.text);
        if found.is_none() {
            let listed = known.iter().take(8).map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
            let message = format!("`{of}` has no variant `{}`", name.text);
            let d = Diagnostic::new(Code::E0205, name.span, message, format!("`{of}` has {listed}"));
            self.near(d, name, known.iter().copied());
        }
        found
    }

    /// Some value of a type, for a required attribute that a test leaves out.
    pub(super) fn placeholder(&self, ty: &Type) -> Value {
        match ty {
            Type::Bool => Value::Bool(false),
            Type::Int => Value::Int(0),
            Type::Decimal => Value::Decimal(0),
            Type::String => Value::String("".into()),
            Type::Time => Value::Time(0),
            Type::Duration => Value::Duration(0),
            Type::TimeOfDay => Value::TimeOfDay(0),
            Type::Weekday => Value::Weekday(0),
            Type::Ip => Value::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            Type::Cidr => Value::Cidr(Cidr { network: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 }),
            Type::Enum(id) => Value::Variant(*id, 0),
            Type::Set(_) => Value::set(Vec::new()),
            Type::Ref(kinds) => {
                let kind = kinds.first().copied().unwrap_or(value::KindId::GROUP);
                Value::Entity(Entity { kind, id: "?".into() })
            }
            Type::Record(id) => {
                let fields = &self.program.vocabulary.records[id.index()].fields;
                Value::Record(fields.iter().map(|f| (!f.optional).then(|| self.placeholder(&f.ty))).collect())
            }
        }
    }
}

/// A type, and how its values are written where that is not plain.
fn expected(shown: &str, ty: &Type) -> String {
    match ty {
        Type::Time => format!("{shown} (\"2026-12-31T00:00:00Z\")"),
        Type::Duration => format!("{shown} (90d 12h)"),
        Type::TimeOfDay => format!("{shown} (\"08:30\")"),
        Type::Ip => format!("{shown} (\"10.0.0.1\")"),
        Type::Cidr => format!("{shown} (\"10.0.0.0/8\")"),
        Type::Set(_) => format!("{shown} ([a, b])"),
        _ => shown.to_owned(),
    }
}

fn found(kind: &ExprKind) -> &'static str {
    match kind {
        ExprKind::Bool(_) => "a Bool",
        ExprKind::Int(_) => "a whole number",
        ExprKind::Decimal(_) => "a decimal number",
        ExprKind::Duration(_) => "a Duration",
        ExprKind::Text(_) => "a text",
        ExprKind::Set(_) => "a set",
        ExprKind::Entity(..) => "a reference",
        ExprKind::Path(..) => "a name",
        _ => "an expression, where a test takes a plain value",
    }
}
