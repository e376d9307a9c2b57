//! Where segments lie: a directory of the file system, and what is done to the files in it.
//!
//! It promises: whatever the trail does to a disk it does here, in a few operations, so that the
//! harnesses can put a disk under it that fails or loses its power.
//! It never: follows a symbolic link, or knows what a segment holds.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, OFlags};

use crate::limits;
#[cfg(any(test, fuzzing))]
use crate::store::faulty::{self, Faulty};

/// The trail's directory.
#[derive(Clone)]
pub(in crate::vault) enum Directory {
    /// On the file system.
    Files(PathBuf),
    /// On a disk that fails on demand.
    #[cfg(any(test, fuzzing))]
    Faulty(Faulty),
}

/// An open segment.
pub(super) enum Handle {
    File(File),
    #[cfg(any(test, fuzzing))]
    Faulty(faulty::Handle),
}

/// Segments on a disk for tests are small, so that a test sees many, in bytes.
#[cfg(any(test, fuzzing))]
const FAULTY_SEGMENT_BYTES_MAX: u64 = 8 * 1024;

impl From<&Path> for Directory {
    fn from(path: &Path) -> Self {
        Self::Files(path.to_owned())
    }
}

impl Directory {
    /// Its path, where it is on the file system.
    pub(in crate::vault) fn path(&self) -> Option<&Path> {
        match self {
            Self::Files(path) => Some(path),
            #[cfg(any(test, fuzzing))]
            Self::Faulty(_) => None,
        }
    }

    /// A segment is closed and the next begun at this length, in bytes.
    pub(super) fn segment_bytes_max(&self) -> u64 {
        match self {
            Self::Files(_) => limits::AUDIT_SEGMENT_BYTES_MAX,
            #[cfg(any(test, fuzzing))]
            Self::Faulty(_) => FAULTY_SEGMENT_BYTES_MAX,
        }
    }

    /// The numbers of the segments, in order.
    pub(super) fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        match self {
            Self::Files(directory) => {
                for file in std::fs::read_dir(directory)? {
                    numbers.extend(file?.file_name().to_str().and_then(number));
                }
            }
            #[cfg(any(test, fuzzing))]
            Self::Faulty(disk) => {
                let names = disk.names(FAULTY_DIRECTORY)?;
                numbers.extend(names.iter().filter_map(|name| {
                    let name = name.strip_prefix(FAULTY_DIRECTORY)?.strip_prefix('/')?;
                    number(name)
                }));
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Makes segment `number`, which must not be there.
    pub(super) fn create(&self, number: u64) -> io::Result<Handle> {
        match self {
            Self::Files(directory) => OpenOptions::new()
                .read(true)
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(directory.join(name(number)))
                .map(Handle::File),
            #[cfg(any(test, fuzzing))]
            Self::Faulty(disk) => disk.create(&faulty_name(number)).map(Handle::Faulty),
        }
    }

    /// Opens segment `number`.
    pub(super) fn open(&self, number: u64, to_append: bool) -> io::Result<Handle> {
        match self {
            Self::Files(directory) => {
                // A pipe must not make us wait for whoever opens its other end.
                let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
                let path = directory.join(name(number));
                let file = OpenOptions::new()
                    .read(true)
                    .append(to_append)
                    .custom_flags(i32::try_from(flags.bits()).expect("open flags fit"))
                    .open(&path)?;
                if !file.metadata()?.is_file() {
                    let what = format!("{} is not a regular file", path.display());
                    return Err(io::Error::other(what));
                }
                Ok(Handle::File(file))
            }
            #[cfg(any(test, fuzzing))]
            Self::Faulty(disk) => disk.open(&faulty_name(number)).map(Handle::Faulty),
        }
    }

    /// How long segment `number` is, where there is one and it is a file.
    pub(super) fn length(&self, number: u64) -> Option<u64> {
        match self {
            Self::Files(directory) => std::fs::symlink_metadata(directory.join(name(number)))
                .ok()
                .filter(std::fs::Metadata::is_file)
                .map(|about| about.len()),
            #[cfg(any(test, fuzzing))]
            Self::Faulty(disk) => disk.open(&faulty_name(number)).ok()?.len().ok(),
        }
    }

    /// Takes segment `number` away.
    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        match self {
            Self::Files(directory) => std::fs::remove_file(directory.join(name(number))),
            #[cfg(any(test, fuzzing))]
            Self::Faulty(disk) => disk.remove(&faulty_name(number)),
        }
    }

    /// Keeps a copy of segment `number` under another name, for whoever looks into what happened.
    pub(super) fn set_aside(&self, number: u64) -> io::Result<()> {
        match self {
            Self::Files(directory) => {
                let from = directory.join(name(number));
                std::fs::copy(&from, from.with_extension("damaged")).map(|_| ())
            }
            #[cfg(any(test, fuzzing))]
            Self::Faulty(disk) => {
                let from = disk.open(&faulty_name(number))?;
                let mut bytes = vec![0; usize::try_from(from.len()?).expect("a small disk")];
                from.read_exact_at(&mut bytes, 0)?;
                let name = format!("{FAULTY_DIRECTORY}/{number:010}.damaged");
                let aside = disk.open(&name).or_else(|_| disk.create(&name))?;
                aside.set_len(0)?;
                aside.append(&bytes)
            }
        }
    }

    /// Makes new names durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        match self {
            Self::Files(directory) => File::open(directory)?.sync_all(),
            #[cfg(any(test, fuzzing))]
            Self::Faulty(disk) => disk.sync_directory(FAULTY_DIRECTORY),
        }
    }
}

impl Handle {
    /// The length, in bytes.
    pub(super) fn len(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => file.metadata().map(|about| about.len()),
            #[cfg(any(test, fuzzing))]
            Self::Faulty(file) => file.len(),
        }
    }

    /// Fills `out` from `offset` on.
    pub(super) fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(out, offset),
            #[cfg(any(test, fuzzing))]
            Self::Faulty(file) => file.read_exact_at(out, offset),
        }
    }

    /// Writes behind the last byte.
    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => (&*file).write_all(bytes),
            #[cfg(any(test, fuzzing))]
            Self::Faulty(file) => file.append(bytes),
        }
    }

    /// Cuts what is behind `len`.
    pub(super) fn cut(&self, len: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.set_len(len),
            #[cfg(any(test, fuzzing))]
            Self::Faulty(file) => file.set_len(len),
        }
    }

    /// Makes everything written durable, and has the next read tell what the disk holds: of a file
    /// whose sync failed earlier, perhaps in another process, the kernel remembers what never
    /// reached the disk, and says that all is well.
    pub(super) fn settle(&self) -> io::Result<()> {
        self.sync()?;
        match self {
            Self::File(file) => Ok(rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?),
            #[cfg(any(test, fuzzing))]
            Self::Faulty(file) => {
                file.drop_cache();
                Ok(())
            }
        }
    }

    /// Makes everything written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        match self {
            Self::File(file) => file.sync_data(),
            #[cfg(any(test, fuzzing))]
            Self::Faulty(file) => file.sync_data(),
        }
    }
}

#[cfg(any(test, fuzzing))]
const FAULTY_DIRECTORY: &str = "audit";

#[cfg(any(test, fuzzing))]
fn faulty_name(number: u64) -> String {
    format!("{FAULTY_DIRECTORY}/{}", name(number))
}

fn name(number: u64) -> String {
    format!("{number:010}.seg")
}

fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".seg")?.parse().ok()
}
