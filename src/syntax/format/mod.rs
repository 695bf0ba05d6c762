//! The one layout of a source.
//!
//! In:  a source that parses.
//! Out: the same tokens and comments in the same order; only white space and trailing commas differ.
//! Law: `format(format(x)) == format(x)`; what an author broke (a rule's clauses, a list in braces) stays broken.

mod layout;
mod print;
mod spacing;

use super::lex::{Lexer, TokenKind};
use super::parse::parse;
use crate::diagnostic::Diagnostic;
use crate::source::{SourceId, Sources, Span};
use smol_str::SmolStr;

/// Columns of a line, in characters, before it is broken.
pub const WIDTH: usize = 100;

/// Lays out a source; what is wrong with it when it does not parse.
pub fn format(sources: &Sources, id: SourceId) -> Result<String, Vec<Diagnostic>> {
    let (file, diagnostics) = parse(sources, id);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let text = sources.get(id).text.as_str();
    let from = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let (comments, code): (Vec<_>, Vec<_>) =
        Lexer::new(text, from).partition(|t| t.kind == TokenKind::Comment);
    let docs = layout::Layout::new(text, &code, &comments).file(&file);
    Ok(print::Printer::new(text, &code, &comments).print(&docs))
}

/// A rule's text in one line: comments and trailing commas dropped, spacing made uniform.
///
/// It is the same before and after [`format`], so a nameless rule can be known by it.
pub fn rule_text(sources: &Sources, span: Span) -> SmolStr {
    let text = sources.get(span.source).text.as_str();
    let text = &text[..(span.end as usize).min(text.len())];
    let mut out = String::with_capacity(span.range().len());
    let mut spacing = spacing::Spacing::default();
    let mut comma = None;
    for token in Lexer::new(text, span.start as usize).filter(|t| t.kind != TokenKind::Comment) {
        if let Some(comma) = comma.take()
            && !matches!(token.kind, TokenKind::Close(_))
        {
            spacing.before(text, comma);
            out.push(',');
        }
        if &text[token.start..token.end] == "," {
            comma = Some(token);
            continue;
        }
        if spacing.before(text, token) {
            out.push(' ');
        }
        out.push_str(&text[token.start..token.end]);
    }
    SmolStr::from(out)
}

#[cfg(test)]
mod tests;
