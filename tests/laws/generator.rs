//! The generator keeps its promise: every world checks and loads.

use crate::run::worlds;
use crate::world::{Engine, Wish, World};

#[test]
fn every_generated_world_checks() {
    let mut bad = Vec::new();
    for seed in 0..u64::from(worlds(300)) {
        let world = World::random(seed, Wish { requests: 0, wires: seed.is_multiple_of(2) });
        if let Err(why) = Engine::new(&[world.source()], &world.data.to_string()) {
            bad.push(format!("seed {seed}: {why}"));
        }
    }
    assert!(bad.is_empty(), "{} worlds are refused:\n{}", bad.len(), bad[..bad.len().min(12)].join("\n"));
}

#[test]
#[ignore = "shows the world of POLICYC_SHOW"]
fn show_a_world() {
    let seed = std::env::var("POLICYC_SHOW").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    println!("{:?}", World::random(seed, Wish { requests: 5, wires: seed.is_multiple_of(2) }));
}
