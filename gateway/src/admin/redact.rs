//! Erasures and legal holds over the admin socket. The evidence of each is its entry in the windows log.

use super::{
    Answer, Body, Failure, Gate,
    api::{self, Erase, EraseRows, ErasedView, HoldView, SetHold, Shred},
    body,
};
use crate::{
    app::Gateway,
    clock::rfc3339,
    ledger::{
        part::PartError,
        redact::{RedactError, Rows, Selection, Warrant},
    },
};
use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use std::sync::Arc;

impl From<RedactError> for Failure {
    fn from(error: RedactError) -> Self {
        let status = match &error {
            RedactError::Invalid(_) => StatusCode::BAD_REQUEST,
            RedactError::NotFound(_) => StatusCode::NOT_FOUND,
            RedactError::Conflict(_) | RedactError::Damaged(_) | RedactError::Part(PartError::Disagreement(..)) => {
                StatusCode::CONFLICT
            }
            RedactError::Part(_) | RedactError::Log(_) | RedactError::Encoding(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

impl TryFrom<&api::Warrant> for Warrant {
    type Error = RedactError;
    fn try_from(warrant: &api::Warrant) -> Result<Self, RedactError> {
        Self::new(&warrant.authority, &warrant.reason)
    }
}

pub(super) async fn erase(State(gateway): Gate, Path(id): Path<String>, request: Body<Erase>) -> Answer<ErasedView> {
    let request = body(request)?;
    let rows = match request.rows {
        EraseRows::Seq(seq) => Rows::Record(seq),
        EraseRows::Call(call) => Rows::Call(call),
        EraseRows::Session(id) => Rows::Session(id),
        EraseRows::All => Rows::All,
    };
    let selection = Selection::new(rows, &request.fields)?;
    let warrant = request.warrant.as_ref().map(Warrant::try_from).transpose()?;
    let erased = blocking(&gateway, move |gateway| gateway.redactor.erase(&id, &selection, warrant.as_ref())).await?;
    Ok(Json(ErasedView { records: erased.records.into_iter().collect(), fields: erased.fields, files: erased.files }))
}

pub(super) async fn shred(State(gateway): Gate, Path(id): Path<String>, request: Body<Shred>) -> Answer<()> {
    let warrant = Warrant::try_from(&body(request)?.warrant)?;
    Ok(Json(blocking(&gateway, move |gateway| gateway.redactor.shred(&id, &warrant)).await?))
}

pub(super) async fn hold(State(gateway): Gate, Path(id): Path<String>, request: Body<SetHold>) -> Answer<()> {
    let request = body(request)?;
    let warrant = Warrant::try_from(&request.warrant)?;
    Ok(Json(blocking(&gateway, move |gateway| gateway.redactor.hold(&id, request.set, &warrant)).await?))
}

pub(super) async fn holds(State(gateway): Gate) -> Answer<Vec<HoldView>> {
    let windows = blocking(&gateway, |gateway| gateway.redactor.windows()).await?;
    let view = |(window, hold): (String, sealgate_schema::windows::Hold)| HoldView {
        window,
        since: rfc3339(hold.time),
        authority: hold.authority,
        reason: hold.reason,
    };
    Ok(Json(windows.into_iter().filter_map(|(name, window)| Some(view((name, window.hold?)))).collect()))
}

/// Off the runtime's threads, in a task of its own: a client that goes away in the middle changes nothing.
async fn blocking<T: Send + 'static>(
    gateway: &Arc<Gateway>,
    act: impl FnOnce(&Gateway) -> Result<T, RedactError> + Send + 'static,
) -> Result<T, Failure> {
    let held = gateway.clone();
    let done = gateway.tasks.spawn_blocking(move || act(&held)).await;
    Ok(done.map_err(|error| Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??)
}
