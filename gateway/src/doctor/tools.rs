//! What to set so that a tool's traffic comes through: a table of tools, and what holds for any.

use super::program::Program;

/// What is wrong with a tool's traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It connected past the gateway, or only asked for names, which who uses a proxy need not.
    Around,
    /// It does not trust the gateway's CA.
    Untrusted,
    /// It sent no proxy credential, or a wrong one.
    NoCredential,
    /// It signed with credentials that were not made for the session.
    Foreign,
    /// It speaks HTTP without TLS.
    Plain,
}

/// What a session tells a tool, for advice that can be copied.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// Host of the proxy.
    pub host: String,
    /// Its port.
    pub port: String,
    /// File of the roots to trust.
    pub bundle: String,
}

struct Tool {
    /// What its name, or that of what runs it, begins with.
    names: &'static [&'static str],
    /// What brings its traffic to the proxy.
    proxy: &'static str,
    /// What makes it trust the CA.
    trust: &'static str,
}

/// Tools before what runs them: the first that fits is meant. `{host}`, `{port}` and `{ca}` are filled in.
static TOOLS: [Tool; 17] = [
    Tool {
        names: &["aws", "sam", "cdk-py", "eb"],
        proxy: "the AWS CLI follows HTTPS_PROXY; look for an --endpoint-url, `endpoint_url` in its configuration or a wrapper that unsets it",
        trust: "set AWS_CA_BUNDLE={ca}, and leave out --ca-bundle and `ca_bundle` of a profile",
    },
    Tool {
        names: &["terraform", "tofu", "terragrunt"],
        proxy: "providers follow HTTPS_PROXY; look for `http_proxy`, `https_proxy` or `endpoints` in the provider's block",
        trust: "set AWS_CA_BUNDLE={ca} for the AWS provider (or `custom_ca_bundle`), SSL_CERT_FILE={ca} for others",
    },
    Tool {
        names: &["kubectl", "helm", "k9s", "eksctl"],
        proxy: "set HTTPS_PROXY, or `proxy-url` of the cluster in the kubeconfig; Go uses no proxy for localhost and 127.0.0.0/8: give the server a host name",
        trust: "put {ca} into `certificate-authority` of the cluster in the kubeconfig; for others of its hosts set SSL_CERT_FILE={ca}",
    },
    Tool {
        names: &["gcloud", "gsutil", "bq"],
        proxy: "gcloud follows HTTPS_PROXY unless `gcloud config get proxy/address` says otherwise: unset proxy/type, proxy/address and proxy/port",
        trust: "set CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE={ca}",
    },
    Tool {
        names: &["az", "azure.cli"],
        proxy: "az follows HTTPS_PROXY; look for a wrapper that unsets it",
        trust: "set REQUESTS_CA_BUNDLE={ca}",
    },
    Tool {
        names: &["curl"],
        proxy: "curl follows HTTPS_PROXY; look for --noproxy, --proxy or a ~/.curlrc with them",
        trust: "set CURL_CA_BUNDLE={ca} or give --cacert {ca}",
    },
    Tool {
        names: &["wget"],
        proxy: "wget follows https_proxy in lower case; look for --no-proxy and ~/.wgetrc",
        trust: "give --ca-certificate={ca}",
    },
    Tool {
        names: &["git"],
        proxy: "git follows HTTPS_PROXY unless `git config http.proxy` is set; ssh:// remotes use no proxy",
        trust: "set GIT_SSL_CAINFO={ca}",
    },
    Tool {
        names: &["node", "npm", "npx", "cdk", "ts-node", "serverless", "sls"],
        proxy: "Node reads no proxy variable before version 24, and there only with NODE_USE_ENV_PROXY=1. Without a change of code use the endpoint: \
                AWS_ENDPOINT_URL=http://{host}:{port}. With one: give the SDK's NodeHttpHandler a proxy agent (hpagent)",
        trust: "set NODE_EXTRA_CA_CERTS={ca} (it is read when Node starts)",
    },
    Tool {
        names: &["deno", "bun"],
        proxy: "it follows HTTPS_PROXY in fetch, not in every library: AWS_ENDPOINT_URL=http://{host}:{port} is the way without code",
        trust: "set DENO_CERT={ca} (deno) or NODE_EXTRA_CA_CERTS={ca} (bun)",
    },
    Tool {
        names: &["java", "gradle", "mvn", "kotlin", "scala", "sbt"],
        proxy: "Java reads no proxy variable: JAVA_TOOL_OPTIONS=\"-Dhttps.proxyHost={host} -Dhttps.proxyPort={port} -Djdk.http.auth.tunneling.disabledSchemes=\", \
                with an Authenticator for the proxy credential; version 2 of the AWS SDK reads HTTPS_PROXY itself. Or AWS_ENDPOINT_URL=http://{host}:{port}",
        trust: "put the CA into a trust store (keytool -importcert -noprompt -alias sealgate -file {ca} -keystore trust.p12 -storepass changeit) and name it: \
                JAVA_TOOL_OPTIONS=\"-Djavax.net.ssl.trustStore=trust.p12 -Djavax.net.ssl.trustStorePassword=changeit\"",
    },
    Tool {
        names: &["dotnet", "pwsh", "powershell"],
        proxy: "HttpClient follows HTTPS_PROXY, but older AWS SDKs for .NET do not: set ProxyHost and ProxyPort of the client's configuration, or AWS_ENDPOINT_URL=http://{host}:{port}",
        trust: "set SSL_CERT_FILE={ca}",
    },
    Tool {
        names: &["ruby", "chef", "knife", "kitchen"],
        proxy: "the AWS SDK for Ruby reads no proxy variable: Aws.config.update(http_proxy: ENV['HTTPS_PROXY']), or AWS_ENDPOINT_URL=http://{host}:{port}",
        trust: "set AWS_CA_BUNDLE={ca} for the AWS SDK, SSL_CERT_FILE={ca} for others",
    },
    Tool {
        names: &["php", "composer"],
        proxy: "Guzzle follows HTTPS_PROXY on the command line only: give the client 'http' => ['proxy' => getenv('HTTPS_PROXY')]",
        trust: "run php with -d openssl.cafile={ca} -d curl.cainfo={ca}",
    },
    Tool {
        names: &["go"],
        proxy: "Go follows HTTPS_PROXY as it was when the program started, and never for localhost and 127.0.0.0/8: use a host name",
        trust: "set SSL_CERT_FILE={ca}",
    },
    Tool {
        names: &["cargo"],
        proxy: "cargo follows HTTPS_PROXY unless `http.proxy` is set in its configuration",
        trust: "set CARGO_HTTP_CAINFO={ca}",
    },
    Tool {
        names: &["python", "pip", "pulumi-language-python", "ansible"],
        proxy: "boto3, requests and httpx follow HTTPS_PROXY unless the code says Config(proxies=…) or trust_env=False; aiohttp needs trust_env=True; \
                http.client and plain sockets never do",
        trust: "set AWS_CA_BUNDLE={ca} for boto3, REQUESTS_CA_BUNDLE={ca} for requests, SSL_CERT_FILE={ca} for others",
    },
];

/// What is said where nothing else fits.
static ANY: Tool = Tool {
    names: &[],
    proxy: "it may read no proxy variable: use the endpoint, AWS_ENDPOINT_URL=http://{host}:{port}, or find its setting for a proxy. \
            Go programs use no proxy for localhost; the AWS SDK for Rust follows HTTPS_PROXY with its default client",
    trust: "set SSL_CERT_FILE={ca} (Go, OpenSSL, the AWS SDK for Rust, which ignores AWS_CA_BUNDLE), or find its setting for a CA",
};

/// What to set for a program, the surest first.
pub fn advice(program: &Program, trouble: Trouble, way: &Way) -> Vec<String> {
    let settings = &program.settings;
    let tool = tool(program);
    let fill = |text: &str| text.replace("{host}", &way.host).replace("{port}", &way.port).replace("{ca}", &way.bundle);
    let mut advice = Vec::new();
    match trouble {
        Trouble::Around => {
            if settings.lost_proxy() {
                advice.push("it was started without the session's HTTPS_PROXY: something before it (sudo, env -i, a wrapper) cleans the environment".to_owned());
            }
            if let Some(list) = settings.no_proxy.as_ref().filter(|_| CLOUD_HOSTS.iter().any(|host| settings.exempts(host))) {
                advice.push(format!("its NO_PROXY ({list}) covers the cloud's hosts: leave those out"));
            }
            advice.push(fill(tool.proxy));
        }
        Trouble::Untrusted => {
            let lost = settings.changed.iter().filter(|name| CA_VARIABLES.contains(&name.as_str())).cloned().collect::<Vec<_>>();
            if !lost.is_empty() {
                advice.push(format!("it was started without the session's {}", lost.join(", ")));
            }
            advice.push(fill(tool.trust));
        }
        Trouble::NoCredential => advice.push(
            "it came without the session's proxy credential: keep user and password in HTTPS_PROXY as `sealgate session env` prints it, or name them in its own setting for the proxy"
                .to_owned(),
        ),
        Trouble::Foreign => {
            if let Some(profile) = &settings.profile {
                advice.push(format!("it ran with AWS_PROFILE={profile}: unset AWS_PROFILE and AWS_DEFAULT_PROFILE"));
            }
            advice.push("it signs with credentials of its own: run it without --profile, and unset what it may find before the session's (profiles, SSO, keys in code)".to_owned());
        }
        Trouble::Plain => advice.push("it speaks plain http: use https, which the gateway can open; HTTP_PROXY is not set by a session".to_owned()),
    }
    advice
}

/// Hosts by which a list of hosts without proxy is tried.
const CLOUD_HOSTS: [&str; 4] =
    ["sts.us-east-1.amazonaws.com", "sts.us-east-1.api.aws", "management.azure.com", "compute.googleapis.com"];
/// Variables by which the tools of the table find roots.
const CA_VARIABLES: [&str; 8] = [
    "AWS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
];

fn tool(program: &Program) -> &'static Tool {
    let fits = |name: &str| TOOLS.iter().find(|tool| tool.names.iter().any(|start| is_one_of(name, start)));
    fits(&program.name).or_else(|| program.interpreter.as_deref().and_then(fits)).unwrap_or(&ANY)
}

/// `python3.11` is python, `terraform-provider-aws_v5` is terraform, `awslogs` is not aws.
fn is_one_of(name: &str, start: &str) -> bool {
    name.strip_prefix(start).is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::program::Settings;

    fn check(name: &str, interpreter: Option<&str>, trouble: Trouble, says: &str) {
        let program = Program { name: name.into(), interpreter: interpreter.map(Into::into), settings: Settings::default() };
        let way = Way { host: "127.0.0.1".into(), port: "7300".into(), bundle: "/h/ca.pem".into() };
        let advice = advice(&program, trouble, &way).join("\n");
        assert!(advice.contains(says) && !advice.contains('{'), "{name}: {advice}");
    }

    #[test]
    fn each_tool_is_told_what_its_own_kind_reads() {
        check("app.js", Some("node"), Trouble::Around, "AWS_ENDPOINT_URL=http://127.0.0.1:7300");
        check("node20", None, Trouble::Untrusted, "NODE_EXTRA_CA_CERTS=/h/ca.pem");
        check("java", None, Trouble::Around, "-Dhttps.proxyHost=127.0.0.1");
        check("aws", Some("python3"), Trouble::Untrusted, "AWS_CA_BUNDLE=/h/ca.pem");
        check("deploy.py", Some("python3.11"), Trouble::Untrusted, "REQUESTS_CA_BUNDLE=/h/ca.pem");
        check("gcloud.py", Some("python3"), Trouble::Untrusted, "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE");
        check("terraform-provider-aws_v5.100.0_x5", None, Trouble::Untrusted, "custom_ca_bundle");
        check("kubectl.1.33", None, Trouble::Around, "proxy-url");
        check("awslogs", None, Trouble::Untrusted, "SSL_CERT_FILE");
        check("mystery", None, Trouble::Around, "endpoint");
        check("mystery", None, Trouble::Foreign, "--profile");
    }
}
