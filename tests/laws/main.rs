//! The laws of the language, over generated worlds.
//!
//! A world is a vocabulary, a policy set, a directory and requests, all written as text and JSON, so that every case
//! goes through the doors that users come through. A failing world is made small and printed as set, data, request.
//!
//! `cargo test --test laws` runs more than 100,000 (set, directory, request) cases.
//! `POLICYC_CASES=10000000 cargo test --release --test laws twins -- --nocapture` runs ten million.
//! A failure's seed is kept in `tests/regressions`, and comes first in later runs.

mod corners;
mod data;
mod dice;
mod doors;
mod expr;
mod formatting;
mod generator;
mod live;
mod metamorphic;
mod model;
mod paths;
mod refused;
mod requests;
mod rules;
mod run;
mod shrink;
mod small;
mod tests_of;
mod twins;
mod values;
mod world;
