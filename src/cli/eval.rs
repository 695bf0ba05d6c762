//! `policyc eval`: decides requests, one JSON object a line or one object over several lines.
//!
//! Law: answers come in the order of the requests, one each; a request that is refused is answered with an error in
//!      its place and the rest still get answers.

use super::output::{Format, Report};
use super::terminal::Paint;
use super::{Exit, Failure, Terminal, count, load, now, time_argument};
use crate::limits::REQUEST_BYTES_MAX;
use crate::{
    Answer, Compiled, Decision, Directory, Effect, Explanation, PolicySet, Question, RequestError, Step,
    Style, visible,
};
use clap::ValueEnum;
use serde::Serialize;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  policyc eval policies --data prod.json --request request.json
  policyc eval policies --data prod.json --request request.json --explain
  policyc eval set.build --data prod.json --request - --format json < requests.jsonl

Requests are JSON Lines, or one JSON object over several lines; docs/formats.md describes them.
Exit codes: 0 all allowed, 3 some denied, 1 the set doesn't check, 2 some input refused.")]
pub(super) struct Args {
    /// A file, a folder or a built set
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// The directory data
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The requests; `-` is standard input
    #[arg(long, value_name = "FILE|-")]
    request: PathBuf,
    /// Say why, and what would change the answer
    #[arg(long)]
    explain: bool,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Answers::Human)]
    format: Answers,
    /// `context.now` where a request gives none [default: the clock]
    #[arg(long, value_name = "TIME", value_parser = time_argument)]
    now: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Answers {
    /// Sentences
    Human,
    /// One JSON object a line
    Json,
}

pub(super) fn run(args: &Args, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let compiled = load::set(&load::one(&args.path), now(args.now))?;
    let Some(set) = checked(compiled, terminal) else { return Ok(Exit::Problems) };
    let Some(directory) = directory(&set, &args.data, terminal)? else { return Ok(Exit::Refused) };
    let mut evaluation = Evaluation { args, set: &set, directory: &directory, tally: [0; 3] };
    requests(load::requests(&args.request)?, &mut |request| evaluation.answer(request, terminal))?;
    let [allowed, denied, refused] = evaluation.tally;
    let total = allowed + denied + refused;
    if total == 0 {
        return Err(Failure::new(format!("`{}` holds no request", args.request.display())));
    }
    if args.format == Answers::Human && total > 1 {
        terminal.flush()?;
        terminal.say(&format!(
            "{}: {allowed} allowed, {denied} denied, {refused} refused",
            count(total, "request")
        ));
    }
    Ok(match (refused, denied) {
        (0, 0) => Exit::Fine,
        (0, _) => Exit::Denied,
        _ => Exit::Refused,
    })
}

/// The set, or (with its errors on standard error) nothing.
pub(super) fn checked(compiled: Compiled, terminal: &mut Terminal) -> Option<PolicySet> {
    if compiled.set.is_none() {
        complain(&compiled.sources, &compiled.diagnostics, terminal);
        terminal.say("the policy set does not check; `policyc check` says the same");
    }
    compiled.set
}

/// The directory, or (with its errors on standard error) nothing.
pub(super) fn directory(
    set: &PolicySet,
    path: &Path,
    terminal: &mut Terminal,
) -> Result<Option<Directory>, Failure> {
    let data = load::data(set, path)?;
    if data.directory.is_none() {
        complain(&data.sources, &data.diagnostics, terminal);
        terminal.say("the data does not fit the policy set");
    }
    Ok(data.directory)
}

/// Shows the errors among diagnostics on standard error.
fn complain(sources: &crate::Sources, diagnostics: &[crate::Diagnostic], terminal: &Terminal) {
    let errors: Vec<_> =
        diagnostics.iter().filter(|d| d.severity() == crate::Severity::Error).cloned().collect();
    let mut report = Report::new(Format::Human, terminal.color_err, false);
    report.add(sources, &errors);
    terminal.say(report.text().trim_end());
}

struct Evaluation<'a> {
    args: &'a Args,
    set: &'a PolicySet,
    directory: &'a Directory,
    /// Allowed, denied, refused.
    tally: [usize; 3],
}

/// An answer as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<&'a Explanation>,
}

impl Evaluation<'_> {
    fn answer(&mut self, request: Request<'_>, terminal: &mut Terminal) -> Result<bool, Failure> {
        let read = match request.text {
            Ok(text) => self.set.request(self.directory, text, now(self.args.now)),
            Err(message) => Err(RequestError::whole(message)),
        };
        match read {
            Ok(question) => self.decide(&question, terminal)?,
            Err(error) => self.refuse((request.number, request.line), &error, terminal)?,
        }
        if !request.more {
            terminal.flush()?;
        }
        Ok(!terminal.is_closed())
    }

    fn decide(&mut self, question: &Question, terminal: &mut Terminal) -> Result<(), Failure> {
        let decision = self.set.decide(self.directory, question);
        self.tally[usize::from(!decision.is_allow())] += 1;
        let explanation = if self.args.explain { Some(self.explain(question)?) } else { None };
        let answer = self.set.render(question, &decision);
        if self.args.format == Answers::Json {
            let line = Line { answer: &answer, explanation: explanation.as_ref() };
            return terminal.line(&serde_json::to_string(&line).expect("eval: an answer is plain data"));
        }
        match explanation {
            Some(explanation) => explained(&explanation, terminal),
            None => self.sentence(question, &decision, &answer, terminal),
        }
    }

    fn explain(&self, question: &Question) -> Result<Explanation, Failure> {
        self.set.explain(self.directory, question).ok_or_else(|| {
            Failure::new(
                "the sources in the built set do not check with this version, so nothing can be explained",
            )
            .help("build it again from its policy files")
        })
    }

    fn sentence(
        &self,
        question: &Question,
        decision: &Decision,
        answer: &Answer,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        let asked = self.set.describe(self.directory, question);
        let word = if answer.decision == Effect::Allow {
            terminal.paint(Paint::Good, "allow")
        } else {
            terminal.paint(Paint::Bad, "deny")
        };
        terminal.line(&format!("{word} {}", visible(&asked)))?;
        let rule = answer.rule.as_ref().map(|r| format!("`{r}`"));
        let why = match (decision.refused_by, rule) {
            (None, rule) => format!("by {}", rule.as_deref().unwrap_or("a rule")),
            (Some(Step::Rule), rule) => format!("by {}", rule.as_deref().unwrap_or("a rule")),
            (Some(Step::Default), _) => "no rule allows it".to_owned(),
            (Some(Step::Scope), _) => {
                "the account's home or the key's scope does not cover the request".to_owned()
            }
            (Some(Step::Boundary), None) => "a boundary does not allow it".to_owned(),
            (Some(Step::Boundary), Some(rule)) => format!("a boundary does not allow it, by {rule}"),
            (Some(Step::ActingFor), None) => "nobody who may do this stands behind the account".to_owned(),
            (Some(Step::ActingFor), Some(rule)) => {
                format!("who stands behind the account may not do it, by {rule}")
            }
        };
        let because = answer.because.iter().map(|b| format!(": {b}")).collect::<String>();
        terminal.line(&format!("  {}", visible(&format!("{why}{because}"))))?;
        if let Some(ask) = &answer.ask {
            terminal.line(&format!("  ask {ask}: that would lift this denial"))?;
        }
        for field in &question.ignored {
            terminal.line(&format!("  {} does not count: the directory owns it", visible(field)))?;
        }
        Ok(())
    }

    fn refuse(
        &mut self,
        (number, line): (usize, usize),
        error: &RequestError,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        self.tally[2] += 1;
        if self.args.format == Answers::Json {
            let line = serde_json::json!({ "error": { "field": error.field, "message": error.message } });
            return terminal.line(&line.to_string());
        }
        let word = terminal.paint(Paint::Odd, "refused");
        terminal.line(&format!("{word} request {number}, line {line}\n  {}", visible(&error.to_string())))
    }
}

fn explained(explanation: &Explanation, terminal: &mut Terminal) -> Result<(), Failure> {
    for (style, line) in explanation.lines() {
        let line = visible(&line).into_owned();
        let line = match style {
            Style::Heading => terminal.paint(Paint::Strong, &line),
            Style::Yes => terminal.paint(Paint::Good, &line),
            Style::No => terminal.paint(Paint::Bad, &line),
            Style::Faint => terminal.paint(Paint::Faint, &line),
            Style::Plain => line,
        };
        terminal.line(&line)?;
    }
    terminal.line("")
}

/// One request as it was found.
pub(super) struct Request<'a> {
    /// From 1.
    pub(super) number: usize,
    /// The line of the input on which it starts, from 1.
    pub(super) line: usize,
    /// Its text, or why it can't be read.
    pub(super) text: Result<&'a str, String>,
    /// Another one has been read already: there is no hurry to hand over the answer.
    pub(super) more: bool,
}

/// Calls `see` with each request until it returns false.
///
/// - Shape: JSON Lines; or, when the first line begins an object and the next one goes on with it, JSON values one
///   after another.
pub(super) fn requests(
    from: impl Read,
    see: &mut impl FnMut(Request<'_>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut reader = BufReader::with_capacity(64 * 1024, from);
    let mut bytes = Vec::new();
    // A line that was read ahead, and whether it is too long.
    let mut ahead: Option<(Vec<u8>, bool)> = None;
    let (mut number, mut line) = (0, 0);
    loop {
        let long = match ahead.take() {
            Some((next, long)) => {
                bytes = next;
                long
            }
            None => next_line(&mut reader, &mut bytes)?,
        };
        if bytes.is_empty() {
            return Ok(());
        }
        line += 1;
        if line == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        if !long && bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        number += 1;
        if number == 1 && !long && is_cut_short(&bytes) {
            let mut next = Vec::new();
            let next_long = next_line(&mut reader, &mut next)?;
            if next_long || !is_object(&next) {
                bytes.extend(next);
                return spread(bytes, line, reader, see);
            }
            ahead = Some((next, next_long));
        }
        let text = if long {
            Err(format!("the line is longer than {REQUEST_BYTES_MAX} bytes"))
        } else {
            std::str::from_utf8(&bytes)
                .map_err(|e| format!("the line is not UTF-8: byte {} is bad", e.valid_up_to()))
        };
        let more = ahead.is_some() || reader.buffer().contains(&b'\n');
        if !see(Request { number, line, text: text.map(str::trim_end), more })? {
            return Ok(());
        }
    }
}

/// What some editors put before the first character of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a line with its end; true if it was too long: then only its beginning is kept.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, Failure> {
    line.clear();
    let mut long = false;
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Failure::new(format!("the requests cannot be read: {e}"))),
        };
        let end = chunk.iter().position(|b| *b == b'\n').map(|i| i + 1);
        let used = end.unwrap_or(chunk.len());
        let room = (REQUEST_BYTES_MAX + 2).saturating_sub(line.len());
        line.extend_from_slice(&chunk[..used.min(room)]);
        long |= used > room;
        reader.consume(used);
        if end.is_some() || used == 0 {
            return Ok(long);
        }
    }
}

/// Whether a line begins a JSON value and ends before it does.
fn is_cut_short(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err_and(|e| e.is_eof())
}

/// Whether a line is a whole JSON object.
fn is_object(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

/// Requests that are spread over lines, the first of them on line `line`.
///
/// - What is no JSON is one refused request, up to the next line that starts with `{`.
fn spread(
    mut bytes: Vec<u8>,
    mut line: usize,
    mut rest: impl BufRead,
    see: &mut impl FnMut(Request<'_>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    const MOST: usize = 64 * REQUEST_BYTES_MAX;
    let cannot = |e: std::io::Error| Failure::new(format!("the requests cannot be read: {e}"));
    rest.by_ref().take((MOST - bytes.len()) as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > MOST {
        return Err(Failure::new(format!("requests that spread over lines may have {MOST} bytes together"))
            .help("put each request on a line of its own"));
    }
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(e) => {
            let message = format!("the request is not UTF-8: byte {} is bad", e.valid_up_to());
            return see(Request { number: 1, line, text: Err(message), more: false }).map(drop);
        }
    };
    let (mut at, mut number) = (0, 0);
    loop {
        let rest = text[at..].trim_start();
        let start = text.len() - rest.len();
        if rest.is_empty() {
            return Ok(());
        }
        line += line_ends(&text[at..start]);
        number += 1;
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&serde_json::value::RawValue>();
        let length = match values.next() {
            Some(Err(e)) => next_object(rest, e.line()),
            Some(Ok(value)) => value.get().len(),
            None => return Ok(()),
        };
        let request = rest[..length].trim_end();
        let text = if request.len() > REQUEST_BYTES_MAX {
            Err(format!("the request is longer than {REQUEST_BYTES_MAX} bytes"))
        } else {
            Ok(request)
        };
        if !see(Request { number, line, text, more: true })? {
            return Ok(());
        }
        at = start + length;
        line += line_ends(&rest[..length]);
    }
}

fn line_ends(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'\n').count()
}

/// Where the first line starts that begins with `{`, from line `from` (from 1) on and not at 0; or the end.
fn next_object(text: &str, from: usize) -> usize {
    let starts = text.match_indices('\n').map(|(i, _)| i + 1);
    starts.skip(from.saturating_sub(2)).find(|i| text[*i..].starts_with('{')).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &[u8]) -> Vec<Result<String, String>> {
        let mut all = Vec::new();
        requests(text, &mut |request| {
            all.push(request.text.map(str::to_owned));
            Ok(true)
        })
        .unwrap();
        all
    }

    #[test]
    fn lines_and_spread_objects() {
        let ok = |t: &str| Ok(t.to_owned());
        assert_eq!(split(b"{\"a\":1}\n\n  {\"b\":2}\r\n"), [ok("{\"a\":1}"), ok("  {\"b\":2}")]);
        assert_eq!(split(b"\xef\xbb\xbf{}\n{}"), [ok("{}"), ok("{}")]);
        assert_eq!(split(b"{\"a\":\n{}\n{}\n"), [ok("{\"a\":"), ok("{}"), ok("{}")]);
        assert_eq!(split(b"{\n}\nx {\ny\n{\n}\n"), [ok("{\n}"), ok("x {\ny"), ok("{\n}")]);
        assert_eq!(split(b"{\n\"a\": 1,\n{\n}"), [ok("{\n\"a\": 1,"), ok("{\n}")]);
        assert_eq!(split(b"{\n \"a\": 1\n}\n{\"b\":\n2}"), [ok("{\n \"a\": 1\n}"), ok("{\"b\":\n2}")]);
        assert_eq!(split(b"{bad\n{\"b\":2}"), [ok("{bad"), ok("{\"b\":2}")]);
        assert_eq!(split(b" \n\n"), []);
    }

    #[test]
    fn what_cannot_be_read_is_answered_in_its_place() {
        let mut text = vec![b'x'; REQUEST_BYTES_MAX + 10];
        text.extend(b"\n{}\n\xff\n{}");
        let all = split(&text);
        assert_eq!(all.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, false, true]);
        assert_eq!(split(b"{\n\"a\": [1,\n"), [Ok("{\n\"a\": [1,".to_owned())], "refused when it is read");
    }
}
