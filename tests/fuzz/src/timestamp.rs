//! Answers of a timestamp authority, as far as they are read.

use sealgate_schema::{
    Hash,
    timestamp::{check, request},
};

/// Over the bytes "abc", made by openssl; and the nonce that it answers.
const OPENSSL_ANSWER: &[u8] = include_bytes!("../../../schema/testdata/openssl.tsr");
const OPENSSL_NONCE: u64 = 0xe16c_403a_4232_f0eb;

/// An answer is about one hash and one nonce, and is all of the bytes.
pub(crate) fn answer(data: &[u8]) -> bool {
    let imprint = Hash::of(&[b"abc"]);
    let answered = check(data, &imprint, Some(OPENSSL_NONCE));
    let Ok(stamp) = check(data, &imprint, None) else {
        assert!(answered.is_err(), "more is asked of an answer with a nonce");
        return false;
    };
    let holds = |part: &[u8]| data.windows(part.len()).any(|window| window == part);
    assert!(stamp.time.len() >= "YYYYMMDDhhmmssZ".len() && stamp.time.ends_with('Z'), "{:?} is no time", stamp.time);
    assert!(holds(&imprint.0) && holds(stamp.time.as_bytes()));
    assert!(check(data, &Hash::ZERO, None).is_err(), "it is about two hashes");
    assert!(check(&[data, b"x"].concat(), &imprint, None).is_err() && check(&data[..data.len() - 1], &imprint, None).is_err());
    if let Ok(same) = answered {
        assert_eq!(same, stamp);
        assert!(holds(&OPENSSL_NONCE.to_be_bytes()));
        assert!(check(data, &imprint, Some(OPENSSL_NONCE + 1)).is_err(), "it answers two requests");
    }
    assert!(check(&request(&imprint, OPENSSL_NONCE), &imprint, None).is_err(), "a request is no answer");
    true
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![OPENSSL_ANSWER.to_vec()]
}
