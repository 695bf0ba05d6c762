//! Names resolved, types known: syntax trees to a [`program::Program`].
//!
//! In:    the parsed files of one set; file order and file boundaries mean nothing.
//! Out:   a [`Program`] when there is no error, and every diagnostic, in source order.
//! Law:   one mistake, one diagnostic: what is already wrong has a type that agrees with everything.

mod actions;
mod calls;
mod cover;
mod declare;
mod expr;
mod facts;
mod heads;
pub mod lint;
mod names;
mod operators;
mod paths;
pub mod program;
mod rules;
mod sets;
mod solve;
mod types;

use crate::diagnostic::Diagnostic;
use crate::source::Sources;
use crate::syntax::ast;
use names::Checker;
use program::Program;

/// Checks a whole set.
///
/// - Errors: the program is `None` if any diagnostic is an error.
pub fn check(sources: &Sources, files: &[ast::File]) -> (Option<Program>, Vec<Diagnostic>) {
    let mut checker = Checker::new(sources);
    checker.declare(files);
    checker.conditions(files);
    checker.blocks(files);
    checker.finish(files)
}

/// Checks the rules of a key's own policy text against a checked set: they become the one boundary, named `key`, of
/// a program with the set's vocabulary and conditions.
///
/// - Errors: every diagnostic of the text; warnings are dropped.
pub fn check_key_policy(
    set: &Program,
    sources: &Sources,
    rules: Vec<ast::Rule>,
) -> Result<Program, Vec<Diagnostic>> {
    let mut checker = Checker::over(sources, set);
    checker.key_policy(rules);
    let (program, diagnostics) = checker.finish(&[]);
    program.ok_or(diagnostics)
}
