//! What verification finds wrong, in words for whoever has to act on it.
//!
//! In:  what was seen, and where.
//! Out: one sentence that names the record, its time and id as far as they are known, and the line.
//! Law: text from the file under suspicion is escaped and shortened before it is shown.

use super::note::NoteError;
use std::fmt;

/// Where something is: the line of the export and, as far as it is known, the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The line, counted from 1.
    pub line: u64,
    /// The number of the record, counted from 0.
    pub record: Option<u64>,
    /// What the record says of its time and id; an edited record may lie.
    pub says: Option<(String, String)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record {
            Some(record) => write!(f, "record {record}")?,
            None => write!(f, "line {}", self.line)?,
        }
        if let Some((time, id)) = &self.says {
            write!(f, " ({}, id {})", shown(time), shown(id))?;
        }
        if self.record.is_some() { write!(f, ", line {}", self.line) } else { Ok(()) }
    }
}

/// The first thing that is wrong with an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The file can't be read on; the system's words.
    Unreadable(Place, String),
    /// A line isn't what an export has there, in its one spelling; what was expected.
    NotExport(Place, String),
    /// The bytes, the salt or the place of a record were changed. `proven` if a signed checkpoint vouches for its hash.
    Edited {
        /// Which record.
        at: Place,
        /// Whether a signed checkpoint over the listed hashes proves that this record, and not its hash, was changed.
        proven: bool,
    },
    /// The listed hash of a record was changed; the record itself is what was signed.
    HashEdited(Place),
    /// A personal value isn't the one that was sealed; its field.
    PersonalEdited(Place, String),
    /// A record was edited together with its hash, exchanged, or taken away and the rest renumbered: somewhere from the first to
    /// before the second number.
    EditedBetween(Place, u64, u64),
    /// Records are missing before this one: the number that was expected.
    Dropped(Place, u64),
    /// A record stands there a second time.
    Duplicate(Place),
    /// A record stands before the one that should come first: the number that was expected.
    Reordered(Place, u64),
    /// The export ends before its last checkpoint: how many records it has of how many.
    Truncated(Place, u64, u64),
    /// Something follows the last checkpoint.
    AfterEnd(Place),
    /// A record belongs to another log: what it says, and what was expected.
    Foreign(Place, String, String),
    /// A checkpoint or rotation isn't believed.
    Checkpoint(Place, NoteError),
    /// A checkpoint is signed by a key that had been replaced.
    RetiredKey(Place),
    /// A checkpoint or rotation says another size or origin than its place: what was expected.
    Misplaced(Place, String),
    /// The log is smaller than it was at the checkpoint known from before: its size now, and then.
    Shrunk(Place, u64, u64),
    /// The log isn't a continuation of the one of the checkpoint known from before: its history was rewritten before this number.
    Rewritten(Place, u64),
    /// The checkpoint known from before can't be compared: why, and what to do.
    Incomparable(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Unreadable(at, why) => write!(f, "{at}: can't be read: {}", shown(why)),
            Finding::NotExport(at, expected) => write!(f, "{at}: changed or damaged: expected {expected}"),
            Finding::Edited { at, proven: true } => {
                write!(f, "{at}: edited; its hash is in the signed tree, what stands here has another one")
            }
            Finding::Edited { at, proven: false } => {
                write!(f, "{at}: edited; what stands here doesn't have the hash listed beside it")
            }
            Finding::HashEdited(at) => {
                write!(f, "{at}: the hash listed beside it was changed; the record is what was signed")
            }
            Finding::PersonalEdited(at, field) => {
                write!(f, "{at}: the personal value of `{}` is not the one that was sealed", shown(field))
            }
            Finding::EditedBetween(at, from, to) => write!(
                f,
                "records {from} to {}: one of them was changed together with its hash, exchanged or replaced; the checkpoint over {to} records ({at}) says so",
                to.saturating_sub(1)
            ),
            Finding::Dropped(at, expected) => write!(f, "record {expected} is missing: {at} comes instead"),
            Finding::Duplicate(at) => write!(f, "{at}: stands there a second time"),
            Finding::Reordered(at, expected) => write!(f, "{at}: stands before record {expected}"),
            Finding::Truncated(at, have, size) => write!(
                f,
                "the export ends after line {} with {have} of {size} records or without its last checkpoint: its tail was cut off",
                at.line
            ),
            Finding::AfterEnd(at) => write!(f, "{at}: follows the last checkpoint, where nothing may"),
            Finding::Foreign(at, says, expected) => {
                write!(f, "{at}: belongs to {}, not to {}", shown(says), shown(expected))
            }
            Finding::Checkpoint(at, why) => write!(f, "{at}: {why}"),
            Finding::RetiredKey(at) => write!(f, "{at}: signed only by a key that had been replaced by then"),
            Finding::Misplaced(at, expected) => write!(f, "{at}: expected {}", shown(expected)),
            Finding::Shrunk(at, now, then) => {
                write!(
                    f,
                    "the log has {now} records ({at}), but had {then} at the checkpoint known from before"
                )
            }
            Finding::Rewritten(at, size) => write!(
                f,
                "{at}: the first {size} records are not those of the checkpoint known from before: history was rewritten"
            ),
            Finding::Incomparable(why) => {
                write!(f, "the checkpoint known from before can't be compared: {why}")
            }
        }
    }
}

impl std::error::Error for Finding {}

/// Text from the file, safe to show.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(120).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", short.escape_debug())
}
