//! How many tokens wait for their owner: a count for whoever looks after the vault.
//!
//! It promises: what is counted is what the caller may list; the count is bounded, and says so
//! where there are more.
//! It never: names an owner.

use std::collections::BTreeMap;

use super::Filter;
use crate::error::Result;
use crate::limits;
use crate::model::AppId;
use crate::model::access::{Action, Caller, Target};
use crate::model::token::Summary;
use crate::store::Scan;
use crate::vault::access::Permit;
use crate::vault::{Looked, Vault};

/// How many tokens wait until their owner has connected again.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Waiting {
    /// Of all apps.
    pub tokens: usize,
    /// Of each app that has one, as far as they were counted.
    pub by_app: BTreeMap<AppId, usize>,
    /// There are more than were counted, or may be: the count ended before the list did.
    pub more: bool,
}

impl Vault {
    /// Counts the tokens that wait for their owner, at most `limit` of them and never more than
    /// [`limits::WAITING_COUNT_MAX`]; what the caller may not list is not there.
    ///
    /// # Errors
    /// [`crate::error::Error::Denied`], [`crate::error::Error::Locked`].
    pub fn waiting(&self, caller: &Caller, limit: usize) -> Result<Waiting> {
        let permit = self
            .gate()
            .permit(caller, Action::List, &Target::default())?;
        let (counted, _) = self.count_waiting(&permit, caller, limit, 0)?;
        permit.record(&format!("ok, {} waiting counted", counted.tokens), None)?;
        Ok(counted)
    }

    /// [`Self::waiting`] as far as it is counted at all, with the `first` of them, under a look
    /// that is on record. `None` for who may not list.
    ///
    /// # Errors
    /// [`crate::error::Error::Locked`], [`crate::error::Error::Damaged`].
    pub fn waiting_seen(
        &self,
        looked: &Looked,
        first: usize,
    ) -> Result<Option<(Waiting, Vec<Summary>)>> {
        let (caller, target) = (looked.caller(), Target::default());
        if !self.would_allow(caller, Action::List, &target) {
            return Ok(None);
        }
        let permit = self.gate().permit(caller, Action::List, &target)?;
        let limit = limits::WAITING_COUNT_MAX;
        self.count_waiting(&permit, caller, limit, first).map(Some)
    }

    fn count_waiting(
        &self,
        permit: &Permit,
        caller: &Caller,
        limit: usize,
        first: usize,
    ) -> Result<(Waiting, Vec<Summary>)> {
        let limit = limit.clamp(1, limits::WAITING_COUNT_MAX);
        let filter = Filter {
            active: Some(false),
            ..Filter::default()
        };
        let (mut counted, mut named) = (Waiting::default(), Vec::new());
        let left = self.walk(permit, caller, Action::List, &filter, None, &mut |kept| {
            // One beyond the limit tells that there are more.
            if counted.tokens == limit {
                counted.more = true;
                return Scan::Stop;
            }
            counted.tokens += 1;
            if named.len() < first {
                named.push(kept.record.summary());
            }
            let app = kept.record.address.app.clone();
            *counted.by_app.entry(app).or_default() += 1;
            Scan::Go
        })?;
        counted.more |= left.is_some();
        Ok((counted, named))
    }
}
