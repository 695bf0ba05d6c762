//! Queries and cursors.
//!
//! In:    the query of a URL.
//! Out:   its fields, decoded; a cursor, opaque and authenticated.
//! Law:   a cursor is bound to who got it, and to the collection and filters it came from; a changed one is refused.

use crate::service::pepper::Peppers;
use crate::service::problem::Problem;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Decodes `%41` and, in a query, `+`.
pub fn decode(text: &str, plus: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            b'+' if plus => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// The fields of a query; each once.
pub fn fields(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut found: Vec<(String, String)> = Vec::new();
    for part in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (Some(name), Some(value)) = (decode(name, true), decode(value, true)) else {
            return Err(Problem::invalid("the query isn't percent-encoded UTF-8"));
        };
        if found.iter().any(|(n, _)| *n == name) {
            return Err(Problem::field(name, "given twice in the query"));
        }
        found.push((name, value));
    }
    Ok(found)
}

/// A cursor that goes on after a uid.
pub fn cursor(peppers: &Peppers, bound: &str, after: &str) -> String {
    let code = peppers.code(peppers.current(), &format!("cursor\0{bound}\0{after}"));
    format!("{}.{}", URL_SAFE_NO_PAD.encode(after), URL_SAFE_NO_PAD.encode(&code[..16]))
}

/// After which uid a cursor goes on.
pub fn after(peppers: &Peppers, bound: &str, given: &str) -> Result<String, Problem> {
    let wrong =
        || Problem::field("cursor", "it isn't a cursor of this list for this caller: begin without one");
    let (after, _) = given.split_once('.').ok_or_else(wrong)?;
    let after =
        URL_SAFE_NO_PAD.decode(after).ok().and_then(|b| String::from_utf8(b).ok()).ok_or_else(wrong)?;
    if cursor(peppers, bound, &after) == given { Ok(after) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_once() {
        let read = fields("role=policyd%2Fowner&x=a+b").unwrap();
        assert_eq!(read, [("role".to_owned(), "policyd/owner".to_owned()), ("x".into(), "a b".into())]);
        assert!(fields("a=1&a=2").is_err() && fields("a=%ff").is_err() && fields("a=%4").is_err());
    }

    #[test]
    fn a_cursor_is_its_lists_and_its_callers() {
        let peppers = Peppers::fresh();
        let given = cursor(&peppers, "key_1 users", "usr_1");
        assert_eq!(after(&peppers, "key_1 users", &given).unwrap(), "usr_1");
        assert!(after(&peppers, "key_2 users", &given).is_err());
        assert!(after(&peppers, "key_1 users", &given.replace('.', "A.")).is_err());
    }
}
