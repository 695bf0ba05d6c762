//! As much of HTTP/1.1 as a load client needs: requests as bytes, answers from bytes.
//!
//! In:    what arrived on a connection.
//! Out:   a whole answer, or that more has to come.
//! Law:   an answer is taken for what it is only if its head says 200 and how long its body is.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A request with a key.
pub fn post(host: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    request("POST", host, path, key, body)
}

fn request(method: &str, host: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\nuser-agent: load\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// An answer.
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
    /// All bytes of it.
    pub length: usize,
}

/// The answer that `bytes` begin with, once it is whole; an error if it can't become one.
pub fn answer(bytes: &[u8]) -> Result<Option<Answer<'_>>, String> {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "an answer whose head isn't text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| format!("not HTTP/1.1: {head}"))?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.ok_or_else(|| format!("an answer without a length: {head}"))?;
    let whole = end + 4 + length;
    Ok(bytes.get(end + 4..whole).map(|body| Answer { status, body, length: whole }))
}

/// Where a needle begins.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(hay, needle)
}

/// One request on a connection of its own, for preparing.
pub fn ask(address: &str, method: &str, path: &str, key: &str, body: &Value) -> Result<Value, String> {
    let failed = |e: std::io::Error| format!("{method} {path}: {e}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(120))).map_err(failed)?;
    let text = if body.is_null() { String::new() } else { body.to_string() };
    stream.write_all(&request(method, address, path, key, &text)).map_err(failed)?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        if let Some(found) = answer(&bytes)? {
            let body = String::from_utf8_lossy(found.body).into_owned();
            return match found.status {
                200..300 => Ok(serde_json::from_str(&body).unwrap_or(Value::String(body))),
                status => Err(format!("{method} {path}: {status} {body}")),
            };
        }
        match stream.read(&mut buffer).map_err(failed)? {
            0 => return Err(format!("{method} {path}: the connection ended early")),
            n => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}
