//! The OpenAPI document, made from the tables that the routes are made from.
//!
//! In:    the operations and their fields.
//! Out:   an OpenAPI 3.1 document.
//! Law:   a route or field that is not in the tables is neither served nor documented.

use super::api::{self, Op};
use super::fields::{COUNT_MAX, Field, KEYS_MAX, NAMES_MAX, Ty};
use super::object::Kind;
use serde_json::{Map, Value, json};

fn schema(ty: Ty) -> Value {
    let reference = |kinds: Vec<&str>| {
        json!({
            "type": "object", "additionalProperties": false, "required": ["kind", "id"],
            "properties": { "kind": { "type": "string", "enum": kinds }, "id": { "type": "string" } },
        })
    };
    match ty {
        Ty::Id => json!({ "type": "string", "pattern": "^[a-z0-9-]{1,63}$" }),
        Ty::OpaqueId => json!({ "type": "string", "minLength": 1, "maxLength": 256 }),
        Ty::Text(max) => json!({ "type": "string", "maxLength": max }),
        Ty::Time => json!({ "type": "string", "format": "date-time" }),
        Ty::Seconds => json!({ "type": "integer", "minimum": 0 }),
        Ty::Count => json!({ "type": ["integer", "null"], "minimum": 0, "maximum": COUNT_MAX }),
        Ty::Bool => json!({ "type": "boolean" }),
        Ty::Place => json!({ "type": "string", "pattern": "^[a-z0-9-]+(/[a-z0-9-]+){0,2}$" }),
        Ty::Ref(kinds) => reference(kinds.iter().map(|k| k.wire()).collect()),
        Ty::ResourceRef => json!({
            "type": "object", "additionalProperties": false, "required": ["kind", "id"],
            "properties": { "kind": { "type": "string" }, "id": { "type": "string" } },
        }),
        Ty::Word(words) => json!({ "type": "string", "enum": words }),
        Ty::Names | Ty::Networks => {
            json!({ "type": "array", "items": { "type": "string" }, "maxItems": NAMES_MAX })
        }
        Ty::Keys => json!({ "type": "array", "items": { "type": "string" }, "maxItems": KEYS_MAX }),
        Ty::Attributes => json!({ "type": "object" }),
        Ty::Files => json!({ "type": "array", "items": {
            "type": "object", "additionalProperties": false, "required": ["name", "text"],
            "properties": { "name": { "type": "string" }, "text": { "type": "string" } },
        } }),
    }
}

fn body(fields: &[Field]) -> Value {
    let mut properties = Map::new();
    for field in fields {
        let mut one = schema(field.ty);
        one["description"] = field.doc.into();
        properties.insert(field.name.to_owned(), one);
    }
    let required: Vec<&str> = fields.iter().filter(|f| f.required).map(|f| f.name).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

/// What any route may answer instead.
const ALWAYS: &[&str] = &["400", "401", "404", "412", "429", "503"];
/// What a route that changes something may answer, too.
const CHANGING: &[&str] = &["403", "408", "409", "413", "422", "507"];
/// What one with a body may, that changes nothing.
const ASKING: &[&str] = &["403", "408", "413", "422", "507"];

fn answers(good: &str, meaning: &str, also: &[&str]) -> Value {
    let mut all = json!({
        good: { "description": meaning, "content": { "application/json": { "schema": { "type": "object" } } } },
        "default": { "$ref": "#/components/responses/Problem" },
    });
    for status in ALWAYS.iter().chain(also) {
        let name = if *status == "429" { "TooMany" } else { "Problem" };
        all[*status] = json!({ "$ref": format!("#/components/responses/{name}") });
    }
    all
}

fn at_least() -> Value {
    json!({ "$ref": "#/components/parameters/AtLeast" })
}

fn header(name: &str, required: bool, doc: &str) -> Value {
    json!({ "name": name, "in": "header", "required": required, "schema": { "type": "string" }, "description": doc })
}

fn operation(op: &Op) -> Value {
    let mut parameters = vec![at_least()];
    if op.rest.starts_with("{id}") {
        parameters
            .push(json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string" },
            "description": "its id or uid" }));
    }
    if op.conditional {
        parameters.push(header("If-Match", true, "the ETag of what was read"));
    }
    parameters.push(header(
        "Idempotency-Key",
        false,
        "a repeated request with this key is done once, for 24 hours",
    ));
    let good = if op.method == "POST" && op.rest.is_empty() { "201" } else { "200" };
    let mut made = json!({
        "summary": op.summary, "parameters": parameters, "responses": answers(good, op.summary, CHANGING),
        "operationId": operation_id(op),
    });
    if !op.fields.is_empty() {
        made["requestBody"] = json!({ "required": op.fields.iter().any(|f| f.required), "content": { "application/json": { "schema": body(op.fields) } } });
    }
    if op.conditional {
        made["responses"]["428"] = json!({ "$ref": "#/components/responses/Problem" });
    }
    made
}

fn operation_id(op: &Op) -> String {
    let verb = op.rest.trim_start_matches("{id}").trim_start_matches(['/', ':']);
    let verb = match (op.method, verb) {
        ("POST", "") => "create",
        ("PATCH", _) => "update",
        ("DELETE", _) => "delete",
        (_, verb) => verb,
    };
    format!("{}_{verb}", op.collection.replace('-', "_"))
}

/// The path of an operation.
pub fn path(op: &Op) -> String {
    match op.rest {
        "" => format!("/v1/{}", op.collection),
        rest if rest.starts_with(':') => format!("/v1/{}{rest}", op.collection),
        rest => format!("/v1/{}/{rest}", op.collection),
    }
}

/// Routes that are no operation of the tables: method, path, what they do.
pub const OTHERS: &[(&str, &str, &str)] = &[
    ("POST", "/v1/authorize", "Decides one request"),
    ("POST", "/v1/authorize/batch", "Decides up to 200 requests"),
    ("POST", "/v1/policy-sets:check", "Checks files without storing them"),
    ("POST", "/v1/policy-sets/{id}/test", "Runs the tests of a version"),
    ("POST", "/v1/policy-sets/{id}/diff", "Says which stored grants would gain or lose meaning"),
    ("GET", "/v1/me", "Says who the caller is"),
    ("GET", "/v1/quotas", "Says what the organization may have, and what it has"),
    ("GET", "/v1/openapi.json", "This document"),
    ("GET", "/v1/audit/changes", "Searches the log of changes"),
    ("GET", "/v1/audit/decisions", "Searches the log of decisions"),
    ("GET", "/v1/audit/changes/export", "Exports the log of changes, to be verified elsewhere"),
    ("GET", "/v1/audit/decisions/export", "Exports the log of decisions, to be verified elsewhere"),
    ("GET", "/v1/audit/key", "The public key that signs checkpoints"),
    ("GET", "/v1/audit/changes/proof", "Proves that a change is in the log"),
    ("GET", "/v1/audit/decisions/proof", "Proves that a decision is in the log"),
    ("GET", "/v1/audit/events/{id}", "Shows a decision by the id of its event"),
];

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut add = |path: String, method: &str, what: Value| {
        paths.entry(path).or_insert_with(|| json!({}))[method.to_lowercase()] = what;
    };
    for op in api::operations() {
        add(path(op), op.method, operation(op));
    }
    for kind in Kind::ALL {
        let (one, all) = (format!("/v1/{}/{{id}}", kind.collection()), format!("/v1/{}", kind.collection()));
        let id = json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } });
        add(
            one,
            "GET",
            json!({ "summary": "Reads one", "parameters": [id, at_least()], "responses": answers("200", "it", &[]) }),
        );
        let query = |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string" } });
        let mut limit = query("limit");
        limit["schema"] = json!({ "type": "integer", "minimum": 1, "maximum": 500, "default": 50 });
        let parameters = [limit, query("cursor"), query("below"), at_least()];
        add(
            all,
            "GET",
            json!({ "summary": "Lists", "parameters": parameters, "responses": answers("200", "a page", &[]) }),
        );
    }
    for (method, path, summary) in OTHERS {
        let also: &[&str] = if *method == "POST" { ASKING } else { &["403", "507"] };
        let mut parameters = vec![at_least()];
        if path.contains("{id}") {
            parameters.push(
                json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }),
            );
        }
        if path.ends_with("/export") {
            for (name, what) in [("from", "the first record"), ("to", "past the last record")] {
                let schema = json!({ "type": "integer", "minimum": 0 });
                parameters
                    .push(json!({ "name": name, "in": "query", "description": what, "schema": schema }));
            }
        }
        if path.starts_with("/v1/authorize") {
            parameters.push(header(
                "Policyd-Client-Key",
                false,
                "the key that the caller's client presented",
            ));
            parameters.push(header("Policyd-Client-Ip", false, "the address that it came from"));
        }
        let mut what = json!({ "summary": summary, "responses": answers("200", summary, also) });
        what["parameters"] = parameters.into();
        if *method == "POST" && !path.contains("{id}") {
            what["requestBody"] =
                json!({ "content": { "application/json": { "schema": { "type": "object" } } } });
        }
        add((*path).to_owned(), method, what);
    }
    let problem = json!({
        "type": "object", "required": ["type", "title", "status", "detail", "request"],
        "properties": {
            "type": { "type": "string" }, "title": { "type": "string" }, "status": { "type": "integer" },
            "detail": { "type": "string" }, "request": { "type": "string" },
            "field": { "type": "string", "description": "what of the request doesn't fit" },
            "retry_after": { "type": "integer", "description": "seconds after which it is worth asking again" },
            "quota": { "type": "string" }, "limit": { "type": "integer" },
        },
    });
    let content =
        json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "policyd", "version": env!("CARGO_PKG_VERSION"),
            "description": "Governed identity for automated systems" },
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            "parameters": { "AtLeast": header(
                "Policyd-At-Least",
                false,
                "a revision that a write answered: the request waits up to 2 seconds for it, then is 412",
            ) },
            "schemas": { "Problem": problem },
            "responses": {
                "Problem": { "description": "RFC 9457 problem details", "content": content },
                "TooMany": {
                    "description": "a limit of rate, or a quota of a day, is used up", "content": content,
                    "headers": { "Retry-After": { "description": "seconds", "schema": { "type": "integer" } } },
                },
            },
        },
    })
}
