//! The issuers' keys at hand: when they are used, when they are fetched, and by how many at a time.
//!
//! ```text
//!   fetched --- fresh (as the issuer says, bounded) --- stale --- of no use
//!                 |                                       |
//!   an unknown key, or stale: ask the issuer, once for all who wait, and not more often than
//!   every JWKS_ASK_EVERY; while it cannot be asked, what is stale still counts
//! ```
//!
//! It promises: one fetch at a time for each issuer, which goes on when those who wait for it hang
//! up; a bounded number who wait; where the last try failed, no key is called unknown.
//! It never: fetches for an issuer that no access key names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::key_set::{Key, KeySet};
use super::signature::Algorithm;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::url::WebUrl;
use crate::provider::Provider;

/// Whose keys, and where they are, if the operator said so.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Source {
    pub(super) issuer: String,
    pub(super) place: Option<WebUrl>,
}

/// Which keys a token may be signed by.
pub(super) struct Wanted {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
}

/// The keys of all issuers.
pub(super) struct Shelves {
    provider: Provider,
    clock: Clock,
    // Held for lines, never across an await.
    shelves: Mutex<HashMap<Source, Arc<Shelf>>>,
    waiters: Semaphore,
}

/// The keys of one issuer.
#[derive(Default)]
struct Shelf {
    kept: Mutex<Kept>,
    /// Changes when a fetch has ended.
    landed: watch::Sender<()>,
}

#[derive(Default)]
struct Kept {
    keys: Option<Keys>,
    /// When the issuer was last asked: when that ended, once it has.
    asked_at: Option<Timestamp>,
    is_asking: bool,
    has_failed: bool,
    /// Where its metadata says the keys are, and until when that is believed.
    place: Option<(WebUrl, Timestamp)>,
}

struct Keys {
    set: KeySet,
    fetched_at: Timestamp,
    fresh_for: Duration,
}

/// How long ago `at` was. By a clock that was set back since, it was long ago.
fn age(at: Timestamp, now: Timestamp) -> Option<Duration> {
    (at <= now).then(|| now.since(at))
}

impl Keys {
    fn count_for(&self, more: Duration, now: Timestamp) -> bool {
        age(self.fetched_at, now).is_some_and(|age| age < self.fresh_for + more)
    }
}

/// What the shelf says.
enum Look {
    /// These may have signed it; none where the issuer has no such key.
    Found(Vec<Arc<Key>>),
    /// The issuer is to be asked, and waited for this long.
    Ask(Duration),
    /// The issuer was asked just now, to no avail.
    Later(Duration),
}

impl Kept {
    /// The keys that may have signed it, where there are any and they count for `more` than they
    /// are fresh.
    fn counting(&self, wanted: &Wanted, now: Timestamp, more: Duration) -> Option<Vec<Arc<Key>>> {
        let keys = self
            .keys
            .as_ref()
            .filter(|keys| keys.count_for(more, now))?;
        Some(keys.set.fitting(wanted)).filter(|found| !found.is_empty())
    }

    /// Those that count while the issuer cannot be asked.
    fn stale(&self, wanted: &Wanted, now: Timestamp) -> Option<Vec<Arc<Key>>> {
        self.counting(wanted, now, limits::JWKS_STALE_MAX)
    }

    fn look(&self, wanted: &Wanted, now: Timestamp) -> Look {
        if let Some(fresh) = self.counting(wanted, now, Duration::ZERO) {
            return Look::Found(fresh);
        }
        let asked = self.asked_at.and_then(|at| age(at, now));
        let wait = asked.map_or(Duration::ZERO, |age| {
            limits::JWKS_ASK_EVERY.saturating_sub(age)
        });
        let is_fresh = || {
            let keys = self.keys.as_ref();
            keys.is_some_and(|keys| keys.count_for(Duration::ZERO, now))
        };
        match self.stale(wanted, now) {
            Some(stale) if self.is_asking || !wait.is_zero() => Look::Found(stale),
            Some(_) => Look::Ask(limits::JWKS_STALE_WAIT_MAX),
            None if self.is_asking || wait.is_zero() => Look::Ask(limits::JWKS_WAIT_MAX),
            None if self.has_failed || !is_fresh() => Look::Later(wait),
            None => Look::Found(Vec::new()),
        }
    }
}

impl Shelf {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fetch under way. However it ends, it has ended.
struct Flight {
    shelf: Arc<Shelf>,
    clock: Clock,
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut kept = self.shelf.kept();
        kept.is_asking = false;
        kept.asked_at = Some(self.clock.now());
        drop(kept);
        self.shelf.landed.send_replace(());
    }
}

impl Shelves {
    /// Empty ones.
    pub(super) fn new(provider: Provider, clock: Clock) -> Self {
        Self {
            provider,
            clock,
            shelves: Mutex::default(),
            waiters: Semaphore::new(limits::JWKS_WAITERS_MAX),
        }
    }

    /// The keys that a token may be signed by; none where its issuer has no such key.
    ///
    /// # Errors
    /// [`Error::IssuerUnavailable`] where that cannot be told.
    pub(super) async fn keys(&self, source: Source, wanted: &Wanted) -> Result<Vec<Arc<Key>>> {
        let shelf = self.shelf(&source);
        // Before anybody is asked: what lands from here on is seen.
        let mut landed = shelf.landed.subscribe();
        let patience = match self.look(&shelf, source, wanted) {
            Look::Found(keys) => return Ok(keys),
            Look::Later(wait) => return Err(unavailable(wait)),
            Look::Ask(patience) => patience,
        };
        let Ok(_place) = self.waiters.try_acquire() else {
            // Others wait for an issuer that may be another: what is at hand still counts (B4).
            let stale = shelf.kept().stale(wanted, self.clock.now());
            return stale.ok_or_else(|| unavailable(limits::JWKS_ASK_EVERY));
        };
        // The sender is on the shelf, so it cannot be gone.
        let _ = tokio::time::timeout(patience, landed.changed()).await;
        let look = shelf.kept().look(wanted, self.clock.now());
        match look {
            Look::Found(keys) => Ok(keys),
            Look::Later(wait) => Err(unavailable(wait)),
            Look::Ask(_) => Err(unavailable(limits::JWKS_ASK_EVERY)),
        }
    }

    fn shelf(&self, source: &Source) -> Arc<Shelf> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of removed access keys go; there are no more than these of others.
        if shelves.len() >= limits::ACCESS_KEYS_MAX && !shelves.contains_key(source) {
            shelves.retain(|_, shelf| Arc::strong_count(shelf) > 1);
        }
        Arc::clone(shelves.entry(source.clone()).or_default())
    }

    /// Looks, and begins a fetch where the issuer is to be asked and is not being asked.
    fn look(&self, shelf: &Arc<Shelf>, source: Source, wanted: &Wanted) -> Look {
        let now = self.clock.now();
        let mut kept = shelf.kept();
        let look = kept.look(wanted, now);
        if !matches!(look, Look::Ask(_)) || kept.is_asking {
            return look;
        }
        kept.is_asking = true;
        let place = kept.place.as_ref();
        let known = place
            .filter(|(_, until)| *until > now)
            .map(|(place, _)| place.clone());
        drop(kept);
        let flight = Flight {
            shelf: Arc::clone(shelf),
            clock: self.clock.clone(),
        };
        let provider = self.provider.clone();
        // Not the asker's own: one that hangs up must not leave the others without. It ends by
        // itself, and with the process.
        tokio::spawn(async move {
            let fetch = fetch(&provider, &source, known);
            let fetched = tokio::time::timeout(limits::JWKS_WAIT_MAX, fetch).await;
            let fetched = fetched.unwrap_or_else(|_| Err("it took too long".into()));
            flight.settle(&source, fetched);
        });
        look
    }
}

fn unavailable(retry_after: Duration) -> Error {
    Error::IssuerUnavailable { retry_after }
}

impl Flight {
    fn settle(self, source: &Source, fetched: std::result::Result<(WebUrl, Fresh), String>) {
        let now = self.clock.now();
        let mut kept = self.shelf.kept();
        kept.has_failed = fetched.is_err();
        match fetched {
            Ok((place, fresh)) => {
                let until = now.plus(limits::JWKS_PLACE_LIFE);
                let is_believed = kept.place.as_ref().is_some_and(|(_, until)| *until > now);
                if source.place.is_none() && !is_believed {
                    kept.place = Some((place, until));
                }
                kept.keys = Some(Keys {
                    set: fresh.set,
                    fetched_at: now,
                    fresh_for: fresh.life,
                });
            }
            Err(why) => {
                // It may have moved: its metadata is looked at anew.
                kept.place = None;
                let issuer = &source.issuer;
                tracing::warn!(issuer, why, "an issuer's keys cannot be had");
            }
        }
    }
}

/// What was fetched.
struct Fresh {
    set: KeySet,
    life: Duration,
}

/// Asks the issuer: for its metadata where nobody knows the place of its keys, then for those.
async fn fetch(
    provider: &Provider,
    source: &Source,
    known: Option<WebUrl>,
) -> std::result::Result<(WebUrl, Fresh), String> {
    let in_words = |error: Error| error.to_string();
    let place = match source.place.clone().or(known) {
        Some(place) => place,
        None => {
            let issuer = WebUrl::parse("issuer", &source.issuer).map_err(in_words)?;
            let (place, said) = provider.place_of_keys(&issuer).await.map_err(in_words)?;
            if said != source.issuer {
                let issuer = &source.issuer;
                tracing::warn!(
                    issuer,
                    said,
                    "the issuer writes itself otherwise than its rule"
                );
            }
            place
        }
    };
    let document = provider.key_document(&place).await.map_err(in_words)?;
    let life = document.max_age.unwrap_or(limits::JWKS_FRESH_DEFAULT);
    let fresh = Fresh {
        set: KeySet::read(&document.body)?,
        life: life.clamp(limits::JWKS_FRESH_MIN, limits::JWKS_FRESH_MAX),
    };
    Ok((place, fresh))
}
