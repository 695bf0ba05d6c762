//! `policyd COLLECTION VERB`: commands made from the same table as the routes.
//!
//! In:    the operations; arguments named like their fields.
//! Out:   one request each; a minted token goes to a file that only its owner can read, or to standard output.
//! Law:   a field that the service takes is an argument here, and no other is.

use super::client::{Client, encode, reference};
use super::{Done, Failure, show};
use crate::service::api::{self, Op};
use crate::service::fields::{Field, Ty};
use crate::service::object::Kind;
use crate::service::pepper::write_private;
use crate::service::problem::count;
use crate::service::token;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value};
use std::path::Path;

fn verb(op: &Op) -> &'static str {
    match (op.method, op.rest) {
        ("PATCH", _) => "update",
        ("DELETE", _) => "delete",
        (_, "") => "create",
        (_, rest) if rest.starts_with(':') => "revoke-all",
        (_, rest) => rest.trim_start_matches("{id}/"),
    }
}

/// The field that stands without a flag.
fn positional(field: &Field) -> bool {
    field.name == "id" && field.required
}

fn argument(field: &'static Field) -> Arg {
    let flag = Box::leak(field.name.replace('_', "-").into_boxed_str());
    let arg = Arg::new(field.name).help(field.doc);
    let arg = if positional(field) { arg } else { arg.long(&*flag) };
    let arg = match field.ty {
        Ty::Bool => arg.num_args(0).action(ArgAction::SetTrue),
        Ty::Names => arg.value_name("NAME").action(ArgAction::Append),
        Ty::Networks => arg.value_name("CIDR").action(ArgAction::Append),
        Ty::Ref(_) | Ty::ResourceRef => arg.value_name("KIND/ID"),
        Ty::Time => arg.value_name("TIME"),
        Ty::Seconds => arg.value_name("SECONDS"),
        Ty::Count => {
            arg.value_name("NUMBER").help(format!("How many {}; `default` for what is usual", field.doc))
        }
        Ty::Place => arg.value_name("PATH"),
        Ty::Attributes => arg.value_name("JSON"),
        Ty::Word(words) => arg.value_name("WORD").value_parser(words.to_vec()),
        Ty::Id | Ty::OpaqueId => arg.value_name("ID"),
        _ => arg.value_name("TEXT"),
    };
    if field.required { arg.required(true) } else { arg }
}

/// A command for each collection.
pub fn all() -> Vec<Command> {
    let listed = Kind::ALL.iter().filter(|k| !matches!(k, Kind::PolicySet));
    let mut commands: Vec<Command> =
        listed.map(|kind| collection(kind.collection()).subcommands(looks())).collect();
    commands.push(
        collection(ORGANIZATIONS)
            .about("Make organizations and set their quotas, with a key of the installation"),
    );
    commands
}

/// What only the installation works with, and can't look into.
const ORGANIZATIONS: &str = "organizations";

fn which() -> Arg {
    Arg::new("which").value_name("ID").required(true).help("Its id or uid")
}

/// Reading, of a collection.
fn looks() -> [Command; 2] {
    let wanted = Arg::new("where").long("where").value_name("FIELD=VALUE").action(ArgAction::Append);
    let wanted =
        wanted.help("Only those with this value in this field; `below=PATH` for a place and all in it");
    [Command::new("get").about("Read one").arg(which()), Command::new("list").about("List").arg(wanted)]
}

fn collection(name: &'static str) -> Command {
    let about = match name {
        "organization" => "Look at the organization".to_owned(),
        name => format!("Work with {}", name.replace('-', " ")),
    };
    let mut command = Command::new(name).about(about).subcommand_required(true);
    for op in api::operations().filter(|op| op.collection == name) {
        let mut sub = Command::new(verb(op)).about(op.summary);
        if op.rest.starts_with("{id}") {
            sub = sub.arg(which());
        }
        let mints = op.fields.iter().any(|f| f.name == "account") || name == ORGANIZATIONS;
        if mints && verb(op) == "create" || verb(op) == "rotate" {
            let out = Arg::new("out").long("out").value_name("FILE");
            sub = sub.arg(out.help("A new file for the token; printed if left out"));
        }
        if verb(op) == "revoke-all" {
            sub =
                sub.arg(Arg::new("leaked-file").long("leaked").value_name("FILE").help(
                    "Keys in this file: tokens or key ids, a line each, at most 10,000; no token is sent",
                ));
        }
        let arguments = op.fields.iter().filter(|f| f.ty != Ty::Files && f.name != "leaked").map(argument);
        command = command.subcommand(sub.args(arguments));
    }
    command
}

/// Runs `policyd quotas`.
pub fn quotas(found: &ArgMatches) -> Done {
    let body = Client::of(found)?.get("/v1/quotas")?;
    if found.get_flag("json") {
        println!("{body}");
    } else {
        show::table(body["items"].as_array().map_or(&[], Vec::as_slice));
    }
    Ok(0)
}

/// Runs a command of a collection.
pub fn run(collection: &str, found: &ArgMatches) -> Done {
    let Some((name, sub)) = found.subcommand() else { return Err(Failure::usage("give a verb")) };
    let client = Client::of(sub)?;
    let which = sub.try_get_one::<String>("which").ok().flatten().cloned().unwrap_or_default();
    let one = format!("/v1/{collection}/{}", encode(&which));
    let json = sub.get_flag("json");
    match name {
        "get" => tell(&client.get(&one)?, json),
        "list" => return list(&client, collection, sub, json),
        _ => {
            let op = api::operations().find(|op| op.collection == collection && verb(op) == name);
            let op = op.ok_or_else(|| Failure::usage("no such verb"))?;
            return change(&client, op, &which, sub, json);
        }
    }
    Ok(0)
}

fn tell(body: &Value, json: bool) {
    if json { println!("{body}") } else { show::thing(body) }
}

fn list(client: &Client, collection: &str, found: &ArgMatches, json: bool) -> Done {
    let mut query = vec!["limit=500".to_owned()];
    for pair in found.get_many::<String>("where").into_iter().flatten() {
        let (field, value) =
            pair.split_once('=').ok_or_else(|| Failure::usage(format!("`{pair}` is not FIELD=VALUE")))?;
        query.push(format!("{}={}", encode(field), encode(value)));
    }
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/v1/{collection}?{}{cursor}", query.join("&")))?;
        items.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={}", encode(next)),
            None => break,
        }
    }
    if json {
        println!("{}", Value::Array(items))
    } else if items.is_empty() {
        eprintln!("none, or none that you may see");
    } else {
        show::table(&items)
    }
    Ok(0)
}

/// The body of an operation, from arguments.
fn body(op: &Op, found: &ArgMatches) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    for field in op.fields {
        if field.ty == Ty::Bool {
            if found.get_flag(field.name) {
                body.insert(field.name.to_owned(), true.into());
            }
            continue;
        }
        let Ok(Some(given)) = found.try_get_many::<String>(field.name) else { continue };
        let given: Vec<&String> = given.collect();
        let Some(first) = given.first() else { continue };
        let value = match field.ty {
            Ty::Names | Ty::Networks => given.into_iter().cloned().collect(),
            Ty::Ref(_) | Ty::ResourceRef => reference(first)?,
            Ty::Seconds => first.parse::<u64>().map_err(|_| Failure::usage("expected seconds"))?.into(),
            Ty::Count if *first == "default" => Value::Null,
            Ty::Count => first
                .parse::<u64>()
                .map_err(|_| Failure::usage(format!("`{first}` is not a number, nor `default`")))?
                .into(),
            Ty::Attributes => serde_json::from_str(first)
                .map_err(|e| Failure::usage(format!("--{}: not JSON: {e}", field.name)))?,
            _ if field.name == "policy" && first.starts_with('@') => {
                let path = &first[1..];
                let text = std::fs::read_to_string(path);
                text.map_err(|e| Failure::usage(format!("can't read {path}: {e}")))?.into()
            }
            _ => first.as_str().into(),
        };
        body.insert(field.name.to_owned(), value);
    }
    if let Ok(Some(path)) = found.try_get_one::<String>("leaked-file") {
        body.insert("leaked".to_owned(), leaked(path)?.into());
    }
    Ok(body)
}

/// The public ids of the keys in a file. What is secret in a token stays here.
fn leaked(path: &str) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|e| Failure::usage(format!("can't read {path}: {e}")))?;
    let mut ids = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let id = token::key_id(line.trim()).ok_or_else(|| {
            Failure::usage(format!(
                "{path}:{}: neither a token nor the id of a key: a token may have been cut short",
                n + 1
            ))
        })?;
        ids.push(id);
    }
    match ids.len() {
        0 => Err(Failure::usage(format!("{path} has no keys in it"))),
        _ => Ok(ids),
    }
}

fn change(client: &Client, op: &Op, which: &str, found: &ArgMatches, json: bool) -> Done {
    let out = found.try_get_one::<String>("out").ok().flatten();
    if let Some(out) = out.filter(|o| Path::new(o).exists()) {
        return Err(Failure::usage(format!("{out} is there already: a token is never written over a file")));
    }
    let path = match op.rest {
        "" => format!("/v1/{}", op.collection),
        rest if rest.starts_with(':') => format!("/v1/{}{rest}", op.collection),
        rest => format!("/v1/{}/{}", op.collection, rest.replace("{id}", &encode(which))),
    };
    let mut headers = Vec::new();
    if op.conditional {
        let now = client.get(&format!("/v1/{}/{}", op.collection, encode(which)))?;
        headers.push(("if-match", format!("\"{}\"", now["revision"])));
    }
    let body = Value::Object(body(op, found)?);
    let mut answer = client.send(op.method, &path, &headers, Some(&body))?.body;
    let token = answer.get("token").and_then(Value::as_str).map(str::to_owned);
    if let (Some(token), Some(out)) = (token, out) {
        write_private(Path::new(out), &format!("{token}\n")).map_err(|e| Failure {
            message: format!("the key was made, but {out} can't be written: {e}"),
            exit: 1,
        })?;
        answer["token"] = format!("written to {out}").into();
    }
    if json {
        println!("{answer}");
    } else {
        told(op, which, &answer);
    }
    Ok(0)
}

/// What was done, in a line; a token, if one was made.
fn told(op: &Op, which: &str, answer: &Value) {
    let done = match verb(op) {
        "create" => "created",
        "update" => "updated",
        "delete" => "deleted",
        "disable" => "disabled",
        "enable" => "enabled",
        "undelete" => "brought back, disabled:",
        "rotate" => "rotated",
        "revoke" => "revoked",
        "consent" => "consented to",
        "revoke-all" => {
            let revoked = answer["revoked"].as_array().map_or(&[][..], Vec::as_slice);
            println!("revoked {}", count(revoked.len() as u64, "key"));
            return revoked.iter().for_each(|uid| println!("  {}", show::word(uid)));
        }
        "quotas" => return show::thing(&answer["quotas"]),
        _ => return show::thing(answer),
    };
    let one = Kind::of_collection(op.collection).map_or("organization", Kind::wire).replace('_', " ");
    let names = [&answer["path"], &answer["id"]];
    let name = names.into_iter().find_map(Value::as_str).unwrap_or(if which.is_empty() { "" } else { which });
    let name = if name.is_empty() { answer["uid"].as_str().unwrap_or_default() } else { name };
    println!("{done} {one} {}", crate::visible(name));
    for field in ["token", "expires_at", "overlap_until"] {
        if let Some(text) = answer[field].as_str() {
            println!("  {field}: {text}");
        }
    }
}
