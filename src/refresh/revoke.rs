//! Removing tokens, and revoking them at their provider (RFC 7009).
//!
//! It promises: a token is removed here first and regardless; then its provider is asked, and how
//! that went is said and put on record.
//! It never: keeps a token because a provider does not answer.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Refresher;
use crate::error::Result;
use crate::limits;
use crate::model::access::Caller;
use crate::model::token::TokenKind;
use crate::model::{AppId, TokenId};
use crate::provider::{Revocation, TokenHint};
use crate::vault::{AppSecrets, Doomed, Filter};

/// How revoking one token at its provider went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Revoked {
    /// The provider says it is gone.
    Yes,
    /// The app names no revocation endpoint.
    NotSupported,
    /// It was asked, and this came of it.
    Failed(String),
    /// An API key, or nothing that could be revoked.
    Nothing,
}

impl Revoked {
    /// The word on the wire and in the audit trail.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Yes => "revoked",
            Self::NotSupported => "not_supported",
            Self::Failed(_) => "failed",
            Self::Nothing => "nothing_to_revoke",
        }
    }
}

/// How revoking several went.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Tokens removed here.
    pub deleted: usize,
    /// Gone at the provider.
    pub revoked: usize,
    /// The app names no revocation endpoint.
    pub not_supported: usize,
    /// Asked in vain, or not within the time.
    pub failed: usize,
    /// Nothing to revoke.
    pub nothing: usize,
    /// There are more tokens that fit: ask again.
    pub more: bool,
}

/// Revocations at one time, of one request.
const AT_ONCE: usize = 8;
/// The time one request's revocations may take.
const ALL_MAX: Duration = Duration::from_secs(45);

impl Refresher {
    /// Removes a token and revokes it.
    ///
    /// # Errors
    /// [`crate::error::Error::NotFound`] where it is not there or not the caller's.
    pub async fn remove(&self, caller: &Caller, id: TokenId) -> Result<Revoked> {
        let (doomed, app) = self.vault().remove_token(caller, id)?.await?;
        let outcome = self.revoke(&doomed, &app).await;
        self.vault()
            .record_revocation(caller, &doomed.summary, outcome.as_str())?;
        Ok(outcome)
    }

    /// Removes the tokens that fit, at most a page of them, and revokes them.
    ///
    /// # Errors
    /// [`crate::error::Error::Invalid`] for an empty filter.
    pub async fn remove_fitting(&self, caller: &Caller, filter: &Filter) -> Result<Tally> {
        let mut cursor: Option<String> = None;
        let doomed = loop {
            let from = cursor.as_deref();
            let (doomed, next) = self.vault().remove_tokens(caller, filter, from).await?;
            cursor = next;
            // Where none was found so far the search goes on: asked again, it would begin anew.
            if !doomed.is_empty() || cursor.is_none() {
                break doomed;
            }
        };
        Ok(Tally {
            more: cursor.is_some(),
            ..self.revoke_all(caller, doomed).await?
        })
    }

    /// Removes an app with its tokens, and revokes them.
    ///
    /// # Errors
    /// [`crate::error::Error::NotFound`], [`crate::error::Error::Denied`].
    pub async fn remove_app(&self, caller: &Caller, id: &AppId) -> Result<Tally> {
        let (app, doomed) = self.vault().remove_app(caller, id)?.await?;
        let doomed = doomed
            .into_iter()
            .map(|doomed| (doomed, app.clone()))
            .collect();
        self.revoke_all(caller, doomed).await
    }

    async fn revoke_all(
        &self,
        caller: &Caller,
        doomed: Vec<(Doomed, AppSecrets)>,
    ) -> Result<Tally> {
        let mut tally = Tally {
            deleted: doomed.len(),
            ..Tally::default()
        };
        let mut waiting: VecDeque<_> = doomed.into();
        let mut asked = JoinSet::new();
        let mut end = pin!(tokio::time::sleep(ALL_MAX));
        loop {
            while asked.len() < AT_ONCE
                && let Some((doomed, app)) = waiting.pop_front()
            {
                let this = self.clone();
                asked.spawn(async move {
                    let outcome = this.revoke(&doomed, &app).await;
                    (doomed, outcome)
                });
            }
            let next = tokio::select! {
                next = asked.join_next() => next,
                () = &mut end => None,
            };
            let Some(next) = next else { break };
            let Ok((doomed, outcome)) = next else {
                continue;
            };
            self.vault()
                .record_revocation(caller, &doomed.summary, outcome.as_str())?;
            match outcome {
                Revoked::Yes => tally.revoked += 1,
                Revoked::NotSupported => tally.not_supported += 1,
                Revoked::Nothing => tally.nothing += 1,
                // Counted below, with those that were not asked in time.
                Revoked::Failed(_) => {}
            }
        }
        tally.failed = tally.deleted - tally.revoked - tally.not_supported - tally.nothing;
        Ok(tally)
    }

    /// Asks the provider to forget a token: by its refresh token where there is one, since most
    /// servers end the whole grant with it (RFC 7009 2.1), and by its access token as well.
    async fn revoke(&self, doomed: &Doomed, app: &AppSecrets) -> Revoked {
        let Some(oauth) = app
            .app
            .oauth()
            .filter(|_| doomed.summary.kind == TokenKind::OAuth)
        else {
            return Revoked::Nothing;
        };
        let tokens = [
            (doomed.refresh_token.as_ref(), TokenHint::RefreshToken),
            (doomed.access_token.as_ref(), TokenHint::AccessToken),
        ];
        let mut outcome = Revoked::Nothing;
        for (token, hint) in tokens {
            let Some(token) = token else { continue };
            let secret = app.client_secret.as_ref();
            outcome = match self.provider().revoke(oauth, secret, token, hint).await {
                Ok(Revocation::Done) => Revoked::Yes,
                Ok(Revocation::Unsupported) => return Revoked::NotSupported,
                Err(failure) => return Revoked::Failed(failure.code),
            };
        }
        outcome
    }
}

const _: () = assert!(ALL_MAX.as_secs() < limits::REQUEST_TIMEOUT.as_secs());
