//! The vocabulary: kinds, enums, records, actions and the context.
//!
//! Names first, then what stands behind them, so that order never matters.

use super::names::Checker;
use super::program::{Attribute, EnumType, Kind, Provenance, RecordType, RoleName, Sort, Type};
use super::types::BUILTIN_TYPES;
use crate::diagnostic::{Code, Diagnostic};
use crate::limits;
use crate::source::Span;
use crate::syntax::ast::{self, BlockWord, Declaration, KindWord};
use crate::value::{BoundaryId, ConditionId, EnumId, KindId, PolicyId, RecordId, RoleId};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

/// Words that conditions and heads read in a fixed way; nothing declared may take them.
const RESERVED: [&str; 7] = ["account", "resource", "scope", "action", "context", "anyone", "anything"];

impl Checker<'_> {
    /// Declares the whole vocabulary and the names of conditions, policies, roles and boundaries.
    pub fn declare(&mut self, files: &[ast::File]) {
        self.damaged = files.iter().flat_map(|f| f.lost.iter().map(|n| n.text.clone())).collect();
        self.built_in_kinds();
        let all = || files.iter().flat_map(|f| &f.declarations);
        for declaration in all() {
            self.declare_name(declaration);
        }
        let now = self.name_id(&SmolStr::new_static("now"));
        self.vocabulary.context.push(Attribute {
            name: now,
            ty: Type::Time,
            optional: false,
            provenance: Provenance::Stored,
            span: Span::default(),
        });
        for declaration in all() {
            match declaration {
                Declaration::Kind(d) => self.declare_kind(d),
                Declaration::Record(d) => self.declare_record(d),
                Declaration::Action(d) => self.declare_action(d),
                Declaration::Context(d) => self.declare_context(d),
                _ => {}
            }
        }
        self.scope_tree(all());
        self.action_groups(all());
        self.role_includes(all());
    }

    fn built_in_kinds(&mut self) {
        for (name, sort) in [("group", Sort::Group), ("role", Sort::Role), ("policy", Sort::Policy)] {
            let name = SmolStr::new_static(name);
            self.kinds.insert(name.clone(), KindId(self.vocabulary.kinds.len() as u16));
            self.vocabulary.kinds.push(Kind {
                wire: name.clone(),
                name,
                sort,
                supplied: false,
                acting_for: Vec::new(),
                parents: Vec::new(),
                parent_optional: true,
                attributes: Vec::new(),
                span: Span::default(),
            });
        }
    }

    fn reserved(&mut self, what: &str, name: &ast::Name) -> bool {
        let taken = RESERVED.contains(&name.text.as_str());
        if taken {
            self.damaged.insert(name.text.clone());
            self.report(
                Diagnostic::new(
                    Code::E0108,
                    name.span,
                    format!("a {what} cannot be called `{}`", name.text),
                    "this word has a fixed meaning in rules",
                )
                .help("choose another name"),
            );
        }
        taken
    }

    fn declare_name(&mut self, declaration: &Declaration) {
        match declaration {
            Declaration::Kind(d) if d.word != KindWord::Group => self.declare_kind_name(d),
            Declaration::Enum(d) => self.declare_enum(d),
            Declaration::Record(d) => self.declare_record_name(d),
            Declaration::Condition(d) => {
                self.reserved("condition", &d.name);
                let id = ConditionId(self.conditions.len() as u32);
                self.conditions.push(None);
                self.condition_facts.push(super::expr::ConditionFacts::default());
                // A duplicate is reported when conditions are checked, with both places at hand.
                self.condition_names.entry(d.name.text.clone()).or_insert(id);
            }
            Declaration::Block(d) => self.declare_block_name(d),
            _ => {}
        }
    }

    fn declare_record_name(&mut self, d: &ast::RecordDeclaration) {
        if !self.type_name_is_free(&d.name) {
            return;
        }
        let id = RecordId(self.vocabulary.records.len() as u16);
        self.records.insert(d.name.text.clone(), id);
        let (name, span) = (Some(d.name.text.clone()), d.name.span);
        self.vocabulary.records.push(RecordType { name, fields: Vec::new(), span });
    }

    fn declare_block_name(&mut self, d: &ast::Block) {
        let (text, span) = (d.name.text.clone(), d.name.span);
        let block = super::program::Block {
            name: text.clone(),
            title: d.title.as_ref().map(|t| t.text.clone()),
            rules: Vec::new(),
            span,
        };
        let first = match d.word {
            BlockWord::Policy => self.policy_names.get(&text).map(|i| self.policies[i.index()].span),
            BlockWord::Role => self.role_names.get(&text).map(|i| self.role_spans[i.index()]),
            BlockWord::Boundary => self.boundary_names.get(&text).map(|i| self.boundary_spans[i.index()]),
        };
        if let Some(first) = first {
            let what = match d.word {
                BlockWord::Policy => "policy",
                BlockWord::Role => "role",
                BlockWord::Boundary => "boundary",
            };
            return self.duplicate(what, &text, span, first);
        }
        match d.word {
            BlockWord::Policy => {
                self.policy_names.insert(text, PolicyId(self.policies.len() as u32));
                self.policies.push(block);
            }
            BlockWord::Role => {
                let wire = d.title.as_ref().map_or_else(|| text.clone(), |t| t.text.clone());
                if let Some(i) = self.vocabulary.roles.iter().position(|r| r.wire == wire) {
                    self.duplicate("wire name", &wire, span, self.role_spans[i]);
                }
                self.role_names.insert(text.clone(), RoleId(self.roles.len() as u32));
                self.role_spans.push(span);
                self.roles.push(block);
                self.vocabulary.roles.push(RoleName { name: text, wire, includes: Vec::new() });
            }
            BlockWord::Boundary => {
                self.boundary_names.insert(text.clone(), BoundaryId(self.boundaries.len() as u32));
                self.boundary_spans.push(span);
                self.boundaries.push(block);
                self.vocabulary.boundaries.push(text);
            }
        }
    }

    /// Kinds, enums, records and built-in types share one set of names.
    fn type_name_is_free(&mut self, name: &ast::Name) -> bool {
        let first = if let Some(k) = self.kinds.get(&name.text) {
            Some(self.vocabulary.kind(*k).span)
        } else if let Some(e) = self.enums.get(&name.text) {
            Some(self.vocabulary.enums[e.index()].span)
        } else if let Some(r) = self.records.get(&name.text) {
            Some(self.vocabulary.records[r.index()].span)
        } else {
            BUILTIN_TYPES.iter().any(|(n, _)| *n == name.text).then(Span::default)
        };
        match first {
            Some(first) if first == Span::default() => {
                self.report(
                    Diagnostic::new(
                        Code::E0108,
                        name.span,
                        format!("`{}` is built in", name.text),
                        "this name is taken by the language",
                    )
                    .help("choose another name"),
                );
                false
            }
            Some(first) => {
                self.duplicate("the name", &name.text.clone(), name.span, first);
                false
            }
            None => !self.reserved("type or kind", name),
        }
    }

    fn declare_kind_name(&mut self, d: &ast::KindDeclaration) {
        if !self.type_name_is_free(&d.name) {
            return;
        }
        let wire = d.wire.as_ref().map_or_else(|| d.name.text.clone(), |w| w.text.clone());
        if let Some(other) = self.vocabulary.kinds.iter().find(|k| k.wire == wire) {
            let first = other.span;
            self.duplicate("wire name", &wire, d.wire.as_ref().map_or(d.name.span, |w| w.span), first);
        }
        if self.vocabulary.kinds.len() >= limits::KINDS_MAX {
            if self.vocabulary.kinds.len() == limits::KINDS_MAX {
                self.report(too_many(d.name.span, "kinds", limits::KINDS_MAX));
            }
            return;
        }
        self.kinds.insert(d.name.text.clone(), KindId(self.vocabulary.kinds.len() as u16));
        self.vocabulary.kinds.push(Kind {
            name: d.name.text.clone(),
            wire,
            sort: match d.word {
                KindWord::Scope => Sort::Scope,
                KindWord::Account => Sort::Account,
                KindWord::Resource => Sort::Resource,
                KindWord::Group => unreachable!("check: the group declaration names no kind"),
            },
            supplied: d.supplied.is_some() && d.word == KindWord::Account,
            acting_for: Vec::new(),
            parents: Vec::new(),
            parent_optional: true,
            attributes: Vec::new(),
            span: d.name.span,
        });
        if let (Some(span), true) = (d.supplied, d.word != KindWord::Account) {
            self.report(
                Diagnostic::new(
                    Code::E0304,
                    span,
                    "only a kind of account is `supplied`",
                    "a resource that the directory doesn't hold comes with the request anyway",
                )
                .help("drop `supplied` here; it can stand behind single attributes"),
            );
        }
    }

    fn declare_enum(&mut self, d: &ast::EnumDeclaration) {
        if !self.type_name_is_free(&d.name) {
            return;
        }
        let mut variants: Vec<(SmolStr, SmolStr)> = Vec::new();
        let mut spans: FxHashMap<SmolStr, Span> = FxHashMap::default();
        for (name, wire) in &d.variants {
            let wire_text = wire.as_ref().map_or_else(|| name.text.clone(), |w| w.text.clone());
            if let Some(first) = spans.get(&name.text) {
                self.duplicate("variant", &name.text, name.span, *first);
            } else if variants.iter().any(|(_, w)| *w == wire_text) {
                self.duplicate("wire name", &wire_text, name.span, d.name.span);
            } else {
                spans.insert(name.text.clone(), name.span);
                variants.push((name.text.clone(), wire_text));
            }
        }
        self.enums.insert(d.name.text.clone(), EnumId(self.vocabulary.enums.len() as u16));
        self.vocabulary.enums.push(EnumType { name: d.name.text.clone(), variants, span: d.name.span });
    }

    fn declare_record(&mut self, d: &ast::RecordDeclaration) {
        let fields = self.attributes(&d.fields, Where::Record);
        if let Some(id) = self.records.get(&d.name.text).copied()
            && self.vocabulary.records[id.index()].span == d.name.span
        {
            self.vocabulary.records[id.index()].fields = fields;
        }
    }

    fn declare_context(&mut self, d: &ast::ContextDeclaration) {
        for attribute in self.attributes(&d.attributes, Where::Context) {
            if let Some(first) = self.vocabulary.context.iter().find(|a| a.name == attribute.name) {
                let (first, name) = (first.span, self.vocabulary.name(attribute.name).to_owned());
                if first == Span::default() {
                    self.report(
                        Diagnostic::new(
                            Code::E0108,
                            attribute.span,
                            "`context.now` is always there",
                            "the time of the decision; whoever decides gives it",
                        )
                        .help("drop this line"),
                    );
                } else {
                    self.duplicate("context entry", &name, attribute.span, first);
                }
            } else {
                self.vocabulary.context.push(attribute);
            }
        }
    }

    fn declare_kind(&mut self, d: &ast::KindDeclaration) {
        let place = if d.word == KindWord::Resource { Where::Resource } else { Where::Kind };
        let attributes = self.attributes(&d.attributes, place);
        let Some(id) = self.kinds.get(&d.name.text).copied() else { return };
        if d.word == KindWord::Group {
            let kind = &mut self.vocabulary.kinds[KindId::GROUP.index()];
            if kind.span != Span::default() {
                let first = kind.span;
                return self.duplicate("the kind", "group", d.name.span, first);
            }
            kind.span = d.name.span;
            kind.attributes = attributes;
            return;
        }
        if self.vocabulary.kind(id).span != d.name.span {
            return; // a duplicate, reported before
        }
        let mut parents = Vec::new();
        for parent in &d.parents {
            let sort = self.vocabulary.kind(id).sort;
            if let Some(p) = self.parent_kind(sort, &parent.name) {
                parents.push(p);
            }
        }
        for attribute in &attributes {
            let name = self.vocabulary.name(attribute.name);
            if let Some(p) = parents.iter().find(|p| self.vocabulary.kind(**p).name == name) {
                let (name, first) = (name.to_owned(), self.vocabulary.kind(*p).span);
                self.duplicate("the parent", &name, attribute.span, first);
            }
        }
        let acting_for = d.acting_for.iter().filter_map(|n| self.acted_for_kind(d, n)).collect();
        let kind = &mut self.vocabulary.kinds[id.index()];
        kind.parent_optional = parents.is_empty() || d.parents.iter().any(|p| p.optional);
        kind.parents = parents;
        kind.attributes = attributes;
        kind.acting_for = acting_for;
    }

    fn parent_kind(&mut self, sort: Sort, name: &ast::Name) -> Option<KindId> {
        let fits = |k: &Kind| k.sort == sort && sort != Sort::Account;
        match self.kinds.get(&name.text).copied() {
            Some(p) if fits(self.vocabulary.kind(p)) => Some(p),
            Some(p) => {
                let first = self.vocabulary.kind(p).span;
                let what = if sort == Sort::Scope {
                    "a scope sits in scopes"
                } else {
                    "a resource sits in resources"
                };
                let what =
                    if sort == Sort::Account { "an account sits in nothing; put it in groups" } else { what };
                self.report(
                    Diagnostic::new(
                        Code::E0104,
                        name.span,
                        format!("`{}` cannot be a parent here", name.text),
                        what,
                    )
                    .label(first, "declared here"),
                );
                None
            }
            None => {
                let known: Vec<SmolStr> =
                    self.vocabulary.kinds.iter().filter(|k| fits(k)).map(|k| k.name.clone()).collect();
                self.unknown(
                    if sort == Sort::Scope { "kind of scope" } else { "kind of resource" },
                    name,
                    known.iter().map(SmolStr::as_str),
                );
                None
            }
        }
    }

    fn acted_for_kind(&mut self, d: &ast::KindDeclaration, name: &ast::Name) -> Option<KindId> {
        if d.word != KindWord::Account {
            self.report(Diagnostic::new(
                Code::E0305,
                name.span,
                "only accounts act for others",
                "this is not a kind of account",
            ));
            return None;
        }
        self.kind_of_sort(Sort::Account, "account", name)
    }

    /// Resolves the name of a kind of one sort.
    pub fn kind_of_sort(&mut self, sort: Sort, what: &str, name: &ast::Name) -> Option<KindId> {
        match self.kinds.get(&name.text).copied() {
            Some(k) if self.vocabulary.kind(k).sort == sort => Some(k),
            Some(k) => {
                let kind = self.vocabulary.kind(k);
                let found = sort_word(kind.sort);
                let first = kind.span;
                self.report(
                    Diagnostic::new(
                        Code::E0104,
                        name.span,
                        format!("`{}` is a kind of {found}, not of {what}", name.text),
                        format!("a kind of {what} belongs here"),
                    )
                    .label(first, "declared here"),
                );
                None
            }
            None => {
                let known: Vec<SmolStr> = (self.vocabulary.kinds.iter())
                    .filter(|k| k.sort == sort)
                    .map(|k| k.name.clone())
                    .collect();
                self.unknown(&format!("kind of {what}"), name, known.iter().map(SmolStr::as_str));
                None
            }
        }
    }

    pub fn attributes(&mut self, declared: &[ast::Attribute], place: Where) -> Vec<Attribute> {
        let mut out: Vec<Attribute> = Vec::new();
        for a in declared {
            if a.name.text == "id" && matches!(place, Where::Kind | Where::Resource) {
                self.report(
                    Diagnostic::new(
                        Code::E0108,
                        a.name.span,
                        "every entity has an `id` of its own",
                        "`id: String` is built in",
                    )
                    .help("drop this attribute"),
                );
                continue;
            }
            let Some((ty, optional)) = self.attribute_type(&a.ty, place == Where::Record) else {
                self.damaged.insert(a.name.text.clone());
                continue;
            };
            let name = self.name_id(&a.name.text);
            if let Some(first) = out.iter().find(|o| o.name == name) {
                let first = first.span;
                self.duplicate("attribute", &a.name.text, a.name.span, first);
                continue;
            }
            let meaningless = match (a.provenance, place) {
                (Provenance::Usual, _) => None,
                (_, Where::Record) => Some("a record's fields come as one value"),
                (_, Where::Property) => Some("an action's properties always come with the request"),
                (Provenance::Supplied, Where::Context) => {
                    Some("the context is supplied unless it says `stored`")
                }
                _ => None,
            };
            if let Some(why) = meaningless {
                let word = if a.provenance == Provenance::Stored { "stored" } else { "supplied" };
                let length = word.len() as u32;
                let last = Span { start: a.span.end - length, ..a.span };
                let span = if self.sources.slice(last) == word { last } else { a.span };
                self.report(
                    Diagnostic::new(Code::E0304, span, format!("`{word}` means nothing here"), why)
                        .help("drop the word")
                        .fix(span, ""),
                );
            }
            out.push(Attribute { name, ty, optional, provenance: a.provenance, span: a.name.span });
        }
        if out.len() > limits::ATTRIBUTES_MAX {
            self.report(too_many(out[limits::ATTRIBUTES_MAX].span, "attributes", limits::ATTRIBUTES_MAX));
        }
        out
    }

    /// A scope's kinds must form a tree that has a root.
    fn scope_tree<'d>(&mut self, all: impl Iterator<Item = &'d Declaration>) {
        for d in all {
            let Declaration::Kind(d) = d else { continue };
            let Some(id) = self.kinds.get(&d.name.text).copied() else { continue };
            if d.word == KindWord::Group || self.vocabulary.kind(id).span != d.name.span {
                continue;
            }
            let mut reachable = vec![id];
            let mut rooted = false;
            let mut next = 0;
            while let Some(k) = reachable.get(next).copied() {
                next += 1;
                let kind = self.vocabulary.kind(k);
                rooted |= kind.parent_optional;
                for p in &kind.parents {
                    if !reachable.contains(p) {
                        reachable.push(*p);
                    }
                }
            }
            if !rooted && self.damaged.is_empty() {
                self.report(
                    Diagnostic::new(
                        Code::E0103,
                        d.name.span,
                        format!("`{}` can sit in nothing that has a beginning", d.name.text),
                        "each of its parents needs a parent in turn",
                    )
                    .help("mark a parent optional with `?`, or drop one"),
                );
            }
        }
    }
}

/// What declares attributes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    Kind,
    Resource,
    Record,
    Property,
    Context,
}

pub(super) fn too_many(span: Span, what: &str, most: usize) -> Diagnostic {
    Diagnostic::new(Code::E0005, span, format!("more than {most} {what}"), "this one is too many")
        .help("split what this set governs into several sets")
}

/// The word that declares a sort of kind.
pub(super) fn sort_word(sort: Sort) -> &'static str {
    match sort {
        Sort::Scope => "scope",
        Sort::Account => "account",
        Sort::Resource => "resource",
        Sort::Group => "group",
        Sort::Role => "role",
        Sort::Policy => "policy",
    }
}
