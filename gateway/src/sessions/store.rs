//! Windows and sessions on disk: SQLite through sqlx, in SQL that PostgreSQL takes too.
//!
//! The store is what a restart starts from. It is not evidence: that is the ledger, which is written first.

use sealgate_policies::session::{Opening, PrincipalKind, Session, Status};
use sealgate_schema::Text;
use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use std::path::Path;

/// Connections to the database: administrative acts are few.
const CONNECTIONS_MAX: u32 = 2;

/// Where a window stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowState {
    /// It takes sessions and calls.
    Open,
    /// It takes no calls any more; its seal is not on disk yet.
    Closing,
    /// Its seal is on disk.
    Sealed,
}

impl WindowState {
    /// The word in listings and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Sealed => "sealed",
        }
    }
}

/// A named interval.
#[derive(Debug, Clone)]
pub struct Window {
    /// Its name.
    pub id: Text,
    /// What it is for.
    pub title: Text,
    /// When it was opened, in microseconds since 1970 UTC.
    pub opened: i64,
    /// When it closes by itself.
    pub closes: i64,
    /// Whether it is the gateway's own window of a day.
    pub standing: bool,
    /// Where it stands.
    pub state: WindowState,
}

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the database, and makes it where it is not there.
    pub async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options).await?;
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS windows (id TEXT PRIMARY KEY, title TEXT NOT NULL, opened BIGINT NOT NULL, \
             closes BIGINT NOT NULL, standing BIGINT NOT NULL, state TEXT NOT NULL)",
        )
        .execute(&pool)
        .await?;
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, window_id TEXT NOT NULL REFERENCES windows(id), \
             principal TEXT NOT NULL, principal_kind TEXT NOT NULL, acting_for TEXT, reason TEXT NOT NULL, \
             opened BIGINT NOT NULL, expires BIGINT NOT NULL, status TEXT NOT NULL, basis TEXT NOT NULL, account TEXT, role TEXT, \
             break_glass BIGINT NOT NULL)",
        )
        .execute(&pool)
        .await?;
        Ok(Self { pool })
    }

    /// Its connections, for tables that others keep here.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Adds a window.
    pub async fn add_window(&self, window: &Window) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO windows (id, title, opened, closes, standing, state) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(window.id.as_str())
            .bind(window.title.as_str())
            .bind(window.opened)
            .bind(window.closes)
            .bind(i64::from(window.standing))
            .bind(window.state.as_str())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Moves a window on.
    pub async fn set_window_state(&self, id: &str, state: WindowState) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE windows SET state = $1 WHERE id = $2").bind(state.as_str()).bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// Adds a session.
    pub async fn add_session(&self, session: &Session) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO sessions (id, window_id, principal, principal_kind, acting_for, reason, opened, expires, status, \
             basis, account, role, break_glass) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9, $10, $11, $12)",
        )
        .bind(session.id.as_str())
        .bind(session.window.as_str())
        .bind(session.principal.as_str())
        .bind(session.principal_kind.as_str())
        .bind(session.acting_for.as_deref())
        .bind(session.reason.as_str())
        .bind(session.opened)
        .bind(session.expires())
        .bind(session.basis.as_str())
        .bind(session.account.as_deref())
        .bind(session.role.as_deref())
        .bind(i64::from(session.break_glass))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Ends a session.
    pub async fn end_session(&self, id: &str, how: Status) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE sessions SET status = $1 WHERE id = $2").bind(how.as_str()).bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// All windows, oldest first.
    pub async fn windows(&self) -> Result<Vec<Window>, sqlx::Error> {
        let rows = sqlx::query("SELECT id, title, opened, closes, standing, state FROM windows ORDER BY opened, id");
        rows.fetch_all(&self.pool).await?.iter().map(window).collect()
    }

    /// All sessions, oldest first, with the end that was written down.
    pub async fn sessions(&self) -> Result<Vec<Session>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT id, window_id, principal, principal_kind, acting_for, reason, opened, expires, status, basis, account, role, \
             break_glass FROM sessions ORDER BY opened, id",
        );
        rows.fetch_all(&self.pool).await?.iter().map(session).collect()
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn window(row: &SqliteRow) -> Result<Window, sqlx::Error> {
    let state: String = row.try_get("state")?;
    let states = [WindowState::Open, WindowState::Closing, WindowState::Sealed];
    Ok(Window {
        id: row.try_get::<String, _>("id")?.into(),
        title: row.try_get::<String, _>("title")?.into(),
        opened: row.try_get("opened")?,
        closes: row.try_get("closes")?,
        standing: row.try_get::<i64, _>("standing")? != 0,
        state: states.into_iter().find(|known| known.as_str() == state).ok_or_else(|| unknown("windows.state", &state))?,
    })
}

fn session(row: &SqliteRow) -> Result<Session, sqlx::Error> {
    let kind: String = row.try_get("principal_kind")?;
    let status: String = row.try_get("status")?;
    let text = |column: &str| row.try_get::<String, _>(column).map(Text::from);
    let optional = |column: &str| row.try_get::<Option<String>, _>(column).map(|text| text.map(Text::from));
    let session = Session::open(Opening {
        id: text("id")?,
        window: text("window_id")?,
        principal: text("principal")?,
        principal_kind: kind.parse::<PrincipalKind>().map_err(|_| unknown("sessions.principal_kind", &kind))?,
        acting_for: optional("acting_for")?,
        basis: text("basis")?,
        account: optional("account")?,
        role: optional("role")?,
        break_glass: row.try_get::<i64, _>("break_glass")? != 0,
        reason: text("reason")?,
        opened: row.try_get("opened")?,
        expires: row.try_get("expires")?,
    });
    session.end(Status::parse(&status).ok_or_else(|| unknown("sessions.status", &status))?);
    Ok(session)
}

fn unknown(column: &str, value: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{column} holds {value:?}, which this version does not know").into())
}
