//! What an app's issuer said of itself when it was asked again.
//!
//! It promises: it is stored only where the app is still the one that it was judged by; it is on
//! record first.
//! It never: asks an issuer, or judges what one says.

use super::{open_settings, put, read_to_stay};
use crate::error::{Error, Result};
use crate::model::TokenId;
use crate::model::access::{Action, Caller, Target};
use crate::model::app::{App, OAuth};
use crate::store::{Records, View};
use crate::vault::Vault;
use crate::vault::index::Indexer;
use crate::vault::kept::find;
use crate::vault::receipt::Receipt;

impl Vault {
    /// The app of a token that is about to be refreshed, and whether its last refresh failed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Locked`].
    pub(crate) fn app_to_refresh(&self, caller: &Caller, id: TokenId) -> Result<(App, bool)> {
        let permit = self
            .gate()
            .permit(caller, Action::Refresh, &Target::default())?;
        let view = self.store().read()?;
        let kept = find(permit.keys(), &view, id)?.ok_or(Error::NotFound("token"))?;
        let place = Indexer(permit.keys()).app(&kept.record.address.app);
        let sealed = view.record(Records::Apps, &place)?;
        let sealed = sealed.ok_or(Error::NotFound("app"))?;
        let app = open_settings(permit.keys(), &place, &sealed)?;
        Ok((app, kept.record.failures > 0))
    }

    /// Stores `next` in the place of the app that was `seen`; `outcome` is what the trail says of
    /// it. The client secret stays.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] where the app is not as it was seen any more, or is
    /// being removed.
    pub(crate) fn keep_metadata(
        &self,
        seen: &App,
        next: App,
        outcome: &str,
    ) -> Result<Receipt<App>> {
        let caller = Caller::scheduler();
        let target = Target::app(&seen.id);
        let permit = self.gate().permit(&caller, Action::Refresh, &target)?;
        let (seen, now) = (seen.clone(), self.clock().now());
        permit.write_as(outcome, None, move |tx| {
            let place = Indexer(tx.keys()).app(&seen.id);
            let old = read_to_stay(tx, &place)?;
            if old.app != seen {
                return Err(Error::Conflict("the app was changed meanwhile".into()));
            }
            let is_same = used(&seen) == used(&next);
            let updated_at = if is_same { seen.updated_at } else { now };
            let next = App { updated_at, ..next };
            Ok(put(tx, &place, next, old.client_secret)?.app)
        })
    }
}

/// The settings, but for when they were read.
fn used(app: &App) -> Option<OAuth> {
    let oauth = app.oauth()?;
    Some(OAuth {
        metadata: None,
        ..oauth.clone()
    })
}
