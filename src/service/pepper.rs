//! The pepper: a key outside the database, without which what the database holds of credentials can't be checked.
//!
//! In:    a file of one or two lines, `<id> <64 hexadecimal digits>`, readable by its owner alone.
//! Out:   [`Peppers`]: HMAC-SHA-256 of a token under the pepper that its row names.
//! Law:   the first line makes new keys, both check old ones; neither is ever printed.

use super::secret::{base32, random};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use subtle::ConstantTimeEq;

/// What is stored of a token.
pub type TokenMac = [u8; 32];

/// One or two live peppers.
pub struct Peppers(Vec<(String, [u8; 32])>);

impl std::fmt::Debug for Peppers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

impl Peppers {
    /// One fresh pepper, not kept anywhere.
    pub fn fresh() -> Peppers {
        Peppers(vec![(base32(&random::<5>()), random())])
    }

    /// Makes a file with one fresh pepper; there must be none.
    pub fn create(path: &Path) -> io::Result<Peppers> {
        let made = Peppers::fresh();
        let (id, key) = &made.0[0];
        let digits: String = key.iter().map(|b| format!("{b:02x}")).collect();
        write_private(path, &format!("{id} {digits}\n"))?;
        Ok(made)
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Peppers, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("can't read {}: {e}", path.display()))?;
        let line = |line: &str| {
            let (id, digits) = line.split_once(' ')?;
            let mut key = [0; 32];
            let fits = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            for (n, byte) in key.iter_mut().enumerate().filter(|_| fits) {
                *byte = u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).ok()?;
            }
            fits.then(|| (id.to_owned(), key))
        };
        let all: Option<Vec<_>> = text.lines().filter(|l| !l.trim().is_empty()).map(line).collect();
        match all {
            Some(all) if (1..=2).contains(&all.len()) => Ok(Peppers(all)),
            _ => Err(format!(
                "{} is not a pepper file: it has one or two lines `<id> <64 hexadecimal digits>`",
                path.display()
            )),
        }
    }

    /// The id of the pepper for new keys.
    pub fn current(&self) -> &str {
        &self.0[0].0
    }

    /// The code of a token under a pepper; under the current one if that pepper isn't live any more.
    pub fn code(&self, pepper: &str, token: &str) -> TokenMac {
        let known = self.0.iter().find(|(id, _)| id == pepper).unwrap_or(&self.0[0]);
        let mut mac = Hmac::<Sha256>::new_from_slice(&known.1).expect("pepper: a key of any length is taken");
        mac.update(token.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Whether a token is the one whose code is stored; costs the same if nothing is stored.
    pub fn matches(&self, token: &str, stored: Option<(&str, &TokenMac)>) -> bool {
        let nobody = [0u8; 32];
        let (pepper, expected) = stored.unwrap_or((self.current(), &nobody));
        let live = self.0.iter().any(|(id, _)| id == pepper);
        let same: bool = self.code(pepper, token).ct_eq(expected).into();
        same && live && stored.is_some()
    }
}

/// Writes a new file that only its owner can read.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_matches_its_own_code_only() {
        let peppers = Peppers::fresh();
        let code = peppers.code(peppers.current(), "token");
        assert!(peppers.matches("token", Some((peppers.current(), &code))));
        assert!(!peppers.matches("tokem", Some((peppers.current(), &code))));
        assert!(!peppers.matches("token", Some(("gone", &code))), "its pepper was taken away");
        assert!(!peppers.matches("token", None));
        assert!(!Peppers::fresh().matches("token", Some((peppers.current(), &code))));
    }
}
