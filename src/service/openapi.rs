//! The OpenAPI document, made from the tables that the routes are made from.
//!
//! In:    the operations and their fields.
//! Out:   an OpenAPI 3.1 document.
//! Law:   a route or field that is not in the tables is neither served nor documented.

use super::api::{self, Op};
use super::fields::{Field, KEYS_MAX, NAMES_MAX, Ty};
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

fn answers(good: &str, meaning: &str) -> Value {
    let problem = || json!({ "$ref": "#/components/responses/Problem" });
    json!({
        good: { "description": meaning, "content": { "application/json": { "schema": { "type": "object" } } } },
        "default": problem(),
    })
}

fn operation(op: &Op) -> Value {
    let mut parameters = Vec::new();
    if op.rest.starts_with("{id}") {
        parameters
            .push(json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string" },
            "description": "its id or uid" }));
    }
    let header = |name: &str, required: bool, doc: &str| json!({ "name": name, "in": "header", "required": required, "schema": { "type": "string" }, "description": doc });
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
        "summary": op.summary, "parameters": parameters, "responses": answers(good, op.summary),
        "operationId": operation_id(op),
    });
    if !op.fields.is_empty() {
        made["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": body(op.fields) } } });
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
            json!({ "summary": "Reads one", "parameters": [id], "responses": answers("200", "it") }),
        );
        let query = |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string" } });
        let parameters = [query("limit"), query("cursor"), query("below")];
        add(
            all,
            "GET",
            json!({ "summary": "Lists", "parameters": parameters, "responses": answers("200", "a page") }),
        );
    }
    for (method, path, summary) in OTHERS {
        let mut what = json!({ "summary": summary, "responses": answers("200", summary) });
        if path.contains("{id}") {
            what["parameters"] =
                json!([{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }]);
        }
        if *method == "POST" && !path.contains("{id}") {
            what["requestBody"] =
                json!({ "content": { "application/json": { "schema": { "type": "object" } } } });
        }
        add((*path).to_owned(), method, what);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "policyd", "version": env!("CARGO_PKG_VERSION"),
            "description": "Governed identity for automated systems" },
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            "responses": { "Problem": { "description": "RFC 9457 problem details", "content": {
                "application/problem+json": { "schema": { "type": "object",
                    "required": ["type", "title", "status", "detail", "request"] } } } } },
        },
    })
}
