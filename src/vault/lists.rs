//! Lists of tokens, and removal by filter.
//!
//! It promises: a list shows what the caller may list and nothing else; one call looks at a bounded
//! number of records and hands out a cursor for the rest.
//! It never: removes everything because a filter was empty.

mod own;
#[cfg(test)]
mod tests;
mod waiting;
mod walk;

use std::collections::BTreeSet;
use std::time::Duration;

pub use self::waiting::Waiting;
use super::Vault;
use super::access::Permit;
use super::apps::{self, AppSecrets};
use super::index::{Indexer, TokenKey};
use super::kept::{Doomed, Kept, doom, read};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::model::plan::{Fit, fit};
use crate::model::token::{Summary, TokenState};
use crate::model::{AppId, Owner, TenantId, UserId};
use crate::store::Scan;

/// Which tokens. An absent field stands for any.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this app.
    pub app: Option<AppId>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Of this user.
    pub user: Option<UserId>,
    /// Of exactly this owner: a user alone is no user of a tenant.
    pub owner: Option<Owner>,
    /// Of users, whoever they are: what belongs to a tenant itself does not fit.
    pub of_users: bool,
    /// In this state: usable, or waiting for their owner.
    pub active: Option<bool>,
}

/// One page of a list.
#[derive(Debug)]
pub struct TokenPage {
    /// The tokens.
    pub tokens: Vec<Summary>,
    /// Where the next page begins; `None` at the end.
    pub cursor: Option<String>,
}

/// What is told of everything that fits.
type Visit<'v> = &'v mut dyn FnMut(&Kept) -> Scan;

impl Filter {
    fn is_empty(&self) -> bool {
        self.app.is_none() && self.tenant.is_none() && self.user.is_none() && self.owner.is_none()
    }

    fn fits(&self, kept: &Kept) -> bool {
        let address = &kept.record.address;
        let is_active = kept.record.state == TokenState::Active;
        self.app.as_ref().is_none_or(|app| *app == address.app)
            && self.fits_owner(&address.owner)
            && self.active.is_none_or(|active| active == is_active)
    }

    fn fits_owner(&self, owner: &Owner) -> bool {
        let fits_tenant = |tenant: &TenantId| owner.tenant() == Some(tenant);
        self.tenant.as_ref().is_none_or(fits_tenant)
            && self
                .user
                .as_ref()
                .is_none_or(|user| owner.user() == Some(user))
            && self.owner.as_ref().is_none_or(|wanted| wanted == owner)
            && (!self.of_users || owner.user().is_some())
    }
}

impl Vault {
    /// Lists tokens, without secrets.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a cursor that was not given out for this filter; [`Error::Denied`].
    pub fn list(
        &self,
        caller: &Caller,
        filter: &Filter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<TokenPage> {
        let target = Target {
            app: filter.app.as_ref(),
            ..Target::default()
        };
        let permit = self.gate().permit(caller, Action::List, &target)?;
        let mut tokens = Vec::new();
        let limit = limit.clamp(1, limits::PAGE_MAX);
        let cursor = self.walk(&permit, caller, Action::List, filter, cursor, &mut |kept| {
            tokens.push(kept.record.summary());
            if tokens.len() < limit {
                Scan::Go
            } else {
                Scan::Stop
            }
        })?;
        permit.record(&format!("ok, {} listed", tokens.len()), None)?;
        Ok(TokenPage { tokens, cursor })
    }

    /// The apps that this very owner has a token of which can be handed out, if need be after a
    /// refresh.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn connected_apps(&self, caller: &Caller, owner: &Owner) -> Result<BTreeSet<AppId>> {
        let permit = self
            .gate()
            .permit(caller, Action::List, &Target::default())?;
        let filter = Filter {
            owner: Some(owner.clone()),
            ..Filter::default()
        };
        let (now, doubt) = (self.clock().now(), self.doubt());
        let mut apps = BTreeSet::new();
        let mut visit = |kept: &Kept| {
            let judged_at = doubt.judged_at(&kept.record, kept.sealed.version(), now);
            if fit(&kept.record, None, judged_at, Duration::ZERO) < Fit::Dead {
                apps.insert(kept.record.address.app.clone());
            }
            Scan::Go
        };
        let mut cursor: Option<String> = None;
        loop {
            let from = cursor.as_deref();
            cursor = self.walk(&permit, caller, Action::List, &filter, from, &mut visit)?;
            if cursor.is_none() {
                break;
            }
        }
        permit.record(&format!("ok, {} apps listed", apps.len()), None)?;
        Ok(apps)
    }

    /// Removes the tokens that fit, at most a page of them, from `cursor` on. Where there may be
    /// more, the cursor to go on from comes back.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty filter; [`Error::Denied`].
    pub async fn remove_tokens(
        &self,
        caller: &Caller,
        filter: &Filter,
        cursor: Option<&str>,
    ) -> Result<(Vec<(Doomed, AppSecrets)>, Option<String>)> {
        if filter.is_empty() {
            return Err(Error::invalid(
                "give `app`, `user` or `tenant`: nothing was removed",
            ));
        }
        let target = Target {
            app: filter.app.as_ref(),
            ..Target::default()
        };
        let permit = self.gate().permit(caller, Action::Delete, &target)?;
        let mut places: Vec<TokenKey> = Vec::new();
        let more = self.walk(
            &permit,
            caller,
            Action::Delete,
            filter,
            cursor,
            &mut |kept| {
                places.push(kept.place);
                if places.len() < limits::PAGE_MAX {
                    Scan::Go
                } else {
                    Scan::Stop
                }
            },
        )?;
        if places.is_empty() {
            permit.record("nothing there to remove", None)?;
            return Ok((Vec::new(), more));
        }
        let filter = filter.clone();
        let removed = permit.write(None, move |tx| {
            let mut removed = Vec::new();
            for place in places {
                // Read again: what changed meanwhile may not fit any more.
                if read(tx, &place)?.is_none_or(|kept| !filter.fits(&kept)) {
                    continue;
                }
                let Some(doomed) = doom(tx, &place)? else {
                    continue;
                };
                let app_place = Indexer(tx.keys()).app(&doomed.summary.app);
                let app = apps::read(tx, &app_place)?.ok_or(Error::NotFound("app"))?;
                removed.push((doomed, app));
            }
            Ok(removed)
        })?;
        Ok((removed.await?, more))
    }

    /// Visits what fits and the caller may act on; the cursor to go on from comes back.
    fn walk(
        &self,
        permit: &Permit,
        caller: &Caller,
        action: Action,
        filter: &Filter,
        cursor: Option<&str>,
        visit: Visit<'_>,
    ) -> Result<Option<String>> {
        match caller.person() {
            Some(person) => self.walk_own(permit, (caller, person), action, filter, cursor, visit),
            None => self.walk_ranges(permit, caller, action, filter, cursor, visit),
        }
    }
}
