//! What records of requests and sessions say in their `detail` (`schema/FORMAT.md` §14).

use super::{actor::Actor, signers::Verdict};
use crate::clock::rfc3339;
use sealgate_policies::{
    access::Way,
    request::{Granted, Request, Terms},
    session::Session,
};
use sealgate_schema::{Text, statement::Signed};
use serde_json::{Value, json};

pub(super) fn set(detail: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = detail {
        members.insert(name.to_owned(), value);
    }
}

/// What a request needs, as records say it.
fn needs_detail(detail: &mut Value, way: &Way) {
    match way {
        Way::Rule(name) => set(detail, "rule", json!(name.as_str())),
        Way::Approvals(needs) => {
            set(detail, "needs", json!(needs.approvals.get()));
            if !needs.from.is_empty() {
                set(detail, "needs_from", json!(needs.from.iter().map(Text::as_str).collect::<Vec<_>>()));
            }
        }
    }
}

pub(super) fn request_detail(request: &Request) -> Value {
    let Terms { account, role, duration, reason, .. } = &request.terms;
    let requester = &request.requester;
    let mut detail = json!({
        "request": request.id.as_str(), "reason": reason.as_str(), "duration_seconds": duration / 1_000_000,
        "account": account.as_deref(), "role": role.as_deref(), "extends": request.extends.as_deref(),
        "requester": requester.name.as_str(), "by": requester.by.as_str(), "key": requester.key.as_deref(),
        "basis": request.basis.as_str(), "waits_until": rfc3339(request.expires),
    });
    needs_detail(&mut detail, &request.way);
    detail
}

/// What who asked has signed.
pub(super) fn set_signed(detail: &mut Value, signed: Option<&Signed>) {
    let Some(signed) = signed else { return };
    set(detail, "signer", json!(signed.statement().signer));
    set(detail, "key", json!(signed.key().fingerprint()));
    set(detail, "statement", json!(signed.text()));
    set(detail, "signature", json!(signed.signature()));
}

pub(super) fn opened_detail(granted: &Granted, session: &Session) -> Value {
    let mut detail = granted_detail(granted);
    set(&mut detail, "expires", json!(rfc3339(session.expires())));
    set(&mut detail, "opened_by", json!(session.opened_by.as_str()));
    detail
}

pub(super) fn granted_detail(granted: &Granted) -> Value {
    let request = granted.request();
    let Terms { account, role, reason, .. } = &request.terms;
    let mut detail = json!({
        "request": request.id.as_str(), "reason": reason.as_str(), "approvals": granted.approvals(), "requester": request.requester.name.as_str(), "by": request.requester.by.as_str(),
        "basis": request.basis.as_str(), "account": account.as_deref(), "role": role.as_deref(),
    });
    needs_detail(&mut detail, &request.way);
    detail
}

pub(super) fn signed_detail(request: &Request, verdict: &Verdict, actor: &Actor) -> Value {
    let mut detail = verdict.detail(actor);
    set(&mut detail, "request", json!(request.id.as_str()));
    detail
}
