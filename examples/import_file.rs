//! Writes a file for `policyd import`: a directory of any size, the same each time.
//!
//! `cargo run --release --example import_file -- ACCOUNTS BINDINGS [ORGANIZATION [ROLE]] > people.jsonl`
//!
//! One project for 1,000 accounts (at most 400), each with two environments; a group for 100 accounts; every tenth account
//! is a user, the others are service accounts of users; bindings go round the accounts, each at another place.

use std::io::{BufWriter, Write};

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize, default: usize| args.get(n).and_then(|a| a.parse().ok()).unwrap_or(default);
    let word = |n: usize, default: &'static str| args.get(n).map_or(default, String::as_str);
    let (accounts, bindings) = (number(0, 1_000), number(1, 5_000));
    let (root, role) = (word(2, "acme"), word(3, "policyd/viewer"));
    let projects = (accounts / 1_000).clamp(1, 400);
    let groups = (accounts / 100).max(1);
    let mut out = BufWriter::new(std::io::stdout().lock());
    for p in 0..projects {
        writeln!(out, r#"{{"project":{{"id":"p{p}"}}}}"#)?;
        for (id, stage) in [("play", "sandbox"), ("prod", "production")] {
            writeln!(out, r#"{{"environment":{{"id":"{id}","project":"{root}/p{p}","stage":"{stage}"}}}}"#)?;
        }
    }
    for g in 0..groups {
        writeln!(out, r#"{{"group":{{"id":"g{g}"}}}}"#)?;
    }
    let users = accounts.div_ceil(10);
    for u in 0..users {
        writeln!(out, r#"{{"user":{{"id":"u{u}@example.org"}}}}"#)?;
    }
    let place = |n: usize| match (n * 7 % projects, n % 3) {
        (p, 0) => format!("{root}/p{p}"),
        (p, 1) => format!("{root}/p{p}/play"),
        (p, _) => format!("{root}/p{p}/prod"),
    };
    for s in users..accounts {
        let (home, owner) = (format!("{root}/p{}", s % projects), s % users);
        writeln!(
            out,
            r#"{{"service_account":{{"id":"s{s}","home":"{home}","purpose":"runs job {s}","owner":{{"kind":"user","id":"u{owner}@example.org"}}}}}}"#
        )?;
    }
    let account = |n: usize| match n < users {
        true => format!(r#"{{"kind":"user","id":"u{n}@example.org"}}"#),
        false => format!(r#"{{"kind":"service_account","id":"s{n}"}}"#),
    };
    for n in (0..accounts).step_by(2) {
        writeln!(out, r#"{{"membership":{{"group":"g{}","member":{}}}}}"#, n % groups, account(n))?;
    }
    for b in 0..bindings {
        let (holder, at) = (account(b % accounts), place(b / accounts + b));
        writeln!(out, r#"{{"binding":{{"holder":{holder},"role":"{role}","scope":"{at}"}}}}"#)?;
    }
    out.flush()
}
