//! Looks for records through an index that is made after them.
//!
//! In:    the logs, as far as they go; what is looked for.
//! Out:   the ranges of records that have to be read.
//! Law:   nothing waits for the index: what it doesn't cover yet is read. It can be deleted; it is made anew.

use super::running::Service;
use super::store::Read;
use crate::audit::files::Disk;
use crate::audit::index::{BLOCK, Index, Word};
use crate::audit::merkle::Leaves;
use crate::audit::record::{Entry, Log};
use crate::audit::{DayError, DayLog};
use serde_json::Value;
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// How long the index is gone on with at once: deciding comes first.
const AT_ONCE: Duration = Duration::from_millis(200);

/// The indexes of all logs.
pub struct Finder {
    folder: PathBuf,
    indexes: Mutex<HashMap<(String, &'static str), Index>>,
}

impl Finder {
    /// The indexes in a folder.
    pub fn in_folder(folder: PathBuf) -> Finder {
        Finder { folder, indexes: Mutex::default() }
    }

    fn known(&self, org: &str, log: Log) -> Option<Index> {
        let held = self.indexes.lock().expect("finder: nobody panics holding indexes");
        held.get(&(org.to_owned(), log.name())).cloned()
    }

    /// Up to which record the index goes.
    pub fn through(&self, org: &str, log: Log) -> u64 {
        self.known(org, log).map_or(0, |index| index.through())
    }

    /// Which records from a number on may have all these words. Without words: all of them.
    pub fn ranges(&self, org: &str, log: Log, words: &[Word], records: Range<u64>) -> Vec<Range<u64>> {
        let Some(index) = self.known(org, log).filter(|_| !words.is_empty()) else { return vec![records] };
        let blocks = match index.blocks(words) {
            Ok(blocks) => blocks,
            Err(error) => {
                tracing::warn!(%error, org, "the index can't be read: it is made anew");
                self.forget(org, log);
                return vec![records];
            }
        };
        let within = |range: Range<u64>| range.start.max(records.start)..range.end.min(records.end);
        let rest = std::iter::once(index.through()..u64::MAX);
        let found = blocks.into_iter().map(|first| first..first + BLOCK).chain(rest);
        found.map(within).filter(|range| !range.is_empty()).collect()
    }

    fn path(&self, org: &str, log: Log) -> PathBuf {
        self.folder.join(format!("{org}.{}", log.name()))
    }

    fn forget(&self, org: &str, log: Log) {
        self.indexes
            .lock()
            .expect("finder: nobody panics holding indexes")
            .remove(&(org.to_owned(), log.name()));
        // Whatever is left of it is not believed when it is opened again.
        let _ = std::fs::remove_file(self.path(org, log));
    }

    fn keep(&self, org: &str, log: Log, index: Index) {
        self.indexes
            .lock()
            .expect("finder: nobody panics holding indexes")
            .insert((org.to_owned(), log.name()), index);
    }

    fn open(
        &self,
        org: &str,
        log: Log,
        leaf: &dyn Fn(u64) -> Option<crate::audit::Hash32>,
    ) -> Result<Index, DayError> {
        match self.known(org, log) {
            Some(index) => Ok(index),
            None => {
                let made = std::fs::create_dir_all(&self.folder);
                made.map_err(|e| DayError::Io(self.folder.clone(), e))?;
                Index::open(Arc::new(Disk), &self.path(org, log), leaf)
            }
        }
    }

    /// Goes on with the indexes of an organization for a little while.
    pub fn go_on(&self, service: &Service, runtime: &Handle, org: &str) -> Result<(), String> {
        let until = Instant::now() + AT_ONCE;
        let through = self.known(org, Log::Decisions).map(|index| index.through());
        let more = move |log: &mut DayLog| {
            let enough = log.size() >= through.unwrap_or(0) + BLOCK || through.is_none();
            enough.then(|| log.snapshot())
        };
        if let Some(Some(log)) = runtime.block_on(service.decisions.look(org, more)) {
            self.decisions(org, &log, until).map_err(|e| e.to_string())?;
        }
        let changes = service.read(|read| Ok(self.changes(org, read, until)));
        changes.map_err(|problem| problem.detail)?
    }

    fn decisions(&self, org: &str, log: &DayLog, until: Instant) -> Result<(), DayError> {
        let leaf = |number: u64| log.leaves(number, 1).ok()?.pop();
        let mut index = self.open(org, Log::Decisions, &leaf)?;
        while index.through() + BLOCK <= log.size() && Instant::now() < until {
            let block = index.through()..index.through() + BLOCK;
            let mut words = Vec::new();
            // Of what retention has deleted nothing is left to be found.
            for found in log.records(log.kept_from().clamp(block.start, block.end)..block.end) {
                words.extend(words_of(&found?.1));
            }
            let Some(last) = leaf(block.end - 1) else { break };
            index.add(words, last)?;
        }
        self.keep(org, Log::Decisions, index);
        Ok(())
    }

    fn changes(&self, org: &str, read: &mut dyn Read, until: Instant) -> Result<(), String> {
        let failed = |e: super::store::StoreError| e.to_string();
        let size = u64::try_from(read.head(org).map_err(failed)?.0).unwrap_or(0);
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let mut index = {
            let read = std::cell::RefCell::new(&mut *read);
            let leaf = |n: u64| Some(read.borrow_mut().changes(org, number(n), 1).ok()?.pop()?.entry.leaf());
            self.open(org, Log::Changes, &leaf).map_err(|e| e.to_string())?
        };
        while index.through() + BLOCK <= size && Instant::now() < until {
            let rows = read.changes(org, number(index.through()), usize::try_from(BLOCK).unwrap_or(0));
            let rows = rows.map_err(failed)?;
            let Some(last) = rows.last().map(|row| row.entry.leaf()) else { break };
            let words = rows.iter().flat_map(|row| words_of(&row.entry)).collect();
            index.add(words, last).map_err(|e| e.to_string())?;
        }
        self.keep(org, Log::Changes, index);
        Ok(())
    }
}

/// Everything that a record can be found by.
fn words_of(entry: &Entry) -> Vec<Word> {
    let record: Value = serde_json::from_str(&entry.record).unwrap_or_default();
    let items = record["body"]["decided"]["decisions"].as_array();
    let mut words = Vec::new();
    let mut add = |field: &str, value: &Value| {
        if let Some(text) = value.as_str() {
            words.push(Word::of(field, text));
        }
    };
    let of_items = |field: &'static str| items.into_iter().flatten().map(move |d| &d[field]);
    for account in of_items("account").chain([&record["account"]]) {
        add("account", &account["uid"]);
        add("account", &account["id"]["plain"]);
        add("kind", &account["kind"]);
        add("credential", &account["credential"]);
    }
    of_items("event").for_each(|event| add("event", event));
    for scope in of_items("scope").chain([&record["scope"]]).filter_map(Value::as_str) {
        let ends = scope.match_indices('/').map(|(at, _)| at).chain([scope.len()]);
        words.extend(ends.map(|end| Word::of("below", &scope[..end])));
    }
    let named = entry.personal.iter().filter(|p| p.field == "account.id");
    words.extend(named.map(|p| Word::of("account", &p.value)));
    words
}

/// The words of a filter; none where the index knows nothing of it.
pub fn wanted(filters: &[(String, String)]) -> Vec<Word> {
    let known = ["account", "kind", "credential", "below"];
    let indexed =
        filters.iter().filter(|(field, value)| known.contains(&field.as_str()) && !value.is_empty());
    indexed.map(|(field, value)| Word::of(field, value)).collect()
}
