//! Backups of a vault that is in use: one file with what one moment held, sealed as it is.
//!
//! It promises: V16 a file under a backup's name was opened again, adds up, and is the vault as it
//! was at the epoch in its name; nothing is ever put in another's place; writers and readers go on
//! meanwhile (the vault's file grows by what is written until the copy is done, since the pages the
//! copy reads are not used again before).
//! It never: holds a key, a passphrase or the audit trail. What opens the vault at that moment
//! opens its backup, for ever: a passphrase changed or a token deleted later is not changed or
//! deleted there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde::Serialize;

use super::Vault;
use super::access::Permit;
use super::ledger::Ledger;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::seal::Keyring;
use crate::store::{Medium, Progress, Read, Store, is_free, publish};

/// How a backup stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupState {
    /// Being written or verified.
    Running,
    /// Verified, and under its name.
    Done,
    /// Given up; what there was of it is taken away.
    Failed,
}

/// The latest backup since the process began.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Backup {
    /// How it stands.
    pub state: BackupState,
    /// The file that holds it, or is to hold it.
    pub file: PathBuf,
    /// Number of the last commit it holds.
    pub epoch: u64,
    /// Steps done: each entry is copied, then verified.
    pub done: u64,
    /// Steps there are.
    pub total: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// Why it failed.
    pub error: Option<Error>,
}

/// Where the latest backup is kept in mind: one at a time.
#[derive(Default)]
pub(super) struct Desk {
    latest: Mutex<Option<Backup>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Desk {
    /// Takes the turn, unless a backup is running.
    fn begin(&self, backup: Backup) -> Result<()> {
        let mut latest = self.latest.lock().expect("no holder panics");
        match latest.as_ref() {
            Some(other) if other.state == BackupState::Running => Err(Error::Conflict(format!(
                "a backup is running already, to {}",
                other.file.display()
            ))),
            _ => {
                *latest = Some(backup);
                Ok(())
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Backup)) {
        let mut latest = self.latest.lock().expect("no holder panics");
        latest.as_mut().map(change).unwrap_or_default();
    }

    /// Waits for the thread of a backup that was begun. The gate is shut before: it ends soon.
    pub(super) fn join(&self) {
        let thread = self.thread.lock().expect("no holder panics").take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// Everything a backup takes, found good before it begins.
struct Job {
    permit: Permit,
    view: Read,
    ledger: Ledger,
    header: Vec<u8>,
    place: Place,
    medium: Arc<dyn Medium>,
}

/// The two names of a backup.
struct Place {
    file: PathBuf,
    partial: PathBuf,
}

impl Vault {
    /// Writes a backup into a directory of this machine and verifies it. Blocks until it is done:
    /// not to be called on a thread that serves others. Locking the vault gives it up.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Invalid`] where the directory is not one to write to;
    /// [`Error::Conflict`] where a backup or a compaction is running, or one of this epoch is there
    /// already;
    /// [`Error::Storage`] where the disk refuses; [`Error::Damaged`] where the vault does not add
    /// up.
    pub fn backup(
        &self,
        caller: &Caller,
        directory: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<Backup> {
        let job = self.prepare(caller, directory)?;
        self.carry_out(job, progress)
    }

    /// Begins [`Vault::backup`] on a thread of its own; [`Vault::latest_backup`] tells how it goes.
    ///
    /// # Errors
    /// As [`Vault::backup`], as far as can be said before it begins.
    pub fn start_backup(&self, caller: &Caller, directory: &Path) -> Result<Backup> {
        let job = self.prepare(caller, directory)?;
        let vault = self.clone();
        let mut seat = self.0.backups.thread.lock().expect("no holder panics");
        let started = std::thread::Builder::new()
            .name("backup".into())
            .spawn(move || {
                if let Err(error) = vault.carry_out(job, &mut |_, _| Ok(())) {
                    tracing::error!(%error, "the backup failed");
                }
            });
        match started {
            Ok(thread) => *seat = Some(thread),
            Err(error) => {
                let error = Error::Storage(format!("cannot start a thread: {error}"));
                self.0.backups.change(|latest| latest.end(Err(&error)));
                return Err(error);
            }
        }
        drop(seat);
        self.latest().ok_or(Error::ShuttingDown)
    }

    /// Refuses what is done to the whole vault to whoever asks for it from another machine, on
    /// record.
    ///
    /// # Errors
    /// Always [`Error::Denied`], but for [`Error::Locked`] and [`Error::AuditUnavailable`].
    pub fn refuse_from_afar(&self, caller: &Caller, action: Action) -> Error {
        let refused = self.gate().permit(caller, action, &Target::vault());
        let refused = refused
            .and_then(|permit| permit.record("refused: asked for from another machine", None));
        refused.err().unwrap_or(Error::Denied)
    }

    /// The latest backup since the process began, for who may make one.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub fn latest_backup(&self, caller: &Caller) -> Result<Option<Backup>> {
        let may = self.would_allow(caller, Action::Backup, &Target::vault());
        Ok(self.latest().filter(|_| may))
    }

    pub(super) fn is_backing_up(&self) -> bool {
        let latest = self.latest();
        latest.is_some_and(|latest| latest.state == BackupState::Running)
    }

    /// Takes the turn, unless a backup or a compaction is running.
    fn begin_backup(&self, backup: Backup) -> Result<()> {
        self.0.backups.begin(backup)?;
        // A compaction that begins from here on sees it.
        if !self.0.compactions.is_running() {
            return Ok(());
        }
        let error = Error::Conflict("a compaction is running; ask again when it has ended".into());
        self.0.backups.change(|latest| latest.end(Err(&error)));
        Err(error)
    }

    fn latest(&self) -> Option<Backup> {
        let latest = self.0.backups.latest.lock().expect("no holder panics");
        latest.clone()
    }

    /// Decides, looks at the directory, takes the view, and puts on record that a copy is made.
    fn prepare(&self, caller: &Caller, directory: &Path) -> Result<Job> {
        let permit = self
            .gate()
            .permit(caller, Action::Backup, &Target::vault())?;
        let medium = self.medium();
        let plan = || -> Result<_> {
            check_directory(&*medium, directory, self.directory())?;
            let view = self.store().read()?;
            let ledger = Ledger::read(permit.keys(), &view)?;
            let header = view.header()?;
            ledger.check_header(&header)?;
            let place = Place::in_directory(directory, ledger.epoch);
            place.check_free(&*medium)?;
            let backup = Backup {
                state: BackupState::Running,
                file: place.file.clone(),
                epoch: ledger.epoch,
                done: 0,
                total: view.entries()?.saturating_mul(2),
                started_at: self.clock().now(),
                error: None,
            };
            self.begin_backup(backup)?;
            Ok((view, ledger, header, place))
        };
        let (view, ledger, header, place) = match plan() {
            Ok(plan) => plan,
            Err(error) => {
                permit.record(error.code(), None)?;
                return Err(error);
            }
        };
        let begun = format!("begins for epoch {}: {place}", ledger.epoch);
        permit.record(&begun, None).inspect_err(|error| {
            self.0.backups.change(|latest| latest.end(Err(error)));
        })?;
        Ok(Job {
            permit,
            view,
            ledger,
            header,
            place,
            medium,
        })
    }

    fn carry_out(&self, job: Job, progress: &mut Progress<'_>) -> Result<Backup> {
        let _turn = Turn(self);
        let made = self.write_and_verify(job, &mut |done, total| {
            // The keys go with the last permit: a lock does not wait for a long copy.
            if !self.gate().is_open() {
                return Err(Error::Locked);
            }
            self.0.backups.change(|latest| latest.done = done);
            progress(done, total)
        });
        self.0.backups.change(|latest| latest.end(made.as_ref()));
        made?;
        self.latest().ok_or(Error::ShuttingDown)
    }

    fn write_and_verify(&self, job: Job, progress: &mut Progress<'_>) -> Result<()> {
        let Job {
            permit,
            view,
            ledger,
            header,
            place,
            medium,
        } = job;
        let medium = &*medium;
        let write = || -> Result<()> {
            place.clear(medium)?;
            let entries = view.copy_to(medium, &place.partial, &mut |done, total| {
                progress(done, total.saturating_mul(2))
            })?;
            // From here on the vault's file need not keep the pages of that moment.
            drop(view);
            let partial = Partial(medium, &place.partial);
            verify(
                permit.keys(),
                (medium, &place.partial),
                &ledger,
                &header,
                &mut |done| progress(entries + done, entries.saturating_mul(2)),
            )?;
            permit.record(
                &format!(
                    "done for epoch {}: {entries} entries: {place}",
                    ledger.epoch
                ),
                None,
            )?;
            publish(medium, &place.partial, &place.file)?;
            std::mem::forget(partial);
            Ok(())
        };
        let written = write();
        if let Err(error) = &written {
            // Said as well as the trail can be written to; that it began is there already.
            let _ = permit.record(&format!("failed: {}: {place}", error.code()), None);
        }
        written
    }
}

/// Opens a copy aside and compares it with what it was made of.
fn verify(
    keys: &Keyring,
    (medium, path): (&dyn Medium, &Path),
    source: &Ledger,
    header: &[u8],
    tick: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    let wrong = |what: &str| Error::Damaged(format!("the copy is not what was read: {what}"));
    let store = Store::open_aside(medium, path)?;
    let view = store.read()?;
    if view.header()? != header {
        return Err(wrong("its header differs"));
    }
    let ledger = Ledger::read(keys, &view)?;
    if ledger != *source {
        return Err(wrong("its ledger differs"));
    }
    ledger.verify_watched(keys, &view, tick)?;
    drop(view);
    store.close()
}

/// What may be written to: a directory of this machine, outside the vault's own.
fn check_directory(medium: &dyn Medium, directory: &Path, own: Option<&Path>) -> Result<()> {
    if !directory.is_absolute() {
        return Err(Error::invalid(
            "`directory` is an absolute path on the server's machine",
        ));
    }
    if directory.as_os_str().len() > limits::PATH_BYTES_MAX {
        return Err(Error::invalid("`directory` is too long"));
    }
    let refused = |why: &dyn fmt::Display| {
        Error::invalid(format!("cannot write to {}: {why}", directory.display()))
    };
    let real = medium.real_directory(directory);
    let real = real.map_err(|error| refused(&error))?;
    let own = own.map(|own| medium.real_directory(own)).transpose();
    let own = own.map_err(|error| refused(&error))?;
    if own.is_some_and(|own| real.starts_with(own)) {
        return Err(refused(
            &"a backup inside the data directory is lost together with it",
        ));
    }
    Ok(())
}

impl Place {
    fn in_directory(directory: &Path, epoch: u64) -> Self {
        let name = format!("strongroom-epoch-{epoch:010}.redb");
        Self {
            partial: directory.join(format!("{name}.partial")),
            file: directory.join(name),
        }
    }

    fn check_free(&self, medium: &dyn Medium) -> Result<()> {
        match medium.has(&self.file) {
            true => Err(Error::Conflict(format!(
                "{} exists already, and a backup is never put in the place of another",
                self.file.display()
            ))),
            false => Ok(()),
        }
    }

    /// Takes away what a killed backup of the same epoch left. One that is being written is locked.
    fn clear(&self, medium: &dyn Medium) -> Result<()> {
        match is_free(medium, &self.partial) {
            Err(Error::NotFound(_)) => Ok(()),
            Err(error @ Error::InUse) => Err(error),
            _ => medium.remove(&self.partial).map_err(|error| {
                Error::Storage(format!("cannot remove {}: {error}", self.partial.display()))
            }),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.display().fmt(f)
    }
}

/// A file that is taken away unless it gets its name.
struct Partial<'a>(&'a dyn Medium, &'a Path);

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.remove(self.1) {
            tracing::error!(path = %self.1.display(), %error, "left behind by a failed backup");
        }
    }
}

/// The turn of one backup: given back however it ends, by a panic as well.
struct Turn<'a>(&'a Vault);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let why = Error::Storage("the backup ended in a panic, which is a bug".into());
        self.0.0.backups.change(|latest| {
            if latest.state == BackupState::Running {
                latest.end(Err(&why));
            }
        });
    }
}

impl Backup {
    fn end(&mut self, outcome: std::result::Result<&(), &Error>) {
        match outcome {
            Ok(()) => {
                self.state = BackupState::Done;
                self.done = self.total;
            }
            Err(error) => {
                self.state = BackupState::Failed;
                self.error = Some(error.clone());
            }
        }
    }
}
