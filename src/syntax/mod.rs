//! Text to syntax tree and back.
//!
//! In:  a source text.
//! Out: [`ast::File`] and what is wrong with the text; or the text in its one layout.
//! Law: `cut` bounds what `parse` hands to the grammar, so nothing here recurses deeper than the nesting limit.

pub mod ast;
mod build;
mod complain;
mod cut;
pub mod format;
mod lex;
pub mod parse;
