//! Holds a typed request against vocabulary and directory: [`Asked`] to [`Question`].
//!
//! In:    [`Asked`], the vocabulary, the directory.
//! Out:   [`Question`], of which every part fits; values that the directory owns are left out and listed.
//! Law:   what a checked set reads without a guard is there: required attributes, parents, context, properties.

use super::{Asked, AskedCredential, Credential, KeyPolicy, Overlay, Question, RequestError, Subject};
use crate::check::program::{Attribute, Provenance, Sort, Target, Vocabulary};
use crate::diagnostic::nearest;
use crate::directory::{AccountIx, Directory, LinkTarget, ScopeIx};
use crate::limits::{CHAIN_ACCOUNTS_MAX, KEY_POLICY_BYTES_MAX};
use crate::value::{Entity, KindId, Value, check_string};
use std::fmt;
use std::sync::Arc;

/// Compiles a key's own policy text; the error is a text for people.
pub type CompileKeyPolicy<'a> = &'a dyn Fn(&str) -> Result<Arc<KeyPolicy>, String>;

type Fits<T> = Result<T, RequestError>;

fn refuse<T>(field: impl Into<String>, message: impl Into<String>) -> Fits<T> {
    Err(RequestError { field: field.into(), message: message.into() })
}

/// Holds a request against vocabulary and directory.
///
/// - Errors: [`RequestError`] for a request that doesn't fit; it is never an allow.
pub fn resolve(
    vocabulary: &Vocabulary,
    directory: &Directory,
    mut asked: Asked,
    key_policy: CompileKeyPolicy<'_>,
) -> Fits<Question> {
    let mut door = Door { vocabulary, directory, overlay: Vec::new(), ignored: Vec::new() };
    door.accounts(&asked)?;
    door.target(&asked)?;
    let action = vocabulary.action(asked.action);
    asked.properties.resize(action.properties.len(), None);
    door.complete(&action.properties, &asked.properties, "action.attributes", &action.wire)?;
    asked.context.resize(vocabulary.context.len(), None);
    door.complete(&vocabulary.context, &asked.context, "context", "the context")?;

    let resource =
        Subject { kind: asked.kind, entity: asked.id.clone().map(|id| Entity { kind: asked.kind, id }) };
    door.resource(&mut asked, &resource)?;
    let account_ix = directory.account(&asked.account.entity);
    door.account_values(&mut asked, account_ix, &resource)?;
    let scope = door.scope(&asked, &resource)?;
    door.chain(&asked)?;
    let credential = match asked.credential.take() {
        Some(credential) => Some(door.credential(credential, key_policy)?),
        None => None,
    };
    door.overlay.retain(|o| o.parent.is_some() || o.attributes.iter().any(Option::is_some));
    Ok(Question {
        account_ix,
        account: asked.account.entity,
        acting_for: asked.acting_for.into_iter().map(|a| a.entity).collect(),
        scope,
        action: asked.action,
        properties: asked.properties,
        resource,
        overlay: door.overlay,
        context: asked.context,
        credential,
        ignored: door.ignored,
    })
}

struct Door<'a> {
    vocabulary: &'a Vocabulary,
    directory: &'a Directory,
    overlay: Vec<Overlay>,
    ignored: Vec<String>,
}

/// A field of the request that names an entity; written when it is told of.
#[derive(Clone, Copy)]
enum Field {
    Resource,
    /// `account` for the one who asks; for the n-th behind it `acting_for`, `acting_for.acting_for`, …
    Account(usize),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Resource => f.write_str("resource"),
            Field::Account(0) => f.write_str("account"),
            Field::Account(n) => f.write_str(&vec!["acting_for"; *n].join(".")),
        }
    }
}

impl Door<'_> {
    fn wire(&self, kind: KindId) -> &str {
        &self.vocabulary.kind(kind).wire
    }

    fn named(&self, entity: &Entity) -> String {
        format!("{} `{}`", self.wire(entity.kind), entity.id)
    }

    fn accounts(&self, asked: &Asked) -> Fits<()> {
        for (n, account) in std::iter::once(&asked.account).chain(&asked.acting_for).enumerate() {
            let field = Field::Account(n);
            let declared = self.vocabulary.kind(account.entity.kind);
            if declared.sort != Sort::Account {
                return refuse(
                    format!("{field}.kind"),
                    format!("`{}` is not an account kind", declared.wire),
                );
            }
            check_id(format_args!("{field}.id"), &account.entity.id)?;
        }
        Ok(())
    }

    /// The action applies to the resource, in this form.
    fn target(&self, asked: &Asked) -> Fits<()> {
        let action = self.vocabulary.action(asked.action);
        let (kind, any) = (asked.kind, asked.id.is_none());
        if let Some(id) = &asked.id {
            check_id(format_args!("resource.id"), id)?;
        }
        let on_kind: Vec<&Target> = action.targets.iter().filter(|t| t.kind == kind).collect();
        if on_kind.iter().any(|t| t.any == any) {
            return Ok(());
        }
        let wire = self.wire(kind);
        if on_kind.is_empty() {
            let mut listed: Vec<String> =
                action.targets.iter().map(|t| format!("`{}`", self.wire(t.kind))).collect();
            listed.dedup();
            let message =
                format!("`{}` does not apply to `{wire}`; it applies to {}", action.wire, listed.join(", "));
            return refuse("resource.kind", message);
        }
        let message = if any {
            format!("the id is missing: `{}` is asked of one `{wire}`", action.wire)
        } else {
            format!("`{}` is asked of `{wire}` at a place, not of one: leave the id out", action.wire)
        };
        refuse("resource.id", message)
    }

    fn complete(&self, declared: &[Attribute], values: &[Option<Value>], field: &str, of: &str) -> Fits<()> {
        match declared.iter().zip(values).find(|(a, v)| !a.optional && v.is_none()) {
            None => Ok(()),
            Some((attribute, _)) => {
                let name = self.vocabulary.name(attribute.name);
                let ty = self.vocabulary.show_type(&attribute.ty);
                refuse(format!("{field}.{name}"), format!("missing: {of} requires it, of type {ty}"))
            }
        }
    }

    /// Keeps the values of an entity that count; `held` by the directory or not; `must` that nothing required is missing.
    fn keep(
        &mut self,
        entity: &Entity,
        held: bool,
        mut values: Vec<Option<Value>>,
        parent: Option<Entity>,
        field: Field,
        must: bool,
    ) -> Fits<()> {
        let declared = self.vocabulary.kind(entity.kind);
        values.resize(declared.attributes.len(), None);
        for (attribute, value) in declared.attributes.iter().zip(&mut values) {
            let counts = match attribute.provenance {
                Provenance::Supplied => true,
                Provenance::Stored => false,
                Provenance::Usual => !held && declared.sort != Sort::Account,
            };
            if !counts && value.take().is_some() {
                self.ignored.push(format!("{field}.attributes.{}", self.vocabulary.name(attribute.name)));
            }
        }
        let before = self.overlay.iter_mut().find(|o| o.entity.as_ref() == Some(entity));
        if let Some(before) = before {
            for (n, value) in values.iter_mut().enumerate() {
                match (&before.attributes[n], value.as_ref()) {
                    (Some(a), Some(b)) if a != b => {
                        let name = self.vocabulary.name(declared.attributes[n].name);
                        let message = "the same entity has another value for this elsewhere in the request";
                        return refuse(format!("{field}.attributes.{name}"), message);
                    }
                    (None, Some(_)) => before.attributes[n] = value.take(),
                    _ => {}
                }
            }
        } else {
            self.overlay.push(Overlay {
                entity: Some(entity.clone()),
                kind: entity.kind,
                attributes: values,
                parent,
            });
        }
        if held || !must {
            return Ok(());
        }
        let kept = self.overlay.iter().find(|o| o.entity.as_ref() == Some(entity));
        let kept = kept.map_or(&[][..], |o| &o.attributes);
        let missing = declared.attributes.iter().zip(kept).find(|(a, v)| !a.optional && v.is_none());
        let Some((attribute, _)) = missing else { return Ok(()) };
        let name = self.vocabulary.name(attribute.name);
        let what = self.named(entity);
        let may_supply = match attribute.provenance {
            Provenance::Supplied => true,
            Provenance::Stored => false,
            Provenance::Usual => declared.sort != Sort::Account,
        };
        let message = if may_supply {
            let ty = self.vocabulary.show_type(&attribute.ty);
            format!("missing: {what} is not in the directory, so the request must give it, of type {ty}")
        } else {
            format!("only the directory can say this, and it does not hold {what}")
        };
        refuse(format!("{field}.attributes.{name}"), message)
    }

    fn resource(&mut self, asked: &mut Asked, resource: &Subject) -> Fits<()> {
        let values = std::mem::take(&mut asked.attributes);
        let declared = self.vocabulary.kind(resource.kind);
        let parent = asked.parent.clone();
        if let Some(parent) = &parent {
            check_id(format_args!("resource.in.id"), &parent.id)?;
            if !declared.parents.contains(&parent.kind) {
                let listed =
                    declared.parents.iter().map(|k| format!("`{}`", self.wire(*k))).collect::<Vec<_>>();
                let sits = if listed.is_empty() {
                    "sits in nothing".into()
                } else {
                    format!("sits in {}", listed.join(" or "))
                };
                let message =
                    format!("`{}` cannot sit in a `{}`: it {sits}", declared.wire, self.wire(parent.kind));
                return refuse("resource.in", message);
            }
        }
        let Some(entity) = &resource.entity else {
            let mut attributes = values;
            attributes.resize(declared.attributes.len(), None);
            self.overlay.push(Overlay { entity: None, kind: resource.kind, attributes, parent });
            return Ok(());
        };
        let held = self.directory.holds(self.vocabulary, entity);
        if held {
            if asked.parent.take().is_some() {
                self.ignored.push("resource.in".to_owned());
            }
        } else if declared.sort == Sort::Scope {
            return self.unknown_scope("resource.id", &entity.id);
        } else if parent.is_none() && !declared.parents.is_empty() && !declared.parent_optional {
            let listed = declared.parents.iter().map(|k| format!("`{}`", self.wire(*k))).collect::<Vec<_>>();
            let message = format!(
                "missing: {} is not in the directory, so the request must say in which {} it sits",
                self.named(entity),
                listed.join(" or ")
            );
            return refuse("resource.in", message);
        } else if parent.as_ref() == Some(entity) {
            return refuse("resource.in", "a thing does not sit in itself");
        }
        let parent = if held { None } else { parent };
        self.keep(entity, held && declared.sort != Sort::Role, values, parent, Field::Resource, true)
    }

    fn account_values(
        &mut self,
        asked: &mut Asked,
        account_ix: Option<AccountIx>,
        resource: &Subject,
    ) -> Fits<()> {
        let accounts = std::iter::once(&mut asked.account).chain(asked.acting_for.iter_mut());
        for (n, account) in accounts.enumerate() {
            let values = std::mem::take(&mut account.attributes);
            // Somebody unknown who must be known is denied, whatever the request says of him.
            let must = self.vocabulary.kind(account.entity.kind).supplied
                || resource.entity.as_ref() == Some(&account.entity);
            let entity = account.entity.clone();
            let held = match n {
                0 => account_ix.is_some(),
                _ => self.directory.account(&entity).is_some(),
            };
            self.keep(&entity, held, values, None, Field::Account(n), must)?;
        }
        Ok(())
    }

    fn unknown_scope<T>(&self, field: &str, path: &str) -> Fits<T> {
        let known = self.directory.scopes.iter().take(20_000).map(|s| s.entity.id.as_str());
        let near = nearest(path, known).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        refuse(field, format!("no scope `{path}`{near}"))
    }

    fn scope(&self, asked: &Asked, resource: &Subject) -> Fits<Option<ScopeIx>> {
        if !self.vocabulary.has_scopes() {
            return match asked.scope {
                Some(_) => refuse("scope", "this policy set declares no scopes: leave it out"),
                None => Ok(None),
            };
        }
        let given = match &asked.scope {
            None => None,
            Some(path) => match self.directory.scope(path) {
                Some(ix) => Some(ix),
                None => return self.unknown_scope("scope", path),
            },
        };
        let path = |ix: ScopeIx| self.directory.scopes[ix.index()].entity.id.as_str();
        if let Some(own) = resource.entity.as_ref().and_then(|e| place(self.vocabulary, self.directory, e)) {
            return match given {
                Some(given) if given != own => {
                    let what = resource.entity.as_ref().map(|e| self.named(e)).unwrap_or_default();
                    let message = format!(
                        "{what} stands at `{}`, not at `{}`: leave the scope out",
                        path(own),
                        path(given)
                    );
                    refuse("scope", message)
                }
                _ => Ok(Some(own)),
            };
        }
        let above =
            asked.parent.as_ref().and_then(|p| place(self.vocabulary, self.directory, p).map(|at| (p, at)));
        match (given, above) {
            (Some(given), Some((parent, at))) if !self.directory.scope_covers(at, given) => {
                let message = format!(
                    "`{}` is not at or below `{}`, where {} stands",
                    path(given),
                    path(at),
                    self.named(parent)
                );
                refuse("scope", message)
            }
            (Some(given), _) => Ok(Some(given)),
            (None, Some((_, at))) => Ok(Some(at)),
            (None, None) => {
                refuse("scope", "missing: the path of the scope where this is asked, such as `acme/web`")
            }
        }
    }

    /// The request names as many accounts as the chain needs, where the links leave a choice.
    fn chain(&self, asked: &Asked) -> Fits<()> {
        let Some(Value::Time(now)) = asked.context.first().cloned().flatten() else {
            return refuse("context.now", "missing");
        };
        let mut named = asked.acting_for.iter().map(|a| &a.entity);
        let mut behind = 0;
        let mut chain: Vec<&Entity> = vec![&asked.account.entity];
        loop {
            let at = chain[chain.len() - 1];
            if self.vocabulary.kind(at.kind).acting_for.is_empty() {
                return match named.next() {
                    None => Ok(()),
                    Some(_) => refuse(
                        Field::Account(behind + 1).to_string(),
                        format!(
                            "an account of kind `{}` acts for nobody: leave this out",
                            self.wire(at.kind)
                        ),
                    ),
                };
            }
            let next = match named.next() {
                Some(entity) => {
                    behind += 1;
                    Some(entity)
                }
                None => self.only_link(at, now, behind)?,
            };
            match next {
                Some(next) if !chain.contains(&next) && chain.len() < CHAIN_ACCOUNTS_MAX => chain.push(next),
                _ => return Ok(()),
            }
        }
    }

    /// For whom an account acts when nobody is named.
    fn only_link(&self, agent: &Entity, now: i64, behind: usize) -> Fits<Option<&Entity>> {
        let Some(ix) = self.directory.account(agent) else { return Ok(None) };
        let live = || self.directory.accounts[ix.index()].links().iter().filter(|l| now < l.until);
        let mut targets = live().map(|l| &l.target);
        match (targets.next(), targets.next()) {
            (None, _) => Ok(None),
            (Some(LinkTarget::Account(one)), None) => Ok(Some(&self.directory.accounts[one.index()].entity)),
            _ => {
                let choices = live().take(4).map(|l| match &l.target {
                    LinkTarget::Account(a) => self.named(&self.directory.accounts[a.index()].entity),
                    LinkTarget::Group(g) => {
                        format!("a member of group `{}`", self.directory.groups[g.index()].id)
                    }
                });
                let choices = choices.collect::<Vec<_>>().join(", ");
                let message =
                    format!("missing: {} may act for several, name one: {choices}", self.named(agent));
                refuse(Field::Account(behind + 1).to_string(), message)
            }
        }
    }

    fn credential(&self, asked: AskedCredential, key_policy: CompileKeyPolicy<'_>) -> Fits<Credential> {
        let scope = match &asked.scope {
            None => None,
            Some(_) if !self.vocabulary.has_scopes() => {
                return refuse("credential.scope", "this policy set declares no scopes: leave it out");
            }
            Some(path) => match self.directory.scope(path) {
                Some(ix) => Some(ix),
                None => return self.unknown_scope("credential.scope", path),
            },
        };
        let policy = match &asked.policy {
            None => None,
            Some(text) if text.len() > KEY_POLICY_BYTES_MAX => {
                let message =
                    format!("the text has {} bytes; at most {KEY_POLICY_BYTES_MAX} are allowed", text.len());
                return refuse("credential.policy", message);
            }
            Some(text) => match key_policy(text) {
                Ok(policy) => Some(policy),
                Err(message) => return refuse("credential.policy", message),
            },
        };
        Ok(Credential { scope, boundaries: asked.boundaries, policy })
    }
}

/// Where the directory places an entity.
pub(super) fn place(vocabulary: &Vocabulary, d: &Directory, entity: &Entity) -> Option<ScopeIx> {
    match vocabulary.kind(entity.kind).sort {
        Sort::Scope => d.scope_of(entity),
        Sort::Resource => d.resources[d.resource(entity)?.index()].scope,
        Sort::Account => d.accounts[d.account(entity)?.index()].home,
        Sort::Group => d.groups[d.group(&entity.id)?.index()].scope,
        Sort::Role | Sort::Policy => None,
    }
}

fn check_id(field: fmt::Arguments<'_>, id: &str) -> Fits<()> {
    if id.is_empty() {
        return refuse(field.to_string(), "an id is never empty");
    }
    check_string(id).or_else(|message| refuse(field.to_string(), message))
}
