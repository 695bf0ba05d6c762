//! Builds rules and the heads of the blocks that hold them.

use super::Builder;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{
    Actions, Block, BlockWord, Expect, Expr, Name, Quoted, Rule as RuleNode, What, Where, Who,
};
use crate::syntax::parse::{Pair, Rule};
use crate::value::Effect;

/// A kind, perhaps with an id or with a container.
enum Item {
    Kind(Name, Option<Quoted>),
    KindIn(Name, Name, Quoted),
}

/// The clauses of a rule, each with the place of its word.
#[derive(Default)]
struct Clauses {
    at: Option<(Vec<Where>, Span)>,
    when: Option<(Expr, Span)>,
    unless: Option<(Expr, Span)>,
    until: Option<(Quoted, Span)>,
    because: Option<(Quoted, Span)>,
    ask: Option<(Name, Span)>,
}

impl<'a> Builder<'a> {
    /// `policy delivery "How software ships"`, its rules to be filled in.
    pub(crate) fn block_head(&mut self, pair: Pair<'a>) -> Block {
        let span = self.span(&pair);
        let mut it = pair.into_inner();
        let word = match it.next().map(|p| p.as_str()) {
            Some("policy") => BlockWord::Policy,
            Some("role") => BlockWord::Role,
            _ => BlockWord::Boundary,
        };
        let name = self.name(&it.next().expect("grammar: a block has a name"));
        let (mut title, mut includes) = (None, Vec::new());
        for child in it {
            if child.as_rule() == Rule::quoted {
                title = Some(self.quoted(&child));
                continue;
            }
            if word != BlockWord::Role {
                let at = self.span(&child);
                self.report(
                    Diagnostic::new(Code::E0305, at, "only a role includes others", "does not belong here")
                        .help("take it out, or make this a `role`"),
                );
            }
            includes = self.names(child);
        }
        Block { word, name, title, includes, rules: Vec::new(), span, damaged: false }
    }

    /// One rule, `expect` lines above it included.
    pub(crate) fn rule(&mut self, pair: Pair<'a>) -> RuleNode {
        let end = self.span(&pair).end;
        let (mut expects, mut name, mut who, mut what) = (Vec::new(), None, None, Vec::new());
        let mut effect = (Effect::Allow, Span::default());
        let mut actions = Actions::Named(Vec::new());
        let mut clauses = Clauses::default();
        for child in pair.into_inner() {
            match child.as_rule() {
                Rule::expect => expects.push(self.expect(child)),
                Rule::rule_name => name = self.names(child).pop(),
                Rule::effect => effect = self.effect(&child),
                Rule::who => who = Some(self.who(child)),
                Rule::actions => actions = self.actions(child),
                Rule::what => what = self.items(child).into_iter().map(what_of).collect(),
                Rule::kw_to | Rule::kw_on => {}
                _ => self.clause(child, &mut clauses),
            }
        }
        let start = name.as_ref().map_or(effect.1.start, |n: &Name| n.span.start);
        RuleNode {
            expects,
            name,
            effect: effect.0,
            effect_span: effect.1,
            who,
            actions,
            what,
            at: clauses.at.map(|c| c.0).unwrap_or_default(),
            when: clauses.when.map(|c| c.0),
            unless: clauses.unless.map(|c| c.0),
            until: clauses.until.map(|c| c.0),
            because: clauses.because.map(|c| c.0),
            ask: clauses.ask.map(|c| c.0),
            span: Span { source: self.id, start, end },
        }
    }

    fn expect(&mut self, pair: Pair<'a>) -> Expect {
        let span = self.span(&pair);
        let mut it = pair.into_inner().skip(1);
        let code = self.name(&it.next().expect("grammar: `expect` names a code"));
        let reason = self.quoted(&it.next().expect("grammar: `expect` has a reason"));
        Expect { code, reason, span }
    }

    /// `allow` or `deny`, or what other languages write for them.
    pub(super) fn effect(&mut self, pair: &Pair<'a>) -> (Effect, Span) {
        let span = self.span(pair);
        let effect = match pair.as_str() {
            "allow" => Effect::Allow,
            "deny" => Effect::Deny,
            "forbid" => {
                self.foreign(Code::E0008, span, "deny");
                Effect::Deny
            }
            _ => {
                self.foreign(Code::E0008, span, "allow");
                Effect::Allow
            }
        };
        (effect, span)
    }

    fn items(&mut self, pair: Pair<'a>) -> Vec<Item> {
        pair.into_inner().filter(|p| p.as_rule() == Rule::item).map(|p| self.item(p)).collect()
    }

    fn item(&mut self, pair: Pair<'a>) -> Item {
        let mut it = pair.into_inner();
        let kind = self.name(&it.next().expect("grammar: an item has a kind"));
        match it.next() {
            None => Item::Kind(kind, None),
            Some(id) if id.as_rule() == Rule::quoted => Item::Kind(kind, Some(self.quoted(&id))),
            Some(_) => {
                let container = self.name(&it.next().expect("grammar: `in` has a kind"));
                let id = self.quoted(&it.next().expect("grammar: `in` has an id"));
                Item::KindIn(kind, container, id)
            }
        }
    }

    fn who(&mut self, pair: Pair<'a>) -> Vec<Who> {
        let of = |item| match item {
            Item::Kind(name, None) if name.text == "anyone" => Who::Anyone(name.span),
            Item::Kind(name, id) => Who::Kind(name, id),
            Item::KindIn(name, container, id) => Who::KindIn(name, container, id),
        };
        self.items(pair).into_iter().map(of).collect()
    }

    fn actions(&mut self, pair: Pair<'a>) -> Actions {
        let span = self.span(&pair);
        if pair.clone().into_inner().next().is_some_and(|p| p.as_rule() == Rule::kw_do) {
            return Actions::Anything(span);
        }
        let names = self.names(pair);
        let Some(anything) = names.iter().find(|n| n.text == "anything") else {
            return Actions::Named(names);
        };
        let at = anything.span;
        self.report(
            Diagnostic::new(Code::E0001, at, "every action is written `do anything`", "the `do` is missing")
                .help("write `do anything`")
                .fix(if names.len() == 1 { at } else { span }, "do anything"),
        );
        Actions::Anything(span)
    }

    fn clause(&mut self, pair: Pair<'a>, clauses: &mut Clauses) {
        let sort = pair.as_rule();
        let mut it = pair.clone().into_inner();
        let word = it.next().map(|p| self.span(&p)).unwrap_or_default();
        let text = self.slice(word);
        if sort == Rule::at_clause {
            let places = self.items(pair).into_iter().map(where_of).collect();
            return self.once(&mut clauses.at, text, word, places);
        }
        let value = it.next().expect("grammar: a clause has a value");
        match sort {
            Rule::when_clause => {
                let value = self.expr(value);
                self.once(&mut clauses.when, text, word, value);
            }
            Rule::unless_clause => {
                let value = self.expr(value);
                self.once(&mut clauses.unless, text, word, value);
            }
            Rule::until_clause => {
                let value = self.quoted(&value);
                self.once(&mut clauses.until, text, word, value);
            }
            Rule::because_clause => {
                let value = self.quoted(&value);
                self.once(&mut clauses.because, text, word, value);
            }
            _ => {
                let value = self.name(&value);
                self.once(&mut clauses.ask, text, word, value);
            }
        }
    }
}

fn what_of(item: Item) -> What {
    match item {
        Item::Kind(name, None) if name.text == "anything" => What::Anything(name.span),
        Item::KindIn(name, container, id) if name.text == "anything" => {
            What::AnythingIn(name.span, container, id)
        }
        Item::Kind(name, id) => What::Kind(name, id),
        Item::KindIn(name, container, id) => What::KindIn(name, container, id),
    }
}

fn where_of(item: Item) -> Where {
    match item {
        Item::Kind(name, id) => Where::Kind(name, id),
        Item::KindIn(name, container, id) => Where::KindIn(name, container, id),
    }
}
