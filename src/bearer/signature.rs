//! Signatures of tokens (RFC 7518 3): a list of algorithms, and the keys that each goes with.
//!
//! It promises: an algorithm is on the list and asymmetric; a key verifies by those of its own kind
//! alone, so that no token chooses what its issuer's key is used for (RFC 8725 2.1, 3.1).
//! It never: signs, or holds anything that is secret.

use ring::signature;

/// The algorithms. What is not here (`none`, `HS256` and all else) is no algorithm.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// Every algorithm, by its name.
    const ALL: [(&'static str, Self); 9] = [
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("EdDSA", Self::EdDsa),
    ];

    /// The algorithm of this name, case and all (RFC 7515 4.1.1).
    pub(super) fn parse(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, algorithm)| *algorithm)
    }
}

/// A public key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum PublicKey {
    /// RSA: modulus and exponent, without zeros before them.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// A point on P-256, uncompressed.
    P256(Vec<u8>),
    /// A point on P-384, uncompressed.
    P384(Vec<u8>),
    /// A point on edwards25519.
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// Whether this algorithm goes with a key of this kind.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Rsa { .. } => !matches!(
                algorithm,
                Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa
            ),
            Self::P256(_) => algorithm == Algorithm::Es256,
            Self::P384(_) => algorithm == Algorithm::Es384,
            Self::Ed25519(_) => algorithm == Algorithm::EdDsa,
        }
    }

    /// Whether this key made this signature of `message`. RSA keys below 2048 bits made none.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], mark: &[u8]) -> bool {
        let point = |by, point| {
            signature::UnparsedPublicKey::new(by, point)
                .verify(message, mark)
                .is_ok()
        };
        let fits = self.fits(algorithm);
        fits && match self {
            Self::Rsa { n, e } => {
                let key = signature::RsaPublicKeyComponents { n, e };
                rsa(algorithm).is_some_and(|by| key.verify(by, message, mark).is_ok())
            }
            Self::P256(at) => point(&signature::ECDSA_P256_SHA256_FIXED, at),
            Self::P384(at) => point(&signature::ECDSA_P384_SHA384_FIXED, at),
            Self::Ed25519(at) => point(&signature::ED25519, at),
        }
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static signature::RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => None,
    }
}
