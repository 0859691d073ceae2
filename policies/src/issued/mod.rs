//! Answers that hand out a cloud credential: which calls get one, where it stands in the answer, and the same answer with another
//! in its place.
//!
//! Every byte around the credential stays as it came. An answer in which one can't be found for certain is an error: what is not
//! understood is not given to the client. Calls of STS that this version does not know are looked at as well ([`Kind::Other`]).

mod json;
mod xml;

#[cfg(test)]
mod tests;

use crate::naming::aws::Call;
use sealgate_schema::Text;
use std::{fmt, ops::Range};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// STS `AssumeRole`.
    AssumeRole,
    /// STS `AssumeRoleWithSAML`.
    AssumeRoleWithSaml,
    /// STS `AssumeRoleWithWebIdentity`.
    AssumeRoleWithWebIdentity,
    /// STS `AssumeRoot`.
    AssumeRoot,
    /// STS `GetSessionToken`.
    GetSessionToken,
    /// STS `GetFederationToken`.
    GetFederationToken,
    /// `GetRoleCredentials` of the SSO portal.
    GetRoleCredentials,
    /// Another call of STS: its answer may hold a credential, and need not.
    Other,
}

impl Kind {
    const STS: [Self; 6] = [
        Self::AssumeRole,
        Self::AssumeRoleWithSaml,
        Self::AssumeRoleWithWebIdentity,
        Self::AssumeRoot,
        Self::GetSessionToken,
        Self::GetFederationToken,
    ];

    /// The operation, in AWS's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AssumeRole => "AssumeRole",
            Self::AssumeRoleWithSaml => "AssumeRoleWithSAML",
            Self::AssumeRoleWithWebIdentity => "AssumeRoleWithWebIdentity",
            Self::AssumeRoot => "AssumeRoot",
            Self::GetSessionToken => "GetSessionToken",
            Self::GetFederationToken => "GetFederationToken",
            Self::GetRoleCredentials => "GetRoleCredentials",
            Self::Other => "an operation that this version does not know",
        }
    }
}

/// Operations of STS that hand nothing out, and need no look at their answers.
const HARMLESS: [&str; 3] = ["GetCallerIdentity", "GetAccessKeyInfo", "DecodeAuthorizationMessage"];

/// Whether a call gets a credential, as it is named; `host` without a port.
pub fn issues(call: &Call, host: &str, path: &str) -> Option<Kind> {
    if is_portal(host) {
        return (path == "/federation/credentials").then_some(Kind::GetRoleCredentials);
    }
    // The host counts too: a call that is signed for another service is not one of STS's, and STS says so itself.
    let is_sts = call.service.as_deref() == Some("sts") || host.starts_with("sts.") || host.starts_with("sts-fips.");
    match call.operation.as_deref() {
        _ if !is_sts => None,
        Some(name) if HARMLESS.contains(&name) => None,
        name => Some(Kind::STS.into_iter().find(|kind| name == Some(kind.as_str())).unwrap_or(Kind::Other)),
    }
}

/// `portal.sso.REGION.amazonaws.com`, and the same of other partitions.
fn is_portal(host: &str) -> bool {
    host.strip_prefix("portal.sso.").is_some_and(|rest| rest.contains('.'))
}

/// A credential as an answer hands it out.
pub struct Issued {
    access_key_id: Found,
    secret: Found,
    token: Found,
    expiration: Option<(Found, Form)>,
    holder: Option<Text>,
    expires: Option<i64>,
}

// The secret and the token would be in it.
impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("access_key_id", &self.access_key_id.value)
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

impl Issued {
    /// The real access key id.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id.value
    }

    /// The real secret.
    pub fn secret(&self) -> &str {
        &self.secret.value
    }

    /// The real token.
    pub fn token(&self) -> &str {
        &self.token.value
    }

    /// When it expires, in microseconds since 1970 UTC.
    pub fn expires(&self) -> Option<i64> {
        self.expires
    }

    /// ARN of what it acts as, where the answer says so.
    pub fn holder(&self) -> Option<&Text> {
        self.holder.as_ref()
    }
}

/// A value in the answer, and where it stands.
struct Found {
    at: Range<usize>,
    value: String,
}

/// How an answer writes a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Rfc3339,
    Seconds,
    Milliseconds,
}

/// What is found in an answer, as it is come upon.
#[derive(Default)]
struct Finds {
    access_key_id: Vec<Found>,
    secret: Vec<Found>,
    token: Vec<Found>,
    expiration: Vec<(Found, Form)>,
    holder: Vec<String>,
}

/// Why a credential was not found in an answer that should have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotRead {
    /// It is compressed.
    #[error("it is compressed, which was not asked for")]
    Compressed,
    /// It is neither XML nor JSON, or broken.
    #[error("it is no whole XML or JSON")]
    Malformed,
    /// It holds none.
    #[error("it holds none")]
    Missing,
    /// It holds a part of one, or several.
    #[error("it holds not exactly one")]
    Unclear,
    /// Its time can't be read.
    #[error("when it expires can't be read")]
    Expiration,
}

/// What stands in place of the real credential: letters, digits, `-` and `_`, which need no escape in XML or JSON.
pub struct Substitute<'a> {
    /// Its id.
    pub access_key_id: &'a str,
    /// Its secret.
    pub secret: &'a str,
    /// Its token.
    pub token: &'a str,
    /// When it expires, in microseconds since 1970 UTC.
    pub expires: Option<i64>,
}

// The secret and the token would be in it.
impl fmt::Debug for Substitute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Substitute").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Finds the credential in a successful answer. `None` only where the answer need not have one.
pub fn read(kind: Kind, content_encoding: Option<&str>, body: &[u8]) -> Result<Option<Issued>, CannotRead> {
    if content_encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(CannotRead::Compressed);
    }
    let text = std::str::from_utf8(body).map_err(|_| CannotRead::Malformed)?;
    let found = match text.trim_start_matches('\u{feff}').trim_start().as_bytes().first() {
        Some(b'<') => xml::find(text)?,
        Some(b'{') => json::find(text)?,
        None if kind == Kind::Other => return Ok(None),
        _ => return Err(CannotRead::Malformed),
    };
    match found.one() {
        Err(CannotRead::Missing) if kind == Kind::Other => Ok(None),
        read => read.map(Some),
    }
}

impl Finds {
    fn one(self) -> Result<Issued, CannotRead> {
        let Self { access_key_id, secret, token, expiration, holder } = self;
        if access_key_id.is_empty() && secret.is_empty() && token.is_empty() {
            return Err(CannotRead::Missing);
        }
        let expiration = match expiration.len() {
            0 => None,
            _ => Some(only(expiration)?),
        };
        let expires =
            expiration.as_ref().map(|(found, form)| micros(&found.value, *form).ok_or(CannotRead::Expiration)).transpose()?;
        Ok(Issued {
            access_key_id: only(access_key_id)?,
            secret: only(secret)?,
            token: only(token)?,
            expiration,
            // What it acts as is told where that is clear; it is not what containment stands on.
            holder: only(holder).ok().map(Text::from),
            expires,
        })
    }
}

fn only<T>(found: Vec<T>) -> Result<T, CannotRead> {
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(CannotRead::Unclear),
    }
}

fn micros(value: &str, form: Form) -> Option<i64> {
    let scaled =
        |unit: f64| value.parse::<f64>().ok().filter(|number| (0.0..1e15).contains(number)).map(|number| (number * unit) as i64);
    match form {
        Form::Rfc3339 => value.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond),
        Form::Seconds => scaled(1e6),
        Form::Milliseconds => scaled(1e3),
    }
}

fn written(micros: i64, form: Form) -> String {
    match form {
        Form::Rfc3339 => {
            let seconds = jiff::Timestamp::from_second(micros.div_euclid(1_000_000)).unwrap_or(jiff::Timestamp::MAX);
            seconds.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        }
        Form::Seconds => micros.div_euclid(1_000_000).to_string(),
        Form::Milliseconds => micros.div_euclid(1_000).to_string(),
    }
}

/// The answer with another credential in it. Its time is changed only where the other one ends before.
pub fn replace(body: &[u8], issued: &Issued, with: &Substitute<'_>) -> Vec<u8> {
    let expires = with.expires.filter(|expires| issued.expires.is_some_and(|real| *expires < real));
    let time = issued.expiration.as_ref().zip(expires).map(|((found, form), expires)| (&found.at, written(expires, *form)));
    let mut changes = vec![
        (&issued.access_key_id.at, with.access_key_id.to_owned()),
        (&issued.secret.at, with.secret.to_owned()),
        (&issued.token.at, with.token.to_owned()),
    ];
    changes.extend(time);
    changes.sort_by_key(|(at, _)| at.start);
    let (mut replaced, mut from) = (Vec::with_capacity(body.len()), 0);
    for (at, value) in changes {
        replaced.extend_from_slice(body.get(from..at.start).unwrap_or_default());
        replaced.extend_from_slice(value.as_bytes());
        from = at.end;
    }
    replaced.extend_from_slice(body.get(from..).unwrap_or_default());
    replaced
}
