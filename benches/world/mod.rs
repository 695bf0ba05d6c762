//! A world of any size, the same in every run, in the mix that issue trackers of real platforms show.
//!
//! In:   a number of rules.
//! Out:  [`World`]: rules, accounts, groups, scopes, resources and requests as plain structs; `text.rs` writes them as our
//!       policy text, data and requests, and [`World::plain`] decides them rule by rule: the reference.
//! Law:  40–60 % of the requests are allowed.
//!
//! - Rules: 40 % a group at a scope, 25 % one account at a scope, 20 % with a condition on resource or context,
//!   10 % denies (some broad), 5 % one resource.
//! - 12 kinds of resources with 5 actions each; projects with 3 environments each; users, service accounts and agents in
//!   1–4 groups each. Agents act for nobody here: no peer has such a thing.
#![allow(dead_code, reason = "each bench and test takes a part")]

mod random;
mod text;

use policyc::Effect;
pub use random::Random;

/// Kinds of resources.
pub const KINDS: usize = 12;
/// Actions on each kind.
pub const ACTIONS: [&str; 5] = ["read", "list", "create", "update", "delete"];
/// Kinds of accounts.
pub const ACCOUNT_KINDS: [&str; 3] = ["user", "service_account", "agent"];
/// Environments of each project.
pub const ENVIRONMENTS: u32 = 3;
/// Requests of each world.
pub const REQUESTS: usize = 10_000;
/// The sizes that are measured, in rules.
pub const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// A node of the scope tree, by number: 0 is the organization, then the projects, then their environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scope(pub u32);

/// Whom a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// Everyone.
    Anyone,
    /// A group, by number.
    Group(u32),
    /// An account, by number.
    Account(u32),
}

/// What a rule asks besides its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Always,
    /// `resource.size < n`.
    SizeBelow(i64),
    /// `resource.labels contains "ln"`.
    Label(u32),
    /// `resource.owner == account`.
    Owner,
    /// `context.ip in "10.n.0.0/16"`.
    Network(u8),
    /// `resource.secret`.
    Secret,
}

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleSpec {
    /// Allow or deny.
    pub effect: Effect,
    /// Whom it names.
    pub who: Who,
    /// One of [`ACTIONS`].
    pub action: u8,
    /// One of the kinds; `None` is any.
    pub kind: Option<u8>,
    /// One resource, by number.
    pub resource: Option<u32>,
    /// Where: this node or below; `None` is anywhere.
    pub at: Option<Scope>,
    /// On what condition.
    pub when: Condition,
}

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// One of [`ACCOUNT_KINDS`].
    pub kind: u8,
    /// Its groups, by number, in order.
    pub groups: Vec<u32>,
}

/// A resource, which comes with a request.
#[derive(Clone, Debug)]
pub struct Resource {
    /// One of the kinds.
    pub kind: u8,
    /// The environment it stands in.
    pub scope: Scope,
    /// A user.
    pub owner: Option<u32>,
    /// A number below 1,000.
    pub size: i64,
    /// Labels, by number.
    pub labels: Vec<u32>,
    /// Whether it is secret.
    pub secret: bool,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Who asks.
    pub account: u32,
    /// For what.
    pub action: u8,
    /// On what.
    pub resource: u32,
    /// From where.
    pub ip: Option<[u8; 4]>,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct World {
    /// The rules; names are their numbers.
    pub rules: Vec<RuleSpec>,
    /// The accounts.
    pub accounts: Vec<Account>,
    /// The members of each group.
    pub groups: Vec<Vec<u32>>,
    /// Projects; with their environments and the organization they are the scopes.
    pub projects: u32,
    /// The resources.
    pub resources: Vec<Resource>,
    /// The requests.
    pub requests: Vec<Request>,
    denies: Vec<RuleSpec>,
    allows: Vec<RuleSpec>,
}

/// A number below `n`.
fn pick(random: &mut Random, n: usize) -> u32 {
    random.below(n) as u32
}

impl World {
    /// A world with this many rules.
    pub fn new(size: usize) -> World {
        let mut random = Random::new(size as u64);
        let mut world = World {
            rules: Vec::with_capacity(size),
            accounts: Vec::new(),
            groups: vec![Vec::new(); size / 20 + 5],
            projects: (size / 100 + 3) as u32,
            resources: Vec::new(),
            requests: Vec::with_capacity(REQUESTS),
            denies: Vec::new(),
            allows: Vec::new(),
        };
        (0..size / 4 + 10).for_each(|_| world.add_account(&mut random));
        for _ in 0..size {
            let rule = world.rule(&mut random);
            world.rules.push(rule);
        }
        let of = |effect| world.rules.iter().copied().filter(move |r| r.effect == effect).collect();
        (world.denies, world.allows) = (of(Effect::Deny), of(Effect::Allow));
        (0..REQUESTS).for_each(|_| world.add_request(&mut random));
        let allowed = world.requests.iter().filter(|r| world.plain(r) == Some(Effect::Allow)).count();
        let share = allowed * 100 / REQUESTS;
        assert!((40..=60).contains(&share), "{share} % of the requests are allowed at {size} rules");
        world
    }

    fn add_account(&mut self, random: &mut Random) {
        let id = self.accounts.len() as u32;
        let kind = [0, 0, 0, 0, 0, 1, 1, 2][self.accounts.len() % 8];
        let mut groups: Vec<u32> = (0..=random.below(4)).map(|_| pick(random, self.groups.len())).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.iter().for_each(|g| self.groups[*g as usize].push(id));
        self.accounts.push(Account { kind, groups });
    }

    fn rule(&mut self, random: &mut Random) -> RuleSpec {
        let project = pick(random, self.projects as usize);
        let environment = self.environment(project, pick(random, 3));
        let group = Who::Group(pick(random, self.groups.len()));
        let kind = random.below(KINDS) as u8;
        let rule = RuleSpec {
            effect: Effect::Allow,
            who: group,
            action: random.below(ACTIONS.len()) as u8,
            kind: Some(kind),
            resource: None,
            at: Some(environment),
            when: Condition::Always,
        };
        match random.below(100) {
            0..40 => rule,
            40..65 => RuleSpec { who: Who::Account(pick(random, self.accounts.len())), ..rule },
            65..85 => RuleSpec { at: Some(Scope(1 + project)), when: World::condition(random), ..rule },
            85..94 => RuleSpec { effect: Effect::Deny, ..rule },
            94 => {
                let kind = if random.below(2) == 0 { None } else { rule.kind };
                RuleSpec { effect: Effect::Deny, who: Who::Anyone, kind, when: Condition::Secret, ..rule }
            }
            _ => {
                let resource = self.add_resource(random, kind, environment);
                RuleSpec { resource: Some(resource), at: None, ..rule }
            }
        }
    }

    fn condition(random: &mut Random) -> Condition {
        match random.below(4) {
            0 => Condition::SizeBelow(1 + random.below(1_000) as i64),
            1 => Condition::Label(pick(random, 1_000)),
            2 => Condition::Owner,
            _ => Condition::Network(random.below(256) as u8),
        }
    }

    fn add_resource(&mut self, random: &mut Random, kind: u8, scope: Scope) -> u32 {
        let owner = pick(random, self.accounts.len());
        let mut labels: Vec<u32> = (0..random.below(4)).map(|_| pick(random, 1_000)).collect();
        labels.sort_unstable();
        labels.dedup();
        self.resources.push(Resource {
            kind,
            scope,
            owner: (self.accounts[owner as usize].kind == 0).then_some(owner),
            size: random.below(1_000) as i64,
            labels,
            secret: random.below(20) == 0,
        });
        self.resources.len() as u32 - 1
    }

    /// Half of the requests and a little more are made to fit an allow rule; the rest is random.
    fn add_request(&mut self, random: &mut Random) {
        let project = pick(random, self.projects as usize);
        let scope = self.environment(project, pick(random, 3));
        let kind = random.below(KINDS) as u8;
        let ip = (random.below(10) < 7).then(|| [10, random.below(256) as u8, 0, random.below(256) as u8]);
        let account = pick(random, self.accounts.len());
        let action = random.below(ACTIONS.len()) as u8;
        let fits = (random.below(100) < 54).then(|| self.allows[random.below(self.allows.len())]);
        let request = match fits.and_then(|rule| Some((rule, self.asker(random, rule.who)?))) {
            Some((rule, account)) => {
                self.fitting(random, &rule, Request { account, action, resource: 0, ip })
            }
            None => Request { account, action, resource: self.add_resource(random, kind, scope), ip },
        };
        self.requests.push(request);
    }

    fn asker(&self, random: &mut Random, who: Who) -> Option<u32> {
        match who {
            Who::Anyone => Some(pick(random, self.accounts.len())),
            Who::Account(account) => Some(account),
            Who::Group(group) => {
                let members = &self.groups[group as usize];
                (!members.is_empty()).then(|| members[random.below(members.len())])
            }
        }
    }

    fn fitting(&mut self, random: &mut Random, rule: &RuleSpec, mut request: Request) -> Request {
        request.action = rule.action;
        request.resource = rule.resource.unwrap_or_else(|| {
            let kind = rule.kind.unwrap_or(0);
            let at = rule.at.unwrap_or(Scope(0));
            let scope = match at.0.checked_sub(1) {
                None => self.environment(pick(random, self.projects as usize), 0),
                Some(project) if project < self.projects => self.environment(project, pick(random, 3)),
                Some(_) => at,
            };
            self.add_resource(random, kind, scope)
        });
        let resource = &mut self.resources[request.resource as usize];
        match rule.when {
            Condition::Always | Condition::Secret => {}
            Condition::SizeBelow(size) => resource.size = random.below(size as usize) as i64,
            Condition::Label(label) => resource.labels = vec![label],
            Condition::Owner => {
                let is_user = self.accounts[request.account as usize].kind == 0;
                resource.owner = is_user.then_some(request.account);
            }
            Condition::Network(network) => request.ip = Some([10, network, 1, 1]),
        }
        request
    }

    /// The environment of this number in this project.
    pub fn environment(&self, project: u32, environment: u32) -> Scope {
        Scope(1 + self.projects + project * ENVIRONMENTS + environment)
    }

    /// All scopes, parents first.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> + use<> {
        (0..1 + self.projects * (1 + ENVIRONMENTS)).map(Scope)
    }

    /// The node above.
    pub fn parent(&self, scope: Scope) -> Option<Scope> {
        match scope.0.checked_sub(1)? {
            n if n < self.projects => Some(Scope(0)),
            n => Some(Scope(1 + (n - self.projects) / ENVIRONMENTS)),
        }
    }

    /// What the rules say, read one by one: the deny or the allow that matches, denies first.
    pub fn plain(&self, request: &Request) -> Option<Effect> {
        let asked = Asked {
            request,
            account: &self.accounts[request.account as usize],
            resource: &self.resources[request.resource as usize],
            project: self.parent(self.resources[request.resource as usize].scope).unwrap_or(Scope(0)),
        };
        if self.denies.iter().any(|rule| asked.fits(rule)) {
            Some(Effect::Deny)
        } else {
            self.allows.iter().any(|rule| asked.fits(rule)).then_some(Effect::Allow)
        }
    }
}

/// A request with what it refers to at hand.
struct Asked<'a> {
    request: &'a Request,
    account: &'a Account,
    resource: &'a Resource,
    project: Scope,
}

impl Asked<'_> {
    #[inline]
    fn fits(&self, rule: &RuleSpec) -> bool {
        rule.action == self.request.action
            && rule.kind.is_none_or(|kind| kind == self.resource.kind)
            && rule.at.is_none_or(|at| at == self.resource.scope || at == self.project || at == Scope(0))
            && rule.resource.is_none_or(|resource| resource == self.request.resource)
            && match rule.who {
                Who::Anyone => true,
                Who::Group(group) => self.account.groups.contains(&group),
                Who::Account(account) => account == self.request.account,
            }
            && match rule.when {
                Condition::Always => true,
                Condition::SizeBelow(size) => self.resource.size < size,
                Condition::Label(label) => self.resource.labels.contains(&label),
                Condition::Owner => self.resource.owner == Some(self.request.account),
                Condition::Network(network) => self.request.ip.is_some_and(|ip| ip[..2] == [10, network]),
                Condition::Secret => self.resource.secret,
            }
    }
}
