//! The answer: [`Decision`].

use crate::value::RuleId;
use serde::{Deserialize, Serialize};

/// Yes or no, and what determined it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// Yes (`None`), or the step that refused.
    pub refused_by: Option<Step>,
    /// The one determining rule: the allow, or the deny that refused, where there is one.
    pub rule: Option<RuleRef>,
    /// A denial that lifting its one rule would turn into an allow, when that rule asks for something.
    pub ask: bool,
}

/// A rule of the set, or of the presented key's own policy text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleRef {
    /// It is a rule of the key's text.
    pub in_key: bool,
    /// Which rule.
    pub rule: RuleId,
}

/// The step of a decision that refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A deny rule matched.
    Rule,
    /// No allow rule matched.
    Default,
    /// The account's home or the credential's scope doesn't cover the request's.
    Scope,
    /// A boundary doesn't allow it.
    Boundary,
    /// Nobody, or somebody who may not do this himself, stands behind the account.
    ActingFor,
}

impl Decision {
    /// Whether the answer is yes.
    pub fn is_allow(&self) -> bool {
        self.refused_by.is_none()
    }
}
