//! An issuer of JWTs for tests: it signs what it is told to, and serves its keys and metadata.
//!
//! It promises: what it counts it has been asked; what it is told to do holds for the next request.
//! It never: decides whether a token is good.

use std::sync::{Arc, Mutex};

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Every algorithm that is taken.
pub const ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

/// A key to sign with, of any kind.
pub struct Signer {
    algorithm: &'static str,
    kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// Bytes as base64 for URLs, without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    /// A fresh key; for RSA the one of these tests.
    pub fn new(algorithm: &'static str, kid: &str) -> Self {
        let rng = SystemRandom::new();
        let pair = match algorithm {
            "EdDSA" => {
                let pair = Ed25519KeyPair::generate_pkcs8(&rng).unwrap();
                Pair::Ed(Ed25519KeyPair::from_pkcs8(pair.as_ref()).unwrap())
            }
            "ES256" | "ES384" => {
                let by = match algorithm {
                    "ES256" => &ECDSA_P256_SHA256_FIXED_SIGNING,
                    _ => &ECDSA_P384_SHA384_FIXED_SIGNING,
                };
                let pair = EcdsaKeyPair::generate_pkcs8(by, &rng).unwrap();
                Pair::Ec(EcdsaKeyPair::from_pkcs8(by, pair.as_ref(), &rng).unwrap())
            }
            _ => Pair::Rsa(Box::new(rsa_test_key())),
        };
        Self {
            algorithm,
            kid: kid.to_owned(),
            pair,
        }
    }

    /// Its public key as an issuer publishes it.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "n": base64url(public.n), "e": base64url(public.e) })
            }
            Pair::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
            }
            Pair::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key()) })
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The header of a token that it signs.
    pub fn header(&self) -> Value {
        json!({ "alg": self.algorithm, "typ": "JWT", "kid": self.kid })
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.pack(&self.header().to_string(), &claims.to_string())
    }

    /// A token of these very texts.
    pub fn pack(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", base64url(header), base64url(claims));
        let mark = base64url(self.sign(message.as_bytes()));
        format!("{message}.{mark}")
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut mark = vec![0; pair.public().modulus_len()];
                let by: &dyn ring::signature::RsaEncoding = match self.algorithm {
                    "RS256" => &RSA_PKCS1_SHA256,
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    _ => &RSA_PSS_SHA512,
                };
                pair.sign(by, &rng, message, &mut mark).unwrap();
                mark
            }
            Pair::Ec(pair) => pair.sign(&rng, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// The library makes no RSA keys, so there is one in a file; see the words at its head.
fn rsa_test_key() -> RsaKeyPair {
    use base64::Engine;
    let text = include_str!("rsa_test_key.txt");
    let lines: String = text.lines().skip(1).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(lines);
    RsaKeyPair::from_pkcs8(&der.unwrap()).unwrap()
}

/// What an issuer does with a request for its keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mood {
    Well,
    /// Ends every connection.
    Down,
    /// Answers with this status.
    Failing(u16),
    /// Leaves requests open until its mood changes.
    Hanging,
}

/// An issuer that listens.
#[derive(Clone)]
pub struct Issuer {
    pub url: String,
    state: Arc<Mutex<State>>,
    mood: watch::Sender<Mood>,
}

#[derive(Default)]
struct State {
    keys: Vec<Value>,
    cache_control: String,
    asked_for_keys: usize,
    asked: usize,
}

impl Issuer {
    /// Starts one that publishes these keys.
    pub async fn start(keys: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::default(),
            mood: watch::Sender::new(Mood::Well),
        };
        issuer.publish(keys);
        let serving = issuer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let issuer = serving.clone();
                // A client that goes away is no trouble.
                tokio::spawn(async move { issuer.answer(stream).await });
            }
        });
        issuer
    }

    pub fn publish(&self, keys: &[&Signer]) {
        self.publish_document(keys.iter().map(|key| key.jwk()).collect());
    }

    pub fn publish_document(&self, keys: Vec<Value>) {
        self.state.lock().unwrap().keys = keys;
    }

    /// Sends this `Cache-Control` with the keys from now on.
    pub fn cache_control(&self, field: &str) {
        self.state.lock().unwrap().cache_control = field.to_owned();
    }

    pub fn be(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Requests for keys so far.
    pub fn asked_for_keys(&self) -> usize {
        self.state.lock().unwrap().asked_for_keys
    }

    /// Requests so far, whatever for.
    pub fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    async fn answer(&self, mut stream: TcpStream) -> Option<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).ok()?;
        let path = head.split(' ').nth(1)?;
        {
            let mut state = self.state.lock().unwrap();
            state.asked += 1;
            state.asked_for_keys += usize::from(path == "/jwks");
        }
        let mut mood = self.mood.subscribe();
        let mood = *mood.wait_for(|mood| *mood != Mood::Hanging).await.ok()?;
        let (status, body, cache_control) = match (mood, path) {
            (Mood::Down | Mood::Hanging, _) => return None,
            (Mood::Failing(status), _) => (status, json!({ "trouble": true }), String::new()),
            (Mood::Well, "/jwks") => {
                let state = self.state.lock().unwrap();
                let keys = json!({ "keys": state.keys });
                (200, keys, state.cache_control.clone())
            }
            (Mood::Well, "/.well-known/openid-configuration") => {
                let keys = format!("{}/jwks", self.url);
                let document = json!({ "issuer": self.url, "jwks_uri": keys });
                (200, document, String::new())
            }
            _ => (404, json!({}), String::new()),
        };
        let body = body.to_string();
        let field = match cache_control.is_empty() {
            true => String::new(),
            false => format!("cache-control: {cache_control}\r\n"),
        };
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             {field}connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.ok()?;
        stream.shutdown().await.ok()
    }
}
