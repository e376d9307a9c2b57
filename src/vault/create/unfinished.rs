//! The mark of a vault that is being made: a file beside it, gone when it is whole.
//!
//! It promises: where making a vault is cut short by anything, a power cut included, the mark
//! stays, and tells which command was at work; what stands beside it then is opened by nobody, and
//! the next try takes it away and begins anew.
//! It never: takes anything away that may be somebody's vault, or that another process is making.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AUDIT, AUDIT_BEFORE, FILE};
use crate::error::{Error, Result};
use crate::store::{Body, Medium, sync_parent_of};

/// The mark's name in the data directory.
pub(in crate::vault) const MARK: &str = "unfinished";

/// Which command makes a vault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::vault) enum Maker {
    Init,
    Restore,
    Salvage,
}

impl Maker {
    const ALL: [Self; 3] = [Self::Init, Self::Restore, Self::Salvage];

    /// What the mark holds, and what is typed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Restore => "restore",
            Self::Salvage => "salvage",
        }
    }
}

/// The mark, held by whoever makes the vault.
pub(in crate::vault) struct Mark {
    medium: Arc<dyn Medium>,
    path: PathBuf,
    // Its lock tells a process that is at work from one that died.
    file: Arc<dyn Body>,
}

impl Mark {
    /// Marks an empty directory.
    ///
    /// # Errors
    /// [`Error::Conflict`] where somebody else was first; [`Error::Storage`].
    pub(super) fn set(medium: &Arc<dyn Medium>, directory: &Path, maker: Maker) -> Result<Self> {
        let path = directory.join(MARK);
        let file = medium.create(&path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => under_way(directory),
            _ => Error::Storage(format!("cannot create {}: {error}", path.display())),
        })?;
        let mark = Self::lock(medium, directory, path, file)?;
        mark.sign(maker)?;
        Ok(mark)
    }

    /// Takes over a directory whose vault was never finished, whoever began it, and takes away what
    /// there is of it.
    ///
    /// # Errors
    /// [`Error::Conflict`] where it is being made at this moment; [`Error::Storage`].
    pub(super) fn take_over(
        medium: &Arc<dyn Medium>,
        directory: &Path,
        maker: Maker,
    ) -> Result<Self> {
        let path = directory.join(MARK);
        let file = medium
            .open(&path, true)
            .map_err(|error| Error::Storage(format!("cannot open {}: {error}", path.display())))?;
        let mark = Self::lock(medium, directory, path, file)?;
        tracing::warn!(
            directory = %directory.display(),
            "the making of a vault was cut short here; what it left behind is taken away"
        );
        for name in [FILE, AUDIT, AUDIT_BEFORE] {
            let path = directory.join(name);
            let removed = match name == FILE {
                true => medium.remove(&path),
                false => medium.remove_whole_directory(&path),
            };
            removed
                .or_else(|error| match error.kind() {
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                })
                .map_err(|error| {
                    Error::Storage(format!("cannot remove {}: {error}", path.display()))
                })?;
        }
        mark.sign(maker)?;
        Ok(mark)
    }

    /// Writes down who is at work, and makes that and the mark's name durable.
    fn sign(&self, maker: Maker) -> Result<()> {
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.append(maker.name().as_bytes()))
            .and_then(|()| self.file.sync());
        written.map_err(|error| {
            Error::Storage(format!("cannot write {}: {error}", self.path.display()))
        })?;
        sync_parent_of(&*self.medium, &self.path)
    }

    pub(super) fn lock(
        medium: &Arc<dyn Medium>,
        directory: &Path,
        path: PathBuf,
        file: Arc<dyn Body>,
    ) -> Result<Self> {
        let locked = file
            .try_lock()
            .map_err(|error| Error::Storage(format!("cannot lock {}: {error}", path.display())))?;
        // Whoever held it may have finished in between: then the vault beside it is a whole one.
        match locked && file.is_named().unwrap_or(false) {
            true => Ok(Self {
                medium: Arc::clone(medium),
                path,
                file,
            }),
            false => Err(under_way(directory)),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The vault is whole. What stands beside the mark is durable before it goes.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(in crate::vault) fn clear(self) -> Result<()> {
        sync_parent_of(&*self.medium, &self.path)?;
        self.medium.remove(&self.path).map_err(|error| {
            Error::Storage(format!("cannot remove {}: {error}", self.path.display()))
        })?;
        sync_parent_of(&*self.medium, &self.path)
    }
}

/// Refuses a directory whose vault was never finished.
///
/// # Errors
/// [`Error::Settings`].
pub(in crate::vault) fn check(medium: &dyn Medium, directory: &Path) -> Result<()> {
    let path = directory.join(MARK);
    if !medium.has(&path) {
        return Ok(());
    }
    let directory = directory.display();
    Err(Error::Settings(match maker_of(medium, &path) {
        Some(maker) => format!(
            "the vault in {directory} was never finished: its {maker} was cut short; run \
             `strongroom {maker}` into it again",
            maker = maker.name()
        ),
        None => format!(
            "the vault in {directory} was never finished: what made it was cut short; run that \
             again (`strongroom init`, `restore` or `salvage`)"
        ),
    }))
}

/// Who set a mark; `None` where that was cut short too.
fn maker_of(medium: &dyn Medium, path: &Path) -> Option<Maker> {
    let file = medium.open(path, false).ok()?;
    let length = file.length().ok()?;
    Maker::ALL.into_iter().find(|maker| {
        let name = maker.name().as_bytes();
        let mut told = vec![0; name.len()];
        length == name.len() as u64 && file.read_exact_at(&mut told, 0).is_ok() && told == name
    })
}

fn under_way(directory: &Path) -> Error {
    let directory = directory.display();
    Error::Conflict(format!(
        "a vault is being made in {directory} at this moment"
    ))
}
