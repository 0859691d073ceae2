//! Containment of role chains: an answer that hands out a real credential gives the client another one for it, and the real one
//! stays inside. What the client then signs with that one is signed again with the real one, and ends with the session.
//!
//! Where containment is off, the answer goes out as it came, and the credential's id is learnt: calls signed with it are tied to
//! the session by `lineage`. An answer that should hold a credential and can't be read goes out to nobody.

use crate::{app::Gateway, broker::Brokered, sessions::SessionError};
use bytes::Bytes;
use http::{header, response::Parts};
use sealgate_policies::{
    issued::{self, CannotRead, Kind},
    session::Session,
};
use std::sync::Arc;

/// Whose call it was that got a credential.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What it asked for.
    pub kind: Kind,
    /// In which session.
    pub session: Arc<Session>,
    /// With which credential, where it was one that was issued here.
    pub parent: Option<Arc<Brokered>>,
}

/// Why an answer goes out to nobody.
#[derive(Debug, thiserror::Error)]
pub enum ContainError {
    /// Its credential could not be found in it.
    #[error("the answer hands out a credential, which can't be kept inside: {0}; the call was done")]
    Unreadable(#[from] CannotRead),
    /// The credential that the client is to get could not be made.
    #[error("the answer hands out a credential, and none could be made for the client: {0}; the call was done")]
    Broker(#[from] SessionError),
}

/// The body that the client gets for a whole answer. The header fields that speak of the body follow it.
pub async fn contain(gateway: &Gateway, asked: &Asked, head: &mut Parts, body: Bytes) -> Result<Bytes, ContainError> {
    if !head.status.is_success() {
        return Ok(body);
    }
    let encoding = head.headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let Some(received) = issued::read(asked.kind, encoding, &body)? else {
        return Ok(body);
    };
    if !gateway.config.contain {
        gateway.broker.learn(asked.parent.as_ref(), &asked.session, asked.kind, &received).await?;
        return Ok(body);
    }
    let child = gateway.broker.adopt(asked.parent.as_ref(), &asked.session, asked.kind, &received).await?;
    let replaced = issued::replace(&body, &received, &child.handed_out());
    head.headers.remove(header::CONTENT_LENGTH);
    Ok(replaced.into())
}
