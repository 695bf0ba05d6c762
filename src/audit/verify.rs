//! Verifies an export offline and names the first thing wrong with it.
//!
//! In:    an export, the keys that are trusted and, if there is one, a checkpoint known from before.
//! Out:   a [`Report`], or the first [`Finding`].
//! Law:   reads line by line, in bounded memory; accepts a line in its one spelling only, so no byte can change unseen. A tail
//!        that was cut off together with a smaller checkpoint of a trusted key is seen only with a checkpoint from before.

use super::bytes::Hash32;
use super::export::{EXPORT_SCHEMA, Header, Line, RecordLine, named};
use super::finding::{Finding, Place};
use super::merkle::{Edge, leaf_hash};
use super::note::{Checkpoint, NoteError, Rotation, VerifierKey};
use super::record::{Entry, Moment};
use crate::limits::EXPORT_LINE_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Read};

/// What a verified export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The header, confirmed.
    pub header: Header,
    /// The last checkpoint: keep it, and give it to the next verification.
    pub checkpoint: Checkpoint,
    /// Records there in full.
    pub records: u64,
    /// Records there by their hash only, deleted by retention.
    pub hashes: u64,
    /// Sealed values that are not there: erased, or not exported.
    pub erased: u64,
    /// Checkpoints verified, the last one included.
    pub checkpoints: u64,
    /// The keys trusted at the end: those given and those they were rotated to.
    pub keys: Vec<VerifierKey>,
    /// Whether the log continues that of a checkpoint known from before.
    pub continues: bool,
}

/// Verifies an export against the trusted keys and a checkpoint known from before.
pub fn verify(
    export: impl BufRead,
    trusted: &[VerifierKey],
    previous: Option<&Checkpoint>,
) -> Result<Report, Finding> {
    let mut lines = Lines { from: export, number: 0, line: Vec::new() };
    let header = header(&mut lines)?;
    let edge = Edge::of(header.first, header.before.clone()).ok_or_else(|| {
        Finding::NotExport(lines.at(None), "as many roots before as `first` needs".to_owned())
    })?;
    let mut state = State {
        alternative: None,
        suspect: None,
        sound: header.first,
        edge,
        header,
        keys: trusted.iter().map(|key| (key.clone(), None)).collect(),
        previous,
        compared: false,
        ended: None,
        report: (0, 0, 0, 0),
        pending: Vec::new(),
    };
    state.compare(&lines.at(None))?;
    loop {
        let line = match lines.next() {
            Ok(Some(line)) => state.take(line, &mut lines),
            Ok(None) => break,
            Err(finding) => Err(finding),
        };
        // Whatever is wrong now: a record that already didn't fit its hash comes first.
        line.map_err(|finding| state.suspected().unwrap_or(finding))?;
    }
    state.end(&lines.at(None))
}

fn header(lines: &mut Lines<impl BufRead>) -> Result<Header, Finding> {
    let expected = "the header of an audit export of version 1";
    let empty = lines.at(None);
    let line = lines.next()?.ok_or_else(|| Finding::NotExport(empty, expected.to_owned()))?;
    let header: Header =
        canonical(&line).ok_or_else(|| Finding::NotExport(lines.at(None), expected.to_owned()))?;
    let wrong = |what: &str| Err(Finding::NotExport(lines.at(None), what.to_owned()));
    if header.policyd_audit_export != EXPORT_SCHEMA {
        return wrong(expected);
    }
    if named(&header.origin) != Some((header.organization.as_str(), header.log)) {
        return wrong("an origin that ends in the organization and the log");
    }
    if !(header.first <= header.kept_from && header.kept_from <= header.size) {
        return wrong("`first`, `kept_from` and `size` in this order");
    }
    Ok(header)
}

/// The value of a line, if the line is its one spelling.
fn canonical<T: for<'de> Deserialize<'de> + Serialize>(line: &str) -> Option<T> {
    let value: T = serde_json::from_str(line).ok()?;
    (serde_json::to_string(&value).ok()? == line).then_some(value)
}

struct State<'a> {
    header: Header,
    edge: Edge,
    /// The first record that doesn't have the hash listed beside it.
    suspect: Option<Place>,
    /// The tree with the suspect's own hash in place of the listed one.
    alternative: Option<Edge>,
    /// The size of the last checkpoint whose root was right.
    sound: u64,
    /// The trusted keys, and up to which size each one signs.
    keys: Vec<(VerifierKey, Option<u64>)>,
    previous: Option<&'a Checkpoint>,
    compared: bool,
    ended: Option<Checkpoint>,
    report: (u64, u64, u64, u64),
    /// Rotations between keys that aren't trusted yet, oldest first: a later one has to vouch for them.
    pending: Vec<(String, Place)>,
}

impl State<'_> {
    fn take(&mut self, text: String, lines: &mut Lines<impl BufRead>) -> Result<(), Finding> {
        let place = lines.at(Some(self.edge.size()).filter(|n| *n < self.header.size));
        let Some(line) = canonical::<Line>(&text) else {
            return Err(Finding::NotExport(
                place,
                "a line of an audit export in its one spelling".to_owned(),
            ));
        };
        if self.ended.is_some() {
            return Err(Finding::AfterEnd(lines.at(None)));
        }
        match line {
            Line::Record(line) => self.record(line, lines),
            Line::Hash { index, leaf } => {
                let at = lines.at(Some(index));
                self.in_order(index, &at, lines)?;
                if index >= self.header.kept_from {
                    let expected = "the whole record; only its hash is there".to_owned();
                    return Err(Finding::NotExport(at, expected));
                }
                self.report.1 += 1;
                self.push(leaf, leaf, at)
            }
            Line::Checkpoint(note) => self.checkpoint(&note, lines.at(None)),
            Line::Rotation(note) => self.rotation(&note, lines.at(None)),
        }
    }

    fn record(&mut self, line: RecordLine, lines: &mut Lines<impl BufRead>) -> Result<(), Finding> {
        #[derive(Deserialize)]
        struct Says {
            id: String,
            time: Moment,
            organization: String,
            log: String,
        }
        let mut at = lines.at(Some(line.index));
        let says: Option<Says> = serde_json::from_str(&line.record).ok();
        at.says = says.as_ref().map(|s| (s.time.to_string(), s.id.clone()));
        self.in_order(line.index, &at, lines)?;
        let own = leaf_hash(&[&line.salt.0, line.record.as_bytes()]);
        let index = line.index;
        let leaf = line.leaf;
        let time = says.as_ref().map(|s| s.time).unwrap_or_default();
        let entry = Entry { salt: line.salt, record: line.record, personal: line.personal, time };
        if own == leaf {
            let log = (self.header.organization.as_str(), self.header.log.name());
            match &says {
                Some(s) if (s.organization.as_str(), s.log.as_str()) == log => {}
                Some(s) => {
                    let names = |o: &str, l: &str| format!("{o}/{l}");
                    return Err(Finding::Foreign(at, names(&s.organization, &s.log), names(log.0, log.1)));
                }
                None => {
                    return Err(Finding::NotExport(
                        at,
                        "a record with id, time, organization, log".to_owned(),
                    ));
                }
            }
            if let Some(personal) = entry.foreign() {
                return Err(Finding::PersonalEdited(at, personal.field.clone()));
            }
        }
        if index < self.header.kept_from {
            return Err(Finding::NotExport(at, "a hash only, as the header says".to_owned()));
        }
        self.report.0 += 1;
        let sealed = entry.record.matches("{\"sealed\":\"").count();
        self.report.2 += sealed.saturating_sub(entry.personal.len()) as u64;
        self.push(leaf, own, at)
    }

    /// Whether the record `index` is the next one; if not, what happened to it, as far as the following line tells.
    fn in_order(&self, index: u64, at: &Place, lines: &mut Lines<impl BufRead>) -> Result<(), Finding> {
        let expected = self.edge.size();
        if index == expected && index < self.header.size {
            return Ok(());
        }
        if index < expected {
            return Err(Finding::Duplicate(at.clone()));
        }
        if index >= self.header.size {
            return Err(Finding::NotExport(
                at.clone(),
                format!("no record past number {}", self.header.size),
            ));
        }
        let next = lines.next().ok().flatten().and_then(|text| canonical::<Line>(&text));
        let follows = matches!(&next, Some(Line::Record(RecordLine { index, .. }) | Line::Hash { index, .. }) if *index == expected);
        if follows {
            Err(Finding::Reordered(at.clone(), expected))
        } else {
            Err(Finding::Dropped(at.clone(), expected))
        }
    }

    fn push(&mut self, listed: Hash32, own: Hash32, at: Place) -> Result<(), Finding> {
        if let Some(edge) = &mut self.alternative {
            edge.push(own);
        } else if listed != own {
            let mut edge = self.edge.clone();
            edge.push(own);
            self.alternative = Some(edge);
            self.suspect = Some(at.clone());
        }
        self.edge.push(listed);
        self.compare(&at)
    }

    /// Compares with the checkpoint known from before, where its size is reached.
    fn compare(&mut self, at: &Place) -> Result<(), Finding> {
        let Some(previous) = self.previous.filter(|p| p.size == self.edge.size() && !self.compared) else {
            return Ok(());
        };
        self.compared = true;
        if self.suspect.is_none() && self.edge.root() != previous.root {
            return Err(Finding::Rewritten(at.clone(), previous.size));
        }
        Ok(())
    }

    fn trusted(&self, size: u64) -> (Vec<VerifierKey>, Vec<VerifierKey>) {
        let live = |until: &Option<u64>| until.is_none_or(|until| size <= until);
        let (live, retired): (Vec<_>, Vec<_>) = self.keys.iter().cloned().partition(|(_, until)| live(until));
        (live.into_iter().map(|k| k.0).collect(), retired.into_iter().map(|k| k.0).collect())
    }

    fn checkpoint(&mut self, note: &str, at: Place) -> Result<(), Finding> {
        let size = self.edge.size();
        let (live, retired) = self.trusted(size);
        let checkpoint = Checkpoint::open(note, &live).map_err(|error| {
            let old = matches!(error, NoteError::Untrusted(_)) && Checkpoint::open(note, &retired).is_ok();
            if old { Finding::RetiredKey(at.clone()) } else { Finding::Checkpoint(at.clone(), error) }
        })?;
        if (checkpoint.origin.as_str(), checkpoint.size) != (self.header.origin.as_str(), size) {
            let expected = format!("a checkpoint of {} over {size} records", self.header.origin);
            return Err(Finding::Misplaced(at, expected));
        }
        self.judge(&checkpoint, at)?;
        self.sound = size;
        self.report.3 += 1;
        if size == self.header.size {
            self.ended = Some(checkpoint);
        }
        Ok(())
    }

    /// Whether the signed root is that of the listed hashes, and if not, which record it is about.
    fn judge(&mut self, checkpoint: &Checkpoint, at: Place) -> Result<(), Finding> {
        let right = self.edge.root() == checkpoint.root;
        match self.suspect.take() {
            Some(at) if right => Err(Finding::Edited { at, proven: true }),
            Some(at) if self.alternative.as_ref().is_some_and(|e| e.root() == checkpoint.root) => {
                Err(Finding::HashEdited(at))
            }
            Some(at) => Err(Finding::Edited { at, proven: false }),
            None if right => Ok(()),
            None => Err(Finding::EditedBetween(at, self.sound, checkpoint.size)),
        }
    }

    fn rotation(&mut self, note: &str, at: Place) -> Result<(), Finding> {
        let keys: Vec<VerifierKey> = self.keys.iter().map(|k| k.0.clone()).collect();
        let size = self.edge.size();
        let rotation = match Rotation::open(note, &keys) {
            // Nothing is taken from it now; whoever is trusted in the end must have followed from it.
            Err(NoteError::Untrusted(_)) if Rotation::unverified_size(note) == Some(size) => {
                self.pending.push((note.to_owned(), at));
                return Ok(());
            }
            opened => opened.map_err(|e| Finding::Checkpoint(at.clone(), e))?,
        };
        if rotation.origin != self.header.origin || rotation.size != size {
            let expected = format!("a rotation of {} at {size} records", self.header.origin);
            return Err(Finding::Misplaced(at, expected));
        }
        // A key is replaced once: whoever finds the old one can't name another heir.
        if self.keys.iter().any(|(key, until)| *key == rotation.old && until.is_some()) {
            return Err(Finding::RetiredKey(at));
        }
        self.keys.retain(|(key, _)| *key != rotation.old);
        self.keys.push((rotation.old, Some(size)));
        if !keys.contains(&rotation.new) {
            self.keys.push((rotation.new, None));
        }
        Ok(())
    }

    /// The record that doesn't have its hash, when something else is found before a checkpoint could tell more.
    fn suspected(&mut self) -> Option<Finding> {
        self.suspect.take().map(|at| Finding::Edited { at, proven: false })
    }

    fn end(mut self, at: &Place) -> Result<Report, Finding> {
        if let Some(finding) = self.suspected() {
            return Err(finding);
        }
        // Newest first: a key that followed is trusted, then the one before it is.
        for (note, at) in std::mem::take(&mut self.pending).into_iter().rev() {
            let keys: Vec<VerifierKey> = self.keys.iter().map(|k| k.0.clone()).collect();
            let rotation = Rotation::open(&note, &keys).map_err(|e| Finding::Checkpoint(at.clone(), e))?;
            if rotation.origin != self.header.origin {
                return Err(Finding::Misplaced(at, format!("a rotation of {}", self.header.origin)));
            }
            self.keys.push((rotation.old, Some(rotation.size)));
        }
        let size = self.edge.size();
        let Some(checkpoint) = self.ended.take() else {
            return Err(Finding::Truncated(at.clone(), size, self.header.size));
        };
        if let Some(previous) = self.previous {
            if previous.origin != checkpoint.origin {
                let why = format!("it is of `{}`, not of `{}`", previous.origin, checkpoint.origin);
                return Err(Finding::Incomparable(why));
            }
            if previous.size > size {
                return Err(Finding::Shrunk(at.clone(), size, previous.size));
            }
            if !self.compared {
                let why = format!("it is over {0} records; export from record {0} or earlier", previous.size);
                return Err(Finding::Incomparable(why));
            }
        }
        let (records, hashes, erased, checkpoints) = self.report;
        let keys = self.trusted(u64::MAX).0;
        let continues = self.compared;
        Ok(Report { header: self.header, checkpoint, records, hashes, erased, checkpoints, keys, continues })
    }
}

/// Lines of bounded length that end in one newline each.
struct Lines<R> {
    from: R,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn at(&self, record: Option<u64>) -> Place {
        Place { line: self.number, record, says: None }
    }

    fn next(&mut self) -> Result<Option<String>, Finding> {
        self.line.clear();
        let read = (&mut self.from).take(EXPORT_LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut self.line);
        let read = read.map_err(|e| Finding::Unreadable(self.at(None), e.to_string()))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let at = self.at(None);
        if self.line.pop() != Some(b'\n') {
            let long = read > EXPORT_LINE_BYTES_MAX;
            let expected =
                if long { "a shorter line: at most 8 MiB" } else { "a newline at the end of the file" };
            return Err(Finding::NotExport(at, expected.to_owned()));
        }
        match std::str::from_utf8(&self.line) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(Finding::NotExport(at, "UTF-8".to_owned())),
        }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
