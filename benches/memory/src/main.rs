//! What a directory takes in memory: `cargo run --release`, with numbers of accounts as arguments (else 100,000).
//!
//! In:   `benches/people`: a tenth as many groups and scopes as accounts, five bindings an account.
//! Out:  bytes an account (the directory with accounts but no bindings, less the one without accounts) and a binding (less
//!       the one without bindings), all as the allocator was asked for; how long loading takes, and the most it takes.

mod allocator;
#[path = "../../people/mod.rs"]
mod people;

use people::People;
use policyc::{Directory, PolicySet};
use std::time::Instant;

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).map(|n| n.parse().expect("a number of accounts")).collect();
    let set = People::set();
    println!("| accounts | bytes an account | bytes a binding | directory, MiB | text, MiB | loaded in, s | most beside the text, MiB |");
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    for accounts in if sizes.is_empty() { vec![100_000] } else { sizes } {
        let whole = People::of(accounts);
        let without_bindings = People { bindings: 0, ..whole };
        let (bare, ..) = measure(&set, People { accounts: 0, ..without_bindings });
        let (peopled, ..) = measure(&set, without_bindings);
        let (full, text, most, seconds) = measure(&set, whole);
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        println!(
            "| {accounts} | {:.1} | {:.1} | {:.0} | {:.0} | {seconds:.2} | {:.0} |",
            (peopled - bare) as f64 / accounts as f64,
            (full - peopled) as f64 / whole.bindings as f64,
            mib(full),
            mib(text),
            mib(most),
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
