//! What the checker knows while it works: the tables of names, and how an unknown one is reported.

use super::expr::ConditionFacts;
use super::program::{Block, Condition, Program, Rule, Vocabulary};
use crate::diagnostic::{Code, Diagnostic, Severity, nearest};
use crate::source::{Sources, Span};
use crate::syntax::ast;
use crate::value::{ActionId, BoundaryId, ConditionId, EnumId, KindId, NameId, PolicyId, RecordId, RoleId};
use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

/// Diagnostics kept of one check; how many of them are shown is the reporter's choice.
const DIAGNOSTICS_KEPT: usize = 10_000;

/// The state of one check.
pub(super) struct Checker<'a> {
    pub sources: &'a Sources,
    pub vocabulary: Vocabulary,
    pub kinds: FxHashMap<SmolStr, KindId>,
    pub enums: FxHashMap<SmolStr, EnumId>,
    pub records: FxHashMap<SmolStr, RecordId>,
    pub actions: FxHashMap<SmolStr, ActionId>,
    pub condition_names: FxHashMap<SmolStr, ConditionId>,
    pub policy_names: FxHashMap<SmolStr, PolicyId>,
    pub role_names: FxHashMap<SmolStr, RoleId>,
    pub boundary_names: FxHashMap<SmolStr, BoundaryId>,
    pub rule_names: FxHashMap<SmolStr, Span>,
    pub name_ids: FxHashMap<SmolStr, NameId>,
    /// Where each action group is declared.
    pub group_spans: FxHashMap<SmolStr, Span>,
    pub role_spans: Vec<Span>,
    pub boundary_spans: Vec<Span>,
    /// Names that a declaration which did not parse may have declared: not reported as unknown.
    pub damaged: FxHashSet<SmolStr>,
    pub conditions: Vec<Option<Condition>>,
    pub condition_facts: Vec<ConditionFacts>,
    pub policies: Vec<Block>,
    pub roles: Vec<Block>,
    pub boundaries: Vec<Block>,
    pub rules: Vec<Rule>,
    pub used: Used,
    pub diagnostics: Vec<Diagnostic>,
    /// Some diagnostic was an error, whether it was kept or not.
    pub failed: bool,
}

/// What some rule, condition or test has used, for the warning about what nothing uses.
#[derive(Default)]
pub(super) struct Used {
    pub conditions: FxHashSet<ConditionId>,
    pub enums: FxHashSet<EnumId>,
    pub records: FxHashSet<RecordId>,
    pub action_groups: FxHashSet<SmolStr>,
}

impl<'a> Checker<'a> {
    /// An empty state.
    pub fn new(sources: &'a Sources) -> Self {
        Checker {
            sources,
            vocabulary: Vocabulary::default(),
            kinds: FxHashMap::default(),
            enums: FxHashMap::default(),
            records: FxHashMap::default(),
            actions: FxHashMap::default(),
            condition_names: FxHashMap::default(),
            policy_names: FxHashMap::default(),
            role_names: FxHashMap::default(),
            boundary_names: FxHashMap::default(),
            rule_names: FxHashMap::default(),
            name_ids: FxHashMap::default(),
            group_spans: FxHashMap::default(),
            role_spans: Vec::new(),
            boundary_spans: Vec::new(),
            damaged: FxHashSet::default(),
            conditions: Vec::new(),
            condition_facts: Vec::new(),
            policies: Vec::new(),
            roles: Vec::new(),
            boundaries: Vec::new(),
            rules: Vec::new(),
            used: Used::default(),
            diagnostics: Vec::new(),
            failed: false,
        }
    }

    /// A state that knows a checked set's vocabulary, conditions and roles, and has no rules of its own.
    pub fn over(sources: &'a Sources, set: &Program) -> Self {
        let mut checker = Checker::new(sources);
        let v = set.vocabulary.clone();
        let ids = |n: usize| 0..u16::try_from(n).unwrap_or(u16::MAX);
        checker.kinds =
            ids(v.kinds.len()).map(|i| (v.kinds[usize::from(i)].name.clone(), KindId(i))).collect();
        checker.enums =
            ids(v.enums.len()).map(|i| (v.enums[usize::from(i)].name.clone(), EnumId(i))).collect();
        checker.actions =
            ids(v.actions.len()).map(|i| (v.actions[usize::from(i)].name.clone(), ActionId(i))).collect();
        checker.name_ids = ids(v.names.len()).map(|i| (v.names[usize::from(i)].clone(), NameId(i))).collect();
        checker.role_names = (0..).zip(&v.roles).map(|(i, r)| (r.name.clone(), RoleId(i))).collect();
        checker.condition_names =
            (0..).zip(&set.conditions).map(|(i, c)| (c.name.clone(), ConditionId(i))).collect();
        checker.condition_facts = set.conditions.iter().map(super::calls::facts_of).collect();
        checker.conditions = set.conditions.iter().cloned().map(Some).collect();
        checker.roles = (v.roles.iter())
            .map(|r| Block { name: r.name.clone(), title: None, rules: Vec::new(), span: Span::default() })
            .collect();
        checker.vocabulary = v;
        checker.vocabulary.boundaries.clear();
        checker
    }

    /// Records a diagnostic.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.failed |= diagnostic.severity() == Severity::Error;
        if self.diagnostics.len() < DIAGNOSTICS_KEPT {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Reports a name that is not known, with the nearest known one as its help.
    pub fn unknown<'k>(&mut self, what: &str, name: &ast::Name, known: impl IntoIterator<Item = &'k str>) {
        if self.damaged.contains(&name.text) {
            return;
        }
        let mut known: Vec<&str> = known.into_iter().collect();
        known.sort_unstable();
        let near = nearest(&name.text, known.iter().copied());
        let mut d = Diagnostic::new(
            Code::E0102,
            name.span,
            format!("no {what} `{}`", name.text),
            format!("this {what} is not declared"),
        );
        if let Some(near) = near {
            d = d.help(format!("did you mean `{near}`?")).fix(name.span, near);
        } else if known.is_empty() {
            d = d.help(format!("the set declares no {what}"));
        } else if known.len() <= 12 {
            d = d.help(format!("known: {}", list(&known)));
        }
        self.report(d);
    }

    /// Reports a second declaration of a name.
    pub fn duplicate(&mut self, what: &str, name: &str, span: Span, first: Span) {
        self.report(
            Diagnostic::new(
                Code::E0101,
                span,
                format!("{what} `{name}` is declared twice"),
                "declared again here",
            )
            .label(first, "first declared here")
            .help("rename one of the two, or drop it"),
        );
    }

    /// The id of an attribute, field or property name.
    pub fn name_id(&mut self, text: &SmolStr) -> NameId {
        if let Some(id) = self.name_ids.get(text) {
            return *id;
        }
        let id = NameId(u16::try_from(self.vocabulary.names.len()).unwrap_or(u16::MAX));
        if id.index() == self.vocabulary.names.len() {
            self.vocabulary.names.push(text.clone());
        }
        self.name_ids.insert(text.clone(), id);
        id
    }

    /// The program, if there is no error, and the diagnostics in source order.
    pub fn finish(mut self, files: &[ast::File]) -> (Option<Program>, Vec<Diagnostic>) {
        let unread = |d: &ast::Declaration| matches!(d, ast::Declaration::Block(b) if b.damaged);
        let damaged = files.iter().any(|f| f.damaged);
        if !self.failed && !damaged && !files.iter().flat_map(|f| &f.declarations).any(unread) {
            self.warn_unused(files);
        }
        self.diagnostics.sort_by_key(|d| (d.span(), d.code));
        self.diagnostics.dedup();
        let failed = self.failed;
        let conditions: Option<Vec<Condition>> = self.conditions.into_iter().collect();
        let program = match conditions {
            Some(conditions) if !failed && !damaged => Some(Program {
                vocabulary: self.vocabulary,
                conditions,
                policies: self.policies,
                roles: self.roles,
                boundaries: self.boundaries,
                rules: self.rules,
                _only_check_builds_one: (),
            }),
            _ => None,
        };
        (program, self.diagnostics)
    }
}

/// `a`, `b` and `c`, in backticks.
pub(super) fn list<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
