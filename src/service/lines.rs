//! The service's own log: JSON lines on standard error, many of them written at once.
//!
//! In:    events of `tracing`.
//! Out:   lines, in their order, at once; those about answered requests at most [`LATE`] after the event.
//! Law:   no line is dropped while the process lives: when many wait, whoever logs writes them. It is not the audit log.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Whose lines may wait: there is one for each request.
const REQUESTS: &str = "policyc::service::http";
/// How long they may wait.
const LATE: Duration = Duration::from_millis(20);
/// Bytes that may wait.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// The way to standard error.
#[derive(Clone, Default)]
pub struct Lines(Arc<Held>);

#[derive(Default)]
struct Held {
    waiting: Mutex<Vec<u8>>,
    some: Condvar,
}

/// Sends events of this level and graver to standard error.
/// Who ends the process asks what is returned to write what waits.
pub fn start(level: Level) -> Lines {
    let lines = Lines::default();
    tracing_subscriber::fmt().json().with_max_level(level).with_writer(lines.clone()).init();
    let own = lines.clone();
    let run = move || {
        loop {
            let held = own.held();
            drop(own.0.some.wait_while(held, |waiting| waiting.is_empty()));
            std::thread::sleep(LATE);
            write(&mut own.held());
        }
    };
    let thread = std::thread::Builder::new().name("policyd-log".to_owned()).spawn(run);
    thread.expect("lines: a thread can be started");
    lines
}

impl Lines {
    fn held(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.waiting.lock().expect("lines: nobody panics while holding lines")
    }

    /// Writes what waits.
    pub fn flush(&self) {
        write(&mut self.held());
    }
}

/// Nothing can be done about a standard error that is gone, and nobody told.
fn write(waiting: &mut Vec<u8>) {
    let _ = io::stderr().write_all(waiting);
    waiting.clear();
}

/// One event.
pub struct Line<'a> {
    lines: &'a Lines,
    at_once: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut waiting = self.lines.held();
        if waiting.is_empty() {
            self.lines.0.some.notify_one();
        }
        waiting.extend_from_slice(text);
        if self.at_once || waiting.len() >= WAITING_BYTES_MAX {
            write(&mut waiting);
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, at_once: true }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Line<'a> {
        Line { lines: self, at_once: *of.level() <= Level::WARN || of.target() != REQUESTS }
    }
}
