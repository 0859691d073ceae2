//! Endpoint mode: a tool that was given the gateway's own address as its endpoint names no cloud host, so the host is
//! made of the scope that it signed. Facts are those of botocore's service models (`endpointPrefix`, `signingName`).
//!
//! One signing name can stand for several hosts. The one in `PREFIXES` or the name itself is taken; the others are told
//! by a path before the request's own, which SDKs set by a variable for each service ([`SIBLINGS`]).

use crate::hosts::{self, HostClass, classify, is_region};

/// Path before the request's own that names the host: `/_sealgate/to/HOST` or `/_sealgate/to/PREFIX`.
pub const TO: &str = "/_sealgate/to/";

/// Where a request of endpoint mode goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The cloud's host name.
    pub host: String,
    /// The path, without the part that named the host.
    pub path: String,
}

/// Why no host could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEndpoint {
    /// One name for several hosts, none of them the usual one.
    #[error(
        "the signature is for {0}, which has several hosts: name it in the tool's endpoint, http://GATEWAY{to}HOST (`sealgate session env --endpoint` does)",
        to = TO
    )]
    Several(String),
    /// A host with a name of the customer's own.
    #[error(
        "the signature is for {0}, whose hosts have names of their own: name it in the tool's endpoint, http://GATEWAY{to}HOST",
        to = TO
    )]
    Own(String),
    /// The path names a host that is no cloud API.
    #[error("{0:?} is no host of a cloud API that sealgate opens")]
    NotCloud(String),
    /// A region that is not shaped like one.
    #[error("the region {0:?} of the signature names no host; set AWS_REGION")]
    Region(String),
}

/// The host of a request: by its path where that names one, else by the scope of its signature. `asked` is the host that the
/// client spoke to, without a port: a bucket may stand before it.
pub fn endpoint(asked: &str, path: &str, service: &str, region: &str) -> Result<Endpoint, NoEndpoint> {
    if let Some(rest) = path.strip_prefix(TO) {
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        return Ok(Endpoint { host: named(name, region)?, path: format!("/{path}") });
    }
    let host = host_of(service, region)?;
    let bucket = asked.strip_suffix(".localhost").filter(|bucket| service == "s3" && !bucket.is_empty());
    Ok(Endpoint { host: bucket.map_or_else(|| host.clone(), |bucket| format!("{bucket}.{host}")), path: path.to_owned() })
}

/// A whole host name, or what stands before the region.
fn named(name: &str, region: &str) -> Result<String, NoEndpoint> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(NoEndpoint::NotCloud(name.to_owned()));
    }
    if classify(name) == HostClass::Aws {
        return Ok(name.to_owned());
    }
    if hosts::Endpoint::of(name).is_some() {
        return Err(NoEndpoint::NotCloud(name.to_owned()));
    }
    regional(name, region).and_then(|host| match classify(&host) {
        HostClass::Aws => Ok(host),
        _ => Err(NoEndpoint::NotCloud(name.to_owned())),
    })
}

/// The usual host of a signing name.
fn host_of(service: &str, region: &str) -> Result<String, NoEndpoint> {
    if SEVERAL.contains(&service) {
        return Err(NoEndpoint::Several(service.to_owned()));
    }
    if OWN.contains(&service) {
        return Err(NoEndpoint::Own(service.to_owned()));
    }
    match suffix(region) {
        COMMERCIAL if service == "iam" && region.starts_with("us-gov-") => return Ok(format!("iam.us-gov.{COMMERCIAL}")),
        COMMERCIAL if GLOBAL.contains(&service) && !region.starts_with("us-gov-") => return Ok(format!("{service}.{COMMERCIAL}")),
        _ => {}
    }
    let prefix = PREFIXES.iter().find(|(name, _)| *name == service).map_or(service, |(_, prefix)| prefix);
    regional(prefix, region)
}

fn regional(prefix: &str, region: &str) -> Result<String, NoEndpoint> {
    // A region set of SigV4a names one region or more: the first that is whole.
    let region = region.split(',').find(|region| is_region(region)).ok_or_else(|| NoEndpoint::Region(region.to_owned()))?;
    Ok(format!("{prefix}.{region}.{}", suffix(region)))
}

const COMMERCIAL: &str = "amazonaws.com";

fn suffix(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "amazonaws.com.cn",
        _ if region.starts_with("eusc-") => "amazonaws.eu",
        _ if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ if region.starts_with("us-isof-") => "csp.hci.ic.gov",
        _ if region.starts_with("eu-isoe-") => "cloud.adc-e.uk",
        _ if region.starts_with("us-iso-") => "c2s.ic.gov",
        _ => COMMERCIAL,
    }
}

/// Services with one host for all regions of the commercial partition.
const GLOBAL: &[&str] = &["cloudfront", "iam", "importexport", "route53", "savingsplans", "waf"];

/// Signing names whose hosts begin otherwise.
const PREFIXES: &[(&str, &str)] = &[
    ("IoTSecuredTunneling", "api.tunneling.iot"),
    ("appstream", "appstream2"),
    ("cloudwatch", "cloudwatch-omni"),
    ("detective", "api.detective"),
    ("ecr", "api.ecr"),
    ("ecr-public", "api.ecr-public"),
    ("iot-jobs-data", "data.jobs.iot"),
    ("iotdeviceadvisor", "api.iotdeviceadvisor"),
    ("iotmanagedintegrations", "api.iotmanagedintegrations"),
    ("iotwireless", "api.iotwireless"),
    ("mediatailor", "api.mediatailor"),
    ("memorydb", "memory-db"),
    ("mobiletargeting", "pinpoint"),
    ("partnercentral", "partnercentral-prm"),
    ("payment-cryptography", "controlplane.payment-cryptography"),
    ("pricing", "api.pricing"),
    ("qapps", "data.qapps"),
    ("sagemaker", "api.sagemaker"),
    ("ses", "email"),
    ("wickr", "admin.wickr"),
];

/// Signing names of several services, none of them the usual one.
const SEVERAL: &[&str] = &["aws-marketplace", "lex", "timestream"];

/// Signing names whose hosts have names of the customer's own.
const OWN: &[&str] = &["aoss", "appsync", "execute-api", "iotdata", "neptune-db", "s3-outposts", "vpc-lattice-svcs"];

/// Services that share a signing name with another: their part of `AWS_ENDPOINT_URL_…`, and what their hosts begin with.
pub const SIBLINGS: &[(&str, &str)] = &[
    ("ACCOUNT_ACCESS_RUNTIME", "account-access-runtime"),
    ("AGENT_REGISTRY_CONTROL", "agent-registry-control"),
    ("APPCONFIGDATA", "appconfigdata"),
    ("BEDROCK_AGENT", "bedrock-agent"),
    ("BEDROCK_AGENTCORE_CONTROL", "bedrock-agentcore-control"),
    ("BEDROCK_AGENT_RUNTIME", "bedrock-agent-runtime"),
    ("BEDROCK_DATA_AUTOMATION", "bedrock-data-automation"),
    ("BEDROCK_DATA_AUTOMATION_RUNTIME", "bedrock-data-automation-runtime"),
    ("BEDROCK_RUNTIME", "bedrock-runtime"),
    ("CHIME_SDK_IDENTITY", "identity-chime"),
    ("CHIME_SDK_MEDIA_PIPELINES", "media-pipelines-chime"),
    ("CHIME_SDK_MEETINGS", "meetings-chime"),
    ("CHIME_SDK_MESSAGING", "messaging-chime"),
    ("CHIME_SDK_VOICE", "voice-chime"),
    ("CLOUDHSM_V2", "cloudhsmv2"),
    ("CONNECTPARTICIPANT", "participant.connect"),
    ("CONNECT_CONTACT_LENS", "contact-lens"),
    ("DYNAMODB_STREAMS", "streams.dynamodb"),
    ("EVENTBRIDGEV2", "eventsv2"),
    ("FORECASTQUERY", "forecastquery"),
    ("IVS_REALTIME", "ivsrealtime"),
    ("KEYSPACESSTREAMS", "cassandra-streams"),
    ("LEX_MODELS_V2", "models-v2-lex"),
    ("LEX_MODEL_BUILDING_SERVICE", "models.lex"),
    ("LEX_RUNTIME_SERVICE", "runtime.lex"),
    ("LEX_RUNTIME_V2", "runtime-v2-lex"),
    ("MAILMANAGER", "mail-manager"),
    ("MARKETPLACE_AGREEMENT", "agreement-marketplace"),
    ("MARKETPLACE_CATALOG", "catalog.marketplace"),
    ("MARKETPLACE_DEPLOYMENT", "deployment-marketplace"),
    ("MARKETPLACE_ENTITLEMENT_SERVICE", "entitlement.marketplace"),
    ("MARKETPLACE_METERING", "metering.marketplace"),
    ("MARKETPLACE_REPORTING", "reporting-marketplace"),
    ("MEDIASTORE_DATA", "data.mediastore"),
    ("MIGRATIONHUB_CONFIG", "migrationhub-config"),
    ("PAYMENT_CRYPTOGRAPHY_DATA", "dataplane.payment-cryptography"),
    ("PERSONALIZE_EVENTS", "personalize-events"),
    ("PERSONALIZE_RUNTIME", "personalize-runtime"),
    ("PINPOINT_SMS_VOICE", "sms-voice.pinpoint"),
    ("SAGEMAKER_A2I_RUNTIME", "a2i-runtime.sagemaker"),
    ("SAGEMAKER_EDGE", "edge.sagemaker"),
    ("SAGEMAKER_FEATURESTORE_RUNTIME", "featurestore-runtime.sagemaker"),
    ("SAGEMAKER_METRICS", "metrics.sagemaker"),
    ("SAGEMAKER_RUNTIME", "runtime.sagemaker"),
    ("SERVICE_CATALOG_APPREGISTRY", "servicecatalog-appregistry"),
    ("SIGNER_DATA", "data-signer"),
    ("TIMESTREAM_QUERY", "query.timestream"),
    ("TIMESTREAM_WRITE", "ingest.timestream"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, service: &str, region: &str, expected: Result<(&str, &str), NoEndpoint>) {
        let found = endpoint("127.0.0.1", path, service, region);
        let expected = expected.map(|(host, path)| Endpoint { host: host.into(), path: path.into() });
        assert_eq!(found, expected, "{service} {region} {path}");
    }

    #[test]
    fn a_scope_names_the_usual_host_of_its_service() {
        check("/", "sts", "eu-west-1", Ok(("sts.eu-west-1.amazonaws.com", "/")));
        check("/b/k", "s3", "us-east-1", Ok(("s3.us-east-1.amazonaws.com", "/b/k")));
        check("/", "iam", "us-east-1", Ok(("iam.amazonaws.com", "/")));
        check("/", "iam", "us-gov-west-1", Ok(("iam.us-gov.amazonaws.com", "/")));
        check("/", "ec2", "cn-north-1", Ok(("ec2.cn-north-1.amazonaws.com.cn", "/")));
        check("/", "ecr", "us-east-1", Ok(("api.ecr.us-east-1.amazonaws.com", "/")));
        check("/", "timestream", "us-east-1", Err(NoEndpoint::Several("timestream".into())));
        check("/", "execute-api", "us-east-1", Err(NoEndpoint::Own("execute-api".into())));
        check("/", "s3", "*", Err(NoEndpoint::Region("*".into())));
    }

    #[test]
    fn a_path_names_the_host_and_no_other_than_a_cloud_s() {
        check(
            "/_sealgate/to/bedrock-runtime/model/x",
            "bedrock",
            "us-east-1",
            Ok(("bedrock-runtime.us-east-1.amazonaws.com", "/model/x")),
        );
        check(
            "/_sealgate/to/a1.execute-api.us-east-1.amazonaws.com/v1",
            "execute-api",
            "us-east-1",
            Ok(("a1.execute-api.us-east-1.amazonaws.com", "/v1")),
        );
        check("/_sealgate/to/sts.us-east-1.amazonaws.com", "sts", "us-east-1", Ok(("sts.us-east-1.amazonaws.com", "/")));
        for bad in ["", "evil.example@x", "EVIL", "oidc", "signin.us-east-1.amazonaws.com", "a%2eb"] {
            check(&format!("/_sealgate/to/{bad}/"), "sts", "us-east-1", Err(NoEndpoint::NotCloud(bad.into())));
        }
    }

    #[test]
    fn a_bucket_before_localhost_stays_before_the_host() {
        let found = endpoint("my.bucket.localhost", "/key", "s3", "us-east-1").unwrap();
        assert_eq!(found.host, "my.bucket.s3.us-east-1.amazonaws.com");
        assert_eq!(endpoint("x.localhost", "/", "sts", "us-east-1").unwrap().host, "sts.us-east-1.amazonaws.com");
    }

    #[test]
    fn every_sibling_is_a_cloud_host() {
        for (_, prefix) in SIBLINGS {
            assert!(named(prefix, "us-east-1").is_ok(), "{prefix}");
        }
    }
}
