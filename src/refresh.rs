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
//! begin: `Vault::begin_refresh_for`; sent: `ask_provider`; sorted: `plan::verdict`;
//! end: `Vault::finish_refresh`; unstored: `store_unstored`; after a crash and on
//! schedule: [`Refresher::run`].
//!
//! It promises: R1 to R3 (`flight`), R8 (`unstored`, `ending`), R9 and R10 (`schedule`), and
//! * R4 the provider is called only after the intent is durable (V7), and anybody is answered only
//!   after the new token is;
//! * R5 an answer that was lost is asked for once more with the same refresh token, at once, inside
//!   a provider's grace; a crash's likewise, at start;
//! * R6 a valid token is served while its provider is down or hangs, before it ends;
//! * R7 a forced refresh that names the token it saw rejected gets the stored one if that is newer;
//!   a refresh that is not needed any more when its turn comes is not made;
//! * R11 so many callers wait for refreshes at one time and no more: a provider that hangs does not
//!   hold up those who want something else.
//!
//! It never: sends a scope, marks a token dead but for a refusal of its grant or because its
//! authorization server is not asked any more, or reaches a record otherwise than by the vault.

mod ending;
mod figures;
mod flight;
mod fly;
pub mod plan;
mod revoke;
mod schedule;
mod trial;
mod unstored;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

pub use self::figures::{Event, Stretch, Trouble};
pub use self::flight::Landing;
pub use self::revoke::{Revoked, Tally};

use self::figures::Figures;
use self::flight::{Flights, Ticket};
use self::fly::Trip;
use self::unstored::{Unsent, Unstored};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::Caller;
use crate::model::token::{Grant, ReconnectReason, Summary, TokenState};
use crate::model::{AppId, TokenId};
use crate::provider::Provider;
use crate::secret::Secret;
use crate::vault::{
    Ask, Besides, Found, Handed, Looked, Need, NewToken, RefreshJob, Refusals, Vault,
};

/// Keeps tokens fresh. Cheap to clone; there is one for the whole process.
#[derive(Clone)]
pub struct Refresher(Arc<Inner>);

struct Inner {
    vault: Vault,
    provider: Provider,
    figures: Figures,
    flights: Flights,
    unstored: Unstored,
    unsent: Unsent,
    /// Taken by whoever is storing those.
    storing: Semaphore,
    /// Places for callers that wait for a refresh.
    places: Semaphore,
    /// Apps whose provider answers again after an outage. Held for lines.
    recovered: Mutex<BTreeSet<AppId>>,
    /// Told when something may have fallen due earlier than the scheduler knows.
    notice: Notify,
    ending: AtomicBool,
    /// How many lock the vault just now.
    locking: AtomicUsize,
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

impl TokenAsk {
    /// Whether a refresh is forced by what the caller saw, or by its word alone.
    fn force(&self) -> (bool, Option<&Secret<String>>) {
        let rejected = self.rejected.as_ref().filter(|_| self.force);
        (self.force && rejected.is_none(), rejected)
    }
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
        /// It is the provider's trouble, not ours.
        at_provider: bool,
    },
}

impl Refresher {
    /// A refresher for `vault` that asks by `provider`.
    pub fn new(vault: Vault, provider: Provider) -> Self {
        Self(Arc::new(Inner {
            vault,
            provider,
            figures: Figures::default(),
            flights: Flights::default(),
            unstored: Unstored::default(),
            unsent: Unsent::default(),
            storing: Semaphore::new(1),
            places: Semaphore::new(limits::REFRESH_WAITERS_MAX),
            recovered: Mutex::default(),
            notice: Notify::new(),
            ending: AtomicBool::new(false),
            locking: AtomicUsize::new(0),
        }))
    }

    /// Lets at most `count` callers wait for refreshes at one time. Who finds no place is told to
    /// come back, and the refresh goes on. Called once, before anybody waits.
    pub fn seat_at_most(&self, count: usize) {
        let places = limits::REFRESH_WAITERS_MAX.saturating_sub(count.max(1));
        self.0.places.forget_permits(places);
    }

    async fn wait_for(&self, flight: Ticket, patience: Duration) -> Landing {
        match self.0.places.try_acquire() {
            Ok(_place) => flight.landing(patience).await,
            Err(_) => Landing::Failed(Error::Busy(limits::BACKOFF_FIRST)),
        }
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

    /// How fetches and refreshes went in the last day, oldest stretch first.
    ///
    /// # Errors
    /// [`Error::Denied`] for whom the vault's status is not for.
    pub fn day(&self, caller: &Caller) -> Result<Vec<Stretch>> {
        self.vault().may_see_status(caller)?;
        Ok(self.0.figures.day(self.clock().now()))
    }

    /// The apps that no token can be refreshed of just now, and why: at most `most` of those that
    /// the caller may see, under a look that is on record. `None` for who may not see apps. What
    /// this costs goes by how many are in trouble, and not by how many there are.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`].
    pub fn troubles(
        &self,
        looked: &Looked,
        most: usize,
    ) -> Result<Option<BTreeMap<AppId, Trouble>>> {
        let mut troubles = self.0.figures.troubles();
        let seen = self.vault().apps_seen(looked, troubles.keys(), most)?;
        Ok(seen.map(|seen| {
            troubles.retain(|id, _| seen.contains(id));
            troubles
        }))
    }

    /// Hands out a token, refreshed first where that is needed.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Locked`], [`Error::AuditUnavailable`], [`Error::Damaged`].
    pub async fn token(&self, caller: &Caller, wanted: &TokenAsk) -> Result<Outcome> {
        let found = self.look_for(caller, wanted).await;
        self.0.figures.fetched(&found, self.clock().now());
        // Nothing can be said of it while the vault's file is checked, but when to ask again.
        if let Err(error @ Error::Checking { retry_after, .. }) = &found {
            return Ok(Outcome::Unavailable {
                retry_after: *retry_after,
                message: error.to_string(),
                at_provider: false,
            });
        }
        found
    }

    async fn look_for(&self, caller: &Caller, wanted: &TokenAsk) -> Result<Outcome> {
        let (force, rejected) = wanted.force();
        let need = match force {
            true => Need::Forced,
            false => Need::Lasting(wanted.ask.min_ttl),
        };
        let mut again = true;
        loop {
            let (id, valid_until) =
                match self.fetch(caller, &wanted.ask, force && again, rejected)? {
                    Found::Fresh(handed) => return Ok(Outcome::Ok(handed)),
                    Found::Reconnect(_, reason) => return Ok(Outcome::Reconnect(reason)),
                    Found::Missing => return Ok(Outcome::Missing),
                    Found::Stale(id, valid_until) => (id, valid_until),
                };
            let flight = self.refresh(Trip {
                id,
                rejected: rejected.cloned(),
                need,
            });
            let is_own = flight.is_own();
            let landing = Box::pin(self.wait_for(flight, self.patience(valid_until))).await;
            // Somebody else's flight may have been for a lesser need: looked at once more.
            let was_joined = landing == Landing::Renewed && !is_own;
            if !std::mem::take(&mut again) || !was_joined {
                return self.after(caller, &wanted.ask, landing, rejected);
            }
        }
    }

    /// How long to wait for a refresh: what is valid is to be served while it is (R6).
    fn patience(&self, valid_until: Option<Timestamp>) -> Duration {
        let left = valid_until.map(|until| until.since(self.clock().now()) / 2);
        left.map_or(limits::REFRESH_WAIT_MAX, |left| {
            left.min(limits::REFRESH_WAIT_MAX)
        })
    }

    /// What there is to hand out after a flight.
    fn after(
        &self,
        caller: &Caller,
        ask: &Ask,
        landing: Landing,
        rejected: Option<&Secret<String>>,
    ) -> Result<Outcome> {
        // A provider that grants the rejected one anew has no other.
        let rejected = rejected.filter(|_| landing != Landing::Renewed);
        // R6: whatever is still valid serves, however short its life.
        let ask = Ask {
            min_ttl: Duration::ZERO,
            ..ask.clone()
        };
        match self.fetch(caller, &ask, false, rejected)? {
            Found::Fresh(handed) => return Ok(Outcome::Ok(handed)),
            Found::Reconnect(_, reason) => return Ok(Outcome::Reconnect(reason)),
            Found::Missing => return Ok(Outcome::Missing),
            Found::Stale(..) => {}
        }
        let at_provider = !matches!(landing, Landing::Failed(_));
        let (retry_after, message) = match landing {
            Landing::Later(wait, why) => (wait, why),
            Landing::Failed(error @ (Error::Damaged(_) | Error::TooNew(_))) => return Err(error),
            Landing::Failed(Error::Busy(wait)) => (wait, Error::Busy(wait).to_string()),
            Landing::Failed(error @ Error::Checking { retry_after, .. }) => {
                (retry_after, error.to_string())
            }
            Landing::Failed(error) => (limits::BACKOFF_FIRST, error.to_string()),
            Landing::Renewed | Landing::Unstored | Landing::Hopeless | Landing::Dead(_) => (
                limits::BACKOFF_FIRST,
                "what the refresh brought has ended already".into(),
            ),
        };
        self.vault().record_fetch(caller, &ask, "unavailable")?;
        Ok(Outcome::Unavailable {
            retry_after,
            message,
            at_provider,
        })
    }

    fn fetch(
        &self,
        caller: &Caller,
        ask: &Ask,
        force: bool,
        rejected: Option<&Secret<String>>,
    ) -> Result<Found> {
        let waiting = self.0.unstored.all();
        let unstored: Vec<(&RefreshJob, &Grant)> = waiting
            .iter()
            .filter_map(|waiting| Some((&waiting.job, waiting.grant()?)))
            .collect();
        let besides = Besides {
            unstored: &unstored,
            force,
            rejected,
        };
        self.vault().fetch_besides(caller, ask, &besides)
    }

    /// Refreshes one token because a person asks for it.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's; [`Error::Conflict`] where
    /// there is nothing to refresh it with and nothing is wrong with it either.
    pub async fn refresh_now(&self, caller: &Caller, id: TokenId) -> Result<(Landing, Summary)> {
        self.vault().token_to_refresh(caller, id)?;
        let flight = self.refresh(Trip::asked(id));
        let landing = self.wait_for(flight, limits::REFRESH_WAIT_MAX).await;
        let summary = self.vault().token_to_refresh(caller, id)?;
        if landing == Landing::Hopeless && summary.state == TokenState::Active {
            let what = "there is no refresh token to refresh this one with";
            return Err(Error::Conflict(what.into()));
        }
        Ok((landing, summary))
    }

    /// Stores a token, tries to refresh it where asked to, and tells the scheduler. One whose
    /// refresh token is refused in that trial is not kept.
    ///
    /// # Errors
    /// Those of [`Vault::store_token`]; [`Error::ProviderRefused`] where the trial fails for good;
    /// [`Error::Conflict`] where one that is to be tried would take a good one's place.
    pub async fn store(&self, caller: &Caller, new: NewToken, verify: bool) -> Result<Summary> {
        if verify {
            return self.store_tried(caller, new).await;
        }
        let summary = self.vault().store_token(caller, new)?.await?;
        self.notice();
        Ok(summary)
    }

    /// Stores a token where none is, and tells the scheduler.
    ///
    /// # Errors
    /// Those of [`Vault::store_token_if_absent`].
    pub async fn store_if_absent(&self, caller: &Caller, new: NewToken) -> Result<Summary> {
        let summary = self.vault().store_token_if_absent(caller, new)?.await?;
        self.notice();
        Ok(summary)
    }

    /// Stores many tokens in one step, or none of them: which are refused, and why, comes back.
    ///
    /// # Errors
    /// Those of [`Vault::store_tokens`].
    pub async fn store_all(&self, caller: &Caller, new: Vec<NewToken>) -> Result<Refusals> {
        let refused = self.vault().store_tokens(caller, new).await?;
        self.notice();
        Ok(refused)
    }

    /// Tells the scheduler that something may be due earlier than it knows.
    pub fn notice(&self) {
        self.0.notice.notify_one();
    }
}

/// Lets work run on when whoever waits for it goes away.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(work).await.unwrap_or(Err(Error::ShuttingDown))
}

#[cfg(test)]
mod tests;
