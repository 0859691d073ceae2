//! The accounts, and whether their sources give a credential. No credential goes over the socket: only its public id.

use super::{Answer, Failure, Gate, api::AccountView};
use crate::{
    clock::rfc3339,
    egress::credentials::{self, SourceError},
};
use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use std::time::{SystemTime, UNIX_EPOCH};

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let status = if error.is_askers() { StatusCode::NOT_FOUND } else { StatusCode::SERVICE_UNAVAILABLE };
        Self(status, error.to_string())
    }
}

pub(super) async fn list(State(gateway): Gate) -> Json<Vec<AccountView>> {
    Json(gateway.sources.views().iter().map(view).collect())
}

pub(super) async fn check(State(gateway): Gate, Path(name): Path<String>) -> Answer<AccountView> {
    Ok(Json(view(&gateway.sources.probe(&name).await?)))
}

fn view(account: &credentials::AccountView) -> AccountView {
    let credentials::AccountView { name, source, account, roles, direct, access_key_id, expires, assumed, trouble } =
        account.clone();
    let expires = expires.map(time);
    AccountView {
        name,
        source,
        account,
        roles,
        direct,
        access_key_id,
        expires,
        assumed,
        trouble: trouble.map(|why| why.to_string()),
    }
}

fn time(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
