//! The names and declarations of a vocabulary as requests in text meet them: [`Words`].
//!
//! In:    a vocabulary.
//! Out:   kinds, actions and attributes by wire name; of each declaration what a value is held against, side by side.
//! Law:   a name of at most sixteen bytes is its [`Print`], so that comparing prints compares names; longer ones are
//!        compared in full besides.

use crate::check::program::{Attribute, Provenance, Sort, Type, Vocabulary};
use crate::value::{ActionId, EnumId, KindId};
use smol_str::SmolStr;

/// What is read of a name at once: its length, and of it the first and the last eight bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Print {
    first: u64,
    last: u64,
    len: usize,
}

impl Print {
    /// Names up to this length have prints of their own.
    pub(crate) const BYTES: usize = 16;

    #[inline(always)]
    pub(crate) fn of(name: &str) -> Print {
        let bytes = name.as_bytes();
        let len = bytes.len();
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            return Print { first: u64::from_le_bytes(*first), last: u64::from_le_bytes(*last), len };
        }
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            return Print { first: u64::from(first), last: u64::from(last), len };
        }
        let first = bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        Print { first, last: 0, len }
    }

    /// Whether all that was read is ASCII: the whole name, if it is one of at most [`Print::BYTES`].
    #[inline(always)]
    pub(crate) fn is_ascii(self) -> bool {
        (self.first | self.last) & 0x8080_8080_8080_8080 == 0
    }

    #[inline(always)]
    fn hash(self) -> usize {
        let mixed = self.first ^ self.last.rotate_left(23) ^ (self.len as u64) << 56;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
    }

    /// Whether the name with this print is one that has `other`; the names themselves stand behind.
    #[inline(always)]
    fn is(self, name: &str, other: Print, other_name: &SmolStr) -> bool {
        self == other && (self.len <= Self::BYTES || name == other_name.as_str())
    }
}

/// Whether two texts are equal; short ones are not worth a call.
#[inline(always)]
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && (Print::of(a) == Print::of(b)) && (a.len() <= Print::BYTES || a == b)
}

/// The wire names of a vocabulary, indexed, and what is declared of them.
#[derive(Clone, Debug, Default)]
pub struct Words {
    kind_names: Index,
    action_names: Index,
    kinds: Box<[KindWords]>,
    actions: Box<[Declared]>,
    context: Declared,
    has_scopes: bool,
}

/// A kind as requests meet it.
#[derive(Clone, Debug)]
pub(crate) struct KindWords {
    /// Its attributes.
    pub(crate) declared: Declared,
    /// What it is a kind of.
    pub(crate) sort: Sort,
    /// Accounts of it must have somebody behind them.
    pub(crate) acts_for: bool,
    /// Accounts of it may be unknown to the directory.
    pub(crate) supplied: bool,
    /// Whether it may sit in nothing.
    pub(crate) stands_alone: bool,
}

/// Attributes, properties or entries of the context, by slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    /// By slot.
    pub(crate) slots: Box<[Slot]>,
    /// Bits of the slots that must be filled.
    pub(crate) required: u64,
    /// Bits of the slots that a request may fill for what the directory doesn't hold.
    pub(crate) given: u64,
    /// Bits of the slots that a request may fill for what the directory holds.
    pub(crate) supplied: u64,
}

/// A declaration.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    print: Print,
    /// What a value must be.
    pub(crate) kind: SlotType,
    name: SmolStr,
}

/// The types whose values are taken as text as they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotType {
    /// `Bool`
    Bool,
    /// `Int`
    Int,
    /// `String`
    String,
    /// `Time`
    Time,
    /// `Ip`
    Ip,
    /// `Cidr`
    Cidr,
    /// An enum
    Enum(EnumId),
    /// A reference to one kind
    Ref(KindId),
    /// `Set<String>`
    Strings,
    /// Any other
    Other,
}

impl SlotType {
    fn of(ty: &Type) -> SlotType {
        match ty {
            Type::Bool => SlotType::Bool,
            Type::Int => SlotType::Int,
            Type::String => SlotType::String,
            Type::Time => SlotType::Time,
            Type::Ip => SlotType::Ip,
            Type::Cidr => SlotType::Cidr,
            Type::Enum(id) => SlotType::Enum(*id),
            Type::Ref(kinds) => match kinds[..] {
                [kind] => SlotType::Ref(kind),
                _ => SlotType::Other,
            },
            Type::Set(element) if **element == Type::String => SlotType::Strings,
            _ => SlotType::Other,
        }
    }
}

impl Declared {
    /// The last bit, which stands for all slots from there on.
    const LAST: usize = 63;

    fn of(vocabulary: &Vocabulary, attributes: &[Attribute]) -> Declared {
        let slot = |attribute: &Attribute| {
            let name = vocabulary.name(attribute.name);
            Slot { print: Print::of(name), kind: SlotType::of(&attribute.ty), name: name.into() }
        };
        let bits = |which: &dyn Fn(&Attribute) -> bool| {
            let all = attributes.iter().enumerate().filter(|(_, a)| which(a));
            all.fold(0, |bits, (slot, _)| bits | 1 << slot.min(Self::LAST))
        };
        Declared {
            slots: attributes.iter().map(slot).collect(),
            required: bits(&|a| !a.optional),
            given: bits(&|a| a.provenance != Provenance::Stored),
            supplied: bits(&|a| a.provenance == Provenance::Supplied),
        }
    }

    /// The slot of a name; it is looked for from `next` on, since most requests give values in the order of their
    /// declarations.
    #[inline(always)]
    pub(crate) fn slot(&self, name: &str, next: usize) -> Option<(usize, SlotType)> {
        let print = Print::of(name);
        let mut at = next;
        for _ in 0..self.slots.len() {
            if at >= self.slots.len() {
                at = 0;
            }
            let slot = &self.slots[at];
            if print.is(name, slot.print, &slot.name) {
                return Some((at, slot.kind));
            }
            at += 1;
        }
        None
    }
}

impl Words {
    /// Indexes the names of a vocabulary.
    pub fn new(vocabulary: &Vocabulary) -> Words {
        let kinds = vocabulary.kinds.iter().map(|kind| KindWords {
            declared: Declared::of(vocabulary, &kind.attributes),
            sort: kind.sort,
            acts_for: !kind.acting_for.is_empty(),
            supplied: kind.supplied,
            stands_alone: kind.parents.is_empty() || kind.parent_optional,
        });
        let actions = vocabulary.actions.iter().map(|action| Declared::of(vocabulary, &action.properties));
        Words {
            kind_names: Index::of(vocabulary.kinds.iter().map(|kind| &kind.wire)),
            action_names: Index::of(vocabulary.actions.iter().map(|action| &action.wire)),
            kinds: kinds.collect(),
            actions: actions.collect(),
            context: Declared::of(vocabulary, &vocabulary.context),
            has_scopes: vocabulary.has_scopes(),
        }
    }

    /// Whether requests stand at a scope.
    #[inline]
    pub(crate) fn has_scopes(&self) -> bool {
        self.has_scopes
    }

    /// The kind with this name.
    #[inline(always)]
    pub(crate) fn kind(&self, name: &str) -> Option<KindId> {
        self.kind_names.get(name).map(KindId)
    }

    /// The kind with this name, and what is declared of it.
    #[inline(always)]
    pub(crate) fn declared(&self, name: &str) -> Option<(KindId, &KindWords)> {
        let kind = self.kind(name)?;
        Some((kind, self.kinds.get(kind.index())?))
    }

    /// The action with this name.
    #[inline(always)]
    pub(crate) fn action(&self, name: &str) -> Option<ActionId> {
        self.action_names.get(name).map(ActionId)
    }

    /// The properties of an action.
    #[inline(always)]
    pub(crate) fn properties(&self, action: ActionId) -> &Declared {
        &self.actions[action.index()]
    }

    /// The context.
    #[inline(always)]
    pub(crate) fn context(&self) -> &Declared {
        &self.context
    }
}

/// Names by their prints: a table with open addressing. Names that meet there are chosen by those who write the set.
#[derive(Clone, Debug, Default)]
struct Index {
    places: Box<[Place]>,
    names: Box<[SmolStr]>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    print: Print,
    number: u16,
}

impl Index {
    const EMPTY: Place = Place { print: Print { first: 0, last: 0, len: 0 }, number: u16::MAX };

    /// Of names that are there twice the first counts.
    fn of<'n>(names: impl ExactSizeIterator<Item = &'n SmolStr>) -> Index {
        let mask = (8 * names.len()).next_power_of_two() - 1;
        let mut places = vec![Self::EMPTY; mask + 1].into_boxed_slice();
        let names: Box<[SmolStr]> = names.cloned().collect();
        for (name, number) in names.iter().zip(0..) {
            let print = Print::of(name);
            let mut at = print.hash() & mask;
            while places[at].number != u16::MAX {
                at = (at + 1) & mask;
            }
            places[at] = Place { print, number };
        }
        Index { places, names }
    }

    #[inline(always)]
    fn get(&self, name: &str) -> Option<u16> {
        let mask = self.places.len().checked_sub(1)?;
        let print = Print::of(name);
        let mut at = print.hash() & mask;
        loop {
            let place = self.places[at & mask];
            if place.number == u16::MAX {
                return None;
            }
            if print == place.print
                && (print.len <= Print::BYTES || self.names[usize::from(place.number)] == name)
            {
                return Some(place.number);
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::fixture::{DOCUMENT, READ, vocabulary};

    #[test]
    fn names_are_found() {
        let names: Vec<SmolStr> = (0..300).map(|n| format!("{}{n}", "name".repeat(n % 5)).into()).collect();
        let index = Index::of(names.iter());
        for (n, name) in names.iter().enumerate() {
            assert_eq!(index.get(name), Some(n as u16));
            assert_eq!(index.get(&format!("{name}x")), None);
        }
        let twice = ["same", "other", "same", "a name of more than sixteen bytes"].map(SmolStr::from);
        let index = Index::of(twice.iter());
        assert_eq!((index.get("same"), index.get(&twice[3])), (Some(0), Some(3)));
        assert_eq!(index.get("a name of more THAN sixteen bytes"), None);
        assert_eq!(Index::default().get("same"), None);
    }

    #[test]
    fn a_short_name_is_its_print() {
        let texts: Vec<String> = (0..40)
            .flat_map(|len| {
                (0..=len).map(move |at| (0..len).map(|n| if n == at { 'b' } else { 'a' }).collect())
            })
            .collect();
        for a in &texts {
            for b in &texts {
                assert_eq!(same(a, b), a == b, "{a} {b}");
                assert!(a == b || a.len() > Print::BYTES || Print::of(a) != Print::of(b), "{a} {b}");
            }
        }
    }

    #[test]
    fn what_is_declared_stands_side_by_side() {
        let v = vocabulary();
        let words = Words::new(&v);
        let (kind, document) = words.declared("document").expect("it is declared");
        assert_eq!((kind, document.sort, words.action("read")), (DOCUMENT, Sort::Resource, Some(READ)));
        let declared = &document.declared;
        for (n, attribute) in v.kind(DOCUMENT).attributes.iter().enumerate() {
            let name = v.name(attribute.name);
            assert_eq!(declared.slot(name, 0).map(|(slot, _)| slot), Some(n));
            assert_eq!(declared.slot(name, n), declared.slot(name, 99));
            assert_eq!(declared.required >> n & 1 == 1, !attribute.optional);
            assert_eq!(declared.given >> n & 1 == 1, attribute.provenance != Provenance::Stored);
        }
        assert_eq!(declared.slot("nothing", 0), None);
    }
}
