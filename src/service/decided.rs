//! The record of what was decided: one for all answers to a request.
//!
//! In:    who asked, and of each answer the question, whom it is about and where.
//! Out:   an [`Entry`], which must be durable before the answers are sent.
//! Law:   what all answers share stands once, in the record itself: the account, who stands behind it, and the innermost place
//!        above all of them.

use super::decide::{Asking, Client};
use super::journal::{self, About, Whom};
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
    /// Who stands behind, nearest first.
    pub chain: Vec<AccountIx>,
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
    let first =
        items.first().and_then(|item| Some((item.subject.clone()?, item.account, item.chain.clone())));
    let whom = first.as_ref().map(|(subject, ..)| subject.uid.clone());
    let behind = first.as_ref().map_or(&[][..], |(.., chain)| chain);
    let same = |item: &Item| uid(item.subject.as_ref()) == whom && item.chain == behind;
    let alike = items.iter().all(same);
    let chain_of = |draft: &mut Draft, chain: &[AccountIx]| {
        let known = chain.iter().filter_map(|ix| Some((*ix, org.facts(*ix)?)));
        let actor = |(ix, facts)| journal::actor(draft, &facts, None, journal::standing(org, Some(ix)));
        known.map(actor).collect::<Result<Vec<_>, _>>()
    };
    let mut decisions = Vec::with_capacity(items.len());
    for Item { mut facts, subject, account, chain, scope: at } in items {
        journal::seal_asked(&mut draft, &mut facts, org)?;
        if let Some(subject) = subject.filter(|_| !alike) {
            let standing = journal::standing(org, account);
            facts.account = Some(journal::actor(&mut draft, &subject, credential(&subject), standing)?);
            facts.chain = chain_of(&mut draft, &chain)?;
        }
        facts.scope = Some(at).filter(|at| *at != scope);
        decisions.push(facts);
    }
    let (account, chain) = match first.filter(|_| alike) {
        Some((subject, account, chain)) => {
            let standing = journal::standing(org, account);
            let account = journal::actor(&mut draft, &subject, credential(&subject), standing)?;
            (Some(account), chain_of(&mut draft, &chain)?)
        }
        None => (None, Vec::new()),
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
    Ok(journal::finish(&about, Whom { account, chain, asked_by }, body, draft)?)
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
