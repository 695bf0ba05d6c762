//! The data side of a request: accounts, groups, scopes, bindings, links, stored resources.
//!
//! A [`Directory`] is an immutable snapshot. Group and scope ancestry is closed when it is built, not when a
//! request is decided. [`Builder`] makes one, checking all it is told; `load` reads one from JSON; [`World`] is how
//! both evaluators look at directory and request together.

mod builder;
mod close;
#[cfg(test)]
pub(crate) mod fixture;
mod load;
mod world;

pub use builder::{At, Builder, DataError, DataErrorKind, Holder, Item, Target};
pub use load::load;
pub use world::{Thing, World};

use crate::value::{BoundaryId, Entity, KindId, RoleId, Value};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

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

/// Which accounts, groups, scopes, resources, bindings and links exist.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// Scope nodes; parents before children.
    pub scopes: Vec<Scope>,
    /// Groups.
    pub groups: Vec<Group>,
    /// Accounts.
    pub accounts: Vec<Account>,
    /// Stored resources.
    pub resources: Vec<Resource>,
    /// Bindings of everyone of a kind.
    pub kind_bindings: Vec<(KindId, Binding)>,
    scope_index: FxHashMap<SmolStr, ScopeIx>,
    group_index: FxHashMap<SmolStr, GroupIx>,
    account_index: FxHashMap<Entity, AccountIx>,
    resource_index: FxHashMap<Entity, ResourceIx>,
}

/// A node of the scope tree.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Kind and path.
    pub entity: Entity,
    /// Itself, its parent, and so on up to its root.
    pub ancestors: Vec<ScopeIx>,
    /// Attributes by slot.
    pub attributes: Vec<Option<Value>>,
    /// Boundaries attached: ceilings on everyone here and below.
    pub boundaries: Vec<BoundaryId>,
}

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its id.
    pub id: SmolStr,
    /// Where it stands as a thing acted on.
    pub scope: Option<ScopeIx>,
    /// Attributes by slot.
    pub attributes: Vec<Option<Value>>,
    /// Itself and every group it is in, directly or through groups, with the time each membership ends; sorted.
    pub within: Vec<(GroupIx, Until)>,
    /// Bindings of its members.
    pub bindings: Vec<Binding>,
}

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Kind and id.
    pub entity: Entity,
    /// Its home scope.
    pub home: Option<ScopeIx>,
    /// Attributes by slot.
    pub attributes: Vec<Option<Value>>,
    /// Every group it is in, directly or through groups, with the time each membership ends; sorted.
    pub groups: Vec<(GroupIx, Until)>,
    /// Boundaries attached.
    pub boundaries: Vec<BoundaryId>,
    /// Its own bindings.
    pub bindings: Vec<Binding>,
    /// For whom it may act.
    pub links: Vec<Link>,
}

/// A role held somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The role.
    pub role: RoleId,
    /// Where.
    pub place: Place,
    /// Ceilings on what this binding allows.
    pub boundaries: Vec<BoundaryId>,
    /// Its end.
    pub until: Until,
}

/// Where a binding holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The one place of a vocabulary without scopes.
    Everywhere,
    /// A scope node and everything below it.
    Scope(ScopeIx),
    /// One resource and what sits in it.
    Resource(Entity),
}

/// A right to act for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// For whom.
    pub target: LinkTarget,
    /// Ceilings on the agent when it acts through this link.
    pub boundaries: Vec<BoundaryId>,
    /// Its end.
    pub until: Until,
}

/// For whom an agent may act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkTarget {
    /// One account.
    Account(AccountIx),
    /// Any member of a group; the request names which.
    Group(GroupIx),
}

/// A stored resource.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Kind and id.
    pub entity: Entity,
    /// The scope it is placed in, its own or its parent's.
    pub scope: Option<ScopeIx>,
    /// What it sits in.
    pub parent: Option<Entity>,
    /// Attributes by slot.
    pub attributes: Vec<Option<Value>>,
}

impl Directory {
    /// The scope node with this path.
    pub fn scope(&self, path: &str) -> Option<ScopeIx> {
        self.scope_index.get(path).copied()
    }

    /// The group with this id.
    pub fn group(&self, id: &str) -> Option<GroupIx> {
        self.group_index.get(id).copied()
    }

    /// The account with this kind and id.
    pub fn account(&self, entity: &Entity) -> Option<AccountIx> {
        self.account_index.get(entity).copied()
    }

    /// The stored resource with this kind and id.
    pub fn resource(&self, entity: &Entity) -> Option<ResourceIx> {
        self.resource_index.get(entity).copied()
    }
}
