//! Which hosts are cloud APIs: opened and recorded, refused as cloud-like, or none of our business.
//!
//! The name alone is asked, never DNS. What is wrong here is wrong on the safe side: a name that looks like a cloud API
//! and is not in the tables is refused, not tunnelled unseen. An address in digits says nothing and is `Other`.

/// What a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostClass {
    /// An AWS API: opened and recorded.
    Aws,
    /// Looks like a cloud API that this version does not open.
    CloudLike,
    /// Anything else, sign-in pages and OIDC issuers among them.
    Other,
}

/// Classes a host: a name in any case, with or without the last dot, or an address; without a port.
pub fn classify(host: &str) -> HostClass {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if any_suffix(&host, SIGN_IN) {
        return HostClass::Other;
    }
    if let Some(endpoint) = Endpoint::of(&host) {
        return endpoint.class();
    }
    let looks_like = any_suffix(&host, OTHER_CLOUDS) || AWS_MARKS.iter().any(|mark| host.contains(mark));
    if looks_like { HostClass::CloudLike } else { HostClass::Other }
}

/// An AWS host name in its two halves.
pub(crate) struct Endpoint<'a> {
    /// What stands before the suffix: `sts.us-east-1`, `bucket.s3`.
    pub(crate) labels: &'a str,
    /// The partition. `aws-us-gov` shares its suffixes with `aws` and is told by the region alone.
    pub(crate) partition: &'static str,
}

impl<'a> Endpoint<'a> {
    /// Splits a host name; `None` where it is not under an AWS suffix. The name must be in lower case.
    pub(crate) fn of(host: &'a str) -> Option<Self> {
        SUFFIXES.iter().find_map(|(suffix, partition)| {
            let labels = host.strip_suffix(suffix)?.strip_suffix('.')?;
            Some(Self { labels, partition })
        })
    }

    /// A bucket's name may hold dots, and stands before what AWS chose. So the labels are read from the right, and the
    /// names that are not opened are matched whole: no bucket may be named so that its traffic goes unseen.
    fn class(&self) -> HostClass {
        let mut labels = self.labels.rsplit('.');
        match (labels.next(), labels.next(), labels.next()) {
            // Sign-in and OIDC issuers: `signin.REGION`, `oidc.REGION`, `oidc.eks.REGION`, `device.sso.REGION`.
            (Some(region), Some("signin" | "oidc" | "oidc-eks"), None) if is_region(region) => HostClass::Other,
            (Some(region), Some("eks"), Some("oidc")) if is_region(region) && labels.next().is_none() => HostClass::Other,
            (Some(region), Some("sso"), Some("device")) if is_region(region) && labels.next().is_none() => HostClass::Other,
            // Kubernetes API servers: `ID.XYZ.REGION.eks`, `ID.XYZ.eks-cluster.REGION`.
            (Some("eks"), Some(region), Some(_)) if is_region(region) => HostClass::CloudLike,
            (Some(region), Some("eks-cluster"), _) if is_region(region) => HostClass::CloudLike,
            // The customer's own machines, load balancers and databases.
            (Some("compute" | "compute-1" | "elb" | "rds" | "cache" | "redshift"), Some(_), _) => HostClass::Other,
            (Some(region), Some("elb"), Some(_)) if is_region(region) => HostClass::Other,
            _ => HostClass::Aws,
        }
    }
}

/// Whether a label is shaped like a region: `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`; not `s3-us-west-2`.
pub(crate) fn is_region(label: &str) -> bool {
    let mut parts = label.split('-');
    let (first, last) = (parts.next().unwrap_or(""), parts.next_back().unwrap_or(""));
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    (2..=4).contains(&first.len())
        && word(first)
        && (1..=2).contains(&last.len())
        && last.bytes().all(|b| b.is_ascii_digit())
        && (1..=2).contains(&parts.clone().count())
        && parts.all(word)
}

/// Whether the host is one of these names or under one.
fn any_suffix(host: &str, suffixes: &[&str]) -> bool {
    suffixes.iter().any(|suffix| host.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Suffixes of AWS APIs: `dnsSuffix` and `dualStackDnsSuffix` of botocore's `partitions.json`, and `on.aws` (function
/// URLs and newer dual-stack endpoints). FIPS and VPC endpoints are labels before them.
const SUFFIXES: &[(&str, &str)] = &[
    ("amazonaws.com", "aws"),
    ("api.aws", "aws"),
    ("on.aws", "aws"),
    ("amazonaws.com.cn", "aws-cn"),
    ("api.amazonwebservices.com.cn", "aws-cn"),
    ("on.amazonwebservices.com.cn", "aws-cn"),
    ("amazonaws.eu", "aws-eusc"),
    ("api.amazonwebservices.eu", "aws-eusc"),
    ("c2s.ic.gov", "aws-iso"),
    ("api.aws.ic.gov", "aws-iso"),
    ("sc2s.sgov.gov", "aws-iso-b"),
    ("api.aws.scloud", "aws-iso-b"),
    ("cloud.adc-e.uk", "aws-iso-e"),
    ("api.cloud-aws.adc-e.uk", "aws-iso-e"),
    ("csp.hci.ic.gov", "aws-iso-f"),
    ("api.aws.hci.ic.gov", "aws-iso-f"),
];

/// Sign-in pages, OIDC issuers and token endpoints: tunnelled, never opened (what passes there are people's passwords).
/// Also pages to read that would look like an API. AWS's are the hosts of the `signin` service's endpoint rules.
const SIGN_IN: &[&str] = &[
    "signin.aws.amazon.com",
    "signin.aws",
    "awsapps.com",
    "signin.amazonaws.cn",
    "signin.amazonaws-us-gov.com",
    "signin-fips.amazonaws-us-gov.com",
    "signin.amazonaws-eusc.eu",
    "signin.c2shome.ic.gov",
    "signin.sc2shome.sgov.gov",
    "signin.csphome.hci.ic.gov",
    "signin.csphome.adc-e.uk",
    "docs.amazonaws.cn",
    "oauth2.googleapis.com",
    "login.windows.net",
    "login.chinacloudapi.cn",
    "identity.oraclecloud.com",
    "fonts.googleapis.com",
];

/// Marks of AWS in a name that is under none of its suffixes: look-alikes, consoles, endpoints newer than the table.
const AWS_MARKS: &[&str] = &["amazonaws", "amazonwebservices", ".api.aws.", ".on.aws.", "console.aws.amazon.com"];

/// Control planes and stores of other clouds.
const OTHER_CLOUDS: &[&str] = &[
    // AWS: every name of its own top-level domain that is not in the tables above.
    "aws",
    // Google
    "googleapis.com",
    "console.cloud.google.com",
    "container.cloud.google.com",
    // Microsoft: management.azure.com, vault.azure.net, blob.core.windows.net, and the national clouds
    "azure.com",
    "azure.net",
    "azure.cn",
    "azure.us",
    "windows.net",
    "azmk8s.io",
    "graph.microsoft.com",
    "graph.microsoft.us",
    "chinacloudapi.cn",
    "usgovcloudapi.net",
    // Oracle
    "oraclecloud.com",
    "oraclegovcloud.com",
    "oraclegovcloud.uk",
    // Alibaba, Tencent, Huawei, Baidu, Yandex
    "aliyuncs.com",
    "tencentcloudapi.com",
    "myqcloud.com",
    "myhuaweicloud.com",
    "baidubce.com",
    "api.cloud.yandex.net",
    "storage.yandexcloud.net",
    // IBM
    "cloud.ibm.com",
    "cloud-object-storage.appdomain.cloud",
    // Smaller ones
    "api.digitalocean.com",
    "digitaloceanspaces.com",
    "k8s.ondigitalocean.com",
    "api.hetzner.cloud",
    "api.hetzner.com",
    "your-objectstorage.com",
    "api.cloudflare.com",
    "r2.cloudflarestorage.com",
    "api.linode.com",
    "linodeobjects.com",
    "api.vultr.com",
    "vultrobjects.com",
    "api.scaleway.com",
    "scw.cloud",
    "api.ovh.com",
    "api.exoscale.com",
    "api.upcloud.com",
    "backblazeb2.com",
    "wasabisys.com",
    "api.heroku.com",
    "api.machines.dev",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(expected: HostClass, hosts: &[&str]) {
        for host in hosts {
            assert_eq!(classify(host), expected, "{host}");
            assert_eq!(classify(&format!("{}.", host.to_uppercase())), expected, "{host} in capitals, with the last dot");
        }
    }

    #[test]
    fn every_style_of_aws_endpoint_is_opened() {
        check(
            HostClass::Aws,
            &[
                "sts.amazonaws.com",
                "sts.us-east-1.amazonaws.com",
                "iam.amazonaws.com",
                "ec2.eu-central-1.api.aws",
                "dynamodb-fips.us-gov-west-1.amazonaws.com",
                "123456789012.ddb.us-east-1.amazonaws.com",
                "my.bucket.s3.dualstack.eu-west-1.amazonaws.com",
                "bucket.s3-us-west-2.amazonaws.com",
                "bucket.s3-accelerate.amazonaws.com",
                "vpce-0a1b2c3d-4e5f.sts.us-east-1.vpce.amazonaws.com",
                "bucket.bucket.vpce-0a1b-2c3d.s3.us-east-1.vpce.amazonaws.com",
                "ec2.cn-north-1.amazonaws.com.cn",
                "lambda.cn-north-1.api.amazonwebservices.com.cn",
                "sts.eusc-de-east-1.amazonaws.eu",
                "sts.us-iso-east-1.c2s.ic.gov",
                "sts.us-isob-east-1.sc2s.sgov.gov",
                "sts.eu-isoe-west-1.cloud.adc-e.uk",
                "sts.us-isof-south-1.csp.hci.ic.gov",
                "abc.lambda-url.us-east-1.on.aws",
                "portal.sso.eu-west-1.amazonaws.com",
                "eks.us-east-1.amazonaws.com",
                "fips.eks.us-east-1.amazonaws.com",
                "rds.us-east-1.amazonaws.com",
                "cognito-idp.us-east-1.amazonaws.com",
                "elasticloadbalancing.us-east-1.amazonaws.com",
            ],
        );
    }

    #[test]
    fn sign_in_and_issuers_are_tunnelled() {
        check(
            HostClass::Other,
            &[
                "signin.aws.amazon.com",
                "us-east-2.signin.aws.amazon.com",
                "d-1234567890.awsapps.com",
                "oidc.us-east-1.amazonaws.com",
                "oidc.us-gov-west-1.amazonaws.com",
                "oidc.eks.us-east-1.amazonaws.com",
                "oidc-eks.us-east-1.api.aws",
                "device.sso.us-east-1.amazonaws.com",
                "signin.eusc-de-east-1.amazonaws.eu",
                "sso.signin.aws",
                "oauth2.googleapis.com",
                "login.microsoftonline.com",
            ],
        );
    }

    #[test]
    fn a_bucket_with_the_name_of_an_issuer_is_opened() {
        check(
            HostClass::Aws,
            &[
                "oidc.s3.amazonaws.com",
                "oidc.s3-us-west-2.amazonaws.com",
                "oidc.eks.us-east-1.s3.amazonaws.com",
                "oidc.eks.s3.us-east-1.amazonaws.com",
                "device.sso.s3.us-east-1.amazonaws.com",
                "signin.s3.us-east-1.amazonaws.com",
                "x.y.us-east-1.eks.s3.amazonaws.com",
                "a.elb.s3.us-east-1.amazonaws.com",
            ],
        );
    }

    #[test]
    fn what_looks_like_a_cloud_is_not_tunnelled_unseen() {
        check(
            HostClass::CloudLike,
            &[
                "amazonaws.com.evil.net",
                "s3.amazonaws-com.net",
                "sts.api.aws.example.com",
                "console.aws.amazon.com",
                "us-east-1.console.aws.amazon.com",
                "console.amazonaws-us-gov.com",
                "something.new.aws",
                "0123456789ABCDEF.gr7.us-east-1.eks.amazonaws.com",
                "0123456789ABCDEF.sk1.eks-cluster.us-east-1.api.aws",
                "compute.googleapis.com",
                "management.azure.com",
                "account.blob.core.windows.net",
                "graph.microsoft.com",
                "iaas.eu-frankfurt-1.oraclecloud.com",
                "ecs.aliyuncs.com",
                "api.digitalocean.com",
                "api.hetzner.cloud",
                "api.cloudflare.com",
            ],
        );
    }

    #[test]
    fn the_rest_of_the_world_is_other() {
        check(
            HostClass::Other,
            &[
                "example.com",
                "github.com",
                "registry.terraform.io",
                "aws.amazon.com",
                "notamazon.com",
                "lawsuits.example",
                "169.254.169.254",
                "[fd00:ec2::254]",
                "ec2-203-0-113-25.compute-1.amazonaws.com",
                "ec2-203-0-113-25.eu-west-1.compute.amazonaws.com",
                "web-123.us-east-1.elb.amazonaws.com",
                "net-123.elb.us-east-1.amazonaws.com",
                "db.abc.us-east-1.rds.amazonaws.com",
            ],
        );
        for odd in ["", ".", "..", "-", ".amazonaws.com", "amazonaws.com"] {
            let _ = classify(odd);
        }
    }

    proptest! {
        #[test]
        fn hostile_names_never_panic_and_marks_are_never_tunnelled(name in "\\PC{0,40}", label in "[a-z0-9-]{1,12}") {
            let _ = classify(&name);
            prop_assert_ne!(classify(&format!("{label}.amazonaws.com.{label}.net")), HostClass::Other);
            prop_assert_ne!(classify(&format!("sts.{label}.amazonaws.org")), HostClass::Other);
        }
    }
}
