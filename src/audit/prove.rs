//! Small documents that show, offline, that a record is in a log and that a log has only grown.
//!
//! In:    a tree with its leaf hashes, an entry, signed checkpoints.
//! Out:   JSON; or, of a document from anywhere, what it proves.
//! Law:   a document proves nothing but what checkpoints signed by a trusted key say of it.

use super::bytes::{Hash32, Salt};
use super::merkle::{Leaves, Tree, leaf_hash, verify_consistency, verify_inclusion};
use super::note::{Checkpoint, NoteError, VerifierKey};
use super::record::Entry;
use serde::{Deserialize, Serialize};
use std::{fmt, io};

/// That a record is in a log. Its JSON is the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InclusionProof {
    /// 1.
    pub policyd_inclusion_proof: u32,
    /// The number of the record.
    pub index: u64,
    /// The salt of its leaf.
    pub salt: Salt,
    /// Its exact bytes.
    pub record: String,
    /// The hashes on the way to the root.
    pub path: Vec<Hash32>,
    /// The signed checkpoint that the way leads to.
    pub checkpoint: String,
}

/// That a log has only grown from one checkpoint to another. Its JSON is the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyProof {
    /// 1.
    pub policyd_consistency_proof: u32,
    /// The older checkpoint, signed.
    pub from: String,
    /// The newer one, signed.
    pub to: String,
    /// The hashes that lead from one root to the other.
    pub path: Vec<Hash32>,
}

/// Why a document proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// It is of another version; the one it names.
    Version(u32),
    /// A checkpoint in it isn't believed.
    Checkpoint(NoteError),
    /// The checkpoints are of two logs: their origins.
    Origins(String, String),
    /// The hashes don't lead to the signed root.
    Path,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProofError::Version(found) => {
                write!(f, "a proof of version {found}; this program knows version 1")
            }
            ProofError::Checkpoint(why) => write!(f, "{why}"),
            ProofError::Origins(one, other) => write!(
                f,
                "the checkpoints are of two logs: `{}` and `{}`",
                one.escape_debug(),
                other.escape_debug()
            ),
            ProofError::Path => {
                write!(
                    f,
                    "the hashes of the proof don't lead to the signed root: record, number or proof was changed"
                )
            }
        }
    }
}

impl std::error::Error for ProofError {}

fn malformed(error: NoteError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

impl InclusionProof {
    /// Proves that `entry` is record `index` of the log at the signed `checkpoint`.
    ///
    /// - Errors: the checkpoint is over fewer records, or the hashes can't be read.
    pub fn of(
        tree: &Tree,
        leaves: &(impl Leaves + ?Sized),
        index: u64,
        entry: &Entry,
        checkpoint: &str,
    ) -> io::Result<InclusionProof> {
        let size = Checkpoint::unverified(checkpoint).map_err(malformed)?.size;
        Ok(InclusionProof {
            policyd_inclusion_proof: 1,
            index,
            salt: entry.salt,
            record: entry.record.clone(),
            path: tree.inclusion(leaves, index, size)?,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// The checkpoint under which the record is proven.
    pub fn verify(&self, trusted: &[VerifierKey]) -> Result<Checkpoint, ProofError> {
        if self.policyd_inclusion_proof != 1 {
            return Err(ProofError::Version(self.policyd_inclusion_proof));
        }
        let checkpoint = Checkpoint::open(&self.checkpoint, trusted).map_err(ProofError::Checkpoint)?;
        let leaf = leaf_hash(&[&self.salt.0, self.record.as_bytes()]);
        if !verify_inclusion(self.index, checkpoint.size, &leaf, &self.path, &checkpoint.root) {
            return Err(ProofError::Path);
        }
        Ok(checkpoint)
    }
}

impl ConsistencyProof {
    /// Proves that the log at the signed checkpoint `to` continues the one at the signed checkpoint `from`.
    ///
    /// - Errors: `from` is over no records or over more than `to`, or the hashes can't be read.
    pub fn of(
        tree: &Tree,
        leaves: &(impl Leaves + ?Sized),
        from: &str,
        to: &str,
    ) -> io::Result<ConsistencyProof> {
        let size = |note| Checkpoint::unverified(note).map(|checkpoint| checkpoint.size).map_err(malformed);
        Ok(ConsistencyProof {
            policyd_consistency_proof: 1,
            path: tree.consistency(leaves, size(from)?, size(to)?)?,
            from: from.to_owned(),
            to: to.to_owned(),
        })
    }

    /// The two checkpoints, of which the second continues the first.
    pub fn verify(&self, trusted: &[VerifierKey]) -> Result<(Checkpoint, Checkpoint), ProofError> {
        if self.policyd_consistency_proof != 1 {
            return Err(ProofError::Version(self.policyd_consistency_proof));
        }
        let open = |note| Checkpoint::open(note, trusted).map_err(ProofError::Checkpoint);
        let (from, to) = (open(&self.from)?, open(&self.to)?);
        if from.origin != to.origin {
            return Err(ProofError::Origins(from.origin, to.origin));
        }
        if !verify_consistency(from.size, to.size, &from.root, &to.root, &self.path) {
            return Err(ProofError::Path);
        }
        Ok((from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::SignerKey;
    use super::super::record::tests::entry;
    use super::*;

    fn signed(entries: &[Entry], key: &SignerKey) -> String {
        let leaves: Vec<Hash32> = entries.iter().map(Entry::leaf).collect();
        let root = Tree::over(&leaves).root();
        Checkpoint { origin: "inst/acme/decisions".to_owned(), size: leaves.len() as u64, root }.sign(key)
    }

    #[test]
    fn proofs_hold_and_no_changed_byte_of_them_does() {
        let key = SignerKey::from_seed("log", &[1; 32]).expect("a key");
        let trusted = [key.verifier().clone()];
        let all: Vec<Entry> = (0..13).map(entry).collect();
        let leaves: Vec<Hash32> = all.iter().map(Entry::leaf).collect();
        let (tree, from, to) = (Tree::over(&leaves), signed(&all[..6], &key), signed(&all, &key));
        let inclusion = InclusionProof::of(&tree, &leaves, 7, &all[7], &to).expect("a proof");
        assert_eq!(inclusion.verify(&trusted).expect("it holds").size, 13);
        let growth = ConsistencyProof::of(&tree, &leaves, &from, &to).expect("a proof");
        assert_eq!(growth.verify(&trusted).expect("it holds").0.size, 6);
        for text in [serde_json::to_string(&inclusion), serde_json::to_string(&growth)] {
            let text = text.expect("JSON");
            for at in 0..text.len() {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1;
                let holds = serde_json::from_slice::<InclusionProof>(&bytes)
                    .is_ok_and(|p| p.verify(&trusted).is_ok())
                    || serde_json::from_slice::<ConsistencyProof>(&bytes)
                        .is_ok_and(|p| p.verify(&trusted).is_ok());
                assert!(!holds, "byte {at} of {text}");
            }
        }
    }
}
