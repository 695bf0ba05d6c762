//! Types as written to types as known.

use super::names::Checker;
use super::program::{Attribute, Provenance, RecordType, Sort, Type};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, TypeKind};
use crate::value::{KindId, RecordId};
use smol_str::SmolStr;

/// The built-in types by name.
pub(super) const BUILTIN_TYPES: [(&str, Type); 10] = [
    ("Bool", Type::Bool),
    ("Int", Type::Int),
    ("Decimal", Type::Decimal),
    ("String", Type::String),
    ("Time", Type::Time),
    ("Duration", Type::Duration),
    ("TimeOfDay", Type::TimeOfDay),
    ("Weekday", Type::Weekday),
    ("Ip", Type::Ip),
    ("Cidr", Type::Cidr),
];

/// Names that people coming from other languages give to our types.
const FOREIGN_TYPES: [(&str, &str); 14] = [
    ("bool", "Bool"),
    ("boolean", "Bool"),
    ("Boolean", "Bool"),
    ("int", "Int"),
    ("Integer", "Int"),
    ("Long", "Int"),
    ("Number", "Int"),
    ("Float", "Decimal"),
    ("float", "Decimal"),
    ("str", "String"),
    ("string", "String"),
    ("DateTime", "Time"),
    ("Timestamp", "Time"),
    ("Date", "Time"),
];

impl Checker<'_> {
    /// An attribute's type and whether it is optional; `None` when it was reported.
    pub fn attribute_type(&mut self, ty: &ast::TypeExpr, in_record: bool) -> Option<(Type, bool)> {
        match &ty.kind {
            TypeKind::Optional(inner) => {
                if matches!(inner.kind, TypeKind::Optional(_)) {
                    self.not_allowed(ty.span, "optional twice", "one `?` is enough");
                    return None;
                }
                Some((self.plain_type(inner, in_record, false)?, true))
            }
            _ => Some((self.plain_type(ty, in_record, false)?, false)),
        }
    }

    fn plain_type(&mut self, ty: &ast::TypeExpr, in_record: bool, in_set: bool) -> Option<Type> {
        match &ty.kind {
            TypeKind::Named(names) => match names.as_slice() {
                [name] => self.named_type(name, in_record),
                names => {
                    let mut kinds: Vec<KindId> = Vec::new();
                    for name in names {
                        kinds.push(self.reference_kind(name)?);
                    }
                    kinds.sort_unstable();
                    kinds.dedup();
                    Some(Type::Ref(kinds))
                }
            },
            TypeKind::Set(element) if in_set => {
                self.not_allowed(
                    ty.span,
                    "a set of sets",
                    "a set holds scalars, enums, references or flat records",
                );
                let _ = element;
                None
            }
            TypeKind::Set(element) => {
                let element = self.plain_type(element, in_record, true)?;
                Some(Type::Set(Box::new(element)))
            }
            TypeKind::Record(_) if in_record => {
                self.not_allowed(ty.span, "a record in a record", "records are flat; lift its fields up");
                None
            }
            TypeKind::Record(fields) => {
                let fields = self.record_fields(fields);
                let id = RecordId(self.vocabulary.records.len() as u16);
                self.vocabulary.records.push(RecordType { name: None, fields, span: ty.span });
                Some(Type::Record(id))
            }
            TypeKind::Optional(_) => {
                self.not_allowed(ty.span, "an optional inside a type", "an element is there or it is not");
                None
            }
        }
    }

    fn record_fields(&mut self, fields: &[ast::Attribute]) -> Vec<Attribute> {
        let mut out: Vec<Attribute> = Vec::new();
        for f in fields {
            let Some((ty, optional)) = self.attribute_type(&f.ty, true) else {
                self.damaged.insert(f.name.text.clone());
                continue;
            };
            let name = self.name_id(&f.name.text);
            if let Some(first) = out.iter().find(|o| o.name == name) {
                let first = first.span;
                self.duplicate("field", &f.name.text, f.name.span, first);
                continue;
            }
            out.push(Attribute { name, ty, optional, provenance: Provenance::Usual, span: f.name.span });
        }
        out
    }

    fn named_type(&mut self, name: &ast::Name, in_record: bool) -> Option<Type> {
        if let Some((_, ty)) = BUILTIN_TYPES.iter().find(|(n, _)| *n == name.text) {
            return Some(ty.clone());
        }
        if let Some(id) = self.enums.get(&name.text) {
            self.used.enums.insert(*id);
            return Some(Type::Enum(*id));
        }
        if let Some(id) = self.records.get(&name.text).copied() {
            self.used.records.insert(id);
            if in_record {
                self.not_allowed(name.span, "a record in a record", "records are flat; lift its fields up");
                return None;
            }
            return Some(Type::Record(id));
        }
        if let Some((_, ours)) = FOREIGN_TYPES.iter().find(|(n, _)| *n == name.text) {
            self.report(
                Diagnostic::new(
                    Code::E0102,
                    name.span,
                    format!("no type `{}`", name.text),
                    "this type is not declared",
                )
                .help(format!("the language calls it `{ours}`"))
                .fix(name.span, *ours),
            );
            return None;
        }
        self.reference_kind(name).map(|k| Type::Ref(vec![k]))
    }

    fn reference_kind(&mut self, name: &ast::Name) -> Option<KindId> {
        if let Some(kind) = self.kinds.get(&name.text).copied() {
            let k = self.vocabulary.kind(kind);
            if matches!(k.sort, Sort::Role | Sort::Policy) {
                self.not_allowed(name.span, "a reference to a role or policy", "data cannot refer to one");
                return None;
            }
            return Some(kind);
        }
        let known: Vec<SmolStr> = (BUILTIN_TYPES.iter().map(|(n, _)| SmolStr::new_static(n)))
            .chain(self.enums.keys().cloned())
            .chain(self.records.keys().cloned())
            .chain(self.kinds.keys().cloned())
            .collect();
        self.unknown("type", name, known.iter().map(SmolStr::as_str));
        None
    }

    fn not_allowed(&mut self, span: Span, what: &str, why: &str) {
        self.report(Diagnostic::new(Code::E0214, span, format!("{what} is not allowed here"), why));
    }

    /// What two types of entities or values have in common: whether they can be compared for equality.
    pub fn comparable(left: &Type, right: &Type) -> bool {
        match (left, right) {
            (Type::Ref(a), Type::Ref(b)) => a.iter().any(|k| b.contains(k)),
            _ => left == right,
        }
    }

    /// Whether a value of one type may stand where another is expected.
    pub fn fits(found: &Type, expected: &Type) -> bool {
        match (found, expected) {
            (Type::Ref(found), Type::Ref(expected)) => found.iter().all(|k| expected.contains(k)),
            (Type::Set(found), Type::Set(expected)) => Self::fits(found, expected),
            _ => found == expected,
        }
    }
}
