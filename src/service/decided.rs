//! The record of what was decided: one for all answers to a request.
//!
//! In:    who asked, and of each answer the question, whom it is about and where.
//! Out:   an [`Entry`], which must be durable before the answers are sent.
//! Law:   what all answers share stands once, in the record itself: the account and the innermost place above all of them.

use super::decide::{Asking, Client};
use super::journal::{self, About};
use super::memory::AccountFacts;
use super::problem::Problem;
use crate::AccountIx;
use crate::audit::record::{Body, DecisionFacts, Draft, Entry, Log};

/// What a record says of one answer.
pub struct Item {
    /// The question and its answer.
    pub facts: DecisionFacts,
    /// Whom it is about.
    pub subject: Option<AccountFacts>,
    /// The same in the directory.
    pub account: Option<AccountIx>,
    /// Where.
    pub scope: String,
}

/// The innermost place that two paths have in common.
fn shared<'p>(a: &'p str, b: &str) -> &'p str {
    let same = a.split('/').zip(b.split('/')).take_while(|(x, y)| x == y);
    let bytes = same.map(|(part, _)| part.len() + 1).sum::<usize>();
    &a[..bytes.saturating_sub(1)]
}

/// The record of all answers to one request.
pub fn record(asking: &Asking<'_>, items: Vec<Item>) -> Result<Entry, Problem> {
    let mut draft = Draft::new()?;
    let by = &asking.caller;
    let org = asking.org;
    let uid = |s: Option<&AccountFacts>| s.map(|s| s.uid.clone());
    let asker = uid(by.account.as_ref());
    let credential = |s: &AccountFacts| match asking.client {
        Client::Key(client) => Some(client.key.uid.as_str()),
        _ if asker.as_ref() == Some(&s.uid) => Some(by.key.uid.as_str()),
        _ => None,
    };
    let scope = items.iter().map(|item| item.scope.as_str()).reduce(shared).unwrap_or_default().to_owned();
    let first = items.first().and_then(|item| Some((item.subject.clone()?, item.account)));
    let whom = first.as_ref().map(|(subject, _)| subject.uid.clone());
    let alike = items.iter().all(|item| item.subject.as_ref().map(|s| &s.uid) == whom.as_ref());
    let mut decisions = Vec::with_capacity(items.len());
    for Item { mut facts, subject, account, scope: at } in items {
        journal::seal_asked(&mut draft, &mut facts, org)?;
        if let Some(subject) = subject.filter(|_| !alike) {
            let standing = journal::standing(org, account);
            facts.account = Some(journal::actor(&mut draft, &subject, credential(&subject), standing)?);
        }
        facts.scope = Some(at).filter(|at| *at != scope);
        decisions.push(facts);
    }
    let account = match first.filter(|_| alike) {
        Some((subject, account)) => {
            let standing = journal::standing(org, account);
            Some(journal::actor(&mut draft, &subject, credential(&subject), standing)?)
        }
        None => None,
    };
    let asked_by = match &by.account {
        Some(caller) if !alike || asker != whom => {
            let standing = journal::standing_of(org, caller);
            Some(journal::actor(&mut draft, caller, Some(&by.key.uid), standing)?)
        }
        _ => None,
    };
    let about = About {
        log: Log::Decisions,
        org: &org.uid,
        scope: &scope,
        at: asking.now,
        revision: org.revision,
        request: asking.request,
    };
    let policy_set = org.active.clone().unwrap_or_default();
    let body = Body::Decided { policy_set, decisions };
    Ok(journal::finish(&about, account, asked_by, body, draft)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_share_what_is_above_both() {
        let cases = [
            ("acme/web/live", "acme/web/play", "acme/web"),
            ("acme/web", "acme/web", "acme/web"),
            ("acme/web", "acme/webs", "acme"),
            ("acme", "acme/web", "acme"),
            ("acme", "", ""),
            ("", "", ""),
        ];
        for (a, b, both) in cases {
            assert_eq!((shared(a, b), shared(b, a)), (both, both));
        }
    }
}
