//! Opens a log of decisions: reads the leaf hashes, derives those that are missing, and tells a torn end from damage.
//!
//! In:    the folder of a log, the origin it must be of.
//! Out:   a [`DayLog`] with its tree; what was cut away.
//! Law:   changes nothing but what was never acknowledged (a torn last frame, a day that was never begun) and what can be derived
//!        (leaf hashes of records that are there). Days follow each other without a gap, and reach the last checkpoint.

use super::day::{CHECKPOINTS, Cut, DayError, DayLog, io_at};
use super::files::Files;
use super::frame::{Frames, frame};
use super::layout::{Chunk, Day, Header, read_batch, read_chunk};
use super::merkle::Tree;
use super::note::Checkpoint;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Leaf hashes that may wait in memory while they are derived.
const WAITING_MAX: usize = 65_536;

impl DayLog {
    /// Opens the log in `dir`, whose checkpoints name `origin`; begins one if there is none.
    ///
    /// - Errors: [`DayError::Damaged`] and [`DayError::Smaller`] say what is wrong; then nothing was changed. [`DayError::Io`].
    pub fn open(files: Arc<dyn Files>, dir: &Path, origin: &str) -> Result<DayLog, DayError> {
        DayLog::open_restored(files, dir, origin, &[])
    }

    /// The same for a log that had other origins before it was restored from a backup.
    pub fn open_restored(
        files: Arc<dyn Files>,
        dir: &Path,
        origin: &str,
        former: &[String],
    ) -> Result<DayLog, DayError> {
        files.create_dir(dir).map_err(|e| io_at(dir, e))?;
        let names = files.list(dir).map_err(|e| io_at(dir, e))?;
        let mut days: BTreeMap<i64, (bool, bool)> = BTreeMap::new();
        for (number, kind) in names.iter().filter_map(|name| Day::parse(name)) {
            let (records, leaves) = days.entry(number).or_default();
            *(if kind == "day" { records } else { leaves }) = true;
        }
        let mut log = DayLog {
            files,
            dir: dir.to_owned(),
            origin: origin.to_owned(),
            former: former.to_vec(),
            tree: Tree::default(),
            days: Vec::new(),
            waiting: Vec::new(),
            waiting_from: 0,
            end: 0,
            writer: None,
            checkpoint: None,
            cuts: Vec::new(),
            failed: false,
        };
        let count = days.len();
        for (at, (number, (records, leaves))) in days.into_iter().enumerate() {
            let day = Day { kept: records, ..Day::begin(number, log.size()) };
            let last = at + 1 == count;
            if last && log.never_begun(&day, leaves)? {
                break;
            }
            log.recover(day, leaves, last)?;
        }
        log.recover_checkpoint()?;
        for name in names.iter().filter(|name| name.ends_with(".erasing")) {
            let path = log.dir.join(name);
            log.files.remove(&path).map_err(|e| io_at(&path, e))?;
        }
        Ok(log)
    }

    /// Removes what is left of a day whose beginning was interrupted, before any record of it was acknowledged.
    fn never_begun(&mut self, day: &Day, leaves: bool) -> Result<bool, DayError> {
        let (records, hashes) = (day.records(&self.dir), day.leaves(&self.dir));
        if leaves {
            let mut frames = Frames::from(&*self.files, &hashes, 0)?;
            if frames.next()?.is_some() && frames.next()?.is_some() {
                return Ok(false);
            }
        }
        if day.kept {
            let mut frames = Frames::from(&*self.files, &records, 0)?;
            if frames.next()?.is_some() {
                return Ok(false);
            }
            frames.torn()?;
        }
        for (path, there) in [(records, day.kept), (hashes, leaves)] {
            if there {
                let bytes = self.files.size(&path).map_err(|e| io_at(&path, e))?.unwrap_or(0);
                self.files.remove(&path).map_err(|e| io_at(&path, e))?;
                self.cuts.push(Cut { file: path, offset: 0, bytes });
            }
        }
        self.sync_dir()?;
        Ok(true)
    }

    fn recover(&mut self, day: Day, leaves: bool, last: bool) -> Result<(), DayError> {
        let records = day.records(&self.dir);
        if !day.kept && (last || self.days.iter().any(|before| before.kept)) {
            let expected =
                "a day file; only its leaf hashes are there, and retention deletes the oldest first"
                    .to_owned();
            return Err(DayError::Damaged { file: records, offset: 0, expected });
        }
        let header = Header::of(&self.origin, day.number, day.first);
        let start = match day.kept {
            true => self.check_header(&records, &header)?,
            false => frame(&header.payload()).len() as u64,
        };
        self.end = start;
        self.waiting_from = start;
        let kept = day.kept;
        self.days.push(day);
        self.read_leaves(&header, leaves)?;
        if kept {
            self.derive_leaves(&records, last)?;
        }
        Ok(())
    }

    /// Whether a header is one of this log, under this origin or a former one.
    fn is_own(&self, found: Option<Header>, header: &Header) -> bool {
        let own = |origin: &String| *origin == self.origin || self.former.contains(origin);
        found.is_some_and(|f| (f.day, f.first) == (header.day, header.first) && own(&f.origin))
    }

    /// Where the first batch begins.
    fn check_header(&self, path: &Path, header: &Header) -> Result<u64, DayError> {
        let mut frames = Frames::from(&*self.files, path, 0)?;
        let found = frames.next()?.and_then(|payload| Header::read(&payload));
        if self.is_own(found, header) {
            return Ok(frames.offset());
        }
        let expected =
            format!("the header of a file of `{}` that begins with record {}", header.origin, header.first);
        Err(DayError::Damaged { file: path.to_owned(), offset: 0, expected })
    }

    /// Reads the leaf hashes as far as they are whole; what isn't is cut if it can be derived.
    fn read_leaves(&mut self, header: &Header, there: bool) -> Result<(), DayError> {
        let files = self.files.clone();
        let path = self.days.last().expect("open: the day was just pushed").leaves(&self.dir);
        let mut frames = Frames::from(&*files, &path, 0)?;
        let found = frames.next()?.and_then(|payload| Header::read(&payload));
        let whole = self.is_own(found, header);
        let day = self.days.last_mut().expect("open: the day was just pushed");
        if !whole {
            if !day.kept {
                return Err(frames.damage(
                    "the header of leaf hashes, which can't be derived once the day file is deleted",
                ));
            }
            return self.fresh_leaves(header, there);
        }
        let mut at = frames.offset();
        while let Some((first, end, hashes)) = frames.next()?.and_then(|payload| read_chunk(&payload)) {
            if first != self.tree.size() || end <= self.end {
                break;
            }
            day.chunks.push(Chunk::at(first, hashes.len() as u64, at, self.end, end));
            hashes.into_iter().for_each(|hash| self.tree.push(hash));
            self.end = end;
            at = frames.offset();
        }
        self.waiting_from = self.end;
        day.leaves_end = at;
        if at == frames.size() {
            return Ok(());
        }
        if !day.kept {
            return Err(frames.damage("leaf hashes, which can't be derived once the day file is deleted"));
        }
        files.truncate(&path, at).map_err(|e| io_at(&path, e))
    }

    /// Begins the leaf file of the last day anew.
    fn fresh_leaves(&mut self, header: &Header, there: bool) -> Result<(), DayError> {
        let day = self.days.last_mut().expect("open: the day was just pushed");
        let path = day.leaves(&self.dir);
        if there {
            self.files.remove(&path).map_err(|e| io_at(&path, e))?;
        }
        let bytes = frame(&header.payload());
        let mut file = self.files.open_append(&path).map_err(|e| io_at(&path, e))?;
        file.append(&bytes).and_then(|()| file.sync()).map_err(|e| io_at(&path, e))?;
        day.leaves_end = bytes.len() as u64;
        self.sync_dir()
    }

    /// Reads the records behind the last leaf hash, and cuts the torn end of the last day.
    fn derive_leaves(&mut self, path: &Path, last: bool) -> Result<(), DayError> {
        let files = self.files.clone();
        let mut frames = Frames::from(&*files, path, self.end)?;
        if frames.size() < self.end {
            let expected = format!("records up to byte {}, whose leaf hashes are there", self.end);
            return Err(DayError::Damaged { file: path.to_owned(), offset: frames.size(), expected });
        }
        loop {
            let before = frames.offset();
            let Some(payload) = frames.next()? else { break };
            let batch =
                read_batch(&payload).filter(|(first, batch)| *first == self.size() && !batch.is_empty());
            let Some((_, batch)) = batch else {
                let expected = format!("a batch that begins with record {}", self.size());
                return Err(DayError::Damaged { file: path.to_owned(), offset: before, expected });
            };
            for entry in batch {
                let leaf = entry.leaf();
                self.tree.push(leaf);
                self.waiting.push(leaf);
            }
            self.end = frames.offset();
            if self.waiting.len() >= WAITING_MAX {
                self.write_leaves(false)?;
            }
        }
        if !last {
            if frames.left()? > 0 {
                return Err(
                    frames.damage("a whole frame; a later day was begun, so nothing unfinished can be here")
                );
            }
            return if self.waiting.is_empty() { Ok(()) } else { self.write_leaves(true) };
        }
        let bytes = frames.torn()?;
        if bytes > 0 {
            files.truncate(path, self.end).map_err(|e| io_at(path, e))?;
            self.cuts.push(Cut { file: path.to_owned(), offset: self.end, bytes });
        }
        Ok(())
    }

    fn recover_checkpoint(&mut self) -> Result<(), DayError> {
        let files = self.files.clone();
        let path = self.dir.join(CHECKPOINTS);
        let mut frames = Frames::from(&*files, &path, 0)?;
        let mut last = None;
        while let Some(payload) = frames.next()? {
            last = Some(payload);
        }
        let bytes = frames.torn()?;
        if bytes > 0 {
            files.truncate(&path, frames.offset()).map_err(|e| io_at(&path, e))?;
            self.cuts.push(Cut { file: path.clone(), offset: frames.offset(), bytes });
        }
        let Some(payload) = last else { return Ok(()) };
        let note = String::from_utf8(payload).ok();
        let read = note.as_deref().and_then(|note| Checkpoint::unverified(note).ok());
        let Some(checkpoint) = read.filter(|checkpoint| checkpoint.origin == self.origin) else {
            let expected = format!("a checkpoint of `{}` at the end", self.origin);
            return Err(DayError::Damaged { file: path, offset: frames.offset(), expected });
        };
        if checkpoint.size > self.size() {
            return Err(DayError::Smaller(self.size(), checkpoint.size));
        }
        if self.tree.root_at(self, checkpoint.size).map_err(|e| io_at(&path, e))? != checkpoint.root {
            return Err(DayError::OtherRoot(checkpoint.size));
        }
        self.checkpoint = note;
        Ok(())
    }
}

/// The notes in a file of checkpoints, oldest first, as far as they are whole.
pub fn checkpoints(files: &dyn Files, path: &Path) -> Result<Vec<String>, DayError> {
    let mut frames = Frames::from(files, path, 0)?;
    let mut notes = Vec::new();
    while let Some(payload) = frames.next()? {
        notes.extend(String::from_utf8(payload).ok());
    }
    Ok(notes)
}
