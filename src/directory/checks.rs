//! What data must keep to, asked by [`super::Builder`] and [`super::Directory::apply`] alike: [`Checks`].
//!
//! In:    what is said in names, the vocabulary, and the directory as it stands.
//! Out:   the numbers meant; or a [`DataError`] that says what is wrong and what to do.
//! Law:   asking changes nothing.

use super::edit::{Bounded, HolderIx};
use super::{AccountIx, Binding, Directory, GroupIx, Link, LinkTarget, Place, ScopeIx, Until};
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
    /// The n-th change.
    Change(usize),
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

pub(super) type Done<T> = Result<T, DataError>;

/// A vocabulary, and a directory to be changed.
#[derive(Clone, Copy)]
pub(super) struct Checks<'v, 'd> {
    pub(super) vocabulary: &'v Vocabulary,
    pub(super) made: &'d Directory,
}

/// What is said of a thing, checked: its values by slot, its place, and what is wrong with these.
pub(super) struct Said {
    pub(super) attributes: Vec<Option<Value>>,
    pub(super) scope: Option<ScopeIx>,
    pub(super) error: Option<DataError>,
}

impl Said {
    /// Values and place, if nothing is wrong.
    pub(super) fn sound(self) -> Done<(Vec<Option<Value>>, Option<ScopeIx>)> {
        self.error.map_or(Ok((self.attributes, self.scope)), Err)
    }
}

impl<'v> Checks<'v, '_> {
    /// A scope node, but for what it sits in.
    pub(super) fn scope(&self, kind: KindId, path: &str, values: Vec<Option<Value>>) -> Done<Said> {
        let declared = self.sorted(kind, &[Sort::Scope], "kind", "a scope kind")?;
        self.path(path)?;
        let mut said = self.said(declared, &format_args!("{} `{path}`", declared.wire), None, values);
        let deep = path.bytes().filter(|b| *b == b'/').count() + 1 > ANCESTRY_DEPTH_MAX;
        said.error = said.error.or_else(|| deep.then(|| too_deep("id", &format!("scope `{path}`"))));
        Ok(said)
    }

    /// A group.
    pub(super) fn group(&self, id: &str, scope: Option<&str>, values: Vec<Option<Value>>) -> Done<Said> {
        self.id("id", id)?;
        let declared = self.vocabulary.kind(KindId::GROUP);
        Ok(self.said(declared, &format_args!("group `{id}`"), scope, values))
    }

    /// An account.
    pub(super) fn account(
        &self,
        account: &Entity,
        home: Option<&str>,
        values: Vec<Option<Value>>,
    ) -> Done<Said> {
        let declared = self.sorted(account.kind, &[Sort::Account], "kind", "an account kind")?;
        self.id("id", &account.id)?;
        Ok(self.said(declared, &format_args!("{} `{}`", declared.wire, account.id), home, values))
    }

    /// A resource, and whether its parent is of a kind that fits.
    pub(super) fn resource(
        &self,
        resource: &Entity,
        scope: Option<&str>,
        parent: Option<&Entity>,
        values: Vec<Option<Value>>,
    ) -> Done<(Said, bool)> {
        let declared = self.sorted(resource.kind, &[Sort::Resource], "kind", "a resource kind")?;
        self.id("id", &resource.id)?;
        let what = format_args!("{} `{}`", declared.wire, resource.id);
        let mut said = self.said(declared, &what, scope, values);
        let problem = parent_problem(self.vocabulary, declared, &resource.id, parent);
        let fits = problem.is_none();
        said.error = said.error.or(problem);
        Ok((said, fits))
    }

    fn said(
        &self,
        kind: &Kind,
        what: &dyn std::fmt::Display,
        scope: Option<&str>,
        values: Vec<Option<Value>>,
    ) -> Said {
        let (attributes, error) = self.attributes(kind, what, values);
        let (scope, scope_error) = self.scope_field("scope", scope);
        Said { attributes, scope, error: error.or(scope_error) }
    }

    /// A name that is given must be new.
    pub(super) fn new_name(&self, new: bool, what: &str, id: &str) -> Done<()> {
        if new { Ok(()) } else { Err(contradiction("id", format!("{what} `{id}` is there twice"))) }
    }

    /// What a kind is called in data.
    pub(super) fn wire(&self, kind: KindId) -> &'v str {
        &self.vocabulary.kind(kind).wire
    }

    /// An id can be one.
    pub(super) fn id(&self, field: &str, id: &str) -> Done<()> {
        let problem = if id.is_empty() { Err("an id is never empty".to_owned()) } else { check_string(id) };
        problem.map_err(|message| DataError::new(DataErrorKind::Type, field, message))
    }

    /// A path can be one.
    pub(super) fn path(&self, path: &str) -> Done<()> {
        self.id("id", path)?;
        match path.split('/').any(str::is_empty) {
            true => Err(contradiction("id", format!("the path `{path}` has an empty part"))),
            false => Ok(()),
        }
    }

    /// The node that a scope sits in, which is there and of a kind that fits; its path is not too deep.
    pub(super) fn scope_parent(&self, kind: &Kind, path: &str) -> Done<Option<ScopeIx>> {
        let listed = || listed(self.vocabulary, &kind.parents, " or ");
        let Some((above, _)) = path.rsplit_once('/') else {
            if kind.parents.is_empty() || kind.parent_optional {
                return Ok(None);
            }
            let message =
                format!("{} `{path}` stands at the root, but its kind sits in {}", kind.wire, listed());
            let help = format!("a scope's id is its path, such as `root/{path}`");
            return Err(contradiction("id", message).help(help));
        };
        let scopes = &self.made.scopes;
        let Some(ix) = self.made.scope(above) else {
            let known = scopes.iter().map(|s| s.entity.id.as_str());
            let message = format!("no scope `{above}` for `{path}` to sit in");
            return Err(unknown("id", message, above, known));
        };
        let parent = scopes[ix.index()].entity.kind;
        if !kind.parents.contains(&parent) {
            let parent = &self.vocabulary.kind(parent).wire;
            let message = format!("{} `{path}` cannot sit in {parent} `{above}`", kind.wire);
            return Err(contradiction("id", message));
        }
        Ok(Some(ix))
    }

    /// Who holds a role, and the binding, in numbers.
    pub(super) fn binding(
        &self,
        holder: &Holder,
        role: RoleId,
        at: &At,
        boundaries: Vec<BoundaryId>,
        until: Until,
    ) -> Done<(HolderIx, Binding)> {
        let place = self.place(at)?;
        let holder = match holder {
            Holder::Account(entity) => HolderIx::Account(self.account_named("account", entity)?),
            Holder::Group(id) => HolderIx::Group(self.group_named("group", id)?),
            Holder::Everyone(kind) => {
                self.sorted(*kind, &[Sort::Account], "everyone", "an account kind")?;
                HolderIx::Kind(*kind)
            }
        };
        if role.index() >= self.vocabulary.roles.len() {
            return Err(contradiction("role", "this role is not one of the vocabulary's"));
        }
        self.boundaries(&boundaries)?;
        Ok((holder, Binding::new(role, place, boundaries, until)))
    }

    /// An agent and its link in numbers.
    pub(super) fn link(
        &self,
        agent: &Entity,
        target: &Target,
        boundaries: Vec<BoundaryId>,
        until: Until,
    ) -> Done<(AccountIx, Link)> {
        let (agent, target) = self.link_target(agent, target)?;
        self.boundaries(&boundaries)?;
        Ok((agent, Link { target, boundaries: boundaries.into(), until }))
    }

    /// What a boundary is attached to, in numbers.
    pub(super) fn bounded(&self, boundary: BoundaryId, to: &Entity) -> Done<Bounded> {
        self.boundaries(&[boundary])?;
        match self.vocabulary.kinds.get(to.kind.index()).map(|k| k.sort) {
            Some(Sort::Scope) => self.scope_named("scope", &to.id).map(Bounded::Scope),
            _ => self.account_named("account", to).map(Bounded::Account),
        }
    }

    /// The vocabulary has these boundaries.
    pub(super) fn boundaries(&self, boundaries: &[BoundaryId]) -> Done<()> {
        match boundaries.iter().all(|b| b.index() < self.vocabulary.boundaries.len()) {
            true => Ok(()),
            false => Err(contradiction("boundaries", "this boundary is not one of the vocabulary's")),
        }
    }

    /// Where a resource stands: at its own place, which is at or below that of what it sits in, or there.
    pub(super) fn resource_place(
        &self,
        what: &Entity,
        own: Option<ScopeIx>,
        above: Option<ScopeIx>,
    ) -> Done<Option<ScopeIx>> {
        let (Some(own), Some(above)) = (own, above) else { return Ok(own.or(above)) };
        let closed = !self.made.scopes[own.index()].ancestors.is_empty();
        if !closed || self.made.scope_covers(above, own) {
            return Ok(Some(own));
        }
        let path = |ix: ScopeIx| &self.made.scopes[ix.index()].entity.id;
        let (own, above, what) = (path(own), path(above), self.show(what));
        let message = format!("{what} is placed in `{own}`, but what it sits in is placed in `{above}`");
        let help = format!("leave `scope` out, or name `{above}` or a scope below it");
        Err(contradiction("scope", message).help(help))
    }

    /// The parent of a resource is not stored.
    pub(super) fn no_parent(&self, parent: &Entity, what: &Entity) -> DataError {
        let same = self.made.resources.iter().filter(|r| r.entity.kind == parent.kind);
        let message = format!("no {} for {} to sit in", self.show(parent), self.show(what));
        unknown("in", message, &parent.id, same.map(|r| r.entity.id.as_str()))
    }

    /// A thing in words.
    pub(super) fn show(&self, entity: &Entity) -> String {
        format!("{} `{}`", self.vocabulary.kind(entity.kind).wire, entity.id)
    }

    /// The declaration of a kind of one of these sorts.
    pub(super) fn sorted(&self, kind: KindId, sorts: &[Sort], field: &str, expected: &str) -> Done<&'v Kind> {
        match self.vocabulary.kinds.get(kind.index()) {
            Some(declared) if sorts.contains(&declared.sort) => Ok(declared),
            Some(other) => Err(contradiction(field, format!("`{}` is not {expected}", other.wire))),
            None => Err(contradiction(field, format!("this kind is not {expected}"))),
        }
    }

    /// Checks values by slot; a wrong or missing one is reported and the rest kept.
    pub(super) fn attributes(
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

    pub(super) fn scope_field(
        &self,
        field: &str,
        path: Option<&str>,
    ) -> (Option<ScopeIx>, Option<DataError>) {
        match path.map(|path| self.scope_named(field, path)) {
            None => (None, None),
            Some(Ok(ix)) => (Some(ix), None),
            Some(Err(error)) => (None, Some(error)),
        }
    }

    pub(super) fn scope_named(&self, field: &str, path: &str) -> Done<ScopeIx> {
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

    pub(super) fn group_named(&self, field: &str, id: &str) -> Done<GroupIx> {
        self.made.group(id).ok_or_else(|| {
            unknown(field, format!("no group `{id}`"), id, self.made.groups.iter().map(|g| g.id.as_str()))
        })
    }

    pub(super) fn account_named(&self, field: &str, entity: &Entity) -> Done<AccountIx> {
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

    pub(super) fn place<'e>(&self, at: &'e At) -> Done<Place<'e>> {
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
                self.id("resource", &entity.id)?;
                let must_exist = matches!(declared.sort, Sort::Account | Sort::Group);
                if must_exist && !self.made.holds(self.vocabulary, entity) {
                    let message = format!("no {} `{}`", declared.wire, entity.id);
                    return Err(DataError::new(DataErrorKind::Unknown, "resource", message));
                }
                Ok(Place::Resource(entity))
            }
        }
    }

    pub(super) fn link_target(&self, agent: &Entity, target: &Target) -> Done<(AccountIx, LinkTarget)> {
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
                    let listed = listed(self.vocabulary, &kind.acting_for, ", ");
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

fn listed(vocabulary: &Vocabulary, kinds: &[KindId], between: &str) -> String {
    kinds.iter().map(|k| format!("`{}`", vocabulary.kind(*k).wire)).collect::<Vec<_>>().join(between)
}

/// Whether a value is of a type, its references of fitting kinds, its sets without repetition.
pub(super) fn fits(vocabulary: &Vocabulary, ty: &Type, value: &Value) -> bool {
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
pub(super) fn parent_problem(
    vocabulary: &Vocabulary,
    kind: &Kind,
    id: &str,
    parent: Option<&Entity>,
) -> Option<DataError> {
    let listed = || listed(vocabulary, &kind.parents, " or ");
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
