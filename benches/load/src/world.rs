//! Who asks what: a directory of any size, requests about it, and what the answers must be.
//!
//! In:    sizes.
//! Out:   the rules and data that are given to policyd; requests as HTTP, each with the answer that a plain reading of the
//!        rules gives.
//! Law:   the same sizes give the same world; `allowed` knows nothing of the engine.

use crate::http;
use crate::options::Options;
use serde_json::{Value, json};

/// The rules of the organization.
pub const RULES: &str = r#"
resource document { secret: Bool stored }
action read, update on document
context { ip: Ip? }

role reader { allow read on document }
role editor { allow read, update on document }

policy documents {
  secret_stays: deny anyone to update on document
    when resource.secret
    because "secret documents are not changed here"
  from_the_office: deny anyone to update on document
    unless context.ip exists and context.ip in "10.0.0.0/8"
    because "documents are changed from the office network"
}
"#;

/// Services that ask, each with a key of its own.
pub const GATES: usize = 50;
/// Different requests that are made beforehand.
const REQUESTS: usize = 50_000;

/// A directory: as many groups as projects, group n with a role in project n.
pub struct World {
    pub accounts: usize,
    pub resources: usize,
    pub projects: usize,
    questions: Vec<Question>,
}

#[derive(Clone, Copy)]
struct Question {
    account: usize,
    resource: usize,
    update: bool,
    office: bool,
}

/// A request as it is sent, and the answers that are right: one, or one for each of a batch.
pub struct Request {
    pub bytes: Vec<u8>,
    pub allowed: Vec<bool>,
}

/// A small generator of numbers (splitmix64), so that every run asks the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

impl World {
    pub fn new(options: &Options) -> World {
        let projects = (options.accounts / 100).clamp(2, 1_000);
        let (accounts, resources) = (options.accounts, options.resources);
        let mut world = World { accounts, resources, projects, questions: Vec::new() };
        let mut numbers = Numbers(4);
        for _ in 0..REQUESTS {
            let account = numbers.below(accounts);
            let mut resource = numbers.below(resources);
            if numbers.below(3) > 0 {
                // Something in a project where the account has a role, as most requests are.
                let [one, other] = world.groups(account);
                let project = if numbers.below(2) == 0 { one } else { other };
                resource = resource - resource % projects + project;
                if resource >= resources {
                    resource -= projects;
                }
            }
            let (update, office) = (numbers.below(10) < 3, numbers.below(10) < 8);
            world.questions.push(Question { account, resource, update, office });
        }
        world
    }

    /// The groups of an account.
    pub fn groups(&self, account: usize) -> [usize; 2] {
        [account % self.projects, (account * 7 + 3) % self.projects]
    }

    /// What a group may do in its project.
    pub fn role(group: usize) -> &'static str {
        if group.is_multiple_of(2) { "editor" } else { "reader" }
    }

    /// Half are people, half are machines.
    pub fn kind(account: usize) -> &'static str {
        if account.is_multiple_of(2) { "service_account" } else { "user" }
    }

    pub fn id(account: usize) -> String {
        format!("account-{account}")
    }

    /// Where a resource stands.
    pub fn place(&self, resource: usize) -> String {
        format!("acme/p{}/live", resource % self.projects)
    }

    pub fn is_secret(resource: usize) -> bool {
        resource.is_multiple_of(11)
    }

    /// The plain reading of the rules.
    fn allowed(&self, q: Question) -> bool {
        let project = q.resource % self.projects;
        let member = self.groups(q.account).contains(&project);
        let by_role = member && (!q.update || World::role(project) == "editor");
        by_role && !(q.update && (World::is_secret(q.resource) || !q.office))
    }

    fn body(&self, q: Question) -> Value {
        json!({
            "account": json!({ "kind": World::kind(q.account), "id": World::id(q.account) }),
            "action": { "name": if q.update { "update" } else { "read" } },
            "resource": { "kind": "document", "id": format!("document-{}", q.resource) },
            "scope": self.place(q.resource),
            "context": { "ip": if q.office { "10.20.30.40" } else { "203.0.113.9" } },
        })
    }

    /// All requests, asked with these keys in turn.
    pub fn singles(&self, host: &str, keys: &[String]) -> Vec<Request> {
        let one = |(n, q): (usize, &Question)| Request {
            bytes: http::post(host, "/v1/authorize", &keys[n % keys.len()], &self.body(*q).to_string()),
            allowed: vec![self.allowed(*q)],
        };
        self.questions.iter().enumerate().map(one).collect()
    }

    /// The same questions in batches.
    pub fn batches(&self, host: &str, keys: &[String], size: usize) -> Vec<Request> {
        let one = |(n, all): (usize, &[Question])| {
            let requests: Vec<Value> = all.iter().map(|q| self.body(*q)).collect();
            let body = json!({ "requests": requests }).to_string();
            Request {
                bytes: http::post(host, "/v1/authorize/batch", &keys[n % keys.len()], &body),
                allowed: all.iter().map(|q| self.allowed(*q)).collect(),
            }
        };
        self.questions.chunks_exact(size).enumerate().map(one).collect()
    }

    /// The body of the first question.
    pub fn first(&self) -> Value {
        self.body(self.questions[0])
    }

    /// Of all questions, how many are allowed, in percent.
    pub fn allowed_percent(&self) -> usize {
        self.questions.iter().filter(|q| self.allowed(**q)).count() * 100 / self.questions.len()
    }
}
