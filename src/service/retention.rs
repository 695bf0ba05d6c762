//! Retention of decisions: which day files go, and the record that says so.
//!
//! In:    the day files of a log with their bytes, today, how long and how much is kept.
//! Out:   how many of the oldest go, and why.
//! Law:   the record is durable before the first file goes; leaf hashes and checkpoints stay. The last day goes only once another
//!        has begun, which the record itself does.

use super::change::RequestFacts;
use super::journal::{self, About, Whom};
use crate::audit::record::{Body, Draft, Entry, Log, RecordError};
use crate::audit::{DayError, DayLog, KeptDay};

/// How long and how much of each organization's decisions is kept, whichever ends first.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Whole days.
    pub days: i64,
    /// Bytes of day files; the day being written is kept whatever it has.
    pub bytes: u64,
}

/// One day in microseconds.
const DAY_MICROS: i64 = 86_400_000_000;

/// How many of the oldest days go, and why.
fn doomed(kept: &[KeptDay], now: i64, keep: Keep) -> (usize, String) {
    let oldest = now.div_euclid(DAY_MICROS).saturating_sub(keep.days);
    let old = kept.iter().take_while(|day| day.number < oldest).count();
    let mut large = 0;
    let mut bytes: u64 = kept.iter().map(|day| day.bytes).sum();
    while bytes > keep.bytes && large + 1 < kept.len() {
        bytes -= kept[large].bytes;
        large += 1;
    }
    match old >= large {
        true => (old, format!("older than {} days", keep.days)),
        false => (large, format!("all day files together had more than {} bytes", keep.bytes)),
    }
}

/// Deletes what is too old or too much of the log of an organization. How many day files went.
pub fn run(log: &mut DayLog, org: &str, now: i64, keep: Keep) -> Result<usize, DayError> {
    let kept = log.kept_days()?;
    let (count, why) = doomed(&kept, now, keep);
    let Some(last) = count.checked_sub(1).and_then(|at| kept.get(at)) else { return Ok(0) };
    let before = kept.get(count).map_or(log.size(), |day| day.first);
    let entry = record(org, now, &kept[..count], before, &why);
    let entry = entry.map_err(|e| DayError::Io(last.file.clone(), std::io::Error::other(e.to_string())))?;
    log.append_batch(&[entry])?;
    log.delete_through(last.number)
}

fn record(org: &str, now: i64, days: &[KeptDay], before: u64, why: &str) -> Result<Entry, RecordError> {
    let request = RequestFacts::default();
    let about = About { log: Log::Decisions, org, scope: "", at: now, revision: 0, request: &request };
    let name = |day: &KeptDay| day.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // A record has a bound: of very many days the first and the last say enough.
    let files = match days {
        [first, .., last] if days.len() > 100 => vec![name(first), "…".to_owned(), name(last)],
        _ => days.iter().map(name).collect(),
    };
    let body = Body::Retained { files, before, why: why.to_owned() };
    journal::finish(&about, Whom::default(), body, Draft::new()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(of: &[(i64, u64)]) -> Vec<KeptDay> {
        let day = |(n, &(number, bytes)): (usize, &(i64, u64))| KeptDay {
            number,
            first: n as u64,
            bytes,
            file: format!("{number}.day").into(),
        };
        of.iter().enumerate().map(day).collect()
    }

    #[test]
    fn what_is_too_old_or_too_much_goes_oldest_first() {
        let keep = Keep { days: 30, bytes: 100 };
        let at = |day: i64| day * DAY_MICROS + 5;
        let all = days(&[(1, 40), (2, 40), (40, 40)]);
        assert_eq!(
            doomed(&all, at(31), Keep { bytes: 1_000, ..keep }).0,
            0,
            "day 1 is kept to its last moment"
        );
        assert_eq!(doomed(&all, at(32), Keep { bytes: 1_000, ..keep }).0, 1);
        assert_eq!(doomed(&all, at(33), Keep { bytes: 1_000, ..keep }).0, 2);
        let (count, why) = doomed(&all, at(3), keep);
        assert_eq!((count, why.as_str()), (1, "all day files together had more than 100 bytes"));
        assert_eq!(doomed(&all, at(3), Keep { bytes: 1, ..keep }).0, 2, "the day being written stays");
        assert_eq!(
            doomed(&all, at(300), keep),
            (3, "older than 30 days".to_owned()),
            "an idle log ends, too"
        );
        assert_eq!(doomed(&[], at(300), keep).0, 0);
    }
}
