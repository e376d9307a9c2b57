//! From a directory to an open vault, and back: open, unlock, lock.
//!
//! It promises: a wrong try says one thing; unlocking adds up the ledger before anything is served.
//! It never: keeps what opened the vault.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::access::Gate;
use super::audit::{Audit, Directory};
use super::create::unfinished;
use super::ledger::Ledger;
use super::{Settings, Vault, keys};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::seal::{Header, Keyring, Unlocker};
use crate::store::Store;

/// How long the next unlock try waits.
#[derive(Default)]
pub(super) struct Patience {
    failures: u32,
    not_before: Timestamp,
}

/// The store's file in the data directory.
pub(super) const FILE: &str = "vault.redb";
/// The trail's directory in the data directory.
pub(super) const AUDIT: &str = "audit";

impl Vault {
    /// Opens the vault in a directory. It is locked then.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Settings`] where others may read it, [`Error::InUse`] where
    /// another process has it, [`Error::Damaged`].
    pub fn open(directory: &Path, settings: Settings, clock: Clock) -> Result<Self> {
        check_directory(directory)?;
        unfinished::check(directory)?;
        let trail = directory.join(AUDIT);
        if trail.symlink_metadata().is_ok() {
            check_directory(&trail)?;
        }
        let store = Store::open(&directory.join(FILE))?;
        Header::parse(&store.header()?)?;
        Ok(Self::assemble(store, trail_in(directory), settings, clock))
    }

    /// Unlocks the vault. Takes as long as the key derivation was made to take; not to be called on
    /// a thread that serves others.
    ///
    /// # Errors
    /// [`Error::UnlockFailed`] whatever does not fit; [`Error::Busy`] while another try is under
    /// way or the wait after a wrong one is not over; [`Error::Damaged`] where the records do not
    /// add up.
    pub fn unlock(&self, unlocker: &Unlocker, from: &str) -> Result<()> {
        let Ok(mut patience) = self.0.patience.try_lock() else {
            return Err(Error::Busy(Duration::from_secs(2)));
        };
        if self.gate().is_open() {
            return Err(Error::AlreadyUnlocked);
        }
        let now = self.clock().now();
        if now < patience.not_before {
            return Err(Error::Busy(patience.not_before.since(now)));
        }
        self.mend_store()?;
        let stored = self.store().header()?;
        let header = Header::parse(&stored)?;
        let keys = match Keyring::unlock(&header, unlocker) {
            Ok(keys) => Arc::new(keys),
            Err(error) => {
                if error == Error::UnlockFailed {
                    patience.failed(self.clock().now());
                    tracing::warn!(from, failures = patience.failures, "a wrong unlock try");
                }
                return Err(error);
            }
        };
        let ledger = Ledger::read(&keys, &self.store().read()?)?;
        ledger.check_header(&stored)?;
        ledger.verify(&keys, &self.store().read()?)?;
        let fault = self.let_in(keys)?;
        let outcome = match std::mem::take(&mut *patience).failures {
            0 => "unlocked".to_owned(),
            failures => format!("unlocked after {failures} wrong tries"),
        };
        let local = Caller {
            from: from.to_owned(),
            ..Caller::local()
        };
        let recorded = self
            .gate()
            .permit(&local, Action::Lock, &Target::vault())
            .and_then(|permit| {
                permit.record(&outcome, None)?;
                // The ledger soon remembers a later entry: from here on the trail itself tells.
                fault.map_or(Ok(()), |fault| permit.record(&fault, None))
            })
            .and_then(|()| self.settle_in());
        if recorded.is_err() {
            // An unlock that cannot be put on record does not count.
            self.gate().shut();
        }
        recorded
    }

    /// Opens the store anew where the disk failed before. The writer does that, and while the vault
    /// is locked there is none.
    pub(super) fn mend_store(&self) -> Result<()> {
        let mended = match self.store().write() {
            Err(Error::Storage(_)) => self.store().reopen(),
            begun => begun.map(drop),
        };
        match mended {
            // What can be read is served all the same.
            Err(_) if self.store().is_for_reading_alone() => Ok(()),
            mended => mended,
        }
    }

    /// Opens the gate. What is wrong with the audit trail's end comes back.
    pub(super) fn let_in(&self, keys: Arc<Keyring>) -> Result<Option<String>> {
        // V12: until the host is known, nothing is refreshed.
        self.0.refresh_paused.store(true, Ordering::Release);
        let view = self.store().read()?;
        let ledger = Ledger::read(&keys, &view)?;
        let (audit, fault) = Audit::open(
            Arc::clone(&keys),
            self.0.trail.clone(),
            self.0.settings.audit,
            ledger.audit_head(),
        )?;
        let known = keys::load(&keys, &view)?;
        drop(view);
        Gate::open(self.gate(), &self.0.store, keys, ledger, audit, known)?;
        Ok(fault)
    }

    /// Locks the vault: what is queued is committed, then the keys are wiped.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Locked`].
    pub fn lock(&self, caller: &Caller) -> Result<()> {
        let permit = self.gate().permit(caller, Action::Lock, &Target::vault())?;
        permit.record("locked", None)?;
        drop(permit);
        self.gate().shut();
        Ok(())
    }

    /// Locks the vault and closes its file, at the end of the process.
    ///
    /// # Errors
    /// [`Error::Storage`] where the last bytes could not be written.
    pub fn close(&self) -> Result<()> {
        self.gate().shut();
        self.store().close()
    }
}

/// Where the trail of a vault in `directory` lies.
pub(super) fn trail_in(directory: &Path) -> Option<Directory> {
    Some(Directory::Files(directory.join(AUDIT)))
}

impl Patience {
    fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let doublings = self.failures.saturating_sub(1).min(16);
        let wait = limits::UNLOCK_DELAY_FIRST.saturating_mul(1 << doublings);
        self.not_before = now.plus(wait.min(limits::UNLOCK_DELAY_MAX));
    }
}

pub(super) fn check_directory(directory: &Path) -> Result<()> {
    let about = std::fs::symlink_metadata(directory).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound("vault in this directory"),
        _ => Error::Settings(format!("cannot look at {}: {error}", directory.display())),
    })?;
    if about.is_symlink() {
        return Err(Error::Settings(format!(
            "{} is a symbolic link; name the directory that it stands for",
            directory.display()
        )));
    }
    if !about.is_dir() {
        return Err(Error::Settings(format!(
            "{} is not a directory",
            directory.display()
        )));
    }
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::Settings(format!(
            "{} belongs to another user",
            directory.display()
        )));
    }
    if about.mode() & 0o077 != 0 {
        return Err(Error::Settings(format!(
            "{} is open to others (mode {:o}); make it yours alone: chmod go= {}",
            directory.display(),
            about.mode() & 0o777,
            directory.display()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
