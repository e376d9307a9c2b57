//! The client's proof by its private key: a JWT in every token request (RFC 7523 2.2, OpenID
//! Connect Core 9, `private_key_jwt`).
//!
//! It promises: each assertion is for one audience, lives a minute, and has an id of its own. Where
//! the issuer is known the audience is the issuer: one for a token URL could be spent at a server
//! that another one names (eprint 2025/629).
//! It never: sends the key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::json;

use super::classify::Failure;
use super::egress::Request;
use super::metadata::is_same_issuer;
use super::wrong_settings;
use crate::clock::Timestamp;
use crate::limits;
use crate::model::app::OAuth;
use crate::model::url::WebUrl;
use crate::secret::{Secret, base64url, random};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Adds the client's proof to a token request whose body is a form.
pub(super) fn add(
    app: &OAuth,
    key: &Secret<String>,
    now: Timestamp,
    request: &mut Request,
) -> Result<(), Failure> {
    let assertion = made(app, key, now)?;
    let body = std::mem::take(request.body_mut());
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(form_urlencoded::parse(&body))
        .append_pair("client_assertion_type", TYPE)
        .append_pair("client_assertion", assertion.expose());
    *request.body_mut() = form.finish().into_bytes();
    Ok(())
}

fn made(app: &OAuth, key: &Secret<String>, now: Timestamp) -> Result<Secret<String>, Failure> {
    let key = Key::read(key).ok_or_else(|| {
        wrong_settings(
            "the client's private key cannot be read: give it as PKCS#8 in PEM \
             (`-----BEGIN PRIVATE KEY-----`), RSA, P-256, P-384 or Ed25519",
        )
    })?;
    let audience = audience(app).ok_or_else(|| wrong_settings("the app has no token URL"))?;
    let seconds = now.unix_ms() / 1000;
    let mut header = json!({ "alg": key.algorithm(), "typ": "JWT" });
    if let Some(id) = &app.dialect.asked.key_id {
        header["kid"] = json!(id);
    }
    let claims = json!({
        "iss": app.client_id,
        "sub": app.client_id,
        "aud": audience,
        "jti": base64url(&random::<16>()),
        "iat": seconds,
        "exp": seconds + limits::ASSERTION_LIFE.as_secs(),
    });
    let part = |value: &serde_json::Value| base64url(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = key.sign(signed.as_bytes());
    let signature = signature.ok_or_else(|| wrong_settings("the private key does not sign"))?;
    Ok(Secret::new(format!("{signed}.{}", base64url(&signature))))
}

/// Whom a proof is for: the issuer, in its own words where its metadata was read, since servers
/// compare letter by letter; else the token URL.
fn audience(app: &OAuth) -> Option<&str> {
    let Some(issuer) = app.issuer_in_use() else {
        return app.token_url().map(WebUrl::as_str);
    };
    let own = app.issuer_text.as_deref();
    if let Some(own) = own.filter(|own| is_same_issuer(issuer, own)) {
        return Some(own);
    }
    // Nearly every issuer without a path is written without a slash, which a URL always has.
    let text = issuer.as_str();
    let is_bare = issuer.as_url().path() == "/";
    Some(text.strip_suffix('/').filter(|_| is_bare).unwrap_or(text))
}

impl Key {
    fn read(pem: &Secret<String>) -> Option<Self> {
        let (_, behind) = pem.expose().split_once("-----BEGIN PRIVATE KEY-----")?;
        let (body, _) = behind.split_once("-----END PRIVATE KEY-----")?;
        let text: Secret<String> = Secret::new(body.split_whitespace().collect());
        let der = Secret::new(STANDARD.decode(text.expose()).ok()?);
        let (der, random) = (der.expose(), SystemRandom::new());
        let ec = |by| EcdsaKeyPair::from_pkcs8(by, der, &random).ok();
        let rsa = || RsaKeyPair::from_pkcs8(der).ok().map(Self::Rsa);
        let p256 = || ec(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::P256);
        let p384 = || ec(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Self::P384);
        let ed25519 = || {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok();
            pair.map(Self::Ed25519)
        };
        rsa().or_else(p256).or_else(p384).or_else(ed25519)
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .ok()?;
                Some(signature)
            }
            Self::P256(pair) | Self::P384(pair) => {
                let signature = pair.sign(&random, message).ok()?;
                Some(signature.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests;
