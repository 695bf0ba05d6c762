//! Brackets: which closes which, which is never closed, and how deep they nest.

use super::{Bracket, Cutter, PieceKind};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::{DIAGNOSTICS_MAX, NESTING_DEPTH_MAX};
use crate::source::Span;
use crate::syntax::lex::Token;

impl Cutter<'_> {
    /// Reports brackets that nothing closed, and forgets them.
    pub(super) fn unclosed(&mut self) {
        let broken = self.item.as_ref().is_some_and(|i| i.broken);
        if let Some(open) = self.stack.first()
            && self.overflow == 0
            && !(broken && self.body.is_none())
        {
            let at = open.at;
            let sign = open.sign;
            self.never_closed(sign, at);
        }
        if self.stack.len() > self.base {
            self.break_item();
        }
        self.stack.clear();
    }

    pub(super) fn never_closed(&mut self, sign: u8, at: usize) {
        let (open, close) = (char::from(sign), char::from(closer(sign)));
        self.report(
            Diagnostic::new(
                Code::E0006,
                Span::new(self.id, at, at + 1),
                format!("this `{open}` is never closed"),
                format!("no `{close}` closes it"),
            )
            .help(format!("add `{close}` where it ends")),
        );
    }

    /// Parentheses still open where the next rule begins.
    pub(super) fn close_parentheses(&mut self) {
        if let Some(open) = self.stack.get(self.base) {
            let (sign, at) = (open.sign, open.at);
            self.never_closed(sign, at);
            self.break_item();
            self.stack.truncate(self.base);
        }
    }

    pub(super) fn open(&mut self, token: Token, sign: u8) {
        let head =
            self.item.as_ref().filter(|_| self.stack.is_empty() && self.body.is_none()).map(|i| i.kind);
        if sign == b'{'
            && let Some(kind @ (PieceKind::BlockHead | PieceKind::TestHead)) = head
        {
            self.finish();
            self.stack.push(Bracket { sign, at: token.start, nests: 0 });
            self.body = Some(if kind == PieceKind::BlockHead { PieceKind::Rule } else { PieceKind::Step });
            self.base = 1;
            return;
        }
        self.touch(token);
        if self.overflow > 0 {
            self.overflow += 1;
            return;
        }
        self.stack.push(Bracket { sign, at: token.start, nests: self.nests });
        self.nests += self.nots;
        self.nots = 0;
        if self.check_depth(token) {
            self.stack.pop();
            self.overflow = 1;
        }
    }

    /// Reports a piece that nests too deep, once; whether it does.
    pub(super) fn check_depth(&mut self, token: Token) -> bool {
        let depth = (self.stack.len() - self.base.min(self.stack.len())) + self.nests + self.nots + self.sets;
        if depth <= NESTING_DEPTH_MAX {
            return false;
        }
        if self.item.as_ref().is_some_and(|i| i.broken) {
            return true;
        }
        self.report(
            Diagnostic::new(
                Code::E0004,
                self.span(token),
                format!("nested more than {NESTING_DEPTH_MAX} deep"),
                "one level too many",
            )
            .help("name a part of it in a `condition`"),
        );
        // A piece that this very token opens is there only afterwards.
        if self.item.is_none() {
            self.touch(token);
        }
        self.break_item();
        true
    }

    pub(super) fn close(&mut self, token: Token, sign: u8) {
        if self.overflow > 0 {
            self.overflow -= 1;
            self.touch(token);
            return;
        }
        // A brace may close the block; other brackets stay inside their item.
        let floor = if sign == b'}' { 0 } else { self.base.min(self.stack.len()) };
        let Some(found) = self.stack[floor..].iter().rposition(|b| closer(b.sign) == sign) else {
            self.closes_nothing(token);
            return;
        };
        let found = found + floor;
        if found + 1 < self.stack.len() {
            let (open, at) = self.stack.last().map_or((b'(', token.start), |b| (b.sign, b.at));
            self.never_closed(open, at);
            self.break_item();
        }
        self.nests = self.stack[found].nests;
        self.stack.truncate(found);
        if self.body.is_some() && self.stack.len() < self.base {
            self.end_body(token.start, token.end);
            return;
        }
        self.touch(token);
        let ends = matches!(
            self.item.as_ref().map(|i| i.kind),
            Some(
                PieceKind::Enum
                    | PieceKind::Record
                    | PieceKind::Context
                    | PieceKind::Kind
                    | PieceKind::Junk
                    | PieceKind::Prove
            )
        );
        if self.body.is_none() && self.stack.is_empty() && sign == b'}' && ends {
            self.finish();
        }
    }

    pub(super) fn closes_nothing(&mut self, token: Token) {
        let sign = self.slice(token);
        let span = self.span(token);
        if !self.item.as_ref().is_some_and(|i| i.broken) {
            self.report(
                Diagnostic::new(
                    Code::E0006,
                    span,
                    format!("this `{sign}` closes nothing"),
                    "nothing is open here",
                )
                .help("take it out")
                .fix(span, ""),
            );
        }
        self.blank(token);
    }

    /// Reads a reported sign as a space, as long as reports are still kept.
    pub(super) fn blank(&mut self, token: Token) {
        if self.cuts.diagnostics.len() < DIAGNOSTICS_MAX {
            self.cuts.repairs.push((token.start, b' '));
        } else {
            self.break_item();
        }
    }
}

fn closer(open: u8) -> u8 {
    match open {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}
