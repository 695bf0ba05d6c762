//! How long things of one sort took, counted in buckets.
//!
//! In:    microseconds, from any thread.
//! Out:   a histogram as Prometheus reads it.
//! Law:   each bucket counts all that took no longer than its end.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upper ends of the buckets, in microseconds.
const ENDS: [u64; 12] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// How long things of one sort took.
#[derive(Debug, Default)]
pub struct Durations {
    counts: [AtomicU64; ENDS.len() + 1],
    micros: AtomicU64,
}

impl Durations {
    /// Counts one.
    pub fn note(&self, micros: u64) {
        let at = ENDS.partition_point(|end| *end < micros);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Writes the histogram `name`, with a label or an empty text.
    pub fn write(&self, out: &mut String, name: &str, label: &str) {
        let mut total = 0;
        let comma = if label.is_empty() { "" } else { "," };
        for (n, count) in self.counts.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            let end = ENDS.get(n).map_or("+Inf".to_owned(), |micros| seconds(*micros));
            let _ = writeln!(out, "{name}_bucket{{{label}{comma}le=\"{end}\"}} {total}");
        }
        let sum = seconds(self.micros.load(Ordering::Relaxed));
        let label = if label.is_empty() { String::new() } else { format!("{{{label}}}") };
        let _ = writeln!(out, "{name}_sum{label} {sum}\n{name}_count{label} {total}");
    }
}

fn seconds(micros: u64) -> String {
    format!("{}", micros as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_up() {
        let durations = Durations::default();
        for micros in [1, 250, 251, 9_000_000] {
            durations.note(micros);
        }
        let mut out = String::new();
        durations.write(&mut out, "it", "what=\"read\"");
        durations.write(&mut out, "bare", "");
        for line in [
            "it_bucket{what=\"read\",le=\"0.00025\"} 2",
            "bare_bucket{le=\"0.00025\"} 2",
            "bare_count 4",
            "le=\"0.0005\"} 3",
            "le=\"5\"} 3",
            "le=\"+Inf\"} 4",
            "_count{what=\"read\"} 4",
            "_sum{what=\"read\"} 9.000502",
        ] {
            assert!(out.contains(line), "{line} in {out}");
        }
    }
}
