//! A source's own credential, by the providers of aws-config. They are made anew for each credential: each reads its files once,
//! and a profile that changed or a login that was renewed has to be seen.

use super::{error::why, http::OwnClient};
use crate::{
    clock::Clock,
    config::accounts::{AccountConfig, SourceKind},
    identify::signer::system_time,
    limits::SOURCE_TRIES,
};
use aws_config::{
    default_provider::credentials::DefaultCredentialsChain,
    ecs::EcsCredentialsProvider,
    environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider},
    imds::credentials::ImdsCredentialsProvider,
    meta::region::RegionProviderChain,
    profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider},
    provider_config::ProviderConfig,
    retry::RetryConfig,
    web_identity_token::WebIdentityTokenCredentialsProvider,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, Result as Provided},
};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_sts::config::Region;
use aws_smithy_async::time::TimeSource;
use aws_types::os_shim_internal::{Env, Fs};
use std::{borrow::Cow, sync::Arc, time::SystemTime};

/// Whose STS is asked for a web identity where nothing says a region; it gives what every region of AWS's main partition takes.
const SOME_REGION: &str = "us-east-1";

/// The gateway's clock, as the SDK asks it.
#[derive(Debug, Clone)]
pub(super) struct SdkTime(pub(super) Arc<dyn Clock>);

impl TimeSource for SdkTime {
    fn now(&self) -> SystemTime {
        system_time(self.0.now())
    }
}

/// Whether the profile that an account is of is there, and one of SSO where it has to be.
pub(super) async fn check_profile(account: &AccountConfig) -> Result<(), String> {
    let is_of_profile = account.profile.is_some() || matches!(account.source, SourceKind::Profile | SourceKind::Sso);
    if !is_of_profile {
        return Ok(());
    }
    let name = account.profile.clone().map(Cow::Owned);
    let profiles =
        aws_config::profile::load(&Fs::real(), &Env::real(), &files(account), name).await.map_err(|error| why(&error))?;
    let name = profiles.selected_profile();
    let found =
        profiles.get_profile(name).ok_or_else(|| format!("there is no profile {name} in the files of the AWS configuration"))?;
    let is_of_sso = ["sso_session", "sso_start_url"].iter().any(|key| found.get(key).is_some());
    match account.source == SourceKind::Sso && !is_of_sso {
        true => Err(format!("profile {name} is none of SSO: sign in with aws configure sso, or use source = \"profile\"")),
        false => Ok(()),
    }
}

/// What the source gives now, or what it said.
pub(super) async fn fetch(account: &AccountConfig, client: &OwnClient, time: &SdkTime) -> Result<Credentials, String> {
    let region = region(account).await;
    let settings = ProviderConfig::without_region()
        .with_http_client(client.clone())
        .with_time_source(time.clone())
        .with_retry_config(RetryConfig::standard().with_max_attempts(SOURCE_TRIES))
        .with_region(Some(region.unwrap_or(Region::from_static(SOME_REGION))));
    provide(account, settings).await.map_err(|error| match account.source {
        // What it says is of the last one that it tried, which is seldom the one that was meant.
        SourceKind::Default => format!(
            "{}; environment, profile, web identity, ECS and IMDS were tried: set source in [[account]] to the one that is meant",
            why(&error)
        ),
        _ => why(&error),
    })
}

async fn provide(account: &AccountConfig, settings: ProviderConfig) -> Provided {
    match account.source {
        SourceKind::Default => default_chain(account, settings).await,
        SourceKind::Profile | SourceKind::Sso => {
            let provider = ProfileFileCredentialsProvider::builder().configure(&settings).profile_files(files(account));
            let provider = account.profile.iter().fold(provider, |provider, name| provider.profile_name(name));
            provider.build().provide_credentials().await
        }
        SourceKind::Environment => EnvironmentVariableCredentialsProvider::new().provide_credentials().await,
        SourceKind::Imds => ImdsCredentialsProvider::builder().configure(&settings).build().provide_credentials().await,
        SourceKind::Ecs => EcsCredentialsProvider::builder().configure(&settings).build().provide_credentials().await,
        SourceKind::WebIdentity => {
            WebIdentityTokenCredentialsProvider::builder().configure(&settings).build().provide_credentials().await
        }
    }
}

async fn default_chain(account: &AccountConfig, settings: ProviderConfig) -> Provided {
    // With the region given, it does not ask the metadata service for one.
    let region = region(account).await;
    let chain = DefaultCredentialsChain::builder().configure(settings).region(region);
    let chain = account.profile.iter().fold(chain, |chain, name| chain.profile_name(name));
    chain.build().await.provide_credentials().await
}

/// The region that the account names, or the environment, or its profile.
pub(super) async fn region(account: &AccountConfig) -> Option<Region> {
    let profile = ProfileFileRegionProvider::builder().profile_files(files(account));
    let profile = account.profile.iter().fold(profile, |profile, name| profile.profile_name(name));
    let named = account.region.clone().map(Region::new);
    RegionProviderChain::first_try(named).or_else(EnvironmentVariableRegionProvider::new()).or_else(profile.build()).region().await
}

fn files(account: &AccountConfig) -> EnvConfigFiles {
    let files = EnvConfigFiles::builder();
    let files = match &account.config_file {
        Some(file) => files.with_file(EnvConfigFileKind::Config, file),
        None => files.include_default_config_file(true),
    };
    match &account.credentials_file {
        Some(file) => files.with_file(EnvConfigFileKind::Credentials, file),
        None => files.include_default_credentials_file(account.config_file.is_none()),
    }
    .build()
}
