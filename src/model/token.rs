//! A token: one sealed record, its state, and what a fetch may answer.
//!
//! It promises: a summary holds no secret; [`Record::is_fresh`] is the one rule for "still valid".
//! It never: decides when to refresh (that is `refresh/plan`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::beside::{Beside, Brought};
use super::blanks::Known;
use super::{Account, Address, AppId, Scopes, TenantId, TokenId, UserId};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// What kind of credential a record holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// An access token, mostly with a refresh token in the cold part.
    #[serde(rename = "oauth")]
    OAuth,
    /// A static key.
    ApiKey,
}

/// Whether a record's credential can be used or renewed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// In use.
    Active,
    /// Only the owner can mend it, by connecting again.
    ReconnectRequired(ReconnectReason),
}

/// Why the owner must connect again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReconnectReason {
    /// The provider says the grant is gone.
    Revoked,
    /// The access token ended and there is no refresh token.
    Expired,
    /// A refresh was cut short after the provider may have rotated: not the user's doing.
    InterruptedRefresh,
    /// What is stored does not cover the scopes asked for.
    ScopeMissing,
    /// The service refused the API key.
    KeyRejected,
}

impl ReconnectReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::InterruptedRefresh => "interrupted_refresh",
            Self::ScopeMissing => "scope_missing",
            Self::KeyRejected => "key_rejected",
        }
    }
}

/// The last refresh that failed, in words safe to show.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RefreshError {
    /// The provider's code, filtered, or ours.
    pub code: String,
    /// A short description, filtered.
    pub description: String,
    /// When it failed.
    pub at: Timestamp,
}

/// The hot part of a token: what a fetch answers, and what a list shows.
#[derive(Clone)]
pub struct Record {
    /// Names the record; kept when its owner connects again.
    pub id: TokenId,
    /// What finds it.
    pub address: Address,
    /// OAuth or API key.
    pub kind: TokenKind,
    /// The access token or API key. `None` where only a refresh token was uploaded.
    pub value: Option<Secret<String>>,
    /// As the provider said it, `Bearer` where it said nothing; `api_key` for keys.
    pub token_type: String,
    /// When the access token ends; `None` where it does not.
    pub expires_at: Option<Timestamp>,
    /// The last lifetime known, in seconds: taken again where a refresh answer names none.
    pub lifetime_s: Option<u64>,
    /// The scopes granted.
    pub granted: Scopes,
    /// The user's name on the provider's side, where known.
    pub subject: Option<String>,
    /// Whether the cold part holds a refresh token.
    pub has_refresh_token: bool,
    /// Whether it can be used.
    pub state: TokenState,
    /// When it was first stored.
    pub created_at: Timestamp,
    /// When its access token was obtained, by whatever way.
    pub obtained_at: Timestamp,
    /// When a refresh last succeeded.
    pub last_refreshed_at: Option<Timestamp>,
    /// The last failed refresh since the last success.
    pub last_refresh_error: Option<RefreshError>,
    /// Failed refreshes since the last success.
    pub failures: u32,
    /// No refresh before this moment (back-off, `Retry-After`).
    pub not_before: Option<Timestamp>,
    /// Who stored or connected it.
    pub granted_by: String,
    /// What is kept of its service beside it.
    pub beside: Beside,
}

impl Record {
    /// True where the credential can be handed out now and is valid for at least `min_ttl` more.
    pub fn is_fresh(&self, now: Timestamp, min_ttl: Duration) -> bool {
        self.state == TokenState::Active
            && self.value.is_some()
            && self.expires_at.is_none_or(|end| end > now.plus(min_ttl))
    }

    /// What lists show.
    pub fn summary(&self) -> Summary {
        Summary {
            id: self.id,
            app: self.address.app.clone(),
            user: self.address.owner.user().cloned(),
            tenant: self.address.owner.tenant().cloned(),
            account: self.address.account.clone(),
            scopes: self.granted.clone(),
            requested_scopes: self.address.scopes.clone(),
            kind: self.kind,
            token_type: self.token_type.clone(),
            subject: self.subject.clone(),
            expires_at: self.expires_at,
            has_refresh_token: self.has_refresh_token,
            last_refreshed_at: self.last_refreshed_at,
            last_refresh_error: self.last_refresh_error.clone(),
            state: self.state,
            created_at: self.created_at,
            granted_by: self.granted_by.clone(),
            label: self.beside.label.clone(),
            metadata: self.beside.metadata.clone(),
            refresh_token_ends_at: self.beside.refresh_token_ends_at,
            switched_from: self.beside.switched_from.clone(),
        }
    }
}

/// The cold part of a token: never opened by a plain fetch.
#[derive(Clone, Default)]
pub struct Cold {
    /// What buys the next access token.
    pub refresh_token: Option<Secret<String>>,
    /// The last id token, as it came.
    pub id_token: Option<Secret<String>>,
    /// What happened to the record, newest last.
    pub history: Vec<HistoryEntry>,
}

/// One line of a token's history.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// What: `connected`, `uploaded`, `refreshed`, `refresh_failed: code`.
    pub what: String,
    /// By whom.
    pub by: String,
}

/// What lists show of a token: no secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Summary {
    /// The record's id.
    pub id: TokenId,
    /// The app it is for.
    pub app: AppId,
    /// The owner's user.
    pub user: Option<UserId>,
    /// The owner's tenant.
    pub tenant: Option<TenantId>,
    /// Which of the owner's accounts.
    pub account: Option<Account>,
    /// The scopes granted.
    pub scopes: Scopes,
    /// The scopes asked for.
    pub requested_scopes: Scopes,
    /// OAuth or API key.
    pub kind: TokenKind,
    /// As the provider said it.
    pub token_type: String,
    /// The user's name on the provider's side.
    pub subject: Option<String>,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// Whether a refresh token is stored.
    pub has_refresh_token: bool,
    /// When a refresh last succeeded.
    pub last_refreshed_at: Option<Timestamp>,
    /// The last failed refresh since the last success.
    pub last_refresh_error: Option<RefreshError>,
    /// Whether it can be used.
    pub state: TokenState,
    /// When it was first stored.
    pub created_at: Timestamp,
    /// Who stored or connected it.
    pub granted_by: String,
    /// What people know its account by.
    pub label: Option<String>,
    /// What calls need to know of the account.
    pub metadata: Known,
    /// When the refresh token ends, where that is known.
    pub refresh_token_ends_at: Option<Timestamp>,
    /// Whose account was connected before, where somebody else connected last.
    pub switched_from: Option<String>,
}

impl Summary {
    /// Scopes asked for and not granted. Keys have none to speak of.
    pub fn missing_scopes(&self) -> Scopes {
        match self.kind {
            TokenKind::OAuth => self.requested_scopes.without(&self.scopes),
            TokenKind::ApiKey => Scopes::default(),
        }
    }
}

/// What a provider granted: the outcome of a code exchange or a refresh, normalised.
#[derive(Clone)]
pub struct Grant {
    /// The new access token.
    pub access_token: Secret<String>,
    /// As the provider said it; `Bearer` where it said nothing.
    pub token_type: String,
    /// The new refresh token. `None` means: keep the old one.
    pub refresh_token: Option<Secret<String>>,
    /// The id token, where there is one.
    pub id_token: Option<Secret<String>>,
    /// Lifetime in seconds; `None` where the answer named none that makes sense.
    pub expires_in_s: Option<u64>,
    /// Scopes granted; `None` where the answer named none (RFC 6749 5.1: as asked).
    pub scopes: Option<Scopes>,
    /// What names the account at the provider for good: `sub` of an id token, or what its own
    /// answer says.
    pub subject: Option<String>,
    /// What came beside the tokens.
    pub brought: Box<Brought>,
}
