//! Reads what the arguments name: policy files and folders, built sets, data, requests.
//!
//! Law: what can't be read is a [`Failure`] that names it; what can be read and is wrong is a diagnostic.

use super::Failure;
use super::terminal::Progress;
use crate::limits::{DATA_BYTES_MAX, SOURCE_BYTES_MAX};
use crate::{Compiled, Diagnostic, Directory, PolicySet, Severity, Sources, TextFile};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Folders in folders that are followed.
const FOLDER_DEPTH_MAX: usize = 64;

/// Reads and compiles what `paths` name, all together as one set; an empty list is the current folder.
pub(super) fn set(paths: &[PathBuf], now: i64) -> Result<Compiled, Failure> {
    let _progress = Progress::start("reading and checking policies");
    let files = files(paths)?;
    let built = files.iter().filter(|f| is_built(f)).count();
    if built == 0 {
        return Ok(PolicySet::compile_files(files, now));
    }
    if files.len() > 1 {
        return Err(Failure::new("a built set cannot be combined with other files")
            .help("give the built file alone, or the policy files it was made from"));
    }
    let file = &files[0];
    let set =
        PolicySet::from_built(&file.bytes).map_err(|e| Failure::new(format!("`{}`: {e}", file.name)))?;
    let sources = set.sources().clone();
    Ok(Compiled { set: Some(set), diagnostics: Vec::new(), sources })
}

/// The one path of a command that takes one.
pub(super) fn one(path: &Path) -> Vec<PathBuf> {
    vec![path.to_owned()]
}

/// The policy files that `paths` name, in sorted order, none twice.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<TextFile>, Failure> {
    let here = [PathBuf::from(".")];
    let mut found = Found::default();
    for path in if paths.is_empty() { &here[..] } else { paths } {
        let before = found.files.len() + found.again;
        found.add(path, FOLDER_DEPTH_MAX, true)?;
        if found.files.len() + found.again == before {
            return Err(Failure::new(format!("there is no `.pol` file in `{}`", path.display()))
                .help("`policyc init DIR` writes a small set to start from"));
        }
    }
    Ok(found.files)
}

#[derive(Default)]
struct Found {
    files: Vec<TextFile>,
    seen: BTreeSet<PathBuf>,
    /// Paths met that had been met before.
    again: usize,
    bytes: usize,
}

impl Found {
    fn add(&mut self, path: &Path, depth: usize, named: bool) -> Result<(), Failure> {
        if path == Path::new("-") && named {
            let bytes = limited(io::stdin().lock(), "standard input", SOURCE_BYTES_MAX)?;
            self.files.push(TextFile { name: "<stdin>".to_owned(), bytes });
            return Ok(());
        }
        let unreadable = |e: io::Error| unreadable(path, &e);
        let is_folder = fs::metadata(path).map_err(unreadable)?.is_dir();
        if !self.seen.insert(fs::canonicalize(path).map_err(unreadable)?) {
            self.again += 1;
            return Ok(());
        }
        if is_folder {
            let Some(depth) = depth.checked_sub(1) else {
                return Err(Failure::new(format!(
                    "`{}` lies more than {FOLDER_DEPTH_MAX} folders deep",
                    path.display()
                )));
            };
            let entries =
                fs::read_dir(path).map_err(unreadable)?.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
            let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
            paths.sort();
            return paths.iter().filter(|p| wanted(p)).try_for_each(|p| self.add(p, depth, false));
        }
        if path.extension().is_some_and(|e| e == "json") {
            return Err(Failure::new(format!("`{}` is not a policy file", path.display()))
                .help("directories are given with `--data FILE`, requests with `--request FILE`"));
        }
        let bytes = read(path, SOURCE_BYTES_MAX.saturating_sub(self.bytes))?;
        self.bytes += bytes.len();
        self.files.push(TextFile { name: shown(path), bytes });
        Ok(())
    }
}

/// Whether something in a folder belongs to a set: a folder or a `.pol` file, not hidden.
fn wanted(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|n| n.to_string_lossy().starts_with('.'));
    !hidden && (path.is_dir() || path.extension().is_some_and(|e| e == "pol"))
}

fn is_built(file: &TextFile) -> bool {
    file.name.ends_with(".build") || PolicySet::is_built(&file.bytes)
}

/// A path as people are told it: without a leading `./`.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).to_string_lossy().into_owned()
}

/// Reads a file that is to be a file.
fn read(path: &Path, most: usize) -> Result<Vec<u8>, Failure> {
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(Failure::new(format!("`{}` is a folder; a file is wanted here", path.display())));
    }
    limited(file, &format!("`{}`", path.display()), most)
}

/// Reads to the end, or refuses what is longer than `most` bytes.
fn limited(from: impl Read, name: &str, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    from.take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::new(format!("{name} cannot be read: {e}")))?;
    if bytes.len() > most {
        return Err(Failure::new(format!(
            "{name} is too large: the sources of a set may have {SOURCE_BYTES_MAX} bytes together, data {DATA_BYTES_MAX}"
        )));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("`{}` cannot be read: {}", path.display(), reason(error)));
    match error.kind() {
        io::ErrorKind::NotFound if path.is_relative() => match std::env::current_dir() {
            Ok(here) => failure.help(format!("it was looked for from `{}`", here.display())),
            Err(_) => failure,
        },
        _ => failure,
    }
}

/// What went wrong, without the number that the system adds.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// A directory as read from its data file, with what was found wrong.
pub(super) struct Data {
    pub(super) sources: Sources,
    pub(super) directory: Option<Directory>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Reads a data file for a set.
pub(super) fn data(set: &PolicySet, path: &Path) -> Result<Data, Failure> {
    let _progress = Progress::start("reading data");
    let bytes = read(path, DATA_BYTES_MAX)?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::new(format!("`{}` is not UTF-8: the first bad byte is byte {at}", path.display()))
    })?;
    let mut sources = Sources::default();
    // Some editors put a byte order mark first; it is no part of the text.
    let id = sources.add(shown(path), text.strip_prefix('\u{feff}').unwrap_or(&text));
    let (directory, diagnostics) = set.load_directory(&sources, id);
    let failed = diagnostics.iter().any(|d| d.severity() == Severity::Error);
    Ok(Data { sources, directory: directory.filter(|_| !failed), diagnostics })
}

/// Opens a file of requests; `-` is standard input.
pub(super) fn requests(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(Failure::new(format!(
            "`{}` is a folder; `--request` wants a file or `-`",
            path.display()
        )));
    }
    Ok(Box::new(file))
}

/// Replaces a file in one step, keeping its permissions; whoever reads it sees the old text or the new.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        // A link is followed: the file it names is replaced.
        let target = if path.exists() { fs::canonicalize(path)? } else { path.to_owned() };
        let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
        let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
        let written = (|| {
            let mut file = File::options().write(true).create_new(true).open(&temporary)?;
            io::Write::write_all(&mut file, bytes)?;
            if let Ok(metadata) = fs::metadata(&target) {
                file.set_permissions(metadata.permissions())?;
            }
            file.sync_all()?;
            fs::rename(&temporary, &target)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    };
    write().map_err(|e| Failure::new(format!("`{}` cannot be written: {}", path.display(), reason(&e))))
}
