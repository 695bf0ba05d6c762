//! Standard output and standard error: colour, closed pipes, progress.

use super::{ColorChoice, Failure};
use crate::visible;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where a command writes.
pub(super) struct Terminal {
    out: BufWriter<Stdout>,
    closed: bool,
    /// Standard output may have colour.
    pub(super) color: bool,
    /// Standard error may have colour.
    pub(super) color_err: bool,
}

impl Terminal {
    pub(super) fn new(choice: ColorChoice) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        let color = |is_terminal: bool| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && !plain,
        };
        Terminal {
            out: BufWriter::with_capacity(64 * 1024, io::stdout()),
            closed: false,
            color: color(io::stdout().is_terminal()),
            color_err: color(io::stderr().is_terminal()),
        }
    }

    /// Writes to standard output. Once the reader has gone, does nothing.
    pub(super) fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.write(text.as_bytes())
    }

    /// The same, with a line end.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.print(text)?;
        self.print("\n")
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let written = self.out.write_all(bytes);
        self.look(written)
    }

    /// Hands over what is buffered.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.look(flushed)
    }

    fn look(&mut self, result: io::Result<()>) -> Result<(), Failure> {
        match result {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(e) => {
                self.closed = true;
                Err(Failure::new(format!("standard output cannot be written: {e}")))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Whether nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Says something on standard error; nobody listening is no failure.
    pub(super) fn say(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Says why the command failed.
    pub(super) fn fail(&self, failure: &Failure) {
        let (bold, plain) = if self.color_err { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        self.say(&format!("{bold}error:{plain} {}", visible(&failure.message)));
        if let Some(help) = &failure.help {
            self.say(&format!("  help: {}", visible(help)));
        }
    }

    /// A word in a colour, on standard output.
    pub(super) fn paint(&self, style: Paint, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match style {
            Paint::Good => "1;32",
            Paint::Bad => "1;31",
            Paint::Odd => "1;33",
            Paint::Faint => "2",
            Paint::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// What a colour means.
#[derive(Clone, Copy)]
pub(super) enum Paint {
    Good,
    Bad,
    Odd,
    Faint,
    Strong,
}

/// Says on standard error that work goes on, once it has taken two seconds; ends when dropped.
pub(super) struct Progress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    pub(super) fn start(doing: &str) -> Self {
        let (stop, stopped) = channel::<()>();
        let doing = visible(doing).into_owned();
        let begun = Instant::now();
        let thread = std::thread::spawn(move || {
            let live = io::stderr().is_terminal();
            let mut wait = Duration::from_secs(2);
            let mut shown = false;
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let (lead, tail) = if live { ("\r", "") } else { ("", "\n") };
                let _ = write!(io::stderr(), "{lead}{doing} … {} s{tail}", begun.elapsed().as_secs());
                let _ = io::stderr().flush();
                wait = Duration::from_secs(if live { 1 } else { 10 });
                shown = true;
            }
            if shown && live {
                let _ = write!(io::stderr(), "\r{}\r", " ".repeat(doing.chars().count() + 20));
            }
        });
        Progress { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
