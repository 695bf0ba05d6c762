//! What each stage from text to tree costs, at 10,000 and 100,000 rules: `cargo bench --bench pipeline`.

mod world;

use divan::Bencher;
use policyc::source::Sources;
use policyc::{PolicySet, check, syntax, tree};

const SIZES: [usize; 2] = [10_000, 100_000];

fn main() {
    divan::main();
}

fn sources(count: usize) -> Sources {
    world::World::new(count).sources()
}

fn parsed(sources: &Sources) -> Vec<syntax::ast::File> {
    sources.iter().map(|(id, _)| syntax::parse::parse(sources, id).0).collect()
}

/// Text to syntax trees.
#[divan::bench(args = SIZES, sample_count = 5)]
fn a_parse(bencher: Bencher, count: usize) {
    let sources = sources(count);
    bencher.bench_local(|| parsed(&sources));
}

/// Syntax trees to a program.
#[divan::bench(args = SIZES, sample_count = 5)]
fn b_check(bencher: Bencher, count: usize) {
    let sources = sources(count);
    let files = parsed(&sources);
    bencher.bench_local(|| check::check(&sources, &files).0.expect("the world checks"));
}

/// A program to a tree.
#[divan::bench(args = SIZES, sample_count = 5)]
fn c_lower(bencher: Bencher, count: usize) {
    let sources = sources(count);
    let program = check::check(&sources, &parsed(&sources)).0.expect("the world checks");
    bencher.bench_local(|| tree::lower(&program).expect("within limits"));
}

/// Warnings about a program.
#[divan::bench(args = SIZES, sample_count = 5)]
fn d_lint(bencher: Bencher, count: usize) {
    let sources = sources(count);
    let program = check::check(&sources, &parsed(&sources)).0.expect("the world checks");
    bencher.bench_local(|| check::lint::lint(&program, &sources, 0));
}

/// All of it, as `policyc check` does: text to tree, with warnings.
#[divan::bench(args = SIZES, sample_count = 5)]
fn e_parse_to_tree(bencher: Bencher, count: usize) {
    bencher.with_inputs(|| sources(count)).bench_local_values(|sources| {
        let compiled = PolicySet::compile(sources, 0);
        compiled.set.expect("the world compiles")
    });
}
