//! What to tell an author about a piece that the grammar cannot read: one diagnostic, at the exact place.
//!
//! In:  the text, the piece, where the grammar stopped and what it would have gone on with.
//! Out: a diagnostic that says in people's words what was expected, and how other languages' habits are written here.
//! Law: only pieces that cannot be read come here; the cost is linear in the piece.

mod habits;
mod shapes;
mod words;

use self::habits::{before_to, habit};
use self::words::{foreign_clause, human, other_sign, shape, summed};
use super::ast::Name;
use super::cut::{Piece, PieceKind};
use super::lex::{self, Lexer, Token, TokenKind, word_class};
use super::parse::{Rule, Stop};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::{SourceId, Span};
use smol_str::SmolStr;

const STARTERS: [&str; 13] = [
    "scope",
    "account",
    "resource",
    "group",
    "enum",
    "record",
    "action",
    "context",
    "condition",
    "policy",
    "role",
    "boundary",
    "test",
];
const CLAUSES: [&str; 6] = ["at", "when", "unless", "until", "because", "ask"];
const STEPS: [&str; 8] = ["let", "bind", "link", "attach", "context", "allow", "deny", "for"];

const DASHED: &str = "a name has no `-`; use `_` (kinds, actions and roles may carry another name in quotes)";

/// What the diagnostics of one piece are made from.
struct Scene<'a> {
    text: &'a str,
    id: SourceId,
    piece: Piece,
    /// The tokens before the stop.
    before: Vec<Token>,
    /// The token at the stop; `None` when the piece ends there.
    found: Option<Token>,
    /// The token after it.
    next: Option<Token>,
}

impl<'a> Scene<'a> {
    fn new(text: &'a str, id: SourceId, piece: Piece, at: usize) -> Self {
        let text = &text[..piece.end as usize];
        let mut tokens = Lexer::new(text, piece.start as usize).filter(|t| t.kind != TokenKind::Comment);
        let (mut before, mut found) = (Vec::new(), None);
        for token in tokens.by_ref() {
            if token.end > at {
                found = Some(token);
                break;
            }
            before.push(token);
        }
        Scene { text, id, piece, before, found, next: tokens.next() }
    }

    fn slice(&self, token: Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    fn word(&self, token: Option<Token>) -> &'a str {
        token.map_or("", |t| self.slice(t))
    }

    fn last(&self) -> &'a str {
        self.word(self.before.last().copied())
    }

    /// Where the stop is: the token found there, or the end of the last one.
    fn span(&self) -> Span {
        match self.found {
            Some(t) => Span::new(self.id, t.start, t.end),
            None => self.end(),
        }
    }

    /// The empty span behind the last token before the stop.
    fn end(&self) -> Span {
        let end = self.before.last().map_or(self.piece.start as usize, |t| t.end);
        Span::new(self.id, end, end)
    }

    /// The innermost bracket open at the stop.
    fn bracket(&self) -> Option<Token> {
        let mut open: Vec<Token> = Vec::new();
        for token in &self.before {
            match token.kind {
                TokenKind::Open(_) => open.push(*token),
                TokenKind::Close(_) => {
                    open.pop();
                }
                _ => {}
            }
        }
        open.pop()
    }

    fn has_before(&self, word: &str) -> bool {
        self.before.iter().any(|t| self.slice(*t) == word)
    }

    fn shown(&self) -> String {
        match self.found {
            Some(t) if t.end - t.start <= 40 => format!("found `{}`", self.slice(t)),
            Some(_) => "found this".to_owned(),
            None => match self.piece.kind {
                PieceKind::Rule => "the rule ends here",
                PieceKind::Step => "the step ends here",
                _ => "the declaration ends here",
            }
            .to_owned(),
        }
    }

    fn expected(&self, what: &str) -> Diagnostic {
        Diagnostic::new(Code::E0001, self.span(), format!("expected {what}"), self.shown())
    }
}

/// Explains why a piece cannot be read; `anew` when what stands before the stop is a piece of its own.
pub(crate) fn explain(text: &str, id: SourceId, piece: Piece, stop: &Stop, anew: bool) -> Diagnostic {
    let scene = Scene::new(text, id, piece, piece.start as usize + stop.at);
    if anew {
        return beginning(&scene, scene.found);
    }
    foreign_effect(&scene)
        .or_else(|| sign_missing(&scene, stop))
        .or_else(|| foreign_sign(&scene))
        .or_else(|| shapes::list_in_parentheses(&scene).then(|| shapes::habit(&scene, stop)).flatten())
        .or_else(|| habit(&scene, stop))
        .or_else(|| shapes::habit(&scene, stop))
        .or_else(|| head_of_rule(&scene, stop))
        .or_else(|| in_condition(&scene, stop))
        .or_else(|| in_list(&scene))
        .unwrap_or_else(|| general(&scene, stop))
}

/// Whether a stop may be where a new piece begins whose first word is misspelt.
pub(crate) fn may_begin_anew(text: &str, at: usize, piece: Piece) -> bool {
    let (start, kind) = (piece.start as usize, piece.kind);
    let line = text[start..at].rfind('\n').map_or(start, |i| start + i + 1);
    let Some(token) = Lexer::new(text, at).next() else { return false };
    let word = &text[token.start..token.end];
    let clause = kind == PieceKind::Rule && may_be_clause(word);
    let taken = word_class(word) & (lex::AFTER | lex::EXPECTS) != 0;
    token.kind == TokenKind::Word && text[line..at].trim().is_empty() && !clause && !taken
}

/// Whether a word is a clause's, misspelt or in other languages' words.
pub(crate) fn may_be_clause(word: &str) -> bool {
    let clause = CLAUSES.contains(&word) || near_clause(word).is_some();
    clause && near(word, &["allow", "deny"]).is_none()
}

/// The clause that a word stands for.
fn near_clause(word: &str) -> Option<&'static str> {
    foreign_clause(word).or_else(|| near(word, &CLAUSES).filter(|_| word_class(word) == 0))
}

fn near(word: &str, known: &[&'static str]) -> Option<&'static str> {
    (word.len() > 2).then(|| nearest(word, known.iter().copied())).flatten()
}

/// The names that a declaration which cannot be read would have declared.
pub(crate) fn declared_names(text: &str, piece: Piece, id: SourceId) -> Vec<Name> {
    let text = &text[..piece.end as usize];
    let mut tokens = Lexer::new(text, piece.start as usize).filter(|t| t.kind != TokenKind::Comment);
    let slice = |t: &Token| &text[t.start..t.end];
    let Some(first) = tokens.next() else { return Vec::new() };
    if piece.kind == PieceKind::Junk && (first.kind != TokenKind::Word || is_foreign_rule(slice(&first))) {
        return Vec::new();
    }
    let of_words = |words: Vec<Token>| {
        let name = |t: Token| Name { text: SmolStr::new(slice(&t)), span: Span::new(id, t.start, t.end) };
        words.into_iter().filter(|t| t.kind == TokenKind::Word).map(name).collect()
    };
    let second = tokens.next();
    match second {
        // `context { ip: Ip }` and `group { … }`: what stands inside.
        Some(t) if slice(&t) == "{" => of_words(tokens.collect()),
        // `action read, list on …`
        Some(t) if matches!(piece.kind, PieceKind::Action | PieceKind::Junk) && t.kind == TokenKind::Word => {
            let rest = tokens.take_while(|t| !matches!(slice(t), "on" | "=" | "{" | "(" | "in"));
            of_words(std::iter::once(t).chain(rest).collect())
        }
        second => of_words(second.into_iter().collect()),
    }
}

/// Whether a word opens a rule or a step, here or elsewhere, and so declares nothing.
fn is_foreign_rule(word: &str) -> bool {
    matches!(word, "permit" | "forbid" | "grant" | "effect") || STEPS.contains(&word)
}

/// What stands at top level and opens like no declaration of this version.
pub(crate) fn no_declaration(text: &str, id: SourceId, piece: Piece) -> Diagnostic {
    let scene = Scene::new(text, id, piece, piece.start as usize);
    if piece.kind == PieceKind::Prove {
        return Diagnostic::new(Code::E0013, scene.span(), "`prove` is not part of this version", "a proof")
            .help("show it with a `test` for now, and take the `prove` block out");
    }
    beginning(&scene, scene.found)
}

/// A word where a new piece should begin.
fn beginning(scene: &Scene<'_>, found: Option<Token>) -> Diagnostic {
    let word = scene.word(found);
    let (what, known): (&str, &[&'static str]) = match scene.piece.kind {
        PieceKind::Rule => ("`allow`, `deny` or a clause of the rule above", &["allow", "deny", "expect"]),
        PieceKind::Step => {
            ("a step: `let`, `bind`, `link`, `attach`, `context`, `allow`, `deny` or `for`", &STEPS)
        }
        _ => ("a declaration", &STARTERS),
    };
    let top = !matches!(scene.piece.kind, PieceKind::Rule | PieceKind::Step);
    if matches!(word, "permit" | "forbid" | "effect" | "grant" | "principal" | "subject") {
        return foreign_word(scene, found, word);
    }
    let diagnostic = scene.expected(what);
    let help = match word {
        _ if scene.word(scene.next) == "-" => DASHED.to_owned(),
        "allow" | "deny" if top => "rules stand inside a `policy`, `role` or `boundary`".to_owned(),
        "let" | "bind" | "link" | "attach" if top => "steps stand inside a `test`".to_owned(),
        "entity" | "type" | "object" if top => "things acted on are declared with `resource`".to_owned(),
        "user" | "actor" | "agent" if top => format!("who acts is declared with `account {word}`"),
        "permission" | "verb" if top => "what is done is declared with `action`".to_owned(),
        "rule" | "ruleset" | "namespace" | "module" | "package" if top => {
            "rules stand in a `policy NAME { … }`; there are no modules, a folder of files is one set"
                .to_owned()
        }
        "import" | "include" | "use" if top => {
            "nothing is imported: all files of a folder are one set".to_owned()
        }
        "def" | "function" | "fn" | "define" | "macro" if top => {
            "a shared condition is declared with `condition NAME = …`".to_owned()
        }
        _ if scene.found.is_some_and(|t| t.kind == TokenKind::Other) => {
            other_sign(scene.word(found)).to_owned()
        }
        _ => match near(word, known) {
            None if scene.piece.kind == PieceKind::Rule && foreign_clause(word).is_some() => {
                format!("write `{}`", foreign_clause(word).unwrap_or("when"))
            }
            Some(near) => {
                return diagnostic.help(format!("did you mean `{near}`?")).fix(scene.span(), near);
            }
            None if top => format!("a declaration opens with one of `{}`", STARTERS.join("`, `")),
            None if scene.piece.kind == PieceKind::Rule => {
                "a rule reads `[NAME:] allow|deny WHO to ACTIONS on WHAT`".to_owned()
            }
            None => "each step opens with its word".to_owned(),
        },
    };
    diagnostic.help(help)
}

fn foreign_word(scene: &Scene<'_>, at: Option<Token>, word: &str) -> Diagnostic {
    let span = at.map_or(scene.span(), |t| Span::new(scene.id, t.start, t.end));
    let message = format!("`{word}` is not a word of this language");
    let (write, help) = match word {
        "permit" | "grant" => ("allow", "write `allow WHO to ACTIONS on WHAT when CONDITION`"),
        "forbid" => ("deny", "write `deny WHO to ACTIONS on WHAT when CONDITION`"),
        "principal" | "subject" => ("account", "who acts is an `account`"),
        _ => ("", "a rule begins with `allow` or `deny`"),
    };
    let diagnostic = Diagnostic::new(Code::E0008, span, message, "another language's word").help(help);
    if write.is_empty() { diagnostic } else { diagnostic.fix(span, write) }
}

/// A missing `:` or `=`, or the `on` of an action.
fn sign_missing(scene: &Scene<'_>, stop: &Stop) -> Option<Diagnostic> {
    let expects = |wanted| stop.expected.contains(&wanted);
    if expects(Rule::colon) {
        let diagnostic = scene.expected("`:`").help("a name and what belongs to it are joined by `:`");
        return Some(if scene.word(scene.found) == "=" {
            diagnostic.fix(scene.span(), ":")
        } else {
            diagnostic.fix(scene.end(), ":")
        });
    }
    let on = scene.piece.kind == PieceKind::Action && expects(Rule::kw_on) && scene.found.is_some();
    if on && !scene.has_before("on") && scene.found.is_some_and(|t| t.kind == TokenKind::Word) {
        let insert = Span { end: scene.span().start, ..scene.span() };
        return Some(scene.expected("`on`").help(shape(PieceKind::Action)).fix(insert, "on "));
    }
    if expects(Rule::equals) && matches!(scene.piece.kind, PieceKind::Condition | PieceKind::Step) {
        return Some(scene.expected("`=`").help(shape(scene.piece.kind)));
    }
    None
}

/// `permit (principal, action, resource)`, `effect: …`
fn foreign_effect(scene: &Scene<'_>) -> Option<Diagnostic> {
    if scene.piece.kind != PieceKind::Rule {
        return None;
    }
    let mut at = 0;
    let tokens: Vec<Token> = scene.before.iter().copied().chain(scene.found).collect();
    if tokens.get(1).is_some_and(|t| scene.slice(*t) == ":") {
        at = 2;
    }
    let token = *tokens.get(at)?;
    let word = scene.slice(token);
    matches!(word, "permit" | "forbid" | "grant" | "effect" | "principal" | "subject")
        .then(|| foreign_word(scene, Some(token), word))
}

/// A sign that the language does not use here.
fn foreign_sign(scene: &Scene<'_>) -> Option<Diagnostic> {
    let token = scene.found?;
    let sign = scene.slice(token);
    if matches!(sign, "“" | "”" | "„" | "‘" | "’" | "'" | "`" | "«" | "»") {
        let diagnostic =
            Diagnostic::new(Code::E0009, scene.span(), "a quotation mark of another sort", "found this");
        return Some(diagnostic.help("texts stand in double quotes `\"…\"`, opened and closed on one line"));
    }
    if token.kind == TokenKind::Other {
        let message = format!("unexpected `{sign}`");
        return Some(
            Diagnostic::new(Code::E0001, scene.span(), message, "not part of the language")
                .help(other_sign(sign)),
        );
    }
    if sign == ":" && scene.word(scene.next) == ":" {
        let help = format!("one thing is written as its kind and its id: `{} \"id\"`", scene.last());
        return Some(Diagnostic::new(Code::E0001, scene.span(), "unexpected `::`", "found this").help(help));
    }
    if sign == "{" && matches!(scene.last(), "when" | "unless") {
        return Some(
            scene.expected("a condition").help("a condition stands without braces; group with `( … )`"),
        );
    }
    if sign == "-"
        && scene.piece.kind != PieceKind::Condition
        && scene.bracket().is_none()
        && !scene.has_before("when")
    {
        return Some(
            Diagnostic::new(Code::E0001, scene.span(), "unexpected `-`", "not part of a name").help(DASHED),
        );
    }
    if sign == "." {
        let diagnostic =
            Diagnostic::new(Code::E0001, scene.span(), "a dot apart from its names", "found this");
        return Some(diagnostic.help("a path is written without spaces around its dots: `resource.owner`"));
    }
    if matches!(sign, "&&" | "||" | "!") {
        let write = match sign {
            "&&" => "and",
            "||" => "or",
            _ => "not",
        };
        let message = format!("`{sign}` is not an operator of this language");
        return Some(
            Diagnostic::new(Code::E0007, scene.span(), message, "another language's operator")
                .help(format!("write `{write}`, between two conditions")),
        );
    }
    None
}

/// A missing `to` or `on`, a misspelt `allow`, a misspelt clause.
fn head_of_rule(scene: &Scene<'_>, stop: &Stop) -> Option<Diagnostic> {
    let expects = |wanted| stop.expected.contains(&wanted);
    if scene.piece.kind == PieceKind::Rule && (expects(Rule::rule) || expects(Rule::effect)) {
        return Some(beginning(scene, scene.found));
    }
    if !matches!(scene.piece.kind, PieceKind::Rule | PieceKind::Step) || scene.bracket().is_some() {
        return None;
    }
    let word = scene.word(scene.found);
    if scene.piece.kind == PieceKind::Rule && word == "to" && matches!(scene.last(), "allow" | "deny") {
        let help = "say who: `anyone`, a kind such as `user`, or `group \"ci\"`; a role or boundary leaves out the `to` too";
        return Some(scene.expected("who may").help(help));
    }
    if scene.piece.kind == PieceKind::Rule && word == "then" {
        let help = "a choice reads `if CONDITION then A else B`";
        return Some(scene.expected("a clause of the rule, or its end").help(help));
    }
    let separator = (expects(Rule::kw_to) || expects(Rule::kw_on)) && scene.last() != ",";
    if separator && expects(Rule::kw_on) | (scene.piece.kind == PieceKind::Rule) {
        let on_follows =
            Lexer::new(scene.text, scene.span().end as usize).any(|t| scene.slice(t) == "on") || word == "on";
        let to = !scene.has_before("to") && on_follows && expects(Rule::kw_to);
        if let Some(other) = to.then(|| before_to(scene)).flatten() {
            return Some(other);
        }
        let (write, help) = if to {
            ("to", "put `to` between who acts and what is done: `allow WHO to ACTIONS on WHAT`")
        } else {
            ("on", "say what it is done to: `allow WHO to ACTIONS on WHAT`")
        };
        let diagnostic = scene.expected(&format!("`{write}`")).help(help);
        let insert = Span { end: scene.span().start, ..scene.span() };
        return Some(match scene.found {
            Some(token) if token.kind == TokenKind::Word && word != "on" => {
                diagnostic.fix(insert, format!("{write} "))
            }
            _ => diagnostic,
        });
    }
    let clause = expects(Rule::at_clause) || expects(Rule::when_clause) || expects(Rule::EOI);
    if scene.piece.kind == PieceKind::Rule && clause && scene.found.is_some_and(|t| t.kind == TokenKind::Word)
    {
        let write = near_clause(word);
        let diagnostic = scene.expected("a clause of the rule, or its end");
        return write.map(|w| diagnostic.help(format!("write `{w}`")).fix(scene.span(), w));
    }
    None
}

/// An `if` without its `then` or `else`, `not in`, an operand missing or too many.
fn in_condition(scene: &Scene<'_>, stop: &Stop) -> Option<Diagnostic> {
    let expects = |wanted| stop.expected.contains(&wanted);
    let word = scene.word(scene.found);
    if expects(Rule::kw_then) {
        return Some(scene.expected("`then`").help("a choice reads `if CONDITION then A else B`"));
    }
    if expects(Rule::kw_else) {
        let help =
            "a choice reads `if CONDITION then A else B`; for a mere condition write `CONDITION and A`";
        return Some(scene.expected("`else`").help(help));
    }
    if expects(Rule::kw_satisfies) {
        return Some(
            scene.expected("`satisfies`").help("a quantifier reads `any x in SET satisfies CONDITION`"),
        );
    }
    if word == "implies" {
        return Some(scene.expected("an operator").help("write `if a then b else true`, or `not a or b`"));
    }
    let operand = [Rule::expr, Rule::path, Rule::quoted, Rule::number, Rule::parens, Rule::set];
    let joins = matches!(
        scene.last(),
        "and" | "or" | "not" | "when" | "unless" | "(" | "[" | "in" | "contains" | "of"
    ) || scene.before.last().is_some_and(|t| t.kind == TokenKind::Sign);
    if joins && operand.iter().any(|r| expects(*r)) && (expects(Rule::expr) || expects(Rule::number)) {
        let what = if matches!(scene.last(), "when" | "unless" | "and" | "or" | "not") {
            "a condition"
        } else {
            "a value"
        };
        let help = match word {
            "" => format!("say it after `{}`", scene.last()),
            _ if word_class(word) & lex::AFTER != 0 => {
                format!(
                    "`{word}` joins or ends conditions; to name a variant so, write it with its enum: `Enum.{word}`"
                )
            }
            _ => format!("`{}` wants {what} after it", scene.last()),
        };
        return Some(scene.expected(what).help(help));
    }
    None
}

/// Items of a list without a comma, or a list that does not end.
fn in_list(scene: &Scene<'_>) -> Option<Diagnostic> {
    let bracket = scene.bracket()?;
    let open = scene.slice(bracket);
    let close = match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    };
    let last = scene.before.last()?;
    let ended =
        matches!(last.kind, TokenKind::Word | TokenKind::Number | TokenKind::Text | TokenKind::Close(_))
            || scene.slice(*last) == "?"
            || scene.slice(*last) == ">";
    let found = scene.found?;
    let opens =
        matches!(found.kind, TokenKind::Word | TokenKind::Number | TokenKind::Text | TokenKind::Open(_));
    if !ended || !opens || scene.word(scene.found) == close {
        return None;
    }
    if word_class(scene.slice(*last)) & lex::EXPECTS != 0 {
        return None;
    }
    let typed = scene.next.is_some_and(|n| scene.slice(n) == ":");
    if open == "{" && !typed && !matches!(scene.piece.kind, PieceKind::Enum) {
        return None;
    }
    let list = open != "(";
    let what = if list { format!("`,` or `{close}`") } else { format!("an operator or `{close}`") };
    let diagnostic =
        scene.expected(&what).label(Span::new(scene.id, bracket.start, bracket.end), "inside this");
    Some(if list {
        diagnostic.help("put a `,` between the items").fix(scene.end(), ",")
    } else {
        diagnostic.help("join conditions with `and` or `or`")
    })
}

fn general(scene: &Scene<'_>, stop: &Stop) -> Diagnostic {
    let mut names: Vec<&'static str> = Vec::new();
    for wanted in &stop.expected {
        let name = human(*wanted);
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    let word = scene.word(scene.found);
    let words: Vec<&'static str> =
        names.iter().filter_map(|n| n.strip_prefix('`')?.strip_suffix('`')).collect();
    let help = match near(word, &words) {
        Some(near) => {
            return scene
                .expected(&format!("`{near}`"))
                .help(format!("did you mean `{near}`?"))
                .fix(scene.span(), near);
        }
        None => shape(scene.piece.kind),
    };
    if names.len() > 1 {
        names.sort_by_key(|n| *n == "the end");
    }
    let names = summed(names, scene.piece.kind);
    let what = match names.as_slice() {
        [] => return Diagnostic::new(Code::E0001, scene.span(), unexpected(scene), scene.shown()).help(help),
        [one] => (*one).to_owned(),
        many => {
            let (last, rest) = many.split_last().expect("general: more than one name");
            format!("{} or {last}", rest.join(", "))
        }
    };
    scene.expected(&what).help(help)
}

fn unexpected(scene: &Scene<'_>) -> String {
    match scene.found {
        Some(t) => format!("unexpected `{}`", scene.slice(t)),
        None => "something is missing here".to_owned(),
    }
}
