//! The directory as it is written down, and the checks that make it a [`Directory`].

use super::{
    Directory, DirectoryError, ENTRIES_MAX, Issuer, Principal, Undeclared, claims::Rule, pattern::Pattern,
    spiffe::check_trust_domain,
};
use crate::session::PrincipalKind;
use serde::{
    Deserialize,
    de::{
        Deserializer, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    marker::PhantomData,
};

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// The file. Unknown keys are errors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    undeclared: Undeclared,
    allowed_signers: Option<String>,
    issuer: Vec<Issuer>,
    human: Vec<Human>,
    workload: Vec<Program>,
    agent: Vec<Program>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Human {
    name: String,
    /// Its own name where there is none.
    ssh: Option<OneOrMany<String>>,
    #[serde(default)]
    must_prove: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Program {
    name: String,
    #[serde(default)]
    acts_for: OneOrMany<String>,
    #[serde(default)]
    ssh: OneOrMany<String>,
    #[serde(default)]
    oidc: OneOrMany<Token>,
    #[serde(default)]
    spiffe: OneOrMany<String>,
    #[serde(default)]
    must_prove: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    issuer: String,
    audience: String,
    subject: Option<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
}

/// One thing where there is one: `spiffe = "…"`; several in a list.
#[derive(Debug)]
struct OneOrMany<T>(Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData)).map(Self)
    }
}

/// Not `untagged`: that says of an unknown key only that nothing fits.
struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one, or a list")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        Ok(vec![T::deserialize(StrDeserializer::new(text))?])
    }

    fn visit_map<M: serde::de::MapAccess<'de>>(self, map: M) -> Result<Vec<T>, M::Error> {
        Ok(vec![T::deserialize(MapAccessDeserializer::new(map))?])
    }

    fn visit_seq<S: SeqAccess<'de>>(self, list: S) -> Result<Vec<T>, S::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }
}

impl<'de> Deserialize<'de> for Directory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(File::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl TryFrom<File> for Directory {
    type Error = DirectoryError;

    fn try_from(file: File) -> Result<Self, DirectoryError> {
        let mut principals = Vec::new();
        for human in file.human {
            principals.push(person(human, file.allowed_signers.is_some())?);
        }
        for workload in file.workload {
            principals.push(program(workload, PrincipalKind::Workload)?);
        }
        for agent in file.agent {
            principals.push(program(agent, PrincipalKind::Agent)?);
        }
        if principals.len() > ENTRIES_MAX {
            return Err(DirectoryError(format!("more than {ENTRIES_MAX} principals")));
        }
        check_apart(&principals)?;
        let issuers = issuers(file.issuer, &principals)?;
        let directory = Self { undeclared: file.undeclared, allowed_signers: file.allowed_signers, principals, issuers };
        check_signers(&directory)?;
        Ok(directory)
    }
}

/// Where signers are known, a human is the one of its own name unless the entry says otherwise.
fn person(human: Human, signers: bool) -> Result<Principal, DirectoryError> {
    let name = name(human.name)?;
    let own = || if signers { vec![name.clone()] } else { Vec::new() };
    let ssh = human.ssh.map_or_else(own, |names| names.0);
    let none = Vec::new;
    Ok(Principal {
        name,
        kind: PrincipalKind::Human,
        acts_for: none(),
        must_prove: human.must_prove,
        ssh,
        oidc: Vec::new(),
        spiffe: none(),
    })
}

fn program(entry: Program, kind: PrincipalKind) -> Result<Principal, DirectoryError> {
    let name = name(entry.name)?;
    let within = |why: String| DirectoryError(format!("{name}: {why}"));
    let patterns = |list: OneOrMany<String>| list.0.iter().map(|text| Pattern::parse(text)).collect::<Result<Vec<_>, _>>();
    let acts_for = patterns(entry.acts_for).map_err(within)?;
    if kind == PrincipalKind::Agent && acts_for.is_empty() {
        return Err(within("an agent acts for somebody: say for whom it may, with acts_for".to_owned()));
    }
    let oidc = entry.oidc.0.into_iter().map(rule).collect::<Result<_, _>>().map_err(within)?;
    let spiffe = patterns(entry.spiffe).map_err(within)?;
    spiffe.iter().try_for_each(check_spiffe).map_err(within)?;
    Ok(Principal { kind, acts_for, must_prove: entry.must_prove, ssh: entry.ssh.0, oidc, spiffe, name })
}

fn name(name: String) -> Result<String, DirectoryError> {
    let plain = |c: char| !c.is_control() && !c.is_whitespace();
    match !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(plain) {
        true => Ok(name),
        false => Err(DirectoryError(format!("{name:?} is not a name: 1 to {NAME_BYTES_MAX} bytes without blanks"))),
    }
}

/// A rule that any token of its issuer fits would make everybody who has an account there this principal.
fn rule(token: Token) -> Result<Rule, String> {
    let mut claims = BTreeMap::new();
    let subject = token.subject.map(|subject| ("sub".to_owned(), subject));
    for (name, text) in token.claims.into_iter().chain(subject) {
        if ["iss", "aud", "exp", "nbf", "iat"].contains(&name.as_str()) {
            return Err(format!("{name} is no claim to have a rule for: it is checked always"));
        }
        if claims.insert(name, Pattern::parse(&text)?).is_some() {
            return Err("the subject has two rules: leave out claims.sub".to_owned());
        }
    }
    if claims.values().all(Pattern::is_anything) {
        return Err(format!("every token of {} fits: say which, with subject or claims", token.issuer));
    }
    if token.audience.is_empty() {
        return Err("the audience is empty: name one that only this gateway's tokens have".to_owned());
    }
    Ok(Rule { issuer: token.issuer, audience: token.audience, claims })
}

fn check_spiffe(pattern: &Pattern) -> Result<(), String> {
    let text = pattern.to_string();
    let trust_domain = text.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')).map(|(domain, _)| domain);
    let named = trust_domain.is_some_and(|domain| check_trust_domain(domain).is_ok());
    if named { Ok(()) } else { Err(format!("{text:?} is not spiffe://TRUST-DOMAIN/PATH with a trust domain that is written out")) }
}

/// No two entries that one proof could fit.
fn check_apart(principals: &[Principal]) -> Result<(), DirectoryError> {
    let (mut names, mut signers) = (BTreeSet::new(), BTreeMap::new());
    for principal in principals {
        if !names.insert(&principal.name) {
            return Err(DirectoryError(format!("{} is there twice", principal.name)));
        }
        for signer in &principal.ssh {
            if let Some(other) = signers.insert(signer, &principal.name) {
                return Err(DirectoryError(format!("the signer {signer} is {other} and {}: it can be one", principal.name)));
            }
        }
    }
    for (at, one) in principals.iter().enumerate() {
        for other in principals.iter().skip(at + 1) {
            check_pair(one, other)?;
        }
    }
    Ok(())
}

fn check_pair(one: &Principal, other: &Principal) -> Result<(), DirectoryError> {
    let both = |what: &str| DirectoryError(format!("one {what} could be {} and {}: make their rules differ", one.name, other.name));
    if one.oidc.iter().any(|rule| other.oidc.iter().any(|other| rule.overlaps(other))) {
        return Err(both("token"));
    }
    match one.spiffe.iter().any(|pattern| other.spiffe.iter().any(|other| pattern.overlaps(other))) {
        true => Err(both("SPIFFE ID")),
        false => Ok(()),
    }
}

/// Those that are declared, and those that rules name alone. One that no rule names is most likely misspelt.
fn issuers(declared: Vec<Issuer>, principals: &[Principal]) -> Result<Vec<Issuer>, DirectoryError> {
    let named: BTreeSet<&str> = principals.iter().flat_map(|one| &one.oidc).map(|rule| rule.issuer.as_str()).collect();
    let mut issuers: BTreeMap<String, Issuer> = BTreeMap::new();
    for issuer in declared {
        if !named.contains(issuer.url.as_str()) {
            return Err(DirectoryError(format!(
                "the issuer {} is named by no oidc rule: they are compared to the letter",
                issuer.url
            )));
        }
        if issuer.jwks_file.is_some() && (issuer.ca.is_some() || !issuer.jwks_hosts.is_empty()) {
            return Err(DirectoryError(format!("{}: with jwks_file nothing is fetched; leave out ca and jwks_hosts", issuer.url)));
        }
        if let Some(twice) = issuers.insert(issuer.url.clone(), issuer) {
            return Err(DirectoryError(format!("the issuer {} is there twice", twice.url)));
        }
    }
    for url in named {
        let plain = || Issuer { url: url.to_owned(), jwks_file: None, ca: None, jwks_hosts: Vec::new() };
        issuers.entry(url.to_owned()).or_insert_with(plain);
    }
    issuers.values().try_for_each(|issuer| check_issuer(&issuer.url))?;
    Ok(issuers.into_values().collect())
}

fn check_issuer(url: &str) -> Result<(), DirectoryError> {
    let parsed: Option<http::Uri> = url.parse().ok();
    let secure = parsed.is_some_and(|url| {
        let authority = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        url.scheme_str() == Some("https") && authority && url.query().is_none()
    });
    match secure && !url.contains('#') {
        true => Ok(()),
        false => Err(DirectoryError(format!("the issuer {url:?} is not https://HOST/…"))),
    }
}

/// A name for the file of allowed signers needs the file.
fn check_signers(directory: &Directory) -> Result<(), DirectoryError> {
    match (&directory.allowed_signers, directory.principals.iter().find(|one| !one.ssh.is_empty())) {
        (None, Some(one)) => Err(DirectoryError(format!("{} has ssh, but there is no allowed_signers = \"FILE\"", one.name))),
        _ => Ok(()),
    }
}
