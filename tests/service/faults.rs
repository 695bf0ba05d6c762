//! What goes wrong under a running service: a full, read-only or broken disk, a flipped byte, a clock that jumps. Each is said,
//! nothing is allowed meanwhile, what was acknowledged is there afterwards.

use crate::world::{Told, World};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Faults of one world, set and taken away while it runs.
pub struct Faults(PathBuf);

impl Faults {
    /// Starts the service again, under `fault.c`.
    pub fn under(world: &mut World) -> Faults {
        let library = world.folder.join("fault.so");
        let compiled = std::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .args(["tests/service/fault.c", "-ldl"])
            .output()
            .expect("a C compiler, which SQLite needs as well");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let faults = Faults(world.folder.join("faults"));
        faults.set("");
        world.kill();
        world.environment = vec![
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            ("FAULT_FILE".to_owned(), faults.0.display().to_string()),
        ];
        world.start();
        assert!(!world.has_ended(), "{}", world.log());
        faults
    }

    pub fn set(&self, faults: &str) {
        // Whole or not at all: it is read at every call.
        let fresh = self.0.with_extension("new");
        std::fs::write(&fresh, faults).expect("written");
        std::fs::rename(&fresh, &self.0).expect("renamed");
    }
}

pub fn ends(world: &mut World) -> bool {
    (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        world.has_ended()
    })
}

/// Until it is true, for some seconds.
pub fn soon(what: impl Fn() -> bool) -> bool {
    (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        what()
    })
}

fn authorize(world: &World, key: &str) -> Option<Told> {
    let body = json!({ "action": { "name": "read" }, "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play" });
    world.raw(key, "POST", "/v1/authorize", &[], body.to_string().into_bytes())
}

fn decided(world: &World, key: &str) -> String {
    let told = authorize(world, key).expect("an answer");
    assert_eq!((told.status, &told.body["decision"]), (200, &json!("allow")), "{}", told.body);
    told.body["event"].as_str().expect("an event").to_owned()
}

fn events(world: &World) -> Vec<String> {
    let told = world.ask(&world.admin, "GET", "/v1/audit/decisions?limit=500", &Value::Null);
    assert_eq!(told.status, 200, "{}", told.body);
    let items = told.body["items"].as_array().expect("items").iter();
    let of =
        |item: &Value| item["record"]["body"]["decided"]["decisions"].as_array().cloned().unwrap_or_default();
    items.flat_map(of).map(|d| d["event"].as_str().expect("an event").to_owned()).collect()
}

/// The service, a live key, and the last day file.
fn at_work() -> (World, Faults, String) {
    let mut world = World::furnished();
    let key = world.key("service_account", "ci");
    let faults = Faults::under(&mut world);
    (world, faults, key)
}

fn day_file(world: &World) -> PathBuf {
    let orgs = std::fs::read_dir(world.folder.join("store/decisions")).expect("a folder");
    let files = orgs.flatten().flat_map(|org| std::fs::read_dir(org.path()).expect("a folder").flatten());
    let mut days: Vec<PathBuf> =
        files.map(|f| f.path()).filter(|p| p.extension().is_some_and(|e| e == "day")).collect();
    days.sort();
    days.pop().expect("a day file")
}

fn flip(file: &Path, at: u64) {
    let mut bytes = std::fs::read(file).expect("read");
    bytes[at as usize] ^= 0x10;
    std::fs::write(file, bytes).expect("written");
}

fn serve(world: &World) -> (i32, String) {
    world.command(&["serve", "--data", "store", "--listen", "127.0.0.1:0"])
}

/// Decisions while something is wrong with their files: 503 with the reason, the end of the process, and all is there later.
fn decisions_refused(fault: &str, reason: &str) {
    let (mut world, faults, key) = at_work();
    let before = decided(&world, &key);
    faults.set(fault);
    let told = authorize(&world, &key).expect("an answer");
    assert_eq!(told.status, 503, "{}", told.body);
    assert!(told.body["decision"].is_null(), "nothing is allowed: {}", told.body);
    assert!(ends(&mut world), "it ends, to read again what is there");
    assert!(world.log().contains(reason), "{}", world.log());
    faults.set("");
    world.start();
    let after = decided(&world, &key);
    let all = events(&world);
    assert!(all.contains(&before) && all.contains(&after), "what was acknowledged is there");
}

#[test]
fn a_disk_full_for_day_files_allows_nothing_and_loses_nothing() {
    decisions_refused("full .day", "No space left on device");
}

#[test]
fn day_files_that_are_read_only_allow_nothing_and_lose_nothing() {
    decisions_refused("readonly .day", "Read-only file system");
}

#[test]
fn day_files_that_can_not_be_synced_allow_nothing_and_lose_nothing() {
    decisions_refused("sync .day", "Input/output error");
}

/// Changes while something is wrong with the database: 503, and neither change nor revocation half there.
fn changes_refused(fault: &str, reason: &str) {
    let (mut world, faults, key) = at_work();
    world.done("POST", "/v1/groups", &json!({ "id": "before" }));
    faults.set(fault);
    let made = world.ask(&world.admin, "POST", "/v1/groups", &json!({ "id": "during" }));
    assert_eq!(made.status, 503, "{}", made.body);
    assert!(
        ends(&mut world) || world.ask(&world.admin, "GET", "/v1/groups/during", &Value::Null).status == 404
    );
    assert!(
        world.log().contains(reason) || made.body.to_string().contains(reason),
        "{}\n{}",
        made.body,
        world.log()
    );
    world.kill();
    faults.set("");
    world.start();
    let group = |id: &str| world.ask(&world.admin, "GET", &format!("/v1/groups/{id}"), &Value::Null).status;
    assert_eq!(group("before"), 200);
    let (code, said) = world.command(&["audit", "state", "--data", "store"]);
    assert_eq!(code, 0, "objects and records are one: {said}");
    if group("during") == 404 {
        world.done("POST", "/v1/groups", &json!({ "id": "during" }));
    }
    decided(&world, &key);
}

#[test]
fn a_disk_full_for_the_database_changes_nothing() {
    changes_refused("full policyd.db", "full");
}

#[test]
fn a_database_that_becomes_read_only_changes_nothing() {
    changes_refused("readonly policyd.db", "disk I/O error");
}

#[test]
fn a_database_that_can_not_be_synced_changes_nothing() {
    changes_refused("sync policyd.db", "disk I/O error");
}

#[test]
fn a_database_that_is_read_only_at_the_start_is_refused_in_words() {
    let (mut world, faults, _) = at_work();
    world.kill();
    faults.set("readonly policyd.db");
    world.start();
    assert!(ends(&mut world));
    assert!(world.log().contains("can't be written: the file or its disk is read-only"), "{}", world.log());
}

#[test]
fn a_flipped_byte_in_a_day_file_is_named() {
    let mut world = World::furnished();
    let key = world.key("service_account", "ci");
    for _ in 0..5 {
        decided(&world, &key);
    }
    // A checkpoint is signed: the hashes of the records are outside the day file now.
    let (code, said) = world.command(&["audit", "export", "decisions", "whole.jsonl"]);
    assert_eq!(code, 0, "{said}");
    let log_key = world.command(&["audit", "key"]).1;
    let export = std::fs::read_to_string(world.folder.join("whole.jsonl")).expect("an export");
    let edited = export.replacen("\\\"allowed\\\":true", "\\\"allowed\\\":fals", 1);
    assert_ne!(export, edited);
    std::fs::write(world.folder.join("edited.jsonl"), edited).expect("written");
    let (code, said) = world.command(&["audit", "verify", "edited.jsonl", "--log-key", log_key.trim()]);
    assert!(code == 1 && said.contains("record 0") && said.contains("edited"), "{said}");
    world.kill();
    let file = day_file(&world);
    let state = |world: &World| world.command(&["audit", "state", "--data", "store"]);
    let (code, said) = state(&world);
    assert!(code == 0 && said.contains("are those that were recorded"), "{said}");
    // Behind the records there is room: zeros.
    let bytes = std::fs::read(&file).expect("a file");
    let length = bytes.iter().rposition(|byte| *byte != 0).expect("records") as u64 + 1;
    assert!(length < bytes.len() as u64);
    for at in [3, length / 3, length / 2, length - 2] {
        flip(&file, at);
        let (code, said) = state(&world);
        assert!(code == 1 && said.contains(".day: damaged at byte"), "byte {at}: {said}");
        flip(&file, at);
    }
    // The newest records are read at the start, which refuses.
    flip(&file, length / 2);
    let (code, said) = serve(&world);
    assert!(code == 2 && said.contains(".day: damaged at byte"), "{said}");
    flip(&file, length / 2);
    // The header is read at the start.
    flip(&file, 3);
    let (code, said) = serve(&world);
    assert!(code == 2 && said.contains(".day: damaged at byte 0"), "{said}");
    flip(&file, 3);
    world.start();
    decided(&world, &key);
}

#[test]
fn a_flipped_byte_in_the_database_is_named_or_changes_nothing() {
    let mut world = World::furnished();
    world.key("service_account", "ci");
    world.kill();
    let file = world.folder.join("store/policyd.db");
    let contents = |file: &Path| -> Result<Vec<String>, rusqlite::Error> {
        let db = rusqlite::Connection::open(file)?;
        let mut all = Vec::new();
        for sql in [
            "SELECT uid || org || kind || name || scope || revision || created || ifnull(deleted, 0) || body || refs FROM objects ORDER BY uid",
            "SELECT org || seq || at || hex(leaf) || hex(salt) || record || personal FROM changes ORDER BY org, seq",
        ] {
            let mut query = db.prepare(sql)?;
            let rows = query.query_map([], |r| r.get(0))?;
            all.extend(rows.collect::<Result<Vec<String>, _>>()?);
        }
        Ok(all)
    };
    // All of it in one file.
    rusqlite::Connection::open(&file)
        .and_then(|db| db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
        .expect("checkpointed");
    let whole = contents(&file).expect("read");
    let length = std::fs::metadata(&file).expect("a file").len();
    let (mut named, mut harmless) = (0, 0);
    for n in 0..60 {
        let at = 100 + (length - 100) * n / 60 + n * 7 % 90;
        flip(&file, at);
        let (code, said) = world.command(&["audit", "state", "--data", "store"]);
        match code {
            0 => {
                harmless += 1;
                let now = contents(&file);
                assert!(now.is_ok_and(|now| now == whole), "byte {at} changed something unseen: {said}");
            }
            1 => {
                named += 1;
                assert!(said.len() > 20 && !said.contains("panicked"), "byte {at}: {said}");
            }
            _ => panic!("byte {at}: {code} {said}"),
        }
        flip(&file, at);
    }
    println!("{named} flipped bytes were named, {harmless} were in nothing that counts");
    assert!(named >= 12, "{named} of 60 flipped bytes were named");
    world.start();
}

#[test]
fn a_clock_that_jumps_forth_or_back_decides_nothing_until_restarted() {
    for jump in ["clock 7200", "clock -7200"] {
        let (mut world, faults, key) = at_work();
        let before = decided(&world, &key);
        faults.set(jump);
        // The first request after the jump is refused already.
        let told = authorize(&world, &key).expect("an answer");
        assert_eq!(told.status, 503, "{jump}: {}", told.body);
        assert!(told.body["detail"].as_str().expect("a reason").contains("clock"), "{}", told.body);
        let told = world.ask(&world.admin, "POST", "/v1/groups", &json!({ "id": "g" }));
        assert_eq!(told.status, 503, "{jump}: {}", told.body);
        let ready = world.raw("", "GET", "/readyz", &[], Vec::new()).expect("an answer");
        assert_eq!(ready.status, 503, "{}", ready.body);
        // Back again: it stays shut, for nobody knows what else was read meanwhile.
        faults.set("");
        assert_eq!(authorize(&world, &key).expect("an answer").status, 503, "{jump}");
        world.kill();
        world.start();
        let after = decided(&world, &key);
        assert!([before, after].iter().all(|event| events(&world).contains(event)), "{jump}");
    }
}

#[test]
fn time_does_not_go_back_behind_a_decision_after_a_restart() {
    let (mut world, faults, _) = at_work();
    let ends_at = |seconds: i64| {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970")
            .as_micros();
        policyc::show_time(i64::try_from(now).expect("in range") + seconds * 1_000_000)
    };
    let short = world.key_with("service_account", "ci", json!({ "expires_at": ends_at(600) }));
    let long = world.key("service_account", "ci");
    world.kill();
    faults.set("clock 1200");
    world.start();
    assert_eq!(authorize(&world, &short).expect("an answer").status, 401, "it is over");
    decided(&world, &long);
    // Only a decision was recorded since. The clock goes back, and with it would the end of the key.
    world.kill();
    faults.set("");
    world.start();
    assert_eq!(authorize(&world, &short).expect("an answer").status, 401, "it stays over");
    decided(&world, &long);
}
