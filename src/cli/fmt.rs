//! `policyc fmt`: the one canonical form.

use super::output::{Format, Report};
use super::terminal::Paint;
use super::{Exit, Failure, Terminal, count, load};
use crate::{TextFile, format_text, visible};
use std::path::{Path, PathBuf};

/// Lines of difference shown for one file.
const DIFF_LINES_SHOWN: usize = 40;
/// Lines of unchanged text around a difference.
const DIFF_CONTEXT: usize = 2;
/// Pairs of lines that are compared; past it a difference is one block.
const DIFF_CELLS_MAX: usize = 4_000_000;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  policyc fmt                 rewrite all `.pol` files below the current folder
  policyc fmt --check         for CI: name the files that would change, and how
  policyc fmt - < a.pol       from standard input to standard output

Exit codes: 0 fine, 1 some file would change (--check) or has a syntax error, 2 unreadable input.")]
pub(super) struct Args {
    /// Files or folders; `-` is standard input [default: .]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Change nothing; list the files that would change
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let stdin = args.paths.iter().any(|p| p == Path::new("-"));
    if stdin && args.paths.len() > 1 {
        return Err(Failure::new("`-` stands alone: standard input is written to standard output"));
    }
    let files = load::files(&args.paths)?;
    let (mut changed, mut broken) = (0, 0);
    for file in &files {
        let formatted = match format_text(file.clone()) {
            Ok(formatted) => formatted,
            Err((sources, diagnostics)) => {
                let mut report = Report::new(Format::Human, terminal.color_err, false);
                report.add(&sources, &diagnostics);
                terminal.flush()?;
                terminal.say(report.text().trim_end());
                broken += 1;
                continue;
            }
        };
        let same = formatted.as_bytes() == file.bytes;
        changed += usize::from(!same);
        if args.check && !same {
            terminal.line(&format!("{} would change", visible(&file.name)))?;
            show_diff(file, &formatted, terminal)?;
        } else if stdin && !args.check {
            terminal.print(&formatted)?;
        } else if !same {
            load::replace(Path::new(&file.name), formatted.as_bytes())?;
            terminal.line(&format!("formatted {}", visible(&file.name)))?;
        }
    }
    terminal.flush()?;
    if !stdin {
        terminal.say(&summary(files.len(), changed, broken, args.check));
    }
    let problems = broken > 0 || (args.check && changed > 0);
    Ok(if problems { Exit::Problems } else { Exit::Fine })
}

fn summary(files: usize, changed: usize, broken: usize, check: bool) -> String {
    let what = match (changed, check) {
        (0, _) if broken == 0 => "all formatted".to_owned(),
        (n, true) => format!("{n} would change"),
        (n, false) => format!("{n} changed"),
    };
    let broken =
        if broken > 0 { format!(", {broken} with syntax errors left as they are") } else { String::new() };
    format!("{}: {what}{broken}", count(files, "file"))
}

fn show_diff(file: &TextFile, formatted: &str, terminal: &mut Terminal) -> Result<(), Failure> {
    let old = String::from_utf8_lossy(&file.bytes);
    let lines = diff(&old, formatted);
    for line in lines.iter().take(DIFF_LINES_SHOWN) {
        let shown = visible(line).into_owned();
        let shown = match line.as_bytes().first() {
            Some(b'-') => terminal.paint(Paint::Bad, &shown),
            Some(b'+') => terminal.paint(Paint::Good, &shown),
            _ => shown,
        };
        terminal.line(&format!("  {shown}"))?;
    }
    if lines.len() > DIFF_LINES_SHOWN {
        terminal.line(&format!("  … {} more lines", lines.len() - DIFF_LINES_SHOWN))?;
    }
    Ok(())
}

/// The difference of two texts by lines: `@ line`, then ` ` kept, `-` old, `+` new.
fn diff(old: &str, new: &str) -> Vec<String> {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let most = a.len().min(b.len()) - head;
    let tail = a.iter().rev().zip(b.iter().rev()).take(most).take_while(|(x, y)| x == y).count();
    let edits = edits(&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let all: Vec<(char, &str)> = a[..head]
        .iter()
        .map(|l| (' ', *l))
        .chain(edits)
        .chain(a[a.len() - tail..].iter().map(|l| (' ', *l)))
        .collect();
    let near = |i: usize| {
        let window = i.saturating_sub(DIFF_CONTEXT)..(i + DIFF_CONTEXT + 1).min(all.len());
        all[window].iter().any(|(mark, _)| *mark != ' ')
    };
    let (mut out, mut line, mut before) = (Vec::new(), 1, false);
    for (i, (mark, text)) in all.iter().enumerate() {
        let shown = near(i);
        if shown && !before {
            out.push(format!("@ line {line}"));
        }
        if shown {
            out.push(format!("{mark}{text}"));
        }
        before = shown;
        line += usize::from(*mark != '+');
    }
    out
}

/// A shortest way from `a` to `b`: a longest common subsequence is kept.
fn edits<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<(char, &'a str)> {
    if a.len().saturating_mul(b.len()) > DIFF_CELLS_MAX {
        return a.iter().map(|l| ('-', *l)).chain(b.iter().map(|l| ('+', *l))).collect();
    }
    let width = b.len() + 1;
    let mut common = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if a[i] == b[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            out.push((' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]) {
            out.push(('-', a[i]));
            i += 1;
        } else {
            out.push(('+', b[j]));
            j += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_diff() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let new = "a\nb\nc\nD\ne\nf\ng\nh\ni\n";
        assert_eq!(diff(old, new), ["@ line 2", " b", " c", "-d", "+D", " e", " f", " g", " h", "+i", " "]);
        assert_eq!(diff("", "x\n"), ["@ line 1", "+x", " "]);
        assert!(diff("a\n", "a\n").is_empty());
    }
}
