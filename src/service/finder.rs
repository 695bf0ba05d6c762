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
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Work after which there is a rest, so that what is asked meanwhile finds a processor.
const STEP: Duration = Duration::from_micros(500);
/// The rest, in times of the work before it: a seventh of one processor is taken at most.
const REST: u32 = 6;
/// Records between looks at the clock.
const LOOK: usize = 64;

/// How an index is gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Beside deciding, which comes first: in short steps with rests between them.
    Gentle,
    /// At full speed, where nobody waits.
    #[cfg(feature = "bench")]
    Full,
}

/// Work in steps.
struct Steps {
    pace: Pace,
    until: Instant,
    began: Instant,
}

impl Steps {
    fn new(pace: Pace, until: Instant) -> Steps {
        Steps { pace, until, began: Instant::now() }
    }

    fn more(&self) -> bool {
        Instant::now() < self.until
    }

    /// Rests if it is time to.
    fn pause(&mut self) {
        let worked = self.began.elapsed();
        if self.pace == Pace::Gentle && worked >= STEP {
            std::thread::sleep(worked * REST);
            self.began = Instant::now();
        }
    }
}

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

    /// Goes on with the indexes of an organization until then, or until they are as far as the logs.
    pub fn go_on(
        &self,
        service: &Service,
        runtime: &Handle,
        org: &str,
        (pace, until): (Pace, Instant),
    ) -> Result<(), String> {
        let mut steps = Steps::new(pace, until);
        let through = self.known(org, Log::Decisions).map(|index| index.through());
        let more = move |log: &mut DayLog| {
            let enough = log.size() >= through.unwrap_or(0) + BLOCK || through.is_none();
            enough.then(|| log.snapshot())
        };
        if let Some(Some(log)) = runtime.block_on(service.decisions.look(org, more)) {
            self.decisions(org, &log, &mut steps).map_err(|e| e.to_string())?;
        }
        // A block each time, so that nothing is held while it rests.
        loop {
            let added = service.read(|read| Ok(self.changes(org, read)));
            if !added.map_err(|problem| problem.detail)?? || !steps.more() {
                return Ok(());
            }
            steps.pause();
        }
    }

    fn decisions(&self, org: &str, log: &DayLog, steps: &mut Steps) -> Result<(), DayError> {
        let leaf = |number: u64| log.leaves(number, 1).ok()?.pop();
        let mut index = self.open(org, Log::Decisions, &leaf)?;
        // Of what retention has deleted nothing is left to be found. One pass over all blocks: each would begin before its first
        // record.
        let kept = log.kept_from();
        let mut records = log.records(kept.max(index.through())..log.size());
        while index.through() + BLOCK <= log.size() && steps.more() {
            let end = index.through() + BLOCK;
            let count = end - kept.clamp(index.through(), end);
            let mut words = Vec::new();
            let of_block = records.by_ref().take(usize::try_from(count).unwrap_or(usize::MAX));
            for (n, found) in of_block.enumerate() {
                words.extend(words_of(&found?.1));
                if n % LOOK == LOOK - 1 {
                    steps.pause();
                }
            }
            let Some(last) = leaf(end - 1) else { break };
            index.add(words, last)?;
        }
        self.keep(org, Log::Decisions, index);
        Ok(())
    }

    /// Adds a block; whether there was one.
    fn changes(&self, org: &str, read: &mut dyn Read) -> Result<bool, String> {
        let failed = |e: super::store::StoreError| e.to_string();
        let size = u64::try_from(read.head(org).map_err(failed)?.0).unwrap_or(0);
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let mut index = {
            let read = std::cell::RefCell::new(&mut *read);
            let leaf = |n: u64| Some(read.borrow_mut().changes(org, number(n), 1).ok()?.pop()?.entry.leaf());
            self.open(org, Log::Changes, &leaf).map_err(|e| e.to_string())?
        };
        let mut added = false;
        if index.through() + BLOCK <= size {
            let rows = read.changes(org, number(index.through()), usize::try_from(BLOCK).unwrap_or(0));
            let rows = rows.map_err(failed)?;
            if let Some(last) = rows.last().map(|row| row.entry.leaf()) {
                let words = rows.iter().flat_map(|row| words_of(&row.entry)).collect();
                index.add(words, last).map_err(|e| e.to_string())?;
                added = true;
            }
        }
        self.keep(org, Log::Changes, index);
        Ok(added)
    }
}

/// Of a record what it can be found by, as it stands in its text.
#[derive(Default, Deserialize)]
struct Named<'r> {
    #[serde(borrow, default)]
    account: Option<Account<'r>>,
    #[serde(borrow, default)]
    chain: Vec<Account<'r>>,
    #[serde(borrow, default)]
    scope: Option<Text<'r>>,
    #[serde(borrow, default)]
    body: About<'r>,
}

#[derive(Default, Deserialize)]
struct About<'r> {
    #[serde(borrow, default)]
    decided: Option<Decided<'r>>,
}

#[derive(Deserialize)]
struct Decided<'r> {
    #[serde(borrow, default)]
    decisions: Vec<Item<'r>>,
}

#[derive(Deserialize)]
struct Item<'r> {
    #[serde(borrow, default)]
    event: Option<Text<'r>>,
    #[serde(borrow, default)]
    account: Option<Account<'r>>,
    #[serde(borrow, default)]
    chain: Vec<Account<'r>>,
    #[serde(borrow, default)]
    scope: Option<Text<'r>>,
}

#[derive(Deserialize)]
struct Account<'r> {
    #[serde(borrow, default)]
    uid: Option<Text<'r>>,
    #[serde(borrow, default)]
    id: Id<'r>,
    #[serde(borrow, default)]
    kind: Option<Text<'r>>,
    #[serde(borrow, default)]
    credential: Option<Text<'r>>,
}

#[derive(Default, Deserialize)]
struct Id<'r> {
    #[serde(borrow, default)]
    plain: Option<Text<'r>>,
}

/// A text that is borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'r>(#[serde(borrow)] Cow<'r, str>);

/// Everything that a record can be found by.
fn words_of(entry: &Entry) -> Vec<Word> {
    let record: Named<'_> = serde_json::from_str(&entry.record).unwrap_or_default();
    let items = record.body.decided.map(|decided| decided.decisions).unwrap_or_default();
    let mut words = Vec::new();
    let mut add = |field: &str, value: &Option<Text<'_>>| {
        words.extend(value.iter().map(|text| Word::of(field, &text.0)));
    };
    for account in items.iter().map(|item| &item.account).chain([&record.account]).flatten() {
        add("account", &account.uid);
        add("account", &account.id.plain);
        add("kind", &account.kind);
        add("credential", &account.credential);
    }
    for behind in items.iter().flat_map(|item| &item.chain).chain(&record.chain) {
        add("account", &behind.uid);
        add("account", &behind.id.plain);
    }
    items.iter().for_each(|item| add("event", &item.event));
    for scope in items.iter().map(|item| &item.scope).chain([&record.scope]).flatten() {
        let ends = scope.0.match_indices('/').map(|(at, _)| at).chain([scope.0.len()]);
        words.extend(ends.map(|end| Word::of("below", &scope.0[..end])));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::{Actor, Body, ChangeFacts, DecisionFacts, Draft, Fact, Moment, Record};
    use serde_json::{Value, json};
    use std::collections::{BTreeMap, BTreeSet};

    /// What the words say, read field by field from the whole record.
    fn plainly(entry: &Entry) -> BTreeSet<Word> {
        let record: Value = serde_json::from_str(&entry.record).expect("a record is JSON");
        let items = record["body"]["decided"]["decisions"].as_array().cloned().unwrap_or_default();
        let mut words = BTreeSet::new();
        for account in items.iter().map(|item| &item["account"]).chain([&record["account"]]) {
            let fields = [("account", &account["uid"]), ("account", &account["id"]["plain"])];
            for (field, value) in fields.into_iter().chain(["kind", "credential"].map(|f| (f, &account[f]))) {
                words.extend(value.as_str().map(|text| Word::of(field, text)));
            }
        }
        let behind = items.iter().map(|item| &item["chain"]).chain([&record["chain"]]);
        for account in behind.flat_map(|chain| chain.as_array().into_iter().flatten()) {
            let named = [&account["uid"], &account["id"]["plain"]];
            words.extend(named.into_iter().filter_map(|v| Some(Word::of("account", v.as_str()?))));
        }
        words.extend(items.iter().filter_map(|item| Some(Word::of("event", item["event"].as_str()?))));
        for scope in items.iter().map(|item| &item["scope"]).chain([&record["scope"]]) {
            let parts: Vec<&str> = scope.as_str().into_iter().flat_map(|path| path.split('/')).collect();
            words.extend((1..=parts.len()).map(|n| Word::of("below", &parts[..n].join("/"))));
        }
        let named = entry.personal.iter().filter(|p| p.field == "account.id");
        words.extend(named.map(|p| Word::of("account", &p.value)));
        words
    }

    fn actor(id: Fact, uid: &str, credential: Option<&str>) -> Actor {
        Actor {
            kind: "service_account".to_owned(),
            id,
            uid: uid.to_owned(),
            credential: credential.map(str::to_owned),
            owner: Some("usr_1".to_owned()),
            groups: vec!["group \"a\"".to_owned()],
            roles: Vec::new(),
        }
    }

    fn decision(event: &str, account: Option<Actor>, scope: Option<&str>) -> DecisionFacts {
        DecisionFacts {
            event: event.to_owned(),
            action: "read".to_owned(),
            resource: Fact::Plain("document/plan".into()),
            inputs: BTreeMap::from([("context".to_owned(), Fact::Plain(json!({ "account": [1, null] })))]),
            allowed: true,
            step: "allow".to_owned(),
            rule: None,
            account,
            chain: Vec::new(),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn the_words_are_what_the_record_says() {
        let mut draft = Draft::new().expect("randomness");
        let sealed = draft.seal("usr_2", "account.id", "ana@example.com").expect("short");
        let quoted = Some(actor(Fact::from("ci \"\u{e9}\\\n"), "svc_1", None));
        let many = vec![
            decision("ev_1", quoted.clone(), None),
            decision("ev_2", Some(actor(sealed, "usr_2", Some("key_1"))), Some("acme/a \"b\"/live")),
        ];
        let change = ChangeFacts {
            action: "users.create".to_owned(),
            kind: "user".to_owned(),
            uid: "usr_3".to_owned(),
            after: Some(BTreeMap::from([("kind".to_owned(), Fact::from("user"))])),
        };
        let set = || "set_1".to_owned();
        let bodies = [
            (None, "acme", Body::Decided { policy_set: set(), decisions: many }, draft),
            (
                quoted,
                "acme/shop/live",
                Body::Decided { policy_set: set(), decisions: vec![decision("ev_3", None, None)] },
                Draft::new().expect("randomness"),
            ),
            (
                Some(actor(Fact::from("ci"), "svc_1", Some("key_2"))),
                "",
                Body::Changed { changes: vec![change], allowed_by: Vec::new() },
                Draft::new().expect("randomness"),
            ),
        ];
        let mut counts = Vec::new();
        for (account, scope, body, draft) in bodies {
            let record = Record {
                schema: crate::audit::record::RECORD_SCHEMA,
                log: Log::Decisions,
                id: "rec_1".to_owned(),
                time: Moment(1_790_000_000_000_000),
                organization: "org_1".to_owned(),
                scope: scope.to_owned(),
                account,
                chain: vec![actor(Fact::from("second"), "agt_9", Some("not by this"))],
                asked_by: None,
                directory_revision: 7,
                request: None,
                body,
            };
            let entry = draft.finish(&record).expect("a small record");
            let words: BTreeSet<Word> = words_of(&entry).into_iter().collect();
            assert_eq!(words, plainly(&entry), "{}", entry.record);
            counts.push(words.len());
        }
        assert_eq!(counts, [13, 9, 7]);
    }
}
