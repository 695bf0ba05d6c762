//! Findings as GitHub workflow commands, which annotate the lines of a pull request.

use super::Finding;
use crate::Severity;
use std::fmt::Write as _;

pub(super) fn write(findings: &[Finding], not_shown: usize) -> String {
    let mut out = String::new();
    for finding in findings {
        let command = if finding.severity == Severity::Error { "error" } else { "warning" };
        let (start, end) = (finding.place.start, finding.place.end);
        let _ = write!(
            out,
            "::{command} file={},line={},endLine={},col={}",
            property(&finding.place.file),
            start.line,
            end.line,
            start.column
        );
        if start.line == end.line {
            let _ = write!(out, ",endColumn={}", end.column.max(start.column));
        }
        let title = property(&format!("{}: {}", finding.code, finding.title));
        let mut message = finding.message.clone();
        if let Some(label) = finding.labels.first().filter(|l| !l.text.is_empty()) {
            let _ = write!(message, "\n{}", label.text);
        }
        if let Some(help) = &finding.help {
            let _ = write!(message, "\nhelp: {help}");
        }
        let _ = writeln!(out, ",title={title}::{}", data(&message));
    }
    if not_shown > 0 {
        let _ = writeln!(out, "::notice title=policyc::{not_shown} more problems are not shown");
    }
    out
}

/// Text after the `::`.
fn data(text: &str) -> String {
    escape(text, false)
}

/// The value of a property, where commas and colons mean something.
fn property(text: &str) -> String {
    escape(text, true)
}

fn escape(text: &str, property: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' => out.push_str("%25"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            ':' if property => out.push_str("%3A"),
            ',' if property => out.push_str("%2C"),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Format, example};

    #[test]
    fn what_means_something_is_escaped() {
        let text = example(Format::Github).text();
        assert_eq!(
            text,
            "::error file=policies/é%2C a%25.pol,line=2,endLine=2,col=9,endColumn=13,\
             title=E0203%3A an unknown attribute::no attribute `ownr`: 100%25%0D%0A%0Ahas `owner`\
             %0Ahelp: did you mean `owner`?\n\
             ::warning file=policies/é%2C a%25.pol,line=3,endLine=4,col=1,\
             title=W0309%3A declared and never used::never used \\u{1b}[2J%0Ahere\n"
        );
    }
}
