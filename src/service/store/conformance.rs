//! What every store must do, whichever database is below it.

use super::*;
use crate::audit::Bytes;
use crate::audit::record::Moment;
use crate::service::object::Fields;
use crate::service::secret::new_uid;

fn thing(org: &str, kind: Kind, name: &str, refs: &[&str]) -> Object {
    Object {
        org: org.into(),
        kind,
        uid: new_uid(kind.prefix()),
        name: name.into(),
        scope: "acme".into(),
        revision: 1,
        created: 7,
        deleted: None,
        body: Fields::from_iter([("id".to_owned(), name.into())]),
        refs: refs.iter().map(|r| ("x".to_owned(), (*r).to_owned())).collect(),
    }
}

fn conforms(store: &dyn Store) {
    let mut w = store.writer().expect("opens");
    w.begin().unwrap();
    let ana = thing("a", Kind::User, "ana", &[]);
    let bot = thing("a", Kind::ServiceAccount, "bot", &[&ana.uid]);
    w.put(&ana).unwrap();
    w.put(&bot).unwrap();
    let entry = |at: i64, text: &str| Entry {
        salt: Bytes([1; 16]),
        record: text.to_owned(),
        personal: Vec::new(),
        time: Moment(at),
    };
    assert_eq!(w.append("a", &entry(5, "one")).unwrap(), 1);
    assert_eq!(w.append("b", &entry(6, "other")).unwrap(), 1, "each organization has its own log");
    w.commit().unwrap();

    let mut r = store.reader().expect("opens");
    assert_eq!(r.object("a", &ana.uid).unwrap().as_ref(), Some(&ana));
    assert_eq!(r.object("b", &ana.uid).unwrap(), None, "another organization doesn't see it");
    assert_eq!(r.referring("a", &ana.uid).unwrap(), std::slice::from_ref(&bot));
    assert_eq!(r.referring("b", &ana.uid).unwrap(), []);
    assert_eq!(r.head("a").unwrap(), (1, 5));

    // A change that is forgotten leaves the others of its batch alone; a batch isn't seen before it is durable.
    w.begin().unwrap();
    w.mark().unwrap();
    w.put(&thing("a", Kind::User, "eve", &[])).unwrap();
    w.settle(false).unwrap();
    w.mark().unwrap();
    w.put(&thing("a", Kind::User, "ben", &[])).unwrap();
    w.settle(true).unwrap();
    assert_eq!(r.named("a", Kind::User, "ben").unwrap(), None);
    w.commit().unwrap();
    assert!(r.named("a", Kind::User, "ben").unwrap().is_some());
    assert_eq!(r.named("a", Kind::User, "eve").unwrap(), None);

    // Names are unique among the living; another organization's are its own business.
    w.begin().unwrap();
    w.mark().unwrap();
    assert_eq!(w.put(&thing("a", Kind::User, "ana", &[])), Err(StoreError::Taken));
    w.settle(false).unwrap();
    w.put(&thing("b", Kind::User, "ana", &[])).unwrap();
    assert_eq!(w.put(&Object { org: "b".into(), ..ana.clone() }), Err(StoreError::Crossing));
    let gone = Object { deleted: Some(9), ..ana.clone() };
    w.put(&gone).unwrap();
    let again = thing("a", Kind::User, "ana", &[]);
    w.put(&again).unwrap();
    w.commit().unwrap();
    assert_eq!(r.named("a", Kind::User, "ana").unwrap().map(|o| o.uid), Some(again.uid));
    assert_eq!(r.object("a", &ana.uid).unwrap(), Some(gone));
    w.begin().unwrap();
    w.put(&Object { deleted: Some(9), ..bot.clone() }).unwrap();
    w.commit().unwrap();
    assert_eq!(r.referring("a", &ana.uid).unwrap(), []);
    assert_eq!(r.ever_referring("a", &ana.uid).unwrap().len(), 1);

    // Pages follow one another.
    let first = r.list("a", Kind::User, "", 1).unwrap();
    let second = r.list("a", Kind::User, &first[0].uid, 9).unwrap();
    assert_eq!((first.len(), second.len()), (1, 1));
    let mut seen = 0;
    r.each("a", &[Kind::User, Kind::ServiceAccount], &mut |_| seen += 1).unwrap();
    assert_eq!(seen, 2);
    let mut ever = 0;
    r.every("a", &mut |_| ever += 1).unwrap();
    assert_eq!(ever, 4, "deleted ones too");

    w.begin().unwrap();
    let kept = Kept { request: vec![1], status: 201, body: "{}".into() };
    w.keep("me", "k", 10, 0, &kept).unwrap();
    w.set_fact("f", "1").unwrap();
    w.set_fact("f", "2").unwrap();
    w.note_use("key_1", 3, "::1").unwrap();
    w.note_use("key_1", 4, "::1").unwrap();
    w.commit().unwrap();
    assert_eq!(r.kept("me", "k", 5).unwrap(), Some(kept));
    assert_eq!(r.kept("me", "k", 11).unwrap(), None, "too old");
    assert_eq!(r.fact("f").unwrap().as_deref(), Some("2"));
    assert_eq!(r.uses().unwrap(), [("key_1".to_owned(), 4, "::1".to_owned())]);

    w.begin().unwrap();
    w.set_fact("f", "3").unwrap();
    w.abandon().unwrap();
    assert_eq!(r.fact("f").unwrap().as_deref(), Some("2"));
    let rows = r.changes("a", 0, 10).unwrap();
    assert_eq!(rows, [ChangeRow { seq: 1, entry: entry(5, "one") }]);
    assert_eq!(r.leaves("a").unwrap(), [entry(5, "one").leaf()]);

    w.begin().unwrap();
    for name in ["x", "y", "z"] {
        let object = thing("a", Kind::Group, name, &[]);
        let (body, refs) = object.written();
        w.add(&object, &body, &refs).unwrap();
        let read = r.object("a", &object.uid).unwrap();
        assert_eq!(read, None, "not yet committed");
    }
    w.commit().unwrap();
    let all: Vec<String> = r.list("a", Kind::Group, "", 9).unwrap().into_iter().map(|o| o.uid).collect();
    assert_eq!(all.len(), 3);
    for (after, limit, found) in
        [("", 9, &all[..]), ("", 2, &all[..2]), (&all[0], 9, &all[1..]), (&all[2], 9, &[])]
    {
        let mut seen = Vec::new();
        r.rows("a", Kind::Group, after, limit, &mut |row| seen.push(row.uid.to_owned())).unwrap();
        assert_eq!(seen, found, "after `{after}`, {limit} at most");
    }
}

#[test]
fn sqlite_conforms() {
    let folder = std::env::temp_dir().join(new_uid("policyd-store"));
    std::fs::create_dir_all(&folder).unwrap();
    conforms(&Sqlite::at(&folder.join("policyd.db")));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = std::env::temp_dir().join(new_uid("policyd-store"));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("policyd.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = Sqlite::at(&path).writer().map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 99, .. }));
    std::fs::remove_dir_all(&folder).unwrap();
}
