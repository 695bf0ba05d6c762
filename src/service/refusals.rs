//! Refused calls of the management interface leave a record, and nobody can fill the disk with them.
//!
//! In:    a call that wasn't carried out: who, what, the status told, why.
//! Out:   a record before the answer; past a number of them in a minute, one for each key, action and status with how often.
//! Law:   at most [`EACH_MAX`] + [`KINDS_MAX`] + 1 records a minute for each organization, however many calls there are.

use super::authn::Caller;
use super::change::RequestFacts;
use super::decisions::Decisions;
use super::journal::{self, About, Whom};
use super::memory::OrgState;
use super::problem::Problem;
use crate::audit::record::{Body, Draft, Entry, Log, RecordError};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

/// Records of single calls in a minute.
const EACH_MAX: u32 = 60;
/// Different keys, actions and statuses that are counted apart in a minute; the rest are counted together.
const KINDS_MAX: usize = 20;
/// One minute in microseconds.
const MINUTE: i64 = 60_000_000;

/// Key, action, status.
type Sort = (String, String, u16);

#[derive(Default)]
struct Minute {
    number: i64,
    each: u32,
    counted: BTreeMap<Sort, u64>,
}

/// What was refused in this minute, for each organization.
#[derive(Default)]
pub struct Refusals(Mutex<HashMap<String, Minute>>);

impl Refusals {
    /// Whether a call gets a record of its own; else it was counted. What is to be written of the minute before comes along.
    fn take(&self, org: &str, sort: Sort, now: i64) -> (bool, Vec<(Sort, u64)>) {
        let mut held = self.0.lock().expect("refusals: nobody panics while counting");
        let minute = held.entry(org.to_owned()).or_default();
        let mut before = Vec::new();
        if minute.number != now / MINUTE {
            before.extend(std::mem::take(&mut minute.counted));
            *minute = Minute { number: now / MINUTE, ..Minute::default() };
        }
        if minute.each < EACH_MAX {
            minute.each += 1;
            return (true, before);
        }
        let known = minute.counted.contains_key(&sort) || minute.counted.len() < KINDS_MAX;
        let sort = if known { sort } else { (String::new(), "others".to_owned(), 0) };
        *minute.counted.entry(sort).or_default() += 1;
        (false, before)
    }

    /// What was counted in minutes that are over, by organization; all of it when the process ends.
    fn over(&self, now: Option<i64>) -> Vec<(String, Vec<(Sort, u64)>)> {
        let mut held = self.0.lock().expect("refusals: nobody panics while counting");
        let over = |minute: &Minute| now.is_none_or(|now| minute.number != now / MINUTE);
        let mut all = Vec::new();
        held.retain(|org, minute| {
            let over = over(minute);
            if over && !minute.counted.is_empty() {
                all.push((org.clone(), std::mem::take(&mut minute.counted).into_iter().collect()));
            }
            !over
        });
        all
    }

    /// Notes a call that wasn't carried out; returns once its record is durable, if it has one of its own.
    pub async fn note(
        &self,
        decisions: &Decisions,
        (caller, org): (&Caller, &Arc<OrgState>),
        request: &RequestFacts,
        problem: &Problem,
        now: i64,
    ) -> Result<(), Problem> {
        let sort = (caller.key.uid.clone(), request.action.clone(), problem.status);
        let (own, before) = self.take(&org.uid, sort, now);
        for (sort, times) in before {
            decisions.append_later(&org.uid, counted(&org.uid, sort, times, now)?);
        }
        if !own {
            return Ok(());
        }
        let about = About {
            log: Log::Decisions,
            org: &org.uid,
            scope: &org.id,
            at: now,
            revision: org.revision,
            request,
        };
        // Of what is told only what names nobody: which right is missing.
        let reason = if problem.status == 403 { problem.detail.clone() } else { problem.title.to_owned() };
        let body =
            Body::Refused { action: request.action.clone(), status: problem.status, reason, times: None };
        let entry = journal::write(&about, Some((caller, Some(org))), None, body, Draft::new()?)?;
        match decisions.append(&org.uid, entry).await {
            true => Ok(()),
            false => {
                Err(Problem::unavailable("that this was refused can't be recorded: nothing was changed"))
            }
        }
    }

    /// Writes what was counted in minutes that are over.
    pub fn write(&self, decisions: &Decisions, now: i64, ending: bool) {
        for (org, all) in self.over((!ending).then_some(now)) {
            for (sort, times) in all {
                match counted(&org, sort, times, now) {
                    Ok(entry) => decisions.append_later(&org, entry),
                    Err(error) => tracing::error!(%error, org, "refused calls can't be recorded"),
                }
            }
        }
    }
}

/// A record of calls that were only counted.
fn counted(org: &str, (key, action, status): Sort, times: u64, now: i64) -> Result<Entry, RecordError> {
    let request = RequestFacts::default();
    let about = About { log: Log::Decisions, org, scope: "", at: now, revision: 0, request: &request };
    let reason = match key.is_empty() {
        true => "more keys, actions and statuses in one minute than are told apart".to_owned(),
        false => format!("with {key}, in one minute, beside those with a record of their own"),
    };
    let body = Body::Refused { action, status, reason, times: Some(times) };
    journal::finish(&about, Whom::default(), body, Draft::new()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_written_down_one_by_one() {
        let refusals = Refusals::default();
        let sort = |n: usize| (format!("key_{n}"), "groups.created".to_owned(), 403);
        let own = (0..100_000).filter(|n| refusals.take("org", sort(n % 500), 5 * MINUTE).0).count();
        assert_eq!(own, EACH_MAX as usize);
        assert!(refusals.over(Some(5 * MINUTE + 1)).is_empty(), "the minute isn't over");
        let over = refusals.over(Some(6 * MINUTE));
        assert_eq!((over.len(), over[0].1.len()), (1, KINDS_MAX + 1));
        assert_eq!(over[0].1.iter().map(|(_, n)| n).sum::<u64>(), 100_000 - u64::from(EACH_MAX));
        assert!(refusals.over(None).is_empty(), "written once");
        // The next minute begins with records of their own, and brings along what the one before has counted.
        (0..100).for_each(|n| drop(refusals.take("org", sort(n), 8 * MINUTE)));
        let (own, before) = refusals.take("org", sort(1), 9 * MINUTE);
        assert!(own && before.len() == KINDS_MAX + 1);
    }
}
