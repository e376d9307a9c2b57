//! An open file of the disk for tests.
//!
//! It promises: what a file of the operating system does, by the disk's log.
//! It never: closes; a handle to a file without a name goes on working.

use std::io;

use redb::StorageBackend;

use super::{Faulty, Kind, Op};

/// What is called before a read.
#[cfg(test)]
#[derive(Clone, Default)]
pub(super) struct Hook(pub(super) Option<std::sync::Arc<dyn Fn() + Send + Sync>>);

#[cfg(test)]
impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

/// An open file. A clone is the same file.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    disk: Faulty,
    file: u64,
}

impl Handle {
    pub(super) fn new(disk: &Faulty, file: u64) -> Self {
        Self {
            disk: disk.clone(),
            file,
        }
    }

    /// The disk it lies on.
    #[cfg(test)]
    pub(crate) fn disk(&self) -> &Faulty {
        &self.disk
    }

    /// The length, in bytes.
    pub(crate) fn len(&self) -> io::Result<u64> {
        self.disk.act(Kind::Read, |disk| {
            let bytes = disk.live.files.get(&self.file);
            Ok(bytes.map_or(0, |bytes| bytes.len() as u64))
        })
    }

    /// Whether it has a name.
    pub(super) fn is_named(&self) -> bool {
        let disk = self.disk.disk();
        disk.live.names.values().any(|file| *file == self.file)
    }

    /// Fills `out` from `offset` on.
    pub(crate) fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.act(Kind::Read, |disk| {
            let start = usize::try_from(offset).expect("a small disk");
            let bytes = disk.live.files.get(&self.file);
            let bytes = bytes.and_then(|bytes| bytes.get(start..start + out.len()));
            out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    /// Writes behind the last byte.
    pub(crate) fn append(&self, data: &[u8]) -> io::Result<()> {
        let mut disk = self.disk.disk();
        let end = disk.live.files.get(&self.file).map_or(0, |all| all.len());
        disk.write(self.file, end as u64, data)
    }

    /// Cuts, or adds zeros.
    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.act(Kind::Change, |disk| {
            let file = self.file;
            disk.did(Op::SetLen { file, len });
            Ok(())
        })
    }

    /// Makes everything written durable.
    pub(crate) fn sync_data(&self) -> io::Result<()> {
        self.disk.disk().sync(self.file)
    }

    /// Forgets what was read, so that the next read tells what the disk holds.
    pub(crate) fn drop_cache(&self) {
        let durable = self.disk.replay().durable();
        let mut disk = self.disk.disk();
        disk.log.push(Op::DropCache(self.file));
        let bytes = durable.files.get(&self.file).cloned().unwrap_or_default();
        disk.live.files.insert(self.file, bytes);
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Self::len(self)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        #[cfg(test)]
        {
            let hook = self.disk.disk().before_reads.0.clone();
            hook.iter().for_each(|hook| hook());
        }
        self.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.disk().write(self.file, offset, data)
    }
}
