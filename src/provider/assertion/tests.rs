//! That a client's proof is signed by its key, for one audience, and is not made twice.

use ring::signature::{ECDSA_P256_SHA256_FIXED, KeyPair, UnparsedPublicKey};

use super::*;
use crate::model::Scopes;
use crate::model::remote::{Found, Registration, Remote};
use crate::secret::from_base64url;

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn pem() -> (Secret<String>, Vec<u8>) {
    let random = SystemRandom::new();
    let by = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let der = EcdsaKeyPair::generate_pkcs8(by, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(by, der.as_ref(), &random).unwrap();
    let body = STANDARD.encode(der.as_ref());
    let text = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    (Secret::new(text), pair.public_key().as_ref().to_vec())
}

fn app() -> OAuth {
    let mut app = OAuth::of("the-client");
    app.by_hand.token_url = Some(WebUrl::parse("token_url", "https://idp.example/token").unwrap());
    app
}

fn parts(assertion: &Secret<String>) -> (serde_json::Value, serde_json::Value) {
    let mut parts = assertion.expose().split('.');
    let mut read = || {
        let bytes = from_base64url(parts.next().unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    (read(), read())
}

#[test]
fn a_proof_is_signed_and_is_for_one_audience() {
    let (key, public) = pem();
    let mut app = app();
    let assertion = made(&app, &key, NOW).unwrap();
    let (signed, signature) = assertion.expose().rsplit_once('.').unwrap();
    let signature = from_base64url(signature).unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
        .verify(signed.as_bytes(), &signature)
        .unwrap();
    let (header, claims) = parts(&assertion);
    assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT" }));
    assert_eq!(claims["iss"], "the-client");
    assert_eq!(claims["sub"], "the-client");
    assert_eq!(claims["aud"], "https://idp.example/token");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        60
    );
    app.issuer = Some(WebUrl::parse("issuer", "https://idp.example/t").unwrap());
    app.dialect.asked.key_id = Some("k1".into());
    let (header, again) = parts(&made(&app, &key, NOW).unwrap());
    assert_eq!(header["kid"], "k1");
    assert_eq!(again["aud"], "https://idp.example/t");
    assert_ne!(again["jti"], claims["jti"]);
}

#[test]
fn what_is_no_private_key_is_said_and_not_sent() {
    for bad in [
        "",
        "secret",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    ] {
        let failure = made(&app(), &Secret::new(bad.into()), NOW).err().unwrap();
        assert!(failure.description.contains("PKCS#8"), "{failure:?}");
    }
    let (key, _) = pem();
    let mut request = http::Request::post("https://idp.example/token")
        .body(b"grant_type=x".to_vec())
        .unwrap();
    add(&app(), &key, NOW, &mut request).unwrap();
    let body = String::from_utf8(request.into_body()).unwrap();
    assert!(
        body.starts_with("grant_type=x&client_assertion_type=urn"),
        "{body}"
    );
    assert!(!body.contains("PRIVATE"));
}

/// Goal: a proof is for the issuer in use, as that writes itself. Method: an app of a remote MCP
/// server; each spelling.
#[test]
fn a_proof_is_for_the_issuer_in_use_in_its_own_words() {
    let url = |text: &str| WebUrl::parse("issuer", text).unwrap();
    let (key, _) = pem();
    for (issuer, own, told) in [
        ("https://as.example", None, "https://as.example"),
        ("https://as.example/t/", None, "https://as.example/t/"),
        (
            "https://as.example",
            Some("https://as.example"),
            "https://as.example",
        ),
        (
            "https://as.example",
            Some("https://as.example/"),
            "https://as.example/",
        ),
        (
            "https://as.example/t/",
            Some("https://as.example/t"),
            "https://as.example/t",
        ),
        // Words of another one are nobody's.
        (
            "https://as.example",
            Some("https://old.example/"),
            "https://as.example",
        ),
    ] {
        let mut app = app();
        let mut remote = Remote::new(url("https://mcp.example/mcp"), Registration::Auto);
        remote.found = Some(Found {
            issuer: url(issuer),
            since: NOW,
            resource: None,
            scopes: Scopes::default(),
            offline_access: false,
        });
        app.remote = Some(Box::new(remote));
        app.issuer_text = own.map(str::to_owned);
        let (_, claims) = parts(&made(&app, &key, NOW).unwrap());
        assert_eq!(claims["aud"], told, "{issuer} {own:?}");
    }
}
