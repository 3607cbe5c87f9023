//! The tables, as a ladder of migrations. A released step is never edited: the next version adds another.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Tells our databases from others: "arcj" in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x6172_636a;

/// What takes the schema from each version to the next, the first from an empty file to version 1.
const STEPS: &[&str] = &[
    "
    CREATE TABLE releases (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        host        TEXT NOT NULL,
        app         TEXT NOT NULL,
        release     TEXT NOT NULL,
        image       TEXT NOT NULL,
        image_id    TEXT NOT NULL,
        spec        TEXT NOT NULL,
        by          TEXT NOT NULL,
        at          INTEGER NOT NULL,
        strategy    TEXT NOT NULL,
        outcome     TEXT NOT NULL,
        seconds     REAL NOT NULL,
        bytes_sent  INTEGER NOT NULL,
        detail      TEXT NOT NULL
    ) STRICT;
    CREATE INDEX releases_by_app ON releases (app, host, id);

    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    INSERT INTO counters VALUES ('incident', 0);

    CREATE TABLE incidents (
        id         INTEGER PRIMARY KEY,
        host       TEXT NOT NULL,
        app        TEXT NOT NULL,
        state      TEXT NOT NULL,
        is_open    INTEGER NOT NULL,
        opened_at  INTEGER NOT NULL,
        body       TEXT NOT NULL
    ) STRICT;
    CREATE INDEX incidents_open ON incidents (is_open, host, app);

    CREATE TABLE actions (
        incident  INTEGER NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
        ordinal   INTEGER NOT NULL,
        host      TEXT NOT NULL,
        app       TEXT NOT NULL,
        at        INTEGER NOT NULL,
        body      TEXT NOT NULL,
        PRIMARY KEY (incident, ordinal)
    ) STRICT;
    CREATE INDEX actions_by_time ON actions (at);

    CREATE TABLE decisions (
        seq       INTEGER PRIMARY KEY AUTOINCREMENT,
        incident  INTEGER NOT NULL,
        body      TEXT NOT NULL,
        by        TEXT NOT NULL,
        at        INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE freezes (
        app  TEXT PRIMARY KEY, -- empty: every app
        by   TEXT NOT NULL,
        at   INTEGER NOT NULL,
        why  TEXT NOT NULL
    ) STRICT;

    CREATE TABLE supervisors (
        id     TEXT PRIMARY KEY,
        pid    INTEGER NOT NULL,
        hosts  TEXT NOT NULL,
        mode   TEXT NOT NULL,
        at     INTEGER NOT NULL
    ) STRICT;
    ",
    "
    CREATE TABLE logs (
        app   TEXT PRIMARY KEY,
        body  TEXT NOT NULL,
        at    INTEGER NOT NULL
    ) STRICT;
    ",
    "
    CREATE TABLE places (
        reader     TEXT NOT NULL,
        host       TEXT NOT NULL,
        container  TEXT NOT NULL,
        body       BLOB NOT NULL,
        at         INTEGER NOT NULL,
        PRIMARY KEY (reader, host, container)
    ) STRICT;
    CREATE INDEX places_by_time ON places (at);
    ",
];

/// What a database turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Ours, and now of the newest version.
    Ready,
    /// Ours, of a version from the future.
    Newer(i64),
    /// Not ours.
    Foreign,
}

/// The newest version.
pub(super) fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// Brings a database to the newest version, or says why it cannot be. All in one transaction: another process sees
/// either the old or the new schema, and so does the next start after a crash.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<Found> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = step_up(&transaction)?;
    if found == Found::Ready {
        transaction.commit()?;
    }
    Ok(found)
}

fn step_up(transaction: &Transaction<'_>) -> rusqlite::Result<Found> {
    let number = |pragma| transaction.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    let is_empty = tables == 0 && application == 0 && version == 0;
    if !is_empty && application != APPLICATION_ID {
        return Ok(Found::Foreign);
    }
    if version > known() {
        return Ok(Found::Newer(version));
    }
    let done = usize::try_from(version).unwrap_or_default();
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known())?;
    Ok(Found::Ready)
}
