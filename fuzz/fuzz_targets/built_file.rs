//! Any bytes as a built file, and any payload under a right checksum: loading refuses, or gives a set that decides.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policyc::{Directory, PolicySet};

const REQUEST: &str = r#"{"account":{"kind":"user","id":"ana"},"scope":"acme","action":{"name":"read"},
    "resource":{"kind":"document","id":"x","attributes":{"size":7}}}"#;

fn decide(set: &PolicySet) {
    let directory = Directory::default();
    if let Ok(question) = set.request(&directory, REQUEST, 0) {
        let _ = set.decide(&directory, &question);
    }
    let _ = set.stats();
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(set) = PolicySet::from_built(bytes) {
        decide(&set);
    }
    // The same bytes as the payload of a file whose header is right, so that decoding is reached.
    let payload = bytes.get(24..).unwrap_or(bytes);
    let mut file = b"policyc\0".to_vec();
    file.extend(1u32.to_le_bytes());
    file.extend(crc32fast::hash(payload).to_le_bytes());
    file.extend((payload.len() as u64).to_le_bytes());
    file.extend(payload);
    if let Ok(set) = PolicySet::from_built(&file) {
        decide(&set);
    }
});
