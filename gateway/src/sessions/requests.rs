//! Requests for sessions and for more time: made, approved, turned down, taken back, and what they lead to.
//!
//! What a crash leaves behind, step by step. A request: on record and not in the store, nobody was told of it. An approval: on record
//! and not in the store, it is given again. The last approval is in the store together with the session that it opens, which has no
//! effect yet: from here on the next start goes on ([`super::grants`]). It looks in the ledger whether the session's record
//! is there, and writes it where it is not: a request leads to one record, whatever happened.

use super::{
    Grant, SessionError, Sessions, Table,
    actor::Actor,
    check_text,
    details::{request_detail, set_signed, signed_detail},
    grants::Effect,
    signers::Sent,
    store::{StoredRequest, WindowState},
    terms::time_box,
    token,
};
use crate::{
    ledger::{Draft, LedgerError, Placed},
    limits::REQUESTS_PENDING_MAX,
};
use sealgate_policies::{
    access::{Subject, Way},
    request::{Approved, Asking, Request, Requester, State, Terms},
    session::{Session, Status},
};
use sealgate_schema::{
    Text,
    record::{Fields, Kind},
    statement::{Act, Signed},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// What became of a request.
#[derive(Debug, Clone)]
pub struct Requested {
    /// The request.
    pub request: StoredRequest,
    /// The session that it opened or extended.
    pub session: Option<Arc<Session>>,
}

/// Who asks, and what says who the principal is.
#[derive(Debug, Clone)]
pub struct Asker {
    /// Who asks.
    pub requester: Requester,
    /// `word of uid 0`, `ssh SHA256:…`, …
    pub basis: Text,
    /// The statement that they signed to ask.
    pub signed: Option<Box<Signed>>,
}

impl Asker {
    /// Somebody who says who they are; without a name it is the user at the socket.
    pub fn by_word(name: Option<&str>, actor: &Actor) -> Self {
        let name = name.map(|name| Text::from(name.to_owned())).or_else(|| actor.user().cloned());
        let requester = Requester {
            name: name.unwrap_or_else(|| actor.word().clone()),
            by: actor.word().clone(),
            user: actor.user().cloned(),
            key: None,
        };
        Self { requester, basis: format!("word of {}", actor.word()).into(), signed: None }
    }
}

/// Sessions as limits count them.
pub(super) fn subjects(sessions: &[Arc<Session>]) -> Vec<Subject<'_>> {
    sessions.iter().map(|session| Subject::from(&***session)).collect()
}

impl Sessions {
    /// Asks for a session. Opens it at once where a standing rule grants it.
    pub async fn request(&self, grant: Grant, asker: Asker) -> Result<Requested, SessionError> {
        let terms = grant.terms()?;
        check_seconds(terms.duration)?;
        let _giving = self.giving.lock().await;
        self.refuse_barred(&terms.principal, terms.acting_for.as_deref())?;
        let now = self.clock.now();
        let closes = self.open_window_closes(&terms.window, now)?;
        let way = self.access.way(&terms, &subjects(&self.open_now(now)))?;
        self.check_account(&terms)?;
        self.make(terms, None, asker, way, closes, now).await
    }

    /// Asks for more time of a session. It has it at once where a standing rule grants it, and where an operator's word opened it
    /// and is enough still.
    pub async fn request_extension(
        &self,
        id: &str,
        duration: jiff::SignedDuration,
        reason: &str,
        asker: Asker,
    ) -> Result<Requested, SessionError> {
        check_text("reason", reason)?;
        let added = time_box(duration)?;
        check_seconds(added)?;
        let _giving = self.giving.lock().await;
        let session = self.session(id)?;
        // Who the principal is was known by that when the session was opened, and is still.
        let asker = Asker { basis: session.basis.clone(), ..asker };
        let now = self.clock.now();
        let closes = self.may_extend(&session, added, now)?;
        let terms = |duration| Terms { duration, reason: reason.to_owned().into(), ..terms_of(&session) };
        let others: Vec<_> = self.open_now(now).into_iter().filter(|other| other.id != session.id).collect();
        let whole = terms(session.expires().saturating_add(added).saturating_sub(session.opened));
        let way = match session.break_glass {
            true => {
                self.access.break_glass(&whole)?;
                self.access.needs(&whole)
            }
            false => self.access.way(&whole, &subjects(&others))?,
        };
        let by_word = !self.access.approval.required && session.request.is_none() && !session.break_glass;
        if by_word {
            self.extend_by_word(&session, added, reason, &asker).await?;
            let request = Request::new(asking(terms(added), Some(session.id.clone()), asker, way, now, now));
            return Ok(Requested { request: StoredRequest { request, session: None, settled: true }, session: Some(session) });
        }
        self.make(terms(added), Some(session.id.clone()), asker, way, closes, now).await
    }

    /// When the window of a session closes, where it can be extended.
    pub(super) fn may_extend(&self, session: &Session, added: i64, now: i64) -> Result<i64, SessionError> {
        self.refuse_barred(&session.principal, session.acting_for.as_deref())?;
        let status = session.status(now);
        if status != Status::Open {
            let (window, principal) = (&session.window, &session.principal);
            return Err(SessionError::Conflict(format!(
                "session {} is {status}, and an end is final; ask for a new one: sealgate session request --window {window} --principal {principal} --for 1h --reason \"...\"",
                session.id
            )));
        }
        let closes = self.open_window_closes(&session.window, now)?;
        match session.expires().saturating_add(added).min(closes) > session.expires() {
            true => Ok(closes),
            false => {
                Err(SessionError::Conflict(format!("session {} ends with its window already; no session outlives it", session.id)))
            }
        }
    }

    /// When a request that is made now can't be approved any more: whole seconds, so that what people sign says it exactly.
    pub(super) fn waits_until(&self, now: i64, closes: i64) -> i64 {
        let wait = i64::try_from(self.access.approval.wait.as_micros()).unwrap_or(i64::MAX);
        whole_seconds(now.saturating_add(wait).min(closes))
    }

    async fn make(
        &self,
        terms: Terms,
        extends: Option<Text>,
        asker: Asker,
        way: Way,
        closes: i64,
        now: i64,
    ) -> Result<Requested, SessionError> {
        let pending = self.requests_pending();
        if pending >= REQUESTS_PENDING_MAX {
            let why = format!("{pending} requests wait already; approve or deny some: sealgate session requests");
            return Err(SessionError::Conflict(why));
        }
        let expires = self.waits_until(now, closes);
        let signed = asker.signed.clone();
        let mut request = Request::new(asking(terms, extends, asker, way, now, expires));
        // What nobody could sign is refused before anybody is asked.
        self.statement(Act::Request, &request, "sealgate", None)?;
        self.check_request(&request, signed.as_deref(), expires)?;
        let mut detail = request_detail(&request);
        set_signed(&mut detail, signed.as_deref());
        self.record_of(&request, Kind::SessionRequest, detail).await?;
        let rule = matches!(request.way, Way::Rule(_));
        let granted = if rule { Some(request.stand(now)?) } else { None };
        let opened_by = match &request.way {
            Way::Rule(name) => format!("rule {name}"),
            Way::Approvals(_) => String::new(),
        };
        let effect = granted.map(|granted| self.effect_of(&granted, &opened_by, now)).transpose()?;
        let stored = StoredRequest { request, session: effect.as_ref().map(Effect::session), settled: effect.is_none() };
        self.store.add_request(&stored, effect.as_ref().and_then(|effect| effect.opens(Vec::new())).as_ref()).await?;
        self.go_on(stored, effect).await
    }

    /// Takes somebody's signed approval. The last that was missing opens the session, or extends it.
    pub async fn approve(&self, id: &str, sent: &Sent, actor: &Actor) -> Result<Requested, SessionError> {
        let _giving = self.giving.lock().await;
        let mut stored = self.stored(id)?;
        let now = self.clock.now();
        let request = &stored.request;
        let verdict = self.verdict(Act::Approve, request, sent, now)?;
        request.may_approve(&verdict.signer, now)?;
        self.refuse_barred(&request.terms.principal, request.terms.acting_for.as_deref())?;
        self.still_within(request, now)?;
        let placed = self.record_of(request, Kind::SessionApprove, signed_detail(request, &verdict, actor)).await?;
        let approval = Approved { signer: verdict.signer.clone(), seq: placed.seq };
        let granted = stored.request.approve(approval.clone(), now)?;
        let opened_by = format!("{} (ssh {})", verdict.signer.name, verdict.signer.key);
        let effect = granted.map(|granted| self.effect_of(&granted, &opened_by, now)).transpose()?;
        stored.session = effect.as_ref().map(Effect::session);
        stored.settled = effect.is_none();
        let opens = effect.as_ref().and_then(|effect| effect.opens(verdict.signer.names.clone()));
        self.store.add_approval(&stored, &approval, opens.as_ref()).await?;
        self.go_on(stored, effect).await
    }

    /// Takes somebody's signed refusal: the request is over.
    pub async fn deny(&self, id: &str, sent: &Sent, actor: &Actor) -> Result<(), SessionError> {
        let _giving = self.giving.lock().await;
        let mut stored = self.stored(id)?;
        let now = self.clock.now();
        let verdict = self.verdict(Act::Deny, &stored.request, sent, now)?;
        stored.request.deny(&verdict.signer, now)?;
        let detail = signed_detail(&stored.request, &verdict, actor);
        self.record_of(&stored.request, Kind::SessionDeny, detail).await?;
        self.settle(stored).await
    }

    /// Takes a request back.
    pub async fn withdraw(&self, id: &str, actor: &Actor) -> Result<(), SessionError> {
        let _giving = self.giving.lock().await;
        let mut stored = self.stored(id)?;
        stored.request.withdraw(actor.word(), self.clock.now())?;
        let detail = json!({ "act": "request_withdraw", "request": id, "by": actor.word().as_str() });
        self.administer(Some(&stored.request.terms.window), detail).await?;
        self.settle(stored).await
    }

    /// All requests, oldest first.
    pub fn requests(&self) -> Vec<StoredRequest> {
        let mut requests: Vec<_> = self.table().requests.values().cloned().collect();
        requests.sort_by(|a, b| (a.request.requested, &a.request.id).cmp(&(b.request.requested, &b.request.id)));
        requests
    }

    /// How many requests wait for approval.
    pub fn requests_pending(&self) -> usize {
        let now = self.clock.now();
        self.table().requests.values().filter(|stored| stored.request.state(now) == State::Pending).count()
    }

    /// A request by id.
    pub fn stored(&self, id: &str) -> Result<StoredRequest, SessionError> {
        let found = self.table().requests.get(id).cloned();
        found.ok_or_else(|| SessionError::NotFound(format!("there is no request {id}; see: sealgate session requests")))
    }

    /// Limits hold for what is opened now, whatever was open when it was asked for.
    fn still_within(&self, request: &Request, now: i64) -> Result<(), SessionError> {
        self.open_window_closes(&request.terms.window, now)?;
        match &request.extends {
            Some(id) => self.may_extend(&*self.session(id)?, request.terms.duration, now).map(drop),
            None => Ok(self.access.within_limits(&request.terms, &subjects(&self.open_now(now)))?),
        }
    }

    /// Requests that nobody can approve any more: too late, or their window or session has ended.
    pub(super) fn lapse(&self, now: i64) {
        let mut table = self.table_mut();
        let Table { windows, sessions, requests, lapses, .. } = &mut *table;
        for stored in requests.values_mut().filter(|stored| stored.request.written_state() == State::Pending) {
            let request = &stored.request;
            let window_over = windows.get(&request.terms.window).is_none_or(|window| window.state != WindowState::Open);
            let extended = request.extends.as_ref().map(|id| sessions.get(id));
            let session_over = extended.is_some_and(|held| held.is_none_or(|held| held.session.status(now) != Status::Open));
            let over = if window_over || session_over { stored.request.lapse() } else { stored.request.expire(now) };
            if over {
                lapses.insert(stored.request.id.clone());
            }
        }
    }

    pub(super) async fn finish_lapses(&self) -> Result<(), SessionError> {
        let lapses = self.table().lapses.clone();
        for id in lapses {
            let stored = self.stored(&id)?;
            let detail = json!({ "act": "request_expire", "request": id.as_str(), "by": "sealgate" });
            match self.administer(Some(&stored.request.terms.window), detail).await {
                // Sealed in the meantime: its window_close is the end of what was asked for in it.
                Ok(_) | Err(SessionError::Ledger(LedgerError::WindowClosed(_))) => {}
                Err(error) => return Err(error),
            }
            self.store.update_request(&stored).await?;
            self.table_mut().lapses.remove(&id);
        }
        Ok(())
    }

    /// Writes where a request stands, then lets it stand there.
    async fn settle(&self, stored: StoredRequest) -> Result<(), SessionError> {
        self.store.update_request(&stored).await?;
        self.table_mut().requests.insert(stored.request.id.clone(), stored);
        Ok(())
    }

    /// A record about a request, in its window's ledger.
    async fn record_of(&self, request: &Request, kind: Kind, detail: Value) -> Result<Placed, SessionError> {
        let terms = &request.terms;
        let fields = Fields {
            session: request.extends.clone(),
            principal: Some(terms.principal.clone()),
            principal_kind: Some(terms.principal_kind.as_str().into()),
            acting_for: terms.acting_for.clone(),
            detail: Some(detail.to_string().into()),
            ..Fields::new(kind)
        };
        Ok(self.ledger.record(terms.window.clone(), Draft::new(fields)).await?)
    }
}

/// Who signed has said which request it is, and until when it waits.
fn asking(terms: Terms, extends: Option<Text>, asker: Asker, way: Way, requested: i64, expires: i64) -> Asking {
    let Asker { requester, basis, signed } = asker;
    let statement = signed.as_ref().map(|signed| signed.statement());
    let id = statement.and_then(|statement| statement.request.clone()).unwrap_or_else(|| token::new_id('R'));
    let expires = statement.and_then(|statement| statement.opens_before).unwrap_or(expires);
    Asking { id: id.into(), terms, extends, requester, basis, way, requested, expires }
}

fn terms_of(session: &Session) -> Terms {
    Terms {
        window: session.window.clone(),
        principal: session.principal.clone(),
        principal_kind: session.principal_kind,
        acting_for: session.acting_for.clone(),
        account: session.account.clone(),
        role: session.role.clone(),
        duration: 0,
        reason: session.reason.clone(),
    }
}

pub(super) fn whole_seconds(time: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(1_000_000))
}

pub(super) fn check_seconds(duration: i64) -> Result<(), SessionError> {
    match whole_seconds(duration) == duration {
        true => Ok(()),
        false => Err(SessionError::Invalid("ask for whole seconds: it is what approvers sign".to_owned())),
    }
}
