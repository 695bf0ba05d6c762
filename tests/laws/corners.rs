//! Corners that worlds drawn at random seldom reach, drawn on purpose: an account in more groups than stand beside it, memberships
//! that end at this very moment, references to nobody, sets of which one element fits and another doesn't, boundaries on the way up.

use crate::dice::Dice;
use crate::doors::text_of;
use crate::run::worlds;
use crate::world::Engine;
use policyc::request::Words;
use policyc::tree::{Door, Hearing};
use policyc::{Link, Resolved, meaning, tree};
use serde_json::{Value as Json, json};

const VOCABULARY: &str = "
scope org
scope team in org
account user
record Grade { level: Int, name: String }
resource document { level: Int, owner: user?, grades: Set<Grade>? }
action read on document
";

/// Rules beside those of groups; each set has some of them.
const RULES: [&str; 4] = [
    "allow anyone to read on document when resource.owner exists and resource.owner == user \"ghost\"",
    "deny anyone to read on document when resource.owner exists and resource.owner == account",
    "allow user to read on document at team
        when resource.grades exists and any g in resource.grades satisfies (g.level > 1 and g.level < 3)",
    "allow user \"bo\" to read on document when resource.level < 3",
];

/// More than the nodes that stand with a question, which are eight.
const GROUPS: usize = 12;
/// The last moment before a membership ends, the one at which it does, the first one after.
const TIMES: [&str; 3] =
    ["2026-01-01T23:59:59.999999Z", "2026-01-02T00:00:00Z", "2026-01-02T00:00:00.000001Z"];
const REQUESTS: usize = 40;

fn group(n: usize) -> String {
    format!("g{n}")
}

fn set(dice: &mut Dice) -> String {
    let mut rules = dice.few(&RULES.map(str::to_owned), RULES.len());
    for n in 0..GROUPS {
        if dice.chance(80) {
            let effect = if dice.chance(20) { "deny" } else { "allow" };
            let group = group(n);
            rules.push(format!("{effect} group \"{group}\" to read on document when resource.level == {n}"));
        }
    }
    if rules.is_empty() {
        rules.push(RULES[0].to_owned());
    }
    let rules = rules.join("\n");
    format!(
        "{VOCABULARY}policy p {{\n{rules}\n}}\nboundary narrow {{ allow read on document when resource.level < 6 }}\n"
    )
}

fn account(dice: &mut Dice, id: &str) -> Json {
    let all: Vec<String> = (0..GROUPS).map(group).collect();
    let most = *dice.pick(&[1, 3, GROUPS]);
    let groups = dice.few(&all, most).into_iter().map(|group| match dice.chance(50) {
        true => json!({ "group": group, "until": TIMES[1] }),
        false => json!(group),
    });
    json!({ "kind": "user", "id": id, "scope": "o", "groups": groups.collect::<Vec<_>>() })
}

fn data(dice: &mut Dice) -> Json {
    let groups = (0..GROUPS).map(|n| {
        let within = if n > 0 && dice.chance(10) { vec![group(dice.below(n))] } else { Vec::new() };
        json!({ "id": group(n), "in": within })
    });
    let groups: Vec<Json> = groups.collect();
    let boundaries = if dice.chance(30) { json!(["narrow"]) } else { json!([]) };
    json!({
        "scopes": [{ "kind": "org", "id": "o", "boundaries": boundaries }, { "kind": "team", "id": "o/t" }],
        "groups": groups,
        "accounts": [account(dice, "ana"), account(dice, "bo")],
    })
}

fn request(dice: &mut Dice) -> Json {
    let mut attributes = json!({ "level": dice.below(GROUPS) });
    if dice.chance(50) {
        attributes["owner"] = json!({ "kind": "user", "id": dice.word(&["ana", "bo", "ghost"]) });
    }
    if dice.chance(60) {
        let grade = |n| json!({ "level": dice.below(5), "name": format!("n{n}") });
        attributes["grades"] = (0..3).map(grade).collect();
    }
    json!({
        "account": { "kind": "user", "id": dice.word(&["ana", "bo"]) },
        "action": { "name": "read" },
        "resource": { "kind": "document", "id": "x", "attributes": attributes },
        "scope": dice.word(&["o", "o/t"]),
        "context": { "now": dice.word(&TIMES) },
    })
}

#[test]
fn corners_agree() {
    let (mut asked, mut heard, mut allowed) = (0usize, 0usize, 0usize);
    for seed in 0..u64::from(worlds(300)) {
        let dice = &mut Dice::new(seed);
        let (set, data) = (set(dice), data(dice));
        let engine = Engine::new(std::slice::from_ref(&set), &data.to_string());
        let engine = engine.unwrap_or_else(|why| panic!("seed {seed}: {why}\n{set}\n{data:#}"));
        let words = Words::new(&engine.program.vocabulary);
        let (directory, tree) = (&engine.directory, &engine.tree);
        let (door, link) = (Door::new(tree), Link::new(tree, directory));
        let hearing = Hearing { door: &door, words: &words, tree, directory, link: &link };
        let mut numbers = Vec::new();
        for _ in 0..REQUESTS {
            let request = request(dice);
            let question = engine.ask(&request.to_string());
            let question = question.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{request}"));
            let plain = meaning::decide(&engine.program, directory, &question);
            let said = || format!("seed {seed}\n{set}\n{data:#}\n{request}");
            assert_eq!(tree::decide(tree, directory, &question), plain, "{}", said());
            let linked = Resolved::new(tree, directory, Some(&link), &question);
            assert_eq!(linked.decide(), plain, "with the directory linked: {}", said());
            let text = text_of(&request).expect("all of it can be said as text");
            if let Some(decision) = hearing.decide(&text, &mut numbers) {
                assert_eq!(decision, plain, "heard: {}", said());
                heard += 1;
            }
            asked += 1;
            allowed += usize::from(plain.is_allow());
        }
    }
    println!("{asked} cases, {heard} decided as they are heard, {allowed} allowed");
    assert!(heard > asked / 10, "{heard} of {asked} are decided as they are heard");
    assert!((asked / 10..asked * 9 / 10).contains(&allowed), "{allowed} of {asked} are allowed");
}
