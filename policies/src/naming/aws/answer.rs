//! What an answer tells: AWS's id of the request, its error code, and the account that the call was for.

use super::Call;
use aho_corasick::{AhoCorasick, Match};
use http::{HeaderMap, HeaderName};
use sealgate_schema::Text;
use std::sync::LazyLock;

/// What an answer tells of its call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Account number: only where the answer leaves no doubt.
    pub account: Option<Text>,
    /// AWS's id of the request.
    pub request_id: Option<Text>,
    /// AWS's error code, where the status is 400 or more.
    pub error_code: Option<Text>,
}

/// Reads an answer. `body` is what was captured of it, masked.
pub fn answer(call: &Call, status: u16, headers: &HeaderMap, body: Option<&[u8]>) -> Answer {
    let body = body.unwrap_or_default();
    let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let (id, kind) = (REQUEST_IDS.iter().find_map(header), header(&ERROR_TYPE));
    let failed = status >= 400;
    let asked = !failed && call.operation.as_deref() == Some("GetCallerIdentity") && call.service.as_deref() == Some("sts");
    // Most answers say all this in their headers, and their bodies are not searched for it.
    let found = if id.is_none() || failed || asked { Found::of(body) } else { Found::default() };
    let account = found.account.filter(|_| asked).or_else(|| account(body));
    let code = kind.or(found.kind).or(found.code).map(bare).filter(|code| failed && is_plain(code));
    Answer {
        account: account.map(super::shared),
        request_id: id.or(found.request_id).filter(|id| is_plain(id)).map(super::shared),
        error_code: code.map(super::shared),
    }
}

/// An error's name without its namespace and the address behind it: `com.amazon#Name:http://…`.
fn bare(code: &str) -> &str {
    let code = code.split(':').next().unwrap_or(code);
    code.rsplit('#').next().unwrap_or(code).trim()
}

/// The one account that the ARNs of a body name; where they name none, the one owner of what it lists.
fn account(body: &[u8]) -> Option<&str> {
    let after = |found: Match| body.get(found.end()..);
    let mut accounts = Only::None;
    finds(&ARN, body).for_each(|found| accounts.see(after(found).and_then(account_of)));
    if matches!(accounts, Only::None) {
        // `<ownerId>`, `<OwnerId>`, `"OwnerId"`: a value that is an account stands behind the sign that ends the name.
        finds(&OWNER, body).for_each(|found| accounts.see(after(found).and_then(value).filter(|id| is_account(id))));
    }
    accounts.one()
}

/// The first of each in a body.
#[derive(Default)]
struct Found<'a> {
    request_id: Option<&'a str>,
    /// `__type`
    kind: Option<&'a str>,
    /// `code` or `<Code>`
    code: Option<&'a str>,
    account: Option<&'a str>,
}

impl<'a> Found<'a> {
    fn of(body: &'a [u8]) -> Self {
        let mut found = Self::default();
        for mark in finds(&MARKS, body) {
            let Some(after) = body.get(mark.end()..) else { continue };
            let Some((_, meaning)) = WORDS.get(mark.pattern().as_usize()) else { continue };
            match meaning {
                Meaning::RequestId => found.request_id = found.request_id.or_else(|| value(after)),
                Meaning::Kind => found.kind = found.kind.or_else(|| value(after)),
                Meaning::CborKind => found.kind = found.kind.or_else(|| cbor_text(after)),
                Meaning::Code => found.code = found.code.or_else(|| value(after)),
                Meaning::Account => found.account = found.account.or_else(|| value(after).filter(|id| is_account(id))),
            }
        }
        found
    }
}

/// One value, until another differs.
#[derive(Clone, Copy, Default)]
enum Only<'a> {
    #[default]
    None,
    One(&'a str),
    Several,
}

impl<'a> Only<'a> {
    fn see(&mut self, value: Option<&'a str>) {
        *self = match (*self, value) {
            (same, None) => same,
            (Self::None, Some(value)) => Self::One(value),
            (Self::One(known), Some(value)) if known == value => Self::One(known),
            _ => Self::Several,
        };
    }

    fn one(self) -> Option<&'a str> {
        if let Self::One(value) = self { Some(value) } else { None }
    }
}

/// The account of `PARTITION:SERVICE:REGION:ACCOUNT:…`. Those of AWS itself (`aws`) and of buckets (none) have none.
fn account_of(arn: &[u8]) -> Option<&str> {
    let arn = arn.get(..ARN_HEAD_MAX.min(arn.len()))?;
    let mut fields = arn.split(|b| *b == b':');
    if !fields.next()?.starts_with(b"aws") {
        return None;
    }
    let account = fields.nth(2)?;
    fields.next()?;
    std::str::from_utf8(account).ok().filter(|account| is_account(account))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// The value behind an XML tag's `>`, or behind a JSON key's `"`, its colon and quote.
fn value(after: &[u8]) -> Option<&str> {
    let text = match after.split_first()? {
        (b'>', text) => text,
        (b'"', rest) => rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?,
        _ => return None,
    };
    let end = text.iter().take(VALUE_MAX + 1).position(|b| matches!(b, b'<' | b'"'))?;
    std::str::from_utf8(text.get(..end)?).ok()
}

/// A text string of CBOR (RFC 8949 §3.1), with its head.
fn cbor_text(after: &[u8]) -> Option<&str> {
    let (length, text) = match after {
        [head @ 0x60..=0x77, text @ ..] => (usize::from(head - 0x60), text),
        [0x78, length, text @ ..] => (usize::from(*length), text),
        _ => return None,
    };
    std::str::from_utf8(text.get(..length)?).ok()
}

/// Whether a word from an answer is fit for a column.
fn is_plain(word: &str) -> bool {
    (1..=VALUE_MAX).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_graphic())
}

/// Longest request id or error code that is kept.
const VALUE_MAX: usize = 256;

/// Partition, service, region and account are within these bytes.
const ARN_HEAD_MAX: usize = 160;

static REQUEST_IDS: [HeaderName; 3] = [
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("x-amz-request-id"),
    HeaderName::from_static("x-amzn-request-id"),
];
static ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

enum Meaning {
    RequestId,
    Kind,
    CborKind,
    Code,
    Account,
}

/// Names of XML elements and JSON members, up to the sign that ends them.
const WORDS: &[(&str, Meaning)] = &[
    ("<RequestId", Meaning::RequestId),
    ("<requestId", Meaning::RequestId),
    ("<RequestID", Meaning::RequestId), // EC2's errors
    ("\"__type", Meaning::Kind),
    ("\u{66}__type", Meaning::CborKind), // 0x66 is the head of a text of six bytes, and the letter f
    ("\"code", Meaning::Code),
    ("\"Code", Meaning::Code),
    ("<Code", Meaning::Code),
    ("<Account", Meaning::Account),
    ("\"Account", Meaning::Account),
];

static MARKS: Search = LazyLock::new(|| AhoCorasick::new(WORDS.iter().map(|(word, _)| *word)).ok());
static ARN: Search = LazyLock::new(|| AhoCorasick::new(["arn:"]).ok());
static OWNER: Search = LazyLock::new(|| AhoCorasick::new(["wnerId"]).ok());

/// The words are constants and few, so there always is one; without it nothing would be found.
type Search = LazyLock<Option<AhoCorasick>>;

fn finds(search: &'static Search, body: &[u8]) -> impl Iterator<Item = Match> {
    search.iter().flat_map(move |search| search.find_iter(body))
}
