//! policyc and its peers on one world, in one table: `cargo run --release`, with sizes as arguments if not all are wanted,
//! and `ours` to leave out all peers but the plain scan.
//!
//! In:   the benchmarks' world at 10 to 100,000 rules (`benches/world`).
//! Out:  nanoseconds per decision of each, ratios to ours, ours in lookups of a hash table.
//! Law:  no figure without a check: every decision that is checked equals the plain linear reading, or the run ends.

mod allocator;
mod cedar;
mod enforcer;
mod measure;
mod ours;
mod rego;
mod table;
#[path = "../../world/mod.rs"]
mod world;

use measure::{Figure, check, measure, pass, probe, together};
use policyc::Effect;
use table::Row;
use world::{SIZES, World};

/// The largest world that casbin is given, in rules: it reads all of them for each decision.
const CASBIN_RULES_MAX: usize = 10_000;

/// The peers, in the order of the table.
pub const PEERS: [&str; 7] = [
    "Cedar",
    "Cedar, sliced",
    "Cedar, hand-indexed",
    "regorus, rules",
    "regorus VM, hand-indexed",
    "casbin",
    "plain scan",
];

fn main() {
    let (words, asked): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|a| a == "ours");
    let asked: Vec<usize> = asked.iter().map(|a| a.parse().expect("`ours` or a size in rules")).collect();
    let with_peers = words.is_empty();
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked };
    let rows: Vec<Row> = sizes.iter().map(|size| row(*size, with_peers)).collect();
    print!("{}", table::table(&rows));
    if let Some(largest) = rows.last() {
        print!("{}", ours::costs(largest.rules));
    }
}

fn row(size: usize, with_peers: bool) -> Row {
    let world = World::new(size);
    let expected: Vec<bool> = world.requests.iter().map(|r| world.plain(r) == Some(Effect::Allow)).collect();
    eprintln!("{size} rules, {} % allowed", expected.iter().filter(|e| **e).count() * 100 / expected.len());
    let prepared = ours::Prepared::new(&world);
    let ours = prepared.resolved();
    let plain = |n: usize| world.plain(&world.requests[n]) == Some(Effect::Allow);
    check("policyc", &expected, |n| ours.decide(n));
    let mut text = prepared.from_text();
    check("policyc from text", &expected, |n| text.decide(n));
    let [probe, decided, from_text, plain] = together([
        &mut probe(size),
        &mut || pass(|n| ours.decide(n)),
        &mut || pass(|n| text.decide(n)),
        &mut || pass(plain),
    ]);
    eprintln!(
        "  policyc: {:.0} ns, from text {:.0} ns, one probe {:.1} ns",
        decided.nanos, from_text.nanos, probe.nanos
    );
    let mut peers = if with_peers { others(&world, &expected) } else { vec![None; PEERS.len() - 1] };
    peers.push(Some(plain));
    let (threads, allocations) = (ours.two_threads(), ours.allocations());
    Row { rules: size, ours: decided, from_text, probe, peers, threads, allocations }
}

/// All peers but the plain scan, one after the other, each dropped before the next is made.
fn others(world: &World, expected: &[bool]) -> Vec<Option<Figure>> {
    let mut peers: Vec<Option<Figure>> = Vec::new();
    {
        let cedar = cedar::Cedar::new(world);
        peers.push(Some(measure(PEERS[0], expected, |n| cedar.plain(n))));
        peers.push(Some(measure(PEERS[1], expected, |n| cedar.sliced(n))));
        peers.push(Some(measure(PEERS[2], expected, |n| cedar.indexed(n))));
    }
    {
        let mut rules = rego::Rules::new(world);
        peers.push(Some(measure(PEERS[3], expected, |n| rules.decide(n))));
    }
    {
        let mut machine = rego::Machine::new(world);
        peers.push(Some(measure(PEERS[4], expected, |n| machine.decide(n))));
    }
    peers.push((world.rules.len() <= CASBIN_RULES_MAX).then(|| {
        let enforcer = enforcer::Casbin::new(world);
        measure(PEERS[5], expected, |n| enforcer.decide(n))
    }));
    peers
}
