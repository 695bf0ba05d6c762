//! Names in quotes that a directory must hold: `group "ci"`, `project "acme/web"`, `document "x"`.
//!
//! In:   the syntax trees of a checked set, and a directory. Tests are left out: they bring their own directory.
//! Out:  E0510 for an unknown account, group or scope; W0510 for a resource, which may only come with requests.

use crate::check::program::{Sort, Vocabulary};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::directory::Directory;
use crate::syntax::ast::{Declaration, Expr, ExprKind, File, Name, Quoted, Rule, What, Where, Who};
use crate::value::{Entity, KindId};
use smol_str::SmolStr;

/// Ids that a misspelt one is compared with.
const IDS_COMPARED_MAX: usize = 10_000;

/// Stands for the kind where a condition asks `has role`; the id is the name of the role then.
const ROLE_ASKED: &str = "has role";

/// Reports every quoted name that the directory doesn't hold, each at every place where it stands.
pub fn check(vocabulary: &Vocabulary, files: &[File], directory: &Directory) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    names(files, &mut |kind, id| found.extend(unknown(vocabulary, directory, kind, id)));
    found.sort_by_key(Diagnostic::span);
    found
}

/// Every kind and id that stands in quotes, sorted; roles that conditions ask for, too, under `has role`.
pub fn all(files: &[File]) -> Vec<(SmolStr, SmolStr)> {
    let mut found = Vec::new();
    names(files, &mut |kind, id| found.push((kind.text.clone(), id.text.clone())));
    found.sort();
    found.dedup();
    found
}

fn unknown(vocabulary: &Vocabulary, directory: &Directory, kind: &Name, id: &Quoted) -> Option<Diagnostic> {
    let kind_id = KindId(u16::try_from(vocabulary.kinds.iter().position(|k| k.name == kind.text)?).ok()?);
    let entity = Entity { kind: kind_id, id: id.text.clone() };
    let same_kind = |e: &Entity| e.kind == kind_id;
    let (held, code, near) = match vocabulary.kind(kind_id).sort {
        Sort::Group => {
            let ids = directory.groups.iter().map(|g| g.id.as_str());
            (directory.group(&id.text).is_some(), Code::E0510, nearest(&id.text, ids.take(IDS_COMPARED_MAX)))
        }
        Sort::Scope => {
            let ids =
                directory.scopes.iter().map(|s| &s.entity).filter(|e| same_kind(e)).map(|e| e.id.as_str());
            let held =
                directory.scope(&id.text).is_some_and(|s| same_kind(&directory.scopes[s.index()].entity));
            (held, Code::E0510, nearest(&id.text, ids.take(IDS_COMPARED_MAX)))
        }
        Sort::Account => {
            let ids =
                directory.accounts.iter().map(|a| &a.entity).filter(|e| same_kind(e)).map(|e| e.id.as_str());
            (directory.account(&entity).is_some(), Code::E0510, nearest(&id.text, ids.take(IDS_COMPARED_MAX)))
        }
        Sort::Resource => {
            let ids =
                directory.resources.iter().map(|r| &r.entity).filter(|e| same_kind(e)).map(|e| e.id.as_str());
            (
                directory.resource(&entity).is_some(),
                Code::W0510,
                nearest(&id.text, ids.take(IDS_COMPARED_MAX)),
            )
        }
        Sort::Role | Sort::Policy => return None,
    };
    if held {
        return None;
    }
    let message = format!("the directory holds no {} \"{}\"", kind.text, id.text);
    let diagnostic = Diagnostic::new(code, id.span, message, "named here");
    Some(match near {
        Some(near) => diagnostic.help(format!("did you mean \"{near}\"?")),
        None if code == Code::W0510 => diagnostic.help("this is fine if it only comes with requests"),
        None => diagnostic.help(format!("add it to the data, or mend the name; {} ids are exact", kind.text)),
    })
}

/// Calls `see` with every kind and quoted id in policies, roles, boundaries and conditions.
fn names(files: &[File], see: &mut impl FnMut(&Name, &Quoted)) {
    for declaration in files.iter().flat_map(|f| &f.declarations) {
        match declaration {
            Declaration::Block(block) => block.rules.iter().for_each(|rule| in_rule(rule, see)),
            Declaration::Condition(condition) => in_expr(&condition.body, see),
            _ => {}
        }
    }
}

fn in_rule(rule: &Rule, see: &mut impl FnMut(&Name, &Quoted)) {
    for who in rule.who.iter().flatten() {
        match who {
            Who::Kind(kind, Some(id)) | Who::KindIn(_, kind, id) => see(kind, id),
            Who::Kind(_, None) | Who::Anyone(_) => {}
        }
    }
    for what in &rule.what {
        match what {
            What::AnythingIn(_, kind, id) | What::Kind(kind, Some(id)) | What::KindIn(_, kind, id) => {
                see(kind, id)
            }
            What::Anything(_) | What::Kind(_, None) => {}
        }
    }
    for at in &rule.at {
        match at {
            Where::Kind(kind, Some(id)) | Where::KindIn(_, kind, id) => see(kind, id),
            Where::Kind(_, None) => {}
        }
    }
    rule.when.iter().chain(&rule.unless).for_each(|e| in_expr(e, see));
}

fn in_expr(expr: &Expr, see: &mut impl FnMut(&Name, &Quoted)) {
    match &expr.kind {
        ExprKind::Entity(kind, id) => see(kind, id),
        ExprKind::Set(items) | ExprKind::And(items) | ExprKind::Or(items) | ExprKind::Call(_, items) => {
            items.iter().for_each(|e| in_expr(e, see));
        }
        ExprKind::Not(e)
        | ExprKind::IsEmpty(e)
        | ExprKind::Matches(e, _)
        | ExprKind::Exists(e)
        | ExprKind::IsMissing(e)
        | ExprKind::IsKind(e, _, _) => in_expr(e, see),
        ExprKind::HasRole(e, role) => {
            let asked = Name { text: ROLE_ASKED.into(), span: role.span };
            see(&asked, &Quoted { text: role.text.clone(), span: role.span });
            in_expr(e, see);
        }
        ExprKind::Compare(_, _, a, b)
        | ExprKind::In(a, b)
        | ExprKind::Contains(_, a, b)
        | ExprKind::Quantifier(_, _, a, b)
        | ExprKind::Add(a, b)
        | ExprKind::Subtract(a, b) => [a, b].into_iter().for_each(|e| in_expr(e, see)),
        ExprKind::If(a, b, c) => [a, b, c].into_iter().for_each(|e| in_expr(e, see)),
        ExprKind::Bool(_)
        | ExprKind::Int(_)
        | ExprKind::Decimal(_)
        | ExprKind::Duration(_)
        | ExprKind::Text(_)
        | ExprKind::Path(..) => {}
    }
}
