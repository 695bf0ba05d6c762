//! What an import knows of the organization, in memory: names, uids and places, of what was there and of what it brings.
//!
//! In:    the objects that are stored; then each that the import makes.
//! Out:   [`Catalog`], which stands in for the store, so that the commands of the interface run unchanged and no line
//!        waits for a database.
//! Law:   it answers only what making something new asks; anything else is an error, never a guess.

use crate::audit::Hash32;
use crate::audit::record::Entry;
use crate::service::known::Uid;
use crate::service::object::{Fields, Kind, Object};
use crate::service::secret::{id_text, random};
use crate::service::store::{ChangeRow, Kept, Read, StoreError, Stored, StoredRow, Write};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

/// A thing by its uid.
struct Thing {
    name: SmolStr,
    /// Index into the paths.
    scope: u32,
}

/// New uids that follow one another, so that a database takes them in at its end.
struct Series {
    next: u128,
}

impl Series {
    /// Begins somewhere among 2^80; as long as it is, nobody else has a uid in it.
    fn new() -> Series {
        let [a, b, c, d, e] = random::<5>();
        let high = [0, 0, 0, a, b, c, d, e].into_iter().fold(0u128, |all, byte| all << 8 | u128::from(byte));
        Series { next: high << 40 }
    }

    fn uid(&mut self, prefix: &str) -> String {
        self.next += 1;
        id_text(prefix, &self.next.to_be_bytes()[6..])
    }
}

/// Names, uids and places.
pub struct Catalog {
    org: String,
    things: FxHashMap<Uid, Thing>,
    names: FxHashMap<(Kind, SmolStr), Uid>,
    paths: Vec<SmolStr>,
    places: FxHashMap<SmolStr, u32>,
    /// What is known by something else than a uid, such as the spelling of a user's id; and whether that is deleted.
    marks: FxHashMap<SmolStr, (Uid, bool)>,
    /// Memberships of groups in groups, by the group that is in the other.
    nested: FxHashMap<String, Vec<Object>>,
    series: Series,
    /// What was looked for last and isn't there.
    pub missed: Option<(Kind, String)>,
}

fn unasked<T>(what: &str) -> Stored<T> {
    Err(StoreError::Failed(format!("an import doesn't {what}")))
}

impl Catalog {
    /// Of what is stored.
    pub fn of(read: &mut dyn Read, org: &str) -> Stored<Catalog> {
        let mut catalog = Catalog {
            org: org.to_owned(),
            things: FxHashMap::default(),
            names: FxHashMap::default(),
            paths: Vec::new(),
            places: FxHashMap::default(),
            marks: FxHashMap::default(),
            nested: FxHashMap::default(),
            series: Series::new(),
            missed: None,
        };
        let mut foreign = None;
        read.every(org, &mut |object| {
            if catalog.note(&object).is_none() {
                foreign.get_or_insert(object.uid);
            }
        })?;
        match foreign {
            None => Ok(catalog),
            Some(uid) => Err(StoreError::Failed(format!("`{uid}` is no uid of ours"))),
        }
    }

    fn note(&mut self, object: &Object) -> Option<()> {
        let uid = Uid::of(&object.uid)?;
        let gone = object.deleted.is_some();
        for (_, mark) in object.refs.iter().filter(|(_, to)| to.starts_with('~')) {
            self.marks.insert(mark.as_str().into(), (uid, gone));
        }
        if gone || matches!(object.kind, Kind::Binding | Kind::Credential | Kind::PolicySet) {
            return Some(());
        }
        if object.kind == Kind::Membership
            && object.reference("member").is_some_and(|(kind, _)| kind == "group")
        {
            let inner = object.refers("member").unwrap_or_default().to_owned();
            self.nested.entry(inner).or_default().push(object.clone());
        }
        let name = SmolStr::from(object.name.as_str());
        self.names.insert((object.kind, name.clone()), uid);
        if !matches!(object.kind, Kind::Membership | Kind::Attachment | Kind::Link) {
            let scope = self.place(&object.scope);
            self.things.insert(uid, Thing { name, scope });
        }
        Some(())
    }

    fn place(&mut self, path: &str) -> u32 {
        if let Some(at) = self.places.get(path) {
            return *at;
        }
        let at = self.paths.len() as u32;
        self.paths.push(path.into());
        self.places.insert(path.into(), at);
        at
    }

    /// As much of an object as others need to name it.
    fn show(&self, uid: Uid) -> Option<Object> {
        let thing = self.things.get(&uid)?;
        Some(Object {
            org: self.org.clone(),
            kind: uid.kind(),
            uid: uid.show(),
            name: thing.name.to_string(),
            scope: self.paths[thing.scope as usize].to_string(),
            revision: 0,
            created: 0,
            deleted: None,
            body: Fields::new(),
            refs: Vec::new(),
        })
    }
}

impl Read for Catalog {
    fn fact(&mut self, _: &str) -> Stored<Option<String>> {
        unasked("ask for facts")
    }

    fn damage(&mut self) -> Stored<Option<String>> {
        unasked("look for damage")
    }

    fn organizations(&mut self) -> Stored<Vec<String>> {
        Ok(vec![self.org.clone()])
    }

    fn object(&mut self, _: &str, uid: &str) -> Stored<Option<Object>> {
        Ok(Uid::of(uid).and_then(|uid| self.show(uid)))
    }

    fn named(&mut self, _: &str, kind: Kind, name: &str) -> Stored<Option<Object>> {
        let found = self.names.get(&(kind, name.into())).and_then(|uid| self.show(*uid));
        if found.is_none() {
            self.missed = Some((kind, name.to_owned()));
        }
        Ok(found)
    }

    fn list(&mut self, _: &str, _: Kind, _: &str, _: usize) -> Stored<Vec<Object>> {
        unasked("list")
    }

    fn referring(&mut self, _: &str, uid: &str) -> Stored<Vec<Object>> {
        // Making something new asks only for the groups that a group is in.
        match Uid::of(uid).map(Uid::kind) {
            Some(Kind::Group) => Ok(self.nested.get(uid).cloned().unwrap_or_default()),
            _ => unasked("look for what names a thing"),
        }
    }

    fn ever_referring(&mut self, _: &str, to: &str) -> Stored<Vec<Object>> {
        if !to.starts_with('~') {
            return unasked("look for what named a thing");
        }
        let Some((uid, gone)) = self.marks.get(to) else { return Ok(Vec::new()) };
        let stub = |uid: Uid| Object {
            org: self.org.clone(),
            kind: uid.kind(),
            uid: uid.show(),
            name: String::new(),
            scope: String::new(),
            revision: 0,
            created: 0,
            deleted: None,
            body: Fields::new(),
            refs: Vec::new(),
        };
        let found = self.show(*uid).unwrap_or_else(|| stub(*uid));
        Ok(vec![Object { deleted: gone.then_some(0), ..found }])
    }

    fn each(&mut self, _: &str, _: &[Kind], _: &mut dyn FnMut(Object)) -> Stored<()> {
        unasked("read everything")
    }

    fn rows(&mut self, _: &str, _: Kind, _: &str, _: usize, _: &mut dyn FnMut(&StoredRow<'_>)) -> Stored<()> {
        unasked("read everything")
    }

    fn every(&mut self, _: &str, _: &mut dyn FnMut(Object)) -> Stored<()> {
        unasked("read everything")
    }

    fn changes(&mut self, _: &str, _: i64, _: usize) -> Stored<Vec<ChangeRow>> {
        unasked("read the log")
    }

    fn leaves(&mut self, _: &str) -> Stored<Vec<Hash32>> {
        unasked("read the log")
    }

    fn leaves_after(&mut self, _: &str, _: i64) -> Stored<Vec<Hash32>> {
        unasked("read the log")
    }

    fn head(&mut self, _: &str) -> Stored<(i64, i64)> {
        unasked("read the log")
    }

    fn count(&mut self, _: &str, _: Kind) -> Stored<u64> {
        unasked("count")
    }

    fn count_referring(&mut self, _: &str, _: Kind, _: &str) -> Stored<u64> {
        unasked("count")
    }

    fn bytes(&mut self, _: &str, _: Kind) -> Stored<u64> {
        unasked("count")
    }

    fn written_since(&mut self, _: &str, _: i64) -> Stored<u64> {
        unasked("count")
    }

    fn kept(&mut self, _: &str, _: &str, _: i64) -> Stored<Option<Kept>> {
        unasked("repeat answers")
    }

    fn uses(&mut self) -> Stored<Vec<(String, i64, String)>> {
        unasked("ask when keys were used")
    }
}

impl Write for Catalog {
    fn begin(&mut self) -> Stored<()> {
        unasked("begin a batch here")
    }

    fn commit(&mut self) -> Stored<()> {
        unasked("commit here")
    }

    fn abandon(&mut self) -> Stored<()> {
        unasked("abandon here")
    }

    fn mark(&mut self) -> Stored<()> {
        unasked("mark here")
    }

    fn settle(&mut self, _: bool) -> Stored<()> {
        unasked("settle here")
    }

    fn set_fact(&mut self, _: &str, _: &str) -> Stored<()> {
        unasked("set facts")
    }

    fn fresh(&mut self, kind: Kind) -> String {
        self.series.uid(kind.prefix())
    }

    fn put(&mut self, object: &Object) -> Stored<()> {
        if self.names.contains_key(&(object.kind, object.name.as_str().into())) {
            return Err(StoreError::Taken);
        }
        self.note(object).ok_or_else(|| StoreError::Failed(format!("`{}` is no uid of ours", object.uid)))
    }

    fn add(&mut self, object: &Object, _: &str, _: &str) -> Stored<()> {
        self.put(object)
    }

    fn append(&mut self, _: &str, _: &Entry) -> Stored<i64> {
        unasked("append here")
    }

    fn erase(&mut self, _: &str, _: &[String]) -> Stored<u64> {
        unasked("erase")
    }

    fn compact(&mut self) -> Stored<()> {
        unasked("compact")
    }

    fn keep(&mut self, _: &str, _: &str, _: i64, _: i64, _: &Kept) -> Stored<()> {
        unasked("keep answers")
    }

    fn note_use(&mut self, _: &str, _: i64, _: &str) -> Stored<()> {
        unasked("use keys")
    }
}
