//! Tokens that have been used: each proves its bearer once, a restart between or not. What is remembered is a hash, and until when.

use crate::limits::SPENT_TOKENS_MAX;
use sha2::{Digest, Sha256};
use sqlx::Row;

/// As the store of sessions has it.
type Pool = sqlx::AnyPool;

/// What became of using a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is spent now.
    First,
    /// It was spent before.
    Again,
    /// No more can be remembered, so no more can be taken.
    Full,
}

/// The tokens that are spent and not expired, in the database of sessions.
#[derive(Debug)]
pub struct Spent {
    pool: Pool,
}

impl Spent {
    /// Makes the table where it is not there.
    pub async fn open(pool: Pool) -> Result<Self, sqlx::Error> {
        sqlx::query("CREATE TABLE IF NOT EXISTS spent_tokens (hash TEXT PRIMARY KEY, until BIGINT NOT NULL)")
            .execute(&pool)
            .await?;
        Ok(Self { pool })
    }

    /// Spends a token, of which `signed` is what tells it from others, and which is refused from second `until` on anyway. `now`
    /// in seconds, too.
    pub async fn spend(&self, signed: &str, until: i64, now: i64) -> Result<Use, sqlx::Error> {
        sqlx::query("DELETE FROM spent_tokens WHERE until <= $1").bind(now).execute(&self.pool).await?;
        let row = sqlx::query("SELECT COUNT(*) AS spent FROM spent_tokens").fetch_one(&self.pool).await?;
        if row.try_get::<i64, _>("spent")? >= SPENT_TOKENS_MAX {
            return Ok(Use::Full);
        }
        // One statement says who came first, whoever else asks at the same time.
        let insert = sqlx::query("INSERT INTO spent_tokens (hash, until) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING");
        let inserted = insert.bind(hash(signed)).bind(until).execute(&self.pool).await?;
        Ok(if inserted.rows_affected() == 1 { Use::First } else { Use::Again })
    }
}

fn hash(signed: &str) -> String {
    Sha256::digest(signed.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::store::{Place, Store};

    #[tokio::test]
    async fn a_token_is_good_once_also_after_a_restart_and_forgotten_when_it_has_expired() {
        let folder = tempfile::tempdir().unwrap();
        let open = async || {
            let store = Store::open(&Place::File(folder.path().join("db")), "gw").await.unwrap();
            Spent::open(store.pool().clone()).await.unwrap()
        };
        let spent = open().await;
        assert_eq!(spent.spend("a", 10, 0).await.unwrap(), Use::First);
        assert_eq!(spent.spend("a", 10, 9).await.unwrap(), Use::Again);
        assert_eq!(open().await.spend("a", 10, 9).await.unwrap(), Use::Again);
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
                    INSERT INTO spent_tokens SELECT 'x' || i, 20 FROM n";
        sqlx::query(fill).bind(SPENT_TOKENS_MAX - 1).execute(&spent.pool).await.unwrap();
        assert_eq!(spent.spend("one more", 20, 9).await.unwrap(), Use::Full);
        assert_eq!(spent.spend("one more", 20, 10).await.unwrap(), Use::First);
        assert_eq!(spent.spend("and another", 20, 10).await.unwrap(), Use::Full);
    }
}
