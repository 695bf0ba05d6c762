//! Makes the document of a file: where lines may break, from the syntax tree.

use super::print::Doc;
use crate::source::Span;
use crate::syntax::ast::{
    Block, Declaration, Expr, ExprKind, Field, FieldValue, File, Rule, Step, Test, Where,
};
use crate::syntax::lex::{Token, TokenKind};
use rustc_hash::FxHashMap;

/// Operands and the words between them: breaks before each word or before none.
struct Chain {
    /// One past its last token.
    end: usize,
    /// The tokens before which it breaks.
    breaks: Vec<usize>,
}

pub(super) struct Layout<'a> {
    text: &'a str,
    code: &'a [Token],
    comments: &'a [Token],
    /// The chains of the current item, by their first token.
    chains: FxHashMap<usize, Chain>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(text: &'a str, code: &'a [Token], comments: &'a [Token]) -> Self {
        Layout { text, code, comments, chains: FxHashMap::default() }
    }

    /// The document of a whole file.
    pub(super) fn file(&mut self, file: &File) -> Vec<Doc> {
        let mut docs = Vec::new();
        for declaration in &file.declarations {
            docs.push(Doc::Hard);
            self.declaration(declaration, &mut docs);
        }
        docs
    }

    /// The first token at or after a byte.
    fn from(&self, at: u32) -> usize {
        self.code.partition_point(|t| t.start < at as usize)
    }

    fn range(&self, span: Span) -> (usize, usize) {
        (self.from(span.start), self.from(span.end))
    }

    fn slice(&self, i: usize) -> &'a str {
        &self.text[self.code[i].start..self.code[i].end]
    }

    fn declaration(&mut self, declaration: &Declaration, docs: &mut Vec<Doc>) {
        let (start, end) = self.range(declaration.span());
        match declaration {
            Declaration::Block(block) => self.block(block, start, end, docs),
            Declaration::Test(test) => self.test(test, start, end, docs),
            other => {
                if let Declaration::Condition(condition) = other {
                    self.expr(&condition.body);
                }
                docs.extend(self.sequence(start, end));
            }
        }
    }

    fn block(&mut self, block: &Block, start: usize, end: usize, docs: &mut Vec<Doc>) {
        let items: Vec<(usize, usize)> = block
            .rules
            .iter()
            .map(|r| {
                let first = r.expects.first().map_or(r.span.start, |e| e.span.start);
                (self.from(first), self.from(r.span.end))
            })
            .collect();
        let mut bodies = Vec::new();
        for (rule, (from, to)) in block.rules.iter().zip(&items) {
            bodies.push(self.rule(rule, *from, *to));
        }
        self.braced(start, end, bodies, docs);
    }

    fn test(&mut self, test: &Test, start: usize, end: usize, docs: &mut Vec<Doc>) {
        let bodies = self.steps(&test.steps);
        self.braced(start, end, bodies, docs);
    }

    /// A head, a brace, items, a brace; on one line if it is one item that its author put there.
    fn braced(&mut self, start: usize, end: usize, bodies: Vec<Vec<Doc>>, docs: &mut Vec<Doc>) {
        let open = (start..end).find(|i| self.code[*i].kind == TokenKind::Open(b'{')).unwrap_or(start);
        docs.extend(self.sequence(start, open));
        docs.push(self.body(open, end - 1, bodies));
    }

    fn body(&self, open: usize, close: usize, bodies: Vec<Vec<Doc>>) -> Doc {
        let broken = bodies.len() > 1
            || (!bodies.is_empty() && self.newline_after(open))
            || self.comment_between(open, close)
            || bodies.iter().flatten().any(|d| matches!(d, Doc::Hard));
        let mut inner = Vec::new();
        for body in bodies {
            inner.push(Doc::Line(true));
            inner.extend(body);
        }
        let mut docs = vec![Doc::Token(open), Doc::Indent(inner)];
        if close > open + 1 || broken {
            docs.push(Doc::Line(false));
        }
        docs.push(Doc::Token(close));
        Doc::Group(docs, broken)
    }

    fn newline_after(&self, i: usize) -> bool {
        let end = self.code.get(i + 1).map_or(self.text.len(), |t| t.start);
        self.text[self.code[i].end..end].contains('\n')
    }

    fn comment_between(&self, first: usize, last: usize) -> bool {
        let (from, to) = (self.code[first].start, self.code[last].start);
        let at = self.comments.partition_point(|c| c.start < from);
        self.comments.get(at).is_some_and(|c| c.start < to)
    }

    /// A rule: its `expect` lines, its head, and its clauses, which break together.
    fn rule(&mut self, rule: &Rule, start: usize, end: usize) -> Vec<Doc> {
        self.chains.clear();
        let mut docs = Vec::new();
        for expect in &rule.expects {
            let (from, to) = self.range(expect.span);
            docs.extend((from..to).map(Doc::Token));
            docs.push(Doc::Hard);
        }
        let start = rule.expects.last().map_or(start, |e| self.from(e.span.end));
        let mut clauses: Vec<usize> = Vec::new();
        let values = [
            rule.at.first().map(|w| match w {
                Where::Kind(name, _) | Where::KindIn(name, ..) => name.span.start,
            }),
            rule.when.as_ref().map(|e| e.span.start),
            rule.unless.as_ref().map(|e| e.span.start),
            rule.until.as_ref().map(|q| q.span.start),
            rule.because.as_ref().map(|q| q.span.start),
            rule.ask.as_ref().map(|n| n.span.start),
        ];
        clauses.extend(values.into_iter().flatten().map(|at| self.from(at) - 1));
        clauses.sort_unstable();
        for condition in rule.when.iter().chain(&rule.unless) {
            self.expr(condition);
        }
        let broken =
            clauses.iter().any(|c| self.newline_after(c - 1)) || self.comment_between(start, end - 1);
        let head_end = clauses.first().copied().unwrap_or(end);
        let mut inner = self.sequence(start, head_end);
        for (i, clause_word) in clauses.iter().enumerate() {
            let to = clauses.get(i + 1).copied().unwrap_or(end);
            let mut clause = vec![Doc::Line(false), Doc::Token(*clause_word)];
            clause.extend(self.sequence(clause_word + 1, to));
            inner.push(Doc::Indent(clause));
        }
        docs.push(Doc::Group(inner, broken));
        docs
    }

    fn steps(&mut self, steps: &[Step]) -> Vec<Vec<Doc>> {
        let mut bodies = Vec::new();
        for step in steps {
            self.chains.clear();
            let (start, end) = self.step_range(step);
            if let Step::For(_, _, inner, _) = step {
                let open =
                    (start..end).find(|i| self.code[*i].kind == TokenKind::Open(b'{')).unwrap_or(start);
                let mut docs = self.sequence(start, open);
                let inner = self.steps(inner);
                docs.push(self.body(open, end - 1, inner));
                bodies.push(docs);
                continue;
            }
            self.step_chains(step);
            bodies.push(self.step(start, end));
        }
        bodies
    }

    /// The tokens of a step; a `let` begins two words before its name's end.
    fn step_range(&self, step: &Step) -> (usize, usize) {
        match step {
            Step::Let(name, entity) => (self.from(name.span.start) - 1, self.from(entity.span.end)),
            Step::Bind(b) => self.range(b.span),
            Step::Link(l) => self.range(l.span),
            Step::Attach(_, _, span) | Step::Context(_, span) | Step::For(_, _, _, span) => self.range(*span),
            Step::Assert(a) => self.range(a.span),
        }
    }

    fn step_chains(&mut self, step: &Step) {
        match step {
            Step::Let(_, entity) => self.fields(&entity.fields),
            Step::Context(fields, _) => self.fields(fields),
            Step::Assert(a) => {
                self.fields(&a.properties);
                self.fields(&a.with);
            }
            _ => {}
        }
    }

    fn fields(&mut self, fields: &[Field]) {
        for field in fields {
            match &field.value {
                FieldValue::Expr(expr) => self.expr(expr),
                FieldValue::Record(inner, _) => self.fields(inner),
            }
        }
    }

    /// The tokens of a step; where it is too long it goes on before one of its words.
    fn step(&mut self, start: usize, end: usize) -> Vec<Doc> {
        let mut docs = Vec::new();
        for doc in self.sequence(start, end) {
            if let Doc::Token(i) = doc
                && i > start
                && matches!(
                    self.slice(i),
                    "to" | "on" | "at" | "with" | "by" | "ask" | "acting" | "using" | "under" | "until"
                )
            {
                docs.push(Doc::Fill);
            }
            docs.push(doc);
        }
        docs
    }

    /// Notes the chains of an expression.
    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::And(parts) | ExprKind::Or(parts) => {
                let breaks = parts[1..].iter().map(|p| self.from(p.span.start) - 1).collect();
                let end = self.from(parts[parts.len() - 1].span.end);
                self.chains.insert(self.from(parts[0].span.start), Chain { end, breaks });
                parts.iter().for_each(|p| self.expr(p));
            }
            ExprKind::If(condition, then, otherwise) => {
                let breaks = [then, otherwise].map(|e| self.from(e.span.start) - 1).to_vec();
                let end = self.from(otherwise.span.end);
                self.chains.insert(self.from(condition.span.start) - 1, Chain { end, breaks });
                for part in [condition, then, otherwise] {
                    self.expr(part);
                }
            }
            ExprKind::Set(items) | ExprKind::Call(_, items) => items.iter().for_each(|e| self.expr(e)),
            ExprKind::Compare(_, _, a, b)
            | ExprKind::In(a, b)
            | ExprKind::Contains(_, a, b)
            | ExprKind::Quantifier(_, _, a, b)
            | ExprKind::Add(a, b)
            | ExprKind::Subtract(a, b) => {
                self.expr(a);
                self.expr(b);
            }
            ExprKind::Not(a)
            | ExprKind::IsEmpty(a)
            | ExprKind::Matches(a, _)
            | ExprKind::Exists(a)
            | ExprKind::IsMissing(a)
            | ExprKind::IsKind(a, ..)
            | ExprKind::HasRole(a, _) => self.expr(a),
            ExprKind::Bool(_)
            | ExprKind::Int(_)
            | ExprKind::Decimal(_)
            | ExprKind::Duration(_)
            | ExprKind::Text(_)
            | ExprKind::Entity(..)
            | ExprKind::Path(..) => {}
        }
    }

    /// Tokens with their brackets and chains; a long list goes on after one of its commas.
    fn sequence(&mut self, start: usize, end: usize) -> Vec<Doc> {
        let mut docs = Vec::with_capacity(end.saturating_sub(start));
        let mut at = start;
        while at < end {
            if let Some(chain) = self.chains.remove(&at)
                && chain.end <= end
            {
                let mut inner = Vec::new();
                let mut from = at;
                for stop in chain.breaks.iter().copied().chain([chain.end]) {
                    inner.extend(self.sequence(from, stop));
                    if stop < chain.end {
                        inner.extend([Doc::Line(false), Doc::Token(stop)]);
                    }
                    from = stop + 1;
                }
                let broken = self.comment_between(at, chain.end - 1);
                // Alone in brackets it is as deep as they made it.
                let alone = at == start && chain.end == end && start > 0 && self.is_open(start - 1);
                docs.push(Doc::Group(if alone { inner } else { vec![Doc::Indent(inner)] }, broken));
                at = chain.end;
            } else if self.is_open(at) {
                let close = self.closing(at, end);
                docs.push(self.bracket(at, close));
                at = close + 1;
            } else {
                docs.push(Doc::Token(at));
                if self.slice(at) == "," {
                    docs.push(Doc::Fill);
                }
                at += 1;
            }
        }
        docs
    }

    fn is_open(&self, i: usize) -> bool {
        matches!(self.code[i].kind, TokenKind::Open(_))
    }

    fn closing(&self, open: usize, end: usize) -> usize {
        let mut depth = 0usize;
        for i in open..end {
            match self.code[i].kind {
                TokenKind::Open(_) => depth += 1,
                TokenKind::Close(_) => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return i;
            }
        }
        unreachable!("format: the brackets of a source that parses are closed")
    }

    /// A list or a condition in brackets; a list in braces stays broken where its author broke it.
    fn bracket(&mut self, open: usize, close: usize) -> Doc {
        if close == open + 1 && !self.comment_between(open, close) {
            return Doc::Group(vec![Doc::Token(open), Doc::Token(close)], false);
        }
        let braces = self.code[open].kind == TokenKind::Open(b'{');
        let broken =
            braces && close > open + 1 && self.newline_after(open) || self.comment_between(open, close);
        let last = if close > open + 1 && self.slice(close - 1) == "," { close - 1 } else { close };
        let mut inner = vec![Doc::Line(false)];
        for doc in self.sequence(open + 1, last) {
            inner.push(if matches!(doc, Doc::Fill) { Doc::Line(braces) } else { doc });
        }
        if close > open + 1 && self.code[open].kind != TokenKind::Open(b'(') {
            inner.push(Doc::TrailingComma);
        }
        if last < close {
            inner.push(Doc::Dropped(last));
        }
        Doc::Group(vec![Doc::Token(open), Doc::Indent(inner), Doc::Line(false), Doc::Token(close)], broken)
    }
}
