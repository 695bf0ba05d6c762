//! What a decision costs, from 10 to 100,000 rules: `cargo bench --bench decide`.
//!
//! Each sample is one pass over the world's 10,000 requests, so a figure is the mean of all of them in one pass and the
//! median over the passes. `fxhash_probe` is the yardstick: one lookup in a table with as many entries as there are rules.

mod world;

use divan::{Bencher, black_box};
use policyc::{Directory, PolicySet, Question, Resolved, Room, TextRequest};
use rustc_hash::FxHashMap;
use std::sync::{Arc, LazyLock, Mutex};
use world::{REQUESTS, Random, SIZES, World};

fn main() {
    divan::main();
}

struct Ready {
    set: PolicySet,
    directory: Directory,
    questions: Vec<Question>,
    texts: Vec<TextRequest<'static>>,
    json: Vec<String>,
}

/// Each world is made once a run, and checked before anything is measured on it.
fn ready(size: usize) -> Arc<Ready> {
    static READY: LazyLock<Mutex<FxHashMap<usize, Arc<Ready>>>> = LazyLock::new(Mutex::default);
    let mut all = READY.lock().expect("nothing panics while it is held");
    let make = || {
        let world = World::new(size);
        let set = world.set();
        let directory = world.directory(&set);
        let json: Vec<String> = world.requests.iter().map(|r| world.json(r)).collect();
        let questions = world.questions(&set, &directory);
        let texts = world.requests.iter().map(|r| world.text(r)).collect();
        for (request, question) in world.requests.iter().zip(&questions) {
            let expected = world.plain(request) == Some(policyc::Effect::Allow);
            assert_eq!(set.decide(&directory, question).is_allow(), expected, "{}", world.json(request));
        }
        Arc::new(Ready { set, directory, questions, texts, json })
    };
    Arc::clone(all.entry(size).or_insert_with(make))
}

/// Calls `each` with 0, 1, 2 … up to the number of requests, then from 0 again.
fn cycle(bencher: Bencher, mut each: impl FnMut(usize)) {
    let mut n = 0;
    bencher.bench_local(|| {
        each(n);
        n = if n + 1 == REQUESTS { 0 } else { n + 1 };
    });
}

/// One lookup in a table with as many entries as there are rules.
#[divan::bench(args = SIZES, sample_size = REQUESTS as u32, sample_count = 100)]
fn a_fxhash_probe(bencher: Bencher, size: usize) {
    let mut random = Random::new(7);
    let keys: Vec<(u32, u32)> = (0..size).map(|n| (n as u32, random.below(1 << 20) as u32)).collect();
    let table: FxHashMap<(u32, u32), u32> = keys.iter().copied().zip(0..).collect();
    let asked: Vec<(u32, u32)> = (0..REQUESTS).map(|_| keys[random.below(size)]).collect();
    cycle(bencher, |n| {
        black_box(table.get(black_box(&asked[n])).copied());
    });
}

/// A resolved request to its decision.
#[divan::bench(args = SIZES, sample_size = REQUESTS as u32, sample_count = 100)]
fn b_resolved(bencher: Bencher, size: usize) {
    let ready = ready(size);
    let link = ready.set.link(&ready.directory);
    let resolve = |question| ready.set.resolve(&ready.directory, Some(&link), question);
    let resolved: Vec<Resolved<'_>> = ready.questions.iter().map(resolve).collect();
    cycle(bencher, |n| {
        black_box(black_box(&resolved[n]).decide());
    });
}

/// A question to a resolved request.
#[divan::bench(args = SIZES, sample_size = REQUESTS as u32, sample_count = 100)]
fn c_resolve(bencher: Bencher, size: usize) {
    let ready = ready(size);
    let link = ready.set.link(&ready.directory);
    cycle(bencher, |n| {
        black_box(ready.set.resolve(&ready.directory, Some(&link), black_box(&ready.questions[n])));
    });
}

/// A request as text in a struct to its decision: reading, resolving, deciding.
#[divan::bench(args = SIZES, sample_size = REQUESTS as u32, sample_count = 100)]
fn c_from_text(bencher: Bencher, size: usize) {
    let ready = ready(size);
    let link = ready.set.link(&ready.directory);
    let mut room = Room::new();
    cycle(bencher, |n| {
        let decision =
            ready.set.decide_text(&ready.directory, Some(&link), black_box(&ready.texts[n]), &mut room);
        black_box(decision.expect("it fits"));
    });
}

/// A request as JSON text to its decision: reading, resolving, deciding.
#[divan::bench(args = SIZES, sample_size = REQUESTS as u32, sample_count = 10)]
fn c_from_json(bencher: Bencher, size: usize) {
    let ready = ready(size);
    cycle(bencher, |n| {
        let question = ready.set.request(&ready.directory, black_box(&ready.json[n]), 0).expect("it fits");
        black_box(ready.set.decide(&ready.directory, &question));
    });
}

/// A resolved request to its explanation.
#[divan::bench(args = SIZES, sample_size = 20, sample_count = 5)]
fn d_explain(bencher: Bencher, size: usize) {
    let ready = ready(size);
    cycle(bencher, |n| {
        black_box(ready.set.explain(&ready.directory, black_box(&ready.questions[n])));
    });
}
