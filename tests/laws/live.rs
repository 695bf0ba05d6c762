//! Set and directory are replaced and changed while others decide: every decision is that of the snapshot it was made on.

use crate::run::cases;
use crate::world::{Engine, Wish, World, now};
use policyc::check::program::Sort;
use policyc::decision::Decision;
use policyc::directory::Change;
use policyc::source::Sources;
use policyc::value::{Entity, KindId, Value};
use policyc::{Directory, Live, PolicySet, meaning};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const REQUESTS: usize = 90;
const WORLDS: u64 = 24;

/// A world that is put to use again and again, and what each of its requests is answered by the plain reading.
struct Used {
    set: Arc<PolicySet>,
    directory: Directory,
    requests: Vec<(String, Option<Decision>)>,
    /// A kind of accounts without required attributes, for one that comes and goes.
    passing: Option<KindId>,
}

impl Used {
    fn new(seed: u64) -> Option<Used> {
        let world = World::random(seed, Wish { requests: REQUESTS, wires: false });
        let engine: Engine = world.engine().expect("generated worlds check");
        let answer = |text: &str| {
            let question = engine.ask(text).ok()?;
            Some(meaning::decide(&engine.program, &engine.directory, &question))
        };
        let requests: Vec<_> = world.requests.iter().map(|r| r.to_string()).collect();
        let requests = requests.into_iter().map(|text| (answer(&text), text)).map(|(a, t)| (t, a)).collect();
        let mut sources = Sources::default();
        sources.add("world.pol", world.source());
        let set = Arc::new(PolicySet::compile(sources, 0).set?);
        let mut data = Sources::default();
        let id = data.add("data.json", world.data.to_string());
        let directory = set.load_directory(&data, id).0.expect("generated data loads");
        let kinds = &set.vocabulary().kinds;
        let passing = kinds.iter().position(|kind| {
            kind.sort == Sort::Account && !kind.supplied && kind.attributes.iter().all(|a| a.optional)
        });
        Some(Used { directory, requests, passing: passing.map(|at| KindId(at as u16)), set })
    }

    /// An account that no request names.
    fn passing(&self) -> Option<Entity> {
        self.passing.map(|kind| Entity { kind, id: "passing by".into() })
    }
}

/// Replaces and changes until the readers have enough.
fn write(live: &Live, worlds: &[Used], done: &AtomicBool, at: &AtomicUsize) {
    let mut turn = 0usize;
    while !done.load(Ordering::Relaxed) {
        let next = turn * 7 % worlds.len();
        let revision = live.replace(Arc::clone(&worlds[next].set), worlds[next].directory.clone());
        at.store(revision as usize, Ordering::Release);
        for _ in 0..8 {
            let Some(account) = worlds[next].passing() else { continue };
            let put = Change::PutAccount { account: account.clone(), home: None, attributes: vec![] };
            live.apply(&[put]).expect("it may come");
            live.apply(&[Change::RemoveAccount { account }]).expect("it may go");
            live.replace_set(Arc::clone(&worlds[next].set)).expect("its own vocabulary");
        }
        turn += 1;
    }
}

#[test]
fn decisions_are_those_of_their_snapshot() {
    let worlds: Vec<Used> = (1..=WORLDS).filter_map(Used::new).collect();
    assert!(worlds.len() > WORLDS as usize / 2);
    let live = Live::new(Arc::clone(&worlds[0].set), worlds[0].directory.clone());
    let wanted = cases() / 2;
    let (asked, met, at) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let done = AtomicBool::new(false);
    let read = || {
        let mut last = None;
        while asked.load(Ordering::Relaxed) < wanted {
            let before = at.load(Ordering::Acquire);
            let snapshot = live.snapshot();
            assert!(snapshot.revision() >= before as u64, "a replacement that returned is not seen");
            let world = worlds.iter().find(|w| Arc::ptr_eq(&w.set, snapshot.set())).expect("one of them");
            for (text, expected) in &world.requests {
                let got = snapshot.request(text, now()).ok().map(|question| snapshot.decide(&question));
                assert_eq!(got, *expected, "{text}");
            }
            asked.fetch_add(world.requests.len(), Ordering::Relaxed);
            if last.replace(snapshot.revision()) != Some(snapshot.revision()) {
                met.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&live, &worlds, &done, &at));
        let readers = [scope.spawn(read), scope.spawn(read)];
        let ended: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        done.store(true, Ordering::Relaxed);
        writer.join().expect("the writer only does what is allowed");
        assert!(ended.iter().all(Result::is_ok), "a reader met a wrong decision");
    });
    let (asked, met) = (asked.into_inner(), met.into_inner());
    println!("{asked} decisions on {met} snapshots out of {} revisions", live.snapshot().revision());
    assert!(met > 100, "only {met} snapshots were met");
}

/// A right that is taken away: whoever asks after the change has returned is denied.
#[test]
fn what_is_revoked_is_denied_at_once() {
    let mut sources = Sources::default();
    sources.add(
        "a.pol",
        "scope place\naccount user\nresource thing\naction read on thing\nrole reader { allow read on thing }\n",
    );
    let compiled = PolicySet::compile(sources, 0);
    let set = compiled.set.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let mut data = Sources::default();
    let id = data.add(
        "d.json",
        r#"{"scopes":[{"kind":"place","id":"here"}],"groups":[{"id":"readers"}],
            "accounts":[{"kind":"user","id":"ana","scope":"here"}],
            "bindings":[{"group":"readers","role":"reader","scope":"here"}]}"#,
    );
    let (directory, found) = set.load_directory(&data, id);
    let live = Live::new(set, directory.unwrap_or_else(|| panic!("{found:?}")));
    let kind = |live: &Live| live.snapshot().set().vocabulary().kind_by_wire("user").expect("declared");
    let ana = Entity { kind: kind(&live), id: "ana".into() };
    let join = Change::Join { account: ana.clone(), group: "readers".into(), until: i64::MAX };
    let leave = Change::Leave { account: ana, group: "readers".into() };
    let text = r#"{"account":{"kind":"user","id":"ana"},"scope":"here","action":{"name":"read"},
                   "resource":{"kind":"thing","id":"x"}}"#;
    // Odd while it changes; then 2 when she may, 0 when she may not, of 4.
    let (phase, done, told) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicUsize::new(0));
    let read = || {
        while !done.load(Ordering::Acquire) {
            let before = phase.load(Ordering::SeqCst);
            let allowed = live.read(|now| {
                let question = now.request(text, 0).expect("it fits");
                now.decide(&question).is_allow()
            });
            if phase.load(Ordering::SeqCst) == before && before % 2 == 0 {
                assert_eq!(allowed, before % 4 == 2, "after phase {before}");
                told.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(read);
        scope.spawn(read);
        let started = std::time::Instant::now();
        while told.load(Ordering::Relaxed) < 20_000 && started.elapsed().as_secs() < 60 {
            for change in [&join, &leave] {
                phase.fetch_add(1, Ordering::SeqCst);
                live.apply(std::slice::from_ref(change)).expect("she comes and goes");
                phase.fetch_add(1, Ordering::SeqCst);
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Release);
    });
    assert!(told.into_inner() >= 20_000);
}

/// The new set must declare what the directory was read with.
#[test]
fn a_set_over_another_vocabulary_is_refused() {
    let worlds: Vec<Used> = (1..=4).filter_map(Used::new).collect();
    let live = Live::new(Arc::clone(&worlds[0].set), worlds[0].directory.clone());
    let refused = live.replace_set(Arc::clone(&worlds[1].set)).expect_err("another vocabulary");
    assert!(refused.to_string().contains("another vocabulary"));
    assert_eq!(live.snapshot().revision(), 0);
    let unused = Value::Bool(true);
    let account = Entity { kind: KindId(u16::MAX), id: "nobody".into() };
    let wrong = Change::PutAccount { account, home: None, attributes: vec![Some(unused)] };
    assert!(live.apply(&[wrong]).is_err());
    assert_eq!(live.snapshot().revision(), 0, "nothing has happened");
}

/// Groups and scopes come and go, and their numbers are given again: rules that name them meet those that bear the name.
#[test]
fn rules_meet_the_groups_and_scopes_of_now() {
    let groups: Vec<String> = (0..6).map(|n| format!("g{n}")).collect();
    let places: Vec<String> = (0..6).map(|n| format!("here/p{n}")).collect();
    let mut text = String::from(
        "scope place\nscope part in place\naccount user\nresource thing\naction read on thing\npolicy p {\n",
    );
    for (n, group) in groups.iter().enumerate() {
        let (effect, place) = (if n % 3 == 0 { "deny" } else { "allow" }, &places[(n * 5) % 6]);
        text.push_str(&format!("  {effect} group \"{group}\" to read on thing at part \"{place}\"\n"));
    }
    text.push_str("  allow group \"g1\" to read on thing\n}\n");
    let mut sources = Sources::default();
    sources.add("a.pol", text);
    let compiled = PolicySet::compile(sources, 0);
    let set = compiled.set.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let kind = |name: &str| set.vocabulary().kind_by_wire(name).expect("declared");
    let (user, part) = (kind("user"), kind("part"));
    let mut data = Sources::default();
    let id = data.add(
        "d.json",
        r#"{"scopes":[{"kind":"place","id":"here"}],"accounts":[{"kind":"user","id":"ana","scope":"here"}]}"#,
    );
    let live = Live::new(set_of(&set), set.load_directory(&data, id).0.expect("it loads"));
    let account = Entity { kind: user, id: "ana".into() };
    let (mut seed, mut met) = (1u64, [0usize; 2]);
    let mut random = |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % n
    };
    for _ in 0..3_000 {
        let (group, path) = (groups[random(6)].as_str().into(), places[random(6)].as_str().into());
        let change = match random(6) {
            0 => Change::PutGroup { id: group, scope: None, attributes: vec![] },
            1 => Change::RemoveGroup { id: group },
            2 | 3 => Change::Join { account: account.clone(), group, until: i64::MAX },
            4 => Change::PutScope { kind: part, path, attributes: vec![] },
            _ => Change::RemoveScope { path },
        };
        // What is not there can't be removed: then nothing changes.
        let _ = live.apply(&[change]);
        let snapshot = live.snapshot();
        for place in &places {
            let text = format!(
                r#"{{"account":{{"kind":"user","id":"ana"}},"scope":"{place}","action":{{"name":"read"}},"resource":{{"kind":"thing","id":"x"}}}}"#
            );
            let Ok(question) = snapshot.request(&text, 0) else { continue };
            let decision = snapshot.decide(&question);
            assert_eq!(decision, snapshot.set().decide(snapshot.directory(), &question), "{text}");
            met[usize::from(decision.is_allow())] += 1;
        }
    }
    assert!(met.iter().all(|n| *n > 300), "denied and allowed: {met:?}");
}

/// The same set, compiled again.
fn set_of(set: &PolicySet) -> PolicySet {
    PolicySet::compile((**set.sources()).clone(), 0).set.expect("it compiled before")
}
