//! An organization's policy sets: upload, check, test, activate, roll back, compare.
//!
//! In:    files.
//! Out:   versions, of which one is active; diagnostics as `policyc check` gives them.
//! Law:   what is activated checks, passes its tests, finds every name it quotes in the live directory, takes the meaning
//!        from nothing stored, and leaves somebody who can activate another. Activation is one change; rolling back is
//!        activating an older version.

use super::reading::View;
use super::{Input, Op, op, set};
use crate::service::build::{Meaningless, Rows, Unmade};
use crate::service::change::{Change, Reply};
use crate::service::fields::{Field, Ty, may, must};
use crate::service::guard::{self, On};
use crate::service::memory::{OrgState, files_of};
use crate::service::object::{Fields, Kind};
use crate::service::prelude;
use crate::service::problem::Problem;
use crate::service::store::Read;
use crate::{Diagnostic, PolicySet, Reporter, Severity, Sources, TextFile};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

const FILES: Field = must("files", Ty::Files, "the files, each with `name` and `text`");

pub const OPS: &[Op] = &[
    op(
        "POST",
        "policy-sets",
        "",
        "Uploads a version of the organization's policies, if it checks",
        &[FILES, may("note", Ty::Text(1024), "what is new in it")],
        upload,
    ),
    op(
        "POST",
        "policy-sets",
        "{id}/activate",
        "Puts a version in force; rolling back is activating an older one",
        &[],
        activate,
    ),
];

/// What checking files gave.
pub struct Checked {
    /// Ready to be shown.
    pub diagnostics: Vec<Value>,
    /// Errors among them.
    pub errors: usize,
}

/// Checks files as `policyc check` does, together with ours.
pub fn check(files: &[TextFile], now: i64) -> Checked {
    let made = prelude::compile(files, now);
    let sources = Arc::clone(&made.compiled.sources);
    let mut diagnostics: Vec<Value> = made.compiled.diagnostics.iter().map(|d| shown(&sources, d)).collect();
    let errors = made.compiled.diagnostics.iter().filter(|d| d.severity() == Severity::Error).count();
    diagnostics
        .extend(made.unfit.iter().map(|text| json!({ "severity": "error", "message": text, "text": text })));
    let errors = errors + made.unfit.len();
    Checked { diagnostics, errors }
}

/// A diagnostic as the interface shows it; `text` is what `policyc check` prints.
fn shown(sources: &Sources, diagnostic: &Diagnostic) -> Value {
    let span = diagnostic.span();
    let at = sources.position(span.source, span.start);
    let severity = if diagnostic.severity() == Severity::Error { "error" } else { "warning" };
    json!({
        "code": diagnostic.code.as_str(), "severity": severity, "message": diagnostic.message,
        "file": sources.get(span.source).name, "line": at.line, "column": at.column, "help": diagnostic.help,
        "text": Reporter::new(sources, false).render(diagnostic, diagnostic.severity()),
    })
}

fn refused(title: &'static str, detail: impl Into<String>, name: &'static str, list: Vec<Value>) -> Problem {
    Problem { status: 422, name: "policy-set", title, detail: detail.into(), more: vec![(name, list.into())] }
}

fn upload(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let root = super::place(change, None)?;
    let permit = change.permit("upload", On::Scope("organization", &root.name))?;
    let mut body = Fields::new();
    set(&mut body, input, &["files", "note"]);
    let mut version = change.object(Kind::PolicySet, "", &root.name, body);
    version.name = format!("v{}", count(change)? + 1);
    version.body.insert("id".into(), version.name.as_str().into());
    let checked = check(&files_of(&version), change.at);
    if checked.errors > 0 {
        let detail = format!("{} errors: mend them and upload again", checked.errors);
        return Err(refused("the policy set doesn't check", detail, "diagnostics", checked.diagnostics));
    }
    let stored = change.put(&permit, version)?;
    let body = json!({ "id": stored.name, "uid": stored.uid, "diagnostics": checked.diagnostics, "files": files_of(&stored).len() });
    Ok(Reply::created(body))
}

/// How many versions there are.
fn count(change: &mut Change<'_>) -> Result<usize, Problem> {
    let org = change.org.clone();
    let mut found = 0;
    change.tx.each(&org, &[Kind::PolicySet], &mut |_| found += 1)?;
    Ok(found)
}

fn activate(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let version = change.find(Kind::PolicySet, &input.id)?;
    let mut root = super::place(change, None)?;
    let permit = change.permit("activate", On::Scope("organization", &root.name))?;
    let state = change.org()?;
    let prepared = prepare(change.tx, &state, &version.uid, change.at)?;
    root.refs.retain(|(label, _)| label != "active");
    root.refs.push(("active".into(), version.uid.clone()));
    root.body.insert("policy_set".into(), version.uid.as_str().into());
    change.put(&permit, root)?;
    Ok(Reply::ok(json!({
        "active": version.name, "uid": version.uid, "before": state.active, "warnings": prepared.warnings,
    })))
}

/// A version that could be activated.
struct Prepared {
    warnings: Vec<Value>,
}

/// Everything that activation asks of a version.
fn prepare(read: &mut dyn Read, state: &OrgState, version: &str, now: i64) -> Result<Prepared, Problem> {
    let stored = read.object(&state.uid, version)?.ok_or_else(Problem::absent)?;
    let files = files_of(&stored);
    let uncompiled = || Problem::conflict("it doesn't compile with this version of policyd: upload it again");
    let set = prelude::compiled(&files, now).ok_or_else(uncompiled)?;
    let (outcomes, failed) = tested(&set);
    if failed > 0 {
        return Err(refused("its tests fail", format!("{failed} tests fail"), "tests", outcomes));
    }
    let next = under(read, state, Arc::clone(&set), version, now)?;
    let names = set.check_names(&next.own.directory);
    let (unknown, warnings): (Vec<_>, Vec<_>) = names.iter().partition(|d| d.severity() == Severity::Error);
    if !unknown.is_empty() {
        let list = unknown.iter().map(|d| shown(set.sources(), d)).collect();
        return Err(refused(
            "it names what isn't there",
            "create it first, or mend the name",
            "diagnostics",
            list,
        ));
    }
    let lost = lost(read, state, &next)?;
    if !lost.is_empty() {
        let detail = "something stored would lose its meaning: remove it first, or keep what it names";
        return Err(refused("stored grants would lose their meaning", detail, "lost", lost));
    }
    if !somebody_could_undo(&next, now) {
        let detail = "under this set nobody could activate another: nothing was changed";
        return Err(refused("it would lock everyone out", detail, "lost", Vec::new()));
    }
    Ok(Prepared { warnings: warnings.iter().map(|d| shown(set.sources(), d)).collect() })
}

/// The organization as it would be under a version.
fn under(
    read: &mut dyn Read,
    state: &OrgState,
    set: Arc<PolicySet>,
    version: &str,
    now: i64,
) -> Result<OrgState, Problem> {
    let seen = AtomicU64::new(0);
    let mut rows = Rows::of(read, &state.uid, &seen);
    let made = OrgState::make(&mut rows, &state.id, set, Some(version.to_owned()), now);
    made.map_err(|unmade| match unmade {
        Unmade::Unread(error) => error.into(),
        Unmade::Contradiction(why) => Problem::conflict(why),
    })
}

fn tested(set: &PolicySet) -> (Vec<Value>, usize) {
    let outcomes = set.test(None).unwrap_or_default();
    let failed = outcomes.iter().filter(|o| !o.failures.is_empty()).count();
    let shown = outcomes.iter().map(|o| {
        let failures: Vec<_> = o.failures.iter().map(|f| f.message.as_str()).collect();
        json!({ "title": o.title, "checks": o.checks, "passed": o.failures.is_empty(), "failures": failures })
    });
    (shown.collect(), failed)
}

fn grant(m: &Meaningless) -> Value {
    json!({ "kind": m.kind.wire(), "uid": m.uid, "name": m.name, "why": m.why })
}

/// What means something now and wouldn't under the next set.
fn lost(read: &mut dyn Read, now: &OrgState, next: &OrgState) -> Result<Vec<Value>, Problem> {
    let before = |uid: &str| now.meaningless.iter().any(|m| m.uid == uid);
    let mut lost: Vec<Value> = next.meaningless.iter().filter(|m| !before(&m.uid)).map(grant).collect();
    let mut keys = Vec::new();
    read.each(&now.uid, &[Kind::Credential], &mut |key| keys.push(key))?;
    let names = &next.own.set.vocabulary().boundaries;
    for key in keys {
        let missing = key.texts("boundaries").into_iter().find(|b| !names.iter().any(|n| n == b));
        let why = match (missing, key.text("policy")) {
            (Some(boundary), _) => format!("the policy set has no boundary `{boundary}`"),
            (None, Some(text)) => match next.key_policy(text) {
                Ok(_) => continue,
                Err(_) if now.key_policy(text).is_err() => continue,
                Err(message) => message,
            },
            (None, None) => continue,
        };
        lost.push(json!({ "kind": "credential", "uid": key.uid, "name": key.name, "why": why }));
    }
    Ok(lost)
}

fn somebody_could_undo(next: &OrgState, now: i64) -> bool {
    let on = On::Scope("organization", &next.id);
    next.acting_accounts().any(|account| guard::could(next, &account, "activate", on, now))
}

/// Runs the tests of a version.
pub fn test(view: &mut View<'_>, id: &str) -> Result<Reply, Problem> {
    let stored = super::get(view, Kind::PolicySet, id)?;
    let set = prelude::compiled(&files_of(&stored), view.now);
    let set = set.ok_or_else(|| Problem::conflict("it doesn't compile with this version of policyd"))?;
    let (tests, failed) = tested(&set);
    Ok(Reply::ok(json!({ "tests": tests, "failed": failed })))
}

/// Which stored grants would gain or lose meaning, and what else would stop an activation.
pub fn diff(view: &mut View<'_>, id: &str) -> Result<Reply, Problem> {
    let stored = super::get(view, Kind::PolicySet, id)?;
    let set = prelude::compiled(&files_of(&stored), view.now);
    let set = set.ok_or_else(|| Problem::conflict("it doesn't compile with this version of policyd"))?;
    let next = under(view.read, view.org, set, &stored.uid, view.now)?;
    let after = |uid: &str| next.meaningless.iter().any(|m| m.uid == uid);
    let gained: Vec<Value> = view.org.meaningless.iter().filter(|m| !after(&m.uid)).map(grant).collect();
    let lost = lost(view.read, view.org, &next)?;
    let stops = prepare(view.read, view.org, &stored.uid, view.now).err();
    Ok(Reply::ok(json!({
        "gained": gained, "lost": lost, "would_activate": stops.is_none(),
        "why_not": stops.map(|p| p.title),
    })))
}
