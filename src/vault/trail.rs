//! The audit trail, for those who may read it.
//!
//! It promises: reading the trail is itself on record.
//! It never: shows more than the trail holds, which is no secret.

use super::Vault;
use super::audit::{Page, Verified};
use super::ledger::Ledger;
use crate::error::Result;
use crate::limits;
use crate::model::access::{Action, Caller, Target};

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

    /// Reads the whole trail and checks its chain. Takes time in proportion to its length.
    ///
    /// # Errors
    /// [`crate::error::Error::Denied`], [`crate::error::Error::AuditUnavailable`].
    pub fn verify_audit(&self, caller: &Caller) -> Result<Verified> {
        let permit = self
            .gate()
            .permit(caller, Action::Audit, &Target::vault())?;
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
