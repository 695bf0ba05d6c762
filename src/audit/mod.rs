//! The audit log of `policyd`: records, the tree over them, signed checkpoints, export, verification, durable day files.

mod bytes;
pub mod merkle;

pub use bytes::{Bytes, Hash32, Salt};
