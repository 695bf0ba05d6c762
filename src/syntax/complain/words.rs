//! The words of the complaints: what people call each rule of the grammar, and what other languages write.

use crate::syntax::cut::PieceKind;
use crate::syntax::parse::Rule;

/// What to do about a character that the language does not use.
pub(super) fn other_sign(sign: &str) -> &'static str {
    match sign {
        "#" => "a comment begins with `//`",
        "*" => "every action is `do anything`, everything is `anything`; nothing is multiplied",
        "/" => "comments begin with `//` and end with their line; nothing is divided",
        "%" => "there is no arithmetic but a time plus or minus a duration",
        "@" => "an annotation is written as a clause, such as `because \"…\"`",
        "&" | "^" | "~" => "conditions are joined by `and`, `or` and `not`",
        "$" => "names stand bare, without a sign before them",
        "\\" => "a `\\` stands only inside a text",
        _ => "names consist of `a` to `z`, `A` to `Z`, digits and `_`; anything else stands in double quotes",
    }
}

/// What other languages open a condition, a place or a reason with.
pub(super) fn foreign_clause(word: &str) -> Option<&'static str> {
    match word {
        "where" | "if" | "given" | "provided" | "iff" | "whenever" | "condition" => Some("when"),
        "except" | "excluding" => Some("unless"),
        "reason" | "since" | "message" => Some("because"),
        "within" | "under" | "inside" => Some("at"),
        "before" | "expires" => Some("until"),
        "require" | "requires" => Some("ask"),
        _ => None,
    }
}

/// How a piece of this sort reads when it is right.
pub(super) fn shape(kind: PieceKind) -> &'static str {
    match kind {
        PieceKind::Kind => "a kind reads `resource NAME in PARENT { attribute: Type, … }`",
        PieceKind::Enum => "an enum reads `enum NAME { variant, … }`",
        PieceKind::Record => "a record reads `record NAME { field: Type, … }`",
        PieceKind::Action => {
            "an action reads `action NAME, … on KIND, any KIND`, a group of actions `action NAME = ACTION, …`"
        }
        PieceKind::Context => "the context reads `context { entry: Type, … }`",
        PieceKind::Condition => "a condition reads `condition NAME(parameter: Type) = …`",
        PieceKind::BlockHead => {
            "a block reads `policy NAME \"title\" { … }`, `role NAME includes OTHER { … }` or `boundary NAME { … }`"
        }
        PieceKind::TestHead => "a test reads `test \"what it shows\" { … }`",
        PieceKind::Rule => {
            "a rule reads `[NAME:] allow|deny WHO to ACTIONS on WHAT [at WHERE] [when CONDITION] [unless CONDITION]`"
        }
        PieceKind::Step => {
            "a step reads `let NAME = KIND \"id\" { … }` or `allow WHO to ACTION on WHAT at PLACE`"
        }
        PieceKind::Prove | PieceKind::End | PieceKind::Junk => "take it out",
    }
}

/// Past six names, what they are together.
pub(super) fn summed(names: Vec<&'static str>, kind: PieceKind) -> Vec<&'static str> {
    const MOST: usize = 6;
    if names.len() <= MOST {
        return names;
    }
    let after_operand = names.contains(&"a comparison");
    let group = |name: &'static str| match name {
        "a comparison" | "`and` or `or`" | "`exists`" | "`is`" | "`has`" => (0, "an operator"),
        "`in`" | "arguments in `( … )`" | "a text in double quotes" if after_operand => (0, "an operator"),
        "a name or a path" | "a number" | "`(`" | "a set `[ … ]`" | "`if`" | "a quantifier" | "`not`" => {
            (0, "a condition or a value")
        }
        "`at`" | "`when`" | "`unless`" | "`until`" | "`because`" | "`ask`" if kind == PieceKind::Rule => {
            (2, "a clause")
        }
        "the end" => match kind {
            PieceKind::Rule => (3, "the end of the rule"),
            PieceKind::Step => (3, "the end of the step"),
            _ => (3, "the end of the declaration"),
        },
        other => (1, other),
    };
    let mut groups: Vec<(u8, &'static str)> = Vec::new();
    for name in names {
        let found = group(name);
        if !groups.contains(&found) {
            groups.push(found);
        }
    }
    groups.sort_by_key(|(order, _)| *order);
    groups.into_iter().map(|(_, name)| name).collect()
}

/// What people call a rule of the grammar; empty for those that say nothing.
#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) fn human(found: Rule) -> &'static str {
    match found {
        Rule::EOI => "the end",
        Rule::comma => "`,`",
        Rule::colon => "`:`",
        Rule::equals => "`=`",
        Rule::set_end => "`>`",
        Rule::name | Rule::head_name | Rule::wired => "a name",
        Rule::quoted => "a text in double quotes",
        Rule::kind_word => "`scope`, `account` or `resource`",
        Rule::optional => "`?`",
        Rule::union | Rule::type_expr | Rule::set_type => "a type",
        Rule::provenance => "`supplied` or `stored`",
        Rule::attribute => "an attribute `name: Type`",
        Rule::attributes => "attributes in `{ … }`",
        Rule::parent => "a parent kind",
        Rule::parents => "`in`",
        Rule::acting_kinds | Rule::acting_for | Rule::kw_acting => "`acting for`",
        Rule::action_target => "a kind",
        Rule::from_below => "`from below`",
        Rule::parameter => "a parameter `name: Type`",
        Rule::parameters => "parameters in `( … )`",
        Rule::path => "a name or a path",
        Rule::minus => "",
        Rule::digits | Rule::number => "a number",
        Rule::arguments => "arguments in `( … )`",
        Rule::parens => "`(`",
        Rule::set => "a set `[ … ]`",
        Rule::choice => "`if`",
        Rule::quantifier => "a quantifier",
        Rule::sum_op => "",
        Rule::compare_op | Rule::contains_op | Rule::is_test | Rule::has_test | Rule::matches_test => {
            "a comparison"
        }
        Rule::not_op => "`not`",
        Rule::logic_op => "`and` or `or`",
        Rule::expr => "a condition or a value",
        Rule::rule_name => "a rule's name",
        Rule::effect => "`allow` or `deny`",
        Rule::item => "a kind",
        Rule::who => "who may",
        Rule::actions => "an action",
        Rule::what => "what it is done to",
        Rule::at_clause | Rule::place | Rule::kw_at => "`at`",
        Rule::when_clause | Rule::kw_when => "`when`",
        Rule::unless_clause | Rule::kw_unless => "`unless`",
        Rule::until_clause | Rule::kw_until => "`until`",
        Rule::because_clause | Rule::kw_because => "`because`",
        Rule::ask_clause | Rule::kw_ask => "`ask`",
        Rule::block_word => "`policy`, `role` or `boundary`",
        Rule::includes | Rule::kw_includes => "`includes`",
        Rule::reference | Rule::asker | Rule::acted_on => "a variable or `KIND \"id\"`",
        Rule::field => "a field `name: value`",
        Rule::fields => "fields in `{ … }`",
        Rule::member => "a group or a parent",
        Rule::within | Rule::kw_in => "`in`",
        Rule::entity => "`KIND \"id\"`",
        Rule::under | Rule::kw_under => "`under`",
        Rule::on_one | Rule::kw_on => "`on`",
        Rule::using_key | Rule::kw_using => "`using key`",
        Rule::with_fields | Rule::kw_with => "`with`",
        Rule::by_rule | Rule::kw_by => "`by`",
        Rule::for_body => "steps in `{ … }`",
        Rule::kw_to => "`to`",
        Rule::kw_for => "`for`",
        Rule::kw_from => "`from`",
        Rule::kw_below => "`below`",
        Rule::kw_any => "`any`",
        Rule::kw_all => "`all`",
        Rule::kw_of => "`of`",
        Rule::kw_do => "`do`",
        Rule::kw_anything => "`anything`",
        Rule::kw_exists => "`exists`",
        Rule::kw_is => "`is`",
        Rule::kw_has => "`has`",
        Rule::kw_role => "`role`",
        Rule::kw_not => "`not`",
        Rule::kw_key => "`key`",
        Rule::kw_supplied => "`supplied`",
        Rule::kw_then => "`then`",
        Rule::kw_else => "`else`",
        Rule::kw_satisfies => "`satisfies`",
        Rule::let_step
        | Rule::bind_step
        | Rule::link_step
        | Rule::attach_step
        | Rule::context_step
        | Rule::for_step
        | Rule::assertion => "a step",
        _ => "",
    }
}
