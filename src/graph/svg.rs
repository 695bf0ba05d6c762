//! A [`Graph`] as self-contained SVG, laid out in layers from left to right.
//!
//! In:   sections with heads and a DAG of conditions.
//! Out:  SVG without scripts, fonts or links; read aloud by its title and description.
//! Law:  boxes don't overlap; the same graph gives the same bytes.
//! After: K. Sugiyama et al., "Methods for Visual Understanding of Hierarchical System Structures", 1981:
//!       layers by longest path, order by barycentres; then least-squares placing under the order found.

use super::{Graph, Node, NodeRef, Section, fill, leaf_text};
use rustc_hash::FxHashMap;
use std::fmt::Write as _;

/// Boxes of one section beyond which it is named and not drawn.
const SECTION_BOXES_MAX: usize = 3_000;
/// Characters on a line of a box.
const LINE_CHARS: usize = 34;
/// Pixels: advance of a character at 12 px monospace, line height, padding of a box, gaps between boxes, margin.
const CHAR: f64 = 7.25;
const LINE: f64 = 16.0;
const PAD: f64 = 10.0;
const GAP_X: f64 = 64.0;
const GAP_Y: f64 = 16.0;
const MARGIN: f64 = 24.0;
/// How far the two ways out of a condition are apart when boxes are ordered; less than one place in a layer.
const PORT: f64 = 1e-5;
/// Pixels: what stands above the boxes of a section, and above the first section.
const SECTION_HEAD: f64 = 38.0;
const PAGE_HEAD: f64 = 74.0;

/// Draws the whole picture.
pub(super) fn draw(graph: &Graph) -> String {
    let mut body = String::new();
    let (mut y, mut width) = (PAGE_HEAD, 640.0_f64);
    for section in &graph.sections {
        let _ = writeln!(
            body,
            "<text class=\"section\" x=\"{MARGIN}\" y=\"{:.0}\">{}</text>",
            y + 20.0,
            xml(&section.title)
        );
        let layout = Layout::of(graph, section);
        if layout.boxes.len() > SECTION_BOXES_MAX {
            let note =
                format!("{} boxes: too many for a picture; DOT output holds them all", layout.boxes.len());
            let _ = writeln!(body, "<text x=\"{MARGIN}\" y=\"{:.0}\">{note}</text>", y + 44.0);
            y += SECTION_HEAD + 40.0;
            continue;
        }
        let (w, h) = layout.draw(&mut body, y + SECTION_HEAD);
        width = width.max(w);
        y += SECTION_HEAD + h + 2.0 * GAP_Y;
    }
    if graph.sections.is_empty() {
        let _ = writeln!(
            body,
            "<text x=\"{MARGIN}\" y=\"{:.0}\">No rule speaks of it: the answer is always a denial.</text>",
            y + 20.0
        );
        y += 40.0;
    }
    page(graph, &body, width + MARGIN, y + MARGIN)
}

fn page(graph: &Graph, body: &str, width: f64, height: f64) -> String {
    let title = xml(&graph.title);
    let about = "From left to right: whom, what and where a rule speaks of; the conditions asked; the rule that \
                 determines the answer. A solid line is taken when the condition holds, a dashed one when it does not.";
    let mut sections = graph.sections.iter().map(|s| xml(&s.title)).collect::<Vec<_>>();
    sections.truncate(40);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-labelledby=\"title about\">\n\
         <title id=\"title\">{title}</title>\n<desc id=\"about\">{about} Shown: {}.</desc>\n",
        sections.join("; ")
    );
    out.push_str(
        "<style>\n\
         text { font: 12px ui-monospace, Menlo, Consolas, \"DejaVu Sans Mono\", monospace; fill: #1c2330 }\n\
         .page { font-size: 18px; font-weight: bold } .section { font-size: 14px; font-weight: bold }\n\
         .small { font-size: 11px; fill: #5a6473 } .middle { text-anchor: middle }\n\
         rect { stroke: #5a6473 } .head { fill: #e6eefb; stroke: #7d9bd1 } .ask { fill: #ffffff }\n",
    );
    for (class, stroke) in [("allow", "#2c8a45"), ("deny", "#c03434"), ("none", "#8a93a1")] {
        let _ = writeln!(out, ".{class} {{ fill: {}; stroke: {stroke}; stroke-width: 1.5 }}", fill(class));
    }
    out.push_str(
        "path { fill: none; stroke: #5a6473; stroke-width: 1.3 } .no { stroke-dasharray: 5 4 }\n</style>\n\
         <rect x=\"0\" y=\"0\" width=\"100%\" height=\"100%\" style=\"fill: #ffffff; stroke: none\"/>\n",
    );
    let _ = write!(
        out,
        "<text class=\"page\" x=\"{MARGIN}\" y=\"34\">{title}</text>\n<text class=\"small\" x=\"{MARGIN}\" y=\"54\">\
         solid line: yes · dashed line: no · denies before allows · no rule: another head may speak; if none does, denied by default</text>\n{body}</svg>\n"
    );
    out
}

/// A box, or (no lines) a bend of a line that crosses a layer.
struct Box {
    lines: Vec<String>,
    class: &'static str,
    layer: usize,
    /// Centre; pixels from the top of the section.
    y: f64,
}

impl Box {
    fn height(&self) -> f64 {
        if self.lines.is_empty() { 4.0 } else { self.lines.len() as f64 * LINE + PAD }
    }

    fn width(&self) -> f64 {
        self.lines.iter().map(|l| cells(l) as f64 * CHAR).fold(0.0, f64::max) + 2.0 * PAD
    }
}

/// A line from one box through bends to another.
struct Edge {
    stops: Vec<usize>,
    answer: Option<bool>,
}

struct Layout {
    boxes: Vec<Box>,
    edges: Vec<Edge>,
    /// The boxes of each layer, from top to bottom.
    layers: Vec<Vec<usize>>,
}

impl Layout {
    fn of(graph: &Graph, section: &Section) -> Layout {
        let mut layout = Layout { boxes: Vec::new(), edges: Vec::new(), layers: Vec::new() };
        let depth = depths(graph, section);
        let mut placed: FxHashMap<NodeRef, usize> = FxHashMap::default();
        for (label, to) in &section.heads {
            let head = layout.add(wrap(label), "head", 0);
            layout.connect(graph, &depth, &mut placed, head, *to, None);
        }
        if layout.boxes.len() <= SECTION_BOXES_MAX {
            layout.bend();
            layout.order();
            layout.place();
        }
        layout
    }

    fn add(&mut self, lines: Vec<String>, class: &'static str, layer: usize) -> usize {
        self.boxes.push(Box { lines, class, layer, y: 0.0 });
        self.layers.resize_with(self.layers.len().max(layer + 1), Vec::new);
        self.layers[layer].push(self.boxes.len() - 1);
        self.boxes.len() - 1
    }

    /// Draws what lies below an edge: a condition once, an end again for each line that leads to it.
    fn connect(
        &mut self,
        graph: &Graph,
        depth: &FxHashMap<NodeRef, usize>,
        placed: &mut FxHashMap<NodeRef, usize>,
        from: usize,
        to: NodeRef,
        answer: Option<bool>,
    ) {
        let mut todo = vec![(from, to, answer)];
        while let Some((from, to, answer)) = todo.pop() {
            let (text, class) = leaf_text(&graph.nodes[to]);
            let known = placed.get(&to).copied();
            let layer = if class == "ask" { depth[&to] } else { self.boxes[from].layer + 1 };
            let at = known.unwrap_or_else(|| self.add(wrap(&text), class, layer));
            self.edges.push(Edge { stops: vec![from, at], answer });
            if let (Node::Ask { yes, no, .. }, None) = (&graph.nodes[to], known) {
                placed.insert(to, at);
                todo.extend([(at, *no, Some(false)), (at, *yes, Some(true))]);
            }
        }
    }

    /// Gives each line that crosses layers a bend in each.
    fn bend(&mut self) {
        for e in 0..self.edges.len() {
            let [from, to] = self.edges[e].stops[..] else { continue };
            let mut stops = vec![from];
            for layer in self.boxes[from].layer + 1..self.boxes[to].layer {
                stops.push(self.add(Vec::new(), "bend", layer));
            }
            stops.push(to);
            self.edges[e].stops = stops;
        }
    }

    /// Neighbours of each box to the left and to the right; those reached by `yes` a trifle above those by `no`.
    fn neighbours(&self) -> [Vec<Vec<(usize, f64)>>; 2] {
        let mut sides = [vec![Vec::new(); self.boxes.len()], vec![Vec::new(); self.boxes.len()]];
        for edge in &self.edges {
            let shift = edge.answer.map_or(0.0, |yes| if yes { -PORT } else { PORT });
            for pair in edge.stops.windows(2) {
                sides[0][pair[1]].push((pair[0], shift));
                sides[1][pair[0]].push((pair[1], 0.0));
            }
        }
        sides
    }

    /// Orders each layer by the mean place of its neighbours, to and fro.
    fn order(&mut self) {
        let sides = self.neighbours();
        let mut rank = vec![0.0; self.boxes.len()];
        let note = |rank: &mut Vec<f64>, layer: &[usize]| {
            layer.iter().enumerate().for_each(|(i, b)| rank[*b] = (i as f64 + 0.5) / layer.len() as f64);
        };
        self.layers.iter().for_each(|layer| note(&mut rank, layer));
        // The last sweep goes right, so that `yes` ends above `no`.
        for sweep in 0..9 {
            let count = self.layers.len();
            for i in 0..count {
                // The heads keep their order: it is the order of the rules.
                let at = if sweep % 2 == 0 { i } else { count - 1 - i };
                if at == 0 {
                    continue;
                }
                let mean = |b: usize| mean(&sides[sweep % 2][b], &rank).unwrap_or(rank[b]);
                let mut layer = std::mem::take(&mut self.layers[at]);
                layer.sort_by(|a, b| mean(*a).total_cmp(&mean(*b)));
                note(&mut rank, &layer);
                self.layers[at] = layer;
            }
        }
    }

    /// Moves each box towards its neighbours as far as the order and the gaps allow.
    fn place(&mut self) {
        let sides = self.neighbours();
        for layer in &self.layers {
            let mut y = 0.0;
            for b in layer {
                let half = self.boxes[*b].height() / 2.0;
                self.boxes[*b].y = y + half;
                y += 2.0 * half + GAP_Y;
            }
        }
        for sweep in 0..10 {
            let count = self.layers.len();
            for i in 0..count {
                let layer = &self.layers[if sweep % 2 == 0 { i } else { count - 1 - i }];
                let now: Vec<f64> = self.boxes.iter().map(|b| b.y).collect();
                let wanted: Vec<f64> =
                    layer.iter().map(|b| mean(&sides[sweep % 2][*b], &now).unwrap_or(now[*b])).collect();
                let heights: Vec<f64> = layer.iter().map(|b| self.boxes[*b].height()).collect();
                for (b, y) in layer.iter().zip(settle(&wanted, &heights)) {
                    self.boxes[*b].y = y;
                }
            }
        }
        let top = self.boxes.iter().map(|b| b.y - b.height() / 2.0).fold(f64::INFINITY, f64::min);
        self.boxes.iter_mut().for_each(|b| b.y -= top);
    }

    /// Writes boxes and lines below `top`; returns the right end and the height.
    fn draw(&self, out: &mut String, top: f64) -> (f64, f64) {
        let mut x = MARGIN;
        let mut columns = Vec::new();
        for layer in &self.layers {
            let width = layer.iter().map(|b| self.boxes[*b].width()).fold(0.0, f64::max);
            columns.push((x, width));
            x += width + GAP_X;
        }
        for edge in &self.edges {
            self.draw_edge(out, top, &columns, edge);
        }
        for b in self.boxes.iter().filter(|b| !b.lines.is_empty()) {
            let (left, width) = columns[b.layer];
            let (height, upper) = (b.height(), top + b.y - b.height() / 2.0);
            let round = if b.class == "ask" { 4.0 } else { 12.0 };
            let _ = writeln!(
                out,
                "<rect class=\"{}\" x=\"{left:.1}\" y=\"{upper:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{round}\"/>",
                b.class
            );
            for (i, line) in b.lines.iter().enumerate() {
                let (cx, y) = (left + width / 2.0, upper + PAD / 2.0 + (i as f64 + 0.75) * LINE);
                let _ =
                    writeln!(out, "<text class=\"middle\" x=\"{cx:.1}\" y=\"{y:.1}\">{}</text>", xml(line));
            }
        }
        (x - GAP_X, self.boxes.iter().map(|b| b.y + b.height() / 2.0).fold(0.0, f64::max))
    }

    fn draw_edge(&self, out: &mut String, top: f64, columns: &[(f64, f64)], edge: &Edge) {
        let first = &self.boxes[edge.stops[0]];
        let spread = (first.height() / 4.0).min(9.0);
        let shift = edge.answer.map_or(0.0, |yes| if yes { -spread } else { spread });
        let (left, width) = columns[first.layer];
        let (mut x, mut y) = (left + width, top + first.y + shift);
        let class = if edge.answer == Some(false) { " class=\"no\"" } else { "" };
        let mut path = format!("M{x:.1} {y:.1}");
        let start = (x, y);
        for stop in &edge.stops[1..] {
            let b = &self.boxes[*stop];
            let (to_x, to_y) = (columns[b.layer].0, top + b.y);
            let bow = (to_x - x) / 2.0;
            let _ = write!(path, " C{:.1} {y:.1} {:.1} {to_y:.1} {to_x:.1} {to_y:.1}", x + bow, to_x - bow);
            (x, y) = (to_x, to_y);
            if b.lines.is_empty() {
                x += columns[b.layer].1;
                let _ = write!(path, " L{x:.1} {y:.1}");
            }
        }
        let _ = writeln!(out, "<path{class} d=\"{path}\"/>");
        let _ = writeln!(
            out,
            "<path d=\"M{:.1} {:.1} L{x:.1} {y:.1} L{:.1} {:.1}\"/>",
            x - 6.0,
            y - 4.0,
            x - 6.0,
            y + 4.0
        );
        if let Some(yes) = edge.answer {
            let (word, dy) = if yes { ("yes", -4.0) } else { ("no", 12.0) };
            let _ = writeln!(
                out,
                "<text class=\"small\" x=\"{:.1}\" y=\"{:.1}\">{word}</text>",
                start.0 + 5.0,
                start.1 + dy
            );
        }
    }
}

/// The layer of each condition: one more than the longest way to it.
fn depths(graph: &Graph, section: &Section) -> FxHashMap<NodeRef, usize> {
    // Children come after their parents in reverse postorder, so one pass finds the longest ways.
    let mut postorder = Vec::new();
    let mut seen = vec![false; graph.nodes.len()];
    let mut todo: Vec<(NodeRef, bool)> = section.heads.iter().rev().map(|(_, to)| (*to, false)).collect();
    while let Some((node, done)) = todo.pop() {
        if done {
            postorder.push(node);
        } else if !std::mem::replace(&mut seen[node], true) {
            todo.push((node, true));
            if let Node::Ask { yes, no, .. } = &graph.nodes[node] {
                todo.extend([(*no, false), (*yes, false)]);
            }
        }
    }
    let mut depth: FxHashMap<NodeRef, usize> = section.heads.iter().map(|(_, to)| (*to, 1)).collect();
    for node in postorder.into_iter().rev() {
        if let Node::Ask { yes, no, .. } = &graph.nodes[node] {
            let next = depth[&node] + 1;
            for child in [yes, no] {
                let d = depth.entry(*child).or_insert(next);
                *d = (*d).max(next);
            }
        }
    }
    depth
}

fn mean(of: &[(usize, f64)], values: &[f64]) -> Option<f64> {
    (!of.is_empty()).then(|| of.iter().map(|(b, shift)| values[*b] + shift).sum::<f64>() / of.len() as f64)
}

/// The centres nearest (in squares) to those wanted that keep the order and the gaps: pool adjacent violators.
fn settle(wanted: &[f64], heights: &[f64]) -> Vec<f64> {
    let mut offset = Vec::with_capacity(wanted.len());
    let mut at = 0.0;
    for (i, height) in heights.iter().enumerate() {
        at += if i == 0 { 0.0 } else { (heights[i - 1] + height) / 2.0 + GAP_Y };
        offset.push(at);
    }
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (want, shift) in wanted.iter().zip(&offset) {
        let mut pool = (want - shift, 1);
        while let Some((mean, count)) = pools.last().copied()
            && mean > pool.0
        {
            pools.pop();
            let total = count + pool.1;
            pool = ((mean * count as f64 + pool.0 * pool.1 as f64) / total as f64, total);
        }
        pools.push(pool);
    }
    let base = pools.iter().flat_map(|(mean, count)| std::iter::repeat_n(*mean, *count));
    base.zip(&offset).map(|(mean, shift)| mean + shift).collect()
}

/// Columns that a line takes in a monospace font; wide characters take two.
fn cells(line: &str) -> usize {
    line.chars().map(|c| if matches!(c as u32, 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD) { 2 } else { 1 }).sum()
}

/// Breaks a text into lines, at spaces where it can.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for part in text.split('\n') {
        let mut line = String::new();
        for word in part.split(' ') {
            if !line.is_empty() && cells(&line) + 1 + cells(word) > LINE_CHARS {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            for c in word.chars() {
                if cells(&line) + 1 > LINE_CHARS {
                    lines.push(std::mem::take(&mut line));
                }
                line.push(c);
            }
        }
        lines.push(line);
    }
    lines
}

/// A text as XML content or attribute value.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Section, example};
    use super::*;

    #[test]
    fn boxes_do_not_overlap_and_lines_go_right() {
        let graph = example();
        for section in &graph.sections {
            let layout = Layout::of(&graph, section);
            for layer in &layout.layers {
                for pair in layer.windows(2) {
                    let (a, b) = (&layout.boxes[pair[0]], &layout.boxes[pair[1]]);
                    assert!(b.y - a.y >= (a.height() + b.height()) / 2.0 + GAP_Y - 1e-6);
                }
            }
            for pair in layout.edges.iter().flat_map(|e| e.stops.windows(2)) {
                assert_eq!(layout.boxes[pair[0]].layer + 1, layout.boxes[pair[1]].layer);
            }
        }
    }

    #[test]
    fn a_chain_of_thousands_of_conditions_is_named_and_not_drawn() {
        let count = 20_000;
        let mut nodes: Vec<Node> =
            (0..count).map(|i| Node::Ask { text: format!("c{i}"), yes: count, no: i + 1 }).collect();
        nodes.push(Node::Leaf(None));
        let sections = vec![Section { title: "s".to_owned(), heads: vec![("h".to_owned(), 0)] }];
        let svg = Graph { title: "t".to_owned(), sections, nodes }.to_svg();
        assert!(svg.contains("too many for a picture"));
    }

    #[test]
    fn text_is_escaped_and_wrapped() {
        let svg = example().to_svg();
        assert!(
            svg.contains("&lt;frozen&gt;") && svg.contains("&amp; étiqueté") && !svg.contains("<frozen>")
        );
        assert_eq!(wrap(&"x".repeat(70)).len(), 3);
        assert_eq!(wrap("a\nb"), ["a", "b"]);
        assert_eq!(xml("a\u{1b}\u{0}"), "a\u{fffd}\u{fffd}");
        assert!(example().to_svg() == svg, "the same graph gives the same bytes");
    }
}
