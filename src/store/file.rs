//! The vault's file on the file system: made for us alone, and refused where it is not.
//!
//! It promises: mode 0600 and exclusive creation (CWE-276, CWE-59); a symbolic link, a device, an
//! empty file, or a file that others may read is refused before a byte of it is used.
//! It never: repairs permissions behind the operator's back.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::{Error, Result};

/// Creates the file, which must not exist.
pub(super) fn create(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Error::Conflict(format!("{} exists already", path.display()))
            }
            _ => Error::Storage(format!("cannot create {}: {error}", path.display())),
        })
}

/// Opens the existing file, having looked at what it is.
pub(super) fn open(path: &Path) -> Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(i32::try_from(flags.bits()).expect("open flags fit"))
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound("vault in this directory"),
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
    check_owner_and_mode(path, &about)?;
    if about.len() == 0 {
        // redb would make a fresh, empty store of it without a word.
        return Err(Error::Damaged(format!("{} is empty", path.display())));
    }
    Ok(file)
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

/// Makes a new name in `path`'s directory durable.
pub(super) fn sync_directory_of(path: &Path) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| Error::Storage(format!("cannot sync {}: {error}", directory.display())))
}
