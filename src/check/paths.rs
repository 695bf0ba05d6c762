//! Paths: from `account`, `resource`, `scope`, `action`, `context`, a parameter or a variable to an attribute.
//!
//! Law: what may be absent, or refers to something that may be unknown, is read only where a fact guards it.

use super::expr::{Ty, Typed, Typer, any_of, article};
use super::facts::{Key, Root};
use super::names::list;
use super::program::{Attribute, Expr, ExprKind, Sort, Type};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::ast;
use crate::value::{EnumId, KindId, Value, WEEKDAYS};
use smol_str::SmolStr;

impl Typer<'_, '_> {
    /// The beginning of a path.
    pub fn root(&mut self, name: &ast::Name, whole: &ast::Expr) -> Typed {
        let span = name.span;
        let entity = |kind, kinds: &[KindId]| Typed::of(kind, span, Type::Ref(kinds.to_vec()));
        if let Some((variable, ty)) = &self.variable
            && variable.text == name.text
        {
            let expr = Expr { kind: ExprKind::Variable, span };
            return Typed { expr, ty: ty.clone(), absent: false, known: false, declared: variable.span };
        }
        if let Some(parameters) = &self.env.parameters {
            if let Some(i) = parameters.iter().position(|p| p.name == name.text) {
                let p = &parameters[i];
                let mut typed = Typed::of(ExprKind::Parameter(i as u16), span, p.ty.clone());
                let key = Key::of(&typed.expr).expect("check: a parameter is a path");
                typed.absent = p.optional && !self.facts.exists(&key);
                typed.known = !typed.absent;
                return self.narrowed(typed);
            }
            if matches!(name.text.as_str(), "account" | "resource" | "scope" | "action") {
                self.checker.report(
                    Diagnostic::new(
                        Code::E0213,
                        span,
                        format!("a condition does not see `{}`", name.text),
                        "only `context` and its own parameters are known here",
                    )
                    .help("take it as a parameter, and pass it where the condition is used"),
                );
                return Typed::error(span);
            }
        }
        match name.text.as_str() {
            "account" => self.narrowed(entity(ExprKind::Account, &self.env.account)),
            "resource" => self.narrowed(entity(ExprKind::Resource, &self.env.resource)),
            "scope" if self.vocabulary().has_scopes() => {
                self.narrowed(entity(ExprKind::Scope, &self.env.scope))
            }
            "scope" => {
                self.checker.report(
                    Diagnostic::new(
                        Code::E0102,
                        span,
                        "there are no scopes",
                        "this vocabulary declares none",
                    )
                    .help("declare one, such as `scope organization`"),
                );
                Typed::error(span)
            }
            "action" | "context" => {
                self.checker.report(
                    Diagnostic::new(
                        Code::E0201,
                        span,
                        format!("`{}` is not a value", name.text),
                        "only what it holds is",
                    )
                    .help(if name.text == "action" {
                        "which actions a rule covers stands behind `to`; a property is `action.NAME`"
                    } else {
                        "an entry is `context.NAME`"
                    }),
                );
                Typed::error(span)
            }
            _ => self.bare(name, whole),
        }
    }

    /// A bare name that is neither a variable nor a root.
    fn bare(&mut self, name: &ast::Name, whole: &ast::Expr) -> Typed {
        if self.checker.condition_names.contains_key(&name.text) {
            self.checker.report(
                Diagnostic::new(
                    Code::E0202,
                    name.span,
                    format!("`{}` is a condition, not a value", name.text),
                    "a condition is true or false by itself",
                )
                .help("use it with `and`, `or`, `not`"),
            );
            return Typed::error(name.span);
        }
        let owners: Vec<SmolStr> = (self.vocabulary().enums.iter())
            .filter(|e| e.variants.iter().any(|(v, _)| *v == name.text))
            .map(|e| e.name.clone())
            .collect();
        if let Some(owner) = owners.first() {
            let full = format!("{owner}.{}", name.text);
            self.checker.report(
                Diagnostic::new(
                    Code::E0211,
                    name.span,
                    format!("`{}` stands where its enum is not clear", name.text),
                    format!("a variant of {}", list(&owners)),
                )
                .help(format!("write `{full}`"))
                .fix(name.span, full),
            );
            return Typed::error(name.span);
        }
        let mut known: Vec<SmolStr> =
            ["account", "resource", "scope", "action", "context"].map(SmolStr::new_static).to_vec();
        known.extend(self.checker.condition_names.keys().cloned());
        known.extend(self.env.parameters.iter().flatten().map(|p| p.name.clone()));
        known.extend(self.variable.iter().map(|(v, _)| v.text.clone()));
        let _ = whole;
        self.checker.unknown("variable or condition", name, known.iter().map(SmolStr::as_str));
        Typed::error(name.span)
    }

    /// Narrows the kinds of an entity by what is known.
    fn narrowed(&self, mut typed: Typed) -> Typed {
        if let (Ty::Known(Type::Ref(kinds)), Some(key)) = (&mut typed.ty, Key::of(&typed.expr)) {
            self.facts.narrow(&key, kinds);
        }
        typed
    }

    /// A whole path.
    pub fn path(&mut self, root: &ast::Name, rest: &[ast::Name], e: &ast::Expr) -> Typed {
        let (first, rest) = self.beginning(root, rest, e);
        rest.iter().fold(first, |t, name| self.step(t, name))
    }

    /// The part of a path that is a value by itself, and the steps after it.
    pub fn beginning<'n>(
        &mut self,
        root: &ast::Name,
        rest: &'n [ast::Name],
        e: &ast::Expr,
    ) -> (Typed, &'n [ast::Name]) {
        match (root.text.as_str(), rest) {
            ("context", [entry, rest @ ..]) => (self.context_entry(root, entry), rest),
            ("action", [property, rest @ ..]) if self.env.parameters.is_none() => {
                (self.property(root, property), rest)
            }
            _ => (self.root(root, e), rest),
        }
    }

    fn context_entry(&mut self, root: &ast::Name, name: &ast::Name) -> Typed {
        let span = root.span.to(name.span);
        let entries = &self.checker.vocabulary.context;
        let Some(slot) = entries.iter().position(|a| self.checker.vocabulary.name(a.name) == name.text)
        else {
            let known: Vec<SmolStr> =
                entries.iter().map(|a| SmolStr::from(self.checker.vocabulary.name(a.name))).collect();
            self.unknown_attribute(name, "context", &known);
            return Typed::error(span);
        };
        let a = entries[slot].clone();
        self.found(ExprKind::Context(slot as u16), span, &a, a.optional)
    }

    fn property(&mut self, root: &ast::Name, name: &ast::Name) -> Typed {
        let span = root.span.to(name.span);
        let actions = self.env.actions.clone();
        let mut found: Option<Attribute> = None;
        let mut absent = false;
        let mut known = Vec::new();
        for id in &actions {
            let action = self.vocabulary().action(*id);
            let names = action.properties.iter().map(|p| SmolStr::from(self.vocabulary().name(p.name)));
            known.extend(names);
            let property =
                action.properties.iter().find(|p| self.vocabulary().name(p.name) == name.text).cloned();
            match (property, &found) {
                (None, _) => absent = true,
                (Some(p), None) => {
                    absent |= p.optional;
                    found = Some(p);
                }
                (Some(p), Some(first)) if p.ty == first.ty => absent |= p.optional,
                (Some(p), Some(first)) => {
                    let first = first.clone();
                    self.differs(name, span, &first, &p);
                    return Typed::error(span);
                }
            }
        }
        match found {
            Some(p) => self.found(ExprKind::Property(p.name), span, &p, absent),
            None => {
                known.sort_unstable();
                known.dedup();
                self.unknown_attribute(name, "the actions of this rule", &known);
                Typed::error(span)
            }
        }
    }

    fn found(&mut self, kind: ExprKind, span: Span, a: &Attribute, optional: bool) -> Typed {
        let expr = Expr { kind, span };
        let exists = Key::of(&expr).is_some_and(|key| self.facts.exists(&key));
        let known = exists || !matches!(a.ty, Type::Ref(_));
        let typed =
            Typed { expr, ty: Ty::Known(a.ty.clone()), absent: optional && !exists, known, declared: a.span };
        self.narrowed(typed)
    }

    /// One step of a path: an attribute, a parent, a field, `id`, `time` or `weekday`.
    pub fn step(&mut self, from: Typed, name: &ast::Name) -> Typed {
        let span = from.expr.span.to(name.span);
        self.require_present(&from);
        match from.ty.clone() {
            Ty::Known(Type::Ref(kinds)) => self.entity_step(from, &kinds, name, span),
            Ty::Known(Type::Record(id)) => {
                let record = self.vocabulary().records[id.index()].clone();
                let field = record.fields.iter().find(|f| self.vocabulary().name(f.name) == name.text);
                match field {
                    Some(f) => {
                        let kind = ExprKind::Attribute(Box::new(from.expr), f.name);
                        self.found(kind, span, f, f.optional)
                    }
                    None => {
                        let known: Vec<SmolStr> = record
                            .fields
                            .iter()
                            .map(|f| SmolStr::from(self.vocabulary().name(f.name)))
                            .collect();
                        let what = record.name.unwrap_or_else(|| SmolStr::new_static("this record"));
                        self.unknown_attribute(name, &what, &known);
                        Typed::error(span)
                    }
                }
            }
            Ty::Known(Type::Time) if name.text == "time" => {
                Typed::of(ExprKind::TimeOfDay(Box::new(from.expr)), span, Type::TimeOfDay)
            }
            Ty::Known(Type::Time) if name.text == "weekday" => {
                Typed::of(ExprKind::Weekday(Box::new(from.expr)), span, Type::Weekday)
            }
            Ty::Known(ty) => {
                let shown = self.vocabulary().show_type(&ty);
                let known = if ty == Type::Time {
                    vec![SmolStr::new("time"), SmolStr::new("weekday")]
                } else {
                    Vec::new()
                };
                self.unknown_attribute(name, &shown, &known);
                Typed::error(span)
            }
            Ty::EmptySet | Ty::Error => Typed::error(span),
        }
    }

    fn entity_step(&mut self, from: Typed, kinds: &[KindId], name: &ast::Name, span: Span) -> Typed {
        let is_resource = from.expr.kind == ExprKind::Resource;
        let any = is_resource && kinds.iter().any(|k| self.env.any.contains(k));
        if name.text == "id" {
            let expr = Expr { kind: ExprKind::Id(Box::new(from.expr)), span };
            let absent = any && !Key::of(&expr).is_some_and(|k| self.facts.exists(&k));
            return Typed {
                expr,
                ty: Ty::Known(Type::String),
                absent,
                known: true,
                declared: Span::default(),
            };
        }
        let through_variable = Key::of(&from.expr).is_some_and(|k| k.root == Root::Variable);
        if through_variable {
            self.checker.report(
                Diagnostic::new(
                    Code::E0210,
                    span,
                    "a reference in a set's element is not followed",
                    "what it refers to cannot be read here",
                )
                .help("compare the reference itself, with `==` or `in`"),
            );
            return Typed::error(span);
        }
        self.require_known(&from);
        let mut found: Option<Attribute> = None;
        let mut absent = any;
        let mut parent: Option<KindId> = None;
        for kind in kinds {
            let k = self.vocabulary().kind(*kind);
            let attribute = k.attributes.iter().find(|a| self.vocabulary().name(a.name) == name.text);
            let as_parent = k.parents.iter().copied().find(|p| self.vocabulary().kind(*p).name == name.text);
            match (attribute, as_parent, &found) {
                (Some(a), _, None) if parent.is_none() => {
                    absent |= a.optional;
                    found = Some(a.clone());
                }
                (Some(a), _, Some(first)) if a.ty == first.ty => absent |= a.optional,
                (Some(a), _, first) => {
                    let (first, second) = (first.clone().unwrap_or_else(|| a.clone()), a.clone());
                    self.differs(name, span, &first, &second);
                    return Typed::error(span);
                }
                (None, Some(p), None) => {
                    absent |= k.parent_optional || k.parents.len() > 1;
                    parent = Some(p);
                }
                _ => absent = true,
            }
        }
        // A kind met before the first that has the attribute lacks it.
        let has = |k: &KindId| {
            let k = self.vocabulary().kind(*k);
            k.attributes.iter().any(|a| self.vocabulary().name(a.name) == name.text)
                || k.parents.iter().any(|p| self.vocabulary().kind(*p).name == name.text)
        };
        absent |= !kinds.iter().all(has);
        if let Some(a) = found {
            return self.found(ExprKind::Attribute(Box::new(from.expr), a.name), span, &a, absent);
        }
        match parent {
            Some(p) => {
                let in_scopes = self.vocabulary().kind(p).sort == Sort::Scope;
                let declared = self.vocabulary().kind(p).span;
                let expr = Expr { kind: ExprKind::Parent(Box::new(from.expr), p), span };
                let exists = Key::of(&expr).is_some_and(|k| self.facts.exists(&k));
                let ty = Ty::Known(Type::Ref(vec![p]));
                Typed {
                    expr,
                    ty,
                    absent: absent && !exists,
                    known: exists || (in_scopes && !absent),
                    declared,
                }
            }
            None => {
                self.no_attribute(&from, kinds, name, span);
                Typed::error(span)
            }
        }
    }

    fn no_attribute(&mut self, from: &Typed, kinds: &[KindId], name: &ast::Name, _span: Span) {
        let v = self.vocabulary();
        let mut known: Vec<SmolStr> = vec![SmolStr::new_static("id")];
        for kind in kinds {
            let k = v.kind(*kind);
            known.extend(k.attributes.iter().map(|a| SmolStr::from(v.name(a.name))));
            known.extend(k.parents.iter().map(|p| v.kind(*p).name.clone()));
        }
        known.sort_unstable();
        known.dedup();
        let owner = match kinds {
            [one] => v.kind(*one).name.clone(),
            _ => SmolStr::from(self.checker.sources.slice(from.expr.span)),
        };
        let declared = match kinds {
            [one] => v.kind(*one).span,
            _ => Span::default(),
        };
        self.unknown_attribute_of(name, &owner, &known, declared);
    }

    fn unknown_attribute(&mut self, name: &ast::Name, owner: &str, known: &[SmolStr]) {
        self.unknown_attribute_of(name, owner, known, Span::default());
    }

    fn unknown_attribute_of(&mut self, name: &ast::Name, owner: &str, known: &[SmolStr], declared: Span) {
        if self.checker.damaged.contains(&name.text) || self.checker.damaged.contains(owner) {
            return;
        }
        let (owner, has) =
            if owner.contains(' ') { (owner.to_owned(), "have") } else { (format!("`{owner}`"), "has") };
        let label = match known.len() {
            0 => format!("{owner} {has} no attributes"),
            n if n <= 8 => format!("{owner} {has} {}", list(known)),
            n => format!("{owner} {has} {n} others"),
        };
        let mut d = Diagnostic::new(
            Code::E0203,
            name.span,
            format!("no attribute `{}` on {owner}", name.text),
            label,
        )
        .label(declared, "declared here");
        if let Some(near) = nearest(&name.text, known.iter().map(SmolStr::as_str)) {
            d = d.help(format!("did you mean `{near}`?")).fix(name.span, near);
        }
        self.checker.report(d);
    }

    fn differs(&mut self, name: &ast::Name, span: Span, first: &Attribute, second: &Attribute) {
        let (a, b) = (self.vocabulary().show_type(&first.ty), self.vocabulary().show_type(&second.ty));
        self.checker.report(
            Diagnostic::new(
                Code::E0201,
                span,
                format!("`{}` is {} for one kind and {} for another", name.text, article(&a), article(&b)),
                "its type is not the same everywhere here",
            )
            .label(first.span, format!("{a} here"))
            .label(second.span, format!("{b} here"))
            .help("narrow with `is KIND` first, or cover fewer kinds"),
        );
    }

    /// A variant where its enum is expected, or with its enum's name.
    pub fn variant(
        &mut self,
        root: &ast::Name,
        rest: &[ast::Name],
        span: Span,
        expected: Option<&Type>,
    ) -> Option<Typed> {
        if let ([variant], Some(id)) = (rest, self.checker.enums.get(&root.text).copied()) {
            self.checker.used.enums.insert(id);
            return Some(self.enum_variant(id, variant, span));
        }
        if !rest.is_empty() || self.is_value_name(root) {
            return None;
        }
        match expected {
            Some(Type::Enum(id)) => Some(self.enum_variant(*id, root, span)),
            Some(Type::Weekday) => match WEEKDAYS.iter().position(|d| *d == root.text) {
                Some(day) => {
                    Some(Typed::of(ExprKind::Literal(Value::Weekday(day as u8)), span, Type::Weekday))
                }
                None => {
                    self.unknown_variant(
                        root,
                        "Weekday",
                        &WEEKDAYS.map(SmolStr::new_static),
                        Span::default(),
                    );
                    Some(Typed::error(span))
                }
            },
            _ => None,
        }
    }

    fn is_value_name(&self, name: &ast::Name) -> bool {
        matches!(name.text.as_str(), "account" | "resource" | "scope" | "action" | "context")
            || self.variable.as_ref().is_some_and(|(v, _)| v.text == name.text)
            || self.env.parameters.as_ref().is_some_and(|p| p.iter().any(|p| p.name == name.text))
    }

    fn enum_variant(&mut self, id: EnumId, variant: &ast::Name, span: Span) -> Typed {
        let e = &self.checker.vocabulary.enums[id.index()];
        match e.variants.iter().position(|(v, _)| *v == variant.text) {
            Some(i) => Typed::of(ExprKind::Literal(Value::Variant(id, i as u16)), span, Type::Enum(id)),
            None => {
                let (name, declared) = (e.name.clone(), e.span);
                let known: Vec<SmolStr> = e.variants.iter().map(|(v, _)| v.clone()).collect();
                self.unknown_variant(variant, &name, &known, declared);
                Typed::error(span)
            }
        }
    }

    fn unknown_variant(&mut self, variant: &ast::Name, owner: &str, known: &[SmolStr], declared: Span) {
        if self.checker.damaged.contains(&variant.text) {
            return;
        }
        let label = if known.len() <= 8 {
            format!("`{owner}` is {}", any_of(known))
        } else {
            format!("`{owner}` has no such variant")
        };
        let mut d = Diagnostic::new(
            Code::E0205,
            variant.span,
            format!("no variant `{}` in `{owner}`", variant.text),
            label,
        )
        .label(declared, "declared here");
        if let Some(near) = nearest(&variant.text, known.iter().map(SmolStr::as_str)) {
            d = d.help(format!("did you mean `{near}`?")).fix(variant.span, near);
        }
        self.checker.report(d);
    }
}
