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

pub fn read(found: &ArgMatches) -> Limits {
    let number =
        |name: &str| found.get_one::<u32>(name).copied().expect("limits: every argument has a default");
    Limits {
        per_address: number("rate-per-address"),
        per_key: number("rate-per-key"),
        per_organization: number("rate-per-organization"),
        connections: number("connections") as usize,
        connections_per_address: number("connections-per-address") as usize,
        head_within: Duration::from_secs(number("head-within").into()),
    }
}
