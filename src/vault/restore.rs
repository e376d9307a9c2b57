//! A backup becomes a vault again, in a directory of its own.
//!
//! It promises: V17 what stands under the vault's name after a restore was opened, every record of
//! it, and adds up; a restore that fails takes away what it made; one that is killed leaves a
//! directory that is refused, never half a vault that serves. The restored vault begins a trail of
//! its own, whose first entry says where it comes from, and starts with refresh paused (V12).
//! It never: writes to the backup, or into a directory that holds something.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::audit::AuditMode;
use super::check::examine;
use super::host::{RESTORED, RestoredFrom};
use super::ledger::{self, Ledger};
use super::records::encode;
use super::unlock::{AUDIT, FILE, check_directory, trail_in};
use super::{Settings, Vault};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::model::access::{Action, Caller, Target};
use crate::seal::{Context, Header, Keyring, Unlocker};
use crate::store::{Progress, Records, Store, copy_file, publish, sync_directory};

/// The name of a vault's file until the restore is done: `Vault::open` does not know it.
const UNFINISHED: &str = "vault.redb.restoring";

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
        refuse_unfinished(directory)?;
        let mut undo = Undo {
            directory,
            made: make_directory(directory)?,
            kept: false,
        };
        let unfinished = directory.join(UNFINISHED);
        copy_file(file, &unfinished, progress)?;
        let settings = Settings {
            audit: AuditMode::Strict,
            accept_host: true,
            accept_rollback: false,
            // The restored vault's own begins where it is served.
            anchor: None,
        };
        let store = Store::open(&unfinished)?;
        let vault = Self::assemble(store, trail_in(directory), settings, clock);
        let restored = vault.take_over(file, unlocker, progress);
        let closed = vault.close();
        let restored = restored?;
        closed?;
        sync_directory(&directory.join(AUDIT))?;
        publish(&unfinished, &directory.join(FILE))?;
        let parent = directory.parent().filter(|parent| *parent != Path::new(""));
        sync_directory(parent.unwrap_or(Path::new(".")))?;
        undo.kept = true;
        Ok(restored)
    }

    /// Opens all of the copied file, and makes a vault of its own of it.
    fn take_over(
        &self,
        file: &Path,
        unlocker: &Unlocker,
        progress: &mut Progress<'_>,
    ) -> Result<Restored> {
        let stored = self.store().header()?;
        let keys = Keyring::unlock(&Header::parse(&stored)?, unlocker)?;
        let keys = Arc::new(keys);
        let report = examine(&keys, &self.store().read()?, progress)?;
        if let Some(problem) = report.problems.first() {
            return Err(Error::Damaged(format!(
                "this backup is damaged, in {} places (`strongroom check` names them), first: {}",
                report.problems.len() as u64 + report.more_problems,
                problem.what
            )));
        }
        let mut ledger = Ledger::read(&keys, &self.store().read()?)?;
        let restored = Restored {
            epoch: ledger.epoch,
            entries: ledger.count,
            audit_seq: ledger.audit_seq,
        };
        self.mark_restored(&keys, &mut ledger)?;
        let audit = self.directory().unwrap_or(Path::new("."));
        let audit = audit.join(AUDIT);
        DirBuilder::new()
            .mode(0o700)
            .create(&audit)
            .map_err(|error| {
                Error::Storage(format!("cannot create {}: {error}", audit.display()))
            })?;
        self.let_in(keys, None)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let told = format!(
            "restored from epoch {} of {name}; the earlier trail ended at entry {} or later, and \
             is no part of this one",
            restored.epoch, restored.audit_seq
        );
        let permit = self
            .gate()
            .permit(&Caller::local(), Action::Backup, &Target::vault())?;
        permit.record(&told, None)?;
        self.settle_in()?;
        Ok(restored)
    }

    /// One commit: the vault remembers that it was restored, and no trail, since its own begins.
    fn mark_restored(&self, keys: &Keyring, ledger: &mut Ledger) -> Result<()> {
        let from = RestoredFrom {
            epoch: ledger.epoch,
            at: self.clock().now(),
        };
        let context = Context {
            table: Records::Meta.name(),
            identity: RESTORED,
            version: ledger.take_version(),
        };
        let sealed = keys.seal(context, &[&encode(&from)])?;
        ledger.epoch += 1;
        (ledger.audit_seq, ledger.audit_hash) = (0, [0; 32]);
        let write = self.store().write()?;
        write.put_record(Records::Meta, RESTORED, &sealed)?;
        write.put_record(Records::Meta, ledger::KEY, &ledger.seal(keys)?)?;
        write.commit()
    }
}

/// Makes the data directory, or finds it empty. True where it was made.
fn make_directory(directory: &Path) -> Result<bool> {
    let refused =
        |error| Error::Settings(format!("cannot create {}: {error}", directory.display()));
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => return Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(refused(error)),
    }
    check_directory(directory)?;
    match std::fs::read_dir(directory).map_err(refused)?.next() {
        None => Ok(false),
        Some(_) => Err(Error::Conflict(format!(
            "{} is not empty; a vault is restored into a directory of its own",
            directory.display()
        ))),
    }
}

/// Refuses a directory in which a restore was killed: nothing in it is a vault.
pub(super) fn refuse_unfinished(directory: &Path) -> Result<()> {
    match std::fs::symlink_metadata(directory.join(UNFINISHED)) {
        Err(_) => Ok(()),
        Ok(_) => Err(Error::Settings(format!(
            "a restore into {directory} was not finished: remove {directory} and restore again",
            directory = directory.display()
        ))),
    }
}

/// What a restore made, taken away again unless it is kept.
struct Undo<'a> {
    directory: &'a Path,
    made: bool,
    kept: bool,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let at = |name: &str| self.directory.join(name);
        let mut steps = vec![
            std::fs::remove_file(at(UNFINISHED)),
            std::fs::remove_file(at(FILE)),
            std::fs::remove_dir_all(at(AUDIT)),
        ];
        if self.made {
            steps.push(std::fs::remove_dir(self.directory));
        }
        for error in steps.into_iter().filter_map(std::result::Result::err) {
            if error.kind() != ErrorKind::NotFound {
                let directory = self.directory.display();
                tracing::error!(%directory, %error, "left behind by a failed restore");
            }
        }
    }
}
