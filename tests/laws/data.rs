//! A random directory, as data JSON, with what the requests' generator must know of it.

use crate::dice::Dice;
use crate::model::{GROUP, Sort, Vocab};
use crate::values;
use serde_json::{Map, Value as Json, json};

/// What the directory holds.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Kind, id, home.
    pub accounts: Vec<(usize, String, Option<String>)>,
    /// Id, scope.
    pub groups: Vec<(String, Option<String>)>,
    /// Kind, id, the scope it is placed in.
    pub resources: Vec<(usize, String, Option<String>)>,
    /// Agent, and an account behind it.
    pub links: Vec<((usize, String), (usize, String))>,
}

impl Held {
    /// Where the directory places a thing.
    pub fn place(&self, v: &Vocab, kind: usize, id: &str) -> Option<String> {
        match v.kinds[kind].sort {
            Sort::Scope => v.nodes.iter().any(|(_, p)| p == id).then(|| id.to_owned()),
            Sort::Group => self.groups.iter().find(|g| g.0 == id)?.1.clone(),
            Sort::Account => self.accounts.iter().find(|a| a.0 == kind && a.1 == id)?.2.clone(),
            Sort::Resource => self.resources.iter().find(|r| r.0 == kind && r.1 == id)?.2.clone(),
            Sort::Role | Sort::Policy => None,
        }
    }

    pub fn holds(&self, v: &Vocab, kind: usize, id: &str) -> bool {
        match v.kinds[kind].sort {
            Sort::Scope => v.nodes.iter().any(|(k, p)| *k == kind && p == id),
            Sort::Group => self.groups.iter().any(|g| g.0 == id),
            Sort::Account => self.accounts.iter().any(|a| a.0 == kind && a.1 == id),
            Sort::Resource => self.resources.iter().any(|r| r.0 == kind && r.1 == id),
            Sort::Role | Sort::Policy => true,
        }
    }
}

struct Clerk<'a> {
    v: &'a Vocab,
    dice: &'a mut Dice,
    held: Held,
}

/// A directory.
pub fn directory(v: &Vocab, dice: &mut Dice) -> (Json, Held) {
    let mut clerk = Clerk { v, dice, held: Held::default() };
    let mut scopes = clerk.scopes();
    let groups = clerk.groups();
    let mut accounts = clerk.accounts();
    let mut resources = clerk.resources();
    let links = clerk.links();
    let bindings = clerk.bindings();
    for list in [&mut scopes, &mut accounts, &mut resources] {
        clerk.dice.shuffle(list);
    }
    let mut out = Map::new();
    let sections = [
        ("scopes", scopes),
        ("groups", groups),
        ("accounts", accounts),
        ("resources", resources),
        ("links", links),
        ("bindings", bindings),
    ];
    for (name, list) in sections {
        if !list.is_empty() {
            out.insert(name.to_owned(), Json::Array(list));
        }
    }
    (Json::Object(out), clerk.held)
}

impl Clerk<'_> {
    fn boundaries(&mut self, percent: usize) -> Option<Json> {
        if !self.dice.chance(percent) {
            return None;
        }
        Some(json!(self.dice.few(&self.v.boundaries, 2)))
    }

    fn until(&mut self, percent: usize) -> Option<Json> {
        self.dice.chance(percent).then(|| json!(values::time(self.dice)))
    }

    /// A node, mostly near the root.
    fn node(&mut self) -> Option<String> {
        let all: Vec<String> = self.v.nodes.iter().map(|n| n.1.clone()).collect();
        let roots: Vec<String> = all.iter().filter(|p| !p.contains('/')).cloned().collect();
        let from = if self.dice.chance(75) { &roots } else { &all };
        self.dice.some(from).cloned()
    }

    fn attributes(&mut self, kind: usize) -> Json {
        values::attributes(self.v, &self.v.kinds[kind].attrs, self.dice, 65)
    }

    fn scopes(&mut self) -> Vec<Json> {
        let mut out = Vec::new();
        for (kind, path) in &self.v.nodes {
            let mut made = values::reference(self.v, *kind, path);
            made["attributes"] = self.attributes(*kind);
            if let Some(list) = self.boundaries(16) {
                made["boundaries"] = list;
            }
            out.push(made);
        }
        out
    }

    fn memberships(&mut self, ids: &[String]) -> Json {
        let chosen = self.dice.few(ids, 2);
        let mut out = Vec::new();
        for id in chosen {
            match self.until(35) {
                Some(until) => out.push(json!({"group": id, "until": until})),
                None => out.push(json!(id)),
            }
        }
        Json::Array(out)
    }

    fn groups(&mut self) -> Vec<Json> {
        let mut out = Vec::new();
        let mut ids: Vec<String> = Vec::new();
        for i in 0..3 {
            let id = format!("g{i}");
            let mut made = json!({"id": id, "in": self.memberships(&ids)});
            made["attributes"] = self.attributes(GROUP);
            let scope = if self.dice.chance(40) { self.node() } else { None };
            if let Some(scope) = &scope {
                made["scope"] = json!(scope);
            }
            self.held.groups.push((id.clone(), scope));
            ids.push(id);
            out.push(made);
        }
        out
    }

    fn accounts(&mut self) -> Vec<Json> {
        let ids: Vec<String> = self.held.groups.iter().map(|g| g.0.clone()).collect();
        let mut out = Vec::new();
        for kind in self.v.of(Sort::Account) {
            for id in ["ana", "bo"] {
                if self.dice.chance(12) {
                    continue;
                }
                let mut made = values::reference(self.v, kind, id);
                made["attributes"] = self.attributes(kind);
                made["groups"] = self.memberships(&ids);
                let home = if self.dice.chance(93) { self.node() } else { None };
                if let Some(home) = &home {
                    made["scope"] = json!(home);
                }
                if let Some(list) = self.boundaries(15) {
                    made["boundaries"] = list;
                }
                self.held.accounts.push((kind, id.to_owned(), home));
                out.push(made);
            }
        }
        out
    }

    fn resources(&mut self) -> Vec<Json> {
        let mut out = Vec::new();
        for kind in self.v.of(Sort::Resource) {
            let parents = self.v.kinds[kind].parents.clone();
            for id in ["x", "y", "é/1"] {
                if self.dice.chance(30) {
                    continue;
                }
                let fits: Vec<_> =
                    self.held.resources.iter().filter(|r| parents.contains(&r.0)).cloned().collect();
                let mut made = values::reference(self.v, kind, id);
                made["attributes"] = self.attributes(kind);
                let optional = self.v.kinds[kind].parent_optional;
                let parent = self.dice.some(&fits).cloned().filter(|_| !optional || self.dice.chance(75));
                let mut place = None;
                match &parent {
                    Some(parent) => {
                        made["in"] = values::reference(self.v, parent.0, &parent.1);
                        place = parent.2.clone();
                    }
                    None if !optional => continue,
                    None => {}
                }
                if place.is_none()
                    && self.dice.chance(55)
                    && let Some(node) = self.node()
                {
                    made["scope"] = json!(node);
                    place = Some(node);
                }
                self.held.resources.push((kind, id.to_owned(), place));
                out.push(made);
            }
        }
        out
    }

    fn links(&mut self) -> Vec<Json> {
        let mut out = Vec::new();
        let accounts = self.held.accounts.clone();
        for (kind, id, _) in &accounts {
            let behind = &self.v.kinds[*kind].acting_for;
            let fits: Vec<_> = (accounts.iter())
                .filter(|a| behind.contains(&a.0) && (a.0, &a.1) != (*kind, id))
                .cloned()
                .collect();
            for _ in 0..if behind.is_empty() { 0 } else { self.dice.between(0, 2) } {
                let mut made = json!({"agent": values::reference(self.v, *kind, id)});
                let Some(target) = self.dice.some(&fits).cloned() else { continue };
                if self.dice.chance(70) {
                    made["account"] = values::reference(self.v, target.0, &target.1);
                } else {
                    made["group"] = json!(self.dice.pick(&self.held.groups).0);
                }
                self.held.links.push(((*kind, id.clone()), (target.0, target.1)));
                if let Some(list) = self.boundaries(25) {
                    made["boundary"] = list;
                }
                if let Some(until) = self.until(20) {
                    made["until"] = until;
                }
                out.push(made);
            }
        }
        out
    }

    fn bindings(&mut self) -> Vec<Json> {
        let mut out = Vec::new();
        for _ in 0..self.dice.between(4, 9) {
            let role = self.dice.pick(&self.v.roles).1.clone();
            let mut made = json!({"role": role});
            let everyone = *self.dice.pick(&self.v.of(Sort::Account));
            match (self.dice.below(4), self.dice.some(&self.held.accounts).cloned()) {
                (0 | 1, Some((kind, id, _))) => made["account"] = values::reference(self.v, kind, &id),
                (2, _) => made["group"] = json!(self.dice.pick(&self.held.groups).0),
                _ => made["everyone"] = json!(self.v.kinds[everyone].wire),
            }
            let resources = self.v.of(Sort::Resource);
            match self.node() {
                Some(node) if self.dice.chance(70) => made["scope"] = json!(node),
                None if !self.v.has_scopes() && self.dice.chance(60) => {}
                _ => {
                    let kind = *self.dice.pick(&resources);
                    made["resource"] = values::reference(self.v, kind, &values::id(self.v, kind, self.dice));
                }
            }
            if let Some(list) = self.boundaries(25) {
                made["boundaries"] = list;
            }
            if let Some(until) = self.until(30) {
                made["until"] = until;
            }
            out.push(made);
        }
        out
    }
}
