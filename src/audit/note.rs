//! Signed checkpoints, and the passing of a log from one key to the next.
//!
//! In:    the size and root of a log, an Ed25519 key; or a signed text and the keys that are trusted.
//! Out:   the signed text; or what it says, once a trusted key has signed it.
//! Law:   nothing is taken from a text before a signature of a trusted key over it was verified; a wrong signature in the
//!        name of a trusted key refuses the whole text; unknown keys count for nothing.
//! After: C2SP signed-note and tlog-checkpoint, <https://c2sp.org>.

use super::bytes::{Bytes, Hash32, decode, encode};
use crate::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;

/// The signature type of C2SP for Ed25519.
const ED25519: u8 = 1;
/// The first line of a rotation; no log may have it as its origin.
const ROTATION: &str = "policyd key rotation v1";

/// Why a signed text isn't believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteError {
    /// It isn't a signed note, or not one of this kind; what was expected.
    Malformed(&'static str),
    /// No key that is trusted has signed it; the names that have.
    Untrusted(Vec<String>),
    /// A signature that names this trusted key is wrong.
    BadSignature(String),
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoteError::Malformed(expected) => write!(f, "not a signed checkpoint: expected {expected}"),
            NoteError::Untrusted(names) => {
                write!(f, "signed by no trusted key, only by {}", quoted(names))
            }
            NoteError::BadSignature(name) => {
                write!(f, "the signature of `{name}` does not belong to this text")
            }
        }
    }
}

impl std::error::Error for NoteError {}

fn quoted(names: &[String]) -> String {
    names.iter().map(|n| format!("`{}`", n.escape_debug())).collect::<Vec<_>>().join(", ")
}

/// A public key under a name: what a verifier trusts. Its text is the usual `name+id+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl VerifierKey {
    /// The key of this name; none if the name is empty or has a space or a `+`, or the key is no point or a weak one.
    pub fn new(name: &str, key: &[u8; 32]) -> Option<VerifierKey> {
        let fit = !name.is_empty() && !name.chars().any(|c| c == '+' || c.is_whitespace() || c.is_control());
        let key = VerifyingKey::from_bytes(key).ok().filter(|key| fit && !key.is_weak())?;
        let mut hasher = Sha256::new();
        hasher.update(name);
        hasher.update([b'\n', ED25519]);
        hasher.update(key.as_bytes());
        let hash: [u8; 32] = hasher.finalize().into();
        Some(VerifierKey { name: name.to_owned(), id: [hash[0], hash[1], hash[2], hash[3]], key })
    }

    /// Reads `name+id+base64`; none if it isn't that or the id isn't the key's.
    pub fn parse(text: &str) -> Option<VerifierKey> {
        let (name, rest) = text.split_once('+')?;
        let (id, key) = rest.split_once('+')?;
        let key = decode(key)?;
        let (kind, key) = key.split_first()?;
        let key = VerifierKey::new(name, key.try_into().ok()?)?;
        (*kind == ED25519 && id == hex(&key.id)).then_some(key)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, hex(&self.id), encode(&bytes))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A private key under a name. Its `Debug` shows the public half only.
pub struct SignerKey {
    public: VerifierKey,
    key: SigningKey,
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({})", self.public)
    }
}

impl SignerKey {
    /// The key of a seed of 32 random bytes; none if the name can't be one.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Option<SignerKey> {
        let key = SigningKey::from_bytes(seed);
        let public = VerifierKey::new(name, key.verifying_key().as_bytes())?;
        Some(SignerKey { public, key })
    }

    /// The public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.public
    }

    fn line(&self, text: &str) -> String {
        let mut bytes = self.public.id.to_vec();
        bytes.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        format!("— {} {}\n", self.public.name, encode(&bytes))
    }
}

/// What a log was at some moment: so many records with this root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: `<installation>/<organization>/<log>`.
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// The root over them.
    pub root: Hash32,
}

impl Checkpoint {
    /// The signed note that says so.
    pub fn sign(&self, key: &SignerKey) -> String {
        let text = format!("{}\n{}\n{}\n", self.origin, self.size, self.root);
        format!("{text}\n{}", key.line(&text))
    }

    /// What a note says, once a trusted key has signed it.
    pub fn open(note: &str, trusted: &[VerifierKey]) -> Result<Checkpoint, NoteError> {
        let (text, signatures) = split(note)?;
        verified(text, &signatures, trusted)?;
        Checkpoint::read(text)
    }

    /// What a note claims, whoever signed it: for texts that this process itself has stored and compares with its own tree.
    pub fn unverified(note: &str) -> Result<Checkpoint, NoteError> {
        Checkpoint::read(split(note)?.0)
    }

    fn read(text: &str) -> Result<Checkpoint, NoteError> {
        let wrong = NoteError::Malformed("three lines: origin, size, root");
        let lines: Vec<&str> = text.lines().collect();
        let [origin, size, root] = lines[..] else { return Err(wrong) };
        let number = size.parse::<u64>().ok().filter(|n| n.to_string() == size).ok_or(wrong.clone())?;
        let root = Bytes::parse(root).ok_or(wrong.clone())?;
        if origin.is_empty() || origin == ROTATION {
            return Err(wrong);
        }
        Ok(Checkpoint { origin: origin.to_owned(), size: number, root })
    }
}

/// The passing of a log from one key to the next, signed by both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Which log.
    pub origin: String,
    /// The size of the log up to which the old key signs; beyond it only the new one does.
    pub size: u64,
    /// The key that signed until then.
    pub old: VerifierKey,
    /// The key that signs from then on.
    pub new: VerifierKey,
}

impl Rotation {
    /// Says, signed by both keys, that `new` follows `old` once the log `origin` has `size` records.
    pub fn sign(origin: &str, size: u64, old: &SignerKey, new: &SignerKey) -> String {
        let text = format!("{ROTATION}\n{origin}\n{size}\n{}\n{}\n", old.public, new.public);
        format!("{text}\n{}{}", old.line(&text), new.line(&text))
    }

    /// Over how many records a rotation claims to stand, whoever signed it: for notes that this process itself has stored.
    pub fn unverified_size(note: &str) -> Option<u64> {
        let (text, _) = split(note).ok()?;
        text.lines().nth(2)?.parse().ok()
    }

    /// What a rotation says, once both its keys have signed it and one of them is trusted.
    pub fn open(note: &str, trusted: &[VerifierKey]) -> Result<Rotation, NoteError> {
        let (text, signatures) = split(note)?;
        let wrong =
            NoteError::Malformed("five lines: the words of a rotation, origin, size, old key, new key");
        let lines: Vec<&str> = text.lines().collect();
        let [ROTATION, origin, size, old, new] = lines[..] else { return Err(wrong) };
        let number = size.parse::<u64>().ok().filter(|n| n.to_string() == size).ok_or(wrong.clone())?;
        let key = |text| VerifierKey::parse(text).ok_or(wrong.clone());
        let (old, new) = (key(old)?, key(new)?);
        if !trusted.contains(&old) && !trusted.contains(&new) {
            return Err(NoteError::Untrusted(vec![old.name, new.name]));
        }
        for key in [&old, &new] {
            verified(text, &signatures, std::slice::from_ref(key))?;
        }
        Ok(Rotation { origin: origin.to_owned(), size: number, old, new })
    }
}

struct SignatureLine<'n> {
    name: &'n str,
    id: [u8; 4],
    signature: Vec<u8>,
}

/// The text of a note (with its last newline) and its signatures.
fn split(note: &str) -> Result<(&str, Vec<SignatureLine<'_>>), NoteError> {
    if note.len() > NOTE_BYTES_MAX || note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(NoteError::Malformed("a short text without control characters"));
    }
    let at = note.rfind("\n\n").ok_or(NoteError::Malformed("a blank line before the signatures"))?;
    let (text, lines) = (&note[..=at], &note[at + 2..]);
    let wrong = || NoteError::Malformed("signature lines of the form `— name base64`");
    let lines = lines.strip_suffix('\n').ok_or_else(wrong)?;
    let signatures = lines
        .split('\n')
        .map(|line| {
            let (name, signature) = line.strip_prefix("— ")?.split_once(' ')?;
            let bytes = decode(signature)?;
            let (id, signature) = bytes.split_first_chunk::<4>()?;
            (!name.is_empty()).then(|| SignatureLine { name, id: *id, signature: signature.to_vec() })
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(wrong)?;
    if signatures.len() > NOTE_SIGNATURES_MAX {
        return Err(NoteError::Malformed("at most 16 signatures"));
    }
    Ok((text, signatures))
}

/// Whether a trusted key has signed `text`.
fn verified(text: &str, signatures: &[SignatureLine<'_>], trusted: &[VerifierKey]) -> Result<(), NoteError> {
    let mut believed = false;
    for line in signatures {
        for key in trusted.iter().filter(|key| key.name == line.name && key.id == line.id) {
            let bad = || NoteError::BadSignature(key.name.clone());
            let signature = Signature::from_slice(&line.signature).map_err(|_| bad())?;
            key.key.verify_strict(text.as_bytes(), &signature).map_err(|_| bad())?;
            believed = true;
        }
    }
    if believed {
        return Ok(());
    }
    Err(NoteError::Untrusted(signatures.iter().map(|s| s.name.to_owned()).collect()))
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
