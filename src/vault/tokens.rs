//! Tokens: stored, listed, shown, removed.
//!
//! It promises: "not there" and "not yours" are one answer; connecting again keeps the token's id
//! and never puts none in the place of a good refresh token.
//! It never: hands a token out (that is `fetch`), refreshes (that is `renew`) or revokes (that is a
//! flow).

use super::Vault;
use super::access::Permit;
use super::apps::{self, AppSecrets};
use super::index::{Indexer, PART};
use super::intents;
use super::kept::{Doomed, Kept, NewToken, build, doom, find, open_cold, put_due, read};
use super::receipt::Receipt;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::TokenId;
use crate::model::access::{Action, Caller, Target};
use crate::model::plan;
use crate::model::token::{Cold, Record, Summary};
use crate::secret::chance;
use crate::store::Records;

impl Vault {
    /// Stores a token, or a newer one in its place.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown app, [`Error::Invalid`] where the credential does not
    /// suit it, [`Error::Denied`].
    pub fn store_token(&self, caller: &Caller, new: NewToken) -> Result<Receipt<Summary>> {
        self.store_token_over(caller, new, |_| Ok(()))
    }

    /// [`Vault::store_token`], where what it takes the place of may go.
    pub(super) fn store_token_over(
        &self,
        caller: &Caller,
        new: NewToken,
        may_go: impl FnOnce(&Record) -> Result<()> + Send + 'static,
    ) -> Result<Receipt<Summary>> {
        let target = Target {
            scopes: Some(&new.address.scopes),
            ..Target::of(&new.address.app, &new.address.owner)
        };
        let permit = self.gate().permit(caller, Action::Store, &target)?;
        new.credential.check()?;
        let (by, now) = (caller.name(), self.clock().now());
        permit.write(None, move |tx| {
            let app_place = Indexer(tx.keys()).app(&new.address.app);
            let app = apps::read_to_stay(tx, &app_place)?;
            let place = Indexer(tx.keys()).token(&new.address);
            let old = read(tx, &place)?;
            old.as_ref().map_or(Ok(()), |old| may_go(&old.record))?;
            if old.is_none() {
                let owner = &place[..3 * PART];
                let most = limits::TOKENS_PER_OWNER_AND_APP_MAX;
                if tx.count(Records::Tokens, owner, most)? >= most {
                    return Err(Error::invalid(format!(
                        "one owner has at most {most} tokens of one app; remove some first"
                    )));
                }
            }
            let old_cold = old
                .as_ref()
                .map(|old| open_cold(tx.keys(), &place, &old.sealed))
                .transpose()?;
            let before = old.as_ref().map(|old| &old.record).zip(old_cold);
            let is_of_unknown_age = new.credential.is_of_unknown_age();
            let (record, cold) = build(&app.app, new, before, &by, now)?;
            let due = plan::due_at(&record, chance()).map(|due| match is_of_unknown_age {
                true => now.plus(limits::REDATE_SPREAD.mul_f64(chance())),
                false => due,
            });
            let old_due = old.and_then(|old| old.due);
            let version = put_due(tx, &place, (&record, &cold), old_due, due)?;
            intents::follow(tx, &place, &cold, version)?;
            Ok(record.summary())
        })
    }

    /// One token's summary.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn token(&self, caller: &Caller, id: TokenId) -> Result<Summary> {
        let (permit, kept) = self.permit_on(caller, Action::List, id)?;
        permit.record("ok", Some(id))?;
        Ok(kept.record.summary())
    }

    /// One token in plain text.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn reveal(&self, caller: &Caller, id: TokenId) -> Result<(Record, Cold)> {
        let (permit, kept) = self.permit_on(caller, Action::Reveal, id)?;
        let cold = open_cold(permit.keys(), &kept.place, &kept.sealed)?;
        permit.record("revealed", Some(id))?;
        Ok((kept.record, cold))
    }

    /// Removes a token. What revoking it takes comes back.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn remove_token(
        &self,
        caller: &Caller,
        id: TokenId,
    ) -> Result<Receipt<(Doomed, AppSecrets)>> {
        let (permit, kept) = self.permit_on(caller, Action::Delete, id)?;
        permit.write(Some(id), move |tx| {
            let doomed = doom(tx, &kept.place)?
                .filter(|doomed| doomed.summary.id == id)
                .ok_or(Error::NotFound("token"))?;
            let app_place = Indexer(tx.keys()).app(&doomed.summary.app);
            let app = apps::read(tx, &app_place)?.ok_or(Error::NotFound("app"))?;
            Ok((doomed, app))
        })
    }

    /// Finds a token by id and gets leave for it.
    pub(super) fn permit_on(
        &self,
        caller: &Caller,
        action: Action,
        id: TokenId,
    ) -> Result<(Permit, Kept)> {
        let permit = self.gate().permit(caller, action, &Target::default())?;
        let view = self.store().read()?;
        let Some(kept) = find(permit.keys(), &view, id)? else {
            permit.record("not_found", Some(id))?;
            return Err(Error::NotFound("token"));
        };
        let address = &kept.record.address;
        let target = Target::of(&address.app, &address.owner);
        let permit = match self.gate().permit(caller, action, &target) {
            Ok(permit) => permit,
            Err(Error::Denied) => return Err(Error::NotFound("token")),
            Err(error) => return Err(error),
        };
        if !permit.may_hand_out(&kept.record.granted) {
            permit.record("refused: above the scope ceiling", Some(id))?;
            return Err(Error::NotFound("token"));
        }
        Ok((permit, kept))
    }
}
