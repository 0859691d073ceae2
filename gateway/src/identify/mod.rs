//! Who is calling: the proxy credential of a connection, or its client certificate → a session.
//!
//! That ties a connection to a session (attribution `token` or `certificate`). What ties a call is stronger: the credential that
//! signed it ([`signer`]).

pub mod signer;

use crate::{
    app::Gateway,
    ledger::LedgerError,
    principals::{Identity, Presented},
};
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
    /// What ties the session to the connection, as in the `attribution` column: `token`, `certificate` or `none`.
    pub tie: &'static str,
    /// Peer address.
    pub address: Text,
}

/// Why the proxy credential was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// The client certificate is nobody's whom the directory knows.
    #[error("{0}")]
    Certificate(String),
    /// The certificate's principal has no session that it may use.
    #[error("{0} has no open session: open one, or have one approved, for this principal")]
    NoSession(Text),
    /// It has several.
    #[error("{principal} has {open} open sessions: name one as the user of the proxy URL, as in https://SESSION@HOST:PORT")]
    WhichSession {
        /// Who.
        principal: Text,
        /// How many.
        open: usize,
    },
    /// The session is somebody else's.
    #[error("session {session} is not {principal}'s, whose certificate this is")]
    NotTheirs {
        /// The session that was named.
        session: String,
        /// Whose certificate it is.
        principal: Text,
    },
}

impl Caller {
    /// Reads `Proxy-Authorization`, and takes the client certificate into account.
    pub fn of(
        gateway: &Gateway,
        headers: &HeaderMap,
        peer: SocketAddr,
        certificate: Option<&Presented>,
    ) -> Result<Self, CredentialError> {
        let address: Text = peer.to_string().into();
        let credential = headers.get(header::PROXY_AUTHORIZATION).map(|value| basic(value.as_bytes()));
        let credential = credential.map(|read| read.ok_or(CredentialError::Malformed)).transpose()?;
        if let Some(presented) = certificate {
            let identity = presented.as_ref().as_ref().map_err(|error| CredentialError::Certificate(error.to_string()))?;
            let (session, tie) = by_certificate(gateway, identity, credential)?;
            return Ok(Self { session: Some(session), tie, address });
        }
        let Some((session, token)) = credential else {
            return match gateway.config.sessionless {
                Sessionless::Record => Ok(Self { session: None, tie: "none", address }),
                Sessionless::Refuse => Err(CredentialError::Missing),
            };
        };
        let session = gateway.sessions.authenticate(&session, &token).ok_or(CredentialError::Wrong)?;
        Ok(Self { session: Some(session), tie: "token", address })
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
        fields.attribution = Some(self.tie.into());
        if let Some(session) = &self.session {
            crate::sessions::describe(session, fields);
        }
    }
}

/// The session of a certificate's principal: the named one, or the only one. A token that comes with it has to be right too.
fn by_certificate(
    gateway: &Gateway,
    identity: &Identity,
    credential: Option<(String, zeroize::Zeroizing<String>)>,
) -> Result<(Arc<Session>, &'static str), CredentialError> {
    let principal = || identity.principal.clone();
    let theirs = |session: &Arc<Session>| session.principal == identity.principal && session.principal_kind == identity.kind;
    if let Some((id, token)) = credential {
        let found = match token.is_empty() {
            true => gateway.sessions.session(&id).ok(),
            false => Some(gateway.sessions.authenticate(&id, &token).ok_or(CredentialError::Wrong)?),
        };
        let tie = if token.is_empty() { "certificate" } else { "token" };
        let session = found.filter(theirs).ok_or_else(|| CredentialError::NotTheirs { session: id, principal: principal() })?;
        return Ok((session, tie));
    }
    let mut open = gateway.sessions.open_of(&identity.principal, identity.kind);
    match (open.pop(), open.len()) {
        (Some(session), 0) => Ok((session, "certificate")),
        (None, _) => Err(CredentialError::NoSession(principal())),
        (Some(_), others) => Err(CredentialError::WhichSession { principal: principal(), open: others + 1 }),
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
