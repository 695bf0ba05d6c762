//! What a caller is told when it doesn't get what it asked for: RFC 9457 problem details.
//!
//! In:    what went wrong, in situations.
//! Out:   [`Problem`]: a status and a JSON document with `type`, `title`, `status`, `detail` and, where it helps, `field`.
//! Law:   what is absent and what may not be seen are one answer, [`Problem::absent`].

use super::store::StoreError;
use serde_json::{Value, json};

/// `1 key`, `3 keys`.
pub fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The last part of its `type`.
    pub name: &'static str,
    /// What it is, always the same for a name.
    pub title: &'static str,
    /// What is wrong here and what to do.
    pub detail: String,
    /// Further members.
    pub more: Vec<(&'static str, Value)>,
}

impl Problem {
    fn new(status: u16, name: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, name, title, detail: detail.into(), more: Vec::new() }
    }

    /// 404: not there, or not for this caller.
    pub fn absent() -> Problem {
        Problem::new(404, "not-found", "not found", "there is nothing here, or not for this caller")
    }

    /// 401.
    pub fn unauthenticated() -> Problem {
        let detail = "send a live credential as `Authorization: Bearer …`, from where it may be used";
        Problem::new(401, "unauthenticated", "no live credential", detail)
    }

    /// 403: the caller may know that it is there, and may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(403, "forbidden", "not allowed", detail)
    }

    /// 400, about a field of the body.
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Problem {
        let mut problem = Problem::new(400, "invalid", "the request doesn't fit", detail);
        problem.more.push(("field", Value::String(field.into())));
        problem
    }

    /// 400, about the whole.
    pub fn invalid(detail: impl Into<String>) -> Problem {
        Problem::new(400, "invalid", "the request doesn't fit", detail)
    }

    /// 409.
    pub fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(409, "conflict", "it contradicts what is there", detail)
    }

    /// 422: with it, what is stored would contradict itself.
    pub fn unfit(detail: impl Into<String>) -> Problem {
        Problem::new(422, "unfit", "it contradicts what else is stored", detail)
    }

    /// 412: it was changed since.
    pub fn changed(revision: i64) -> Problem {
        let detail = format!("it was changed since: it is at revision {revision} now; read it again");
        Problem::new(412, "changed", "the revision doesn't match", detail)
    }

    /// 428: `If-Match` is missing.
    pub fn unconditional() -> Problem {
        let detail = "send `If-Match` with the ETag of what you read, so that nobody's change is lost";
        Problem::new(428, "precondition-required", "`If-Match` is missing", detail)
    }

    /// 408: the body didn't come in time.
    pub fn too_slow(seconds: u64) -> Problem {
        let detail = format!("the body was not there after {seconds} seconds: send it again");
        Problem::new(408, "too-slow", "the request didn't arrive in time", detail)
    }

    /// 413.
    pub fn too_large(detail: impl Into<String>) -> Problem {
        Problem::new(413, "too-large", "too large", detail)
    }

    /// 429: more than may be asked for in this time.
    pub fn too_fast(who: &str, rate: u32, wait: u64) -> Problem {
        let detail =
            format!("this {who} may use {rate} units of work a second: wait {wait} s, then ask less often");
        Problem::new(429, "too-fast", "too many requests", detail).after(wait)
    }

    /// 409: the organization has as many as it may.
    pub fn quota(quota: &'static str, limit: u64) -> Problem {
        let detail = format!(
            "the organization has all of its quota `{quota}`, {limit}: delete what isn't needed, or ask whoever runs the installation for more"
        );
        let mut problem = Problem::new(409, "quota", "a quota is used up", detail);
        problem.more.extend([("quota", quota.into()), ("limit", limit.into())]);
        problem
    }

    /// 429: the organization has written as much as it may in one day.
    pub fn day_is_full(quota: &'static str, limit: u64, wait: u64) -> Problem {
        let detail = format!(
            "the organization has used up its quota `{quota}`, {limit}, until midnight UTC: whoever runs the installation can raise it"
        );
        let mut problem = Problem::new(429, "quota", "a quota is used up", detail).after(wait);
        problem.more.extend([("quota", quota.into()), ("limit", limit.into())]);
        problem
    }

    /// 412: the caller knows of a change that this server doesn't have.
    pub fn behind(wanted: i64, reached: i64) -> Problem {
        let detail = format!(
            "this server is at revision {reached} of the organization, not at {wanted} yet: ask again, or ask another"
        );
        Problem::new(412, "behind", "that revision isn't here", detail).after(1)
    }

    /// 503: too many large bodies at once.
    pub fn busy() -> Problem {
        let detail = "too many large requests arrive at once: send it again in a second";
        Problem::new(503, "busy", "not now", detail).after(1)
    }

    /// Says after how many seconds it is worth asking again.
    fn after(mut self, seconds: u64) -> Problem {
        self.more.push(("retry_after", seconds.into()));
        self
    }

    /// After how many seconds it is worth asking again.
    pub fn retry_after(&self) -> Option<u64> {
        self.more.iter().find(|(name, _)| *name == "retry_after").and_then(|(_, seconds)| seconds.as_u64())
    }

    /// 507: the disk is nearly full.
    pub fn no_room(free: u64, reserve: u64) -> Problem {
        let detail = format!(
            "{free} bytes are free, less than the reserve of {reserve}: only revoking, disabling and unbinding are done until there is room"
        );
        Problem::new(507, "no-room", "the disk is nearly full", detail)
    }

    /// 503: it can't be made durable, or can't be decided; nothing is allowed.
    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem::new(503, "unavailable", "not available", detail)
    }

    /// The document.
    pub fn document(&self, request: &str) -> Value {
        let mut document = json!({
            "type": format!("urn:policyd:problem:{}", self.name), "title": self.title, "status": self.status,
            "detail": self.detail, "request": request,
        });
        for (name, value) in &self.more {
            document[name] = value.clone();
        }
        document
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::Taken => Problem::conflict("the name is taken by another that is not deleted"),
            StoreError::Crossing => Problem::absent(),
            other => Problem::unavailable(format!("nothing was changed: {other}")),
        }
    }
}
