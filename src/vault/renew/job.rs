//! A refresh that has begun: what its provider is asked with, and what becomes of the answer.
//!
//! It promises: as its parent.
//! It never: more than its parent.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::model::app::App;
use crate::model::blanks::Known;
use crate::model::dialect::{Renewal, Rotation};
use crate::model::plan::{self, Assumed};
use crate::model::remote::Client;
use crate::model::token::{Grant, Record};
use crate::model::{Address, TokenId};
use crate::secret::Secret;
use crate::vault::apps::AppSecrets;
use crate::vault::index::TokenKey;

/// A refresh that has begun.
pub struct RefreshJob {
    /// The record.
    pub id: TokenId,
    /// Its app, with the client secret.
    pub app: AppSecrets,
    /// What is about to be spent.
    pub refresh_token: Secret<String>,
    /// What is known of the connection: the app's variables, and what is kept beside the token.
    pub known: Known,
    /// An earlier attempt with this refresh token ended without an answer, or was cut short.
    pub uncertain: bool,
    /// Failed refreshes since the last success, for the length of the next wait.
    pub failures: u32,
    pub(super) place: TokenKey,
    pub(super) version: u64,
    pub(super) address: Address,
    pub(in crate::vault) obtained_at: Timestamp,
    pub(super) answered_at: Option<Timestamp>,
}

impl RefreshJob {
    /// True where what is about to be spent is of another authorization server than the one that
    /// would be asked.
    pub fn has_moved(&self) -> bool {
        let oauth = self.app.app.oauth();
        oauth.is_some_and(|oauth| oauth.has_moved_since(self.obtained_at))
    }

    /// The client that would ask, where it was registered after what is about to be spent was
    /// obtained: by another one then.
    pub fn later_client(&self) -> Option<&Client> {
        let client = self.app.app.oauth()?.remote.as_ref()?.client.as_ref()?;
        (self.obtained_at < client.registered_at).then_some(client)
    }

    /// Notes when the provider answered: what it granted lives from then on, whenever it is stored.
    #[must_use]
    pub fn answered(self, at: Timestamp) -> Self {
        Self {
            answered_at: Some(at),
            ..self
        }
    }

    /// True unless a refresh token is good for more than one use: then no lost answer loses it. An
    /// access token that was traded for a longer one lives on beside it.
    pub fn is_spent_by_use(&self) -> bool {
        let Some(oauth) = self.app.app.oauth() else {
            return true;
        };
        let lives = &oauth.dialect.lives;
        let is_traded = matches!(lives.renewal, Renewal::Exchange(_));
        !is_traded && lives.rotation != Rotation::None
    }

    /// True where this is the very version of the record that was refreshed.
    pub(in crate::vault) fn is_of(&self, place: &TokenKey, version: u64) -> bool {
        self.place == *place && self.version == version
    }

    /// Shows `record` as it will be when `grant` is stored; another version is left alone.
    pub(in crate::vault) fn lay_over(
        &self,
        place: &TokenKey,
        version: u64,
        grant: &Grant,
        record: &mut Record,
    ) {
        if let (true, Some(at)) = (self.is_of(place, version), self.answered_at) {
            plan::lay_over(record, grant, self.assumed(), at);
        }
    }

    pub(super) fn assumed(&self) -> Assumed {
        Assumed::from(&self.app.app)
    }
}

/// Before when a token that is traded for a longer one is too young to be.
pub(super) fn earliest(app: &App, record: &Record) -> Option<Timestamp> {
    match &app.oauth()?.dialect.lives.renewal {
        Renewal::Exchange(exchanges) => {
            let age = Duration::from_secs(exchanges.min_age_s);
            Some(record.obtained_at.plus(age))
        }
        Renewal::Refresh | Renewal::None => None,
    }
}
