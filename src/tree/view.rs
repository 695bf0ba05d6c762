//! A tree to be read by people and by other readings: heads, and the diagrams beneath them.
//!
//! In:  a [`Tree`], a block, an action and a kind.
//! Out: [`View::heads`]: each head that concerns them with the node where its conditions start; [`View::branch`]: what
//!      a node asks, down to leaves that name the determining rule.

use super::atom::{Atom, Comparison, Operand};
use super::index::Leads;
use super::node::{HeadList, Named, Ref, Step, Token, Tree};
use crate::value::{
    ActionId, BoundaryId, Effect, Entity, KindId, RoleId, RuleId, Value, WEEKDAYS, show_time,
};

/// A block of rules that are reached together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Block {
    /// All policies.
    Policies,
    /// The own rules of a role.
    Role(RoleId),
    /// A boundary.
    Boundary(BoundaryId),
}

/// A head, and where what remains to be asked starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What its rules say.
    pub effect: Effect,
    /// Who, such as `group "ci"`.
    pub who: String,
    /// Where, such as `project "acme/web"`; empty for anywhere.
    pub at: String,
    /// What, such as `deployment`.
    pub what: String,
    /// Where its conditions start.
    pub root: NodeId,
}

/// A node of the picture of one head. Nodes with equal ids are one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    at: Ref,
    step: u32,
    end: u32,
}

/// What a node asks, or says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Branch {
    /// Asks.
    Ask {
        /// What, as it would stand in a policy.
        text: String,
        /// Where it goes on if it holds.
        yes: NodeId,
        /// Where it goes on if it doesn't.
        no: NodeId,
    },
    /// The determining rule; `None` when no rule of this head matches.
    Leaf(Option<RuleId>),
}

/// A tree made ready for reading.
#[derive(Clone, Copy)]
pub struct View<'a> {
    tree: &'a Tree,
}

impl<'a> View<'a> {
    /// Makes a tree ready.
    pub fn new(tree: &'a Tree) -> View<'a> {
        View { tree }
    }

    /// The heads of a block that concern an action on a kind: denies first, in the order of the index.
    pub fn heads(&self, block: Block, action: ActionId, kind: KindId) -> Vec<Head> {
        let tree = self.tree;
        let gate = match block {
            Block::Policies => Tree::POLICIES,
            Block::Role(role) => tree.role(role),
            Block::Boundary(boundary) => tree.boundary(boundary),
        };
        let Some(pair) = tree.pairs.number(action, kind) else { return Vec::new() };
        let filings =
            tree.index.of_gate(gate).flat_map(|(who, filings)| filings.iter().map(move |f| (who, f)));
        let concern = filings.filter(|(_, filing)| filing.filed.covers(pair, &tree.shapes));
        let mut heads: Vec<Head> = concern
            .map(|(who, filing)| Head {
                effect: filing.filed.effect(),
                who: tree.show_token(who, "anyone"),
                at: tree.show_token(filing.at, ""),
                what: tree.show_token(filing.what, &tree.vocabulary.kind(kind).name),
                root: match filing.then.leads() {
                    Leads::Rule(place) => NodeId { at: Ref::leaf(place), step: u32::MAX, end: 0 },
                    Leads::Entry(entry) => {
                        let entry = tree.entries[entry as usize];
                        tree.step(entry.start, entry.end)
                    }
                },
            })
            .collect();
        heads.sort_by_key(|head| std::cmp::Reverse(head.effect));
        heads
    }

    /// What a node asks or says.
    pub fn branch(&self, id: NodeId) -> Branch {
        self.tree.branch(id)
    }
}

impl Tree {
    /// The first node of a step; past the last one, the leaf that no rule matches.
    fn step(&self, step: u32, end: u32) -> NodeId {
        match self.steps.get(step as usize).filter(|_| step < end) {
            Some(Step { root, .. }) => self.resolved(NodeId { at: *root, step, end }),
            None => NodeId { at: Ref::NO, step: 0, end: 0 },
        }
    }

    /// A step that ends in no rule goes on with the next one.
    fn resolved(&self, id: NodeId) -> NodeId {
        match id.at {
            Ref::NO if id.step < id.end => self.step(id.step + 1, id.end),
            _ => id,
        }
    }

    fn branch(&self, id: NodeId) -> Branch {
        if let Some(ix) = id.at.node() {
            let node = self.nodes[ix];
            return Branch::Ask {
                text: self.show_atom(&self.atoms[node.atom as usize]),
                yes: self.resolved(NodeId { at: node.yes, ..id }),
                no: self.resolved(NodeId { at: node.no, ..id }),
            };
        }
        let place = match self.steps.get(id.step as usize) {
            Some(step) if step.place != Step::MERGED && id.at != Ref::NO => Some(step.place),
            _ => id.at.place(),
        };
        Branch::Leaf(place.map(|place| self.rule_at(place)))
    }

    fn show_token(&self, token: Token, any: &str) -> String {
        match token.named() {
            Named::Any => any.to_owned(),
            Named::Kind(kind) => self.vocabulary.kind(kind).name.to_string(),
            Named::Exact(symbol) => self.show_symbol(symbol),
            Named::Below(symbol) => format!("{any} in {}", self.show_symbol(symbol)),
        }
    }

    fn show_symbol(&self, symbol: u32) -> String {
        self.symbols.name(symbol).map_or_else(String::new, |entity| self.show_entity(entity))
    }

    fn show_entity(&self, entity: &Entity) -> String {
        format!("{} {}", self.vocabulary.kind(entity.kind).name, quote(&entity.id))
    }

    /// An atom as it would stand in a policy.
    fn show_atom(&self, atom: &Atom) -> String {
        let show = |operand: &u32| self.show_operand(*operand);
        let two = |a: &u32, word: &str, b: &u32| format!("{} {word} {}", show(a), show(b));
        let kind = |kind: &KindId| &self.vocabulary.kind(*kind).name;
        match atom {
            Atom::True(a) => show(a),
            Atom::Compare(comparison, a, b) => {
                // Literals stand on the right.
                let turned = matches!(self.operands[*a as usize], Operand::Literal(_));
                let (a, b) = if turned { (b, a) } else { (a, b) };
                let word = match (comparison, turned) {
                    (Comparison::Equal, _) => "==",
                    (Comparison::Different, _) => "!=",
                    (Comparison::Less, false) => "<",
                    (Comparison::Less, true) => ">",
                    (Comparison::LessOrEqual, false) => "<=",
                    (Comparison::LessOrEqual, true) => ">=",
                };
                two(a, word, b)
            }
            Atom::InSet(a, b) | Atom::InNetwork(a, b) | Atom::InGroup(a, b) | Atom::Within(a, b) => {
                two(a, "in", b)
            }
            Atom::ContainsAll(a, b) => two(a, "contains all of", b),
            Atom::ContainsAny(a, b) => two(a, "contains any of", b),
            Atom::IsEmpty(a) => format!("{} is empty", show(a)),
            Atom::Matches(a, pattern) => format!("{} matches {}", show(a), quote(&pattern.text)),
            Atom::Exists(a) => format!("{} exists", show(a)),
            Atom::IsKind(a, of) => format!("{} is {}", show(a), kind(of)),
            Atom::HasRole(role) => format!("account has role {}", self.vocabulary.roles[role.index()].name),
            Atom::AtKind(of) => format!("at {}", kind(of)),
            Atom::AtKindBelow(of, top) => format!("at {} in {}", kind(of), self.show_symbol(*top)),
            Atom::Listed(list) => self.show_list(&self.lists[*list as usize]),
            Atom::Quantifier { all, set, depth, body } => {
                let word = if *all { "all" } else { "any" };
                let body = self.bodies[*body as usize];
                format!("{word} {} in {} satisfies {}", variable(*depth), show(set), self.show_body(body))
            }
        }
    }

    /// The test inside a quantifier, when it is one atom; else an ellipsis.
    fn show_body(&self, body: Ref) -> String {
        match body.node().map(|ix| self.nodes[ix]) {
            Some(node) if (node.yes, node.no) == (Ref::YES, Ref::NO) => {
                self.show_atom(&self.atoms[node.atom as usize])
            }
            Some(node) if (node.yes, node.no) == (Ref::NO, Ref::YES) => {
                format!("not ({})", self.show_atom(&self.atoms[node.atom as usize]))
            }
            Some(_) => "…".to_owned(),
            None => (body == Ref::YES).to_string(),
        }
    }

    fn show_list(&self, list: &HeadList) -> String {
        let (word, count) = match list {
            HeadList::Who(items) => ("account", items.len()),
            HeadList::Where(items) => ("at", items.len()),
            HeadList::What(items) => ("resource", items.len()),
        };
        format!("{word} is one of {count} listed")
    }

    fn show_operand(&self, operand: u32) -> String {
        let show = |operand: &u32| self.show_operand(*operand);
        let name = |name: &crate::value::NameId| self.vocabulary.name(*name);
        match &self.operands[operand as usize] {
            Operand::Literal(value) => self.show_value(value),
            Operand::Account => "account".to_owned(),
            Operand::Resource => "resource".to_owned(),
            Operand::Scope => "scope".to_owned(),
            Operand::Context(slot) => {
                format!("context.{}", name(&self.vocabulary.context[usize::from(*slot)].name))
            }
            Operand::Property(of) => format!("action.{}", name(of)),
            Operand::Variable(depth) => variable(*depth).to_owned(),
            Operand::Attribute(of, attribute) => format!("{}.{}", show(of), name(attribute)),
            Operand::Parent(of, kind) => format!("{}.{}", show(of), self.vocabulary.kind(*kind).name),
            Operand::Id(of) => format!("{}.id", show(of)),
            Operand::TimeOfDay(of) => format!("{}.time", show(of)),
            Operand::Weekday(of) => format!("{}.weekday", show(of)),
            Operand::Set(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
            Operand::Shift(of, by) => {
                let sign = if *by < 0 { "-" } else { "+" };
                format!("{} {sign} {}", show(of), show_duration(by.saturating_abs()))
            }
            Operand::Difference(a, b) => format!("{} - {}", show(a), show(b)),
        }
    }

    fn show_value(&self, value: &Value) -> String {
        match value {
            Value::Bool(v) => v.to_string(),
            Value::Int(v) => v.to_string(),
            Value::Decimal(v) => show_decimal(*v),
            Value::String(v) => quote(v),
            Value::Time(v) => quote(&show_time(*v)),
            Value::Duration(v) if *v < 0 => format!("-{}", show_duration(v.saturating_abs())),
            Value::Duration(v) => show_duration(*v),
            Value::TimeOfDay(v) => {
                let seconds = v / 1_000_000;
                let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
                if s == 0 { format!("\"{h:02}:{m:02}\"") } else { format!("\"{h:02}:{m:02}:{s:02}\"") }
            }
            Value::Weekday(v) => WEEKDAYS.get(usize::from(*v)).copied().unwrap_or("?").to_owned(),
            Value::Ip(v) => quote(&v.to_string()),
            Value::Cidr(v) => quote(&format!("{}/{}", v.network, v.prefix)),
            Value::Variant(of, variant) => {
                self.vocabulary.enums[of.index()].variants[usize::from(*variant)].0.to_string()
            }
            Value::Entity(entity) => self.show_entity(entity),
            Value::Set(items) => {
                format!("[{}]", items.iter().map(|item| self.show_value(item)).collect::<Vec<_>>().join(", "))
            }
            Value::Record(_) => "{…}".to_owned(),
        }
    }
}

fn variable(depth: u8) -> &'static str {
    ["x", "y"].get(usize::from(depth)).copied().unwrap_or("z")
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn show_decimal(units: i64) -> String {
    let (whole, fraction) = (units.unsigned_abs() / 10_000, units.unsigned_abs() % 10_000);
    let sign = if units < 0 { "-" } else { "" };
    let fraction = format!("{fraction:04}");
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}.0"),
        digits => format!("{sign}{whole}.{digits}"),
    }
}

fn show_duration(micros: i64) -> String {
    let units =
        [("d", 86_400_000_000i64), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)];
    let mut rest = micros;
    let mut words = Vec::new();
    for (name, unit) in units {
        if rest >= unit {
            words.push(format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if words.is_empty() { "0s".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_as_they_are_written() {
        assert_eq!(show_decimal(-10_500), "-1.05");
        assert_eq!(show_decimal(70_000), "7.0");
        assert_eq!(show_duration(90 * 86_400_000_000 + 300_000_000), "90d 5m");
        assert_eq!(quote("a\"b"), "\"a\\\"b\"");
    }
}
