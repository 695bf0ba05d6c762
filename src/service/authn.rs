//! Who is calling: from the header of a request to a [`Caller`].
//!
//! In:    the `Authorization` header, the address of the client.
//! Out:   [`Caller`], whose credential is live and whose account can act; or [`KeyRefusal`].
//! Law:   a text that is no token costs no lookup; an unknown key costs as much as a wrong one; the caller hears 401
//!        and nothing else, the log hears why.

use super::memory::{AccountFacts, Key, Memory, OrgState};
use super::pepper::Peppers;
use super::secret::Secret;
use super::token::{Holder, Token};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Why a credential is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefusal {
    /// None was sent, or not as `Bearer`.
    Missing,
    /// It is no token: wrong form or checksum.
    Malformed,
    /// Nobody has it.
    Unknown,
    /// It is switched off, or revoked.
    Disabled,
    /// Its time is over.
    Expired,
    /// It may not be used from there.
    Network,
    /// Its account can't act: disabled, expired, deleted.
    Account,
}

impl KeyRefusal {
    /// For the log.
    pub fn word(self) -> &'static str {
        match self {
            KeyRefusal::Missing => "missing",
            KeyRefusal::Malformed => "malformed",
            KeyRefusal::Unknown => "unknown",
            KeyRefusal::Disabled => "disabled",
            KeyRefusal::Expired => "expired",
            KeyRefusal::Network => "network",
            KeyRefusal::Account => "account",
        }
    }
}

/// Somebody whose credential is live.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its credential.
    pub key: Arc<Key>,
    /// The public id it presented.
    pub key_id: String,
    /// Its organization, as it was when the request came; none for a key of the installation.
    pub org: Option<Arc<OrgState>>,
    /// Its account; none for a key of the installation.
    pub account: Option<AccountFacts>,
    /// Where it calls from.
    pub ip: IpAddr,
}

impl Caller {
    /// Notes that the key was used: once what was asked with it is answered, not when somebody only brings it along.
    pub fn note_use(&self, now: i64) {
        self.key.used.store(now, Ordering::Relaxed);
        *self.key.used_from.lock().expect("authn: nobody panics holding an address") = Some(self.ip);
    }
}

/// The token of a header.
pub fn bearer(header: Option<&str>) -> Result<Token, KeyRefusal> {
    let text = header.ok_or(KeyRefusal::Missing)?;
    let (scheme, token) = text.split_once(' ').ok_or(KeyRefusal::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(KeyRefusal::Missing);
    }
    Token::parse(token.trim()).ok_or(KeyRefusal::Malformed)
}

/// Checks a token.
pub fn authenticate(
    memory: &Memory,
    peppers: &Peppers,
    token: &Token,
    ip: IpAddr,
    now: i64,
) -> Result<Caller, KeyRefusal> {
    let found = memory.key(&token.key_id);
    let stored = found.as_ref().and_then(|k| k.codes.first());
    let right = peppers.matches(token.text.reveal(), stored.map(|(pepper, mac, _)| (pepper.as_str(), mac)));
    let Some(key) = found.filter(|_| right) else { return Err(KeyRefusal::Unknown) };
    live(memory, key, token.key_id.clone(), ip, now)
}

/// Holds a key that was shown to be right against everything else.
pub fn live(
    memory: &Memory,
    key: Arc<Key>,
    key_id: String,
    ip: IpAddr,
    now: i64,
) -> Result<Caller, KeyRefusal> {
    usable(&key, ip, now)?;
    let (org, account) = if key.org.is_empty() {
        (None, None)
    } else {
        let org = memory.org(&key.org).ok_or(KeyRefusal::Account)?;
        let account = org.account(&key.account).filter(|account| now < account.expires);
        let account = account.ok_or(KeyRefusal::Account)?;
        (Some(org), Some(account))
    };
    Ok(Caller { key, key_id, org, account, ip })
}

/// Whether a key may be used from there, now.
fn usable(key: &Key, ip: IpAddr, now: i64) -> Result<(), KeyRefusal> {
    if key.disabled {
        return Err(KeyRefusal::Disabled);
    }
    let overlap = key.codes.first().map_or(0, |(_, _, until)| *until);
    if now >= key.expires || now >= overlap {
        return Err(KeyRefusal::Expired);
    }
    if !key.networks.is_empty() && !key.networks.iter().any(|net| net.contains(ip)) {
        return Err(KeyRefusal::Network);
    }
    Ok(())
}

/// Holds a caller against everything again, a little later; none where nothing about it has changed since.
pub fn again(memory: &Memory, caller: &Caller, now: i64) -> Result<Option<Caller>, KeyRefusal> {
    let key = memory.key(&caller.key_id).ok_or(KeyRefusal::Unknown)?;
    let org = memory.org(&key.org);
    let same_org = match (&caller.org, &org) {
        (Some(before), Some(now)) => Arc::ptr_eq(before, now),
        (None, None) => key.org.is_empty(),
        _ => false,
    };
    let acts = caller.account.as_ref().is_none_or(|account| now < account.expires);
    if same_org && acts && Arc::ptr_eq(&key, &caller.key) {
        return usable(&key, caller.ip, now).map(|()| None);
    }
    live(memory, key, caller.key_id.clone(), caller.ip, now).map(Some)
}

/// A new token for a holder, and what is stored of it.
pub struct Minted {
    /// Shown once.
    pub token: Secret,
    /// Its public id.
    pub key_id: String,
    /// Its code, in hexadecimal digits.
    pub mac: String,
    /// Under which pepper.
    pub pepper: String,
}

/// Mints a token.
pub fn mint(peppers: &Peppers, holder: Holder) -> Minted {
    let token = Token::mint(holder);
    let code = peppers.code(peppers.current(), token.text.reveal());
    Minted {
        key_id: token.key_id,
        token: token.text,
        mac: code.iter().map(|b| format!("{b:02x}")).collect(),
        pepper: peppers.current().to_owned(),
    }
}
