//! Before the vault's keys go, by a lock or with the process, what is in flight is finished.
//!
//! It promises: once an end has begun no refresh begins, and none that waits for its turn at the
//! provider is sent; those that were sent are waited for, at most [`limits::DRAIN_MAX`], and
//! stored; a vault is locked all the same where that fails. What the disk or the time did not allow
//! to be stored before a lock is kept in memory, said in the log, and stored behind the next
//! unlock; it is lost where the process ends first.
//! It never: keeps a vault open because a provider or a disk does not answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Refresher, detached};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::Caller;

/// What could not be stored when the last flight ended is tried for this long at least: longer
/// than the disk of a usual file is let rest between two tries.
const STORING_MAX: Duration = limits::STORE_HEAL_EVERY_MAX.saturating_mul(2);

/// One of those who lock the vault. Until it goes no refresh begins.
struct Locking<'a>(&'a AtomicUsize);

impl<'a> Locking<'a> {
    fn begin(locking: &'a AtomicUsize) -> Self {
        locking.fetch_add(1, Ordering::AcqRel);
        Self(locking)
    }
}

impl Drop for Locking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Refresher {
    /// Locks the vault once the refreshes in flight have ended and are stored, or did not in time.
    ///
    /// # Errors
    /// Those of [`crate::vault::Vault::lock`].
    pub async fn lock(&self, caller: &Caller) -> Result<()> {
        self.vault().may_lock(caller)?;
        let (this, caller) = (self.clone(), caller.clone());
        // Whoever hangs up meanwhile has asked for it all the same.
        detached(async move { this.lock_in_order(caller).await }).await
    }

    async fn lock_in_order(&self, caller: Caller) -> Result<()> {
        let locking = Locking::begin(&self.0.locking);
        let hold = self.provider().hold_refreshes();
        self.finish_flights("they are finished behind the next unlock")
            .await;
        let storing = tokio::time::timeout(STORING_MAX, self.store_patiently());
        if let Err(error) = storing.await.unwrap_or_else(|_| Err(too_late())) {
            tracing::error!(%error, "what came of refreshes is kept in memory for the next unlock, \
                and ends with this process");
        }
        let vault = self.vault().clone();
        let locked = tokio::task::spawn_blocking(move || vault.lock(&caller)).await;
        drop((locking, hold));
        // A lock that could not be put on record was none: work goes on.
        self.notice();
        locked.unwrap_or(Err(Error::ShuttingDown))
    }

    /// Begins no further refresh, and waits for those in flight, at most [`limits::DRAIN_MAX`].
    pub async fn drain(&self) {
        self.0.ending.store(true, Ordering::Release);
        let _hold = self.provider().hold_refreshes();
        let ending = async {
            self.finish_flights("their intents are kept for the next start")
                .await;
            self.store_patiently().await
        };
        let ended = tokio::time::timeout(limits::DRAIN_MAX + STORING_MAX, ending).await;
        if let Err(error) = ended.unwrap_or_else(|_| Err(too_late())) {
            tracing::error!(%error, "what came of refreshes ends with this process");
        }
    }

    /// Stores what waits for the disk. One that failed is let rest between two tries, and may be
    /// well after the next.
    async fn store_patiently(&self) -> Result<()> {
        loop {
            match self.store_unstored().await {
                Err(error) if !self.vault().status().locked => {
                    tracing::warn!(%error, "it is tried again");
                    tokio::time::sleep(limits::STORE_HEAL_EVERY).await;
                }
                stored => return stored,
            }
        }
    }

    async fn finish_flights(&self, and_then: &str) {
        let drained = tokio::time::timeout(limits::DRAIN_MAX, self.0.flights.drained()).await;
        if drained.is_err() {
            let count = self.0.flights.count();
            tracing::warn!(count, "refreshes in flight were not waited for; {and_then}");
        }
    }

    /// Why no refresh begins, where none does.
    pub(super) fn halted(&self) -> Option<Error> {
        if self.0.ending.load(Ordering::Acquire) {
            return Some(Error::ShuttingDown);
        }
        (self.0.locking.load(Ordering::Acquire) > 0).then_some(Error::Locked)
    }
}

fn too_late() -> Error {
    Error::Storage("the disk did not take it in time".into())
}
