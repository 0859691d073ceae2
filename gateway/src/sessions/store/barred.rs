//! Principals that get no session until somebody allows it again.

use super::{Store, text};
use sealgate_schema::Text;
use sqlx::Row;

/// A principal that was revoked.
#[derive(Debug, Clone)]
pub struct Barred {
    /// Who.
    pub principal: Text,
    /// Since when, in microseconds since 1970 UTC.
    pub since: i64,
    /// Who did it.
    pub by: Text,
    /// Why.
    pub reason: Text,
}

impl Store {
    /// Bars a principal; one that is barred already stays so, on the first word.
    pub async fn bar(&self, barred: &Barred) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO barred (principal, since, barred_by, reason) VALUES ($1, $2, $3, $4) ON CONFLICT (principal) DO NOTHING",
        )
        .bind(barred.principal.as_str())
        .bind(barred.since)
        .bind(barred.by.as_str())
        .bind(barred.reason.as_str())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lets a principal have sessions again.
    pub async fn unbar(&self, principal: &str) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM barred WHERE principal = $1").bind(principal).execute(&self.pool).await?;
        Ok(())
    }

    /// All that are barred.
    pub async fn barred(&self) -> Result<Vec<Barred>, sqlx::Error> {
        let rows = sqlx::query("SELECT principal, since, barred_by, reason FROM barred ORDER BY since, principal");
        let read = |row: &sqlx::any::AnyRow| {
            Ok(Barred {
                principal: text(row, "principal")?,
                since: row.try_get("since")?,
                by: text(row, "barred_by")?,
                reason: text(row, "reason")?,
            })
        };
        rows.fetch_all(&self.pool).await?.iter().map(read).collect()
    }
}
