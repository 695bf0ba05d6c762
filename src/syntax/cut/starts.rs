//! Where declarations, rules and steps begin.

use super::{Bracket, Cutter, PieceKind};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::complain::may_be_clause;
use crate::syntax::lex::{self, Token, TokenKind, WordClass, word_class};

impl<'a> Cutter<'a> {
    /// A word with a class, not after a dot: may open a declaration, a rule or a step.
    pub(super) fn word(&mut self, token: Token, class: WordClass) {
        if class & lex::STARTER != 0 && !self.rules_only && self.starts_declaration(token) {
            self.declaration(token);
            return;
        }
        if class & lex::EFFECT != 0 && self.continues_head() {
            if let Some(item) = &mut self.item {
                item.only_expects = false;
            }
            self.opened = true;
            return;
        }
        if class & (lex::EFFECT | lex::STEP | lex::EXPECT) != 0 {
            if self.body.is_none() {
                self.missing_brace_of_head(token, class);
            }
            if self.body.is_some() && self.starts_item(token, class) {
                self.item_start(token, class);
                return;
            }
        }
        if class & lex::NESTS != 0 {
            self.nests += 1 + self.nots;
            self.check_depth(token);
        } else if class & lex::QUANTIFIER != 0 {
            self.nests += self.nots;
        }
    }

    /// A name where nothing wants one: first on its line between items, it begins a rule (`name: …`) or a mistake.
    pub(super) fn stray(&mut self, token: Token) {
        if self.named_rule(token) {
            return;
        }
        if self.expects {
            return;
        }
        let inside = self.body.is_some();
        let between = self.item.is_some() && self.stack.len() == self.base && self.overflow == 0;
        if !between || !self.first_on_line(token) || self.after_dot || self.colon_before() {
            return;
        }
        let column_0 = token.start == 0 || self.text.as_bytes()[token.start - 1] == b'\n';
        let fresh = self.fresh_word().is_some_and(|w| word_class(w) & lex::STARTER != 0);
        let kind = self.item.as_ref().map(|i| i.kind);
        if inside {
            let named = self.peek().0.is_some_and(|n| self.slice(n) == ":");
            if named && self.item.as_ref().is_some_and(|i| i.only_expects) {
                return; // `expect CODE "reason"` stands above this name, in the same rule
            }
            if named || !may_be_clause(self.slice(token)) {
                self.item_start(token, 0);
            }
        } else if column_0
            && !fresh
            && kind != Some(PieceKind::BlockHead)
            && kind != Some(PieceKind::TestHead)
        {
            self.finish();
            self.begin(PieceKind::Junk, token.start, token.start);
        }
    }

    /// `NAME: allow` first on its line begins a rule, also where a bracket or a condition above it does not end.
    fn named_rule(&mut self, token: Token) -> bool {
        let (colon, mut ahead) = self.peek();
        let named = colon.is_some_and(|t| self.slice(t) == ":")
            && ahead.next_code().is_some_and(|t| word_class(self.slice(t)) & lex::EFFECT != 0);
        if !named || self.after_dot || self.colon_before() || !self.first_on_line(token) {
            return false;
        }
        if self.body.is_none() {
            self.missing_brace_of_head(token, lex::EFFECT);
        }
        let below_expect = self.item.as_ref().is_some_and(|i| i.only_expects);
        if self.body != Some(PieceKind::Rule) || below_expect || !self.parentheses_only() {
            return false;
        }
        self.item_start(token, 0);
        true
    }

    /// Whether a rule may begin here: no brace is open in the one above.
    fn parentheses_only(&self) -> bool {
        self.overflow == 0 && self.stack.iter().skip(self.base).all(|b| b.sign != b'{')
    }

    pub(super) fn starts_declaration(&self, token: Token) -> bool {
        let inside = !self.stack.is_empty() || self.body.is_some();
        let column_0 = token.start == 0 || self.text.as_bytes()[token.start - 1] == b'\n';
        if inside && !column_0 {
            return false;
        }
        let first = self.first_on_line(token);
        let Some(next) = self.peek().0 else { return !inside && first };
        match (self.slice(token), next.kind) {
            ("context", TokenKind::Open(b'{')) => {
                !self.expects
                    && self.fresh_word().is_none()
                    && !(inside && self.body == Some(PieceKind::Step))
            }
            ("group", TokenKind::Open(b'{')) => !self.expects && self.fresh_word().is_none(),
            ("test" | "prove", TokenKind::Text | TokenKind::SingleText) => first || !self.expects,
            (_, TokenKind::Word) => {
                let after = word_class(self.slice(next)) & lex::AFTER != 0;
                // These are kinds too, which a list may go on with.
                let kind = matches!(self.slice(token), "group" | "role" | "policy");
                if kind && self.expects && !column_0 {
                    false
                } else if first {
                    !after || !self.expects && !inside
                } else {
                    !self.expects && self.fresh_word().is_none()
                }
            }
            (_, TokenKind::Open(b'{') | TokenKind::Text | TokenKind::SingleText) => {
                first && !self.expects && !inside
            }
            _ => false,
        }
    }

    /// The previous word, when the current piece consists of nothing else (then this word is a name).
    pub(super) fn fresh_word(&self) -> Option<&'a str> {
        let item = self.item.as_ref()?;
        let previous = self.previous?;
        (item.start == previous.start && item.kind != PieceKind::Junk).then(|| self.slice(previous))
    }

    pub(super) fn declaration(&mut self, token: Token) {
        if !self.stack.is_empty() || self.body.is_some() {
            self.unclosed();
            let at = self.previous.map_or(token.start, |p| p.end);
            self.end_body(at, at);
        }
        self.headless();
        let kind = match self.slice(token) {
            "enum" => PieceKind::Enum,
            "record" => PieceKind::Record,
            "action" => PieceKind::Action,
            "context" => PieceKind::Context,
            "condition" => PieceKind::Condition,
            "prove" => PieceKind::Prove,
            "test" => PieceKind::TestHead,
            "policy" | "role" | "boundary" => PieceKind::BlockHead,
            _ => PieceKind::Kind,
        };
        self.begin(kind, token.start, token.start);
    }

    /// `policy p` with a rule on its next line: reads on as if the brace stood there.
    pub(super) fn missing_brace_of_head(&mut self, token: Token, class: WordClass) {
        let body = match self.item.as_ref().map(|i| i.kind) {
            Some(PieceKind::BlockHead) if class & lex::EFFECT != 0 => PieceKind::Rule,
            Some(PieceKind::TestHead) if class & lex::EXPECT == 0 => PieceKind::Step,
            _ => return,
        };
        let goes_on = self.peek().0.is_some_and(|n| n.kind == TokenKind::Word || self.slice(n) == ":");
        if !self.stack.is_empty() || !goes_on || !self.first_on_line(token) {
            return;
        }
        let at = self.item.as_ref().map_or(token.start, |i| i.end);
        let span = Span::new(self.id, at, at);
        self.report(
            Diagnostic::new(Code::E0001, span, "expected `{`", "its body opens here")
                .help("put `{` here")
                .fix(span, " {"),
        );
        self.finish();
        self.stack.push(Bracket { sign: b'{', at, nests: 0 });
        (self.body, self.base) = (Some(body), 1);
    }

    pub(super) fn starts_item(&self, token: Token, class: WordClass) -> bool {
        let (Some(next), mut ahead) = self.peek() else { return false };
        let first = self.first_on_line(token);
        let deeper = self.stack.len() > self.base;
        if deeper && (!first || !self.parentheses_only()) {
            return false;
        }
        let next_after = next.kind == TokenKind::Word && word_class(self.slice(next)) & lex::AFTER != 0;
        let plain = match next.kind {
            TokenKind::Word if first => !next_after || !self.expects,
            TokenKind::Word => !self.expects,
            TokenKind::Text | TokenKind::SingleText | TokenKind::Open(b'(') => first && !self.expects,
            _ => false,
        };
        if self.body == Some(PieceKind::Rule) {
            return class & lex::EFFECT != 0 && plain
                || class & lex::EXPECT != 0
                    && plain
                    && !self.item.as_ref().is_some_and(|i| i.only_expects && self.previous_is_text())
                    && ahead.next_code().is_some_and(|t| t.kind == TokenKind::Text);
        }
        match self.slice(token) {
            "let" => plain && (first || ahead.next_code().is_some_and(|t| self.slice(t) == "=")),
            "for" => {
                next.kind == TokenKind::Word
                    && ahead.next_code().is_some_and(|t| self.slice(t) == "in")
                    && ahead.next_code().is_some_and(|t| t.kind == TokenKind::Open(b'['))
            }
            "context" => next.kind == TokenKind::Open(b'{') && !self.expects,
            "expect" => false,
            _ => plain,
        }
    }

    pub(super) fn previous_is_text(&self) -> bool {
        self.previous.is_some_and(|p| p.kind == TokenKind::Text)
    }

    pub(super) fn colon_before(&self) -> bool {
        self.previous.is_some_and(|p| self.slice(p) == ":")
    }

    /// Whether `allow` or `deny` here goes on a rule that began with `expect` or its name.
    pub(super) fn continues_head(&self) -> bool {
        let Some(item) = &self.item else { return false };
        item.kind == PieceKind::Rule
            && self.stack.len() == self.base
            && (self.colon_before() || item.only_expects && self.previous_is_text())
    }

    pub(super) fn item_start(&mut self, token: Token, class: WordClass) {
        self.close_parentheses();
        self.finish();
        self.begin(self.body.unwrap_or(PieceKind::Junk), token.start, token.start);
        if let Some(item) = &mut self.item {
            item.only_expects = class & lex::EXPECT != 0;
        }
        self.opened = class != 0;
    }

    /// A colon between items: the word before it names a rule, which begins there.
    pub(super) fn name_of_rule(&mut self) {
        let (Some(name), Some(item)) = (self.previous, &mut self.item) else { return };
        let own_line = self.text.as_bytes()[item.end_before..name.start].contains(&b'\n');
        if name.kind != TokenKind::Word || item.start == name.start || (self.expected && !own_line) {
            return;
        }
        if item.only_expects {
            item.only_expects = false;
            return;
        }
        item.end = item.end_before;
        self.finish();
        self.begin(PieceKind::Rule, name.start, name.end);
    }

    /// Ends the current piece; a head without its brace is reported, and is a block that is empty.
    pub(super) fn headless(&mut self) {
        let Some(item) = &mut self.item else { return };
        if !matches!(item.kind, PieceKind::BlockHead | PieceKind::TestHead) || self.body.is_some() {
            return self.finish();
        }
        let end = item.end;
        if !std::mem::replace(&mut item.broken, true) {
            let at = Span::new(self.id, end, end);
            self.report(
                Diagnostic::new(Code::E0001, at, "expected `{`", "its rules or steps open here")
                    .help("write `{ … }` here"),
            );
        }
        self.finish();
        self.push(PieceKind::End, end, end, false);
    }
}
