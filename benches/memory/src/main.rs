//! What a directory takes in memory: `cargo run --release`, with numbers of accounts as arguments (else 100,000).
//!
//! In:   `benches/people`: a tenth as many groups and scopes as accounts, five bindings an account.
//! Out:  bytes an account (the directory with accounts but no bindings, less the one without accounts) and a binding (less
//!       the one without bindings), all as the allocator was asked for; how long loading takes, and the most it takes; and
//!       what a decision costs there, in lookups of a hash table with 1,000 entries that take turns with it.

mod allocator;
#[path = "../../people/mod.rs"]
mod people;

use people::People;
use policyc::directory::Place;
use policyc::{Directory, PolicySet};
use rustc_hash::FxHashMap;
use std::hint::black_box;
use std::time::Instant;

/// Requests of different accounts that are decided in turn.
const REQUESTS: usize = 10_000;
/// Passes over all of them.
const PASSES: usize = 101;

fn main() {
    let sizes: Vec<usize> =
        std::env::args().skip(1).map(|n| n.parse().expect("a number of accounts")).collect();
    let set = People::set();
    println!(
        "| accounts | bytes an account | bytes a binding | directory, MiB | text, MiB | loaded in, s | most beside the text, MiB | a decision, ns | in lookups |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for accounts in if sizes.is_empty() { vec![100_000] } else { sizes } {
        let whole = People::of(accounts);
        let without_bindings = People { bindings: 0, ..whole };
        let (bare, ..) = measure(&set, People { accounts: 0, ..without_bindings });
        let (peopled, ..) = measure(&set, without_bindings);
        let (full, text, most, seconds) = measure(&set, whole);
        let (decision, lookup) = decisions(&set, whole);
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        println!(
            "| {accounts} | {:.1} | {:.1} | {:.0} | {:.0} | {seconds:.2} | {:.0} | {decision:.0} | {:.1} |",
            (peopled - bare) as f64 / accounts as f64,
            (full - peopled) as f64 / whole.bindings as f64,
            mib(full),
            mib(text),
            mib(most),
            decision / lookup,
        );
    }
}

/// Bytes of the directory, of its text, and the most in use while loading beside the text; seconds.
fn measure(set: &PolicySet, people: People) -> (usize, usize, usize, f64) {
    let sources = people.sources();
    let before = allocator::live();
    allocator::most();
    let started = Instant::now();
    let directory: Directory = People::load(set, &sources);
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(directory.accounts.len(), people.accounts);
    let text = sources.iter().map(|(_, source)| source.text.len()).sum();
    (allocator::live() - before, text, allocator::most() - before, seconds)
}

/// Nanoseconds of a decision, and of a lookup: medians over passes of the mean over requests. Every other request is asked
/// where the account holds a role; most end at its home, all look through its bindings.
fn decisions(set: &PolicySet, people: People) -> (f64, f64) {
    let directory = People::load(set, &people.sources());
    let link = set.link(&directory);
    let ask = |n: usize| {
        let at = n.wrapping_mul(7_919) % people.accounts;
        let account = &directory.accounts[at];
        let held = account.bindings.first().map(|binding| binding.place());
        let path = match held {
            Some(Place::Scope(scope)) if n % 2 == 0 => directory.scopes[scope.index()].entity.id.to_string(),
            _ => People::path(n * 31 % people.scopes),
        };
        let text = format!(
            r#"{{"account":{{"kind":"user","id":"{}"}},"scope":"{path}","action":{{"name":"read"}},"resource":{{"kind":"document","id":"d"}}}}"#,
            account.entity.id
        );
        set.request(&directory, &text, 0).unwrap_or_else(|refused| panic!("{text}: {refused}"))
    };
    let questions: Vec<_> = (0..REQUESTS).map(ask).collect();
    let resolved: Vec<_> = questions.iter().map(|q| set.resolve(&directory, Some(&link), q)).collect();
    for (question, resolved) in questions.iter().zip(&resolved) {
        assert_eq!(resolved.decide(), set.decide(&directory, question), "linked or not");
    }
    let table: FxHashMap<usize, usize> = (0..1_000).map(|n| (n * 7, n)).collect();
    let pass = |each: &dyn Fn(usize)| {
        let started = Instant::now();
        (0..REQUESTS).for_each(each);
        started.elapsed().as_nanos() as f64 / REQUESTS as f64
    };
    let mut taken: [Vec<f64>; 2] = Default::default();
    for _ in 0..PASSES {
        taken[0].push(pass(&|n| {
            black_box(resolved[n].decide());
        }));
        taken[1].push(pass(&|n| {
            black_box(table.get(&(n % 1_000 * 7)));
        }));
    }
    let [decision, lookup] = taken.map(|mut all| {
        all.sort_by(f64::total_cmp);
        all[PASSES / 2]
    });
    (decision, lookup)
}
