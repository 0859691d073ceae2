//! What a start makes of a store and of ledgers that a crash left at different steps.
//!
//! The ledger is written before the store, so it is the ledger that is right.

use super::{
    SessionError,
    store::{Store, Window, WindowState},
    windows::standing_window,
};
use crate::ledger::journal::Standing;
use sealgate_schema::Text;
use std::collections::BTreeMap;

/// All windows, as the ledgers say they stand.
pub(super) async fn windows(
    store: &Store,
    open_ledgers: &[Standing],
    is_sealed: &dyn Fn(&str) -> bool,
    now: i64,
) -> Result<BTreeMap<Text, Window>, SessionError> {
    let mut windows = BTreeMap::new();
    for mut window in store.windows().await? {
        let in_journal = open_ledgers.iter().any(|standing| *standing.chain.ledger().window() == window.id);
        if window.state != WindowState::Sealed && !in_journal {
            if !is_sealed(&window.id) {
                return Err(SessionError::Conflict(format!(
                    "window {} is open, but the journal does not know it: the journal was removed or is another home's",
                    window.id
                )));
            }
            // A crash came between the seal and the store.
            window.state = WindowState::Sealed;
            store.set_window_state(&window.id, WindowState::Sealed).await?;
        }
        windows.insert(window.id.clone(), window);
    }
    for standing in open_ledgers {
        let id = standing.chain.ledger().window();
        if !windows.contains_key(id) {
            // A crash came between the ledger and the store. The one who asked was told nothing, so the window is over now.
            let window = recovered(id.clone(), now);
            store.add_window(&window).await?;
            windows.insert(id.clone(), window);
        }
    }
    Ok(windows)
}

fn recovered(id: Text, now: i64) -> Window {
    if id.starts_with("day-") {
        return standing_window(id, now);
    }
    Window { id, title: "(recovered)".into(), opened: now, closes: now, standing: false, state: WindowState::Open }
}
