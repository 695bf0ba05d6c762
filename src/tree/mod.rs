//! The compiled form of a policy set, and deciding with it.
//!
//! [`lower`] turns a checked program into a [`Tree`]: an index of rule heads, whose ends are small decision diagrams
//! over shared tests. [`decide`] asks it one question; its cost follows what the question holds, never how many rules
//! there are. Statistics ([`stats`]), files ([`file`]) and other readings ([`view`]) start from the same artifact.

mod asks;
mod atom;
mod chain;
mod decide;
mod diagram;
mod door;
pub mod file;
mod given;
mod heads;
mod heard;
mod index;
mod kept;
mod link;
mod lookup;
mod lower;
mod node;
mod quick;
mod request;
mod resolved;
mod simplify;
pub mod stats;
mod subject;
mod term;
mod validate;
pub mod view;

pub use door::{Door, Hearing};
pub use link::Link;
pub use lower::{TreeLimit, lower};
pub use node::{RuleText, Tree};
pub use resolved::Resolved;

pub use diagram::Sequenced;
pub use stats::{Stats, stats};
#[cfg(test)]
mod agreement;

use crate::decision::Decision;
use crate::directory::Directory;
use crate::request::Question;

/// Resolves a question and decides it, once.
pub fn decide(tree: &Tree, directory: &Directory, question: &Question) -> Decision {
    Resolved::new(tree, directory, None, question).decide()
}
