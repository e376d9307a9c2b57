//! A disk in memory, for tests: it fails on demand, loses what was not synced, and keeps a log of
//! everything that was done to it, over all its files in one order.
//!
//! The store's file and the audit trail's segments lie on one such disk, so that a power cut hits
//! them at one moment. A name (`audit/1.seg`) is durable once its directory was synced, and so is a
//! directory's own; what lies in a directory whose name was lost is lost with it. Bytes and length
//! are durable once their file was synced.
//!
//! It promises: after [`Faulty::fail_after`] that many changes succeed and every later one fails,
//! until [`Faulty::mend`] (or one fails alone); [`Faulty::cut_power`] leaves what the last syncs
//! left; the log tells what a power cut at any earlier moment may have left ([`Replay`]).
//! It never: fails a read, unless asked to ([`Trouble`]).

mod handle;
#[cfg(test)]
mod hold;
mod medium;
mod replay;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::Medium;

pub(crate) use self::handle::Handle;
#[cfg(test)]
pub(crate) use self::hold::Hold;
pub(crate) use self::replay::{Chance, Replay, Tree};

/// The cache of a store on such a disk: small, so that a test soon reads what it does not hold.
pub(crate) const CACHE_BYTES: usize = 256 * 1024;
/// The store's file.
pub(crate) const FILE: &str = "vault.redb";

/// The disk. A clone is the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faulty(Arc<Mutex<Disk>>);

/// Something that was done to the disk. Files are numbered in the order of their making.
#[derive(Clone)]
pub(crate) enum Op {
    /// Bytes, at a place; the file grows where they do not fit.
    Write {
        /// Which file.
        file: u64,
        /// Where, in bytes.
        offset: u64,
        /// What.
        data: Arc<[u8]>,
    },
    /// A length, in bytes.
    SetLen {
        /// Which file.
        file: u64,
        /// How long.
        len: u64,
    },
    /// What was done to a file is durable from here on.
    Sync(u64),
    /// A sync that failed: what was waiting for it never reaches the disk, though it is still read,
    /// and a later sync does not tell (as Linux does it).
    SyncFailed(u64),
    /// A name is given to a file.
    Link {
        /// Which name.
        name: String,
        /// Which file.
        file: u64,
    },
    /// A name is taken away.
    Unlink(String),
    /// A file gets another name in its directory, in one step.
    Rename {
        /// The name it had.
        from: String,
        /// The name it has.
        to: String,
        /// Which file.
        file: u64,
    },
    /// A directory is made.
    MakeDirectory(String),
    /// An empty directory is taken away.
    RemoveDirectory(String),
    /// The names of a directory are durable from here on.
    SyncDirectory(String),
    /// What is read of a file from here on is what the disk holds.
    DropCache(u64),
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { file, offset, data } => {
                write!(f, "write {} bytes to file {file} at {offset}", data.len())
            }
            Self::SetLen { file, len } => write!(f, "set length of file {file} to {len}"),
            Self::Sync(file) => write!(f, "sync file {file}"),
            Self::SyncFailed(file) => write!(f, "sync of file {file} that fails"),
            Self::Link { name, file } => write!(f, "name file {file} {name}"),
            Self::Unlink(name) => write!(f, "remove {name}"),
            Self::Rename { from, to, .. } => write!(f, "rename {from} to {to}"),
            Self::MakeDirectory(name) => write!(f, "make directory {name}"),
            Self::RemoveDirectory(name) => write!(f, "remove directory {name}"),
            Self::SyncDirectory(name) => write!(f, "sync directory {name:?}"),
            Self::DropCache(file) => write!(f, "drop the cache of file {file}"),
        }
    }
}

/// What is to go wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trouble {
    /// Operations that will yet succeed.
    pub(crate) after: u64,
    /// Whether one fails alone, or every one from there on.
    pub(crate) once: bool,
    /// Whether reads are counted, and fail, too.
    pub(crate) reads: bool,
    /// Whether syncs alone are counted, and fail.
    pub(crate) syncs_only: bool,
    /// Whether a write that fails has written its first half.
    pub(crate) half: bool,
    /// Whether a sync that fails loses what was waiting for it.
    pub(crate) loses: bool,
    /// Whether what fails is an I/O error (`EIO`), or says that there is no space left.
    pub(crate) io: bool,
}

#[derive(Debug, Default)]
struct Disk {
    /// What is read now.
    live: Tree,
    /// What the disk held when the log began.
    base: Tree,
    log: Vec<Op>,
    files: u64,
    trouble: Option<Trouble>,
    /// Operations that failed.
    failures: u32,
    /// Says that it synced, and does not: a fault of the harness's own, to be caught by it.
    lies: Lies,
    /// The syncs of directories fail.
    no_directories: bool,
    /// Called before each read of the store's file, with nothing held.
    #[cfg(test)]
    before_reads: handle::Hook,
    /// The store keeps no page in memory.
    #[cfg(test)]
    uncached: bool,
}

/// Which syncs are said to have been done and were not.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Lies {
    /// None.
    #[default]
    None,
    /// Those of the store's file.
    Store,
    /// Those of all other files.
    Trail,
    /// Those of files whose name ends so.
    Named(&'static str),
    /// Those of one directory.
    Directory(&'static str),
}

/// What an operation is, for who counts.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Read,
    Change,
    Sync,
}

impl Faulty {
    /// A disk that holds what another one did.
    pub(crate) fn holding(tree: Tree) -> Self {
        let files = tree.files.keys().max().map_or(0, |last| last + 1);
        Self(Arc::new(Mutex::new(Disk {
            live: tree.clone(),
            base: tree,
            files,
            ..Disk::default()
        })))
    }

    /// A disk with a store's file and nothing else.
    pub(crate) fn of(image: Vec<u8>) -> Self {
        let mut tree = Tree::default();
        tree.files.insert(0, Arc::new(image));
        tree.names.insert(FILE.to_owned(), 0);
        Self::holding(tree)
    }

    /// The bytes of the store's file, as they are read now.
    pub(crate) fn image(&self) -> Vec<u8> {
        let disk = self.disk();
        let file = disk.live.names.get(FILE);
        file.map_or_else(Vec::new, |file| disk.live.files[file].to_vec())
    }

    /// Lets `changes` more writes, lengthenings and syncs succeed, and none after them.
    pub(crate) fn fail_after(&self, changes: u32) {
        self.trouble(Trouble {
            after: changes.into(),
            ..Trouble::default()
        });
    }

    /// Lets `changes` more succeed, the one after them fail, and mends itself then.
    pub(crate) fn fail_once_after(&self, changes: u32) {
        self.trouble(Trouble {
            after: changes.into(),
            once: true,
            ..Trouble::default()
        });
    }

    /// Makes something go wrong.
    pub(crate) fn trouble(&self, trouble: Trouble) {
        self.disk().trouble = Some(trouble);
    }

    /// Works again. How many operations failed comes back.
    pub(crate) fn mend(&self) -> u32 {
        let mut disk = self.disk();
        disk.trouble = None;
        std::mem::take(&mut disk.failures)
    }

    /// Operations that failed since the last mend.
    pub(crate) fn failures(&self) -> u32 {
        self.disk().failures
    }

    /// Lets the syncs of directories fail, and nothing else, or no more.
    #[cfg(test)]
    pub(crate) fn fail_directories(&self, fail: bool) {
        self.disk().no_directories = fail;
    }

    /// Has `hook` called before each read of a store's file, by whoever reads.
    #[cfg(test)]
    pub(crate) fn before_reads(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.disk().before_reads = handle::Hook(Some(Arc::new(hook)));
    }

    /// Has stores that are opened from here on read each page anew, as of a file that is larger
    /// than their cache.
    #[cfg(test)]
    pub(crate) fn read_uncached(&self) {
        self.disk().uncached = true;
    }

    /// Says from here on that it synced, and does not.
    pub(crate) fn lie(&self, lies: Lies) {
        self.disk().lies = lies;
    }

    /// Loses what was not synced.
    pub(crate) fn cut_power(&self) {
        let durable = self.durable();
        let mut disk = self.disk();
        disk.live = durable.clone();
        disk.base = durable;
        disk.log.clear();
    }

    /// What a power cut would leave at least: what the last syncs left.
    pub(crate) fn durable(&self) -> Tree {
        self.replay().durable()
    }

    /// How many operations the log holds.
    pub(crate) fn position(&self) -> usize {
        self.disk().log.len()
    }

    /// The log, to be walked through.
    pub(crate) fn replay(&self) -> Replay {
        let disk = self.disk();
        Replay::new(disk.base.clone(), disk.log.clone().into())
    }

    /// The disk as a program sees it.
    pub(crate) fn medium(&self) -> Arc<dyn Medium> {
        Arc::new(self.clone())
    }

    /// Makes a file of a name that is not taken.
    pub(crate) fn create(&self, name: &str) -> io::Result<Handle> {
        let file = self.act(Kind::Change, |disk| {
            disk.live.is_free(name)?;
            let file = disk.files;
            disk.files += 1;
            let name = name.to_owned();
            disk.did(Op::Link { name, file });
            Ok(file)
        })?;
        Ok(Handle::new(self, file))
    }

    /// Opens the file of a name.
    pub(crate) fn open(&self, name: &str) -> io::Result<Handle> {
        let file = self.act(Kind::Read, |disk| {
            let file = disk.live.names.get(name).copied();
            file.ok_or_else(|| io::ErrorKind::NotFound.into())
        })?;
        Ok(Handle::new(self, file))
    }

    /// Takes a name away.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.act(Kind::Change, |disk| {
            if !disk.live.names.contains_key(name) {
                return Err(io::ErrorKind::NotFound.into());
            }
            disk.did(Op::Unlink(name.to_owned()));
            Ok(())
        })
    }

    /// The names in a directory.
    pub(crate) fn names(&self, directory: &str) -> io::Result<Vec<String>> {
        self.act(Kind::Read, |disk| {
            Ok(disk.live.inside(directory).cloned().collect())
        })
    }

    /// Makes the names of a directory durable.
    pub(crate) fn sync_directory(&self, directory: &str) -> io::Result<()> {
        self.act(Kind::Sync, |disk| {
            if disk.no_directories {
                return Err(rustix::io::Errno::IO.into());
            }
            if !matches!(disk.lies, Lies::Directory(name) if name == directory) {
                disk.did(Op::SyncDirectory(directory.to_owned()));
            }
            Ok(())
        })
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().expect("no holder panics")
    }

    fn act<T>(&self, kind: Kind, act: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        let mut disk = self.disk();
        disk.may(kind)?;
        act(&mut disk)
    }
}

/// The directory in front of a name; nothing for the top.
fn directory_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(directory, _)| directory)
}

impl Disk {
    /// Counts an operation, and refuses it where its turn to fail has come.
    fn may(&mut self, kind: Kind) -> io::Result<()> {
        let Some(trouble) = &mut self.trouble else {
            return Ok(());
        };
        let counts = match kind {
            Kind::Read => trouble.reads,
            Kind::Change => !trouble.syncs_only,
            Kind::Sync => true,
        };
        if !counts {
            return Ok(());
        }
        if trouble.after > 0 {
            trouble.after -= 1;
            return Ok(());
        }
        let error = match trouble.io {
            true => rustix::io::Errno::IO.into(),
            false => io::ErrorKind::StorageFull.into(),
        };
        if trouble.once {
            self.trouble = None;
        }
        self.failures += 1;
        Err(error)
    }

    /// Does it, and writes it down.
    fn did(&mut self, op: Op) {
        self.live.apply(&op);
        self.log.push(op);
    }

    fn sync(&mut self, file: u64) -> io::Result<()> {
        let loses = self.trouble.is_some_and(|trouble| trouble.loses);
        if let Err(error) = self.may(Kind::Sync) {
            if loses {
                self.did(Op::SyncFailed(file));
            }
            return Err(error);
        }
        let named = |end: &str| {
            let mut names = self.live.names.iter();
            names.any(|(name, named)| *named == file && name.ends_with(end))
        };
        let lied = match self.lies {
            Lies::None | Lies::Directory(_) => false,
            Lies::Store => named(FILE),
            Lies::Trail => !named(FILE),
            Lies::Named(end) => named(end),
        };
        if !lied {
            self.did(Op::Sync(file));
        }
        Ok(())
    }

    fn write(&mut self, file: u64, offset: u64, data: &[u8]) -> io::Result<()> {
        let half = self.trouble.is_some_and(|trouble| trouble.half);
        let may = self.may(Kind::Change);
        let written = match &may {
            Ok(()) => data,
            Err(_) if half => &data[..data.len() / 2],
            Err(_) => &[],
        };
        if !written.is_empty() {
            let data = written.into();
            self.did(Op::Write { file, offset, data });
        }
        may
    }
}

#[cfg(test)]
mod tests;
