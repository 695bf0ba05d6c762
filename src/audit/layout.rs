//! The bytes of day files: headers, batches, chunks of leaf hashes, and the names of the files.
//!
//! In:    entries and hashes; or the payload of a frame.
//! Out:   the payload; or the entries and hashes.
//! Law:   what is written reads back the same; a payload of another kind, or with something left over, reads as none.

use super::bytes::{Hash32, Salt};
use super::frame::HEAD;
use super::record::{Entry, Moment, Personal};
use jiff::civil::Date;
use std::path::{Path, PathBuf};

const HEADER: u8 = 0;
const BATCH: u8 = 1;
const CHUNK: u8 = 2;
/// Bytes of a packed record beside record and personal values.
const PACKED_HEAD: usize = 40;
/// Bytes of a chunk's payload before its hashes.
const CHUNK_HEAD: usize = 17;
const DAY_MICROS: i64 = 86_400_000_000;
const EPOCH: Date = Date::constant(1970, 1, 1);

/// The day of a moment, counted from 1970.
pub(super) fn day_of(time: Moment) -> i64 {
    time.0.div_euclid(DAY_MICROS)
}

/// A run of leaf hashes in a file beside a day file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub first: u64,
    pub count: u64,
    /// Where in the leaf file the hashes begin.
    pub hashes_at: u64,
    /// From where to where in the day file the records are.
    pub records: std::ops::Range<u64>,
}

impl Chunk {
    /// The chunk whose frame begins at `at`.
    pub fn at(first: u64, count: u64, at: u64, from: u64, to: u64) -> Chunk {
        Chunk { first, count, hashes_at: at + (HEAD + CHUNK_HEAD) as u64, records: from..to }
    }
}

/// A day of the log.
#[derive(Clone, Debug)]
pub(super) struct Day {
    /// Days since 1970.
    pub number: i64,
    /// The number of its first record.
    pub first: u64,
    /// Whether its records are still there.
    pub kept: bool,
    pub chunks: Vec<Chunk>,
    /// Where its leaf file ends.
    pub leaves_end: u64,
}

impl Day {
    pub fn begin(number: i64, first: u64) -> Day {
        Day { number, first, kept: true, chunks: Vec::new(), leaves_end: 0 }
    }

    /// The day of a file name such as `2026-11-24.day`.
    pub fn parse(name: &str) -> Option<(i64, &str)> {
        let (date, kind) = name.split_once('.')?;
        let date: Date = date.parse().ok()?;
        let number = i64::from((date - EPOCH).get_days());
        (["day", "leaves"].contains(&kind) && name_of(number, kind) == name).then_some((number, kind))
    }

    pub fn records(&self, dir: &Path) -> PathBuf {
        dir.join(name_of(self.number, "day"))
    }

    pub fn leaves(&self, dir: &Path) -> PathBuf {
        dir.join(name_of(self.number, "leaves"))
    }

    pub fn chunk_of(&self, record: u64) -> Option<&Chunk> {
        let at = self.chunks.partition_point(|chunk| chunk.first <= record).checked_sub(1)?;
        self.chunks.get(at).filter(|chunk| record < chunk.first + chunk.count)
    }
}

fn name_of(number: i64, kind: &str) -> String {
    let days = jiff::Span::new().try_days(number).ok();
    let date = days.and_then(|days| EPOCH.checked_add(days).ok()).unwrap_or(Date::MAX);
    format!("{date}.{kind}")
}

/// The first frame of a day file and of the leaf file beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub origin: String,
    pub day: i64,
    pub first: u64,
}

impl Header {
    pub fn of(origin: &str, day: i64, first: u64) -> Header {
        Header { origin: origin.to_owned(), day, first }
    }

    pub fn payload(&self) -> Vec<u8> {
        let mut bytes = vec![HEADER];
        bytes.extend_from_slice(&self.day.to_le_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(self.origin.as_bytes());
        bytes
    }

    pub fn read(payload: &[u8]) -> Option<Header> {
        let mut from = Cursor::of(payload, HEADER)?;
        let day = from.number()? as i64;
        let first = from.number()?;
        Some(Header { origin: String::from_utf8(from.0.to_vec()).ok()?, day, first })
    }
}

/// A record as a batch has it, with its leaf hash: what takes time is done before its turn to be written comes.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Salt, time, and with their lengths record and personal values.
    pub(super) bytes: Vec<u8>,
    pub(super) leaf: Hash32,
    pub(super) time: Moment,
}

impl Packed {
    /// Packs an entry.
    pub fn of(entry: &Entry) -> Packed {
        let personal = serde_json::to_vec(&entry.personal).expect("texts and salts are JSON");
        let mut bytes = Vec::with_capacity(PACKED_HEAD + entry.record.len() + personal.len());
        bytes.extend_from_slice(&entry.salt.0);
        bytes.extend_from_slice(&entry.time.0.to_le_bytes());
        for part in [entry.record.as_bytes(), &personal] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        Packed { bytes, leaf: entry.leaf(), time: entry.time }
    }
}

/// What a batch begins with: the number of its first record. Its records follow.
pub(super) fn batch_head(first: u64) -> [u8; 9] {
    let mut head = [BATCH; 9];
    head[1..].copy_from_slice(&first.to_le_bytes());
    head
}

/// The number of the first record of a batch, and its entries.
pub(super) fn read_batch(payload: &[u8]) -> Option<(u64, Vec<Entry>)> {
    let mut from = Cursor::of(payload, BATCH)?;
    let first = from.number()?;
    let mut entries = Vec::new();
    while !from.0.is_empty() {
        let salt = Salt::from_slice(from.take(16)?)?;
        let time = Moment(from.number()? as i64);
        let record = String::from_utf8(from.part()?.to_vec()).ok()?;
        let personal: Vec<Personal> = serde_json::from_slice(from.part()?).ok()?;
        entries.push(Entry { salt, record, personal, time });
    }
    Some((first, entries))
}

/// The payload of a batch without the personal values of `person`, of the same length, and how many values were erased.
pub(super) fn erase_from_batch(payload: &[u8], person: &str) -> Option<(Vec<u8>, u64)> {
    let mut bytes = payload.to_vec();
    let mut from = Cursor::of(payload, BATCH)?;
    from.number()?;
    let mut erased = 0;
    while !from.0.is_empty() {
        from.take(24)?;
        from.part()?;
        let old = from.part()?;
        let mut personal: Vec<Personal> = serde_json::from_slice(old).ok()?;
        let before = personal.len();
        personal.retain(|value| value.person != person);
        if personal.len() == before {
            continue;
        }
        erased += (before - personal.len()) as u64;
        let mut new = serde_json::to_vec(&personal).ok()?;
        // Blanks may follow JSON: the frames behind stay where they are.
        new.resize(old.len(), b' ');
        let end = payload.len() - from.0.len();
        bytes[end - old.len()..end].copy_from_slice(&new);
    }
    Some((bytes, erased))
}

/// A chunk: the number of its first record, where in the day file its last record ends, the hashes.
pub(super) fn chunk_payload(first: u64, records_end: u64, hashes: &[Hash32]) -> Vec<u8> {
    let mut bytes = vec![CHUNK];
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes.extend_from_slice(&records_end.to_le_bytes());
    hashes.iter().for_each(|hash| bytes.extend_from_slice(&hash.0));
    bytes
}

/// The parts of a chunk.
pub(super) fn read_chunk(payload: &[u8]) -> Option<(u64, u64, Vec<Hash32>)> {
    let mut from = Cursor::of(payload, CHUNK)?;
    let (first, end) = (from.number()?, from.number()?);
    if from.0.is_empty() || !from.0.len().is_multiple_of(32) {
        return None;
    }
    Some((first, end, from.0.chunks_exact(32).filter_map(Hash32::from_slice).collect()))
}

struct Cursor<'b>(&'b [u8]);

impl<'b> Cursor<'b> {
    fn of(payload: &'b [u8], kind: u8) -> Option<Cursor<'b>> {
        let (found, rest) = payload.split_first()?;
        (*found == kind).then_some(Cursor(rest))
    }

    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn part(&mut self) -> Option<&'b [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }
}
