//! All that a state says, in lines that can be compared: however it came to be, the same content has the same lines.
//!
//! In:    an [`OrgState`].
//! Out:   sorted lines, names in place of numbers.
//! Law:   for tests, and for the comparison of changes with what is built anew; no decision reads it.

use super::memory::{OrgState, Side};
use crate::{Binding, Directory, LinkTarget, Place, ScopeIx};
use std::fmt::Debug;

impl OrgState {
    /// Every line.
    pub fn content(&self) -> Vec<String> {
        let mut lines =
            vec![format!("{} {} {} {:?} {}", self.uid, self.id, self.revision, self.active, self.whole)];
        for (name, side) in [("guard", &self.guard), ("own", &self.own)] {
            lines.extend(side.content().into_iter().map(|line| format!("{name} {line}")));
        }
        let own = &self.own.directory;
        lines.extend(self.accounts.iter().map(|(at, standing)| {
            format!(
                "account {} is {:?}, ends {}, off {}",
                standing.uid().show(),
                own.accounts[at.index()].entity,
                standing.ends,
                standing.off
            )
        }));
        lines.extend(self.acting_accounts().map(|facts| format!("acts {facts:?}")));
        lines.extend(self.meaningless.iter().map(|m| format!("{m:?}")));
        lines.extend(self.gone.iter().map(|g| format!("gone {g:?}")));
        lines.extend(self.named.iter().map(|n| format!("named {n:?}")));
        lines.sort();
        lines
    }
}

fn sorted<T: Debug>(all: impl Iterator<Item = T>) -> String {
    let mut all: Vec<String> = all.map(|one| format!("{one:?}")).collect();
    all.sort();
    all.join(", ")
}

impl Side {
    fn content(&self) -> Vec<String> {
        let d = &self.directory;
        let scopes = d.scopes.iter().map(|s| {
            let above: Vec<_> = s.ancestors.iter().map(|a| path(d, Some(*a))).collect();
            format!(
                "scope {:?} {:?} in {above:?} under {}",
                s.entity,
                s.attributes,
                sorted(s.boundaries.iter())
            )
        });
        let groups = d.groups.iter().map(|g| {
            let within = sorted(g.within.iter().map(|(ix, until)| (&d.groups[ix.index()].id, until)));
            format!(
                "group {} at {} {:?} in {within} holds {}",
                g.id,
                path(d, g.scope),
                g.attributes,
                bindings(d, g.bindings.iter())
            )
        });
        let accounts = d.accounts.iter().map(|a| {
            let within = sorted(a.groups().map(|(ix, until)| (&d.groups[ix.index()].id, until)));
            let links = sorted(a.links().iter().map(|l| {
                let target = match l.target {
                    LinkTarget::Account(ix) => format!("{:?}", d.accounts[ix.index()].entity),
                    LinkTarget::Group(ix) => format!("group {}", d.groups[ix.index()].id),
                };
                (target, l.boundaries.to_vec(), l.until)
            }));
            format!(
                "account {:?} at {} {:?} in {within} holds {} under {} for {links}",
                a.entity,
                path(d, a.home),
                a.attributes,
                bindings(d, a.bindings.iter()),
                sorted(a.boundaries().iter())
            )
        });
        let resources = d.resources.iter().map(|r| {
            format!("resource {:?} at {} in {:?} {:?}", r.entity, path(d, r.scope), r.parent, r.attributes)
        });
        let everyone = d.kind_bindings.iter().map(|(kind, b)| format!("everyone {kind:?} {}", binding(d, b)));
        scopes.chain(groups).chain(accounts).chain(resources).chain(everyone).collect()
    }
}

fn path(directory: &Directory, at: Option<ScopeIx>) -> String {
    at.map_or_else(|| "nowhere".to_owned(), |ix| directory.scopes[ix.index()].entity.id.to_string())
}

fn binding(directory: &Directory, binding: &Binding) -> String {
    let place = match binding.place() {
        Place::Everywhere => "everywhere".to_owned(),
        Place::Scope(ix) => path(directory, Some(ix)),
        Place::Resource(entity) => format!("{entity:?}"),
    };
    format!(
        "{:?} at {place} until {} under {}",
        binding.role,
        binding.until(),
        sorted(binding.boundaries().iter())
    )
}

fn bindings<'b>(directory: &Directory, all: impl Iterator<Item = &'b Binding>) -> String {
    sorted(all.map(|b| binding(directory, b)))
}
