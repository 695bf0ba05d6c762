//! `policyd`: governed identity for automated systems, on the engine of this crate.

mod api;
mod authn;
mod build;
mod change;
mod clock;
mod fields;
mod guard;
mod holding;
mod memory;
mod object;
mod pepper;
mod prelude;
mod problem;
mod secret;
mod store;
mod token;
mod writer;

/// Runs the command with the arguments of this process.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
