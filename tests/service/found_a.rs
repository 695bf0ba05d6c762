//! What a review found in the state, in authentication and in what is stored: a test for each.

use crate::world::World;
use serde_json::{Value, json};

/// A request with the revision that its object has now.
fn cond(world: &World, method: &str, path: &str, body: &Value) -> crate::world::Told {
    let read = world.ask(&world.admin, "GET", path, &Value::Null);
    assert_eq!(read.status, 200, "GET {path}: {}", read.body);
    let tag = format!("\"{}\"", read.body["revision"]);
    world.ask_with(&world.admin, method, path, &[("if-match", &tag)], body)
}

/// Rules with a thing that sits in another.
const BOXES: &str = r#"
resource box { tier: String? stored }
resource server in box? { tier: String? stored }
action read on server, box
role operator { allow read on server, box }
policy house { own: allow user to read on server
    when account has role operator
}
"#;

fn boxes() -> World {
    let world = World::bare();
    world.done("POST", "/v1/projects", &json!({ "id": "web" }));
    for (id, stage) in [("box", "sandbox"), ("prod", "production")] {
        let body = json!({ "id": id, "project": "acme/web", "stage": stage });
        world.done("POST", "/v1/environments", &body);
    }
    world.activate(BOXES);
    world
}

#[test]
fn a_change_that_contradicts_what_is_stored_is_refused_and_the_service_lives() {
    let mut world = boxes();
    let resource = |kind: &str, id: &str, scope: &str, above: Option<&str>| {
        let mut body = json!({ "kind": kind, "id": id, "scope": scope });
        if let Some(above) = above {
            body["in"] = json!({ "kind": "box", "id": above });
        }
        body
    };
    world.done("POST", "/v1/resources", &resource("box", "b", "acme/web/prod", None));
    world.done("POST", "/v1/resources", &resource("server", "s", "acme/web/prod", Some("b")));
    let told = cond(&world, "DELETE", "/v1/resources/box%2Fb", &Value::Null);
    assert_eq!(told.status, 409, "{}", told.body);
    assert!(told.body["detail"].as_str().unwrap().contains("server/s"), "{}", told.body);
    let apart = resource("server", "t", "acme/web/box", Some("b"));
    let told = world.ask(&world.admin, "POST", "/v1/resources", &apart);
    assert_eq!(told.status, 422, "{}", told.body);
    assert!(told.body["detail"].as_str().unwrap().contains("is placed in"), "{}", told.body);
    for n in 0..=65 {
        world.done("POST", "/v1/groups", &json!({ "id": format!("g{n}") }));
    }
    let mut refused = None;
    for n in 0..65 {
        let member = json!({ "kind": "group", "id": format!("g{n}") });
        let body = json!({ "group": format!("g{}", n + 1), "member": member });
        let told = world.ask(&world.admin, "POST", "/v1/memberships", &body);
        if told.status != 201 {
            refused = Some(told);
            break;
        }
    }
    let told = refused.expect("the chain is too long at some point");
    assert_eq!(told.status, 422, "{}", told.body);
    assert!(told.body["detail"].as_str().unwrap().contains("64"), "{}", told.body);
    // Nothing of it was kept, and it starts again.
    world.done("POST", "/v1/users", &json!({ "id": "eve" }));
    world.kill();
    world.start();
    assert_eq!(world.ask(&world.admin, "GET", "/v1/users/eve", &Value::Null).status, 200);
    assert_eq!(world.ask(&world.admin, "GET", "/v1/resources/server%2Ft", &Value::Null).status, 404);
}

#[test]
fn an_organization_that_can_not_be_made_is_denied_alone() {
    let mut world = World::furnished();
    let body = json!({ "id": "other", "owner": "oda" });
    let made = world.ask(&world.installation, "POST", "/v1/organizations", &body);
    assert_eq!(made.status, 201, "{}", made.body);
    let theirs = made.body["token"].as_str().unwrap().to_owned();
    world.kill();
    let db = rusqlite::Connection::open(world.folder.join("store/policyd.db")).expect("a database");
    // A version that doesn't compile any more.
    let changed = db
        .execute("UPDATE objects SET body = replace(body, 'resource server', 'resoorce server') WHERE kind = 'policy_set'", [])
        .expect("it can be written");
    assert_eq!(changed, 1);
    drop(db);
    world.start();
    assert_eq!(world.ask(&world.admin, "GET", "/v1/me", &Value::Null).status, 401);
    assert_eq!(world.ask(&theirs, "GET", "/v1/users/oda", &Value::Null).status, 200);
    assert_eq!(world.ask("", "GET", "/readyz", &Value::Null).status, 200);
    assert!(world.log().contains("everything in it is denied"), "it is logged");
}
