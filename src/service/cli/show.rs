//! Answers for people: a table for a list, lines for one thing.
//!
//! In:    the JSON of the service.
//! Out:   text on standard output; control characters of others don't reach the terminal.

use crate::visible;
use serde_json::Value;

/// A problem in words.
pub fn problem(body: &Value) -> String {
    let text = |field: &str| body[field].as_str().unwrap_or_default();
    let mut said = match body["field"].as_str() {
        Some(field) => format!("{}: `{field}`: {}", text("title"), text("detail")),
        None if body.is_object() => format!("{}: {}", text("title"), text("detail")),
        None => format!("an answer that is no problem document: {body}"),
    };
    for diagnostic in body["diagnostics"].as_array().into_iter().flatten() {
        said.push('\n');
        said.push_str(diagnostic["text"].as_str().unwrap_or_default());
    }
    for lost in body["lost"].as_array().into_iter().flatten() {
        let (kind, name, why) = (word(&lost["kind"]), word(&lost["name"]), word(&lost["why"]));
        said.push_str(&format!("\n  {kind} {name}: {why}"));
    }
    for failed in body["tests"].as_array().into_iter().flatten().filter(|t| t["passed"] == false) {
        said.push_str(&format!("\n  test \"{}\"", word(&failed["title"])));
        for failure in failed["failures"].as_array().into_iter().flatten() {
            said.push_str(&format!("\n    {}", word(failure)));
        }
    }
    said
}

/// A value in one word or a few.
pub fn word(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(word).collect::<Vec<_>>().join(","),
        Value::Object(map) => match (map.get("kind"), map.get("id")) {
            (Some(Value::String(kind)), Some(Value::String(id))) => format!("{kind}/{id}"),
            _ => value.to_string(),
        },
        other => other.to_string(),
    };
    visible(&text).into_owned()
}

/// One thing, a line for each field.
pub fn thing(body: &Value) {
    for (field, value) in body.as_object().into_iter().flatten() {
        println!("{field}: {}", word(value));
    }
}

/// A decision in two lines.
pub fn decision(answer: &Value) {
    let mut line = word(&answer["decision"]);
    if let Some(rule) = answer["rule"].as_str() {
        line.push_str(&format!(", by `{rule}`"));
    } else if let Some(step) = answer["refused_by"].as_str() {
        line.push_str(&format!(", by {step}"));
    }
    if let Some(reason) = answer["because"][0].as_str() {
        line.push_str(&format!(": {}", visible(reason)));
    }
    println!("{line}");
    if let Some(ask) = answer["ask"].as_str() {
        println!("  ask {ask}: that would lift this denial");
    }
}

/// Columns that a list shows, as far as its items have them.
const COLUMNS: &[&str] = &[
    "uid",
    "id",
    "name",
    "used",
    "limit",
    "counts",
    "path",
    "stage",
    "kind",
    "account",
    "holder",
    "everyone",
    "role",
    "group",
    "member",
    "agent",
    "for",
    "consented_by",
    "boundary",
    "to",
    "home",
    "scope",
    "owner",
    "status",
    "until",
    "expires_at",
    "note",
];

/// A list as a table.
pub fn table(items: &[Value]) {
    let columns: Vec<&str> =
        COLUMNS.iter().copied().filter(|c| items.iter().any(|i| !i[*c].is_null())).collect();
    let rows: Vec<Vec<String>> =
        items.iter().map(|i| columns.iter().map(|c| word(&i[*c])).collect()).collect();
    let width =
        |n: usize| rows.iter().map(|r| r[n].chars().count()).chain([columns[n].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
        println!("{}", padded.join("  ").trim_end());
    };
    if !rows.is_empty() {
        line(columns.clone());
    }
    for row in &rows {
        line(row.iter().map(String::as_str).collect());
    }
}
