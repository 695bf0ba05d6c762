//! Actions, groups of actions, and what roles include.

use super::declare::{Where, too_many};
use super::names::Checker;
use super::program::{Action, Attribute, Sort, Target};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits;
use crate::source::Span;
use crate::syntax::ast::{self, BlockWord, Declaration};
use crate::value::{ActionId, RoleId};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

impl Checker<'_> {
    pub fn declare_action(&mut self, d: &ast::ActionDeclaration) {
        let properties = self.attributes(&d.properties, Where::Property);
        let mut targets: Vec<(Target, Span)> = Vec::new();
        for t in &d.targets {
            let Some(kind) = self.kinds.get(&t.kind.text).copied() else {
                let known: Vec<SmolStr> = self.vocabulary.kinds.iter().map(|k| k.name.clone()).collect();
                self.unknown("kind", &t.kind, known.iter().map(SmolStr::as_str));
                continue;
            };
            let sort = self.vocabulary.kind(kind).sort;
            if d.from_below.is_some() && (sort != Sort::Scope || t.any) {
                self.report(
                    Diagnostic::new(
                        Code::E0305,
                        t.kind.span,
                        format!("`from below` needs a scope, and `{}` is none", t.kind.text),
                        "only a node of the scope tree has something below it",
                    )
                    .label(d.from_below.unwrap_or_default(), "`from below` stands here")
                    .help("declare the action on this kind apart"),
                );
            }
            targets.push((Target { kind, any: t.any, from_below: d.from_below.is_some() }, t.kind.span));
        }
        for (name, wire) in &d.names {
            self.add_action(name, wire.as_ref(), &properties, &targets);
        }
    }

    fn add_action(
        &mut self,
        name: &ast::Name,
        wire: Option<&ast::Quoted>,
        properties: &[Attribute],
        targets: &[(Target, Span)],
    ) {
        let id = match self.actions.get(&name.text) {
            Some(id) => *id,
            None => {
                if self.vocabulary.actions.len() >= limits::ACTIONS_MAX {
                    return self.report(too_many(name.span, "actions", limits::ACTIONS_MAX));
                }
                let id = ActionId(self.vocabulary.actions.len() as u16);
                self.actions.insert(name.text.clone(), id);
                self.vocabulary.actions.push(Action {
                    name: name.text.clone(),
                    wire: name.text.clone(),
                    properties: Vec::new(),
                    targets: Vec::new(),
                    span: name.span,
                });
                id
            }
        };
        if let Some(wire) = wire {
            let taken = self.vocabulary.actions.iter().position(|a| a.wire == wire.text);
            match taken {
                Some(other) if other != id.index() => {
                    let first = self.vocabulary.actions[other].span;
                    self.duplicate("wire name", &wire.text, wire.span, first);
                }
                _ => self.vocabulary.actions[id.index()].wire = wire.text.clone(),
            }
        }
        let action = &mut self.vocabulary.actions[id.index()];
        let first = action.span;
        if !properties.is_empty() {
            if !action.properties.is_empty() && action.properties != properties {
                return self.duplicate("the properties of action", &name.text, name.span, first);
            }
            action.properties = properties.to_vec();
        }
        for (target, span) in targets {
            let action = &mut self.vocabulary.actions[id.index()];
            if action.targets.iter().any(|t| t.kind == target.kind && t.any == target.any) {
                let kind = self.vocabulary.kind(target.kind).name.clone();
                self.duplicate("action", &format!("{} on {kind}", name.text), *span, first);
            } else {
                action.targets.push(*target);
                action.targets.sort_unstable();
            }
        }
    }

    pub fn action_groups<'d>(&mut self, all: impl Iterator<Item = &'d Declaration>) {
        let groups: Vec<&ast::ActionGroup> = all
            .filter_map(|d| match d {
                Declaration::ActionGroup(g) => Some(g),
                _ => None,
            })
            .collect();
        let mut by_name: FxHashMap<SmolStr, &ast::ActionGroup> = FxHashMap::default();
        if let Some(g) = groups.get(limits::ACTIONS_MAX) {
            return self.report(too_many(g.name.span, "groups of actions", limits::ACTIONS_MAX));
        }
        for g in &groups {
            if let Some(action) = self.actions.get(&g.name.text) {
                let first = self.vocabulary.action(*action).span;
                self.duplicate("action", &g.name.text, g.name.span, first);
            } else if let Some(first) = self.group_spans.get(&g.name.text).copied() {
                self.duplicate("action group", &g.name.text, g.name.span, first);
            } else {
                self.group_spans.insert(g.name.text.clone(), g.name.span);
                by_name.insert(g.name.text.clone(), g);
            }
        }
        for g in &groups {
            let members = self.collect_members(g, &by_name);
            self.vocabulary.action_groups.entry(g.name.text.clone()).or_insert(members);
        }
    }

    /// The actions of a group, through the groups in it; reports unknown names and cycles.
    fn collect_members(
        &mut self,
        root: &ast::ActionGroup,
        by_name: &FxHashMap<SmolStr, &ast::ActionGroup>,
    ) -> Vec<ActionId> {
        let mut members = Vec::new();
        let mut seen = vec![root.name.text.clone()];
        let mut next = 0;
        while let Some(group) = seen.get(next).and_then(|n| by_name.get(n)).copied() {
            let group = if next == 0 { root } else { group };
            next += 1;
            for name in &group.members {
                if let Some(action) = self.actions.get(&name.text) {
                    members.push(*action);
                } else if let Some(inner) = by_name.get(&name.text) {
                    if group.name == root.name {
                        self.used.action_groups.insert(name.text.clone());
                    }
                    // Each cycle is reported once, at the group of it that stands first.
                    let first = seen.iter().all(|s| by_name[s].name.span >= root.name.span);
                    if inner.name.text == root.name.text && first {
                        self.report(
                            Diagnostic::new(
                                Code::E0103,
                                root.name.span,
                                format!("action group `{}` contains itself", root.name.text),
                                "declared here",
                            )
                            .label(name.span, "which leads back to it here")
                            .help("drop one of the names"),
                        );
                    }
                    if !seen.contains(&inner.name.text) {
                        seen.push(inner.name.text.clone());
                    }
                } else if group.name == root.name {
                    let known: Vec<SmolStr> = self.actions.keys().chain(by_name.keys()).cloned().collect();
                    self.unknown("action", name, known.iter().map(SmolStr::as_str));
                }
            }
        }
        members.sort_unstable();
        members.dedup();
        members
    }

    pub fn role_includes<'d>(&mut self, all: impl Iterator<Item = &'d Declaration>) {
        let mut direct: Vec<Vec<(RoleId, Span)>> = vec![Vec::new(); self.roles.len()];
        for d in all {
            let Declaration::Block(b) = d else { continue };
            for name in &b.includes {
                if b.word != BlockWord::Role {
                    continue; // reported where it was read
                }
                let Some(this) = self.role_names.get(&b.name.text).copied() else { continue };
                match self.role_names.get(&name.text) {
                    Some(role) => direct[this.index()].push((*role, name.span)),
                    None => {
                        let known: Vec<SmolStr> = self.role_names.keys().cloned().collect();
                        self.unknown("role", name, known.iter().map(SmolStr::as_str));
                    }
                }
            }
        }
        for start in 0..direct.len() {
            let mut reached = vec![start];
            let mut next = 0;
            while let Some(r) = reached.get(next).copied().filter(|_| next <= limits::ROLE_INCLUDES_MAX) {
                next += 1;
                for (inner, span) in &direct[r] {
                    if inner.index() == start && reached.iter().all(|r| *r >= start) {
                        let name = self.roles[start].name.clone();
                        self.report(
                            Diagnostic::new(
                                Code::E0103,
                                self.role_spans[start],
                                format!("role `{name}` includes itself"),
                                "declared here",
                            )
                            .label(*span, "which leads back to it here")
                            .help("drop one `includes`"),
                        );
                    }
                    if !reached.contains(&inner.index()) {
                        reached.push(inner.index());
                    }
                }
            }
            if reached.len() > limits::ROLE_INCLUDES_MAX {
                self.report(too_many(self.role_spans[start], "included roles", limits::ROLE_INCLUDES_MAX));
            }
            reached.sort_unstable();
            self.vocabulary.roles[start].includes = reached.into_iter().map(|r| RoleId(r as u32)).collect();
        }
    }
}
