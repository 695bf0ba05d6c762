//! The tree and the plain reading of the rules give one answer, to every accepted request.

use crate::run::{cases, law};
use crate::world::Wish;
use policyc::decision::Step;
use policyc::{meaning, tree};
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const REQUESTS: usize = 90;

#[derive(Default)]
struct Seen {
    worlds: AtomicUsize,
    asked: AtomicUsize,
    refused: AtomicUsize,
    allowed: AtomicUsize,
    steps: [AtomicUsize; 5],
    ask: AtomicUsize,
    in_key: AtomicUsize,
    chains: AtomicUsize,
}

#[test]
fn twins_agree() {
    let seen = Seen::default();
    let wanted = cases();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let started = std::time::Instant::now();
    std::thread::scope(|s| {
        for _ in 0..threads {
            s.spawn(|| {
                while seen.asked.load(Relaxed) < wanted {
                    // Some worlds at a time: refused requests don't count, so nobody knows how many are needed.
                    law(file!(), 24, Wish { requests: REQUESTS, wires: false }, |world| agree(&seen, &world));
                }
            });
        }
    });
    report(&seen, started.elapsed());
}

fn agree(seen: &Seen, world: &crate::world::World) -> Result<(), TestCaseError> {
    let engine = world.engine()?;
    let link = tree::Link::new(&engine.tree, &engine.directory);
    seen.worlds.fetch_add(1, Relaxed);
    for request in &world.requests {
        let question = match engine.ask(&request.to_string()) {
            Ok(question) => question,
            Err(_) => {
                seen.refused.fetch_add(1, Relaxed);
                continue;
            }
        };
        seen.asked.fetch_add(1, Relaxed);
        let plain = meaning::decide(&engine.program, &engine.directory, &question);
        let fast = tree::decide(&engine.tree, &engine.directory, &question);
        prop_assert_eq!(
            fast,
            plain,
            "tree {:?} and meaning {:?} differ on {}",
            engine.key(&question, &fast),
            engine.key(&question, &plain),
            request
        );
        let resolved = tree::Resolved::new(&engine.tree, &engine.directory, Some(&link), &question);
        prop_assert_eq!(resolved.decide(), plain, "with the directory linked: {}", request);
        match plain.refused_by {
            None => seen.allowed.fetch_add(1, Relaxed),
            Some(step) => seen.steps[step as usize].fetch_add(1, Relaxed),
        };
        seen.ask.fetch_add(usize::from(plain.ask), Relaxed);
        seen.in_key.fetch_add(usize::from(plain.rule.is_some_and(|r| r.in_key)), Relaxed);
        seen.chains.fetch_add(usize::from(!question.acting_for.is_empty()), Relaxed);
    }
    Ok(())
}

fn report(seen: &Seen, took: std::time::Duration) {
    let n = |count: &AtomicUsize| count.load(Relaxed);
    let asked = n(&seen.asked);
    println!(
        "{asked} cases in {} worlds, {took:.1?}: {} requests refused at the door, {} allowed, {} ask, \
         {} by a key's own text, {} chains",
        n(&seen.worlds),
        n(&seen.refused),
        n(&seen.allowed),
        n(&seen.ask),
        n(&seen.in_key),
        n(&seen.chains)
    );
    for step in [Step::Rule, Step::Default, Step::Scope, Step::Boundary, Step::ActingFor] {
        println!("  refused by {step:?}: {}", n(&seen.steps[step as usize]));
    }
    if asked < 10_000 {
        return;
    }
    let percent = n(&seen.allowed) * 100 / asked;
    assert!((20..=80).contains(&percent), "{percent} % allowed: the worlds are lopsided");
    assert!(n(&seen.refused) < asked, "most requests are refused at the door");
    for (step, count) in seen.steps.iter().enumerate() {
        assert!(n(count) > asked / 1_000, "step {step} hardly ever refuses");
    }
    assert!(n(&seen.ask) > asked / 1_000, "hardly any denial asks");
    assert!(n(&seen.in_key) > 0 && n(&seen.chains) > asked / 1_000);
}
