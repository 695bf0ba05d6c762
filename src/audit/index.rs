//! An index of what records say, made after them: for each block of records, which words are in it.
//!
//! In:    a log, block by block; the words of each record.
//! Out:   the blocks in which all of some words may be, without reading the others.
//! Law:   it can be deleted at any time and is made anew. It leaves out no record that has the words; a block that has none of them is
//!        named at most once in some millions. A file that isn't of this log, or is damaged, is not believed.

use super::bytes::Hash32;
use super::day::{DayError, io_at};
use super::files::{Appender, Files};
use super::frame::{Frames, frame};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Records in one block.
pub const BLOCK: u64 = 1_024;
/// The first byte of a block's payload.
const WORDS: u8 = 3;
/// Bytes before the words.
const HEAD: usize = 1 + 8 + 32;

/// What a record is found by: a hash of a field and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(u32);

impl Word {
    /// The word of a value of a field.
    pub fn of(field: &str, value: &str) -> Word {
        let mut digest = Sha256::new();
        digest.update((field.len() as u64).to_le_bytes());
        digest.update(field);
        digest.update(value);
        let hash: [u8; 32] = digest.finalize().into();
        Word(u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]))
    }
}

/// The index of one log.
#[derive(Clone)]
pub struct Index {
    files: Arc<dyn Files>,
    path: PathBuf,
    blocks: u64,
    end: u64,
}

impl Index {
    /// Opens the index of a log, as far as it is whole and of that log: `leaf` gives the hash of a record.
    pub fn open(
        files: Arc<dyn Files>,
        path: &Path,
        leaf: &dyn Fn(u64) -> Option<Hash32>,
    ) -> Result<Index, DayError> {
        let mut index = Index { files, path: path.to_owned(), blocks: 0, end: 0 };
        let mut last = None;
        let files = Arc::clone(&index.files);
        let mut frames = Frames::from(&*files, path, 0)?;
        while let Some(payload) = frames.next()? {
            let Some((first, own, _)) = read(&payload) else { break };
            if first != index.blocks * BLOCK {
                break;
            }
            index.blocks += 1;
            index.end = frames.offset();
            last = Some(own);
        }
        let there = files.size(path).map_err(|e| io_at(path, e))?.unwrap_or(0);
        // The last record of the last block names the log: all before it is in its hash only by way of the tree, but a log that
        // was replaced differs there, too.
        let own = last.is_none_or(|own| leaf(index.blocks * BLOCK - 1) == Some(own));
        if !own {
            (index.blocks, index.end) = (0, 0);
        }
        if there > index.end {
            files.truncate(path, index.end).map_err(|e| io_at(path, e))?;
        }
        Ok(index)
    }

    /// How many records it covers.
    pub fn through(&self) -> u64 {
        self.blocks * BLOCK
    }

    /// Adds the next block: the words of its records, and the hash of its last one.
    pub fn add(&mut self, mut words: Vec<Word>, last: Hash32) -> Result<(), DayError> {
        words.sort_unstable();
        words.dedup();
        let mut payload = Vec::with_capacity(HEAD + 4 * words.len());
        payload.push(WORDS);
        payload.extend_from_slice(&self.through().to_le_bytes());
        payload.extend_from_slice(&last.0);
        words.iter().for_each(|word| payload.extend_from_slice(&word.0.to_le_bytes()));
        let bytes = frame(&payload);
        let mut file: Box<dyn Appender> =
            self.files.open_append(&self.path).map_err(|e| io_at(&self.path, e))?;
        file.append(&bytes).map_err(|e| io_at(&self.path, e))?;
        self.blocks += 1;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// The first records of the blocks in which all these words may be.
    pub fn blocks(&self, wanted: &[Word]) -> Result<Vec<u64>, DayError> {
        let mut frames = Frames::from(&*self.files, &self.path, 0)?;
        let mut found = Vec::new();
        for number in 0..self.blocks {
            let payload = frames.next()?.ok_or_else(|| frames.damage("a block of the index"))?;
            let (first, _, words) = read(&payload).ok_or_else(|| frames.damage("a block of the index"))?;
            let has = |word: &Word| search(words, *word);
            if first == number * BLOCK && wanted.iter().all(has) {
                found.push(first);
            }
        }
        Ok(found)
    }
}

/// The first record of a block, the hash of its last one, its words.
fn read(payload: &[u8]) -> Option<(u64, Hash32, &[u8])> {
    let (head, words) = payload.split_at_checked(HEAD)?;
    let first = u64::from_le_bytes(head[1..9].try_into().ok()?);
    (head[0] == WORDS && words.len() % 4 == 0).then_some((first, Hash32::from_slice(&head[9..])?, words))
}

/// Whether a sorted list of words has this one.
fn search(words: &[u8], wanted: Word) -> bool {
    let at =
        |n: usize| u32::from_le_bytes([words[4 * n], words[4 * n + 1], words[4 * n + 2], words[4 * n + 3]]);
    let (mut low, mut high) = (0, words.len() / 4);
    while low < high {
        let middle = (low + high) / 2;
        match at(middle).cmp(&wanted.0) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::bytes::Bytes;
    use super::super::files::Disk;
    use super::*;

    fn leaf(number: u64) -> Hash32 {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Bytes(bytes)
    }

    fn made(path: &Path, blocks: u64) -> Index {
        let mut index = Index::open(Arc::new(Disk), path, &|n| Some(leaf(n))).expect("opens");
        for block in index.through() / BLOCK..blocks {
            let words = (0..BLOCK).map(|n| Word::of("event", &format!("{}", block * BLOCK + n)));
            let words =
                words.chain([Word::of("kind", if block % 2 == 0 { "even" } else { "odd" })]).collect();
            index.add(words, leaf(block * BLOCK + BLOCK - 1)).expect("added");
        }
        index
    }

    #[test]
    fn blocks_are_found_by_their_words_and_only_those() {
        let path = std::env::temp_dir().join(format!("policyd-index-{}", std::process::id()));
        std::fs::remove_file(&path).ok();
        let index = made(&path, 9);
        assert_eq!(index.through(), 9 * BLOCK);
        for number in [0, 1, BLOCK, 5 * BLOCK + 17, 9 * BLOCK - 1] {
            let found = index.blocks(&[Word::of("event", &number.to_string())]).expect("read");
            assert_eq!(found, [number / BLOCK * BLOCK]);
        }
        let both = [Word::of("kind", "odd"), Word::of("event", &(2 * BLOCK).to_string())];
        assert!(index.blocks(&both).expect("read").is_empty());
        assert_eq!(index.blocks(&[Word::of("kind", "odd")]).expect("read").len(), 4);
        // Opened again it goes on; torn or damaged, it is made anew from there; of another log, from the beginning.
        assert_eq!(made(&path, 10).through(), 10 * BLOCK);
        let whole = std::fs::read(&path).expect("read");
        std::fs::write(&path, &whole[..whole.len() - 3]).expect("written");
        assert_eq!(
            Index::open(Arc::new(Disk), &path, &|n| Some(leaf(n))).expect("opens").through(),
            9 * BLOCK
        );
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        std::fs::write(&path, &flipped).expect("written");
        let damaged = Index::open(Arc::new(Disk), &path, &|n| Some(leaf(n))).expect("opens");
        assert!(damaged.through() < 9 * BLOCK);
        assert_eq!(made(&path, 10).blocks(&[Word::of("kind", "even")]).expect("read").len(), 5);
        let other = Index::open(Arc::new(Disk), &path, &|_| Some(leaf(0))).expect("opens");
        assert_eq!(other.through(), 0);
        std::fs::remove_file(&path).expect("it was ours");
    }
}
