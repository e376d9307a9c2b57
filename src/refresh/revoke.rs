//! Removing tokens, and revoking them at their provider (RFC 7009).
//!
//! It promises: a token is removed here first and regardless; then its provider is asked, whoever
//! still waits, and how that went is said and put on record.
//! It never: keeps a token because a provider does not answer.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Refresher, detached};
use crate::error::Result;
use crate::limits;
use crate::model::access::Caller;
use crate::model::token::TokenKind;
use crate::model::{AppId, TokenId};
use crate::provider::{Revocation, Tokens};
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

impl Tally {
    /// Adds what came of more.
    fn add(&mut self, more: Self) {
        self.deleted += more.deleted;
        self.revoked += more.revoked;
        self.not_supported += more.not_supported;
        self.failed += more.failed;
        self.nothing += more.nothing;
        self.more |= more.more;
    }
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
        let (this, caller) = (self.clone(), caller.clone());
        detached(async move {
            let doomed = this.vault().remove_token(&caller, id)?.await?;
            let end = Instant::now() + ALL_MAX;
            Ok(this.revoke_on_record(&caller, &doomed, end).await)
        })
        .await
    }

    /// Removes the tokens that fit, at most a page of them, and revokes them.
    ///
    /// # Errors
    /// [`crate::error::Error::Invalid`] for an empty filter.
    pub async fn remove_fitting(&self, caller: &Caller, filter: &Filter) -> Result<Tally> {
        let (this, caller, filter) = (self.clone(), caller.clone(), filter.clone());
        let end = Instant::now() + ALL_MAX;
        detached(async move { this.remove_page(&caller, &filter, end).await }).await
    }

    /// Removes all tokens that fit, a page at a time, and revokes them.
    ///
    /// # Errors
    /// [`crate::error::Error::Invalid`] for an empty filter.
    pub async fn remove_all_fitting(&self, caller: &Caller, filter: &Filter) -> Result<Tally> {
        let end = Instant::now() + ALL_MAX;
        let mut tally = Tally::default();
        loop {
            let (this, caller, filter) = (self.clone(), caller.clone(), filter.clone());
            let step = detached(async move { this.remove_page(&caller, &filter, end).await });
            let gone = step.await?;
            tally.add(Tally {
                more: false,
                ..gone
            });
            if !gone.more {
                return Ok(tally);
            }
        }
    }

    async fn remove_page(&self, caller: &Caller, filter: &Filter, end: Instant) -> Result<Tally> {
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
        let more = cursor.is_some();
        let tally = self.revoke_several(caller, doomed, end).await;
        Ok(Tally { more, ..tally })
    }

    /// Removes an app with its tokens, and revokes them: a page of both at one time. A caller that
    /// goes away in between leaves an app that takes no new tokens and can be removed again.
    ///
    /// # Errors
    /// [`crate::error::Error::NotFound`], [`crate::error::Error::Denied`].
    pub async fn remove_app(&self, caller: &Caller, id: &AppId) -> Result<Tally> {
        let end = Instant::now() + ALL_MAX;
        let mut tally = Tally::default();
        loop {
            let (this, caller, id) = (self.clone(), caller.clone(), id.clone());
            let step = detached(async move { this.remove_app_page(&caller, &id, end).await });
            let (gone, more) = step.await?;
            tally.add(gone);
            if !more {
                return Ok(tally);
            }
        }
    }

    async fn remove_app_page(
        &self,
        caller: &Caller,
        id: &AppId,
        end: Instant,
    ) -> Result<(Tally, bool)> {
        let step = self.vault().remove_app(caller, id)?.await?;
        let doomed = step
            .doomed
            .into_iter()
            .map(|doomed| (doomed, step.app.clone()))
            .collect();
        let tally = self.revoke_several(caller, doomed, end).await;
        Ok((tally, step.more))
    }

    async fn revoke_several(
        &self,
        caller: &Caller,
        doomed: Vec<(Doomed, AppSecrets)>,
        end: Instant,
    ) -> Tally {
        let mut tally = Tally {
            deleted: doomed.len(),
            ..Tally::default()
        };
        let mut waiting: VecDeque<_> = doomed.into();
        let mut asked = JoinSet::new();
        loop {
            while asked.len() < AT_ONCE
                && let Some(doomed) = waiting.pop_front()
            {
                let (this, caller) = (self.clone(), caller.clone());
                asked.spawn(async move { this.revoke_on_record(&caller, &doomed, end).await });
            }
            match asked.join_next().await {
                None => break,
                Some(Ok(Revoked::Yes)) => tally.revoked += 1,
                Some(Ok(Revoked::NotSupported)) => tally.not_supported += 1,
                Some(Ok(Revoked::Nothing)) => tally.nothing += 1,
                Some(Ok(Revoked::Failed(_)) | Err(_)) => tally.failed += 1,
            }
        }
        tally
    }

    /// Revokes, at the latest by `end`, and puts on record how that went, whoever still waits. The
    /// removal is on record and durable by now: that a vault was locked meanwhile, or its trail
    /// cannot be written, makes nothing undone of it, and is logged.
    async fn revoke_on_record(
        &self,
        caller: &Caller,
        (doomed, app): &(Doomed, AppSecrets),
        end: Instant,
    ) -> Revoked {
        let outcome = match tokio::time::timeout_at(end, self.revoke(doomed, app)).await {
            Ok(outcome) => outcome,
            Err(_) => Revoked::Failed("the provider did not answer in time".into()),
        };
        let said = outcome.as_str();
        let recorded = self
            .vault()
            .record_revocation(caller, &doomed.summary, said);
        if let Err(error) = recorded {
            let token = doomed.summary.id;
            tracing::error!(%error, %token, said, "how a revocation went is not on record");
        }
        outcome
    }

    /// Asks the provider to forget a token.
    async fn revoke(&self, doomed: &Doomed, app: &AppSecrets) -> Revoked {
        let known = app.app.known_of(&doomed.summary.metadata);
        let oauth = match app.app.oauth_of(&known) {
            Ok(Some(oauth)) if doomed.summary.kind == TokenKind::OAuth => oauth,
            Ok(_) => return Revoked::Nothing,
            Err(error) => return Revoked::Failed(error.to_string()),
        };
        if oauth.has_moved_since(doomed.obtained_at) {
            // What is of another authorization server is not shown to this one.
            return Revoked::NotSupported;
        }
        let tokens = Tokens {
            access_token: doomed.access_token.as_ref(),
            refresh_token: doomed.refresh_token.as_ref(),
            known: &known,
        };
        let secret = app.client_secret.as_ref();
        match self.provider().revoke_grant(&oauth, secret, tokens).await {
            Ok(Some(Revocation::Done)) => Revoked::Yes,
            Ok(Some(Revocation::Unsupported)) => Revoked::NotSupported,
            Ok(None) => Revoked::Nothing,
            Err(failure) => Revoked::Failed(failure.code),
        }
    }
}

const _: () = assert!(ALL_MAX.as_secs() < limits::REQUEST_TIMEOUT.as_secs());
