//! Break-glass: opened at once, told of, and owed a review by somebody else.

use super::{Office, asking, done, refused};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    sync::mpsc,
    time::Duration,
};

/// Longer than a test machine takes; a notification that is not there by then did not come.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn break_glass_opens_at_once_and_is_unreviewed_in_every_listing_until_another_person_signs() {
    let office = Office::open("[approval]\nrequired = true\n");
    // Bob himself, and who opened it: neither reviews.
    let opener = fs::read_to_string("/etc/passwd").unwrap();
    let opener =
        opener.lines().find(|line| line.split(':').nth(2) == Some(&user_id())).unwrap().split(':').next().unwrap().to_owned();
    let session = office.gateway.ok(&asking("break-glass", &["--principal", "bob"])).trim().to_owned();
    office.gateway.ok(&["session", "env", &session]);
    let listed = |office: &Office| {
        let windows = office.json(&["window", "list", "--json"]);
        let window = windows.as_array().unwrap().iter().find(|window| window["id"] == "CHG-1").unwrap()["unreviewed"].clone();
        let texts = ["session", "window"].map(|noun| office.gateway.ok(&[noun, "list"]).contains("unreviewed"));
        let status = office.json(&["status", "--json"])["unreviewed"].clone();
        let plain = office.gateway.ok(&["status"]).contains(&session);
        (office.sessions()[0]["unreviewed"] == true, window != serde_json::json!([]), texts, status != serde_json::json!([]), plain)
    };
    assert_eq!(listed(&office), (true, true, [true, true], true, true));

    refused(&office.decide("review", &session, "bob"), &["bob is the principal", "different person"]);
    let own = office.key(&opener);
    let approvers = fs::read_to_string(office.approvers()).unwrap();
    let public = fs::read_to_string(format!("{own}.pub")).unwrap();
    fs::write(office.approvers(), format!("{approvers}\n{opener} {public}")).unwrap();
    refused(&office.decide("review", &session, &opener), &["who opened it", "different person"]);
    refused(&office.decide_with("review", &session, "carol", &office.key("mallory")), &["nobody's"]);
    assert_eq!(listed(&office), (true, true, [true, true], true, true));

    done(&office.decide("review", &session, "carol"));
    assert_eq!(listed(&office), (false, false, [false, false], false, false));
    assert_eq!(office.sessions()[0]["reviewer"], "carol");
    refused(&office.decide("review", &session, "dave"), &["is reviewed already"]);
    let evidence = office.close();
    let opened = evidence.details("CHG-1", "session_open");
    assert_eq!((&opened[0].1["break_glass"], opened[0].1.get("approvals")), (&true.into(), None));
    let reviews = evidence.details("CHG-1", "session_review");
    assert_eq!(reviews[0].1["session"], session.as_str());
    assert_eq!(evidence.rests_on(), ["break-glass, reviewed by carol"]);
    assert!(evidence.verified_by_ssh_keygen(&reviews[0].1, "carol"));
}

fn user_id() -> String {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid().to_string()
}

#[test]
fn a_review_after_the_seal_goes_to_the_ledger_of_the_day() {
    let office = Office::open("");
    let session = office.gateway.ok(&asking("break-glass", &[])).trim().to_owned();
    office.gateway.ok(&["window", "close", "CHG-1"]);
    assert!(office.gateway.ok(&["window", "list"]).contains("sealed, unreviewed"));
    assert!(office.gateway.ok(&["session", "list"]).contains("closed, unreviewed"));
    done(&office.decide("review", &session, "bob"));
    assert!(!office.gateway.ok(&["window", "list"]).contains("unreviewed"));
    let evidence = office.close();
    let reviews = evidence.details("day", "session_review");
    assert_eq!(evidence.rests_on(), ["break-glass, reviewed by bob"], "found from the window that it is about");
    assert_eq!((&reviews[0].1["session"], &reviews[0].1["change_window"]), (&session.as_str().into(), &"CHG-1".into()));
}

#[test]
fn break_glass_has_its_own_limits() {
    let office = Office::open("[break_glass]\nlongest = \"20m\"\nfor = { kinds = [\"human\"], windows = [\"CHG-*\"] }\n");
    office.refused(&asking("break-glass", &[]), &["20m at most"]);
    let agent = ["--for", "5m", "--principal", "a1", "--kind", "agent"];
    office.refused(&asking("break-glass", &agent), &["not for a1", "session request"]);
    let session = office.gateway.ok(&asking("break-glass", &["--for", "15m"])).trim().to_owned();
    office.refused(&["session", "extend", &session, "--for", "6m", "--reason", "slow"], &["20m at most"]);
    // Within its limit, more time needs people: it was opened without any.
    let more = office.gateway.ok(&["session", "extend", &session, "--for", "5m", "--reason", "slow", "--quiet"]);
    assert!(more.starts_with("R-"), "{more}");
    done(&office.decide("approve", more.trim(), "bob"));
    let off = Office::open("[break_glass]\nallowed = false\n");
    off.refused(&asking("break-glass", &["--for", "5m"]), &["switched off", "session request"]);
}

/// A webhook that answers each post with the next of these; sends the bodies.
fn webhook(answers: &'static [&'static str]) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, posts) = mpsc::channel();
    // Ends with the last answer, or with the test.
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            let mut piece = [0; 4096];
            while !String::from_utf8_lossy(&seen).contains("\"session\"") {
                let read = stream.read(&mut piece).unwrap();
                assert!(read > 0);
                seen.extend_from_slice(&piece[..read]);
            }
            stream.write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
            // Nobody reads them where the test has seen enough.
            let _ = sender.send(String::from_utf8_lossy(&seen).into_owned());
        }
    });
    (url, posts)
}

#[test]
fn a_command_and_a_webhook_are_told_and_failures_are_on_record_and_in_the_status() {
    let (url, posts) = webhook(&["500 No", "500 No", "500 No"]);
    let folder = tempfile::tempdir().unwrap();
    let (got, told) = (folder.path().join("got"), folder.path().join("told"));
    assert!(std::process::Command::new("mkfifo").arg(&told).status().unwrap().success());
    let command = format!("cat > {}; echo done > {}", got.display(), told.display());
    let office = Office::open(&format!("[notify]\ncommand = [\"sh\", \"-c\", \"{command}\"]\nurl = \"{url}\"\n"));
    let session = office.gateway.ok(&asking("break-glass", &["--reason", "prod is down"])).trim().to_owned();
    office.gateway.ok(&["session", "env", &session]);
    // Read until the command has closed it: what it got is on disk then.
    assert_eq!(fs::read_to_string(&told).unwrap(), "done\n");
    let notification: serde_json::Value = serde_json::from_slice(&fs::read(&got).unwrap()).unwrap();
    assert_eq!(
        (&notification["event"], &notification["session"], &notification["reason"]),
        (&"break_glass".into(), &session.as_str().into(), &"prod is down".into())
    );
    for _ in 0..3 {
        assert!(posts.recv_timeout(PATIENCE).unwrap().contains(&session));
    }
    // A stop waits for what is under way, so the record is there.
    let home = office.gateway.home.clone();
    let evidence = office.close();
    let failed = evidence.acts("day", "break_glass_notification_failed");
    assert_eq!(failed[0]["session"], session.as_str());
    assert_eq!(failed[0]["failed"].as_array().unwrap().len(), 1, "the command did its part: {failed:?}");
    assert!(failed[0]["failed"][0].as_str().unwrap().contains("webhook: it answered 500"), "{failed:?}");
    assert!(home.exists());
}

#[test]
fn a_notification_that_a_kill_prevented_is_sent_by_the_next_start() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let mut office = Office::open(&format!("[notify]\nurl = \"{url}\"\n"));
    office.gateway.ok(&asking("break-glass", &[]));
    let (held, _) = listener.accept().unwrap();
    assert_eq!(office.sessions()[0]["notice"], "owed");
    office.gateway.signal("KILL");
    drop(held);
    office.gateway.start_again();
    let (mut stream, _) = listener.accept().unwrap();
    let mut piece = [0; 4096];
    assert!(stream.read(&mut piece).unwrap() > 0);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    let evidence = office.close();
    assert_eq!(evidence.acts("day", "break_glass_notified").len(), 1);
}
