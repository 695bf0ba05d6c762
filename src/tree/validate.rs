//! Whether a tree read from a file holds together: [`validate`].
//!
//! Law: in a tree that passes, every index is inside its table, every reference points to an earlier element, and what
//!      one test can cost is bounded; so deciding, rendering and counting neither panic nor loop.

use super::atom::{Atom, Operand};
use super::index::{End, Filing, Leads};
use super::lower::EXPANSION_DEPTH_MAX;
use super::node::{HeadList, Named, OneTest, Pairs, Ref, Step, Token, Tree};
use super::request::QUANTIFIER_DEPTH_MAX;
use crate::check::program::{Attribute, Home, Sort, Type, Vocabulary};
use crate::source::{Sources, Span};
use crate::value::{KindId, Value};

/// Nodes of one term with nothing shared.
const TERM_NODES_MAX: u32 = 1 << 20;
/// Things that heads name: their tokens must fit.
const SYMBOLS_MAX: usize = 1 << 30;

/// What is wrong.
type Wrong = &'static str;

/// Checks a tree and the sources beside it.
pub(super) fn validate(sources: &Sources, tree: &Tree) -> Result<(), Wrong> {
    vocabulary(sources, &tree.vocabulary)?;
    rules(sources, tree)?;
    heads(tree)?;
    operands(tree)?;
    atoms(tree)?;
    nodes(tree)?;
    entries(tree)?;
    index(tree)
}

fn ensure(holds: bool, wrong: Wrong) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(wrong) }
}

fn span_ok(sources: &Sources, count: usize, span: Span) -> bool {
    let inside =
        || (span.source.0 as usize) < count && sources.get(span.source).text.get(span.range()).is_some();
    span == Span::default() || inside()
}

fn vocabulary(sources: &Sources, v: &Vocabulary) -> Result<(), Wrong> {
    let count = sources.iter().count();
    let small = |n: usize| n <= usize::from(u16::MAX);
    ensure(small(v.kinds.len()) && small(v.actions.len()) && small(v.names.len()), "too many names")?;
    ensure(small(v.enums.len()) && small(v.records.len()), "too many types")?;
    let built_in = [(KindId::GROUP, Sort::Group), (KindId::ROLE, Sort::Role), (KindId::POLICY, Sort::Policy)];
    let is = |kind: KindId, sort| v.kinds.get(kind.index()).is_some_and(|k| k.sort == sort);
    ensure(built_in.iter().all(|(kind, sort)| is(*kind, *sort)), "the built-in kinds are missing")?;
    let kind_ok = |kind: &KindId| kind.index() < v.kinds.len();
    let span_ok = |span| span_ok(sources, count, span);
    let attribute = |a: &Attribute| a.name.index() < v.names.len() && type_ok(v, &a.ty) && span_ok(a.span);
    let attributes = |list: &[Attribute]| small(list.len()) && list.iter().all(attribute);
    for kind in &v.kinds {
        let kinds = kind.acting_for.iter().chain(&kind.parents).all(kind_ok);
        ensure(kinds && attributes(&kind.attributes) && span_ok(kind.span), "a kind")?;
    }
    for record in &v.records {
        let flat = |a: &Attribute| match &a.ty {
            Type::Record(_) => false,
            Type::Set(element) => !matches!(**element, Type::Record(_)),
            _ => true,
        };
        ensure(
            attributes(&record.fields) && record.fields.iter().all(flat) && span_ok(record.span),
            "a record",
        )?;
    }
    for action in &v.actions {
        let targets = action.targets.iter().all(|t| kind_ok(&t.kind));
        ensure(attributes(&action.properties) && targets && span_ok(action.span), "an action")?;
    }
    ensure(v.enums.iter().all(|e| small(e.variants.len()) && span_ok(e.span)), "an enum")?;
    let groups = v.action_groups.values().flatten().all(|action| action.index() < v.actions.len());
    ensure(groups, "a group of actions")?;
    ensure(
        attributes(&v.context) && v.context.first().is_some_and(|now| now.ty == Type::Time),
        "the context",
    )?;
    let roles = v.roles.iter().flat_map(|role| &role.includes).all(|role| role.index() < v.roles.len());
    ensure(roles, "a role")
}

fn type_ok(v: &Vocabulary, ty: &Type) -> bool {
    match ty {
        Type::Enum(id) => id.index() < v.enums.len(),
        Type::Record(id) => id.index() < v.records.len(),
        Type::Ref(kinds) => !kinds.is_empty() && kinds.iter().all(|kind| kind.index() < v.kinds.len()),
        Type::Set(element) => !matches!(**element, Type::Set(_)) && type_ok(v, element),
        _ => true,
    }
}

fn rules(sources: &Sources, tree: &Tree) -> Result<(), Wrong> {
    let count = sources.iter().count();
    ensure(tree.rules.len() < Ref::YES.0 as usize, "too many rules")?;
    let mut seen = vec![false; tree.rules.len()];
    for rule in &tree.order {
        let first = seen.get_mut(rule.index()).is_some_and(|seen| !std::mem::replace(seen, true));
        ensure(first, "the order of rules")?;
    }
    ensure(tree.order.len() == tree.rules.len(), "the order of rules")?;
    let v = &tree.vocabulary;
    for rule in &tree.rules {
        let home = match rule.home {
            Home::Policy(_) => true,
            Home::Role(role) => role.index() < v.roles.len(),
            Home::Boundary(boundary) => boundary.index() < v.boundaries.len(),
        };
        ensure(home && span_ok(sources, count, rule.span), "a rule")?;
    }
    ensure(tree.roles as usize == v.roles.len(), "the roles")?;
    ensure(tree.pairs == Pairs::of(v), "the actions' kinds")?;
    ensure(tree.has_scopes == v.has_scopes(), "the scopes")
}

fn token_ok(tree: &Tree, token: Token) -> bool {
    match token.named() {
        Named::Any => true,
        Named::Kind(kind) => kind.index() < tree.vocabulary.kinds.len(),
        Named::Exact(symbol) | Named::Below(symbol) => (symbol as usize) < tree.symbols.len(),
    }
}

fn heads(tree: &Tree) -> Result<(), Wrong> {
    ensure(tree.symbols.len() < SYMBOLS_MAX && tree.symbols.are_distinct(), "the names in heads")?;
    let kind_ok = |kind: KindId| kind.index() < tree.vocabulary.kinds.len();
    let named = (0..tree.symbols.len() as u32).filter_map(|symbol| tree.symbols.name(symbol));
    ensure(named.into_iter().all(|entity| kind_ok(entity.kind)), "the names in heads")?;
    let pairs = tree.pairs.kinds.len() as u32;
    for shape in &tree.shapes {
        let mut from = 0;
        for (start, end) in &shape.0 {
            ensure(from <= *start && start < end && *end <= pairs, "a set of actions and kinds")?;
            from = *end;
        }
    }
    for list in &tree.lists {
        let holds = match list {
            HeadList::Who(items) | HeadList::Where(items) => {
                items.iter().all(|(token, kind)| token_ok(tree, *token) && kind.is_none_or(kind_ok))
            }
            HeadList::What(items) => items
                .iter()
                .all(|(token, shape)| token_ok(tree, *token) && (*shape as usize) < tree.shapes.len()),
        };
        ensure(holds, "a list in a head")?;
    }
    Ok(())
}

fn literal_ok(v: &Vocabulary, value: &Value) -> bool {
    match value {
        Value::Variant(id, variant) => {
            v.enums.get(id.index()).is_some_and(|e| usize::from(*variant) < e.variants.len())
        }
        Value::Entity(entity) => entity.kind.index() < v.kinds.len(),
        Value::Weekday(day) => *day < 7,
        Value::Set(items) => items.iter().all(|item| literal_ok(v, item)),
        Value::Record(_) => false,
        _ => true,
    }
}

fn operands(tree: &Tree) -> Result<(), Wrong> {
    let v = &tree.vocabulary;
    // How deep a term is, and how large with nothing shared.
    let mut sizes: Vec<(usize, u32)> = Vec::with_capacity(tree.operands.len());
    for operand in &tree.operands {
        let mut size = (1, 1u32);
        for part in operand.parts() {
            let (depth, nodes) = sizes.get(part as usize).ok_or("a term refers to a later one")?;
            size = (size.0.max(depth + 1), size.1.saturating_add(*nodes));
        }
        ensure(size.0 <= EXPANSION_DEPTH_MAX && size.1 <= TERM_NODES_MAX, "a term is too large")?;
        sizes.push(size);
        let holds = match operand {
            Operand::Literal(value) => literal_ok(v, value),
            Operand::Context(slot) => usize::from(*slot) < v.context.len(),
            Operand::Property(name) | Operand::Attribute(_, name) => name.index() < v.names.len(),
            Operand::Parent(_, kind) => kind.index() < v.kinds.len(),
            Operand::Variable(depth) => usize::from(*depth) < QUANTIFIER_DEPTH_MAX,
            _ => true,
        };
        ensure(holds, "a term")?;
    }
    Ok(())
}

fn atoms(tree: &Tree) -> Result<(), Wrong> {
    let v = &tree.vocabulary;
    // The cache of answers keeps the number plus one and a bit.
    ensure(tree.atoms.len() < (1 << 30), "too many tests")?;
    for atom in &tree.atoms {
        let operands = atom.operands().into_iter().flatten().all(|o| (o as usize) < tree.operands.len());
        let kind_ok = |kind: &KindId| kind.index() < v.kinds.len();
        let holds = match atom {
            Atom::Matches(_, pattern) => !pattern.pieces.is_empty(),
            Atom::IsKind(_, kind) | Atom::AtKind(kind) => kind_ok(kind),
            Atom::AtKindBelow(kind, symbol) => kind_ok(kind) && (*symbol as usize) < tree.symbols.len(),
            Atom::HasRole(role) => role.index() < v.roles.len(),
            Atom::Listed(list) => (*list as usize) < tree.lists.len(),
            Atom::Quantifier { depth, body, .. } => {
                usize::from(*depth) < QUANTIFIER_DEPTH_MAX && (*body as usize) < tree.bodies.len()
            }
            _ => true,
        };
        ensure(operands && holds, "a test")?;
    }
    Ok(())
}

fn ref_ok(at: Ref, nodes: usize, rules: usize) -> bool {
    match (at.node(), at.place()) {
        (Some(ix), _) => ix < nodes,
        (None, Some(place)) => (place as usize) < rules,
        (None, None) => true,
    }
}

fn nodes(tree: &Tree) -> Result<(), Wrong> {
    let rules = tree.rules.len();
    for body in &tree.bodies {
        ensure(ref_ok(*body, tree.nodes.len(), rules), "a test inside a quantifier")?;
    }
    // The highest atom asked from a node on.
    let mut highest: Vec<u32> = Vec::with_capacity(tree.nodes.len());
    for (ix, node) in tree.nodes.iter().enumerate() {
        let ways = ref_ok(node.yes, ix, rules) && ref_ok(node.no, ix, rules);
        ensure(ways && (node.atom as usize) < tree.atoms.len(), "a decision node")?;
        let below = [node.yes, node.no].into_iter().filter_map(|way| way.node()).map(|way| highest[way]);
        highest.push(below.fold(node.atom, u32::max));
    }
    // A quantifier's body asks earlier atoms only, and few quantifiers stand inside one another.
    let mut levels = vec![0u8; tree.atoms.len()];
    let mut body_levels: Vec<Option<u8>> = vec![None; tree.bodies.len()];
    for (ix, atom) in tree.atoms.iter().enumerate() {
        let Atom::Quantifier { body, .. } = atom else { continue };
        let root = tree.bodies[*body as usize];
        ensure(root.node().is_none_or(|at| (highest[at] as usize) < ix), "a quantifier asks itself")?;
        let level = match body_levels[*body as usize] {
            Some(level) => level,
            None => level_of(tree, root, &levels),
        };
        body_levels[*body as usize] = Some(level);
        levels[ix] = level.saturating_add(1);
        ensure(usize::from(levels[ix]) <= QUANTIFIER_DEPTH_MAX, "too many quantifiers inside one another")?;
    }
    Ok(())
}

/// The most quantifiers inside one another under a root.
fn level_of(tree: &Tree, root: Ref, levels: &[u8]) -> u8 {
    let mut seen = rustc_hash::FxHashSet::default();
    let mut stack = vec![root];
    let mut level = 0;
    while let Some(at) = stack.pop() {
        if let Some(ix) = at.node()
            && seen.insert(ix)
        {
            level = level.max(levels[tree.nodes[ix].atom as usize]);
            stack.extend([tree.nodes[ix].yes, tree.nodes[ix].no]);
        }
    }
    level
}

fn entries(tree: &Tree) -> Result<(), Wrong> {
    let (nodes, rules) = (tree.nodes.len(), tree.rules.len());
    for step in &tree.steps {
        let place = step.place == Step::MERGED || (step.place as usize) < rules;
        ensure(place && ref_ok(step.root, nodes, rules), "a step")?;
    }
    for entry in &tree.entries {
        let ranges = [(entry.start, entry.end), (entry.single_start, entry.single_end)];
        let holds = ranges.iter().all(|(start, end)| start <= end && (*end as usize) <= tree.steps.len());
        let [from, to] = [entry.start, entry.end].map(|at| at as usize);
        let one = match &tree.steps.get(from..to) {
            Some([step]) if step.place == entry.least => {
                step.root.node().and_then(|ix| OneTest::of(tree.nodes[ix]))
            }
            _ => None,
        };
        ensure(holds && (entry.test.is_none() || entry.test == one), "an entry")?;
    }
    ensure(
        tree.sequenced.iter().all(|(entry, _)| (*entry as usize) < tree.entries.len()),
        "an entry in sequence",
    )
}

fn index(tree: &Tree) -> Result<(), Wrong> {
    let (blocks, filings) = (tree.blocks(), &tree.index.filings);
    let mut before: Option<(u32, Token)> = None;
    let mut from = 0;
    for head in &tree.index.heads {
        let this = (head.gate, head.who);
        ensure((head.gate as usize) < blocks && token_ok(tree, head.who), "a head of the index")?;
        ensure(before.is_none_or(|before| before < this), "the order of the index")?;
        let own = filings.get(from as usize..head.end as usize).filter(|own| !own.is_empty());
        let own = own.ok_or("the filings of a head")?;
        ensure(own.iter().all(|filing| filing_ok(tree, filing)), "a filing")?;
        ensure(own.is_sorted_by_key(Filing::order), "the order of filings")?;
        (before, from) = (Some(this), head.end);
    }
    ensure(from as usize == filings.len(), "a filing that no head has")
}

fn filing_ok(tree: &Tree, filing: &Filing) -> bool {
    let pairs = match filing.filed.end() {
        End::Pair(pair) => (pair as usize) < tree.pairs.kinds.len(),
        End::Shape(shape) => (shape as usize) < tree.shapes.len(),
    };
    let leads = match filing.then.leads() {
        Leads::Rule(place) => (place as usize) < tree.rules.len(),
        Leads::Entry(entry) => (entry as usize) < tree.entries.len(),
    };
    pairs && leads && token_ok(tree, filing.at) && token_ok(tree, filing.what)
}
