//! How much one client may ask for: connections, and units of work in a second.
//!
//! In:    the address a request counts for, its key, its organization, what it costs.
//! Out:   nothing; or the problem that it is too much for now, with the seconds to wait.
//! Law:   it is held before anything is read or written, and in bounded memory: who can't be counted any more alone is
//!        counted together.

use crate::service::problem::Problem;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What an operator sets.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Units in a second for one address; 0 for no limit.
    pub per_address: u32,
    /// For one key.
    pub per_key: u32,
    /// For all keys of one organization.
    pub per_organization: u32,
    /// Connections.
    pub connections: usize,
    /// Of one address.
    pub connections_per_address: usize,
    /// How long the head of a request may take, and how long a connection may be without requests.
    pub head_within: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            per_address: 100_000,
            per_key: 50_000,
            per_organization: 100_000,
            connections: 800,
            connections_per_address: 600,
            head_within: Duration::from_secs(20),
        }
    }
}

/// What a request costs, in units: what it makes the service do, roughly.
pub fn cost(method: &str, path: &str) -> u64 {
    let mut parts = path.strip_prefix("/v1/").unwrap_or_default().split('/');
    match (method, parts.next().unwrap_or_default(), parts.next()) {
        ("POST", "authorize", None) => 1,
        ("POST", "authorize", Some(_)) => 20,
        ("GET", "me", _) => 1,
        ("POST", "policy-sets:check" | "policy-sets", _) => 200,
        (_, "audit", _) => 100,
        ("GET", _, Some(_)) => 2,
        _ => 20,
    }
}

/// Shards, so that requests seldom wait for one another.
const SHARDS: usize = 16;
/// Names counted by themselves in one shard.
const NAMES_MAX: usize = 4_096;
/// The name of all others.
const OTHERS: u64 = 0;
/// What may be used at once before the rate counts: so many nanoseconds of it.
const BURST: u64 = 1_000_000_000;
/// How often a full shard looks whom it can forget.
const FORGET_EVERY: u64 = 100_000_000;

#[derive(Default)]
struct Shard {
    /// For each name, when what it used will be made up for.
    until: HashMap<u64, u64>,
    forgot: u64,
}

/// One limit, counted for each name.
struct Buckets {
    who: &'static str,
    rate: u32,
    shards: [Mutex<Shard>; SHARDS],
    refused: AtomicU64,
}

impl Buckets {
    fn new(who: &'static str, rate: u32) -> Buckets {
        Buckets { who, rate, shards: Default::default(), refused: AtomicU64::new(0) }
    }

    /// Takes units at `now`, in nanoseconds; the nanoseconds to wait if there are none.
    fn take(&self, name: u64, cost: u64, now: u64) -> Result<(), u64> {
        if self.rate == 0 {
            return Ok(());
        }
        let shard = &self.shards[name as usize % SHARDS];
        let mut shard = shard.lock().expect("limits: nobody panics while counting");
        let known = shard.until.contains_key(&name);
        if !known && shard.until.len() >= NAMES_MAX && now >= shard.forgot + FORGET_EVERY {
            shard.forgot = now;
            shard.until.retain(|_, until| *until > now);
        }
        let name = if known || shard.until.len() < NAMES_MAX { name } else { OTHERS };
        let until = shard.until.entry(name).or_insert(now);
        let from = now.max(*until);
        if from - now > BURST {
            return Err(from - now - BURST);
        }
        *until = from + cost * 1_000_000_000 / u64::from(self.rate);
        Ok(())
    }

    fn hold(&self, name: u64, cost: u64, now: u64) -> Result<(), Problem> {
        self.take(name, cost, now).map_err(|wait| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Problem::too_fast(self.who, self.rate, wait.div_ceil(1_000_000_000).max(1))
        })
    }
}

/// All limits of rate.
pub struct Rates {
    began: Instant,
    names: RandomState,
    address: Buckets,
    key: Buckets,
    organization: Buckets,
}

impl Rates {
    /// As set.
    pub fn new(limits: &Limits) -> Rates {
        Rates {
            began: Instant::now(),
            names: RandomState::new(),
            address: Buckets::new("address", limits.per_address),
            key: Buckets::new("key", limits.per_key),
            organization: Buckets::new("organization", limits.per_organization),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Counts a request for the address it came from; an IPv6 client has a whole /64.
    pub fn address(&self, ip: IpAddr, cost: u64) -> Result<(), Problem> {
        let name = match ip {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
        };
        self.address.hold(self.names.hash_one(name), cost, self.now())
    }

    /// Counts a request for its key and organization.
    pub fn key(&self, key: &str, organization: &str, cost: u64) -> Result<(), Problem> {
        let now = self.now();
        self.key.hold(self.names.hash_one(key), cost, now)?;
        self.organization.hold(self.names.hash_one(organization), cost, now)
    }

    /// How many requests each limit refused.
    pub fn refused(&self) -> [(&'static str, u64); 3] {
        [&self.address, &self.key, &self.organization].map(|b| (b.who, b.refused.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_bucket_gives_its_rate_and_a_burst() {
        let bucket = Buckets::new("key", 10);
        let taken = |now: u64| (0..1_000).take_while(|_| bucket.take(7, 1, now).is_ok()).count();
        assert_eq!(taken(SECOND), 11, "a second's worth at once, and the one that uses it up");
        assert_eq!(taken(SECOND + SECOND / 2), 5);
        assert_eq!(bucket.take(7, 1, SECOND + SECOND / 2), Err(SECOND / 10));
        assert!(bucket.take(8, 1, SECOND).is_ok(), "another has its own");
        assert_eq!(taken(100 * SECOND), 11, "what isn't used isn't saved up");
    }

    #[test]
    fn what_costs_more_than_a_second_is_worth_is_done_and_made_up_for() {
        let bucket = Buckets::new("key", 10);
        assert!(bucket.take(7, 100, SECOND).is_ok());
        assert_eq!(bucket.take(7, 1, 2 * SECOND), Err(8 * SECOND));
        assert!(bucket.take(7, 1, 10 * SECOND).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_strangers_push_nobody_out() {
        let bucket = Buckets::new("address", 1);
        for _ in 0..2 {
            bucket.take(16, 1, SECOND).ok();
        }
        assert!(bucket.take(16, 1, SECOND).is_err());
        for name in 0..(10 * NAMES_MAX as u64) {
            bucket.take(name * SHARDS as u64, 1, SECOND).ok();
        }
        assert!(bucket.shards.iter().all(|s| s.lock().unwrap().until.len() <= NAMES_MAX + 1));
        assert!(bucket.take(16, 1, SECOND).is_err(), "it is still known");
        assert!(bucket.take(1 << 40, 1, SECOND).is_err(), "others are counted together");
        assert!(bucket.take(1 << 40, 1, 100 * SECOND).is_ok(), "and are forgotten in time");
    }

    #[test]
    fn no_rate_is_no_limit() {
        let bucket = Buckets::new("key", 0);
        assert!((0..100_000).all(|_| bucket.take(1, 1_000, 0).is_ok()));
    }
}
