//! The `policyd` command: server and client in one.
//!
//! In:    arguments; a key from `POLICYD_KEY` or a file, never from an argument.
//! Out:   standard output carries what was asked for, standard error the rest.
//! Exit:  0 fine · 1 refused by the service · 2 usage, or the service can't be reached · 3 the decision is a denial.

mod client;
mod commands;
mod host;
mod import;
mod limits;
mod offline;
mod policies;
mod profiles;
mod serve;
mod show;

use clap::{Arg, ArgMatches, Command};
use std::process::ExitCode;

/// Why a command could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong and what to do.
    pub message: String,
    /// The exit code.
    pub exit: u8,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), exit: 2 }
    }
}

type Done = Result<u8, Failure>;

const EXAMPLES: &str = "\
Examples:
  policyd init --data policyd --organization acme --owner ada
  policyd serve --data policyd
  export POLICYD_KEY_FILE=policyd/admin.key
  policyd projects create web
  policyd authorize --action read --resource server/api --scope acme/web/play
  policyd audit tail changes

Where the service is and with which key: --address and --key-file, else the profile that --profile
names, else POLICYD_ADDRESS and POLICYD_KEY_FILE or POLICYD_KEY, else the profile of POLICYD_PROFILE
or the one called `default`. A key is never an argument.

Exit codes: 0 fine, 1 refused by the service, 2 usage or unreachable, 3 the decision is a denial.";

/// The heading of what all commands of the client have.
const WHERE: &str = "Which service, with which key";

fn command() -> Command {
    let mut command = Command::new("policyd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Governed identity for automated systems: the service and its client")
        .after_help(EXAMPLES)
        .max_term_width(100)
        .subcommand_required(true)
        .arg(
            Arg::new("address")
                .long("address")
                .global(true)
                .value_name("URL")
                .help_heading(WHERE)
                .env("POLICYD_ADDRESS")
                .help("Where the service is; http://127.0.0.1:7621 if nothing says otherwise"),
        )
        .arg(
            Arg::new("key-file")
                .long("key-file")
                .global(true)
                .value_name("FILE")
                .help_heading(WHERE)
                .env("POLICYD_KEY_FILE")
                .help("A file with the key to use; POLICYD_KEY holds one as well"),
        )
        .arg(
            Arg::new("profile")
                .long("profile")
                .global(true)
                .value_name("NAME")
                .help_heading(WHERE)
                .env("POLICYD_PROFILE")
                .help("Address and key file as `policyd profiles set` remembered them"),
        )
        .arg(
            Arg::new("at-least")
                .long("at-least")
                .global(true)
                .value_name("REVISION")
                .help_heading(WHERE)
                .value_parser(clap::value_parser!(u64))
                .help("Ask only a service that has this change of the organization"),
        )
        .arg(Arg::new("json").long("json").global(true).num_args(0).help("Answers as the service gives them"))
        .subcommand(serve::init_command())
        .subcommand(serve::serve_command())
        .subcommand(host::recover_command())
        .subcommand(host::restore_command())
        .subcommand(import::command())
        .subcommand(client::authorize_command())
        .subcommand(policies::command())
        .subcommand(offline::command())
        .subcommand(profiles::command())
        .subcommand(Command::new("quotas").about("Show what the organization may have, and what it has"));
    for collection in commands::all() {
        command = command.subcommand(collection);
    }
    command
}

/// Runs the command with the arguments of this process.
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    match run(&matches) {
        Ok(exit) => ExitCode::from(exit),
        Err(failure) => {
            eprintln!("policyd: {}", failure.message);
            ExitCode::from(failure.exit)
        }
    }
}

fn run(matches: &ArgMatches) -> Done {
    let Some((name, found)) = matches.subcommand() else { return Err(Failure::usage("give a command")) };
    match name {
        "init" => serve::init(found),
        "serve" => serve::serve(found),
        "recover" => host::recover(found),
        "restore" => host::restore(found),
        "import" => import::run(found),
        "authorize" => client::authorize(found),
        "policy" => policies::run(found),
        "audit" => offline::run(found),
        "profiles" => profiles::run(found),
        "quotas" => commands::quotas(found),
        collection => commands::run(collection, found),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_consistent() {
        super::command().debug_assert();
    }
}
