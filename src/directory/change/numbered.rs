//! Changes of what is known by number: for whoever makes millions of them.
//!
//! In:    numbers of an account and a scope, held against their names.
//! Out:   what the same change by name does.
//! Law:   a number that names something else is no mistake of anybody's: it is said, and nothing is done.

use super::super::edit::HolderIx;
use super::super::{AccountIx, Binding, Place, ScopeIx, Until};
use super::Editor;
use crate::value::{Entity, KindId, RoleId};

impl Editor<'_> {
    /// Whether an account and a scope have these numbers.
    pub fn stand_at(&self, account: (AccountIx, KindId, &str), scope: (ScopeIx, &str)) -> bool {
        let is = |entity: &Entity| entity.kind == account.1 && entity.id == account.2;
        self.made.accounts.get(account.0.index()).is_some_and(|a| is(&a.entity))
            && self.made.scopes.get(scope.0.index()).is_some_and(|s| s.entity.id == scope.1)
    }

    /// Lets an account hold a role at a scope, as [`super::Change::Bind`] does without boundaries, where the numbers of both are
    /// known ([`Editor::stand_at`]).
    pub fn bind_at(&mut self, account: AccountIx, scope: ScopeIx, role: RoleId, until: Until) {
        self.made.add_binding(
            HolderIx::Account(account),
            Binding::new(role, Place::Scope(scope), Vec::new(), until),
        );
    }
}
