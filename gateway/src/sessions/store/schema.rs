//! The tables, version by version. A database of an older version is brought up to this one in one transaction a step, so a crash
//! leaves it at one version or the next; one of a newer version is refused.

use sqlx::{AnyPool, Row};

/// What makes each version out of the one before; the first makes it out of nothing.
const STEPS: [&[&str]; 3] = [
    // As in the first release.
    &[
        "CREATE TABLE windows (id TEXT PRIMARY KEY, title TEXT NOT NULL, opened BIGINT NOT NULL, closes BIGINT NOT NULL, \
         standing BIGINT NOT NULL, state TEXT NOT NULL)",
        "CREATE TABLE sessions (id TEXT PRIMARY KEY, window_id TEXT NOT NULL REFERENCES windows(id), principal TEXT NOT NULL, \
         principal_kind TEXT NOT NULL, acting_for TEXT, reason TEXT NOT NULL, opened BIGINT NOT NULL, expires BIGINT NOT NULL, \
         status TEXT NOT NULL)",
    ],
    // What a session rests on, which account and role it uses.
    &[
        "ALTER TABLE sessions ADD COLUMN basis TEXT NOT NULL DEFAULT 'word of the operator'",
        "ALTER TABLE sessions ADD COLUMN account TEXT",
        "ALTER TABLE sessions ADD COLUMN role TEXT",
        "ALTER TABLE sessions ADD COLUMN break_glass BIGINT NOT NULL DEFAULT 0",
    ],
    // Requests, approvals, reviews, principals that get nothing.
    &[
        "ALTER TABLE sessions ADD COLUMN opened_by TEXT NOT NULL DEFAULT 'the operator'",
        "ALTER TABLE sessions ADD COLUMN request_id TEXT",
        "ALTER TABLE sessions ADD COLUMN rule_name TEXT",
        "ALTER TABLE sessions ADD COLUMN recorded BIGINT NOT NULL DEFAULT 1",
        "ALTER TABLE sessions ADD COLUMN opener TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE sessions ADD COLUMN reviewer TEXT",
        "ALTER TABLE sessions ADD COLUMN notice TEXT",
        "CREATE TABLE requests (id TEXT PRIMARY KEY, window_id TEXT NOT NULL REFERENCES windows(id), principal TEXT NOT NULL, \
         principal_kind TEXT NOT NULL, acting_for TEXT, account TEXT, role TEXT, duration BIGINT NOT NULL, reason TEXT NOT NULL, \
         extends TEXT, requester TEXT NOT NULL, requested_by TEXT NOT NULL, requester_user TEXT, requester_key TEXT, \
         basis TEXT NOT NULL, needs BIGINT NOT NULL, needs_from TEXT NOT NULL, rule_name TEXT, requested BIGINT NOT NULL, \
         expires BIGINT NOT NULL, state TEXT NOT NULL, session_id TEXT, settled BIGINT NOT NULL)",
        "CREATE TABLE approvals (request_id TEXT NOT NULL REFERENCES requests(id), seq BIGINT NOT NULL, signer TEXT NOT NULL, \
         names TEXT NOT NULL, signer_key TEXT NOT NULL, PRIMARY KEY (request_id, seq))",
        "CREATE TABLE barred (principal TEXT PRIMARY KEY, since BIGINT NOT NULL, barred_by TEXT NOT NULL, reason TEXT NOT NULL)",
    ],
];

/// Brings the database up to this version.
pub(super) async fn upgrade(pool: &AnyPool, gateway: &str) -> Result<(), sqlx::Error> {
    sqlx::query("CREATE TABLE IF NOT EXISTS store_version (version BIGINT NOT NULL, gateway TEXT NOT NULL)").execute(pool).await?;
    let row = sqlx::query("SELECT version, gateway FROM store_version").fetch_optional(pool).await?;
    let version = match row {
        Some(row) => {
            refuse_other(&row.try_get::<String, _>("gateway")?, gateway)?;
            row.try_get::<i64, _>("version")?
        }
        None => unnumbered(pool).await,
    };
    let known = STEPS.len() as i64;
    if version > known {
        let why = format!("the database is of version {version}, and this sealgate knows {known}: use a newer one");
        return Err(sqlx::Error::Configuration(why.into()));
    }
    for (number, step) in (1_i64..).zip(STEPS).filter(|(number, _)| *number > version) {
        let mut transaction = pool.begin().await?;
        for statement in step {
            sqlx::query(*statement).execute(&mut *transaction).await?;
        }
        sqlx::query("DELETE FROM store_version").execute(&mut *transaction).await?;
        let set = sqlx::query("INSERT INTO store_version (version, gateway) VALUES ($1, $2)").bind(number).bind(gateway);
        set.execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// The version of a database from before versions were numbered: told by the columns that it has.
async fn unnumbered(pool: &AnyPool) -> i64 {
    let has = async |probe: &'static str| sqlx::query(probe).fetch_optional(pool).await.is_ok();
    if has("SELECT basis FROM sessions").await {
        return 2;
    }
    i64::from(has("SELECT id FROM sessions").await)
}

fn refuse_other(owner: &str, gateway: &str) -> Result<(), sqlx::Error> {
    if owner == gateway {
        return Ok(());
    }
    let why = format!("the database is gateway {owner}'s, and this is {gateway}: give each its own (`store` in the configuration)");
    Err(sqlx::Error::Configuration(why.into()))
}
