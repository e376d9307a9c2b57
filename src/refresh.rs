//! A token stays fresh: on demand, and on schedule.
//!
//! ```text
//!                    due, or asked for and stale
//!   stored (fresh) -----------------------------> [intent committed] ----> sent
//!      ^   ^                                            |                    |
//!      |   |                                       not stored:               | answer
//!      |   |                                       not sent                  v
//!      |   +----- later: back-off, Retry-After <---- no grant, not refused --+
//!      |                                                                     |
//!      +---- one commit: new token, intent cleared <------------- granted ---+
//!      |                         | commit fails                              |
//!      |                         v                                           |
//!      +---- retried <--- unstored: kept, served                             |
//!                                                                            |
//!   dead: revoked <-------------------------------------- refused -----------+
//!   dead: interrupted refresh <--- refused after an answer was lost, or after a crash
//! ```
//! begin: `Vault::begin_refresh`; sent: `ask_provider`; sorted: `plan::verdict`;
//! end: `Vault::finish_refresh`; unstored: `store_unstored`; after a crash:
//! `recover`.
//!
//! It promises: R1 to R3 (`flight`), R8 (`unstored`), and
//! * R4 the provider is called only after the intent is durable (V7), and anybody is answered only
//!   after the new token is;
//! * R5 an answer that was lost is asked for once more with the same refresh token, at once, inside
//!   a provider's grace; a crash's likewise, at start;
//! * R6 a valid token is served while its provider is down;
//! * R7 a forced refresh that names the token it saw rejected gets the stored one if that is newer.
//!
//! It never: sends a scope, marks a token dead but for a refusal of its grant, or reaches a record
//! otherwise than by the vault.

mod flight;
pub mod plan;
mod revoke;
mod schedule;
mod unstored;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

pub use self::flight::Landing;
pub use self::revoke::{Revoked, Tally};

use self::flight::{Flights, Ticket};
use self::plan::Circumstances;
use self::unstored::{Unstored, Waiting};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::TokenId;
use crate::model::access::Caller;
use crate::model::plan::Verdict;
use crate::model::token::{Grant, ReconnectReason, Summary};
use crate::provider::Provider;
use crate::provider::classify::{Failure, FailureKind};
use crate::secret::{Secret, chance};
use crate::vault::{Ask, Begin, Finish, Found, Handed, NewToken, RefreshAsk, RefreshJob, Vault};

/// Keeps tokens fresh. Cheap to clone; there is one for the whole process.
#[derive(Clone)]
pub struct Refresher(Arc<Inner>);

struct Inner {
    vault: Vault,
    provider: Provider,
    flights: Flights,
    unstored: Unstored,
    seats: Semaphore,
    /// Told when something may have fallen due earlier than the scheduler knows.
    notice: Notify,
    ending: AtomicBool,
}

/// What a caller asks for.
pub struct TokenAsk {
    /// What is to be handed out.
    pub ask: Ask,
    /// Refresh, even where the stored token is valid.
    pub force: bool,
    /// The access token that was seen rejected: a newer one that is stored will do.
    pub rejected: Option<Secret<String>>,
}

/// The answer to "give me a token", as far as the vault and the provider go.
pub enum Outcome {
    /// Here it is; on record.
    Ok(Box<Handed>),
    /// Nothing is stored.
    Missing,
    /// Its owner must connect again.
    Reconnect(ReconnectReason),
    /// The provider does not answer, and nothing valid is left.
    Unavailable {
        /// When to ask again.
        retry_after: Duration,
        /// What happened, in words safe to show.
        message: String,
    },
}

impl Refresher {
    /// A refresher for `vault` that asks by `provider`.
    pub fn new(vault: Vault, provider: Provider) -> Self {
        Self(Arc::new(Inner {
            vault,
            provider,
            flights: Flights::default(),
            unstored: Unstored::default(),
            seats: Semaphore::new(limits::REFRESHES_MAX),
            notice: Notify::new(),
            ending: AtomicBool::new(false),
        }))
    }

    fn vault(&self) -> &Vault {
        &self.0.vault
    }

    fn provider(&self) -> &Provider {
        &self.0.provider
    }

    fn clock(&self) -> &Clock {
        self.0.vault.clock()
    }

    /// Hands out a token, refreshed first where that is needed.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Locked`], [`Error::AuditUnavailable`], [`Error::Damaged`].
    pub async fn token(&self, caller: &Caller, wanted: &TokenAsk) -> Result<Outcome> {
        let first = self.fetch(caller, &wanted.ask)?;
        let id = match first {
            Found::Fresh(handed) if !self.is_to_be_forced(wanted, &handed) => {
                return Ok(Outcome::Ok(handed));
            }
            Found::Fresh(handed) => handed.id,
            Found::Stale(id) => id,
            Found::Reconnect(_, reason) => return Ok(Outcome::Reconnect(reason)),
            Found::Missing => return Ok(Outcome::Missing),
        };
        let rejected = wanted.rejected.clone().filter(|_| wanted.force);
        let landing = self.refresh(id, rejected).landing().await;
        let rejects = wanted.rejected.as_ref().filter(|_| wanted.force);
        self.after(caller, &wanted.ask, landing, rejects)
    }

    /// What there is to hand out after a flight.
    fn after(
        &self,
        caller: &Caller,
        ask: &Ask,
        landing: Landing,
        rejected: Option<&Secret<String>>,
    ) -> Result<Outcome> {
        let (retry_after, message) = match landing {
            Landing::Renewed | Landing::Unstored | Landing::Hopeless | Landing::Dead(_) => (
                limits::BACKOFF_FIRST,
                "the refreshed token does not last as long as asked".into(),
            ),
            Landing::Later(wait, why) => (wait, why),
            Landing::Failed(error @ (Error::Storage(_) | Error::OutcomeUnknown(_))) => {
                (limits::BACKOFF_FIRST, error.to_string())
            }
            Landing::Failed(error) => return Err(error),
        };
        // R6: whatever is still valid serves, however short its life.
        let ask = Ask {
            min_ttl: Duration::ZERO,
            ..ask.clone()
        };
        match self.fetch(caller, &ask)? {
            Found::Fresh(handed) if rejected.is_none_or(|seen| !is_same(seen, &handed)) => {
                Ok(Outcome::Ok(handed))
            }
            Found::Fresh(_) | Found::Stale(_) => {
                self.vault().record_fetch(caller, &ask, "unavailable")?;
                Ok(Outcome::Unavailable {
                    retry_after,
                    message,
                })
            }
            Found::Reconnect(_, reason) => Ok(Outcome::Reconnect(reason)),
            Found::Missing => Ok(Outcome::Missing),
        }
    }

    fn fetch(&self, caller: &Caller, ask: &Ask) -> Result<Found> {
        let found = self.vault().fetch(caller, ask)?;
        let (Found::Stale(id) | Found::Reconnect(id, _)) = found else {
            return Ok(found);
        };
        match self.0.unstored.of(id) {
            Some(waiting) => self
                .vault()
                .fetch_over(caller, ask, Some((id, &waiting.grant))),
            None => Ok(found),
        }
    }

    /// R7, and a debounce: a forced refresh right after a refresh is answered with what that
    /// brought. Keys and tokens without a refresh token are as fresh as they will ever be.
    fn is_to_be_forced(&self, wanted: &TokenAsk, handed: &Handed) -> bool {
        if !wanted.force || handed.kind == crate::model::token::TokenKind::ApiKey {
            return false;
        }
        match &wanted.rejected {
            Some(rejected) => is_same(rejected, handed),
            None => {
                let age = self.clock().now().since(handed.obtained_at);
                age >= limits::FORCED_REFRESH_EVERY
            }
        }
    }

    /// Refreshes one token because a person asks for it.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub async fn refresh_now(&self, caller: &Caller, id: TokenId) -> Result<(Landing, Summary)> {
        self.vault().token_to_refresh(caller, id)?;
        let landing = self.refresh(id, None).landing().await;
        Ok((landing, self.vault().token_to_refresh(caller, id)?))
    }

    /// Stores a token, tries to refresh it where asked to, and tells the scheduler. One whose
    /// refresh token is refused in that trial is not kept.
    ///
    /// # Errors
    /// Those of [`Vault::store_token`]; [`Error::ProviderRefused`] where the trial fails for good.
    pub async fn store(&self, caller: &Caller, new: NewToken, verify: bool) -> Result<Summary> {
        let summary = self.vault().store_token(caller, new)?.await?;
        self.notice();
        if !verify {
            return Ok(summary);
        }
        match self.refresh(summary.id, None).landing().await {
            Landing::Dead(reason) => {
                let (_, _) = self
                    .vault()
                    .remove_token(&Caller::local(), summary.id)?
                    .await?;
                Err(Error::ProviderRefused {
                    code: reason.as_str().into(),
                    description: "the refresh token was tried and refused; it was not kept".into(),
                })
            }
            Landing::Failed(error) => Err(error),
            _ => self.vault().token(&Caller::local(), summary.id),
        }
    }

    /// Tells the scheduler that something may be due earlier than it knows.
    pub fn notice(&self) {
        self.0.notice.notify_one();
    }

    fn refresh(&self, id: TokenId, rejected: Option<Secret<String>>) -> Ticket {
        let this = self.clone();
        self.0.flights.join(
            id,
            async move { this.fly(RefreshAsk { id, rejected }).await },
        )
    }

    async fn fly(&self, ask: RefreshAsk) -> Landing {
        if self.0.ending.load(Ordering::Acquire) {
            return Landing::Failed(Error::ShuttingDown);
        }
        if self.vault().is_refresh_paused() {
            let why = "refreshing is paused: this vault was copied from another host";
            return Landing::Later(limits::BACKOFF_MAX, why.into());
        }
        if let Some(waiting) = self.0.unstored.of(ask.id) {
            // R8: no further refresh until the last one's result is stored.
            return self.try_to_store(&waiting).await;
        }
        let _seat = self
            .0
            .seats
            .acquire()
            .await
            .expect("the seats are never closed");
        let begun = match self.vault().begin_refresh(&Caller::scheduler(), ask) {
            Ok(receipt) => receipt.await,
            Err(error) => Err(error),
        };
        match begun {
            Ok(Begin::Go(job)) => self.go(*job).await,
            Ok(Begin::Newer) => Landing::Renewed,
            Ok(Begin::Hopeless) => Landing::Hopeless,
            Ok(Begin::Wait(until)) => {
                let wait = until.since(self.clock().now());
                Landing::Later(
                    wait,
                    "the last refresh failed; the next attempt is not due yet".into(),
                )
            }
            Err(error) => Landing::Failed(error),
        }
    }

    /// From a durable intent to a stored outcome.
    async fn go(&self, job: RefreshJob) -> Landing {
        let (answer, unanswered) = self.ask_provider(&job).await;
        let known = Circumstances {
            now: self.clock().now(),
            uncertain: job.uncertain || unanswered,
            failures: job.failures,
            jitter: chance(),
        };
        let (verdict, landing) = match answer {
            Ok(grant) => return self.keep(job, grant).await,
            Err(failure) => {
                let why = failure_in_words(&failure);
                let verdict = plan::verdict(failure, known);
                let landing = match &verdict {
                    Verdict::Dead(reason, _) => Landing::Dead(*reason),
                    Verdict::Later { not_before, .. } => {
                        Landing::Later(not_before.since(known.now), why)
                    }
                    Verdict::Renewed(_) => Landing::Renewed,
                };
                (verdict, landing)
            }
        };
        match self.finish(&job, verdict).await {
            Ok(Finish::Stored) => landing,
            // Someone else won meanwhile: what they stored is what there is.
            Ok(Finish::Superseded) => Landing::Renewed,
            Err(error) => Landing::Failed(error),
        }
    }

    /// Sends the refresh; once more where the answer was lost (R5). Says whether one was.
    async fn ask_provider(&self, job: &RefreshJob) -> (std::result::Result<Grant, Failure>, bool) {
        let Some(oauth) = job.app.app.oauth() else {
            let failure = Failure::ours(
                FailureKind::ClientRefused,
                "settings",
                "not an OAuth app any more",
            );
            return (Err(failure), false);
        };
        let secret = job.app.client_secret.as_ref();
        let first = self
            .provider()
            .refresh(oauth, secret, &job.refresh_token)
            .await;
        match first {
            Err(failure) if failure.kind == FailureKind::AnswerLost => (
                self.provider()
                    .refresh(oauth, secret, &job.refresh_token)
                    .await,
                true,
            ),
            other => (other, false),
        }
    }

    /// Stores what the provider granted; keeps it in memory where the disk refuses.
    async fn keep(&self, job: RefreshJob, grant: Grant) -> Landing {
        match self.finish(&job, Verdict::Renewed(grant.clone())).await {
            Ok(Finish::Stored) => Landing::Renewed,
            Ok(Finish::Superseded) => {
                self.revoke_orphan(&job, &grant).await;
                Landing::Renewed
            }
            Err(error) => {
                tracing::error!(%error, token = %job.id, "a refreshed token could not be stored; it is kept in memory");
                self.0.unstored.keep(Waiting { job, grant });
                self.notice();
                Landing::Unstored
            }
        }
    }

    async fn finish(&self, job: &RefreshJob, verdict: Verdict) -> Result<Finish> {
        self.vault()
            .finish_refresh(&Caller::scheduler(), job, verdict)?
            .await
    }

    /// The token was removed while it was being refreshed: what came back is nobody's, and is
    /// taken back at the provider.
    async fn revoke_orphan(&self, job: &RefreshJob, grant: &Grant) {
        let gone = self
            .vault()
            .is_gone(&Caller::scheduler(), job)
            .unwrap_or(false);
        if let (true, Some(oauth)) = (gone, job.app.app.oauth()) {
            let token = grant.refresh_token.as_ref().unwrap_or(&grant.access_token);
            let hint = match grant.refresh_token {
                Some(_) => crate::provider::TokenHint::RefreshToken,
                None => crate::provider::TokenHint::AccessToken,
            };
            let secret = job.app.client_secret.as_ref();
            if let Err(failure) = self.provider().revoke(oauth, secret, token, hint).await {
                tracing::warn!(
                    code = failure.code,
                    "a token removed in mid-refresh was not revoked"
                );
            }
        }
    }

    /// Stores what waits for the disk (R8).
    async fn store_unstored(&self) {
        for waiting in self.0.unstored.all() {
            self.try_to_store(&waiting).await;
        }
    }

    async fn try_to_store(&self, waiting: &Waiting) -> Landing {
        match self.finish(&waiting.job, waiting.verdict()).await {
            // Superseded: the commit that failed was in the file after all, or someone else won.
            Ok(Finish::Stored | Finish::Superseded) => {
                self.0.unstored.stored(waiting.job.id);
                tracing::info!(token = %waiting.job.id, "a refreshed token that waited is stored");
                Landing::Renewed
            }
            Err(_) => Landing::Unstored,
        }
    }
}

fn is_same(token: &Secret<String>, handed: &Handed) -> bool {
    handed.value.equals(token.expose().as_bytes())
}

fn failure_in_words(failure: &Failure) -> String {
    match failure.description.as_str() {
        "" => failure.code.clone(),
        description => format!("{}: {description}", failure.code),
    }
}
