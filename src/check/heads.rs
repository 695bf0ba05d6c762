//! Heads of rules: who, which actions, on what, where; and what can be met under them.

use super::declare::sort_word;
use super::expr::{Env, any_of};
use super::names::{Checker, list};
use super::program::{At, BlockWord, Sort, What, Who};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::ast;
use crate::value::{ActionId, Effect, Entity, KindId};
use smol_str::SmolStr;

/// A checked head.
pub(super) struct Head {
    pub who: Vec<Who>,
    pub actions: Vec<ActionId>,
    pub what: Vec<What>,
    pub at: Vec<At>,
}

impl Checker<'_> {
    /// Checks a head; `None` when something in it was reported.
    pub fn head(&mut self, block: BlockWord, rule: &ast::Rule) -> Option<Head> {
        let before = self.diagnostics.len();
        let who = self.who(block, rule);
        let actions = self.rule_actions(&rule.actions);
        let what: Vec<(What, Span)> = rule.what.iter().filter_map(|w| self.what(w)).collect();
        let at: Vec<At> = rule.at.iter().filter_map(|w| self.at(w)).collect();
        if self.diagnostics.len() > before || who.len() + what.len() == 0 {
            return None;
        }
        // A name that a damaged declaration may hold is passed over; the rule then has no meaning yet.
        if actions.is_empty() || what.len() < rule.what.len() || at.len() < rule.at.len() || who.is_empty() {
            return None;
        }
        self.covers(&actions, &what).then(|| {
            let mut ids: Vec<ActionId> = actions.into_iter().flat_map(|(ids, _)| ids).collect();
            ids.sort_unstable();
            ids.dedup();
            Head { who, actions: ids, what: what.into_iter().map(|(w, _)| w).collect(), at }
        })
    }

    /// What can be met under as much of a wrong head as can be read, and whether that is what its author meant: all of
    /// WHO, WHAT and WHERE is known, and only actions are not.
    pub fn readable_head(&mut self, block: BlockWord, rule: &ast::Rule) -> (Env, bool) {
        let who = self.who(block, rule);
        let mut actions: Vec<ActionId> =
            self.rule_actions(&rule.actions).into_iter().flat_map(|(ids, _)| ids).collect();
        let what: Vec<What> = rule.what.iter().filter_map(|w| self.what(w)).map(|(w, _)| w).collect();
        let at: Vec<At> = rule.at.iter().filter_map(|w| self.at(w)).collect();
        let all = (0..self.vocabulary.actions.len()).map(|i| ActionId(i as u16));
        let some_unknown =
            matches!(&rule.actions, ast::Actions::Named(n) if actions.is_empty() || n.len() > actions.len());
        if some_unknown {
            actions = all.collect();
        }
        let sure = who.len() == rule.who.as_ref().map_or(1, Vec::len)
            && what.len() == rule.what.len()
            && at.len() == rule.at.len();
        let who = if who.is_empty() { vec![Who::Anyone] } else { who };
        let what = if what.len() < rule.what.len() { vec![What::Anything] } else { what };
        let mut env = self.environment(&Head { who, actions, what, at }, rule.effect == Effect::Deny);
        let sure = sure && !env.resource.is_empty();
        if some_unknown {
            // The action meant may be one that is asked of a thing.
            env.any.clear();
        }
        (env, sure)
    }

    fn who(&mut self, block: BlockWord, rule: &ast::Rule) -> Vec<Who> {
        let Some(items) = &rule.who else {
            if block == BlockWord::Policy {
                let word = self.sources.slice(rule.effect_span).to_owned();
                self.report(
                    Diagnostic::new(
                        Code::E0303,
                        rule.effect_span,
                        "a policy's rule says for whom it is",
                        "nobody is named after this word",
                    )
                    .help(format!("write `{word} anyone to …`, or name a kind, an account or a group")),
                );
            }
            return vec![Who::Anyone];
        };
        if block != BlockWord::Policy {
            let what = if block == BlockWord::Role { "role" } else { "boundary" };
            let why = if block == BlockWord::Role {
                "a role is for whoever holds it"
            } else {
                "a boundary is for whatever it is attached to"
            };
            let first = match &items[0] {
                ast::Who::Anyone(span) => *span,
                ast::Who::Kind(name, _) | ast::Who::KindIn(name, _, _) => name.span,
            };
            self.report(
                Diagnostic::new(
                    Code::E0303,
                    first,
                    format!("a {what}'s rule does not say for whom it is"),
                    why,
                )
                .help("drop everything up to `to`, or move the rule into a policy"),
            );
            return Vec::new();
        }
        items.iter().filter_map(|item| self.who_item(item)).collect()
    }

    fn who_item(&mut self, item: &ast::Who) -> Option<Who> {
        match item {
            ast::Who::Anyone(_) => Some(Who::Anyone),
            ast::Who::Kind(name, Some(id)) if name.text == "group" => {
                self.check_id(KindId::GROUP, id).then(|| Who::Group(id.text.clone()))
            }
            ast::Who::Kind(name, None) if name.text == "group" => {
                self.report(
                    Diagnostic::new(Code::E0104, name.span, "which group?", "a group is named here")
                        .help("write `group \"…\"`; for every account write `anyone`"),
                );
                None
            }
            ast::Who::Kind(name, id) => {
                let kind = self.kind_of_sort(Sort::Account, "account", name)?;
                match id {
                    Some(id) => {
                        self.check_id(kind, id).then(|| Who::Account(Entity { kind, id: id.text.clone() }))
                    }
                    None => Some(Who::Kind(kind)),
                }
            }
            ast::Who::KindIn(name, group, id) => {
                let kind = self.kind_of_sort(Sort::Account, "account", name)?;
                if group.text != "group" {
                    self.report(Diagnostic::new(
                        Code::E0104,
                        group.span,
                        "accounts are in groups",
                        "expected `group` here",
                    ));
                    return None;
                }
                self.check_id(KindId::GROUP, id).then(|| Who::KindInGroup(kind, id.text.clone()))
            }
        }
    }

    /// The actions named, each with the span of its name.
    fn rule_actions(&mut self, actions: &ast::Actions) -> Vec<(Vec<ActionId>, Option<ast::Name>)> {
        match actions {
            ast::Actions::Anything(_) => {
                vec![((0..self.vocabulary.actions.len()).map(|i| ActionId(i as u16)).collect(), None)]
            }
            ast::Actions::Named(names) => names.iter().filter_map(|n| self.action_name(n)).collect(),
        }
    }

    fn action_name(&mut self, name: &ast::Name) -> Option<(Vec<ActionId>, Option<ast::Name>)> {
        if let Some(id) = self.actions.get(&name.text) {
            return Some((vec![*id], Some(name.clone())));
        }
        if let Some(members) = self.vocabulary.action_groups.get(&name.text) {
            self.used.action_groups.insert(name.text.clone());
            return Some((members.clone(), Some(name.clone())));
        }
        let known: Vec<SmolStr> =
            self.actions.keys().chain(self.vocabulary.action_groups.keys()).cloned().collect();
        if name.text == "anything" && nearest("anything", known.iter().map(SmolStr::as_str)).is_none() {
            self.report(
                Diagnostic::new(Code::E0102, name.span, "no action `anything`", "this is no action")
                    .help("for every action write `do anything`")
                    .fix(name.span, "do anything"),
            );
        } else {
            self.unknown("action", name, known.iter().map(SmolStr::as_str));
        }
        None
    }

    fn any_kind(&mut self, name: &ast::Name) -> Option<KindId> {
        if let Some(kind) = self.kinds.get(&name.text) {
            return Some(*kind);
        }
        let known: Vec<SmolStr> = self.vocabulary.kinds.iter().map(|k| k.name.clone()).collect();
        self.unknown("kind", name, known.iter().map(SmolStr::as_str));
        None
    }

    fn what(&mut self, item: &ast::What) -> Option<(What, Span)> {
        match item {
            ast::What::Anything(span) => Some((What::Anything, *span)),
            ast::What::AnythingIn(span, kind, id) => {
                let k = self.any_kind(kind)?;
                let sort = self.vocabulary.kind(k).sort;
                if !matches!(sort, Sort::Scope | Sort::Resource) {
                    let what = format!("nothing sits in a {}", sort_word(sort));
                    self.report(
                        Diagnostic::new(Code::E0104, kind.span, what, "expected a kind of resource or scope")
                            .label(self.vocabulary.kind(k).span, "declared here"),
                    );
                    return None;
                }
                self.check_id(k, id)
                    .then(|| (What::AnythingIn(Entity { kind: k, id: id.text.clone() }), *span))
            }
            ast::What::Kind(name, None) => self.any_kind(name).map(|k| (What::Kind(k), name.span)),
            ast::What::Kind(name, Some(id)) => {
                let k = self.any_kind(name)?;
                let entity = Entity { kind: k, id: id.text.clone() };
                self.check_id(k, id).then_some((What::Entity(entity), name.span.to(id.span)))
            }
            ast::What::KindIn(name, parent, id) => {
                let k = self.any_kind(name)?;
                let p = self.any_kind(parent)?;
                if !self.sits_in(name, k, parent, p) || !self.check_id(p, id) {
                    return None;
                }
                Some((What::KindIn(k, Entity { kind: p, id: id.text.clone() }), name.span))
            }
        }
    }

    fn sits_in(&mut self, name: &ast::Name, kind: KindId, parent_name: &ast::Name, parent: KindId) -> bool {
        let fits = self.vocabulary.below(parent).contains(&kind);
        if !fits {
            let parents: Vec<SmolStr> = self
                .vocabulary
                .kind(kind)
                .parents
                .iter()
                .map(|p| self.vocabulary.kind(*p).name.clone())
                .collect();
            let label = match parents.len() {
                0 => format!("`{}` sits in nothing", name.text),
                _ => format!("`{}` sits in {}", name.text, any_of(&parents)),
            };
            self.report(
                Diagnostic::new(
                    Code::E0107,
                    name.span.to(parent_name.span),
                    format!("a `{}` never sits in a `{}`", name.text, parent_name.text),
                    label,
                )
                .label(self.vocabulary.kind(kind).span, "declared here"),
            );
        }
        fits
    }

    fn at(&mut self, item: &ast::Where) -> Option<At> {
        let (ast::Where::Kind(name, _) | ast::Where::KindIn(name, _, _)) = item;
        if !self.vocabulary.has_scopes() && self.damaged.is_empty() {
            self.report(
                Diagnostic::new(
                    Code::E0107,
                    name.span,
                    "there are no scopes",
                    "this vocabulary declares none",
                )
                .help("declare one, such as `scope organization`, or drop `at …`"),
            );
            return None;
        }
        let kind = self.kind_of_sort(Sort::Scope, "scope", name)?;
        match item {
            ast::Where::Kind(_, None) => Some(At::Kind(kind)),
            ast::Where::Kind(_, Some(id)) => {
                self.check_id(kind, id).then(|| At::Node(Entity { kind, id: id.text.clone() }))
            }
            ast::Where::KindIn(name, parent, id) => {
                let p = self.kind_of_sort(Sort::Scope, "scope", parent)?;
                if !self.sits_in(name, kind, parent, p) || !self.check_id(p, id) {
                    return None;
                }
                Some(At::KindIn(kind, Entity { kind: p, id: id.text.clone() }))
            }
        }
    }

    /// Checks a quoted id: not empty, and for a scope a path of a possible length.
    pub fn check_id(&mut self, kind: KindId, id: &ast::Quoted) -> bool {
        if id.text.is_empty() {
            self.report(Diagnostic::new(
                Code::E0107,
                id.span,
                "an id is never empty",
                "nothing is named here",
            ));
            return false;
        }
        if self.vocabulary.kind(kind).sort != Sort::Scope {
            return true;
        }
        let segments: Vec<&str> = id.text.split('/').collect();
        if segments.iter().any(|s| s.is_empty()) {
            self.report(
                Diagnostic::new(
                    Code::E0107,
                    id.span,
                    "a path has an empty part",
                    "two slashes, or one at an end",
                )
                .help("a scope's id is its path, such as \"acme/web/prod\""),
            );
            return false;
        }
        let depths = self.path_lengths(kind, segments.len());
        if depths {
            return true;
        }
        let example = self.example_path(kind);
        self.report(
            Diagnostic::new(
                Code::E0107,
                id.span,
                format!("no `{}` can have this path", self.vocabulary.kind(kind).name),
                format!(
                    "{} here",
                    if segments.len() == 1 {
                        "1 part".to_owned()
                    } else {
                        format!("{} parts", segments.len())
                    }
                ),
            )
            .label(self.vocabulary.kind(kind).span, "declared here")
            .help(format!("a scope's id is its path from the root: \"{example}\"")),
        );
        false
    }

    /// Whether a node of this kind can stand at this depth.
    fn path_lengths(&self, kind: KindId, length: usize) -> bool {
        let mut level = vec![kind];
        for depth in 1..=length {
            if depth == length {
                return level.iter().any(|k| self.vocabulary.kind(*k).parent_optional);
            }
            let mut next: Vec<KindId> =
                level.iter().flat_map(|k| self.vocabulary.kind(*k).parents.iter().copied()).collect();
            next.sort_unstable();
            next.dedup();
            level = next;
        }
        false
    }

    fn example_path(&self, kind: KindId) -> String {
        let mut parts = vec![self.vocabulary.kind(kind).name.to_string()];
        let mut at = kind;
        while let Some(parent) = self.vocabulary.kind(at).parents.first().filter(|_| parts.len() < 8) {
            if self.vocabulary.kind(at).parent_optional {
                break;
            }
            parts.push(self.vocabulary.kind(*parent).name.to_string());
            at = *parent;
        }
        parts.reverse();
        parts.join("/")
    }

    /// Every name of a head must take part in at least one pair of action and kind.
    fn covers(&mut self, actions: &[(Vec<ActionId>, Option<ast::Name>)], what: &[(What, Span)]) -> bool {
        let mut fits = true;
        let all: Vec<ActionId> = actions.iter().flat_map(|(ids, _)| ids.iter().copied()).collect();
        for (ids, name) in actions {
            let Some(name) = name else { continue };
            if what.iter().any(|(w, _)| ids.iter().any(|a| self.pairs(*a, w).next().is_some())) {
                continue;
            }
            self.does_not_apply(name, ids, what);
            fits = false;
        }
        if !fits {
            return false;
        }
        for (w, span) in what {
            if all.iter().any(|a| self.pairs(*a, w).next().is_some()) {
                continue;
            }
            let kind = match w {
                What::Anything => None,
                What::AnythingIn(e) | What::Entity(e) => Some(e.kind),
                What::Kind(k) | What::KindIn(k, _) => Some(*k),
            };
            let names: Vec<SmolStr> = kind.map_or_else(Vec::new, |k| self.actions_on(k));
            let mut d = Diagnostic::new(
                Code::E0106,
                *span,
                kind.map_or_else(
                    || "there is nothing to be done".to_owned(),
                    |k| format!("no action of this rule applies to `{}`", self.vocabulary.kind(k).name),
                ),
                "the rule says nothing about this",
            );
            d = match (kind, names.as_slice()) {
                (None, _) => d.help("the vocabulary declares no action"),
                (Some(k), []) => d.help(format!("no action applies to `{}`", self.vocabulary.kind(k).name)),
                (Some(k), names) => {
                    d.help(format!("to `{}` apply: {}", self.vocabulary.kind(k).name, list(names)))
                }
            };
            self.report(d);
            fits = false;
        }
        fits
    }

    fn does_not_apply(&mut self, name: &ast::Name, ids: &[ActionId], what: &[(What, Span)]) {
        let mut kinds: Vec<SmolStr> = (ids.iter())
            .flat_map(|a| self.vocabulary.action(*a).targets.iter())
            .map(|t| {
                let kind = &self.vocabulary.kind(t.kind).name;
                if t.any { SmolStr::from(format!("any {kind}")) } else { kind.clone() }
            })
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        let declared = match ids {
            [one] => self.vocabulary.action(*one).span,
            _ => self.group_spans.get(&name.text).copied().unwrap_or_default(),
        };
        let target = match what {
            [(_, span)] => format!("`{}`", self.sources.slice(*span)),
            _ => "anything this rule names".to_owned(),
        };
        let mut d = Diagnostic::new(
            Code::E0105,
            name.span,
            format!("`{}` does not apply to {target}", name.text),
            if kinds.is_empty() {
                "it applies to nothing".to_owned()
            } else {
                format!("it applies to {}", list(&kinds))
            },
        )
        .label(declared, "declared here");
        if let [(w, _)] = what
            && let Some(kind) = match w {
                What::Kind(k) | What::KindIn(k, _) => Some(*k),
                What::Entity(e) => Some(e.kind),
                _ => None,
            }
        {
            let names = self.actions_on(kind);
            let asked_of_any = ids.iter().any(|a| names.contains(&self.vocabulary.action(*a).name));
            if asked_of_any {
                let kind = &self.vocabulary.kind(kind).name;
                d = d.help(format!("it is asked of the kind and names none: write `on {kind}`"));
            } else if !names.is_empty() && names.len() <= 12 {
                d = d.help(format!("to `{}` apply: {}", self.vocabulary.kind(kind).name, list(&names)));
            }
        }
        self.report(d);
    }

    fn actions_on(&self, kind: KindId) -> Vec<SmolStr> {
        let mut names: Vec<SmolStr> = (self.vocabulary.actions.iter())
            .filter(|a| a.targets.iter().any(|t| t.kind == kind))
            .map(|a| a.name.clone())
            .collect();
        names.sort_unstable();
        names
    }

    /// The targets of an action that an item of WHAT covers.
    fn pairs<'v>(
        &'v self,
        action: ActionId,
        what: &'v What,
    ) -> impl Iterator<Item = super::program::Target> + 'v {
        let v = &self.vocabulary;
        v.action(action).targets.iter().copied().filter(move |t| match what {
            What::Anything => true,
            What::Kind(k) | What::KindIn(k, _) => t.kind == *k,
            What::Entity(e) => t.kind == e.kind && !t.any,
            What::AnythingIn(e) => (t.kind == e.kind && !t.any) || (v.sits_below(t.kind, e.kind)),
        })
    }

    /// What a rule's conditions can meet.
    pub fn environment(&self, head: &Head, false_opens: bool) -> Env {
        let v = &self.vocabulary;
        let all = |sort: Sort| v.kinds_of(sort);
        let mut account: Vec<KindId> = Vec::new();
        for who in &head.who {
            match who {
                Who::Anyone | Who::Group(_) => account.extend(all(Sort::Account)),
                Who::Kind(k) | Who::KindInGroup(k, _) => account.push(*k),
                Who::Account(e) => account.push(e.kind),
            }
        }
        let mut resource = Vec::new();
        let mut any = Vec::new();
        let mut actions = Vec::new();
        for action in &head.actions {
            for what in &head.what {
                for target in self.pairs(*action, what) {
                    resource.push(target.kind);
                    if target.any {
                        any.push(target.kind);
                    }
                    actions.push(*action);
                }
            }
        }
        let mut scope: Vec<KindId> = Vec::new();
        for at in &head.at {
            let (At::Kind(k) | At::KindIn(k, _)) = at else {
                let At::Node(e) = at else { continue };
                scope.push(e.kind);
                scope.extend(v.below(e.kind));
                continue;
            };
            scope.push(*k);
            scope.extend(v.below(*k));
        }
        if head.at.is_empty() {
            scope = all(Sort::Scope);
        }
        for list in [&mut account, &mut resource, &mut any, &mut scope] {
            list.sort_unstable();
            list.dedup();
        }
        actions.sort_unstable();
        actions.dedup();
        Env { account, resource, any, scope, actions, parameters: None, false_opens }
    }
}
