//! The store on both databases: the same acts, the same listings, a restart between; and databases of older versions.

use super::{Office, asking, done};
use sealgate::sessions::store::{Place, Store};
use sealgate_tests::postgres::Postgres;
use zeroize::Zeroizing;

/// Everything that is stored, written through the binary and read again by the next start.
fn round_trip(configuration: &str) {
    let mut office = Office::open(&format!(
        "{configuration}[approval]\nrequired = true\napprovals = 2\nfrom = [\"bob\", \"carol\"]\n\
         [[account]]\nname = \"default\"\n[[account]]\nname = \"prod\"\n"
    ));
    let agent = [
        "--principal",
        "a1",
        "--kind",
        "agent",
        "--acting-for",
        "alice",
        "--account",
        "prod",
        "--role",
        "arn:aws:iam::111122223333:role/x",
    ];
    let (opened, pending, denied) = (office.request(&agent), office.request(&["--as", "rita"]), office.request(&[]));
    done(&office.decide("approve", &opened, "bob"));
    done(&office.decide("approve", &opened, "carol"));
    done(&office.decide("approve", &pending, "bob"));
    done(&office.decide("deny", &denied, "carol"));
    let session = office.sessions()[0]["id"].as_str().unwrap().to_owned();
    let more = office.gateway.ok(&["session", "extend", &session, "--for", "30m", "--reason", "slow", "--quiet"]).trim().to_owned();
    ["bob", "carol"].iter().for_each(|name| done(&office.decide("approve", &more, name)));
    let glass = office.gateway.ok(&asking("break-glass", &[])).trim().to_owned();
    done(&office.decide("review", &glass, "dave"));
    office.gateway.ok(&["session", "revoke", &glass, "--reason", "it's done; DROP TABLE sessions -- \"x\" ü"]);
    office.gateway.ok(&["session", "revoke", "--principal", "zoe", "--reason", "a test"]);
    let listings = |office: &Office| {
        let revoked = office.json(&["session", "revoked", "--json"]);
        (office.sessions(), office.requests(), revoked, office.json(&["window", "list", "--json"]))
    };
    let before = listings(&office);
    assert_eq!((before.0.len(), before.1.len()), (2, 4));
    office.gateway.signal("KILL");
    office.gateway.start_again();
    let after = listings(&office);
    assert_eq!(before, after);
    done(&office.decide("approve", &pending, "carol"));
    office.close();
}

#[test]
fn sqlite_gives_back_what_it_was_given() {
    round_trip("");
}

#[test]
fn postgresql_gives_back_what_it_was_given() {
    let Some(postgres) = Postgres::start() else { return };
    round_trip(&format!("store = \"{}\"\n", postgres.url));
}

/// Tables as each version before this one left them, with a window and two sessions.
const OLD: [&[&str]; 2] = [
    &[
        "CREATE TABLE windows (id TEXT PRIMARY KEY, title TEXT NOT NULL, opened BIGINT NOT NULL, closes BIGINT NOT NULL, \
         standing BIGINT NOT NULL, state TEXT NOT NULL)",
        "CREATE TABLE sessions (id TEXT PRIMARY KEY, window_id TEXT NOT NULL REFERENCES windows(id), principal TEXT NOT NULL, \
         principal_kind TEXT NOT NULL, acting_for TEXT, reason TEXT NOT NULL, opened BIGINT NOT NULL, expires BIGINT NOT NULL, \
         status TEXT NOT NULL)",
        "INSERT INTO windows VALUES ('CHG-1', 'a test', 1, 9, 0, 'sealed')",
        "INSERT INTO sessions VALUES ('S-1', 'CHG-1', 'alice', 'human', NULL, 'why', 1, 9, 'closed')",
        "INSERT INTO sessions VALUES ('S-2', 'CHG-1', 'a1', 'agent', 'alice', 'why', 2, 9, 'revoked')",
    ],
    &[
        "ALTER TABLE sessions ADD COLUMN basis TEXT NOT NULL DEFAULT 'word of uid 7'",
        "ALTER TABLE sessions ADD COLUMN account TEXT",
        "ALTER TABLE sessions ADD COLUMN role TEXT",
        "ALTER TABLE sessions ADD COLUMN break_glass BIGINT NOT NULL DEFAULT 0",
    ],
];

async fn upgrades(place: impl Fn(usize) -> Place, make: impl AsyncFn(usize) -> sqlx::AnyPool) {
    sqlx::any::install_default_drivers();
    for versions in 1..=OLD.len() {
        let pool = make(versions).await;
        for statement in OLD[..versions].iter().flat_map(|step| step.iter()) {
            sqlx::query(*statement).execute(&pool).await.unwrap();
        }
        // Twice: the second start finds nothing to do.
        for _ in 0..2 {
            let store = Store::open(&place(versions), "gw-1").await.unwrap();
            let sessions = store.sessions().await.unwrap();
            let ids: Vec<_> = sessions.iter().map(|stored| (stored.session.id.to_string(), stored.recorded)).collect();
            assert_eq!(ids, [("S-1".to_owned(), true), ("S-2".to_owned(), true)]);
            let basis = if versions == 1 { "word of the operator" } else { "word of uid 7" };
            assert_eq!(sessions[1].session.basis.as_str(), basis);
            assert_eq!((store.windows().await.unwrap().len(), store.requests().await.unwrap().len()), (1, 0));
            store.close().await;
        }
        let other = Store::open(&place(versions), "gw-2").await.unwrap_err().to_string();
        assert!(other.contains("gw-1's") && other.contains("give each its own"), "{other}");
        sqlx::query("UPDATE store_version SET version = 99").execute(&pool).await.unwrap();
        let newer = Store::open(&place(versions), "gw-1").await.unwrap_err().to_string();
        assert!(newer.contains("version 99") && newer.contains("use a newer one"), "{newer}");
        pool.close().await;
    }
}

#[tokio::test]
async fn older_databases_are_brought_up_and_newer_and_foreign_ones_are_refused_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    // A name that a URL would read otherwise.
    let file = |versions: usize| folder.path().join(format!("a b?c=%41#{versions}.db"));
    let make = async |versions: usize| {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file(versions)).create_if_missing(true);
        sqlx::SqlitePool::connect_with(options).await.unwrap().close().await;
        let name: String = file(versions).to_str().unwrap().bytes().map(|byte| format!("%{byte:02X}")).collect();
        sqlx::AnyPool::connect(&format!("sqlite://{name}")).await.unwrap()
    };
    upgrades(|versions| Place::File(file(versions)), make).await;
}

#[tokio::test]
async fn older_databases_are_brought_up_and_newer_and_foreign_ones_are_refused_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let url = |versions: usize| postgres.url.replace("/postgres?", &format!("/old{versions}?"));
    let make = async |versions: usize| {
        let admin = sqlx::PgPool::connect(&postgres.url).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE old{versions}"))).execute(&admin).await.unwrap();
        admin.close().await;
        sqlx::AnyPool::connect(&url(versions)).await.unwrap()
    };
    upgrades(|versions| Place::Server(Zeroizing::new(url(versions))), make).await;
}
