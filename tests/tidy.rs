//! The house rules, kept by a test: who may know which crate, which way imports go, what a file looks like.

mod support;

use policyc::Code;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use support::{files_under, root};

/// Lines of a file before its tests.
const LINES_MAX: usize = 600;

/// What may import what: a module imports from its own level and from those before it.
/// `audit` stands beside the language: it needs bounds and times, nothing else.
const LEVELS: [&[&str]; 11] = [
    &["limits", "source", "value", "diagnostic"],
    &["audit"],
    &["syntax"],
    &["check"],
    &["decision", "request", "directory", "json", "tree", "meaning"],
    &["explain", "suite", "quoted", "graph"],
    &["set"],
    &["live"],
    &["report"],
    &["cli"],
    &["service"],
];

struct Source {
    path: PathBuf,
    /// The path below `src/`, with `/`.
    name: String,
    text: String,
}

impl Source {
    /// Test modules stand in files of their own or at the end of a file.
    fn is_test(&self) -> bool {
        ["tests.rs", "_tests.rs", "fixture.rs", "agreement.rs"].iter().any(|end| self.name.ends_with(end))
    }

    fn before_tests(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take_while(|line| line.trim() != "#[cfg(test)]")
    }

    fn module(&self) -> &str {
        self.name.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&src).expect("below src").to_string_lossy().replace('\\', "/");
        let text = std::fs::read_to_string(&path).expect("a source can be read");
        Source { path, name, text }
    };
    files_under(&src).into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs")).map(read).collect()
}

fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The code of a line, without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// The names that follow a prefix such as `crate::`: of `crate::a::B` and `crate::{A, b::C}`.
fn imports(source: &Source, prefix: &str) -> BTreeSet<String> {
    let text: String = source.before_tests().map(|line| format!("{}\n", code(line))).collect();
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        let boundary = text[..at].chars().next_back();
        if boundary.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        let word = |t: &str| t.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (i, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    found.insert(word(&list[i..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn each_file_says_first_what_it_is_and_can_be_held_in_mind() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//! ") {
            wrong.push(format!("{}: its first line is not `//! …`", source.name));
        }
        let lines = source.before_tests().count();
        if lines > LINES_MAX && !source.is_test() {
            wrong.push(format!("{}: {lines} lines before its tests; at most {LINES_MAX}", source.name));
        }
    }
    none(wrong);
}

#[test]
fn nothing_is_left_to_do() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            for mark in ["todo!(", "unimplemented!(", "dbg!(", "/// stub"] {
                if line.contains(mark) {
                    wrong.push(format!("{}:{}: {mark}", source.path.display(), number + 1));
                }
            }
        }
    }
    none(wrong);
}

#[test]
fn a_crate_that_could_leak_is_known_in_one_file() {
    let one_place =
        [("pest", "syntax/parse.rs"), ("pest_derive", "syntax/parse.rs"), ("ariadne", "report.rs")];
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, place) in one_place {
            let path = format!("{name}::");
            let named = source.before_tests().any(|line| {
                code(line).match_indices(&path).any(|(at, _)| {
                    !code(line)[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
                })
            });
            if named && source.name != place {
                wrong.push(format!("{}: only {place} knows {name}", source.name));
            }
        }
    }
    none(wrong);
}

#[test]
fn imports_point_back_towards_the_text() {
    let level: BTreeMap<&str, usize> =
        LEVELS.iter().enumerate().flat_map(|(n, names)| names.iter().map(move |name| (*name, n))).collect();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test() && s.module() != "lib" && s.module() != "bin") {
        let Some(own) = level.get(source.module()) else {
            wrong.push(format!("{}: say in tests/tidy.rs on which level it stands", source.name));
            continue;
        };
        for name in imports(source, "crate::") {
            if level.get(name.as_str()).is_some_and(|other| other > own) {
                wrong.push(format!("{}: imports `{name}`, which comes after it", source.name));
            }
        }
    }
    none(wrong);
}

#[test]
fn the_command_uses_what_any_embedder_could() {
    let lib = sources().into_iter().find(|s| s.name == "lib.rs").expect("src/lib.rs");
    let modules: BTreeSet<&str> =
        lib.text.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| ["cli", "service", "bin"].contains(&s.module())) {
        for prefix in ["crate::", "policyc::"] {
            for name in imports(source, prefix) {
                let own =
                    ["limits", "audit", source.module()].contains(&name.as_str()) || source.module() == "bin";
                if modules.contains(name.as_str()) && !own {
                    wrong.push(format!("{}: `{prefix}{name}` is behind the facade", source.name));
                }
            }
        }
    }
    none(wrong);
}

#[test]
fn each_code_has_a_page_and_a_corpus_case() {
    let cases: Vec<String> = files_under(&root().join("tests/corpus"))
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "out"))
        .map(|p| p.file_name().expect("a file has a name").to_string_lossy().into_owned())
        .collect();
    let mut wrong = Vec::new();
    for code in Code::ALL {
        if !cases.iter().any(|name| name.starts_with(code.as_str())) {
            wrong.push(format!("{}: no case in tests/corpus", code.as_str()));
        }
        if code.explanation().len() < 200 {
            wrong.push(format!("{}: its page says too little", code.as_str()));
        }
    }
    none(wrong);
}

#[test]
fn the_changelog_knows_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let log = std::fs::read_to_string(Path::new(root()).join("CHANGELOG.md")).expect("CHANGELOG.md");
    assert!(log.contains(version), "CHANGELOG.md does not name {version}");
}
