//! A token that is stored to be tried: it takes no good one's place, and leaves if it is refused or
//! could not be tried.
//!
//! It promises: while a token is good, none that was never tried comes in its place; what is taken
//! out again is what was to be tried, and nothing that came since, nor what an attempt that is
//! still under way may spend.
//! It never: tries anything itself (that is a flow).

use std::time::Duration;

use super::Vault;
use super::intents::intent;
use super::kept::{Kept, NewToken, doom, open_cold, read};
use super::receipt::Receipt;
use super::writer::Tx;
use crate::error::{Error, Result};
use crate::model::TokenId;
use crate::model::access::{Action, Caller};
use crate::model::token::{ReconnectReason, Summary, TokenState};
use crate::secret::Secret;

impl Vault {
    /// Stores a token that is to be tried.
    ///
    /// # Errors
    /// Those of [`Vault::store_token`]; [`Error::Conflict`] where a good one is there.
    pub fn store_for_trial(&self, caller: &Caller, new: NewToken) -> Result<Receipt<Summary>> {
        let now = self.clock().now();
        self.store_token_over(caller, new, move |old| {
            let is_usable = old.has_refresh_token || old.is_fresh(now, Duration::ZERO);
            match old.state {
                TokenState::Active if is_usable => Err(Error::Conflict(
                    "a good token is stored here, and one that is yet to be tried does not take \
                     its place: remove it first, or store without `verify_refresh`"
                        .into(),
                )),
                TokenState::Active | TokenState::ReconnectRequired(_) => Ok(()),
            }
        })
    }

    /// Takes out a token whose trial was refused, and says for what reason; `None` where what is
    /// there now is not that.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn take_out_refused(
        &self,
        caller: &Caller,
        id: TokenId,
        tried: Secret<String>,
    ) -> Result<Receipt<Option<ReconnectReason>>> {
        let (permit, kept) = self.permit_on(caller, Action::Store, id)?;
        permit.write_as("not kept: refused in its trial", Some(id), move |tx| {
            let kept = read(tx, &kept.place)?.filter(|kept| kept.record.id == id);
            let kept = kept.ok_or(Error::NotFound("token"))?;
            let TokenState::ReconnectRequired(reason) = kept.record.state else {
                return Ok(None);
            };
            if !holds(tx, &kept, &tried)? {
                return Ok(None);
            }
            doom(tx, &kept.place)?;
            Ok(Some(reason))
        })
    }

    /// Takes out a token that nobody could try, as it was stored for its trial; false where what is
    /// there now is not that, or the first attempt at it has not ended: what comes of that late is
    /// the only one there is.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn take_out_untried(
        &self,
        caller: &Caller,
        stored: &Summary,
        tried: Secret<String>,
    ) -> Result<Receipt<bool>> {
        let (id, refreshed_at) = (stored.id, stored.last_refreshed_at);
        let (permit, kept) = self.permit_on(caller, Action::Store, id)?;
        let words = "could not be tried: not kept, unless it changed since";
        permit.write_as(words, Some(id), move |tx| {
            let kept = read(tx, &kept.place)?.filter(|kept| kept.record.id == id);
            let kept = kept.ok_or(Error::NotFound("token"))?;
            let was_renewed = kept.record.last_refreshed_at != refreshed_at;
            let in_the_air = kept.record.failures == 0 && intent(tx, &kept.place)?.is_some();
            if was_renewed || in_the_air || !holds(tx, &kept, &tried)? {
                return Ok(false);
            }
            doom(tx, &kept.place)?;
            Ok(true)
        })
    }
}

/// Whether a token's refresh token is this one.
fn holds(tx: &Tx<'_>, kept: &Kept, tried: &Secret<String>) -> Result<bool> {
    let cold = open_cold(tx.keys(), &kept.place, &kept.sealed)?;
    let is_tried = |token: &Secret<String>| token.equals(tried.expose().as_bytes());
    Ok(cold.refresh_token.as_ref().is_some_and(is_tried))
}
