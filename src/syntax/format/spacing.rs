//! Whether a space stands between two tokens of one line.

use crate::syntax::lex::{self, Token, TokenKind, word_class};

/// Walks over tokens and says of each whether a space stands before it.
#[derive(Default)]
pub(super) struct Spacing {
    previous: Option<Token>,
    /// The previous token can end an operand, so that a minus after it subtracts.
    operand: bool,
    /// The previous token is a minus that stands before a number.
    sign: bool,
    after_dot: bool,
    /// Open `Set<`s.
    sets: usize,
}

impl Spacing {
    /// Whether a space stands before this token, if both are on one line.
    pub(super) fn before(&mut self, text: &str, token: Token) -> bool {
        let word = &text[token.start..token.end];
        let previous = self.previous.map_or("", |p| &text[p.start..p.end]);
        let set = previous == "Set" && word == "<" && !self.after_dot;
        let ends_set = word == ">" && self.sets > 0;
        let tight = self.previous.is_none()
            || matches!(word, "," | ")" | "]" | ":" | "?" | ".")
            || matches!(previous, "(" | "[" | ".")
            || previous == "{" && word == "}"
            || previous == "<" && self.sets > 0
            || word == "(" && self.calls(previous)
            || self.sign
            || set
            || ends_set;
        self.sets = if set { self.sets + 1 } else { self.sets.saturating_sub(usize::from(ends_set)) };
        self.sign = word == "-" && !self.operand;
        self.operand = match token.kind {
            TokenKind::Word => self.after_dot || word_class(word) & lex::EXPECTS == 0,
            TokenKind::Number | TokenKind::Text | TokenKind::Close(_) => true,
            _ => false,
        };
        self.after_dot = word == ".";
        self.previous = Some(token);
        !tight
    }

    /// Whether a parenthesis after the previous token holds arguments or parameters.
    fn calls(&self, previous: &str) -> bool {
        self.previous.is_some_and(|p| p.kind == TokenKind::Word)
            && word_class(previous) & (lex::EXPECTS | lex::NOT) == 0
    }
}
