//! The vault's file on the file system: made for us alone, and refused where it is not.
//!
//! It promises: mode 0600 and exclusive creation (CWE-276, CWE-59); a symbolic link, a device, an
//! empty file, or a file that others may read is refused before a byte of it is used.
//! A file that is only read (a backup, perhaps on a medium that knows no owners) may be anybody's.
//! It never: repairs permissions behind the operator's back.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{CWD, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Creates the file, which must not exist.
pub(super) fn create(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| not_created(path, &error))
}

/// Why a file was not created.
pub(super) fn not_created(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Error::Conflict(format!("{} exists already", path.display()))
        }
        _ => Error::Storage(format!("cannot create {}: {error}", path.display())),
    }
}

/// Opens the existing file, having looked at what it is.
pub(super) fn open(path: &Path) -> Result<File> {
    let (file, about) = open_regular(path, OFlags::NOFOLLOW, true, "vault in this directory")?;
    check_owner_and_mode(path, &about)?;
    refuse_empty(path, &about)?;
    Ok(file)
}

/// Opens an existing file to be read alone, whoever owns it, and keeps writers of ours from it.
pub(super) fn open_to_read(path: &Path) -> Result<File> {
    let (file, about) = open_regular(path, OFlags::empty(), false, "file of this name")?;
    refuse_empty(path, &about)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse),
        Err(TryLockError::Error(error)) => Err(Error::Storage(format!(
            "cannot lock {}: {error}",
            path.display()
        ))),
    }
}

fn open_regular(
    path: &Path,
    flags: OFlags,
    to_write: bool,
    what: &'static str,
) -> Result<(File, std::fs::Metadata)> {
    let flags = flags | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(to_write)
        .custom_flags(i32::try_from(flags.bits()).expect("open flags fit"))
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound(what),
            _ => Error::Settings(format!("cannot open {}: {error}", path.display())),
        })?;
    let about = file
        .metadata()
        .map_err(|error| Error::Storage(format!("cannot look at {}: {error}", path.display())))?;
    if !about.is_file() {
        return Err(Error::Settings(format!(
            "{} is not a regular file",
            path.display()
        )));
    }
    Ok((file, about))
}

/// redb would make a fresh, empty store of an empty file without a word.
fn refuse_empty(path: &Path, about: &std::fs::Metadata) -> Result<()> {
    match about.len() {
        0 => Err(Error::Damaged(format!("{} is empty", path.display()))),
        _ => Ok(()),
    }
}

/// Refuses what another user owns or may read.
fn check_owner_and_mode(path: &Path, about: &std::fs::Metadata) -> Result<()> {
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::Settings(format!(
            "{} belongs to another user",
            path.display()
        )));
    }
    if about.mode() & 0o077 != 0 {
        return Err(Error::Settings(format!(
            "{} may be read by others (mode {:o}); make it yours alone: chmod go= {}",
            path.display(),
            about.mode() & 0o777,
            path.display()
        )));
    }
    Ok(())
}

/// Refuses a directory that is a link, or that another user owns or may look into.
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

/// Gives a file another name, which nothing may have.
pub(super) fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // Some file systems (NFS) know no such rename; a second name is refused where it is taken.
        Err(Errno::INVAL | Errno::NOSYS) => {
            std::fs::hard_link(from, to).and_then(|()| std::fs::remove_file(from))
        }
        Err(error) => Err(error.into()),
    }
}
