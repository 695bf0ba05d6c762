//! Builds texts and numbers, and says what is wrong with those that cannot be read.

use super::Builder;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{ExprKind, Quoted};
use crate::syntax::parse::{Pair, Rule};
use crate::value;
use smol_str::SmolStr;

const ESCAPES: &str = "the escapes are `\\\"`, `\\\\`, `\\n`, `\\t` and `\\u{…}`";

impl<'a> Builder<'a> {
    /// A text without its quotes and escapes; a pattern keeps `\*` and `\\`.
    pub(super) fn text_of(&mut self, pair: &Pair<'a>, pattern: bool) -> Quoted {
        let span = self.at(pair.as_span().start(), pair.as_span().end());
        let raw = pair.as_str();
        let inner = &raw[1..raw.len() - 1];
        let text =
            if inner.contains('\\') { self.unescape(inner, span, pattern) } else { SmolStr::new(inner) };
        if let Err(message) = value::check_string(&text) {
            let help = if message.contains("NFC") {
                "write it with composed characters (NFC)"
            } else {
                "shorten it"
            };
            self.report(Diagnostic::new(Code::E0010, span, message, "this text").help(help));
        }
        Quoted { text, span }
    }

    fn unescape(&mut self, inner: &str, span: Span, pattern: bool) -> SmolStr {
        let mut text = String::with_capacity(inner.len());
        let mut rest = inner;
        while let Some(at) = rest.find('\\') {
            text.push_str(&rest[..at]);
            let from = span.start as usize + 1 + (inner.len() - rest.len()) + at;
            let escaped = rest[at + 1..].chars().next().unwrap_or('\\');
            let mut width = 1 + escaped.len_utf8();
            match escaped {
                '"' => text.push('"'),
                'n' => text.push('\n'),
                't' => text.push('\t'),
                '\\' if pattern => text.push_str("\\\\"),
                '*' if pattern => text.push_str("\\*"),
                '\\' => text.push('\\'),
                'u' => match unicode_escape(&rest[at..]) {
                    Some((c, w)) => {
                        width = w;
                        text.push(c);
                    }
                    None => self.bad_escape(
                        from,
                        width,
                        "`\\u` is followed by `{`, one to six hex digits and `}`",
                    ),
                },
                '*' => self.bad_escape(
                    from,
                    width,
                    "a star needs no backslash here: only in a pattern after `matches`",
                ),
                _ => self.bad_escape(from, width, ESCAPES),
            }
            rest = &rest[at + width..];
        }
        text.push_str(rest);
        SmolStr::from(text)
    }

    fn bad_escape(&mut self, from: usize, width: usize, help: &str) {
        let span = Span::new(self.id, from, from + width);
        let message = format!("`{}` is not an escape", self.slice(span));
        self.report(Diagnostic::new(Code::E0010, span, message, "this escape").help(help));
    }

    /// A number or a duration; one that cannot be read is reported and stands as zero.
    pub(super) fn number(&mut self, pair: Pair<'a>) -> (ExprKind, Span) {
        let span = self.span(&pair);
        let (mut text, mut count) = (String::new(), 0);
        for child in pair.into_inner() {
            if count > 0 {
                text.push(' ');
            }
            if child.as_rule() == Rule::digits {
                count += 1;
            }
            text.push_str(child.as_str());
        }
        let duration = text.bytes().any(|b| b.is_ascii_alphabetic());
        let (read, help) = if duration && text.starts_with('-') {
            (Err(format!("`{text}`: a Duration is never negative")), "subtract it instead")
        } else if duration {
            let help = "the units are `w`, `d`, `h`, `m`, `s` and `ms`, from large to small";
            (value::parse_duration(&text).map(ExprKind::Duration), help)
        } else if count > 1 {
            (Err(format!("`{text}` is several numbers in a row")), "join them, or put a `,` between them")
        } else if text.contains('.') {
            let help = "a Decimal has at most 4 fraction digits and lies between ±922337203685477.5807";
            (value::parse_decimal(&text).map(ExprKind::Decimal), help)
        } else {
            (value::parse_int(&text).map(ExprKind::Int), "a whole number has digits only and fits 64 bits")
        };
        match read {
            Ok(kind) => (kind, span),
            Err(message) => {
                self.report(Diagnostic::new(Code::E0010, span, message, "cannot be read").help(help));
                (if duration { ExprKind::Duration(0) } else { ExprKind::Int(0) }, span)
            }
        }
    }
}

/// Reads `\u{…}` at the start of a text: the character and the bytes it takes.
fn unicode_escape(text: &str) -> Option<(char, usize)> {
    let digits = text.strip_prefix("\\u{")?;
    let end = digits.find('}')?;
    let hex = &digits[..end];
    if hex.is_empty() || hex.len() > 6 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let c = char::from_u32(u32::from_str_radix(hex, 16).ok()?)?;
    Some((c, 3 + end + 1))
}
