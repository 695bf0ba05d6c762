//! Bytes as text: fixed-size hashes and salts, in base64 and in no other spelling.
//!
//! In:  bytes, or base64 (RFC 4648 section 4, padded).
//! Out: the other of the two.
//! Law: one value has one spelling; another spelling of the same bytes is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::RefCell;
use std::fmt;

/// Bytes of a known number, written as base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes<const N: usize>(pub [u8; N]);

/// A SHA-256 hash: of a leaf, of a node, or of a personal value.
pub type Hash32 = Bytes<32>;

/// A salt: 128 random bits.
pub type Salt = Bytes<16>;

/// Base64 of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a base64 text; none if it isn't one in its only spelling.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

impl<const N: usize> Bytes<N> {
    /// The value that `text` spells.
    pub fn parse(text: &str) -> Option<Self> {
        decode(text)?.try_into().ok().map(Self)
    }

    /// The value of a slice of `N` bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl Salt {
    /// A new salt from the random source of the operating system.
    ///
    /// - Errors: the system has no randomness to give; then no record may be written.
    pub fn random() -> std::io::Result<Salt> {
        const AT_ONCE: usize = 32;
        thread_local! {
            // Taken for several at once, since a call of the system takes as long as a decision; none stays after its use.
            static LEFT: RefCell<([[u8; 16]; AT_ONCE], usize)> = const { RefCell::new(([[0; 16]; AT_ONCE], 0)) };
        }
        LEFT.with_borrow_mut(|(salts, left)| {
            if *left == 0 {
                getrandom::fill(salts.as_flattened_mut()).map_err(std::io::Error::other)?;
                *left = AT_ONCE;
            }
            *left -= 1;
            Ok(Bytes(std::mem::take(&mut salts[*left])))
        })
    }
}

impl<const N: usize> fmt::Display for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.0))
    }
}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format_args!("expected {N} bytes in padded base64")))
    }
}
