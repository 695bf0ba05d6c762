//! Makes the engine's directories of an organization from what is stored: one for the shipped set, one for its own.
//!
//! In:    two vocabularies, the living objects of one organization, row by row, the time.
//! Out:   [`Built`]: both directories, the accounts beside them, and what of the stored has no meaning in the own set.
//! Law:   what is deleted or stands below something deleted isn't there, so nothing allows it; what is disabled or
//!        expired is there to be acted on, under a boundary that refuses everything. A ceiling that can't be found
//!        takes what it was on away with it, never only itself. What has no meaning is remembered, so that it denies;
//!        a group without meaning would take its denials with it, so nothing is built then. Rows are read one by one:
//!        what it takes beside the directories doesn't grow with bindings, memberships and links.

use super::ahead;
use super::facts::{FOREVER, Fact, Known, Reader, Row};
use super::known::{Accounts, Ends, Uid};
use super::object::Kind;
use super::store::{Read, StoreError, StoredRow};
use crate::{BoundaryId, Change, Directory, Editor, ScopeIx, Vocabulary};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// Something stored that a vocabulary has no meaning for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaningless {
    /// Kind and uid.
    pub kind: Kind,
    /// Its uid.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
    /// Which of its fields; empty for the whole.
    pub field: String,
}

/// What building gave.
#[derive(Debug)]
pub struct Built {
    /// The directory of the shipped set.
    pub guard: Directory,
    /// The directory of the own set.
    pub own: Directory,
    /// The accounts of the own directory.
    pub accounts: Accounts,
    /// When they end.
    pub ends: Ends,
    /// The first moment at which one of them ends.
    pub until: i64,
    /// What was left out because the own vocabulary doesn't know it.
    pub meaningless: Vec<Meaningless>,
    /// Accounts and resources that are stored and not in the own directory, by kind and id.
    pub gone: HashSet<(String, String)>,
    /// Whether everything that is stored is what it says: then small changes can be made of it.
    pub whole: bool,
}

/// Why an organization can't be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmade {
    /// The store can't be read.
    Unread(StoreError),
    /// What is stored contradicts itself.
    Contradiction(String),
}

impl From<StoreError> for Unmade {
    fn from(error: StoreError) -> Unmade {
        Unmade::Unread(error)
    }
}

/// The rows of one organization, and how many were read.
pub struct Rows<'a> {
    /// The store.
    pub read: &'a mut dyn Read,
    /// The organization.
    pub org: &'a str,
    /// Rows read so far, for whoever waits.
    pub seen: &'a AtomicU64,
    /// How many there are of each kind that was read.
    pub counts: HashMap<Kind, u64>,
}

impl<'a> Rows<'a> {
    /// Of a store; `seen` counts those that were read.
    pub fn of(read: &'a mut dyn Read, org: &'a str, seen: &'a AtomicU64) -> Rows<'a> {
        Rows { read, org, seen, counts: HashMap::new() }
    }

    fn each(&mut self, kind: Kind, see: &mut dyn FnMut(&StoredRow<'_>)) -> Result<(), StoreError> {
        let (seen, mut count) = (self.seen, 0);
        ahead::rows(&mut *self.read, self.org, kind, &mut |row| {
            seen.fetch_add(1, Ordering::Relaxed);
            count += 1;
            see(row);
        })?;
        self.counts.insert(kind, count);
        Ok(())
    }
}

/// How often what the engine refuses is left out before giving up.
const ROUNDS_MAX: usize = 64;

const GUARD: usize = 0;
const OWN: usize = 1;

/// Builds both.
pub fn build(guard: &Vocabulary, own: &Vocabulary, rows: &mut Rows<'_>, now: i64) -> Result<Built, Unmade> {
    // What the engine refuses is left out, and all is made again without it: what names it goes with it.
    let mut without = [HashSet::new(), HashSet::new()];
    let mut refused = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let mut work = Work::new(guard, own, &without, now);
        work.all(rows)?;
        if work.refused.iter().all(Vec::is_empty) {
            return work.done(refused);
        }
        let [of_guard, of_own] = std::mem::take(&mut work.refused);
        drop(work);
        without[GUARD].extend(of_guard.into_iter().map(|m| m.uid));
        without[OWN].extend(of_own.iter().map(|m| m.uid.clone()));
        refused.extend(of_own);
    }
    Err(Unmade::Contradiction("what is stored contradicts itself too often".to_owned()))
}

/// A thing that isn't an account of the own directory: its name, and in which of the two it is.
struct Other {
    kind: Kind,
    name: SmolStr,
    there: [bool; 2],
    /// The numbers of a place.
    places: [Option<ScopeIx>; 2],
}

struct Half<'v> {
    reader: Reader<'v>,
    editor: Editor<'v>,
}

/// Both directories while they are made.
pub struct Work<'v> {
    halves: [Half<'v>; 2],
    without: &'v [HashSet<String>; 2],
    now: i64,
    accounts: Accounts,
    ends: Ends,
    until: i64,
    meaningless: Vec<Meaningless>,
    refused: [Vec<Meaningless>; 2],
    gone: HashSet<(String, String)>,
    /// A group that isn't in the own directory.
    lost: Option<Meaningless>,
    whole: bool,
    /// Places and groups; accounts that aren't in both directories.
    others: FxHashMap<Uid, Other>,
    /// What a boundary is attached to that isn't known.
    cut: HashSet<String>,
    /// Accounts that are read and not made yet; whether the last one is such.
    waiting: FxHashMap<Uid, (Kind, SmolStr)>,
    waits: bool,
    failed: Option<String>,
}

/// What is known in one of the two directories.
struct Side<'a> {
    accounts: &'a Accounts,
    own: &'a Directory,
    others: &'a FxHashMap<Uid, Other>,
    waiting: &'a FxHashMap<Uid, (Kind, SmolStr)>,
    side: usize,
}

impl Side<'_> {
    fn find(&self, uid: &str) -> Option<(Kind, SmolStr, bool)> {
        let uid = Uid::of(uid)?;
        if let Some(other) = self.others.get(&uid) {
            return Some((other.kind, other.name.clone(), other.there[self.side]));
        }
        let account = &self.own.accounts[self.accounts.number(uid)?.index()];
        Some((uid.kind(), account.entity.id.clone(), true))
    }
}

impl Known for Side<'_> {
    fn there(&mut self, uid: &str) -> Option<(Kind, SmolStr)> {
        self.find(uid).filter(|(.., there)| *there).map(|(kind, name, _)| (kind, name))
    }

    fn living(&mut self, uid: &str) -> Option<(Kind, SmolStr)> {
        let found = self.find(uid).map(|(kind, name, _)| (kind, name));
        found.or_else(|| self.waiting.get(&Uid::of(uid)?).cloned())
    }
}

impl<'v> Work<'v> {
    /// Empty ones; `without` says what is left out on each side.
    pub fn new(
        guard: &'v Vocabulary,
        own: &'v Vocabulary,
        without: &'v [HashSet<String>; 2],
        now: i64,
    ) -> Work<'v> {
        let half = |vocabulary: &'v Vocabulary, ours: bool| Half {
            reader: Reader::new(vocabulary, ours),
            editor: Editor::new(vocabulary, Directory::default()),
        };
        Work {
            halves: [half(guard, true), half(own, false)],
            without,
            now,
            accounts: Accounts::default(),
            ends: Ends::default(),
            until: FOREVER,
            meaningless: Vec::new(),
            refused: [Vec::new(), Vec::new()],
            gone: HashSet::new(),
            lost: None,
            whole: without.iter().all(HashSet::is_empty),
            others: FxHashMap::default(),
            cut: HashSet::new(),
            waiting: FxHashMap::default(),
            waits: false,
            failed: None,
        }
    }

    /// Reads everything, what is referred to first.
    pub fn all(&mut self, rows: &mut Rows<'_>) -> Result<(), Unmade> {
        let attached = self.attachments(rows)?;
        self.scopes(rows)?;
        rows.each(Kind::Group, &mut |row| self.row(Kind::Group, row, Self::stand))?;
        self.all_accounts(rows)?;
        self.attach(&attached);
        rows.each(Kind::Membership, &mut |row| self.row(Kind::Membership, row, Self::plain))?;
        self.resources(rows)?;
        rows.each(Kind::Binding, &mut |row| self.row(Kind::Binding, row, Self::binding))?;
        rows.each(Kind::Link, &mut |row| self.row(Kind::Link, row, Self::plain))?;
        self.failed.take().map_or(Ok(()), |why| Err(Unmade::Contradiction(why)))
    }

    /// Accounts; those whose attributes name others once all names are known.
    fn all_accounts(&mut self, rows: &mut Rows<'_>) -> Result<(), Unmade> {
        let mut waiting = Vec::new();
        for kind in [Kind::User, Kind::ServiceAccount, Kind::Agent] {
            rows.each(kind, &mut |stored| {
                self.row(kind, stored, |work, row| {
                    let Some(uid) = Uid::of(row.uid).filter(|_| row.names_others()) else {
                        return work.stand(row);
                    };
                    work.waiting.insert(uid, (row.kind, row.name.into()));
                    work.waits = true;
                });
                if std::mem::take(&mut self.waits) {
                    waiting.push((kind, stored.copy()));
                }
            })?;
        }
        waiting.iter().for_each(|(kind, row)| self.row(*kind, &row.borrow(), Self::stand));
        Ok(())
    }

    /// Puts one more thing in, of which everything that it names is there. After an error all of it is of no more use.
    pub fn add(&mut self, row: &Row<'_>) -> Result<(), Meaningless> {
        match row.kind {
            Kind::Attachment => {
                let mut found = Vec::new();
                self.attachment(row, &mut found);
                self.attach(&found);
            }
            Kind::Resource => drop(self.put_resource(row, true)),
            kind if kind.is_scope() || kind.is_account() || kind == Kind::Group => self.stand(row),
            Kind::Binding => self.binding(row),
            _ => self.plain(row),
        }
        let refused = self.refused.iter_mut().find_map(Vec::pop);
        if let Some(wrong) = self.meaningless.pop().or(refused) {
            return Err(wrong);
        }
        match self.failed.take() {
            Some(why) => Err(meaningless(row, why)),
            None if !self.whole => Err(meaningless(row, "it names or stands in something that isn't there")),
            None => Ok(()),
        }
    }

    /// The directories, if they are whole enough to decide by.
    pub fn done(self, refused: Vec<Meaningless>) -> Result<Built, Unmade> {
        if let Some(lost) = self.lost {
            let why = refused.iter().chain(&self.meaningless).find(|m| m.uid == lost.uid);
            let why = why.map_or("it has no meaning", |m| &m.why);
            return Err(Unmade::Contradiction(format!("group `{}`: {why}", lost.name)));
        }
        if let Some(lost) = refused.iter().find(|m| m.kind == Kind::Membership) {
            return Err(Unmade::Contradiction(format!("membership `{}`: {}", lost.uid, lost.why)));
        }
        let [guard, own] = self.halves.map(|half| half.editor.finish().0);
        let mut meaningless = self.meaningless;
        meaningless.extend(refused);
        let (accounts, ends, until, gone, whole) =
            (self.accounts, self.ends, self.until, self.gone, self.whole);
        Ok(Built { guard, own, accounts, ends, until, meaningless, gone, whole })
    }

    fn row(&mut self, kind: Kind, row: &StoredRow<'_>, take: impl FnOnce(&mut Self, &Row<'_>)) {
        match Row::read((kind, row.uid, row.name, row.scope), row.body, row.refs) {
            Ok(row) => take(self, &row),
            Err(why) => {
                self.failed.get_or_insert(why);
            }
        }
    }

    /// The fact of a row on one side; what isn't one is remembered.
    fn fact(&mut self, side: usize, row: &Row<'_>) -> Option<Change> {
        if self.without[side].contains(row.uid) {
            return None;
        }
        let own = self.halves[OWN].editor.directory();
        let (others, waiting) = (&self.others, &self.waiting);
        let mut known = Side { accounts: &self.accounts, own, others, waiting, side };
        match self.halves[side].reader.fact(row, &mut known) {
            Fact::Is(_) if side == OWN && self.cut.contains(row.uid) => None,
            Fact::Is(change) => Some(change),
            Fact::None => None,
            Fact::Astray => {
                self.whole = false;
                None
            }
            Fact::Meaningless { field, why } => {
                self.whole = false;
                if side == OWN {
                    self.meaningless.push(Meaningless { field, ..meaningless(row, why) });
                }
                None
            }
        }
    }

    /// Makes a change on one side; whether the engine took it.
    fn make(&mut self, side: usize, row: &Row<'_>, change: &Change) -> bool {
        match self.halves[side].editor.change(change) {
            Ok(()) => true,
            Err(error) => {
                self.refused[side].push(meaningless(row, error.message));
                false
            }
        }
    }

    /// A binding. There are very many, and of most it is enough to look at numbers.
    fn binding(&mut self, row: &Row<'_>) {
        if self.usual(row).is_none() {
            self.plain(row);
        }
    }

    /// Puts a binding in that says no more than most do, as [`Work::plain`] would; none, and nothing is done, where that takes
    /// looking closer.
    fn usual(&mut self, row: &Row<'_>) -> Option<()> {
        let usual = row.usual()?;
        let place = self.others.get(&usual.scope)?;
        let left_out = self.cut.contains(row.uid) || self.without.iter().any(|w| w.contains(row.uid));
        if left_out
            || place.there != [true, true]
            || place.name != row.scope
            || self.others.contains_key(&usual.holder)
        {
            return None;
        }
        let account = self.accounts.number(usual.holder)?;
        let id = self.halves[OWN].editor.directory().accounts.get(account.index())?.entity.id.clone();
        let [guard, own] = &mut self.halves;
        let role = own.reader.role(usual.role)?;
        let stands = |half: &Half<'_>, at: ScopeIx| {
            let kind = half.reader.own(usual.holder.kind())?;
            half.editor.stand_at((account, kind, &id), (at, row.scope)).then_some(())
        };
        let [Some(at_guard), Some(at)] = place.places else { return None };
        stands(own, at)?;
        // What our own set doesn't know, the organization's does.
        if let Some(role) = guard.reader.role(usual.role) {
            stands(guard, at_guard)?;
            guard.editor.bind_at(account, at_guard, role, usual.until);
        }
        own.editor.bind_at(account, at, role, usual.until);
        Some(())
    }

    /// A row that nothing else names.
    fn plain(&mut self, row: &Row<'_>) {
        for side in [GUARD, OWN] {
            if let Some(change) = self.fact(side, row) {
                self.make(side, row, &change);
            }
        }
    }

    /// A place, group or account.
    fn stand(&mut self, row: &Row<'_>) {
        let there = [GUARD, OWN].map(|side| {
            let change = self.fact(side, row);
            change.is_some_and(|change| self.make(side, row, &change))
        });
        let Some(uid) = Uid::of(row.uid) else {
            self.failed.get_or_insert(format!("`{}` is no uid of ours", row.uid));
            return;
        };
        let account = row.kind.is_account();
        if !account || there != [true, true] {
            let number = |half: &Half<'_>| half.editor.directory().scope(row.name);
            let places = if row.kind.is_scope() { self.halves.each_ref().map(number) } else { [None, None] };
            let other = Other { kind: row.kind, name: row.name.into(), there, places };
            self.others.insert(uid, other);
        }
        if !there[OWN] {
            self.whole = false;
            match row.kind {
                Kind::Group => drop(self.lost.get_or_insert(meaningless(row, ""))),
                _ if account => drop(self.gone.insert((row.kind.wire().to_owned(), row.name.to_owned()))),
                _ => {}
            }
        }
        if account {
            self.switch(row, uid, there);
        }
    }

    /// Notes the end of an account, and bounds it if it is switched off.
    fn switch(&mut self, row: &Row<'_>, uid: Uid, there: [bool; 2]) {
        let off = row.is_off(self.now);
        for side in [GUARD, OWN].into_iter().filter(|side| off && there[*side]) {
            let reader = &self.halves[side].reader;
            let to = reader.entity(row.kind, row.name).expect("build: what is there has a kind");
            let change = Change::Attach { boundary: reader.off(), to };
            self.make(side, row, &change);
        }
        if there[OWN] {
            self.accounts.insert(uid, row.owned_by(), row.ends(), off);
            if !off && row.ends() < FOREVER {
                self.ends.note(row.ends(), uid);
                self.until = self.until.min(row.ends());
            }
        }
    }

    /// Boundaries that are known, with the uids of what they are attached to and their own.
    fn attachments(&mut self, rows: &mut Rows<'_>) -> Result<Vec<(String, String, BoundaryId)>, Unmade> {
        let mut found = Vec::new();
        rows.each(Kind::Attachment, &mut |row| {
            self.row(Kind::Attachment, row, |work, row| work.attachment(row, &mut found));
        })?;
        Ok(found)
    }

    fn attachment(&mut self, row: &Row<'_>, found: &mut Vec<(String, String, BoundaryId)>) {
        let Some(to) = row.refers("to") else { return self.whole = false };
        match self.halves[OWN].reader.attached(row) {
            Ok(boundary) => found.push((row.uid.to_owned(), to.to_owned(), boundary)),
            Err(why) => {
                self.whole = false;
                self.cut.insert(to.to_owned());
                self.meaningless.push(meaningless(row, why));
            }
        }
    }

    fn attach(&mut self, attached: &[(String, String, BoundaryId)]) {
        for (uid, to, boundary) in attached {
            let own = self.halves[OWN].editor.directory();
            let (others, waiting) = (&self.others, &self.waiting);
            let found = Side { accounts: &self.accounts, own, others, waiting, side: OWN }.there(to);
            let entity = found.and_then(|(kind, name)| self.halves[OWN].reader.entity(kind, &name));
            let Some(to) = entity else {
                self.whole = false;
                continue;
            };
            if let Err(error) = self.halves[OWN].editor.change(&Change::Attach { boundary: *boundary, to }) {
                self.failed.get_or_insert(format!("attachment `{uid}`: {}", error.message));
            }
        }
    }

    /// Places, those above first.
    fn scopes(&mut self, rows: &mut Rows<'_>) -> Result<(), Unmade> {
        let mut all = Vec::new();
        for kind in [Kind::Organization, Kind::Project, Kind::Environment] {
            rows.each(kind, &mut |row| all.push((kind, row.copy())))?;
        }
        all.sort_by_cached_key(|(_, row)| (row.name.matches('/').count(), row.name.clone()));
        all.iter().for_each(|(kind, row)| self.row(*kind, &row.borrow(), Self::stand));
        Ok(())
    }

    /// Registered resources, those that others sit in first.
    fn resources(&mut self, rows: &mut Rows<'_>) -> Result<(), Unmade> {
        let mut waiting = Vec::new();
        rows.each(Kind::Resource, &mut |stored| {
            if !self.resource(stored, false) {
                waiting.push(stored.copy());
            }
        })?;
        loop {
            let before = waiting.len();
            waiting.retain(|row| !self.resource(&row.borrow(), false));
            if waiting.len() == before {
                break;
            }
        }
        // Whoever is left sits in something that isn't there: the engine says so.
        for row in &waiting {
            self.resource(&row.borrow(), true);
        }
        Ok(())
    }

    fn resource(&mut self, stored: &StoredRow<'_>, nonetheless: bool) -> bool {
        let mut taken = true;
        self.row(Kind::Resource, stored, |work, row| taken = work.put_resource(row, nonetheless));
        taken
    }

    /// Puts a resource in; false if what it sits in isn't there yet, unless it is put in nonetheless.
    fn put_resource(&mut self, row: &Row<'_>, nonetheless: bool) -> bool {
        let noted = self.meaningless.len();
        let change = self.fact(OWN, row);
        if let Some(Change::PutResource { parent: Some(parent), .. }) = &change {
            let directory = self.halves[OWN].editor.directory();
            if !nonetheless && directory.resource(parent).is_none() {
                self.meaningless.truncate(noted);
                return false;
            }
        }
        if !change.is_some_and(|change| self.make(OWN, row, &change)) {
            self.whole = false;
            let named = row.resource().map(|(kind, id)| (kind.to_owned(), id.to_owned()));
            self.gone.extend(named);
        }
        true
    }
}

fn meaningless(row: &Row<'_>, why: impl Into<String>) -> Meaningless {
    let (uid, name) = (row.uid.to_owned(), row.name.to_owned());
    Meaningless { kind: row.kind, uid, name, why: why.into(), field: String::new() }
}
