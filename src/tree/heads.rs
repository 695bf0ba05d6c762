//! Rule heads as paths of the index: [`Heads`].
//!
//! In:    a rule's who, what and where.
//! Out:   filings: the tokens of a path, the pairs, and what of the head is left to ask. A request fits the head exactly
//!        when it meets a filing's tokens and pairs and what is left holds.
//! Law:   as many filings as the head has items, times at most [`FANOUT_MAX`]: two long lists are not multiplied;
//!        one of them is asked as a test.

use super::atom::{Atom, Operand};
use super::index::Shape;
use super::node::{HeadList, Pairs, Symbols, Token};
use super::simplify::{ALWAYS, TestId, Tests};
use crate::check::program::{At, Rule, What, Who};
use crate::value::{ActionId, Entity, KindId};
use rustc_hash::FxHashMap;

/// How many times the longest list of a head its filings may be.
const FANOUT_MAX: usize = 4;
/// Filings of a head that are made whatever its lists are.
const FILINGS_FREE: usize = 16;

/// Where a rule is filed.
#[derive(Clone, Debug)]
pub(super) struct Filing {
    /// Who, where, what.
    pub(super) path: [Token; 3],
    /// The shape, by number.
    pub(super) shape: u32,
    /// What of the head is left to ask.
    pub(super) left: TestId,
}

/// One item of a list of a head.
#[derive(Clone, Copy, Debug)]
struct Item {
    token: Token,
    kind: Option<KindId>,
    left: TestId,
}

/// Shared tables that heads are made of.
#[derive(Default)]
pub(super) struct Heads {
    pub(super) symbols: Symbols,
    pub(super) lists: Vec<HeadList>,
    list_numbers: FxHashMap<HeadList, u32>,
    pub(super) shapes: Vec<Shape>,
    shape_numbers: FxHashMap<Shape, u32>,
    of_actions: FxHashMap<(Vec<ActionId>, Vec<KindId>), u32>,
}

impl Heads {
    /// Where to file a rule; `pairs` are those of the vocabulary.
    pub(super) fn filings(&mut self, tests: &mut Tests, pairs: &Pairs, rule: &Rule) -> Vec<Filing> {
        let who: Vec<Item> = rule.who.iter().map(|who| self.who(tests, who)).collect();
        let at: Vec<Item> = match rule.at.as_slice() {
            [] => vec![Item { token: Token::ANY, kind: None, left: ALWAYS }],
            items => items.iter().map(|at| self.at(tests, at)).collect(),
        };
        let what = self.what(pairs, rule);
        let [keep_who, keep_at, keep_what] = kept([who.len(), at.len(), what.len()]);
        let who = if keep_who { who } else { vec![self.one_test(tests, who, HeadList::Who)] };
        let at = if keep_at { at } else { vec![self.one_test(tests, at, HeadList::Where)] };
        let (what, what_left) = if keep_what { (what, ALWAYS) } else { self.what_test(tests, what) };
        let mut filings = Vec::with_capacity(who.len() * at.len() * what.len());
        for who in &who {
            for at in &at {
                for (token, shape) in &what {
                    let left = tests.and(&[who.left, at.left, what_left]);
                    filings.push(Filing { path: [who.token, at.token, *token], shape: *shape, left });
                }
            }
        }
        filings
    }

    /// Gives the groups that a rule names their numbers.
    pub(super) fn number_groups(&mut self, rule: &Rule) {
        for who in &rule.who {
            if let Who::Group(id) | Who::KindInGroup(_, id) = who {
                self.symbols.intern(&Entity { kind: KindId::GROUP, id: id.clone() });
            }
        }
    }

    fn exact(&mut self, entity: &Entity) -> Token {
        Token::exact(self.symbols.intern(entity))
    }

    fn who(&mut self, tests: &mut Tests, who: &Who) -> Item {
        let group = |id: &smol_str::SmolStr| Entity { kind: KindId::GROUP, id: id.clone() };
        let (token, kind) = match who {
            Who::Anyone => (Token::ANY, None),
            Who::Kind(kind) => (Token::kind(*kind), None),
            Who::Account(account) => (self.exact(account), None),
            Who::Group(id) => (self.exact(&group(id)), None),
            Who::KindInGroup(kind, id) => (self.exact(&group(id)), Some(*kind)),
        };
        let left = match kind {
            Some(kind) => {
                let account = tests.operand(Operand::Account);
                tests.atom(Atom::IsKind(account, kind))
            }
            None => ALWAYS,
        };
        Item { token, kind, left }
    }

    fn at(&mut self, tests: &mut Tests, at: &At) -> Item {
        match at {
            At::Node(node) => Item { token: self.exact(node), kind: None, left: ALWAYS },
            At::Kind(kind) => {
                Item { token: Token::ANY, kind: Some(*kind), left: tests.atom(Atom::AtKind(*kind)) }
            }
            At::KindIn(kind, top) => {
                let symbol = self.symbols.intern(top);
                let left = tests.atom(Atom::AtKindBelow(*kind, symbol));
                Item { token: Token::exact(symbol), kind: Some(*kind), left }
            }
        }
    }

    /// What, by token with the pairs each covers; tokens in the order of their first mention.
    fn what(&mut self, pairs: &Pairs, rule: &Rule) -> Vec<(Token, u32)> {
        if rule.what.iter().any(|what| matches!(what, What::Anything)) {
            let all: Vec<KindId> = Vec::new();
            return vec![(Token::ANY, self.shape(pairs, &rule.actions, all, true))];
        }
        let mut kinds: indexmap::IndexMap<Token, (Vec<KindId>, bool)> = indexmap::IndexMap::new();
        for what in &rule.what {
            let mut cover = |token: Token, kind: Option<KindId>| {
                let (list, all) = kinds.entry(token).or_default();
                list.extend(kind);
                *all |= kind.is_none();
            };
            match what {
                What::Anything => {}
                What::Kind(kind) => cover(Token::ANY, Some(*kind)),
                What::Entity(entity) => cover(self.exact(entity), Some(entity.kind)),
                What::KindIn(kind, top) => cover(Token::below(self.symbols.intern(top)), Some(*kind)),
                What::AnythingIn(top) => {
                    let symbol = self.symbols.intern(top);
                    cover(Token::exact(symbol), Some(top.kind));
                    cover(Token::below(symbol), None);
                }
            }
        }
        kinds
            .into_iter()
            .map(|(token, (list, all))| (token, self.shape(pairs, &rule.actions, list, all)))
            .collect()
    }

    /// The number of the shape of some actions on some kinds, or on `all`.
    fn shape(&mut self, pairs: &Pairs, actions: &[ActionId], mut kinds: Vec<KindId>, all: bool) -> u32 {
        kinds.sort_unstable();
        kinds.dedup();
        if all {
            // Kinds are fewer than this: the list stands for all of them.
            kinds = vec![KindId(u16::MAX)];
        }
        let key = (actions.to_vec(), kinds);
        if let Some(number) = self.of_actions.get(&key) {
            return *number;
        }
        let mut found = Vec::new();
        for action in actions {
            if all {
                found.extend(pairs.range(*action));
            } else {
                found.extend(key.1.iter().filter_map(|kind| pairs.number(*action, *kind)));
            }
        }
        found.sort_unstable();
        found.dedup();
        let shape = Shape::of(&found);
        let next = self.shapes.len() as u32;
        let number = *self.shape_numbers.entry(shape.clone()).or_insert(next);
        if number == next {
            self.shapes.push(shape);
        }
        self.of_actions.insert(key, number);
        number
    }

    fn list(&mut self, tests: &mut Tests, list: HeadList) -> TestId {
        let next = self.lists.len() as u32;
        let number = *self.list_numbers.entry(list.clone()).or_insert(next);
        if number == next {
            self.lists.push(list);
        }
        tests.atom(Atom::Listed(number))
    }

    fn one_test(
        &mut self,
        tests: &mut Tests,
        items: Vec<Item>,
        list: fn(Vec<(Token, Option<KindId>)>) -> HeadList,
    ) -> Item {
        let mut items: Vec<_> = items.into_iter().map(|item| (item.token, item.kind)).collect();
        items.sort_unstable();
        items.dedup();
        Item { token: Token::ANY, kind: None, left: self.list(tests, list(items)) }
    }

    fn what_test(&mut self, tests: &mut Tests, mut items: Vec<(Token, u32)>) -> (Vec<(Token, u32)>, TestId) {
        items.sort_unstable();
        let mut all: Vec<u32> =
            items.iter().flat_map(|(_, shape)| self.shapes[*shape as usize].pairs()).collect();
        all.sort_unstable();
        all.dedup();
        let shape = Shape::of(&all);
        let next = self.shapes.len() as u32;
        let number = *self.shape_numbers.entry(shape.clone()).or_insert(next);
        if number == next {
            self.shapes.push(shape);
        }
        (vec![(Token::ANY, number)], self.list(tests, HeadList::What(items)))
    }
}

/// Which of the lists are filed item by item: all while they are short, else the longest and what is short beside it.
fn kept(lens: [usize; 3]) -> [bool; 3] {
    let product = |keep: [bool; 3]| {
        lens.iter().zip(keep).filter(|(_, keep)| *keep).fold(1usize, |n, (len, _)| n.saturating_mul(*len))
    };
    if product([true; 3]) <= FILINGS_FREE {
        return [true; 3];
    }
    let longest = (0..3).rev().max_by_key(|i| lens[*i]).unwrap_or(0);
    let mut keep = [false; 3];
    keep[longest] = true;
    let mut others: Vec<usize> = (0..3).filter(|i| *i != longest).collect();
    others.sort_by_key(|i| lens[*i]);
    for other in others {
        let mut more = keep;
        more[other] = true;
        if product(more) <= lens[longest].saturating_mul(FANOUT_MAX) {
            keep = more;
        }
    }
    keep
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_not_multiplied() {
        assert_eq!(kept([1, 1, 1]), [true; 3]);
        assert_eq!(kept([4, 2, 2]), [true; 3]);
        assert_eq!(kept([50_000, 1, 1]), [true; 3]);
        assert_eq!(kept([50_000, 3, 1]), [true; 3]);
        assert_eq!(kept([50_000, 50, 2]), [true, false, true]);
        assert_eq!(kept([50, 60, 70]), [false, false, true]);
    }
}
