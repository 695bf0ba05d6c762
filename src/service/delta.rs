//! The next state of an organization from the one before and what a change touched.
//!
//! In:    a state in which everything stored is what it says; the touched objects before and after; the store, in which
//!        the change is made already.
//! Out:   the next state, at a cost that follows what was touched; or none, where only making it anew can tell.
//! Law:   it equals what is built anew from the store at the same moment (`memory_tests.rs`; in tests the writer compares
//!        after each change). Whatever isn't plain, another active set, something left behind by what was deleted, a
//!        refusal of the engine, is made anew.

use super::facts::{ATTRIBUTES, FOREVER, Fact, Known, Reader, Row, Written};
use super::known::{Accounts, Uid};
use super::memory::{OrgState, Side};
use super::object::{Kind, Object};
use super::store::{Read, StoreError, Stored};
use crate::{Change, DataError, Directory, Editor, Entity, Touched};
use smol_str::SmolStr;
use std::collections::HashSet;

/// An object that a change touched.
#[derive(Clone, Debug)]
pub struct Touch {
    /// As it was; none if it is new.
    pub before: Option<Object>,
    /// As it is.
    pub after: Object,
}

fn alive(object: &Object) -> bool {
    object.deleted.is_none()
}

/// The next state; none if it has to be made anew.
pub fn next(
    before: &OrgState,
    read: &mut dyn Read,
    touched: &[Touch],
    revision: i64,
    now: i64,
) -> Stored<Option<OrgState>> {
    if !before.whole {
        return Ok(None);
    }
    let mut all: Vec<Touch> = touched.iter().filter(|t| t.after.kind.is_directory()).cloned().collect();
    if all.iter().any(is_other_set) {
        return Ok(None);
    }
    let Some(more) = left_behind(read, &before.uid, &all)? else { return Ok(None) };
    all.extend(more);
    let Some(steps) = Steps::of(&all) else { return Ok(None) };
    let mut accounts = before.accounts.clone();
    let Some(guard) = steps.make(before, true, read, now, None)? else { return Ok(None) };
    let Some(own) = steps.make(before, false, read, now, Some(&mut accounts))? else { return Ok(None) };
    let mut until = before.until;
    for (row, uid) in steps.now.iter().filter_map(|s| Some((s.row().ok()?, s.account()?))) {
        if !row.is_off(now) && row.ends() < FOREVER {
            before.ends.note(row.ends(), uid);
            until = until.min(row.ends());
        }
    }
    let mut next = before.clone();
    (next.revision, next.guard, next.own, next.accounts, next.until) =
        (revision, guard, own, accounts, until);
    Ok(Some(next))
}

/// The state once the accounts that have ended by `now` are switched off; none if it has to be made anew.
pub fn expire(before: &OrgState, now: i64) -> Option<OrgState> {
    let (due, next) = before.ends.between(before.swept, now);
    let mut accounts = before.accounts.clone();
    let mut ended = Vec::new();
    for (at, uid) in due {
        let Some(ix) = accounts.number(uid) else { continue };
        let standing = accounts.get_mut(ix)?;
        if standing.ends == at && !standing.off {
            standing.off = true;
            ended.push((uid.kind(), before.own.directory.accounts[ix.index()].entity.id.clone()));
        }
    }
    let side = |side: &Side, ours: bool| -> Option<Side> {
        let reader = Reader::new(side.set.vocabulary(), ours);
        let mut editor = Editor::new(side.set.vocabulary(), side.directory.clone());
        for (kind, name) in &ended {
            let to = reader.entity(*kind, name)?;
            editor.change(&Change::Attach { boundary: reader.off(), to }).ok()?;
        }
        Some(side.with(editor))
    };
    let (guard, own) = (side(&before.guard, true)?, side(&before.own, false)?);
    let until = next.unwrap_or(FOREVER);
    let mut next = before.clone();
    (next.guard, next.own, next.accounts, next.until, next.swept) = (guard, own, accounts, until, now);
    Some(next)
}

/// Whether the root of the tree is made, deleted, or has another set in force.
fn is_other_set(touch: &Touch) -> bool {
    let set = |object: &Object| object.refers("active").map(str::to_owned);
    let same =
        touch.before.as_ref().is_some_and(|b| alive(b) && alive(&touch.after) && set(b) == set(&touch.after));
    touch.after.kind == Kind::Organization && !same
}

/// Whether what is behind a label is told by its name, or by its uid when it is gone, and need not be there.
fn is_told(label: &str) -> bool {
    label == "owner" || label.starts_with(ATTRIBUTES)
}

/// What lives on and names something that was deleted or came back: where that is only told, it is touched too. None if it isn't.
fn left_behind(read: &mut dyn Read, org: &str, touched: &[Touch]) -> Stored<Option<Vec<Touch>>> {
    let own: HashSet<&str> = touched.iter().map(|t| t.after.uid.as_str()).collect();
    let mut more: Vec<Touch> = Vec::new();
    let named =
        |kind: Kind| kind.is_scope() || kind.is_account() || matches!(kind, Kind::Group | Kind::Resource);
    for touch in touched.iter().filter(|t| named(t.after.kind)) {
        let Some(before) = touch.before.as_ref().filter(|b| alive(b) != alive(&touch.after)) else {
            continue;
        };
        for other in read.referring(org, &before.uid)? {
            if !other.kind.is_directory() || own.contains(other.uid.as_str()) {
                continue;
            }
            if other.refs.iter().any(|(label, uid)| *uid == before.uid && !is_told(label)) {
                return Ok(None);
            }
            if !more.iter().any(|m| m.after.uid == other.uid) {
                more.push(Touch { before: Some(other.clone()), after: other });
            }
        }
    }
    Ok(Some(more))
}

/// An object at one side of the change.
struct Step {
    uid: String,
    written: Written,
    /// Whether it is alive on both sides.
    stays: bool,
}

impl Step {
    fn row(&self) -> Result<Row<'_>, String> {
        self.written.row()
    }

    fn account(&self) -> Option<Uid> {
        Uid::of(&self.uid).filter(|uid| uid.kind().is_account())
    }
}

/// What was and what is, each in the order in which it can be taken out or put in.
struct Steps {
    was: Vec<Step>,
    now: Vec<Step>,
}

/// What is named comes before what names it.
fn rank(object: &Object) -> (u8, usize) {
    match object.kind {
        Kind::Organization | Kind::Project | Kind::Environment => (0, object.name.matches('/').count()),
        Kind::Group => (1, 0),
        Kind::User => (2, 0),
        Kind::ServiceAccount | Kind::Agent => (3, 0),
        Kind::Attachment => (4, 0),
        Kind::Membership => (5, 0),
        Kind::Resource => (6, 0),
        Kind::Binding => (7, 0),
        Kind::Link => (8, 0),
        Kind::Credential | Kind::PolicySet => (9, 0),
    }
}

impl Steps {
    /// None if something has no uid of ours.
    fn of(touched: &[Touch]) -> Option<Steps> {
        let step = |object: &Object, stays: bool| {
            (rank(object), Step { uid: object.uid.clone(), written: Written::of(object), stays })
        };
        let (mut was, mut now) = (Vec::new(), Vec::new());
        for touch in touched {
            let before = touch.before.as_ref().filter(|b| alive(b));
            let stays = before.is_some() && alive(&touch.after);
            was.extend(before.map(|b| step(b, stays)));
            now.extend(alive(&touch.after).then(|| step(&touch.after, stays)));
        }
        was.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        now.sort_by_key(|(rank, _)| *rank);
        let (was, now): (Vec<Step>, Vec<Step>) =
            (was.into_iter().map(|(_, s)| s).collect(), now.into_iter().map(|(_, s)| s).collect());
        was.iter().chain(&now).all(|s| Uid::of(&s.uid).is_some()).then_some(Steps { was, now })
    }

    /// One side as it becomes; none if that isn't plain. `accounts` go with the own side.
    fn make(
        &self,
        state: &OrgState,
        ours: bool,
        read: &mut dyn Read,
        now: i64,
        accounts: Option<&mut Accounts>,
    ) -> Stored<Option<Side>> {
        let side = if ours { &state.guard } else { &state.own };
        let vocabulary = side.set.vocabulary();
        let mut edit = Edit {
            reader: Reader::new(vocabulary, ours),
            editor: Editor::new(vocabulary, side.directory.clone()),
            before: &side.directory,
            standing: &state.accounts,
            stored: Behind { read, org: &state.uid, deleted: false, failed: None },
            accounts,
            now,
        };
        let made = edit.all(self);
        let Edit { editor, stored, .. } = edit;
        match (stored.failed, made) {
            (Some(error), _) => Err(error),
            (None, Some(())) => Ok(Some(side.with(editor))),
            (None, None) => Ok(None),
        }
    }
}

impl Side {
    /// The same set over what an editor has made of its directory.
    fn with(&self, editor: Editor<'_>) -> Side {
        let (directory, touched) = editor.finish();
        let link = match touched == Touched::default() {
            true => self.link.clone(),
            false => self.set.relink(&self.link, &directory, &touched),
        };
        Side { set: self.set.clone(), directory, link }
    }
}

/// Who stands behind uids, as the store has it.
struct Behind<'a> {
    read: &'a mut dyn Read,
    org: &'a str,
    /// Of what is deleted, too: to name it as it was named.
    deleted: bool,
    failed: Option<StoreError>,
}

impl Known for Behind<'_> {
    fn there(&mut self, uid: &str) -> Option<(Kind, SmolStr)> {
        self.living(uid)
    }

    fn living(&mut self, uid: &str) -> Option<(Kind, SmolStr)> {
        match self.read.object(self.org, uid) {
            Ok(found) => found.filter(|o| self.deleted || alive(o)).map(|o| (o.kind, o.name.as_str().into())),
            Err(error) => {
                self.failed.get_or_insert(error);
                None
            }
        }
    }
}

/// A fact of a step: absent by rule, there, or not plain.
type Plain = Option<Option<Change>>;

struct Edit<'a> {
    reader: Reader<'a>,
    editor: Editor<'a>,
    before: &'a Directory,
    /// The accounts as they were.
    standing: &'a Accounts,
    stored: Behind<'a>,
    /// The accounts that go with this side.
    accounts: Option<&'a mut Accounts>,
    now: i64,
}

impl Edit<'_> {
    fn all(&mut self, steps: &Steps) -> Option<()> {
        // A binding that is the same before and after is left alone.
        let mut kept = HashSet::new();
        for step in steps.was.iter().filter(|s| s.stays && !keeps_its_lists(&s.written)) {
            let after = steps.now.iter().find(|s| s.uid == step.uid)?;
            if self.fact(step, true)? == self.fact(after, false)? {
                kept.insert(step.uid.as_str());
            }
        }
        let mut resources = Vec::new();
        for step in &steps.was {
            if kept.contains(step.uid.as_str()) || (step.stays && keeps_its_lists(&step.written)) {
                continue;
            }
            match self.removal(step)? {
                Some(Change::RemoveResource { resource }) => resources.push(resource),
                Some(change) => self.remove(step, &change, &mut resources)?,
                None => {}
            }
        }
        self.remove_resources(&mut resources)?;
        for step in steps.now.iter().filter(|s| !kept.contains(s.uid.as_str())) {
            if let Some(change) = self.fact(step, false)? {
                self.editor.change(&change).ok()?;
                if let Change::PutAccount { account, .. } = change {
                    self.account(step, &account)?;
                }
            }
        }
        Some(())
    }

    fn fact(&mut self, step: &Step, was: bool) -> Plain {
        self.stored.deleted = was;
        match self.reader.fact(&step.row().ok()?, &mut self.stored) {
            Fact::Is(change) => Some(Some(change)),
            Fact::None => Some(None),
            Fact::Astray | Fact::Meaningless { .. } => None,
        }
    }

    /// What takes a thing out.
    fn removal(&mut self, step: &Step) -> Plain {
        let row = step.row().ok()?;
        let named = |reader: &Reader<'_>| reader.entity(row.kind, row.name);
        match row.kind {
            kind if kind.is_scope() => Some(Some(Change::RemoveScope { path: row.name.into() })),
            kind if kind.is_account() => Some(Some(Change::RemoveAccount { account: named(&self.reader)? })),
            Kind::Group => Some(Some(Change::RemoveGroup { id: row.name.into() })),
            _ => Some(match self.fact(step, true)? {
                None => None,
                Some(change) => Some(inverse(change)?),
            }),
        }
    }

    /// Takes a thing out; resources first, once nothing that comes after them in order is left.
    fn remove(&mut self, step: &Step, change: &Change, resources: &mut Vec<Entity>) -> Option<()> {
        if matches!(change, Change::RemoveScope { .. } | Change::RemoveGroup { .. }) {
            self.remove_resources(resources)?;
        }
        self.editor.change(change).ok()?;
        if let (Change::RemoveAccount { .. }, Some(accounts)) = (change, &mut self.accounts) {
            accounts.remove(step.account()?)?;
        }
        Some(())
    }

    /// Takes resources out, what sits in others first.
    fn remove_resources(&mut self, resources: &mut Vec<Entity>) -> Option<()> {
        let before = self.before;
        let above = |entity: &Entity| {
            let found = before.resource(entity)?;
            before.resources[found.index()].parent.clone()
        };
        let depth = |entity: &Entity| std::iter::successors(above(entity), above).count();
        resources.sort_by_cached_key(|entity| std::cmp::Reverse(depth(entity)));
        let all = resources.drain(..);
        let changes: Vec<Change> = all.map(|resource| Change::RemoveResource { resource }).collect();
        let made: Result<(), DataError> = changes.iter().try_for_each(|change| self.editor.change(change));
        made.ok()
    }

    /// Brings what stands beside an account in step with it: the boundary of what is switched off, its number, its end.
    fn account(&mut self, step: &Step, account: &Entity) -> Option<()> {
        let row = step.row().ok()?;
        let (off, boundary, to) = (row.is_off(self.now), self.reader.off(), account.clone());
        let standing = self.standing.number(step.account()?).and_then(|ix| self.standing.get(ix));
        let was = step.stays && standing?.off;
        let change = match (was, off) {
            (false, true) => Some(Change::Attach { boundary, to }),
            (true, false) => Some(Change::Detach { boundary, from: to }),
            _ => None,
        };
        if let Some(change) = change {
            self.editor.change(&change).ok()?;
        }
        let Some(accounts) = &mut self.accounts else { return Some(()) };
        let uid = step.account()?;
        let at = match accounts.number(uid) {
            Some(at) => {
                let standing = accounts.get_mut(at)?;
                (standing.owner, standing.ends, standing.off) = (row.owned_by(), row.ends(), off);
                at
            }
            None => accounts.insert(uid, row.owned_by(), row.ends(), off),
        };
        (self.editor.directory().account(account) == Some(at)).then_some(())
    }
}

/// Whether a change of it is put in place of what was, with all that hangs on it.
fn keeps_its_lists(written: &Written) -> bool {
    let kind = written.kind();
    kind.is_scope() || kind.is_account() || matches!(kind, Kind::Group | Kind::Resource)
}

/// What takes back what a change put there.
fn inverse(change: Change) -> Option<Change> {
    Some(match change {
        Change::Join { account, group, .. } => Change::Leave { account, group },
        Change::Nest { group, within, .. } => Change::Unnest { group, within },
        Change::Bind(bound) => Change::Unbind(bound),
        Change::Link(linked) => Change::Unlink(linked),
        Change::Attach { boundary, to } => Change::Detach { boundary, from: to },
        Change::PutResource { resource, .. } => Change::RemoveResource { resource },
        _ => return None,
    })
}
