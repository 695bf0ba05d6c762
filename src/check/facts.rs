//! What is known at a place in a condition: which optionals are there, which kind an entity is of.

use super::program::{Expr, ExprKind};
use crate::value::{KindId, NameId};

/// A path that facts can be about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub root: Root,
    pub steps: Vec<Step>,
}

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Root {
    Account,
    Resource,
    Scope,
    Context(u16),
    Property(NameId),
    Parameter(u16),
    Variable,
}

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Attribute(NameId),
    Parent(KindId),
    Id,
}

impl Key {
    /// The path that an expression is, if it is one.
    pub fn of(expr: &Expr) -> Option<Key> {
        let root = |root| Some(Key { root, steps: Vec::new() });
        let step = |inner: &Expr, step| {
            let mut key = Key::of(inner)?;
            key.steps.push(step);
            Some(key)
        };
        match &expr.kind {
            ExprKind::Account => root(Root::Account),
            ExprKind::Resource => root(Root::Resource),
            ExprKind::Scope => root(Root::Scope),
            ExprKind::Context(slot) => root(Root::Context(*slot)),
            ExprKind::Property(name) => root(Root::Property(*name)),
            ExprKind::Parameter(i) => root(Root::Parameter(*i)),
            ExprKind::Variable => root(Root::Variable),
            ExprKind::Attribute(inner, name) => step(inner, Step::Attribute(*name)),
            ExprKind::Parent(inner, kind) => step(inner, Step::Parent(*kind)),
            ExprKind::Id(inner) => step(inner, Step::Id),
            _ => None,
        }
    }

    /// Every beginning of the path, the whole included, that has at least one step or is no entity of the request.
    pub fn prefixes(&self) -> impl Iterator<Item = Key> + '_ {
        (0..=self.steps.len()).map(|n| Key { root: self.root, steps: self.steps[..n].to_vec() })
    }

    /// The path with its parameter replaced by an argument's path.
    fn substitute(&self, arguments: &[Option<Key>]) -> Option<Key> {
        let Root::Parameter(i) = self.root else { return Some(self.clone()) };
        let mut key = arguments.get(usize::from(i))?.clone()?;
        key.steps.extend_from_slice(&self.steps);
        Some(key)
    }
}

/// One thing that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// The path has a value, and what it refers to is known.
    Exists(Key),
    /// The entity is of this kind.
    Is(Key, KindId),
    /// The entity is not of this kind.
    IsNot(Key, KindId),
}

impl Fact {
    /// The fact with its parameter replaced by an argument's path; `None` when the argument is no path.
    pub fn substitute(&self, arguments: &[Option<Key>]) -> Option<Fact> {
        Some(match self {
            Fact::Exists(k) => Fact::Exists(k.substitute(arguments)?),
            Fact::Is(k, kind) => Fact::Is(k.substitute(arguments)?, *kind),
            Fact::IsNot(k, kind) => Fact::IsNot(k.substitute(arguments)?, *kind),
        })
    }
}

/// The facts at a place; a stack, so that leaving a branch is cutting it back.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts(pub Vec<Fact>);

impl Facts {
    /// Whether a path is known to have a value.
    pub fn exists(&self, key: &Key) -> bool {
        self.0.iter().any(|f| matches!(f, Fact::Exists(k) if k == key))
    }

    /// What is left of the kinds that an entity may be of.
    pub fn narrow(&self, key: &Key, kinds: &mut Vec<KindId>) {
        for fact in &self.0 {
            match fact {
                Fact::Is(k, kind) if k == key => kinds.retain(|other| other == kind),
                Fact::IsNot(k, kind) if k == key => kinds.retain(|other| other != kind),
                _ => {}
            }
        }
    }
}
