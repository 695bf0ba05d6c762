//! Secrets that can't be printed by accident, and randomness.
//!
//! In:    bytes of the operating system's generator; texts that people must not see in a log.
//! Out:   [`Secret`], new ids.
//! Law:   `Debug` of a secret says that it is one; only [`Secret::reveal`] shows it.

use std::cell::RefCell;
use std::fmt;

/// A text that is shown once, on purpose.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: String) -> Self {
        Secret(text)
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Letters and digits that can't be mistaken for one another, after D. Crockford's base 32.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Random bytes. Without them nothing here is safe, so there is no going on.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Bytes as base 32 text, five bits a letter.
pub fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    push_base32(&mut text, bytes);
    text
}

/// Appends the same to a text.
fn push_base32(text: &mut String, bytes: &[u8]) {
    for five in bytes.chunks(5) {
        let mut held = [0; 8];
        held[3..3 + five.len()].copy_from_slice(five);
        let held = u64::from_be_bytes(held);
        let letters: [u8; 8] = std::array::from_fn(|n| ALPHABET[(held >> (35 - 5 * n) & 31) as usize]);
        let letters = std::str::from_utf8(&letters[..(five.len() * 8).div_ceil(5)]);
        text.push_str(letters.expect("base32: letters are ASCII"));
    }
}

/// An id: what it is the id of, `_`, its bits.
pub fn id_text(prefix: &str, bits: &[u8]) -> String {
    let mut text = String::with_capacity(prefix.len() + 1 + bits.len().div_ceil(5) * 8);
    text.push_str(prefix);
    text.push('_');
    push_base32(&mut text, bits);
    text
}

/// The bytes of a [`base32`] text of exactly that many; none if it is no such text.
pub fn from_base32<const N: usize>(text: &str) -> Option<[u8; N]> {
    const VALUES: [u8; 256] = {
        let mut values = [u8::MAX; 256];
        let mut n = 0;
        while n < ALPHABET.len() {
            values[ALPHABET[n] as usize] = n as u8;
            n += 1;
        }
        values
    };
    let mut bytes = [0; N];
    let (mut held, mut bits, mut at) = (0u32, 0, 0);
    for letter in text.bytes() {
        let value = VALUES[usize::from(letter)];
        if value == u8::MAX {
            return None;
        }
        held = (held << 5) | u32::from(value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            *bytes.get_mut(at)? = (held >> bits & 255) as u8;
            at += 1;
        }
    }
    // Of the last letter the bits that no byte has are zero, and there is no letter too many.
    (at == N && bits < 5 && held & ((1 << bits) - 1) == 0).then_some(bytes)
}

/// Whether a text has only letters of [`base32`].
pub fn is_base32(text: &str) -> bool {
    const LETTERS: [bool; 256] = {
        let mut known = [false; 256];
        let mut n = 0;
        while n < ALPHABET.len() {
            known[ALPHABET[n] as usize] = true;
            n += 1;
        }
        known
    };
    text.bytes().all(|b| LETTERS[b as usize])
}

/// A new id that nobody has: a prefix, `_`, 80 random bits. Ids are no secrets: their bits are taken from the operating
/// system for many at once.
pub fn new_uid(prefix: &str) -> String {
    const BITS: usize = 10;
    const AT_ONCE: usize = 32 * BITS;
    thread_local! {
        static LEFT: RefCell<([u8; AT_ONCE], usize)> = const { RefCell::new(([0; AT_ONCE], AT_ONCE)) };
    }
    LEFT.with_borrow_mut(|(bytes, used)| {
        if *used == AT_ONCE {
            (*bytes, *used) = (random(), 0);
        }
        *used += BITS;
        id_text(prefix, &bytes[*used - BITS..*used])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hush".into())), "Secret(…)");
    }

    #[test]
    fn base32_is_read_back() {
        for bytes in [[0; 10], [255; 10], *b"0123456789", random()] {
            assert_eq!(from_base32(&base32(&bytes)), Some(bytes));
        }
        for text in
            ["", "zw000001", "000000000000000", "00000000000000000", "000000000000000u", "0000000000000é0"]
        {
            assert_eq!(from_base32::<10>(text), None, "{text}");
        }
    }

    #[test]
    fn base32_is_five_bits_a_letter() {
        assert_eq!(base32(&[0xff, 0, 0, 0, 1]), "zw000001");
        assert_eq!(base32(&[0; 32]).len(), 52);
        assert!(is_base32("0az") && !is_base32("l") && !is_base32("A"));
        assert_ne!(new_uid("usr"), new_uid("usr"));
    }
}
