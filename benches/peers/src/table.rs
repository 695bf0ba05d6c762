//! The figures as a table in Markdown.

use crate::PEERS;
use crate::measure::Figure;
use std::fmt::Write;

/// One size.
pub struct Row {
    pub rules: usize,
    pub ours: Figure,
    pub from_text: Figure,
    pub probe: Figure,
    pub peers: Vec<Option<Figure>>,
    pub threads: f64,
    pub allocations: f64,
}

/// Time per decision, then how many times ours that is, then how much was compared.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    let peers = PEERS.join(" | ");
    let line = format!("|--:|{}\n", "--:|".repeat(PEERS.len() + 2));
    let _ = writeln!(out, "\nTime per decision:\n\n| rules | policyc | from strings | {peers} |");
    out.push_str(&line);
    for row in rows {
        let _ = write!(out, "| {} | {} | {} |", row.rules, time(row.ours.nanos), time(row.from_text.nanos));
        cells(&mut out, row, |f| time(f.nanos));
    }
    let _ = writeln!(out, "\nIn decisions of policyc:\n\n| rules | policyc | from strings | {peers} |");
    out.push_str(&line);
    for row in rows {
        let _ = write!(out, "| {} | 1 | {} |", row.rules, ratio(row.from_text.nanos / row.ours.nanos));
        cells(&mut out, row, |f| ratio(f.nanos / row.ours.nanos));
    }
    let _ = writeln!(
        out,
        "\nAnswers compared with the plain reading:\n\n| rules | policyc | from strings | {peers} |"
    );
    out.push_str(&line);
    for row in rows {
        let _ = write!(out, "| {} | {} | {} |", row.rules, row.ours.checked, row.from_text.checked);
        cells(&mut out, row, |f| f.checked.to_string());
    }
    let head = "one FxHash probe | policyc in probes | the same after other work | from strings in decisions | \
                two threads, in rates of one | allocations a decision";
    let _ = writeln!(out, "\nMedian (in brackets: of the quickest passes):\n\n| rules | {head} |");
    let _ = writeln!(out, "|--:|--:|--:|--:|--:|--:|--:|");
    for Row { rules, ours, from_text, probe, threads, allocations, .. } in rows {
        let both = |a: &Figure, b: &Figure| format!("{:.1} ({:.1})", a.nanos / b.nanos, a.least / b.least);
        let probe_time = format!("{} ({})", time(probe.nanos), time(probe.least));
        let (probes, strings) = (both(ours, probe), both(from_text, ours));
        let after = ours.after_others / probe.nanos;
        let _ = writeln!(
            out,
            "| {rules} | {probe_time} | {probes} | {after:.1} | {strings} | {threads:.2} | {allocations} |"
        );
    }
    out
}

fn cells(out: &mut String, row: &Row, show: impl Fn(&Figure) -> String) {
    for peer in &row.peers {
        let _ = write!(out, " {} |", peer.as_ref().map_or("–".to_owned(), &show));
    }
    out.push('\n');
}

fn time(nanos: f64) -> String {
    match nanos {
        n if n < 1e2 => format!("{n:.1} ns"),
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.1} µs", n / 1e3),
        n if n < 1e9 => format!("{:.1} ms", n / 1e6),
        n => format!("{:.2} s", n / 1e9),
    }
}

/// Three figures.
fn ratio(times: f64) -> String {
    let thousands = |t: u64| {
        let digits = t.to_string();
        let parts: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|p| str::from_utf8(p).unwrap_or("")).collect();
        parts.join(",")
    };
    match times {
        t if t < 10.0 => format!("{t:.2}"),
        t if t < 1e3 => format!("{t:.0}"),
        t => {
            let last = 10_f64.powf(t.log10().floor() - 2.0);
            thousands(((t / last).round() * last).round() as u64)
        }
    }
}
