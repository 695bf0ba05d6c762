//! `policyd policy …`: an organization's policy sets.
//!
//! In:    a folder of `.pol` files, or the uid of a version.
//! Out:   what the service says of them; diagnostics as `policyc check` prints them.

use super::client::{Client, encode};
use super::{Done, Failure, show};
use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub fn command() -> Command {
    let folder = || Arg::new("folder").required(true).help("A folder of .pol files");
    let version = || Arg::new("version").required(true).help("The uid of a version");
    Command::new("policy")
        .about("Work with the organization's policy sets")
        .subcommand_required(true)
        .subcommand(Command::new("check").about("Check files without storing them").arg(folder()))
        .subcommand(
            Command::new("upload")
                .about("Upload a version")
                .arg(folder())
                .arg(Arg::new("note").long("note").help("What is new in it")),
        )
        .subcommand(Command::new("test").about("Run the tests of a version").arg(version()))
        .subcommand(
            Command::new("diff").about("Say which stored grants would gain or lose meaning").arg(version()),
        )
        .subcommand(Command::new("activate").about("Put a version in force").arg(version()))
        .subcommand(Command::new("rollback").about("Put an older version in force again").arg(version()))
        .subcommand(Command::new("list").about("List versions"))
        .subcommand(Command::new("get").about("Read a version").arg(version()))
}

pub fn run(found: &ArgMatches) -> Done {
    let Some((name, sub)) = found.subcommand() else { return Err(Failure::usage("give a verb")) };
    let client = Client::of(sub)?;
    let version = sub.try_get_one::<String>("version").ok().flatten().cloned().unwrap_or_default();
    let of = |verb: &str| format!("/v1/policy-sets/{}/{verb}", encode(&version));
    let json = sub.get_flag("json");
    let answer = match name {
        "check" | "upload" => {
            let folder = sub.get_one::<String>("folder").cloned().unwrap_or_default();
            let mut body = json!({ "files": files(Path::new(&folder))? });
            if let Ok(Some(note)) = sub.try_get_one::<String>("note") {
                body["note"] = note.as_str().into();
            }
            let path = if name == "check" { "/v1/policy-sets:check" } else { "/v1/policy-sets" };
            client.send("POST", path, &[], Some(&body))?.body
        }
        "test" | "diff" => client.send("POST", &of(name), &[], None)?.body,
        "activate" | "rollback" => client.send("POST", &of("activate"), &[], None)?.body,
        "list" => client.get("/v1/policy-sets?limit=500")?,
        _ => client.get(of("").trim_end_matches('/'))?,
    };
    if json {
        println!("{answer}");
    } else {
        tell(name, &answer);
    }
    let bad = answer["errors"].as_u64().unwrap_or(0) + answer["failed"].as_u64().unwrap_or(0);
    Ok(u8::from(bad > 0))
}

fn tell(name: &str, answer: &Value) {
    for diagnostic in answer["diagnostics"].as_array().into_iter().flatten() {
        println!("{}", diagnostic["text"].as_str().unwrap_or_default());
    }
    match name {
        "check" => println!("{} errors, {} warnings", answer["errors"], answer["warnings"]),
        "upload" => println!("uploaded {}", show::word(&answer["id"])),
        "activate" | "rollback" => println!("in force: {}", show::word(&answer["active"])),
        "test" => {
            println!(
                "{}",
                show::problem(&json!({ "title": "tests", "detail": "", "tests": answer["tests"] }))
                    .trim_start_matches("tests: ")
            );
            println!("{} tests, {} failed", answer["tests"].as_array().map_or(0, Vec::len), answer["failed"]);
        }
        "list" => show::table(answer["items"].as_array().map_or(&[], Vec::as_slice)),
        "diff" => {
            for (sign, field) in [("+", "gained"), ("-", "lost")] {
                for grant in answer[field].as_array().into_iter().flatten() {
                    let (kind, name) = (show::word(&grant["kind"]), show::word(&grant["name"]));
                    println!("{sign} {kind} {name}: {}", show::word(&grant["why"]));
                }
            }
            match answer["why_not"].as_str() {
                None => println!("it can be activated"),
                Some(why) => println!("it can't be activated: {why}"),
            }
        }
        _ => show::thing(answer),
    }
}

/// The `.pol` files of a folder, at any depth.
fn files(folder: &Path) -> Result<Vec<Value>, Failure> {
    let failed =
        |path: &Path, e: std::io::Error| Failure::usage(format!("can't read {}: {e}", path.display()));
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::<PathBuf>::new());
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).map_err(|e| failed(&at, e))? {
            let path = entry.map_err(|e| failed(&at, e))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "pol") {
                found.push(path);
            }
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(Failure::usage(format!("{} has no .pol files", folder.display())));
    }
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).map_err(|e| failed(&path, e))?;
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        Ok(json!({ "name": name, "text": text }))
    };
    found.into_iter().map(read).collect()
}
