//! Test results as JUnit XML, in the form that CI servers read.
//!
//! Source: the common subset of Jenkins, GitLab and GitHub readers: `testsuites/testsuite/testcase/failure`.

use super::Finding;
use std::fmt::Write as _;

/// One test with what failed in it.
pub(in crate::cli) struct Case {
    pub(in crate::cli) file: String,
    pub(in crate::cli) line: usize,
    pub(in crate::cli) title: String,
    pub(in crate::cli) checks: usize,
    /// First line, and the rest, of each failure.
    pub(in crate::cli) failures: Vec<(String, String)>,
}

/// Writes one suite a file, in the order met.
pub(in crate::cli) fn write(cases: &[Case]) -> String {
    let failed = |cases: &[&Case]| cases.iter().filter(|c| !c.failures.is_empty()).count();
    let all: Vec<&Case> = cases.iter().collect();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"policyc\" tests=\"{}\" failures=\"{}\" errors=\"0\">",
        all.len(),
        failed(&all)
    );
    let mut files: Vec<&str> = Vec::new();
    cases.iter().for_each(|c| {
        if !files.contains(&c.file.as_str()) {
            files.push(&c.file)
        }
    });
    for file in files {
        let here: Vec<&Case> = cases.iter().filter(|c| c.file == file).collect();
        let name = attribute(file);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\">",
            here.len(),
            failed(&here)
        );
        for case in here {
            let _ = write!(
                out,
                "    <testcase classname=\"{name}\" name=\"{}\" file=\"{name}\" line=\"{}\" assertions=\"{}\"",
                attribute(&case.title),
                case.line,
                case.checks
            );
            if case.failures.is_empty() {
                out.push_str("/>\n");
                continue;
            }
            // Readers expect one failure a case: the first names it, its text holds all.
            let text =
                case.failures.iter().map(|(first, rest)| format!("{first}\n{rest}")).collect::<Vec<_>>();
            let _ = write!(
                out,
                ">\n      <failure type=\"assertion\" message=\"{}\">{}</failure>\n    </testcase>\n",
                attribute(&case.failures[0].0),
                content(&text.join("\n"))
            );
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Writes that no test could run: one case with an `error` for each finding, one suite a file.
pub(super) fn write_errors(findings: &[Finding]) -> String {
    let mut of: Vec<(&str, Vec<&Finding>)> = Vec::new();
    for finding in findings {
        let file = finding.place.file.as_str();
        match of.iter_mut().find(|(name, _)| *name == file) {
            Some((_, list)) => list.push(finding),
            None => of.push((file, vec![finding])),
        }
    }
    let all = findings.len();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites name=\"policyc\" tests=\"{all}\" failures=\"0\" errors=\"{all}\">");
    for (file, list) in of {
        let (name, here) = (attribute(file), list.len());
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{here}\" failures=\"0\" errors=\"{here}\" skipped=\"0\">"
        );
        for finding in list {
            let (line, column) = (finding.place.start.line, finding.place.start.column);
            let help = finding.help.as_ref().map(|h| format!("\n{h}")).unwrap_or_default();
            let text = format!("at {file}:{line}:{column}: {}{help}", finding.message);
            let _ = writeln!(
                out,
                "    <testcase classname=\"{name}\" name=\"{}\" file=\"{name}\" line=\"{line}\">\n      \
                 <error type=\"{}\" message=\"{}\">{}</error>\n    </testcase>",
                attribute(&format!("{}: {}", finding.code, finding.title)),
                finding.code,
                attribute(&finding.message),
                content(&text)
            );
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text in an attribute: line ends and tabs are kept as references.
fn attribute(text: &str) -> String {
    escape(text, true)
}

/// Text between tags.
fn content(text: &str) -> String {
    escape(text, false)
}

fn escape(text: &str, attribute: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\n' | '\t' if attribute => {
                let _ = write!(out, "&#{};", c as u32);
            }
            '\r' => out.push_str("&#13;"),
            '\n' | '\t' => out.push(c),
            // XML 1.0 has no way to write these, not even as references.
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_escaped() {
        let case = |title: &str, failures: &[(&str, &str)]| Case {
            file: "a&b.pol".to_owned(),
            line: 7,
            title: title.to_owned(),
            checks: 2,
            failures: failures.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
        };
        let text = write(&[case("x \"<y>\"\n\u{1b}é", &[("a ]]> b", "c\r\u{0}")]), case("fine", &[])]);
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites name=\"policyc\" tests=\"2\" failures=\"1\" errors=\"0\">\n  \
             <testsuite name=\"a&amp;b.pol\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\">\n    \
             <testcase classname=\"a&amp;b.pol\" name=\"x &quot;&lt;y&gt;&quot;&#10;\u{fffd}é\" file=\"a&amp;b.pol\" line=\"7\" assertions=\"2\">\n      \
             <failure type=\"assertion\" message=\"a ]]&gt; b\">a ]]&gt; b\nc&#13;\u{fffd}</failure>\n    </testcase>\n    \
             <testcase classname=\"a&amp;b.pol\" name=\"fine\" file=\"a&amp;b.pol\" line=\"7\" assertions=\"2\"/>\n  \
             </testsuite>\n</testsuites>\n"
        );
    }
}
