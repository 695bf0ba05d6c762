//! What one stored object is in the engine's directory: a [`Change`] that puts it there.
//!
//! In:    a vocabulary; one object as it is stored; who stands behind the uids that it names.
//! Out:   [`Fact`]: the change, or why there is none.
//! Law:   one object, one fact, whether all is read at start or one thing changes: so both lead to the same directory. It
//!        doesn't go by the time: what has ended is there with its end, which decisions hold against their own moment.

use super::known::Uid;
use super::object::{Kind, Object};
use crate::{
    At, Bound, BoundaryId, Change, Entity, Holder, Json, KindId, Linked, Mistakes, Path, RoleId, Target,
    Value, Vocabulary, Wire, parse_time,
};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use smol_str::SmolStr;
use std::borrow::Cow;

/// The shipped boundary on accounts that are switched off.
const OFF: &str = "policyd_off";

/// The label of what attributes name begins so; what follows says where, as a JSON pointer.
pub const ATTRIBUTES: &str = "attributes";

/// No end.
pub const FOREVER: i64 = i64::MAX;

/// A text that is taken from where it stands if it can be.
#[derive(Clone, Debug, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// `{"kind", "id"}`.
#[derive(Clone, Debug, Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
}

/// The fields of stored objects that mean something to the engine.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
    #[serde(borrow)]
    purpose: Option<Text<'a>>,
    #[serde(borrow)]
    owner: Option<Named<'a>>,
    #[serde(borrow)]
    stage: Option<Text<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    expires_at: Option<Text<'a>>,
    #[serde(borrow)]
    until: Option<Text<'a>>,
    #[serde(borrow)]
    role: Option<Text<'a>>,
    #[serde(borrow)]
    everyone: Option<Text<'a>>,
    #[serde(borrow)]
    resource: Option<Named<'a>>,
    #[serde(borrow)]
    boundaries: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    boundary: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    r#in: Option<Named<'a>>,
    consented_by: Option<serde::de::IgnoredAny>,
}

/// A stored object as the engine's directory sees it, read from its row.
#[derive(Debug)]
pub struct Row<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its uid.
    pub uid: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The path of the place where it stands.
    pub scope: &'a str,
    body: Body<'a>,
    refs: Vec<(Text<'a>, Text<'a>)>,
}

impl<'a> Row<'a> {
    /// From what is stored. Fields that aren't what they should be are an error.
    pub fn read(
        (kind, uid, name, scope): (Kind, &'a str, &'a str, &'a str),
        body: &'a str,
        refs: &'a str,
    ) -> Result<Row<'a>, String> {
        let unread = |e: serde_json::Error| format!("{} {uid} can't be read: {e}", kind.wire());
        let body = serde_json::from_str(body).map_err(unread)?;
        let refs = serde_json::from_str(refs).map_err(unread)?;
        Ok(Row { kind, uid, name, scope, body, refs })
    }

    /// The uid behind a field.
    pub fn refers(&self, label: &str) -> Option<&str> {
        self.refs.iter().find(|(l, _)| l.0 == label).map(|(_, uid)| &*uid.0)
    }

    /// Who answers for an account.
    pub fn owned_by(&self) -> Option<Uid> {
        self.body.owner.as_ref()?;
        Uid::of(self.refers("owner")?)
    }

    /// When an account ends.
    pub fn ends(&self) -> i64 {
        time(self.body.expires_at.as_ref())
    }

    /// Whether an account can do nothing at a moment: switched off, or past its end.
    pub fn is_off(&self, now: i64) -> bool {
        self.body.status.as_ref().is_some_and(|s| s.0 == "disabled") || self.ends() <= now
    }

    fn is_bounded(&self) -> bool {
        self.body.boundaries.as_ref().is_some_and(|all| !all.is_empty())
    }

    /// Where its attributes name something of the directory, as JSON pointers, and the uids of that.
    fn meant(&self) -> impl Iterator<Item = (&str, &str)> {
        self.refs.iter().filter_map(|(label, uid)| {
            let at = label.0.strip_prefix(ATTRIBUTES).filter(|at| at.starts_with('/'))?;
            Some((at, &*uid.0))
        })
    }

    /// Whether its attributes name something of the directory.
    pub fn names_others(&self) -> bool {
        self.meant().next().is_some()
    }

    /// Its attributes with what they name as that is named now; of what is gone the uid, which names nobody.
    fn as_meant<'t>(&self, attributes: &'t str, known: &mut dyn Known) -> Cow<'t, str> {
        if !self.names_others() {
            return attributes.into();
        }
        let mut read: serde_json::Value =
            serde_json::from_str(attributes).expect("facts: what was written as JSON is JSON");
        for (at, uid) in self.meant() {
            let name = known.living(uid).map_or_else(|| uid.into(), |(_, name)| name);
            if let Some(value) = read.pointer_mut(at) {
                value["id"] = name.as_str().into();
            }
        }
        read.to_string().into()
    }

    /// A binding that says no more than most do.
    pub fn usual(&self) -> Option<Usual<'_>> {
        let body = &self.body;
        if self.kind != Kind::Binding
            || body.everyone.is_some()
            || body.resource.is_some()
            || self.is_bounded()
        {
            return None;
        }
        let holder = Uid::of(self.refers("holder")?).filter(|uid| uid.kind().is_account())?;
        let scope = Uid::of(self.refers("scope")?)?;
        Some(Usual { holder, scope, role: &body.role.as_ref()?.0, until: time(body.until.as_ref()) })
    }

    /// Kind and id of a resource.
    pub fn resource(&self) -> Option<(&str, &str)> {
        Some((&self.body.kind.as_ref()?.0, &self.body.id.as_ref()?.0))
    }
}

/// A binding of an account at a place, under no boundary.
#[derive(Debug)]
pub struct Usual<'a> {
    /// Who holds it.
    pub holder: Uid,
    /// Where.
    pub scope: Uid,
    /// The role.
    pub role: &'a str,
    /// When it ends.
    pub until: i64,
}

fn time(text: Option<&Text<'_>>) -> i64 {
    text.and_then(|t| parse_time(&t.0).ok()).unwrap_or(FOREVER)
}

/// The text of an object, from which its [`Row`] is read as from the store.
#[derive(Debug)]
pub struct Written {
    head: (Kind, String, String, String),
    body: String,
    refs: String,
}

impl Written {
    /// As it would be stored.
    pub fn of(object: &Object) -> Written {
        let (body, refs) = object.written();
        let head = (object.kind, object.uid.clone(), object.name.clone(), object.scope.clone());
        Written { head, body, refs }
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.head.0
    }

    /// As the directory sees it.
    pub fn row(&self) -> Result<Row<'_>, String> {
        let (kind, uid, name, scope) = &self.head;
        Row::read((*kind, uid, name, scope), &self.body, &self.refs)
    }
}

/// Who stands behind a uid.
pub trait Known {
    /// Kind and name of what has this uid and is in the directory.
    fn there(&mut self, uid: &str) -> Option<(Kind, SmolStr)>;
    /// Kind and name of a living place, group or account, in the directory or not.
    fn living(&mut self, uid: &str) -> Option<(Kind, SmolStr)>;
}

/// What an object is in a directory.
#[derive(Debug)]
pub enum Fact {
    /// Nothing, whatever else there is.
    None,
    /// This.
    Is(Change),
    /// It names or stands in something that isn't there.
    Astray,
    /// The vocabulary has no meaning for it.
    Meaningless {
        /// Which of its fields; empty for the whole.
        field: String,
        /// Why.
        why: String,
    },
}

fn meaningless(why: impl Into<String>) -> Fact {
    Fact::Meaningless { field: String::new(), why: why.into() }
}

/// A vocabulary, ready to be asked for names.
#[derive(Debug)]
pub struct Reader<'v> {
    /// The vocabulary.
    pub vocabulary: &'v Vocabulary,
    /// Of the directory of the shipped set: no registered resources, only roles of ours.
    pub ours: bool,
    wire: Wire<'v>,
    /// Our kinds, each at its own number.
    kinds: Vec<Option<KindId>>,
    roles: FxHashMap<&'v str, RoleId>,
    boundaries: FxHashMap<&'v str, BoundaryId>,
}

impl<'v> Reader<'v> {
    /// For a vocabulary.
    pub fn new(vocabulary: &'v Vocabulary, ours: bool) -> Reader<'v> {
        let roles = vocabulary.roles.iter().enumerate();
        let boundaries = vocabulary.boundaries.iter().enumerate();
        Reader {
            vocabulary,
            ours,
            wire: Wire::indexed(vocabulary),
            kinds: Kind::ALL.iter().map(|kind| vocabulary.kind_by_wire(kind.wire())).collect(),
            roles: roles.map(|(n, r)| (r.wire.as_str(), RoleId(n as u32))).collect(),
            boundaries: boundaries.map(|(n, b)| (b.as_str(), BoundaryId(n as u32))).collect(),
        }
    }

    /// The boundary that lies on what is switched off.
    pub fn off(&self) -> BoundaryId {
        self.boundaries[OFF]
    }

    /// A kind by its wire name.
    pub fn kind(&self, wire: &str) -> Option<KindId> {
        self.vocabulary.kind_by_wire(wire)
    }

    /// One of our kinds.
    pub fn own(&self, kind: Kind) -> Option<KindId> {
        self.kinds[kind as usize]
    }

    /// A role by its wire name.
    pub fn role(&self, name: &str) -> Option<RoleId> {
        self.roles.get(name).copied()
    }

    /// A thing of one of our kinds as the engine names it.
    pub fn entity(&self, kind: Kind, name: &str) -> Option<Entity> {
        Some(Entity { kind: self.own(kind)?, id: name.into() })
    }

    /// What an object is.
    pub fn fact(&self, row: &Row<'_>, known: &mut dyn Known) -> Fact {
        let stands = |known: &mut dyn Known| {
            let place = row.refers("scope");
            place.is_none_or(|uid| known.there(uid).is_some_and(|(_, path)| path == row.scope))
        };
        match row.kind {
            Kind::Organization | Kind::Project | Kind::Environment => self.scope(row, known),
            Kind::Credential | Kind::PolicySet => Fact::None,
            Kind::Resource if self.ours => Fact::None,
            Kind::Group
            | Kind::User
            | Kind::ServiceAccount
            | Kind::Agent
            | Kind::Resource
            | Kind::Binding
                if !stands(known) =>
            {
                Fact::Astray
            }
            Kind::Group => self.group(row, known),
            Kind::User | Kind::ServiceAccount | Kind::Agent => self.account(row, known),
            Kind::Membership => self.membership(row, known),
            Kind::Resource => self.resource(row, known),
            Kind::Binding => self.binding(row, known),
            Kind::Attachment => self.attachment(row, known),
            Kind::Link => self.link(row, known),
        }
    }

    fn scope(&self, row: &Row<'_>, known: &mut dyn Known) -> Fact {
        if row.refers("in").is_some_and(|uid| known.there(uid).is_none()) {
            return Fact::Astray;
        }
        let Some(kind) = self.own(row.kind) else { return Fact::Astray };
        match self.values(row, kind, known) {
            Err(fact) => fact,
            Ok(mut attributes) => {
                if let Some(stage) = row.body.stage.as_ref().filter(|_| row.kind == Kind::Environment) {
                    self.put_json(kind, "stage", &stage.0, &mut attributes);
                }
                Fact::Is(Change::PutScope { kind, path: row.name.into(), attributes })
            }
        }
    }

    fn group(&self, row: &Row<'_>, known: &mut dyn Known) -> Fact {
        match self.values(row, KindId::GROUP, known) {
            Err(fact) => fact,
            Ok(attributes) => {
                Fact::Is(Change::PutGroup { id: row.name.into(), scope: Some(row.scope.into()), attributes })
            }
        }
    }

    fn account(&self, row: &Row<'_>, known: &mut dyn Known) -> Fact {
        let Some(account) = self.entity(row.kind, row.name) else { return Fact::Astray };
        let mut attributes = match self.values(row, account.kind, known) {
            Err(fact) => return fact,
            Ok(attributes) => attributes,
        };
        if row.kind != Kind::User {
            if let Some(purpose) = &row.body.purpose {
                self.put(account.kind, "purpose", Value::String(purpose.0.as_ref().into()), &mut attributes);
            }
            if let Some(owner) = self.owner(row, known) {
                self.put(account.kind, "owner", Value::Entity(owner), &mut attributes);
            }
        }
        Fact::Is(Change::PutAccount { account, home: Some(row.scope.into()), attributes })
    }

    /// Who owns an object: its living owner as he is named now; of one who is gone the uid, which names nobody.
    fn owner(&self, row: &Row<'_>, known: &mut dyn Known) -> Option<Entity> {
        let given = row.body.owner.as_ref()?;
        match row.refers("owner") {
            None => Some(Entity { kind: self.kind(&given.kind.0)?, id: given.id.0.as_ref().into() }),
            Some(uid) => match known.living(uid) {
                Some((kind, name)) => self.entity(kind, &name),
                None => Some(Entity { kind: self.kind(&given.kind.0)?, id: uid.into() }),
            },
        }
    }

    /// Attributes that were given, by slot; on the side of ours nothing was given that counts.
    fn values(&self, row: &Row<'_>, kind: KindId, known: &mut dyn Known) -> Result<Vec<Option<Value>>, Fact> {
        let declared = self.vocabulary.kind(kind);
        let Some(given) = row.body.attributes.filter(|_| !self.ours) else {
            return Ok(vec![None; declared.attributes.len()]);
        };
        let given = row.as_meant(given.get(), known);
        let json = Json::parse(&given).expect("facts: what was written as JSON is JSON");
        let mut out = Mistakes::new();
        let of = format_args!("`{}`", declared.wire);
        let values = self.wire.attributes(Some(json), &declared.attributes, of, &Path::Root, &mut out);
        match out.first() {
            None => Ok(values),
            Some(mistake) => {
                let help = mistake.help.as_ref().map(|h| format!("; {h}")).unwrap_or_default();
                let why = format!("attribute `{}`: {}{help}", mistake.field, mistake.message);
                Err(Fact::Meaningless { field: format!("attributes.{}", mistake.field), why })
            }
        }
    }

    fn slot(&self, kind: KindId, name: &str) -> Option<usize> {
        let declared = &self.vocabulary.kind(kind).attributes;
        declared.iter().position(|a| self.vocabulary.name(a.name) == name)
    }

    fn put(&self, kind: KindId, name: &str, value: Value, values: &mut [Option<Value>]) {
        if let Some(slot) = self.slot(kind, name) {
            values[slot] = Some(value);
        }
    }

    /// A word of ours as a value of the type that the vocabulary gives it; none if it isn't one, which the engine refuses.
    fn put_json(&self, kind: KindId, name: &str, word: &str, values: &mut [Option<Value>]) {
        let Some(slot) = self.slot(kind, name) else { return };
        let text = serde_json::Value::from(word).to_string();
        let json = Json::parse(&text).expect("facts: a string is JSON");
        let ty = &self.vocabulary.kind(kind).attributes[slot].ty;
        values[slot] = self.wire.value(json, ty, &Path::Root, &mut Mistakes::new());
    }

    /// The entity behind a uid, if it is in the directory.
    fn behind(&self, row: &Row<'_>, label: &str, known: &mut dyn Known) -> Option<Entity> {
        let (kind, name) = known.there(row.refers(label)?)?;
        Some(Entity { kind: self.own(kind)?, id: name })
    }

    fn membership(&self, row: &Row<'_>, known: &mut dyn Known) -> Fact {
        let until = time(row.body.until.as_ref());
        let (Some(group), Some(member)) =
            (self.behind(row, "group", known), self.behind(row, "member", known))
        else {
            return Fact::Astray;
        };
        Fact::Is(match member.kind {
            KindId::GROUP => Change::Nest { group: member.id, within: group.id, until },
            _ => Change::Join { account: member, group: group.id, until },
        })
    }

    fn resource(&self, row: &Row<'_>, known: &mut dyn Known) -> Fact {
        let Some((kind, id)) = row.resource() else { return Fact::Astray };
        let Some(declared) = self.kind(kind) else {
            return meaningless(format!("the policy set has no kind `{kind}`"));
        };
        let parent = match &row.body.r#in {
            None => None,
            Some(above) => match self.kind(&above.kind.0) {
                Some(kind) => Some(Entity { kind, id: above.id.0.as_ref().into() }),
                None => return meaningless(format!("the policy set has no kind `{}`", above.kind.0)),
            },
        };
        match self.values(row, declared, known) {
            Err(fact) => fact,
            Ok(attributes) => Fact::Is(Change::PutResource {
                resource: Entity { kind: declared, id: id.into() },
                scope: Some(row.scope.into()),
                parent,
                attributes,
            }),
        }
    }

    /// Boundaries by name; an unknown one denies.
    fn ceilings(&self, row: &Row<'_>) -> Result<Vec<BoundaryId>, Fact> {
        let found = |name: &Text<'_>| {
            let known = self.boundaries.get(&*name.0).copied();
            known.ok_or_else(|| meaningless(format!("the policy set has no boundary `{}`", name.0)))
        };
        row.body.boundaries.iter().flatten().map(found).collect()
    }

    fn binding(&self, row: &Row<'_>, known: &mut dyn Known) -> Fact {
        let body = &row.body;
        let name = body.role.as_ref().map_or("", |r| &*r.0);
        let Some(role) = self.role(name) else {
            // What our own set doesn't know, the organization's does.
            return if self.ours {
                Fact::None
            } else {
                meaningless(format!("the policy set has no role `{name}`"))
            };
        };
        // Our set has no boundaries: whoever holds a right of ours under one holds it in the other set only.
        if self.ours && row.is_bounded() {
            return Fact::None;
        }
        let at = match &body.resource {
            None => At::Scope(row.scope.into()),
            Some(on) => match self.kind(&on.kind.0) {
                Some(kind) => At::Resource(Entity { kind, id: on.id.0.as_ref().into() }),
                None if self.ours => return Fact::None,
                None => return meaningless("the policy set doesn't know the kind of the resource"),
            },
        };
        let boundaries = match self.ceilings(row) {
            Err(fact) => return fact,
            Ok(boundaries) => boundaries,
        };
        let holder = match &body.everyone {
            Some(kind) => self.kind(&kind.0).map(Holder::Everyone),
            None => self.behind(row, "holder", known).map(|e| match e.kind {
                KindId::GROUP => Holder::Group(e.id),
                _ => Holder::Account(e),
            }),
        };
        let Some(holder) = holder else { return Fact::Astray };
        let until = time(body.until.as_ref());
        Fact::Is(Change::Bind(Bound { holder, role, at, boundaries, until }))
    }

    /// The boundary of an attachment.
    pub fn attached(&self, row: &Row<'_>) -> Result<BoundaryId, String> {
        let name = row.body.boundary.as_ref().map_or("", |b| &*b.0);
        self.boundaries.get(name).copied().ok_or_else(|| "the policy set has no such boundary".to_owned())
    }

    fn attachment(&self, row: &Row<'_>, known: &mut dyn Known) -> Fact {
        if self.ours {
            return Fact::None;
        }
        let boundary = match self.attached(row) {
            Ok(boundary) => boundary,
            Err(why) => return meaningless(why),
        };
        match self.behind(row, "to", known) {
            Some(to) => Fact::Is(Change::Attach { boundary, to }),
            None => Fact::Astray,
        }
    }

    fn link(&self, row: &Row<'_>, known: &mut dyn Known) -> Fact {
        if row.body.consented_by.is_none() || (self.ours && row.is_bounded()) {
            return Fact::None;
        }
        let (Some(agent), Some(behind)) = (self.behind(row, "agent", known), self.behind(row, "for", known))
        else {
            return Fact::Astray;
        };
        let target = match behind.kind {
            KindId::GROUP => Target::Group(behind.id),
            _ => Target::Account(behind),
        };
        match self.ceilings(row) {
            Err(fact) => fact,
            Ok(boundaries) => {
                let until = time(row.body.until.as_ref());
                Fact::Is(Change::Link(Linked { agent, target, boundaries, until }))
            }
        }
    }
}
