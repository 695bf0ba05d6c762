//! Worlds as a proptest strategy, and how a failing one is made small: piece after piece is taken away.

use crate::expr::E;
use crate::world::{Wish, World};
use proptest::prelude::*;
use proptest::strategy::{NewTree, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value as Json;

/// Random worlds.
#[derive(Clone, Copy, Debug)]
pub struct Worlds(pub Wish);

impl Strategy for Worlds {
    type Tree = Shrinking;
    type Value = World;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let seed = any::<u64>().new_tree(runner)?.current();
        let world = World::random(seed, self.0);
        Ok(Shrinking { base: world.clone(), current: world, next: 0, gained: false })
    }
}

/// A failing world, and the next piece to take away from it.
pub struct Shrinking {
    base: World,
    current: World,
    next: usize,
    gained: bool,
}

impl Shrinking {
    fn step(&mut self) -> bool {
        loop {
            if let Some(smaller) = without(&self.base, self.next) {
                self.next += 1;
                self.current = smaller;
                return true;
            }
            self.current = self.base.clone();
            if !std::mem::take(&mut self.gained) {
                return false;
            }
            self.next = 0;
        }
    }
}

impl ValueTree for Shrinking {
    type Value = World;

    fn current(&self) -> World {
        self.current.clone()
    }

    /// The current world fails: go on from it.
    fn simplify(&mut self) -> bool {
        if self.next > 0 {
            self.base = self.current.clone();
            self.gained = true;
            // What was taken away has gone: the same number is another piece now.
            self.next -= 1;
        }
        self.step()
    }

    /// The current world doesn't fail: put the piece back, take another.
    fn complicate(&mut self) -> bool {
        self.step()
    }
}

/// Takes pieces away until the `n`-th is reached.
struct Knife {
    left: usize,
}

impl Knife {
    /// Whether this is the piece.
    fn here(&mut self) -> bool {
        let here = self.left == 0;
        self.left = self.left.wrapping_sub(1);
        here
    }

    fn list<T>(&mut self, list: &mut Vec<T>, mut inside: impl FnMut(&mut Self, &mut T) -> bool) -> bool {
        for i in 0..list.len() {
            if self.here() {
                list.remove(i);
                return true;
            }
            if inside(self, &mut list[i]) {
                return true;
            }
        }
        false
    }

    fn option<T>(&mut self, option: &mut Option<T>, inside: impl FnOnce(&mut Self, &mut T) -> bool) -> bool {
        match option {
            None => false,
            Some(value) => {
                if self.here() {
                    *option = None;
                    return true;
                }
                inside(self, value)
            }
        }
    }

    fn expr(&mut self, e: &mut E) -> bool {
        let mut children: Vec<E> = match e {
            E::Test(..) => return false,
            E::Not(inner) | E::Each(_, inner) => vec![(**inner).clone()],
            E::And(parts) | E::Or(parts) => parts.clone(),
            E::If(parts) => parts.to_vec(),
        };
        for child in &children {
            if self.here() {
                *e = child.clone();
                return true;
            }
        }
        if let E::And(parts) | E::Or(parts) = e
            && parts.len() > 2
        {
            for i in 0..parts.len() {
                if self.here() {
                    parts.remove(i);
                    return true;
                }
            }
        }
        let changed = children.iter_mut().any(|c| self.expr(c));
        match e {
            E::Not(inner) | E::Each(_, inner) => **inner = children.remove(0),
            E::And(parts) | E::Or(parts) => *parts = children,
            E::If(parts) => parts.clone_from_slice(&children),
            E::Test(..) => {}
        }
        changed
    }

    fn json(&mut self, json: &mut Json) -> bool {
        match json {
            Json::Array(list) => self.list(list, |k, item| k.json(item)),
            Json::Object(fields) => {
                let names: Vec<String> = fields.keys().cloned().collect();
                for name in names {
                    if self.here() {
                        fields.remove(&name);
                        return true;
                    }
                    if fields.get_mut(&name).is_some_and(|field| self.json(field)) {
                        return true;
                    }
                }
                false
            }
            _ => false,
        }
    }
}

/// A world without its `n`-th piece; `None` when there are fewer.
fn without(world: &World, n: usize) -> Option<World> {
    let mut w = world.clone();
    w.shrunk = true;
    let mut knife = Knife { left: n };
    // Halves of the requests first, then single ones.
    let half = w.requests.len() / 2;
    if half > 0 {
        for keep in [0..half, half..w.requests.len()] {
            if knife.here() {
                w.requests = w.requests[keep].to_vec();
                return Some(w);
            }
        }
    }
    let done = knife.list(&mut w.blocks, |k, b| {
        k.list(&mut b.rules, |k, r| {
            k.option(&mut r.when, Knife::expr)
                || k.option(&mut r.unless, Knife::expr)
                || k.option(&mut r.until, |_, _| false)
                || k.option(&mut r.because, |_, _| false)
                || k.option(&mut r.ask, |_, _| false)
                || k.list(&mut r.at, |_, _| false)
                || (r.what.len() > 1 && k.list(&mut r.what, |_, _| false))
                || (r.actions.len() > 1 && k.list(&mut r.actions, |_, _| false))
        })
    }) || knife.list(&mut w.conditions, |k, c| k.expr(&mut c.body))
        || knife.json(&mut w.data)
        || (w.requests.len() > 1 && knife.list(&mut w.requests, |_, _| false))
        || (w.requests.len() == 1 && knife.json(&mut w.requests[0]))
        || knife.list(&mut w.declarations, |_, _| false);
    done.then_some(w)
}
