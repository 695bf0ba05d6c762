//! An assertion of a test, made a question with the answer expected.
//!
//! In:    the assertion and what the steps before it have said.
//! Out:   [`Case`]; or what doesn't fit, told at its place.

use super::hold::{Acted, LeftOut, Placed};
use super::stage::{ANY, Case, Expected, NOW, Stage, overwrite};
use super::{STEPS, reads};
use crate::check::program::{Attribute, Provenance, Sort};
use crate::diagnostic::{Code, Diagnostic};
use crate::directory::Directory;
use crate::request::{Asked, AskedCredential, AskedEntity, RequestError, resolve};
use crate::syntax::ast::{AccountData, Assert, EntityData, EntityRef, Field, Name, ResourceData};
use crate::value::{ActionId, Entity, KindId, Value};
use smol_str::SmolStr;

/// What an assertion says of account and resource, resolved.
struct Said {
    account: AskedEntity,
    kind: KindId,
    acted_on: Option<Entity>,
    attributes: Vec<Option<Value>>,
    parent: Option<Entity>,
}

impl Placed for Said {
    fn places(&self) -> impl Iterator<Item = &Entity> {
        self.acted_on.iter().chain(&self.parent)
    }
}

impl Stage<'_> {
    pub(super) fn assertion(&mut self, a: &Assert) -> Option<Case> {
        let before = self.out.len();
        let action = self.action(&a.action);
        let properties = action.map(|id| {
            let action = self.program.vocabulary.action(id);
            self.fields(&a.properties, &action.properties, &format!("the action `{}`", action.name))
        });
        let account = self.account(&a.account);
        let chain: Option<Vec<Entity>> = a
            .acting_for
            .iter()
            .map(|r| {
                let (entity, span) = self.refer(r, &[Sort::Account], "an account")?;
                self.hold(&entity, span)?;
                Some(entity)
            })
            .collect();
        let key_at = a.key.as_ref().and_then(|k| k.at.as_ref()).and_then(|at| self.scope(at));
        let key_under = a.key.as_ref().and_then(|k| self.boundaries(&k.under));
        let mut scope = a.at.as_ref().and_then(|at| self.scope(at));
        let resource = self.resource(&a.resource, &mut scope);
        let with = self.fields(&a.with, &self.program.vocabulary.context, "the context");
        self.expected_names(a);
        let (action, account, chain, resource) = (action?, account?, chain?, resource?);
        if self.out.len() > before {
            return None;
        }
        let mut context = self.held.context.clone();
        overwrite(&mut context, with);
        if let Some(now) = context.first_mut() {
            now.get_or_insert(Value::Time(NOW));
        }
        let said = Said { account, ..resource };
        let said = self.asked_of_the_kind(a, action, said);
        let root = self.root(scope.as_deref(), &said);
        let credential = a.key.as_ref().map(|_| AskedCredential {
            scope: key_at.or_else(|| root.clone()),
            boundaries: key_under.unwrap_or_default(),
            policy: None,
        });
        let acted = Acted { entity: said.acted_on.clone(), at: scope.clone() };
        let (directory, mut left_out) = self.directory(root.as_deref(), &acted)?;
        let mut asked = Asked {
            account: said.account,
            acting_for: chain
                .into_iter()
                .map(|entity| AskedEntity { entity, attributes: Vec::new() })
                .collect(),
            scope,
            action,
            properties: properties?,
            kind: said.kind,
            id: said.acted_on.map(|e| e.id),
            attributes: said.attributes,
            parent: said.parent,
            context,
            credential,
        };
        self.fill(&mut asked, &directory, &mut left_out);
        self.case(a, asked, directory, &left_out)
    }

    /// Where a `for` chose an action that is only asked of the kind at a place, a resource that comes with the
    /// request stands for its kind: `for v in [create, update] { deny bot to v on deployment "x" at prod }`.
    fn asked_of_the_kind(&self, a: &Assert, action: ActionId, mut said: Said) -> Said {
        let by_for = self.actions.iter().any(|(v, _)| *v == a.action.text);
        let held = said.acted_on.as_ref().is_some_and(|e| self.held.resources.contains_key(e));
        let targets = &self.program.vocabulary.action(action).targets;
        let mut on_kind = targets.iter().filter(|t| t.kind == said.kind).peekable();
        if by_for && !held && on_kind.peek().is_some() && on_kind.all(|t| t.any) {
            said.acted_on = None;
        }
        said
    }

    /// Resolves what is asked and adds what is expected.
    fn case(&mut self, a: &Assert, asked: Asked, directory: Directory, left_out: &[LeftOut]) -> Option<Case> {
        let action = asked.action;
        let no_texts = |_: &str| Err("a test has no key texts".to_owned());
        let question = match resolve(&self.program.vocabulary, &directory, asked, &no_texts) {
            Ok(question) => question,
            Err(error) => {
                self.refused(a, &error);
                return None;
            }
        };
        for d in reads::left_out(self.program, &self.held, &question, &directory, left_out, a.span) {
            // The same lack is told once, at the first assertion that meets it.
            if !self.out.iter().any(|o| o.code == d.code && o.message == d.message) {
                self.out.push(d);
            }
        }
        let expected = Expected {
            effect: a.expected,
            by: a.by.as_ref().map(|n| n.text.clone()),
            ask: a.ask.as_ref().map(|n| n.text.clone()),
        };
        let by_for = self.actions.iter().any(|(v, _)| *v == a.action.text);
        let for_action = by_for.then(|| self.program.vocabulary.action(action).name.clone());
        Some(Case { span: a.span, directory, question, expected, for_action })
    }

    fn action(&mut self, name: &Name) -> Option<ActionId> {
        let meant = self.actions.iter().rev().find(|(v, _)| *v == name.text).map(|(_, a)| a.clone());
        let name = &meant.unwrap_or_else(|| name.clone());
        let vocabulary = &self.program.vocabulary;
        if let Some(n) = vocabulary.actions.iter().position(|a| a.name == name.text) {
            return Some(ActionId(n as u16));
        }
        if let Some(members) = vocabulary.action_groups.get(&name.text) {
            let listed =
                members.iter().map(|a| vocabulary.action(*a).name.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("`{}` is a group of actions; a request is for one", name.text);
            let help = format!("ask for each: `for v in [{listed}] {{ … }}`");
            self.out.push(Diagnostic::new(Code::E0104, name.span, message, "a group of actions").help(help));
            return None;
        }
        let message = format!("unknown action `{}`", name.text);
        let d = Diagnostic::new(Code::E0102, name.span, message, "no action has this name");
        self.near(d, name, vocabulary.actions.iter().map(|a| a.name.as_str()));
        None
    }

    fn account(&mut self, data: &AccountData) -> Option<AskedEntity> {
        let (entity, attributes) = match data {
            AccountData::Variable(name, fields) => {
                let entity =
                    self.refer(&EntityRef::Variable(name.clone()), &[Sort::Account], "an account")?.0;
                let attributes = self.supplied(&entity, fields)?;
                (entity, attributes)
            }
            AccountData::Entity(data) => {
                let Some(id) = &data.id else {
                    self.tell(Code::E0401, data.span, "who asks is one account: its id is missing", "here");
                    return None;
                };
                self.kind(&data.kind, &[Sort::Account], "an account kind")?;
                let entity = self.entity(&data.kind, id)?;
                (entity.clone(), self.inline(&entity, data)?)
            }
        };
        Some(AskedEntity { entity, attributes })
    }

    /// Something written out in an assertion: what the test declared gets supplied values; else it is held for this.
    fn inline(&mut self, entity: &Entity, data: &EntityData) -> Option<Vec<Option<Value>>> {
        let sort = self.program.vocabulary.kind(entity.kind).sort;
        let declared = self.held.table(sort).and_then(|t| t.get(entity)).is_some_and(|t| t.declared);
        if declared {
            return self.supplied(entity, &data.fields);
        }
        self.declare(entity, data)?;
        Some(Vec::new())
    }

    /// Values that a request may supply of what the directory holds.
    fn supplied(&mut self, entity: &Entity, fields: &[Field]) -> Option<Vec<Option<Value>>> {
        let kind = self.program.vocabulary.kind(entity.kind);
        let values = self.fields(fields, &kind.attributes, &format!("`{}`", kind.name));
        let name = |a: &Attribute| self.program.vocabulary.name(a.name);
        let owned = fields.iter().find(|f| {
            let declared = kind.attributes.iter().find(|a| name(a) == f.name.text);
            declared.is_some_and(|a| a.provenance != Provenance::Supplied)
        });
        if let Some(field) = owned {
            let message =
                format!("a request cannot supply `{}` of what the directory holds", field.name.text);
            let help = "write it where the test declares this, in its `let`";
            self.out
                .push(Diagnostic::new(Code::E0401, field.name.span, message, "not `supplied`").help(help));
            return None;
        }
        Some(values)
    }

    /// What is acted on; the account in the answer is a dummy that the caller replaces.
    fn resource(&mut self, data: &ResourceData, scope: &mut Option<SmolStr>) -> Option<Said> {
        let dummy =
            || AskedEntity { entity: Entity { kind: KindId::GROUP, id: "?".into() }, attributes: Vec::new() };
        let said = |entity: Entity, attributes, parent| Said {
            account: dummy(),
            kind: entity.kind,
            acted_on: Some(entity),
            attributes,
            parent,
        };
        let data = match data {
            ResourceData::Variable(name, fields) => {
                let entity = self.variable(name)?;
                let attributes = self.supplied(&entity, fields)?;
                return Some(said(entity, attributes, None));
            }
            ResourceData::Entity(data) => data,
        };
        let kind_id = self.kind(&data.kind, ANY, "a kind")?;
        let kind = self.program.vocabulary.kind(kind_id);
        let of = format!("`{}`", kind.name);
        if let (Some(at), Sort::Resource, None) = (&data.at, kind.sort, &scope) {
            *scope = Some(self.scope(at)?);
        }
        let Some(id) = &data.id else {
            let attributes = self.fields(&data.fields, &kind.attributes, &of);
            let parent = self.within(kind_id, &data.within, false)?.0;
            return Some(Said { account: dummy(), kind: kind_id, acted_on: None, attributes, parent });
        };
        let entity = self.entity(&data.kind, id)?;
        let held = self.held.resources.contains_key(&entity);
        if kind.sort == Sort::Resource && !held {
            let attributes = self.fields(&data.fields, &kind.attributes, &of);
            self.no_stored(data, kind_id)?;
            let parent = self.within(kind_id, &data.within, false)?.0;
            return Some(said(entity, attributes, parent));
        }
        if matches!(kind.sort, Sort::Role | Sort::Policy) {
            return Some(said(entity, Vec::new(), None));
        }
        let attributes = self.inline(&entity, data)?;
        Some(said(entity, attributes, None))
    }

    /// A resource that comes with the request says nothing that only the directory can say.
    fn no_stored(&mut self, data: &EntityData, kind: KindId) -> Option<()> {
        let vocabulary = &self.program.vocabulary;
        let attributes = &vocabulary.kind(kind).attributes;
        let stored = data.fields.iter().find(|f| {
            let declared = attributes.iter().find(|a| vocabulary.name(a.name) == f.name.text);
            declared.is_some_and(|a| a.provenance == Provenance::Stored)
        });
        let Some(field) = stored else { return Some(()) };
        let message = format!("only the directory can say `{}`, which is `stored`", field.name.text);
        let help = format!("let the test's directory hold it: `let x = {} …`", data.kind.text);
        self.out.push(Diagnostic::new(Code::E0401, field.name.span, message, "here").help(help));
        None
    }

    fn expected_names(&mut self, a: &Assert) {
        let program = self.program;
        let blocks = || program.policies.iter().chain(&program.roles).chain(&program.boundaries);
        if let Some(by) = &a.by {
            let known = STEPS
                .into_iter()
                .chain(program.rules.iter().filter_map(|r| r.name.as_deref()))
                .chain(blocks().map(|b| b.name.as_str()));
            if !known.clone().any(|k| k == by.text) {
                let message = format!("unknown rule `{}`", by.text);
                let label = "no rule, policy, role or boundary has this name";
                self.near(Diagnostic::new(Code::E0102, by.span, message, label), by, known);
            }
        }
        if let Some(ask) = &a.ask {
            let known = || program.rules.iter().filter_map(|r| r.ask.as_deref());
            if !known().any(|k| k == ask.text) {
                let message = format!("no rule asks for `{}`", ask.text);
                self.near(
                    Diagnostic::new(Code::E0102, ask.span, message, "no `ask` has this name"),
                    ask,
                    known(),
                );
            }
        }
    }

    /// Tells why a request is refused, at the part of the assertion that it is about.
    fn refused(&mut self, a: &Assert, error: &RequestError) {
        let account = match &a.account {
            AccountData::Variable(name, _) => name.span,
            AccountData::Entity(data) => data.span,
        };
        let resource = match &a.resource {
            ResourceData::Variable(name, _) => name.span,
            ResourceData::Entity(data) => data.span,
        };
        let first = error.field.split('.').next().unwrap_or_default();
        let span = match first {
            "account" => account,
            "resource" => resource,
            "action" => a.action.span,
            "credential" => a.key.as_ref().map_or(a.span, |k| k.span),
            _ => a.span,
        };
        let misapplied =
            error.field == "resource.kind" || error.field == "resource.id" && first == "resource";
        let code = if misapplied { Code::E0105 } else { Code::E0401 };
        let message = match error.message.strip_prefix("missing: ") {
            Some(rest) => format!("`{}` is missing: {rest}", error.field),
            None => error.message.clone(),
        };
        let diagnostic = match error.field.as_str() {
            _ if misapplied => Diagnostic::new(code, span, message, "this action is not for it"),
            "scope" if a.at.is_none() => {
                Diagnostic::new(code, span, message, "no place is named").help("end it with `at …`")
            }
            field => Diagnostic::new(code, span, message, format!("`{field}`")),
        };
        self.out.push(diagnostic);
    }
}
