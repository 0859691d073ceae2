//! Reads a claim from a request alone: from `Authorization`, or from the query of a presigned URL. Nothing is verified here.

use super::{
    canonical::{is_s3, parameters},
    claim::{Algorithm, CONTENT_SHA256, Claim, Place, SECURITY_TOKEN, TERMINATOR, UNSIGNED},
    error::SignatureError,
    key::SessionToken,
    payload::PayloadMode,
    stamp::Stamp,
};
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use std::time::Duration;

/// Reads what a request says of its signature; `None` for one that is not signed as AWS signs. To be asked before any
/// header is taken away: a client may have signed it.
pub fn read(parts: &Parts) -> Result<Option<Claim>, SignatureError> {
    let query = Query::read(parts.uri.query().unwrap_or_default())?;
    let header = authorization(&parts.headers)?;
    match (header, query) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(SignatureError::Malformed("it is in a header and in the query, and one has to be it")),
        (Some(fields), None) => from_header(&fields, &parts.headers).map(Some),
        (None, Some(query)) => from_query(query, &parts.headers).map(Some),
    }
}

/// The three fields of an `Authorization` header, after its algorithm.
struct Fields<'a> {
    algorithm: Algorithm,
    credential: &'a str,
    signed: &'a str,
    signature: &'a str,
}

/// `None` where the header is not AWS's.
fn authorization(headers: &HeaderMap) -> Result<Option<Fields<'_>>, SignatureError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if !values.chain([value]).any(|value| value.as_bytes().get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"AWS"))) {
        return Ok(None);
    }
    if headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        return Err(SignatureError::Malformed("there are two Authorization headers"));
    }
    let text = value.to_str().map_err(|_| SignatureError::Malformed("Authorization is not ASCII"))?;
    let (algorithm, rest) = text.split_once(' ').unwrap_or((text, ""));
    if !algorithm.starts_with("AWS4-") {
        return Err(if algorithm == "AWS" || algorithm.starts_with("AWS3") {
            SignatureError::Outdated
        } else {
            SignatureError::Algorithm
        });
    }
    let (mut credential, mut signed, mut signature) = (None, None, None);
    for field in rest.split(',') {
        let (name, value) = field.trim_ascii().split_once('=').ok_or(AUTHORIZATION_FORM)?;
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed,
            "Signature" => &mut signature,
            _ => return Err(AUTHORIZATION_FORM),
        };
        if place.replace(value).is_some() {
            return Err(AUTHORIZATION_FORM);
        }
    }
    let (Some(credential), Some(signed), Some(signature)) = (credential, signed, signature) else {
        return Err(AUTHORIZATION_FORM);
    };
    Ok(Some(Fields { algorithm: Algorithm::read(algorithm)?, credential, signed, signature }))
}

const AUTHORIZATION_FORM: SignatureError =
    SignatureError::Malformed("Authorization is not ALGORITHM Credential=…, SignedHeaders=…, Signature=…");

fn from_header(fields: &Fields<'_>, headers: &HeaderMap) -> Result<Claim, SignatureError> {
    let date = header_date(headers)?;
    let region_set = text(headers, &HeaderName::from_static("x-amz-region-set"))?.map(str::to_owned);
    let scope = Scope::read(fields.algorithm, fields.credential, &date, region_set)?;
    let payload_line = text(headers, &CONTENT_SHA256)?.map(str::to_owned);
    let payload = match &payload_line {
        Some(line) => PayloadMode::read(line).ok_or(SignatureError::Payload)?,
        None => PayloadMode::Undeclared,
    };
    Ok(Claim {
        algorithm: fields.algorithm,
        place: Place::Header,
        access_key_id: scope.access_key_id,
        date,
        region: scope.region,
        service: scope.service,
        signed: signed_headers(fields.signed)?,
        signature: signature(fields.algorithm, fields.signature)?,
        token: text(headers, &SECURITY_TOKEN)?.map(|token| SessionToken::new(token.to_owned())),
        payload,
        payload_line,
        expires: None,
        decoded_length: decoded_length(headers)?,
    })
}

/// The parameters of a presigned URL, decoded.
#[derive(Default)]
struct Query {
    algorithm: Option<String>,
    credential: Option<String>,
    date: Option<String>,
    expires: Option<String>,
    signed: Option<String>,
    signature: Option<String>,
    token: Option<String>,
    region_set: Option<String>,
    payload: Option<String>,
}

impl Query {
    /// `None` where nothing of a signature is there.
    fn read(query: &str) -> Result<Option<Self>, SignatureError> {
        let mut found = Self::default();
        for parameter in parameters(query) {
            if parameter.is("AWSAccessKeyId") {
                return Err(SignatureError::Outdated);
            }
            let Some((_, place)) = PRESIGNED.iter().find(|(name, _)| parameter.is(name)) else { continue };
            let value = String::from_utf8(parameter.value.into_owned());
            let value = value.map_err(|_| SignatureError::Malformed("a parameter of the presigned URL is not UTF-8"))?;
            if place(&mut found).replace(value).is_some() {
                return Err(SignatureError::Malformed("a parameter of the presigned URL is there twice"));
            }
        }
        let any = found.algorithm.is_some() || found.credential.is_some() || found.signature.is_some();
        Ok(any.then_some(found))
    }
}

type PlaceOf = fn(&mut Query) -> &mut Option<String>;

const PRESIGNED: [(&str, PlaceOf); 9] = [
    ("X-Amz-Algorithm", |query| &mut query.algorithm),
    ("X-Amz-Credential", |query| &mut query.credential),
    ("X-Amz-Date", |query| &mut query.date),
    ("X-Amz-Expires", |query| &mut query.expires),
    ("X-Amz-SignedHeaders", |query| &mut query.signed),
    ("X-Amz-Signature", |query| &mut query.signature),
    ("X-Amz-Security-Token", |query| &mut query.token),
    ("X-Amz-Region-Set", |query| &mut query.region_set),
    ("X-Amz-Content-Sha256", |query| &mut query.payload),
];

fn from_query(query: Query, headers: &HeaderMap) -> Result<Claim, SignatureError> {
    let there = |parameter: Option<String>| {
        parameter.ok_or(SignatureError::Malformed(
            "the presigned URL lacks one of X-Amz-Algorithm, -Credential, -Date, -Expires, -SignedHeaders and -Signature",
        ))
    };
    let algorithm = Algorithm::read(&there(query.algorithm)?)?;
    let date = Stamp::read(&there(query.date)?).ok_or(DATE_FORM)?;
    let scope = Scope::read(algorithm, &there(query.credential)?, &date, query.region_set)?;
    let expires = there(query.expires)?.parse::<u64>().ok().filter(|seconds| (1..=EXPIRES_SECONDS_MAX).contains(seconds));
    let expires = expires.ok_or(SignatureError::Malformed("X-Amz-Expires is not a number of seconds from 1 to 604800"))?;
    let said = text(headers, &CONTENT_SHA256)?.map(str::to_owned);
    if query.payload.is_some() && said.is_some() {
        // The signature covers one of them, and who reads the other is misled.
        return Err(SignatureError::Malformed("x-amz-content-sha256 is in a header and in the query"));
    }
    let (payload, payload_line) = match query.payload.or(said) {
        Some(line) => (PayloadMode::read(&line).ok_or(SignatureError::Payload)?, Some(line)),
        // S3 signs no body into a URL; the others sign the one that has to be sent with it.
        None if is_s3(&scope.service) => (PayloadMode::Unsigned, Some(UNSIGNED.to_owned())),
        None => (PayloadMode::Undeclared, None),
    };
    let in_header = text(headers, &SECURITY_TOKEN)?.map(str::to_owned);
    if query.token.is_some() && in_header.is_some() {
        return Err(SignatureError::Malformed("the session token is in a header and in the query"));
    }
    Ok(Claim {
        algorithm,
        place: Place::Query,
        access_key_id: scope.access_key_id,
        date,
        region: scope.region,
        service: scope.service,
        signed: signed_headers(&there(query.signed)?)?,
        signature: signature(algorithm, &there(query.signature)?)?,
        token: query.token.or(in_header).map(SessionToken::new),
        payload,
        payload_line,
        expires: Some(Duration::from_secs(expires)),
        decoded_length: decoded_length(headers)?,
    })
}

struct Scope {
    access_key_id: String,
    region: String,
    service: String,
}

impl Scope {
    /// Reads `KEY/DATE/REGION/SERVICE/aws4_request`; of Version 4a without the region.
    fn read(algorithm: Algorithm, credential: &str, date: &Stamp, region_set: Option<String>) -> Result<Self, SignatureError> {
        const FORM: SignatureError = SignatureError::Malformed("the credential is not KEY/DATE/REGION/SERVICE/aws4_request");
        let words: Vec<&str> = credential.split('/').collect();
        let (key, day, region, service) = match (algorithm, words.as_slice()) {
            (Algorithm::V4, [key, day, region, service, TERMINATOR]) => (key, day, Some((*region).to_owned()), service),
            (Algorithm::V4a, [key, day, service, TERMINATOR]) => (key, day, region_set, service),
            _ => return Err(FORM),
        };
        let region = region.ok_or(SignatureError::Malformed("Version 4a without X-Amz-Region-Set"))?;
        if *day != date.day() {
            return Err(SignatureError::Malformed("the day of the credential is not that of x-amz-date"));
        }
        if !is_plain(key, "-_.") || !is_plain(&region, "-_*,. ") || !is_plain(service, "-_.") {
            return Err(FORM);
        }
        Ok(Self { access_key_id: (*key).to_owned(), region, service: (*service).to_owned() })
    }
}

/// Whether a word is fit for keys and columns.
fn is_plain(word: &str, extra: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || extra.as_bytes().contains(&b);
    (1..=WORD_MAX).contains(&word.len()) && word.bytes().all(fits)
}

/// `x-amz-date`, or else `Date`, in either form.
fn header_date(headers: &HeaderMap) -> Result<Stamp, SignatureError> {
    if let Some(date) = text(headers, &HeaderName::from_static("x-amz-date"))? {
        return Stamp::read(date).ok_or(DATE_FORM);
    }
    let date = text(headers, &header::DATE)?.ok_or(SignatureError::Malformed("there is no x-amz-date"))?;
    Stamp::read(date).or_else(|| Stamp::read_mail(date)).ok_or(DATE_FORM)
}

const DATE_FORM: SignatureError = SignatureError::Malformed("its date is not YYYYMMDD'T'HHMMSS'Z'");

/// Sorted, lower case, each once, `host` among them: two lists can't mean the same.
fn signed_headers(list: &str) -> Result<Vec<HeaderName>, SignatureError> {
    const FORM: SignatureError = SignatureError::Malformed("the signed headers are not a sorted list of lower-case names");
    let names: Vec<HeaderName> = list
        .split(';')
        .map(|name| HeaderName::from_bytes(name.as_bytes()).ok().filter(|parsed| parsed.as_str() == name).ok_or(FORM))
        .collect::<Result<_, _>>()?;
    if !names.is_sorted_by(|a, b| a.as_str() < b.as_str()) || names.contains(&header::AUTHORIZATION) {
        return Err(FORM);
    }
    if !names.contains(&header::HOST) {
        return Err(SignatureError::HostUnsigned);
    }
    Ok(names)
}

fn signature(algorithm: Algorithm, signature: &str) -> Result<String, SignatureError> {
    let length = match algorithm {
        Algorithm::V4 => signature.len() == algorithm.signature_digits(),
        Algorithm::V4a => (1..=algorithm.signature_digits()).contains(&signature.len()) && signature.len().is_multiple_of(2),
    };
    if !length || !signature.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(SignatureError::Malformed("the signature is not lower-case hex of the right length"));
    }
    Ok(signature.to_owned())
}

fn decoded_length(headers: &HeaderMap) -> Result<Option<u64>, SignatureError> {
    let length = text(headers, &HeaderName::from_static("x-amz-decoded-content-length"))?;
    let read = |length: &str| length.parse().map_err(|_| SignatureError::Malformed("x-amz-decoded-content-length is no number"));
    length.map(read).transpose()
}

/// The one value of a header.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, SignatureError> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::to_str);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value.trim_ascii())),
        _ => Err(SignatureError::Malformed("an x-amz- header of the signature is there twice, or is not ASCII")),
    }
}

/// Longest access key id, region set or service (IAM's bound for an access key id).
const WORD_MAX: usize = 128;
/// Seven days: AWS's bound.
const EXPIRES_SECONDS_MAX: u64 = 604_800;
