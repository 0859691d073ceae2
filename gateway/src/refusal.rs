//! Refusals: why a call does not leave, how that is recorded, what the client is told.

use crate::{
    app::Gateway,
    egress::body::BodyError,
    exchange::Tunnel,
    identify::Caller,
    interpret::Sheet,
    ledger::{Draft, LedgerError},
    observe::AnswerBody,
    reply::{self, Problem},
};
use http::{Response, StatusCode};
use sealgate_policies::permit::Refusal;

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
            Self::Malformed(_) => "malformed",
        }
    }

    fn problem(&self) -> Problem {
        let (status, code, record_code) = match self {
            Self::Ledger(error) => return Problem::of_ledger(error),
            Self::Policy(_) => (StatusCode::FORBIDDEN, "AccessDenied", "SealgateRefused"),
            Self::Body(_) | Self::Malformed(_) => (StatusCode::BAD_REQUEST, "MalformedRequest", "SealgateMalformed"),
            Self::WrongHost { .. } => (StatusCode::MISDIRECTED_REQUEST, "MisdirectedRequest", "SealgateWrongHost"),
        };
        Problem { status, code, record_code, message: self.to_string() }
    }
}

/// Records a refusal and answers the client. A refusal that can't be recorded is answered with that error.
pub async fn refuse(tunnel: &Tunnel, mut sheet: Sheet, refused: Refused) -> Response<AnswerBody> {
    let problem = refused.problem();
    let protocol = sheet.naming().protocol;
    let draft = || sheet.refusal(problem.status.as_u16(), problem.record_code, refused.rule(), &problem.message);
    match record(&tunnel.gateway, Some(&tunnel.caller), draft).await {
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
