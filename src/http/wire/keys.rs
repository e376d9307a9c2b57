//! The shapes of access keys on the wire.
//!
//! It promises: a key's text leaves once, in the answer to whoever made it; one that JWTs stand for
//! has none.
//! It never: shows a hash.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::Result;
use crate::model::access::{AccessKey, Grant, Role};
use crate::model::jwt::JwtRule;
use crate::model::link::Proof;
use crate::model::url::WebUrl;
use crate::secret::Secret;
use crate::vault::NewKey;

/// `POST /v1/keys`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    name: String,
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    grants: Vec<Grant>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    return_urls: Vec<String>,
    #[serde(default)]
    verify_url: Option<String>,
    #[serde(default)]
    connect_verify: Vec<Proof>,
    #[serde(default)]
    jwt: Option<JwtRule>,
}

impl KeyRequest {
    /// Reads it as what the vault takes; with the rule for JWTs, where it has one.
    ///
    /// # Errors
    /// [`crate::error::Error::Invalid`].
    pub fn into_key(self) -> Result<(NewKey, Option<JwtRule>)> {
        let parse = |what| move |url: &String| WebUrl::parse(what, url);
        let new = NewKey {
            name: self.name,
            role: self.role,
            grants: self.grants,
            expires_at: self.expires_at,
            return_urls: self
                .return_urls
                .iter()
                .map(parse("return_urls"))
                .collect::<Result<_>>()?,
            verify_url: self
                .verify_url
                .iter()
                .filter(|url| !url.is_empty())
                .map(parse("verify_url"))
                .next()
                .transpose()?,
            connect_verify: self.connect_verify,
        };
        Ok((new, self.jwt))
    }
}

/// An access key without its secret.
#[derive(Serialize)]
pub struct KeyShape<'a> {
    #[serde(flatten)]
    key: &'a AccessKey,
    /// The text of a key just made.
    #[serde(rename = "key", skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// Since the server was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
}

impl<'a> KeyShape<'a> {
    /// The shape of a key.
    pub fn of(key: &'a AccessKey, last_used_at: Option<Timestamp>) -> Self {
        Self {
            key,
            text: None,
            last_used_at,
        }
    }

    /// The shape of a key that was just made, with its text, where it has one.
    pub fn of_new(key: &'a AccessKey, text: Option<&'a Secret<String>>) -> Self {
        let text = text.map(|text| text.expose().as_str());
        Self {
            key,
            text,
            last_used_at: None,
        }
    }
}
