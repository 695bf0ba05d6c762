//! Prints documents: decides which groups break, and puts every comment back where it stood.
//!
//! After: P. Wadler, "A prettier printer", 2003; comments are placed by the printer, not by the document.

use super::WIDTH;
use super::spacing::Spacing;
use crate::syntax::lex::{Token, TokenKind};

/// A piece of a document.
#[derive(Clone, Debug)]
pub(super) enum Doc {
    /// A token of code, by its index.
    Token(usize),
    /// A comma that the source has and the layout has not.
    Dropped(usize),
    /// A line break if the group around it breaks; `true` keeps an author's blank line.
    Line(bool),
    /// A line break, one level deeper, if what follows, up to the next one, does not fit.
    Fill,
    /// A line break; keeps an author's blank line.
    Hard,
    /// A comma if the group around it breaks.
    TrailingComma,
    /// One level deeper.
    Indent(Vec<Doc>),
    /// Breaks all its lines or none; `true` breaks it in any case.
    Group(Vec<Doc>, bool),
}

pub(super) struct Printer<'a> {
    text: &'a str,
    code: &'a [Token],
    comments: &'a [Token],
    /// Whether a space stands before each token, if it does not begin a line.
    spaced: Vec<bool>,
    out: String,
    column: usize,
    /// The next token of code and the next comment.
    next: usize,
    comment: usize,
    /// Where the last token or comment ends in the source.
    consumed: usize,
    at_line_start: bool,
    after_comment: bool,
    after_open: bool,
}

/// What is still to print: indentation, whether the group around it is broken, and the document.
type Command<'d> = (usize, bool, &'d Doc);

impl<'a> Printer<'a> {
    pub(super) fn new(text: &'a str, code: &'a [Token], comments: &'a [Token]) -> Self {
        let mut spacing = Spacing::default();
        let spaced = code.iter().map(|t| spacing.before(text, *t)).collect();
        Printer {
            text,
            code,
            comments,
            spaced,
            out: String::with_capacity(text.len() + text.len() / 8),
            column: 0,
            next: 0,
            comment: 0,
            consumed: 0,
            at_line_start: true,
            after_comment: false,
            after_open: true,
        }
    }

    /// Prints a whole file.
    pub(super) fn print(mut self, docs: &[Doc]) -> String {
        let mut commands: Vec<Command<'_>> = docs.iter().rev().map(|d| (0, true, d)).collect();
        while let Some((indent, broken, doc)) = commands.pop() {
            match doc {
                Doc::Token(i) => self.token(*i, indent),
                Doc::Dropped(i) => {
                    self.next = i + 1;
                    self.consumed = self.consumed.max(self.code[*i].end);
                }
                Doc::Line(blank) if broken => self.break_line(indent, *blank),
                Doc::Line(_) => {}
                Doc::Hard => self.break_line(indent, true),
                Doc::Fill => {
                    if !self.fits(&[], &commands) {
                        self.break_line(indent + 2, false);
                    }
                }
                Doc::TrailingComma => {
                    if broken {
                        self.out.push(',');
                    }
                }
                Doc::Indent(inner) => commands.extend(inner.iter().rev().map(|d| (indent + 2, broken, d))),
                Doc::Group(inner, force) => {
                    let broken = *force || !self.fits(inner, &commands);
                    commands.extend(inner.iter().rev().map(|d| (indent, broken, d)));
                }
            }
        }
        self.break_line(0, true);
        self.out.truncate(self.out.trim_end().len());
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }

    fn slice(&self, token: Token) -> &'a str {
        self.text[token.start..token.end].trim_end()
    }

    fn width(&self, i: usize) -> usize {
        self.text[self.code[i].start..self.code[i].end].chars().count()
    }

    fn token(&mut self, i: usize, indent: usize) {
        if self.comments.get(self.comment).is_some_and(|c| c.start < self.code[i].start) {
            self.break_line(indent + 2, false);
        }
        if !self.at_line_start && self.spaced[i] {
            self.out.push(' ');
            self.column += 1;
        }
        self.out.push_str(&self.text[self.code[i].start..self.code[i].end]);
        self.column += self.width(i);
        self.next = i + 1;
        self.consumed = self.code[i].end;
        self.at_line_start = false;
        self.after_open = matches!(self.code[i].kind, TokenKind::Open(_));
    }

    /// Ends the line, with the comments that stand before the next token of code.
    fn break_line(&mut self, indent: usize, blank: bool) {
        let upcoming = self.code.get(self.next).copied();
        let until = upcoming.map_or(self.text.len(), |t| t.start);
        let closes = upcoming.is_some_and(|t| matches!(t.kind, TokenKind::Close(_)));
        let inner = if closes { indent + 2 } else { indent };
        while let Some(comment) = self.comments.get(self.comment).filter(|c| c.start < until).copied() {
            let own_line = self.text[self.consumed..comment.start].contains('\n');
            if !self.out.is_empty() && !own_line && !self.after_comment && !self.at_line_start {
                self.out.push(' ');
            } else {
                self.new_line(comment.start, inner, blank);
            }
            self.out.push_str(self.slice(comment));
            (self.comment, self.consumed) = (self.comment + 1, comment.end);
            (self.at_line_start, self.after_comment, self.after_open) = (false, true, false);
        }
        if let Some(token) = upcoming {
            self.new_line(token.start, indent, blank && !closes);
        }
    }

    /// Begins a line, after a blank one if the author left one before byte `at`.
    fn new_line(&mut self, at: usize, indent: usize, blank: bool) {
        if !self.out.is_empty() && !self.at_line_start {
            self.out.push('\n');
            let between = &self.text[self.consumed.min(at)..at];
            if blank && !self.after_open && between.bytes().filter(|b| *b == b'\n').count() > 1 {
                self.out.push('\n');
            }
        } else if self.at_line_start {
            self.out.truncate(self.out.trim_end_matches(' ').len());
        }
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
        (self.at_line_start, self.after_comment) = (true, false);
    }

    /// Whether `inner` and what follows it up to the next line break fit on this line.
    fn fits(&self, inner: &[Doc], rest: &[Command<'_>]) -> bool {
        let mut left = WIDTH as isize - self.column as isize;
        let mut todo: Vec<(bool, bool, &Doc)> = Vec::with_capacity(16);
        let mut rest = rest.iter().rev();
        todo.extend(inner.iter().rev().map(|d| (false, true, d)));
        let mut first = self.at_line_start;
        loop {
            let (broken, inside, doc) = match todo.pop() {
                Some(next) => next,
                None => match rest.next() {
                    Some((_, broken, doc)) => (*broken, false, *doc),
                    None => return true,
                },
            };
            match doc {
                Doc::Token(i) => {
                    left -= self.width(*i) as isize + isize::from(self.spaced[*i] && !first);
                    first = false;
                    if left < 0 {
                        return false;
                    }
                }
                Doc::Hard => return true,
                Doc::Line(_) if broken => return true,
                Doc::Fill if !inside => return true,
                Doc::Line(_) | Doc::Fill | Doc::Dropped(_) | Doc::TrailingComma => {}
                Doc::Indent(inner) => todo.extend(inner.iter().rev().map(|d| (broken, inside, d))),
                Doc::Group(inner, force) => {
                    // What follows may break at its first line, whether or not its author has broken it already.
                    let broken = *force || !inside;
                    todo.extend(inner.iter().rev().map(|d| (broken, inside, d)));
                }
            }
        }
    }
}
