//! `policyc explain`: the long form of a diagnostic code.

use super::terminal::Paint;
use super::{Exit, Failure, Terminal};
use crate::{Code, nearest};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  policyc explain E0102     what this code means, with an example
  policyc explain           all codes")]
pub(super) struct Args {
    /// Such as E0102; left out: all codes with their titles
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

pub(super) fn run(args: &Args, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let Some(wanted) = &args.code else {
        for code in Code::ALL {
            let name = terminal.paint(Paint::Strong, code.as_str());
            terminal.line(&format!("{name}  {}", code.title()))?;
        }
        return Ok(Exit::Fine);
    };
    let Some(code) = Code::parse(wanted.trim()) else {
        let failure = Failure::new(format!("there is no code `{wanted}`"));
        let upper = wanted.to_uppercase();
        return Err(match nearest(&upper, Code::ALL.iter().map(|c| c.as_str())) {
            Some(near) => failure.help(format!("did you mean `{near}`? `policyc explain` lists all codes")),
            None => failure.help("`policyc explain` lists all codes"),
        });
    };
    terminal.line(&terminal.paint(Paint::Strong, &format!("{}: {}", code.as_str(), code.title())))?;
    terminal.line("")?;
    for (kind, line) in plain(code.explanation()) {
        let line = match kind {
            Kind::Heading => terminal.paint(Paint::Strong, &line),
            Kind::Code | Kind::Text => line,
        };
        terminal.line(&line)?;
    }
    Ok(Exit::Fine)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Heading,
    Text,
    Code,
}

/// Markdown as plain text: marks dropped, code indented, its title left to the caller.
fn plain(markdown: &str) -> Vec<(Kind, String)> {
    let mut out: Vec<(Kind, String)> = Vec::new();
    let mut in_code = false;
    for (number, line) in markdown.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if in_code {
            out.push((Kind::Code, if line.is_empty() { String::new() } else { format!("    {line}") }));
        } else if number == 0 && line.starts_with("# ") {
            // The caller has said which code it is.
        } else if let Some(heading) = line.strip_prefix('#') {
            out.push((Kind::Heading, inline(heading.trim_start_matches('#').trim())));
        } else {
            out.push((Kind::Text, inline(line)));
        }
    }
    let blank = |l: Option<&(Kind, String)>| l.is_none_or(|(_, text)| text.is_empty());
    while !out.is_empty() && blank(out.first()) {
        out.remove(0);
    }
    while !out.is_empty() && blank(out.last()) {
        out.pop();
    }
    out
}

/// A line without emphasis and with links as their text; what stands in backticks is left alone.
fn inline(line: &str) -> String {
    let mut out = String::new();
    for (i, part) in line.split('`').enumerate() {
        if i % 2 == 1 {
            out.push_str(&format!("`{part}`"));
            continue;
        }
        let mut rest = part.replace("**", "");
        while let Some((start, middle)) = rest.find('[').and_then(|s| Some((s, s + rest[s..].find("](")?)))
            && let Some(end) = rest[middle..].find(')')
        {
            let text = rest[start + 1..middle].to_owned();
            rest.replace_range(start..=middle + end, &text);
        }
        out.push_str(&rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_plain() {
        let text = plain(
            "# E0001: x\n\nSome **bold** and `a[0](b)**` and [a link](there).\n\n## Example\n\n```pol\nallow\n\n  x\n```\n",
        );
        let lines: Vec<&str> = text.iter().map(|(_, l)| l.as_str()).collect();
        assert_eq!(
            lines,
            ["Some bold and `a[0](b)**` and a link.", "", "Example", "", "    allow", "", "      x"]
        );
        assert_eq!(text[2].0, Kind::Heading);
    }
}
