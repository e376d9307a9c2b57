//! The audit trail, for those who may read it.
//!
//! It promises: reading the trail is itself on record.
//! It never: shows more than the trail holds, which is no secret.

use std::sync::TryLockError;

use super::Vault;
use super::audit::{Page, Verified};
use super::ledger::Ledger;
use crate::error::{Error, Result};
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
