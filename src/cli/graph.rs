//! `policyc graph`: the decision tree as a picture.

use super::{Exit, Failure, Terminal, eval, load, now};
use crate::GraphError;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  policyc graph policies --action update -o update.svg
  policyc graph policies -o all.dot
  policyc graph policies | dot -Tpng > all.png

Without -o the picture goes to standard output in DOT, the language of Graphviz.")]
pub(super) struct Args {
    /// A file, a folder or a built set
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Only this action, or the actions of this group
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Where to write; `.svg` or `.dot` says how
    #[arg(short, long, value_name = "FILE.svg|.dot")]
    output: Option<PathBuf>,
}

/// Actions that are listed when the one wanted isn't there.
const LISTED_MAX: usize = 40;

pub(super) fn run(args: &Args, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let svg = match args.output.as_ref().map(|o| o.extension().map(|e| e.to_string_lossy().to_lowercase())) {
        None => false,
        Some(Some(e)) if e == "svg" => true,
        Some(Some(e)) if e == "dot" || e == "gv" => false,
        Some(_) => {
            return Err(Failure::new("the output's name must end in `.svg` or `.dot`")
                .help("`policyc graph PATH -o tree.svg`"));
        }
    };
    let compiled = load::set(&load::one(&args.path), now(None))?;
    let Some(set) = eval::checked(compiled, terminal) else { return Ok(Exit::Problems) };
    let graph =
        set.graph(args.action.as_deref()).map_err(|GraphError::UnknownAction { nearest, known }| {
            let wanted = args.action.as_deref().unwrap_or("");
            let failure = Failure::new(format!("the set declares no action `{wanted}`"));
            let more = if known.len() > LISTED_MAX { ", …" } else { "" };
            let known: Vec<String> = known.iter().take(LISTED_MAX).map(|k| format!("`{k}`")).collect();
            let known = format!("it declares {}{more}", known.join(", "));
            failure.help(match nearest {
                Some(near) => format!("did you mean `{near}`? {known}"),
                None => known,
            })
        })?;
    let text = if svg { graph.to_svg() } else { graph.to_dot() };
    match &args.output {
        Some(path) => {
            load::replace(path, text.as_bytes())?;
            terminal.say(&format!("wrote {}", path.display()));
        }
        None => terminal.print(&text)?,
    }
    Ok(Exit::Fine)
}
