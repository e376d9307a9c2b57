//! Tokens and keys that are uploaded.
//!
//! It promises: an end comes in as a number or a text of digits, in seconds, and nought says that
//! nobody knows it.
//! It never: takes an end in milliseconds for one in the far future.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::failure::{self, Failure, Result};
use super::tokens::{account, owner, scopes};
use super::{is_absent, needed, text};
use crate::clock::Timestamp;
use crate::http::answer::Answer;
use crate::http::routes::descope::Level;
use crate::http::wire::{ok, secret};
use crate::model::{Address, AppId, Scopes};
use crate::secret::Secret;
use crate::vault::{NewCredential, NewToken, Refusals, Upload};

/// An API key.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyUpload {
    #[serde(default, deserialize_with = "text")]
    app_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    user_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    tenant_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    external_identifier: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) api_key: Option<Secret<String>>,
}

impl KeyUpload {
    /// Reads it as what the vault takes.
    ///
    /// # Errors
    /// A failure that names the field.
    pub fn into_token(self, level: Level) -> Result<NewToken> {
        let address = Address {
            app: AppId::parse(needed(self.app_id, "appId")?)?,
            owner: owner(level, self.tenant_id, self.user_id)?,
            account: account(self.external_identifier)?,
            scopes: Scopes::default(),
        };
        let credential = NewCredential::ApiKey(needed(self.api_key, "apiKey")?);
        Ok(NewToken::of(address, credential))
    }
}

/// A token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenUpload {
    #[serde(default, deserialize_with = "text")]
    app_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    user_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    tenant_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    external_identifier: Option<String>,
    #[serde(default)]
    scopes: Option<Vec<Option<String>>>,
    #[serde(default, deserialize_with = "secret")]
    access_token: Option<Secret<String>>,
    #[serde(default, deserialize_with = "secret")]
    refresh_token: Option<Secret<String>>,
    #[serde(default, deserialize_with = "secret")]
    id_token: Option<Secret<String>>,
    #[serde(default)]
    access_token_expiry: Option<Value>,
    #[serde(default, deserialize_with = "text")]
    access_token_type: Option<String>,
    #[serde(default, deserialize_with = "text")]
    granted_by: Option<String>,
    #[serde(default)]
    verify_refresh: Option<bool>,
}

impl TokenUpload {
    /// Whether its refresh token is to be tried first.
    pub fn verify(&self) -> bool {
        self.verify_refresh.unwrap_or(false)
    }

    /// Reads it as what the vault takes.
    ///
    /// # Errors
    /// A failure that names the field.
    pub fn into_token(self, level: Level) -> Result<NewToken> {
        let verify = self.verify();
        if self.access_token.is_none() && self.refresh_token.is_none() {
            return Err(Failure::missing("accessToken` or `refreshToken"));
        }
        if verify && self.refresh_token.is_none() {
            return Err(Failure::missing("refreshToken"));
        }
        let address = Address {
            app: AppId::parse(needed(self.app_id, "appId")?)?,
            owner: owner(level, self.tenant_id, self.user_id)?,
            account: account(self.external_identifier)?,
            scopes: scopes(self.scopes)?,
        };
        let credential = NewCredential::Uploaded(Upload {
            access_token: self.access_token,
            refresh_token: self.refresh_token,
            id_token: self.id_token,
            expires_at: end(self.access_token_expiry.as_ref())?,
            token_type: self.access_token_type,
            granted_by: self.granted_by,
        });
        Ok(NewToken::of(address, credential))
    }
}

/// When an access token ends: in seconds, as a number or a text, or as RFC 3339 text.
fn end(said: Option<&Value>) -> Result<Option<Timestamp>> {
    let wrong = || {
        let what = "`accessTokenExpiry` is a number of seconds since 1970, or a text of one";
        Failure::argument(what)
    };
    let seconds = match said {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => whole(number.as_f64()).ok_or_else(wrong)?,
        Some(Value::String(text)) if is_absent(text) => return Ok(None),
        Some(Value::String(text)) => match (text.parse(), Timestamp::parse(text)) {
            (Ok(seconds), _) => seconds,
            (Err(_), Some(at)) => return Ok(Some(at)),
            (Err(_), None) => return Err(wrong()),
        },
        Some(_) => return Err(wrong()),
    };
    // Later than any date is shown: milliseconds, taken for seconds.
    if seconds > Timestamp::MAX.unix_ms() / 1000 {
        return Err(wrong());
    }
    let at = Timestamp::default().plus(Duration::from_secs(seconds));
    Ok(Some(at).filter(|_| seconds > 0))
}

/// A number of seconds, less what is over.
fn whole(seconds: Option<f64>) -> Option<u64> {
    let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
    Some(seconds as u64)
}

/// Many tokens.
#[derive(Deserialize)]
pub struct Batch {
    #[serde(default)]
    tokens: Option<Vec<TokenUpload>>,
}

/// What a batch came to, before the vault sees it: what it is to store, or which items are at
/// fault by themselves, and how each item is named.
pub struct ReadBatch {
    names: Vec<Name>,
    /// What is to be stored; nothing where an item is at fault.
    pub tokens: Vec<NewToken>,
    wrong: Vec<(usize, String)>,
}

struct Name {
    app: String,
    owner: String,
}

impl Batch {
    /// Reads it as what the vault takes.
    ///
    /// # Errors
    /// A failure where there is no list at all.
    pub fn read(self, level: Level) -> Result<ReadBatch> {
        let items = needed(self.tokens, "tokens")?;
        let mut read = ReadBatch {
            names: Vec::with_capacity(items.len()),
            tokens: Vec::with_capacity(items.len()),
            wrong: Vec::new(),
        };
        for (place, item) in items.into_iter().enumerate() {
            let owner = match level {
                Level::User => &item.user_id,
                Level::Tenant => &item.tenant_id,
            };
            read.names.push(Name {
                app: item.app_id.clone().unwrap_or_default(),
                owner: owner.clone().unwrap_or_default(),
            });
            match item.into_token(level) {
                Ok(token) => read.tokens.push(token),
                Err(failure) => read.wrong.push((place, failure.into_message())),
            }
        }
        if !read.wrong.is_empty() {
            read.tokens.clear();
        }
        Ok(read)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailureShape<'a> {
    app_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<&'a str>,
    error_code: &'static str,
    reason: &'a str,
}

#[derive(Serialize)]
struct BatchShape<'a> {
    failures: Vec<FailureShape<'a>>,
}

impl ReadBatch {
    /// The answer: what was at fault, with what the vault refused. Nothing means that all is
    /// stored.
    pub fn answer(&self, level: Level, refused: Refusals) -> Answer {
        let told = |(place, error): (usize, crate::error::Error)| {
            (place, failure::in_their_words(&error.to_string()))
        };
        let refused: Vec<(usize, String)> = refused.into_iter().map(told).collect();
        let all = self.wrong.iter().chain(&refused);
        let failures = all.map(|(place, reason)| {
            let Name { app, owner } = &self.names[*place];
            FailureShape {
                app_id: app,
                user_id: (level == Level::User).then_some(owner),
                tenant_id: (level == Level::Tenant).then_some(owner),
                error_code: failure::BAD_ITEM,
                reason,
            }
        });
        ok(&BatchShape {
            failures: failures.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_end_is_read_as_number_and_text_and_never_in_milliseconds() {
        let at = Timestamp::from_unix_ms(1_741_107_113_000);
        for said in [
            json!(1_741_107_113),
            json!(1_741_107_113.5),
            json!("1741107113"),
            json!("2025-03-04T16:51:53Z"),
        ] {
            assert_eq!(end(Some(&said)).unwrap(), Some(at), "{said}");
        }
        for said in [
            json!(null),
            json!(0),
            json!("0"),
            json!(""),
            json!("undefined"),
        ] {
            assert_eq!(end(Some(&said)).unwrap(), None, "{said}");
        }
        for said in [
            json!(1_741_107_113_000_u64),
            json!(-1),
            json!(true),
            json!("soon"),
            json!([1]),
        ] {
            assert!(end(Some(&said)).is_err(), "{said}");
        }
    }
}
