//! The measurement: each server in turn, round by round, so that all see the same moments of the machine.
//!
//! In:    a prepared store.
//! Out:   [`Rounds`]: every figure of every round; after each round but the last what is known so far, on standard error.
//! Law:   each server begins with the store as it was made. After each run of policyd the log is counted: it holds at least a
//!        record for each answer.

use crate::client::{Expect, Figure, Pace, drive};
use crate::options::Options;
use crate::server::{Server, Which};
use crate::store::Store;
use crate::table::table;
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
    /// How many rounds are over.
    pub done: usize,
    pub allowed_percent: usize,
    /// Records that were checked to be there for answers that were given.
    pub checked: u64,
    /// MiB.
    pub memory: u64,
}

/// Measures all.
pub fn run(options: &Options, world: &World, store: &Store) -> Result<Rounds, String> {
    let singles = world.singles("127.0.0.1", &store.keys);
    let batches = world.batches("127.0.0.1", &store.keys, options.batch);
    let mut rounds =
        Rounds { all: Vec::new(), done: 0, allowed_percent: world.allowed_percent(), checked: 0, memory: 0 };
    for round in 1..=options.rounds {
        let kept = kept(options, store, &singles, &batches, &mut rounds)?;
        let nothing = plain(
            options,
            store,
            Which::Nothing,
            &[(&singles, options.time()), (&batches, options.others_time())],
        )?;
        let empty = plain(options, store, Which::Empty, &[(&singles, options.others_time())])?;
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
        rounds.done = round;
        if round < options.rounds {
            eprintln!("{}", table(options, &rounds));
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
    store.reset()?;
    let before = store.records()?;
    let server = Server::start(Which::Policyd, &options.policyd, &store.data)?;
    let mut all = Vec::new();
    for connections in &options.connections {
        let ask = |requests: &[Request], pace: Pace, times: (Duration, Duration)| {
            drive(&server.address, requests, Expect::Decisions, *connections, pace, times)
                .map_err(|e| format!("{e}\npolicyd said:\n{}", server.said()))
        };
        let closed = ask(singles, Pace::Closed, options.time())?;
        let half = ask(singles, Pace::Open(closed.rate() / 2.0), options.time())?;
        let batched = ask(batches, Pace::Closed, options.others_time())?;
        all.push([closed, half, batched]);
    }
    rounds.memory = rounds.memory.max(server.memory().unwrap_or(0));
    drop(server);
    let answered: u64 = all.iter().flatten().map(|figure| figure.recorded).sum();
    let added = store.records()? - before;
    if added < answered {
        return Err(format!(
            "{answered} requests were answered, and the log has {added} records more: some are lost"
        ));
    }
    rounds.checked += answered;
    Ok(all)
}

/// A server to compare with: closed loop, each kind of request for its time, for each number of connections.
fn plain(
    options: &Options,
    store: &Store,
    which: Which,
    kinds: &[(&[Request], (Duration, Duration))],
) -> Result<Vec<Vec<Figure>>, String> {
    store.reset()?;
    let server = Server::start(which, &options.policyd, &store.data)?;
    let expect = if which == Which::Empty { Expect::Any } else { Expect::Decisions };
    let one = |connections: &usize| {
        let figure = |(requests, times): &(&[Request], (Duration, Duration))| {
            drive(&server.address, requests, expect, *connections, Pace::Closed, *times)
                .map_err(|e| format!("{e}\nthe server said:\n{}", server.said()))
        };
        kinds.iter().map(figure).collect()
    };
    options.connections.iter().map(one).collect()
}
