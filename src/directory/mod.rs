//! The data side of a request: accounts, groups, scopes, bindings, links, stored resources.
//!
//! A [`Directory`] is an immutable snapshot. Group and scope ancestry is closed when it is built or changed, not when a
//! request is decided. [`Builder`] makes one, checking all it is told; `load` reads one from JSON; [`Directory::apply`]
//! makes the next one from a few [`Change`]s, sharing what they don't touch; [`World`] is how both evaluators look at
//! directory and request together.

mod builder;
mod change;
mod checks;
mod close;
mod crowd;
mod edit;
#[cfg(feature = "server")]
mod fetch;
#[cfg(test)]
pub(crate) mod fixture;
mod load;
mod names;
mod records;
mod table;
mod world;

pub use builder::Builder;
pub use change::{Bound, Change, Editor, Linked};
pub use checks::{At, DataError, DataErrorKind, Holder, Item, Target};
pub use edit::Touched;
#[cfg(feature = "server")]
pub use fetch::Named;
pub use load::load;
pub use names::Names;
pub use records::{Account, Binding, Group, Link, LinkTarget, List, Place, Resource, Scope};
pub use table::Table;
pub use world::{Thing, World};

use crate::request::same;
use crate::value::{Entity, KindId, hash_name};
use std::sync::Arc;

macro_rules! indexes {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);
        impl $name {
            /// The id as an index into its table.
            pub fn index(self) -> usize { self.0 as usize }
        }
    )*};
}

indexes! {
    /// A node of the scope tree; index into [`Directory::scopes`].
    ScopeIx;
    /// A group; index into [`Directory::groups`].
    GroupIx;
    /// An account; index into [`Directory::accounts`].
    AccountIx;
    /// A stored resource; index into [`Directory::resources`].
    ResourceIx;
}

/// A time in microseconds at which something ends, itself excluded; [`FOREVER`] for never.
pub type Until = i64;
/// No end.
pub const FOREVER: Until = i64::MAX;

/// Which accounts, groups, scopes, resources, bindings and links exist. A clone costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// Scope nodes.
    pub scopes: Table<Scope>,
    /// Groups.
    pub groups: Table<Group>,
    /// Accounts.
    pub accounts: Table<Account>,
    /// Stored resources.
    pub resources: Table<Resource>,
    /// Bindings of everyone of a kind.
    pub kind_bindings: Arc<Vec<(KindId, Binding)>>,
    scope_names: Names,
    group_names: Names,
    account_names: Names,
    resource_names: Names,
}

/// The kind under which the paths of scopes are hashed: one path names one node, whatever its kind.
pub const SCOPE_PATHS: KindId = KindId(u16::MAX);

impl Directory {
    /// The scope node with this path.
    pub fn scope(&self, path: &str) -> Option<ScopeIx> {
        self.scope_hashed(hash_name(SCOPE_PATHS, path), path)
    }

    /// The group with this id.
    pub fn group(&self, id: &str) -> Option<GroupIx> {
        self.group_hashed(hash_name(KindId::GROUP, id), id)
    }

    /// The account with this kind and id.
    pub fn account(&self, entity: &Entity) -> Option<AccountIx> {
        self.account_hashed(hash_name(entity.kind, &entity.id), entity.kind, &entity.id)
    }

    /// The stored resource with this kind and id.
    pub fn resource(&self, entity: &Entity) -> Option<ResourceIx> {
        self.resource_hashed(hash_name(entity.kind, &entity.id), entity.kind, &entity.id)
    }

    /// The scope node with this path, whose [`hash_name`] under [`SCOPE_PATHS`] is known.
    pub fn scope_hashed(&self, hash: u64, path: &str) -> Option<ScopeIx> {
        let is = |at: u32| self.scopes.get(at as usize).is_some_and(|s| s.entity.id == path);
        self.scope_names.get(hash, is).map(ScopeIx)
    }

    /// The group with this id, whose [`hash_name`] under [`KindId::GROUP`] is known.
    pub fn group_hashed(&self, hash: u64, id: &str) -> Option<GroupIx> {
        let is = |at: u32| self.groups.get(at as usize).is_some_and(|g| g.id == id);
        self.group_names.get(hash, is).map(GroupIx)
    }

    /// The account with this kind and id, whose [`hash_name`] is known.
    pub fn account_hashed(&self, hash: u64, kind: KindId, id: &str) -> Option<AccountIx> {
        let is = |e: &Entity| e.kind == kind && e.id == id;
        let is = |at: u32| self.accounts.get(at as usize).is_some_and(|a| is(&a.entity));
        self.account_names.get(hash, is).map(AccountIx)
    }

    /// What is held of the account with this kind and id, whose [`hash_name`] is known.
    #[inline]
    pub(crate) fn account_record(&self, hash: u64, kind: KindId, id: &str) -> Option<&Account> {
        let mut found = None;
        self.account_names.get(hash, |at| {
            let is = |account: &&Account| account.entity.kind == kind && same(&account.entity.id, id);
            found = self.accounts.get(at as usize).filter(is);
            found.is_some()
        });
        found
    }

    /// The scope node with this path, whose [`hash_name`] under [`SCOPE_PATHS`] is known.
    #[inline]
    pub(crate) fn scope_record(&self, hash: u64, path: &str) -> Option<&Scope> {
        let mut found = None;
        self.scope_names.get(hash, |at| {
            found = self.scopes.get(at as usize).filter(|scope| same(&scope.entity.id, path));
            found.is_some()
        });
        found
    }

    /// The stored resource with this kind and id, whose [`hash_name`] is known.
    pub fn resource_hashed(&self, hash: u64, kind: KindId, id: &str) -> Option<ResourceIx> {
        let is = |e: &Entity| e.kind == kind && e.id == id;
        let is = |at: u32| self.resources.get(at as usize).is_some_and(|r| is(&r.entity));
        self.resource_names.get(hash, is).map(ResourceIx)
    }
}
