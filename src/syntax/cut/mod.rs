//! Cuts a source into pieces: declarations, and the rules and steps inside policies, roles, boundaries and tests.
//!
//! In:  a text without hidden characters.
//! Out: [`Cuts`]: the pieces in order, the comments, and what is wrong with brackets, quotes and depth.
//! Law: linear time and no recursion, whatever the text; no piece that is not `broken` nests deeper than
//!      `NESTING_DEPTH_MAX`, so that reading one needs a bounded stack.

mod brackets;
mod starts;

use super::ast::Comment;
use super::lex::{self, Lexer, Token, TokenKind, WordClass, word_class};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::DIAGNOSTICS_MAX;
use crate::source::{SourceId, Span};

/// What is said of a `;`.
pub(crate) const STRAY_SEMICOLON: &str = "unexpected `;`";

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceKind {
    /// `scope`, `account`, `resource`, `group`
    Kind,
    /// `enum`
    Enum,
    /// `record`
    Record,
    /// `action`
    Action,
    /// `context`
    Context,
    /// `condition`
    Condition,
    /// `prove`
    Prove,
    /// `policy`, `role`, `boundary`, up to the brace.
    BlockHead,
    /// `test`, up to the brace.
    TestHead,
    /// One rule.
    Rule,
    /// One step of a test.
    Step,
    /// The brace that closes a block or a test.
    End,
    /// What opens like no declaration.
    Junk,
}

/// One piece of the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// What it is.
    pub(crate) kind: PieceKind,
    /// It has been reported and cannot be read.
    pub(crate) broken: bool,
    /// Its first byte.
    pub(crate) start: u32,
    /// One past the last byte of its last token.
    pub(crate) end: u32,
}

/// A text in pieces.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// The pieces, in order.
    pub(crate) pieces: Vec<Piece>,
    /// The comments, in order.
    pub(crate) comments: Vec<Comment>,
    /// What was found wrong.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Bytes to read as others, so that what was reported here is not met again.
    pub(crate) repairs: Vec<(usize, u8)>,
}

/// Cuts a whole source, from byte `from` on.
pub(crate) fn cut_file(text: &str, id: SourceId, from: usize) -> Cuts {
    Cutter::new(text, id, from, None).run()
}

/// Cuts a text that is nothing but rules.
pub(crate) fn cut_rules(text: &str, id: SourceId, from: usize) -> Cuts {
    Cutter::new(text, id, from, Some(PieceKind::Rule)).run()
}

/// A piece that is not complete yet.
struct Item {
    kind: PieceKind,
    start: usize,
    end: usize,
    /// Where it ended before its last token.
    end_before: usize,
    broken: bool,
    /// Nothing but `expect` lines so far.
    only_expects: bool,
}

/// An open bracket, and the counts that it will restore.
struct Bracket {
    sign: u8,
    at: usize,
    nests: usize,
}

struct Cutter<'a> {
    text: &'a str,
    id: SourceId,
    lexer: Lexer<'a>,
    cuts: Cuts,
    /// The open brackets; only as many as may be.
    stack: Vec<Bracket>,
    /// Open brackets beyond those.
    overflow: usize,
    /// Inside a block: what its items are.
    body: Option<PieceKind>,
    /// How many brackets are open between the items of the body.
    base: usize,
    /// The text is nothing but rules: no declaration ends it.
    rules_only: bool,
    item: Option<Item>,
    /// Open `if`s and quantifiers, and `not`s before brackets.
    nests: usize,
    /// The `not`s directly before this token.
    nots: usize,
    /// Open `Set<`s.
    sets: usize,
    previous: Option<Token>,
    /// The previous token wants a name or an operand after it.
    expects: bool,
    /// The token before it did.
    expected: bool,
    after_dot: bool,
    /// This token opened a piece with its word, so a name follows.
    opened: bool,
}

impl<'a> Cutter<'a> {
    fn new(text: &'a str, id: SourceId, from: usize, body: Option<PieceKind>) -> Self {
        Cutter {
            text,
            id,
            lexer: Lexer::new(text, from),
            cuts: Cuts::default(),
            stack: Vec::new(),
            overflow: 0,
            body,
            base: 0,
            rules_only: body.is_some(),
            item: None,
            nests: 0,
            nots: 0,
            sets: 0,
            previous: None,
            expects: false,
            expected: false,
            after_dot: false,
            opened: false,
        }
    }

    fn run(mut self) -> Cuts {
        while let Some(token) = self.lexer.next() {
            if token.kind == TokenKind::Comment {
                self.cuts.comments.push(Comment { span: self.span(token) });
                continue;
            }
            self.token(token);
        }
        self.unclosed();
        self.headless();
        self.end_body(self.text.len(), self.text.len());
        self.cuts
    }

    fn span(&self, token: Token) -> Span {
        Span::new(self.id, token.start, token.end)
    }

    fn slice(&self, token: Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.cuts.diagnostics.len() < DIAGNOSTICS_MAX {
            self.cuts.diagnostics.push(diagnostic);
        }
    }

    /// One token: may end the piece before it, and belongs to one unless it is a brace between pieces.
    fn token(&mut self, token: Token) {
        let mut class: WordClass = 0;
        self.opened = false;
        match token.kind {
            TokenKind::Word => {
                class = word_class(self.slice(token));
                if class != 0 && !self.after_dot {
                    self.word(token, class);
                } else if class == 0 {
                    self.stray(token);
                }
                self.touch(token);
            }
            TokenKind::Open(sign) => self.open(token, sign),
            TokenKind::Close(sign) => self.close(token, sign),
            TokenKind::Sign => self.sign(token),
            TokenKind::OpenText => {
                self.touch(token);
                let shown = Span::new(self.id, token.start, self.text[..token.end].trim_end().len());
                self.report(
                    Diagnostic::new(Code::E0009, shown, "a text that its line does not close", "opens here")
                        .help("close it with `\"` on this line; write a line break inside a text as `\\n`"),
                );
                self.break_item();
            }
            TokenKind::SingleText => {
                self.touch(token);
                self.single_quotes(token);
            }
            TokenKind::Number | TokenKind::Text | TokenKind::Other => self.touch(token),
            TokenKind::Comment => {}
        }
        let not = class & lex::NOT != 0 || (token.kind == TokenKind::Sign && self.slice(token) == "!");
        if not && !self.after_dot {
            self.nots += 1;
            self.check_depth(token);
        } else {
            self.nots = 0;
        }
        self.expected = self.expects;
        self.expects = match token.kind {
            TokenKind::Word => {
                // `role` is a kind too: only in `has role` does a name follow it.
                let kind_role = self.slice(token) == "role"
                    && self.previous.is_none_or(|previous| self.slice(previous) != "has");
                let expects = class & lex::EXPECTS != 0 && !kind_role;
                self.opened || expects && !self.after_dot && !self.after_comparison()
            }
            TokenKind::Open(_) => self.item.is_some(),
            TokenKind::Sign => !matches!(self.slice(token), "?" | ";"),
            _ => false,
        };
        self.after_dot = token.kind == TokenKind::Sign && self.slice(token) == ".";
        self.previous = Some(token);
    }

    /// Whether the previous token compares, so that any word is an operand: `now < to`.
    fn after_comparison(&self) -> bool {
        self.previous.is_some_and(|p| matches!(self.slice(p), "<" | "<=" | ">" | ">=" | "==" | "!="))
    }

    /// Adds a token to the current piece; opens one if there is none.
    fn touch(&mut self, token: Token) {
        match &mut self.item {
            Some(item) => {
                item.end_before = item.end;
                item.end = token.end;
            }
            None => self.begin(self.body.unwrap_or(PieceKind::Junk), token.start, token.end),
        }
    }

    fn begin(&mut self, kind: PieceKind, start: usize, end: usize) {
        self.item = Some(Item { kind, start, end, end_before: start, broken: false, only_expects: false });
        (self.nests, self.nots, self.sets, self.overflow) = (0, 0, 0, 0);
    }

    /// Ends the current piece, before a token that opens the next one.
    fn finish(&mut self) {
        if let Some(item) = self.item.take() {
            self.push(item.kind, item.start, item.end, item.broken);
        }
    }

    fn push(&mut self, kind: PieceKind, start: usize, end: usize, broken: bool) {
        let span = Span::new(self.id, start, end);
        self.cuts.pieces.push(Piece { kind, broken, start: span.start, end: span.end });
    }

    fn break_item(&mut self) {
        if let Some(item) = &mut self.item {
            item.broken = true;
        }
    }

    /// Whether only white space and comments stand between this token and the start of its line.
    fn first_on_line(&self, token: Token) -> bool {
        self.previous.is_none_or(|p| self.text.as_bytes()[p.end..token.start].contains(&b'\n'))
    }

    fn peek(&self) -> (Option<Token>, Lexer<'a>) {
        let mut ahead = self.lexer;
        (ahead.next_code(), ahead)
    }

    fn sign(&mut self, token: Token) {
        match self.slice(token) {
            ":" if self.body == Some(PieceKind::Rule) && self.stack.len() == self.base => {
                self.name_of_rule();
                self.touch(token);
            }
            ";" => {
                self.report(
                    Diagnostic::new(Code::E0001, self.span(token), STRAY_SEMICOLON, "not needed")
                        .help("rules end by themselves; drop the `;`")
                        .fix(self.span(token), ""),
                );
                self.blank(token);
            }
            "<" => {
                self.touch(token);
                if self.previous.is_some_and(|p| self.slice(p) == "Set") {
                    self.sets += 1;
                    self.check_depth(token);
                }
            }
            ">" => {
                self.touch(token);
                self.sets = self.sets.saturating_sub(1);
            }
            _ => self.touch(token),
        }
    }

    fn end_body(&mut self, start: usize, end: usize) {
        self.finish();
        if self.body.is_some() && !self.rules_only {
            self.push(PieceKind::End, start, end, false);
            (self.body, self.base) = (None, 0);
        }
    }

    fn single_quotes(&mut self, token: Token) {
        let inner = &self.text[token.start + 1..token.end - 1];
        let span = self.span(token);
        let help = format!("texts stand in double quotes: write `\"{inner}\"`");
        let diagnostic =
            Diagnostic::new(Code::E0009, span, "a text in single quotes", "in single quotes").help(help);
        if inner.contains(['"', '\\']) {
            self.report(diagnostic);
            self.break_item();
        } else {
            self.report(diagnostic.fix(span, format!("\"{inner}\"")));
            self.cuts.repairs.extend([(token.start, b'"'), (token.end - 1, b'"')]);
        }
    }
}
