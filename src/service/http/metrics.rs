//! What is counted, and how Prometheus reads it.
//!
//! In:    answers as they are given; the service as it is.
//! Out:   the text of `/metrics`.
//! Law:   nothing in it names an organization, an account or a key: whoever can reach the address may read it.

use super::Server;
use crate::service::durations::Durations;
use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Something that is going on.
#[derive(Debug, Default)]
pub struct Going(AtomicU64);

impl Going {
    /// Counted as long as what is returned lives.
    pub fn on(&self) -> impl Drop + '_ {
        struct One<'a>(&'a AtomicU64);
        impl Drop for One<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        One(&self.0)
    }
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests.
    pub requests: AtomicU64,
    /// Without a live key.
    pub refused_keys: AtomicU64,
    /// Answered with 500 and above.
    pub errors: AtomicU64,
    /// Durable decisions.
    pub decisions: AtomicU64,
    /// Changes that wait to be durable.
    pub changing: Going,
    /// Requests for decisions that wait to be durable.
    pub deciding: Going,
    statuses: [AtomicU64; 6],
    decide: Durations,
    change: Durations,
    read: Durations,
    audit: Durations,
    disk: Mutex<Option<(Instant, [u64; 2])>>,
}

impl Counters {
    /// Notes an answer.
    pub fn answered(&self, method: &str, path: &str, status: u16, micros: u64) {
        let class = usize::from(status / 100).min(5);
        self.statuses[class].fetch_add(1, Ordering::Relaxed);
        if status >= 500 {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        let durations = match path.strip_prefix("/v1/") {
            None => return,
            Some(rest) if rest.starts_with("authorize") => &self.decide,
            Some(rest) if rest.starts_with("audit") => &self.audit,
            Some(_) if method == "GET" => &self.read,
            Some(_) => &self.change,
        };
        durations.note(micros);
    }
}

fn one(out: &mut String, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
}

/// The document.
pub async fn document(server: &Server) -> String {
    let (c, service, mut text) = (&server.counters, &server.service, String::new());
    let count = |value: &AtomicU64| value.load(Ordering::Relaxed);
    let out = &mut text;
    one(out, "policyd_requests_total", "counter", "requests", count(&c.requests));
    one(out, "policyd_refused_keys_total", "counter", "requests without a live key", count(&c.refused_keys));
    one(out, "policyd_errors_total", "counter", "answers of 500 and above", count(&c.errors));
    one(
        out,
        "policyd_decisions_total",
        "counter",
        "requests for decisions whose record is durable",
        count(&c.decisions),
    );
    let _ =
        writeln!(out, "# HELP policyd_answers_total answers by status\n# TYPE policyd_answers_total counter");
    for (n, value) in c.statuses.iter().enumerate().skip(2) {
        let _ = writeln!(out, "policyd_answers_total{{status=\"{n}xx\"}} {}", count(value));
    }
    let name = "policyd_limited_total";
    let _ = writeln!(out, "# HELP {name} requests refused by a limit of rate\n# TYPE {name} counter");
    for (per, value) in server.rates.refused() {
        let _ = writeln!(out, "{name}{{per=\"{per}\"}} {value}");
    }
    let name = "policyd_request_seconds";
    let _ = writeln!(out, "# HELP {name} how long answers took\n# TYPE {name} histogram");
    for (what, durations) in
        [("decide", &c.decide), ("change", &c.change), ("read", &c.read), ("audit", &c.audit)]
    {
        durations.write(out, name, &format!("what=\"{what}\""));
    }
    let name = "policyd_decision_write_seconds";
    let help = "how long it took to write a group of records of decisions and have it on the disk";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram");
    service.decisions.writes.write(out, name, "");
    one(out, "policyd_connections", "gauge", "open connections", server.open.count());
    one(
        out,
        "policyd_refused_connections_total",
        "counter",
        "connections turned away",
        server.open.refused(),
    );
    one(out, "policyd_changes_waiting", "gauge", "changes that aren't durable yet", count(&c.changing.0));
    one(
        out,
        "policyd_decisions_waiting",
        "gauge",
        "requests for decisions that aren't durable yet",
        count(&c.deciding.0),
    );
    one(
        out,
        "policyd_keys",
        "gauge",
        "key ids in memory, old ones of a rotation too",
        service.memory.key_count(),
    );
    one(out, "policyd_ready", "gauge", "1 if it may answer", u8::from(service.ready().is_ok()));
    one(
        out,
        "policyd_clocks_apart_seconds",
        "gauge",
        "wall clock ahead of the monotonic clock; 60 stops decisions",
        service.clock.apart() as f64 / 1e6,
    );
    one(out, "policyd_uptime_seconds", "gauge", "since it was started", server.began.elapsed().as_secs());
    let [database, decisions] = disk(server).await;
    one(out, "policyd_database_bytes", "gauge", "the database and its write-ahead log", database);
    one(out, "policyd_decisions_bytes", "gauge", "the logs of decisions", decisions);
    let (free, reserve) = service.space.free_and_reserve();
    one(out, "policyd_disk_free_bytes", "gauge", "free on the disk of the data folder", free);
    one(
        out,
        "policyd_disk_reserve_bytes",
        "gauge",
        "free bytes below which only what takes rights away is done",
        reserve,
    );
    text
}

/// How long the sizes on the disk are remembered.
const DISK_FOR: Duration = Duration::from_secs(15);

async fn disk(server: &Server) -> [u64; 2] {
    let held = || server.counters.disk.lock().expect("metrics: nobody panics while looking");
    if let Some((at, sizes)) = *held()
        && at.elapsed() < DISK_FOR
    {
        return sizes;
    }
    let places = server.service.places.clone();
    let look = move || {
        let wal = places.database().with_extension("db-wal");
        [size(&places.database()) + size(&wal), size(&places.decisions())]
    };
    let sizes = tokio::task::spawn_blocking(look).await.unwrap_or_default();
    *held() = Some((Instant::now(), sizes));
    sizes
}

/// Bytes of a file, or of all files in a folder; what can't be read has none.
fn size(path: &Path) -> u64 {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| size(&e.path())).sum()
        }
        Ok(found) => found.len(),
        Err(_) => 0,
    }
}
