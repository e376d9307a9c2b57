//! The mark of a vault that is being made: a file beside it, gone when it is whole.
//!
//! It promises: where making a vault is cut short by anything, a power cut included, the mark
//! stays, and tells which command was at work; what stands beside it then is opened by nobody, and
//! the next try takes it away and begins anew.
//! It never: takes anything away that may be somebody's vault, or that another process is making.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::{AUDIT, AUDIT_BEFORE, FILE};
use crate::error::{Error, Result};

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
    path: PathBuf,
    // Its lock tells a process that is at work from one that died.
    file: File,
}

impl Mark {
    /// Marks an empty directory.
    ///
    /// # Errors
    /// [`Error::Conflict`] where somebody else was first; [`Error::Storage`].
    pub(super) fn set(directory: &Path, maker: Maker) -> Result<Self> {
        let path = directory.join(MARK);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => under_way(directory),
                _ => Error::Storage(format!("cannot create {}: {error}", path.display())),
            })?;
        let mark = Self::lock(directory, path, file)?;
        mark.sign(directory, maker)?;
        Ok(mark)
    }

    /// Takes over a directory whose vault was never finished, whoever began it, and takes away what
    /// there is of it.
    ///
    /// # Errors
    /// [`Error::Conflict`] where it is being made at this moment; [`Error::Storage`].
    pub(super) fn take_over(directory: &Path, maker: Maker) -> Result<Self> {
        let path = directory.join(MARK);
        let file = open(&path, true)
            .map_err(|error| Error::Storage(format!("cannot open {}: {error}", path.display())))?;
        let mark = Self::lock(directory, path, file)?;
        tracing::warn!(
            directory = %directory.display(),
            "the making of a vault was cut short here; what it left behind is taken away"
        );
        for (name, remove) in [
            (FILE, remove_file as fn(&Path) -> io::Result<()>),
            (AUDIT, remove_directory),
            (AUDIT_BEFORE, remove_directory),
        ] {
            let path = directory.join(name);
            remove(&path)
                .or_else(|error| match error.kind() {
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                })
                .map_err(|error| {
                    Error::Storage(format!("cannot remove {}: {error}", path.display()))
                })?;
        }
        mark.sign(directory, maker)?;
        Ok(mark)
    }

    /// Writes down who is at work, and makes that and the mark's name durable.
    fn sign(&self, directory: &Path, maker: Maker) -> Result<()> {
        let written = self
            .file
            .set_len(0)
            .and_then(|()| (&self.file).write_all(maker.name().as_bytes()))
            .and_then(|()| self.file.sync_all());
        written.map_err(|error| {
            Error::Storage(format!("cannot write {}: {error}", self.path.display()))
        })?;
        sync(directory)
    }

    pub(super) fn lock(directory: &Path, path: PathBuf, file: File) -> Result<Self> {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(under_way(directory)),
            Err(TryLockError::Error(error)) => {
                let what = format!("cannot lock {}: {error}", path.display());
                return Err(Error::Storage(what));
            }
        }
        // Whoever held it may have finished in between: then the vault beside it is a whole one.
        let links = file.metadata().map(|about| about.nlink());
        match links {
            Ok(1..) => Ok(Self { path, file }),
            _ => Err(under_way(directory)),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The vault is whole.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(in crate::vault) fn clear(self, directory: &Path) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|error| {
            Error::Storage(format!("cannot remove {}: {error}", self.path.display()))
        })?;
        sync(directory)
    }
}

/// Refuses a directory whose vault was never finished.
///
/// # Errors
/// [`Error::Settings`].
pub(in crate::vault) fn check(directory: &Path) -> Result<()> {
    let path = directory.join(MARK);
    if std::fs::symlink_metadata(&path).is_err() {
        return Ok(());
    }
    let directory = directory.display();
    Err(Error::Settings(match maker_of(&path) {
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
fn maker_of(path: &Path) -> Option<Maker> {
    let longest = Maker::ALL.map(|maker| maker.name().len()).into_iter().max();
    let mut told = String::new();
    let mut file = open(path, false).ok()?.take(longest? as u64 + 1);
    file.read_to_string(&mut told).ok()?;
    Maker::ALL.into_iter().find(|maker| maker.name() == told)
}

/// Opens a mark: never what a link leads to, and without waiting for a pipe's other end.
fn open(path: &Path, to_write: bool) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(!to_write)
        .write(to_write)
        .custom_flags(i32::try_from(flags.bits()).expect("open flags fit"))
        .open(path)
}

fn remove_file(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

fn remove_directory(path: &Path) -> io::Result<()> {
    std::fs::remove_dir_all(path)
}

fn under_way(directory: &Path) -> Error {
    let directory = directory.display();
    Error::Conflict(format!(
        "a vault is being made in {directory} at this moment"
    ))
}

pub(super) fn sync(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| Error::Storage(format!("cannot sync {}: {error}", directory.display())))
}
