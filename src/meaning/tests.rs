//! The language page, sentence by sentence: small sets, one directory, whole answers.

use super::*;
use crate::request::json::{PolicyContext, read};
use crate::source::Sources;

/// A checked set with its source.
pub(crate) struct Set {
    pub sources: Sources,
    pub program: Program,
}

/// Checks a set; its mistakes fail the test.
pub(crate) fn set(text: &str) -> Set {
    let mut sources = Sources::default();
    let id = sources.add("set.pol", text);
    let (file, mut diagnostics) = crate::syntax::parse::parse(&sources, id);
    let (program, more) = crate::check::check(&sources, &[file]);
    diagnostics.extend(more);
    match program {
        Some(program) => Set { sources, program },
        None => panic!("the set has mistakes: {diagnostics:#?}"),
    }
}

impl Set {
    /// Loads a directory; its mistakes fail the test.
    pub fn directory(&self, json: &str) -> Directory {
        let mut sources = Sources::default();
        let id = sources.add("data.json", json);
        let (directory, diagnostics) = crate::directory::load(&self.program.vocabulary, &sources, id);
        directory.unwrap_or_else(|| panic!("the data has mistakes: {diagnostics:#?}"))
    }

    /// Resolves a request, at 2026-01-01 unless it says otherwise; a refusal fails the test.
    pub fn ask(&self, directory: &Directory, json: &str) -> Question {
        let key_policy = &|_: &str| Err("no key texts here".to_owned());
        let policy = PolicyContext { vocabulary: &self.program.vocabulary, directory, key_policy };
        read(&policy, json, NOW).unwrap_or_else(|error| panic!("the request is refused: {error}"))
    }

    /// The answer, as `allow by RULE`, `deny STEP by RULE`, with ` ask` behind it.
    pub fn answer(&self, directory: &Directory, json: &str) -> String {
        let decision = decide(&self.program, directory, &self.ask(directory, json));
        let mut answer = match decision.refused_by {
            None => "allow".to_owned(),
            Some(step) => format!("deny {}", serde_json::to_value(step).unwrap().as_str().unwrap()),
        };
        if let Some(rule) = decision.rule {
            answer.push_str(&format!(" by {}", self.program.rule(rule.rule).label));
        }
        if decision.ask {
            answer.push_str(" ask");
        }
        answer
    }
}

/// 2026-01-01T00:00:00Z.
const NOW: i64 = 1_767_225_600_000_000;

/// A set that uses most of the language.
pub(crate) const SET: &str = r#"
scope organization
scope project in organization
scope environment in project { stage: Stage }
enum Stage { production, staging }

account user supplied { mfa: Bool? supplied, department: String? }
account service_account { owner: user? }
account agent acting for user, agent

resource folder in folder?
resource document in folder { owner: user?, replicas: Int, labels: Set<String> }

action read on document, folder
action write on document
action create on any document
action call { amount: Int? } on document
action look on organization, project from below
action disable on user

context { local: TimeOfDay? }

condition few(n: Int) = n < 5

policy main {
  ci: allow group "ci" to write on document at environment in project "acme/web"
    when scope.stage != production
  frozen: deny anyone to write on document when resource.replicas > 100 because "too big"
  bots_call: allow service_account to call on document
  big: deny service_account to call on document when action.amount is missing or action.amount > 500
    ask approval
  locked: deny user "eve" to read on document in folder "f" until "2026-06-01T00:00:00Z"
  viewers_only: deny agent to write on document when account has role viewer
  looks: allow anyone to look on organization, project
  walk_in: allow user to read on document when account.mfa exists and account.mfa
  small: allow user to write on document when few(resource.replicas) and resource.labels contains "open"
}
role viewer { role_read: allow read on document, folder }
role editor includes viewer { role_write: allow write on document }
boundary reading { b_read: allow read on anything  b_secret: deny read on document when resource.labels contains "secret" }
boundary nothing_much { b_look: allow look on project }
"#;

/// A directory for it.
pub(crate) const DATA: &str = r#"{
 "scopes":[{"kind":"organization","id":"acme"},{"kind":"project","id":"acme/web"},
   {"kind":"environment","id":"acme/web/prod","attributes":{"stage":"production"}},
   {"kind":"environment","id":"acme/web/dev","attributes":{"stage":"staging"}},
   {"kind":"project","id":"acme/db","boundaries":["reading"]},
   {"kind":"environment","id":"acme/db/dev","attributes":{"stage":"staging"}}],
 "groups":[{"id":"ci","in":["machines"]},{"id":"machines"},{"id":"guests"}],
 "accounts":[
   {"kind":"user","id":"ana","scope":"acme","attributes":{"department":"x"}},
   {"kind":"user","id":"eve","scope":"acme"},
   {"kind":"user","id":"dev","scope":"acme/web/dev"},
   {"kind":"user","id":"homeless"},
   {"kind":"user","id":"capped","scope":"acme","boundaries":["reading"]},
   {"kind":"service_account","id":"bot","scope":"acme","groups":["ci"]},
   {"kind":"service_account","id":"old","scope":"acme","groups":[{"group":"ci","until":"2025-12-31T00:00:00Z"}]},
   {"kind":"agent","id":"a1","scope":"acme"},
   {"kind":"agent","id":"a2","scope":"acme"},
   {"kind":"agent","id":"alone","scope":"acme"},
   {"kind":"agent","id":"many","scope":"acme"}],
 "links":[{"agent":{"kind":"agent","id":"a1"},"account":{"kind":"user","id":"ana"},"boundary":"reading"},
   {"agent":{"kind":"agent","id":"a2"},"account":{"kind":"agent","id":"a1"}},
   {"agent":{"kind":"agent","id":"many"},"account":{"kind":"user","id":"ana"}},
   {"agent":{"kind":"agent","id":"many"},"account":{"kind":"user","id":"eve"}}],
 "bindings":[
   {"account":{"kind":"user","id":"ana"},"role":"editor","scope":"acme/web"},
   {"account":{"kind":"user","id":"eve"},"role":"viewer","resource":{"kind":"folder","id":"f"}},
   {"account":{"kind":"user","id":"capped"},"role":"editor","scope":"acme"},
   {"account":{"kind":"user","id":"homeless"},"role":"editor","scope":"acme"},
   {"account":{"kind":"user","id":"dev"},"role":"viewer","scope":"acme","boundaries":["reading"]},
   {"everyone":"agent","role":"editor","scope":"acme/web"},
   {"account":{"kind":"service_account","id":"bot"},"role":"viewer","scope":"acme","until":"2026-01-01T00:00:00Z"}],
 "resources":[{"kind":"folder","id":"f","scope":"acme/web/dev"},{"kind":"folder","id":"g","in":{"kind":"folder","id":"f"}},
   {"kind":"document","id":"d","in":{"kind":"folder","id":"g"},"attributes":{"replicas":3,"labels":[]}},
   {"kind":"document","id":"secret","in":{"kind":"folder","id":"g"},"attributes":{"replicas":300,"labels":["secret"]}}]
}"#;

/// A request on document `d` or `secret`, both stored under folder `f` at acme/web/dev.
pub(crate) fn on(account: &str, action: &str, id: &str) -> String {
    let (kind, name) = account.split_once(' ').unwrap();
    format!(
        r#"{{"account":{{"kind":"{kind}","id":"{name}"}},"action":{{"name":"{action}"}},"resource":{{"kind":"document","id":"{id}"}}}}"#
    )
}

/// A request on document `new`, which comes with it, at a scope.
fn new_at(account: &str, action: &str, scope: &str) -> String {
    let (kind, name) = account.split_once(' ').unwrap();
    format!(
        r#"{{"account":{{"kind":"{kind}","id":"{name}"}},"action":{{"name":"{action}"}},"scope":"{scope}",
          "resource":{{"kind":"document","id":"new","in":{{"kind":"folder","id":"top"}},"attributes":{{"replicas":7,"labels":[]}}}}}}"#
    )
}

#[track_caller]
fn expect(request: &str, answer: &str) {
    let set = set(SET);
    let directory = set.directory(DATA);
    assert_eq!(set.answer(&directory, request), answer, "{request}");
}

#[test]
fn groups_scopes_and_conditions() {
    expect(&new_at("service_account bot", "write", "acme/web/dev"), "allow by ci");
    expect(&new_at("service_account bot", "write", "acme/web/prod"), "deny default");
    expect(&new_at("service_account bot", "write", "acme/db/dev"), "deny default");
    // The membership has ended.
    expect(&new_at("service_account old", "write", "acme/web/dev"), "deny default");
}

#[test]
fn denies_come_before_allows_and_may_ask() {
    expect(&on("user ana", "write", "secret"), "deny rule by frozen");
    expect(&on("service_account bot", "call", "d"), "deny rule by big ask");
}

#[test]
fn roles_hold_where_they_are_bound() {
    expect(&on("user ana", "write", "d"), "allow by role_write");
    expect(&on("user ana", "read", "d"), "allow by role_read");
    expect(&new_at("user ana", "write", "acme/db/dev"), "deny default");
    // On a folder, and below it.
    expect(&on("user eve", "write", "d"), "deny default");
    expect(&on("user eve", "read", "d"), "deny rule by locked");
    expect(&new_at("user eve", "read", "acme/web/dev"), "deny default");
    // A binding ends at its instant.
    expect(&on("service_account bot", "read", "d"), "deny default");
}

#[test]
fn homes_are_ceilings() {
    expect(&on("user dev", "read", "d"), "allow by role_read");
    expect(&new_at("user dev", "read", "acme/web/prod"), "deny scope");
    expect(&on("user homeless", "read", "d"), "deny scope");
    let look = |account: &str, kind: &str, path: &str| {
        format!(
            r#"{{"account":{{"kind":"user","id":"{account}"}},"action":{{"name":"look"}},"resource":{{"kind":"{kind}","id":"{path}"}}}}"#
        )
    };
    // `look` works from below on a project; on an organization too.
    expect(&look("dev", "project", "acme/web"), "allow by looks");
    expect(&look("dev", "project", "acme/db"), "deny scope");
}

#[test]
fn boundaries_narrow() {
    expect(&on("user capped", "write", "d"), "deny boundary");
    expect(&on("user capped", "read", "d"), "allow by role_read");
    expect(&on("user capped", "read", "secret"), "deny boundary by b_secret");
    // Of a binding.
    expect(&on("user dev", "read", "secret"), "deny boundary by b_secret");
    // Of a scope on the path.
    expect(&new_at("user capped", "read", "acme/db/dev"), "allow by role_read");
}

#[test]
fn a_supplied_account_may_be_unknown() {
    let walk_in = r#"{"account":{"kind":"user","id":"nobody","attributes":{"mfa":true}},"action":{"name":"read"},
      "resource":{"kind":"document","id":"d"}}"#;
    expect(walk_in, "allow by walk_in");
    expect(&on("user nobody", "read", "d"), "deny default");
    expect(&on("service_account nobody", "read", "d"), "deny default");
}

#[test]
fn an_agent_is_allowed_nothing_that_the_one_behind_it_is_not() {
    expect(&on("agent a1", "read", "d"), "allow by role_read");
    // The link's boundary.
    expect(&on("agent a1", "write", "d"), "deny rule by viewers_only");
    expect(&on("agent a1", "read", "secret"), "deny boundary by b_secret");
    expect(&on("agent a2", "read", "d"), "allow by role_read");
    expect(&on("agent a2", "read", "secret"), "deny acting_for by b_secret");
    expect(&on("agent alone", "read", "d"), "deny acting_for");
    let for_eve = r#"{"account":{"kind":"agent","id":"many"},"acting_for":{"kind":"user","id":"eve"},
      "action":{"name":"read"},"resource":{"kind":"document","id":"d"}}"#;
    expect(for_eve, "deny acting_for by locked");
}

#[test]
fn until_excludes_its_instant() {
    let at = |now: &str| {
        format!(
            r#"{{"account":{{"kind":"user","id":"eve"}},"action":{{"name":"read"}},
          "resource":{{"kind":"document","id":"d"}},"context":{{"now":"{now}"}}}}"#
        )
    };
    expect(&at("2026-05-31T23:59:59.999999Z"), "deny rule by locked");
    expect(&at("2026-06-01T00:00:00Z"), "allow by role_read");
}

#[test]
fn outcomes_tell_each_condition_asked() {
    let set = set(SET);
    let directory = set.directory(DATA);
    let question = set.ask(&directory, &on("user ana", "write", "secret"));
    let told: Vec<(String, Option<bool>, Option<bool>)> = outcomes(&set.program, &directory, &question)
        .into_iter()
        .map(|(rule, when, unless)| (set.program.rule(rule).label.to_string(), when, unless))
        .collect();
    let expected = [("frozen", Some(true)), ("small", Some(false)), ("role_write", None)];
    assert_eq!(told, expected.map(|(rule, when)| (rule.to_owned(), when, None)));
}
