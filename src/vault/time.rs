//! A clock that was set back: what was written before says nothing about when it ends.
//!
//! ```text
//! at unlock: ledger written at 12:00, the clock says 11:00
//!            either it was wrong then (ends are late) or it is wrong now (ends have passed)
//! ```
//! Nobody can tell which, so what expires and can be refreshed counts as over until it was: on
//! demand at once, and by the schedule within a minute ([`Vault::redate`]).
//!
//! It promises: one refresh for a record and a jump; no token that may have ended is handed out as
//! valid where it can be refreshed.
//! It never: sets a clock.

use super::Vault;
use super::audit::Audit;
use super::index::TokenKey;
use super::intents::intent;
use super::kept::{open_cold, open_hot, put_due, read};
use super::ledger::Ledger;
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::model::plan;
use crate::model::token::{Record, TokenState};
use crate::secret::chance;
use crate::store::{Records, Scan, View};

/// What was written before a clock was found to be set back. By default nothing was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doubt {
    /// The last record version of that time.
    version: u64,
    /// When the vault was last written, by the clock of that time.
    written_at: Timestamp,
    /// By how much less the clock said at unlock.
    set_back_s: u64,
}

impl Doubt {
    /// The moment by which the end of a record of this version is to be judged.
    pub(super) fn judged_at(self, record: &Record, version: u64, now: Timestamp) -> Timestamp {
        plan::judged_at(record, now, self.since(version))
    }

    fn since(self, version: u64) -> Option<Timestamp> {
        (version <= self.version).then_some(self.written_at)
    }

    /// Dates a record of this version anew where the clock has left it in doubt: what expires has
    /// ended by now, as far as anybody can tell. True where it did.
    pub(super) fn settle(self, record: &mut Record, version: u64, now: Timestamp) -> bool {
        let is_misdated = is_misdated(record, self.since(version), now);
        if is_misdated {
            record.obtained_at = record.obtained_at.min(now);
            // None is less than any end, and stays.
            record.expires_at = record.expires_at.min(Some(now));
        }
        is_misdated
    }

    /// By how much the clock was set back, in seconds.
    pub(super) fn set_back_s(self) -> Option<u64> {
        (self.set_back_s > 0).then_some(self.set_back_s)
    }
}

impl Vault {
    pub(super) fn doubt(&self) -> Doubt {
        *self.0.doubt.lock().expect("no holder panics")
    }

    /// Compares the clock with when the vault was last written, its trail included. What there is
    /// to say comes back.
    pub(super) fn doubt_clock(&self, ledger: &Ledger, audit: &Audit) -> Option<String> {
        let now = self.clock().now();
        // A trail whose end cannot be read is told of by others.
        let last = audit.page(None, 1).ok();
        let last = last.and_then(|page| page.entries.first().map(|entry| entry.at));
        let written_at = ledger.written_at.max(last);
        let written_at = written_at.filter(|at| *at > now.plus(limits::CLOCK_SKEW))?;
        let set_back_s = written_at.since(now).as_secs();
        *self.0.doubt.lock().expect("no holder panics") = Doubt {
            version: ledger.next_version,
            written_at,
            set_back_s,
        };
        let told = format!(
            "the clock says {now}, which is {set_back_s} s earlier than when this vault was last \
             written; what expires is refreshed before it is used"
        );
        tracing::warn!("{told}");
        Some(told)
    }

    /// Dates what a clock that was set back has left in doubt anew: it falls due within
    /// [`limits::REDATE_SPREAD`]. How many comes back.
    ///
    /// # Errors
    /// [`crate::error::Error::Locked`], [`crate::error::Error::Storage`].
    pub async fn redate(&self, caller: &Caller) -> Result<usize> {
        let permit = self
            .gate()
            .permit(caller, Action::Refresh, &Target::default())?;
        let (now, doubt) = (self.clock().now(), self.doubt());
        let (mut after, mut count) = (None, 0);
        loop {
            let mut places: Vec<TokenKey> = Vec::new();
            self.store().read()?.scan_records(
                Records::Tokens,
                b"",
                after.as_ref().map(TokenKey::as_slice),
                &mut |key, sealed| {
                    let since = doubt.since(sealed.version());
                    let opened = self.sound(key, open_hot(permit.keys(), key, &sealed))?;
                    if let Some((place, record, _)) = opened
                        && is_misdated(&record, since, now)
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
                let what = "dated anew: the clock was set back";
                let redated = permit.write_as(what, None, move |tx| {
                    let mut count = 0;
                    for place in &places {
                        count += usize::from(redate_one(tx, place, doubt, now)?);
                    }
                    Ok(count)
                })?;
                count += redated.await?;
            }
            if is_last {
                return Ok(count);
            }
        }
    }
}

/// True where a refresh is due at a moment that means nothing any more.
fn is_misdated(record: &Record, in_doubt_since: Option<Timestamp>, now: Timestamp) -> bool {
    let is_from_later = record.obtained_at > now.plus(limits::CLOCK_SKEW);
    record.state == TokenState::Active
        && record.has_refresh_token
        && (in_doubt_since.is_some() || is_from_later)
}

fn redate_one(tx: &mut Tx<'_>, place: &TokenKey, doubt: Doubt, now: Timestamp) -> Result<bool> {
    let Some(kept) = read(tx, place)? else {
        return Ok(false);
    };
    let (mut record, version) = (kept.record, kept.sealed.version());
    if !doubt.settle(&mut record, version, now) {
        return Ok(false);
    }
    // A refresh in flight names this very version, and dates it anew by itself.
    if intent(tx, place)?.is_some_and(|intent| intent.version == version) {
        return Ok(false);
    }
    let cold = open_cold(tx.keys(), place, &kept.sealed)?;
    record.not_before = plan::pause(&record, now);
    let spread = limits::REDATE_SPREAD.mul_f64(chance());
    // Not as a pause, which would hold up callers as well.
    let due = plan::due_at(&record, chance()).map(|due| match record.expires_at {
        Some(_) => due.max(now.plus(spread)),
        None => due,
    });
    put_due(tx, place, (&record, &cold), kept.due, due)?;
    Ok(true)
}
