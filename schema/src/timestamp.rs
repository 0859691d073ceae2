//! RFC 3161: the request for a timestamp, and as much of an answer as is needed to know that it is about the bytes in hand.
//!
//! The authority's signature and certificate are not checked here: `openssl ts -verify` does that, with the auditor's own
//! choice of whom to trust.

use crate::Hash;

/// The largest answer: a token with a chain of certificates has some 5 to 10 KiB.
pub const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Media type of a request.
pub const QUERY_TYPE: &str = "application/timestamp-query";

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;
/// AlgorithmIdentifier of SHA-256 (2.16.840.1.101.3.4.2.1), with its NULL.
const SHA_256: [u8; 13] = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00];
/// id-signedData, 1.2.840.113549.1.7.2.
const SIGNED_DATA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// id-ct-TSTInfo, 1.2.840.113549.1.9.16.1.4.
const TST_INFO: [u8; 11] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];

/// The DER of a request about bytes with this SHA-256, for a token with its certificates.
pub fn request(imprint: &Hash, nonce: u64) -> Vec<u8> {
    let message = [der(SEQUENCE, &SHA_256), der(OCTET_STRING, &imprint.0)].concat();
    let fields = [&[INTEGER, 1, 1][..], &der(SEQUENCE, &message), &der(INTEGER, &unsigned(nonce)), &[0x01, 1, 0xff]];
    der(SEQUENCE, &fields.concat())
}

/// Everything that is written here is shorter than 128 bytes, so its length is one byte.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag, content.len() as u8];
    bytes.extend_from_slice(content);
    bytes
}

/// The shortest two's complement form of a number that is not negative.
fn unsigned(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let skip = bytes.iter().take(7).take_while(|byte| **byte == 0).count();
    let mut shortest: Vec<u8> = bytes.iter().skip(skip).copied().collect();
    if shortest.first().is_some_and(|first| first & 0x80 != 0) {
        shortest.insert(0, 0);
    }
    shortest
}

/// Why an answer is not the timestamp that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not the DER of an answer.
    #[error("not a timestamp answer: {0}")]
    Malformed(&'static str),
    /// The authority said no.
    #[error("the authority refuses, with status {0}")]
    Refused(u64),
    /// It is about other bytes.
    #[error("the timestamp is over other bytes")]
    OtherImprint,
    /// It answers another request.
    #[error("the timestamp answers another request: its nonce differs")]
    OtherNonce,
}

/// What an answer says, without a look at its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The time: `YYYYMMDDhhmmss[.f]Z`.
    pub time: String,
}

/// Looks whether an answer grants a timestamp over bytes with this SHA-256 and, where one was sent, with this nonce.
pub fn check(answer: &[u8], imprint: &Hash, nonce: Option<u64>) -> Result<Stamp, AnswerError> {
    if answer.len() > ANSWER_BYTES_MAX {
        return Err(AnswerError::Malformed("larger than ANSWER_BYTES_MAX"));
    }
    let mut all = Der(answer);
    let mut answer = all.enter(SEQUENCE, "an answer is a sequence")?;
    if !all.0.is_empty() {
        return Err(AnswerError::Malformed("bytes after the answer"));
    }
    let mut status = answer.enter(SEQUENCE, "no status")?;
    match number(status.take(INTEGER, "the status is a number")?) {
        Some(0 | 1) => {}
        other => return Err(AnswerError::Refused(other.unwrap_or(u64::MAX))),
    }
    check_info(token_info(&mut answer)?, imprint, nonce)
}

/// The TSTInfo in a token: ContentInfo, SignedData, EncapsulatedContentInfo (RFC 5652 §3, §5).
fn token_info<'a>(answer: &mut Der<'a>) -> Result<Der<'a>, AnswerError> {
    let mut token = answer.enter(SEQUENCE, "no token")?;
    if token.take(OBJECT_ID, "a token has a type")? != SIGNED_DATA {
        return Err(AnswerError::Malformed("a token is signed data"));
    }
    let mut signed = token.enter(CONTEXT_0, "a token has content")?.enter(SEQUENCE, "signed data is a sequence")?;
    signed.take(INTEGER, "signed data has a version")?;
    signed.take(SET, "signed data names digests")?;
    let mut content = signed.enter(SEQUENCE, "signed data has content")?;
    if content.take(OBJECT_ID, "content has a type")? != TST_INFO {
        return Err(AnswerError::Malformed("the content is a TSTInfo"));
    }
    let mut info = content.enter(CONTEXT_0, "the TSTInfo is there")?.enter(OCTET_STRING, "a TSTInfo is in an octet string")?;
    info.enter(SEQUENCE, "a TSTInfo is a sequence")
}

/// TSTInfo (RFC 3161 §2.4.2): version, policy, imprint, serial number, time, then optional fields, of which the nonce is the
/// only number.
fn check_info(mut info: Der<'_>, imprint: &Hash, nonce: Option<u64>) -> Result<Stamp, AnswerError> {
    info.take(INTEGER, "a TSTInfo has a version")?;
    info.take(OBJECT_ID, "a TSTInfo has a policy")?;
    let mut message = info.enter(SEQUENCE, "a TSTInfo has an imprint")?;
    // The NULL of the algorithm may be left out (RFC 5754 §2).
    let algorithm = message.take(SEQUENCE, "an imprint has an algorithm")?;
    let hashed = message.take(OCTET_STRING, "an imprint has a hash")?;
    if !SHA_256.starts_with(algorithm) || algorithm.len() < SHA_256.len() - 2 || hashed != imprint.0 {
        return Err(AnswerError::OtherImprint);
    }
    info.take(INTEGER, "a TSTInfo has a serial number")?;
    let time = info.take(GENERALIZED_TIME, "a TSTInfo has a time")?;
    let time = std::str::from_utf8(time).ok().filter(|time| is_time(time));
    let time = time.ok_or(AnswerError::Malformed("a time is YYYYMMDDhhmmss, a fraction or none, and Z"))?.to_owned();
    while let Some(nonce) = nonce.filter(|_| !info.0.is_empty()) {
        let (tag, content) = info.next().ok_or(AnswerError::Malformed("a field of the TSTInfo is cut off"))?;
        if tag == INTEGER {
            return if number(content) == Some(nonce) { Ok(Stamp { time }) } else { Err(AnswerError::OtherNonce) };
        }
    }
    if nonce.is_some() { Err(AnswerError::OtherNonce) } else { Ok(Stamp { time }) }
}

/// The one form that RFC 3161 §2.4.2 leaves of a GeneralizedTime. Whether there is such a day is not looked at.
fn is_time(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((seconds, rest)) = text.strip_suffix('Z').and_then(|text| text.split_at_checked("YYYYMMDDhhmmss".len())) else {
        return false;
    };
    let fraction = rest.strip_prefix('.').map_or(rest.is_empty(), |fraction| !fraction.is_empty() && digits(fraction));
    digits(seconds) && fraction
}

/// A number of at most 64 bits that is not negative.
fn number(content: &[u8]) -> Option<u64> {
    let value = content.iter().try_fold(0_u64, |value, byte| value.checked_mul(256)?.checked_add(u64::from(*byte)))?;
    (unsigned(value) == content).then_some(value)
}

/// DER that is being read: elements one after the other, of definite length.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], mut rest) = self.0.split_first_chunk::<2>()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            // Four bytes of length are more than ANSWER_BYTES_MAX needs. 0x80 would be an indefinite length.
            0x81..=0x84 => {
                let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
                rest = after;
                digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn take(&mut self, tag: u8, what: &'static str) -> Result<&'a [u8], AnswerError> {
        self.next().filter(|(there, _)| *there == tag).map(|(_, content)| content).ok_or(AnswerError::Malformed(what))
    }

    fn enter(&mut self, tag: u8, what: &'static str) -> Result<Der<'a>, AnswerError> {
        self.take(tag, what).map(Der)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPENSSL_REQUEST: &str = "30440201013031300d060960864801650304020105000420ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad020900e16c403a4232f0eb0101ff";
    const OPENSSL_NONCE: u64 = 0xe16c_403a_4232_f0eb;
    /// What `openssl ts -reply` answered to it.
    const OPENSSL_ANSWER: &[u8] = include_bytes!("../testdata/openssl.tsr");
    const OPENSSL_TIME: &str = "20261124031327Z";

    /// Made with `openssl ts -query -sha256 -cert` over the bytes "abc"; its nonce begins with a zero byte, as one with a
    /// high bit does.
    #[test]
    fn a_request_is_the_one_that_openssl_makes() {
        let imprint = Hash::of(&[b"abc"]);
        let hex: String = request(&imprint, OPENSSL_NONCE).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, OPENSSL_REQUEST);
    }

    #[test]
    fn a_nonce_has_its_shortest_form() {
        for (nonce, bytes) in [(0, &[0][..]), (1, &[1]), (0x7f, &[0x7f]), (0x80, &[0, 0x80]), (0x0100, &[1, 0])] {
            assert_eq!(unsigned(nonce), bytes, "{nonce}");
            assert_eq!(number(bytes), Some(nonce));
        }
        assert_eq!(unsigned(u64::MAX).len(), 9);
        assert_eq!(number(&[0, 1]), None, "not the shortest form");
    }

    #[test]
    fn an_answer_of_openssl_is_about_its_bytes_and_its_nonce_only() {
        let (answer, imprint) = (OPENSSL_ANSWER, Hash::of(&[b"abc"]));
        let time = OPENSSL_TIME.to_owned();
        assert_eq!(check(answer, &imprint, Some(OPENSSL_NONCE)), Ok(Stamp { time: time.clone() }));
        assert_eq!(check(answer, &imprint, None), Ok(Stamp { time }));
        assert_eq!(check(answer, &imprint, Some(7)), Err(AnswerError::OtherNonce));
        assert_eq!(check(answer, &Hash::ZERO, None), Err(AnswerError::OtherImprint));
        assert!(check(&answer[..answer.len() - 1], &imprint, None).is_err());
        assert!(check(&[answer, b"x"].concat(), &imprint, None).is_err());
        // PKIStatusInfo with status 2, rejection.
        assert_eq!(check(&[0x30, 5, 0x30, 3, 2, 1, 2], &imprint, None), Err(AnswerError::Refused(2)));
    }

    #[test]
    fn a_time_of_another_form_is_no_time() {
        let at = OPENSSL_ANSWER.windows(OPENSSL_TIME.len()).position(|window| window == OPENSSL_TIME.as_bytes()).unwrap();
        for bad in ["...............", "ZZZZZZZZZZZZZZZ", "20261124031327.", "202611240313270", "20261124.31327Z"] {
            let mut answer = OPENSSL_ANSWER.to_vec();
            answer[at..at + bad.len()].copy_from_slice(bad.as_bytes());
            let checked = check(&answer, &Hash::of(&[b"abc"]), None);
            assert!(matches!(checked, Err(AnswerError::Malformed(_))), "{bad}: {checked:?}");
        }
        for (text, good) in [("20261124031327Z", true), ("20261124031327.5Z", true), ("", false), ("20261124031327.Z", false)] {
            assert_eq!(is_time(text), good, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_answers_never_panic(bytes: Vec<u8>, at in 0..OPENSSL_ANSWER.len(), byte: u8) {
            let _ = check(&bytes, &Hash::ZERO, Some(1));
            let mut changed = OPENSSL_ANSWER.to_vec();
            changed[at] = byte;
            let _ = check(&changed, &Hash::of(&[b"abc"]), Some(OPENSSL_NONCE));
        }
    }
}
