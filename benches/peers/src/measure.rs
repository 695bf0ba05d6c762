//! Checking and timing.
//!
//! In:   a way to decide request number `n`, and what every request's answer must be.
//! Out:  [`Figure`]: nanoseconds per decision and how many answers were compared; a wrong answer ends the run.

use crate::world::{REQUESTS, Random};
use rustc_hash::FxHashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Time for the passes of one peer at one size.
const PASSES_TIME: Duration = Duration::from_secs(2);
/// Turns of each quick one.
const TURNS: usize = 9;
/// Time of a turn, if one pass isn't longer.
const TURN: Duration = Duration::from_millis(90);
/// Passes at most.
const PASSES_MAX: usize = 51;
/// Answers compared at least, unless that takes longer than [`CHECK_TIME_MAX`].
const CHECKED_MIN: usize = 200;
/// Time after which a slow peer's answers are no longer compared, once there are [`CHECKED_MIN`].
const CHECK_TIME: Duration = Duration::from_secs(5);
/// Time after which they are no longer compared at all.
const CHECK_TIME_MAX: Duration = Duration::from_secs(120);

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Nanoseconds per decision: the median over passes of the mean over requests.
    pub nanos: f64,
    /// The same of the quickest pass: what it costs when nothing else uses the machine.
    pub least: f64,
    /// The median of passes right after something else ran; of a slow set-up the same as `nanos`.
    pub after_others: f64,
    /// Answers compared with the reference.
    pub checked: usize,
}

/// Checks and times one peer.
pub fn measure(name: &str, expected: &[bool], mut decide: impl FnMut(usize) -> bool) -> Figure {
    let started = Instant::now();
    let mut times: Vec<f64> = Vec::new();
    for (n, expected) in expected.iter().enumerate() {
        let spent = started.elapsed();
        if spent > CHECK_TIME_MAX || (n >= CHECKED_MIN && spent > CHECK_TIME) {
            break;
        }
        let before = Instant::now();
        let answer = decide(n);
        times.push(before.elapsed().as_nanos() as f64);
        assert_eq!(answer, *expected, "{name}: request {n} is decided otherwise by the plain reading");
    }
    let checked = times.len();
    let passes: Vec<f64> = if checked < expected.len() {
        // Slow: the answers compared were timed; five parts of them are the passes.
        times.chunks_exact((checked / 5).max(1)).map(|p| p.iter().sum::<f64>() / p.len() as f64).collect()
    } else {
        let started = Instant::now();
        let mut passes = Vec::new();
        while passes.len() < 3 || (passes.len() < PASSES_MAX && started.elapsed() < PASSES_TIME) {
            passes.push(pass(&mut decide));
        }
        passes
    };
    let nanos = median(&passes);
    let figure = Figure { nanos, least: least(&passes), after_others: nanos, checked };
    eprintln!("  {name}: {:.0} ns, {checked} answers compared", figure.nanos);
    figure
}

/// Compares all answers of a quick one.
pub fn check(name: &str, expected: &[bool], mut decide: impl FnMut(usize) -> bool) {
    for (n, expected) in expected.iter().enumerate() {
        assert_eq!(decide(n), *expected, "{name}: request {n} is decided otherwise by the plain reading");
    }
}

/// Times quick ones in turns of [`TURN`] each, so that all see the same moments of the machine, and each what it would see
/// alone: the first part of a turn isn't counted, since caches and branch predictors still know the one before.
pub fn together<const N: usize>(mut candidates: [&mut dyn FnMut() -> f64; N]) -> [Figure; N] {
    let mut passes = [const { (Vec::new(), Vec::new()) }; N];
    for _ in 0..TURNS {
        for (timed, (first, passes)) in candidates.iter_mut().zip(&mut passes) {
            let started = Instant::now();
            first.push(timed());
            while started.elapsed() < TURN / 3 {
                timed();
            }
            passes.push(timed());
            while started.elapsed() < TURN {
                passes.push(timed());
            }
        }
    }
    passes.map(|(first, p)| Figure {
        nanos: median(&p),
        least: least(&p),
        after_others: median(&first),
        checked: REQUESTS,
    })
}

/// Nanoseconds per request of one pass over all.
#[inline]
pub fn pass<T>(mut decide: impl FnMut(usize) -> T) -> f64 {
    let started = Instant::now();
    for n in 0..REQUESTS {
        black_box(decide(n));
    }
    started.elapsed().as_nanos() as f64 / REQUESTS as f64
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The smallest one.
pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The yardstick: a pass of lookups in a table with this many entries, keys in random order.
pub fn probe(entries: usize) -> impl FnMut() -> f64 {
    let mut random = Random::new(7);
    let keys: Vec<(u32, u32)> = (0..entries).map(|n| (n as u32, random.below(1 << 20) as u32)).collect();
    let table: FxHashMap<(u32, u32), u32> = keys.iter().copied().zip(0..).collect();
    let asked: Vec<(u32, u32)> = (0..REQUESTS).map(|_| keys[random.below(entries)]).collect();
    move || pass(|n| table.get(&asked[n]).copied())
}
