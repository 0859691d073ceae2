//! How soon a revocation is felt: streams that are open in a session, from the moment at which somebody asks for the revocation to
//! the moment at which the client sees the last of them broken.

use crate::{
    Result,
    child::Child,
    figures::short,
    load::{Stream, Way},
    product, tls, upstream,
};
use http::Method;
use http_body_util::BodyExt;
use sealgate::admin::{
    api::{OpenSession, SessionView},
    client::ask,
};
use serde_json::{Value, json};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Streams open at once in the session that ends.
const STREAMS: usize = 16;
/// How long the cut of a stream is waited for.
const CUT_WAIT: Duration = Duration::from_secs(30);

/// What is revoked.
const WHAT: [&str; 4] = ["session", "credential", "principal", "window"];

/// Revokes so many times each, and prints median and maximum.
pub(crate) async fn run(rounds: usize, folder: &Path, build: bool) -> Result<()> {
    if build {
        product::build()?;
    }
    let folder = TempDir::new_in(folder)?;
    let (_upstream, address) = Child::of_bench(&["upstream".as_ref(), folder.path().as_os_str()])?;
    let started = product::start(&folder.path().join("product"), address, &folder.path().join(upstream::CA_FILE))?;
    println!(
        "{STREAMS} streams, {rounds} revocations of each kind; milliseconds until the last stream is broken, and until the act is answered"
    );
    for what in WHAT {
        let (mut cut, mut answered) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (felt, done) = once(&started, what).await?;
            cut.push(felt.as_secs_f64() * 1e3);
            answered.push(done.as_secs_f64() * 1e3);
        }
        println!("{what:<12} cut {}   answered {}", told(cut), told(answered));
    }
    Ok(())
}

fn told(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).map_or_else(String::new, |value| short(*value));
    format!("median {} max {}", at(values.len() / 2), at(values.len().saturating_sub(1)))
}

async fn once(started: &product::Started, what: &str) -> Result<(Duration, Duration)> {
    let home = started.product.home();
    let open = OpenSession {
        window: product::WINDOW.to_owned(),
        principal: Some("streamer".to_owned()),
        duration: "1h".to_owned(),
        reason: "bench".to_owned(),
        ..OpenSession::default()
    };
    let session: SessionView = ask(home, Method::POST, "/v1/sessions", Some(&open)).await?;
    let (credential, key) = started.product.environment(&session.id)?;
    let id = key.access_key_id().to_owned();
    let way = Way { address: started.address, credential: Some(credential), tls: tls::load(&started.ca)?, key: Some(key) };
    let mut streams = JoinSet::new();
    for _ in 0..STREAMS {
        let stream = way.stream().await?;
        streams.spawn(broken(stream));
    }
    let (path, named) = match what {
        "session" => (format!("/v1/sessions/{}/revoke", session.id), json!({})),
        "credential" => (format!("/v1/credentials/{id}/revoke"), json!({})),
        "principal" => ("/v1/revocations".to_owned(), json!({ "principal": session.principal })),
        _ => ("/v1/revocations".to_owned(), json!({ "window": product::WINDOW })),
    };
    let began = Instant::now();
    ask::<Value>(home, Method::POST, &path, Some(&reasoned(named))).await?;
    let answered = began.elapsed();
    let mut last = Duration::ZERO;
    while let Some(at) = streams.join_next().await {
        last = last.max(at??.duration_since(began));
    }
    if what == "principal" {
        let allow = reasoned(json!({ "principal": session.principal }));
        ask::<Value>(home, Method::POST, "/v1/revocations/allow", Some(&allow)).await?;
    }
    Ok((last, answered))
}

fn reasoned(mut request: Value) -> Value {
    if let Some(members) = request.as_object_mut() {
        members.insert("reason".to_owned(), "bench".into());
    }
    request
}

/// When the stream broke. One that ends whole was no stream of this bench.
async fn broken(mut stream: Stream) -> Result<Instant> {
    let read = async {
        loop {
            match stream.body.frame().await {
                Some(Ok(_)) => {}
                Some(Err(_)) => return Ok(Instant::now()),
                None => return Err("the stream ended whole".into()),
            }
        }
    };
    tokio::time::timeout(CUT_WAIT, read).await.map_err(|_| "a stream was not cut")?
}
