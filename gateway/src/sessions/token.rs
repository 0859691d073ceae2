//! The proxy credential of a session: `SESSION:TOKEN` in the proxy URL.
//!
//! The token is an HMAC over the session id under a key of the home, so no store holds it, and a copy of the database
//! opens nothing.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

const TAG: &[u8] = b"sealgate/session-token/v1\0";
/// Letters of a session id: no two look alike.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const ID_LETTERS: usize = 12;

/// Makes and checks tokens.
pub struct TokenKey {
    key: hmac::Key,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(masked)")
    }
}

impl TokenKey {
    /// From 32 bytes of the home's keys.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// The token of a session.
    pub fn token(&self, session: &str) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, &message(session)).as_ref()))
    }

    /// Whether `token` is the session's, in constant time.
    pub fn check(&self, session: &str, token: &str) -> bool {
        let Ok(given) = URL_SAFE_NO_PAD.decode(token) else { return false };
        hmac::verify(&self.key, &message(session), &given).is_ok()
    }
}

fn message(session: &str) -> Vec<u8> {
    [TAG, session.as_bytes()].concat()
}

/// A new id: a letter (`S` for sessions, `R` for requests), a dash, and 60 random bits.
pub fn new_id(of: char) -> String {
    let mut random = [0; ID_LETTERS];
    #[expect(clippy::expect_used, reason = "aws-lc's generator aborts the process before it fails")]
    aws_lc_rs::rand::fill(&mut random).expect("the random generator works");
    let letter = |byte: u8| ALPHABET.get(usize::from(byte & 31)).map_or('0', |letter| char::from(*letter));
    std::iter::once(format!("{of}-")).chain(random.map(letter).map(String::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_its_own_session_only() {
        let key = TokenKey::new(&[1; 32]);
        let token = key.token("S-1");
        assert!(key.check("S-1", &token));
        assert!(!key.check("S-2", &token));
        assert!(!key.check("S-1", ""));
        assert!(!TokenKey::new(&[2; 32]).check("S-1", &token));
    }

    #[test]
    fn session_ids_differ_and_are_names() {
        assert_ne!(new_id('S'), new_id('S'));
        assert!(sealgate_schema::id::check_name("session", &new_id('S')).is_ok());
    }
}
