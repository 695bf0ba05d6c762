//! One change while it is being made: what a command may look at and write.
//!
//! In:    the state of the organization, who asks, the writer's transaction.
//! Out:   objects as they are afterwards, and the record of all of it.
//! Law:   nothing is written without a [`Permit`]; objects and records, of which a large change has several, are one
//!        transaction.

use super::authn::Caller;
use super::guard::{self, Denied, On, Permit};
use super::journal::{self, About};
use super::memory::OrgState;
use super::object::{Fields, Kind, Object};
use super::problem::Problem;
use super::secret::Secret;
use super::store::Write;
use crate::audit::record::{Body, Draft, Entry, Log, RecordError};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// What a change is made of.
pub struct Change<'a> {
    /// The transaction.
    pub tx: &'a mut dyn Write,
    /// The organization; empty for the installation.
    pub org: String,
    /// The organization as it is; none while it is being made.
    pub state: Option<Arc<OrgState>>,
    /// Who asks; none for what is done with access to the host.
    pub caller: Option<Caller>,
    /// Whether it is whoever has the host, who may do all that doesn't speak for somebody else.
    pub host: bool,
    /// When, in microseconds.
    pub at: i64,
    /// The number that the change will have.
    pub seq: i64,
    /// Whether somebody hears what it made.
    pub heard: bool,
    /// What it wrote.
    pub after: Vec<Object>,
    /// The same objects as they were before, each by its uid; none that is new.
    pub before: HashMap<String, Object>,
    /// Which rules allowed it.
    pub rules: Vec<(&'static str, String)>,
    /// The answer to a refused permission, for the record.
    pub denied: Option<Denied>,
}

/// What a command answers.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The document.
    pub body: Value,
    /// A field of it that is shown once and kept nowhere.
    pub secret: Option<(&'static str, Secret)>,
}

impl Reply {
    /// 200 with a document.
    pub fn ok(body: Value) -> Reply {
        Reply { status: 200, body, secret: None }
    }

    /// 201 with a document.
    pub fn created(body: Value) -> Reply {
        Reply { status: 201, body, secret: None }
    }
}

impl Change<'_> {
    /// The organization's state.
    pub fn org(&self) -> Result<Arc<OrgState>, Problem> {
        self.state.clone().ok_or_else(Problem::absent)
    }

    /// The caller.
    pub fn caller(&self) -> Result<Caller, Problem> {
        self.caller.clone().ok_or_else(Problem::unauthenticated)
    }

    /// The path of the organization's root.
    pub fn root(&self) -> Result<String, Problem> {
        Ok(self.org()?.id.clone())
    }

    /// Asks for a permission; a caller who may read the thing hears which right it lacks, another that it's absent.
    pub fn permit(&mut self, action: &'static str, on: On<'_>) -> Result<Permit, Problem> {
        if self.host {
            return Ok(guard::host_access());
        }
        let (org, caller) = (self.org()?, self.caller()?);
        match guard::permit(&org, &caller, action, on, self.at) {
            Ok(permit) => {
                let by = (action, permit.rule.clone());
                if !self.rules.contains(&by) {
                    self.rules.push(by);
                }
                Ok(permit)
            }
            Err(denied) => {
                let may_read =
                    guard::permit(&org, &caller, "read", on, self.at).is_ok() || matches!(on, On::Role(..));
                let problem = if may_read { Problem::forbidden(denied.reason()) } else { Problem::absent() };
                self.denied = Some(denied);
                Err(problem)
            }
        }
    }

    /// Whether a permission would be given; nothing is recorded.
    pub fn may(&self, action: &'static str, on: On<'_>) -> bool {
        if self.host {
            return action != "consent";
        }
        let (Some(org), Some(caller)) = (&self.state, &self.caller) else { return false };
        guard::permit(org, caller, action, on, self.at).is_ok()
    }

    /// A new object of this organization.
    pub fn object(&mut self, kind: Kind, name: &str, scope: &str, body: Fields) -> Object {
        Object {
            org: self.org.clone(),
            kind,
            uid: self.tx.fresh(kind),
            name: name.to_owned(),
            scope: scope.to_owned(),
            revision: self.seq,
            created: self.at,
            deleted: None,
            body,
            refs: Vec::new(),
        }
    }

    /// Writes an object as it is now.
    pub fn put(&mut self, _: &Permit, mut object: Object) -> Result<Object, Problem> {
        object.revision = self.seq;
        if !self.after.iter().any(|o| o.uid == object.uid)
            && let Some(before) = self.tx.object(&object.org, &object.uid)?
        {
            self.before.insert(object.uid.clone(), before);
        }
        self.tx.put(&object)?;
        self.after.retain(|o| o.uid != object.uid);
        self.after.push(object.clone());
        Ok(object)
    }

    /// Writes an object that is new, and answers with it if somebody hears it.
    pub fn create(&mut self, permit: &Permit, object: Object) -> Result<Reply, Problem> {
        if self.heard {
            return Ok(Reply::created(self.put(permit, object)?.show()));
        }
        self.tx.put(&object)?;
        self.after.push(object);
        Ok(Reply::created(Value::Null))
    }

    /// Deletes an object, and what only makes sense with it; all of it takes what deleting it alone would take.
    pub fn delete(&mut self, permit: &Permit, mut object: Object) -> Result<(), Problem> {
        super::lifting::may_go(self, &object)?;
        for other in self.tx.referring(&self.org, &object.uid)? {
            let goes = match other.kind {
                Kind::Membership | Kind::Binding | Kind::Attachment | Kind::Link | Kind::Credential => true,
                Kind::Project | Kind::Environment => object.kind.is_scope(),
                _ => object.kind.is_scope() && other.refers("scope") == Some(object.uid.as_str()),
            };
            if goes {
                self.delete(permit, other)?;
            }
        }
        if object.kind.is_scope() || object.kind.is_account() || object.kind == Kind::Group {
            // For whoever takes this name again.
            object.refs.retain(|(label, _)| label != "gone");
            object.refs.push(("gone".to_owned(), gone(object.kind, &object.name)));
        }
        object.deleted = Some(self.at);
        self.put(permit, object)?;
        Ok(())
    }

    /// An object that another will name, if the caller may see it: else it is as absent as what isn't there.
    pub fn seen(&mut self, kind: Kind, name: &str) -> Result<Object, Problem> {
        let found = self.find(kind, name)?;
        let on = match kind {
            Kind::Group => On::Group(&found.name),
            kind if kind.is_scope() => On::Scope(kind.wire(), &found.name),
            kind => On::Account(kind.wire(), &found.name),
        };
        if self.may("read", on) { Ok(found) } else { Err(Problem::absent()) }
    }

    /// A living object by uid or name; the same absence for what isn't there and for what isn't a caller's to see
    /// is the business of whoever asks for a permission on it.
    pub fn find(&mut self, kind: Kind, name: &str) -> Result<Object, Problem> {
        find(self.tx, &self.org, kind, name)
    }

    /// The records of this change: one, or as many as it takes for each to be within bounds.
    pub fn records(&self, request: &RequestFacts) -> Result<Vec<Entry>, Problem> {
        let mut entries = Vec::new();
        self.record(request, &self.after, &mut entries)?;
        Ok(entries)
    }

    /// Records these objects; in two halves, each again, where one record would be too large.
    fn record(
        &self,
        request: &RequestFacts,
        objects: &[Object],
        entries: &mut Vec<Entry>,
    ) -> Result<(), Problem> {
        let halves = objects.split_at(objects.len() / 2);
        match self.whole(request, objects) {
            Err(RecordError::TooLarge(_) | RecordError::TooMuchPersonal(_)) if objects.len() > 1 => {
                self.record(request, halves.0, entries)?;
                self.record(request, halves.1, entries)
            }
            made => {
                entries.push(made?);
                Ok(())
            }
        }
    }

    fn whole(&self, request: &RequestFacts, objects: &[Object]) -> Result<Entry, RecordError> {
        let mut draft = Draft::new()?;
        let facts = |o: &Object| journal::change_facts(&mut draft, &request.action, o);
        let changes = objects.iter().map(facts).collect::<Result<_, _>>()?;
        let about = About {
            log: Log::Changes,
            org: &self.org,
            scope: self.after.first().map_or("", |o| o.scope.as_str()),
            at: self.at,
            revision: self.seq,
            request,
        };
        let allowed_by = self.rules.iter().map(|(action, rule)| format!("{action}: {rule}")).collect();
        let account = self.caller.as_ref().map(|c| (c, self.state.as_deref()));
        journal::write(&about, account, None, Body::Changed { changes, allowed_by }, draft)
    }
}

/// What something that was deleted is known by, whatever was above it.
pub fn gone(kind: Kind, name: &str) -> String {
    format!("~gone {} {name}", kind.wire())
}

/// A living object by uid or name.
pub fn find<R: super::store::Read + ?Sized>(
    read: &mut R,
    org: &str,
    kind: Kind,
    name: &str,
) -> Result<Object, Problem> {
    let like_uid = name.strip_prefix(kind.prefix()).is_some_and(|rest| rest.starts_with('_'));
    let by_uid = match like_uid {
        true => read.object(org, name)?.filter(|o| o.kind == kind && o.deleted.is_none()),
        false => None,
    };
    match by_uid {
        Some(found) => Ok(found),
        None => read.named(org, kind, name)?.ok_or_else(Problem::absent),
    }
}

/// What a record says of the request.
#[derive(Clone, Debug, Default)]
pub struct RequestFacts {
    /// Its id.
    pub id: String,
    /// The action asked for: collection and verb.
    pub action: String,
    /// The address that counts.
    pub ip: String,
    /// The address of the connection.
    pub peer: String,
    /// What the client says it is.
    pub user_agent: String,
}
