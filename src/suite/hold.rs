//! The directory of an assertion: what the test holds, with homes and values that it leaves out.
//!
//! In:    [`super::stage::Held`], the assertion's scope.
//! Out:   [`Directory`], and what was left out and filled ([`LeftOut`]); `reads.rs` tells if a decision reads it.

use super::stage::{Held, Stage, Thing};
use crate::check::program::{Provenance, Sort};
use crate::diagnostic::{Code, Diagnostic};
use crate::directory::{Builder, DataError, DataErrorKind, Directory, Item};
use crate::request::Asked;
use crate::source::Span;
use crate::value::{Entity, NameId, Value};
use smol_str::SmolStr;

/// A required value that a test leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// An attribute of an entity.
    Attribute(Entity, NameId),
    /// A property of the action.
    Property(NameId),
    /// An entry of the context, by slot.
    Context(u16),
}

/// What is acted on, and where the assertion says so.
pub(super) struct Acted {
    pub entity: Option<Entity>,
    pub at: Option<SmolStr>,
}

impl Stage<'_> {
    /// The scope that an account or key without one of its own gets: the only root, or the one above the request.
    pub(super) fn root(&self, scope: Option<&str>, said: &impl Placed) -> Option<SmolStr> {
        let mut roots = self.held.scopes.keys().filter(|s| !s.id.contains('/')).map(|s| s.id.clone());
        match (roots.next(), roots.next()) {
            (only, None) => only,
            _ => {
                let place =
                    scope.map(SmolStr::from).or_else(|| said.places().find_map(|e| self.place(e, 0)))?;
                place.split('/').next().map(SmolStr::from)
            }
        }
    }

    /// Where the test's directory places something.
    fn place(&self, entity: &Entity, depth: usize) -> Option<SmolStr> {
        match self.program.vocabulary.kind(entity.kind).sort {
            Sort::Scope => Some(entity.id.clone()),
            Sort::Account => self.held.accounts.get(entity)?.at.clone(),
            Sort::Group => self.held.groups.get(entity)?.at.clone(),
            Sort::Resource if depth <= crate::limits::ANCESTRY_DEPTH_MAX => {
                let thing = self.held.resources.get(entity)?;
                thing.at.clone().or_else(|| self.place(thing.parent.as_ref()?, depth + 1))
            }
            Sort::Resource | Sort::Role | Sort::Policy => None,
        }
    }

    /// Builds the directory; what contradicts is told.
    pub(super) fn directory(
        &mut self,
        root: Option<&str>,
        acted: &Acted,
    ) -> Option<(Directory, Vec<LeftOut>)> {
        let vocabulary = &self.program.vocabulary;
        let mut builder = Builder::new(vocabulary);
        let mut left_out = Vec::new();
        let mut told: Vec<Diagnostic> = Vec::new();
        let mut tell = |error: DataError, span: Span| told.push(diagnostic(error, span));
        let held = &self.held;
        let mut values = |e: &Entity, t: &Thing| self.filled(e, t, &mut left_out);
        for (e, t) in &held.scopes {
            let values = values(e, t);
            builder.add_scope(e.kind, &e.id, values, t.boundaries.clone()).map_err(|x| tell(x, t.span)).ok();
        }
        for (e, t) in &held.groups {
            let values = values(e, t);
            if let Ok(ix) = builder.add_group(&e.id, t.at.as_deref(), values).map_err(|x| tell(x, t.span)) {
                t.groups.iter().for_each(|(group, until)| builder.put_group_in(ix, group, *until));
            }
        }
        for (e, t) in &held.accounts {
            let values = values(e, t);
            let implied = if acted.entity.as_ref() == Some(e) { acted.at.as_deref().or(root) } else { root };
            let home = t.at.as_deref().or(implied).filter(|_| vocabulary.has_scopes());
            let added = builder.add_account(e.kind, &e.id, home, values, t.boundaries.clone());
            if let Ok(ix) = added.map_err(|x| tell(x, t.span)) {
                for (group, until) in &t.groups {
                    builder.join(ix, group, *until).map_err(|x| tell(x, t.span)).ok();
                }
            }
        }
        for (e, t) in &held.resources {
            let values = values(e, t);
            let added = builder.add_resource(e.kind, &e.id, t.at.as_deref(), t.parent.clone(), values);
            added.map_err(|x| tell(x, t.span)).ok();
        }
        for b in &held.bindings {
            let bound = builder.bind(&b.holder, b.role, &b.at, b.boundaries.clone(), b.until);
            bound.map_err(|x| tell(x, b.span)).ok();
        }
        for l in &held.links {
            let linked = builder.link(&l.agent, &l.target, l.boundaries.clone(), l.until);
            linked.map_err(|x| tell(x, l.span)).ok();
        }
        let built = builder.build();
        if let (Err(errors), true) = (&built, told.is_empty()) {
            told.extend(errors.iter().map(|error| diagnostic(error.clone(), item_span(held, error.item))));
        }
        for d in told {
            // The directory is built for each assertion; its mistakes are told once.
            if !self.out.contains(&d) {
                self.out.push(d);
            }
        }
        Some((built.ok()?, left_out))
    }

    /// The values of a held thing, required ones that are left out filled.
    fn filled(&self, entity: &Entity, thing: &Thing, left_out: &mut Vec<LeftOut>) -> Vec<Option<Value>> {
        let declared = &self.program.vocabulary.kind(entity.kind).attributes;
        let mut values = thing.attributes.clone();
        values.resize(declared.len(), None);
        for (attribute, value) in declared.iter().zip(&mut values) {
            if !attribute.optional && value.is_none() {
                *value = Some(self.placeholder(&attribute.ty));
                left_out.push(LeftOut::Attribute(entity.clone(), attribute.name));
            }
        }
        values
    }

    /// Fills what the request itself must give and the assertion leaves out.
    pub(super) fn fill(&self, asked: &mut Asked, directory: &Directory, left_out: &mut Vec<LeftOut>) {
        let vocabulary = &self.program.vocabulary;
        let properties = &vocabulary.action(asked.action).properties;
        for (attribute, value) in properties.iter().zip(&mut asked.properties) {
            if !attribute.optional && value.is_none() {
                *value = Some(self.placeholder(&attribute.ty));
                left_out.push(LeftOut::Property(attribute.name));
            }
        }
        for (slot, (attribute, value)) in vocabulary.context.iter().zip(&mut asked.context).enumerate() {
            if !attribute.optional && value.is_none() {
                *value = Some(self.placeholder(&attribute.ty));
                left_out.push(LeftOut::Context(slot as u16));
            }
        }
        let Some(id) = &asked.id else { return };
        let entity = Entity { kind: asked.kind, id: id.clone() };
        let kind = vocabulary.kind(asked.kind);
        if kind.sort != Sort::Resource || directory.resource(&entity).is_some() {
            return;
        }
        asked.attributes.resize(kind.attributes.len(), None);
        for (attribute, value) in kind.attributes.iter().zip(&mut asked.attributes) {
            if !attribute.optional && attribute.provenance != Provenance::Stored && value.is_none() {
                *value = Some(self.placeholder(&attribute.ty));
                left_out.push(LeftOut::Attribute(entity.clone(), attribute.name));
            }
        }
    }
}

/// What tells where an assertion happens when it names no scope.
pub(super) trait Placed {
    /// The thing acted on, then what it sits in.
    fn places(&self) -> impl Iterator<Item = &Entity>;
}

fn diagnostic(error: DataError, span: Span) -> Diagnostic {
    let code = if error.kind == DataErrorKind::Cycle { Code::E0103 } else { Code::E0401 };
    Diagnostic { help: error.help, ..Diagnostic::new(code, span, error.message, "in this test's directory") }
}

fn item_span(held: &Held, item: Item) -> Span {
    let thing = match item {
        Item::Scope(n) => held.scopes.get_index(n),
        Item::Group(n) => held.groups.get_index(n),
        Item::Resource(n) => held.resources.get_index(n),
        Item::This | Item::Change(_) => None,
    };
    thing.map_or(Span::default(), |(_, t)| t.span)
}
