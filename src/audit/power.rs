//! A file system in memory that can lose power, run full or turn read-only at any operation: for tests of what is durable.
//!
//! In:  a seed, and at which operation what goes wrong.
//! Out: [`Files`], and after a power cut what a disk would hold then.
//! Law: what was synced is kept. Of what wasn't, any beginning may be kept, or any pieces; of names that weren't synced, any
//!      beginning of their changes.

use super::files::{Appender, Files};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What a disk writes whole or not at all; that of real ones is larger.
const PIECE: usize = 16;
/// Room behind the content of a file that has some.
const ROOM: usize = 100;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The power is cut in the middle of the operation; no later one succeeds.
    PowerCut,
    /// The disk is full: a part is written; so it stays until the trouble is lifted.
    Full,
    /// The file system is read-only; so it stays until the trouble is lifted.
    ReadOnly,
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// What a power cut leaves at least.
    durable: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    /// Files by number; a name that is gone leaves its file to whoever still has it open.
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    /// The names after each change that wasn't synced, the durable ones first.
    history: Vec<BTreeMap<PathBuf, usize>>,
    operations: u64,
    trouble: Option<(u64, Trouble)>,
    cut: bool,
    syncs_lie: bool,
    seed: u64,
}

/// The file system; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct PowerCutFiles {
    state: Arc<Mutex<State>>,
}

impl PowerCutFiles {
    /// An empty file system; `seed` chooses what a power cut leaves.
    pub fn new(seed: u64) -> PowerCutFiles {
        let files = PowerCutFiles::default();
        let mut state = files.lock();
        state.seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        state.history.push(BTreeMap::new());
        drop(state);
        files
    }

    /// Lets operation number `at` from now on (0 is the next one that writes) go wrong.
    pub fn trouble_at(&self, at: u64, trouble: Trouble) {
        let mut state = self.lock();
        state.trouble = Some((state.operations + at, trouble));
    }

    /// Lifts a trouble that isn't a power cut.
    pub fn lift_trouble(&self) {
        self.lock().trouble = None;
    }

    /// Makes every sync answer without doing anything, as a build with syncing turned off would.
    pub fn let_syncs_lie(&self) {
        self.lock().syncs_lie = true;
    }

    /// How many operations that write there were.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// The power is cut (if it wasn't) and comes back: the file system now holds what a disk would.
    pub fn restart(&self) {
        let mut state = self.lock();
        let changes = state.history.len();
        let kept = state.dice(changes);
        state.names = state.history[kept].clone();
        state.history = vec![state.names.clone()];
        for number in 0..state.files.len() {
            let Content { bytes, durable } = state.files[number].clone();
            let mut left = durable;
            // The file may have grown further than its content was written.
            let grown = bytes.len().saturating_sub(left.len());
            left.resize(left.len() + state.dice(grown + 1), 0);
            let differs = |left: &[u8], at: usize| left[at] != bytes[at];
            let first = (0..left.len()).find(|at| differs(&left, *at)).unwrap_or(left.len());
            let beginning = first + state.dice(left.len() - first + 1);
            let pieces = state.dice(3) == 0;
            for from in (0..left.len()).step_by(PIECE) {
                let to = left.len().min(from + PIECE);
                let to = match pieces {
                    true if state.dice(2) == 0 => continue,
                    true => to,
                    false => to.min(beginning).max(from),
                };
                left[from..to].copy_from_slice(&bytes[from..to]);
            }
            state.files[number] = Content { bytes: left.clone(), durable: left };
        }
        state.cut = false;
        state.trouble = None;
    }

    /// Flips bits of a byte of a file, as a disk that fails or a hand would.
    pub fn flip(&self, path: &Path, offset: usize, bits: u8) {
        let mut state = self.lock();
        if let Some(number) = state.names.get(path).copied() {
            for bytes in [0, 1] {
                let content = &mut state.files[number];
                let bytes = if bytes == 0 { &mut content.bytes } else { &mut content.durable };
                if let Some(byte) = bytes.get_mut(offset) {
                    *byte ^= bits;
                }
            }
        }
    }

    /// Opens a file, with room behind `end` where one is given.
    fn open(&self, path: &Path, end: Option<usize>) -> io::Result<Box<dyn Appender>> {
        let mut state = self.lock();
        state.alive()?;
        let number = match state.names.get(path).copied() {
            Some(number) => number,
            None => {
                state.operation().map_err(said)?;
                state.files.push(Content::default());
                let number = state.files.len() - 1;
                state.names.insert(path.to_owned(), number);
                state.renamed();
                number
            }
        };
        Ok(Box::new(Open { files: self.clone(), number, end }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the file system")
    }
}

impl State {
    /// A number below `below`, which is at least 1.
    fn dice(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as usize % below
    }

    /// Counts an operation that writes; `Err` with the trouble it is in.
    fn operation(&mut self) -> Result<(), Trouble> {
        let number = self.operations;
        self.operations += 1;
        if self.cut {
            return Err(Trouble::PowerCut);
        }
        match self.trouble {
            Some((at, trouble)) if number >= at => {
                self.cut = trouble == Trouble::PowerCut;
                Err(trouble)
            }
            _ => Ok(()),
        }
    }

    fn renamed(&mut self) {
        self.history.push(self.names.clone());
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.alive()?;
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn alive(&self) -> io::Result<()> {
        if self.cut { Err(said(Trouble::PowerCut)) } else { Ok(()) }
    }
}

fn said(trouble: Trouble) -> io::Error {
    match trouble {
        Trouble::PowerCut => io::Error::other("the power is cut"),
        Trouble::Full => io::ErrorKind::StorageFull.into(),
        Trouble::ReadOnly => io::ErrorKind::ReadOnlyFilesystem.into(),
    }
}

struct Open {
    files: PowerCutFiles,
    number: usize,
    /// Where the content ends in a file with room.
    end: Option<usize>,
}

impl Appender for Open {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.files.lock();
        let dead = state.cut;
        let outcome = state.operation();
        let written = match outcome {
            Ok(()) => bytes.len(),
            Err(Trouble::ReadOnly) => 0,
            Err(_) if dead => 0,
            Err(_) => state.dice(bytes.len() + 1),
        };
        let content = &mut state.files[self.number].bytes;
        let at = self.end.unwrap_or(content.len());
        let behind = at + written;
        if content.len() < behind {
            content.resize(behind + self.end.map_or(0, |_| ROOM), 0);
        }
        content[at..behind].copy_from_slice(&bytes[..written]);
        self.end = self.end.map(|_| behind);
        outcome.map_err(said)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.files.lock();
        state.operation().map_err(said)?;
        if !state.syncs_lie {
            let content = &mut state.files[self.number];
            content.durable = content.bytes.clone();
        }
        Ok(())
    }
}

impl Files for PowerCutFiles {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.lock().alive()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        state.alive()?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn size(&self, path: &Path) -> io::Result<Option<u64>> {
        let state = self.lock();
        state.alive()?;
        Ok(state.names.get(path).map(|number| state.files[*number].bytes.len() as u64))
    }

    fn read_at(&self, path: &Path, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.lock();
        let bytes = &state.files[state.find(path)?].bytes;
        let from = bytes.get(offset as usize..).unwrap_or_default();
        let read = from.len().min(into.len());
        into[..read].copy_from_slice(&from[..read]);
        Ok(read)
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn Appender>> {
        self.open(path, None)
    }

    fn open_roomy(&self, path: &Path, end: u64) -> io::Result<Box<dyn Appender>> {
        self.open(path, Some(end as usize))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let number = self.lock().find(path)?;
        Open { files: self.clone(), number, end: None }.sync()
    }

    fn truncate(&self, path: &Path, size: u64) -> io::Result<()> {
        let mut state = self.lock();
        let number = state.find(path)?;
        state.operation().map_err(said)?;
        let content = &mut state.files[number];
        content.bytes.truncate(size as usize);
        content.durable = content.bytes.clone();
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let number = state.find(from)?;
        state.operation().map_err(said)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), number);
        state.renamed();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.find(path)?;
        state.operation().map_err(said)?;
        state.names.remove(path);
        state.renamed();
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.operation().map_err(said)?;
        if !state.syncs_lie {
            state.history = vec![state.names.clone()];
        }
        Ok(())
    }
}
