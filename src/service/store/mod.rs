//! The store: what survives. One interface, so that a second database can join with the same conformance suite.
//!
//! In:    objects and records, each with the organization it belongs to.
//! Out:   the same, exactly; [`StoreError`] in situations, not in the words of a database.
//! Law:   every query and every write is keyed by one organization: what belongs to another is not there.

#[cfg(test)]
mod conformance;
mod schema;
mod sqlite;

pub use sqlite::Sqlite;

use super::object::{Kind, Object};
use super::secret::new_uid;
use crate::audit::Hash32;
use crate::audit::record::Entry;

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// A living object of this kind has that name.
    Taken,
    /// An object of another organization was written.
    Crossing,
    /// It was written by a newer version.
    Newer {
        /// The schema found.
        found: i64,
        /// The newest known.
        known: i64,
    },
    /// It can't be read or written: full, read-only, damaged, gone.
    Failed(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Taken => f.write_str("the name is taken"),
            StoreError::Crossing => f.write_str("an object of another organization"),
            StoreError::Newer { found, known } => write!(
                f,
                "the database has schema {found}, this program knows up to {known}: run the newer program"
            ),
            StoreError::Failed(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for StoreError {}

/// What the store answers.
pub type Stored<T> = Result<T, StoreError>;

/// A change as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRow {
    /// Its place in the log of its organization, from 1.
    pub seq: i64,
    /// Salt, exact bytes, personal values, time.
    pub entry: Entry,
}

/// An answer kept for a repeated request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What the request was: a hash of route and body.
    pub request: Vec<u8>,
    /// The status.
    pub status: u16,
    /// The body, without secrets.
    pub body: String,
}

/// A stored object as its row has it, read where it stands: for passing over very many.
#[derive(Clone, Copy, Debug)]
pub struct StoredRow<'a> {
    /// Its uid.
    pub uid: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The path of the place where it stands.
    pub scope: &'a str,
    /// Its fields, as JSON.
    pub body: &'a str,
    /// The uids that its fields name, as JSON.
    pub refs: &'a str,
}

/// The same, kept.
#[derive(Clone, Debug)]
pub struct RowCopy {
    /// Its uid.
    pub uid: String,
    /// Its name.
    pub name: String,
    scope: String,
    body: String,
    refs: String,
}

impl StoredRow<'_> {
    /// A copy to be kept.
    pub fn copy(&self) -> RowCopy {
        let [uid, name, scope, body, refs] =
            [self.uid, self.name, self.scope, self.body, self.refs].map(str::to_owned);
        RowCopy { uid, name, scope, body, refs }
    }
}

impl RowCopy {
    /// As it was read.
    pub fn borrow(&self) -> StoredRow<'_> {
        let RowCopy { uid, name, scope, body, refs } = self;
        StoredRow { uid, name, scope, body, refs }
    }
}

/// What can be read.
pub trait Read: Send {
    /// What is wrong with the database itself, whatever it holds; none if it is sound.
    fn damage(&mut self) -> Stored<Option<String>>;
    /// A fact about the whole store.
    fn fact(&mut self, name: &str) -> Stored<Option<String>>;
    /// The uids of all organizations.
    fn organizations(&mut self) -> Stored<Vec<String>>;
    /// An object, deleted ones too.
    fn object(&mut self, org: &str, uid: &str) -> Stored<Option<Object>>;
    /// A living object by name.
    fn named(&mut self, org: &str, kind: Kind, name: &str) -> Stored<Option<Object>>;
    /// Living objects of a kind with a uid after this one, in the order of uids.
    fn list(&mut self, org: &str, kind: Kind, after: &str, limit: usize) -> Stored<Vec<Object>>;
    /// Living objects with a field that names this uid.
    fn referring(&mut self, org: &str, uid: &str) -> Stored<Vec<Object>>;
    /// The same, deleted ones too.
    fn ever_referring(&mut self, org: &str, uid: &str) -> Stored<Vec<Object>>;
    /// Calls `see` with every living object of these kinds.
    fn each(&mut self, org: &str, kinds: &[Kind], see: &mut dyn FnMut(Object)) -> Stored<()>;
    /// Calls `see` with the rows of living objects of a kind with a uid after this one, in the order of uids.
    fn rows(
        &mut self,
        org: &str,
        kind: Kind,
        after: &str,
        limit: usize,
        see: &mut dyn FnMut(&StoredRow<'_>),
    ) -> Stored<()>;
    /// Calls `see` with every object of an organization, deleted ones too.
    fn every(&mut self, org: &str, see: &mut dyn FnMut(Object)) -> Stored<()>;
    /// Changes of an organization after this number.
    fn changes(&mut self, org: &str, after: i64, limit: usize) -> Stored<Vec<ChangeRow>>;
    /// The leaf hashes of all changes of an organization, in order.
    fn leaves(&mut self, org: &str) -> Stored<Vec<Hash32>>;
    /// The same after this number.
    fn leaves_after(&mut self, org: &str, after: i64) -> Stored<Vec<Hash32>>;
    /// The number and time of the last change of an organization; zeros if there is none.
    fn head(&mut self, org: &str) -> Stored<(i64, i64)>;
    /// How many living objects of a kind there are.
    fn count(&mut self, org: &str, kind: Kind) -> Stored<u64>;
    /// How many living objects of a kind have a field that names this uid.
    fn count_referring(&mut self, org: &str, kind: Kind, uid: &str) -> Stored<u64>;
    /// Bytes of all objects of a kind, deleted ones too.
    fn bytes(&mut self, org: &str, kind: Kind) -> Stored<u64>;
    /// Bytes of the changes of an organization since a time.
    fn written_since(&mut self, org: &str, since: i64) -> Stored<u64>;
    /// The answer kept for a caller's idempotency key, if it is no older than `since`.
    fn kept(&mut self, caller: &str, key: &str, since: i64) -> Stored<Option<Kept>>;
    /// When and from where keys were last used.
    fn uses(&mut self) -> Stored<Vec<(String, i64, String)>>;
}

/// What the one writer can do. Everything happens between [`Write::begin`] and [`Write::commit`].
pub trait Write: Read {
    /// Begins a batch.
    fn begin(&mut self) -> Stored<()>;
    /// Makes the batch durable: it is on the disk when this returns.
    fn commit(&mut self) -> Stored<()>;
    /// Forgets the batch.
    fn abandon(&mut self) -> Stored<()>;
    /// Begins one change of the batch.
    fn mark(&mut self) -> Stored<()>;
    /// Keeps the change since the last mark, or forgets it.
    fn settle(&mut self, keep: bool) -> Stored<()>;
    /// Sets a fact about the whole store.
    fn set_fact(&mut self, name: &str, value: &str) -> Stored<()>;
    /// A uid that nobody has.
    fn fresh(&mut self, kind: Kind) -> String {
        new_uid(kind.prefix())
    }
    /// Writes an object as it now is.
    fn put(&mut self, object: &Object) -> Stored<()>;
    /// Writes an object that is new; `body` and `refs` are what [`Object::written`] says of it.
    fn add(&mut self, object: &Object, body: &str, refs: &str) -> Stored<()>;
    /// Appends to the log of an organization: the next number.
    fn append(&mut self, org: &str, entry: &Entry) -> Stored<i64>;
    /// Keeps an answer; those older than `since` go.
    fn keep(&mut self, caller: &str, key: &str, at: i64, since: i64, kept: &Kept) -> Stored<()>;
    /// Erases the values of these people beside the changes of an organization; how many there were.
    fn erase(&mut self, org: &str, people: &[String]) -> Stored<u64>;
    /// Outside a batch: leaves nothing of what was overwritten in files beside the database.
    fn compact(&mut self) -> Stored<()>;
    /// Notes that a key was used.
    fn note_use(&mut self, credential: &str, at: i64, ip: &str) -> Stored<()>;
}

/// A database.
pub trait Store: Send + Sync {
    /// Opens the one connection that writes.
    fn writer(&self) -> Stored<Box<dyn Write + Send>>;
    /// Opens a connection that reads what is committed.
    fn reader(&self) -> Stored<Box<dyn Read + Send>>;
}
