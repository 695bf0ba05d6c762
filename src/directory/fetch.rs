//! What many questions name, read together: [`Directory::fetch`].
//!
//! In:    the names in several questions, of accounts, resources and scopes.
//! Out:   nothing but memory that is near. The processor waits for what is far in all of them at once, not in one after the other.
//! Law:   no answer hangs on it: what is found here is found again, by its whole name, when each question is answered.

use super::{Account, AccountIx, Directory, GroupIx, Resource, SCOPE_PATHS, Scope};
use crate::value::{Entity, KindId, hash_name};
use std::hint::black_box;

/// Of each account so many groups are read ahead: most have fewer, and nobody has asked yet whether the question may be asked.
const GROUPS: usize = 8;

/// What several questions name.
#[derive(Clone, Debug, Default)]
pub struct Named<'a> {
    /// Accounts.
    pub accounts: Vec<&'a Entity>,
    /// Resources, by kind and id.
    pub resources: Vec<(KindId, &'a str)>,
    /// The paths of scopes.
    pub scopes: Vec<&'a str>,
}

impl Directory {
    /// Reads what is held of all of these: first the records, then what they point at. The numbers are those of the accounts, as far as a
    /// short look can tell.
    pub fn fetch(&self, named: &Named<'_>) -> Vec<AccountIx> {
        let hashes = named.accounts.iter().map(|entity| hash_name(entity.kind, &entity.id));
        let mut numbers = self.account_names.likely(hashes);
        numbers.sort_unstable();
        numbers.dedup();
        let accounts: Vec<&Account> =
            numbers.iter().filter_map(|at| self.accounts.get(*at as usize)).collect();
        let hashes = named.resources.iter().map(|(kind, id)| hash_name(*kind, id));
        let resources = self.resource_names.likely(hashes);
        let resources: Vec<&Resource> =
            resources.iter().filter_map(|at| self.resources.get(*at as usize)).collect();
        let hashes = named.scopes.iter().map(|path| hash_name(SCOPE_PATHS, path));
        let scopes = self.scope_names.likely(hashes);
        let scopes: Vec<&Scope> = scopes.iter().filter_map(|at| self.scopes.get(*at as usize)).collect();
        for account in &accounts {
            black_box((account.bindings.first().map(|b| b.role), account.groups().next()));
        }
        for account in &accounts {
            account.groups().take(GROUPS).for_each(|(group, _)| self.fetch_group(group));
        }
        for resource in &resources {
            black_box(resource.attributes.first().is_some_and(Option::is_some));
        }
        for scope in &scopes {
            black_box((scope.ancestors.first().copied(), scope.boundaries.first().copied()));
        }
        numbers.into_iter().map(AccountIx).collect()
    }

    fn fetch_group(&self, group: GroupIx) {
        if let Some(group) = self.groups.get(group.index()) {
            black_box((group.within.first().copied(), group.bindings.first().map(|b| b.role)));
        }
    }
}
