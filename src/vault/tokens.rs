//! Tokens: shown and removed.
//!
//! It promises: "not there" and "not yours" are one answer.
//! It never: stores (that is `uploads`), hands out (that is `fetch`), refreshes (that is `renew`)
//! or revokes (that is a flow).

use super::Vault;
use super::access::Permit;
use super::apps::{self, AppSecrets};
use super::index::Indexer;
use super::kept::{Doomed, Kept, doom, find, open_cold};
use super::receipt::Receipt;
use crate::error::{Error, Result};
use crate::model::TokenId;
use crate::model::access::{Action, Caller, Target};
use crate::model::token::{Cold, HistoryEntry, Record, Summary};

impl Vault {
    /// One token's summary.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn token(&self, caller: &Caller, id: TokenId) -> Result<Summary> {
        let (permit, kept) = self.permit_on(caller, Action::List, id)?;
        permit.record("ok", Some(id))?;
        Ok(kept.record.summary())
    }

    /// One token's summary, and what happened to it, oldest first.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn token_with_history(
        &self,
        caller: &Caller,
        id: TokenId,
    ) -> Result<(Summary, Vec<HistoryEntry>)> {
        let (permit, kept) = self.permit_on(caller, Action::List, id)?;
        let cold = open_cold(permit.keys(), &kept.place, &kept.sealed)?;
        permit.record("ok, with its history", Some(id))?;
        Ok((kept.record.summary(), cold.history))
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
