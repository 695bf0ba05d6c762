//! Shapes of calls, lists and arguments that come from elsewhere, each with how it is said here.
//!
//! In:  where the grammar stopped.
//! Out: a diagnostic if the words around the stop are a known habit.

use super::{Scene, Stop};
use crate::diagnostic::Diagnostic;
use crate::syntax::cut::PieceKind;
use crate::syntax::parse::Rule;

/// Recognizes a habit by the words on both sides of the stop.
pub(super) fn habit(scene: &Scene<'_>, stop: &Stop) -> Option<Diagnostic> {
    let expects = |wanted| stop.expected.contains(&wanted);
    let (last, found) = (scene.last(), scene.word(scene.found));
    let (what, help) = match (last, found) {
        ("until", _) if expects(Rule::quoted) => {
            ("a text in double quotes", "a time stands in quotes: `until \"2026-12-31T00:00:00Z\"`")
        }
        ("because", _) if expects(Rule::quoted) => {
            ("a text in double quotes", "the reason is a text: `because \"…\"`")
        }
        ("ask", text) if text.starts_with('"') => {
            ("a name", "what would lift the denial is a name: `ask approval`")
        }
        ("at", text) if text.starts_with('"') => {
            ("a kind of scope", "say of which kind the place is: `at project \"…\"`")
        }
        ("group", _) if expects(Rule::quoted) && scene.piece.kind == PieceKind::Rule => {
            ("a text in double quotes", "one group is written `group \"…\"`")
        }
        ("has", _) if expects(Rule::kw_role) => ("`role`", "write `account has role NAME`"),
        (",", "") if scene.piece.kind == PieceKind::Rule => {
            ("a name", "take the comma out: rules stand below one another without one")
        }
        (_, "exists") if expects(Rule::expr) || expects(Rule::path) => {
            ("a condition", "`exists` stands behind what it asks for: `resource.owner exists`")
        }
        (_, "between") if expects(Rule::kw_exists) => ("an operator", "write `x >= a and x <= b`"),
        (_, "like") if expects(Rule::kw_exists) => ("an operator", "write `text matches \"pre*\"`"),
        ("any" | "all" | "every" | "each", _) if expects(Rule::kw_to) => {
            ("`to`", "name the kind alone: `allow user to …` is about every user")
        }
        (_, ",") if list_in_parentheses(scene) => ("an operator or `)`", "a set stands in `[ … ]`"),
        (_, "[") if expects(Rule::type_expr) || expects(Rule::set_type) => {
            ("a type", "a set is written `Set<String>`")
        }
        ("List" | "list" | "Array" | "Vec" | "set", "<") => ("a type", "a set is written `Set<String>`"),
        _ => return None,
    };
    Some(scene.expected(what).help(help))
}

/// `in (a, b)`: the innermost bracket is a parenthesis behind a word that wants a set.
pub(super) fn list_in_parentheses(scene: &Scene<'_>) -> bool {
    let Some(open) = scene.bracket() else { return false };
    let before = scene.before.iter().rev().find(|t| t.end <= open.start);
    scene.slice(open) == "(" && before.is_some_and(|t| matches!(scene.slice(*t), "in" | "of" | "contains"))
}
