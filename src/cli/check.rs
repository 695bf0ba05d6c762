//! `policyc check`: what is wrong with a policy set, and with data for it.

use super::output::{Format, Report};
use super::{Exit, Failure, Terminal, load, now, time_argument};
use crate::PolicySet;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  policyc check                               the set in the current folder
  policyc check policies --data prod.json     also every quoted name against real data
  policyc check --format sarif > out.sarif    for code scanning
  policyc check --deny-warnings               for CI

Several PATHs form one set together. Exit codes: 0 clean, 1 problems, 2 unreadable input.")]
pub(super) struct Args {
    /// Files, folders or a built set [default: .]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Also check this directory data, and every quoted name of the set against it
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// How to report
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Make every warning an error
    #[arg(long)]
    deny_warnings: bool,
    /// The time that `until` is compared with [default: the clock]
    #[arg(long, value_name = "TIME", value_parser = time_argument)]
    now: Option<i64>,
}

pub(super) fn run(args: &Args, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let now = now(args.now);
    let mut compiled = load::set(&args.paths, now)?;
    if let (Some(set), true) = (&compiled.set, compiled.diagnostics.is_empty()) {
        // A built set was checked when it was built; its warnings are found again from its sources.
        if set.is_from_built() {
            compiled = PolicySet::compile(set.sources().as_ref().clone(), now);
        }
    }
    let mut report = Report::new(args.format, terminal.color, args.deny_warnings);
    report.files = compiled.sources.iter().count();
    report.rules = compiled.set.as_ref().map(|set| set.stats().tree.rules);
    report.add(&compiled.sources, &compiled.diagnostics);
    if let (Some(path), Some(set)) = (&args.data, &compiled.set) {
        let data = load::data(set, path)?;
        report.files += 1;
        report.add(&data.sources, &data.diagnostics);
        if let Some(directory) = &data.directory {
            report.add(&compiled.sources, &set.check_names(directory));
        }
    }
    terminal.print(&report.text())?;
    if args.format == Format::Human {
        terminal.flush()?;
        terminal.say(&report.summary());
        if args.data.is_some() && compiled.set.is_none() {
            terminal.say("the data was not looked at: that takes a set without errors");
        }
    }
    Ok(if report.errors() > 0 { Exit::Problems } else { Exit::Fine })
}
