//! The question: [`Question`], a request whose every part has been checked against vocabulary and directory.
//!
//! In:    a request as JSON (`request/json.rs`) or from a test block (`suite.rs`), through [`Asked`]; or as text in a
//!        struct (`request/text.rs`).
//! Out:   [`Question`], or [`RequestError`] naming the field: such a request is never an allow.
//! After: what the directory doesn't own is taken from the request and kept in [`Question::overlay`].

pub mod json;
mod quick;
mod resolve;
pub mod text;
mod words;

pub use quick::Room;
pub use resolve::{CompileKeyPolicy, resolve};
pub use words::Words;
pub(crate) use words::{Declared, KindWords, Print, SlotType, same};

#[cfg(feature = "server")]
use crate::check::program::Vocabulary;
#[cfg(feature = "server")]
use crate::directory::Directory;
use crate::directory::{AccountIx, ScopeIx};
use crate::value::{ActionId, BoundaryId, Entity, KindId, Value};
use smol_str::SmolStr;
use std::sync::Arc;

/// A request whose parts are typed, not yet held against the directory.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who asks.
    pub account: AskedEntity,
    /// Whom it acts for, nearest first.
    pub acting_for: Vec<AskedEntity>,
    /// Where: a path.
    pub scope: Option<SmolStr>,
    /// What is done.
    pub action: ActionId,
    /// The action's properties by slot.
    pub properties: Vec<Option<Value>>,
    /// The kind of what it is done to.
    pub kind: KindId,
    /// Its id; `None` for `any KIND`.
    pub id: Option<SmolStr>,
    /// Its attributes by slot.
    pub attributes: Vec<Option<Value>>,
    /// What it sits in.
    pub parent: Option<Entity>,
    /// The context by slot.
    pub context: Vec<Option<Value>>,
    /// The key presented.
    pub credential: Option<AskedCredential>,
}

/// An account as a request gives it.
#[derive(Clone, Debug)]
pub struct AskedEntity {
    /// Kind and id.
    pub entity: Entity,
    /// Attributes by slot.
    pub attributes: Vec<Option<Value>>,
}

/// A key as a request gives it.
#[derive(Clone, Debug, Default)]
pub struct AskedCredential {
    /// Its scope: a path.
    pub scope: Option<SmolStr>,
    /// Its boundaries.
    pub boundaries: Vec<BoundaryId>,
    /// Its own policy text.
    pub policy: Option<String>,
}

/// A request, resolved.
#[derive(Clone, Debug)]
pub struct Question {
    /// Who asks.
    pub account: Entity,
    /// The same in the directory, if it holds it.
    pub account_ix: Option<AccountIx>,
    /// Whom it acts for, nearest first, as far as the request names them.
    pub acting_for: Vec<Entity>,
    /// Where; `None` in a vocabulary without scopes.
    pub scope: Option<ScopeIx>,
    /// What is done.
    pub action: ActionId,
    /// The action's properties by slot.
    pub properties: Vec<Option<Value>>,
    /// What it is done to.
    pub resource: Subject,
    /// What the request says of entities.
    pub overlay: Vec<Overlay>,
    /// The context by slot; slot 0, `now`, is always there.
    pub context: Vec<Option<Value>>,
    /// The key presented.
    pub credential: Option<Credential>,
    /// Fields that were given and do not count, because the directory owns them.
    pub ignored: Vec<String>,
}

impl Question {
    /// Asks the same for another action, one without properties that must be given; false if it isn't asked of this.
    #[cfg(feature = "server")]
    pub(crate) fn instead(&mut self, vocabulary: &Vocabulary, action: ActionId) -> bool {
        let (kind, any) = (self.resource.kind, self.resource.entity.is_none());
        let declared = vocabulary.action(action);
        self.action = action;
        self.properties = vec![None; declared.properties.len()];
        declared.targets.iter().any(|t| t.kind == kind && t.any == any)
            && declared.properties.iter().all(|p| p.optional)
    }

    /// Whether two questions are one but for the action and what is said of it; compared as far as that can be.
    #[cfg(feature = "server")]
    pub(crate) fn same_but_action(&self, other: &Question) -> bool {
        self.account == other.account
            && self.account_ix == other.account_ix
            && self.acting_for == other.acting_for
            && self.scope == other.scope
            && self.resource == other.resource
            && self.overlay == other.overlay
            && self.context == other.context
            && self.credential.is_some() == other.credential.is_some()
    }

    /// Asks the same about another scope node of the same kind; false if this isn't about one, or the directory holds no such node.
    #[cfg(feature = "server")]
    pub(crate) fn elsewhere(&mut self, directory: &Directory, scope: Entity) -> bool {
        let there = directory.scope_of(&scope);
        self.stand(scope.kind, Some(scope), there)
    }

    /// The same about the scope node that another question is about.
    #[cfg(feature = "server")]
    pub(crate) fn beside(&mut self, other: &Question) -> bool {
        self.stand(other.resource.kind, other.resource.entity.clone(), other.scope)
    }

    #[cfg(feature = "server")]
    fn stand(&mut self, kind: KindId, node: Option<Entity>, there: Option<ScopeIx>) -> bool {
        let fits =
            self.resource.kind == kind && self.overlay.iter().all(|o| o.entity != self.resource.entity);
        self.scope = there.filter(|_| fits);
        self.resource.entity = node;
        self.scope.is_some()
    }
}

/// What is acted on: a thing, or (without an id) a kind at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its kind.
    pub kind: KindId,
    /// The thing; `None` for `any KIND`.
    pub entity: Option<Entity>,
}

/// What the request says of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// Which entity; `None` for the `any KIND` acted on.
    pub entity: Option<Entity>,
    /// Its kind.
    pub kind: KindId,
    /// Values by slot, only those that count.
    pub attributes: Vec<Option<Value>>,
    /// Its parent, when it counts.
    pub parent: Option<Entity>,
}

/// The key presented with a request.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its scope; `None` covers nothing where there are scopes.
    pub scope: Option<ScopeIx>,
    /// Its boundaries.
    pub boundaries: Vec<BoundaryId>,
    /// Its own policy text, compiled: the body of a boundary.
    pub policy: Option<Arc<KeyPolicy>>,
}

/// A key's own policy text: a program and tree whose only boundary, [`KeyPolicy::BOUNDARY`], is that text.
#[derive(Debug)]
pub struct KeyPolicy {
    /// The text; the spans of the rules (not those of conditions, which are the set's) point into it.
    pub sources: crate::source::Sources,
    /// The checked text, over the vocabulary and conditions of the set.
    pub program: crate::check::program::Program,
    /// The same, compiled.
    pub tree: crate::tree::Tree,
}

impl KeyPolicy {
    /// The boundary that the text is.
    pub const BOUNDARY: BoundaryId = BoundaryId(0);
}

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// The field, as a path such as `resource.attributes.replicas`; `request` for the whole.
    pub field: String,
    /// What is wrong, what was expected, what to do.
    pub message: String,
}

impl RequestError {
    const WHOLE: &str = "request";

    /// Of the request as a whole: its field is `request`.
    pub fn whole(message: impl Into<String>) -> Self {
        RequestError { field: Self::WHOLE.to_owned(), message: message.into() }
    }
}

impl std::fmt::Display for RequestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.field == Self::WHOLE {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for RequestError {}
