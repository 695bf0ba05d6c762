//! The words every stage shares: [`Value`], [`Effect`], [`Entity`] and the ids of declared things.
//!
//! Equality and order of values are defined here once, and so is how each literal is read from its text.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use rustc_hash::FxHasher;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::hash::Hasher;
use std::net::IpAddr;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($int:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub $int);
        impl $name {
            /// The id as an index into its table.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// A kind of scope, account or resource; index into `Vocabulary::kinds`.
    KindId(u16);
    /// An enum; index into `Vocabulary::enums`.
    EnumId(u16);
    /// A record type; index into `Vocabulary::records`.
    RecordId(u16);
    /// An action; index into `Vocabulary::actions`.
    ActionId(u16);
    /// An attribute, field or property name; index into `Vocabulary::names`.
    NameId(u16);
    /// A condition; index into `Program::conditions`.
    ConditionId(u32);
    /// A policy; index into `Program::policies`.
    PolicyId(u32);
    /// A role; index into `Vocabulary::roles`.
    RoleId(u32);
    /// A boundary; index into `Vocabulary::boundaries`.
    BoundaryId(u32);
    /// A rule; index into `Program::rules`.
    RuleId(u32);
}

impl KindId {
    /// The built-in kind of groups.
    pub const GROUP: KindId = KindId(0);
    /// The built-in kind of roles, as things acted on.
    pub const ROLE: KindId = KindId(1);
    /// The built-in kind of policies, as things acted on.
    pub const POLICY: KindId = KindId(2);
}

/// What a rule, or a decision, says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

/// One thing: its kind and its id. A group is one too, of kind [`KindId::GROUP`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entity {
    /// Its kind.
    pub kind: KindId,
    /// Its id, never empty; a scope's id is its path.
    pub id: SmolStr,
}

/// The hash of a kind and an id, in all tables of names.
///
/// It is made of `FxHash` with a last mix, so that any of its bits will do, and it has no key: the same name has the
/// same hash in every run, and who may choose names can choose ones that collide. What that costs stands at the tables.
pub fn hash_name(kind: KindId, id: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(id.as_bytes());
    hasher.write_u16(kind.0);
    let hash = hasher.finish();
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}

/// A value of the language.
///
/// - Units: times and durations are microseconds (times since the Unix epoch, UTC); a decimal is in 0.0001.
/// - Shape: sets are sorted and hold nothing twice; a record has one entry for each declared field, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Value {
    /// `Bool`
    Bool(bool),
    /// `Int`
    Int(i64),
    /// `Decimal`, in units of 0.0001
    Decimal(i64),
    /// `String`
    String(SmolStr),
    /// `Time`, microseconds since the Unix epoch
    Time(i64),
    /// `Duration`, microseconds
    Duration(i64),
    /// `TimeOfDay`, microseconds since midnight
    TimeOfDay(i64),
    /// `Weekday`, Monday is 0
    Weekday(u8),
    /// `Ip`; an IPv4-mapped IPv6 address is the IPv4 address
    Ip(IpAddr),
    /// `Cidr`
    Cidr(Cidr),
    /// A variant of an enum, by its index
    Variant(EnumId, u16),
    /// A reference
    Entity(Entity),
    /// A set
    Set(std::sync::Arc<[Value]>),
    /// A flat record
    Record(std::sync::Arc<[Option<Value>]>),
}

impl Value {
    /// A set of these values: sorted, duplicates dropped.
    pub fn set(mut values: Vec<Value>) -> Value {
        values.sort();
        values.dedup();
        Value::Set(values.into())
    }
}

/// A network: its first address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cidr {
    /// The address with all host bits zero.
    pub network: IpAddr,
    /// Bits of the prefix.
    pub prefix: u8,
}

impl Cidr {
    /// Whether an address lies inside.
    pub fn contains(self, ip: IpAddr) -> bool {
        match (self.network, ip) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                self.prefix == 0 || (u32::from(net) ^ u32::from(ip)) >> (32 - u32::from(self.prefix)) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                self.prefix == 0 || (u128::from(net) ^ u128::from(ip)) >> (128 - u32::from(self.prefix)) == 0
            }
            _ => false,
        }
    }
}

/// The earliest `Time`, 0001-01-01T00:00:00Z, in microseconds.
pub const TIME_MIN: i64 = -62_135_596_800_000_000;
/// The latest `Time`, 9999-12-31T23:59:59.999999Z, in microseconds.
pub const TIME_MAX: i64 = 253_402_300_799_999_999;
/// The longest `Duration`, 10,000 years of 365.25 days, in microseconds.
pub const DURATION_MAX: i64 = 315_576_000_000 * 1_000_000;
/// Microseconds of a day.
pub const DAY: i64 = 86_400_000_000;

/// The names of the days as variants of `Weekday`, Monday first.
pub const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Reads an `Int` from its text.
pub fn parse_int(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("`{text}` is not a whole number"));
    }
    text.parse()
        .map_err(|_| format!("`{text}` does not fit: an Int lies between {} and {}", i64::MIN, i64::MAX))
}

/// Reads a `Decimal` from its text, exactly; the result is in units of 0.0001.
pub fn parse_decimal(text: &str) -> Result<i64, String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.') {
        return Err(format!("`{text}` is not a decimal number such as 19.99"));
    }
    let significant = fraction.trim_end_matches('0');
    if significant.len() > 4 {
        return Err(format!("`{text}` has {} fraction digits; a Decimal has at most 4", significant.len()));
    }
    let scaled: i128 = format!("{}{significant:0<4}", whole.trim_start_matches('0'))
        .parse()
        .map_err(|_| format!("`{text}` is too large for a Decimal"))?;
    i64::try_from(if negative { -scaled } else { scaled })
        .map_err(|_| format!("`{text}` is too large for a Decimal"))
}

/// Reads a `Time` from RFC 3339 text such as `2026-12-31T00:00:00Z`.
pub fn parse_time(text: &str) -> Result<i64, String> {
    let expected = || format!("`{text}` is not a Time such as \"2026-12-31T00:00:00Z\"");
    let b = text.as_bytes();
    let shape_ok = b.len() >= 20
        && b.iter().zip(b"0000-00-00T00:00:00").all(|(got, want)| match want {
            b'0' => got.is_ascii_digit(),
            b'T' => got.eq_ignore_ascii_case(&b'T'),
            _ => got == want,
        });
    if !shape_ok || !text.is_ascii() {
        return Err(expected());
    }
    let rest = &text[19..];
    let zone_at = rest.find(['Z', 'z', '+', '-']).ok_or_else(expected)?;
    let (fraction, zone) = rest.split_at(zone_at);
    let fraction_ok = fraction.is_empty()
        || (fraction.len() > 1
            && fraction.starts_with('.')
            && fraction[1..].bytes().all(|b| b.is_ascii_digit()));
    let zone_ok = zone.eq_ignore_ascii_case("z")
        || (zone.len() == 6
            && zone.as_bytes()[3] == b':'
            && zone[1..3].bytes().chain(zone[4..].bytes()).all(|b| b.is_ascii_digit()));
    if !fraction_ok || !zone_ok {
        return Err(expected());
    }
    if fraction.trim_start_matches('.').trim_end_matches('0').len() > 6 {
        return Err(format!("`{text}` is finer than a microsecond; a Time has at most 6 fraction digits"));
    }
    let civil: DateTime = text[..19 + zone_at].parse().map_err(|_| expected())?;
    let offset = match zone.as_bytes() {
        [sign, rest @ ..] if !rest.is_empty() => {
            let two = |at: usize| i64::from(rest[at] - b'0') * 10 + i64::from(rest[at + 1] - b'0');
            let (hours, minutes) = (two(0), two(3));
            if hours > 23 || minutes > 59 {
                return Err(expected());
            }
            (hours * 60 + minutes) * if *sign == b'-' { -60_000_000 } else { 60_000_000 }
        }
        _ => 0,
    };
    let since = i64::try_from(civil.duration_since(EPOCH).as_micros()).map_err(|_| expected())?;
    let micros = since - offset;
    if (TIME_MIN..=TIME_MAX).contains(&micros) {
        Ok(micros)
    } else {
        Err(format!("`{text}` is outside the years 0001 to 9999"))
    }
}

/// Where `Time` counts from. Civil time, since a `jiff::Timestamp` ends a day before the year 9999 does.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Writes a `Time` as RFC 3339 in UTC.
pub fn show_time(micros: i64) -> String {
    EPOCH
        .checked_add(SignedDuration::from_micros(micros))
        .map_or_else(|_| micros.to_string(), |time| format!("{time}Z"))
}

/// Reads a `TimeOfDay` from `08:30` or `08:30:15`.
pub fn parse_time_of_day(text: &str) -> Result<i64, String> {
    let error = || format!("`{text}` is not a TimeOfDay such as \"08:30\" or \"08:30:15\"");
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return Err(error());
    }
    let mut total = 0i64;
    for (part, (unit, most)) in parts.iter().zip([(3600, 23), (60, 59), (1, 59)]) {
        if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        let n: i64 = part.parse().map_err(|_| error())?;
        if n > most {
            return Err(error());
        }
        total += n * unit;
    }
    Ok(total * 1_000_000)
}

/// Reads a `Duration` from words such as `90d 12h 5m 30s`.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let error = || format!("`{text}` is not a Duration such as 90d or \"12h 30m\"");
    let mut total: i128 = 0;
    let mut last_unit = i128::MAX;
    for word in text.split_ascii_whitespace() {
        let unit_at = word.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let unit: i128 = match &word[unit_at..] {
            "w" => 7 * i128::from(DAY),
            "d" => i128::from(DAY),
            "h" => 3_600_000_000,
            "m" => 60_000_000,
            "s" => 1_000_000,
            "ms" => 1_000,
            _ => return Err(error()),
        };
        if unit >= last_unit {
            return Err(format!("`{text}`: the units of a Duration go from large to small, each once"));
        }
        last_unit = unit;
        let n: i128 = word[..unit_at].parse().map_err(|_| error())?;
        total = total.saturating_add(n.saturating_mul(unit));
    }
    if last_unit == i128::MAX {
        return Err(error());
    }
    i64::try_from(total)
        .ok()
        .filter(|d| *d <= DURATION_MAX)
        .ok_or_else(|| format!("`{text}` is longer than 10,000 years"))
}

/// Reads an `Ip`; an IPv4-mapped IPv6 address becomes the IPv4 address.
pub fn parse_ip(text: &str) -> Result<IpAddr, String> {
    let ip: IpAddr =
        text.parse().map_err(|_| format!("`{text}` is not an Ip such as \"10.0.0.1\" or \"2001:db8::1\""))?;
    Ok(ip.to_canonical())
}

/// Reads a `Cidr`; host bits must be zero.
pub fn parse_cidr(text: &str) -> Result<Cidr, String> {
    let error = || format!("`{text}` is not a Cidr such as \"10.0.0.0/8\" or \"2001:db8::/32\"");
    let (address, prefix) = text.split_once('/').ok_or_else(error)?;
    let given: IpAddr = address.parse().map_err(|_| error())?;
    if prefix.is_empty() || prefix.len() > 3 || !prefix.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error());
    }
    let mut prefix: u8 = prefix.parse().map_err(|_| error())?;
    let network = given.to_canonical();
    if given.is_ipv6() && network.is_ipv4() {
        prefix = prefix.checked_sub(96).ok_or_else(error)?;
    }
    if prefix > if network.is_ipv4() { 32 } else { 128 } {
        return Err(error());
    }
    let first = match network {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::from((u32::from(ip) & mask).to_be_bytes())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::from((u128::from(ip) & mask).to_be_bytes())
        }
    };
    if first != network {
        return Err(format!("`{text}` names an address inside its network; write \"{first}/{prefix}\""));
    }
    Ok(Cidr { network, prefix })
}

/// Whether a text may be an id or a string: NFC, and within [`crate::limits::STRING_BYTES_MAX`].
pub fn check_string(text: &str) -> Result<(), String> {
    if text.len() > crate::limits::STRING_BYTES_MAX {
        return Err(format!(
            "the text has {} bytes; at most {} are allowed",
            text.len(),
            crate::limits::STRING_BYTES_MAX
        ));
    }
    if !text.is_ascii() && !unicode_normalization::is_nfc(text) {
        return Err("the text is not in Unicode normalization form NFC".to_owned());
    }
    Ok(())
}

/// A literal pattern: pieces of text with any run of characters between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pattern {
    /// The text as written, escapes of the string literal resolved, `\*` kept.
    pub text: SmolStr,
    /// The literal text around the stars: one more than there are stars.
    pub pieces: Vec<SmolStr>,
}

impl Pattern {
    /// Reads a pattern: `*` is any run of characters, `\*` a star, `\\` a backslash.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let mut pieces = vec![String::new()];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let literal = match c {
                '*' => {
                    pieces.push(String::new());
                    continue;
                }
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '\\')) => escaped,
                    _ => return Err("in a pattern, `\\` stands before `*` or `\\` only".to_owned()),
                },
                other => other,
            };
            pieces.last_mut().expect("pattern: there is always a piece").push(literal);
        }
        Ok(Pattern { text: text.into(), pieces: pieces.into_iter().map(SmolStr::from).collect() })
    }

    /// Whether a whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let (first, last) = (&self.pieces[0], &self.pieces[self.pieces.len() - 1]);
        if self.pieces.len() == 1 {
            return text == first.as_str();
        }
        let Some(rest) = text.strip_prefix(first.as_str()) else { return false };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else { return false };
        for piece in &self.pieces[1..self.pieces.len() - 1] {
            match rest.find(piece.as_str()) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(parse_decimal("19.99"), Ok(199_900));
        assert_eq!(parse_decimal("-0.0001"), Ok(-1));
        assert_eq!(parse_decimal("7"), Ok(70_000));
        assert_eq!(parse_decimal("0.10000"), Ok(1_000));
        assert!(parse_decimal("0.00001").is_err());
        assert!(parse_decimal("1e3").is_err());
        assert!(parse_decimal("922337203685477.5808").is_err());
        assert_eq!(parse_decimal("-922337203685477.5808"), Ok(i64::MIN));
    }

    #[test]
    fn times_at_their_edges() {
        assert_eq!(parse_time("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(parse_time("1970-01-01T01:00:00.5+01:00"), Ok(500_000));
        assert_eq!(parse_time("0001-01-01T00:00:00Z"), Ok(TIME_MIN));
        assert_eq!(parse_time("9999-12-31T23:59:59.999999Z"), Ok(TIME_MAX));
        assert_eq!(parse_time("2026-01-01T00:30:00-01:30"), parse_time("2026-01-01T02:00:00Z"));
        for time in ["0001-01-01T00:00:00Z", "2026-06-01T12:00:00.25Z", "9999-12-31T23:59:59.999999Z"] {
            assert_eq!(show_time(parse_time(time).unwrap()), time);
        }
        assert!(parse_time("2026-01-01T00:00:00+24:00").is_err());
        assert!(parse_time("9999-12-31T23:59:59-01:00").is_err());
        for bad in [
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-02-30T00:00:00Z",
            "2026-01-01T00:00:00.1234567Z",
            "0000-12-31T23:59:59Z",
        ] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_time_of_day("08:30"), Ok(30_600_000_000));
        assert!(parse_time_of_day("24:00").is_err());
        assert_eq!(parse_duration("90d 12h 5m"), Ok(90 * DAY + 43_500_000_000));
        assert!(parse_duration("5m 12h").is_err());
    }

    #[test]
    fn networks() {
        assert!(parse_cidr("10.0.0.0/8").unwrap().contains(parse_ip("::ffff:10.1.2.3").unwrap()));
        assert!(!parse_cidr("10.0.0.0/8").unwrap().contains(parse_ip("11.0.0.1").unwrap()));
        assert!(parse_cidr("0.0.0.0/0").unwrap().contains(parse_ip("255.255.255.255").unwrap()));
        assert!(!parse_cidr("0.0.0.0/0").unwrap().contains(parse_ip("::1").unwrap()));
        assert!(parse_cidr("10.0.0.1/8").unwrap_err().contains("10.0.0.0/8"));
        assert_eq!(parse_cidr("::ffff:10.0.0.0/104"), parse_cidr("10.0.0.0/8"));
    }

    #[test]
    fn patterns() {
        let matches = |p: &str, t: &str| Pattern::parse(p).unwrap().matches(t);
        assert!(
            matches("pre*post", "pre-x-post")
                && matches("pre*post", "prepost")
                && !matches("pre*post", "prepos")
        );
        assert!(!matches("ab*ba", "aba"));
        assert!(matches("*", "") && matches("*a*", "bab") && !matches("*a*", "bbb"));
        assert!(matches(r"\*", "*") && !matches(r"\*", "x"));
        assert!(Pattern::parse(r"\x").is_err());
    }
}
