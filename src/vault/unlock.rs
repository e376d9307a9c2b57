//! From a directory to an open vault, and back: create, open, unlock, lock, key slots.
//!
//! It promises: what `init` makes is made exclusively or not at all; a wrong try says one thing;
//! unlocking adds up the ledger before anything is served.
//! It never: keeps what opened the vault.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::access::Gate;
use super::audit::Audit;
use super::ledger::{self, Ledger};
use super::writer::Tx;
use super::{Settings, Vault, keys};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::seal::{Header, KdfParams, Keyring, RecoveryCode, SlotKind, Unlocker};
use crate::secret::Secret;
use crate::store::{Records, Store};

/// What a new vault hands to its owner, once.
pub struct NewVault {
    /// The vault, unlocked.
    pub vault: Vault,
    /// The recovery code, to be written down.
    pub recovery_code: Secret<String>,
    /// The first access key, which may do everything.
    pub access_key: Secret<String>,
}

/// A key slot, to show.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SlotInfo {
    /// Names it.
    pub number: u32,
    /// What opens it.
    pub kind: &'static str,
    /// What people call it.
    pub label: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Memory of a try, in KiB, for passphrases.
    pub kdf_memory_kib: Option<u32>,
}

/// How long the next unlock try waits.
#[derive(Default)]
pub(super) struct Patience {
    failures: u32,
    not_before: Timestamp,
}

const FILE: &str = "vault.redb";
const AUDIT: &str = "audit";

impl Vault {
    /// Creates a vault in a new directory.
    ///
    /// # Errors
    /// [`Error::Conflict`] where the directory exists and is not empty; [`Error::Invalid`] for a
    /// weak passphrase; [`Error::Storage`].
    pub fn create(
        directory: &Path,
        passphrase: Secret<String>,
        kdf: KdfParams,
        settings: Settings,
        clock: Clock,
    ) -> Result<NewVault> {
        crate::seal::check_passphrase(&passphrase)?;
        make_directory(directory)?;
        let recovery = RecoveryCode::generate();
        let recovery_code = recovery.to_text();
        let (passphrase, recovery) = (
            Unlocker::Passphrase(passphrase),
            Unlocker::RecoveryCode(recovery),
        );
        let slots = [(&passphrase, "made at init"), (&recovery, "made at init")];
        let (keys, header) = Keyring::create(&slots, kdf, clock.now())?;
        let audit = directory.join(AUDIT);
        DirBuilder::new()
            .mode(0o700)
            .create(&audit)
            .map_err(|error| {
                Error::Storage(format!("cannot create {}: {error}", audit.display()))
            })?;
        let store = Store::create(&directory.join(FILE), &header.to_bytes())?;
        let vault = Self::assemble(store, Some(directory), settings, clock);
        let access_key = vault.begin(keys)?;
        Ok(NewVault {
            vault,
            recovery_code,
            access_key,
        })
    }

    /// A vault without files, unlocked, gone when the process ends: for development and tests.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Settings`] where there is no memory.
    pub fn in_memory(clock: Clock) -> Result<(Self, Secret<String>)> {
        Self::on(Store::in_memory, clock)
    }

    /// A vault on a disk that fails on demand.
    #[cfg(test)]
    pub(crate) fn on_disk(
        disk: &crate::store::faulty::Faulty,
        clock: Clock,
    ) -> Result<(Self, Secret<String>)> {
        Self::on(|header| Store::on_backend(disk, Some(header)), clock)
    }

    fn on(
        make: impl FnOnce(&[u8]) -> Result<Store>,
        clock: Clock,
    ) -> Result<(Self, Secret<String>)> {
        let recovery = Unlocker::RecoveryCode(RecoveryCode::generate());
        let (keys, header) =
            Keyring::create(&[(&recovery, "memory")], KdfParams::FLOOR, clock.now())?;
        let store = make(&header.to_bytes())?;
        let vault = Self::assemble(store, None, Settings::default(), clock);
        let access_key = vault.begin(keys)?;
        Ok((vault, access_key))
    }

    /// The first unlock of a vault just made: an empty ledger, a host, an admin key.
    fn begin(&self, keys: Keyring) -> Result<Secret<String>> {
        let keys = Arc::new(keys);
        let write = self.store().write()?;
        let ledger = Ledger::default();
        write.put_record(Records::Meta, ledger::KEY, &ledger.seal(&keys)?)?;
        write.commit()?;
        self.let_in(keys)?;
        self.settle_in()?;
        self.first_key()
    }

    /// Opens the vault in a directory. It is locked then.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Settings`] where others may read it, [`Error::Conflict`] where
    /// another process has it, [`Error::Damaged`].
    pub fn open(directory: &Path, settings: Settings, clock: Clock) -> Result<Self> {
        check_directory(directory)?;
        let store = Store::open(&directory.join(FILE))?;
        Header::parse(&store.header()?)?;
        Ok(Self::assemble(store, Some(directory), settings, clock))
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
        let header = Header::parse(&self.store().header()?)?;
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

    /// Opens the gate. What is wrong with the audit trail's end comes back.
    fn let_in(&self, keys: Arc<Keyring>) -> Result<Option<String>> {
        // V12: until the host is known, nothing is refreshed.
        self.0.refresh_paused.store(true, Ordering::Release);
        let directory = self
            .0
            .directory
            .as_ref()
            .map(|directory| directory.join(AUDIT));
        let view = self.store().read()?;
        let ledger = Ledger::read(&keys, &view)?;
        let (audit, fault) = Audit::open(
            Arc::clone(&keys),
            directory.as_deref(),
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

    /// The key slots. They are known without a key.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`].
    pub fn slots(&self) -> Result<Vec<SlotInfo>> {
        let header = Header::parse(&self.store().header()?)?;
        let slots = header.slots().iter().map(|slot| SlotInfo {
            number: slot.number,
            kind: slot.kind.as_str(),
            label: slot.label.clone(),
            created_at: slot.created_at,
            kdf_memory_kib: slot.kdf.map(KdfParams::memory_kib),
        });
        Ok(slots.collect())
    }

    /// Adds a way to unlock the vault; the slot's number comes back.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a weak passphrase or too many slots; [`Error::Denied`].
    pub fn add_slot(
        &self,
        caller: &Caller,
        unlocker: Unlocker,
        label: &str,
        kdf: KdfParams,
    ) -> Result<u32> {
        if let Unlocker::Passphrase(passphrase) = &unlocker {
            crate::seal::check_passphrase(passphrase)?;
        }
        let permit = self.gate().permit(caller, Action::Lock, &Target::vault())?;
        let label = label.to_owned();
        let now = self.clock().now();
        let write = permit.write(None, move |tx| {
            let header = own_header(tx)?;
            let header = tx.keys().add_slot(&header, &unlocker, &label, kdf, now)?;
            let number = header.slots().last().map_or(0, |slot| slot.number);
            tx.put_header(&header);
            Ok(number)
        })?;
        write.wait()
    }

    /// Takes a way to unlock the vault away.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for the last one; [`Error::Denied`].
    pub fn remove_slot(&self, caller: &Caller, number: u32) -> Result<()> {
        let permit = self.gate().permit(caller, Action::Lock, &Target::vault())?;
        let write = permit.write(None, move |tx| {
            let header = own_header(tx)?;
            let header = tx.keys().remove_slot(&header, number)?;
            tx.put_header(&header);
            Ok(())
        })?;
        write.wait()
    }

    /// Puts a new passphrase in the place of every passphrase slot.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a weak passphrase; [`Error::Denied`].
    pub fn change_passphrase(
        &self,
        caller: &Caller,
        passphrase: Secret<String>,
        kdf: KdfParams,
    ) -> Result<()> {
        crate::seal::check_passphrase(&passphrase)?;
        let permit = self.gate().permit(caller, Action::Lock, &Target::vault())?;
        let now = self.clock().now();
        let write = permit.write(None, move |tx| {
            let mut header = own_header(tx)?;
            let old: Vec<u32> = header
                .slots()
                .iter()
                .filter(|slot| slot.kind == SlotKind::Passphrase)
                .map(|slot| slot.number)
                .collect();
            // Added before the old ones go, in one transaction: there is no moment without a way
            // in.
            let unlocker = Unlocker::Passphrase(passphrase);
            header = tx
                .keys()
                .add_slot(&header, &unlocker, "changed", kdf, now)?;
            for number in old {
                header = tx.keys().remove_slot(&header, number)?;
            }
            tx.put_header(&header);
            Ok(())
        })?;
        write.wait()
    }
}

/// The stored header, as these keys signed it: a header changed behind the vault's back is refused,
/// not signed again.
fn own_header(tx: &Tx<'_>) -> Result<Header> {
    let header = Header::parse(&tx.header()?)?;
    if tx.keys().signed(&header) {
        Ok(header)
    } else {
        Err(Error::Damaged("the vault's header was changed".into()))
    }
}

impl Patience {
    fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let doublings = self.failures.saturating_sub(1).min(16);
        let wait = limits::UNLOCK_DELAY_FIRST.saturating_mul(1 << doublings);
        self.not_before = now.plus(wait.min(limits::UNLOCK_DELAY_MAX));
    }
}

fn make_directory(directory: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            check_directory(directory)?;
            let mut entries = std::fs::read_dir(directory)
                .map_err(|error| Error::Settings(format!("{}: {error}", directory.display())))?;
            match entries.next() {
                None => Ok(()),
                Some(_) => Err(Error::Conflict(format!(
                    "{} is not empty; a vault is made in a directory of its own",
                    directory.display()
                ))),
            }
        }
        Err(error) => Err(Error::Settings(format!(
            "cannot create {}: {error}",
            directory.display()
        ))),
    }
}

fn check_directory(directory: &Path) -> Result<()> {
    let about = std::fs::symlink_metadata(directory).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound("vault in this directory"),
        _ => Error::Settings(format!("cannot look at {}: {error}", directory.display())),
    })?;
    if !about.is_dir() {
        return Err(Error::Settings(format!(
            "{} is not a directory",
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
