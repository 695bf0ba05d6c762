//! Diagnostics on their way out: one structure, [`Report`], behind all formats.
//!
//! In:   diagnostics with the sources they point into.
//! Out:  text for people, JSON, SARIF 2.1.0 or GitHub annotations.
//! Units: lines and columns from 1, columns in Unicode code points; bytes from 0; ends are excluded.

mod github;
mod json;
pub(super) mod junit;
mod sarif;

use super::count;
use crate::limits::DIAGNOSTICS_MAX;
use crate::{Code, Diagnostic, Reporter, Severity, Sources, Span};
use clap::ValueEnum;
use serde::Serialize;
use std::collections::BTreeMap;

/// How to report diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Text with excerpts, for people
    Human,
    /// One JSON object, described in docs/formats.md
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands that annotate a pull request on GitHub
    Github,
}

/// Everything found in one run.
pub(super) struct Report {
    format: Format,
    color: bool,
    deny_warnings: bool,
    findings: Vec<Finding>,
    found: [usize; 2],
    /// Files looked at.
    pub(super) files: usize,
    /// Rules, if the set checks.
    pub(super) rules: Option<usize>,
}

/// A diagnostic with its places as people count them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) code: &'static str,
    pub(super) severity: Severity,
    pub(super) title: &'static str,
    pub(super) message: String,
    #[serde(flatten)]
    pub(super) place: Place,
    /// The first is the place to mend.
    pub(super) labels: Vec<Label>,
    pub(super) help: Option<String>,
    pub(super) fix: Option<Fix>,
    #[serde(skip)]
    pub(super) rule: Code,
    #[serde(skip)]
    rendered: String,
}

/// A range in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) start: Point,
    pub(super) end: Point,
}

/// A place between two characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Point {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) byte: usize,
}

/// A place and what is there.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Label {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) text: String,
}

/// A change that would mend it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Fix {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) replacement: String,
}

impl Report {
    pub(super) fn new(format: Format, color: bool, deny_warnings: bool) -> Self {
        Report { format, color, deny_warnings, findings: Vec::new(), found: [0; 2], files: 0, rules: None }
    }

    /// Adds diagnostics that point into `sources`; past the limit they are counted only.
    pub(super) fn add(&mut self, sources: &Sources, diagnostics: &[Diagnostic]) {
        for diagnostic in diagnostics {
            self.found[self.severity(diagnostic) as usize] += 1;
        }
        let room = DIAGNOSTICS_MAX.saturating_sub(self.findings.len());
        let shown = &diagnostics[..room.min(diagnostics.len())];
        let points = Points::of(sources, shown);
        let mut reporter = Reporter::new(sources, self.color);
        for diagnostic in shown {
            let severity = self.severity(diagnostic);
            let human = self.format == Format::Human;
            let rendered = if human { reporter.render(diagnostic, severity) } else { String::new() };
            self.findings.push(Finding {
                code: diagnostic.code.as_str(),
                severity,
                title: diagnostic.code.title(),
                message: diagnostic.message.clone(),
                place: points.place(diagnostic.span()),
                labels: diagnostic
                    .labels
                    .iter()
                    .map(|l| Label { place: points.place(l.span), text: l.text.clone() })
                    .collect(),
                help: diagnostic.help.clone(),
                fix: diagnostic
                    .fix
                    .as_ref()
                    .map(|f| Fix { place: points.place(f.span), replacement: f.text.clone() }),
                rule: diagnostic.code,
                rendered,
            });
        }
    }

    fn severity(&self, diagnostic: &Diagnostic) -> Severity {
        if self.deny_warnings { Severity::Error } else { diagnostic.severity() }
    }

    /// How many errors there are, those not shown included.
    pub(super) fn errors(&self) -> usize {
        self.found[Severity::Error as usize]
    }

    /// How many warnings there are.
    pub(super) fn warnings(&self) -> usize {
        self.found[Severity::Warning as usize]
    }

    /// The diagnostics as the JSON format has them.
    pub(super) fn diagnostics(&self) -> serde_json::Value {
        serde_json::to_value(&self.findings).expect("output: plain data can be written")
    }

    /// The diagnostics as JUnit XML, for tests that could not run.
    pub(super) fn junit(&self) -> String {
        junit::write_errors(&self.findings)
    }

    pub(super) fn not_shown(&self) -> usize {
        self.errors() + self.warnings() - self.findings.len()
    }

    /// The report in its format.
    pub(super) fn text(&self) -> String {
        match self.format {
            Format::Human => self.findings.iter().map(|f| format!("{}\n", f.rendered)).collect(),
            Format::Json => json::write(self),
            Format::Sarif => sarif::write(&self.findings),
            Format::Github => github::write(&self.findings, self.not_shown()),
        }
    }

    /// One line for people: `checked 3 files, 41 rules: no problems`.
    pub(super) fn summary(&self) -> String {
        let found = match (self.errors(), self.warnings()) {
            (0, 0) => "no problems".to_owned(),
            (e, 0) => count(e, "error"),
            (0, w) => count(w, "warning"),
            (e, w) => format!("{}, {}", count(e, "error"), count(w, "warning")),
        };
        let rules = self.rules.map(|n| format!(", {}", count(n, "rule"))).unwrap_or_default();
        let rest = match self.not_shown() {
            0 => String::new(),
            n => format!(" ({n} not shown)"),
        };
        format!("checked {}{rules}: {found}{rest}", count(self.files, "file"))
    }
}

/// Lines and columns of all places of some diagnostics, found in one pass over each source.
struct Points<'a> {
    sources: &'a Sources,
    at: BTreeMap<(crate::SourceId, usize), Point>,
}

impl<'a> Points<'a> {
    fn of(sources: &'a Sources, diagnostics: &[Diagnostic]) -> Self {
        let spans = diagnostics
            .iter()
            .flat_map(|d| d.labels.iter().map(|l| l.span).chain(d.fix.iter().map(|f| f.span)));
        let start = Point { line: 1, column: 1, byte: 0 };
        let mut at: BTreeMap<_, Point> = spans
            .flat_map(|s| [(s.source, s.start as usize), (s.source, s.end as usize)])
            .map(|k| (k, start))
            .collect();
        let mut last = (crate::SourceId(u32::MAX), start);
        for ((id, byte), point) in &mut at {
            if last.0 != *id {
                last = (*id, start);
            }
            let text = &sources.get(*id).text;
            let mut end = (*byte).min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            let from = last.1;
            let between = &text[from.byte..end.max(from.byte)];
            let lines = between.bytes().filter(|b| *b == b'\n').count();
            let column = match between.rfind('\n') {
                Some(i) => between[i + 1..].chars().count() + 1,
                None => from.column + between.chars().count(),
            };
            *point = Point { line: from.line + lines, column, byte: end.max(from.byte) };
            last.1 = *point;
        }
        Points { sources, at }
    }

    fn place(&self, span: Span) -> Place {
        let point = |byte: u32| self.at[&(span.source, byte as usize)];
        let start = point(span.start);
        let end = if span.end < span.start { start } else { point(span.end) };
        Place { file: self.sources.get(span.source).name.clone(), start, end }
    }
}

/// Findings for the tests of each format: multi-byte text, a second file, a fix, hostile characters.
#[cfg(test)]
pub(super) fn example(format: Format) -> Report {
    let mut sources = Sources::default();
    let a = sources.add("policies/é, a%.pol", "// ünï\nallow « ownr »,\r\nx\n");
    let b = sources.add("/abs/b c.pol", "owner\n");
    let at = "// ünï\nallow « ".len();
    let span = Span::new(a, at, at + 4);
    let one = Diagnostic::new(Code::E0203, span, "no attribute `ownr`: 100%\r\n", "has `owner`")
        .label(Span::new(b, 0, 5), "declared here")
        .help("did you mean `owner`?")
        .fix(span, "owner");
    let end = "// ünï\nallow « ownr »,\r\nx\n".len();
    let two = Diagnostic::new(Code::W0309, Span::new(a, end - 2, end + 9), "never used \u{1b}[2J", "here");
    let mut report = Report::new(format, false, false);
    report.files = 2;
    report.add(&sources, &[one, two]);
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_ends_are_clamped() {
        let report = example(Format::Json);
        let [one, two] = &report.findings[..] else { panic!("two findings") };
        assert_eq!((one.place.start.line, one.place.start.column), (2, 9));
        assert_eq!((one.place.end.line, one.place.end.column), (2, 13));
        assert_eq!(two.place.start, Point { line: 3, column: 1, byte: 28 });
        assert_eq!((two.place.end.line, two.place.end.column), (4, 1));
        assert_eq!(report.summary(), "checked 2 files: 1 error, 1 warning");
    }

    #[test]
    fn points_agree_with_sources() {
        let mut sources = Sources::default();
        let id = sources.add("a", "é\n\nüxé\r\n漢字\n");
        let length = sources.get(id).text.len();
        let all: Vec<_> =
            (0..=length).map(|i| Diagnostic::new(Code::E0001, Span::new(id, i, i), "m", "l")).collect();
        let points = Points::of(&sources, &all);
        for i in 0..=length {
            let (got, want) = (points.place(Span::new(id, i, i)).start, sources.position(id, i as u32));
            assert_eq!((got.line, got.column), (want.line, want.column), "byte {i}");
        }
    }

    #[test]
    fn denied_warnings_are_errors_and_the_rest_is_counted() {
        let mut sources = Sources::default();
        let id = sources.add("a", "x");
        let many = vec![Diagnostic::new(Code::W0309, Span::new(id, 0, 1), "m", "l"); DIAGNOSTICS_MAX + 5];
        let mut report = Report::new(Format::Human, false, true);
        report.add(&sources, &many);
        assert_eq!((report.errors(), report.warnings(), report.not_shown()), (DIAGNOSTICS_MAX + 5, 0, 5));
        assert!(report.text().starts_with("[W0309] Error: m\n"));
    }
}
