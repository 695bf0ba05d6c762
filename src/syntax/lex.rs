//! Tokens, and characters that no source may hold.
//!
//! In:  a text.
//! Out: [`Lexer`], its tokens one by one, comments among them; [`check_characters`], its invisible characters.
//! Law: linear time, no memory of its own, and no text is skipped but white space.

use crate::diagnostic::{Code, Diagnostic};
use crate::source::{SourceId, Span};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A name or a word of the language.
    Word,
    /// Digits and what sticks to them.
    Number,
    /// A text in double quotes, closed on its line.
    Text,
    /// A text in double quotes that its line does not close.
    OpenText,
    /// A text in single quotes, closed on its line.
    SingleText,
    /// A comment, its line end excluded.
    Comment,
    /// `( [ {`
    Open(u8),
    /// `) ] }`
    Close(u8),
    /// Other signs of one byte or two, such as `==`.
    Sign,
    /// A character that the language does not use.
    Other,
}

/// One token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: TokenKind,
    /// Its first byte.
    pub(crate) start: usize,
    /// One past its last byte.
    pub(crate) end: usize,
}

/// Walks over a text token by token.
#[derive(Clone, Copy)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

const WORD: u8 = 1;
const DIGIT: u8 = 2;
const SPACE: u8 = 4;

/// What each byte may be part of.
static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        table[i] = if b.is_ascii_alphabetic() || b == b'_' {
            WORD
        } else if b.is_ascii_digit() {
            DIGIT
        } else if matches!(b, b' ' | b'\t' | b'\r' | b'\n') {
            SPACE
        } else {
            0
        };
        i += 1;
    }
    table
};

fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

impl<'a> Lexer<'a> {
    /// A lexer that starts at byte `at`.
    pub(crate) fn new(text: &'a str, at: usize) -> Self {
        Lexer { text, at }
    }

    /// The bytes from `from` on of this class.
    fn run(&self, from: usize, class: u8) -> usize {
        let bytes = self.text.as_bytes();
        bytes[from..].iter().position(|b| !is(*b, class)).map_or(bytes.len(), |n| from + n)
    }

    /// The next token that is no comment.
    pub(crate) fn next_code(&mut self) -> Option<Token> {
        self.by_ref().find(|t| t.kind != TokenKind::Comment)
    }

    /// The end of a quoted text that opens at `start`, and whether it is closed on its line.
    fn quoted(&self, start: usize) -> (usize, bool) {
        let bytes = self.text.as_bytes();
        let quote = bytes[start];
        let mut at = start + 1;
        while at < bytes.len() {
            match bytes[at] {
                b'\n' => return (at, false),
                b'\\' if at + 1 < bytes.len() && bytes[at + 1] != b'\n' => at += 2,
                b if b == quote => return (at + 1, true),
                _ => at += 1,
            }
        }
        (bytes.len(), false)
    }

    fn line_end(&self, from: usize) -> usize {
        let bytes = self.text.as_bytes();
        let end = bytes[from..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| from + n);
        if end > from && bytes[end - 1] == b'\r' { end - 1 } else { end }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let bytes = self.text.as_bytes();
        let start = self.run(self.at, SPACE);
        let first = *bytes.get(start)?;
        let second = bytes.get(start + 1).copied().unwrap_or(0);
        let (kind, end) = match first {
            b if is(b, WORD) => (TokenKind::Word, self.run(start, WORD | DIGIT)),
            b if is(b, DIGIT) => {
                let mut end = self.run(start, WORD | DIGIT);
                while bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(|b| is(*b, DIGIT)) {
                    end = self.run(end + 1, WORD | DIGIT);
                }
                (TokenKind::Number, end)
            }
            b'/' if second == b'/' => (TokenKind::Comment, self.line_end(start)),
            b'"' => match self.quoted(start) {
                (end, true) => (TokenKind::Text, end),
                (end, false) => (TokenKind::OpenText, end),
            },
            b'\'' => match self.quoted(start) {
                (end, true) => (TokenKind::SingleText, end),
                (_, false) => (TokenKind::Other, start + 1),
            },
            b @ (b'(' | b'[' | b'{') => (TokenKind::Open(b), start + 1),
            b @ (b')' | b']' | b'}') => (TokenKind::Close(b), start + 1),
            b'=' | b'!' if self.text[start..].starts_with("===") || self.text[start..].starts_with("!==") => {
                (TokenKind::Sign, start + 3)
            }
            b'=' | b'!' | b'<' | b'>' if second == b'=' => (TokenKind::Sign, start + 2),
            b'<' if second == b'>' => (TokenKind::Sign, start + 2),
            b'&' | b'|' if second == first => (TokenKind::Sign, start + 2),
            b'.' | b',' | b':' | b'=' | b'<' | b'>' | b'+' | b'-' | b'?' | b'|' | b'!' | b';' => {
                (TokenKind::Sign, start + 1)
            }
            _ => {
                let width = self.text[start..].chars().next().map_or(1, char::len_utf8);
                (TokenKind::Other, start + width)
            }
        };
        self.at = end;
        Some(Token { kind, start, end })
    }
}

/// Whether a character hides or reorders text, or cannot be seen.
fn hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn name_of(c: char) -> &'static str {
    match c {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}' => {
            "reorders the text around it"
        }
        '\r' => "a carriage return that no line feed follows",
        '\u{200b}'..='\u{206f}' | '\u{feff}' | '\u{ad}' | '\u{180e}' => "cannot be seen",
        _ => "a control character",
    }
}

/// Reports every run of hidden characters from byte `from` on; at most `most` reports.
pub(crate) fn check_characters(text: &str, id: SourceId, from: usize, most: usize) -> Vec<Diagnostic> {
    let bytes = text.as_bytes();
    let plain = |b: u8| (b' '..0x7f).contains(&b) || b == b'\n' || b == b'\t';
    let mut found: Vec<Diagnostic> = Vec::new();
    let mut at = from;
    while let Some(step) = bytes[at..].iter().position(|b| !plain(*b)) {
        let start = at + step;
        let c = text[start..].chars().next().unwrap_or(' ');
        at = start + c.len_utf8();
        if !(hidden(c) || (c == '\r' && bytes.get(at) != Some(&b'\n'))) {
            continue;
        }
        if let Some(last) = found.last_mut()
            && last.labels[0].span.end as usize == start
        {
            last.labels[0].span = Span::new(id, last.labels[0].span.start as usize, at);
            if let Some(fix) = &mut last.fix {
                fix.span = last.labels[0].span;
            }
            continue;
        }
        if found.len() == most {
            break;
        }
        let span = Span::new(id, start, at);
        let message = format!("the character U+{:04X} is not allowed in a source", u32::from(c));
        let help = format!("take it out; inside a text write it as `\\u{{{:x}}}`", u32::from(c));
        found.push(Diagnostic::new(Code::E0003, span, message, name_of(c)).help(help).fix(span, ""));
    }
    found
}

/// What a word may do, as a set of the constants below.
pub(crate) type WordClass = u16;
/// Opens a top-level declaration.
pub(crate) const STARTER: WordClass = 1;
/// `allow`, `deny` and what other languages write for them.
pub(crate) const EFFECT: WordClass = 2;
/// Opens a step of a test.
pub(crate) const STEP: WordClass = 4;
/// A name or an operand must follow.
pub(crate) const EXPECTS: WordClass = 8;
/// Stands after an operand or a name.
pub(crate) const AFTER: WordClass = 16;
/// `if` and `satisfies`: what follows is one level deeper.
pub(crate) const NESTS: WordClass = 32;
/// `any`, `all`
pub(crate) const QUANTIFIER: WordClass = 64;
/// `not`
pub(crate) const NOT: WordClass = 128;
/// `expect`
pub(crate) const EXPECT: WordClass = 256;
/// Opens a clause of a rule.
pub(crate) const CLAUSE: WordClass = 512;

/// What a word may do; nothing for most names.
pub(crate) fn word_class(word: &str) -> WordClass {
    match word.len() {
        2 => match word {
            "to" | "do" | "of" | "by" => EXPECTS,
            "on" | "in" | "is" | "or" => EXPECTS | AFTER,
            "at" => EXPECTS | AFTER | CLAUSE,
            "if" => EXPECTS | NESTS,
            _ => 0,
        },
        3 => match word {
            "and" | "has" => EXPECTS | AFTER,
            "not" => EXPECTS | NOT,
            "any" | "all" => EXPECTS | QUANTIFIER,
            "ask" => EXPECTS | AFTER | CLAUSE,
            "let" => STEP,
            "for" => STEP | EXPECTS,
            _ => 0,
        },
        4 => match word {
            "enum" | "test" => STARTER,
            "role" => STARTER | EXPECTS,
            "deny" => EFFECT,
            "when" => EXPECTS | AFTER | CLAUSE,
            "then" | "else" => EXPECTS | AFTER,
            "from" | "with" => AFTER,
            "bind" | "link" => STEP,
            _ => 0,
        },
        5 => match word {
            "scope" | "group" | "prove" => STARTER,
            "allow" | "grant" => EFFECT,
            "until" => EXPECTS | AFTER | CLAUSE,
            "under" | "using" => EXPECTS,
            _ => 0,
        },
        6 => match word {
            "record" | "action" | "policy" => STARTER,
            "permit" | "forbid" => EFFECT,
            "exists" => AFTER,
            "unless" => EXPECTS | AFTER | CLAUSE,
            "stored" | "acting" => AFTER,
            "attach" => STEP,
            "expect" => EXPECT,
            _ => 0,
        },
        7 => match word {
            "account" => STARTER,
            "context" => STARTER | STEP,
            "matches" => EXPECTS | AFTER,
            "because" => EXPECTS | AFTER | CLAUSE,
            _ => 0,
        },
        8 => match word {
            "resource" | "boundary" => STARTER,
            "contains" => EXPECTS | AFTER,
            "supplied" => AFTER,
            "includes" => EXPECTS,
            _ => 0,
        },
        9 => match word {
            "condition" => STARTER,
            "satisfies" => EXPECTS | AFTER | NESTS,
            _ => 0,
        },
        _ => 0,
    }
}
