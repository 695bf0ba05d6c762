//! Builds declarations of the vocabulary: kinds, types, actions, context, conditions.

use super::Builder;
use crate::source::Span;
use crate::syntax::ast::{
    ActionDeclaration, ActionGroup, ActionTarget, Attribute, ConditionDeclaration, ContextDeclaration,
    Declaration, EnumDeclaration, KindDeclaration, KindWord, Name, ParentRef, Provenance, Quoted,
    RecordDeclaration, TypeExpr, TypeKind,
};
use crate::syntax::parse::{Pair, Rule};

impl<'a> Builder<'a> {
    /// `scope`, `account`, `resource` or `group`.
    pub(crate) fn kind(&mut self, pair: Pair<'a>) -> KindDeclaration {
        let span = self.span(&pair);
        let mut it = pair.into_inner();
        let opening = it.next().expect("grammar: a kind opens with its word");
        let word = match opening.as_str() {
            "scope" => KindWord::Scope,
            "account" => KindWord::Account,
            "resource" => KindWord::Resource,
            _ => KindWord::Group,
        };
        let name = match word {
            KindWord::Group => self.name(&opening),
            _ => self.name(&it.next().expect("grammar: a kind has a name")),
        };
        let (mut wire, mut attributes) = (None, Vec::new());
        let (mut parents, mut acting_for, mut supplied) = (None, None, None);
        for child in it {
            let at = self.span(&child);
            match child.as_rule() {
                Rule::quoted => wire = Some(self.quoted(&child)),
                Rule::parents => {
                    let found = self.children(child).skip(1).map(|p| self.parent(p)).collect::<Vec<_>>();
                    self.once(&mut parents, "in", at, found);
                }
                Rule::acting_kinds => {
                    let found = self.names(child);
                    self.once(&mut acting_for, "acting for", at, found);
                }
                Rule::kw_supplied => self.once(&mut supplied, "supplied", at, at),
                _ => attributes = self.attributes(child),
            }
        }
        KindDeclaration {
            word,
            name,
            wire,
            parents: parents.map(|p| p.0).unwrap_or_default(),
            supplied: supplied.map(|s| s.0),
            acting_for: acting_for.map(|a| a.0).unwrap_or_default(),
            attributes,
            span,
        }
    }

    fn parent(&self, pair: Pair<'a>) -> ParentRef {
        let mut it = pair.into_inner();
        let name = self.name(&it.next().expect("grammar: a parent has a name"));
        ParentRef { name, optional: it.next().is_some() }
    }

    fn attributes(&mut self, pair: Pair<'a>) -> Vec<Attribute> {
        self.children(pair).map(|p| self.attribute(p)).collect()
    }

    fn attribute(&mut self, pair: Pair<'a>) -> Attribute {
        let span = self.span(&pair);
        let mut it = self.children(pair);
        let name = self.name(&it.next().expect("grammar: an attribute has a name"));
        let ty = self.type_expr(it.next().expect("grammar: an attribute has a type"));
        let provenance = match it.next().map(|p| p.as_str()) {
            Some("supplied") => Provenance::Supplied,
            Some(_) => Provenance::Stored,
            None => Provenance::Usual,
        };
        Attribute { name, ty, provenance, span }
    }

    fn type_expr(&mut self, pair: Pair<'a>) -> TypeExpr {
        let whole = self.span(&pair);
        let mut it = pair.into_inner();
        let base = it.next().expect("grammar: a type has a base");
        let span = self.span(&base);
        let kind = match base.as_rule() {
            Rule::attributes => TypeKind::Record(self.attributes(base)),
            Rule::set_type => {
                let element = base.into_inner().nth(1).expect("grammar: a set type has an element type");
                TypeKind::Set(Box::new(self.type_expr(element)))
            }
            _ => TypeKind::Named(self.names(base)),
        };
        let base = TypeExpr { kind, span };
        match it.next() {
            Some(_) => TypeExpr { kind: TypeKind::Optional(Box::new(base)), span: whole },
            None => base,
        }
    }

    fn wired(&mut self, pair: Pair<'a>) -> (Name, Option<Quoted>) {
        let mut it = pair.into_inner();
        let name = self.name(&it.next().expect("grammar: a wired name has a name"));
        let wire = it.next().map(|p| self.quoted(&p));
        (name, wire)
    }

    /// `enum Stage { production, staging }`
    pub(crate) fn enumeration(&mut self, pair: Pair<'a>) -> EnumDeclaration {
        let span = self.span(&pair);
        let mut it = self.children(pair).skip(1);
        let name = self.name(&it.next().expect("grammar: an enum has a name"));
        let variants = it.map(|p| self.wired(p)).collect();
        EnumDeclaration { name, variants, span }
    }

    /// `record Address { city: String }`
    pub(crate) fn record(&mut self, pair: Pair<'a>) -> RecordDeclaration {
        let span = self.span(&pair);
        let mut it = pair.into_inner().skip(1);
        let name = self.name(&it.next().expect("grammar: a record has a name"));
        let fields = self.attributes(it.next().expect("grammar: a record has fields"));
        RecordDeclaration { name, fields, span }
    }

    /// `action …` or `action … = …`
    pub(crate) fn action(&mut self, pair: Pair<'a>) -> Declaration {
        let span = self.span(&pair);
        if pair.as_rule() == Rule::action_group {
            let mut names = self.names(pair);
            let name = names.remove(0);
            return Declaration::ActionGroup(ActionGroup { name, members: names, span });
        }
        let (mut names, mut properties, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        let mut from_below: Option<Span> = None;
        for child in pair.into_inner() {
            match child.as_rule() {
                Rule::wired => names.push(self.wired(child)),
                Rule::attributes => properties = self.attributes(child),
                Rule::action_target => {
                    let any = child.clone().into_inner().next().is_some_and(|p| p.as_rule() == Rule::kw_any);
                    let kind = self.names(child).pop().expect("grammar: a target has a kind");
                    targets.push(ActionTarget { kind, any });
                }
                Rule::from_below => from_below = Some(self.span(&child)),
                _ => {}
            }
        }
        Declaration::Action(ActionDeclaration { names, properties, targets, from_below, span })
    }

    /// `context { ip: Ip? }`
    pub(crate) fn context(&mut self, pair: Pair<'a>) -> ContextDeclaration {
        let span = self.span(&pair);
        let attributes = pair.into_inner().nth(1).expect("grammar: a context has entries");
        ContextDeclaration { attributes: self.attributes(attributes), span }
    }

    /// `condition from(net: Cidr) = …`
    pub(crate) fn condition(&mut self, pair: Pair<'a>) -> ConditionDeclaration {
        let span = self.span(&pair);
        let mut it = self.children(pair).skip(1);
        let name = self.name(&it.next().expect("grammar: a condition has a name"));
        let mut parameters = Vec::new();
        let mut next = it.next().expect("grammar: a condition has a body");
        if next.as_rule() == Rule::parameters {
            parameters = self.children(next).map(|p| self.parameter(p)).collect();
            next = it.next().expect("grammar: a condition has a body");
        }
        self.bound = parameters.iter().map(|(name, _): &(Name, TypeExpr)| name.text.clone()).collect();
        let body = self.expr(next);
        ConditionDeclaration { name, parameters, body, span }
    }

    fn parameter(&mut self, pair: Pair<'a>) -> (Name, TypeExpr) {
        let mut it = self.children(pair);
        let name = self.name(&it.next().expect("grammar: a parameter has a name"));
        let ty = self.type_expr(it.next().expect("grammar: a parameter has a type"));
        (name, ty)
    }
}
