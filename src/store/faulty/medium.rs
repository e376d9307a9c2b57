//! The disk for tests as a medium: what a program does to the file system, done to it.
//!
//! It promises: a path is a name on the disk, with or without a `/` in front.
//! It never: refuses for whose a file is: everything on it is ours alone, and nothing is locked.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::StorageBackend;

use super::{CACHE_BYTES, Faulty, Handle, Kind, Op};
use crate::error::{Error, Result};
use crate::store::medium::{Body, Medium};

/// Segments on it are small, so that a test sees many, in bytes.
const PART_BYTES_MAX: u64 = 8 * 1024;

/// A path's name on the disk.
fn name(path: &Path) -> &str {
    let name = path.to_str().expect("names of tests are words");
    name.strip_prefix('/').unwrap_or(name)
}

impl Medium for Faulty {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn Body>> {
        Ok(Arc::new(Self::create(self, name(path))?))
    }

    fn open(&self, path: &Path, _: bool) -> io::Result<Arc<dyn Body>> {
        Ok(Arc::new(Self::open(self, name(path))?))
    }

    fn open_to_read(&self, path: &Path) -> Result<Arc<dyn Body>> {
        Ok(Arc::new(self.existing(path, "file of this name")?))
    }

    fn store_file(&self, path: &Path, is_new: bool) -> Result<Arc<dyn StorageBackend>> {
        if !is_new {
            return Ok(Arc::new(self.existing(path, "vault in this directory")?));
        }
        let file = Self::create(self, name(path)).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::Conflict(error.to_string()),
            _ => Error::Storage(error.to_string()),
        })?;
        Ok(Arc::new(file))
    }

    fn has(&self, path: &Path) -> bool {
        self.disk().live.has(name(path))
    }

    fn length(&self, path: &Path) -> Option<u64> {
        Self::open(self, name(path)).ok()?.len().ok()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Self::remove(self, name(path))
    }

    fn rename_to_free(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (name(from).to_owned(), name(to).to_owned());
        self.act(Kind::Change, |disk| {
            if disk.live.has(&to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let file = disk.live.names.get(&from).copied();
            let file = file.ok_or(io::ErrorKind::NotFound)?;
            disk.did(Op::Rename { from, to, file });
            Ok(())
        })
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (name(from).to_owned(), name(to).to_owned());
        self.act(Kind::Change, |disk| {
            let file = disk.live.names.get(&from).copied();
            let file = file.ok_or(io::ErrorKind::NotFound)?;
            disk.did(Op::Rename { from, to, file });
            Ok(())
        })
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.act(Kind::Change, |disk| {
            disk.live.is_free(name(path))?;
            disk.did(Op::MakeDirectory(name(path).to_owned()));
            Ok(())
        })
    }

    fn check_directory(&self, path: &Path) -> Result<()> {
        match self.disk().live.is_directory(name(path)) {
            true => Ok(()),
            false => Err(Error::NotFound("vault in this directory")),
        }
    }

    fn real_directory(&self, path: &Path) -> io::Result<PathBuf> {
        match self.disk().live.is_directory(name(path)) {
            true => Ok(Path::new("/").join(name(path))),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let names = Self::names(self, name(directory))?;
        let last = |name: &String| Path::new(name).file_name().map(OsString::from);
        Ok(names.iter().filter_map(last).collect())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.act(Kind::Change, |disk| {
            let name = name(path);
            if name.is_empty() || !disk.live.is_directory(name) {
                return Err(io::ErrorKind::NotFound.into());
            }
            if disk.live.inside(name).next().is_some() {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            disk.did(Op::RemoveDirectory(name.to_owned()));
            Ok(())
        })
    }

    fn remove_whole_directory(&self, path: &Path) -> io::Result<()> {
        for inside in Self::names(self, name(path))? {
            Self::remove(self, &inside)?;
        }
        Medium::remove_directory(self, path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        Self::sync_directory(self, name(path))
    }

    fn names_of(&self, _: &Path) -> io::Result<u64> {
        Ok(1)
    }

    fn taken(&self, path: &Path) -> io::Result<u64> {
        Self::open(self, name(path))?.len()
    }

    fn room(&self, _: &Path) -> Option<u64> {
        None
    }

    fn held(&self) -> Arc<dyn Medium> {
        self.medium()
    }

    fn cache_bytes(&self) -> usize {
        #[cfg(test)]
        if self.disk().uncached {
            return 0;
        }
        CACHE_BYTES
    }

    fn part_bytes_max(&self) -> u64 {
        PART_BYTES_MAX
    }
}

impl Faulty {
    /// An existing file that is not empty, as the file system's door has it.
    fn existing(&self, path: &Path, what: &'static str) -> Result<Handle> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound(what),
            _ => Error::Storage(error.to_string()),
        };
        let file = Self::open(self, name(path)).map_err(failed)?;
        match file.len().map_err(failed)? {
            0 => Err(Error::Damaged("the file is empty".into())),
            _ => Ok(file),
        }
    }
}

impl Body for Handle {
    fn length(&self) -> io::Result<u64> {
        Self::len(self)
    }

    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        Self::read_exact_at(self, out, offset)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        Self::append(self, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn drop_cache(&self) -> io::Result<()> {
        Self::drop_cache(self);
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn is_named(&self) -> io::Result<bool> {
        Ok(Self::is_named(self))
    }
}
