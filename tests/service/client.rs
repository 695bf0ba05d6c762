//! The client as a person has it: profiles, no secret in an argument, messages that say what to do.

use crate::world::World;
use std::process::Command;

/// A client with nothing in its environment but where its profiles are.
fn run(world: &World, environment: &[(&str, &str)], args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_policyd"))
        .args(args)
        .current_dir(&world.folder)
        .env_clear()
        .env("XDG_CONFIG_HOME", world.folder.join("config"))
        .envs(environment.iter().copied())
        .output()
        .expect("policyd runs");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

#[test]
fn a_profile_has_address_and_key_file() {
    let world = World::furnished();
    let address = format!("http://{}", world.address);
    let (code, said) = run(&world, &[], &["users", "list"]);
    assert!(code == 2 && said.contains("policyd profiles set"), "{said}");
    let make = ["profiles", "set", "mine", "--address", &address, "--key-file", "store/admin.key"];
    let (code, said) = run(&world, &[], &make);
    assert!(code == 0 && said.contains("config/policyd/config"), "{said}");
    let (code, said) = run(&world, &[], &["users", "list", "--profile", "mine"]);
    assert!(code == 0 && said.contains("ana"), "{said}");
    let (code, said) = run(&world, &[("POLICYD_PROFILE", "mine")], &["users", "get", "ana"]);
    assert!(code == 0 && said.contains("id: ana"), "{said}");
    // It has no secret in it, and stays when another joins.
    let held = std::fs::read_to_string(world.folder.join("config/policyd/config")).expect("a file");
    assert!(!held.contains("pdusr_") && held.contains("store/admin.key"), "{held}");
    run(&world, &[], &["profiles", "set", "default", "--address", "http://127.0.0.1:9"]);
    let (_, said) = run(&world, &[], &["profiles", "list"]);
    assert!(said.contains("mine") && said.contains("default"), "{said}");
    let (code, said) = run(&world, &[], &["users", "list", "--profile", "mien"]);
    assert!(code == 2 && said.contains("did you mean `mine`"), "{said}");
    // A profile that was asked for counts before the environment; the default one after it.
    let elsewhere = [("POLICYD_ADDRESS", "http://127.0.0.1:9")];
    assert_eq!(run(&world, &elsewhere, &["users", "list", "--profile", "mine"]).0, 0);
    let key = [("POLICYD_ADDRESS", address.as_str()), ("POLICYD_KEY", world.admin.as_str())];
    assert_eq!(run(&world, &key, &["users", "list"]).0, 0);
    assert_eq!(run(&world, &[], &["profiles", "remove", "mine"]).0, 0);
    assert_eq!(run(&world, &[], &["users", "list", "--profile", "mine"]).0, 2);
}

#[test]
fn a_key_of_a_profile_goes_to_its_own_address_alone() {
    let world = World::furnished();
    run(
        &world,
        &[],
        &["profiles", "set", "default", "--address", "http://127.0.0.1:9", "--key-file", "store/admin.key"],
    );
    let address = format!("http://{}", world.address);
    let (code, said) = run(&world, &[], &["users", "list", "--address", &address]);
    assert!(code == 2 && said.contains("no key"), "{said}");
    let both = ["users", "list", "--address", &address, "--key-file", "store/admin.key"];
    assert_eq!(run(&world, &[], &both).0, 0);
}

#[test]
fn a_key_is_never_an_argument() {
    let world = World::bare();
    for args in
        [&["users", "list", "--key", &world.admin][..], &["users", "list", "--key-file", &world.admin]]
    {
        let (code, said) = run(&world, &[], args);
        assert_eq!(code, 2, "{said}");
        let hidden = world.admin.rsplit('_').next().expect("parts");
        assert!(!said.contains(hidden), "it isn't repeated: {said}");
    }
}

#[test]
fn who_runs_the_installation_makes_organizations_and_sets_quotas() {
    let world = World::bare();
    let address = format!("http://{}", world.address);
    let environment = [("POLICYD_ADDRESS", address.as_str()), ("POLICYD_KEY_FILE", "store/installation.key")];
    let (code, said) = run(
        &world,
        &environment,
        &["organizations", "create", "rival", "--owner", "eve", "--out", "eve.key"],
    );
    assert!(code == 0 && said.contains("created organization rival"), "{said}");
    assert!(said.contains("written to eve.key") && !said.contains("pdusr_"), "{said}");
    let (code, said) = run(&world, &environment, &["organizations", "quotas", "rival", "--users", "7"]);
    assert!(code == 0 && said.contains("users: 7"), "{said}");
    let own = [("POLICYD_ADDRESS", address.as_str()), ("POLICYD_KEY_FILE", "eve.key")];
    let (code, said) = run(&world, &own, &["quotas"]);
    let line = said.lines().find(|l| l.starts_with("users ")).unwrap_or_default().to_owned();
    assert!(code == 0 && line.split_whitespace().take(3).eq(["users", "1", "7"]), "{said}");
    let (code, said) = run(&world, &environment, &["organizations", "quotas", "rival", "--users", "default"]);
    assert!(code == 0 && said.contains("users: 2000000"), "{said}");
}

#[test]
fn every_command_has_help_that_says_what_it_does() {
    let world = World::bare();
    let (_, top) = run(&world, &[], &["--help"]);
    for word in ["POLICYD_PROFILE", "Exit codes", "profiles", "quotas"] {
        assert!(top.contains(word), "{word} in {top}");
    }
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = 0;
    while let Some(path) = waiting.pop() {
        let mut args: Vec<&str> = path.iter().map(String::as_str).collect();
        args.push("--help");
        let (code, said) = run(&world, &[], &args);
        assert_eq!(code, 0, "{path:?}: {said}");
        let first = said.lines().next().unwrap_or_default();
        assert!(first.len() > 3 && !first.starts_with("Usage"), "{path:?} says what it does: {said}");
        // Whatever is in its list of commands has help of its own.
        let listed = said.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
        for name in listed.filter(|l| l.starts_with("  ") && !l.starts_with("   ")) {
            let name = name.split_whitespace().next().expect("a name");
            if name != "help" {
                let below = path.iter().cloned().chain([name.to_owned()]).collect();
                waiting.push(below);
            }
        }
        seen += 1;
    }
    assert!(seen > 60, "{seen} commands");
}
