//! A disk for tests, which fails on demand and loses what was not synced.
//!
//! It promises: after [`Faulty::fail_after`] that many changes succeed and every later one fails,
//! until [`Faulty::mend`] (or one fails alone); [`Faulty::cut_power`] leaves what the last sync
//! left.
//! It never: fails a read.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

/// The cache of a store on such a disk: small, so that a test soon reads what it does not hold.
pub(crate) const CACHE_BYTES: usize = 256 * 1024;

/// The disk. A clone is the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faulty(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Changes that will yet succeed; `None`: all.
    left: Option<u32>,
    /// Mends itself when one has failed.
    once: bool,
    /// Changes that failed.
    failures: u32,
}

impl Faulty {
    /// A disk with these bytes on it, all of them synced.
    pub(crate) fn of(image: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.disk().durable = image.clone();
        disk.disk().bytes = image;
        disk
    }

    /// What is on it now.
    pub(crate) fn image(&self) -> Vec<u8> {
        self.disk().bytes.clone()
    }

    /// Lets `changes` more writes, lengthenings and syncs succeed, and none after them.
    pub(crate) fn fail_after(&self, changes: u32) {
        self.disk().left = Some(changes);
    }

    /// Works again. How many changes failed comes back.
    pub(crate) fn mend(&self) -> u32 {
        let mut disk = self.disk();
        disk.left = None;
        std::mem::take(&mut disk.failures)
    }

    /// Lets `changes` more succeed, the one after them fail, and mends itself then.
    pub(crate) fn fail_once_after(&self, changes: u32) {
        let mut disk = self.disk();
        disk.left = Some(changes);
        disk.once = true;
    }

    /// Loses what was not synced.
    pub(crate) fn cut_power(&self) {
        let mut disk = self.disk();
        disk.bytes = disk.durable.clone();
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().expect("no holder panics")
    }

    fn change(&self, change: impl FnOnce(&mut Disk)) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.left == Some(0) {
            disk.failures += 1;
            if std::mem::take(&mut disk.once) {
                disk.left = None;
            }
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.left = disk.left.map(|left| left - 1);
        change(&mut disk);
        Ok(())
    }
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = self.disk();
        let start = usize::try_from(offset).expect("a small disk");
        let bytes = disk.bytes.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).expect("a small disk");
        self.change(|disk| disk.bytes.resize(len, 0))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(|disk| disk.durable = disk.bytes.clone())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).expect("a small disk");
        self.change(|disk| disk.bytes[start..start + data.len()].copy_from_slice(data))
    }
}
