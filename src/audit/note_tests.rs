//! Checkpoints and rotations: what is believed, and every way in which they aren't.

use super::*;

fn key(name: &str, seed: u8) -> SignerKey {
    SignerKey::from_seed(name, &[seed; 32]).expect("a key")
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: "inst/acme/decisions".to_owned(), size: 7, root: Bytes([9; 32]) }
}

#[test]
fn a_checkpoint_says_what_was_signed() {
    let signer = key("inst/acme/decisions", 1);
    let note = checkpoint().sign(&signer);
    assert!(note.starts_with(
        "inst/acme/decisions\n7\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n\n— inst/acme/decisions "
    ));
    assert_eq!(Checkpoint::open(&note, &[signer.verifier().clone()]), Ok(checkpoint()));
}

/// The key, its id and the note of the example of the Go package `golang.org/x/mod/sumdb/note`, which C2SP describes.
#[test]
fn the_format_is_that_of_others() {
    let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let known = VerifierKey::parse(vkey).expect("the published key");
    assert_eq!(known.to_string(), vkey);
    let (text, signatures) = split(note).expect("a note");
    assert_eq!(verified(text, &signatures, &[known]), Ok(()));
}

#[test]
fn every_flipped_bit_of_a_checkpoint_is_refused() {
    let signer = key("inst/acme/decisions", 1);
    let note = checkpoint().sign(&signer);
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            assert!(Checkpoint::open(&text, &[signer.verifier().clone()]).is_err(), "{text}");
        }
    }
}

#[test]
fn an_unknown_key_counts_for_nothing_and_a_wrong_signature_refuses() {
    let (ours, other) = (key("log", 1), key("witness", 2));
    let trusted = [ours.verifier().clone()];
    let note = checkpoint().sign(&other);
    assert_eq!(Checkpoint::open(&note, &trusted), Err(NoteError::Untrusted(vec!["witness".to_owned()])));
    let (text, _) = split(&note).expect("a note");
    let both = format!("{}{}", checkpoint().sign(&ours), other.line(text));
    assert_eq!(Checkpoint::open(&both, &trusted), Ok(checkpoint()));
    let wrong = format!("{text}\n{}", ours.line("another text\n"));
    assert_eq!(Checkpoint::open(&wrong, &trusted), Err(NoteError::BadSignature("log".to_owned())));
    let namesake = checkpoint().sign(&key("log", 3));
    assert_eq!(Checkpoint::open(&namesake, &trusted), Err(NoteError::Untrusted(vec!["log".to_owned()])));
}

#[test]
fn other_spellings_of_a_checkpoint_are_refused() {
    let signer = key("log", 1);
    let trusted = [signer.verifier().clone()];
    let root = Hash32::from_slice(&[9; 32]).expect("a hash");
    for text in [
        format!("log\n07\n{root}\n"),
        format!("log\n+7\n{root}\n"),
        format!("log\n7\n{root}\nmore\n"),
        format!("\n7\n{root}\n"),
        format!("{ROTATION}\n7\n{root}\n"),
        "log\n7\nCQk=\n".to_owned(),
    ] {
        let note = format!("{text}\n{}", signer.line(&text));
        assert!(matches!(Checkpoint::open(&note, &trusted), Err(NoteError::Malformed(_))), "{note}");
    }
    let crlf = checkpoint().sign(&signer).replace('\n', "\r\n");
    assert!(Checkpoint::open(&crlf, &trusted).is_err());
}

#[test]
fn a_rotation_needs_both_keys() {
    let (old, new, thief) = (key("log", 1), key("log", 2), key("log", 3));
    let note = Rotation::sign("inst/acme/decisions", 7, &old, &new);
    for trusted in [&old, &new] {
        let rotation = Rotation::open(&note, &[trusted.verifier().clone()]).expect("signed by both");
        assert_eq!((rotation.size, &rotation.old, &rotation.new), (7, old.verifier(), new.verifier()));
    }
    assert!(matches!(Rotation::open(&note, &[thief.verifier().clone()]), Err(NoteError::Untrusted(_))));
    let alone: String = note.rsplitn(3, '\n').collect::<Vec<_>>()[2].to_owned() + "\n";
    assert!(Rotation::open(&alone, &[old.verifier().clone()]).is_err(), "{alone}");
    let stolen = Rotation::sign("inst/acme/decisions", 7, &old, &thief)
        .replace(&thief.verifier().to_string(), &new.verifier().to_string());
    assert!(Rotation::open(&stolen, &[old.verifier().clone()]).is_err());
    assert!(Checkpoint::open(&note, &[old.verifier().clone()]).is_err());
}

#[test]
fn a_private_key_is_not_shown() {
    let signer = key("log", 0x41);
    assert!(!format!("{signer:?}").contains("65, 65"));
    assert!(SignerKey::from_seed("a b", &[1; 32]).is_none() && SignerKey::from_seed("", &[1; 32]).is_none());
}
