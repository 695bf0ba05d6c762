//! policyd under load: `cargo run --release`, or `-- --quick` to try it.
//!
//! In:    a store that this makes and keeps (`--store`): accounts, resources, records of earlier decisions.
//! Out:   one table: decisions a second of (a) policyd, every decision on the disk before it is answered, (b) the same
//!        handler over a log that keeps nothing, (c) an axum handler that does nothing; their ratios; latencies.
//! Law:   no figure without a check: each answer is the one that a plain reading of the rules gives, and the log holds a
//!        record for each answer that was given. Else nothing is printed and the exit code is 1.

mod client;
mod http;
mod options;
mod rounds;
mod server;
mod store;
mod table;
mod world;

use options::{Command, Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::read();
    let done = match &options.command {
        Some(Command::Nothing { data, listen }) => {
            policyc::service::bench::serve_keeping_nothing(data, *listen)
        }
        Some(Command::Empty { listen }) => server::empty(*listen),
        None => run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("load: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let world = world::World::new(options);
    let store = store::Store::prepared(options, &world)?;
    let rounds = rounds::run(options, &world, &store)?;
    if let Some(file) = &options.json {
        let text = format!("{:#}\n", table::figures(options, &rounds));
        std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    print!("{}", table::table(options, &rounds));
    Ok(())
}
