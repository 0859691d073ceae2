//! Which names name secrets, and which texts give one. Nothing here masks.

use super::stems::{self, Kind, Stem};

/// Whether `name` names a secret: `SecretAccessKey`, `master-user-password`, `DB_PASSWORD`.
pub(super) fn is_secret(name: &[u8]) -> bool {
    // Most names have no stem, and are done here.
    has_stem(name) && is_listed(name)
}

fn is_listed(name: &[u8]) -> bool {
    let mut buffer = [0; NAME_MAX];
    let plain = plain(name, &mut buffer);
    let ends_with = |suffix: &&[u8]| suffix.last() == plain.last() && plain.ends_with(suffix);
    let named = EXACT.contains(&plain) || SUFFIXES.iter().any(ends_with);
    (named && !INNOCENT.contains(&plain)) || is_secret_variable(name)
}

/// Whether a value is itself the name of a secret, as in `{"Name": "/prod/db/password", "Value": …}`.
pub(super) fn names_secret(value: &[u8]) -> bool {
    let last = value.rsplit(|b| matches!(b, b'/' | b'.' | b':')).next().unwrap_or_default();
    value == SECURE_STRING || (last.iter().all(|b| is_word(*b)) && is_secret(last))
}

/// Whether a text has a stem: cheaper than all that follows, and true more often.
pub(super) fn has_stem(text: &[u8]) -> bool {
    stems::find(text).next().is_some()
}

/// Whether anything in a JSON or XML text may be a secret. False means that there is nothing to mask.
pub(super) fn suspicious(body: &[u8]) -> bool {
    finds(body).any(|find| match find {
        Find::Word(word) => word.is_secret() || word.is_private_key(),
        Find::SecureString | Find::EscapedLetter | Find::Decisive => true,
    })
}

/// Whether bytes of no known syntax hold the name of a secret. Asks for no word boundary: in CBOR the byte after a name
/// may be a letter.
pub(super) fn names_secret_anywhere(body: &[u8]) -> bool {
    let mut looks = 0;
    stems::find(body).any(|found| {
        let start = found.start.saturating_sub(NAME_MAX);
        let around = body.get(start..(found.end + NAME_MAX).min(body.len())).unwrap_or_default();
        let mut buffer = [0; 3 * NAME_MAX];
        let plain = plain(around, &mut buffer);
        let holds = |name: &&[u8]| plain.windows(name.len()).any(|window| window == *name);
        let named = SUFFIXES.iter().any(holds) || holds(&b"idtoken".as_slice());
        looks += 1;
        named || is_decisive(body, &found) || looks == LOOKS_MAX
    })
}

/// Whether a value holds a document or a command line of its own that gives a secret: `password: x`, `{\"Password\":…`,
/// `--password x`, a URL with a signature, a JWT, a private key. The name alone is no such thing: `iam:ChangePassword`.
pub(super) fn gives_secret(value: &[u8]) -> bool {
    finds(value).any(|find| match find {
        Find::Decisive => true,
        Find::SecureString | Find::EscapedLetter => false,
        Find::Word(found) => {
            let flag = found.word.starts_with(b"-") && found.after.starts_with(b" ");
            (flag || is_assigned(found.after)) && found.is_secret()
        }
    })
}

enum Find<'a> {
    /// A word with a stem.
    Word(Word<'a>),
    /// The type of a parameter whose value is a secret.
    SecureString,
    /// A letter written as `\u00XX`: a name may hide behind it.
    EscapedLetter,
    /// A secret, whatever stands around it.
    Decisive,
}

struct Word<'a> {
    word: &'a [u8],
    /// Without the end of an escape that runs into it: `\ntoken`, `\u0026token`.
    tail: &'a [u8],
    after: &'a [u8],
}

impl Word<'_> {
    fn is_secret(&self) -> bool {
        is_listed(self.word) || (self.tail.len() < self.word.len() && is_listed(self.tail))
    }

    /// `private key`, `private.key`: one name to [`is_listed`], two words here.
    fn is_private_key(&self) -> bool {
        let ends_with = |word: &[u8]| {
            self.word.get(self.word.len().saturating_sub(word.len())..).is_some_and(|end| end.eq_ignore_ascii_case(word))
        };
        ends_with(b"private") && self.after.get(1..4).is_some_and(|next| next.eq_ignore_ascii_case(b"key"))
    }
}

fn finds(body: &[u8]) -> impl Iterator<Item = Find<'_>> {
    stems::find(body).filter_map(|found| {
        if is_decisive(body, &found) {
            return Some(Find::Decisive);
        }
        match found.kind {
            Kind::Name | Kind::Private => {}
            Kind::Jwt => return None,
            Kind::SecureString => return Some(Find::SecureString),
            Kind::Escape => return is_letter(body.get(found.end - 1..)?).then_some(Find::EscapedLetter),
        }
        let before = body.get(found.start.saturating_sub(NAME_MAX)..found.start)?;
        let begin = found.start - before.iter().rev().take_while(|b| is_word(**b)).count();
        let rest = body.get(found.end..)?;
        let tail = rest.iter().take(NAME_MAX).take_while(|b| is_word(**b)).count();
        let word = body.get(begin..found.end + tail)?;
        let escape = match (begin.checked_sub(1).and_then(|place| body.get(place)), word.first()?) {
            (Some(b'\\'), b'n' | b'r' | b't' | b'b' | b'f') => 1,
            (Some(b'\\'), b'u') => 5,
            _ => 0,
        };
        Some(Find::Word(Word { word, tail: word.get(escape..).unwrap_or(word), after: rest.get(tail..)? }))
    })
}

/// Whether this is a secret whatever its name: a JWT, a private key.
fn is_decisive(body: &[u8], found: &Stem) -> bool {
    let after = body.get(found.end..).unwrap_or_default();
    match found.kind {
        Kind::Jwt => {
            let header = after.iter().take(JWT_HEADER_MAX).take_while(|b| is_word(**b)).count();
            after.get(header..).is_some_and(|rest| rest.starts_with(b".eyJ"))
        }
        Kind::Private => PEM_REST.iter().any(|rest| after.get(..rest.len()).is_some_and(|after| after.eq_ignore_ascii_case(rest))),
        Kind::Name | Kind::SecureString | Kind::Escape => false,
    }
}

/// Whether two hexadecimal digits are those of a letter of the ASCII alphabet.
fn is_letter(digits: &[u8]) -> bool {
    let code = digits.get(..2).and_then(|two| std::str::from_utf8(two).ok()).and_then(|two| u8::from_str_radix(two, 16).ok());
    code.is_some_and(|code| code.is_ascii_alphabetic())
}

/// Whether a value follows, in any of the usual spellings: `=`, `": "`, `\":`, `%22%3A`, `>`.
fn is_assigned(mut after: &[u8]) -> bool {
    for _ in 0..QUOTES_MAX {
        let starts = |sign: &&&[u8]| after.get(..sign.len()).is_some_and(|start| start.eq_ignore_ascii_case(sign));
        if ASSIGNMENTS.iter().any(|sign| starts(&sign)) {
            return true;
        }
        match QUOTES.iter().find(starts).and_then(|quote| after.get(quote.len()..)) {
            Some(rest) => after = rest,
            None => return false,
        }
    }
    false
}

/// The variables of shells and containers: `GITHUB_TOKEN`. A token in lower case is mostly a page's.
fn is_secret_variable(name: &[u8]) -> bool {
    let paging = [b"NEXT_TOKEN".as_slice(), b"CLIENT_TOKEN", b"PAGE_TOKEN", b"PAGINATION_TOKEN", b"CONTINUATION_TOKEN"];
    name.ends_with(b"_TOKEN") && !paging.iter().any(|paging| name.ends_with(paging))
}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The last letters and digits of a name, in lower case.
fn plain<'b>(name: &[u8], buffer: &'b mut [u8]) -> &'b [u8] {
    let mut start = buffer.len();
    for byte in name.iter().rev().filter(|b| b.is_ascii_alphanumeric()) {
        match start.checked_sub(1).and_then(|place| Some((place, buffer.get_mut(place)?))) {
            Some((place, slot)) => (start, *slot) = (place, byte.to_ascii_lowercase()),
            None => break,
        }
    }
    buffer.get(start..).unwrap_or_default()
}

/// Longest name that is looked at, in bytes. Longer than any name below with the longest prefix seen in AWS's models.
const NAME_MAX: usize = 64;

/// Stems that are looked at in a body of no known syntax; with more, it counts as naming a secret. Bounds the work that
/// hostile bytes make: some 20 ms.
const LOOKS_MAX: usize = 4096;

/// Longest header of a JWT that is known as one, in bytes. Bounds the work that hostile bytes make.
const JWT_HEADER_MAX: usize = 1024;

/// How the first line of a private key goes on, in a body and in a form.
const PEM_REST: &[&[u8]] = &[b" key-----", b"+key-----", b"%20key-----"];
const SECURE_STRING: &[u8] = b"SecureString";

/// A name is secret if its letters and digits are one of these.
const EXACT: &[&[u8]] = &[
    b"token",   // ImportSourceCredentials, GetOpenIdToken, instance credentials
    b"idtoken", // as a suffix it would be `ValidToken` too
    b"openidtoken",
];

/// … or end with one of these.
const SUFFIXES: &[&[u8]] = &[
    b"password",
    b"passwd",
    b"passphrase",
    b"passworddata",
    b"secret",
    b"secretaccesskey",
    b"secretkey",
    b"secretstring",
    b"secretbinary",
    b"secrethash",
    b"secretcode",
    b"secrettoken",
    b"sessiontoken",
    b"securitytoken",
    b"accesstoken",
    b"refreshtoken",
    b"identitytoken",
    b"authtoken",
    b"authorizationtoken",
    b"authenticationtoken",
    b"bearertoken",
    b"apitoken",
    b"tradeintoken",
    b"tokenvalue",
    b"tokenkey",
    b"tokencode",
    b"privatekey",
    b"privatekeybase64",
    b"plaintext",
    b"keymaterial",
    b"samlassertion",
    b"assertion",
    b"apikey",
    b"apikeyvalue",
    b"presharedkey",
    b"customerkey", // SSE-C
    b"customerkeymd5",
    b"sharedaccesskey",
    b"xamzsignature",
    b"base32stringseed",
    b"qrcodepng",
    b"authcode",
    b"authenticationcode1",
    b"authenticationcode2",
    b"platformcredential",
    b"authorizedurl",
];

/// … unless they are one of these.
const INNOCENT: &[&[u8]] = &[
    b"publickeymaterial", // EC2 ImportKeyPair
    b"masterusersecret",  // RDS: an ARN and its state
    b"managemasteruserpassword",
    b"rotatemasteruserpassword",
];

/// What may stand between a name and the sign of assignment: quotes in the spellings of JSON, XML and URLs.
const QUOTES: &[&[u8]] = &[b"\\u0022", b"\\", b"\"", b"'", b" ", b"\t", b"+", b"&quot;", b"&#34;", b"%22", b"%5C", b"%20"];
const QUOTES_MAX: usize = 16;
const ASSIGNMENTS: &[&[u8]] = &[b":", b"=", b">", b"%3a", b"%3d", b"%3e", b"&gt;", b"\\u003d", b"\\u003e"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            "SecretAccessKey",
            "secretAccessKey",
            "aws_secret_access_key",
            "SessionToken",
            "x-amz-security-token",
            "Password",
            "MasterUserPassword",
            "PASSWORD",
            "DB_PASSWORD",
            "db-password",
            "GITHUB_TOKEN",
            "SecretString",
            "clientSecret",
            "idToken",
            "ID_TOKEN",
            "refresh_token",
            "authorizationToken",
            "Plaintext",
            "PrivateKeyPlaintext",
            "KeyMaterial",
            "WebIdentityToken",
            "SAMLAssertion",
            "bearer_token",
            "PreSharedKey",
            "tokenValue",
            "Token",
            "SECRET_HASH",
            "AuthenticationCode1",
            "QRCodePNG",
            "apiKey",
        ] {
            assert!(is_secret(name.as_bytes()), "{name}");
            let found = suspicious(format!("x \"{name}\": 1").as_bytes());
            assert!(found, "no stem finds {name}");
        }
    }

    #[test]
    fn every_name_in_the_tables_has_a_stem() {
        for name in EXACT.iter().chain(SUFFIXES) {
            let known = is_secret(name) || *name == b"xamzsignature";
            assert!(known, "{}", String::from_utf8_lossy(name));
        }
        assert!(is_secret(b"X-Amz-Signature"));
    }

    #[test]
    fn innocent_names_stay() {
        for name in [
            "NextToken",
            "nextToken",
            "NEXT_TOKEN",
            "PaginationToken",
            "ClientToken",
            "ClientRequestToken",
            "ContinuationToken",
            "TaskToken",
            "PublicKeyMaterial",
            "MasterUserSecret",
            "SecretId",
            "SecretArn",
            "PasswordPolicy",
            "PasswordLastUsed",
            "AccessKeyId",
            "ManageMasterUserPassword",
            "SecretAccessKeyLastUsed",
            "Secrets",
            "TokenType",
            "InvalidToken",
        ] {
            assert!(!is_secret(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_text_that_gives_a_secret_is_told_from_one_that_names_it() {
        for text in [
            "Password: hunter2",
            "export DB_PASSWORD=hunter2",
            "mysql --password hunter2",
            r#"{\"Password\":\"x\"}"#,
            "%22Password%22%3A%22x",
            "&lt;pre_shared_key&gt;x",
            r"\u003cpassword\u003ex",
            "?a=b&X-Amz-Security-Token=IQoJ",
            "-----BEGIN RSA PRIVATE KEY-----",
            r"a: b\ntoken: x",
            r"?a=b\u0026token=x",
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln",
        ] {
            assert!(gives_secret(text.as_bytes()), "{text}");
        }
        for text in ["iam:ChangePassword", "sts:GetSessionToken", "The security token is invalid.", "x.eyJ", "NextToken=abc"] {
            assert!(!gives_secret(text.as_bytes()), "{text}");
        }
    }
}
