//! The store to measure on: made once for its sizes, through policyd itself, and used again.
//!
//! In:    a world.
//! Out:   a data folder, the keys of those who ask, as many records of earlier decisions as are wanted.
//! Law:   a store whose making was interrupted is thrown away, not used.

use crate::http::ask;
use crate::options::Options;
use crate::server::{Server, Which};
use crate::world::{GATES, RULES, World};
use policyc::audit::DayLog;
use policyc::audit::files::Disk;
use policyc::audit::record::{
    Actor, Body, DecisionFacts, Draft, Entry, Fact, Log, Moment, RECORD_SCHEMA, Record, RequestFacts,
};
use policyc::service::bench::{Item, fill, index};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Records of one write while the log is filled.
const FILL_AT_ONCE: u64 = 5_000;
/// Over how many days the earlier records are spread.
const FILL_DAYS: i64 = 5;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// A data folder, and what is needed to ask.
pub struct Store {
    pub data: PathBuf,
    pub keys: Vec<String>,
    /// Of the log of decisions: installation, organization, log.
    origin: String,
    /// The files of the log and of its index below the data folder, with their bytes, as they were made.
    files: BTreeMap<String, u64>,
}

impl Store {
    /// Makes it, unless it is there.
    pub fn prepared(options: &Options, world: &World) -> Result<Store, String> {
        if !options.policyd.exists() {
            let say = "build it: `cargo build --release --features server`, in the folder of the project";
            return Err(format!("there is no {}; {say}", options.policyd.display()));
        }
        let name = format!("{}-{}-{}", options.accounts, options.resources, options.records);
        let data = options.store.join(name);
        let marker = data.with_extension("json");
        if let Ok(text) = fs::read_to_string(&marker) {
            let store = Store::read(&data, &text);
            let store = store.ok_or_else(|| format!("{} can't be read: delete it", marker.display()))?;
            return if store.files.is_empty() { store.finish(&marker) } else { Ok(store) };
        }
        let failed = |e: std::io::Error| format!("{}: {e}", data.display());
        if data.exists() {
            fs::remove_dir_all(&data).map_err(failed)?;
        }
        fs::create_dir_all(&options.store).map_err(failed)?;
        eprintln!("making a store in {}", data.display());
        run(Command::new(&options.policyd)
            .args(["init", "--organization", "acme", "--owner", "ada", "--data"])
            .arg(&data))?;
        let admin = fs::read_to_string(data.join("admin.key")).map_err(failed)?;
        let admin = admin.trim();
        {
            let server = Server::start(Which::Policyd, &options.policyd, &data)?;
            furnish(&server.address, admin)?;
            let installation = fs::read_to_string(data.join("installation.key")).map_err(failed)?;
            // A day of full load is more than one organization usually may record in a day.
            let quotas = json!({ "decision_bytes_per_day": 1_u64 << 40 });
            ask(&server.address, "POST", "/v1/organizations/acme/quotas", installation.trim(), &quotas)?;
        }
        import(options, world, &data)?;
        let made = {
            let server = Server::start(Which::Policyd, &options.policyd, &data)?;
            let keys = keys(&server.address, admin)?;
            let origin = first_decision(&server.address, admin, &keys[0], world)?;
            (keys, origin)
        };
        let store = Store { data, keys: made.0, origin: made.1, files: BTreeMap::new() };
        store.fill(options.records)?;
        store.mark(&marker)?;
        store.finish(&marker)
    }

    /// Indexes the logs, and notes the files as they are then.
    fn finish(mut self, marker: &Path) -> Result<Store, String> {
        eprintln!("indexing the logs");
        index(&self.data)?;
        // What that wrote of its own ends with a whole frame.
        self.records()?;
        self.files = self.files()?;
        self.mark(marker)?;
        Ok(self)
    }

    fn mark(&self, marker: &Path) -> Result<(), String> {
        let made = json!({ "keys": self.keys, "origin": self.origin, "files": self.files });
        fs::write(marker, made.to_string()).map_err(|e| format!("{}: {e}", marker.display()))
    }

    fn folders(&self) -> [String; 2] {
        let uid = self.origin.split('/').nth(1).unwrap_or_default();
        [format!("decisions/{uid}"), "index".to_owned()]
    }

    fn files(&self) -> Result<BTreeMap<String, u64>, String> {
        let mut files = BTreeMap::new();
        for folder in self.folders() {
            let at = self.data.join(&folder);
            let failed = |e: std::io::Error| format!("{}: {e}", at.display());
            for entry in fs::read_dir(&at).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
                files.insert(name, entry.metadata().map_err(failed)?.len());
            }
        }
        Ok(files)
    }

    /// Takes away what was logged since the store was made, so that every server begins with the same; none may be running.
    pub fn reset(&self) -> Result<(), String> {
        let now = self.files()?;
        if let Some(name) = self.files.iter().find(|(name, size)| now.get(*name) < Some(*size)) {
            return Err(format!("{} of the store is damaged: delete the store", name.0));
        }
        for (name, size) in now {
            let path = self.data.join(&name);
            let failed = |e: std::io::Error| format!("{}: {e}", path.display());
            match self.files.get(&name) {
                None => fs::remove_file(&path).map_err(failed)?,
                Some(made) if *made < size => {
                    let file = fs::OpenOptions::new().write(true).open(&path).map_err(failed)?;
                    file.set_len(*made).and_then(|()| file.sync_all()).map_err(failed)?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn read(data: &Path, text: &str) -> Option<Store> {
        let made: Value = serde_json::from_str(text).ok()?;
        let keys =
            made["keys"].as_array()?.iter().map(|k| k.as_str().map(str::to_owned)).collect::<Option<_>>()?;
        let files = serde_json::from_value(made.get("files").cloned().unwrap_or_else(|| json!({}))).ok()?;
        Some(Store { data: data.to_owned(), keys, origin: made["origin"].as_str()?.to_owned(), files })
    }

    fn log(&self) -> Result<DayLog, String> {
        let uid = self.origin.split('/').nth(1).ok_or("an origin has three parts")?;
        let dir = self.data.join("decisions").join(uid);
        DayLog::open(Arc::new(Disk), &dir, &self.origin).map_err(|e| e.to_string())
    }

    /// How many records the log of decisions has; no server may be running.
    pub fn records(&self) -> Result<u64, String> {
        let log = self.log()?;
        let size = log.size();
        log.close().map_err(|e| e.to_string())?;
        Ok(size)
    }

    /// Fills the log with decisions of earlier days.
    fn fill(&self, records: u64) -> Result<(), String> {
        eprintln!("writing {records} records");
        let dir = self.data.join("decisions");
        fs::remove_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let mut log = self.log()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
        let now = i64::try_from(now.as_micros()).map_err(|e| e.to_string())?;
        let begin = now - FILL_DAYS * DAY;
        let step = FILL_DAYS * DAY / i64::try_from(records.max(1)).map_err(|e| e.to_string())?;
        let mut number = 0;
        while number < records {
            let end = (number + FILL_AT_ONCE).min(records);
            // A batch belongs to one day.
            let at = begin + number as i64 * step;
            let batch: Result<Vec<Entry>, _> = (number..end).map(|n| earlier(n, at, &self.origin)).collect();
            log.append_batch(&batch.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
            number = end;
        }
        log.close().map_err(|e| e.to_string())
    }
}

/// A record of an earlier decision, as large as those that are measured.
fn earlier(number: u64, at: i64, origin: &str) -> Result<Entry, policyc::audit::record::RecordError> {
    let organization = origin.split('/').nth(1).unwrap_or_default().to_owned();
    let actor = |id: String, credential: Option<String>, roles: &[&str]| Actor {
        kind: "service_account".to_owned(),
        uid: format!("svc_{number:016}"),
        id: Fact::from(id.as_str()),
        credential,
        owner: Some("user \"ada\"".to_owned()),
        groups: vec![format!("group-{}", number % 1_000), format!("group-{}", number % 997)],
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
    };
    let inputs = BTreeMap::from([
        ("context".to_owned(), Fact::Plain(json!({ "ip": "10.20.30.40" }))),
        ("scope".to_owned(), Fact::Plain("acme/p7/live".into())),
    ]);
    Draft::new()?.finish(&Record {
        schema: RECORD_SCHEMA,
        log: Log::Decisions,
        id: format!("rec_{number:016}"),
        time: Moment(at),
        organization,
        scope: "acme/p7/live".to_owned(),
        account: Some(actor(format!("account-{number}"), None, &["editor", "reader"])),
        chain: Vec::new(),
        asked_by: Some(actor(
            "gate-0".to_owned(),
            Some("key_0000000000000000".to_owned()),
            &["policyd/enforcer"],
        )),
        directory_revision: 4_000,
        request: Some(RequestFacts {
            id: format!("req_{number:016}"),
            ip: Some("127.0.0.1".into()),
            peer: Some("127.0.0.1".into()),
            user_agent: Some("load".into()),
        }),
        body: Body::Decided {
            policy_set: "set_0000000000000000".to_owned(),
            decisions: vec![DecisionFacts {
                event: format!("ev_{number:016}"),
                action: "read".to_owned(),
                resource: Fact::Plain(format!("document/document-{number}").into()),
                inputs,
                allowed: true,
                step: "allow".to_owned(),
                rule: Some("reader".to_owned()),
                account: None,
                chain: vec![],
                scope: None,
            }],
        },
    })
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{}: {e}", command.get_program().to_string_lossy()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// The rules, and the services that ask.
fn furnish(address: &str, admin: &str) -> Result<(), String> {
    let post = |path: &str, body: Value| ask(address, "POST", path, admin, &body);
    let made = post("/v1/policy-sets", json!({ "files": [{ "name": "own.pol", "text": RULES }] }))?;
    let uid = made["uid"].as_str().ok_or("a policy set has a uid")?;
    post(&format!("/v1/policy-sets/{uid}/activate"), json!({}))?;
    for gate in 0..GATES {
        let id = format!("gate-{gate}");
        let owner = json!({ "kind": "user", "id": "ada" });
        post("/v1/service-accounts", json!({ "id": id, "home": "acme", "purpose": "asks", "owner": owner }))?;
        let holder = json!({ "kind": "service_account", "id": id });
        post("/v1/bindings", json!({ "holder": holder, "role": "policyd/enforcer", "scope": "acme" }))?;
    }
    Ok(())
}

fn keys(address: &str, admin: &str) -> Result<Vec<String>, String> {
    let key = |gate: usize| {
        let account = json!({ "kind": "service_account", "id": format!("gate-{gate}") });
        let made = ask(address, "POST", "/v1/credentials", admin, &json!({ "account": account }))?;
        made["token"].as_str().map(str::to_owned).ok_or_else(|| "a key has a token".to_owned())
    };
    (0..GATES).map(key).collect()
}

/// Asks once, so that there is a log of decisions, and reads its origin.
fn first_decision(address: &str, admin: &str, key: &str, world: &World) -> Result<String, String> {
    ask(address, "POST", "/v1/authorize", key, &world.first())?;
    let told = ask(address, "GET", "/v1/audit/decisions/proof?number=0", admin, &Value::Null)?;
    let note = told["proof"]["checkpoint"].as_str().and_then(|note| note.lines().next());
    note.map(str::to_owned).ok_or_else(|| format!("a proof has a checkpoint: {told}"))
}

/// The directory: places and grants through the interface, what there is much of at once.
fn import(options: &Options, world: &World, data: &Path) -> Result<(), String> {
    let admin = fs::read_to_string(data.join("admin.key")).map_err(|e| e.to_string())?;
    let server = Server::start(Which::Policyd, &options.policyd, data)?;
    let post = |path: &str, body: Value| ask(&server.address, "POST", path, admin.trim(), &body).map(drop);
    for n in 0..world.projects {
        post("/v1/projects", json!({ "id": format!("p{n}") }))?;
        post(
            "/v1/environments",
            json!({ "id": "live", "project": format!("acme/p{n}"), "stage": "production" }),
        )?;
        post("/v1/groups", json!({ "id": format!("group-{n}") }))?;
        let holder = json!({ "kind": "group", "id": format!("group-{n}") });
        post(
            "/v1/bindings",
            json!({ "holder": holder, "role": World::role(n), "scope": format!("acme/p{n}") }),
        )?;
    }
    drop(server);
    eprintln!("writing {} accounts and {} resources", world.accounts, world.resources);
    let accounts = (0..world.accounts).map(|n| {
        let mut groups = world.groups(n).map(|g| format!("group-{g}")).to_vec();
        groups.dedup();
        Item::Account(World::kind(n), World::id(n), groups)
    });
    let resources = (0..world.resources).map(|n| {
        let attributes = json!({ "secret": World::is_secret(n) });
        Item::Resource("document", format!("document-{n}"), world.place(n), attributes)
    });
    fill(data, "ada", &mut accounts.chain(resources))
}
