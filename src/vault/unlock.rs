//! From a directory to an open vault, and back: open, unlock, lock.
//!
//! It promises: a wrong try says one thing; unlocking adds up the ledger before anything is served,
//! unless the file is checked behind the first answers (`behind`).
//! It never: keeps what opened the vault.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::anchor::Anchor;
use super::audit::{Audit, Directory};
use super::behind::{Board, Check};
use super::create::unfinished;
use super::ledger::{Filled, Ledger};
use super::line::{Source, Turn};
use super::{Settings, Vault, keys};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::model::access::{Action, Caller, Target};
use crate::seal::{Header, Keyring, Unlocker};
use crate::store::{Medium, Store, clear_partial, file_system};

/// The store's file in the data directory.
pub(super) const FILE: &str = "vault.redb";
/// The trail's directory in the data directory.
pub(super) const AUDIT: &str = "audit";
/// Beside it, where the vault was salvaged: the trail of the damaged one, as it was found.
pub(super) const AUDIT_BEFORE: &str = "audit-before-salvage";

impl Vault {
    /// Opens the vault in a directory. It is locked then.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Settings`] where others may read it, [`Error::InUse`] where
    /// another process has it, [`Error::Damaged`].
    pub fn open(directory: &Path, settings: Settings, clock: Clock) -> Result<Self> {
        Self::open_on(&file_system(), directory, settings, clock)
    }

    /// [`Vault::open`], wherever the directory lies.
    pub(super) fn open_on(
        medium: &Arc<dyn Medium>,
        directory: &Path,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self> {
        medium.check_directory(directory)?;
        unfinished::check(&**medium, directory)?;
        let trail = directory.join(AUDIT);
        if medium.has(&trail) {
            medium.check_directory(&trail)?;
        }
        let file = directory.join(FILE);
        // What is let in on the operator's word is looked at whole before that.
        let store = match settings.check_behind && !settings.accept_rollback {
            true => Store::open_unchecked(&**medium, &file)?,
            false => Store::open(&**medium, &file)?,
        };
        if let Err(error) = clear_partial(&**medium, &file) {
            // In nobody's way: it is not the vault, whatever is in it.
            tracing::warn!(%error, "what a compaction left is still there");
        }
        Header::parse(&store.header()?)?;
        let trail = Directory::on(medium, &trail);
        Ok(Self::assemble(store, Some(trail), settings, clock))
    }

    /// Unlocks the vault for the program it is embedded in. Takes as long as the key derivation was
    /// made to take; not to be called on a thread that serves others.
    ///
    /// # Errors
    /// [`Error::UnlockFailed`] whatever does not fit; [`Error::Busy`] while another try is under
    /// way or the wait after a wrong one is not over; [`Error::Damaged`] where the records do not
    /// add up; [`Error::RolledBack`] where they do not fit the anchor.
    pub fn unlock(&self, unlocker: &Unlocker, from: &str) -> Result<()> {
        if self.gate().is_open() {
            return Err(Error::AlreadyUnlocked);
        }
        let turn = self.0.line.at_once(Source::Here, self.clock().now())?;
        self.unlock_in_turn(turn, unlocker, from)
    }

    /// Unlocks the vault for whoever has waited for a turn. Takes as long as [`Vault::unlock`].
    ///
    /// # Errors
    /// Those of [`Vault::unlock`] but [`Error::Busy`].
    pub fn unlock_in_turn(&self, turn: Turn, unlocker: &Unlocker, from: &str) -> Result<()> {
        if self.gate().is_open() {
            return Err(Error::AlreadyUnlocked);
        }
        self.0.behind.may_unlock()?;
        self.mend_store()?;
        let stored = self.store().header()?;
        let header = Header::parse(&stored)?;
        let keys = match Keyring::unlock(&header, unlocker) {
            Ok(keys) => Arc::new(keys),
            Err(error) => {
                if error == Error::UnlockFailed {
                    let failures = self.0.line.failed(&turn, self.clock().now());
                    tracing::warn!(from, failures, "a wrong unlock try");
                }
                return Err(error);
            }
        };
        // Nobody is let in before the unlock is on record and its anchor knows the file.
        self.gate().hold(true);
        // Before a check may begin behind it, which may soon have a reason of its own.
        *self.locked_because() = None;
        let outcome = self.unlock_with(keys, &stored, (&turn, from));
        self.gate().hold(false);
        if let Err(error) = &outcome {
            tracing::error!(%error, "the vault stays locked");
            *self.locked_because() = Some(error.code());
        }
        outcome
    }

    /// Adds up the records, compares them with the anchor, and lets callers in.
    fn unlock_with(
        &self,
        keys: Arc<Keyring>,
        stored: &[u8],
        (turn, from): (&Turn, &str),
    ) -> Result<()> {
        let view = self.store().read()?;
        let (ledger, digest) = Ledger::read_with_digest(&keys, &view)?;
        ledger.check_header(stored)?;
        let is_unchecked = self.store().is_unchecked();
        match is_unchecked {
            true => ledger.check_notes(&view)?,
            false => ledger.verify(&keys, &view)?,
        }
        drop(view);
        let moored = self.moor(&keys, &ledger, digest)?;
        let board = is_unchecked.then(|| Board::new(&ledger, self.clock()));
        let (fault, set_back) =
            self.let_in_while(Arc::clone(&keys), moored.anchor.clone(), board.clone())?;
        let outcome = match self.0.line.opened(turn) {
            0 => "unlocked".to_owned(),
            failures => format!("unlocked after {failures} wrong tries"),
        };
        let local = Caller {
            from: from.into(),
            ..Caller::local()
        };
        let recorded = self
            .gate()
            .permit(&local, Action::Lock, &Target::vault())
            .and_then(|permit| {
                permit.record(&outcome, None)?;
                // The ledger soon remembers a later entry: from here on the trail itself tells.
                for told in fault.iter().chain(&set_back) {
                    permit.record(told, None)?;
                }
                let Some(board) = board else {
                    self.settle_anchor(&permit, moored)?;
                    drop(permit);
                    self.settle_in()?;
                    self.resume_filling()?;
                    return self.resume_rotation();
                };
                self.start_check(Check {
                    store: Arc::clone(&self.0.store),
                    keys,
                    board,
                    header: stored.to_owned(),
                    ledger: digest,
                    moored,
                })
            });
        if recorded.is_err() {
            // An unlock that cannot be put on record does not count.
            self.gate().shut();
        }
        recorded
    }

    /// Opens the store anew where the disk failed before. The writer does that, and while the vault
    /// is locked there is none.
    pub(super) fn mend_store(&self) -> Result<()> {
        // One that is not checked takes no writes, and is in no trouble while it can be read.
        if self.store().is_unchecked() && self.store().header().is_ok() {
            return Ok(());
        }
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

    /// Opens the gate. What is wrong with the audit trail's end comes back, and with the clock.
    pub(super) fn let_in(
        &self,
        keys: Arc<Keyring>,
        anchor: Option<Arc<Anchor>>,
    ) -> Result<(Option<String>, Option<String>)> {
        self.let_in_while(keys, anchor, None)
    }

    /// [`Self::let_in`], while a check goes on where there is a board for one.
    fn let_in_while(
        &self,
        keys: Arc<Keyring>,
        anchor: Option<Arc<Anchor>>,
        board: Option<Arc<Board>>,
    ) -> Result<(Option<String>, Option<String>)> {
        // V12: until the host is known, nothing is refreshed.
        self.0.refresh_paused.store(true, Ordering::Release);
        let view = self.store().read()?;
        let ledger = Ledger::read(&keys, &view)?;
        self.0.filler.set_whole(*ledger.filled() == Filled::Whole);
        let (audit, fault) = Audit::open(
            Arc::clone(&keys),
            self.0.trail.clone(),
            self.0.settings.audit,
            ledger.audit_head(),
        )?;
        let set_back = self.doubt_clock(&ledger, &audit);
        let known = keys::load(&keys, &view)?;
        drop(view);
        self.gate()
            .open(&self.0.store, keys, audit, known, anchor, board)?;
        Ok((fault, set_back))
    }

    /// Refuses whoever may not lock the vault.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Locked`].
    pub fn may_lock(&self, caller: &Caller) -> Result<()> {
        self.gate()
            .permit(caller, Action::Lock, &Target::vault())
            .map(drop)
    }

    /// Locks the vault: what is queued is committed, then the keys are wiped. Where tokens are
    /// refreshed, `Refresher::lock` is to be called instead, which has them stored first.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Locked`].
    pub fn lock(&self, caller: &Caller) -> Result<()> {
        let permit = self.gate().permit(caller, Action::Lock, &Target::vault())?;
        permit.record("locked", None)?;
        drop(permit);
        self.0.behind.stop();
        self.0.rotator.stop();
        self.0.filler.stop();
        self.gate().shut();
        self.0.backups.join();
        Ok(())
    }

    /// Locks the vault and closes its file, at the end of the process.
    ///
    /// # Errors
    /// [`Error::Storage`] where the last bytes could not be written.
    pub fn close(&self) -> Result<()> {
        self.0.behind.stop();
        self.0.rotator.stop();
        self.0.filler.stop();
        // The next start knows by it what time it must be at least. One that cannot be written is
        // no reason to stay.
        let closed = self
            .gate()
            .permit(&Caller::local(), Action::Lock, &Target::vault())
            .and_then(|permit| permit.record("closed", None));
        if let Err(error) = closed
            && error != Error::Locked
        {
            tracing::warn!(%error, "that the vault is closed is not on record");
        }
        self.gate().shut();
        self.0.backups.join();
        self.store().close()
    }
}

#[cfg(test)]
mod tests;
