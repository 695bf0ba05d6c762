//! What is asked of sets and texts: `contains`, `is empty`, `matches`.

use super::expr::{Ty, Typed, Typer, article};
use super::names::Checker;
use super::program::{ContainsMode, Expr, ExprKind, Type};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;
use crate::value::Pattern;

impl Typer<'_, '_> {
    /// `left contains [all of|any of] right`.
    pub fn contains(&mut self, mode: ContainsMode, left: &ast::Expr, right: &ast::Expr, span: Span) -> Expr {
        let l = self.present(left, None);
        let element = match &l.ty {
            Ty::Known(Type::Set(element)) => Some((**element).clone()),
            Ty::Known(other) => {
                let found = self.vocabulary().show_type(other);
                let mut d = Diagnostic::new(
                    Code::E0201,
                    left.span,
                    format!("expected a set, found {found}"),
                    format!("this is {}", article(&found)),
                )
                .label(l.declared, "declared here");
                if *other == Type::String {
                    d = d.help("for part of a text write `matches \"*part*\"`");
                }
                self.checker.report(d);
                return l.expr;
            }
            _ => None,
        };
        let expected = match mode {
            ContainsMode::One => element.clone(),
            _ => element.clone().map(|e| Type::Set(Box::new(e))),
        };
        let r =
            if l.ty == Ty::Error { Typed::error(right.span) } else { self.present(right, expected.as_ref()) };
        self.require_thing(&r);
        match (&r.ty, &expected) {
            (Ty::Known(found), Some(expected)) if !comparable_deep(found, expected) => {
                let (expected, found) = (expected.clone(), found.clone());
                self.mismatch(right.span, &expected, &found, r.declared);
            }
            _ => {}
        }
        let (l, r) = (Box::new(l.expr), Box::new(r.expr));
        let kind = match mode {
            ContainsMode::One => ExprKind::InSet(r, l),
            ContainsMode::AllOf => ExprKind::ContainsAll(l, r),
            ContainsMode::AnyOf => ExprKind::ContainsAny(l, r),
        };
        Expr { kind, span }
    }

    /// `inner is empty`.
    pub fn is_empty(&mut self, inner: &ast::Expr, span: Span) -> Expr {
        let t = self.present(inner, None);
        if let Ty::Known(ty) = &t.ty
            && !matches!(ty, Type::Set(_))
        {
            let found = self.vocabulary().show_type(ty);
            let help =
                if *ty == Type::String { "for a text write `== \"\"`" } else { "only a set can be empty" };
            self.checker.report(
                Diagnostic::new(
                    Code::E0201,
                    inner.span,
                    format!("expected a set, found {found}"),
                    format!("this is {}", article(&found)),
                )
                .label(t.declared, "declared here")
                .help(help),
            );
        }
        Expr { kind: ExprKind::IsEmpty(Box::new(t.expr)), span }
    }

    /// `inner matches "pattern"`.
    pub fn matches(&mut self, inner: &ast::Expr, pattern: &ast::Quoted, span: Span) -> Expr {
        let t = self.present(inner, None);
        if let Ty::Known(ty) = &t.ty
            && *ty != Type::String
        {
            let found = self.vocabulary().show_type(ty);
            self.checker.report(
                Diagnostic::new(
                    Code::E0201,
                    inner.span,
                    format!("expected String, found {found}"),
                    format!("this is {}", article(&found)),
                )
                .label(t.declared, "declared here")
                .help("a pattern is matched against a text"),
            );
        }
        match Pattern::parse(&pattern.text) {
            Ok(pattern) => Expr { kind: ExprKind::Matches(Box::new(t.expr), pattern), span },
            Err(why) => {
                self.bad_literal(pattern.span, &why);
                t.expr
            }
        }
    }
}

fn comparable_deep(found: &Type, expected: &Type) -> bool {
    match (found, expected) {
        (Type::Set(a), Type::Set(b)) => comparable_deep(a, b),
        _ => Checker::comparable(found, expected),
    }
}
