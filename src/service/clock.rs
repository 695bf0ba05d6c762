//! The time that counts.
//!
//! In:    the wall clock, the monotonic clock, the time of the last durable record.
//! Out:   [`Clock::now`], microseconds; or that the clocks disagree and nothing may be decided.
//! Law:   time never goes back behind a record that was written.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// How far the wall clock may run away from the monotonic one.
const DRIFT_MICROS_MAX: i64 = 60_000_000;

/// `now = max(wall clock, last durable record)`.
#[derive(Debug)]
pub struct Clock {
    last: AtomicI64,
    started: (Instant, i64),
    drifted: AtomicBool,
}

/// The wall clock, in microseconds.
pub fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

impl Clock {
    /// Starts at the time of the last durable record.
    pub fn new(last_record: i64) -> Clock {
        Clock {
            last: AtomicI64::new(last_record),
            started: (Instant::now(), wall()),
            drifted: AtomicBool::new(false),
        }
    }

    /// Time doesn't go back behind this: a record of that moment is there.
    pub fn not_before(&self, record: i64) {
        self.last.fetch_max(record, Ordering::AcqRel);
    }

    /// Now; none once the clocks have parted, and not for the very moment in which that is seen either.
    pub fn certain(&self) -> Option<i64> {
        let now = self.now();
        (!self.has_drifted()).then_some(now)
    }

    /// Now. Never earlier than an answer before.
    pub fn now(&self) -> i64 {
        let wall = wall();
        self.watch(wall);
        self.last.fetch_max(wall, Ordering::AcqRel).max(wall)
    }

    /// Whether wall and monotonic clock have parted: then nothing is decided until the process is restarted.
    pub fn has_drifted(&self) -> bool {
        self.drifted.load(Ordering::Acquire)
    }

    /// How far the wall clock is ahead of the monotonic one, in microseconds.
    pub fn apart(&self) -> i64 {
        self.ahead(wall())
    }

    fn ahead(&self, wall: i64) -> i64 {
        let (at, then) = self.started;
        wall - then.saturating_add(i64::try_from(at.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    fn watch(&self, wall: i64) {
        if self.ahead(wall).abs() > DRIFT_MICROS_MAX {
            self.drifted.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back() {
        let ahead = wall() + 5_000_000;
        let clock = Clock::new(ahead);
        assert_eq!(clock.now(), ahead);
        assert!(!clock.has_drifted());
        clock.not_before(ahead + 5);
        assert_eq!(clock.certain(), Some(ahead + 5));
        clock.watch(wall() - 2 * DRIFT_MICROS_MAX);
        assert!(clock.has_drifted() && clock.certain().is_none());
    }
}
