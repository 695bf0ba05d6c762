//! Nobody shuts everyone out: there is always somebody who could undo a change.
//!
//! In:    an organization before and after a change.
//! Out:   which rights over the whole of it somebody still has, now and for good; refused if one would be nobody's.
//! Law:   asked of every change of a directory, whoever makes it, so no way of taking away is forgotten. What nobody had
//!        before nobody can lose.

use super::guard::{On, could};
use super::memory::{AccountFacts, OrgState};
use super::object::{Kind, place_kind};
use super::problem::Problem;
use crate::{Account, Binding, KindId, Place, RoleId};

/// The rights without which some change couldn't be undone, and what they are for.
const RIGHTS: [(&str, &str); 4] = [
    ("activate", "activate another policy set"),
    ("detach", "take a boundary off the organization"),
    ("bind", "bind a role in the whole organization"),
    ("grant", "grant `policyd/owner`"),
];

/// The end of time: what holds then holds for good.
const FOR_GOOD: i64 = 253_402_300_799_000_000;

/// Who has those rights.
#[derive(Clone, Debug, Default)]
pub struct Keepers {
    /// A bit for each right now, and one for each for good.
    rights: u8,
    /// Accounts that have them, by uid.
    who: Vec<String>,
}

const ALL: u8 = u8::MAX;

/// Accounts that hold, at a place, a role of ours with which somebody can do one of these: nobody else can, since no policy of
/// ours allows them (a test says so). Of a million accounts these are a few.
fn holders<'o>(org: &'o OrgState, actions: &[&str], place: &str) -> impl Iterator<Item = AccountFacts> + 'o {
    let directory = &org.guard.directory;
    let vocabulary = org.guard.set.vocabulary();
    let gives = |role| actions.iter().any(|action| org.guard.set.ever_allows(Some(role), action));
    let roles: Vec<bool> = (0..vocabulary.roles.len() as u32).map(|n| gives(RoleId(n))).collect();
    let place = directory.scope(place);
    let counts = move |binding: &Binding| {
        let here = match (binding.place(), place) {
            (Place::Scope(scope), Some(place)) => directory.scope_covers(scope, place),
            _ => true,
        };
        here && roles[binding.role.index()]
    };
    let groups: Vec<bool> = (0..directory.groups.slots())
        .map(|n| directory.groups.get(n).is_some_and(|group| group.bindings.iter().any(&counts)))
        .collect();
    let kinds: Vec<KindId> =
        directory.kind_bindings.iter().filter(|(_, b)| counts(b)).map(|(kind, _)| *kind).collect();
    let holds = move |account: &&Account| {
        account.bindings.iter().any(&counts)
            || kinds.contains(&account.entity.kind)
            || directory.groups_of(account).any(|(group, _)| groups[group.index()])
    };
    directory.accounts.iter().filter(holds).filter_map(move |account| {
        let kind = Kind::of_wire(&vocabulary.kind(account.entity.kind).wire)?;
        org.account_named(kind, &account.entity.id)
    })
}

/// Refuses a boundary on a place that nobody could take off again.
pub fn attached(next: &OrgState, path: &str, now: i64) -> Result<(), Problem> {
    let on = On::Scope(place_kind(path).wire(), path);
    match holders(next, &["detach"], path).any(|account| could(next, &account, "detach", on, now)) {
        true => Ok(()),
        false => {
            Err(Problem::conflict("after this nobody could take the boundary off again: nothing was changed"))
        }
    }
}

impl Keepers {
    /// Finds them; those who were it before are asked first.
    fn of(org: &OrgState, before: &[String], now: i64) -> Keepers {
        let mut found = Keepers::default();
        before.iter().filter_map(|uid| org.account(uid)).for_each(|a| found.add(org, &a, now));
        if found.rights != ALL {
            let _ = holders(org, &RIGHTS.map(|(action, _)| action), &org.id).find(|account| {
                found.add(org, account, now);
                found.rights == ALL
            });
        }
        found
    }

    fn add(&mut self, org: &OrgState, account: &AccountFacts, now: i64) {
        let mut rights = 0;
        for (n, (action, _)) in RIGHTS.iter().enumerate() {
            let on = match *action {
                "grant" => On::Role("policyd/owner", &org.id),
                _ => On::Scope("organization", &org.id),
            };
            if could(org, account, action, on, now) {
                rights |= 1 << n;
            }
            if account.expires > FOR_GOOD && could(org, account, action, on, FOR_GOOD) {
                rights |= 0x10 << n;
            }
        }
        if rights & !self.rights != 0 {
            self.rights |= rights;
            self.who.push(account.uid.clone());
        }
    }

    /// Holds a change against what was before it: refused if nobody has a right that somebody had.
    pub fn change(
        before: &OrgState,
        next: &OrgState,
        who: &mut Vec<String>,
        now: i64,
    ) -> Result<(), Problem> {
        let after = Keepers::of(next, who, now);
        if after.rights != ALL {
            let lost = Keepers::of(before, who, now).rights & !after.rights;
            if let Some(n) = (0..RIGHTS.len()).find(|n| lost & (0x11 << n) != 0) {
                return Err(Problem::conflict(format!(
                    "after this nobody could {}{}: nothing was changed; give somebody else `policyd/owner` first",
                    RIGHTS[n].1,
                    if lost & (1 << n) == 0 { " for good" } else { "" },
                )));
            }
        }
        *who = after.who;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::prelude;
    use super::RIGHTS;

    #[test]
    fn no_policy_of_ours_gives_what_keeps_an_organization_open() {
        let ours = prelude::guard();
        for (action, _) in RIGHTS {
            assert!(!ours.ever_allows(None, action), "{action}");
        }
        assert!(ours.ever_allows(None, "disable"));
    }
}
