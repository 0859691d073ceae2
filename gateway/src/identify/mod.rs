//! Who is calling: the proxy credential of a connection → a session.
//!
//! In this version the credential of the tunnel is all there is (attribution `token`); what the client signed with is
//! recorded as it stands, and not checked.

use crate::{app::Gateway, ledger::LedgerError};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};
use sealgate_policies::{permit::Sessionless, session::Session};
use sealgate_schema::{Text, record::Fields};
use std::{net::SocketAddr, sync::Arc};

/// Who is calling on a connection.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The session, whatever its state: each call asks again.
    pub session: Option<Arc<Session>>,
    /// Peer address.
    pub address: Text,
}

/// Why the proxy credential was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// There was none.
    #[error(
        "no proxy credential: set HTTPS_PROXY as `sealgate session env SESSION` prints it, or use `sealgate session exec SESSION -- COMMAND`"
    )]
    Missing,
    /// It is not of the form `SESSION:TOKEN`.
    #[error("the proxy credential is not SESSION:TOKEN in basic form")]
    Malformed,
    /// No session has it.
    #[error("no session has this proxy credential; `sealgate session env SESSION` prints the right one")]
    Wrong,
}

impl Caller {
    /// Reads `Proxy-Authorization`.
    pub fn of(gateway: &Gateway, headers: &HeaderMap, peer: SocketAddr) -> Result<Self, CredentialError> {
        let address: Text = peer.to_string().into();
        let Some(credential) = headers.get(header::PROXY_AUTHORIZATION) else {
            return match gateway.config.sessionless {
                Sessionless::Record => Ok(Self { session: None, address }),
                Sessionless::Refuse => Err(CredentialError::Missing),
            };
        };
        let (session, token) = basic(credential.as_bytes()).ok_or(CredentialError::Malformed)?;
        let session = gateway.sessions.authenticate(&session, &token).ok_or(CredentialError::Wrong)?;
        Ok(Self { session: Some(session), address })
    }

    /// The window whose ledger takes this caller's records.
    pub fn window(&self, gateway: &Gateway) -> Result<Text, LedgerError> {
        match &self.session {
            Some(session) => Ok(session.window.clone()),
            None => gateway.standing_window(),
        }
    }

    /// Fills in who acts and how that is known.
    pub fn describe(&self, fields: &mut Fields) {
        fields.client_addr = Some(self.address.clone());
        fields.attribution = Some(if self.session.is_some() { "token" } else { "none" }.into());
        if let Some(session) = &self.session {
            crate::sessions::describe(session, fields);
        }
    }
}

/// User and password of a basic credential. Public for the fuzz targets.
#[doc(hidden)]
pub fn basic(value: &[u8]) -> Option<(String, zeroize::Zeroizing<String>)> {
    let text = std::str::from_utf8(value).ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = zeroize::Zeroizing::new(String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?);
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), zeroize::Zeroizing::new(password.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::basic;

    #[test]
    fn only_a_basic_credential_with_both_halves_is_read() {
        assert_eq!(
            basic(b"Basic Uy0xOnRva2Vu").map(|(user, token)| (user, token.to_string())),
            Some(("S-1".into(), "token".into()))
        );
        for bad in [&b""[..], b"Basic", b"Bearer Uy0xOnRva2Vu", b"Basic Uy0x", b"Basic !!!", b"Basic \xff"] {
            assert!(basic(bad).is_none(), "{bad:?}");
        }
    }
}
