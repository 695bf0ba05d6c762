//! The store on an embedded SQLite file.
//!
//! In:    the path of the file.
//! Out:   [`Sqlite`], a [`Store`].
//! Law:   `synchronous=FULL` in write-ahead mode: what `commit` returned for is on the disk.

use super::{ChangeRow, Kept, Read, Store, StoreError, Stored, StoredRow, Write, schema};
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
    /// Nobody else has the file, and until it is filled it is worth nothing.
    filling: bool,
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
        Sqlite { path: path.to_owned(), synchronous: "FULL", filling: false }
    }

    /// Without waiting for the disk: only to show what a power cut then loses.
    #[must_use]
    pub fn careless(mut self) -> Sqlite {
        self.synchronous = "OFF";
        self
    }

    /// A file that is filled by one program and put in use only when it is whole: nothing can be taken back while it is
    /// filled, and nothing waits for the disk before [`Sqlite::replace_with`].
    #[must_use]
    pub fn filling(mut self) -> Sqlite {
        self.synchronous = "OFF";
        self.filling = true;
        self
    }

    /// Writes a copy to a file that isn't there yet.
    pub fn copy_to(&self, path: &Path) -> Stored<()> {
        let db = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let path =
            path.to_str().ok_or_else(|| StoreError::Failed("the path is not UTF-8 text".to_owned()))?;
        db.execute("VACUUM INTO ?1", [path]).map(|_| ()).map_err(failed)
    }

    /// Puts a filled file in the place of this one, in one step, once all of it is on the disk. Nobody may have this one open.
    pub fn replace_with(&self, filled: &Path) -> Stored<()> {
        let io = |e: std::io::Error| StoreError::Failed(format!("{}: {e}", filled.display()));
        {
            // What is in the log beside the old file goes into it, and the log away: the new file has none.
            let db = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            let mode: String =
                db.pragma_update_and_check(None, "journal_mode", "DELETE", |r| r.get(0)).map_err(failed)?;
            if mode != "delete" {
                return Err(StoreError::Failed("the database is open elsewhere".to_owned()));
            }
        }
        std::fs::File::open(filled).and_then(|file| file.sync_all()).map_err(io)?;
        std::fs::rename(filled, &self.path).map_err(io)?;
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
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
        if self.filling {
            db.pragma_update(None, "journal_mode", "OFF").map_err(failed)?;
            db.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(failed)?;
            db.pragma_update(None, "cache_size", -FILLING_CACHE_KIB).map_err(failed)?;
        } else {
            db.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        }
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

/// Pages kept while a file is filled, in KiB.
const FILLING_CACHE_KIB: i64 = 256 * 1024;

struct Db(Connection);

/// Between which the uids of a kind lie.
fn range(kind: Kind) -> (String, String) {
    (format!("{}_", kind.prefix()), format!("{}`", kind.prefix()))
}

const OBJECT: &str = "org, kind, uid, name, scope, revision, created, deleted, body, refs";

const INSERT: &str =
    "INSERT INTO objects (org, kind, uid, name, scope, revision, created, deleted, body, refs)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

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
        let sql = "SELECT org FROM objects WHERE uid > ?1 AND uid < ?2 AND deleted IS NULL ORDER BY uid";
        let mut query = self.0.prepare_cached(sql).map_err(failed)?;
        let rows = query.query_map(range(Kind::Organization), |r| r.get(0)).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn object(&mut self, org: &str, uid: &str) -> Stored<Option<Object>> {
        let sql = format!("SELECT {OBJECT} FROM objects WHERE uid = ?2 AND org = ?1");
        Ok(self.objects(&sql, [org, uid])?.pop())
    }

    fn named(&mut self, org: &str, kind: Kind, name: &str) -> Stored<Option<Object>> {
        let sql = format!(
            "SELECT {OBJECT} FROM objects WHERE org = ?1 AND kind = ?2 AND name = ?3 AND deleted IS NULL
               AND name <> uid"
        );
        Ok(self.objects(&sql, [org, kind.wire(), name])?.pop())
    }

    fn list(&mut self, org: &str, kind: Kind, after: &str, limit: usize) -> Stored<Vec<Object>> {
        let sql = format!(
            "SELECT {OBJECT} FROM objects
             WHERE org = ?1 AND uid > ?2 AND uid < ?3 AND deleted IS NULL ORDER BY uid LIMIT ?4"
        );
        let (first, last) = range(kind);
        self.objects(&sql, params![org, first.as_str().max(after), last, limit as i64])
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
            "SELECT {OBJECT} FROM objects WHERE org = ?1 AND uid > ?2 AND uid < ?3 AND deleted IS NULL ORDER BY uid"
        );
        let mut query = self.0.prepare_cached(&sql).map_err(failed)?;
        for kind in kinds {
            let (first, last) = range(*kind);
            let rows = query.query_map(params![org, first, last], object).map_err(failed)?;
            for row in rows {
                see(row.map_err(failed)?);
            }
        }
        Ok(())
    }

    fn rows(
        &mut self,
        org: &str,
        kind: Kind,
        after: &str,
        limit: usize,
        see: &mut dyn FnMut(&StoredRow<'_>),
    ) -> Stored<()> {
        let sql = "SELECT uid, name, scope, body, refs FROM objects
                   WHERE org = ?1 AND uid > ?2 AND uid < ?3 AND deleted IS NULL ORDER BY uid LIMIT ?4";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut query = self.0.prepare_cached(sql).map_err(failed)?;
        let (first, last) = range(kind);
        let values = params![org, first.as_str().max(after), last, limit];
        let mut rows = query.query(values).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let text = |n: usize| -> rusqlite::Result<&str> { Ok(row.get_ref(n)?.as_str()?) };
            let read = || {
                let [uid, name, scope, body, refs] = [text(0)?, text(1)?, text(2)?, text(3)?, text(4)?];
                Ok(StoredRow { uid, name, scope, body, refs })
            };
            see(&read().map_err(failed)?);
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
        let sql = "SELECT count(*) FROM objects WHERE org = ?1 AND uid > ?2 AND uid < ?3 AND deleted IS NULL";
        let (first, last) = range(kind);
        self.number(sql, params![org, first, last])
    }

    fn count_referring(&mut self, org: &str, kind: Kind, uid: &str) -> Stored<u64> {
        let sql = "SELECT count(*) FROM edges JOIN objects ON objects.org = edges.org AND objects.uid = edges.from_uid
                   WHERE edges.org = ?1 AND edges.to_uid = ?2 AND edges.from_uid > ?3 AND edges.from_uid < ?4
                     AND objects.deleted IS NULL";
        let (first, last) = range(kind);
        self.number(sql, params![org, uid, first, last])
    }

    fn bytes(&mut self, org: &str, kind: Kind) -> Stored<u64> {
        let sql = "SELECT coalesce(sum(octet_length(body)), 0) FROM objects
                   WHERE org = ?1 AND uid > ?2 AND uid < ?3";
        let (first, last) = range(kind);
        self.number(sql, params![org, first, last])
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

impl Db {
    /// Notes whom an object names.
    fn edges(&self, object: &Object) -> Stored<()> {
        for (_, to) in &object.refs {
            self.run("INSERT OR IGNORE INTO edges VALUES (?1, ?2, ?3)", [&object.org, to, &object.uid])?;
        }
        Ok(())
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
        let sql = "SELECT org, refs FROM objects WHERE uid = ?1";
        let before: Option<(String, String)> = self
            .0
            .prepare_cached(sql)
            .and_then(|mut q| q.query_row([&object.uid], |r| Ok((r.get(0)?, r.get(1)?))).optional())
            .map_err(failed)?;
        let Some((org, refs)) = before else {
            let (body, refs) = object.written();
            return self.add(object, &body, &refs);
        };
        if org != object.org {
            return Err(StoreError::Crossing);
        }
        let o = object;
        let (body, now) = object.written();
        self.run(
            "UPDATE objects SET name = ?3, scope = ?4, revision = ?5, deleted = ?6, body = ?7, refs = ?8
             WHERE org = ?1 AND uid = ?2",
            params![o.org, o.uid, o.name, o.scope, o.revision, o.deleted, body, now],
        )?;
        if refs != now {
            let refs: Vec<(String, String)> =
                serde_json::from_str(&refs).map_err(|e| failed(damaged(1, e.to_string())))?;
            for (_, to) in &refs {
                let sql = "DELETE FROM edges WHERE org = ?1 AND to_uid = ?2 AND from_uid = ?3";
                self.run(sql, [&o.org, to, &o.uid])?;
            }
            self.edges(object)?;
        }
        Ok(())
    }

    fn add(&mut self, object: &Object, body: &str, refs: &str) -> Stored<()> {
        let o = object;
        self.run(
            INSERT,
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
        self.edges(object)
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
