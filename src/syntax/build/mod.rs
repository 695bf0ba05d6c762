//! From the grammar's tree of one piece to the syntax tree: names, texts, spans; the forms are in the files beside.
//!
//! In:  a pair of the grammar, and where its piece stands in the source.
//! Out: nodes of [`super::ast`], and diagnostics for what the grammar reads only to report it.
//! Law: one pass; recursion follows the nesting of the text, which `cut` has bounded.

mod declaration;
mod expression;
mod literal;
mod rule;
mod test;

use super::ast::{Name, Quoted};
use super::parse::{Pair, Rule};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{SourceId, Span};
use smol_str::SmolStr;

/// Builds the nodes of one piece.
pub(crate) struct Builder<'a> {
    text: &'a str,
    id: SourceId,
    base: usize,
    /// Names that parameters and quantifiers bind around the current expression.
    bound: Vec<SmolStr>,
    /// What was found wrong.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Nothing more is to be said of the piece: it counts as not read.
    pub(crate) lost: bool,
}

impl<'a> Builder<'a> {
    /// A builder for the piece that begins at byte `base`.
    pub(crate) fn new(text: &'a str, id: SourceId, base: usize) -> Self {
        Builder { text, id, base, bound: Vec::new(), diagnostics: Vec::new(), lost: false }
    }

    fn at(&self, start: usize, end: usize) -> Span {
        Span::new(self.id, self.base + start, self.base + end)
    }

    /// The span of a pair, without the white space and comments that the grammar lets it end with.
    fn span(&self, pair: &Pair<'a>) -> Span {
        self.at(pair.as_span().start(), tight_end(pair))
    }

    fn slice(&self, span: Span) -> &'a str {
        &self.text[span.range()]
    }

    fn name(&self, pair: &Pair<'a>) -> Name {
        Name { text: SmolStr::new(pair.as_str()), span: self.span(pair) }
    }

    /// The names among the children of a pair.
    fn names(&self, pair: Pair<'a>) -> Vec<Name> {
        pair.into_inner()
            .filter(|p| matches!(p.as_rule(), Rule::name | Rule::head_name))
            .map(|p| self.name(&p))
            .collect()
    }

    /// The children of a pair without the signs between them.
    fn children(&self, pair: Pair<'a>) -> impl Iterator<Item = Pair<'a>> + use<'a> {
        pair.into_inner().filter(|p| !matches!(p.as_rule(), Rule::comma | Rule::colon | Rule::equals))
    }

    fn quoted(&mut self, pair: &Pair<'a>) -> Quoted {
        self.text_of(pair, false)
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports a sign or word of another language and what to write for it.
    fn foreign(&mut self, code: Code, span: Span, write: &str) {
        let found = self.slice(span);
        let what = if code == Code::E0007 { "operator" } else { "word" };
        self.report(
            Diagnostic::new(
                code,
                span,
                format!(
                    "`{found}` is not {} {what} of this language",
                    if what == "word" { "a" } else { "an" }
                ),
                format!("another language's {what}"),
            )
            .help(format!("write `{write}`"))
            .fix(span, write),
        );
    }

    /// Stores a clause, or reports that it was given before.
    fn once<T>(&mut self, slot: &mut Option<(T, Span)>, word: &str, span: Span, value: T) {
        match slot {
            None => *slot = Some((value, span)),
            Some((_, first)) => {
                let first = *first;
                self.report(
                    Diagnostic::new(
                        Code::E0305,
                        span,
                        format!("`{word}` is given twice"),
                        "given again here",
                    )
                    .label(first, "first given here")
                    .help(match word {
                        "when" => "join the conditions with `and`",
                        "unless" => "join the conditions with `or`",
                        _ => "keep one of them",
                    }),
                );
            }
        }
    }
}

/// Where the last token of a pair ends.
fn tight_end(pair: &Pair<'_>) -> usize {
    let mut pair = pair.clone();
    loop {
        let end = pair.as_span().end();
        if matches!(
            pair.as_rule(),
            Rule::attributes
                | Rule::set_type
                | Rule::enumeration
                | Rule::parameters
                | Rule::arguments
                | Rule::parens
                | Rule::set
                | Rule::fields
                | Rule::for_body
                | Rule::rule_name
        ) {
            return end;
        }
        match pair.into_inner().next_back() {
            Some(last) => pair = last,
            None => return end,
        }
    }
}
