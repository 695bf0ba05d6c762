//! The tree and a linear reading of plain structs give one answer to every request of the benchmarks' world.

#[path = "../benches/world/mod.rs"]
mod world;

use policyc::Effect;
use policyc::decision::Step;
use world::World;

fn agrees(size: usize) {
    let world = World::new(size);
    let set = world.set();
    let directory = world.directory(&set);
    for request in &world.requests {
        let json = world.json(request);
        let decision = set.decide(&directory, &world.question(&set, &directory, &json));
        let expected = match world.plain(request) {
            Some(Effect::Allow) => None,
            Some(Effect::Deny) => Some(Step::Rule),
            None => Some(Step::Default),
        };
        assert_eq!(decision.refused_by, expected, "{size} rules: {json}");
        // The rule named is one that says so.
        if let Some(rule) = decision.rule {
            let answer = set.render(&world.question(&set, &directory, &json), &decision);
            let label = answer.rule.unwrap_or_else(|| panic!("rule {rule:?} has a label"));
            let number: usize = label.rsplit('r').next().and_then(|n| n.parse().ok()).expect("a number");
            assert_eq!(world.rules[number].effect, answer.decision, "{json}");
        }
    }
}

#[test]
fn ten_rules() {
    agrees(10);
}

#[test]
fn a_thousand_rules() {
    agrees(1_000);
}
