//! What deciding by rules asks of whatever is decided: [`Asks`].
//!
//! In:    a question, resolved ([`Asking`]); or a request as text ([`Heard`](super::heard::Heard)).
//! Out:   where, what, who, in the tree's numbers; answers to conditions.
//! Law:   `decide.rs` is written once, over this; both give one decision (tests/laws/doors.rs).

use super::decide::home_covers;
use super::lookup::{NONE, Near};
use super::node::{Entry, Ref, Step as Part, Tree};
use super::quick::Quick;
use super::request::Asking;
use super::resolved::Seen;

/// What is searched for, and what answers conditions: a question, resolved, or a request as text.
pub(super) trait Asks {
    /// The tree.
    fn tree(&self) -> &Tree;
    /// Where and what.
    fn seen(&self) -> &Seen;
    /// The policies' nodes that concern the account, as many as fit.
    fn nodes(&self) -> &Near;
    /// The numbers of the others.
    fn more_nodes(&self) -> &[u32];
    /// The places that heads name.
    fn places(&self) -> &[u32];
    /// What is acted on and what it sits in, as far as heads name it.
    fn things(&self) -> &[u32];
    /// An account that the directory holds has a home, which is the request's scope or above it.
    fn home_covers(&self) -> bool;
    /// Whether an entry's one test says what it must; `None` if the entry is to be walked through.
    fn quick(&self, quick: &Quick) -> Option<bool>;
    /// A test's answer.
    fn answer(&self, atom: u32) -> bool;
    /// The leaf that a diagram leads to.
    fn walk(&self, at: Ref) -> Ref;

    /// The lowest place of an entry's rules that matches.
    #[inline(never)]
    fn entry(&self, entry: &Entry, lifted: u32) -> Option<u32> {
        match entry.test {
            Some(_) if lifted == entry.least => None,
            Some(test) => (self.answer(test.atom) == test.holds).then_some(entry.least),
            None => self.parts(entry, lifted),
        }
    }

    /// The same, part by part.
    fn parts(&self, entry: &Entry, lifted: u32) -> Option<u32> {
        let tree = self.tree();
        let range = match lifted {
            NONE => entry.start..entry.end,
            _ => entry.single_start..entry.single_end,
        };
        let parts = &tree.steps[range.start as usize..range.end as usize];
        parts.iter().filter(|part| part.place == Part::MERGED || lifted != part.place).find_map(|part| {
            let leaf = self.walk(part.root);
            match part.place {
                Part::MERGED => leaf.place(),
                place => (leaf != Ref::NO).then_some(place),
            }
        })
    }
}

impl Asks for Asking<'_, '_> {
    #[inline(always)]
    fn tree(&self) -> &Tree {
        self.tree
    }

    #[inline(always)]
    fn seen(&self) -> &Seen {
        self.seen
    }

    #[inline(always)]
    fn nodes(&self) -> &Near {
        &self.asker.nodes
    }

    #[inline(always)]
    fn more_nodes(&self) -> &[u32] {
        if self.asker.many { self.resolved.more_nodes(self.asker) } else { &[] }
    }

    fn places(&self) -> &[u32] {
        self.resolved.places(self.tree)
    }

    fn things(&self) -> &[u32] {
        self.resolved.things(self.tree)
    }

    #[inline(always)]
    fn home_covers(&self) -> bool {
        home_covers(self)
    }

    #[inline(always)]
    fn quick(&self, quick: &Quick) -> Option<bool> {
        Asking::quick(self, quick)
    }

    fn answer(&self, atom: u32) -> bool {
        self.answer_once(atom)
    }

    fn walk(&self, at: Ref) -> Ref {
        Asking::walk(self, at)
    }
}
