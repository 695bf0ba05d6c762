//! policyc: the set compiled, the data loaded, the requests resolved.

use crate::allocator;
use crate::measure::median;
use crate::world::{REQUESTS, World};
use policyc::{Directory, Link, PolicySet, Question, Resolved, Room, TextRequest, check, syntax, tree};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// A set, a directory, requests.
pub struct Prepared {
    set: PolicySet,
    directory: Directory,
    link: Link,
    questions: Vec<Question>,
    texts: Vec<TextRequest<'static>>,
}

/// Requests from text, one after the other.
pub struct FromText<'a> {
    prepared: &'a Prepared,
    room: Room,
}

/// The requests resolved.
pub struct Ours<'a>(Vec<Resolved<'a>>);

impl Prepared {
    pub fn new(world: &World) -> Prepared {
        let set = world.set();
        let directory = world.directory(&set);
        let questions = world.questions(&set, &directory);
        let texts = world.requests.iter().map(|request| world.text(request)).collect();
        let link = set.link(&directory);
        Prepared { set, directory, link, questions, texts }
    }

    pub fn from_text(&self) -> FromText<'_> {
        FromText { prepared: self, room: Room::new() }
    }

    pub fn resolved(&self) -> Ours<'_> {
        let resolve = |question| self.set.resolve(&self.directory, Some(&self.link), question);
        Ours(self.questions.iter().map(resolve).collect())
    }
}

impl FromText<'_> {
    #[inline]
    pub fn decide(&mut self, n: usize) -> bool {
        let Prepared { set, directory, link, texts, .. } = self.prepared;
        let decision = set.decide_text(directory, Some(link), &texts[n], &mut self.room);
        decision.expect("the world's requests fit").is_allow()
    }
}

impl Ours<'_> {
    #[inline]
    pub fn decide(&self, n: usize) -> bool {
        self.0[n].decide().is_allow()
    }

    /// Requests for memory per decision.
    pub fn allocations(&self) -> f64 {
        let before = allocator::count();
        (0..REQUESTS).for_each(|n| {
            black_box(self.decide(n));
        });
        (allocator::count() - before) as f64 / REQUESTS as f64
    }

    /// The rate at which two threads decide, in rates of one: the best of several tries of each, in turns, since whatever
    /// else the machine does only takes away.
    pub fn two_threads(&self) -> f64 {
        let (mut one, mut two) = (0.0_f64, 0.0_f64);
        for _ in 0..9 {
            one = one.max(self.rate());
            let ready = Barrier::new(2);
            let start = || {
                ready.wait();
                self.rate()
            };
            two = two.max(std::thread::scope(|scope| {
                let other = scope.spawn(start);
                start() + other.join().expect("deciding doesn't panic")
            }));
        }
        two / one
    }

    fn rate(&self) -> f64 {
        let (started, mut done) = (Instant::now(), 0usize);
        while started.elapsed() < Duration::from_millis(150) {
            (0..REQUESTS).for_each(|n| {
                black_box(self.decide(n));
            });
            done += REQUESTS;
        }
        done as f64 / started.elapsed().as_secs_f64()
    }
}

/// What compiling, keeping and loading a set of this size costs.
pub fn costs(rules: usize) -> String {
    let world = World::new(rules);
    let timed = |what: &mut dyn FnMut()| {
        let once = |_| {
            let started = Instant::now();
            what();
            started.elapsed().as_secs_f64()
        };
        median(&(0..3).map(once).collect::<Vec<f64>>())
    };
    let sources = world.sources();
    let to_tree = timed(&mut || {
        let files: Vec<_> = sources.iter().map(|(id, _)| syntax::parse::parse(&sources, id).0).collect();
        let program = check::check(&sources, &files).0.expect("the world checks");
        black_box(tree::lower(&program).expect("within limits"));
    });
    let everything = timed(&mut || {
        black_box(PolicySet::compile(world.sources(), 0));
    });
    let set = world.set();
    let built = set.to_built();
    let load = timed(&mut || {
        black_box(PolicySet::from_built(&built).expect("what was written is read"));
    });
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    format!(
        "\n{rules} rules: parse to tree {to_tree:.2} s, with warnings {everything:.2} s; tree {:.1} MiB, \
         built file {:.1} MiB, loaded in {load:.3} s\n",
        mib(set.stats().tree.bytes),
        mib(built.len()),
    )
}
