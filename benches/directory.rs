//! What a directory costs: loading it, changing one thing in it, looking a name up: `cargo bench --bench directory`.
//!
//! `ACCOUNTS=1000,1000000` says at which sizes (accounts; a tenth as many groups and scopes, five bindings each); without it
//! the run is quick. What it takes in memory: `benches/memory`.

mod people;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use people::People;
use policyc::directory::{At, Bound, Holder};
use policyc::value::{Entity, KindId, RoleId, Value};
use policyc::{Change, Directory, PolicySet};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

fn main() {
    divan::main();
}

fn sizes() -> Vec<usize> {
    let sizes = std::env::var("ACCOUNTS").unwrap_or_else(|_| "1000,30000".to_owned());
    sizes.split(',').map(|n| n.parse().expect("ACCOUNTS is numbers with commas")).collect()
}

static SET: LazyLock<PolicySet> = LazyLock::new(People::set);

/// Each directory is loaded once a run.
fn directory(accounts: usize) -> Arc<Directory> {
    static READY: LazyLock<Mutex<HashMap<usize, Arc<Directory>>>> = LazyLock::new(Mutex::default);
    let mut all = READY.lock().expect("nothing panics while it is held");
    let make = || Arc::new(People::load(&SET, &People::of(accounts).sources()));
    Arc::clone(all.entry(accounts).or_insert_with(make))
}

fn user() -> KindId {
    SET.vocabulary().kind_by_wire("user").expect("the set has users")
}

fn account(n: usize) -> Entity {
    Entity { kind: user(), id: format!("a{n}").into() }
}

/// Applies a change to the same directory again and again, another account each time.
fn change(bencher: Bencher, accounts: usize, change: impl Fn(usize) -> Change) {
    let directory = directory(accounts);
    let mut n = 0;
    bencher
        .with_inputs(|| {
            n = (n + 7_919) % accounts;
            change(n)
        })
        .bench_local_values(|change| directory.apply(SET.vocabulary(), &[change]).expect("the change fits"));
}

/// From the text of a data file.
#[divan::bench(args = sizes(), sample_count = 3)]
fn a_load(bencher: Bencher, accounts: usize) {
    let sources = People::of(accounts).sources();
    bencher.bench_local(|| People::load(&SET, &sources));
}

/// A new account.
#[divan::bench(args = sizes())]
fn b_add_account(bencher: Bencher, accounts: usize) {
    change(bencher, accounts, |n| Change::PutAccount {
        account: account(n + accounts),
        home: Some(People::path(n % (accounts / 10)).into()),
        attributes: vec![Some(Value::Bool(true))],
    });
}

/// Another home and attributes for an account.
#[divan::bench(args = sizes())]
fn c_put_account(bencher: Bencher, accounts: usize) {
    change(bencher, accounts, |n| Change::PutAccount {
        account: account(n),
        home: Some(People::path((n + 1) % (accounts / 10)).into()),
        attributes: vec![Some(Value::Bool(true))],
    });
}

/// An account joins a group.
#[divan::bench(args = sizes())]
fn d_join(bencher: Bencher, accounts: usize) {
    change(bencher, accounts, |n| Change::Join {
        account: account(n),
        group: format!("g{}", n % (accounts / 10)).into(),
        until: 7,
    });
}

/// An account gets a role at a scope.
#[divan::bench(args = sizes())]
fn e_bind(bencher: Bencher, accounts: usize) {
    change(bencher, accounts, |n| {
        Change::Bind(Bound {
            holder: Holder::Account(account(n)),
            role: RoleId(0),
            at: At::Scope(People::path(n % (accounts / 10)).into()),
            boundaries: vec![],
            until: 7,
        })
    });
}

/// An account goes.
#[divan::bench(args = sizes())]
fn f_remove_account(bencher: Bencher, accounts: usize) {
    change(bencher, accounts, |n| Change::RemoveAccount { account: account(n) });
}

/// From kind and id to the record: 4,096 accounts all over the directory a pass.
#[divan::bench(args = sizes())]
fn g_look_up(bencher: Bencher, accounts: usize) {
    let directory = directory(accounts);
    let names: Vec<Entity> = (0..4_096).map(|n| account(n * 7_919 % accounts)).collect();
    bencher.counter(ItemsCount::new(names.len())).bench_local(|| {
        let found = names.iter().filter_map(|name| directory.account(black_box(name)));
        found.filter(|ix| directory.accounts[ix.index()].home.is_some()).count()
    });
}
