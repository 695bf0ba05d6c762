//! The three servers, each a process of its own, one at a time.
//!
//! In:    which of them.
//! Out:   its address, once it answers.
//! Law:   it ends with this value, by SIGKILL: what was answered must be in the log whatever happens next.

use std::collections::VecDeque;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a server may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// What one client may ask is bounded; here one client is all there is.
const UNLIMITED: [&str; 7] =
    ["serve", "--rate-per-address", "0", "--rate-per-key", "0", "--rate-per-organization", "0"];

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// policyd as it is shipped.
    Policyd,
    /// The same over a log that keeps nothing.
    Nothing,
    /// An axum handler that does nothing.
    Empty,
}

/// A server that runs.
pub struct Server {
    pub address: String,
    child: Child,
    log: Log,
}

/// The end of what a server logged.
type Log = Arc<Mutex<VecDeque<u8>>>;
/// How much of it is kept.
const LOG_BYTES: usize = 4_096;

impl Server {
    /// Starts one and waits until it is ready.
    pub fn start(which: Which, policyd: &Path, data: &Path) -> Result<Server, String> {
        let failed = |e: std::io::Error| format!("a server can't be started: {e}");
        let free = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let address = free.local_addr().map_err(failed)?.to_string();
        drop(free);
        let own = std::env::current_exe().map_err(failed)?;
        let mut command = match which {
            Which::Policyd => Command::new(policyd),
            _ => Command::new(own),
        };
        match which {
            Which::Policyd => command.args(UNLIMITED).args(["--data"]).arg(data),
            Which::Nothing => command.args(["nothing", "--data"]).arg(data),
            Which::Empty => command.arg("empty"),
        };
        for name in ["POLICYD_ADDRESS", "POLICYD_KEY", "POLICYD_KEY_FILE", "POLICYD_LISTEN", "POLICYD_DATA"] {
            command.env_remove(name);
        }
        let child = command.args(["--listen", &address]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = child.map_err(|e| format!("{program} can't be started: {e}"))?;
        let log = Log::default();
        if let Some(from) = child.stderr.take() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || read_log(from, &log));
        }
        let mut server = Server { address, child, log };
        server.wait()?;
        Ok(server)
    }

    fn wait(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < READY_WITHIN {
            let ended = self.child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() {
                return Err(format!("a server ended at once; it said:\n{}", self.said()));
            }
            let listens = TcpStream::connect(&self.address).is_ok();
            if listens
                && crate::http::ask(&self.address, "GET", "/readyz", "", &serde_json::Value::Null).is_ok()
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("a server isn't ready after {} s; it said:\n{}", READY_WITHIN.as_secs(), self.said()))
    }

    /// The last of what it logged.
    pub fn said(&self) -> String {
        let end: Vec<u8> = self.log.lock().map(|log| log.iter().copied().collect()).unwrap_or_default();
        let end = String::from_utf8_lossy(&end);
        let lines: Vec<&str> = end.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// The most memory it has taken so far, in MiB; none where the system doesn't say.
    pub fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
        Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? / 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes what a server logs, as whoever collects logs does: its end is kept.
fn read_log(mut from: ChildStderr, log: &Log) {
    let mut block = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut block) {
        let Ok(mut log) = log.lock() else { return };
        log.extend(&block[read.saturating_sub(LOG_BYTES)..read]);
        let excess = log.len().saturating_sub(LOG_BYTES);
        log.drain(..excess);
    }
}

/// Serves the empty handler.
pub fn empty(listen: SocketAddr) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|e| e.to_string())?.block_on(async {
        let listener = tokio::net::TcpListener::bind(listen).await.map_err(|e| e.to_string())?;
        let router = axum::Router::new().fallback(|| async { "ok" });
        axum::serve(listener, router).await.map_err(|e| e.to_string())
    })
}
