//! What a principal sends to prove itself. Nothing of it is logged or recorded.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use zeroize::Zeroizing;

/// Proofs in a request: one at most.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Proof {
    /// A statement of the request, signed with an SSH key.
    pub ssh: Option<SshProof>,
    /// A token of an OIDC issuer.
    pub oidc: Option<Token>,
}

/// A signed statement.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SshProof {
    /// The statement, byte for byte.
    pub statement: String,
    /// The signature over it, as `ssh-keygen -Y sign -n sealgate` prints it.
    pub signature: String,
}

/// A token: masked wherever it is printed, wiped when it goes.
#[derive(Clone, utoipa::ToSchema)]
#[schema(value_type = String)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Takes it.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(masked)")
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}
