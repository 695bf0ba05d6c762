//! A running policyd: store, memory, keys, clock and logs together.
//!
//! In:    a folder that `policyd init` filled.
//! Out:   [`Service`], which handlers ask.
//! Law:   it starts only if everything it needs is there and whole; what it can't read it says, and doesn't guess.

use super::clock::{Clock, wall};
use super::decisions::{Begin, Decisions};
use super::finder::Finder;
use super::log_key;
use super::log_reading::Sessions;
use super::memory::{Memory, OrgState};
use super::pepper::{Peppers, write_private};
use super::problem::Problem;
use super::refusals::Refusals;
use super::retention::Keep;
use super::secret::random;
use super::space::Space;
use super::store::{Read, Sqlite, Store};
use super::writer::Writer;
use crate::audit::files::Disk;
use crate::audit::note::{Checkpoint, SignerKey};
use crate::audit::record::{Log, origin};
use crate::audit::{DayError, DayLog};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

/// Where things are below the data folder.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder.
    pub data: PathBuf,
    /// The pepper file; may be elsewhere.
    pub pepper: PathBuf,
}

impl Places {
    /// The usual ones below a folder.
    pub fn below(data: &Path, pepper: Option<&Path>) -> Places {
        Places { data: data.to_owned(), pepper: pepper.map_or_else(|| data.join("pepper"), Path::to_owned) }
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.data.join("policyd.db")
    }

    /// The key that signs checkpoints.
    pub fn log_key(&self) -> PathBuf {
        self.data.join("log-key")
    }

    /// The day files of decisions.
    pub fn decisions(&self) -> PathBuf {
        self.data.join("decisions")
    }

    /// The index of what the logs say; it can be deleted.
    pub fn index(&self) -> PathBuf {
        self.data.join("index")
    }

    /// The last checkpoints of the logs of changes, outside the database.
    pub fn checkpoints(&self) -> PathBuf {
        self.data.join("checkpoints")
    }
}

/// What can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Proxies whose `X-Forwarded-For` counts.
    pub proxies: Vec<crate::Cidr>,
    /// How long and how much of decisions is kept.
    pub keep: Keep,
    /// Bytes of the disk that ordinary work leaves free.
    pub reserve: u64,
    /// Days after which an account is disabled whose owner is gone.
    pub owner_gone_days: i64,
}

/// Everything a handler needs.
pub struct Service {
    /// What decisions read.
    pub memory: Arc<Memory>,
    /// What keys are checked with.
    pub peppers: Arc<Peppers>,
    /// The time that counts.
    pub clock: Arc<Clock>,
    /// The way to change something.
    pub writer: Writer,
    /// The way to record a decision.
    pub decisions: Decisions,
    /// What signs checkpoints.
    pub signer: Arc<SignerKey>,
    /// The name of this installation in logs.
    pub installation: String,
    /// What was set.
    pub settings: Settings,
    /// Room on the disk.
    pub space: Arc<Space>,
    /// Calls that were refused, as far as they are only counted.
    pub refusals: Refusals,
    /// Who reads the log, so that a session is recorded once.
    pub sessions: Sessions,
    /// The index of what the logs say.
    pub finder: Finder,
    /// Held while a checkpoint of changes is written.
    pub signing: Mutex<()>,
    /// Where things are.
    pub places: Places,
    store: Arc<dyn Store>,
    readers: Mutex<Vec<Box<dyn Read + Send>>>,
    /// Held as long as this process runs.
    lock: Option<std::fs::File>,
}

impl Service {
    /// Opens everything; `seen` counts the objects that are read.
    pub fn open(places: &Places, settings: Settings, seen: &AtomicU64) -> Result<Service, String> {
        if !places.database().exists() {
            return Err(format!(
                "{} is not initialised: run `policyd init --data {}`",
                places.data.display(),
                places.data.display()
            ));
        }
        let lock = lock(places)?;
        // Before anything is written: where the disk is full, this makes room.
        let space = Space::watch(&places.data, settings.reserve);
        let store = Sqlite::at(&places.database());
        // Tests show with this that cutting the power really loses what isn't synced; a release doesn't know it.
        let careless = cfg!(debug_assertions) && std::env::var_os("POLICYD_TEST_CARELESS").is_some();
        let store = if careless { store.careless() } else { store };
        let mut service = Service::on(Arc::new(store), places, settings, space, seen)?;
        service.lock = Some(lock);
        Ok(service)
    }

    /// Opens everything on a store.
    fn on(
        store: Arc<dyn Store>,
        places: &Places,
        settings: Settings,
        space: Arc<Space>,
        seen: &AtomicU64,
    ) -> Result<Service, String> {
        let peppers = Arc::new(Peppers::read(&places.pepper)?);
        let failed = |e: super::store::StoreError| e.to_string();
        let tx = store.writer().map_err(failed)?;
        let mut read = store.reader().map_err(failed)?;
        let installation = read.fact("installation").map_err(failed)?;
        let installation = installation.ok_or_else(|| {
            format!("the store is empty: run `policyd init --data {}`", places.data.display())
        })?;
        log_key::finish(places, read.as_mut(), &installation, wall())?;
        let signer = Arc::new(read_signer(&places.log_key(), &installation)?);
        let last = last_record(read.as_mut())?;
        whole(read.as_mut(), places, &installation)?;
        let clock = Arc::new(Clock::new(last));
        let opening = Decisions::start(Begin {
            places: places.clone(),
            former: former(read.as_mut())?,
            installation: installation.clone(),
            signer: Arc::clone(&signer),
            clock: Arc::clone(&clock),
            keep: settings.keep,
            orgs: read.organizations().map_err(failed)?,
        });
        let memory = Arc::new(Memory::load(read.as_mut(), clock.now(), seen)?);
        let writer = Writer::start(tx, Arc::clone(&memory), Arc::clone(&clock));
        let decisions = opening.finish()?;
        Ok(Service {
            memory,
            peppers,
            clock,
            writer,
            decisions,
            signer,
            installation,
            settings,
            space,
            refusals: Refusals::default(),
            sessions: Sessions::default(),
            finder: Finder::in_folder(places.index()),
            signing: Mutex::new(()),
            places: places.clone(),
            store,
            readers: Mutex::new(vec![read]),
            lock: None,
        })
    }

    /// Reads what is committed.
    pub fn read<T>(&self, look: impl FnOnce(&mut dyn Read) -> Result<T, Problem>) -> Result<T, Problem> {
        let free = self.readers.lock().expect("running: nobody panics while holding readers").pop();
        let mut reader = match free {
            Some(reader) => reader,
            None => self.store.reader()?,
        };
        let found = look(reader.as_mut());
        self.readers.lock().expect("running: nobody panics while holding readers").push(reader);
        found
    }

    /// Whether it may answer: clocks agree, nothing failed.
    pub fn ready(&self) -> Result<(), Problem> {
        if self.clock.has_drifted() {
            return Err(Problem::unavailable(
                "the clock has jumped by more than a minute: nothing is decided until policyd is restarted",
            ));
        }
        if let Some(why) = self.decisions.failure() {
            return Err(Problem::unavailable(format!(
                "decisions can't be recorded ({why}): nothing is allowed"
            )));
        }
        if self.writer.has_failed() {
            return Err(Problem::unavailable("the store can't be written: nothing is allowed"));
        }
        Ok(())
    }

    /// Whether a write failed: the process ends then, and whoever starts it again reads what is there.
    pub fn has_failed(&self) -> bool {
        self.writer.has_failed() || self.decisions.failure().is_some()
    }

    /// The time at which a request is answered, if it may be. The clock is asked first: a jump is seen by whoever would be
    /// the first to use it.
    pub fn now(&self) -> Result<i64, Problem> {
        let now = self.clock.now();
        self.ready().map(|()| now)
    }

    /// An organization as it is at `now`: made again if one of its accounts has expired since.
    pub fn current(&self, org: Arc<OrgState>, now: i64) -> Result<Arc<OrgState>, Problem> {
        if now < org.until {
            return Ok(org);
        }
        self.read(|read| self.memory.refresh(read, &org.uid, now).map_err(Problem::unavailable))?;
        self.memory.org(&org.uid).ok_or_else(Problem::unauthenticated)
    }

    /// The address that counts: the peer's, or what trusted proxies say, from right to left. `None` if what a trusted proxy
    /// says can't be read: then it is not known who asks, and nobody is taken for the proxy.
    pub fn address(&self, peer: IpAddr, forwarded: &[&str]) -> Option<IpAddr> {
        let trusted = |ip: IpAddr| self.settings.proxies.iter().any(|net| net.contains(ip));
        let mut at = peer;
        let hops: Vec<&str> = forwarded.iter().flat_map(|line| line.split(',')).collect();
        for hop in hops.iter().rev() {
            if !trusted(at) {
                break;
            }
            at = hop_address(hop.trim())?.to_canonical();
        }
        Some(at)
    }
}

/// An address as proxies write it: by itself, in brackets, or with a port.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    bare.parse().ok().or_else(|| hop.parse().ok().map(|with_port: SocketAddr| with_port.ip()))
}

/// Takes the data folder for this process alone: memory would not know what another writes.
pub fn lock(places: &Places) -> Result<std::fs::File, String> {
    let path = places.data.join("lock");
    let failed = |e: std::io::Error| format!("can't lock {}: {e}", path.display());
    let file = std::fs::File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(format!("another policyd runs on {}: stop it first", places.data.display()))
        }
        Err(std::fs::TryLockError::Error(e)) => Err(failed(e)),
    }
}

/// The time of the last record of all logs of changes.
pub fn last_record(read: &mut dyn Read) -> Result<i64, String> {
    let mut last = 0;
    let orgs = read.organizations().map_err(|e| e.to_string())?;
    for org in orgs.iter().map(String::as_str).chain([""]) {
        last = last.max(read.head(org).map_err(|e| e.to_string())?.1);
    }
    Ok(last)
}

/// Makes the key that signs checkpoints.
pub fn create_signer(path: &Path) -> std::io::Result<()> {
    let digits: String = random::<32>().iter().map(|b| format!("{b:02x}")).collect();
    write_private(path, &format!("{digits}\n"))
}

/// Reads the key that signs checkpoints.
pub fn read_signer(path: &Path, installation: &str) -> Result<SignerKey, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("can't read {}: {e}", path.display()))?;
    let digits = text.trim();
    let mut seed = [0; 32];
    let fits = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    for (n, byte) in seed.iter_mut().enumerate().filter(|_| fits) {
        *byte = u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).unwrap_or_default();
    }
    let key = SignerKey::from_seed(installation, &seed).filter(|_| fits);
    key.ok_or_else(|| format!("{} is not a log key: 64 hexadecimal digits", path.display()))
}

/// The names that the installation had before it was restored from a backup, oldest first.
pub fn former(read: &mut (impl Read + ?Sized)) -> Result<Vec<String>, String> {
    let known = read.fact("former installations").map_err(|e| e.to_string())?;
    known.map_or(Ok(Vec::new()), |text| {
        serde_json::from_str(&text).map_err(|e| format!("former installations: {e}"))
    })
}

/// Opens the decisions of an organization.
pub fn day_log(
    places: &Places,
    installation: &str,
    former: &[String],
    org: &str,
) -> Result<DayLog, DayError> {
    let origin = |name: &String| origin_of(name, org, Log::Decisions);
    let before: Vec<String> = former.iter().map(origin).collect();
    let dir = places.decisions().join(org);
    DayLog::open_restored(Arc::new(Disk), &dir, &origin_of(installation, org, Log::Decisions), &before)
}

/// The file with the last checkpoint of the changes of an organization.
pub fn checkpoint_file(places: &Places, org: &str) -> PathBuf {
    places.checkpoints().join(if org.is_empty() { "installation" } else { org })
}

/// The name of an organization in origins.
pub fn origin_of(installation: &str, org: &str, log: Log) -> String {
    origin(installation, if org.is_empty() { "installation" } else { org }, log)
}

/// The logs of changes hold at least what their last checkpoints say, and hold it unchanged.
pub fn whole(read: &mut dyn Read, places: &Places, installation: &str) -> Result<(), String> {
    let orgs = read.organizations().map_err(|e| e.to_string())?;
    for org in orgs.iter().map(String::as_str).chain([""]) {
        let file = checkpoint_file(places, org);
        let Ok(note) = std::fs::read_to_string(&file) else { continue };
        let wrong = |why: &str| {
            format!(
                "{}: {why}; restore the database that belongs to it, or, where that is lost, go on with `policyd restore`",
                file.display()
            )
        };
        let last = Checkpoint::unverified(&note).map_err(|e| wrong(&e.to_string()))?;
        if last.origin != origin_of(installation, org, Log::Changes) {
            return Err(wrong("it is the checkpoint of another log"));
        }
        let mut leaves = read.leaves(org).map_err(|e| e.to_string())?;
        let size = usize::try_from(last.size).unwrap_or(usize::MAX);
        if leaves.len() < size {
            return Err(wrong(&format!(
                "the database holds {} changes, but a checkpoint over {size} was signed: changes are missing",
                leaves.len()
            )));
        }
        leaves.truncate(size);
        if crate::audit::merkle::Tree::over(&leaves).root() != last.root {
            return Err(wrong("the changes in the database are not those that were signed"));
        }
    }
    Ok(())
}
