//! The store on an embedded SQLite file.
//!
//! In:    the path of the file.
//! Out:   [`Sqlite`], a [`Store`].
//! Law:   `synchronous=FULL` in write-ahead mode: what `commit` returned for is on the disk.

use super::{ChangeRow, Kept, Read, Store, StoreError, Stored, Write, schema};
use crate::audit::record::{Entry, Moment, Personal};
use crate::audit::{Bytes, Hash32};
use crate::service::object::{Kind, Object};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use std::path::{Path, PathBuf};

/// A SQLite file.
#[derive(Clone, Debug)]
pub struct Sqlite {
    path: PathBuf,
    synchronous: &'static str,
}

pub(super) fn failed(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error() {
        Some(e) if e.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE => StoreError::Taken,
        _ => StoreError::Failed(format!("the database: {error}")),
    }
}

impl Sqlite {
    /// The file at this path; it need not be there yet.
    pub fn at(path: &Path) -> Sqlite {
        Sqlite { path: path.to_owned(), synchronous: "FULL" }
    }

    /// Without waiting for the disk: only to show what a power cut then loses.
    #[must_use]
    pub fn careless(mut self) -> Sqlite {
        self.synchronous = "OFF";
        self
    }

    fn open(&self, flags: OpenFlags) -> Stored<Connection> {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.path, flags).map_err(failed)?;
        db.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed)?;
        db.pragma_update(None, "synchronous", self.synchronous).map_err(failed)?;
        db.pragma_update(None, "trusted_schema", false).map_err(failed)?;
        Ok(db)
    }
}

impl Store for Sqlite {
    fn writer(&self) -> Stored<Box<dyn Write + Send>> {
        let mut db = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        if db.is_readonly(rusqlite::MAIN_DB).map_err(failed)? {
            let path = self.path.display();
            return Err(StoreError::Failed(format!(
                "{path} can't be written: the file or its disk is read-only"
            )));
        }
        db.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        db.pragma_update(None, "cell_size_check", true).map_err(failed)?;
        schema::migrate(&mut db)?;
        Ok(Box::new(Db(db)))
    }

    fn reader(&self) -> Stored<Box<dyn Read + Send>> {
        let db = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.pragma_update(None, "query_only", true).map_err(failed)?;
        Ok(Box::new(Db(db)))
    }
}

struct Db(Connection);

const OBJECT: &str = "org, kind, uid, name, scope, revision, created, deleted, body, refs";

fn damaged(column: usize, message: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, message.into())
}

fn object(row: &Row<'_>) -> rusqlite::Result<Object> {
    let kind: String = row.get(1)?;
    let json = |n: usize| -> rusqlite::Result<String> { row.get(n) };
    Ok(Object {
        org: row.get(0)?,
        kind: Kind::of_wire(&kind).ok_or_else(|| damaged(1, format!("no kind `{kind}`")))?,
        uid: row.get(2)?,
        name: row.get(3)?,
        scope: row.get(4)?,
        revision: row.get(5)?,
        created: row.get(6)?,
        deleted: row.get(7)?,
        body: serde_json::from_str(&json(8)?).map_err(|e| damaged(8, e.to_string()))?,
        refs: serde_json::from_str(&json(9)?).map_err(|e| damaged(9, e.to_string()))?,
    })
}

impl Db {
    fn objects(&self, sql: &str, values: impl rusqlite::Params) -> Stored<Vec<Object>> {
        let mut query = self.0.prepare_cached(sql).map_err(failed)?;
        let rows = query.query_map(values, object).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }
}

impl Read for Db {
    fn damage(&mut self) -> Stored<Option<String>> {
        let found: String =
            self.0.query_row("PRAGMA integrity_check(1)", [], |r| r.get(0)).map_err(failed)?;
        Ok(Some(found).filter(|found| found != "ok"))
    }

    fn fact(&mut self, name: &str) -> Stored<Option<String>> {
        let found = self.0.query_row("SELECT value FROM facts WHERE name = ?1", [name], |r| r.get(0));
        found.optional().map_err(failed)
    }

    fn organizations(&mut self) -> Stored<Vec<String>> {
        let sql = "SELECT org FROM objects WHERE kind = 'organization' AND deleted IS NULL ORDER BY org";
        let mut query = self.0.prepare_cached(sql).map_err(failed)?;
        let rows = query.query_map([], |r| r.get(0)).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn object(&mut self, org: &str, uid: &str) -> Stored<Option<Object>> {
        let sql = format!("SELECT {OBJECT} FROM objects WHERE uid = ?2 AND org = ?1");
        Ok(self.objects(&sql, [org, uid])?.pop())
    }

    fn named(&mut self, org: &str, kind: Kind, name: &str) -> Stored<Option<Object>> {
        let sql = format!(
            "SELECT {OBJECT} FROM objects WHERE org = ?1 AND kind = ?2 AND name = ?3 AND deleted IS NULL"
        );
        Ok(self.objects(&sql, [org, kind.wire(), name])?.pop())
    }

    fn list(&mut self, org: &str, kind: Kind, after: &str, limit: usize) -> Stored<Vec<Object>> {
        let sql = format!(
            "SELECT {OBJECT} FROM objects
             WHERE org = ?1 AND kind = ?2 AND uid > ?3 AND deleted IS NULL ORDER BY uid LIMIT ?4"
        );
        self.objects(&sql, params![org, kind.wire(), after, limit as i64])
    }

    fn referring(&mut self, org: &str, uid: &str) -> Stored<Vec<Object>> {
        let sql = format!(
            "SELECT {OBJECT} FROM objects
             WHERE uid IN (SELECT from_uid FROM edges WHERE org = ?1 AND to_uid = ?2)
               AND org = ?1 AND deleted IS NULL ORDER BY uid"
        );
        self.objects(&sql, [org, uid])
    }

    fn ever_referring(&mut self, org: &str, uid: &str) -> Stored<Vec<Object>> {
        let sql = format!(
            "SELECT {OBJECT} FROM objects
             WHERE uid IN (SELECT from_uid FROM edges WHERE org = ?1 AND to_uid = ?2) AND org = ?1 ORDER BY uid"
        );
        self.objects(&sql, [org, uid])
    }

    fn each(&mut self, org: &str, kinds: &[Kind], see: &mut dyn FnMut(Object)) -> Stored<()> {
        let sql = format!(
            "SELECT {OBJECT} FROM objects WHERE org = ?1 AND kind = ?2 AND deleted IS NULL ORDER BY uid"
        );
        let mut query = self.0.prepare_cached(&sql).map_err(failed)?;
        for kind in kinds {
            let rows = query.query_map([org, kind.wire()], object).map_err(failed)?;
            for row in rows {
                see(row.map_err(failed)?);
            }
        }
        Ok(())
    }

    fn every(&mut self, org: &str, see: &mut dyn FnMut(Object)) -> Stored<()> {
        let sql = format!("SELECT {OBJECT} FROM objects WHERE org = ?1 ORDER BY uid");
        let mut query = self.0.prepare_cached(&sql).map_err(failed)?;
        let rows = query.query_map([org], object).map_err(failed)?;
        for row in rows {
            see(row.map_err(failed)?);
        }
        Ok(())
    }

    fn changes(&mut self, org: &str, after: i64, limit: usize) -> Stored<Vec<ChangeRow>> {
        let sql = "SELECT seq, at, salt, record, personal FROM changes WHERE org = ?1 AND seq > ?2
                   ORDER BY seq LIMIT ?3";
        let mut query = self.0.prepare_cached(sql).map_err(failed)?;
        let row = |r: &Row<'_>| {
            let personal: String = r.get(4)?;
            let entry = Entry {
                salt: Bytes(r.get(2)?),
                record: r.get(3)?,
                personal: serde_json::from_str(&personal).map_err(|e| damaged(4, e.to_string()))?,
                time: Moment(r.get(1)?),
            };
            Ok(ChangeRow { seq: r.get(0)?, entry })
        };
        let rows = query.query_map(params![org, after, limit as i64], row).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn leaves(&mut self, org: &str) -> Stored<Vec<Hash32>> {
        let sql = "SELECT leaf FROM changes WHERE org = ?1 ORDER BY seq";
        let mut query = self.0.prepare_cached(sql).map_err(failed)?;
        let rows = query.query_map([org], |r| r.get(0).map(Bytes)).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn leaves_after(&mut self, org: &str, after: i64) -> Stored<Vec<Hash32>> {
        let sql = "SELECT leaf FROM changes WHERE org = ?1 AND seq > ?2 ORDER BY seq";
        let mut query = self.0.prepare_cached(sql).map_err(failed)?;
        let rows = query.query_map(params![org, after], |r| r.get(0).map(Bytes)).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn head(&mut self, org: &str) -> Stored<(i64, i64)> {
        let sql = "SELECT seq, at FROM changes WHERE org = ?1 ORDER BY seq DESC LIMIT 1";
        let mut query = self.0.prepare_cached(sql).map_err(failed)?;
        let row = query.query_row([org], |r| Ok((r.get(0)?, r.get(1)?))).optional();
        Ok(row.map_err(failed)?.unwrap_or((0, 0)))
    }

    fn count(&mut self, org: &str, kind: Kind) -> Stored<u64> {
        let sql = "SELECT count(*) FROM objects WHERE org = ?1 AND kind = ?2 AND deleted IS NULL";
        self.number(sql, [org, kind.wire()])
    }

    fn count_referring(&mut self, org: &str, kind: Kind, uid: &str) -> Stored<u64> {
        let sql = "SELECT count(*) FROM edges JOIN objects ON objects.uid = edges.from_uid
                   WHERE edges.org = ?1 AND edges.to_uid = ?2 AND objects.kind = ?3 AND objects.deleted IS NULL";
        self.number(sql, [org, uid, kind.wire()])
    }

    fn bytes(&mut self, org: &str, kind: Kind) -> Stored<u64> {
        let sql = "SELECT coalesce(sum(octet_length(body)), 0) FROM objects WHERE org = ?1 AND kind = ?2";
        self.number(sql, [org, kind.wire()])
    }

    fn written_since(&mut self, org: &str, since: i64) -> Stored<u64> {
        // From the last one back: there is no index by time, and what is older isn't looked at.
        let sql = "SELECT at, octet_length(record) + octet_length(personal) + 64 FROM changes WHERE org = ?1
                   ORDER BY seq DESC";
        let mut query = self.0.prepare_cached(sql).map_err(failed)?;
        let mut rows = query.query([org]).map_err(failed)?;
        let mut bytes = 0;
        while let Some(row) = rows.next().map_err(failed)? {
            let (at, more): (i64, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
            if at < since {
                break;
            }
            bytes += u64::try_from(more).unwrap_or(0);
        }
        Ok(bytes)
    }

    fn kept(&mut self, caller: &str, key: &str, since: i64) -> Stored<Option<Kept>> {
        let sql = "SELECT request, status, body FROM kept WHERE caller = ?1 AND key = ?2 AND at >= ?3";
        let mut query = self.0.prepare_cached(sql).map_err(failed)?;
        let row = |r: &Row<'_>| Ok(Kept { request: r.get(0)?, status: r.get(1)?, body: r.get(2)? });
        query.query_row(params![caller, key, since], row).optional().map_err(failed)
    }

    fn uses(&mut self) -> Stored<Vec<(String, i64, String)>> {
        let mut query = self.0.prepare_cached("SELECT credential, at, ip FROM uses").map_err(failed)?;
        let rows = query.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }
}

impl Db {
    fn number(&self, sql: &str, values: impl rusqlite::Params) -> Stored<u64> {
        let found = self.0.prepare_cached(sql).and_then(|mut s| s.query_row(values, |r| r.get::<_, i64>(0)));
        found.map(|n| u64::try_from(n).unwrap_or(0)).map_err(failed)
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) -> Stored<()> {
        self.0.prepare_cached(sql).and_then(|mut s| s.execute(values)).map(|_| ()).map_err(failed)
    }
}

impl Write for Db {
    fn begin(&mut self) -> Stored<()> {
        self.run("BEGIN IMMEDIATE", [])
    }

    fn commit(&mut self) -> Stored<()> {
        self.run("COMMIT", [])
    }

    fn abandon(&mut self) -> Stored<()> {
        if self.0.is_autocommit() { Ok(()) } else { self.run("ROLLBACK", []) }
    }

    fn mark(&mut self) -> Stored<()> {
        self.run("SAVEPOINT one", [])
    }

    fn settle(&mut self, keep: bool) -> Stored<()> {
        if !keep {
            self.run("ROLLBACK TO one", [])?;
        }
        self.run("RELEASE one", [])
    }

    fn set_fact(&mut self, name: &str, value: &str) -> Stored<()> {
        self.run("INSERT INTO facts VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2", [name, value])
    }

    fn put(&mut self, object: &Object) -> Stored<()> {
        let owner: Option<String> = self
            .0
            .query_row("SELECT org FROM objects WHERE uid = ?1", [&object.uid], |r| r.get(0))
            .optional()
            .map_err(failed)?;
        if owner.is_some_and(|org| org != object.org) {
            return Err(StoreError::Crossing);
        }
        let body = serde_json::to_string(&object.body).expect("store: fields are JSON");
        let refs = serde_json::to_string(&object.refs).expect("store: references are JSON");
        let sql = format!(
            "INSERT INTO objects ({OBJECT}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (uid) DO UPDATE SET name = ?4, scope = ?5, revision = ?6, deleted = ?8, body = ?9, refs = ?10"
        );
        let o = object;
        self.run(
            &sql,
            params![
                o.org,
                o.kind.wire(),
                o.uid,
                o.name,
                o.scope,
                o.revision,
                o.created,
                o.deleted,
                body,
                refs
            ],
        )?;
        self.run("DELETE FROM edges WHERE from_uid = ?1", [&o.uid])?;
        for (_, to) in &o.refs {
            self.run("INSERT OR IGNORE INTO edges VALUES (?1, ?2, ?3)", [&o.org, to, &o.uid])?;
        }
        Ok(())
    }

    fn append(&mut self, org: &str, entry: &Entry) -> Stored<i64> {
        let seq = self.head(org)?.0 + 1;
        let personal = serde_json::to_string(&entry.personal).expect("store: personal values are JSON");
        self.run(
            "INSERT INTO changes (org, seq, at, leaf, salt, record, personal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![org, seq, entry.time.0, entry.leaf().0, entry.salt.0, entry.record, personal],
        )?;
        Ok(seq)
    }

    fn keep(&mut self, caller: &str, key: &str, at: i64, since: i64, kept: &Kept) -> Stored<()> {
        self.run("DELETE FROM kept WHERE at < ?1", [since])?;
        self.run(
            "INSERT INTO kept (caller, key, at, request, status, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![caller, key, at, kept.request, kept.status, kept.body],
        )
    }

    fn erase(&mut self, org: &str, people: &[String]) -> Stored<u64> {
        // What is overwritten is not to be found in free pages either.
        self.0.pragma_update(None, "secure_delete", true).map_err(failed)?;
        let sql = "SELECT seq, personal FROM changes WHERE org = ?1 AND personal != '[]'";
        let mut query = self.0.prepare(sql).map_err(failed)?;
        let rows = query.query_map([org], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?)));
        let rows: Vec<_> = rows.and_then(Iterator::collect).map_err(failed)?;
        let mut erased = 0;
        for (seq, text) in rows {
            let mut values: Vec<Personal> =
                serde_json::from_str(&text).map_err(|e| failed(damaged(1, e.to_string())))?;
            let before = values.len();
            values.retain(|value| !people.contains(&value.person));
            if values.len() < before {
                erased += (before - values.len()) as u64;
                let text = serde_json::to_string(&values).expect("store: personal values are JSON");
                let sql = "UPDATE changes SET personal = ?3 WHERE org = ?1 AND seq = ?2";
                self.run(sql, params![org, seq, text])?;
            }
        }
        Ok(erased)
    }

    fn compact(&mut self) -> Stored<()> {
        self.run("VACUUM", [])?;
        self.0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)
    }

    fn note_use(&mut self, credential: &str, at: i64, ip: &str) -> Stored<()> {
        self.run(
            "INSERT INTO uses VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET at = ?2, ip = ?3",
            params![credential, at, ip],
        )
    }
}
