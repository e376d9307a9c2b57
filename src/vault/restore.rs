//! A backup becomes a vault again, in a directory of its own.
//!
//! It promises: V17 a directory that a restore acknowledged holds a vault of which every record was
//! opened and that adds up; a restore that fails takes away what it made; one that is killed leaves
//! a directory that every command refuses, never half a vault that serves, and that the next
//! restore takes over. The restored vault begins a trail of its own, whose first entry says where
//! it comes from, and starts with refresh paused (V12).
//! It never: writes to the backup, or into a directory that holds something.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::audit::{AuditMode, Directory};
use super::check::examine;
use super::create::unfinished::Maker;
use super::create::{Made, make_directory, make_trail};
use super::ledger::{self, Ledger};
use super::unlock::{AUDIT, FILE};
use super::{Settings, Vault};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::seal::{Header, Keyring, Unlocker};
use crate::store::{Medium, Progress, Records, Store, copy_file, file_system};

/// What a restore brought back.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Restored {
    /// Number of the last commit the backup held.
    pub epoch: u64,
    /// Sealed records and index entries.
    pub entries: u64,
    /// Number of the last entry of the earlier trail that the backup knew of.
    pub audit_seq: u64,
}

impl Vault {
    /// Makes a vault of a backup, in a new directory. A try that fails leaves nothing behind. The
    /// vault is closed then, and refreshes nothing until [`Settings::accept_rollback`] is given.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such file; [`Error::Conflict`] where the directory is
    /// not empty; [`Error::UnlockFailed`]; [`Error::Damaged`] where the backup is;
    /// [`Error::Storage`]; what `progress` answers.
    pub fn restore(
        file: &Path,
        directory: &Path,
        unlocker: &Unlocker,
        clock: Clock,
        progress: &mut Progress<'_>,
    ) -> Result<Restored> {
        Self::restore_on(&file_system(), file, directory, (unlocker, clock), progress)
    }

    /// [`Vault::restore`], wherever backup and directory lie.
    pub(super) fn restore_on(
        medium: &Arc<dyn Medium>,
        file: &Path,
        directory: &Path,
        (unlocker, clock): (&Unlocker, Clock),
        progress: &mut Progress<'_>,
    ) -> Result<Restored> {
        let mut made = Made::on(medium);
        let mark = make_directory(directory, Maker::Restore, &mut made)?;
        let target = directory.join(FILE);
        copy_file(&**medium, file, &target, progress)?;
        made.push(target.clone());
        let settings = Settings {
            audit: AuditMode::Strict,
            accept_host: true,
            accept_rollback: false,
            // The restored vault's own begins where it is served.
            anchor: None,
            check_behind: false,
        };
        let store = Store::open(&**medium, &target)?;
        let trail = Directory::on(medium, &directory.join(AUDIT));
        let vault = Self::assemble(store, Some(trail), settings, clock);
        let restored = vault
            .open_copy(unlocker, progress)
            .and_then(|(keys, restored)| {
                make_trail(directory, &mut made)?;
                vault.begin_anew(keys, &restored, file)?;
                Ok(restored)
            });
        // Closed whatever came before: its files are taken away where it failed.
        let closed = vault.close();
        let restored = restored?;
        closed?;
        mark.clear()?;
        made.kept();
        Ok(restored)
    }

    /// Opens every record of the copied file.
    fn open_copy(
        &self,
        unlocker: &Unlocker,
        progress: &mut Progress<'_>,
    ) -> Result<(Keyring, Restored)> {
        let view = self.store().read()?;
        let keys = Keyring::unlock(&Header::parse(&view.header()?)?, unlocker)?;
        let report = examine(&keys, &view, progress)?;
        if let Some(problem) = report.problems.first() {
            return Err(Error::Damaged(format!(
                "this backup is damaged, in {} places (`strongroom check` names them), first: {}",
                report.problems.len() as u64 + report.more_problems,
                problem.what
            )));
        }
        let ledger = Ledger::read(&keys, &view)?;
        let restored = Restored {
            epoch: ledger.epoch,
            entries: ledger.count(),
            audit_seq: ledger.audit_seq,
        };
        Ok((keys, restored))
    }

    /// Makes a vault of its own of the copy.
    fn begin_anew(&self, keys: Keyring, restored: &Restored, file: &Path) -> Result<()> {
        self.forget_trail(&keys)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let told = format!(
            "restored from epoch {} of {name}; the earlier trail ended at entry {} or later, and \
             is no part of this one",
            restored.epoch, restored.audit_seq
        );
        self.begin_restored(Arc::new(keys), restored.epoch, &told)?;
        self.settle_in()
    }

    /// One commit: the ledger remembers no trail, since the vault's own begins.
    fn forget_trail(&self, keys: &Keyring) -> Result<()> {
        let mut ledger = Ledger::read(keys, &self.store().read()?)?;
        ledger.epoch += 1;
        (ledger.audit_seq, ledger.audit_hash) = (0, [0; 32]);
        let write = self.store().write()?;
        write.put_record(Records::Meta, ledger::KEY, &ledger.seal(keys)?)?;
        write.commit()
    }
}
