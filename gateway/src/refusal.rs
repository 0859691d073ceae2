//! Refusals: why a call does not leave, how that is recorded, what the client is told.

use crate::{
    app::Gateway,
    egress::{body::BodyError, credentials::SourceError},
    exchange::Tunnel,
    identify::Caller,
    interpret::Sheet,
    ledger::{Draft, LedgerError},
    observe::AnswerBody,
    reply::{self, Problem},
    sigv4::SignatureError,
};
use http::{Response, StatusCode};
use sealgate_policies::{endpoint::NoEndpoint, permit::Refusal};

/// Why a call does not leave.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The decision.
    #[error(transparent)]
    Policy(#[from] Refusal),
    /// The ledger can't take it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Its body could not be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It names another host than its tunnel leads to.
    #[error("the tunnel leads to {tunnel}, the request names {request:?}; connect to that host instead")]
    WrongHost {
        /// Host of the tunnel.
        tunnel: String,
        /// Host in the request.
        request: String,
    },
    /// Its signature does not hold.
    #[error("{0}")]
    Signature(#[from] SignatureError),
    /// It is signed with a credential of another session than its connection's.
    #[error(
        "the proxy credential is of session {connection}, the credential that signed of session {signer}; use both of one: sealgate session exec {signer} -- COMMAND"
    )]
    OtherSession {
        /// Of the connection.
        connection: String,
        /// Of the credential.
        signer: String,
    },
    /// It came to the gateway as to an endpoint, and no host could be made of what it signed.
    #[error(transparent)]
    Endpoint(#[from] NoEndpoint),
    /// It came to the gateway as to an endpoint, and is not signed with a credential that was issued here.
    #[error(
        "the gateway as an endpoint takes calls that are signed with a session's own credential, and this one is {0}; `sealgate session env SESSION --endpoint` prints what to set"
    )]
    EndpointSigner(&'static str),
    /// The credential to sign it with could not be got.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// It is not a request that can be sent on.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Refused {
    fn rule(&self) -> &'static str {
        match self {
            Self::Policy(refusal) => refusal.rule(),
            Self::Ledger(_) => "ledger",
            Self::Body(_) => "request-body",
            Self::WrongHost { .. } => "wrong-host",
            Self::Signature(_) => "signature",
            Self::OtherSession { .. } => "credential-of-another-session",
            Self::Endpoint(_) | Self::EndpointSigner(_) => "endpoint",
            Self::Source(_) => "credential-source",
            Self::Malformed(_) => "malformed",
        }
    }

    fn problem(&self) -> Problem {
        let (status, code, record_code) = match self {
            Self::Ledger(error) => return Problem::of_ledger(error),
            Self::Policy(Refusal::CredentialEnded { .. }) => (StatusCode::FORBIDDEN, "ExpiredToken", "SealgateRefused"),
            Self::Policy(_) | Self::OtherSession { .. } | Self::EndpointSigner(_) => {
                (StatusCode::FORBIDDEN, "AccessDenied", "SealgateRefused")
            }
            Self::Signature(error) => (StatusCode::FORBIDDEN, error.aws_code(), "SealgateSignature"),
            Self::Endpoint(_) => (StatusCode::BAD_REQUEST, "InvalidEndpoint", "SealgateEndpoint"),
            // SDKs try again on 503: a source that refreshes late is there the next time.
            Self::Source(_) => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "SealgateCredentialSource"),
            Self::Body(_) | Self::Malformed(_) => (StatusCode::BAD_REQUEST, "MalformedRequest", "SealgateMalformed"),
            Self::WrongHost { .. } => (StatusCode::MISDIRECTED_REQUEST, "MisdirectedRequest", "SealgateWrongHost"),
        };
        Problem { status, code, record_code, message: self.to_string() }
    }
}

/// Records a refusal and answers the client. A refusal that can't be recorded is answered with that error.
pub async fn refuse(tunnel: &Tunnel, mut sheet: Sheet, refused: Refused) -> Response<AnswerBody> {
    let problem = refused.problem();
    let (protocol, caller) = (sheet.naming().protocol, sheet.caller().clone());
    let draft = || sheet.refusal(problem.status.as_u16(), problem.record_code, refused.rule(), &problem.message);
    match record(&tunnel.gateway, Some(&caller), draft).await {
        Ok(id) => reply::error(protocol, &problem, &id),
        Err(error) => reply::error(protocol, &Problem::of_ledger(&error), "unrecorded"),
    }
}

/// Writes a refusal into the caller's window, or into the day's where that is over. Returns the place as `WINDOW.SEQ`.
pub async fn record(gateway: &Gateway, caller: Option<&Caller>, mut draft: impl FnMut() -> Draft) -> Result<String, LedgerError> {
    if let Some(session) = caller.and_then(|caller| caller.session.as_ref()) {
        match gateway.ledger.record(session.window.clone(), draft()).await {
            Ok(placed) => return Ok(format!("{}.{}", session.window, placed.seq)),
            Err(LedgerError::WindowClosed(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let window = gateway.standing_window()?;
    let placed = gateway.ledger.record(window.clone(), draft()).await?;
    Ok(format!("{window}.{}", placed.seq))
}
