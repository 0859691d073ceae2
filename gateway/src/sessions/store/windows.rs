//! Windows.

use super::{Store, flag, text, unknown};
use sealgate_schema::Text;
use sqlx::{Row, any::AnyRow};

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

impl Store {
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

    /// All windows, oldest first.
    pub async fn windows(&self) -> Result<Vec<Window>, sqlx::Error> {
        let rows = sqlx::query("SELECT id, title, opened, closes, standing, state FROM windows ORDER BY opened, id");
        rows.fetch_all(&self.pool).await?.iter().map(window).collect()
    }
}

fn window(row: &AnyRow) -> Result<Window, sqlx::Error> {
    let state: String = row.try_get("state")?;
    let states = [WindowState::Open, WindowState::Closing, WindowState::Sealed];
    Ok(Window {
        id: text(row, "id")?,
        title: text(row, "title")?,
        opened: row.try_get("opened")?,
        closes: row.try_get("closes")?,
        standing: flag(row, "standing")?,
        state: states.into_iter().find(|known| known.as_str() == state).ok_or_else(|| unknown("windows.state", &state))?,
    })
}
