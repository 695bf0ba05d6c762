//! The tree and a linear reading of plain structs give one answer to every request of the benchmarks' world.

#[path = "../benches/world/mod.rs"]
mod world;

use policyc::decision::Step;
use policyc::{Effect, Room};
use world::World;

fn agrees(size: usize) {
    let world = World::new(size);
    let set = world.set();
    let directory = world.directory(&set);
    let link = set.link(&directory);
    let mut room = Room::new();
    for request in &world.requests {
        let json = world.json(request);
        let decision = set.decide(&directory, &world.question(&set, &directory, &json));
        let expected = match world.plain(request) {
            Some(Effect::Allow) => None,
            Some(Effect::Deny) => Some(Step::Rule),
            None => Some(Step::Default),
        };
        assert_eq!(decision.refused_by, expected, "{size} rules: {json}");
        let by_text = set.decide_text(&directory, Some(&link), &world.text(request), &mut room);
        assert_eq!(by_text, Ok(decision), "{size} rules, as text: {json}");
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
