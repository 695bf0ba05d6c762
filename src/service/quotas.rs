//! What one organization may have, so that one tenant can't fill what all share.
//!
//! In:    what an installation key set for an organization; what it has, and what a change adds.
//! Out:   nothing; or the problem that a quota is used up, with its number.
//! Law:   a change that goes past a quota is not made. What takes rights away is never held up by bytes: revoking and
//!        deleting always go through, disabling until twice the quota.

use super::delta::Touch;
use super::fields::{Field, Ty, may};
use super::object::{Kind, Object};
use super::problem::Problem;
use super::store::{Read, Stored};
use crate::audit::record::Entry;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Of {
    /// Living objects of a kind.
    Objects(Kind),
    /// Keys of one account.
    KeysOfAccount,
    /// Bytes of all stored versions of policy sets.
    PolicyBytes,
    /// Bytes of records of changes in one day of UTC.
    ChangeBytes,
    /// Bytes of records of decisions in one day of UTC.
    DecisionBytes,
}

/// One quota.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Its name.
    pub name: &'static str,
    /// What it is unless it was set.
    pub default: u64,
    /// What it counts.
    pub of: Of,
    /// What it says.
    pub doc: &'static str,
}

macro_rules! quotas {
    ($($name:literal $default:expr, $of:expr, $doc:literal;)*) => {
        /// All of them.
        pub const ALL: &[Quota] = &[$(Quota { name: $name, default: $default, of: $of, doc: $doc },)*];
        /// The same as fields.
        pub const FIELDS: &[Field] = &[$(may($name, Ty::Count, $doc),)*];
    };
}

quotas! {
    "projects" 10_000, Of::Objects(Kind::Project), "projects";
    "environments" 50_000, Of::Objects(Kind::Environment), "environments";
    "users" 2_000_000, Of::Objects(Kind::User), "users";
    "service_accounts" 2_000_000, Of::Objects(Kind::ServiceAccount), "service accounts";
    "agents" 2_000_000, Of::Objects(Kind::Agent), "agents";
    "groups" 200_000, Of::Objects(Kind::Group), "groups";
    "memberships" 10_000_000, Of::Objects(Kind::Membership), "members of groups";
    "bindings" 10_000_000, Of::Objects(Kind::Binding), "bindings";
    "attachments" 1_000_000, Of::Objects(Kind::Attachment), "attached boundaries";
    "links" 1_000_000, Of::Objects(Kind::Link), "links of agents";
    "resources" 10_000_000, Of::Objects(Kind::Resource), "registered resources";
    "credentials" 2_000_000, Of::Objects(Kind::Credential), "keys";
    "credentials_per_account" 1_000, Of::KeysOfAccount, "keys of one account";
    "policy_sets" 5_000, Of::Objects(Kind::PolicySet), "stored versions of policy sets";
    "policy_bytes" 256 << 20, Of::PolicyBytes, "bytes of all stored versions of policy sets";
    "change_bytes_per_day" 4 << 30, Of::ChangeBytes, "bytes of records of changes in a day (UTC)";
    "decision_bytes_per_day" 16 << 30, Of::DecisionBytes, "bytes of records of decisions in a day (UTC)";
}

/// What was set for one organization.
#[derive(Clone, Debug, Default)]
pub struct Quotas(Map<String, Value>);

impl Quotas {
    /// As its root says.
    pub fn of(root: &Object) -> Quotas {
        Quotas(root.body.get("quotas").and_then(Value::as_object).cloned().unwrap_or_default())
    }

    /// The number of one.
    pub fn limit(&self, quota: &Quota) -> u64 {
        self.0.get(quota.name).and_then(Value::as_u64).unwrap_or(quota.default)
    }

    /// The number of the one that counts this.
    fn of_what(&self, of: Of) -> (&'static Quota, u64) {
        let quota = ALL.iter().find(|q| q.of == of).expect("quotas: each thing that is counted has one");
        (quota, self.limit(quota))
    }

    /// All numbers.
    pub fn all(&self) -> Value {
        Value::Object(ALL.iter().map(|q| (q.name.to_owned(), self.limit(q).into())).collect())
    }
}

/// Microseconds of a day.
const DAY: i64 = 86_400 * 1_000_000;

/// Bytes of one day.
#[derive(Clone, Copy, Debug, Default)]
struct Day {
    day: i64,
    bytes: u64,
}

impl Day {
    fn at(&mut self, now: i64) -> &mut u64 {
        let day = now.div_euclid(DAY);
        if day != self.day {
            *self = Day { day, bytes: 0 };
        }
        &mut self.bytes
    }
}

fn seconds_left(now: i64) -> u64 {
    u64::try_from((DAY - now.rem_euclid(DAY)) / 1_000_000).unwrap_or(0) + 1
}

#[derive(Debug, Default)]
struct Held {
    quotas: Quotas,
    head: i64,
    changes: Option<Day>,
    decisions: Option<Day>,
    /// Living objects of a kind, as far as they were counted.
    counts: HashMap<Kind, u64>,
}

/// What is known of every organization.
#[derive(Debug, Default)]
pub struct Tally(Mutex<HashMap<String, Held>>);

impl Tally {
    fn with<T>(&self, org: &str, what: impl FnOnce(&mut Held) -> T) -> T {
        let mut held = self.0.lock().expect("quotas: nobody panics while counting");
        if !held.contains_key(org) {
            held.insert(org.to_owned(), Held::default());
        }
        what(held.get_mut(org).expect("quotas: it was just put there"))
    }

    /// Takes an organization as it is stored, with what was counted of it; memory has it as of this change.
    pub fn begin(&self, read: &mut dyn Read, org: &str, counts: HashMap<Kind, u64>) -> Stored<()> {
        let root = read.object(org, org)?;
        let head = read.head(org)?.0;
        self.with(org, |held| {
            held.quotas = root.as_ref().map(Quotas::of).unwrap_or_default();
            held.head = head;
            held.counts = counts;
        });
        Ok(())
    }

    /// Notes that memory has a change: what it made of the organization's root counts from now on, what came and went is
    /// counted.
    pub fn reach(&self, org: &str, head: i64, touched: &[Touch]) {
        let alive = |object: &Object| u64::from(object.deleted.is_none());
        self.with(org, |held| {
            held.head = held.head.max(head);
            for Touch { before, after } in touched {
                if after.kind == Kind::Organization {
                    held.quotas = Quotas::of(after);
                }
                if let Some(count) = held.counts.get_mut(&after.kind) {
                    *count = (*count + alive(after)).saturating_sub(before.as_ref().map_or(0, alive));
                }
            }
        });
    }

    /// How many living objects of a kind there are; none if they were not counted.
    fn count(&self, org: &str, kind: Kind) -> Option<u64> {
        self.with(org, |held| held.counts.get(&kind).copied())
    }

    /// Notes how many there are. Only for the writer, who sees everything that comes and goes.
    fn counted(&self, org: &str, kind: Kind, count: u64) {
        self.with(org, |held| held.counts.insert(kind, count));
    }

    /// The last change of an organization that memory has.
    pub fn head(&self, org: &str) -> i64 {
        self.with(org, |held| held.head)
    }

    /// What was set for an organization.
    pub fn quotas(&self, org: &str) -> Quotas {
        self.with(org, |held| held.quotas.clone())
    }

    /// Whether decisions may still be recorded today. `start` says how many bytes there are when nothing is known yet.
    pub fn may_decide(&self, org: &str, now: i64, start: impl FnOnce() -> u64) -> Result<(), Problem> {
        self.with(org, |held| {
            let (quota, limit) = held.quotas.of_what(Of::DecisionBytes);
            let day = held.decisions.get_or_insert_with(|| Day { day: now.div_euclid(DAY), bytes: start() });
            if *day.at(now) < limit {
                Ok(())
            } else {
                Err(Problem::day_is_full(quota.name, limit, seconds_left(now)))
            }
        })
    }

    /// Notes bytes of decisions.
    pub fn decided(&self, org: &str, now: i64, bytes: u64) {
        self.with(org, |held| *held.decisions.get_or_insert_default().at(now) += bytes);
    }

    /// Bytes of changes and of decisions today; none where nothing was counted since the start.
    pub fn today(&self, org: &str, now: i64) -> [Option<u64>; 2] {
        self.with(org, |held| {
            [&mut held.changes, &mut held.decisions].map(|d| d.as_mut().map(|d| *d.at(now)))
        })
    }
}

/// Bytes of a record with what stands beside it.
pub fn bytes(entry: &Entry) -> u64 {
    let beside = |p: &crate::audit::record::Personal| p.person.len() + p.field.len() + p.value.len() + 64;
    (entry.record.len() + entry.personal.iter().map(beside).sum::<usize>() + 64) as u64
}

/// A change that is made and not yet committed.
pub struct Made<'a> {
    /// The organization.
    pub org: &'a str,
    /// Collection and verb.
    pub action: &'a str,
    /// When.
    pub at: i64,
    /// What it wrote.
    pub after: &'a [Object],
    /// Bytes of its records.
    pub bytes: u64,
}

/// Holds a change against all quotas.
pub fn hold(read: &mut dyn Read, tally: &Tally, made: &Made<'_>) -> Result<(), Problem> {
    let quotas = tally.quotas(made.org);
    let mut more: HashMap<Kind, i64> = HashMap::new();
    for object in made.after.iter().filter(|o| o.kind != Kind::Organization) {
        *more.entry(object.kind).or_default() += added(object, made);
    }
    for (kind, more) in more {
        let (quota, limit) = quotas.of_what(Of::Objects(kind));
        let before = match tally.count(made.org, kind) {
            Some(before) => before,
            // The store has the change already.
            None => {
                let before = read.count(made.org, kind)?.saturating_add_signed(-more);
                tally.counted(made.org, kind, before);
                before
            }
        };
        if more > 0 && before.saturating_add_signed(more) > limit {
            return Err(Problem::quota(quota.name, limit));
        }
    }
    rest(read, &quotas, made)?;
    spend(read, tally, &quotas, made)
}

fn rest(read: &mut dyn Read, quotas: &Quotas, made: &Made<'_>) -> Result<(), Problem> {
    let mut accounts: Vec<&str> = Vec::new();
    for object in made.after.iter().filter(|o| added(o, made) > 0) {
        match object.kind {
            Kind::Credential => accounts.extend(object.refers("account")),
            Kind::PolicySet => {
                let (quota, limit) = quotas.of_what(Of::PolicyBytes);
                if read.bytes(made.org, Kind::PolicySet)? > limit {
                    return Err(Problem::quota(quota.name, limit));
                }
            }
            _ => {}
        }
    }
    let (quota, limit) = quotas.of_what(Of::KeysOfAccount);
    accounts.sort_unstable();
    accounts.dedup();
    for account in accounts {
        if read.count_referring(made.org, Kind::Credential, account)? > limit {
            return Err(Problem::quota(quota.name, limit));
        }
    }
    Ok(())
}

/// What an object adds to its kind: 1 if it is new or came back, -1 if it went.
fn added(object: &Object, made: &Made<'_>) -> i64 {
    let comes = object.created == made.at || made.action.ends_with(".undelete");
    match object.deleted {
        None if comes => 1,
        Some(at) if at == made.at && object.created != made.at => -1,
        _ => 0,
    }
}

fn spend(read: &mut dyn Read, tally: &Tally, quotas: &Quotas, made: &Made<'_>) -> Result<(), Problem> {
    let (quota, limit) = quotas.of_what(Of::ChangeBytes);
    let verb = made.action.rsplit('.').next().unwrap_or_default();
    let limit_here = match verb {
        "revoke" | "deleted" | "quotas" => u64::MAX,
        "disable" | "leave" => limit.saturating_mul(2),
        _ => limit,
    };
    let start = match tally.with(made.org, |held| held.changes) {
        Some(day) => day,
        None => {
            let day = made.at.div_euclid(DAY);
            Day { day, bytes: changed_today(read, made.org, made.at)?.saturating_sub(made.bytes) }
        }
    };
    tally.with(made.org, |held| {
        let used = held.changes.insert(start).at(made.at);
        if used.saturating_add(made.bytes) > limit_here {
            return Err(Problem::day_is_full(quota.name, limit, seconds_left(made.at)));
        }
        *used += made.bytes;
        Ok(())
    })
}

/// The fact that says when an import into an organization was.
pub fn imported(org: &str) -> String {
    format!("imported {org}")
}

/// Bytes of the changes of this day; those of an import, which whoever has the host made, and what was before it, don't count.
fn changed_today(read: &mut dyn Read, org: &str, now: i64) -> Stored<u64> {
    let imported = read.fact(&imported(org))?.and_then(|at| at.parse::<i64>().ok());
    let since = imported.map_or(i64::MIN, |at| at + 1);
    read.written_since(org, since.max(now.div_euclid(DAY) * DAY))
}

/// Bytes of today's day files in a folder.
pub fn written_today(folder: &Path, now: i64) -> u64 {
    let today = crate::show_time(now);
    let day = today.split('T').next().unwrap_or_default();
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let own = files.filter(|file| file.file_name().to_string_lossy().starts_with(day));
    own.filter_map(|file| file.metadata().ok()).map(|found| found.len()).sum()
}

/// Each quota with what is used of it.
pub fn used(
    read: &mut dyn Read,
    tally: &Tally,
    org: &str,
    now: i64,
    decisions: &Path,
) -> Result<Value, Problem> {
    let quotas = tally.quotas(org);
    let [changes, decided] = tally.today(org, now);
    let changes = match changes {
        Some(bytes) => bytes,
        None => changed_today(read, org, now)?,
    };
    let decided = decided.unwrap_or_else(|| written_today(&decisions.join(org), now));
    let mut all = Vec::new();
    for quota in ALL {
        let used = match quota.of {
            Of::Objects(kind) => Some(match tally.count(org, kind) {
                Some(count) => count,
                None => read.count(org, kind)?,
            }),
            Of::KeysOfAccount => None,
            Of::PolicyBytes => Some(read.bytes(org, Kind::PolicySet)?),
            Of::ChangeBytes => Some(changes),
            Of::DecisionBytes => Some(decided),
        };
        all.push(
            json!({ "name": quota.name, "limit": quotas.limit(quota), "used": used, "counts": quota.doc }),
        );
    }
    Ok(json!({ "items": all }))
}
