//! A built set as a file: the sources and their tree.
//!
//! - Shape: `policyc\0`; format version, `u32`; CRC-32 of the rest, `u32`; its length, `u64`; the rest, in postcard.
//!   Numbers are little-endian.
//! - Law:   `read(&write(s, t))` gives back what was written. Whatever bytes `read` accepts, deciding with the tree it
//!   gives neither panics nor loops.

use super::node::Tree;
use super::validate::validate;
use crate::source::Sources;
use serde::{Deserialize, Serialize};

/// What each built file starts with.
pub const MAGIC: &[u8] = b"policyc\0";
/// The version of the format that this build writes and reads.
pub const VERSION: u32 = 3;
/// Bytes before the rest.
const HEADER_BYTES: usize = 24;

/// Why a file is not a built set that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileError {
    /// It doesn't start as a built set does.
    Foreign,
    /// It is of another version of the format.
    Version {
        /// The one it is of.
        found: u32,
    },
    /// It ends too early.
    Truncated,
    /// Its checksum is wrong, or there is more in it than it says.
    Damaged,
    /// The checksum is right, but what is said doesn't hold together.
    Inconsistent(&'static str),
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FileError::Foreign => write!(f, "this is not a built policy set"),
            FileError::Version { found } if *found > VERSION => {
                write!(
                    f,
                    "this set was built by a newer policyc: its format is {found}, this one reads {VERSION}"
                )
            }
            FileError::Version { found } => {
                write!(
                    f,
                    "this set was built by an older policyc: its format is {found}, this one reads {VERSION}; build it again"
                )
            }
            FileError::Truncated => write!(f, "the built set is cut off"),
            FileError::Damaged => write!(f, "the built set is damaged: its checksum doesn't match"),
            FileError::Inconsistent(what) => write!(f, "the built set is inconsistent: {what}"),
        }
    }
}

impl std::error::Error for FileError {}

/// Writes a tree and the sources it was made from.
pub fn write(sources: &Sources, tree: &Tree) -> Vec<u8> {
    #[derive(Serialize)]
    struct Payload<'a>(&'a Sources, &'a Tree);
    let start = [0u8; HEADER_BYTES].to_vec();
    let mut bytes = postcard::to_extend(&Payload(sources, tree), start)
        .expect("file: plain data whose literals are flat, written to memory");
    let (header, payload) = bytes.split_at_mut(HEADER_BYTES);
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    header[16..].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes
}

/// Reads a tree and the sources it was made from.
///
/// - Errors: [`FileError`], also for a file that was made by hand.
pub fn read(bytes: &[u8]) -> Result<(Sources, Tree), FileError> {
    #[derive(Deserialize)]
    struct Payload(Sources, Tree);
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    if start.is_empty() || !MAGIC.starts_with(start) {
        return Err(FileError::Foreign);
    }
    let Some((header, payload)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(FileError::Truncated);
    };
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if number(8) != VERSION {
        return Err(FileError::Version { found: number(8) });
    }
    let len = u64::from(number(16)) | u64::from(number(20)) << 32;
    match (payload.len() as u64).cmp(&len) {
        std::cmp::Ordering::Less => return Err(FileError::Truncated),
        std::cmp::Ordering::Greater => return Err(FileError::Damaged),
        std::cmp::Ordering::Equal => {}
    }
    if crc32fast::hash(payload) != number(12) {
        return Err(FileError::Damaged);
    }
    let (Payload(sources, mut tree), rest) =
        postcard::take_from_bytes(payload).map_err(|_| FileError::Inconsistent("it can't be decoded"))?;
    if !rest.is_empty() {
        return Err(FileError::Inconsistent("there is more than a set in it"));
    }
    validate(&sources, &tree).map_err(FileError::Inconsistent)?;
    tree.make();
    Ok((sources, tree))
}

/// The vocabulary is stored as JSON, whose reader limits how deep types nest; postcard's doesn't.
pub(super) mod as_json {
    use crate::check::program::Vocabulary;
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    pub(in crate::tree) fn serialize<S: Serializer>(
        v: &Vocabulary,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = serde_json::to_string(v).map_err(ser::Error::custom)?;
        serializer.serialize_str(&text)
    }

    pub(in crate::tree) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vocabulary, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        serde_json::from_str(&text).map_err(de::Error::custom)
    }
}
