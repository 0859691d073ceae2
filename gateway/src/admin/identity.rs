//! Handing over from one identity key to the next.
//!
//! Order: the new key's file, the log's handover, the new key in the old one's place. A crash between two of these is settled by
//! the next start, which asks the log's checkpoint whose it is ([`crate::keyring`]).

use super::{
    Failure,
    api::{KeyView, RotateKey},
};
use crate::{app::Gateway, ledger::windows_log::LogError, sessions::check_text};
use http::StatusCode;
use std::sync::{Arc, Mutex, PoisonError};

/// One handover at a time: there is one file for the next key.
static HANDOVER: Mutex<()> = Mutex::new(());

pub(super) fn rotate(gateway: &Gateway, request: RotateKey) -> Result<(), Failure> {
    let _one = HANDOVER.lock().unwrap_or_else(PoisonError::into_inner);
    let failed = |error: &dyn std::fmt::Display| Failure(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    check_text("reason", &request.reason)?;
    let next = gateway.keyring.make_next().map_err(|error| failed(&error))?;
    match gateway.log.rotate(Arc::new(next), request.reason, request.revoke_from) {
        Ok(()) => {}
        Err(error @ LogError::Refused(_)) => {
            gateway.keyring.discard_next().map_err(|error| failed(&error))?;
            return Err(Failure(StatusCode::CONFLICT, error.to_string()));
        }
        Err(error) => return Err(failed(&error)),
    }
    gateway.keyring.adopt_next().map_err(|error| failed(&error))
}

pub(super) fn list(gateway: &Gateway) -> Result<Vec<KeyView>, Failure> {
    let identities = gateway.log.identities().map_err(|error| Failure(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    let view = |identity: &sealgate_schema::windows::Identity| KeyView {
        key: identity.key.to_string(),
        from: identity.from,
        revoked_from: identity.revoked,
    };
    Ok(identities.iter().map(view).collect())
}
