//! Projects and environments: the tree in which everything has its place.
//!
//! In:    ids below the organization's root.
//! Out:   nodes whose name is their path.
//! Law:   what stands below a deleted node counts as deleted with it. A path that was ever somewhere is made again only by
//!        who may grant there: boundaries, stage and registered resources of the old place are not those of the new one.

use super::{Input, Op, at, conditional, had_by_another, named_by_rules, on, op, place, set, unchanged};
use crate::service::change::{Change, Reply};
use crate::service::fields::{Ty, may, must};
use crate::service::object::{Fields, Kind};
use crate::service::problem::Problem;

const TITLE: crate::service::fields::Field = may("title", Ty::Text(256), "what people call it");

/// The stages of an environment.
pub const STAGES: &[&str] = &["production", "staging", "development", "sandbox"];

pub const OPS: &[Op] = &[
    op("POST", "projects", "", "Creates a project", &[must("id", Ty::Id, "its id"), TITLE], create_project),
    op(
        "POST",
        "environments",
        "",
        "Creates an environment in a project",
        &[
            must("id", Ty::Id, "its id"),
            must("project", Ty::Place, "the path of its project"),
            must("stage", Ty::Word(STAGES), "how careful to be in it"),
            TITLE,
        ],
        create_environment,
    ),
    conditional(op("PATCH", "projects", "{id}", "Changes a project", &[TITLE], patch_project)),
    conditional(op("PATCH", "environments", "{id}", "Changes an environment", &[TITLE], patch_environment)),
    conditional(op("DELETE", "projects", "{id}", "Deletes a project and all in it", &[], delete_project)),
    conditional(op(
        "DELETE",
        "environments",
        "{id}",
        "Deletes an environment and all in it",
        &[],
        delete_environment,
    )),
];

fn create_project(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let root = place(change, None)?;
    create(change, input, Kind::Project, &root.name, "create_project")
}

fn create_environment(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    let project = input.must("project")?.to_owned();
    if project.matches('/').count() != 1 {
        return Err(Problem::field("project", "an environment is created in a project, such as `acme/web`"));
    }
    create(change, input, Kind::Environment, &project, "create_environment")
}

fn create(
    change: &mut Change<'_>,
    input: &Input,
    kind: Kind,
    above: &str,
    action: &'static str,
) -> Result<Reply, Problem> {
    let above = place(change, Some(above))?;
    let permit = change.permit(action, at(&above))?;
    let path = format!("{}/{}", above.name, input.must("id")?);
    named_by_rules(change, kind.wire(), &path, &above)?;
    had_by_another(change, kind, &path, &above)?;
    let mut body = Fields::new();
    body.insert("path".into(), path.as_str().into());
    set(&mut body, input, &["id", "title", "stage", "project"]);
    let mut made = change.object(kind, &path, &path, body);
    made.refs = vec![("in".into(), above.uid)];
    change.create(&permit, made)
}

fn patch_project(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    patch(change, input, Kind::Project)
}

fn patch_environment(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    patch(change, input, Kind::Environment)
}

fn patch(change: &mut Change<'_>, input: &Input, kind: Kind) -> Result<Reply, Problem> {
    let mut node = change.find(kind, &input.id)?;
    let permit = change.permit("update", on(&node))?;
    unchanged(&node, input)?;
    set(&mut node.body, input, &["title"]);
    Ok(Reply::ok(change.put(&permit, node)?.show()))
}

fn delete_project(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    super::remove(change, input, Kind::Project, "delete")
}

fn delete_environment(change: &mut Change<'_>, input: &Input) -> Result<Reply, Problem> {
    super::remove(change, input, Kind::Environment, "delete")
}
