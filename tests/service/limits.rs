//! What one client or tenant may use up, and changes that are large.

use crate::world::World;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Keys enough that the records of all of them don't fit into one.
const MANY: usize = 150;

/// `MANY` keys of an account.
fn many(world: &World) -> Vec<Value> {
    let body = json!({ "account": { "kind": "service_account", "id": "ci" } });
    (0..MANY).map(|_| world.done("POST", "/v1/credentials", &body)).collect()
}

fn token(minted: &Value) -> &str {
    minted["token"].as_str().expect("a token")
}

/// All changes that one request made are there, verify, and make what is stored.
fn is_one_change(world: &World, action: &str) {
    let (code, said) = world.command(&["audit", "export", "changes", "many.jsonl"]);
    assert_eq!(code, 0, "{said}");
    let log_key = world.command(&["audit", "key"]).1;
    let (code, said) = world.command(&["audit", "verify", "many.jsonl", "--log-key", log_key.trim()]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = world.command(&["audit", "state", "--data", "store"]);
    assert_eq!(code, 0, "{said}");
    let text = std::fs::read_to_string(world.folder.join("many.jsonl")).expect("an export");
    let records: Vec<String> = text.lines().filter(|l| l.contains(action)).map(str::to_owned).collect();
    assert!(records.len() > 1, "its record would have been too large: {}", records.len());
}

#[test]
fn many_keys_are_revoked_in_one_change() {
    let world = World::furnished();
    let keys = many(&world);
    let other = world.key("service_account", "gate");
    let body = json!({ "account": { "kind": "service_account", "id": "ci" } });
    let told = world.ask(&world.admin, "POST", "/v1/credentials:revoke", &body);
    assert_eq!(told.status, 200, "{}", told.body);
    assert_eq!(told.body["revoked"].as_array().map(Vec::len), Some(MANY));
    for key in [&keys[0], &keys[MANY / 2], &keys[MANY - 1]] {
        assert_eq!(world.ask(token(key), "GET", "/v1/me", &Value::Null).status, 401);
    }
    assert_eq!(world.ask(&other, "GET", "/v1/me", &Value::Null).status, 200);
    is_one_change(&world, "credentials.revoke");
    // What came after counts on from its last record.
    let next = world.done("POST", "/v1/users", &json!({ "id": "zoe" }));
    assert!(next["revision"].as_i64() > told.body["revision"].as_i64());
}

#[test]
fn an_account_with_many_keys_is_deleted_in_one_change() {
    let world = World::furnished();
    let keys = many(&world);
    let tag =
        world.ask(&world.admin, "GET", "/v1/service-accounts/ci", &Value::Null).body["revision"].clone();
    let headers = [("if-match", tag.to_string())];
    let headers = [(headers[0].0, headers[0].1.as_str())];
    let told = world.ask_with(&world.admin, "DELETE", "/v1/service-accounts/ci", &headers, &Value::Null);
    assert_eq!(told.status, 200, "{}", told.body);
    assert!(
        keys.iter().step_by(40).all(|k| world.ask(token(k), "GET", "/v1/me", &Value::Null).status == 401)
    );
    is_one_change(&world, "service-accounts.deleted");
}

#[test]
fn a_file_of_leaked_keys_is_revoked_and_no_token_is_sent() {
    let world = World::furnished();
    let keys: Vec<Value> = many(&world).split_off(MANY - 3);
    let live = world.key("service_account", "ci");
    let strangers: String = (0..2_000).map(|n| format!("{n:016}\n")).collect();
    let text = format!("{}\n\n{}\n{strangers}", token(&keys[0]), keys[1]["key_id"].as_str().expect("an id"));
    std::fs::write(world.folder.join("leaked"), text).expect("written");
    let (code, said) = world.command(&["credentials", "revoke-all", "--leaked", "leaked"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("2 keys"), "{said}");
    assert_eq!(world.ask(token(&keys[0]), "GET", "/v1/me", &Value::Null).status, 401);
    assert_eq!(world.ask(token(&keys[1]), "GET", "/v1/me", &Value::Null).status, 401);
    assert_eq!(world.ask(token(&keys[2]), "GET", "/v1/me", &Value::Null).status, 200);
    // A line that was cut short is told, not skipped, and nothing is revoked.
    std::fs::write(world.folder.join("cut"), format!("{live}\n{}\n", &token(&keys[2])[..40]))
        .expect("written");
    let (code, said) = world.command(&["credentials", "revoke-all", "--leaked", "cut"]);
    assert!(code == 2 && said.contains("cut:2"), "{said}");
    assert_eq!(world.ask(&live, "GET", "/v1/me", &Value::Null).status, 200);
}

fn connect(world: &World) -> TcpStream {
    let stream = TcpStream::connect(&world.address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    stream
}

/// All that comes until the service ends the connection.
fn until_closed(mut stream: &TcpStream) -> String {
    let mut told = Vec::new();
    // A connection that is reset has ended, too.
    let _ = stream.read_to_end(&mut told);
    String::from_utf8_lossy(&told).into_owned()
}

#[test]
fn a_head_that_does_not_come_ends_the_connection() {
    let world = World::with(&["--head-within", "1", "--connections", "4"]);
    // Three say nothing, or never end; the fourth place is for who asks.
    let slow: Vec<TcpStream> = ["", "GET /v1/me HTTP/1.1\r\n", "GET /v1/me HTTP/1.1\r\nHost: x\r\nX: "]
        .into_iter()
        .map(|begin| {
            let mut stream = connect(&world);
            stream.write_all(begin.as_bytes()).expect("sent");
            stream
        })
        .collect();
    // The place of whoever looked whether the service is up may still be taken for a moment.
    let served = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        world.raw("", "GET", "/healthz", &[], Vec::new()).is_some_and(|told| told.status == 200)
    });
    assert!(served, "the fourth place is free");
    let began = Instant::now();
    for stream in &slow {
        // A byte now and then doesn't help.
        let _ = (&mut &*stream).write_all(b"a");
        until_closed(stream);
    }
    assert!(began.elapsed() < Duration::from_secs(15), "closed by the service: {:?}", began.elapsed());
    // So does a connection that was served, and then is silent.
    let mut idle = connect(&world);
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let told = until_closed(&idle);
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(18));
}

#[test]
fn who_finds_no_place_is_told_and_places_come_back() {
    let world = World::with(&["--connections-per-address", "3"]);
    // Who is told nothing has a place, and keeps it.
    let mut held = Vec::new();
    let turned = (0..50).find_map(|_| {
        let stream = connect(&world);
        stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a socket");
        let told = until_closed(&stream);
        held.push(stream);
        (!told.is_empty()).then_some(told)
    });
    let turned = turned.expect("an answer, at least once in fifty");
    assert!(turned.starts_with("HTTP/1.1 503") && turned.contains("Retry-After: 1"), "{turned}");
    drop(held);
    let back = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        world.raw("", "GET", "/healthz", &[], Vec::new()).is_some_and(|told| told.status == 200)
    });
    assert!(back, "places come back");
    let metrics = world.ask("", "GET", "/metrics", &Value::Null).body;
    let refused =
        metrics.as_str().expect("text").lines().find(|l| l.starts_with("policyd_refused_connections"));
    assert!(refused.is_some_and(|l| !l.ends_with(" 0")), "{refused:?}");
}

#[test]
fn large_bodies_at_once_have_bounded_room() {
    let world = World::bare();
    let head = |length: usize| {
        format!(
            "POST /v1/policy-sets:check HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {length}\r\n\r\n",
            world.admin
        )
    };
    // 32 announce 16 MiB each, and send nothing of it.
    let held: Vec<TcpStream> = (0..32)
        .map(|_| {
            let mut stream = connect(&world);
            stream.write_all(head(16 << 20).as_bytes()).expect("sent");
            stream
        })
        .collect();
    let busy = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let files = json!({ "files": [{ "name": "own.pol", "text": " ".repeat(200_000) }] });
        let body = files.to_string().into_bytes();
        let told = world.raw(&world.admin, "POST", "/v1/policy-sets:check", &[], body);
        told.is_some_and(|told| told.status == 503 && told.body["type"] == "urn:policyd:problem:busy")
    });
    assert!(busy, "there is an end to it");
    assert_eq!(world.ask(&world.admin, "POST", "/v1/users", &json!({ "id": "small" })).status, 201);
    drop(held);
    let again = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let files = json!({ "files": [{ "name": "own.pol", "text": " ".repeat(200_000) }] });
        world.ask(&world.admin, "POST", "/v1/policy-sets:check", &files).status == 200
    });
    assert!(again, "and room again");
}

#[test]
fn heads_are_bounded() {
    let world = World::bare();
    let mut stream = connect(&world);
    let head = format!("GET /v1/me HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    // It may answer before it has read all.
    let _ = stream.write_all(head.as_bytes());
    let told = until_closed(&stream);
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 431"), "{told}");
    assert_eq!(world.ask(&world.admin, "GET", "/v1/me", &Value::Null).status, 200);
}

#[test]
fn a_key_that_asks_too_often_waits_and_others_do_not() {
    let world = World::with(&["--rate-per-key", "40"]);
    world.done("POST", "/v1/users", &json!({ "id": "ana" }));
    let ana = world.key("user", "ana");
    let told = (0..400).map(|_| world.ask(&ana, "GET", "/v1/me", &Value::Null)).find(|t| t.status != 200);
    let told = told.expect("a limit");
    assert_eq!((told.status, told.body["type"].as_str()), (429, Some("urn:policyd:problem:too-fast")));
    let wait: u64 =
        told.headers.iter().find(|(n, _)| n == "retry-after").expect("a header").1.parse().unwrap();
    assert_eq!(told.body["retry_after"], wait);
    assert!(told.body["detail"].as_str().unwrap().contains("this key"), "{}", told.body);
    // The same for whatever it asks, before it is looked at; others are served, and health is nobody's limit.
    assert_eq!(world.ask(&ana, "POST", "/v1/nothing", &json!({})).status, 429);
    assert_eq!(world.ask(&world.admin, "GET", "/v1/me", &Value::Null).status, 200);
    assert_eq!(world.ask("", "GET", "/healthz", &Value::Null).status, 200);
    std::thread::sleep(Duration::from_secs(wait) + Duration::from_millis(600));
    assert_eq!(world.ask(&ana, "GET", "/v1/me", &Value::Null).status, 200, "after the wait it named");
    let metrics = world.ask("", "GET", "/metrics", &Value::Null).body;
    assert!(!metrics.as_str().unwrap().contains("policyd_limited_total{per=\"key\"} 0"), "{metrics}");
}

#[test]
fn guessing_keys_is_slowed_down_by_address_and_writes_nothing() {
    let world = World::with(&["--rate-per-address", "50"]);
    let size = || std::fs::metadata(world.folder.join("store/policyd.db-wal")).map_or(0, |m| m.len());
    let before = size();
    let told: Vec<u16> = (0..300)
        .map(|n| world.ask(&format!("pdusr_{n:016}_x"), "GET", "/v1/me", &Value::Null).status)
        .collect();
    assert!(
        told.contains(&401) && told.contains(&429) && told.iter().all(|s| [401, 429].contains(s)),
        "{told:?}"
    );
    assert_eq!(size(), before, "a key that is no key costs no write");
    assert!(
        world.log().lines().filter(|l| l.contains("keys were refused")).count() <= 1,
        "they are gathered"
    );
}

#[test]
fn ending_answers_what_was_accepted() {
    let mut world = World::bare();
    let mut stream = connect(&world);
    let body = json!({ "id": "late" }).to_string();
    let head = format!(
        "POST /v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        world.admin,
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    std::thread::sleep(Duration::from_millis(300));
    world.terminate();
    std::thread::sleep(Duration::from_millis(300));
    assert!(TcpStream::connect(&world.address).is_err(), "nobody new is let in");
    stream.write_all(body.as_bytes()).expect("sent");
    let told = until_closed(&stream);
    assert!(told.starts_with("HTTP/1.1 201"), "{told}");
    assert!((0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        world.has_ended()
    }));
    world.kill();
    world.start();
    assert_eq!(world.ask(&world.admin, "GET", "/v1/users/late", &Value::Null).status, 200);
}

#[test]
fn an_operator_sees_how_it_is() {
    let world = World::furnished();
    let gate = world.key("service_account", "gate");
    let key = world.key("service_account", "ci");
    world.decide(&gate, &key, "read", "acme/web/play");
    let ready = world.ask("", "GET", "/readyz", &Value::Null).body;
    assert!(ready.as_str().unwrap().starts_with("ready\ntime: 20"), "{ready}");
    let metrics = world.ask("", "GET", "/metrics", &Value::Null).body;
    let metrics = metrics.as_str().expect("text");
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|l| l.starts_with(name) && l[name.len()..].starts_with(' '));
        line.unwrap_or_else(|| panic!("{name} in {metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(value("policyd_request_seconds_count{what=\"decide\"}"), 1.0);
    assert!(value("policyd_request_seconds_bucket{what=\"change\",le=\"+Inf\"}") > 10.0);
    let written = value("policyd_decision_write_seconds_count");
    assert!(written >= 1.0 && value("policyd_decision_write_seconds_bucket{le=\"+Inf\"}") == written);
    assert!(value("policyd_decision_write_seconds_sum") > 0.0);
    assert!(value("policyd_database_bytes") > 10_000.0 && value("policyd_decisions_bytes") > 0.0);
    assert!(value("policyd_disk_free_bytes") > value("policyd_disk_reserve_bytes"));
    assert!(value("policyd_keys") >= 4.0 && value("policyd_connections") >= 1.0);
    assert_eq!((value("policyd_ready"), value("policyd_changes_waiting")), (1.0, 0.0));
    assert!(value("policyd_clocks_apart_seconds").abs() < 60.0);
    // Every line is one that Prometheus reads, every name has its type once, and nobody is named.
    let mut types = Vec::new();
    for line in metrics.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(rest) => types.push(rest.split(' ').next().unwrap()),
            None if line.starts_with("# HELP ") => {}
            None => {
                let (name, value) = line.rsplit_once(' ').expect("a name and a value");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                let name = name.split('{').next().unwrap();
                assert!(types.iter().any(|t| name.starts_with(t)), "{line}");
            }
        }
    }
    let all = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), all);
    assert!(!metrics.contains("acme") && !metrics.contains("key_"), "{metrics}");
}
