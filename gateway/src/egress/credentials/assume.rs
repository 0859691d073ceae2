//! A role, assumed for one session. That it is asked for is on disk before STS hears of it, and what became of it before the
//! credential is used. A crash between the two leaves the first record: STS may have given a credential, and nobody has it.

use super::{
    SourceError,
    account::{Account, Role},
    error::{one_line, why},
    http::OwnClient,
    names::{duration, sts_name, tags},
    provider::{SdkTime, region},
};
use crate::{
    clock::rfc3339,
    ledger::{Draft, Ledger},
    limits::{ROLE_WAIT, SOURCE_TRIES},
    sessions::describe,
};
use aws_credential_types::Credentials;
use aws_sdk_sts::{
    Client, Config,
    config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        RequestId,
        assume_role::{AssumeRoleError, AssumeRoleOutput, builders::AssumeRoleFluentBuilder},
    },
};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use sealgate_policies::session::Session;
use sealgate_schema::record::{Fields, Kind};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// What assuming roles stands on.
#[derive(Debug)]
pub(super) struct Assuming {
    pub(super) client: OwnClient,
    pub(super) time: SdkTime,
    pub(super) ledger: Ledger,
}

impl Assuming {
    /// Assumes a role with the account's own credential.
    pub(super) async fn assume(
        &self,
        account: &Account,
        role: &Role,
        session: &Session,
        source: Credentials,
    ) -> Result<Credentials, SourceError> {
        let failed = |why: String| SourceError::Role { account: account.name().to_owned(), role: role.arn.clone(), why };
        let region = region(&account.config).await.unwrap_or_else(|| Region::new(role.some_region()));
        let request = self.request(account, role, session, source, region.clone()).map_err(failed)?;
        let act = Act { account, role, session, region };
        act.record(&self.ledger, act.asked(&request), |_| {}).await?;
        let answer = request.send().await;
        let (detail, fill) = act.became(&answer);
        act.record(&self.ledger, detail, fill).await?;
        credentials(answer.map_err(|error| failed(explain(account, &error)))?)
            .ok_or_else(|| failed("STS sent no credential".to_owned()))
    }

    fn request(
        &self,
        account: &Account,
        role: &Role,
        session: &Session,
        source: Credentials,
        region: Region,
    ) -> Result<AssumeRoleFluentBuilder, String> {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.client.clone())
            .time_source(self.time.clone())
            .sleep_impl(TokioSleep::new())
            .retry_config(RetryConfig::standard().with_max_attempts(SOURCE_TRIES))
            .timeout_config(TimeoutConfig::builder().operation_timeout(ROLE_WAIT).build())
            .region(region)
            .credentials_provider(source)
            .build();
        let name = sts_name(&session.principal);
        let now = self.time.0.now();
        let seconds = i32::try_from(duration(session, now).as_secs()).map_err(|error| error.to_string())?;
        let request = Client::from_conf(config)
            .assume_role()
            .role_arn(&role.arn)
            .role_session_name(&name)
            .duration_seconds(seconds)
            .set_external_id(account.config.external_id.clone())
            .set_source_identity(account.config.source_identity.then_some(name));
        if !account.config.tags {
            return Ok(request);
        }
        let tags = tags(session).map_err(|error| error.to_string())?;
        let keys = tags.iter().map(|tag| tag.key().to_owned()).collect();
        Ok(request.set_tags(Some(tags)).set_transitive_tag_keys(Some(keys)))
    }
}

/// One assuming of a role, as records say it.
struct Act<'a> {
    account: &'a Account,
    role: &'a Role,
    session: &'a Session,
    region: Region,
}

type Answered = Result<AssumeRoleOutput, SdkError<AssumeRoleError, HttpResponse>>;

impl Act<'_> {
    async fn record(&self, ledger: &Ledger, detail: Value, fill: impl FnOnce(&mut Fields)) -> Result<(), SourceError> {
        let mut fields = Fields {
            provider: Some("aws".into()),
            account: Some(self.role.number.clone().into()),
            region: Some(self.region.as_ref().to_owned().into()),
            service: Some("sts".into()),
            operation: Some("AssumeRole".into()),
            resources: vec![self.role.arn.clone().into()],
            detail: Some(detail.to_string().into()),
            ..Fields::new(Kind::Administration)
        };
        describe(self.session, &mut fields);
        fill(&mut fields);
        let written = ledger.record(self.session.window.clone(), Draft::new(fields)).await;
        written.map(drop).map_err(|error| SourceError::Unrecorded(error.to_string()))
    }

    fn asked(&self, request: &AssumeRoleFluentBuilder) -> Value {
        let tags = request.get_tags().iter().flatten();
        let tags: serde_json::Map<_, _> = tags.map(|tag| (tag.key().to_owned(), tag.value().into())).collect();
        json!({
            "act": "assume_role", "by": "sealgate", "account": self.account.name(), "role": self.role.arn,
            "role_session_name": request.get_role_session_name(), "source_identity": request.get_source_identity(),
            "duration_seconds": request.get_duration_seconds(), "tags": tags,
        })
    }

    /// What the second record says: the credential's id and end, or the provider's error.
    fn became(&self, answer: &Answered) -> (Value, impl FnOnce(&mut Fields)) {
        let (account, role) = (self.account.name(), &self.role.arn);
        let (detail, request_id, code) = match answer {
            Ok(output) => {
                let issued = output.credentials();
                let id = issued.map(|issued| issued.access_key_id());
                let expires = issued.map(|issued| rfc3339(issued.expiration().secs().saturating_mul(1_000_000)));
                let detail = json!({
                    "act": "role_assumed", "by": "sealgate", "account": account, "role": role, "access_key_id": id, "expires": expires,
                });
                (detail, output.request_id(), None)
            }
            Err(error) => {
                let code = error.code().unwrap_or("SealgateUpstream");
                let detail = json!({
                    "act": "role_not_assumed", "by": "sealgate", "account": account, "role": role,
                    "why": explain(self.account, error),
                });
                (detail, error.request_id(), Some(code.to_owned()))
            }
        };
        let request_id = request_id.map(|id| one_line(id).into());
        let fill = move |fields: &mut Fields| {
            fields.upstream_request_id = request_id;
            fields.error_code = code.map(Into::into);
        };
        (detail, fill)
    }
}

/// What STS said, and what may help.
fn explain(account: &Account, error: &SdkError<AssumeRoleError, HttpResponse>) -> String {
    let said = match (error.code(), error.message()) {
        (Some(code), Some(message)) => one_line(&format!("{code}: {message}")),
        (Some(code), None) => one_line(code),
        _ => why(error),
    };
    if error.code() != Some("AccessDenied") {
        return said;
    }
    let config = &account.config;
    let identity = config.source_identity.then_some(("sts:SetSourceIdentity", "source_identity = false"));
    let tags = config.tags.then_some(("sts:TagSession", "tags = false"));
    let asked: Vec<_> = identity.into_iter().chain(tags).collect();
    let (acts, switches): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    match acts.is_empty() {
        true => format!("{said}; the role's trust policy and the source's own policies have to allow sts:AssumeRole"),
        false => format!(
            "{said}; the role's trust policy has to allow sts:AssumeRole, {} (or set {} for account {})",
            acts.join(" and "),
            switches.join(" and "),
            account.name()
        ),
    }
}

fn credentials(output: AssumeRoleOutput) -> Option<Credentials> {
    let issued = output.credentials?;
    let expires = SystemTime::try_from(issued.expiration).ok().filter(|expires| *expires > UNIX_EPOCH)?;
    let token = Some(issued.session_token);
    Some(Credentials::new(issued.access_key_id, issued.secret_access_key, token, Some(expires), "sealgate"))
}
