//! Who there is, and who somebody would be taken for. Nothing is done by asking.

use super::{
    Answer, Body, Failure, Gate, Peer,
    api::{IdentityView, PrincipalView, Who},
    body,
};
use crate::principals::{Asked, Identity, PrincipalError};
use axum::{
    Json,
    extract::{ConnectInfo, State},
};
use http::StatusCode;
use sealgate_policies::principal::{Principal, claims::Rule};

impl From<PrincipalError> for Failure {
    fn from(error: PrincipalError) -> Self {
        Self(error.status(), error.to_string())
    }
}

pub(super) async fn list(State(gateway): Gate) -> Json<Vec<PrincipalView>> {
    Json(gateway.principals.directory().principals().iter().map(principal_view).collect())
}

pub(super) async fn who(State(gateway): Gate, ConnectInfo(peer): ConnectInfo<Peer>, request: Body<Who>) -> Answer<IdentityView> {
    let request = body(request)?;
    let kind = request.kind.as_deref().map(str::parse).transpose().map_err(|error| Failure(StatusCode::BAD_REQUEST, error))?;
    let asked = Asked { principal: request.principal.as_deref(), kind, acting_for: request.acting_for.as_deref() };
    let identity = gateway.principals.preview(asked, &request.proof, peer.word(), gateway.clock.now()).await?;
    Ok(Json(identity_view(&identity)))
}

fn identity_view(identity: &Identity) -> IdentityView {
    IdentityView {
        principal: identity.principal.to_string(),
        kind: identity.kind.as_str().to_owned(),
        acting_for: identity.acting_for.as_deref().map(str::to_owned),
        basis: identity.basis.to_string(),
    }
}

fn principal_view(principal: &Principal) -> PrincipalView {
    let ssh = principal.ssh.iter().map(|name| format!("ssh {name}"));
    let oidc = principal.oidc.iter().map(rule);
    let spiffe = principal.spiffe.iter().map(|pattern| format!("certificate {pattern}"));
    PrincipalView {
        name: principal.name.clone(),
        kind: principal.kind.as_str().to_owned(),
        acts_for: principal.acts_for.iter().map(ToString::to_string).collect(),
        must_prove: principal.must_prove,
        proofs: ssh.chain(oidc).chain(spiffe).collect(),
    }
}

fn rule(rule: &Rule) -> String {
    let claims = rule.claims.iter().map(|(name, pattern)| format!(" {name}={pattern}"));
    std::iter::once(format!("oidc {}", rule.issuer)).chain(claims).collect()
}
