//! The `policyc` command: arguments in, one file a subcommand, an exit code out.
//!
//! Law:  standard output carries what was asked for, standard error the rest; a closed pipe ends output quietly.
//! Exit: 0 fine · 1 problems found · 2 usage or unreadable input · 3 some requests denied.

mod bench;
mod build;
mod check;
mod completions;
mod eval;
mod explain;
mod fmt;
mod graph;
mod init;
mod load;
mod output;
mod terminal;
mod test;

use clap::{Parser, Subcommand, ValueEnum};
use std::process::ExitCode;
use terminal::Terminal;

/// Checks, formats, tests, explains and compiles policy sets.
#[derive(Parser)]
#[command(name = "policyc", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    /// When to use colour on a terminal (NO_COLOR is honoured)
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  policyc init demo                       write a small set to start from
  policyc check demo                      find mistakes
  policyc test demo --coverage            run its tests, and see what they leave out
  policyc eval demo --data demo/data.json --request demo/request.json --explain

PATH is a file, a folder (all `.pol` files in it, at any depth) or a built set.
Exit codes: 0 fine, 1 problems found, 2 usage or unreadable input, 3 some requests denied.";

#[derive(Subcommand)]
enum Command {
    /// Find mistakes in a policy set
    Check(check::Args),
    /// Decide requests
    Eval(eval::Args),
    /// Run the `test` blocks of a policy set
    Test(test::Args),
    /// Rewrite policy files in the one canonical form
    Fmt(fmt::Args),
    /// Say at length what a diagnostic code means
    Explain(explain::Args),
    /// Draw the decision tree
    Graph(graph::Args),
    /// Compile a policy set to one file
    Build(build::Args),
    /// Measure how fast requests are decided
    Bench(bench::Args),
    /// Write a small policy set to start from
    Init(init::Args),
    /// Print completions for a shell
    Completions(completions::Args),
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Fine.
    Fine = 0,
    /// It worked, and found problems.
    Problems = 1,
    /// Some input was refused.
    Refused = 2,
    /// Some requests were denied.
    Denied = 3,
}

/// Why a command could not do its work: a wrong argument, or input that can't be read.
#[derive(Debug)]
struct Failure {
    message: String,
    help: Option<String>,
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Failure { message: message.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Runs the command with the arguments of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut terminal = Terminal::new(cli.color);
    let ended = run(cli.command, &mut terminal).and_then(|exit| terminal.flush().map(|()| exit));
    ExitCode::from(match ended {
        Ok(exit) => exit as u8,
        Err(failure) => {
            terminal.flush().ok();
            terminal.fail(&failure);
            Exit::Refused as u8
        }
    })
}

fn run(command: Command, terminal: &mut Terminal) -> Result<Exit, Failure> {
    match command {
        Command::Check(args) => check::run(&args, terminal),
        Command::Eval(args) => eval::run(&args, terminal),
        Command::Test(args) => test::run(&args, terminal),
        Command::Fmt(args) => fmt::run(&args, terminal),
        Command::Explain(args) => explain::run(&args, terminal),
        Command::Graph(args) => graph::run(&args, terminal),
        Command::Build(args) => build::run(&args, terminal),
        Command::Bench(args) => bench::run(&args, terminal),
        Command::Init(args) => init::run(&args, terminal),
        Command::Completions(args) => completions::run(&args, terminal),
    }
}

/// `--now`: a time as policies write it.
fn time_argument(text: &str) -> Result<i64, String> {
    crate::parse_time(text)
}

/// The time of `--now`, or the clock's, in microseconds.
fn now(given: Option<i64>) -> i64 {
    let clock = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    };
    given.unwrap_or_else(clock)
}

/// `1 file`, `3 files`.
fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn counts_read_well() {
        assert_eq!((count(0, "file"), count(1, "file")), ("0 files".to_owned(), "1 file".to_owned()));
    }
}
