//! Runs a law over worlds.

use crate::shrink::Worlds;
use crate::world::{Wish, World};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
};

/// Cases of the laws that look at every request of a world: this many (set, directory, request) triples.
pub fn cases() -> usize {
    let given = std::env::var("POLICYC_CASES").ok().and_then(|n| n.parse().ok());
    given.unwrap_or(110_000)
}

/// How many worlds a law looks at that is not counted in cases.
pub fn worlds(usual: u32) -> u32 {
    let given = std::env::var("POLICYC_WORLDS").ok().and_then(|n| n.parse().ok());
    given.unwrap_or(usual)
}

/// Holds a law against `worlds` worlds with `requests` requests each; panics with the smallest world that breaks it.
pub fn law(file: &'static str, worlds: u32, wish: Wish, test: impl Fn(World) -> Result<(), TestCaseError>) {
    let config = Config {
        cases: worlds,
        // `POLICYC_SHRINK=0`: that a law is broken is enough (.ci/mutants).
        max_shrink_iters: if std::env::var("POLICYC_SHRINK").as_deref() == Ok("0") { 0 } else { 60_000 },
        max_shrink_time: 60_000,
        source_file: Some(file),
        failure_persistence: match std::env::var("POLICYC_SHRINK").as_deref() {
            Ok("0") => None,
            _ => Some(Box::new(FileFailurePersistence::SourceParallel("regressions"))),
        },
        ..Config::default()
    };
    let mut seed = [0u8; 32];
    match std::env::var("POLICYC_SEED") {
        Ok(text) => text.bytes().zip(&mut seed).for_each(|(from, to)| *to = from),
        Err(_) => {
            for part in seed.chunks_mut(8) {
                part.copy_from_slice(&RandomState::new().build_hasher().finish().to_le_bytes());
            }
        }
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    match TestRunner::new_with_rng(config, rng).run(&Worlds(wish), test) {
        Ok(()) => {}
        Err(TestError::Fail(why, world)) => panic!("{why}\n{world:?}"),
        Err(TestError::Abort(why)) => panic!("aborted: {why}"),
    }
}
