//! The types of expressions: tests, terms and paths, with what is known where.

use super::facts::{Fact, Facts, Key};
use super::names::{Checker, list};
use super::program::{CompareOp, Expr, ExprKind, Parameter, Type, Vocabulary};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, ExprKind as Ast};
use crate::value::{ActionId, KindId, Value};
use smol_str::SmolStr;

/// What can be met where an expression stands.
#[derive(Default)]
pub(super) struct Env {
    /// Kinds of the account.
    pub account: Vec<KindId>,
    /// Kinds of the resource.
    pub resource: Vec<KindId>,
    /// Kinds that are asked of at a place, without an id.
    pub any: Vec<KindId>,
    /// Kinds of the scope.
    pub scope: Vec<KindId>,
    /// Actions.
    pub actions: Vec<ActionId>,
    /// Parameters, inside a condition.
    pub parameters: Option<Vec<Parameter>>,
    /// A false answer opens the gate: a deny's `when`, an allow's `unless`.
    pub false_opens: bool,
}

/// What a condition proves when it holds, and when it doesn't.
#[derive(Clone, Debug, Default)]
pub(super) struct ConditionFacts {
    pub yes: Vec<Fact>,
    pub no: Vec<Fact>,
    /// It asks something of a set's elements, itself or through a condition it calls.
    pub quantifies: bool,
}

/// A type, or something already reported that agrees with every type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ty {
    Known(Type),
    /// `[]`
    EmptySet,
    Error,
}

/// A term with what is known of it.
pub(super) struct Typed {
    pub expr: Expr,
    pub ty: Ty,
    /// It may be absent here.
    pub absent: bool,
    /// If a reference: what it names is known here, and may be followed.
    pub known: bool,
    /// Where its attribute is declared.
    pub declared: Span,
}

/// A test with what it proves when it holds, and when it doesn't.
pub(super) struct Tested {
    pub expr: Expr,
    pub yes: Vec<Fact>,
    pub no: Vec<Fact>,
}

/// The state of typing one rule or condition.
pub(super) struct Typer<'c, 'a> {
    pub checker: &'c mut Checker<'a>,
    pub env: Env,
    pub facts: Facts,
    /// Paths reported as unguarded once; not reported again.
    pub assumed: Vec<Key>,
    /// The quantifier's variable.
    pub variable: Option<(ast::Name, Ty)>,
    /// A quantifier was met, here or in a condition called.
    pub quantifies: bool,
}

impl Typed {
    /// Something already reported.
    pub fn error(span: Span) -> Typed {
        let expr = Expr { kind: ExprKind::Literal(Value::Bool(false)), span };
        Typed { expr, ty: Ty::Error, absent: false, known: true, declared: Span::default() }
    }

    /// A term that is always there.
    pub fn of(kind: ExprKind, span: Span, ty: Type) -> Typed {
        let expr = Expr { kind, span };
        Typed { expr, ty: Ty::Known(ty), absent: false, known: true, declared: Span::default() }
    }
}

impl Tested {
    fn plain(kind: ExprKind, span: Span) -> Tested {
        Tested { expr: Expr { kind, span }, yes: Vec::new(), no: Vec::new() }
    }

    pub fn error(span: Span) -> Tested {
        Tested::plain(ExprKind::Literal(Value::Bool(false)), span)
    }
}

impl<'c, 'a> Typer<'c, 'a> {
    pub fn new(checker: &'c mut Checker<'a>, env: Env) -> Self {
        Typer {
            checker,
            env,
            facts: Facts::default(),
            assumed: Vec::new(),
            variable: None,
            quantifies: false,
        }
    }

    pub fn vocabulary(&self) -> &Vocabulary {
        &self.checker.vocabulary
    }

    /// Types an expression that must be true or false.
    pub fn test(&mut self, e: &ast::Expr) -> Tested {
        match &e.kind {
            Ast::Not(inner) => {
                let t = self.test(inner);
                Tested { expr: not(t.expr, e.span), yes: t.no, no: t.yes }
            }
            Ast::And(parts) => self.chain(parts, e.span, true),
            Ast::Or(parts) => self.chain(parts, e.span, false),
            Ast::If(c, yes, no) => {
                let c = self.test(c);
                let yes = self.under(&c.yes, |t| t.test(yes));
                let no = self.under(&c.no, |t| t.test(no));
                let kind = ExprKind::If(Box::new(c.expr), Box::new(yes.expr), Box::new(no.expr));
                Tested::plain(kind, e.span)
            }
            Ast::Exists(inner) => self.exists(inner, e.span),
            Ast::IsMissing(inner) => {
                let t = self.exists(inner, e.span);
                Tested { expr: not(t.expr, e.span), yes: t.no, no: t.yes }
            }
            Ast::IsKind(inner, negated, kind) => self.is_kind(inner, *negated, kind, e.span),
            Ast::HasRole(account, role) => self.has_role(account, role, e.span),
            Ast::Quantifier(all, name, set, body) => self.quantifier(*all, name, set, body, e.span),
            Ast::Call(name, arguments) => self.call(name, arguments, e.span),
            Ast::Path(name, rest) if rest.is_empty() && self.names_condition(name) => {
                self.call(name, &[], e.span)
            }
            Ast::Compare(op, at, left, right) if self.is_null(right) && !self.is_null(left) => {
                self.null(*op, *at, left, right, e.span)
            }
            Ast::Compare(op, at, left, right) => {
                let expr = self.compare(*op, *at, left, right, e.span);
                Tested { expr, yes: Vec::new(), no: Vec::new() }
            }
            Ast::In(left, right) => self.tested(|t| t.membership(left, right, e.span)),
            Ast::Contains(mode, left, right) => self.tested(|t| t.contains(*mode, left, right, e.span)),
            Ast::IsEmpty(inner) => self.tested(|t| t.is_empty(inner, e.span)),
            Ast::Matches(inner, pattern) => self.tested(|t| t.matches(inner, pattern, e.span)),
            _ => {
                let term = self.present(e, Some(&Type::Bool));
                if let Ty::Known(ty) = &term.ty
                    && *ty != Type::Bool
                {
                    let found = self.vocabulary().show_type(ty);
                    self.checker.report(
                        Diagnostic::new(
                            Code::E0201,
                            e.span,
                            format!("expected a condition, found {found}"),
                            format!("this is {}, neither true nor false", article(&found)),
                        )
                        .label(term.declared, "declared here")
                        .help("compare it with something"),
                    );
                }
                Tested { expr: term.expr, yes: Vec::new(), no: Vec::new() }
            }
        }
    }

    /// `null` and its kin, where nothing is declared by that name.
    fn is_null(&self, e: &ast::Expr) -> bool {
        let Ast::Path(name, rest) = &e.kind else { return false };
        rest.is_empty()
            && matches!(name.text.as_str(), "null" | "nil" | "none" | "None" | "undefined" | "NULL")
            && !self.names_condition(name)
            && !self.env.parameters.iter().flatten().any(|p| p.name == name.text)
            && !self.vocabulary().enums.iter().any(|e| e.variants.iter().any(|(v, _)| *v == name.text))
    }

    /// `x == null`: reported, and read as the test that is meant.
    fn null(&mut self, op: CompareOp, at: Span, path: &ast::Expr, null: &ast::Expr, span: Span) -> Tested {
        let (word, shown) = (self.checker.sources.slice(null.span), self.checker.sources.slice(path.span));
        let test = if op == CompareOp::Ne { "exists" } else { "is missing" };
        let write = format!("{shown} {test}");
        self.checker.report(
            Diagnostic::new(
                Code::E0008,
                at.to(null.span),
                format!("`{word}` is not a value of this language"),
                "what is absent is not compared",
            )
            .help(format!("write `{write}`"))
            .fix(span, write),
        );
        let t = self.exists(path, span);
        if op == CompareOp::Ne { t } else { Tested { expr: not(t.expr, span), yes: t.no, no: t.yes } }
    }

    fn tested(&mut self, f: impl FnOnce(&mut Self) -> Expr) -> Tested {
        Tested { expr: f(self), yes: Vec::new(), no: Vec::new() }
    }

    /// Runs something with more facts, and forgets them afterwards.
    pub fn under<R>(&mut self, facts: &[Fact], f: impl FnOnce(&mut Self) -> R) -> R {
        let mark = self.facts.0.len();
        self.facts.0.extend_from_slice(facts);
        let result = f(self);
        self.facts.0.truncate(mark);
        result
    }

    /// `and` (`all`) or `or`: facts flow to the right, and what all parts prove together flows on.
    fn chain(&mut self, parts: &[ast::Expr], span: Span, all: bool) -> Tested {
        let mark = self.facts.0.len();
        let mut exprs = Vec::with_capacity(parts.len());
        for part in parts {
            let t = self.test(part);
            self.facts.0.extend(if all { t.yes } else { t.no });
            exprs.push(t.expr);
        }
        let gained = self.facts.0.split_off(mark);
        let kind = if all { ExprKind::And(exprs) } else { ExprKind::Or(exprs) };
        let expr = Expr { kind, span };
        if all {
            Tested { expr, yes: gained, no: Vec::new() }
        } else {
            Tested { expr, yes: Vec::new(), no: gained }
        }
    }

    fn exists(&mut self, inner: &ast::Expr, span: Span) -> Tested {
        let term = self.term_for_exists(inner);
        if term.ty != Ty::Error && Key::of(&term.expr).is_none() {
            self.checker.report(
                Diagnostic::new(Code::E0202, inner.span, "only a path can exist", "this always has a value")
                    .help("name an optional attribute, such as `resource.owner exists`"),
            );
        }
        let yes = Key::of(&term.expr).map_or_else(Vec::new, |key| key.prefixes().map(Fact::Exists).collect());
        Tested { expr: Expr { kind: ExprKind::Exists(Box::new(term.expr)), span }, yes, no: Vec::new() }
    }

    /// A term of which only the existence is asked: nothing on its way needs a guard.
    fn term_for_exists(&mut self, e: &ast::Expr) -> Typed {
        let Ast::Path(root, rest) = &e.kind else { return self.term(e, None) };
        let (mut typed, rest) = self.beginning(root, rest, e);
        for name in rest {
            let mark = self.facts.0.len();
            if let Some(key) = Key::of(&typed.expr) {
                self.facts.0.push(Fact::Exists(key));
            }
            typed.absent = false;
            typed.known = true;
            typed = self.step(typed, name);
            self.facts.0.truncate(mark);
        }
        typed
    }

    fn is_kind(&mut self, inner: &ast::Expr, negated: bool, kind: &ast::Name, span: Span) -> Tested {
        let term = self.present(inner, None);
        let Some(id) = self.checker.kinds.get(&kind.text).copied() else {
            let known: Vec<SmolStr> = self.vocabulary().kinds.iter().map(|k| k.name.clone()).collect();
            self.checker.unknown("kind", kind, known.iter().map(SmolStr::as_str));
            return Tested::error(span);
        };
        match &term.ty {
            Ty::Known(Type::Ref(kinds)) if !kinds.contains(&id) => {
                let names: Vec<SmolStr> =
                    kinds.iter().map(|k| self.vocabulary().kind(*k).name.clone()).collect();
                self.checker.report(
                    Diagnostic::new(
                        Code::E0207,
                        kind.span,
                        format!("this is never a `{}` here", kind.text),
                        if names.is_empty() {
                            "nothing is left that it could be".to_owned()
                        } else {
                            format!("it is {}", any_of(&names))
                        },
                    )
                    .help("drop this test, or widen what the rule covers"),
                );
                return Tested::error(span);
            }
            Ty::Known(Type::Ref(_)) => {}
            Ty::Known(ty) => {
                let found = self.vocabulary().show_type(ty);
                self.checker.report(Diagnostic::new(
                    Code::E0202,
                    inner.span,
                    format!("`is` asks for the kind of an entity, and this is {}", article(&found)),
                    format!("this is {}", article(&found)),
                ));
                return Tested::error(span);
            }
            _ => return Tested::error(span),
        }
        let key = Key::of(&term.expr);
        let yes: Vec<Fact> = key.iter().map(|k| Fact::Is(k.clone(), id)).collect();
        let no: Vec<Fact> = key.iter().map(|k| Fact::IsNot(k.clone(), id)).collect();
        let expr = Expr { kind: ExprKind::IsKind(Box::new(term.expr), id), span };
        if negated { Tested { expr: not(expr, span), yes: no, no: yes } } else { Tested { expr, yes, no } }
    }

    fn has_role(&mut self, account: &ast::Expr, role: &ast::Name, span: Span) -> Tested {
        let term = self.term(account, None);
        if term.ty != Ty::Error && term.expr.kind != ExprKind::Account {
            self.checker.report(
                Diagnostic::new(
                    Code::E0202,
                    account.span,
                    "only the account that asks holds roles for this request",
                    "this is not `account`",
                )
                .help("write `account has role …`"),
            );
        }
        match self.checker.role_names.get(&role.text) {
            Some(id) => Tested::plain(ExprKind::HasRole(*id), span),
            None => {
                let known: Vec<SmolStr> = self.checker.role_names.keys().cloned().collect();
                self.checker.unknown("role", role, known.iter().map(SmolStr::as_str));
                Tested::error(span)
            }
        }
    }

    fn quantifier(
        &mut self,
        all: bool,
        name: &ast::Name,
        set: &ast::Expr,
        body: &ast::Expr,
        span: Span,
    ) -> Tested {
        if let Some((outer, _)) = &self.variable {
            let outer = outer.span;
            self.nested_quantifier(span, outer, "this one is nested");
            return Tested::error(span);
        }
        self.quantifies = true;
        if matches!(name.text.as_str(), "account" | "resource" | "scope" | "action" | "context") {
            self.checker.report(
                Diagnostic::new(
                    Code::E0108,
                    name.span,
                    format!("a variable cannot be called `{}`", name.text),
                    "this word has a fixed meaning in rules",
                )
                .help("choose another name"),
            );
            return Tested::error(span);
        }
        let set_term = self.present(set, None);
        let element = match &set_term.ty {
            Ty::Known(Type::Set(element)) => Ty::Known((**element).clone()),
            Ty::Known(other) => {
                let found = self.vocabulary().show_type(other);
                self.checker.report(
                    Diagnostic::new(
                        Code::E0201,
                        set.span,
                        format!("expected a set, found {found}"),
                        format!("this is {}", article(&found)),
                    )
                    .label(set_term.declared, "declared here"),
                );
                Ty::Error
            }
            _ => Ty::Error,
        };
        self.variable = Some((name.clone(), element));
        let body = self.test(body);
        self.variable = None;
        let kind = ExprKind::Quantifier { all, set: Box::new(set_term.expr), body: Box::new(body.expr) };
        Tested::plain(kind, span)
    }

    pub fn nested_quantifier(&mut self, span: Span, outer: Span, label: &str) {
        self.checker.report(
            Diagnostic::new(Code::E0208, span, "a quantifier inside a quantifier", label)
                .label(outer, "the outer one binds its variable here")
                .help(
                    "every question about a set must stay decidable; compare with `contains any of` instead",
                ),
        );
    }

    /// Reports a type that is not the expected one.
    pub fn mismatch(&mut self, span: Span, expected: &Type, found: &Type, declared: Span) {
        let (want, got) = (self.vocabulary().show_type(expected), self.vocabulary().show_type(found));
        let mut d = Diagnostic::new(
            Code::E0201,
            span,
            format!("expected {want}, found {got}"),
            format!("this is {}", article(&got)),
        )
        .label(declared, "declared here");
        if *found == Type::Int && *expected == Type::Decimal {
            d = d.help("an Int attribute and a Decimal are not compared; declare both alike");
        } else if let (Type::Ref(kinds), Type::String) = (expected, found)
            && let Some(kind) = kinds.first()
        {
            d = d.help(format!(
                "a reference is written with its kind: `{} \"…\"`",
                self.vocabulary().kind(*kind).name
            ));
        }
        self.checker.report(d);
    }

    /// A term that must be there.
    pub fn present(&mut self, e: &ast::Expr, expected: Option<&Type>) -> Typed {
        let typed = self.term(e, expected);
        self.require_present(&typed);
        typed
    }

    /// Reports an optional that is read without a guard.
    pub fn require_present(&mut self, typed: &Typed) {
        if typed.absent && typed.ty != Ty::Error {
            self.unguarded(typed, "may be missing here");
        }
    }

    pub fn require_known(&mut self, typed: &Typed) {
        if !typed.known && typed.ty != Ty::Error {
            self.unguarded(typed, "refers to something that may be unknown");
        }
    }

    /// Reports `resource` itself taken as a value where the rule also covers `any KIND`, which is no thing.
    pub fn require_thing(&mut self, typed: &Typed) {
        let (ExprKind::Resource, Ty::Known(Type::Ref(kinds))) = (&typed.expr.kind, &typed.ty) else { return };
        let id = Key { root: super::facts::Root::Resource, steps: vec![super::facts::Step::Id] };
        if !kinds.iter().any(|k| self.env.any.contains(k))
            || self.facts.exists(&id)
            || self.assumed.contains(&id)
        {
            return;
        }
        self.assumed.push(id);
        self.checker.report(
            Diagnostic::new(
                Code::E0204,
                typed.expr.span,
                "`resource` may be no thing here",
                "an action of this rule is asked of a kind at a place, where there is no id",
            )
            .help("ask first: `resource.id exists and …`, or cover fewer actions"),
        );
    }

    fn unguarded(&mut self, typed: &Typed, why: &str) {
        if let Some(key) = Key::of(&typed.expr) {
            if self.assumed.contains(&key) {
                return;
            }
            self.assumed.push(key);
        } else if matches!(typed.expr.kind, ExprKind::Literal(_)) {
            let text = self.checker.sources.slice(typed.expr.span).to_owned();
            self.checker.report(
                Diagnostic::new(
                    Code::E0204,
                    typed.expr.span,
                    format!("`{text}` is read without a guard"),
                    format!("`{text}` {why}"),
                )
                .help(
                    "let the parameter be optional (`KIND?`), and ask in the condition whether it `exists`",
                ),
            );
            return;
        }
        let text = self.checker.sources.slice(typed.expr.span).to_owned();
        let help = if self.env.false_opens {
            format!(
                "decide what absence means: `{text} is missing or …` keeps the gate shut, `{text} exists and …` opens it"
            )
        } else {
            format!("ask first: `{text} exists and …`")
        };
        self.checker.report(
            Diagnostic::new(
                Code::E0204,
                typed.expr.span,
                format!("`{text}` is read without a guard"),
                format!("`{text}` {why}"),
            )
            .label(typed.declared, "declared here")
            .help(help),
        );
    }
}

pub(super) fn not(expr: Expr, span: Span) -> Expr {
    match expr.kind {
        ExprKind::Not(inner) => Expr { kind: inner.kind, span },
        kind => Expr { kind: ExprKind::Not(Box::new(Expr { kind, span: expr.span })), span },
    }
}

/// `an Int`, `a String`; phrases stay as they are.
pub(super) fn article(noun: &str) -> String {
    if noun.starts_with("a ") {
        noun.to_owned()
    } else if noun.starts_with(['A', 'E', 'I', 'O', 'a', 'e', 'i', 'o']) {
        format!("an {noun}")
    } else {
        format!("a {noun}")
    }
}

/// `a`, `b` or `c`, in backticks.
pub(super) fn any_of(names: &[SmolStr]) -> String {
    let text = list(names);
    match text.rfind(" and ") {
        Some(at) => format!("{} or {}", &text[..at], &text[at + 5..]),
        None => text,
    }
}
