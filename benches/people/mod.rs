//! A directory of any size, as the text of a data file: [`People`].
//!
//! In:   numbers of accounts, groups, bindings and scopes.
//! Out:  the vocabulary they need, and the data; the same in every run.

#[path = "../world/random.rs"]
mod random;

use policyc::source::Sources;
use policyc::{Directory, PolicySet};
use random::Random;
use std::fmt::Write;

/// Groups stand in groups, this deep.
const NESTED: usize = 6;
/// Environments of a project.
const ENVIRONMENTS: usize = 3;

const SET: &str = r#"
scope organization
scope project in organization
scope environment in project
account user { mfa: Bool? }
resource document
action read on document
role viewer { allow read on document }
"#;

/// How many of each.
#[derive(Clone, Copy, Debug)]
pub struct People {
    pub accounts: usize,
    pub groups: usize,
    pub bindings: usize,
    pub scopes: usize,
}

impl People {
    /// The proportions of a million accounts: a tenth as many groups and scopes, five bindings an account.
    pub fn of(accounts: usize) -> People {
        People { accounts, groups: accounts / 10, bindings: accounts * 5, scopes: accounts / 10 }
    }

    /// The set that the data is for.
    pub fn set() -> PolicySet {
        let mut sources = Sources::default();
        sources.add("people.pol", SET);
        let compiled = PolicySet::compile(sources, 0);
        compiled.set.unwrap_or_else(|| panic!("the set compiles: {:?}", compiled.diagnostics))
    }

    /// The path of the n-th scope: organization, then projects, each with its environments.
    pub fn path(n: usize) -> String {
        let project = n.saturating_sub(1) / (1 + ENVIRONMENTS);
        match (n, n.saturating_sub(1) % (1 + ENVIRONMENTS)) {
            (0, _) => "acme".to_owned(),
            (_, 0) => format!("acme/p{project}"),
            (_, environment) => format!("acme/p{project}/e{environment}"),
        }
    }

    /// The data file.
    pub fn data(self) -> String {
        let random = &mut Random::new(7);
        let mut out = String::with_capacity(self.accounts * 110 + self.bindings * 90 + self.scopes * 60);
        out.push_str("{\"scopes\":[");
        list(&mut out, self.scopes, |out, n| {
            let path = People::path(n);
            let kind = ["organization", "project", "environment"][path.matches('/').count()];
            let _ = write!(out, "{{\"kind\":\"{kind}\",\"id\":\"{path}\"}}");
        });
        out.push_str("],\n\"groups\":[");
        list(&mut out, self.groups, |out, n| {
            // Level 0 has the most groups; each group is in one of the level above, which starts where this one ends.
            let _ = write!(out, "{{\"id\":\"g{n}\"");
            if n % NESTED != 0 {
                let _ =
                    write!(out, ",\"in\":[\"g{}\"]", random.below(n / NESTED + 1) * NESTED + n % NESTED - 1);
            }
            out.push('}');
        });
        out.push_str("],\n\"accounts\":[");
        list(&mut out, self.accounts, |out, n| {
            let scope = People::path(random.below(self.scopes));
            let mfa = n % 2 == 0;
            let _ = write!(out, "{{\"kind\":\"user\",\"id\":\"a{n}\",\"scope\":\"{scope}\",\"groups\":[");
            for i in 0..2 + n % 2 {
                let comma = if i > 0 { "," } else { "" };
                let _ = write!(out, "{comma}\"g{}\"", random.below(self.groups));
            }
            let _ = write!(out, "],\"attributes\":{{\"mfa\":{mfa}}}}}");
        });
        out.push_str("],\n\"bindings\":[");
        list(&mut out, self.bindings, |out, n| {
            let (account, scope) = (n % self.accounts, People::path(random.below(self.scopes)));
            let _ = write!(
                out,
                "{{\"account\":{{\"kind\":\"user\",\"id\":\"a{account}\"}},\"role\":\"viewer\",\"scope\":\"{scope}\"}}"
            );
        });
        out.push_str("]}\n");
        out
    }

    /// The data file's text, as a source.
    pub fn sources(self) -> Sources {
        let mut sources = Sources::default();
        sources.add("people.json", self.data());
        sources
    }

    /// The data, loaded.
    pub fn load(set: &PolicySet, sources: &Sources) -> Directory {
        let id = sources.iter().next().expect("there is one source").0;
        let (directory, found) = set.load_directory(sources, id);
        directory.unwrap_or_else(|| panic!("the data loads: {:?}", found.first()))
    }
}

fn list(out: &mut String, count: usize, mut each: impl FnMut(&mut String, usize)) {
    for n in 0..count {
        out.push_str(if n == 0 { "\n" } else { ",\n" });
        each(out, n);
    }
}
