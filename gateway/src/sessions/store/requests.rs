//! Requests, and the approvals that they have.

use super::{Store, StoredSession, flag, join, optional, sessions, split, text, unknown};
use sealgate_policies::{
    access::{Needs, Way},
    request::{Approved, Asking, Request, Requester, Signer, State, Terms},
    session::PrincipalKind,
};
use sealgate_schema::Text;
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::{collections::HashMap, num::NonZeroU32};

/// A request, and what the store has of it beside.
#[derive(Debug, Clone)]
pub struct StoredRequest {
    /// The request, with its approvals.
    pub request: Request,
    /// The session that it opens or extends.
    pub session: Option<Text>,
    /// Whether what it leads to is done. Of one that is approved and not settled, the session is still to be opened or extended.
    pub settled: bool,
}

impl Store {
    /// Adds a request. A standing rule's is approved with it, and brings the session that it opens.
    pub async fn add_request(&self, stored: &StoredRequest, opens: Option<&StoredSession>) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        insert(&mut transaction, stored).await?;
        if let Some(session) = opens {
            sessions::insert(&mut transaction, session).await?;
        }
        transaction.commit().await
    }

    /// Adds an approval; with the last of them, in one step, the request is approved and its session noted.
    pub async fn add_approval(
        &self,
        stored: &StoredRequest,
        approval: &Approved,
        opens: Option<&StoredSession>,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("INSERT INTO approvals (request_id, seq, signer, names, signer_key) VALUES ($1, $2, $3, $4, $5)")
            .bind(stored.request.id.as_str())
            .bind(i64::try_from(approval.seq).unwrap_or(i64::MAX))
            .bind(approval.signer.name.as_str())
            .bind(join(&approval.signer.names))
            .bind(approval.signer.key.as_str())
            .execute(&mut *transaction)
            .await?;
        if let Some(session) = opens {
            sessions::insert(&mut transaction, session).await?;
        }
        update(&mut transaction, stored).await?;
        transaction.commit().await
    }

    /// Writes where a request stands.
    pub async fn update_request(&self, stored: &StoredRequest) -> Result<(), sqlx::Error> {
        update(&mut *self.pool.acquire().await?, stored).await
    }

    /// All requests, oldest first.
    pub async fn requests(&self) -> Result<Vec<StoredRequest>, sqlx::Error> {
        let rows = sqlx::query("SELECT request_id, seq, signer, names, signer_key FROM approvals ORDER BY request_id, seq");
        let mut approvals: HashMap<String, Vec<Approved>> = HashMap::new();
        for row in rows.fetch_all(&self.pool).await? {
            approvals.entry(row.try_get("request_id")?).or_default().push(approval(&row)?);
        }
        let rows = sqlx::query(
            "SELECT id, window_id, principal, principal_kind, acting_for, account, role, duration, reason, extends, requester, \
             requested_by, requester_user, requester_key, basis, needs, needs_from, rule_name, requested, expires, state, \
             session_id, settled FROM requests ORDER BY requested, id",
        );
        rows.fetch_all(&self.pool).await?.iter().map(|row| stored(row, &mut approvals)).collect()
    }
}

async fn insert(connection: &mut AnyConnection, stored: &StoredRequest) -> Result<(), sqlx::Error> {
    let (request, terms, requester) = (&stored.request, &stored.request.terms, &stored.request.requester);
    let (needs, from, rule) = match &request.way {
        Way::Rule(name) => (0, String::new(), Some(name.as_str())),
        Way::Approvals(needs) => (i64::from(needs.approvals.get()), join(&needs.from), None),
    };
    sqlx::query(
        "INSERT INTO requests (id, window_id, principal, principal_kind, acting_for, account, role, duration, reason, extends, \
         requester, requested_by, requester_user, requester_key, basis, needs, needs_from, rule_name, requested, expires, state, \
         session_id, settled) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
         $21, $22, $23)",
    )
    .bind(request.id.as_str())
    .bind(terms.window.as_str())
    .bind(terms.principal.as_str())
    .bind(terms.principal_kind.as_str())
    .bind(terms.acting_for.as_deref())
    .bind(terms.account.as_deref())
    .bind(terms.role.as_deref())
    .bind(terms.duration)
    .bind(terms.reason.as_str())
    .bind(request.extends.as_deref())
    .bind(requester.name.as_str())
    .bind(requester.by.as_str())
    .bind(requester.user.as_deref())
    .bind(requester.key.as_deref())
    .bind(request.basis.as_str())
    .bind(needs)
    .bind(from)
    .bind(rule)
    .bind(request.requested)
    .bind(request.expires)
    .bind(request.written_state().as_str())
    .bind(stored.session.as_deref())
    .bind(i64::from(stored.settled))
    .execute(connection)
    .await?;
    Ok(())
}

async fn update(connection: &mut AnyConnection, stored: &StoredRequest) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE requests SET state = $1, session_id = $2, settled = $3 WHERE id = $4")
        .bind(stored.request.written_state().as_str())
        .bind(stored.session.as_deref())
        .bind(i64::from(stored.settled))
        .bind(stored.request.id.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

fn approval(row: &AnyRow) -> Result<Approved, sqlx::Error> {
    let signer = Signer { name: text(row, "signer")?, names: split(&text(row, "names")?), key: text(row, "signer_key")? };
    Ok(Approved { signer, seq: u64::try_from(row.try_get::<i64, _>("seq")?).unwrap_or(0) })
}

fn stored(row: &AnyRow, approvals: &mut HashMap<String, Vec<Approved>>) -> Result<StoredRequest, sqlx::Error> {
    let state: String = row.try_get("state")?;
    let state = State::parse(&state).ok_or_else(|| unknown("requests.state", &state))?;
    let asking = asking(row)?;
    let approvals = approvals.remove(asking.id.as_str()).unwrap_or_default();
    let session = optional(row, "session_id")?;
    Ok(StoredRequest { request: Request::restore(asking, approvals, state), session, settled: flag(row, "settled")? })
}

fn asking(row: &AnyRow) -> Result<Asking, sqlx::Error> {
    let kind: String = row.try_get("principal_kind")?;
    let needs: i64 = row.try_get("needs")?;
    let way = match (optional(row, "rule_name")?, u32::try_from(needs).ok().and_then(NonZeroU32::new)) {
        (Some(rule), _) => Way::Rule(rule),
        (None, Some(approvals)) => Way::Approvals(Needs { approvals, from: split(&text(row, "needs_from")?) }),
        (None, None) => return Err(unknown("requests.needs", &needs.to_string())),
    };
    Ok(Asking {
        id: text(row, "id")?,
        terms: Terms {
            window: text(row, "window_id")?,
            principal: text(row, "principal")?,
            principal_kind: kind.parse::<PrincipalKind>().map_err(|_| unknown("requests.principal_kind", &kind))?,
            acting_for: optional(row, "acting_for")?,
            account: optional(row, "account")?,
            role: optional(row, "role")?,
            duration: row.try_get("duration")?,
            reason: text(row, "reason")?,
        },
        extends: optional(row, "extends")?,
        requester: Requester {
            name: text(row, "requester")?,
            by: text(row, "requested_by")?,
            user: optional(row, "requester_user")?,
            key: optional(row, "requester_key")?,
        },
        basis: text(row, "basis")?,
        way,
        requested: row.try_get("requested")?,
        expires: row.try_get("expires")?,
    })
}
