//! Rows of the store, read ahead on a thread of its own while those before are taken in.
//!
//! In:    a store, an organization, a kind.
//! Out:   each row, in the order of uids.
//! Law:   at most [`AHEAD`] batches of [`BATCH_BYTES`] wait; of an organization with few rows no thread is started.

use super::object::Kind;
use super::store::{Read, Stored, StoredRow};
use std::sync::mpsc::{channel, sync_channel};

/// Rows that are read without a thread.
const FEW: usize = 4_096;
/// Bytes of text in a batch.
const BATCH_BYTES: usize = 64 * 1024;
/// Batches that wait.
const AHEAD: usize = 8;

/// Calls `see` with the row of every living object of a kind.
pub fn rows(read: &mut dyn Read, org: &str, kind: Kind, see: &mut dyn FnMut(&StoredRow<'_>)) -> Stored<()> {
    let (mut count, mut last) = (0, String::new());
    read.rows(org, kind, "", FEW, &mut |row| {
        count += 1;
        if count == FEW {
            row.uid.clone_into(&mut last);
        }
        see(row);
    })?;
    if count < FEW {
        return Ok(());
    }
    let (filled, taken) = sync_channel::<Batch>(AHEAD);
    let (emptied, again) = channel::<Batch>();
    std::thread::scope(|threads| {
        let reading = threads.spawn(move || {
            let mut batch = Batch::default();
            let done = read.rows(org, kind, &last, usize::MAX, &mut |row| {
                batch.push(row);
                if batch.text.len() >= BATCH_BYTES {
                    let full = std::mem::replace(&mut batch, again.try_recv().unwrap_or_default());
                    // Whoever takes rows takes them to the end, or panics.
                    let _ = filled.send(full);
                }
            });
            let _ = filled.send(batch);
            done
        });
        for mut batch in taken {
            batch.each(see);
            batch.clear();
            let _ = emptied.send(batch);
        }
        reading.join().expect("ahead: whoever reads doesn't panic")
    })
}

/// Rows, one text after the other.
#[derive(Default)]
struct Batch {
    text: String,
    /// Where the fields of each row end.
    ends: Vec<[u32; 5]>,
}

impl Batch {
    fn push(&mut self, row: &StoredRow<'_>) {
        let fields = [row.uid, row.name, row.scope, row.body, row.refs];
        self.ends.push(fields.map(|field| {
            self.text.push_str(field);
            self.text.len() as u32
        }));
    }

    fn each(&self, see: &mut dyn FnMut(&StoredRow<'_>)) {
        let mut start = 0;
        for ends in &self.ends {
            let [uid, name, scope, body, refs] = ends.map(|end| {
                let field = &self.text[start..end as usize];
                start = end as usize;
                field
            });
            see(&StoredRow { uid, name, scope, body, refs });
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::object::{Fields, Object};
    use super::super::store::{Sqlite, Store};
    use super::*;

    #[test]
    fn all_rows_come_in_order_however_many_there_are() {
        let path = std::env::temp_dir().join(format!("policyd-ahead-{}.db", std::process::id()));
        let store = Sqlite::at(&path).filling();
        let uid = |n: usize| format!("grp_{n:016}");
        for (from, to) in [(0, FEW - 1), (FEW - 1, FEW), (FEW, 3 * FEW)] {
            let mut tx = store.writer().expect("opens");
            tx.begin().expect("begins");
            for n in from..to {
                let name = format!("g{n}");
                let body = Fields::from_iter([("id".to_owned(), name.clone().into())]);
                let (org, scope) = ("o".to_owned(), "acme".to_owned());
                let group = Object {
                    org,
                    kind: Kind::Group,
                    uid: uid(n),
                    name,
                    scope,
                    revision: 1,
                    created: 7,
                    deleted: None,
                    body,
                    refs: vec![("scope".to_owned(), "org_x".to_owned())],
                };
                tx.put(&group).expect("puts");
            }
            tx.commit().expect("commits");
            let mut seen = Vec::new();
            rows(tx.as_mut(), "o", Kind::Group, &mut |row| {
                assert_eq!((row.scope, row.refs), ("acme", r#"[["scope","org_x"]]"#));
                assert_eq!(row.body, format!(r#"{{"id":"{}"}}"#, row.name));
                seen.push((row.uid.to_owned(), row.name.to_owned()));
            })
            .expect("reads");
            assert!(seen.into_iter().eq((0..to).map(|n| (uid(n), format!("g{n}")))), "{to}");
        }
        std::fs::remove_file(&path).expect("a file of ours");
    }
}
