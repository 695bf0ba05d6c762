//! The policies that every organization starts from, and what an organization's own set becomes with them.
//!
//! In:    an organization's files.
//! Out:   [`guard`], the shipped set alone, which guards the interface; [`compile`], the shipped files and the
//!        organization's as one set.
//! Law:   the interface asks both and does what both allow: an organization's set can narrow our rights, never widen
//!        them. A set may declare our account kinds itself, to add attributes; what we need of them must be there.

use crate::{Compiled, PolicySet, Sort, TextFile, Vocabulary};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

/// The shipped files by name; a set that declares one of the account kinds itself leaves ours out.
const FILES: [(&str, &str); 8] = [
    ("policyd/places.pol", include_str!("../../policies/policyd/places.pol")),
    ("policyd/user.pol", include_str!("../../policies/policyd/user.pol")),
    ("policyd/service_account.pol", include_str!("../../policies/policyd/service_account.pol")),
    ("policyd/agent.pol", include_str!("../../policies/policyd/agent.pol")),
    ("policyd/actions.pol", include_str!("../../policies/policyd/actions.pol")),
    ("policyd/roles.pol", include_str!("../../policies/policyd/roles.pol")),
    ("policyd/policies.pol", include_str!("../../policies/policyd/policies.pol")),
    ("policyd/boundaries.pol", include_str!("../../policies/policyd/boundaries.pol")),
];

/// Wire names of ours begin so.
pub const OURS: &str = "policyd/";

fn shipped(name: &str, text: &str) -> TextFile {
    TextFile { name: name.to_owned(), bytes: text.as_bytes().to_vec() }
}

/// The shipped set alone.
pub fn guard() -> Arc<PolicySet> {
    static GUARD: OnceLock<Arc<PolicySet>> = OnceLock::new();
    Arc::clone(GUARD.get_or_init(|| {
        let files = FILES.iter().map(|(name, text)| shipped(name, text)).collect();
        let set = PolicySet::compile_files(files, 0).set;
        Arc::new(set.expect("prelude: the shipped policies compile, a test sees to it"))
    }))
}

/// What compiling an organization's files gave.
pub struct Made {
    /// What the compiler says; the spans point into both our files and theirs.
    pub compiled: Compiled,
    /// What we miss in it; the set is of no use then.
    pub unfit: Vec<String>,
}

/// Compiles an organization's files together with ours.
pub fn compile(files: &[TextFile], now: i64) -> Made {
    let declares = |kind: &str| {
        let opens = |line: &str| {
            line.trim_start().strip_prefix("account").is_some_and(|rest| {
                rest.starts_with(char::is_whitespace)
                    && rest
                        .trim_start()
                        .strip_prefix(kind)
                        .is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
            })
        };
        files.iter().any(|f| String::from_utf8_lossy(&f.bytes).lines().any(opens))
    };
    let mut unfit = Vec::new();
    for file in files.iter().filter(|f| f.name.starts_with(OURS)) {
        unfit.push(format!(
            "the file name `{}` is reserved: names that begin with `{OURS}` are ours",
            file.name
        ));
    }
    let ours = FILES.iter().filter(|(name, _)| {
        let kind = name.trim_start_matches(OURS).trim_end_matches(".pol");
        // Only these may be declared anew; what else is called like one of our files has nothing to do with it.
        !(["user", "service_account", "agent"].contains(&kind) && declares(kind))
    });
    let mut all: Vec<TextFile> = ours.map(|(name, text)| shipped(name, text)).collect();
    all.extend(files.iter().cloned());
    let compiled = PolicySet::compile_files(all, now);
    if let Some(set) = &compiled.set {
        unfit.extend(missed(set.vocabulary()));
    }
    Made { compiled, unfit }
}

/// Sets kept compiled.
const KEPT_MAX: usize = 64;

/// The set of files that were checked before; sets with the same texts are one. `None` if they don't compile.
pub fn compiled(files: &[TextFile], now: i64) -> Option<Arc<PolicySet>> {
    static KEPT: OnceLock<Mutex<HashMap<[u8; 32], Arc<PolicySet>>>> = OnceLock::new();
    let mut digest = Sha256::new();
    for file in files {
        for part in [file.name.as_bytes(), &file.bytes] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    let key: [u8; 32] = digest.finalize().into();
    let kept = KEPT.get_or_init(Mutex::default);
    let held = || kept.lock().expect("prelude: nobody panics while holding compiled sets");
    if let Some(found) = held().get(&key) {
        return Some(Arc::clone(found));
    }
    let made = compile(files, now);
    if !made.unfit.is_empty() {
        return None;
    }
    let set = Arc::new(made.compiled.set?);
    let mut all = held();
    if all.len() >= KEPT_MAX {
        all.clear();
    }
    all.insert(key, Arc::clone(&set));
    Some(set)
}

/// What a vocabulary that declares our kinds itself doesn't have, and names of ours that it took.
fn missed(theirs: &Vocabulary) -> Vec<String> {
    let guard = guard();
    let ours = guard.vocabulary();
    let mut wrong = Vec::new();
    for kind in ours.kinds.iter().filter(|k| k.sort == Sort::Account) {
        let Some(found) = theirs.kinds.iter().find(|k| k.wire == kind.wire && k.name == kind.name) else {
            wrong.push(format!("`{}` is missing, or has another wire name", kind.wire));
            continue;
        };
        if found.sort != kind.sort || found.supplied {
            wrong.push(format!("`{}` must be an account kind that is not `supplied`", kind.wire));
        }
        let behind = |v: &Vocabulary, k: &crate::Kind| {
            let mut names: Vec<_> = k.acting_for.iter().map(|a| v.kind(*a).wire.clone()).collect();
            names.sort();
            names
        };
        if behind(theirs, found) != behind(ours, kind) {
            wrong.push(format!("`{}` must be acting for {}", kind.wire, behind(ours, kind).join(", ")));
        }
        for attribute in &kind.attributes {
            let name = ours.name(attribute.name);
            let same = found.attributes.iter().find(|a| theirs.name(a.name) == name);
            let fits = same.is_some_and(|a| {
                theirs.show_type(&a.ty) == ours.show_type(&attribute.ty)
                    && a.optional == attribute.optional
                    && a.provenance == attribute.provenance
            });
            if !fits {
                let ty = ours.show_type(&attribute.ty);
                wrong.push(format!("`{}` must have the attribute `{name}: {ty}` as ours has it", kind.wire));
            }
        }
    }
    let known = |wire: &str| ours.roles.iter().any(|r| r.wire == wire);
    for role in theirs.roles.iter().filter(|r| r.wire.starts_with(OURS) && !known(&r.wire)) {
        wrong.push(format!(
            "the role name `{}` is reserved: names that begin with `{OURS}` are ours",
            role.wire
        ));
    }
    for role in theirs.roles.iter().filter(|r| !r.wire.starts_with(OURS)) {
        let included = role.includes.iter().map(|id| &theirs.roles[id.0 as usize].wire);
        for ours in included.filter(|wire| wire.starts_with(OURS)) {
            wrong.push(format!("the role `{}` can't include `{ours}`: bind that role beside it", role.wire));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> Made {
        compile(&[shipped("own.pol", text)], 0)
    }

    #[test]
    fn our_set_compiles_alone_and_with_others() {
        assert!(guard().vocabulary().roles.iter().any(|r| r.wire == "policyd/owner"));
        let own = made(
            "resource server {}\naction read, write on server\nboundary read_only { allow read on anything }",
        );
        assert!(own.compiled.set.is_some() && own.unfit.is_empty(), "{:?}", own.compiled.diagnostics);
        let bad = made("resource server {}\naction read on servr");
        assert!(bad.compiled.set.is_none());
    }

    #[test]
    fn our_kinds_may_grow_and_not_change() {
        let grown = made("account user { mfa: Bool? supplied, department: String? }");
        assert!(grown.compiled.set.is_some() && grown.unfit.is_empty(), "{:?}", grown.compiled.diagnostics);
        let changed = made("account user supplied { mfa: Bool? }");
        assert_eq!(changed.unfit.len(), 2, "{:?}", changed.unfit);
        let taken = made("role boss \"policyd/boss\" { allow read on user }");
        assert_eq!(taken.unfit.len(), 1, "{:?}", taken.unfit);
    }
}
