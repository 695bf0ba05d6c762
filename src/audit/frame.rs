//! Frames: pieces of a file with their length and checksum, one after the other.
//!
//! In:    payloads; or a file and an offset.
//! Out:   `marker ‖ length ‖ CRC-32 of length and payload ‖ payload` (little-endian); or the payloads.
//! Law:   a frame is read whole or not at all. A last frame that isn't whole is told from damage: it is damage as soon as a
//!        whole frame follows it.

use super::day::DayError;
use super::files::Files;
use crate::limits::DAY_FRAME_BYTES_MAX;
use std::path::{Path, PathBuf};

/// The four bytes before each frame.
const MARKER: [u8; 4] = *b"\xf5pd1";
/// The bytes before a payload.
pub(super) const HEAD: usize = 12;
/// How much is read at once.
const READ: usize = 1 << 20;

/// The frame around a payload.
pub(super) fn frame(payload: &[u8]) -> Vec<u8> {
    frame_of(std::iter::once(payload))
}

/// The frame around a payload that is given in parts.
pub(super) fn frame_of<'p>(parts: impl Iterator<Item = &'p [u8]> + Clone) -> Vec<u8> {
    let length: usize = parts.clone().map(<[u8]>::len).sum();
    let mut bytes = Vec::with_capacity(HEAD + length);
    bytes.extend_from_slice(&MARKER);
    bytes.extend_from_slice(&(length as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    parts.for_each(|part| bytes.extend_from_slice(part));
    let sum = sum(&bytes[4..8], &bytes[HEAD..]);
    bytes[8..HEAD].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn sum(length: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}

/// The payload of the frame at the beginning of `bytes`, if it is whole.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let head = bytes.get(..HEAD)?;
    let length = u32::from_le_bytes(head[4..8].try_into().ok()?) as usize;
    let payload = bytes.get(HEAD..HEAD.checked_add(length)?)?;
    let known = u32::from_le_bytes(head[8..12].try_into().ok()?);
    (head[..4] == MARKER && length <= DAY_FRAME_BYTES_MAX && sum(&head[4..8], payload) == known)
        .then_some(payload)
}

/// Reads the frames of a file in their order.
pub(super) struct Frames<'f> {
    files: &'f dyn Files,
    path: PathBuf,
    /// Where the next frame begins.
    offset: u64,
    size: u64,
    /// Bytes from `start` on.
    buffer: Vec<u8>,
    start: u64,
}

impl<'f> Frames<'f> {
    /// The frames of a file from `offset` on.
    pub fn from(files: &'f dyn Files, path: &Path, offset: u64) -> Result<Frames<'f>, DayError> {
        let size = files.size(path).map_err(|e| DayError::Io(path.to_owned(), e))?.unwrap_or(0);
        Ok(Frames { files, path: path.to_owned(), offset, size, buffer: Vec::new(), start: offset })
    }

    /// Where the next frame begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next payload; none where the rest of the file isn't a whole frame, or is empty.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, DayError> {
        let head = self.fill(HEAD)?;
        if head.len() < HEAD || head[..4] != MARKER {
            return Ok(None);
        }
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if length > DAY_FRAME_BYTES_MAX {
            return Ok(None);
        }
        let Some(payload) = whole(self.fill(HEAD + length)?).map(<[u8]>::to_vec) else { return Ok(None) };
        self.offset += (HEAD + length) as u64;
        Ok(Some(payload))
    }

    /// The bytes behind the last whole frame that was read, without the zeros at the end of the file: those are room.
    pub fn left(&self) -> Result<u64, DayError> {
        let mut end = self.size;
        let mut block = vec![0; READ];
        while end > self.offset {
            let from = end.saturating_sub(READ as u64).max(self.offset);
            let block = &mut block[..(end - from) as usize];
            let read = self.files.read_at(&self.path, from, block);
            let read = read.map_err(|e| DayError::Io(self.path.clone(), e))?;
            if let Some(last) = block[..read].iter().rposition(|byte| *byte != 0) {
                return Ok(from + last as u64 + 1 - self.offset);
            }
            end = from;
        }
        Ok(0)
    }

    /// What the rest of the file is, where no whole frame begins: nothing, or the torn end of the last write.
    ///
    /// - Errors: a whole frame follows, or there is more than one frame can be: then it is damage.
    pub fn torn(&mut self) -> Result<u64, DayError> {
        let rest = self.left()?;
        if rest > (HEAD + DAY_FRAME_BYTES_MAX) as u64 {
            return Err(self.damage("a whole frame; more follows than one unfinished write"));
        }
        let bytes = self.fill(rest as usize)?;
        let follows = (1..bytes.len()).any(|at| bytes[at] == MARKER[0] && whole(&bytes[at..]).is_some());
        if follows { Err(self.damage("a whole frame, since whole ones follow")) } else { Ok(rest) }
    }

    /// That something else was expected where the next frame begins.
    pub fn damage(&self, expected: &str) -> DayError {
        DayError::Damaged { file: self.path.clone(), offset: self.offset, expected: expected.to_owned() }
    }

    /// At least `count` bytes from the next frame on, or all there are.
    fn fill(&mut self, count: usize) -> Result<&[u8], DayError> {
        let at = (self.offset - self.start) as usize;
        if self.buffer.len() < at + count && self.start + (self.buffer.len() as u64) < self.size {
            self.buffer.drain(..at.min(self.buffer.len()));
            self.start = self.offset;
            let have = self.buffer.len();
            let left = (self.size - self.start) as usize - have;
            self.buffer.resize(have + left.min((count - have).max(READ)), 0);
            let from = self.start + have as u64;
            let read = self.files.read_at(&self.path, from, &mut self.buffer[have..]);
            let read = read.map_err(|e| DayError::Io(self.path.clone(), e))?;
            self.buffer.truncate(have + read);
        }
        let at = (self.offset - self.start) as usize;
        let bytes = self.buffer.get(at..).unwrap_or_default();
        Ok(&bytes[..bytes.len().min(count)])
    }
}
