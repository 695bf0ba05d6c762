//! Reads a request from JSON.
//!
//! In:    one JSON object, wire names throughout; unknown and repeated fields are refused.
//! Out:   [`Asked`], and through [`resolve`] a [`Question`]; or [`RequestError`], naming the first field that is wrong.

use super::{Asked, AskedCredential, AskedEntity, CompileKeyPolicy, Question, RequestError, resolve};
use crate::check::program::{Action, Sort, Vocabulary};
use crate::directory::Directory;
use crate::json::{Json, Member, MistakeKind, Mistakes, Path, Wire, id_text, required, text};
use crate::limits::{CHAIN_ACCOUNTS_MAX, REQUEST_BYTES_MAX};
use crate::value::{ActionId, BoundaryId, Entity, KindId, Value};

/// What a request is read against.
#[derive(Clone, Copy)]
pub struct PolicyContext<'a> {
    /// What can be talked about.
    pub vocabulary: &'a Vocabulary,
    /// What is stored.
    pub directory: &'a Directory,
    /// Compiles a key's own policy text.
    pub key_policy: CompileKeyPolicy<'a>,
}

/// Reads and resolves one request; `now` (microseconds) counts unless its context has one.
pub fn read(policy: &PolicyContext<'_>, text: &str, now: i64) -> Result<Question, RequestError> {
    let mut asked = parse(policy.vocabulary, text)?;
    if let Some(slot) = asked.context.first_mut() {
        slot.get_or_insert(Value::Time(now));
    }
    resolve(policy.vocabulary, policy.directory, asked, policy.key_policy)
}

/// Reads one request; its `context.now` stays absent if it gives none.
pub fn parse(vocabulary: &Vocabulary, text: &str) -> Result<Asked, RequestError> {
    bounded(text)?;
    let json = Json::parse(text)
        .map_err(|e| RequestError::whole(format!("the request is not JSON: {}", e.in_text(text))))?;
    asked(vocabulary, json)
}

fn bounded(text: &str) -> Result<(), RequestError> {
    if text.len() <= REQUEST_BYTES_MAX {
        return Ok(());
    }
    let message = format!("the request has {} bytes; at most {REQUEST_BYTES_MAX} are allowed", text.len());
    Err(RequestError::whole(message))
}

/// The same for a value that was read as JSON.
pub fn asked(vocabulary: &Vocabulary, json: Json<'_>) -> Result<Asked, RequestError> {
    match json.members() {
        Some(members) => asked_of(vocabulary, json, members),
        None => Err(RequestError::whole(json.expected(&Path::Root, "an object").message)),
    }
}

/// The same for an object whose members were read.
pub fn asked_of(
    vocabulary: &Vocabulary,
    json: Json<'_>,
    members: Vec<Member<'_>>,
) -> Result<Asked, RequestError> {
    bounded(json.text)?;
    let mut out = Mistakes::new();
    let asked = fields(&Wire::new(vocabulary), json, members, &mut out);
    match (out.into_iter().next(), asked) {
        (None, Some(asked)) => Ok(asked),
        (Some(first), _) => {
            let message = match first.help {
                Some(help) => format!("{}; {help}", first.message),
                None => first.message,
            };
            if first.field.is_empty() {
                return Err(RequestError::whole(message));
            }
            Err(RequestError { field: first.field, message })
        }
        (None, None) => unreachable!("request: what cannot be read has a mistake"),
    }
}

fn fields(wire: &Wire<'_>, json: Json<'_>, members: Vec<Member<'_>>, out: &mut Mistakes) -> Option<Asked> {
    let known = ["account", "scope", "action", "resource", "context", "acting_for", "credential"];
    let [account, scope, action, resource, context, acting_for, credential] =
        Json::known(members, &Path::Root, known, out);
    let root = &Path::Root;
    let account = required(account, json, root, "account", out)
        .and_then(|a| account_of(wire, a, &Path::Field(root, "account"), out));
    let action = required(action, json, root, "action", out).and_then(|a| action_of(wire, a, out));
    let resource = required(resource, json, root, "resource", out).and_then(|r| resource_of(wire, r, out));
    let scope = scope.and_then(|s| text(s, &Path::Field(root, "scope"), "the path of a scope", out));
    let entries = &wire.vocabulary.context;
    let context =
        wire.attributes(context, entries, format_args!("the context"), &Path::Field(root, "context"), out);
    let mut chain = Vec::new();
    if let Some(next) = acting_for {
        acting_for_of(wire, next, &Path::Field(root, "acting_for"), &mut chain, out);
    }
    let credential = credential.and_then(|c| credential_of(wire, c, out));
    let (account, (action, properties), resource) = (account?.0, action?, resource?);
    Some(Asked {
        account,
        acting_for: chain,
        scope,
        action,
        properties,
        kind: resource.kind,
        id: resource.id,
        attributes: resource.attributes,
        parent: resource.parent,
        context,
        credential,
    })
}

/// An account, and whom it acts for in turn if the field is allowed here (it is refused otherwise).
fn account_of<'a>(
    wire: &Wire<'_>,
    json: Json<'a>,
    path: &Path<'_>,
    out: &mut Mistakes,
) -> Option<(AskedEntity, Option<Json<'a>>)> {
    let nested = !matches!(path, Path::Field(Path::Root, "account"));
    let (kind, id, attributes, next) = if nested {
        let [kind, id, attributes, next] =
            json.fields(path, ["kind", "id", "attributes", "acting_for"], out)?;
        (kind, id, attributes, next)
    } else {
        let [kind, id, attributes] = json.fields(path, ["kind", "id", "attributes"], out)?;
        (kind, id, attributes, None)
    };
    let kind = required(kind, json, path, "kind", out)
        .and_then(|k| wire.kind(k, &Path::Field(path, "kind"), &[Sort::Account], out));
    let id = required(id, json, path, "id", out).and_then(|i| id_text(i, &Path::Field(path, "id"), out));
    let kind = kind?;
    let declared = wire.vocabulary.kind(kind);
    let of = format_args!("`{}`", declared.wire);
    let attributes =
        wire.attributes(attributes, &declared.attributes, of, &Path::Field(path, "attributes"), out);
    Some((AskedEntity { entity: Entity { kind, id: id? }, attributes }, next))
}

/// Each `acting_for` nests in the one before; the depth is bounded by the length of a chain.
fn acting_for_of(
    wire: &Wire<'_>,
    json: Json<'_>,
    path: &Path<'_>,
    chain: &mut Vec<AskedEntity>,
    out: &mut Mistakes,
) {
    if chain.len() >= CHAIN_ACCOUNTS_MAX {
        let message = format!("at most {CHAIN_ACCOUNTS_MAX} accounts act for one another");
        out.push(json.mistake(MistakeKind::Contradiction, path, message));
        return;
    }
    if let Some((account, next)) = account_of(wire, json, path, out) {
        chain.push(account);
        if let Some(next) = next {
            acting_for_of(wire, next, &Path::Field(path, "acting_for"), chain, out);
        }
    }
}

fn action_of(wire: &Wire<'_>, json: Json<'_>, out: &mut Mistakes) -> Option<(ActionId, Vec<Option<Value>>)> {
    let path = &Path::Field(&Path::Root, "action");
    let [name, attributes] = json.fields(path, ["name", "attributes"], out)?;
    let at = Path::Field(path, "name");
    let written = required(name, json, path, "name", out)?;
    let name = text(written, &at, "the name of an action", out)?;
    let actions = &wire.vocabulary.actions;
    let Some(n) = actions.iter().position(|a| a.wire == name) else {
        let known = actions.iter().map(|a: &Action| a.wire.as_str());
        out.push(
            written.mistake(MistakeKind::Unknown, &at, format!("no action `{name}`")).near(&name, known),
        );
        return None;
    };
    let properties = &actions[n].properties;
    let of = format_args!("`{name}`");
    let values = wire.attributes(attributes, properties, of, &Path::Field(path, "attributes"), out);
    Some((ActionId(n as u16), values))
}

struct Resource {
    kind: KindId,
    id: Option<smol_str::SmolStr>,
    attributes: Vec<Option<Value>>,
    parent: Option<Entity>,
}

const ANY_SORT: [Sort; 6] =
    [Sort::Scope, Sort::Account, Sort::Resource, Sort::Group, Sort::Role, Sort::Policy];

fn resource_of(wire: &Wire<'_>, json: Json<'_>, out: &mut Mistakes) -> Option<Resource> {
    let path = &Path::Field(&Path::Root, "resource");
    let [kind, id, attributes, within] = json.fields(path, ["kind", "id", "attributes", "in"], out)?;
    let kind = required(kind, json, path, "kind", out)
        .and_then(|k| wire.kind(k, &Path::Field(path, "kind"), &ANY_SORT, out));
    let given = id;
    let id = given.and_then(|i| id_text(i, &Path::Field(path, "id"), out));
    let parent = within.and_then(|p| wire.entity(p, &Path::Field(path, "in"), &ANY_SORT, out));
    let kind = kind?;
    let declared = wire.vocabulary.kind(kind);
    let of = format_args!("`{}`", declared.wire);
    let attributes =
        wire.attributes(attributes, &declared.attributes, of, &Path::Field(path, "attributes"), out);
    (given.is_some() == id.is_some()).then_some(Resource { kind, id, attributes, parent })
}

fn credential_of(wire: &Wire<'_>, json: Json<'_>, out: &mut Mistakes) -> Option<AskedCredential> {
    let path = &Path::Field(&Path::Root, "credential");
    let [scope, boundaries, policy] = json.fields(path, ["scope", "boundaries", "policy"], out)?;
    let scope = scope.and_then(|s| text(s, &Path::Field(path, "scope"), "the path of a scope", out));
    let policy = policy.and_then(|p| text(p, &Path::Field(path, "policy"), "rules, as text", out));
    let mut found = Vec::new();
    if let Some(list) = boundaries {
        let at = &Path::Field(path, "boundaries");
        let is_array = list.each(|n, b| found.extend(boundary(wire, b, &Path::Element(at, n), out)));
        if !is_array {
            out.push(list.expected(at, "an array of names of boundaries"));
        }
    }
    Some(AskedCredential { scope, boundaries: found, policy: policy.map(String::from) })
}

fn boundary(wire: &Wire<'_>, json: Json<'_>, path: &Path<'_>, out: &mut Mistakes) -> Option<BoundaryId> {
    let name = text(json, path, "the name of a boundary", out)?;
    let known = &wire.vocabulary.boundaries;
    let found = known.iter().position(|b| *b == name);
    if found.is_none() {
        let mistake = json.mistake(MistakeKind::Unknown, path, format!("no boundary `{name}`"));
        out.push(mistake.near(&name, known.iter().map(|b| b.as_str())));
    }
    found.map(|n| BoundaryId(n as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::fixture::{directory, vocabulary};

    fn ask(text: &str) -> Result<Question, String> {
        let v = vocabulary();
        let d = directory(&v);
        let refused = |_: &str| Err("1:1: expected a rule".to_owned());
        let policy = PolicyContext { vocabulary: &v, directory: &d, key_policy: &refused };
        read(&policy, text, 7).map_err(|e| e.to_string())
    }

    /// A request that is right, with some of its text replaced.
    fn with(from: &str, to: &str) -> Result<Question, String> {
        let right = r#"{"account":{"kind":"user","id":"ana","attributes":{"mfa":true,"department":"it"}},"scope":"acme/web",
            "action":{"name":"read"},"resource":{"kind":"document","id":"new","attributes":{"replicas":2,"trusted":true},
            "in":{"kind":"folder","id":"g"}},"context":{"ip":"10.0.0.1"}}"#;
        assert!(right.contains(from), "{from}");
        ask(&right.replace(from, to))
    }

    #[test]
    fn what_the_directory_owns_does_not_count() {
        let q = with("x", "x").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(q.ignored, ["resource.attributes.trusted", "account.attributes.department"]);
        assert_eq!(q.context[0], Some(Value::Time(7)));
        assert_eq!(q.overlay.len(), 2);
        assert_eq!(q.overlay[0].parent.as_ref().unwrap().id, "g");
        assert_eq!(q.overlay[1].attributes, [Some(Value::Bool(true)), None]);
        assert!(q.account_ix.is_some() && q.scope.is_some());
        let q = with(r#""ip":"10.0.0.1""#, r#""now":"1970-01-01T00:00:01Z""#).unwrap();
        assert_eq!(q.context, [Some(Value::Time(1_000_000)), None]);
        let q = with(r#""id":"new","attributes""#, r#""id":"d","attributes""#).unwrap();
        assert_eq!(
            q.ignored[..3],
            ["resource.in", "resource.attributes.replicas", "resource.attributes.trusted"]
        );
        assert!(
            with(
                r#""id":"ana","attributes":{"mfa":true,"department":"it"}"#,
                r#""id":"zoe","attributes":null"#
            )
            .is_ok()
        );
    }

    #[test]
    fn mistakes_name_the_field() {
        let cases = [
            (r#""action":"#, r#""actoin":"#, "actoin: no field `actoin` here; did you mean `action`?"),
            (
                r#""scope":"acme/web","#,
                r#""scope":"acme/web","scope":"acme","#,
                "scope: `scope` is given twice",
            ),
            (r#""name":"read""#, r#""name":"raed""#, "action.name: no action `raed`; did you mean `read`?"),
            (r#""id":"ana","#, "", "account.id: `id` is missing"),
            (
                r#""mfa":true"#,
                r#""mfa":"yes""#,
                "account.attributes.mfa: expected true or false, found a string \"yes\"",
            ),
            (
                r#""replicas":2"#,
                r#""replica":2"#,
                "resource.attributes.replica: `document` has no attribute `replica`; did you mean `replicas`?",
            ),
            (
                r#""replicas":2,"#,
                "",
                "resource.attributes.replicas: missing: document `new` is not in the directory, so the request must give it, of type Int",
            ),
            (r#""id":"new","#, "", "resource.id: the id is missing: `read` is asked of one `document`"),
            (
                r#""name":"read""#,
                r#""name":"create""#,
                "resource.id: `create` is asked of `document` at a place, not of one: leave the id out",
            ),
            (
                r#""name":"read""#,
                r#""name":"disable""#,
                "resource.kind: `disable` does not apply to `document`; it applies to `group`, `user`, `service_account`",
            ),
            (
                r#""in":{"kind":"folder","id":"g"}"#,
                r#""in":null"#,
                "resource.in: missing: document `new` is not in the directory, so the request must say in which `folder` it sits",
            ),
            (
                r#""in":{"kind":"folder""#,
                r#""in":{"kind":"user""#,
                "resource.in: `document` cannot sit in a `user`: it sits in `folder`",
            ),
            ("\"acme/web\"", "\"acme/wbe\"", "scope: no scope `acme/wbe`; did you mean `acme/web`?"),
            (
                "\"acme/web\"",
                "\"acme/db\"",
                "scope: `acme/db` is not at or below `acme/web`, where folder `g` stands",
            ),
            (
                r#""context":{"ip":"#,
                r#""context":{"ipp":"#,
                "context.ipp: the context has no attribute `ipp`; did you mean `ip`?",
            ),
            (
                r#""context":{"#,
                r#""acting_for":{"kind":"user","id":"ana"},"context":{"#,
                "acting_for: an account of kind `user` acts for nobody: leave this out",
            ),
            (
                r#""context":{"#,
                r#""credential":{"boundaries":["cup"]},"context":{"#,
                "credential.boundaries[0]: no boundary `cup`; did you mean `cap`?",
            ),
            (
                r#""context":{"#,
                r#""credential":{"policy":"x"},"context":{"#,
                "credential.policy: 1:1: expected a rule",
            ),
            (r#""context":{"#, r#""credential":{"scope":"x"},"context":{"#, "credential.scope: no scope `x`"),
            (
                r#""context":"#,
                r#"context:"#,
                "the request is not JSON: expected a key in double quotes at line",
            ),
        ];
        for (from, to, expected) in cases {
            let said = with(from, to).unwrap_err();
            assert!(
                said == expected || (expected.ends_with("at line") && said.starts_with(expected)),
                "{said}\n{expected}"
            );
        }
    }

    #[test]
    fn a_stored_thing_fixes_the_scope() {
        let text = |scope: &str, resource: &str| {
            ask(&format!(
                r#"{{"account":{{"kind":"user","id":"ana"}},{scope}"action":{{"name":"read"}},"resource":{resource}}}"#
            ))
        };
        let d = r#"{"kind":"document","id":"d"}"#;
        assert!(text("", d).unwrap().scope.is_some());
        let said = text(r#""scope":"acme","#, d).unwrap_err();
        assert_eq!(said, "scope: document `d` stands at `acme/web`, not at `acme`: leave the scope out");
        assert!(text("", r#"{"kind":"project","id":"acme/web"}"#).is_ok());
        let said = text("", r#"{"kind":"project","id":"acme/wab"}"#).unwrap_err();
        assert_eq!(said, "resource.id: no scope `acme/wab`; did you mean `acme/web`?");
        let said = text("", r#"{"kind":"folder","id":"new"}"#).unwrap_err();
        assert_eq!(said, "scope: missing: the path of the scope where this is asked, such as `acme/web`");
    }

    #[test]
    fn chains_and_repeated_entities() {
        let text = |account: &str, rest: &str, resource: &str| {
            let action = if resource.contains("folder") { "read" } else { "disable" };
            ask(&format!(
                r#"{{"account":{account},{rest}"action":{{"name":"{action}"}},"resource":{resource}}}"#
            ))
        };
        let folder = r#"{"kind":"folder","id":"f"}"#;
        let helper = r#"{"kind":"agent","id":"helper"}"#;
        assert!(text(helper, "", folder).unwrap().acting_for.is_empty(), "its only link needs no name");
        let q = text(helper, r#""acting_for":{"kind":"user","id":"ana","attributes":{"mfa":true}},"#, folder)
            .unwrap();
        assert_eq!((q.acting_for.len(), q.overlay.len()), (1, 1));
        let two = r#""acting_for":{"kind":"user","id":"ana","acting_for":{"kind":"user","id":"bob"}},"#;
        let said = text(helper, two, folder).unwrap_err();
        assert_eq!(said, "acting_for.acting_for: an account of kind `user` acts for nobody: leave this out");
        let ana = r#"{"kind":"user","id":"ana","attributes":{"mfa":true}}"#;
        assert!(text(ana, "", ana).is_ok());
        let said = text(ana, "", r#"{"kind":"user","id":"ana","attributes":{"mfa":false}}"#).unwrap_err();
        assert_eq!(
            said,
            "account.attributes.mfa: the same entity has another value for this elsewhere in the request"
        );
        let said = text(ana, "", r#"{"kind":"service_account","id":"x"}"#).unwrap_err();
        let expected = "resource.attributes.purpose: only the directory can say this, and it does not hold service_account `x`";
        assert_eq!(said, expected);
        let ghost = text(r#"{"kind":"service_account","id":"x"}"#, "", folder).unwrap();
        assert!(ghost.account_ix.is_none(), "denied later, not refused");
    }

    #[test]
    fn no_text_panics() {
        for text in [
            "",
            "[]",
            "null",
            "{}",
            "{\"account\":[]}",
            "{\"account\":{\"kind\":\"\\ud800\"}}",
            "\"",
            "{\"\\ud800\":1}",
        ] {
            assert!(ask(text).is_err(), "{text}");
        }
        let deep = format!("{}1{}", "{\"acting_for\":".repeat(3_000), "}".repeat(3_000));
        assert!(ask(&deep).is_err());
        assert!(ask(&" ".repeat(REQUEST_BYTES_MAX + 1)).unwrap_err().contains("at most"));
    }
}
