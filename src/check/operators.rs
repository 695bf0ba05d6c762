//! Terms, literals typed by their place, and the operators between terms.

use super::expr::{Ty, Typed, Typer, article};
use super::names::Checker;
use super::program::{CompareOp, Expr, ExprKind, Sort, Type};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::SET_ELEMENTS_MAX;
use crate::source::Span;
use crate::syntax::ast::{self, ExprKind as Ast};
use crate::value::{self, Entity, KindId, Value};
use smol_str::SmolStr;

impl Typer<'_, '_> {
    /// Types an expression that has a value; `expected` types literals.
    pub fn term(&mut self, e: &ast::Expr, expected: Option<&Type>) -> Typed {
        let literal = |value, ty| Typed::of(ExprKind::Literal(value), e.span, ty);
        match &e.kind {
            Ast::Bool(b) => literal(Value::Bool(*b), Type::Bool),
            Ast::Int(i) if expected == Some(&Type::Decimal) => match i.checked_mul(10_000) {
                Some(scaled) => literal(Value::Decimal(scaled), Type::Decimal),
                None => {
                    self.bad_literal(e.span, &format!("`{i}` is too large for a Decimal"));
                    Typed::error(e.span)
                }
            },
            Ast::Int(i) => literal(Value::Int(*i), Type::Int),
            Ast::Decimal(d) => literal(Value::Decimal(*d), Type::Decimal),
            Ast::Duration(d) => literal(Value::Duration(*d), Type::Duration),
            Ast::Text(text) => self.text(text, e.span, expected),
            Ast::Set(items) => self.set(items, e.span, expected),
            Ast::Entity(kind, id) => self.entity(kind, id, e.span),
            Ast::Path(root, rest) => match self.variant(root, rest, e.span, expected) {
                Some(variant) => variant,
                None => {
                    let mut typed = self.path(root, rest, e);
                    typed.expr.span = e.span;
                    typed
                }
            },
            Ast::Add(left, right) | Ast::Subtract(left, right) => {
                self.arithmetic(matches!(e.kind, Ast::Add(..)), left, right, e.span)
            }
            _ => {
                let before = self.checker.diagnostics.len();
                self.test(e);
                if self.checker.diagnostics.len() > before {
                    return Typed::error(e.span);
                }
                self.checker.report(
                    Diagnostic::new(
                        Code::E0202,
                        e.span,
                        "a condition is not a value",
                        "this is true or false by itself; it cannot be an operand",
                    )
                    .help("combine conditions with `and`, `or`, `not`, `if … then … else …`"),
                );
                Typed::error(e.span)
            }
        }
    }

    pub fn bad_literal(&mut self, span: Span, why: &str) {
        self.checker.report(Diagnostic::new(
            Code::E0209,
            span,
            why,
            "this text is read by the type of its place",
        ));
    }

    fn text(&mut self, text: &SmolStr, span: Span, expected: Option<&Type>) -> Typed {
        let parsed = match expected {
            Some(Type::Time) => value::parse_time(text).map(Value::Time),
            Some(Type::TimeOfDay) => value::parse_time_of_day(text).map(Value::TimeOfDay),
            Some(Type::Ip) => value::parse_ip(text).map(Value::Ip),
            Some(Type::Cidr) => value::parse_cidr(text).map(Value::Cidr),
            Some(Type::Enum(id)) => {
                let e = &self.vocabulary().enums[id.index()];
                let (name, known) = (e.name.clone(), e.variants.iter().any(|(v, _)| v == text));
                let mut d = Diagnostic::new(
                    Code::E0201,
                    span,
                    format!("expected {name}, found String"),
                    "a quoted text is a String here",
                );
                if known {
                    d = d.help(format!("variants stand without quotes: `{text}`")).fix(span, text.as_str());
                }
                self.checker.report(d);
                return Typed::error(span);
            }
            _ => Ok(Value::String(text.clone())),
        };
        match parsed {
            Ok(Value::String(s)) => Typed::of(ExprKind::Literal(Value::String(s)), span, Type::String),
            Ok(value) => {
                let ty =
                    expected.cloned().expect("check: only an expected type reads a text as anything else");
                Typed::of(ExprKind::Literal(value), span, ty)
            }
            Err(why) => {
                self.bad_literal(span, &why);
                Typed::error(span)
            }
        }
    }

    fn set(&mut self, items: &[ast::Expr], span: Span, expected: Option<&Type>) -> Typed {
        let mut element: Option<Type> = match expected {
            Some(Type::Set(element)) => Some((**element).clone()),
            _ => None,
        };
        let mut exprs = Vec::with_capacity(items.len());
        let mut failed = false;
        if let Some(past) = items.get(SET_ELEMENTS_MAX) {
            let message = format!("a set has at most {SET_ELEMENTS_MAX} elements");
            self.checker.report(Diagnostic::new(Code::E0005, past.span, message, "this one is too many"));
            return Typed::error(span);
        }
        for item in items {
            let typed = self.present(item, element.as_ref());
            self.require_thing(&typed);
            match (&typed.ty, &mut element) {
                (Ty::Known(Type::Set(_) | Type::Record(_)), _) => {
                    self.checker.report(Diagnostic::new(
                        Code::E0202,
                        item.span,
                        "a set literal holds scalars and references",
                        "this is neither",
                    ));
                    failed = true;
                }
                (Ty::Known(ty), None) => element = Some(ty.clone()),
                (Ty::Known(Type::Ref(kinds)), Some(Type::Ref(all))) => {
                    all.extend(kinds.iter().copied());
                    all.sort_unstable();
                    all.dedup();
                }
                (Ty::Known(ty), Some(first)) if ty != first => {
                    let (ty, first) = (ty.clone(), first.clone());
                    self.mismatch(item.span, &first, &ty, typed.declared);
                    failed = true;
                }
                (Ty::Known(_), Some(_)) => {}
                _ => failed = true,
            }
            exprs.push(typed.expr);
        }
        let literals: Option<Vec<Value>> = (exprs.iter())
            .map(|e| match &e.kind {
                ExprKind::Literal(v) => Some(v.clone()),
                _ => None,
            })
            .collect();
        let kind =
            literals.map_or_else(|| ExprKind::Set(exprs), |values| ExprKind::Literal(Value::set(values)));
        let ty = match element {
            _ if failed => Ty::Error,
            Some(element) => Ty::Known(Type::Set(Box::new(element))),
            None => Ty::EmptySet,
        };
        Typed { expr: Expr { kind, span }, ty, absent: false, known: true, declared: Span::default() }
    }

    fn entity(&mut self, kind: &ast::Name, id: &ast::Quoted, span: Span) -> Typed {
        let Some(k) = self.checker.kinds.get(&kind.text).copied() else {
            let known: Vec<SmolStr> = self.vocabulary().kinds.iter().map(|k| k.name.clone()).collect();
            self.checker.unknown("kind", kind, known.iter().map(SmolStr::as_str));
            return Typed::error(span);
        };
        if !self.checker.check_id(k, id) {
            return Typed::error(span);
        }
        let value = Value::Entity(Entity { kind: k, id: id.text.clone() });
        // What it names may be unknown to the directory.
        Typed { known: false, ..Typed::of(ExprKind::Literal(value), span, Type::Ref(vec![k])) }
    }

    /// Whether an expression takes its type from the other side.
    fn takes_type(&self, e: &ast::Expr) -> bool {
        match &e.kind {
            Ast::Text(_) | Ast::Int(_) => true,
            Ast::Set(items) => items.iter().all(|i| self.takes_type(i)),
            Ast::Path(name, rest) if rest.is_empty() => {
                let mut probe = self.env.parameters.iter().flatten();
                let variable = self.variable.as_ref().is_some_and(|(v, _)| v.text == name.text);
                !variable
                    && !probe.any(|p| p.name == name.text)
                    && !matches!(name.text.as_str(), "account" | "resource" | "scope" | "action" | "context")
            }
            _ => false,
        }
    }

    /// Both sides of an operator, each literal typed by the other side.
    fn both(&mut self, left: &ast::Expr, right: &ast::Expr) -> (Typed, Typed) {
        let known = |t: &Typed| match &t.ty {
            Ty::Known(ty) => Some(ty.clone()),
            _ => None,
        };
        if self.takes_type(left) && !self.takes_type(right) {
            let r = self.present(right, None);
            let l = self.literal_side(left, &r, known(&r));
            (l, r)
        } else {
            let l = self.present(left, None);
            let r = self.literal_side(right, &l, known(&l));
            (l, r)
        }
    }

    /// The second side; a bare name beside something already wrong says nothing of its own.
    fn literal_side(&mut self, e: &ast::Expr, other: &Typed, expected: Option<Type>) -> Typed {
        if other.ty == Ty::Error && self.takes_type(e) {
            return Typed::error(e.span);
        }
        self.present(e, expected.as_ref())
    }

    /// `left OP right`.
    pub fn compare(
        &mut self,
        op: CompareOp,
        at: Span,
        left: &ast::Expr,
        right: &ast::Expr,
        span: Span,
    ) -> Expr {
        let (l, r) = self.both(left, right);
        self.require_thing(&l);
        self.require_thing(&r);
        let (Ty::Known(lt), Ty::Known(rt)) = (&l.ty, &r.ty) else {
            if l.ty == Ty::EmptySet || r.ty == Ty::EmptySet {
                self.not_comparable(at, "a set", &l, &r);
            }
            return Expr { kind: ExprKind::Compare(op, Box::new(l.expr), Box::new(r.expr)), span };
        };
        if !Checker::comparable(lt, rt) {
            match (lt, rt) {
                (Type::Ref(_), Type::Ref(_)) => self.never_equal(span, &l, &r, lt, rt),
                _ => self.mismatch_sides(&l, &r, lt, rt),
            }
        } else if matches!(lt, Type::Set(_) | Type::Record(_)) {
            let what = if matches!(lt, Type::Set(_)) { "a set" } else { "a record" };
            self.not_comparable(at, what, &l, &r);
        } else {
            let ordered =
                matches!(lt, Type::Int | Type::Decimal | Type::Time | Type::Duration | Type::TimeOfDay);
            if !ordered && !matches!(op, CompareOp::Eq | CompareOp::Ne) {
                let shown = self.vocabulary().show_type(lt);
                self.checker.report(
                    Diagnostic::new(
                        Code::E0202,
                        at,
                        format!("values of type {shown} have no order"),
                        "only `==` and `!=` fit here",
                    )
                    .label(l.expr.span, article(&shown))
                    .help("Int, Decimal, Time, Duration and TimeOfDay have an order"),
                );
            }
        }
        self.check_difference(&l, &r);
        // `x == true` is `x`, so that one test has one form.
        Expr { kind: ExprKind::Compare(op, Box::new(l.expr), Box::new(r.expr)), span }
    }

    fn not_comparable(&mut self, at: Span, what: &str, l: &Typed, r: &Typed) {
        let help = if what == "a set" {
            "ask with `contains all of`, `contains any of`, `in` or `is empty`"
        } else {
            "compare its fields"
        };
        self.checker.report(
            Diagnostic::new(
                Code::E0202,
                at,
                format!("{what} is not compared as a whole"),
                "this operator does not fit",
            )
            .label(l.expr.span, "one side")
            .label(r.expr.span, "the other side")
            .help(help),
        );
    }

    fn never_equal(&mut self, span: Span, l: &Typed, r: &Typed, lt: &Type, rt: &Type) {
        let (a, b) = (self.vocabulary().show_type(lt), self.vocabulary().show_type(rt));
        self.checker.report(
            Diagnostic::new(Code::E0207, span, "these two can never be equal", "their kinds do not overlap")
                .label(l.expr.span, format!("this is {}", article(&a)))
                .label(r.expr.span, format!("this is {}", article(&b))),
        );
    }

    fn mismatch_sides(&mut self, l: &Typed, r: &Typed, lt: &Type, rt: &Type) {
        // The literal, or else the right side, is what doesn't fit.
        let (wrong, wrong_ty, other_ty, declared) = match (&l.expr.kind, &r.expr.kind) {
            (ExprKind::Literal(_), kind) if !matches!(kind, ExprKind::Literal(_)) => (l, lt, rt, r.declared),
            _ => (r, rt, lt, l.declared),
        };
        let (span, expected, found) = (wrong.expr.span, other_ty.clone(), wrong_ty.clone());
        let declared = if wrong.declared == Span::default() { declared } else { wrong.declared };
        self.mismatch(span, &expected, &found, declared);
    }

    /// The time between two times is compared with a literal only.
    fn check_difference(&mut self, l: &Typed, r: &Typed) {
        let difference = |t: &Typed| matches!(t.expr.kind, ExprKind::Difference(..));
        let literal = |t: &Typed| matches!(t.expr.kind, ExprKind::Literal(_));
        if (difference(l) && !literal(r)) || (difference(r) && !literal(l)) {
            let span = if difference(l) { r.expr.span } else { l.expr.span };
            if l.ty != Ty::Error && r.ty != Ty::Error {
                self.checker.report(
                    Diagnostic::new(
                        Code::E0212,
                        span,
                        "the time between two times is compared with a literal",
                        "this is not a literal such as `90d`",
                    )
                    .help("arithmetic between attributes would make questions about a set undecidable"),
                );
            }
        }
    }

    fn arithmetic(&mut self, plus: bool, left: &ast::Expr, right: &ast::Expr, span: Span) -> Typed {
        let (l, r) = self.both(left, right);
        match (&l.ty, &r.ty) {
            (Ty::Error, _) | (_, Ty::Error) => Typed::error(span),
            (Ty::Known(Type::Time), Ty::Known(Type::Duration)) => {
                let ExprKind::Literal(Value::Duration(d)) = r.expr.kind else {
                    self.left_out(r.expr.span, "a Time is moved by a literal only");
                    return Typed::error(span);
                };
                Typed::of(ExprKind::Shift(Box::new(l.expr), if plus { d } else { -d }), span, Type::Time)
            }
            (Ty::Known(Type::Time), Ty::Known(Type::Time)) if !plus => {
                Typed::of(ExprKind::Difference(Box::new(l.expr), Box::new(r.expr)), span, Type::Duration)
            }
            _ => {
                self.left_out(span, "only `Time + literal`, `Time - literal` and `Time - Time` are computed");
                Typed::error(span)
            }
        }
    }

    fn left_out(&mut self, span: Span, why: &str) {
        self.checker.report(
            Diagnostic::new(Code::E0212, span, "arithmetic that the language leaves out", why)
                .help("let whoever sends the request send the computed value as an attribute of its own"),
        );
    }

    /// `left in right`.
    pub fn membership(&mut self, left: &ast::Expr, right: &ast::Expr, span: Span) -> Expr {
        // A quoted text on the right is a network; on the left it takes the element's type.
        if let Ast::Text(text) = &right.kind {
            let l = self.present(left, None);
            return self.in_network_text(l, text, right.span, span);
        }
        let set_literal = matches!(right.kind, Ast::Set(_));
        let (l, r) = if set_literal && !self.takes_type(left) {
            let l = self.present(left, None);
            let expected = match &l.ty {
                Ty::Known(ty) => Some(Type::Set(Box::new(ty.clone()))),
                _ => None,
            };
            let r = if l.ty == Ty::Error {
                Typed::error(right.span)
            } else {
                self.present(right, expected.as_ref())
            };
            (l, r)
        } else {
            let r = self.present(right, None);
            let expected = match &r.ty {
                Ty::Known(Type::Set(element)) => Some((**element).clone()),
                Ty::Known(Type::Cidr) => Some(Type::Ip),
                _ => None,
            };
            let l = if r.ty == Ty::Error && self.takes_type(left) {
                Typed::error(left.span)
            } else {
                self.present(left, expected.as_ref())
            };
            (l, r)
        };
        self.member(l, r, span)
    }

    fn in_network_text(&mut self, l: Typed, text: &SmolStr, at: Span, span: Span) -> Expr {
        match &l.ty {
            Ty::Known(Type::Ip) => {
                let network = self.text(text, at, Some(&Type::Cidr));
                Expr { kind: ExprKind::InNetwork(Box::new(l.expr), Box::new(network.expr)), span }
            }
            Ty::Known(ty) => {
                let found = self.vocabulary().show_type(ty);
                let mut d = Diagnostic::new(
                    Code::E0202,
                    at,
                    "a text is not something to be in",
                    "expected a set, a group, a place or, for an Ip, a network",
                )
                .label(l.expr.span, format!("this is {}", article(&found)));
                d = match ty {
                    Type::Ref(_) => {
                        d.help(format!("name its kind: `group \"{text}\"`, or a kind of scope or resource"))
                    }
                    _ => d.help(format!("for a set of one write `[\"{text}\"]`")),
                };
                self.checker.report(d);
                l.expr
            }
            _ => l.expr,
        }
    }

    fn member(&mut self, l: Typed, r: Typed, span: Span) -> Expr {
        let boxed = |l: Typed, r: Typed| (Box::new(l.expr), Box::new(r.expr));
        if matches!(r.ty, Ty::Known(Type::Set(_))) {
            self.require_thing(&l);
        }
        self.require_thing(&r);
        match (&l.ty, &r.ty) {
            (Ty::Known(element), Ty::Known(Type::Set(of))) => {
                if !Checker::comparable(element, of) {
                    let (element, of) = (element.clone(), (**of).clone());
                    self.mismatch_sides_in(&l, &r, &element, &of);
                }
                let (l, r) = boxed(l, r);
                Expr { kind: ExprKind::InSet(l, r), span }
            }
            (Ty::Known(_), Ty::EmptySet) => {
                let (l, r) = boxed(l, r);
                Expr { kind: ExprKind::InSet(l, r), span }
            }
            (Ty::Known(Type::Ip), Ty::Known(Type::Cidr)) => {
                let (l, r) = boxed(l, r);
                Expr { kind: ExprKind::InNetwork(l, r), span }
            }
            (Ty::Known(Type::Ref(a)), Ty::Known(Type::Ref(b))) => {
                let kind = self.place_or_group(a, b, &l, &r);
                let (l, r) = boxed(l, r);
                let kind = if kind { ExprKind::InGroup(l, r) } else { ExprKind::Within(l, r) };
                Expr { kind, span }
            }
            (Ty::Known(a), Ty::Known(b)) => {
                let (a, b) = (self.vocabulary().show_type(a), self.vocabulary().show_type(b));
                self.checker.report(
                    Diagnostic::new(
                        Code::E0202,
                        r.expr.span,
                        format!("{} cannot be in {}", article(&a), article(&b)),
                        "expected a set, a group, a place or, for an Ip, a network",
                    )
                    .label(l.expr.span, format!("this is {}", article(&a)))
                    .label(r.declared, "declared here"),
                );
                l.expr
            }
            _ => {
                let (l, r) = boxed(l, r);
                Expr { kind: ExprKind::InSet(l, r), span }
            }
        }
    }

    fn mismatch_sides_in(&mut self, l: &Typed, r: &Typed, element: &Type, of: &Type) {
        if matches!((element, of), (Type::Ref(_), Type::Ref(_))) {
            self.never_equal(l.expr.span.to(r.expr.span), l, r, element, of);
        } else {
            self.mismatch(l.expr.span, of, element, l.declared);
        }
    }

    /// Whether `in` between two references asks for a group (`true`) or for a place; reports when it can be neither.
    fn place_or_group(&mut self, a: &[KindId], b: &[KindId], l: &Typed, r: &Typed) -> bool {
        let v = self.vocabulary();
        let member = |k: &KindId| matches!(v.kind(*k).sort, Sort::Account | Sort::Group);
        if b.contains(&KindId::GROUP) && a.iter().any(member) {
            return true;
        }
        let reaches = |from: KindId, to: KindId| from == to || v.below(to).contains(&from);
        if a.iter().any(|a| b.iter().any(|b| reaches(*a, *b))) {
            return false;
        }
        let (at, bt) = (v.show_type(&Type::Ref(a.to_vec())), v.show_type(&Type::Ref(b.to_vec())));
        self.checker.report(
            Diagnostic::new(
                Code::E0207,
                l.expr.span.to(r.expr.span),
                format!("{} never sits in {}", article(&at), article(&bt)),
                "this can never hold",
            )
            .label(r.declared, "declared here")
            .help("`in` asks for a group of accounts, or for a kind's declared parents"),
        );
        false
    }
}
