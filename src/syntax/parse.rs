//! Text to syntax tree: cuts the text, reads each piece by the grammar, builds its nodes.
//!
//! In:  a source.
//! Out: [`File`] and diagnostics in source order; a piece that cannot be read gives one, and the rest goes on.
//! Law: never panics and never recurses deeper than the nesting limit, whatever the text; the only file that knows pest.

use super::ast::{self, Declaration, File, Rule as RuleNode};
use super::build::Builder;
use super::complain;
use super::cut::{self, Cuts, Piece, PieceKind, STRAY_SEMICOLON};
use super::lex;
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::{DIAGNOSTICS_MAX, SOURCE_BYTES_MAX};
use crate::source::{SourceId, Sources, Span};
use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};
use std::borrow::Cow;

/// What the grammar file makes; its rules carry their own documentation there.
#[allow(missing_docs)]
mod grammar {
    /// The parser that the grammar describes.
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/policy.pest"]
    pub struct PolicyParser;
}

pub(crate) use grammar::Rule;

/// A node of the grammar's own tree, for the builder.
pub(crate) type Pair<'a> = pest::iterators::Pair<'a, Rule>;
/// Such nodes in a row.
pub(crate) type Pairs<'a> = pest::iterators::Pairs<'a, Rule>;

/// Where the grammar stopped, and what it would have gone on with.
pub(crate) struct Stop {
    /// The byte in the piece.
    pub(crate) at: usize,
    /// Rules of the grammar that could have stood there.
    pub(crate) expected: Vec<Rule>,
}

/// Reads a source file.
///
/// - Out:    the declarations that could be read, and at most `DIAGNOSTICS_MAX` diagnostics in source order.
/// - Errors: E0001 to E0013 and E0305; E0005 for a source past `SOURCE_BYTES_MAX`.
pub fn parse(sources: &Sources, id: SourceId) -> (File, Vec<Diagnostic>) {
    let original = &sources.get(id).text;
    if original.len() > SOURCE_BYTES_MAX {
        return (File { source: id, damaged: true, ..File::default() }, vec![too_long(original, id)]);
    }
    let (text, cuts) = prepare(original, id, cut::cut_file);
    let mut reader = Reader::new(&text, id, cuts.diagnostics);
    let mut file = File { source: id, comments: cuts.comments, ..File::default() };
    let mut pieces = cuts.pieces.into_iter();
    while let Some(piece) = pieces.next() {
        let found = match piece.kind {
            PieceKind::BlockHead => {
                let (rules, damaged, end) = reader.rules(&mut pieces);
                reader.read(piece, Rule::block_piece, |b, p| {
                    let mut block = b.block_head(p);
                    (block.rules, block.damaged) = (rules, damaged);
                    block.span.end = end;
                    Declaration::Block(block)
                })
            }
            PieceKind::TestHead => {
                let (steps, damaged, end) = reader.steps(&mut pieces);
                reader.read(piece, Rule::test_piece, |b, p| {
                    let title = b.test_head(p);
                    let span = Span { source: id, start: piece.start, end };
                    Declaration::Test(ast::Test { title, steps, span, damaged })
                })
            }
            _ => reader.declaration(piece),
        };
        match found {
            Some(declaration) => file.declarations.push(declaration),
            None if piece.kind == PieceKind::Prove => {}
            None => {
                file.damaged = true;
                file.lost.extend(complain::declared_names(&text, piece, id));
            }
        }
    }
    (file, reader.finish())
}

/// Reads a key's own policy text: rules and nothing else, WHO left out.
pub fn parse_boundary_body(sources: &Sources, id: SourceId) -> (Vec<RuleNode>, Vec<Diagnostic>) {
    let original = &sources.get(id).text;
    if original.len() > SOURCE_BYTES_MAX {
        return (Vec::new(), vec![too_long(original, id)]);
    }
    let (text, cuts) = prepare(original, id, cut::cut_rules);
    let mut reader = Reader::new(&text, id, cuts.diagnostics);
    let (rules, ..) = reader.rules(&mut cuts.pieces.into_iter());
    (rules, reader.finish())
}

/// The UTF-8 door: the text, or where it stops being one and why.
pub fn check_bytes(bytes: &[u8]) -> Result<String, (usize, &'static str)> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(e) if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) => {
            Err((e.valid_up_to(), "this looks like UTF-16; save it as UTF-8"))
        }
        Err(e) if e.error_len().is_none() => Err((e.valid_up_to(), "the text ends inside a UTF-8 character")),
        Err(e) => Err((e.valid_up_to(), "this byte does not begin a UTF-8 character")),
    }
}

fn too_long(text: &str, id: SourceId) -> Diagnostic {
    let message = format!("the source has {} bytes; at most {SOURCE_BYTES_MAX} are read", text.len());
    Diagnostic::new(Code::E0005, Span::new(id, 0, 0), message, "too long")
        .help("split it: a folder of `.pol` files is one policy set")
}

/// Checks characters and cuts; the text comes back with what was reported blanked out, byte for byte as long.
fn prepare(text: &str, id: SourceId, cut: fn(&str, SourceId, usize) -> Cuts) -> (Cow<'_, str>, Cuts) {
    let from = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let hidden = lex::check_characters(text, id, from, DIAGNOSTICS_MAX);
    let mut text = Cow::Borrowed(text);
    if !hidden.is_empty() {
        let mut bytes = text.into_owned().into_bytes();
        for diagnostic in &hidden {
            bytes[diagnostic.span().range()].fill(b' ');
        }
        text = Cow::Owned(String::from_utf8(bytes).expect("prepare: whole characters became spaces"));
    }
    let mut cuts = cut(&text, id, from);
    if !cuts.repairs.is_empty() {
        let mut bytes = text.into_owned().into_bytes();
        for (at, byte) in &cuts.repairs {
            bytes[*at] = *byte;
        }
        text = Cow::Owned(String::from_utf8(bytes).expect("prepare: ASCII signs became others"));
    }
    cuts.diagnostics.extend(hidden);
    (text, cuts)
}

/// Reads pieces one by one and collects what is wrong with them.
struct Reader<'a> {
    text: &'a str,
    id: SourceId,
    diagnostics: Vec<Diagnostic>,
    /// Where hidden characters were: what cannot be read around them is no mistake of its own.
    hidden: Vec<Span>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, id: SourceId, diagnostics: Vec<Diagnostic>) -> Self {
        let hidden = diagnostics.iter().filter(|d| d.code == Code::E0003).map(Diagnostic::span).collect();
        Reader { text, id, diagnostics, hidden }
    }

    fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|d| d.span().start);
        self.diagnostics.truncate(DIAGNOSTICS_MAX);
        self.diagnostics
    }

    /// Reads one piece by an entry rule and builds its node; `None` when it cannot be read (then it is reported).
    fn read<T>(
        &mut self,
        piece: Piece,
        entry: Rule,
        build: impl FnOnce(&mut Builder<'a>, Pair<'a>) -> T,
    ) -> Option<T> {
        if piece.broken {
            return None;
        }
        let (start, end) = (piece.start as usize, piece.end as usize);
        match grammar::PolicyParser::parse(entry, &self.text[start..end]) {
            Ok(mut pairs) => {
                let first = pairs.next().expect("grammar: an entry rule holds a node");
                let mut builder = Builder::new(self.text, self.id, start);
                let node = build(&mut builder, first);
                self.keep(builder.diagnostics);
                (!builder.lost).then_some(node)
            }
            Err(_) if self.diagnostics.len() >= 2 * DIAGNOSTICS_MAX => None,
            Err(error) => {
                let at = match error.location {
                    InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
                };
                let expected = match error.variant {
                    ErrorVariant::ParsingError { positives, .. } => positives,
                    ErrorVariant::CustomError { .. } => Vec::new(),
                };
                // What stands before the stop may be a whole piece, with a misspelt beginning after it.
                let before = self.text[start..start + at].trim_end().len();
                let cut_again = complain::may_begin_anew(self.text, start + at, piece)
                    && before > 0
                    && grammar::PolicyParser::parse(entry, &self.text[start..start + before]).is_ok();
                self.drop_semicolon(piece);
                if !self.follows_hidden(start + at) {
                    let stop = Stop { at, expected };
                    self.keep(vec![complain::explain(self.text, self.id, piece, &stop, cut_again)]);
                }
                if cut_again {
                    let whole = Piece { end: (start + before) as u32, ..piece };
                    return self.read(whole, entry, build);
                }
                None
            }
        }
    }

    /// Whether nothing but a hidden character and spaces stands just before this place.
    fn follows_hidden(&self, at: usize) -> bool {
        let between = |h: &Span| self.text.get(h.end as usize..at).is_some_and(|t| t.trim().is_empty());
        self.hidden.iter().any(between)
    }

    /// A `;` behind a piece that cannot be read is not a mistake of its own.
    fn drop_semicolon(&mut self, piece: Piece) {
        let text = self.text;
        self.diagnostics.retain(|d| {
            let at = d.span().start;
            d.message != STRAY_SEMICOLON
                || at < piece.end
                || !text[piece.end as usize..at as usize].trim().is_empty()
        });
    }

    fn keep(&mut self, found: Vec<Diagnostic>) {
        if self.diagnostics.len() < 2 * DIAGNOSTICS_MAX {
            self.diagnostics.extend(found);
        }
    }

    fn declaration(&mut self, piece: Piece) -> Option<Declaration> {
        match piece.kind {
            PieceKind::Kind => self.read(piece, Rule::kind_piece, |b, p| Declaration::Kind(b.kind(p))),
            PieceKind::Enum => self.read(piece, Rule::enum_piece, |b, p| Declaration::Enum(b.enumeration(p))),
            PieceKind::Record => {
                self.read(piece, Rule::record_piece, |b, p| Declaration::Record(b.record(p)))
            }
            PieceKind::Action => self.read(piece, Rule::action_piece, Builder::action),
            PieceKind::Context => {
                self.read(piece, Rule::context_piece, |b, p| Declaration::Context(b.context(p)))
            }
            PieceKind::Condition => {
                self.read(piece, Rule::condition_piece, |b, p| Declaration::Condition(b.condition(p)))
            }
            _ => {
                if !piece.broken {
                    self.drop_semicolon(piece);
                    self.keep(vec![complain::no_declaration(self.text, self.id, piece)]);
                }
                None
            }
        }
    }

    /// The rules up to the end of their block; whether one was dropped; where the block ends.
    fn rules(&mut self, pieces: &mut impl Iterator<Item = Piece>) -> (Vec<RuleNode>, bool, u32) {
        let (mut rules, mut damaged, mut end) = (Vec::new(), false, 0);
        for piece in pieces {
            end = piece.end;
            if piece.kind == PieceKind::End {
                break;
            }
            match self.read(piece, Rule::rule_piece, |b, p| b.rule(p)) {
                Some(rule) => rules.push(rule),
                None => damaged = true,
            }
        }
        (rules, damaged, end)
    }

    /// The steps up to the end of their test; whether one was dropped; where the test ends.
    fn steps(&mut self, pieces: &mut impl Iterator<Item = Piece>) -> (Vec<ast::Step>, bool, u32) {
        let (mut steps, mut damaged, mut end) = (Vec::new(), false, 0);
        for piece in pieces {
            end = piece.end;
            if piece.kind == PieceKind::End {
                break;
            }
            match self.read(piece, Rule::step_piece, |b, p| b.step(p)) {
                Some(step) => steps.push(step),
                None => damaged = true,
            }
        }
        (steps, damaged, end)
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
