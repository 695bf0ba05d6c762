//! The tree and the plain reading of the rules give one answer: random sets, directories and requests, as text.

mod files;
mod limits;

use crate::check::program::Program;
use crate::decision::Decision;
use crate::diagnostic::Severity;
use crate::directory::Directory;
use crate::meaning;
use crate::set::PolicySet;
use crate::source::Sources;
use crate::tree::{self, Tree, file};
use std::collections::BTreeMap;

const VOCABULARY: &str = r#"
scope organization
scope project in organization { tier: Int }
scope environment in project { stage: Stage, freeze: Time? }
enum Stage { production, staging, development }
account user supplied { mfa: Bool? supplied, level: Int?, department: String?, boss: user? }
account service_account { owner: user | group, tags: Set<String> }
account agent acting for user, agent { model: String }
group { owner: user? }
record Grant { who: String, level: Int? }
resource folder in folder? { trusted: Bool? stored, owner: user? }
resource document in folder? { owner: user?, size: Int, labels: Set<String>, due: Time?, grants: Set<Grant>, readers: Set<user | group>, info: Grant? }
action read on document, folder, any document
action list, create on any document, any folder
action update, delete on document, folder
action move { force: Bool, amount: Decimal? } on document
action manage on project, organization from below
action disable on service_account, group
action write = update, delete, create
context { ip: Ip?, local: TimeOfDay?, flag: Bool?, stage: Stage? }
condition near(net: Cidr) = context.ip exists and context.ip in net
condition mine(u: user?, p: user?) = u exists and p exists and u == p
condition roomy(n: Int?, flag: Bool?) = (n exists and n > 3) or (flag exists and flag)
condition late = context.now >= "2026-06-01T00:00:00Z"
condition both(n: Int?) = roomy(n, context.flag) and late
"#;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn of<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn list(&mut self, from: &[&str]) -> String {
        let count = match self.below(20) {
            0..14 => 1,
            14..19 => 1 + self.below(4),
            _ => 12,
        };
        let mut picked: Vec<&str> = (0..count).map(|_| self.of(from)).collect();
        picked.sort_unstable();
        picked.dedup();
        picked.join(", ")
    }
}

const SCOPES: [&str; 7] =
    ["acme", "acme/web", "acme/web/prod", "acme/web/dev", "acme/api", "acme/api/prod", "beta"];
const WHO: [&str; 11] = [
    "anyone",
    "user",
    "service_account",
    "agent",
    "user \"ana\"",
    "user \"bob\"",
    "service_account \"ci\"",
    "agent \"helper\"",
    "group \"ops\"",
    "group \"staff\"",
    "user in group \"staff\"",
];
const WHAT: [&str; 11] = [
    "document",
    "document",
    "folder",
    "document \"d1\"",
    "document \"new\"",
    "folder \"f\"",
    "document in folder \"f\"",
    "anything in folder \"g\"",
    "folder in folder \"f\"",
    "project",
    "project \"acme/web\"",
];
const AT: [&str; 9] = [
    "organization \"acme\"",
    "project \"acme/web\"",
    "environment \"acme/web/prod\"",
    "environment",
    "project",
    "environment in project \"acme/web\"",
    "environment in organization \"acme\"",
    "project in organization \"acme\"",
    "organization \"beta\"",
];
const ACTIONS: [&str; 9] = ["read", "read", "list", "create", "update", "delete", "move", "write", "manage"];
const LEAVES: [&str; 50] = [
    "(account is user and account.mfa exists and account.mfa)",
    "(account is user and account.level exists and account.level >= 3)",
    "(account is user and account.level exists and account.level < 3)",
    "(account is user and account.department exists and account.department != \"it\")",
    "(account is user and account.department exists and account.department == \"it\")",
    "(account is user and account.boss exists and account.boss.level exists and account.boss.level == 5)",
    "(account is service_account and \"deploy\" in account.tags)",
    "(account is service_account and account.tags is empty)",
    "(account is service_account and account.owner is user)",
    "(account is agent and account.model matches \"gpt*\")",
    "account.id == \"ana\"",
    "account == user \"ana\"",
    "account != user \"ana\"",
    "account in group \"ops\"",
    "account has role viewer",
    "account has role editor",
    "resource.size > 5",
    "resource.size <= 5",
    "(resource is document and resource.size exists and resource.size != 7)",
    "(resource.owner exists and resource.owner == account)",
    "(resource.owner exists and resource.owner != account)",
    "(resource is document and resource.labels exists and resource.labels contains any of [\"a\", \"b\"])",
    "resource.labels contains all of [\"a\", \"b\"]",
    "(resource is document and resource.due exists and resource.due - context.now < 3d)",
    "(resource is document and resource.due exists and context.now + 2d > resource.due)",
    "(any g in resource.grants satisfies (g.who == account.id and g.level exists and g.level > 1))",
    "(all g in resource.grants satisfies g.who != \"bob\")",
    "(all l in resource.labels satisfies l in [\"a\", \"b\", \"c\"])",
    "account in resource.readers",
    "(any r in resource.readers satisfies r == account)",
    "(resource.info exists and resource.info.who == \"ana\")",
    "resource in folder \"f\"",
    "resource in folder \"g\"",
    "resource.id matches \"d*\"",
    "(resource.folder exists and resource.folder.trusted exists and resource.folder.trusted)",
    "(resource.trusted exists and resource.trusted)",
    "scope is environment",
    "(scope is environment and scope.stage == production)",
    "(scope is environment and scope.stage in [staging, development])",
    "(scope is environment and scope.project.tier > 1)",
    "scope in project \"acme/web\"",
    "(context.flag exists and context.flag)",
    "context.flag is missing",
    "(context.local exists and context.local >= \"08:30\" and context.local < \"18:00\")",
    "context.now.weekday in [saturday, sunday]",
    "near(\"10.0.0.0/8\")",
    "late",
    "both(resource.size)",
    "mine(resource.owner, user \"ana\")",
    "(action.amount is missing or action.amount > 500)",
];

fn condition(r: &mut Random, depth: usize) -> String {
    if depth == 0 || r.chance(45) {
        return r.of(&LEAVES).to_owned();
    }
    let part = |r: &mut Random| condition(r, depth - 1);
    match r.below(5) {
        0 => format!("not {}", part(r)),
        1 => format!("({} or {})", part(r), part(r)),
        2 => format!("(if {} then {} else {})", part(r), part(r), part(r)),
        _ => format!("({} and {})", part(r), part(r)),
    }
}

fn rule(r: &mut Random, who: bool, may_deny: bool) -> String {
    let deny = may_deny && r.chance(30);
    let mut text = String::from(if deny { "deny " } else { "allow " });
    if who {
        text += &format!("{} to ", r.list(&WHO));
    }
    let wide = r.chance(25);
    text += &if wide { "do anything".to_owned() } else { r.list(&ACTIONS) };
    text += " on ";
    text += &if r.chance(25) { "anything".to_owned() } else { r.list(&WHAT) };
    if r.chance(35) {
        text += &format!(" at {}", r.list(&AT));
    }
    if r.chance(if deny { 80 } else { 45 }) {
        text += &format!(" when {}", condition(r, 3));
    }
    if r.chance(30) {
        text += &format!(" unless {}", condition(r, 2));
    }
    if r.chance(8) {
        text += r.of(&[" until \"2026-06-01T00:00:00Z\"", " until \"2027-01-01T00:00:00Z\""]);
    }
    if deny && r.chance(50) {
        text += " ask approval";
    }
    text
}

/// A set as lines, each rule on its own.
fn set_lines(r: &mut Random, rules: usize) -> Vec<String> {
    let mut lines: Vec<String> = VOCABULARY.lines().map(str::to_owned).collect();
    let mut block = |r: &mut Random, head: &str, who: bool, deny: bool, most: usize| {
        lines.push(format!("{head} {{"));
        for _ in 0..r.below(most + 1) {
            let text = rule(r, who, deny);
            let name = if r.chance(50) { format!("n{}: ", r.below(1_000_000)) } else { String::new() };
            lines.push(format!("  {name}{text}"));
        }
        lines.push("}".to_owned());
    };
    block(r, "policy p", true, true, rules);
    block(r, "policy a", true, false, 4);
    block(r, "policy q", true, true, rules / 2);
    block(r, "role viewer", false, false, 4);
    block(r, "role editor includes viewer", false, false, 4);
    block(r, "boundary low", false, true, 5);
    block(r, "boundary high", false, true, 5);
    lines
}

/// The set, without the rules that the checker refuses.
fn compiled(mut lines: Vec<String>) -> (PolicySet, Program) {
    loop {
        let mut sources = Sources::default();
        let id = sources.add("set.pol", lines.join("\n"));
        let compiled = PolicySet::compile(sources.clone(), 0);
        if let Some(set) = compiled.set {
            let (file, _) = crate::syntax::parse::parse(&sources, id);
            let program = crate::check::check(&sources, &[file]).0.expect("it was checked before");
            return (set, program);
        }
        let errors = compiled.diagnostics.iter().filter(|d| d.severity() == Severity::Error);
        let mut bad: Vec<usize> = errors.map(|d| sources.position(id, d.span().start).line - 1).collect();
        bad.sort_unstable();
        bad.dedup();
        for line in bad.iter().rev() {
            let shown = compiled.diagnostics.iter().map(|d| &d.message).collect::<Vec<_>>();
            assert!(lines[*line].starts_with("  "), "{}: {shown:?}", lines[*line]);
            lines.remove(*line);
        }
    }
}

fn boundaries(r: &mut Random) -> &'static str {
    r.of(&["", "", ",\"boundaries\":[\"low\"]", ",\"boundaries\":[\"low\",\"high\"]"])
}

fn until(r: &mut Random) -> &'static str {
    r.of(&["", "", "", ",\"until\":\"2026-06-01T00:00:00Z\""])
}

fn data(r: &mut Random) -> String {
    let scope = |r: &mut Random| r.of(&SCOPES).to_owned();
    let mut b = String::new();
    let scope_rows: Vec<String> = [
        r#""kind":"organization","id":"acme""#,
        r#""kind":"project","id":"acme/web","attributes":{"tier":2}"#,
        r#""kind":"environment","id":"acme/web/prod","attributes":{"stage":"production"}"#,
        r#""kind":"environment","id":"acme/web/dev","attributes":{"stage":"development"}"#,
        r#""kind":"project","id":"acme/api","attributes":{"tier":1}"#,
        r#""kind":"environment","id":"acme/api/prod","attributes":{"stage":"production"}"#,
        r#""kind":"organization","id":"beta""#,
    ]
    .iter()
    .map(|row| format!("{{{row}{}}}", if r.chance(8) { ",\"boundaries\":[\"high\"]" } else { "" }))
    .collect();
    b += &format!("{{\"scopes\":[{}],", scope_rows.join(","));
    b += r#""groups":[{"id":"staff"},{"id":"ops","in":["staff"]},{"id":"far","in":["ops"],"attributes":{"owner":{"kind":"user","id":"ana"}}}],"#;
    let homed = |r: &mut Random| {
        if r.chance(90) {
            format!(",\"scope\":\"{}\"", if r.chance(70) { "acme".to_owned() } else { scope(r) })
        } else {
            String::new()
        }
    };
    let mut accounts = Vec::new();
    for (kind, id, attributes) in [
        ("user", "ana", r#"{"level":5,"department":"it"}"#),
        ("user", "bob", r#"{"level":2,"boss":{"kind":"user","id":"ana"}}"#),
        ("service_account", "ci", r#"{"owner":{"kind":"user","id":"ana"},"tags":["deploy","x"]}"#),
        ("service_account", "cd", r#"{"owner":{"kind":"group","id":"ops"},"tags":[]}"#),
        ("agent", "helper", r#"{"model":"gpt-9"}"#),
        ("agent", "sub", r#"{"model":"other"}"#),
    ] {
        let group = r.of(&[
            "",
            ",\"groups\":[\"ops\"]",
            ",\"groups\":[\"far\"]",
            ",\"groups\":[{\"group\":\"staff\",\"until\":\"2026-06-01T00:00:00Z\"}]",
        ]);
        let own = if r.chance(15) { boundaries(r) } else { "" };
        accounts.push(format!(
            "{{\"kind\":\"{kind}\",\"id\":\"{id}\"{}{group},\"attributes\":{attributes}{own}}}",
            homed(r)
        ));
    }
    b += &format!("\"accounts\":[{}],", accounts.join(","));
    let mut links = Vec::new();
    for (agent, target) in [
        ("helper", r#""account":{"kind":"user","id":"ana"}"#),
        ("helper", r#""account":{"kind":"user","id":"bob"}"#),
        ("helper", r#""group":"ops""#),
        ("sub", r#""account":{"kind":"agent","id":"helper"}"#),
        ("helper", r#""account":{"kind":"agent","id":"sub"}"#),
    ] {
        if r.chance(50) {
            let boundary = r.of(&["", "", ",\"boundary\":\"low\""]);
            links.push(format!(
                "{{\"agent\":{{\"kind\":\"agent\",\"id\":\"{agent}\"}},{target}{boundary}{}}}",
                until(r)
            ));
        }
    }
    b += &format!("\"links\":[{}],", links.join(","));
    let mut bindings = Vec::new();
    for _ in 0..r.below(7) {
        let holder = r.of(&[
            r#""account":{"kind":"user","id":"ana"}"#,
            r#""account":{"kind":"user","id":"bob"}"#,
            r#""account":{"kind":"agent","id":"helper"}"#,
            r#""account":{"kind":"service_account","id":"ci"}"#,
            r#""group":"staff""#,
            r#""group":"ops""#,
            r#""everyone":"user""#,
            r#""everyone":"agent""#,
        ]);
        let role = r.of(&["viewer", "editor"]);
        let place = if r.chance(70) {
            format!("\"scope\":\"{}\"", if r.chance(50) { "acme".to_owned() } else { scope(r) })
        } else {
            let (kind, id) =
                *r.of(&[&("document", "d1"), &("folder", "f"), &("folder", "g"), &("document", "new")]);
            format!("\"resource\":{{\"kind\":\"{kind}\",\"id\":\"{id}\"}}")
        };
        bindings.push(format!("{{{holder},\"role\":\"{role}\",{place}{}{}}}", boundaries(r), until(r)));
    }
    b += &format!("\"bindings\":[{}],", bindings.join(","));
    b += r#""resources":[{"kind":"folder","id":"f","scope":"acme/web","attributes":{"trusted":true}},{"kind":"folder","id":"g","in":{"kind":"folder","id":"f"},"attributes":{}},"#;
    b += r#"{"kind":"document","id":"d1","in":{"kind":"folder","id":"g"},"attributes":{"owner":{"kind":"user","id":"ana"},"size":7,"labels":["a","b"],"grants":[{"who":"ana","level":2},{"who":"bob"}],"readers":[{"kind":"user","id":"bob"}]}},"#;
    b += r#"{"kind":"document","id":"d2","scope":"acme/web/prod","attributes":{"size":3,"labels":[],"due":"2026-06-02T00:00:00Z","grants":[],"readers":[],"info":{"who":"ana"}}}]}"#;
    b
}

fn resource(r: &mut Random) -> String {
    let inside = |r: &mut Random| {
        r.of(&[
            "",
            ",\"in\":{\"kind\":\"folder\",\"id\":\"g\"}",
            ",\"in\":{\"kind\":\"folder\",\"id\":\"f\"}",
        ])
    };
    let owner = |r: &mut Random| {
        r.of(&[
            "",
            "\"owner\":{\"kind\":\"user\",\"id\":\"ana\"},",
            "\"owner\":{\"kind\":\"user\",\"id\":\"zoe\"},",
        ])
    };
    match r.below(9) {
        0 => r#"{"kind":"document","id":"d1"}"#.to_owned(),
        1 => r#"{"kind":"document","id":"d2"}"#.to_owned(),
        2 | 3 => format!(
            "{{\"kind\":\"document\",\"id\":\"new\",\"attributes\":{{{}\"size\":{},\"labels\":[{}],\"grants\":[{{\"who\":\"ana\",\"level\":2}}],\"readers\":[]}}{}}}",
            owner(r),
            r.below(9),
            r.of(&["", "\"a\"", "\"a\",\"b\"", "\"z\""]),
            inside(r)
        ),
        4 => format!("{{\"kind\":\"document\"{}}}", inside(r)),
        5 => format!("{{\"kind\":\"document\",\"attributes\":{{{}\"size\":{}}}}}", owner(r), r.below(9)),
        6 => r
            .of(&[r#"{"kind":"folder","id":"f"}"#, r#"{"kind":"folder","id":"g"}"#, r#"{"kind":"folder"}"#])
            .to_owned(),
        7 => r.of(&[r#"{"kind":"service_account","id":"ci"}"#, r#"{"kind":"group","id":"ops"}"#]).to_owned(),
        _ => r
            .of(&[r#"{"kind":"project","id":"acme/web"}"#, r#"{"kind":"organization","id":"acme"}"#])
            .to_owned(),
    }
}

fn request(r: &mut Random) -> String {
    let account = match r.below(8) {
        0 | 1 => r#"{"kind":"user","id":"ana","attributes":{"mfa":true}}"#,
        2 => r#"{"kind":"user","id":"bob"}"#,
        3 => r#"{"kind":"user","id":"zoe","attributes":{"mfa":true}}"#,
        4 => r#"{"kind":"service_account","id":"ci"}"#,
        5 => r#"{"kind":"service_account","id":"ghost"}"#,
        6 => r#"{"kind":"agent","id":"helper"}"#,
        _ => r#"{"kind":"agent","id":"sub"}"#,
    };
    let resource = resource(r);
    let scope =
        if resource.contains("d1") || resource.contains("d2") || resource.contains("\"g\"") || r.chance(10) {
            String::new()
        } else {
            format!(",\"scope\":\"{}\"", r.of(&SCOPES))
        };
    let fitting: &[&str] = match (resource.contains("\"id\":"), resource.contains("document")) {
        _ if resource.contains("project") || resource.contains("organization") => &[r#"{"name":"manage"}"#],
        _ if resource.contains("\"ci\"") || resource.contains("\"ops\"") => &[r#"{"name":"disable"}"#],
        (true, true) => &[
            r#"{"name":"read"}"#,
            r#"{"name":"update"}"#,
            r#"{"name":"delete"}"#,
            r#"{"name":"move","attributes":{"force":true}}"#,
            r#"{"name":"move","attributes":{"force":false,"amount":700}}"#,
        ],
        (true, false) => &[r#"{"name":"read"}"#, r#"{"name":"update"}"#],
        (false, true) => &[r#"{"name":"read"}"#, r#"{"name":"create"}"#, r#"{"name":"list"}"#],
        (false, false) => &[r#"{"name":"create"}"#, r#"{"name":"list"}"#],
    };
    let action = r.of(fitting);
    let acting = match (account.contains("agent"), r.below(5)) {
        (false, _) | (true, 0) => "",
        (true, 1) => r#","acting_for":{"kind":"user","id":"ana","attributes":{"mfa":true}}"#,
        (true, 2) => r#","acting_for":{"kind":"user","id":"bob"}"#,
        (true, 3) => {
            r#","acting_for":{"kind":"agent","id":"helper","acting_for":{"kind":"user","id":"ana"}}"#
        }
        _ => r#","acting_for":{"kind":"agent","id":"helper"}"#,
    };
    let credential = match r.below(8) {
        0 => format!(",\"credential\":{{\"scope\":\"{}\"}}", r.of(&SCOPES)),
        1 => r#","credential":{"scope":"acme","boundaries":["low","high"]}"#.to_owned(),
        2 => r#","credential":{"scope":"acme","policy":"allow read, update on document\ndeny read on document when resource is document and resource.size exists and resource.size > 5 ask approval"}"#.to_owned(),
        3 => r#","credential":{"scope":"acme","policy":"allow do anything on anything at project \"acme/web\" when account has role viewer\ndeny update on document in folder \"f\""}"#.to_owned(),
        _ => String::new(),
    };
    let now = r.of(&["2026-05-31T23:59:59.999999Z", "2026-06-01T00:00:00Z", "2026-12-06T10:00:00Z"]);
    let mut context = format!("\"now\":\"{now}\"");
    if r.chance(50) {
        context += r.of(&[",\"flag\":true", ",\"flag\":false"]);
    }
    if r.chance(50) {
        context += r.of(&[",\"ip\":\"10.1.2.3\"", ",\"ip\":\"11.1.2.3\""]);
    }
    if r.chance(50) {
        context += r.of(&[",\"local\":\"08:30\"", ",\"local\":\"18:00\""]);
    }
    format!(
        "{{\"account\":{account},\"action\":{action},\"resource\":{resource}{scope},\"context\":{{{context}}}{acting}{credential}}}"
    )
}

fn directory(set: &PolicySet, text: String) -> Directory {
    let mut sources = Sources::default();
    let id = sources.add("data.json", text);
    let (directory, found) = set.load_directory(&sources, id);
    directory.unwrap_or_else(|| panic!("{:?}", found.iter().map(|d| &d.message).collect::<Vec<_>>()))
}

/// What became of many requests, for seeing that the cases are not all alike.
#[derive(Debug, Default)]
struct Tally(BTreeMap<String, usize>);

impl Tally {
    fn count(&mut self, decision: &Decision) {
        let what = format!("{:?} {} {}", decision.refused_by, decision.rule.is_some(), decision.ask);
        *self.0.entry(what).or_default() += 1;
    }
}

fn agree(seed: u64, rules: usize, requests: usize, tally: &mut Tally) {
    let mut r = Random(seed);
    let (set, program) = compiled(set_lines(&mut r, rules));
    let tree = tree::lower(&program).expect("small");
    let (_, again) = file::read(&file::write(set.sources(), &tree)).expect("just written");
    for _ in 0..3 {
        let data = data(&mut r);
        let directory = directory(&set, data.clone());
        for _ in 0..requests {
            let text = request(&mut r);
            let question = match set.request(&directory, &text, 0) {
                Ok(question) => question,
                Err(error) => {
                    *tally.0.entry(format!("refused: {}", error.field)).or_default() += 1;
                    continue;
                }
            };
            let expected = meaning::decide(&program, &directory, &question);
            let show = |tree: &Tree| tree::decide(tree, &directory, &question);
            tally.count(&expected);
            for tree in [&tree, &again] {
                assert_eq!(
                    show(tree),
                    expected,
                    "seed {seed}\n{text}\n{data}\n{}",
                    set.sources().iter().map(|(_, s)| s.text.as_str()).collect::<String>()
                );
            }
        }
    }
}

#[test]
fn random_sets_are_decided_as_they_mean() {
    let mut tally = Tally::default();
    let sets = std::env::var("AGREEMENT_SETS").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    let from = std::env::var("AGREEMENT_FROM").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    for seed in from..from + sets {
        agree(seed, 4 + (seed as usize % 5) * 8, 150, &mut tally);
    }
    if std::env::var("AGREEMENT_SETS").is_ok() {
        println!("{tally:#?}");
    }
    let seen = |what: &str| tally.0.keys().any(|k| k.contains(what));
    for step in [
        "None true",
        "Some(Rule) true",
        "Some(Default)",
        "Some(Scope)",
        "Some(Boundary) true",
        "Some(ActingFor)",
        "true true",
    ] {
        assert!(seen(step), "no case of {step}: {tally:?}");
    }
}
