//! The decision tree as a picture: a view of it that can be drawn, and the view as DOT or SVG.
//!
//! In:   a [`Tree`], and perhaps the one action wanted.
//! Out:  [`Graph`]: a section for each action and kind; in it the heads of rules (who, what, where) and the
//!       conditions beneath, down to leaves that name the determining rule.

mod svg;

use crate::check::program::Vocabulary;
use crate::diagnostic::nearest;
use crate::tree::Tree;
use crate::tree::view::{Block, Branch, Head, NodeId, View};
use crate::value::{ActionId, BoundaryId, Effect, KindId, RoleId};
use rustc_hash::FxHashMap;
use std::fmt::Write as _;

/// What is drawn.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Its title.
    pub title: String,
    /// One for each action and kind.
    pub sections: Vec<Section>,
    /// Conditions and leaves; a [`NodeRef`] is an index.
    pub nodes: Vec<Node>,
}

/// An index into [`Graph::nodes`].
pub type NodeRef = usize;

/// One action on one kind.
#[derive(Clone, Debug)]
pub struct Section {
    /// Such as `update on deployment`.
    pub title: String,
    /// Each head with what is asked when it fits.
    pub heads: Vec<(String, NodeRef)>,
}

/// A condition or an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A condition with its two ways on.
    Ask {
        /// The condition in words.
        text: String,
        /// Where it goes on if the condition holds.
        yes: NodeRef,
        /// Where it goes on if it doesn't.
        no: NodeRef,
    },
    /// The end: what a rule says, or (`None`) that none of these rules does.
    Leaf(Option<(Effect, String)>),
}

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GraphError {
    /// The vocabulary has no such action.
    UnknownAction {
        /// The nearest one.
        nearest: Option<String>,
        /// All it has.
        known: Vec<String>,
    },
}

impl Graph {
    /// The picture of one action (by its name or its wire name), of a group of actions, or of all.
    pub fn of(tree: &Tree, action: Option<&str>) -> Result<Graph, GraphError> {
        let vocabulary = &tree.vocabulary;
        let actions = &vocabulary.actions;
        let shown: Vec<bool> = match action {
            None => vec![true; actions.len()],
            Some(wanted) => Graph::named(vocabulary, wanted)?,
        };
        let title = match action {
            Some(action) => format!("What decides `{action}`"),
            None => "What decides each action".to_owned(),
        };
        let mut reading =
            Reading { tree, view: View::new(tree), known: FxHashMap::default(), nodes: Vec::new() };
        let mut sections = Vec::new();
        for (i, of) in actions.iter().enumerate().filter(|(i, _)| shown[*i]) {
            let mut kinds: Vec<KindId> = of.targets.iter().map(|t| t.kind).collect();
            kinds.dedup();
            for kind in kinds {
                let heads = reading.heads(ActionId(i as u16), kind);
                if !heads.is_empty() {
                    let title = format!("{} on {}", of.name, vocabulary.kind(kind).name);
                    sections.push(Section { title, heads });
                }
            }
        }
        Ok(Graph { title, sections, nodes: reading.nodes })
    }

    /// For each action, whether a name means it.
    fn named(vocabulary: &Vocabulary, wanted: &str) -> Result<Vec<bool>, GraphError> {
        let actions = &vocabulary.actions;
        if let Some(only) = actions.iter().position(|a| a.name == wanted) {
            return Ok((0..actions.len()).map(|i| i == only).collect());
        }
        if let Some(members) = vocabulary.action_groups.get(wanted) {
            return Ok((0..actions.len()).map(|i| members.contains(&ActionId(i as u16))).collect());
        }
        if actions.iter().any(|a| a.wire == wanted) {
            return Ok(actions.iter().map(|a| a.wire == wanted).collect());
        }
        let groups = vocabulary.action_groups.keys().map(|g| g.as_str());
        let known: Vec<&str> = actions.iter().map(|a| a.name.as_str()).chain(groups).collect();
        let wires = actions.iter().map(|a| a.wire.as_str());
        let near = nearest(wanted, known.iter().copied().chain(wires)).map(str::to_owned);
        let known = known.into_iter().map(str::to_owned).collect();
        Err(GraphError::UnknownAction { nearest: near, known })
    }

    /// The picture as self-contained SVG.
    pub fn to_svg(&self) -> String {
        svg::draw(self)
    }

    /// The picture in the language of Graphviz.
    pub fn to_dot(&self) -> String {
        let mut out = String::from("digraph policy {\n");
        let _ =
            writeln!(out, "  label={}; labelloc=t; rankdir=LR; fontname=\"monospace\";", quote(&self.title));
        out.push_str(
            "  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"monospace\"];\n",
        );
        for (s, section) in self.sections.iter().enumerate() {
            let _ = writeln!(out, "  subgraph cluster_{s} {{\n    label={};", quote(&section.title));
            for node in self.reachable(section) {
                let attributes = match &self.nodes[node] {
                    Node::Ask { text, .. } => format!("label={}", quote(text)),
                    leaf @ Node::Leaf(_) => {
                        let (text, class) = leaf_text(leaf);
                        format!("label={}, fillcolor=\"{}\"", quote(&text), fill(class))
                    }
                };
                let _ = writeln!(out, "    s{s}n{node} [{attributes}];");
                if let Node::Ask { yes, no, .. } = &self.nodes[node] {
                    let _ = writeln!(out, "    s{s}n{node} -> s{s}n{yes} [label=\"yes\"];");
                    let _ = writeln!(out, "    s{s}n{node} -> s{s}n{no} [label=\"no\", style=dashed];");
                }
            }
            for (h, (head, to)) in section.heads.iter().enumerate() {
                let style = "shape=plaintext, style=\"\"";
                let _ = writeln!(
                    out,
                    "    s{s}h{h} [label={}, {style}];\n    s{s}h{h} -> s{s}n{to};",
                    quote(head)
                );
            }
            out.push_str("  }\n");
        }
        out.push_str("}\n");
        out
    }

    /// The nodes below a section's heads, each once, in the order met.
    fn reachable(&self, section: &Section) -> Vec<NodeRef> {
        let mut seen = vec![false; self.nodes.len()];
        let mut found = Vec::new();
        let mut todo: Vec<NodeRef> = section.heads.iter().rev().map(|(_, to)| *to).collect();
        while let Some(node) = todo.pop() {
            if std::mem::replace(&mut seen[node], true) {
                continue;
            }
            found.push(node);
            if let Node::Ask { yes, no, .. } = &self.nodes[node] {
                todo.extend([*no, *yes]);
            }
        }
        found
    }
}

/// A tree being read: its nodes get a number when first met.
struct Reading<'a> {
    tree: &'a Tree,
    view: View<'a>,
    known: FxHashMap<NodeId, NodeRef>,
    nodes: Vec<Node>,
}

impl Reading<'_> {
    /// The heads of all blocks that concern an action on a kind: policies, then roles, then boundaries.
    fn heads(&mut self, action: ActionId, kind: KindId) -> Vec<(String, NodeRef)> {
        let vocabulary = &self.tree.vocabulary;
        let roles = vocabulary.roles.iter().enumerate();
        let roles = roles.map(|(i, r)| (Block::Role(RoleId(i as u32)), format!("role {}", r.name)));
        let boundaries = vocabulary.boundaries.iter().enumerate();
        let boundaries =
            boundaries.map(|(i, b)| (Block::Boundary(BoundaryId(i as u32)), format!("boundary {b}")));
        let blocks: Vec<_> =
            std::iter::once((Block::Policies, String::new())).chain(roles).chain(boundaries).collect();
        let mut found = Vec::new();
        for (block, name) in blocks {
            for head in self.view.heads(block, action, kind) {
                let label = label(&name, &head, &vocabulary.kind(kind).name);
                found.push((label, self.number(head.root)));
            }
        }
        found
    }

    /// The number of a node; those below it get theirs too.
    fn number(&mut self, root: NodeId) -> NodeRef {
        let mut met = Vec::new();
        let mut todo = vec![root];
        while let Some(id) = todo.pop() {
            if self.known.contains_key(&id) {
                continue;
            }
            self.known.insert(id, self.nodes.len() + met.len());
            let branch = self.view.branch(id);
            if let Branch::Ask { yes, no, .. } = &branch {
                todo.extend([*no, *yes]);
            }
            met.push(branch);
        }
        for branch in met {
            let node = match branch {
                Branch::Ask { text, yes, no } => {
                    Node::Ask { text, yes: self.known[&yes], no: self.known[&no] }
                }
                Branch::Leaf(rule) => Node::Leaf(rule.map(|rule| {
                    let text = self.tree.rule(rule);
                    (text.effect, text.label.to_string())
                })),
            };
            self.nodes.push(node);
        }
        self.known[&root]
    }
}

/// A head in words: its block, who, what (unless it is just the kind), where.
fn label(block: &str, head: &Head, kind: &str) -> String {
    let mut parts = Vec::new();
    match (block.is_empty(), head.who.as_str()) {
        (true, who) => parts.push(who.to_owned()),
        (false, "anyone") => parts.push(block.to_owned()),
        (false, who) => parts.push(format!("{block}, {who}")),
    }
    if head.what != kind {
        parts.push(format!("on {}", head.what));
    }
    if !head.at.is_empty() {
        parts.push(format!("at {}", head.at.trim_start()));
    }
    parts.join("\n")
}

/// What a leaf says, and its class.
fn leaf_text(node: &Node) -> (String, &'static str) {
    match node {
        Node::Leaf(Some((Effect::Allow, rule))) => (format!("allow: {rule}"), "allow"),
        Node::Leaf(Some((Effect::Deny, rule))) => (format!("deny: {rule}"), "deny"),
        Node::Leaf(None) => ("no rule".to_owned(), "none"),
        Node::Ask { text, .. } => (text.clone(), "ask"),
    }
}

fn fill(class: &str) -> &'static str {
    match class {
        "allow" => "#d7f5dd",
        "deny" => "#fbdcdc",
        "none" => "#eceef1",
        _ => "#ffffff",
    }
}

/// A DOT string.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A picture with every shape in it, for the tests here and in `svg.rs`.
#[cfg(test)]
pub(crate) fn example() -> Graph {
    let ask = |text: &str, yes, no| Node::Ask { text: text.to_owned(), yes, no };
    let leaf = |effect, rule: &str| Node::Leaf(Some((effect, rule.to_owned())));
    Graph {
        title: "What decides `update`".to_owned(),
        sections: vec![
            Section {
                title: "update on deployment".to_owned(),
                heads: vec![
                    ("anyone\nat environment \"acme/web/prod\"".to_owned(), 0),
                    ("group \"ci\"\nat environment in project \"acme/web\"".to_owned(), 1),
                    ("role deployer".to_owned(), 2),
                ],
            },
            Section { title: "update on secret".to_owned(), heads: vec![("role deployer".to_owned(), 5)] },
        ],
        nodes: vec![
            ask("account is user and account.mfa exists and account.mfa", 1, 3),
            ask("scope.stage != production", 4, 2),
            ask("resource.labels contains \"<frozen> & étiqueté\"", 3, 5),
            leaf(Effect::Deny, "production_needs_mfa"),
            leaf(Effect::Allow, "ci_ships"),
            leaf(Effect::Allow, "deployer.1"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_names_every_node_once_and_escapes() {
        let dot = example().to_dot();
        assert_eq!(dot.matches("    s0n3 [label=\"deny").count(), 1);
        assert!(dot.contains(r#"s0n2 [label="resource.labels contains \"<frozen> & étiqueté\""];"#), "{dot}");
        assert_eq!(dot.matches('{').count(), dot.matches('}').count());
        assert!(dot.contains("s0n1 -> s0n2 [label=\"no\", style=dashed];"));
    }
}
