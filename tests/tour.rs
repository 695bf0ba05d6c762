//! The tour of README.md: every command in it is run, and prints what the page says.
//!
//! A `console` block holds `$ policyc …` lines, each with what it prints below it: standard output, then standard error.
//! With the feature `server`, `policyd` and `sed` run too, in a shell; `policyd serve … &` runs until the tour ends.
//! There `…` stands for anything, and a line of `…` alone for the rest.
//! A block marked `pol,file=PATH` is saved before the commands below it run. All runs in a fresh folder that holds a copy
//! of `policies/`. `UPDATE=1` rewrites the page.

#![cfg(feature = "cli")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

const PAGE: &str = "README.md";

/// A folder of this test's own, gone when it ends.
struct Folder(PathBuf);

/// A service in the background, ended with the tour.
struct Served(Option<Child>);

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// A shell for `policyd`: the environment that `export` gave, and where its service listens.
struct Shell {
    environment: Vec<(String, String)>,
    served: Served,
}

#[cfg(feature = "server")]
impl Shell {
    fn new() -> Shell {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address").to_string();
        let path = Path::new(env!("CARGO_BIN_EXE_policyd")).parent().expect("a folder").display().to_string();
        let path = format!("{path}:{}", std::env::var("PATH").unwrap_or_default());
        let pairs =
            [("POLICYD_ADDRESS", format!("http://{address}")), ("POLICYD_LISTEN", address), ("PATH", path)];
        let environment = pairs.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        Shell { environment, served: Served(None) }
    }

    fn run(&mut self, folder: &Path, command: &str) -> Option<String> {
        if let Some((name, value)) = command.strip_prefix("export ").and_then(|c| c.split_once('=')) {
            self.environment.push((name.to_owned(), value.to_owned()));
            return Some(String::new());
        }
        let mut shell = Command::new("sh");
        shell.arg("-c").current_dir(folder).envs(self.environment.iter().cloned());
        if let Some(command) = command.strip_suffix(" &") {
            let quiet = || std::process::Stdio::null();
            let child = shell.arg(format!("exec {command}")).stdout(quiet()).stderr(quiet()).spawn();
            self.served = Served(Some(child.expect("a shell")));
            let address =
                self.environment.iter().find(|(n, _)| n == "POLICYD_LISTEN").expect("set").1.clone();
            let up = (0..200).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(50));
                std::net::TcpStream::connect(&address).is_ok()
            });
            assert!(up, "the service listens");
            return Some(String::new());
        }
        let output = shell.arg(command).output().expect("a shell");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        Some(text.lines().map(|line| line.trim_end().to_owned() + "\n").collect())
    }
}

#[cfg(not(feature = "server"))]
impl Shell {
    fn new() -> Shell {
        Shell { environment: Vec::new(), served: Served(None) }
    }

    fn run(&mut self, _: &Path, _: &str) -> Option<String> {
        let Shell { environment, served } = self;
        assert!(environment.is_empty() && served.0.is_none(), "nothing runs without the feature `server`");
        None
    }
}

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("policyc-tour-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder to copy") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file to copy");
        }
    }
}

/// What a command prints, without spaces at line ends.
fn run(folder: &Path, command: &str) -> String {
    let mut words = command.split_whitespace();
    assert_eq!(words.next(), Some("policyc"), "the tour runs policyc only: {command}");
    let output = Command::new(env!("CARGO_BIN_EXE_policyc"))
        .args(words)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env_remove("CLICOLOR_FORCE")
        .output()
        .expect("policyc runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).expect("policyc prints UTF-8");
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Whether a line of the page is the line that was printed.
fn is_line(page: &str, printed: &str) -> bool {
    let mut parts = page.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether what the page says is what was printed.
fn is_told(page: &[&str], printed: &str) -> bool {
    let printed: Vec<&str> = printed.lines().collect();
    let (page, rest) = match page.split_last() {
        Some((&"…", page)) => (page, true),
        _ => (page, false),
    };
    let fits = if rest { printed.len() >= page.len() } else { printed.len() == page.len() };
    fits && page.iter().zip(&printed).all(|(page, printed)| is_line(page, printed))
}

#[test]
fn the_tour_prints_what_the_readme_says() {
    let folder = Folder::new();
    copy(Path::new("policies"), &folder.0.join("policies"));
    let page = fs::read_to_string(PAGE).expect(PAGE);
    let lines: Vec<&str> = page.lines().collect();
    let (mut told, mut wrong) = (String::new(), Vec::new());
    let mut shell = Shell::new();
    let mut at = 0;
    while at < lines.len() {
        let Some(mark) = lines[at].strip_prefix("```") else {
            told.push_str(&format!("{}\n", lines[at]));
            at += 1;
            continue;
        };
        let end = at + 1 + lines[at + 1..].iter().position(|l| *l == "```").expect("a closed fence");
        let block = &lines[at + 1..end];
        told.push_str(&format!("{}\n", lines[at]));
        if mark == "console" {
            for part in block.chunk_by(|_, next| !next.starts_with("$ ")) {
                let command = part[0].strip_prefix("$ ").expect("a console block begins with a command");
                let printed = match command.split(' ').next() {
                    Some("policyc") => Some(run(&folder.0, command)),
                    Some("policyd" | "sed" | "export") => shell.run(&folder.0, command),
                    _ => panic!("the tour runs policyc, policyd and sed: {command}"),
                };
                let right = printed.as_ref().is_none_or(|printed| is_told(&part[1..], printed));
                let printed = printed.unwrap_or_default();
                if right {
                    part.iter().for_each(|line| told.push_str(&format!("{line}\n")));
                } else {
                    told.push_str(&format!("{}\n{printed}", part[0]));
                    wrong.push(format!("$ {command}\n{printed}"));
                }
            }
        } else {
            if let Some(file) = mark.strip_prefix("pol,file=") {
                let path = folder.0.join(file);
                fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder of the tour");
                fs::write(path, block.join("\n") + "\n").expect("a file of the tour");
            }
            block.iter().for_each(|line| told.push_str(&format!("{line}\n")));
        }
        told.push_str("```\n");
        at = end + 1;
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(PAGE, told).expect(PAGE);
        return;
    }
    assert!(
        wrong.is_empty(),
        "{PAGE} says something else; `UPDATE=1 cargo test --test tour` rewrites it.\n{}",
        wrong.join("\n")
    );
}
