//! `policyc build`: a set compiled to one file.

use super::{Exit, Failure, Terminal, count, eval, load, now, time_argument};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  policyc build policies -o policies.build
  policyc build policies -o policies.build --stats

A built set is accepted wherever a PATH is. It carries its sources, so it can still be explained.
Exit codes: 0 built, 1 the set doesn't check, 2 unreadable input or unwritable output.")]
pub(super) struct Args {
    /// A file or a folder
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Where to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Say what the tree is made of
    #[arg(long)]
    stats: bool,
    /// The time that `until` is compared with [default: the clock]
    #[arg(long, value_name = "TIME", value_parser = time_argument)]
    now: Option<i64>,
}

pub(super) fn run(args: &Args, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let compiled = load::set(&load::one(&args.path), now(args.now))?;
    let Some(set) = eval::checked(compiled, terminal) else { return Ok(Exit::Problems) };
    let bytes = set.to_built();
    load::replace(&args.output, &bytes)?;
    let stats = set.stats();
    if args.stats {
        terminal.print(&stats.to_string())?;
    }
    terminal.flush()?;
    terminal.say(&format!(
        "built {}: {}, {}",
        args.output.display(),
        count(stats.tree.rules, "rule"),
        count(bytes.len(), "byte")
    ));
    Ok(Exit::Fine)
}
