//! A JWT, read (RFC 7515, RFC 7519): what it says of itself, before anybody believes it.
//!
//! It promises: a token that says a thing twice, says what we would have to understand and do not,
//! or is too long is refused; keys and addresses that it brings along are not looked at.
//! It never: believes anything before its signature.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::signature::{Algorithm, PublicKey};
use crate::clock::Timestamp;
use crate::limits;
use crate::model::access::Person;
use crate::model::jwt::JwtRule;
use crate::model::{TenantId, UserId};
use crate::secret::from_base64url;

/// Why a token is not good, for the trail.
type Bad = &'static str;

/// A JSON object in which nothing stands twice: which of the two another reader would take nobody
/// can tell (RFC 7519 4, RFC 8259 4).
struct Fields(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;

        impl<'de> Visitor<'de> for Reading {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if fields.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("a name stands twice"));
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reading)
    }
}

impl Fields {
    fn read(part: &str) -> Option<Self> {
        serde_json::from_slice(&from_base64url(part)?).ok()
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }
}

/// A token that has been read and not been believed.
pub(super) struct Token<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    claims: Fields,
    /// What is signed.
    message: &'t str,
    signature: Vec<u8>,
}

impl<'t> Token<'t> {
    /// Reads a token.
    ///
    /// # Errors
    /// What speaks against it.
    pub(super) fn read(jwt: &'t str) -> Result<Self, Bad> {
        const NO_JWT: Bad = "it is none";
        if jwt.len() > limits::JWT_BYTES_MAX {
            return Err("it is too long");
        }
        let (message, signature) = jwt.rsplit_once('.').ok_or(NO_JWT)?;
        let (header, claims) = message.split_once('.').ok_or(NO_JWT)?;
        let header = Fields::read(header).ok_or(NO_JWT)?;
        let signature = from_base64url(signature).ok_or(NO_JWT)?;
        // RFC 7515 4.1.11: whoever does not understand what is listed there must refuse. We
        // understand none of it.
        if header.get("crit").is_some() {
            return Err("its header asks for what is not understood");
        }
        if !header.get("typ").is_none_or(is_caller_type) {
            return Err("it is a JWT for something else");
        }
        let algorithm = header.text("alg").and_then(Algorithm::parse);
        let algorithm = algorithm.ok_or("its algorithm is none that is taken")?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) if kid.len() <= limits::JWT_KID_BYTES_MAX => Some(kid.clone()),
            Some(_) => return Err("its key id cannot be one"),
        };
        let claims = Fields::read(claims).ok_or("its claims cannot be read")?;
        // RFC 7800 3, RFC 9449 7.2: one that is bound to a key of its holder is worth nothing
        // without the proof, and whoever brings it as a mere bearer may have stolen it.
        if claims.get("cnf").is_some() {
            return Err("it is bound to a key of its holder");
        }
        Ok(Self {
            algorithm,
            kid,
            claims,
            message,
            signature,
        })
    }

    /// Whether this key signed it.
    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.verifies(self.algorithm, self.message.as_bytes(), &self.signature)
    }

    /// Who issued it, as it says.
    ///
    /// # Errors
    /// It does not say.
    pub(super) fn issuer(&self) -> Result<&str, Bad> {
        self.claims.text("iss").ok_or("it names no issuer")
    }

    /// For whom it is meant, as it says; nobody where it does not.
    ///
    /// # Errors
    /// What it says is no name and no list of names.
    pub(super) fn audiences(&self) -> Result<Vec<&str>, Bad> {
        match self.claims.get("aud") {
            None => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(list)) if list.len() > limits::JWT_AUDIENCES_READ_MAX => {
                Err("it is meant for too many")
            }
            Some(Value::Array(list)) => list
                .iter()
                .map(|one| one.as_str().ok_or("its audience cannot be read"))
                .collect(),
            Some(_) => Err("its audience cannot be read"),
        }
    }

    /// Holds its times against `now`; when it ends for us comes back.
    ///
    /// # Errors
    /// It has ended, has not begun, or does not say when it ends.
    pub(super) fn check_times(&self, now: Timestamp) -> Result<Timestamp, Bad> {
        let skew = limits::JWT_CLOCK_SKEW;
        let end = self.time("exp")?.ok_or("it says no end")?.plus(skew);
        if end <= now {
            return Err("it has expired");
        }
        for name in ["nbf", "iat"] {
            if self.time(name)?.is_some_and(|begin| begin > now.plus(skew)) {
                return Err("it is not valid yet");
            }
        }
        Ok(end)
    }

    /// A NumericDate (RFC 7519 2): seconds, possibly with a fraction.
    fn time(&self, name: &str) -> Result<Option<Timestamp>, Bad> {
        let Some(value) = self.claims.get(name) else {
            return Ok(None);
        };
        let whole = value.as_u64().map(Duration::from_secs);
        let seconds = || Duration::try_from_secs_f64(value.as_f64()?).ok();
        let since_epoch = whole
            .or_else(seconds)
            .ok_or("a time of it cannot be read")?;
        Ok(Some(Timestamp::default().plus(since_epoch)))
    }

    /// Whom it is of.
    ///
    /// # Errors
    /// It names no user, or none that could own a token.
    pub(super) fn person(&self, rule: &JwtRule) -> Result<Person, Bad> {
        let user = self.claims.text(&rule.user_claim);
        let user = user.and_then(|user| UserId::parse(user).ok());
        Ok(Person {
            user: user.ok_or("it names no user")?,
            tenants: self.tenants(&rule.tenants_claim),
        })
    }

    /// What cannot be the name of a tenant owns nothing, and is passed over.
    fn tenants(&self, claim: &str) -> BTreeSet<TenantId> {
        let names: Vec<&str> = match self.claims.get(claim) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            // Descope: an object with the roles in each.
            Some(Value::Object(by_name)) => by_name.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        let most = limits::GRANT_IDS_MAX;
        let tenants = names
            .into_iter()
            .filter_map(|name| TenantId::parse(name).ok());
        tenants.take(most).collect()
    }

    /// Whether it carries a scope: in `scope` (RFC 8693 4.2) or in `scp`, as a text or a list.
    pub(super) fn carries(&self, scope: &str) -> bool {
        ["scope", "scp"]
            .iter()
            .any(|name| match self.claims.get(name) {
                Some(Value::String(text)) => text.split(' ').any(|one| one == scope),
                Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(scope)),
                _ => false,
            })
    }
}

/// Plain JWTs and access tokens (RFC 9068 2.1). One for logging out, say, or a proof of another
/// kind, may be signed by the same key (RFC 8725 3.11).
fn is_caller_type(value: &Value) -> bool {
    let Some(text) = value.as_str() else {
        return false;
    };
    let text = text.to_ascii_lowercase();
    let short = text.strip_prefix("application/").unwrap_or(&text);
    matches!(short, "jwt" | "at+jwt")
}
