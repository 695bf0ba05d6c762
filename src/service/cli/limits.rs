//! The arguments of `policyd serve` that bound what clients may use up.
//!
//! In:    arguments.
//! Out:   [`Limits`].
//! Law:   what isn't given is the default that the help names.

use crate::service::http::Limits;
use clap::{Arg, ArgMatches, value_parser};
use std::time::Duration;

/// Name, default, help.
fn table() -> [(&'static str, u64, &'static str); 6] {
    let limits = Limits::default();
    [
        (
            "rate-per-address",
            limits.per_address.into(),
            "Units of work a second for one address; 0 for no limit",
        ),
        ("rate-per-key", limits.per_key.into(), "Units of work a second for one key; 0 for no limit"),
        (
            "rate-per-organization",
            limits.per_organization.into(),
            "Units of work a second for one organization; 0 for no limit",
        ),
        ("connections", limits.connections as u64, "Connections at once"),
        (
            "connections-per-address",
            limits.connections_per_address as u64,
            "Connections at once from one address",
        ),
        (
            "head-within",
            limits.head_within.as_secs(),
            "Seconds for the head of a request, and for a connection without requests",
        ),
    ]
}

pub fn arguments() -> impl Iterator<Item = Arg> {
    table().into_iter().map(|(name, default, help)| {
        let parser = match name {
            "head-within" => value_parser!(u32).range(1..=3_600),
            "connections" | "connections-per-address" => value_parser!(u32).range(1..=1_000_000),
            _ => value_parser!(u32).range(0..),
        };
        let default: &'static str = Box::leak(default.to_string().into_boxed_str());
        Arg::new(name)
            .long(name)
            .value_name("NUMBER")
            .default_value(default)
            .value_parser(parser)
            .help(help)
            .help_heading("Limits")
    })
}

/// Files that may be open at once, as the system lets this process.
fn files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Files that are kept for the store: what can't be opened can't be written, and then policyd ends.
const FILES_OF_OURS: u64 = 200;

/// Connections that leave files for the store.
fn places(wanted: usize, files: Option<u64>) -> usize {
    let most = files.map_or(usize::MAX, |files| files.saturating_sub(FILES_OF_OURS).max(8) as usize);
    if wanted > most {
        tracing::warn!(wanted, most, "fewer connections than set: raise the limit of open files (ulimit -n)");
    }
    wanted.min(most)
}

pub fn read(found: &ArgMatches) -> Limits {
    let number =
        |name: &str| found.get_one::<u32>(name).copied().expect("limits: every argument has a default");
    Limits {
        per_address: number("rate-per-address"),
        per_key: number("rate-per-key"),
        per_organization: number("rate-per-organization"),
        connections: places(number("connections") as usize, files()),
        connections_per_address: number("connections-per-address") as usize,
        head_within: Duration::from_secs(number("head-within").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_store() {
        assert_eq!(places(800, Some(1_024)), 800);
        assert_eq!(places(2_000, Some(1_024)), 824);
        assert_eq!(places(800, Some(100)), 8);
        assert_eq!(places(5_000, None), 5_000);
        assert!(files().is_none_or(|files| files > 0));
    }
}
