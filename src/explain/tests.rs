//! What an operator reads, whole.

use super::*;
use crate::meaning::tests::{self as meaning_tests, Set, set};

const SET: &str = r#"account user { mfa: Bool? supplied }
resource doc { replicas: Int, open: Bool, labels: Set<String> }
resource box { size: Size, limits: Limits }
enum Size { small, large }
record Limits { top: Int, floor: Int? }
action read, write on doc
action move { force: Bool? } on box

condition fewer(n: Int, most: Int) = n < most

policy main {
  a_few: allow user to write on doc when fewer(resource.replicas, 5) and resource.replicas > 2
  b_open: allow user to write on doc when resource.open and account.mfa exists and account.mfa
  c_ops: allow group "ops" to read on doc
  d_closed: deny user to read on doc when not resource.open unless resource.labels contains "public"
  e_move: allow user to move on box when action.force exists and action.force and resource.limits.top >= 10
  f_large: deny user to move on box when resource.size == large
}
role reader { r_read: allow read on doc when any label in resource.labels satisfies label matches "team-*" }
boundary cap { g_cap: allow write on doc when resource.labels is empty  h_read: allow read on anything }
"#;

const DATA: &str = r#"{"groups":[{"id":"ops"}],"accounts":[{"kind":"user","id":"ana"},
  {"kind":"user","id":"bob","boundaries":["cap"]}],
  "resources":[{"kind":"doc","id":"d","attributes":{"replicas":7,"open":false,"labels":["x"]}},
  {"kind":"box","id":"b","attributes":{"size":"large","limits":{"top":3}}}]}"#;

fn explained(set: &Set, account: &str, action: &str, resource: &str) -> Explanation {
    let (kind, id) = resource.split_once(' ').unwrap();
    let request = format!(
        r#"{{"account":{{"kind":"user","id":"{account}"}},"action":{{"name":"{action}"}},"resource":{{"kind":"{kind}","id":"{id}"}}}}"#
    );
    let directory = set.directory(DATA);
    let question = set.ask(&directory, &request);
    let explanation = explain(&set.program, &set.sources, &directory, &question);
    assert_eq!(explanation.answer, decide(&set.program, &directory, &question));
    explanation
}

/// The rule and the changes of the smallest change.
fn smallest(account: &str, action: &str, resource: &str) -> (String, Vec<String>) {
    let found = explained(&set(SET), account, action, resource).smallest_change.expect("there is a change");
    let tell = |c: &Change| match (&c.now, &c.example) {
        (Some(now), Some(example)) => format!("{} (now {now}; {example} would do)", c.text),
        _ => c.text.clone(),
    };
    (found.rule, found.changes.iter().map(tell).collect())
}

#[track_caller]
fn expect(found: (String, Vec<String>), rule: &str, changes: &[&str]) {
    assert_eq!(
        (found.0.as_str(), found.1.iter().map(String::as_str).collect::<Vec<_>>()),
        (rule, changes.to_vec())
    );
}

#[test]
fn one_fact_that_serves_two_tests() {
    expect(
        smallest("ana", "write", "doc d"),
        "a_few",
        &["`n < most` in `fewer(resource.replicas, 5)` must hold (now resource.replicas is 7; 4 would do)"],
    );
}

#[test]
fn a_group_and_what_a_deny_then_says() {
    expect(
        smallest("ana", "read", "doc d"),
        "c_ops",
        &[
            "user \"ana\" must be in group \"ops\"",
            "`resource.open` must hold (now resource.open is false; true would do)",
        ],
    );
}

#[test]
fn a_boundary_adds_what_it_asks() {
    expect(
        smallest("bob", "write", "doc d"),
        "a_few",
        &[
            "`n < most` in `fewer(resource.replicas, 5)` must hold (now resource.replicas is 7; 4 would do)",
            "`resource.labels is empty` must hold (now resource.labels is [\"x\"]; [] would do)",
        ],
    );
}

#[test]
fn properties_records_and_enums() {
    let (rule, changes) = smallest("ana", "move", "box b");
    assert_eq!(rule, "e_move");
    assert_eq!(changes.len(), 3, "{changes:#?}");
}

#[test]
fn the_whole_text() {
    let told = explained(&set(SET), "ana", "write", "doc d").to_text();
    let expected = r#"deny: no allow rule matches
  user "ana" to write on doc "d"

the smallest change that would allow it, by a_few:
  `n < most` in `fewer(resource.replicas, 5)` must hold (now resource.replicas is 7; 4 would do)

user "ana" is not allowed
  pass  the directory holds the account
  pass  no deny rule fits
  FAIL  2 allow rules fit, none matches   <- refused here
        allow a_few in policy main does not match   set.pol:12:3
          when does not hold
            no   n < most   in fewer(resource.replicas, 5)   [resource.replicas = 7]
            yes  resource.replicas > 2   [resource.replicas = 7]
        allow b_open in policy main does not match   set.pol:13:3
          when does not hold
            no   resource.open   [resource.open = false]
            no   account.mfa exists   [account.mfa is absent]
            no   account.mfa   [account.mfa is absent]
"#;
    assert_eq!(told, expected, "{told}");
}

/// Every account, action and document of the reference's own tests.
#[test]
fn an_explanation_answers_as_the_decision_does() {
    let set = set(meaning_tests::SET);
    let directory = set.directory(meaning_tests::DATA);
    let accounts = directory.accounts.iter().map(|a| {
        let kind = &set.program.vocabulary.kind(a.entity.kind).name;
        format!("{kind} {}", a.entity.id)
    });
    let mut denied_with_change = 0;
    for account in accounts.filter(|a| a != "agent many") {
        for (action, id) in ["read", "write", "call"].into_iter().flat_map(|a| [(a, "d"), (a, "secret")]) {
            let question = set.ask(&directory, &meaning_tests::on(&account, action, id));
            let told = explain(&set.program, &set.sources, &directory, &question);
            assert_eq!(told.answer, decide(&set.program, &directory, &question));
            assert_eq!(told.accounts[0].allowed && told.accounts.iter().all(|a| a.allowed), {
                told.answer.is_allow() || told.broken_chain.is_some() && told.accounts[0].allowed
            });
            let marked = told.accounts.iter().flat_map(|a| &a.steps).flat_map(|s| &s.rules);
            assert_eq!(
                marked.filter(|rule| rule.determining).count() > 0,
                told.rule.is_some(),
                "{}",
                told.to_text()
            );
            denied_with_change += usize::from(told.smallest_change.is_some());
        }
    }
    assert!(denied_with_change > 10, "{denied_with_change}");
}

#[test]
fn a_chain_is_told_account_by_account() {
    let set = set(meaning_tests::SET);
    let directory = set.directory(meaning_tests::DATA);
    let question = set.ask(&directory, &meaning_tests::on("agent a2", "read", "secret"));
    let told = explain(&set.program, &set.sources, &directory, &question).to_text();
    assert_eq!(told, CHAIN, "{told}");
}

const CHAIN: &str = r#"deny, by b_secret: an account that it acts for is not allowed
  agent "a2" to read on document "secret" at environment "acme/web/dev"

the smallest change that would allow it, by role_read:
  `resource.labels contains "secret"` must not hold (now resource.labels is ["secret"]; [] would do)

agent "a2" is allowed
  pass  the directory holds the account
  pass  no deny rule fits
  pass  1 allow rule matches
        allow role_read in role viewer matches   set.pol:38:15
          role editor, bound to every agent
  pass  the account's home, organization "acme", covers environment "acme/web/dev"
  pass  acts for agent "a1"

behind it: agent "a1" is not allowed
  pass  the directory holds the account
  pass  no deny rule fits
  pass  1 allow rule matches
        allow role_read in role viewer matches   set.pol:38:15
          role editor, bound to every agent
  pass  the account's home, organization "acme", covers environment "acme/web/dev"
  FAIL  boundary reading on the link by which it acts for the next refuses   <- refused here
        allow b_read in boundary reading matches   set.pol:40:20
        deny b_secret in boundary reading matches, and determines   set.pol:40:52
          when holds
            yes  resource.labels contains "secret"   [resource.labels = ["secret"]]
  pass  acts for user "ana"

behind it: user "ana" is allowed
  pass  the directory holds the account
  pass  no deny rule fits
  pass  1 allow rule matches
        allow walk_in in policy main does not match   set.pol:35:3
          when does not hold
            no   account.mfa exists   [account.mfa is absent]
            no   account.mfa   [account.mfa is absent]
        allow role_read in role viewer matches   set.pol:38:15
          role editor, bound to user "ana"
  pass  the account's home, organization "acme", covers environment "acme/web/dev"
"#;

/// A key's own text is quoted from itself, and what it refuses has a smallest change too.
#[test]
fn a_key_text_is_quoted_from_itself() {
    let mut sources = Sources::default();
    sources.add("set.pol", SET);
    let set = crate::set::PolicySet::compile(sources, 0).set.expect("the set has no mistakes");
    let mut data = Sources::default();
    let id = data.add("data.json", DATA);
    let directory = set.load_directory(&data, id).0.expect("the data has no mistakes");
    let request = r#"{"account":{"kind":"user","id":"ana","attributes":{"mfa":true}},"action":{"name":"write"},
      "resource":{"kind":"doc","id":"open","attributes":{"replicas":3,"open":true,"labels":[]}},
      "credential":{"policy":"allow write on doc when fewer(resource.replicas, 3) and resource.open"}}"#;
    let question = set.request(&directory, request, 0).expect("the request fits");
    let told = set.explain(&directory, &question).expect("the set has its sources");
    assert_eq!(told.answer, set.decide(&directory, &question));
    assert_eq!(told.refused_by, Some(Step::Boundary));
    let change = told.smallest_change.as_ref().expect("there is a change");
    assert_eq!(change.changes[0].text, "`n < most` in `fewer(resource.replicas, 3)` must hold");
    let text = told.to_text();
    let step = text.split("  FAIL  ").nth(1).expect("a step refuses");
    let expected = r#"the key's own text refuses   <- refused here
        allow key.1 in the key's own text does not match   credential.policy:1:1
          when does not hold
            no   n < most   in fewer(resource.replicas, 3)   [resource.replicas = 3]
            yes  resource.open   [resource.open = true]
"#;
    assert_eq!(step, expected, "{text}");
}
