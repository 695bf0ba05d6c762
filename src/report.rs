//! Diagnostics for people: the only file that knows ariadne.
//!
//! In:   [`Diagnostic`]s and the [`Sources`] their spans point into.
//! Out:  text; whether it has colour is the caller's choice, the rest is the same every time.
//! Law:  nothing from a source or a message reaches the terminal that could move the cursor or reorder text.
//! Note: ariadne is given character offsets counted here. Told `IndexType::Byte`, version 0.6 still takes the
//!       character offset of a label in a second file for a byte offset, and panics inside a multi-byte character.

use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::source::{SourceId, Sources};
use ariadne::{Cache, Color, Config, IndexType, Report, ReportKind, Source};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::ops::Range;

/// Characters of a source line beyond which only a window of it is shown.
const LINE_CHARS_SHOWN: usize = 400;
/// Characters shown on each side of a label in such a line.
const WINDOW_CHARS: usize = 60;

/// Bytes between two places where the characters before are known.
const BLOCK_BYTES: usize = 4096;

/// Renders diagnostics; keeps each source's lines, so that many diagnostics in a large file stay cheap.
pub struct Reporter<'a> {
    color: bool,
    cache: Lines<'a>,
}

impl<'a> Reporter<'a> {
    /// A reporter over these sources.
    pub fn new(sources: &'a Sources, color: bool) -> Self {
        Reporter { color, cache: Lines { sources, split: FxHashMap::default() } }
    }

    /// One diagnostic as text, with a line end after its last line.
    ///
    /// - Shape: `severity` is what to call it: a warning may have been made an error.
    pub fn render(&mut self, diagnostic: &Diagnostic, severity: Severity) -> String {
        let mut places: Vec<Place> = diagnostic.labels.iter().map(|label| self.cache.place(label)).collect();
        if places.iter().any(|p| p.long_line) {
            return self.render_window(diagnostic, severity, &places);
        }
        // Labels of one file in the order of their lines make one excerpt; the primary label's file comes first.
        let first = places[0].span.0;
        let primary = places[0].span.clone();
        places.sort_by_key(|p| (p.span.0 != first, p.span.0, p.last_line));
        let mut out = Vec::new();
        build(diagnostic, severity, self.color, primary, &places)
            .write(&mut self.cache, &mut out)
            .expect("report: writing to memory");
        trimmed(out)
    }

    /// The same where a line is too long to be shown whole: a window around the primary label, the rest as notes.
    fn render_window(&mut self, diagnostic: &Diagnostic, severity: Severity, places: &[Place]) -> String {
        let primary = &places[0];
        let name = visible(&self.cache.sources.get(primary.span.0).name).into_owned();
        let (line, column) = (primary.first_line + 1, primary.column + 1);
        let source = &self.cache.lines(primary.span.0).lines;
        let (whole, _, at) =
            source.get_byte_line(primary.bytes.start).expect("report: labels lie inside the source");
        let text = source.get_line_text(whole).unwrap_or("").trim_end();
        let at = at.min(text.len());
        let (before, rest) = text.split_at(at);
        let labelled = take(rest, primary.span.1.len().min(2 * WINDOW_CHARS));
        let after = take(&rest[labelled.len()..], WINDOW_CHARS);
        let skipped = before.char_indices().rev().nth(WINDOW_CHARS - 1).map_or(0, |(i, _)| i);
        let dots = |some: bool| if some { "…" } else { "" };
        let lead = format!("{}{}", dots(skipped > 0), &before[skipped..]);
        let more = dots(labelled.len() + after.len() < rest.len());
        let start = lead.chars().count();
        let span = (primary.span.0, start..start + labelled.chars().count());
        let text = format!("{lead}{labelled}{after}{more}");
        let place = Place { span: span.clone(), ..primary.clone() };
        let mut noted = diagnostic.clone();
        let others: Vec<String> = places[1..].iter().map(|p| self.cache.describe(p)).collect();
        if !others.is_empty() {
            let help = noted.help.take().map(|h| format!("{h}\n")).unwrap_or_default();
            noted.help = Some(format!("{help}{}", others.join("\n")));
        }
        let source = Source::from(Cow::Owned(text)).with_display_line_offset(line - 1);
        let mut out = Vec::new();
        build(&noted, severity, self.color, span, &[place])
            .write(Excerpt { name: &name, source }, &mut out)
            .expect("report: writing to memory");
        // Ariadne has counted the column in the window.
        let counted = format!("{name}:{line}:{}", start + 1);
        trimmed(out).replacen(&counted, &format!("{name}:{line}:{column}"), 1)
    }
}

type Spot = (SourceId, Range<usize>);

/// A label with its span in characters.
#[derive(Clone)]
struct Place {
    span: Spot,
    bytes: Range<usize>,
    /// Lines from 0.
    first_line: usize,
    last_line: usize,
    /// Characters before it on its first line.
    column: usize,
    text: String,
    long_line: bool,
}

fn build(
    diagnostic: &Diagnostic,
    severity: Severity,
    color: bool,
    primary: Spot,
    places: &[Place],
) -> Report<'static, Spot> {
    let (kind, main) = match severity {
        Severity::Error => (ReportKind::Error, Color::Red),
        Severity::Warning => (ReportKind::Warning, Color::Yellow),
    };
    let labels = places.iter().map(|place| {
        let label = ariadne::Label::new(place.span.clone()).with_color(if place.span == primary {
            main
        } else {
            Color::Blue
        });
        if place.text.is_empty() { label } else { label.with_message(visible(&place.text)) }
    });
    let mut report = Report::build(kind, primary.clone())
        .with_config(Config::default().with_index_type(IndexType::Char).with_color(color))
        .with_code(diagnostic.code.as_str())
        .with_message(visible(&diagnostic.message))
        .with_labels(labels);
    if let Some(help) = &diagnostic.help {
        report.set_help(help.split('\n').map(visible).collect::<Vec<_>>().join("\n"));
    }
    report.finish()
}

/// The text without spaces at line ends.
fn trimmed(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes).expect("report: ariadne writes UTF-8");
    text.lines().fold(String::with_capacity(text.len()), |mut out, line| {
        out.push_str(line.trim_end());
        out.push('\n');
        out
    })
}

/// The first `most` characters of a text.
fn take(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(i, _)| &text[..i])
}

/// The sources, each cut into lines when first needed.
struct Lines<'a> {
    sources: &'a Sources,
    split: FxHashMap<SourceId, Split<'a>>,
}

/// One source, cut into lines.
struct Split<'a> {
    lines: Source<Cow<'a, str>>,
    /// Characters that begin before each [`BLOCK_BYTES`]: counting never walks a whole long line.
    marks: Vec<usize>,
}

impl<'a> Split<'a> {
    fn new(text: &'a str) -> Self {
        let lines = Source::from(masked(text));
        let mut marks = vec![0];
        for block in lines.text().as_bytes().chunks(BLOCK_BYTES) {
            marks.push(marks[marks.len() - 1] + starts(block));
        }
        Split { lines, marks }
    }

    /// Characters before a byte.
    fn chars_before(&self, byte: usize) -> usize {
        let block = byte / BLOCK_BYTES;
        self.marks[block] + starts(&self.lines.text().as_bytes()[block * BLOCK_BYTES..byte])
    }
}

/// Characters that begin in some bytes of UTF-8.
fn starts(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| **b & 0xC0 != 0x80).count()
}

impl<'a> Lines<'a> {
    fn lines(&mut self, id: SourceId) -> &Split<'a> {
        self.split.entry(id).or_insert_with(|| Split::new(&self.sources.get(id).text))
    }

    /// Where a label stands, clamped to its source.
    fn place(&mut self, label: &Label) -> Place {
        let id = label.span.source;
        let text = &self.sources.get(id).text;
        let start = floor(text, label.span.start as usize);
        let end = floor(text, label.span.end as usize).max(start);
        let split = self.lines(id);
        let line_of =
            |byte: usize| split.lines.get_byte_line(byte).expect("report: labels lie inside the source");
        let (first, first_line, _) = line_of(start);
        let (last, last_line, _) = line_of(end.saturating_sub(1).max(start));
        let span = split.chars_before(start)..split.chars_before(end);
        Place {
            column: span.start - first.offset(),
            span: (id, span),
            bytes: start..end,
            first_line,
            last_line,
            text: label.text.clone(),
            long_line: first.len().max(last.len()) > LINE_CHARS_SHOWN,
        }
    }

    /// A label as a line of text.
    fn describe(&self, place: &Place) -> String {
        let name = &self.sources.get(place.span.0).name;
        format!("{name}:{}:{}: {}", place.first_line + 1, place.column + 1, place.text)
    }
}

/// The last character boundary at or before a byte.
fn floor(text: &str, byte: usize) -> usize {
    let mut at = byte.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl<'a> Cache<SourceId> for Lines<'a> {
    type Storage = Cow<'a, str>;

    fn fetch(&mut self, id: &SourceId) -> Result<&Source<Self::Storage>, impl std::fmt::Debug> {
        Ok::<_, ()>(&self.lines(*id).lines)
    }

    fn display<'b>(&self, id: &'b SourceId) -> Option<impl std::fmt::Display + 'b> {
        Some(visible(&self.sources.get(*id).name).into_owned())
    }
}

struct Excerpt<'a> {
    name: &'a str,
    source: Source<Cow<'a, str>>,
}

impl<'a> Cache<SourceId> for Excerpt<'a> {
    type Storage = Cow<'a, str>;

    fn fetch(&mut self, _: &SourceId) -> Result<&Source<Self::Storage>, impl std::fmt::Debug> {
        Ok::<_, ()>(&self.source)
    }

    fn display<'b>(&self, _: &'b SourceId) -> Option<impl std::fmt::Display + 'b> {
        Some(self.name.to_owned())
    }
}

/// Whether a character could move the cursor, hide, or reorder what is around it.
fn treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A source text in which treacherous characters are replaced by visible ones of the same length in bytes.
fn masked(text: &str) -> Cow<'_, str> {
    let bad = |(i, c): (usize, char)| match c {
        '\n' | '\t' => false,
        '\r' => !text[i + 1..].starts_with('\n'),
        c => treacherous(c),
    };
    if !text.char_indices().any(bad) {
        return Cow::Borrowed(text);
    }
    let mask = |c: char| ['?', '·', '\u{fffd}', '\u{1f533}'][c.len_utf8() - 1];
    Cow::Owned(text.char_indices().map(|(i, c)| if bad((i, c)) { mask(c) } else { c }).collect())
}

/// A text with treacherous characters written as escapes, such as `\u{202e}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(treacherous) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if treacherous(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;
    use crate::source::Span;

    fn render(text: &str, build: impl Fn(SourceId) -> Diagnostic) -> String {
        let mut sources = Sources::default();
        let id = sources.add("policies/docs.pol", text);
        let diagnostic = build(id);
        Reporter::new(&sources, false).render(&diagnostic, diagnostic.severity())
    }

    #[test]
    fn looks_like_the_house_style() {
        let text = "policy docs {\n  when account == resource.ownr\n}\n";
        let at = text.find("ownr").unwrap();
        let shown = render(text, |id| {
            let span = Span::new(id, at, at + 4);
            Diagnostic::new(
                Code::E0203,
                span,
                "no attribute `ownr` on `document`",
                "`document` has `owner`, `folder`",
            )
            .help("did you mean `owner`?")
        });
        assert_eq!(
            shown,
            "[E0203] Error: no attribute `ownr` on `document`\n   \
             ╭─[ policies/docs.pol:2:28 ]\n   │\n 2 │   when account == resource.ownr\n   \
             │                            ──┬─\n   \
             │                              ╰─── `document` has `owner`, `folder`\n   \
             │\n   │ Help: did you mean `owner`?\n───╯\n"
        );
    }

    #[test]
    fn columns_count_characters() {
        let text = "é é é ü x";
        let at = text.find('x').unwrap();
        let shown = render(text, |id| Diagnostic::new(Code::E0102, Span::new(id, at, at + 1), "m", "l"));
        assert!(shown.contains("docs.pol:1:9 ]"), "{shown}");
        assert!(shown.contains("\n   │         ┬"), "{shown}");
    }

    #[test]
    fn spans_outside_or_inside_characters_do_no_harm() {
        for (start, end) in [(0, 0), (1, 1), (1, 2), (2, 900), (900, 901), (4, 2)] {
            for text in ["", "é", "é\r\nü\n", "\r\r\n", "a\u{2028}b\u{85}c"] {
                let shown = render(text, |id| {
                    Diagnostic::new(Code::E0001, Span::new(id, start, end), "m", "l")
                        .label(Span::new(id, 1, 2), "k")
                });
                assert!(shown.starts_with("[E0001] Error: m\n"), "{shown}");
            }
        }
    }

    #[test]
    fn labels_of_two_files_and_of_earlier_lines() {
        let mut sources = Sources::default();
        let a = sources.add("a.pol", "één\ntwo\nthree\n");
        let b = sources.add("b.pol", "ééééé ü\n");
        let diagnostic = Diagnostic::new(Code::E0101, Span::new(a, 10, 15), "m", "again")
            .label(Span::new(a, 0, 5), "first")
            .label(Span::new(b, 11, 13), "other");
        let shown = Reporter::new(&sources, false).render(&diagnostic, Severity::Error);
        assert_eq!(shown.matches("a.pol:3:1").count(), 1, "{shown}");
        assert_eq!(shown.matches("b.pol:1:").count(), 1, "{shown}");
    }

    #[test]
    fn nothing_moves_the_cursor_or_reorders() {
        let text = "a \u{202e}b\u{1b}[2J c";
        let shown = render(text, |id| {
            Diagnostic::new(Code::E0003, Span::new(id, 2, 5), "has \u{202e} in it", "here\u{1b}[0m")
                .help("x\u{7}")
        });
        assert!(!shown.chars().any(|c| c != '\n' && treacherous(c)), "{shown:?}");
        assert!(shown.contains(r"\u{202e}") && shown.contains(r"\u{1b}"), "{shown}");
    }

    #[test]
    fn a_long_line_is_cut_to_a_window() {
        let text = format!("{}bad{}", "é ".repeat(1_000_000), " x".repeat(1_000_000));
        let at = text.find("bad").unwrap();
        let shown = render(&text, |id| {
            Diagnostic::new(Code::E0102, Span::new(id, at, at + 3), "m", "here")
                .label(Span::new(id, 0, 2), "there")
        });
        assert!(shown.len() < 2_000, "{} bytes", shown.len());
        assert!(shown.contains("docs.pol:1:2000001 ]"), "{shown}");
        assert!(shown.contains("docs.pol:1:1: there"), "{shown}");
    }
}
