//! What is kept of a service beside its credential: whose account it is, and what calls need.
//!
//! It promises: what is shown in lists is no secret; a secret that came along is a [`Secret`].
//! It never: decides what is kept (a dialect says so).

use std::collections::BTreeMap;

use super::Name;
use super::blanks::Known;
use super::token::Grant;
use crate::clock::Timestamp;
use crate::limits;
use crate::secret::Secret;

/// What is kept beside a credential.
#[derive(Clone, Default)]
pub struct Beside {
    /// What people know the account by, such as an e-mail address.
    pub label: Option<String>,
    /// What calls need to know (`instance_url`, `realmId`), and is no secret.
    pub metadata: Known,
    /// What calls need to know, and is one: the further fields of a key, a webhook's URL.
    pub secrets: BTreeMap<Name, Secret<String>>,
    /// When the refresh token ends, where that is known.
    pub refresh_token_ends_at: Option<Timestamp>,
    /// The refresh token's end is put off by using it.
    pub is_kept_alive_by_use: bool,
    /// It came along with another token, and is found only where its account is named.
    pub is_second: bool,
    /// Whose account was connected before, where somebody else connected last.
    pub switched_from: Option<String>,
}

/// What a grant brings beside its tokens.
#[derive(Clone, Default)]
pub struct Brought {
    /// As [`Beside::label`].
    pub label: Option<String>,
    /// As [`Beside::metadata`].
    pub metadata: Known,
    /// As [`Beside::secrets`].
    pub secrets: BTreeMap<Name, Secret<String>>,
    /// How long the refresh token lives, in seconds, where the answer says so.
    pub refresh_token_lifetime_s: Option<u64>,
    /// Further tokens of the same consent.
    pub second: Vec<SecondGrant>,
}

/// A further token of the same consent.
#[derive(Clone)]
pub struct SecondGrant {
    /// What tells it from the first; a part of its account's name.
    pub slot: Name,
    /// What was granted.
    pub grant: Grant,
}

impl Beside {
    /// When the refresh token ends, where no use of it puts that off and it is near.
    pub fn reconnect_by(&self, now: Timestamp) -> Option<Timestamp> {
        let end = self.refresh_token_ends_at?;
        let is_near = end <= now.plus(limits::REFRESH_TOKEN_WARNING);
        (!self.is_kept_alive_by_use && is_near).then_some(end)
    }

    /// Lays what a grant brought over what is kept; what it leaves out stays.
    pub fn take(&mut self, brought: &Brought) {
        if brought.label.is_some() {
            self.label.clone_from(&brought.label);
        }
        self.metadata.extend(brought.metadata.clone());
        self.secrets.extend(brought.secrets.clone());
    }
}
