//! The table of credentials, in the database of sessions: what a restart starts from. Secrets are in it encrypted.

use super::{
    Delivery, Table,
    credential::{Brokered, Keys, Learnt, Real, TokenHash},
    vault::Vault,
};
use crate::sessions::SessionError;
use sealgate_policies::session::Session;
use sealgate_schema::Text;
use serde::{Deserialize, Serialize};
use sqlx::{AnyPool, Row as _, any::AnyRow};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Its rows.
#[derive(Debug)]
pub(super) struct Rows {
    pool: AnyPool,
}

/// One credential.
#[derive(Debug)]
pub(super) struct Row {
    id: Text,
    pub(super) session: Text,
    /// Ids from the credential that was used to get it to the root; of a contained one that credential alone.
    parents: String,
    /// `keys`, `renewed`, `child` or `learnt`.
    kind: String,
    issued: i64,
    expires: Option<i64>,
    /// Of a learnt one the hash of its token.
    sealed: String,
    revoked: bool,
}

/// What is encrypted.
#[derive(Serialize, Deserialize)]
struct Secrets {
    secret: String,
    token: String,
    /// Id, secret and token of the real one.
    real: Option<(String, String, String)>,
}

impl Drop for Secrets {
    fn drop(&mut self) {
        let real = self.real.iter_mut().flat_map(|(_, secret, token)| [secret, token]);
        real.chain([&mut self.secret, &mut self.token]).for_each(zeroize::Zeroize::zeroize);
    }
}

impl Rows {
    /// Makes the table where it is not there.
    pub(super) async fn open(pool: AnyPool) -> Result<Self, sqlx::Error> {
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS credentials (id TEXT PRIMARY KEY, session_id TEXT NOT NULL, parents TEXT NOT NULL, \
             kind TEXT NOT NULL, issued BIGINT NOT NULL, expires BIGINT, sealed TEXT NOT NULL, revoked BIGINT NOT NULL)",
        )
        .execute(&pool)
        .await?;
        Ok(Self { pool })
    }

    /// All, parents before their children.
    pub(super) async fn all(&self) -> Result<Vec<Row>, sqlx::Error> {
        let rows = sqlx::query("SELECT * FROM credentials ORDER BY issued, id").fetch_all(&self.pool).await?;
        rows.iter().map(Row::read).collect()
    }

    /// Adds one, or says anew what is known of a real one that is handed out twice.
    pub(super) async fn add(&self, row: &Row) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM credentials WHERE id = $1").bind(row.id.as_str()).execute(&self.pool).await?;
        sqlx::query(
            "INSERT INTO credentials (id, session_id, parents, kind, issued, expires, sealed, revoked) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(row.id.as_str())
        .bind(row.session.as_str())
        .bind(row.parents.as_str())
        .bind(row.kind.as_str())
        .bind(row.issued)
        .bind(row.expires)
        .bind(row.sealed.as_str())
        .bind(i64::from(row.revoked))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes that one is revoked.
    pub(super) async fn revoke(&self, id: &str) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE credentials SET revoked = 1 WHERE id = $1").bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// Forgets one, secrets and all.
    pub(super) async fn forget(&self, id: &str) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM credentials WHERE id = $1").bind(id).execute(&self.pool).await?;
        Ok(())
    }
}

impl Row {
    pub(super) fn id(&self) -> &Text {
        &self.id
    }

    pub(super) fn of(credential: &Brokered, vault: &Vault) -> Result<Self, SessionError> {
        let (expires, real) = credential.stored();
        let real = real.map(|real| &real.credentials);
        let secrets = Secrets {
            secret: credential.secret().to_owned(),
            token: credential.token().to_owned(),
            real: real.map(|real| {
                let token = real.session_token().unwrap_or_default();
                (real.access_key_id().to_owned(), real.secret_access_key().to_owned(), token.to_owned())
            }),
        };
        let text =
            serde_json::to_string(&secrets).map(Zeroizing::new).map_err(|error| undone(&credential.id, &error.to_string()))?;
        let sealed = vault.seal(&bound_to(&credential.id, &credential.session.id), &text);
        Ok(Self {
            id: credential.id.clone(),
            session: credential.session.id.clone(),
            parents: credential.parent.as_ref().map(|parent| parent.id.to_string()).unwrap_or_default(),
            kind: credential.delivery().map_or("child", Delivery::as_str).to_owned(),
            issued: credential.issued,
            expires,
            sealed: sealed.ok_or_else(|| undone(&credential.id, "its secret can't be encrypted"))?,
            revoked: credential.is_revoked(),
        })
    }

    pub(super) fn of_learnt(learnt: &Learnt) -> Self {
        let (token, expires, revoked) = learnt.stored();
        Self {
            id: learnt.id.clone(),
            session: learnt.session.id.clone(),
            parents: learnt.chain().iter().skip(1).map(Text::as_str).collect::<Vec<_>>().join(","),
            kind: "learnt".to_owned(),
            issued: learnt.issued,
            expires,
            sealed: token.0.clone(),
            revoked,
        }
    }

    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get::<String, _>("id")?.into(),
            session: row.try_get::<String, _>("session_id")?.into(),
            parents: row.try_get("parents")?,
            kind: row.try_get("kind")?,
            issued: row.try_get("issued")?,
            expires: row.try_get("expires")?,
            sealed: row.try_get("sealed")?,
            revoked: row.try_get::<i64, _>("revoked")? != 0,
        })
    }

    /// Puts the credential back into the table.
    pub(super) fn restore(self, vault: &Vault, session: Arc<Session>, table: &mut Table) -> Result<(), SessionError> {
        if self.kind == "learnt" {
            let ids = self.parents.split(',').filter(|id| !id.is_empty());
            let parents: Vec<Text> = ids.map(|id| id.to_owned().into()).collect();
            let parent = parents.first().and_then(|id| table.issued.get(id)).cloned();
            let learnt = Learnt::new(self.id.clone(), session, parents, TokenHash(self.sealed), self.issued, self.expires, parent);
            if self.revoked {
                learnt.revoke();
            }
            table.learnt.insert(self.id, Arc::new(learnt));
            return Ok(());
        }
        let text = vault.open(&bound_to(&self.id, &session.id), &self.sealed);
        let text =
            text.ok_or_else(|| undone(&self.id, "its secret does not open with keys/broker.key: was that file replaced?"))?;
        let secrets: Secrets = serde_json::from_str(&text).map_err(|error| undone(&self.id, &error.to_string()))?;
        let keys = Keys { secret: Zeroizing::new(secrets.secret.clone()), token: Zeroizing::new(secrets.token.clone()) };
        let credential = Brokered::new(self.id.clone(), session, self.issued).with_keys(keys);
        let credential = match (&secrets.real, self.kind.as_str()) {
            (Some((id, secret, token)), _) => {
                let parent = table.issued.get(self.parents.as_str()).cloned();
                credential.for_real(parent, Real::new(id, secret, token, self.expires))
            }
            (None, "renewed") => credential.for_delivery(Delivery::Renewed, self.expires),
            (None, _) => credential.for_delivery(Delivery::Keys, self.expires),
        };
        if self.revoked {
            credential.revoke();
        }
        table.issued.insert(self.id, Arc::new(credential));
        Ok(())
    }
}

fn bound_to(id: &str, session: &str) -> String {
    format!("sealgate/credential/v1 {id} {session}")
}

fn undone(id: &str, why: &str) -> SessionError {
    SessionError::Store(sqlx::Error::Decode(format!("credential {id}: {why}").into()))
}
