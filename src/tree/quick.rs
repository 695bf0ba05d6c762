//! Entries as deciding meets them: [`Quick`], one line of memory that answers what most conditions ask.
//!
//! In:    an entry; its one test, if that holds one attribute against a literal, a network or the account, perhaps after
//!        asking whether it is there.
//! Out:   what to read and what it must be; or that the entry is to be walked through.
//! Law:   [`Asking::quick`] says what walking through the entry says.

use super::atom::{Atom, Comparison, Operand};
use super::kept::{Kept, Print, SEATS};
use super::node::{Entry, Node, OneTest, Ref, Step, Tree};
use super::request::Asking;
use super::term::{Plain, Slots, order};
use crate::directory::Thing;
use crate::value::{Cidr, Entity, Value};
use std::cmp::Ordering;
use std::net::IpAddr;

/// An entry: the lowest place of its rules, and its one test if that is a usual one.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Quick {
    /// The lowest place of its rules.
    pub(super) least: u32,
    /// What the test must say.
    pub(super) holds: bool,
    /// Whether what it looks at must exist besides: an entity must be known.
    pub(super) exists: bool,
    /// Where that stands with a question, if it does.
    pub(super) seat: u8,
    /// What it looks at.
    pub(super) of: Plain,
    /// The print of what it must be or have.
    pub(super) print: Print,
    pub(super) test: Test,
}

/// What is asked of a value.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// It is true.
    True,
    /// This is its order to a literal.
    Order(Comparison, Value),
    /// The literal has this order to it.
    Turned(Comparison, Value),
    /// It is a set that has this element.
    Has(Value),
    /// It lies in this network.
    In(Cidr),
    /// It is the account.
    Account,
    /// Not one of these: the entry says what to ask.
    Entry,
}

/// One line of memory.
const _: () = assert!(size_of::<Quick>() == 64);

impl Test {
    /// The print of what a value must be or have.
    fn print(&self) -> Print {
        match self {
            Test::Order(Comparison::Equal, value)
            | Test::Turned(Comparison::Equal, value)
            | Test::Has(value) => Print::of(value),
            _ => Print::NONE,
        }
    }

    /// What it says of a value.
    #[inline]
    fn says(&self, value: &Value, account: &Entity) -> bool {
        match (self, value) {
            (Test::True, value) => *value == Value::Bool(true),
            (Test::Order(comparison, literal), value) => {
                order(value, literal).is_some_and(|order| comparison.holds(order))
            }
            (Test::Turned(comparison, literal), value) => {
                order(literal, value).is_some_and(|order| comparison.holds(order))
            }
            (Test::Has(element), Value::Set(set)) => has(set, element),
            (Test::In(network), Value::Ip(ip)) => network.contains(*ip),
            (Test::Account, Value::Entity(entity)) => entity == account,
            _ => false,
        }
    }
}

impl Quick {
    /// The entries of a tree, in their order.
    pub(super) fn of(tree: &Tree, slots: &Slots) -> Vec<Quick> {
        let quick = |entry: &Entry| {
            let (least, seat) = (entry.least, SEATS as u8);
            let usual = guarded(tree, entry).and_then(|(test, guard)| {
                let (of, operand, ask) = usual(tree, slots, test)?;
                // Of a guard for something else the entry says what to ask.
                (guard.is_none_or(|guard| guard == operand)).then_some((test.holds, guard.is_some(), of, ask))
            });
            match usual {
                Some((holds, exists, of, test)) => {
                    let print = test.print();
                    Quick { least, holds, exists, seat, of, print, test }
                }
                None => {
                    let (of, print, test) = (Plain::No, Print::NONE, Test::Entry);
                    Quick { least, holds: true, exists: false, seat, of, print, test }
                }
            }
        };
        tree.entries.iter().map(quick).collect()
    }
}

/// The one test of an entry; and which operand must exist besides, if one must.
fn guarded(tree: &Tree, entry: &Entry) -> Option<(OneTest, Option<u32>)> {
    if let Some(test) = entry.test {
        return Some((test, None));
    }
    let steps = &tree.steps[entry.start as usize..entry.end as usize];
    let [Step { root, place }] = steps else { return None };
    // Of several rules, some of which ask for something, another may match when the first is passed over.
    if entry.single_start != entry.start {
        return None;
    }
    let first = tree.nodes[root.node()?];
    let second = tree.nodes[first.yes.node()?];
    let yes = second.yes != Ref::NO && second.yes.node().is_none();
    let one_rule =
        *place == entry.least || (*place == Step::MERGED && second.yes.place() == Some(entry.least));
    if !yes || !one_rule || first.no != Ref::NO || second.no != Ref::NO {
        return None;
    }
    let test = |node: Node| OneTest { atom: node.atom, holds: true };
    match (&tree.atoms[first.atom as usize], &tree.atoms[second.atom as usize]) {
        (Atom::Exists(of), _) => Some((test(second), Some(*of))),
        (_, Atom::Exists(of)) => Some((test(first), Some(*of))),
        _ => None,
    }
}

/// What a test looks at, the operand that is, and what it asks, if it is a usual one.
fn usual(tree: &Tree, slots: &Slots, test: OneTest) -> Option<(Plain, u32, Test)> {
    let read = |operand: u32| {
        let plain = slots.plain(operand);
        matches!(plain, Plain::Resource(_) | Plain::Account(_) | Plain::Context(_))
            .then_some((plain, operand))
    };
    let literal = |operand: u32| match &tree.operands[operand as usize] {
        Operand::Literal(value) => Some(value.clone()),
        _ => None,
    };
    let account = |operand: u32| matches!(tree.operands[operand as usize], Operand::Account);
    let ((of, operand), test) = match &tree.atoms[test.atom as usize] {
        Atom::True(a) => (read(*a)?, Test::True),
        Atom::Compare(Comparison::Equal, a, b) if account(*b) => (read(*a)?, Test::Account),
        Atom::Compare(Comparison::Equal, a, b) if account(*a) => (read(*b)?, Test::Account),
        Atom::Compare(comparison, a, b) => match literal(*b) {
            Some(value) => (read(*a)?, Test::Order(*comparison, value)),
            None => (read(*b)?, Test::Turned(*comparison, literal(*a)?)),
        },
        Atom::InSet(a, set) => (read(*set)?, Test::Has(literal(*a)?)),
        Atom::InNetwork(a, network) => match literal(*network)? {
            Value::Cidr(network) => (read(*a)?, Test::In(network)),
            _ => return None,
        },
        _ => return None,
    };
    Some((of, operand, test))
}

impl Asking<'_, '_> {
    /// Whether an entry's one test says what it must; `None` if the entry is to be walked through.
    #[inline(always)]
    pub(super) fn quick(&self, quick: &Quick) -> Option<bool> {
        if let Test::Entry = quick.test {
            return None;
        }
        let kept = self.kept.get(usize::from(quick.seat)).copied().unwrap_or_default();
        let says = match (kept, &quick.test) {
            (Kept::Absent, _) => return Some(!quick.holds && !quick.exists),
            (Kept::Bool(v), Test::True) => v,
            (Kept::Int(v), Test::Order(comparison, Value::Int(literal))) => comparison.holds(v.cmp(literal)),
            (Kept::Int(v), Test::Turned(comparison, Value::Int(literal))) => {
                comparison.holds(literal.cmp(&v))
            }
            (Kept::Ip(ip), Test::In(network)) => network.contains(IpAddr::V4(ip)),
            (Kept::Printed(print, value), test) => {
                let other = if let Test::Account = test { self.asker.print } else { quick.print };
                if print.may(other) {
                    return Some(self.held_against(quick, Some(value)));
                }
                false
            }
            (Kept::Value(value), _) => return Some(self.held_against(quick, Some(value))),
            _ => return Some(self.held_against(quick, self.plain(quick.of))),
        };
        // What differs by its print is there; whether it is known, if it is an entity, has not been asked.
        if quick.exists && says == quick.holds && matches!(kept, Kept::Printed(..)) {
            return Some(self.held_against(quick, self.plain(quick.of)));
        }
        Some(says == quick.holds)
    }
}

impl<'a> Asking<'_, 'a> {
    /// The same of the value itself.
    #[inline(never)]
    fn held_against(&self, quick: &Quick, value: Option<&'a Value>) -> bool {
        let says = value.is_some_and(|value| quick.test.says(value, self.asker.entity));
        says == quick.holds && (!quick.exists || value.is_some_and(|value| self.exists(value)))
    }

    /// Whether a value that is there exists: what it names is known, if it names something.
    #[inline]
    fn exists(&self, value: &'a Value) -> bool {
        match value {
            Value::Entity(entity) => self.world().known(Thing::Entity(entity)),
            _ => true,
        }
    }
}

/// Whether a sorted set has an element.
#[inline]
fn has(set: &[Value], element: &Value) -> bool {
    let Value::String(text) = element else { return set.binary_search(element).is_ok() };
    let found = set.binary_search_by(|value| match value {
        Value::String(value) => value.as_str().cmp(text.as_str()),
        // Of another type, which no set of texts has.
        _ => Ordering::Less,
    });
    found.is_ok()
}

#[cfg(test)]
mod tests {
    use crate::set::PolicySet;
    use crate::source::Sources;

    /// Two denies on one condition: lifting the first, which asks for something, doesn't lift the second.
    #[test]
    fn a_rule_that_is_passed_over_leaves_the_next() {
        let text = "account user {}\nresource doc { owner: user? }\naction read on doc\npolicy p {\n\
            a: allow user to read on doc\n\
            d: deny user to read on doc when resource.owner exists and resource.owner == account ask mfa\n";
        let second = "e: deny user to read on doc when resource.owner exists and resource.owner == account\n";
        for (more, ask) in [("", true), (second, false)] {
            let mut sources = Sources::default();
            sources.add("p.pol", format!("{text}{more}}}\n"));
            let compiled = PolicySet::compile(sources, 0);
            let set = compiled.set.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
            let mut sources = Sources::default();
            let data = sources
                .add("d.json", r#"{"accounts":[{"kind":"user","id":"ana"},{"kind":"user","id":"ben"}]}"#);
            let directory = set.load_directory(&sources, data).0.expect("the data loads");
            let decide = |owner: &str| {
                let request = format!(
                    r#"{{"account":{{"kind":"user","id":"ana"}},"action":{{"name":"read"}},"resource":{{"kind":"doc",
                    "id":"x","attributes":{{"owner":{{"kind":"user","id":"{owner}"}}}}}}}}"#
                );
                let question = set.request(&directory, &request, 0).expect("the request fits");
                set.decide(&directory, &question)
            };
            assert!(decide("ben").is_allow());
            let denied = decide("ana");
            assert_eq!((denied.is_allow(), denied.ask), (false, ask), "{more}");
        }
    }
}
