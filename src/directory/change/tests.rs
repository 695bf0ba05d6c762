//! The law of changes: what they lead to is what is built at once from the final contents.

use super::super::crowd::Crowd;
use super::super::fixture::*;
use super::super::{Builder, FOREVER};
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Values = Vec<Option<Value>>;
type Ends = BTreeMap<SmolStr, Until>;

/// What a directory holds, as plainly as it can be written down.
#[derive(Clone, Debug, Default)]
struct Contents {
    scopes: BTreeMap<SmolStr, (KindId, Values, Vec<BoundaryId>)>,
    groups: BTreeMap<SmolStr, (Option<SmolStr>, Values, Ends)>,
    accounts: BTreeMap<Entity, Person>,
    resources: BTreeMap<Entity, (Option<SmolStr>, Option<Entity>, Values)>,
    bindings: Vec<Bound>,
    links: Vec<Linked>,
}

#[derive(Clone, Debug, Default)]
struct Person {
    home: Option<SmolStr>,
    values: Values,
    boundaries: Vec<BoundaryId>,
    groups: Ends,
}

fn take<T: PartialEq>(list: &mut Vec<T>, one: &T) -> Option<()> {
    list.remove(list.iter().position(|other| other == one)?);
    Some(())
}

impl Contents {
    /// What a change says, without asking whether it fits; `None` where there is nothing to take back.
    fn change(&mut self, change: &Change) -> Option<()> {
        match change.clone() {
            Change::PutScope { kind, path, attributes } => {
                let scope = self.scopes.entry(path).or_insert((kind, vec![], vec![]));
                if scope.0 != kind {
                    return None;
                }
                scope.1 = attributes;
            }
            Change::RemoveScope { path } => drop(self.scopes.remove(&path)?),
            Change::PutGroup { id, scope, attributes } => {
                let group = self.groups.entry(id).or_default();
                (group.0, group.1) = (scope, attributes);
            }
            Change::RemoveGroup { id } => {
                self.groups.remove(&id)?;
                self.groups.values_mut().for_each(|g| g.2.retain(|group, _| *group != id));
                self.accounts.values_mut().for_each(|a| a.groups.retain(|group, _| *group != id));
                self.bindings.retain(|b| b.holder != Holder::Group(id.clone()));
                self.links.retain(|l| l.target != Target::Group(id.clone()));
            }
            Change::Nest { group, within, until } => {
                self.groups.get_mut(&group)?.2.insert(within, until);
            }
            Change::Unnest { group, within } => {
                self.groups.get_mut(&group)?.2.remove(&within)?;
            }
            Change::PutAccount { account, home, attributes } => {
                let account = self.accounts.entry(account).or_default();
                (account.home, account.values) = (home, attributes);
            }
            Change::RemoveAccount { account } => {
                self.accounts.remove(&account)?;
                self.bindings.retain(|b| b.holder != Holder::Account(account.clone()));
                self.links.retain(|l| l.agent != account && l.target != Target::Account(account.clone()));
            }
            Change::Join { account, group, until } => {
                self.accounts.get_mut(&account)?.groups.insert(group, until);
            }
            Change::Leave { account, group } => {
                self.accounts.get_mut(&account)?.groups.remove(&group)?;
            }
            Change::Bind(bound) => self.bindings.push(bound),
            Change::Unbind(bound) => take(&mut self.bindings, &bound)?,
            Change::Link(linked) => self.links.push(linked),
            Change::Unlink(linked) => take(&mut self.links, &linked)?,
            Change::Attach { boundary, to } => self.attached(&to)?.push(boundary),
            Change::Detach { boundary, from } => take(self.attached(&from)?, &boundary)?,
            Change::PutResource { resource, scope, parent, attributes } => {
                self.resources.insert(resource, (scope, parent, attributes));
            }
            Change::RemoveResource { resource } => drop(self.resources.remove(&resource)?),
        }
        Some(())
    }

    fn attached(&mut self, to: &Entity) -> Option<&mut Vec<BoundaryId>> {
        match to.kind {
            ORG | PROJECT => self.scopes.get_mut(&to.id).map(|s| &mut s.2),
            _ => self.accounts.get_mut(to).map(|a| &mut a.boundaries),
        }
    }

    fn build(&self, v: &Vocabulary) -> Result<Directory, Vec<DataError>> {
        let mut b = Builder::new(v);
        for (path, (kind, values, boundaries)) in &self.scopes {
            b.add_scope(*kind, path, values.clone(), boundaries.clone()).ok();
        }
        for (id, (scope, values, within)) in &self.groups {
            if let Ok(ix) = b.add_group(id, scope.as_deref(), values.clone()) {
                within.iter().for_each(|(g, until)| b.put_group_in(ix, g, *until));
            }
        }
        for (e, a) in &self.accounts {
            let (home, values) = (a.home.as_deref(), a.values.clone());
            if let Ok(ix) = b.add_account(e.kind, &e.id, home, values, a.boundaries.clone()) {
                a.groups.iter().for_each(|(g, until)| drop(b.join(ix, g, *until)));
            }
        }
        for (e, (scope, parent, values)) in &self.resources {
            b.add_resource(e.kind, &e.id, scope.as_deref(), parent.clone(), values.clone()).ok();
        }
        for x in &self.bindings {
            b.bind(&x.holder, x.role, &x.at, x.boundaries.clone(), x.until).ok();
        }
        for x in &self.links {
            b.link(&x.agent, &x.target, x.boundaries.clone(), x.until).ok();
        }
        b.build()
    }
}

/// A directory in names.
struct Seen<'d>(&'d Directory);

impl Seen<'_> {
    fn path(&self, ix: ScopeIx) -> SmolStr {
        self.0.scopes[ix.index()].entity.id.clone()
    }

    fn group(&self, ix: GroupIx) -> SmolStr {
        self.0.groups[ix.index()].id.clone()
    }

    fn accounts(&self, all: &Crowd) -> BTreeSet<Entity> {
        all.iter().map(|ix| self.0.accounts[ix as usize].entity.clone()).collect()
    }

    fn groups(&self, all: &[(GroupIx, Until)]) -> BTreeSet<(SmolStr, Until)> {
        all.iter().map(|(g, until)| (self.group(*g), *until)).collect()
    }

    fn bindings<'b>(&self, all: impl IntoIterator<Item = &'b Binding>) -> Vec<String> {
        let one = |b: &Binding| {
            let place = match b.place() {
                Place::Scope(ix) => format!("scope {}", self.path(ix)),
                other => format!("{other:?}"),
            };
            format!("{:?} at {place} under {:?} until {}", b.role, b.boundaries(), b.until())
        };
        all.into_iter().map(one).collect()
    }

    fn links(&self, account: &Account) -> Vec<String> {
        let one = |l: &Link| {
            let target = match l.target {
                LinkTarget::Account(ix) => format!("{:?}", self.0.accounts[ix.index()].entity),
                LinkTarget::Group(ix) => format!("group {}", self.group(ix)),
            };
            format!("for {target} under {:?} until {}", l.boundaries, l.until)
        };
        account.links().iter().map(one).collect()
    }

    /// All that can be seen, and what the directory keeps for itself; every name is looked up.
    fn all(&self) -> BTreeSet<String> {
        let d = self.0;
        let mut all = BTreeSet::new();
        for s in d.scopes.iter() {
            assert_eq!(d.scope_of(&s.entity), Some(s.ancestors[0]));
            let above: Vec<SmolStr> = s.ancestors.iter().map(|ix| self.path(*ix)).collect();
            all.insert(format!(
                "{:?} {above:?} {:?} {:?} {:?}",
                s.entity, s.attributes, s.boundaries, s.tally
            ));
        }
        for g in d.groups.iter() {
            let ix = d.group(&g.id).expect("its name finds it");
            assert_eq!(self.group(ix), g.id);
            assert!(g.within.is_sorted() && g.above.is_sorted());
            let below: BTreeSet<SmolStr> = g.below.iter().map(|ix| self.group(GroupIx(ix))).collect();
            let lists = (self.groups(&g.within), self.groups(&g.above), below);
            let people = (self.accounts(&g.members), self.accounts(&g.linked_by));
            let counts = (g.scope.map(|ix| self.path(ix)), g.held_on, g.depth);
            let bindings = self.bindings(g.bindings.iter());
            all.insert(format!("{} {:?} {lists:?} {people:?} {counts:?} {bindings:?}", g.id, g.attributes));
            self.membership_agrees(&entity(KindId::GROUP, &g.id), &g.within);
        }
        for a in d.accounts.iter() {
            let ix = d.account(&a.entity).expect("its name finds it");
            assert_eq!(d.accounts[ix.index()].entity, a.entity);
            let closed = d.memberships(a);
            self.membership_agrees(&a.entity, &closed);
            let groups = (self.groups(&a.groups().collect::<Vec<_>>()), self.groups(&closed));
            let rare = a.rare.clone().unwrap_or_default();
            let more = (self.links(a), self.accounts(&rare.linked_by), rare.held_on, a.boundaries());
            let (home, bindings) = (a.home.map(|ix| self.path(ix)), self.bindings(a.bindings.iter()));
            all.insert(format!(
                "{:?} {home:?} {:?} {groups:?} {more:?} {bindings:?}",
                a.entity, a.attributes
            ));
        }
        for r in d.resources.iter() {
            let ix = d.resource(&r.entity).expect("its name finds it");
            assert_eq!(d.resources[ix.index()].entity, r.entity);
            let children = r.children.iter().map(|ix| d.resources[ix as usize].entity.clone());
            let place = (r.scope.map(|ix| self.path(ix)), r.own_scope, &r.parent);
            let children: BTreeSet<Entity> = children.collect();
            all.insert(format!("{:?} {place:?} {:?} {children:?}", r.entity, r.attributes));
        }
        let of_kinds = self.bindings(d.kind_bindings.iter().map(|(_, b)| b));
        for (n, (kind, _)) in d.kind_bindings.iter().enumerate() {
            all.insert(format!("everyone {n} {kind:?} {}", of_kinds[n]));
        }
        all
    }

    fn membership_agrees(&self, thing: &Entity, closed: &[(GroupIx, Until)]) {
        for (at, _) in self.0.groups.numbered() {
            let until = closed.iter().find(|(g, _)| g.0 == at).map(|(_, until)| *until);
            assert_eq!(self.0.membership(thing, GroupIx(at)), until);
        }
    }

    /// Which name stands at which number, of scopes and groups.
    fn nodes(&self) -> BTreeSet<(bool, u32, SmolStr)> {
        let scopes = self.0.scopes.numbered().map(|(at, s)| (true, at, s.entity.id.clone()));
        scopes.chain(self.0.groups.numbered().map(|(at, g)| (false, at, g.id.clone()))).collect()
    }
}

fn seen(directory: &Directory) -> BTreeSet<String> {
    Seen(directory).all()
}

fn path(n: u8) -> SmolStr {
    ["acme", "acme/web", "acme/db", "nord", "nord/app"][n as usize % 5].into()
}

fn group(n: u8) -> SmolStr {
    ["a", "b", "c", "d", "e"][n as usize % 5].into()
}

fn account(n: u8) -> Entity {
    let all = [(USER, "ana"), (USER, "ben"), (AGENT, "ana"), (AGENT, "x"), (BOT, "bot")];
    entity(all[n as usize % 5].0, all[n as usize % 5].1)
}

fn thing(n: u8) -> Entity {
    let all = [(FOLDER, "f"), (FOLDER, "g"), (FOLDER, "h"), (DOCUMENT, "d"), (DOCUMENT, "f")];
    entity(all[n as usize % 5].0, all[n as usize % 5].1)
}

fn values(kind: KindId, n: u8) -> Values {
    match kind {
        USER => vec![(!n.is_multiple_of(3)).then_some(Value::Bool(n.is_multiple_of(2))), None],
        BOT => vec![Some(Value::String(format!("for {}", n % 3).into()))],
        DOCUMENT => vec![None, Some(Value::Int(n.into()))],
        PROJECT => vec![(!n.is_multiple_of(2)).then_some(Value::Variant(crate::value::EnumId(0), 0))],
        _ => vec![],
    }
}

/// A change in which anything may be said of anything, more often than not something that fits.
fn said([what, a, b, c, d]: [u8; 5]) -> Change {
    let until = [FOREVER, 10, 20][d as usize % 3];
    let boundaries = vec![BoundaryId(0); usize::from(d % 4 == 0)];
    let bound = || {
        let holder = match b % 3 {
            0 => Holder::Account(account(a)),
            1 => Holder::Group(group(a)),
            _ => Holder::Everyone(account(a).kind),
        };
        let at = match c % 6 {
            0 => At::Resource(thing(d)),
            1 => At::Resource(account(d)),
            2 => At::Resource(entity(KindId::GROUP, &group(d))),
            _ => At::Scope(path(c / 6)),
        };
        Bound { holder, role: RoleId(0), at, boundaries: boundaries.clone(), until }
    };
    let linked = || {
        let target = if c % 2 == 0 { Target::Account(account(b)) } else { Target::Group(group(b)) };
        Linked { agent: account(2 + a % 2), target, boundaries: boundaries.clone(), until }
    };
    let scope_kind = |path: &str| if path.contains('/') { PROJECT } else { ORG };
    let bounded = || if a % 2 == 0 { account(b) } else { entity(scope_kind(&path(b)), &path(b)) };
    match what % 24 {
        0 | 1 => {
            let path = path(a);
            let kind = if d % 16 == 0 { ORG } else { scope_kind(&path) };
            Change::PutScope { kind, attributes: values(kind, b), path }
        }
        2 => Change::RemoveScope { path: path(a) },
        3 | 4 => {
            let scope = (b % 2 == 0).then(|| path(c));
            Change::PutGroup { id: group(a), scope, attributes: vec![] }
        }
        5 => Change::RemoveGroup { id: group(a) },
        6 | 7 => Change::Nest { group: group(a), within: group(b), until },
        8 => Change::Unnest { group: group(a), within: group(b) },
        9 | 10 => {
            let account = account(a);
            let attributes = values(account.kind, b);
            Change::PutAccount { account, home: (c % 3 > 0).then(|| path(c)), attributes }
        }
        11 => Change::RemoveAccount { account: account(a) },
        12 | 13 => Change::Join { account: account(a), group: group(b), until },
        14 => Change::Leave { account: account(a), group: group(b) },
        15 | 16 => Change::Bind(bound()),
        17 => Change::Unbind(bound()),
        18 => Change::Link(linked()),
        19 => Change::Unlink(linked()),
        20 => Change::Attach { boundary: BoundaryId(0), to: bounded() },
        21 => Change::Detach { boundary: BoundaryId(0), from: bounded() },
        22 => {
            let resource = thing(a);
            let attributes = values(resource.kind, b);
            let scope = (d % 3 == 0).then(|| path(d / 3));
            Change::PutResource { resource, scope, parent: (c % 4 > 0).then(|| thing(c / 4)), attributes }
        }
        _ => Change::RemoveResource { resource: thing(a) },
    }
}

/// One of each, so that what follows finds something to change.
fn begin() -> Vec<Change> {
    let scopes = (0..5).map(|n| said([0, n, n, 0, 1]));
    let groups = (0..5).map(|n| said([3, n, n, n, 0]));
    let accounts = (0..5).map(|n| said([9, n, n, n, 0]));
    scopes.chain(groups).chain(accounts).chain([said([22, 0, 0, 0, 3])]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn changes_lead_to_what_is_built_at_once(steps in prop::collection::vec(any::<[u8; 5]>(), 0..150)) {
        let v = vocabulary();
        let mut directory = Directory::default().apply(&v, &begin()).unwrap().0;
        let mut contents = Contents::default();
        begin().iter().for_each(|change| contents.change(change).unwrap());
        let mut kept = Vec::new();
        for (n, step) in steps.into_iter().enumerate() {
            let change = said(step);
            let mut next = contents.clone();
            let built = next.change(&change).and_then(|()| next.build(&v).ok());
            match (directory.apply(&v, std::slice::from_ref(&change)), built) {
                (Ok((changed, touched)), Some(built)) => {
                    prop_assert_eq!(seen(&changed), seen(&built), "{:?}", change);
                    let (before, after) = (Seen(&directory).nodes(), Seen(&changed).nodes());
                    let moved: BTreeSet<_> = before.symmetric_difference(&after).map(|x| (x.0, x.1)).collect();
                    let told = touched.scopes.iter().map(|ix| (true, ix.0));
                    let told = told.chain(touched.groups.iter().map(|ix| (false, ix.0)));
                    prop_assert_eq!(moved, told.collect::<BTreeSet<_>>());
                    (directory, contents) = (changed, next);
                }
                (Err(_), None) => {}
                (applied, built) => {
                    let (applied, built) = (applied.map(|_| ()), built.map(|_| ()));
                    prop_assert!(false, "{:?}: applied {:?}, built {:?}", change, applied, built);
                }
            }
            if n % 10 == 0 {
                kept.push((directory.clone(), seen(&directory)));
            }
        }
        for (old, before) in kept {
            prop_assert_eq!(seen(&old), before, "an old snapshot is never altered");
        }
    }
}

fn refused(d: &Directory, v: &Vocabulary, change: Change) -> String {
    let error = d.apply(v, &[change]).map(|_| ()).unwrap_err();
    assert_eq!(error.item, Item::Change(0));
    let help = error.help.map(|help| format!(" / {help}")).unwrap_or_default();
    format!("{:?} {}: {}{help}", error.kind, error.field, error.message)
}

#[test]
fn what_stands_in_the_way_is_told() {
    let v = vocabulary();
    let d = directory(&v);
    let ana = entity(USER, "ana");
    let on_ana = Bound {
        holder: Holder::Group("ops".into()),
        role: RoleId(0),
        at: At::Resource(ana.clone()),
        boundaries: vec![],
        until: FOREVER,
    };
    let (held, _) = d.apply(&v, &[Change::Bind(on_ana.clone())]).unwrap();
    let found = [
        refused(&d, &v, Change::RemoveScope { path: "acme".into() }),
        refused(&d, &v, Change::RemoveScope { path: "acme/web".into() }),
        refused(&d, &v, Change::RemoveScope { path: "acme/wob".into() }),
        refused(&d, &v, Change::PutScope { kind: PROJECT, path: "nord/x".into(), attributes: vec![] }),
        refused(&d, &v, Change::Nest { group: "staff".into(), within: "ops".into(), until: 3 }),
        refused(&d, &v, Change::Unnest { group: "staff".into(), within: "ops".into() }),
        refused(&d, &v, Change::Leave { account: ana.clone(), group: "staff".into() }),
        refused(&d, &v, Change::RemoveResource { resource: entity(FOLDER, "f") }),
        refused(&d, &v, Change::Unbind(on_ana)),
        refused(&d, &v, Change::Detach { boundary: BoundaryId(0), from: ana.clone() }),
        refused(&held, &v, Change::RemoveAccount { account: ana }),
    ];
    let expected = "\
Contradiction : scope `acme` cannot be removed, it is still used (scopes below it: 2, accounts at home there: 2, bindings there: 1) / remove or move these first
Contradiction : scope `acme/web` cannot be removed, it is still used (accounts at home there: 1, groups placed there: 1, resources placed there: 3, bindings there: 1) / remove or move these first
Unknown id: no scope `acme/wob` / did you mean `acme/web`?
Unknown id: no scope `nord` for `nord/x` to sit in
Cycle in: group `staff` would be in itself
Unknown in: group `staff` is not directly in group `ops`
Unknown group: user `ana` is not directly in group `staff`
Contradiction : folder `f` cannot be removed, it is still used (resources that sit in it: 1) / remove or move these first
Unknown : no binding says exactly this
Unknown boundary: boundary `cap` is not attached to user `ana`
Contradiction : user `ana` cannot be removed, it is still used (bindings held on it: 1) / take these back first";
    assert_eq!(found.join("\n"), expected);
}

#[test]
fn all_changes_or_none() {
    let v = vocabulary();
    let d = directory(&v);
    let before = seen(&d);
    let put = |id: &str| Change::PutGroup { id: id.into(), scope: None, attributes: vec![] };
    let gone = Change::RemoveGroup { id: "nobody".into() };
    let error = d.apply(&v, &[put("new"), put("newer"), gone]).map(|_| ()).unwrap_err();
    assert_eq!((error.item, d.group("new")), (Item::Change(2), None));
    assert_eq!(seen(&d), before);
}

#[test]
fn groups_stand_no_deeper_than_they_may() {
    let v = vocabulary();
    let id = |n: usize| SmolStr::from(format!("g{n}"));
    let put = (0..80).map(|n| Change::PutGroup { id: id(n), scope: None, attributes: vec![] });
    let nest = |n: usize| Change::Nest { group: id(n), within: id(n + 1), until: FOREVER };
    let two = (0..39).chain(40..79).map(nest);
    let (d, _) = Directory::default().apply(&v, &put.chain(two).collect::<Vec<_>>()).unwrap();
    let above = |d: &Directory| d.groups[d.group("g0").unwrap().index()].within.len();
    assert_eq!(above(&d), 40);
    let said = refused(&d, &v, nest(39));
    assert_eq!(said, "Contradiction in: group `g15` stands deeper than 64 levels");
    let (shorter, _) = d.apply(&v, &[Change::Unnest { group: id(62), within: id(63) }, nest(39)]).unwrap();
    assert_eq!(above(&shorter), 63);
}
