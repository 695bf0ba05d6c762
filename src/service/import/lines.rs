//! The lines of a file, one at a time, with their numbers.
//!
//! In:    a reader.
//! Out:   lines that are text and no longer than [`LINE_BYTES_MAX`]; blank ones are skipped, a byte order mark too.
//! Law:   memory doesn't grow with the file.

use std::io::{BufRead, Read};

/// Bytes of a line.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// From 1.
    pub number: u64,
    /// Its text, without the end of line.
    pub text: &'a str,
    /// Bytes read so far, this line included.
    pub bytes: u64,
}

/// Reads lines.
pub struct Lines<R> {
    from: R,
    held: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl<R: BufRead> Lines<R> {
    /// Of a reader.
    pub fn new(from: R) -> Lines<R> {
        Lines { from, held: Vec::new(), number: 0, bytes: 0 }
    }

    /// The next line that isn't blank; none at the end. An error ends it: its line, and what is wrong.
    pub fn next(&mut self) -> Result<Option<Line<'_>>, (u64, String)> {
        loop {
            self.held.clear();
            let some = (&mut self.from).take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut self.held);
            self.number += 1;
            let number = self.number;
            let read = some.map_err(|e| (number, format!("can't be read: {e}")))?;
            if read == 0 {
                return Ok(None);
            }
            if read > LINE_BYTES_MAX {
                return Err((number, format!("the line is longer than {LINE_BYTES_MAX} bytes")));
            }
            self.bytes += read as u64;
            if self.held.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            break;
        }
        let (number, bytes) = (self.number, self.bytes);
        let text = std::str::from_utf8(&self.held)
            .map_err(|e| (number, format!("it is not UTF-8 text from byte {} on", e.valid_up_to() + 1)))?;
        let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text };
        Ok(Some(Line { number, text: text.trim_end_matches(['\n', '\r']), bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<Result<(u64, String), (u64, String)>> {
        let mut lines = Lines::new(text);
        let mut found = Vec::new();
        loop {
            match lines.next() {
                Ok(None) => return found,
                Ok(Some(line)) => found.push(Ok((line.number, line.text.to_owned()))),
                Err(error) => {
                    found.push(Err(error));
                    return found;
                }
            }
        }
    }

    #[test]
    fn lines_have_their_numbers() {
        let found = read("\u{feff}a\r\n\n  \nb\nc".as_bytes());
        let line = |n: u64, text: &str| Ok((n, text.to_owned()));
        assert_eq!(found, [line(1, "a"), line(4, "b"), line(5, "c")]);
    }

    #[test]
    fn what_is_no_line_is_named() {
        assert_eq!(
            read(b"a\n\xff"),
            [Ok((1, "a".to_owned())), Err((2, "it is not UTF-8 text from byte 1 on".to_owned()))]
        );
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        assert!(matches!(&read(&long)[..], [Err((1, said))] if said.contains("longer")));
    }
}
