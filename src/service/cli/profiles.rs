//! Profiles: where services are and which files hold their keys, under a name each.
//!
//! In:    `$POLICYD_CONFIG`, or `policyd/config` below `$XDG_CONFIG_HOME` or `~/.config`.
//! Out:   [`Profile`]; the file, written whole or not at all.
//! Law:   a profile names a file with a key and never holds the key. An argument counts before the environment, and both
//!        before the profile.

use super::{Done, Failure};
use crate::visible;
use clap::{Arg, ArgMatches, Command};
use std::path::{Path, PathBuf};

/// Where a service is, and with which key it is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    name: String,
    /// Its address.
    pub address: Option<String>,
    /// A file with a key.
    pub key_file: Option<String>,
}

fn file() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(path) = set("POLICYD_CONFIG") {
        return Ok(path);
    }
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let none = || Failure::usage("no place for profiles: set POLICYD_CONFIG, XDG_CONFIG_HOME or HOME");
    Ok(folder.ok_or_else(none)?.join("policyd").join("config"))
}

/// Reads profiles: `[name]`, below it `address = …` and `key-file = …`; `#` begins a remark.
fn parse(text: &str) -> Result<Vec<Profile>, String> {
    let mut all: Vec<Profile> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}", n + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.trim();
            if name.is_empty() || all.iter().any(|p| p.name == name) {
                return Err(wrong("a profile has a name, and each another"));
            }
            all.push(Profile { name: name.to_owned(), ..Profile::default() });
            continue;
        }
        let profile = all.last_mut().ok_or_else(|| wrong("expected `[NAME]` first"))?;
        let (field, value) =
            line.split_once('=').ok_or_else(|| wrong("expected `address = …` or `key-file = …`"))?;
        let held = match field.trim() {
            "address" => &mut profile.address,
            "key-file" => &mut profile.key_file,
            other => {
                let say = format!("no setting `{}`: there are `address` and `key-file`", visible(other));
                return Err(wrong(&say));
            }
        };
        if held.replace(value.trim().to_owned()).is_some() {
            return Err(wrong(&format!("`{}` is set twice", field.trim())));
        }
    }
    Ok(all)
}

fn text(all: &[Profile]) -> String {
    let mut text = String::new();
    for profile in all {
        text.push_str(&format!("[{}]\n", profile.name));
        for (field, value) in [("address", &profile.address), ("key-file", &profile.key_file)] {
            if let Some(value) = value {
                text.push_str(&format!("{field} = {value}\n"));
            }
        }
        text.push('\n');
    }
    text
}

fn all(path: &Path) -> Result<Vec<Profile>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(|e| Failure::usage(format!("{}: {e}", path.display()))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Failure::usage(format!("can't read {}: {e}", path.display()))),
    }
}

/// The profile that was asked for by `--profile` or `POLICYD_PROFILE`; else the one called `default`, if there is one.
pub fn chosen(found: &ArgMatches) -> Result<Profile, Failure> {
    let wanted = found.get_one::<String>("profile");
    let Ok(path) = file() else {
        // Without a place for profiles nobody has one.
        return wanted.map_or(Ok(Profile::default()), |_| file().map(|_| Profile::default()));
    };
    let all = all(&path)?;
    let name = wanted.map_or("default", String::as_str);
    match all.iter().find(|p| p.name == name) {
        Some(profile) => Ok(profile.clone()),
        None if wanted.is_none() => Ok(Profile::default()),
        None => {
            let near = crate::nearest(name, all.iter().map(|p| p.name.as_str()));
            let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            Err(Failure::usage(format!(
                "no profile `{}` in {}{near}; `policyd profiles list` shows those there are, make it with `policyd profiles set`",
                visible(name),
                path.display()
            )))
        }
    }
}

pub fn command() -> Command {
    let name = || {
        Arg::new("name")
            .value_name("NAME")
            .required(true)
            .help("Its name; `default` is taken when none is asked for")
    };
    Command::new("profiles")
        .about("Remember where services are and which key files go with them")
        .subcommand_required(true)
        .subcommand(Command::new("list").about("List profiles"))
        .subcommand(
            Command::new("set")
                .about("Make or change a profile from --address and --key-file; the key itself stays in its file")
                .arg(name()),
        )
        .subcommand(Command::new("remove").about("Forget a profile").arg(name()))
}

pub fn run(found: &ArgMatches) -> Done {
    let Some((verb, sub)) = found.subcommand() else { return Err(Failure::usage("give a verb")) };
    let path = file()?;
    let mut all = all(&path)?;
    let name = sub.try_get_one::<String>("name").ok().flatten().cloned().unwrap_or_default();
    match verb {
        "set" => {
            if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                return Err(Failure::usage("the name of a profile has letters, digits, `-`, `_` and `.`"));
            }
            let given = |field: &str| sub.get_one::<String>(field).cloned();
            let (address, key_file) = (given("address"), given("key-file").map(|p| whole(&p)).transpose()?);
            if address.is_none() && key_file.is_none() {
                return Err(Failure::usage("give --address, --key-file or both"));
            }
            all.iter().position(|p| p.name == name).unwrap_or_else(|| {
                all.push(Profile { name: name.clone(), ..Profile::default() });
                all.len() - 1
            });
            let profile = all.iter_mut().find(|p| p.name == name).expect("profiles: it was just put there");
            profile.address = address.or(profile.address.take());
            profile.key_file = key_file.or(profile.key_file.take());
            write(&path, &all)?;
            println!("set profile {name} in {}", path.display());
        }
        "remove" => {
            let before = all.len();
            all.retain(|p| p.name != name);
            if all.len() == before {
                return Err(Failure::usage(format!("no profile `{}` in {}", visible(&name), path.display())));
            }
            write(&path, &all)?;
            println!("removed profile {name}");
        }
        _ => {
            if all.is_empty() {
                eprintln!(
                    "none in {}: make one with `policyd profiles set NAME --address URL --key-file FILE`",
                    path.display()
                );
            }
            for profile in &all {
                let word = |value: &Option<String>| visible(value.as_deref().unwrap_or("-")).into_owned();
                println!(
                    "{}  {}  {}",
                    visible(&profile.name),
                    word(&profile.address),
                    word(&profile.key_file)
                );
            }
        }
    }
    Ok(0)
}

/// A path that means the same from every folder.
fn whole(path: &str) -> Result<String, Failure> {
    let whole = std::path::absolute(path).map_err(|e| Failure::usage(format!("{path}: {e}")))?;
    let text = whole.into_os_string().into_string();
    text.map_err(|_| Failure::usage("the path of the key file is not UTF-8"))
}

fn write(path: &Path, all: &[Profile]) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::usage(format!("can't write {}: {e}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&beside, text(all)).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let given = "# mine\n[default]\naddress = http://127.0.0.1:7621\nkey-file = /k/a=b\n\n[prod]\naddress=http://[::1]:1\n";
        let read = parse(given).unwrap();
        assert_eq!(read[0].key_file.as_deref(), Some("/k/a=b"));
        assert_eq!((read[1].name.as_str(), &read[1].key_file), ("prod", &None));
        assert_eq!(parse(&text(&read)).unwrap(), read);
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_line() {
        for (given, said) in [
            ("address = x", "line 1: expected `[NAME]`"),
            ("[a]\n[a]", "line 2"),
            ("[a]\nkey = pdusr_x", "line 2: no setting `key`"),
            ("[a]\naddress = x\naddress = y", "line 3: `address` is set twice"),
            ("[a]\nnonsense", "line 2: expected"),
        ] {
            let told = parse(given).unwrap_err();
            assert!(told.contains(said), "{given}: {told}");
        }
    }
}
