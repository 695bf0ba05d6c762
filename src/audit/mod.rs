//! The audit log of `policyd`: records, the tree over them, signed checkpoints, export, verification, durable day files.
//!
//! | to | use |
//! |---|---|
//! | write a record | [`record::Draft::new`], `seal` what is personal, `finish` the [`record::Record`]: an [`record::Entry`] |
//! | keep decisions | [`DayLog::open`], [`DayLog::append_batch`] (or `append_packed`) once a group commit, [`DayLog::store_checkpoint`] |
//! | keep changes | rows of your own with the four parts of the [`record::Entry`] and its `leaf()`; a [`merkle::Tree`] in memory |
//! | sign | [`note::SignerKey`], [`note::Checkpoint::sign`], [`note::Rotation::sign`]; origins by [`record::origin`] |
//! | export, verify | [`export::Exporter`], [`verify::verify`]: a [`verify::Report`] or the first [`Finding`] |
//! | prove | [`prove::InclusionProof`], [`prove::ConsistencyProof`] |
//! | find records | [`index::Index`], made afterwards |
//! | erase a person | [`DayLog::erase`], [`record::Entry::erase`] |
//! | cut the power in a test | [`power::PowerCutFiles`] in place of [`files::Disk`] |
//!
//! It knows nothing of HTTP, of the store or of the language. docs/audit-format.md has every byte.

mod bytes;
mod day;
pub mod export;
pub mod files;
mod finding;
mod frame;
pub mod index;
mod layout;
pub mod merkle;
pub mod note;
mod open;
pub mod power;
pub mod prove;
mod read;
pub mod record;
pub mod verify;

pub use bytes::{Bytes, Hash32, Salt};
pub use day::{Cut, DayError, DayLog, KeptDay, LeafFile};
pub use finding::{Finding, Place};
pub use layout::Packed;
pub use open::checkpoints;
pub use read::Records;
