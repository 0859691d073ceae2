//! Secrets at rest: AES-256-GCM under a key of the home, which no database holds. Each is bound to the credential it belongs to, so
//! that whoever can write the database can't give one credential what stands behind another.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

/// Encrypts and decrypts.
pub(super) struct Vault {
    key: RandomizedNonceKey,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(masked)")
    }
}

impl Vault {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        #[expect(clippy::expect_used, reason = "the key has the length that the algorithm wants")]
        let key = RandomizedNonceKey::new(&AES_256_GCM, key).expect("32 bytes are a key");
        Self { key }
    }

    /// The text, encrypted, in hex: nonce and ciphertext.
    pub(super) fn seal(&self, bound_to: &str, text: &str) -> Option<String> {
        let mut bytes = Zeroizing::new(text.as_bytes().to_vec());
        let nonce = self.key.seal_in_place_append_tag(Aad::from(bound_to.as_bytes()), &mut *bytes).ok()?;
        Some(nonce.as_ref().iter().chain(bytes.iter()).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The text again; `None` where it is not what was sealed, or bound to something else.
    pub(super) fn open(&self, bound_to: &str, sealed: &str) -> Option<Zeroizing<String>> {
        let digits = sealed.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        let bytes = digits.collect::<Option<Vec<u8>>>()?;
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(text.to_vec());
        let open = self.key.open_in_place(nonce, Aad::from(bound_to.as_bytes()), &mut text).ok()?;
        String::from_utf8(open.to_vec()).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::Vault;

    #[test]
    fn a_secret_opens_with_its_key_for_its_own_credential_and_whole() {
        let vault = Vault::new(&[1; 32]);
        let sealed = vault.seal("A", "secret").unwrap();
        assert!(!sealed.contains("secret") && sealed != vault.seal("A", "secret").unwrap());
        assert_eq!(vault.open("A", &sealed).unwrap().as_str(), "secret");
        assert!(vault.open("B", &sealed).is_none());
        assert!(Vault::new(&[2; 32]).open("A", &sealed).is_none());
        for bad in ["", "zz", "00", &sealed[..sealed.len() - 2], &sealed.replacen(&sealed[..1], "g", 1)] {
            assert!(vault.open("A", bad).is_none(), "{bad}");
        }
    }
}
