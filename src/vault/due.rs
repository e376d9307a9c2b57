//! What the scheduler asks the vault: what is due, what is next, what a crash cut short, and what
//! may be tried sooner since its provider is well again.
//!
//! It promises: a look costs an index entry for what is passed over, and opens only what it hands
//! out; bringing tokens forward never touches a record whose refresh is in flight, since that would
//! throw its outcome away (V8); a record that does not open is told of and passed over, so that one
//! that is damaged keeps nobody else's from being refreshed.
//! It never: refreshes, or hands out a secret.

use std::collections::HashSet;
use std::sync::Mutex;

use super::Vault;
use super::index::{Indexer, PART, TOKEN_KEY, TokenKey, due_key, from_due_key};
use super::intents::{intent, open_intent};
use super::kept::{open_cold, open_hot, put, read};
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::model::token::{Record, TokenState};
use crate::model::{AppId, TokenId, plan};
use crate::secret::chance;
use crate::store::{Index, Records, Scan, View};

/// Records that do not open, as far as they were told of.
#[derive(Default)]
pub(super) struct Spoilt(Mutex<HashSet<Vec<u8>>>);

impl Spoilt {
    /// True where this one was not told of yet.
    fn is_new(&self, place: &[u8]) -> bool {
        let mut told = self.0.lock().expect("no holder panics");
        told.len() < limits::SPOILT_TOLD_MAX && told.insert(place.to_vec())
    }
}

/// Where a token lies: a name that says nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Place(TokenKey);

/// An app, by a name that says nothing: its tokens wait for the same provider.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Lane([u8; PART]);

impl Place {
    /// The app whose token lies here.
    pub fn lane(&self) -> Lane {
        Lane(*self.0.first_chunk().expect("a token key has four parts"))
    }
}

/// A token that is due.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Its id.
    pub id: TokenId,
    /// Where it lies.
    pub place: Place,
}

/// What is to be done with a due token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pick {
    /// Hand it out.
    Take,
    /// Go on to the next.
    Pass,
    /// Look no further.
    Stop,
}

impl Vault {
    /// Tokens that are due by `now`, the most overdue first, and when the next one is.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`].
    pub fn due(
        &self,
        caller: &Caller,
        now: Timestamp,
        most: usize,
    ) -> Result<(Vec<TokenId>, Option<Timestamp>)> {
        let mut left = most;
        let (due, next) = self.due_among(caller, now, &mut |_| {
            let is_full = left == 0;
            left = left.saturating_sub(1);
            if is_full { Pick::Stop } else { Pick::Take }
        })?;
        Ok((due.iter().map(|due| due.id).collect(), next))
    }

    /// Those tokens of the ones due by `now` that `pick` takes, the most overdue first, and when
    /// the first one is that was not looked at.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`].
    pub fn due_among(
        &self,
        caller: &Caller,
        now: Timestamp,
        pick: &mut dyn FnMut(&Place) -> Pick,
    ) -> Result<(Vec<Due>, Option<Timestamp>)> {
        let permit = self
            .gate()
            .permit(caller, Action::Refresh, &Target::default())?;
        let view = self.store().read()?;
        let mut places = Vec::new();
        let mut next = None;
        view.scan_index(Index::Due, b"", None, &mut |key, _| {
            let (at, place) = from_due_key(key).ok_or_else(unreadable)?;
            let place = Place(place);
            match pick_until(at, now, &place, pick) {
                Pick::Take => places.push(place),
                Pick::Pass => {}
                Pick::Stop => {
                    next = Some(at);
                    return Ok(Scan::Stop);
                }
            }
            Ok(Scan::Go)
        })?;
        let mut due = Vec::with_capacity(places.len());
        for place in places {
            // The index is not sealed: an entry without a record is told of, not followed.
            let opened = view.record(Records::Tokens, &place.0).and_then(|sealed| {
                let sealed = sealed.ok_or_else(|| {
                    Error::Damaged("an entry of the due table leads to no token".into())
                })?;
                open_hot(permit.keys(), &place.0, &sealed)
            });
            if let Some((_, record, _)) = self.sound(&place.0, opened)? {
                due.push(Due {
                    id: record.id,
                    place,
                });
            }
        }
        Ok((due, next))
    }

    /// When the first token falls due that is not due at `now`.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`].
    pub fn next_due(&self, caller: &Caller, now: Timestamp) -> Result<Option<Timestamp>> {
        self.gate()
            .permit(caller, Action::Refresh, &Target::default())?;
        let mut next = None;
        let now = due_key(now, &[u8::MAX; TOKEN_KEY]);
        let view = self.store().read()?;
        view.scan_index(Index::Due, b"", Some(&now), &mut |key, _| {
            next = Some(from_due_key(key).ok_or_else(unreadable)?.0);
            Ok(Scan::Stop)
        })?;
        Ok(next)
    }

    /// True where the token at this place is due by `now`.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`].
    pub fn is_due(&self, caller: &Caller, place: &Place, now: Timestamp) -> Result<bool> {
        let permit = self
            .gate()
            .permit(caller, Action::Refresh, &Target::default())?;
        let Some(sealed) = self.store().read()?.record(Records::Tokens, &place.0)? else {
            return Ok(false);
        };
        let opened = self.sound(&place.0, open_hot(permit.keys(), &place.0, &sealed))?;
        Ok(opened.is_some_and(|(_, _, due)| due.is_some_and(|due| due <= now)))
    }

    /// What opened, or nothing where it is damaged or too new: told of once.
    ///
    /// # Errors
    /// Those that are of the disk, or of the vault.
    pub(super) fn sound<T>(&self, place: &[u8], opened: Result<T>) -> Result<Option<T>> {
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(error @ (Error::Damaged(_) | Error::TooNew(_))) => {
                if self.0.spoilt.is_new(place) {
                    tracing::error!(%error, "passed over by the schedule; a check names it");
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Tokens whose refresh had begun and not come to an outcome when the process ended, the latest
    /// first: each is tried once, at once. An intent that an outcome has left open, since it was
    /// not known what became of the refresh token, names an older version and waits its time.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Storage`].
    pub fn interrupted(&self, caller: &Caller) -> Result<Vec<TokenId>> {
        let permit = self
            .gate()
            .permit(caller, Action::Refresh, &Target::default())?;
        let view = self.store().read()?;
        let mut found: Vec<(Timestamp, TokenId)> = Vec::new();
        view.scan_records(Records::Intents, b"", None, &mut |place, sealed| {
            let Some(token) = view.record(Records::Tokens, place)? else {
                return Ok(Scan::Go);
            };
            let version = token.version();
            let opened = open_intent(permit.keys(), place, &sealed)
                .and_then(|intent| Ok((intent, open_hot(permit.keys(), place, &token)?)));
            if let Some((intent, (_, record, _))) = self.sound(place, opened)?
                && intent.version == version
            {
                found.push((intent.at, record.id));
            }
            Ok(Scan::Go)
        })?;
        found.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let ids: Vec<TokenId> = found.into_iter().map(|(_, id)| id).collect();
        if !ids.is_empty() {
            permit.record(&format!("{} interrupted refreshes found", ids.len()), None)?;
        }
        Ok(ids)
    }

    /// Brings forward what waits by our own back-off for the provider of `app`, which is well
    /// again. How many comes back.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Storage`].
    pub async fn hasten(&self, caller: &Caller, app: &AppId) -> Result<usize> {
        let permit = self
            .gate()
            .permit(caller, Action::Refresh, &Target::default())?;
        let prefix = Indexer(permit.keys()).of_app(app, None);
        let now = self.clock().now();
        let (mut after, mut count) = (None, 0);
        loop {
            let mut places: Vec<TokenKey> = Vec::new();
            self.store().read()?.scan_records(
                Records::Tokens,
                &prefix,
                after.as_ref().map(TokenKey::as_slice),
                &mut |key, sealed| {
                    let opened = self.sound(key, open_hot(permit.keys(), key, &sealed))?;
                    if let Some((place, record, _)) = opened
                        && may_be_hastened(&record, now)
                    {
                        places.push(place);
                    }
                    let is_full = places.len() == limits::HASTEN_BATCH_MAX;
                    Ok(if is_full { Scan::Stop } else { Scan::Go })
                },
            )?;
            after = places.last().copied();
            let is_last = places.len() < limits::HASTEN_BATCH_MAX;
            if !places.is_empty() {
                let hastened = permit.write_as("brought forward", None, move |tx| {
                    let mut count = 0;
                    for place in &places {
                        count += usize::from(hasten_one(tx, place, now)?);
                    }
                    Ok(count)
                })?;
                count += hastened.await?;
            }
            if is_last {
                return Ok(count);
            }
        }
    }
}

fn unreadable() -> Error {
    Error::Damaged("an entry of the due table cannot be read".into())
}

fn pick_until(
    at: Timestamp,
    now: Timestamp,
    place: &Place,
    pick: &mut dyn FnMut(&Place) -> Pick,
) -> Pick {
    if at > now { Pick::Stop } else { pick(place) }
}

/// What has failed once comes up again in seconds by itself.
fn may_be_hastened(record: &Record, now: Timestamp) -> bool {
    record.state == TokenState::Active
        && record.failures > 1
        && plan::waits_by_itself(record)
        && record.not_before.is_some_and(|until| until > now)
}

fn hasten_one(tx: &mut Tx<'_>, place: &TokenKey, now: Timestamp) -> Result<bool> {
    let Some(kept) = read(tx, place)?.filter(|kept| may_be_hastened(&kept.record, now)) else {
        return Ok(false);
    };
    // A refresh in flight names this very version; one that has ended left another.
    let version = kept.sealed.version();
    if intent(tx, place)?.is_some_and(|intent| intent.version == version) {
        return Ok(false);
    }
    let cold = open_cold(tx.keys(), place, &kept.sealed)?;
    let mut record = kept.record;
    record.failures = 1;
    record.not_before = Some(now.plus(limits::HASTEN_SPREAD.mul_f64(chance())));
    put(tx, place, &record, &cold, kept.due)?;
    Ok(true)
}
