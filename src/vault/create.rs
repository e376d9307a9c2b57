//! A new vault: made in a directory of its own, or in memory. `restore` and `salvage` make their
//! directories here too.
//!
//! It promises: what is made is made exclusively or not at all: where a step fails, what the ones
//! before it made is taken away again, and nothing else is, so that the next try finds its way
//! free. Where the process itself ends in the middle, the next try does that (`unfinished`).
//! It never: makes a vault where there is something already.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) mod unfinished;

use self::unfinished::{MARK, Maker, Mark};
use super::audit::Directory;
use super::ledger::{self, Ledger};
use super::unlock::{AUDIT, AUDIT_BEFORE, FILE};
use super::{Settings, Vault};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::model::access::{Action, Caller, Target};
use crate::seal::{KdfParams, Keyring, RecoveryCode, Unlocker, digest};
use crate::secret::Secret;
use crate::store::{Medium, Records, Store, file_system, sync_parent_of};

/// What a new vault hands to its owner, once.
pub struct NewVault {
    /// The vault, unlocked.
    pub vault: Vault,
    /// The recovery code, to be written down.
    pub recovery_code: Secret<String>,
    /// The first access key, which may do everything.
    pub access_key: Secret<String>,
    /// What clients that speak of projects call the vault. No secret.
    pub project_id: String,
}

/// What was made so far; taken away again unless it is [`Made::kept`].
pub(super) struct Made {
    medium: Arc<dyn Medium>,
    paths: Vec<PathBuf>,
}

impl Made {
    /// Nothing yet.
    pub(super) fn on(medium: &Arc<dyn Medium>) -> Self {
        Self {
            medium: Arc::clone(medium),
            paths: Vec::new(),
        }
    }

    /// Remembers what we made.
    pub(super) fn push(&mut self, path: PathBuf) {
        self.paths.push(path);
    }

    pub(super) fn kept(mut self) {
        self.paths.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.paths.iter().rev() {
            // A trail's directory is the only one that may hold something: we made it a moment ago,
            // for ourselves alone.
            let removed = if path.ends_with(AUDIT) || path.ends_with(AUDIT_BEFORE) {
                self.medium.remove_whole_directory(path)
            } else if path.ends_with(MARK) {
                // What stood beside it is gone for good before it goes.
                let parent = path.parent().unwrap_or(path);
                let synced = self.medium.sync_directory(parent);
                synced.and_then(|()| self.medium.remove(path))
            } else if path.ends_with(FILE) {
                self.medium.remove(path)
            } else {
                self.medium.remove_directory(path)
            };
            if let Err(error) = removed {
                tracing::error!(path = %path.display(), %error, "left behind by what failed");
            }
        }
    }
}

impl Vault {
    /// Creates a vault in a new directory. A try that fails leaves nothing behind.
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
        let recovery = RecoveryCode::generate();
        let recovery_code = recovery.to_text();
        let (passphrase, recovery) = (
            Unlocker::Passphrase(passphrase),
            Unlocker::RecoveryCode(recovery),
        );
        let slots = [(&passphrase, "made at init"), (&recovery, "made at init")];
        let site = (&file_system(), directory);
        let (vault, access_key) = Self::make(site, &slots, kdf, settings, clock)?;
        Ok(NewVault {
            project_id: vault.project_id()?.to_string(),
            vault,
            recovery_code,
            access_key,
        })
    }

    /// The steps of [`Vault::create`], wherever the directory lies.
    pub(super) fn make(
        (medium, directory): (&Arc<dyn Medium>, &Path),
        slots: &[(&Unlocker, &str)],
        kdf: KdfParams,
        settings: Settings,
        clock: Clock,
    ) -> Result<(Self, Secret<String>)> {
        let mut made = Made::on(medium);
        let mark = make_directory(directory, Maker::Init, &mut made)?;
        let (keys, header) = Keyring::create(slots, kdf, clock.now())?;
        let store = make_files(directory, &header.to_bytes(), &mut made)?;
        let trail = Directory::on(medium, &directory.join(AUDIT));
        let vault = Self::assemble(store, Some(trail), settings, clock);
        // The vault's threads and files are closed before they are taken away.
        let begun = vault.begin(keys);
        let whole = begun.and_then(|key| mark.clear().map(|()| key));
        let access_key = whole.inspect_err(|_| {
            if let Err(error) = vault.close() {
                tracing::warn!(%error, "a vault that could not be made was not closed either");
            }
        })?;
        made.kept();
        Ok((vault, access_key))
    }

    /// Whether [`Vault::restore`] and [`Wreck::salvage`] find their way into `directory` free:
    /// before anybody types a passphrase.
    ///
    /// # Errors
    /// [`Error::Conflict`] where it is not empty; [`Error::Settings`] where it is not ours alone.
    ///
    /// [`Wreck::salvage`]: super::Wreck::salvage
    pub fn can_be_made_in(directory: &Path) -> Result<()> {
        is_free(directory, Maker::Restore)
    }

    /// [`Vault::can_be_made_in`] for [`Vault::create`].
    ///
    /// # Errors
    /// As [`Vault::can_be_made_in`].
    pub fn can_be_created_in(directory: &Path) -> Result<()> {
        is_free(directory, Maker::Init)
    }

    /// Whether a try to create a vault here was cut short: [`Vault::create`] takes away what it
    /// left.
    pub fn is_unfinished_in(directory: &Path) -> bool {
        directory.join(MARK).symlink_metadata().is_ok()
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

    /// A vault of which everything lies on a disk that fails on demand, the trail too.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn create_on_disk(
        disk: &crate::store::faulty::Faulty,
        slots: &[(&Unlocker, &str)],
        settings: Settings,
        clock: Clock,
    ) -> Result<(Self, Secret<String>)> {
        let site = (&disk.medium(), Path::new(""));
        Self::make(site, slots, KdfParams::FLOOR, settings, clock)
    }

    /// Opens the vault on a disk that fails on demand. It is locked then.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn open_on_disk(
        disk: &crate::store::faulty::Faulty,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self> {
        Self::open_on(&disk.medium(), Path::new(""), settings, clock)
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
    pub(super) fn begin(&self, keys: Keyring) -> Result<Secret<String>> {
        let keys = Arc::new(keys);
        let write = self.store().write()?;
        let mut ledger = Ledger::default();
        ledger.set_header(&write.header()?);
        let sealed = ledger.seal(&keys)?;
        write.put_record(Records::Meta, ledger::KEY, &sealed)?;
        write.commit()?;
        let moored = self.moor(&keys, &ledger, digest(&[sealed.as_bytes()]))?;
        self.let_in(keys, moored.anchor.clone())?;
        let permit = self
            .gate()
            .permit(&Caller::local(), Action::Lock, &Target::vault())?;
        self.settle_anchor(&permit, moored)?;
        drop(permit);
        self.settle_in()?;
        self.first_key()
    }
}

/// Makes the trail's directory and the store's file.
pub(super) fn make_files(directory: &Path, header: &[u8], made: &mut Made) -> Result<Store> {
    make_trail(directory, made)?;
    let file = directory.join(FILE);
    let store = Store::create(&*made.medium, &file, header)?;
    made.push(file);
    Ok(store)
}

/// Makes the trail's directory.
pub(super) fn make_trail(directory: &Path, made: &mut Made) -> Result<()> {
    let audit = directory.join(AUDIT);
    made.medium
        .make_directory(&audit)
        .map_err(|error| Error::Storage(format!("cannot create {}: {error}", audit.display())))?;
    made.push(audit);
    Ok(())
}

/// Makes the data directory, or finds it empty, or finds what a try that was cut short left behind;
/// then it is marked as unfinished.
pub(super) fn make_directory(directory: &Path, maker: Maker, made: &mut Made) -> Result<Mark> {
    let mut is_begun = false;
    match made.medium.make_directory(directory) {
        Ok(()) => {
            made.push(directory.to_owned());
            // Its own name is to outlast a power cut too.
            sync_parent_of(&*made.medium, directory)?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            made.medium.check_directory(directory)?;
            is_begun = is_begun_in(&*made.medium, directory, maker)?;
            sync_name(&*made.medium, directory)?;
        }
        Err(error) => {
            return Err(Error::Settings(format!(
                "cannot create {}: {error}",
                directory.display()
            )));
        }
    }
    let mark = match is_begun {
        true => Mark::take_over(&made.medium, directory, maker)?,
        false => Mark::set(&made.medium, directory, maker)?,
    };
    made.push(mark.path().to_owned());
    Ok(mark)
}

/// Makes the name of a directory durable that was there: whoever made it may not have. One whose
/// parent is not ours to look into is left to whose that is.
fn sync_name(medium: &dyn Medium, directory: &Path) -> Result<()> {
    let parent = directory.parent().unwrap_or(directory);
    match medium.sync_directory(parent) {
        Err(error) if error.kind() != ErrorKind::PermissionDenied => Err(Error::Storage(format!(
            "cannot sync {}: {error}",
            parent.display()
        ))),
        _ => Ok(()),
    }
}

/// Refuses a directory in which nothing can be made.
fn is_free(directory: &Path, maker: Maker) -> Result<()> {
    let files = file_system();
    if !files.has(directory) {
        return Ok(());
    }
    files.check_directory(directory)?;
    is_begun_in(&*files, directory, maker).map(|_| ())
}

/// True where a vault was begun here and never finished; false where there is nothing.
fn is_begun_in(medium: &dyn Medium, directory: &Path, maker: Maker) -> Result<bool> {
    let names = medium
        .names(directory)
        .map_err(|error| Error::Settings(format!("{}: {error}", directory.display())))?;
    let (mut is_begun, mut others, mut ours) = (false, false, false);
    for name in names {
        is_begun |= name == MARK;
        let is_ours = name == FILE || name == AUDIT || name == AUDIT_BEFORE;
        ours |= is_ours;
        others |= name != MARK && !is_ours;
    }
    let directory = directory.display();
    match (is_begun, others, ours) {
        (true, false, _) => Ok(true),
        (false, false, false) => Ok(false),
        (false, _, true) if maker == Maker::Init => Err(Error::Conflict(format!(
            "{directory} is not empty: there is a vault in it. Only where its init was killed just \
             before it printed the access key: remove the directory, and run init again"
        ))),
        _ => Err(Error::Conflict(format!(
            "{directory} is not empty; a vault is made in a directory of its own"
        ))),
    }
}

#[cfg(test)]
mod tests;
