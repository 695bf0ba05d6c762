//! `policyd audit …`: reading the log through the service, verifying an export without it.
//!
//! In:    a running service; or an export, the public key, perhaps a checkpoint known from before.
//! Out:   records; an export in a file; that it is whole, or the first thing wrong with it.

use super::client::{Client, encode};
use super::{Done, Failure, show};
use crate::audit::note::{Checkpoint, VerifierKey};
use crate::audit::prove::InclusionProof;
use crate::audit::verify::verify;
use crate::service::problem::count;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;
use std::io::BufReader;

pub fn command() -> Command {
    let log = || Arg::new("log").required(true).value_parser(["changes", "decisions"]).help("Which log");
    let filter = || {
        Arg::new("where")
            .long("where")
            .value_name("FIELD=VALUE")
            .action(ArgAction::Append)
            .help("account, kind, credential, below or text")
    };
    let key = || {
        Arg::new("key")
            .long("log-key")
            .required(true)
            .action(ArgAction::Append)
            .help("A public key of the log, as `policyd audit key` prints it")
    };
    let file = |help: &'static str| Arg::new("file").required(true).help(help);
    Command::new("audit")
        .about("Read the log; verify exports and proofs")
        .subcommand_required(true)
        .subcommand(Command::new("search").about("Find records").arg(log()).arg(filter()))
        .subcommand(Command::new("tail").about("Show the newest records").arg(log()))
        .subcommand(
            Command::new("export")
                .about("Export a log to a file")
                .arg(log())
                .arg(file("A new file"))
                .arg(Arg::new("from").long("from").value_name("NUMBER").help(
                    "The first record; 0 for all, with hashes in place of those that retention has deleted",
                ))
                .arg(Arg::new("to").long("to").value_name("NUMBER").help(
                    "The number past the last record: the first one of the next part, for logs too long for one export",
                )),
        )
        .subcommand(super::host::state_command())
        .subcommand(super::host::rotate_command())
        .subcommand(super::host::erase_command())
        .subcommand(Command::new("key").about("Print the public key that signs checkpoints"))
        .subcommand(
            Command::new("prove")
                .about("Get a proof that a record is in the log")
                .arg(log())
                .arg(Arg::new("number").required(true).help("The number of the record, from 0")),
        )
        .subcommand(
            Command::new("verify")
                .about("Verify an export, or a proof, without the service")
                .arg(file("An export, or a proof"))
                .arg(key())
                .arg(
                    Arg::new("since")
                        .long("since")
                        .value_name("FILE")
                        .help("A checkpoint known from before, or an export that ends with it"),
                ),
        )
}

pub fn run(found: &ArgMatches) -> Done {
    let Some((name, sub)) = found.subcommand() else { return Err(Failure::usage("give a verb")) };
    if name == "verify" {
        return check(sub);
    }
    match name {
        "state" => return super::host::state(sub),
        "rotate-key" => return super::host::rotate(sub),
        "erase" => return super::host::erase(sub),
        _ => {}
    }
    let client = Client::of(sub)?;
    let text = |field: &str| sub.try_get_one::<String>(field).ok().flatten().cloned().unwrap_or_default();
    let log = text("log");
    match name {
        "key" => println!("{}", show::word(&client.get("/v1/audit/key")?["key"])),
        "export" => {
            let given = ["from", "to"].map(|name| (name, text(name)));
            let given = given.iter().filter(|(_, value)| !value.is_empty());
            let given: Vec<_> = given.map(|(name, value)| format!("{name}={}", encode(value))).collect();
            let path = format!("/v1/audit/{log}/export?{}", given.join("&"));
            let (answer, file) = (client.get(&path)?, text("file"));
            let body = answer["export"].as_str().unwrap_or_default();
            std::fs::write(&file, body).map_err(|e| Failure::usage(format!("can't write {file}: {e}")))?;
            println!("wrote {file}: {}", count(body.lines().count() as u64, "line"));
        }
        "prove" => {
            let answer = client.get(&format!("/v1/audit/{log}/proof?number={}", encode(&text("number"))))?;
            println!("{}", answer["proof"]);
        }
        _ => return records(&client, name, &log, sub),
    }
    Ok(0)
}

/// Records that `tail` shows.
const TAIL: usize = 20;

fn records(client: &Client, name: &str, log: &str, found: &ArgMatches) -> Done {
    let mut query = vec!["limit=500".to_owned()];
    for pair in found.try_get_many::<String>("where").ok().flatten().into_iter().flatten() {
        let (field, value) =
            pair.split_once('=').ok_or_else(|| Failure::usage(format!("`{pair}` is not FIELD=VALUE")))?;
        query.push(format!("{}={}", encode(field), encode(value)));
    }
    let (mut items, mut from) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/v1/audit/{log}?{}{from}", query.join("&")))?;
        items.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["next"].as_u64() {
            Some(next) => from = format!("&from={next}"),
            None => break,
        }
    }
    let skip = if name == "tail" { items.len().saturating_sub(TAIL) } else { 0 };
    for item in items.iter().skip(skip) {
        if found.get_flag("json") { println!("{item}") } else { line(item) }
    }
    Ok(0)
}

/// A record in one line for each thing it is about.
fn line(item: &Value) {
    let record = &item["record"];
    let body = &record["body"];
    let sealed = |field: &str| {
        let personal = item["personal"].as_array().into_iter().flatten();
        let found = personal.into_iter().find(|p| p["field"] == field);
        found.map_or("(sealed)".to_owned(), |p| show::word(&p["value"]))
    };
    let who = match &record["account"] {
        Value::Null if body["decided"].is_object() => {
            match &body["decided"]["decisions"][0]["inputs"]["key_id"] {
                Value::Null => "nobody known".to_owned(),
                id => format!("whoever has key id {}", show::word(&id["plain"])),
            }
        }
        Value::Null if body["changed"].is_object() => "the host".to_owned(),
        Value::Null => "policyd".to_owned(),
        account => {
            let id = account["id"]["plain"].as_str().map_or_else(|| sealed("account.id"), str::to_owned);
            format!("{} {id} with {}", show::word(&account["kind"]), show::word(&account["credential"]))
        }
    };
    let head = format!("{} {} {who}", item["number"], show::word(&record["time"]));
    for change in body["changed"]["changes"].as_array().into_iter().flatten() {
        println!(
            "{head}: {} {} {}",
            show::word(&change["action"]),
            show::word(&change["kind"]),
            show::word(&change["uid"])
        );
    }
    if let Some(rules) = body["changed"]["allowed_by"].as_array().filter(|r| !r.is_empty()) {
        println!("    allowed by {}", rules.iter().map(show::word).collect::<Vec<_>>().join(", "));
    }
    for decision in body["decided"]["decisions"].as_array().into_iter().flatten() {
        let verdict = if decision["allowed"] == true { "allow" } else { "deny" };
        println!(
            "{head}: {verdict} {} on {} at {}, {}",
            show::word(&decision["action"]),
            decision["resource"]["plain"].as_str().map_or_else(|| sealed("resource"), str::to_owned),
            show::word(&record["scope"]),
            match decision["rule"].as_str() {
                Some(rule) => format!("by `{rule}`"),
                None => format!("by {}", show::word(&decision["step"])),
            }
        );
    }
    if let Some(what) = body["read"]["what"].as_str() {
        println!("{head}: read the log ({what})");
    }
    if body["refused"].is_object() {
        let refused = &body["refused"];
        let times = refused["times"].as_u64().map(|n| format!(", {n} times")).unwrap_or_default();
        let (action, reason) = (show::word(&refused["action"]), show::word(&refused["reason"]));
        println!("{head}: refused {action} with {}{times}: {reason}", refused["status"]);
    }
    if body["restored"].is_object() {
        let restored = &body["restored"];
        let before = show::word(&restored["before"]);
        println!(
            "{head}: goes on from a backup of {before} with {} records; {} are lost",
            restored["size"], restored["missing"]
        );
    }
    if body["key_rotated"].is_object() {
        println!("{head}: the log key was replaced");
    }
    if body["erased"].is_object() {
        println!(
            "{head}: {} values of {} were erased",
            body["erased"]["values"],
            show::word(&body["erased"]["person"])
        );
    }
    for account in body["owner_gone"]["accounts"].as_array().into_iter().flatten() {
        let (uid, since) = (show::word(&account["uid"]), show::word(&account["since"]));
        println!(
            "{head}: nobody answers for {uid} since {since}; disabled at {}",
            show::word(&account["disabled_at"])
        );
    }
    if body["retained"].is_object() {
        let (why, before) = (show::word(&body["retained"]["why"]), &body["retained"]["before"]);
        println!("{head}: retention deleted the records before {before}: {why}");
    }
}

/// The checkpoint at the end of an export; any other text as it is.
fn last_note(text: String) -> String {
    let last = text.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    match last.as_ref().and_then(|line| line["checkpoint"].as_str()) {
        Some(note) => note.to_owned(),
        None => text,
    }
}

fn check(found: &ArgMatches) -> Done {
    let file = found.get_one::<String>("file").cloned().unwrap_or_default();
    let unreadable = |e: std::io::Error| Failure::usage(format!("can't read {file}: {e}"));
    let keys: Option<Vec<VerifierKey>> =
        found.get_many::<String>("key").into_iter().flatten().map(|k| VerifierKey::parse(k.trim())).collect();
    let keys = keys.ok_or_else(|| Failure::usage("--log-key: that is no public key of a log"))?;
    let since = found.get_one::<String>("since").map(|path| {
        let text =
            std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("can't read {path}: {e}")))?;
        Checkpoint::open(&last_note(text), &keys).map_err(|e| Failure::usage(format!("{path}: {e}")))
    });
    let since = since.transpose()?;
    let text = std::fs::read_to_string(&file).map_err(unreadable);
    if let Ok(proof) = text
        .as_deref()
        .map(serde_json::from_str::<InclusionProof>)
        .unwrap_or_else(|_| serde_json::from_str(""))
    {
        let checked = proof.verify(&keys);
        let checkpoint = checked.map_err(|e| Failure { message: format!("{file}: {e}"), exit: 1 })?;
        println!("record {} is in {}, of {} records", proof.index, checkpoint.origin, checkpoint.size);
        return Ok(0);
    }
    let opened = std::fs::File::open(&file).map_err(unreadable)?;
    match verify(BufReader::new(opened), &keys, since.as_ref()) {
        Ok(report) => {
            println!(
                "{file}: whole: {} records of {}, {} sealed values left out",
                report.records, report.header.origin, report.erased
            );
            Ok(0)
        }
        Err(finding) => Err(Failure { message: format!("{file}: {finding}"), exit: 1 }),
    }
}
