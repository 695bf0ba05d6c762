//! The text of a credential: typed prefix, public key id, secret, checksum.
//!
//! In:    what a client sends in `Authorization: Bearer …`; what is minted.
//! Out:   [`Token`]: `pdsvc_<16 letters of key id>_<52 letters of secret><7 letters of CRC-32>`.
//! Law:   a text that isn't a token is refused here, before anything is read or written: its checksum is wrong.

use super::secret::{Secret, base32, is_base32, random};

/// Whose key it is, readable in the key itself, so that a scanner that finds one knows whom to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The installation.
    Installation,
    /// A user.
    User,
    /// A service account.
    ServiceAccount,
    /// An AI agent.
    Agent,
}

impl Holder {
    const ALL: [Holder; 4] = [Holder::Installation, Holder::User, Holder::ServiceAccount, Holder::Agent];

    /// The prefix of its tokens.
    pub fn prefix(self) -> &'static str {
        match self {
            Holder::Installation => "pdins_",
            Holder::User => "pdusr_",
            Holder::ServiceAccount => "pdsvc_",
            Holder::Agent => "pdagt_",
        }
    }

    /// Of an account kind by its wire name.
    pub fn of_kind(kind: &str) -> Option<Holder> {
        match kind {
            "user" => Some(Holder::User),
            "service_account" => Some(Holder::ServiceAccount),
            "agent" => Some(Holder::Agent),
            _ => None,
        }
    }
}

const KEY_ID_LETTERS: usize = 16;
const SECRET_LETTERS: usize = 52;
const CHECK_LETTERS: usize = 7;

/// A whole token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose.
    pub holder: Holder,
    /// Its public part, unique in the installation.
    pub key_id: String,
    /// All of it.
    pub text: Secret,
}

fn checksum(text: &str) -> String {
    base32(&crc32fast::hash(text.as_bytes()).to_be_bytes())
}

impl Token {
    /// A new one.
    pub fn mint(holder: Holder) -> Token {
        let key_id = base32(&random::<10>());
        let mut text = format!("{}{key_id}_{}", holder.prefix(), base32(&random::<32>()));
        text.push_str(&checksum(&text));
        Token { holder, key_id, text: Secret::new(text) }
    }

    /// Reads one; `None` for anything that was never minted so.
    pub fn parse(text: &str) -> Option<Token> {
        let holder = Holder::ALL.into_iter().find(|h| text.starts_with(h.prefix()))?;
        let rest = &text[holder.prefix().len()..];
        let (key_id, secret) = rest.split_once('_')?;
        let fits = key_id.len() == KEY_ID_LETTERS
            && secret.len() == SECRET_LETTERS + CHECK_LETTERS
            && is_base32(key_id)
            && is_base32(secret);
        if !fits {
            return None;
        }
        let (body, check) = text.split_at(text.len() - CHECK_LETTERS);
        (checksum(body) == check).then(|| Token {
            holder,
            key_id: key_id.to_owned(),
            text: Secret::new(text.to_owned()),
        })
    }
}

/// The public id that a token has, or the text itself if it is such an id.
pub fn key_id(text: &str) -> Option<String> {
    let own = || (text.len() == KEY_ID_LETTERS && is_base32(text)).then(|| text.to_owned());
    Token::parse(text).map(|token| token.key_id).or_else(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_a_changed_one_is_not() {
        for holder in Holder::ALL {
            let token = Token::mint(holder);
            let text = token.text.reveal();
            assert_eq!(Token::parse(text).as_ref(), Some(&token));
            for at in 0..text.len() {
                let mut other = text.as_bytes().to_vec();
                other[at] = if other[at] == b'7' { b'8' } else { b'7' };
                let other = String::from_utf8(other).expect("ASCII");
                assert!(Token::parse(&other).is_none(), "byte {at}");
            }
            assert!(Token::parse(&text[..text.len() - 1]).is_none());
            assert!(Token::parse(&format!("{text}0")).is_none());
        }
        for text in ["", "pdsvc_", "pdsvc__", "bearer x", "pdsvc_é_é"] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = Token::mint(Holder::User);
        assert!(!format!("{token:?}").contains(token.text.reveal()));
    }
}
