//! `policyc test`: runs the `test` blocks of a set.

use super::output::{Format, Report, junit};
use super::terminal::{Paint, Progress};
use super::{Exit, Failure, Terminal, count, eval, load, now, time_argument};
use crate::{Compiled, Coverage, PolicySet, Severity, Sources, TestOutcome, visible};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  policyc test                            all tests of the set in the current folder
  policyc test policies --filter mfa      those whose title holds `mfa`
  policyc test policies --coverage        also what no test has determined
  policyc test --format junit > out.xml   for CI servers

Exit codes: 0 all passed, 1 some failed or the set doesn't check, 2 unreadable input.")]
pub(super) struct Args {
    /// Files, folders or a built set [default: .]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only tests whose title holds this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Say which rules, and which outcomes of their conditions, no test has determined
    #[arg(long)]
    coverage: bool,
    /// How to report
    #[arg(long, value_enum, default_value_t = Form::Human)]
    format: Form,
    /// The time that `until` is compared with when checking [default: the clock]
    #[arg(long, value_name = "TIME", value_parser = time_argument)]
    now: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Failures with their places, and a summary
    Human,
    /// One JSON object, described in docs/formats.md
    Json,
    /// JUnit XML
    Junit,
}

pub(super) fn run(args: &Args, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let compiled = load::set(&args.paths, now(args.now))?;
    if compiled.set.is_none() {
        unchecked(args.format, &compiled, terminal)?;
    }
    let Some(set) = eval::checked(compiled, terminal) else { return Ok(Exit::Problems) };
    let (outcomes, coverage) = {
        let _progress = Progress::start("running tests");
        let outcomes = set.test(args.filter.as_deref()).ok_or_else(stale)?;
        let coverage =
            if args.coverage { Some(set.coverage(args.filter.as_deref()).ok_or_else(stale)?) } else { None };
        (outcomes, coverage)
    };
    if let (true, Some(filter)) = (outcomes.is_empty(), &args.filter) {
        return Err(Failure::new(format!("no test's title holds `{filter}`")));
    }
    let run = Run { set: &set, outcomes: &outcomes, coverage: coverage.as_ref() };
    match args.format {
        Form::Human => run.human(terminal)?,
        Form::Json => {
            let text = serde_json::to_string_pretty(&run.json()).expect("test: plain data");
            terminal.line(&text)?;
        }
        Form::Junit => terminal.print(&junit::write(&run.cases()))?,
    }
    Ok(if run.failed() > 0 { Exit::Problems } else { Exit::Fine })
}

/// A report for machines on a set that doesn't check, so that no test could run; people read standard error.
fn unchecked(form: Form, compiled: &Compiled, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut report = Report::new(Format::Json, false, false);
    let errors: Vec<_> =
        compiled.diagnostics.iter().filter(|d| d.severity() == Severity::Error).cloned().collect();
    report.add(&compiled.sources, &errors);
    match form {
        Form::Human => Ok(()),
        Form::Junit => terminal.print(&report.junit()),
        Form::Json => {
            let document = json!({
                "version": 1,
                "summary": {
                    "tests": 0, "passed": 0, "failed": 0,
                    "errors": report.errors(), "not_shown": report.not_shown(),
                },
                "tests": [],
                "coverage": null,
                "diagnostics": report.diagnostics(),
            });
            terminal.line(&serde_json::to_string_pretty(&document).expect("test: plain data"))
        }
    }?;
    terminal.flush()
}

fn stale() -> Failure {
    Failure::new("the sources in the built set do not check with this version, so its tests can't run")
        .help("build it again from its policy files")
}

struct Run<'a> {
    set: &'a PolicySet,
    outcomes: &'a [TestOutcome],
    coverage: Option<&'a Coverage>,
}

impl Run<'_> {
    fn failed(&self) -> usize {
        self.outcomes.iter().filter(|o| !o.failures.is_empty()).count()
    }

    fn sources(&self) -> &Sources {
        self.set.sources()
    }

    fn place(&self, span: crate::Span) -> (String, usize, usize) {
        let at = self.sources().position(span.source, span.start);
        (self.sources().get(span.source).name.clone(), at.line, at.column)
    }

    fn human(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        for outcome in self.outcomes.iter().filter(|o| !o.failures.is_empty()) {
            let (file, line, _) = self.place(outcome.span);
            let word = terminal.paint(Paint::Bad, "FAILED");
            terminal.line(&format!("{word} {}  {}:{line}", visible(&outcome.title), visible(&file)))?;
            for failure in &outcome.failures {
                let (file, line, column) = self.place(failure.span);
                terminal.line(&format!("  {}:{line}:{column}", visible(&file)))?;
                let step =
                    self.sources().slice(failure.span).lines().map(str::trim).collect::<Vec<_>>().join(" ");
                terminal.line(&format!("    {}", visible(&step)))?;
                for line in failure.message.lines() {
                    terminal.line(&format!("    {}", visible(line)))?;
                }
            }
            terminal.line("")?;
        }
        if let Some(coverage) = self.coverage {
            self.covered(coverage, terminal)?;
        }
        terminal.flush()?;
        let passed = self.outcomes.len() - self.failed();
        let checks: usize = self.outcomes.iter().map(|o| o.checks).sum();
        let failed = if self.failed() > 0 { format!(", {} failed", self.failed()) } else { String::new() };
        terminal.say(&format!(
            "{}, {}: {passed} passed{failed}",
            count(self.outcomes.len(), "test"),
            count(checks, "decision")
        ));
        Ok(())
    }

    fn covered(&self, coverage: &Coverage, terminal: &mut Terminal) -> Result<(), Failure> {
        terminal.line(&format!(
            "coverage: {} of {} determined, {} of {} outcomes of conditions seen",
            coverage.rules_determined,
            count(coverage.rules, "rule"),
            coverage.outcomes_seen,
            coverage.outcomes
        ))?;
        for gap in &coverage.gaps {
            let (file, line, column) = self.place(gap.span);
            terminal.line(&format!("  {}:{line}:{column}  {}", visible(&file), visible(&gap.text)))?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let place = |span| {
            let (file, line, column) = self.place(span);
            json!({ "file": file, "line": line, "column": column })
        };
        let tests: Vec<Value> = self
            .outcomes
            .iter()
            .map(|outcome| {
                json!({
                    "title": outcome.title,
                    "passed": outcome.failures.is_empty(),
                    "checks": outcome.checks,
                    "at": place(outcome.span),
                    "failures": outcome.failures.iter().map(|f| json!({
                        "message": f.message, "at": place(f.span), "step": self.sources().slice(f.span),
                    })).collect::<Vec<_>>(),
                })
            })
            .collect();
        let coverage = self.coverage.map(|c| json!({
            "rules": c.rules,
            "rules_determined": c.rules_determined,
            "outcomes": c.outcomes,
            "outcomes_seen": c.outcomes_seen,
            "gaps": c.gaps.iter().map(|g| json!({ "text": g.text, "at": place(g.span) })).collect::<Vec<_>>(),
        }));
        json!({
            "version": 1,
            "summary": { "tests": self.outcomes.len(), "passed": self.outcomes.len() - self.failed(), "failed": self.failed() },
            "tests": tests,
            "coverage": coverage,
        })
    }

    fn cases(&self) -> Vec<junit::Case> {
        self.outcomes
            .iter()
            .map(|outcome| {
                let (file, line, _) = self.place(outcome.span);
                let failures = outcome.failures.iter().map(|f| {
                    let (file, line, column) = self.place(f.span);
                    let first = f.message.lines().next().unwrap_or("").to_owned();
                    let rest: Vec<&str> = f.message.lines().skip(1).collect();
                    (
                        first,
                        format!(
                            "at {file}:{line}:{column}: {}\n{}",
                            self.sources().slice(f.span),
                            rest.join("\n")
                        ),
                    )
                });
                junit::Case {
                    file,
                    line,
                    title: outcome.title.to_string(),
                    checks: outcome.checks,
                    failures: failures.collect(),
                }
            })
            .collect()
    }
}
