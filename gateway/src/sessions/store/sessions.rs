//! Sessions.

use super::{Store, flag, join, optional, split, text, unknown};
use sealgate_policies::session::{Opening, PrincipalKind, Session, Status};
use sealgate_schema::Text;
use sqlx::{AnyConnection, Row, any::AnyRow};

/// Whether those who are to be told of a break-glass session were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Not yet.
    Owed,
    /// They were, or nobody is to be told.
    Sent,
    /// They could not be told.
    Failed,
}

impl Notice {
    const ALL: [Self; 3] = [Self::Owed, Self::Sent, Self::Failed];

    /// The word in the store and in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owed => "owed",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

/// A session, and what the store has of it beside.
#[derive(Debug)]
pub struct StoredSession {
    /// The session, with the end that was written down.
    pub session: Session,
    /// Whether its `session_open` record is known to be on disk. One of which that is not known has not taken effect.
    pub recorded: bool,
    /// Names of who opened it.
    pub opener: Vec<Text>,
    /// Who reviewed it.
    pub reviewer: Option<Text>,
    /// Whether those who are to be told of it were.
    pub notice: Option<Notice>,
}

impl Store {
    /// Adds a session.
    pub async fn add_session(&self, session: &StoredSession) -> Result<(), sqlx::Error> {
        insert(&mut *self.pool.acquire().await?, session).await
    }

    /// Notes that a session's `session_open` record is on disk.
    pub async fn set_recorded(&self, id: &str) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE sessions SET recorded = 1 WHERE id = $1").bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// Ends a session.
    pub async fn end_session(&self, id: &str, how: Status) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE sessions SET status = $1 WHERE id = $2").bind(how.as_str()).bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// Moves a session's end.
    pub async fn set_expires(&self, id: &str, expires: i64) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE sessions SET expires = $1 WHERE id = $2").bind(expires).bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// Notes who reviewed a session.
    pub async fn set_reviewer(&self, id: &str, reviewer: &str) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE sessions SET reviewer = $1 WHERE id = $2").bind(reviewer).bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// Notes whether those who are to be told of a session were.
    pub async fn set_notice(&self, id: &str, notice: Notice) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE sessions SET notice = $1 WHERE id = $2").bind(notice.as_str()).bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// All sessions, oldest first.
    pub async fn sessions(&self) -> Result<Vec<StoredSession>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT id, window_id, principal, principal_kind, acting_for, reason, opened, expires, status, basis, account, role, \
             break_glass, opened_by, request_id, rule_name, recorded, opener, reviewer, notice FROM sessions ORDER BY opened, id",
        );
        rows.fetch_all(&self.pool).await?.iter().map(stored).collect()
    }
}

/// Adds a session, in a transaction where the connection is in one.
pub(super) async fn insert(connection: &mut AnyConnection, stored: &StoredSession) -> Result<(), sqlx::Error> {
    let session = &stored.session;
    sqlx::query(
        "INSERT INTO sessions (id, window_id, principal, principal_kind, acting_for, reason, opened, expires, status, basis, \
         account, role, break_glass, opened_by, request_id, rule_name, recorded, opener, reviewer, notice) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
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
    .bind(session.opened_by.as_str())
    .bind(session.request.as_deref())
    .bind(session.rule.as_deref())
    .bind(i64::from(stored.recorded))
    .bind(join(&stored.opener))
    .bind(stored.reviewer.as_deref())
    .bind(stored.notice.map(Notice::as_str))
    .execute(connection)
    .await?;
    Ok(())
}

fn stored(row: &AnyRow) -> Result<StoredSession, sqlx::Error> {
    let session = session(row)?;
    let notice: Option<String> = row.try_get("notice")?;
    let notice = notice.map(|word| {
        let known = Notice::ALL.into_iter().find(|notice| notice.as_str() == word);
        known.ok_or_else(|| unknown("sessions.notice", &word))
    });
    let reviewer = optional(row, "reviewer")?;
    if reviewer.is_some() {
        session.review();
    }
    Ok(StoredSession {
        session,
        recorded: flag(row, "recorded")?,
        opener: split(&text(row, "opener")?),
        reviewer,
        notice: notice.transpose()?,
    })
}

fn session(row: &AnyRow) -> Result<Session, sqlx::Error> {
    let kind: String = row.try_get("principal_kind")?;
    let status: String = row.try_get("status")?;
    let session = Session::open(Opening {
        id: text(row, "id")?,
        window: text(row, "window_id")?,
        principal: text(row, "principal")?,
        principal_kind: kind.parse::<PrincipalKind>().map_err(|_| unknown("sessions.principal_kind", &kind))?,
        acting_for: optional(row, "acting_for")?,
        basis: text(row, "basis")?,
        account: optional(row, "account")?,
        role: optional(row, "role")?,
        break_glass: flag(row, "break_glass")?,
        opened_by: text(row, "opened_by")?,
        request: optional(row, "request_id")?,
        rule: optional(row, "rule_name")?,
        reason: text(row, "reason")?,
        opened: row.try_get("opened")?,
        expires: row.try_get("expires")?,
    });
    session.end(Status::parse(&status).ok_or_else(|| unknown("sessions.status", &status))?);
    Ok(session)
}
