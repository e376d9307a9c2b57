//! An issuer's key document (RFC 7517), read.
//!
//! It promises: what is no public key for signatures is passed over, and so is a key that says it
//! is for something else; a bounded number of keys.
//! It never: takes a shared secret for a key.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::shelf::Wanted;
use super::signature::{Algorithm, PublicKey};
use crate::limits;
use crate::secret::from_base64url;

/// The keys of an issuer.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Arc<Key>>);

/// One of them.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Key {
    kid: Option<String>,
    /// The one algorithm it is for, where it says so.
    algorithm: Option<Algorithm>,
    pub(super) public: PublicKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong with it, as a phrase.
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        let document: Document = serde_json::from_slice(body)
            .map_err(|_| "the document is no JSON object with a list of `keys`")?;
        if document.keys.len() > limits::JWKS_KEYS_MAX {
            return Err("the document holds too many keys");
        }
        // A kind of key that we do not know spoils none of those we do.
        let keys = document.keys.into_iter().filter_map(|key| {
            let key: Jwk = serde_json::from_value(key).ok()?;
            Key::of(key).map(Arc::new)
        });
        Ok(Self(keys.collect()))
    }

    /// The keys that a token may be signed by: of its `kid`, and for its algorithm. One that names
    /// no `kid` may be of any.
    pub(super) fn fitting(&self, wanted: &Wanted) -> Vec<Arc<Key>> {
        let fits = |key: &&Arc<Key>| {
            let named = wanted.kid.is_none() || key.kid == wanted.kid;
            let meant = key.algorithm.is_none_or(|own| own == wanted.algorithm);
            named && meant && key.public.fits(wanted.algorithm)
        };
        let fitting = self.0.iter().filter(fits);
        fitting.take(limits::JWT_KEYS_TRIED_MAX).cloned().collect()
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        let is_for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk
                .key_ops
                .as_ref()
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let algorithm = match &jwk.alg {
            None => None,
            Some(name) => Some(Algorithm::parse(name)?),
        };
        let public = public(&jwk).filter(|_| is_for_signatures)?;
        Some(Self {
            kid: jwk.kid,
            algorithm,
            public,
        })
    }
}

fn public(jwk: &Jwk) -> Option<PublicKey> {
    let bytes = |text: &Option<String>| from_base64url(text.as_ref()?);
    let of_length = |text, length| bytes(text).filter(|bytes| bytes.len() == length);
    // SEC 1 2.3.3: a point in full.
    let point = |length| {
        let (x, y) = (of_length(&jwk.x, length)?, of_length(&jwk.y, length)?);
        Some([&[4], x.as_slice(), y.as_slice()].concat())
    };
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => Some(PublicKey::Rsa {
            n: unpadded(bytes(&jwk.n)?)?,
            e: unpadded(bytes(&jwk.e)?)?,
        }),
        ("EC", Some("P-256")) => point(32).map(PublicKey::P256),
        ("EC", Some("P-384")) => point(48).map(PublicKey::P384),
        ("OKP", Some("Ed25519")) => of_length(&jwk.x, 32).map(PublicKey::Ed25519),
        _ => None,
    }
}

/// A number without the zeros that some put before it (RFC 7518 6.3.1.1 says not to).
fn unpadded(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let first = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[first..].to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fitting(set: &Value, kid: Option<&str>, algorithm: &str) -> usize {
        let set = KeySet::read(set.to_string().as_bytes()).unwrap();
        let wanted = Wanted {
            kid: kid.map(str::to_owned),
            algorithm: Algorithm::parse(algorithm).unwrap(),
        };
        set.fitting(&wanted).len()
    }

    fn ed(more: Value) -> Value {
        let mut key = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "A".repeat(43) });
        for (name, value) in more.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    }

    /// Goal: a key is used for what it says it is for. Method: one key in many dresses.
    #[test]
    fn b1_a_key_is_for_what_it_says() {
        let found = |more: Value| fitting(&json!({ "keys": [ed(more)] }), Some("a"), "EdDSA");
        for good in [
            json!({}),
            json!({ "use": "sig" }),
            json!({ "alg": "EdDSA" }),
            json!({ "key_ops": ["verify"] }),
            json!({ "x5c": ["?"], "x5t": 7 }),
        ] {
            assert_eq!(found(good.clone()), 1, "{good}");
        }
        for bad in [
            json!({ "use": "enc" }),
            json!({ "alg": "RS256" }),
            json!({ "alg": "HS256" }),
            json!({ "alg": "none" }),
            json!({ "key_ops": ["sign"] }),
            json!({ "kty": "oct", "k": "AAAA" }),
            json!({ "kty": "EC" }),
            json!({ "crv": "Ed448" }),
            json!({ "crv": "X25519" }),
            json!({ "x": "AAAA" }),
            json!({ "x": format!("{}=", "A".repeat(43)) }),
            json!({ "x": null }),
            json!({ "kid": "b" }),
            json!({ "kid": 7 }),
        ] {
            assert_eq!(found(bad.clone()), 0, "{bad}");
        }
    }

    #[test]
    fn b1_keys_of_one_name_are_all_tried_up_to_a_bound() {
        let keys = |count: usize| json!({ "keys": vec![ed(json!({})); count] });
        assert_eq!(fitting(&keys(2), Some("a"), "EdDSA"), 2);
        assert_eq!(fitting(&keys(2), None, "EdDSA"), 2);
        let most = limits::JWT_KEYS_TRIED_MAX;
        assert_eq!(fitting(&keys(most + 1), Some("a"), "EdDSA"), most);
        assert_eq!(fitting(&keys(2), Some("../a"), "EdDSA"), 0);
        assert_eq!(fitting(&keys(2), Some("a"), "ES256"), 0);
    }

    #[test]
    fn a_document_that_is_none_is_refused_and_a_strange_key_spoils_no_other() {
        for bad in ["", "[]", "{}", "null", r#"{"keys":{}}"#, "<html>", "[[[["] {
            assert!(KeySet::read(bad.as_bytes()).is_err(), "{bad}");
        }
        let deep = format!(r#"{{"keys":[{}]}}"#, "[".repeat(100_000));
        assert!(KeySet::read(deep.as_bytes()).is_err());
        let many = json!({ "keys": vec![json!({}); limits::JWKS_KEYS_MAX + 1] });
        assert!(KeySet::read(many.to_string().as_bytes()).is_err());
        let mixed = json!({ "keys": [7, "x", {}, { "kty": "oct" }, ed(json!({}))] });
        assert_eq!(fitting(&mixed, Some("a"), "EdDSA"), 1);
    }
}
