//! The thread that makes decisions durable: many requests, one write to the disk.
//!
//! In:    records of decisions, each with its organization.
//! Out:   that they are durable; what the log holds, to whoever may read it.
//! Law:   nobody is answered before the record is on the disk. After a failed write nothing more is accepted.

use crate::audit::files::Disk;
use crate::audit::note::{Checkpoint, SignerKey};
use crate::audit::record::{Entry, Log, origin};
use crate::audit::{DayError, DayLog};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Looks at the log of an organization.
type Look = Box<dyn FnOnce(&mut DayLog) + Send>;

enum Job {
    Append(String, Entry, oneshot::Sender<bool>),
    Look(String, Look),
}

/// The way to the thread.
pub struct Decisions {
    jobs: Sender<Job>,
    failed: Arc<AtomicBool>,
}

/// Records in one group commit.
const BATCH_MAX: usize = 1_024;
/// How often a checkpoint is signed.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

impl Decisions {
    /// Starts the thread on the logs below `dir`.
    pub fn start(dir: PathBuf, installation: String, signer: Arc<SignerKey>) -> Decisions {
        let (jobs, queue) = channel();
        let failed = Arc::new(AtomicBool::new(false));
        let work = Work { dir, installation, signer, logs: HashMap::new(), signed: Instant::now() };
        let flag = Arc::clone(&failed);
        std::thread::Builder::new()
            .name("policyd-decisions".to_owned())
            .spawn(move || work.run(&queue, &flag))
            .expect("decisions: a thread can be started");
        Decisions { jobs, failed }
    }

    /// Returns once a record is durable; false if it isn't.
    pub async fn append(&self, org: &str, entry: Entry) -> bool {
        let (done, wait) = oneshot::channel();
        let sent = self.jobs.send(Job::Append(org.to_owned(), entry, done));
        sent.is_ok() && wait.await.unwrap_or(false)
    }

    /// The same for several records; they share a write to the disk where they can.
    pub async fn append_all(&self, org: &str, entries: Vec<Entry>) -> bool {
        let mut waits = Vec::new();
        for entry in entries {
            let (done, wait) = oneshot::channel();
            if self.jobs.send(Job::Append(org.to_owned(), entry, done)).is_err() {
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
        self.jobs.send(Job::Look(org.to_owned(), look)).ok()?;
        wait.await.ok()
    }

    /// Whether a write failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

struct Work {
    dir: PathBuf,
    installation: String,
    signer: Arc<SignerKey>,
    logs: HashMap<String, DayLog>,
    signed: Instant,
}

impl Work {
    fn run(mut self, queue: &Receiver<Job>, failed: &AtomicBool) {
        loop {
            let first = match queue.recv_timeout(CHECKPOINT_EVERY) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    self.checkpoints();
                    return;
                }
            };
            let mut batches: HashMap<String, (Vec<Entry>, Vec<oneshot::Sender<bool>>)> = HashMap::new();
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
            for (org, (entries, done)) in batches {
                let written = self.log(&org).and_then(|log| log.append_batch(&entries));
                if let Err(error) = &written {
                    tracing::error!(%error, org, "decisions could not be written");
                    failed.store(true, Ordering::Release);
                }
                for done in done {
                    let _ = done.send(written.is_ok());
                }
            }
            if failed.load(Ordering::Acquire) {
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
        }
    }

    fn log(&mut self, org: &str) -> Result<&mut DayLog, DayError> {
        if !self.logs.contains_key(org) {
            let origin = origin(&self.installation, org, Log::Decisions);
            let log = DayLog::open(Arc::new(Disk), &self.dir.join(org), &origin)?;
            for cut in log.cuts() {
                tracing::warn!(file = %cut.file.display(), bytes = cut.bytes, "a torn end was cut off; it was never acknowledged");
            }
            self.logs.insert(org.to_owned(), log);
        }
        Ok(self.logs.get_mut(org).expect("decisions: it was just opened"))
    }

    fn checkpoints(&mut self) {
        self.signed = Instant::now();
        for (org, log) in &mut self.logs {
            let signed = sign(log, &self.installation, org, &self.signer);
            if let Err(error) = signed {
                tracing::error!(%error, org, "a checkpoint could not be stored");
            }
        }
    }
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
