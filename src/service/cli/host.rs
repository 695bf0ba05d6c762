//! What whoever has the host does while no policyd serves the folder: recover, restore, replace the log key, erase a person, and hold
//! the store against its logs.
//!
//! In:    a data folder.
//! Out:   what was done, in a line or a few; records of it in the logs.
//! Law:   one process at a time has a folder.

use super::serve::{data, pepper, places};
use super::{Done, Failure};
use crate::service::clock::wall;
use crate::service::pepper::write_private;
use crate::service::problem::count;
use crate::service::running::lock;
use crate::service::store::Sqlite;
use crate::service::{erase, init, log_key, restore, state};
use clap::{Arg, ArgMatches, Command};
use std::path::Path;

fn command(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).arg(data()).arg(pepper())
}

pub fn recover_command() -> Command {
    command(
        "recover",
        "Mint a key of the installation, or of a person, with access to the host; the service must be stopped",
    )
    .arg(Arg::new("out").required(true).help("A new file for the key"))
    .arg(
        Arg::new("organization")
            .long("organization")
            .requires("user")
            .help("An organization in which nobody has a key any more"),
    )
    .arg(
        Arg::new("user")
            .long("user")
            .requires("organization")
            .help("A person there, such as one who owns it: the key is his, for 12 hours"),
    )
}

pub fn restore_command() -> Command {
    command("restore", "Go on from a backup: new logs that name the old ones, every key off until confirmed; the service must be stopped").arg(
        Arg::new("confirm")
            .long("confirm")
            .num_args(0)
            .help("Switch on again the keys that a restore has switched off"),
    )
}

pub fn state_command() -> Command {
    command(
        "state",
        "Make directory, keys and policies again from the log of changes, and compare; read every decision",
    )
}

pub fn rotate_command() -> Command {
    command("rotate-key", "Replace the key that signs checkpoints; the service must be stopped")
}

pub fn erase_command() -> Command {
    command("erase", "Erase what the logs and the store know of a deleted user; the service must be stopped")
        .arg(Arg::new("uid").required(true).help("The uid of the user"))
}

/// Runs `policyd recover`.
pub fn recover(found: &ArgMatches) -> Done {
    let out = found.get_one::<String>("out").cloned().unwrap_or_default();
    if Path::new(&out).exists() {
        return Err(Failure::usage(format!("{out} is there already: a key is never written over a file")));
    }
    let text = |name: &str| found.get_one::<String>(name);
    let (key, whose) = match (text("organization"), text("user")) {
        (Some(organization), Some(user)) => {
            let made = init::recover_person(&places(found), organization, user).map_err(Failure::usage)?;
            let whose =
                format!("a key of {user} until {}; the log of {organization} says so", made.expires_at);
            (made.token, whose)
        }
        _ => {
            let made = init::recover(&places(found)).map_err(Failure::usage)?;
            (made, "a key of the installation; its log says so".to_owned())
        }
    };
    write_private(Path::new(&out), &format!("{}\n", key.reveal()))
        .map_err(|e| Failure::usage(format!("the key was made, but {out} can't be written: {e}")))?;
    println!("wrote {out} (readable by you alone): {whose}");
    Ok(0)
}

/// Runs `policyd audit state`.
pub fn state(found: &ArgMatches) -> Done {
    let told = state::verify(&places(found)).map_err(|message| Failure { message, exit: 1 })?;
    told.iter().for_each(|line| println!("{line}"));
    Ok(0)
}

/// Runs `policyd restore`.
pub fn restore(found: &ArgMatches) -> Done {
    let places = places(found);
    let _held = lock(&places).map_err(Failure::usage)?;
    let store = store(&places)?;
    if found.get_flag("confirm") {
        let keys = restore::confirm(&store, wall()).map_err(Failure::usage)?;
        let (keys, are) = (count(keys as u64, "key"), if keys == 1 { "is" } else { "are" });
        println!("{keys} {are} switched on again");
        return Ok(0);
    }
    let told = restore::restore(&places, &store, wall()).map_err(Failure::usage)?;
    told.iter().for_each(|line| println!("{line}"));
    Ok(0)
}

/// Runs `policyd audit rotate-key`.
pub fn rotate(found: &ArgMatches) -> Done {
    let places = places(found);
    let _held = lock(&places).map_err(Failure::usage)?;
    let key = log_key::rotate(&places, &store(&places)?, wall()).map_err(Failure::usage)?;
    println!("{key}");
    eprintln!("replaced the log key; exports verify with the old public key as well as with this one");
    Ok(0)
}

/// Runs `policyd audit erase`.
pub fn erase(found: &ArgMatches) -> Done {
    let places = places(found);
    let uid = found.get_one::<String>("uid").cloned().unwrap_or_default();
    let _held = lock(&places).map_err(Failure::usage)?;
    let values = erase::erase(&places, &store(&places)?, &uid, wall()).map_err(Failure::usage)?;
    println!("erased {uid}: {values} values beside records, and what the store had of the user");
    println!("backups and exports made before still have them");
    Ok(0)
}

fn store(places: &crate::service::running::Places) -> Result<Sqlite, Failure> {
    let file = places.database();
    if !file.exists() {
        return Err(Failure::usage(format!("{} is not there: is this the data folder?", file.display())));
    }
    Ok(Sqlite::at(&file))
}
