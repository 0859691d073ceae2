//! The gateway killed at random moments under many clients: nothing acknowledged is lost, nothing was forwarded without an
//! intent, and every call that got no answer is listed.

use sealgate_schema::record::Kind;
use sealgate_tests::{
    check::{Evidence, window},
    client::caller_identity,
    process::{Process, Way},
    random::Random,
    setting::length,
    upstream::{Offer, Upstream, sts},
};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};
use tokio::{sync::mpsc, task::JoinSet};

const HOST: &str = "sts.us-east-1.amazonaws.com";
const WINDOW: &str = "CHG-1";
const CLIENTS: u64 = 64;
/// Kills.
const ROUNDS: (u64, u64) = (3, 60);
/// Kills of gateways in one home: all of its evidence is verified after each.
const ROUNDS_A_HOME: u64 = 4;
/// Answers before a kill, at most.
const ANSWERS_MAX: u64 = 400;

/// What clients know of their calls, by the user agent that names each.
#[derive(Default)]
struct Told {
    answered: HashSet<String>,
    unanswered: HashSet<String>,
}

/// One client: calls until the gateway is gone.
async fn calls(way: Way, name: String, answers: mpsc::UnboundedSender<()>) -> Told {
    let mut told = Told::default();
    let Ok(mut connection) = way.connect(HOST).await else { return told };
    for number in 0.. {
        let call = format!("{name}/{number}");
        let mut request = caller_identity(HOST);
        request.headers_mut().insert("user-agent", call.parse().unwrap());
        match connection.call(request).await {
            Ok(status) => {
                assert_eq!(status, 200, "{call}");
                told.answered.insert(call);
                // Nobody counts after the kill.
                let _ = answers.send(());
            }
            Err(_) => {
                told.unanswered.insert(call);
                return told;
            }
        }
    }
    told
}

/// A gateway under load, killed after some answers.
async fn round(home: &Path, number: u64, random: &mut Random) -> Told {
    let gateway = Process::start(home, &[]).expect("the gateway starts");
    if number.is_multiple_of(ROUNDS_A_HOME) {
        gateway.open_window(WINDOW).await.unwrap();
    }
    let way = gateway.open_session(WINDOW).await.unwrap();
    let (sender, mut answers) = mpsc::unbounded_channel();
    let mut clients = JoinSet::new();
    (0..CLIENTS).for_each(|client| drop(clients.spawn(calls(way.clone(), format!("{number}/{client}"), sender.clone()))));
    for _ in 0..random.below(ANSWERS_MAX) {
        answers.recv().await.expect("a client calls");
    }
    gateway.end("KILL");
    let mut told = Told::default();
    while let Some(client) = clients.join_next().await {
        let client = client.unwrap();
        told.answered.extend(client.answered);
        told.unanswered.extend(client.unanswered);
    }
    told
}

/// Calls of the evidence by user agent: their intent, and the kind of their end.
pub(crate) fn ends(evidence: &Evidence) -> HashMap<String, Option<Kind>> {
    let ends: HashMap<_, _> = evidence
        .records
        .iter()
        .filter(|record| [Kind::Outcome, Kind::OutcomeUnknown].contains(&record.fields.kind))
        .map(|record| (record.fields.call.unwrap(), record.fields.kind.clone()))
        .collect();
    let intents = evidence.of(&Kind::Intent).into_iter();
    intents.map(|intent| (intent.fields.user_agent.as_deref().unwrap().to_owned(), ends.get(&intent.seq).cloned())).collect()
}

/// After a start that cut a part: everything is there, and verifies.
fn compare(home: &Path, told: &Told, upstream: &Upstream, agents: &mut HashSet<String>) -> usize {
    let calls = ends(&window(home, WINDOW));
    for call in &told.answered {
        assert_eq!(calls.get(call), Some(&Some(Kind::Outcome)), "{call} was answered");
    }
    agents.extend(upstream.seen().iter().map(|seen| seen.headers["user-agent"].to_str().unwrap().to_owned()));
    let unanswered = told.unanswered.iter().filter(|call| calls.contains_key(*call) || agents.contains(*call));
    let listed = unanswered.inspect(|call| assert!(matches!(calls.get(*call), Some(Some(_))), "{call} left and is not listed"));
    let listed = listed.count();
    calls.iter().for_each(|(call, end)| assert!(end.is_some(), "{call} has no end"));
    listed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_killed_at_random_under_64_clients_loses_nothing_and_lists_every_call() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let route = format!("[[route]]\nhost = \"amazonaws.com\"\nto = \"{}\"\nca = \"{}\"\n", upstream.address, upstream.ca.display());
    let (mut told, mut agents) = (Told::default(), HashSet::new());
    let (mut answered, mut unanswered, mut listed) = (0, 0, 0);
    for number in 0..length(ROUNDS.0, ROUNDS.1) {
        let mut random = Random::new(number);
        let home = folder.path().join(format!("home-{}", number / ROUNDS_A_HOME));
        if number.is_multiple_of(ROUNDS_A_HOME) {
            Process::set_up(&home, &format!("{route}[ledger]\npart_records = 300\n"));
            told = Told::default();
        }
        let new = round(&home, number, &mut random).await;
        (answered, unanswered) = (answered + new.answered.len(), unanswered + new.unanswered.len());
        told.answered.extend(new.answered);
        told.unanswered.extend(new.unanswered);
        let gateway = Process::start(&home, &[]).expect("the gateway starts again");
        gateway.cut().await.unwrap();
        listed += compare(&home, &told, &upstream, &mut agents);
        if (number + 1).is_multiple_of(ROUNDS_A_HOME) {
            gateway.close_window(WINDOW).await.unwrap();
        }
        gateway.end("TERM");
        let known: HashSet<_> = ends(&window(&home, WINDOW)).into_keys().collect();
        let here: HashSet<_> = told.answered.union(&told.unanswered).cloned().collect();
        agents
            .iter()
            .filter(|call| here.contains(*call))
            .for_each(|call| assert!(known.contains(call), "{call} left without an intent"));
    }
    println!(
        "{answered} calls answered, {unanswered} not, {} requests arrived; {listed} times a call without an answer was listed",
        agents.len()
    );
    assert!(answered > 0 && unanswered > 0, "the kills came under load");
}
