//! Findings as SARIF 2.1.0.
//!
//! Source: OASIS Standard "Static Analysis Results Interchange Format (SARIF) Version 2.1.0 Plus Errata 01".

use super::{Finding, Place};
use crate::{Code, Severity};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub(super) fn write(findings: &[Finding]) -> String {
    let codes: Vec<Code> = findings.iter().map(|f| f.rule).collect::<BTreeSet<_>>().into_iter().collect();
    let results: Vec<Value> = findings.iter().map(|f| result(f, &codes)).collect();
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "policyc",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|c| rule(*c)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "defaultEncoding": "UTF-8",
            "results": results,
        }],
    });
    let mut text = serde_json::to_string_pretty(&document).expect("sarif: plain data can be written");
    text.push('\n');
    text
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.as_str(),
        "shortDescription": { "text": code.title() },
        "help": { "text": code.explanation(), "markdown": code.explanation() },
        "defaultConfiguration": { "level": level(code.severity()) },
    })
}

fn result(finding: &Finding, codes: &[Code]) -> Value {
    let mut message = finding.message.clone();
    for extra in finding.labels.first().map(|l| l.text.clone()).into_iter().chain(finding.help.clone()) {
        message.push('\n');
        message.push_str(&extra);
    }
    let mut result = json!({
        "ruleId": finding.code,
        "ruleIndex": codes.iter().position(|c| *c == finding.rule),
        "level": level(finding.severity),
        "message": { "text": message },
        "locations": [{ "physicalLocation": location(&finding.place) }],
    });
    let related: Vec<Value> = finding
        .labels
        .iter()
        .skip(1)
        .enumerate()
        .map(|(i, label)| {
            json!({
                "id": i + 1,
                "physicalLocation": location(&label.place),
                "message": { "text": label.text },
            })
        })
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = related.into();
    }
    if let Some(fix) = &finding.fix {
        result["fixes"] = json!([{
            "description": { "text": finding.help.as_deref().unwrap_or("apply the suggestion") },
            "artifactChanges": [{
                "artifactLocation": { "uri": uri(&fix.place.file) },
                "replacements": [{
                    "deletedRegion": region(&fix.place),
                    "insertedContent": { "text": fix.replacement },
                }],
            }],
        }]);
    }
    result
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn location(place: &Place) -> Value {
    json!({ "artifactLocation": { "uri": uri(&place.file) }, "region": region(place) })
}

fn region(place: &Place) -> Value {
    json!({
        "startLine": place.start.line,
        "startColumn": place.start.column,
        "endLine": place.end.line,
        "endColumn": place.end.column,
        "byteOffset": place.start.byte,
        "byteLength": place.end.byte - place.start.byte,
    })
}

/// A path as a URI: relative to where the command ran, or `file:` for an absolute one.
fn uri(path: &str) -> String {
    let slashed = if cfg!(windows) { path.replace('\\', "/") } else { path.to_owned() };
    let mut out = String::new();
    if slashed.starts_with('/') {
        out.push_str("file://");
    } else if cfg!(windows) && slashed.as_bytes().get(1) == Some(&b':') {
        out.push_str("file:///");
    }
    for byte in slashed.bytes() {
        // A colon in the first segment of a relative path would read as a scheme, so it is never left alone.
        if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Format, example};
    use super::*;

    #[test]
    fn places_rules_and_fixes() {
        let document: Value = serde_json::from_str(&example(Format::Sarif).text()).unwrap();
        let run = &document["runs"][0];
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        let first = &run["results"][0];
        let place = &first["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "policies/%C3%A9,%20a%25.pol");
        assert_eq!(
            place["region"],
            json!({"startLine": 2, "startColumn": 9, "endLine": 2, "endColumn": 13, "byteOffset": 18, "byteLength": 4})
        );
        assert_eq!(
            first["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            "file:///abs/b%20c.pol"
        );
        assert_eq!(
            first["fixes"][0]["artifactChanges"][0]["replacements"][0]["insertedContent"]["text"],
            "owner"
        );
        assert_eq!(run["tool"]["driver"]["rules"][1]["id"], "W0309");
        assert_eq!(run["results"][1]["ruleIndex"], 1);
    }

    #[test]
    fn paths_become_uris() {
        assert_eq!(
            uri("a:b/c d.pol"),
            if cfg!(windows) { "file:///a%3Ab/c%20d.pol" } else { "a%3Ab/c%20d.pol" }
        );
        assert_eq!(uri("../x/[1].pol"), "../x/%5B1%5D.pol");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
    }
}
