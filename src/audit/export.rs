//! A log as JSON Lines, to be verified elsewhere.
//!
//! In:    the tree and leaf hashes of a log, its entries, checkpoints and rotations.
//! Out:   one line each, in one spelling: a header, then `record`, `hash`, `checkpoint` and `rotation` lines, the last one
//!        a checkpoint over all of them. docs/audit-format.md describes them.
//! Law:   `verify` accepts what is written here; a line has one spelling, so that every changed byte is seen.

use super::bytes::{Hash32, Salt};
use super::merkle::{Leaves, Tree};
use super::note::Checkpoint;
use super::record::{Entry, Log, Personal};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// The version of the export's lines.
pub const EXPORT_SCHEMA: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`EXPORT_SCHEMA`].
    pub policyd_audit_export: u32,
    /// `<installation>/<organization>/<log>`.
    pub origin: String,
    /// The organization.
    pub organization: String,
    /// Which log.
    pub log: Log,
    /// The number of the first record of this export; numbers begin at 0.
    pub first: u64,
    /// The number of records of the log up to the end of this export.
    pub size: u64,
    /// Records before this number are there by their hash only: retention has deleted them.
    pub kept_from: u64,
    /// The roots of the full subtrees before `first`, largest first.
    pub before: Vec<Hash32>,
}

/// A line after the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    /// A record.
    Record(RecordLine),
    /// A record of which only the hash is kept.
    Hash {
        /// Its number.
        index: u64,
        /// The hash of its leaf.
        leaf: Hash32,
    },
    /// A signed checkpoint over all records before it.
    Checkpoint(String),
    /// A signed rotation; stands after the last record that the old key vouches for.
    Rotation(String),
}

/// A record's line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordLine {
    pub index: u64,
    pub leaf: Hash32,
    pub salt: Salt,
    pub record: String,
    pub personal: Vec<Personal>,
}

/// Writes an export, line by line.
#[derive(Debug)]
pub struct Exporter<W> {
    to: W,
    next: u64,
    header: Header,
}

impl<W: Write> Exporter<W> {
    /// Begins the export of the records from `first` to `size`, of which those before `kept_from` are hashes only.
    ///
    /// - Errors: there are no such records, the organization can't stand in an origin, or writing fails.
    pub fn begin(
        to: W,
        origin: &str,
        tree: &Tree,
        leaves: &(impl Leaves + ?Sized),
        range: std::ops::Range<u64>,
        kept_from: u64,
    ) -> io::Result<Exporter<W>> {
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
        let (organization, log) = named(origin)
            .ok_or_else(|| wrong(format!("`{origin}` is not `<installation>/<organization>/<log>`")))?;
        if range.start > range.end || range.end > tree.size() {
            return Err(wrong(format!("the log has {} records, not {range:?}", tree.size())));
        }
        let before = tree.edge_at(leaves, range.start)?.roots().to_vec();
        let header = Header {
            policyd_audit_export: EXPORT_SCHEMA,
            origin: origin.to_owned(),
            organization: organization.to_owned(),
            log,
            first: range.start,
            size: range.end,
            kept_from: kept_from.clamp(range.start, range.end),
            before,
        };
        let mut exporter = Exporter { to, next: range.start, header };
        let line = serde_json::to_string(&exporter.header)?;
        exporter.line(&line)?;
        Ok(exporter)
    }

    /// Writes the next record.
    pub fn record(&mut self, entry: &Entry) -> io::Result<()> {
        let line = RecordLine {
            index: self.next,
            leaf: entry.leaf(),
            salt: entry.salt,
            record: entry.record.clone(),
            personal: entry.personal.clone(),
        };
        self.take(self.next >= self.header.kept_from)?;
        self.line(&serde_json::to_string(&Line::Record(line))?)
    }

    /// Writes the next record's hash, where retention has deleted the record.
    pub fn hash(&mut self, leaf: Hash32) -> io::Result<()> {
        let line = Line::Hash { index: self.next, leaf };
        self.take(self.next < self.header.kept_from)?;
        self.line(&serde_json::to_string(&line)?)
    }

    /// Writes a checkpoint over the records so far; any number of them may stand between the records, and the more there
    /// are, the nearer a change of a record together with its hash is located.
    pub fn checkpoint(&mut self, note: &str) -> io::Result<()> {
        let size = Checkpoint::unverified(note).map_err(io::Error::other)?.size;
        if size != self.next {
            let text = format!("a checkpoint over {size} records after {} of them", self.next);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.line(&serde_json::to_string(&Line::Checkpoint(note.to_owned()))?)
    }

    /// Writes a rotation; it must stand where its size says.
    pub fn rotation(&mut self, note: &str) -> io::Result<()> {
        self.line(&serde_json::to_string(&Line::Rotation(note.to_owned()))?)
    }

    /// Ends the export with the checkpoint over all of it.
    ///
    /// - Errors: not all records were written, or writing fails.
    pub fn finish(mut self, note: &str) -> io::Result<W> {
        if self.next != self.header.size {
            let text = format!("{} records were announced, {} written", self.header.size, self.next);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.checkpoint(note)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn take(&mut self, fits: bool) -> io::Result<()> {
        if !fits || self.next == self.header.size {
            let text = format!("record {} is not one of this kind, or past the end", self.next);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.next += 1;
        Ok(())
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        self.to.write_all(text.as_bytes())?;
        self.to.write_all(b"\n")
    }
}

/// The organization and the log that an origin names.
pub(super) fn named(origin: &str) -> Option<(&str, Log)> {
    let (rest, log) = origin.rsplit_once('/')?;
    let (installation, organization) = rest.rsplit_once('/')?;
    let log = [Log::Changes, Log::Decisions].into_iter().find(|l| l.name() == log)?;
    (!installation.is_empty() && !organization.is_empty()).then_some((organization, log))
}
