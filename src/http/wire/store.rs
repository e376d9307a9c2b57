//! The shape of a token that is stored: `PUT /v1/tokens`.
//!
//! It promises: what does not go together is refused by name, before anybody is asked.
//! It never: shows what it read.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{secret, text};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::model::beside::Beside;
use crate::model::blanks::Known;
use crate::model::{Account, Address, AppId, Name, Owner, Scopes, TenantId, UserId};
use crate::secret::Secret;
use crate::vault::{NewCredential, NewToken, Upload};

/// `PUT /v1/tokens`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreRequest {
    app: AppId,
    #[serde(default, deserialize_with = "text")]
    user: Option<UserId>,
    #[serde(default, deserialize_with = "text")]
    tenant: Option<TenantId>,
    #[serde(default, deserialize_with = "text")]
    account: Option<Account>,
    #[serde(default)]
    scopes: Option<Scopes>,
    #[serde(default, deserialize_with = "secret")]
    api_key: Option<Secret<String>>,
    #[serde(default, deserialize_with = "secret")]
    access_token: Option<Secret<String>>,
    #[serde(default, deserialize_with = "secret")]
    refresh_token: Option<Secret<String>>,
    #[serde(default, deserialize_with = "secret")]
    id_token: Option<Secret<String>>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    granted_by: Option<String>,
    /// What calls need to know besides, and is no secret: `instance_url`, a field of a key.
    #[serde(default)]
    metadata: Known,
    /// What calls need to know besides: the further secrets of a key.
    #[serde(default)]
    secrets: BTreeMap<Name, String>,
    /// What names the account at the service for good.
    #[serde(default)]
    subject: Option<String>,
    /// What people know the account by.
    #[serde(default)]
    label: Option<String>,
    /// Refresh it at once, and keep it only if that is not refused.
    #[serde(default)]
    pub verify_refresh: bool,
    /// Store it only where nothing is stored there yet.
    #[serde(default)]
    pub if_absent: bool,
}

impl StoreRequest {
    /// Reads it as what the vault takes.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn into_token(self) -> Result<NewToken> {
        self.check()?;
        let credential = match self.api_key {
            Some(key) => NewCredential::ApiKey(key),
            None => NewCredential::Uploaded(Upload {
                access_token: self.access_token,
                refresh_token: self.refresh_token,
                id_token: self.id_token,
                expires_at: self.expires_at,
                token_type: self.token_type,
                granted_by: self.granted_by,
            }),
        };
        let address = Address {
            app: self.app,
            owner: Owner::new(self.tenant, self.user)?,
            account: self.account,
            scopes: self.scopes.unwrap_or_default(),
        };
        let secrets = self.secrets.into_iter();
        Ok(NewToken {
            subject: self.subject,
            beside: Beside {
                label: self.label,
                metadata: self.metadata,
                secrets: secrets
                    .map(|(name, text)| (name, Secret::new(text)))
                    .collect(),
                ..Beside::default()
            },
            ..NewToken::of(address, credential)
        })
    }

    /// Refuses what does not go together.
    fn check(&self) -> Result<()> {
        let has_token = self.access_token.is_some() || self.refresh_token.is_some();
        let is_of_token = self.verify_refresh
            || self.expires_at.is_some()
            || self.id_token.is_some()
            || self.token_type.is_some()
            || self.granted_by.is_some();
        let what = match (&self.api_key, has_token) {
            (Some(_), true) => "give either `api_key` or OAuth tokens, not both",
            (Some(_), false) if is_of_token => {
                "an `api_key` takes none of `verify_refresh`, `expires_at`, `id_token`, \
                 `token_type` and `granted_by`"
            }
            (None, false) => "give `api_key`, or `access_token` or `refresh_token` or both",
            (None, true) if self.verify_refresh && self.refresh_token.is_none() => {
                "`verify_refresh` needs a `refresh_token`"
            }
            // A trial spends the refresh token, before anybody could say that there is one already.
            _ if self.if_absent && self.verify_refresh => {
                "give either `if_absent` or `verify_refresh`, not both"
            }
            _ => return Ok(()),
        };
        Err(Error::invalid(what))
    }
}
