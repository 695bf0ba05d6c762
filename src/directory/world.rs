//! How an evaluator sees directory and request together: [`World`].
//!
//! In:    vocabulary, directory, question.
//! Out:   answers about things, groups and places; total, without allocating.
//! Law:   what the directory holds it owns, but for `supplied` attributes, where the request's value comes first;
//!        what it doesn't hold comes with the request, but for `stored` attributes. This holds for an entity
//!        wherever in the request it is met.

use super::edit::longest;
use super::{Account, Directory, GroupIx, Until};
use crate::check::program::{Provenance, Sort, Vocabulary};
use crate::limits::ANCESTRY_DEPTH_MAX;
use crate::request::{Overlay, Question};
use crate::value::{Entity, KindId, NameId, Value};

/// Vocabulary, directory and request.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// What can be talked about.
    pub vocabulary: &'a Vocabulary,
    /// What is stored.
    pub directory: &'a Directory,
    /// What is asked.
    pub question: &'a Question,
}

/// Something with attributes: an entity, or the `any KIND` acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing<'a> {
    /// An entity.
    Entity(&'a Entity),
    /// What is acted on, when it has no id.
    Any,
}

impl<'a> World<'a> {
    /// Whether the directory or the request knows this thing: it is a group, account, scope or resource that the
    /// directory holds, or the request's own account or resource. `Any` is known. A role is known when the set
    /// declares it (by wire name), a policy when it is acted on.
    pub fn known(&self, thing: Thing<'a>) -> bool {
        let Thing::Entity(entity) = thing else { return true };
        self.question.resource.entity.as_ref() == Some(entity)
            || self.question.account == *entity
            || self.directory.holds(self.vocabulary, entity)
    }

    /// The value of an attribute, wherever it comes from; `None` when absent, unknown or not declared for the kind.
    pub fn attribute(&self, thing: Thing<'a>, name: NameId) -> Option<&'a Value> {
        let kind = self.kind(thing);
        let slot = self.vocabulary.slot(kind, name)?;
        let provenance = self.vocabulary.kinds.get(kind.index())?.attributes.get(slot)?.provenance;
        let given = || self.overlay(thing).and_then(|o| o.attributes.get(slot)?.as_ref());
        match thing {
            Thing::Entity(entity) => match self.directory.stored(self.vocabulary, entity) {
                Some(stored) => {
                    let own = || stored.get(slot).and_then(Option::as_ref);
                    if provenance == Provenance::Supplied { given().or_else(own) } else { own() }
                }
                None if provenance == Provenance::Stored => None,
                None => given(),
            },
            Thing::Any => given(),
        }
    }

    /// What a scope node or resource sits in, directly.
    pub fn parent(&self, thing: Thing<'a>) -> Option<&'a Entity> {
        if let Thing::Entity(entity) = thing {
            if let Some(ix) = self.directory.scope_of(entity) {
                let above = self.directory.scopes.get(ix.index())?.ancestors.get(1)?;
                return self.directory.scopes.get(above.index()).map(|s| &s.entity);
            }
            if let Some(ix) = self.directory.resource(entity) {
                return self.directory.resources.get(ix.index())?.parent.as_ref();
            }
        }
        self.overlay(thing)?.parent.as_ref()
    }

    /// Whether a scope node or resource is `ancestor`, or strictly below it. (`Any` can only be below.)
    pub fn is_within(&self, thing: Thing<'a>, ancestor: &Entity) -> bool {
        let mut at = thing;
        // The request's own resource may stand one deeper than what is stored.
        for _ in 0..=ANCESTRY_DEPTH_MAX + 1 {
            if let Thing::Entity(entity) = at {
                if entity == ancestor {
                    return true;
                }
                if let Some(ix) = self.directory.scope_of(entity) {
                    let above = self.directory.scope_of(ancestor);
                    return above.is_some_and(|a| self.directory.scope_covers(a, ix));
                }
            }
            match self.parent(at) {
                Some(parent) => at = Thing::Entity(parent),
                None => return false,
            }
        }
        false
    }

    /// Whether an account or group is a member, directly or through groups, at the request's `now`;
    /// a group is a member of itself.
    pub fn is_member(&self, thing: &Entity, group: &str) -> bool {
        if thing.kind == KindId::GROUP && thing.id == group {
            return true;
        }
        let Some(group) = self.directory.group(group) else { return false };
        self.directory.membership(thing, group).is_some_and(|until| self.now() < until)
    }

    /// `context.now` in microseconds.
    pub fn now(&self) -> i64 {
        match self.question.context.first() {
            Some(Some(Value::Time(now))) => *now,
            _ => 0,
        }
    }

    /// The kind of a thing.
    pub(crate) fn kind(&self, thing: Thing<'_>) -> KindId {
        match thing {
            Thing::Entity(entity) => entity.kind,
            Thing::Any => self.question.resource.kind,
        }
    }

    /// What the request says of a thing.
    pub(crate) fn overlay(&self, thing: Thing<'_>) -> Option<&'a Overlay> {
        let entity = match thing {
            Thing::Entity(entity) => Some(entity),
            Thing::Any => None,
        };
        self.question.overlay.iter().find(|o| o.entity.as_ref() == entity)
    }
}

impl Directory {
    /// The scope node that this entity is.
    pub fn scope_of(&self, entity: &Entity) -> Option<super::ScopeIx> {
        let ix = self.scope(&entity.id)?;
        (self.scopes.get(ix.index())?.entity.kind == entity.kind).then_some(ix)
    }

    /// Whether the first scope node is the second, or above it.
    pub fn scope_covers(&self, above: super::ScopeIx, below: super::ScopeIx) -> bool {
        self.scopes.get(below.index()).is_some_and(|s| s.ancestors.contains(&above))
    }

    /// Until when an account or group is a member of a group, directly or through groups: the longest of all ways
    /// in, each of which ends with the first membership on it.
    pub fn membership(&self, thing: &Entity, group: GroupIx) -> Option<Until> {
        let within = |held: GroupIx| {
            let within = &self.groups.get(held.index())?.within;
            within.binary_search_by_key(&group, |(g, _)| *g).ok().map(|i| within[i].1)
        };
        if thing.kind == KindId::GROUP {
            return within(self.group(&thing.id)?);
        }
        let account = self.accounts.get(self.account(thing)?.index())?;
        account.groups().filter_map(|(held, until)| Some(within(held)?.min(until))).max()
    }

    /// The groups an account is in, directly or through groups, with the time each membership ends. One group may
    /// come several times, by each of the ways in.
    pub fn groups_of<'d>(&'d self, account: &'d Account) -> impl Iterator<Item = (GroupIx, Until)> + 'd {
        account.groups().flat_map(|(held, until)| {
            let within = self.groups.get(held.index()).map_or(&[][..], |group| &group.within);
            within.iter().map(move |(group, end)| (*group, until.min(*end)))
        })
    }

    /// The same, sorted: each group once, with the longest of its times.
    pub fn memberships(&self, account: &Account) -> Vec<(GroupIx, Until)> {
        let mut all = self.groups_of(account).collect();
        longest(&mut all);
        all
    }

    /// Whether the directory holds this entity; a role is held when the set declares it.
    pub fn holds(&self, vocabulary: &Vocabulary, entity: &Entity) -> bool {
        match vocabulary.kinds.get(entity.kind.index()).map(|k| k.sort) {
            Some(Sort::Scope) => self.scope_of(entity).is_some(),
            Some(Sort::Account) => self.account(entity).is_some(),
            Some(Sort::Resource) => self.resource(entity).is_some(),
            Some(Sort::Group) => self.group(&entity.id).is_some(),
            Some(Sort::Role) => vocabulary.roles.iter().any(|r| r.wire == entity.id),
            Some(Sort::Policy) | None => false,
        }
    }

    /// The stored attributes of an entity that the directory holds, by slot.
    pub(crate) fn stored(&self, vocabulary: &Vocabulary, entity: &Entity) -> Option<&[Option<Value>]> {
        match vocabulary.kinds.get(entity.kind.index())?.sort {
            Sort::Scope => Some(&self.scopes.get(self.scope_of(entity)?.index())?.attributes),
            Sort::Account => Some(&self.accounts.get(self.account(entity)?.index())?.attributes),
            Sort::Resource => Some(&self.resources.get(self.resource(entity)?.index())?.attributes),
            Sort::Group => Some(&self.groups.get(self.group(&entity.id)?.index())?.attributes),
            Sort::Role | Sort::Policy => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;
    use crate::request::Subject;

    fn question(account: Entity, resource: Option<Entity>, overlay: Vec<Overlay>, now: i64) -> Question {
        Question {
            account,
            account_ix: None,
            acting_for: vec![],
            scope: None,
            action: READ,
            properties: vec![],
            resource: Subject { kind: DOCUMENT, entity: resource },
            overlay,
            context: vec![Some(Value::Time(now)), None],
            credential: None,
            ignored: vec![],
        }
    }

    fn name(v: &Vocabulary, name: &str) -> NameId {
        NameId(v.names.iter().position(|n| n == name).unwrap() as u16)
    }

    #[test]
    fn values_belong_to_the_kind_not_to_the_position() {
        let v = vocabulary();
        let d = directory(&v);
        let (ana, dora) = (entity(USER, "ana"), entity(USER, "dora"));
        let said = |e: &Entity, mfa: bool, department: &str| Overlay {
            entity: Some(e.clone()),
            kind: e.kind,
            attributes: vec![Some(Value::Bool(mfa)), Some(Value::String(department.into()))],
            parent: None,
        };
        let q = question(ana.clone(), None, vec![said(&ana, true, "it"), said(&dora, true, "it")], 0);
        let w = World { vocabulary: &v, directory: &d, question: &q };
        let get = |e, n| w.attribute(Thing::Entity(e), name(&v, n)).cloned();
        assert_eq!(get(&ana, "mfa"), Some(Value::Bool(true)), "supplied: the request's value counts");
        assert_eq!(get(&ana, "department"), None, "the directory is the whole truth, absence included");
        assert_eq!(get(&dora, "mfa"), Some(Value::Bool(true)));
        let f = entity(FOLDER, "f");
        assert_eq!(get(&f, "trusted"), Some(Value::Bool(true)));
        assert_eq!(get(&f, "mfa"), None, "not declared for the kind");
        assert!(w.known(Thing::Entity(&ana)) && !w.known(Thing::Entity(&dora)) && w.known(Thing::Any));
        assert!(w.known(Thing::Entity(&entity(KindId::ROLE, "viewer"))));
        let silent = question(dora.clone(), None, vec![], 0);
        let w = World { vocabulary: &v, directory: &d, question: &silent };
        assert!(w.known(Thing::Entity(&dora)), "the request's own account");
        assert_eq!(
            w.attribute(Thing::Entity(&ana), name(&v, "mfa")),
            Some(&Value::Bool(false)),
            "else the stored one"
        );
    }

    #[test]
    fn places_and_parents() {
        let v = vocabulary();
        let d = directory(&v);
        let (f, g) = (entity(FOLDER, "f"), entity(FOLDER, "g"));
        let new = entity(DOCUMENT, "new");
        let inside = |e: Option<Entity>| Overlay {
            entity: e,
            kind: DOCUMENT,
            attributes: vec![],
            parent: Some(g.clone()),
        };
        let q = question(
            entity(USER, "ana"),
            Some(new.clone()),
            vec![inside(Some(new.clone())), inside(None)],
            0,
        );
        let w = World { vocabulary: &v, directory: &d, question: &q };
        assert_eq!(w.parent(Thing::Entity(&new)), Some(&g));
        assert_eq!(w.parent(Thing::Entity(&g)), Some(&f));
        assert_eq!(w.parent(Thing::Entity(&entity(PROJECT, "acme/web"))), Some(&entity(ORG, "acme")));
        assert!(
            w.is_within(Thing::Entity(&new), &f)
                && w.is_within(Thing::Any, &f)
                && w.is_within(Thing::Entity(&f), &f)
        );
        assert!(!w.is_within(Thing::Entity(&f), &g));
        assert!(w.is_within(Thing::Entity(&entity(PROJECT, "acme/web")), &entity(ORG, "acme")));
        assert!(
            !w.is_within(Thing::Entity(&entity(PROJECT, "acme/web")), &entity(PROJECT, "acme")),
            "kinds count"
        );
        assert_eq!(d.resources[2].scope, d.scope("acme/web"), "inherited from the parents");
        assert_eq!(
            d.accounts[0].bindings[0].place(),
            super::super::Place::Scope(d.scope("acme/web").unwrap())
        );
    }

    #[test]
    fn memberships_end() {
        let v = vocabulary();
        let d = directory(&v);
        let member = |now, thing: &Entity, group| {
            let q = question(entity(USER, "ana"), None, vec![], now);
            World { vocabulary: &v, directory: &d, question: &q }.is_member(thing, group)
        };
        let (ana, ops) = (entity(USER, "ana"), entity(KindId::GROUP, "ops"));
        assert!(member(499, &ana, "staff") && !member(500, &ana, "staff") && member(999, &ana, "ops"));
        assert!(member(0, &ops, "ops") && member(0, &ops, "staff") && !member(0, &ana, "none"));
        assert!(member(0, &entity(KindId::GROUP, "ghost"), "ghost"), "a group is a member of itself");
    }
}
