//! Builds the steps of tests.

use super::Builder;
use crate::source::Span;
use crate::syntax::ast::{
    AccountData, Assert, BindStep, EntityData, EntityRef, Field, FieldValue, KeyData, LinkStep, Name, Quoted,
    ResourceData, Step,
};
use crate::syntax::parse::{Pair, Rule};
use crate::value::Effect;

/// The parts that may follow the head of a step, in any order.
#[derive(Default)]
struct Parts {
    at: Option<(EntityRef, Span)>,
    on: Option<(EntityRef, Span)>,
    under: Option<(Vec<Name>, Span)>,
    until: Option<(Quoted, Span)>,
    with: Option<(Vec<Field>, Span)>,
    by: Option<(Name, Span)>,
    ask: Option<(Name, Span)>,
    within: Vec<(EntityRef, Option<Quoted>)>,
    fields: Vec<Field>,
}

impl<'a> Builder<'a> {
    /// The title of a test.
    pub(crate) fn test_head(&mut self, pair: Pair<'a>) -> Quoted {
        let title = pair.into_inner().nth(1).expect("grammar: a test has a title");
        self.quoted(&title)
    }

    /// One step of a test.
    pub(crate) fn step(&mut self, pair: Pair<'a>) -> Step {
        let span = self.span(&pair);
        match pair.as_rule() {
            Rule::let_step => {
                let mut it = self.children(pair).skip(1);
                let name = self.name(&it.next().expect("grammar: `let` has a name"));
                let entity = self.entity(it.next().expect("grammar: `let` has an entity"));
                Step::Let(name, entity)
            }
            Rule::bind_step => {
                let (mut references, mut names, parts) = self.parts(pair);
                Step::Bind(BindStep {
                    who: references.remove(0),
                    role: names.remove(0),
                    at: parts.at.map(|p| p.0),
                    on: parts.on.map(|p| p.0),
                    under: parts.under.map(|p| p.0).unwrap_or_default(),
                    until: parts.until.map(|p| p.0),
                    span,
                })
            }
            Rule::link_step => {
                let (mut references, _, parts) = self.parts(pair);
                Step::Link(LinkStep {
                    agent: references.remove(0),
                    target: references.remove(0),
                    under: parts.under.map(|p| p.0).unwrap_or_default(),
                    until: parts.until.map(|p| p.0),
                    span,
                })
            }
            Rule::attach_step => {
                let (mut references, mut names, _) = self.parts(pair);
                Step::Attach(names.remove(0), references.remove(0), span)
            }
            Rule::context_step => {
                let fields = pair.into_inner().nth(1).expect("grammar: a context step has entries");
                Step::Context(self.fields(fields), span)
            }
            Rule::for_step => self.for_step(pair, span),
            _ => Step::Assert(self.assertion(pair, span)),
        }
    }

    fn for_step(&mut self, pair: Pair<'a>, span: Span) -> Step {
        let mut names = self.names(pair.clone());
        let variable = names.remove(0);
        let body = pair.into_inner().next_back().expect("grammar: a `for` has a body");
        let steps = body.into_inner().map(|p| self.step(p)).collect();
        Step::For(variable, names, steps, span)
    }

    /// The references, names and parts of a step.
    fn parts(&mut self, pair: Pair<'a>) -> (Vec<EntityRef>, Vec<Name>, Parts) {
        let (mut references, mut names, mut parts) = (Vec::new(), Vec::new(), Parts::default());
        for child in pair.into_inner() {
            match child.as_rule() {
                Rule::reference => references.push(self.entity_ref(child)),
                Rule::name | Rule::head_name => names.push(self.name(&child)),
                _ => self.part(child, &mut parts),
            }
        }
        (references, names, parts)
    }

    fn part(&mut self, pair: Pair<'a>, parts: &mut Parts) {
        let at = self.span(&pair);
        let sort = pair.as_rule();
        if sort == Rule::fields {
            parts.fields = self.fields(pair);
            return;
        }
        if sort == Rule::under {
            let names = self.names(pair);
            return self.once(&mut parts.under, "under", at, names);
        }
        let Some(value) = pair.clone().into_inner().nth(1) else { return };
        match sort {
            Rule::place => {
                let value = self.entity_ref(value);
                self.once(&mut parts.at, "at", at, value);
            }
            Rule::on_one => {
                let value = self.entity_ref(value);
                self.once(&mut parts.on, "on", at, value);
            }
            Rule::until_clause => {
                let value = self.quoted(&value);
                self.once(&mut parts.until, "until", at, value);
            }
            Rule::with_fields => {
                let value = self.fields(value);
                self.once(&mut parts.with, "with", at, value);
            }
            Rule::by_rule => {
                let value = self.name(&value);
                self.once(&mut parts.by, "by", at, value);
            }
            Rule::ask_clause => {
                let value = self.name(&value);
                self.once(&mut parts.ask, "ask", at, value);
            }
            Rule::within => {
                for member in pair.into_inner().filter(|p| p.as_rule() == Rule::member) {
                    let member = self.member(member);
                    parts.within.push(member);
                }
            }
            _ => {}
        }
    }

    fn member(&mut self, pair: Pair<'a>) -> (EntityRef, Option<Quoted>) {
        let mut it = pair.into_inner();
        let reference = self.entity_ref(it.next().expect("grammar: a membership names its group"));
        let until = it.next().and_then(|p| p.into_inner().nth(1)).map(|p| self.quoted(&p));
        (reference, until)
    }

    fn entity_ref(&mut self, pair: Pair<'a>) -> EntityRef {
        let mut it = pair.into_inner();
        let name = self.name(&it.next().expect("grammar: a reference has a name"));
        match it.next() {
            Some(id) => EntityRef::Entity(name, self.quoted(&id)),
            None => EntityRef::Variable(name),
        }
    }

    fn fields(&mut self, pair: Pair<'a>) -> Vec<Field> {
        self.children(pair).map(|p| self.field(p)).collect()
    }

    fn field(&mut self, pair: Pair<'a>) -> Field {
        let mut it = self.children(pair);
        let name = self.name(&it.next().expect("grammar: a field has a name"));
        let value = it.next().expect("grammar: a field has a value");
        let value = if value.as_rule() == Rule::fields {
            let span = self.span(&value);
            FieldValue::Record(self.fields(value), span)
        } else {
            FieldValue::Expr(self.expr(value))
        };
        Field { name, value }
    }

    /// `KIND "id"` or `any KIND` with what is known of it.
    fn entity(&mut self, pair: Pair<'a>) -> EntityData {
        let span = self.span(&pair);
        let id = pair.clone().into_inner().find(|p| p.as_rule() == Rule::quoted).map(|p| self.quoted(&p));
        let (_, mut names, parts) = self.parts(pair);
        EntityData {
            kind: names.remove(0),
            id,
            at: parts.at.map(|p| p.0),
            within: parts.within,
            fields: parts.fields,
            span,
        }
    }

    fn asker(&mut self, pair: Pair<'a>) -> AccountData {
        let entity = self.entity(pair);
        match entity.id {
            Some(_) => AccountData::Entity(entity),
            None => AccountData::Variable(entity.kind, entity.fields),
        }
    }

    fn acted_on(&mut self, pair: Pair<'a>) -> ResourceData {
        let any = pair.clone().into_inner().next().is_some_and(|p| p.as_rule() == Rule::kw_any);
        let entity = self.entity(pair);
        if any || entity.id.is_some() || !entity.within.is_empty() {
            ResourceData::Entity(entity)
        } else {
            ResourceData::Variable(entity.kind, entity.fields)
        }
    }

    fn assertion(&mut self, pair: Pair<'a>, span: Span) -> Assert {
        let mut expected = (Effect::Allow, Span::default());
        let (mut account, mut resource, mut acting_for, mut key) = (None, None, None, None);
        let (mut action, mut properties, mut parts) = (None, Vec::new(), Parts::default());
        for child in pair.into_inner() {
            let at = self.span(&child);
            match child.as_rule() {
                Rule::effect => expected = self.effect(&child),
                Rule::asker => account = Some(self.asker(child)),
                Rule::acting_for => {
                    let (whom, ..) = self.parts(child);
                    self.once(&mut acting_for, "acting for", at, whom);
                }
                Rule::using_key => {
                    let data = self.key(child);
                    self.once(&mut key, "using key", at, data);
                }
                Rule::head_name => action = Some(self.name(&child)),
                Rule::fields => properties = self.fields(child),
                Rule::acted_on => resource = Some(self.acted_on(child)),
                _ => self.part(child, &mut parts),
            }
        }
        Assert {
            expected: expected.0,
            expected_span: expected.1,
            account: account.expect("grammar: an assertion has an account"),
            acting_for: acting_for.map(|a| a.0).unwrap_or_default(),
            key: key.map(|k| k.0),
            action: action.expect("grammar: an assertion has an action"),
            properties,
            resource: resource.expect("grammar: an assertion has a resource"),
            at: parts.at.map(|p| p.0),
            with: parts.with.map(|p| p.0).unwrap_or_default(),
            by: parts.by.map(|p| p.0),
            ask: parts.ask.map(|p| p.0),
            span,
        }
    }

    fn key(&mut self, pair: Pair<'a>) -> KeyData {
        let mut words = pair.clone().into_inner();
        let first = words.next().map(|p| self.span(&p)).unwrap_or_default();
        let second = words.next().map(|p| self.span(&p)).unwrap_or(first);
        let (_, _, parts) = self.parts(pair);
        KeyData {
            at: parts.at.map(|p| p.0),
            under: parts.under.map(|p| p.0).unwrap_or_default(),
            span: first.to(second),
        }
    }
}
