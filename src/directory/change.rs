//! Makes the next directory from a few changes: [`Directory::apply`].
//!
//! In:    [`Change`]s, which name things by name, checked as [`super::Builder`] checks.
//! Out:   the next snapshot and which nodes came or went; or the first mistake, and nothing is changed.
//! Law:   a directory that changes have led to is the one that is built at once from what it holds. What a change costs
//!        follows what it touches, not the directory: an account's own lists, a scope's ancestors, the groups below a
//!        group, the members of a group that goes, the resources below a resource that moves. Nothing is scanned.

mod numbered;

use super::checks::{At, Checks, DataError, DataErrorKind, Done, Holder, Item, Target, too_deep};
use super::edit::{Bounded, Count, HolderIx, Touched, cycle, in_the_way};
use super::{
    Account, AccountIx, Binding, Directory, Group, GroupIx, Link, LinkTarget, Place, Resource, ResourceIx,
    Scope, ScopeIx, Until,
};
use crate::check::program::{Sort, Vocabulary};
use crate::limits::ANCESTRY_DEPTH_MAX;
use crate::value::{BoundaryId, Entity, KindId, RoleId, Value};
use smol_str::SmolStr;

/// One change of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a scope node, or gives it these attributes; its boundaries stay.
    PutScope {
        /// Its kind, which stays.
        kind: KindId,
        /// Its path.
        path: SmolStr,
        /// Attributes by slot.
        attributes: Vec<Option<Value>>,
    },
    /// Removes a scope node where nothing stands any more, with the boundaries attached to it.
    RemoveScope {
        /// Its path.
        path: SmolStr,
    },
    /// Adds a group, or gives it this place and these attributes; members, bindings and links stay.
    PutGroup {
        /// Its id.
        id: SmolStr,
        /// The path of the scope where it stands.
        scope: Option<SmolStr>,
        /// Attributes by slot.
        attributes: Vec<Option<Value>>,
    },
    /// Removes a group, all memberships in it, its bindings, and the links to its members.
    RemoveGroup {
        /// Its id.
        id: SmolStr,
    },
    /// Puts a group in another, or changes until when it is.
    Nest {
        /// The group.
        group: SmolStr,
        /// The other.
        within: SmolStr,
        /// When it ends.
        until: Until,
    },
    /// Takes a group out of another that it is directly in.
    Unnest {
        /// The group.
        group: SmolStr,
        /// The other.
        within: SmolStr,
    },
    /// Adds an account, or gives it this home and these attributes; memberships, bindings, boundaries and links stay.
    PutAccount {
        /// Kind and id.
        account: Entity,
        /// The path of its home scope.
        home: Option<SmolStr>,
        /// Attributes by slot.
        attributes: Vec<Option<Value>>,
    },
    /// Removes an account, its memberships, bindings and links, and the links to it.
    RemoveAccount {
        /// Kind and id.
        account: Entity,
    },
    /// Makes an account a member of a group, or changes until when it is one.
    Join {
        /// The account.
        account: Entity,
        /// The group.
        group: SmolStr,
        /// When it ends.
        until: Until,
    },
    /// Ends the membership of an account that is directly in a group.
    Leave {
        /// The account.
        account: Entity,
        /// The group.
        group: SmolStr,
    },
    /// Lets somebody hold a role somewhere.
    Bind(Bound),
    /// Takes back a binding that says exactly this, once if there are several.
    Unbind(Bound),
    /// Lets an account act for another, or for the members of a group.
    Link(Linked),
    /// Takes back a link that says exactly this, once if there are several.
    Unlink(Linked),
    /// Attaches a boundary to an account or a scope node.
    Attach {
        /// The boundary.
        boundary: BoundaryId,
        /// The account or scope node.
        to: Entity,
    },
    /// Takes a boundary off, once if it is attached several times.
    Detach {
        /// The boundary.
        boundary: BoundaryId,
        /// The account or scope node.
        from: Entity,
    },
    /// Adds a stored resource, or gives it this place, parent and attributes; what sits in it moves with it.
    PutResource {
        /// Kind and id.
        resource: Entity,
        /// The path of its own place; else it stands where its parent does.
        scope: Option<SmolStr>,
        /// What it sits in.
        parent: Option<Entity>,
        /// Attributes by slot.
        attributes: Vec<Option<Value>>,
    },
    /// Removes a stored resource in which nothing sits.
    RemoveResource {
        /// Kind and id.
        resource: Entity,
    },
}

/// A binding, in names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Who holds the role.
    pub holder: Holder,
    /// The role.
    pub role: RoleId,
    /// Where.
    pub at: At,
    /// Ceilings on what this binding allows.
    pub boundaries: Vec<BoundaryId>,
    /// When it ends.
    pub until: Until,
}

/// A link, in names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// Who may act.
    pub agent: Entity,
    /// For whom.
    pub target: Target,
    /// Ceilings on the agent when it acts through this link.
    pub boundaries: Vec<BoundaryId>,
    /// When it ends.
    pub until: Until,
}

impl Directory {
    /// The directory after some changes, made one after the other. This one stays as it is.
    ///
    /// - Errors: the first change that contradicts the vocabulary or the directory ([`Item::Change`] says which).
    pub fn apply(
        &self,
        vocabulary: &Vocabulary,
        changes: &[Change],
    ) -> Result<(Directory, Touched), DataError> {
        let mut editor = Editor::new(vocabulary, self.clone());
        for (n, change) in changes.iter().enumerate() {
            editor.change(change).map_err(|error| error.about(Item::Change(n)))?;
        }
        Ok(editor.finish())
    }
}

/// A directory that is changed step by step, in place: for many changes, of which each may ask what the ones before made.
///
/// After an error it may hold half a change and is of no more use.
#[derive(Debug)]
pub struct Editor<'v> {
    vocabulary: &'v Vocabulary,
    made: Directory,
    touched: Touched,
}

impl<'v> Editor<'v> {
    /// Begins with a directory.
    pub fn new(vocabulary: &'v Vocabulary, directory: Directory) -> Self {
        Editor { vocabulary, made: directory, touched: Touched::default() }
    }

    /// What the changes have made so far.
    pub fn directory(&self) -> &Directory {
        &self.made
    }

    /// The directory, and which nodes came or went.
    pub fn finish(self) -> (Directory, Touched) {
        (self.made, self.touched.in_order())
    }

    fn checks(&self) -> Checks<'v, '_> {
        Checks { vocabulary: self.vocabulary, made: &self.made }
    }

    /// Makes one change.
    pub fn change(&mut self, change: &Change) -> Result<(), DataError> {
        match change {
            Change::PutScope { kind, path, attributes } => self.put_scope(*kind, path, attributes),
            Change::RemoveScope { path } => self.remove_scope(path),
            Change::PutGroup { id, scope, attributes } => self.put_group(id, scope.as_deref(), attributes),
            Change::RemoveGroup { id } => self.remove_group(id),
            Change::Nest { group, within, until } => self.nest(group, within, *until),
            Change::Unnest { group, within } => self.unnest(group, within),
            Change::PutAccount { account, home, attributes } => {
                self.put_account(account, home.as_deref(), attributes)
            }
            Change::RemoveAccount { account } => self.remove_account(account),
            Change::Join { account, group, until } => {
                let (account, group) = self.member(account, group)?;
                self.made.enter(account, group, *until);
                Ok(())
            }
            Change::Leave { account, group } => {
                let (account_ix, group_ix) = self.member(account, group)?;
                let gone = self.made.exit(account_ix, group_ix);
                let message =
                    || format!("{} is not directly in group `{group}`", self.checks().show(account));
                there(gone, "group", message)
            }
            Change::Bind(bound) => {
                let (holder, binding) = self.binding(bound)?;
                self.made.add_binding(holder, binding);
                Ok(())
            }
            Change::Unbind(bound) => {
                let (holder, binding) = self.binding(bound)?;
                let gone = self.made.take_binding(holder, &binding);
                there(gone, "", || "no binding says exactly this".to_owned())
            }
            Change::Link(linked) => {
                let (agent, link) = self.link(linked)?;
                self.made.add_link(agent, link);
                Ok(())
            }
            Change::Unlink(linked) => {
                let (agent, link) = self.link(linked)?;
                let gone = self.made.take_link(agent, &link);
                there(gone, "", || "no link says exactly this".to_owned())
            }
            Change::Attach { boundary, to } => {
                let to = self.checks().bounded(*boundary, to)?;
                self.made.add_boundary(to, *boundary);
                Ok(())
            }
            Change::Detach { boundary, from } => {
                let at: Bounded = self.checks().bounded(*boundary, from)?;
                let gone = self.made.take_boundary(at, *boundary);
                let message = || {
                    let name = &self.vocabulary.boundaries[boundary.index()];
                    format!("boundary `{name}` is not attached to {}", self.checks().show(from))
                };
                there(gone, "boundary", message)
            }
            Change::PutResource { resource, scope, parent, attributes } => {
                self.put_resource(resource, scope.as_deref(), parent.as_ref(), attributes)
            }
            Change::RemoveResource { resource } => self.remove_resource(resource),
        }
    }

    // ---- scopes ----

    fn put_scope(&mut self, kind: KindId, path: &str, values: &[Option<Value>]) -> Done<()> {
        let checks = self.checks();
        let (values, _) = checks.scope(kind, path, values.to_vec())?.sound()?;
        let parent = checks.scope_parent(self.vocabulary.kind(kind), path)?;
        let Some(ix) = self.made.scope(path) else {
            let ix = self.made.insert_scope(Scope::new(Entity { kind, id: path.into() }, values, vec![]));
            self.made.close_scope(ix, parent);
            self.touched.scopes.push(ix);
            return Ok(());
        };
        let before = self.made.scopes[ix.index()].entity.kind;
        if before != kind {
            let (before, kind) = (checks.wire(before), checks.wire(kind));
            let message = format!("scope `{path}` is of kind `{before}`, not `{kind}`");
            return Err(super::checks::contradiction("kind", message).help(
                "a scope keeps its kind: remove it and what stands there first, or take another path",
            ));
        }
        if let Some(scope) = self.made.scopes.get_mut(ix.index()) {
            scope.attributes = values.into();
        }
        Ok(())
    }

    fn remove_scope(&mut self, path: &str) -> Done<()> {
        let ix = self.checks().scope_named("id", path)?;
        let tally = self.made.scopes[ix.index()].tally;
        let counts = [
            (tally.children, "scopes below it"),
            (tally.homes, "accounts at home there"),
            (tally.groups, "groups placed there"),
            (tally.resources, "resources placed there"),
            (tally.bindings, "bindings there"),
        ];
        if counts.iter().any(|(n, _)| *n > 0) {
            return Err(in_the_way(&format!("scope `{path}`"), &counts, "remove or move these first"));
        }
        self.made.drop_scope(ix);
        self.touched.scopes.push(ix);
        Ok(())
    }

    // ---- groups ----

    fn put_group(&mut self, id: &str, scope: Option<&str>, values: &[Option<Value>]) -> Done<()> {
        let (values, scope) = self.checks().group(id, scope, values.to_vec())?.sound()?;
        let Some(ix) = self.made.group(id) else {
            let ix = self.made.insert_group(Group::new(id.into(), scope, values));
            self.touched.groups.push(ix);
            return self.made.close_group(ix);
        };
        if let Some(group) = self.made.groups.get_mut(ix.index()) {
            group.attributes = values.into();
            let before = std::mem::replace(&mut group.scope, scope);
            self.made.tally(before, |tally| Count::Down.on(&mut tally.groups));
            self.made.tally(scope, |tally| Count::Up.on(&mut tally.groups));
        }
        Ok(())
    }

    fn remove_group(&mut self, id: &str) -> Done<()> {
        let ix = self.checks().group_named("id", id)?;
        let group = self.made.groups[ix.index()].clone();
        let held = group.held_on - on_itself(&group.bindings, &Entity { kind: KindId::GROUP, id: id.into() });
        if held > 0 {
            let counts = [(held, "bindings held on it")];
            return Err(in_the_way(&format!("group `{id}`"), &counts, "take these back first"));
        }
        let below: Vec<GroupIx> = group.below.iter().map(GroupIx).collect();
        below.iter().for_each(|child| self.made.unnest(*child, ix));
        group.above.iter().for_each(|(parent, _)| self.made.unnest(ix, *parent));
        for account in group.members.iter() {
            self.made.exit(AccountIx(account), ix);
        }
        for agent in group.linked_by.iter() {
            self.made.rarely(AccountIx(agent), |rare| {
                rare.links.retain(|_, link| link.target != LinkTarget::Group(ix));
            });
        }
        for binding in group.bindings.iter() {
            self.made.count_binding(binding.place(), Count::Down);
        }
        self.made.drop_group(ix);
        self.touched.groups.push(ix);
        self.made.close_below(&below)
    }

    fn nest(&mut self, group: &str, within: &str, until: Until) -> Done<()> {
        let ix = self.checks().group_named("group", group)?;
        let within = self.checks().group_named("in", within)?;
        if self.made.groups[within.index()].within.iter().any(|(above, _)| *above == ix) {
            return Err(cycle("in", &format!("group `{group}` would be")));
        }
        self.made.nest(ix, within, until);
        self.made.close_below(&[ix])
    }

    fn unnest(&mut self, group: &str, within: &str) -> Done<()> {
        let ix = self.checks().group_named("group", group)?;
        let within_ix = self.checks().group_named("in", within)?;
        let direct = self.made.groups[ix.index()].above.iter().any(|(above, _)| *above == within_ix);
        there(direct, "in", || format!("group `{group}` is not directly in group `{within}`"))?;
        self.made.unnest(ix, within_ix);
        self.made.close_below(&[ix])
    }

    fn member(&self, account: &Entity, group: &str) -> Done<(AccountIx, GroupIx)> {
        let account = self.checks().account_named("account", account)?;
        Ok((account, self.checks().group_named("group", group)?))
    }

    // ---- accounts ----

    fn put_account(&mut self, account: &Entity, home: Option<&str>, values: &[Option<Value>]) -> Done<()> {
        let (values, home) = self.checks().account(account, home, values.to_vec())?.sound()?;
        let Some(ix) = self.made.account(account) else {
            self.made.insert_account(Account::new(account.clone(), home, values));
            return Ok(());
        };
        if let Some(account) = self.made.accounts.get_mut(ix.index()) {
            account.attributes = values.into();
            let before = std::mem::replace(&mut account.home, home);
            if before != home {
                self.made.tally(before, |tally| Count::Down.on(&mut tally.homes));
                self.made.tally(home, |tally| Count::Up.on(&mut tally.homes));
            }
        }
        Ok(())
    }

    fn remove_account(&mut self, entity: &Entity) -> Done<()> {
        let ix = self.checks().account_named("id", entity)?;
        let account = self.made.accounts[ix.index()].clone();
        let rare = account.rare.clone().unwrap_or_default();
        let held = rare.held_on - on_itself(&account.bindings, entity);
        if held > 0 {
            let counts = [(held, "bindings held on it")];
            return Err(in_the_way(&self.checks().show(entity), &counts, "take these back first"));
        }
        for (group, _) in account.groups() {
            if let Some(group) = self.made.groups.get_mut(group.index()) {
                group.members.remove(ix.0);
            }
        }
        for link in rare.links.iter() {
            self.made.forget_agent(ix, link.target);
        }
        for agent in rare.linked_by.iter() {
            self.made.rarely(AccountIx(agent), |rare| {
                rare.links.retain(|_, link| link.target != LinkTarget::Account(ix));
            });
        }
        for binding in account.bindings.iter() {
            self.made.count_binding(binding.place(), Count::Down);
        }
        self.made.drop_account(ix);
        Ok(())
    }

    fn binding(&self, bound: &Bound) -> Done<(HolderIx, Binding)> {
        let Bound { holder, role, at, boundaries, until } = bound;
        self.checks().binding(holder, *role, at, boundaries.clone(), *until)
    }

    fn link(&self, linked: &Linked) -> Done<(AccountIx, Link)> {
        let Linked { agent, target, boundaries, until } = linked;
        self.checks().link(agent, target, boundaries.clone(), *until)
    }

    // ---- resources ----

    fn put_resource(
        &mut self,
        entity: &Entity,
        scope: Option<&str>,
        parent: Option<&Entity>,
        values: &[Option<Value>],
    ) -> Done<()> {
        let checks = self.checks();
        let (values, own) = checks.resource(entity, scope, parent, values.to_vec())?.0.sound()?;
        let above = match parent {
            None => None,
            Some(parent) => {
                let found = self.made.resource(parent);
                Some(found.ok_or_else(|| checks.no_parent(parent, entity))?)
            }
        };
        let place = above.and_then(|ix| self.made.resources[ix.index()].scope);
        let place = checks.resource_place(entity, own, place)?;
        let ix = match self.made.resource(entity) {
            None => {
                self.check_depth(entity, above, 1)?;
                let resource = Resource::new(entity.clone(), own, parent.cloned(), values);
                self.made.insert_resource(resource)
            }
            Some(ix) => {
                let before = self.made.resources[ix.index()].parent.clone();
                if before.as_ref() != parent {
                    self.check_cycle(entity, ix, above)?;
                    self.check_depth(entity, above, self.height(ix))?;
                    self.adopt(before.and_then(|p| self.made.resource(&p)), |children| children.remove(ix.0));
                }
                let old = self.made.resources[ix.index()].scope;
                self.made.tally(old, |tally| Count::Down.on(&mut tally.resources));
                if let Some(resource) = self.made.resources.get_mut(ix.index()) {
                    resource.parent = parent.cloned();
                    resource.attributes = values.into();
                    resource.own_scope = own.is_some();
                }
                ix
            }
        };
        self.adopt(above, |children| children.insert(ix.0));
        self.set_place(ix, place);
        self.made.tally(place, |tally| Count::Up.on(&mut tally.resources));
        self.move_below(ix)
    }

    fn adopt(&mut self, parent: Option<ResourceIx>, change: impl FnOnce(&mut super::crowd::Crowd)) {
        if let Some(parent) = parent.and_then(|ix| self.made.resources.get_mut(ix.index())) {
            change(&mut parent.children);
        }
    }

    fn set_place(&mut self, ix: ResourceIx, place: Option<ScopeIx>) {
        if let Some(resource) = self.made.resources.get_mut(ix.index()) {
            resource.scope = place;
        }
    }

    /// Gives what sits in a resource its place anew, as far down as it changes.
    fn move_below(&mut self, top: ResourceIx) -> Done<()> {
        let mut moved = vec![top];
        while let Some(ix) = moved.pop() {
            let Resource { scope: above, children, .. } = self.made.resources[ix.index()].clone();
            for child in children.iter() {
                let resource = &self.made.resources[child as usize];
                let old = resource.scope;
                let own = old.filter(|_| resource.own_scope);
                let new = self.checks().resource_place(&resource.entity, own, above)?;
                if new != old {
                    self.made.tally(old, |tally| Count::Down.on(&mut tally.resources));
                    self.made.tally(new, |tally| Count::Up.on(&mut tally.resources));
                    self.set_place(ResourceIx(child), new);
                    moved.push(ResourceIx(child));
                }
            }
        }
        Ok(())
    }

    fn above(&self, ix: ResourceIx) -> Option<ResourceIx> {
        self.made.resources[ix.index()].parent.as_ref().and_then(|parent| self.made.resource(parent))
    }

    fn check_cycle(&self, entity: &Entity, ix: ResourceIx, above: Option<ResourceIx>) -> Done<()> {
        match std::iter::successors(above, |at| self.above(*at)).any(|at| at == ix) {
            true => Err(cycle("in", &format!("{} would sit", self.checks().show(entity)))),
            false => Ok(()),
        }
    }

    /// A resource that is this high may sit in another.
    fn check_depth(&self, entity: &Entity, above: Option<ResourceIx>, height: usize) -> Done<()> {
        let depth = std::iter::successors(above, |at| self.above(*at)).count() + height;
        if depth > ANCESTRY_DEPTH_MAX {
            return Err(too_deep("in", &self.checks().show(entity)));
        }
        Ok(())
    }

    /// Levels of what sits in a resource, itself included.
    fn height(&self, ix: ResourceIx) -> usize {
        let mut level = vec![ix.0];
        let mut height = 0;
        while !level.is_empty() {
            height += 1;
            level = level.iter().flat_map(|at| self.made.resources[*at as usize].children.iter()).collect();
        }
        height
    }

    fn remove_resource(&mut self, entity: &Entity) -> Done<()> {
        self.checks().sorted(entity.kind, &[Sort::Resource], "kind", "a resource kind")?;
        let Some(ix) = self.made.resource(entity) else {
            let message = format!("no {}", self.checks().show(entity));
            return Err(DataError::new(DataErrorKind::Unknown, "id", message));
        };
        let inside = self.made.resources[ix.index()].children.len() as u32;
        if inside > 0 {
            let counts = [(inside, "resources that sit in it")];
            return Err(in_the_way(&self.checks().show(entity), &counts, "remove or move these first"));
        }
        self.adopt(self.above(ix), |children| children.remove(ix.0));
        self.made.drop_resource(ix);
        Ok(())
    }
}

/// How many bindings of something are held on itself: these go with it.
fn on_itself(bindings: &[Binding], itself: &Entity) -> u32 {
    bindings.iter().filter(|b| b.place() == Place::Resource(itself)).count() as u32
}

/// What is taken back must be there.
fn there(found: bool, field: &str, message: impl FnOnce() -> String) -> Done<()> {
    if found { Ok(()) } else { Err(DataError::new(DataErrorKind::Unknown, field, message())) }
}

#[cfg(test)]
mod tests;
