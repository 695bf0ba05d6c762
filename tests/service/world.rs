//! A service on a fresh folder, and how to ask it.

use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A folder of this test's own, with a service on it.
pub struct World {
    pub folder: PathBuf,
    pub address: String,
    pub admin: String,
    pub installation: String,
    child: Option<Child>,
    extra: Vec<String>,
    /// Environment of the next start.
    pub environment: Vec<(String, String)>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    pub body: Value,
    pub headers: Vec<(String, String)>,
    pub length: usize,
}

/// The rules that most tests use.
pub const RULES: &str = r#"
resource server { owner: user?, secret: Bool? stored }
action read, write on server
context { ip: Ip? }
role operator { allow read, write on server }
role reader { allow read on server }
boundary read_only { allow read on anything }
policy house {
  production_is_for_people: deny service_account, agent to write on server
    at environment
    when scope.stage == production
    because "people change production"
  own_servers: allow user to write on server
    when resource.owner exists and account == resource.owner
}
"#;

/// The hidden parts of all keys that this run of the suite has seen, sent or been given.
static SECRETS: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Letters of a secret that must not be found anywhere; the whole has 52.
const SHORT: usize = 20;

/// Remembers the secret of a token.
fn remember(token: &str) {
    let hidden = token.rsplit('_').next().unwrap_or_default();
    if token.starts_with("pd") && hidden.len() > 40 {
        let mut all = SECRETS.lock().unwrap_or_else(|held| held.into_inner());
        all.get_or_insert_default().insert(hidden[..52.min(hidden.len())].to_owned());
    }
}

/// The first part of a secret that stands in a text: of a known key, or of anything that looks like a token.
fn leak(log: &str, secrets: &HashSet<String>) -> Option<String> {
    let letter = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase();
    let parts: HashSet<&str> = secrets
        .iter()
        .flat_map(|s| {
            [&s[..SHORT], &s[s.len() - SHORT..], &s[s.len() / 2 - SHORT / 2..s.len() / 2 + SHORT / 2]]
        })
        .collect();
    for run in log.split(|c| !letter(c)).filter(|run| run.len() >= SHORT) {
        // A secret is in base32: what is longer than any id of ours is taken for one.
        if run.len() >= 52 && run.bytes().any(|b| b > b'f') {
            return Some(run.to_owned());
        }
        if let Some(at) = (0..=run.len() - SHORT).find(|at| parts.contains(&run[*at..at + SHORT])) {
            return Some(run[at..at + SHORT].to_owned());
        }
    }
    None
}

#[test]
fn a_secret_in_a_log_would_be_found() {
    let secret = "0123456789abcdefghjkmnpqrstvwxyz0123456789abcdefghjk";
    let known = HashSet::from([secret.to_owned()]);
    for text in [
        format!("{{\"path\":\"/v1/x?key=pdusr_0000000000000000_{secret}0000000\"}}"),
        format!("cut short: {}", &secret[..SHORT]),
        format!("from the end: x={}!", &secret[52 - SHORT..]),
        format!("{}\n", &secret[10..44]),
    ] {
        assert!(leak(&text, &known).is_some(), "{text}");
    }
    assert!(leak(&format!("an unknown key {secret}"), &HashSet::new()).is_some());
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(
        leak(&format!("request req_0123456789abcdef sha256 {hash} key_0123456789abcdef"), &known),
        None
    );
}

static FOLDERS: AtomicU32 = AtomicU32::new(0);

fn policyd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_policyd"));
    for name in ["POLICYD_ADDRESS", "POLICYD_KEY", "POLICYD_KEY_FILE", "POLICYD_LISTEN", "POLICYD_DATA"] {
        command.env_remove(name);
    }
    command
}

impl World {
    /// Initialised, served, and nothing else.
    pub fn bare() -> World {
        World::with(&[])
    }

    /// The same with further arguments of `serve`.
    pub fn with(extra: &[&str]) -> World {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("policyd-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let data = folder.join("store");
        let made = policyd()
            .args(["init", "--organization", "acme", "--owner", "ada", "--data"])
            .arg(&data)
            .output()
            .expect("policyd runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let key =
            |name: &str| std::fs::read_to_string(data.join(name)).expect("a key file").trim().to_owned();
        remember(&key("admin.key"));
        remember(&key("installation.key"));
        let mut world = World {
            admin: key("admin.key"),
            installation: key("installation.key"),
            folder,
            address: String::new(),
            child: None,
            environment: Vec::new(),
            extra: extra.iter().map(|a| (*a).to_owned()).collect(),
        };
        world.start();
        world
    }

    /// With a project, three environments, rules in force, and a service account in each environment.
    pub fn furnished() -> World {
        let world = World::bare();
        world.furnish();
        world
    }

    pub fn furnish(&self) {
        let ok = |path: &str, body: Value| self.done("POST", path, &body);
        ok("/v1/projects", json!({ "id": "web" }));
        for (id, stage) in [("play", "sandbox"), ("prod", "production")] {
            ok("/v1/environments", json!({ "id": id, "project": "acme/web", "stage": stage }));
        }
        self.activate(RULES);
        for id in ["ana", "ben"] {
            ok("/v1/users", json!({ "id": id }));
        }
        let machine = |id: &str, home: &str| {
            let owner = json!({ "kind": "user", "id": "ada" });
            json!({ "id": id, "home": home, "purpose": "a test", "owner": owner })
        };
        ok("/v1/service-accounts", machine("ci", "acme/web/play"));
        ok("/v1/service-accounts", machine("gate", "acme"));
        ok("/v1/agents", machine("helper", "acme"));
        self.bind("service_account", "ci", "operator", "acme/web");
        self.bind("service_account", "gate", "policyd/enforcer", "acme");
    }

    pub fn activate(&self, rules: &str) {
        let made =
            self.done("POST", "/v1/policy-sets", &json!({ "files": [{ "name": "own.pol", "text": rules }] }));
        self.done(
            "POST",
            &format!("/v1/policy-sets/{}/activate", made["uid"].as_str().expect("a uid")),
            &json!({}),
        );
    }

    pub fn bind(&self, kind: &str, id: &str, role: &str, scope: &str) -> Value {
        let body = json!({ "holder": { "kind": kind, "id": id }, "role": role, "scope": scope });
        self.done("POST", "/v1/bindings", &body)
    }

    /// A key of an account, minted by the owner of the organization.
    pub fn key(&self, kind: &str, id: &str) -> String {
        self.key_with(kind, id, json!({}))
    }

    pub fn key_with(&self, kind: &str, id: &str, mut fields: Value) -> String {
        fields["account"] = json!({ "kind": kind, "id": id });
        self.done("POST", "/v1/credentials", &fields)["token"].as_str().expect("a token").to_owned()
    }

    pub fn start(&mut self) {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        self.address = free.local_addr().expect("an address").to_string();
        drop(free);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("a log file");
        let child = policyd()
            .args(["serve", "--listen", &self.address, "--log-level", "debug", "--data"])
            .arg(self.folder.join("store"))
            .args(&self.extra)
            // Each change is held against the organization made anew.
            .env("POLICYD_TEST_CHANGES", "1")
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("policyd runs");
        self.child = Some(child);
        let up = (0..400).any(|_| {
            std::thread::sleep(Duration::from_millis(25));
            TcpStream::connect(&self.address).is_ok() || self.has_ended()
        });
        let may_end = !self.environment.is_empty();
        assert!(up && (may_end || !self.has_ended()), "the service listens; its log:\n{}", self.log());
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|c| c.try_wait().expect("a process").is_some())
    }

    /// Ends the process as a power button would, as far as a process can.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().expect("it ends");
        }
    }

    /// Asks the process to end.
    pub fn terminate(&self) {
        let id = self.child.as_ref().expect("a process").id().to_string();
        assert!(Command::new("kill").arg(id).status().expect("kill runs").success());
    }

    /// Ends the process as an operator does: it finishes what it has begun.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let asked = Command::new("kill").arg(child.id().to_string()).status();
            assert!(
                asked.expect("kill runs").success() && child.wait().expect("it ends").success(),
                "{}",
                self.log()
            );
        }
    }

    /// All that the service has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// What a `policyd` command prints and how it ends.
    pub fn command(&self, args: &[&str]) -> (i32, String) {
        let output = policyd()
            .args(args)
            .current_dir(&self.folder)
            .env("POLICYD_ADDRESS", format!("http://{}", self.address))
            .env("POLICYD_KEY", &self.admin)
            .output()
            .expect("policyd runs");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code().unwrap_or(-1), text)
    }

    /// A request by the owner of the organization that must succeed.
    pub fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let told = self.ask(&self.admin, method, path, body);
        assert!(told.status < 300, "{method} {path} {body}: {} {}", told.status, told.body);
        told.body
    }

    /// A request with a key.
    pub fn ask(&self, key: &str, method: &str, path: &str, body: &Value) -> Told {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.raw(key, method, path, &[], text.into_bytes()).expect("an answer")
    }

    pub fn ask_with(
        &self,
        key: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Told {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.raw(key, method, path, headers, text.into_bytes()).expect("an answer")
    }

    /// A request of these very bytes; none if the connection broke.
    pub fn raw(
        &self,
        key: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Option<Told> {
        ask(&self.address, key, method, path, headers, body)
    }

    /// Whether the client with this key may do this, asked by the gate.
    pub fn decide(&self, gate: &str, client: &str, action: &str, scope: &str) -> Value {
        let body = json!({ "action": { "name": action }, "resource": { "kind": "server", "id": "s" }, "scope": scope });
        let told = self.ask_with(gate, "POST", "/v1/authorize", &[("policyd-client-key", client)], &body);
        assert_eq!(told.status, 200, "{}", told.body);
        told.body
    }
}

/// A request to a service.
pub fn ask(
    address: &str,
    key: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Option<Told> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .proxy(None);
    let agent: ureq::Agent = config.build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{address}{path}"));
    remember(key);
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    for (name, value) in headers {
        remember(value);
        request = request.header(*name, *value);
    }
    let mut response = agent.run(request.body(body).ok()?).ok()?;
    let status = response.status().as_u16();
    let headers = response.headers().iter();
    let headers =
        headers.map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect();
    let mut text = Vec::new();
    response.body_mut().as_reader().read_to_end(&mut text).ok()?;
    let body = serde_json::from_slice(&text)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&text).into_owned()));
    remember(body["token"].as_str().unwrap_or_default());
    Some(Told { status, body, headers, length: text.len() })
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
        if !std::thread::panicking() {
            // Nothing that any service of the suite has logged, has a secret in it.
            let log = self.log();
            let secrets = SECRETS.lock().unwrap_or_else(|held| held.into_inner()).clone().unwrap_or_default();
            let found = leak(&log, &secrets);
            assert!(secrets.len() >= 2 && found.is_none(), "a secret is in the log: {found:?}\n{log}");
            assert!(!log.contains("panicked"), "something panicked:\n{log}");
        }
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
