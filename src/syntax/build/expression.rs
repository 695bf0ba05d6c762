//! Builds expressions: flat chains, one comparison a term, and other languages' operators reported by name.

use super::Builder;
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::NESTING_DEPTH_MAX;
use crate::source::Span;
use crate::syntax::ast::{CompareOp, ContainsMode, Expr, ExprKind, Name};
use crate::syntax::parse::{Pair, Pairs, Rule};
use smol_str::SmolStr;

fn node(kind: ExprKind, span: Span) -> Expr {
    Expr { kind, span, parenthesized: false }
}

impl<'a> Builder<'a> {
    /// An expression: terms joined by `and` or by `or`.
    pub(super) fn expr(&mut self, pair: Pair<'a>) -> Expr {
        let mut it = pair.into_inner();
        let first = self.term(&mut it);
        if it.peek().is_none() {
            return first;
        }
        let mut parts = vec![first];
        let mut operators: Vec<(bool, Span)> = Vec::new();
        while let Some(operator) = it.next() {
            let span = self.span(&operator);
            let and = match operator.as_str() {
                "&&" => {
                    self.foreign(Code::E0007, span, "and");
                    true
                }
                "||" => {
                    self.foreign(Code::E0007, span, "or");
                    false
                }
                word => word == "and",
            };
            operators.push((and, span));
            parts.push(self.term(&mut it));
        }
        let span = parts[0].span.to(parts[parts.len() - 1].span);
        let and = operators[0].0;
        match operators.iter().find(|(other, _)| *other != and) {
            None => node(if and { ExprKind::And(parts) } else { ExprKind::Or(parts) }, span),
            Some((_, other)) => {
                let other = *other;
                self.mixed(parts, &operators, other, span)
            }
        }
    }

    /// `a and b or c`: reported, and read as most languages would.
    fn mixed(&mut self, parts: Vec<Expr>, operators: &[(bool, Span)], other: Span, span: Span) -> Expr {
        let mut groups: Vec<Vec<Expr>> = Vec::new();
        for (i, part) in parts.into_iter().enumerate() {
            match groups.last_mut() {
                Some(group) if operators[i - 1].0 => group.push(part),
                _ => groups.push(vec![part]),
            }
        }
        let alternatives: Vec<Expr> = groups
            .into_iter()
            .map(|mut group| {
                if group.len() == 1 {
                    return group.swap_remove(0);
                }
                let span = group[0].span.to(group[group.len() - 1].span);
                Expr { kind: ExprKind::And(group), span, parenthesized: true }
            })
            .collect();
        let shown: Vec<String> = alternatives
            .iter()
            .map(|e| match e.kind {
                ExprKind::And(_) if e.parenthesized && !self.slice(e.span).starts_with('(') => {
                    format!("({})", self.slice(e.span))
                }
                ExprKind::And(_) => format!("({})", self.slice(e.span)),
                _ => self.slice(e.span).to_owned(),
            })
            .collect();
        let fixed = shown.join(" or ");
        let (first_and, first) = operators[0];
        let word = |and| if and { "`and`" } else { "`or`" };
        let mut diagnostic = Diagnostic::new(
            Code::E0011,
            other,
            "`and` and `or` are mixed without parentheses",
            format!("{} here", word(!first_and)),
        )
        .label(first, format!("{} here", word(first_and)))
        .help(if fixed.len() <= 80 && !fixed.contains('\n') {
            format!("say what belongs together, such as `{fixed}`")
        } else {
            "put parentheses around what belongs together".to_owned()
        });
        if !self.slice(span).contains("//") && self.diagnostics.iter().all(|d| d.code != Code::E0007) {
            diagnostic = diagnostic.fix(span, fixed);
        }
        self.report(diagnostic);
        node(ExprKind::Or(alternatives), span)
    }

    /// `not`s, an operand and what is said of it.
    fn term(&mut self, it: &mut Pairs<'a>) -> Expr {
        let mut nots: Vec<Span> = Vec::new();
        while let Some(not) = it.peek().filter(|p| p.as_rule() == Rule::not_op) {
            let span = self.span(&not);
            if not.as_str() == "!" {
                self.report(
                    Diagnostic::new(
                        Code::E0007,
                        span,
                        "`!` is not an operator of this language",
                        "another language's operator",
                    )
                    .help("write `not`")
                    .fix(span, "not "),
                );
            }
            nots.push(span);
            it.next();
        }
        let left = self.sum(it);
        let mut term = match it.peek() {
            Some(next) if is_relation(next.as_rule()) => self.relations(left, it),
            _ => left,
        };
        for not in nots.into_iter().rev() {
            let span = not.to(term.span);
            term = node(ExprKind::Not(Box::new(term)), span);
        }
        term
    }

    /// The relations after an operand; more than one is an error, and means each of them.
    fn relations(&mut self, mut left: Expr, it: &mut Pairs<'a>) -> Expr {
        self.bare_principal(&mut left);
        let first_at = it.peek().map(|p| self.span(&p));
        let mut parts = vec![self.relation(left, it)];
        let mut chained = None;
        while let Some(next) = it.peek().filter(|p| is_relation(p.as_rule())) {
            chained = chained.or(Some(self.span(&next)));
            let last = &parts[parts.len() - 1];
            let middle = match &last.kind {
                ExprKind::Compare(_, _, _, right)
                | ExprKind::In(_, right)
                | ExprKind::Contains(_, _, right) => (**right).clone(),
                _ => last.clone(),
            };
            let next = self.relation(middle, it);
            // A long chain stays as flat as its text.
            if parts.len() < NESTING_DEPTH_MAX {
                parts.push(next);
            }
        }
        let Some(second) = chained else { return parts.swap_remove(0) };
        let span = parts[0].span.to(parts[parts.len() - 1].span);
        let help = format!(
            "say it in two comparisons: `{} and {}`",
            self.slice(parts[0].span),
            self.slice(parts[1].span)
        );
        let plain = help.len() <= 120 && !help.contains('\n');
        let mut diagnostic =
            Diagnostic::new(Code::E0012, second, "comparisons do not chain", "a second comparison")
                .help(if plain { help } else { "say it in two comparisons joined by `and`".to_owned() });
        if let Some(first) = first_at {
            diagnostic = diagnostic.label(first, "the first comparison");
        }
        self.report(diagnostic);
        node(ExprKind::And(parts), span)
    }

    fn relation(&mut self, left: Expr, it: &mut Pairs<'a>) -> Expr {
        let Some(pair) = it.next() else { return left };
        let start = left.span;
        let at = self.span(&pair);
        let boxed = Box::new(left);
        let (kind, end) = match pair.as_rule() {
            Rule::compare_op => {
                let right = self.sum(it);
                let end = right.span;
                if self.compared_with_null(pair.as_str(), at, &boxed, &right) {
                    return node(ExprKind::IsMissing(boxed), start.to(end));
                }
                let op = self.compare_op(pair.as_str(), at);
                (ExprKind::Compare(op, at, boxed, Box::new(right)), end)
            }
            Rule::kw_in => {
                let right = self.sum(it);
                let end = right.span;
                (ExprKind::In(boxed, Box::new(right)), end)
            }
            Rule::contains_op => {
                let mode = match pair.into_inner().nth(1).map(|p| p.as_rule()) {
                    Some(Rule::kw_all) => ContainsMode::AllOf,
                    Some(_) => ContainsMode::AnyOf,
                    None => ContainsMode::One,
                };
                let right = self.sum(it);
                let end = right.span;
                (ExprKind::Contains(mode, boxed, Box::new(right)), end)
            }
            Rule::is_test => (self.is_test(pair, boxed), at),
            Rule::has_test => {
                let role = self.names(pair).pop().expect("grammar: `has role` names a role");
                (ExprKind::HasRole(boxed, role), at)
            }
            Rule::matches_test => {
                let pattern = pair.into_inner().nth(1).expect("grammar: `matches` has a pattern");
                (ExprKind::Matches(boxed, self.text_of(&pattern, true)), at)
            }
            _ => (ExprKind::Exists(boxed), at),
        };
        node(kind, start.to(end))
    }

    fn is_test(&mut self, pair: Pair<'a>, left: Box<Expr>) -> ExprKind {
        let span = self.span(&pair);
        let negated = pair.clone().into_inner().any(|p| p.as_rule() == Rule::kw_not);
        let name = self.names(pair).pop().expect("grammar: `is` has a name");
        match (name.text.as_str(), negated) {
            ("null" | "nil" | "none", _) => {
                self.null(span, span, if negated { "exists" } else { "is missing" }, "");
                ExprKind::IsMissing(left)
            }
            ("missing", false) => ExprKind::IsMissing(left),
            ("empty", false) => ExprKind::IsEmpty(left),
            ("missing", true) => {
                self.report(
                    Diagnostic::new(
                        Code::E0001,
                        span,
                        "`is not missing` is written `exists`",
                        "two words for one",
                    )
                    .help("write `exists`")
                    .fix(span, "exists"),
                );
                ExprKind::Exists(left)
            }
            ("empty", true) => {
                let whole = left.span.to(span);
                let fixed = format!("not {} is empty", self.slice(left.span));
                self.report(
                    Diagnostic::new(
                        Code::E0001,
                        span,
                        "`is not empty` puts its `not` first",
                        "`not` stands too late",
                    )
                    .help(format!("write `{fixed}`"))
                    .fix(whole, fixed),
                );
                ExprKind::Not(Box::new(node(ExprKind::IsEmpty(left), whole)))
            }
            _ => ExprKind::IsKind(left, negated, name),
        }
    }

    /// `x == null`, `null != x`: whether it was, and reported.
    fn compared_with_null(&mut self, op: &str, at: Span, left: &Expr, right: &Expr) -> bool {
        let null = |e: &Expr| {
            matches!(&e.kind, ExprKind::Path(name, rest) if rest.is_empty()
                && matches!(name.text.as_str(), "null" | "nil") && !self.bound.contains(&name.text))
        };
        let write = match op {
            "==" | "===" | "=" => "is missing",
            "!=" | "!==" | "<>" => "exists",
            _ => return false,
        };
        if null(right) {
            let said = at.to(right.span);
            self.null(said, said, write, "");
        } else if null(left) {
            let operand = format!("{} ", self.slice(right.span));
            self.null(left.span.to(at), left.span.to(right.span), write, &operand);
        } else {
            return false;
        }
        true
    }

    fn null(&mut self, said: Span, whole: Span, write: &str, operand: &str) {
        let message = format!("`{}` is written `{write}`", self.slice(said));
        self.report(
            Diagnostic::new(Code::E0007, said, message, "another language's test")
                .help(format!("write `{operand}{write}`"))
                .fix(whole, format!("{operand}{write}")),
        );
        self.lost = true;
    }

    fn compare_op(&mut self, text: &str, span: Span) -> CompareOp {
        match text {
            "==" => CompareOp::Eq,
            "!=" => CompareOp::Ne,
            "<" => CompareOp::Lt,
            "<=" => CompareOp::Le,
            ">" => CompareOp::Gt,
            ">=" => CompareOp::Ge,
            "<>" | "!==" => {
                self.foreign(Code::E0007, span, "!=");
                CompareOp::Ne
            }
            _ => {
                self.foreign(Code::E0007, span, "==");
                CompareOp::Eq
            }
        }
    }

    /// Operands joined by `+` and `-`.
    fn sum(&mut self, it: &mut Pairs<'a>) -> Expr {
        let mut left = self.atom(it);
        let mut terms = 1;
        while let Some(op) = it.peek().filter(|p| p.as_rule() == Rule::sum_op) {
            it.next();
            let right = self.atom(it);
            terms += 1;
            if terms > NESTING_DEPTH_MAX {
                if terms == NESTING_DEPTH_MAX + 1 {
                    let message = format!("more than {NESTING_DEPTH_MAX} terms in one sum");
                    self.report(
                        Diagnostic::new(Code::E0004, self.span(&op), message, "one term too many")
                            .help("only a time and a duration can be added"),
                    );
                }
                continue;
            }
            let span = left.span.to(right.span);
            let (a, b) = (Box::new(left), Box::new(right));
            left =
                node(if op.as_str() == "+" { ExprKind::Add(a, b) } else { ExprKind::Subtract(a, b) }, span);
        }
        left
    }

    fn atom(&mut self, it: &mut Pairs<'a>) -> Expr {
        let pair = it.next().expect("grammar: an operand follows");
        match pair.as_rule() {
            Rule::path => self.reference(&pair, it),
            Rule::quoted => {
                let quoted = self.quoted(&pair);
                node(ExprKind::Text(quoted.text), quoted.span)
            }
            Rule::number => {
                let (kind, span) = self.number(pair);
                node(kind, span)
            }
            Rule::parens => {
                let span = self.span(&pair);
                let inner = pair.into_inner().next().expect("grammar: parentheses hold an expression");
                let inner = self.expr(inner);
                Expr { span, parenthesized: true, ..inner }
            }
            Rule::set => {
                let span = self.span(&pair);
                let elements = self.children(pair).map(|p| self.expr(p)).collect();
                node(ExprKind::Set(elements), span)
            }
            Rule::choice => {
                let span = self.span(&pair);
                let mut parts = pair.into_inner().filter(|p| p.as_rule() == Rule::expr);
                let mut part = || {
                    let pair = parts.next().expect("grammar: `if` has three parts");
                    Box::new(self.expr(pair))
                };
                node(ExprKind::If(part(), part(), part()), span)
            }
            Rule::quantifier => self.quantifier(pair),
            other => unreachable!("grammar: {other:?} is no operand"),
        }
    }

    fn quantifier(&mut self, pair: Pair<'a>) -> Expr {
        let span = self.span(&pair);
        let mut it = pair.into_inner();
        let mut next = || it.next().expect("grammar: a quantifier is complete");
        let all = next().as_rule() == Rule::kw_all;
        let name = self.name(&next());
        next();
        let set = self.atom(&mut it);
        let mut rest = it.filter(|p| p.as_rule() == Rule::expr);
        let body = rest.next().expect("grammar: a quantifier has a body");
        self.bound.push(name.text.clone());
        let body = self.expr(body);
        self.bound.pop();
        node(ExprKind::Quantifier(all, name, Box::new(set), Box::new(body)), span)
    }

    /// A path, a call or one thing.
    fn reference(&mut self, path: &Pair<'a>, it: &mut Pairs<'a>) -> Expr {
        let span = self.span(path);
        let text = path.as_str();
        let next = it.peek().filter(|p| matches!(p.as_rule(), Rule::arguments | Rule::quoted));
        let Some((root, rest)) = text.split_once('.') else {
            let name = Name { text: SmolStr::new(text), span };
            let Some(suffix) = next else {
                return match text {
                    "true" | "false" => node(ExprKind::Bool(text == "true"), span),
                    _ => node(ExprKind::Path(name, Vec::new()), span),
                };
            };
            it.next();
            let whole = span.to(self.span(&suffix));
            if suffix.as_rule() == Rule::quoted {
                let id = self.quoted(&suffix);
                return node(ExprKind::Entity(name, id), whole);
            }
            let arguments = self.children(suffix).map(|p| self.expr(p)).collect();
            return node(ExprKind::Call(name, arguments), whole);
        };
        let mut at = span.start as usize;
        let mut part = |text: &str| {
            let name = Name { text: SmolStr::new(text), span: Span::new(span.source, at, at + text.len()) };
            at += text.len() + 1;
            name
        };
        let mut root = part(root);
        let fields: Vec<Name> = rest.split('.').map(&mut part).collect();
        self.principal(&mut root);
        if let Some(suffix) = next {
            it.next();
            let whole = span.to(self.span(&suffix));
            if self.no_call(&suffix, fields.last().unwrap_or(&root)) {
                return node(ExprKind::Bool(true), whole);
            }
        }
        node(ExprKind::Path(root, fields), span)
    }

    /// `a.b(c)` and `a.b "c"`: paths are read, not called. Whether the call would have been a condition.
    fn no_call(&mut self, suffix: &Pair<'a>, last: &Name) -> bool {
        let at = self.span(suffix);
        let method = last.text.to_ascii_lowercase();
        let help = match method.as_str() {
            "contains" | "containsall" | "containsany" => {
                "write `set contains x`, `contains all of` or `contains any of`"
            }
            "startswith" | "endswith" | "like" | "matches" => "write `text matches \"pre*\"`",
            "isempty" => "write `set is empty`",
            "exists" | "isdefined" | "ispresent" => "write `path exists`",
            _ => "only a `condition` is called, by its bare name",
        };
        let diagnostic = Diagnostic::new(
            Code::E0001,
            at,
            format!("`{}` cannot be called", last.text),
            "an attribute has no arguments",
        );
        self.report(diagnostic.help(help));
        !help.starts_with("only")
    }

    /// `principal` and `subject` as the root of a path: reported, and read as `account`.
    fn principal(&mut self, root: &mut Name) {
        if matches!(root.text.as_str(), "principal" | "subject") && !self.bound.contains(&root.text) {
            self.foreign(Code::E0008, root.span, "account");
            root.text = SmolStr::new_static("account");
        }
    }

    fn bare_principal(&mut self, left: &mut Expr) {
        if let ExprKind::Path(root, fields) = &mut left.kind
            && fields.is_empty()
        {
            self.principal(root);
        }
    }
}

fn is_relation(found: Rule) -> bool {
    matches!(
        found,
        Rule::compare_op
            | Rule::kw_exists
            | Rule::is_test
            | Rule::kw_in
            | Rule::contains_op
            | Rule::matches_test
            | Rule::has_test
    )
}
