//! Test blocks over one small set: what passes, what fails and how, what doesn't check.

use super::*;
use crate::source::Sources;

const SET: &str = r#"
scope organization
scope project     in organization
scope environment in project { stage: Stage }
scope folder      in organization, project
enum Stage { production, staging }
enum Sensitivity { public, internal, restricted }
account user            supplied { mfa: Bool? supplied, department: String? }
account service_account { purpose: String, owner: user | group }
account agent           acting for user, agent { model: String? }
resource deployment { owner: user?, replicas: Int, labels: Set<String>?, price: Decimal?, at: Time?, where: { city: String }? }
resource secret     { sensitivity: Sensitivity }
resource provider   { trusted: Bool stored }
resource tool in provider { writes: Bool stored }
action read           on deployment, secret, provider, tool
action list, create   on any deployment, any secret
action update, delete on deployment, secret
action rollback { force: Bool } on deployment
action call           on tool
action disable        on service_account
action write = create, update, delete
context { ip: Ip?, channel: String }
condition from(net: Cidr) = context.ip exists and context.ip in net
policy delivery "How software ships" {
  ci_ships: allow group "ci" to create, update on deployment at environment when scope.stage == production or scope.stage == staging
  production_needs_mfa: deny user to write on deployment at environment "acme/web/prod"
    unless account.mfa exists and account.mfa
    because "production changes need a person with MFA"
  big: deny anyone to update on deployment when resource.replicas > 100 ask approval
  owners: allow user to update, read, delete on deployment when resource.owner exists and account == resource.owner
  calls: allow agent, user to call on tool when resource.writes == false
  channel: allow user to rollback on deployment when context.channel == "cli" and not action.force
  off: allow user to disable on service_account when resource.purpose == "old"
}
role viewer   { allow read, list on deployment }
role deployer includes viewer { allow update on deployment when resource.replicas < 10 }
boundary reading { allow read, list on anything }
"#;

fn prepare(test: &str) -> (Sources, Program, Vec<File>) {
    let mut sources = Sources::default();
    let mut files = Vec::new();
    for (name, text) in [("set.pol", SET), ("test.pol", test)] {
        let id = sources.add(name, text);
        let (file, found) = crate::syntax::parse::parse(&sources, id);
        assert!(found.is_empty(), "{found:#?}");
        files.push(file);
    }
    let (program, found) = crate::check::check(&sources, &files);
    (sources, program.unwrap_or_else(|| panic!("{found:#?}")), files)
}

/// What `check` says, as `CODE message [label at text] / help`.
fn checked(steps: &str) -> Vec<String> {
    let (sources, program, files) = prepare(&format!("test \"t\" {{\n{steps}\n}}"));
    let said = check(&program, &files).into_iter().map(|d| {
        let help = d.help.as_ref().map(|h| format!(" / {h}")).unwrap_or_default();
        format!("{:?} {} [{} at {}]{help}", d.code, d.message, d.labels[0].text, sources.slice(d.span()))
    });
    said.collect()
}

/// The failures of a test that checks.
fn failures(steps: &str) -> Vec<String> {
    let (_, program, files) = prepare(&format!("test \"t\" {{\n{steps}\n}}"));
    let found = check(&program, &files);
    assert!(found.is_empty(), "{found:#?}");
    let tree = tree::lower(&program).unwrap_or_else(|e| panic!("{e}"));
    let outcomes = run(&program, &tree, &files, None);
    assert!(run(&program, &tree, &files, Some("other")).is_empty());
    outcomes.into_iter().flat_map(|o| o.failures).map(|f| f.message).collect()
}

#[test]
fn a_whole_test_passes() {
    let said = failures(
        r#"
        let prod    = environment "acme/web/prod"    { stage: production }
        let staging = environment "acme/web/staging" { stage: staging }
        let bot     = service_account "ci-bot" in group "ci" { purpose: "deploys", owner: user "ana" }
        let ana     = user "ana" { mfa: false, department: "it" }
        context { channel: "cli" }
        allow bot to update on deployment "api" { replicas: 2 } at staging by ci_ships
        deny  bot to update on deployment "api" { replicas: 200 } at prod by big ask approval
        for v in [update, delete] {
          deny  ana to v on deployment "x" { owner: ana, replicas: 1 } at prod by production_needs_mfa
          allow ana { mfa: true } to v on deployment "x" { owner: user "ana", replicas: 1 } at prod by delivery
        }
        for v in [create, update] { allow bot to v on deployment "api" { replicas: 2 } at staging by ci_ships }
        bind ana to deployer at staging until "2026-06-01T00:00:00Z"
        allow ana to update on deployment "y" { replicas: 9 } at staging by deployer
        deny  ana to update on deployment "y" { replicas: 10 } at staging by default
        deny  ana to update on deployment "y" { replicas: 9 } at staging with { now: "2026-06-01T00:00:00Z" } by default
        allow ana to list on any deployment at staging by viewer
        deny  ana using key under reading to update on deployment "y" { replicas: 9 } at staging by boundary
        deny  ana using key at prod to update on deployment "y" { replicas: 9 } at staging by scope
        allow user "eve" { mfa: true } to rollback { force: false } on deployment "z" at staging by channel
        deny  user "eve" to rollback { force: false } on deployment "z" at staging with { channel: "web" }
        attach reading to staging
        deny  ana to update on deployment "y" { replicas: 9 } at staging by boundary
        "#,
    );
    assert_eq!(said, [""; 0]);
}

#[test]
fn chains_and_stored_resources() {
    let said = failures(
        r#"
        let acme = organization "acme"
        let mcp  = provider "mcp" at acme { trusted: true }
        let ls   = tool "ls" in mcp { writes: false }
        let rm   = tool "rm" in mcp { writes: true }
        let ana  = user "ana" in group "ops" until "2026-01-01T00:00:01Z"
        let helper = agent "helper"
        let old  = service_account "old" at acme { purpose: "old" }
        link helper for group "ops" under reading
        deny  helper acting for ana to call on ls by boundary
        allow ana to call on ls by calls
        deny  ana to call on rm by default
        deny  helper acting for user "bob" to call on ls by acting_for
        let free = agent "free"
        link free for ana
        allow free to call on ls by calls
        allow ana to disable on old by off
        deny  service_account "ghost" to call on ls by default
        "#,
    );
    assert_eq!(said, [""; 0]);
}

#[test]
fn failures_say_what_came() {
    let said = failures(
        r#"
        let ana = user "ana"
        let s = environment "acme/web/prod" { stage: production }
        allow ana to delete on deployment "x" at s
        deny ana { mfa: true } to delete on deployment "x" { owner: ana } at s by default
        for v in [update] { deny ana { mfa: true } to v on deployment "x" { replicas: 101 } at s by owners ask approval }
        allow ana to read on deployment "x" at s
        "#,
    );
    let expected = [
        "expected allow, got deny by rule `production_needs_mfa`",
        "expected deny by `default`, got allow by rule `owners`",
        "to update: expected deny by `owners` ask `approval`, got deny by rule `big`",
        "expected allow, got deny: no rule allows it (default)",
    ];
    assert_eq!(said, expected);
}

#[test]
fn names_are_looked_up() {
    let said = checked(
        r#"
        let ana = usr "ana"
        let bot = service_account "b" { purpos: "x", owner: an }
        let an = user "an"
        let an = user "other"
        deny ana to read on deployment "x" at environment "acme/web/prod"
        allow bob to read on deployment "x" at environment "acme/web/prod"
        allow an to raed on deployment "x" at environment "acme/web/prod"
        allow an to write on deployment "x" at environment "acme/web/prod"
        allow an to read on deployment "x" at environment "acme/web/prod" by ownrs
        allow an to read on deployment "x" at environment "acme/web/prod" ask aproval
        allow an to read on deployment "x" at an
        bind an to viewr at organization "acme"
        bind an to viewer
        attach readng to an
        allow an to call on deployment "x" at organization "acme"
        allow an to list on deployment "x" at organization "acme"
        "#,
    );
    let expected = [
        "E0102 unknown kind `usr` [no kind has this name at usr] / did you mean `user`?",
        "E0203 no attribute `purpos` on `service_account` [`service_account` has `purpose`, `owner` at purpos] / did you mean `purpose`?",
        "E0102 unknown variable `an` [no `let` before this has this name at an] / did you mean `ana`?",
        "E0101 the variable `an` is declared twice [again here at an]",
        "E0102 unknown variable `bob` [no `let` before this has this name at bob] / did you mean `bot`?",
        "E0102 unknown action `raed` [no action has this name at raed] / did you mean `read`?",
        "E0104 `write` is a group of actions; a request is for one [a group of actions at write] / ask for each: `for v in [create, update, delete] { … }`",
        "E0102 unknown rule `ownrs` [no rule, policy, role or boundary has this name at ownrs] / did you mean `owners`?",
        "E0102 no rule asks for `aproval` [no `ask` has this name at aproval] / did you mean `approval`?",
        "E0104 `user` is not a scope [expected a scope at an]",
        "E0102 unknown role `viewr` [no role has this name at viewr] / did you mean `viewer`?",
        "E0401 a binding says where it holds [not said here at bind an to viewer] / add `at SCOPE` or `on RESOURCE`",
        "E0102 unknown boundary `readng` [no boundary has this name at readng] / did you mean `reading`?",
        "E0105 `call` does not apply to `deployment`; it applies to `tool` [this action is not for it at deployment \"x\"]",
        "E0105 `list` is asked of `deployment` at a place, not of one: leave the id out [this action is not for it at deployment \"x\"]",
    ];
    for (said, expected) in said.iter().zip(&expected) {
        assert_eq!(said, expected);
    }
    assert_eq!(said.len(), expected.len(), "{said:#?}");
}

#[test]
fn values_have_the_type_of_their_attribute() {
    let at = r#"at organization "acme""#;
    let cases = [
        (
            "replicas: 1.5",
            "E0201 `replicas` is of type Int, found a decimal number [this is a decimal number at 1.5]",
        ),
        (
            "owner: group \"g\"",
            "E0201 `owner` is of type user, found a `group` [this is a `group` at group \"g\"]",
        ),
        (
            "labels: \"x\"",
            "E0201 `labels` is of type Set<String> ([a, b]), found a text [this is a text at \"x\"]",
        ),
        (
            "labels: [1]",
            "E0201 `labels` is of type String, found a whole number [this is a whole number at 1]",
        ),
        ("at: \"2026\"", "E0209 `2026` is not a Time such as \"2026-12-31T00:00:00Z\" [here at \"2026\"]"),
        ("replicas: 1, replicas: 2", "E0101 `replicas` is given twice [again here at replicas]"),
        (
            "where: { town: \"x\" }",
            "E0203 no attribute `town` on the record `where` [the record `where` has `city` at town]",
        ),
        ("where: 3", "E0201 `where` is of type a record, found a whole number [this is a whole number at 3]"),
        ("where: { }", "E0401 the record `where` has no `city`, which is required [in this record at { }]"),
    ];
    for (field, expected) in cases {
        let said = checked(&format!("deny user \"a\" to read on deployment \"x\" {{ {field} }} {at}"));
        assert_eq!(said, [expected]);
    }
    let said = checked("let p = environment \"acme/web/prod\" { stage: prodction }");
    let expected = "E0205 `Stage` has no variant `prodction` [`Stage` has `production`, `staging` at prodction] / did you mean `production`?";
    assert_eq!(said, [expected]);
    let right = "price: 3, labels: [\"a\", \"a\"], where: { city: \"Ulm\" }, at: \"2026-01-01T00:00:00Z\", replicas: -1";
    assert_eq!(checked(&format!("deny user \"a\" to read on deployment \"x\" {{ {right} }} {at}")), [""; 0]);
}

#[test]
fn data_fits_the_vocabulary() {
    let cases = [
        ("let f = folder \"acme/web/f\"", ""),
        (
            "let f = folder \"acme/web/f/g\"",
            "E0401 a `project` cannot stand at `acme/web/f` [the path does not fit what a `project` sits in at folder \"acme/web/f/g\"]",
        ),
        (
            "let p = project \"alone\" deny user \"a\" to list on any secret at p",
            "E0401 project `alone` stands at the root, but its kind sits in `organization` [in this test's directory at project \"alone\"] / a scope's id is its path, such as `root/alone`",
        ),
        (
            "let a = organization \"a/b\"",
            "E0401 a `organization` cannot stand at `a/b` [a `organization` stands at the root: its id has no `/` at organization \"a/b\"]",
        ),
        ("let a = user \"a\" let b = user \"a\"", "E0401 user `a` is there twice [again here at user \"a\"]"),
        ("let a = user \"\"", "E0401 an id is never empty [this id at \"\"]"),
        (
            "let a = user \"a\" let b = user \"b\" link a for b deny a to list on any secret at organization \"o\"",
            "E0401 an account of kind `user` acts for nobody [in this test's directory at link a for b] / declare it: `account user acting for …`",
        ),
        (
            "let a = user \"a\" { mfa: true } deny a { department: \"x\" } to list on any secret at organization \"o\"",
            "E0401 a request cannot supply `department` of what the directory holds [not `supplied` at department] / write it where the test declares this, in its `let`",
        ),
        (
            "deny user \"a\" to call on tool \"t\" in provider \"p\" { writes: true } at organization \"o\"",
            "E0401 only the directory can say `writes`, which is `stored` [here at writes] / let the test's directory hold it: `let x = tool …`",
        ),
        (
            "deny user \"a\" to list on any secret",
            "E0401 `scope` is missing: the path of the scope where this is asked, such as `acme/web` [no place is named at deny user \"a\" to list on any secret] / end it with `at …`",
        ),
        (
            "let g = group \"g\" in group \"h\" let h = group \"h\" in group \"g\" deny user \"a\" to list on any secret at organization \"o\"",
            "E0103 group `h` is in itself [in this test's directory at group \"h\" in group \"g\"]",
        ),
    ];
    for (steps, expected) in cases {
        let said = checked(steps).join("\n");
        assert_eq!(said, expected, "{steps}");
    }
}

#[test]
fn what_is_left_out_matters_only_if_it_is_read() {
    let said = checked(
        r#"
        let bot = service_account "bot"
        let s = environment "acme/web/s"
        allow user "a" to disable on bot at s
        deny bot to delete on deployment "x" at s
        deny bot to update on deployment "x" at s
        deny user "a" to update on deployment "x" at s
        deny user "a" to rollback on deployment "x" { replicas: 1 } at s
        "#,
    );
    let expected = [
        "E0402 the decision may read `purpose` of service_account `bot`, which the test leaves out [decided here at allow user \"a\" to disable on bot at s] / give it: `{ purpose: … }`",
        "E0402 the decision may read `stage` of environment `acme/web/s`, which the test leaves out [decided here at deny bot to update on deployment \"x\" at s] / give it: `{ stage: … }`",
        "E0402 the decision may read `replicas` of deployment `x`, which the test leaves out [decided here at deny bot to update on deployment \"x\" at s] / give it: `{ replicas: … }`",
        "E0402 the decision may read `force` of the action `rollback`, which the test leaves out [decided here at deny user \"a\" to rollback on deployment \"x\" { replicas: 1 } at s] / give it: `{ force: … }`",
        "E0402 the decision may read `channel` of the context, which the test leaves out [decided here at deny user \"a\" to rollback on deployment \"x\" { replicas: 1 } at s] / give it: `{ channel: … }`",
    ];
    for (said, expected) in said.iter().zip(&expected) {
        assert_eq!(said, expected);
    }
    assert_eq!(said.len(), expected.len(), "{said:#?}");
}

#[test]
fn coverage_tells_what_is_missing() {
    let (_, program, files) = prepare(
        r#"test "t" {
          deny user "a" to update on deployment "x" { replicas: 200 } at environment "acme/web/s" { stage: staging }
        }"#
        .replace(" { stage: staging }", "")
        .as_str(),
    );
    let tree = tree::lower(&program).unwrap_or_else(|e| panic!("{e}"));
    let c = coverage(&program, &tree, &files, None);
    assert_eq!((c.rules, c.rules_determined, c.outcomes, c.outcomes_seen), (10, 1, 16, 2));
    assert_eq!(c.gaps.len(), 9 + 14);
    assert_eq!(c.gaps[0].text, "rule `ci_ships` determined no decision");
    assert!(c.gaps.iter().any(|g| g.text == "the `when` of rule `big` was never false"));
}

#[test]
fn an_allow_of_a_boundary_is_covered_by_what_it_lets_through() {
    let mut sources = Sources::default();
    let id = sources.add(
        "s.pol",
        r#"
        account user {}
        resource document {}
        action read, delete on document
        policy p { all: allow user to read, delete on document }
        boundary b {
          first: allow read on document
          second: allow read, delete on document
          third: allow delete on document
        }
        test "t" {
          let ana = user "ana"
          attach b to ana
          allow ana to read on document "x"
        }"#,
    );
    let (file, found) = crate::syntax::parse::parse(&sources, id);
    assert_eq!(found, []);
    let files = vec![file];
    let program = crate::check::check(&sources, &files).0.expect("checks");
    let tree = tree::lower(&program).unwrap_or_else(|e| panic!("{e}"));
    let gaps: Vec<_> = coverage(&program, &tree, &files, None).gaps.into_iter().map(|g| g.text).collect();
    assert_eq!(gaps, ["rule `second` determined no decision", "rule `third` determined no decision"]);
}
