//! Lowers a checked [`Program`] to a decision [`Tree`].
//!
//! In:    `&Program`: names resolved, types known.
//! Out:   `Tree`, or the bound that the set is past ([`TreeLimit`]).
//! Law:   `decide(&lower(p)?, d, q) == meaning::decide(p, d, q)` for every directory and question (tests/laws.rs).
//! After: conditions are expanded into shared tests, atoms put in order, then each rule filed under its head and what
//!        is left to ask merged with its neighbours.

use super::atom::{Atom, Comparison, Operand};
use super::diagram::{Body, Diagrams, Over, Sequenced};
use super::heads::{Filing, Heads};
use super::index::{End, Index, Leads, Path};
use super::node::{Entry, Node, OneTest, Pairs, Ref, RuleText, Step, Tree};
use super::request::QUANTIFIER_DEPTH_MAX;
use super::simplify::{TestId, Tests};
use crate::check::program::{CompareOp, Expr, ExprKind, Home, Program, Rule};
use crate::limits::{CONDITION_NODES_MAX, TREE_NODES_MAX};
use crate::source::Span;
use crate::value::{ConditionId, RuleId, Value};
use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap};
use smol_str::SmolStr;

/// Levels of a rule's condition once its conditions are expanded.
pub(super) const EXPANSION_DEPTH_MAX: usize = 512;
/// Pairs of a rule that are filed one by one; more are filed as a shape.
const NARROW_PAIRS_MAX: usize = 16;

/// The bound that a set is past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeLimit {
    /// A rule's condition, expanded, has more than `CONDITION_NODES_MAX` nodes.
    ConditionNodes {
        /// The rule's label.
        rule: SmolStr,
        /// The rule.
        span: Span,
    },
    /// A rule's condition, expanded, is nested too deeply.
    ConditionDepth {
        /// The rule's label.
        rule: SmolStr,
        /// The rule.
        span: Span,
    },
    /// The tree has more than `TREE_NODES_MAX` nodes.
    TreeNodes,
}

impl TreeLimit {
    /// The rule that is past it, if it is one rule.
    pub fn span(&self) -> Option<Span> {
        match self {
            TreeLimit::ConditionNodes { span, .. } | TreeLimit::ConditionDepth { span, .. } => Some(*span),
            TreeLimit::TreeNodes => None,
        }
    }
}

impl std::fmt::Display for TreeLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TreeLimit::ConditionNodes { rule, .. } => {
                write!(f, "the condition of `{rule}`, expanded, has more than {CONDITION_NODES_MAX} nodes")
            }
            TreeLimit::ConditionDepth { rule, .. } => {
                write!(
                    f,
                    "the condition of `{rule}`, expanded, is nested deeper than {EXPANSION_DEPTH_MAX} levels"
                )
            }
            TreeLimit::TreeNodes => write!(f, "the decision tree has more than {TREE_NODES_MAX} nodes"),
        }
    }
}

impl std::error::Error for TreeLimit {}

/// Compiles a program.
///
/// - Errors: [`TreeLimit`]; then the set is too large in the way it says.
pub fn lower(program: &Program) -> Result<Tree, TreeLimit> {
    let mut order: Vec<RuleId> = (0..program.rules.len() as u32).map(RuleId).collect();
    order.sort_by_key(|rule| (program.rule(*rule).rank, *rule));
    let pairs = Pairs::of(&program.vocabulary);
    let mut heads = Heads::default();
    // Groups get the lowest numbers, so that what a decision looks at for each group of an account stands together.
    order.iter().for_each(|id| heads.number_groups(program.rule(*id)));
    let mut expand = Expand::new(program);
    let mut filed: Vec<(Vec<Filing>, TestId)> = Vec::with_capacity(order.len());
    for id in &order {
        let rule = program.rule(*id);
        let test = expand.rule(rule)?;
        filed.push((heads.filings(&mut expand.tests, &pairs, rule), test));
    }
    let Expand { mut tests, mut bodies, .. } = expand;
    put_in_order(&mut tests);
    let mut build = Build { program, order: &order, tests, heads, ..Build::new(program) };
    build.file(filed)?;
    let entries = build.entries();
    let roots = bodies.drain(..).map(|body| build.root(body)).collect::<Result<Vec<_>, _>>()?;
    build.finish(pairs, entries, roots)
}

/// Numbers atoms in asking order: cheap ones first, and among them as the rules first ask them, so that a guard
/// stands before what it guards.
fn put_in_order(tests: &mut Tests) {
    use super::simplify::Test;
    let mut sorted: Vec<usize> = (0..tests.atoms.len()).collect();
    sorted.sort_by_key(|i| (tests.atoms[*i].cost(), *i));
    let mut number = vec![0u32; sorted.len()];
    for (new, old) in sorted.iter().enumerate() {
        number[*old] = new as u32;
    }
    tests.atoms = sorted.iter().map(|old| tests.atoms[*old].clone()).collect();
    for test in &mut tests.tests {
        if let Test::Atom(atom) = test {
            *atom = number[*atom as usize];
        }
    }
}

/// Past a bound while a condition is expanded.
enum Past {
    Nodes,
    Depth,
}

/// What the names of a condition stand for.
struct Names<'e> {
    arguments: &'e [u32],
    /// The quantifiers around, in the whole rule.
    depth: u8,
}

/// Expressions to tests: conditions are put in place of their calls, each once for each list of arguments.
struct Expand<'p> {
    program: &'p Program,
    tests: Tests,
    bodies: Vec<TestId>,
    body_numbers: FxHashMap<TestId, u32>,
    calls: FxHashMap<(ConditionId, Vec<u32>, u8), TestId>,
    level: usize,
    /// How many tests there may be when the current rule is done.
    most: usize,
}

impl<'p> Expand<'p> {
    fn new(program: &'p Program) -> Expand<'p> {
        Expand {
            program,
            tests: Tests::default(),
            bodies: Vec::new(),
            body_numbers: FxHashMap::default(),
            calls: FxHashMap::default(),
            level: 0,
            most: 0,
        }
    }

    /// What must hold for a rule whose head fits.
    fn rule(&mut self, rule: &Rule) -> Result<TestId, TreeLimit> {
        self.level = 0;
        self.most = self.size() + 4 * CONDITION_NODES_MAX;
        let (label, span) = (rule.label.clone(), rule.span);
        match self.parts(rule) {
            Ok(test) if self.tests.size(test, CONDITION_NODES_MAX) <= CONDITION_NODES_MAX => Ok(test),
            Ok(_) | Err(Past::Nodes) => Err(TreeLimit::ConditionNodes { rule: label, span }),
            Err(Past::Depth) => Err(TreeLimit::ConditionDepth { rule: label, span }),
        }
    }

    fn size(&self) -> usize {
        self.tests.tests.len() + self.tests.operands.len()
    }

    fn parts(&mut self, rule: &Rule) -> Result<TestId, Past> {
        let names = Names { arguments: &[], depth: 0 };
        let mut parts = Vec::with_capacity(3);
        if let Some(until) = rule.until {
            let now = self.tests.operand(Operand::Context(0));
            let until = self.tests.operand(Operand::Literal(Value::Time(until)));
            parts.push(self.tests.compare(Comparison::Less, now, until));
        }
        if let Some(when) = &rule.when {
            parts.push(self.test(when, &names)?);
        }
        if let Some(unless) = &rule.unless {
            let unless = self.test(unless, &names)?;
            parts.push(self.tests.not(unless));
        }
        Ok(self.tests.and(&parts))
    }

    fn test(&mut self, expr: &Expr, names: &Names<'_>) -> Result<TestId, Past> {
        self.level += 1;
        if self.level > EXPANSION_DEPTH_MAX {
            return Err(Past::Depth);
        }
        if self.size() > self.most {
            return Err(Past::Nodes);
        }
        let test = match &expr.kind {
            ExprKind::And(parts) => {
                let parts = self.tests(parts, names)?;
                self.tests.and(&parts)
            }
            ExprKind::Or(parts) => {
                let parts = self.tests(parts, names)?;
                self.tests.or(&parts)
            }
            ExprKind::Not(inner) => {
                let inner = self.test(inner, names)?;
                self.tests.not(inner)
            }
            ExprKind::If(test, yes, no) => {
                let (test, yes, no) =
                    (self.test(test, names)?, self.test(yes, names)?, self.test(no, names)?);
                self.tests.choose(test, yes, no)
            }
            ExprKind::Call(condition, arguments) => self.call(*condition, arguments, names)?,
            ExprKind::Compare(op, a, b) => self.compare(*op, a, b, names)?,
            ExprKind::Quantifier { all, set, body } => self.quantifier(*all, set, body, names)?,
            _ => self.smallest(expr, names)?,
        };
        self.level -= 1;
        Ok(test)
    }

    fn tests(&mut self, parts: &[Expr], names: &Names<'_>) -> Result<Vec<TestId>, Past> {
        parts.iter().map(|part| self.test(part, names)).collect()
    }

    /// A condition with its arguments.
    fn call(
        &mut self,
        condition: ConditionId,
        arguments: &[Expr],
        names: &Names<'_>,
    ) -> Result<TestId, Past> {
        let terms =
            arguments.iter().map(|argument| self.term(argument, names)).collect::<Result<Vec<_>, _>>()?;
        let key = (condition, terms.clone(), names.depth);
        if let Some(test) = self.calls.get(&key) {
            return Ok(*test);
        }
        let program = self.program;
        let inside = Names { arguments: &terms, depth: names.depth };
        let test = self.test(&program.conditions[condition.index()].body, &inside)?;
        self.calls.insert(key, test);
        Ok(test)
    }

    fn quantifier(&mut self, all: bool, set: &Expr, body: &Expr, names: &Names<'_>) -> Result<TestId, Past> {
        let depth = names.depth;
        if usize::from(depth) >= QUANTIFIER_DEPTH_MAX {
            return Err(Past::Depth);
        }
        let set = self.term(set, names)?;
        let body = self.test(body, &Names { arguments: names.arguments, depth: depth + 1 })?;
        let next = self.bodies.len() as u32;
        let number = *self.body_numbers.entry(body).or_insert(next);
        if number == next {
            self.bodies.push(body);
        }
        Ok(self.tests.atom(Atom::Quantifier { all, set, depth, body: number }))
    }

    fn compare(&mut self, op: CompareOp, a: &Expr, b: &Expr, names: &Names<'_>) -> Result<TestId, Past> {
        let (a, b) = (self.term(a, names)?, self.term(b, names)?);
        let (comparison, a, b) = match op {
            CompareOp::Eq => (Comparison::Equal, a, b),
            CompareOp::Ne => (Comparison::Different, a, b),
            CompareOp::Lt => (Comparison::Less, a, b),
            CompareOp::Le => (Comparison::LessOrEqual, a, b),
            CompareOp::Gt => (Comparison::Less, b, a),
            CompareOp::Ge => (Comparison::LessOrEqual, b, a),
        };
        Ok(self.tests.compare(comparison, a, b))
    }

    fn smallest(&mut self, expr: &Expr, names: &Names<'_>) -> Result<TestId, Past> {
        let mut two = |a: &Expr, b: &Expr| Ok((self.term(a, names)?, self.term(b, names)?));
        let atom = match &expr.kind {
            ExprKind::InSet(a, set) => {
                let (a, set) = two(a, set)?;
                return Ok(self.tests.in_set(a, set));
            }
            ExprKind::InNetwork(a, b) => two(a, b).map(|(a, b)| Atom::InNetwork(a, b))?,
            ExprKind::InGroup(a, b) => two(a, b).map(|(a, b)| Atom::InGroup(a, b))?,
            ExprKind::Within(a, b) => two(a, b).map(|(a, b)| Atom::Within(a, b))?,
            ExprKind::ContainsAll(a, b) => two(a, b).map(|(a, b)| Atom::ContainsAll(a, b))?,
            ExprKind::ContainsAny(a, b) => two(a, b).map(|(a, b)| Atom::ContainsAny(a, b))?,
            ExprKind::IsEmpty(a) => Atom::IsEmpty(self.term(a, names)?),
            ExprKind::Matches(a, pattern) => Atom::Matches(self.term(a, names)?, Box::new(pattern.clone())),
            ExprKind::Exists(a) => Atom::Exists(self.term(a, names)?),
            ExprKind::IsKind(a, kind) => Atom::IsKind(self.term(a, names)?, *kind),
            ExprKind::HasRole(role) => Atom::HasRole(*role),
            _ => Atom::True(self.term(expr, names)?),
        };
        Ok(self.tests.atom(atom))
    }

    fn term(&mut self, expr: &Expr, names: &Names<'_>) -> Result<u32, Past> {
        self.level += 1;
        if self.level > EXPANSION_DEPTH_MAX {
            return Err(Past::Depth);
        }
        if self.size() > self.most {
            return Err(Past::Nodes);
        }
        let operand = match &expr.kind {
            ExprKind::Literal(value) => Operand::Literal(value.clone()),
            ExprKind::Account => Operand::Account,
            ExprKind::Resource => Operand::Resource,
            ExprKind::Scope => Operand::Scope,
            ExprKind::Context(slot) => Operand::Context(*slot),
            ExprKind::Property(name) => Operand::Property(*name),
            ExprKind::Parameter(index) => {
                self.level -= 1;
                return Ok(names.arguments[usize::from(*index)]);
            }
            ExprKind::Variable => Operand::Variable(names.depth.saturating_sub(1)),
            ExprKind::Attribute(of, name) => Operand::Attribute(self.term(of, names)?, *name),
            ExprKind::Parent(of, kind) => Operand::Parent(self.term(of, names)?, *kind),
            ExprKind::Id(of) => Operand::Id(self.term(of, names)?),
            ExprKind::TimeOfDay(of) => Operand::TimeOfDay(self.term(of, names)?),
            ExprKind::Weekday(of) => Operand::Weekday(self.term(of, names)?),
            ExprKind::Set(items) => {
                Operand::Set(items.iter().map(|item| self.term(item, names)).collect::<Result<_, _>>()?)
            }
            ExprKind::Shift(of, by) => Operand::Shift(self.term(of, names)?, *by),
            ExprKind::Difference(a, b) => Operand::Difference(self.term(a, names)?, self.term(b, names)?),
            _ => unreachable!("check: a test is not a term (E0202)"),
        };
        self.level -= 1;
        Ok(self.tests.operand(operand))
    }
}

/// Rules being filed.
struct Build<'p> {
    program: &'p Program,
    order: &'p [RuleId],
    tests: Tests,
    heads: Heads,
    diagrams: Diagrams,
    /// What is filed at the end of each path, by places.
    ends: IndexMap<Path, Vec<(Body, u32)>, FxBuildHasher>,
    entries: Vec<Entry>,
    steps: Vec<Step>,
    sequenced: Vec<(u32, Sequenced)>,
}

impl<'p> Build<'p> {
    fn new(program: &'p Program) -> Build<'p> {
        Build {
            program,
            order: &[],
            tests: Tests::default(),
            heads: Heads::default(),
            diagrams: Diagrams::default(),
            ends: IndexMap::default(),
            entries: Vec::new(),
            steps: Vec::new(),
            sequenced: Vec::new(),
        }
    }

    fn body(&mut self, rule: &Rule, test: TestId) -> Result<Body, TreeLimit> {
        if self.diagrams.store.nodes.len() > TREE_NODES_MAX {
            return Err(TreeLimit::TreeNodes);
        }
        self.diagrams
            .body(&self.tests, test)
            .map_err(|Over| TreeLimit::ConditionNodes { rule: rule.label.clone(), span: rule.span })
    }

    /// The diagram of the test inside a quantifier.
    fn root(&mut self, test: TestId) -> Result<Ref, TreeLimit> {
        self.diagrams.body(&self.tests, test).map(|body| body.root).map_err(|Over| TreeLimit::TreeNodes)
    }

    /// Files every rule at the ends of its paths.
    fn file(&mut self, filed: Vec<(Vec<Filing>, TestId)>) -> Result<(), TreeLimit> {
        for (place, (filings, test)) in filed.into_iter().enumerate() {
            let program = self.program;
            let rule = program.rule(self.order[place]);
            let gate = self.gate(rule);
            for filing in filings {
                let test = self.tests.and(&[filing.left, test]);
                let body = self.body(rule, test)?;
                if body.root == Ref::NO {
                    continue;
                }
                let shape = &self.heads.shapes[filing.shape as usize];
                let narrow: Vec<End> = match shape.len() {
                    0..=NARROW_PAIRS_MAX => shape.pairs().map(End::Pair).collect(),
                    _ => vec![End::Shape(filing.shape)],
                };
                for end in narrow {
                    let path = Path { gate, tokens: filing.path, end, effect: rule.effect };
                    self.ends.entry(path).or_default().push((body, place as u32));
                }
            }
        }
        Ok(())
    }

    /// The block of a rule, as the index numbers blocks.
    fn gate(&self, rule: &Rule) -> u32 {
        match rule.home {
            Home::Policy(_) => Tree::POLICIES,
            Home::Role(role) => 1 + role.0,
            Home::Boundary(boundary) => 1 + self.program.roles.len() as u32 + boundary.0,
        }
    }

    /// What each path leads to; those that lead to the same share an entry.
    fn entries(&mut self) -> Vec<(Path, Leads)> {
        let mut known: FxHashMap<Vec<(Body, u32)>, u32> = FxHashMap::default();
        let ends = std::mem::take(&mut self.ends);
        let mut filed = Vec::with_capacity(ends.len());
        for (path, rules) in ends {
            let leads = match rules.as_slice() {
                [(body, place)] if body.root == Ref::YES => Leads::Rule(*place),
                _ => Leads::Entry(match known.get(&rules) {
                    Some(number) => *number,
                    None => {
                        let number = self.entry(&rules);
                        known.insert(rules, number);
                        number
                    }
                }),
            };
            filed.push((path, leads));
        }
        filed
    }

    fn entry(&mut self, rules: &[(Body, u32)]) -> u32 {
        let number = self.entries.len() as u32;
        // Behind a rule that always matches no other can be the first.
        let last = rules.iter().position(|(body, _)| body.root == Ref::YES).map_or(rules.len(), |i| i + 1);
        let (steps, why) = self.diagrams.merge(&rules[..last]);
        if let Some(why) = why {
            self.sequenced.push((number, why));
        }
        let start = self.steps.len() as u32;
        self.steps.extend(steps);
        let end = self.steps.len() as u32;
        let asks = |place: &u32| self.program.rule(self.order[*place as usize]).ask.is_some();
        let (single_start, single_end) = if rules.len() > 1 && rules.iter().any(|(_, place)| asks(place)) {
            self.steps.extend(rules.iter().map(|(body, place)| Step { root: body.root, place: *place }));
            (end, self.steps.len() as u32)
        } else {
            (start, end)
        };
        let least = rules.first().map_or(u32::MAX, |(_, place)| *place);
        let test = match (rules, self.steps.last().and_then(|step| step.root.node())) {
            ([_], Some(ix)) => OneTest::of(self.diagrams.store.nodes[ix]),
            _ => None,
        };
        self.entries.push(Entry { start, end, single_start, single_end, least, test });
        number
    }

    /// The tree, with only those nodes that something refers to.
    fn finish(
        self,
        pairs: Pairs,
        filed: Vec<(Path, Leads)>,
        mut bodies: Vec<Ref>,
    ) -> Result<Tree, TreeLimit> {
        let Build { program, order, tests, heads, diagrams, entries, mut steps, sequenced, .. } = self;
        let nodes = keep_used(diagrams.store.nodes, &mut steps, &mut bodies);
        if nodes.len() > TREE_NODES_MAX {
            return Err(TreeLimit::TreeNodes);
        }
        let mut tree = Tree {
            vocabulary: program.vocabulary.clone(),
            rules: program.rules.iter().map(rule_text).collect(),
            order: order.to_vec(),
            symbols: heads.symbols,
            operands: tests.operands,
            atoms: tests.atoms,
            bodies,
            lists: heads.lists,
            nodes,
            entries,
            steps,
            index: Index::of(filed),
            shapes: heads.shapes,
            roles: program.roles.len() as u32,
            pairs,
            has_scopes: program.vocabulary.has_scopes(),
            sequenced,
            ..Tree::default()
        };
        tree.make();
        Ok(tree)
    }
}

/// Drops the nodes that nothing refers to and renumbers the others.
fn keep_used(nodes: Vec<Node>, steps: &mut [Step], bodies: &mut [Ref]) -> Vec<Node> {
    let mut used = vec![false; nodes.len()];
    for root in steps.iter().map(|step| &step.root).chain(bodies.iter()) {
        if let Some(ix) = root.node() {
            used[ix] = true;
        }
    }
    for ix in (0..nodes.len()).rev() {
        if used[ix] {
            for way in [nodes[ix].yes, nodes[ix].no] {
                if let Some(below) = way.node() {
                    used[below] = true;
                }
            }
        }
    }
    let mut numbers = vec![0u32; nodes.len()];
    let mut kept = Vec::new();
    let to = |at: Ref, numbers: &[u32]| at.node().map_or(at, |ix| Ref(numbers[ix]));
    for (ix, node) in nodes.iter().enumerate().filter(|(ix, _)| used[*ix]) {
        numbers[ix] = kept.len() as u32;
        kept.push(Node { atom: node.atom, yes: to(node.yes, &numbers), no: to(node.no, &numbers) });
    }
    steps.iter_mut().for_each(|step| step.root = to(step.root, &numbers));
    bodies.iter_mut().for_each(|body| *body = to(*body, &numbers));
    kept
}

fn rule_text(rule: &Rule) -> RuleText {
    RuleText {
        name: rule.name.clone(),
        label: rule.label.clone(),
        key: rule.key.clone(),
        rank: rule.rank,
        home: rule.home,
        effect: rule.effect,
        because: rule.because.clone(),
        ask: rule.ask.clone(),
        span: rule.span,
    }
}
