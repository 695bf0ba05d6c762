//! Conditions where they are used: arguments, and what a call proves to its caller.

use super::expr::{ConditionFacts, Tested, Ty, Typer};
use super::facts::{Fact, Key};
use super::names::Checker;
use super::program::{Condition, Expr, ExprKind, Parameter, Type};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, ExprKind as Ast};
use smol_str::SmolStr;

impl Typer<'_, '_> {
    pub fn names_condition(&self, name: &ast::Name) -> bool {
        let variable = self.variable.as_ref().is_some_and(|(v, _)| v.text == name.text);
        let parameter = self.env.parameters.as_ref().is_some_and(|p| p.iter().any(|p| p.name == name.text));
        !variable && !parameter && self.checker.condition_names.contains_key(&name.text)
    }

    pub fn call(&mut self, name: &ast::Name, arguments: &[ast::Expr], span: Span) -> Tested {
        let Some(id) = self.checker.condition_names.get(&name.text).copied() else {
            let known: Vec<SmolStr> = self.checker.condition_names.keys().cloned().collect();
            self.checker.unknown("condition", name, known.iter().map(SmolStr::as_str));
            return Tested::error(span);
        };
        self.checker.used.conditions.insert(id);
        // A condition that did not check was reported; calls of it agree with everything.
        let Some(condition) = self.checker.conditions[id.index()].as_ref() else {
            return Tested::error(span);
        };
        let (parameters, declared) = (condition.parameters.clone(), condition.span);
        if parameters.len() != arguments.len() {
            let wanted: Vec<String> = (parameters.iter())
                .map(|p| format!("{}: {}", p.name, self.vocabulary().show_type(&p.ty)))
                .collect();
            self.checker.report(
                Diagnostic::new(
                    Code::E0206,
                    span,
                    format!(
                        "`{}` takes {}, and {} given",
                        name.text,
                        count(parameters.len(), "argument"),
                        if arguments.len() == 1 {
                            "1 is".to_owned()
                        } else {
                            format!("{} are", arguments.len())
                        }
                    ),
                    "called here",
                )
                .label(declared, "declared here")
                .help(format!("call it as `{}({})`", name.text, wanted.join(", "))),
            );
            return Tested::error(span);
        }
        self.quantifies |= self.checker.condition_facts[id.index()].quantifies;
        if let Some((outer, _)) = &self.variable
            && self.checker.condition_facts[id.index()].quantifies
        {
            let outer = outer.span;
            self.nested_quantifier(
                span,
                outer,
                &format!("`{}` asks about the elements of a set itself", name.text),
            );
            return Tested::error(span);
        }
        let mut typed = Vec::new();
        for (argument, parameter) in arguments.iter().zip(&parameters) {
            typed.push(self.argument(argument, parameter));
        }
        let keys: Vec<Option<Key>> = typed.iter().map(Key::of).collect();
        let facts = &self.checker.condition_facts[id.index()];
        let yes = facts.yes.iter().filter_map(|f| f.substitute(&keys)).collect();
        let no = facts.no.iter().filter_map(|f| f.substitute(&keys)).collect();
        Tested { expr: Expr { kind: ExprKind::Call(id, typed), span }, yes, no }
    }

    fn argument(&mut self, argument: &ast::Expr, parameter: &Parameter) -> Expr {
        let term = if parameter.optional {
            self.term(argument, Some(&parameter.ty))
        } else {
            self.present(argument, Some(&parameter.ty))
        };
        self.require_thing(&term);
        if let Ty::Known(ty) = &term.ty
            && !Checker::fits(ty, &parameter.ty)
        {
            self.mismatch(argument.span, &parameter.ty.clone(), &ty.clone(), term.declared);
        } else if !parameter.optional && matches!(term.ty, Ty::Known(Type::Ref(_))) {
            self.require_known(&term);
        }
        term.expr
    }
}

/// What a checked condition proves, for calls from a key's own text.
pub(super) fn facts_of(condition: &Condition) -> ConditionFacts {
    let (yes, no) = proves(&condition.body);
    // A set's conditions were checked where they stand; what they call counts for a text over them too.
    ConditionFacts { yes, no, quantifies: quantifies(&condition.body) }
}

/// Whether a typed test may ask about a set's elements; a call may.
fn quantifies(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Quantifier { .. } | ExprKind::Call(..) => true,
        ExprKind::Not(inner) => quantifies(inner),
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().any(quantifies),
        ExprKind::If(a, b, c) => quantifies(a) || quantifies(b) || quantifies(c),
        _ => false,
    }
}

/// What a typed test proves when it holds and when it doesn't; calls inside it prove nothing here.
fn proves(e: &Expr) -> (Vec<Fact>, Vec<Fact>) {
    match &e.kind {
        ExprKind::Not(inner) => {
            let (yes, no) = proves(inner);
            (no, yes)
        }
        ExprKind::And(parts) => (parts.iter().flat_map(|p| proves(p).0).collect(), Vec::new()),
        ExprKind::Or(parts) => (Vec::new(), parts.iter().flat_map(|p| proves(p).1).collect()),
        ExprKind::Exists(inner) => {
            let yes = Key::of(inner).map_or_else(Vec::new, |k| k.prefixes().map(Fact::Exists).collect());
            (yes, Vec::new())
        }
        ExprKind::IsKind(inner, kind) => match Key::of(inner) {
            Some(key) => (vec![Fact::Is(key.clone(), *kind)], vec![Fact::IsNot(key, *kind)]),
            None => (Vec::new(), Vec::new()),
        },
        _ => (Vec::new(), Vec::new()),
    }
}

/// `1 argument`, `2 arguments`, `no arguments`.
fn count(n: usize, noun: &str) -> String {
    match n {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

/// Which conditions a condition's body calls, in source order.
pub(super) fn calls(e: &ast::Expr, out: &mut Vec<ast::Name>) {
    match &e.kind {
        Ast::Call(name, arguments) => {
            out.push(name.clone());
            arguments.iter().for_each(|a| calls(a, out));
        }
        Ast::Path(name, rest) if rest.is_empty() => out.push(name.clone()),
        Ast::Not(a) | Ast::IsEmpty(a) | Ast::Exists(a) | Ast::IsMissing(a) => calls(a, out),
        Ast::Matches(a, _) | Ast::IsKind(a, _, _) | Ast::HasRole(a, _) => calls(a, out),
        Ast::And(parts) | Ast::Or(parts) | Ast::Set(parts) => parts.iter().for_each(|p| calls(p, out)),
        Ast::Compare(_, _, a, b)
        | Ast::In(a, b)
        | Ast::Contains(_, a, b)
        | Ast::Add(a, b)
        | Ast::Subtract(a, b)
        | Ast::Quantifier(_, _, a, b) => {
            calls(a, out);
            calls(b, out);
        }
        Ast::If(a, b, c) => {
            calls(a, out);
            calls(b, out);
            calls(c, out);
        }
        Ast::Bool(_) | Ast::Int(_) | Ast::Decimal(_) | Ast::Duration(_) | Ast::Text(_) => {}
        Ast::Entity(..) | Ast::Path(..) => {}
    }
}
