//! The tables, and how older ones become these: versioned migrations, one transaction each.
//!
//! In:    a connection.
//! Out:   the schema [`KNOWN`].
//! Law:   a migration that was shipped never changes; a schema newer than [`KNOWN`] is refused, not guessed at.

use super::StoreError;
use super::sqlite::failed;
use rusqlite::Connection;

/// Each entry makes the next version of the schema.
///
/// The second: uids begin with their kind, so the objects of a kind stand together under (org, uid); what has no name
/// but its uid is not found by name; the edges of an object are known from its own references.
const MIGRATIONS: &[&str] = &["
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE objects (
  uid TEXT PRIMARY KEY, org TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, scope TEXT NOT NULL,
  revision INTEGER NOT NULL, created INTEGER NOT NULL, deleted INTEGER, body TEXT NOT NULL, refs TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX living_names ON objects (org, kind, name) WHERE deleted IS NULL;
CREATE INDEX of_kind ON objects (org, kind, uid) WHERE deleted IS NULL;
CREATE TABLE edges (
  org TEXT NOT NULL, to_uid TEXT NOT NULL, from_uid TEXT NOT NULL, PRIMARY KEY (org, to_uid, from_uid)
) WITHOUT ROWID;
CREATE INDEX edges_from ON edges (from_uid);
CREATE TABLE changes (
  org TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, leaf BLOB NOT NULL, salt BLOB NOT NULL,
  record TEXT NOT NULL, personal TEXT NOT NULL, PRIMARY KEY (org, seq)
) WITHOUT ROWID;
CREATE TABLE kept (
  caller TEXT NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL, request BLOB NOT NULL, status INTEGER NOT NULL,
  body TEXT NOT NULL, PRIMARY KEY (caller, key)
) WITHOUT ROWID;
CREATE INDEX kept_at ON kept (at);
CREATE TABLE uses (credential TEXT PRIMARY KEY, at INTEGER NOT NULL, ip TEXT NOT NULL) WITHOUT ROWID;
", "
ALTER TABLE objects RENAME TO objects_1;
DROP INDEX living_names;
DROP INDEX of_kind;
DROP INDEX edges_from;
CREATE TABLE objects (
  org TEXT NOT NULL, uid TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, scope TEXT NOT NULL,
  revision INTEGER NOT NULL, created INTEGER NOT NULL, deleted INTEGER, body TEXT NOT NULL, refs TEXT NOT NULL,
  PRIMARY KEY (org, uid)
) WITHOUT ROWID;
INSERT INTO objects SELECT org, uid, kind, name, scope, revision, created, deleted, body, refs FROM objects_1
  ORDER BY org, uid;
DROP TABLE objects_1;
CREATE UNIQUE INDEX uids ON objects (uid);
CREATE UNIQUE INDEX living_names ON objects (org, kind, name) WHERE deleted IS NULL AND name <> uid;
"];

/// The newest schema that this program knows.
pub const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Brings a database to the newest schema.
pub fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let found: i64 = db.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(failed)?;
    if found > KNOWN {
        return Err(StoreError::Newer { found, known: KNOWN });
    }
    for (n, migration) in MIGRATIONS.iter().enumerate().skip(usize::try_from(found).unwrap_or(0)) {
        let step = db.transaction().map_err(failed)?;
        step.execute_batch(migration).map_err(failed)?;
        step.pragma_update(None, "user_version", n as i64 + 1).map_err(failed)?;
        step.commit().map_err(failed)?;
    }
    Ok(())
}
