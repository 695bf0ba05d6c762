//! Makes the engine's directory of an organization from what is stored.
//!
//! In:    a vocabulary, the living objects of one organization, the time.
//! Out:   a [`Directory`], and what of the stored has no meaning under this vocabulary.
//! Law:   what is deleted or stands below something deleted isn't there, so nothing allows it; what is disabled or
//!        expired is there to be acted on, under a boundary that refuses everything. A ceiling that can't be found
//!        takes what it was on away with it, never only itself. What has no meaning is remembered, so that it denies;
//!        a group without meaning would take its denials with it, so nothing is built then.

use super::object::{Kind, Object};
use crate::{
    At, BoundaryId, Builder, DataError, Directory, Entity, Holder, Item, Json, KindId, Path, RoleId, Target,
    Value, Vocabulary, Wire,
};
use std::collections::{HashMap, HashSet};

/// The shipped boundary on accounts that are switched off.
const OFF: &str = "policyd_off";

/// No end.
pub const FOREVER: i64 = i64::MAX;

/// Something stored that a vocabulary has no meaning for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaningless {
    /// Kind and uid.
    pub kind: Kind,
    /// Its uid.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
    /// Which of its fields; empty for the whole.
    pub field: String,
}

/// What building gave.
#[derive(Debug)]
pub struct Built {
    /// The directory.
    pub directory: Directory,
    /// What was left out because the vocabulary doesn't know it.
    pub meaningless: Vec<Meaningless>,
    /// The uids of accounts and resources that are stored and not in it: nothing may be decided about those.
    pub gone: HashSet<String>,
    /// The first moment at which an account in it expires: then it must be made again.
    pub until: i64,
}

/// The living objects of an organization, by uid.
#[derive(Debug, Default)]
pub struct Living {
    all: Vec<Object>,
    at: HashMap<String, usize>,
}

impl Living {
    /// Of everything that isn't deleted.
    pub fn new(all: Vec<Object>) -> Living {
        let at = all.iter().enumerate().map(|(n, o)| (o.uid.clone(), n)).collect();
        Living { all, at }
    }

    /// Who owns an object: its living owner as he is named now; of one who is gone the uid, which names nobody.
    pub fn owner(&self, object: &Object) -> Option<(String, String)> {
        let (kind, given) = object.reference("owner")?;
        match object.refers("owner") {
            None => Some((kind.to_owned(), given.to_owned())),
            Some(uid) => Some(match self.get(uid) {
                Some(owner) => (owner.kind.wire().to_owned(), owner.name.clone()),
                None => (kind.to_owned(), uid.to_owned()),
            }),
        }
    }

    /// One of them.
    pub fn get(&self, uid: &str) -> Option<&Object> {
        self.all.get(*self.at.get(uid)?)
    }

    /// All of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.all.iter().filter(move |o| o.kind == kind)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Object> {
        self.all.iter()
    }
}

/// Builds. `ours` makes the directory of the shipped set: no registered resources, only roles of ours.
pub fn build(vocabulary: &Vocabulary, living: &Living, now: i64, ours: bool) -> Result<Built, String> {
    // What the engine refuses is left out, and all is made again without it: what names it goes with it.
    let mut without = HashSet::new();
    let mut meaningless = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let (made, refused) = round(vocabulary, View { living, without: &without }, now, ours);
        if refused.is_empty() {
            let mut built = made?;
            built.meaningless.extend(meaningless);
            if !ours {
                built.gone = gone(living, built.gone, &built.meaningless)?;
            }
            return Ok(built);
        }
        without.extend(refused.iter().map(|m| m.uid.clone()));
        let sits_in_one = |o: &&Object, out: &HashSet<String>| {
            !out.contains(&o.uid) && o.refers("in").is_some_and(|above| out.contains(above))
        };
        loop {
            let more = living.of(Kind::Resource).filter(|o| sits_in_one(o, &without));
            let more: Vec<String> = more.map(|o| o.uid.clone()).collect();
            if more.is_empty() {
                break;
            }
            without.extend(more);
        }
        meaningless.extend(refused.into_iter().filter(|_| !ours));
    }
    Err("what is stored contradicts itself too often".to_owned())
}

/// What is stored and not there. Rules deny by groups: without one of them nothing may be decided at all.
fn gone(
    living: &Living,
    there: HashSet<String>,
    meaningless: &[Meaningless],
) -> Result<HashSet<String>, String> {
    let missing = |o: &&Object| !there.contains(&o.uid);
    let why = |uid: &str| meaningless.iter().find(|m| m.uid == uid).map_or("it has no meaning", |m| &m.why);
    if let Some(group) = living.of(Kind::Group).find(missing) {
        return Err(format!("group `{}`: {}", group.name, why(&group.uid)));
    }
    if let Some(lost) = meaningless.iter().find(|m| m.kind == Kind::Membership) {
        return Err(format!("membership `{}`: {}", lost.uid, lost.why));
    }
    let stands = |o: &&Object| o.kind.is_account() || o.kind == Kind::Resource;
    Ok(living.iter().filter(stands).filter(missing).map(|o| o.uid.clone()).collect())
}

/// How often what the engine refuses is left out before giving up.
const ROUNDS_MAX: usize = 64;

/// The living without those that were refused.
#[derive(Clone, Copy)]
struct View<'a> {
    living: &'a Living,
    without: &'a HashSet<String>,
}

impl<'a> View<'a> {
    fn iter(self) -> impl Iterator<Item = &'a Object> {
        self.living.iter().filter(move |o| !self.without.contains(&o.uid))
    }

    fn of(self, kind: Kind) -> impl Iterator<Item = &'a Object> {
        self.living.of(kind).filter(move |o| !self.without.contains(&o.uid))
    }
}

fn round(
    vocabulary: &Vocabulary,
    living: View<'_>,
    now: i64,
    ours: bool,
) -> (Result<Built, String>, Vec<Meaningless>) {
    let mut work = Work {
        vocabulary,
        living,
        now,
        ours,
        wire: Wire::indexed(vocabulary),
        builder: Builder::new(vocabulary),
        meaningless: Vec::new(),
        until: FOREVER,
        there: HashSet::new(),
        refused: Vec::new(),
        scopes: Vec::new(),
        groups: Vec::new(),
        resources: Vec::new(),
    };
    work.scopes();
    work.groups();
    work.accounts();
    work.memberships();
    if !ours {
        work.resources();
    }
    work.bindings();
    work.links();
    let Work { builder, meaningless, until, mut refused, there, scopes, groups, resources, .. } = work;
    let whole = || "what is stored contradicts itself".to_owned();
    if !refused.is_empty() {
        return (Err(whole()), refused);
    }
    let errors = match builder.build() {
        Ok(directory) => {
            let gone = there.into_iter().map(str::to_owned).collect();
            return (Ok(Built { directory, meaningless, gone, until }), refused);
        }
        Err(errors) => errors,
    };
    for error in &errors {
        let object = match error.item {
            Item::Scope(n) => scopes.get(n),
            Item::Group(n) => groups.get(n),
            Item::Resource(n) => resources.get(n),
            Item::This | Item::Change(_) => None,
        };
        refused.extend(object.map(|object| self::meaningless(object, error.message.as_str())));
    }
    (Err(errors.first().map_or_else(whole, |e| e.message.clone())), refused)
}

fn meaningless(object: &Object, why: impl Into<String>) -> Meaningless {
    let (uid, name) = (object.uid.clone(), object.name.clone());
    Meaningless { kind: object.kind, uid, name, why: why.into(), field: String::new() }
}

struct Work<'a> {
    vocabulary: &'a Vocabulary,
    living: View<'a>,
    now: i64,
    ours: bool,
    wire: Wire<'a>,
    builder: Builder<'a>,
    meaningless: Vec<Meaningless>,
    until: i64,
    /// The uids of places, groups and accounts that are in the directory.
    there: HashSet<&'a str>,
    /// What the engine refused: the directory can't be closed with it.
    refused: Vec<Meaningless>,
    /// In the order in which they were added.
    scopes: Vec<&'a Object>,
    groups: Vec<&'a Object>,
    resources: Vec<&'a Object>,
}

impl<'a> Work<'a> {
    fn lost(&mut self, object: &Object, why: impl Into<String>) {
        // What our own set doesn't know, the organization's does.
        if !self.ours {
            self.meaningless.push(meaningless(object, why));
        }
    }

    fn kind(&self, kind: &str) -> Option<KindId> {
        self.vocabulary.kind_by_wire(kind)
    }

    fn role(&self, wire: &str) -> Option<RoleId> {
        self.vocabulary.roles.iter().position(|r| r.wire == wire).map(|n| RoleId(n as u32))
    }

    fn boundary(&self, name: &str) -> Option<BoundaryId> {
        self.vocabulary.boundaries.iter().position(|b| *b == name).map(|n| BoundaryId(n as u32))
    }

    /// The attributes of an object by slot; what the kind calls for beside those it was given.
    fn attributes(&mut self, object: &Object, kind: KindId, own: &[&str]) -> Option<Vec<Option<Value>>> {
        let declared = self.vocabulary.kind(kind);
        let mut given =
            object.body.get("attributes").and_then(|a| a.as_object().cloned()).unwrap_or_default();
        if self.ours {
            given.clear();
        }
        for field in own {
            if let Some(value) = object.body.get(*field) {
                given.insert((*field).to_owned(), value.clone());
            }
        }
        if own.contains(&"owner")
            && let Some((kind, id)) = self.living.living.owner(object)
        {
            given.insert("owner".to_owned(), serde_json::json!({ "kind": kind, "id": id }));
        }
        let mut given = serde_json::Value::Object(given);
        self.as_meant(object, &mut given);
        let text = given.to_string();
        let json = Json::parse(&text).expect("build: what was written as JSON is JSON");
        let mut out = Vec::new();
        let of = format!("`{}`", declared.wire);
        let values = self.wire.attributes(Some(json), &declared.attributes, &of, &Path::Root, &mut out);
        match out.first() {
            None => Some(values),
            Some(mistake) => {
                let help = mistake.help.as_ref().map(|h| format!("; {h}")).unwrap_or_default();
                let why = format!("attribute `{}`: {}{help}", mistake.field, mistake.message);
                if !self.ours {
                    let field = format!("attributes.{}", mistake.field);
                    self.meaningless.push(Meaningless { field, ..meaningless(object, why) });
                }
                None
            }
        }
    }

    /// What attributes name, as it is named now; of what is gone the uid, which names nobody.
    fn as_meant(&self, object: &Object, attributes: &mut serde_json::Value) {
        for (label, uid) in &object.refs {
            let Some(at) = label.strip_prefix("attributes").filter(|at| at.starts_with('/')) else {
                continue;
            };
            let name = self.living.living.get(uid).map_or(uid, |found| &found.name);
            if let Some(value) = attributes.pointer_mut(at) {
                value["id"] = name.as_str().into();
            }
        }
    }

    /// The boundaries attached to an object; `None` if one of them is unknown, which denies.
    fn attached(&mut self, uid: &str) -> Option<Vec<BoundaryId>> {
        if self.ours {
            return Some(Vec::new());
        }
        let living = self.living;
        let mut found = Vec::new();
        let mut whole = true;
        for attachment in living.of(Kind::Attachment).filter(|a| a.refers("to") == Some(uid)) {
            match attachment.text("boundary").and_then(|name| self.boundary(name)) {
                Some(boundary) => found.push(boundary),
                None => {
                    self.lost(attachment, "the policy set has no such boundary");
                    whole = false;
                }
            }
        }
        whole.then_some(found)
    }

    fn kept<T>(&mut self, object: &'a Object, done: Result<T, DataError>) -> Option<T> {
        match done {
            Ok(made) => {
                self.there.insert(&object.uid);
                Some(made)
            }
            Err(error) => {
                self.refused.push(meaningless(object, error.message));
                None
            }
        }
    }

    fn scopes(&mut self) {
        let living = self.living;
        let mut nodes: Vec<&Object> = living.iter().filter(|o| o.kind.is_scope()).collect();
        nodes.sort_by_key(|o| (o.name.matches('/').count(), o.name.as_str()));
        for node in nodes {
            let above = node.refers("in");
            if above.is_some_and(|uid| !self.there.contains(uid)) {
                continue;
            }
            let Some(kind) = self.kind(node.kind.wire()) else { continue };
            let own: &[&str] = if node.kind == Kind::Environment { &["stage"] } else { &[] };
            let Some(attributes) = self.attributes(node, kind, own) else { continue };
            let Some(boundaries) = self.attached(&node.uid) else { continue };
            let added = self.builder.add_scope(kind, &node.name, attributes, boundaries);
            self.kept(node, added);
            self.scopes.push(node);
        }
    }

    fn stands(&self, object: &Object) -> bool {
        object.refers("scope").is_none_or(|uid| self.there.contains(uid))
    }

    fn groups(&mut self) {
        let living = self.living;
        for group in living.of(Kind::Group) {
            if !self.stands(group) {
                continue;
            }
            let Some(attributes) = self.attributes(group, KindId::GROUP, &[]) else { continue };
            let added = self.builder.add_group(&group.name, Some(&group.scope), attributes);
            self.kept(group, added);
            self.groups.push(group);
        }
    }

    fn accounts(&mut self) {
        let living = self.living;
        for account in living.iter().filter(|o| o.kind.is_account()) {
            if !self.stands(account) {
                continue;
            }
            let Some(kind) = self.kind(account.kind.wire()) else { continue };
            let own: &[&str] = if account.kind == Kind::User { &[] } else { &["purpose", "owner"] };
            let Some(attributes) = self.attributes(account, kind, own) else { continue };
            let Some(mut boundaries) = self.attached(&account.uid) else { continue };
            let ends = account.time("expires_at").unwrap_or(FOREVER);
            if account.is_disabled() || ends <= self.now {
                boundaries
                    .insert(0, self.boundary(OFF).expect("build: every set has the shipped boundaries"));
            } else {
                self.until = self.until.min(ends);
            }
            let added =
                self.builder.add_account(kind, &account.name, Some(&account.scope), attributes, boundaries);
            self.kept(account, added);
        }
    }

    /// The entity that a reference names, if it is in the directory.
    fn entity(&self, object: &Object, label: &str) -> Option<Entity> {
        let target = self.living.living.get(object.refers(label)?)?;
        if !self.there.contains(target.uid.as_str()) {
            return None;
        }
        Some(Entity { kind: self.kind(target.kind.wire())?, id: target.name.as_str().into() })
    }

    fn memberships(&mut self) {
        let living = self.living;
        for membership in living.of(Kind::Membership) {
            let until = membership.time("until").unwrap_or(FOREVER);
            let (Some(group), Some(member)) =
                (self.entity(membership, "group"), self.entity(membership, "member"))
            else {
                continue;
            };
            if until <= self.now {
                continue;
            }
            let made = self.builder.directory();
            if member.kind == KindId::GROUP {
                if let Some(ix) = made.group(&member.id) {
                    self.builder.put_group_in(ix, &group.id, until);
                }
            } else if let Some(ix) = made.account(&member) {
                let joined = self.builder.join(ix, &group.id, until);
                self.kept(membership, joined);
            }
        }
    }

    fn resources(&mut self) {
        let living = self.living;
        for resource in living.of(Kind::Resource) {
            if !self.stands(resource) {
                continue;
            }
            let (Some(kind), Some(id)) = (resource.text("kind"), resource.text("id")) else { continue };
            let Some(kind) = self.kind(kind) else {
                self.lost(resource, format!("the policy set has no kind `{kind}`"));
                continue;
            };
            let parent = match resource.reference("in") {
                None => None,
                Some((above, id)) => match self.kind(above) {
                    Some(kind) => Some(Entity { kind, id: id.into() }),
                    None => {
                        self.lost(resource, format!("the policy set has no kind `{above}`"));
                        continue;
                    }
                },
            };
            let Some(attributes) = self.attributes(resource, kind, &[]) else { continue };
            let added = self.builder.add_resource(kind, id, Some(&resource.scope), parent, attributes);
            self.kept(resource, added);
            self.resources.push(resource);
        }
    }

    /// Boundaries by name; `None` if one is unknown, which denies.
    fn boundaries(&mut self, object: &Object) -> Option<Vec<BoundaryId>> {
        let mut found = Vec::new();
        for name in object.texts("boundaries") {
            match self.boundary(&name) {
                Some(boundary) => found.push(boundary),
                None => {
                    self.lost(object, format!("the policy set has no boundary `{name}`"));
                    return None;
                }
            }
        }
        Some(found)
    }

    fn bindings(&mut self) {
        let living = self.living;
        for binding in living.of(Kind::Binding) {
            let until = binding.time("until").unwrap_or(FOREVER);
            let name = binding.text("role").unwrap_or_default();
            if until <= self.now || !self.stands(binding) || (self.ours && self.role(name).is_none()) {
                continue;
            }
            let Some(role) = self.role(name) else {
                self.lost(binding, format!("the policy set has no role `{name}`"));
                continue;
            };
            // Our set has no boundaries: whoever holds a right of ours under one holds it in the other set only.
            if self.ours && !binding.texts("boundaries").is_empty() {
                continue;
            }
            let Some(boundaries) = self.boundaries(binding) else { continue };
            let holder = match binding.text("everyone") {
                Some(kind) => self.kind(kind).map(Holder::Everyone),
                None => self.entity(binding, "holder").map(|e| match e.kind {
                    KindId::GROUP => Holder::Group(e.id),
                    _ => Holder::Account(e),
                }),
            };
            let Some(holder) = holder else { continue };
            let at = match binding.reference("resource") {
                None => Some(At::Scope(binding.scope.as_str().into())),
                Some((kind, id)) => self.kind(kind).map(|kind| At::Resource(Entity { kind, id: id.into() })),
            };
            let Some(at) = at else {
                self.lost(binding, "the policy set doesn't know the kind of the resource");
                continue;
            };
            let bound = self.builder.bind(&holder, role, &at, boundaries, until);
            self.kept(binding, bound);
        }
    }

    fn links(&mut self) {
        let living = self.living;
        for link in living.of(Kind::Link) {
            let until = link.time("until").unwrap_or(FOREVER);
            if until <= self.now || link.reference("consented_by").is_none() {
                continue;
            }
            let (Some(agent), Some(behind)) = (self.entity(link, "agent"), self.entity(link, "for")) else {
                continue;
            };
            if self.ours && !link.texts("boundaries").is_empty() {
                continue;
            }
            let Some(boundaries) = self.boundaries(link) else { continue };
            let target = match behind.kind {
                KindId::GROUP => Target::Group(behind.id),
                _ => Target::Account(behind),
            };
            let linked = self.builder.link(&agent, &target, boundaries, until);
            self.kept(link, linked);
        }
    }
}
