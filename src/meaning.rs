//! The language in its plainest code: what a decision must be, rule by rule.
//!
//! In:    `&Program`, `&Directory`, `&Question`.
//! Out:   [`Decision`]. Total: no `Result`, no clock, no I/O.
//! Law:   `tree::decide(&lower(p)?, d, q) == meaning::decide(p, d, q)` for every question (tests/laws.rs). Nothing
//!        here is shared with the compiler, and plainness wins over speed everywhere.
//!
//! Read top down: the chain of accounts, one account, a ceiling, a rule, its head; `eval.rs` reads conditions.

mod eval;

pub(crate) use eval::Frame;

use crate::check::program::{At, Expr, Program, Rule, What, Who};
use crate::decision::{Decision, RuleRef, Step};
use crate::directory::{
    Account, Binding, Directory, GroupIx, Link, LinkTarget, Place, ScopeIx, Thing, World,
};
use crate::limits::CHAIN_ACCOUNTS_MAX;
use crate::request::{KeyPolicy, Question};
use crate::value::{BoundaryId, Effect, Entity, KindId, NameId, RoleId, RuleId, Value};

/// Decides a question, by the letter of the language.
pub fn decide(program: &Program, directory: &Directory, question: &Question) -> Decision {
    decide_supposing(program, directory, question, &Suppose::default())
}

/// Whether a rule matches for an account: it is in force, its head fits, `when` holds and `unless` doesn't.
pub fn matches(program: &Program, world: &World<'_>, account: &Entity, rule: RuleId) -> bool {
    Case::new(program, *world, account, &Suppose::default()).matches(rule)
}

/// Whether a rule is in force and its head fits, whatever its conditions say.
pub fn head_matches(program: &Program, world: &World<'_>, account: &Entity, rule: RuleId) -> bool {
    Case::new(program, *world, account, &Suppose::default()).head_matches(program.rule(rule))
}

/// Whether a rule's condition holds for an account.
pub fn holds(program: &Program, world: &World<'_>, account: &Entity, expr: &Expr) -> bool {
    Case::new(program, *world, account, &Suppose::default()).holds(expr)
}

/// Every rule that this question asks, with what its `when` and its `unless` answered.
///
/// - Shape: the rules whose head fits for an account of the chain, in policies, in the roles it holds here, and in
///   the boundaries that bind it; sorted, each answer once. `unless` is only asked when `when` doesn't fail.
pub fn outcomes(
    program: &Program,
    directory: &Directory,
    question: &Question,
) -> Vec<(RuleId, Option<bool>, Option<bool>)> {
    let world = World { vocabulary: &program.vocabulary, directory, question };
    let nothing = Suppose::default();
    let mut found = Vec::new();
    for (i, (account, link)) in chain(&world).accounts.into_iter().enumerate() {
        let case = Case { first: i == 0, ..Case::new(program, world, account, &nothing) };
        for rule in case.consulted(link) {
            if case.head_matches(program.rule(rule)) {
                let (when, unless) = case.conditions(program.rule(rule));
                found.push((rule, when, unless));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// What an explanation takes as given to see what would then be decided. Always empty in [`decide`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Suppose {
    /// Attributes of things (`None`: the `any KIND` acted on) with the values they would have.
    pub attributes: Vec<(Option<Entity>, NameId, Option<Value>)>,
    /// Groups that accounts would be members of.
    pub groups: Vec<(Entity, GroupIx)>,
    /// Roles that accounts would hold where the request is.
    pub roles: Vec<(Entity, RoleId)>,
}

/// [`decide`], with some facts supposed.
pub(crate) fn decide_supposing(
    program: &Program,
    directory: &Directory,
    question: &Question,
    suppose: &Suppose,
) -> Decision {
    let world = World { vocabulary: &program.vocabulary, directory, question };
    let case = Case::new(program, world, &question.account, suppose);
    match case.decide_chain() {
        Ok(rule) => Decision { refused_by: None, rule: Some(rule), ask: false },
        Err((step, rule)) => {
            let ask = rule.is_some_and(|rule| {
                case.find(rule).ask.is_some() && Case { lifted: Some(rule), ..case }.decide_chain().is_ok()
            });
            Decision { refused_by: Some(step), rule, ask }
        }
    }
}

/// An account's answer: the allow rule that determines, or the step that refused and its deny rule, if it has one.
pub(crate) type Answer = Result<RuleRef, (Step, Option<RuleRef>)>;

/// Who asks, whom it acts for, and so on; each but the last with the link it uses.
pub(crate) struct Chain<'a> {
    /// The accounts, the asking one first.
    pub accounts: Vec<(&'a Entity, Option<&'a Link>)>,
    /// Why the chain does not end where it must.
    pub broken: Option<&'static str>,
}

/// Follows the acting-for links from the asking account.
pub(crate) fn chain<'a>(world: &World<'a>) -> Chain<'a> {
    let mut accounts: Vec<(&'a Entity, Option<&'a Link>)> = Vec::new();
    let mut current = &world.question.account;
    let broken = loop {
        if world.vocabulary.kind(current.kind).acting_for.is_empty() {
            break None;
        }
        match next_in_chain(world, current, accounts.len()) {
            None => break Some("nobody that it may act for stands behind it"),
            Some((_, next)) if next == current || accounts.iter().any(|(a, _)| *a == next) => {
                break Some("it acts for somebody who stands in front of it");
            }
            Some(_) if accounts.len() + 2 > CHAIN_ACCOUNTS_MAX => {
                break Some("too many accounts act for one another");
            }
            Some((link, next)) => {
                accounts.push((current, Some(link)));
                current = next;
            }
        }
    };
    accounts.push((current, None));
    Chain { accounts, broken }
}

/// Whom the `at`-th account of the chain acts for: the one that the request names, else the only one it could be.
fn next_in_chain<'a>(world: &World<'a>, current: &Entity, at: usize) -> Option<(&'a Link, &'a Entity)> {
    let directory = world.directory;
    let account = &directory.accounts[directory.account(current)?.index()];
    let kinds = &world.vocabulary.kind(current.kind).acting_for;
    let live: Vec<&'a Link> = account.links().iter().filter(|link| world.now() < link.until).collect();
    if let Some(named) = world.question.acting_for.get(at) {
        let fits = |link: &&&Link| match link.target {
            LinkTarget::Account(target) => directory.accounts[target.index()].entity == *named,
            LinkTarget::Group(group) => world.is_member(named, &directory.groups[group.index()].id),
        };
        return live.iter().find(fits).filter(|_| kinds.contains(&named.kind)).map(|link| (*link, named));
    }
    let [link] = live[..] else { return None };
    let LinkTarget::Account(target) = link.target else { return None };
    let target = &directory.accounts[target.index()].entity;
    kinds.contains(&target.kind).then_some((link, target))
}

/// A program, a world, and the account that is being decided.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    /// The set; inside a key's own text, that text.
    pub program: &'a Program,
    /// `program` is a key's own text.
    pub in_key: bool,
    /// Directory and request.
    pub world: World<'a>,
    /// The account.
    pub account: &'a Entity,
    /// It is the one that asks, so the key presented bounds it.
    pub first: bool,
    /// A deny rule that is to be passed over.
    pub lifted: Option<RuleRef>,
    /// What is taken as given.
    pub suppose: &'a Suppose,
}

/// A role held for this request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    /// The role.
    pub role: RoleId,
    /// Ceilings on what it allows.
    pub boundaries: &'a [BoundaryId],
    /// How it is held.
    pub via: Via,
}

/// How a role is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// The account's own binding.
    Own,
    /// As a member of a group.
    Group(GroupIx),
    /// As everyone of its kind.
    Kind(KindId),
    /// Only supposed.
    Supposed,
}

/// A rule that would allow; from a role, with how that is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    /// The rule.
    pub rule: RuleId,
    /// The role; `None` for a policy's rule.
    pub held: Option<Held<'a>>,
}

/// A boundary that binds an account.
#[derive(Clone, Copy)]
pub(crate) struct Ceiling<'a> {
    /// Which.
    pub boundary: BoundaryId,
    /// The key's own text, if it is that.
    pub key: Option<&'a KeyPolicy>,
    /// Where it is attached.
    pub on: On,
}

/// What a boundary is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// The key presented.
    Credential,
    /// The account.
    Account,
    /// A scope on the path of the request.
    Scope(ScopeIx),
    /// The link by which the account acts for the next.
    Link,
    /// The binding of the role.
    Binding,
}

impl<'a> Case<'a> {
    /// The case of an account, as the one that asks.
    pub fn new(
        program: &'a Program,
        world: World<'a>,
        account: &'a Entity,
        suppose: &'a Suppose,
    ) -> Case<'a> {
        Case { program, in_key: false, world, account, first: true, lifted: None, suppose }
    }

    /// Decides the whole chain: the asking account, then those it acts for, each in full.
    pub fn decide_chain(self) -> Answer {
        let chain = chain(&self.world);
        let (asking, link) = chain.accounts[0];
        let allowed = Case { account: asking, first: true, ..self }.decide_one(link)?;
        if chain.broken.is_some() {
            return Err((Step::ActingFor, None));
        }
        for (account, link) in chain.accounts[1..].iter().copied() {
            let answer = Case { account, first: false, ..self }.decide_one(link);
            answer.map_err(|(_, rule)| (Step::ActingFor, rule))?;
        }
        Ok(allowed)
    }

    /// Decides for one account: is it known, denies, allows, scope, boundaries, and the bindings' boundaries.
    pub fn decide_one(self, link: Option<&'a Link>) -> Answer {
        if !self.account_counts() {
            return Err((Step::Default, None));
        }
        if let Some(deny) = self.lowest(self.policy_rules(), Effect::Deny) {
            return Err((Step::Rule, Some(deny)));
        }
        let candidates = self.candidates();
        if candidates.is_empty() {
            return Err((Step::Default, None));
        }
        if !self.home_covers() || !self.credential_covers() {
            return Err((Step::Scope, None));
        }
        for ceiling in self.ceilings(link) {
            self.under(ceiling).map_err(|deny| (Step::Boundary, deny))?;
        }
        let mut first_refusal = None;
        for candidate in candidates {
            match self.binding_allows(candidate) {
                Ok(()) => return Ok(RuleRef { in_key: false, rule: candidate.rule }),
                Err(deny) => first_refusal = first_refusal.or(Some(deny)),
            }
        }
        Err((Step::Boundary, first_refusal.flatten()))
    }

    /// The directory holds the account, or its kind is `supplied`.
    pub fn account_counts(self) -> bool {
        self.held().is_some() || self.world.vocabulary.kind(self.account.kind).supplied
    }

    /// What the directory holds of the account.
    pub fn held(self) -> Option<&'a Account> {
        let directory = self.world.directory;
        directory.account(self.account).map(|ix| &directory.accounts[ix.index()])
    }

    /// The rules of all policies.
    pub fn policy_rules(self) -> impl Iterator<Item = RuleId> + 'a {
        self.program.policies.iter().flat_map(|policy| policy.rules.iter().copied())
    }

    /// The first of the matching rules of this effect.
    fn lowest(self, rules: impl Iterator<Item = RuleId>, effect: Effect) -> Option<RuleRef> {
        rules
            .filter(|rule| self.program.rule(*rule).effect == effect && self.matches(*rule))
            .min_by_key(|rule| (self.program.rule(*rule).rank, *rule))
            .map(|rule| RuleRef { in_key: self.in_key, rule })
    }

    /// Every allow rule that matches, the lowest first: of policies, and of the roles held for this request.
    pub fn candidates(self) -> Vec<Candidate<'a>> {
        let of_policies = self.policy_rules().map(|rule| Candidate { rule, held: None });
        let of_roles = self.roles_held().into_iter().flat_map(|held| {
            self.program.role_rules(held.role).map(move |rule| Candidate { rule, held: Some(held) })
        });
        let mut candidates: Vec<Candidate<'a>> = of_policies
            .chain(of_roles)
            .filter(|c| self.program.rule(c.rule).effect == Effect::Allow && self.matches(c.rule))
            .collect();
        candidates.sort_by_key(|c| (self.program.rule(c.rule).rank, c.rule));
        candidates
    }

    /// The roles bound to the account, to its groups, and to everyone of its kind, where the request is, now.
    pub fn roles_held(self) -> Vec<Held<'a>> {
        let directory = self.world.directory;
        let Some(account) = self.held() else { return Vec::new() };
        let own = account.bindings.iter().map(|b| (Via::Own, b));
        let of_groups = self.groups(account).into_iter().flat_map(|group| {
            directory.groups[group.index()].bindings.iter().map(move |b| (Via::Group(group), b))
        });
        let of_kind = directory.kind_bindings.iter().filter(|(kind, _)| *kind == self.account.kind);
        own.chain(of_groups)
            .chain(of_kind.map(|(kind, b)| (Via::Kind(*kind), b)))
            .filter(|(_, binding)| self.world.now() < binding.until() && self.place_covers(binding))
            .map(|(via, binding)| Held { role: binding.role, boundaries: binding.boundaries(), via })
            .chain(
                self.suppose
                    .roles
                    .iter()
                    .filter(|(account, _)| account == self.account)
                    .map(|(_, role)| Held { role: *role, boundaries: &[], via: Via::Supposed }),
            )
            .collect()
    }

    /// The groups that the account is in now, directly or through groups.
    fn groups(self, account: &'a Account) -> Vec<GroupIx> {
        let now = self.world.now();
        let live = |memberships: &[(GroupIx, i64)]| -> Vec<GroupIx> {
            memberships.iter().filter(|(_, until)| now < *until).map(|(group, _)| *group).collect()
        };
        let own = self.world.directory.memberships(account);
        let mut groups = live(&own);
        for (_, group) in self.suppose.groups.iter().filter(|(who, _)| who == self.account) {
            let within = live(&self.world.directory.groups[group.index()].within);
            groups.extend(within.into_iter().filter(|g| !own.iter().any(|(held, _)| held == g)));
        }
        groups
    }

    /// Whether an account or group is in a group, directly or through groups.
    pub fn is_member(self, thing: &Entity, group: &str) -> bool {
        let supposed = |joined: &GroupIx| {
            let id = self.world.directory.groups[joined.index()].id.clone();
            self.world.is_member(&Entity { kind: KindId::GROUP, id }, group)
        };
        self.world.is_member(thing, group)
            || self.suppose.groups.iter().any(|(who, joined)| who == thing && supposed(joined))
    }

    /// A binding holds at the request's scope or above it, or on the resource or what it sits in.
    fn place_covers(self, binding: &Binding) -> bool {
        match binding.place() {
            Place::Everywhere => true,
            Place::Scope(scope) => self.path().contains(&scope),
            Place::Resource(entity) => self.world.is_within(self.resource(), entity),
        }
    }

    /// The scopes from the request's up to its root; none in a vocabulary without scopes.
    pub fn path(self) -> &'a [ScopeIx] {
        match self.world.question.scope {
            Some(scope) => &self.world.directory.scopes[scope.index()].ancestors,
            None => &[],
        }
    }

    /// What is acted on.
    fn resource(self) -> Thing<'a> {
        match &self.world.question.resource.entity {
            Some(entity) => Thing::Entity(entity),
            None => Thing::Any,
        }
    }

    /// The account's home scope is the request's or above it. An account that comes with the request has no home
    /// that could limit it.
    pub fn home_covers(self) -> bool {
        self.held().is_none_or(|account| self.scope_covers(account.home))
    }

    /// The same of the scope of the key presented.
    pub fn credential_covers(self) -> bool {
        match &self.world.question.credential {
            Some(credential) if self.first => self.scope_covers(credential.scope),
            _ => true,
        }
    }

    /// A ceiling's scope is the request's or above it; below it, where the action works `from below`. No scope
    /// covers nothing, but in a vocabulary without scopes, where there is one place.
    fn scope_covers(self, ceiling: Option<ScopeIx>) -> bool {
        if !self.world.vocabulary.has_scopes() {
            return true;
        }
        let (Some(ceiling), Some(scope)) = (ceiling, self.world.question.scope) else { return false };
        self.path().contains(&ceiling)
            || (self.works_from_below()
                && self.world.directory.scopes[ceiling.index()].ancestors.contains(&scope))
    }

    /// The action works on this target for accounts that live below it.
    fn works_from_below(self) -> bool {
        let question = self.world.question;
        let targets = &self.world.vocabulary.action(question.action).targets;
        let any = question.resource.entity.is_none();
        targets.iter().any(|t| t.kind == question.resource.kind && t.any == any && t.from_below)
    }

    /// The boundaries that bind the account, in order: of the key presented and its own text, of the account, of the
    /// scopes on the request's path from the root down, of the link by which it acts for the next.
    pub fn ceilings(self, link: Option<&'a Link>) -> Vec<Ceiling<'a>> {
        let attached = |on: On, boundaries: &[BoundaryId]| -> Vec<Ceiling<'a>> {
            boundaries.iter().map(|b| Ceiling { boundary: *b, key: None, on }).collect()
        };
        let mut ceilings = Vec::new();
        if let (true, Some(credential)) = (self.first, &self.world.question.credential) {
            ceilings.extend(attached(On::Credential, &credential.boundaries));
            let text = credential.policy.as_deref();
            ceilings.extend(text.map(|key| Ceiling {
                boundary: KeyPolicy::BOUNDARY,
                key: Some(key),
                on: On::Credential,
            }));
        }
        if let Some(account) = self.held() {
            ceilings.extend(attached(On::Account, account.boundaries()));
        }
        for scope in self.path().iter().rev() {
            let boundaries = &self.world.directory.scopes[scope.index()].boundaries;
            ceilings.extend(attached(On::Scope(*scope), boundaries));
        }
        if let Some(link) = link {
            ceilings.extend(attached(On::Link, &link.boundaries));
        }
        ceilings
    }

    /// A boundary allows if none of its denies matches and one of its allows does; else its first matching deny.
    pub fn under(self, ceiling: Ceiling<'a>) -> Result<RuleRef, Option<RuleRef>> {
        let inside = self.inside(ceiling);
        let rules = || inside.program.boundaries[ceiling.boundary.index()].rules.iter().copied();
        match inside.lowest(rules(), Effect::Deny) {
            Some(deny) => Err(Some(deny)),
            None => inside.lowest(rules(), Effect::Allow).ok_or(None),
        }
    }

    /// This case as a boundary's rules see it: those of a key's own text are a program of their own.
    pub fn inside(self, ceiling: Ceiling<'a>) -> Case<'a> {
        match ceiling.key {
            Some(key) => Case { program: &key.program, in_key: true, ..self },
            None => self,
        }
    }

    /// All boundaries of the binding by which a candidate's role is held allow; else the deny of the first that
    /// doesn't.
    pub fn binding_allows(self, candidate: Candidate<'a>) -> Result<(), Option<RuleRef>> {
        let boundaries = candidate.held.map_or(&[][..], |held| held.boundaries);
        for boundary in boundaries.iter().copied() {
            self.under(Ceiling { boundary, key: None, on: On::Binding })?;
        }
        Ok(())
    }

    /// The rule is in force, its head fits, `when` holds and `unless` doesn't.
    pub fn matches(self, id: RuleId) -> bool {
        let rule = self.program.rule(id);
        self.lifted != Some(RuleRef { in_key: self.in_key, rule: id })
            && self.head_matches(rule)
            && rule.when.as_ref().is_none_or(|when| self.holds(when))
            && !rule.unless.as_ref().is_some_and(|unless| self.holds(unless))
    }

    /// What `when` and `unless` answer; `unless` is only asked when `when` doesn't fail.
    pub fn conditions(self, rule: &Rule) -> (Option<bool>, Option<bool>) {
        let when = rule.when.as_ref().map(|when| self.holds(when));
        let asked = rule.unless.as_ref().filter(|_| when != Some(false));
        (when, asked.map(|unless| self.holds(unless)))
    }

    /// The rule is in force, and its WHO, ACTIONS, WHAT and WHERE fit.
    pub fn head_matches(self, rule: &Rule) -> bool {
        rule.who.iter().any(|who| self.who_matches(who)) && self.rest_of_head_matches(rule)
    }

    /// The head but for its WHO.
    pub fn rest_of_head_matches(self, rule: &Rule) -> bool {
        rule.until.is_none_or(|until| self.world.now() < until)
            && rule.actions.contains(&self.world.question.action)
            && rule.what.iter().any(|what| self.what_matches(what))
            && (rule.at.is_empty() || rule.at.iter().any(|at| self.at_matches(at)))
    }

    fn who_matches(self, who: &Who) -> bool {
        match who {
            Who::Anyone => true,
            Who::Kind(kind) => self.account.kind == *kind,
            Who::Account(account) => self.account == account,
            Who::Group(group) => self.is_member(self.account, group),
            Who::KindInGroup(kind, group) => {
                self.account.kind == *kind && self.is_member(self.account, group)
            }
        }
    }

    fn what_matches(self, what: &What) -> bool {
        let subject = &self.world.question.resource;
        let is = |entity: &Entity| subject.entity.as_ref() == Some(entity);
        match what {
            What::Anything => true,
            What::Kind(kind) => subject.kind == *kind,
            What::Entity(entity) => is(entity),
            What::KindIn(kind, entity) => {
                subject.kind == *kind && !is(entity) && self.world.is_within(self.resource(), entity)
            }
            What::AnythingIn(entity) => self.world.is_within(self.resource(), entity),
        }
    }

    /// Some node on the request's path is what the clause names: it covers what lies below.
    fn at_matches(self, at: &At) -> bool {
        let strictly_below =
            |node: &Entity, top: &Entity| node != top && self.world.is_within(Thing::Entity(node), top);
        self.path().iter().map(|scope| &self.world.directory.scopes[scope.index()].entity).any(
            |node| match at {
                At::Node(named) => node == named,
                At::Kind(kind) => node.kind == *kind,
                At::KindIn(kind, top) => node.kind == *kind && strictly_below(node, top),
            },
        )
    }

    /// Whether a condition holds for the account.
    pub fn holds(self, expr: &Expr) -> bool {
        self.test(expr, &Frame::default())
    }

    /// The rules that this account's answer can depend on: of policies, of the roles it holds here, and of the
    /// boundaries of the set that bind it or those roles.
    fn consulted(self, link: Option<&'a Link>) -> Vec<RuleId> {
        if !self.account_counts() {
            return Vec::new();
        }
        let mut rules: Vec<RuleId> = self.policy_rules().collect();
        let mut boundaries: Vec<BoundaryId> =
            self.ceilings(link).iter().filter(|c| c.key.is_none()).map(|c| c.boundary).collect();
        for held in self.roles_held() {
            rules.extend(self.program.role_rules(held.role));
            boundaries.extend(held.boundaries);
        }
        rules
            .extend(boundaries.iter().flat_map(|b| self.program.boundaries[b.index()].rules.iter().copied()));
        rules
    }

    /// The rule that a reference names, in the set or in the key's own text.
    pub fn find(self, rule: RuleRef) -> &'a Rule {
        let key = self.world.question.credential.as_ref().and_then(|c| c.policy.as_deref());
        match key.filter(|_| rule.in_key) {
            Some(key) => key.program.rule(rule.rule),
            None => self.program.rule(rule.rule),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
