//! Change windows, and the gateway's own window of a day: opened, closed, sealed.

use super::{
    SessionError, Sessions, Table, check_text,
    ending::begin_end,
    store::{Window, WindowState},
    terms::time_box,
};
use crate::{clock::rfc3339, ledger::LedgerError, limits::STANDING_WINDOWS_MAX};
use sealgate_policies::session::Status;
use sealgate_schema::{Text, id::check_name};
use serde_json::json;
use std::sync::Arc;

impl Sessions {
    /// Opens a change window.
    pub async fn open_window(
        &self,
        id: &str,
        title: &str,
        duration: jiff::SignedDuration,
        actor: &str,
    ) -> Result<Window, SessionError> {
        check_name("window", id).map_err(|error| SessionError::Invalid(error.to_string()))?;
        check_text("title", title)?;
        if id.starts_with("day-") {
            return Err(SessionError::Invalid("names that start with day- are the gateway's own; choose another".to_owned()));
        }
        let opened = self.clock.now();
        let closes = opened.saturating_add(time_box(duration)?);
        let window = Window {
            id: id.to_owned().into(),
            title: title.to_owned().into(),
            opened,
            closes,
            standing: false,
            state: WindowState::Open,
        };
        self.add_window(window, actor).await
    }

    async fn add_window(&self, window: Window, actor: &str) -> Result<Window, SessionError> {
        let detail = json!({ "title": window.title.as_str(), "closes": rfc3339(window.closes), "by": actor });
        self.ledger.open_window(window.id.clone(), detail.to_string().into()).await?;
        // From here on the window exists, whatever becomes of the store: the next start learns of it from the ledger.
        self.table_mut().windows.insert(window.id.clone(), window.clone());
        self.store.add_window(&window).await?;
        Ok(window)
    }

    /// Closes a window: ends its sessions, waits for its calls, seals it.
    pub async fn close_window(&self, id: &str, actor: &str) -> Result<(), SessionError> {
        self.begin_close(id, actor)?;
        self.seal_window(id, actor).await
    }

    /// Seals a window that takes no calls any more. Can be tried again.
    async fn seal_window(&self, id: &str, actor: &str) -> Result<(), SessionError> {
        self.store.set_window_state(id, WindowState::Closing).await?;
        self.finish_ends().await?;
        self.finish_lapses().await?;
        self.ledger.close_window(id.to_owned().into(), json!({ "by": actor })).await?;
        self.set_state(id, WindowState::Sealed);
        self.store.set_window_state(id, WindowState::Sealed).await?;
        Ok(())
    }

    /// Marks the window and ends its sessions, so that no new call of it is permitted from here on.
    fn begin_close(&self, id: &str, actor: &str) -> Result<(), SessionError> {
        let mut table = self.table_mut();
        let Table { windows, sessions, ends, requests, lapses, .. } = &mut *table;
        let missing = || SessionError::NotFound(format!("there is no window {id}; see: sealgate window list"));
        let window = windows.get_mut(id).ok_or_else(missing)?;
        if window.state != WindowState::Open {
            return Err(SessionError::Conflict(format!("window {id} is {} already", window.state.as_str())));
        }
        window.state = WindowState::Closing;
        let now = self.clock.now();
        let mut any = false;
        for held in sessions.values().filter(|held| held.session.window == *id) {
            any |= begin_end(&held.session, now, Status::Closed, json!({ "by": actor, "why": "the window was closed" }), ends);
        }
        for stored in requests.values_mut().filter(|stored| stored.request.terms.window == *id) {
            if stored.request.lapse() {
                lapses.insert(stored.request.id.clone());
            }
        }
        self.tell_endings(any);
        Ok(())
    }

    fn set_state(&self, id: &str, state: WindowState) {
        if let Some(window) = self.table_mut().windows.get_mut(id) {
            window.state = state;
        }
    }

    /// When a window closes, where it is open.
    pub(super) fn open_window_closes(&self, id: &str, now: i64) -> Result<i64, SessionError> {
        let table = self.table();
        match table.windows.get(id) {
            None => Err(SessionError::NotFound(format!(
                "there is no window {id}; open it: sealgate window open {id} --title \"...\" --for 4h"
            ))),
            Some(window) if window.state != WindowState::Open || window.closes <= now => Err(SessionError::Conflict(format!(
                "window {id} is over; open another: sealgate window open NAME --title \"...\" --for 4h"
            ))),
            Some(window) => Ok(window.closes),
        }
    }

    /// Finishes what a stop interrupted: windows that were closing.
    pub async fn resume_closing(&self) -> Result<(), SessionError> {
        for window in self.windows().into_iter().filter(|window| window.state == WindowState::Closing) {
            self.seal_window(&window.id, "sealgate: after a restart").await?;
        }
        Ok(())
    }

    /// Opens the day's window where none is open. The one of the day before closes by its own time.
    pub(super) async fn standing_of(&self, date: &str) -> Result<(), SessionError> {
        let first = format!("day-{date}");
        let current = self.standing.load_full();
        let open = |id: &str| self.table().windows.get(id).map(|window| window.state == WindowState::Open);
        if current.is_some_and(|id| (**id == *first || id.starts_with(&format!("{first}."))) && open(&id) == Some(true)) {
            return Ok(());
        }
        // A day's window that is sealed already (the clock went back over midnight) gets a successor; so does one that the
        // windows log knows and the ledger does not (a crash came before its first record).
        let names = std::iter::once(first.clone()).chain((2..=STANDING_WINDOWS_MAX).map(|number| format!("{first}.{number}")));
        for id in names.filter(|id| open(id) != Some(false)).map(Text::from) {
            if open(&id).is_none() {
                match self.add_window(standing_window(id.clone(), self.clock.now()), "sealgate").await {
                    Ok(_) => {}
                    Err(SessionError::Ledger(LedgerError::WindowExists(_))) => continue,
                    Err(error) => return Err(error),
                }
            }
            self.standing.store(Some(Arc::new(id)));
            return Ok(());
        }
        Err(SessionError::Conflict(format!("{first} has {STANDING_WINDOWS_MAX} windows already: look at the clock")))
    }
}

/// The gateway's own window of a day, from now to midnight UTC.
pub(super) fn standing_window(id: Text, opened: i64) -> Window {
    const DAY: i64 = 24 * 3600 * 1_000_000;
    let closes = opened.saturating_sub(opened.rem_euclid(DAY)).saturating_add(DAY);
    Window { id, title: "calls without a session".into(), opened, closes, standing: true, state: WindowState::Open }
}
