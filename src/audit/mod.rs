//! The audit log of `policyd`: records, the tree over them, signed checkpoints, export, verification, durable day files.

mod bytes;
pub mod export;
mod finding;
pub mod merkle;
pub mod note;
pub mod record;
pub mod verify;

pub use bytes::{Bytes, Hash32, Salt};
pub use finding::{Finding, Place};
