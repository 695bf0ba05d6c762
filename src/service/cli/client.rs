//! The client: one request to the service, and asking for a decision.
//!
//! In:    where the service is, a key from a file or the environment, or a profile that names both.
//! Out:   the answer, as JSON.
//! Law:   a key is never an argument, and goes unencrypted to this machine alone.

use super::{Done, Failure, profiles, show};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A way to the service.
pub struct Client {
    address: String,
    key: String,
    agent: ureq::Agent,
    at_least: Option<u64>,
}

/// What came back.
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The document.
    pub body: Value,
}

impl Client {
    /// From arguments and environment.
    pub fn of(matches: &ArgMatches) -> Result<Client, Failure> {
        let (address, key) = place(matches)?;
        let address = address.trim_end_matches('/').to_owned();
        let host = address.strip_prefix("http://").ok_or_else(|| {
            Failure::usage("the address begins with http://; for another machine run a TLS tunnel to it")
        })?;
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        if !["127.0.0.1", "localhost", "[::1]"].contains(&name) {
            let say =
                "the key would go to another machine unencrypted: run a TLS tunnel, and give its local end";
            return Err(Failure::usage(say));
        }
        let key = match key {
            Key::File(path) => std::fs::read_to_string(&path)
                .map_err(|e| Failure::usage(format!("can't read the key file {}: {e}", named(&path))))?,
            Key::Text(key) => key,
        };
        let at_least = matches.get_one::<u64>("at-least").copied();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(120)))
            .max_redirects(0)
            .proxy(None);
        Ok(Client { address, key: key.trim().to_owned(), agent: config.build().into(), at_least })
    }

    /// Sends a request; an answer that is a refusal is a failure with the problem in words.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Answered, Failure> {
        let answered = self.try_send(method, path, headers, body)?;
        if answered.status < 400 {
            return Ok(answered);
        }
        Err(Failure { message: show::problem(&answered.body), exit: 1 })
    }

    fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Answered, Failure> {
        let url = format!("{}{path}", self.address);
        let unreachable = |e: ureq::Error| {
            let say = "`policyd serve` starts a service, --address names another";
            Failure::usage(format!("no answer from {}: {e}; {say}", self.address))
        };
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json");
        if let Some(revision) = self.at_least {
            request = request.header("policyd-at-least", revision);
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(text).map_err(|e| Failure::usage(format!("{url}: {e}")))?;
        let mut response = self.agent.run(request).map_err(unreachable)?;
        let status = response.status().as_u16();
        let read = response.body_mut().with_config().limit(512 * 1024 * 1024).read_to_string();
        let text = read.map_err(unreachable)?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answered { status, body })
    }

    /// Reads one thing.
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.send("GET", path, &[], None)?.body)
    }
}

/// A key, or where it is.
enum Key {
    File(String),
    Text(String),
}

/// Where the service is if nothing says otherwise.
const ADDRESS: &str = "http://127.0.0.1:7621";

/// Address and key: from arguments, from the profile asked for, from the environment, from the profile that is there.
fn place(matches: &ArgMatches) -> Result<(String, Key), Failure> {
    let profile = profiles::chosen(matches)?;
    let from = |name: &str, source: ValueSource| {
        let given = matches.get_one::<String>(name).filter(|_| matches.value_source(name) == Some(source));
        given.cloned()
    };
    let asked_for = matches.value_source("profile") == Some(ValueSource::CommandLine);
    let (argument, environment) = (ValueSource::CommandLine, ValueSource::EnvVariable);
    let early = |own: &Option<String>| own.clone().filter(|_| asked_for);
    let address = from("address", argument).or(early(&profile.address)).or(from("address", environment));
    let address = address.or_else(|| profile.address.clone()).unwrap_or_else(|| ADDRESS.to_owned());
    // A key goes where it belongs, not where another profile or the environment points.
    let own_key = profile.key_file.filter(|_| profile.address.as_deref().unwrap_or(ADDRESS) == address);
    let early = from("key-file", argument).or(own_key.clone().filter(|_| asked_for));
    let key = early.or(from("key-file", environment)).map(Key::File);
    let key = key.or_else(|| std::env::var("POLICYD_KEY").ok().map(Key::Text)).or(own_key.map(Key::File));
    let none = || {
        Failure::usage(
            "no key for this address: give --key-file or set POLICYD_KEY_FILE, or remember both with `policyd profiles set default --address … --key-file …`",
        )
    };
    Ok((address, key.ok_or_else(none)?))
}

/// The path of a key file; not if somebody gave the key itself.
fn named(path: &str) -> String {
    match crate::service::token::key_id(path) {
        Some(_) => {
            "(that is a key, not a file: revoke it, it may stand in the history of your shell)".to_owned()
        }
        None => crate::visible(path).into_owned(),
    }
}

/// Encodes a part of a path.
pub fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~:".contains(&b);
    text.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

/// `kind/id` as a reference.
pub fn reference(text: &str) -> Result<Value, Failure> {
    match text.split_once('/') {
        Some((kind, id)) if !kind.is_empty() && !id.is_empty() => Ok(json!({ "kind": kind, "id": id })),
        _ => Err(Failure::usage(format!("`{text}` is not KIND/ID, such as user/ada"))),
    }
}

pub fn authorize_command() -> Command {
    let text = |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help);
    let pairs = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).value_name("NAME=VALUE").action(ArgAction::Append)
    };
    Command::new("authorize")
        .about("Ask for a decision")
        .arg(text("account", "Who would do it, as KIND/ID; whose key it is if left out"))
        .arg(text("client-key-file", "A file with the key that the service's client presented"))
        .arg(text("client-ip", "The address that the client came from"))
        .arg(text("action", "What would be done").required(true))
        .arg(text("resource", "To what, as KIND/ID, or KIND for any of the kind").required(true))
        .arg(text("scope", "Where: the path of a place"))
        .arg(text("acting-for", "Whom the account acts for, as KIND/ID"))
        .arg(pairs("attribute", "An attribute of the resource; VALUE is JSON, or a text"))
        .arg(pairs("context", "A value of the context"))
}

/// Runs `policyd authorize`.
pub fn authorize(found: &ArgMatches) -> Done {
    let client = Client::of(found)?;
    let text = |name: &str| found.get_one::<String>(name).map(String::as_str);
    let mut body = json!({ "action": { "name": text("action") } });
    if let Some(account) = text("account") {
        body["account"] = reference(account)?;
    }
    let resource = text("resource").unwrap_or_default();
    body["resource"] = match resource.contains('/') {
        true => reference(resource)?,
        false => json!({ "kind": resource }),
    };
    if let Some(scope) = text("scope") {
        body["scope"] = scope.into();
    }
    if let Some(behind) = text("acting-for") {
        body["acting_for"] = reference(behind)?;
    }
    let attributes = pairs(found, "attribute")?;
    if !attributes.is_empty() {
        body["resource"]["attributes"] = attributes.into();
    }
    let context = pairs(found, "context")?;
    if !context.is_empty() {
        body["context"] = context.into();
    }
    let mut headers = Vec::new();
    if let Some(path) = text("client-key-file") {
        let key = std::fs::read_to_string(path)
            .map_err(|e| Failure::usage(format!("can't read the key file {path}: {e}")))?;
        headers.push(("policyd-client-key", key.trim().to_owned()));
    }
    headers.extend(text("client-ip").map(|ip| ("policyd-client-ip", ip.to_owned())));
    let answer = client.send("POST", "/v1/authorize", &headers, Some(&body))?.body;
    let denied = answer["decision"] != "allow";
    if found.get_flag("json") {
        println!("{answer}");
    } else {
        show::decision(&answer);
    }
    Ok(if denied { 3 } else { 0 })
}

fn pairs(found: &ArgMatches, name: &str) -> Result<Map<String, Value>, Failure> {
    let mut map = Map::new();
    for pair in found.get_many::<String>(name).into_iter().flatten() {
        let (field, value) =
            pair.split_once('=').ok_or_else(|| Failure::usage(format!("`{pair}` is not NAME=VALUE")))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        map.insert(field.to_owned(), value);
    }
    Ok(map)
}
