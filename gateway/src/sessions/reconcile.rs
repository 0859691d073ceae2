//! What a start makes of a store and of ledgers that a crash left at different steps.
//!
//! The ledger is written before the store, so it is the ledger that is right.

use super::{
    Ledgers, SessionError,
    grants::Effect,
    store::{Store, Window, WindowState},
    windows::standing_window,
};
use sealgate_schema::Text;
use std::collections::BTreeMap;

/// All windows, as the ledgers say they stand.
pub(super) async fn windows(store: &Store, ledgers: &Ledgers<'_>, now: i64) -> Result<BTreeMap<Text, Window>, SessionError> {
    let mut windows = BTreeMap::new();
    for mut window in store.windows().await? {
        let in_journal = ledgers.open.iter().any(|standing| *standing.chain.ledger().window() == window.id);
        if window.state != WindowState::Sealed && !in_journal {
            if !(ledgers.is_sealed)(&window.id) {
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
    for standing in ledgers.open {
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

/// Tells of each grant that is not in effect whether its record is there. A ledger is read only where there is such a one.
pub(super) fn effects(effects: &mut BTreeMap<Text, Effect>, ledgers: &Ledgers<'_>) -> Result<(), SessionError> {
    for (request, effect) in effects {
        let led_from = (ledgers.led_from)(effect.window()).map_err(SessionError::Conflict)?;
        effect.found(led_from.contains(request.as_str()));
    }
    Ok(())
}

fn recovered(id: Text, now: i64) -> Window {
    if id.starts_with("day-") {
        return standing_window(id, now);
    }
    Window { id, title: "(recovered)".into(), opened: now, closes: now, standing: false, state: WindowState::Open }
}
