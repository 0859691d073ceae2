//! What of a session arrived here: for `sealgate doctor`, which compares it with where a command connected.
//!
//! Read from the evidence, not from a memory of its own: what is not written down did not come through.

use super::{
    Answer, Body, Failure, Gate,
    api::{Arrival, Arrivals, Arrived, LookForArrivals},
    body,
};
use crate::{app::Gateway, limits::ARRIVALS_MAX};
use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use sealgate_schema::{
    Text,
    id::LedgerId,
    parquet::{self, Rows},
    record::{Kind, Record},
    seal::Table,
};
use std::{
    fs, io,
    net::{SocketAddr, ToSocketAddrs},
    path,
    sync::Arc,
};

/// Cuts a part and reads the newest ones: the session's window, and the day's for connections that named no session.
pub(super) async fn arrivals(State(gateway): Gate, Path(id): Path<String>, request: Body<LookForArrivals>) -> Answer<Arrivals> {
    let since = body(request)?.since;
    let now = gateway.clock.now();
    let session = gateway.sessions.session(&id)?;
    let mut windows = vec![session.window.clone()];
    windows.extend(gateway.sessions.standing_window().map(|window| (*window).clone()).filter(|day| *day != session.window));
    if since.is_some() {
        gateway.ledger.cut().await?;
    }
    let looking = gateway.clone();
    let looked = tokio::task::spawn_blocking(move || look(&looking, &id, &windows, since)).await;
    let failed = |error: &dyn std::fmt::Display| Failure(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    let (arrivals, upstreams) = looked.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    Ok(Json(Arrivals { time: now, listen: vec![gateway.listen.to_string()], upstreams, arrivals }))
}

fn look(gateway: &Arc<Gateway>, id: &str, windows: &[Text], since: Option<i64>) -> io::Result<(Vec<Arrival>, Vec<String>)> {
    let routes = gateway.config.route.iter();
    // A name that can't be resolved now is one that nobody reaches now.
    let resolved: Vec<SocketAddr> = routes.filter_map(|route| route.to.to_socket_addrs().ok()).flatten().collect();
    let upstreams = resolved.iter().map(SocketAddr::to_string).collect();
    let Some(since) = since else { return Ok((Vec::new(), upstreams)) };
    let mut arrivals = Vec::new();
    for window in windows {
        let ledger = LedgerId::new(gateway.name.clone(), window.clone()).map_err(io::Error::other)?;
        for record in newest(gateway, &ledger, since)? {
            let fields = &record.fields;
            let ours = fields.session.as_deref().is_none_or(|session| session == id);
            if let Some(arrival) = arrival(&record).filter(|_| ours && arrivals.len() < ARRIVALS_MAX) {
                arrivals.push(arrival);
            }
        }
    }
    Ok((arrivals, upstreams))
}

/// Records of a ledger since a time, from its newest files back.
fn newest(gateway: &Gateway, ledger: &LedgerId, since: i64) -> io::Result<Vec<Record>> {
    let folder = gateway.log.folder().parent().unwrap_or(path::Path::new(".")).join(ledger.window().as_str());
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let first_seq = |name: &str| name.strip_prefix("records-")?.strip_suffix(".parquet")?.parse::<u64>().ok();
    let mut files: Vec<u64> = entries.filter_map(|entry| first_seq(entry.ok()?.file_name().to_str()?)).collect();
    files.sort_unstable();
    let mut found = Vec::new();
    for first in files.into_iter().rev() {
        let bytes = fs::read(folder.join(Table::Records.file_name(first)))?;
        let Rows::Records(rows) = parquet::read(Table::Records, ledger, first, &bytes.into()).rows else { continue };
        let oldest = rows.first().map(|row| row.record.time);
        found.extend(rows.into_iter().map(|row| row.record).filter(|record| record.time >= since));
        if oldest.is_some_and(|oldest| oldest < since) {
            break;
        }
    }
    found.sort_by_key(|record| record.seq);
    Ok(found)
}

fn arrival(record: &Record) -> Option<Arrival> {
    let fields = &record.fields;
    let rule = fields.rules.first().map(|rule| rule.as_str());
    let what = match (&fields.kind, fields.decision.as_deref()) {
        (Kind::Intent, Some("tunnel")) => Arrived::Tunnel,
        (Kind::Intent, _) => Arrived::Call,
        (Kind::Refusal, _) if rule == Some("tls-handshake") => Arrived::Handshake,
        (Kind::Refusal, _) => Arrived::Refusal,
        _ => return None,
    };
    let text = |text: &Option<Text>| text.as_deref().map(str::to_owned);
    let detail = fields.detail.as_deref().and_then(|detail| serde_json::from_str::<serde_json::Value>(detail).ok());
    Some(Arrival {
        what,
        session: text(&fields.session),
        client: text(&fields.client_addr).unwrap_or_default(),
        host: text(&fields.host),
        operation: text(&fields.operation),
        rule: rule.map(str::to_owned),
        message: detail.and_then(|detail| detail.get("message")?.as_str().map(str::to_owned)),
    })
}
