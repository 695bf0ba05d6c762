//! Looking: one object, or a page of them.
//!
//! In:    a caller, a collection, an id or a filter.
//! Out:   what the caller may read of it.
//! Law:   each object shown was decided on; absent and forbidden are one answer.

use super::on;
use crate::service::authn::Caller;
use crate::service::change::find;
use crate::service::chores::gone_since;
use crate::service::guard::{On, permit};
use crate::service::memory::OrgState;
use crate::service::object::{Kind, Object, place_kind};
use crate::service::problem::Problem;
use crate::service::store::Read;
use serde_json::Value;

/// What may be seen of one organization, by whom, when.
pub struct View<'a> {
    /// The store.
    pub read: &'a mut dyn Read,
    /// The organization.
    pub org: &'a OrgState,
    /// Who looks.
    pub caller: &'a Caller,
    /// When.
    pub now: i64,
}

/// A page of objects.
#[derive(Debug)]
pub struct Page {
    /// What is on it.
    pub items: Vec<Value>,
    /// The uid after which the next page starts.
    pub next: Option<String>,
}

impl View<'_> {
    fn may_read(&mut self, object: &Object) -> Result<bool, Problem> {
        let may = |action, on: On<'_>| permit(self.org, self.caller, action, on, self.now).is_ok();
        Ok(match object.kind {
            Kind::PolicySet => may("read", On::Scope("organization", &self.org.id)),
            Kind::Credential => {
                let uid = object.refers("account").unwrap_or_default();
                match self.read.object(&self.org.uid, uid)? {
                    Some(account) => permit(self.org, self.caller, "read", on(&account), self.now).is_ok(),
                    None => false,
                }
            }
            kind if kind.is_scope() || kind.is_account() || kind == Kind::Group => may("read", on(object)),
            _ => may("read", On::Scope(place_kind(&object.scope).wire(), &object.scope)),
        })
    }
}

/// One object.
pub fn get(view: &mut View<'_>, kind: Kind, name: &str) -> Result<Object, Problem> {
    let found = find(view.read, &view.org.uid, kind, name)?;
    if view.may_read(&found)? { Ok(found) } else { Err(Problem::absent()) }
}

/// Objects looked at for one page: a caller who may read little gets a short page and a cursor.
const LOOKED_AT_MAX: usize = 2_000;

/// A page of a collection; `filters` are fields and the texts they must have.
pub fn list(
    view: &mut View<'_>,
    kind: Kind,
    filters: &[(String, String)],
    after: &str,
    limit: usize,
) -> Result<Page, Problem> {
    let (mut items, mut after, mut looked_at) = (Vec::new(), after.to_owned(), 0);
    loop {
        let batch = view.read.list(&view.org.uid, kind, &after, 200)?;
        let whole = batch.len() == 200;
        for object in batch {
            looked_at += 1;
            after.clone_from(&object.uid);
            if fits(&object, filters) && unowned(view, &object, filters)? && view.may_read(&object)? {
                items.push(object.show());
            }
            if items.len() == limit || looked_at == LOOKED_AT_MAX {
                return Ok(Page { items, next: Some(after) });
            }
        }
        if !whole {
            return Ok(Page { items, next: None });
        }
    }
}

/// Whether an account is one whose owner is gone, if such are asked for.
fn unowned(view: &mut View<'_>, object: &Object, filters: &[(String, String)]) -> Result<bool, Problem> {
    let Some((_, wanted)) = filters.iter().find(|(field, _)| field == "owner_gone") else { return Ok(true) };
    let gone = match object.refers("owner") {
        Some(owner) => gone_since(view.read, &view.org.uid, owner, view.now)?.is_some(),
        None => false,
    };
    Ok(gone.to_string() == *wanted)
}

fn fits(object: &Object, filters: &[(String, String)]) -> bool {
    let shown = |field: &str| match object.body.get(field) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Object(reference)) => {
            let part = |p: &str| reference.get(p).and_then(Value::as_str).unwrap_or_default().to_owned();
            Some(format!("{}/{}", part("kind"), part("id")))
        }
        _ => None,
    };
    filters.iter().all(|(field, wanted)| match field.as_str() {
        "owner_gone" => true,
        "below" => crate::service::holding::covers(wanted, &object.scope),
        field => shown(field).as_deref() == Some(wanted),
    })
}
