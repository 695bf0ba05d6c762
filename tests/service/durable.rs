//! Killed at random moments under load: every acknowledged change and decision is there afterwards, none is half there,
//! and the logs verify. The same when the power goes: `power.c` drops and tears what wasn't synced.
//!
//! `POLICYD_ROUNDS=200 cargo test --features server --test service killed -- --nocapture` runs as many rounds as the
//! documents name; an ordinary run does a few.

use crate::world::{World, ask};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

fn rounds() -> usize {
    std::env::var("POLICYD_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5)
}

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged {
    groups: Mutex<BTreeSet<String>>,
    revoked: Mutex<BTreeSet<String>>,
    events: Mutex<BTreeSet<String>>,
}

#[test]
fn killed_again_and_again_it_loses_nothing() {
    let mut world = World::furnished();
    let gate = world.key("service_account", "gate");
    let kept = Acknowledged::default();
    let number = AtomicUsize::new(0);
    let mut seed = 0x9E37_79B9_7F4A_7C15u64;
    for round in 0..rounds() {
        let stop = AtomicBool::new(false);
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let (address, admin) = (world.address.clone(), world.admin.clone());
        std::thread::scope(|threads| {
            for thread in 0..4 {
                let (kept, stop, number, address, admin, gate) =
                    (&kept, &stop, &number, &address, &admin, &gate);
                threads.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        load(thread, kept, number, address, admin, gate);
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(40 + seed % 160));
            world.kill();
            stop.store(true, Ordering::Relaxed);
        });
        world.start();
        all_is_there(&world, &kept, round);
    }
    let count = |set: &Mutex<BTreeSet<String>>| set.lock().unwrap().len();
    let (groups, revoked, events) = (count(&kept.groups), count(&kept.revoked), count(&kept.events));
    println!(
        "{} rounds: {groups} groups, {revoked} revocations, {events} decisions acknowledged, all there",
        rounds()
    );
    assert!(groups > 0 && events > 0, "there was load");
}

/// The shim that cuts the power, compiled.
fn shim(world: &World) -> std::path::PathBuf {
    let made = world.folder.join("power.so");
    let compiled = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&made)
        .args(["tests/service/power.c", "-ldl", "-lpthread"])
        .output()
        .expect("a C compiler, which SQLite needs as well");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    made
}

/// One round: load until the power goes, then a look at what is there; says what is wrong, or nothing.
fn cut_once(
    world: &mut World,
    shim: &std::path::Path,
    gate: &str,
    round: usize,
    careless: bool,
) -> Result<(), String> {
    let kept = Acknowledged::default();
    let number = AtomicUsize::new(round * 100_000);
    let mut environment = vec![
        ("LD_PRELOAD".to_owned(), shim.display().to_string()),
        ("POWER_DIR".to_owned(), world.folder.join("store").display().to_string()),
        ("POWER_AFTER".to_owned(), (20 + round * 37 % 211).to_string()),
        ("POWER_SEED".to_owned(), (round + 1).to_string()),
    ];
    if careless {
        environment.push(("POLICYD_TEST_CARELESS".to_owned(), "1".to_owned()));
    }
    world.kill();
    world.environment = environment;
    world.start();
    let stop = AtomicBool::new(false);
    let (address, admin) = (world.address.clone(), world.admin.clone());
    let ended = std::thread::scope(|threads| {
        for thread in 0..4 {
            let (kept, stop, number, address, admin) = (&kept, &stop, &number, &address, &admin);
            threads.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    load(thread, kept, number, address, admin, gate);
                }
            });
        }
        let ended = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            world.has_ended()
        });
        stop.store(true, Ordering::Relaxed);
        ended
    });
    assert!(ended, "the power went");
    world.environment.clear();
    let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.start();
        all_is_there(world, &kept, round);
    }));
    looked.map_err(|why| why.downcast_ref::<String>().cloned().unwrap_or_else(|| "lost".to_owned()))
}

#[test]
fn when_the_power_goes_it_loses_nothing_and_a_careless_build_does() {
    let mut world = World::furnished();
    let shim = shim(&world);
    let gate = world.key("service_account", "gate");
    for round in 0..rounds() {
        cut_once(&mut world, &shim, &gate, round, false).unwrap_or_else(|e| panic!("{e}"));
    }
    println!("{} power cuts: all that was acknowledged is there", rounds());
    // The same rounds catch a build that doesn't wait for the disk: else they would prove nothing.
    let caught = (0..40).find(|round| {
        let mut world = World::furnished();
        let gate = world.key("service_account", "gate");
        cut_once(&mut world, &shim, &gate, *round, true).is_err()
    });
    println!("without waiting for the disk: found out in round {caught:?}");
    assert!(caught.is_some(), "synchronous=OFF is found out");
}

fn load(thread: usize, kept: &Acknowledged, number: &AtomicUsize, address: &str, admin: &str, gate: &str) {
    let send = |key: &str, path: &str, body: Value| {
        let told = ask(address, key, "POST", path, &[], body.to_string().into_bytes())?;
        (told.status < 300).then_some(told.body)
    };
    if thread == 0 {
        let id = format!("g{}", number.fetch_add(1, Ordering::Relaxed));
        if send(admin, "/v1/groups", json!({ "id": id })).is_some() {
            kept.groups.lock().unwrap().insert(id);
        }
    } else if thread == 1 {
        let body = json!({ "account": { "kind": "service_account", "id": "ci" } });
        let Some(made) = send(admin, "/v1/credentials", body) else { return };
        let uid = made["uid"].as_str().expect("a uid").to_owned();
        if send(admin, &format!("/v1/credentials/{uid}/revoke"), json!({})).is_some() {
            kept.revoked.lock().unwrap().insert(uid);
        }
    } else {
        let body = json!({ "account": { "kind": "service_account", "id": "ci" }, "action": { "name": "read" },
            "resource": { "kind": "server", "id": "s" }, "scope": "acme/web/play" });
        if let Some(answer) = send(gate, "/v1/authorize", body) {
            kept.events.lock().unwrap().insert(answer["event"].as_str().expect("an event").to_owned());
        }
    }
}

fn pages(world: &World, path: &str) -> Vec<Value> {
    let (mut all, mut from) = (Vec::new(), String::new());
    loop {
        let told = world.ask(&world.admin, "GET", &format!("{path}?limit=500{from}"), &Value::Null);
        assert_eq!(told.status, 200, "{}", told.body);
        all.extend(told.body["items"].as_array().expect("items").clone());
        match &told.body["next"] {
            Value::Number(next) => from = format!("&from={next}"),
            Value::String(next) => from = format!("&cursor={next}"),
            _ => return all,
        }
    }
}

fn all_is_there(world: &World, kept: &Acknowledged, round: usize) {
    let groups: BTreeSet<String> =
        pages(world, "/v1/groups").iter().map(|g| g["id"].as_str().expect("an id").to_owned()).collect();
    for id in kept.groups.lock().unwrap().iter() {
        assert!(groups.contains(id), "round {round}: group {id} was acknowledged and is gone");
    }
    let live: BTreeSet<String> = pages(world, "/v1/credentials")
        .iter()
        .map(|k| k["uid"].as_str().expect("a uid").to_owned())
        .collect();
    for uid in kept.revoked.lock().unwrap().iter() {
        assert!(!live.contains(uid), "round {round}: {uid} was revoked and lives again");
    }
    let mut events = BTreeSet::new();
    for record in pages(world, "/v1/audit/decisions") {
        for decision in record["record"]["body"]["decided"]["decisions"].as_array().into_iter().flatten() {
            events.insert(decision["event"].as_str().expect("an event").to_owned());
        }
    }
    for event in kept.events.lock().unwrap().iter() {
        assert!(events.contains(event), "round {round}: decision {event} was acknowledged and is gone");
    }
    // Each group has exactly one record of its making: none is half there.
    let mut made = BTreeSet::new();
    for record in pages(world, "/v1/audit/changes") {
        for change in record["record"]["body"]["changed"]["changes"].as_array().into_iter().flatten() {
            if change["kind"] == "group" {
                let name = change["after"]["name"]["plain"].as_str().expect("a name").to_owned();
                assert!(made.insert(name), "a change is recorded twice");
            }
        }
    }
    assert_eq!(made, groups, "round {round}: objects and records are one");
    let key = world.command(&["audit", "key"]).1;
    for log in ["changes", "decisions"] {
        let file = format!("{log}-{round}.jsonl");
        let (code, said) = world.command(&["audit", "export", log, &file]);
        assert_eq!(code, 0, "{said}");
        let (code, said) = world.command(&["audit", "verify", &file, "--log-key", key.trim()]);
        assert_eq!(code, 0, "round {round}: {said}");
    }
}
