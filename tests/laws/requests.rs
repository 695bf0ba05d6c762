//! Random requests for a world, as JSON; most of them fit.

use crate::data::Held;
use crate::dice::Dice;
use crate::model::{Attr, Sort, Vocab};
use crate::rules::Author;
use crate::values;
use serde_json::{Value as Json, json};

/// Writes requests.
pub struct Asker<'a> {
    pub v: &'a Vocab,
    pub held: &'a Held,
    /// Texts that keys can carry.
    pub keys: &'a [String],
    pub dice: &'a mut Dice,
}

/// Policy texts for keys: rules without names.
pub fn key_texts(author: &mut Author<'_>) -> Vec<String> {
    author.callees.retain(|c| c.yes.is_empty() && c.no.is_empty());
    let mut out = vec!["allow do anything on anything".to_owned()];
    for _ in 0..2 {
        let mut rules = Vec::new();
        for _ in 0..author.dice.between(1, 3) {
            let deny = author.dice.chance(40);
            let mut rule = author.rule("boundary", deny);
            rule.name = None;
            rules.push(rule.text());
        }
        out.push(rules.join("\n"));
    }
    out
}

impl Asker<'_> {
    pub fn request(&mut self) -> Json {
        let v = self.v;
        let accounts = v.of(Sort::Account);
        let kind = *self.dice.pick(&accounts);
        let id = values::id(v, kind, self.dice);
        let action = self.dice.pick(&v.actions);
        let target = *self.dice.pick(&action.targets);
        let mut out = json!({
            "account": self.account(kind, &id),
            "action": {"name": action.wire},
            "resource": {"kind": v.kinds[target.kind].wire},
        });
        if !action.properties.is_empty() {
            out["action"]["attributes"] = values::attributes(v, &action.properties, self.dice, 65);
        }
        let place = self.resource(&mut out["resource"], target.kind, target.any, (kind, &id));
        if let Some(scope) = self.scope(place) {
            out["scope"] = json!(scope);
        }
        let mut context = values::attributes(v, &v.context, self.dice, 65);
        if self.dice.chance(85) {
            context["now"] = json!(if self.dice.chance(90) {
                values::TIMES[self.dice.below(6)]
            } else {
                values::time(self.dice)
            });
        }
        out["context"] = context;
        if !v.kinds[kind].acting_for.is_empty()
            && let Some(chain) = self.acting_for(kind, &id, 0)
        {
            out["acting_for"] = chain;
        }
        if self.dice.chance(20) {
            out["credential"] = self.credential();
        }
        out
    }

    fn account(&mut self, kind: usize, id: &str) -> Json {
        let v = self.v;
        let mut out = values::reference(v, kind, id);
        let supplied: Vec<Attr> =
            v.kinds[kind].attrs.iter().filter(|a| a.word == "supplied").cloned().collect();
        let held = self.held.holds(v, kind, id);
        if self.dice.chance(5) {
            out["attributes"] = values::attributes(v, &v.kinds[kind].attrs, self.dice, 50);
        } else if !held || self.dice.chance(60) {
            out["attributes"] = values::attributes(v, &supplied, self.dice, 60);
        }
        out
    }

    /// Fills in what is acted on; returns where it stands, as far as that is known, and whether that is fixed.
    fn resource(
        &mut self,
        out: &mut Json,
        kind: usize,
        any: bool,
        account: (usize, &str),
    ) -> Option<(String, bool)> {
        let v = self.v;
        let declared = &v.kinds[kind];
        let mut place = None;
        let mut held = false;
        if any {
            out["attributes"] = values::attributes(v, &declared.attrs, self.dice, 65);
            for (_, value) in out["attributes"].as_object_mut().into_iter().flatten() {
                if self.dice.chance(25) {
                    *value = Json::Null;
                }
            }
        } else {
            let mut id = values::id(v, kind, self.dice);
            if declared.sort == Sort::Account && self.dice.chance(30) && account.0 == kind {
                id = account.1.to_owned();
            }
            out["id"] = json!(id);
            place = self.held.place(v, kind, &id).map(|p| (p, true));
            held = self.held.holds(v, kind, &id);
            let itself = account.0 == kind && account.1 == id;
            let account_kind = declared.sort == Sort::Account;
            let given: Vec<Attr> =
                (declared.attrs.iter()).filter(|a| !account_kind || a.word == "supplied").cloned().collect();
            if !(itself && self.dice.chance(90)) && (!held || self.dice.chance(60)) {
                out["attributes"] = values::attributes(v, &given, self.dice, 65);
            }
        }
        let parents = &declared.parents;
        let wanted = if held {
            10
        } else if declared.parent_optional || any {
            65
        } else {
            97
        };
        if declared.sort != Sort::Scope
            && self.dice.chance(wanted)
            && let Some(parent) = self.dice.some(parents).copied()
        {
            let id = values::id(v, parent, self.dice);
            out["in"] = values::reference(v, parent, &id);
            if !held {
                place = self.held.place(v, parent, &id).map(|p| (p, false));
            }
        } else if any
            && declared.sort == Sort::Scope
            && self.dice.chance(30)
            && let Some(parent) = self.dice.some(parents).copied()
        {
            let id = values::id(v, parent, self.dice);
            out["in"] = values::reference(v, parent, &id);
            place = self.held.place(v, parent, &id).map(|p| (p, false));
        }
        place
    }

    fn scope(&mut self, place: Option<(String, bool)>) -> Option<String> {
        let all: Vec<String> = self.v.nodes.iter().map(|n| n.1.clone()).collect();
        match place {
            Some((_, _)) if self.dice.chance(55) => None,
            Some((path, true)) => Some(path),
            Some((path, false)) => {
                let inside = |p: &&String| **p == path || p.starts_with(&format!("{path}/"));
                let inside: Vec<String> = all.iter().filter(inside).cloned().collect();
                self.dice.some(&inside).cloned()
            }
            None => self.dice.some(&all).cloned().filter(|_| self.dice.chance(98)),
        }
    }

    fn acting_for(&mut self, kind: usize, id: &str, depth: usize) -> Option<Json> {
        let v = self.v;
        let from: Vec<(usize, String)> = (self.held.links.iter())
            .filter(|(agent, _)| (agent.0, agent.1.as_str()) == (kind, id))
            .map(|(_, behind)| behind.clone())
            .collect();
        if from.len() <= 1 && self.dice.chance(30) {
            return None;
        }
        let (kind, id) = match self.dice.some(&from) {
            Some((kind, id)) if self.dice.chance(85) => (*kind, id.clone()),
            _ => {
                let kind = *self.dice.pick(&v.of(Sort::Account));
                (kind, values::id(v, kind, self.dice))
            }
        };
        let mut out = self.account(kind, &id);
        if !v.kinds[kind].acting_for.is_empty()
            && depth < 3
            && let Some(next) = self.acting_for(kind, &id, depth + 1)
        {
            out["acting_for"] = next;
        }
        Some(out)
    }

    fn credential(&mut self) -> Json {
        let mut out = json!({});
        let all: Vec<String> = self.v.nodes.iter().map(|n| n.1.clone()).collect();
        let roots: Vec<String> = all.iter().filter(|p| !p.contains('/')).cloned().collect();
        let from = if self.dice.chance(60) { &roots } else { &all };
        if let Some(node) = self.dice.some(from).cloned()
            && self.dice.chance(93)
        {
            out["scope"] = json!(node);
        }
        if self.dice.chance(35) {
            out["boundaries"] = json!(self.dice.few(&self.v.boundaries, 2));
        }
        if self.dice.chance(45) {
            out["policy"] = json!(self.dice.pick(self.keys));
        }
        out
    }
}
