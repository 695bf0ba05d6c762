//! The thread that makes decisions durable: many requests, one write to the disk.
//!
//! In:    records of decisions, each with its organization.
//! Out:   that they are durable; snapshots of the log for whoever may read it.
//! Law:   nobody is answered before the record is on the disk. After a failed write nothing more is accepted. What was
//!        damaged while nobody looked keeps policyd from starting. Reading is done elsewhere, on a snapshot.

use super::clock::Clock;
use super::durations::Durations;
use super::retention::{self, Keep};
use super::running::{Places, day_log};
use crate::audit::note::{Checkpoint, SignerKey};
use crate::audit::record::{Entry, Log, origin};
use crate::audit::{DayError, DayLog, Packed};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Looks at the log of an organization.
type Look = Box<dyn FnOnce(&mut DayLog) + Send>;

enum Job {
    Append(String, Packed, oneshot::Sender<bool>),
    Look(String, Look),
}

/// What the thread begins with.
pub struct Begin {
    /// The name of this installation in logs.
    pub installation: String,
    /// What signs checkpoints.
    pub signer: Arc<SignerKey>,
    /// The time that counts.
    pub clock: Arc<Clock>,
    /// How long and how much is kept.
    pub keep: Keep,
    /// The uids of all organizations.
    pub orgs: Vec<String>,
    /// Where things are.
    pub places: Places,
    /// The names that the installation had before it was restored.
    pub former: Vec<String>,
}

/// The way to the thread.
pub struct Decisions {
    /// None in a benchmark that keeps nothing.
    jobs: Option<Sender<Job>>,
    failed: Arc<OnceLock<String>>,
    /// How long it took to write a group and have it on the disk.
    pub writes: Arc<Durations>,
}

/// A thread that still opens what is there.
pub struct Opening {
    decisions: Decisions,
    opened: Receiver<Result<(), String>>,
}

impl Opening {
    /// Waits until everything is open; says what is damaged.
    pub fn finish(self) -> Result<Decisions, String> {
        let gone = || Err("the logs of decisions can't be opened".to_owned());
        self.opened.recv().unwrap_or_else(|_| gone()).map(|()| self.decisions)
    }
}

/// Records in one group commit.
const BATCH_MAX: usize = 1_024;
/// Where at least so many records came at once, the next group waits for more until [`GATHER`] after the last was written: fewer
/// syncs leave more of the machine to requests. Where few come, nobody is kept waiting.
const MANY: usize = 5;
/// See [`MANY`].
const GATHER: Duration = Duration::from_millis(1);
/// How often a checkpoint is signed.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
/// How often it is looked whether something is too old or too much.
const RETENTION_EVERY: Duration = Duration::from_secs(3_600);

impl Decisions {
    /// Starts the thread.
    pub fn start(begin: Begin) -> Opening {
        let (jobs, queue) = channel();
        let (told, opened) = channel();
        let failed = Arc::new(OnceLock::new());
        let writes = Arc::<Durations>::default();
        let (signed, kept) = (Instant::now(), Instant::now());
        let runtime = Handle::try_current().ok();
        let work = Work { begin, logs: HashMap::new(), signed, kept, writes: Arc::clone(&writes), runtime };
        let flag = Arc::clone(&failed);
        std::thread::Builder::new()
            .name("policyd-decisions".to_owned())
            .spawn(move || work.run(&queue, &flag, &told))
            .expect("decisions: a thread can be started");
        Opening { decisions: Decisions { jobs: Some(jobs), failed, writes }, opened }
    }

    /// Takes every record for durable, and keeps none.
    #[cfg(feature = "bench")]
    pub fn keeping_nothing() -> Decisions {
        Decisions { jobs: None, failed: Arc::default(), writes: Arc::default() }
    }

    /// Returns once a record is durable; false if it isn't.
    pub async fn append(&self, org: &str, entry: Entry) -> bool {
        self.append_all(org, vec![entry]).await
    }

    /// The same for several records; they share a write to the disk where they can.
    pub async fn append_all(&self, org: &str, entries: Vec<Entry>) -> bool {
        let Some(jobs) = &self.jobs else { return true };
        let mut waits = Vec::with_capacity(entries.len());
        for entry in entries {
            let (done, wait) = oneshot::channel();
            if jobs.send(Job::Append(org.to_owned(), Packed::of(&entry), done)).is_err() {
                return false;
            }
            waits.push(wait);
        }
        for wait in waits {
            if !wait.await.unwrap_or(false) {
                return false;
            }
        }
        true
    }

    /// Looks at a log, between two group commits.
    pub async fn look<T: Send + 'static>(
        &self,
        org: &str,
        look: impl FnOnce(&mut DayLog) -> T + Send + 'static,
    ) -> Option<T> {
        let (done, wait) = oneshot::channel();
        let look = Box::new(move |log: &mut DayLog| {
            let _ = done.send(look(log));
        });
        self.jobs.as_ref()?.send(Job::Look(org.to_owned(), look)).ok()?;
        wait.await.ok()
    }

    /// Appends without waiting: for what nobody waits to hear.
    pub fn append_later(&self, org: &str, entry: Entry) {
        // A thread that has ended has said why.
        let job = Job::Append(org.to_owned(), Packed::of(&entry), oneshot::channel().0);
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(job));
    }

    /// A log as it is now, to read from without holding anybody up.
    pub async fn snapshot(&self, org: &str) -> Option<DayLog> {
        self.look(org, |log| log.snapshot()).await
    }

    /// Accepts nothing more: what a log has written was lost, as a sync made beside it was told. No later sync is told again.
    pub fn fail(&self, org: &str, error: &DayError) {
        fail(&self.failed, error, org);
    }

    /// Why a write failed, if one did.
    pub fn failure(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }
}

struct Work {
    begin: Begin,
    logs: HashMap<String, DayLog>,
    signed: Instant,
    kept: Instant,
    writes: Arc<Durations>,
    /// Where those who wait are answered, if there is such a place.
    runtime: Option<Handle>,
}

type Batch = (Vec<Packed>, Vec<oneshot::Sender<bool>>);

impl Work {
    fn run(mut self, queue: &Receiver<Job>, failed: &OnceLock<String>, told: &Sender<Result<(), String>>) {
        let opened = self.open_all();
        let whole = opened.is_ok();
        // Whoever started this may have given up for another reason.
        let _ = told.send(opened.map_err(|error| error.to_string()));
        if !whole {
            return;
        }
        self.retain(failed);
        let mut gather_until = Instant::now();
        while failed.get().is_none() {
            let first = match queue.recv_timeout(CHECKPOINT_EVERY) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    self.checkpoints();
                    self.close();
                    return;
                }
            };
            std::thread::sleep(gather_until.saturating_duration_since(Instant::now()));
            let mut batches: HashMap<String, Batch> = HashMap::new();
            let mut looks = Vec::new();
            for job in first.into_iter().chain(queue.try_iter()).take(BATCH_MAX) {
                match job {
                    Job::Append(org, entry, done) => {
                        let batch = batches.entry(org).or_default();
                        batch.0.push(entry);
                        batch.1.push(done);
                    }
                    Job::Look(org, look) => looks.push((org, look)),
                }
            }
            let many = batches.values().map(|batch| batch.0.len()).sum::<usize>() >= MANY;
            self.append(batches, failed);
            gather_until = Instant::now() + if many { GATHER } else { Duration::ZERO };
            if failed.get().is_some() {
                return;
            }
            for (org, look) in looks {
                match self.log(&org) {
                    Ok(log) => look(log),
                    Err(error) => tracing::error!(%error, org, "a log can't be read"),
                }
            }
            if self.signed.elapsed() >= CHECKPOINT_EVERY {
                self.checkpoints();
            }
            if self.kept.elapsed() >= RETENTION_EVERY {
                self.retain(failed);
            }
        }
    }

    fn append(&mut self, batches: HashMap<String, Batch>, failed: &OnceLock<String>) {
        for (org, (entries, done)) in batches {
            let (began, count) = (Instant::now(), done.len());
            let written = self.log(&org).and_then(|log| log.append_packed(&entries));
            self.writes.note(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
            if let Err(error) = &written {
                fail(failed, error, &org);
            }
            let written = written.is_ok();
            let tell = move || {
                for done in done {
                    let _ = done.send(written);
                }
            };
            match &self.runtime {
                // One thread of the runtime wakes all: each told from here would cost a lock.
                Some(runtime) if count >= MANY => drop(runtime.spawn(async move { tell() })),
                _ => tell(),
            }
        }
    }

    fn open_all(&mut self) -> Result<(), DayError> {
        for org in std::mem::take(&mut self.begin.orgs) {
            let last = self.log(&org)?.last_time()?;
            self.begin.clock.not_before(last.map_or(0, |time| time.0));
        }
        Ok(())
    }

    fn log(&mut self, org: &str) -> Result<&mut DayLog, DayError> {
        if !self.logs.contains_key(org) {
            let begin = &self.begin;
            let log = day_log(&begin.places, &begin.installation, &begin.former, org)?;
            for cut in log.cuts() {
                tracing::warn!(file = %cut.file.display(), bytes = cut.bytes, "a torn end was cut off; it was never acknowledged");
            }
            self.logs.insert(org.to_owned(), log);
        }
        Ok(self.logs.get_mut(org).expect("decisions: it was just opened"))
    }

    fn close(&mut self) {
        for (org, log) in std::mem::take(&mut self.logs) {
            if let Err(error) = log.close() {
                tracing::error!(%error, org, "a log could not be closed: what was acknowledged is there, the next start takes longer");
            }
        }
    }

    fn checkpoints(&mut self) {
        self.signed = Instant::now();
        for (org, log) in &mut self.logs {
            let signed = sign(log, &self.begin.installation, org, &self.begin.signer);
            if let Err(error) = signed {
                tracing::error!(%error, org, "a checkpoint could not be stored");
            }
        }
    }

    /// Deletes what is too old or too much; nothing while it isn't certain what time it is.
    fn retain(&mut self, failed: &OnceLock<String>) {
        self.kept = Instant::now();
        let Some(now) = self.begin.clock.certain() else { return };
        for (org, log) in &mut self.logs {
            match retention::run(log, org, now, self.begin.keep) {
                Ok(0) => {}
                Ok(files) => tracing::info!(org, files, "day files of decisions were deleted, as set"),
                Err(error) => fail(failed, &error, org),
            }
        }
    }
}

/// Nothing more is accepted. The files are named in the log, not to callers.
fn fail(failed: &OnceLock<String>, error: &DayError, org: &str) {
    tracing::error!(%error, org, "decisions could not be written");
    let why = match error {
        DayError::Io(_, error) => error.to_string(),
        DayError::Damaged { .. } => "a day file is damaged".to_owned(),
        other => other.to_string(),
    };
    // The first reason is the one that counts.
    let _ = failed.set(why);
}

/// Signs and stores a checkpoint over a log as it is; the last one if nothing was added.
pub fn sign(log: &mut DayLog, installation: &str, org: &str, signer: &SignerKey) -> Result<String, DayError> {
    let checkpoint = Checkpoint {
        origin: origin(installation, org, Log::Decisions),
        size: log.size(),
        root: log.tree().root(),
    };
    let last = log.last_checkpoint().map(str::to_owned);
    let same = last.as_deref().and_then(|n| Checkpoint::unverified(n).ok()).is_some_and(|c| c == checkpoint);
    match last {
        Some(note) if same => Ok(note),
        _ => {
            let note = checkpoint.sign(signer);
            log.store_checkpoint(&note)?;
            Ok(note)
        }
    }
}
