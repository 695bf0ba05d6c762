//! A [`Report`] as one JSON object; docs/formats.md describes it.

use super::{Finding, Report};
use serde::Serialize;

#[derive(Serialize)]
struct Document<'a> {
    /// Grows when a field changes its meaning or goes; new fields don't count.
    version: u32,
    summary: Summary,
    diagnostics: &'a [Finding],
}

#[derive(Serialize)]
struct Summary {
    files: usize,
    rules: Option<usize>,
    errors: usize,
    warnings: usize,
    not_shown: usize,
}

pub(super) fn write(report: &Report) -> String {
    let summary = Summary {
        files: report.files,
        rules: report.rules,
        errors: report.errors(),
        warnings: report.warnings(),
        not_shown: report.not_shown(),
    };
    let document = Document { version: 1, summary, diagnostics: &report.findings };
    let mut text = serde_json::to_string_pretty(&document).expect("json: plain data can be written");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Format, example};

    #[test]
    fn the_documented_fields_are_there() {
        let document: serde_json::Value = serde_json::from_str(&example(Format::Json).text()).unwrap();
        let first = &document["diagnostics"][0];
        assert_eq!(document["version"], 1);
        assert_eq!(document["summary"]["errors"], 1);
        assert_eq!(first["code"], "E0203");
        assert_eq!(first["severity"], "error");
        assert_eq!(first["file"], "policies/é, a%.pol");
        assert_eq!(first["start"], serde_json::json!({"line": 2, "column": 9, "byte": 18}));
        assert_eq!(first["labels"][1]["file"], "/abs/b c.pol");
        assert_eq!(first["fix"]["replacement"], "owner");
        assert_eq!(document["diagnostics"][1]["help"], serde_json::Value::Null);
    }
}
