//! A policy set and a directory in use, which are replaced while others decide: [`Live`].
//!
//! In:    a set and a directory; then small [`Change`]s, other sets, other directories.
//! Out:   [`Snapshot`]s, each whole and immutable; readers take the newest one without waiting and keep it as long as they
//!        need it.
//! Law:   whoever takes a snapshot after a change has returned sees that change. Writers wait for one another, never for
//!        readers; readers never wait.

use crate::check::program::Vocabulary;
use crate::decision::Decision;
use crate::directory::{Change, DataError, Directory};
use crate::request::{Question, RequestError};
use crate::set::PolicySet;
use crate::tree::{Link, Resolved};
use arc_swap::ArcSwap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A set and a directory that belong together, at one moment.
#[derive(Debug)]
pub struct Snapshot {
    set: Arc<PolicySet>,
    directory: Directory,
    link: Link,
    revision: u64,
}

impl Snapshot {
    fn new(set: Arc<PolicySet>, directory: Directory, revision: u64) -> Snapshot {
        let link = set.link(&directory);
        Snapshot { set, directory, link, revision }
    }

    /// The set.
    pub fn set(&self) -> &Arc<PolicySet> {
        &self.set
    }

    /// The directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// How many times something was replaced before.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Reads one request from JSON; `now` (microseconds) counts unless its context has one.
    ///
    /// What comes out names things by their places in this snapshot: ask no other one about it.
    pub fn request(&self, text: &str, now: i64) -> Result<Question, RequestError> {
        self.set.request(&self.directory, text, now)
    }

    /// Looks up what a question of this snapshot names, so that it can be decided any number of times.
    pub fn resolve<'a>(&'a self, question: &'a Question) -> Resolved<'a> {
        self.set.resolve(&self.directory, Some(&self.link), question)
    }

    /// Decides a question of this snapshot.
    pub fn decide(&self, question: &Question) -> Decision {
        self.resolve(question).decide()
    }
}

/// Why a set can't take the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherVocabulary;

impl std::fmt::Display for OtherVocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "the set declares another vocabulary than the one the directory was read with: \
             read the data again with the new set, and replace both together",
        )
    }
}

impl std::error::Error for OtherVocabulary {}

/// A set and a directory in use.
#[derive(Debug)]
pub struct Live {
    now: ArcSwap<Snapshot>,
    writing: Mutex<()>,
}

impl Live {
    /// Puts a set and a directory that was read with it to use.
    pub fn new(set: impl Into<Arc<PolicySet>>, directory: Directory) -> Live {
        let first = Snapshot::new(set.into(), directory, 0);
        Live { now: ArcSwap::from_pointee(first), writing: Mutex::new(()) }
    }

    /// The newest snapshot, to be kept as long as it is needed.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.now.load_full()
    }

    /// Looks at the newest snapshot; quicker than [`Live::snapshot`], for one decision or a few.
    pub fn read<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        look(&self.now.load())
    }

    /// Changes the directory: all of the changes or none.
    ///
    /// - Out: the revision that readers see from now on.
    /// - Errors: the first change that can't be made; then nothing has happened.
    pub fn apply(&self, changes: &[Change]) -> Result<u64, DataError> {
        let _one = self.write();
        let old = self.snapshot();
        let (directory, touched) = old.directory.apply(old.set.vocabulary(), changes)?;
        let link = old.set.relink(&old.link, &directory, &touched);
        let revision = old.revision + 1;
        self.now.store(Arc::new(Snapshot { set: Arc::clone(&old.set), directory, link, revision }));
        Ok(revision)
    }

    /// Puts another set over the same vocabulary in the place of the one in use.
    ///
    /// - Out: the revision that readers see from now on.
    /// - Errors: the set has another vocabulary; then nothing has happened.
    pub fn replace_set(&self, set: impl Into<Arc<PolicySet>>) -> Result<u64, OtherVocabulary> {
        let _one = self.write();
        let (old, set) = (self.snapshot(), set.into());
        if !Vocabulary::same(old.set.vocabulary(), set.vocabulary()) {
            return Err(OtherVocabulary);
        }
        Ok(self.store(set, old.directory.clone(), old.revision + 1))
    }

    /// Puts a set and a directory that was read with it in the place of those in use; the revision that readers see from
    /// now on.
    pub fn replace(&self, set: impl Into<Arc<PolicySet>>, directory: Directory) -> u64 {
        let _one = self.write();
        let revision = self.snapshot().revision + 1;
        self.store(set.into(), directory, revision)
    }

    fn store(&self, set: Arc<PolicySet>, directory: Directory, revision: u64) -> u64 {
        self.now.store(Arc::new(Snapshot::new(set, directory, revision)));
        revision
    }

    /// A writer that panicked has stored nothing: what is in use is whole.
    fn write(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
