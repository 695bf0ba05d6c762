//! The table.
//!
//! In:    all figures.
//! Out:   Markdown: medians over the rounds, ratios of the figures of one round.
//! Law:   a ratio is made within a round before its median is taken; what isn't the full measurement says so.

use crate::client::Figure;
use crate::options::Options;
use crate::rounds::{Measured, Rounds};
use serde_json::{Value, json};
use std::fmt::Write;

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    match all.len() {
        0 => f64::NAN,
        n if n.is_multiple_of(2) => (all[n / 2 - 1] + all[n / 2]) / 2.0,
        n => all[n / 2],
    }
}

/// The whole table.
pub fn table(options: &Options, rounds: &Rounds) -> String {
    let mut out = String::new();
    let kind = match (rounds.done < options.rounds, options.is_full()) {
        (true, _) => {
            format!("So far, after round {} of {}, not the measurement: ", rounds.done, options.rounds)
        }
        (false, false) => "A short run, not the full measurement: ".to_owned(),
        (false, true) => String::new(),
    };
    let _ = writeln!(
        out,
        "{kind}{} accounts, {} resources, {} records before each round; {} rounds, medians; (a), (b) and half of (a) {} s each, \
         (c) and batches {} s; {} % of questions allowed.\n",
        options.accounts,
        options.resources,
        options.records,
        rounds.done,
        options.seconds,
        options.others,
        rounds.allowed_percent
    );
    out.push_str("| | ");
    options.connections.iter().for_each(|c| out.push_str(&format!("{c} connections | ")));
    out.push_str("\n|---|");
    options.connections.iter().for_each(|_| out.push_str("--:|"));
    out.push('\n');
    let rate = |of: fn(&Measured) -> &Figure| move |m: &Measured| of(m).rate();
    let size = options.batch as f64;
    let lines: Vec<(String, Shown)> = vec![
        ("(a) policyd, decisions/s".into(), count(rate(|m| &m.singles))),
        ("(b) the same, keeping nothing, decisions/s".into(), count(rate(|m| &m.nothing))),
        ("(c) an empty axum handler, requests/s".into(), count(rate(|m| &m.empty))),
        ("**a / b** (50 % is asked for)".into(), percent(|m| m.singles.rate() / m.nothing.rate())),
        ("a / c".into(), percent(|m| m.singles.rate() / m.empty.rate())),
        ("p50 of a, closed loop, ms".into(), millis(|m| m.singles.millis(0.5))),
        ("p99 of a, closed loop, ms".into(), millis(|m| m.singles.millis(0.99))),
        ("open loop at half of a, answers/s".into(), count(rate(|m| &m.half))),
        ("p50 at half of a, ms".into(), millis(|m| m.half.millis(0.5))),
        ("**p99 at half of a, ms** (under 10 is asked for)".into(), millis(|m| m.half.millis(0.99))),
        ("p99.9 at half of a, ms".into(), millis(|m| m.half.millis(0.999))),
        (format!("batches of {}, decisions/s", options.batch), count(move |m| m.batches.rate() * size)),
        (
            "**batches / singles** (4 is asked for)".into(),
            times(move |m| m.batches.rate() * size / m.singles.rate()),
        ),
        ("batches, keeping nothing, decisions/s".into(), count(move |m| m.nothing_batches.rate() * size)),
    ];
    for (name, shown) in lines {
        let _ = write!(out, "| {name} | ");
        for connections in &options.connections {
            let these = rounds.all.iter().filter(|m| m.connections == *connections);
            let value = median(these.map(|m| (shown.of)(m)).collect());
            let _ = write!(out, "{} | ", (shown.as_text)(value));
        }
        out.push('\n');
    }
    let _ = writeln!(
        out,
        "\nEvery answer was checked; for {} answers of policyd the log has the record. Most memory: {} MiB.",
        rounds.checked, rounds.memory
    );
    out
}

/// Every figure of every round.
pub fn figures(options: &Options, rounds: &Rounds) -> Value {
    let one = |f: &Figure| {
        let ms = |q: f64| f.millis(q);
        json!({
            "rate": f.rate(), "seconds": f.time.as_secs(), "answered": f.answered,
            "p50_ms": ms(0.5), "p90_ms": ms(0.9), "p99_ms": ms(0.99), "p999_ms": ms(0.999), "max_ms": ms(1.0),
        })
    };
    let measured = |m: &Measured| {
        json!({
            "connections": m.connections, "policyd": one(&m.singles), "nothing": one(&m.nothing), "empty": one(&m.empty),
            "half": one(&m.half), "batches": one(&m.batches), "nothing_batches": one(&m.nothing_batches),
        })
    };
    json!({
        "full": options.is_full() && rounds.done >= options.rounds,
        "accounts": options.accounts, "resources": options.resources, "records": options.records,
        "batch": options.batch, "checked": rounds.checked, "memory_mib": rounds.memory,
        "figures": rounds.all.iter().map(measured).collect::<Vec<_>>(),
    })
}

/// How a line of the table is made.
struct Shown {
    of: Box<dyn Fn(&Measured) -> f64>,
    as_text: fn(f64) -> String,
}

fn count(of: impl Fn(&Measured) -> f64 + 'static) -> Shown {
    Shown { of: Box::new(of), as_text: |v| format!("{v:.0}") }
}

fn percent(of: impl Fn(&Measured) -> f64 + 'static) -> Shown {
    Shown { of: Box::new(of), as_text: |v| format!("{:.0} %", v * 100.0) }
}

fn millis(of: impl Fn(&Measured) -> f64 + 'static) -> Shown {
    Shown { of: Box::new(of), as_text: |v| format!("{v:.2}") }
}

fn times(of: impl Fn(&Measured) -> f64 + 'static) -> Shown {
    Shown { of: Box::new(of), as_text: |v| format!("{v:.1}") }
}
