//! What files lie on: the file system or, in tests, a disk that loses its power (`faulty`).
//!
//! It promises: whatever the making of a vault, its trail, a backup or a restore does to names, and
//! to files, it does through this door, in a few operations, so that the harnesses can put under
//! the very steps of a program a disk that forgets what was not synced.
//! It never: knows what a file holds; opens to write what a link leads to.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::StorageBackend;
use redb::backends::FileBackend;
use rustix::fs::{Advice, OFlags};

use super::{file, opening};
use crate::error::{Error, Result};
use crate::limits;

/// The unit in which the system tells what a file takes, in bytes.
const BLOCK_BYTES: u64 = 512;

/// What files lie on.
pub trait Medium: Debug + Send + Sync {
    /// Makes an empty file for us alone, whose name must be free.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn Body>>;
    /// Opens a file that is one, never what a link leads to.
    fn open(&self, path: &Path, to_append: bool) -> io::Result<Arc<dyn Body>>;
    /// Opens a file to be read alone, whoever owns it, and keeps writers of ours from it.
    fn open_to_read(&self, path: &Path) -> Result<Arc<dyn Body>>;
    /// A store's file, as redb has it: a new one, or one that is there and ours alone.
    fn store_file(&self, path: &Path, is_new: bool) -> Result<Arc<dyn StorageBackend>>;
    /// Whether a name is taken, by whatever it be.
    fn has(&self, path: &Path) -> bool;
    /// How long a file is, where there is one.
    fn length(&self, path: &Path) -> Option<u64>;
    /// Takes a file away.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name in its directory, which nothing may have.
    fn rename_to_free(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file another's name in its directory, in one step; that one has none then.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a directory for us alone.
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// Refuses what is no directory, or not ours alone.
    fn check_directory(&self, path: &Path) -> Result<()>;
    /// A directory's path without links.
    fn real_directory(&self, path: &Path) -> io::Result<PathBuf>;
    /// The names in a directory, without what is in front.
    fn names(&self, directory: &Path) -> io::Result<Vec<OsString>>;
    /// Takes an empty directory away.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Takes a directory of files away.
    fn remove_whole_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// How many names a file has.
    fn names_of(&self, path: &Path) -> io::Result<u64>;
    /// What a file takes of the disk, in bytes: holes in it take nothing.
    fn taken(&self, path: &Path) -> io::Result<u64>;
    /// What is free for us on the disk of a directory, in bytes, where that can be told.
    fn room(&self, directory: &Path) -> Option<u64>;
    /// The same medium, to be held.
    fn held(&self) -> Arc<dyn Medium>;
    /// Memory that a store may take to hold what it read, in bytes.
    fn cache_bytes(&self) -> usize {
        limits::STORE_CACHE_BYTES
    }
    /// What grows without an end goes on in another file at this length, in bytes.
    fn part_bytes_max(&self) -> u64 {
        limits::AUDIT_SEGMENT_BYTES_MAX
    }
}

/// An open file.
pub trait Body: Debug + Send + Sync {
    /// The length, in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Fills `out` from `offset` on.
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes behind the last byte.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts, or adds zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes everything written durable.
    fn sync(&self) -> io::Result<()>;
    /// Has the next read tell what the disk holds.
    fn drop_cache(&self) -> io::Result<()>;
    /// Locks it; false where another process has.
    fn try_lock(&self) -> io::Result<bool>;
    /// Whether it still has a name.
    fn is_named(&self) -> io::Result<bool>;
}

/// The file system.
#[derive(Clone, Copy, Debug)]
pub struct FileSystem;

/// The file system, to be held.
pub fn file_system() -> Arc<dyn Medium> {
    Arc::new(FileSystem)
}

/// Makes the name of a file or directory durable.
///
/// # Errors
/// [`Error::Storage`].
pub fn sync_parent_of(medium: &dyn Medium, path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    medium.sync_directory(parent).map_err(|error| {
        Error::Storage(format!(
            "cannot sync the directory of {}: {error}",
            path.display()
        ))
    })
}

/// The path of a directory; that of the process where there is no word of it.
fn here(directory: &Path) -> &Path {
    match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    }
}

/// Takes away a file that we made.
pub(super) fn take_away(medium: &dyn Medium, path: &Path) {
    if let Err(error) = medium.remove(path) {
        tracing::error!(path = %path.display(), %error, "left behind by what failed");
    }
}

impl Medium for FileSystem {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn Body>> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path, to_append: bool) -> io::Result<Arc<dyn Body>> {
        // A pipe must not make us wait for whoever opens its other end.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .append(to_append)
            .custom_flags(i32::try_from(flags.bits()).expect("open flags fit"))
            .open(path)?;
        match file.metadata()?.is_file() {
            true => Ok(Arc::new(file)),
            false => Err(io::Error::other(format!(
                "{} is not a regular file",
                path.display()
            ))),
        }
    }

    fn open_to_read(&self, path: &Path) -> Result<Arc<dyn Body>> {
        Ok(Arc::new(file::open_to_read(path)?))
    }

    fn store_file(&self, path: &Path, is_new: bool) -> Result<Arc<dyn StorageBackend>> {
        let file = match is_new {
            true => file::create(path)?,
            false => file::open(path)?,
        };
        Ok(Arc::new(FileBackend::new(file).map_err(opening)?))
    }

    fn has(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    fn length(&self, path: &Path) -> Option<u64> {
        let about = path.symlink_metadata().ok()?;
        about.is_file().then_some(about.len())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename_to_free(&self, from: &Path, to: &Path) -> io::Result<()> {
        file::rename_to_free(from, to)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn check_directory(&self, path: &Path) -> Result<()> {
        file::check_directory(path)
    }

    fn real_directory(&self, path: &Path) -> io::Result<PathBuf> {
        let real = std::fs::canonicalize(path)?;
        match real.is_dir() {
            true => Ok(real),
            false => Err(io::Error::other("it is not a directory")),
        }
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let entries = std::fs::read_dir(directory)?;
        entries.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn remove_whole_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(here(path))?.sync_all()
    }

    fn names_of(&self, path: &Path) -> io::Result<u64> {
        path.symlink_metadata().map(|about| about.nlink())
    }

    fn taken(&self, path: &Path) -> io::Result<u64> {
        path.symlink_metadata()
            .map(|about| about.blocks() * BLOCK_BYTES)
    }

    fn room(&self, directory: &Path) -> Option<u64> {
        let about = rustix::fs::statvfs(here(directory)).ok()?;
        about.f_bavail.checked_mul(about.f_frsize)
    }

    fn held(&self) -> Arc<dyn Medium> {
        file_system()
    }
}

impl Body for File {
    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|about| about.len())
    }

    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, out, offset)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(self, 0, None, Advice::DontNeed)?)
    }

    fn try_lock(&self) -> io::Result<bool> {
        match Self::try_lock(self) {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn is_named(&self) -> io::Result<bool> {
        self.metadata().map(|about| about.nlink() > 0)
    }
}
