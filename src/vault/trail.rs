//! The audit trail, for those who may read it.
//!
//! It promises: reading the trail is itself on record; a page that follows it is so now and then,
//! by the look that it follows it under.
//! It never: shows more than the trail holds, which is no secret.

use std::collections::BTreeMap;
use std::sync::TryLockError;

use super::access::Permit;
use super::audit::{Entry, Page, Verified};
use super::ledger::Ledger;
use super::{Looked, Vault};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target};

/// Which entries. An absent field stands for any.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of callers whose name begins with this.
    pub caller: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// On this app.
    pub app: Option<String>,
    /// Of this user.
    pub user: Option<String>,
    /// Refused, or allowed.
    pub is_refused: Option<bool>,
}

impl AuditFilter {
    fn fits(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, own: &Option<String>| wanted.is_none() || wanted == own;
        let action = self.action.as_ref();
        let caller = self.caller.as_ref();
        is(&self.app, &entry.app)
            && is(&self.user, &entry.user)
            && action.is_none_or(|action| *action == entry.action)
            && caller.is_none_or(|caller| entry.caller.starts_with(caller.as_str()))
            && self
                .is_refused
                .is_none_or(|refused| refused != entry.allowed)
    }
}

impl Vault {
    /// Reads a page of the trail, newest first.
    ///
    /// # Errors
    /// [`crate::error::Error::Denied`]; [`crate::error::Error::Invalid`] for a foreign cursor.
    pub fn audit(&self, caller: &Caller, cursor: Option<&str>, limit: usize) -> Result<Page> {
        let permit = self
            .gate()
            .permit(caller, Action::Audit, &Target::vault())?;
        let page = permit
            .audit()
            .page(cursor, limit.clamp(1, limits::PAGE_MAX))?;
        permit.record("ok", None)?;
        Ok(page)
    }

    /// Looks for entries, newest first: at most `limit` that fit, among so many
    /// ([`limits::CONSOLE_AUDIT_SCAN_MAX`]). The place to go on from comes back, where there is
    /// more to look through.
    ///
    /// # Errors
    /// As [`Self::audit`].
    pub fn audit_search(
        &self,
        caller: &Caller,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        let permit = self
            .gate()
            .permit(caller, Action::Audit, &Target::vault())?;
        let found = search(&permit, filter, cursor, limit)?;
        permit.record(&format!("ok, {} entries", found.entries.len()), None)?;
        Ok(found)
    }

    /// What the access keys that entries tell of are called, by the callers' names; of keys that
    /// are gone nothing. For who may see keys; nobody else learns a name.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`].
    pub fn names_in(&self, caller: &Caller, page: &Page) -> Result<BTreeMap<String, String>> {
        let mut names = BTreeMap::new();
        if !self.would_allow(caller, Action::Keys, &Target::vault()) {
            return Ok(names);
        }
        let now = self.clock().now();
        for entry in &page.entries {
            let Some(id) = entry.caller.strip_prefix("key:") else {
                continue;
            };
            if !names.contains_key(&entry.caller)
                && let Some(key) = self.gate().usable_key(id, now)?
            {
                names.insert(entry.caller.clone(), key.name.clone());
            }
        }
        Ok(names)
    }

    /// The newest entries that fit, for a page that follows the trail, under a look that is on
    /// record with the same filter. Older ones are searched for ([`Self::audit_search`]).
    ///
    /// # Errors
    /// As [`Self::audit`].
    pub fn audit_followed(
        &self,
        looked: &Looked,
        filter: &AuditFilter,
        limit: usize,
    ) -> Result<Page> {
        let permit = self
            .gate()
            .permit(looked.caller(), Action::Audit, &Target::vault())?;
        search(&permit, filter, None, limit)
    }

    /// Reads the whole trail and checks its chain. Takes time in proportion to its length.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::AuditUnavailable`]; [`Error::Busy`] while it is being done.
    pub fn verify_audit(&self, caller: &Caller) -> Result<Verified> {
        let permit = self
            .gate()
            .permit(caller, Action::Audit, &Target::vault())?;
        permit.may_say_no()?;
        let alone = self.0.verifying.try_lock();
        if matches!(alone, Err(TryLockError::WouldBlock)) {
            // Each reads the whole trail, and holds a file open.
            return Err(Error::Busy(limits::BACKOFF_FIRST));
        }
        let ledger = Ledger::read(permit.keys(), &self.store().read()?)?;
        let found = permit
            .audit()
            .verify(ledger.audit_seq, &ledger.audit_hash)?;
        let outcome = match found.problems.len() {
            0 => "verified".to_owned(),
            count => format!("{count} problems found"),
        };
        permit.record(&outcome, None)?;
        Ok(found)
    }
}

fn search(
    permit: &Permit,
    filter: &AuditFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page> {
    let mut found = Page {
        entries: Vec::new(),
        cursor: cursor.map(str::to_owned),
    };
    let mut left = limits::CONSOLE_AUDIT_SCAN_MAX;
    loop {
        // No more than may still fit, so that the place to go on from is exact.
        let wanted = (limit - found.entries.len())
            .min(left)
            .min(limits::PAGE_MAX);
        let page = permit.audit().page(found.cursor.as_deref(), wanted)?;
        left -= page.entries.len().min(left);
        let fitting = page.entries.into_iter().filter(|entry| filter.fits(entry));
        found.entries.extend(fitting);
        found.cursor = page.cursor;
        if found.cursor.is_none() || found.entries.len() >= limit || left == 0 {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Timestamp};

    /// Goal: the trail is read whole by one at a time, and who comes meanwhile is told to come
    /// back. Method: hold the place.
    #[test]
    fn one_verification_at_a_time() {
        let clock = Clock::test(Timestamp::from_unix_ms(1_800_000_000_000));
        let (vault, _) = Vault::in_memory(clock).unwrap();
        let me = Caller::local();
        let held = vault.0.verifying.lock().unwrap();
        assert_eq!(
            vault.verify_audit(&me),
            Err(Error::Busy(limits::BACKOFF_FIRST))
        );
        drop(held);
        for _ in 0..2 {
            assert_eq!(vault.verify_audit(&me).unwrap().problems, [""; 0]);
        }
    }
}
