//! Where a decision stops being cheap: `cargo bench --bench worst`.
//!
//! Each case grows one thing that a decision's cost follows, and asks what no rule allows: then nothing ends early.
//! Figures are nanoseconds per decision.

#[path = "world/random.rs"]
mod random;

use divan::{Bencher, black_box};
use policyc::source::Sources;
use policyc::{Directory, PolicySet, Question};
use random::Random;
use std::fmt::Write;

fn main() {
    divan::main();
}

struct Case {
    set: PolicySet,
    directory: Directory,
    questions: Vec<Question>,
}

impl Case {
    /// Compiles, loads, resolves; every request must be a denial.
    fn new(policy: &str, data: &str, requests: &[String]) -> Case {
        let mut sources = Sources::default();
        sources.add("case.pol", policy);
        let compiled = PolicySet::compile(sources, 0);
        let set = compiled.set.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics.first()));
        let mut sources = Sources::default();
        let id = sources.add("case.json", data);
        let (directory, found) = set.load_directory(&sources, id);
        let directory = directory.unwrap_or_else(|| panic!("{:?}", found.first()));
        let resolve = |r: &String| set.request(&directory, r, 0).unwrap_or_else(|e| panic!("{e}"));
        let questions: Vec<Question> = requests.iter().map(resolve).collect();
        assert!(questions.iter().all(|q| !set.decide(&directory, q).is_allow()), "a case denies");
        Case { set, directory, questions }
    }

    fn bench(&self, bencher: Bencher) {
        let mut asked = self.questions.iter().cycle();
        bencher.bench_local(|| {
            let question = asked.next().expect("a cycle doesn't end");
            black_box(self.set.decide(&self.directory, black_box(question)));
        });
    }
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

const PLACES: &str = "scope organization\nscope project in organization\naccount user\n";

/// An account in many groups, each named by ten rules of 10,000, all of the action and kind that is asked.
#[divan::bench(args = [1, 10, 100, 1_000])]
fn groups(bencher: Bencher, groups: usize) {
    let mut policy = format!("{PLACES}resource doc {{}}\naction read on doc\npolicy p {{\n");
    for n in 0..10_000 {
        let _ = writeln!(policy, "r{n}: allow group \"g{}\" to read on doc at project \"o/p{n}\"", n % 1_000);
    }
    policy.push('}');
    let places = joined((0..10_001).map(|n| format!(r#"{{"kind":"project","id":"o/p{n}"}}"#)));
    let names = joined((0..1_000).map(|n| format!(r#"{{"id":"g{n}"}}"#)));
    let of = joined((0..groups).map(|n| format!("\"g{n}\"")));
    let data = format!(
        r#"{{"scopes":[{{"kind":"organization","id":"o"}},{places}],"groups":[{names}],
        "accounts":[{{"kind":"user","id":"u","scope":"o","groups":[{of}]}}]}}"#
    );
    let request = r#"{"account":{"kind":"user","id":"u"},"scope":"o/p10000","action":{"name":"read"},
        "resource":{"kind":"doc","id":"x"}}"#;
    Case::new(&policy, &data, &[request.to_owned()]).bench(bencher);
}

/// A condition: 14 of 20 yes-or-no attributes, as they are or negated. One request in 16,384 fits it.
type Flags = [(usize, bool); 14];

fn conditions(rules: usize) -> Vec<Flags> {
    let mut random = Random::new(11);
    let mut order: Vec<usize> = (0..20).collect();
    let one = |_| {
        (1..20).for_each(|n| order.swap(n, random.below(n + 1)));
        std::array::from_fn(|n| (order[n], random.below(2) == 0))
    };
    (0..rules).map(one).collect()
}

fn fits(condition: &Flags, values: &[bool]) -> bool {
    condition.iter().all(|(n, is)| values[*n] == *is)
}

/// Random requests that no condition allows.
fn refused(conditions: &[Flags]) -> Vec<Vec<bool>> {
    let mut random = Random::new(13);
    let tries = (0..500).map(|_| (0..20).map(|_| random.below(2) == 0).collect::<Vec<_>>());
    tries.filter(|values| !conditions.iter().any(|c| fits(c, values))).collect()
}

const FLAGS_DATA: &str = r#"{"accounts":[{"kind":"user","id":"u"}]}"#;

fn flags_request(values: &[bool], size: usize) -> String {
    let flags = joined(values.iter().enumerate().map(|(n, v)| format!("\"f{n}\":{v}")));
    format!(
        r#"{{"account":{{"kind":"user","id":"u"}},"action":{{"name":"read"}},
        "resource":{{"kind":"doc","id":"x","attributes":{{{flags},"size":{size}}}}}}}"#
    )
}

fn flags_policy(rules: impl Iterator<Item = String>) -> String {
    let flags = joined((0..20).map(|n| format!("f{n}: Bool")));
    let mut policy =
        format!("account user\nresource doc {{ {flags}, size: Int }}\naction read on doc\npolicy p {{\n");
    for (n, condition) in rules.enumerate() {
        let _ = writeln!(policy, "r{n}: allow user to read on doc when {condition}");
    }
    policy.push('}');
    policy
}

fn conjunction(condition: &[(usize, bool)]) -> String {
    let one = |(n, is): &(usize, bool)| format!("{}resource.f{n}", if *is { "" } else { "not " });
    condition.iter().map(one).collect::<Vec<_>>().join(" and ")
}

/// Rules with one head and different conditions over 20 tests.
#[divan::bench(args = [10, 100, 1_000, 10_000])]
fn one_head_20_tests(bencher: Bencher, rules: usize) {
    let conditions = conditions(rules);
    let policy = flags_policy(conditions.iter().map(|c| conjunction(c)));
    let requests: Vec<String> = refused(&conditions).iter().map(|v| flags_request(v, 0)).collect();
    Case::new(&policy, FLAGS_DATA, &requests).bench(bencher);
}

/// The same as plain code over plain structs: the scan that a decision may cost a few times of.
#[divan::bench(args = [10, 100, 1_000, 10_000])]
fn one_head_20_tests_plain_scan(bencher: Bencher, rules: usize) {
    let conditions = conditions(rules);
    let requests = refused(&conditions);
    let mut asked = requests.iter().cycle();
    bencher.bench_local(|| {
        let values = black_box(asked.next().expect("a cycle doesn't end"));
        black_box(conditions.iter().any(|c| fits(c, values)));
    });
}

/// Rules with one head, each with a test of its own: nothing is shared.
#[divan::bench(args = [10, 100, 1_000, 10_000])]
fn one_head_own_tests(bencher: Bencher, rules: usize) {
    let policy = flags_policy((0..rules).map(|n| format!("resource.size == {}", 2 * n + 1)));
    Case::new(&policy, FLAGS_DATA, &[flags_request(&[false; 20], 2 * (rules / 2))]).bench(bencher);
}

/// One rule over one set of this many elements.
fn set_case(bencher: Bencher, elements: usize, condition: &str) {
    let policy = format!(
        "account user\nresource doc {{ labels: Set<String>, others: Set<String> }}\naction read on doc\n\
         policy p {{ r: allow user to read on doc when {condition} }}"
    );
    let labels = joined((0..elements).map(|n| format!("\"label number {n}\"")));
    let others = joined((0..elements).map(|n| format!("\"other number {n}\"")));
    let request = format!(
        r#"{{"account":{{"kind":"user","id":"u"}},"action":{{"name":"read"}},
        "resource":{{"kind":"doc","id":"x","attributes":{{"labels":[{labels}],"others":[{others}]}}}}}}"#
    );
    Case::new(&policy, FLAGS_DATA, &[request]).bench(bencher);
}

/// `contains` one.
#[divan::bench(args = [10, 1_000])]
fn set_contains(bencher: Bencher, elements: usize) {
    set_case(bencher, elements, "resource.labels contains \"label number x\"");
}

/// `contains any of` another set as large.
#[divan::bench(args = [10, 1_000])]
fn set_contains_any(bencher: Bencher, elements: usize) {
    set_case(bencher, elements, "resource.labels contains any of resource.others");
}

/// A test of each element.
#[divan::bench(args = [10, 1_000])]
fn set_any_satisfies(bencher: Bencher, elements: usize) {
    set_case(bencher, elements, "any l in resource.labels satisfies l matches \"label*x\"");
}

/// A request at the bottom of a scope tree, with rules at every node of its path and a binding at each.
#[divan::bench(args = [1, 5, 20])]
fn scope_depth(bencher: Bencher, depth: usize) {
    let mut policy = String::from("scope s0\n");
    for n in 1..depth {
        let _ = writeln!(policy, "scope s{n} in s{}", n - 1);
    }
    policy.push_str("account user\nresource doc { gate: Bool }\naction read on doc\naction write on doc\n");
    policy.push_str("role reader { allow read on doc when resource.gate }\npolicy p {\n");
    let path = |n: usize| (0..=n).map(|i| format!("n{i}")).collect::<Vec<_>>().join("/");
    for n in 0..depth {
        let at = format!("s{n} \"{}\"", path(n));
        let _ = writeln!(policy, "a{n}: allow group \"g\" to read on doc at {at} when resource.gate");
        let _ = writeln!(policy, "d{n}: deny group \"g\" to read on doc at {at} when resource.gate");
    }
    policy.push('}');
    let scopes = joined((0..depth).map(|n| format!(r#"{{"kind":"s{n}","id":"{}"}}"#, path(n))));
    let bindings = joined((0..depth).map(|n| {
        format!(r#"{{"account":{{"kind":"user","id":"u"}},"role":"reader","scope":"{}"}}"#, path(n))
    }));
    let data = format!(
        r#"{{"scopes":[{scopes}],"groups":[{{"id":"g"}}],"bindings":[{bindings}],
        "accounts":[{{"kind":"user","id":"u","scope":"n0","groups":["g"]}}]}}"#
    );
    let request = format!(
        r#"{{"account":{{"kind":"user","id":"u"}},"scope":"{}","action":{{"name":"read"}},
        "resource":{{"kind":"doc","id":"x","attributes":{{"gate":false}}}}}}"#,
        path(depth - 1)
    );
    Case::new(&policy, &data, &[request]).bench(bencher);
}

/// Agents in a row, each acting for the next; the user at the end may not.
#[divan::bench(args = [1, 4, 8])]
fn acting_for(bencher: Bencher, accounts: usize) {
    let policy = "account user\naccount agent acting for agent, user\nresource doc {}\naction read on doc\n\
                  policy p { a: allow agent to read on doc  d: allow user \"v\" to read on doc }";
    let name = |n: usize| {
        let kind = if n + 1 == accounts { "user" } else { "agent" };
        format!(r#"{{"kind":"{kind}","id":"u{n}"}}"#)
    };
    let known = joined((0..accounts).map(name).chain([r#"{"kind":"user","id":"v"}"#.to_owned()]));
    let links =
        joined((1..accounts).map(|n| format!(r#"{{"agent":{},"account":{}}}"#, name(n - 1), name(n))));
    let data = format!(r#"{{"accounts":[{known}],"links":[{links}]}}"#);
    let request = format!(
        r#"{{"account":{},"action":{{"name":"read"}},"resource":{{"kind":"doc","id":"x"}}}}"#,
        name(0)
    );
    Case::new(policy, &data, &[request]).bench(bencher);
}
