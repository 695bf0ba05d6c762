//! Whom an account acts for: [`next`].
//!
//! In:    a question and its directory, the accounts of the chain so far.
//! Out:   the next account of the chain and the link that leads to it; or that the chain breaks off.
//! Law:   a chain has an end: nobody is in it twice, and it has [`CHAIN_ACCOUNTS_MAX`] accounts at most.

use super::resolved::{Asker, AskerMore};
use crate::directory::{Link as ActingFor, LinkTarget, World};
use crate::limits::CHAIN_ACCOUNTS_MAX;
use crate::value::Entity;

/// Whom an account acts for, by which link; and whether there should be somebody and isn't.
pub(super) fn next<'a>(
    world: &World<'a>,
    first: &Entity,
    behind: &[(Asker<'a>, AskerMore<'a>)],
    current: &Entity,
) -> (Option<(&'a ActingFor, &'a Entity)>, bool) {
    let kind = world.vocabulary.kinds.get(current.kind.index());
    if kind.is_none_or(|kind| kind.acting_for.is_empty()) {
        return (None, false);
    }
    // How many stand before the current one.
    let at = if std::ptr::eq(first, current) { 0 } else { behind.len() + 1 };
    let new = |next: &Entity| {
        next != first && next != current && behind.iter().all(|(asker, _)| asker.entity != next)
    };
    let next = linked(world, current, at);
    let next = next.filter(|(_, next)| at + 1 < CHAIN_ACCOUNTS_MAX && new(next));
    (next, next.is_none())
}

/// The one that the request names, else the only one it could be.
fn linked<'a>(world: &World<'a>, current: &Entity, at: usize) -> Option<(&'a ActingFor, &'a Entity)> {
    let World { vocabulary, directory, question } = *world;
    let kinds = &vocabulary.kinds.get(current.kind.index())?.acting_for;
    let account = directory.accounts.get(directory.account(current)?.index())?;
    let now = world.now();
    let mut live = account.links().iter().filter(|link| now < link.until);
    if let Some(named) = question.acting_for.get(at) {
        let fits = |link: &&ActingFor| match link.target {
            LinkTarget::Account(ix) => directory.accounts.get(ix.index()).is_some_and(|a| a.entity == *named),
            LinkTarget::Group(ix) => {
                let group = directory.groups.get(ix.index());
                group.is_some_and(|group| world.is_member(named, &group.id))
            }
        };
        return live.find(fits).filter(|_| kinds.contains(&named.kind)).map(|link| (link, named));
    }
    let link = live.next()?;
    let LinkTarget::Account(target) = link.target else { return None };
    let target = &directory.accounts.get(target.index())?.entity;
    (live.next().is_none() && kinds.contains(&target.kind)).then_some((link, target))
}
