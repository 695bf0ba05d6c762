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
/// Bytes that may wait: more than a machine answers in that time, as a rule.
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// The way to standard error.
#[derive(Clone, Default)]
pub struct Lines(Arc<Held>);

#[derive(Default)]
struct Held {
    /// Held by whoever writes to standard error, which may take its time; locked before `waiting`.
    writing: Mutex<Vec<u8>>,
    /// Held for as long as it takes to add a line, or to take all of them.
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
            own.flush();
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

    /// Writes what waits. Who adds a line meanwhile doesn't wait for standard error.
    pub fn flush(&self) {
        let mut writing = self.0.writing.lock().expect("lines: nobody panics while writing lines");
        std::mem::swap(&mut *writing, &mut *self.held());
        // Nothing can be done about a standard error that is gone, and nobody told.
        let _ = io::stderr().write_all(&writing);
        writing.clear();
    }
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
        let many = waiting.len() >= WAITING_BYTES_MAX;
        drop(waiting);
        if self.at_once || many {
            self.lines.flush();
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
