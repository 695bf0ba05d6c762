//! What the steps of a test put in its directory: `let`, `bind`, `link`, `attach`, and what is only named.
//!
//! In:    steps.
//! Out:   [`super::stage::Held`], grown; a step with a mistake is told and left out.

use super::stage::{ANY, Bound, Linked, Stage, Thing};
use crate::check::program::Sort;
use crate::diagnostic::{Code, Diagnostic};
use crate::directory::Until;
use crate::limits::ANCESTRY_DEPTH_MAX;
use crate::source::Span;
use crate::syntax::ast::{BindStep, EntityData, EntityRef, LinkStep, Name, Quoted};
use crate::value::{Entity, KindId, RoleId};
use smol_str::SmolStr;

/// The parent of a resource, and the groups of an account or group.
pub(super) type Sits = (Option<Entity>, Vec<(SmolStr, Until)>);

impl Stage<'_> {
    /// Makes sure that something is there, perhaps only by its name.
    pub(super) fn hold(&mut self, entity: &Entity, span: Span) -> Option<()> {
        match self.program.vocabulary.kind(entity.kind).sort {
            Sort::Scope => self.hold_scope(entity, span),
            sort => {
                let fresh = self.thing(entity.kind, span);
                if let Some(table) = self.held.table(sort) {
                    table.entry(entity.clone()).or_insert(fresh);
                }
                Some(())
            }
        }
    }

    fn thing(&self, kind: KindId, span: Span) -> Thing {
        let attributes = vec![None; self.program.vocabulary.kind(kind).attributes.len()];
        Thing {
            attributes,
            at: None,
            parent: None,
            groups: Vec::new(),
            boundaries: Vec::new(),
            span,
            declared: false,
        }
    }

    /// Makes sure that a scope node and those above it are there.
    pub(super) fn hold_scope(&mut self, entity: &Entity, span: Span) -> Option<()> {
        let vocabulary = &self.program.vocabulary;
        let kind = vocabulary.kind(entity.kind);
        if let Some((other, thing)) = self.held.scopes.iter().find(|(s, _)| s.id == entity.id) {
            if other.kind == entity.kind {
                return Some(());
            }
            let other_kind = &vocabulary.kind(other.kind).name;
            let message =
                format!("the scope `{}` is a {other_kind} in this test, not a {}", entity.id, kind.name);
            self.out
                .push(Diagnostic::new(Code::E0401, span, message, "here").label(thing.span, "named here"));
            return None;
        }
        let parts = entity.id.split('/').count();
        if parts > ANCESTRY_DEPTH_MAX {
            let message = format!("a path of {parts} parts; at most {ANCESTRY_DEPTH_MAX} are allowed");
            self.tell(Code::E0401, span, message, "here");
            return None;
        }
        if let Some((above, _)) = entity.id.rsplit_once('/')
            && !self.held.scopes.keys().any(|s| s.id == above)
        {
            let parents = kind.parents.iter().copied().filter(|p| {
                let p = vocabulary.kind(*p);
                if above.contains('/') {
                    !p.parents.is_empty()
                } else {
                    p.parent_optional || p.parents.is_empty()
                }
            });
            let parents: Vec<KindId> = parents.collect();
            let parent = match parents.as_slice() {
                [one] => Entity { kind: *one, id: above.into() },
                [] => {
                    let message = format!("a `{}` cannot stand at `{}`", kind.name, entity.id);
                    let label = match kind.parents.is_empty() {
                        true => format!("a `{}` stands at the root: its id has no `/`", kind.name),
                        false => format!("the path does not fit what a `{}` sits in", kind.name),
                    };
                    self.tell(Code::E0401, span, message, label);
                    return None;
                }
                several => {
                    let kinds = several.iter().map(|k| format!("`{}`", vocabulary.kind(*k).name));
                    let kinds = kinds.collect::<Vec<_>>().join(" or ");
                    let message = format!("of which kind is the scope `{above}`: {kinds}?");
                    let first = &vocabulary.kind(several[0]).name;
                    let help = format!("say so before: `let above = {first} \"{above}\"`");
                    self.out
                        .push(Diagnostic::new(Code::E0401, span, message, "it lies above this").help(help));
                    return None;
                }
            };
            self.hold_scope(&parent, span)?;
        }
        let thing = self.thing(entity.kind, span);
        self.held.scopes.insert(entity.clone(), thing);
        Some(())
    }

    pub(super) fn let_step(&mut self, name: &Name, data: &EntityData) {
        if let Some((_, first)) = self.held.variables.get(&name.text) {
            let message = format!("the variable `{}` is declared twice", name.text);
            let d =
                Diagnostic::new(Code::E0101, name.span, message, "again here").label(*first, "first here");
            self.out.push(d);
            return;
        }
        let entity = match &data.id {
            Some(id) => self.entity(&data.kind, id),
            None => {
                self.tell(Code::E0401, data.span, "a `let` names one thing: its id is missing", "here");
                None
            }
        };
        self.held.variables.insert(name.text.clone(), (entity.clone(), name.span));
        if let Some(entity) = entity {
            self.declare(&entity, data);
        }
    }

    /// Holds an entity with what is said of it.
    pub(super) fn declare(&mut self, entity: &Entity, data: &EntityData) -> Option<()> {
        let kind = self.program.vocabulary.kind(entity.kind);
        if matches!(kind.sort, Sort::Role | Sort::Policy) {
            let message = format!("a directory does not hold a `{}`", kind.name);
            self.tell(Code::E0401, data.span, message, "the policy set declares these");
            return None;
        }
        let values = self.fields(&data.fields, &kind.attributes, &format!("`{}`", kind.name));
        let at = match &data.at {
            Some(at) if kind.sort == Sort::Scope => {
                let (EntityRef::Variable(n) | EntityRef::Entity(n, _)) = at;
                self.tell(Code::E0401, n.span, "a scope stands where its path says", "leave `at` out");
                return None;
            }
            Some(at) => Some(self.scope(at)?),
            None => None,
        };
        let (parent, groups) = self.within(entity.kind, &data.within, true)?;
        self.hold(entity, data.span)?;
        let thing = self.held.table(kind.sort)?.get_mut(entity)?;
        if thing.declared {
            let first = thing.span;
            let message = format!("{} `{}` is there twice", kind.name, entity.id);
            self.out.push(
                Diagnostic::new(Code::E0401, data.span, message, "again here").label(first, "first here"),
            );
            return None;
        }
        (thing.attributes, thing.at, thing.parent, thing.groups) = (values, at, parent, groups);
        (thing.declared, thing.span) = (true, data.span);
        Some(())
    }

    /// What follows `in`: groups of an account or group, the parent of a resource.
    pub(super) fn within(
        &mut self,
        kind: KindId,
        within: &[(EntityRef, Option<Quoted>)],
        stored: bool,
    ) -> Option<Sits> {
        let sort = self.program.vocabulary.kind(kind).sort;
        let (mut parent, mut groups) = (None, Vec::new());
        for (reference, until) in within {
            if matches!(sort, Sort::Account | Sort::Group) {
                let (group, span) = self.refer(reference, &[Sort::Group], "a group")?;
                self.hold(&group, span)?;
                groups.push((group.id, self.until(until.as_ref())?));
                continue;
            }
            let (entity, span) = self.refer(reference, ANY, "a thing")?;
            if let Some(until) = until {
                self.tell(Code::E0401, until.span, "only a membership in a group ends", "leave `until` out");
                return None;
            }
            if sort != Sort::Resource || parent.is_some() {
                let message = match parent {
                    Some(_) => "a thing sits in one other",
                    None => "only resources sit in something; a scope's path says where it stands",
                };
                self.tell(Code::E0401, span, message, "here");
                return None;
            }
            if stored {
                self.hold(&entity, span)?;
            }
            parent = Some(entity);
        }
        Some((parent, groups))
    }

    pub(super) fn bind(&mut self, step: &BindStep) {
        self.bound(step);
    }

    fn bound(&mut self, step: &BindStep) -> Option<()> {
        use crate::directory::{At, Holder};
        let vocabulary = &self.program.vocabulary;
        let everyone = match &step.who {
            EntityRef::Variable(name) if !self.held.variables.contains_key(&name.text) => {
                vocabulary.kinds.iter().position(|k| k.name == name.text && k.sort == Sort::Account)
            }
            _ => None,
        };
        let holder = match everyone {
            Some(kind) => Holder::Everyone(KindId(kind as u16)),
            None => {
                let who = self.refer(&step.who, &[Sort::Account, Sort::Group], "an account or a group");
                let (entity, span) = who?;
                self.hold(&entity, span)?;
                if entity.kind == KindId::GROUP { Holder::Group(entity.id) } else { Holder::Account(entity) }
            }
        };
        let role = self.role(&step.role);
        let at = match (&step.at, &step.on) {
            (Some(at), None) => At::Scope(self.scope(at)?),
            (None, Some(on)) => At::Resource(self.refer(on, ANY, "a thing")?.0),
            (None, None) if vocabulary.has_scopes() => {
                let message = "a binding says where it holds";
                let help = "add `at SCOPE` or `on RESOURCE`";
                self.out.push(Diagnostic::new(Code::E0401, step.span, message, "not said here").help(help));
                return None;
            }
            (None, None) => At::Everywhere,
            (Some(_), Some(_)) => {
                self.tell(Code::E0401, step.span, "a binding has `at` or `on`, not both", "here");
                return None;
            }
        };
        let boundaries = self.boundaries(&step.under);
        let until = self.until(step.until.as_ref());
        let (role, boundaries, until) = (role?, boundaries?, until?);
        self.held.bindings.push(Bound { holder, role, at, boundaries, until, span: step.span });
        Some(())
    }

    fn role(&mut self, name: &Name) -> Option<RoleId> {
        let known = &self.program.vocabulary.roles;
        let found = known.iter().position(|r| r.name == name.text);
        if found.is_none() {
            let message = format!("unknown role `{}`", name.text);
            let d = Diagnostic::new(Code::E0102, name.span, message, "no role has this name");
            self.near(d, name, known.iter().map(|r| r.name.as_str()));
        }
        found.map(|n| RoleId(n as u32))
    }

    pub(super) fn link(&mut self, step: &LinkStep) {
        use crate::directory::Target;
        let agent = self.refer(&step.agent, &[Sort::Account], "an account");
        let target = self.refer(&step.target, &[Sort::Account, Sort::Group], "an account or a group");
        let boundaries = self.boundaries(&step.under);
        let until = self.until(step.until.as_ref());
        let (Some(agent), Some(target), Some(boundaries), Some(until)) = (agent, target, boundaries, until)
        else {
            return;
        };
        self.hold(&agent.0, agent.1);
        self.hold(&target.0, target.1);
        let target = match target.0 {
            group if group.kind == KindId::GROUP => Target::Group(group.id),
            account => Target::Account(account),
        };
        self.held.links.push(Linked { agent: agent.0, target, boundaries, until, span: step.span });
    }

    pub(super) fn attach(&mut self, boundary: &Name, to: &EntityRef, _span: Span) {
        let boundary = self.boundary(boundary);
        let Some((to, span)) = self.refer(to, &[Sort::Account, Sort::Scope], "an account or a scope") else {
            return;
        };
        if self.hold(&to, span).is_none() {
            return;
        }
        let sort = self.program.vocabulary.kind(to.kind).sort;
        if let Some(thing) = self.held.table(sort).and_then(|t| t.get_mut(&to)) {
            thing.boundaries.extend(boundary);
        }
    }
}
