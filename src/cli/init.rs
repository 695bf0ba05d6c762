//! `policyc init`: a small set to start from, which checks, passes its tests and is formatted.

use super::load::reason;
use super::{Exit, Failure, Terminal};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = "Example:
  policyc init demo && policyc check demo && policyc test demo

Nothing is overwritten.")]
pub(super) struct Args {
    /// The folder to write into; made if it isn't there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

const FILES: [(&str, &str); 4] = [
    ("vocabulary.pol", include_str!("starter/vocabulary.pol")),
    ("documents.pol", include_str!("starter/documents.pol")),
    ("data.json", include_str!("starter/data.json")),
    ("request.json", include_str!("starter/request.json")),
];

pub(super) fn run(args: &Args, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let cannot = |path: &Path, e: &std::io::Error| {
        Failure::new(format!("`{}` cannot be written: {}", path.display(), reason(e)))
    };
    for (name, _) in FILES {
        let path = args.folder.join(name);
        if fs::symlink_metadata(&path).is_ok() {
            return Err(Failure::new(format!("`{}` is there already; nothing was written", path.display()))
                .help("give a folder of its own: `policyc init DIR`"));
        }
    }
    fs::create_dir_all(&args.folder).map_err(|e| cannot(&args.folder, &e))?;
    for (name, text) in FILES {
        let path = args.folder.join(name);
        let written = File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|e| cannot(&path, &e))?;
        terminal.line(&format!("wrote {}", path.display()))?;
    }
    let word = |path: &Path| shell_word(&path.to_string_lossy());
    let folder = word(&args.folder);
    let data = word(&args.folder.join("data.json"));
    let request = word(&args.folder.join("request.json"));
    terminal.print(&format!(
        "\nNow try:\n  policyc check {folder} --data {data}\n  policyc test {folder} --coverage\n  \
         policyc eval {folder} --data {data} --request {request} --explain\n"
    ))?;
    Ok(Exit::Fine)
}

/// A path as one word of a shell, quoted if it must be.
fn shell_word(path: &str) -> String {
    let path = if path.starts_with('-') { format!("./{path}") } else { path.to_owned() };
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        return path;
    }
    format!("'{}'", path.replace('\'', "'\\''"))
}
