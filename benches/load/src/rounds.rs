//! The measurement: each server in turn, round by round, so that all see the same moments of the machine.
//!
//! In:    a prepared store.
//! Out:   [`Rounds`]: every figure of every round.
//! Law:   after each run of policyd the log is counted: it holds at least a record for each answer.

use crate::client::{Expect, Figure, Pace, drive};
use crate::options::Options;
use crate::server::{Server, Which};
use crate::store::Store;
use crate::world::{Request, World};
use std::time::Duration;

/// The figures of one number of connections in one round.
pub struct Measured {
    pub connections: usize,
    /// One question a request.
    pub singles: Figure,
    /// The same, answers nothing of which is kept.
    pub nothing: Figure,
    /// An empty handler.
    pub empty: Figure,
    /// One question a request, at half the rate of `singles`, whatever the server does.
    pub half: Figure,
    /// Batches; each counts as one answer.
    pub batches: Figure,
    /// Batches, answers nothing of which is kept.
    pub nothing_batches: Figure,
}

/// All figures.
pub struct Rounds {
    pub all: Vec<Measured>,
    pub allowed_percent: usize,
    /// Records in the log at the end, decisions in batches counted once for each record.
    pub records: u64,
    /// Records that were checked to be there for answers that were given.
    pub checked: u64,
    /// MiB.
    pub memory: u64,
}

/// Measures all.
pub fn run(options: &Options, world: &World, store: &Store) -> Result<Rounds, String> {
    let singles = world.singles("127.0.0.1", &store.keys);
    let batches = world.batches("127.0.0.1", &store.keys, options.batch);
    let mut rounds = Rounds {
        all: Vec::new(),
        allowed_percent: world.allowed_percent(),
        records: 0,
        checked: 0,
        memory: 0,
    };
    for round in 1..=options.rounds {
        let kept = kept(options, store, &singles, &batches, &mut rounds)?;
        let nothing = plain(options, store, Which::Nothing, &[&singles, &batches])?;
        let empty = plain(options, store, Which::Empty, &[&singles])?;
        for (((connections, kept), nothing), empty) in
            options.connections.iter().zip(kept).zip(nothing).zip(empty)
        {
            let [singles, half, batches] = kept;
            let Ok([nothing, nothing_batches]) = <[Figure; 2]>::try_from(nothing) else {
                unreachable!("rounds: two figures were asked for")
            };
            let Ok([empty]) = <[Figure; 1]>::try_from(empty) else {
                unreachable!("rounds: one figure was asked for")
            };
            eprintln!(
                "round {round}, {connections} connections: policyd {:.0}/s, keeping nothing {:.0}/s, empty {:.0}/s; \
                 p99 {:.2} ms at {:.0}/s; batches {:.0} decisions/s",
                singles.rate(),
                nothing.rate(),
                empty.rate(),
                half.millis(0.99),
                half.rate(),
                batches.rate() * options.batch as f64,
            );
            let connections = *connections;
            rounds.all.push(Measured {
                connections,
                singles,
                nothing,
                empty,
                half,
                batches,
                nothing_batches,
            });
        }
    }
    Ok(rounds)
}

/// policyd: closed loop, open loop at half of that, batches, for each number of connections; then the log is counted.
fn kept(
    options: &Options,
    store: &Store,
    singles: &[Request],
    batches: &[Request],
    rounds: &mut Rounds,
) -> Result<Vec<[Figure; 3]>, String> {
    let before = store.records()?;
    let server = Server::start(Which::Policyd, &options.policyd, &store.data)?;
    let warm_up = Duration::from_secs(options.warm_up);
    let mut all = Vec::new();
    for connections in &options.connections {
        let ask = |requests: &[Request], pace: Pace| {
            let times = (warm_up, options.time());
            drive(&server.address, requests, Expect::Decisions, *connections, pace, times)
                .map_err(|e| format!("{e}\npolicyd said:\n{}", server.said()))
        };
        let closed = ask(singles, Pace::Closed)?;
        let half = ask(singles, Pace::Open(closed.rate() / 2.0))?;
        let batched = ask(batches, Pace::Closed)?;
        all.push([closed, half, batched]);
    }
    rounds.memory = rounds.memory.max(server.memory().unwrap_or(0));
    drop(server);
    rounds.records = store.records()?;
    let answered: u64 = all.iter().flatten().map(|figure| figure.recorded).sum();
    let added = rounds.records - before;
    if added < answered {
        return Err(format!(
            "{answered} requests were answered, and the log has {added} records more: some are lost"
        ));
    }
    rounds.checked += answered;
    Ok(all)
}

/// A server to compare with: closed loop, each kind of request, for each number of connections.
fn plain(
    options: &Options,
    store: &Store,
    which: Which,
    kinds: &[&[Request]],
) -> Result<Vec<Vec<Figure>>, String> {
    let server = Server::start(which, &options.policyd, &store.data)?;
    let expect = if which == Which::Empty { Expect::Any } else { Expect::Decisions };
    let times = (Duration::from_secs(options.warm_up), options.time());
    let one = |connections: &usize| {
        let figure = |requests: &&[Request]| {
            drive(&server.address, requests, expect, *connections, Pace::Closed, times)
                .map_err(|e| format!("{e}\nthe server said:\n{}", server.said()))
        };
        kinds.iter().map(figure).collect()
    };
    options.connections.iter().map(one).collect()
}
