//! Walks the steps of a test: names resolved, what its directory holds gathered, each assertion made a question.
//!
//! In:    a test's steps, in order; an assertion sees the steps before it.
//! Out:   [`Stage::cases`] and [`Stage::out`]; a step with a mistake is left out.

use crate::check::program::{Program, Sort};
use crate::diagnostic::{Code, Diagnostic};
use crate::directory::{Directory, FOREVER, Until};
use crate::request::Question;
use crate::source::Span;
use crate::syntax::ast::{EntityRef, Name, Quoted, Step};
use crate::value::{BoundaryId, Effect, Entity, KindId, RoleId, Value, check_string, parse_time};
use indexmap::IndexMap;
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// `context.now` of a test that doesn't give it: 2026-01-01T00:00:00Z.
pub(super) const NOW: i64 = 1_767_225_600_000_000;

/// One question with the answer expected.
#[derive(Debug)]
pub(super) struct Case {
    pub span: Span,
    pub directory: Directory,
    pub question: Question,
    pub expected: Expected,
    /// The action, where a `for` chose it.
    pub for_action: Option<SmolStr>,
}

/// The answer expected.
#[derive(Debug)]
pub(super) struct Expected {
    pub effect: Effect,
    pub by: Option<SmolStr>,
    pub ask: Option<SmolStr>,
}

/// Something the test's directory holds.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub attributes: Vec<Option<Value>>,
    /// A scope's path: home of an account, place of a group or resource.
    pub at: Option<SmolStr>,
    /// What a resource sits in.
    pub parent: Option<Entity>,
    /// Groups it is in.
    pub groups: Vec<(SmolStr, Until)>,
    pub boundaries: Vec<BoundaryId>,
    /// Where it was declared, or first named.
    pub span: Span,
    /// Declared, not only named.
    pub declared: bool,
}

/// A `bind` step.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub holder: crate::directory::Holder,
    pub role: RoleId,
    pub at: crate::directory::At,
    pub boundaries: Vec<BoundaryId>,
    pub until: Until,
    pub span: Span,
}

/// A `link` step.
#[derive(Clone, Debug)]
pub(super) struct Linked {
    pub agent: Entity,
    pub target: crate::directory::Target,
    pub boundaries: Vec<BoundaryId>,
    pub until: Until,
    pub span: Span,
}

/// What the steps so far have said.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// What variables stand for; `None` after a `let` with a mistake, which has been told.
    pub variables: BTreeMap<SmolStr, (Option<Entity>, Span)>,
    pub scopes: IndexMap<Entity, Thing>,
    pub groups: IndexMap<Entity, Thing>,
    pub accounts: IndexMap<Entity, Thing>,
    pub resources: IndexMap<Entity, Thing>,
    pub bindings: Vec<Bound>,
    pub links: Vec<Linked>,
    pub context: Vec<Option<Value>>,
}

impl Held {
    /// The table that holds things of a sort.
    pub(super) fn table(&mut self, sort: Sort) -> Option<&mut IndexMap<Entity, Thing>> {
        match sort {
            Sort::Scope => Some(&mut self.scopes),
            Sort::Group => Some(&mut self.groups),
            Sort::Account => Some(&mut self.accounts),
            Sort::Resource => Some(&mut self.resources),
            Sort::Role | Sort::Policy => None,
        }
    }
}

/// The walk over one test.
pub(super) struct Stage<'p> {
    pub program: &'p Program,
    pub held: Held,
    pub cases: Vec<Case>,
    pub out: Vec<Diagnostic>,
    /// Variables of the `for`s around: the action each stands for.
    pub actions: Vec<(SmolStr, Name)>,
}

pub(super) const ANY: &[Sort] =
    &[Sort::Scope, Sort::Account, Sort::Resource, Sort::Group, Sort::Role, Sort::Policy];

impl<'p> Stage<'p> {
    pub(super) fn new(program: &'p Program) -> Self {
        let context = vec![None; program.vocabulary.context.len()];
        let held = Held { context, ..Held::default() };
        Stage { program, held, cases: Vec::new(), out: Vec::new(), actions: Vec::new() }
    }

    pub(super) fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Let(name, data) => self.let_step(name, data),
                Step::Bind(bind) => self.bind(bind),
                Step::Link(link) => self.link(link),
                Step::Attach(boundary, to, span) => self.attach(boundary, to, *span),
                Step::Context(fields, _) => {
                    let values = self.fields(fields, &self.program.vocabulary.context, "the context");
                    overwrite(&mut self.held.context, values);
                }
                Step::Assert(assert) => {
                    // What only the assertion names is held for it alone.
                    let before = self.held.clone();
                    let case = self.assertion(assert);
                    self.cases.extend(case);
                    self.held = before;
                }
                Step::For(name, actions, steps, _) => {
                    for action in actions {
                        let before = self.held.clone();
                        self.actions.push((name.text.clone(), action.clone()));
                        self.steps(steps);
                        self.actions.pop();
                        self.held = before;
                    }
                }
            }
        }
    }

    pub(super) fn tell(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
    ) {
        self.out.push(Diagnostic::new(code, span, message, label));
    }

    // ---- names ----

    pub(super) fn kind(&mut self, name: &Name, sorts: &[Sort], expected: &str) -> Option<KindId> {
        let kinds = &self.program.vocabulary.kinds;
        match kinds.iter().position(|k| k.name == name.text) {
            Some(n) if sorts.contains(&kinds[n].sort) => Some(KindId(n as u16)),
            Some(_) => {
                let message = format!("`{}` is not {expected}", name.text);
                self.tell(Code::E0104, name.span, message, format!("expected {expected}"));
                None
            }
            None => {
                let message = format!("unknown kind `{}`", name.text);
                let d = Diagnostic::new(Code::E0102, name.span, message, "no kind has this name");
                self.near(d, name, kinds.iter().filter(|k| sorts.contains(&k.sort)).map(|k| k.name.as_str()));
                None
            }
        }
    }

    /// `KIND "id"`.
    pub(super) fn entity(&mut self, kind: &Name, id: &Quoted) -> Option<Entity> {
        let kind = self.kind(kind, ANY, "a kind")?;
        let problem =
            if id.text.is_empty() { Err("an id is never empty".into()) } else { check_string(&id.text) };
        if let Err(message) = problem {
            self.tell(Code::E0401, id.span, message, "this id");
            return None;
        }
        Some(Entity { kind, id: id.text.clone() })
    }

    /// What a `let` variable stands for.
    pub(super) fn variable(&mut self, name: &Name) -> Option<Entity> {
        if let Some((entity, _)) = self.held.variables.get(&name.text) {
            return entity.clone();
        }
        let message = format!("unknown variable `{}`", name.text);
        let d = Diagnostic::new(Code::E0102, name.span, message, "no `let` before this has this name");
        if self.program.vocabulary.kinds.iter().any(|k| k.name == name.text) {
            self.out.push(d.help(format!("name one of the kind: `{} \"some-id\"`", name.text)));
        } else {
            let known: Vec<SmolStr> = self.held.variables.keys().cloned().collect();
            self.near(d, name, known.iter().map(SmolStr::as_str));
        }
        None
    }

    /// An entity of one of these sorts.
    pub(super) fn refer(
        &mut self,
        reference: &EntityRef,
        sorts: &[Sort],
        expected: &str,
    ) -> Option<(Entity, Span)> {
        let (entity, span) = match reference {
            EntityRef::Variable(name) => (self.variable(name)?, name.span),
            EntityRef::Entity(kind, id) => (self.entity(kind, id)?, kind.span.to(id.span)),
        };
        let kind = self.program.vocabulary.kind(entity.kind);
        if sorts.contains(&kind.sort) {
            return Some((entity, span));
        }
        let message = format!("`{}` is not {expected}", kind.name);
        self.tell(Code::E0104, span, message, format!("expected {expected}"));
        None
    }

    pub(super) fn scope(&mut self, reference: &EntityRef) -> Option<SmolStr> {
        let (entity, span) = self.refer(reference, &[Sort::Scope], "a scope")?;
        self.hold_scope(&entity, span)?;
        Some(entity.id)
    }

    pub(super) fn boundaries(&mut self, names: &[Name]) -> Option<Vec<BoundaryId>> {
        names.iter().map(|n| self.boundary(n)).collect()
    }

    pub(super) fn boundary(&mut self, name: &Name) -> Option<BoundaryId> {
        let known = &self.program.vocabulary.boundaries;
        let found = known.iter().position(|b| *b == name.text);
        if found.is_none() {
            let message = format!("unknown boundary `{}`", name.text);
            let d = Diagnostic::new(Code::E0102, name.span, message, "no boundary has this name");
            self.near(d, name, known.iter().map(SmolStr::as_str));
        }
        found.map(|n| BoundaryId(n as u32))
    }

    pub(super) fn until(&mut self, until: Option<&Quoted>) -> Option<Until> {
        let Some(quoted) = until else { return Some(FOREVER) };
        let read = parse_time(&quoted.text);
        read.map_err(|message| self.tell(Code::E0209, quoted.span, message, "here")).ok()
    }
}

pub(super) fn overwrite(values: &mut [Option<Value>], by: Vec<Option<Value>>) {
    for (value, by) in values.iter_mut().zip(by) {
        if by.is_some() {
            *value = by;
        }
    }
}
