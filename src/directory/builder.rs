//! Builds a [`Directory`] from what it is told, checking all of it.
//!
//! In:    scopes, groups, accounts, resources, memberships, bindings, links, boundaries, in any order within a
//!        section; what is referred to from another section comes first (scopes, groups, accounts, resources).
//! Out:   [`Directory`], group and scope ancestry closed; or what contradicts the vocabulary or itself.
//! Law:   a directory that was built is whole: what it names exists (but in attributes and on a binding's
//!        resource), required attributes and parents are there, nothing sits in itself. No step is quadratic.

use super::checks::{At, Checks, DataError, Done, Holder, Target};
use super::close::{close_groups, close_members, close_resources, close_scopes};
use super::edit::Bounded;
use super::{
    Account, AccountIx, Directory, Group, GroupIx, List, Resource, ResourceIx, Scope, ScopeIx, Until,
};
use crate::check::program::Vocabulary;
use crate::value::{BoundaryId, Entity, KindId, RoleId, Value};
use smol_str::SmolStr;

/// Makes a [`Directory`]. A method that returns an error may still have added the thing, so that one mistake
/// doesn't make others; [`Builder::build`] then fails.
#[derive(Debug)]
pub struct Builder<'v> {
    vocabulary: &'v Vocabulary,
    made: Directory,
    groups_in: Vec<(GroupIx, SmolStr, Until)>,
    members: Vec<(AccountIx, GroupIx, Until)>,
    failed: bool,
}

impl Scope {
    /// A node that is not closed yet.
    pub(super) fn new(entity: Entity, attributes: Vec<Option<Value>>, boundaries: Vec<BoundaryId>) -> Scope {
        let (ancestors, attributes, boundaries) = ([].into(), attributes.into(), boundaries.into());
        Scope { entity, ancestors, attributes, boundaries, tally: Default::default() }
    }
}

impl Group {
    /// A group without members that is in none and not closed yet.
    pub(super) fn new(id: SmolStr, scope: Option<ScopeIx>, attributes: Vec<Option<Value>>) -> Group {
        Group {
            id,
            scope,
            attributes: attributes.into(),
            within: [].into(),
            bindings: List::default(),
            above: [].into(),
            below: Default::default(),
            members: Default::default(),
            linked_by: Default::default(),
            held_on: 0,
            depth: 0,
        }
    }
}

impl Account {
    /// An account that is in no group and holds nothing.
    pub(super) fn new(entity: Entity, home: Option<ScopeIx>, attributes: Vec<Option<Value>>) -> Account {
        let (bindings, direct) = (List::default(), Box::default());
        Account { entity, home, attributes: attributes.into(), bindings, direct, rare: None }
    }
}

impl Resource {
    /// A resource in which nothing sits yet.
    pub(super) fn new(
        entity: Entity,
        scope: Option<ScopeIx>,
        parent: Option<Entity>,
        attributes: Vec<Option<Value>>,
    ) -> Resource {
        let (own_scope, children) = (scope.is_some(), Default::default());
        Resource { entity, scope, parent, attributes: attributes.into(), own_scope, children }
    }
}

impl<'v> Builder<'v> {
    /// An empty directory for a vocabulary.
    pub fn new(vocabulary: &'v Vocabulary) -> Self {
        let (made, groups_in, members) = Default::default();
        Builder { vocabulary, made, groups_in, members, failed: false }
    }

    /// What has been added so far.
    pub fn directory(&self) -> &Directory {
        &self.made
    }

    /// Adds a scope node; its parent, the path up to its last `/`, may come later.
    pub fn add_scope(
        &mut self,
        kind: KindId,
        path: &str,
        attributes: Vec<Option<Value>>,
        boundaries: Vec<BoundaryId>,
    ) -> Done<ScopeIx> {
        let said = self.ask(|checks| {
            let said = checks.scope(kind, path, attributes)?;
            checks.boundaries(&boundaries)?;
            checks.new_name(checks.made.scope(path).is_none(), "scope", path)?;
            Ok(said)
        })?;
        let scope = Scope::new(Entity { kind, id: path.into() }, said.attributes, boundaries);
        let ix = self.made.insert_scope(scope);
        self.finish(ix, said.error)
    }

    /// Adds a group.
    pub fn add_group(
        &mut self,
        id: &str,
        scope: Option<&str>,
        attributes: Vec<Option<Value>>,
    ) -> Done<GroupIx> {
        let said = self.ask(|checks| {
            let said = checks.group(id, scope, attributes)?;
            checks.new_name(checks.made.group(id).is_none(), "group", id)?;
            Ok(said)
        })?;
        let ix = self.made.insert_group(Group::new(id.into(), said.scope, said.attributes));
        self.finish(ix, said.error)
    }

    /// Puts a group in another, which may be added later.
    pub fn put_group_in(&mut self, group: GroupIx, within: &str, until: Until) {
        self.groups_in.push((group, within.into(), until));
    }

    /// Adds an account.
    pub fn add_account(
        &mut self,
        kind: KindId,
        id: &str,
        home: Option<&str>,
        attributes: Vec<Option<Value>>,
        boundaries: Vec<BoundaryId>,
    ) -> Done<AccountIx> {
        let entity = Entity { kind, id: id.into() };
        let said = self.ask(|checks| {
            let said = checks.account(&entity, home, attributes)?;
            checks.boundaries(&boundaries)?;
            checks.new_name(checks.made.account(&entity).is_none(), checks.wire(kind), id)?;
            Ok(said)
        })?;
        let ix = self.made.insert_account(Account::new(entity, said.scope, said.attributes));
        boundaries.into_iter().for_each(|b| self.made.add_boundary(Bounded::Account(ix), b));
        self.finish(ix, said.error)
    }

    /// Makes an account a member of a group.
    pub fn join(&mut self, account: AccountIx, group: &str, until: Until) -> Done<()> {
        let group = self.ask(|checks| checks.group_named("groups", group))?;
        self.members.push((account, group, until));
        Ok(())
    }

    /// Adds a stored resource; its parent may come later, its scope (when it has one of its own) is there.
    pub fn add_resource(
        &mut self,
        kind: KindId,
        id: &str,
        scope: Option<&str>,
        parent: Option<Entity>,
        attributes: Vec<Option<Value>>,
    ) -> Done<ResourceIx> {
        let entity = Entity { kind, id: id.into() };
        let (said, parent_fits) = self.ask(|checks| {
            let said = checks.resource(&entity, scope, parent.as_ref(), attributes)?;
            checks.new_name(checks.made.resource(&entity).is_none(), checks.wire(kind), id)?;
            Ok(said)
        })?;
        let parent = parent.filter(|_| parent_fits);
        let ix = self.made.insert_resource(Resource::new(entity, said.scope, parent, said.attributes));
        self.finish(ix, said.error)
    }

    /// Lets somebody hold a role somewhere.
    pub fn bind(
        &mut self,
        holder: &Holder,
        role: RoleId,
        at: &At,
        boundaries: Vec<BoundaryId>,
        until: Until,
    ) -> Done<()> {
        let (holder, binding) = self.ask(|checks| checks.binding(holder, role, at, boundaries, until))?;
        self.made.add_binding(holder, binding);
        Ok(())
    }

    /// Lets an account act for another, or for the members of a group.
    pub fn link(
        &mut self,
        agent: &Entity,
        target: &Target,
        boundaries: Vec<BoundaryId>,
        until: Until,
    ) -> Done<()> {
        let (agent, link) = self.ask(|checks| checks.link(agent, target, boundaries, until))?;
        self.made.add_link(agent, link);
        Ok(())
    }

    /// Attaches a boundary to an account or a scope node.
    pub fn attach(&mut self, boundary: BoundaryId, to: &Entity) -> Done<()> {
        let to = self.ask(|checks| checks.bounded(boundary, to))?;
        self.made.add_boundary(to, boundary);
        Ok(())
    }

    /// Closes the directory.
    ///
    /// - Errors: all that can only be seen at the end; none, if all there is has been returned before.
    pub fn build(mut self) -> Result<Directory, Vec<DataError>> {
        let mut errors = Vec::new();
        close_scopes(self.vocabulary, &mut self.made, &mut errors);
        close_groups(&mut self.made, self.groups_in, &mut errors);
        close_members(&mut self.made, self.members);
        close_resources(self.vocabulary, &mut self.made, &mut errors);
        if errors.is_empty() && !self.failed { Ok(self.made) } else { Err(errors) }
    }

    fn ask<T>(&mut self, ask: impl FnOnce(Checks<'v, '_>) -> Done<T>) -> Done<T> {
        let asked = ask(Checks { vocabulary: self.vocabulary, made: &self.made });
        self.failed |= asked.is_err();
        asked
    }

    fn finish<T>(&mut self, made: T, error: Option<DataError>) -> Done<T> {
        self.failed |= error.is_some();
        error.map_or(Ok(made), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FOREVER, fixture::*};
    use super::*;

    fn errors_of(made: impl FnOnce(&mut Builder<'_>)) -> Vec<String> {
        let v = vocabulary();
        let mut b = Builder::new(&v);
        b.add_scope(ORG, "acme", vec![], vec![]).unwrap();
        b.add_scope(PROJECT, "acme/web", vec![], vec![]).unwrap();
        b.add_scope(PROJECT, "acme/db", vec![], vec![]).unwrap();
        made(&mut b);
        b.build()
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|e| format!("{:?} {}: {}", e.kind, e.field, e.message))
            .collect()
    }

    fn said<T: std::fmt::Debug>(done: Done<T>) -> String {
        let e = done.unwrap_err();
        format!("{:?} {}: {} / {}", e.kind, e.field, e.message, e.help.unwrap_or_default())
    }

    #[test]
    fn what_is_told_is_checked() {
        let v = vocabulary();
        let b = &mut Builder::new(&v);
        b.add_scope(ORG, "acme", vec![], vec![]).unwrap();
        let long = "x".repeat(5_000);
        let wrong = vec![None, Some(Value::Bool(true))];
        let found = [
            said(b.add_scope(ORG, "acme", vec![], vec![])),
            said(b.add_scope(ORG, "a//b", vec![], vec![])),
            said(b.add_scope(USER, "x", vec![], vec![])),
            said(b.add_account(BOT, "bot", None, vec![], vec![])),
            said(b.add_account(BOT, "", None, vec![], vec![])),
            said(b.add_account(BOT, "e\u{301}", None, vec![], vec![])),
            said(b.add_account(USER, "ana", Some("acm"), vec![], vec![])),
            said(b.add_account(USER, "ana", None, vec![], vec![])),
            said(b.add_resource(DOCUMENT, "d", None, Some(entity(FOLDER, "f")), wrong)),
            said(b.add_resource(DOCUMENT, "d2", None, None, vec![None, Some(Value::Int(1))])),
            said(b.add_resource(FOLDER, "f2", None, Some(entity(DOCUMENT, "d")), vec![])),
            said(b.add_group(&long, None, vec![])),
            said(b.join(AccountIx(0), "staf", FOREVER)),
            said(b.bind(
                &Holder::Account(entity(USER, "anna")),
                RoleId(0),
                &At::Scope("acme".into()),
                vec![],
                FOREVER,
            )),
            said(b.bind(&Holder::Everyone(USER), RoleId(0), &At::Everywhere, vec![], FOREVER)),
            said(b.bind(&Holder::Everyone(FOLDER), RoleId(0), &At::Scope("acme".into()), vec![], FOREVER)),
            said(b.link(&entity(USER, "ana"), &Target::Group("g".into()), vec![], FOREVER)),
        ];
        let expected = "\
Contradiction id: scope `acme` is there twice / 
Contradiction id: the path `a//b` has an empty part / 
Contradiction kind: `user` is not a scope kind / 
Contradiction attributes: service_account `bot` has no `purpose`, which is required / give it a value, or let the vocabulary say that it may be absent, with `?`
Type id: an id is never empty / 
Type id: the text is not in Unicode normalization form NFC / 
Unknown scope: no scope `acm` / did you mean `acme`?
Contradiction id: user `ana` is there twice / 
Type attributes.replicas: `replicas` of document `d` is not a value of type Int / 
Contradiction in: document `d2` does not say what it sits in / its kind sits in `folder`: give `in`
Contradiction in: folder `f2` cannot sit in a `document` / its kind sits in `folder`
Type id: the text has 5000 bytes; at most 4096 are allowed / 
Unknown groups: no group `staf` / 
Unknown account: no user `anna` / did you mean `ana`?
Contradiction : a binding says where it holds: `scope` or `resource` is missing / 
Contradiction everyone: `folder` is not an account kind / 
Contradiction agent: an account of kind `user` acts for nobody / declare it: `account user acting for …`";
        assert_eq!(found.join("\n"), expected);
    }

    #[test]
    fn scopes_stand_in_what_their_kind_allows() {
        let found = errors_of(|b| {
            b.add_scope(PROJECT, "alone", vec![], vec![]).unwrap();
            b.add_scope(PROJECT, "acme/web/deep", vec![], vec![]).unwrap();
            b.add_scope(PROJECT, "acne/x", vec![], vec![]).unwrap();
        });
        let expected = [
            "Contradiction id: project `alone` stands at the root, but its kind sits in `organization`",
            "Contradiction id: project `acme/web/deep` cannot sit in project `acme/web`",
            "Unknown id: no scope `acne` for `acne/x` to sit in",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_sits_in_itself() {
        let found = errors_of(|b| {
            let ids = ["a", "b", "c"].map(|id| b.add_group(id, None, vec![]).unwrap());
            b.put_group_in(ids[0], "b", FOREVER);
            b.put_group_in(ids[1], "a", FOREVER);
            b.put_group_in(ids[2], "zz", FOREVER);
            b.add_resource(FOLDER, "x", None, Some(entity(FOLDER, "y")), vec![]).unwrap();
            b.add_resource(FOLDER, "y", None, Some(entity(FOLDER, "x")), vec![]).unwrap();
            b.add_resource(FOLDER, "z", None, Some(entity(FOLDER, "nowhere")), vec![]).unwrap();
        });
        let expected = [
            "Unknown in: no group `zz`",
            "Cycle in: group `a` is in itself",
            "Cycle in: folder `x` sits in itself",
            "Unknown in: no folder `nowhere` for folder `z` to sit in",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_resource_stands_at_or_below_its_parents_place() {
        let found = errors_of(|b| {
            b.add_resource(FOLDER, "child", Some("acme/db"), Some(entity(FOLDER, "top")), vec![]).unwrap();
            b.add_resource(FOLDER, "top", Some("acme/web"), None, vec![]).unwrap();
        });
        assert_eq!(
            found,
            [
                "Contradiction scope: folder `child` is placed in `acme/db`, but what it sits in is placed in `acme/web`"
            ]
        );
    }

    #[test]
    fn of_several_paths_into_a_group_the_longest_counts() {
        let v = vocabulary();
        let mut b = Builder::new(&v);
        let ids = ["a", "b", "c", "top"].map(|id| b.add_group(id, None, vec![]).unwrap());
        b.put_group_in(ids[0], "b", 10);
        b.put_group_in(ids[0], "c", 20);
        b.put_group_in(ids[1], "top", 90);
        b.put_group_in(ids[2], "top", 15);
        let account = b.add_account(USER, "u", None, vec![], vec![]).unwrap();
        b.join(account, "a", 12).unwrap();
        b.join(account, "b", 5).unwrap();
        let d = b.build().unwrap();
        let ix = |id| d.group(id).unwrap();
        assert_eq!(*d.groups[0].within, [(ix("a"), FOREVER), (ix("b"), 10), (ix("c"), 20), (ix("top"), 15)]);
        assert_eq!(
            d.memberships(&d.accounts[0]),
            [(ix("a"), 12), (ix("b"), 10), (ix("c"), 12), (ix("top"), 12)]
        );
    }
}
