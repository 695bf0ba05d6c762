//! Whether a right would be worth no more in other hands: what handing it on needs to know.
//!
//! In:    a checked program and a directory; who holds a role or is in a group; the kinds of those who would get it.
//! Out:   no where a rule could allow them what it doesn't allow the holder.
//! Law:   errs on the side of no: it goes by kinds, groups and whether a condition reads anything of the account, never
//!        by values. A rule that no account is treated differently by keeps nobody from handing anything on.

use super::trace::{children, expanded};
use crate::check::program::{Expr, ExprKind, Home, Program, Rule, Sort, What, Who};
use crate::directory::{Directory, ScopeIx};
use crate::value::{ActionId, BoundaryId, Effect, Entity, KindId, RoleId, Value};
use smol_str::SmolStr;
use std::collections::BTreeSet;

/// Somebody who hands on, and to whom.
pub(crate) struct Handing<'a> {
    program: &'a Program,
    directory: &'a Directory,
    giver: &'a Entity,
    /// The kinds of those who get it.
    receivers: &'a [KindId],
    /// The groups the giver is in.
    groups: BTreeSet<SmolStr>,
    /// Those that whoever gets it will be in as well.
    shared: BTreeSet<SmolStr>,
    /// Roles that both will hold.
    roles: BTreeSet<RoleId>,
}

/// What a condition asks of the account: the memberships and roles that are handed on, and everything else.
#[derive(Clone, Copy, Default)]
struct Asks {
    handed: usize,
    other: usize,
}

impl<'a> Handing<'a> {
    pub fn new(
        program: &'a Program,
        directory: &'a Directory,
        giver: &'a Entity,
        receivers: &'a [KindId],
    ) -> Self {
        let account = directory.account(giver).map(|ix| &directory.accounts[ix.index()]);
        let all = account.into_iter().flat_map(|account| directory.groups_of(account));
        let groups = all.map(|(g, _)| directory.groups[g.index()].id.clone()).collect();
        let (shared, roles) = (BTreeSet::new(), BTreeSet::new());
        Handing { program, directory, giver, receivers, groups, shared, roles }
    }

    /// Whether a role that the giver holds at a place would be worth no more to them.
    pub fn role(mut self, role: RoleId, place: ScopeIx) -> bool {
        self.roles.extend(&self.program.vocabulary.roles[role.index()].includes);
        let given: Vec<&Rule> = self.program.role_rules(role).map(|id| self.program.rule(id)).collect();
        let mut actions: BTreeSet<ActionId> = given.iter().flat_map(|r| r.actions.iter().copied()).collect();
        given.iter().all(|rule| self.gives_alike(rule))
            && self.asked_alike(&mut actions)
            && self.bounds_alike(&actions, Some(place))
    }

    /// Whether being in a group, as the giver is, would be worth no more to them.
    pub fn group(mut self, group: &str) -> bool {
        let Some(ix) = self.directory.group(group) else { return false };
        let within = || self.directory.groups[ix.index()].within.iter().map(|(g, _)| g.index());
        self.shared.extend(within().map(|g| self.directory.groups[g].id.clone()));
        let bindings: Vec<_> = within().flat_map(|g| self.directory.groups[g].bindings.iter()).collect();
        let included = bindings.iter().flat_map(|b| &self.program.vocabulary.roles[b.role.index()].includes);
        self.roles.extend(included);
        let given: Vec<&Rule> = bindings
            .iter()
            .flat_map(|b| self.program.role_rules(b.role))
            .map(|id| self.program.rule(id))
            .collect();
        let mut actions: BTreeSet<ActionId> = given.iter().flat_map(|r| r.actions.iter().copied()).collect();
        given.iter().all(|rule| self.gives_alike(rule))
            && self.asked_alike(&mut actions)
            && self.bounds_alike(&actions, None)
    }

    /// Whether rules that ask for what is handed on say the same of both; their actions join the others. A deny may ask, too:
    /// who has the right is spared by it.
    fn asked_alike(&self, actions: &mut BTreeSet<ActionId>) -> bool {
        for rule in &self.program.rules {
            let names = |w: &Who| match w {
                Who::Group(g) | Who::KindInGroup(_, g) => self.shared.contains(g),
                _ => false,
            };
            let by_head = rule.effect == Effect::Allow && rule.who.iter().any(names);
            let by_test = rule.when.iter().chain(&rule.unless).any(|e| self.asks(e).handed > 0);
            if by_head || by_test {
                actions.extend(rule.actions.iter().copied());
            }
            // Of a role the others may hold what the giver doesn't.
            let alike = !matches!(rule.home, Home::Role(_)) && self.tested_alike(rule);
            if by_head && !self.gives_alike(rule) || by_test && !alike {
                return false;
            }
        }
        true
    }

    /// A rule that tests what is handed on must test nothing else of the account beside it.
    fn tested_alike(&self, rule: &Rule) -> bool {
        let parts: Vec<&Expr> = rule.when.iter().chain(&rule.unless).collect();
        let gets = self.receivers.iter().any(|k| self.covers(rule, *k));
        !gets || (self.covers(rule, self.giver.kind) && !self.beside(&parts))
    }

    /// Whether among parts that must all hold one tests what is handed on and another something else of the account.
    fn beside(&self, parts: &[&Expr]) -> bool {
        let asked: Vec<Asks> = parts.iter().map(|e| self.asks(e)).collect();
        let all = asked
            .iter()
            .fold(Asks::default(), |a, b| Asks { handed: a.handed + b.handed, other: a.other + b.other });
        let apart = asked.iter().filter(|a| a.handed + a.other > 0).count() > 1;
        (all.handed > 0 && apart) || parts.iter().any(|part| self.beside_within(part))
    }

    fn beside_within(&self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::And(parts) => self.beside(&parts.iter().collect::<Vec<_>>()),
            ExprKind::Or(parts) => parts.iter().any(|part| self.beside_within(part)),
            ExprKind::Call(..) => self.beside_within(&expanded(self.program, expr)),
            ExprKind::InGroup(..) | ExprKind::HasRole(_) => false,
            _ => {
                let asked = self.asks(expr);
                asked.handed > 0 && asked.handed + asked.other > 1
            }
        }
    }

    /// Whether denies of policies, and the boundaries of places, treat them as they treat the giver.
    fn bounds_alike(&self, actions: &BTreeSet<ActionId>, place: Option<ScopeIx>) -> bool {
        let concerned = |rule: &&Rule| rule.actions.iter().any(|a| actions.contains(a));
        let denies = self.in_policies().filter(|r| r.effect == Effect::Deny);
        let attached = self.attached(place);
        let of_places = self.program.rules.iter().filter(|r| match r.home {
            Home::Boundary(id) => attached.contains(&id),
            _ => false,
        });
        denies.chain(of_places).filter(concerned).all(|rule| match rule.effect {
            Effect::Allow => self.gives_alike(rule),
            Effect::Deny => self.bars_alike(rule),
        })
    }

    /// The boundaries of the places above and below one, or of all.
    fn attached(&self, place: Option<ScopeIx>) -> BTreeSet<BoundaryId> {
        let scopes = self.directory.scopes.numbered();
        let on_path = |n: u32, scope: &crate::directory::Scope| {
            place.is_none_or(|at| {
                let above = &self.directory.scopes[at.index()].ancestors;
                above.contains(&ScopeIx(n)) || scope.ancestors.contains(&at)
            })
        };
        scopes.filter(|(n, s)| on_path(*n, s)).flat_map(|(_, s)| s.boundaries.iter().copied()).collect()
    }

    fn in_policies(&self) -> impl Iterator<Item = &'a Rule> {
        self.program.rules.iter().filter(|r| matches!(r.home, Home::Policy(_)))
    }

    /// Whether a rule is about every account of a kind that has what is handed on.
    fn covers(&self, rule: &Rule, kind: KindId) -> bool {
        rule.who.iter().any(|who| match who {
            Who::Anyone => true,
            Who::Kind(k) => *k == kind,
            Who::Group(g) => self.shared.contains(g),
            Who::KindInGroup(k, g) => *k == kind && self.shared.contains(g),
            Who::Account(_) => false,
        })
    }

    /// What an allow gives them it gives the giver as well.
    fn gives_alike(&self, rule: &Rule) -> bool {
        let gets = self.receivers.iter().any(|k| self.covers(rule, *k));
        !gets || (self.covers(rule, self.giver.kind) && !self.reads_account(rule))
    }

    /// What a deny keeps from the giver it keeps from all of them.
    fn bars_alike(&self, rule: &Rule) -> bool {
        let hits = rule.who.iter().any(|who| match who {
            Who::Anyone => true,
            Who::Kind(k) => *k == self.giver.kind,
            Who::Account(account) => account == self.giver,
            Who::Group(g) => self.groups.contains(g),
            Who::KindInGroup(k, g) => *k == self.giver.kind && self.groups.contains(g),
        });
        let all = || self.receivers.iter().all(|k| self.covers(rule, *k));
        !hits || (all() && !self.reads_account(rule))
    }

    /// Whether it asks of the account more than what both will have.
    fn reads_account(&self, rule: &Rule) -> bool {
        rule.when.iter().chain(&rule.unless).any(|e| self.asks(e).other > 0)
    }

    fn asks(&self, expr: &Expr) -> Asks {
        let handed = Asks { handed: 1, other: 0 };
        let other = Asks { handed: 0, other: 1 };
        match &expr.kind {
            ExprKind::IsKind(of, kind) if of.kind == ExprKind::Account => {
                let own = self.giver.kind == *kind;
                // Of the kinds that there are it says the same.
                if self.receivers.iter().all(|k| (k == kind) == own) { Asks::default() } else { other }
            }
            ExprKind::Account => other,
            ExprKind::HasRole(role) => match self.roles.contains(role) {
                true => handed,
                false => other,
            },
            ExprKind::InGroup(member, group) if member.kind == ExprKind::Account => match &group.kind {
                ExprKind::Literal(Value::Entity(g)) if !self.shared.contains(&g.id) => other,
                ExprKind::Literal(_) => handed,
                // A group read from data may be one of those, or another.
                _ if self.shared.is_empty() => other,
                _ => Asks { handed: 1, other: 1 },
            },
            ExprKind::Call(..) => self.asks(&expanded(self.program, expr)),
            _ => children(expr)
                .into_iter()
                .map(|e| self.asks(e))
                .fold(Asks::default(), |a, b| Asks { handed: a.handed + b.handed, other: a.other + b.other }),
        }
    }
}

/// Whether a rule but this one reads an attribute of accounts, as far as the attribute's name tells.
pub(crate) fn reads_of_accounts(program: &Program, attribute: &str, but: &str) -> bool {
    let vocabulary = &program.vocabulary;
    let is_account = |k: &KindId| vocabulary.kind(*k).sort == Sort::Account;
    let mut rules = program.rules.iter().filter(|rule| rule.name.as_deref() != Some(but));
    rules.any(|rule| {
        let on_accounts = rule.what.iter().any(|what| match what {
            What::Anything | What::AnythingIn(_) => true,
            What::Kind(k) | What::KindIn(k, _) => is_account(k),
            What::Entity(e) => is_account(&e.kind),
        });
        let mut open: Vec<Expr> = rule.when.iter().chain(&rule.unless).cloned().collect();
        while let Some(expr) = open.pop() {
            match &expr.kind {
                ExprKind::Attribute(of, name) if vocabulary.name(*name) == attribute => match of.kind {
                    ExprKind::Resource if !on_accounts => {}
                    ExprKind::Scope | ExprKind::Parent(..) => {}
                    _ => return true,
                },
                ExprKind::Call(..) => open.push(expanded(program, &expr)),
                _ => {}
            }
            open.extend(children(&expr).into_iter().cloned());
        }
        false
    })
}
