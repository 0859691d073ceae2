//! What an OIDC token claims, read from its verified bytes, and the rules that say whose it is.
//!
//! Signatures are not looked at here: who calls this has checked one, or says nothing with the result.

use super::pattern::Pattern;
use serde::{
    Deserialize,
    de::{Deserializer, Error, MapAccess, Visitor},
};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// Claims in one token: GitHub's have some thirty.
pub const CLAIMS_MAX: usize = 256;
/// Seconds by which the clocks of issuer and gateway may differ.
pub const LEEWAY_SECONDS: i64 = 30;
/// Seconds that a token may still be good for. CI jobs get minutes, Kubernetes pods an hour; one that is good for years is no
/// proof of who is there now, and would have to be remembered as used for years.
pub const TOKEN_LIFE_SECONDS_MAX: i64 = 24 * 3_600;

/// Why claims are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// No JSON object with the claims that each token has.
    #[error("the token's claims can't be read: {0}")]
    Malformed(String),
    /// Over.
    #[error("the token has expired: ask its issuer for a new one")]
    Expired,
    /// For later.
    #[error("the token is not valid yet: compare the clocks of its issuer and of the gateway")]
    NotYet,
    /// For too long.
    #[error("the token is valid for more than {} hours: ask for one that is shorter", TOKEN_LIFE_SECONDS_MAX / 3_600)]
    TooLong,
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    issuer: String,
    subject: String,
    audience: Vec<String>,
    expires: i64,
    not_before: Option<i64>,
    issued: Option<i64>,
    all: BTreeMap<String, Value>,
}

impl Claims {
    /// Reads the JSON object. A name that is there twice is an error: two readers could take one each.
    pub fn parse(json: &[u8]) -> Result<Self, ClaimsError> {
        let Once(all) = serde_json::from_slice(json).map_err(|error| ClaimsError::Malformed(error.to_string()))?;
        let missing = |name: &str| ClaimsError::Malformed(format!("{name} is missing, or not what it should be"));
        let text = |name: &str| all.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| missing(name));
        let time = |name: &str| match all.get(name) {
            None => Ok(None),
            Some(value) => seconds(value).map(Some).ok_or_else(|| missing(name)),
        };
        let audience = match all.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(many)) => {
                let text = |value: &Value| value.as_str().map(str::to_owned);
                many.iter().map(text).collect::<Option<_>>().ok_or_else(|| missing("aud"))?
            }
            _ => return Err(missing("aud")),
        };
        Ok(Self {
            issuer: text("iss")?,
            subject: text("sub")?,
            audience,
            expires: time("exp")?.ok_or_else(|| missing("exp"))?,
            not_before: time("nbf")?,
            issued: time("iat")?,
            all,
        })
    }

    /// `iss`
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `sub`
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// `exp`, in seconds since 1970 UTC.
    pub fn expires(&self) -> i64 {
        self.expires
    }

    /// Whether the token is good at `now`, in microseconds since 1970 UTC, give or take [`LEEWAY_SECONDS`].
    pub fn check_times(&self, now: i64) -> Result<(), ClaimsError> {
        let now = now.div_euclid(1_000_000);
        if now >= self.expires.saturating_add(LEEWAY_SECONDS) {
            return Err(ClaimsError::Expired);
        }
        let latest = now.saturating_add(LEEWAY_SECONDS);
        if self.not_before.into_iter().chain(self.issued).any(|time| time > latest) {
            return Err(ClaimsError::NotYet);
        }
        match self.expires > latest.saturating_add(TOKEN_LIFE_SECONDS_MAX) {
            true => Err(ClaimsError::TooLong),
            false => Ok(()),
        }
    }

    /// A claim as text, where it has one.
    fn text(&self, name: &str) -> Option<String> {
        match self.all.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Number(value) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// A time of a token: seconds, perhaps with a fraction, which is dropped.
fn seconds(value: &Value) -> Option<i64> {
    const LATEST: f64 = 253_402_300_799.0;
    if let Some(whole) = value.as_i64() {
        return Some(whole);
    }
    let fraction = value.as_f64().filter(|seconds| (0.0..=LATEST).contains(seconds))?;
    Some(fraction as i64)
}

/// An object in which each name is there once.
struct Once(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OnceVisitor)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Once, M::Error> {
        let mut all = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if all.len() == CLAIMS_MAX {
                return Err(M::Error::custom(format!("more than {CLAIMS_MAX} claims")));
            }
            if all.insert(name, value).is_some() {
                return Err(M::Error::custom("a claim is there twice"));
            }
        }
        Ok(Once(all))
    }
}

/// Which tokens are a principal's: of one issuer, for one audience, with claims that fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// To the letter.
    pub issuer: String,
    /// Has to be among the token's.
    pub audience: String,
    /// Each has to be there and to fit; `sub` is the subject.
    pub claims: BTreeMap<String, Pattern>,
}

impl Rule {
    /// Whether the claims fit.
    pub fn matches(&self, claims: &Claims) -> bool {
        let fits = |(name, pattern): (&String, &Pattern)| claims.text(name).is_some_and(|text| pattern.matches(&text));
        self.issuer == claims.issuer && claims.audience.contains(&self.audience) && self.claims.iter().all(fits)
    }

    /// Whether one token could fit both. Audiences keep nothing apart: a token may have several.
    pub fn overlaps(&self, other: &Self) -> bool {
        let both = self.claims.iter().filter_map(|(name, pattern)| Some((pattern, other.claims.get(name)?)));
        self.issuer == other.issuer && both.into_iter().all(|(one, other)| one.overlaps(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn claims(change: Value) -> Result<Claims, ClaimsError> {
        let mut all =
            json!({ "iss": "https://ci", "sub": "repo:acme/infra", "aud": ["sealgate"], "exp": NOW + 300, "ref": "main" });
        let change = change.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(change);
        Claims::parse(all.to_string().as_bytes())
    }

    fn rule(claims: &[(&str, &str)]) -> Rule {
        let claims = claims.iter().map(|(name, text)| ((*name).to_owned(), Pattern::parse(text).unwrap())).collect();
        Rule { issuer: "https://ci".into(), audience: "sealgate".into(), claims }
    }

    #[test]
    fn a_rule_wants_issuer_audience_and_every_claim() {
        let token = claims(json!({ "protected": true, "run": 7, "groups": ["main"] })).unwrap();
        for (wanted, fits) in [
            (&[("sub", "repo:acme/*")][..], true),
            (&[("sub", "repo:acme/*"), ("ref", "main"), ("protected", "true"), ("run", "7")], true),
            (&[("sub", "repo:acme/*"), ("ref", "release")], false),
            (&[("sub", "repo:other/*")], false),
            (&[("missing", "**")], false),
            (&[("groups", "main")], false),
        ] {
            assert_eq!(rule(wanted).matches(&token), fits, "{wanted:?}");
        }
        assert!(!Rule { audience: "other".into(), ..rule(&[]) }.matches(&token));
        assert!(!Rule { issuer: "https://ci/".into(), ..rule(&[]) }.matches(&token));
    }

    #[test]
    fn times_are_exact_up_to_the_leeway() {
        let at = |change: Value, now: i64| claims(change).unwrap().check_times(now * 1_000_000);
        assert_eq!(at(json!({}), NOW), Ok(()));
        assert_eq!(at(json!({}), NOW + 300 + LEEWAY_SECONDS - 1), Ok(()));
        assert_eq!(at(json!({}), NOW + 300 + LEEWAY_SECONDS), Err(ClaimsError::Expired));
        for name in ["nbf", "iat"] {
            assert_eq!(at(json!({ name: NOW + LEEWAY_SECONDS }), NOW), Ok(()));
            assert_eq!(at(json!({ name: NOW + LEEWAY_SECONDS + 1 }), NOW), Err(ClaimsError::NotYet));
        }
        assert_eq!(at(json!({ "exp": NOW + 2 * TOKEN_LIFE_SECONDS_MAX }), NOW), Err(ClaimsError::TooLong));
        assert_eq!(at(json!({ "exp": i64::MAX }), NOW), Err(ClaimsError::TooLong));
        assert_eq!(at(json!({ "exp": i64::MIN }), NOW), Err(ClaimsError::Expired));
        assert_eq!(at(json!({ "exp": 1_800_000_300.9 }), NOW), Ok(()));
    }

    #[test]
    fn what_each_token_has_must_be_there_once_and_be_what_it_should() {
        for change in [
            json!({ "iss": null }),
            json!({ "iss": ["https://ci"] }),
            json!({ "sub": 1 }),
            json!({ "aud": 1 }),
            json!({ "aud": ["a", 1] }),
            json!({ "exp": "1800000300" }),
            json!({ "exp": 1e300 }),
            json!({ "nbf": "soon" }),
            json!({ "iat": null }),
        ] {
            assert!(claims(change.clone()).is_err(), "{change}");
        }
        for text in ["", "[]", "{", r#"{"iss":"a","iss":"b","sub":"s","aud":"a","exp":1}"#, r#"{"iss":"a","sub":"s","aud":"a"}"#] {
            assert!(Claims::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_token_that_fits_two_rules_is_an_overlap(
            one in prop::collection::vec(("[ab]", "[ab*]{1,3}"), 0..3),
            other in prop::collection::vec(("[ab]", "[ab*]{1,3}"), 0..3),
            token in prop::collection::vec(("[ab]", "[ab]{0,3}"), 0..4),
        ) {
            let read = |pairs: &[(String, String)]| {
                let pattern = |(name, text): &(String, String)| Some((name.clone(), Pattern::parse(text).ok()?));
                Some(Rule { claims: pairs.iter().map(pattern).collect::<Option<_>>()?, ..rule(&[]) })
            };
            if let (Some(one), Some(other)) = (read(&one), read(&other)) {
                let token: serde_json::Map<_, _> = token.into_iter().map(|(name, text)| (name, text.into())).collect();
                let token = claims(token.into()).unwrap();
                prop_assert!(!(one.matches(&token) && other.matches(&token)) || one.overlaps(&other));
            }
        }
    }
}
