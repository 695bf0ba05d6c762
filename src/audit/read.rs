//! Reads a log of decisions by position and by time, and erases what is personal.
//!
//! In:    positions, times, a person.
//! Out:   entries in the order of the log.
//! Law:   every entry has the leaf hash that the tree holds, or it is an error that names file and offset; none is skipped. Erasing
//!        changes no byte of a record and no hash.

use super::day::{DayError, DayLog, io_at};
use super::frame::{Frames, frame};
use super::layout::{Day, day_of, erase_from_batch, read_batch};
use super::merkle::Leaves;
use super::record::{Entry, Moment};
use std::collections::VecDeque;
use std::ops::Range;

impl DayLog {
    /// The entries of a range of positions, in their order.
    pub fn records(&self, range: Range<u64>) -> Records<'_> {
        Records {
            log: self,
            next: range.start,
            end: range.end.min(self.size()),
            frames: None,
            ready: VecDeque::new(),
        }
    }

    /// The entry at a position.
    ///
    /// - Errors: [`DayError::NoRecord`] if retention has deleted it or it was never written.
    pub fn entry(&self, position: u64) -> Result<Entry, DayError> {
        let mut found = self.records(position..position.saturating_add(1));
        found.next().unwrap_or(Err(DayError::NoRecord(position))).map(|(_, entry)| entry)
    }

    /// The entries from one moment to before another, in the order of the log, with their positions.
    pub fn between(&self, from: Moment, to: Moment) -> impl Iterator<Item = Result<(u64, Entry), DayError>> {
        // A record is in the file of its day or in that of a day next to it.
        let begin = self.days.iter().find(|day| day.kept && day.number >= day_of(from).saturating_sub(1));
        let end = self.days.iter().find(|day| day.number > day_of(to).saturating_add(1));
        let begin = begin.map_or(self.size(), |day| day.first);
        let end = end.map_or(self.size(), |day| day.first);
        self.records(begin..end).filter(move |found| match found {
            Ok((_, entry)) => from <= entry.time && entry.time < to,
            Err(_) => true,
        })
    }

    /// Erases the personal values of a person from all days; how many there were. Each day file that has some is written anew
    /// beside the old one and takes its place at once.
    ///
    /// - Errors: what was erased until then stays erased; call again.
    pub fn erase(&mut self, person: &str) -> Result<u64, DayError> {
        if self.failed {
            return Err(DayError::Failed);
        }
        let mut erased = 0;
        for number in 0..self.days.len() {
            if self.days[number].kept {
                erased += self.erase_day(&self.days[number].clone(), person)?;
            }
        }
        Ok(erased)
    }

    fn erase_day(&mut self, day: &Day, person: &str) -> Result<u64, DayError> {
        let files = self.files.clone();
        let path = day.records(&self.dir);
        let mut erased = 0;
        let scan = |mut each: Box<dyn FnMut(Vec<u8>) -> std::io::Result<()> + '_>| -> Result<u64, DayError> {
            let mut frames = Frames::from(&*files, &path, 0)?;
            let mut erased = 0;
            while let Some(payload) = frames.next()? {
                let (payload, count) = erase_from_batch(&payload, person).unwrap_or((payload, 0));
                erased += count;
                each(frame(&payload)).map_err(|e| io_at(&path, e))?;
            }
            if frames.left()? > 0 { Err(frames.damage("a whole frame")) } else { Ok(erased) }
        };
        if scan(Box::new(|_| Ok(())))? == 0 {
            return Ok(erased);
        }
        let beside = path.with_extension("erasing");
        if files.size(&beside).map_err(|e| io_at(&beside, e))?.is_some() {
            files.remove(&beside).map_err(|e| io_at(&beside, e))?;
        }
        let mut to = files.open_append(&beside).map_err(|e| io_at(&beside, e))?;
        erased += scan(Box::new(|bytes| to.append(&bytes)))?;
        to.sync().map_err(|e| io_at(&beside, e))?;
        // From here on the file that was open may be one without a name.
        self.writer = None;
        self.failed = true;
        files.rename(&beside, &path).map_err(|e| io_at(&path, e))?;
        self.sync_dir()?;
        self.failed = false;
        Ok(erased)
    }
}

/// The entries of a range.
pub struct Records<'l> {
    log: &'l DayLog,
    next: u64,
    end: u64,
    frames: Option<(usize, Frames<'l>)>,
    ready: VecDeque<Entry>,
}

impl Iterator for Records<'_> {
    type Item = Result<(u64, Entry), DayError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        if self.ready.is_empty()
            && let Err(error) = self.read()
        {
            self.end = self.next;
            return Some(Err(error));
        }
        let entry = self.ready.pop_front()?;
        self.next += 1;
        Some(Ok((self.next - 1, entry)))
    }
}

impl<'l> Records<'l> {
    /// Reads the batch that holds the next position.
    fn read(&mut self) -> Result<(), DayError> {
        let log = self.log;
        let number = log.days.partition_point(|day| day.first <= self.next) - 1;
        let day = &log.days[number];
        if !day.kept {
            return Err(DayError::NoRecord(self.next));
        }
        let path = day.records(&log.dir);
        let mut frames = match self.frames.take() {
            Some((at, frames)) if at == number => frames,
            _ => {
                let from = day.chunk_of(self.next).map_or(log.waiting_from, |chunk| chunk.records.start);
                Frames::from(&*log.files, &path, from)?
            }
        };
        loop {
            let at = frames.offset();
            let damaged = |expected: String| DayError::Damaged { file: path.clone(), offset: at, expected };
            let payload = frames.next()?.ok_or_else(|| damaged("a whole frame".to_owned()))?;
            let (first, batch) =
                read_batch(&payload).ok_or_else(|| damaged("a batch of records".to_owned()))?;
            let leaves = log.leaves(first, batch.len()).map_err(|e| io_at(&path, e))?;
            if let Some(wrong) = (0..batch.len()).find(|n| batch[*n].leaf() != leaves[*n]) {
                return Err(damaged(format!(
                    "record {} with the hash that the tree holds",
                    first + wrong as u64
                )));
            }
            if first > self.next {
                return Err(damaged(format!("the batch with record {}", self.next)));
            }
            if first + batch.len() as u64 > self.next {
                self.ready = batch.into_iter().skip((self.next - first) as usize).collect();
                self.frames = Some((number, frames));
                return Ok(());
            }
        }
    }
}
