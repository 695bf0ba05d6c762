//! What authors write out of habit, in this language's words, and how it is written here.

use super::words::foreign_clause;
use super::{Scene, near_clause};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::cut::PieceKind;
use crate::syntax::lex::{self, Lexer, Token, TokenKind, word_class};
use crate::syntax::parse::{Rule, Stop};

/// Names in quotes, dates and durations as prose, and conditions as other languages join them.
pub(super) fn habit(scene: &Scene<'_>, stop: &Stop) -> Option<Diagnostic> {
    let found = scene.found?;
    quoted_name(scene, stop, found)
        .or_else(|| date(scene, found))
        .or_else(|| duration(scene, found))
        .or_else(|| not_in(scene, found))
        .or_else(|| between(scene, found))
        .or_else(|| comma(scene, stop, found))
        .or_else(|| arrow(scene, found))
}

/// What stands where the `to` of a rule is wanted, when that `to` comes later: an id, an `or`, a condition.
pub(super) fn before_to(scene: &Scene<'_>) -> Option<Diagnostic> {
    let found = scene.found?;
    let word = scene.slice(found);
    if !to_before_on(scene, found) {
        return None;
    }
    let diagnostic = scene.expected("`,` or `to`");
    if matches!(word, "or" | "and") {
        let gap = Span { end: scene.span().end, ..scene.end() };
        return Some(diagnostic.help("who may is a list: write `,`").fix(gap, ","));
    }
    if foreign_clause(word).is_some() || near_clause(word).is_some() || word_class(word) & lex::CLAUSE != 0 {
        let help =
            "conditions stand in `when`, behind what it is done to: `allow WHO to ACTIONS on WHAT when …`";
        return Some(diagnostic.help(help));
    }
    if !matches!(found.kind, TokenKind::Word | TokenKind::Number) || word_class(word) != 0 {
        return None;
    }
    let span = run(scene, found);
    let id = &scene.text[span.range()];
    let diagnostic = diagnostic.help(format!("an id stands in quotes: `{} \"{id}\"`", scene.last()));
    let next = Lexer::new(scene.text, span.end as usize).next();
    Some(if matches!(scene.word(next), "to" | ",") {
        diagnostic.fix(span, format!("\"{id}\""))
    } else {
        diagnostic
    })
}

/// Whether a `to` stands between this token and the rule's `on`.
fn to_before_on(scene: &Scene<'_>, from: Token) -> bool {
    let mut words = Lexer::new(scene.text, from.end).map(|t| scene.slice(t));
    words.find(|w| matches!(*w, "to" | "on")) == Some("to")
}

/// A token with what sticks to it: `2027-01-01`, `ana-b`.
fn run(scene: &Scene<'_>, first: Token) -> Span {
    let mut end = first.end;
    for token in Lexer::new(scene.text, first.end) {
        let part = matches!(token.kind, TokenKind::Word | TokenKind::Number)
            || matches!(scene.slice(token), "-" | "." | ":" | "@" | "/");
        if token.start != end || !part {
            break;
        }
        end = token.end;
    }
    Span::new(scene.id, first.start, end)
}

/// The n-th token before the stop, from 0.
fn back<'a>(scene: &Scene<'a>, n: usize) -> &'a str {
    scene.before.iter().rev().nth(n).map_or("", |t| scene.slice(*t))
}

/// The span of the name or path that ends `n` tokens before the stop, when it is all of its operand.
fn operand(scene: &Scene<'_>, n: usize) -> Option<Span> {
    let tokens = &scene.before[..scene.before.len().checked_sub(n)?];
    let (last, rest) = tokens.split_last()?;
    let mut start = last.start;
    let mut left = rest;
    while let Some((token, before)) = left.split_last() {
        if token.end != start || !(token.kind == TokenKind::Word || scene.slice(*token) == ".") {
            break;
        }
        (start, left) = (token.start, before);
    }
    let sum = left.last().is_some_and(|t| t.kind == TokenKind::Sign && scene.slice(*t) != ",");
    (last.kind == TokenKind::Word && !sum).then(|| Span::new(scene.id, start, last.end))
}

/// `has role "viewer"`, `is "user"`, `ask "mfa"`
fn quoted_name(scene: &Scene<'_>, stop: &Stop, found: Token) -> Option<Diagnostic> {
    let wanted = stop.expected.iter().any(|r| matches!(r, Rule::name | Rule::head_name | Rule::actions));
    let words = match (back(scene, 1), scene.last()) {
        ("has", "role") => "has role",
        ("is", "not") => "is not",
        (_, word @ ("is" | "ask" | "by" | "under" | "includes" | "to")) => word,
        _ => return None,
    };
    if found.kind != TokenKind::Text || !wanted {
        return None;
    }
    let name = scene.slice(found).trim_matches('"');
    let diagnostic = scene.expected("a name").help(format!("it stands without quotes: `{words} {name}`"));
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let plain = first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    Some(if plain { diagnostic.fix(scene.span(), name) } else { diagnostic })
}

/// `until 2027-01-01`
fn date(scene: &Scene<'_>, found: Token) -> Option<Diagnostic> {
    if scene.last() != "until" || found.kind != TokenKind::Number {
        return None;
    }
    let span = run(scene, found);
    let text = &scene.text[span.range()];
    let day = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    let diagnostic =
        Diagnostic::new(Code::E0001, span, "expected a text in double quotes", format!("found `{text}`"));
    Some(if day {
        let write = format!("\"{text}T00:00:00Z\"");
        diagnostic.help(format!("a time stands in quotes, with its hour: `{write}`")).fix(span, write)
    } else {
        diagnostic.help("a time stands in quotes: `\"2027-01-01T00:00:00Z\"`")
    })
}

/// `90 days`
fn duration(scene: &Scene<'_>, found: Token) -> Option<Diagnostic> {
    let number = *scene.before.last()?;
    let digits = scene.slice(number);
    if number.kind != TokenKind::Number || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let word = scene.slice(found).to_ascii_lowercase();
    let unit = match word.strip_suffix('s').filter(|w| w.len() > 1).unwrap_or(&word) {
        "week" | "w" => "w",
        "day" | "d" => "d",
        "hour" | "hr" | "h" => "h",
        "minute" | "min" | "m" => "m",
        "second" | "sec" | "s" => "s",
        "millisecond" | "ms" => "ms",
        "month" | "year" => "",
        _ => return None,
    };
    let span = Span::new(scene.id, number.start, found.end);
    let text = &scene.text[span.range()];
    let message = format!("`{text}` is not a Duration such as 90d or \"12h 30m\"");
    let diagnostic = Diagnostic::new(Code::E0010, span, message, "cannot be read");
    Some(if unit.is_empty() {
        diagnostic.help("months and years differ in length: count days, such as `90d`")
    } else {
        diagnostic.help(format!("write `{digits}{unit}`")).fix(span, format!("{digits}{unit}"))
    })
}

/// `x is not in [a]`, `x is in [a]`, `x not in [a]`
fn not_in(scene: &Scene<'_>, found: Token) -> Option<Diagnostic> {
    let tokens = &scene.before;
    let (from, end, n) = if scene.last() == "in" && back(scene, 1) == "not" && back(scene, 2) == "is" {
        (tokens[tokens.len() - 3], tokens[tokens.len() - 1].end, 3)
    } else if scene.last() == "in" && back(scene, 1) == "is" {
        let span = Span::new(scene.id, tokens[tokens.len() - 2].start, tokens[tokens.len() - 1].end);
        let diagnostic = Diagnostic::new(Code::E0001, span, "`is in` is written `in`", "two words for one");
        return Some(diagnostic.help("write `in`").fix(span, "in"));
    } else if scene.slice(found) == "not" && scene.word(scene.next) == "in" {
        (found, scene.next?.end, 0)
    } else {
        return None;
    };
    let span = Span::new(scene.id, from.start, end);
    let message = format!("`{}` puts its `not` first", &scene.text[span.range()]);
    let diagnostic = Diagnostic::new(Code::E0001, span, message, "`not` stands too late");
    Some(match operand(scene, n) {
        Some(left) => {
            let write = format!("not {} in", &scene.text[left.range()]);
            diagnostic.help(format!("write `{write} …`")).fix(Span { end: span.end, ..left }, write)
        }
        None => diagnostic.help("put the `not` first: `not a in b`"),
    })
}

/// `x between 1 and 5`
fn between(scene: &Scene<'_>, found: Token) -> Option<Diagnostic> {
    let (word, n) = if scene.slice(found) == "between" {
        (found, 0)
    } else if scene.last() == "between" && back(scene, 1) == "is" {
        (*scene.before.last()?, 2)
    } else {
        return None;
    };
    let span = Span::new(scene.id, word.start, word.end);
    let diagnostic =
        Diagnostic::new(Code::E0001, span, "`between` is two comparisons", "another language's word");
    let Some((write, whole)) = between_bounds(scene, word, n) else {
        return Some(diagnostic.help("write `x >= LEAST and x <= MOST`"));
    };
    Some(diagnostic.help(format!("write `{write}`")).fix(whole, write))
}

/// The comparisons that a `between` stands for, and what they replace.
fn between_bounds(scene: &Scene<'_>, word: Token, n: usize) -> Option<(String, Span)> {
    let value = |t: Token| {
        matches!(t.kind, TokenKind::Number | TokenKind::Text)
            || t.kind == TokenKind::Word && word_class(scene.slice(t)) == 0
    };
    let left = operand(scene, n)?;
    let mut after = Lexer::new(scene.text, word.end);
    let least = run(scene, after.next().filter(|t| value(*t))?);
    let mut after = Lexer::new(scene.text, least.end as usize);
    after.next().filter(|t| scene.slice(*t) == "and")?;
    let most = run(scene, after.next().filter(|t| value(*t))?);
    let slice = |s: Span| &scene.text[s.range()];
    let (x, least, end) = (slice(left), slice(least), most.end);
    let both = format!("{x} >= {least} and {x} <= {}", slice(most));
    let joined = Lexer::new(scene.text, scene.piece.start as usize)
        .any(|t| matches!(scene.slice(t), "or" | "not" | "||" | "!"));
    Some((if joined { format!("({both})") } else { both }, Span { end, ..left }))
}

/// `when a, b`
fn comma(scene: &Scene<'_>, stop: &Stop, found: Token) -> Option<Diagnostic> {
    let in_condition = stop.expected.contains(&Rule::logic_op) && !stop.expected.contains(&Rule::comma);
    if scene.slice(found) != "," || !in_condition {
        return None;
    }
    let diagnostic = scene.expected("`and` or `or`");
    let next = scene.word(scene.next);
    if next.is_empty() || word_class(next) & lex::CLAUSE != 0 {
        return Some(diagnostic.help("no `,` stands here; take it out").fix(scene.span(), ""));
    }
    let diagnostic = diagnostic.help("join conditions with `and`");
    let or = Lexer::new(scene.text, scene.piece.start as usize).any(|t| scene.slice(t) == "or");
    Some(if or { diagnostic } else { diagnostic.fix(scene.span(), " and") })
}

/// `=>` and `=<`
fn arrow(scene: &Scene<'_>, found: Token) -> Option<Diagnostic> {
    let equals = *scene.before.last()?;
    let write = match scene.slice(found) {
        ">" => ">=",
        "<" => "<=",
        _ => return None,
    };
    if scene.slice(equals) != "=" || equals.end != found.start || scene.piece.kind == PieceKind::Action {
        return None;
    }
    let span = Span::new(scene.id, equals.start, found.end);
    let message = format!("`{}` is not an operator of this language", &scene.text[span.range()]);
    Some(
        Diagnostic::new(Code::E0007, span, message, "another language's operator")
            .help(format!("write `{write}`"))
            .fix(span, write),
    )
}
