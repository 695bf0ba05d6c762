//! Random conditions, policies, roles and boundaries over a vocabulary.

use crate::dice::Dice;
use crate::expr::{E, Writer};
use crate::model::{GROUP, Parameter, Sort, Target, Ty, Vocab};
use crate::paths::{Callee, Env};
use crate::values;

/// A rule in pieces.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    pub name: Option<String>,
    pub deny: bool,
    /// Left out in roles and boundaries.
    pub who: Option<String>,
    pub actions: Vec<String>,
    pub what: Vec<String>,
    pub at: Vec<String>,
    pub when: Option<E>,
    pub unless: Option<E>,
    pub until: Option<String>,
    pub because: Option<String>,
    pub ask: Option<String>,
}

/// A policy, role or boundary.
#[derive(Clone, Debug)]
pub struct Block {
    /// `policy`, `role` or `boundary`.
    pub word: &'static str,
    pub name: String,
    /// All up to the brace.
    pub open: String,
    pub rules: Vec<Rule>,
}

/// A condition in pieces.
#[derive(Clone, Debug)]
pub struct Condition {
    pub open: String,
    pub body: E,
}

impl Rule {
    pub fn text(&self) -> String {
        let mut out = self.name.as_ref().map(|n| format!("{n}: ")).unwrap_or_default();
        out.push_str(if self.deny { "deny " } else { "allow " });
        if let Some(who) = &self.who {
            out.push_str(&format!("{who} to "));
        }
        out.push_str(&format!("{} on {}", self.actions.join(", "), self.what.join(", ")));
        if !self.at.is_empty() {
            out.push_str(&format!(" at {}", self.at.join(", ")));
        }
        for (word, e) in [("when", &self.when), ("unless", &self.unless)] {
            if let Some(e) = e {
                out.push_str(&format!(" {word} {}", e.text()));
            }
        }
        for (word, text) in [("until", &self.until), ("because", &self.because), ("ask", &self.ask)] {
            if let Some(text) = text {
                out.push_str(&format!(" {word} {text}"));
            }
        }
        out
    }
}

type Covers = dyn Fn(&Vocab, &Target) -> bool;

/// One item of WHAT with what it covers.
struct Item {
    text: String,
    covers: Box<Covers>,
}

/// Writes rules.
pub struct Author<'a> {
    pub v: &'a Vocab,
    pub dice: &'a mut Dice,
    pub callees: Vec<Callee>,
    named: usize,
    /// The rule being written has long lists.
    long: bool,
}

impl<'a> Author<'a> {
    pub fn new(v: &'a Vocab, dice: &'a mut Dice) -> Self {
        Author { v, dice, callees: Vec::new(), named: 0, long: false }
    }

    /// Conditions; each may call those before it.
    pub fn conditions(&mut self) -> Vec<Condition> {
        let mut types: Vec<Ty> = vec![Ty::Int, Ty::Time, Ty::Ip, Ty::String];
        for k in &self.v.kinds {
            types.extend(k.attrs.iter().map(|a| a.ty.clone()));
        }
        types.extend(self.v.of(Sort::Account).into_iter().map(|k| Ty::Ref(vec![k])));
        types.push(Ty::Ref(self.v.of(Sort::Account)));
        types.push(Ty::Ref(self.v.of(Sort::Resource)));
        let in_place = |ty: &Ty| *ty == Ty::Record(1) || *ty == Ty::Set(Box::new(Ty::Record(1)));
        types.retain(|ty| !in_place(ty));
        let mut out = Vec::new();
        for i in 0..self.dice.below(4) {
            let parameters: Vec<Parameter> = (0..self.dice.below(3))
                .map(|n| Parameter {
                    name: format!("p{n}"),
                    ty: self.dice.pick(&types).clone(),
                    optional: self.dice.chance(40),
                })
                .collect();
            let env =
                Env { parameters: Some(parameters.clone()), callees: self.callees.clone(), ..Env::default() };
            let depth = self.dice.below(3);
            let mut writer = Writer { v: self.v, dice: self.dice, env, called: false };
            let body = writer.test(depth);
            let each = writer.called || body.asks_each();
            let (yes, no) = body.proves();
            let name = format!("check{i}");
            let list: Vec<String> = (parameters.iter())
                .map(|p| {
                    let mark = if p.optional { "?" } else { "" };
                    format!("{}: {}{mark}", p.name, self.v.show_type(&p.ty))
                })
                .collect();
            let list = if list.is_empty() { String::new() } else { format!("({})", list.join(", ")) };
            out.push(Condition { open: format!("condition {name}{list} ="), body });
            self.callees.push(Callee { name, parameters, yes, no, each });
        }
        out
    }

    /// All policies, roles and boundaries.
    pub fn blocks(&mut self) -> Vec<Block> {
        let mut out = Vec::new();
        for i in 0..self.dice.between(1, 3) {
            let title = if self.dice.chance(30) { " \"What é says\"" } else { "" };
            let mut rules: Vec<Rule> = Vec::new();
            for _ in 0..self.dice.between(1, 4) {
                let deny = self.dice.chance(35);
                rules.push(self.rule("policy", deny));
            }
            if i == 0 && self.dice.chance(55) {
                rules.push(self.broad(Some("anyone")));
            }
            out.push(Block {
                word: "policy",
                name: format!("p{i}"),
                open: format!("policy p{i}{title}"),
                rules,
            });
        }
        for (i, (name, wire)) in self.v.roles.iter().enumerate() {
            let mut open = format!("role {name}");
            if name != wire {
                open.push_str(&format!(" {}", values::quote(wire)));
            }
            let includes: Vec<String> =
                self.dice.few(&self.v.roles[..i], 2).into_iter().map(|r| r.0).collect();
            if !includes.is_empty() {
                open.push_str(&format!(" includes {}", includes.join(", ")));
            }
            let mut rules: Vec<Rule> = (0..self.dice.below(4)).map(|_| self.rule("role", false)).collect();
            if self.dice.chance(60) {
                rules.push(self.broad(None));
            }
            out.push(Block { word: "role", name: name.clone(), open, rules });
        }
        for name in &self.v.boundaries {
            let mut rules: Vec<Rule> = Vec::new();
            if self.dice.chance(75) {
                rules.push(self.broad(None));
            }
            for _ in 0..self.dice.below(4) {
                let deny = self.dice.chance(50);
                rules.push(self.rule("boundary", deny));
            }
            let open = format!("boundary {name}");
            out.push(Block { word: "boundary", name: name.clone(), open, rules });
        }
        self.dice.shuffle(&mut out);
        out
    }

    fn broad(&mut self, who: Option<&str>) -> Rule {
        let mut rule = Rule {
            who: who.map(str::to_owned),
            actions: vec!["do anything".to_owned()],
            what: vec!["anything".to_owned()],
            ..Rule::default()
        };
        if self.dice.chance(20) {
            rule.until = Some(values::quote(values::time(self.dice)));
        }
        rule.name = self.name();
        rule
    }

    fn name(&mut self) -> Option<String> {
        self.named += 1;
        let letter = self.dice.word(&["a", "k", "z", "B", "_"]);
        self.dice.chance(60).then(|| format!("{letter}{}", self.named))
    }

    /// A rule of this block; roles only allow.
    pub fn rule(&mut self, block: &str, deny: bool) -> Rule {
        let mut rule = Rule { deny, ..Rule::default() };
        if self.dice.chance(60) {
            rule.name = self.name();
        }
        let mut env = Env { callees: self.callees.clone(), ..Env::default() };
        // Long lists are not filed item by item.
        self.long = self.dice.chance(6);
        self.who(block, &mut rule, &mut env);
        self.what(&mut rule, &mut env);
        self.at(&mut rule, &mut env);
        let depth = [0, 1, 1, 2, 3][self.dice.below(5)];
        // A deny that always fits would leave little to allow.
        let whens = if deny { 92 } else { 55 };
        if self.dice.chance(whens) {
            let e = Writer { v: self.v, dice: self.dice, env: env.clone(), called: false }.test(depth);
            env.facts.extend(e.proves().0);
            rule.when = Some(e);
        }
        if self.dice.chance(25) {
            rule.unless = Some(Writer { v: self.v, dice: self.dice, env, called: false }.test(depth.min(2)));
        }
        if self.dice.chance(15) {
            rule.until = Some(values::quote(values::time(self.dice)));
        }
        if self.dice.chance(15) {
            rule.because = Some("\"so it is, é\"".to_owned());
        }
        if deny && self.dice.chance(45) {
            rule.ask = Some(self.dice.word(&["approval", "step_up"]).to_owned());
        }
        rule
    }

    /// How many items a list has: one in `percent` of 100 rules.
    fn items(&mut self, percent: usize) -> usize {
        if self.long {
            self.dice.between(3, 7)
        } else if self.dice.chance(percent) {
            1
        } else {
            2
        }
    }

    fn who(&mut self, block: &str, rule: &mut Rule, env: &mut Env) {
        let v = self.v;
        let all = v.of(Sort::Account);
        env.account = all.clone();
        if block != "policy" {
            return;
        }
        let mut items = Vec::new();
        let mut kinds: Vec<usize> = Vec::new();
        for _ in 0..self.items(80) {
            let kind = *self.dice.pick(&all);
            let group = values::quote(&values::id(v, GROUP, self.dice));
            match self.dice.below(8) {
                0..=2 => {
                    items.push("anyone".to_owned());
                    kinds.extend(&all);
                }
                3 | 4 => {
                    items.push(v.kinds[kind].name.clone());
                    kinds.push(kind);
                }
                5 => {
                    items.push(values::entity(v, kind, self.dice));
                    kinds.push(kind);
                }
                6 => {
                    items.push(format!("group {group}"));
                    kinds.extend(&all);
                }
                _ => {
                    items.push(format!("{} in group {group}", v.kinds[kind].name));
                    kinds.push(kind);
                }
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        env.account = kinds;
        rule.who = Some(items.join(", "));
    }

    /// ACTIONS and WHAT: every name takes part in a pair of action and kind.
    fn what(&mut self, rule: &mut Rule, env: &mut Env) {
        let v = self.v;
        let mut names: Vec<(String, Vec<usize>)> = Vec::new();
        if !self.dice.chance(30) {
            let single = v.actions.iter().enumerate().map(|(i, a)| (a.name.clone(), vec![i]));
            let known: Vec<(String, Vec<usize>)> = single.chain(v.action_groups.iter().cloned()).collect();
            names = self.dice.few(&known, 3);
        }
        if names.is_empty() {
            names.push(("do anything".to_owned(), (0..v.actions.len()).collect()));
        }
        let all: Vec<usize> = names.iter().flat_map(|n| n.1.clone()).collect();
        let mut items: Vec<Item> = Vec::new();
        for _ in 0..self.items(75) {
            items.push(self.item());
        }
        let fits = |action: usize, item: &Item| v.actions[action].targets.iter().any(|t| (item.covers)(v, t));
        items.retain(|i| all.iter().any(|a| fits(*a, i)));
        if items.is_empty() {
            items.push(Item { text: "anything".to_owned(), covers: Box::new(|_, _| true) });
        }
        names.retain(|(_, ids)| ids.iter().any(|a| items.iter().any(|i| fits(*a, i))));
        for a in names.iter().flat_map(|n| n.1.clone()) {
            for t in &v.actions[a].targets {
                if items.iter().any(|i| (i.covers)(v, t)) {
                    env.resource.push(t.kind);
                    env.actions.push(a);
                    if t.any {
                        env.any.push(t.kind);
                    }
                }
            }
        }
        for list in [&mut env.resource, &mut env.any, &mut env.actions] {
            list.sort_unstable();
            list.dedup();
        }
        rule.actions = names.into_iter().map(|n| n.0).collect();
        rule.what = items.into_iter().map(|i| i.text).collect();
    }

    fn item(&mut self) -> Item {
        let v = self.v;
        let all: Vec<usize> = v.actions.iter().flat_map(|a| a.targets.iter().map(|t| t.kind)).collect();
        let kind = *self.dice.pick(&all);
        let placed: Vec<usize> = v.of(Sort::Scope).into_iter().chain(v.of(Sort::Resource)).collect();
        let above: Vec<usize> = placed.iter().copied().filter(|p| v.below(*p).contains(&kind)).collect();
        match self.dice.below(10) {
            0..=2 => Item { text: "anything".to_owned(), covers: Box::new(|_, _| true) },
            3..=5 => Item { text: v.kinds[kind].name.clone(), covers: Box::new(move |_, t| t.kind == kind) },
            6 | 7 if !above.is_empty() => {
                let p = *self.dice.pick(&above);
                Item {
                    text: format!("{} in {}", v.kinds[kind].name, values::entity(v, p, self.dice)),
                    covers: Box::new(move |_, t| t.kind == kind),
                }
            }
            8 if placed.contains(&kind) => Item {
                text: format!("anything in {}", values::entity(v, kind, self.dice)),
                covers: Box::new(move |v, t| (t.kind == kind && !t.any) || v.below(kind).contains(&t.kind)),
            },
            _ => Item {
                text: values::entity(v, kind, self.dice),
                covers: Box::new(move |_, t| t.kind == kind && !t.any),
            },
        }
    }

    fn at(&mut self, rule: &mut Rule, env: &mut Env) {
        let v = self.v;
        let scopes = v.of(Sort::Scope);
        env.scope = scopes.clone();
        if scopes.is_empty() || self.dice.chance(65) {
            return;
        }
        env.scope.clear();
        for _ in 0..self.items(80) {
            let kind = *self.dice.pick(&scopes);
            let above: Vec<usize> = scopes.iter().copied().filter(|p| v.below(*p).contains(&kind)).collect();
            rule.at.push(match self.dice.below(4) {
                0 => v.kinds[kind].name.clone(),
                1 if !above.is_empty() => {
                    let p = *self.dice.pick(&above);
                    format!("{} in {}", v.kinds[kind].name, values::entity(v, p, self.dice))
                }
                _ => values::entity(v, kind, self.dice),
            });
            env.scope.push(kind);
            env.scope.extend(v.below(kind));
        }
        env.scope.sort_unstable();
        env.scope.dedup();
    }
}
