//! The one thread that changes things: commands in, group commits out.
//!
//! In:    jobs, each a command with whoever asks for it.
//! Out:   replies, each after its change and its record are durable and in memory.
//! Law:   a job sees what was committed before it, never half of its own batch: a second change of the directory of one
//!        organization waits for the next batch. What a job makes of an organization is made before it is committed, and
//!        the job is refused if it can't be. After a failed commit nothing is answered but 503, and the process ends.

use super::authn::{Caller, live};
use super::build::Unmade;
use super::change::{Change, Reply, RequestFacts};
use super::clock::Clock;
use super::delta::Touch;
use super::lockout::{self, Keepers};
use super::memory::{Memory, OrgState};
use super::object::{Kind, Object};
use super::problem::Problem;
use super::quotas::{self, Made};
use super::store::{Kept, Stored, Write};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What a job does.
pub type Command = Box<dyn FnOnce(&mut Change<'_>) -> Result<Reply, Problem> + Send>;

/// A repeated request's key and what the request was.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// The caller's own key for it.
    pub key: String,
    /// A hash of route and body.
    pub request: Vec<u8>,
}

/// A command, and for whom.
pub struct Job {
    /// The organization.
    pub org: String,
    /// Who asks; none for what is done with access to the host.
    pub caller: Option<Caller>,
    /// For the record.
    pub request: RequestFacts,
    /// So that a repeated request is done once.
    pub repeat: Option<Repeat>,
    /// What to do.
    pub command: Command,
}

type Answer = Result<Reply, Problem>;

/// The way to the writer.
pub struct Writer {
    jobs: Sender<(Job, oneshot::Sender<Answer>)>,
    failed: Arc<AtomicBool>,
}

/// Jobs in one batch.
const BATCH_JOBS_MAX: usize = 256;
/// How long an answer to a repeated request is kept, in microseconds.
const KEPT_MICROS: i64 = 24 * 3600 * 1_000_000;
/// How often the last uses of keys are written down.
const USES_EVERY: Duration = Duration::from_secs(10);

impl Writer {
    /// Starts the thread.
    pub fn start(tx: Box<dyn Write + Send>, memory: Arc<Memory>, clock: Arc<Clock>) -> Writer {
        let (jobs, queue) = channel();
        let failed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&failed);
        let work = Work {
            tx,
            memory,
            clock,
            failed: flag,
            waiting: VecDeque::new(),
            noted: Instant::now(),
            keepers: HashMap::new(),
        };
        std::thread::Builder::new()
            .name("policyd-writer".to_owned())
            .spawn(move || work.run(&queue))
            .expect("writer: a thread can be started");
        Writer { jobs, failed }
    }

    /// Hands a job over; its answer comes when it is durable.
    pub async fn submit(&self, job: Job) -> Answer {
        let gone =
            || Problem::unavailable("the store can't be written; nothing was changed as far as we know");
        let (reply, answer) = oneshot::channel();
        self.jobs.send((job, reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Whether a commit failed: the process has to end and read again what is there.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

struct Work {
    tx: Box<dyn Write + Send>,
    memory: Arc<Memory>,
    clock: Arc<Clock>,
    failed: Arc<AtomicBool>,
    waiting: VecDeque<(Job, oneshot::Sender<Answer>)>,
    noted: Instant,
    /// Who could undo what is changed, by organization.
    keepers: HashMap<String, Vec<String>>,
}

/// What one job of a batch came to.
struct Ended {
    answer: Answer,
    touched: Vec<Touch>,
    /// The organization with it.
    next: Option<OrgState>,
    /// The number of its last record.
    head: i64,
}

impl Work {
    fn run(mut self, queue: &Receiver<(Job, oneshot::Sender<Answer>)>) {
        loop {
            if self.waiting.is_empty() {
                match queue.recv_timeout(USES_EVERY) {
                    Ok(job) => self.waiting.push_back(job),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => {
                        self.note_uses();
                        return;
                    }
                }
            }
            self.waiting.extend(queue.try_iter().take(BATCH_JOBS_MAX));
            if self.noted.elapsed() >= USES_EVERY {
                self.note_uses();
            }
            if !self.waiting.is_empty() && self.batch().is_err() {
                self.failed.store(true, Ordering::Release);
                // Whoever waits is told by the closed channel; nothing more is accepted.
                return;
            }
        }
    }

    fn batch(&mut self) -> Stored<()> {
        self.tx.begin()?;
        let mut ended: Vec<(oneshot::Sender<Answer>, Ended)> = Vec::new();
        let mut touched: HashSet<String> = HashSet::new();
        let mut later = VecDeque::new();
        while let Some((job, reply)) = self.waiting.pop_front() {
            if touched.contains(&job.org) || ended.len() >= BATCH_JOBS_MAX {
                later.push_back((job, reply));
                continue;
            }
            self.tx.mark()?;
            let end = self.one(job);
            self.tx.settle(end.answer.is_ok())?;
            touched.extend(end.touched.iter().map(|t| t.after.org.clone()));
            ended.push((reply, end));
        }
        self.waiting = later;
        if touched.is_empty() {
            self.tx.abandon()?;
        } else if let Err(error) = self.tx.commit() {
            tracing::error!(%error, "a batch could not be committed");
            let _ = self.tx.abandon();
            return Err(error);
        }
        self.publish(&mut ended);
        for (reply, end) in ended {
            // Whoever asked may have gone; the change stays.
            let _ = reply.send(end.answer);
        }
        Ok(())
    }

    /// Brings memory to what is durable.
    fn publish(&mut self, ended: &mut [(oneshot::Sender<Answer>, Ended)]) {
        for (_, end) in ended {
            let keys = end.touched.iter().map(|t| &t.after).filter(|o| o.kind == Kind::Credential);
            keys.for_each(|key| self.memory.set_key(key));
            if let Some(next) = end.next.take() {
                self.memory.swap(next);
            }
            if let Some(first) = end.touched.first() {
                self.memory.tally.reach(&first.after.org, end.head, &end.touched);
            }
        }
    }

    fn one(&mut self, job: Job) -> Ended {
        let done = self.attempt(job).and_then(|(reply, touched, head)| {
            let next = self.next(&touched)?;
            Ok(Ended { answer: Ok(reply), touched, next, head })
        });
        done.unwrap_or_else(|problem| Ended {
            answer: Err(problem),
            touched: Vec::new(),
            next: None,
            head: 0,
        })
    }

    /// The organization as a change leaves it; refused if it can't be made, or takes the meaning from something.
    fn next(&mut self, touched: &[Touch]) -> Result<Option<OrgState>, Problem> {
        let Some(first) = touched.iter().find(|t| t.after.kind.is_directory()) else { return Ok(None) };
        let org = &first.after.org;
        let before = self.memory.org(org);
        let next = match self.memory.next(self.tx.as_mut(), org, touched, self.clock.now()) {
            Ok(next) => next,
            Err(Unmade::Unread(error)) => return Err(error.into()),
            Err(Unmade::Contradiction(why)) => return Err(Problem::unfit(why)),
        };
        let had = |uid: &str| before.iter().any(|b| b.meaningless.iter().any(|m| m.uid == uid));
        let mut all = next.iter().flat_map(|n| n.meaningless.iter());
        match all.find(|m| !had(&m.uid) || touched.iter().any(|t| t.after.uid == m.uid)) {
            Some(lost) if lost.field.is_empty() => {
                let what = format!("{} \"{}\": {}", lost.kind.wire(), lost.name, lost.why);
                Err(Problem::unfit(what))
            }
            Some(lost) => Err(Problem::field(lost.field.clone(), lost.why.clone())),
            None => {
                if let (Some(before), Some(next)) = (&before, &next) {
                    self.still_kept(before, next)?;
                    let on_place =
                        |o: &&Object| o.kind == Kind::Attachment && o.deleted.is_none() && o.scope != next.id;
                    let placed = |o: &&Object| o.reference("to").is_some_and(|(_, path)| path == o.scope);
                    for attachment in touched.iter().map(|t| &t.after).filter(on_place).filter(placed) {
                        lockout::attached(next, &attachment.scope, self.clock.now())?;
                    }
                }
                Ok(next)
            }
        }
    }

    /// Refuses what would leave nobody who could undo it.
    fn still_kept(&mut self, before: &OrgState, next: &OrgState) -> Result<(), Problem> {
        let now = self.clock.now();
        let who = self.keepers.entry(before.uid.clone()).or_default();
        Keepers::change(before, next, who, now)
    }

    fn attempt(&mut self, job: Job) -> Result<(Reply, Vec<Touch>, i64), Problem> {
        let drifted =
            || Problem::unavailable("the clock has jumped: nothing is changed until policyd is restarted");
        let at = self.clock.certain().ok_or_else(drifted)?;
        if self.memory.org(&job.org).is_some_and(|org| at >= org.until) {
            // An account has ended since: what it could do, nobody can do through it.
            self.memory.refresh(self.tx.as_mut(), &job.org, at).map_err(Problem::unavailable)?;
        }
        let caller = match &job.caller {
            None => None,
            Some(c) => {
                // It may have been revoked while the job waited.
                let key = self.memory.key(&c.key_id).ok_or_else(Problem::unauthenticated)?;
                let now = live(&self.memory, key, c.key_id.clone(), c.ip, at);
                Some(now.map_err(|_| Problem::unauthenticated())?)
            }
        };
        let who = caller.as_ref().map(|c| c.key.uid.clone()).unwrap_or_default();
        if let Some(repeat) = &job.repeat
            && let Some(kept) = self.tx.kept(&who, &repeat.key, at - KEPT_MICROS)?
        {
            return Ok((replay(&kept, repeat)?, Vec::new(), 0));
        }
        let seq = self.tx.head(&job.org)?.0 + 1;
        let state = self.memory.org(&job.org);
        let (org, request) = (job.org, job.request);
        let mut change = Change {
            tx: self.tx.as_mut(),
            org,
            state,
            caller,
            host: false,
            at,
            seq,
            after: Vec::new(),
            heard: true,
            before: HashMap::new(),
            rules: Vec::new(),
            denied: None,
        };
        let mut reply = (job.command)(&mut change)?;
        let org = change.org.clone();
        let (mut last, mut bytes) = (seq, 0);
        if !change.after.is_empty() {
            for entry in change.records(&request)? {
                bytes += quotas::bytes(&entry);
                last = change.tx.append(&org, &entry)?;
            }
            if let Some(fields) = reply.body.as_object_mut() {
                fields.entry("revision").or_insert(last.into());
            }
        }
        let (after, mut before) = (std::mem::take(&mut change.after), std::mem::take(&mut change.before));
        if !after.is_empty() {
            let made = Made { org: &org, action: &request.action, at, after: &after, bytes };
            quotas::hold(self.tx.as_mut(), &self.memory.tally, &made)?;
        }
        let touched =
            after.into_iter().map(|after| Touch { before: before.remove(&after.uid), after }).collect();
        if let Some(repeat) = job.repeat {
            let mut body = reply.body.clone();
            if let (Some((_, _)), Some(fields)) = (&reply.secret, body.as_object_mut()) {
                fields.insert("replayed".into(), "the secret was shown once, in the first answer".into());
            }
            let kept = Kept { request: repeat.request, status: reply.status, body: body.to_string() };
            self.tx.keep(&who, &repeat.key, at, at - KEPT_MICROS, &kept)?;
        }
        if let (Some((field, secret)), Some(fields)) = (&reply.secret, reply.body.as_object_mut()) {
            fields.insert((*field).to_owned(), secret.reveal().into());
        }
        Ok((reply, touched, last))
    }

    fn note_uses(&mut self) {
        self.noted = Instant::now();
        let since = self.clock.now() - 2 * i64::try_from(USES_EVERY.as_micros()).unwrap_or(0);
        let used: Vec<_> =
            self.memory.keys().into_iter().filter(|k| k.used.load(Ordering::Relaxed) >= since).collect();
        if used.is_empty() {
            return;
        }
        let noted = (|| {
            self.tx.begin()?;
            for key in used {
                // Copied out: a request that notes its key's use must not wait for the database.
                let from = *key.used_from.lock().expect("writer: nobody panics holding an address");
                let from = from.map(|ip| ip.to_string()).unwrap_or_default();
                self.tx.note_use(&key.uid, key.used.load(Ordering::Relaxed), &from)?;
            }
            self.tx.commit()
        })();
        if let Err(error) = noted {
            tracing::warn!(%error, "the last uses of keys were not written down");
            let _ = self.tx.abandon();
        }
    }
}

fn replay(kept: &Kept, repeat: &Repeat) -> Result<Reply, Problem> {
    if kept.request != repeat.request {
        return Err(Problem::conflict("this idempotency key was used for another request"));
    }
    let body = serde_json::from_str(&kept.body).unwrap_or_default();
    Ok(Reply { status: kept.status, body, secret: None })
}
