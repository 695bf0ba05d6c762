//! What is acted on, as a question is resolved: [`Subject`].
//!
//! In:    a question and its directory.
//! Out:   what the directory and the request say of the thing acted on, looked up once.
//! Law:   says what [`World::attribute`] and [`World::parent`] say.

use crate::check::program::Sort;
use crate::directory::{Scope, Thing, World};
use crate::request::Overlay;
use crate::value::{Entity, Value, hash_name};

/// What is acted on, looked up once.
pub(super) struct Subject<'a> {
    pub(super) own: Option<&'a Entity>,
    /// Its [`hash_name`]; 0 if there is none.
    pub(super) hash: u64,
    /// What the directory holds of it.
    pub(super) stored: Option<&'a [Option<Value>]>,
    /// What the request says of it.
    pub(super) given: Option<&'a Overlay>,
    /// What it sits in.
    pub(super) parent: Option<&'a Entity>,
    /// The scope node that it is, if it is the one where the question stands.
    pub(super) node: Option<&'a Scope>,
}

impl<'a> Subject<'a> {
    /// Looks it up.
    pub(super) fn of(world: &World<'a>) -> Subject<'a> {
        let World { vocabulary, directory, question } = *world;
        let own = question.resource.entity.as_ref();
        let given = world.overlay(own.map_or(Thing::Any, Thing::Entity));
        let above = given.and_then(|overlay| overlay.parent.as_ref());
        let Some(entity) = own else {
            return Subject { own, hash: 0, stored: None, given, parent: above, node: None };
        };
        let hash = hash_name(entity.kind, &entity.id);
        let node = question.scope.and_then(|scope| directory.scopes.get(scope.index()));
        if let Some(node) = node.filter(|node| node.entity == *entity) {
            let above = node.ancestors.get(1).and_then(|scope| directory.scopes.get(scope.index()));
            let (stored, parent) = (Some(&node.attributes[..]), above.map(|above| &above.entity));
            return Subject { own, hash, stored, given, parent, node: Some(node) };
        }
        let sort = vocabulary.kinds.get(entity.kind.index()).map(|kind| kind.sort);
        if sort != Some(Sort::Resource) {
            let stored = directory.stored(vocabulary, entity);
            let parent = world.parent(Thing::Entity(entity));
            return Subject { own, hash, stored, given, parent, node: None };
        }
        let held = match directory.resources.is_empty() {
            true => None,
            false => directory.resource_hashed(hash, entity.kind, &entity.id),
        };
        let held = held.and_then(|ix| directory.resources.get(ix.index()));
        let parent = held.map_or(above, |held| held.parent.as_ref());
        let stored = held.map(|held| &held.attributes[..]);
        Subject { own, hash, stored, given, parent, node: None }
    }
}
