//! Who is told of break-glass: a command, a webhook, both. However that goes, the session is open; a notification that failed is on
//! record and in `sealgate status`.
//!
//! At least once: one that a stop or a crash kept from being sent is sent by the next start.

use super::{SessionError, Sessions, store::Notice};
use crate::{
    clock::rfc3339,
    limits::{
        NOTIFICATIONS_MAX, NOTIFY_ANSWER_BYTES_MAX, NOTIFY_OUTPUT_BYTES_MAX, NOTIFY_RETRY_WAIT, NOTIFY_TRIES, NOTIFY_WAIT,
        STOP_NOTIFY_WAIT,
    },
    remote::Remote,
};
use bytes::Bytes;
use http::Uri;
use rustix::process::{Pid, Signal, kill_process_group};
use sealgate_policies::session::Session;
use serde_json::{Value, json};
use std::{process::Stdio, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How somebody is told.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    /// A program and its arguments. It gets the notification as JSON on its standard input.
    pub command: Vec<String>,
    /// Where it is posted to.
    pub url: Option<Uri>,
}

#[derive(Debug, Clone, Copy)]
enum Way<'a> {
    Command(&'a [String]),
    Webhook(&'a Uri),
}

impl Way<'_> {
    fn as_str(self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Webhook(_) => "webhook",
        }
    }
}

impl Ways {
    fn each(&self) -> impl Iterator<Item = Way<'_>> {
        let command = (!self.command.is_empty()).then_some(Way::Command(&self.command));
        command.into_iter().chain(self.url.as_ref().map(Way::Webhook))
    }
}

/// How long is tried to tell somebody.
#[derive(Debug, Clone, Copy)]
struct Patience {
    tries: u32,
    wait: Duration,
    retry_wait: Duration,
}

const PATIENCE: Patience = Patience { tries: NOTIFY_TRIES, wait: NOTIFY_WAIT, retry_wait: NOTIFY_RETRY_WAIT };

/// Tells of break-glass.
#[derive(Debug)]
pub struct Notifier {
    ways: Ways,
    patience: Patience,
    remote: Option<Remote>,
    places: Semaphore,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Notifier {
    /// Tells in these ways; nobody where there are none.
    pub fn new(ways: Ways) -> Result<Self, rustls::Error> {
        let remote = ways.url.as_ref().map(|_| Remote::new()).transpose()?;
        let places = Semaphore::new(NOTIFICATIONS_MAX);
        Ok(Self { ways, patience: PATIENCE, remote, places, tasks: TaskTracker::new(), stopping: CancellationToken::new() })
    }

    /// Waits a little for notifications that are under way, and gives up the others: the next start sends them.
    pub(super) async fn stop(&self) {
        self.tasks.close();
        if tokio::time::timeout(STOP_NOTIFY_WAIT, self.tasks.wait()).await.is_err() {
            self.stopping.cancel();
            self.tasks.wait().await;
        }
    }

    /// Tells in every way; for each that failed, how.
    async fn tell(&self, notification: &str) -> Vec<String> {
        let mut failed = Vec::new();
        for way in self.ways.each() {
            if let Err(why) = self.tell_by(way, notification).await {
                failed.push(format!("{}: {why}", way.as_str()));
            }
        }
        failed
    }

    async fn tell_by(&self, way: Way<'_>, notification: &str) -> Result<(), String> {
        let mut told = self.try_by(way, notification).await;
        for _ in 1..self.patience.tries {
            if told.is_ok() {
                break;
            }
            tokio::time::sleep(self.patience.retry_wait).await;
            told = self.try_by(way, notification).await;
        }
        told
    }

    async fn try_by(&self, way: Way<'_>, notification: &str) -> Result<(), String> {
        match (way, &self.remote) {
            (Way::Command(line), _) => run(line, notification, self.patience.wait).await,
            (Way::Webhook(url), Some(remote)) => post(remote, url, notification, self.patience.wait).await,
            (Way::Webhook(_), None) => Err("no client for it".to_owned()),
        }
    }
}

impl Sessions {
    /// Tells those who are to be told of a break-glass session, in a task of its own.
    pub(super) fn notify_of(self: &Arc<Self>, session: Arc<Session>) {
        let sessions = self.clone();
        self.notifier.tasks.spawn(async move {
            let stopping = sessions.notifier.stopping.clone();
            // What loses against a stop is owed still, and sent by the next start.
            tokio::select! {
                () = stopping.cancelled() => {}
                done = sessions.tell_of(&session) => {
                    if let Err(error) = done {
                        tracing::error!(session = %session.id, %error, "what became of a notification could not be written down");
                    }
                }
            }
        });
    }

    /// Tells of the sessions of which a stop kept those from hearing who should.
    pub fn notify_owed(self: &Arc<Self>) {
        let owed = self.listed().into_iter().filter(|listed| listed.notice == Some(Notice::Owed));
        owed.for_each(|listed| self.notify_of(listed.session));
    }

    /// The sessions of which those who should be told could not be.
    pub fn unnotified(&self) -> Vec<sealgate_schema::Text> {
        let failed = self.listed().into_iter().filter(|listed| listed.notice == Some(Notice::Failed));
        failed.map(|listed| listed.session.id.clone()).collect()
    }

    async fn tell_of(&self, session: &Session) -> Result<(), SessionError> {
        // Never closed.
        let _place = self.notifier.places.acquire().await;
        let failed = self.notifier.tell(&notification(session, &self.gateway).to_string()).await;
        let (notice, act) = match failed.is_empty() {
            true => (Notice::Sent, "break_glass_notified"),
            false => (Notice::Failed, "break_glass_notification_failed"),
        };
        if let Some(held) = self.table_mut().sessions.get_mut(&session.id) {
            held.notice = Some(notice);
        }
        let ways: Vec<_> = self.notifier.ways.each().map(Way::as_str).collect();
        if !ways.is_empty() {
            let (id, window) = (session.id.as_str(), session.window.as_str());
            let detail = json!({ "act": act, "session": id, "change_window": window, "ways": ways, "failed": failed });
            self.administer(None, detail).await?;
        }
        Ok(self.store.set_notice(&session.id, notice).await?)
    }
}

fn notification(session: &Session, gateway: &str) -> Value {
    json!({
        "event": "break_glass", "gateway": gateway, "session": session.id.as_str(), "change_window": session.window.as_str(),
        "principal": session.principal.as_str(), "principal_kind": session.principal_kind.as_str(),
        "acting_for": session.acting_for.as_deref(), "account": session.account.as_deref(), "role": session.role.as_deref(),
        "reason": session.reason.as_str(), "opened_by": session.opened_by.as_str(), "opened": rfc3339(session.opened),
        "expires": rfc3339(session.expires()),
    })
}

async fn post(remote: &Remote, url: &Uri, notification: &str, wait: Duration) -> Result<(), String> {
    let body = Bytes::from(notification.to_owned());
    let answer = remote.post(url, "application/json", body, NOTIFY_ANSWER_BYTES_MAX, wait).await;
    let status = answer.map_err(|error| error.to_string())?.status;
    if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
}

async fn run(line: &[String], notification: &str, wait: Duration) -> Result<(), String> {
    let Some((program, arguments)) = line.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.process_group(0).kill_on_drop(true).spawn().map_err(|error| format!("{program}: {error}"))?;
    // Where a stop drops this in the middle, what was started does not stay.
    let mut group = Group(child.id());
    match tokio::time::timeout(wait, attend(&mut child, notification)).await {
        Ok(done) => {
            group.0 = None;
            done
        }
        Err(_) => Err(format!("{program} did not end within {wait:?}, and was killed")),
    }
}

/// Feeds a command, and reads what it says of its failure.
async fn attend(child: &mut Child, notification: &str) -> Result<(), String> {
    let (input, errors) = (child.stdin.take(), child.stderr.take());
    let feed = async {
        // A command that reads nothing is none that failed: its exit code says that.
        if let Some(mut input) = input {
            let _ = input.write_all(notification.as_bytes()).await;
        }
    };
    let listen = async {
        let mut said = Vec::new();
        if let Some(errors) = errors {
            let _ = errors.take(NOTIFY_OUTPUT_BYTES_MAX).read_to_end(&mut said).await;
        }
        said
    };
    let ((), said, status) = tokio::join!(feed, listen, child.wait());
    let status = status.map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let said: String = String::from_utf8_lossy(&said).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Err(format!("{status}: {}", said.trim()))
}

/// Ends a command that did not end by itself, with everything that it started.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            // Nothing is left to kill where it ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{path::Path, time::Instant};
    use tokio::net::TcpListener;

    fn notifier(command: &str, url: Option<Uri>) -> Notifier {
        let command = if command.is_empty() { Vec::new() } else { ["sh", "-c", command].map(str::to_owned).to_vec() };
        let patience = Patience { tries: 2, wait: Duration::from_millis(300), retry_wait: Duration::from_millis(1) };
        Notifier { patience, ..Notifier::new(Ways { command, url }).unwrap() }
    }

    fn lines(file: &Path) -> usize {
        std::fs::read_to_string(file).unwrap_or_default().lines().count()
    }

    #[tokio::test]
    async fn a_command_gets_the_notification_and_is_tried_again_where_it_fails() {
        let folder = tempfile::tempdir().unwrap();
        let (got, tries) = (folder.path().join("got"), folder.path().join("tries"));
        let told = notifier(&format!("cat > {}", got.display()), None).tell("{\"a\":1}").await;
        assert_eq!((told, std::fs::read_to_string(&got).unwrap()), (Vec::<String>::new(), "{\"a\":1}".to_owned()));
        let failing = format!("echo try >> {}; printf 'no\\nway' >&2; exit 3", tries.display());
        let failed = notifier(&failing, None).tell("{}").await;
        assert_eq!(lines(&tries), 2);
        assert!(failed.len() == 1 && failed[0].starts_with("command:") && failed[0].ends_with("no way"), "{failed:?}");
        let failed = notifier("exec no-such-program", None).tell("{}").await;
        assert_eq!(failed.len(), 1, "{failed:?}");
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_what_it_started() {
        let (folder, began) = (tempfile::tempdir().unwrap(), Instant::now());
        // Held open by all that was started: reading it ends when the last of them has.
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read(pipe).unwrap()
        });
        let failed = notifier(&format!("exec 3> {}; sleep 600 & wait", pipe.display()), None).tell("{}").await;
        assert!(failed[0].contains("was killed"), "{failed:?}");
        assert_eq!(reader.join().unwrap(), [0_u8; 0]);
        assert!(began.elapsed() < Duration::from_secs(60), "it was not waited for");
    }

    #[tokio::test]
    async fn what_a_command_says_without_end_is_not_kept() {
        let failed = notifier("yes >&2", None).tell("{}").await;
        assert!(failed[0].len() < 2 * NOTIFY_OUTPUT_BYTES_MAX as usize, "{}", failed[0].len());
    }

    #[tokio::test]
    async fn a_webhook_that_never_answers_costs_its_time_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let accept = async {
            let mut open = Vec::new();
            loop {
                open.push(listener.accept().await.unwrap());
            }
        };
        let notifier = notifier("", Some(url));
        let failed = tokio::select! {
            () = accept => unreachable!("it accepts for ever"),
            failed = notifier.tell("{}") => failed,
        };
        assert!(failed[0].starts_with("webhook: no answer within"), "{failed:?}");
    }
}
