//! The accounts of an organization by uid, beside its directory: [`Accounts`].
//!
//! In:    accounts in the order in which the directory takes them in and lets them go.
//! Out:   the number of an account in the directory, its end, whether it is switched off.
//! Law:   an account has the same number here and there. A clone costs nothing and never changes again.

use super::object::Kind;
use super::secret::from_base32;
use crate::{AccountIx, Names, Table};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

/// An account beside the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    uid: Uid,
    /// Who answers for it.
    pub owner: Option<Uid>,
    /// When it ends.
    pub ends: i64,
    /// Whether the boundary of what is switched off lies on it.
    pub off: bool,
}

/// A uid, packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid {
    kind: Kind,
    bits: [u8; 10],
}

impl Uid {
    /// Of a text that [`super::secret::new_uid`] has made.
    pub fn of(text: &str) -> Option<Uid> {
        let (prefix, rest) = text.split_once('_')?;
        let kind = Kind::ALL.iter().copied().find(|k| k.prefix() == prefix)?;
        Some(Uid { kind, bits: from_base32(rest)? })
    }

    /// What it is the uid of.
    pub fn kind(self) -> Kind {
        self.kind
    }

    /// As text.
    pub fn show(self) -> String {
        super::secret::id_text(self.kind.prefix(), &self.bits)
    }

    fn hash(self) -> u64 {
        // The bits are random, but whoever has the store could choose them.
        let [a, b, c, d, e, f, g, h, i, j] = self.bits;
        let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let mixed = (low ^ u64::from(u16::from_le_bytes([i, j])) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }
}

/// The accounts of one organization.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    all: Table<Standing>,
    uids: Names,
}

impl Accounts {
    /// Takes an account in; its number.
    pub fn insert(&mut self, uid: Uid, owner: Option<Uid>, ends: i64, off: bool) -> AccountIx {
        let at = self.all.insert(Standing { uid, owner, ends, off });
        self.uids.insert(uid.hash(), at);
        AccountIx(at)
    }

    /// Lets an account go.
    pub fn remove(&mut self, uid: Uid) -> Option<AccountIx> {
        let at = self.number(uid)?;
        self.uids.remove(uid.hash(), at.0);
        self.all.remove(at.index()).map(|_| at)
    }

    /// The number of an account.
    pub fn number(&self, uid: Uid) -> Option<AccountIx> {
        let is = |at: u32| self.all.get(at as usize).is_some_and(|s| s.uid == uid);
        self.uids.get(uid.hash(), is).map(AccountIx)
    }

    /// An account by its number.
    pub fn get(&self, at: AccountIx) -> Option<&Standing> {
        self.all.get(at.index())
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, at: AccountIx) -> Option<&mut Standing> {
        self.all.get_mut(at.index())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (AccountIx, &Standing)> {
        self.all.numbered().map(|(at, standing)| (AccountIx(at), standing))
    }
}

impl Standing {
    /// Its uid.
    pub fn uid(&self) -> Uid {
        self.uid
    }
}

/// When accounts end: more may be noted than is true any more, never less. Shared by all that became of one state.
#[derive(Clone, Debug, Default)]
pub struct Ends(Arc<Mutex<BTreeSet<(i64, Uid)>>>);

impl Ends {
    /// Notes an end.
    pub fn note(&self, at: i64, uid: Uid) {
        self.0.lock().expect("known: nobody panics while holding ends").insert((at, uid));
    }

    /// What was noted after one moment and up to another, itself included; and the first after that.
    pub fn between(&self, after: i64, now: i64) -> (Vec<(i64, Uid)>, Option<i64>) {
        let all = self.0.lock().expect("known: nobody panics while holding ends");
        let last = |at: i64| (at, Uid { kind: Kind::PolicySet, bits: [u8::MAX; 10] });
        let due = all.range((Bound::Excluded(last(after)), Bound::Included(last(now)))).copied().collect();
        let next = all.range((Bound::Excluded(last(now)), Bound::Unbounded)).next().map(|(at, _)| *at);
        (due, next)
    }
}

#[cfg(test)]
mod tests {
    use super::super::secret::new_uid;
    use super::*;

    #[test]
    fn uids_are_packed_and_shown_again() {
        for kind in Kind::ALL {
            let text = new_uid(kind.prefix());
            assert_eq!(Uid::of(&text).map(Uid::show), Some(text));
        }
        assert_eq!(Uid::of("svc_short"), None);
        assert_eq!(Uid::of("xyz_0000000000000000"), None);
    }

    #[test]
    fn accounts_come_and_go() {
        let uid = || Uid::of(&new_uid("svc")).expect("a uid");
        let mut accounts = Accounts::default();
        let uids: Vec<Uid> = (0..1_000).map(|_| uid()).collect();
        for (n, uid) in uids.iter().enumerate() {
            assert_eq!(accounts.insert(*uid, None, n as i64, n % 2 == 0), AccountIx(n as u32));
        }
        let before = accounts.clone();
        assert_eq!(accounts.remove(uids[7]), Some(AccountIx(7)));
        assert_eq!((accounts.number(uids[7]), before.number(uids[7])), (None, Some(AccountIx(7))));
        assert_eq!(accounts.insert(uid(), None, 0, false), AccountIx(7), "the last number that was let go");
        assert_eq!(accounts.iter().count(), 1_000);
    }

    #[test]
    fn ends_are_found_once_each() {
        let (ends, uid) = (Ends::default(), Uid::of(&new_uid("svc")).expect("a uid"));
        for at in [3, 5, 5, 9] {
            ends.note(at, uid);
        }
        assert_eq!(ends.between(3, 5), (vec![(5, uid)], Some(9)));
        assert_eq!(ends.between(9, 20), (vec![], None));
    }
}
