//! A record of the log: what is written about a decision, a change or a reading, and the leaf it becomes.
//!
//! In:    a [`Record`], with the personal values in it sealed through its [`Draft`].
//! Out:   an [`Entry`]: salt, the exact bytes, the personal values beside them. Nothing is serialised again afterwards.
//! Law:   leaf hash = SHA-256(0x00 ‖ salt ‖ bytes); it stays the same when personal values are erased, and what was erased
//!        can't be guessed from what stays, since each value is sealed with a key that goes with it. docs/audit-format.md.

use super::bytes::{Hash32, Salt};
use super::merkle::leaf_hash;
use crate::limits::{AUDIT_RECORD_BYTES_MAX, PERSONAL_VALUE_BYTES_MAX, PERSONAL_VALUES_MAX};
use crate::value::{parse_time, show_time};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::{fmt, io};

/// The version of the fields below, written into each record.
pub const RECORD_SCHEMA: u32 = 1;

/// Which of an organization's two logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Log {
    /// What was changed: directory, credentials, policies.
    Changes,
    /// What was asked and answered.
    Decisions,
}

impl Log {
    /// Its name in origins and records.
    pub fn name(self) -> &'static str {
        match self {
            Log::Changes => "changes",
            Log::Decisions => "decisions",
        }
    }
}

/// The origin of a log, as its checkpoints name it: `<installation>/<organization>/<log>`.
pub fn origin(installation: &str, organization: &str, log: Log) -> String {
    format!("{installation}/{organization}/{}", log.name())
}

/// A moment: microseconds since 1970 in UTC, written as RFC 3339.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_time(self.0))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parse_time(&String::deserialize(from)?).map(Moment).map_err(serde::de::Error::custom)
    }
}

/// A value of a record: there to be read, or sealed, with its text beside the record until it is erased.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The value itself.
    Plain(Value),
    /// What the value was sealed to, through [`Draft::seal`].
    Sealed(Hash32),
}

impl From<&str> for Fact {
    fn from(text: &str) -> Fact {
        Fact::Plain(text.into())
    }
}

/// An account as it was when the record was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// `user`, `service_account`, `agent`.
    pub kind: String,
    /// The name; sealed where it says who a person is.
    pub id: Fact,
    /// The immutable id.
    pub uid: String,
    /// The public id of the credential it came with.
    pub credential: Option<String>,
    /// The uid of its owner.
    pub owner: Option<String>,
    /// Its groups, by uid.
    pub groups: Vec<String>,
    /// Its roles.
    pub roles: Vec<String>,
}

/// The request that caused the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFacts {
    /// The id the caller was told.
    pub id: String,
    /// The address the decision saw.
    pub ip: Option<Fact>,
    /// The address of the connection.
    pub peer: Option<Fact>,
    /// What the caller's program calls itself.
    pub user_agent: Option<Fact>,
}

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionFacts {
    /// The id of the event, by which the caller may ask about it; in a batch one for each item.
    pub event: String,
    /// The action asked for.
    pub action: String,
    /// `kind/id` of the resource.
    pub resource: Fact,
    /// Every input that was read.
    pub inputs: BTreeMap<String, Fact>,
    /// Whether it was allowed.
    pub allowed: bool,
    /// The step that decided.
    pub step: String,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Who was decided about, in a batch about several; then the record itself names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Actor>,
    /// Who stands behind it, nearest first, in a batch about several; then the record itself names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Actor>,
    /// Where, if it isn't the place of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeFacts {
    /// The action, such as `api_key.created`.
    pub action: String,
    /// What was changed: kind and uid.
    pub kind: String,
    /// Its immutable id.
    pub uid: String,
    /// The whole of it afterwards; none when it is gone for good.
    pub after: Option<BTreeMap<String, Fact>>,
}

/// An account that nobody answers for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unowned {
    /// Its uid.
    pub uid: String,
    /// Since when.
    pub since: Moment,
    /// When it will be disabled.
    pub disabled_at: Moment,
}

/// What the record is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// One decision, or all those of a batch or search.
    Decided {
        /// The version of the policy set that answered.
        policy_set: String,
        /// Question and answer, in the order of the request.
        decisions: Vec<DecisionFacts>,
    },
    /// The changes of one transaction.
    Changed {
        /// In the order in which they were made.
        changes: Vec<ChangeFacts>,
        /// What was asked of our own policies, each with the rule that allowed it: `create_project: policyd_admin.1`.
        allowed_by: Vec<String>,
    },
    /// A session of reading the log: one record for each, none for its pages.
    Read {
        /// `search`, `export` or `tail`.
        what: String,
        /// What was asked for.
        filter: Value,
    },
    /// A request that wasn't carried out; also in place of a record that would have been too large.
    Refused {
        /// The action asked for.
        action: String,
        /// The HTTP status told.
        status: u16,
        /// Why.
        reason: String,
        /// How many there were, where they were only counted; then the record names no account.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u64>,
    },
    /// The key that signs checkpoints was replaced; the note is signed by both keys.
    KeyRotated {
        /// See [`super::note::Rotation`].
        note: String,
    },
    /// Day files were deleted, because they were too old or too many; their leaf hashes stay.
    Retained {
        /// Which, oldest first.
        files: Vec<String>,
        /// Records before this number are gone.
        before: u64,
        /// Why.
        why: String,
    },
    /// The log goes on from a backup, under a new name.
    Restored {
        /// The origin it had before.
        before: String,
        /// How many records were brought back.
        size: u64,
        /// How many more the last checkpoint known was over; 0 too where none is known.
        missing: u64,
        /// That checkpoint.
        checkpoint: Option<String>,
    },
    /// Accounts that nobody answers for any more; a record a day.
    OwnerGone {
        /// Which.
        accounts: Vec<Unowned>,
    },
    /// The personal values of a person were erased.
    Erased {
        /// Whose.
        person: String,
        /// How many.
        values: u64,
    },
}

/// A record. Its JSON has exactly these fields, in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`RECORD_SCHEMA`].
    pub schema: u32,
    /// The log it belongs to.
    pub log: Log,
    /// Its own id.
    pub id: String,
    /// When.
    pub time: Moment,
    /// The organization, as its credential says.
    pub organization: String,
    /// The path of the scope it was about.
    pub scope: String,
    /// Who it was.
    pub account: Option<Actor>,
    /// Who stands behind, nearest first.
    pub chain: Vec<Actor>,
    /// The enforcing service that asked, where that is another.
    pub asked_by: Option<Actor>,
    /// The revision of the directory that was read.
    pub directory_revision: u64,
    /// The request it came with.
    pub request: Option<RequestFacts>,
    /// What it is about.
    pub body: Body,
}

/// A personal value, beside its record until it is erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Personal {
    /// The uid of the person by whom it is erased.
    pub person: String,
    /// The name of the field, such as `account.id`.
    pub field: String,
    /// The key it was sealed with; without it nothing can be guessed from the seal.
    pub key: Salt,
    /// The value.
    pub value: String,
}

impl Personal {
    /// What stands for this value in the record whose salt is `salt`.
    pub fn seal(&self, salt: &Salt) -> Hash32 {
        let mut hasher = Sha256::new();
        hasher.update(b"policyd personal value v1\0");
        hasher.update(salt.0);
        hasher.update(self.key.0);
        for text in [&self.person, &self.field, &self.value] {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
        super::bytes::Bytes(hasher.finalize().into())
    }
}

/// Why a record can't be written; the request it is about is then refused.
#[derive(Debug)]
pub enum RecordError {
    /// It is larger than `AUDIT_RECORD_BYTES_MAX`; its size.
    TooLarge(usize),
    /// A personal value is larger than `PERSONAL_VALUE_BYTES_MAX`, or there are more than `PERSONAL_VALUES_MAX`; the field.
    TooMuchPersonal(String),
    /// The system has no randomness to give, or the record isn't JSON.
    Io(io::Error),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::TooLarge(bytes) => {
                write!(
                    f,
                    "the audit record would have {bytes} bytes; at most {AUDIT_RECORD_BYTES_MAX}: ask for less at once"
                )
            }
            RecordError::TooMuchPersonal(field) => write!(
                f,
                "`{}` is past the bounds of personal values: {PERSONAL_VALUES_MAX} in a record, {PERSONAL_VALUE_BYTES_MAX} bytes each",
                field.escape_debug()
            ),
            RecordError::Io(error) => write!(f, "no audit record can be made: {error}"),
        }
    }
}

impl std::error::Error for RecordError {}

/// A record in the making: it holds the salt, and seals personal values.
#[derive(Debug)]
pub struct Draft {
    salt: Salt,
    personal: Vec<Personal>,
}

impl Draft {
    /// Begins a record with a fresh salt.
    pub fn new() -> Result<Draft, RecordError> {
        Ok(Draft { salt: Salt::random().map_err(RecordError::Io)?, personal: Vec::new() })
    }

    /// Puts `value`, which is about the person with the uid `person`, beside the record; what is returned stands for it inside.
    pub fn seal(&mut self, person: &str, field: &str, value: &str) -> Result<Fact, RecordError> {
        let long = [person, field, value].iter().any(|text| text.len() > PERSONAL_VALUE_BYTES_MAX);
        if long || self.personal.len() == PERSONAL_VALUES_MAX {
            return Err(RecordError::TooMuchPersonal(field.chars().take(64).collect()));
        }
        let key = Salt::random().map_err(RecordError::Io)?;
        let personal =
            Personal { person: person.to_owned(), field: field.to_owned(), key, value: value.to_owned() };
        let fact = Fact::Sealed(personal.seal(&self.salt));
        self.personal.push(personal);
        Ok(fact)
    }

    /// The record as it is stored.
    pub fn finish(self, record: &Record) -> Result<Entry, RecordError> {
        // About as large as it will be, so that it isn't copied while it grows.
        let decisions = if let Body::Decided { decisions, .. } = &record.body { decisions.len() } else { 0 };
        let mut text = Vec::with_capacity((1024 * (1 + decisions)).min(AUDIT_RECORD_BYTES_MAX));
        serde_json::to_writer(&mut text, record).map_err(|e| RecordError::Io(e.into()))?;
        let text = String::from_utf8(text).map_err(|e| RecordError::Io(io::Error::other(e)))?;
        if text.len() > AUDIT_RECORD_BYTES_MAX {
            return Err(RecordError::TooLarge(text.len()));
        }
        Ok(Entry { salt: self.salt, record: text, personal: self.personal, time: record.time })
    }
}

/// A record as it is stored: whoever keeps it keeps all four parts, and only ever takes from `personal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// 128 random bits, the first part of the leaf.
    pub salt: Salt,
    /// The exact bytes: one JSON object, the second part of the leaf.
    pub record: String,
    /// The personal values, until they are erased.
    pub personal: Vec<Personal>,
    /// The time the record names, for finding it.
    pub time: Moment,
}

impl Entry {
    /// The hash of the leaf.
    pub fn leaf(&self) -> Hash32 {
        leaf_hash(&[&self.salt.0, self.record.as_bytes()])
    }

    /// Takes away what is about `person`; how many values that were.
    pub fn erase(&mut self, person: &str) -> usize {
        let before = self.personal.len();
        self.personal.retain(|value| value.person != person);
        before - self.personal.len()
    }

    /// The first personal value that isn't what was sealed in the record.
    pub fn foreign(&self) -> Option<&Personal> {
        let sealed =
            |p: &Personal| self.record.contains(&format!("{{\"sealed\":\"{}\"}}", p.seal(&self.salt)));
        self.personal.iter().find(|p| !sealed(p))
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
pub(in crate::audit) mod tests;
