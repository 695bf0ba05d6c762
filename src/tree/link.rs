//! Where a directory meets a tree: [`Link`], the tree's numbers of the directory's groups and scopes.
//!
//! In:    a tree and a directory; then, after small changes, the next directory and what they touched.
//! Out:   the symbol of a group or scope by its number in the directory; [`NONE`] for what no head names.
//! Law:   an updated link says what one made anew says. A clone costs nothing; an update copies one page for each page
//!        with something touched, and the list of pages.

use super::lookup::NONE;
use super::node::Tree;
use crate::directory::{Directory, GroupIx, ScopeIx, Touched};
use crate::value::KindId;
use std::sync::Arc;

/// Symbols that are copied together.
const PAGE: usize = 256;

/// The symbols of a directory's groups and scopes in one tree, by index. A clone costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Link {
    groups: Pages,
    scopes: Pages,
}

impl Link {
    /// Looks up all groups and scopes.
    pub fn new(tree: &Tree, directory: &Directory) -> Link {
        let groups = 0..directory.groups.slots() as u32;
        let scopes = 0..directory.scopes.slots() as u32;
        Link {
            groups: Pages::of(groups.map(|ix| group_symbol(tree, directory, GroupIx(ix)))),
            scopes: Pages::of(scopes.map(|ix| scope_symbol(tree, directory, ScopeIx(ix)))),
        }
    }

    /// The link of the directory that changes have led to: only what they touched is looked up.
    ///
    /// - `directory`, `touched`: what [`Directory::apply`] gave for the directory that this link is of.
    #[must_use]
    pub fn update(&self, tree: &Tree, directory: &Directory, touched: &Touched) -> Link {
        let groups = touched.groups.iter().map(|ix| (ix.index(), group_symbol(tree, directory, *ix)));
        let scopes = touched.scopes.iter().map(|ix| (ix.index(), scope_symbol(tree, directory, *ix)));
        Link { groups: self.groups.with(groups), scopes: self.scopes.with(scopes) }
    }

    /// The symbol of a group.
    #[inline]
    pub(super) fn group(&self, group: GroupIx) -> u32 {
        self.groups.get(group.index())
    }

    /// The symbol of a scope node.
    #[inline]
    pub(super) fn scope(&self, scope: ScopeIx) -> u32 {
        self.scopes.get(scope.index())
    }
}

/// Numbers by index.
#[derive(Clone, Debug, Default)]
struct Pages(Arc<[Arc<[u32; PAGE]>]>);

impl Pages {
    fn of(numbers: impl Iterator<Item = u32>) -> Pages {
        let mut pages: Vec<[u32; PAGE]> = Vec::new();
        for (n, number) in numbers.enumerate() {
            if n % PAGE == 0 {
                pages.push([NONE; PAGE]);
            }
            pages[n / PAGE][n % PAGE] = number;
        }
        Pages(pages.into_iter().map(Arc::new).collect())
    }

    /// The same but for some numbers.
    fn with(&self, numbers: impl Iterator<Item = (usize, u32)>) -> Pages {
        let mut pages: Option<Vec<Arc<[u32; PAGE]>>> = None;
        for (at, number) in numbers {
            let pages = pages.get_or_insert_with(|| self.0.to_vec());
            while pages.len() <= at / PAGE {
                pages.push(Arc::new([NONE; PAGE]));
            }
            Arc::make_mut(&mut pages[at / PAGE])[at % PAGE] = number;
        }
        pages.map_or_else(|| self.clone(), |pages| Pages(pages.into()))
    }

    #[inline]
    fn get(&self, at: usize) -> u32 {
        self.0.get(at / PAGE).map_or(NONE, |page| page[at % PAGE])
    }
}

/// The symbol of a group; [`NONE`] if no head names it, or it is gone.
pub(super) fn group_symbol(tree: &Tree, directory: &Directory, group: GroupIx) -> u32 {
    let group = directory.groups.get(group.index());
    group.and_then(|group| tree.symbols.number_of(KindId::GROUP, &group.id)).unwrap_or(NONE)
}

/// The symbol of a scope node; [`NONE`] if no head names it, or it is gone.
pub(super) fn scope_symbol(tree: &Tree, directory: &Directory, scope: ScopeIx) -> u32 {
    directory.scopes.get(scope.index()).and_then(|s| tree.symbols.number(&s.entity)).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Change;
    use crate::directory::fixture::{ORG, PROJECT, directory, vocabulary};
    use crate::value::Entity;
    use proptest::prelude::*;

    /// Names that the heads of a tree name; others they don't.
    fn named() -> Vec<Entity> {
        let scopes = ["acme", "acme/web", "acme/n1", "acme/n4", "acme/n300"];
        let scopes =
            scopes.map(|id| Entity { kind: if id == "acme" { ORG } else { PROJECT }, id: id.into() });
        let groups = ["ops", "g0", "g5", "g299"].map(|id| Entity { kind: KindId::GROUP, id: id.into() });
        scopes.into_iter().chain(groups).collect()
    }

    fn says(link: &Link, directory: &Directory) -> Vec<u32> {
        let groups = (0..directory.groups.slots() as u32 + 300).map(|ix| link.group(GroupIx(ix)));
        let scopes = (0..directory.scopes.slots() as u32 + 300).map(|ix| link.scope(ScopeIx(ix)));
        groups.chain(scopes).collect()
    }

    fn change(what: u8, n: u32) -> Change {
        let (path, id) = (format!("acme/n{n}").into(), format!("g{n}").into());
        match what {
            0 => Change::PutScope { kind: PROJECT, path, attributes: vec![] },
            1 => Change::RemoveScope { path },
            2 => Change::PutGroup { id, scope: None, attributes: vec![] },
            _ => Change::RemoveGroup { id },
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn an_updated_link_says_what_a_new_one_says(steps in prop::collection::vec((0..4u8, 0..7u32), 0..60)) {
            let v = vocabulary();
            let tree = Tree { symbols: named().into(), ..Tree::default() };
            let mut now = directory(&v);
            // Two pages of each.
            for n in 290..302 {
                let grown = (0..24).map(|m| change(if m % 2 == 0 { 0 } else { 2 }, n * 12 + m)).collect::<Vec<_>>();
                now = now.apply(&v, &grown).unwrap().0;
            }
            let mut link = Link::new(&tree, &now);
            prop_assert!(says(&link, &now).iter().any(|symbol| *symbol != NONE));
            for (what, n) in steps {
                let Ok((next, touched)) = now.apply(&v, &[change(what, n)]) else { continue };
                let before = says(&link, &now);
                let kept = link.clone();
                link = link.update(&tree, &next, &touched);
                prop_assert_eq!(says(&link, &next), says(&Link::new(&tree, &next), &next));
                prop_assert_eq!(says(&kept, &now), before);
                now = next;
            }
        }
    }
}
