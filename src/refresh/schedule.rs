//! The scheduler: sleeps until the earliest due token or a notice, then takes what is due.
//!
//! It promises: what is due is refreshed in batches, within the seats; a locked or paused vault is
//! left alone; trouble with the store is waited out, not hammered; at the end no new refresh
//! begins and those in flight are finished.
//! It never: holds a lock or a transaction while it waits.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Landing, Refresher};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::Caller;

/// Ended links are forgotten this often.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// What the scheduler remembers between rounds.
struct Round {
    /// Interrupted refreshes were looked for since the vault was unlocked.
    recovered: bool,
    forgot_at: Timestamp,
}

impl Refresher {
    /// Keeps tokens fresh until `shutdown` comes, then finishes what is in flight.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut round = Round {
            recovered: false,
            forgot_at: Timestamp::default(),
        };
        loop {
            let wake_at = tokio::select! {
                () = &mut shutdown => break,
                wake_at = self.one_round(&mut round) => wake_at,
            };
            tokio::select! {
                () = &mut shutdown => break,
                () = self.0.notice.notified() => {}
                () = self.clock().sleep_until(wake_at) => {}
            }
        }
        self.drain().await;
    }

    /// Begins no further refresh, and waits for those in flight, at most [`limits::DRAIN_MAX`].
    pub async fn drain(&self) {
        self.0.ending.store(true, Ordering::Release);
        let drained = tokio::time::timeout(limits::DRAIN_MAX, self.0.flights.drained()).await;
        if drained.is_err() {
            tracing::warn!(
                count = self.0.flights.count(),
                "refreshes in flight were cut; their intents are kept for the next start"
            );
        }
        self.store_unstored().await;
    }

    /// Does what is due; the moment to look again comes back.
    async fn one_round(&self, round: &mut Round) -> Timestamp {
        let now = self.clock().now();
        let later = now.plus(limits::SCHEDULER_SLEEP_MAX);
        if self.vault().status().locked {
            round.recovered = false;
            return later;
        }
        if self.vault().is_refresh_paused() {
            return later;
        }
        match self.work(round, now).await {
            Ok(next) => next.map_or(later, |next| next.min(later)),
            Err(Error::Locked | Error::ShuttingDown) => later,
            Err(error) => {
                tracing::error!(%error, "the refresh scheduler waits");
                now.plus(limits::BACKOFF_FIRST)
            }
        }
    }

    async fn work(&self, round: &mut Round, now: Timestamp) -> Result<Option<Timestamp>> {
        self.store_unstored().await;
        if !round.recovered {
            self.recover().await?;
            round.recovered = true;
        }
        if now.since(round.forgot_at) >= FORGET_EVERY {
            self.vault().forget_links(&Caller::scheduler())?.await?;
            round.forgot_at = now;
        }
        let mut before = Vec::new();
        loop {
            let now = self.clock().now();
            let (due, next) = self
                .vault()
                .due(&Caller::scheduler(), now, limits::DUE_BATCH_MAX)?;
            if due.is_empty() {
                return Ok(next);
            }
            if due == before {
                // Whatever keeps these from moving on, asking again at once will not mend it.
                return Err(Error::Storage("due tokens stay due after a refresh".into()));
            }
            self.refresh_all(due.clone()).await?;
            before = due;
        }
    }

    /// Tries each interrupted refresh once, at once, before anything else: a provider's grace for
    /// the old refresh token may be seconds (R5).
    async fn recover(&self) -> Result<()> {
        let interrupted = self.vault().interrupted(&Caller::scheduler())?;
        if !interrupted.is_empty() {
            tracing::info!(
                count = interrupted.len(),
                "interrupted refreshes are tried again"
            );
            self.refresh_all(interrupted).await?;
        }
        Ok(())
    }

    /// Refreshes these, and waits for all.
    async fn refresh_all(&self, ids: Vec<crate::model::TokenId>) -> Result<()> {
        let mut flights = JoinSet::new();
        for id in ids {
            flights.spawn(self.refresh(id, None).landing());
        }
        let mut trouble = None;
        while let Some(landing) = flights.join_next().await {
            match landing {
                Ok(Landing::Failed(error)) => trouble = Some(error),
                Ok(Landing::Unstored) => {
                    trouble = Some(Error::Storage(
                        "a refreshed token waits to be stored".into(),
                    ));
                }
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "a wait for a refresh was cut short"),
            }
        }
        match trouble {
            // A token that went away meanwhile is no trouble.
            None | Some(Error::NotFound(_)) => Ok(()),
            Some(error) => Err(error),
        }
    }
}
