//! A random vocabulary: what the other generators know of the world they write.
//!
//! An attribute's name fixes its type throughout a world, so that rules over several kinds are well typed.

use crate::dice::Dice;
use crate::values;

/// A type, without `?`. Kinds are indexes into [`Vocab::kinds`]; 0 is `group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ty {
    Bool,
    Int,
    Decimal,
    String,
    Time,
    Duration,
    TimeOfDay,
    Weekday,
    Ip,
    Cidr,
    Enum(usize),
    Record(usize),
    Set(Box<Ty>),
    Ref(Vec<usize>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Group,
    Role,
    Policy,
    Scope,
    Account,
    Resource,
}

#[derive(Clone, Debug)]
pub struct Attr {
    pub name: String,
    pub ty: Ty,
    pub optional: bool,
    /// Empty, `supplied` or `stored`.
    pub word: &'static str,
}

#[derive(Clone, Debug)]
pub struct Kind {
    pub name: String,
    pub wire: String,
    pub sort: Sort,
    pub parents: Vec<usize>,
    pub parent_optional: bool,
    pub supplied: bool,
    pub acting_for: Vec<usize>,
    pub attrs: Vec<Attr>,
}

#[derive(Clone, Debug)]
pub struct Enum {
    pub name: String,
    /// Name and wire name.
    pub variants: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct Record {
    /// `None`: written where it is used.
    pub name: Option<String>,
    pub fields: Vec<Attr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub kind: usize,
    pub any: bool,
    pub from_below: bool,
}

#[derive(Clone, Debug)]
pub struct Action {
    pub name: String,
    pub wire: String,
    pub properties: Vec<Attr>,
    pub targets: Vec<Target>,
}

/// A condition as far as its callers know it.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: String,
    pub ty: Ty,
    pub optional: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Vocab {
    pub kinds: Vec<Kind>,
    pub enums: Vec<Enum>,
    pub records: Vec<Record>,
    pub actions: Vec<Action>,
    /// Name and members.
    pub action_groups: Vec<(String, Vec<usize>)>,
    /// Without `now`.
    pub context: Vec<Attr>,
    /// Role names and wire names.
    pub roles: Vec<(String, String)>,
    pub boundaries: Vec<String>,
    /// Scope nodes: kind and path; parents first.
    pub nodes: Vec<(usize, String)>,
}

pub const GROUP: usize = 0;

impl Vocab {
    pub fn of(&self, sort: Sort) -> Vec<usize> {
        (0..self.kinds.len()).filter(|k| self.kinds[*k].sort == sort).collect()
    }

    pub fn has_scopes(&self) -> bool {
        self.kinds.iter().any(|k| k.sort == Sort::Scope)
    }

    /// Every kind that can sit below a kind, at any depth.
    pub fn below(&self, kind: usize) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        let mut open = vec![kind];
        while let Some(parent) = open.pop() {
            for (i, k) in self.kinds.iter().enumerate() {
                if k.parents.contains(&parent) && !found.contains(&i) {
                    found.push(i);
                    open.push(i);
                }
            }
        }
        found
    }

    pub fn random(dice: &mut Dice, wires: bool) -> Vocab {
        let mut v = Vocab::default();
        for (name, sort) in [("group", Sort::Group), ("role", Sort::Role), ("policy", Sort::Policy)] {
            v.kinds.push(kind(name, false, sort));
        }
        let wired = |dice: &mut Dice| wires || dice.chance(25);
        for i in 0..if dice.chance(12) { 0 } else { dice.between(1, 3) } {
            v.kinds.push(kind(["org", "unit", "env"][i], wired(dice), Sort::Scope));
        }
        for i in 0..dice.between(1, 4) {
            v.kinds.push(kind(["user", "agent", "bot", "guest"][i], wired(dice), Sort::Account));
        }
        for i in 0..dice.between(1, 4) {
            v.kinds.push(kind(["folder", "document", "tool", "disk"][i], wired(dice), Sort::Resource));
        }
        v.place(dice);
        for name in ["Stage", "Level"].iter().take(dice.between(1, 2)) {
            let variants = (0..dice.between(2, 4)).map(|i| {
                let name = format!("{}{i}", &name.to_lowercase()[..2]);
                let wire = if wired(dice) { format!("wire {name}") } else { name.clone() };
                (name, wire)
            });
            v.enums.push(Enum { name: (*name).to_string(), variants: variants.collect() });
        }
        for name in [Some("Address".to_owned()), None] {
            v.records.push(Record { name, fields: Vec::new() });
        }
        let pool = v.pool(dice);
        for record in 0..2 {
            let flat = |a: &&Attr| match &a.ty {
                Ty::Record(_) => false,
                Ty::Set(of) => !matches!(**of, Ty::Record(_)),
                _ => true,
            };
            let flat: Vec<Attr> = pool.iter().filter(flat).cloned().collect();
            let mut fields = attributes(dice, &flat, 3, &[""], 35);
            if fields.is_empty() {
                fields.push(Attr { word: "", ..flat[0].clone() });
            }
            fields.iter_mut().for_each(|f| f.name = format!("{}_f", f.name));
            v.records[record].fields = fields;
        }
        for k in 0..v.kinds.len() {
            let words: &[&str] = match v.kinds[k].sort {
                Sort::Role | Sort::Policy => continue,
                Sort::Account => &["", "", "supplied", "supplied", "stored"],
                Sort::Resource => &["", "", "", "supplied", "stored"],
                Sort::Group | Sort::Scope => &["", "", "", "supplied"],
            };
            if k == GROUP && dice.chance(40) {
                continue;
            }
            let most = if k == GROUP { 2 } else { 6 };
            let supplied = v.kinds[k].supplied;
            let mut attrs = attributes(dice, &pool, most, words, 45);
            // What only the directory can say is mostly optional: else all that it doesn't hold is refused.
            for a in &mut attrs {
                if supplied && !a.optional && dice.chance(85) {
                    a.word = "supplied";
                }
                a.optional |= a.word == "stored" && dice.chance(85);
            }
            v.kinds[k].attrs = attrs;
        }
        v.context = attributes(dice, &pool, 6, &["", "", "stored"], 60);
        v.act(dice, &pool, wires);
        v.grow_scopes(dice);
        v
    }

    /// Parents, and who acts for whom.
    fn place(&mut self, dice: &mut Dice) {
        for sort in [Sort::Scope, Sort::Resource] {
            let kinds = self.of(sort);
            for (i, k) in kinds.iter().enumerate() {
                let mut parents: Vec<usize> = Vec::new();
                if i > 0 && (sort == Sort::Scope || dice.chance(60)) {
                    parents.push(kinds[i - 1]);
                }
                if i > 1 && dice.chance(30) {
                    parents.push(kinds[0]);
                }
                let itself = dice.chance(if sort == Sort::Scope { 20 } else { 35 });
                if itself {
                    parents.push(*k);
                }
                self.kinds[*k].parent_optional = parents.is_empty() || parents == [*k] || dice.chance(25);
                self.kinds[*k].parents = parents;
            }
        }
        let accounts = self.of(Sort::Account);
        for (i, k) in accounts.iter().enumerate() {
            self.kinds[*k].supplied = dice.chance(if i == 0 { 50 } else { 25 });
        }
        if let Some(agent) = accounts.get(1).copied().filter(|_| dice.chance(75)) {
            let mut behind = vec![accounts[0]];
            behind.extend(accounts[1..].iter().filter(|_| dice.chance(40)));
            self.kinds[agent].acting_for = behind;
        }
    }

    /// The attributes to choose from: a name each for every type.
    fn pool(&self, dice: &mut Dice) -> Vec<Attr> {
        let mut kinds: Vec<usize> = vec![GROUP];
        for sort in [Sort::Account, Sort::Resource, Sort::Scope] {
            kinds.extend(self.of(sort));
        }
        let refs = |dice: &mut Dice, most: usize| {
            let mut chosen = dice.few(&kinds, most);
            if chosen.is_empty() {
                chosen.push(*dice.pick(&kinds));
            }
            Ty::Ref(chosen)
        };
        let account = Ty::Ref(vec![self.of(Sort::Account)[0]]);
        let set = |ty| Ty::Set(Box::new(ty));
        let enums = self.enums.len();
        let list = [
            ("flag", Ty::Bool),
            ("size", Ty::Int),
            ("price", Ty::Decimal),
            ("title", Ty::String),
            ("made", Ty::Time),
            ("ends", Ty::Time),
            ("span", Ty::Duration),
            ("opens", Ty::TimeOfDay),
            ("day", Ty::Weekday),
            ("ip", Ty::Ip),
            ("net", Ty::Cidr),
            ("stage", Ty::Enum(dice.below(enums))),
            ("owner", account.clone()),
            ("link", refs(dice, 3)),
            ("near", refs(dice, 2)),
            ("home", Ty::Record(0)),
            ("spot", Ty::Record(1)),
            ("tags", set(Ty::String)),
            ("sizes", set(Ty::Int)),
            ("stages", set(Ty::Enum(dice.below(enums)))),
            ("team", set(refs(dice, 2))),
            ("homes", set(Ty::Record(0))),
            ("ips", set(Ty::Ip)),
        ];
        list.into_iter()
            .map(|(name, ty)| Attr { name: name.to_owned(), ty, optional: false, word: "" })
            .collect()
    }

    /// Actions and groups of actions.
    fn act(&mut self, dice: &mut Dice, pool: &[Attr], wires: bool) {
        let things: Vec<usize> = (0..self.kinds.len()).collect();
        let resources = self.of(Sort::Resource);
        for i in 0..dice.between(2, 5) {
            let mut targets: Vec<Target> = Vec::new();
            let mut add = |t: Target| {
                if !targets.iter().any(|o| o.kind == t.kind && o.any == t.any) {
                    targets.push(t);
                }
            };
            for _ in 0..dice.between(1, 4) {
                let kind = if dice.chance(65) { *dice.pick(&resources) } else { *dice.pick(&things) };
                let from_below = self.kinds[kind].sort == Sort::Scope && dice.chance(40);
                let any = !from_below && dice.chance(25);
                add(Target { kind, any, from_below });
            }
            let name = ["read", "write", "list", "call", "drop"][i].to_owned();
            let wire = if wires || dice.chance(20) { format!("act/{name}") } else { name.clone() };
            let properties = if dice.chance(45) { attributes(dice, pool, 3, &[""], 50) } else { Vec::new() };
            self.actions.push(Action { name, wire, properties, targets });
        }
        let all: Vec<usize> = (0..self.actions.len()).collect();
        for name in ["edit", "most"].iter().take(dice.below(3)) {
            let mut members = dice.few(&all, 3);
            if members.is_empty() {
                members.push(0);
            }
            self.action_groups.push(((*name).to_owned(), members));
        }
        for i in 0..dice.between(1, 3) {
            let name = format!("r{i}");
            let wire = if wires || dice.chance(25) { format!("role {i}") } else { name.clone() };
            self.roles.push((name, wire));
        }
        self.boundaries = (0..dice.between(1, 3)).map(|i| format!("cap{i}")).collect();
    }

    /// A tree of scope nodes.
    fn grow_scopes(&mut self, dice: &mut Dice) {
        for k in self.of(Sort::Scope).into_iter().chain(self.of(Sort::Scope)) {
            for _ in 0..dice.between(1, 2) {
                let above: Vec<String> = (self.nodes.iter())
                    .filter(|(p, _)| self.kinds[k].parents.contains(p))
                    .map(|(_, path)| path.clone())
                    .collect();
                // Mostly one tree: what lies in another is out of everybody's reach.
                let first = self.nodes.is_empty();
                let root = self.kinds[k].parent_optional && (first || dice.chance(12));
                let name = format!("{}{}", ["a", "b", "é"][dice.below(3)], self.nodes.len());
                if root {
                    self.nodes.push((k, name));
                } else if let Some(above) = dice.some(&above) {
                    self.nodes.push((k, format!("{above}/{name}")));
                }
            }
        }
    }
}

fn kind(name: &str, wired: bool, sort: Sort) -> Kind {
    let wire = if wired { format!("{name}:wire") } else { name.to_owned() };
    Kind {
        name: name.to_owned(),
        wire,
        sort,
        parents: Vec::new(),
        parent_optional: true,
        supplied: false,
        acting_for: Vec::new(),
        attrs: Vec::new(),
    }
}

/// A few of the pool, with who supplies each, `optional` percent of them optional.
fn attributes(
    dice: &mut Dice,
    pool: &[Attr],
    most: usize,
    words: &[&'static str],
    optional: usize,
) -> Vec<Attr> {
    let chosen = dice.few(pool, most);
    let made =
        chosen.into_iter().map(|a| Attr { optional: dice.chance(optional), word: dice.word(words), ..a });
    made.collect()
}

impl Vocab {
    /// The declarations, one text each.
    pub fn declarations(&self, dice: &mut Dice) -> Vec<String> {
        let mut out = Vec::new();
        let quoted = |name: &str, wire: &str| {
            if name == wire { name.to_owned() } else { format!("{name} {}", values::quote(wire)) }
        };
        for k in &self.kinds[3..] {
            let word = match k.sort {
                Sort::Scope => "scope",
                Sort::Account => "account",
                _ => "resource",
            };
            let mut text = format!("{word} {}", quoted(&k.name, &k.wire));
            let mark = |i: usize| if k.parent_optional && i == 0 { "?" } else { "" };
            let parents: Vec<String> = (k.parents.iter().enumerate())
                .map(|(i, p)| format!("{}{}", self.kinds[*p].name, mark(i)))
                .collect();
            if !parents.is_empty() {
                text.push_str(&format!(" in {}", parents.join(", ")));
            }
            if k.supplied {
                text.push_str(" supplied");
            }
            if !k.acting_for.is_empty() {
                let names: Vec<&str> = k.acting_for.iter().map(|k| self.kinds[*k].name.as_str()).collect();
                text.push_str(&format!(" acting for {}", names.join(", ")));
            }
            text.push_str(&self.show_attributes(&k.attrs));
            out.push(text);
        }
        if !self.kinds[GROUP].attrs.is_empty() {
            out.push(format!("group{}", self.show_attributes(&self.kinds[GROUP].attrs)));
        }
        for e in &self.enums {
            let variants: Vec<String> = e.variants.iter().map(|(n, w)| quoted(n, w)).collect();
            out.push(format!("enum {} {{ {} }}", e.name, variants.join(", ")));
        }
        for r in &self.records {
            if let Some(name) = &r.name {
                out.push(format!("record {name}{}", self.show_attributes(&r.fields)));
            }
        }
        for a in &self.actions {
            let properties = self.show_attributes(&a.properties);
            let head = format!("action {}", quoted(&a.name, &a.wire));
            let (below, plain): (Vec<&Target>, Vec<&Target>) = a.targets.iter().partition(|t| t.from_below);
            let mut first = true;
            for (list, tail) in [(plain, ""), (below, " from below")] {
                if !list.is_empty() {
                    let list: Vec<String> = (list.iter())
                        .map(|t| format!("{}{}", if t.any { "any " } else { "" }, self.kinds[t.kind].name))
                        .collect();
                    let head =
                        if first { format!("{head}{properties}") } else { format!("action {}", a.name) };
                    out.push(format!("{head} on {}{tail}", list.join(", ")));
                    first = false;
                }
            }
        }
        for (name, members) in &self.action_groups {
            let names: Vec<&str> = members.iter().map(|a| self.actions[*a].name.as_str()).collect();
            out.push(format!("action {name} = {}", names.join(", ")));
        }
        if !self.context.is_empty() {
            out.push(format!("context{}", self.show_attributes(&self.context)));
        }
        dice.shuffle(&mut out);
        out
    }

    fn show_attributes(&self, attributes: &[Attr]) -> String {
        if attributes.is_empty() {
            return String::new();
        }
        let all: Vec<String> = (attributes.iter())
            .map(|a| {
                let mark = if a.optional { "?" } else { "" };
                let word = if a.word.is_empty() { String::new() } else { format!(" {}", a.word) };
                format!("{}: {}{mark}{word}", a.name, self.show_type(&a.ty))
            })
            .collect();
        format!(" {{ {} }}", all.join(", "))
    }

    pub fn show_type(&self, ty: &Ty) -> String {
        match ty {
            Ty::Enum(e) => self.enums[*e].name.clone(),
            Ty::Record(r) => match &self.records[*r].name {
                Some(name) => name.clone(),
                None => self.show_attributes(&self.records[*r].fields).trim().to_owned(),
            },
            Ty::Set(of) => format!("Set<{}>", self.show_type(of)),
            Ty::Ref(kinds) => {
                kinds.iter().map(|k| self.kinds[*k].name.as_str()).collect::<Vec<_>>().join(" | ")
            }
            scalar => format!("{scalar:?}"),
        }
    }
}
