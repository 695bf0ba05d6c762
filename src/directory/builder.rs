//! Builds a [`Directory`] from what it is told, checking all of it.
//!
//! In:    scopes, groups, accounts, resources, memberships, bindings, links, boundaries, in any order within a
//!        section; what is referred to from another section comes first (scopes, groups, accounts, resources).
//! Out:   [`Directory`], group and scope ancestry closed; or what contradicts the vocabulary or itself.
//! Law:   a directory that was built is whole: what it names exists (but in attributes and on a binding's
//!        resource), required attributes and parents are there, nothing sits in itself. No step is quadratic.

use super::close::{close_groups, close_resources, close_scopes};
use super::{
    Account, AccountIx, Binding, Directory, Group, GroupIx, Link, LinkTarget, Place, Resource, ResourceIx,
    Scope, ScopeIx, Until,
};
use crate::check::program::{Attribute, Kind, Sort, Type, Vocabulary};
use crate::diagnostic::nearest;
use crate::limits::ANCESTRY_DEPTH_MAX;
use crate::value::{BoundaryId, Entity, KindId, RoleId, Value, check_string};
use smol_str::SmolStr;

/// What sort of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataErrorKind {
    /// A value or id that is not of its type.
    Type,
    /// It names something that does not exist.
    Unknown,
    /// Something sits in itself.
    Cycle,
    /// It contradicts itself or the vocabulary.
    Contradiction,
}

/// Which thing a mistake is about, when it is found only at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// What was just being added.
    This,
    /// The n-th scope added.
    Scope(usize),
    /// The n-th group added.
    Group(usize),
    /// The n-th resource added.
    Resource(usize),
}

/// A mistake in data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataError {
    /// What sort of mistake.
    pub kind: DataErrorKind,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// What it is about.
    pub item: Item,
    /// Which part of it, such as `id`, `in`, `attributes.owner`; empty for the whole.
    pub field: String,
}

impl DataError {
    pub(super) fn new(kind: DataErrorKind, field: impl Into<String>, message: impl Into<String>) -> Self {
        DataError { kind, message: message.into(), help: None, item: Item::This, field: field.into() }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn about(mut self, item: Item) -> Self {
        self.item = item;
        self
    }
}

impl std::fmt::Display for DataError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DataError {}

/// Who holds a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// One account.
    Account(Entity),
    /// The members of a group.
    Group(SmolStr),
    /// Every account of a kind.
    Everyone(KindId),
}

/// Where a role is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// Nothing is said: right only without scopes.
    Everywhere,
    /// At the scope with this path, and below.
    Scope(SmolStr),
    /// On one resource.
    Resource(Entity),
}

/// For whom an agent may act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One account.
    Account(Entity),
    /// The members of a group.
    Group(SmolStr),
}

/// Makes a [`Directory`]. A method that returns an error may still have added the thing, so that one mistake
/// doesn't make others; [`Builder::build`] then fails.
#[derive(Debug)]
pub struct Builder<'v> {
    vocabulary: &'v Vocabulary,
    made: Directory,
    groups_in: Vec<(GroupIx, SmolStr, Until)>,
    failed: bool,
}

type Done<T> = Result<T, DataError>;

impl<'v> Builder<'v> {
    /// An empty directory for a vocabulary.
    pub fn new(vocabulary: &'v Vocabulary) -> Self {
        Builder { vocabulary, made: Directory::default(), groups_in: Vec::new(), failed: false }
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
        let declared = self.sorted(kind, &[Sort::Scope], "kind", "a scope kind")?;
        self.check_id("id", path)?;
        if path.split('/').any(str::is_empty) {
            return self.refuse(contradiction("id", format!("the path `{path}` has an empty part")));
        }
        if self.made.scope_index.contains_key(path) {
            return self.refuse(contradiction("id", format!("scope `{path}` is there twice")));
        }
        let ix = ScopeIx(self.made.scopes.len() as u32);
        let entity = Entity { kind, id: path.into() };
        self.made.scope_index.insert(entity.id.clone(), ix);
        let checked = self.attributes(declared, &format!("{} `{path}`", declared.wire), attributes);
        let (attributes, error) = checked;
        self.made.scopes.push(Scope { entity, ancestors: Vec::new(), attributes, boundaries });
        let deep = path.bytes().filter(|b| *b == b'/').count() + 1;
        let error =
            error.or_else(|| (deep > ANCESTRY_DEPTH_MAX).then(|| too_deep("id", &format!("scope `{path}`"))));
        self.finish(ix, error)
    }

    /// Adds a group.
    pub fn add_group(
        &mut self,
        id: &str,
        scope: Option<&str>,
        attributes: Vec<Option<Value>>,
    ) -> Done<GroupIx> {
        self.check_id("id", id)?;
        if self.made.group_index.contains_key(id) {
            return self.refuse(contradiction("id", format!("group `{id}` is there twice")));
        }
        let declared = self.vocabulary.kind(KindId::GROUP);
        let (attributes, error) = self.attributes(declared, &format!("group `{id}`"), attributes);
        let (scope, scope_error) = self.scope_field("scope", scope);
        let ix = GroupIx(self.made.groups.len() as u32);
        let id = SmolStr::from(id);
        self.made.group_index.insert(id.clone(), ix);
        self.made.groups.push(Group { id, scope, attributes, within: Vec::new(), bindings: Vec::new() });
        self.finish(ix, error.or(scope_error))
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
        let declared = self.sorted(kind, &[Sort::Account], "kind", "an account kind")?;
        self.check_id("id", id)?;
        let entity = Entity { kind, id: id.into() };
        if self.made.account_index.contains_key(&entity) {
            return self.refuse(contradiction("id", format!("{} `{id}` is there twice", declared.wire)));
        }
        let (attributes, error) =
            self.attributes(declared, &format_args!("{} `{id}`", declared.wire), attributes);
        let (home, home_error) = self.scope_field("scope", home);
        let ix = AccountIx(self.made.accounts.len() as u32);
        self.made.account_index.insert(entity.clone(), ix);
        self.made.accounts.push(Account {
            entity,
            home,
            attributes,
            groups: Vec::new(),
            boundaries,
            bindings: Vec::new(),
            links: Vec::new(),
        });
        self.finish(ix, error.or(home_error))
    }

    /// Makes an account a member of a group.
    pub fn join(&mut self, account: AccountIx, group: &str, until: Until) -> Done<()> {
        match self.group_named("groups", group) {
            Ok(group) => {
                if let Some(account) = self.made.accounts.get_mut(account.index()) {
                    account.groups.push((group, until));
                }
                Ok(())
            }
            Err(error) => self.refuse(error),
        }
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
        let declared = self.sorted(kind, &[Sort::Resource], "kind", "a resource kind")?;
        self.check_id("id", id)?;
        let entity = Entity { kind, id: id.into() };
        if self.made.resource_index.contains_key(&entity) {
            return self.refuse(contradiction("id", format!("{} `{id}` is there twice", declared.wire)));
        }
        let (attributes, error) =
            self.attributes(declared, &format_args!("{} `{id}`", declared.wire), attributes);
        let (scope, scope_error) = self.scope_field("scope", scope);
        let parent_error = parent_problem(self.vocabulary, declared, id, parent.as_ref());
        let ix = ResourceIx(self.made.resources.len() as u32);
        self.made.resource_index.insert(entity.clone(), ix);
        let parent = if parent_error.is_some() { None } else { parent };
        self.made.resources.push(Resource { entity, scope, parent, attributes });
        self.finish(ix, error.or(scope_error).or(parent_error))
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
        let place = match self.place(at) {
            Ok(place) => place,
            Err(error) => return self.refuse(error),
        };
        let binding = Binding { role, place, boundaries, until };
        let done = match holder {
            Holder::Account(entity) => self.account_named("account", entity).map(|ix| {
                self.made.accounts[ix.index()].bindings.push(binding);
            }),
            Holder::Group(id) => {
                self.group_named("group", id).map(|ix| self.made.groups[ix.index()].bindings.push(binding))
            }
            Holder::Everyone(kind) => self
                .sorted(*kind, &[Sort::Account], "everyone", "an account kind")
                .map(|_| self.made.kind_bindings.push((*kind, binding))),
        };
        done.or_else(|error| self.refuse(error))
    }

    /// Lets an account act for another, or for the members of a group.
    pub fn link(
        &mut self,
        agent: &Entity,
        target: &Target,
        boundaries: Vec<BoundaryId>,
        until: Until,
    ) -> Done<()> {
        let done = self.link_target(agent, target).map(|(agent, target)| {
            self.made.accounts[agent.index()].links.push(Link { target, boundaries, until });
        });
        done.or_else(|error| self.refuse(error))
    }

    /// Attaches a boundary to an account or a scope node.
    pub fn attach(&mut self, boundary: BoundaryId, to: &Entity) -> Done<()> {
        let done = match self.vocabulary.kinds.get(to.kind.index()).map(|k| k.sort) {
            Some(Sort::Scope) => self.scope_named("scope", &to.id).map(|ix| {
                self.made.scopes[ix.index()].boundaries.push(boundary);
            }),
            _ => self.account_named("account", to).map(|ix| {
                self.made.accounts[ix.index()].boundaries.push(boundary);
            }),
        };
        done.or_else(|error| self.refuse(error))
    }

    /// Closes the directory.
    ///
    /// - Errors: all that can only be seen at the end; none, if all there is has been returned before.
    pub fn build(mut self) -> Result<Directory, Vec<DataError>> {
        let mut errors = Vec::new();
        close_scopes(self.vocabulary, &mut self.made, &mut errors);
        close_groups(&mut self.made, self.groups_in, &mut errors);
        close_resources(self.vocabulary, &mut self.made, &mut errors);
        if errors.is_empty() && !self.failed { Ok(self.made) } else { Err(errors) }
    }

    // ---- what the methods above share ----

    fn refuse<T>(&mut self, error: DataError) -> Done<T> {
        self.failed = true;
        Err(error)
    }

    fn finish<T>(&mut self, made: T, error: Option<DataError>) -> Done<T> {
        match error {
            None => Ok(made),
            Some(error) => self.refuse(error),
        }
    }

    fn check_id(&mut self, field: &str, id: &str) -> Done<()> {
        let problem = if id.is_empty() { Err("an id is never empty".to_owned()) } else { check_string(id) };
        problem.or_else(|message| self.refuse(DataError::new(DataErrorKind::Type, field, message)))
    }

    /// The declaration of a kind of one of these sorts.
    fn sorted(&mut self, kind: KindId, sorts: &[Sort], field: &str, expected: &str) -> Done<&'v Kind> {
        let vocabulary = self.vocabulary;
        match vocabulary.kinds.get(kind.index()) {
            Some(declared) if sorts.contains(&declared.sort) => Ok(declared),
            Some(other) => self.refuse(contradiction(field, format!("`{}` is not {expected}", other.wire))),
            None => self.refuse(contradiction(field, format!("this kind is not {expected}"))),
        }
    }

    /// Checks values by slot; a wrong or missing one is reported and the rest kept.
    fn attributes(
        &self,
        kind: &Kind,
        what: &dyn std::fmt::Display,
        mut values: Vec<Option<Value>>,
    ) -> (Vec<Option<Value>>, Option<DataError>) {
        values.resize(kind.attributes.len(), None);
        let name = |a: &Attribute| self.vocabulary.name(a.name).to_owned();
        for (attribute, value) in kind.attributes.iter().zip(&mut values) {
            if value.as_ref().is_some_and(|v| !fits(self.vocabulary, &attribute.ty, v)) {
                *value = None;
                let (name, ty) = (name(attribute), self.vocabulary.show_type(&attribute.ty));
                let message = format!("`{name}` of {what} is not a value of type {ty}");
                return (
                    values,
                    Some(DataError::new(DataErrorKind::Type, format!("attributes.{name}"), message)),
                );
            }
        }
        let missing = kind.attributes.iter().zip(&values).filter(|(a, v)| !a.optional && v.is_none());
        let missing: Vec<String> = missing.map(|(a, _)| format!("`{}`", name(a))).collect();
        let error = (!missing.is_empty()).then(|| {
            let message = format!("{what} has no {}, which is required", missing.join(", "));
            contradiction("attributes", message)
                .help("give it a value, or let the vocabulary say that it may be absent, with `?`")
        });
        (values, error)
    }

    fn scope_field(&self, field: &str, path: Option<&str>) -> (Option<ScopeIx>, Option<DataError>) {
        match path.map(|path| self.scope_named(field, path)) {
            None => (None, None),
            Some(Ok(ix)) => (Some(ix), None),
            Some(Err(error)) => (None, Some(error)),
        }
    }

    fn scope_named(&self, field: &str, path: &str) -> Done<ScopeIx> {
        if !self.vocabulary.has_scopes() {
            return Err(contradiction(field, "the vocabulary declares no scopes, so nothing has one"));
        }
        self.made.scope(path).ok_or_else(|| {
            unknown(
                field,
                format!("no scope `{path}`"),
                path,
                self.made.scopes.iter().map(|s| s.entity.id.as_str()),
            )
        })
    }

    fn group_named(&self, field: &str, id: &str) -> Done<GroupIx> {
        self.made.group(id).ok_or_else(|| {
            unknown(field, format!("no group `{id}`"), id, self.made.groups.iter().map(|g| g.id.as_str()))
        })
    }

    fn account_named(&mut self, field: &str, entity: &Entity) -> Done<AccountIx> {
        let declared = self.sorted(entity.kind, &[Sort::Account], field, "an account kind")?;
        self.made.account(entity).ok_or_else(|| {
            let same = self
                .made
                .accounts
                .iter()
                .filter(|a| a.entity.kind == entity.kind)
                .map(|a| a.entity.id.as_str());
            unknown(field, format!("no {} `{}`", declared.wire, entity.id), &entity.id, same)
        })
    }

    fn place(&mut self, at: &At) -> Done<Place> {
        match at {
            At::Scope(path) => self.scope_named("scope", path).map(Place::Scope),
            At::Everywhere if self.vocabulary.has_scopes() => {
                let message = "a binding says where it holds: `scope` or `resource` is missing";
                Err(contradiction("", message))
            }
            At::Everywhere => Ok(Place::Everywhere),
            At::Resource(entity) => {
                let sorts = [Sort::Resource, Sort::Account, Sort::Group, Sort::Role, Sort::Policy];
                let declared = self.sorted(
                    entity.kind,
                    &sorts,
                    "resource",
                    "something a role can be held on; use `scope`",
                )?;
                self.check_id("resource", &entity.id)?;
                let must_exist = matches!(declared.sort, Sort::Account | Sort::Group);
                if must_exist && !self.made.holds(self.vocabulary, entity) {
                    let message = format!("no {} `{}`", declared.wire, entity.id);
                    return Err(DataError::new(DataErrorKind::Unknown, "resource", message));
                }
                Ok(Place::Resource(entity.clone()))
            }
        }
    }

    fn link_target(&mut self, agent: &Entity, target: &Target) -> Done<(AccountIx, LinkTarget)> {
        let agent_ix = self.account_named("agent", agent)?;
        let kind = self.vocabulary.kind(agent.kind);
        if kind.acting_for.is_empty() {
            let message = format!("an account of kind `{}` acts for nobody", kind.wire);
            return Err(contradiction("agent", message)
                .help(format!("declare it: `account {} acting for …`", kind.name)));
        }
        let target = match target {
            Target::Group(id) => LinkTarget::Group(self.group_named("group", id)?),
            Target::Account(entity) => {
                let ix = self.account_named("account", entity)?;
                if !kind.acting_for.contains(&entity.kind) {
                    let other = &self.vocabulary.kind(entity.kind).wire;
                    let message = format!("`{}` does not act for accounts of kind `{other}`", kind.wire);
                    let listed =
                        kind.acting_for.iter().map(|k| format!("`{}`", self.vocabulary.kind(*k).wire));
                    let listed = listed.collect::<Vec<_>>().join(", ");
                    return Err(contradiction("account", message).help(format!("it acts for {listed}")));
                }
                if entity == agent {
                    return Err(DataError::new(
                        DataErrorKind::Cycle,
                        "account",
                        "an account does not act for itself",
                    ));
                }
                LinkTarget::Account(ix)
            }
        };
        Ok((agent_ix, target))
    }
}

/// Whether a value is of a type, its references of fitting kinds, its sets without repetition.
pub(crate) fn fits(vocabulary: &Vocabulary, ty: &Type, value: &Value) -> bool {
    match (ty, value) {
        (Type::Bool, Value::Bool(_))
        | (Type::Int, Value::Int(_))
        | (Type::Decimal, Value::Decimal(_))
        | (Type::Time, Value::Time(_))
        | (Type::Duration, Value::Duration(_))
        | (Type::TimeOfDay, Value::TimeOfDay(_))
        | (Type::Weekday, Value::Weekday(_))
        | (Type::Ip, Value::Ip(_))
        | (Type::Cidr, Value::Cidr(_)) => true,
        (Type::String, Value::String(text)) => check_string(text).is_ok(),
        (Type::Enum(ty), Value::Variant(of, variant)) => {
            ty == of
                && vocabulary.enums.get(ty.index()).is_some_and(|e| usize::from(*variant) < e.variants.len())
        }
        (Type::Ref(kinds), Value::Entity(entity)) => {
            kinds.contains(&entity.kind) && !entity.id.is_empty() && check_string(&entity.id).is_ok()
        }
        (Type::Set(element), Value::Set(values)) => {
            values.is_sorted_by(|a, b| a < b) && values.iter().all(|v| fits(vocabulary, element, v))
        }
        (Type::Record(id), Value::Record(values)) => {
            vocabulary.records.get(id.index()).is_some_and(|record| {
                record.fields.len() == values.len()
                    && record.fields.iter().zip(values.iter()).all(|(field, value)| match value {
                        Some(value) => fits(vocabulary, &field.ty, value),
                        None => field.optional,
                    })
            })
        }
        _ => false,
    }
}

pub(super) fn contradiction(field: impl Into<String>, message: impl Into<String>) -> DataError {
    DataError::new(DataErrorKind::Contradiction, field, message)
}

pub(super) fn too_deep(field: &str, what: &str) -> DataError {
    contradiction(field, format!("{what} stands deeper than {ANCESTRY_DEPTH_MAX} levels"))
}

/// More names than this are not searched for the nearest: the answer must not cost more than the load.
const NEAREST_SEARCH_MAX: usize = 20_000;

pub(super) fn unknown<'a>(
    field: &str,
    message: String,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> DataError {
    let error = DataError::new(DataErrorKind::Unknown, field, message);
    match nearest(name, known.take(NEAREST_SEARCH_MAX)) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// What is wrong with a parent (or its lack) as far as its kind tells.
pub(crate) fn parent_problem(
    vocabulary: &Vocabulary,
    kind: &Kind,
    id: &str,
    parent: Option<&Entity>,
) -> Option<DataError> {
    let listed = || {
        kind.parents
            .iter()
            .map(|k| format!("`{}`", vocabulary.kind(*k).wire))
            .collect::<Vec<_>>()
            .join(" or ")
    };
    match parent {
        Some(parent) if kind.parents.contains(&parent.kind) => None,
        Some(_) if kind.parents.is_empty() => Some(contradiction(
            "in",
            format!("{} `{id}` sits in nothing: its kind has no parents", kind.wire),
        )),
        Some(parent) => {
            let other = &vocabulary.kind(parent.kind).wire;
            let message = format!("{} `{id}` cannot sit in a `{other}`", kind.wire);
            Some(contradiction("in", message).help(format!("its kind sits in {}", listed())))
        }
        None if kind.parents.is_empty() || kind.parent_optional => None,
        None => {
            let message = format!("{} `{id}` does not say what it sits in", kind.wire);
            Some(contradiction("in", message).help(format!("its kind sits in {}: give `in`", listed())))
        }
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
        assert_eq!(d.groups[0].within, [(ix("a"), FOREVER), (ix("b"), 10), (ix("c"), 20), (ix("top"), 15)]);
        assert_eq!(d.accounts[0].groups, [(ix("a"), 12), (ix("b"), 10), (ix("c"), 12), (ix("top"), 12)]);
    }
}
