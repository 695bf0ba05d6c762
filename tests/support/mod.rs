//! What several tests share: compiling a text, perhaps with data, and showing what is said about it.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use policyc::{Code, Diagnostic, PolicySet, Reporter, Sources, TextFile, parse_time};
use std::path::{Path, PathBuf};

/// What is said about a set and its data, in the order in which people see it.
pub struct Said {
    /// The codes.
    pub codes: Vec<Code>,
    /// The whole text, without colour.
    pub text: String,
    /// The set, if it checks.
    pub set: Option<PolicySet>,
}

/// The time that every `until` in tests is compared with, in microseconds.
pub fn now() -> i64 {
    parse_time("2026-06-01T12:00:00Z").expect("a time")
}

/// The root of the package.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compiles a set of one file; with data also loads it and checks the set's quoted names against it.
pub fn judge(name: &str, policy: Vec<u8>, data: Option<(&str, String)>) -> Said {
    let file = TextFile { name: name.to_owned(), bytes: policy };
    let compiled = PolicySet::compile_files(vec![file], now());
    let mut said = Said { codes: Vec::new(), text: String::new(), set: None };
    said.say(&compiled.sources, &compiled.diagnostics);
    if let (Some(set), Some((name, text))) = (&compiled.set, data) {
        let mut sources = Sources::default();
        let id = sources.add(name, text);
        let (directory, found) = set.load_directory(&sources, id);
        said.say(&sources, &found);
        if let Some(directory) = &directory {
            said.say(&compiled.sources, &set.check_names(directory));
        }
    }
    said.set = compiled.set;
    said
}

impl Said {
    /// Adds diagnostics, each as text.
    pub fn say(&mut self, sources: &Sources, found: &[Diagnostic]) {
        let mut reporter = Reporter::new(sources, false);
        for diagnostic in found {
            self.codes.push(diagnostic.code);
            if !self.text.is_empty() {
                self.text.push('\n');
            }
            self.text.push_str(&reporter.render(diagnostic, diagnostic.severity()));
        }
    }
}

/// All files under a folder, in order of their paths.
pub fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            found.extend(files_under(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
