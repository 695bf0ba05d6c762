//! The log of decisions on disk: append-only day files, and beside them the leaf hashes that outlive them.
//!
//! In:    batches of entries, each of them one group commit; checkpoints.
//! Out:   their positions, once they are durable; the entries again, by position and by time; the tree over all of them.
//! Law:   an acknowledged record is there after any power cut, and none is half there: a batch is one frame with a checksum. Only
//!        a torn last frame is cut, and said; anything else that doesn't fit is damage, with file and offset. After a failed
//!        write nothing more is accepted until the log is opened anew.

use super::bytes::Hash32;
use super::files::{Appender, Files};
use super::frame::{HEAD, frame, frame_of};
use super::layout::{Chunk, Day, Header, Packed, batch_head, chunk_payload, day_of};
use super::merkle::{Leaves, Tree};
use super::note::Checkpoint;
use super::record::{Entry, Moment};
use crate::limits::DAY_FRAME_BYTES_MAX;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

/// Leaf hashes are written beside the day file once so many are waiting.
const CHUNK_LEAVES: usize = 1_024;
/// The file with the checkpoints.
pub(super) const CHECKPOINTS: &str = "checkpoints";

/// Why the log can't be opened, read or written.
#[derive(Debug)]
pub enum DayError {
    /// The file system says no: which file, and its words.
    Io(PathBuf, io::Error),
    /// A file isn't what was written: where, and what was expected there.
    Damaged {
        /// The file.
        file: PathBuf,
        /// The byte, counted from 0.
        offset: u64,
        /// What should stand there.
        expected: String,
    },
    /// The log holds fewer records than its last checkpoint: how many, and how many then.
    Smaller(u64, u64),
    /// The records aren't those of the last checkpoint; its size.
    OtherRoot(u64),
    /// An earlier write failed; the log must be opened anew.
    Failed,
    /// The batch is larger than one frame may be; its bytes.
    TooLarge(usize),
    /// The time of a record is more than a day away from the day that is being written.
    Time(String),
    /// There is no such record, or retention has deleted it; its number.
    NoRecord(u64),
}

impl fmt::Display for DayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DayError::Io(file, error) => write!(f, "{}: {error}", file.display()),
            DayError::Damaged { file, offset, expected } => write!(
                f,
                "{}: damaged at byte {offset}: expected {expected}; nothing was changed: restore the file from a backup",
                file.display()
            ),
            DayError::Smaller(now, then) => write!(
                f,
                "the log holds {now} records, but its last checkpoint is over {then}: records are missing; restore them, or, where they are lost, go on with `policyd restore`"
            ),
            DayError::OtherRoot(size) => {
                write!(f, "the first {size} records are not those that the last checkpoint was signed over")
            }
            DayError::Failed => write!(f, "an earlier write failed; open the log anew"),
            DayError::TooLarge(bytes) => {
                write!(
                    f,
                    "a batch of {bytes} bytes; at most {DAY_FRAME_BYTES_MAX}: commit fewer records at once"
                )
            }
            DayError::Time(time) => {
                write!(
                    f,
                    "a record of {time} is more than a day away from the day being written: check the clock"
                )
            }
            DayError::NoRecord(number) => {
                write!(f, "record {number} is not there: retention has deleted it, or it was never written")
            }
        }
    }
}

impl std::error::Error for DayError {}

/// What opening cut away: the torn end of a write that was never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub file: PathBuf,
    /// Where it ends now.
    pub offset: u64,
    /// How many bytes were cut away.
    pub bytes: u64,
}

/// A day file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptDay {
    /// Days since 1970.
    pub number: i64,
    /// The number of its first record.
    pub first: u64,
    /// Its bytes.
    pub bytes: u64,
    /// The file.
    pub file: PathBuf,
}

/// A file of leaf hashes that is being written.
pub struct LeafFile {
    files: Arc<dyn Files>,
    path: PathBuf,
}

impl LeafFile {
    /// Returns once what was written to it before is durable.
    pub fn sync(&self) -> Result<(), DayError> {
        self.files.sync(&self.path).map_err(|e| io_at(&self.path, e))
    }
}

/// The log of decisions of one organization. One process at a time may have it open.
pub struct DayLog {
    pub(super) files: Arc<dyn Files>,
    pub(super) dir: PathBuf,
    pub(super) origin: String,
    /// Origins that the log had before it was restored: files begun under them are its own.
    pub(super) former: Vec<String>,
    pub(super) tree: Tree,
    pub(super) days: Vec<Day>,
    /// The hashes that aren't written beside the day file yet, and where in the day file they begin.
    pub(super) waiting: Vec<Hash32>,
    pub(super) waiting_from: u64,
    /// Where the next frame of the last day begins.
    pub(super) end: u64,
    pub(super) writer: Option<Box<dyn Appender>>,
    pub(super) checkpoint: Option<String>,
    pub(super) cuts: Vec<Cut>,
    pub(super) failed: bool,
}

impl fmt::Debug for DayLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DayLog({} in {}, {} records)", self.origin, self.dir.display(), self.tree.size())
    }
}

impl DayLog {
    /// The tree over all records.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The number of records, deleted ones included.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The last checkpoint that was stored.
    pub fn last_checkpoint(&self) -> Option<&str> {
        self.checkpoint.as_deref()
    }

    /// What opening cut away; it belongs in the server's own log.
    pub fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// The number of the first record that retention hasn't deleted.
    pub fn kept_from(&self) -> u64 {
        self.days.iter().find(|day| day.kept).map_or(self.size(), |day| day.first)
    }

    /// Appends a batch as one frame and returns the numbers of its records once it is durable.
    ///
    /// - Errors: then nothing is acknowledged. After [`DayError::Io`] the batch may be there after all when the log is opened
    ///   anew, and until then every call answers [`DayError::Failed`].
    pub fn append_batch(&mut self, batch: &[Entry]) -> Result<Range<u64>, DayError> {
        let packed: Vec<Packed> = batch.iter().map(Packed::of).collect();
        self.append_packed(&packed)
    }

    /// The same for records that were packed elsewhere.
    pub fn append_packed(&mut self, batch: &[Packed]) -> Result<Range<u64>, DayError> {
        if self.failed {
            return Err(DayError::Failed);
        }
        let first = self.size();
        let Some(earliest) = batch.iter().map(|entry| entry.time).min() else { return Ok(first..first) };
        let day = day_of(earliest).max(self.days.last().map_or(i64::MIN, |day| day.number));
        if let Some(entry) = batch.iter().find(|entry| (day_of(entry.time) - day).abs() > 1) {
            return Err(DayError::Time(entry.time.to_string()));
        }
        let head = batch_head(first);
        let bytes = frame_of(std::iter::once(&head[..]).chain(batch.iter().map(|entry| &*entry.bytes)));
        if bytes.len() > HEAD + DAY_FRAME_BYTES_MAX {
            return Err(DayError::TooLarge(bytes.len() - HEAD));
        }
        self.failed = true;
        if self.days.last().is_none_or(|last| last.number != day) {
            self.begin_day(day)?;
        }
        self.write(&bytes)?;
        for entry in batch {
            self.tree.push(entry.leaf);
            self.waiting.push(entry.leaf);
        }
        if self.waiting.len() >= CHUNK_LEAVES {
            self.write_leaves(false)?;
        }
        self.failed = false;
        Ok(first..self.size())
    }

    /// Stores a signed checkpoint over all records so far, durably, and with it the leaf hashes.
    ///
    /// - Errors: as [`DayLog::append_batch`]; [`DayError::OtherRoot`] if it isn't over the records so far.
    pub fn store_checkpoint(&mut self, note: &str) -> Result<(), DayError> {
        if self.failed {
            return Err(DayError::Failed);
        }
        let fits = Checkpoint::unverified(note).is_ok_and(|c| {
            (c.origin.as_str(), c.size, c.root) == (self.origin.as_str(), self.size(), self.tree.root())
        });
        if !fits {
            return Err(DayError::OtherRoot(self.size()));
        }
        self.failed = true;
        self.write_leaves(true)?;
        let path = self.dir.join(CHECKPOINTS);
        let fresh = self.files.size(&path).map_err(|e| io_at(&path, e))?.is_none();
        let mut file = self.files.open_append(&path).map_err(|e| io_at(&path, e))?;
        file.append(&frame(note.as_bytes())).and_then(|()| file.sync()).map_err(|e| io_at(&path, e))?;
        if fresh {
            self.sync_dir()?;
        }
        self.checkpoint = Some(note.to_owned());
        self.failed = false;
        Ok(())
    }

    /// The day files that are there, oldest first.
    pub fn kept_days(&self) -> Result<Vec<KeptDay>, DayError> {
        let kept = self.days.iter().filter(|day| day.kept);
        let last = self.days.last().map(|day| day.number);
        let one = |day: &Day| {
            let file = day.records(&self.dir);
            let bytes = match last == Some(day.number) {
                true => self.end,
                false => self.files.size(&file).map_err(|e| io_at(&file, e))?.unwrap_or(0),
            };
            Ok(KeptDay { number: day.number, first: day.first, bytes, file })
        };
        kept.map(one).collect()
    }

    /// The leaf hashes of the last day, which are synced at each checkpoint: whoever syncs them before, from elsewhere, leaves
    /// the checkpoint little to wait for.
    pub fn leaf_file(&self) -> Option<LeafFile> {
        let path = self.days.last()?.leaves(&self.dir);
        Some(LeafFile { files: Arc::clone(&self.files), path })
    }

    /// The same log for reading beside the one that writes: as it is now, whatever is appended later.
    pub fn snapshot(&self) -> DayLog {
        DayLog {
            files: Arc::clone(&self.files),
            dir: self.dir.clone(),
            origin: self.origin.clone(),
            former: self.former.clone(),
            tree: self.tree.clone(),
            days: self.days.clone(),
            waiting: self.waiting.clone(),
            writer: None,
            checkpoint: self.checkpoint.clone(),
            cuts: Vec::new(),
            // It never writes.
            failed: true,
            ..*self
        }
    }

    /// The time of the last record; none if there is none.
    pub fn last_time(&self) -> Result<Option<Moment>, DayError> {
        match self.size().checked_sub(1) {
            Some(last) if last >= self.kept_from() => self.entry(last).map(|entry| Some(entry.time)),
            _ => Ok(None),
        }
    }

    /// Deletes the day files of all days up to this one (days since 1970), but never the last one; their leaf hashes stay.
    /// Returns how many files were deleted.
    pub fn delete_through(&mut self, through: i64) -> Result<usize, DayError> {
        let last = self.days.len().saturating_sub(1);
        let mut deleted = 0;
        for number in 0..last {
            if !self.days[number].kept || self.days[number].number > through {
                continue;
            }
            let path = self.days[number].records(&self.dir);
            self.files.remove(&path).map_err(|e| io_at(&path, e))?;
            // Oldest first, and durably: a gap between days would be taken for a loss.
            self.sync_dir()?;
            self.days[number].kept = false;
            deleted += 1;
        }
        Ok(deleted)
    }

    /// Writes what waits and closes the log, its last file without room; without it the next opening only reads a little more.
    pub fn close(mut self) -> Result<(), DayError> {
        if self.failed {
            return Err(DayError::Failed);
        }
        self.write_leaves(true)?;
        if self.writer.take().is_some() { self.cut_room() } else { Ok(()) }
    }

    /// Cuts the last file where its content ends.
    fn cut_room(&self) -> Result<(), DayError> {
        let Some(last) = self.days.last() else { return Ok(()) };
        let path = last.records(&self.dir);
        self.files.truncate(&path, self.end).map_err(|e| io_at(&path, e))
    }

    fn begin_day(&mut self, number: i64) -> Result<(), DayError> {
        self.write_leaves(true)?;
        self.writer = None;
        self.cut_room()?;
        let day = Day::begin(number, self.size());
        let header = frame(&Header::of(&self.origin, number, self.size()).payload());
        let (records, leaves) = (day.records(&self.dir), day.leaves(&self.dir));
        for (path, roomy) in [(records, true), (leaves, false)] {
            let file = if roomy { self.files.open_roomy(&path, 0) } else { self.files.open_append(&path) };
            let mut file = file.map_err(|e| io_at(&path, e))?;
            file.append(&header).and_then(|()| file.sync()).map_err(|e| io_at(&path, e))?;
            self.writer.get_or_insert(file);
        }
        self.sync_dir()?;
        self.end = header.len() as u64;
        self.waiting_from = self.end;
        self.days.push(Day { leaves_end: self.end, ..day });
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DayError> {
        let day = self.days.last().expect("append: a day was begun");
        let path = day.records(&self.dir);
        if self.writer.is_none() {
            self.writer = Some(self.files.open_roomy(&path, self.end).map_err(|e| io_at(&path, e))?);
        }
        let writer = self.writer.as_mut().expect("append: just opened");
        writer.append(bytes).and_then(|()| writer.sync()).map_err(|e| io_at(&path, e))?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Writes the waiting leaf hashes beside the day file.
    pub(super) fn write_leaves(&mut self, durably: bool) -> Result<(), DayError> {
        let size = self.size();
        let Some(day) = self.days.last_mut() else { return Ok(()) };
        let path = day.leaves(&self.dir);
        let mut file = self.files.open_append(&path).map_err(|e| io_at(&path, e))?;
        if !self.waiting.is_empty() {
            let first = size - self.waiting.len() as u64;
            let bytes = frame(&chunk_payload(first, self.end, &self.waiting));
            file.append(&bytes).map_err(|e| io_at(&path, e))?;
            let count = self.waiting.len() as u64;
            day.chunks.push(Chunk::at(first, count, day.leaves_end, self.waiting_from, self.end));
            day.leaves_end += bytes.len() as u64;
            self.waiting.clear();
            self.waiting_from = self.end;
        }
        if durably { file.sync().map_err(|e| io_at(&path, e)) } else { Ok(()) }
    }

    pub(super) fn sync_dir(&self) -> Result<(), DayError> {
        self.files.sync_dir(&self.dir).map_err(|e| io_at(&self.dir, e))
    }
}

/// The leaf hashes of all records, deleted ones included.
impl Leaves for DayLog {
    fn leaves(&self, first: u64, count: usize) -> io::Result<Vec<Hash32>> {
        let mut found = Vec::with_capacity(count);
        let written = self.size() - self.waiting.len() as u64;
        while found.len() < count {
            let next = first + found.len() as u64;
            let left = count - found.len();
            if next >= written {
                found.extend(self.waiting.as_slice().leaves(next - written, left)?);
                break;
            }
            let day = &self.days[self.days.partition_point(|day| day.first <= next) - 1];
            let missing =
                || io::Error::new(io::ErrorKind::UnexpectedEof, format!("no hash of record {next}"));
            let chunk = day.chunk_of(next).ok_or_else(missing)?;
            let skip = next - chunk.first;
            let take = left.min((chunk.count - skip) as usize);
            let mut bytes = vec![0; take * 32];
            let read = self.files.read_at(&day.leaves(&self.dir), chunk.hashes_at + skip * 32, &mut bytes)?;
            if read < bytes.len() {
                return Err(missing());
            }
            found.extend(bytes.chunks_exact(32).filter_map(Hash32::from_slice));
        }
        Ok(found)
    }
}

pub(super) fn io_at(path: &Path, error: io::Error) -> DayError {
    DayError::Io(path.to_owned(), error)
}

#[cfg(test)]
#[path = "day_tests.rs"]
mod tests;
